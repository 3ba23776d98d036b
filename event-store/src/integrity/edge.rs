//! The right edge of a growing tree: all that is needed to go on, whatever the size.

use sha2::{Digest, Sha256};

use super::{Hash, TILE_WIDTH, Tile, node_hash, tile::subtree_hash};

/// The partial tiles of a tree, from the leaves up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Of a tree of this size, whose partial tiles a function reads.
    ///
    /// # Errors
    /// When a tile cannot be read.
    pub fn read<E>(size: u64, mut tile: impl FnMut(Tile) -> Result<Vec<Hash>, E>) -> Result<Self, E> {
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        for partial in Tile::partial(size) {
            levels.resize_with(partial.level as usize + 1, Vec::new);
            levels[partial.level as usize] = tile(partial)?;
        }
        Ok(Edge { size, levels })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf and gives the tiles that it has filled to a function.
    pub fn push(&mut self, leaf: Hash, filled: impl FnMut(Tile, Vec<Hash>)) {
        self.size += 1;
        self.carry(0, leaf, filled);
    }

    /// Adds 256 leaves at once, by the hash over them, and gives the tiles above that it has filled to a function.
    ///
    /// # Panics
    /// When the last tile of leaves is not full.
    pub fn push_tile(&mut self, over: Hash, filled: impl FnMut(Tile, Vec<Hash>)) {
        assert!(self.size.is_multiple_of(TILE_WIDTH), "tiles follow full tiles");
        self.size += TILE_WIDTH;
        self.carry(1, over, filled);
    }

    /// Puts a hash into its level, and what that fills into the level above.
    fn carry(&mut self, level: usize, hash: Hash, mut filled: impl FnMut(Tile, Vec<Hash>)) {
        let mut hash = hash;
        for level in level.. {
            if self.levels.len() <= level {
                self.levels.resize_with(level + 1, Vec::new);
            }
            let hashes = &mut self.levels[level];
            hashes.push(hash);
            if (hashes.len() as u64) < TILE_WIDTH {
                return;
            }
            let hashes = std::mem::take(hashes);
            hash = subtree_hash(&hashes);
            let level = level as u32;
            let index = (self.size >> (8 * (level + 1))) - 1;
            filled(Tile { level, index, width: TILE_WIDTH }, hashes);
        }
    }

    /// The partial tiles and their hashes.
    pub fn tiles(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        Tile::partial(self.size).map(|tile| (tile, self.levels[tile.level as usize].as_slice()))
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for hashes in &self.levels {
            let mut rest = hashes.as_slice();
            // From the right: complete subtrees of growing size.
            while !rest.is_empty() {
                let (left, last) = rest.split_at(rest.len() - (1 << rest.len().trailing_zeros()));
                let subtree = subtree_hash(last);
                root = Some(root.map_or(subtree, |right| node_hash(&subtree, &right)));
                rest = left;
            }
        }
        root.unwrap_or_else(|| Hash(Sha256::digest([]).into()))
    }
}
