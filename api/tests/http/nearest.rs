//! Credentials by the meaning of a text.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{TestNode, node};

const ANNA: Uuid = Uuid::from_u128(5);

/// A credential with one outcome, published or still a draft; the position of its last event.
async fn credential(node: &TestNode, institution: Uuid, code: &str, title: &str, published: bool) -> u64 {
    let draft = json!({ "program_code": code, "title": title, "institution": institution,
        "description": format!("A short program: {title}, with a final task that is assessed."),
        "type": "micro_credential", "delivery": "online", "hours": 40, "credits": 2000, "level": "introductory",
        "language": "en" });
    let (author, dean) = (Uuid::from_u128(0xA), Uuid::from_u128(0xB));
    let tell = async |person, role, path: &str, body: Value| {
        let request = TestRequest::post().uri(path).set_json(body);
        let answer = node.send_as(person, &[role], request).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer.json()
    };
    let drafted = tell(author, "program_coordinator", "/v1/credentials", draft).await;
    let path = format!("/v1/credentials/{}", drafted["id"].as_str().unwrap());
    let outcome = json!({ "outcome": Uuid::now_v7(), "text": title, "core": true, "order": 0 });
    let mut last = tell(author, "program_coordinator", &format!("{path}/outcomes"), outcome).await;
    if published {
        tell(author, "program_coordinator", &format!("{path}/submit"), json!({})).await;
        let effective = json!({ "effective": "2026-09-01" });
        last = tell(dean, "institution_admin", &format!("{path}/publish"), effective).await;
    }
    last["position"].as_u64().unwrap()
}

fn titles(found: &Value) -> Vec<&str> {
    let items = found["items"].as_array().unwrap().iter();
    items.map(|item| item["credential"]["title"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn r_25_credentials_are_found_by_what_their_texts_are_like_the_nearest_first() {
    let node = node().await;
    let (org, _) = node.org("PSU").await;
    credential(&node, org, "D-1", "Querying tabular data with SQL", true).await;
    credential(&node, org, "W-1", "Welding of steel pipes", true).await;
    let position = credential(&node, org, "D-2", "Cleaning of data in tables", false).await;
    let ask = async |query: &str| {
        let request = TestRequest::get().uri(&format!("/v1/credentials/search?{query}"));
        node.send_as(ANNA, &["student"], request).await
    };
    let found = ask(&format!("semantic=tables+of+data+and+SQL+queries&min_position={position}")).await.json();
    assert_eq!(titles(&found)[0], "Querying tabular data with SQL", "{found}");
    assert!(!titles(&found).contains(&"Cleaning of data in tables"), "a draft is for its institution");
    assert_eq!(found["engine"], "local/hashed-tfidf@1");
    let scores: Vec<i64> =
        found["items"].as_array().unwrap().iter().map(|item| item["score"].as_i64().unwrap()).collect();
    assert!(scores.is_sorted_by(|one, other| one >= other) && scores[0] > 1000, "{scores:?}");

    // What is published later is found by the next search, and filters hold.
    let position = credential(&node, org, "D-3", "SQL queries over tables of data", true).await;
    let found = ask(&format!("semantic=tables+of+data+and+SQL+queries&min_position={position}")).await.json();
    assert_eq!(titles(&found)[0], "SQL queries over tables of data");
    let one = ask("semantic=data&program_code=W-1&limit=1&fields=title").await.json();
    assert!(
        one["items"].as_array().unwrap().len() <= 1 && !titles(&one).contains(&"Cleaning of data in tables")
    );
    let exact = ask("semantic=welding+pipes&program_code=W-1&fields=title").await.json();
    assert_eq!(exact["items"][0]["credential"], json!({ "title": "Welding of steel pipes" }));
}

#[actix_web::test]
async fn a_search_for_what_is_alike_takes_one_text_and_no_order() {
    let node = node().await;
    for wrong in [
        "",
        "semantic=",
        "semantic=+",
        "semantic=a&semantic=b",
        "semantic=a&sort=title",
        "semantic=a&limit=51",
        "semantic=a&effective=yesterday",
        "semantic=a&effective=yesterday&min_position=1000000",
        "semantic=a&fields=colour",
    ] {
        let request = TestRequest::get().uri(&format!("/v1/credentials/search?{wrong}"));
        node.send_as(ANNA, &["student"], request).await.problem(400, "InvalidParameter");
    }
    let request = TestRequest::get().uri("/v1/credentials/search?semantic=data");
    assert_eq!(node.send_as(ANNA, &["student"], request).await.json()["items"], json!([]));
}
