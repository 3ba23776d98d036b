//! Folding in memory: the rows that a batch of facts touches, each folded in the order of the log.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    panic::{AssertUnwindSafe, catch_unwind},
};

use domain::OpeningScope;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    model::{Changed, Changes, Part, Poison, Stage, Stored},
    row::{Key, Row, RowError, Value},
    table::{KeyOf, Ledger, Table},
};

/// One row in memory.
struct Slot<R> {
    row: Option<R>,
    /// Whether the table has a row with this key.
    stored: bool,
    /// Whether the table has another row, or none, or one too many.
    dirty: bool,
    as_of: u64,
    at: Timestamp,
    subjects: Vec<Uuid>,
}

impl<R> Slot<R> {
    const EMPTY: Self = Slot {
        row: None,
        stored: false,
        dirty: false,
        as_of: 0,
        at: Timestamp::UNIX_EPOCH,
        subjects: Vec::new(),
    };
}

pub(crate) struct TableStage<T: Table> {
    slots: HashMap<KeyOf<T>, Slot<T::Row>>,
    /// The rows that each fact of the present batch touches: how many, and their keys one after the other.
    counts: Vec<usize>,
    touched: Vec<KeyOf<T>>,
    part: Part,
}

/// Runs code of a read model; a panic becomes a reason.
fn guarded<R>(position: u64, run: impl FnOnce() -> R) -> Result<R, Poison> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let reason = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Poison { position, reason: reason.unwrap_or_else(|| "the fold panicked".to_owned()) }
    })
}

impl<T: Table> TableStage<T> {
    pub(crate) fn new() -> Self {
        TableStage { slots: HashMap::new(), counts: Vec::new(), touched: Vec::new(), part: Part::WHOLE }
    }

    fn changed(slot: &Slot<T::Row>, row: &T::Row) -> Result<Changed, RowError> {
        let mut values = Vec::with_capacity(<T::Row as Row>::COLUMNS.len());
        row.values(&mut values);
        let (places, groups) = row.seal()?;
        Ok(Changed {
            values,
            as_of: slot.as_of,
            at: slot.at,
            subjects: slot.subjects.clone(),
            places,
            groups,
        })
    }
}

impl<T: Table> Stage for TableStage<T> {
    fn restrict(&mut self, part: Part) {
        self.part = part;
    }

    fn touch(&mut self, facts: &[&Fact]) -> Result<Vec<Vec<Value>>, Poison> {
        self.counts.clear();
        self.touched.clear();
        let mut keys = Vec::new();
        let mut missing = Vec::new();
        for fact in facts {
            keys.clear();
            guarded(fact.position, || T::keys(fact, &mut keys))?;
            let before = self.touched.len();
            for key in keys.drain(..) {
                if !holds(self.part, &key) || self.touched[before..].contains(&key) {
                    continue;
                }
                if !self.slots.contains_key(&key) {
                    self.slots.insert(key.clone(), Slot::EMPTY);
                    missing.push(values_of(&key));
                }
                self.touched.push(key);
            }
            self.counts.push(self.touched.len() - before);
        }
        Ok(missing)
    }

    fn take(&mut self, stored: Stored) -> Result<(), RowError> {
        let Stored { values, as_of, subjects, places, opened } = stored;
        let row = OpeningScope::with(opened, || T::Row::read(values, &places))?;
        let slot =
            Slot { row: Some(row.clone()), stored: true, dirty: false, as_of, subjects, ..Slot::EMPTY };
        self.slots.insert(row.key(), slot);
        Ok(())
    }

    fn fold(&mut self, facts: &[&Fact]) -> Result<(), Poison> {
        let mut touched = self.touched.drain(..);
        for (fact, count) in facts.iter().zip(self.counts.drain(..)) {
            for key in touched.by_ref().take(count) {
                let slot = match self.slots.entry(key.clone()) {
                    Entry::Occupied(slot) => slot.into_mut(),
                    Entry::Vacant(slot) => slot.insert(Slot::EMPTY),
                };
                let before = slot.row.take();
                let existed = before.is_some();
                slot.row = guarded(fact.position, || T::fold(&key, before, fact))?;
                if slot.row.is_none() && !existed {
                    continue;
                }
                if !existed || slot.row.is_none() {
                    slot.subjects.clear();
                }
                if T::OPTIONS.about_people && slot.row.is_some() {
                    for subject in fact.subjects() {
                        if !slot.subjects.contains(&subject) {
                            slot.subjects.push(subject);
                        }
                    }
                }
                slot.dirty = true;
                slot.as_of = fact.position;
                slot.at = fact.recorded_at;
            }
        }
        Ok(())
    }

    fn changes(&mut self) -> Result<Changes, RowError> {
        let mut changes = Changes::default();
        for (key, slot) in &mut self.slots {
            if !std::mem::take(&mut slot.dirty) {
                continue;
            }
            match &slot.row {
                Some(row) => changes.upserts.push(Self::changed(slot, row)?),
                None if slot.stored => changes.deletes.push(values_of(key)),
                None => {}
            }
            slot.stored = slot.row.is_some();
        }
        Ok(changes)
    }

    fn drain(&mut self, limit: usize) -> Result<Changes, RowError> {
        let mut changes = Changes::default();
        for (key, slot) in self.slots.extract_if(|_, _| true).take(limit) {
            match &slot.row {
                Some(row) if slot.dirty => changes.upserts.push(Self::changed(&slot, row)?),
                None if slot.stored => changes.deletes.push(values_of(&key)),
                Some(_) | None => {}
            }
        }
        if self.slots.is_empty() {
            self.slots = HashMap::new();
        }
        Ok(changes)
    }

    fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn size(&self) -> usize {
        const SAMPLE: usize = 32;
        let mut values = Vec::new();
        let sampled: usize = (self.slots.values().filter_map(|slot| slot.row.as_ref()).take(SAMPLE))
            .map(|row| {
                values.clear();
                row.values(&mut values);
                values.iter().map(Value::size).sum::<usize>()
                    + <T::Row as Row>::PERSONAL.len() * 96
                    + size_of::<Slot<T::Row>>()
            })
            .sum();
        let rows = self.slots.len();
        sampled.checked_div(rows.min(SAMPLE)).unwrap_or(0) * rows
    }
}

fn values_of<K: Key>(key: &K) -> Vec<Value> {
    let mut values = Vec::new();
    key.values(&mut values);
    values
}

/// Whether a key belongs to a part.
fn holds<K: std::hash::Hash>(part: Part, key: &K) -> bool {
    part.of == 1 || BuildHasherDefault::<DefaultHasher>::default().hash_one(key) % part.of == part.index
}

pub(crate) struct LedgerStage<L: Ledger> {
    entries: Vec<(L::Row, u64, Timestamp, Vec<Uuid>)>,
    part: Part,
}

impl<L: Ledger> LedgerStage<L> {
    pub(crate) fn new() -> Self {
        LedgerStage { entries: Vec::new(), part: Part::WHOLE }
    }
}

impl<L: Ledger> Stage for LedgerStage<L> {
    fn restrict(&mut self, part: Part) {
        self.part = part;
    }

    fn touch(&mut self, _: &[&Fact]) -> Result<Vec<Vec<Value>>, Poison> {
        Ok(Vec::new())
    }

    fn take(&mut self, _: Stored) -> Result<(), RowError> {
        Ok(())
    }

    fn fold(&mut self, facts: &[&Fact]) -> Result<(), Poison> {
        let mut rows = Vec::new();
        for fact in facts.iter().filter(|fact| fact.position % self.part.of == self.part.index) {
            guarded(fact.position, || L::entries(fact, &mut rows))?;
            for row in rows.drain(..) {
                let subjects = match L::OPTIONS.about_people {
                    true => fact.subjects(),
                    false => Vec::new(),
                };
                self.entries.push((row, fact.position, fact.recorded_at, subjects));
            }
        }
        Ok(())
    }

    fn changes(&mut self) -> Result<Changes, RowError> {
        self.drain(usize::MAX)
    }

    fn drain(&mut self, limit: usize) -> Result<Changes, RowError> {
        let changed = |(row, as_of, at, subjects): (L::Row, u64, Timestamp, Vec<Uuid>)| {
            let mut values = Vec::with_capacity(<L::Row as Row>::COLUMNS.len());
            row.values(&mut values);
            let (places, groups) = row.seal()?;
            Ok::<_, RowError>(Changed { values, as_of, at, subjects, places, groups })
        };
        let some = self.entries.drain(..limit.min(self.entries.len()));
        Ok(Changes { upserts: some.map(changed).collect::<Result<_, _>>()?, deletes: Vec::new() })
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn size(&self) -> usize {
        let sampled = self.entries.first().map_or(0, |(row, ..)| {
            let mut values = Vec::new();
            row.values(&mut values);
            values.iter().map(Value::size).sum::<usize>() + <L::Row as Row>::PERSONAL.len() * 96 + 64
        });
        sampled * self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::{identity::OrgUnitEvent as E, registry::AnyEvent};
    use proptest::prelude::*;

    use super::*;
    use crate::{identity::OrgDirectory, model::ReadModel, model::TableModel, testing::facts};

    /// What is in the table after everything was folded, in batches that end at these places, in so many parts, each
    /// batch with an empty memory or each with that of the one before.
    fn table(events: &[(u8, E)], ends: &[usize], parts: u64, remembers: bool) -> BTreeMap<String, String> {
        let facts = facts(
            events
                .iter()
                .map(|(id, event)| (Uuid::from_u128((*id).into()), AnyEvent::OrgUnit(event.clone()))),
        );
        let facts: Vec<&Fact> = facts.iter().collect();
        let mut table: BTreeMap<String, Changed> = BTreeMap::new();
        for index in 0..parts {
            let begin = || {
                let mut stage = TableModel::<OrgDirectory>::NEW.stage();
                stage.restrict(Part { index, of: parts });
                stage
            };
            let mut stage = begin();
            let mut from = 0;
            for end in ends.iter().copied().chain([facts.len()]).filter(|end| *end <= facts.len()) {
                let batch = &facts[from.min(end)..end];
                from = from.max(end);
                if !remembers {
                    stage = begin();
                }
                for key in stage.touch(batch).unwrap() {
                    if let Some(row) = table.get(&key[0].to_text().unwrap()) {
                        stage.take(stored(row)).unwrap();
                    }
                }
                stage.fold(batch).unwrap();
                let changes = stage.changes().unwrap();
                for key in changes.deletes {
                    table.remove(&key[0].to_text().unwrap());
                }
                for row in changes.upserts {
                    table.insert(row.values[0].to_text().unwrap(), row);
                }
            }
        }
        let text = |row: &Changed| {
            let values: Vec<_> = row.values.iter().map(Value::to_json).collect();
            format!("{values:?} {} {:?} {} {:?}", row.as_of, row.subjects, row.places, row.groups)
        };
        table.iter().map(|(key, row)| (key.clone(), text(row))).collect()
    }

    fn stored(row: &Changed) -> Stored {
        let opened = row.groups.iter().map(|group| Some((group.subject, group.values.clone())));
        Stored {
            values: row.values.clone(),
            as_of: row.as_of,
            subjects: row.subjects.clone(),
            places: row.places.clone(),
            opened: opened.collect(),
        }
    }

    fn event() -> impl Strategy<Value = E> {
        use domain::identity::{OrgKind, OrgType};
        let contact =
            |id: u8| Some(domain::Personal::about(Uuid::from_u128(id.into()), format!("{id}@example.edu")));
        prop_oneof![
            (0..9_u8).prop_map(move |id| E::OrgUnitCreated {
                kind: OrgKind::Faculty,
                code: format!("F{id}"),
                name: "Faculty".into(),
                r#type: OrgType::College,
                parent: None,
                country: "US".into(),
                city: None,
                website: None,
                contact_email: contact(id),
            }),
            (0..9_u8).prop_map(move |id| E::OrgUnitRevised {
                name: Some(format!("Name {id}")),
                r#type: None,
                city: None,
                website: None,
                contact_email: if id % 2 == 0 { contact(id) } else { None },
            }),
            Just(E::OrgUnitDeactivated { reason: String::new() }),
            Just(E::OrgUnitReactivated {}),
        ]
    }

    proptest! {
        #[test]
        fn however_a_log_is_cut_into_batches_and_parts_the_rows_are_the_same(
            events in prop::collection::vec((0..5_u8, event()), 0..40),
            mut ends in prop::collection::vec(0..40_usize, 0..6),
            parts in 1..4_u64,
            remembers: bool,
        ) {
            ends.sort_unstable();
            prop_assert_eq!(table(&events, &ends, parts, remembers), table(&events, &[], 1, true));
        }
    }
}
