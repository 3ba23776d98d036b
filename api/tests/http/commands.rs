//! Commands in.

use actix_web::test::TestRequest;
use serde_json::json;
use uuid::Uuid;

use crate::node::{ADMIN, BODY_LIMIT, TestNode, node, org};

#[actix_web::test]
async fn a_command_that_begins_a_stream_is_answered_201_and_the_next_one_200() {
    let node = node().await;
    let created = node.post("/v1/orgs", org("PSU")).await;
    assert_eq!(created.status, 201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.json(), json!({ "id": id, "version": 1, "position": 1 }));
    assert_eq!((created.header("etag"), created.header("location")), ("\"1\"", &*format!("/v1/orgs/{id}")));

    let path = format!("/v1/identity/org-unit/{id}/deactivate-org-unit");
    let closed = node.post(&path, json!({ "reason": "merged" })).await;
    assert_eq!((closed.status.as_u16(), closed.header("etag")), (200, "\"2\""));
    assert_eq!(closed.json(), json!({ "id": id, "version": 2, "position": 2 }));
    assert!(!closed.headers.contains_key("location"));
}

#[actix_web::test]
async fn a_command_is_decided_on_what_was_acknowledged_before_it() {
    let node = node().await;
    for number in 0..30 {
        let (parent, _) = node.org(&format!("P{number}")).await;
        let child = json!({ "kind": "faculty", "code": format!("C{number}"), "name": "Arts", "type": "college",
            "country": "US", "parent": parent });
        assert_eq!(node.post("/v1/orgs", child).await.status, 201);
        let path = format!("/v1/identity/org-unit/{parent}/deactivate-org-unit");
        node.post(&path, json!({ "reason": "merged" })).await.problem(409, "HasActiveChildren");
    }
}

async fn keyed(node: &TestNode, key: &str, code: &str) -> crate::node::Answer {
    let request =
        TestRequest::post().uri("/v1/orgs").insert_header(("Idempotency-Key", key)).set_json(org(code));
    node.send_as(ADMIN, &["admin"], request).await
}

#[actix_web::test]
async fn a_repeat_under_the_same_key_is_answered_as_the_first_was_and_changes_nothing() {
    let node = node().await;
    let first = keyed(&node, "k", "PSU").await;
    let again = keyed(&node, "k", "PSU").await;
    assert_eq!((first.status, first.json()), (again.status, again.json()));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert!(!first.headers.contains_key("idempotent-replayed"));
    keyed(&node, "k", "KSU").await.problem(409, "IdempotencyConflict");
}

#[actix_web::test]
async fn a_key_belongs_to_its_caller_and_its_path() {
    let node = node().await;
    keyed(&node, "k", "PSU").await;
    let other =
        TestRequest::post().uri("/v1/orgs").insert_header(("Idempotency-Key", "k")).set_json(org("KSU"));
    let other = node.send_as(Uuid::from_u128(9), &["admin"], other).await;
    assert_eq!((other.status.as_u16(), &other.json()["position"]), (201, &json!(2)));
}

#[actix_web::test]
async fn the_order_of_fields_and_spaces_make_no_other_request() {
    let node = node().await;
    let first = keyed(&node, "k", "PSU").await.json();
    let body = r#"{ "country": "US", "type": "university", "name": "Pittsburg State", "code": "PSU", "kind": "institution" }"#;
    let request = TestRequest::post()
        .uri("/v1/orgs")
        .insert_header(("Idempotency-Key", "k"))
        .insert_header(("Content-Type", "application/json; charset=UTF-8"))
        .set_payload(body);
    assert_eq!(node.send_as(ADMIN, &["admin"], request).await.json(), first);
}

#[actix_web::test]
async fn a_version_that_the_stream_is_not_at_fails_the_precondition() {
    let node = node().await;
    let (id, _) = node.org("PSU").await;
    let path = format!("/v1/orgs/{id}/deactivate");
    let with = |version: &'static str| {
        let request = TestRequest::post().uri(&path).insert_header(("If-Match", version));
        node.send_as(ADMIN, &["admin"], request.set_json(json!({ "reason": "merged" })))
    };
    let failed = with("\"7\"").await.problem(412, "PreconditionFailed");
    assert_eq!(failed["details"]["current"], 1);
    with("7").await.problem(400, "InvalidParameter");
    with("W/\"1\"").await.problem(412, "PreconditionFailed");
    with("\"7\", \"8\"").await.problem(412, "PreconditionFailed");
    assert_eq!(with("\"7\", \"1\"").await.status, 200);
}

#[actix_web::test]
async fn a_command_for_any_version_is_one_for_what_is_there() {
    let node = node().await;
    let (id, _) = node.org("PSU").await;
    let close =
        TestRequest::post().uri(&format!("/v1/orgs/{id}/deactivate")).insert_header(("If-Match", "*"));
    let closed = node.send_as(ADMIN, &["admin"], close.set_json(json!({ "reason": "merged" }))).await;
    assert_eq!(closed.status, 200, "{}", closed.text);
    let create = TestRequest::post().uri("/v1/orgs").insert_header(("If-Match", "*")).set_json(org("KSU"));
    node.send_as(ADMIN, &["admin"], create).await.problem(412, "PreconditionFailed");
}

#[actix_web::test]
async fn what_is_wrong_with_a_body_is_told_by_status_and_field() {
    let node = node().await;
    let fields = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut body = org("PSU");
        change(&mut body);
        body
    };
    for (body, status, code, field) in [
        (fields(&|body| body["nmae"] = "x".into()), 400, "Malformed", "nmae"),
        (fields(&|body| body["name"] = 7.into()), 400, "Malformed", "name"),
        (fields(&|body| drop(body.as_object_mut().unwrap().remove("code"))), 400, "Malformed", "code"),
        (fields(&|body| body["kind"] = "castle".into()), 422, "InvalidValue", "kind"),
        (fields(&|body| body["code"] = "psu".into()), 422, "InvalidValue", "code"),
    ] {
        assert_eq!(node.post("/v1/orgs", body).await.problem(status, code)["field"], field);
    }
}

#[actix_web::test]
async fn a_problem_does_not_repeat_what_was_sent() {
    let node = node().await;
    let secret = "anna.smith@example.org";
    let mut body = org("PSU");
    body["parent"] = secret.into();
    let parent = node.post("/v1/orgs", body).await;
    parent.problem(422, "InvalidValue");
    assert!(!parent.text.contains(secret), "{}", parent.text);
    let mut body = org("PSU");
    body["contact_email"] = json!([secret]);
    let contact = node.post("/v1/orgs", body).await;
    contact.problem(400, "Malformed");
    assert!(!contact.text.contains(secret), "{}", contact.text);
}

async fn raw(node: &TestNode, content_type: &str, body: Vec<u8>) -> crate::node::Answer {
    let request = TestRequest::post().uri("/v1/orgs").insert_header(("Content-Type", content_type));
    node.send_as(ADMIN, &["admin"], request.set_payload(body)).await
}

#[actix_web::test]
async fn a_body_that_is_no_json_object_of_reasonable_size_is_refused() {
    let node = node().await;
    let json = "application/json";
    raw(&node, json, b"{".to_vec()).await.problem(400, "Malformed");
    raw(&node, json, b"[]".to_vec()).await.problem(400, "Malformed");
    raw(&node, json, vec![b'"', 0xFF, b'"']).await.problem(400, "Malformed");
    raw(&node, json, "[".repeat(2000).into_bytes()).await.problem(400, "Malformed");
    raw(&node, json, vec![b' '; BODY_LIMIT + 1]).await.problem(413, "TooLarge");
    raw(&node, "text/plain", b"{}".to_vec()).await.problem(415, "UnsupportedMediaType");
    raw(&node, "application/json; charset=latin1", b"{}".to_vec()).await.problem(415, "UnsupportedMediaType");
}

#[actix_web::test]
async fn a_command_without_fields_needs_no_body() {
    let node = node().await;
    let (id, _) = node.org("PSU").await;
    node.post(&format!("/v1/orgs/{id}/deactivate"), json!({ "reason": "merged" })).await;
    let path = format!("/v1/orgs/{id}/reactivate");
    let answer = node.send_as(ADMIN, &["admin"], TestRequest::post().uri(&path)).await;
    assert_eq!(answer.status, 200);
}

#[actix_web::test]
async fn refusals_of_the_aggregate_have_their_own_codes() {
    let node = node().await;
    let (id, _) = node.org("PSU").await;
    let taken = node.post("/v1/orgs", org("PSU")).await.problem(409, "CodeTaken");
    assert_eq!(taken["field"], "code");
    let again = format!("/v1/identity/org-unit/{id}/create-org-unit");
    let state = node.post(&again, org("KSU")).await.problem(409, "InvalidState");
    assert_eq!(state["details"], json!({ "state": "active", "command": "CreateOrgUnit" }));
    let nobody = format!("/v1/orgs/{}/reactivate", Uuid::from_u128(3));
    node.post(&nobody, json!({})).await.problem(404, "NotFound");
    node.post("/v1/orgs/7/reactivate", json!({})).await.problem(400, "InvalidParameter");
}

#[actix_web::test]
async fn events_carry_the_trace_of_their_request() {
    let node = node().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request =
        TestRequest::post().uri("/v1/orgs").insert_header(("traceparent", parent)).set_json(org("PSU"));
    let answer = node.send_as(ADMIN, &["admin"], request).await;
    assert_eq!(answer.header("x-trace-id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    let events = node.node.api.commands.store().read_all(0, 10).await.unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&events[0].metadata).unwrap();
    assert_eq!(metadata["correlation_id"], "4bf92f35-77b3-4da6-a3ce-929d0e0e4736");
    assert_eq!(metadata["traceparent"], answer.header("traceparent"));
}

#[actix_web::test]
async fn the_month_in_the_path_names_the_callers_own_budget() {
    let node = node().await;
    let anna = Uuid::from_u128(5);
    let roles = ["budget_user"];
    let setup = json!({ "currency": "USD", "tz": "America/Chicago", "country": "US", "mode": "propose",
        "income": { "minor": 300_000, "ccy": "USD" }, "needs": 5000, "wants": 3000, "savings": 2000 });
    let setup = TestRequest::post().uri("/v1/budget/setup").set_json(setup);
    assert_eq!(node.send_as(anna, &roles, setup).await.status, 201);
    // A month of its own: the current one is opened by the policy that follows the setup (P-23), at its own pace.
    let month = "2024-02";
    let opened = TestRequest::post().uri(&format!("/v1/budget/months/{month}"));
    let opened = node.send_as(anna, &roles, opened).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let id = domain::derived_id(&["budget", &anna.to_string(), month]);
    assert_eq!(opened.json()["id"], json!(id));
    let twice = json!({ "month": month });
    let twice = TestRequest::post().uri(&format!("/v1/budget/months/{month}")).set_json(twice);
    let problem = node.send_as(anna, &roles, twice).await.problem(400, "Malformed");
    assert_eq!(problem["field"], "month");
}
