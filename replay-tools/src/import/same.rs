//! Whether an event that is in the log already is the one that comes in: an identity that is known must not stand for
//! something else.
//!
//! Both are read by the domain and written as this log records them, so that neither an older version nor another order of
//! fields is a difference. Personal values are compared where both sides have them: the keys may be gone, and an export may
//! have left them sealed.

use std::collections::BTreeMap;

use event_store::{Keyring, Recorded, integrity::IDS};
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    encode::{encode, text},
    source::Incoming,
};

/// What an import puts into the envelope by itself, whatever the other log said.
const OWN: [&str; 5] = ["imported_from", ORIGINALLY, "subjects", "record_classes", IDS];
/// What it puts there only where the other log did not say.
const COMPLETED: [&str; 2] = ["actor", "occurred_at"];
const ORIGINALLY: &str = "originally_recorded_at";

/// In what an event that comes in differs from the one of the same identity that is stored, whose personal groups were
/// opened as far as there are keys.
///
/// # Errors
/// The reason why they cannot be compared. It never shows a value.
pub(super) fn difference(
    incoming: &Incoming,
    stored: &Recorded,
    opened: Vec<Option<Vec<u8>>>,
) -> Result<Option<&'static str>, String> {
    let there = there(stored, opened)?;
    if incoming.event_type != there.event_type {
        return Ok(Some("type"));
    }
    if in_the_clear(incoming)? != in_the_clear(&there)? {
        return Ok(Some("payload"));
    }
    if differ_in_personal_values(incoming, &there)? {
        return Ok(Some("personal value"));
    }
    if differ_in_metadata(&incoming.metadata, &there.metadata) {
        return Ok(Some("metadata"));
    }
    Ok(differ_in_time(incoming, &there).then_some("time"))
}

/// A stored event as if it came in.
fn there(stored: &Recorded, opened: Vec<Option<Vec<u8>>>) -> Result<Incoming, String> {
    let unreadable = |_| format!("the event at position {} cannot be read", stored.position);
    let about =
        stored.sealed.as_deref().map(Keyring::boxes).transpose().map_err(|error| error.to_string())?;
    let group = |(header, values): (event_store::BoxHeader, Option<Vec<u8>>)| Some((header.subject, values?));
    Ok(Incoming {
        stream: stored.stream.clone(),
        sequence: stored.sequence,
        event_id: stored.event_id,
        event_type: stored.event_type.to_string(),
        event_version: stored.event_version.to_string(),
        payload: stored.payload.to_string(),
        metadata: serde_json::from_str(&stored.metadata).map_err(unreadable)?,
        personal: about.unwrap_or_default().into_iter().zip(opened).map(group).collect(),
        at: Some(stored.recorded_at),
        source: String::new(),
    })
}

/// The payload without anything personal.
fn in_the_clear(event: &Incoming) -> Result<Value, String> {
    let encoded = encode(&Incoming { personal: Vec::new(), ..event.clone() })?;
    serde_json::from_str(&encoded.event.payload).map_err(|error| error.to_string())
}

fn differ_in_personal_values(incoming: &Incoming, there: &Incoming) -> Result<bool, String> {
    let (theirs, ours) = (groups(incoming)?, groups(there)?);
    let all_known = [incoming, there].iter().all(|event| event.personal.iter().all(Option::is_some));
    Ok(match all_known && theirs.len() == ours.len() {
        true => theirs != ours,
        false => theirs.iter().any(|(whose, values)| ours.get(whose).is_some_and(|ours| ours != values)),
    })
}

/// The values that are known, by person and record class.
fn groups(event: &Incoming) -> Result<BTreeMap<(Uuid, String), Vec<u8>>, String> {
    let groups = encode(event)?.event.personal.into_iter();
    Ok(groups.map(|group| ((group.subject, group.class.into_owned()), group.plaintext)).collect())
}

fn differ_in_metadata(theirs: &Map<String, Value>, ours: &Map<String, Value>) -> bool {
    let is_own = |name: &str| OWN.contains(&name);
    let is_said = |name: &str| theirs.contains_key(name) || is_own(name) || COMPLETED.contains(&name);
    theirs.iter().any(|(name, value)| !is_own(name) && ours.get(name).map(text) != Some(text(value)))
        || ours.keys().any(|name| !is_said(name))
}

/// Whether the other log says another time than when the event was imported from it; of other logs nothing is known.
fn differ_in_time(incoming: &Incoming, there: &Incoming) -> bool {
    let said = |name: &str| there.metadata.get(name).and_then(Value::as_str);
    let is_of_it = said("imported_from") == Some(incoming.source.as_str());
    let then: Option<Timestamp> = said(ORIGINALLY).and_then(|at| at.parse().ok());
    let known = is_of_it && !incoming.metadata.contains_key(ORIGINALLY);
    known && incoming.at.is_some_and(|at| then.is_some_and(|then| then != at))
}
