//! Who else read data of the person, and for what purpose.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Decider,
    governance::{AuditReplay, AuditReplayEvent as E},
    registry::AnyEvent,
};
use event_store::StreamId;
use serde_json::Value;
use uuid::Uuid;

use super::{
    ReadByOthers,
    made::{YOU, by},
};
use crate::{Projections, fact::Batch, governance::GovernanceError, readable::Event};

/// What says that an audit replay was read.
const REPLAY_READ: &str = "AuditReplayRead";

/// Whether the event says that somebody else read data of the person.
pub(super) fn is_by_another(event: &Event, subject: Uuid) -> bool {
    let names = |list: &Value| {
        let mut ids = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        ids.any(|id| id == subject.to_string())
    };
    let read = matches!(event.event_type.as_str(), "AccessLogged" | REPLAY_READ);
    read && names(&event.data["subjects"]) && by(event, subject) != YOU
}

/// The reads as the person is told of them. An audit replay was opened for a purpose; why in words is the officers' to know,
/// for it may tell of others.
pub(super) async fn told(
    projections: &Projections,
    events: &[Event],
) -> Result<Vec<ReadByOthers>, GovernanceError> {
    let replays = events.iter().filter(|event| event.event_type == REPLAY_READ);
    let replays: BTreeSet<&str> = replays.map(|event| event.aggregate_id.as_str()).collect();
    let mut purposes = BTreeMap::new();
    for replay in replays {
        purposes.insert(replay, purpose(projections, replay).await?);
    }
    let told = |event: &Event| {
        let text = |name: &str| event.data[name].as_str().map(str::to_owned);
        let person = event.on_behalf_of.map(|person| person.to_string());
        let opened_for = || purposes.get(event.aggregate_id.as_str()).cloned().flatten();
        ReadByOthers {
            position: event.position,
            at: event.occurred_at,
            by: text("actor").or(person).unwrap_or_else(|| event.actor.clone()),
            route: text("route").unwrap_or_else(|| "an audit replay".to_owned()),
            resource: text("resource").unwrap_or_else(|| event.stream()),
            purpose: text("purpose").or_else(|| event.purpose.clone()).or_else(opened_for),
        }
    };
    Ok(events.iter().map(told).collect())
}

/// For what a replay was opened.
async fn purpose(projections: &Projections, replay: &str) -> Result<Option<String>, GovernanceError> {
    let store = &projections.0.store;
    let events = store.read_stream(&StreamId::new(AuditReplay::TYPE, replay), 0, None).await?;
    let batch = Batch::decode(events, store.keyring()).await?;
    Ok(batch.facts.iter().find_map(|fact| match &fact.event {
        AnyEvent::AuditReplay(E::AuditReplayOpened { purpose, .. }) => {
            Some(<&str>::from(*purpose).to_owned())
        }
        _ => None,
    }))
}
