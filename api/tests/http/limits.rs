//! How often callers may call.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use actix_web::test::TestRequest;
use api::auth::Entrances;
use commands::ports::{Passwords, PortError, Verdict};
use futures_util::future::{BoxFuture, join, join_all};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    identity::{call, log_in, registration},
    node::{ADMIN, Answer, TestNode, node, node_with},
};

const ANNA: Uuid = Uuid::from_u128(5);
const DAY: u32 = 86_400;

/// Limits a class of routes, as an administrator may at run time.
pub(crate) async fn limit(node: &TestNode, class: &str, per: &str, limit: u32, window_s: u32) {
    let path = format!("/v1/security-policy/rate-limits/{class}");
    let put =
        TestRequest::put().uri(&path).set_json(json!({ "per": per, "limit": limit, "window_s": window_s }));
    let set = node.send_elevated(ADMIN, &["admin"], put).await;
    assert!(set.status.is_success(), "{}", set.text);
}

/// Sends a request as a person who has logged in somewhere, and not with a token of the operator's.
pub(crate) async fn as_person(node: &TestNode, person: Uuid, request: TestRequest) -> Answer {
    let claims = api::auth::Claims {
        client_id: Some("web".into()),
        ..api::auth::Claims::new(
            person,
            vec!["student".into()],
            SignedDuration::from_mins(5),
            Timestamp::now(),
        )
    };
    let token = node.node.api.keys.sign(&claims).unwrap();
    node.send(request.insert_header(("Authorization", format!("Bearer {token}")))).await
}

async fn read(node: &TestNode, person: Uuid) -> Answer {
    as_person(node, person, TestRequest::get().uri("/v1/orgs")).await
}

/// How many calls are left, as an answer tells.
fn left(answer: &Answer) -> u32 {
    let told = answer.header("ratelimit").split(';').find_map(|part| part.strip_prefix("r="));
    told.unwrap().parse().unwrap()
}

#[actix_web::test]
async fn idn_p1_an_account_is_told_what_is_left_to_it_and_when_to_come_back() {
    let node = node().await;
    limit(&node, "reads", "account", 3, DAY).await;
    for remaining in [2, 1, 0] {
        let answer = read(&node, ANNA).await;
        assert_eq!((answer.status.as_u16(), left(&answer)), (200, remaining));
        assert_eq!(answer.header("ratelimit-policy"), "\"reads\";q=3;w=86400");
    }
    let refused = read(&node, ANNA).await;
    let problem = refused.problem(429, "RateLimited");
    assert_eq!((&problem["details"]["class"], &problem["details"]["limit"]), (&json!("reads"), &json!(3)));
    assert_eq!(left(&refused), 0);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(read(&node, Uuid::from_u128(6)).await.status, 200, "others are counted for themselves");
    let put = TestRequest::put().uri("/v1/users/me/profile").set_json(json!({ "headline": "Hello" }));
    let write = as_person(&node, ANNA, put).await;
    assert_eq!((write.status.as_u16(), write.header("ratelimit-policy")), (201, "\"writes\";q=120;w=60"));
    let text = node.node.api.metrics.render();
    assert!(text.contains(r#"annals_http_requests_limited_total{class="reads"} 1"#), "{text}");
}

#[actix_web::test]
async fn a_list_as_of_a_moment_counts_as_ten_calls_and_a_row_as_one() {
    let node = node().await;
    let (org, position) = node.org("PSU").await;
    limit(&node, "reads", "account", 25, DAY).await;
    let ask = async |path: &str| {
        as_person(&node, ANNA, TestRequest::get().uri(&format!("{path}as_of={position}"))).await
    };
    assert_eq!(left(&ask("/v1/orgs?").await), 15);
    assert_eq!(left(&ask(&format!("/v1/orgs/{org}?")).await), 14);
    assert_eq!(left(&ask(&format!("/v1/orgs?org_id={org}&")).await), 13);
    assert_eq!(left(&ask("/v1/orgs?").await), 3);
    ask("/v1/orgs?").await.problem(429, "RateLimited");
    assert_eq!(left(&read(&node, ANNA).await), 2);
    // In GraphQL as well.
    limit(&node, "reads", "account", 41, DAY).await;
    let roots: String = (0..5).map(|at| format!("r{at}: orgs(as_of: \"{position}\") {{ next }} ")).collect();
    let document = json!({ "query": format!("{{ {roots} }}") });
    let document = TestRequest::post().uri("/v1/graphql").set_json(document);
    let told = as_person(&node, Uuid::from_u128(6), document).await.json();
    let errors = told["errors"].as_array().unwrap();
    let limited = errors.iter().filter(|error| error["extensions"]["code"] == "RateLimited");
    assert_eq!(limited.count(), 1, "{told}");
}

#[actix_web::test]
async fn a_limit_is_set_only_for_a_class_that_routes_are_of() {
    let node = node().await;
    let fields = json!({ "per": "account", "limit": 1, "window_s": DAY });
    let put = TestRequest::put().uri("/v1/security-policy/rate-limits/write").set_json(fields);
    let refused = node.send_elevated(ADMIN, &["admin"], put).await;
    let problem = refused.problem(422, "InvalidValue");
    assert_eq!(problem["field"], "route_class");
    assert!(problem["detail"].as_str().unwrap().contains("writes"), "it says which there are: {problem}");
}

#[actix_web::test]
async fn tokens_of_the_command_line_have_a_limit_of_their_own_and_health_has_none() {
    let node = node().await;
    limit(&node, "reads", "account", 1, DAY).await;
    for _ in 0..3 {
        let answer = node.get("/v1/orgs").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"operator\";q=100000;w=1");
        let health = node.send(TestRequest::get().uri("/health/live")).await;
        assert!(!health.headers.contains_key("ratelimit"));
    }
    limit(&node, "operator", "account", 1, DAY).await;
    assert_eq!(node.get("/v1/orgs").await.status, 200);
    node.get("/v1/orgs").await.problem(429, "RateLimited");
}

#[actix_web::test]
async fn idn_p1_two_nodes_keep_one_limit_together() {
    let one = node().await;
    let two = one.beside().await;
    limit(&one, "reads", "account", 40, DAY).await;
    while left(&read(&two, Uuid::from_u128(6)).await) > 39 {
        tokio::task::yield_now().await;
    }
    for _ in 0..30 {
        assert_eq!(read(&one, ANNA).await.status, 200);
    }
    // Node one tells in the background; node two learns of it when it tells in its turn.
    let mut admitted = 30;
    loop {
        let answer = read(&two, ANNA).await;
        if answer.status != 200 {
            answer.problem(429, "RateLimited");
            break;
        }
        admitted += 1;
        assert!(admitted <= 80, "the limit once more at the very most");
        if left(&answer) > 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!((40..60).contains(&admitted), "{admitted}");
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("SELECT who FROM annals.calls")
        .fetch_all(one.node.api.commands.store().pool())
        .await
        .unwrap();
    assert!(!kept.is_empty() && kept.iter().all(|who| who.len() == 16 && !who.ends_with(&[5])), "hashes");
}

#[actix_web::test]
async fn idn_p1_the_ways_in_are_counted_exactly_on_all_nodes() {
    let one = node().await;
    let two = one.beside().await;
    let attempt = async |node: &TestNode| {
        let request =
            TestRequest::post().uri("/v1/auth/verify-email").peer_addr("203.0.113.1:4711".parse().unwrap());
        node.send(request.set_json(json!({ "token": "x" }))).await.status.as_u16()
    };
    let mut tried = 0;
    for _ in 0..8 {
        let both = join(attempt(&one), attempt(&two)).await;
        tried += usize::from(both.0 == 422) + usize::from(both.1 == 422);
    }
    assert_eq!(tried, 10);
}

#[actix_web::test]
async fn whoever_guesses_tokens_or_keys_is_kept_from_the_ways_in_and_no_longer_on_record_and_others_are_not()
{
    let node = node().await;
    let from = |last: u8| std::net::SocketAddr::from(([203, 0, 113, last], 4711));
    let show = async |address: u8, path: &str, (name, value): (&'static str, &str)| {
        let request = TestRequest::get().uri(path).insert_header((name, value)).peer_addr(from(address));
        node.send(request).await
    };
    let forged = format!("{}x", node.token(ANNA, &["admin"]));
    let guesses = [
        ("Authorization", "Bearer nothing".to_owned()),
        ("Authorization", format!("Bearer {forged}")),
        ("X-API-Key", format!("ak_{}.{}", ANNA.simple(), "0".repeat(64))),
        ("X-API-Key", "nothing".to_owned()),
        ("Cookie", "__Host-annals_access=nothing".to_owned()),
    ];
    for path in ["/v1/orgs", "/v1/users/me/profile"] {
        for (name, value) in &guesses {
            assert_eq!(show(1, path, (*name, value)).await.status, 401, "{name}");
        }
    }
    for (name, value) in &guesses {
        let refused = show(1, "/v1/orgs", (*name, value)).await;
        assert_eq!(refused.status, 401, "{name}");
        assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    }
    let login = TestRequest::post().uri("/v1/auth/login").peer_addr(from(1));
    node.send(login.set_json(json!({}))).await.problem(429, "RateLimited");
    // Others are counted for themselves, and so is whoever shows what is accepted.
    let token = format!("Bearer {}", node.token(ANNA, &["student"]));
    assert_eq!(show(1, "/v1/orgs", ("Authorization", &token)).await.status, 200);
    assert_eq!(show(2, "/v1/orgs", ("Authorization", "Bearer nothing")).await.status, 401);
    // Of all that was refused for being too much, one is on record.
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let limited = events.iter().filter(|event| event.payload.contains("RateLimited"));
    assert_eq!(limited.count(), 1);
    let denied = events.iter().filter(|event| event.event_type == "AccessDenied");
    assert_eq!(
        denied.count(),
        10 + 1 + 1,
        "the tries within the limit, what was too much, and the other address"
    );
}

#[actix_web::test]
async fn a_token_whose_time_is_over_is_no_guess() {
    let node = node().await;
    let over = Timestamp::now() - SignedDuration::from_hours(2);
    let claims = api::auth::Claims::new(ANNA, vec!["student".into()], SignedDuration::from_mins(5), over);
    let token = format!("Bearer {}", node.node.api.keys.sign(&claims).unwrap());
    for _ in 0..30 {
        let request = TestRequest::get().uri("/v1/orgs").peer_addr("203.0.113.1:4711".parse().unwrap());
        node.send(request.insert_header(("Authorization", token.clone())))
            .await
            .problem(401, "Unauthenticated");
    }
}

/// Passwords that wait for their turn until they may be looked at.
struct Waiting {
    waiting: AtomicUsize,
    turns: Semaphore,
}

impl Passwords for Waiting {
    fn hash(&self, _: String) -> BoxFuture<'_, Result<String, PortError>> {
        Box::pin(async { Ok("$argon2id$".to_owned()) })
    }

    fn verify(&self, _: String, _: Option<String>) -> BoxFuture<'_, Result<Verdict, PortError>> {
        Box::pin(async {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let _turn = self.turns.acquire().await;
            Ok(Verdict { holds: false, outdated: false })
        })
    }
}

#[actix_web::test]
async fn what_hashes_a_password_where_too_many_wait_for_their_turn_is_refused_at_once() {
    let passwords = Arc::new(Waiting { waiting: AtomicUsize::new(0), turns: Semaphore::new(0) });
    let node = node_with(Entrances { passwords: passwords.clone(), ..Entrances::default() }).await;
    let places = 16 * thread::available_parallelism().map_or(1, NonZero::get);
    let waiting = join_all((0..places).map(|_| log_in(&node, "nobody@example.edu", json!({}))));
    let refused = async {
        while passwords.waiting.load(Ordering::SeqCst) < places {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let login = log_in(&node, "ada@example.edu", json!({})).await;
        let register = call(&node, "/v1/auth/register", registration("ada@example.edu")).await;
        for refused in [login, register] {
            refused.problem(503, "Overloaded");
            assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
        }
        // What hashes nothing is answered all the while.
        let forgotten = json!({ "email": "ada@example.edu" });
        assert_eq!(call(&node, "/v1/auth/forgot-password", forgotten).await.status, 202);
        passwords.turns.add_permits(places);
    };
    for answer in join(waiting, refused).await.0 {
        answer.problem(401, "LoginRefused");
    }
    let registered = call(&node, "/v1/auth/register", registration("ada@example.edu")).await;
    assert_eq!(registered.status, 202, "there are places again: {}", registered.text);
}

async fn incidents(node: &TestNode) -> Vec<Value> {
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let opened = events.iter().filter(|event| event.event_type == "SecurityIncidentOpened");
    opened
        .map(|event| serde_json::from_str::<Value>(&event.payload).unwrap()["SecurityIncidentOpened"].take())
        .collect()
}

#[actix_web::test]
async fn idn_p3_three_windows_over_the_limit_one_after_the_other_are_a_suspicion() {
    let first = node().await;
    limit(&first, "reads", "account", 1, DAY).await;
    let pool = first.node.api.commands.store().pool();
    // Each node has forgotten what the others counted, as if a day had gone by.
    let (second, third, fourth) = (first.beside().await, first.beside().await, first.beside().await);
    let mut seen = Vec::new();
    for node in [&first, &second, &third, &fourth] {
        let mut over = read(node, ANNA).await;
        while over.status == 200 {
            over = read(node, ANNA).await;
        }
        over.problem(429, "RateLimited");
        read(node, ANNA).await.problem(429, "RateLimited");
        seen.push(incidents(node).await.len());
        sqlx::query("DELETE FROM annals.calls WHERE NOT refused").execute(pool).await.unwrap();
        for table in [-4_i64, -3, -2, -1, 0] {
            // One after the other: a window moves to where its predecessor was.
            let moved = "UPDATE annals.calls SET win = win - 1, calls = 0 WHERE win = \
                         (extract(epoch FROM now())::bigint / 86400) + $1";
            sqlx::query(moved).bind(table).execute(pool).await.unwrap();
        }
    }
    assert_eq!(seen, [0, 0, 1, 1], "once for a row of windows");
    let incident = incidents(&first).await.remove(0);
    assert_eq!((&incident["kind"], &incident["severity"]), (&json!("abuse"), &json!("medium")), "{incident}");
    let store = first.node.api.commands.store();
    let evidence: Uuid = incident["evidence"][0].as_str().unwrap().parse().unwrap();
    let events = store.read_all(0, 1000).await.unwrap();
    let denied = events.iter().find(|event| event.event_id == evidence).unwrap();
    assert!(
        denied.event_type == "AccessDenied" && denied.payload.contains("RateLimited"),
        "{}",
        denied.payload
    );
    // Of each window but one refusal is on record.
    assert_eq!(events.iter().filter(|event| event.event_type == "AccessDenied").count(), 4);
}
