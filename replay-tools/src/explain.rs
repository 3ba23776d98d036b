//! `explain`: why an event happened, and what came of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    num::NonZeroUsize,
};

use domain::{Actor, Decider, governance::Disclosure};
use event_store::Position;
use projections::governance::{AuditFilters, AuditQuery, Entry, Order};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    annals::Annals,
    failure::Failure,
    opening::{Reading, Under, subjects},
};

/// How many disclosures of an explanation its record names.
const DISCLOSURES_NAMED: usize = 20;

/// Causes and consequences of an event, as a tree: what a person or the clock began, and what policies made of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// The event: its id or its position.
    event: String,
    /// How many events of one whole are shown at most.
    #[arg(long, default_value = "1000")]
    limit: NonZeroUsize,
    #[command(flatten)]
    under: Under,
}

/// An event, why it happened and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    /// The position of the event that was asked for.
    position: Position,
    /// What everything here has in common.
    correlation_id: Option<Uuid>,
    /// What began it, and below each event what it caused. More than one where a request recorded several events.
    roots: Vec<Branch>,
    /// There is more than is shown.
    truncated: bool,
}

/// An event and what it caused.
#[derive(Debug, Serialize)]
struct Branch {
    #[serde(flatten)]
    entry: Entry,
    /// Whether it is the event that was asked for.
    asked: bool,
    caused: Vec<Branch>,
}

impl Explain {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let explanation = explain(annals, &self.event, self.limit.get()).await?;
        let positions: Vec<Position> = explanation.entries().into_keys().collect();
        let reading = Reading {
            resource: explanation.resource(),
            from: positions.first().copied().unwrap_or(explanation.position),
            to: positions.last().copied().unwrap_or(explanation.position),
            events: positions.len() as u64,
            subjects: Some(&subjects(annals, &positions).await?),
        };
        self.under.on_record(annals, &reading).await?;
        annals.show(&explanation, || explanation.to_text())?;
        Ok(true)
    }
}

/// Explains an event.
async fn explain(annals: &Annals, event: &str, limit: usize) -> Result<Explanation, Failure> {
    let sight = auditor();
    let id = match event.parse::<Position>() {
        Ok(position) => {
            let found = match position.checked_sub(1) {
                Some(before) => annals.store.read_all(before, 1).await?,
                None => Vec::new(),
            };
            found.first().map(|event| event.event_id).ok_or_else(|| Failure::NoEvent(event.to_owned()))?
        }
        Err(_) => event.parse().map_err(|_| Failure::NoEvent(event.to_owned()))?,
    };
    let chain = annals.projections.causation_chain(&sight, id, None).await?;
    let chain = chain.ok_or_else(|| Failure::NoEvent(event.to_owned()))?;
    let (asked, correlation_id) = (chain.event.position, chain.event.correlation_id);
    let mut truncated = chain.truncated;
    let mut all: BTreeMap<Position, Entry> = BTreeMap::new();
    let near = chain.causes.into_iter().chain([chain.event]).chain(chain.consequences);
    all.extend(near.map(|entry| (entry.position, entry)));
    if let Some(correlation_id) = correlation_id {
        let filters = AuditFilters { correlation_id: Some(correlation_id), ..AuditFilters::default() };
        let mut after = None;
        while all.len() < limit {
            let query = AuditQuery {
                filters: filters.clone(),
                order: Order::OldestFirst,
                after,
                limit: Some(projections::query::LIMIT_MAX),
                ..AuditQuery::default()
            };
            let page = annals.projections.audit(&sight, &query).await?;
            all.extend(page.entries.into_iter().map(|entry| (entry.position, entry)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        truncated |= after.is_some();
    }
    Ok(Explanation { position: asked, correlation_id, roots: trees(all, asked), truncated })
}

/// Whoever has a shell on the server sees the whole log.
pub(crate) fn auditor() -> Actor {
    Actor::user(Uuid::nil(), &["compliance"])
}

/// Each event below its cause, in the order of the log.
fn trees(all: BTreeMap<Position, Entry>, asked: Position) -> Vec<Branch> {
    let ids: BTreeMap<Uuid, Position> = all.values().map(|entry| (entry.event_id, entry.position)).collect();
    // A cause is recorded before what it causes; a log that says otherwise must not lead us in circles.
    let cause = |entry: &Entry| {
        let cause = entry.causation_id.and_then(|id| ids.get(&id)).copied();
        cause.filter(|cause| *cause < entry.position)
    };
    let mut caused: BTreeMap<Option<Position>, BTreeSet<Position>> = BTreeMap::new();
    for entry in all.values() {
        caused.entry(cause(entry)).or_default().insert(entry.position);
    }
    // From the last to the first: whatever an event caused stands after it and is complete by then.
    let mut done: BTreeMap<Position, Branch> = BTreeMap::new();
    for (position, entry) in all.into_iter().rev() {
        let below = caused.remove(&Some(position)).unwrap_or_default();
        let caused = below.iter().filter_map(|position| done.remove(position)).collect();
        done.insert(position, Branch { asked: position == asked, entry, caused });
    }
    done.into_values().collect()
}

impl Explanation {
    /// All events in it, in the order of the log.
    fn entries(&self) -> BTreeMap<Position, &Entry> {
        let mut open: Vec<&Branch> = self.roots.iter().collect();
        let mut found = BTreeMap::new();
        while let Some(branch) = open.pop() {
            found.insert(branch.entry.position, &branch.entry);
            open.extend(&branch.caused);
        }
        found
    }

    /// What it is on record as. It names the event, and disclosures, by what they are known by: whom the law forbids to tell of
    /// one is not told of this entry either.
    fn resource(&self) -> String {
        let entries = self.entries();
        let asked = entries.get(&self.position).map(|entry| entry.event_id).unwrap_or_default();
        let disclosures = entries.values().filter(|entry| entry.resource_type == Disclosure::TYPE);
        let disclosures: BTreeSet<&str> = disclosures.map(|entry| entry.resource_id.as_str()).collect();
        let named = disclosures.into_iter().take(DISCLOSURES_NAMED).map(|id| format!(":disclosure:{id}"));
        format!("explanation of event:{asked}{}", named.collect::<String>())
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for root in &self.roots {
            root.write(&mut text, "", "");
        }
        if self.truncated {
            text += "... there is more: raise --limit\n";
        }
        text.trim_end().to_owned()
    }
}

impl Branch {
    fn write(&self, text: &mut String, own: &str, below: &str) {
        let entry = &self.entry;
        let mark = if self.asked { "  <==" } else { "" };
        let why = [("for", &entry.purpose), ("on", &entry.legal_basis), ("by way of", &entry.transformation)];
        let why: String =
            why.iter().filter_map(|(word, text)| Some(format!(" {word} {}", text.as_ref()?))).collect();
        _ = writeln!(
            text,
            "{own}{} {} of {}/{} at {} by {}{why}{mark}",
            entry.position,
            entry.action,
            entry.resource_type,
            entry.resource_id,
            entry.recorded_at,
            entry.actor,
        );
        for (index, branch) in self.caused.iter().enumerate() {
            let last = index + 1 == self.caused.len();
            let (own, more) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            branch.write(text, &format!("{below}{own}"), &format!("{below}{more}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, student};

    #[tokio::test]
    async fn causes_and_consequences_stand_in_one_tree_whichever_event_is_asked_for() {
        let world = World::campus().await;
        let first = world.described(0).await;
        for asked in [first, world.observed(0).await] {
            let explanation = explain(&world.annals, &asked.event_id.to_string(), 1000).await.unwrap();
            assert_eq!(explanation.position, asked.position);
            let root = explanation.roots.iter().find(|root| !root.caused.is_empty()).unwrap();
            assert_eq!(root.entry.action, "ProfileRevised");
            assert_eq!(root.caused[0].entry.action, "DecisionRecorded");
            assert_eq!(root.caused[0].caused[0].entry.action, "DecisionOutcomeObserved");
            let text = explanation.to_text();
            assert!(text.contains("└─ ") && text.matches("<==").count() == 1, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_told_under_a_replay_is_on_its_record_with_whom_it_is_about() {
        let world = World::campus().await;
        let asked = world.described(0).await;
        for (subject, covered) in [(student(1), false), (student(0), true)] {
            let under = Under { replay: Some(world.sealed_replay(Some(subject)).await) };
            let before = world.annals.store.head().await.unwrap().position;
            let limit = NonZeroUsize::new(10).unwrap();
            let explain = Explain { event: asked.position.to_string(), limit, under };
            assert_eq!(explain.run(&world.annals).await.is_ok(), covered);
            let read = world.annals.store.read_all(before, 10).await.unwrap();
            let told = read.iter().all(|event| event.payload.contains(&student(0).to_string()));
            assert!(told && read.len() == usize::from(covered), "{read:?}");
        }
    }

    #[tokio::test]
    async fn an_event_is_found_by_its_position_and_one_that_is_not_there_is_refused() {
        let world = World::campus().await;
        assert_eq!(explain(&world.annals, "1", 10).await.unwrap().position, 1);
        for nothing in ["0", "100000", "no id", "00000000-0000-0000-0000-000000000001"] {
            let refused = explain(&world.annals, nothing, 10).await;
            assert!(matches!(refused, Err(Failure::NoEvent(_))), "{nothing}: {refused:?}");
        }
    }
}
