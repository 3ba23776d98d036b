//! Reading ahead: chunks of the log, decoded on several threads, in order.

use event_store::{EventStore, Position, Recorded, StoreError, contiguous};
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
            // What comes after the chunk stands for all that does.
            let end = after + limit as u64 + 1;
            contiguous(after, events.iter().map(|event| event.position).chain([end]))?;
            Ok(events)
        }
    };
    stream::iter(begin).map(read).buffered(2)
}
