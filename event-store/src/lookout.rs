//! What is new in the log, by the database's word, for whoever must know before it answers.

use std::{io, sync::Arc, time::Duration};

use tokio::{task::AbortHandle, time::timeout};
use tokio_postgres::{Client, Statement};

use crate::{
    EventStore, Position, StoreError,
    driver::Database,
    recorded::{signed, unsigned},
    tail::Tail,
};

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a look may take on a connection that is there already: after that it is taken for lost.
const BRIEFLY: Duration = Duration::from_secs(2);

/// So many events of this node's own memory are looked through at once.
const RECENT: usize = 2048;

/// So many events of other nodes are looked through at most: beyond them everything may have changed.
const FAR: u64 = 10_000;

/// What was recorded since the look before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Events of these streams, by their ids.
    Streams(Vec<Arc<str>>),
    /// Nobody knows: there was no look before, or none for long, or it was on a connection that is no more.
    Anything,
}

/// Looks at what is new in the streams of some types, on a connection of its own: it waits for nobody else's queries. Where
/// only this node has recorded anything, a look costs one round trip.
pub struct Lookout {
    database: Database,
    tail: Tail,
    /// How the names of the types begin.
    types: &'static str,
    connection: Option<Connection>,
}

struct Connection {
    client: Client,
    head: Statement,
    streams: Statement,
    driver: AbortHandle,
    /// Up to where it has looked. That holds as long as the connection: behind another one there may be another server.
    seen: Position,
}

impl std::fmt::Debug for Lookout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seen = self.connection.as_ref().map(|connection| connection.seen);
        f.debug_struct("Lookout").field("types", &self.types).field("seen", &seen).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl EventStore {
    /// What looks out for news of the streams whose types begin so. It connects with its first look.
    pub fn lookout(&self, types: &'static str) -> Lookout {
        let (database, tail) = (self.database().clone(), self.tail().clone());
        Lookout { database, tail, types, connection: None }
    }
}

impl Lookout {
    /// What is new since the look before. Whatever any node had acknowledged before this was called is in it, or was in an
    /// earlier one.
    ///
    /// # Errors
    /// When the database cannot be reached or does not answer; the next look says [`News::Anything`].
    pub async fn look(&mut self) -> Result<News, StoreError> {
        // What was begun on a connection and not brought to its end is not gone on with.
        if let Some(mut kept) = self.connection.take()
            && let Ok(Ok(news)) = timeout(BRIEFLY, kept.look(&self.tail, self.types)).await
        {
            self.connection = Some(kept);
            return Ok(news);
        }
        let late = |_| StoreError::Database(io::Error::from(io::ErrorKind::TimedOut).into());
        let connection = timeout(PATIENCE, Connection::open(&self.database)).await.map_err(late).flatten()?;
        self.connection = Some(connection);
        Ok(News::Anything)
    }
}

impl Connection {
    /// Connects, and looks where the log ends.
    async fn open(database: &Database) -> Result<Self, StoreError> {
        let (client, driver) = database.connect().await?;
        client.batch_execute("SET application_name = 'annals lookout'; SET jit = off").await?;
        let head = client.prepare("SELECT position FROM annals.head").await?;
        let streams = client.prepare(include_str!("sql/changed_streams.sql")).await?;
        let mut connection = Connection { client, head, streams, driver, seen: 0 };
        connection.seen = connection.head().await?;
        Ok(connection)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        unsigned(self.client.query_one(&self.head, &[]).await?.try_get(0)?)
    }

    async fn look(&mut self, tail: &Tail, types: &str) -> Result<News, StoreError> {
        let head = self.head().await?;
        // A log that has become shorter is another one.
        if head < self.seen {
            self.seen = head;
            return Ok(News::Anything);
        }
        let mut changed = Vec::new();
        // What this node recorded itself it need not ask for.
        while self.seen < head {
            let before = self.seen;
            for event in tail.after(self.seen, RECENT) {
                self.seen = event.position;
                if event.stream.aggregate_type.starts_with(types) {
                    changed.push(event.stream.aggregate_id);
                }
            }
            if self.seen == before {
                break;
            }
        }
        if head > self.seen.saturating_add(FAR) {
            self.seen = head;
            return Ok(News::Anything);
        }
        if self.seen < head {
            let rows = self.client.query(&self.streams, &[&signed(self.seen), &signed(head), &types]).await?;
            for row in rows {
                changed.push(row.try_get::<_, &str>(0)?.into());
            }
            self.seen = head;
        }
        Ok(News::Streams(changed))
    }
}
