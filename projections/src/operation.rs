//! What operators see and do: how far each read model is, parked ones tried again, poisonous events skipped, old
//! generations dropped. Everything that they do is recorded.

use domain::Actor;
use event_store::Position;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row;

use crate::{
    Projections,
    catalog::{Layout, State, drop_generation, signed, unsigned},
    error::ProjectionError,
    storage::{Connection, table_name},
};

/// How a generation of a read model is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Status {
    /// The read model.
    pub name: String,
    /// Which generation.
    pub generation: i32,
    /// The version of its columns and fold.
    pub version: i32,
    /// What it is doing.
    pub state: State,
    /// How far it is.
    pub position: Position,
    /// By how many events it is behind the log.
    pub lag: u64,
    /// Whether queries read it.
    pub serving: bool,
    /// Why it is parked or frozen.
    pub reason: Option<String>,
}

/// All rows of a generation in one value: two rebuilds of the same log have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Checksum {
    /// How many rows.
    pub rows: u64,
    /// The sums of the halves of the rows' SHA-256, in hexadecimal: the order of rows does not matter.
    pub digest: String,
}

impl Projections {
    /// How every generation of every read model is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn status(&self) -> Result<Vec<Status>, ProjectionError> {
        let rows = sqlx::query(
            "SELECT p.name, p.generation, p.version, p.state, coalesce(p.position, h.position), l.position, p.serving,
                p.reason
             FROM annals.projections p, annals.projection_head h, annals.head l ORDER BY p.name, p.generation",
        )
        .fetch_all(self.0.store.pool())
        .await?;
        let status = |row: &sqlx::postgres::PgRow| {
            let (position, head) = (unsigned(row.try_get(4)?), unsigned(row.try_get(5)?));
            Ok(Status {
                name: row.try_get(0)?,
                generation: row.try_get(1)?,
                version: row.try_get(2)?,
                state: State::read(row.try_get(3)?),
                position,
                lag: head.saturating_sub(position),
                serving: row.try_get(6)?,
                reason: row.try_get(7)?,
            })
        };
        rows.iter().map(status).collect()
    }

    /// Lets a parked read model try again the event that it could not fold.
    ///
    /// # Errors
    /// When it is not parked.
    pub async fn retry(&self, name: &str, actor: &Actor, reason: &str) -> Result<(), ProjectionError> {
        self.unpark(name, None, actor, reason).await
    }

    /// Lets a parked read model leave out the event that it could not fold, now and in every rebuild. The position says
    /// which event that is: another one is refused.
    ///
    /// # Errors
    /// When it is not parked before that position.
    pub async fn skip(
        &self,
        name: &str,
        position: Position,
        actor: &Actor,
        reason: &str,
    ) -> Result<(), ProjectionError> {
        self.unpark(name, Some(position), actor, reason).await
    }

    async fn unpark(
        &self,
        name: &str,
        skip: Option<Position>,
        actor: &Actor,
        reason: &str,
    ) -> Result<(), ProjectionError> {
        self.model(name)?;
        let mut transaction = self.0.store.pool().begin().await?;
        let freed = sqlx::query(
            "UPDATE annals.projections SET state = 'behind', reason = NULL, since = clock_timestamp()
             WHERE name = $1 AND state = 'parked' AND position = coalesce($2 - 1, position)",
        )
        .bind(name)
        .bind(skip.map(signed))
        .execute(&mut *transaction)
        .await?;
        if freed.rows_affected() == 0 {
            return Err(ProjectionError::WrongState(match skip {
                Some(position) => format!("{name} is not parked before position {position}"),
                None => format!("{name} is not parked"),
            }));
        }
        let action = if skip.is_some() { "skip" } else { "retry" };
        sqlx::query(
            "INSERT INTO annals.projection_interventions (name, action, position, actor, reason)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(name)
        .bind(action)
        .bind(skip.map(signed))
        .bind(actor.to_string())
        .bind(reason)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE annals.projection_head SET layout = layout + 1")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        tracing::warn!(name, action, position = skip, %actor, reason, "a parked read model goes on");
        self.0.changed.notify_one();
        Ok(())
    }

    /// Drops the generations of a read model that another one has replaced, and says how many.
    ///
    /// # Errors
    /// When the database fails, or a view of the analysts still shows one of them.
    pub async fn drop_retired(
        &self,
        name: &str,
        actor: &Actor,
        reason: &str,
    ) -> Result<usize, ProjectionError> {
        let connection = Connection::open(&self.0.database, "operation").await?;
        let layout = Layout::load(&connection.client).await?;
        let retired =
            layout.entries.iter().filter(|entry| entry.name == name && entry.state == State::Retired);
        let mut dropped = 0;
        for entry in retired {
            drop_generation(&connection.client, entry).await?;
            dropped += 1;
        }
        let record = "INSERT INTO annals.projection_interventions (name, action, actor, reason)
            VALUES ($1, 'drop', $2, $3)";
        connection.client.execute(record, &[&name, &actor.to_string(), &reason]).await?;
        Ok(dropped)
    }

    /// All rows of the generation that serves, in one value. It reads the whole table.
    ///
    /// # Errors
    /// When there is no such read model, none of its generations serves, or the database fails.
    pub async fn checksum(&self, name: &str) -> Result<Checksum, ProjectionError> {
        let shape = self.model(name)?.shape();
        let connection = Connection::open(&self.0.database, "checksum").await?;
        let layout = Layout::load(&connection.client).await?;
        let serving = layout
            .serving(name)
            .ok_or_else(|| ProjectionError::WrongState(format!("no generation of {name} serves")))?;
        let halves = "('x' || encode(substr(h, 1, 8), 'hex'))::bit(64)::bigint::numeric,
            ('x' || encode(substr(h, 9, 8), 'hex'))::bit(64)::bigint::numeric";
        let query = format!(
            "SELECT count(*), encode(sha256(convert_to(coalesce(sum(a), 0) || '|' || coalesce(sum(b), 0), 'UTF8')), 'hex')
             FROM (SELECT sha256(convert_to(t::text, 'UTF8')) AS h FROM {} t) hashed,
             LATERAL (VALUES ({halves})) AS halved(a, b)",
            table_name(shape, &serving.schema)
        );
        connection.client.batch_execute("SET timezone = 'UTC'; SET datestyle = 'ISO'").await?;
        let row = connection.client.query_one(&query, &[]).await?;
        Ok(Checksum { rows: unsigned(row.try_get(0)?), digest: row.try_get(1)? })
    }
}
