//! The state that a locked batch is decided against: what was read under the lock, and what was decided since.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::{Claim, StreamId, claims::seat_of};

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) versions: HashMap<StreamId, u64>,
    pub(super) commands: HashSet<Uuid>,
    before: BTreeMap<String, Holding>,
    now: BTreeMap<String, Holding>,
}

/// Who has what of a key.
#[derive(Clone, Default, PartialEq, Eq)]
struct Holding {
    alone: Option<StreamId>,
    seated: BTreeSet<StreamId>,
}

impl Holding {
    /// The rows of the table of claims, in it: (seat, holder).
    fn rows(&self) -> impl Iterator<Item = (String, &StreamId)> {
        let alone = self.alone.iter().map(|by| (seat_of(false, by).into_owned(), by));
        alone.chain(self.seated.iter().map(|by| (seat_of(true, by).into_owned(), by)))
    }
}

impl Ledger {
    /// A claim as it was read.
    pub(super) fn hold(&mut self, key: String, seat: bool, by: StreamId) {
        let holding = self.before.entry(key.clone()).or_default();
        if seat {
            holding.seated.insert(by);
        } else {
            holding.alone = Some(by);
        }
        self.now.insert(key, holding.clone());
    }

    /// Takes and frees in order, all or nothing. The error is the key that cannot be had.
    pub(super) fn claim(&mut self, claims: &[Claim]) -> Result<(), String> {
        let mut changed: BTreeMap<&str, Holding> = BTreeMap::new();
        for claim in claims {
            let key = claim.key();
            let holding =
                changed.entry(key).or_insert_with(|| self.now.get(key).cloned().unwrap_or_default());
            let taken = match claim {
                Claim::Take { by, .. } => {
                    let holder = holding.alone.get_or_insert_with(|| by.clone());
                    holder != by
                }
                Claim::Seat { limit, by, .. } => {
                    let full = holding.seated.len() >= usize::try_from(*limit).unwrap_or(usize::MAX);
                    !holding.seated.contains(by) && (full || !holding.seated.insert(by.clone()))
                }
                Claim::Free { by, .. } => {
                    holding.alone.take_if(|holder| holder == by);
                    holding.seated.remove(by);
                    false
                }
            };
            if taken {
                return Err(key.to_owned());
            }
        }
        self.now.extend(changed.into_iter().map(|(key, holding)| (key.to_owned(), holding)));
        Ok(())
    }

    /// The rows to be deleted and the rows to be inserted.
    pub(super) fn changes(&self) -> Changes<'_> {
        let nothing = Holding::default();
        let mut changes = Changes::default();
        for (key, now) in &self.now {
            let before = self.before.get(key).unwrap_or(&nothing);
            let had: BTreeSet<_> = before.rows().collect();
            let has: BTreeSet<_> = now.rows().collect();
            changes.gone.extend(had.difference(&has).map(|(seat, _)| (key.as_str(), seat.clone())));
            let new = now.rows().filter(|row| !had.contains(row));
            changes.new.extend(new.map(|(seat, by)| (key.as_str(), seat, by)));
        }
        changes
    }
}

#[derive(Default)]
pub(super) struct Changes<'a> {
    gone: Vec<(&'a str, String)>,
    new: Vec<(&'a str, String, &'a StreamId)>,
}

impl Changes<'_> {
    pub(super) fn freed(&self) -> (Vec<&str>, Vec<&str>) {
        self.gone.iter().map(|(key, seat)| (*key, seat.as_str())).unzip()
    }

    pub(super) fn taken(&self) -> (Vec<&str>, Vec<&str>, Vec<&str>, Vec<&str>) {
        let (mut keys, mut seats, mut types, mut ids) = (vec![], vec![], vec![], vec![]);
        for (key, seat, by) in &self.new {
            keys.push(*key);
            seats.push(seat.as_str());
            types.push(&*by.aggregate_type);
            ids.push(&*by.aggregate_id);
        }
        (keys, seats, types, ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(id: &str) -> StreamId {
        StreamId::new("t", id)
    }

    fn take(key: &str, id: &str) -> Claim {
        Claim::Take { key: key.into(), by: by(id) }
    }

    fn seat(key: &str, id: &str) -> Claim {
        Claim::Seat { key: key.into(), limit: 2, by: by(id) }
    }

    fn free(key: &str, id: &str) -> Claim {
        Claim::Free { key: key.into(), by: by(id) }
    }

    #[test]
    fn a_key_is_taken_once_until_its_holder_frees_it() {
        let mut ledger = Ledger::default();
        ledger.hold("k".into(), false, by("a"));
        assert_eq!(ledger.claim(&[take("k", "b")]), Err("k".into()));
        assert_eq!(ledger.claim(&[free("k", "b"), take("k", "b")]), Err("k".into()));
        assert_eq!(ledger.claim(&[take("k", "a")]), Ok(()), "its own holder may take it again");
        assert!(ledger.changes().gone.is_empty() && ledger.changes().new.is_empty());
        assert_eq!(ledger.claim(&[free("k", "a")]), Ok(()));
        assert_eq!(ledger.claim(&[take("k", "b")]), Ok(()));
        assert_eq!(ledger.changes().freed(), (vec!["k"], vec![""]));
        assert_eq!(ledger.changes().taken(), (vec!["k"], vec![""], vec!["t"], vec!["b"]));
    }

    #[test]
    fn a_refused_command_leaves_no_claim_behind() {
        let mut ledger = Ledger::default();
        ledger.hold("held".into(), false, by("a"));
        assert_eq!(ledger.claim(&[take("free", "b"), take("held", "b")]), Err("held".into()));
        assert!(ledger.changes().new.is_empty());
        assert_eq!(ledger.claim(&[take("free", "c")]), Ok(()));
    }

    #[test]
    fn seats_are_counted_and_freed() {
        let mut ledger = Ledger::default();
        ledger.hold("s".into(), true, by("a"));
        assert_eq!(ledger.claim(&[seat("s", "b")]), Ok(()));
        assert_eq!(ledger.claim(&[seat("s", "b")]), Ok(()), "whoever sits may sit");
        assert_eq!(ledger.claim(&[seat("s", "c")]), Err("s".into()));
        assert_eq!(ledger.claim(&[free("s", "a"), seat("s", "c")]), Ok(()));
        assert_eq!(ledger.changes().freed(), (vec!["s"], vec!["t/a"]));
        assert_eq!(ledger.changes().taken().1, vec!["t/b", "t/c"]);
    }
}
