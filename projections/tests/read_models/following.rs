//! The follower against a real PostgreSQL.

use std::time::{Duration, Instant};

use domain::{Actor, identity::OrgUnitEvent};
use event_store::testing::Cluster;
use projections::{Config, FollowerState, Projections, Query, QueryError};
use serde_json::json;

use crate::{
    models::{History, Names},
    world::*,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_is_soon_listed() {
    let world = World::new().await;
    world.projections.start();
    let position = world.append(unit(1), created("PSU")).await;
    world.visible("org_directory", position).await;
    let page = world.projections.list("org_directory", &admin(), &Query::default()).await.unwrap();
    assert_eq!(page.position, position);
    let row = &page.rows[0];
    assert_eq!((&row["code"], &row["active"], &row["as_of"]), (&json!("PSU"), &json!(true), &json!(1)));
    assert_eq!(row["contact_email"], json!("registrar@PSU.example"));
    assert!(page.subjects.contains(&contact_of("PSU")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_up_to_date_opens_no_more_connections() {
    let world = World::new().await;
    world.projections.start();
    world.append(unit(1), created("PSU")).await;
    let viewed = "SELECT bool_and(viewed) FROM annals.projections WHERE name = 'org_directory' AND serving";
    eventually("analysts see it", async || {
        sqlx::query_scalar(viewed).fetch_one(world.store.pool()).await.ok().flatten() == Some(true)
    })
    .await;
    let sessions = async || -> i64 {
        let counted = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()";
        sqlx::query_scalar(counted).fetch_one(world.store.pool()).await.unwrap()
    };
    // What the last work had open is counted when it ends: the follower has looked twice by then.
    let busy = async |time: Duration| {
        let begun = Instant::now();
        for number in 0.. {
            let position = world.append(unit(1), renamed(&format!("Name {number}"))).await;
            world.visible("org_directory", position).await;
            if begun.elapsed() > time {
                return;
            }
        }
    };
    busy(Duration::from_millis(600)).await;
    let before = sessions().await;
    busy(Duration::from_millis(1500)).await;
    let opened = sessions().await - before;
    assert!(opened < 4, "the pool may open one; this opened {opened}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_of_many_rows_in_one_batch_are_folded_in_the_order_of_the_log() {
    let world = World::new().await;
    let mut last = 0;
    for number in 0..30 {
        let id = unit(number % 7 + 1);
        let event =
            if number < 7 { created(&format!("U{number}")) } else { renamed(&format!("Name {number}")) };
        last = world.append(id, event).await;
    }
    world.projections.start();
    world.visible("org_directory", last).await;
    let page = world.projections.list("org_directory", &admin(), &Query::default()).await.unwrap();
    let names: Vec<_> = page.rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["Name 28", "Name 29", "Name 23", "Name 24", "Name 25", "Name 26", "Name 27"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_goes_on_where_the_last_one_ended() {
    let world = World::new().await;
    world.projections.start();
    let first = world.append(unit(1), created("A")).await;
    world.visible("org_directory", first).await;
    world.projections.shutdown().await;
    let second = world.append(unit(1), renamed("Another")).await;
    let next = world.another(projections::read_models().to_vec());
    next.start();
    assert!(next.wait_for("org_directory", second, PATIENCE).await.unwrap());
    let page = next.list("org_directory", &admin(), &Query::default()).await.unwrap();
    assert_eq!((page.rows.len(), &page.rows[0]["name"]), (1, &json!("Another")));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_follows_and_the_other_takes_over_when_it_ends() {
    let world = World::new().await;
    let other = world.another(projections::read_models().to_vec());
    world.projections.start();
    in_state(&world.projections, |state| *state == FollowerState::Following).await;
    other.start();
    in_state(&other, |state| *state == FollowerState::Standby).await;
    // The one that stands by answers from the database.
    let position = world.append(unit(1), created("A")).await;
    assert!(other.wait_for("org_directory", position, PATIENCE).await.unwrap());
    world.projections.shutdown().await;
    in_state(&other, |state| *state == FollowerState::Following).await;
    let position = world.append(unit(2), created("B")).await;
    assert!(other.wait_for("org_directory", position, PATIENCE).await.unwrap());
    assert_eq!(codes(&other).await, ["A", "B"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_costs_no_event() {
    let world = World::new().await;
    world.projections.start();
    let first = world.append(unit(1), created("A")).await;
    world.visible("org_directory", first).await;
    world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'annals follower' AND datname = current_database()").await;
    let second = world.append(unit(2), created("B")).await;
    world.visible("org_directory", second).await;
    assert_eq!(codes(&world.projections).await, ["A", "B"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_what_does_not_come_ends_in_time_and_says_no() {
    let world = World::new().await;
    world.projections.start();
    in_state(&world.projections, |state| *state == FollowerState::Following).await;
    let patience = std::time::Duration::from_millis(30);
    assert!(!world.projections.wait_for("org_directory", 1, patience).await.unwrap());
    let query = Query { min_position: Some(1), ..Query::default() };
    let answer = world.projections.list("org_directory", &admin(), &query).await;
    assert!(matches!(answer, Err(QueryError::NotYet { position: 0 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_ahead_of_the_log_or_of_another_log_is_refused() {
    let world = World::new().await;
    world.append(unit(1), created("A")).await;
    world.sql("UPDATE annals.projection_head SET position = 5").await;
    world.projections.start();
    let state = in_state(&world.projections, |state| matches!(state, FollowerState::Refused(_))).await;
    assert!(matches!(state, FollowerState::Refused(reason) if reason.contains("the log ends at 1")));
    world.sql("UPDATE annals.projection_head SET position = 0, incarnation = gen_random_uuid()").await;
    in_state(
        &world.projections,
        |state| matches!(state, FollowerState::Refused(reason) if reason.contains("folded from log")),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_values_rest_sealed_and_read_as_erased_after_a_shred() {
    let world = World::new().await;
    world.projections.start();
    let position = world.append(unit(1), created("PSU")).await;
    world.visible("org_directory", position).await;
    let stored: String = sqlx::query_scalar("SELECT t::text FROM org_directory_v1_g1.org_directory t")
        .fetch_one(world.store.pool())
        .await
        .unwrap();
    assert!(stored.contains("PSU") && stored.contains("$personal"), "{stored}");
    assert!(!stored.contains("registrar"), "{stored}");
    let (all, erasure) = (event_store::Classes::All, event_store::Basis::Erasure);
    world.store.keyring().shred(contact_of("PSU"), all, erasure).await.unwrap();
    let position = world.append(unit(1), renamed("Renamed")).await;
    world.visible("org_directory", position).await;
    let page = world.projections.list("org_directory", &admin(), &Query::default()).await.unwrap();
    assert_eq!(page.rows[0]["contact_email"], json!("«erased»"));
    assert_eq!(page.rows[0]["name"], json!("Renamed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_may_see_it_get_a_column() {
    let world = World::new().await;
    world.projections.start();
    let position = world.append(unit(1), created("PSU")).await;
    world.append(unit(1), OrgUnitEvent::OrgUnitMoved { parent: None }).await;
    world.visible("org_directory", position).await;
    let member = Actor::user(unit(7), &[]);
    let page = world.projections.list("org_directory", &member, &Query::default()).await.unwrap();
    assert_eq!(page.rows[0].get("contact_email"), None);
    // It is documented, so who asks for it is told that it is not for them.
    let asked = Query { fields: vec!["contact_email".into()], ..Query::default() };
    let refused = world.projections.list("org_directory", &member, &asked).await.unwrap_err();
    assert!(matches!(refused, QueryError::Hidden(column) if column == "contact_email"));
    let nobody = Actor { scopes: Default::default(), ..Actor::policy("x") };
    let page = world.projections.list("org_directory", &nobody, &Query::default()).await.unwrap();
    assert!(page.rows.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_postgresql_costs_no_event_and_doubles_none() {
    let mut cluster = Cluster::start();
    let database = cluster.database().await;
    let store = database.store().await.unwrap();
    let models = vec![Names::model(), History::model()];
    let config = Config { models, ..Config::new(&database.url) };
    let projections = Projections::new(store.clone(), config).unwrap();
    projections.start();
    for number in 0..8 {
        append(&store, unit(number), vec![created(&format!("U{number}"))]).await;
    }
    for round in 0..3 {
        let mut last = 0;
        for number in 0..40 {
            last = append(&store, unit(number % 8), vec![renamed(&format!("Name {round} {number}"))]).await;
        }
        // The follower is in the middle of it; what it committed last may be lost, and with it its checkpoint.
        folded(&projections, last - 20).await;
        cluster.kill();
        cluster.restart();
    }
    let last = append(&store, unit(1), vec![renamed("the last")]).await;
    folded(&projections, last).await;
    let followed =
        [projections.checksum("names").await.unwrap(), projections.checksum("history").await.unwrap()];
    assert_eq!((followed[0].rows, followed[1].rows), (8, last));
    projections.rebuild_all().await.unwrap();
    let rebuilt =
        [projections.checksum("names").await.unwrap(), projections.checksum("history").await.unwrap()];
    assert_eq!(rebuilt, followed);
    projections.shutdown().await;
}

/// Waits through an outage: whoever has lost all connections gets errors for a moment.
async fn folded(projections: &Projections, position: u64) {
    let brief = std::time::Duration::from_millis(100);
    let is = async || projections.wait_for("names", position, brief).await.unwrap_or(false);
    eventually("it is folded", is).await;
}
