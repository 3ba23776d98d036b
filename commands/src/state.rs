//! Aggregate state: folded from the log, and kept in memory for the next command.
//!
//! A kept state may be behind the log where another node writes; whoever uses it either makes its version a condition of
//! the append or brings it up to date first. It is never the truth. It may hold personal values in the clear: when keys
//! are destroyed, whatever was kept before is let go.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::{
    Decider, OpeningScope, PersonalGroup, SealingScope, Versioned,
    registry::{self, AnyEvent, DecodeError},
};
use event_store::{EventStore, Keyring, Recorded, StoreError, StreamId};
use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::CommandError;

type Key = (&'static str, Uuid);

#[derive(Clone)]
struct Kept {
    version: u64,
    state: Arc<dyn Any + Send + Sync>,
}

/// The states that were used last.
pub(crate) struct States {
    kept: Cache<Key, Kept>,
    /// How many destructions of keys were known when the oldest of them was read.
    shreds: AtomicU64,
}

impl States {
    pub(crate) fn new(capacity: usize) -> Self {
        States { kept: Cache::new(capacity), shreds: AtomicU64::new(0) }
    }

    /// Lets go of what was read before keys were destroyed. What is read from now on may be kept with this number.
    pub(crate) fn since(&self, keyring: &Keyring) -> u64 {
        let known = keyring.known_shreds();
        if self.shreds.swap(known, Ordering::AcqRel) != known {
            self.kept.clear();
        }
        known
    }

    /// What is in memory, however old.
    pub(crate) fn recall<D: Decider>(&self, id: Uuid) -> Option<Versioned<D>> {
        let kept = self.kept.get(&(D::TYPE, id))?;
        let state = kept.state.downcast::<D>().ok()?;
        Some(Versioned { state, version: kept.version })
    }

    /// Keeps what was read since so many destructions, unless there was another one meanwhile.
    pub(crate) fn keep<D: Decider>(&self, id: Uuid, found: &Versioned<D>, since: u64, keyring: &Keyring) {
        let kept = Kept { version: found.version, state: found.state.clone() };
        self.kept.insert((D::TYPE, id), kept);
        // After the insertion: whoever lets go in between finds it there.
        if self.since(keyring) != since {
            self.kept.remove(&(D::TYPE, id));
        }
    }

    /// The state as the log has it now: what is in memory and what came after it.
    pub(crate) async fn read<D: Decider>(
        &self,
        store: &EventStore,
        id: Uuid,
    ) -> Result<Versioned<D>, CommandError> {
        let since = self.since(store.keyring());
        let known = self.recall::<D>(id).unwrap_or_else(|| Versioned { state: Arc::default(), version: 0 });
        let stream = stream::<D>(id);
        let news = store.read_stream(&stream, known.version, None).await?;
        let Some(last) = news.last() else { return Ok(known) };
        let version = last.sequence;
        let events = open_events::<D>(store.keyring(), &news).await?;
        let mut state = known.state;
        let folded = Arc::make_mut(&mut state);
        events.iter().for_each(|event| folded.evolve(event));
        let found = Versioned { state, version };
        self.keep(id, &found, since, store.keyring());
        Ok(found)
    }
}

/// The stream of an aggregate.
pub fn stream<D: Decider>(id: Uuid) -> StreamId {
    StreamId::new(D::TYPE, &*id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

/// Reads recorded events of one aggregate type; personal values whose key is gone read as erased.
pub async fn open_events<D: Decider>(
    keyring: &Keyring,
    recorded: &[Recorded],
) -> Result<Vec<D::Event>, CommandError> {
    if recorded.iter().any(|event| event.sealed.is_some()) {
        keyring.load_for(recorded).await?;
    }
    let events = recorded.iter().map(|event| {
        opened(keyring, event, || {
            registry::decode::<D>(&event.event_type, &event.event_version, &event.payload)
        })
    });
    events.collect()
}

/// A state as JSON with places where personal values belong, and these.
pub type FoldedState = (String, Vec<PersonalGroup>);

/// What an aggregate of any type is after these events of its stream, whose keys were loaded; none where no aggregate has
/// that type. Without keys everything personal folds as if it were erased.
///
/// # Errors
/// When an event cannot be read.
pub fn state_after(
    keyring: &Keyring,
    events: &[Recorded],
    with_keys: bool,
) -> Result<Option<FoldedState>, CommandError> {
    let mut folding = Folding { keyring, events, with_keys, folded: Ok(None) };
    registry::every_aggregate(&mut folding);
    folding.folded
}

struct Folding<'a> {
    keyring: &'a Keyring,
    events: &'a [Recorded],
    with_keys: bool,
    folded: Result<Option<FoldedState>, CommandError>,
}

impl registry::Visitor for Folding<'_> {
    fn aggregate<D: Decider>(&mut self) {
        if self.events.first().is_some_and(|first| first.stream.aggregate_type == D::TYPE) {
            self.folded = self.fold::<D>().map(Some);
        }
    }
}

impl Folding<'_> {
    fn fold<D: Decider>(&self) -> Result<FoldedState, CommandError> {
        let mut state = D::default();
        for event in self.events {
            let read = || registry::decode::<D>(&event.event_type, &event.event_version, &event.payload);
            let event = match self.with_keys {
                true => opened(self.keyring, event, read)?,
                false => OpeningScope::with(Vec::new(), read).map_err(|error| unreadable(event, error))?,
            };
            state.evolve(&event);
        }
        let folded = SealingScope::to_json(&state);
        folded.map_err(|error| CommandError::Internal(format!("a state cannot be shown: {error}")))
    }
}

/// Reads recorded events of any aggregate.
pub(crate) async fn open_any(keyring: &Keyring, recorded: &[Recorded]) -> Result<(), StoreError> {
    if recorded.iter().any(|event| event.sealed.is_some()) {
        keyring.load_for(recorded).await?;
    }
    Ok(())
}

/// Reads one event of any aggregate, whose keys were loaded.
pub(crate) fn read_any(keyring: &Keyring, event: &Recorded) -> Result<AnyEvent, CommandError> {
    opened(keyring, event, || {
        AnyEvent::decode(
            &event.stream.aggregate_type,
            &event.event_type,
            &event.event_version,
            &event.payload,
        )
    })
}

fn opened<T>(
    keyring: &Keyring,
    event: &Recorded,
    read: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, CommandError> {
    let groups = match &event.sealed {
        None => Vec::new(),
        Some(sealed) => {
            let altered = |error: StoreError| match error {
                StoreError::Unreadable(reason) => unreadable(event, reason),
                error => error.into(),
            };
            let boxes = Keyring::boxes(sealed).map_err(altered)?;
            let plain = keyring.open(event).map_err(altered)?;
            boxes
                .iter()
                .zip(plain)
                .map(|(header, plain)| plain.map(|plain| (header.subject, plain)))
                .collect()
        }
    };
    OpeningScope::with(groups, read).map_err(|error| unreadable(event, error))
}

/// What is wrong with a recorded event; the reason shows no value.
pub(crate) fn unreadable(event: &Recorded, reason: impl ToString) -> CommandError {
    CommandError::Unreadable { position: event.position, reason: reason.to_string() }
}
