//! Tables, made from shapes. Each generation of a read model has a schema of its own.

use crate::{
    row::{Kind, mark, one_line},
    table::Shape,
};

use super::{places, statements::technical};

/// The schema of a generation: `scholarships_v1_g2`.
pub(crate) fn schema_name(shape: &Shape, generation: i32) -> String {
    format!("{}_v{}_g{generation}", shape.name, shape.version)
}

/// The rules by which letters become lower-case. Those of ICU are the same in every database, whatever its locale.
pub(crate) const FOLDING: &str = "\"und-x-icu\"";

/// The words of a column, as they are indexed and searched.
pub(crate) fn search_vector(column: &str) -> String {
    format!("to_tsvector('simple', lower({} COLLATE {FOLDING}))", quoted(column, '"'))
}

/// The table of a generation, in quotes.
pub(crate) fn table_name(shape: &Shape, schema: &str) -> String {
    format!("{}.{}", quoted(schema, '"'), quoted(shape.name, '"'))
}

/// An identifier or a text literal in quotes.
pub(crate) fn quoted(text: &str, quote: char) -> String {
    let doubled = text.replace(quote, &format!("{quote}{quote}"));
    format!("{quote}{doubled}{quote}")
}

pub(crate) fn create_schema(schema: &str) -> String {
    format!("CREATE SCHEMA {}", quoted(schema, '"'))
}

/// The table without its indexes: a rebuild makes them when the rows are in. Of a table that holds personal values in the
/// clear PostgreSQL keeps no statistics.
pub(crate) fn create_table(shape: &Shape, schema: &str) -> String {
    let table = table_name(shape, schema);
    let unlogged = if shape.options.unlogged { "UNLOGGED " } else { "" };
    let mut lines = Vec::new();
    let mut unseen = String::new();
    let mut comments = format!("COMMENT ON TABLE {table} IS {};\n", quoted(&one_line(shape.doc), '\''));
    for column in shape.columns {
        // Sorted by bytes, as in memory, so that a page ends and the next begins at the same row on every system.
        let collation = if column.kind == Kind::Text { " COLLATE \"C\"" } else { "" };
        let null = if column.nullable { "" } else { " NOT NULL" };
        lines.push(format!("{} {}{collation}{null}", quoted(column.name, '"'), column.kind.sql()));
        comments += &comment(&table, column.name, &column.comment());
        // Statistics of a column are a copy of some of its values, in a table that is logged and outlives the rows.
        if shape.options.unlogged && column.kind != Kind::Uuid {
            let name = quoted(column.name, '"');
            unseen += &format!("ALTER TABLE {table} ALTER COLUMN {name} SET STATISTICS 0;\n");
        }
    }
    for (name, kind, about) in technical(shape) {
        let null = if matches!(kind, Kind::Bytes | Kind::Json) { "" } else { " NOT NULL" };
        lines.push(format!("{name} {}{null}", kind.sql()));
        comments += &comment(&table, name, about);
    }
    format!(
        "CREATE {unlogged}TABLE {table} (\n  {}\n) WITH (fillfactor = 85);\n{unseen}{comments}",
        lines.join(",\n  ")
    )
}

fn comment(table: &str, column: &str, text: &str) -> String {
    format!("COMMENT ON COLUMN {table}.{} IS {};\n", quoted(column, '"'), quoted(text, '\''))
}

/// The primary key, and the indexes that columns are marked with.
pub(crate) fn create_indexes(shape: &Shape, schema: &str) -> Vec<String> {
    let table = table_name(shape, schema);
    let key: Vec<String> = shape.key().iter().map(|column| quoted(column.name, '"')).collect();
    let key = key.join(", ");
    let mut indexes = vec![format!("ALTER TABLE {table} ADD PRIMARY KEY ({key})")];
    for column in shape.columns {
        let name = quoted(column.name, '"');
        if column.is(mark::search) {
            // Of several tables that stand in one schema (as they were at a moment), each has its own.
            let index = format!("{}_{}_search", shape.name, column.name);
            let vector = search_vector(column.name);
            let mut statement =
                format!("CREATE INDEX {} ON {table} USING gin ({vector})", quoted(&index, '"'));
            if shape.options.unlogged {
                // An index on an expression has statistics of its own.
                let index = format!("{}.{}", quoted(schema, '"'), quoted(&index, '"'));
                statement += &format!(";\nALTER INDEX {index} ALTER COLUMN 1 SET STATISTICS 0");
            }
            indexes.push(statement);
        }
        if column.is(mark::index) {
            indexes.push(match column.kind {
                Kind::Texts | Kind::Uuids => format!("CREATE INDEX ON {table} USING gin ({name})"),
                Kind::Bool
                | Kind::Int
                | Kind::Bigint
                | Kind::Text
                | Kind::Uuid
                | Kind::Timestamp
                | Kind::Date
                | Kind::Json
                | Kind::Bytes => format!("CREATE INDEX ON {table} ({name}, {key})"),
            });
        }
    }
    indexes.extend(places::create(shape, schema));
    indexes
}
