//! What can go wrong with read models as such; what can go wrong with a query is in [`crate::query`].

use event_store::{Position, StoreError, is_outage};

use crate::{
    fact::Unreadable,
    row::{RowError, WrongKind},
};

/// Something about read models failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// The log or the keys failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database failed (queries).
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The database failed (the follower's and the rebuilds' own connections).
    #[error("the database failed: {}", describe(.0))]
    Connection(#[from] tokio_postgres::Error),
    /// A stored row has another shape than its read model.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The read models must not go on: they are ahead of the log, or were folded from another one.
    #[error("the read models must not go on: {0}")]
    Refused(String),
    /// There is no read model of this name.
    #[error("there is no read model `{0}`")]
    UnknownModel(String),
    /// An event is not what this program writes: it was altered, or a newer program wrote it.
    #[error("the event at position {position} cannot be read: {reason}")]
    Unreadable {
        /// Where it is.
        position: Position,
        /// What is wrong with it. It never shows a value.
        reason: String,
    },
    /// The read model is not in a state in which this can be done.
    #[error("{0}")]
    WrongState(String),
    /// Somebody else moved or changed the read models meanwhile: look again.
    #[error("the read models were moved or changed by somebody else")]
    Moved,
}

impl ProjectionError {
    /// Whether trying again later may help: the database, or the way to it, was at fault.
    pub fn is_transient(&self) -> bool {
        match self {
            ProjectionError::Store(error) => error.is_transient(),
            ProjectionError::Database(error) => is_outage(error),
            _ => false,
        }
    }
}

impl From<WrongKind> for ProjectionError {
    fn from(wrong: WrongKind) -> Self {
        ProjectionError::Row(wrong.into())
    }
}

impl From<&Unreadable> for ProjectionError {
    fn from(event: &Unreadable) -> Self {
        ProjectionError::Unreadable { position: event.position, reason: event.reason.clone() }
    }
}

/// The error's own code in SQL, where the server gave one.
pub(crate) fn sqlstate(error: &tokio_postgres::Error) -> Option<&str> {
    error.code().map(tokio_postgres::error::SqlState::code)
}

/// tokio-postgres prints only "db error"; the reason is in its source. The detail is left out: it quotes values.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(reason) => format!("{} ({})", reason.message(), reason.code().code()),
        None => error.to_string(),
    }
}
