//! Where the follower's events come from.

use std::{sync::Arc, time::Duration};

use event_store::{EventStore, Position, Recorded};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{Inner, error::ProjectionError};

/// How often the log is looked at when nothing was heard of it.
const POLL: Duration = Duration::from_millis(100);

/// The log, in order and without gaps.
pub(crate) struct Source {
    log: LogSource,
}

impl Source {
    pub(crate) fn open(inner: &Arc<Inner>, incarnation: Uuid, _after: Position) -> Self {
        Source { log: LogSource::new(inner.store.clone(), incarnation) }
    }

    /// The events after a position, at most so many; waits until there is one.
    pub(crate) async fn next(
        &mut self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ProjectionError> {
        self.log.next(after, limit).await
    }

    /// Everything up to here is committed.
    pub(crate) async fn reached(&mut self, _position: Position) {}
}

/// The log itself.
pub(crate) struct LogSource {
    store: EventStore,
    head: watch::Receiver<Position>,
    incarnation: Uuid,
}

impl LogSource {
    pub(crate) fn new(store: EventStore, incarnation: Uuid) -> Self {
        LogSource { head: store.subscribe_head(), store, incarnation }
    }

    pub(crate) async fn next(
        &mut self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ProjectionError> {
        loop {
            // Seen before reading: what is recorded meanwhile wakes us again.
            let hint = *self.head.borrow_and_update();
            if hint > after {
                let events = self.store.read_all(after, limit).await?;
                if !events.is_empty() {
                    return contiguous(after, events);
                }
            }
            // Heard of nothing: hints may be lost, and the log may have been put back.
            let head = self.store.head().await?;
            check(&head, self.incarnation, after)?;
            if head.position > after {
                return contiguous(after, self.store.read_all(after, limit).await?);
            }
            let _ = tokio::time::timeout(POLL, self.head.wait_for(|head| *head > after)).await;
        }
    }
}

/// Refuses to follow another log, or one that ends before what was already folded.
pub(crate) fn check(
    head: &event_store::Head,
    incarnation: Uuid,
    position: Position,
) -> Result<(), ProjectionError> {
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
fn contiguous(after: Position, events: Vec<Recorded>) -> Result<Vec<Recorded>, ProjectionError> {
    match (after + 1..).zip(&events).find(|(expected, event)| event.position != *expected) {
        None => Ok(events),
        Some((expected, event)) => Err(ProjectionError::Refused(format!(
            "position {expected} is missing in the log: it goes on at {}",
            event.position
        ))),
    }
}
