//! The lineage graph and its export.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Actor, Decider, identity::OrgUnit, identity::Profile, intelligence::Decision};
use event_store::AsOf;
use projections::governance::{
    Direction, EdgeKind, GovernanceError, Graph, LineageQuery, NodeKind, openlineage,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::*;

fn from(node: impl Into<String>, direction: Direction) -> LineageQuery {
    LineageQuery { node: node.into(), direction, ..LineageQuery::default() }
}

async fn graph(world: &World, node: impl Into<String>, direction: Direction) -> Graph {
    let graph = world.projections.lineage(&auditor(), &from(node, direction)).await.unwrap();
    let names: BTreeSet<&str> = graph.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(names.len(), graph.nodes.len(), "no node stands there twice");
    assert!(graph.edges.iter().all(|edge| names.contains(&*edge.from) && names.contains(&*edge.to)));
    graph
}

fn names(graph: &Graph) -> BTreeSet<String> {
    graph.nodes.iter().map(|node| node.id.clone()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The nodes of the story of student 5.
struct Story {
    created: String,
    described: String,
    decided: String,
    observed: String,
    contested: String,
    reviewed: String,
    redescribed: String,
    unit_created: String,
    profile: String,
    decision: String,
    unit: String,
}

impl Story {
    async fn of(world: &World) -> Story {
        let event = |id: Uuid| format!("event:{id}");
        let profile = async |version| event(world.version::<Profile>(student(5), version).await.event_id);
        let decision = async |version| event(world.version::<Decision>(decision(5), version).await.event_id);
        Story {
            created: profile(1).await,
            described: profile(2).await,
            redescribed: profile(3).await,
            decided: decision(1).await,
            observed: decision(2).await,
            contested: decision(3).await,
            reviewed: decision(4).await,
            unit_created: event(world.version::<OrgUnit>(unit(5), 1).await.event_id),
            profile: format!("identity.profile:{}", student(5)),
            decision: format!("intelligence.decision:{}", crate::world::decision(5)),
            unit: format!("identity.org_unit:{}", unit(5)),
        }
    }
}

const FILE: &str = "catalogue:promises.csv";

#[tokio::test(flavor = "multi_thread")]
async fn upstream_of_an_event_is_what_caused_it_and_the_versions_that_it_was_derived_from() {
    let world = World::campus().await;
    let story = Story::of(&world).await;
    for folded in [false, true] {
        if folded {
            world.follow().await;
        }
        let graph = graph(&world, &story.observed, Direction::Upstream).await;
        // Version 2 of the profile and version 1 of the unit, and nothing that came later.
        let expected = [
            &story.observed,
            &story.decided,
            &story.described,
            &story.profile,
            &story.created,
            &story.unit,
            &story.unit_created,
            FILE,
        ];
        assert_eq!(names(&graph), set(&expected.map(|name: &str| name)));
        assert!(!graph.truncated);
        let derived: Vec<_> = graph.edges.iter().filter(|edge| edge.kind == EdgeKind::DerivedFrom).collect();
        let sources: BTreeMap<&str, Option<u64>> =
            derived.iter().map(|edge| (edge.from.as_str(), edge.version)).collect();
        let versions = [(story.profile.as_str(), Some(2)), (&story.unit, Some(1)), (FILE, Some(7))];
        assert_eq!(sources, versions.into());
        assert!(
            derived
                .iter()
                .all(|edge| edge.transformation.as_deref() == Some(ENGINE) && edge.to == story.decided)
        );
        assert!(graph.subjects.contains(&student(5)));
        assert_eq!(graph.nodes[0].event.as_ref().unwrap().action, "DecisionOutcomeObserved");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn downstream_of_an_event_is_what_it_caused_and_what_was_derived_from_its_version_or_a_later_one() {
    let world = World::campus().await;
    let story = Story::of(&world).await;
    world.follow().await;
    let graph_of = |node: &str| graph(&world, node.to_owned(), Direction::Downstream);
    let rows = set(&[&format!("decisions:{}", decision(5))]);
    let decided = set(&[&story.decided, &story.decision, &story.observed]);
    let aggregates = |graph: &Graph| {
        let nodes = graph.nodes.iter().filter(|node| node.kind != NodeKind::Row);
        nodes.map(|node| node.id.clone()).collect::<BTreeSet<_>>()
    };
    let described = graph_of(&story.described).await;
    let expected = set(&[&story.described, &story.profile]);
    assert_eq!(aggregates(&described), &expected | &decided);
    assert!(names(&described).is_superset(&rows), "{described:?}");
    // The creation led to the same version; the later description to nothing.
    let created = graph_of(&story.created).await;
    assert_eq!(aggregates(&created), &set(&[&story.created, &story.profile]) | &decided);
    let redescribed = graph_of(&story.redescribed).await;
    assert_eq!(aggregates(&redescribed), set(&[&story.redescribed, &story.profile]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_has_both_its_reasons_and_its_consequences() {
    let world = World::campus().await;
    let story = Story::of(&world).await;
    world.follow().await;
    let graph = graph(&world, &story.decision, Direction::Both).await;
    let all = names(&graph);
    for node in
        [&story.decided, &story.observed, &story.contested, &story.reviewed, &story.described, &story.unit]
    {
        assert!(all.contains(node), "{node} is in {all:?}");
    }
    assert!(!all.contains(&story.redescribed));
    let recorded: BTreeSet<_> = graph
        .edges
        .iter()
        .filter(|edge| edge.kind == EdgeKind::Recorded && edge.to == story.decision)
        .map(|edge| edge.version.unwrap())
        .collect();
    assert_eq!(recorded, [1, 2, 3, 4].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_of_an_aggregate_bounds_what_it_came_from() {
    let world = World::campus().await;
    let story = Story::of(&world).await;
    let graph = graph(&world, format!("{}@1", story.unit), Direction::Upstream).await;
    assert_eq!(names(&graph), set(&[&story.unit, &story.unit_created]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_came_from_the_stream_that_it_is_folded_from_and_its_impact_is_that_streams() {
    let world = World::campus().await;
    let story = Story::of(&world).await;
    world.follow().await;
    let row = format!("org_directory:{}", unit(5));
    let up = graph(&world, &row, Direction::Upstream).await;
    assert!(
        up.edges
            .iter()
            .any(|edge| edge.kind == EdgeKind::Folded && edge.from == story.unit && edge.to == row)
    );
    // The unit and all its five events.
    assert_eq!(up.nodes.len(), 7);
    let down = names(&graph(&world, &row, Direction::Downstream).await);
    assert!(down.contains(&story.decided) && down.contains(&story.observed), "{down:?}");
    let nowhere = from(format!("org_directory:{}", Uuid::nil()), Direction::Both);
    let refused = world.projections.lineage(&auditor(), &nowhere).await;
    assert!(matches!(refused, Err(GovernanceError::NoSuchNode(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_impact_of_an_engine_or_a_file_is_everything_that_was_computed_with_it() {
    let world = World::campus().await;
    world.follow().await;
    for node in ["transformation:rules/promise", "transformation:rules/promise@2", FILE] {
        let query = LineageQuery { depth: Some(1), ..from(node, Direction::Downstream) };
        let graph = world.projections.lineage(&auditor(), &query).await.unwrap();
        assert_eq!(graph.edges.len() as u128, STUDENTS, "{node}");
        assert!(
            graph.nodes[1..].iter().all(|node| node.event.as_ref().unwrap().action == "DecisionRecorded")
        );
    }
    let other = from("transformation:rules/promise@1", Direction::Downstream);
    let refused = world.projections.lineage(&auditor(), &other).await;
    assert!(matches!(refused, Err(GovernanceError::NoSuchNode(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_as_deep_and_as_large_as_was_asked_for() {
    let world = World::campus().await;
    let story = Story::of(&world).await;
    world.follow().await;
    let query = LineageQuery { depth: Some(1), ..from(&story.observed, Direction::Upstream) };
    let graph = world.projections.lineage(&auditor(), &query).await.unwrap();
    assert_eq!((names(&graph), graph.truncated), (set(&[&story.observed, &story.decided]), false));
    let query = LineageQuery { nodes: Some(10), ..from(FILE, Direction::Downstream) };
    let graph = world.projections.lineage(&auditor(), &query).await.unwrap();
    assert_eq!((graph.nodes.len(), graph.truncated), (10, true));
    for nodes in [0, 5001] {
        let query = LineageQuery { nodes: Some(nodes), ..from(FILE, Direction::Both) };
        let refused = world.projections.lineage(&auditor(), &query).await;
        assert!(matches!(refused, Err(GovernanceError::BadLimit { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn circles_end() {
    let world = World::empty().await;
    // Two units, each said to be derived from the other.
    world.create_unit(0).await;
    world.create_unit(1).await;
    for (number, other) in [(0, 1), (1, 0), (0, 1)] {
        let rename = domain::identity::OrgUnitCommand::ReviseOrgUnit {
            name: Some(format!("After {other}")),
            r#type: None,
            city: None,
            website: None,
            contact_email: None,
        };
        let request = commands::Request {
            derived_from: vec![format!("identity.org_unit:{}", unit(other))],
            ..commands::Request::by(Actor::user(ADMIN, &["admin"]))
        };
        world.issue::<OrgUnit>(unit(number), rename, request).await;
    }
    let graph = graph(&world, format!("identity.org_unit:{}", unit(0)), Direction::Both).await;
    assert_eq!(graph.nodes.len(), 7, "two units and five events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_can_be_seen_as_it_was() {
    let world = World::campus().await;
    let story = Story::of(&world).await;
    world.follow().await;
    let decided = world.version::<Decision>(decision(5), 1).await;
    let query = LineageQuery {
        as_of: Some(AsOf::Position(decided.position)),
        ..from(&story.described, Direction::Downstream)
    };
    let graph = world.projections.lineage(&auditor(), &query).await.unwrap();
    let expected = set(&[&story.described, &story.profile, &story.decided, &story.decision]);
    assert_eq!((names(&graph), graph.position), (expected, decided.position));
}

#[tokio::test(flavor = "multi_thread")]
async fn lineage_is_for_auditors_and_with_pseudonyms_for_analysts() {
    let world = World::campus().await;
    let story = Story::of(&world).await;
    world.follow().await;
    let student = Actor::user(crate::world::student(5), &["student"]);
    let refused = world.projections.lineage(&student, &from(&story.decided, Direction::Both)).await;
    assert!(matches!(refused, Err(GovernanceError::Forbidden)));
    let analyst = Actor::user(Uuid::from_u128(0xA7A), &["analyst"]);
    let refused = world.projections.lineage(&analyst, &from(&story.profile, Direction::Both)).await;
    assert!(matches!(refused, Err(GovernanceError::Forbidden)));
    let open = graph(&world, &story.decided, Direction::Both).await;
    let veiled = world.projections.lineage(&analyst, &from(&story.decided, Direction::Both)).await.unwrap();
    assert_eq!((veiled.nodes.len(), veiled.edges.len()), (open.nodes.len(), open.edges.len()));
    assert_eq!(veiled.root, story.decided);
    let text = serde_json::to_string(&veiled).unwrap();
    for id in [crate::world::student(5), unit(5), decision(5), ADMIN] {
        assert!(!text.contains(&id.to_string()), "{id} in {text}");
    }
    assert!(text.contains("policy:assess_promise") && veiled.subjects.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_node_is_refused() {
    let world = World::empty().await;
    for node in ["", "event", "event:7", "event:", ":7", "org_directory:7"] {
        let refused = world.projections.lineage(&auditor(), &from(node, Direction::Both)).await;
        assert!(matches!(refused, Err(GovernanceError::BadNode(_))), "{node}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_is_told_to_openlineage_from_start_to_end() {
    let world = World::campus().await;
    let story = Story::of(&world).await;
    world.follow().await;
    let graph = graph(&world, &story.decided, Direction::Upstream).await;
    let Value::Array(events) = openlineage(&graph) else { panic!("an array") };
    let decided = world.version::<Decision>(decision(5), 1).await;
    let run = json!(decided.command_id.unwrap());
    let told: Vec<&Value> = events.iter().filter(|event| event["run"]["runId"] == run).collect();
    let kinds: Vec<&Value> = told.iter().map(|event| &event["eventType"]).collect();
    assert_eq!(kinds, [&json!("START"), &json!("COMPLETE")]);
    let complete = told[1];
    assert_eq!(complete["job"], json!({"namespace": "annals", "name": ENGINE}));
    assert_eq!(complete["eventTime"], json!(decided.recorded_at.to_string()));
    let versions = |datasets: &Value| -> BTreeMap<String, String> {
        let datasets = datasets.as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        datasets.map(|set| (text(&set["name"]), text(&set["facets"]["version"]["datasetVersion"]))).collect()
    };
    let of = |sets: &[(&str, &str)]| -> BTreeMap<String, String> {
        sets.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    };
    assert_eq!(versions(&complete["inputs"]), of(&[(&story.profile, "2"), (&story.unit, "1"), (FILE, "7")]));
    assert_eq!(versions(&complete["outputs"]), of(&[(&story.decision, "1")]));
    // One START and one end for each run, in the order of the log, with what the specification requires.
    let mut open = BTreeSet::new();
    for event in &events {
        let run = event["run"]["runId"].as_str().unwrap().to_owned();
        match event["eventType"].as_str().unwrap() {
            "START" => assert!(open.insert(run)),
            "COMPLETE" => assert!(open.remove(&run)),
            other => panic!("{other}"),
        }
        for required in ["eventTime", "producer", "schemaURL"] {
            assert!(event[required].is_string(), "{required}");
        }
        assert!(
            event["job"]["name"].is_string() && event["inputs"].is_array() && event["outputs"].is_array()
        );
    }
    assert!(open.is_empty());
    assert_eq!(Decision::TYPE, "intelligence.decision");
}
