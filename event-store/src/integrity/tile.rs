//! How the tree is cut into files (C2SP tlog-tiles): each tile holds up to 256 hashes that stand side by side, those of
//! level `L` being the hashes of complete subtrees over 256^`L` leaves.

use std::{fmt, str::FromStr};

use super::{Hash, node_hash};

/// How many hashes a full tile has.
pub const TILE_WIDTH: u64 = 256;

/// The highest level that a tree of 2^64 leaves reaches.
const LEVEL_MAX: u32 = 7;

/// The name of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// The level: 0 has the leaves' hashes.
    pub level: u32,
    /// Its place in the level, from 0.
    pub index: u64,
    /// How many hashes it has: 1 to 256.
    pub width: u64,
}

impl Tile {
    /// The tile of this level and index in a tree of `size` leaves, as wide as it is there; none if it is not there.
    pub fn in_tree(level: u32, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(8 * level)?;
        let width = hashes.checked_sub(index.checked_mul(TILE_WIDTH)?)?.min(TILE_WIDTH);
        (width > 0).then_some(Tile { level, index, width })
    }

    /// How many leaves a tree has at least that has it.
    pub fn leaves(&self) -> u64 {
        let hashes = self.index.saturating_mul(TILE_WIDTH).saturating_add(self.width);
        hashes.saturating_mul(TILE_WIDTH.pow(self.level))
    }

    /// Whether it has all 256 hashes and never changes again.
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The partial tiles at the right edge of a tree, from the leaves up.
    pub fn partial(size: u64) -> impl Iterator<Item = Tile> {
        let levels = (0..=LEVEL_MAX).filter_map(move |level| {
            let hashes = size >> (8 * level);
            Tile::in_tree(level, hashes / TILE_WIDTH, size)
        });
        levels.filter(|tile| !tile.is_full())
    }

    /// Where the node of `level` (in the whole tree) and `index` is: its tile's level and index, and the range of the
    /// tile's hashes that it stands above.
    pub(super) fn of_node(level: u32, index: u64) -> (u32, u64, std::ops::Range<usize>) {
        let height = level % 8;
        let first = index << height;
        let start = (first % TILE_WIDTH) as usize;
        (level / 8, first / TILE_WIDTH, start..start + (1 << height))
    }
}

/// The path of the tile below the log's: `tile/<L>/<N>`, with `.p/<W>` for a partial one.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            match groups.is_empty() {
                false => write!(f, "x{group:03}/")?,
                true => write!(f, "{group:03}")?,
            }
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Tile {
    type Err = &'static str;

    /// Reads a path, in the one way that each tile is written.
    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let tile = || {
            let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
            let (index, width) = match rest.split_once(".p/") {
                Some((index, width)) => (index, width.parse().ok()?),
                None => (rest, TILE_WIDTH),
            };
            let groups = index.split('/').map(|group| group.trim_start_matches('x').parse::<u64>().ok());
            let index = groups
                .into_iter()
                .try_fold(0_u64, |index, group| index.checked_mul(1000)?.checked_add(group?))?;
            Some(Tile { level: level.parse().ok()?, index, width })
        };
        let valid = |tile: &Tile| {
            tile.level <= LEVEL_MAX && (1..=TILE_WIDTH).contains(&tile.width) && tile.to_string() == path
        };
        tile().filter(valid).ok_or("this is not the path of a tile")
    }
}

/// The hash over 1, 2, 4 ... 256 hashes that stand side by side.
///
/// # Panics
/// When there are none.
pub fn subtree_hash(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            node_hash(&subtree_hash(left), &subtree_hash(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_has_the_path_that_the_specification_gives_it() {
        let path = |level, index, width| Tile { level, index, width }.to_string();
        assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(1, 0, 256), "tile/1/000");
        assert_eq!(path(2, 1000, 7), "tile/2/x001/000.p/7");
    }

    #[test]
    fn a_path_is_read_in_one_way_only() {
        for path in ["tile/0/000", "tile/0/x001/x234/067.p/255", "tile/7/999"] {
            assert_eq!(path.parse::<Tile>().unwrap().to_string(), path);
        }
        for path in [
            "tile/0/0",
            "tile/00/000",
            "tile/0/x000/001",
            "tile/0/000.p/256",
            "tile/0/000.p/0",
            "tile/8/000",
            "tile/0/001/002",
            "tile/0/../../keys",
            "tile/0/+01",
            "tile/0/",
            "checkpoint",
            "tile/0/x18446744073709551615/000",
        ] {
            assert!(path.parse::<Tile>().is_err(), "{path}");
        }
    }

    #[test]
    fn a_tree_of_70000_leaves_has_these_tiles_at_its_edge() {
        // 70000 = 273 * 256 + 112; 273 = 256 + 17; 1.
        let edge: Vec<String> = Tile::partial(70_000).map(|tile| tile.to_string()).collect();
        assert_eq!(edge, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
        assert_eq!(Tile::partial(256).map(|tile| tile.to_string()).collect::<Vec<_>>(), ["tile/1/000.p/1"]);
        assert_eq!(
            Tile::partial(70_000).map(|tile| tile.leaves()).collect::<Vec<_>>(),
            [70_000, 69_888, 65_536]
        );
        assert_eq!(Tile::in_tree(0, 273, 70_000).unwrap().width, 112);
        assert_eq!(Tile::in_tree(0, 274, 70_000), None);
    }
}
