//! The keys that the events need, against the store of keys: each is there or was destroyed, and what the log says is destroyed
//! is gone.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use domain::{
    governance::{ShredBasis, SubjectKeyEvent},
    registry::AnyEvent,
};
use event_store::{Basis, BoxHeader, Epoch, KeyState, Keyring, Position, Recorded, Shred, StoreError};
use uuid::Uuid;

use super::report::{Kind, NAMED, Report};

/// How many keys are looked for at once.
const PAGE: usize = 5000;

/// What is destroyed: whose keys, of which class, up to which epoch (none: all, for ever).
type Reach = (Uuid, String, Option<i32>);

/// The keys that events need, and what they say of keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// By which event each is needed first.
    needed: HashMap<BoxHeader, Position>,
    /// What is to be destroyed.
    ordered: HashSet<Reach>,
    /// What was destroyed, and which event says so.
    confirmed: Vec<(Uuid, String, Position)>,
}

impl Keys {
    /// Takes in an event, which may have been decoded without its sealed values.
    ///
    /// # Errors
    /// `Unreadable` if what is sealed is not of the form that it has.
    pub(super) fn take(&mut self, event: &Recorded, decoded: Option<&AnyEvent>) -> Result<(), StoreError> {
        if let (Some(AnyEvent::SubjectKey(event_of_keys)), Ok(subject)) =
            (decoded, event.stream.aggregate_id.parse())
        {
            self.told(subject, event_of_keys, event.position);
        }
        for header in event.sealed.as_deref().map(Keyring::boxes).transpose()?.unwrap_or_default() {
            self.needed.entry(header).or_insert(event.position);
        }
        Ok(())
    }

    fn told(&mut self, subject: Uuid, event: &SubjectKeyEvent, position: Position) {
        match event {
            SubjectKeyEvent::SubjectKeyShredded { record_classes, basis, through, .. } => {
                let through = match basis {
                    ShredBasis::Erasure => None,
                    ShredBasis::Retention => through.map(|day| Epoch::ending(day).number()),
                };
                let classes = record_classes.iter().map(|class| class.name().to_owned());
                self.ordered.extend(classes.map(|class| (subject, class, through)));
            }
            SubjectKeyEvent::SubjectKeysDestroyed { key_ids, .. } => {
                self.confirmed.extend(key_ids.iter().map(|id| (subject, id.clone(), position)));
            }
            SubjectKeyEvent::SubjectKeyProvisioned { .. }
            | SubjectKeyEvent::SubjectKeyRotated { .. }
            | SubjectKeyEvent::KeyResidueChecked { .. } => {}
        }
    }

    /// Takes in what later events need and say.
    pub(super) fn join(&mut self, later: Keys) {
        for (key, position) in later.needed {
            if let Entry::Vacant(first) = self.needed.entry(key) {
                first.insert(position);
            }
        }
        self.ordered.extend(later.ordered);
        self.confirmed.extend(later.confirmed);
    }

    /// Compares with the store of keys. `destroyed` is what had been destroyed before the first event was read: what ordered
    /// it is among the events.
    pub(super) async fn compare(
        self,
        keyring: &Keyring,
        destroyed: Vec<Shred>,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let needed: Vec<(BoxHeader, Position)> = self.needed.into_iter().collect();
        let (mut foreign, mut wrong) = (0, BTreeMap::new());
        for page in needed.chunks(PAGE) {
            let keys: Vec<BoxHeader> = page.iter().map(|(key, _)| key.clone()).collect();
            for ((key, position), state) in page.iter().zip(keyring.states(&keys).await?) {
                let what = match state {
                    KeyState::There | KeyState::Destroyed => continue,
                    KeyState::Foreign => {
                        foreign += 1;
                        continue;
                    }
                    KeyState::Missing => "is gone, and nothing has destroyed it",
                    KeyState::Altered => "was altered: it does not unwrap",
                };
                wrong.insert((*position, key.clone()), what);
            }
        }
        // Where a whole store of keys was lost, a report names the first of them.
        let more = wrong.len().saturating_sub(NAMED);
        for ((position, key), what) in wrong.into_iter().take(NAMED) {
            report.find(
                Kind::Key,
                position,
                format_args!("the key {} of {} {what}", key.key_id(), key.subject),
            );
        }
        if more > 0 {
            report.find(Kind::Key, None, format_args!("{more} more keys are gone or altered"));
        }
        if foreign > 0 {
            report.notes.push(format!("{foreign} keys cannot be read with this master key"));
        }
        for page in self.confirmed.chunks(PAGE) {
            let keys: Vec<(Uuid, String)> = page.iter().map(|(of, id, _)| (*of, id.clone())).collect();
            for (subject, id) in keyring.stored(&keys).await? {
                let told = page.iter().find(|(of, key, _)| (*of, key) == (subject, &id));
                let text = format!("the key {id} of {subject} is there, which was destroyed");
                report.find(Kind::Key, told.map(|(.., position)| *position), text);
            }
        }
        let unordered = destroyed.into_iter().filter(|shred| !self.ordered.contains(&reach(shred)));
        let unordered: HashSet<Uuid> = unordered.map(|shred| shred.subject).collect();
        if !unordered.is_empty() {
            report.notes.push(format!(
                "keys of {} people were destroyed, and no event of this log orders it: that is so where a ledger of erasures \
                 was applied to an older log, and must not be so elsewhere",
                unordered.len()
            ));
        }
        Ok(())
    }
}

/// What a shred has destroyed.
fn reach(shred: &Shred) -> Reach {
    let through = match shred.basis {
        Basis::Erasure => None,
        Basis::Retention { through } => Some(through.number()),
    };
    let class = shred.class.as_deref().unwrap_or("*");
    (shred.subject, class.to_owned(), through)
}

/// All that has been destroyed.
pub(super) async fn destroyed(keyring: &Keyring) -> Result<Vec<Shred>, StoreError> {
    let mut all: Vec<Shred> = Vec::new();
    loop {
        let page = keyring.shreds(all.last().map_or(0, |last| last.id), PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
