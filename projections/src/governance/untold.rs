//! The disclosures of which the law forbids to tell the person (34 CFR 99.31(a)(9)(ii)), and what would tell of them: their own
//! events, and the entries of the access log of those who read one.

use std::collections::BTreeSet;

use domain::{
    Decider,
    governance::{AccessLog, Disclosure, DisclosureEvent as E},
    registry::AnyEvent,
};
use event_store::{Keyring, Recorded, StoreError};
use serde_json::Value;
use uuid::Uuid;

use crate::fact::Batch;

/// The disclosures of which a person is not told, as far as they were seen.
#[derive(Default)]
pub(super) struct Untold(BTreeSet<Uuid>);

impl Untold {
    /// Leaves out of these events about a person what the person is not told. They come in the order of the log.
    pub(super) async fn leave_out(
        &mut self,
        events: &mut Vec<Recorded>,
        keyring: &Keyring,
    ) -> Result<(), StoreError> {
        let requests = events.iter().filter(|event| event.event_type == "DisclosureRequested");
        let requests = Batch::decode(requests.cloned().collect(), keyring).await?;
        let untold = requests.facts.iter().filter(|fact| {
            matches!(&fact.event, AnyEvent::Disclosure(E::DisclosureRequested { basis, .. }) if basis.forbids_to_tell())
        });
        self.0.extend(untold.map(|fact| fact.id));
        events.retain(|event| !self.is_told_by(event));
        Ok(())
    }

    fn is_told_by(&self, event: &Recorded) -> bool {
        if event.stream.aggregate_type == Disclosure::TYPE {
            return self.is_named(&event.stream.aggregate_id);
        }
        let read = event.stream.aggregate_type == AccessLog::TYPE && !self.0.is_empty();
        let payload = || serde_json::from_str::<Value>(&event.payload).unwrap_or_default();
        read && payload()["AccessLogged"]["resource"].as_str().is_some_and(|path| self.is_named(path))
    }

    /// Whether a path names one of them, by whatever route and however it is written.
    fn is_named(&self, path: &str) -> bool {
        path.split('/').any(|part| part.parse().is_ok_and(|id: Uuid| self.0.contains(&id)))
    }
}
