//! The disclosures of which the law forbids to tell the person (34 CFR 99.31(a)(9)(ii)), and what would tell of them: their own
//! events, and the entries of the access log of those who read one.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Decider,
    governance::{AccessLog, Disclosure, DisclosureEvent as E},
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
use crate::fact::Batch;

/// The route that lists disclosures: an entry of it does not say which ones were read.
const LIST: &str = "/v1/disclosures";
/// How many entries of the access log are read at once.
const CHUNK: usize = 1000;

impl LogView<'_> {
    /// Where the log has what a person is not told although it is about them.
    pub(super) async fn untold(&self, person: Uuid) -> Result<BTreeSet<Position>, GovernanceError> {
        let disclosures = self.about(person, Disclosure::TYPE).await?;
        let mut untold = Untold::of(self, &disclosures).await?;
        if untold.named.is_empty() {
            return Ok(BTreeSet::new());
        }
        let of_untold = |entry: &&Entry| entry.resource_id.parse().is_ok_and(|id| untold.named.contains(&id));
        let own: Vec<&Entry> = disclosures.iter().filter(of_untold).collect();
        let mut positions: BTreeSet<Position> = own.iter().map(|entry| entry.position).collect();
        untold.named.extend(own.iter().map(|entry| entry.event_id));
        let reads = self.about(person, AccessLog::TYPE).await?;
        for some in reads.chunks(CHUNK) {
            let some: Vec<Position> = some.iter().map(|entry| entry.position).collect();
            let events = self.projections.0.store.read_at(&some).await?;
            positions.extend(events.iter().filter(|read| untold.is_told_by(read)).map(|read| read.position));
        }
        Ok(positions)
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
struct Untold {
    /// The disclosures, and their events.
    named: BTreeSet<Uuid>,
    told_since: Position,
}

impl Untold {
    async fn of(view: &LogView<'_>, disclosures: &[Entry]) -> Result<Self, GovernanceError> {
        let requested = disclosures.iter().filter(|entry| entry.action == "DisclosureRequested");
        let requested: Vec<Position> = requested.map(|entry| entry.position).collect();
        let store = &view.projections.0.store;
        let requests = Batch::decode(store.read_at(&requested).await?, store.keyring()).await?;
        let secret: BTreeMap<Position, (Uuid, bool)> = requests
            .facts
            .iter()
            .filter_map(|fact| match &fact.event {
                AnyEvent::Disclosure(E::DisclosureRequested { basis, .. }) => {
                    Some((fact.position, (fact.id, basis.forbids_to_tell())))
                }
                _ => None,
            })
            .collect();
        let told = secret.iter().find(|(_, (_, secret))| !secret).map(|(position, _)| *position);
        let named = secret.into_values().filter(|(_, secret)| *secret).map(|(id, _)| id).collect();
        Ok(Untold { named, told_since: told.unwrap_or(Position::MAX) })
    }

    /// Whether a read tells of one: its path names it, or it is a list that had none but these to show of the person.
    fn is_told_by(&self, read: &Recorded) -> bool {
        let payload: Value = serde_json::from_str(&read.payload).unwrap_or_default();
        let read_at = read.position;
        let read = &payload["AccessLogged"];
        let named = read["resource"].as_str().is_some_and(|path| self.is_named(path));
        named || (read["route"] == LIST && read_at < self.told_since)
    }

    /// Whether a path names one of them, by whatever route and however it is written.
    fn is_named(&self, path: &str) -> bool {
        path.split(['/', ':']).any(|part| part.parse().is_ok_and(|id: Uuid| self.named.contains(&id)))
    }
}
