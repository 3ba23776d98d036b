//! The end of the log as this node wrote it. Those who follow the log mostly want what was recorded a moment ago, and
//! its bytes are still here: then the database need not send them back, once for each follower.
//!
//! Only what is committed is here, and only in one piece: where another node has written in between, what was before is
//! forgotten. What is not here is read from the database.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{Position, Recorded};

/// How many bytes are kept, about.
const BYTES: usize = 16 << 20;

/// What an event takes beside its texts, about.
const OVERHEAD: usize = 400;

/// The newest events, in order and without gaps.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    events: VecDeque<Arc<Recorded>>,
    bytes: usize,
}

impl Tail {
    /// Takes in what was just committed, in order.
    pub(crate) fn extend(&self, events: impl IntoIterator<Item = Recorded>) {
        let mut kept = self.kept();
        for event in events {
            if kept.events.back().is_some_and(|last| last.position + 1 != event.position) {
                kept.clear();
            }
            kept.bytes += size(&event);
            kept.events.push_back(Arc::new(event));
        }
        while kept.bytes > BYTES
            && let Some(oldest) = kept.events.pop_front()
        {
            kept.bytes -= size(&oldest);
        }
    }

    /// Forgets everything: what is here may not be what the log has.
    pub(crate) fn clear(&self) {
        self.kept().clear();
    }

    /// Up to `limit` events after a position; none where the next one is not here.
    pub(crate) fn after(&self, after: Position, limit: usize) -> Vec<Recorded> {
        let shared: Vec<Arc<Recorded>> = {
            let kept = self.kept();
            let Some(first) = kept.events.front().map(|first| first.position) else { return Vec::new() };
            let Some(skipped) = (after + 1).checked_sub(first) else { return Vec::new() };
            let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
            kept.events.iter().skip(skipped).take(limit).cloned().collect()
        };
        shared.into_iter().map(Arc::unwrap_or_clone).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Kept {
    fn clear(&mut self) {
        self.events.clear();
        self.bytes = 0;
    }
}

fn size(event: &Recorded) -> usize {
    let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    OVERHEAD + event.payload.len() + event.metadata.len() + length(&event.sealed) + length(&event.fingerprint)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::StreamId;

    fn event(position: Position, payload: &str) -> Recorded {
        Recorded {
            position,
            event_id: Uuid::from_u128(position.into()),
            stream: StreamId::new("tests.thing", "one"),
            sequence: position,
            event_type: "ThingHappened".into(),
            event_version: "1".into(),
            payload: payload.into(),
            sealed: None,
            metadata: "{}".into(),
            recorded_at: Timestamp::UNIX_EPOCH,
            command_id: None,
            command_index: 0,
            fingerprint: None,
        }
    }

    fn positions(tail: &Tail, after: Position, limit: usize) -> Vec<Position> {
        tail.after(after, limit).iter().map(|event| event.position).collect()
    }

    #[test]
    fn what_was_recorded_last_is_given_from_where_one_is() {
        let tail = Tail::default();
        assert!(tail.after(0, 9).is_empty());
        tail.extend((5..9).map(|position| event(position, "{}")));
        assert_eq!(positions(&tail, 4, 9), [5, 6, 7, 8]);
        assert_eq!(positions(&tail, 6, 1), [7]);
        assert!(tail.after(8, 9).is_empty() && tail.after(50, 9).is_empty());
        assert!(tail.after(3, 9).is_empty(), "the next one is not here");
    }

    #[test]
    fn what_lies_before_a_gap_is_forgotten() {
        let tail = Tail::default();
        tail.extend([event(1, "{}"), event(2, "{}")]);
        tail.extend([event(4, "{}")]);
        assert!(tail.after(0, 9).is_empty() && tail.after(2, 9).is_empty());
        assert_eq!(positions(&tail, 3, 9), [4]);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let tail = Tail::default();
        let large = "x".repeat(BYTES / 4);
        tail.extend((1..9).map(|position| event(position, &large)));
        assert_eq!(positions(&tail, 5, 9), [6, 7, 8]);
        assert!(tail.after(4, 9).is_empty());
    }
}
