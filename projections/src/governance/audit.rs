//! R-63, the audit trail: who did what, to what, about whom, when, why, and caused by what. For compliance all of it; for
//! everybody else what is about them or was done by them.
//!
//! An answer is complete up to the end of the log, however far the index is: nobody needs to wait for their own writes.

use std::collections::BTreeSet;

use domain::{Actor, Decider, governance::SubjectKey, registry};
use event_store::{AsOf, Position};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{
    entry::{Entry, GovernanceError, Sight},
    log_index::{Term, account_of},
    log_view::{LogView, Order, Source},
};
use crate::{
    Projections,
    query::{LIMIT, LIMIT_MAX},
};

/// Which events: all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilters {
    /// Who acted, as the envelope writes it: `user:…`, `policy:…`.
    pub actor: Option<String>,
    /// The person for whom they acted.
    pub on_behalf_of: Option<Uuid>,
    /// Whose data the event carries.
    pub subject: Option<Uuid>,
    /// The aggregate type.
    pub resource_type: Option<String>,
    /// The aggregate's id; of any type where no type is given.
    pub resource_id: Option<String>,
    /// The event type is one of these; any where empty.
    pub actions: Vec<String>,
    /// Recorded at or after this instant.
    pub from: Option<Timestamp>,
    /// Recorded at or before this instant.
    pub until: Option<Timestamp>,
    /// What it belongs to.
    pub correlation_id: Option<Uuid>,
}

/// What is asked of the audit trail.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Which events.
    pub filters: AuditFilters,
    /// In which order.
    pub order: Order,
    /// The `next` of the page before.
    pub after: Option<Position>,
    /// How many entries: [`LIMIT`] where not said, at most [`LIMIT_MAX`].
    pub limit: Option<usize>,
    /// As the log was at that moment; now where not said.
    pub as_of: Option<AsOf>,
}

/// Some entries of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins, if there are more entries.
    pub next: Option<Position>,
    /// The position in the log up to which this is complete.
    pub position: Position,
    /// Whose data was shown: for the access log.
    #[serde(skip)]
    pub subjects: BTreeSet<Uuid>,
}

/// An event, what led to it and what it led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CausationChain {
    /// What caused it, the root first. The root is what a person or the clock did.
    pub causes: Vec<Entry>,
    /// The event.
    pub event: Entry,
    /// What it caused, directly or by what it caused, in the order of the log.
    pub consequences: Vec<Entry>,
    /// There are more causes or consequences than are shown.
    pub truncated: bool,
    /// Whose data was shown: for the access log.
    #[serde(skip)]
    pub subjects: BTreeSet<Uuid>,
}

/// The most causes, and the most consequences, of a chain.
const CHAIN: usize = 500;

impl Projections {
    /// The events that an actor may see and asks for.
    ///
    /// # Errors
    /// See [`GovernanceError`].
    pub async fn audit(&self, actor: &Actor, query: &AuditQuery) -> Result<AuditPage, GovernanceError> {
        match self.audit_once(actor, query).await {
            Err(error) if error.is_replaced() => self.audit_once(actor, query).await,
            answer => answer,
        }
    }

    async fn audit_once(&self, actor: &Actor, query: &AuditQuery) -> Result<AuditPage, GovernanceError> {
        let limit = query.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(GovernanceError::BadLimit { name: "limit", most: LIMIT_MAX });
        }
        let view = LogView::open(self, query.as_of).await?;
        let mut page =
            AuditPage { entries: Vec::new(), next: None, position: view.until, subjects: BTreeSet::new() };
        let sight = Sight::of(actor);
        if sight == Sight::Nothing {
            return Ok(page);
        }
        let filters = &query.filters;
        let range = self.range(query, view.until).await?;
        let source = self.source(filters, sight).await?;
        let untold = sight.untold(&view).await?;
        let admits =
            |entry: &Entry| filters.admit(entry) && sight.sees(entry) && !untold.contains(&entry.position);
        let (entries, more) = view.find(source, range, query.order, limit, admits).await?;
        page.next = entries.last().filter(|_| more).map(|last| last.position);
        page.entries = entries.into_iter().map(|entry| sight.shown(entry)).collect();
        page.subjects = subjects(&page.entries);
        Ok(page)
    }

    /// The first and the last position that can be on the page.
    async fn range(
        &self,
        query: &AuditQuery,
        until: Position,
    ) -> Result<(Position, Position), GovernanceError> {
        let store = &self.0.store;
        let (mut low, mut high) = (1, until);
        if let Some(from) = query.filters.from {
            // What was recorded within the microsecond before it is the last that is too early.
            let before = from.checked_sub(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN);
            low = store.position_at(before).await? + 1;
        }
        if let Some(end) = query.filters.until {
            high = high.min(store.position_at(end).await?);
        }
        match (query.after, query.order) {
            (Some(after), Order::NewestFirst) => high = high.min(after.saturating_sub(1)),
            (Some(after), Order::OldestFirst) => low = low.max(after.saturating_add(1)),
            (None, _) => {}
        }
        Ok((low, high))
    }

    /// Where to look: in one stream if one is named, else where the index says, else everywhere.
    async fn source(&self, filters: &AuditFilters, sight: Sight) -> Result<Source, GovernanceError> {
        if let Some(id) = &filters.resource_id {
            let types = filters.resource_type.clone().map_or_else(aggregate_types, |name| vec![name]);
            return Ok(Source::Streams { types, id: id.clone() });
        }
        // Those that few events have come first: their blocks are gone through, the others are looked up in these.
        let mut groups: Vec<Vec<i64>> = Vec::new();
        let mut also = BTreeSet::new();
        if let Some(id) = filters.correlation_id {
            groups.push(vec![Term::Correlation(id).number()]);
            // The events of the command itself, if the whole is named after it.
            if let Some(command) = self.0.store.outcome(id).await? {
                also.extend(command.first_position..=command.position);
            }
        }
        if let Some(person) = filters.subject {
            groups.push(vec![Term::Subject(person).number()]);
        }
        if let Some(person) = filters.on_behalf_of {
            groups.push(vec![Term::OnBehalfOf(person).number(), Term::Subject(person).number()]);
        }
        if let Sight::Own(person) = sight {
            let actor = format!("user:{person}");
            let terms = [Term::Actor(&actor), Term::OnBehalfOf(person), Term::Subject(person)];
            groups.push(terms.map(Term::number).to_vec());
        }
        if let Some(actor) = &filters.actor {
            let own = account_of(actor).map(Term::Subject);
            groups.push([Term::Actor(actor)].into_iter().chain(own).map(Term::number).collect());
        }
        if !filters.actions.is_empty() {
            groups.push(filters.actions.iter().map(|name| Term::EventType(name).number()).collect());
        }
        if let Some(name) = &filters.resource_type {
            groups.push(vec![Term::AggregateType(name).number()]);
        }
        Ok(if groups.is_empty() { Source::Log } else { Source::Terms { groups, also } })
    }

    /// An event with its causes up to the root and all its consequences; none where there is no such event or the
    /// actor may not see it. Causes and consequences that they may not see are left out.
    ///
    /// # Errors
    /// See [`GovernanceError`].
    pub async fn causation_chain(
        &self,
        actor: &Actor,
        event_id: Uuid,
        as_of: Option<AsOf>,
    ) -> Result<Option<CausationChain>, GovernanceError> {
        match self.chain_once(actor, event_id, as_of).await {
            Err(error) if error.is_replaced() => self.chain_once(actor, event_id, as_of).await,
            answer => answer,
        }
    }

    async fn chain_once(
        &self,
        actor: &Actor,
        event_id: Uuid,
        as_of: Option<AsOf>,
    ) -> Result<Option<CausationChain>, GovernanceError> {
        let view = LogView::open(self, as_of).await?;
        let sight = Sight::of(actor);
        let untold = sight.untold(&view).await?;
        let sees = |entry: &Entry| sight.sees(entry) && !untold.contains(&entry.position);
        let found = view.events(&[event_id]).await?.pop();
        let Some(event) = found.filter(sees) else { return Ok(None) };
        let mut causes: Vec<Entry> = Vec::new();
        let mut next = event.causation_id;
        while let Some(id) = next.filter(|_| causes.len() < CHAIN) {
            let Some(cause) = view.events(&[id]).await?.pop() else { break };
            // A cause is recorded before what it causes; a log that says otherwise must not lead us in circles.
            let effect = causes.last().unwrap_or(&event);
            if cause.position >= effect.position {
                break;
            }
            next = cause.causation_id;
            causes.push(cause);
        }
        let mut truncated = next.is_some() && causes.len() == CHAIN;
        let (consequences, more) = consequences(&view, event_id).await?;
        truncated |= more;
        let visible = |entry: Entry| sees(&entry).then(|| sight.shown(entry));
        let causes: Vec<Entry> = causes.into_iter().rev().filter_map(visible).collect();
        let consequences: Vec<Entry> = consequences.into_iter().filter_map(visible).collect();
        let event = sight.shown(event);
        let subjects = subjects(causes.iter().chain([&event]).chain(&consequences));
        Ok(Some(CausationChain { causes, event, consequences, truncated, subjects }))
    }
}

/// What an event caused, and what that caused in turn, in the order of the log; and whether there are more than are shown.
async fn consequences(view: &LogView<'_>, event_id: Uuid) -> Result<(Vec<Entry>, bool), GovernanceError> {
    let (mut seen, mut level) = (BTreeSet::from([event_id]), vec![event_id]);
    let mut consequences: Vec<Entry> = Vec::new();
    let mut truncated = false;
    while !level.is_empty() {
        let room = CHAIN - consequences.len();
        // Where all places are taken, whether there is one more is still to be told.
        let (mut found, more) = view.caused_by(&level, room.max(1)).await?;
        truncated |= more || room == 0 && !found.is_empty();
        found.truncate(room);
        // A log that leads in circles must not lead us there.
        found.retain(|entry| seen.insert(entry.event_id));
        level = found.iter().map(|entry| entry.event_id).collect();
        consequences.extend(found);
    }
    consequences.sort_unstable_by_key(|entry| entry.position);
    Ok((consequences, truncated))
}

impl AuditFilters {
    fn admit(&self, entry: &Entry) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, value: &T) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        }
        is(&self.actor, &entry.actor)
            && (self.on_behalf_of.is_none() || self.on_behalf_of == entry.on_behalf_of)
            && self.subject.is_none_or(|person| entry.subjects.contains(&person))
            && is(&self.resource_type, &entry.resource_type)
            && is(&self.resource_id, &entry.resource_id)
            && (self.actions.is_empty() || self.actions.contains(&entry.action))
            && (self.correlation_id.is_none() || self.correlation_id == entry.correlation_id)
            && self.from.is_none_or(|from| from <= entry.recorded_at)
            && self.until.is_none_or(|until| entry.recorded_at <= until)
    }
}

/// Whom entries name: their subjects, and the people whose keys they are about.
fn subjects<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeSet<Uuid> {
    let owner = |entry: &Entry| match entry.resource_type == SubjectKey::TYPE {
        true => entry.resource_id.parse().ok(),
        false => None,
    };
    entries.into_iter().flat_map(|entry| entry.subjects.iter().copied().chain(owner(entry))).collect()
}

/// The storage names of all aggregates.
pub(super) fn aggregate_types() -> Vec<String> {
    struct Names(Vec<String>);
    impl registry::Visitor for Names {
        fn aggregate<D: Decider>(&mut self) {
            self.0.push(D::TYPE.to_owned());
        }
    }
    let mut names = Names(Vec::new());
    registry::every_aggregate(&mut names);
    names.0
}
