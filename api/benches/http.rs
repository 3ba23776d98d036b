//! What HTTP adds to a command: the same commands, 64 in flight, straight to the catalog and through the server with a
//! token, a body and an idempotency key, in turns on one node.
//!
//! `cargo bench -p api --bench http`; `SECONDS` (3) and `ROUNDS` (3) may be set. Only the ratio means anything.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking and is no library")]

use std::{
    net::TcpListener,
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
use event_store::{integrity::NotaryConfig, testing::database};
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

const IN_FLIGHT: usize = 64;
const ADMIN: Uuid = Uuid::from_u128(0xAD);

#[tokio::main]
async fn main() {
    let database = database().await;
    let keys = SigningKeys::single(&[7; 32]).unwrap();
    let claims = Claims::new(ADMIN, vec!["admin".into()], SignedDuration::from_hours(1), Timestamp::now());
    let token = keys.sign(&claims).unwrap();
    let reading = projections::Config::new(&database.url);
    let limits = Limits { states: 100_000, body: 1 << 20 };
    let notary = std::env::temp_dir().join(format!("annals-bench-{}", Uuid::new_v4().simple()));
    let signing = NotaryConfig::new(&notary, [7; 32]);
    let node =
        Node::assemble(database.config(), reading, signing, keys, Arc::new(Nowhere), limits).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = http::server(node.api.clone(), listener).unwrap();
    let handle = server.handle();
    tokio::spawn(server);

    let setting =
        |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (seconds, rounds) = (setting("SECONDS", 3), setting("ROUNDS", 3));
    let (mut direct, mut served) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        direct.push(rate(seconds, |counter| straight(node.api.clone().into_inner(), counter)).await);
        served.push(rate(seconds, |counter| through(address, token.clone(), counter)).await);
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (direct, served) = (median(&mut direct), median(&mut served));
    println!(
        "{IN_FLIGHT} in flight: {direct:.0}/s straight, {served:.0}/s through HTTP ({:.2})",
        served / direct
    );
    handle.stop(true).await;
    node.stop().await;
    std::fs::remove_dir_all(notary).unwrap();
}

/// How many commands a second `IN_FLIGHT` workers carry out.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    seconds: u64,
    worker: impl Fn(Arc<AtomicU64>) -> F,
) -> f64 {
    let counter = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..IN_FLIGHT).map(|_| tokio::spawn(worker(counter.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (begun, before) = (Instant::now(), counter.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let done = counter.load(Ordering::Relaxed) - before;
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    done as f64 / begun.elapsed().as_secs_f64()
}

fn body() -> String {
    let code = Uuid::new_v4().simple().to_string().to_uppercase();
    format!(
        r#"{{"kind":"institution","code":"{}","name":"Pittsburg State","type":"university","country":"US"}}"#,
        &code[..20]
    )
}

async fn straight(api: Arc<http::Api>, counter: Arc<AtomicU64>) {
    let (aggregate, command) = api.catalog.command("identity.org_unit", "CreateOrgUnit").unwrap();
    let actor = Actor::user(ADMIN, &["admin"]);
    loop {
        let fields = RawValue::from_string(body()).unwrap();
        let request = Request::by(actor.clone()).under(Uuid::new_v4(), Some([7; 32]));
        aggregate.execute(&api.commands, Uuid::now_v7(), command, &fields, &request).await.unwrap();
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client that costs little, so that the server is what is measured.
async fn through(address: std::net::SocketAddr, token: String, counter: Arc<AtomicU64>) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.set_nodelay(true).unwrap();
    let mut answer = vec![0; 4096];
    loop {
        let body = body();
        let request = format!(
            "POST /v1/orgs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Idempotency-Key: {}\r\nContent-Length: {}\r\n\r\n{body}",
            Uuid::new_v4(),
            body.len()
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut length = 0;
        // The answer is one object without inner ones: it has come when its brace has.
        while !answer[..length].ends_with(b"}") {
            length += connection.read(&mut answer[length..]).await.unwrap();
        }
        assert!(answer.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&answer[..length]));
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
