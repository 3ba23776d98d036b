//! Where the follower's events come from: from NATS while it delivers them in order and in time, else from the log itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use event_store::{Head, Position, Recorded, contiguous};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use uuid::Uuid;

use crate::{
    Inner,
    error::ProjectionError,
    nats::{self, Consumer, Delivered, Relay},
};

/// How often the log is looked at when nothing was heard of it.
const POLL: Duration = Duration::from_millis(100);

/// NATS keeps up if what it delivered last is no further behind than this: that much may be on its way.
const ON_ITS_WAY: u64 = 512;

/// Where events came from, and what was wrong with those that came through NATS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Feed {
    /// Folded when NATS told of them.
    pub from_nats: u64,
    /// Read from the log without being told.
    pub from_log: u64,
    /// Times that NATS left something out.
    pub holes: u64,
    /// Times that NATS told of what was folded already.
    pub repeated: u64,
    /// Times that NATS told of another log.
    pub foreign: u64,
    /// Times that NATS did not deliver in time what the log had.
    pub late: u64,
    /// Whether there is a connection to NATS now.
    pub connected: bool,
}

/// The same, while it counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    from_nats: AtomicU64,
    from_log: AtomicU64,
    holes: AtomicU64,
    repeated: AtomicU64,
    foreign: AtomicU64,
    late: AtomicU64,
    connected: AtomicBool,
}

impl Counters {
    pub(crate) fn feed(&self) -> Feed {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Feed {
            from_nats: read(&self.from_nats),
            from_log: read(&self.from_log),
            holes: read(&self.holes),
            repeated: read(&self.repeated),
            foreign: read(&self.foreign),
            late: read(&self.late),
            connected: self.connected.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

/// The events of the log in order and without gaps, whoever delivers them.
pub(crate) struct Source {
    inner: Arc<Inner>,
    head: watch::Receiver<Position>,
    incarnation: Uuid,
    nats: Option<Nats>,
}

struct Nats {
    consumer: Consumer,
    _relay: Relay,
    grace: Duration,
    /// Everything up to here was delivered one after the other, without a hole.
    ready: Position,
    /// The newest position that was delivered.
    delivered: Position,
    /// It left something out: the log has to be asked once.
    hole: bool,
    /// It was late: the log is followed directly until it keeps up.
    late: bool,
    /// When it is late if it has not delivered by then what the log has.
    due: Option<Instant>,
}

impl Source {
    pub(crate) async fn open(
        inner: &Arc<Inner>,
        incarnation: Uuid,
        after: Position,
    ) -> Result<Self, ProjectionError> {
        let nats = match &inner.config.nats {
            None => None,
            Some(config) => {
                let client = nats::connect(inner, config).await?;
                Some(Nats {
                    consumer: Consumer::start(config.clone(), client.clone(), incarnation),
                    _relay: Relay::start(inner, config.clone(), client, incarnation, after),
                    grace: config.grace,
                    ready: 0,
                    delivered: 0,
                    hole: false,
                    // Until it has shown that it delivers.
                    late: true,
                    due: None,
                })
            }
        };
        Ok(Source { inner: inner.clone(), head: inner.store.subscribe_head(), incarnation, nats })
    }

    /// The events after a position, at most so many; waits until there is one. It can be dropped at any time.
    pub(crate) async fn next(
        &mut self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ProjectionError> {
        loop {
            let counters = &self.inner.feed;
            if let Some(nats) = &mut self.nats {
                nats.drain(after, counters);
                let told = usize::try_from(nats.ready.saturating_sub(after)).unwrap_or(usize::MAX);
                if told > 0 {
                    let events = self.inner.store.read_recent(after, limit.min(told)).await?;
                    whole(after, &events)?;
                    if !events.is_empty() {
                        nats.due = None;
                        count(&counters.from_nats, events.len());
                        return Ok(events);
                    }
                    // It was told of what is not in the log.
                    (nats.ready, nats.hole) = (0, true);
                }
            }
            // Seen before reading: what is recorded meanwhile wakes us again.
            let hint = *self.head.borrow_and_update();
            if hint > after && self.nats.as_mut().is_none_or(|nats| nats.must_be_helped(after, counters)) {
                return self.read(after, limit).await;
            }
            if self.wait(after).await {
                continue;
            }
            // Heard of nothing: hints may be lost, and the log may have been put back.
            let head = self.inner.store.head().await?;
            check(&head, self.incarnation, after)?;
            if head.position > after {
                return self.read(after, limit).await;
            }
        }
    }

    /// Waits for something to happen; false when nothing did for a while.
    async fn wait(&mut self, after: Position) -> bool {
        let Some(nats) = &mut self.nats else {
            return timeout(POLL, self.head.wait_for(|head| *head > after)).await.is_ok();
        };
        let due = nats.due;
        let news = async {
            match due {
                // The log has something, and NATS is about to deliver it.
                Some(due) => {
                    sleep_until(due).await;
                    true
                }
                None => timeout(POLL, self.head.wait_for(|head| *head > after)).await.is_ok(),
            }
        };
        tokio::select! {
            biased;
            Some(delivered) = nats.consumer.next() => {
                nats.take(delivered, after, &self.inner.feed);
                true
            }
            happened = news => happened,
        }
    }

    async fn read(&mut self, after: Position, limit: usize) -> Result<Vec<Recorded>, ProjectionError> {
        let events = self.inner.store.read_recent(after, limit).await?;
        whole(after, &events)?;
        count(&self.inner.feed.from_log, events.len());
        if let Some(nats) = &mut self.nats {
            (nats.hole, nats.due) = (false, None);
        }
        Ok(events)
    }
}

impl Nats {
    fn drain(&mut self, after: Position, counters: &Counters) {
        while let Some(delivered) = self.consumer.at_once() {
            self.take(delivered, after, counters);
        }
        if self.late && self.delivered + ON_ITS_WAY >= after && self.delivered > 0 {
            self.late = false;
        }
    }

    fn take(&mut self, delivered: Delivered, after: Position, counters: &Counters) {
        let expected = self.ready.max(after) + 1;
        match delivered {
            Delivered::Foreign => count(&counters.foreign, 1),
            Delivered::Run(_, last) if last < expected => {
                self.delivered = self.delivered.max(last);
                count(&counters.repeated, 1);
            }
            Delivered::Run(first, last) if first <= expected => {
                self.delivered = self.delivered.max(last);
                self.ready = last;
            }
            Delivered::Run(position, last) => {
                tracing::debug!(position, expected, "NATS left events out; they are read from the log");
                self.delivered = self.delivered.max(last);
                count(&counters.holes, 1);
                self.hole = true;
            }
        }
    }

    /// Whether the log has to be read, because NATS left something out or does not deliver in time.
    fn must_be_helped(&mut self, after: Position, counters: &Counters) -> bool {
        let now = Instant::now();
        let overdue = *self.due.get_or_insert(now + self.grace) <= now;
        if overdue && !self.late {
            tracing::info!(after, "NATS does not deliver in time; the log is followed directly");
            count(&counters.late, 1);
            self.late = true;
            // It has to show anew that it delivers.
            self.delivered = 0;
        }
        self.hole || self.late
    }
}

/// Refuses to follow another log, or one that ends before what was already folded.
pub(crate) fn check(head: &Head, incarnation: Uuid, position: Position) -> Result<(), ProjectionError> {
    if head.incarnation != incarnation {
        return Err(ProjectionError::Refused(format!(
            "they were folded from log {incarnation}, but this is log {}",
            head.incarnation
        )));
    }
    if head.position < position {
        return Err(ProjectionError::Refused(format!(
            "they are at position {position}, but the log ends at {}: was a backup restored?",
            head.position
        )));
    }
    Ok(())
}

/// The log has no gaps: whoever sees one sees another log, or one that was tampered with.
fn whole(after: Position, events: &[Recorded]) -> Result<(), ProjectionError> {
    contiguous(after, events.iter().map(|event| event.position))
        .map_err(|hole| ProjectionError::Refused(hole.to_string()))
}
