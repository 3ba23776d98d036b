//! One event's inclusion in the log, as a file that verifies offline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Checkpoint, Hash, Leaf, NoteError, Verifier, verify_inclusion};

/// That an event stands in the log at its position, as it is described here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// `annals-proof/v1`.
    pub format: Format,
    /// What the log says of the event.
    pub leaf: Leaf,
    /// The leaf's index: its position less one.
    pub index: u64,
    /// How many leaves the tree of the checkpoint has.
    pub size: u64,
    /// What is hashed with the leaf on the way to the root, from below (RFC 6962, section 2.1.1).
    pub hashes: Vec<Hash>,
    /// The signed note with the root.
    pub checkpoint: String,
}

/// The version of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// The only one there is.
    #[default]
    #[serde(rename = "annals-proof/v1")]
    V1,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The checkpoint is not the log's.
    #[error("the checkpoint cannot be trusted: {0}")]
    Checkpoint(#[from] NoteError),
    /// Index, position and size do not fit to each other or to the checkpoint.
    #[error("position, index and size do not fit to each other and to the checkpoint")]
    Misplaced,
    /// The hashes lead to another root.
    #[error("the leaf is not in the tree of the checkpoint")]
    NotIncluded,
}

impl Proof {
    /// The proof of a leaf in the tree of `size` leaves.
    pub fn new(leaf: Leaf, size: u64, hashes: Vec<Hash>, checkpoint: String) -> Self {
        Proof { format: Format::V1, index: leaf.position.saturating_sub(1), leaf, size, hashes, checkpoint }
    }

    /// Verifies it with nothing but the log's key.
    ///
    /// # Errors
    /// When it does not prove what it says.
    pub fn verify(&self, verifier: &Verifier) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, verifier)?;
        if self.leaf.position.checked_sub(1) != Some(self.index) || self.size != checkpoint.size {
            return Err(ProofError::Misplaced);
        }
        match verify_inclusion(self.leaf.hash(), self.index, self.size, &self.hashes, checkpoint.root) {
            true => Ok(checkpoint),
            false => Err(ProofError::NotIncluded),
        }
    }
}
