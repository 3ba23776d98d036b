//! What the limits cost: the decision whether one more call is let through, in the process itself, without a connection, a
//! token or a query. Of callers who are let through, in turns, so that each one's window is looked up; and of one who is over
//! the limit.
//!
//! `cargo bench -p api --bench limits`; `CALLS` (1000000) and `ROUNDS` (5) may be set. It prints the median of the rounds.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking and is no library")]

use std::{sync::Arc, time::Instant};

use actix_web::{http::Method, test::TestRequest};
use api::{
    auth::{Claims, SigningKeys, Ticket},
    wiring::{Limits, Node},
};
use domain::Actor;
use event_store::{integrity::NotaryConfig, testing::database};
use integrations::mail::Nowhere;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many callers there are: so many that none of them comes to the 600 reads of a minute.
const CALLERS: u128 = 50_000;

#[tokio::main]
async fn main() {
    let database = database().await;
    let keys = SigningKeys::single(&[7; 32]).unwrap();
    let reading = projections::Config::new(&database.url);
    let notary = std::env::temp_dir().join(format!("annals-bench-{}", Uuid::new_v4().simple()));
    let signing = NotaryConfig::new(&notary, [7; 32]);
    let claims = Claims::new(Uuid::nil(), Vec::new(), SignedDuration::from_hours(1), Timestamp::now());
    let ticket = keys.verify(&keys.sign(&claims).unwrap()).unwrap();
    let of = |caller: u128| {
        let actor = Actor::user(Uuid::from_u128(caller), &["student"]);
        Ticket { actor, operator: false, ..(*ticket).clone() }
    };
    let callers: Vec<Ticket> = (1..=CALLERS).map(of).collect();
    let one = of(CALLERS + 1);
    let limits = Limits::default();
    let node =
        Node::assemble(database.config(), reading, signing, keys, Arc::new(Nowhere), limits).await.unwrap();
    let api = node.api.clone();
    let request = TestRequest::get().uri("/v1/people").to_http_request();
    let route = api.router.find(&Method::GET, "/v1/people").unwrap().route;

    let setting =
        |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (calls, rounds) = (setting("CALLS", 1_000_000), setting("ROUNDS", 5));
    while api.lets_through(&request, route, Some(&one)).await {}
    let (mut admitted, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (begun, mut through) = (Instant::now(), 0);
        for caller in callers.iter().cycle().take(usize::try_from(calls).unwrap()) {
            through += u64::from(api.lets_through(&request, route, Some(caller)).await);
        }
        admitted.push(begun.elapsed().as_nanos() / u128::from(calls));
        assert_eq!(through, calls, "fewer CALLS: the callers came to their limit");
        let begun = Instant::now();
        for _ in 0..calls / 10 {
            std::hint::black_box(api.lets_through(&request, route, Some(&one)).await);
        }
        refused.push(begun.elapsed().as_nanos() / u128::from(calls / 10));
    }
    let median = |mut times: Vec<u128>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    println!("The decision of the limits in the process, nanoseconds per call, medians of {rounds} rounds:");
    println!("{CALLERS} callers in turns, {calls} calls, all let through: {} ns", median(admitted));
    println!("one caller over the limit, {} calls, refused: {} ns", calls / 10, median(refused));
    node.stop().await;
    std::fs::remove_dir_all(notary).unwrap();
}
