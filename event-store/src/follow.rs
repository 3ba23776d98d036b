//! Following the log: every event once, in order, for ever.

use std::time::Duration;

use futures_util::{Stream, stream};
use sqlx::PgPool;
use tokio::{sync::watch, task::JoinHandle};

use crate::{EventStore, Position, Recorded, StoreError, read, recorded, tail::Tail};

/// The most events that are given out at once.
const CHUNK: usize = 2048;

/// How long to wait before asking a database again that has failed.
const RETRY: Duration = Duration::from_millis(500);

impl EventStore {
    /// All events after a position, as they are recorded, in chunks of ascending position without gaps. It never ends.
    ///
    /// It wakes at once when this node records, soon when another does (by notification), and looks by itself now and
    /// then: notifications are a hint, polling is the truth. An outage of the database is waited out. While a full chunk
    /// is being worked on the next one is already read.
    ///
    /// # Errors
    /// Items are errors when going on makes no sense: `Hole`, `AheadOfLog`, `Unreadable`; the stream ends after one.
    pub fn follow(&self, after: Position) -> impl Stream<Item = Result<Vec<Recorded>, StoreError>> + use<> {
        let follower = Follower {
            pool: self.pool().clone(),
            tail: self.tail().clone(),
            head: self.subscribe_head(),
            poll_every: self.poll_every(),
            after,
            due: true,
            next: None,
        };
        stream::unfold(Some(follower), |follower| async {
            let mut follower = follower?;
            match follower.chunk().await {
                Ok(events) => Some((Ok(events), Some(follower))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

struct Follower {
    pool: PgPool,
    tail: Tail,
    head: watch::Receiver<Position>,
    poll_every: Duration,
    after: Position,
    /// Look, though there is no news.
    due: bool,
    /// The next chunk on its way.
    next: Option<Prefetch>,
}

/// Stops reading when its follower is dropped.
struct Prefetch(JoinHandle<Result<Vec<Recorded>, StoreError>>);

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Follower {
    async fn chunk(&mut self) -> Result<Vec<Recorded>, StoreError> {
        loop {
            // Seen before reading: what is recorded while we read wakes us again.
            let hint = *self.head.borrow_and_update();
            if self.next.is_none() && hint <= self.after && !self.due {
                self.wait().await;
                continue;
            }
            self.due = false;
            match self.read().await {
                Ok(events) if events.is_empty() => match self.examine().await {
                    Ok(()) => self.wait().await,
                    Err(error) => self.bear(error).await?,
                },
                Ok(events) => return self.give(events),
                Err(error) => self.bear(error).await?,
            }
        }
    }

    fn give(&mut self, events: Vec<Recorded>) -> Result<Vec<Recorded>, StoreError> {
        recorded::contiguous(self.after, events.iter().map(|event| event.position))?;
        self.after += events.len() as u64;
        if events.len() == CHUNK {
            let (pool, after) = (self.pool.clone(), self.after);
            let next = async move { read::read_all(&pool, after, CHUNK).await };
            self.next = Some(Prefetch(tokio::spawn(next)));
        }
        Ok(events)
    }

    /// Nothing was there to read. Is this really the end of the log?
    async fn examine(&self) -> Result<(), StoreError> {
        let head = read::head(&self.pool).await?.position;
        if head < self.after {
            return Err(StoreError::AheadOfLog { after: self.after, head });
        }
        // The log may have grown since; but up to its head it has no gaps.
        if head > self.after && read::read_all(&self.pool, self.after, 1).await?.is_empty() {
            return Err(StoreError::Hole { expected: self.after + 1, found: head });
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<Vec<Recorded>, StoreError> {
        if let Some(mut next) = self.next.take() {
            let events = (&mut next.0).await.map_err(|_| StoreError::Closed)??;
            if !events.is_empty() {
                return Ok(events);
            }
        }
        match self.tail.after(self.after, CHUNK) {
            events if events.is_empty() => read::read_all(&self.pool, self.after, CHUNK).await,
            events => Ok(events),
        }
    }

    /// Until this node hears of news, or it is time to look without any.
    async fn wait(&mut self) {
        match tokio::time::timeout(self.poll_every, self.head.changed()).await {
            Ok(Ok(())) => {}
            Err(_) => self.due = true,
            // The store is closed; the database goes on.
            Ok(Err(_)) => {
                tokio::time::sleep(self.poll_every).await;
                self.due = true;
            }
        }
    }

    async fn bear(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !error.is_transient() {
            return Err(error);
        }
        tracing::warn!(%error, after = self.after, "following the log is interrupted");
        tokio::time::sleep(RETRY).await;
        self.due = true;
        Ok(())
    }
}
