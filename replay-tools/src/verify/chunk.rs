//! One part of the log: read, hashed, compared with its tiles. Parts are worked on at the same time.

use std::{collections::HashMap, iter::Peekable, vec};

use domain::registry::{AnyEvent, DecodeError};
use event_store::{
    EventStore, Position, Recorded, StoreError, StreamId,
    integrity::{Directory, Hash, Leaf, TILE_WIDTH, Tile, subtree_hash},
};
use jiff::Timestamp;

use super::{
    claims::Changes,
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
    pub(super) findings: Vec<Finding>,
    pub(super) runs: HashMap<StreamId, Run>,
    pub(super) claims: Changes,
    pub(super) time: Option<(Timestamp, Timestamp)>,
}

/// What all parts are compared with.
#[derive(Debug, Default)]
pub(super) struct Signed {
    /// The tiles and how large their tree is.
    pub(super) tiles: Option<(Directory, u64)>,
    /// Where checkpoints end.
    pub(super) ends: Vec<u64>,
}

/// Reads an event; its sealed values in an opening scope only.
pub(super) fn decode(event: &Recorded) -> Result<AnyEvent, DecodeError> {
    let aggregate_type = &event.stream.aggregate_type;
    AnyEvent::decode(aggregate_type, &event.event_type, &event.event_version, &event.payload)
}

/// What is told of an event whose sealed values do not open.
pub(super) fn does_not_open(why: &str) -> String {
    format!("what is sealed does not open: {why} (it is bound to the event's id and stream)")
}

impl Chunk {
    /// Reads and checks the positions after `after`, up to `until`.
    pub(super) async fn read(
        store: &EventStore,
        signed: &Signed,
        after: Position,
        until: Position,
    ) -> Result<Self, StoreError> {
        let rows = store.read_all(after, CHUNK.min(until - after) as usize).await?;
        let mut chunk = Chunk::default();
        let events = chunk.in_order(after, until, rows);
        let mut hashes = Vec::with_capacity(events.len());
        let mut buffer = Vec::new();
        for event in &events {
            hashes.push(event.as_ref().map(|event| Leaf::hash_of(event, &mut buffer)));
            if let Some(event) = event {
                chunk.take(event);
            }
        }
        for (position, why) in chunk.claims.open(store.keyring()).await? {
            chunk.find(Kind::Unreadable, position, does_not_open(&why));
        }
        let tiles = hashes.chunks(TILE_WIDTH as usize).zip(events.chunks(TILE_WIDTH as usize));
        for (index, (hashes, events)) in (after / TILE_WIDTH..).zip(tiles) {
            chunk.compare(signed, index, hashes, events);
        }
        Ok(chunk)
    }

    /// The events of each position; none where one is missing.
    fn in_order(&mut self, after: Position, until: Position, rows: Vec<Recorded>) -> Vec<Option<Recorded>> {
        let mut rows: Peekable<vec::IntoIter<Recorded>> = rows.into_iter().peekable();
        let mut events = Vec::new();
        for position in after + 1..=until {
            let event = rows.next_if(|row| row.position == position);
            while rows.next_if(|row| row.position == position).is_some() {
                self.find(Kind::Inserted, position, "there are two events");
            }
            if event.is_none() {
                self.find(Kind::Missing, position, "the event is missing");
            }
            events.push(event);
        }
        events
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
        match decode(event) {
            Ok(decoded) => self.claims.take(event, &decoded),
            Err(error) => self.find(Kind::Unreadable, position, error),
        }
    }

    /// Compares the leaves of a tile with the tile.
    fn compare(&mut self, signed: &Signed, index: u64, hashes: &[Option<Hash>], events: &[Option<Recorded>]) {
        let start = index * TILE_WIDTH;
        let tile = signed
            .tiles
            .as_ref()
            .and_then(|(directory, size)| Some((directory, Tile::in_tree(0, index, *size)?)));
        let mut published = Vec::new();
        if let Some((directory, tile)) = tile {
            match directory.hashes(tile) {
                Ok(tile) => published = tile,
                Err(error) => {
                    self.find(Kind::Tree, start + 1, format_args!("{tile} cannot be read: {error}"))
                }
            }
        }
        for (offset, (hash, signed)) in hashes.iter().zip(&published).enumerate() {
            if *hash != Some(*signed) {
                let (position, found) = (start + offset as u64 + 1, events[offset].as_ref().map(Leaf::of));
                self.mismatches.push(Mismatch { position, signed: *signed, found });
            }
        }
        // Where an event is missing, what was signed of it stands in, so that the rest can be compared all the same.
        let standing_in = |offset: usize| published.get(offset).copied().unwrap_or(Hash([0; 32]));
        let hashes: Vec<Hash> =
            (0..hashes.len()).map(|offset| hashes[offset].unwrap_or_else(|| standing_in(offset))).collect();
        let within = |end: &u64| (start + 1..start + TILE_WIDTH).contains(end);
        let whole = hashes.len() as u64 == TILE_WIDTH && !signed.ends.iter().any(within);
        self.leaves.push(if whole { Leaves::Tile(subtree_hash(&hashes)) } else { Leaves::Each(hashes) });
    }

    fn find(&mut self, kind: Kind, position: Position, detail: impl std::fmt::Display) {
        self.findings.push(Finding { position: Some(position), kind, detail: detail.to_string() });
    }
}
