//! Tiles and checkpoint on disk, laid out as they are published: whoever copies the directory has all that proves.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use super::{
    Checkpoint, Hash, Leaf, Nodes, NoteError, Proof, ProofError, Tile, Verifier, consistency_proof,
    inclusion_proof, tile::subtree_hash,
};
use crate::Position;

/// Why the directory does not answer.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The disk.
    #[error("the directory of the notary cannot be used: {0}")]
    Disk(#[from] io::Error),
    /// The checkpoint or the key.
    #[error("the directory of the notary cannot be trusted: {0}")]
    Note(#[from] NoteError),
    /// Nothing has been signed yet.
    #[error("nothing has been signed yet")]
    Unsigned,
    /// The tree that was signed last is not that large.
    #[error("the signed tree ends at position {size}")]
    NotYet {
        /// How many leaves it has.
        size: u64,
    },
    /// What was to be proved is not what was signed.
    #[error("position {position} is not what was signed: {source}")]
    Disagrees {
        /// The event's position.
        position: Position,
        /// What is wrong with the proof.
        source: ProofError,
    },
}

/// The directory of a log's notary and the key that its checkpoints are verified with.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    verifier: Verifier,
}

impl Directory {
    /// The directory of the log whose checkpoints this key signs.
    pub fn new(path: impl Into<PathBuf>, verifier: Verifier) -> Self {
        Directory { path: path.into(), verifier }
    }

    /// The directory, with the key that lies in it: good for whoever trusts the disk.
    ///
    /// # Errors
    /// When there is no key, or none that can be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        let verifier = fs::read_to_string(path.join("key"))?.parse()?;
        Ok(Directory { path, verifier })
    }

    /// What verifies the checkpoints.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last signed note as it is.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn note(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path.join("checkpoint")) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The last signed note and what it says.
    ///
    /// # Errors
    /// When nothing has been signed, the disk fails, or another key has signed.
    pub fn signed(&self) -> Result<(Checkpoint, String), DirectoryError> {
        let note = self.note()?.ok_or(DirectoryError::Unsigned)?;
        Ok((Checkpoint::open(&note, &self.verifier)?, note))
    }

    /// A tile as it is stored: the hashes one after the other.
    ///
    /// # Errors
    /// When the disk fails; `NotFound` when there is no such tile (any more).
    pub fn bytes(&self, tile: Tile) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(tile.to_string()))
    }

    /// The hashes of a tile. A partial one that has gone is the beginning of the full one that took its place.
    ///
    /// # Errors
    /// When the disk fails or the file has another length.
    pub fn hashes(&self, tile: Tile) -> io::Result<Vec<Hash>> {
        let full = Tile { width: super::TILE_WIDTH, ..tile };
        let (bytes, stored) = match self.bytes(tile) {
            Err(error) if error.kind() == ErrorKind::NotFound && !tile.is_full() => (self.bytes(full)?, full),
            other => (other?, tile),
        };
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() as u64 != stored.width {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{stored} has another length")));
        }
        Ok(hashes.iter().take(tile.width as usize).map(|bytes| Hash(*bytes)).collect())
    }

    /// Every tile that lies there, whether it was signed or not, in no order.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn tiles(&self) -> io::Result<Vec<Tile>> {
        let (mut tiles, mut folders) = (Vec::new(), vec![self.path.join("tile")]);
        while let Some(folder) = folders.pop() {
            // The folder of partial tiles goes once the full one is there.
            let gone = |error: &io::Error| error.kind() == ErrorKind::NotFound;
            let entries = match fs::read_dir(&folder) {
                Err(error) if gone(&error) => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = match entry {
                    Err(error) if gone(&error) => break,
                    entry => entry?,
                };
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&self.path).ok().and_then(Path::to_str);
                tiles.extend(name.and_then(|name| name.parse::<Tile>().ok()));
            }
        }
        Ok(tiles)
    }

    /// The tree of this size, as its tiles have it.
    pub fn tree(&self, size: u64) -> impl Nodes<Error = io::Error> + use<'_> {
        Tiles { directory: self, size }
    }

    /// The proof that a leaf is in the tree that was signed last. It was verified.
    ///
    /// # Errors
    /// When the tree does not reach as far, or does not have this leaf.
    pub fn prove(&self, leaf: Leaf) -> Result<Proof, DirectoryError> {
        let (checkpoint, note) = self.signed()?;
        let (position, size) = (leaf.position, checkpoint.size);
        let index = position.checked_sub(1).filter(|index| *index < size);
        let index = index.ok_or(DirectoryError::NotYet { size })?;
        let proof = Proof::new(leaf, size, inclusion_proof(&self.tree(size), index, size)?, note);
        match proof.verify(&self.verifier) {
            Ok(_) => Ok(proof),
            Err(source) => Err(DirectoryError::Disagrees { position, source }),
        }
    }

    /// The proof that the tree of `new` leaves begins with the tree of `old` leaves.
    ///
    /// # Errors
    /// When the signed tree is not as large.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, DirectoryError> {
        let (Checkpoint { size, .. }, _) = self.signed()?;
        if old > new || new > size {
            return Err(DirectoryError::NotYet { size });
        }
        Ok(consistency_proof(&self.tree(size), old, new)?)
    }

    /// Puts tiles in their places; they are on disk when this returns.
    ///
    /// A tile of a path never changes: where one is there already, of a notary that was killed before it signed, it must be
    /// the same. So a history that was rewritten is not signed anew when somebody takes only the checkpoint away.
    pub(super) fn write_tiles<'t>(
        &self,
        tiles: impl IntoIterator<Item = (Tile, &'t [Hash])>,
    ) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for (tile, hashes) in tiles {
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
            match self.bytes(tile) {
                Ok(there) if there == bytes => {}
                Ok(_) => {
                    let text = format!("{tile} is there already, with other hashes than those of the log");
                    return Err(io::Error::new(ErrorKind::InvalidData, text));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    folders.insert(self.put(&tile.to_string(), &bytes)?);
                }
                Err(error) => return Err(error),
            }
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }

    /// What a full tile has replaced.
    pub(super) fn remove_partials(&self, tile: Tile) -> io::Result<()> {
        match fs::remove_dir_all(self.path.join(format!("{tile}.p"))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Puts a file in its place: all of it or nothing, and on disk when this returns.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        sync_folder(&self.put(name, bytes)?)
    }

    /// The same, but for the name: that is on disk when the folder is, which comes back.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        make_folder(folder)?;
        let draft = folder.join(format!(".draft-{}", std::process::id()));
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        Ok(folder.to_owned())
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a folder and its parents, each on disk before something is put into it.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent)?;
        fs::create_dir_all(folder)?;
        sync_folder(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}

struct Tiles<'d> {
    directory: &'d Directory,
    size: u64,
}

impl Nodes for Tiles<'_> {
    type Error = io::Error;

    fn node(&self, level: u32, index: u64) -> io::Result<Hash> {
        let (tile_level, tile_index, hashes) = Tile::of_node(level, index);
        let missing = || io::Error::new(ErrorKind::NotFound, "the tree is not that large");
        let tile = Tile::in_tree(tile_level, tile_index, self.size).ok_or_else(missing)?;
        Ok(subtree_hash(self.directory.hashes(tile)?.get(hashes).ok_or_else(missing)?))
    }
}
