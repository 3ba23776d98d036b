//! Who somebody is: the ways in, and the attacks on them.

use std::time::Duration;

use actix_web::test::TestRequest;
use domain::identity::{TokenPurpose, account_token_label, email_claim};
use event_store::StreamId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{Answer, TestNode, node};

pub(crate) const PASSWORD: &str = "grüne Fahrräder im Regen";
pub(crate) const OTHER: &str = "blaue Fahrräder im Schnee";

pub(crate) async fn call(node: &TestNode, path: &str, body: Value) -> Answer {
    node.send(TestRequest::post().uri(path).set_json(body)).await
}

/// Shows the password once more, as sensitive commands ask for.
pub(crate) async fn elevate(node: &TestNode, token: &str) {
    let shown = call_with(node, token, "/v1/auth/elevate", json!({ "password": PASSWORD })).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
}

pub(crate) async fn call_with(node: &TestNode, token: &str, path: &str, body: Value) -> Answer {
    let request = TestRequest::post().uri(path).set_json(body);
    node.send(request.insert_header(("Authorization", format!("Bearer {token}")))).await
}

/// What a token opens: something that every member may read.
pub(crate) async fn read_with(node: &TestNode, token: &str) -> Answer {
    let request = TestRequest::get().uri("/v1/orgs");
    node.send(request.insert_header(("Authorization", format!("Bearer {token}")))).await
}

pub(crate) fn registration(email: &str) -> Value {
    json!({
        "email": email,
        "password": PASSWORD,
        "display_name": "Ada",
        "country": "US",
        "locale": "en-US",
        "tz": "America/Chicago",
    })
}

pub(crate) async fn holder(node: &TestNode, email: &str) -> Option<Uuid> {
    let api = &node.node.api;
    let held = api.commands.store().holders(&email_claim(&api.credentials.email_hmac(email))).await.unwrap();
    held.first().map(|claim| claim.by.aggregate_id.parse().unwrap())
}

/// The events of an account, by type, with their plain fields.
pub(crate) async fn history(node: &TestNode, id: Uuid) -> Vec<(String, Value)> {
    let stream = StreamId::new("identity.account", id.to_string());
    let events = node.node.api.commands.store().read_stream(&stream, 0, None).await.unwrap();
    let read = |event: &event_store::Recorded| {
        let payload: Value = serde_json::from_str(&event.payload).unwrap();
        (event.event_type.to_string(), payload[&*event.event_type].clone())
    };
    events.iter().map(read).collect()
}

/// The token as it is mailed.
pub(crate) async fn mailed(node: &TestNode, id: Uuid, purpose: TokenPurpose, event_type: &str) -> String {
    let events = history(node, id).await;
    let (_, fields) = events.iter().rev().find(|(name, _)| name == event_type).unwrap();
    let label = account_token_label(purpose, id, fields["token_id"].as_str().unwrap().parse().unwrap());
    format!("{id}.{}", node.node.api.credentials.tokens.token(&label))
}

/// An account whose address is verified.
pub(crate) async fn member(node: &TestNode, email: &str) -> Uuid {
    assert_eq!(call(node, "/v1/auth/register", registration(email)).await.status, 202);
    let id = holder(node, email).await.unwrap();
    let token = mailed(node, id, TokenPurpose::VerifyEmail, "AccountRegistered").await;
    let verified = call(node, "/v1/auth/verify-email", json!({ "token": token })).await;
    assert_eq!(verified.status, 200, "{}", verified.text);
    id
}

pub(crate) async fn log_in(node: &TestNode, email: &str, more: Value) -> Answer {
    let mut body = json!({ "email": email, "password": PASSWORD, "client": "api" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call(node, "/v1/auth/login", body).await
}

/// The tokens of a login that succeeds.
pub(crate) async fn tokens(node: &TestNode, email: &str) -> (String, String) {
    pair(&log_in(node, email, json!({})).await)
}

#[track_caller]
pub(crate) fn pair(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

/// A problem without what differs from request to request.
fn said(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("trace_id");
    (answer.status.as_u16(), body)
}

pub(crate) fn code(secret: &str, after_s: u64) -> String {
    let secret = totp_rs::Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, 30, secret, None, String::new()).unwrap();
    totp.generate(u64::try_from(jiff::Timestamp::now().as_second()).unwrap() + after_s)
}

#[actix_web::test]
async fn whoever_registers_and_verifies_the_address_logs_in() {
    let node = node().await;
    call(&node, "/v1/auth/register", registration(" Ada@Example.edu ")).await;
    let id = holder(&node, "ada@example.edu").await.unwrap();
    // As if there were nobody: who registered a taken address must not learn it so.
    log_in(&node, "ada@example.edu", json!({})).await.problem(401, "LoginRefused");
    let token = mailed(&node, id, TokenPurpose::VerifyEmail, "AccountRegistered").await;
    for wrong in ["x", &format!("{id}.x"), &format!("{}{}", Uuid::nil(), &token[36..])] {
        call(&node, "/v1/auth/verify-email", json!({ "token": wrong })).await.problem(422, "InvalidValue");
    }
    assert_eq!(call(&node, "/v1/auth/verify-email", json!({ "token": token })).await.status, 200);
    call(&node, "/v1/auth/verify-email", json!({ "token": token })).await.problem(422, "InvalidValue");
    let (access, _) = tokens(&node, "ADA@example.edu").await;
    assert_eq!(read_with(&node, &access).await.status, 200);
    let elsewhere = call_with(&node, &access, "/v1/orgs", crate::node::org("PSU")).await;
    elsewhere.problem(403, "Forbidden");
}

/// Waits for a mail that says this.
pub(crate) async fn mailed_soon(node: &TestNode, words: &str) {
    mailed_to(node, "", words).await;
}

/// Waits for a mail to somebody that says this.
pub(crate) async fn mailed_to(node: &TestNode, address: &str, words: &str) {
    let to = format!("To: {address}");
    let found = async {
        loop {
            let files =
                std::fs::read_dir(&node.outbox).into_iter().flatten().map(|file| file.unwrap().path());
            // A long line may be broken, with a sign of equality at its end.
            let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
            let mut texts = texts.map(|text| text.replace("=\r\n", "").replace("=\n", ""));
            if texts.any(|text| text.contains(&to) && text.contains(words)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.unwrap();
}

#[actix_web::test]
async fn p_01_and_p_02_tokens_and_warnings_are_mailed_and_whoever_registers_has_a_profile() {
    let node = node().await;
    call(&node, "/v1/auth/register", registration("ada@example.edu")).await;
    let id = holder(&node, "ada@example.edu").await.unwrap();
    let token = mailed(&node, id, TokenPurpose::VerifyEmail, "AccountRegistered").await;
    mailed_soon(&node, &token).await;
    call(&node, "/v1/auth/verify-email", json!({ "token": token })).await;
    let (_, first) = tokens(&node, "ada@example.edu").await;
    let refresh = json!({ "refresh_token": first });
    call(&node, "/v1/auth/refresh", refresh.clone()).await;
    call(&node, "/v1/auth/refresh", refresh).await.problem(401, "LoginRefused");
    mailed_soon(&node, "its token was used twice").await;
    let profile = async {
        let profiles = || node.node.api.commands.state::<domain::identity::Profile>(id);
        while !profiles().await.unwrap().state.named {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), profile).await.unwrap();
}

#[actix_web::test]
async fn p_03_the_sessions_of_revoked_tokens_are_put_on_record_as_ended() {
    let node = node().await;
    member(&node, "ada@example.edu").await;
    let login = log_in(&node, "ada@example.edu", json!({})).await;
    let session: Uuid = login.json()["session"].as_str().unwrap().parse().unwrap();
    let (access, _) = pair(&login);
    call_with(&node, &access, "/v1/auth/logout-everywhere", json!({})).await;
    let ended = async {
        let state = || node.node.api.commands.state::<domain::identity::Session>(session);
        while !state().await.unwrap().state.ended {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
}

#[actix_web::test]
async fn r_01_to_r_04_people_see_their_own_account_sessions_and_clients() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let position = node.node.api.commands.store().head().await.unwrap().position;
    let get = |path: &str| {
        let request = TestRequest::get().uri(&format!("{path}?min_position={position}"));
        node.send(request.insert_header(("Authorization", format!("Bearer {access}"))))
    };
    let own = get("/v1/auth/security-status").await;
    assert_eq!(own.status, 200, "{}", own.text);
    let row = own.json();
    assert_eq!(
        (&row["email"], &row["verified"], &row["mfa"]),
        (&json!("ada@example.edu"), &json!(true), &json!(false))
    );
    let sessions = get("/v1/auth/sessions").await.text;
    assert!(sessions.contains("\"live\":true") && sessions.contains(&id.to_string()), "{sessions}");
    let accounts = node.get(&format!("/v1/accounts?min_position={position}")).await.text;
    assert!(accounts.contains("ada@example.edu"), "{accounts}");
}

#[actix_web::test]
async fn no_replay_shows_what_proves_who_somebody_is() {
    use projections::readable::{Personal, WITHHELD, filled, read};
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let store = node.node.api.commands.store();
    let recorded = store.read_all(0, 100).await.unwrap();
    let shown = read(store, recorded, Personal::Opened).await.unwrap();
    let registered = shown.iter().find(|event| event.event_type == "AccountRegistered").unwrap();
    assert_eq!(registered.data["email"], "ada@example.edu");
    assert_eq!(registered.data["password_hash"], WITHHELD);
    assert_eq!(registered.data["token_hash"], WITHHELD);

    // Nor what the aggregate is after these events.
    let account = StreamId::new("identity.account", id.to_string());
    let events = store.read_stream(&account, 0, None).await.unwrap();
    store.keyring().load_for(&events).await.unwrap();
    let (text, groups) = commands::state_after(store.keyring(), &events, true).unwrap().unwrap();
    let state = filled(&text, groups, Personal::Opened).to_string();
    assert!(state.contains("ada@example.edu") && state.contains(WITHHELD), "{state}");
    assert!(!state.contains("$argon2"), "{state}");
}

#[actix_web::test]
async fn idn_a2_a_weak_password_is_told_why() {
    let node = node().await;
    for (password, why) in [
        ("Password1234", "it is one of those that are tried first"),
        ("ada@example.edu", "it is the e-mail address"),
        ("short", "it is too short"),
    ] {
        let mut body = registration("ada@example.edu");
        body["password"] = password.into();
        let problem = call(&node, "/v1/auth/register", body).await.problem(422, "WeakPassword");
        assert_eq!((&problem["detail"], &problem["field"]), (&json!(why), &json!("password")));
    }
    assert_eq!(holder(&node, "ada@example.edu").await, None);
}

#[actix_web::test]
async fn idn_a3_a_login_tells_nobody_who_exists_or_is_locked() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let wrong = json!({ "password": OTHER });
    let known = said(&log_in(&node, "ada@example.edu", wrong.clone()).await);
    let unknown = said(&log_in(&node, "nobody@example.edu", wrong.clone()).await);
    let no_address = said(&log_in(&node, "nobody", wrong.clone()).await);
    assert_eq!((known.0, &known), (401, &unknown));
    assert_eq!(known, no_address);
    for _ in 0..9 {
        assert_eq!(said(&log_in(&node, "ada@example.edu", wrong.clone()).await), known);
    }
    assert_eq!(history(&node, id).await.last().unwrap().0, "AccountLocked");
    let locked = said(&log_in(&node, "ada@example.edu", json!({})).await);
    assert_eq!(locked, known, "not even the right password is told from a wrong one");
    let unlock = format!("/v1/identity/account/{id}/unlock-account");
    assert_eq!(node.post(&unlock, json!({ "reason": "called" })).await.status, 200);
    tokens(&node, "ada@example.edu").await;
}

#[actix_web::test]
async fn idn_s3_a_refresh_token_that_is_used_twice_ends_the_session() {
    let node = node().await;
    member(&node, "ada@example.edu").await;
    let (_, first) = tokens(&node, "ada@example.edu").await;
    let refresh = |token: &str| json!({ "refresh_token": token });
    let (access, second) = pair(&call(&node, "/v1/auth/refresh", refresh(&first)).await);
    assert_eq!(read_with(&node, &access).await.status, 200);
    call(&node, "/v1/auth/refresh", refresh(&first)).await.problem(401, "LoginRefused");
    call(&node, "/v1/auth/refresh", refresh(&second)).await.problem(401, "LoginRefused");
    read_with(&node, &access).await.problem(401, "Unauthenticated");
    // Another session of the same person is not touched by it.
    let (other, _) = tokens(&node, "ada@example.edu").await;
    assert_eq!(read_with(&node, &other).await.status, 200);
}

#[actix_web::test]
async fn tokens_of_one_kind_are_none_of_another() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let (access, refresh) = tokens(&node, "ada@example.edu").await;
    read_with(&node, &refresh).await.problem(401, "Unauthenticated");
    let swapped = json!({ "refresh_token": access });
    call(&node, "/v1/auth/refresh", swapped).await.problem(401, "LoginRefused");
    call(&node, "/v1/auth/verify-email", json!({ "token": refresh })).await.problem(422, "InvalidValue");
    let verification = mailed(&node, id, TokenPurpose::VerifyEmail, "AccountRegistered").await;
    let reset = json!({ "token": verification, "password": OTHER });
    call(&node, "/v1/auth/reset-password", reset).await.problem(422, "InvalidValue");
    for (forged, why) in [
        (unsigned(&access, "none"), "no algorithm"),
        (unsigned(&access, "HS512"), "another algorithm"),
        (unsigned(&access, "EdDSA"), "an algorithm that the key is not of"),
    ] {
        let answer = read_with(&node, &forged).await;
        assert_eq!(answer.status, 401, "{why}: {}", answer.text);
    }
}

/// The same claims under a header with another algorithm.
fn unsigned(token: &str, algorithm: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    let parts: Vec<&str> = token.split('.').collect();
    let mut header: Value = serde_json::from_slice(&BASE64.decode(parts[0]).unwrap()).unwrap();
    header["alg"] = algorithm.into();
    let signature = if algorithm == "none" { "" } else { parts[2] };
    format!("{}.{}.{signature}", BASE64.encode(header.to_string()), parts[1])
}

#[actix_web::test]
async fn idn_a7_a_suspension_and_a_role_make_tokens_void_at_once() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let (access, refresh) = tokens(&node, "ada@example.edu").await;
    assert_eq!(read_with(&node, &access).await.status, 200);
    let assign = format!("/v1/identity/account/{id}/assign-role");
    assert_eq!(node.post(&assign, json!({ "role": "staff" })).await.status, 200);
    read_with(&node, &access).await.problem(401, "Unauthenticated");
    let rotated = call(&node, "/v1/auth/refresh", json!({ "refresh_token": refresh })).await;
    let (access, refresh) = pair(&rotated);
    assert_eq!(read_with(&node, &access).await.status, 200);
    let suspend = format!("/v1/identity/account/{id}/suspend-account");
    assert_eq!(node.post(&suspend, json!({ "reason": "asked" })).await.status, 200);
    read_with(&node, &access).await.problem(401, "Unauthenticated");
    let body = json!({ "refresh_token": refresh });
    call(&node, "/v1/auth/refresh", body).await.problem(401, "LoginRefused");
    log_in(&node, "ada@example.edu", json!({})).await.problem(403, "AccountNotActive");
    log_in(&node, "ada@example.edu", json!({ "password": OTHER })).await.problem(401, "LoginRefused");
}

#[actix_web::test]
async fn idn_a2_a_password_is_changed_by_who_knows_it_and_never_to_an_old_one() {
    let node = node().await;
    member(&node, "ada@example.edu").await;
    let (access, refresh) = tokens(&node, "ada@example.edu").await;
    let change = |current: &str, new: &str| json!({ "current": current, "new": new });
    let path = "/v1/auth/change-password";
    call_with(&node, &access, path, change(PASSWORD, OTHER)).await.problem(401, "ElevationRequired");
    let proof = json!({ "password": PASSWORD });
    assert_eq!(call_with(&node, &access, "/v1/auth/elevate", proof).await.status, 200);
    call_with(&node, &access, path, change(OTHER, OTHER)).await.problem(401, "LoginRefused");
    call_with(&node, &access, path, change(PASSWORD, PASSWORD)).await.problem(422, "PasswordReused");
    call_with(&node, &access, path, change(PASSWORD, "qwertyuiop12")).await.problem(422, "WeakPassword");
    let (fresh, _) = pair(&call_with(&node, &access, path, change(PASSWORD, OTHER)).await);
    read_with(&node, &access).await.problem(401, "Unauthenticated");
    let body = json!({ "refresh_token": refresh });
    call(&node, "/v1/auth/refresh", body).await.problem(401, "LoginRefused");
    assert_eq!(read_with(&node, &fresh).await.status, 200);
    log_in(&node, "ada@example.edu", json!({})).await.problem(401, "LoginRefused");
    pair(&log_in(&node, "ada@example.edu", json!({ "password": OTHER })).await);
}

#[actix_web::test]
async fn idn_a4_a_forgotten_password_is_replaced_once_and_whoever_asks_is_told_the_same() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let ask = |email: &str| json!({ "email": email });
    let known = call(&node, "/v1/auth/forgot-password", ask("ada@example.edu")).await;
    let unknown = call(&node, "/v1/auth/forgot-password", ask("nobody@example.edu")).await;
    assert_eq!((known.status.as_u16(), &known.text), (202, &unknown.text));
    for path in ["/v1/auth/forgot-password", "/v1/auth/resend-verification"] {
        let refused = call(&node, path, ask("nobody")).await.problem(422, "InvalidValue");
        assert_eq!(refused["field"], "email");
    }
    let asked = async {
        while history(&node, id).await.last().unwrap().0 != "PasswordResetRequested" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
    let token = mailed(&node, id, TokenPurpose::ResetPassword, "PasswordResetRequested").await;
    let reset = |password: &str| json!({ "token": token, "password": password });
    let path = "/v1/auth/reset-password";
    call(&node, path, reset("short")).await.problem(422, "WeakPassword");
    call(&node, path, reset(PASSWORD)).await.problem(422, "PasswordReused");
    assert_eq!(call(&node, path, reset(OTHER)).await.status, 200);
    call(&node, path, reset("weiße Fahrräder im Wind")).await.problem(422, "InvalidValue");
    read_with(&node, &access).await.problem(401, "Unauthenticated");
    pair(&log_in(&node, "ada@example.edu", json!({ "password": OTHER })).await);
}

#[actix_web::test]
async fn idn_a5_one_time_codes_are_set_up_after_a_fresh_proof_and_each_is_good_once() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let post = |path: &'static str, body: Value| call_with(&node, &access, path, body);
    post("/v1/auth/mfa/totp", json!({})).await.problem(401, "ElevationRequired");
    post("/v1/auth/elevate", json!({ "password": OTHER })).await.problem(422, "BadCode");
    assert_eq!(post("/v1/auth/elevate", json!({ "password": PASSWORD })).await.status, 200);
    let enrolment = post("/v1/auth/mfa/totp", json!({})).await.json();
    let secret = enrolment["secret"].as_str().unwrap();
    assert!(enrolment["address"].as_str().unwrap().starts_with("otpauth://totp/Annals:"));
    let now = code(secret, 0);
    let confirmed = post("/v1/auth/mfa/totp/confirm", json!({ "code": now })).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let recovery = confirmed.json()["recovery_codes"].clone();
    assert_eq!(recovery.as_array().unwrap().len(), 10);

    let bare = log_in(&node, "ada@example.edu", json!({})).await;
    let methods = bare.problem(401, "SecondFactorNeeded")["details"]["methods"].clone();
    assert_eq!(methods, json!(["totp", "recovery_code"]));
    let by_code = |code: &str| log_in(&node, "ada@example.edu", json!({ "totp": code }));
    by_code(&now).await.problem(401, "LoginRefused");
    let next = code(secret, 30);
    pair(&by_code(&next).await);
    by_code(&next).await.problem(401, "LoginRefused");
    let spare = json!({ "recovery_code": recovery[3].as_str().unwrap().to_uppercase() });
    pair(&log_in(&node, "ada@example.edu", spare.clone()).await);
    log_in(&node, "ada@example.edu", spare).await.problem(401, "LoginRefused");
    for (_, fields) in history(&node, id).await {
        let text = fields.to_string();
        assert!(!text.contains(secret) && !text.contains("argon2"), "{text}");
    }
}

#[actix_web::test]
async fn idn_a9_an_administrator_is_none_until_there_is_a_second_factor() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let assign = format!("/v1/identity/account/{id}/assign-role");
    assert_eq!(node.post(&assign, json!({ "role": "admin" })).await.status, 200);
    let first = log_in(&node, "ada@example.edu", json!({})).await;
    assert_eq!(first.json()["must_enrol_mfa"], true);
    let (access, refresh) = pair(&first);
    let create = |token: String, code: &'static str| {
        let node = &node;
        async move { call_with(node, &token, "/v1/orgs", crate::node::org(code)).await }
    };
    create(access.clone(), "PSU").await.problem(403, "Forbidden");
    let (_, elsewhere) = tokens(&node, "ada@example.edu").await;
    let elevated = call_with(&node, &access, "/v1/auth/elevate", json!({ "password": PASSWORD })).await;
    assert_eq!(elevated.status, 200, "{}", elevated.text);
    let enrolment = call_with(&node, &access, "/v1/auth/mfa/totp", json!({})).await.json();
    let now = code(enrolment["secret"].as_str().unwrap(), 0);
    let confirm = call_with(&node, &access, "/v1/auth/mfa/totp/confirm", json!({ "code": now })).await;
    assert_eq!(confirm.status, 200);
    let rotated = call(&node, "/v1/auth/refresh", json!({ "refresh_token": refresh })).await;
    let (access, _) = pair(&rotated);
    assert_eq!(create(access.clone(), "PSU").await.status, 201);
    // A session in which none was shown is none of an administrator, though there is one now.
    let (weak, _) = pair(&call(&node, "/v1/auth/refresh", json!({ "refresh_token": elsewhere })).await);
    create(weak, "KSU").await.problem(403, "Forbidden");
    // What governs everybody's safety needs a proof that is fresh, also by its plain path.
    let policy = domain::identity::security_policy_id();
    let path = format!("/v1/identity/security-policy/{policy}/set-password-policy");
    let strict = json!({ "min_length": 16, "history": 6, "breached_check": true });
    let answer = call_with(&node, &access, &path, strict.clone()).await;
    assert_eq!(answer.status, 201, "elevated minutes ago: {}", answer.text);
    let other = pair(
        &log_in(&node, "ada@example.edu", json!({ "totp": code(enrolment["secret"].as_str().unwrap(), 30) }))
            .await,
    )
    .0;
    call_with(&node, &other, &path, strict).await.problem(401, "ElevationRequired");
}

#[actix_web::test]
async fn idn_c1_a_key_is_shown_once_opens_by_itself_or_for_a_token_and_ends_at_once() {
    let node = node().await;
    let owner = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let fields = json!({
        "name": "Import", "owner": owner, "scopes": ["read:public"], "per_minute": 60, "allowed_ips": [],
    });
    elevate(&node, &access).await;
    let issued = call_with(&node, &access, "/v1/api-clients", fields).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let (id, key) = (issued.json()["id"].clone(), issued.json()["key"].as_str().unwrap().to_owned());
    let id = id.as_str().unwrap();
    let with_key =
        |key: String| node.send(TestRequest::get().uri("/v1/orgs").insert_header(("X-API-Key", key)));
    assert_eq!(with_key(key.clone()).await.status, 200);
    with_key(format!("{key}0")).await.problem(401, "LoginRefused");
    let grant = |secret: &str, scope: &str| json!({ "grant_type": "client_credentials", "client_secret": secret, "scope": scope });
    let token = call(&node, "/v1/auth/token", grant(&key, "read:public")).await.json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(read_with(&node, &token).await.status, 200);
    call(&node, "/v1/auth/token", grant(&key, "manage:ops")).await.problem(400, "InvalidScope");
    call(&node, "/v1/auth/token", grant("ak_x.y", "read:public")).await.problem(401, "LoginRefused");
    let revoke = format!("/v1/identity/api-client/{id}/revoke-api-key");
    let revoked = call_with(&node, &access, &revoke, json!({ "reason": "leaked" })).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    assert_eq!(revoked.json()["key"], Value::Null);
    with_key(key).await.problem(401, "LoginRefused");
    read_with(&node, &token).await.problem(401, "Unauthenticated");
}

#[actix_web::test]
async fn browsers_have_cookies_that_no_other_site_can_use() {
    let node = node().await;
    member(&node, "ada@example.edu").await;
    let login = log_in(&node, "ada@example.edu", json!({ "client": "web" })).await;
    let body = login.json();
    assert!(body.get("access_token").is_none() && body.get("refresh_token").is_none(), "{body}");
    let csrf = body["csrf_token"].as_str().unwrap();
    let set: Vec<&str> = login.headers.get_all("set-cookie").map(|value| value.to_str().unwrap()).collect();
    assert_eq!(set.len(), 2);
    for cookie in &set {
        for mark in ["HttpOnly", "Secure", "SameSite=Strict"] {
            assert!(cookie.contains(mark), "{cookie}");
        }
    }
    let cookies: Vec<&str> = set.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    let cookies = cookies.join("; ");
    let with = |request: TestRequest| request.insert_header(("Cookie", cookies.clone()));
    assert_eq!(node.send(with(TestRequest::get().uri("/v1/orgs"))).await.status, 200);
    let put = || TestRequest::put().uri("/v1/users/me/profile").set_json(json!({ "headline": "Hello" }));
    node.send(with(put())).await.problem(403, "Forbidden");
    for wrong in ["x", &"0".repeat(64)] {
        node.send(with(put()).insert_header(("X-CSRF-Token", wrong))).await.problem(403, "Forbidden");
    }
    let own = node.send(with(put()).insert_header(("X-CSRF-Token", csrf))).await;
    assert!(own.status.is_success(), "{}", own.text);
    let refresh = || TestRequest::post().uri("/v1/auth/refresh").set_json(json!({}));
    node.send(with(refresh())).await.problem(403, "Forbidden");
    assert_eq!(node.send(with(refresh()).insert_header(("X-CSRF-Token", csrf))).await.status, 200);
}

#[actix_web::test]
async fn idn_p1_strangers_try_ten_times_in_a_minute() {
    let node = node().await;
    let from = |last: u8| {
        let peer = std::net::SocketAddr::from(([203, 0, 113, last], 4711));
        let request = TestRequest::post().uri("/v1/auth/verify-email").peer_addr(peer);
        node.send(request.set_json(json!({ "token": "x" })))
    };
    for _ in 0..10 {
        from(1).await.problem(422, "InvalidValue");
    }
    let refused = from(1).await;
    refused.problem(429, "RateLimited");
    // Tries at the very beginning of a minute weigh on the next one, and there one of ten fades in six seconds.
    assert!(refused.header("retry-after").parse::<u16>().unwrap() <= 67);
    from(2).await.problem(422, "InvalidValue");
}

#[actix_web::test]
async fn the_keys_that_are_published_are_public_ones() {
    let node = node().await;
    let keys = node.send(TestRequest::get().uri("/.well-known/jwks.json")).await;
    // This node signs with a shared secret, which is nobody else's.
    assert_eq!((keys.status.as_u16(), keys.json()), (200, json!({ "keys": [] })));
}
