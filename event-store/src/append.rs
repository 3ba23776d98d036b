//! What is asked of the log, and what it answers. The rules of a well-formed append stand here as well.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Unexpected, Visitor};
use uuid::Uuid;

use crate::{Position, StoreError, StreamId, integrity::IDS};

/// Everything that one command wants to record: all of it is recorded, or nothing.
#[derive(Clone, Debug)]
pub struct Append {
    /// The command's identity. A command that is already in the log is not recorded again.
    pub command_id: Uuid,
    /// A keyed hash of what the client sent, so that a reuse of `command_id` for something else is noticed.
    /// None where there is no client (policies).
    pub fingerprint: Option<[u8; 32]>,
    /// What must hold of streams, written or only read, for the decision to stand.
    pub conditions: Vec<Condition>,
    /// The events, at least one, in order. A stream without a condition is appended to wherever it stands.
    pub events: Vec<NewEvent>,
    /// The claims that these events take and free, in order.
    pub claims: Vec<Claim>,
}

/// A stream must be exactly at this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The stream.
    pub stream: StreamId,
    /// The sequence of its last event; 0: it must not exist.
    pub version: u64,
}

/// An event to be recorded.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its identity (a version 7 UUID keeps indexes tight).
    pub event_id: Uuid,
    /// The bare event name.
    pub event_type: Cow<'static, str>,
    /// The schema version as text.
    pub event_version: Cow<'static, str>,
    /// JSON text, kept byte for byte. It holds no personal data.
    pub payload: String,
    /// The personal fields, in the clear; they are sealed before anything leaves this process.
    pub personal: Vec<PersonalGroup>,
    /// JSON text: a flat object of strings, as cqrs-es requires. The log adds [`IDS`], which must not be there yet.
    pub metadata: String,
}

/// The personal fields of an event (or of a row) that share subject and class, sealed together.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonalGroup {
    /// The data subject: a random identifier.
    pub subject: Uuid,
    /// The record class, such as `identity`.
    pub class: Cow<'static, str>,
    /// What is to be sealed.
    pub plaintext: Vec<u8>,
}

impl std::fmt::Debug for PersonalGroup {
    /// Never shows the plaintext: this must be safe to log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PersonalGroup({}, {}, [personal])", self.subject, self.class)
    }
}

/// Uniqueness and capacity across streams (catalogue 0.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `by` is to hold `key` alone.
    Take {
        /// What is claimed.
        key: String,
        /// The stream that claims it.
        by: StreamId,
    },
    /// `by` is to have one of `limit` seats of `key`.
    Seat {
        /// What is claimed.
        key: String,
        /// How many streams may have a seat at the same time.
        limit: u32,
        /// The stream that claims it.
        by: StreamId,
    },
    /// `by` gives up what it has of `key`, be it the whole or a seat. Nothing happens if it has none.
    Free {
        /// What is given up.
        key: String,
        /// The stream that gives it up.
        by: StreamId,
    },
}

impl Claim {
    /// What is claimed or given up.
    pub fn key(&self) -> &str {
        match self {
            Self::Take { key, .. } | Self::Seat { key, .. } | Self::Free { key, .. } => key,
        }
    }

    /// The stream that claims it or gives it up.
    pub fn by(&self) -> &StreamId {
        match self {
            Self::Take { by, .. } | Self::Seat { by, .. } | Self::Free { by, .. } => by,
        }
    }
}

/// The append is in the log, on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position of its last event.
    pub position: Position,
    /// The position of its first event.
    pub first_position: Position,
    /// When it was recorded, to the microsecond.
    pub recorded_at: Timestamp,
    /// The versions that it left, one for each stream that it wrote.
    pub versions: Vec<(StreamId, u64)>,
    /// These very events were found in the log when a lost connection had left open whether they were recorded.
    pub repeated: bool,
}

/// What an earlier command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The command.
    pub command_id: Uuid,
    /// The keyed hash of what its client sent: another one means that the client reuses the id for something else.
    pub fingerprint: Option<[u8; 32]>,
    /// The position of its first event.
    pub first_position: Position,
    /// The position of its last event.
    pub position: Position,
    /// The identity of its first event.
    pub first_event_id: Uuid,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The versions that it left, one for each stream that it wrote.
    pub versions: Vec<(StreamId, u64)>,
}

/// Why an append is not in the log; or, for `Unavailable` alone, why that is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A stream is not at the version that a condition names.
    #[error("{stream} is at version {current}")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// The version that it was seen at.
        current: u64,
    },
    /// Another stream holds the claim, or all its seats are taken.
    #[error("the claim {key} is taken")]
    ClaimTaken {
        /// What was claimed.
        key: String,
    },
    /// The command is already in the log. Compare the fingerprint: the same means that this is the answer.
    #[error("the command {} is already in the log at position {}", .0.command_id, .0.position)]
    Repeated(Box<Outcome>),
    /// The subject's data of this class was erased; nothing more can be sealed for it.
    #[error("the data of subject {subject} in class {class} was erased")]
    SubjectErased {
        /// The data subject.
        subject: Uuid,
        /// The record class.
        class: String,
    },
    /// The append breaks a rule of this interface; it would be refused whenever it is sent.
    #[error("not a valid append: {0}")]
    Invalid(String),
    /// The database cannot be reached. The append may or may not have been recorded: send it again with the same
    /// `command_id` and the same events, and it is recorded once.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// The database refused, and nothing was recorded.
    #[error(transparent)]
    Store(StoreError),
}

/// The most events that one command may record: `command_index` is a smallint.
const EVENTS_MAX: usize = 10_000;

impl Append {
    /// Refuses what PostgreSQL would refuse only in the middle of a batch, where it would harm its neighbours.
    pub(crate) fn validate(&self) -> Result<(), AppendError> {
        let invalid = |reason: String| Err(AppendError::Invalid(reason));
        if self.events.is_empty() || self.events.len() > EVENTS_MAX {
            return invalid(format!(
                "{} events, but 1 to {EVENTS_MAX} can be recorded at once",
                self.events.len()
            ));
        }
        for event in &self.events {
            let names =
                stream_texts(&event.stream).into_iter().chain([&*event.event_type, &event.event_version]);
            // The leaf of the event has a line for each of them.
            if let Some(name) = names.into_iter().find(|name| name.contains('\n')) {
                return invalid(format!("{name:?} cannot be a name"));
            }
            if serde_json::from_str::<IgnoredAny>(&event.payload).is_err() {
                return invalid(format!("the payload of {} is not JSON", event.event_type));
            }
            if serde_json::from_str::<FlatStrings>(&event.metadata).is_err() {
                return invalid(format!(
                    "the metadata of {} is not a flat object of strings without {IDS}",
                    event.event_type
                ));
            }
            for group in &event.personal {
                if group.class.len() > usize::from(u8::MAX) || group.plaintext.len() > (u32::MAX / 2) as usize
                {
                    return invalid(format!("a personal group of {} is too large", event.event_type));
                }
            }
        }
        let texts = self.events.iter().flat_map(|event| {
            let classes = event.personal.iter().map(|group| &*group.class);
            [&*event.event_type, &event.event_version]
                .into_iter()
                .chain(stream_texts(&event.stream))
                .chain(classes)
        });
        let conditions = self.conditions.iter().flat_map(|condition| stream_texts(&condition.stream));
        let claims =
            self.claims.iter().flat_map(|claim| [claim.key()].into_iter().chain(stream_texts(claim.by())));
        match texts.chain(conditions).chain(claims).find(|text| text.is_empty() || text.contains('\0')) {
            Some(text) => invalid(format!("{text:?} cannot be a name")),
            None => Ok(()),
        }
    }
}

fn stream_texts(stream: &StreamId) -> [&str; 2] {
    [&stream.aggregate_type, &stream.aggregate_id]
}

/// Deserialises from a flat JSON object of strings and keeps nothing of it.
struct FlatStrings;

impl<'de> Deserialize<'de> for FlatStrings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flat;
        impl<'de> Visitor<'de> for Flat {
            type Value = FlatStrings;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a flat object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FlatStrings, A::Error> {
                while map.next_entry::<Text<true>, Text<false>>()?.is_some() {}
                Ok(FlatStrings)
            }
        }
        deserializer.deserialize_map(Flat)
    }
}

/// A text of which nothing is kept; as the name of a member it is not the one that the log adds.
struct Text<const NAME: bool>;

impl<'de, const NAME: bool> Deserialize<'de> for Text<NAME> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<const NAME: bool>;
        impl<const NAME: bool> Visitor<'_> for Read<NAME> {
            type Value = Text<NAME>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string, and as a name not that of the ids")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<NAME>, E> {
                if NAME && text == IDS {
                    return Err(E::invalid_value(Unexpected::Str(text), &self));
                }
                Ok(Text)
            }
        }
        deserializer.deserialize_str(Read)
    }
}
