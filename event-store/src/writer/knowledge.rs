//! What the writer knows by heart, so that the hot path needs no query.
//!
//! While the fence holds nobody else has written: then every version here is exact. What the batches in flight will
//! leave is known ahead, marked with their number, and forgotten if they fail. Nothing here decides alone against a
//! command: a refusal waits until it rests on committed batches, and a doubt goes to the locked path.

use uuid::Uuid;

use super::request::Accepted;
use crate::{Claim, Condition, StreamId, cache::Cache};

/// How many streams, commands and claims are remembered (some 200 bytes each). Never fewer than two batches hold.
const REMEMBERED: usize = 1 << 17;

#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) version: u64,
    /// The batch that this comes from.
    batch: u64,
}

pub(super) struct Knowledge {
    versions: Cache<StreamId, Known>,
    commands: Cache<Uuid, u64>,
    claims: Cache<String, StreamId>,
    /// Every batch up to this one is committed.
    confirmed: u64,
}

impl Knowledge {
    pub(super) fn new() -> Self {
        Self {
            versions: Cache::new(REMEMBERED),
            commands: Cache::new(REMEMBERED),
            claims: Cache::new(REMEMBERED),
            confirmed: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.versions.clear();
        self.commands.clear();
        self.claims.clear();
    }

    pub(super) fn version(&mut self, stream: &StreamId) -> Option<Known> {
        self.versions.get(stream).copied()
    }

    /// Whether this is committed, and not only on its way.
    pub(super) fn is_confirmed(&self, known: Known) -> bool {
        known.batch <= self.confirmed
    }

    /// Whether a command was seen lately; `Some(false)`: it is on its way.
    pub(super) fn command(&mut self, command_id: Uuid) -> Option<bool> {
        let batch = *self.commands.get(&command_id)?;
        Some(batch <= self.confirmed)
    }

    /// Whether another stream took this key lately. It may have been freed since.
    pub(super) fn seems_taken(&mut self, key: &str, by: &StreamId) -> bool {
        self.claims.get(key).is_some_and(|holder| holder != by)
    }

    /// What `batch` will leave if it is committed.
    pub(super) fn expect(&mut self, accepted: &Accepted, batch: u64) {
        for Condition { stream, version } in &accepted.request.append.conditions {
            if self.versions.get(stream).is_none() {
                self.versions.insert(stream.clone(), Known { version: *version, batch });
            }
        }
        for (stream, version) in &accepted.versions {
            self.versions.insert(stream.clone(), Known { version: *version, batch });
        }
        self.commands.insert(accepted.request.append.command_id, batch);
        for claim in &accepted.request.append.claims {
            match claim {
                Claim::Take { key, by } => self.claims.insert(key.clone(), by.clone()),
                Claim::Free { key, .. } => self.claims.remove(key.as_str()),
                Claim::Seat { .. } => {}
            }
        }
    }

    /// All batches up to this one are committed.
    pub(super) fn confirm(&mut self, batch: u64) {
        self.confirmed = batch;
    }

    /// The batch with this command failed.
    pub(super) fn forget(&mut self, accepted: &Accepted) {
        let append = &accepted.request.append;
        append.conditions.iter().for_each(|condition| self.versions.remove(&condition.stream));
        accepted.versions.iter().for_each(|(stream, _)| self.versions.remove(stream));
        self.commands.remove(&append.command_id);
        append.claims.iter().for_each(|claim| self.claims.remove(claim.key()));
    }

    /// Another node has written this stream.
    pub(super) fn correct(&mut self, stream: &StreamId, version: u64) {
        if let Some(known) = self.versions.get(stream) {
            known.version = version;
        }
    }
}
