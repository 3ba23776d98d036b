//! Events as people read them: envelope and fields side by side, personal values opened, sealed or erased. What shows
//! history (replays, reports, packages, exports) reads it through here and no other way.
//!
//! What must never be here: the decision who may read. Whoever opens personal values has put that on record before.

use std::collections::BTreeMap;

use domain::{PersonalGroup, RecordClass};
use event_store::{BoxHeader, EventStore, History, Keyring, Position, Recorded, StoreError};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::Envelope;

/// Stands where a personal value is whose key exists, and which nobody asked to open.
pub const SEALED: &str = "«sealed»";
/// Stands where a personal value was whose key is destroyed.
pub const ERASED: &str = "«erased»";
/// Stands where a value is that this reader is not given.
pub const WITHHELD: &str = "«withheld»";

/// What is to be done with personal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personal {
    /// They stay sealed.
    Sealed,
    /// They are opened. Whoever asks for that has put it on record before.
    Opened,
    /// Those about this person are opened; those about others stay sealed.
    OpenedFor(Uuid),
}

impl Personal {
    /// What stands in the place of a value about this person, if it is not to be shown.
    fn instead(self, subject: Uuid) -> Option<&'static str> {
        match self {
            Personal::Sealed => Some(SEALED),
            Personal::Opened => None,
            Personal::OpenedFor(person) => (person != subject).then_some(SEALED),
        }
    }
}

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    /// Its place in the log.
    pub position: Position,
    /// Its identity.
    pub event_id: Uuid,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The schema version.
    pub version: String,
    /// To what kind of thing.
    pub aggregate_type: String,
    /// To which one.
    pub aggregate_id: String,
    /// The version that it left.
    pub sequence: u64,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Who acted: `user:…`, `api_client:…`, `policy:…`, `scheduler:…`, `worker:…`.
    pub actor: String,
    /// The person for whom they acted, where that is another.
    pub on_behalf_of: Option<Uuid>,
    /// For what purpose.
    pub purpose: Option<String>,
    /// On what legal basis.
    pub legal_basis: Option<String>,
    /// Whose data it carries.
    pub subjects: Vec<Uuid>,
    /// The record classes of that data.
    pub record_classes: Vec<String>,
    /// The command that recorded it.
    pub command_id: Option<Uuid>,
    /// What everything that one request brought about has in common.
    pub correlation_id: Option<Uuid>,
    /// The event that caused it, where a policy reacted.
    pub causation_id: Option<Uuid>,
    /// What it was computed from, as `type:id@version`.
    pub derived_from: Vec<String>,
    /// How it was computed, as `engine@version`.
    pub transformation: Option<String>,
    /// The fields of the event.
    pub data: Value,
    /// Whether keys of its personal values were destroyed since.
    #[serde(skip)]
    pub shredded: bool,
}

impl Event {
    /// `aggregate_type/aggregate_id`.
    pub fn stream(&self) -> String {
        format!("{}/{}", self.aggregate_type, self.aggregate_id)
    }

    /// The fields by their path, such as `address.city`, in order; lists by index.
    pub fn fields(&self) -> BTreeMap<String, Value> {
        flattened(&self.data)
    }
}

/// The fields of an object by their path, such as `address.city`, in order; lists by index.
pub fn flattened(value: &Value) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    flatten("", value, &mut fields);
    fields
}

/// A text without its quotes; anything else as JSON.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// How pages of history look, on screen and on paper.
pub const STYLE: &str = "
body { font: 10.5pt/1.4 Georgia, serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem; color: #111 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid #999 }
article { break-inside: avoid; margin: 1rem 0 }
h3 { font-size: 1rem; margin: 0 } table { border-collapse: collapse; width: 100%; margin-bottom: .7rem }
th { text-align: left; font-weight: normal; color: #555; width: 14rem; vertical-align: top; padding-right: 1rem }
td { overflow-wrap: anywhere } td, th { padding-top: .1rem }
@page { margin: 2cm }";

/// Text that stays text in HTML, in attributes too.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            letter => safe.push(letter),
        }
    }
    safe
}

fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, Value>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| flatten(&below(name), value, fields)),
        Value::Array(list) if list.iter().any(|entry| entry.is_object() || entry.is_array()) => {
            list.iter().enumerate().for_each(|(n, value)| flatten(&below(&n.to_string()), value, fields));
        }
        Value::Null => {}
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            fields.insert(path.to_owned(), value.clone());
        }
    }
}

/// Reads events as people do. The keys are fetched once for all of them.
///
/// # Errors
/// When the keys cannot be read, or sealed bytes were tampered with.
pub async fn read(
    store: &EventStore,
    recorded: Vec<Recorded>,
    personal: Personal,
) -> Result<Vec<Event>, StoreError> {
    read_where(store, recorded, |about| personal.instead(about.subject)).await
}

/// Reads events; `instead` says of each group of personal values what stands in their place, if they are not to be shown.
///
/// # Errors
/// When the keys cannot be read, or sealed bytes were tampered with.
pub async fn read_where(
    store: &EventStore,
    recorded: Vec<Recorded>,
    instead: impl Fn(&BoxHeader) -> Option<&'static str>,
) -> Result<Vec<Event>, StoreError> {
    // What is archived is out of daily use, and part of history.
    let keyring = store.keyring().history();
    keyring.load_for(&recorded).await?;
    recorded.into_iter().map(|event| one(&keyring, event, &instead)).collect()
}

fn one(
    keyring: &History,
    event: Recorded,
    instead: &impl Fn(&BoxHeader) -> Option<&'static str>,
) -> Result<Event, StoreError> {
    let about = event.sealed.as_deref().map(Keyring::boxes).transpose()?.unwrap_or_default();
    let opened = keyring.open(&event)?;
    let shredded = opened.iter().any(Option::is_none);
    let read = |values: Vec<u8>| serde_json::from_slice::<Vec<Value>>(&values).unwrap_or_default();
    let instead = |about: &BoxHeader| secret(&about.class).or_else(|| instead(about));
    let groups: Groups =
        opened.into_iter().zip(&about).map(|(group, about)| Some((read(group?), instead(about)))).collect();
    let mut payload: Value = serde_json::from_str(&event.payload)
        .map_err(|_| StoreError::Unreadable(format!("the payload at position {}", event.position)))?;
    let mut data = payload.get_mut(&*event.event_type).map(Value::take).unwrap_or(payload);
    fill_or(&mut data, &groups, ERASED);
    let envelope = Envelope::read(&event.metadata, event.recorded_at);
    Ok(Event {
        position: event.position,
        event_id: event.event_id,
        event_type: event.event_type.into_owned(),
        version: event.event_version.into_owned(),
        aggregate_type: event.stream.aggregate_type.into_owned(),
        aggregate_id: event.stream.aggregate_id.to_string(),
        sequence: event.sequence,
        recorded_at: event.recorded_at,
        occurred_at: envelope.occurred_at,
        actor: envelope.actor,
        on_behalf_of: envelope.on_behalf_of,
        purpose: envelope.purpose,
        legal_basis: envelope.legal_basis,
        subjects: envelope.subjects,
        record_classes: envelope.record_classes,
        command_id: event.command_id,
        correlation_id: envelope.correlation_id,
        causation_id: envelope.causation_id,
        derived_from: envelope.derived_from,
        transformation: envelope.transformation,
        data,
        shredded,
    })
}

/// What proves who somebody is, nobody is shown, whatever they may see else.
fn secret(class: &str) -> Option<&'static str> {
    (class == RecordClass::Secret.name()).then_some(WITHHELD)
}

/// A JSON text with the values in the places that it has for them, as far as they are to be shown. Where there is none its
/// key is destroyed, or nobody asked to open any.
pub fn filled(text: &str, groups: Vec<PersonalGroup>, personal: Personal) -> Value {
    let shown = |group: PersonalGroup| {
        let values = serde_json::from_slice::<Vec<Value>>(&group.values).unwrap_or_default();
        (values, secret(group.class.name()).or_else(|| personal.instead(group.subject)))
    };
    let groups: Groups = groups.into_iter().map(|group| Some(shown(group))).collect();
    let mut value = serde_json::from_str(text).unwrap_or_default();
    let missing = if personal == Personal::Sealed { SEALED } else { ERASED };
    fill_or(&mut value, &groups, missing);
    value
}

/// The values of each group and what stands in their place, if they are not to be shown; none where the key is destroyed.
type Groups = Vec<Option<(Vec<Value>, Option<&'static str>)>>;

/// Puts what is known, or why nothing is, into the places of personal values: `{"$personal":[group,slot]}`.
fn fill_or(value: &mut Value, groups: &Groups, erased: &str) {
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key("$personal") => {
            let place = map.get("$personal").and_then(Value::as_array).cloned().unwrap_or_default();
            let index = |n: usize| place.get(n).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let group = index(0).and_then(|group| groups.get(group)).and_then(Option::as_ref);
            *value = match group.zip(index(1)) {
                Some(((values, None), slot)) => values.get(slot).cloned().unwrap_or_else(|| erased.into()),
                Some(((_, Some(instead)), _)) => (*instead).into(),
                None => erased.into(),
            };
        }
        Value::Object(map) => map.values_mut().for_each(|value| fill_or(value, groups, erased)),
        Value::Array(list) => list.iter_mut().for_each(|value| fill_or(value, groups, erased)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
