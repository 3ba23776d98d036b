//! Specs of folds that read as sentences: `given::<Model>(events).then(rows)`.

use std::{collections::BTreeMap, fmt::Debug};

use domain::registry::AnyEvent;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::{Envelope, Fact},
    table::{KeyOf, Ledger, Table},
};

/// Rows that facts led to, in the order of their keys.
pub struct Folded<R>(Vec<R>);

/// Facts of these aggregates at positions 1, 2, 3 …, a second apart from noon of 1 January 2026.
pub fn facts(events: impl IntoIterator<Item = (Uuid, AnyEvent)>) -> Vec<Fact> {
    let noon: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a literal instant");
    let fact = |(index, (id, event)): (usize, (Uuid, AnyEvent))| {
        let at = noon + jiff::SignedDuration::from_secs(index as i64);
        let envelope = Envelope { actor: "user:test".to_owned(), occurred_at: at, ..Envelope::default() };
        Fact::imagined(index as u64 + 1, at, id, event).with_envelope(envelope)
    };
    events.into_iter().enumerate().map(fact).collect()
}

/// Folds events into a table.
pub fn given<T: Table>(events: impl IntoIterator<Item = (Uuid, AnyEvent)>) -> Folded<T::Row> {
    given_facts::<T>(&facts(events))
}

/// Folds facts into a table.
pub fn given_facts<T: Table>(facts: &[Fact]) -> Folded<T::Row> {
    let mut rows: BTreeMap<KeyOf<T>, T::Row> = BTreeMap::new();
    let mut keys = Vec::new();
    for fact in facts.iter().filter(|fact| wanted(T::FED_BY, fact)) {
        keys.clear();
        T::keys(fact, &mut keys);
        for key in &keys {
            if let Some(row) = T::fold(key, rows.remove(key), fact) {
                rows.insert(key.clone(), row);
            }
        }
    }
    Folded(rows.into_values().collect())
}

/// Appends events to a ledger.
pub fn given_entries<L: Ledger>(events: impl IntoIterator<Item = (Uuid, AnyEvent)>) -> Folded<L::Row> {
    let mut rows = Vec::new();
    for fact in facts(events).iter().filter(|fact| wanted(L::FED_BY, fact)) {
        L::entries(fact, &mut rows);
    }
    Folded(rows)
}

fn wanted(fed_by: &[&str], fact: &Fact) -> bool {
    fed_by.iter().any(|wanted| *wanted == "*" || *wanted == fact.event.aggregate_type())
}

impl<R: Debug + PartialEq> Folded<R> {
    /// Exactly these rows are there.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = R>) {
        assert_eq!(self.0, expected.into_iter().collect::<Vec<_>>());
    }

    /// The rows.
    pub fn rows(self) -> Vec<R> {
        self.0
    }
}
