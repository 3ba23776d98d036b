//! Lineage in the words of OpenLineage (specification 2-0-2), for tools that read it.
//!
//! A command that recorded events is a run, and how it computed them (or what happened) its job. Aggregates, and whatever
//! else events name as their source, are datasets. Each run is told by two events, as the specification asks: START, and
//! COMPLETE or, where what is recorded is a failure, FAIL.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::lineage::{EdgeKind, EventNode, Graph, NodeKind};

/// The namespace of jobs and datasets.
const NAMESPACE: &str = "annals";
const PRODUCER: &str = concat!("urn:annals:lineage:", env!("CARGO_PKG_VERSION"));
const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const PARENT: &str = "https://openlineage.io/spec/facets/1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet";
const VERSION: &str = "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet";

/// Datasets by name, with their versions where these are known.
type Datasets<'a> = BTreeMap<&'a str, Option<u64>>;

/// One run: the events of one command that are in the graph.
struct Run<'a> {
    events: Vec<&'a EventNode>,
    inputs: Datasets<'a>,
    outputs: Datasets<'a>,
}

/// A graph as an array of OpenLineage run events, in the order of the log: START and COMPLETE (or FAIL) of each command.
pub fn openlineage(graph: &Graph) -> Value {
    let events: BTreeMap<&str, &EventNode> =
        graph.nodes.iter().filter_map(|node| Some((node.id.as_str(), node.event.as_ref()?))).collect();
    let kinds: BTreeMap<&str, NodeKind> =
        graph.nodes.iter().map(|node| (node.id.as_str(), node.kind)).collect();
    let mut runs: BTreeMap<Uuid, Run<'_>> = BTreeMap::new();
    for event in events.values() {
        let run = runs.entry(event.run).or_insert_with(|| Run {
            events: Vec::new(),
            inputs: Datasets::new(),
            outputs: Datasets::new(),
        });
        run.events.push(event);
        add(&mut run.outputs, &event.resource, Some(event.version));
    }
    for edge in &graph.edges {
        let Some(run) = events.get(edge.to.as_str()).and_then(|event| runs.get_mut(&event.run)) else {
            continue;
        };
        match (edge.kind, events.get(edge.from.as_str())) {
            // What an event caused was decided on the version that it recorded.
            (EdgeKind::Causation | EdgeKind::DerivedFrom, Some(cause)) => {
                add(&mut run.inputs, &cause.resource, Some(cause.version));
            }
            // An event that is not in the log.
            (EdgeKind::Causation, None) => {}
            (EdgeKind::DerivedFrom, None) if kinds.get(edge.from.as_str()) == Some(&NodeKind::Event) => {}
            (EdgeKind::DerivedFrom, None) => add(&mut run.inputs, &edge.from, edge.version),
            (EdgeKind::Recorded | EdgeKind::Folded, _) => {}
        }
    }
    let mut runs: Vec<(Uuid, Run<'_>)> = runs.into_iter().collect();
    for (_, run) in &mut runs {
        run.events.sort_by_key(|event| event.position);
    }
    runs.sort_by_key(|(_, run)| run.events[0].position);
    runs.iter().flat_map(|(id, run)| tell(*id, run)).collect()
}

/// Of several versions the last.
fn add<'a>(datasets: &mut Datasets<'a>, name: &'a str, version: Option<u64>) {
    let known = datasets.entry(name).or_default();
    *known = version.max(*known);
}

fn tell(id: Uuid, run: &Run<'_>) -> [Value; 2] {
    let first = run.events[0];
    let last = run.events[run.events.len() - 1];
    let failed = run.events.iter().any(|event| event.action.ends_with("Failed"));
    // Clocks of clients may be fast: a run does not end before it begins.
    let began = first.occurred_at.min(last.recorded_at);
    let (resource_type, _) = first.resource.split_once(':').unwrap_or((&first.resource, ""));
    let name = match &first.transformation {
        Some(transformation) => transformation.clone(),
        None => format!("{resource_type}.{}", first.action),
    };
    let parent = first.correlation_id.map(|correlation| {
        json!({"parent": {
            "_producer": PRODUCER, "_schemaURL": PARENT,
            "run": {"runId": correlation}, "job": {"namespace": NAMESPACE, "name": "request"},
        }})
    });
    let event = |what: &str, at: Timestamp| {
        json!({
            "eventType": what,
            "eventTime": at.to_string(),
            "producer": PRODUCER,
            "schemaURL": SCHEMA,
            "run": {"runId": id, "facets": parent.clone().unwrap_or_else(|| json!({}))},
            "job": {"namespace": NAMESPACE, "name": name},
            "inputs": datasets(&run.inputs),
            "outputs": datasets(&run.outputs),
        })
    };
    [event("START", began), event(if failed { "FAIL" } else { "COMPLETE" }, last.recorded_at)]
}

fn datasets(datasets: &Datasets<'_>) -> Value {
    let dataset = |(name, version): (&&str, &Option<u64>)| match version {
        None => json!({"namespace": NAMESPACE, "name": name}),
        Some(version) => json!({
            "namespace": NAMESPACE,
            "name": name,
            "facets": {"version": {
                "_producer": PRODUCER, "_schemaURL": VERSION, "datasetVersion": version.to_string(),
            }},
        }),
    };
    datasets.iter().map(dataset).collect()
}
