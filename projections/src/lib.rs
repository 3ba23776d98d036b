//! The follower that keeps read models up to date, and the read models.
//!
//! Nothing in here has a side effect besides its own tables: what reacts to events is a policy, elsewhere.
//!
//! # How to add a read model
//!
//! One file in the folder of its context ([`identity`] shows one), and one line in the list in `models.rs`. That is all:
//! the table, its comments and indexes, the follower, rebuilds, queries, OpenAPI and the analysts' view are made from it.
//!
//! 1. **The row** ([`row!`]): its `key`, its `columns`, and the fields that are `personal`. Doc comments become the
//!    comments of columns and the text of OpenAPI. After `=>` stand the marks of a column: `filter` and `sort` (clients
//!    may), `index` (it has one), `search` (its words can be searched), `open` or `pseudonym` (analysts see it as it is, or
//!    a keyed pseudonym of it; without either they do not see it). Columns are `Uuid`, `String`, `bool`, `i32`, `i64`,
//!    `Timestamp`, `Date`, `Money` (a document; where it is summed or filtered make it `i64` and `Currency`), lists of
//!    `String` or `Uuid`, [`row::Json`] documents, enums without fields ([`words!`]), and `Option`s of these.
//! 2. **The fold**: a [`Table`] says which rows a fact touches (`keys`) and how (`fold`; none deletes the row). It gets
//!    facts of the aggregate types in `FED_BY` only. A [`Ledger`] says which rows a fact appends (`entries`).
//!    Match the events of an aggregate without `_`, so that a new event makes the compiler ask.
//! 3. **Who sees what**: `visible` gives a [`Filter`] that SQL applies ([`Filter::own`], [`Filter::within`],
//!    [`Filter::all_with`] ...); `hidden` names columns that an actor does not get of the rows that they see.
//! 4. **Options**: `time_travel`, `stream_column`, `sort`, `unlogged`, `about_people`, `names`, `analysts`; see [`Options`].
//! 5. **Tests**: `given::<Model>(events).then(rows)`, see [`testing`].
//!
//! Whoever changes the columns or the fold raises `VERSION`: the new version is built beside the old one, which serves until
//! then.
//!
//! Personal values: a field of type `Personal<T, C>` (or anything that contains some) belongs in the `personal` section. It
//! is sealed before it is written and opened when the row is read. A value taken out of its `Personal` may stand in
//! `columns` only in a read model with `unlogged: true`, which is rebuilt after a shred.

pub mod answers;
mod breath;
pub mod budgeting;
mod catalog;
mod catch_up;
pub mod credentials;
mod enrolment;
mod error;
pub mod fact;
mod filter;
mod follower;
pub mod governance;
pub mod identity;
pub mod intelligence;
pub mod model;
mod models;
pub mod nats;
pub mod notifications;
mod operation;
pub mod opportunities;
mod pack;
mod progress;
pub mod query;
pub mod readable;
mod rebuild;
pub mod row;
mod source;
mod stage;
mod storage;
pub mod table;
pub mod testing;
mod touched;
mod views;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use event_store::{EventStore, Position};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

pub use catalog::State;
pub use error::ProjectionError;
pub use fact::{Envelope, Fact};
pub use filter::{Filter, Owned};
pub use model::{LedgerModel, ReadModel, TableModel};
pub use models::read_models;
pub use nats::NatsConfig;
pub use operation::{Checksum, Status};
pub use progress::FollowerState;
pub use query::{Condition, Op, Page, Query, QueryError};
pub use rebuild::{Checked, Difference, Rebuilt};
pub use source::Feed;
pub use table::{Analysts, KeyOf, Ledger, Options, Shape, Table};
pub use touched::Touched;

use progress::Progress;

/// On how many threads a rebuild decodes and folds at most: each of them has thousands of events in memory.
pub const THREADS_MOST: usize = 64;

/// What the read models need to know to start.
#[derive(Clone)]
pub struct Config {
    /// The database of the log: the URL that the store was opened with.
    pub database_url: String,
    /// The read models; [`read_models`] has them all.
    pub models: Vec<&'static dyn ReadModel>,
    /// The NATS server that carries the log to the follower; without one the follower reads the log itself.
    pub nats: Option<NatsConfig>,
    /// The most events that are folded and committed at once.
    pub batch_max: usize,
    /// How many bytes of rows a rebuild keeps in memory before it writes them; events on their way come on top.
    pub rebuild_memory: usize,
    /// How many events a rebuild reads and decodes at once.
    pub rebuild_chunk: usize,
    /// How long after keys were destroyed or archived read models that held what these keys had sealed are rebuilt, all
    /// together.
    pub rebuild_after_shred: Duration,
    /// Whether a rebuild compares its rows with those that serve, before it switches. The pack waits for that.
    pub compare: bool,
    /// On how many threads a rebuild decodes and folds; [`THREADS_MOST`] at most.
    pub threads: usize,
    /// How many bytes of rows are folded in memory to answer as of an earlier moment.
    pub as_of_memory: usize,
}

impl Config {
    /// All read models, on this database.
    pub fn new(database_url: impl Into<String>) -> Self {
        Config {
            database_url: database_url.into(),
            models: read_models().to_vec(),
            nats: None,
            batch_max: 1000,
            rebuild_memory: 192 << 20,
            rebuild_chunk: 4096,
            rebuild_after_shred: Duration::from_secs(15 * 60),
            compare: false,
            threads: std::thread::available_parallelism().map_or(2, usize::from).min(8),
            as_of_memory: 64 << 20,
        }
    }
}

/// The read models: their follower, their queries and their operation. Clones are the same.
#[derive(Clone)]
pub struct Projections(Arc<Inner>);

struct Inner {
    store: EventStore,
    config: Config,
    database: event_store::Database,
    progress: watch::Sender<Progress>,
    state: watch::Sender<FollowerState>,
    stop: watch::Sender<bool>,
    /// Tells the follower that read models joined or left.
    changed: Notify,
    feed: source::Counters,
    /// How far a rebuild has read, and how far it will.
    passed: watch::Sender<(Position, Position)>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Held while read models are rebuilt after a shred: who comes meanwhile finds it done.
    forgetting: tokio::sync::Mutex<()>,
    /// The generations that serve, as far as this process knows.
    serving: Mutex<HashMap<&'static str, (i32, String)>>,
}

impl std::fmt::Debug for Projections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projections").field("progress", &*self.0.progress.borrow()).finish()
    }
}

impl Projections {
    /// The read models of a store. Nothing runs yet: see [`Projections::start`].
    ///
    /// # Errors
    /// When the URL cannot be read, or two read models have the same name.
    pub fn new(store: EventStore, config: Config) -> Result<Self, ProjectionError> {
        let mut names = BTreeSet::new();
        if let Some(twice) = config.models.iter().find(|model| !names.insert(model.shape().name)) {
            let text = format!("two read models are called {}", twice.shape().name);
            return Err(ProjectionError::WrongState(text));
        }
        config.nats.as_ref().map(nats::servers).transpose()?;
        Ok(Projections(Arc::new(Inner {
            database: event_store::Database::parse(&config.database_url)?,
            store,
            config,
            progress: watch::Sender::default(),
            state: watch::Sender::new(FollowerState::Stopped),
            stop: watch::Sender::new(false),
            changed: Notify::new(),
            feed: source::Counters::default(),
            passed: watch::Sender::default(),
            task: Mutex::default(),
            forgetting: tokio::sync::Mutex::default(),
            serving: Mutex::default(),
        })))
    }

    /// All read models.
    pub fn models(&self) -> &[&'static dyn ReadModel] {
        &self.0.config.models
    }

    /// How far the rebuild that is under way has read the log, and how far it will; both 0 before the first.
    pub fn passed(&self) -> watch::Receiver<(Position, Position)> {
        self.0.passed.subscribe()
    }

    /// The read model of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn model(&self, name: &str) -> Result<&'static dyn ReadModel, ProjectionError> {
        let found = self.0.config.models.iter().copied().find(|model| model.shape().name == name);
        found.ok_or_else(|| ProjectionError::UnknownModel(name.to_owned()))
    }

    async fn skips_of(&self, name: &str) -> Result<BTreeSet<Position>, ProjectionError> {
        let positions: Vec<i64> = sqlx::query_scalar(
            "SELECT position FROM annals.projection_interventions WHERE action = 'skip' AND name = $1",
        )
        .bind(name)
        .fetch_all(self.0.store.pool())
        .await?;
        Ok(positions.into_iter().map(catalog::unsigned).collect())
    }
}
