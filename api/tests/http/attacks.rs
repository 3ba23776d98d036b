//! Attacks on tokens (RFC 8725, RFC 9068), on bodies, and on what time tells.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::test::TestRequest;
use api::auth::{Claims, Entrances, SigningKeys};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use commands::ports::{Passwords, PortError, Verdict};
use futures_util::future::{BoxFuture, join};
use integrations::identity::Argon2id;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    identity::{call, call_with, history, holder, log_in, member, read_with, registration, tokens},
    node::{ADMIN, TestNode, node, node_with},
};

/// The parts of a token as JSON: header and claims.
fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| BASE64.decode(part).unwrap());
    let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (next(), next())
}

#[actix_web::test]
async fn no_token_but_our_own_of_today_opens_anything() {
    let node = node().await;
    member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    assert_eq!(read_with(&node, &access).await.status, 200);
    let (header, claims) = parts(&access);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("HS256")));
    for claim in
        ["iss", "aud", "sub", "client_id", "exp", "iat", "jti", "scope", "user_id", "version", "token_type"]
    {
        assert!(!claims[claim].is_null(), "RFC 9068 and IDN-S2 want {claim}: {claims}");
    }
    assert_eq!(claims.get("email"), None, "D-10");
    let secret = [7; 32];
    let typed = |typ: Option<&str>, algorithm, kid: Option<&str>| Header {
        typ: typ.map(str::to_owned),
        kid: kid.map(str::to_owned),
        ..Header::new(algorithm)
    };
    let kid = header["kid"].as_str().unwrap();
    let signed = |header: &Header, claims: &Value, secret: &[u8]| {
        encode(header, claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let ours = typed(Some("at+jwt"), Algorithm::HS256, Some(kid));
    assert_eq!(
        read_with(&node, &signed(&ours, &claims, &secret)).await.status,
        200,
        "the test signs as we do"
    );
    let changed = |field: &str, value: Value| {
        let mut claims = claims.clone();
        claims[field] = value;
        claims
    };
    let without = |field: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(field);
        claims
    };
    let now = Timestamp::now().as_second();
    for (token, why) in [
        (signed(&ours, &claims, &[8; 32]), "another key"),
        (signed(&ours, &claims, b""), "an empty key"),
        (signed(&typed(Some("JWT"), Algorithm::HS256, Some(kid)), &claims, &secret), "another typ"),
        (signed(&typed(None, Algorithm::HS256, Some(kid)), &claims, &secret), "no typ"),
        (signed(&typed(Some("at+jwt"), Algorithm::HS512, Some(kid)), &claims, &secret), "another algorithm"),
        (
            signed(&typed(Some("at+jwt"), Algorithm::HS256, Some("../../dev/null")), &claims, b""),
            "kid injection",
        ),
        (
            signed(&typed(Some("at+jwt"), Algorithm::HS256, Some("x' UNION SELECT ''--")), &claims, b""),
            "kid injection",
        ),
        (signed(&ours, &changed("exp", (now - 60).into()), &secret), "expired"),
        (signed(&ours, &changed("nbf", (now + 600).into()), &secret), "not yet"),
        (signed(&ours, &changed("iat", (now + 600).into()), &secret), "issued in the future"),
        (signed(&ours, &changed("aud", "others".into()), &secret), "another audience"),
        (signed(&ours, &changed("iss", "somebody".into()), &secret), "another issuer"),
        (
            signed(&ours, &changed("sub", Uuid::from_u128(1).to_string().into()), &secret),
            "another person's session",
        ),
        (signed(&ours, &changed("sid", Uuid::from_u128(1).to_string().into()), &secret), "no such session"),
        (signed(&ours, &changed("version", 7.into()), &secret), "another version"),
        (signed(&ours, &changed("token_type", "refresh".into()), &secret), "another type"),
        (signed(&ours, &without("version"), &secret), "a session without a version"),
        (signed(&ours, &without("exp"), &secret), "without an end"),
        (signed(&ours, &without("aud"), &secret), "without an audience"),
        (signed(&ours, &without("client_id"), &secret), "without a client"),
        (access.rsplit_once('.').unwrap().0.to_owned() + ".", "without a signature"),
        (format!("{access}."), "a part too many"),
        (access.replace('.', "=."), "padded"),
    ] {
        let answer = read_with(&node, &token).await;
        assert_eq!(answer.status.as_u16(), 401, "{why}: {}", answer.text);
    }
    let mut unsigned = header.clone();
    for algorithm in ["none", "None", "nOnE", "NONE"] {
        unsigned["alg"] = algorithm.into();
        let part = |value: &Value| BASE64.encode(value.to_string());
        let token = format!("{}.{}.", part(&unsigned), part(&claims));
        assert_eq!(read_with(&node, &token).await.status, 401, "{algorithm}");
    }
}

#[test]
fn a_key_that_a_token_brings_along_is_not_looked_at() {
    let keys = SigningKeys::single(&[7; 32]).unwrap();
    let claims = Claims::new(ADMIN, vec!["admin".into()], SignedDuration::from_mins(5), Timestamp::now());
    let good = keys.sign(&claims).unwrap();
    let (header, _) = parts(&good);
    let forged = [9_u8; 32];
    let header = Header {
        typ: Some("at+jwt".into()),
        kid: header["kid"].as_str().map(str::to_owned),
        jku: Some("https://evil.example/keys".into()),
        x5u: Some("https://evil.example/cert".into()),
        ..Header::new(Algorithm::HS256)
    };
    let token = encode(&header, &claims, &EncodingKey::from_secret(&forged)).unwrap();
    assert!(keys.verify(&good).is_ok() && keys.verify(&token).is_err());
}

#[actix_web::test]
async fn nobody_gives_themselves_more_than_a_body_asks_for() {
    let node = node().await;
    for (more, value) in [
        ("roles", json!(["admin"])),
        ("status", json!("active")),
        ("verified", json!(true)),
        ("password_hash", json!("x")),
        ("token_version", json!(7)),
        ("account", json!(ADMIN)),
    ] {
        let mut body = registration("ada@example.edu");
        body[more] = value;
        call(&node, "/v1/auth/register", body).await.problem(400, "Malformed");
    }
    assert_eq!(holder(&node, "ada@example.edu").await, None);
    member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let login = log_in(&node, "ada@example.edu", json!({ "roles": ["admin"] })).await;
    login.problem(400, "Malformed");
    let profile = TestRequest::put().uri("/v1/users/me/profile");
    let profile = profile.set_json(json!({ "headline": "Hello", "account": ADMIN }));
    let profile = profile.insert_header(("Authorization", format!("Bearer {access}")));
    node.send(profile).await.problem(400, "Malformed");
    let elevate = json!({ "password": "x", "until": "2199-01-01T00:00:00Z" });
    call_with(&node, &access, "/v1/auth/elevate", elevate).await.problem(400, "Malformed");
}

/// Passwords whose hashes are counted: they are nearly all that a login takes.
struct Counted {
    passwords: Argon2id,
    hashes: AtomicUsize,
}

impl Passwords for Counted {
    fn hash(&self, password: String) -> BoxFuture<'_, Result<String, PortError>> {
        self.hashes.fetch_add(1, Ordering::SeqCst);
        self.passwords.hash(password)
    }

    fn verify(&self, password: String, against: Option<String>) -> BoxFuture<'_, Result<Verdict, PortError>> {
        self.hashes.fetch_add(1, Ordering::SeqCst);
        self.passwords.verify(password, against)
    }
}

/// Without a clock: a machine that does other things meanwhile counts the same. That a hash takes as long where there is
/// nobody is the adapter's own test.
#[actix_web::test]
async fn idn_a3_how_long_a_login_takes_does_not_tell_who_exists() {
    let passwords = Arc::new(Counted { passwords: Argon2id::new(), hashes: AtomicUsize::new(0) });
    let node = node_with(Entrances { passwords: passwords.clone(), ..Entrances::default() }).await;
    member(&node, "ada@example.edu").await;
    let pending = call(&node, "/v1/auth/register", registration("bert@example.edu")).await;
    assert_eq!(pending.status, 202, "{}", pending.text);
    let hashes = async |email: &str| {
        let before = passwords.hashes.load(Ordering::SeqCst);
        let attempt = json!({ "password": "not the password of anybody" });
        log_in(&node, email, attempt).await.problem(401, "LoginRefused");
        passwords.hashes.load(Ordering::SeqCst) - before
    };
    for who in ["nobody@example.edu", "ada@example.edu", "bert@example.edu", "no address"] {
        assert_eq!(hashes(who).await, 1, "{who}");
    }
    // Also once it is locked.
    for _ in 0..10 {
        assert_eq!(hashes("ada@example.edu").await, 1);
    }
}

/// Passwords one of which, once that is asked, has been held against its hash and is not answered yet.
struct UnderWay {
    passwords: Argon2id,
    asked: AtomicBool,
    held: Notify,
    answer: Notify,
}

impl Passwords for UnderWay {
    fn hash(&self, password: String) -> BoxFuture<'_, Result<String, PortError>> {
        self.passwords.hash(password)
    }

    fn verify(&self, password: String, against: Option<String>) -> BoxFuture<'_, Result<Verdict, PortError>> {
        Box::pin(async move {
            let verdict = self.passwords.verify(password, against).await;
            if self.asked.swap(false, Ordering::SeqCst) {
                self.held.notify_one();
                self.answer.notified().await;
            }
            verdict
        })
    }
}

#[actix_web::test]
async fn idn_a7_a_login_that_is_under_way_while_all_sessions_end_begins_none() {
    let passwords = Arc::new(UnderWay {
        passwords: Argon2id::new(),
        asked: AtomicBool::new(false),
        held: Notify::new(),
        answer: Notify::new(),
    });
    let node = node_with(Entrances { passwords: passwords.clone(), ..Entrances::default() }).await;
    member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    passwords.asked.store(true, Ordering::SeqCst);
    let end = async {
        passwords.held.notified().await;
        let ended = call_with(&node, &access, "/v1/auth/logout-everywhere", json!({})).await;
        passwords.answer.notify_one();
        ended
    };
    let (login, ended) = join(log_in(&node, "ada@example.edu", json!({})), end).await;
    assert_eq!(ended.status, 200, "{}", ended.text);
    login.problem(401, "LoginRefused");
    // The password is still right: whoever gives it now is let in.
    let (access, _) = tokens(&node, "ada@example.edu").await;
    assert_eq!(read_with(&node, &access).await.status, 200);
}

/// The one mail to an address, and the invitation in it.
fn invitation_to(node: &TestNode, address: &str) -> (String, String) {
    let files = std::fs::read_dir(&node.outbox).unwrap().map(|file| file.unwrap().path());
    let letters = files.filter_map(|file| std::fs::read_to_string(file).ok());
    let mut letters: Vec<String> =
        letters.filter(|letter| letter.contains(&format!("To: {address}"))).collect();
    assert_eq!(letters.len(), 1);
    // A long line may be broken, with a sign of equality at its end.
    let letter = letters.remove(0).replace("=\r\n", "");
    let invitation = letter.lines().find(|line| line.matches('.').count() == 2 && !line.contains(' '));
    (letter.clone(), invitation.unwrap().trim().to_owned())
}

#[actix_web::test]
async fn where_only_the_invited_register_an_invitation_is_for_one_address() {
    let node = node().await;
    let policy = domain::identity::security_policy_id();
    let path = format!("/v1/identity/security-policy/{policy}/set-request-policy");
    let set = async |registration: &str| {
        let body = json!({ "max_body_bytes": 65536, "cors_origins": [], "registration": registration });
        let request = TestRequest::post().uri(&path).set_json(body);
        assert!(node.send_elevated(ADMIN, &["admin"], request).await.status.is_success());
    };
    let register = async |email: &str, invitation: Option<&str>| {
        let mut body = registration(email);
        body["invitation"] = invitation.into();
        call(&node, "/v1/auth/register", body).await
    };
    set("invite").await;
    register("ada@example.edu", None).await.problem(403, "RegistrationClosed");
    let invite =
        TestRequest::post().uri("/v1/auth/invitations").set_json(json!({ "email": " Ada@example.edu" }));
    let invited = node.send_as(ADMIN, &["admin"], invite).await;
    assert_eq!(invited.status, 200, "{}", invited.text);
    let (letter, invitation) = invitation_to(&node, "ada@example.edu");
    let (invitation, secret) = (&*invitation, invitation.rsplit('.').next().unwrap());
    assert!(letter.contains("Until ") && secret.len() == 64, "{letter}");
    // Whoever invites is not told what only the invited may know, and nobody else is either.
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let recorded = events.iter().map(|event| format!("{event:?}")).collect::<String>();
    for told in [invited.text, node.node.api.metrics.render(), recorded] {
        assert!(!told.contains(secret) && !told.contains("ada@example.edu"), "{told}");
    }
    register("bert@example.edu", Some(invitation)).await.problem(403, "RegistrationClosed");
    register("ada@example.edu", Some(&format!("{invitation}0"))).await.problem(403, "RegistrationClosed");
    let longer = invitation.replacen('.', ".9", 1);
    register("ada@example.edu", Some(&longer)).await.problem(403, "RegistrationClosed");
    assert_eq!(register("ada@example.edu", Some(invitation)).await.status, 202);
    let id = holder(&node, "ada@example.edu").await.unwrap();
    assert_eq!(history(&node, id).await[0].0, "AccountRegistered");
    let invite =
        TestRequest::post().uri("/v1/auth/invitations").set_json(json!({ "email": "carl@example.edu" }));
    node.send_as(Uuid::from_u128(5), &["student"], invite).await.problem(403, "Forbidden");
    set("closed").await;
    register("carl@example.edu", Some(invitation)).await.problem(403, "RegistrationClosed");
}

#[actix_web::test]
async fn an_invitation_holds_no_longer_than_who_wrote_it_may_write_one() {
    let node = node().await;
    let ends = [
        ("suspend-account", json!({ "reason": "An investigation" })),
        ("revoke-role", json!({ "role": "department_admin" })),
    ];
    let mut inviters = Vec::new();
    for (end, fields) in ends {
        let id = member(&node, &format!("{end}@example.edu")).await;
        let assigned = json!({ "role": "department_admin" });
        assert_eq!(node.post(&format!("/v1/accounts/{id}/roles"), assigned).await.status, 200);
        inviters.push((id, end, fields));
    }
    let path =
        format!("/v1/identity/security-policy/{}/set-request-policy", domain::identity::security_policy_id());
    let invited = json!({ "max_body_bytes": 65536, "cors_origins": [], "registration": "invite" });
    let set = node.send_elevated(ADMIN, &["admin"], TestRequest::post().uri(&path).set_json(invited)).await;
    assert!(set.status.is_success(), "{}", set.text);
    for (inviter, end, fields) in inviters {
        let invite = async |email: &str| {
            let invite = TestRequest::post().uri("/v1/auth/invitations").set_json(json!({ "email": email }));
            assert_eq!(node.send_as(inviter, &["department_admin"], invite).await.status, 200);
            let mut body = registration(email);
            body["invitation"] = invitation_to(&node, email).1.into();
            body
        };
        let first = invite(&format!("before-{end}@example.org")).await;
        let second = invite(&format!("after-{end}@example.org")).await;
        assert_eq!(call(&node, "/v1/auth/register", first).await.status, 202);
        let ended = node.post(&format!("/v1/identity/account/{inviter}/{end}"), fields).await;
        assert!(ended.status.is_success(), "{}", ended.text);
        // What is known of an account is forgotten a moment after it changed.
        let refused = async {
            while node.node.api.standing.still_has(inviter, "manage:users", Timestamp::now()).await.unwrap() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(4), refused).await.unwrap();
        call(&node, "/v1/auth/register", second).await.problem(403, "RegistrationClosed");
    }
}

#[actix_web::test]
async fn p_02_a_login_with_another_device_is_told_and_the_first_one_is_not() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let with = async |agent: &'static str| {
        let body =
            json!({ "email": "ada@example.edu", "password": crate::identity::PASSWORD, "client": "api" });
        let request = TestRequest::post().uri("/v1/auth/login").set_json(body);
        let answer = node.send(request.insert_header(("User-Agent", agent))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    with("Firefox").await;
    with("Firefox").await;
    with("Safari").await;
    crate::identity::mailed_soon(&node, "a device that had not been used before").await;
    let mails = std::fs::read_dir(&node.outbox).unwrap().map(|file| file.unwrap().path());
    let texts = mails.filter_map(|file| std::fs::read_to_string(file).ok());
    let told = texts
        .filter(|text| text.replace("=\r\n", "").replace("=\n", "").contains("had not been used before"))
        .count();
    assert_eq!(told, 1, "Safari alone, for {id}");
}

#[actix_web::test]
async fn gov_i2_fifty_failed_logins_from_one_address_open_one_incident() {
    let node = node().await;
    let peer = |port: u16| std::net::SocketAddr::from(([203, 0, 113, 9], port));
    // The limit of logins is another rule: here they come as fast as they like.
    let policy = domain::identity::security_policy_id();
    let path = format!("/v1/identity/security-policy/{policy}/set-rate-limit");
    let limit = json!({ "route_class": "auth", "per": "ip", "limit": 1000, "window_s": 60 });
    let request = TestRequest::post().uri(&path).set_json(limit);
    assert!(node.send_elevated(ADMIN, &["admin"], request).await.status.is_success());
    for port in 0..50 {
        let body = json!({ "email": "nobody@example.edu", "password": "not a password", "client": "api" });
        let request = TestRequest::post().uri("/v1/auth/login").set_json(body).peer_addr(peer(1000 + port));
        node.send(request).await.problem(401, "LoginRefused");
    }
    let store = node.node.api.commands.store();
    let mut news = store.subscribe_head();
    let opened = async || {
        let events = store.read_all(0, 1000).await.unwrap();
        events.iter().filter(|event| event.event_type == "SecurityIncidentOpened").count()
    };
    let seen = async {
        while opened().await == 0 {
            news.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.unwrap();
    assert_eq!(opened().await, 1);
}

#[actix_web::test]
async fn gov_i2_refresh_tokens_of_five_accounts_used_twice_open_an_incident_and_five_sessions_of_one_do_not()
{
    let node = node().await;
    let reused = async |email: &str| {
        let (_, token) = tokens(&node, email).await;
        let refresh = json!({ "refresh_token": token });
        assert_eq!(call(&node, "/v1/auth/refresh", refresh.clone()).await.status, 200);
        call(&node, "/v1/auth/refresh", refresh).await.problem(401, "LoginRefused");
    };
    let opened = async || {
        node.settled().await;
        let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
        let opened = events.iter().filter(|event| event.event_type == "SecurityIncidentOpened");
        opened.map(|event| event.payload.to_string()).collect::<Vec<_>>()
    };
    let people = ["ada", "bert", "carl", "dora", "emil"].map(|name| format!("{name}@example.edu"));
    for person in &people {
        member(&node, person).await;
    }
    for _ in 0..4 {
        reused(&people[0]).await;
    }
    for person in &people[..4] {
        reused(person).await;
    }
    assert_eq!(opened().await, [""; 0], "eight sessions of four accounts");
    reused(&people[4]).await;
    let opened = opened().await;
    assert_eq!(opened.len(), 1);
    let incident: Value = serde_json::from_str(&opened[0]).unwrap();
    let incident = &incident["SecurityIncidentOpened"];
    assert_eq!((&incident["kind"], &incident["severity"]), (&json!("auth_anomaly"), &json!("critical")));
    assert_eq!(incident["evidence"].as_array().unwrap().len(), 5, "one sign of each account: {incident}");
}

#[actix_web::test]
async fn r_04_calls_of_a_client_are_counted_and_a_quota_that_is_used_up_ends_them_for_the_month() {
    let node = node().await;
    let owner = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let fields = json!({ "name": "Import", "owner": owner, "scopes": ["read:public"], "per_minute": 100_000,
        "monthly_quota": 3, "allowed_ips": [] });
    // Made by an operator: it calls more often than its owner may.
    let issued = node.post("/v1/api-clients", fields).await.json();
    let (key, position) = (issued["key"].as_str().unwrap().to_owned(), issued["position"].clone());
    let with_key = async || {
        node.send(TestRequest::get().uri("/v1/orgs").insert_header(("X-API-Key", key.clone()))).await
    };
    for _ in 0..3 {
        assert_eq!(with_key().await.status, 200);
    }
    let ended = async {
        loop {
            let answer = with_key().await;
            if answer.status == 429 {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert!(ended.text.contains("quota"), "{}", ended.text);
    let request = TestRequest::get().uri(&format!("/v1/api-clients?min_position={position}"));
    let rows = node.send(request.insert_header(("Authorization", format!("Bearer {access}")))).await.json();
    let row = &rows["items"][0];
    assert!(row["used_this_month"].as_i64().unwrap() >= 3 && row["last_used"].is_string(), "{rows}");
}

#[actix_web::test]
async fn r_05_who_operates_and_who_audits_sees_the_policy_now_and_as_it_was() {
    let node = node().await;
    let set = async |length: u32| {
        let body = json!({ "min_length": length, "history": 6, "breached_check": true });
        let request = TestRequest::put().uri("/v1/security-policy/password").set_json(body);
        node.send_elevated(ADMIN, &["admin"], request).await.json()["position"].as_u64().unwrap()
    };
    let ask = async |role: &str, query: String| {
        let request = TestRequest::get().uri(&format!("/v1/security-policy?{query}"));
        node.send_as(Uuid::from_u128(5), &[role], request).await
    };
    // What nobody has set yet is as it is built in.
    let built_in = ask("operator", String::new()).await.json();
    assert_eq!(built_in["policy"], json!(domain::identity::security_policy_id()), "{built_in}");
    assert_eq!(built_in["limits"]["auth"], json!({ "per": "ip", "limit": 10, "window_s": 60 }));
    assert_eq!((&built_in["password_min_length"], &built_in["as_of"]), (&json!(12), &json!(0)));
    let asked = ask("operator", "fields=password_min_length".to_owned()).await.json();
    assert_eq!(asked, json!({ "password_min_length": 12 }));
    let (then, now) = (set(14).await, set(16).await);
    let before = ask("compliance", format!("as_of={}", then - 1)).await;
    assert_eq!(before.json()["password_min_length"], 12, "{}", before.text);
    for role in ["compliance", "operator", "admin"] {
        let policy = ask(role, format!("min_position={now}")).await;
        assert_eq!(policy.json()["password_min_length"], 16, "{}", policy.text);
        assert_eq!(ask(role, format!("as_of={then}")).await.json()["password_min_length"], 14);
    }
    ask("student", String::new()).await.problem(403, "Forbidden");
}

#[actix_web::test]
async fn an_allow_list_keeps_administrators_and_nobody_else_out() {
    let node = node().await;
    let policy = domain::identity::security_policy_id();
    let path = format!("/v1/identity/security-policy/{policy}/set-ip-allowlist");
    let from = async |address: [u8; 4], role: &'static str| {
        let peer = std::net::SocketAddr::from((address, 4711));
        node.send_as(ADMIN, &[role], TestRequest::get().uri("/v1/orgs").peer_addr(peer)).await
    };
    let list = json!({ "audience": "admin", "cidrs": ["10.0.0.0/8"] });
    let post = |from: [u8; 4], list: &Value| {
        let peer = std::net::SocketAddr::from((from, 4711));
        TestRequest::post().uri(&path).set_json(list).peer_addr(peer)
    };
    let elsewhere = node.send_elevated(ADMIN, &["admin"], post([192, 0, 2, 1], &list)).await;
    elsewhere.problem(409, "WouldLockOutCaller");
    let mut lying = list.clone();
    lying["caller_ip"] = "10.1.2.3".into();
    let lied = node.send_elevated(ADMIN, &["admin"], post([192, 0, 2, 1], &lying)).await;
    lied.problem(400, "Malformed");
    assert_eq!(node.send_elevated(ADMIN, &["admin"], post([10, 1, 2, 3], &list)).await.status, 201);
    assert_eq!(from([10, 9, 9, 9], "admin").await.status, 200);
    from([192, 0, 2, 1], "admin").await.problem(403, "Forbidden");
    assert_eq!(from([192, 0, 2, 1], "student").await.status, 200);
}

#[actix_web::test]
async fn p_03_a_role_that_is_revoked_ends_the_sessions_that_had_it_and_no_later_one() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let command = async |name: &str| {
        let path = format!("/v1/identity/account/{id}/{name}");
        assert_eq!(node.post(&path, json!({ "role": "staff" })).await.status, 200);
    };
    let begin = async || {
        let login = log_in(&node, "ada@example.edu", json!({})).await.json();
        login["session"].as_str().unwrap().parse::<Uuid>().unwrap()
    };
    let ended = async |session: Uuid| {
        let state = node.node.api.commands.state::<domain::identity::Session>(session).await;
        state.unwrap().state.ended
    };
    command("assign-role").await;
    let with_role = begin().await;
    command("revoke-role").await;
    let later = begin().await;
    let over = async {
        while !ended(with_role).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), over).await.unwrap();
    assert!(!ended(later).await);
}

#[actix_web::test]
async fn p_01_an_address_that_nobody_verifies_within_fourteen_days_has_no_account_any_more() {
    let node = node().await;
    call(&node, "/v1/auth/register", registration("ada@example.edu")).await;
    let verified = member(&node, "bert@example.edu").await;
    let id = holder(&node, "ada@example.edu").await.unwrap();
    let pool = node.node.api.commands.store().pool();
    let armed = async || -> Vec<i64> {
        let days = "SELECT (extract(epoch FROM due_at - now()) / 86400)::bigint FROM annals.timers
            WHERE policy = 'welcome_accounts'";
        sqlx::query_scalar(days).fetch_all(pool).await.unwrap()
    };
    // That of the verified one is taken back.
    let one = async {
        while armed().await != [14] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), one).await.unwrap();
    let due = "UPDATE annals.timers SET due_at = now() - interval '1 s' WHERE policy = 'welcome_accounts'";
    sqlx::query(due).execute(pool).await.unwrap();
    let over = async {
        while history(&node, id).await.last().unwrap().0 != "AccountDeactivated" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), over).await.unwrap();
    assert!(history(&node, verified).await.iter().all(|(name, _)| name != "AccountDeactivated"));
}
