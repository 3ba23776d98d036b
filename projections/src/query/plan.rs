//! A query held against the declared columns.

use std::cmp::Ordering;

use domain::Actor;

use super::{Condition, LIMIT, LIMIT_MAX, Op, Page, Query, QueryError, cursor::Cursor, show::Shown};
use crate::{
    filter::{Filter, Sql},
    model::ReadModel,
    row::{Column, Kind, Value, mark},
    storage::quoted,
    table::Shape,
};

/// One column of the order.
#[derive(Clone, Copy)]
pub(super) struct Sort {
    pub(super) column: &'static Column,
    index: usize,
    pub(super) descending: bool,
}

#[derive(Clone)]
pub(super) struct Plan {
    pub(super) filter: Filter,
    pub(super) sort: Vec<Sort>,
    pub(super) limit: usize,
    after: Option<Vec<Value>>,
    /// The columns that are shown, by name.
    fields: Vec<&'static str>,
    /// Rows of which more is shown.
    pub(super) disclosed: Filter,
    /// The columns that are shown of those.
    more: Vec<&'static str>,
    /// What the client's own filters say of the stream column.
    pub(super) streams: Option<Vec<uuid::Uuid>>,
}

impl Plan {
    pub(super) fn new(
        model: &'static dyn ReadModel,
        actor: &Actor,
        query: &Query,
    ) -> Result<Plan, QueryError> {
        let shape = model.shape();
        let always = always_hidden(actor);
        let hidden = [model.hidden(actor), always].concat();
        let disclosed = model.disclosed(actor);
        let more = if disclosed == Filter::Nothing { &hidden } else { always };
        let more = fields(shape, more, &query.fields)?;
        let fields = more.iter().copied().filter(|name| !hidden.contains(name)).collect();
        let limit = query.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(QueryError::BadLimit);
        }
        let mut filter = visible(model, actor);
        let mut streams = None;
        for condition in &query.filters {
            let (column, values) = admit(shape, &hidden, condition)?;
            if shape.options.stream_column == Some(column.name) && condition.op == Op::In {
                streams = Some(values.iter().filter_map(uuid_of).collect());
            }
            filter = filter.and(condition_on(column, condition, values));
        }
        let sort = order(shape, &hidden, &query.sort)?;
        let after = match &query.after {
            Some(cursor) => Some(Cursor::read(shape, &sort, cursor).ok_or(QueryError::BadCursor)?),
            None => None,
        };
        Ok(Plan { filter, sort, limit, after, fields, disclosed, more, streams })
    }

    /// What comes after this row.
    pub(super) fn after(mut self, row: &Shown) -> Plan {
        self.after = Some(self.place(row));
        self
    }

    /// Where a row stands in the order.
    fn place(&self, row: &Shown) -> Vec<Value> {
        self.sort.iter().map(|sort| row.values[sort.index].clone()).collect()
    }

    /// `ORDER BY`. Nulls stand last in both directions.
    pub(super) fn order_by(&self) -> String {
        let columns = self.sort.iter().map(|sort| {
            let name = quoted(sort.column.name, '"');
            match (sort.descending, sort.column.nullable) {
                (false, _) => name,
                (true, true) => format!("{name} DESC NULLS LAST"),
                (true, false) => format!("{name} DESC"),
            }
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Whether the order of the page has places, and something is asked for that rows are marked with.
    pub(super) fn has_places(&self, shape: &Shape) -> bool {
        let first = self.sort.first().map(|sort| sort.column.name);
        first.is_some_and(|first| shape.options.places.contains(&first))
            && self.filter.has_marks(shape.columns)
    }

    /// What cursor and filter say of the first column of the order.
    pub(super) fn bounds(&self, sql: &mut Sql<'_>) {
        let Some(first) = self.sort.first() else { return };
        for filter in self.filter.on(first.column.name) {
            sql.push(" AND ").filter(filter);
        }
        self.onward(sql);
    }

    /// The first column does not turn back: an index is entered where the page before ended.
    fn onward(&self, sql: &mut Sql<'_>) {
        if let (Some(first), Some([value, ..])) = (self.sort.first(), self.after.as_deref())
            && !first.column.nullable
        {
            let name = quoted(first.column.name, '"');
            let operator = if first.descending { "<=" } else { ">=" };
            sql.push(&format!(" AND {name} {operator} ")).bind(first.column.kind, value);
        }
    }

    /// The rows after the cursor: those that are greater in the first column, or equal there and greater in the second …
    pub(super) fn keyset(&self, sql: &mut Sql<'_>) {
        let (Some(after), Some(first)) = (&self.after, self.sort.first()) else { return };
        if self.sort.iter().all(|sort| sort.descending == first.descending && !sort.column.nullable) {
            // An index is entered at this very row.
            let names = self.sort.iter().map(|sort| quoted(sort.column.name, '"')).collect::<Vec<_>>();
            let operator = if first.descending { "<" } else { ">" };
            sql.push(&format!(" AND ({}) {operator} (", names.join(", ")));
            for (index, (sort, value)) in self.sort.iter().zip(after).enumerate() {
                sql.push(if index == 0 { "" } else { ", " }).bind(sort.column.kind, value);
            }
            sql.push(")");
            return;
        }
        self.onward(sql);
        sql.push(" AND (");
        for (length, (sort, value)) in self.sort.iter().zip(after).enumerate() {
            sql.push(if length == 0 { "(" } else { " OR (" });
            for (sort, value) in self.sort[..length].iter().zip(after) {
                let name = quoted(sort.column.name, '"');
                match value {
                    Value::Null => sql.push(&format!("{name} IS NULL AND ")),
                    value => sql.push(&format!("{name} = ")).bind(sort.column.kind, value).push(" AND "),
                };
            }
            let name = quoted(sort.column.name, '"');
            match value {
                // Nothing comes after the nulls.
                Value::Null => sql.push("false"),
                value => {
                    sql.push(&format!("({name} {} ", if sort.descending { "<" } else { ">" }));
                    sql.bind(sort.column.kind, value);
                    if sort.column.nullable {
                        sql.push(&format!(" OR {name} IS NULL"));
                    }
                    sql.push(")")
                }
            };
            sql.push(")");
        }
        sql.push(")");
    }

    /// The order of two rows, as `ORDER BY` has it.
    fn compare(&self, one: &[Value], other: impl Fn(usize, &Sort) -> Value) -> Ordering {
        for (number, sort) in self.sort.iter().enumerate() {
            let (a, b) = (&one[sort.index], other(number, sort));
            let order = match (a, &b) {
                (Value::Null, Value::Null) => Ordering::Equal,
                (Value::Null, _) => Ordering::Greater,
                (_, Value::Null) => Ordering::Less,
                (a, b) => {
                    let order = a.order(b).unwrap_or(Ordering::Equal);
                    if sort.descending { order.reverse() } else { order }
                }
            };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }

    /// Filters, sorts and cuts rows in memory, as SQL would: one more than a page, if there are so many.
    pub(super) fn select(&self, shape: &Shape, rows: Vec<Shown>) -> Vec<Shown> {
        let mut rows: Vec<Shown> = rows
            .into_iter()
            .filter(|row| self.filter.holds(shape.columns, &row.values))
            .filter(|row| match &self.after {
                Some(after) => self.compare(&row.values, |number, _| after[number].clone()).is_gt(),
                None => true,
            })
            .collect();
        rows.sort_by(|one, other| self.compare(&one.values, |_, sort| other.values[sort.index].clone()));
        rows
    }

    /// The rows as a client gets them; one more than fits means that there is a next page.
    pub(super) fn page(&self, shape: &Shape, mut rows: Vec<Shown>, position: u64) -> Page {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more);
        let next = next.and_then(|last| Cursor::write(shape, &self.sort, self.place(last)));
        let subjects =
            rows.iter().flat_map(|row| row.subjects.iter().copied().chain(row.named(shape))).collect();
        let fields = |row: &Shown| match self.disclosed.holds(shape.columns, &row.values) {
            true => &self.more,
            false => &self.fields,
        };
        let rows = rows.into_iter().map(|row| row.to_json(shape, fields(&row))).collect();
        Page { rows, next, position, subjects }
    }
}

impl std::fmt::Display for Sort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.descending { "-" } else { "" })?;
        f.write_str(self.column.name)
    }
}

/// The rows that an actor may see: by their roles, as whose they are, or by a permission on what they show.
fn visible(model: &dyn ReadModel, actor: &Actor) -> Filter {
    let permitted = model.shape().options.resource.map_or(Filter::Nothing, |(resource_type, column)| {
        let ids = actor.readable(resource_type);
        if ids.is_empty() {
            return Filter::Nothing;
        }
        Filter::In(column, ids.into_iter().map(Value::from).collect())
    });
    model.visible(actor).or(permitted)
}

/// Whether an actor is told where in the log rows are: not who reads as an analyst. There `read.audit_trail` names people by
/// pseudonym, and whoever had the position of a row that names them would know whose it is.
pub fn sees_positions(actor: &Actor) -> bool {
    !actor.has("read:analytics") || actor.has("read:audit")
}

/// What no read model shows an actor of any row.
fn always_hidden(actor: &Actor) -> &'static [&'static str] {
    if sees_positions(actor) { &[] } else { &["as_of"] }
}

fn uuid_of(value: &Value) -> Option<uuid::Uuid> {
    match value {
        Value::Uuid(id) => Some(*id),
        _ => None,
    }
}

fn admit(
    shape: &Shape,
    hidden: &[&str],
    condition: &Condition,
) -> Result<(&'static Column, Vec<Value>), QueryError> {
    let unknown = || QueryError::UnknownFilter(condition.column.clone());
    let column = shape.column(&condition.column).ok_or_else(unknown)?;
    shown(hidden, column.name)?;
    let list = matches!(column.kind, Kind::Texts | Kind::Uuids);
    let admitted = match condition.op {
        Op::In => column.is(mark::filter | mark::key) && !list,
        Op::AtLeast | Op::AtMost => {
            column.is(mark::filter | mark::key) && !list && !matches!(column.kind, Kind::Bool | Kind::Json)
        }
        Op::Contains => column.is(mark::filter) && (list || column.kind == Kind::Text),
        Op::Search => column.is(mark::search) && column.kind == Kind::Text,
    };
    if !admitted || condition.values.is_empty() || (condition.op != Op::In && condition.values.len() > 1) {
        return Err(unknown());
    }
    let values = condition.values.iter().map(|text| column.kind.parse(text)).collect::<Option<Vec<_>>>();
    let bad = || QueryError::BadValue { column: column.name.to_owned(), expected: column.kind.sql() };
    Ok((column, values.ok_or_else(bad)?))
}

fn condition_on(column: &'static Column, condition: &Condition, mut values: Vec<Value>) -> Filter {
    let name = column.name;
    let Some(first) = values.pop() else { return Filter::Nothing };
    match condition.op {
        Op::In if values.is_empty() => Filter::Is(name, first),
        Op::In => {
            values.push(first);
            Filter::In(name, values)
        }
        Op::AtLeast => Filter::AtLeast(name, first),
        Op::AtMost => Filter::AtMost(name, first),
        Op::Contains => Filter::Contains(name, first),
        Op::Search => Filter::Search(name, condition.values[0].clone()),
    }
}

/// The columns to sort by, completed by the key in the direction of the last one: a total order, without which pages would
/// overlap, and one that an index has, be it read backwards.
fn order(shape: &Shape, hidden: &[&str], asked: &[String]) -> Result<Vec<Sort>, QueryError> {
    let own = shape.options.sort.iter().copied();
    let names: Vec<&str> =
        if asked.is_empty() { own.collect() } else { asked.iter().map(String::as_str).collect() };
    let mut sort: Vec<Sort> = Vec::new();
    for name in names {
        let (descending, bare) = name.strip_prefix('-').map_or((false, name), |bare| (true, bare));
        let found = shape.columns.iter().position(|column| column.name == bare);
        let found =
            found.filter(|index| asked.is_empty() || shape.columns[*index].is(mark::sort | mark::key));
        let index = found.ok_or_else(|| QueryError::UnknownSort(bare.to_owned()))?;
        shown(hidden, bare)?;
        if sort.iter().all(|sort| sort.index != index) {
            sort.push(Sort { column: &shape.columns[index], index, descending });
        }
    }
    let descending = sort.last().is_some_and(|last| last.descending);
    for (index, column) in shape.key().iter().enumerate() {
        if sort.iter().all(|sort| sort.index != index) {
            sort.push(Sort { column, index, descending });
        }
    }
    Ok(sort)
}

/// The names of what is shown: columns, personal fields, and `as_of`.
fn fields(shape: &Shape, hidden: &[&str], asked: &[String]) -> Result<Vec<&'static str>, QueryError> {
    let all = shape.columns.iter().map(|column| column.name);
    let all = all.chain(shape.personal.iter().map(|column| column.name)).chain(["as_of"]);
    if asked.is_empty() {
        return Ok(all.filter(|name| !hidden.contains(name)).collect());
    }
    let all: Vec<&'static str> = all.collect();
    let known = |name: &String| {
        let found = all.iter().copied().find(|known| known == name);
        let found = found.ok_or_else(|| QueryError::UnknownField(name.clone()))?;
        shown(hidden, found).map(|()| found)
    };
    asked.iter().map(known).collect()
}

/// What is documented and not for this caller is refused, not denied.
fn shown(hidden: &[&str], name: &str) -> Result<(), QueryError> {
    if hidden.contains(&name) { Err(QueryError::Hidden(name.to_owned())) } else { Ok(()) }
}
