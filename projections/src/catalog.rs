//! The records of read models in the database: which generations there are, how far each is, what operators did.

use std::collections::{BTreeSet, HashMap};

use event_store::Position;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::{
    error::ProjectionError,
    storage::{create_indexes, create_schema, create_table, quoted, schema_name},
    table::Shape,
};

/// What a generation of a read model is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is made from the log.
    Building,
    /// It catches up on its own.
    Behind,
    /// It is in the pack.
    Live,
    /// An event stopped it; an operator retries or skips it.
    Parked,
    /// No running program knows this version.
    Frozen,
    /// Another generation serves.
    Retired,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Building => "building",
            State::Behind => "behind",
            State::Live => "live",
            State::Parked => "parked",
            State::Frozen => "frozen",
            State::Retired => "retired",
        }
    }

    pub(crate) fn read(name: &str) -> State {
        let all = [State::Building, State::Behind, State::Live, State::Parked, State::Frozen];
        all.into_iter().find(|state| state.name() == name).unwrap_or(State::Retired)
    }
}

/// One generation of a read model.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) generation: i32,
    pub(crate) version: i32,
    pub(crate) schema: String,
    pub(crate) state: State,
    /// Its own position; none: as far as the pack.
    pub(crate) position: Option<Position>,
    pub(crate) serving: bool,
    /// An UNLOGGED table that a crash has emptied.
    pub(crate) lost: bool,
    /// The view of the analysts shows it.
    pub(crate) viewed: bool,
}

impl Entry {
    /// Whether it is a generation of this very version.
    pub(crate) fn is_of(&self, shape: &Shape) -> bool {
        self.name == shape.name && self.version == shape.version as i32
    }
}

/// All generations, and the pack.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) position: Position,
    pub(crate) incarnation: Uuid,
    pub(crate) number: i64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) skips: HashMap<String, BTreeSet<Position>>,
}

impl Layout {
    /// Reads it. The number is read first: whoever commits by an outdated one is refused.
    pub(crate) async fn load(client: &Client) -> Result<Layout, ProjectionError> {
        let head =
            client.query_one("SELECT position, incarnation, layout FROM annals.projection_head", &[]).await?;
        let entries = "SELECT p.name, p.generation, p.version, p.schema_name, p.state, p.position, p.serving,
                p.unlogged AND w.name IS NULL AS lost, p.viewed
            FROM annals.projections p LEFT JOIN annals.projection_witnesses w USING (name, generation)
            ORDER BY p.name, p.generation";
        let entries = client.query(entries, &[]).await?;
        let skips = "SELECT name, position FROM annals.projection_interventions WHERE action = 'skip'";
        let mut skipped: HashMap<String, BTreeSet<Position>> = HashMap::new();
        for row in client.query(skips, &[]).await? {
            skipped.entry(row.try_get(0)?).or_default().insert(unsigned(row.try_get(1)?));
        }
        Ok(Layout {
            position: unsigned(head.try_get(0)?),
            incarnation: head.try_get(1)?,
            number: head.try_get(2)?,
            entries: entries.iter().map(entry).collect::<Result<_, _>>()?,
            skips: skipped,
        })
    }

    /// The generation that queries read.
    pub(crate) fn serving(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.serving && entry.name == name)
    }

    /// Whether there is a generation of the version that this program knows, with rows in it.
    pub(crate) fn has_usable(&self, shape: &Shape) -> bool {
        let own = self.entries.iter().filter(|entry| entry.is_of(shape));
        own.into_iter().any(|entry| entry.state != State::Building && !entry.lost)
    }

    /// The events that operators told this read model to leave out.
    pub(crate) fn skips_of(&self, name: &str) -> BTreeSet<Position> {
        self.skips.get(name).cloned().unwrap_or_default()
    }
}

fn entry(row: &Row) -> Result<Entry, tokio_postgres::Error> {
    Ok(Entry {
        name: row.try_get(0)?,
        generation: row.try_get(1)?,
        version: row.try_get(2)?,
        schema: row.try_get(3)?,
        state: State::read(row.try_get(4)?),
        position: row.try_get::<_, Option<i64>>(5)?.map(unsigned),
        serving: row.try_get(6)?,
        lost: row.try_get(7)?,
        viewed: row.try_get(8)?,
    })
}

/// PostgreSQL has no unsigned integers; the columns are checked to be at least 0.
pub(crate) fn unsigned(number: i64) -> u64 {
    number.try_into().unwrap_or(0)
}

pub(crate) fn signed(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// How a new generation begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth {
    pub(crate) state: State,
    pub(crate) serving: bool,
    /// With its indexes; a rebuild makes them when the rows are in.
    pub(crate) indexed: bool,
}

/// Makes the next generation of a read model, empty. Call it in a transaction.
pub(crate) async fn create_generation(
    client: &Client,
    shape: &Shape,
    incarnation: Uuid,
    birth: Birth,
) -> Result<Entry, ProjectionError> {
    let next = "SELECT coalesce(max(generation), 0) + 1 FROM annals.projections WHERE name = $1";
    let generation: i32 = client.query_one(next, &[&shape.name]).await?.try_get(0)?;
    let schema = schema_name(shape, generation);
    let mut statements = format!("{};\n{}", create_schema(&schema), create_table(shape, &schema));
    if birth.indexed {
        for index in create_indexes(shape, &schema) {
            statements += &format!("{index};\n");
        }
    }
    client.batch_execute(&statements).await?;
    let position = (birth.state != State::Live).then_some(0);
    let insert = "INSERT INTO annals.projections
            (name, generation, version, schema_name, state, position, incarnation, serving, unlogged)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let version = shape.version as i32;
    let unlogged = shape.options.unlogged;
    client
        .execute(
            insert,
            &[
                &shape.name,
                &generation,
                &version,
                &schema,
                &birth.state.name(),
                &position.map(signed),
                &incarnation,
                &birth.serving,
                &unlogged,
            ],
        )
        .await?;
    if unlogged {
        let witness = "INSERT INTO annals.projection_witnesses (name, generation) VALUES ($1, $2)";
        client.execute(witness, &[&shape.name, &generation]).await?;
    }
    Ok(Entry {
        name: shape.name.to_owned(),
        generation,
        version,
        schema,
        state: birth.state,
        position,
        serving: birth.serving,
        lost: false,
        viewed: false,
    })
}

/// Drops a generation and its rows. The view of the analysts, if it shows it, stays and is empty.
pub(crate) async fn drop_generation(client: &Client, entry: &Entry) -> Result<(), ProjectionError> {
    if entry.viewed {
        crate::views::empty(client, &entry.name).await?;
    }
    client.batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(&entry.schema, '"'))).await?;
    let delete =
        "WITH witness AS (DELETE FROM annals.projection_witnesses WHERE name = $1 AND generation = $2)
        DELETE FROM annals.projections WHERE name = $1 AND generation = $2";
    client.execute(delete, &[&entry.name, &entry.generation]).await?;
    Ok(())
}

/// Changes what a generation is doing, and tells every follower by a new layout number.
pub(crate) async fn change_state(
    client: &Client,
    entry: &Entry,
    state: State,
    position: Option<Position>,
    reason: Option<&str>,
) -> Result<(), ProjectionError> {
    let update = "WITH told AS (UPDATE annals.projection_head SET layout = layout + 1)
        UPDATE annals.projections SET state = $3, position = $4, reason = $5, since = clock_timestamp()
        WHERE name = $1 AND generation = $2";
    client
        .execute(update, &[&entry.name, &entry.generation, &state.name(), &position.map(signed), &reason])
        .await?;
    Ok(())
}
