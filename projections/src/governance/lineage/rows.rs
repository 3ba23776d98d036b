//! Rows of read models in the graph: from which streams a row was folded, and which rows a stream is folded into.

use event_store::Position;
use sqlx::Row as _;
use uuid::Uuid;

use super::{NodeKind, NodeRef};
use crate::{
    catalog::{signed, unsigned},
    filter::{Filter, Sql},
    governance::{
        audit::aggregate_types,
        entry::{Entry, GovernanceError},
        log_view::LogView,
    },
    row::{Column, Kind, Value, mark},
    storage::{quoted, table_name},
    table::Shape,
};

/// What a row was folded from.
pub(super) enum Origin {
    /// Streams.
    Streams(Vec<NodeRef>),
    /// Of an entry of a ledger the event that it was made of; of a row whose streams its columns do not name the last
    /// event that touched it.
    Event(Box<Entry>),
    /// There is no such row.
    Unknown,
}

impl LogView<'_> {
    /// What a row was folded from, by its columns.
    pub(super) async fn origin(&self, row: &NodeRef) -> Result<Origin, GovernanceError> {
        let bad = || GovernanceError::BadNode(row.to_string());
        let shape = self.projections.model(&row.r#type).map_err(|_| bad())?.shape();
        let parts: Vec<&str> = row.id.split('/').collect();
        if parts.len() != shape.key().len() {
            return Err(bad());
        }
        let key =
            shape.key().iter().zip(parts).map(|(column, part)| Some((column, column.kind.parse(part)?)));
        let key: Vec<(&Column, Value)> = key.collect::<Option<_>>().ok_or_else(bad)?;
        let Some((as_of, ids)) = self.row(shape, &key).await? else { return Ok(Origin::Unknown) };
        let position = match (&key[0].1, shape.ledger) {
            (Value::Integer(position), true) => unsigned(*position),
            _ => {
                let streams = self.streams(shape, &ids).await?;
                if !streams.is_empty() {
                    return Ok(Origin::Streams(streams));
                }
                as_of
            }
        };
        let entry = if position > self.until { None } else { self.entries(&[position]).await?.pop() };
        Ok(entry.map_or(Origin::Unknown, |entry| Origin::Event(Box::new(entry))))
    }

    /// The position of the last event that touched a row, and the identifiers in it that may be those of its streams.
    async fn row(
        &self,
        shape: &Shape,
        key: &[(&Column, Value)],
    ) -> Result<Option<(Position, Vec<Uuid>)>, GovernanceError> {
        let Some(table) = self.serving(shape).await? else { return Ok(None) };
        let wanted = |column: &&Column| match shape.options.stream_column {
            Some(name) => column.name == name,
            None => column.is(mark::key),
        };
        let ids: Vec<String> = (shape.columns.iter().filter(wanted))
            .filter(|column| column.kind == Kind::Uuid)
            .map(|column| quoted(column.name, '"'))
            .collect();
        let text = format!("SELECT as_of, ARRAY[{}]::uuid[] FROM {table} WHERE ", ids.join(", "));
        let mut sql = Sql::new(shape.columns, text);
        let same = key.iter().map(|(column, value)| Filter::Is(column.name, value.clone()));
        sql.filter(&Filter::Every(same.collect()));
        let Sql { text, params, .. } = sql;
        let mut statement = sqlx::query(&text);
        for param in params {
            statement = statement.bind(param);
        }
        let Some(row) = statement.fetch_optional(self.pool()).await? else { return Ok(None) };
        let ids: Vec<Option<Uuid>> = row.try_get(1)?;
        Ok(Some((unsigned(row.try_get(0)?), ids.into_iter().flatten().collect())))
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

    /// The rows of read models that fold one of these aggregates and are keyed by its id, each with its aggregate.
    pub(super) async fn rows_of(
        &self,
        aggregates: &[NodeRef],
    ) -> Result<Vec<(NodeRef, NodeRef)>, GovernanceError> {
        let mut found = Vec::new();
        for model in self.projections.models() {
            let shape = model.shape();
            let [column] = shape.key() else { continue };
            if column.kind != Kind::Uuid {
                continue;
            }
            let feeding: Vec<&NodeRef> =
                aggregates.iter().filter(|aggregate| shape.wants(&aggregate.r#type)).collect();
            if feeding.is_empty() {
                continue;
            }
            let Some(table) = self.serving(shape).await? else { continue };
            let ids: Vec<Uuid> = feeding.iter().filter_map(|aggregate| aggregate.id.parse().ok()).collect();
            let name = quoted(column.name, '"');
            let there: Vec<Uuid> =
                sqlx::query_scalar(&format!("SELECT {name} FROM {table} WHERE {name} = ANY($1) ORDER BY 1"))
                    .bind(ids)
                    .fetch_all(self.pool())
                    .await?;
            for id in there.iter().map(Uuid::to_string) {
                let row = NodeRef { kind: NodeKind::Row, r#type: shape.name.to_owned(), id };
                let feeding = feeding.iter().filter(|aggregate| aggregate.id == row.id);
                found.extend(feeding.map(|aggregate| ((*aggregate).clone(), row.clone())));
            }
        }
        Ok(found)
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
