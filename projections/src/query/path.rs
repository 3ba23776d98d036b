//! How rows are looked for in SQL.
//!
//! Words have an index (GIN), the order of a page has another, and PostgreSQL uses one of them. Where it takes many rows to
//! hold the words for spread evenly it walks along the order and takes those that hold them; but words are not spread evenly
//! (`2027` among scholarships by deadline), and to look for words in a row that is not indexed by them costs some 30
//! microseconds: of a million rows half a minute. So we walk for a bounded number of rows only. What is common is found
//! there; for what is not, all rows are taken from the index of words, and then sorted. Where an order has places
//! (`storage::places`) they lead on from where the walk ended.

use crate::{
    filter::Sql,
    query::plan::Plan,
    storage::{places, quoted, table_name, technical},
    table::Shape,
};

/// How many rows are walked along the order of a page: some 60 ms.
const NEAR: usize = 2000;
/// And how many where the order has places, which cost less: some 6 ms.
const NEARER: usize = 200;

/// How rows are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// As the database finds best.
    Order,
    /// Among the first rows in the order of the page, words and values aside. Not every row is found by it.
    Near,
    /// By the index of words.
    Words,
    /// From place to place in the order of the page.
    Places,
}

impl Path {
    /// The ways to find the rows of a page: the second where the first finds too few.
    pub(super) fn of(shape: &Shape, plan: &Plan) -> (Path, Option<Path>) {
        let words = plan.filter.has_words();
        match (plan.has_places(shape), words) {
            (true, true) => (Path::Near, Some(Path::Places)),
            (true, false) => (Path::Places, None),
            (false, true) => (Path::Near, Some(Path::Words)),
            (false, false) => (Path::Order, None),
        }
    }

    /// The statement that gives one row more than a page has, if there are so many.
    pub(super) fn select(self, shape: &Shape, schema: &str, plan: &Plan, sql: &mut Sql<'_>) {
        let table = table_name(shape, schema);
        let columns = shape.columns.iter().map(|column| column.name);
        let columns = columns.chain(technical(shape).into_iter().map(|(name, ..)| name));
        let columns: Vec<String> = columns.map(|name| quoted(name, '"')).collect();
        let columns = columns.join(", ");
        let page = format!(" ORDER BY {} LIMIT {}", plan.order_by(), plan.limit + 1);
        match self {
            Path::Order => {
                sql.push(&format!("SELECT {columns} FROM {table} WHERE "));
                sql.filter(&plan.filter);
                plan.keyset(sql);
            }
            Path::Near => {
                let near = if plan.has_places(shape) { NEARER } else { NEAR };
                // What is rare must not make the walk longer.
                let (marked, rest) = plan.filter.sifted(shape.columns);
                sql.push(&format!("SELECT * FROM (SELECT {columns} FROM {table} WHERE "));
                sql.filter(&rest);
                plan.keyset(sql);
                sql.push(&format!(" ORDER BY {} LIMIT {near}) near WHERE ", plan.order_by()));
                sql.filter(&marked);
            }
            // `OFFSET 0`: the order must not reach into the search. Only what the order needs is sorted.
            Path::Words => {
                sql.push(&format!(
                    "SELECT {columns} FROM {table} t WHERE ({}) IN (SELECT {} FROM (SELECT {} FROM (SELECT {} FROM {table} WHERE ",
                    key(shape, "t."),
                    key(shape, "page."),
                    sorted(plan, "found."),
                    sorted(plan, ""),
                ));
                sql.filter(&plan.filter);
                plan.keyset(sql);
                sql.push(&format!(" OFFSET 0) found{page}) page)"));
            }
            Path::Places => {
                sql.push(&format!("SELECT {columns} FROM {table} t WHERE ({}) IN (", key(shape, "t.")));
                from_place_to_place(shape, schema, plan, sql, &page);
                sql.push(")");
            }
        }
        sql.push(&page);
    }
}

/// The keys of the rows of a page. Places are visited one after the other and no more of them than it takes.
fn from_place_to_place(shape: &Shape, schema: &str, plan: &Plan, sql: &mut Sql<'_>, page: &str) {
    let table = table_name(shape, schema);
    let first = &plan.sort[0];
    let (Some(place), Some(beyond), Some(marks)) = (
        places::place(first.column),
        places::beyond(first.column, "place.number", first.descending),
        places::marks(shape, schema, first.column),
    ) else {
        return;
    };
    let name = quoted(first.column.name, '"');
    let next = format!(" ORDER BY {name}{} LIMIT 1", if first.descending { " DESC" } else { "" });
    sql.push("WITH RECURSIVE wanted(marks) AS MATERIALIZED (SELECT array_agg(mark) FROM (");
    plan.filter.marks(sql);
    sql.push(&format!(") marks(mark)), place(number) AS ((SELECT {place} FROM {table} WHERE true"));
    // Without a word nothing is found.
    plan.filter.worded(sql);
    plan.bounds(sql);
    sql.push(&format!("{next}) UNION ALL SELECT (SELECT {place} FROM {table} WHERE {beyond}"));
    plan.bounds(sql);
    let declared = shape.columns.iter().map(|column| quoted(column.name, '"')).collect::<Vec<_>>().join(", ");
    // `OFFSET 0`: no other index must be read for every place again.
    sql.push(&format!(
        "{next}) FROM place WHERE place.number IS NOT NULL)
         SELECT {} FROM place
         CROSS JOIN LATERAL (SELECT array_agg(place.number || mark) AS marks FROM wanted, unnest(wanted.marks) mark) there
         CROSS JOIN LATERAL (SELECT {} FROM (SELECT {declared} FROM {table} WHERE {marks} @> there.marks OFFSET 0) held WHERE ",
        key(shape, "found."),
        sorted(plan, ""),
    ));
    let (_, rest) = plan.filter.parted();
    sql.filter(&rest);
    plan.keyset(sql);
    sql.push(&format!("{page}) found LIMIT {}", plan.limit + 1));
}

fn key(shape: &Shape, alias: &str) -> String {
    let key = shape.key().iter().map(|column| format!("{alias}{}", quoted(column.name, '"')));
    key.collect::<Vec<_>>().join(", ")
}

fn sorted(plan: &Plan, alias: &str) -> String {
    let names = plan.sort.iter().map(|sort| format!("{alias}{}", quoted(sort.column.name, '"')));
    names.collect::<Vec<_>>().join(", ")
}
