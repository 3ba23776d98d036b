//! Walking the graph, level by level: each level is asked for at once. What was visited is not visited again, so that
//! circles end.

use std::collections::{BTreeSet, HashMap, HashSet};

use event_store::Position;
use sqlx::Row as _;
use uuid::Uuid;

use super::{Edge, EdgeKind, EventNode, Graph, Names, Node, NodeKind, NodeRef, TRANSFORMATION, rows::Origin};
use crate::{
    catalog::{signed, unsigned},
    governance::{
        entry::{Entry, GovernanceError},
        log_index::Term,
        log_view::LogView,
    },
};

/// What is to be visited next.
#[derive(Clone, Debug)]
enum Visit {
    Event(Uuid),
    /// Upstream: its versions up to this one, as far as they were recorded up to this position.
    /// Downstream: this version and later ones, used after this position.
    Aggregate(NodeRef, u64, Position),
    Row(NodeRef),
    Other(NodeRef),
}

/// A graph in the making.
pub(super) struct Walk<'a> {
    view: &'a LogView<'a>,
    names: &'a Names,
    nodes: Vec<NodeRef>,
    known: HashSet<NodeRef>,
    edges: Vec<Edge>,
    drawn: HashSet<(String, String, EdgeKind)>,
    entries: HashMap<Uuid, Entry>,
    is_auditor: bool,
    most: usize,
    truncated: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        view: &'a LogView<'a>,
        names: &'a Names,
        root: NodeRef,
        is_auditor: bool,
        most: usize,
    ) -> Self {
        Walk {
            view,
            names,
            nodes: vec![root.clone()],
            known: [root].into(),
            edges: Vec::new(),
            drawn: HashSet::new(),
            entries: HashMap::new(),
            is_auditor,
            most,
            truncated: false,
        }
    }

    /// Whether there is what the walk is to begin at.
    pub(super) async fn begins_at(
        &mut self,
        root: &NodeRef,
        version: Option<u64>,
    ) -> Result<bool, GovernanceError> {
        match visit(root, version.unwrap_or(1), self.view.until) {
            Visit::Event(id) => {
                self.learn([id].into_iter()).await?;
                Ok(self.entries.contains_key(&id))
            }
            Visit::Aggregate(node, version, _) => self.view.has_version(&node, version).await,
            Visit::Row(node) => Ok(!matches!(self.view.origin(&node, 0).await?, Origin::Unknown)),
            // Whatever events name as their source.
            Visit::Other(node) => {
                let name = node.to_string();
                let engine = (node.r#type == TRANSFORMATION).then_some(Term::Transformation(&node.id));
                let wanted = Wanted { others: [node.clone()].into(), ..Wanted::default() };
                let admits = |entry: &Entry| !wanted.links(self.names, entry).is_empty();
                let terms = [Term::Source(&name)].into_iter().chain(engine);
                let (found, _) = self.view.having(terms, 1, admits).await?;
                Ok(!found.is_empty())
            }
        }
    }

    /// To what the root came from.
    pub(super) async fn upstream(
        &mut self,
        root: &NodeRef,
        version: Option<u64>,
        depth: usize,
    ) -> Result<(), GovernanceError> {
        let mut level = vec![visit(root, version.unwrap_or(u64::MAX), self.view.until)];
        let mut seen = Seen::default();
        for _ in 0..depth {
            if level.is_empty() {
                break;
            }
            level = self.causes_of(level, &mut seen).await?;
        }
        Ok(())
    }

    async fn causes_of(&mut self, level: Vec<Visit>, seen: &mut Seen) -> Result<Vec<Visit>, GovernanceError> {
        let (mut next, mut ids, mut streams) = (Vec::new(), Vec::new(), Vec::new());
        for visit in level {
            match visit {
                Visit::Event(id) => ids.extend(seen.events.insert(id).then_some(id)),
                Visit::Aggregate(node, to, position) => {
                    let done = seen.aggregates.get(&node).copied().unwrap_or(0);
                    if done < to {
                        streams.push((node, done + 1, to, position));
                    }
                }
                Visit::Row(node) => {
                    if seen.others.insert(node.clone()) {
                        next.extend(self.origins_of(&node, self.most).await?);
                    }
                }
                Visit::Other(_) => {}
            }
        }
        self.learn(ids.iter().copied()).await?;
        let entries: Vec<Entry> = ids.iter().filter_map(|id| self.entries.get(id).cloned()).collect();
        self.learn(entries.iter().filter_map(|entry| entry.causation_id)).await?;
        for entry in entries {
            let own = event(entry.event_id);
            if let Some(cause) = entry.causation_id
                && self.draw(&event(cause), &own, EdgeKind::Causation, None, Some(&entry))
            {
                next.push(Visit::Event(cause));
            }
            for (source, version) in entry.derived_from.iter().filter_map(|source| self.names.parse(source)) {
                if self.draw(&source, &own, EdgeKind::DerivedFrom, version, Some(&entry)) {
                    next.push(visit(&source, version.unwrap_or(u64::MAX), entry.position - 1));
                }
            }
        }
        for entry in self.stream_entries(&streams).await? {
            let done = seen.aggregates.entry(resource(&entry)).or_default();
            *done = entry.sequence.max(*done);
            next.extend(self.record(entry));
        }
        Ok(next)
    }

    /// To what came of the root.
    pub(super) async fn downstream(
        &mut self,
        root: &NodeRef,
        version: Option<u64>,
        depth: usize,
    ) -> Result<(), GovernanceError> {
        let first = version.unwrap_or(1);
        let mut level = vec![visit(root, first, 0)];
        let mut roots = Vec::new();
        match root.kind {
            NodeKind::Aggregate => roots.push(root.clone()),
            // What came of a row is what came of the streams from which it was folded.
            NodeKind::Row => {
                for origin in self.origins_of(root, 0).await? {
                    match origin {
                        Visit::Aggregate(node, ..) => {
                            level.push(Visit::Aggregate(node.clone(), first, 0));
                            roots.push(node);
                        }
                        other => level.push(other),
                    }
                }
            }
            NodeKind::Event | NodeKind::Other => {}
        }
        // An aggregate is its events: what they caused came of it.
        let own = roots.into_iter().map(|node| (node, first, u64::MAX, self.view.until)).collect::<Vec<_>>();
        if depth > 0 {
            for entry in self.stream_entries(&own).await? {
                level.extend(self.record(entry));
            }
        }
        let mut seen = Seen::default();
        for _ in 0..depth {
            if level.is_empty() {
                break;
            }
            level = self.consequences_of(level, &mut seen).await?;
        }
        if self.view.is_now {
            let visited = seen.events.iter().filter_map(|id| self.entries.get(id));
            let mut visited: Vec<&Entry> =
                visited.filter(|entry| seen.aggregates.contains_key(&resource(entry))).collect();
            visited.sort_unstable_by_key(|entry| entry.position);
            let (folded, more) = self.view.rows_of(&visited, self.is_auditor, self.most).await?;
            self.truncated |= more;
            for (from, row) in folded {
                self.draw(&from, &row, EdgeKind::Folded, None, None);
            }
        }
        Ok(())
    }

    async fn consequences_of(
        &mut self,
        level: Vec<Visit>,
        seen: &mut Seen,
    ) -> Result<Vec<Visit>, GovernanceError> {
        let mut wanted = Wanted::default();
        for visit in level {
            match visit {
                Visit::Event(id) if seen.events.insert(id) => _ = wanted.events.insert(id),
                Visit::Aggregate(node, from, after) => wanted.aggregate(node, from, after, seen),
                Visit::Row(node) | Visit::Other(node) if seen.others.insert(node.clone()) => {
                    wanted.others.insert(node);
                }
                Visit::Event(_) | Visit::Row(_) | Visit::Other(_) => {}
            }
        }
        self.learn(wanted.events.iter().copied()).await?;
        let recorded: Vec<Entry> =
            wanted.events.iter().filter_map(|id| self.entries.get(id).cloned()).collect();
        let mut next = Vec::new();
        for entry in recorded {
            let (sequence, position) = (entry.sequence, entry.position);
            let node = resource(&entry);
            if self.draw(&event(entry.event_id), &node, EdgeKind::Recorded, Some(sequence), Some(&entry)) {
                next.push(Visit::Aggregate(node, sequence, position));
            }
        }
        let sources: Vec<String> = wanted.nodes().map(|node| node.to_string()).collect();
        let causes = wanted.events.iter().map(|id| Term::Cause(*id));
        let engines = wanted.others.iter().filter(|node| node.r#type == TRANSFORMATION);
        let terms = causes
            .chain(sources.iter().map(|source| Term::Source(source)))
            .chain(engines.map(|node| Term::Transformation(&node.id)));
        let admits = |entry: &Entry| !wanted.links(self.names, entry).is_empty();
        let (found, more) = self.view.having(terms, self.most, admits).await?;
        self.truncated |= more;
        for entry in found {
            let own = event(entry.event_id);
            let mut drawn = false;
            for (source, kind, version) in wanted.links(self.names, &entry) {
                drawn |= self.draw(&source, &own, kind, version, Some(&entry));
            }
            if drawn {
                next.push(Visit::Event(entry.event_id));
                self.entries.insert(entry.event_id, entry);
            }
        }
        Ok(next)
    }

    /// What a row was folded from, drawn and to be visited; of the events of streams that are not its own at most `others`.
    async fn origins_of(&mut self, row: &NodeRef, others: usize) -> Result<Vec<Visit>, GovernanceError> {
        let mut next = Vec::new();
        match self.view.origin(row, others).await? {
            Origin::Streams(streams, events, more) => {
                self.truncated |= more;
                for stream in streams {
                    if self.draw(&stream, row, EdgeKind::Folded, None, None) {
                        next.push(Visit::Aggregate(stream, u64::MAX, self.view.until));
                    }
                }
                for entry in events {
                    if self.draw(&event(entry.event_id), row, EdgeKind::Folded, None, Some(&entry)) {
                        next.push(Visit::Event(entry.event_id));
                        self.entries.insert(entry.event_id, entry);
                    }
                }
            }
            Origin::Unknown => {}
        }
        Ok(next)
    }

    /// Draws that an event recorded a version of its aggregate; the event is to be visited if it fits in.
    fn record(&mut self, entry: Entry) -> Option<Visit> {
        let (own, node) = (event(entry.event_id), resource(&entry));
        let id = entry.event_id;
        let drawn = self.draw(&own, &node, EdgeKind::Recorded, Some(entry.sequence), Some(&entry));
        self.entries.insert(id, entry);
        drawn.then_some(Visit::Event(id))
    }

    /// Adds an edge and the nodes at its ends, if they fit in.
    fn draw(
        &mut self,
        from: &NodeRef,
        to: &NodeRef,
        kind: EdgeKind,
        version: Option<u64>,
        by: Option<&Entry>,
    ) -> bool {
        let new = [from, to].into_iter().filter(|node| !self.known.contains(node));
        if self.nodes.len() + new.count() > self.most {
            self.truncated = true;
            return false;
        }
        for node in [from, to] {
            if self.known.insert(node.clone()) {
                self.nodes.push(node.clone());
            }
        }
        let (from, to) = (from.to_string(), to.to_string());
        if self.drawn.insert((from.clone(), to.clone(), kind)) {
            let computed = by.filter(|_| kind == EdgeKind::DerivedFrom);
            self.edges.push(Edge {
                from,
                to,
                kind,
                transformation: computed.and_then(|entry| entry.transformation.clone()),
                version,
                run: by.map(|entry| entry.command_id.unwrap_or(entry.event_id)),
                at: by.map(|entry| entry.recorded_at),
                position: by.map(|entry| entry.position),
            });
        }
        true
    }

    /// Reads the events that are not known yet.
    async fn learn(&mut self, ids: impl Iterator<Item = Uuid>) -> Result<(), GovernanceError> {
        let unknown: BTreeSet<Uuid> = ids.filter(|id| !self.entries.contains_key(id)).collect();
        if !unknown.is_empty() {
            let unknown: Vec<Uuid> = unknown.into_iter().collect();
            let found = self.view.events(&unknown).await?;
            self.entries.extend(found.into_iter().map(|entry| (entry.event_id, entry)));
        }
        Ok(())
    }

    /// The events of streams, from a version to another, recorded up to a position.
    async fn stream_entries(
        &mut self,
        wanted: &[(NodeRef, u64, u64, Position)],
    ) -> Result<Vec<Entry>, GovernanceError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let room = self.most.saturating_sub(self.nodes.len());
        let column = |pick: fn(&(NodeRef, u64, u64, Position)) -> u64| {
            wanted.iter().map(|wanted| signed(pick(wanted))).collect::<Vec<i64>>()
        };
        let sql = "SELECT one.position
            FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
                AS wanted(type, id, low, high, until)
            CROSS JOIN LATERAL (
                SELECT position FROM annals.events
                WHERE aggregate_type = wanted.type AND aggregate_id = wanted.id
                    AND sequence BETWEEN wanted.low AND wanted.high AND position <= wanted.until
                ORDER BY sequence LIMIT $6
            ) one ORDER BY one.position LIMIT $6";
        let rows = sqlx::query(sql)
            .bind(wanted.iter().map(|(node, ..)| node.r#type.as_str()).collect::<Vec<_>>())
            .bind(wanted.iter().map(|(node, ..)| node.id.as_str()).collect::<Vec<_>>())
            .bind(column(|wanted| wanted.1))
            .bind(column(|wanted| wanted.2))
            .bind(column(|wanted| wanted.3))
            // One more than fits in shows that there are more; those that are known already take no room.
            .bind((room + self.entries.len() + 1) as i64)
            .fetch_all(self.view.pool())
            .await?;
        let positions = rows.iter().map(|row| row.try_get(0).map(unsigned)).collect::<Result<Vec<_>, _>>()?;
        self.view.entries(&positions).await
    }

    /// The graph.
    pub(super) async fn finish(mut self) -> Result<Graph, GovernanceError> {
        let events: Vec<Uuid> = (self.nodes.iter())
            .filter(|node| node.kind == NodeKind::Event)
            .filter_map(|node| node.id.parse().ok())
            .collect();
        self.learn(events.into_iter()).await?;
        let mut subjects = BTreeSet::new();
        let entries = &self.entries;
        let mut node = |node: &NodeRef| {
            let entry = match node.kind {
                NodeKind::Event => node.id.parse().ok().and_then(|id: Uuid| entries.get(&id)),
                NodeKind::Aggregate | NodeKind::Row | NodeKind::Other => None,
            };
            subjects.extend(entry.iter().flat_map(|entry| entry.subjects.iter().copied()));
            Node { id: node.to_string(), kind: node.kind, event: entry.map(EventNode::of) }
        };
        Ok(Graph {
            root: self.nodes[0].to_string(),
            nodes: self.nodes.iter().map(&mut node).collect(),
            edges: self.edges,
            truncated: self.truncated,
            position: self.view.until,
            subjects,
        })
    }
}

fn event(id: Uuid) -> NodeRef {
    NodeRef { kind: NodeKind::Event, r#type: "event".into(), id: id.to_string() }
}

fn resource(entry: &Entry) -> NodeRef {
    let (r#type, id) = (entry.resource_type.clone(), entry.resource_id.clone());
    NodeRef { kind: NodeKind::Aggregate, r#type, id }
}

fn visit(node: &NodeRef, version: u64, position: Position) -> Visit {
    match node.kind {
        NodeKind::Event => match node.id.parse() {
            Ok(id) => Visit::Event(id),
            Err(_) => Visit::Other(node.clone()),
        },
        NodeKind::Aggregate => Visit::Aggregate(node.clone(), version, position),
        NodeKind::Row => Visit::Row(node.clone()),
        NodeKind::Other => Visit::Other(node.clone()),
    }
}

/// What was visited in one direction. Of an aggregate: upstream its last version, downstream its first.
#[derive(Default)]
struct Seen {
    events: HashSet<Uuid>,
    aggregates: HashMap<NodeRef, u64>,
    others: HashSet<NodeRef>,
}

/// What a level asks the consequences of.
#[derive(Default)]
struct Wanted {
    events: HashSet<Uuid>,
    /// From which version on, and used after which position.
    aggregates: HashMap<NodeRef, (u64, Position)>,
    others: HashSet<NodeRef>,
}

impl Wanted {
    fn aggregate(&mut self, node: NodeRef, from: u64, after: Position, seen: &mut Seen) {
        let first = seen.aggregates.entry(node.clone()).or_insert(u64::MAX);
        if from < *first {
            *first = from;
            self.aggregates.insert(node, (from, after));
        }
    }

    /// All of them by name.
    fn nodes(&self) -> impl Iterator<Item = NodeRef> + '_ {
        let events = self.events.iter().map(|id| event(*id));
        events.chain(self.aggregates.keys().cloned()).chain(self.others.iter().cloned())
    }

    /// Which of them an event came of, and how.
    fn links(&self, names: &Names, entry: &Entry) -> Vec<(NodeRef, EdgeKind, Option<u64>)> {
        let mut links = Vec::new();
        if let Some(cause) = entry.causation_id.filter(|cause| self.events.contains(cause)) {
            links.push((event(cause), EdgeKind::Causation, None));
        }
        for (source, version) in entry.derived_from.iter().filter_map(|source| names.parse(source)) {
            let wanted = match source.kind {
                NodeKind::Event => source.id.parse().is_ok_and(|id| self.events.contains(&id)),
                NodeKind::Aggregate => self.aggregates.get(&source).is_some_and(|(from, after)| {
                    version.map_or(*after < entry.position, |version| *from <= version)
                }),
                NodeKind::Row | NodeKind::Other => self.others.contains(&source),
            };
            if wanted {
                links.push((source, EdgeKind::DerivedFrom, version));
            }
        }
        if let Some(name) = &entry.transformation {
            let engine = name.rsplit_once('@').map(|(engine, _)| engine);
            for name in [name.as_str()].into_iter().chain(engine) {
                let node = NodeRef { kind: NodeKind::Other, r#type: TRANSFORMATION.into(), id: name.into() };
                if self.others.contains(&node) {
                    links.push((node, EdgeKind::DerivedFrom, None));
                }
            }
        }
        links
    }
}
