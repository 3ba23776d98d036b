//! What was taken away from somebody on one node is gone on every other one with the answer that says so.

use actix_web::test::TestRequest;
use event_store::{Append, NewEvent, StreamId};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use crate::{
    identity::{call, call_with, elevate, member, read_with, tokens},
    node::{ADMIN, TestNode, listening, node, org},
};

#[actix_web::test]
async fn idn_s4_a_revocation_is_effective_at_once_on_every_node() {
    let here = node().await;
    let there = here.beside().await;
    member(&here, "ada@example.edu").await;
    let (access, refresh) = tokens(&here, "ada@example.edu").await;
    let (other, _) = tokens(&there, "ada@example.edu").await;
    for node in [&here, &there] {
        assert_eq!(read_with(node, &access).await.status, 200);
        assert_eq!(read_with(node, &other).await.status, 200);
    }
    assert_eq!(call_with(&here, &other, "/v1/auth/logout", json!({})).await.status, 200);
    read_with(&here, &other).await.problem(401, "Unauthenticated");
    read_with(&there, &other).await.problem(401, "Unauthenticated");
    assert_eq!(read_with(&there, &access).await.status, 200, "the other session goes on");
    assert_eq!(call_with(&here, &access, "/v1/auth/logout-everywhere", json!({})).await.status, 200);
    read_with(&here, &access).await.problem(401, "Unauthenticated");
    read_with(&there, &access).await.problem(401, "Unauthenticated");
    let body = json!({ "refresh_token": refresh });
    call(&there, "/v1/auth/refresh", body).await.problem(401, "LoginRefused");
}

#[actix_web::test]
async fn idn_s4_no_answer_of_another_node_is_later_than_the_revocation_and_by_what_was_before_it() {
    let here = node().await;
    let there = here.beside().await;
    let id = member(&here, "ada@example.edu").await;
    let store = here.node.api.commands.store();
    let says = async |token: &str, text: String| {
        let put = TestRequest::put().uri("/v1/users/me/profile").set_json(json!({ "headline": text }));
        there.send(put.insert_header(("Authorization", format!("Bearer {token}")))).await
    };
    for round in 0..10 {
        let (access, _) = tokens(&here, "ada@example.edu").await;
        // Remembered there, and read once more while it is revoked here.
        assert_eq!(read_with(&there, &access).await.status, 200);
        let (ended, _) =
            tokio::join!(call_with(&here, &access, "/v1/auth/logout", json!({})), read_with(&there, &access));
        assert_eq!(ended.status, 200);
        read_with(&there, &access).await.problem(401, "Unauthenticated");

        // And of commands none is recorded, whether it would be accepted or refused.
        let (access, _) = tokens(&here, "ada@example.edu").await;
        assert_eq!(says(&access, format!("Round {round}")).await.status, 200);
        assert_eq!(call_with(&here, &access, "/v1/auth/logout", json!({})).await.status, 200);
        let ended = store.head().await.unwrap().position;
        let text = if round % 2 == 0 { format!("Late {round}") } else { "x".repeat(3000) };
        says(&access, text).await.problem(401, "Unauthenticated");
        let since = store.read_all(ended, 1000).await.unwrap();
        let late = since.iter().find(|event| event.stream.aggregate_type == "identity.profile");
        assert_eq!(late.map(|event| event.position), None);
    }
    // Whoever goes on is who they are, whatever else was recorded of them.
    let (access, _) = tokens(&here, "ada@example.edu").await;
    for round in 0..5 {
        assert_eq!(says(&access, format!("Here still, {round}")).await.status, 200);
        elevate(&here, &access).await;
    }
    let (access, _) = tokens(&there, "ada@example.edu").await;
    let assign = format!("/v1/identity/account/{id}/assign-role");
    assert_eq!(read_with(&there, &access).await.status, 200);
    assert_eq!(here.post(&assign, json!({ "role": "staff" })).await.status, 200);
    read_with(&there, &access).await.problem(401, "Unauthenticated");
    // Of more than is read one by one everything is forgotten.
    let (access, _) = tokens(&there, "ada@example.edu").await;
    assert_eq!(read_with(&there, &access).await.status, 200);
    assert_eq!(call_with(&here, &access, "/v1/auth/logout", json!({})).await.status, 200);
    here.node.api.commands.store().append(many(3000)).await.unwrap();
    read_with(&there, &access).await.problem(401, "Unauthenticated");
}

/// So many events, each in a stream of its own.
fn many(events: usize) -> Append {
    let event = |_| NewEvent {
        stream: StreamId::new("identity.org_unit", Uuid::now_v7().to_string()),
        event_id: Uuid::now_v7(),
        event_type: "OrgUnitDeactivated".into(),
        event_version: "1".into(),
        payload: r#"{"OrgUnitDeactivated":{"reason":"merged"}}"#.to_owned(),
        personal: Vec::new(),
        metadata: "{}".to_owned(),
    };
    let events = (0..events).map(event).collect();
    let (command_id, conditions, claims) = (Uuid::now_v7(), Vec::new(), Vec::new());
    Append { command_id, fingerprint: None, conditions, events, claims }
}

#[actix_web::test]
async fn idn_s5_whoever_proves_on_one_node_who_they_are_has_proven_it_to_every_one() {
    let here = node().await;
    let there = here.beside().await;
    let owner = member(&here, "ada@example.edu").await;
    let (access, _) = tokens(&here, "ada@example.edu").await;
    let fields = json!({ "name": "Import", "owner": owner, "scopes": ["read:public"], "per_minute": 60 });
    let issue = async |node| call_with(node, &access, "/v1/api-clients", fields.clone()).await;
    issue(&there).await.problem(401, "ElevationRequired");
    elevate(&here, &access).await;
    let issued = issue(&there).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
}

#[actix_web::test]
async fn idn_s4_nothing_is_recorded_for_whoever_was_let_in_and_is_out_before_their_body_is_there() {
    let listening = listening().await;
    let node = &listening.node;
    let id = member(node, "ada@example.edu").await;
    for (path, body) in [("/v1/auth/mfa/totp", "{}"), ("/v1/users/me/profile", "{\"headline\":\"Late\"}")] {
        let (access, _) = tokens(node, "ada@example.edu").await;
        elevate(node, &access).await;
        let method = if path.ends_with("profile") { "PUT" } else { "POST" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {access}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut late = TcpStream::connect(listening.address).await.unwrap();
        late.write_all(head.as_bytes()).await.unwrap();
        // By then they were let in; if not, they are refused there, which is right as well.
        for _ in 0..5 {
            assert_eq!(read_with(node, &access).await.status, 200);
        }
        assert_eq!(call_with(node, &access, "/v1/auth/logout", json!({})).await.status, 200);
        let store = node.node.api.commands.store();
        let ended = store.head().await.unwrap().position;
        late.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        late.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        let since = store.read_all(ended, 1000).await.unwrap();
        let own = [("identity.account", id), ("identity.profile", id)];
        let of = |(aggregate_type, id): &(&'static str, Uuid)| StreamId::new(*aggregate_type, id.to_string());
        assert!(since.iter().all(|event| own.iter().all(|stream| of(stream) != event.stream)), "{since:?}");
    }
    listening.stop(false).await;
}

#[actix_web::test]
async fn administrators_who_change_what_everybodys_right_rests_on_at_once_all_succeed() {
    let here = node().await;
    let there = here.beside().await;
    let change = async |node: &TestNode, first: u32| {
        let limit = |number| json!({ "per": "account", "limit": 5000 + number, "window_s": 60 });
        let part = |number| json!({ "method": "PUT", "path": "/v1/security-policy/rate-limits/operator", "body": limit(number) });
        let parts: Vec<Value> = (first..first + 16).map(part).collect();
        let batch = TestRequest::post().uri("/v1/batch").set_json(json!({ "requests": parts }));
        let answer = node.send_elevated(ADMIN, &["admin"], batch).await.json();
        let results = answer["results"].as_array().unwrap().clone();
        for result in results {
            assert!([200, 201].map(Value::from).contains(&result["status"]), "{result}");
        }
    };
    // Others go on meanwhile.
    let others = async {
        for number in 0..20 {
            let made = here.post("/v1/orgs", org(&format!("ORG{number}"))).await;
            assert_eq!(made.status, 201, "{}", made.text);
        }
    };
    tokio::join!(change(&here, 0), change(&there, 100), others);
}
