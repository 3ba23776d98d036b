//! Why a command is refused: a stable code, a status and details (catalogue 0.7).

use schemars::JsonSchema;
use serde::Serialize;

/// The kind of a refusal; it decides the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RefusalKind {
    /// A well-formed value breaks a rule of its field (422).
    Invalid,
    /// The state of the aggregate, or of what it depends on, does not allow it (409).
    Conflict,
    /// The actor may not do this (403).
    Forbidden,
    /// Something that the command names does not exist (404).
    NotFound,
    /// A capability that is needed is not there now (503).
    Unavailable,
}

/// A context's own reasons, as an enum: the variant's name is the stable code, its fields are the details.
pub trait Refusal:
    std::error::Error + Serialize + JsonSchema + Clone + PartialEq + Send + Sync + 'static
{
    /// The stable code: the variant's name.
    fn code(&self) -> &'static str;
    /// The kind of this refusal.
    fn kind(&self) -> RefusalKind {
        RefusalKind::Conflict
    }
    /// The command's field at fault, where there is one.
    fn field(&self) -> Option<&'static str> {
        None
    }
}

/// A refused command: the common reasons, and the aggregate's own.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused<R, E> {
    /// The aggregate's own reason.
    Because(R),
    /// The aggregate's own reason, and facts that go on record all the same (a failed login).
    OnRecord(R, Vec<E>),
    /// The aggregate is in a state in which this command means nothing.
    InvalidState {
        /// The state it is in, in the words of the life cycle.
        state: &'static str,
        /// The command's name.
        command: &'static str,
    },
    /// The actor may not do this, which only the decision could tell.
    Forbidden,
    /// A field's value breaks a rule of its type, with the reason in words.
    Invalid {
        /// The field, as a path.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl<R, E> Refused<R, E> {
    /// A field's value breaks a rule.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Refused::Invalid { field, reason: reason.into() }
    }
}

impl<R: Refusal, E> std::fmt::Display for Refused<R, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Because(reason) | Refused::OnRecord(reason, _) => std::fmt::Display::fmt(reason, f),
            Refused::InvalidState { state, command } => write!(f, "{command} is not possible while {state}"),
            Refused::Forbidden => f.write_str("the actor may not do this"),
            Refused::Invalid { field, reason } => write!(f, "{field}: {reason}"),
        }
    }
}

impl<R: Refusal, E: std::fmt::Debug> std::error::Error for Refused<R, E> {}

impl<R, E> From<R> for Refused<R, E>
where
    R: Refusal,
{
    fn from(reason: R) -> Self {
        Refused::Because(reason)
    }
}

/// For an aggregate without reasons of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, thiserror::Error)]
pub enum NoRefusal {}

impl Refusal for NoRefusal {
    fn code(&self) -> &'static str {
        match *self {}
    }
}
