//! What analysts see through SQL.

use projections::State;
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::{
    models::{History, Louder, Names, Shorter},
    world::*,
};

/// A connection that may do what analysts may.
async fn analyst(world: &World) -> PgConnection {
    let mut connection = world.database.connect().await;
    connection.execute("SET ROLE annals_analyst").await.unwrap();
    connection
}

async fn shown(world: &World, name: &str) {
    eventually("analysts see it", async || {
        let shown: bool = sqlx::query_scalar(
            "SELECT coalesce(bool_or(viewed), false) FROM annals.projections WHERE serving AND name = $1",
        )
        .bind(name)
        .fetch_one(world.store.pool())
        .await
        .unwrap();
        shown
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_sees_pseudonyms_and_open_columns_and_nothing_else() {
    let world = World::of(vec![Names::model()]).await;
    world.projections.start();
    let position = world.append(unit(1), created("A")).await;
    world.visible("names", position).await;
    shown(&world, "names").await;
    let mut analyst = analyst(&world).await;
    let row = analyst.fetch_one("SELECT * FROM read.names").await.unwrap();
    let columns: Vec<_> = row.columns().iter().map(sqlx::Column::name).collect();
    assert_eq!(columns, ["org_id", "name", "count"]);
    let pseudonym: uuid::Uuid = row.get("org_id");
    assert_ne!(pseudonym, unit(1));
    for forbidden in [
        "SELECT * FROM names_v1_g1.names",
        "SELECT * FROM annals.events",
        "SELECT * FROM annals.pseudonym_key",
        "SELECT annals.pseudonym('00000000-0000-0000-0000-000000000001')",
        "CREATE TABLE read.mine ()",
        "DELETE FROM read.names",
    ] {
        assert!(analyst.execute(forbidden).await.is_err(), "{forbidden}");
    }
    analyst.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_fewer_than_five_are_not_shown() {
    let world = World::of(vec![History::model()]).await;
    world.projections.start();
    for number in 0..5 {
        world.append(unit(number), created(&format!("U{number}"))).await;
    }
    let mut position = 0;
    for number in 0..4 {
        position = world.append(unit(number), renamed("other")).await;
    }
    world.visible("history", position).await;
    shown(&world, "history").await;
    let mut analyst = analyst(&world).await;
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT event, group_size FROM read.history").fetch_all(&mut analyst).await.unwrap();
    assert_eq!(rows, [("OrgUnitCreated".to_owned(), 5)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_condition_of_an_analyst_reaches_a_group_that_is_not_shown() {
    let world = World::of(vec![History::model()]).await;
    world.projections.start();
    for number in 0..5 {
        world.append(unit(number), created(&format!("U{number}"))).await;
    }
    let position = world.append(unit(0), renamed("other")).await;
    world.visible("history", position).await;
    shown(&world, "history").await;
    let mut analyst = analyst(&world).await;
    let error =
        analyst.execute("SELECT FROM read.history WHERE event::int > 0").await.unwrap_err().to_string();
    assert!(error.contains("OrgUnitCreated") && !error.contains("OrgUnitRevised"), "{error}");
    let hidden =
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT FROM read.history WHERE event <> 'OrgUnitCreated'";
    let plan: Vec<String> = sqlx::query_scalar(hidden).fetch_all(&mut analyst).await.unwrap();
    assert!(plan[0].contains("rows=0") && !plan.concat().contains("Scan on history"), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_cannot_hold_the_locks_of_nodes() {
    let world = World::of(vec![Names::model()]).await;
    let mut analyst = analyst(&world).await;
    for lock in ["pg_advisory_lock(1)", "pg_try_advisory_lock(1)", "pg_advisory_xact_lock_shared(1, 1)"] {
        let error = analyst.execute(&*format!("SELECT {lock}")).await.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{lock}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_leaves_nothing_in_the_database() {
    let world = World::of(vec![Names::model()]).await;
    let mut analyst = analyst(&world).await;
    for writing in [
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE TABLE public.mine ()",
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_from_bytea(0, 'x')",
    ] {
        let error = analyst.execute(writing).await.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{writing}: {error}");
    }
    let mut node = world.database.connect().await;
    node.execute("CREATE TEMPORARY TABLE mine ()").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_never_loses_a_column_and_shows_the_new_version_in_the_end() {
    let world = World::of(vec![Names::model()]).await;
    world.projections.start();
    let position = world.append(unit(1), created("A")).await;
    world.visible("names", position).await;
    shown(&world, "names").await;
    world.projections.shutdown().await;
    // An analyst's query is under way: the switch of the view waits for it, and holds up nobody else.
    let mut reading = analyst(&world).await;
    reading.execute("BEGIN").await.unwrap();
    reading.execute("SELECT * FROM read.names").await.unwrap();
    let next = world.another(vec![Shorter::model()]);
    next.start();
    eventually("the new version serves", async || {
        let status = next.status().await.unwrap();
        status.iter().any(|status| status.version == 3 && status.state == State::Live)
    })
    .await;
    let position = world.append(unit(1), renamed("B")).await;
    assert!(next.wait_for("names", position, PATIENCE).await.unwrap());
    reading.execute("COMMIT").await.unwrap();
    shown(&world, "names").await;
    let row = reading.fetch_one("SELECT * FROM read.names").await.unwrap();
    let columns: Vec<_> = row.columns().iter().map(sqlx::Column::name).collect();
    assert_eq!(columns, ["org_id", "name", "count"]);
    assert_eq!((row.get::<String, _>("name"), row.get::<Option<i64>, _>("count")), ("B".to_owned(), None));
    // The generation that it showed can go.
    assert_eq!(next.drop_retired("names", &admin(), "tidy").await.unwrap(), 1);
    reading.fetch_one("SELECT * FROM read.names").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pseudonym_is_the_same_in_every_view_and_generation() {
    let world = World::of(vec![Names::model()]).await;
    world.projections.start();
    let position = world.append(unit(1), created("A")).await;
    world.visible("names", position).await;
    shown(&world, "names").await;
    let mut analyst = analyst(&world).await;
    let ask = "SELECT org_id FROM read.names";
    let before: uuid::Uuid = sqlx::query_scalar(ask).fetch_one(&mut analyst).await.unwrap();
    world.projections.shutdown().await;
    let next = world.another(vec![Louder::model()]);
    next.start();
    eventually("the new version serves", async || next.position_of("names").await.unwrap() >= Some(position))
        .await;
    shown(&world, "names").await;
    let after: uuid::Uuid = sqlx::query_scalar(ask).fetch_one(&mut analyst).await.unwrap();
    assert_eq!(before, after);
}
