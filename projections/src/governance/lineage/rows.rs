//! Rows of read models in the graph: from which streams a row was folded, and which rows a stream is folded into.

use std::collections::BTreeSet;

use event_store::Position;
use sqlx::Row as _;
use uuid::Uuid;

use super::{NodeKind, NodeRef};
use crate::{
    catalog::{signed, unsigned},
    fact::Batch,
    filter::Sql,
    governance::{
        audit::aggregate_types,
        entry::{Entry, GovernanceError},
        log_view::LogView,
    },
    model::ReadModel,
    row::{Column, Kind, RowKey, Value, mark},
    storage::{quoted, table_name},
    table::{EVERY_AGGREGATE, Shape},
    touched::by_fact,
};

/// What a row was folded from.
pub(super) enum Origin {
    /// Streams, and events of others that changed it, in the order of the log; and whether there may be more of those. Of an
    /// entry of a ledger the event that it was made of; of a row of which nothing else is found, the last event that touched
    /// it.
    Streams(Vec<NodeRef>, Vec<Entry>, bool),
    /// There is no such row.
    Unknown,
}

/// How far back from the last event that touched a row those of other streams are looked for: the log knows what happened to
/// which stream, and not who else took note of it.
const LOOKED_BACK: Position = 100_000;
/// The events whose rows are looked up at once.
const AT_ONCE: usize = 500;

impl LogView<'_> {
    /// Whether there is such a stream, and has come to that version.
    pub(super) async fn has_version(&self, node: &NodeRef, version: u64) -> Result<bool, GovernanceError> {
        let sql = "SELECT EXISTS (SELECT FROM annals.events WHERE aggregate_type = $1 AND aggregate_id = $2
            AND sequence = $3 AND position <= $4)";
        let is_there = sqlx::query_scalar(sql).bind(&node.r#type).bind(&node.id);
        Ok(is_there.bind(signed(version)).bind(signed(self.until)).fetch_one(self.pool()).await?)
    }

    /// What a row was folded from, by its columns; and at most `others` events of streams that these do not name.
    pub(super) async fn origin(&self, row: &NodeRef, others: usize) -> Result<Origin, GovernanceError> {
        let bad = || GovernanceError::BadNode(row.to_string());
        let model = self.projections.model(&row.r#type).map_err(|_| bad())?;
        let shape = model.shape();
        let key = key_of(shape, &row.id).ok_or_else(bad)?;
        let Some((_, as_of, ids)) = self.there(shape, std::slice::from_ref(&key)).await?.pop() else {
            return Ok(Origin::Unknown);
        };
        let mut last = as_of;
        if let (Some(Value::Integer(position)), true) = (key.first(), shape.ledger) {
            last = unsigned(*position);
        } else {
            let streams = self.streams(shape, &ids).await?;
            let (events, more) = self.others(model, &key, &streams, as_of, others).await?;
            if !streams.is_empty() || !events.is_empty() {
                return Ok(Origin::Streams(streams, events, more));
            }
        }
        let events = if last > self.until { Vec::new() } else { self.entries(&[last]).await? };
        Ok(Origin::Streams(Vec::new(), events, false))
    }

    /// The events that changed a row and happened to none of its own streams, and whether there may be more.
    async fn others(
        &self,
        model: &dyn ReadModel,
        key: &RowKey,
        own: &[NodeRef],
        as_of: Position,
        most: usize,
    ) -> Result<(Vec<Entry>, bool), GovernanceError> {
        let shape = model.shape();
        let is_other = |name: &String| shape.wants(name) && own.iter().all(|stream| stream.r#type != *name);
        let types: Vec<String> = aggregate_types().into_iter().filter(is_other).collect();
        if types.is_empty() || most == 0 || shape.fed_by == EVERY_AGGREGATE {
            return Ok((Vec::new(), false));
        }
        let last = as_of.min(self.until);
        let after = last.saturating_sub(LOOKED_BACK);
        let named = key.iter().filter(|part| matches!(part, Value::Uuid(_))).filter_map(Value::to_text);
        let sql = "SELECT e.position FROM annals.events e
            WHERE e.position > $1 AND e.position <= $2 AND e.aggregate_type = ANY($3)
                AND NOT EXISTS (SELECT FROM unnest($4::text[]) AS named(id) WHERE strpos(e.payload::text, named.id) = 0
                    AND strpos(e.metadata::text, named.id) = 0 AND e.aggregate_id <> named.id)
            ORDER BY e.position LIMIT $5";
        let positions: Vec<i64> = sqlx::query_scalar(sql)
            .bind(signed(after))
            .bind(signed(last))
            .bind(types)
            .bind(named.collect::<Vec<_>>())
            .bind(most as i64 + 1)
            .fetch_all(self.pool())
            .await?;
        let more = after > 0 || positions.len() > most;
        let positions: Vec<Position> = positions.into_iter().take(most).map(unsigned).collect();
        let skips = self.projections.skips_of(shape.name).await?;
        let mut touching = Vec::new();
        for some in positions.chunks(AT_ONCE) {
            let batch = self.batch(some).await?;
            let touched = by_fact(model, &batch, &skips).into_iter().filter(|(_, touched)| touched == key);
            touching.extend(touched.map(|(fact, _)| fact.position));
        }
        Ok((self.entries(&touching).await?, more))
    }

    async fn batch(&self, positions: &[Position]) -> Result<Batch, GovernanceError> {
        let store = &self.projections.0.store;
        // Which rows an event touches can be personal.
        Ok(Batch::decode(store.read_at(positions).await?, store.keyring()).await?)
    }

    /// Of the rows with these keys those that are there: which of the keys it is, the position of the last event that touched
    /// it, and the identifiers in it that may be those of its streams.
    async fn there(
        &self,
        shape: &Shape,
        keys: &[RowKey],
    ) -> Result<Vec<(usize, Position, Vec<Uuid>)>, GovernanceError> {
        let Some(table) = self.serving(shape).await? else { return Ok(Vec::new()) };
        let wanted = |column: &&Column| match shape.options.stream_column {
            Some(name) => column.name == name,
            None => column.is(mark::key),
        };
        let ids: Vec<String> = (shape.columns.iter().filter(wanted))
            .filter(|column| column.kind == Kind::Uuid)
            .map(|column| format!("r.{}", quoted(column.name, '"')))
            .collect();
        let mut sql = Sql::new(shape.columns, String::new());
        let (mut lists, mut parts, mut same) = (Vec::new(), Vec::new(), Vec::new());
        for (index, column) in shape.key().iter().enumerate() {
            let values: Vec<Value> = keys.iter().filter_map(|key| key.get(index).cloned()).collect();
            lists.push(sql.list(column.kind, &values));
            parts.push(format!("part_{index}"));
            same.push(format!("r.{} = wanted.part_{index}", quoted(column.name, '"')));
        }
        let text = format!(
            "SELECT wanted.number, r.as_of, ARRAY[{}]::uuid[]
             FROM unnest({}) WITH ORDINALITY AS wanted({}, number) JOIN {table} r ON {} ORDER BY wanted.number",
            ids.join(", "),
            lists.join(", "),
            parts.join(", "),
            same.join(" AND "),
        );
        let mut statement = sqlx::query(&text);
        for param in sql.params {
            statement = statement.bind(param);
        }
        let rows = statement.fetch_all(self.pool()).await?;
        let found = |row: &sqlx::postgres::PgRow| {
            let number: i64 = row.try_get(0)?;
            let ids: Vec<Option<Uuid>> = row.try_get(2)?;
            let ids = ids.into_iter().flatten().collect();
            Ok((unsigned(number - 1) as usize, unsigned(row.try_get(1)?), ids))
        };
        rows.iter().map(found).collect()
    }

    /// The streams with these ids that a read model folds and that there were.
    async fn streams(&self, shape: &Shape, ids: &[Uuid]) -> Result<Vec<NodeRef>, GovernanceError> {
        let types = aggregate_types().into_iter().filter(|name| shape.wants(name)).collect::<Vec<_>>();
        let sql = "SELECT wanted.type, owner.id FROM unnest($1::text[]) AS wanted(type), unnest($2::text[]) AS owner(id)
            WHERE EXISTS (SELECT FROM annals.events e WHERE e.aggregate_type = wanted.type
                AND e.aggregate_id = owner.id AND e.sequence = 1 AND e.position <= $3)";
        let rows = sqlx::query(sql)
            .bind(types)
            .bind(ids.iter().map(Uuid::to_string).collect::<Vec<_>>())
            .bind(signed(self.until))
            .fetch_all(self.pool())
            .await?;
        let stream = |row: &sqlx::postgres::PgRow| {
            Ok(NodeRef { kind: NodeKind::Aggregate, r#type: row.try_get(0)?, id: row.try_get(1)? })
        };
        rows.iter().map(stream).collect()
    }

    /// The rows that these events changed and that are there now, each with what it was folded from: the aggregate whose row
    /// it is, or else the event; and whether there may be more, as more than `most` were found. Whoever is no auditor is told
    /// of those that one identifier names: other keys have in them what groups are made by.
    pub(super) async fn rows_of(
        &self,
        events: &[&Entry],
        is_auditor: bool,
        most: usize,
    ) -> Result<(BTreeSet<(NodeRef, NodeRef)>, bool), GovernanceError> {
        let mut found = BTreeSet::new();
        let told = |shape: &Shape| {
            // An index of the whole log has rows for everything, and says nothing of it.
            shape.fed_by != EVERY_AGGREGATE
                && (is_auditor || matches!(shape.key(), [column] if column.kind == Kind::Uuid))
        };
        for some in events.chunks(AT_ONCE) {
            let positions: Vec<Position> = some.iter().map(|entry| entry.position).collect();
            let batch = self.batch(&positions).await?;
            let wants = |shape: &Shape| some.iter().any(|entry| shape.wants(&entry.resource_type));
            for model in self.projections.models() {
                let shape = model.shape();
                if !told(shape) || !wants(shape) {
                    continue;
                }
                let touched = by_fact(*model, &batch, &self.projections.skips_of(shape.name).await?);
                let keys: Vec<RowKey> = touched.iter().map(|(_, key)| key.clone()).collect();
                for (number, as_of, ids) in self.there(shape, &keys).await? {
                    let (fact, key) = &touched[number];
                    // What is not folded yet has changed nothing.
                    let Some(id) = name_of(key).filter(|_| fact.position <= as_of) else { continue };
                    let from = match ids.contains(&fact.id) {
                        true => NodeRef {
                            kind: NodeKind::Aggregate,
                            r#type: fact.event.aggregate_type().to_owned(),
                            id: fact.id.to_string(),
                        },
                        false => NodeRef {
                            kind: NodeKind::Event,
                            r#type: "event".to_owned(),
                            id: fact.event_id.to_string(),
                        },
                    };
                    found.insert((from, NodeRef { kind: NodeKind::Row, r#type: shape.name.to_owned(), id }));
                }
                if found.len() > most {
                    return Ok((found, true));
                }
            }
        }
        Ok((found, false))
    }

    /// The table that serves a read model, if one does.
    async fn serving(&self, shape: &Shape) -> Result<Option<String>, GovernanceError> {
        let sql = "SELECT schema_name FROM annals.projections WHERE serving AND name = $1 AND version = $2";
        let schema: Option<String> = sqlx::query_scalar(sql)
            .bind(shape.name)
            .bind(shape.version as i32)
            .fetch_optional(self.pool())
            .await?;
        Ok(schema.map(|schema| table_name(shape, &schema)))
    }
}

/// The key of a row as the name of a node has it: its parts with `/` between them.
fn name_of(key: &RowKey) -> Option<String> {
    let part = |part: &Value| Some(part.to_text()?.replace('%', "%25").replace('/', "%2F"));
    Some(key.iter().map(part).collect::<Option<Vec<_>>>()?.join("/"))
}

/// The key that the name of a node has.
fn key_of(shape: &Shape, name: &str) -> Option<RowKey> {
    let parts: Vec<String> =
        name.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect();
    let columns = shape.key();
    if parts.len() != columns.len() {
        return None;
    }
    columns.iter().zip(parts).map(|(column, part)| column.kind.parse(&part)).collect()
}
