//! Paths, methods, health, documents.

use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};

use crate::node::{ADMIN, node, org};

#[actix_web::test]
async fn a_path_that_nobody_has_is_a_problem_too() {
    let node = node().await;
    for path in
        ["/", "/v1", "/v1/orgs/", "/v1/nothing", "/v1/identity/org-unit/7/assign-cohort", "/%00", "/metrics"]
    {
        node.send(TestRequest::get().uri(path)).await.problem(404, "NoSuchRoute");
    }
}

#[actix_web::test]
async fn a_method_that_a_path_does_not_take_is_told_which_ones_it_takes() {
    let node = node().await;
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/orgs", "GET, HEAD, POST"),
        (Method::OPTIONS, "/v1/orgs", "GET, HEAD, POST"),
        (Method::TRACE, "/health", "GET, HEAD"),
        (Method::from_bytes(b"BREW").unwrap(), "/v1/budget/setup", "POST"),
    ] {
        let answer = node.send(TestRequest::with_uri(path).method(method)).await;
        answer.problem(405, "MethodNotAllowed");
        assert_eq!(answer.header("allow"), allowed);
    }
}

#[actix_web::test]
async fn a_healthy_node_says_so() {
    let node = node().await;
    for path in ["/health", "/health/live", "/health/ready", "/health/startup"] {
        let answer = node.send(TestRequest::get().uri(path)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_ne!(answer.json()["status"], "down");
    }
    let parts = node.send(TestRequest::get().uri("/health")).await.json();
    assert_eq!(parts["parts"][0], json!({ "name": "log", "status": "up", "detail": "at position 0" }));
}

#[actix_web::test]
async fn every_kind_of_problem_has_its_page() {
    let node = node().await;
    for code in api::problem::CODES {
        let path = format!("/problems/{}", api::problem::kebab(code.name));
        let page = node.send(TestRequest::get().uri(&path)).await;
        assert!(page.status == 200 && page.text.contains(code.meaning), "{path}: {}", page.text);
    }
    let own = node.send(TestRequest::get().uri("/problems/code-taken")).await;
    assert!(own.status == 200 && own.text.contains("identity.org_unit"), "{}", own.text);
    node.send(TestRequest::get().uri("/problems/none")).await.problem(404, "NotFound");
}

#[actix_web::test]
async fn the_document_is_public_and_described() {
    let node = node().await;
    let document = node.send(TestRequest::get().uri("/v1/openapi.json")).await;
    assert_eq!((document.status.as_u16(), &document.json()["openapi"]), (200, &json!("3.1.0")));
}

#[actix_web::test]
async fn what_commands_take_in_headers_is_described_as_parameters() {
    let node = node().await;
    let document = node.send(TestRequest::get().uri("/v1/openapi.json")).await.json();
    let parameters = document["paths"]["/v1/orgs/{id}"]["put"]["parameters"].as_array().unwrap();
    let names: Vec<&Value> = parameters
        .iter()
        .filter_map(|parameter| document.pointer(parameter["$ref"].as_str()?.strip_prefix('#')?))
        .map(|parameter| &parameter["name"])
        .collect();
    assert_eq!(names, ["Idempotency-Key", "If-Match"]);
    // Apart, not in one pattern: tools that make requests from the document make of that what is neither.
    let if_match = &document["components"]["parameters"]["IfMatch"]["schema"];
    assert_eq!((&if_match["anyOf"][0], &if_match["type"]), (&json!({ "const": "*" }), &Value::Null));
    for example in if_match["examples"].as_array().unwrap() {
        let create =
            TestRequest::post().uri("/v1/orgs").insert_header(("If-Match", example.as_str().unwrap()));
        let refused = node.send_as(ADMIN, &["admin"], create.set_json(org("PSU"))).await;
        refused.problem(412, "PreconditionFailed");
    }
}

#[actix_web::test]
async fn every_answer_keeps_browsers_at_bay() {
    let node = node().await;
    for path in ["/health", "/v1/nothing"] {
        let answer = node.send(TestRequest::get().uri(path)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-trace-id").len(), 32);
    }
}

#[actix_web::test]
async fn what_was_done_can_be_measured() {
    let node = node().await;
    node.org("PSU").await;
    node.send_as(ADMIN, &["admin"], TestRequest::get().uri("/v1/nothing")).await;
    let api = &node.node.api;
    api.measure();
    let text = api.metrics.render();
    for line in [
        r#"annals_http_requests_total{method="POST",route="/v1/orgs",status="2xx"} 1"#,
        r#"annals_http_requests_total{method="GET",route="(none)",status="4xx"} 1"#,
        r#"outcome="accepted"} 1"#,
        "annals_log_head_position 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
