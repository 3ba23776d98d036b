//! What somebody does who has the database as a superuser and the notary's disk, and what gives them away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, time::Duration};

use domain::RecordClass;
use event_store::{
    Basis, Classes, Epoch, StoreConfig,
    integrity::{Directory, Leaf, Signer},
};

use super::{
    report::{Finding, Kind},
    tests::Log,
    *,
};
use crate::{
    rebuild::Rebuild,
    testing::{Folder, World, destroy},
};

/// Verifies as a script does: the exit code, and what JSON says, must tell the same as the report.
async fn betrayed(log: &Log, command: Verify, first: Option<Position>, kind: Kind) -> Report {
    let report = command.verify(&log.annals()).await.unwrap();
    let found = report.findings.first().map(|finding| (finding.position, finding.kind));
    assert_eq!(found, Some((first, kind)), "{report}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["first"], serde_json::json!(first));
    assert_eq!(json["findings"][0]["position"], serde_json::json!(first));
    assert!(!command.run(&log.annals()).await.unwrap(), "the exit code is not 0");
    report
}

#[tokio::test]
async fn an_event_that_was_copied_over_another_is_named() {
    let log = Log::of(300).await;
    log.behind_our_back(&["UPDATE annals.events e SET (event_id, aggregate_id, sequence, metadata) =
            (SELECT gen_random_uuid(), aggregate_id, 2, metadata FROM annals.events WHERE position = 40)
         WHERE position = 50"])
        .await;
    betrayed(&log, log.command(), Some(50), Kind::Altered).await;
}

#[tokio::test]
async fn a_tile_of_leaves_that_was_altered_is_told_from_an_event_that_was() {
    let log = Log::of(600).await;
    for (tile, at) in [("tile/0/000", 7), ("tile/0/002.p/88", 519)] {
        let file = log.folder.join(tile);
        let whole = fs::read(&file).unwrap();
        let mut bytes = whole.clone();
        bytes[6 * 32] ^= 1;
        fs::write(&file, bytes).unwrap();
        let report = betrayed(&log, log.command(), Some(at), Kind::Tree).await;
        assert!(report.findings[0].detail.contains("which is in the tree that was signed"), "{report}");
        assert_eq!(report.disagreements, 1, "{report}");
        fs::write(&file, whole).unwrap();
    }
    fs::write(log.folder.join("tile/0/001"), b"short").unwrap();
    betrayed(&log, log.command(), Some(257), Kind::Tree).await;
}

#[tokio::test]
async fn rows_that_were_rewritten_with_their_tile_are_found_by_the_tile_above() {
    let log = Log::of(600).await;
    log.behind_our_back(&["UPDATE annals.events SET metadata = '{\"a\":\"b\"}' WHERE position = 300"]).await;
    let rows = log.store.read_all(256, 256).await.unwrap();
    let forged: Vec<u8> = rows.iter().flat_map(|row| Leaf::of(row).hash().0).collect();
    fs::write(log.folder.join("tile/0/001"), forged).unwrap();
    let report = betrayed(&log, log.command(), Some(257), Kind::Tree).await;
    assert!(report.findings[0].detail.contains("between 257 and 512"), "{report}");
}

#[tokio::test]
async fn a_checkpoint_that_was_altered_or_taken_away_is_found_and_the_tiles_are_compared_all_the_same() {
    let log = Log::of(300).await;
    let file = log.folder.join("checkpoint");
    let note = fs::read_to_string(&file).unwrap();
    fs::write(&file, note.replacen("\n300\n", "\n299\n", 1)).unwrap();
    betrayed(&log, log.command(), None, Kind::Signature).await;
    let root = note.lines().nth(2).unwrap();
    let other = if root.starts_with('A') { 'B' } else { 'A' };
    fs::write(&file, note.replacen(root, &format!("{other}{}", &root[1..]), 1)).unwrap();
    log.behind_our_back(&["UPDATE annals.events SET payload = '{}' WHERE position = 20"]).await;
    betrayed(&log, log.command(), Some(20), Kind::Altered).await;
    fs::remove_file(&file).unwrap();
    let report = log.command().verify(&log.annals()).await.unwrap();
    assert!(report.findings.iter().any(|finding| finding.kind == Kind::Signature), "{report}");
}

/// A log of so many events that was signed before, and its checkpoint put back to that of then.
async fn put_back(before: u64, now: u64) -> Log {
    let log = Log::of(before).await;
    let kept = fs::read(log.folder.join("checkpoint")).unwrap();
    log.grow(now - before).await;
    log.sign().await;
    fs::rename(log.folder.join("checkpoint"), log.folder.join("newest")).unwrap();
    fs::write(log.folder.join("checkpoint"), kept).unwrap();
    log
}

#[tokio::test]
async fn an_event_that_was_altered_under_an_older_checkpoint_is_named_by_the_tiles_beyond_it() {
    let log = put_back(300, 320).await;
    log.behind_our_back(&["UPDATE annals.events SET metadata = '{\"a\":\"b\"}' WHERE position = 310"]).await;
    let report = betrayed(&log, log.command(), Some(310), Kind::Altered).await;
    let told = report.findings.iter().find(|finding| finding.kind == Kind::Signature).unwrap();
    assert!(
        told.detail.contains("is of size 300, and there are tiles up to 320: it was put back"),
        "{report}"
    );
    log.behind_our_back(&[
        "DELETE FROM annals.events WHERE position >= 310",
        "UPDATE annals.head SET position = 309",
    ])
    .await;
    let report = log.command().verify(&log.annals()).await.unwrap();
    Log::first(&report, 310, Kind::Missing);
    assert!(report.findings[0].detail.contains("tiles of it up to 320"), "{report}");
}

#[tokio::test]
async fn an_older_checkpoint_of_a_log_that_nobody_touched_is_found_and_narrows_down_what_was_rewritten() {
    let log = put_back(300, 600).await;
    let report = betrayed(&log, log.command(), None, Kind::Signature).await;
    assert!(report.findings[0].detail.contains("what came after it had been signed"), "{report}");
    assert_eq!((report.disagreements, report.signed), (1, Some(300)), "{report}");
    // Whoever makes the tile of leaves anew is betrayed by the one above, though no signature of that is left.
    log.behind_our_back(&["UPDATE annals.events SET metadata = '{\"a\":\"b\"}' WHERE position = 400"]).await;
    let rows = log.store.read_all(256, 256).await.unwrap();
    let forged: Vec<u8> = rows.iter().flat_map(|row| Leaf::of(row).hash().0).collect();
    fs::write(log.folder.join("tile/0/001"), forged).unwrap();
    let report = log.command().verify(&log.annals()).await.unwrap();
    Log::first(&report, 257, Kind::Tree);
    assert!(report.findings[0].detail.contains("between 257 and 512"), "{report}");
}

#[tokio::test]
async fn whoever_puts_checkpoint_and_tiles_back_is_betrayed_by_a_checkpoint_that_was_kept_elsewhere() {
    let log = put_back(300, 320).await;
    fs::remove_file(log.folder.join("tile/0/001.p/64")).unwrap();
    // Nothing here remembers more.
    assert!(log.command().verify(&log.annals()).await.unwrap().is_well());
    log.behind_our_back(&["UPDATE annals.events SET metadata = '{\"a\":\"b\"}' WHERE position = 310"]).await;
    let command = Verify { checkpoints: vec![log.folder.join("newest")], ..log.command() };
    let report = betrayed(&log, command, Some(301), Kind::Tree).await;
    let told = report.findings.iter().find(|finding| finding.kind == Kind::Signature).unwrap();
    assert!(
        told.detail.contains("it is of size 300, and") && told.detail.ends_with("is of size 320"),
        "{report}"
    );
}

#[tokio::test]
async fn a_history_that_was_signed_anew_with_another_key_is_betrayed_by_the_notarys_own() {
    let log = Log::of(300).await;
    let (checkpoint, _) = Directory::open(&log.folder).unwrap().signed().unwrap();
    let secret = log.folder.join("notary.key");
    fs::write(&secret, [7; 32]).unwrap();
    let own = || Verify { notary_key_file: Some(secret.clone()), ..log.command() };
    assert!(own().verify(&log.annals()).await.unwrap().is_well());
    let other = Signer::new(checkpoint.origin, &[8; 32]).unwrap();
    fs::write(log.folder.join("key"), other.verifier().to_string()).unwrap();
    // Only the key was replaced: the signature is not its own.
    betrayed(&log, log.command(), None, Kind::Signature).await;
    let forged = event_store::integrity::Checkpoint::sign(300, checkpoint.root, &other);
    fs::write(log.folder.join("checkpoint"), forged).unwrap();
    betrayed(&log, own(), None, Kind::Signature).await;
    // Whoever has replaced everything is caught by a key that was kept elsewhere, and by nothing here.
    assert!(log.command().verify(&log.annals()).await.unwrap().is_well());
}

#[tokio::test]
async fn an_older_database_below_newer_tiles_is_found_where_it_ends_or_goes_another_way() {
    let log = Log::of(600).await;
    log.behind_our_back(&[
        "DELETE FROM annals.events WHERE position > 400",
        "UPDATE annals.head SET position = 400, incarnation = gen_random_uuid()",
    ])
    .await;
    let report = betrayed(&log, log.command(), Some(401), Kind::Missing).await;
    assert!(report.findings.iter().any(|finding| finding.kind == Kind::Follower), "{report}");
    // The restored log goes on and grows beyond what was signed of the former one.
    let restored = log.database.store().await.unwrap();
    let log = Log { store: restored, ..log };
    log.grow(300).await;
    betrayed(&log, log.command(), Some(401), Kind::Altered).await;
}

#[tokio::test]
async fn a_notary_that_refuses_is_reason_enough_to_look() {
    let log = Log::of(3).await;
    fs::write(log.folder.join("refused"), "the log was rewritten: position 2 is not what was signed\n")
        .unwrap();
    betrayed(&log, log.command(), None, Kind::Signature).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_read_models_that_are_not_what_the_log_gives_are_found() {
    let (world, folder) = (World::campus().await, Folder::new());
    world.sign(folder.path()).await;
    let projections = &world.annals.projections;
    projections.start();
    let head = world.annals.store.head().await.unwrap().position;
    assert!(projections.wait_for("org_directory", head, Duration::from_secs(60)).await.unwrap());
    let command = Verify { notary: Some(folder.path().to_owned()), ..Verify::default() };
    let report = command.verify(&world.annals).await.unwrap();
    assert!(report.is_well(), "{report}");
    let compared = report.read_models.as_ref().unwrap();
    assert!(compared.iter().any(|one| one.name == "org_directory" && one.rows == 2), "{report}");
    let schema: String = sqlx::query_scalar(
        "SELECT schema_name FROM annals.projections WHERE serving AND name = 'org_directory'",
    )
    .fetch_one(world.annals.store.pool())
    .await
    .unwrap();
    let unit = crate::testing::unit(0);
    for (change, told) in [
        (
            format!("UPDATE {schema}.org_directory SET name = 'Elsewhere' WHERE org_id = '{unit}'"),
            "org_directory (generation 1) is not what the log gives",
        ),
        (
            format!(
                "UPDATE {schema}.org_directory SET sealed = set_byte(sealed, length(sealed) - 1,
                     get_byte(sealed, length(sealed) - 1) # 1) WHERE org_id = '{unit}'"
            ),
            &*format!("those of another row: {unit}"),
        ),
        (format!("DELETE FROM {schema}.org_directory WHERE org_id = '{unit}'"), "1 rows are missing"),
        (
            format!("UPDATE {schema}.org_directory SET org_id = gen_random_uuid() WHERE org_id <> '{unit}'"),
            "org_directory (generation 1) has rows whose personal values do not open",
        ),
    ] {
        let changed = sqlx::query(&change).execute(world.annals.store.pool()).await.unwrap();
        assert_eq!(changed.rows_affected(), 1, "{change}");
        let report = command.verify(&world.annals).await.unwrap();
        let finding = report.findings.iter().find(|finding| finding.kind == Kind::ReadModel);
        let detail = &finding.unwrap_or_else(|| panic!("{change}: {report}")).detail;
        assert!(detail.contains(told), "{report}");
        // The others are compared all the same.
        let all = report.read_models.as_ref().unwrap();
        assert!(all.len() == compared.len() && all.iter().any(|one| one.name == "people"), "{report}");
        assert!(Verify { log_only: true, ..command.clone() }.verify(&world.annals).await.unwrap().is_well());
    }
    assert!(!Rebuild::of("org_directory").run(&world.annals).await.unwrap(), "what is different is told");
    let report = command.verify(&world.annals).await.unwrap();
    assert!(report.is_well(), "{report}");
    projections.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_what_the_log_gives_after_old_keys_were_archived() {
    let (world, folder) = (World::campus().await, Folder::new());
    world.sign(folder.path()).await;
    let projections = &world.annals.projections;
    projections.start();
    let head = world.annals.store.head().await.unwrap().position;
    for name in ["people", "decisions"] {
        assert!(projections.wait_for(name, head, Duration::from_secs(60)).await.unwrap());
    }
    let command = Verify { notary: Some(folder.path().to_owned()), ..Verify::default() };
    let rows = async || {
        let report = command.verify(&world.annals).await.unwrap();
        assert!(report.is_well() && report.notes.is_empty(), "{report}");
        let compared = report.read_models.unwrap();
        compared.iter().map(|one| (one.name, one.rows)).collect::<Vec<_>>()
    };
    let before = rows().await;
    for class in ["profile", "education"] {
        let keyring = world.annals.store.keyring();
        keyring.archive(crate::testing::student(0), class, Epoch::from_number(999_912)).await.unwrap();
    }
    let description = world.described(0).await;
    let daily = world.annals.store.keyring();
    daily.load_for(std::slice::from_ref(&description)).await.unwrap();
    assert!(daily.open(&description).unwrap().iter().all(Option::is_none), "they are out of daily use");
    assert_eq!(rows().await, before);
    projections.rebuild_after_shreds().await.unwrap();
    assert_eq!(rows().await, before);
    projections.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_from_which_nobody_is_answered_is_found() {
    let (world, folder) = (World::campus().await, Folder::new());
    world.sign(folder.path()).await;
    let projections = &world.annals.projections;
    projections.start();
    let head = world.annals.store.head().await.unwrap().position;
    assert!(projections.wait_for("org_directory", head, Duration::from_secs(60)).await.unwrap());
    projections.shutdown().await;
    let command = Verify { notary: Some(folder.path().to_owned()), ..Verify::default() };
    let report = command.verify(&world.annals).await.unwrap();
    assert!(report.is_well() && report.notes.is_empty(), "{report}");
    let unserved = "UPDATE annals.projections SET serving = false WHERE name = 'org_directory'";
    sqlx::query(unserved).execute(world.annals.store.pool()).await.unwrap();
    let report = command.verify(&world.annals).await.unwrap();
    assert_eq!((report.findings.len(), report.findings[0].kind), (1, Kind::ReadModel), "{report}");
    assert!(report.findings[0].detail.starts_with("org_directory"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_altered_is_found_by_what_binds_it_and_by_what_is_sealed_to_it() {
    let (world, folder) = (World::campus().await, Folder::new());
    world.sign(folder.path()).await;
    let projections = &world.annals.projections;
    projections.start();
    let head = world.annals.store.head().await.unwrap().position;
    assert!(projections.wait_for("org_directory", head, Duration::from_secs(60)).await.unwrap());
    let position = world.described(1).await.position;
    let mut superuser = world.database.connect().await;
    for sql in [
        "ALTER TABLE annals.events DISABLE TRIGGER ALL".to_owned(),
        format!("UPDATE annals.events SET event_id = gen_random_uuid() WHERE position = {position}"),
    ] {
        sqlx::Executor::execute(&mut superuser, sql.as_str()).await.unwrap();
    }
    let command = Verify { notary: Some(folder.path().to_owned()), ..Verify::default() };
    let report = command.verify(&world.annals).await.unwrap();
    assert_eq!((report.first, report.findings[0].kind), (Some(position), Kind::Altered), "{report}");
    // What disagrees beside the log hides nothing in it.
    sqlx::Executor::execute(&mut superuser, "DELETE FROM annals.claims").await.unwrap();
    let report = command.verify(&world.annals).await.unwrap();
    for kind in [Kind::Altered, Kind::Claim] {
        assert!(report.findings.iter().any(|finding| finding.kind == kind), "{report}");
    }
    // As a version recorded it that did not bind ids, and with nothing signed to compare with.
    let unbound = "UPDATE annals.events SET metadata = regexp_replace(metadata::text, ',\"ids_sha256\":\"[0-9a-f]*\"', '')::json";
    sqlx::Executor::execute(&mut superuser, unbound).await.unwrap();
    let report = Verify::default().verify(&world.annals).await.unwrap();
    for kind in [Kind::Unreadable, Kind::Claim] {
        assert!(report.findings.iter().any(|finding| finding.kind == kind), "{report}");
    }
    projections.shutdown().await;
}

#[tokio::test]
async fn a_check_is_put_on_the_record_of_an_audit_replay() {
    let (world, folder) = (World::campus().await, Folder::new());
    world.sign(folder.path()).await;
    let replay = world.approved_replay(None, None).await;
    let before = world.annals.store.head().await.unwrap().position;
    let notary = Some(folder.path().to_owned());
    let command = Verify { notary, replay: Some(replay), ..Verify::default() };
    assert!(command.run(&world.annals).await.unwrap());
    let recorded = world.annals.store.read_all(before, 10).await.unwrap();
    assert_eq!(recorded[0].event_type, "IntegrityVerified");
    assert!(recorded[0].payload.contains("\"ok\":true"), "{}", recorded[0].payload);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_gone_altered_or_back_is_named_with_the_event_that_needs_it() {
    let world = World::campus().await;
    let (keyring, student) = (world.annals.store.keyring(), crate::testing::student);
    destroy(&world.annals.store, student(0), RecordClass::Profile, Basis::Erasure).await;
    let folder = Folder::new();
    world.sign(folder.path()).await;
    let command = Verify { notary: Some(folder.path().to_owned()), log_only: true, ..Verify::default() };
    let report = command.verify(&world.annals).await.unwrap();
    assert!(report.is_well() && report.notes.is_empty(), "{report}");
    let mut superuser = world.database.connect().await;
    let described = world.described(1).await.position;
    let key_of = |number| format!("WHERE subject = '{}' AND class = 'profile'", student(number));
    for (statement, what) in [
        (
            format!("UPDATE annals_keys.data_keys SET wrapped = wrapped || '\\x00' {}", key_of(1)),
            "was altered",
        ),
        (format!("DELETE FROM annals_keys.data_keys {}", key_of(1)), "is gone, and nothing has destroyed it"),
    ] {
        sqlx::Executor::execute(&mut superuser, statement.as_str()).await.unwrap();
        // With the read models, which cannot be folded without the key.
        for log_only in [true, false] {
            let report = Verify { log_only, ..command.clone() }.verify(&world.annals).await.unwrap();
            let Finding { position, kind, detail } = &report.findings[0];
            assert_eq!((*position, *kind), (Some(described), Kind::Key), "{report}");
            assert!(detail.contains(what) && detail.contains(&student(1).to_string()), "{detail}");
        }
    }
    let back = format!(
        "INSERT INTO annals_keys.data_keys
         SELECT s.subject, s.class, right(replace(s.key_ids[1], '-', ''), 6)::int, '', ''
         FROM annals_keys.shreds s WHERE s.subject = '{}'",
        student(0)
    );
    sqlx::Executor::execute(&mut superuser, back.as_str()).await.unwrap();
    let report = command.verify(&world.annals).await.unwrap();
    assert!(
        report.findings.iter().any(|one| one.detail.ends_with("is there, which was destroyed")),
        "{report}"
    );
    keyring.shred(student(2), Classes::Only(&["profile"]), Basis::Erasure).await.unwrap();
    let report = command.verify(&world.annals).await.unwrap();
    assert!(report.notes[0].starts_with("keys of 1 people were destroyed"), "{report}");
}

#[tokio::test]
async fn an_event_of_a_moment_that_has_not_come_is_found() {
    let log = Log::of(3).await;
    log.behind_our_back(&["UPDATE annals.head SET recorded_at = now() + interval '1 year'"]).await;
    let store =
        EventStore::open(StoreConfig::new(&log.database.url, log.database.config().keys)).await.unwrap();
    store.append(crate::testing::registered(Uuid::now_v7(), "mac")).await.unwrap();
    let report = Verify { log_only: true, ..log.command() }.verify(&log.annals()).await.unwrap();
    Log::first(&report, 4, Kind::Time);
}
