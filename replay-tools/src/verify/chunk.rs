//! One part of the log: read, hashed, compared with its tiles. Parts are worked on at the same time.

use std::collections::BTreeMap;

use ahash::HashMap;
use domain::registry::{AnyEvent, DecodeError};
use event_store::{
    EventStore, Illegible, Position, Recorded, StoreError, StreamId,
    integrity::{Directory, Hash, Leaf, TILE_WIDTH, Tile, ids_hold, subtree_hash},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    claims::Changes,
    keys::Keys,
    report::{Finding, Kind},
};

/// How many positions are a part: sixteen tiles.
pub(super) const CHUNK: u64 = 16 * TILE_WIDTH;

/// An event that is not what was signed at its position.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) position: Position,
    pub(super) signed: Hash,
    /// What stands there now.
    pub(super) found: Option<Leaf>,
}

/// The leaves of a tile: together, or one by one where a checkpoint ends among them.
#[derive(Debug)]
pub(super) enum Leaves {
    Tile(Hash),
    Each(Vec<Hash>),
}

/// What a stream has in a part of the log.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) position: Position,
}

/// What was found in a part of the log.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) events: u64,
    pub(super) leaves: Vec<Leaves>,
    pub(super) mismatches: Vec<Mismatch>,
    /// Events that say nothing of their ids.
    pub(super) unbound: u64,
    pub(super) findings: Vec<Finding>,
    pub(super) runs: HashMap<StreamId, Run>,
    pub(super) claims: Changes,
    pub(super) keys: Keys,
    pub(super) time: Option<(Timestamp, Timestamp)>,
}

/// What all parts are compared with.
#[derive(Debug, Default)]
pub(super) struct Signed {
    /// The tiles of the notary.
    pub(super) tiles: Option<Tiles>,
    /// Where checkpoints and partial tiles end.
    pub(super) ends: Vec<u64>,
}

/// What lies in the directory of the notary.
#[derive(Clone, Debug)]
pub(super) struct Tiles {
    pub(super) directory: Directory,
    /// How large the tree is whose tiles must be there.
    signed: u64,
    /// The tiles of larger trees, the widest of each level and index: of a checkpoint that is not there any more, or of one
    /// that the notary has not signed yet.
    beyond: BTreeMap<(u32, u64), Tile>,
    /// Where partial tiles end: full ones are compared when they are full.
    pub(super) ends: Vec<u64>,
}

impl Tiles {
    /// Of a directory in which these are, where a tree of this size was signed.
    pub(super) fn new(directory: Directory, there: &[Tile], signed: u64) -> Self {
        let mut beyond: BTreeMap<(u32, u64), Tile> = BTreeMap::new();
        for tile in there.iter().filter(|tile| tile.leaves() > signed) {
            let widest = beyond.entry((tile.level, tile.index)).or_insert(*tile);
            *widest = (*widest).max(*tile);
        }
        let partial = beyond.values().filter(|tile| !tile.is_full()).map(Tile::leaves);
        let ends = std::iter::once(signed).chain(partial).collect();
        Tiles { directory, signed, beyond, ends }
    }

    /// How far the tiles reach.
    pub(super) fn end(&self) -> u64 {
        self.beyond.values().map(Tile::leaves).max().unwrap_or_default().max(self.signed)
    }

    /// The one of this level and index that has most hashes; none where there is none.
    pub(super) fn widest(&self, level: u32, index: u64) -> Option<Tile> {
        self.beyond.get(&(level, index)).copied().or_else(|| Tile::in_tree(level, index, self.signed))
    }
}

/// Reads an event; its sealed values in an opening scope only.
pub(super) fn decode(event: &Recorded) -> Result<AnyEvent, DecodeError> {
    let aggregate_type = &event.stream.aggregate_type;
    AnyEvent::decode(aggregate_type, &event.event_type, &event.event_version, &event.payload)
}

/// What is told of an event whose ids are not those that it was recorded with.
const OTHER_IDS: &str =
    "event_id, command_id, command_index or fingerprint is not the one that the event was recorded with";

/// How far the clock of a node may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// What is told of an event whose sealed values do not open.
pub(super) fn does_not_open(why: &str) -> String {
    format!("what is sealed does not open: {why} (it is bound to the event's id and stream)")
}

impl Chunk {
    /// Reads and checks the positions after `after`, up to `until`. Before `after` tiles of leaves end.
    pub(super) async fn read(
        store: &EventStore,
        signed: &Signed,
        after: Position,
        until: Position,
    ) -> Result<Self, StoreError> {
        let mut reading = Reading::new(signed, after);
        let see = |row: Result<Recorded, Illegible>| match row {
            Ok(event) => reading.take(&event),
            Err(row) => reading.skip(&row),
        };
        store.visit(after, until, see).await?;
        let mut chunk = reading.end(until);
        for (position, why) in chunk.claims.open(store.keyring()).await? {
            chunk.find(Kind::Unreadable, position, does_not_open(&why));
        }
        Ok(chunk)
    }

    /// What can be seen of an event by itself and its neighbours.
    fn take(&mut self, event: &Recorded) {
        self.events += 1;
        let position = event.position;
        match self.time {
            Some((first, last)) if event.recorded_at < last => {
                self.find(Kind::Time, position, "it was recorded before its predecessor");
                self.time = Some((first, last));
            }
            Some((first, _)) => self.time = Some((first, event.recorded_at)),
            None => self.time = Some((event.recorded_at, event.recorded_at)),
        }
        match self.runs.get_mut(&event.stream) {
            Some(run) => {
                let (expected, found) = (run.last + 1, event.sequence);
                run.last = found;
                if found != expected {
                    let detail = format!("the stream goes on with {found} where {expected} must come");
                    self.find(Kind::Sequence, position, detail);
                }
            }
            None => {
                let run = Run { first: event.sequence, last: event.sequence, position };
                self.runs.insert(event.stream.clone(), run);
            }
        }
        let decoded = decode(event);
        if let Err(error) = self.keys.take(event, decoded.as_ref().ok()) {
            self.find(Kind::Unreadable, position, error);
        }
        match decoded {
            Ok(decoded) => self.claims.take(event, &decoded),
            Err(error) => self.find(Kind::Unreadable, position, error),
        }
    }

    /// What was signed of the leaves of a tile; nothing where nothing was, or where it cannot be read.
    fn published(&mut self, signed: &Signed, index: u64) -> Vec<Hash> {
        let Some(tiles) = &signed.tiles else { return Vec::new() };
        let Some(tile) = tiles.widest(0, index) else { return Vec::new() };
        tiles.directory.hashes(tile).unwrap_or_else(|error| {
            self.find(Kind::Tree, index * TILE_WIDTH + 1, format_args!("{tile} cannot be read: {error}"));
            Vec::new()
        })
    }

    fn find(&mut self, kind: Kind, position: Position, detail: impl std::fmt::Display) {
        self.findings.push(Finding { position: Some(position), kind, detail: detail.to_string() });
    }
}

/// A part while its events come in. Each is looked at once and let go: it is in the caches of the processor by then.
struct Reading<'s> {
    chunk: Chunk,
    signed: &'s Signed,
    /// The last position that was looked at.
    at: Position,
    /// Nothing is recorded after that: it has not come yet.
    latest: Timestamp,
    /// What was signed of the tile that it is in.
    published: Vec<Hash>,
    /// What stands in that tile now.
    hashes: Vec<Hash>,
    /// For the bytes of leaves.
    buffer: Vec<u8>,
}

impl<'s> Reading<'s> {
    fn new(signed: &'s Signed, after: Position) -> Self {
        let (chunk, published, hashes, buffer) = (Chunk::default(), Vec::new(), Vec::new(), Vec::new());
        let latest = Timestamp::now().saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        Reading { chunk, signed, at: after, latest, published, hashes, buffer }
    }

    /// The next event that there is.
    fn take(&mut self, event: &Recorded) {
        if event.position <= self.at {
            return self.chunk.find(Kind::Inserted, event.position, "there are two events");
        }
        self.miss(event.position - 1);
        self.place(Some(event));
        self.check_ids(event);
        if event.recorded_at > self.latest {
            // Whatever follows is recorded no earlier: one is told of each part.
            self.latest = Timestamp::MAX;
            let detail = format_args!("it was recorded at {}, which has not come yet", event.recorded_at);
            self.chunk.find(Kind::Time, event.position, detail);
        }
        self.chunk.take(event);
    }

    /// The next row, of which nothing can be told but that it is there.
    fn skip(&mut self, row: &Illegible) {
        if row.position <= self.at {
            return self.chunk.find(Kind::Inserted, row.position, "there are two events");
        }
        self.miss(row.position - 1);
        self.chunk.find(Kind::Illegible, row.position, format_args!("the row cannot be read: {}", row.why));
        self.stand_in();
    }

    /// Whether the columns that no leaf has are as they were recorded.
    fn check_ids(&mut self, event: &Recorded) {
        match ids_hold(event, &mut self.buffer) {
            Some(true) => {}
            None => self.chunk.unbound += 1,
            Some(false) => self.chunk.find(Kind::Altered, event.position, OTHER_IDS),
        }
    }

    /// The events up to here are missing.
    fn miss(&mut self, until: Position) {
        while self.at < until {
            self.chunk.find(Kind::Missing, self.at + 1, "the event is missing");
            self.place(None);
        }
    }

    /// Compares what stands at the next position with what was signed there.
    fn place(&mut self, event: Option<&Recorded>) {
        let signed = self.next();
        let hash = event.map(|event| Leaf::hash_of(event, &mut self.buffer));
        if let Some(signed) = signed.filter(|signed| hash != Some(*signed)) {
            let found = event.map(Leaf::of);
            self.chunk.mismatches.push(Mismatch { position: self.at, signed, found });
        }
        self.keep(hash.or(signed));
    }

    /// Takes what was signed at the next position for what stands there.
    fn stand_in(&mut self) {
        let signed = self.next();
        self.keep(signed);
    }

    /// Goes on to the next position; what was signed there.
    fn next(&mut self) -> Option<Hash> {
        if self.hashes.is_empty() {
            self.published = self.chunk.published(self.signed, self.at / TILE_WIDTH);
        }
        self.at += 1;
        self.published.get(self.hashes.len()).copied()
    }

    /// Where an event is missing, what was signed of it stands in, so that the rest can be compared all the same.
    fn keep(&mut self, hash: Option<Hash>) {
        self.hashes.push(hash.unwrap_or(Hash([0; 32])));
        if self.hashes.len() as u64 == TILE_WIDTH {
            self.close();
        }
    }

    /// Ends a tile, full or not.
    fn close(&mut self) {
        let start = self.at - self.hashes.len() as u64;
        let within = |end: &u64| (start + 1..start + TILE_WIDTH).contains(end);
        let whole = self.hashes.len() as u64 == TILE_WIDTH && !self.signed.ends.iter().any(within);
        let leaves = match whole {
            true => Leaves::Tile(subtree_hash(&self.hashes)),
            false => Leaves::Each(self.hashes.clone()),
        };
        self.chunk.leaves.push(leaves);
        self.hashes.clear();
    }

    /// What was found, when there are no more events.
    fn end(mut self, until: Position) -> Chunk {
        self.miss(until);
        if !self.hashes.is_empty() {
            self.close();
        }
        self.chunk
    }
}
