//! Marks by place: what finds rows of a large table in the order of a page.
//!
//! An index of words gives all rows that hold them, and not the first ones; the index of an order gives the first rows, and
//! not which of them hold the words. Where words gather far from the beginning, either way reads half of the table. So the
//! words of a row, and its values that can be asked for, are its marks, and they are indexed together with the place of the
//! row in the order: the week of its deadline, the first two digits of its award. A page goes from place to place, asks the
//! index for each, and ends where it is full.

use crate::{
    row::{Column, Kind, mark},
    table::Shape,
};

use super::ddl::{quoted, search_vector, table_name};

/// What stands before a word or a value in a mark: marks of different columns are never the same.
pub(crate) fn label(column: &Column) -> String {
    quoted(&format!("{} ", column.name), '\'')
}

/// Whether a row is marked with its value in this column. What has an order is asked for by ranges.
pub(crate) fn is_marked(column: &Column) -> bool {
    column.is(mark::filter)
        && match column.kind {
            Kind::Bool | Kind::Int | Kind::Text | Kind::Uuid | Kind::Texts | Kind::Uuids => true,
            Kind::Bigint | Kind::Timestamp | Kind::Date | Kind::Json | Kind::Bytes => false,
        }
}

/// The place of a row in the order of a column, in SQL: an integer that never falls as the column rises. None for columns
/// of other kinds.
pub(crate) fn place(column: &Column) -> Option<String> {
    let name = quoted(column.name, '"');
    match column.kind {
        // Weeks. PostgreSQL knows no earlier day.
        Kind::Timestamp => Some(format!("((({name} AT TIME ZONE 'UTC')::date - DATE '4713-01-01 BC') / 7)")),
        // How many digits, and the first two of them.
        Kind::Bigint => Some(format!(
            "(length(greatest({name}, 0)::text) * 100 + left(greatest({name}, 0)::text, 2)::integer)"
        )),
        Kind::Bool
        | Kind::Int
        | Kind::Text
        | Kind::Uuid
        | Kind::Date
        | Kind::Json
        | Kind::Texts
        | Kind::Uuids
        | Kind::Bytes => None,
    }
}

/// The values of a column that stand beyond a place, in SQL that its index can answer. None for columns that have none.
pub(crate) fn beyond(column: &Column, number: &str, descending: bool) -> Option<String> {
    let name = quoted(column.name, '"');
    let (operator, next) =
        if descending { ("<", number.to_owned()) } else { (">=", format!("({number} + 1)")) };
    let edge = match column.kind {
        Kind::Timestamp => format!("((DATE '4713-01-01 BC' + {next} * 7)::timestamp AT TIME ZONE 'UTC')"),
        Kind::Bigint => {
            // 312 is 12, 399 is 99, and what comes after 399 is 100: one digit more.
            let (digits, first) = (format!("{number} / 100"), format!("{number} % 100"));
            let first = if descending { first } else { format!("({first} + 1)") };
            format!("least({first} * 10::numeric ^ greatest({digits} - 2, 0), {})::bigint", i64::MAX)
        }
        Kind::Bool
        | Kind::Int
        | Kind::Text
        | Kind::Uuid
        | Kind::Date
        | Kind::Json
        | Kind::Texts
        | Kind::Uuids
        | Kind::Bytes => return None,
    };
    let place = place(column)?;
    // The edge of the greatest place is not beyond it.
    let onward = if descending { "<" } else { ">" };
    Some(format!("{name} {operator} {edge} AND {place} {onward} {number}"))
}

/// The marks of a row at its place in the order of a column, in SQL: what the index holds.
pub(crate) fn marks(shape: &Shape, schema: &str, column: &Column) -> Option<String> {
    let words = searched(shape).map(|column| search_vector(column.name));
    let values = marked(shape).map(|column| quoted(column.name, '"'));
    let arguments: Vec<String> = [place(column)?].into_iter().chain(words).chain(values).collect();
    Some(format!("{}.marks({})", quoted(schema, '"'), arguments.join(", ")))
}

/// The function that gives the marks, and an index of them for each order that has places.
pub(super) fn create(shape: &Shape, schema: &str) -> Vec<String> {
    let columns = shape.options.places.iter().filter_map(|name| shape.column(name));
    let indexes = columns.filter_map(|column| {
        let index = format!("{}_{}_places", shape.name, column.name);
        // A list of what is still to be put into the index would be read for every place again. Nobody asks for statistics
        // of it: at one place, any mark is rare.
        Some(format!(
            "CREATE INDEX {} ON {} USING gin ({}) WITH (fastupdate = off);\n\
             ALTER INDEX {}.{} ALTER COLUMN 1 SET STATISTICS 0",
            quoted(&index, '"'),
            table_name(shape, schema),
            marks(shape, schema, column)?,
            quoted(schema, '"'),
            quoted(&index, '"'),
        ))
    });
    let indexes: Vec<String> = indexes.collect();
    if indexes.is_empty() {
        indexes
    } else {
        [create_function(shape, schema)].into_iter().chain(indexes).collect()
    }
}

fn create_function(shape: &Shape, schema: &str) -> String {
    let mut types = vec!["integer".to_owned()];
    let mut parts = Vec::new();
    for column in searched(shape) {
        types.push("tsvector".into());
        parts.push(format!("SELECT {} || lexeme FROM unnest(${})", label(column), types.len()));
    }
    for column in marked(shape) {
        types.push(column.kind.sql().into());
        let (label, number) = (label(column), types.len());
        parts.push(match column.kind {
            Kind::Texts | Kind::Uuids => format!("SELECT {label} || element FROM unnest(${number}) element"),
            Kind::Bool
            | Kind::Int
            | Kind::Bigint
            | Kind::Text
            | Kind::Uuid
            | Kind::Timestamp
            | Kind::Date
            | Kind::Json
            | Kind::Bytes => format!("SELECT {label} || ${number}"),
        });
    }
    format!(
        "CREATE FUNCTION {}.marks({}) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$\n\
         SELECT coalesce(array_agg($1 || mark), '{{}}') FROM (\n  {}\n) marks(mark) WHERE mark IS NOT NULL $$",
        quoted(schema, '"'),
        types.join(", "),
        parts.join("\n  UNION ALL ")
    )
}

fn searched(shape: &Shape) -> impl Iterator<Item = &'static Column> {
    shape.columns.iter().filter(|column| column.is(mark::search))
}

fn marked(shape: &Shape) -> impl Iterator<Item = &'static Column> {
    shape.columns.iter().filter(|column| is_marked(column))
}
