//! Rows that events touch, asked for by their keys.

use domain::Actor;
use projections::{
    QueryError,
    row::{RowKey, Value},
};
use serde_json::{Value as Json, json};

use crate::{
    models::{History, Names},
    world::*,
};

fn key(number: u128) -> RowKey {
    vec![unit(number).into()]
}

fn names(rows: &[Json]) -> Vec<&str> {
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_that_events_touch_are_found_by_their_keys() {
    let world = World::of(vec![Names::model(), History::model()]).await;
    world.projections.start();
    let first = world.append(unit(1), created("A")).await;
    world.append(unit(2), created("B")).await;
    world.append(unit(1), renamed("Later")).await;
    let last = world.append(unit(3), gone()).await;
    world.visible("names", last).await;
    let events = world.store.read_all(first, 100).await.unwrap();
    let touched = world.projections.touched(&["names", "history"], events).await.unwrap();
    assert_eq!(touched["names"], [key(2), key(1), key(3)]);
    assert!(touched["history"].is_empty(), "what is only appended to is touched by nothing");
    let (found, page) = world.projections.find("names", &admin(), &touched["names"], last).await.unwrap();
    assert_eq!(found, [key(1), key(2)], "there is none of the third");
    assert_eq!((names(&page.rows), page.position), (vec!["Later", "University of B"], last));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_parts_names_one_row_and_no_mixture_of_two() {
    let world = World::of(vec![History::model()]).await;
    world.projections.start();
    let first = world.append(unit(1), created("A")).await;
    let last = world.append(unit(1), gone()).await;
    world.visible("history", last).await;
    let key = |position: u64, entry: i64| vec![Value::from(position as i64), entry.into()];
    let keys = [key(first, 0), key(last, 1)];
    let (found, page) = world.projections.find("history", &admin(), &keys, last).await.unwrap();
    assert_eq!((found, &page.rows[0]["event"]), (vec![key(first, 0)], &json!("OrgUnitCreated")));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_as_the_actor_would_list_them_and_not_before_they_are_there() {
    let world = World::new().await;
    world.projections.start();
    let last = world.append(unit(1), created("A")).await;
    world.visible("org_directory", last).await;
    let find = async |actor: &Actor, keys: &[RowKey], position| {
        world.projections.find("org_directory", actor, keys, position).await
    };
    let (_, page) = find(&admin(), &[key(1)], last).await.unwrap();
    assert_eq!(page.rows[0]["contact_email"], json!("registrar@A.example"));
    let (_, page) = find(&Actor::user(unit(50), &["student"]), &[key(1)], last).await.unwrap();
    assert_eq!((&page.rows[0]["code"], page.rows[0].get("contact_email")), (&json!("A"), None));
    let (found, page) = find(&Actor::policy("x"), &[key(1)], last).await.unwrap();
    assert!(found.is_empty() && page.rows.is_empty() && page.subjects.is_empty());
    let early = find(&admin(), &[key(1)], last + 1).await.unwrap_err();
    assert!(matches!(early, QueryError::NotYet { position } if position == last));
    for keys in [Vec::new(), vec![key(1); 201]] {
        assert!(matches!(find(&admin(), &keys, last).await, Err(QueryError::BadLimit)));
    }
}

#[test]
fn an_analyst_and_nobody_else_is_not_to_know_where_rows_are() {
    let sees = |roles: &[&str]| projections::query::sees_positions(&Actor::user(unit(50), roles));
    assert!(!sees(&["analyst"]) && !sees(&["analyst", "student"]));
    assert!(sees(&["student"]) && sees(&["staff"]) && sees(&["analyst", "compliance"]) && sees(&["admin"]));
}
