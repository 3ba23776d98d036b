//! Read models as they stood, what a rebuild changes, and the way back.

use event_store::{AsOf, Basis, Classes};
use projections::{Config, Difference, Projections, Query, QueryError};

use crate::{
    models::{Contacts, History, Names},
    world::*,
};

/// The schema of the generation that serves.
async fn schema(world: &World, name: &str) -> String {
    sqlx::query_scalar("SELECT schema_name FROM annals.projections WHERE serving AND name = $1")
        .bind(name)
        .fetch_one(world.store.pool())
        .await
        .unwrap()
}

async fn number(world: &World, sql: &str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(world.store.pool()).await.unwrap()
}

/// How many rows only one of two tables has.
async fn unlike(world: &World, one: &str, other: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM ((TABLE {one} EXCEPT ALL TABLE {other}) UNION ALL (TABLE {other} EXCEPT ALL TABLE {one})) d"
    );
    number(world, &sql).await
}

async fn world() -> World {
    World::of(vec![Names::model(), History::model()]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_as_of_a_position_have_the_rows_that_they_had_then() {
    let world = world().await;
    world.projections.start();
    for id in 1..=20 {
        world.append(unit(id), created(&format!("U{id}"))).await;
    }
    let then = world.append(unit(3), renamed("Then")).await;
    world.visible("names", then).await;
    for name in ["names", "history"] {
        let table = format!("\"{}\".{name}", schema(&world, name).await);
        world.sql(&format!("CREATE TABLE kept_{name} AS TABLE {table}")).await;
    }
    world.append(unit(3), renamed("Later")).await;
    let now = world.append(unit(4), gone()).await;
    world.visible("names", now).await;
    let built = world.projections.build_as_of(&[], then).await.unwrap();
    assert!(built.iter().all(|one| one.events == then && one.parked.is_none()));
    for name in ["names", "history"] {
        let past = format!("asof_{then}.{name}");
        assert_eq!(unlike(&world, &format!("kept_{name}"), &past).await, 0, "{name}");
        assert_ne!(
            unlike(&world, &format!("\"{}\".{name}", schema(&world, name).await), &past).await,
            0,
            "{name}"
        );
    }
    // Over HTTP as well: also those that keep no past, which answer as of no other moment.
    let ask = async |position, after| {
        let (as_of, limit) = (Some(AsOf::Position(position)), Some(8));
        let query = Query { as_of, limit, after, ..Query::default() };
        world.projections.list("history", &admin(), &query).await
    };
    let (mut rows, mut next) = (Vec::new(), None);
    loop {
        let page = ask(then, next).await.unwrap();
        assert_eq!(page.position, then);
        rows.extend(page.rows);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(rows.len() as i64, number(&world, "SELECT count(*) FROM kept_history").await);
    assert!(matches!(ask(then - 1, None).await, Err(QueryError::AsOfUnsupported("history"))));
    sqlx::query(&format!("DROP TABLE asof_{then}.history")).execute(world.store.pool()).await.unwrap();
    assert!(matches!(ask(then, None).await, Err(QueryError::AsOfUnsupported("history"))));
    assert!(world.projections.build_as_of(&["names"], now + 1).await.is_err(), "it has not come yet");
    assert!(world.projections.drop_as_of(then).await.unwrap());
    assert!(!world.projections.drop_as_of(then).await.unwrap(), "it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_of_the_past_go_when_keys_are_destroyed() {
    let world = world().await;
    let position = world.append(unit(1), created("A")).await;
    world.projections.rebuild_all().await.unwrap();
    world.projections.build_as_of(&[], position).await.unwrap();
    world.store.keyring().shred(contact_of("A"), Classes::All, Basis::Erasure).await.unwrap();
    world.projections.rebuild_after_shreds().await.unwrap();
    assert_eq!(number(&world, "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^asof_'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_of_the_past_do_not_wait_for_the_rebuild_after_keys_were_destroyed() {
    let world = World::of(vec![Contacts::model(), Names::model()]).await;
    world.projections.start();
    let position = world.append(unit(1), created("PSU")).await;
    world.visible("contacts", position).await;
    world.projections.build_as_of(&[], position).await.unwrap();
    // Whoever builds has to wait for this, and with it whoever rebuilds after a shred.
    let mut building = world.store.pool().acquire().await.unwrap().detach();
    let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(0x616e_6e61_6c75_i64);
    lock.execute(&mut building).await.unwrap();
    let past = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^asof_'";
    assert_eq!(number(&world, past).await, 1);
    world.store.keyring().shred(contact_of("PSU"), Classes::All, Basis::Erasure).await.unwrap();
    eventually("the past is gone", async || number(&world, past).await == 0).await;
    let rebuilt = number(&world, "SELECT shreds FROM annals.projection_head").await;
    assert_eq!(rebuilt, 0, "what serves is not rebuilt yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_tells_which_rows_it_changed() {
    let world = world().await;
    world.projections.start();
    for id in 1..=5 {
        world.append(unit(id), created(&format!("U{id}"))).await;
    }
    let last = world.append(unit(1), renamed("Right")).await;
    world.visible("names", last).await;
    let config = Config {
        models: vec![Names::model(), History::model()],
        compare: true,
        ..Config::new(&world.database.url)
    };
    let comparing = Projections::new(world.store.clone(), config).unwrap();
    let same = comparing.rebuild(&["names"]).await.unwrap().remove(0);
    assert_eq!(same.difference, Some(Difference::default()));
    let table = format!("\"{}\".names", schema(&world, "names").await);
    world.sql(&format!("UPDATE {table} SET name = 'Wrong' WHERE org_id = '{}'", unit(1))).await;
    world.sql(&format!("DELETE FROM {table} WHERE org_id = '{}'", unit(2))).await;
    let mended = comparing.rebuild(&["names"]).await.unwrap().remove(0).difference.unwrap();
    assert_eq!((mended.added, mended.removed, mended.changed), (1, 0, 1));
    assert_eq!(mended.examples, [unit(1).to_string(), unit(2).to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_former_generation_serves_again_with_everything_that_happened_since() {
    let world = world().await;
    world.projections.start();
    let first = world.append(unit(1), created("A")).await;
    world.visible("names", first).await;
    assert!(
        world.projections.rollback("names", &admin(), "nothing").await.is_err(),
        "there is no former one"
    );
    world.projections.rebuild(&["names"]).await.unwrap();
    let last = world.append(unit(1), renamed("Since")).await;
    world.visible("names", last).await;
    let before = world.projections.checksum("names").await.unwrap();
    assert_eq!(world.projections.rollback("names", &admin(), "It was better.").await.unwrap(), 1);
    assert_eq!(world.projections.checksum("names").await.unwrap(), before);
    let next = world.append(unit(1), renamed("Then on")).await;
    world.visible("names", next).await;
    let serving = "SELECT generation::bigint FROM annals.projections WHERE serving AND name = 'names'";
    assert_eq!(number(&world, serving).await, 1);
    assert_eq!(world.projections.rollback("names", &admin(), "No.").await.unwrap(), 2, "and forth again");
}
