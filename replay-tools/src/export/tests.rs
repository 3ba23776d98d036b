use std::{collections::BTreeSet, path::Path};

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::testing::{Folder, World};

fn export(format: Format, out: &Path) -> Export {
    Export {
        format,
        from: 1,
        to: None,
        types: Vec::new(),
        out: out.to_owned(),
        notary: None,
        opening: Opening::default(),
    }
}

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

#[tokio::test]
async fn the_manifest_says_what_is_in_the_files_and_on_which_condition_they_are_given() {
    let world = World::campus().await;
    let folder = Folder::new();
    export(Format::Csv, folder.path()).export(&world.annals).await.unwrap();
    let manifest: Value = serde_json::from_str(&read(&folder, "manifest.json")).unwrap();
    let file = std::fs::read(folder.path().join("events.csv")).unwrap();
    assert_eq!(manifest["files"][0]["sha256"], output::hex(&Sha256::digest(&file)));
    assert_eq!(manifest["files"][0]["bytes"], file.len());
    let head = world.annals.store.head().await.unwrap();
    assert_eq!((&manifest["first"], &manifest["last"]), (&1.into(), &head.position.into()));
    assert_eq!(manifest["log"]["incarnation"], head.incarnation.to_string());
    assert!(manifest["notice"].as_str().unwrap().contains("34 CFR 99.33"));
    let again = export(Format::Csv, folder.path()).export(&world.annals).await;
    assert!(matches!(again, Err(Failure::Wrong(_))), "an export is not overwritten");
}

#[tokio::test]
async fn ocel_declares_every_type_attribute_and_object_that_its_events_use() {
    let world = World::campus().await;
    let folder = Folder::new();
    export(Format::Ocel, folder.path()).export(&world.annals).await.unwrap();
    let log: Value = serde_json::from_str(&read(&folder, "events.ocel.json")).unwrap();
    let names = |list: &Value, key: &str| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
    };
    let objects = names(&log["objects"], "id");
    let types = names(&log["objectTypes"], "name");
    assert!(names(&log["objects"], "type").is_subset(&types) && types.contains("person"));
    let events = log["events"].as_array().unwrap();
    assert_eq!(events.len() as u64, world.annals.store.head().await.unwrap().position);
    for event in events {
        assert!(names(&event["relationships"], "objectId").is_subset(&objects), "{event}");
        let declared = log["eventTypes"].as_array().unwrap();
        let declared = declared.iter().find(|declared| declared["name"] == event["type"]).unwrap();
        for attribute in event["attributes"].as_array().unwrap() {
            let all = declared["attributes"].as_array().unwrap();
            let kind =
                all.iter().find(|one| one["name"] == attribute["name"]).unwrap()["type"].as_str().unwrap();
            let value = &attribute["value"];
            assert!(match kind {
                "integer" => value.is_i64() || value.is_u64(),
                "boolean" => value.is_boolean(),
                "float" => value.is_f64(),
                _ => value.is_string(),
            });
        }
    }
}

#[tokio::test]
async fn no_format_shows_a_personal_value_that_was_not_to_be_opened() {
    let world = World::campus().await;
    for (format, name) in [
        (Format::Ocel, "events.ocel.json"),
        (Format::Csv, "events.csv"),
        (Format::CloudEvents, "events.cloudevents.jsonl"),
        (Format::Parquet, "events.parquet"),
    ] {
        let (sealed, opened) = (Folder::new(), Folder::new());
        export(format, sealed.path()).export(&world.annals).await.unwrap();
        let head = world.annals.store.head().await.unwrap().position;
        export(format, opened.path()).write(&world.annals, head, Personal::Opened, None).await.unwrap();
        for (folder, shown) in [(sealed, false), (opened, true)] {
            let bytes = std::fs::read(folder.path().join(name)).unwrap();
            let found = bytes.windows(11).any(|window| window == b"First words");
            assert_eq!(found, shown, "{format:?}");
        }
    }
}

#[tokio::test]
async fn parquet_holds_every_event_once_with_its_position() {
    let world = World::campus().await;
    let folder = Folder::new();
    export(Format::Parquet, folder.path()).export(&world.annals).await.unwrap();
    let reader =
        SerializedFileReader::new(std::fs::File::open(folder.path().join("events.parquet")).unwrap())
            .unwrap();
    let positions: Vec<i64> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| ::parquet::record::RowAccessor::get_long(&row.unwrap(), 0).unwrap())
        .collect();
    let head = world.annals.store.head().await.unwrap().position.cast_signed();
    assert_eq!(positions, (1..=head).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stretch_and_types_narrow_an_export_down() {
    let world = World::campus().await;
    let folder = Folder::new();
    let narrow = Export {
        from: 2,
        to: Some(6),
        types: vec!["ProfileRevised".into(), "identity.org_unit".into()],
        ..export(Format::CloudEvents, folder.path())
    };
    narrow.export(&world.annals).await.unwrap();
    let text = read(&folder, "events.cloudevents.jsonl");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<&str> = events.iter().map(|event| event["eventtype"].as_str().unwrap()).collect();
    assert_eq!(types, ["OrgUnitCreated", "ProfileRevised"]);
    assert!(events.iter().all(|event| event["specversion"] == "1.0" && event["position"].is_string()));
    for (from, to) in [(0, None), (3, Some(2)), (1, Some(100_000))] {
        let folder = Folder::new();
        let wrong = Export { from, to, ..export(Format::Csv, folder.path()) };
        assert!(matches!(wrong.export(&world.annals).await, Err(Failure::Wrong(_))));
    }
}

/// Whether the script for strangers, which shares nothing with us, finds everything in a file proved.
fn stranger_finds_proved(file: &Path, key: &Path) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/integrity/check_proof.py");
    let run = std::process::Command::new("python3").arg(script).args([file, key]).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(matches!(run.status.code(), Some(0 | 1)), "{told}");
    run.status.success()
}

#[tokio::test]
async fn every_format_comes_with_proofs_that_strangers_verify_offline_and_a_notice() {
    use crate::prove::CheckProof;
    let world = World::campus().await;
    let notary = Folder::new();
    world.sign(notary.path()).await;
    let key = notary.path().join("key");
    for format in [Format::Ocel, Format::Csv, Format::CloudEvents, Format::Parquet] {
        let folder = Folder::new();
        let notary = Some(notary.path().to_owned());
        let narrow = Export { from: 3, notary, ..export(format, folder.path()) };
        let manifest = narrow.export(&world.annals).await.unwrap();
        let file = folder.path().join("proofs.jsonl");
        let lines = std::fs::read_to_string(&file).unwrap().lines().count() as u64;
        assert_eq!(lines, 1 + manifest.stretch.events);
        let check = CheckProof { proof: file.clone(), key: key.display().to_string() };
        assert!(check.run(true).unwrap() && stranger_finds_proved(&file, &key), "{format:?}");
        assert!(read(&folder, "NOTICE.txt").contains("34 CFR 99.33"));
        let told: Value = serde_json::from_str(&read(&folder, "manifest.json")).unwrap();
        let head = world.annals.store.head().await.unwrap().position;
        assert_eq!(told["proofs"]["size"], head);
        assert_eq!(told["files"].as_array().unwrap().len(), 3, "{told}");

        for (from, to) in
            [("\"sequence\":1,", "\"sequence\":9,"), ("Profile", "profile"), ("\"size\":", "\"size\":1")]
        {
            let forged = folder.path().join("forged.jsonl");
            std::fs::write(&forged, read(&folder, "proofs.jsonl").replacen(from, to, 1)).unwrap();
            let check = CheckProof { proof: forged.clone(), key: key.display().to_string() };
            assert!(!check.run(true).unwrap() && !stranger_finds_proved(&forged, &key), "{from}");
        }
    }
}

#[tokio::test]
async fn a_key_that_has_not_signed_and_a_log_that_was_altered_prove_nothing() {
    let world = World::campus().await;
    let (notary, folder) = (Folder::new(), Folder::new());
    world.sign(notary.path()).await;
    let proving = Export { notary: Some(notary.path().to_owned()), ..export(Format::Csv, folder.path()) };
    proving.export(&world.annals).await.unwrap();
    let proofs = folder.path().join("proofs.jsonl");
    let origin = std::fs::read_to_string(notary.path().join("key")).unwrap();
    let other = event_store::integrity::Signer::new(origin.split('+').next().unwrap(), &[8; 32]).unwrap();
    let key = folder.path().join("other");
    std::fs::write(&key, other.verifier().to_string()).unwrap();
    assert!(!stranger_finds_proved(&proofs, &key));

    let ahead = Export { to: Some(world.annals.store.head().await.unwrap().position), ..proving };
    world.describe(1, "More words").await;
    let beyond = Export { to: Some(ahead.to.unwrap() + 1), out: folder.path().join("beyond"), ..ahead };
    assert!(matches!(beyond.export(&world.annals).await, Err(Failure::Wrong(_))), "not signed yet");
    let mut superuser = world.database.connect().await;
    for sql in [
        "ALTER TABLE annals.events DISABLE TRIGGER ALL",
        "UPDATE annals.events SET payload = '{}' WHERE position = 2",
    ] {
        sqlx::Executor::execute(&mut superuser, sql).await.unwrap();
    }
    let altered = Export {
        to: Some(2),
        types: vec!["OrgUnitCreated".into()],
        out: folder.path().join("altered"),
        ..beyond
    };
    assert!(!altered.run(&world.annals).await.unwrap(), "an exit code of its own");
}
