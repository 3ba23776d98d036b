//! Several nodes on one database.

use std::sync::Arc;

use annals_tests::Annals;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn racing_nodes_lose_no_append_and_acknowledge_none_falsely() {
    let one = Arc::new(Annals::start().await);
    let two = Arc::new(one.second_node().await);
    let admin = one.caller(&["admin"]);
    let id = super::flows::org(&one, "institution", "RACE").await;
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let (node, admin) = (if n % 2 == 0 { one.clone() } else { two.clone() }, admin.clone());
            tokio::spawn(async move {
                let rename = json!({ "name": format!("Name {n}") });
                node.command(&admin, "identity/org-unit", id, "revise-org-unit", rename).await
            })
        })
        .collect();
    let mut versions: Vec<u64> = Vec::new();
    for task in tasks {
        let answer = task.await.unwrap();
        // Only an acknowledgement counts; under such a race a conflict is an honest answer.
        if answer.status.is_success() {
            versions.push(answer.ok()["version"].as_u64().unwrap());
        } else {
            assert_eq!(answer.problem(), (409, "VersionConflict".to_owned()));
        }
    }
    versions.sort_unstable();
    let unique = versions.len();
    versions.dedup();
    assert_eq!(versions.len(), unique, "two acknowledgements of one version");
    let pool = one.database().await;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM annals.events WHERE aggregate_id = $1")
        .bind(id.to_string())
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(stored as usize, unique + 1, "the creation and each acknowledged revision");
    let gaps: i64 = sqlx::query_scalar("SELECT max(position) - count(*) FROM annals.events")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(gaps, 0);
}

#[tokio::test]
async fn a_key_used_on_one_node_is_known_to_the_other() {
    let one = Annals::start().await;
    let two = one.second_node().await;
    let (admin, id) = (one.caller(&["admin"]), Uuid::now_v7());
    let fields =
        json!({ "kind": "institution", "code": "KEY", "name": "Key", "type": "university", "country": "US" });
    let path = format!("/v1/identity/org-unit/{id}/create-org-unit");
    let send = |node: &Annals, fields: &Value| {
        node.request(&admin, Method::POST, &path).header("Idempotency-Key", "k-1").json(fields)
    };
    let first = one.send(send(&one, &fields)).await.unwrap().ok();
    let again = two.send(send(&two, &fields)).await.unwrap();
    assert!(again.headers.contains_key("Idempotent-Replayed"));
    assert_eq!(again.ok(), first);
    let mut other = fields.clone();
    other["name"] = json!("Other");
    let reused = two.send(send(&two, &other)).await.unwrap();
    assert_eq!(reused.problem(), (409, "IdempotencyConflict".to_owned()));
}

#[tokio::test]
async fn the_keys_of_access_tokens_are_rotated_while_nodes_run() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let one = Annals::start().await;
    let two = one.second_node().await;
    let before = one.caller(&["admin"]);
    let file = std::path::PathBuf::from(&one.env["ANNALS_JWT_KEY_FILE"]);
    let key =
        |kid: &str, byte: u8| json!({ "kid": kid, "alg": "HS256", "secret": STANDARD.encode([byte; 32]) });
    let rotated = serde_json::to_vec(&json!([key("new", 1), key("newer", 2)])).unwrap();
    let keys = api::auth::SigningKeys::read(&rotated).unwrap();
    let roles = vec!["admin".to_owned()];
    let claims = api::auth::Claims::new(
        Uuid::now_v7(),
        roles,
        jiff::SignedDuration::from_hours(1),
        jiff::Timestamp::now(),
    );
    let after = annals_tests::Caller { id: before.id, token: keys.sign(&claims).unwrap() };
    for node in [&one, &two] {
        assert_eq!(node.get(&before, "/v1/orgs").await.status, 200);
        assert_eq!(node.get(&after, "/v1/orgs").await.status, 401);
    }
    std::fs::write(&file, rotated).unwrap();
    for node in [&one, &two] {
        let known = async {
            while node.get(&after, "/v1/orgs").await.status != 200 {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), known).await.unwrap();
        assert_eq!(node.get(&before, "/v1/orgs").await.status, 401, "its key is gone");
    }
}
