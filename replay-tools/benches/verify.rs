//! What `annals-replay verify` costs beyond reading the log and hashing it, which it cannot do without.
//!
//! `cargo bench -p replay-tools`; `EVENTS` (default 200,000) and `ROUNDS` (default 3) in the environment. Only the ratio
//! means anything: single figures drift with the machine. Both read with as many workers as there are processors, look at
//! each event as it comes and hash its leaf; in turns, on one log that a notary has signed.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::{hint::black_box, path::Path, process::Command, time::Instant};

use event_store::{
    Append, EventStore, Illegible, NewEvent, Recorded, StreamId,
    integrity::{Leaf, Notary, NotaryConfig, NotaryState},
    testing::Cluster,
};
use futures_util::{StreamExt, stream};
use uuid::Uuid;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many events are read at once, by both.
const PART: u64 = 4096;

#[tokio::main]
async fn main() {
    let (events, rounds) = (setting("EVENTS", 200_000), setting("ROUNDS", 3));
    let cluster = Cluster::start();
    let database = cluster.database().await;
    let store = database.store().await.unwrap();
    fill(&store, events).await;
    let folder = std::env::temp_dir().join(format!("annals-bench-{}", Uuid::new_v4().simple()));
    sign(&store, &folder, events).await;
    let master = folder.join("master.key");
    std::fs::write(&master, [7; 32]).unwrap();
    let (mut hashing, mut verifying) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        hashing.push(read_and_hash(&store, events).await);
        verifying.push(verify(&database.url, &master, &folder));
    }
    let (hashing, verifying) = (median(&mut hashing), median(&mut verifying));
    println!(
        "{events} events: {:.0}/s read and hashed, {:.0}/s verified ({:.2})",
        events as f64 / hashing,
        events as f64 / verifying,
        hashing / verifying
    );
    std::fs::remove_dir_all(folder).unwrap();
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Events of 344 bytes with 150 bytes of metadata, five to a stream.
async fn fill(store: &EventStore, events: u64) {
    let payload = format!(r#"{{"OrgUnitDeactivated":{{"reason":"{}"}}}}"#, "r".repeat(300));
    let metadata = format!(r#"{{"actor":"user:1","correlation_id":"{}"}}"#, "c".repeat(110));
    let mut left = events;
    while left > 0 {
        let streams = (0..left.min(5000)).map(|index| (index % 5 == 0).then(Uuid::now_v7));
        let mut stream = Uuid::now_v7();
        let events = streams.map(|next| {
            stream = next.unwrap_or(stream);
            NewEvent {
                stream: StreamId::new("identity.org_unit", stream.to_string()),
                event_id: Uuid::now_v7(),
                event_type: "OrgUnitDeactivated".into(),
                event_version: "1".into(),
                payload: payload.clone(),
                personal: Vec::new(),
                metadata: metadata.clone(),
            }
        });
        let events: Vec<NewEvent> = events.collect();
        left -= events.len() as u64;
        let (command_id, conditions, claims) = (Uuid::now_v7(), Vec::new(), Vec::new());
        store.append(Append { command_id, fingerprint: None, conditions, events, claims }).await.unwrap();
    }
}

async fn sign(store: &EventStore, folder: &Path, events: u64) {
    let notary = Notary::start(store.clone(), NotaryConfig::new(folder, [7; 32])).await.unwrap();
    let mut state = notary.state();
    state.wait_for(|state| *state == NotaryState::Signed(events)).await.unwrap();
    notary.stop().await;
}

async fn read_and_hash(store: &EventStore, events: u64) -> f64 {
    let begun = Instant::now();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = stream::iter((0..events.div_ceil(PART)).map(|part| part * PART));
    let hashed = parts.map(|after| {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut seen, mut buffer) = (0_u64, Vec::new());
            let hash = |event: Result<Recorded, Illegible>| {
                black_box(Leaf::hash_of(&event.unwrap(), &mut buffer));
                seen += 1;
            };
            store.visit(after, after + PART, hash).await.unwrap();
            seen
        })
    });
    let hashed = hashed.buffered(workers).fold(0, async |sum, part| sum + part.unwrap()).await;
    assert_eq!(hashed, events);
    begun.elapsed().as_secs_f64()
}

fn verify(url: &str, master: &Path, folder: &Path) -> f64 {
    let output = Command::new(env!("CARGO_BIN_EXE_annals-replay"))
        .args(["--json", "verify", "--notary"])
        .arg(folder)
        .env("ANNALS_DATABASE_URL", url)
        .env("ANNALS_MASTER_KEY_FILE", master)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    report["seconds"].as_f64().unwrap()
}
