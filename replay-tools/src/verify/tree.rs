//! The tree of the stored rows, grown part by part and held against every checkpoint and against the upper tiles.

use std::ops::RangeInclusive;

use event_store::{
    Position,
    integrity::{Checkpoint, Edge, Hash, TILE_WIDTH, Tile},
};

use super::{
    chunk::{Leaves, Tiles},
    report::{Kind, Report},
};

/// The tree as far as it was read.
pub(super) struct Tree {
    edge: Edge,
    /// What was signed, the smallest first.
    checkpoints: Vec<Checkpoint>,
    tiles: Option<Tiles>,
    /// How large the tree was when it last agreed with a checkpoint.
    agreed: u64,
    /// Upper tiles that are not what their leaves make of them, and the positions among which they differ first.
    damaged: Vec<(Tile, RangeInclusive<Position>)>,
}

impl Tree {
    /// To be compared with these.
    pub(super) fn new(mut checkpoints: Vec<Checkpoint>, tiles: Option<Tiles>) -> Self {
        checkpoints.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        let mut tree = Tree { edge: Edge::default(), checkpoints, tiles, agreed: 0, damaged: Vec::new() };
        tree.checkpoints.dedup();
        tree
    }

    /// Takes in the next leaves. `explained`: whether a difference of the leaves has been found before.
    pub(super) fn grow(&mut self, leaves: Leaves, explained: bool, report: &mut Report) {
        match leaves {
            Leaves::Tile(hash) => {
                let mut filled = Vec::new();
                self.edge.push_tile(hash, |tile, hashes| filled.push((tile, hashes)));
                filled.into_iter().for_each(|(tile, hashes)| self.compare(tile, &hashes, explained, report));
                self.meet(explained, report);
            }
            Leaves::Each(hashes) => {
                for hash in hashes {
                    let mut filled = Vec::new();
                    self.edge.push(hash, |tile, hashes| filled.push((tile, hashes)));
                    for (tile, hashes) in filled {
                        self.compare(tile, &hashes, explained, report);
                    }
                    self.meet(explained, report);
                }
            }
        }
    }

    /// The tiles above the leaves' hold what follows from those; the leaves' own were compared one by one.
    fn compare(&mut self, tile: Tile, hashes: &[Hash], explained: bool, report: &mut Report) {
        let comparable = tile.level > 0 && !explained;
        let Some(tiles) = self.tiles.as_ref().filter(|_| comparable) else { return };
        // Beyond what was signed there need be none, and it may be a narrower or a wider one.
        let Some(stored) = tiles.widest(tile.level, tile.index) else { return };
        match tiles.directory.hashes(stored) {
            Ok(published) => {
                let both = published.len().min(hashes.len());
                let same =
                    published.iter().zip(hashes).take_while(|(published, own)| published == own).count();
                let leaves = TILE_WIDTH.pow(tile.level);
                let first = (tile.index * TILE_WIDTH + same as u64) * leaves + 1;
                if same < both && self.damaged.iter().all(|(_, range)| *range.start() != first) {
                    self.damaged.push((stored, first..=first + leaves - 1));
                }
            }
            Err(error) => report.find(Kind::Tree, None, format_args!("{stored} cannot be read: {error}")),
        }
    }

    /// Compares with the checkpoints of this size.
    fn meet(&mut self, explained: bool, report: &mut Report) {
        let size = self.edge.size();
        if self.tiles.as_ref().is_some_and(|tiles| tiles.ends.contains(&size)) {
            let partial: Vec<(Tile, Vec<Hash>)> =
                self.edge.tiles().map(|(tile, hashes)| (tile, hashes.to_vec())).collect();
            partial.iter().for_each(|(tile, hashes)| self.compare(*tile, hashes, explained, report));
        }
        while let Some(checkpoint) = self.checkpoints.pop_if(|next| next.size <= size) {
            if checkpoint.root == self.edge.root() {
                self.agreed = size;
                report.checkpoints.push(size);
            } else if !explained && self.damaged.is_empty() {
                let first = self.agreed + 1;
                let detail = format!(
                    "rows and tiles agree with each other and not with the root that was signed at {size}: both were \
                     rewritten, at this position or after it"
                );
                report.find(Kind::Tree, first, detail);
            }
        }
    }

    /// What is left when the log has ended. Says up to which position the rows lead to a root that was signed.
    pub(super) fn end(self, report: &mut Report) -> Position {
        let size = self.edge.size();
        let published = self.tiles.as_ref().map_or(0, Tiles::end);
        for (tile, positions) in &self.damaged {
            let (first, last) = (positions.start(), positions.end());
            if *last <= self.agreed || self.agreed == published {
                let text = format!("{tile} is damaged; the rows lead to the root that was signed without it");
                report.find(Kind::Tree, None, text);
            } else {
                let text = format!(
                    "rows and their tile were rewritten between {first} and {last}: {tile} says otherwise"
                );
                report.find(Kind::Tree, *first, text);
            }
        }
        // An empty tree is what every log began with.
        if let Some(checkpoint) = self.checkpoints.iter().rev().find(|checkpoint| checkpoint.size > size) {
            let detail = format!("the log ends at {size}, and was signed up to {}", checkpoint.size);
            report.find(Kind::Missing, size + 1, detail);
        } else if published > size {
            let detail = format!("the log ends at {size}, and there are tiles of it up to {published}");
            report.find(Kind::Missing, size + 1, detail);
        }
        self.agreed
    }
}
