//! API clients over time.

use std::time::Duration;

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{call_with, member, tokens},
    node::{TestNode, node},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a client's review stands, months ahead, and lets it be due now, as of a key that was made years ago.
async fn review(node: &TestNode, client: Uuid) {
    let drawn = r#"UPDATE annals.timers SET due_at = now(), command =
        regexp_replace(command::text, '"since": *"[^"]*"', '"since":"2020-01-01T00:00:00Z"')::json
        WHERE policy = 'review_api_keys' AND aggregate_id = $1 AND due_at > now() + interval '179 days'"#;
    let look = async {
        let pool = node.node.api.commands.store().pool();
        while sqlx::query(drawn).bind(client).execute(pool).await.unwrap().rows_affected() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap();
}

/// Waits for an event, and gives its position.
async fn recorded(node: &TestNode, event_type: &str) -> u64 {
    let store = node.node.api.commands.store();
    let mut news = store.subscribe_head();
    let found = async {
        loop {
            let events = store.read_all(0, 1000).await.unwrap();
            if let Some(event) = events.iter().find(|event| event.event_type == event_type) {
                return event.position;
            }
            news.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap()
}

/// Waits until somebody has a mail that says this.
async fn told(node: &TestNode, address: &str, words: &str) {
    let found = async {
        loop {
            let files = std::fs::read_dir(&node.outbox).unwrap().map(|file| file.unwrap().path());
            let letters = files.filter_map(|file| std::fs::read_to_string(file).ok());
            // A long line may be broken, with a sign of equality at its end.
            let mut letters = letters.map(|letter| letter.replace("=\r\n", ""));
            if letters.any(|letter| letter.contains(&format!("To: {address}")) && letter.contains(words)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
}

#[actix_web::test]
async fn idn_c3_a_key_that_is_not_used_for_180_days_is_told_to_its_owner_and_to_operators() {
    let node = node().await;
    let owner = member(&node, "ada@example.edu").await;
    let operator = member(&node, "olga@example.edu").await;
    let assigned = node.post(&format!("/v1/accounts/{operator}/roles"), json!({ "role": "operator" })).await;
    assert_eq!(assigned.status, 200, "{}", assigned.text);
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let fields = json!({ "name": "Import", "owner": owner, "scopes": ["read:public"], "per_minute": 100 });
    let issued = call_with(&node, &access, "/v1/api-clients", fields).await.json();
    let (client, key) = (issued["id"].as_str().unwrap(), issued["key"].as_str().unwrap());
    let client: Uuid = client.parse().unwrap();
    let row = async |position: u64| {
        let path = format!("/v1/api-clients/{client}?min_position={position}");
        let request = TestRequest::get().uri(&path);
        node.send(request.insert_header(("Authorization", format!("Bearer {access}")))).await.json()
    };

    review(&node, client).await;
    let unused = row(recorded(&node, "ApiKeyFoundUnused").await).await;
    assert_eq!(
        (&unused["unused_since"], &unused["status"]),
        (&json!("2020-01-01T00:00:00Z"), &json!("active"))
    );
    for reader in ["ada@example.edu", "olga@example.edu"] {
        told(&node, reader, "not been used since 2020-01-01").await;
    }

    // It is used after all: at once it is not unused any more, and the next review finds that out for good.
    let used =
        node.send(TestRequest::get().uri("/v1/orgs").insert_header(("X-API-Key", key.to_owned()))).await;
    assert_eq!(used.status, 200);
    let counted = async {
        loop {
            let row = row(0).await;
            if row["last_used"].is_string() {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let used = tokio::time::timeout(PATIENCE, counted).await.unwrap();
    assert_eq!(used["unused_since"], Value::Null);
    review(&node, client).await;
    let used = row(recorded(&node, "ApiKeyFoundInUse").await).await;
    assert_eq!(used["unused_since"], Value::Null);
    // And another one stands.
    review(&node, client).await;
}
