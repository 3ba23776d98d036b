//! `diff`: what happened between two positions, and what that did to read models.

use domain::Actor;
use event_store::{AsOf, Position};
use projections::{Condition, Op, Query, QueryError, ReadModel};
use serde::Serialize;
use serde_json::Value;

use crate::{
    annals::Annals,
    event::{ERASED, SEALED},
    failure::Failure,
    opening::{Reading, Under},
    progress::Progress,
};

/// What changed between two positions: events by type, the streams touched, and their rows before and after.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// After this position.
    from: Position,
    /// Up to this position.
    to: Position,
    /// Of how many streams the rows are compared, at most; 0: of none.
    #[arg(long, default_value_t = 20)]
    streams: u32,
    #[command(flatten)]
    under: Under,
}

#[derive(Debug, Serialize)]
struct Difference {
    from: Position,
    to: Position,
    events: Vec<Happened>,
    streams: Vec<Touched>,
    rows: Vec<Row>,
}

/// How often something happened.
#[derive(Debug, Serialize)]
struct Happened {
    aggregate_type: String,
    event_type: String,
    events: i64,
    streams: i64,
}

/// A stream, and between which versions.
#[derive(Debug, Serialize)]
struct Touched {
    aggregate_type: String,
    aggregate_id: String,
    from_version: i64,
    to_version: i64,
}

/// The row of a read model.
#[derive(Debug, Serialize)]
struct Row {
    read_model: &'static str,
    /// The values of its key, in order.
    key: Vec<Value>,
    /// Columns that are different.
    changes: Vec<Change>,
}

/// A column. Personal values are compared and not shown.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    column: &'static str,
    before: Value,
    after: Value,
}

impl Diff {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let difference = difference(annals, self.from, self.to, self.streams).await?;
        let reading = Reading {
            resource: format!("what changed between positions {} and {}", self.from, self.to),
            from: self.from,
            to: self.to,
            events: self.to - self.from,
            subjects: None,
        };
        self.under.on_record(annals, &reading).await?;
        annals.show(&difference, || difference.to_text())?;
        Ok(true)
    }
}

async fn difference(annals: &Annals, from: Position, to: Position, most: u32) -> Result<Difference, Failure> {
    let head = annals.store.head().await?.position;
    if from > to || to > head {
        return Err(Failure::Wrong(format!(
            "{from} to {to} is not a stretch of the log, which ends at {head}"
        )));
    }
    let (low, high) = (from.cast_signed(), to.cast_signed());
    let pool = annals.store.pool();
    let events: Vec<(String, String, i64, i64)> =
        sqlx::query_as(include_str!("sql/diff_types.sql")).bind(low).bind(high).fetch_all(pool).await?;
    let streams: Vec<(String, String, i64, i64)> = sqlx::query_as(include_str!("sql/diff_streams.sql"))
        .bind(low)
        .bind(high)
        .bind(i64::from(most))
        .fetch_all(pool)
        .await?;
    let happened = |(aggregate_type, event_type, events, streams)| Happened {
        aggregate_type,
        event_type,
        events,
        streams,
    };
    let touched = |(aggregate_type, aggregate_id, from_version, to_version)| Touched {
        aggregate_type,
        aggregate_id,
        from_version,
        to_version,
    };
    let streams: Vec<Touched> = streams.into_iter().map(touched).collect();
    let progress = Progress::new("comparing rows", streams.len() as u64);
    let mut rows = Vec::new();
    for (done, stream) in streams.iter().enumerate() {
        for model in annals.projections.models() {
            rows.extend(compare(annals, *model, stream, from, to).await?);
        }
        progress.at(done as u64 + 1);
    }
    Ok(Difference { from, to, events: events.into_iter().map(happened).collect(), streams, rows })
}

/// The rows that a read model makes of one stream, at both positions. Only of those that are made from one stream: for
/// others the whole log would have to be folded twice.
async fn compare(
    annals: &Annals,
    model: &'static dyn ReadModel,
    stream: &Touched,
    from: Position,
    to: Position,
) -> Result<Vec<Row>, Failure> {
    let shape = model.shape();
    let cheap = shape.options.time_travel && !shape.options.unlogged && shape.wants(&stream.aggregate_type);
    let Some(column) = shape.options.stream_column.filter(|_| cheap) else { return Ok(Vec::new()) };
    let (before, after) = (
        rows_at(annals, shape.name, column, stream, from).await?,
        rows_at(annals, shape.name, column, stream, to).await?,
    );
    let key =
        |row: &Value| -> Vec<Value> { shape.key().iter().map(|column| row[column.name].clone()).collect() };
    let mut keys: Vec<Vec<Value>> = before.iter().chain(&after).map(key).collect();
    keys.sort_by_key(|key| format!("{key:?}"));
    keys.dedup();
    let nothing = Value::Null;
    let rows = keys.into_iter().map(|of| {
        let find = |rows: &'_ [Value]| rows.iter().position(|row| key(row) == of);
        let was = find(&before).map_or(&nothing, |index| &before[index]);
        let is = find(&after).map_or(&nothing, |index| &after[index]);
        let open = shape.columns.iter().map(|column| (column.name, false));
        let personal = shape.personal.iter().map(|column| (column.name, true));
        let differs = |(name, _): &(&'static str, bool)| was[*name] != is[*name];
        let change = |(column, personal): (&'static str, bool)| {
            let shown = |value: &Value| if personal { hidden(value) } else { value.clone() };
            Change { column, before: shown(&was[column]), after: shown(&is[column]) }
        };
        Row {
            read_model: shape.name,
            key: of,
            changes: open.chain(personal).filter(differs).map(change).collect(),
        }
    });
    Ok(rows.filter(|row| !row.changes.is_empty()).collect())
}

/// A personal value: that there is one, or was.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) if text == ERASED => ERASED.into(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            SEALED.into()
        }
    }
}

async fn rows_at(
    annals: &Annals,
    name: &str,
    column: &str,
    stream: &Touched,
    position: Position,
) -> Result<Vec<Value>, Failure> {
    let of = Condition { column: column.to_owned(), op: Op::In, values: vec![stream.aggregate_id.clone()] };
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let query = Query {
            filters: vec![of.clone()],
            as_of: Some(AsOf::Position(position)),
            limit: Some(projections::query::LIMIT_MAX),
            after,
            ..Query::default()
        };
        match annals.projections.list(name, &everybody(), &query).await {
            Ok(page) => {
                rows.extend(page.rows);
                after = page.next;
                if after.is_none() {
                    return Ok(rows);
                }
            }
            // A column that clients may not filter by: the rows of one stream cannot be asked for.
            Err(QueryError::UnknownFilter(_)) => return Ok(rows),
            Err(error) => return Err(Failure::Query(error)),
        }
    }
}

/// Whoever has a shell on the server sees every row; what is personal in them is compared and not shown.
fn everybody() -> Actor {
    Actor::user(uuid::Uuid::nil(), &["admin"])
}

impl Difference {
    fn to_text(&self) -> String {
        let events: i64 = self.events.iter().map(|one| one.events).sum();
        let mut lines = vec![format!("{events} events after {} up to {}", self.from, self.to)];
        lines.extend(self.events.iter().map(|one| {
            format!(
                "  {:8} {} of {} in {} streams",
                one.events, one.event_type, one.aggregate_type, one.streams
            )
        }));
        lines.push("streams".into());
        lines.extend(self.streams.iter().map(|stream| {
            let Touched { aggregate_type, aggregate_id, from_version, to_version } = stream;
            format!("  {aggregate_type}/{aggregate_id} from version {from_version} to {to_version}")
        }));
        lines.push("rows".into());
        for row in &self.rows {
            let key: Vec<String> = row.key.iter().map(Value::to_string).collect();
            lines.push(format!("  {} {}", row.read_model, key.join(" ")));
            let change = |one: &Change| format!("    {}: {} -> {}", one.column, one.before, one.after);
            lines.extend(row.changes.iter().map(change));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, student, unit};

    #[tokio::test]
    async fn events_streams_and_rows_between_two_positions_are_told() {
        let world = World::campus().await;
        let before = world.annals.store.head().await.unwrap().position;
        world.rename_unit(0, "Another name").await;
        let after = world.create_unit(7).await.position;
        let difference = difference(&world.annals, before, after, 20).await.unwrap();
        let counts: Vec<(&str, i64)> =
            difference.events.iter().map(|one| (one.event_type.as_str(), one.events)).collect();
        assert_eq!(counts, [("OrgUnitCreated", 1), ("OrgUnitRevised", 1)]);
        assert_eq!((difference.streams[0].from_version, difference.streams[0].to_version), (1, 2));
        let of = |number: u128| {
            let rows = difference.rows.iter().filter(move |row| row.key[0] == unit(number).to_string());
            rows.flat_map(|row| &row.changes).collect::<Vec<_>>()
        };
        let renamed = Change { column: "name", before: "University 0".into(), after: "Another name".into() };
        assert!(of(0).contains(&&renamed), "{difference:?}");
        assert!(of(7).iter().all(|change| change.before.is_null()), "it was not there before");
        assert!(!difference.to_text().contains("office@"), "personal values are not shown");
    }

    #[tokio::test]
    async fn what_is_told_under_a_replay_is_on_its_record_which_must_be_of_everybody() {
        let world = World::campus().await;
        let to = world.annals.store.head().await.unwrap().position;
        for (subject, covered) in [(Some(student(0)), false), (None, true)] {
            let replay = world.sealed_replay(subject).await;
            let before = world.annals.store.head().await.unwrap().position;
            let diff = Diff { from: 1, to, streams: 1, under: Under { replay: Some(replay) } };
            assert_eq!(diff.run(&world.annals).await.is_ok(), covered);
            let read = world.annals.store.read_all(before, 10).await.unwrap();
            let types: Vec<&str> = read.iter().map(|event| &*event.event_type).collect();
            assert_eq!(types, ["AuditReplayRead"][..usize::from(covered)]);
        }
    }

    #[tokio::test]
    async fn a_stretch_that_the_log_does_not_have_is_refused() {
        let world = World::campus().await;
        for (from, to) in [(2, 1), (0, 100_000)] {
            assert!(matches!(difference(&world.annals, from, to, 1).await, Err(Failure::Wrong(_))));
        }
    }
}
