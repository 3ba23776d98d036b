//! Events as people read them: envelope and fields side by side, personal values opened, sealed or erased.

use std::collections::BTreeMap;

use event_store::{EventStore, Keyring, Position, Recorded, StoreError};
use jiff::Timestamp;
use projections::Envelope;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// Stands where a personal value is whose key exists, and which nobody asked to open.
pub(crate) const SEALED: &str = "«sealed»";
/// Stands where a personal value was whose key is destroyed.
pub(crate) const ERASED: &str = "«erased»";

/// What is to be done with personal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Personal {
    /// They stay sealed.
    Sealed,
    /// They are opened. Whoever asks for that has put it on record before.
    Opened,
    /// Those about this person are opened; those about others stay sealed.
    OpenedFor(Uuid),
}

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Event {
    pub(crate) position: Position,
    pub(crate) event_id: Uuid,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) version: String,
    pub(crate) aggregate_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) sequence: u64,
    pub(crate) recorded_at: Timestamp,
    pub(crate) occurred_at: Timestamp,
    pub(crate) actor: String,
    pub(crate) on_behalf_of: Option<Uuid>,
    pub(crate) purpose: Option<String>,
    pub(crate) legal_basis: Option<String>,
    pub(crate) subjects: Vec<Uuid>,
    pub(crate) record_classes: Vec<String>,
    pub(crate) command_id: Option<Uuid>,
    pub(crate) correlation_id: Option<Uuid>,
    pub(crate) causation_id: Option<Uuid>,
    pub(crate) derived_from: Vec<String>,
    pub(crate) transformation: Option<String>,
    /// The fields of the event.
    pub(crate) data: Value,
}

impl Event {
    /// `aggregate_type/aggregate_id`.
    pub(crate) fn stream(&self) -> String {
        format!("{}/{}", self.aggregate_type, self.aggregate_id)
    }

    /// The fields by their path, such as `address.city`, in order; lists by index.
    pub(crate) fn fields(&self) -> BTreeMap<String, Value> {
        let mut fields = BTreeMap::new();
        flatten("", &self.data, &mut fields);
        fields
    }
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
pub(crate) async fn read(
    store: &EventStore,
    recorded: Vec<Recorded>,
    personal: Personal,
) -> Result<Vec<Event>, StoreError> {
    store.keyring().load_for(&recorded).await?;
    recorded.into_iter().map(|event| one(store.keyring(), event, personal)).collect()
}

fn one(keyring: &Keyring, event: Recorded, personal: Personal) -> Result<Event, StoreError> {
    let about = event.sealed.as_deref().map(Keyring::boxes).transpose()?.unwrap_or_default();
    let shown = about.iter().map(|group| match personal {
        Personal::Sealed => false,
        Personal::Opened => true,
        Personal::OpenedFor(person) => person == group.subject,
    });
    let read = |values: Vec<u8>| serde_json::from_slice::<Vec<Value>>(&values).unwrap_or_default();
    let groups: Groups = keyring
        .open(&event)?
        .into_iter()
        .zip(shown)
        .map(|(group, shown)| Some((read(group?), shown)))
        .collect();
    let mut payload: Value = serde_json::from_str(&event.payload)
        .map_err(|_| StoreError::Unreadable(format!("the payload at position {}", event.position)))?;
    let mut data = payload.get_mut(&*event.event_type).map(Value::take).unwrap_or(payload);
    fill(&mut data, &groups);
    let envelope = Envelope::read(&event.metadata, event.recorded_at);
    Ok(Event {
        position: event.position,
        event_id: event.event_id,
        event_type: event.event_type.into_owned(),
        version: event.event_version.into_owned(),
        aggregate_type: event.stream.aggregate_type.into_owned(),
        aggregate_id: event.stream.aggregate_id,
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
    })
}

/// The values of each group and whether they may be shown; none where the key is destroyed.
type Groups = Vec<Option<(Vec<Value>, bool)>>;

/// Puts what is known, or why nothing is, into the places of personal values: `{"$personal":[group,slot]}`.
fn fill(value: &mut Value, groups: &Groups) {
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key("$personal") => {
            let place = map.get("$personal").and_then(Value::as_array).cloned().unwrap_or_default();
            let index = |n: usize| place.get(n).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let group = index(0).and_then(|group| groups.get(group)).and_then(Option::as_ref);
            *value = match group.zip(index(1)) {
                Some(((values, true), slot)) => values.get(slot).cloned().unwrap_or_else(|| ERASED.into()),
                Some(((_, false), _)) => SEALED.into(),
                None => ERASED.into(),
            };
        }
        Value::Object(map) => map.values_mut().for_each(|value| fill(value, groups)),
        Value::Array(list) => list.iter_mut().for_each(|value| fill(value, groups)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
