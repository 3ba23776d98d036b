//! Rows of read models that events change, as the stream tells them.

use std::{collections::BTreeSet, time::Duration};

use actix_web::{http::Method, test::TestRequest};
use domain::Actor;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{member, tokens},
    node::{ADMIN, TestNode, node},
    stream::Client,
};

const ANNA: Uuid = Uuid::from_u128(5);
const BEN: Uuid = Uuid::from_u128(6);
const CLERK: Uuid = Uuid::from_u128(7);

/// A client that asks for rows of these read models, and is told what comes after a position.
async fn listen(node: &TestNode, person: Uuid, roles: &[&str], rows: &str, after: u64) -> Client {
    let path = format!("/v1/stream?rows={rows}");
    Client::asking(node, &node.token(person, roles), &path, Some(&after.to_string())).await
}

impl Client {
    /// The next row; what is told before it is taken down.
    async fn row(&mut self, seen: &mut String) -> Value {
        loop {
            let block = self.block().await;
            seen.push_str(&block);
            if let Some(row) = row_of(&block) {
                return row;
            }
        }
    }
}

/// The row that a block tells, if it tells one.
fn row_of(block: &str) -> Option<Value> {
    Some(serde_json::from_str(block.strip_prefix("event: row\ndata: ")?).unwrap())
}

/// Somebody says something of themselves.
async fn says(node: &TestNode, person: Uuid, path: &str, body: Value) {
    let request = TestRequest::with_uri(path).method(Method::PUT).set_json(body);
    let said = node.send_as(person, &["student"], request).await;
    assert!(said.status.is_success(), "{path}: {}", said.text);
}

async fn says_of_themselves(node: &TestNode, person: Uuid, headline: &str) {
    says(node, person, "/v1/users/me/profile", json!({ "headline": headline })).await;
}

/// Of whom who was told is on record: the routes and the people.
async fn on_record(node: &TestNode) -> Vec<(Value, Value)> {
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let logged = events.iter().filter(|event| event.event_type == "AccessLogged").map(|event| {
        let mut fields = serde_json::from_str::<Value>(&event.payload).unwrap()["AccessLogged"].take();
        (fields["route"].take(), fields["subjects"].take())
    });
    logged.collect()
}

#[actix_web::test]
async fn rows_are_told_before_the_events_that_changed_them_and_again_to_whoever_resumes_before_them() {
    let node = node().await;
    node.org("KSU").await;
    let (psu, _) = node.org("PSU").await;
    let officer = Uuid::from_u128(9);
    for _ in 0..2 {
        let mut client = listen(&node, officer, &["compliance"], "org_directory", 1).await;
        let row = row_of(&client.block().await).unwrap();
        assert_eq!((&row["read_model"], &row["key"]), (&json!("org_directory"), &json!({ "org_id": psu })));
        assert_eq!(row["row"]["code"], "PSU");
        assert!(row["position"].as_u64() >= Some(2), "{row}");
        let (id, event) = client.event().await;
        assert_eq!((&*id, &event["event_type"]), ("2", &json!("OrgUnitCreated")));
    }
    let mut client = listen(&node, officer, &["compliance"], "org_directory", 2).await;
    node.org("WSU").await;
    assert_eq!(client.row(&mut String::new()).await["row"]["code"], "WSU");
    assert_eq!(client.event().await.0, "3");
}

#[actix_web::test]
async fn whoever_is_shown_rows_and_no_event_learns_how_far_they_were_told() {
    let node = node().await;
    node.org("KSU").await;
    let mut client = listen(&node, ANNA, &["student"], "org_directory", 0).await;
    for (code, position) in [("KSU", 1), ("PSU", 2)] {
        assert_eq!(row_of(&client.block().await).unwrap()["row"]["code"], code);
        assert_eq!(client.block().await, format!("id: {position}"));
        if position == 1 {
            node.org("PSU").await;
        }
    }
}

#[actix_web::test]
async fn people_are_told_of_their_own_rows_and_of_nobody_elses_keys() {
    let node = node().await;
    let mut client = listen(&node, ANNA, &["student"], "profiles,sessions", 0).await;
    let mut seen = String::new();
    for headline in ["Hello", "Hello again"] {
        says_of_themselves(&node, BEN, headline).await;
        says_of_themselves(&node, ANNA, headline).await;
        let row = client.row(&mut seen).await;
        assert_eq!((&row["key"], &row["row"]["headline"]), (&json!({ "account": ANNA }), &json!(headline)));
    }
    assert!(!seen.contains(&BEN.to_string()), "{seen}");
    assert!(on_record(&node).await.is_empty(), "what people are told of their own is nobody's business");
}

#[actix_web::test]
async fn of_whom_staff_are_told_rows_is_on_record_before_and_that_makes_no_news() {
    let node = node().await;
    let mut client = listen(&node, CLERK, &["staff"], "people,profiles", 0).await;
    for (times, headline) in [(1, "Hello"), (2, "Hello again")] {
        says_of_themselves(&node, ANNA, headline).await;
        let row = client.row(&mut String::new()).await;
        assert_eq!((&row["read_model"], &row["key"]), (&json!("people"), &json!({ "account": ANNA })));
        let once = (json!("/v1/stream"), json!([ANNA]));
        assert_eq!(on_record(&node).await, vec![once; times]);
    }
}

#[actix_web::test]
async fn columns_that_a_list_would_not_show_are_not_told() {
    let node = node().await;
    node.org("PSU").await;
    for (person, roles, told) in [(ANNA, ["student"], false), (ADMIN, ["admin"], true)] {
        let mut client = listen(&node, person, &roles, "org_directory", 0).await;
        let row = client.row(&mut String::new()).await;
        assert_eq!(row["row"].as_object().unwrap().contains_key("contact_email"), told, "{row}");
    }
}

#[actix_web::test]
async fn a_row_that_was_told_and_is_not_to_be_seen_any_more_is_told_as_nothing_once() {
    let node = node().await;
    let mut client = listen(&node, BEN, &["student"], "people", 0).await;
    let mut seen = String::new();
    says_of_themselves(&node, ANNA, "Hello").await;
    let row = client.row(&mut seen).await;
    assert_eq!((&row["key"]["account"], &row["row"]["headline"]), (&json!(ANNA), &json!("Hello")));
    let hidden = json!({ "visibility": "hidden", "ferpa_directory_opt_out": true });
    says(&node, ANNA, "/v1/users/me/visibility", hidden).await;
    let gone = client.row(&mut seen).await;
    assert_eq!((&gone["key"]["account"], &gone["row"]), (&json!(ANNA), &Value::Null));
    says_of_themselves(&node, ANNA, "Hello from nowhere").await;
    says_of_themselves(&node, BEN, "Hello").await;
    assert_eq!(client.row(&mut seen).await["key"]["account"], json!(BEN), "of her no more is told");
    // And nothing to whom nothing was told before.
    let head = node.node.api.commands.store().head().await.unwrap().position;
    let mut other = listen(&node, BEN, &["student"], "people", head).await;
    says_of_themselves(&node, ANNA, "Hello again").await;
    says_of_themselves(&node, BEN, "Hello again").await;
    assert_eq!(other.row(&mut seen).await["key"]["account"], json!(BEN));
}

#[actix_web::test]
async fn rows_whose_keys_have_parts_are_told_with_what_their_owner_may_read() {
    let node = node().await;
    let own = async |path: &str, body: Value| {
        let request = TestRequest::post().uri(path).set_json(body);
        let answer = node.send_as(ANNA, &["budget_user"], request).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let setup = json!({ "currency": "USD", "tz": "UTC", "country": "US", "mode": "off",
        "income": { "minor": 300_000, "ccy": "USD" }, "needs": 5000, "wants": 3000, "savings": 2000 });
    own("/v1/budget/setup", setup).await;
    let month = own("/v1/budget/months/2024-02", json!({})).await;
    let spent = json!({ "kind": "expense", "amount": { "minor": 1250, "ccy": "USD" }, "merchant": "Bistro",
        "spent_at": "2024-02-03T12:00:00Z", "category": "dining", "source": "manual" });
    let spent = own("/v1/transactions", spent).await;
    let mut client = listen(&node, ANNA, &["budget_user"], "envelopes,transactions", 0).await;
    let mut seen = String::new();
    let mut envelopes = BTreeSet::new();
    let transaction = loop {
        let row = client.row(&mut seen).await;
        match row["read_model"].as_str() {
            // The current month was opened by itself, and has envelopes too.
            Some("envelopes") if row["key"]["budget_month"] != json!(month) => {}
            Some("envelopes") => {
                envelopes.insert(row["key"]["category"].as_str().unwrap().to_owned());
            }
            _ => break row,
        }
    };
    assert!(envelopes.contains("dining") && envelopes.len() > 1, "{envelopes:?}");
    assert_eq!(transaction["key"], json!({ "account": ANNA, "id": spent }));
    assert_eq!(transaction["row"]["merchant"], "Bistro");
}

#[actix_web::test]
async fn however_many_rows_changed_each_is_told() {
    let node = node().await;
    let mut expected = BTreeSet::new();
    for number in 0..205 {
        expected.insert(format!("U{number}"));
        node.org(&format!("U{number}")).await;
    }
    let mut client = listen(&node, ANNA, &["student"], "org_directory", 0).await;
    let mut told = BTreeSet::new();
    for _ in 0..205 {
        told.insert(row_of(&client.block().await).unwrap()["row"]["code"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, expected);
    assert_eq!(client.block().await, "id: 205");
}

#[actix_web::test]
async fn a_read_model_that_stands_still_holds_up_no_event() {
    let node = node().await;
    let api = &node.node.api;
    let patience = Duration::from_secs(20);
    let (_, position) = node.org("KSU").await;
    assert!(api.projections.wait_for("org_directory", position, patience).await.unwrap());
    let park = "WITH head AS (UPDATE annals.projection_head SET layout = layout + 1 RETURNING position)
        UPDATE annals.projections SET state = 'parked', position = head.position, reason = 'a test'
        FROM head WHERE name = 'org_directory' AND serving";
    sqlx::query(park).execute(api.commands.store().pool()).await.unwrap();
    let mut client = listen(&node, ADMIN, &["admin"], "org_directory", position).await;
    node.org("PSU").await;
    let left_out = client.block().await;
    let left_out = left_out.strip_prefix("event: left_out\ndata: ").map(serde_json::from_str::<Value>);
    let expected = json!({ "read_model": "org_directory", "position": position + 1 });
    assert_eq!(left_out.unwrap().unwrap(), expected);
    let (id, event) = client.event().await;
    assert_eq!((id, &event["data"]["code"]), ((position + 1).to_string(), &json!("PSU")));
    api.projections.retry("org_directory", &Actor::user(ADMIN, &["admin"]), "a test").await.unwrap();
    let (_, position) = node.org("WSU").await;
    assert!(api.projections.wait_for("org_directory", position, patience).await.unwrap());
    assert_eq!(client.row(&mut String::new()).await["row"]["code"], "WSU", "it goes on from there");
}

#[actix_web::test]
async fn whoever_is_locked_out_is_told_of_no_more_rows() {
    let node = node().await;
    let account = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let head = node.node.api.commands.store().head().await.unwrap().position;
    let mut client = Client::asking(&node, &access, "/v1/stream?rows=accounts", Some("0")).await;
    assert_eq!(client.row(&mut String::new()).await["key"], json!({ "account": account }));
    let id = |block: &str| block.lines().find_map(|line| line.strip_prefix("id: ")?.parse::<u64>().ok());
    while id(&client.block().await) < Some(head) {}
    let suspend = format!("/v1/identity/account/{account}/suspend-account");
    assert!(node.post(&suspend, json!({ "reason": "An investigation" })).await.status.is_success());
    while let Some(block) = client.next().await {
        assert!(row_of(&block).is_none_or(|row| row["row"]["status"] == "active"), "{block}");
    }
}

#[actix_web::test]
async fn rows_are_asked_for_by_the_names_of_read_models_that_the_caller_may_read() {
    let node = node().await;
    for path in ["/v1/stream", "/v1/ws"] {
        let ask = async |role: &str, query: &str| {
            let request = TestRequest::get().uri(&format!("{path}?{query}"));
            node.send_as(ANNA, &[role], request).await
        };
        for wrong in [
            "rows=",
            "rows=nothing",
            "rows=profiles,nothing",
            "rows=profiles,profiles",
            "rows=profiles&rows=people",
            // What no path shows as it is.
            "rows=scholarship_funnel",
            "rows=budget_calendar",
            "rows=log_index",
        ] {
            let problem = ask("student", wrong).await.problem(400, "InvalidParameter");
            assert_eq!(problem["field"], "rows", "{wrong}");
        }
        let problem = ask("student", "rows=profiles&colour=red").await.problem(400, "InvalidParameter");
        assert_eq!(problem["field"], "colour");
        // As its list answers; and where a change would tell where in the log it is whoever must not know.
        for (role, rows) in [("student", "retention_board"), ("analyst", "org_directory")] {
            let problem = ask(role, &format!("rows=profiles,{rows}")).await.problem(403, "Forbidden");
            assert_eq!(problem["field"], "rows", "{role}");
        }
    }
    assert_eq!(node.node.api.metrics.streams.get(), 0);
}
