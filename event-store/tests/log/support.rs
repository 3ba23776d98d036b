//! What the tests of the log have in common: short ways to say what is appended.

use std::time::Duration;

use event_store::{
    Append, AppendError, Claim, Condition, EventStore, NewEvent, PersonalGroup, Recorded, StreamId,
};
use uuid::Uuid;

pub(crate) fn stream(id: &str) -> StreamId {
    StreamId::new("tests.thing", id)
}

pub(crate) fn event(stream: &StreamId) -> NewEvent {
    NewEvent {
        stream: stream.clone(),
        event_id: Uuid::now_v7(),
        event_type: "ThingHappened".into(),
        event_version: "1".into(),
        payload: r#"{"ThingHappened": {"b":1,  "a":2}}"#.into(),
        personal: Vec::new(),
        metadata: r#"{"actor":"user:1"}"#.into(),
    }
}

pub(crate) fn personal(stream: &StreamId, subject: Uuid, class: &'static str, text: &str) -> NewEvent {
    let group = PersonalGroup { subject, class: class.into(), plaintext: text.into() };
    NewEvent { personal: vec![group], ..event(stream) }
}

/// One event on a stream that must be at `version`.
pub(crate) fn at(stream: &StreamId, version: u64) -> Append {
    appending(vec![event(stream)]).with(Condition { stream: stream.clone(), version })
}

pub(crate) fn appending(events: Vec<NewEvent>) -> Append {
    Append { command_id: Uuid::new_v4(), fingerprint: None, conditions: vec![], events, claims: vec![] }
}

pub(crate) trait With<T> {
    fn with(self, part: T) -> Self;
}

impl With<Condition> for Append {
    fn with(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }
}

impl With<Claim> for Append {
    fn with(mut self, claim: Claim) -> Self {
        self.claims.push(claim);
        self
    }
}

pub(crate) fn take(key: &str, by: &StreamId) -> Claim {
    Claim::Take { key: key.into(), by: by.clone() }
}

pub(crate) fn free(key: &str, by: &StreamId) -> Claim {
    Claim::Free { key: key.into(), by: by.clone() }
}

pub(crate) fn seat(key: &str, limit: u32, by: &StreamId) -> Claim {
    Claim::Seat { key: key.into(), limit, by: by.clone() }
}

pub(crate) fn is_conflict<T: std::fmt::Debug>(result: &Result<T, AppendError>, at: u64) -> bool {
    matches!(result, Err(AppendError::Conflict { current, .. }) if *current == at)
}

pub(crate) fn is_taken<T: std::fmt::Debug>(result: &Result<T, AppendError>, claimed: &str) -> bool {
    matches!(result, Err(AppendError::ClaimTaken { key }) if key == claimed)
}

/// The whole log, which must have no gaps.
pub(crate) async fn whole_log(store: &EventStore) -> Vec<Recorded> {
    let mut log: Vec<Recorded> = Vec::new();
    loop {
        let events = store.read_all(log.len() as u64, 5000).await.unwrap();
        if events.is_empty() {
            break;
        }
        log.extend(events);
    }
    for (index, event) in log.iter().enumerate() {
        assert_eq!(event.position, index as u64 + 1, "positions have no gaps");
    }
    for pair in log.windows(2) {
        assert!(pair[0].recorded_at <= pair[1].recorded_at, "time never goes back along the log");
    }
    assert_eq!(store.head().await.unwrap().position, log.len() as u64);
    log
}

/// Until a condition holds, for twenty seconds at most.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it happens");
}
