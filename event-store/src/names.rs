//! Names of things: streams, and the few hundred type names that recur in millions of events.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::HashSet,
    fmt,
    sync::{Arc, LazyLock, RwLock},
};

/// One stream: the events of one aggregate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// `context.aggregate` in snake case, such as `opportunities.scholarship_application`.
    pub aggregate_type: Cow<'static, str>,
    /// The aggregate's identifier.
    pub aggregate_id: Arc<str>,
}

impl StreamId {
    /// The stream of the aggregate `aggregate_id` of type `aggregate_type`.
    pub fn new(aggregate_type: impl Into<Cow<'static, str>>, aggregate_id: impl Into<Arc<str>>) -> Self {
        Self { aggregate_type: aggregate_type.into(), aggregate_id: aggregate_id.into() }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.aggregate_type, self.aggregate_id)
    }
}

/// How many distinct names are kept for ever. A log has some hundred; one that has more is served without interning.
const INTERNED: usize = 8192;

/// The cheapest form of a name that somebody gave us.
pub(crate) fn keep(name: Cow<'static, str>) -> Cow<'static, str> {
    match name {
        Cow::Borrowed(_) => name,
        Cow::Owned(name) => intern(&name),
    }
}

static NAMES: LazyLock<RwLock<HashSet<&'static str>>> = LazyLock::new(RwLock::default);

thread_local! {
    /// The names that this thread has met. Those of all threads are behind a lock, to which every look-up would write.
    static MET: RefCell<ahash::HashSet<&'static str>> = RefCell::default();
}

/// The one copy of a type name, so that reading a million events does not allocate it a million times.
pub(crate) fn intern(name: &str) -> Cow<'static, str> {
    if let Some(met) = MET.with_borrow(|met| met.get(name).copied()) {
        return Cow::Borrowed(met);
    }
    let known = shared(name);
    if let Cow::Borrowed(known) = known {
        MET.with_borrow_mut(|met| met.insert(known));
    }
    known
}

/// The copy that all threads share.
fn shared(name: &str) -> Cow<'static, str> {
    if let Some(known) = NAMES.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(name) {
        return Cow::Borrowed(known);
    }
    let mut names = NAMES.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(known) = names.get(name) {
        return Cow::Borrowed(known);
    }
    if names.len() >= INTERNED {
        return Cow::Owned(name.to_owned());
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    Cow::Borrowed(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_copy_on_all_threads() {
        let own = intern("tests.interned");
        let Cow::Borrowed(other) = std::thread::spawn(|| intern("tests.interned")).join().unwrap() else {
            panic!("it is not kept")
        };
        assert!(matches!(own, Cow::Borrowed(own) if std::ptr::eq(own, other)));
        assert!(matches!(intern("tests.interned"), Cow::Borrowed(again) if std::ptr::eq(again, other)));
    }
}
