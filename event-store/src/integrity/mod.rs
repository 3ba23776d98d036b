//! Proving integrity: the log as a Merkle tree (RFC 6962, SHA-256), published as tiles and signed checkpoints in the
//! formats of the Community Cryptography Specification Project: tlog-tiles, tlog-checkpoint and signed-note. What is
//! here lets a stranger check, with tools that are not ours, that nobody has rewritten history (`docs/integrity.md`).
//!
//! ```text
//! leaf        the bytes that stand for an event            tree      hashes, roots, proofs
//! tile        how the tree is cut into files                edge      the right edge of a growing tree
//! note        signed texts and their keys                   checkpoint  how large the tree is and its root
//! directory   tiles and checkpoint on disk                  proof     one event's inclusion, verifiable offline
//! proofs      the inclusion of many events at once         notary    follows the log and signs
//! ids         what binds the columns that no leaf has
//! ```
//!
//! What must never be here: a personal value (leaves commit to ciphertext), and a signature under a tree that does not
//! extend the one that was signed before.

mod checkpoint;
mod directory;
mod edge;
mod ids;
mod leaf;
mod notary;
mod note;
mod proof;
mod proofs;
#[cfg(test)]
mod tests;
mod tile;
mod tree;

pub use checkpoint::Checkpoint;
pub use directory::{Directory, DirectoryError};
pub use edge::Edge;
pub use ids::{IDS, ids_hold};
pub(crate) use ids::{bind, command_index};
pub use leaf::Leaf;
pub use notary::{Notary, NotaryConfig, NotaryError, NotaryState};
pub use note::{NoteError, Signer, Verifier};
pub use proof::{Proof, ProofError};
pub use proofs::{ProofLine, Proofs, ProofsCheck, ProofsFormat, ProofsHead, Prover};
pub use tile::{TILE_WIDTH, Tile, subtree_hash};
pub use tree::{
    Hash, Nodes, consistency_proof, inclusion_proof, leaf_hash, node_hash, root, verify_consistency,
    verify_inclusion,
};
