use std::path::Path;

use super::*;
use crate::{
    event::{self, Personal},
    export,
    testing::{Folder, World},
};

fn from_file(path: &Path) -> Import {
    Import {
        file: Some(path.to_owned()),
        from_database: None,
        table: "events".into(),
        time_column: None,
        dry_run: false,
    }
}

/// The lines of a whole campus, with its personal values.
async fn lines(world: &World, folder: &Folder) -> Vec<String> {
    let file = export::cloud_events_of(&world.annals, folder.path()).await;
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn write(folder: &Folder, lines: &[String]) -> PathBuf {
    let path = folder.path().join("lines.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

async fn all(world: &World) -> Vec<event::Event> {
    let recorded = world.annals.store.read_all(0, 1000).await.unwrap();
    event::read(&world.annals.store, recorded, Personal::Opened).await.unwrap()
}

#[tokio::test]
async fn an_exported_log_is_imported_with_its_identities_values_and_times_and_only_once() {
    let (world, other, folder) = (World::campus().await, World::empty().await, Folder::new());
    let lines = lines(&world, &folder).await;
    let import = from_file(&write(&folder, &lines));
    let first = import.import(&other.annals).await.unwrap();
    assert_eq!((first.imported, first.already, first.refused), (lines.len() as u64, 0, 0), "{first:?}");
    for (was, is) in all(&world).await.iter().zip(all(&other).await) {
        assert_eq!((was.event_id, &was.data, was.sequence), (is.event_id, &is.data, is.sequence));
        assert_eq!(
            (was.occurred_at, was.causation_id, &was.subjects),
            (is.occurred_at, is.causation_id, &is.subjects)
        );
    }
    let stored: String = sqlx::query_scalar("SELECT metadata::text FROM annals.events WHERE position = 1")
        .fetch_one(other.annals.store.pool())
        .await
        .unwrap();
    assert!(stored.contains("originally_recorded_at") && stored.contains("urn:annals:"), "{stored}");
    let again = import.import(&other.annals).await.unwrap();
    assert_eq!((again.imported, again.already), (0, lines.len() as u64));
    // The claims came along: a code that was imported is taken.
    assert!(!other.annals.store.claims("", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_import_that_was_interrupted_goes_on() {
    let (world, other, folder) = (World::campus().await, World::empty().await, Folder::new());
    let lines = lines(&world, &folder).await;
    from_file(&write(&folder, &lines[..5])).import(&other.annals).await.unwrap();
    let rest = from_file(&write(&folder, &lines)).import(&other.annals).await.unwrap();
    assert_eq!((rest.already, rest.imported), (5, lines.len() as u64 - 5));
    assert_eq!(other.annals.store.head().await.unwrap().position, lines.len() as u64);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_its_line_and_then_nothing_is_recorded() {
    let (world, other, folder) = (World::campus().await, World::empty().await, Folder::new());
    let mut lines = lines(&world, &folder).await;
    lines[1] = lines[1].replace("OrgUnitCreated", "OrgUnitPainted");
    lines[3] = "{\"specversion\":\"1.0\"}".to_owned();
    lines[4] = lines[4].replace("\"identity.profile\"", "\"identity.hat\"");
    let refused = from_file(&write(&folder, &lines)).import(&other.annals).await.unwrap();
    let named: Vec<u64> = refused.reasons.iter().map(|one| one.line).collect();
    assert!(named.contains(&2) && named.contains(&4), "{refused:?}");
    assert!(refused.reasons[0].reason.contains("unknown event type `OrgUnitPainted`"), "{refused:?}");
    assert_eq!(other.annals.store.head().await.unwrap().position, 0);
}

#[tokio::test]
async fn a_stream_that_has_another_event_in_that_place_is_not_touched() {
    let (world, folder) = (World::campus().await, Folder::new());
    let lines = lines(&world, &folder).await;
    let other = World::empty().await;
    other.create_unit(0).await;
    let refused = from_file(&write(&folder, &lines)).import(&other.annals).await.unwrap();
    assert!(refused.reasons[0].reason.contains("has another event with sequence 1"), "{refused:?}");
    assert_eq!(other.annals.store.head().await.unwrap().position, 1);
}

#[tokio::test]
async fn a_table_of_postgres_es_is_imported_in_the_order_of_its_times() {
    let (world, other) = (World::campus().await, World::empty().await);
    let sql = "CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL,
            sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL,
            payload json NOT NULL, metadata json NOT NULL, timestamp timestamptz DEFAULT CURRENT_TIMESTAMP,
            PRIMARY KEY (aggregate_type, aggregate_id, sequence));
        INSERT INTO events SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
            recorded_at FROM annals.events";
    sqlx::raw_sql(sql).execute(world.annals.store.pool()).await.unwrap();
    let import = Import {
        file: None,
        from_database: Some(world.annals.url.clone()),
        time_column: Some("timestamp".into()),
        ..from_file(Path::new(""))
    };
    let imported = import.import(&other.annals).await.unwrap();
    let (was, is) = (all(&world).await, all(&other).await);
    assert_eq!(imported.imported, was.len() as u64, "{imported:?}");
    for (was, is) in was.iter().zip(&is) {
        assert_eq!((was.stream(), was.sequence, &was.event_type), (is.stream(), is.sequence, &is.event_type));
    }
    assert_eq!(import.import(&other.annals).await.unwrap().already, was.len() as u64);
}

/// A line with something in it replaced, which must be there.
fn altered(lines: &[String], number: usize, from: &str, to: &str) -> Vec<String> {
    let mut lines = lines.to_vec();
    assert!(lines[number].contains(from), "{}", lines[number]);
    lines[number] = lines[number].replacen(from, to, 1);
    lines
}

#[tokio::test]
async fn an_event_of_a_known_identity_that_says_something_else_is_refused_by_its_line() {
    let (world, other, folder) = (World::campus().await, World::empty().await, Folder::new());
    let lines = lines(&world, &folder).await;
    from_file(&write(&folder, &lines)).import(&other.annals).await.unwrap();
    let head = other.annals.store.head().await.unwrap().position;
    let described = lines.iter().position(|line| line.contains("First words")).unwrap();
    for (number, from, to, part) in [
        (1, "University 1", "University 9", "payload"),
        (1, "office@u1.example", "office@u9.example", "personal value"),
        (described, "First words", "Last words", "personal value"),
        (1, "\"purpose\":\"administration\"", "\"purpose\":\"marketing\"", "metadata"),
        (1, "\"purpose\":\"administration\"", "\"aim\":\"administration\"", "metadata"),
    ] {
        let path = write(&folder, &altered(&lines, number, from, to));
        let refused = from_file(&path).import(&other.annals).await.unwrap();
        assert_eq!((refused.imported, refused.refused), (0, 1), "{part}: {refused:?}");
        assert_eq!(refused.already, lines.len() as u64 - 1, "the other lines are the same");
        let told = &refused.reasons[0];
        let id = serde_json::from_str::<serde_json::Value>(&lines[number]).unwrap()["id"].clone();
        let said = format!("event {} is in the log at position ", id.as_str().unwrap());
        assert!(told.reason.starts_with(&said) && told.reason.ends_with(part), "{told:?}");
        assert_eq!(told.line, number as u64 + 1);
        assert!(!from_file(&path).run(&other.annals).await.unwrap(), "the exit code is not 0");
    }
    assert_eq!(other.annals.store.head().await.unwrap().position, head);
}

#[tokio::test]
async fn what_cannot_be_compared_any_more_is_no_difference() {
    let (world, other, folder) = (World::campus().await, World::empty().await, Folder::new());
    let lines = lines(&world, &folder).await;
    let import = from_file(&write(&folder, &lines));
    import.import(&other.annals).await.unwrap();
    other.erase(crate::testing::student(0)).await;
    let again = import.import(&other.annals).await.unwrap();
    assert_eq!((again.already, again.refused), (lines.len() as u64, 0), "{again:?}");
    // Nor is what an import adds: the events of the other log are those of the first one.
    let back = Folder::new();
    let file = export::cloud_events_of(&other.annals, back.path()).await;
    let again = from_file(&file).import(&world.annals).await.unwrap();
    assert_eq!((again.already, again.refused), (lines.len() as u64, 0), "{again:?}");
}
