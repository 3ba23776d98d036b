//! The circumstances of a command: who asks, in which context, caused by what.

use domain::Actor;
use event_store::Condition;
use jiff::Timestamp;
use uuid::Uuid;

/// At which versions of its stream a command is taken (`If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// At any, as long as the stream has begun.
    Any,
    /// At one of these; where there is none of them, at no version.
    OneOf(Vec<u64>),
}

impl Expected {
    /// Whether a stream at this version is one that is expected; at 0 it has not begun.
    pub fn admits(&self, version: u64) -> bool {
        match self {
            Expected::Any => version > 0,
            Expected::OneOf(versions) => versions.contains(&version),
        }
    }
}

/// Everything that a command brings along besides its fields.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub actor: Actor,
    /// The person whose the stream is by its id, where the edge has made the id of the account of whoever asks: nobody else's
    /// stream can have it, so that they may be told whether it has begun.
    pub owner: Option<Uuid>,
    /// The command's identity: a repeat of it is answered with the first outcome.
    pub command_id: Uuid,
    /// Whether this id may have been sent before: a client's idempotency key, or an id derived from a causing event.
    pub repeatable: bool,
    /// A keyed hash of what a client sent under its key; a repeat with another one is refused. `None` for policies.
    pub fingerprint: Option<[u8; 32]>,
    /// At which versions of the stream the client wants it (`If-Match`).
    pub expected_version: Option<Expected>,
    /// What the right of whoever asks rests on, such as their session and their account, as it was read: the command is
    /// recorded where that still holds, and is [`CommandError::Outdated`](crate::CommandError::Outdated) elsewhere.
    pub rests_on: Vec<Condition>,
    /// When the thing happened, where that is not now: the time of the event that a policy reacts to.
    pub occurred_at: Option<Timestamp>,
    /// What everything that one request brings about has in common; the command's id where there is none.
    pub correlation_id: Option<Uuid>,
    /// The event that a policy reacts to.
    pub causation_id: Option<Uuid>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The login session.
    pub session: Option<String>,
    /// Why personal data is processed.
    pub purpose: Option<String>,
    /// On which legal basis.
    pub legal_basis: Option<String>,
    /// What the result was computed from, as `type:id@version`.
    pub derived_from: Vec<String>,
    /// How it was computed, as `engine@version`.
    pub transformation: Option<String>,
}

impl Request {
    /// A request of an actor, under a fresh command id.
    pub fn by(actor: Actor) -> Self {
        Request {
            actor,
            owner: None,
            command_id: Uuid::now_v7(),
            repeatable: false,
            fingerprint: None,
            expected_version: None,
            rests_on: Vec::new(),
            occurred_at: None,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            session: None,
            purpose: None,
            legal_basis: None,
            derived_from: Vec::new(),
            transformation: None,
        }
    }

    /// The same request under an id that may have been used before.
    pub fn under(mut self, command_id: Uuid, fingerprint: Option<[u8; 32]>) -> Self {
        self.command_id = command_id;
        self.fingerprint = fingerprint;
        self.repeatable = true;
        self
    }
}
