//! Why a command was not accepted, in terms that any edge can show (catalogue 0.7).

use domain::{Decider, Refusal, RefusalKind, Refused, RefusedBy};
use event_store::{AppendError, Position, StoreError};
use serde_json::{Value, json};

/// A command that was not accepted. Nothing was changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command has no such name, or its body is not that command's.
    #[error("{message}")]
    Malformed {
        /// The field at fault, as a path; empty where it is the body as a whole.
        field: String,
        /// What is wrong.
        message: String,
        /// Whether the shape is right and only a value is not (422 instead of 400).
        value: bool,
    },
    /// The stream has no events.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The actor may not do this.
    #[error("the actor may not do this")]
    Forbidden,
    /// The aggregate is in a state in which the command means nothing.
    #[error("{command} is not possible while {state}")]
    InvalidState {
        /// The state.
        state: &'static str,
        /// The command.
        command: &'static str,
    },
    /// The aggregate's own reason.
    #[error("{message}")]
    Refused {
        /// The stable code.
        code: &'static str,
        /// The kind, which decides the status.
        kind: RefusalKind,
        /// The field at fault.
        field: Option<String>,
        /// The reason in words.
        message: String,
        /// The reason's details.
        details: Value,
    },
    /// The stream is not at a version that the client expected (`If-Match`).
    #[error("the stream is at version {current}")]
    PreconditionFailed {
        /// The version it is at.
        current: u64,
    },
    /// Others kept writing to the stream, or to what the decision depends on.
    #[error("the stream was changed at the same time; it is at version {current}")]
    VersionConflict {
        /// The version it is at.
        current: u64,
    },
    /// Something was recorded about whoever asks since their right to was looked up: look it up again.
    #[error("who asks was changed at the same time")]
    Outdated,
    /// Another stream holds the claim, and the aggregate has no better name for it.
    #[error("another holds what this command claims")]
    ClaimTaken {
        /// What kind of claim, without the key's values.
        claim: String,
    },
    /// The idempotency key was used before with another body.
    #[error("this idempotency key was used before for another request")]
    IdempotencyConflict,
    /// The data of the person whom the aggregate is about was erased.
    #[error("the data of this person was erased")]
    SubjectErased,
    /// The person had the use of their data restricted.
    #[error("the person had the use of this data restricted: it is kept, and not used")]
    ProcessingRestricted,
    /// Something that the command needs cannot be reached; whether it was recorded is not known. Repeat it under the same key.
    #[error("{0} cannot be reached")]
    Unavailable(String),
    /// An event of the log is not what this program writes: it was altered, or a newer program wrote it.
    #[error("the event at position {position} cannot be read: {reason}")]
    Unreadable {
        /// Where it is.
        position: Position,
        /// What is wrong with it. It never shows a value.
        reason: String,
    },
    /// A defect of the program.
    #[error("internal error: {0}")]
    Internal(String),
}

impl CommandError {
    /// What became of a refused decision.
    pub(crate) fn refused<D: Decider>(refused: RefusedBy<D>) -> Self {
        match refused {
            Refused::Because(reason) | Refused::OnRecord(reason, _) => Self::because(&reason),
            Refused::InvalidState { state, command } => CommandError::InvalidState { state, command },
            Refused::Forbidden => CommandError::Forbidden,
            Refused::Invalid { field, reason } => CommandError::Refused {
                code: "InvalidValue",
                kind: RefusalKind::Invalid,
                field: Some(field.to_owned()),
                message: reason,
                details: json!({}),
            },
        }
    }

    /// An aggregate's own reason.
    pub(crate) fn because(reason: &impl Refusal) -> Self {
        // A refusal is an enum: `{"Code":{details}}`.
        let details = serde_json::to_value(reason)
            .ok()
            .and_then(|mut value| value.get_mut(reason.code()).map(Value::take));
        CommandError::Refused {
            code: reason.code(),
            kind: reason.kind(),
            field: reason.field().map(str::to_owned),
            message: reason.to_string(),
            details: details.unwrap_or_else(|| json!({})),
        }
    }

    /// Whether the same command may be accepted when it is tried again later.
    pub fn is_transient(&self) -> bool {
        match self {
            CommandError::VersionConflict { .. } | CommandError::Outdated | CommandError::Unavailable(_) => {
                true
            }
            CommandError::Refused { kind, .. } => *kind == RefusalKind::Unavailable,
            CommandError::Malformed { .. }
            | CommandError::NotFound(_)
            | CommandError::Forbidden
            | CommandError::InvalidState { .. }
            | CommandError::PreconditionFailed { .. }
            | CommandError::ClaimTaken { .. }
            | CommandError::IdempotencyConflict
            | CommandError::SubjectErased
            | CommandError::ProcessingRestricted
            | CommandError::Unreadable { .. }
            | CommandError::Internal(_) => false,
        }
    }

    /// Whether it says nothing of the command: the program, or what is stored, is not as it should be.
    pub fn is_defect(&self) -> bool {
        matches!(self, CommandError::Unreadable { .. } | CommandError::Internal(_))
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            CommandError::Unavailable(format!("the log ({error})"))
        } else {
            CommandError::Internal(error.to_string())
        }
    }
}

impl From<AppendError> for CommandError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict { current, .. } => CommandError::VersionConflict { current },
            AppendError::ClaimTaken { key } => {
                CommandError::ClaimTaken { claim: key.split(':').next().unwrap_or_default().to_owned() }
            }
            AppendError::SubjectErased { .. } => CommandError::SubjectErased,
            AppendError::Unavailable(reason) => CommandError::Unavailable(format!("the log ({reason})")),
            AppendError::Store(error) => error.into(),
            other => CommandError::Internal(other.to_string()),
        }
    }
}
