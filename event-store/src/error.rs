//! What can go wrong with the store itself, as opposed to an append that is refused.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{Position, append::AppendError};

/// The store could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// PostgreSQL, or the way to it, failed (a read, a migration, the keys).
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// PostgreSQL, or the way to it, failed (the writer's own connection).
    #[error("the database failed: {}", describe(.0))]
    Writer(#[from] tokio_postgres::Error),
    /// A migration failed, or the database has one that this program does not know.
    #[error("the schema could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The configuration makes no sense.
    #[error("the configuration is wrong: {0}")]
    Configuration(String),
    /// What was read from the log or the keys is not what this program writes.
    #[error("stored data is not readable: {0}")]
    Unreadable(String),
    /// It failed together with others who asked in the same moment.
    #[error(transparent)]
    Shared(Arc<StoreError>),
    /// A key was needed in memory and is not there: `load_for` or `ensure` was not called, or too long ago.
    #[error("a data key was not loaded before it was needed")]
    KeyNotLoaded,
    /// A follower stands after the end of the log: it follows another log, or a backup was restored.
    #[error("position {after} is ahead of the log, which ends at {head}: was a backup restored?")]
    AheadOfLog {
        /// Where the follower stands.
        after: Position,
        /// Where the log ends.
        head: Position,
    },
    /// The log does not continue where it must. It has no gaps; so somebody has taken events away.
    #[error("position {expected} is missing: the log goes on at {found}")]
    Hole {
        /// The position that had to come.
        expected: Position,
        /// The position that came.
        found: Position,
    },
    /// The log went on while its claims were being replaced: fold the rest and try again.
    #[error("the log has moved on to {head} (at {recorded_at})")]
    Moved {
        /// Where the log ends now.
        head: Position,
        /// When its last event was recorded.
        recorded_at: Timestamp,
    },
    /// A log is being restored into the database, or that was begun and not completed.
    #[error(
        "a log is being restored here, or was not restored to the end: `annals-replay restore` begins anew"
    )]
    NotRestored,
    /// The log was begun with something else, without which what is in it cannot be read or found.
    #[error("this log was begun with another {what}: the configuration names the wrong one")]
    Bound {
        /// What it was begun with.
        what: &'static str,
    },
    /// The ledger of erasures cannot be written now: nothing is destroyed until it can.
    #[error("{0}")]
    Ledger(String),
    /// The system has no thread left for the writer.
    #[error("the writer cannot be started: {0}")]
    Thread(#[source] std::io::Error),
    /// The store was shut down, or its writer is gone.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether trying again later may help: the connection, not the request, was at fault.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => is_outage(error),
            Self::Writer(error) => lost_connection(error),
            Self::Shared(error) => error.is_transient(),
            Self::Ledger(_) => true,
            _ => false,
        }
    }
}

impl From<StoreError> for AppendError {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::Unavailable(error.to_string()) } else { Self::Store(error) }
    }
}

/// Whether the database, or the way to it, is at fault, and not what was asked of it.
pub fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| names_outage(&code)),
        _ => false,
    }
}

/// SQLSTATE classes 08 (connection), 53 (it has no disk, memory or connection left) and 57P (the server is starting,
/// stopping or has crashed), 25006 (it has become a standby), 25P03 (it has given up on an idle transaction), 58030 (its
/// disk fails).
fn names_outage(code: &str) -> bool {
    ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
        || ["25006", "25P03", "58030"].contains(&code)
}

/// Whether the error says nothing about the statement, only that the connection is no more.
pub(crate) fn lost_connection(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || error.code().is_none_or(|code| names_outage(code.code()))
}

/// tokio-postgres prints only "db error"; the reason is in its source.
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(reason) => reason.to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_cannot_do_now_is_an_outage_and_what_it_refuses_is_none() {
        for code in ["08006", "53100", "53300", "57P01", "25006", "58030"] {
            assert!(names_outage(code), "{code}");
        }
        for code in ["23505", "42P01", "57014", "22003"] {
            assert!(!names_outage(code), "{code}");
        }
    }
}
