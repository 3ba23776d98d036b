//! Many commands and queries in one request.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{ADMIN, Answer, TestNode, node, org};

const ANNA: Uuid = Uuid::from_u128(5);

fn batch(requests: Value) -> TestRequest {
    TestRequest::post().uri("/v1/batch").set_json(json!({ "requests": requests }))
}

async fn run(node: &TestNode, person: Uuid, role: &str, requests: Value) -> Vec<Value> {
    let answer = node.send_as(person, &[role], batch(requests)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["results"].as_array().unwrap().clone()
}

fn statuses(results: &[Value]) -> Vec<u64> {
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[actix_web::test]
async fn each_request_of_a_batch_has_a_result_of_its_own_in_their_order() {
    let node = node().await;
    let (first, position) = node.org("PSU").await;
    let results = run(
        &node,
        ADMIN,
        "admin",
        json!([
            { "method": "POST", "path": "/v1/orgs", "body": org("KSU"), "idempotency_key": "k-1" },
            { "method": "POST", "path": "/v1/orgs", "body": { "code": "X" } },
            { "method": "GET", "path": format!("/v1/orgs/{first}?min_position={position}") },
            { "method": "PUT", "path": format!("/v1/orgs/{first}"), "body": { "name": "Other" }, "if_match": "\"7\"" },
            { "method": "GET", "path": "/v1/nothing" },
            { "method": "DELETE", "path": "/v1/orgs" },
            { "method": "GET", "path": "/v1/log/key" },
        ]),
    )
    .await;
    assert_eq!(statuses(&results), [201, 400, 200, 412, 404, 405, 200], "{results:?}");
    let created = &results[0];
    let location = format!("/v1/orgs/{}", created["body"]["id"].as_str().unwrap());
    assert_eq!(created["headers"]["location"], location);
    assert_eq!(created["headers"]["etag"], "\"1\"");
    assert_eq!(results[1]["body"]["code"], "Malformed");
    assert_eq!(results[2]["body"]["code"], "PSU");
    assert_eq!(results[3]["body"]["code"], "PreconditionFailed");
    assert!(results[6]["body"].is_string(), "what is no JSON is a text");
    // The key is the same whether the command comes alone or in a batch.
    let alone =
        TestRequest::post().uri("/v1/orgs").set_json(org("KSU")).insert_header(("Idempotency-Key", "k-1"));
    let again = node.send_as(ADMIN, &["admin"], alone).await;
    assert_eq!((again.header("idempotent-replayed"), &again.json()), ("true", &created["body"]));
}

#[actix_web::test]
async fn a_batch_opens_nothing_that_its_parts_do_not() {
    let node = node().await;
    node.send(batch(json!([{ "method": "GET", "path": "/v1/orgs" }]))).await.problem(401, "Unauthenticated");
    let results = run(
        &node,
        ANNA,
        "student",
        json!([
            { "method": "POST", "path": "/v1/orgs", "body": org("KSU") },
            { "method": "GET", "path": "/v1/audit/trail" },
            { "method": "POST", "path": "/v1/auth/login", "body": {} },
            { "method": "POST", "path": "/v1/batch", "body": { "requests": [] } },
            { "method": "GET", "path": "/v1/stream" },
            { "method": "GET", "path": "http://127.0.0.1/v1/orgs" },
            { "method": "GET", "path": "/health" },
            { "method": "GET", "path": "/v1/orgs", "body": {} },
            { "method": "GET", "path": "/v1/orgs", "purpose": "\n" },
            { "method": "PUT", "path": "/v1/users/me/profile", "body": { "headline": "Hello" } },
        ]),
    )
    .await;
    assert_eq!(statuses(&results), [403, 403, 400, 400, 400, 400, 400, 400, 400, 201], "{results:?}");
    // Whoever was turned away from personal data is on record as if they had come alone.
    let events = node.node.api.commands.store().read_all(0, 100).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.event_type == "AccessDenied").count(), 1);
}

#[actix_web::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let node = node().await;
    let send = async |requests: Value| -> Answer { node.send_as(ANNA, &["student"], batch(requests)).await };
    send(json!([])).await.problem(422, "InvalidValue");
    let one = json!({ "method": "GET", "path": "/v1/orgs" });
    send(json!(vec![one.clone(); 101])).await.problem(422, "InvalidValue");
    let list = json!([one, { "method": "PUT", "path": "/v1/users/me/profile", "body": [] }]);
    assert_eq!(send(list).await.problem(400, "Malformed")["field"], "requests[1].body");
    for (wrong, field) in [
        (json!({}), json!("requests")),
        (json!([{ "method": "BREW", "path": "/v1/orgs" }]), json!("requests[0].method")),
        (json!([{ "path": "/v1/orgs" }]), json!("requests[0].method")),
    ] {
        assert_eq!(send(wrong).await.problem(400, "Malformed")["field"], field);
    }
    let nothing = TestRequest::post().uri("/v1/batch").set_json(json!({}));
    let problem = node.send_as(ANNA, &["student"], nothing).await.problem(400, "Malformed");
    assert_eq!(problem["field"], "requests", "what is missing");
    let all = send(json!(vec![one; 100])).await.json();
    assert_eq!(statuses(all["results"].as_array().unwrap()), [200; 100]);
}

#[actix_web::test]
async fn every_part_of_a_batch_counts_against_the_limit() {
    let node = node().await;
    let fields = json!({ "per": "account", "limit": 3, "window_s": 86_400 });
    let put = TestRequest::put().uri("/v1/security-policy/rate-limits/operator").set_json(fields);
    assert!(node.send_elevated(ADMIN, &["admin"], put).await.status.is_success());
    let one = json!({ "method": "GET", "path": "/v1/orgs" });
    let mut results = statuses(&run(&node, ANNA, "student", json!(vec![one; 5])).await);
    results.sort_unstable();
    assert_eq!(results, [200, 200, 200, 429, 429]);
}
