//! Reading ahead: chunks of the log, decoded on several threads, in order.

use event_store::{EventStore, Position, Recorded, StoreError};
use futures_util::{Stream, StreamExt, stream};

use crate::{error::ProjectionError, fact::Batch};

/// The log up to a position, decoded. As many chunks are on their way as there are threads, and two more: the memory that
/// they take does not grow with the log.
pub(super) fn decoded(
    store: EventStore,
    until: Position,
    chunk: usize,
    threads: usize,
) -> impl Stream<Item = Result<Batch, ProjectionError>> {
    let keyring = store.keyring().clone();
    chunks(store, until, chunk)
        .map(move |chunk| {
            let keyring = keyring.clone();
            async move {
                let recorded = chunk?;
                keyring.load_for(&recorded).await?;
                let decode = move || Batch::decode_loaded(recorded, &keyring);
                tokio::task::spawn_blocking(decode).await.map_err(|_| StoreError::Closed)?
            }
        })
        .buffered(threads + 1)
        .map(|batch| batch.map_err(ProjectionError::from))
}

/// The log up to a position; the next chunk is read while the last one is worked on.
fn chunks(
    store: EventStore,
    until: Position,
    chunk: usize,
) -> impl Stream<Item = Result<Vec<Recorded>, StoreError>> {
    let begin = (0..until).step_by(chunk.max(1));
    let read = move |after: Position| {
        let store = store.clone();
        let limit = chunk.min((until - after) as usize);
        async move {
            let events = store.read_all(after, limit).await?;
            let positions: Vec<Position> = events.iter().map(|event| event.position).collect();
            whole(after, limit, &positions).map(|()| events)
        }
    };
    stream::iter(begin).map(read).buffered(2)
}

/// Whether these are the positions of so many events after one.
fn whole(after: Position, limit: usize, positions: &[Position]) -> Result<(), StoreError> {
    let end = after + limit as u64 + 1;
    let found = positions.iter().copied().chain([end]);
    match (after + 1..).zip(found).find(|(expected, found)| expected != found) {
        None => Ok(()),
        Some((expected, found)) => Err(StoreError::Hole { expected, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_position_that_is_missing_is_told_and_where_the_log_goes_on() {
        let hole = |positions: &[Position]| match whole(10, 4, positions) {
            Err(StoreError::Hole { expected, found }) => Some((expected, found)),
            Ok(()) | Err(_) => None,
        };
        assert_eq!(hole(&[11, 12, 13, 14]), None);
        assert_eq!(hole(&[12, 13, 14]), Some((11, 12)));
        assert_eq!(hole(&[11, 14]), Some((12, 14)));
        assert_eq!(hole(&[11, 12]), Some((13, 15)));
        assert_eq!(hole(&[]), Some((11, 15)));
    }
}
