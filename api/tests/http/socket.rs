//! The stream of recorded events over a WebSocket, on a real connection.

use std::time::Duration;

use actix_web::test::TestRequest;
use reqwest::{RequestBuilder, Upgraded};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

use crate::{
    identity::{log_in, member, tokens},
    node::{ADMIN, Listening, listening},
};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

impl Listening {
    /// The handshake, without anything that says who asks.
    fn handshake(&self, query: &str) -> RequestBuilder {
        self.handshake_of("13", query)
    }

    /// The handshake of a version.
    fn handshake_of(&self, version: &str, query: &str) -> RequestBuilder {
        api::choose_cryptography();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        let request = client.get(format!("http://{}/v1/ws{query}", self.address));
        let request = request.header("Connection", "Upgrade").header("Upgrade", "websocket");
        let request = request.header("Sec-WebSocket-Version", version);
        request.header("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw==")
    }

    /// The status and the code of a refusal.
    async fn refused(&self, request: RequestBuilder) -> (u16, String) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let problem: Value = response.json().await.unwrap();
        (status, problem["code"].as_str().unwrap().to_owned())
    }

    async fn open(&self, token: &str, query: &str) -> Socket {
        Socket::of(self.handshake(query).bearer_auth(token)).await
    }
}

/// An open socket, as its client has it.
struct Socket(Upgraded);

impl Socket {
    async fn of(handshake: RequestBuilder) -> Socket {
        let response = handshake.send().await.unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-accept"], "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
        Socket(response.upgrade().await.unwrap())
    }

    /// The next frame: what it is, and what is in it.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let read = async {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).await.unwrap();
            let length = match head[1] {
                126 => self.0.read_u16().await.unwrap().into(),
                127 => self.0.read_u64().await.unwrap(),
                short => short.into(),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await.unwrap();
            (head[0] & 0x0F, payload)
        };
        tokio::time::timeout(Duration::from_secs(30), read).await.expect("something to read")
    }

    /// The next event.
    async fn event(&mut self) -> Value {
        let (kind, payload) = self.frame().await;
        assert_eq!(kind, TEXT, "{}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).unwrap()
    }

    /// The code with which it is closed, whatever was told before.
    async fn closed(&mut self) -> u16 {
        loop {
            let (kind, payload) = self.frame().await;
            assert_ne!(kind, PING, "it is served on and on");
            if kind == CLOSE {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }

    /// Sends a short frame; clients mask theirs.
    async fn send(&mut self, kind: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        self.0.write_all(&[0x80 | kind, 0x80 | length, 0, 0, 0, 0]).await.unwrap();
        self.0.write_all(payload).await.unwrap();
        self.0.flush().await.unwrap();
    }
}

#[actix_web::test]
async fn whoever_resumes_misses_nothing_and_then_hears_what_is_recorded() {
    let listening = listening().await;
    let node = &listening.node;
    node.org("KSU").await;
    node.org("PSU").await;
    let token = node.token(Uuid::from_u128(1), &["compliance"]);
    let mut socket = listening.open(&token, "?last_event_id=1").await;
    let event = socket.event().await;
    assert_eq!((&event["position"], &event["data"]["code"]), (&json!(2), &json!("PSU")));
    node.org("WSU").await;
    let event = socket.event().await;
    assert_eq!((&event["position"], &event["data"]["code"]), (&json!(3), &json!("WSU")));
    assert_eq!(event["aggregate_type"], "identity.org_unit");
    listening.stop(false).await;
}

#[actix_web::test]
async fn rows_that_changed_come_before_the_events_and_have_no_position_to_resume_with() {
    let listening = listening().await;
    let node = &listening.node;
    node.org("KSU").await;
    let (psu, _) = node.org("PSU").await;
    let token = node.token(Uuid::from_u128(1), &["compliance"]);
    let mut socket = listening.open(&token, "?rows=org_directory&last_event_id=1").await;
    let told = socket.event().await;
    assert_eq!((&told["row"]["read_model"], &told["position"]), (&json!("org_directory"), &Value::Null));
    assert_eq!((&told["row"]["key"]["org_id"], &told["row"]["row"]["code"]), (&json!(psu), &json!("PSU")));
    assert_eq!(socket.event().await["position"], 2);
    // To whom no event is shown it is told how far they were told.
    let token = node.token(Uuid::from_u128(5), &["student"]);
    let mut socket = listening.open(&token, "?last_event_id=1&rows=org_directory").await;
    assert_eq!(socket.event().await["row"]["row"]["code"], "PSU");
    assert_eq!(socket.event().await, json!({ "position": 2 }));
    node.org("WSU").await;
    assert_eq!(socket.event().await["row"]["row"]["code"], "WSU");
    assert_eq!(socket.event().await, json!({ "position": 3 }));
    listening.stop(false).await;
}

#[actix_web::test]
async fn people_hear_of_their_own_data_only_and_of_no_personal_value() {
    let listening = listening().await;
    let node = &listening.node;
    let (anna, ben) = (Uuid::from_u128(5), Uuid::from_u128(6));
    let mut socket = listening.open(&node.token(anna, &["student"]), "?last_event_id=0").await;
    for person in [ben, anna] {
        let headline =
            TestRequest::put().uri("/v1/users/me/profile").set_json(json!({ "headline": "Hello" }));
        assert_eq!(node.send_as(person, &["student"], headline).await.status, 201);
    }
    let event = socket.event().await;
    assert_eq!(event["aggregate_id"], anna.to_string());
    assert!(!event.to_string().contains("Hello"), "{event}");
    listening.stop(false).await;
}

#[actix_web::test]
async fn of_whom_an_auditor_is_told_is_on_record_before_they_are() {
    let listening = listening().await;
    let node = &listening.node;
    let (ada, officer) = (member(node, "ada@example.edu").await, Uuid::from_u128(9));
    let mut socket = listening.open(&node.token(officer, &["compliance"]), "?last_event_id=0").await;
    assert_eq!(socket.event().await["subjects"], json!([ada]));
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let access = events.iter().find(|event| event.event_type == "AccessLogged").unwrap();
    let access: Value = serde_json::from_str(&access.payload).unwrap();
    let logged = &access["AccessLogged"];
    let expected = (&json!(officer), &json!("/v1/ws"), &json!([ada]));
    assert_eq!((&logged["actor"], &logged["route"], &logged["subjects"]), expected);
    listening.stop(false).await;
}

#[actix_web::test]
async fn whoever_is_locked_out_is_told_no_more_and_why() {
    let listening = listening().await;
    let node = &listening.node;
    let account = member(node, "ada@example.edu").await;
    let (access, _) = tokens(node, "ada@example.edu").await;
    let mut socket = listening.open(&access, "?last_event_id=0").await;
    assert_eq!(socket.event().await["event_type"], "AccountRegistered");
    let suspend = format!("/v1/identity/account/{account}/suspend-account");
    assert!(node.post(&suspend, json!({ "reason": "An investigation" })).await.status.is_success());
    assert_eq!(socket.closed().await, 1008);
    listening.stop(false).await;
}

#[actix_web::test]
async fn a_socket_is_closed_when_the_node_stops() {
    let listening = listening().await;
    let token = listening.node.token(Uuid::from_u128(1), &["compliance"]);
    let mut socket = listening.open(&token, "").await;
    // It is served.
    socket.send(PING, b"there?").await;
    assert_eq!(socket.frame().await, (PONG, b"there?".to_vec()));
    listening.node.node.api.stream.close();
    assert_eq!(socket.closed().await, 1001);
    listening.stop(false).await;
}

#[actix_web::test]
async fn a_client_has_nothing_to_say_but_ping_pong_and_close() {
    let listening = listening().await;
    let token = listening.node.token(Uuid::from_u128(1), &["student"]);
    let mut socket = listening.open(&token, "").await;
    socket.send(PONG, b"").await;
    socket.send(PING, b"a").await;
    assert_eq!(socket.frame().await, (PONG, b"a".to_vec()));
    socket.send(CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(socket.closed().await, 1000);
    for kind in [TEXT, 2] {
        let mut socket = listening.open(&token, "").await;
        socket.send(kind, b"hello").await;
        assert_eq!(socket.closed().await, 1003);
    }
    let mut socket = listening.open(&token, "").await;
    // A text of 64 GiB, of which no more is kept than a message may have.
    let mut begun = vec![0x81, 0xFF, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0];
    begun.resize(16 * 1024 + 1, b'a');
    socket.0.write_all(&begun).await.unwrap();
    assert_eq!(socket.closed().await, 1009);
    let mut socket = listening.open(&token, "").await;
    // What a client sends is masked.
    socket.0.write_all(&[0x81, 1, b'a']).await.unwrap();
    assert_eq!(socket.closed().await, 1002);
    let streams = &listening.node.node.api.metrics.streams;
    let gone = async {
        while streams.get() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("nobody is served any more");
    listening.stop(false).await;
}

#[actix_web::test]
async fn nothing_opens_a_socket_but_a_handshake_of_somebody_who_is_known() {
    let listening = listening().await;
    let token = listening.node.token(Uuid::from_u128(1), &["student"]);
    let refused = async |request| listening.refused(request).await;
    assert_eq!(refused(listening.handshake("")).await, (401, "Unauthenticated".into()));
    // A token is a header, and neither a part of the path nor a protocol.
    let in_path = listening.handshake(&format!("?access_token={token}"));
    assert_eq!(refused(in_path).await, (401, "Unauthenticated".into()));
    let protocol = listening.handshake("").header("Sec-WebSocket-Protocol", format!("bearer, {token}"));
    assert_eq!(refused(protocol).await, (401, "Unauthenticated".into()));
    for wrong in ["?last_event_id=soon", "?last_event_id=-1", "?colour=red"] {
        let request = listening.handshake(wrong).bearer_auth(&token);
        assert_eq!(refused(request).await, (400, "InvalidParameter".into()), "{wrong}");
    }
    let old = listening.handshake_of("8", "").bearer_auth(&token);
    assert_eq!(refused(old).await, (426, "UpgradeRequired".into()));
    let plain = TestRequest::get().uri("/v1/ws");
    let plain = listening.node.send_as(Uuid::from_u128(1), &["student"], plain).await;
    plain.problem(426, "UpgradeRequired");
    assert_eq!((plain.header("upgrade"), plain.header("sec-websocket-version")), ("websocket", "13"));
    listening.stop(false).await;
}

#[actix_web::test]
async fn no_other_web_site_opens_a_socket_with_a_browsers_cookie() {
    let listening = listening().await;
    let node = &listening.node;
    member(node, "ada@example.edu").await;
    let login = log_in(node, "ada@example.edu", json!({ "client": "web" })).await;
    let set = login.headers.get_all("set-cookie").map(|cookie| cookie.to_str().unwrap());
    let cookies: Vec<&str> = set.map(|cookie| cookie.split(';').next().unwrap()).collect();
    let with = |origin: Option<&str>| {
        let request = listening.handshake("?last_event_id=0").header("Cookie", cookies.join("; "));
        match origin {
            Some(origin) => request.header("Origin", origin),
            None => request,
        }
    };
    for origin in [None, Some("https://evil.example.org"), Some("null")] {
        assert_eq!(listening.refused(with(origin)).await, (403, "Forbidden".into()), "{origin:?}");
    }
    let own = format!("https://{}", listening.address);
    let mut socket = Socket::of(with(Some(&own))).await;
    assert_eq!(socket.event().await["event_type"], "AccountRegistered");
    let listed = json!({ "max_body_bytes": 65536, "cors_origins": ["https://app.example.edu"], "registration": "open" });
    let put = TestRequest::put().uri("/v1/security-policy/requests").set_json(listed);
    let set = node.send_elevated(ADMIN, &["admin"], put).await;
    assert!(set.status.is_success(), "{}", set.text);
    let mut socket = Socket::of(with(Some("https://app.example.edu"))).await;
    assert_eq!(socket.event().await["event_type"], "AccountRegistered");
    listening.stop(false).await;
}
