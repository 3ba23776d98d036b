//! The claims that the events make, against the table that the writer keeps.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    mem,
};

use domain::{Claim, OpeningScope, RecordClass, identity::AccountEvent, registry::AnyEvent};
use event_store::{EventStore, HeldClaim, History, Keyring, Position, Recorded, StoreError, StreamId};

use super::{
    chunk::{CHUNK, decode},
    report::{Kind, Report},
};

/// How many keys are read at once.
const PAGE: usize = 5000;
/// How often the log may move on while its claims are compared.
const TRIES: usize = 20;
/// The class of the sealed values that claims are made of.
const CLAIMED: RecordClass = RecordClass::Identity;

/// What an event does to the claims.
#[derive(Debug)]
enum Change {
    /// It takes or frees.
    Claim(Claim),
    /// Its stream ends, and holds nothing any more.
    End,
    /// What it takes or frees is not known: the key is gone.
    Gone,
    /// What it takes or frees is not known: the key could not be loaded.
    Locked,
}

/// What the events of a part of the log do to the claims.
#[derive(Debug, Default)]
pub(super) struct Changes {
    made: Vec<(Position, StreamId, Change)>,
    /// The events that say so in what is sealed.
    sealed: Vec<Recorded>,
}

impl Changes {
    /// Takes in an event that was decoded without its sealed values.
    pub(super) fn take(&mut self, event: &Recorded, decoded: &AnyEvent) {
        match decoded {
            AnyEvent::Account(AccountEvent::AccountErased { .. }) => self.add(event, [Change::End]),
            decoded if event.sealed.is_some() && claims_what_is_sealed(decoded) => {
                self.sealed.push(event.clone());
            }
            decoded => self.add(event, claims(event, decoded)),
        }
    }

    fn add(&mut self, event: &Recorded, changes: impl IntoIterator<Item = Change>) {
        let changes = changes.into_iter().map(|change| (event.position, event.stream.clone(), change));
        self.made.extend(changes);
    }

    /// Opens what is sealed, and says of which events it does not open although there are keys, and why.
    pub(super) async fn open(&mut self, keyring: &Keyring) -> Result<Vec<(Position, String)>, StoreError> {
        let mut altered = Vec::new();
        if self.sealed.is_empty() {
            return Ok(altered);
        }
        let sealed = mem::take(&mut self.sealed);
        let history = keyring.history();
        match history.load_for(&sealed).await {
            // Of which events that is so shows when they are opened.
            Ok(()) | Err(StoreError::Configuration(_) | StoreError::Unreadable(_)) => {}
            Err(error) => return Err(error),
        }
        for event in &sealed {
            match opened(&history, event) {
                Ok(changes) => self.add(event, changes),
                Err(StoreError::KeyNotLoaded) => self.add(event, [Change::Locked]),
                Err(StoreError::Unreadable(why)) => altered.push((event.position, why)),
                Err(error) => return Err(error),
            }
        }
        self.made.sort_by_key(|(position, ..)| *position);
        Ok(altered)
    }
}

/// Whether an event takes or frees what is made of its sealed values: only these are opened.
fn claims_what_is_sealed(event: &AnyEvent) -> bool {
    use AccountEvent as E;
    matches!(
        event,
        AnyEvent::Account(
            E::AccountRegistered { .. }
                | E::AccountDeactivated { freed: Some(_), .. }
                | E::EmailChanged { .. }
                | E::SsoIdentityLinked { .. }
                | E::SsoIdentityUnlinked { .. }
        )
    )
}

fn claims(event: &Recorded, decoded: &AnyEvent) -> impl Iterator<Item = Change> {
    let id = event.stream.aggregate_id.parse();
    id.map(|id| decoded.claims(id)).unwrap_or_default().into_iter().map(Change::Claim)
}

/// What an event takes and frees by its sealed values.
fn opened(history: &History, event: &Recorded) -> Result<Vec<Change>, StoreError> {
    let boxes = Keyring::boxes(event.sealed.as_deref().unwrap_or_default())?;
    let values = history.open(event)?;
    let is_gone =
        boxes.iter().zip(&values).any(|(header, values)| header.class == CLAIMED.name() && values.is_none());
    let groups = boxes.iter().zip(values).map(|(header, values)| Some((header.subject, values?))).collect();
    // Why serde cannot read a value may quote it.
    let decoded = OpeningScope::with(groups, || decode(event))
        .map_err(|_| StoreError::Unreadable("a sealed value is not of the type of its field".into()))?;
    Ok(claims(event, &decoded).chain(is_gone.then_some(Change::Gone)).collect())
}

/// Who holds what, as the events say, and by which event.
#[derive(Default)]
pub(super) struct Claims {
    taken: BTreeMap<HeldClaim, Position>,
    ended: HashSet<StreamId>,
    gone: HashSet<StreamId>,
    locked: HashSet<StreamId>,
}

/// A holder that the table and the events do not agree on.
struct Difference {
    by: StreamId,
    position: Option<Position>,
    detail: String,
}

impl Claims {
    /// Takes in what the next events do.
    pub(super) fn take(&mut self, changes: Changes) {
        for (position, by, change) in changes.made {
            match change {
                Change::Claim(claim) => self.claim(position, by, claim),
                Change::End => _ = self.ended.insert(by),
                Change::Gone => _ = self.gone.insert(by),
                Change::Locked => _ = self.locked.insert(by),
            }
        }
    }

    fn claim(&mut self, position: Position, by: StreamId, claim: Claim) {
        let held = |key, seat| HeldClaim { key, seat, by: by.clone() };
        match claim {
            Claim::Take(key) => _ = self.taken.entry(held(key, false)).or_insert(position),
            Claim::Seat { key, .. } => _ = self.taken.entry(held(key, true)).or_insert(position),
            Claim::Free(key) => {
                self.taken.remove(&held(key.clone(), false));
                self.taken.remove(&held(key, true));
            }
        }
    }

    fn holds(&self, claim: &HeldClaim) -> bool {
        !self.ended.contains(&claim.by) && self.taken.contains_key(claim)
    }

    /// Compares with the table, in which commands may be changing something at this very moment.
    pub(super) async fn compare(
        mut self,
        store: &EventStore,
        mut at: Position,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        if !self.locked.is_empty() {
            report.notes.push(format!(
                "what {} streams claim was not checked: the keys of what it is made of cannot be read with this master key",
                self.locked.len()
            ));
        }
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
                return self.tell(store, differences.into_iter().map(|(_, found)| found), report).await;
            }
            // The log moved on meanwhile: what differed because of that will not differ again.
            suspicious = differences.into_iter().map(|(key, _)| key).collect();
        }
        report.find(Kind::Claim, None, "the log moves too fast for its claims to be compared: try again");
        Ok(())
    }

    /// Tells of what differs. Where the keys of a stream are gone and it was not erased, it may be as the table says.
    async fn tell(
        &self,
        store: &EventStore,
        differences: impl Iterator<Item = Difference>,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let mut unknown = 0;
        for Difference { by, position, detail } in differences {
            let is_hidden = self.gone.contains(&by) || self.locked.contains(&by);
            match by.aggregate_id.parse() {
                Ok(person) if is_hidden && !store.keyring().is_erased(person, CLAIMED.name()).await? => {
                    unknown += u64::from(!self.locked.contains(&by));
                }
                _ => report.find(Kind::Claim, position, detail),
            }
        }
        if unknown > 0 {
            report.notes.push(format!(
                "{unknown} claims were not checked: the keys of what they are made of have reached their end"
            ));
        }
        Ok(())
    }

    /// The keys whose holders are not those that the events say, perhaps only because the log has moved on.
    async fn differing_keys(&self, store: &EventStore) -> Result<BTreeSet<String>, StoreError> {
        let mut keys = BTreeSet::new();
        let mut own = self.taken.keys().filter(|claim| self.holds(claim)).peekable();
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
            let mut changes = Changes::default();
            for event in &events {
                if let Ok(decoded) = decode(event) {
                    changes.take(event, &decoded);
                }
            }
            changes.open(store.keyring()).await?;
            self.take(changes);
        }
    }

    fn differences(&self, key: &str, held: &BTreeSet<HeldClaim>) -> Vec<Difference> {
        let from = HeldClaim { key: key.to_owned(), seat: false, by: StreamId::new("", "") };
        let own = self.taken.range(from..).take_while(|(claim, _)| claim.key == key);
        let own = own.filter(|(claim, _)| self.holds(claim));
        let missing = own.filter(|(claim, _)| !held.contains(claim)).map(|(claim, position)| Difference {
            by: claim.by.clone(),
            position: Some(*position),
            detail: format!("the claim {key} is not in the table; {} holds it", claim.by),
        });
        let extra = held.iter().filter(|claim| !self.holds(claim)).map(|claim| Difference {
            by: claim.by.clone(),
            position: None,
            detail: format!("the claim {key} is in the table and no event gives it to {}", claim.by),
        });
        missing.chain(extra).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use domain::{
        Decider, Event,
        registry::{Visitor, every_aggregate},
        testing::{Golden, history_of},
    };
    use strum::VariantNames;
    use uuid::Uuid;

    use super::*;

    /// The golden events that claim something else when what is sealed in them is read, and those that are opened.
    #[derive(Default)]
    struct Known {
        by_sealed_values: BTreeSet<String>,
        opened: BTreeSet<String>,
    }

    impl Visitor for Known {
        fn aggregate<D: Decider>(&mut self) {
            for (name, version) in D::Event::VARIANTS
                .iter()
                .flat_map(|name| (1..=D::Event::version(name)).map(move |v| (*name, v)))
            {
                let text = fs::read(history_of::<D>().join(format!("{name}.v{version}.json"))).unwrap();
                let golden: Golden = serde_json::from_slice(&text).unwrap();
                if name == "AccountErased" {
                    continue; // Whatever it frees: its stream ends.
                }
                let claims = |with_keys| D::claims(Uuid::nil(), &golden.read::<D>(name, version, with_keys));
                if claims(true) != claims(false) {
                    let classes = golden.personal.iter().map(|group| group.class);
                    assert!(classes.clone().any(|class| class == CLAIMED), "{name}: of another class");
                    self.by_sealed_values.insert(format!("{name} v{version}"));
                }
                let sealed = OpeningScope::with(golden.personal.iter().map(|_| None).collect(), || {
                    AnyEvent::decode(D::TYPE, name, &version.to_string(), &golden.payload.to_string())
                        .unwrap()
                });
                if claims_what_is_sealed(&sealed) {
                    self.opened.insert(format!("{name} v{version}"));
                }
            }
        }
    }

    #[test]
    fn every_event_that_claims_by_what_is_sealed_is_opened_and_no_other() {
        let mut known = Known::default();
        every_aggregate(&mut known);
        assert!(!known.opened.is_empty());
        assert_eq!(known.opened, known.by_sealed_values);
    }
}
