//! Which rows: what a client asks for and what an actor may see, in SQL and in memory.

use domain::Actor;
use uuid::Uuid;

use crate::{
    row::{Column, Kind, Param, RowKey, Value},
    storage::{FOLDING, places, quoted, search_vector},
};

/// A condition on the columns of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every row.
    All,
    /// No row.
    Nothing,
    /// The column has this value.
    Is(&'static str, Value),
    /// The column has one of these values; the list in it has one of them as an element.
    In(&'static str, Vec<Value>),
    /// The column has at least this value.
    AtLeast(&'static str, Value),
    /// The column has at most this value.
    AtMost(&'static str, Value),
    /// The list in the column has this element; a text contains this text, whatever its case.
    Contains(&'static str, Value),
    /// All words of this text occur in the column.
    Search(&'static str, String),
    /// The column, or the list in it, names one of these org units, or one below them. Which ones those are, the org
    /// directory tells before a query is asked; until then it is these alone.
    Below(&'static str, Vec<Uuid>),
    /// The column names a row of another read model that belongs to one of these org units, or to one below them. Told like
    /// [`Filter::Below`]; until then no row fits.
    BelowBy(&'static str, Owned, Vec<Uuid>),
    /// The same where those rows are so many that the database looks them up one by one, as it comes to rows that name them:
    /// of the table with this name, those that belong to one of these. In memory no row fits.
    OwnedBy(&'static str, Owned, String, Vec<Uuid>),
    /// The columns together have one of these combinations of values.
    Keys(Vec<&'static str>, Vec<RowKey>),
    /// At least one of these conditions holds.
    Any(Vec<Filter>),
    /// All of these conditions hold.
    Every(Vec<Filter>),
}

/// Where it stands to which org unit the rows of another read model belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The read model.
    pub model: &'static str,
    /// The column that is its key.
    pub key: &'static str,
    /// The column that names the org unit, or what belongs to one.
    pub unit: &'static str,
    /// Of which read model that is a row, where it is no org unit.
    pub by: Option<&'static Owned>,
}

impl Filter {
    /// All rows for an actor that holds this scope, else none.
    pub fn all_with(actor: &Actor, scope: &str) -> Filter {
        if actor.has(scope) { Filter::All } else { Filter::Nothing }
    }

    /// The rows whose column names the acting person.
    pub fn own(actor: &Actor, column: &'static str) -> Filter {
        actor.account().map_or(Filter::Nothing, |account| Filter::Is(column, account.into()))
    }

    /// The rows of the org units within which the actor holds this scope, and of those below them; all of them if it is
    /// held everywhere.
    pub fn within(actor: &Actor, scope: &str, column: &'static str) -> Filter {
        if actor.has_within(scope, &[]) {
            return Filter::All;
        }
        let units = actor.units_with(scope);
        if units.is_empty() { Filter::Nothing } else { Filter::Below(column, units) }
    }

    /// The rows that name a row of another read model which belongs to an org unit within which the actor holds this scope,
    /// or to one below; all of them if it is held everywhere.
    pub fn within_by(actor: &Actor, scope: &str, column: &'static str, owned: Owned) -> Filter {
        match Filter::within(actor, scope, column) {
            Filter::Below(column, units) => Filter::BelowBy(column, owned, units),
            other => other,
        }
    }

    /// With each of its single conditions changed.
    pub(crate) fn map(self, change: &impl Fn(Filter) -> Filter) -> Filter {
        let all = |filters: Vec<Filter>| filters.into_iter().map(|filter| filter.map(change)).collect();
        match self {
            Filter::Any(filters) => Filter::Any(all(filters)),
            Filter::Every(filters) => Filter::Every(all(filters)),
            one => change(one),
        }
    }

    /// With every [`Filter::Below`] told by name: `below` gives some units and all that are below them.
    pub(crate) fn told(self, below: &impl Fn(&[Uuid]) -> Vec<Uuid>) -> Filter {
        self.map(&|filter| match filter {
            Filter::Below(column, units) => {
                Filter::In(column, below(&units).into_iter().map(Value::from).collect())
            }
            Filter::BelowBy(column, owned, units) => Filter::BelowBy(column, owned, below(&units)),
            other => other,
        })
    }

    /// Which rows of other read models it asks for, by their org units, and in which column they are named.
    pub(crate) fn owned(&self) -> Vec<(&'static str, Owned, Vec<Uuid>)> {
        match self {
            Filter::BelowBy(column, owned, units) => vec![(*column, *owned, units.clone())],
            Filter::Any(filters) | Filter::Every(filters) => filters.iter().flat_map(Filter::owned).collect(),
            _ => Vec::new(),
        }
    }

    /// What it asks of words, and the rest of it: rows fit where both hold.
    pub(crate) fn parted(&self) -> (Filter, Filter) {
        match self {
            Filter::Search(..) => (self.clone(), Filter::All),
            Filter::Every(filters) => filters
                .iter()
                .map(Filter::parted)
                .fold((Filter::All, Filter::All), |(words, rest), (more_words, more)| {
                    (words.and(more_words), rest.and(more))
                }),
            Filter::All
            | Filter::Nothing
            | Filter::Is(..)
            | Filter::In(..)
            | Filter::Below(..)
            | Filter::BelowBy(..)
            | Filter::OwnedBy(..)
            | Filter::Keys(..)
            | Filter::AtLeast(..)
            | Filter::AtMost(..)
            | Filter::Contains(..)
            | Filter::Any(..) => (Filter::All, self.clone()),
        }
    }

    /// Whether it asks for words.
    pub(crate) fn has_words(&self) -> bool {
        self.parted().0 != Filter::All
    }

    /// The conditions that must all hold.
    fn conditions(&self) -> Vec<&Filter> {
        match self {
            Filter::Every(filters) => filters.iter().flat_map(Filter::conditions).collect(),
            one => vec![one],
        }
    }

    /// The only ids that its rows can have in a column, where it names them.
    pub(crate) fn named(&self, column: &str) -> Option<Vec<Uuid>> {
        let id = |value: &Value| if let Value::Uuid(id) = value { Some(*id) } else { None };
        self.conditions().into_iter().find_map(|condition| match condition {
            Filter::Is(name, value) if *name == column => id(value).map(|id| vec![id]),
            Filter::In(name, values) if *name == column => values.iter().map(id).collect(),
            Filter::Keys(names, keys) => {
                let index = names.iter().position(|name| *name == column)?;
                keys.iter().map(|key| id(key.get(index)?)).collect()
            }
            _ => None,
        })
    }

    /// Its conditions on a column's order.
    pub(crate) fn on(&self, column: &str) -> Vec<&Filter> {
        let about = |filter: &&Filter| matches!(filter, Filter::Is(name, _) | Filter::AtLeast(name, _) | Filter::AtMost(name, _) if *name == column);
        self.conditions().into_iter().filter(about).collect()
    }

    /// Whether it asks for something that rows are marked with ([`places`]).
    pub(crate) fn has_marks(&self, columns: &[Column]) -> bool {
        self.conditions().into_iter().any(|condition| condition.mark(columns).is_some())
    }

    /// What it asks of marks, and the rest of it: rows fit where both hold.
    pub(crate) fn sifted(&self, columns: &[Column]) -> (Filter, Filter) {
        let mut parts = (Filter::All, Filter::All);
        for condition in self.conditions() {
            let part = if condition.mark(columns).is_some() { &mut parts.0 } else { &mut parts.1 };
            *part = std::mem::replace(part, Filter::All).and(condition.clone());
        }
        parts
    }

    /// The column and the value that all its rows are marked with.
    fn mark(&self, columns: &[Column]) -> Option<(Column, Value)> {
        let (name, value) = match self {
            Filter::Is(name, value) | Filter::Contains(name, value) => (*name, value.clone()),
            Filter::Search(name, words) => (*name, Value::Text(words.clone())),
            _ => return None,
        };
        let column = columns.iter().find(|column| column.name == name)?;
        let is_list = matches!(column.kind, Kind::Texts | Kind::Uuids);
        let marked = match self {
            Filter::Search(..) => true,
            // A part of a text is no mark.
            Filter::Contains(..) => places::is_marked(column) && is_list,
            _ => places::is_marked(column) && !is_list,
        };
        marked.then_some((*column, value))
    }

    /// `SELECT`s the marks of all its rows.
    pub(crate) fn marks(&self, sql: &mut Sql<'_>) {
        let marks: Vec<_> =
            self.conditions().into_iter().filter_map(|one| Some((one, one.mark(sql.columns)?))).collect();
        for (index, (condition, (column, value))) in marks.into_iter().enumerate() {
            sql.push(if index == 0 { "SELECT " } else { " UNION ALL SELECT " }).push(&places::label(&column));
            if let Filter::Search(..) = condition {
                sql.push(" || lexeme FROM unnest(to_tsvector('simple', ");
                sql.folded(|sql| sql.bind(Kind::Text, &value)).push("))");
                continue;
            }
            sql.push(" || ").bind(column.kind.element(), &value);
        }
    }

    /// Appends that there are words in what is searched for: what has none finds nothing.
    pub(crate) fn worded(&self, sql: &mut Sql<'_>) {
        for condition in self.conditions() {
            if let Filter::Search(_, words) = condition {
                sql.push(" AND numnode(plainto_tsquery('simple', ");
                sql.folded(|sql| sql.bind(Kind::Text, &Value::Text(words.clone()))).push(")) > 0");
            }
        }
    }

    /// The org units of all its [`Filter::Below`].
    pub(crate) fn units(&self) -> Vec<Uuid> {
        match self {
            Filter::Below(_, units) | Filter::BelowBy(_, _, units) => units.clone(),
            Filter::Any(filters) | Filter::Every(filters) => filters.iter().flat_map(Filter::units).collect(),
            Filter::All
            | Filter::Nothing
            | Filter::Is(..)
            | Filter::In(..)
            | Filter::OwnedBy(..)
            | Filter::Keys(..)
            | Filter::AtLeast(..)
            | Filter::AtMost(..)
            | Filter::Contains(..)
            | Filter::Search(..) => Vec::new(),
        }
    }

    /// This condition or another one.
    pub fn or(self, other: Filter) -> Filter {
        match (self, other) {
            (Filter::All, _) | (_, Filter::All) => Filter::All,
            (Filter::Nothing, other) | (other, Filter::Nothing) => other,
            (one, other) => Filter::Any(vec![one, other]),
        }
    }

    /// This condition and another one.
    pub fn and(self, other: Filter) -> Filter {
        match (self, other) {
            (Filter::Nothing, _) | (_, Filter::Nothing) => Filter::Nothing,
            (Filter::All, other) | (other, Filter::All) => other,
            (one, other) => Filter::Every(vec![one, other]),
        }
    }

    /// Whether a row fits, as the SQL of the same condition would say.
    pub(crate) fn holds(&self, columns: &[Column], row: &[Value]) -> bool {
        let cell = |name: &str| {
            columns.iter().position(|column| column.name == name).map_or(&Value::Null, |index| &row[index])
        };
        match self {
            Filter::All => true,
            Filter::Nothing => false,
            Filter::Is(name, value) => value.order(cell(name)).is_some_and(|order| order.is_eq()),
            Filter::In(name, values) => values.iter().any(|value| names(cell(name), value)),
            Filter::Below(name, units) => units.iter().any(|unit| names(cell(name), &Value::Uuid(*unit))),
            Filter::BelowBy(..) | Filter::OwnedBy(..) => false,
            Filter::Keys(names, keys) => {
                keys.iter().any(|key| names.iter().zip(key).all(|(name, value)| cell(name) == value))
            }
            Filter::AtLeast(name, value) => cell(name).order(value).is_some_and(|order| order.is_ge()),
            Filter::AtMost(name, value) => cell(name).order(value).is_some_and(|order| order.is_le()),
            Filter::Contains(name, value) => match (cell(name), value) {
                (Value::Texts(texts), Value::Text(text)) => texts.contains(text),
                (Value::Uuids(ids), Value::Uuid(id)) => ids.contains(id),
                (Value::Text(all), Value::Text(part)) => all.to_lowercase().contains(&part.to_lowercase()),
                _ => false,
            },
            Filter::Search(name, words) => match cell(name) {
                Value::Text(text) => {
                    let text = text.to_lowercase();
                    let mut all = text.split(|letter: char| !letter.is_alphanumeric());
                    let wanted: Vec<String> =
                        words.to_lowercase().split_whitespace().map(str::to_owned).collect();
                    let present: Vec<&str> = all.by_ref().collect();
                    wanted.iter().all(|word| present.contains(&word.as_str()))
                }
                _ => false,
            },
            Filter::Any(filters) => filters.iter().any(|filter| filter.holds(columns, row)),
            Filter::Every(filters) => filters.iter().all(|filter| filter.holds(columns, row)),
        }
    }
}

/// Whether it is this value, or a list that has it as an element.
fn names(cell: &Value, value: &Value) -> bool {
    match (cell, value) {
        (Value::Texts(texts), Value::Text(text)) => texts.contains(text),
        (Value::Uuids(ids), Value::Uuid(id)) => ids.contains(id),
        (cell, value) => value.order(cell).is_some_and(|order| order.is_eq()),
    }
}

/// A statement under construction. Values are parameters, always; names come from the declared columns alone.
pub(crate) struct Sql<'a> {
    columns: &'a [Column],
    pub(crate) text: String,
    pub(crate) params: Vec<Param>,
}

impl<'a> Sql<'a> {
    pub(crate) fn new(columns: &'a [Column], text: String) -> Self {
        Sql { columns, text, params: Vec::new() }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends `$n` and binds the value to it.
    pub(crate) fn bind(&mut self, kind: Kind, value: &Value) -> &mut Self {
        self.params.push(Param::new(kind, value));
        let number = self.params.len();
        self.text.push_str(&format!("${number}::{}", kind.sql()));
        self
    }

    /// Binds the next `$n`, which already stands in the text.
    pub(crate) fn bind_now(&mut self, kind: Kind, value: &Value) -> &mut Self {
        self.params.push(Param::new(kind, value));
        self
    }

    pub(crate) fn filter(&mut self, filter: &Filter) -> &mut Self {
        match filter {
            Filter::All => self.push("true"),
            Filter::Nothing | Filter::BelowBy(..) => self.push("false"),
            Filter::Is(name, value) => self.compare(name, "=", value),
            Filter::AtLeast(name, value) => self.compare(name, ">=", value),
            Filter::AtMost(name, value) => self.compare(name, "<=", value),
            Filter::Below(name, units) => {
                let units = units.iter().copied().map(Value::from).collect();
                self.filter(&Filter::In(name, units))
            }
            Filter::In(_, values) if values.is_empty() => self.push("false"),
            Filter::In(name, values) => {
                let Some(kind) = self.column(name) else { return self.push("false") };
                let all = self.list(kind.element(), values);
                match kind {
                    Kind::Texts | Kind::Uuids => self.push(&format!("\"{name}\" && {all}")),
                    _ => self.push(&format!("\"{name}\" = ANY({all})")),
                }
            }
            Filter::OwnedBy(name, owned, table, owners) => {
                if self.column(name).is_none() {
                    return self.push("false");
                }
                let owners: Vec<Value> = owners.iter().copied().map(Value::from).collect();
                let owners = self.list(Kind::Uuid, &owners);
                let (key, unit) = (quoted(owned.key, '"'), quoted(owned.unit, '"'));
                // Under names that no column has: what is compared with them is the row's that is asked for. `IN` would be
                // worse: beside another condition it is no join, and compares with one row after the other.
                self.push(&format!(
                    "EXISTS (SELECT FROM (SELECT {key} AS \"its.key\", {unit} AS \"its.unit\" FROM {table}) owned
                     WHERE \"its.key\" = \"{name}\" AND \"its.unit\" = ANY({owners}))"
                ))
            }
            Filter::Keys(names, keys) => {
                let kinds: Option<Vec<Kind>> = names.iter().map(|name| self.column(name)).collect();
                let Some(kinds) = kinds else { return self.push("false") };
                let part = |key: &RowKey, index: usize| key.get(index).cloned().unwrap_or(Value::Null);
                let lists = kinds.into_iter().enumerate().map(|(index, kind)| {
                    let values: Vec<Value> = keys.iter().map(|key| part(key, index)).collect();
                    self.list(kind, &values)
                });
                let lists = lists.collect::<Vec<_>>().join(", ");
                let names = names.iter().map(|name| quoted(name, '"')).collect::<Vec<_>>().join(", ");
                self.push(&format!("({names}) IN (SELECT * FROM unnest({lists}))"))
            }
            Filter::Contains(name, value) => match self.column(name) {
                Some(Kind::Texts) => {
                    self.push(&format!("\"{name}\" @> ARRAY[")).bind(Kind::Text, value).push("]")
                }
                Some(Kind::Uuids) => {
                    self.push(&format!("\"{name}\" @> ARRAY[")).bind(Kind::Uuid, value).push("]")
                }
                Some(Kind::Text) => {
                    self.push("position(").folded(|sql| sql.bind(Kind::Text, value)).push(" IN ");
                    self.folded(|sql| sql.push(&quoted(name, '"'))).push(") > 0")
                }
                Some(_) | None => self.push("false"),
            },
            Filter::Search(name, words) => match self.column(name) {
                Some(Kind::Text) => {
                    let words = Value::Text(words.clone());
                    self.push(&search_vector(name)).push(" @@ plainto_tsquery('simple', ");
                    self.folded(|sql| sql.bind(Kind::Text, &words)).push(")")
                }
                Some(_) | None => self.push("false"),
            },
            Filter::Any(filters) => self.joined(filters, " OR ", "false"),
            Filter::Every(filters) => self.joined(filters, " AND ", "true"),
        }
    }

    /// Binds a list, and gives what it is called in the text.
    pub(crate) fn list(&mut self, kind: Kind, values: &[Value]) -> String {
        let mut array = crate::row::ColumnArray::new(kind);
        values.iter().for_each(|value| array.push(value));
        self.params.push(array.finish());
        format!("${}::{}", self.params.len(), kind.array_sql())
    }

    /// Without regard to case.
    fn folded(&mut self, text: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        text(self.push("lower(")).push(&format!(" COLLATE {FOLDING})"))
    }

    fn joined(&mut self, filters: &[Filter], word: &str, empty: &str) -> &mut Self {
        if filters.is_empty() {
            return self.push(empty);
        }
        for (index, filter) in filters.iter().enumerate() {
            self.push(if index == 0 { "(" } else { word }).filter(filter);
        }
        self.push(")")
    }

    fn compare(&mut self, name: &str, operator: &str, value: &Value) -> &mut Self {
        match self.column(name) {
            Some(kind) => self.push(&format!("\"{name}\" {operator} ")).bind(kind, value),
            None => self.push("false"),
        }
    }

    /// The kind of a column. A column that is not there has no value, so no condition on it holds.
    fn column(&self, name: &str) -> Option<Kind> {
        self.columns.iter().find(|column| column.name == name).map(|column| column.kind)
    }
}
