//! What strangers see of the log: enough to check it, and nobody's data.

use actix_web::test::TestRequest;
use event_store::integrity::{Checkpoint, Hash, Proof, Verifier, verify_consistency};
use serde_json::json;
use uuid::Uuid;

use crate::node::{ADMIN, TestNode, node};

/// What anybody gets, once it is there.
async fn public(node: &TestNode, path: &str) -> String {
    let answer = node.send(TestRequest::get().uri(path)).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.text
}

/// Until the notary has signed so many events; its state is watched, not waited for.
pub(crate) async fn signed(node: &TestNode, size: u64) -> Checkpoint {
    let mut checkpoint = Err(String::new());
    let verifier: Verifier = public(node, "/v1/log/key").await.parse().unwrap();
    let waiting = async {
        while !checkpoint.as_ref().is_ok_and(|checkpoint: &Checkpoint| checkpoint.size >= size) {
            let answer = node.send(TestRequest::get().uri("/v1/log/checkpoint")).await;
            checkpoint = Checkpoint::open(&answer.text, &verifier).map_err(|error| error.to_string());
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("it is signed");
    checkpoint.unwrap()
}

#[actix_web::test]
async fn anybody_can_check_that_the_log_only_grew() {
    let node = node().await;
    node.org("ONE").await;
    let old = signed(&node, 1).await;
    node.org("TWO").await;
    node.org("THREE").await;
    let new = signed(&node, 3).await;
    let path = format!("/v1/log/consistency?from={}&to={}", old.size, new.size);
    let answer = node.send(TestRequest::get().uri(&path)).await.json();
    let hashes: Vec<Hash> = serde_json::from_value(answer["hashes"].clone()).unwrap();
    assert!(verify_consistency(old.size, old.root, new.size, new.root, &hashes));
    let request = || TestRequest::get().uri("/v1/log/tile/0/000.p/3");
    let tile = node.node.api.log.bytes("tile/0/000.p/3".parse().unwrap()).unwrap();
    assert_eq!((node.status_and_length(request()).await, tile.len()), ((200, 96), 96));
}

#[actix_web::test]
async fn whoever_may_read_the_audit_trail_gets_a_proof_that_verifies_offline() {
    let node = node().await;
    let (_, position) = node.org("ONE").await;
    // At once: the answer waits for the signature.
    let path = format!("/v1/log/proof/{position}");
    let proof: Proof = serde_json::from_str(&node.get(&path).await.text).unwrap();
    let verifier: Verifier = public(&node, "/v1/log/key").await.parse().unwrap();
    assert!(proof.verify(&verifier).unwrap().size >= position);
    assert_eq!((proof.leaf.position, &*proof.leaf.event_type), (position, "OrgUnitCreated"));
    node.send(TestRequest::get().uri(&path)).await.problem(401, "Unauthenticated");
    let student = node.send_as(Uuid::from_u128(5), &["student"], TestRequest::get().uri(&path)).await;
    student.problem(403, "Forbidden");
    let compliance = node.send_as(ADMIN, &["compliance"], TestRequest::get().uri(&path)).await;
    assert_eq!(compliance.status, 200, "{}", compliance.text);
}

#[actix_web::test]
async fn what_is_not_there_is_a_problem_with_a_code() {
    let node = node().await;
    let (_, position) = node.org("ONE").await;
    signed(&node, position).await;
    for path in
        ["/v1/log/tile/0/001", "/v1/log/tile/9/000", "/v1/log/tile/0/x000/000", "/v1/log/tile/0/000.p/7"]
    {
        node.send(TestRequest::get().uri(path)).await.problem(404, "NotFound");
    }
    node.send(TestRequest::get().uri("/v1/log/tile/0/..%2f..%2fkey")).await.problem(404, "NotFound");
    node.get("/v1/log/proof/999").await.problem(404, "NotFound");
    for path in [
        "/v1/log/proof/0",
        "/v1/log/proof/x",
        "/v1/log/consistency",
        "/v1/log/consistency?from=1&to=0",
        "/v1/log/key?x=1",
    ] {
        node.get(path).await.problem(400, "InvalidParameter");
    }
    for path in ["/v1/log/consistency?from=1&to=999", "/v1/log/consistency?from=999&to=0"] {
        node.get(path).await.problem(404, "NotFound");
    }
}

#[actix_web::test]
async fn an_event_that_was_rewritten_gets_no_proof() {
    let node = node().await;
    let (_, position) = node.org("ONE").await;
    signed(&node, position).await;
    let pool = node.node.api.commands.store().pool();
    for sql in [
        "ALTER TABLE annals.events DISABLE TRIGGER ALL",
        "UPDATE annals.events SET payload = '{}' WHERE position = 1",
    ] {
        sqlx::query(sql).execute(pool).await.unwrap();
    }
    node.get("/v1/log/proof/1").await.problem(500, "Internal");
}

#[actix_web::test]
async fn an_event_that_cannot_be_read_is_named_to_whoever_needs_it_and_its_content_to_nobody() {
    let one = node().await;
    let (id, position) = one.org("PSU").await;
    // It remembers nothing of the org unit.
    let two = one.beside().await;
    let falsified = r#"UPDATE annals.events SET payload = '{"OrgUnitCreated":{"kind":"zugvogelwarte"}}' WHERE position = $1"#;
    let pool = one.node.api.commands.store().pool();
    sqlx::query("ALTER TABLE annals.events DISABLE TRIGGER ALL").execute(pool).await.unwrap();
    sqlx::query(falsified).bind(position as i64).execute(pool).await.unwrap();
    for answer in [
        two.post(&format!("/v1/orgs/{id}/deactivate"), json!({ "reason": "merged" })).await,
        two.get(&format!("/v1/orgs?as_of={position}")).await,
        two.get(&format!("/v1/orgs/{id}?as_of={position}")).await,
    ] {
        let problem = answer.problem(500, "LogUnreadable");
        assert_eq!(problem["details"], json!({ "position": position }));
        assert!(!answer.text.contains("zugvogelwarte"), "{}", answer.text);
    }
    let page = two.send(TestRequest::get().uri("/problems/log-unreadable")).await;
    assert!(page.status == 200 && page.text.contains("annals-replay verify"), "{}", page.text);
}

#[actix_web::test]
async fn gov_i2_a_log_that_the_notary_refuses_is_an_incident() {
    let node = node().await;
    for number in 0..260 {
        node.org(&format!("U{number}")).await;
    }
    signed(&node, 260).await;
    let store = node.node.api.commands.store();
    for sql in [
        "ALTER TABLE annals.events DISABLE TRIGGER append_only",
        "UPDATE annals.events SET payload = '{}' WHERE position = 7",
        "ALTER TABLE annals.events ENABLE ALWAYS TRIGGER append_only",
    ] {
        sqlx::query(sql).execute(store.pool()).await.unwrap();
    }
    let mut news = store.subscribe_head();
    let opened = async {
        loop {
            let events = store.read_all(259, 100).await.unwrap();
            if let Some(opened) =
                events.into_iter().find(|event| event.event_type == "SecurityIncidentOpened")
            {
                return opened;
            }
            news.changed().await.unwrap();
        }
    };
    let opened = tokio::time::timeout(std::time::Duration::from_secs(30), opened).await.unwrap();
    assert!(opened.payload.contains("position 7 is not what was signed"), "{}", opened.payload);
    assert!(opened.payload.contains("integrity") && opened.payload.contains("critical"));
}
