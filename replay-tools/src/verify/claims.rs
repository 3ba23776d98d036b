//! The claims that the events make, against the table that the writer keeps.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Claim, registry::AnyEvent};
use event_store::{EventStore, HeldClaim, Position, StoreError, StreamId};

use super::{
    chunk::CHUNK,
    report::{Kind, Report},
};

/// How many keys are read at once.
const PAGE: usize = 5000;
/// How often the log may move on while its claims are compared.
const TRIES: usize = 20;

/// Who holds what, as the events say, and by which event.
#[derive(Default)]
pub(super) struct Claims(BTreeMap<HeldClaim, Position>);

impl Claims {
    /// What an event takes or frees.
    pub(super) fn take(&mut self, position: Position, by: StreamId, claim: Claim) {
        let held = |key, seat| HeldClaim { key, seat, by: by.clone() };
        match claim {
            Claim::Take(key) => _ = self.0.entry(held(key, false)).or_insert(position),
            Claim::Seat { key, .. } => _ = self.0.entry(held(key, true)).or_insert(position),
            Claim::Free(key) => {
                self.0.remove(&held(key.clone(), false));
                self.0.remove(&held(key, true));
            }
        }
    }

    /// Compares with the table, in which commands may be changing something at this very moment.
    pub(super) async fn compare(
        mut self,
        store: &EventStore,
        mut at: Position,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let mut suspicious = self.differing_keys(store).await?;
        for _ in 0..TRIES {
            if suspicious.is_empty() {
                return Ok(());
            }
            at = self.catch_up(store, at).await?;
            let mut differences = Vec::new();
            for key in &suspicious {
                let held: BTreeSet<HeldClaim> = store.holders(key).await?.into_iter().collect();
                let found = self.differences(key, &held);
                differences.extend(found.into_iter().map(|found| (key.clone(), found)));
            }
            if store.head().await?.position == at {
                for (_, (position, detail)) in differences {
                    report.find(Kind::Claim, position, detail);
                }
                return Ok(());
            }
            // The log moved on meanwhile: what differed because of that will not differ again.
            suspicious = differences.into_iter().map(|(key, _)| key).collect();
        }
        report.find(Kind::Claim, None, "the log moves too fast for its claims to be compared: try again");
        Ok(())
    }

    /// The keys whose holders are not those that the events say, perhaps only because the log has moved on.
    async fn differing_keys(&self, store: &EventStore) -> Result<BTreeSet<String>, StoreError> {
        let mut keys = BTreeSet::new();
        let mut own = self.0.keys().peekable();
        let mut after = String::new();
        loop {
            let page = store.claims(&after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.key);
            let page: BTreeSet<HeldClaim> = page.into_iter().collect();
            for held in &page {
                while let Some(missing) = own.next_if(|own| *own < held) {
                    keys.insert(missing.key.clone());
                }
                if own.next_if_eq(&held).is_none() {
                    keys.insert(held.key.clone());
                }
            }
        }
        keys.extend(own.map(|missing| missing.key.clone()));
        Ok(keys)
    }

    /// Takes in what was recorded since.
    async fn catch_up(&mut self, store: &EventStore, mut at: Position) -> Result<Position, StoreError> {
        loop {
            let events = store.read_all(at, CHUNK as usize).await?;
            let Some(last) = events.last() else { return Ok(at) };
            at = last.position;
            for event in &events {
                let StreamId { aggregate_type, aggregate_id } = &event.stream;
                let decoded =
                    AnyEvent::decode(aggregate_type, &event.event_type, &event.event_version, &event.payload);
                let (Ok(decoded), Ok(id)) = (decoded, aggregate_id.parse()) else { continue };
                for claim in decoded.claims(id) {
                    self.take(event.position, event.stream.clone(), claim);
                }
            }
        }
    }

    fn differences(&self, key: &str, held: &BTreeSet<HeldClaim>) -> Vec<(Option<Position>, String)> {
        let from = HeldClaim { key: key.to_owned(), seat: false, by: StreamId::new("", "") };
        let own = self.0.range(from..).take_while(|(claim, _)| claim.key == key);
        let missing = own.clone().filter(|(claim, _)| !held.contains(claim)).map(|(claim, position)| {
            (Some(*position), format!("the claim {key} is not in the table; {} holds it", claim.by))
        });
        let extra = held.iter().filter(|claim| !self.0.contains_key(claim)).map(|claim| {
            (None, format!("the claim {key} is in the table and no event gives it to {}", claim.by))
        });
        missing.chain(extra).collect()
    }
}
