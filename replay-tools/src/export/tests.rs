use std::{collections::BTreeSet, path::Path};

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::testing::{Folder, World};

fn export(format: Format, out: &Path) -> Export {
    Export { format, from: 1, to: None, types: Vec::new(), out: out.to_owned(), opening: Opening::default() }
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
        export(format, opened.path()).write(&world.annals, head, Personal::Opened).await.unwrap();
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
