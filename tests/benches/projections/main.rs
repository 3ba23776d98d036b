//! Read models against their peer, in one run on one machine: a rebuild from the log, and how soon a commit is visible.
//!
//! `cargo bench -p annals-tests --bench projections`; `EVENTS=1000000`, `PEER_EVENTS=20000` and `SECONDS=10` may be set.
//! Only the ratios mean anything.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(missing_docs, reason = "a benchmark is no library")]

mod log;
mod peer;

use std::time::{Duration, Instant};

use annals_tests::server::settle;
use api::{config::Config, embedded::Servers, wiring::Node};
use commands::Request;
use domain::{
    Actor,
    identity::{OrgUnit, OrgUnitCommand},
    registry::AnyEvent,
};
use event_store::EventStore;
use uuid::Uuid;

/// The read model: keyed, and its fold needs the row as it was.
const MODEL: &str = "org_directory";

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Events per second.
fn rate(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}

/// Reads the whole log and parses every event into its type: what no rebuild can be faster than on one connection.
async fn read_and_parse(store: &EventStore) -> f64 {
    let (begun, mut position, mut events) = (Instant::now(), 0, 0);
    loop {
        let batch = store.read_all(position, 10_000).await.unwrap();
        let Some(last) = batch.last() else { break };
        position = last.position;
        for event in &batch {
            let read = AnyEvent::decode(
                &event.stream.aggregate_type,
                &event.event_type,
                &event.event_version,
                &event.payload,
            );
            events += u64::from(read.is_ok());
        }
    }
    rate(events, begun.elapsed())
}

/// The most memory that this process had at once, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// From the acknowledgement of a command to its commit in the read models, at a steady rate.
async fn commit_to_visible(node: &Node, streams: &[Uuid], per_second: u64, time: Duration) -> Vec<Duration> {
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / per_second));
    let (begun, mut waiting) = (Instant::now(), Vec::new());
    let mut n = 0;
    while begun.elapsed() < time {
        tick.tick().await;
        n += 1;
        let (commands, projections) = (node.api.commands.clone(), node.api.projections.clone());
        let id = streams[n % streams.len()];
        waiting.push(tokio::spawn(async move {
            let request = Request::by(Actor::user(Uuid::nil(), &["admin"]));
            let name = Some(format!("Name {n}"));
            let rename = OrgUnitCommand::ReviseOrgUnit {
                name,
                r#type: None,
                city: None,
                website: None,
                contact_email: None,
            };
            let accepted = commands.execute::<OrgUnit>(id, rename, &request).await.unwrap();
            let committed = Instant::now();
            assert!(projections.wait_for(MODEL, accepted.position, Duration::from_secs(30)).await.unwrap());
            committed.elapsed()
        }));
    }
    let mut took = Vec::new();
    for one in waiting {
        took.push(one.await.unwrap());
    }
    took.sort_unstable();
    took
}

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    let events = setting("EVENTS", 1_000_000);
    let home = std::env::temp_dir().join(format!("annals-bench-{}", std::process::id()));
    let config = Config { data_dir: home.clone(), ..Config::default() };
    let servers = Servers::start(&config).await.unwrap();
    let node = Node::start(&config, &servers).await.unwrap();
    let store = node.api.commands.store().clone();

    let begun = Instant::now();
    let streams = log::fill(&store, events).await;
    println!(
        "{events} events in {} streams, appended at {:.0} per second",
        streams.len(),
        rate(events, begun.elapsed())
    );
    let caught_up = node.api.projections.wait_for(MODEL, events, Duration::from_secs(900)).await.unwrap();
    assert!(caught_up);

    let parse = read_and_parse(&store).await;
    let (peer_events, peer_took) = peer::replay(store.pool(), setting("PEER_EVENTS", 20_000)).await;
    let peer = rate(peer_events, peer_took);
    println!(
        "\n| rebuild | events per second | against QueryReplay | against read and parse |\n|---|---|---|---|"
    );
    println!("| read and typed parse of the whole log, one task | {parse:.0} | | 1 |");
    println!("| cqrs-es `QueryReplay` of {peer_events} events | {peer:.0} | 1 | |");
    let show = |what: &str, per_second: f64| {
        println!("| {what} | {per_second:.0} | {:.0} | {:.2} |", per_second / peer, per_second / parse);
    };
    let one = node.api.projections.rebuild(&[MODEL]).await.unwrap();
    show("one keyed read model", rate(one[0].events, one[0].took));
    let all = node.api.projections.rebuild_all().await.unwrap();
    show(&format!("all {} read models in one pass", all.len()), rate(all[0].events, all[0].took));
    println!("\nPeak memory of the process, the log's filling included: {} MiB", peak_memory());

    let nats = servers.nats_url.is_some();
    settle(store.pool()).await;
    let took = commit_to_visible(&node, &streams, 1000, Duration::from_secs(setting("SECONDS", 10))).await;
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "\nCommit to visible at 1000 commands/s, all read models, through NATS: {nats} — p50 {:.2} ms, p99 {:.2} ms",
        at(0.5),
        at(0.99)
    );

    node.stop().await;
    servers.stop().await;
    std::fs::remove_dir_all(home).ok();
}
