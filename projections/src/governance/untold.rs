//! The disclosures of which the law forbids to tell the person (34 CFR 99.31(a)(9)(ii)), and what would tell of them: their own
//! events, and the entries of the access log of those who read one.

use std::collections::BTreeSet;

use domain::{
    Decider,
    governance::{AccessLog, Disclosure, DisclosureBasis, DisclosureEvent as E},
    registry::AnyEvent,
};
use event_store::{Position, Recorded};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Entry, GovernanceError, Order,
    log_index::Term,
    log_view::{LogView, Source},
};
use crate::fact::{Batch, Fact};

/// The route that lists disclosures: an entry of it does not say which ones were read.
const LIST: &str = "/v1/disclosures";
/// How many entries of the access log are read at once.
const CHUNK: usize = 1000;

impl LogView<'_> {
    /// Where the log has what a person is not told although it is about them.
    pub(super) async fn untold(&self, person: Uuid) -> Result<BTreeSet<Position>, GovernanceError> {
        let disclosures = self.about(person, Disclosure::TYPE).await?;
        let mut untold = Untold::of(self.requests(&disclosures).await?);
        if untold.is_empty() {
            return Ok(BTreeSet::new());
        }
        let of_untold = |entry: &&Entry| entry.resource_id.parse().is_ok_and(|id| untold.names(id));
        let own: Vec<&Entry> = disclosures.iter().filter(of_untold).collect();
        let mut positions: BTreeSet<Position> = own.iter().map(|entry| entry.position).collect();
        untold.add_events(own.iter().map(|entry| entry.event_id));
        let reads = self.about(person, AccessLog::TYPE).await?;
        for some in reads.chunks(CHUNK) {
            let some: Vec<Position> = some.iter().map(|entry| entry.position).collect();
            let events = self.projections.0.store.read_at(&some).await?;
            let told = |read: &&Recorded| {
                let payload: Value = serde_json::from_str(&read.payload).unwrap_or_default();
                untold.is_told_by(read.position, &payload["AccessLogged"])
            };
            positions.extend(events.iter().filter(told).map(|read| read.position));
        }
        Ok(positions)
    }

    /// Where these disclosures were asked for, which ones they are, and on which basis.
    async fn requests(
        &self,
        disclosures: &[Entry],
    ) -> Result<Vec<(Position, Uuid, DisclosureBasis)>, GovernanceError> {
        let requested = disclosures.iter().filter(|entry| entry.action == "DisclosureRequested");
        let requested: Vec<Position> = requested.map(|entry| entry.position).collect();
        let store = &self.projections.0.store;
        let requests = Batch::decode(store.read_at(&requested).await?, store.keyring()).await?;
        let request = |fact: &Fact| match &fact.event {
            AnyEvent::Disclosure(E::DisclosureRequested { basis, .. }) => {
                Some((fact.position, fact.id, *basis))
            }
            _ => None,
        };
        Ok(requests.facts.iter().filter_map(request).collect())
    }

    /// What is about a person in the streams of an aggregate type, in the order of the log.
    async fn about(&self, person: Uuid, aggregate_type: &str) -> Result<Vec<Entry>, GovernanceError> {
        let groups =
            vec![vec![Term::Subject(person).number()], vec![Term::AggregateType(aggregate_type).number()]];
        let source = Source::Terms { groups, also: BTreeSet::new() };
        let named = |entry: &Entry| entry.resource_type == aggregate_type && entry.subjects.contains(&person);
        Ok(self.find(source, (1, self.until), Order::OldestFirst, usize::MAX, named).await?.0)
    }
}

/// What must not be named to a person, and since when a list of disclosures shows one of which they are told.
#[derive(Clone, Debug)]
pub struct Untold {
    /// The disclosures, and their events.
    named: BTreeSet<Uuid>,
    told_since: Position,
}

impl Untold {
    /// Of the disclosures about a person: where each was asked for, which one it is, and on which basis.
    pub fn of(requests: impl IntoIterator<Item = (Position, Uuid, DisclosureBasis)>) -> Self {
        let mut untold = Untold { named: BTreeSet::new(), told_since: Position::MAX };
        for (position, disclosure, basis) in requests {
            if basis.forbids_to_tell() {
                untold.named.insert(disclosure);
            } else {
                untold.told_since = untold.told_since.min(position);
            }
        }
        untold
    }

    /// Whether the person may be told of all of them.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Whether they are not told of this disclosure, or of this event.
    pub fn names(&self, id: Uuid) -> bool {
        self.named.contains(&id)
    }

    /// Adds the events of these disclosures: whoever names one names the disclosure.
    pub fn add_events(&mut self, events: impl IntoIterator<Item = Uuid>) {
        self.named.extend(events);
    }

    /// Whether an entry of the access log, by its fields, tells of one: its path names it, or it is a list that had none but
    /// these to show of the person.
    pub fn is_told_by(&self, position: Position, entry: &Value) -> bool {
        let named = entry["resource"].as_str().is_some_and(|path| self.is_named(path));
        named || (!self.is_empty() && entry["route"] == LIST && position < self.told_since)
    }

    /// Whether a path names one of them, by whatever route and however it is written.
    fn is_named(&self, path: &str) -> bool {
        path.split(['/', ':']).any(|part| part.parse().is_ok_and(|id: Uuid| self.names(id)))
    }
}
