//! Which rows events changed, and which events changed a row, as the graph of lineage has them.

use std::collections::BTreeSet;

use domain::{Actor, Decider, budgeting::BudgetMonth};
use event_store::{Position, StreamId};
use projections::governance::{Direction, EdgeKind, GovernanceError, Graph, LineageQuery};
use uuid::Uuid;

use crate::{
    budgeting::{month, redistributed},
    opportunities::{published, submitted},
    world::*,
};

const ADA: Uuid = Uuid::from_u128(0xADA);

fn auditor() -> Actor {
    Actor::user(Uuid::from_u128(0xC0), &["compliance"])
}

async fn graph(world: &World, actor: &Actor, node: &str, direction: Direction) -> Graph {
    let query = LineageQuery { node: node.to_owned(), direction, ..LineageQuery::default() };
    world.projections.lineage(actor, &query).await.unwrap()
}

/// What a graph says of rows: from where to which.
fn folded(graph: &Graph) -> BTreeSet<(String, String)> {
    let edges = graph.edges.iter().filter(|edge| edge.kind == EdgeKind::Folded);
    edges.map(|edge| (edge.from.clone(), edge.to.clone())).collect()
}

async fn everything_is_folded(world: &World, position: Position) {
    for model in projections::read_models() {
        world.visible(model.shape().name, position).await;
    }
}

/// The month, and the node of its last event: money moved in it.
async fn money_moved(world: &World) -> (Uuid, String) {
    world.projections.start();
    let id = BudgetMonth::id(ADA, month());
    let stream = StreamId::new(BudgetMonth::TYPE, id.to_string());
    let events = redistributed(ADA).map(|event| new_event::<BudgetMonth>(stream.clone(), &event));
    let moved = format!("event:{}", events[1].event_id);
    everything_is_folded(world, append_events(&world.store, events.into()).await).await;
    (id, moved)
}

#[tokio::test(flavor = "multi_thread")]
async fn downstream_of_an_event_are_the_rows_that_it_changed_whatever_they_are_keyed_by() {
    let world = World::new().await;
    let (id, moved) = money_moved(&world).await;
    let down = graph(&world, &auditor(), &moved, Direction::Downstream).await;
    let aggregate = format!("budgeting.budget_month:{id}");
    let expected = [
        (aggregate.clone(), format!("budget_calendar:{id}/books")),
        (aggregate.clone(), format!("envelopes:{id}/books")),
        (aggregate, format!("envelopes:{id}/dining")),
        (moved.clone(), format!("redistributions:{}", Uuid::from_u128(0x4ED))),
    ];
    assert_eq!(folded(&down), expected.into());
    for (_, row) in folded(&down) {
        let up = graph(&world, &auditor(), &row, Direction::Upstream).await;
        assert!(up.nodes.iter().any(|node| node.id == moved), "upstream of {row}: {up:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_more_rows_than_were_asked_for_some_are_left_out_and_the_graph_says_so() {
    let world = World::new().await;
    let (_, moved) = money_moved(&world).await;
    let query = LineageQuery {
        node: moved,
        direction: Direction::Downstream,
        nodes: Some(4),
        ..LineageQuery::default()
    };
    let cut = world.projections.lineage(&auditor(), &query).await.unwrap();
    assert_eq!((cut.nodes.len(), cut.truncated), (4, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_there_any_more_are_left_out() {
    let world = World::new().await;
    let (_, moved) = money_moved(&world).await;
    let table = world.schema("redistributions").await;
    world.sql(&format!("DELETE FROM \"{table}\".redistributions")).await;
    let down = folded(&graph(&world, &auditor(), &moved, Direction::Downstream).await);
    assert_eq!((down.len(), down.iter().any(|(_, row)| row.starts_with("redistributions:"))), (3, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn analysts_are_shown_the_rows_that_one_identifier_names_and_no_parts_of_keys() {
    let world = World::new().await;
    let (_, moved) = money_moved(&world).await;
    let analyst = Actor::user(Uuid::from_u128(0xA7A), &["analyst"]);
    let down = folded(&graph(&world, &analyst, &moved, Direction::Downstream).await);
    let rows: Vec<&str> = down.iter().filter_map(|(_, row)| row.split(':').next()).collect();
    assert_eq!(rows, ["redistributions"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_of_a_scholarships_row_are_the_submissions_that_it_counts() {
    let world = World::new().await;
    world.projections.start();
    let mut events = Vec::from(published(1, "Gorilla Makers", &[]));
    events.extend(published(2, "Gorilla Writers", &[]));
    let mut expected = BTreeSet::from([format!("opportunities.scholarship:{}", unit(1))]);
    for number in 1..=3 {
        let application = submitted(number, "Physics");
        expected.insert(format!("event:{}", application[1].event_id));
        events.extend(application);
    }
    everything_is_folded(&world, append_events(&world.store, events).await).await;
    let row = format!("scholarships:{}", unit(1));
    let up = graph(&world, &auditor(), &row, Direction::Upstream).await;
    assert_eq!(folded(&up), expected.into_iter().map(|from| (from, row.clone())).collect());
    assert!(!up.truncated);
    let none = graph(&world, &auditor(), &format!("scholarships:{}", unit(2)), Direction::Upstream).await;
    assert_eq!(folded(&none).len(), 1, "its own stream alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not_has_no_lineage() {
    let world = World::new().await;
    let (id, moved) = money_moved(&world).await;
    let nil = Uuid::nil();
    for node in [
        format!("event:{nil}"),
        format!("budgeting.budget_month:{nil}"),
        format!("budgeting.budget_month:{id}@99"),
        format!("scholarships:{id}"),
        format!("envelopes:{id}/travel"),
        format!("nope:{id}"),
        "transformation:nope".to_owned(),
    ] {
        for direction in [Direction::Upstream, Direction::Downstream, Direction::Both] {
            let query = LineageQuery { node: node.clone(), direction, ..LineageQuery::default() };
            let refused = world.projections.lineage(&auditor(), &query).await;
            assert!(matches!(refused, Err(GovernanceError::NoSuchNode(_))), "{node}: {refused:?}");
        }
    }
    // A part of a key that has a `/` in it is written so that it is no other key.
    for node in [format!("envelopes:{id}"), format!("envelopes:{id}/a/b")] {
        let query = LineageQuery { node, ..LineageQuery::default() };
        let refused = world.projections.lineage(&auditor(), &query).await;
        assert!(matches!(refused, Err(GovernanceError::BadNode(_))), "{refused:?}");
    }
    let encoded = graph(&world, &auditor(), &format!("envelopes:{id}/dining"), Direction::Upstream).await;
    assert!(encoded.nodes.iter().any(|node| node.id == moved));
}
