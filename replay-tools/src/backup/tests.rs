use std::time::Duration;

use event_store::{
    KeyringConfig, StoreError,
    testing::{self, TestDatabase},
};

use super::*;
use crate::{
    event::{self, Event, Personal},
    testing::{Folder, World, registered, student},
};

fn backup(folder: &Folder, name: &str) -> Backup {
    let keys_out = Some(folder.path().join(format!("{name}-keys")));
    Backup { out: folder.path().join(name), keys_out }
}

/// Restores a backup as another machine with the same master key would.
async fn restored(world: &World, backup: &Backup, erasures: Option<PathBuf>) -> (EventStore, TestDatabase) {
    let target = testing::database().await;
    let restore = Restore {
        from: backup.out.clone(),
        keys_from: backup.keys_out.clone(),
        without_erasures: erasures.is_none(),
        erasures,
    };
    let keys = KeyringConfig::new(world.database.master.clone());
    let config = StoreConfig { pool_size: 4, ..StoreConfig::new(&target.url, keys) };
    let manifest = Manifest::read(&backup.out).unwrap();
    let keys_from = backup.keys_out.as_ref().unwrap();
    assert_eq!(manifest.first_broken(&backup.out, keys_from).unwrap(), None);
    (restore.restore(config, &manifest, keys_from).await.unwrap(), target)
}

async fn events(store: &EventStore) -> Vec<Event> {
    event::read(store, store.read_all(0, 1000).await.unwrap(), Personal::Opened).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_log_has_every_event_and_value_is_another_log_and_takes_new_events() {
    let (world, folder) = (World::campus().await, Folder::new());
    let projections = &world.annals.projections;
    projections.start();
    let head = world.annals.store.head().await.unwrap();
    assert!(projections.wait_for("org_directory", head.position, Duration::from_secs(20)).await.unwrap());
    let backup = backup(&folder, "first");
    let manifest = backup.backup(&world.annals).await.unwrap();
    assert_eq!((manifest.position, manifest.incarnation), (head.position, head.incarnation));
    let (store, target) = restored(&world, &backup, None).await;
    assert_eq!(events(&store).await, events(&world.annals.store).await);
    assert_ne!(store.head().await.unwrap().incarnation, head.incarnation);
    let there = Annals::of(store, &target.url, target.config().keys, false).unwrap();
    there.projections.start();
    let reached = there.projections.wait_for("org_directory", head.position, Duration::from_secs(20)).await;
    assert!(reached.unwrap(), "the read models are folded again");
    let refused = sqlx::raw_sql("DELETE FROM annals.events").execute(there.store.pool()).await;
    assert!(refused.is_err(), "it is append-only as well");
    assert!(backup.backup(&world.annals).await.is_err(), "a backup is not overwritten");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_erased_after_the_backup_stays_erased_when_later_erasures_are_applied_again() {
    let (world, folder) = (World::campus().await, Folder::new());
    let (first, second) = (backup(&folder, "first"), backup(&folder, "second"));
    let email = "0f".repeat(32);
    world.annals.store.append(registered(student(0), &email)).await.unwrap();
    first.backup(&world.annals).await.unwrap();
    world.erase(student(0)).await;
    second.backup(&world.annals).await.unwrap();
    let erasures = second.keys_out.as_ref().unwrap().join(erasures::NAME);
    for (later, erased) in [(None, false), (Some(erasures), true)] {
        let (store, _target) = restored(&world, &first, later).await;
        let readable =
            events(&store).await.iter().any(|event| event.data.to_string().contains("First words"));
        let own = events(&store).await.iter().any(|event| {
            event.subjects.contains(&student(0)) && event.data.to_string().contains("First words")
        });
        assert_eq!((readable, own), (true, !erased));
        let applied = erasures::applied(store.keyring(), first.keys_out.as_ref().unwrap()).await.unwrap();
        assert_eq!(applied > 0, erased, "{applied}");
        let claimed = !store.holders(&format!("email:{email}")).await.unwrap().is_empty();
        assert_eq!(claimed, !erased, "the keyed hash of an address goes with it");
    }
}

#[test]
fn nothing_is_restored_without_a_ledger_of_erasures_unless_that_is_stated() {
    let folder = Folder::new();
    let (ledger, named) = (folder.path().join("ledger"), folder.path().join(erasures::NAME));
    let known = |erasures: Option<&PathBuf>, without_erasures, ledger| {
        let erasures = erasures.cloned();
        let restore = Restore { from: PathBuf::new(), keys_from: None, erasures, without_erasures };
        restore.newest_erasure(ledger).map_err(|error| error.to_string())
    };
    for none in [None, Some(ledger.as_path())] {
        let refused = known(None, false, none).unwrap_err();
        assert!(refused.contains("--without-erasures"), "{refused}");
        assert_eq!(known(None, true, none), Ok(None));
    }
    assert!(known(Some(&named), false, None).is_err(), "there is no such file");
    std::fs::write(&ledger, "").unwrap();
    assert!(known(None, false, Some(&ledger)).is_err(), "every node begins one: it says nothing");
    std::fs::write(&ledger, format!("1 {} * -\n", student(0))).unwrap();
    assert!(known(None, false, Some(&ledger)).unwrap().is_some());
    let line = |day| json!({ "subject": student(0), "class": null, "through": null, "at": format!("2026-01-{day}T00:00:00Z") });
    std::fs::write(&named, format!("{}\n{}\n", line("03"), line("02"))).unwrap();
    assert_eq!(known(Some(&named), false, None), Ok(Some("2026-01-03T00:00:00Z".parse().unwrap())));
}

#[test]
fn a_ledger_that_knows_of_nothing_later_than_the_backup_is_told() {
    let restore = |without_erasures| Restore {
        from: PathBuf::new(),
        keys_from: None,
        erasures: None,
        without_erasures,
    };
    let backup: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let told = restore(false).note(0, backup).unwrap();
    assert!(told.contains("the ledger is as old as the backup") && told.contains("2026-01-01"), "{told}");
    assert!(restore(true).note(0, backup).unwrap().contains("is back"));
    assert_eq!(restore(false).note(1, backup), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_is_named_and_a_database_in_use_is_not_restored_into() {
    let (world, folder) = (World::campus().await, Folder::new());
    let backup = backup(&folder, "first");
    let manifest = backup.backup(&world.annals).await.unwrap();
    let keys_from = backup.keys_out.clone().unwrap();
    let restore = Restore {
        from: backup.out.clone(),
        keys_from: backup.keys_out.clone(),
        erasures: None,
        without_erasures: true,
    };
    let taken = restore.restore(world.database.config(), &manifest, &keys_from).await;
    assert!(matches!(taken, Err(Failure::Wrong(_))));
    let mut bytes = std::fs::read(backup.out.join(LOG)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(backup.out.join(LOG), bytes).unwrap();
    assert_eq!(manifest.first_broken(&backup.out, &keys_from).unwrap(), Some(LOG));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_interrupted_is_no_log_and_run_again_it_is_another_log() {
    let (world, folder) = (World::campus().await, Folder::new());
    let backup = backup(&folder, "first");
    let manifest = backup.backup(&world.annals).await.unwrap();
    let keys_from = backup.keys_out.clone().unwrap();
    let restore = Restore {
        from: backup.out.clone(),
        keys_from: backup.keys_out.clone(),
        erasures: None,
        without_erasures: true,
    };
    let (log, keys) = (testing::database().await, testing::database().await);
    let mut ring = KeyringConfig::new(world.database.master.clone());
    ring.database_url = Some(keys.url.clone());
    let config = StoreConfig { pool_size: 4, ..StoreConfig::new(&log.url, ring) };
    // It is killed when everything is there and the incarnation is still that of the log that was backed up.
    for (url, what) in [(&log.url, What::Log), (&keys.url, What::Keys)] {
        room::make(url, what).await.unwrap();
    }
    let masters = [&world.database.master];
    let work = |url| Work { url, what: "restoring", rows: 0 };
    work(&keys.url).restore(&keys_from.join(KEYS), &masters).await.unwrap();
    work(&log.url).restore(&backup.out.join(LOG), &masters).await.unwrap();
    let opened = EventStore::open(config.clone()).await;
    assert!(matches!(opened, Err(StoreError::NotRestored)), "{opened:?}");

    let store = restore.restore(config.clone(), &manifest, &keys_from).await.unwrap();
    assert_ne!(store.head().await.unwrap().incarnation, manifest.incarnation);
    assert_eq!(events(&store).await, events(&world.annals.store).await);
    store.shutdown().await;
    EventStore::open(config.clone()).await.unwrap().shutdown().await;
    let again = restore.restore(config, &manifest, &keys_from).await;
    assert!(matches!(again, Err(Failure::Wrong(_))), "what was restored is not restored over");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_restore_has_left_at_work_is_ended_and_one_that_lives_is_left_alone() {
    let (world, folder) = (World::campus().await, Folder::new());
    let backup = backup(&folder, "first");
    let manifest = backup.backup(&world.annals).await.unwrap();
    let keys_from = backup.keys_out.clone().unwrap();
    let restore = Restore {
        from: backup.out.clone(),
        keys_from: backup.keys_out.clone(),
        erasures: None,
        without_erasures: true,
    };
    let target = testing::database().await;
    let config = StoreConfig::new(&target.url, KeyringConfig::new(world.database.master.clone()));
    let living = room::make(&target.url, What::Log).await.unwrap();
    let refused = restore.restore(config.clone(), &manifest, &keys_from).await.err().unwrap().to_string();
    assert!(refused.contains("another restore"), "{refused}");
    drop(living);
    // Its pg_restore goes on: it has made the schema, and is far from done.
    let left: sqlx::postgres::PgConnectOptions = target.url.parse().unwrap();
    let left = left.application_name("annals-replay restoring the log 1");
    let mut left = PgConnection::connect_with(&left).await.unwrap();
    sqlx::raw_sql("BEGIN; CREATE SCHEMA annals").execute(&mut left).await.unwrap();
    let store = restore.restore(config, &manifest, &keys_from).await.unwrap();
    assert_eq!(events(&store).await, events(&world.annals.store).await);
    assert!(sqlx::raw_sql("COMMIT").execute(&mut left).await.is_err(), "it was ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_database_of_their_own_are_backed_up_from_there_and_restored_to_there() {
    let (world, folder) = (World::campus().await, Folder::new());
    let first = backup(&folder, "first");
    first.backup(&world.annals).await.unwrap();
    let restore = Restore {
        from: first.out.clone(),
        keys_from: first.keys_out.clone(),
        erasures: None,
        without_erasures: true,
    };
    let (manifest, keys_from) = (Manifest::read(&first.out).unwrap(), first.keys_out.clone().unwrap());
    let (log, keys) = (testing::database().await, testing::database().await);
    let mut ring = KeyringConfig::new(world.database.master.clone());
    ring.database_url = Some(keys.url.clone());
    let config = StoreConfig { pool_size: 4, ..StoreConfig::new(&log.url, ring.clone()) };
    let store = restore.restore(config, &manifest, &keys_from).await.unwrap();
    assert_eq!(events(&store).await, events(&world.annals.store).await, "every value is opened");
    let schemas = async |url: &str| -> i64 {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let count = "SELECT count(*) FROM pg_namespace WHERE nspname = 'annals_keys'";
        sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()
    };
    assert_eq!((schemas(&log.url).await, schemas(&keys.url).await), (0, 1));
    let there = Annals::of(store, &log.url, ring, false).unwrap();
    let second = backup(&folder, "second");
    second.backup(&there).await.unwrap();
    let manifest = Manifest::read(&second.out).unwrap();
    assert_eq!(manifest.first_broken(&second.out, second.keys_out.as_ref().unwrap()).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_the_keys_says_nothing_without_the_master_key_not_even_whose_they_are() {
    let (world, folder) = (World::campus().await, Folder::new());
    let first = backup(&folder, "first");
    let manifest = first.backup(&world.annals).await.unwrap();
    let keys_from = first.keys_out.clone().unwrap();
    let dump = std::fs::read(keys_from.join(KEYS)).unwrap();
    let wrapped: Vec<u8> = sqlx::query_scalar("SELECT wrapped FROM annals_keys.data_keys LIMIT 1")
        .fetch_one(world.annals.store.pool())
        .await
        .unwrap();
    let subject = student(0).to_string();
    for secret in [&b"PGDMP"[..], b"data_keys", subject.as_bytes(), &wrapped] {
        assert!(!dump.windows(secret.len()).any(|window| window == secret));
    }
    let target = testing::database().await;
    let restore = Restore {
        from: first.out.clone(),
        keys_from: first.keys_out.clone(),
        erasures: None,
        without_erasures: true,
    };
    let config = StoreConfig::new(&target.url, KeyringConfig::new(MasterKey::generate()));
    let failed = restore.restore(config, &manifest, &keys_from).await.err().unwrap().to_string();
    assert!(failed.contains("another master key"), "{failed}");
    let mut connection = PgConnection::connect(&target.url).await.unwrap();
    let restored = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('annals', 'annals_keys')";
    let restored: i64 = sqlx::query_scalar(restored).fetch_one(&mut connection).await.unwrap();
    assert_eq!(restored, 0, "and nothing was restored");
    // After a rotation the earlier key opens it, for as long as it is kept.
    let keys = KeyringConfig {
        previous: vec![world.database.master.clone()],
        ..KeyringConfig::new(MasterKey::generate())
    };
    let store = restore.restore(StoreConfig::new(&target.url, keys), &manifest, &keys_from).await.unwrap();
    assert_eq!(events(&store).await, events(&world.annals.store).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_from_before_keys_were_encrypted_is_restored_all_the_same() {
    let (world, folder) = (World::campus().await, Folder::new());
    let first = backup(&folder, "first");
    first.backup(&world.annals).await.unwrap();
    let keys = first.keys_out.as_ref().unwrap().join(KEYS);
    std::fs::remove_file(&keys).unwrap();
    let plain = Work { url: &world.annals.url, what: "dumping", rows: 0 };
    plain.dump(&["--schema=annals_keys".into()], &keys).await.unwrap();
    assert!(std::fs::read(&keys).unwrap().starts_with(b"PGDMP"));
    let target = testing::database().await;
    let restore = Restore {
        from: first.out.clone(),
        keys_from: first.keys_out.clone(),
        erasures: None,
        without_erasures: true,
    };
    let config = StoreConfig::new(&target.url, world.annals.keys.clone());
    let manifest = Manifest::read(&first.out).unwrap();
    let store = restore.restore(config, &manifest, first.keys_out.as_ref().unwrap()).await.unwrap();
    assert_eq!(events(&store).await, events(&world.annals.store).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_backup_are_not_overwritten_and_half_a_backup_is_none() {
    let (world, folder) = (World::campus().await, Folder::new());
    let first = backup(&folder, "first");
    first.backup(&world.annals).await.unwrap();
    let second = Backup { out: folder.path().join("second"), keys_out: first.keys_out.clone() };
    assert!(matches!(second.backup(&world.annals).await, Err(Failure::Wrong(_))));
    let manifest = Manifest::read(&first.out).unwrap();
    let keys_from = first.keys_out.as_ref().unwrap();
    let later = backup(&folder, "later");
    world.annals.store.append(registered(student(0), &"0f".repeat(32))).await.unwrap();
    later.backup(&world.annals).await.unwrap();
    let of_later = Manifest::read(&later.out).unwrap();
    let broken = of_later.first_broken(&later.out, keys_from).unwrap().unwrap();
    let why = of_later.why_broken(broken, keys_from).unwrap();
    assert!(why.contains("belongs to another backup"), "{why}");
    std::fs::write(keys_from.join(erasures::NAME), "altered").unwrap();
    let why = of_later.why_broken(broken, keys_from).unwrap();
    assert_eq!(why, format!("{broken} is not what was written"));
    std::fs::remove_file(keys_from.join(KEYS)).unwrap();
    assert_eq!(manifest.first_broken(&first.out, keys_from).unwrap(), Some(KEYS));
    // Whoever is stopped before the manifest begins again.
    std::fs::remove_file(first.out.join(manifest::NAME)).unwrap();
    std::fs::remove_file(keys_from.join(manifest::NAME)).unwrap();
    let none = Manifest::read(&first.out).unwrap_err().to_string();
    assert!(none.contains("is no complete backup"), "{none}");
    first.backup(&world.annals).await.unwrap();
}
