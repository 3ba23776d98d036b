//! Whether the log is what it must be: gapless, in order, and readable from end to end.

use std::{collections::HashMap, fmt};

use domain::registry::AnyEvent;
use event_store::{EventStore, Position, StoreError};
use serde::Serialize;

/// How many events are read at once.
const BATCH: usize = 5000;
/// How many problems are named before the rest is only counted.
const NAMED: usize = 20;

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Events that were read.
    pub(crate) events: u64,
    /// Streams that they belong to.
    pub(crate) streams: usize,
    /// The first problems, each with its position.
    pub(crate) problems: Vec<String>,
}

impl Report {
    fn problem(&mut self, position: Position, what: impl fmt::Display) {
        if self.problems.len() < NAMED {
            self.problems.push(format!("position {position}: {what}"));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events in {} streams", self.events, self.streams)?;
        match self.problems.as_slice() {
            [] => write!(f, ": the log is whole"),
            problems => problems.iter().try_for_each(|problem| write!(f, "\n{problem}")),
        }
    }
}

/// Reads the whole log.
pub(crate) async fn verify(store: &EventStore) -> Result<Report, StoreError> {
    let (mut report, head) = (Report::default(), store.head().await?);
    let mut sequences: HashMap<(String, String), u64> = HashMap::new();
    let (mut position, mut recorded_at) = (0, None);
    while position < head.position {
        let batch = store.read_all(position, BATCH).await?;
        let Some(last) = batch.last() else {
            report.problem(position + 1, format_args!("it is missing, up to the end at {}", head.position));
            break;
        };
        let end = last.position;
        for event in batch {
            report.events += 1;
            position += 1;
            if event.position != position {
                report
                    .problem(position, format_args!("it is missing; the log goes on at {}", event.position));
                position = event.position;
            }
            let stream = (event.stream.aggregate_type.to_string(), event.stream.aggregate_id.clone());
            let sequence = sequences.entry(stream).or_default();
            *sequence += 1;
            if event.sequence != *sequence {
                let why =
                    format!("{} has sequence {} where {sequence} must come", event.stream, event.sequence);
                report.problem(event.position, why);
                *sequence = event.sequence;
            }
            if recorded_at.is_some_and(|before| event.recorded_at < before) {
                report.problem(event.position, "it was recorded before its predecessor");
            }
            recorded_at = Some(event.recorded_at);
            let read = AnyEvent::decode(
                &event.stream.aggregate_type,
                &event.event_type,
                &event.event_version,
                &event.payload,
            );
            if let Err(error) = read {
                report.problem(event.position, error);
            }
        }
        position = end;
    }
    report.streams = sequences.len();
    Ok(report)
}

#[cfg(test)]
mod tests {
    use event_store::{Append, Condition, NewEvent, StreamId, testing};
    use uuid::Uuid;

    use super::*;

    async fn log_of_five() -> (EventStore, testing::TestDatabase) {
        let database = testing::database().await;
        let store = database.store().await.unwrap();
        let stream = StreamId::new("identity.org_unit", Uuid::nil().to_string());
        for version in 0..5 {
            let event = NewEvent {
                stream: stream.clone(),
                event_id: Uuid::now_v7(),
                event_type: "OrgUnitDeactivated".into(),
                event_version: "1".into(),
                payload: r#"{"OrgUnitDeactivated":{"reason":"merged"}}"#.into(),
                personal: Vec::new(),
                metadata: "{}".into(),
            };
            let conditions = vec![Condition { stream: stream.clone(), version }];
            let append = Append {
                command_id: Uuid::now_v7(),
                fingerprint: None,
                conditions,
                events: vec![event],
                claims: Vec::new(),
            };
            store.append(append).await.unwrap();
        }
        (store, database)
    }

    /// As a superuser who switches the triggers off.
    async fn behind_our_back(database: &testing::TestDatabase, sql: &str) {
        let mut connection = database.connect().await;
        for statement in ["ALTER TABLE annals.events DISABLE TRIGGER ALL", sql] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_untouched_log_is_whole() {
        let (store, _database) = log_of_five().await;
        let report = verify(&store).await.unwrap();
        assert_eq!((report.events, report.streams, report.problems.is_empty()), (5, 1, true));
    }

    #[tokio::test]
    async fn a_deleted_event_is_missed_at_its_position() {
        let (store, database) = log_of_five().await;
        behind_our_back(&database, "DELETE FROM annals.events WHERE position = 3").await;
        let report = verify(&store).await.unwrap();
        assert!(report.problems[0].starts_with("position 3: it is missing"), "{report}");
    }

    #[tokio::test]
    async fn an_unreadable_event_is_named() {
        let (store, database) = log_of_five().await;
        behind_our_back(
            &database,
            r#"UPDATE annals.events SET payload = '{"Nonsense":{}}' WHERE position = 2"#,
        )
        .await;
        let report = verify(&store).await.unwrap();
        assert!(report.problems[0].starts_with("position 2"), "{report}");
    }
}
