//! The log of Annals: append, read, follow, seal personal data, and prove integrity.
//!
//! One log, in commit order, without gaps. [`EventStore::append`] hands a command's events to one writer, which
//! commits what has gathered in one statement (`writer`); each command in a batch succeeds or is refused on its own.
//! Personal data is sealed before it leaves the process ([`Keyring`]).
//!
//! What must never be here: any knowledge of the business. Events are names and JSON text.

mod append;
mod cache;
mod claims;
mod config;
mod driver;
mod error;
mod follow;
pub mod integrity;
mod keys;
mod lookout;
mod micros;
pub mod migrate;
mod names;
mod read;
mod recorded;
mod tail;
#[cfg(feature = "testing")]
pub mod testing;
mod wake;
mod writer;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{
    Connection, Executor, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
};

pub use append::{Append, AppendError, Appended, Claim, Condition, NewEvent, Outcome, PersonalGroup};
pub use claims::HeldClaim;
pub use config::StoreConfig;
pub use error::{StoreError, is_outage};
pub use keys::{
    Basis, BoxHeader, Classes, Epoch, History, KeyState, Keyring, KeyringConfig, MasterKey, NewestKey, Shred,
    vault,
};
pub use lookout::{Lookout, News};
pub use names::StreamId;
pub use recorded::{Ahead, AsOf, Head, Illegible, Recorded, contiguous};

pub use driver::Database;

use keys::Epoch as Month;
use micros::Micros;
use tail::Tail;
use writer::{Reply, Request};

/// A place in the log: 1, 2, 3 ... without gaps, in commit order. 0 is before the first event.
pub type Position = u64;

/// The schema that marks a database into which a log is being restored, until all of it is in its place.
pub const RESTORING: &str = "annals_restoring";

/// The log. Clones are the same store.
#[derive(Clone)]
pub struct EventStore(Arc<Inner>);

struct Inner {
    pool: PgPool,
    database: driver::Database,
    keyring: Keyring,
    poll_every: Duration,
    requests: mpsc::Sender<Request>,
    loads: mpsc::Sender<read::Load>,
    newest: wake::Newest,
    tail: Tail,
    stop: watch::Sender<bool>,
    /// Hears when the writer ends.
    writer: Mutex<Option<oneshot::Receiver<()>>>,
    background: Vec<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.background.iter().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for EventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStore").field("newest", &*self.0.newest.subscribe().borrow()).finish()
    }
}

impl EventStore {
    /// Connects, brings the schema up to date and starts the writer.
    ///
    /// # Errors
    /// When a database cannot be reached, a migration fails or the configuration makes no sense; and where a log was not
    /// restored to the end, for it would pass for the one that was backed up.
    pub async fn open(config: StoreConfig) -> Result<Self, StoreError> {
        let mut connection = PgConnection::connect(&config.database_url).await?;
        let marked: bool = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL")
            .bind(RESTORING)
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        if marked { Err(StoreError::NotRestored) } else { Self::open_restoring(config).await }
    }

    /// The same, for whoever is restoring it and has yet to take the mark ([`RESTORING`]) away.
    ///
    /// # Errors
    /// When a database cannot be reached, a migration fails or the configuration makes no sense.
    pub async fn open_restoring(config: StoreConfig) -> Result<Self, StoreError> {
        let database: PgConnectOptions = config.database_url.parse()?;
        migrate::run(&database, "annals", migrate::LOG).await?;
        let keyring = Keyring::open_keyring(config.keys.clone(), &database).await?;
        let pool = PgPoolOptions::new()
            // Two are taken for good: one listens, one notifies now and then.
            .max_connections(config.pool_size.max(1) + 2)
            // To compile a statement takes longer than all that we ask. What fits into memory need not be looked at again:
            // a search among a million rows takes some 12 MB.
            .after_connect(|connection, _| {
                Box::pin(
                    async move { connection.execute("SET jit = off; SET work_mem = '16MB'").await.map(drop) },
                )
            })
            .connect_with(database)
            .await?;
        let newest = wake::Newest::new(read::head(&pool).await?.position);
        let own = wake::Newest::new(0);
        let background = vec![
            wake::notify(pool.clone(), own.subscribe(), config.notify_every),
            wake::listen(pool.clone(), newest.clone()),
        ];
        let tail = Tail::default();
        let (requests, queue) = mpsc::channel(config.queue.max(1));
        let (stop, stopped) = watch::channel(false);
        let writer = writer::start(&config, queue, stopped, [newest.clone(), own], tail.clone()).await?;
        let store = Self(Arc::new(Inner {
            loads: read::start(&pool),
            pool,
            database: driver::Database::parse(&config.database_url)?,
            keyring,
            poll_every: config.poll_every,
            requests,
            newest,
            tail,
            stop,
            writer: Mutex::new(Some(writer)),
            background,
        }));
        store.bind("store of keys", store.keyring().store_id().await?.as_bytes()).await?;
        store.free_claims_of_erased().await?;
        Ok(store)
    }

    /// Ties the log to something without which it cannot be gone on with, such as the fingerprint of a secret. What it was
    /// tied to first counts.
    ///
    /// # Errors
    /// [`StoreError::Bound`] when that is something else.
    pub async fn bind(&self, what: &'static str, value: &[u8]) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO annals.bound (what, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(what)
            .bind(value)
            .execute(self.pool())
            .await?;
        let bound: Vec<u8> = sqlx::query_scalar("SELECT value FROM annals.bound WHERE what = $1")
            .bind(what)
            .fetch_one(self.pool())
            .await?;
        if bound == value { Ok(()) } else { Err(StoreError::Bound { what }) }
    }

    /// The connections for reading, for queries over the log that this crate does not know.
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// Seals and opens personal data.
    pub fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// The newest position that this node knows of: from its own commits and from notifications. A hint.
    pub fn subscribe_head(&self) -> watch::Receiver<Position> {
        self.0.newest.subscribe()
    }

    pub(crate) fn database(&self) -> &driver::Database {
        &self.0.database
    }

    pub(crate) fn tail(&self) -> &Tail {
        &self.0.tail
    }

    pub(crate) fn loads(&self) -> &mpsc::Sender<read::Load> {
        &self.0.loads
    }

    pub(crate) fn poll_every(&self) -> Duration {
        self.0.poll_every
    }

    /// Records the events of a command, all or nothing, if the conditions hold and the claims can be had. When it
    /// returns `Ok`, they are on disk.
    ///
    /// Dropping the future leaves it open whether the command is recorded; sending it again records it once.
    ///
    /// # Errors
    /// See [`AppendError`]. A command that is already in the log is `Repeated`, whatever its conditions.
    pub async fn append(&self, mut append: Append) -> Result<Appended, AppendError> {
        append.validate()?;
        integrity::bind(&mut append);
        let command_id = append.command_id;
        let first_event_id = append.events[0].event_id;
        let mut not_before = Micros::now();
        loop {
            let at = not_before.timestamp()?;
            let sealed = match self.0.keyring.seal_events(&append.events, at).await {
                Ok(sealed) => sealed,
                Err(erased @ AppendError::SubjectErased { .. }) => {
                    return self.unless_repeated(command_id, first_event_id, erased).await;
                }
                Err(error) => return Err(error),
            };
            let month = sealed.iter().any(Option::is_some).then(|| Month::month(at));
            let (reply, answer) = oneshot::channel();
            let request = Request::new(append, sealed, month, reply);
            self.0.requests.send(request).await.map_err(|_| closed())?;
            match answer.await.map_err(|_| closed())? {
                Reply::Appended(appended) => return Ok(appended),
                Reply::Refused(error @ (AppendError::Conflict { .. } | AppendError::ClaimTaken { .. })) => {
                    return self.unless_repeated(command_id, first_event_id, error).await;
                }
                Reply::Refused(error) => return Err(error),
                Reply::Repeated => {
                    let lost = AppendError::Unavailable("the first outcome cannot be read".into());
                    return self.unless_repeated(command_id, first_event_id, lost).await;
                }
                // A month has begun between sealing and recording: seal again, for the epochs that it is recorded in.
                Reply::SealedTooEarly(request, recorded_at) => {
                    append = *request;
                    not_before = recorded_at;
                }
            }
        }
    }

    /// The writer knows the command ids of late only. A command that it refuses may be one that was recorded long ago
    /// and is refused just because its own first run changed the state: the log has the last word.
    async fn unless_repeated(
        &self,
        command_id: uuid::Uuid,
        first_event_id: uuid::Uuid,
        refusal: AppendError,
    ) -> Result<Appended, AppendError> {
        let Some(outcome) = self.outcome(command_id).await? else { return Err(refusal) };
        if outcome.first_event_id != first_event_id {
            return Err(AppendError::Repeated(Box::new(outcome)));
        }
        Ok(Appended {
            position: outcome.position,
            first_position: outcome.first_position,
            recorded_at: outcome.recorded_at,
            versions: outcome.versions,
            repeated: true,
        })
    }

    /// Takes no more appends, commits those that wait, and returns when the writer has ended.
    pub async fn shutdown(&self) {
        self.0.stop.send_replace(true);
        let writer = self.0.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the writer did not end well");
        }
        self.0.background.iter().for_each(AbortHandle::abort);
    }
}

fn closed() -> AppendError {
    AppendError::Unavailable("the store is closed".into())
}

/// The instant of a number of microseconds that this program took from its own clock or the log.
fn instant(micros: Micros) -> Timestamp {
    micros.timestamp().unwrap_or(Timestamp::MAX)
}
