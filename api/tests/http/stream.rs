//! The stream of recorded events.

use std::{pin::Pin, time::Duration};

use actix_web::{App, body::MessageBody, http::Method, test, test::TestRequest};
use api::http::configure;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{member, tokens},
    node::{TestNode, node},
};

/// A client of the stream, and what it has read and not used.
pub(crate) struct Client {
    body: Pin<Box<dyn MessageBody<Error = Box<dyn std::error::Error>>>>,
    text: String,
}

impl Client {
    async fn open(node: &TestNode, subject: Uuid, roles: &[&str], after: Option<&str>) -> Client {
        Self::with(node, &node.token(subject, roles), after).await
    }

    async fn with(node: &TestNode, token: &str, after: Option<&str>) -> Client {
        Self::asking(node, token, "/v1/stream", after).await
    }

    /// A client that asks for more than events in its path.
    pub(crate) async fn asking(node: &TestNode, token: &str, path: &str, after: Option<&str>) -> Client {
        let bearer = format!("Bearer {token}");
        let mut request = TestRequest::get().uri(path).insert_header(("Authorization", bearer));
        if let Some(after) = after {
            request = request.insert_header(("Last-Event-ID", after));
        }
        let app = App::new().app_data(node.node.api.clone()).configure(configure);
        let service = test::init_service(app).await;
        let response = test::call_service(&service, request.to_request()).await;
        assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
        let mut client = Client { body: Box::pin(response.into_body().boxed()), text: String::new() };
        // From now on it is told what is recorded.
        assert_eq!(client.block().await, "retry: 2000");
        client
    }

    /// The next block of lines.
    pub(crate) async fn block(&mut self) -> String {
        self.next().await.expect("the stream goes on")
    }

    /// The next block of lines; none where the stream ends.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = std::future::poll_fn(|context| self.body.as_mut().poll_next(context));
            let chunk =
                tokio::time::timeout(Duration::from_secs(10), chunk).await.expect("something to read");
            let chunk = chunk?.unwrap_or_else(|error| panic!("{error}"));
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event: its id and its data.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        let block = self.block().await;
        let line = |start: &str| block.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned();
        (line("id: "), serde_json::from_str(&line("data: ")).unwrap())
    }
}

#[actix_web::test]
async fn whoever_resumes_misses_nothing_and_then_hears_what_is_recorded() {
    let node = node().await;
    node.org("KSU").await;
    node.org("PSU").await;
    let mut client = Client::open(&node, Uuid::from_u128(1), &["compliance"], Some("1")).await;
    let (id, event) = client.event().await;
    assert_eq!((&*id, &event["data"]["code"]), ("2", &Value::from("PSU")));
    node.org("WSU").await;
    let (id, event) = client.event().await;
    assert_eq!((&*id, &event["data"]["code"]), ("3", &Value::from("WSU")));
    assert_eq!(event["aggregate_type"], "identity.org_unit");
}

#[actix_web::test]
async fn people_hear_of_their_own_data_only() {
    let node = node().await;
    let (anna, ben) = (Uuid::from_u128(5), Uuid::from_u128(6));
    let mut client = Client::open(&node, anna, &["student"], Some("0")).await;
    for person in [ben, anna] {
        let headline = serde_json::json!({ "headline": "Hello" });
        let request = TestRequest::put().uri("/v1/users/me/profile").set_json(headline);
        assert_eq!(node.send_as(person, &["student"], request).await.status, 201);
    }
    let (_, event) = client.event().await;
    assert_eq!(event["aggregate_id"], anna.to_string());
    assert!(!event.to_string().contains("Hello"), "{event}");
}

#[actix_web::test]
async fn whoever_is_locked_out_is_told_no_more() {
    let node = node().await;
    let account = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let mut client = Client::with(&node, &access, Some("0")).await;
    // There is more about her than this.
    assert_eq!(client.event().await.1["event_type"], "AccountRegistered");
    let suspend = format!("/v1/identity/account/{account}/suspend-account");
    assert!(node.post(&suspend, json!({ "reason": "An investigation" })).await.status.is_success());
    let end = std::future::poll_fn(|context| client.body.as_mut().poll_next(context));
    let end = tokio::time::timeout(Duration::from_secs(10), end).await.unwrap();
    assert!(end.is_none(), "{end:?}");
}

#[actix_web::test]
async fn of_whom_an_auditor_is_told_is_on_record_before_they_are() {
    let node = node().await;
    let ada = member(&node, "ada@example.edu").await;
    let officer = Uuid::from_u128(9);
    let mut client = Client::open(&node, officer, &["compliance"], Some("0")).await;
    let (_, event) = client.event().await;
    assert_eq!(event["subjects"], json!([ada]));
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let access = events.iter().find(|event| event.event_type == "AccessLogged").unwrap();
    let access: Value = serde_json::from_str(&access.payload).unwrap();
    let logged = &access["AccessLogged"];
    let expected = (&json!(officer), &json!("/v1/stream"), &json!([ada]));
    assert_eq!((&logged["actor"], &logged["route"], &logged["subjects"]), expected);
}

#[actix_web::test]
async fn a_stream_ends_when_the_node_stops() {
    let node = node().await;
    let mut client = Client::open(&node, Uuid::from_u128(1), &["compliance"], None).await;
    node.node.api.stream.close();
    let end = std::future::poll_fn(|context| client.body.as_mut().poll_next(context));
    assert!(tokio::time::timeout(Duration::from_secs(10), end).await.expect("it ends").is_none());
}

#[actix_web::test]
async fn a_place_that_is_none_is_refused() {
    let node = node().await;
    for place in ["soon", "+5", "-1", "18446744073709551615"] {
        let request = TestRequest::get().uri("/v1/stream").insert_header(("Last-Event-ID", place));
        node.send_as(Uuid::from_u128(1), &["compliance"], request).await.problem(400, "InvalidParameter");
    }
}

#[actix_web::test]
async fn a_client_that_has_seen_more_than_there_is_learns_it_and_does_not_wait_for_what_will_not_come() {
    let node = node().await;
    let request = TestRequest::get().uri("/v1/stream").insert_header(("Last-Event-ID", "99999999"));
    node.send_as(Uuid::from_u128(1), &["compliance"], request).await.problem(404, "NotFound");
    assert_eq!(node.node.api.metrics.streams.get(), 0);
}

#[actix_web::test]
async fn asking_for_the_head_of_the_stream_opens_none() {
    let node = node().await;
    let request = TestRequest::with_uri("/v1/stream").method(actix_web::http::Method::HEAD);
    let head = node.send_as(Uuid::from_u128(1), &["compliance"], request).await;
    assert_eq!((head.status.as_u16(), head.header("content-type")), (200, "text/event-stream"));
    assert_eq!(node.node.api.metrics.streams.get(), 0);
}

#[actix_web::test]
async fn one_caller_has_so_many_streams_and_leaves_those_of_others_alone() {
    let node = node().await;
    let ask = async |person: u128| {
        let request = TestRequest::get().uri("/v1/stream");
        node.send_as(Uuid::from_u128(person), &["student"], request.method(Method::HEAD)).await
    };
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Client::open(&node, Uuid::from_u128(1), &["student"], None).await);
    }
    let refused = node.send_as(Uuid::from_u128(1), &["student"], TestRequest::get().uri("/v1/stream")).await;
    refused.problem(429, "RateLimited");
    Client::open(&node, Uuid::from_u128(2), &["student"], None).await;
    open.pop();
    Client::open(&node, Uuid::from_u128(1), &["student"], None).await;
    assert_eq!(ask(1).await.status.as_u16(), 200, "to ask what there is takes no place");
}
