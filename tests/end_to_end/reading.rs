//! The other ways to read: in GraphQL and over a WebSocket, from a node that runs as a process of its own.

use std::time::Duration;

use annals_tests::{Annals, Answer, Caller};
use reqwest::{Method, Upgraded};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::flows::{org, scholarship, submitted};

async fn ask(annals: &Annals, caller: &Caller, query: &str) -> Answer {
    let request = annals.request(caller, Method::POST, "/v1/graphql").json(&json!({ "query": query }));
    annals.send(request).await.unwrap()
}

#[tokio::test]
async fn each_role_sees_in_graphql_what_the_paths_show_it_and_nobody_breaks_anything_with_it() {
    let annals = Annals::start().await;
    let (student, staff) = (annals.caller(&["student"]), annals.caller(&["staff"]));
    let (other, analyst) = (annals.caller(&["student"]), annals.caller(&["analyst"]));
    let scholarship = scholarship(&annals).await;
    let (application, position) = submitted(&annals, &student, scholarship, "Because.").await;
    for caller in [&student, &staff, &other, &analyst] {
        let path = format!("/v1/applications?min_position={position}&fields=id,status");
        let path = annals.get(caller, &path).await;
        let query = format!(
            "{{ applications(min_position: {position}) {{ items {{ id status }} }}
                one: applications_by_id(id: \"{application}\") {{ id status }} }}"
        );
        let told = ask(&annals, caller, &query).await.ok();
        assert_eq!(told["data"]["applications"]["items"], path.ok()["items"], "{told}");
        let one = annals.get(caller, &format!("/v1/applications/{application}?fields=id,status")).await;
        match one.status.as_u16() {
            200 => assert_eq!(told["data"]["one"], one.body),
            _ => assert_eq!(told["errors"][0]["extensions"]["code"], one.body["code"], "{told}"),
        }
    }
    let mine = ask(&annals, &student, "{ applications { items { id } } }").await.ok();
    assert_eq!(mine["data"]["applications"]["items"], json!([{ "id": application }]));
    let theirs = ask(&annals, &other, "{ applications { items { id } } }").await.ok();
    assert_eq!(theirs["data"]["applications"]["items"], json!([]));

    let aliases: String = (0..101).map(|n| format!("a{n}: orgs {{ next }} ")).collect();
    for query in [
        "{ orgs { items { colour } } }".to_owned(),
        format!("{{ {aliases} }}"),
        format!("{}a{}", "{ a ".repeat(5000), " }".repeat(5000)),
        "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"
            .to_owned(),
    ] {
        let told = ask(&annals, &student, &query).await.ok();
        assert!(told.get("data").is_none(), "{query:.100}");
        assert_eq!(told["errors"][0]["extensions"]["code"], "Malformed", "{told}");
    }
    let large = ask(&annals, &student, &"#".repeat(2_000_000)).await;
    assert_eq!(large.problem(), (413, "TooLarge".to_owned()));
    let stranger = reqwest::Client::new().post(format!("{}/v1/graphql", annals.url));
    let stranger = stranger.json(&json!({ "query": "{ orgs { next } }" }));
    let (status, code) = annals.send(stranger).await.unwrap().problem();
    assert_eq!((status, &*code), (401, "Unauthenticated"));
    assert_eq!(ask(&annals, &student, "{ orgs { position } }").await.ok()["errors"], Value::Null);
}

async fn listen(annals: &Annals, caller: &Caller, after: u64) -> Upgraded {
    let request = annals.request(caller, Method::GET, &format!("/v1/ws?last_event_id={after}"));
    let request = request.header("Connection", "Upgrade").header("Upgrade", "websocket");
    let request = request.header("Sec-WebSocket-Version", "13");
    let response = request.header("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw==").send().await.unwrap();
    assert_eq!(response.status(), 101);
    response.upgrade().await.unwrap()
}

/// The next frame: what it is, and what is in it.
async fn frame(socket: &mut Upgraded) -> (u8, Vec<u8>) {
    let read = async {
        let head = [socket.read_u8().await.unwrap(), socket.read_u8().await.unwrap()];
        let length = match head[1] {
            126 => socket.read_u16().await.unwrap().into(),
            127 => socket.read_u64().await.unwrap(),
            short => short.into(),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        socket.read_exact(&mut payload).await.unwrap();
        (head[0] & 0x0F, payload)
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("something to read")
}

#[tokio::test]
async fn whoever_listens_over_a_socket_resumes_where_it_was_and_is_told_when_the_node_stops() {
    const TEXT: u8 = 1;
    const CLOSE: u8 = 8;
    let annals = Annals::start().await;
    let auditor = annals.caller(&["compliance"]);
    let institution = org(&annals, "institution", "PSU").await;
    let mut socket = listen(&annals, &auditor, 0).await;
    let event = loop {
        let (kind, payload) = frame(&mut socket).await;
        let event: Value = if kind == TEXT { serde_json::from_slice(&payload).unwrap() } else { continue };
        if event["aggregate_id"] == institution.to_string() {
            break event;
        }
    };
    assert_eq!((&event["event_type"], &event["data"]["code"]), (&json!("OrgUnitCreated"), &json!("PSU")));
    // One that comes back with the position before it is told it first.
    let mut resumed = listen(&annals, &auditor, event["position"].as_u64().unwrap() - 1).await;
    let (kind, payload) = frame(&mut resumed).await;
    assert_eq!((kind, serde_json::from_slice::<Value>(&payload).unwrap()), (TEXT, event));

    let stopped = tokio::task::spawn_blocking(move || drop(annals));
    let code = loop {
        let (kind, payload) = frame(&mut socket).await;
        if kind == CLOSE {
            break u16::from_be_bytes([payload[0], payload[1]]);
        }
    };
    assert_eq!(code, 1001);
    stopped.await.unwrap();
}
