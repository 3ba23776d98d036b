//! What the access log costs: a row that is somebody else's, whose read is put on record before it is answered, against
//! one's own, whose read is nobody's business. Both by the same route, with the same token, in turns on one node.
//!
//! `cargo bench -p api --bench reading`; `SECONDS` (3) and `ROUNDS` (3) may be set. Only the ratio means anything.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking and is no library")]

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use api::{
    auth::{Claims, SigningKeys},
    http,
    wiring::{Limits, Node},
};
use commands::Request;
use domain::Actor;
use event_store::{integrity::NotaryConfig, testing::Cluster};
use integrations::mail::Nowhere;
use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const READER: Uuid = Uuid::from_u128(0x4E);
const OTHER: Uuid = Uuid::from_u128(0x07);

#[tokio::main]
async fn main() {
    let cluster = Cluster::durable();
    let database = cluster.database().await;
    let keys = SigningKeys::single(&[7; 32]).unwrap();
    let claims = Claims::new(READER, vec!["staff".into()], SignedDuration::from_hours(1), Timestamp::now());
    let token: Arc<str> = keys.sign(&claims).unwrap().into();
    let reading = projections::Config::new(&database.url);
    let limits = Limits { states: 100_000, ..Limits::default() };
    let notary = std::env::temp_dir().join(format!("annals-bench-{}", Uuid::new_v4().simple()));
    let signing = NotaryConfig::new(&notary, [7; 32]);
    let node =
        Node::assemble(database.config(), reading, signing, keys, Arc::new(Nowhere), limits).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = http::server(node.api.clone(), listener).unwrap();
    let handle = server.handle();
    tokio::spawn(server);
    for person in [READER, OTHER] {
        profile(&node, person).await;
    }

    let setting =
        |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (seconds, rounds) = (setting("SECONDS", 3), setting("ROUNDS", 3));
    for in_flight in [1, 64] {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            own.push(rate(seconds, in_flight, address, &token, READER).await);
            others.push(rate(seconds, in_flight, address, &token, OTHER).await);
        }
        let median = |rates: &mut Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        };
        let (own, others) = (median(&mut own), median(&mut others));
        println!(
            "{in_flight} in flight: {own:.0}/s of one's own, {others:.0}/s on record ({:.2})",
            others / own
        );
    }
    handle.stop(true).await;
    node.stop().await;
    std::fs::remove_dir_all(notary).unwrap();
}

/// A profile that can be read.
async fn profile(node: &Node, person: Uuid) {
    let (aggregate, command) = node.api.catalog.command("identity.profile", "ReviseProfile").unwrap();
    let fields = RawValue::from_string(r#"{"headline":"Hello"}"#.into()).unwrap();
    let request = Request::by(Actor::user(person, &["student"]));
    let accepted = aggregate.execute(&node.api.commands, person, command, &fields, &request).await.unwrap();
    let patience = Duration::from_secs(30);
    assert!(node.api.projections.wait_for("people", accepted.position, patience).await.unwrap());
}

/// How many reads of a person's row a second so many clients make.
async fn rate(seconds: u64, in_flight: usize, address: SocketAddr, token: &Arc<str>, person: Uuid) -> f64 {
    let counter = Arc::new(AtomicU64::new(0));
    let reader = || tokio::spawn(read(address, token.clone(), person, counter.clone()));
    let readers: Vec<_> = (0..in_flight).map(|_| reader()).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (begun, before) = (Instant::now(), counter.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let done = counter.load(Ordering::Relaxed) - before;
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    done as f64 / begun.elapsed().as_secs_f64()
}

/// A client that costs little, so that the server is what is measured.
async fn read(address: SocketAddr, token: Arc<str>, person: Uuid, counter: Arc<AtomicU64>) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.set_nodelay(true).unwrap();
    let request =
        format!("GET /v1/people/{person} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut answer = vec![0; 8192];
    loop {
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut length = 0;
        while !is_whole(&answer[..length]) {
            length += connection.read(&mut answer[length..]).await.unwrap();
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the body has come, by its `content-length`.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.to_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length:").and_then(|length| length.trim().parse::<usize>().ok())
    });
    length.is_some_and(|length| body.len() >= length)
}
