//! R-65 `subject_inventory`: everything that is held about a person, by aggregate and record class. It is counted from the
//! log when it is asked for, not kept: nobody asks often, and a copy would have a row for every person and kind of thing.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Actor, Recipient, RecordClass, governance::retention_default};
use event_store::AsOf;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{AuditFilters, AuditQuery, Entry, GovernanceError, Order, entry::Sight, log_view::LogView};
use crate::{Projections, query::LIMIT_MAX};

/// The most events of one person that are counted.
const EVENTS_MAX: usize = 100_000;

/// What is held about a person in one kind of aggregate and one record class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Holding {
    /// The context, such as `opportunities`.
    pub context: String,
    /// The aggregate type, such as `opportunities.scholarship_application`.
    pub aggregate: String,
    /// The record class; none where an event is about the person and holds nothing personal of them.
    pub class: Option<String>,
    /// How many events.
    pub events: u64,
    /// When the first was recorded.
    pub first: Timestamp,
    /// When the last was recorded.
    pub last: Timestamp,
    /// For how many days the class is kept where no policy says otherwise.
    pub kept_for_days: Option<u32>,
    /// From when those count.
    pub kept_from: Option<String>,
}

/// What is held about a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Inventory {
    /// The person.
    pub subject: Uuid,
    /// By aggregate and class.
    pub holdings: Vec<Holding>,
    /// How many times other people read data of theirs.
    pub reads: u64,
    /// Who received data of theirs, by where that is on record (Art. 15(1)(c), Art. 19 GDPR).
    pub recipients: Vec<Recipient>,
    /// Whether everything was counted; there are limits to that.
    pub complete: bool,
    /// The position of the log that this shows.
    pub position: u64,
}

impl Projections {
    /// What is held about a person, for the person and for who sees the whole log. The person is not told of what the law forbids to tell.
    ///
    /// # Errors
    /// See [`GovernanceError`]; `Forbidden` for anybody else.
    pub async fn inventory(&self, actor: &Actor, subject: Uuid) -> Result<Inventory, GovernanceError> {
        let mut asked = AuditQuery {
            filters: AuditFilters { subject: Some(subject), ..AuditFilters::default() },
            order: Order::OldestFirst,
            limit: Some(LIMIT_MAX),
            ..AuditQuery::default()
        };
        let mut holdings: BTreeMap<(String, Option<String>), Holding> = BTreeMap::new();
        let (mut reads, mut counted) = (0, 0);
        let own = actor.is(subject);
        if !own && Sight::of(actor) != Sight::All {
            return Err(GovernanceError::Forbidden);
        }
        let mut untold = BTreeSet::new();
        if own {
            let view = LogView::open(self, None).await?;
            untold = view.untold(subject).await?;
            asked.as_of = Some(AsOf::Position(view.until));
        }
        // What is about the person is theirs to be told of, but for that; their own trail leaves more out.
        let everything = Actor::user(subject, &["compliance"]);
        let asking = if own { &everything } else { actor };
        loop {
            let page = self.audit(asking, &asked).await?;
            counted += page.entries.len();
            for entry in page.entries {
                if untold.contains(&entry.position) {
                    continue;
                }
                if entry.action == "AccessLogged" || entry.action == "AuditReplayRead" {
                    reads += 1;
                } else {
                    count(&mut holdings, &entry);
                }
            }
            asked.after = page.next;
            let complete = page.next.is_none();
            if complete || counted >= EVENTS_MAX {
                let holdings = holdings.into_values().collect();
                let recipients = self.recipients(subject).await?;
                let position = page.position;
                return Ok(Inventory { subject, holdings, reads, recipients, complete, position });
            }
        }
    }
}

fn count(holdings: &mut BTreeMap<(String, Option<String>), Holding>, entry: &Entry) {
    let classes = entry.record_classes.iter().cloned().map(Some);
    let none = entry.record_classes.is_empty().then_some(None);
    for class in classes.chain(none) {
        let holding = holdings.entry((entry.resource_type.clone(), class.clone()));
        let holding = holding.or_insert_with(|| {
            let kept =
                class.as_deref().and_then(|class| class.parse::<RecordClass>().ok()).map(retention_default);
            Holding {
                context: entry.resource_type.split('.').next().unwrap_or_default().to_owned(),
                aggregate: entry.resource_type.clone(),
                class,
                events: 0,
                first: entry.recorded_at,
                last: entry.recorded_at,
                kept_for_days: kept.map(|kept| kept.days),
                kept_from: kept.map(|kept| <&str>::from(kept.after).to_owned()),
            }
        });
        holding.events += 1;
        holding.last = holding.last.max(entry.recorded_at);
    }
}
