//! What analysts see: one view for each read model in the schema `read`, pseudonymous or aggregated, over the generation
//! that serves. A view keeps its name and all columns that it ever had; what is no more is null.

use std::{sync::Arc, time::Duration};

use tokio_postgres::Client;

use crate::{
    Inner,
    catalog::{Entry, Layout},
    error::{ProjectionError, sqlstate},
    model::ReadModel,
    row::{Kind, mark, one_line},
    storage::{Connection, quoted, table_name},
    table::{Analysts, Shape},
};

/// Groups of fewer people are not shown.
const SMALLEST_GROUP: u32 = 5;

/// How long a switch waits for the queries of analysts that are under way, and holds up new ones.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '200ms'";

/// How long it lets analysts go on before it tries again.
const RETRY: Duration = Duration::from_secs(1);

/// Whether some view does not show what it should.
pub(crate) fn outdated(layout: &Layout, models: &[&'static dyn ReadModel]) -> bool {
    models.iter().any(|model| find(layout, *model).is_some())
}

/// The generation that the view of this read model should show and does not.
fn find<'a>(layout: &'a Layout, model: &dyn ReadModel) -> Option<&'a Entry> {
    let shape = model.shape();
    let shown = !matches!(shape.options.analysts, Analysts::Nothing);
    layout.serving(shape.name).filter(|entry| shown && entry.is_of(shape) && !entry.viewed && !entry.lost)
}

/// Switches all views that do not show the generation that serves; tries until they do.
pub(crate) async fn switch(inner: &Arc<Inner>) -> Result<(), ProjectionError> {
    loop {
        let connection = Connection::open(&inner.database, "views").await?;
        let layout = Layout::load(&connection.client).await?;
        let mut busy = false;
        for model in &inner.config.models {
            if let Some(entry) = find(&layout, *model) {
                match show(&connection.client, model.shape(), entry).await {
                    Ok(()) => {
                        tracing::info!(name = entry.name, generation = entry.generation, "analysts see it")
                    }
                    // 55P03: an analyst's query holds the view.
                    Err(ProjectionError::Connection(error)) if sqlstate(&error) == Some("55P03") => {
                        busy = true
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if !busy {
            return Ok(());
        }
        drop(connection);
        tokio::time::sleep(RETRY).await;
    }
}

/// Lets the view of a read model show a generation, in one transaction.
async fn show(client: &Client, shape: &Shape, entry: &Entry) -> Result<(), ProjectionError> {
    client.batch_execute(&format!("BEGIN; {LOCK_TIMEOUT}")).await?;
    let shown = show_within(client, shape, entry).await;
    client.batch_execute(if shown.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    shown
}

async fn show_within(client: &Client, shape: &Shape, entry: &Entry) -> Result<(), ProjectionError> {
    let columns = columns(shape);
    let before = present(client, shape.name).await?;
    let source = Source::of(shape, entry, &columns);
    let mut selected = Vec::new();
    let mut changed = false;
    for Present { name, kind, nothing } in &before {
        match columns.iter().find(|column| column.name == *name) {
            Some(column) => {
                changed |= column.kind != *kind;
                selected.push(source.selected(column));
            }
            None => selected.push(format!("{nothing} AS {}", quoted(name, '"'))),
        }
    }
    let new = columns.iter().filter(|column| !before.iter().any(|present| present.name == column.name));
    selected.extend(new.map(|column| source.selected(column)));
    let view = format!("read.{}", quoted(shape.name, '"'));
    let mut sql = String::new();
    if changed {
        // PostgreSQL cannot change the type of a view's column.
        sql += &format!("DROP VIEW {view};\n");
    }
    sql += &source.made;
    sql +=
        &format!("CREATE OR REPLACE VIEW {view} AS SELECT {} FROM {};\n", selected.join(", "), source.from);
    sql += &format!("COMMENT ON VIEW {view} IS {};\n", quoted(&one_line(shape.doc), '\''));
    for column in &columns {
        let name = quoted(&column.name, '"');
        sql += &format!("COMMENT ON COLUMN {view}.{name} IS {};\n", quoted(&column.comment, '\''));
    }
    client.batch_execute(&sql).await?;
    let role = "SELECT FROM pg_roles WHERE rolname = 'annals_analyst'";
    if client.query_opt(role, &[]).await?.is_some() {
        client.batch_execute(&format!("GRANT SELECT ON {view} TO annals_analyst")).await?;
    }
    let mark = "UPDATE annals.projections SET viewed = (generation = $2) WHERE name = $1";
    client.execute(mark, &[&entry.name, &entry.generation]).await?;
    Ok(())
}

/// What a view selects from.
struct Source {
    /// What has to be made first.
    made: String,
    from: String,
    is_grouped: bool,
}

impl Source {
    /// Rows are selected from the table. Groups come out of a function, which PostgreSQL does not look into: in a view by
    /// itself a condition on a group's columns would be put to each person's row, before small groups are left out, and an
    /// error, a function of the analyst's or `EXPLAIN ANALYZE` would tell of those.
    fn of(shape: &Shape, entry: &Entry, columns: &[ViewColumn]) -> Self {
        let table = table_name(shape, &entry.schema);
        let Some(grouping) = grouping(shape) else {
            return Source { made: String::new(), from: table, is_grouped: false };
        };
        let groups = format!("{}.groups_for_analysts()", quoted(&entry.schema, '"'));
        let named = |column: &ViewColumn| format!("{} {}", quoted(&column.name, '"'), column.kind);
        let names: Vec<String> = columns.iter().map(named).collect();
        let expressions: Vec<&str> = columns.iter().map(|column| &*column.expression).collect();
        let made = format!(
            "CREATE OR REPLACE FUNCTION {groups} RETURNS TABLE ({}) LANGUAGE plpgsql STABLE SECURITY DEFINER
             SET search_path = pg_catalog, pg_temp AS $groups$
             #variable_conflict use_column
             BEGIN RETURN QUERY SELECT {} FROM {table} {grouping}; END $groups$;\n",
            names.join(", "),
            expressions.join(", "),
        );
        Source { made, from: groups, is_grouped: true }
    }

    fn selected(&self, column: &ViewColumn) -> String {
        let name = quoted(&column.name, '"');
        // What comes out of a function has the collation of its type, and a view's column keeps the one that it had.
        match (self.is_grouped, &*column.kind) {
            (false, _) => format!("{} AS {name}", column.expression),
            (true, "text") => format!("{name} COLLATE \"C\" AS {name}"),
            (true, _) => name,
        }
    }
}

/// A column that a view has.
struct Present {
    name: String,
    kind: String,
    /// A null of its type and its collation: PostgreSQL lets a view's column change neither.
    nothing: String,
}

/// The columns that a view has.
async fn present(client: &Client, name: &str) -> Result<Vec<Present>, ProjectionError> {
    let query = "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod),
            'NULL::' || format_type(a.atttypid, a.atttypmod) || coalesce(' COLLATE ' || quote_ident(s.nspname) || '.' || quote_ident(l.collname), '')
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN (pg_collation l JOIN pg_namespace s ON s.oid = l.collnamespace) ON l.oid = a.attcollation
        WHERE n.nspname = 'read' AND c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    let rows = client.query(query, &[&name]).await?;
    Ok(rows
        .iter()
        .map(|row| Ok(Present { name: row.try_get(0)?, kind: row.try_get(1)?, nothing: row.try_get(2)? }))
        .collect::<Result<_, tokio_postgres::Error>>()?)
}

/// Keeps a view's columns and takes its rows away, so that its generation can be dropped.
pub(crate) async fn empty(client: &Client, name: &str) -> Result<(), ProjectionError> {
    let columns = present(client, name).await?;
    if columns.is_empty() {
        return Ok(());
    }
    let columns = columns.iter().map(|column| format!("{} AS {}", column.nothing, quoted(&column.name, '"')));
    let columns = columns.collect::<Vec<_>>().join(", ");
    let view = quoted(name, '"');
    client
        .batch_execute(&format!("CREATE OR REPLACE VIEW read.{view} AS SELECT {columns} WHERE false"))
        .await?;
    Ok(())
}

struct ViewColumn {
    name: String,
    expression: String,
    kind: String,
    comment: String,
}

/// The columns of a view. What is not marked is not there: personal and technical columns never are. `as_of` least of all:
/// it leads to the event in `read.audit_trail`, and so from what a row says to the pseudonyms of those who did it.
fn columns(shape: &Shape) -> Vec<ViewColumn> {
    let column = |name: &str, expression: String, kind: &str, comment: String| ViewColumn {
        name: name.to_owned(),
        expression,
        kind: kind.to_owned(),
        comment,
    };
    match shape.options.analysts {
        Analysts::Nothing => Vec::new(),
        Analysts::Rows => {
            let mut all: Vec<ViewColumn> = Vec::new();
            for declared in shape.columns {
                let name = quoted(declared.name, '"');
                let expression = match declared.kind {
                    _ if declared.is(mark::open) => name,
                    Kind::Uuid if declared.is(mark::pseudonym) => format!("annals.pseudonym({name})"),
                    Kind::Uuids if declared.is(mark::pseudonym) => {
                        format!("ARRAY(SELECT annals.pseudonym(u) FROM unnest({name}) AS u)")
                    }
                    Kind::Uuid
                    | Kind::Uuids
                    | Kind::Bool
                    | Kind::Int
                    | Kind::Bigint
                    | Kind::Text
                    | Kind::Timestamp
                    | Kind::Date
                    | Kind::Json
                    | Kind::Texts
                    | Kind::Bytes => continue,
                };
                let pseudonym = if declared.is(mark::open) { "" } else { " (A pseudonym.)" };
                let comment = format!("{}{pseudonym}", declared.comment());
                all.push(column(declared.name, expression, view_type(declared.kind), comment));
            }
            all
        }
        Analysts::Groups { by, sums, people } => {
            let declared = |name: &&'static str| shape.column(name);
            let mut all: Vec<ViewColumn> = (by.iter().filter_map(declared))
                .filter(|declared| declared.is(mark::open))
                .map(|declared| {
                    let name = quoted(declared.name, '"');
                    column(declared.name, name, view_type(declared.kind), declared.comment())
                })
                .collect();
            let counted = match people {
                Some(_) => "How many people are in the group.",
                None => "How many rows are in the group.",
            };
            all.push(column("group_size", group_size(people), "bigint", counted.to_owned()));
            for declared in sums.iter().filter_map(declared) {
                let expression = format!("sum({})::bigint", quoted(declared.name, '"'));
                let comment = format!("The sum of: {}", declared.comment());
                all.push(column(&format!("sum_{}", declared.name), expression, "bigint", comment));
            }
            all
        }
    }
}

fn group_size(people: Option<&str>) -> String {
    people.map_or_else(|| "count(*)".to_owned(), |column| format!("count(DISTINCT {})", quoted(column, '"')))
}

/// How the rows of a table become groups, if analysts see groups.
fn grouping(shape: &Shape) -> Option<String> {
    match shape.options.analysts {
        Analysts::Nothing | Analysts::Rows => None,
        Analysts::Groups { by, people, .. } => {
            let by: Vec<String> = by.iter().map(|column| quoted(column, '"')).collect();
            let by = if by.is_empty() { String::new() } else { format!("GROUP BY {}", by.join(", ")) };
            Some(format!("{by} HAVING {} >= {SMALLEST_GROUP}", group_size(people)))
        }
    }
}

/// The type as PostgreSQL names it in its catalog.
fn view_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Timestamp => "timestamp with time zone",
        Kind::Bool
        | Kind::Int
        | Kind::Bigint
        | Kind::Text
        | Kind::Uuid
        | Kind::Date
        | Kind::Json
        | Kind::Texts
        | Kind::Uuids
        | Kind::Bytes => kind.sql(),
    }
}
