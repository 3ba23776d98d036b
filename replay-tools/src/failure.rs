//! Why a command could not do its work: exit code 2.

use event_store::StoreError;
use projections::ProjectionError;

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("set ANNALS_DATABASE_URL (`. data/annals.env`)")]
    NoDatabase,
    #[error(
        "the master key is missing or no key: set ANNALS_MASTER_KEY_FILE or ANNALS_MASTER_KEY (`. data/annals.env`)"
    )]
    NoKey,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
}
