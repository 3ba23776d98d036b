//! Read models as they stood at an earlier position, in a schema of their own: `asof_<position>`. Nobody follows them;
//! whoever asked for them queries them with the same SQL, or over HTTP with `as_of`, and drops them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use event_store::Position;
use tokio_postgres::Client;

use super::{BUILDING, Rebuilt, Site, pass};
use crate::{
    Projections,
    catalog::{Entry, Layout, State},
    error::ProjectionError,
    pack::Member,
    storage::{Connection, create_indexes, create_schema, create_table, quoted, table_name},
};

/// What the names of these schemas begin with.
const PREFIX: &str = "asof_";
/// What is said of one that is complete.
const COMPLETE: &str = "Read models as they stood at position";

impl Projections {
    /// Builds read models as they stood after the event at a position, in the schema `asof_<position>`; all of them where
    /// none is named. What stood in that schema before is replaced. Waits for a rebuild to end. The follower drops these
    /// schemas as soon as it hears that keys were destroyed or archived, for they may hold in the clear what the keys had
    /// sealed; one that is being built then fails.
    ///
    /// # Errors
    /// When there is no such read model, the position is ahead of the log, or the log or the database fails.
    pub async fn build_as_of(
        &self,
        names: &[&str],
        position: Position,
    ) -> Result<Vec<Rebuilt>, ProjectionError> {
        let started = Instant::now();
        let models = match names {
            [] => self.0.config.models.clone(),
            names => names.iter().map(|name| self.model(name)).collect::<Result<Vec<_>, _>>()?,
        };
        let head = self.0.store.head().await?;
        if position > head.position {
            let text = format!("position {position} is ahead of the log, which ends at {}", head.position);
            return Err(ProjectionError::WrongState(text));
        }
        let connection = Connection::open(&self.0.database, "as-of").await?;
        let client = &connection.client;
        client.execute("SELECT pg_advisory_lock($1)", &[&BUILDING]).await?;
        let layout = Layout::load(client).await?;
        let schema = format!("{PREFIX}{position}");
        drop_schema(client, &schema).await?;
        let mut statements =
            format!("{}; {}", create_schema(&schema), says(&schema, "Not complete: it is being built."));
        for model in &models {
            statements += &create_table(model.shape(), &schema);
        }
        client.batch_execute(&statements).await?;
        let site = |model: &&'static dyn crate::ReadModel| {
            let shape = model.shape();
            let entry = Entry {
                name: shape.name.to_owned(),
                generation: 0,
                version: shape.version as i32,
                schema: schema.clone(),
                state: State::Building,
                position: Some(0),
                serving: false,
                lost: false,
                viewed: false,
            };
            Site::new(Member::new(*model, entry, layout.skips_of(shape.name)))
        };
        let sites: Arc<Vec<Site>> = Arc::new(models.iter().map(site).collect());
        if let Err(error) = pass(&self.0, &sites, position, &connection).await {
            drop_schema(client, &schema).await?;
            return Err(error);
        }
        let mut built = Vec::new();
        for site in Arc::into_inner(sites).into_iter().flatten() {
            built.push(finish(client, site, position, started.elapsed()).await?);
        }
        let complete = format!("{COMPLETE} {position} of log {}", head.incarnation);
        client.batch_execute(&says(&schema, &complete)).await?;
        Ok(built)
    }

    /// The schema of the read models as they stood at a position, where they were built and are complete.
    pub(crate) async fn built_as_of(&self, position: Position) -> Result<Option<String>, ProjectionError> {
        let schema = format!("{PREFIX}{position}");
        let complete = "SELECT EXISTS (SELECT FROM pg_namespace
            WHERE nspname = $1 AND starts_with(obj_description(oid, 'pg_namespace'), $2))";
        let complete: bool =
            sqlx::query_scalar(complete).bind(&schema).bind(COMPLETE).fetch_one(self.0.store.pool()).await?;
        Ok(complete.then_some(schema))
    }

    /// Drops the read models as they stood at a position; false: there are none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_as_of(&self, position: Position) -> Result<bool, ProjectionError> {
        let connection = Connection::open(&self.0.database, "as-of").await?;
        let schema = format!("{PREFIX}{position}");
        let there = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
        let there: bool = connection.client.query_one(there, &[&schema]).await?.try_get(0)?;
        drop_schema(&connection.client, &schema).await?;
        Ok(there)
    }

    /// Drops the read models as they stood at whatever position.
    pub(crate) async fn drop_every_as_of(&self) -> Result<(), ProjectionError> {
        let connection = Connection::open(&self.0.database, "as-of").await?;
        drop_every(&connection.client).await
    }
}

/// Makes the indexes of what was built, or drops what could not be.
async fn finish(
    client: &Client,
    site: Site,
    position: Position,
    took: Duration,
) -> Result<Rebuilt, ProjectionError> {
    let poison = site.failed();
    let Site { member, indexed, rows, .. } = site;
    let (shape, schema) = (member.model.shape(), &member.entry.schema);
    let table = table_name(shape, schema);
    let mut statements = Vec::new();
    if poison.is_some() {
        statements.push(format!("DROP TABLE {table}"));
    } else if !indexed.initialized() {
        statements.extend(create_indexes(shape, schema));
    }
    for statement in statements {
        client.batch_execute(&statement).await?;
    }
    Ok(Rebuilt {
        name: shape.name,
        generation: 0,
        rows: rows.into_inner(),
        events: position,
        took,
        parked: poison.map(|poison| poison.position),
        difference: None,
    })
}

fn says(schema: &str, comment: &str) -> String {
    format!("COMMENT ON SCHEMA {} IS {};", quoted(schema, '"'), quoted(comment, '\''))
}

async fn drop_schema(client: &Client, schema: &str) -> Result<(), ProjectionError> {
    Ok(client.batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(schema, '"'))).await?)
}

/// Drops them all.
pub(super) async fn drop_every(client: &Client) -> Result<(), ProjectionError> {
    let names = "SELECT nspname::text FROM pg_namespace WHERE nspname ~ ('^' || $1 || '[0-9]+$')";
    for row in client.query(names, &[&PREFIX]).await? {
        drop_schema(client, row.try_get(0)?).await?;
    }
    Ok(())
}
