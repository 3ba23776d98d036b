//! How long a page of R-16 takes among a million scholarships: words and values that are common, rare, spread evenly or
//! gathered at the end of the order; every order; the first page and one deep in the middle.
//!
//! `cargo bench -p projections --bench search`; `ROWS` (1000000) and `ROUNDS` (20) may be set.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking and is no library")]

use std::time::{Duration, Instant};

use domain::Actor;
use event_store::{EventStore, testing::Cluster};
use projections::{Condition, Config, Op, Projections, Query, QueryError, read_models};
use uuid::Uuid;

const MODEL: &str = "scholarships";
const ORDERS: [&str; 6] = ["deadline", "-deadline", "award", "-award", "id", "-award,deadline"];

#[tokio::main]
async fn main() {
    let setting = |name: &str, usual: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let (rows, rounds) = (setting("ROWS", 1_000_000), setting("ROUNDS", 20));
    let cluster = Cluster::durable();
    let database = cluster.database().await;
    let store = database.store().await.unwrap();
    let models = read_models().iter().copied().filter(|model| model.shape().name == MODEL).collect();
    let projections =
        Projections::new(store.clone(), Config { models, ..Config::new(&database.url) }).unwrap();
    projections.start();
    while matches!(page(&projections, &Query::default()).await, Err(QueryError::NotBuilt(_))) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fill(&store, rows).await;
    let mut all = Vec::new();
    for (name, filters) in asked() {
        for order in ORDERS {
            let first = Query {
                filters: filters.clone(),
                sort: order.split(',').map(str::to_owned).collect(),
                ..Query::default()
            };
            let deep = Query { after: middle(&projections, order).await, ..first.clone() };
            for (place, query) in [("first", first), ("deep", deep)] {
                let mut times = Vec::new();
                for _ in 0..rounds {
                    let begun = Instant::now();
                    page(&projections, &query).await.unwrap();
                    times.push(begun.elapsed());
                }
                all.extend(&times);
                println!("{name:32} {order:16} {place:6} {}", told(&mut times));
            }
        }
    }
    println!("{:56} {}", "all", told(&mut all));
    projections.shutdown().await;
}

async fn page(projections: &Projections, query: &Query) -> Result<Option<String>, QueryError> {
    let member = Actor::user(Uuid::from_u128(7), &[]);
    Ok(projections.list(MODEL, &member, query).await?.next)
}

/// The cursor of a row in the middle of an order.
async fn middle(projections: &Projections, order: &str) -> Option<String> {
    let bound = match order {
        "deadline" => condition("deadline", Op::AtLeast, "2028-01-01T00:00:00Z"),
        "-deadline" => condition("deadline", Op::AtMost, "2028-01-01T00:00:00Z"),
        "award" => condition("award", Op::AtLeast, "600000"),
        "id" => condition("id", Op::AtLeast, "01900000-0000-7000-8000-000000080000"),
        _ => condition("award", Op::AtMost, "600000"),
    };
    let query = Query {
        filters: vec![bound],
        sort: order.split(',').map(str::to_owned).collect(),
        ..Query::default()
    };
    page(projections, &query).await.unwrap()
}

fn condition(column: &str, op: Op, value: &str) -> Condition {
    Condition { column: column.into(), op, values: vec![value.to_owned()] }
}

/// What people ask for.
fn asked() -> Vec<(&'static str, Vec<Condition>)> {
    let words = |words: &str| condition("text", Op::Search, words);
    let is = |column: &str, value: &str| condition(column, Op::In, value);
    let has = |column: &str, value: &str| condition(column, Op::Contains, value);
    vec![
        ("everything", vec![]),
        ("a word in 60 %", vec![words("even600")]),
        ("a word in 5 %", vec![words("even50")]),
        ("a word in 1 %", vec![words("even10")]),
        ("a word in 0.1 %", vec![words("even1")]),
        ("a word in 0.001 %", vec![words("even0")]),
        ("a word in 60 %, late", vec![words("late600")]),
        ("a word in 5 %, late", vec![words("late50")]),
        ("a word in 1 %, late", vec![words("late10")]),
        ("a word in 0.1 %, late", vec![words("late1")]),
        ("a word in 30 %, of dear ones", vec![words("dear")]),
        ("a word that there is not", vec![words("nowhere")]),
        ("two common words", vec![words("w1 w2")]),
        ("a common and a late word", vec![words("even600 late10")]),
        ("two words that do not meet", vec![words("even1 late1")]),
        ("a major", vec![has("majors", "Major 3")]),
        ("a rare major and a word", vec![has("majors", "Major 79"), words("even600")]),
        ("a tag", vec![has("tags", "tag 9")]),
        ("a late year", vec![has("grad_years", "2031")]),
        ("a late year and a word", vec![has("grad_years", "2031"), words("even50")]),
        ("a grade point average", vec![condition("min_gpa", Op::AtMost, "2500")]),
        (
            "average, year and major",
            vec![
                condition("min_gpa", Op::AtMost, "2500"),
                has("grad_years", "2031"),
                has("majors", "Major 3"),
            ],
        ),
        ("a sponsor of many", vec![is("sponsor", "3c004c81-ad17-58df-8104-6fa03c2cb651")]),
        ("a sponsor of few", vec![is("sponsor", "59bc3240-997f-7fc6-b221-61e54216ffa3")]),
        ("published", vec![is("status", "published")]),
        ("published, with a word", vec![is("status", "published"), words("even50")]),
        (
            "a year of deadlines and a word",
            vec![
                condition("deadline", Op::AtLeast, "2028-06-01T00:00:00Z"),
                condition("deadline", Op::AtMost, "2029-06-01T00:00:00Z"),
                words("even10"),
            ],
        ),
        ("large awards", vec![condition("award", Op::AtLeast, "1900000")]),
    ]
}

/// Half of them, and all but a few, took at most so long.
fn told(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at =
        |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    format!("p50 {:7.1} ms  p95 {:7.1} ms  most {:7.1} ms", at(50), at(95), at(100))
}

/// Fills the table as a rebuild does: the rows, then the indexes.
async fn fill(store: &EventStore, rows: usize) {
    let begun = Instant::now();
    let sql = async |text: &str| _ = sqlx::raw_sql(text).execute(store.pool()).await.unwrap();
    let schema: String =
        sqlx::query_scalar("SELECT schema_name FROM annals.projections WHERE name = $1 AND serving")
            .bind(MODEL)
            .fetch_one(store.pool())
            .await
            .unwrap();
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = $1 AND indexname NOT LIKE '%_pkey'",
    )
    .bind(&schema)
    .fetch_all(store.pool())
    .await
    .unwrap();
    for (name, _) in &indexes {
        sql(&format!("DROP INDEX \"{schema}\".\"{name}\"")).await;
    }
    let table = format!("\"{schema}\".\"{MODEL}\"");
    sql(&include_str!("fill.sql").replace("{table}", &table).replace("{rows}", &rows.to_string())).await;
    for (name, definition) in &indexes {
        let begun = Instant::now();
        sql(&format!("SET maintenance_work_mem = '512MB'; {definition}; RESET maintenance_work_mem")).await;
        if name.ends_with("_places") {
            sql(&format!("ALTER INDEX \"{schema}\".\"{name}\" ALTER COLUMN 1 SET STATISTICS 0")).await;
        }
        let size: String =
            sqlx::query_scalar("SELECT pg_size_pretty(pg_relation_size(format('%I.%I', $1, $2)::regclass))")
                .bind(&schema)
                .bind(name)
                .fetch_one(store.pool())
                .await
                .unwrap();
        println!("index {name}: {size} in {:.0} s", begun.elapsed().as_secs_f64());
    }
    sql(&format!("VACUUM ANALYZE {table}")).await;
    println!("{rows} rows in {:.0} s", begun.elapsed().as_secs_f64());
}
