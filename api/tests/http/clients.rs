//! API clients over time.

use std::time::Duration;

use actix_web::test::TestRequest;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use commands::Request;
use domain::identity::{Account, AccountCommand};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{PASSWORD, call, call_with, elevate, holder, mailed_to, member, read_with, tokens},
    node::{ADMIN, Answer, TestNode, node},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a client's review stands, months ahead, and lets it be due now, as of a key that was made years ago.
async fn review(node: &TestNode, client: Uuid) {
    let drawn = r#"UPDATE annals.timers SET due_at = now(), command =
        regexp_replace(command::text, '"since": *"[^"]*"', '"since":"2020-01-01T00:00:00Z"')::json
        WHERE policy = 'review_api_keys' AND aggregate_id = $1 AND due_at > now() + interval '179 days'"#;
    let look = async {
        let pool = node.node.api.commands.store().pool();
        while sqlx::query(drawn).bind(client).execute(pool).await.unwrap().rows_affected() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap();
}

/// Waits for an event, and gives its position.
async fn recorded(node: &TestNode, event_type: &str) -> u64 {
    let store = node.node.api.commands.store();
    let mut news = store.subscribe_head();
    let found = async {
        loop {
            let events = store.read_all(0, 1000).await.unwrap();
            if let Some(event) = events.iter().find(|event| event.event_type == event_type) {
                return event.position;
            }
            news.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap()
}

#[actix_web::test]
async fn idn_c3_a_key_that_is_not_used_for_180_days_is_told_to_its_owner_and_to_operators() {
    let node = node().await;
    let owner = member(&node, "ada@example.edu").await;
    let operator = member(&node, "olga@example.edu").await;
    let assigned = node.post(&format!("/v1/accounts/{operator}/roles"), json!({ "role": "operator" })).await;
    assert_eq!(assigned.status, 200, "{}", assigned.text);
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let fields = json!({ "name": "Import", "owner": owner, "scopes": ["read:public"], "per_minute": 100 });
    elevate(&node, &access).await;
    let issued = call_with(&node, &access, "/v1/api-clients", fields).await.json();
    let (client, key) = (issued["id"].as_str().unwrap(), issued["key"].as_str().unwrap());
    let client: Uuid = client.parse().unwrap();
    let row = async |position: u64| {
        let path = format!("/v1/api-clients/{client}?min_position={position}");
        let request = TestRequest::get().uri(&path);
        node.send(request.insert_header(("Authorization", format!("Bearer {access}")))).await.json()
    };

    review(&node, client).await;
    let unused = row(recorded(&node, "ApiKeyFoundUnused").await).await;
    assert_eq!(
        (&unused["unused_since"], &unused["status"]),
        (&json!("2020-01-01T00:00:00Z"), &json!("active"))
    );
    for reader in ["ada@example.edu", "olga@example.edu"] {
        mailed_to(&node, reader, "not been used since 2020-01-01").await;
    }

    // It is used after all: at once it is not unused any more, and the next review finds that out for good.
    let used =
        node.send(TestRequest::get().uri("/v1/orgs").insert_header(("X-API-Key", key.to_owned()))).await;
    assert_eq!(used.status, 200);
    let counted = async {
        loop {
            let row = row(0).await;
            if row["last_used"].is_string() {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let used = tokio::time::timeout(PATIENCE, counted).await.unwrap();
    assert_eq!(used["unused_since"], Value::Null);
    review(&node, client).await;
    let used = row(recorded(&node, "ApiKeyFoundInUse").await).await;
    assert_eq!(used["unused_since"], Value::Null);
    // And another one stands.
    review(&node, client).await;
}

/// A client of an operator's: its id, its key, and a token for it.
async fn client_of(node: &TestNode, email: &str, scopes: Value) -> (String, String, String) {
    let owner = member(node, email).await;
    let (access, _) = tokens(node, email).await;
    let fields = json!({
        "name": "Import", "owner": owner, "scopes": scopes, "per_minute": 60, "allowed_ips": [],
    });
    elevate(node, &access).await;
    let issued = call_with(node, &access, "/v1/api-clients", fields).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let text = |answer: &Answer, name: &str| answer.json()[name].as_str().unwrap().to_owned();
    let (id, key) = (text(&issued, "id"), text(&issued, "key"));
    let grant = json!({ "grant_type": "client_credentials", "client_secret": key });
    let token = text(&call(node, "/v1/auth/token", grant).await, "access_token");
    (id, key, token)
}

#[actix_web::test]
async fn the_keys_of_an_account_that_is_out_of_use_open_nothing() {
    let node = node().await;
    let (_, key, token) = client_of(&node, "ada@example.edu", json!(["read:public"])).await;
    assert_eq!(read_with(&node, &token).await.status, 200);
    let owner = holder(&node, "ada@example.edu").await.unwrap();
    let suspend = format!("/v1/identity/account/{owner}/suspend-account");
    assert!(node.post(&suspend, json!({ "reason": "An investigation" })).await.status.is_success());
    read_with(&node, &token).await.problem(401, "Unauthenticated");
    let request = TestRequest::get().uri("/v1/orgs").insert_header(("X-API-Key", key.clone()));
    node.send(request).await.problem(401, "Unauthenticated");
    let grant = json!({ "grant_type": "client_credentials", "client_secret": key });
    call(&node, "/v1/auth/token", grant).await.problem(401, "LoginRefused");
}

#[actix_web::test]
async fn somebody_has_ten_keys_of_their_own_making_and_no_more_calls_by_one_than_they_have_themselves() {
    let node = node().await;
    let owner = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    elevate(&node, &access).await;
    let scopes = ["read:public"];
    let fields = |per_minute: u32| json!({ "name": "Import", "owner": owner, "scopes": scopes, "per_minute": per_minute });
    let issue = async |per_minute| call_with(&node, &access, "/v1/api-clients", fields(per_minute)).await;
    let refused = issue(601).await.problem(422, "InvalidValue");
    assert_eq!(refused["field"], "per_minute");
    let mut last = String::new();
    for _ in 0..10 {
        let issued = issue(600).await;
        assert_eq!(issued.status, 201, "{}", issued.text);
        last = issued.json()["id"].as_str().unwrap().to_owned();
    }
    let refused = issue(600).await.problem(409, "TooManyClients");
    assert_eq!(refused["details"]["most"], 10);
    // What an operator makes for somebody is not counted, and may call more often.
    assert_eq!(node.post("/v1/api-clients", fields(5000)).await.status, 201);
    let revoke = format!("/v1/identity/api-client/{last}/revoke-api-key");
    let revoked = call_with(&node, &access, &revoke, json!({ "reason": "Not needed" })).await;
    assert!(revoked.status.is_success(), "{}", revoked.text);
    assert_eq!(issue(600).await.status, 201);
    issue(600).await.problem(409, "TooManyClients");
}

#[actix_web::test]
async fn a_scope_that_was_taken_from_a_key_is_gone_from_its_tokens_at_once() {
    let node = node().await;
    let scopes = json!(["read:public", "write:community"]);
    let (id, _, token) = client_of(&node, "ada@example.edu", scopes).await;
    let scopes = async || {
        let ticket = node.node.api.keys.verify(&token).unwrap();
        node.node.api.standing.examine(&ticket, None, jiff::Timestamp::now()).await.unwrap().lost
    };
    assert_eq!(scopes().await, [""; 0]);
    let fields = json!({ "scopes": ["read:public"], "per_minute": 60, "allowed_ips": [] });
    let narrowed = node.send_as(
        ADMIN,
        &["admin"],
        TestRequest::put().uri(&format!("/v1/api-clients/{id}/limits")).set_json(fields),
    );
    let narrowed = narrowed.await;
    assert_eq!(narrowed.status, 200, "{}", narrowed.text);
    assert_eq!(scopes().await, ["write:community"]);
    assert_eq!(read_with(&node, &token).await.status, 200, "what is left holds");
}

#[actix_web::test]
async fn a_token_does_not_outlive_the_key_that_it_was_got_with() {
    let node = node().await;
    let (id, _, token) = client_of(&node, "ada@example.edu", json!(["read:public"])).await;
    assert_eq!(read_with(&node, &token).await.status, 200);
    let rotated = node.post(&format!("/v1/api-clients/{id}/rotate"), json!({ "overlap_s": 0 })).await.json();
    read_with(&node, &token).await.problem(401, "Unauthenticated");
    let grant = json!({ "grant_type": "client_credentials", "client_secret": rotated["key"] });
    let fresh = call(&node, "/v1/auth/token", grant).await.json();
    assert_eq!(read_with(&node, fresh["access_token"].as_str().unwrap()).await.status, 200);
}

#[actix_web::test]
async fn whoever_must_change_the_password_acts_in_no_role_from_then_on() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let assigned = node.post(&format!("/v1/accounts/{id}/roles"), json!({ "role": "staff" })).await;
    assert_eq!(assigned.status, 200, "{}", assigned.text);
    let (access, _) = tokens(&node, "ada@example.edu").await;
    assert_eq!(read_with(&node, &access).await.status, 200);
    let require = format!("/v1/identity/account/{id}/require-password-change");
    let required = node.post(&require, json!({ "reason": "It was seen elsewhere." })).await;
    assert!(required.status.is_success(), "{}", required.text);
    read_with(&node, &access).await.problem(401, "Unauthenticated");
}

#[actix_web::test]
async fn what_an_owner_gave_a_key_of_their_own_ends_when_they_lose_it_themselves() {
    let node = node().await;
    let owner = member(&node, "ada@example.edu").await;
    let assigned = node.post(&format!("/v1/accounts/{owner}/roles"), json!({ "role": "staff" })).await;
    assert_eq!(assigned.status, 200, "{}", assigned.text);
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let fields = json!({ "name": "Import", "owner": owner, "scopes": ["manage:events"], "per_minute": 60 });
    call_with(&node, &access, "/v1/api-clients", fields.clone()).await.problem(401, "ElevationRequired");
    elevate(&node, &access).await;
    let own = call_with(&node, &access, "/v1/api-clients", fields.clone()).await.json();
    let given = node.post("/v1/api-clients", fields).await.json();
    let token = async |issued: &Value| {
        let grant = json!({ "grant_type": "client_credentials", "client_secret": issued["key"] });
        call(&node, "/v1/auth/token", grant).await.json()["access_token"].as_str().unwrap().to_owned()
    };
    let (own, given) = (token(&own).await, token(&given).await);
    let lost = async |token: &str| {
        let ticket = node.node.api.keys.verify(token).unwrap();
        node.node.api.standing.examine(&ticket, None, jiff::Timestamp::now()).await.unwrap().lost
    };
    assert_eq!((lost(&own).await, lost(&given).await), (Vec::new(), Vec::new()));
    let revoke = format!("/v1/identity/account/{owner}/revoke-role");
    assert_eq!(node.post(&revoke, json!({ "role": "staff" })).await.status, 200);
    assert_eq!(lost(&own).await, ["manage:events"]);
    assert_eq!(lost(&given).await, [""; 0], "an administrator gave it that, who answers for it");
}

/// A form as standard clients send it.
fn form(fields: &str) -> TestRequest {
    let request = TestRequest::post().uri("/v1/auth/token");
    request
        .insert_header(("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"))
        .set_payload(fields.to_owned())
}

#[actix_web::test]
async fn rfc6749_a_standard_client_gets_a_token_by_a_form_or_by_its_header() {
    let node = node().await;
    let (id, key, _) = client_of(&node, "ada@example.edu", json!(["read:public"])).await;
    let basic = |user: &str, key: &str| {
        ("Authorization", format!("Basic {}", BASE64.encode(format!("{user}:{key}"))))
    };
    let grant = "grant_type=client_credentials";
    let prefix = key.split('.').next().unwrap();
    for request in [
        form(&format!("{grant}&client_id={id}&client_secret={key}")),
        form(&format!("{grant}&client_secret={key}&scope=read%3Apublic&resource=https%3A%2F%2Fexample.edu")),
        form(&format!("{grant}&scope=")).insert_header(basic(&id, &key)),
        form(grant).insert_header(basic(&id.replace('-', "%2D"), &key)),
        form(&format!("{grant}&client_id={id}")).insert_header(basic(prefix, &key)),
        TestRequest::post()
            .uri("/v1/auth/token")
            .set_json(json!({ "grant_type": "client_credentials" }))
            .insert_header(basic(&id, &key)),
    ] {
        let answer = node.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        assert!(!answer.headers.contains_key("set-cookie"), "nothing that a browser would send by itself");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(read_with(&node, &token).await.status, 200);
    }
}

#[actix_web::test]
async fn rfc6749_52_whoever_is_refused_a_token_is_told_in_the_words_of_oauth() {
    let node = node().await;
    let (id, key, _) = client_of(&node, "ada@example.edu", json!(["read:public"])).await;
    let other = Uuid::now_v7();
    let basic = |user: &str, key: &str| {
        ("Authorization", format!("Basic {}", BASE64.encode(format!("{user}:{key}"))))
    };
    let grant = "grant_type=client_credentials";
    for (request, status, code, error) in [
        (form(&format!("client_secret={key}")), 400, "Malformed", "invalid_request"),
        (form(&format!("{grant}&{grant}&client_secret={key}")), 400, "Malformed", "invalid_request"),
        (form("grant_type=password&username=ada"), 400, "UnsupportedGrantType", "unsupported_grant_type"),
        (
            form(&format!("{grant}&client_secret={key}&scope=manage%3Aops")),
            400,
            "InvalidScope",
            "invalid_scope",
        ),
        (form(grant), 401, "LoginRefused", "invalid_client"),
        (
            form(&format!("{grant}&client_id={other}&client_secret={key}")),
            401,
            "LoginRefused",
            "invalid_client",
        ),
        (
            form(&format!("{grant}&client_secret={key}")).insert_header(basic(&id, &key)),
            400,
            "Malformed",
            "invalid_request",
        ),
        (
            TestRequest::post()
                .uri("/v1/auth/token")
                .insert_header(("Content-Type", "text/plain"))
                .set_payload(grant),
            415,
            "UnsupportedMediaType",
            "invalid_request",
        ),
    ] {
        let problem = node.send(request).await.problem(status, code);
        assert_eq!(problem["error"], error, "{problem}");
    }
    for (user, key) in [(&*id, "x"), (&*other.to_string(), &*key), ("", "")] {
        let answer = node.send(form(grant).insert_header(basic(user, key))).await;
        assert_eq!(answer.problem(401, "LoginRefused")["error"], "invalid_client");
        assert!(answer.header("www-authenticate").starts_with("Basic "), "as it was tried");
    }
    // Nothing else takes a form, which any web site can send.
    let login = TestRequest::post().uri("/v1/auth/login");
    let login = login.insert_header(("Content-Type", "application/x-www-form-urlencoded"));
    let refused = node.send(login.set_payload("email=ada%40example.edu&password=x")).await;
    assert_eq!(refused.problem(415, "UnsupportedMediaType")["error"], Value::Null);
}

#[actix_web::test]
async fn idn_c1_a_repeat_shows_the_key_again_until_anything_else_happens_to_the_client() {
    let node = node().await;
    let owner = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let elevated = call_with(&node, &access, "/v1/auth/elevate", json!({ "password": PASSWORD })).await;
    assert_eq!(elevated.status, 200, "{}", elevated.text);
    let keyed = async |path: &str, key: &'static str, body: &Value| {
        let request = TestRequest::post().uri(path).set_json(body).insert_header(("Idempotency-Key", key));
        let answer = node.send(request.insert_header(("Authorization", format!("Bearer {access}")))).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        answer
    };
    let fields = json!({ "name": "Import", "owner": owner, "scopes": ["read:public"], "per_minute": 60 });
    let issue = async || keyed("/v1/api-clients", "issue", &fields).await;
    let first = issue().await.json();
    let again = issue().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json(), first, "whoever lost the answer is given it again");

    let id = first["id"].as_str().unwrap();
    let path = format!("/v1/api-clients/{id}/rotate");
    let overlap = json!({ "overlap_s": 60 });
    let rotate = async || keyed(&path, "rotate", &overlap).await;
    let second = rotate().await.json();
    assert!(second["key"].is_string() && second["key"] != first["key"], "{second}");
    assert_eq!(rotate().await.json(), second);

    let withheld = |answer: &Answer, then: &Value| {
        let now = answer.json();
        assert!(!answer.text.contains(then["key"].as_str().unwrap()), "{now}");
        assert!(now["key"].is_null() && now["hint"].is_string(), "{now}");
        for same in ["id", "version", "position"] {
            assert_eq!(now[same], then[same]);
        }
        assert_eq!(answer.header("idempotent-replayed"), "true");
    };
    let late = issue().await;
    assert_eq!(late.status, 201);
    withheld(&late, &first);
    let revoke = format!("/v1/identity/api-client/{id}/revoke-api-key");
    let revoked = call_with(&node, &access, &revoke, json!({ "reason": "leaked" })).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    withheld(&rotate().await, &second);
}

#[actix_web::test]
async fn whose_account_is_erased_has_no_client_whose_key_is_not_revoked() {
    let node = node().await;
    let owner = member(&node, "ada@example.edu").await;
    let fields = json!({ "name": "Import", "owner": owner, "scopes": ["read:public"], "per_minute": 60 });
    let issued = node.post("/v1/api-clients", fields).await.json();
    let erase = AccountCommand::EraseAccount { privacy_request: Uuid::from_u128(0x9E) };
    let system = Request::by(domain::Actor::policy("erase_on_request"));
    node.node.api.commands.execute::<Account>(owner, erase, &system).await.unwrap();
    node.settled().await;
    let head = node.node.api.commands.store().head().await.unwrap().position;
    let path = format!("/v1/api-clients/{}?min_position={head}", issued["id"].as_str().unwrap());
    assert_eq!(node.get(&path).await.json()["status"], "revoked");
}
