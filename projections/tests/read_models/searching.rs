//! Scholarships as people look for them: whichever way the rows are found, they are the right ones in the right order.

use domain::{
    Actor, Decider, Money,
    opportunities::{Scholarship, ScholarshipEvent as S, ScholarshipTerms},
};
use event_store::{NewEvent, StreamId};
use jiff::{SignedDuration, Timestamp};
use projections::{Condition, Op, Query};
use serde_json::Value;

use crate::world::*;

/// More rows than are walked along the order before places are asked.
const ROWS: u128 = 420;

fn drafted(number: u128) -> NewEvent {
    let begin: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
    // Three at each instant, some two weeks apart, in another order than their ids.
    let place = number * 211 % ROWS;
    let deadline = begin + SignedDuration::from_hours(i64::try_from(place / 3).unwrap() * 317);
    let award = [7, 40, 99, 100, 12_345, 50_000, 50_000, 9_900_000][usize::try_from(number % 8).unwrap()];
    let late = if place >= 300 { "Late" } else { "Early" };
    let terms = ScholarshipTerms {
        title: format!("{late} Makers"),
        description: if number.is_multiple_of(5) { "Rare and full-time" } else { "Frequent" }.into(),
        sponsor: unit(5 + number % 3),
        award: Money::new(award, "USD".parse().unwrap()),
        max_awards: 1,
        opens_at: "2025-12-01T00:00:00Z".parse().unwrap(),
        deadline,
        min_gpa: number.is_multiple_of(2).then_some(3000),
        majors: if place >= 400 { vec!["Computer Science".into(), "Law".into()] } else { vec!["Law".into()] },
        grad_years: vec![if place >= 360 { 2031 } else { 2027 }],
        tags: Vec::new(),
        essay_prompts: Vec::new(),
        recommendations_required: 0,
        renewable: number.is_multiple_of(7),
    };
    new_event::<Scholarship>(
        StreamId::new(Scholarship::TYPE, unit(number + 1).to_string()),
        &S::ScholarshipDrafted(terms),
    )
}

fn condition(column: &str, op: Op, value: &str) -> Condition {
    Condition { column: column.into(), op, values: vec![value.to_owned()] }
}

/// The ids of all pages, one after the other.
async fn pages(world: &World, filters: &[Condition], sort: &[&str]) -> Vec<String> {
    let mut query = Query {
        filters: filters.to_vec(),
        sort: sort.iter().map(|column| (*column).to_owned()).collect(),
        limit: Some(61),
        ..Query::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = world.projections.list("scholarships", &admin(), &query).await.unwrap();
        ids.extend(page.rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return ids,
        }
    }
}

/// The ids of the rows that fit, as they are to be sorted.
fn expected(all: &[Value], fits: &dyn Fn(&Value) -> bool, sort: &[&str]) -> Vec<String> {
    let mut rows: Vec<&Value> = all.iter().filter(|row| fits(row)).collect();
    let key = |row: &Value, column: &str| match &row[column] {
        Value::Number(number) => format!("{:020}", number.as_i64().unwrap()),
        text => text.as_str().unwrap().to_owned(),
    };
    let last = sort.last().is_some_and(|column| column.starts_with('-'));
    let columns = sort.iter().map(|column| (column.trim_start_matches('-'), column.starts_with('-')));
    let columns: Vec<(&str, bool)> = columns.chain([("id", last)]).collect();
    rows.sort_by(|one, other| {
        let orders = columns.iter().map(|(column, descending)| {
            let order = key(one, column).cmp(&key(other, column));
            if *descending { order.reverse() } else { order }
        });
        orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    rows.into_iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_for_in_whichever_order_the_pages_have_the_rows_that_fit() {
    type Fits<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let world = World::new().await;
    world.projections.start();
    let events = (0..ROWS).map(drafted).collect();
    let position = append_events(&world.store, events).await;
    world.visible("scholarships", position).await;
    let mut all = Vec::new();
    let mut query = Query { limit: Some(200), ..Query::default() };
    loop {
        let page = world.projections.list("scholarships", &admin(), &query).await.unwrap();
        all.extend(page.rows);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), usize::try_from(ROWS).unwrap());
    let late = |row: &Value| row["title"] == "Late Makers";
    let rare = |row: &Value| row["description"] == "Rare and full-time";
    let has = |row: &Value, column: &str, value: &str| {
        row[column].as_array().unwrap().iter().any(|one| one == value)
    };
    let words = |words: &str| condition("text", Op::Search, words);
    let cases: Vec<(Vec<Condition>, Fits<'_>)> = vec![
        (vec![words("makers")], Box::new(|_| true)),
        (vec![words("LATE")], Box::new(late)),
        (vec![words("rare late")], Box::new(|row| late(row) && rare(row))),
        (vec![words("full-time")], Box::new(rare)),
        (vec![words("late"), words("rare")], Box::new(|row| late(row) && rare(row))),
        (vec![words("early late")], Box::new(|_| false)),
        (vec![words("nowhere")], Box::new(|_| false)),
        (vec![words("& -")], Box::new(|_| false)),
        (
            vec![words("late"), condition("grad_years", Op::Contains, "2031")],
            Box::new(|row| late(row) && has(row, "grad_years", "2031")),
        ),
        (
            vec![condition("majors", Op::Contains, "Computer Science")],
            Box::new(|row| has(row, "majors", "Computer Science")),
        ),
        (
            vec![condition("sponsor", Op::In, &unit(6).to_string()), condition("renewable", Op::In, "true")],
            Box::new(|row| row["sponsor"] == unit(6).to_string() && row["renewable"] == true),
        ),
        (
            vec![condition("min_gpa", Op::In, "3000"), condition("award", Op::AtMost, "100")],
            Box::new(|row| row["min_gpa"] == 3000 && row["award"].as_i64().unwrap() <= 100),
        ),
        (
            vec![words("late"), condition("deadline", Op::AtLeast, "2027-06-01T00:00:00Z")],
            Box::new(|row| late(row) && row["deadline"].as_str().unwrap() >= "2027-06-01T00:00:00Z"),
        ),
        (vec![condition("currency", Op::In, "EUR")], Box::new(|_| false)),
        (vec![condition("award", Op::In, "50000")], Box::new(|row| row["award"] == 50_000)),
    ];
    let sorts: [&[&str]; 8] = [
        &["deadline"],
        &["-deadline"],
        &["award"],
        &["-award"],
        &["award", "-deadline"],
        &["-deadline", "award"],
        &["id"],
        &["-id"],
    ];
    for (filters, fits) in &cases {
        for sort in sorts {
            let found = pages(&world, filters, sort).await;
            assert_eq!(found, expected(&all, fits, sort), "{filters:?} by {sort:?}");
        }
    }
    // And for somebody who does not see drafts.
    let member = Actor::user(unit(9), &[]);
    let query = Query { filters: vec![words("late")], ..Query::default() };
    assert!(world.projections.list("scholarships", &member, &query).await.unwrap().rows.is_empty());
}
