//! R-64, lineage: what an event, an aggregate or a row of a read model came from, and what came of it. For compliance;
//! analysts see the same graph with pseudonyms.
//!
//! Edges point from what was there before to what came of it:
//!
//! - `causation`: event to event, where a policy reacted;
//! - `derived_from`: from what the envelope of an event names, to the event that carries the result;
//! - `recorded`: from an event to the aggregate whose new version it is;
//! - `folded`: to the row of a read model, from the aggregate whose row it is, or from the one event of another aggregate
//!   that changed it.
//!
//! Upstream of an aggregate are the events of its stream, up to the version that was used. Downstream of an event are its
//! consequences, what was derived from its aggregate at that version or a later one, and the rows that any of these events
//! changed and that are there now. As of an earlier moment no rows come of it: only a few read models keep their past, and of
//! the others the graph would say that there was nothing.

mod rows;
mod walk;

use std::{collections::BTreeSet, fmt};

use domain::Actor;
use event_store::{AsOf, Position};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{
    audit::aggregate_types,
    entry::{Entry, GovernanceError, Sight},
    log_index::unversioned,
    log_view::LogView,
};
use crate::{Projections, filter::Filter};
use walk::Walk;

/// The nodes of a graph where the client does not say how many, and the most that can be asked for.
const NODES: (usize, usize) = (500, 5000);

/// Which way to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// To what it came from.
    Upstream,
    /// To what came of it.
    Downstream,
    /// Both.
    #[default]
    Both,
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct LineageQuery {
    /// Where to begin: `event:<id>`, `<aggregate type>:<id>` (with `@version` if that version is meant),
    /// `<read model>:<key>` (the parts of a key separated by `/`, with `%25` and `%2F` for a `%` and a `/` in them),
    /// `transformation:<engine>` or `transformation:<engine>@<version>`, or whatever else events name as their source.
    pub node: String,
    /// Which way to go.
    pub direction: Direction,
    /// How many edges away from there; any number where not said.
    pub depth: Option<usize>,
    /// How many nodes at most: 500 where not said, and never more than 5000.
    pub nodes: Option<usize>,
    /// As the log was at that moment, and then without the rows that came of it; now where not said.
    pub as_of: Option<AsOf>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// An event of the log.
    Event,
    /// An aggregate.
    Aggregate,
    /// A row of a read model.
    Row,
    /// Something that events name as their source and that is not in the log: a file, an engine.
    Other,
}

/// The name of a node: `type:id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeRef {
    /// What it is.
    pub kind: NodeKind,
    /// `event`, an aggregate type, a read model, or anything else.
    pub r#type: String,
    /// Which one.
    pub id: String,
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.r#type, self.id)
    }
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Node {
    /// `type:id`.
    pub id: String,
    /// What it is.
    pub kind: NodeKind,
    /// What is known of it, if it is an event that is in the log.
    pub event: Option<EventNode>,
}

/// What a graph says of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventNode {
    /// The event type.
    pub action: String,
    /// The aggregate that it happened to, as `type:id`.
    pub resource: String,
    /// The version that it left.
    pub version: u64,
    /// Its place in the log.
    pub position: Position,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Who acted.
    pub actor: String,
    /// How it was computed.
    pub transformation: Option<String>,
    /// The command that recorded it; the event itself where there was none.
    pub run: Uuid,
    /// What it belongs to.
    pub correlation_id: Option<Uuid>,
}

impl EventNode {
    fn of(entry: &Entry) -> Self {
        EventNode {
            action: entry.action.clone(),
            resource: format!("{}:{}", entry.resource_type, entry.resource_id),
            version: entry.sequence,
            position: entry.position,
            occurred_at: entry.occurred_at,
            recorded_at: entry.recorded_at,
            actor: entry.actor.clone(),
            transformation: entry.transformation.clone(),
            run: entry.command_id.unwrap_or(entry.event_id),
            correlation_id: entry.correlation_id,
        }
    }
}

/// What an edge means; see the head of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "described at the head of the module")]
pub enum EdgeKind {
    Causation,
    DerivedFrom,
    Recorded,
    Folded,
}

/// An edge of the graph, from what was there before to what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Edge {
    /// The node that was there before.
    pub from: String,
    /// The node that came of it.
    pub to: String,
    /// What it means.
    pub kind: EdgeKind,
    /// How the result was computed, as `engine@version`.
    pub transformation: Option<String>,
    /// The version of the aggregate: the one that was used, or the one that was recorded.
    pub version: Option<u64>,
    /// The command (or else the event) by which it came about.
    pub run: Option<Uuid>,
    /// When that was recorded.
    pub at: Option<Timestamp>,
    /// Where in the log.
    pub position: Option<Position>,
}

/// Where something came from, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Graph {
    /// The node that was asked for.
    pub root: String,
    /// The nodes; the first is the root.
    pub nodes: Vec<Node>,
    /// The edges between them.
    pub edges: Vec<Edge>,
    /// There are more nodes than were asked for, or there may be some so far back that nobody looked.
    pub truncated: bool,
    /// The position in the log up to which this is complete.
    pub position: Position,
    /// Whose data was shown: for the access log.
    #[serde(skip)]
    pub subjects: BTreeSet<Uuid>,
}

impl Projections {
    /// The graph around a node.
    ///
    /// # Errors
    /// See [`GovernanceError`]; `Forbidden` for whoever is neither an auditor nor an analyst, `NoSuchNode` where there is
    /// nothing to begin at. Analysts may begin at an event or a transformation alone: they have no identifiers of anything
    /// else.
    pub async fn lineage(&self, actor: &Actor, query: &LineageQuery) -> Result<Graph, GovernanceError> {
        match self.lineage_once(actor, query).await {
            Err(error) if error.is_replaced() => self.lineage_once(actor, query).await,
            answer => answer,
        }
    }

    async fn lineage_once(&self, actor: &Actor, query: &LineageQuery) -> Result<Graph, GovernanceError> {
        let auditor = Sight::of(actor) == Sight::All;
        let analyst = matches!(Filter::within(actor, "read:analytics", ""), Filter::All);
        if !auditor && !analyst {
            return Err(GovernanceError::Forbidden);
        }
        let most = query.nodes.unwrap_or(NODES.0);
        if !(1..=NODES.1).contains(&most) {
            return Err(GovernanceError::BadLimit { name: "nodes", most: NODES.1 });
        }
        let names = Names::of(self);
        let bad = || GovernanceError::BadNode(query.node.clone());
        let (root, version) = names.parse(&query.node).ok_or_else(bad)?;
        if !auditor && root.kind != NodeKind::Event && root.r#type != TRANSFORMATION {
            return Err(GovernanceError::Forbidden);
        }
        let view = LogView::open(self, query.as_of).await?;
        let depth = query.depth.unwrap_or(usize::MAX);
        let mut walk = Walk::new(&view, &names, root.clone(), auditor, most);
        if !walk.begins_at(&root, version).await? {
            return Err(GovernanceError::NoSuchNode(query.node.clone()));
        }
        if query.direction != Direction::Downstream {
            walk.upstream(&root, version, depth).await?;
        }
        if query.direction != Direction::Upstream {
            walk.downstream(&root, version, depth).await?;
        }
        let graph = walk.finish().await?;
        if auditor { Ok(graph) } else { self.pseudonymous(graph).await }
    }

    /// The same graph with keyed pseudonyms in the place of all identifiers but those of events.
    async fn pseudonymous(&self, mut graph: Graph) -> Result<Graph, GovernanceError> {
        let mut places: Vec<&mut String> = vec![&mut graph.root];
        for node in &mut graph.nodes {
            places.push(&mut node.id);
            if let Some(event) = &mut node.event {
                places.extend([&mut event.resource, &mut event.actor]);
            }
        }
        for edge in &mut graph.edges {
            places.extend([&mut edge.from, &mut edge.to]);
        }
        let names: Vec<&str> = places.iter().map(|place| place.as_str()).collect();
        let sql = "SELECT annals.pseudonymous(name) FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place)
            ORDER BY n.place";
        let pseudonyms: Vec<String> =
            sqlx::query_scalar(sql).bind(names).fetch_all(self.0.store.pool()).await?;
        places.into_iter().zip(pseudonyms).for_each(|(place, pseudonym)| *place = pseudonym);
        graph.subjects.clear();
        Ok(graph)
    }
}

/// The type of nodes that are engines.
const TRANSFORMATION: &str = "transformation";

/// Tells what a name means.
struct Names {
    aggregates: BTreeSet<String>,
    models: BTreeSet<&'static str>,
}

impl Names {
    fn of(projections: &Projections) -> Names {
        Names {
            aggregates: aggregate_types().into_iter().collect(),
            models: projections.models().iter().map(|model| model.shape().name).collect(),
        }
    }

    /// Reads `type:id` or `type:id@version`.
    fn parse(&self, text: &str) -> Option<(NodeRef, Option<u64>)> {
        let (kind, id) = text.split_once(':')?;
        if kind.is_empty() || id.is_empty() {
            return None;
        }
        let node = |kind, r#type: &str, id: &str| NodeRef { kind, r#type: r#type.into(), id: id.into() };
        if kind == "event" {
            let (id, _) = unversioned(id);
            let id: Uuid = id.parse().ok()?;
            return Some((node(NodeKind::Event, kind, &id.to_string()), None));
        }
        // The version of an engine is a part of its name.
        if kind == TRANSFORMATION {
            return Some((node(NodeKind::Other, kind, id), None));
        }
        let (id, version) = unversioned(id);
        let what = match kind {
            name if self.aggregates.contains(name) => NodeKind::Aggregate,
            name if self.models.contains(name) => NodeKind::Row,
            _ => NodeKind::Other,
        };
        Some((node(what, kind, id), version))
    }
}
