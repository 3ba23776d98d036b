//! Security keys and passkeys, with one made of software, and the attacks on them (Web Authentication 13).

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use actix_web::test::TestRequest;
use api::auth::Entrances;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use integrations::identity::WebAuthn;
use rcgen::{PublicKeyData, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    identity::{PASSWORD, call, call_with, history, log_in, member, pair, read_with, tokens},
    node::{Answer, TestNode, node_with},
};

const SITE: &str = "https://records.example.edu";
const HOST: &str = "records.example.edu";
/// The person is there, and has shown the key who they are.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const WITH_KEY: u8 = 0x40;

async fn node() -> TestNode {
    let keys = WebAuthn::new(SITE).unwrap();
    node_with(Entrances { security_keys: Some(Arc::new(keys)), ..Entrances::default() }).await
}

/// A key as they are sold, in software: P-256, no attestation.
struct Key {
    id: [u8; 16],
    pair: rcgen::KeyPair,
    /// Whose it is, as it was told at its registration.
    holder: String,
    count: AtomicU32,
}

/// How a browser, or what speaks for one, answers.
struct Browser {
    origin: &'static str,
    host: &'static str,
    flags: u8,
}

const HONEST: Browser = Browser { origin: SITE, host: HOST, flags: PRESENT | VERIFIED };

impl Browser {
    fn client_data(&self, kind: &str, options: &Value) -> String {
        let challenge = options["challenge"].as_str().unwrap();
        // As browsers write it (Web Authentication 5.8.1.1).
        format!(
            "{{\"type\":\"{kind}\",\"challenge\":\"{challenge}\",\"origin\":\"{}\",\"crossOrigin\":false}}",
            self.origin
        )
    }

    /// `navigator.credentials.create`.
    fn create(&self, options: &Value) -> (Key, Value) {
        self.create_as(*Uuid::new_v4().as_bytes(), options)
    }

    /// The same, of a key that says to be this credential.
    fn create_as(&self, id: [u8; 16], options: &Value) -> (Key, Value) {
        let holder = options["user"]["id"].as_str().unwrap().to_owned();
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = Key { id, pair, holder, count: AtomicU32::new(0) };
        let client_data = self.client_data("webauthn.create", options);
        let point = key.pair.der_bytes();
        let mut data = Sha256::digest(self.host).to_vec();
        data.push(self.flags | WITH_KEY);
        data.extend(0_u32.to_be_bytes());
        data.extend([0; 16]);
        data.extend(16_u16.to_be_bytes());
        data.extend(key.id);
        // COSE: {1: 2, 3: -7, -1: 1, -2: x, -3: y}
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..65]);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        let answer = json!({
            "id": BASE64.encode(key.id),
            "rawId": BASE64.encode(key.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": BASE64.encode(client_data),
                "attestationObject": BASE64.encode(object),
                "transports": ["usb"],
            },
        });
        (key, answer)
    }

    /// `navigator.credentials.get`.
    fn get(&self, key: &Key, options: &Value) -> Value {
        let count = key.count.fetch_add(1, Ordering::SeqCst) + 1;
        let client_data = self.client_data("webauthn.get", options);
        let mut data = Sha256::digest(self.host).to_vec();
        data.push(self.flags);
        data.extend(count.to_be_bytes());
        let signed = [&data[..], &Sha256::digest(&client_data)].concat();
        json!({
            "id": BASE64.encode(key.id),
            "rawId": BASE64.encode(key.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": BASE64.encode(client_data),
                "authenticatorData": BASE64.encode(data),
                "signature": BASE64.encode(key.pair.sign(&signed).unwrap()),
                "userHandle": key.holder,
            },
        })
    }
}

/// Registers a key of somebody who is logged in.
async fn register(node: &TestNode, access: &str) -> Key {
    call_with(node, access, "/v1/auth/elevate", json!({ "password": PASSWORD })).await;
    let begun = call_with(node, access, "/v1/auth/mfa/webauthn/start", json!({})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    let begun = begun.json();
    let (key, credential) = HONEST.create(&begun["options"]);
    let body = json!({ "ceremony": begun["ceremony"], "credential": credential, "device_name": "Blue key" });
    let registered = call_with(node, access, "/v1/auth/mfa/webauthn", body.clone()).await;
    assert_eq!(registered.status, 200, "{}", registered.text);
    assert_eq!(registered.json()["credential_id"], BASE64.encode(key.id));
    let again = call_with(node, access, "/v1/auth/mfa/webauthn", body).await;
    assert_eq!(again.status.as_u16() / 100, 4, "a ceremony is good for one key: {}", again.text);
    key
}

/// Ada, and her key.
async fn ada(node: &TestNode) -> (Uuid, String, Key) {
    let id = member(node, "ada@example.edu").await;
    let (access, _) = tokens(node, "ada@example.edu").await;
    let key = register(node, &access).await;
    (id, access, key)
}

async fn begun(node: &TestNode) -> Value {
    let begun = call(node, "/v1/auth/webauthn/start", json!({})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    begun.json()
}

async fn enter(node: &TestNode, begun: &Value, assertion: &Value) -> Answer {
    let body = json!({ "ceremony": begun["ceremony"], "assertion": assertion, "client": "api" });
    call(node, "/v1/auth/webauthn/login", body).await
}

#[actix_web::test]
async fn a_passkey_alone_logs_in_once_for_each_time_it_signs_on_any_node() {
    let node = node().await;
    let there = node.beside().await;
    let (id, _, key) = ada(&node).await;
    let begun = begun(&node).await;
    assert_eq!(begun["options"]["allowCredentials"], json!([]), "nobody is named");
    let assertion = HONEST.get(&key, &begun["options"]);
    let (access, _) = pair(&enter(&there, &begun, &assertion).await);
    assert_eq!(read_with(&node, &access).await.status, 200);
    for node in [&node, &there] {
        enter(node, &begun, &assertion).await.problem(401, "LoginRefused");
    }
    let events = history(&node, id).await;
    let last: Vec<&str> = events.iter().rev().take(2).map(|(name, _)| name.as_str()).collect();
    assert_eq!(last, ["LoginSucceeded", "WebAuthnAsserted"]);
    assert_eq!(events.last().unwrap().1["method"], "webauthn");
}

#[actix_web::test]
async fn what_is_signed_elsewhere_or_by_another_or_for_something_else_opens_nothing() {
    let node = node().await;
    let (id, access, key) = ada(&node).await;
    let another = Key {
        pair: rcgen::KeyPair::generate().unwrap(),
        holder: key.holder.clone(),
        ..HONEST.create(&json!({ "challenge": "AAAA", "user": { "id": key.holder } })).0
    };
    let impostor = Key { id: key.id, ..another };
    for (browser, who, why) in [
        (Browser { origin: "https://records.example.com", ..HONEST }, &key, "another site's page"),
        (Browser { origin: "http://records.example.edu", ..HONEST }, &key, "in the clear"),
        (Browser { host: "example.com", ..HONEST }, &key, "for another site"),
        (Browser { flags: PRESENT, ..HONEST }, &key, "without showing who is there"),
        (Browser { flags: VERIFIED, ..HONEST }, &key, "without anybody there"),
        (HONEST, &impostor, "with another key"),
    ] {
        let begun = begun(&node).await;
        let assertion = browser.get(who, &begun["options"]);
        let answer = enter(&node, &begun, &assertion).await;
        assert_eq!(answer.status.as_u16(), 401, "{why}: {}", answer.text);
        assert_eq!(history(&node, id).await.last().unwrap().0, "LoginFailed", "{why}");
    }
    let (one, other) = (begun(&node).await, begun(&node).await);
    enter(&node, &other, &HONEST.get(&key, &one["options"])).await.problem(401, "LoginRefused");
    let mut forged = one.clone();
    forged["ceremony"] = format!("{}0", one["ceremony"].as_str().unwrap()).into();
    enter(&node, &forged, &HONEST.get(&key, &one["options"])).await.problem(401, "LoginRefused");
    // What proves who is logged in logs nobody in.
    let proving = call_with(&node, &access, "/v1/auth/elevate/webauthn/start", json!({})).await.json();
    enter(&node, &proving, &HONEST.get(&key, &proving["options"])).await.problem(401, "LoginRefused");
    let stranger = HONEST.create(&json!({ "challenge": "AAAA", "user": { "id": key.holder } })).0;
    enter(&node, &one, &HONEST.get(&stranger, &one["options"])).await.problem(401, "LoginRefused");
    pair(&enter(&node, &one, &HONEST.get(&key, &one["options"])).await);
}

#[actix_web::test]
async fn idn_a6_a_key_whose_count_does_not_grow_is_suspected_to_be_a_copy() {
    let node = node().await;
    let (id, _, key) = ada(&node).await;
    let first = begun(&node).await;
    key.count.store(6, Ordering::SeqCst);
    pair(&enter(&node, &first, &HONEST.get(&key, &first["options"])).await);
    key.count.store(6, Ordering::SeqCst);
    let copy = begun(&node).await;
    enter(&node, &copy, &HONEST.get(&key, &copy["options"])).await.problem(401, "LoginRefused");
    let events = history(&node, id).await;
    let last: Vec<&str> = events.iter().rev().take(2).map(|(name, _)| name.as_str()).collect();
    assert_eq!(last, ["LoginFailed", "WebAuthnCloneSuspected"]);
    crate::identity::mailed_soon(&node, "security key may have been copied").await;
}

#[actix_web::test]
async fn a_key_is_a_second_factor_and_proves_again_who_somebody_is() {
    let node = node().await;
    let (_, _, key) = ada(&node).await;
    let bare = log_in(&node, "ada@example.edu", json!({})).await.problem(401, "SecondFactorNeeded");
    assert_eq!(bare["details"]["methods"], json!(["webauthn"]));
    let asked = &bare["details"]["webauthn"];
    assert_eq!(asked["options"]["allowCredentials"][0]["id"], BASE64.encode(key.id));
    let wrong = log_in(&node, "ada@example.edu", json!({ "password": "wrong password" })).await;
    assert!(wrong.problem(401, "LoginRefused")["details"]["webauthn"].is_null(), "nothing is told before");
    let signed = json!({ "ceremony": asked["ceremony"], "assertion": HONEST.get(&key, &asked["options"]) });
    let both = log_in(&node, "ada@example.edu", json!({ "webauthn": signed })).await;
    let (access, _) = pair(&both);
    log_in(&node, "ada@example.edu", json!({ "webauthn": signed })).await.problem(401, "LoginRefused");
    let elevate = async |body: Value| call_with(&node, &access, "/v1/auth/elevate", body).await;
    elevate(json!({ "password": PASSWORD })).await.problem(400, "Malformed");
    let asked = call_with(&node, &access, "/v1/auth/elevate/webauthn/start", json!({})).await.json();
    let signed = json!({ "ceremony": asked["ceremony"], "assertion": HONEST.get(&key, &asked["options"]) });
    let elevated = elevate(json!({ "webauthn": signed })).await;
    assert_eq!(elevated.status, 200, "{}", elevated.text);
    assert!(!elevate(json!({ "webauthn": signed })).await.status.is_success());
    let remove = TestRequest::delete().uri(&format!("/v1/auth/mfa/webauthn/{}", BASE64.encode(key.id)));
    let removed = node.send(remove.insert_header(("Authorization", format!("Bearer {access}")))).await;
    assert_eq!(removed.status, 200, "{}", removed.text);
    pair(&log_in(&node, "ada@example.edu", json!({})).await);
}

#[actix_web::test]
async fn idn_a9_whoever_needs_a_second_factor_keeps_the_last_one() {
    let node = node().await;
    let (id, access, key) = ada(&node).await;
    let assign = format!("/v1/identity/account/{id}/assign-role");
    assert_eq!(node.post(&assign, json!({ "role": "operator" })).await.status, 200);
    read_with(&node, &access).await.problem(401, "Unauthenticated");
    let begun = begun(&node).await;
    let login = enter(&node, &begun, &HONEST.get(&key, &begun["options"])).await;
    assert_eq!(login.json()["must_enrol_mfa"], false);
    let (access, _) = pair(&login);
    let asked = call_with(&node, &access, "/v1/auth/elevate/webauthn/start", json!({})).await.json();
    let signed = json!({ "ceremony": asked["ceremony"], "assertion": HONEST.get(&key, &asked["options"]) });
    assert_eq!(
        call_with(&node, &access, "/v1/auth/elevate", json!({ "webauthn": signed })).await.status,
        200
    );
    let remove = TestRequest::delete().uri(&format!("/v1/auth/mfa/webauthn/{}", BASE64.encode(key.id)));
    let kept = node.send(remove.insert_header(("Authorization", format!("Bearer {access}")))).await;
    kept.problem(409, "LastFactor");
}

#[actix_web::test]
async fn where_no_web_site_is_configured_there_are_no_keys() {
    let node = crate::node::node().await;
    call(&node, "/v1/auth/webauthn/start", json!({})).await.problem(404, "NotFound");
    let assertion = json!({ "ceremony": "x", "assertion": {}, "client": "api" });
    call(&node, "/v1/auth/webauthn/login", assertion).await.problem(404, "NotFound");
}

#[actix_web::test]
async fn webauthn_71_26_a_credential_of_one_account_is_registered_with_no_other_on_any_node() {
    let node = node().await;
    let there = node.beside().await;
    let (_, access, key) = ada(&node).await;
    member(&node, "bert@example.edu").await;
    let (bert, _) = tokens(&node, "bert@example.edu").await;
    call_with(&there, &bert, "/v1/auth/elevate", json!({ "password": PASSWORD })).await;
    let take = async || {
        let begun = call_with(&there, &bert, "/v1/auth/mfa/webauthn/start", json!({})).await.json();
        let (_, credential) = HONEST.create_as(key.id, &begun["options"]);
        let body = json!({ "ceremony": begun["ceremony"], "credential": credential, "device_name": "Mine" });
        call_with(&there, &bert, "/v1/auth/mfa/webauthn", body).await
    };
    take().await.problem(409, "Duplicate");
    let path = format!("/v1/auth/mfa/webauthn/{}", BASE64.encode(key.id));
    let remove =
        TestRequest::delete().uri(&path).insert_header(("Authorization", format!("Bearer {access}")));
    let removed = node.send(remove).await;
    assert_eq!(removed.status, 200, "{}", removed.text);
    let taken = take().await;
    assert_eq!(taken.status, 200, "free again: {}", taken.text);
}
