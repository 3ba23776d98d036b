//! Queries: filters, orders, pages, fields, and earlier moments.

use std::collections::BTreeSet;

use event_store::AsOf;
use projections::{Condition, Op, Page, Query, QueryError};
use serde_json::{Value, json};

use crate::{
    models::{History, Names},
    world::*,
};

/// Forty units of which some have no earlier name, some have many, and some share one.
async fn full_world() -> (World, u64) {
    let world = World::of(vec![Names::model(), History::model()]).await;
    world.projections.start();
    let mut last = 0;
    for number in 0..40 {
        last = world.append(unit(number), created(&format!("U{number}"))).await;
        for round in 0..number % 4 {
            last = world.append(unit(number), renamed(&format!("Ünit {}", (number * 7 + round) % 5))).await;
        }
    }
    world.visible("names", last).await;
    world.visible("history", last).await;
    (world, last)
}

async fn ask(world: &World, query: &Query) -> Page {
    world.projections.list("names", &admin(), query).await.unwrap()
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["org_id"].as_str().unwrap()).collect()
}

fn condition(column: &str, op: Op, values: &[&str]) -> Condition {
    Condition { column: column.into(), op, values: values.iter().map(|value| (*value).to_owned()).collect() }
}

fn filtered(column: &str, op: Op, values: &[&str]) -> Query {
    Query { filters: vec![condition(column, op, values)], limit: Some(200), ..Query::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_in_any_order_show_every_row_once_now_and_as_of() {
    let (world, last) = full_world().await;
    for sort in [vec![], vec!["before"], vec!["-before", "count"], vec!["-count", "name"], vec!["-org_id"]] {
        let sort: Vec<String> = sort.into_iter().map(str::to_owned).collect();
        let whole = ask(&world, &Query { sort: sort.clone(), limit: Some(200), ..Query::default() }).await;
        assert_eq!((whole.rows.len(), whole.next), (40, None));
        for as_of in [None, Some(AsOf::Position(last))] {
            for limit in [1, 7, 40] {
                let mut query = Query { sort: sort.clone(), limit: Some(limit), as_of, ..Query::default() };
                let mut rows = Vec::new();
                loop {
                    let page = ask(&world, &query).await;
                    assert!(page.rows.len() <= limit);
                    rows.extend(page.rows);
                    query.after = page.next;
                    if query.after.is_none() {
                        break;
                    }
                }
                assert_eq!(rows, whole.rows, "{sort:?} by {limit}, {as_of:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_means_the_same_now_and_as_of() {
    let (world, last) = full_world().await;
    let queries = [
        (filtered("count", Op::In, &["1", "3"]), 20),
        (filtered("count", Op::AtLeast, &["3"]), 20),
        (filtered("count", Op::AtMost, &["1"]), 10),
        (filtered("names", Op::Contains, &["University of U7"]), 1),
        (filtered("name", Op::Contains, &["nIT 3"]), 6),
        (filtered("name", Op::Search, &["3 ünit"]), 6),
        (filtered("before", Op::In, &["University of U9"]), 1),
        (filtered("org_id", Op::In, &["00000000-0000-0000-0000-000000000007"]), 1),
        (filtered("name", Op::In, &["'; DROP TABLE names; --"]), 0),
        (filtered("name", Op::Contains, &["%"]), 0),
    ];
    for (query, expected) in queries {
        let now = ask(&world, &query).await.rows;
        assert_eq!(now.len(), expected, "{query:?}");
        let then = ask(&world, &Query { as_of: Some(AsOf::Position(last)), ..query.clone() }).await.rows;
        assert_eq!(then, now, "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_moment_is_shown_as_it_was() {
    let world = World::of(vec![Names::model(), History::model()]).await;
    world.projections.start();
    let first = world.append(unit(1), created("A")).await;
    let second = world.append(unit(1), renamed("Later")).await;
    let third = world.append(unit(1), gone()).await;
    world.visible("names", third).await;
    let at = async |position| {
        ask(&world, &Query { as_of: Some(AsOf::Position(position)), ..Query::default() }).await
    };
    assert_eq!(at(first).await.rows[0]["name"], json!("University of A"));
    assert_eq!((&at(second).await.rows[0]["name"], at(second).await.position), (&json!("Later"), second));
    assert_eq!((at(third).await.rows.len(), at(0).await.rows.len()), (0, 0));
    let instant = world.store.read_all(second - 1, 1).await.unwrap()[0].recorded_at;
    let then = ask(&world, &Query { as_of: Some(AsOf::Instant(instant)), ..Query::default() }).await;
    assert_eq!(then.rows[0]["as_of"], json!(second));
    let ahead = Query { as_of: Some(AsOf::Position(third + 1)), ..Query::default() };
    let refused = world.projections.list("names", &admin(), &ahead).await;
    assert!(matches!(refused, Err(QueryError::AsOfAhead(_))));
    let no_past = Query { as_of: Some(AsOf::Position(1)), ..Query::default() };
    let refused = world.projections.list("history", &admin(), &no_past).await;
    assert!(matches!(refused, Err(QueryError::AsOfUnsupported("history"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_of_for_one_stream_reads_that_stream_only() {
    let world = World::new().await;
    world.append(unit(1), created("A")).await;
    world.append(unit(2), created("B")).await;
    let position = world.append(unit(1), renamed("Renamed")).await;
    // A position beyond which nothing is: no other event could be read without an error.
    world.append(unit(2), renamed("never seen")).await;
    let query = Query {
        as_of: Some(AsOf::Position(position)),
        ..filtered("org_id", Op::In, &[&unit(1).to_string()])
    };
    let page = world.projections.list("org_directory", &admin(), &query).await.unwrap();
    assert_eq!((page.rows.len(), &page.rows[0]["name"]), (1, &json!("Renamed")));
    assert_eq!(page.rows[0]["contact_email"], json!("registrar@A.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_declared_cannot_be_asked() {
    let (world, _) = full_world().await;
    let refused = async |query: Query| world.projections.list("names", &admin(), &query).await.unwrap_err();
    let unknown = refused(filtered("as_of", Op::In, &["1"])).await;
    assert!(matches!(unknown, QueryError::UnknownFilter(name) if name == "as_of"));
    assert!(matches!(refused(filtered("names", Op::In, &["x"])).await, QueryError::UnknownFilter(_)));
    assert!(matches!(refused(filtered("names", Op::Search, &["x"])).await, QueryError::UnknownFilter(_)));
    let bad = refused(filtered("count", Op::In, &["many"])).await;
    assert!(matches!(bad, QueryError::BadValue { column, expected: "bigint" } if column == "count"));
    assert!(matches!(refused(filtered("name", Op::In, &["\0"])).await, QueryError::BadValue { .. }));
    let sort = Query { sort: vec!["names".into()], ..Query::default() };
    assert!(matches!(refused(sort).await, QueryError::UnknownSort(_)));
    let field = Query { fields: vec!["sealed".into()], ..Query::default() };
    assert!(matches!(refused(field).await, QueryError::UnknownField(_)));
    for limit in [0, 201] {
        assert!(matches!(
            refused(Query { limit: Some(limit), ..Query::default() }).await,
            QueryError::BadLimit
        ));
    }
    let none = world.projections.list("nothing", &admin(), &Query::default()).await;
    assert!(matches!(none, Err(QueryError::UnknownModel(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_is_not_told_where_in_the_log_a_row_is() {
    let (world, last) = full_world().await;
    let analyst = domain::Actor::user(unit(50), &["analyst"]);
    let ask = async |query: Query| world.projections.list("names", &analyst, &query).await;
    for as_of in [None, Some(AsOf::Position(last))] {
        let page = ask(Query { as_of, ..Query::default() }).await.unwrap();
        assert!(page.rows.iter().all(|row| row["name"].is_string() && row.get("as_of").is_none()));
    }
    let fields = Query { fields: vec!["as_of".into()], ..Query::default() };
    assert!(matches!(ask(fields.clone()).await, Err(QueryError::Hidden(name)) if name == "as_of"));
    assert!(matches!(ask(filtered("as_of", Op::In, &["1"])).await, Err(QueryError::UnknownFilter(_))));
    let sort = Query { sort: vec!["as_of".into()], ..Query::default() };
    assert!(matches!(ask(sort).await, Err(QueryError::UnknownSort(_))));
    for role in ["student", "compliance", "admin"] {
        let actor = domain::Actor::user(unit(50), &["analyst", role][usize::from(role == "student")..]);
        let page = world.projections.list("names", &actor, &fields).await.unwrap();
        assert!(page.rows.iter().all(|row| row["as_of"].is_u64()), "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_belongs_to_its_query() {
    let (world, _) = full_world().await;
    let page = ask(&world, &Query { limit: Some(5), ..Query::default() }).await;
    for query in [
        Query { after: page.next.clone(), sort: vec!["name".into()], ..Query::default() },
        Query { after: Some("nonsense".into()), ..Query::default() },
    ] {
        let refused = world.projections.list("names", &admin(), &query).await;
        assert!(matches!(refused, Err(QueryError::BadCursor)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_goes_on_where_it_ended_though_rows_came_and_went() {
    let (world, _) = full_world().await;
    let first = ask(&world, &Query { limit: Some(10), ..Query::default() }).await;
    world.append(unit(9), gone()).await;
    world.append(unit(12), gone()).await;
    let last = world.append(unit(3), renamed("changed")).await;
    world.visible("names", last).await;
    let rest = ask(&world, &Query { after: first.next, limit: Some(200), ..Query::default() }).await;
    let seen: BTreeSet<_> = ids(&first.rows).into_iter().chain(ids(&rest.rows)).collect();
    assert_eq!((rest.rows.len(), seen.len()), (29, 39));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_got_by_its_key() {
    let (world, _) = full_world().await;
    let get = async |key: &str, query: &Query| {
        world.projections.get("names", &admin(), &[key], query).await.unwrap().0
    };
    let fields = Query { fields: vec!["count".into()], ..Query::default() };
    assert_eq!(get(&unit(3).to_string(), &fields).await, Some(json!({ "count": 4 })));
    assert_eq!(get(&unit(99).to_string(), &fields).await, None);
    let then = Query { as_of: Some(AsOf::Position(1)), ..Query::default() };
    assert_eq!(get(&unit(0).to_string(), &then).await.unwrap()["count"], json!(1));
}
