//! What an owner reads of a budget.

use actix_web::test::TestRequest;
use domain::derived_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{Answer, TestNode, node};

const ANNA: Uuid = Uuid::from_u128(5);

async fn ask(node: &TestNode, path: &str) -> Answer {
    node.send_as(ANNA, &["budget_user"], TestRequest::get().uri(path)).await
}

async fn tell(node: &TestNode, request: TestRequest, body: Value) -> Value {
    let answer = node.send_as(ANNA, &["budget_user"], request.set_json(body)).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    answer.json()
}

/// A month of the past, which no policy opens, with a plan for one day; the position of the last event.
async fn february(node: &TestNode) -> u64 {
    let setup = json!({ "currency": "USD", "tz": "America/Chicago", "country": "US", "mode": "off",
        "income": { "minor": 300_000, "ccy": "USD" }, "needs": 5000, "wants": 3000, "savings": 2000 });
    tell(node, TestRequest::post().uri("/v1/budget/setup"), setup).await;
    let opened = tell(node, TestRequest::post().uri("/v1/budget/months/2024-02"), json!({})).await;
    opened["position"].as_u64().unwrap()
}

fn usd(minor: i64) -> Value {
    json!({ "minor": minor, "ccy": "USD" })
}

#[actix_web::test]
async fn r_31_the_calendar_has_a_row_for_each_day_of_the_month_with_its_categories() {
    let node = node().await;
    let position = february(&node).await;
    let calendar = ask(&node, &format!("/v1/budget/calendar/2024-02?min_position={position}")).await.json();
    let days = calendar["items"].as_array().unwrap();
    let dates: Vec<&str> = days.iter().map(|day| day["date"].as_str().unwrap()).collect();
    assert_eq!((dates.len(), dates[0], dates[28]), (29, "2024-02-01", "2024-02-29"));
    assert_eq!(days[0]["categories"].as_array().unwrap().len(), 20);
    let planned: i64 = days.iter().map(|day| day["planned"]["minor"].as_i64().unwrap()).sum();
    assert_eq!(planned, 300_000, "the days of the month are the income");
    let none = ask(&node, "/v1/budget/calendar/2024-03").await.json();
    assert_eq!(none["items"], json!([]), "a month without a budget has no days");
}

#[actix_web::test]
async fn r_31_a_day_has_its_categories_with_what_was_planned_and_spent_and_what_is_left() {
    let node = node().await;
    let position = february(&node).await;
    let path = format!("/v1/budget/daily/2024-02-01?min_position={position}&category=rent&category=dining");
    let day = ask(&node, &path).await.json();
    let dining = json!({ "category": "dining", "planned": usd(373), "spent": usd(0), "available": usd(373), "status": "green" });
    let rent = json!({ "category": "rent", "planned": usd(60_000), "spent": usd(0), "available": usd(60_000), "status": "green" });
    let wanted = json!({ "date": "2024-02-01", "planned": usd(60_373), "spent": usd(0), "available": usd(60_373),
        "status": "green", "categories": [dining, rent] });
    assert_eq!(day, wanted);
    ask(&node, "/v1/budget/daily/2024-03-01").await.problem(404, "NotFound");
    ask(&node, "/v1/budget/daily/soon").await.problem(400, "InvalidParameter");
    ask(&node, "/v1/budget/calendar/2024-13").await.problem(400, "InvalidParameter");
    ask(&node, "/v1/budget/daily/2024-02-01?sort=category").await.problem(400, "InvalidParameter");
}

#[actix_web::test]
async fn a_day_that_a_client_has_is_not_sent_again_and_the_past_can_be_asked() {
    let node = node().await;
    let opened = february(&node).await;
    let plan = TestRequest::put().uri("/v1/budget/daily/2024-02-02/dining");
    // A day that is over cannot be planned anew; a move between envelopes changes the days that are left, here none.
    let refused = node.send_as(ANNA, &["budget_user"], plan.set_json(json!({ "planned": usd(1) }))).await;
    refused.problem(409, "PastDay");
    let path = format!("/v1/budget/daily/2024-02-02?min_position={opened}");
    let day = ask(&node, &path).await;
    let again = TestRequest::get().uri(&path).insert_header(("If-None-Match", day.header("etag")));
    let again = node.send_as(ANNA, &["budget_user"], again).await;
    assert_eq!((again.status.as_u16(), &*again.text), (304, ""));
    let then = ask(&node, &format!("/v1/budget/daily/2024-02-02?as_of={opened}")).await;
    assert_eq!(then.json(), day.json());
    ask(&node, "/v1/budget/daily/2024-02-02?as_of=0").await.problem(404, "NotFound");
}

#[actix_web::test]
async fn a_month_that_was_never_opened_is_not_found_by_its_owner_and_others_cannot_tell() {
    let node = node().await;
    february(&node).await;
    let moved = json!({ "from": "dining", "to": "travel", "amount": usd(1) });
    let months = "/v1/budget/months/2024-03";
    for (request, fields) in [
        (TestRequest::post().uri(&format!("{months}/move")), moved.clone()),
        (TestRequest::post().uri(&format!("{months}/reallocate")), json!({ "reason": "income" })),
        (TestRequest::post().uri(&format!("{months}/close")), json!({})),
        (TestRequest::put().uri("/v1/budget/daily/2024-03-02/dining"), json!({ "planned": usd(1) })),
    ] {
        let answer = node.send_as(ANNA, &["budget_user"], request.set_json(fields)).await;
        answer.problem(404, "NotFound");
    }
    let request = TestRequest::post().uri(&format!("{months}/move")).set_json(&moved);
    node.send_as(ANNA, &["student"], request).await.problem(403, "Forbidden");
    let ben = Uuid::from_u128(6);
    let income = TestRequest::put().uri("/v1/budget/income");
    let income = income.set_json(json!({ "income": usd(1), "from": "2024-03" }));
    node.send_as(ben, &["budget_user"], income).await.problem(404, "NotFound");
    // Whoever computes the id of Anna's month is answered the same whether it is open or not.
    for month in ["2024-02", "2024-03"] {
        let stream = derived_id(&["budget", &ANNA.to_string(), month]);
        let send = async |command: &str, fields: &Value| {
            let path = format!("/v1/budgeting/budget-month/{stream}/{command}");
            let request =
                TestRequest::post().uri(&path).insert_header(("If-Match", "\"7\"")).set_json(fields);
            node.send_as(ben, &["budget_user"], request).await
        };
        send("move-between-envelopes", &moved).await.problem(403, "Forbidden");
        let open = json!({ "account": ben, "month": month });
        let problem = send("open-budget-month", &open).await.problem(422, "InvalidValue");
        assert_eq!(problem["field"], "month");
    }
}

#[actix_web::test]
async fn nobody_reads_the_days_of_others() {
    let node = node().await;
    let position = february(&node).await;
    let path = format!("/v1/budget/calendar/2024-02?min_position={position}");
    let ben = node.send_as(Uuid::from_u128(6), &["budget_user"], TestRequest::get().uri(&path)).await;
    assert_eq!((ben.status.as_u16(), &ben.json()["items"]), (200, &json!([])));
    let without = node.send_as(ANNA, &["student"], TestRequest::get().uri(&path)).await;
    assert_eq!(without.json()["items"], json!([]), "reading a budget takes the scope read:budget");
}
