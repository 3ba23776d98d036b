//! Many events' inclusion in one tree, as lines that verify offline one after the other. Their proofs have most hashes in
//! common; here each is written once.

use std::{cell::RefCell, collections::HashMap, io};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Checkpoint, Directory, DirectoryError, Hash, Leaf, Nodes, ProofError, Tile, Verifier, inclusion_proof,
    subtree_hash, verify_inclusion,
};

/// What all lines have in common: the first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofsHead {
    /// `annals-proofs/v1`.
    pub format: ProofsFormat,
    /// How many leaves the tree of the checkpoint has.
    pub size: u64,
    /// The signed note with the root.
    pub checkpoint: String,
}

/// The version of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProofsFormat {
    /// The only one there is.
    #[default]
    #[serde(rename = "annals-proofs/v1")]
    V1,
}

/// That one event stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofLine {
    /// What the log says of the event. The leaf's index is its position less one.
    pub leaf: Leaf,
    /// Hashes that no line before had: they get the next numbers, from 0.
    pub new: Vec<Hash>,
    /// The proof, from below (RFC 6962, section 2.1.1): the numbers of its hashes.
    pub path: Vec<u64>,
}

/// All of it in one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proofs {
    /// `annals-proofs/v1`.
    pub format: ProofsFormat,
    /// How many leaves the tree of the checkpoint has.
    pub size: u64,
    /// The signed note with the root.
    pub checkpoint: String,
    /// One for each event, in the order of the log.
    pub lines: Vec<ProofLine>,
}

impl Proofs {
    /// Verifies all of it with nothing but the log's key.
    ///
    /// # Errors
    /// When one event is not proved.
    pub fn verify(&self, verifier: &Verifier) -> Result<Checkpoint, ProofError> {
        let Proofs { format, size, checkpoint, lines } = self;
        let head = ProofsHead { format: *format, size: *size, checkpoint: checkpoint.clone() };
        let mut check = ProofsCheck::new(&head, verifier)?;
        lines.iter().try_for_each(|line| check.line(line))?;
        Ok(check.checkpoint)
    }
}

/// Proves one event after the other, all against the tree that was signed last.
pub struct Prover {
    head: ProofsHead,
    checkpoint: Checkpoint,
    tiles: CachedTiles,
    numbers: HashMap<Hash, u64>,
}

impl Directory {
    /// Proves many events against the tree that is signed now.
    ///
    /// # Errors
    /// When nothing was signed, or the disk fails.
    pub fn prover(&self) -> Result<Prover, DirectoryError> {
        let (checkpoint, note) = self.signed()?;
        let size = checkpoint.size;
        let head = ProofsHead { format: ProofsFormat::V1, size, checkpoint: note };
        let tiles = CachedTiles { directory: self.clone(), size, read: RefCell::default() };
        Ok(Prover { head, checkpoint, tiles, numbers: HashMap::new() })
    }

    /// The proofs of these events, in one document.
    ///
    /// # Errors
    /// As [`Prover::prove`].
    pub fn prove_all(&self, leaves: impl IntoIterator<Item = Leaf>) -> Result<Proofs, DirectoryError> {
        let mut prover = self.prover()?;
        let lines = leaves.into_iter().map(|leaf| prover.prove(leaf)).collect::<Result<_, _>>()?;
        let ProofsHead { format, size, checkpoint } = prover.head;
        Ok(Proofs { format, size, checkpoint, lines })
    }
}

impl Prover {
    /// The first line.
    pub fn head(&self) -> &ProofsHead {
        &self.head
    }

    /// The line of one event. It was verified.
    ///
    /// # Errors
    /// When the tree does not reach as far, or does not have this leaf.
    pub fn prove(&mut self, leaf: Leaf) -> Result<ProofLine, DirectoryError> {
        let (position, size) = (leaf.position, self.checkpoint.size);
        let index = position.checked_sub(1).filter(|index| *index < size);
        let index = index.ok_or(DirectoryError::NotYet { size })?;
        let hashes = inclusion_proof(&self.tiles, index, size)?;
        if !verify_inclusion(leaf.hash(), index, size, &hashes, self.checkpoint.root) {
            return Err(DirectoryError::Disagrees { position, source: ProofError::NotIncluded });
        }
        let (mut new, mut path) = (Vec::new(), Vec::with_capacity(hashes.len()));
        for hash in hashes {
            let next = self.numbers.len() as u64;
            path.push(*self.numbers.entry(hash).or_insert_with(|| {
                new.push(hash);
                next
            }));
        }
        Ok(ProofLine { leaf, new, path })
    }
}

/// Checks lines one after the other.
pub struct ProofsCheck {
    checkpoint: Checkpoint,
    hashes: Vec<Hash>,
}

impl ProofsCheck {
    /// Begins with the first line.
    ///
    /// # Errors
    /// When the checkpoint is not signed with this key, or has another size.
    pub fn new(head: &ProofsHead, verifier: &Verifier) -> Result<Self, ProofError> {
        let checkpoint = Checkpoint::open(&head.checkpoint, verifier)?;
        if head.size != checkpoint.size {
            return Err(ProofError::Misplaced);
        }
        Ok(ProofsCheck { checkpoint, hashes: Vec::new() })
    }

    /// The tree.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Checks the next line.
    ///
    /// # Errors
    /// When it does not prove what it says.
    pub fn line(&mut self, line: &ProofLine) -> Result<(), ProofError> {
        self.hashes.extend(&line.new);
        let known = |number: &u64| self.hashes.get(usize::try_from(*number).ok()?).copied();
        let hashes: Option<Vec<Hash>> = line.path.iter().map(known).collect();
        let (hashes, index) = hashes.zip(line.leaf.position.checked_sub(1)).ok_or(ProofError::Misplaced)?;
        let Checkpoint { size, root, .. } = self.checkpoint;
        match verify_inclusion(line.leaf.hash(), index, size, &hashes, root) {
            true => Ok(()),
            false => Err(ProofError::NotIncluded),
        }
    }
}

/// The tree as the tiles have it; those that were read last stay in memory.
struct CachedTiles {
    directory: Directory,
    size: u64,
    read: RefCell<HashMap<Tile, Vec<Hash>>>,
}

/// How many tiles stay in memory: 8 KiB each.
const TILES: usize = 256;

impl Nodes for CachedTiles {
    type Error = io::Error;

    fn node(&self, level: u32, index: u64) -> io::Result<Hash> {
        let (tile_level, tile_index, hashes) = Tile::of_node(level, index);
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the tree is not that large");
        let tile = Tile::in_tree(tile_level, tile_index, self.size).ok_or_else(missing)?;
        let mut read = self.read.borrow_mut();
        if read.len() >= TILES {
            read.clear();
        }
        let all = match read.entry(tile) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => place.insert(self.directory.hashes(tile)?),
        };
        Ok(subtree_hash(all.get(hashes).ok_or_else(missing)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrity::{Edge, Signer, leaf::hex};

    fn leaf(position: u64) -> Leaf {
        Leaf {
            position,
            aggregate_type: "identity.org_unit".into(),
            aggregate_id: "one".into(),
            sequence: position,
            event_type: "OrgUnitRenamed".into(),
            event_version: "1".into(),
            recorded_at_micros: 1,
            payload_sha256: hex(&[1; 32]),
            metadata_sha256: hex(&[2; 32]),
            sealed_sha256: None,
        }
    }

    /// A directory with a signed tree of so many events.
    fn signed(size: u64) -> Directory {
        let path = std::env::temp_dir().join(format!("annals-proofs-{}", uuid::Uuid::now_v7().simple()));
        let signer = Signer::new("annals.example/log", &[7; 32]).unwrap();
        let directory = Directory::new(path, signer.verifier().clone());
        let mut edge = Edge::default();
        for position in 1..=size {
            edge.push(leaf(position).hash(), |tile, hashes| {
                directory.write_tiles([(tile, &*hashes)]).unwrap()
            });
        }
        directory.write_tiles(edge.tiles()).unwrap();
        directory.write("checkpoint", Checkpoint::sign(size, edge.root(), &signer).as_bytes()).unwrap();
        directory
    }

    #[test]
    fn many_events_are_proved_at_once_and_each_hash_is_written_once() {
        let directory = signed(700);
        let wanted = [1, 2, 300, 301, 302, 699, 700];
        let proofs = directory.prove_all(wanted.map(leaf)).unwrap();
        assert_eq!(proofs.verify(directory.verifier()).unwrap().size, 700);
        let text = serde_json::to_string(&proofs).unwrap();
        assert_eq!(serde_json::from_str::<Proofs>(&text).unwrap(), proofs);
        let written: Vec<Hash> = proofs.lines.iter().flat_map(|line| line.new.clone()).collect();
        let distinct: std::collections::HashSet<_> = written.iter().collect();
        let named: usize = proofs.lines.iter().map(|line| line.path.len()).sum();
        assert!(distinct.len() == written.len() && written.len() < named, "{written:?}");
        std::fs::remove_dir_all(directory.path()).unwrap();
    }

    #[test]
    fn what_was_not_signed_so_is_not_proved_and_no_forged_line_holds() {
        let directory = signed(300);
        let other = Leaf { event_type: "OrgUnitMoved".into(), ..leaf(5) };
        let refused = directory.prover().unwrap().prove(other.clone());
        assert!(matches!(refused, Err(DirectoryError::Disagrees { position: 5, .. })), "{refused:?}");
        let ahead = directory.prover().unwrap().prove(leaf(301));
        assert!(matches!(ahead, Err(DirectoryError::NotYet { size: 300 })), "{ahead:?}");
        let proofs = directory.prove_all([leaf(5), leaf(6)]).unwrap();
        let forge = |change: &dyn Fn(&mut Proofs)| {
            let mut forged = proofs.clone();
            change(&mut forged);
            forged.verify(directory.verifier())
        };
        let not_included = Err(ProofError::NotIncluded);
        assert_eq!(forge(&|proofs| proofs.lines[0].leaf = other.clone()), not_included);
        assert_eq!(forge(&|proofs| proofs.lines[1].leaf.position = 7), not_included);
        assert_eq!(forge(&|proofs| proofs.lines[0].new.swap(0, 1)), not_included);
        assert_eq!(forge(&|proofs| proofs.lines[1].path[0] = 99), Err(ProofError::Misplaced));
        assert_eq!(forge(&|proofs| proofs.size = 299), Err(ProofError::Misplaced));
        let key = Signer::new("annals.example/log", &[8; 32]).unwrap();
        assert!(matches!(proofs.verify(key.verifier()), Err(ProofError::Checkpoint(_))));
        std::fs::remove_dir_all(directory.path()).unwrap();
    }
}
