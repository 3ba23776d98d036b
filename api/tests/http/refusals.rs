//! Refusals: how often, and which of them are on record.

use std::net::SocketAddr;

use actix_web::test::TestRequest;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    limits::{as_person, limit},
    node::{Answer, TestNode, node},
};

const ANNA: Uuid = Uuid::from_u128(5);
const BEN: Uuid = Uuid::from_u128(6);
const DAY: u32 = 86_400;
/// How many refusals of one caller are put on record within a minute.
const RECORDED: usize = 60;

/// Asks from this address, without a token.
async fn stranger(node: &TestNode, last: u8) -> Answer {
    let from = SocketAddr::from(([203, 0, 113, last], 4711));
    node.send(TestRequest::get().uri("/v1/orgs").peer_addr(from)).await
}

/// Asks for what only officers see.
async fn trail(node: &TestNode, person: Uuid) -> Answer {
    as_person(node, person, TestRequest::get().uri("/v1/audit/trail")).await
}

/// The reasons of the refusals that are on record.
async fn denied(node: &TestNode) -> Vec<String> {
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let denied = events.iter().filter(|event| event.event_type == "AccessDenied");
    let reason = |payload: &str| {
        let fields: Value = serde_json::from_str(payload).unwrap();
        fields["AccessDenied"]["reason"].as_str().unwrap().to_owned()
    };
    denied.map(|event| reason(&event.payload)).collect()
}

/// Asserts that of so many refusals of one caller as many are on record as may be, and that the others were counted.
async fn sixty_of(node: &TestNode, refused: usize) {
    let recorded = denied(node).await.len();
    // A window that ends meanwhile leaves room for another one or two.
    assert!((RECORDED..=RECORDED + 2).contains(&recorded), "{recorded}");
    let text = node.node.api.metrics.render();
    let line = format!("annals_http_refusals_unrecorded_total {}", refused - recorded);
    assert!(text.contains(&line), "{line}: {text}");
}

#[actix_web::test]
async fn whoever_is_refused_is_counted_and_told_when_to_come_back_as_whoever_is_not() {
    let node = node().await;
    limit(&node, "reads", "account", 3, DAY).await;
    for left in ["r=2", "r=1", "r=0"] {
        let strangers = stranger(&node, 1).await;
        strangers.problem(401, "Unauthenticated");
        let members = trail(&node, ANNA).await;
        members.problem(403, "Forbidden");
        for refused in [strangers, members] {
            assert!(refused.header("ratelimit").contains(left), "{:?}", refused.headers);
        }
    }
    for _ in 0..5 {
        let stranger = stranger(&node, 1).await;
        stranger.problem(401, "Unauthenticated");
        assert!(stranger.header("retry-after").parse::<u32>().is_ok(), "{:?}", stranger.headers);
        trail(&node, ANNA).await.problem(429, "RateLimited");
    }
    // Others are counted for themselves.
    stranger(&node, 2).await.problem(401, "Unauthenticated");
    trail(&node, BEN).await.problem(403, "Forbidden");
    let from = SocketAddr::from(([203, 0, 113, 1], 4711));
    let orgs = TestRequest::get().uri("/v1/orgs").peer_addr(from);
    assert_eq!(as_person(&node, BEN, orgs).await.status, 200);
    // Of all that was over the limit, the first call of whoever is known is on record.
    let mut denied = denied(&node).await;
    denied.sort();
    let expected = [vec!["Forbidden"; 4], vec!["RateLimited"; 1], vec!["Unauthenticated"; 4]].concat();
    assert_eq!(denied, expected);
}

#[actix_web::test]
async fn whoever_shows_a_token_whose_time_is_over_is_counted_by_their_address() {
    let node = node().await;
    limit(&node, "reads", "account", 3, DAY).await;
    let over = Timestamp::now() - SignedDuration::from_hours(2);
    let claims = api::auth::Claims::new(ANNA, vec!["student".into()], SignedDuration::from_mins(5), over);
    let token = format!("Bearer {}", node.node.api.keys.sign(&claims).unwrap());
    let show = async || {
        let request = TestRequest::get().uri("/v1/orgs").peer_addr("203.0.113.1:4711".parse().unwrap());
        node.send(request.insert_header(("Authorization", token.clone()))).await
    };
    for _ in 0..3 {
        let shown = show().await;
        shown.problem(401, "Unauthenticated");
        assert!(!shown.headers.contains_key("retry-after"));
    }
    // Others come by the same address: whoever must refresh their token is told so, and not that they came too often.
    let shown = show().await;
    shown.problem(401, "Unauthenticated");
    assert!(shown.headers.contains_key("retry-after"));
    assert_eq!(denied(&node).await.len(), 3);
}

#[actix_web::test]
async fn of_one_caller_sixty_refusals_in_a_minute_are_on_record_however_many_come_at_once() {
    let node = node().await;
    for refused in join_all((0..100).map(|_| stranger(&node, 1))).await {
        refused.problem(401, "Unauthenticated");
    }
    sixty_of(&node, 100).await;
    // Others are on record all the while.
    let before = denied(&node).await.len();
    stranger(&node, 2).await.problem(401, "Unauthenticated");
    trail(&node, ANNA).await.problem(403, "Forbidden");
    assert_eq!(denied(&node).await.len(), before + 2);
}

#[actix_web::test]
async fn each_part_of_a_batch_that_is_refused_is_counted_and_sixty_of_them_are_on_record() {
    let node = node().await;
    limit(&node, "reads", "account", 90, DAY).await;
    let parts = vec![json!({ "method": "GET", "path": "/v1/audit/trail" }); 100];
    let batch = TestRequest::post().uri("/v1/batch").set_json(json!({ "requests": parts }));
    let answer = as_person(&node, ANNA, batch).await.json();
    let results = answer["results"].as_array().unwrap();
    let of = |status: u16| results.iter().filter(|result| result["status"] == status).count();
    assert_eq!((of(403), of(429)), (90, 10), "{answer}");
    // Besides the 90, the first one over the limit would be on record.
    sixty_of(&node, 91).await;
}

#[actix_web::test]
async fn each_root_field_that_is_refused_is_counted_and_sixty_of_them_are_on_record() {
    let node = node().await;
    limit(&node, "reads", "account", 81, DAY).await;
    let roots: String = (0..100).map(|at| format!("r{at}: privacy_inventory_keys {{ next }} ")).collect();
    let document = TestRequest::post().uri("/v1/graphql");
    let document = document.set_json(json!({ "query": format!("{{ {roots} }}") }));
    let answer = as_person(&node, ANNA, document).await.json();
    let errors = answer["errors"].as_array().unwrap();
    let of = |code: &str| errors.iter().filter(|error| error["extensions"]["code"] == code).count();
    assert_eq!((of("Forbidden"), of("RateLimited")), (80, 20), "the document is a call itself: {answer}");
    sixty_of(&node, 81).await;
}
