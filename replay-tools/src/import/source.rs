//! Where events come from: lines of CloudEvents, or the table of postgres-es, in order and a chunk at a time.

use std::{
    fs::File,
    io::{BufRead, BufReader, Lines},
    path::Path,
};

use event_store::StreamId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use sqlx::{Connection, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use crate::failure::Failure;

/// An event of another log.
#[derive(Clone)]
pub(super) struct Incoming {
    pub(super) stream: StreamId,
    pub(super) sequence: u64,
    pub(super) event_id: Uuid,
    pub(super) event_type: String,
    pub(super) event_version: String,
    pub(super) payload: String,
    pub(super) metadata: Map<String, Value>,
    /// The values of each personal group and whom they are about; none where they are not known.
    pub(super) personal: Vec<Option<(Uuid, Vec<u8>)>>,
    /// When the other log recorded it, as far as it says.
    pub(super) at: Option<Timestamp>,
    /// Which log that is.
    pub(super) source: String,
}

/// A line and the event in it, or why there is none.
pub(super) type Line = (u64, Result<Incoming, String>);

/// Another log.
pub(super) enum Source {
    /// One CloudEvent in each line.
    Lines { lines: Lines<BufReader<File>>, number: u64 },
    /// A table, read through a cursor in one snapshot.
    Table { connection: PgConnection, name: String, number: u64 },
}

impl Source {
    pub(super) fn file(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(Failure::file(path))?;
        Ok(Source::Lines { lines: BufReader::new(file).lines(), number: 0 })
    }

    pub(super) async fn table(url: &str, table: &str, time: Option<&str>) -> Result<Self, Failure> {
        let mut connection = PgConnection::connect(url).await?;
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let table: Vec<String> = table.split('.').map(quoted).collect();
        // A stream is in order whatever its times say: an event counts as no earlier than its predecessor.
        let (at, order) = match time.map(quoted) {
            Some(time) => (
                format!("(extract(epoch FROM {time}::timestamptz) * 1000000)::bigint"),
                format!(
                    "max({time}) OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY sequence),
                     aggregate_type, aggregate_id, sequence"
                ),
            ),
            None => ("NULL::bigint".to_owned(), "aggregate_type, aggregate_id, sequence".to_owned()),
        };
        let sql = format!(
            "DECLARE incoming NO SCROLL CURSOR FOR
             SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload::text,
                metadata::text, {at}
             FROM {} ORDER BY {order}",
            table.join(".")
        );
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut connection).await?;
        sqlx::raw_sql(&sql).execute(&mut connection).await?;
        Ok(Source::Table {
            connection,
            name: format!("postgres-es:{}", table.join(".").replace('"', "")),
            number: 0,
        })
    }

    /// The next events, at most so many; none at the end.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Vec<Line>, Failure> {
        match self {
            Source::Lines { lines, number } => {
                let mut read = Vec::new();
                while read.len() < limit
                    && let Some(line) = lines.next().transpose()?
                {
                    *number += 1;
                    if !line.trim().is_empty() {
                        read.push((*number, cloud_event(&line)));
                    }
                }
                Ok(read)
            }
            Source::Table { connection, name, number } => {
                let rows = sqlx::query(&format!("FETCH {limit} FROM incoming")).fetch_all(connection).await?;
                let mut read = Vec::new();
                for row in &rows {
                    *number += 1;
                    read.push((*number, stored(row, name)?));
                }
                Ok(read)
            }
        }
    }
}

/// A row of postgres-es.
fn stored(row: &PgRow, source: &str) -> Result<Result<Incoming, String>, Failure> {
    let (aggregate_type, aggregate_id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let sequence: i64 = row.try_get(2)?;
    let metadata: String = row.try_get(6)?;
    let Ok(Value::Object(metadata)) = serde_json::from_str(&metadata) else {
        return Ok(Err("the metadata is not a JSON object".to_owned()));
    };
    let at: Option<i64> = row.try_get(7)?;
    if sequence < 1 {
        return Ok(Err(format!("sequence {sequence}: a stream begins with 1")));
    }
    // The table gives events no identity: their place is one.
    let event_id = domain::derived_id(&["imported", &aggregate_type, &aggregate_id, &sequence.to_string()]);
    Ok(Ok(Incoming {
        stream: StreamId::new(aggregate_type, aggregate_id),
        sequence: sequence.cast_unsigned(),
        event_id,
        event_type: row.try_get(3)?,
        event_version: row.try_get(4)?,
        payload: row.try_get(5)?,
        metadata,
        personal: Vec::new(),
        at: at.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
        source: source.to_owned(),
    }))
}

#[derive(Deserialize)]
struct CloudEvent {
    specversion: String,
    id: Uuid,
    source: String,
    subject: String,
    time: Option<Timestamp>,
    sequence: String,
    aggregatetype: String,
    eventtype: String,
    eventversion: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    payload: Box<RawValue>,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(default)]
    personal: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    subject: Uuid,
    values: Option<Box<RawValue>>,
}

fn cloud_event(line: &str) -> Result<Incoming, String> {
    let event: CloudEvent = serde_json::from_str(line).map_err(|error| match error.classify() {
        // A missing member is told; values are not.
        serde_json::error::Category::Data if error.to_string().starts_with("missing field") => {
            error.to_string()
        }
        kind => format!("it is not a CloudEvent of Annals ({kind:?} error at column {})", error.column()),
    })?;
    if event.specversion != "1.0" {
        return Err(format!("CloudEvents {} are not known", event.specversion));
    }
    let sequence = event.sequence.parse::<u64>().ok().filter(|sequence| *sequence > 0);
    let group = |group: Group| Some((group.subject, group.values?.get().as_bytes().to_vec()));
    Ok(Incoming {
        stream: StreamId::new(event.aggregatetype, event.subject),
        sequence: sequence.ok_or_else(|| format!("`{}` is no sequence", event.sequence))?,
        event_id: event.id,
        event_type: event.eventtype,
        event_version: event.eventversion,
        payload: event.data.payload.get().to_owned(),
        metadata: event.data.metadata,
        personal: event.data.personal.into_iter().map(group).collect(),
        at: event.time,
        source: event.source,
    })
}
