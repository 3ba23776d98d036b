//! Why a command could not do its work: exit code 2.

use std::path::{Path, PathBuf};

use commands::CommandError;
use event_store::{
    AppendError, StoreError,
    integrity::{DirectoryError, NoteError},
};
use projections::{ProjectionError, QueryError, governance::GovernanceError};

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("set ANNALS_DATABASE_URL (`. data/annals.env`)")]
    NoDatabase,
    #[error(
        "the master key is missing or no key: set ANNALS_MASTER_KEY_FILE or ANNALS_MASTER_KEY (`. data/annals.env`)"
    )]
    NoKey,
    #[error("there is no log in the database that ANNALS_DATABASE_URL names")]
    NoLog,
    #[error("a checkpoint needs the log's verifier key: --key")]
    NoVerifier,
    #[error("the log has no position {0}")]
    NoPosition(u64),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Governance(#[from] GovernanceError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("there is no event `{0}` in the log")]
    NoEvent(String),
    #[error("{0}")]
    Wrong(String),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot read or write: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// What failed with a file that somebody named.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
        move |source| Failure::File { path: path.to_owned(), source }
    }

    /// Whoever reads what is printed has read enough.
    pub(crate) fn is_enough(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
