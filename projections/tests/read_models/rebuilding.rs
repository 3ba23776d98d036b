//! Rebuilds: beside, then switched.

use event_store::testing::Cluster;
use projections::{Config, Difference, ProjectionError, Projections, Query, State};
use serde_json::json;

use crate::{
    models::{Contacts, History, Louder, Names, Panicking, Unlogged},
    world::*,
};

/// A log in which rows are made, changed often and removed.
async fn lively_log(world: &World, events: u128) -> u64 {
    let mut last = 0;
    for number in 0..events {
        let id = unit(number % 50);
        let event = match number / 50 {
            0 => created(&format!("U{number}")),
            round if round % 5 == 4 && number % 3 == 0 => gone(),
            round if round % 5 == 0 && number % 3 == 0 => created(&format!("U{number}")),
            _ => renamed(&format!("Name {number}")),
        };
        last = world.append(id, event).await;
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_gives_the_same_rows_as_following_did() {
    let mut models = projections::read_models().to_vec();
    models.extend([Names::model(), History::model()]);
    let world = World::of(models).await;
    world.projections.start();
    let last = lively_log(&world, 500).await;
    world.visible("names", last).await;
    world.visible("org_directory", last).await;
    let checksums = async || {
        let mut all = Vec::new();
        for name in ["names", "history", "org_directory"] {
            all.push(world.projections.checksum(name).await.unwrap());
        }
        all
    };
    let followed = checksums().await;
    assert!(followed.iter().all(|checksum| checksum.rows > 0));
    let rebuilt = world.projections.rebuild_all().await.unwrap();
    assert!(rebuilt.iter().all(|rebuilt| rebuilt.generation == 2 && rebuilt.events == 500));
    assert_eq!(checksums().await, followed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_has_little_memory_gives_the_same_rows() {
    let world = World::of(vec![Names::model(), History::model()]).await;
    let last = lively_log(&world, 600).await;
    world.projections.start();
    world.visible("names", last).await;
    let followed = world.projections.checksum("names").await.unwrap();
    let config = Config {
        models: vec![Names::model(), History::model()],
        rebuild_memory: 0,
        rebuild_chunk: 16,
        ..Config::new(&world.database.url)
    };
    let poor = Projections::new(world.store.clone(), config).unwrap();
    poor.rebuild_all().await.unwrap();
    assert_eq!(poor.checksum("names").await.unwrap(), followed);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_while_a_read_model_is_rebuilt_are_in_it() {
    let world = World::of(vec![Names::model(), History::model()]).await;
    world.projections.start();
    lively_log(&world, 300).await;
    let writing = {
        let store = world.store.clone();
        tokio::spawn(async move {
            let mut last = 0;
            for number in 0..300 {
                last = append(&store, unit(number % 50), vec![renamed(&format!("Later {number}"))]).await;
            }
            last
        })
    };
    for _ in 0..3 {
        world.projections.rebuild(&["names"]).await.unwrap();
    }
    let last = writing.await.unwrap();
    world.visible("names", last).await;
    let followed = world.projections.checksum("names").await.unwrap();
    world.projections.rebuild_all().await.unwrap();
    assert_eq!(world.projections.checksum("names").await.unwrap(), followed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_built_beside_the_old_one_and_then_serves() {
    let world = World::of(vec![Names::model(), History::model()]).await;
    world.projections.start();
    world.append(unit(1), created("A")).await;
    let position = world.append(unit(1), renamed("quiet")).await;
    world.visible("names", position).await;
    world.projections.shutdown().await;
    let next = world.another(vec![Louder::model(), History::model()]);
    next.start();
    eventually("the new version serves", async || {
        let page = next.list("names", &admin(), &Query::default()).await;
        page.is_ok_and(|page| page.rows[0]["name"] == json!("QUIET"))
    })
    .await;
    let position = world.append(unit(1), renamed("again")).await;
    assert!(next.wait_for("names", position, PATIENCE).await.unwrap());
    let status = next.status().await.unwrap();
    let names: Vec<_> = status.iter().filter(|status| status.name == "names").collect();
    assert_eq!((names[0].version, names[0].state, names[0].serving), (1, State::Retired, false));
    assert_eq!((names[1].version, names[1].serving), (2, true));
    assert_eq!(next.drop_retired("names", &admin(), "tidy").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_that_is_new_on_an_old_log_is_built_and_joins() {
    let world = World::of(vec![History::model()]).await;
    world.projections.start();
    let last = lively_log(&world, 120).await;
    world.visible("history", last).await;
    world.projections.shutdown().await;
    let next = world.another(vec![Names::model(), History::model()]);
    next.start();
    assert!(next.wait_for("names", last, PATIENCE).await.unwrap());
    let last = world.append(unit(1), created("Z")).await;
    assert!(next.wait_for("names", last, PATIENCE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_of_a_read_model_that_cannot_fold_an_event_leaves_the_old_one_serving() {
    let world = World::of(vec![Names::model()]).await;
    world.projections.start();
    world.append(unit(1), created("A")).await;
    let poison = world.append(unit(1), renamed("panic")).await;
    world.visible("names", poison).await;
    let broken = world.another(vec![Panicking::model()]);
    let rebuilt = broken.rebuild(&["names"]).await.unwrap();
    assert_eq!(rebuilt[0].parked, Some(poison));
    let page = broken.list("names", &admin(), &Query::default()).await.unwrap();
    assert_eq!((page.position, &page.rows[0]["name"]), (poison, &json!("panic")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlogged_read_model_that_a_crash_empties_is_built_again_by_itself() {
    let mut cluster = Cluster::start();
    let database = cluster.database().await;
    let store = database.store().await.unwrap();
    let config = || Config { models: vec![Unlogged::model()], ..Config::new(&database.url) };
    let projections = Projections::new(store.clone(), config()).unwrap();
    projections.start();
    let position = append(&store, unit(1), vec![created("A")]).await;
    assert!(projections.wait_for("names", position, PATIENCE).await.unwrap());
    cluster.kill();
    cluster.restart();
    // The follower notices by itself: it has lost its connection.
    eventually("the row is back", async || {
        let page = projections.list("names", &admin(), &Query::default()).await;
        page.is_ok_and(|page| page.rows.len() == 1 && page.position == position)
    })
    .await;
    projections.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_no_table_holds_the_value_in_the_clear() {
    let world = World::of(vec![Contacts::model(), Names::model()]).await;
    world.projections.start();
    world.append(unit(1), created("PSU")).await;
    let last = world.append(unit(2), created("KU")).await;
    world.visible("contacts", last).await;
    let query = Query { sort: vec!["contact".into()], ..Query::default() };
    let contacts = async || {
        let rows = world.projections.list("contacts", &admin(), &query).await.unwrap().rows;
        rows.iter().map(|row| row["contact"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(contacts().await, [json!("registrar@KU.example"), json!("registrar@PSU.example")]);
    assert_eq!(world.projections.rebuild_after_shreds().await.unwrap(), []);
    let (all, erasure) = (event_store::Classes::All, event_store::Basis::Erasure);
    world.store.keyring().shred(contact_of("PSU"), all, erasure).await.unwrap();
    let rebuilt = world.projections.rebuild_after_shreds().await.unwrap();
    assert_eq!(rebuilt.iter().map(|rebuilt| rebuilt.name).collect::<Vec<_>>(), ["contacts"]);
    assert_eq!(contacts().await, [json!("registrar@KU.example"), json!(null)]);
    let generations = world.projections.status().await.unwrap();
    assert_eq!(generations.iter().filter(|status| status.name == "contacts").count(), 1);
    assert_eq!(world.projections.rebuild_after_shreds().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_serve_are_compared_with_a_fresh_fold_of_the_log() {
    let world = World::of(vec![Contacts::model(), Names::model()]).await;
    world.projections.start();
    world.append(unit(1), created("PSU")).await;
    let last = world.append(unit(2), created("KU")).await;
    world.visible("contacts", last).await;
    let compared = async || {
        let compared = world.projections.compare_with_log(&["contacts"]).await.unwrap().remove(0);
        assert_eq!((compared.name, compared.position, compared.stopped), ("contacts", last, None));
        let Difference { added, removed, changed, .. } = compared.difference;
        (compared.rows, added, removed, changed, compared.pending)
    };
    assert_eq!(compared().await, (2, 0, 0, 0, 0));
    let table = format!("{}.contacts", world.schema("contacts").await);
    world.sql(&format!("UPDATE {table} SET subject_ids = '{{}}' WHERE contact LIKE '%@PSU%'")).await;
    assert_eq!(compared().await, (2, 0, 0, 1, 0), "who may see a row is part of it");
    world.sql(&format!("DELETE FROM {table} WHERE contact LIKE '%@PSU%'")).await;
    assert_eq!(compared().await, (1, 1, 0, 0, 0));
    world.projections.rebuild(&["contacts"]).await.unwrap();
    assert_eq!(compared().await, (2, 0, 0, 0, 0));
    let (all, erasure) = (event_store::Classes::All, event_store::Basis::Erasure);
    world.store.keyring().shred(contact_of("PSU"), all, erasure).await.unwrap();
    assert_eq!(compared().await, (2, 0, 0, 0, 1), "the row still has the address");
    let table = format!("{}.contacts", world.schema("contacts").await);
    world.sql(&format!("UPDATE {table} SET contact = 'somebody else' WHERE contact LIKE '%@KU%'")).await;
    assert_eq!(compared().await, (2, 0, 0, 1, 1), "nothing else is excused by that");
    world.projections.rebuild_after_shreds().await.unwrap();
    assert_eq!(compared().await, (2, 0, 0, 0, 0));
    let unknown = world.projections.compare_with_log(&["hats"]).await;
    assert!(matches!(unknown, Err(ProjectionError::UnknownModel(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_what_the_log_gives_after_keys_were_archived_too() {
    let world = World::of(vec![Contacts::model(), Names::model()]).await;
    world.projections.start();
    world.append(unit(1), created("PSU")).await;
    let last = world.append(unit(2), created("KU")).await;
    world.visible("contacts", last).await;
    let compared = async || {
        let compared = world.projections.compare_with_log(&["contacts"]).await.unwrap().remove(0);
        (compared.difference.is_none(), compared.pending)
    };
    assert_eq!(compared().await, (true, 0));
    let every_epoch = event_store::Epoch::from_number(999_912);
    world.store.keyring().archive(contact_of("PSU"), "identity", every_epoch).await.unwrap();
    assert_eq!(compared().await, (true, 1), "the row tells what is out of daily use, and is to be rebuilt");
    let rebuilt = world.projections.rebuild_after_shreds().await.unwrap();
    assert_eq!(rebuilt.iter().map(|rebuilt| rebuilt.name).collect::<Vec<_>>(), ["contacts"]);
    assert_eq!(compared().await, (true, 0));
    assert_eq!(world.projections.rebuild_after_shreds().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_follower_rebuilds_after_a_shred_by_itself() {
    let models = vec![Contacts::model()];
    let after = std::time::Duration::from_millis(10);
    let world = World::with(|config| Config { models, rebuild_after_shred: after, ..config }).await;
    world.projections.start();
    let last = world.append(unit(1), created("PSU")).await;
    world.visible("contacts", last).await;
    let (all, erasure) = (event_store::Classes::All, event_store::Basis::Erasure);
    world.store.keyring().shred(contact_of("PSU"), all, erasure).await.unwrap();
    eventually("the value is gone", async || {
        let rows = world.projections.list("contacts", &admin(), &Query::default()).await.unwrap().rows;
        rows.iter().all(|row| row["contact"].is_null())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gov_k3_a_row_that_tells_more_of_the_erased_than_the_log_is_found_and_built_again() {
    // `contacts` is UNLOGGED and holds the address in the clear; the others hold nothing of it.
    let world = World::of(vec![Contacts::model(), Names::model()]).await;
    world.projections.start();
    let last = world.append(unit(1), created("PSU")).await;
    world.visible("contacts", last).await;
    let person = contact_of("PSU");
    let identity = [domain::RecordClass::Identity];
    let residue = async || world.projections.residue(person, &identity).await.unwrap();
    assert_eq!(residue().await, 0, "nothing was destroyed, and rows tell what the log does");
    let (all, erasure) = (event_store::Classes::All, event_store::Basis::Erasure);
    world.store.keyring().shred(person, all, erasure).await.unwrap();
    assert_eq!(residue().await, 1, "the row still has the address");
    let rebuilt = world.projections.rebuild_after_shreds().await.unwrap();
    assert_eq!(rebuilt.iter().map(|rebuilt| rebuilt.name).collect::<Vec<_>>(), ["contacts"]);
    assert_eq!(residue().await, 0);
    // A key that somebody brings back behind our back is residue as well.
    let back = format!(
        "INSERT INTO annals_keys.data_keys VALUES ('{person}', 'identity', 209912, '\\x00', '\\x00')"
    );
    world.sql(&back).await;
    assert_eq!(residue().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn gov_k3_what_is_left_is_looked_for_after_the_rebuild_that_is_pending_and_not_before() {
    let world = World::of(vec![Contacts::model(), Names::model()]).await;
    world.projections.start();
    let last = world.append(unit(1), created("PSU")).await;
    world.visible("contacts", last).await;
    let (all, erasure) = (event_store::Classes::All, event_store::Basis::Erasure);
    let person = contact_of("PSU");
    world.store.keyring().shred(person, all, erasure).await.unwrap();
    let classes = vec![domain::RecordClass::Identity];
    let question = domain::Question::Residue { subject: person, classes: classes.clone() };
    assert_eq!(world.projections.residue(person, &classes).await.unwrap(), 1, "the rebuild is pending");
    let left = projections::answers::answer(&world.projections, &question).await.unwrap();
    assert_eq!(left, domain::Answer::Count(0));
    assert_eq!(world.projections.rebuild_after_shreds().await.unwrap(), [], "it was done");
}
