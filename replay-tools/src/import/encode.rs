//! A foreign event as this log records it: read by the domain, at the newest version, its personal values taken out.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Claim, Decider, Event, OpeningScope, RecordClass, SealingScope,
    registry::{Visitor, decode, every_aggregate},
};
use event_store::{Claim as StoredClaim, NewEvent, PersonalGroup, StreamId, integrity::IDS};
use strum::VariantNames;
use uuid::Uuid;

use super::source::Incoming;

/// An event to be recorded, and what it takes and frees.
pub(super) struct Encoded {
    pub(super) event: NewEvent,
    pub(super) claims: Vec<StoredClaim>,
}

/// Reads an event and writes it as a command would.
///
/// # Errors
/// The reason why it cannot be read. It never shows a value.
pub(super) fn encode(incoming: &Incoming) -> Result<Encoded, String> {
    let mut visitor = Encode { incoming, encoded: None };
    every_aggregate(&mut visitor);
    let unknown = || Err(format!("unknown aggregate type `{}`", incoming.stream.aggregate_type));
    visitor.encoded.unwrap_or_else(unknown)
}

struct Encode<'a> {
    incoming: &'a Incoming,
    encoded: Option<Result<Encoded, String>>,
}

impl Visitor for Encode<'_> {
    fn aggregate<D: Decider>(&mut self) {
        if self.incoming.stream.aggregate_type == D::TYPE {
            self.encoded = Some(encode_as::<D>(self.incoming));
        }
    }
}

fn encode_as<D: Decider>(incoming: &Incoming) -> Result<Encoded, String> {
    let Incoming { stream, event_type, event_version, payload, .. } = incoming;
    let id: Uuid = stream.aggregate_id.parse().map_err(|_| "the aggregate's id is not a UUID".to_owned())?;
    if !<D::Event as VariantNames>::VARIANTS.contains(&event_type.as_str()) {
        return Err(format!("unknown event type `{event_type}` of {}", D::TYPE));
    }
    let event =
        OpeningScope::with(incoming.personal.clone(), || decode::<D>(event_type, event_version, payload))
            .map_err(|error| error.to_string())?;
    if event.name() != event_type {
        return Err(format!("the payload is not that of {event_type}"));
    }
    let (payload, groups) =
        SealingScope::to_json(&event).map_err(|_| "a personal value cannot be sealed".to_owned())?;
    let subjects = groups.iter().map(|group| group.subject.to_string());
    let classes = groups.iter().map(|group| RecordClass::name(group.class).to_owned());
    let metadata = envelope(incoming, subjects, classes);
    let claims = D::claims(id, &event).into_iter().map(|claim| claimed(claim, stream)).collect();
    let event = NewEvent {
        stream: StreamId::new(D::TYPE, stream.aggregate_id.clone()),
        event_id: incoming.event_id,
        event_type: event.name().into(),
        event_version: D::Event::version(event_type).to_string().into(),
        payload,
        personal: groups
            .into_iter()
            .map(|group| PersonalGroup {
                subject: group.subject,
                class: RecordClass::name(group.class).into(),
                plaintext: group.values,
            })
            .collect(),
        metadata,
    };
    Ok(Encoded { event, claims })
}

fn claimed(claim: Claim, by: &StreamId) -> StoredClaim {
    let by = by.clone();
    match claim {
        Claim::Take(key) => StoredClaim::Take { key, by },
        Claim::Seat { key, limit } => StoredClaim::Seat { key, limit, by },
        Claim::Free(key) => StoredClaim::Free { key, by },
    }
}

/// A value of an envelope, which is a text.
pub(super) fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The envelope as it was, flat, with where and when the event was first recorded.
fn envelope(
    incoming: &Incoming,
    subjects: impl Iterator<Item = String>,
    classes: impl Iterator<Item = String>,
) -> String {
    let mut envelope: BTreeMap<String, String> =
        incoming.metadata.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    // Of the log that it comes from; this one gives it its own.
    envelope.remove(IDS);
    let mut state = |name: &str, value: String| _ = envelope.entry(name.to_owned()).or_insert(value);
    state("actor", "worker:import".into());
    state("imported_from", incoming.source.clone());
    if let Some(at) = incoming.at {
        state("occurred_at", at.to_string());
        state("originally_recorded_at", at.to_string());
    }
    let mut add = |name: &str, more: BTreeSet<String>| {
        let stated = envelope.get(name).map(String::as_str).unwrap_or_default();
        let words: BTreeSet<String> = stated.split_whitespace().map(str::to_owned).chain(more).collect();
        if !words.is_empty() {
            envelope.insert(name.to_owned(), words.into_iter().collect::<Vec<_>>().join(" "));
        }
    };
    add("subjects", subjects.collect());
    add("record_classes", classes.collect());
    serde_json::json!(envelope).to_string()
}
