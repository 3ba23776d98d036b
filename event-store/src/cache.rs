//! A bounded map that keeps what was used lately: two generations, of which the older is dropped as a whole.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, mem, thread};

/// How many entries may be freed without anybody noticing.
const FREED_IN_PLACE: usize = 1000;

type Map<K, V> = HashMap<K, V, ahash::RandomState>;

/// Holds between half of `capacity` and `capacity` of the entries used last. An entry lives on for at least
/// `capacity / 2` insertions of others; no list has to be kept in order, so a use costs one look-up. What is dropped is
/// freed on another thread: thousands of entries at once would hold up whoever happens to insert the next.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    young: Map<K, V>,
    old: Map<K, V>,
    half: usize,
}

impl<K: Eq + Hash + Send + 'static, V: Send + 'static> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { young: Map::default(), old: Map::default(), half: (capacity / 2).max(1) }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            let empty = Map::with_capacity_and_hasher(self.half, self.old.hasher().clone());
            let dropped = mem::replace(&mut self.old, mem::replace(&mut self.young, empty));
            if dropped.len() > FREED_IN_PLACE {
                thread::spawn(move || drop(dropped));
            }
        }
        self.young.insert(key, value);
    }

    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub(crate) fn update(&mut self, mut change: impl FnMut(&K, &mut V)) {
        self.young.iter_mut().chain(&mut self.old).for_each(|(key, value)| change(key, value));
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut cache = Cache::new(8);
        cache.insert(0, "used");
        for other in 1..100 {
            cache.insert(other, "other");
            assert_eq!(cache.get(&0).copied(), Some("used"));
            assert!(cache.young.len() + cache.old.len() <= 8);
        }
        assert_eq!(cache.get(&1), None);
    }

    #[test]
    fn a_removed_entry_is_gone_from_both_generations() {
        let mut cache = Cache::new(2);
        cache.insert('a', 1);
        cache.insert('b', 2);
        cache.remove(&'a');
        assert_eq!(cache.get(&'a'), None);
        assert_eq!(cache.get(&'b'), Some(&mut 2));
    }
}
