//! The read side of the API: any read model listed, filtered, sorted and paged by its declared columns, for one actor.
//!
//! Names come from the declared columns alone and values are parameters, always.

mod as_of;
mod cursor;
mod path;
mod plan;
mod show;

use std::collections::BTreeSet;

use domain::Actor;
use event_store::{Ahead, AsOf, Position};
use sqlx::{Row as _, ValueRef};
use uuid::Uuid;

use crate::{
    Projections,
    catalog::unsigned,
    error::ProjectionError,
    filter::{Filter, Owned, Sql},
    identity::OrgDirectory,
    model::ReadModel,
    row::{Kind, Raw, RowKey, Value},
    storage::{open_rows, quoted, read_row, table_name},
    table::{Shape, Table},
};
pub(crate) use as_of::{fold_in_memory, to_json};
use path::Path;
use plan::Plan;
pub use plan::sees_positions;
use show::Shown;
pub use show::shown;

/// The rows of a page where the client does not say how many.
pub const LIMIT: usize = 50;
/// The most rows of a page.
pub const LIMIT_MAX: usize = 200;

/// How a column is compared with what the client wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Is this value, or one of these.
    In,
    /// Is at least this.
    AtLeast,
    /// Is at most this.
    AtMost,
    /// Has this element; or this text in it, whatever its case.
    Contains,
    /// Has all these words in it.
    Search,
}

/// One condition of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The column.
    pub column: String,
    /// How.
    pub op: Op,
    /// With what: one text, or several for [`Op::In`].
    pub values: Vec<String>,
}

/// What a client asks a read model.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// All of these must hold.
    pub filters: Vec<Condition>,
    /// Columns to sort by; `-column` is descending. The read model's own order where empty.
    pub sort: Vec<String>,
    /// How many rows, [`LIMIT`] where not said, at most [`LIMIT_MAX`].
    pub limit: Option<usize>,
    /// The cursor that the page before gave.
    pub after: Option<String>,
    /// Which columns; all where empty.
    pub fields: Vec<String>,
    /// As of which moment; now where not said.
    pub as_of: Option<AsOf>,
    /// The read model must have folded this position. Wait for it with [`Projections::wait_for`].
    pub min_position: Option<Position>,
}

/// Some rows.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows as JSON objects.
    pub rows: Vec<serde_json::Value>,
    /// The cursor of the next page, if there are more rows.
    pub next: Option<String>,
    /// The position in the log that the rows show.
    pub position: Position,
    /// Whose data was shown: for the access log.
    pub subjects: BTreeSet<Uuid>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is no read model of this name.
    #[error("there is no read model `{0}`")]
    UnknownModel(String),
    /// One cannot filter by this column, or not in this way.
    #[error("`{0}` is not a filter")]
    UnknownFilter(String),
    /// One cannot sort by this column.
    #[error("one cannot sort by `{0}`")]
    UnknownSort(String),
    /// There is no such column.
    #[error("there is no field `{0}`")]
    UnknownField(String),
    /// The column is there, and the actor does not get it.
    #[error("`{0}` is not for this caller")]
    Hidden(String),
    /// The value is not of the column's type.
    #[error("`{column}` takes a {expected}")]
    BadValue {
        /// The column.
        column: String,
        /// Its type in SQL.
        expected: &'static str,
    },
    /// The cursor is not one that this query gave.
    #[error("the cursor does not belong to this query")]
    BadCursor,
    /// The number of rows is 0 or beyond [`LIMIT_MAX`].
    #[error("a page has 1 to {LIMIT_MAX} rows")]
    BadLimit,
    /// The read model keeps no past, and was not built as of that moment.
    #[error("`{0}` keeps no past: it answers as of a moment for which it was built (annals-replay as-of)")]
    AsOfUnsupported(&'static str),
    /// The moment has not come yet.
    #[error(transparent)]
    AsOfAhead(#[from] Ahead),
    /// To answer as of that moment, more rows than the configured limit would have to be folded: ask for fewer.
    #[error("too many rows to fold as of that moment: name a row by its filter")]
    AsOfTooLarge,
    /// The read model has not come as far as was asked.
    #[error("the read model is at position {position}")]
    NotYet {
        /// Where it is.
        position: Position,
    },
    /// The read model is being built; no generation of it serves yet.
    #[error("`{0}` is being built")]
    NotBuilt(&'static str),
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] ProjectionError),
}

impl QueryError {
    /// Whether the database refused with one of these codes.
    fn is_database(&self, codes: &[&str]) -> bool {
        let QueryError::Failed(ProjectionError::Database(sqlx::Error::Database(error))) = self else {
            return false;
        };
        error.code().is_some_and(|code| codes.contains(&&*code))
    }
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        QueryError::Failed(error.into())
    }
}

impl From<event_store::StoreError> for QueryError {
    fn from(error: event_store::StoreError) -> Self {
        QueryError::Failed(error.into())
    }
}

/// The generation that this program reads: the one that serves, if it is of the version that this program knows; else
/// one that served. So the nodes of an earlier version go on answering while a later one is rolled out.
const READABLE: &str = "SELECT * FROM annals.projections
    WHERE name = $1 AND version = $2 AND (serving OR state IN ('retired', 'frozen'))
    ORDER BY serving DESC, generation DESC LIMIT 1";

fn version_of(shape: &Shape) -> Value {
    Value::from(i64::from(shape.version))
}

/// How many rows of another read model are told by their keys to a query that asks for what belongs to org units.
const TOLD: usize = 1000;

impl Projections {
    /// The rows of a read model that an actor may see and asks for.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn list(&self, name: &str, actor: &Actor, query: &Query) -> Result<Page, QueryError> {
        let model = self.known(name)?;
        let mut plan = Plan::new(model, actor, query)?;
        self.tell_units_below(&mut plan, query).await?;
        match query.as_of {
            Some(as_of) => self.list_as_of(model, actor, &plan, as_of).await,
            None => self.list_now(model, &plan, query.min_position).await,
        }
    }

    /// Whether a question can be asked at all.
    ///
    /// # Errors
    /// Those of [`Projections::list`] that do not depend on what is recorded.
    pub fn check(&self, name: &str, actor: &Actor, query: &Query) -> Result<(), QueryError> {
        Plan::new(self.known(name)?, actor, query).map(drop)
    }

    /// The row with this key (its parts in order), if there is one and the actor may see it.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn get(
        &self,
        name: &str,
        actor: &Actor,
        key: &[&str],
        query: &Query,
    ) -> Result<(Option<serde_json::Value>, Page), QueryError> {
        let model = self.known(name)?;
        let mut plan =
            Plan::new(model, actor, &Query { filters: Vec::new(), limit: Some(1), ..query.clone() })?;
        let columns = model.shape().key();
        if key.len() != columns.len() {
            return Err(QueryError::BadCursor);
        }
        for (column, part) in columns.iter().zip(key) {
            let value = column.kind.parse(part).ok_or_else(|| QueryError::BadValue {
                column: column.name.to_owned(),
                expected: column.kind.sql(),
            })?;
            plan.filter = plan.filter.and(Filter::Is(column.name, value));
        }
        self.tell_units_below(&mut plan, query).await?;
        let mut page = match query.as_of {
            Some(as_of) => self.list_as_of(model, actor, &plan, as_of).await?,
            None => self.list_now(model, &plan, query.min_position).await?,
        };
        Ok((page.rows.pop(), page))
    }

    /// Of the rows with these keys, from 1 to [`LIMIT_MAX`] of them, those that an actor may see, with the columns of a list;
    /// before them their keys in the same order. The read model must have folded the position.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn find(
        &self,
        name: &str,
        actor: &Actor,
        keys: &[RowKey],
        min_position: Position,
    ) -> Result<(Vec<RowKey>, Page), QueryError> {
        let model = self.known(name)?;
        let columns: Vec<&str> = model.shape().key().iter().map(|column| column.name).collect();
        let sort = columns.iter().map(|name| (*name).to_owned()).collect();
        let query =
            Query { sort, limit: Some(keys.len()), min_position: Some(min_position), ..Query::default() };
        let mut plan = Plan::new(model, actor, &query)?;
        if plan.filter == Filter::Nothing {
            let (rows, subjects) = (Vec::new(), BTreeSet::new());
            return Ok((Vec::new(), Page { rows, next: None, position: min_position, subjects }));
        }
        let length = columns.len();
        plan.filter = plan.filter.and(Filter::Keys(columns, keys.to_vec()));
        self.tell_units_below(&mut plan, &query).await?;
        let (rows, position) = self.rows_now(model, &plan, query.min_position).await?;
        let found = rows.iter().map(|row| row.values[..length].to_vec()).collect();
        Ok((found, plan.page(model.shape(), rows, position)))
    }

    fn known(&self, name: &str) -> Result<&'static dyn ReadModel, QueryError> {
        self.model(name).map_err(|_| QueryError::UnknownModel(name.to_owned()))
    }

    async fn tell_units_below(&self, plan: &mut Plan, query: &Query) -> Result<(), QueryError> {
        let asked = plan.filter.clone();
        // The past is filtered in memory, and so is what is disclosed.
        let told = query.as_of.is_none().then_some(TOLD);
        plan.filter = self.with_units_below(asked.clone(), &asked, told).await?;
        let disclosed = std::mem::replace(&mut plan.disclosed, Filter::Nothing);
        plan.disclosed = self.with_units_below(disclosed, &asked, None).await?;
        Ok(())
    }

    /// Tells a filter which org units are below those that it names, and what belongs to them, as it is now: also where the
    /// past is asked, for what somebody may see is a question of today. Of what belongs to them, no more is looked up than
    /// rows that are asked for can name: large units have many. And no more than `told` where there is such a bound: few are
    /// found by an index where they are told; of many, those that are needed are soon come by.
    pub(crate) async fn with_units_below(
        &self,
        filter: Filter,
        asked: &Filter,
        told: Option<usize>,
    ) -> Result<Filter, QueryError> {
        let units = filter.units();
        let (false, Ok(directory)) = (units.is_empty(), self.model(OrgDirectory::NAME)) else {
            return Ok(filter);
        };
        let (_, schema) = self.serving(directory, false).await?;
        let edges =
            include_str!("units_below.sql").replace("{table}", &table_name(directory.shape(), &schema));
        let edges: Vec<(Uuid, Uuid)> =
            sqlx::query_as(&edges).bind(units).fetch_all(self.0.store.pool()).await?;
        let filter = filter.told(&|units| {
            let below = edges.iter().filter(|(unit, _)| units.contains(unit)).map(|(_, below)| *below);
            units.iter().copied().chain(below).collect()
        });
        let mut found = Vec::new();
        for (column, owned, units) in filter.owned() {
            let owned_by = self.owned_by(column, owned, &units, asked.named(column), told).await?;
            found.push(((column, owned, units), owned_by));
        }
        Ok(filter.map(&|filter| match filter {
            Filter::BelowBy(column, owned, units) => {
                let of = (column, owned, units);
                let owned_by = found.iter().find(|(asked, _)| *asked == of);
                owned_by.map_or(Filter::Nothing, |(_, owned_by)| owned_by.clone())
            }
            other => other,
        }))
    }

    /// That a column names a row of a read model that belongs to one of these org units; of some of those rows only, where
    /// these are named.
    async fn owned_by(
        &self,
        column: &'static str,
        owned: Owned,
        units: &[Uuid],
        named: Option<Vec<Uuid>>,
        told: Option<usize>,
    ) -> Result<Filter, QueryError> {
        let mut ways = vec![owned];
        while let Some(by) = ways.last().and_then(|owned| owned.by) {
            ways.push(*by);
        }
        let mut owners = units.to_vec();
        for (left, owned) in ways.into_iter().enumerate().rev() {
            let model = self.known(owned.model)?;
            let (_, schema) = self.serving(model, true).await?;
            let (key, unit) = (quoted(owned.key, '"'), quoted(owned.unit, '"'));
            let table = table_name(model.shape(), &schema);
            let sql = format!("SELECT {key} FROM {table} WHERE {unit} = ANY ($1::uuid[])");
            let pool = self.0.store.pool();
            let most = told.filter(|_| left == 0 && named.is_none());
            let found: Vec<Uuid> = match (&named, most) {
                (Some(named), _) if left == 0 => {
                    let sql = format!("{sql} AND {key} = ANY ($2::uuid[])");
                    sqlx::query_scalar(&sql).bind(&owners).bind(named).fetch_all(pool).await?
                }
                (_, Some(most)) => {
                    let sql = format!("{sql} LIMIT {}", most + 1);
                    sqlx::query_scalar(&sql).bind(&owners).fetch_all(pool).await?
                }
                (_, None) => sqlx::query_scalar(&sql).bind(&owners).fetch_all(pool).await?,
            };
            if most.is_some_and(|most| found.len() > most) {
                return Ok(Filter::OwnedBy(column, owned, table, owners));
            }
            owners = found;
        }
        Ok(Filter::In(column, owners.into_iter().map(Value::from).collect()))
    }

    async fn list_now(
        &self,
        model: &'static dyn ReadModel,
        plan: &Plan,
        min_position: Option<Position>,
    ) -> Result<Page, QueryError> {
        let (rows, position) = self.rows_now(model, plan, min_position).await?;
        Ok(plan.page(model.shape(), rows, position))
    }

    /// The rows, and how far the read model is that has them.
    async fn rows_now(
        &self,
        model: &'static dyn ReadModel,
        plan: &Plan,
        min_position: Option<Position>,
    ) -> Result<(Vec<Shown>, Position), QueryError> {
        // Twice at most: which generation serves may just have changed, and then the answer says so.
        let mut fresh = false;
        loop {
            let (generation, schema) = self.serving(model, fresh).await?;
            let answered = self.ask(model, plan, &schema).await;
            let gone = answered.as_ref().is_err_and(|error| error.is_database(&["42P01"]));
            let (served_by, position, rows) = match answered {
                Err(_) if gone && !fresh => {
                    fresh = true;
                    continue;
                }
                answered => answered?,
            };
            if served_by != generation && !fresh {
                fresh = true;
                continue;
            }
            if min_position.is_some_and(|wanted| wanted > position) {
                return Err(QueryError::NotYet { position });
            }
            return Ok((rows, position));
        }
    }

    /// The rows of a page, and how far the read model is.
    async fn ask(
        &self,
        model: &'static dyn ReadModel,
        plan: &Plan,
        schema: &str,
    ) -> Result<(i32, Position, Vec<Shown>), QueryError> {
        let (first, second) = Path::of(model.shape(), plan);
        let answer = self.ask_by(model, plan, schema, first).await?;
        match second {
            Some(second) if answer.2.len() <= plan.limit => self.ask_by(model, plan, schema, second).await,
            Some(_) | None => Ok(answer),
        }
    }

    /// One statement, one snapshot.
    async fn ask_by(
        &self,
        model: &'static dyn ReadModel,
        plan: &Plan,
        schema: &str,
        path: Path,
    ) -> Result<(i32, Position, Vec<Shown>), QueryError> {
        let shape = model.shape();
        let mut sql = Sql::new(
            shape.columns,
            format!(
                "SELECT p.generation, coalesce(p.position, h.position), r.*
                 FROM ({READABLE}) p CROSS JOIN annals.projection_head h
                 LEFT JOIN LATERAL ("
            ),
        );
        sql.bind_now(Kind::Text, &shape.name.into()).bind_now(Kind::Int, &version_of(shape));
        path.select(shape, schema, plan, &mut sql);
        sql.push(&format!(") r ON true ORDER BY {}", plan.order_by()));
        let Sql { text, params, .. } = sql;
        // Which way is short depends on what is asked for: of a large table, a plan for any value is of no use.
        let any = path == Path::Order && shape.options.places.is_empty();
        let mut statement = sqlx::query(&text).persistent(any);
        for param in params {
            statement = statement.bind(param);
        }
        let found = statement.fetch_all(self.0.store.pool()).await?;
        let Some(first) = found.first() else { return Err(QueryError::NotBuilt(shape.name)) };
        let generation: i32 = first.try_get(0)?;
        let position = unsigned(first.try_get(1)?);
        let as_of = 2 + shape.columns.len();
        let mut rows = Vec::with_capacity(found.len());
        for row in &found {
            if row.try_get_raw(as_of)?.is_null() {
                continue;
            }
            let cell = |index: usize| {
                let value = row.try_get_raw(index + 2).map_err(|_| crate::row::WrongKind("column"))?;
                if value.is_null() {
                    return Ok(Raw(None));
                }
                value.as_bytes().map(|bytes| Raw(Some(bytes))).map_err(|_| crate::row::WrongKind("column"))
            };
            rows.push(read_row(shape, cell).map_err(ProjectionError::from)?);
        }
        let rows = open_rows(shape, rows, self.0.store.keyring()).await?;
        Ok((generation, position, rows.into_iter().map(Shown::from).collect()))
    }

    /// The generation that serves, as this process knows it or, asked freshly, as the database does.
    pub(crate) async fn serving(
        &self,
        model: &'static dyn ReadModel,
        fresh: bool,
    ) -> Result<(i32, String), QueryError> {
        let name = model.shape().name;
        if !fresh {
            let known = self.0.serving.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(known) = known.get(name) {
                return Ok(known.clone());
            }
        }
        let serving: Option<(i32, String)> =
            sqlx::query_as(&format!("SELECT p.generation, p.schema_name FROM ({READABLE}) p"))
                .bind(name)
                .bind(model.shape().version as i32)
                .fetch_optional(self.0.store.pool())
                .await?;
        let serving = serving.ok_or(QueryError::NotBuilt(name))?;
        let mut known = self.0.serving.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.insert(name, serving.clone());
        Ok(serving)
    }
}
