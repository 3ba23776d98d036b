//! How rows are looked for in SQL.
//!
//! Words have an index (GIN), the order of a page has another, and PostgreSQL uses one of them. Where it takes many rows to
//! hold the words for spread evenly it walks along the order and takes those that hold them; but words are not spread evenly
//! (`2027` among scholarships by deadline), and to look for words in a row that is not indexed by them costs some 30
//! microseconds: of a million rows half a minute. So we walk for a bounded number of rows only. What is common is found
//! there; for what is not, all rows are taken from the index of words, and then sorted.

use crate::{
    filter::Sql,
    query::plan::Plan,
    storage::{quoted, table_name, technical},
    table::Shape,
};

/// How many rows are walked along the order of a page: some 60 ms.
const NEAR: usize = 2000;

/// How rows are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// As the database finds best.
    Order,
    /// Among the first rows in the order of the page, words aside. Not every row is found by it.
    Near,
    /// By the index of words.
    Words,
}

impl Path {
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
                plan.keyset(shape, sql);
            }
            Path::Near => {
                let (words, rest) = plan.filter.parted();
                sql.push(&format!("SELECT * FROM (SELECT {columns} FROM {table} WHERE "));
                sql.filter(&rest);
                plan.keyset(shape, sql);
                sql.push(&format!(" ORDER BY {} LIMIT {NEAR}) near WHERE ", plan.order_by()));
                sql.filter(&words);
            }
            // `OFFSET 0`: the order must not reach into the search. Only what the order needs is sorted.
            Path::Words => {
                let names = |alias: &str| -> String {
                    let names =
                        plan.sort.iter().map(|sort| format!("{alias}{}", quoted(sort.column.name, '"')));
                    names.collect::<Vec<_>>().join(", ")
                };
                let key: Vec<String> = shape.key().iter().map(|column| quoted(column.name, '"')).collect();
                let of = |alias: &str| {
                    key.iter().map(|name| format!("{alias}.{name}")).collect::<Vec<_>>().join(", ")
                };
                sql.push(&format!(
                    "SELECT {columns} FROM {table} t WHERE ({}) IN (SELECT {} FROM (SELECT {} FROM (SELECT {} FROM {table} WHERE ",
                    of("t"),
                    of("page"),
                    names("found."),
                    names(""),
                ));
                sql.filter(&plan.filter);
                plan.keyset(shape, sql);
                sql.push(&format!(" OFFSET 0) found{page}) page)"));
            }
        }
        sql.push(&page);
    }
}
