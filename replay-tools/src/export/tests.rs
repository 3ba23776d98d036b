use std::{collections::BTreeSet, path::Path};

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use event_store::{Append, NewEvent, StreamId};
use serde_json::{Value, json};
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
    let head = world.annals.store.head().await.unwrap();
    export(Format::Csv, folder.path()).export(&world.annals).await.unwrap();
    let manifest: Value = serde_json::from_str(&read(&folder, "manifest.json")).unwrap();
    let file = std::fs::read(folder.path().join("events.csv")).unwrap();
    assert_eq!(manifest["files"][0]["sha256"], output::hex(&Sha256::digest(&file)));
    assert_eq!(manifest["files"][0]["bytes"], file.len());
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
    let head = world.annals.store.head().await.unwrap().position;
    export(Format::Ocel, folder.path()).export(&world.annals).await.unwrap();
    let log: Value = serde_json::from_str(&read(&folder, "events.ocel.json")).unwrap();
    let names = |list: &Value, key: &str| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
    };
    let objects = names(&log["objects"], "id");
    let types = names(&log["objectTypes"], "name");
    assert!(names(&log["objects"], "type").is_subset(&types) && types.contains("person"));
    let events = log["events"].as_array().unwrap();
    assert_eq!(events.len() as u64, head);
    for event in events {
        assert!(names(&event["relationships"], "objectId").is_subset(&objects), "{event}");
        let declared = log["eventTypes"].as_array().unwrap();
        let declared = declared.iter().find(|declared| declared["name"] == event["type"]).unwrap();
        for attribute in event["attributes"].as_array().unwrap() {
            let all = declared["attributes"].as_array().unwrap();
            let kind =
                all.iter().find(|one| one["name"] == attribute["name"]).unwrap()["type"].as_str().unwrap();
            let value = attribute["value"].as_str().unwrap();
            assert!(match kind {
                "integer" => value.parse::<i64>().is_ok(),
                "boolean" => value.parse::<bool>().is_ok(),
                "float" => value.parse::<f64>().is_ok(),
                kind => kind == "string",
            });
        }
    }
}

/// The JSON schema that the standard publishes (ocel-standard.org, ocel20-schema-json.json, draft 7).
fn ocel_schema() -> Value {
    let text = || json!({ "type": "string" });
    let instant = || json!({ "type": "string", "format": "date-time" });
    let object = |properties: Value, required: &[&str]| json!({ "type": "array", "items": { "type": "object", "properties": properties, "required": required } });
    let declared = || object(json!({ "name": text(), "type": text() }), &["name", "type"]);
    let types = || object(json!({ "name": text(), "attributes": declared() }), &["name", "attributes"]);
    let relations = || object(json!({ "objectId": text(), "qualifier": text() }), &["objectId", "qualifier"]);
    let events = json!({
        "id": text(), "type": text(), "time": instant(), "relationships": relations(),
        "attributes": object(json!({ "name": text(), "value": text() }), &["name", "value"]),
    });
    let changes = json!({ "name": text(), "value": text(), "time": instant() });
    let objects = json!({
        "id": text(), "type": text(), "relationships": relations(),
        "attributes": object(changes, &["name", "value", "time"]),
    });
    json!({
        "type": "object",
        "properties": {
            "eventTypes": types(), "objectTypes": types(),
            "events": object(events, &["id", "type", "time"]), "objects": object(objects, &["id", "type"]),
        },
        "required": ["eventTypes", "objectTypes", "events", "objects"],
    })
}

/// What of a document does not follow a schema, as far as schemas of this kind go.
fn violations(document: &Value, schema: &Value, at: &str) -> Vec<String> {
    match (schema["type"].as_str().unwrap(), document) {
        ("string", Value::String(text)) => {
            let instant = schema["format"] == "date-time";
            let wrong = instant && text.parse::<jiff::Timestamp>().is_err();
            if wrong { vec![format!("{at}: no instant")] } else { Vec::new() }
        }
        ("array", Value::Array(entries)) => {
            entries.iter().flat_map(|entry| violations(entry, &schema["items"], at)).collect()
        }
        ("object", Value::Object(members)) => {
            let required = schema["required"].as_array().unwrap().iter();
            let missing = required.filter(|name| !members.contains_key(name.as_str().unwrap()));
            let known = schema["properties"].as_object().unwrap().iter();
            let within = known.filter_map(|(name, schema)| {
                Some(violations(members.get(name)?, schema, &format!("{at}/{name}")))
            });
            missing.map(|name| format!("{at}: no {name}")).chain(within.flatten()).collect()
        }
        (kind, other) => vec![format!("{at}: {other} is no {kind}")],
    }
}

#[tokio::test]
async fn ocel_follows_the_schema_of_the_standard() {
    let world = World::campus().await;
    let folder = Folder::new();
    export(Format::Ocel, folder.path()).export(&world.annals).await.unwrap();
    let mut log: Value = serde_json::from_str(&read(&folder, "events.ocel.json")).unwrap();
    assert_eq!(violations(&log, &ocel_schema(), ""), [""; 0]);
    log["events"][0]["attributes"][0]["value"] = 1.into();
    log["events"][0].as_object_mut().unwrap().remove("time");
    assert_eq!(violations(&log, &ocel_schema(), "").len(), 2, "the check can fail");
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
        export(format, opened.path()).write(&world.annals, head, Personal::Opened, None, None).await.unwrap();
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
    let head = world.annals.store.head().await.unwrap().position.cast_signed();
    export(Format::Parquet, folder.path()).export(&world.annals).await.unwrap();
    let reader =
        SerializedFileReader::new(std::fs::File::open(folder.path().join("events.parquet")).unwrap())
            .unwrap();
    let positions: Vec<i64> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| ::parquet::record::RowAccessor::get_long(&row.unwrap(), 0).unwrap())
        .collect();
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

#[tokio::test]
async fn a_type_that_neither_this_program_nor_the_log_has_is_refused_with_what_comes_near() {
    let world = World::campus().await;
    let folder = Folder::new();
    let of = |name: &str| Export {
        types: vec![name.into()],
        ..export(Format::CloudEvents, &folder.path().join("lent"))
    };
    let lists = "`annals events` lists them";
    for (name, told) in [("ProfileRevise", "is it ProfileRevised?"), ("BookLent", lists)] {
        let refused = of(name).export(&world.annals).await.unwrap_err();
        assert!(matches!(refused, Failure::Wrong(_)), "{refused}");
        assert!(refused.to_string().contains(name) && refused.to_string().ends_with(told), "{refused}");
    }
    assert!(!folder.path().join("lent").exists());
    // Another program has written into this log.
    let lent = NewEvent {
        stream: StreamId::new("library.loan", Uuid::now_v7().to_string()),
        event_id: Uuid::now_v7(),
        event_type: "BookLent".into(),
        event_version: "1".into(),
        payload: r#"{"BookLent":{}}"#.into(),
        personal: Vec::new(),
        metadata: "{}".into(),
    };
    let (command_id, conditions, claims) = (Uuid::now_v7(), Vec::new(), Vec::new());
    let append = Append { command_id, fingerprint: None, conditions, events: vec![lent], claims };
    world.annals.store.append(append).await.unwrap();
    assert_eq!(of("BookLent").export(&world.annals).await.unwrap().stretch.events, 1);
}

/// Whether the script for strangers, which shares nothing with us, finds everything in a file proved.
fn stranger_finds_proved(file: &Path, key: &Path) -> bool {
    stranger_agrees(&[file, key])
}

fn stranger_agrees(arguments: &[&Path]) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/integrity/check_proof.py");
    let run = std::process::Command::new("python3").arg(script).args(arguments).output().unwrap();
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
    let signed = world.annals.store.head().await.unwrap().position;
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
        assert_eq!(told["proofs"]["size"], signed);
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
    let signed = world.annals.store.head().await.unwrap().position;
    let proving = Export { notary: Some(notary.path().to_owned()), ..export(Format::Csv, folder.path()) };
    proving.export(&world.annals).await.unwrap();
    let proofs = folder.path().join("proofs.jsonl");
    let origin = std::fs::read_to_string(notary.path().join("key")).unwrap();
    let other = event_store::integrity::Signer::new(origin.split('+').next().unwrap(), &[8; 32]).unwrap();
    let key = folder.path().join("other");
    std::fs::write(&key, other.verifier().to_string()).unwrap();
    assert!(!stranger_finds_proved(&proofs, &key));

    let ahead = Export { to: Some(signed), ..proving };
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
    assert!(!altered.out.exists(), "nothing stays of it");
}

#[tokio::test]
async fn of_an_export_that_is_interrupted_nothing_stays_and_it_can_be_run_again() {
    let world = World::campus().await;
    let folder = Folder::new();
    let made = export(Format::Csv, &folder.path().join("for/her"));
    // It comes as far as the first event, and no further.
    let mut keeper = world.database.connect().await;
    let to = world.annals.store.head().await.unwrap().position;
    let lock = "BEGIN; LOCK TABLE annals.events IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut keeper).await.unwrap();
    let mut interrupted = Box::pin(made.write(&world.annals, to, Personal::Sealed, None, None));
    while !made.out.exists() {
        assert!(futures_util::poll!(&mut interrupted).is_pending(), "it has ended");
        tokio::task::yield_now().await;
    }
    drop(interrupted);
    sqlx::Connection::close(keeper).await.unwrap();
    assert!(!folder.path().join("for").exists());
    made.export(&world.annals).await.unwrap();
    assert!(made.out.join("manifest.json").exists());
}

#[tokio::test]
async fn strangers_check_that_the_log_only_grew_and_that_its_tiles_are_what_was_signed() {
    let world = World::campus().await;
    let notary = Folder::new();
    let (kept, key, tile) =
        (notary.path().join("kept"), notary.path().join("key"), notary.path().join("tile/0/000"));
    world.sign(notary.path()).await;
    std::fs::copy(notary.path().join("checkpoint"), &kept).unwrap();
    // Beyond a tile of 256, so that there is one above.
    for number in 0..260 {
        world.create_unit(100 + number).await;
    }
    world.sign(notary.path()).await;
    assert!(stranger_agrees(&[notary.path(), &key, &kept]));
    let directory = Directory::open(notary.path()).unwrap();
    let (old, new) = (
        event_store::integrity::Checkpoint::open(&read(&notary, "kept"), directory.verifier()).unwrap(),
        directory.signed().unwrap(),
    );
    let hashes = directory.consistency(old.size, new.0.size).unwrap();
    let grew = json!({ "from": old.size, "to": new.0.size, "hashes": hashes, "checkpoint": new.1 });
    let file = notary.path().join("consistency.json");
    std::fs::write(&file, grew.to_string()).unwrap();
    assert!(stranger_agrees(&[&file, &key, &kept]));
    let mut forged = grew;
    forged["hashes"][0] = json!(Leaf::of(&world.described(0).await).hash());
    std::fs::write(&file, forged.to_string()).unwrap();
    assert!(!stranger_agrees(&[&file, &key, &kept]));
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    assert!(!stranger_agrees(&[notary.path(), &key]));
}

#[tokio::test]
async fn art_19_whoever_is_handed_opened_values_is_on_record_as_a_recipient_before_they_are_written() {
    let (world, folder) = (World::campus().await, Folder::new());
    let head = async || world.annals.store.head().await.unwrap().position;
    let end = head().await;
    let replay = world.approved_replay(None, None).await;
    let opening = Opening {
        decrypt: true,
        purpose: Some("ferpa".into()),
        reason: Some("She asked.".into()),
        replay: Some(replay),
    };
    let out = folder.path().join("out");
    let export = Export { to: Some(end), opening, ..export(Format::Csv, &out) };
    let before = head().await;
    export.export(&world.annals).await.unwrap();
    let recorded = world.annals.store.read_all(before, 10).await.unwrap();
    let types: Vec<&str> = recorded.iter().map(|event| &*event.event_type).collect();
    assert_eq!(types, ["AuditReplayRead", "AccessLogged", "AuditPackageExported"]);
    let envelope = projections::Envelope::read(&recorded[2].metadata, recorded[2].recorded_at);
    assert_eq!(envelope.on_behalf_of, Some(Uuid::from_u128(1)), "who opened the replay");
    let package: Value = serde_json::from_str(&recorded[2].payload).unwrap();
    let package = &package["AuditPackageExported"];
    let events = world.annals.store.read_all(0, usize::try_from(end).unwrap()).await.unwrap();
    let leaves: Vec<u8> = events.iter().flat_map(|event| Leaf::of(event).hash().0).collect();
    assert_eq!(package["sha256"], output::hex(&Sha256::digest(&leaves)));
    assert_eq!((&package["first"], &package["last"]), (&1.into(), &end.into()));
    let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["document"], package["document"]);
}

#[tokio::test]
async fn whoever_is_handed_sealed_values_is_no_recipient() {
    let (world, folder) = (World::campus().await, Folder::new());
    let before = world.annals.store.head().await.unwrap().position;
    let manifest = export(Format::Csv, folder.path()).export(&world.annals).await.unwrap();
    assert_eq!(manifest.document, None);
    let recorded = world.annals.store.read_all(before, 10).await.unwrap();
    let types: Vec<&str> = recorded.iter().map(|event| &*event.event_type).collect();
    assert_eq!(types, ["AccessLogged"]);
}
