//! What holds for every request, whatever it asks: headers, other web sites, and the end of a node.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{ADMIN, TestNode, listening, node, org};

const SITE: &str = "https://app.example.edu";

/// Lists a web site, as an administrator may at run time.
async fn list(node: &TestNode, site: &str) {
    let fields = json!({ "max_body_bytes": 2048, "cors_origins": [site], "registration": "open" });
    let put = TestRequest::put().uri("/v1/security-policy/requests").set_json(fields);
    let set = node.send_elevated(ADMIN, &["admin"], put).await;
    assert!(set.status.is_success(), "{}", set.text);
}

#[actix_web::test]
async fn only_listed_web_sites_may_read_answers() {
    let node = node().await;
    let from = |site: &'static str| TestRequest::get().uri("/v1/orgs").insert_header(("Origin", site));
    let before = node.send_as(ADMIN, &["admin"], from(SITE)).await;
    assert!(!before.headers.contains_key("access-control-allow-origin"));
    list(&node, SITE).await;
    let answer = node.send_as(ADMIN, &["admin"], from(SITE)).await;
    assert_eq!(answer.header("access-control-allow-origin"), SITE);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert!(answer.header("access-control-expose-headers").contains("RateLimit"));
    let problem = node.send(from(SITE)).await;
    problem.problem(401, "Unauthenticated");
    assert_eq!(problem.header("access-control-allow-origin"), SITE, "problems too");
    for other in
        ["https://evil.example", "null", "https://app.example.edu.evil.example", "http://app.example.edu"]
    {
        let answer = node.send_as(ADMIN, &["admin"], from(other)).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{other}");
    }
}

#[actix_web::test]
async fn browsers_of_listed_web_sites_are_told_what_they_may_send() {
    let node = node().await;
    list(&node, SITE).await;
    let ask = |site: &'static str, path: &str| {
        let request = TestRequest::with_uri(path).method(Method::OPTIONS).insert_header(("Origin", site));
        request.insert_header(("Access-Control-Request-Method", "POST"))
    };
    let answer = node.send(ask(SITE, "/v1/orgs")).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, POST");
    assert!(answer.header("access-control-allow-headers").contains("Idempotency-Key"));
    node.send(ask("https://evil.example", "/v1/orgs")).await.problem(405, "MethodNotAllowed");
    node.send(ask(SITE, "/v1/nothing")).await.problem(404, "NoSuchRoute");
}

#[actix_web::test]
async fn a_request_keeps_the_name_that_its_client_gave_it() {
    let node = node().await;
    let named = |id: &'static str| TestRequest::get().uri("/health/live").insert_header(("X-Request-Id", id));
    assert_eq!(node.send(named("job-7.a")).await.header("x-request-id"), "job-7.a");
    for wrong in ["", "a b", "<script>"] {
        let answer = node.send(named(wrong)).await;
        assert_eq!(answer.header("x-request-id"), answer.header("x-trace-id"));
    }
}

#[actix_web::test]
async fn what_is_too_large_is_refused_by_the_limit_that_holds_now() {
    let node = node().await;
    list(&node, SITE).await;
    let long = json!({ "headline": "x".repeat(3000) });
    let put = TestRequest::put().uri("/v1/users/me/profile").set_json(long);
    let problem = node.send_as(Uuid::from_u128(5), &["student"], put).await.problem(413, "TooLarge");
    assert_eq!(problem["details"]["limit_bytes"], 2048, "what the policy says, not the configuration");
    let heavy = TestRequest::get().uri("/health/live").insert_header(("X-Purpose", "x".repeat(40_000)));
    node.send(heavy).await.problem(431, "HeadersTooLarge");
}

/// A stopping node closes connections and says when to come back; whatever it accepted is in the log, and whatever is in
/// the log was acknowledged.
#[actix_web::test]
async fn a_node_that_stops_answers_what_it_has_begun_and_loses_nothing() {
    let listening = listening().await;
    let node = &listening.node;
    let url = format!("http://{}/v1/orgs", listening.address);
    api::choose_cryptography();
    let token = node.token(ADMIN, &["admin"]);
    let accepted = Arc::new(Mutex::new(BTreeSet::new()));
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let (url, token, accepted) = (url.clone(), token.clone(), accepted.clone());
            actix_web::rt::spawn(async move {
                let http = reqwest::Client::new();
                for number in 0.. {
                    let code = format!("C{client}N{number}");
                    let answer = http.post(&url).bearer_auth(&token).json(&org(&code)).send().await;
                    // Once it is gone nobody listens; nobody is cut off before.
                    let Ok(answer) = answer else { return };
                    if answer.status() != 201 {
                        assert_eq!(answer.headers()["connection"], "close");
                        assert!(answer.headers().contains_key("retry-after"));
                        let problem: Value = answer.json().await.unwrap();
                        assert_eq!(problem["code"], "Stopping", "{problem}");
                        return;
                    }
                    accepted.lock().unwrap().insert(code);
                }
            })
        })
        .collect();
    node.node.api.commands.store().subscribe_head().wait_for(|head| *head >= 40).await.unwrap();
    assert!(node.node.api.overload.stop(Duration::from_secs(30)).await);
    let ready = node.send(TestRequest::get().uri("/health/ready")).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (503, &json!("down")));
    let node = listening.stop(true).await;
    for client in clients {
        client.await.unwrap();
    }
    let events = node.node.api.commands.store().read_all(0, 100_000).await.unwrap();
    let recorded: BTreeSet<String> = events
        .iter()
        .filter_map(|event| {
            let payload: Value = serde_json::from_str(&event.payload).unwrap();
            payload["OrgUnitCreated"]["code"].as_str().map(str::to_owned)
        })
        .collect();
    assert!(recorded.len() >= 40);
    assert_eq!(recorded, *accepted.lock().unwrap());
}

#[actix_web::test]
async fn a_text_that_no_database_stores_is_refused_wherever_it_stands() {
    let node = node().await;
    let retired = TestRequest::delete().uri("/v1/security-policy/roles/%00");
    let answer = node.send_elevated(ADMIN, &["admin"], retired).await;
    assert!(answer.status.is_client_error(), "{}", answer.text);
    let policy = domain::identity::security_policy_id();
    let path = format!("/v1/identity/security-policy/{policy}/retire-role");
    let retired = TestRequest::post().uri(&path).set_json(json!({ "role": "a\u{0}b" }));
    let answer = node.send_elevated(ADMIN, &["admin"], retired).await;
    assert!(answer.status.is_client_error(), "{}", answer.text);
}
