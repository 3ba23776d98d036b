//! What everybody may read, and how much of it is sent.

use actix_web::test::TestRequest;
use serde_json::json;

use crate::node::{ADMIN, node};

#[actix_web::test]
async fn the_events_are_described_for_everybody() {
    let node = node().await;
    let document = node.send(TestRequest::get().uri("/v1/asyncapi.json")).await;
    assert_eq!((document.status.as_u16(), &document.json()["asyncapi"]), (200, &json!("3.0.0")));
    let address = &document.json()["channels"]["OrgUnitCreated"]["address"];
    assert_eq!(address, "annals.events.identity.org_unit.OrgUnitCreated");
}

#[actix_web::test]
async fn pages_show_the_documents_without_anything_from_elsewhere() {
    let node = node().await;
    for path in ["/docs", "/docs/events"] {
        let page = node.send(TestRequest::get().uri(path)).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!page.text.contains("http://") && !page.text.contains("https://"), "nothing of another host");
        // Neither scripts nor styles stand in the page itself.
        assert!(page.text.matches("<script").count() == 1 && !page.text.contains("<style"));
        for part in page.text.split('"').filter(|part| part.starts_with("/docs/docs.")) {
            let part = node.send(TestRequest::get().uri(part)).await;
            assert_eq!(part.status, 200);
            assert!(!part.text.contains("innerHTML") && !part.text.contains("eval("));
        }
    }
}

#[actix_web::test]
async fn documents_are_compressed_and_are_not_sent_twice() {
    let node = node().await;
    let get = |path: &str, coding: &'static str| {
        TestRequest::get().uri(path).insert_header(("Accept-Encoding", coding))
    };
    let plain = node.send(TestRequest::get().uri("/v1/openapi.json")).await;
    for (coding, taken) in [("gzip", "gzip"), ("gzip, br", "br")] {
        let head = node.status_headers_and_length(get("/v1/openapi.json", coding)).await;
        assert_eq!(head.1.get("content-encoding").unwrap().to_str().unwrap(), taken);
        assert!(head.2 < plain.text.len() / 5, "{} of {}", head.2, plain.text.len());
    }
    let tag = plain.header("etag").to_owned();
    let again = node.send(get("/v1/openapi.json", "br").insert_header(("If-None-Match", tag))).await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
}

/// BREACH: nothing that a browser sends by itself opens an answer whose length tells of a secret.
#[actix_web::test]
async fn what_holds_secrets_is_never_compressed() {
    let node = node().await;
    for code in 0..30 {
        node.org(&format!("PSU{code}")).await;
    }
    let page = format!("/v1/orgs?min_position={}&limit=100", 30);
    let bearer = |request: TestRequest| {
        let token = node.token(ADMIN, &["admin"]);
        request
            .insert_header(("Accept-Encoding", "gzip"))
            .insert_header(("Authorization", format!("Bearer {token}")))
    };
    let rows = node.status_headers_and_length(bearer(TestRequest::get().uri(&page))).await;
    assert_eq!(rows.1.get("content-encoding").unwrap(), "gzip", "a query with a token is");
    let with_cookie = TestRequest::get()
        .uri(&page)
        .insert_header(("Accept-Encoding", "gzip"))
        .insert_header(("Cookie", format!("__Host-annals_access={}", node.token(ADMIN, &["admin"]))));
    let rows = node.status_headers_and_length(with_cookie).await;
    assert_eq!(rows.0, 200);
    assert!(rows.1.get("content-encoding").is_none(), "a query with a cookie is not");
    let many = json!({ "requests": vec![json!({ "method": "GET", "path": page }); 5] });
    let command =
        node.status_headers_and_length(bearer(TestRequest::post().uri("/v1/batch").set_json(many))).await;
    assert!(command.0 == 200 && command.1.get("content-encoding").is_none(), "nor what was posted");
}
