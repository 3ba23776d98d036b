//! Facts: events of the log as read models see them, decoded, with their personal values opened.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use domain::{OpeningScope, registry::AnyEvent};
use event_store::{EventStore, Keyring, Position, Recorded, StoreError};
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::table::{EVERY_AGGREGATE, Shape};

/// One event, decoded once and shown to every read model that wants events of its aggregate type.
#[derive(Debug)]
pub struct Fact {
    /// Its place in the log.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Its identity.
    pub event_id: Uuid,
    /// The aggregate that it happened to.
    pub id: Uuid,
    /// Its place in its stream.
    pub sequence: u64,
    /// What happened.
    pub event: AnyEvent,
    /// The command that caused it, where one did.
    pub command_id: Option<Uuid>,
    metadata: Arc<str>,
    envelope: OnceLock<Envelope>,
}

impl Fact {
    /// Who, when, why and on what basis. Read from the metadata when it is first asked for.
    pub fn envelope(&self) -> &Envelope {
        self.envelope.get_or_init(|| Envelope::read(&self.metadata, self.recorded_at))
    }

    /// Whose data the event carries. Cheaper than the whole envelope.
    pub fn subjects(&self) -> Vec<Uuid> {
        match self.envelope.get() {
            Some(envelope) => envelope.subjects.clone(),
            None => {
                let stored: StoredSubjects<'_> = serde_json::from_str(&self.metadata).unwrap_or_default();
                ids(&stored.subjects)
            }
        }
    }

    /// When the thing happened: what the envelope says, or when it was recorded.
    pub fn occurred_at(&self) -> Timestamp {
        self.envelope().occurred_at
    }

    /// A fact that no log holds, for tests of folds.
    pub fn imagined(position: Position, recorded_at: Timestamp, id: Uuid, event: AnyEvent) -> Self {
        Fact {
            position,
            recorded_at,
            event_id: Uuid::from_u128(position.into()),
            id,
            sequence: position,
            event,
            command_id: None,
            metadata: "".into(),
            envelope: OnceLock::new(),
        }
    }

    /// The same fact with this envelope.
    pub fn with_envelope(mut self, envelope: Envelope) -> Self {
        self.envelope = OnceLock::from(envelope);
        self
    }
}

/// The envelope of catalogue 0.3. What an event does not state is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Who acted: `user:…`, `api_client:…`, `policy:…`, `scheduler:…`, `worker:…`.
    pub actor: String,
    /// For whom, where it is another.
    pub on_behalf_of: Option<Uuid>,
    /// The session of the actor.
    pub session: Option<String>,
    /// When the thing happened.
    pub occurred_at: Timestamp,
    /// Whose data the event carries.
    pub subjects: Vec<Uuid>,
    /// The record classes of that data.
    pub record_classes: Vec<String>,
    /// What it belongs to.
    pub correlation_id: Option<Uuid>,
    /// The event or command that caused it.
    pub causation_id: Option<Uuid>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
    /// For what purpose.
    pub purpose: Option<String>,
    /// On what legal basis.
    pub legal_basis: Option<String>,
    /// What it was computed from: `type:id@version`.
    pub derived_from: Vec<String>,
    /// How it was computed.
    pub transformation: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stored<'a> {
    #[serde(borrow)]
    actor: Cow<'a, str>,
    #[serde(borrow)]
    on_behalf_of: Option<Cow<'a, str>>,
    #[serde(borrow)]
    session: Option<Cow<'a, str>>,
    #[serde(borrow)]
    occurred_at: Cow<'a, str>,
    #[serde(borrow)]
    subjects: Cow<'a, str>,
    #[serde(borrow)]
    record_classes: Cow<'a, str>,
    #[serde(borrow)]
    correlation_id: Cow<'a, str>,
    #[serde(borrow)]
    causation_id: Cow<'a, str>,
    #[serde(borrow)]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    purpose: Option<Cow<'a, str>>,
    #[serde(borrow)]
    legal_basis: Option<Cow<'a, str>>,
    #[serde(borrow)]
    derived_from: Cow<'a, str>,
    #[serde(borrow)]
    transformation: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredSubjects<'a> {
    #[serde(borrow)]
    subjects: Cow<'a, str>,
}

fn ids(text: &str) -> Vec<Uuid> {
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// The id of the trace that the event at a position belongs to, for the logs: none where it came of no request, or cannot be
/// read now.
pub(crate) async fn trace_of(store: &EventStore, position: Position) -> Option<String> {
    let recorded = store.read_at(&[position]).await.ok()?.pop()?;
    let envelope = Envelope::read(&recorded.metadata, recorded.recorded_at);
    Some(envelope.traceparent?.split('-').nth(1)?.to_owned())
}

impl Envelope {
    /// Reads leniently: what is not there or not readable is empty, so that no envelope makes history unreadable.
    pub fn read(metadata: &str, recorded_at: Timestamp) -> Self {
        let stored: Stored<'_> = serde_json::from_str(metadata).unwrap_or_default();
        let text = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Envelope {
            actor: stored.actor.into_owned(),
            on_behalf_of: stored
                .on_behalf_of
                .and_then(|person| person.trim_start_matches("user:").parse().ok()),
            session: text(stored.session),
            occurred_at: stored.occurred_at.parse().unwrap_or(recorded_at),
            subjects: ids(&stored.subjects),
            record_classes: words(&stored.record_classes),
            correlation_id: stored.correlation_id.parse().ok(),
            causation_id: stored.causation_id.parse().ok(),
            traceparent: text(stored.traceparent),
            purpose: text(stored.purpose),
            legal_basis: text(stored.legal_basis),
            derived_from: words(&stored.derived_from),
            transformation: text(stored.transformation),
        }
    }
}

/// An event that this program cannot read: it stops the read models that want events of its type, and no other.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// Its place in the log.
    pub position: Position,
    /// The aggregate type.
    pub aggregate_type: String,
    /// What is wrong with it. It never shows a personal value.
    pub reason: String,
}

/// Some events of the log in order, without a gap.
#[derive(Debug, Default)]
pub struct Batch {
    /// Those that could be read.
    pub facts: Vec<Fact>,
    /// Those that could not.
    pub unreadable: Vec<Unreadable>,
    /// The position before the first; where whoever folds it must stand.
    pub after: Position,
    /// The position of the last.
    pub last: Position,
    /// Where the facts of each aggregate type are.
    types: HashMap<&'static str, Vec<u32>>,
}

/// A part of a batch: the events after one position, up to another.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    batch: &'a Batch,
    /// The position before the first event.
    pub after: Position,
    /// The position of the last.
    pub last: Position,
}

impl<'a> Span<'a> {
    /// A part of it.
    pub fn part(self, after: Position, last: Position) -> Span<'a> {
        Span { after, last, ..self }
    }

    /// The facts that a read model wants, in order.
    pub fn facts(&self, shape: &Shape, skips: &BTreeSet<Position>) -> Vec<&'a Fact> {
        let mut indexes: Vec<u32> = match shape.fed_by {
            EVERY_AGGREGATE => (0..self.batch.facts.len() as u32).collect(),
            types => types.iter().filter_map(|name| self.batch.types.get(name)).flatten().copied().collect(),
        };
        if shape.fed_by.len() > 1 {
            indexes.sort_unstable();
        }
        let facts = indexes.into_iter().map(|index| &self.batch.facts[index as usize]);
        facts
            .filter(|fact| fact.position > self.after && fact.position <= self.last)
            .filter(|fact| skips.is_empty() || !skips.contains(&fact.position))
            .collect()
    }

    /// The first event that a read model wants and this program cannot read.
    pub fn unreadable(&self, shape: &Shape, skips: &BTreeSet<Position>) -> Option<&'a Unreadable> {
        self.batch.unreadable.iter().find(|event| {
            event.position > self.after
                && event.position <= self.last
                && shape.wants(&event.aggregate_type)
                && !skips.contains(&event.position)
        })
    }
}

impl Batch {
    /// The facts up to their last position.
    pub fn of(facts: Vec<Fact>, after: Position) -> Batch {
        let mut batch =
            Batch { after, last: facts.last().map_or(after, |fact| fact.position), ..Batch::default() };
        for fact in facts {
            batch.push(fact);
        }
        batch
    }

    fn push(&mut self, fact: Fact) {
        let index = self.facts.len() as u32;
        self.types.entry(fact.event.aggregate_type()).or_default().push(index);
        self.facts.push(fact);
    }

    /// The events after one position, up to another.
    pub fn span(&self, after: Position, last: Position) -> Span<'_> {
        Span { batch: self, after, last }
    }

    /// All events.
    pub fn whole(&self) -> Span<'_> {
        self.span(self.after, self.last)
    }

    /// Decodes recorded events. The keys are loaded once for all of them.
    ///
    /// # Errors
    /// When the keys cannot be read, or sealed bytes were tampered with.
    pub async fn decode(recorded: Vec<Recorded>, keyring: &Keyring) -> Result<Batch, StoreError> {
        keyring.load_for(&recorded).await?;
        Self::decode_loaded(recorded, keyring)
    }

    /// Decodes recorded events whose keys are loaded; blocks the thread for as long as that takes.
    pub(crate) fn decode_loaded(recorded: Vec<Recorded>, keyring: &Keyring) -> Result<Batch, StoreError> {
        let after = recorded.first().map_or(0, |first| first.position - 1);
        let last = recorded.last().map_or(0, |last| last.position);
        let mut batch = Batch { facts: Vec::with_capacity(recorded.len()), after, last, ..Batch::default() };
        for event in recorded {
            let position = event.position;
            let aggregate_type = event.stream.aggregate_type.clone();
            match fact(event, keyring)? {
                Ok(fact) => batch.push(fact),
                Err(reason) => batch.unreadable.push(Unreadable {
                    position,
                    aggregate_type: aggregate_type.into_owned(),
                    reason,
                }),
            }
        }
        Ok(batch)
    }
}

fn fact(event: Recorded, keyring: &Keyring) -> Result<Result<Fact, String>, StoreError> {
    let Ok(id) = event.stream.aggregate_id.parse() else {
        return Ok(Err("the aggregate's id is not a UUID".into()));
    };
    let decode = || {
        AnyEvent::decode(
            &event.stream.aggregate_type,
            &event.event_type,
            &event.event_version,
            &event.payload,
        )
    };
    let decoded = match &event.sealed {
        None => decode(),
        Some(sealed) => {
            let groups = with_subjects(sealed, keyring.open(&event)?)?;
            OpeningScope::with(groups, decode)
        }
    };
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(Ok(Fact {
        position: event.position,
        recorded_at: event.recorded_at,
        event_id: event.event_id,
        id,
        sequence: event.sequence,
        event: decoded,
        command_id: event.command_id,
        metadata: event.metadata,
        envelope: OnceLock::new(),
    }))
}

/// The personal groups of an event or row: the subject and the JSON array of values; none where the key is gone.
pub type Opened = Vec<Option<(Uuid, Vec<u8>)>>;

/// Opened groups together with whom they are about, as an [`OpeningScope`] wants them.
pub(crate) fn with_subjects(sealed: &[u8], opened: Vec<Option<Vec<u8>>>) -> Result<Opened, StoreError> {
    let boxes = Keyring::boxes(sealed)?;
    Ok(boxes.iter().zip(opened).map(|(header, values)| Some((header.subject, values?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_read_leniently() {
        let at = Timestamp::from_second(7).unwrap();
        let envelope = Envelope::read("{\"actor\":\"user:x\",\"subjects\":\"no-id\",\"more\":\"?\"}", at);
        assert_eq!(envelope, Envelope { actor: "user:x".into(), occurred_at: at, ..Envelope::default() });
        assert_eq!(Envelope::read("[]", at), Envelope { occurred_at: at, ..Envelope::default() });
    }

    #[test]
    fn the_person_acted_for_is_read_as_commands_write_it() {
        let text = format!("{{\"on_behalf_of\":\"user:{}\"}}", Uuid::from_u128(1));
        let envelope = Envelope::read(&text, Timestamp::UNIX_EPOCH);
        assert_eq!(envelope.on_behalf_of, Some(Uuid::from_u128(1)));
    }

    #[test]
    fn lists_in_the_envelope_are_separated_by_spaces() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let text = format!("{{\"subjects\":\"{a} {b}\",\"record_classes\":\"identity profile\"}}");
        let envelope = Envelope::read(&text, Timestamp::UNIX_EPOCH);
        assert_eq!((envelope.subjects, envelope.record_classes.len()), (vec![a, b], 2));
    }
}
