//! How many commands per second the log takes, against its peers and limits, in one interleaved run on one cluster.
//!
//! `cargo bench -p event-store`; `SECONDS` (per measurement, default 2) and `ROUNDS` (default 3) in the environment, and
//! what to measure (such as "New 64 annals") as arguments, all if there are none. With `GROWTH=10000000`, instead, how the
//! rate of a log of so many events compares to that of one of 100,000. Only the ratios mean
//! anything: single figures drift with the machine. NEW: each command starts a stream. HOT: random ones among 10,000
//! streams that had five events before the measurement. The contenders:
//!
//! - `cqrs-es`: cqrs-es + postgres-es on a table of their own, as their documentation sets it up.
//! - `annals`: everything on: sealing for one of 10,000 data subjects, an idempotency key, a fingerprint, the envelope; a
//!   new stream also takes a claim. HOT knows the stream's version, as a cache of aggregates does.
//! - `annals, new subjects`: every new stream also has a new data subject, whose key must be made.
//! - `annals, loading`: HOT, but every command loads its stream first.
//! - `annals, bare`: no personal data, no claims.
//! - `unnest 256`: one connection that inserts 256 rows with each statement into a table of the same layout.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on panics")]

mod peer;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use event_store::{
    Append, AppendError, Claim, Condition, EventStore, NewEvent, PersonalGroup, StreamId,
    testing::{Cluster, TestDatabase},
};
use rand::Rng;
use uuid::Uuid;

const HOT_STREAMS: usize = 10_000;
const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];
const TYPE: &str = "bench.account";

/// 344 bytes.
fn payload() -> String {
    let frame = r#"{"Credited":{"amount":0,"note":""}}"#.len();
    format!(r#"{{"Credited":{{"amount":{},"note":"{}"}}}}"#, 1, "n".repeat(344 - frame))
}

/// 150 bytes.
fn metadata() -> String {
    let frame = r#"{"actor":"user:0193a5b0-0000-7000-8000-000000000000","correlation_id":""}"#.len();
    format!(
        r#"{{"actor":"user:0193a5b0-0000-7000-8000-000000000000","correlation_id":"{}"}}"#,
        "c".repeat(150 - frame)
    )
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Contender {
    Peer,
    Annals,
    Subjects,
    Loading,
    Bare,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::Peer => "cqrs-es",
            Self::Annals => "annals",
            Self::Subjects => "annals, new subjects",
            Self::Loading => "annals, loading",
            Self::Bare => "annals, bare",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Work {
    New,
    Hot,
}

struct Measured {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// The streams of the HOT work as a cache of aggregates would know them.
struct Streams {
    ids: Vec<String>,
    versions: Vec<AtomicU64>,
}

impl Streams {
    fn new() -> Self {
        Self {
            ids: (0..HOT_STREAMS).map(|_| Uuid::now_v7().to_string()).collect(),
            versions: (0..HOT_STREAMS).map(|_| AtomicU64::new(5)).collect(),
        }
    }
}

fn append(id: &str, version: u64, subject: Option<Uuid>, claim: bool) -> Append {
    let stream = StreamId::new(TYPE, id);
    let personal =
        subject.map(|subject| PersonalGroup { subject, class: "identity".into(), plaintext: vec![b'p'; 64] });
    let event = NewEvent {
        stream: stream.clone(),
        event_id: Uuid::now_v7(),
        event_type: "Credited".into(),
        event_version: "1".into(),
        payload: payload(),
        personal: personal.into_iter().collect(),
        metadata: metadata(),
    };
    let claims =
        if claim { vec![Claim::Take { key: format!("account:{id}"), by: stream.clone() }] } else { vec![] };
    Append {
        command_id: Uuid::new_v4(),
        fingerprint: Some([7; 32]),
        conditions: vec![Condition { stream, version }],
        events: vec![event],
        claims,
    }
}

async fn ours_new(store: &EventStore, subjects: &[Uuid], contender: Contender) {
    let id = Uuid::now_v7().to_string();
    let subject = match contender {
        Contender::Bare | Contender::Peer => None,
        Contender::Subjects => Some(Uuid::new_v4()),
        Contender::Annals | Contender::Loading => Some(subjects[rand::rng().random_range(0..subjects.len())]),
    };
    store.append(append(&id, 0, subject, contender != Contender::Bare)).await.unwrap();
}

async fn ours_hot(store: &EventStore, streams: &Streams, subjects: &[Uuid], contender: Contender) {
    let index = rand::rng().random_range(0..HOT_STREAMS);
    let (id, known) = (&streams.ids[index], &streams.versions[index]);
    let subject = (contender != Contender::Bare).then_some(subjects[index]);
    loop {
        let version = if contender == Contender::Loading {
            let events = store.read_stream(&StreamId::new(TYPE, id.as_str()), 0, None).await.unwrap();
            events.last().unwrap().sequence
        } else {
            known.load(Ordering::Relaxed)
        };
        match store.append(append(id, version, subject, false)).await {
            Ok(appended) => {
                known.fetch_max(appended.versions[0].1, Ordering::Relaxed);
                return;
            }
            Err(AppendError::Conflict { current, .. }) => _ = known.fetch_max(current, Ordering::Relaxed),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Runs a command again and again, `in_flight` at a time.
async fn measure<F: Future<Output = ()> + Send>(
    in_flight: usize,
    length: Duration,
    command: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Measured {
    let begin = Instant::now();
    let end = begin + length;
    let clients = (0..in_flight).map(|_| {
        let command = command.clone();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            let mut last = Instant::now();
            while last < end {
                command().await;
                let now = Instant::now();
                latencies.push(now - last);
                last = now;
            }
            latencies
        })
    });
    let mut latencies: Vec<Duration> = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        latencies.extend(client.await.unwrap());
    }
    let per_second = latencies.len() as f64 / begin.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize];
    Measured { per_second, p50: quantile(0.5), p99: quantile(0.99) }
}

struct Setup {
    store: EventStore,
    subjects: Arc<Vec<Uuid>>,
    peer: Arc<peer::Peer>,
}

impl Setup {
    async fn new(database: &TestDatabase) -> Self {
        let mut config = database.config();
        config.pool_size = 10;
        Self {
            store: EventStore::open(config).await.unwrap(),
            subjects: Arc::new((0..HOT_STREAMS).map(|_| Uuid::new_v4()).collect()),
            peer: Arc::new(peer::Peer::new(&database.url).await),
        }
    }

    /// Streams of five events, which nobody else has written.
    async fn hot_streams(&self) -> Arc<Streams> {
        let streams = Streams::new();
        let seed: Vec<_> = (0..HOT_STREAMS).collect();
        for part in seed.chunks(256) {
            let appends = part.iter().map(|&index| {
                let (id, subject) = (&streams.ids[index], Some(self.subjects[index]));
                let mut first = append(id, 0, subject, false);
                first.events.extend((1..5).flat_map(|_| append(id, 0, subject, false).events));
                self.store.append(first)
            });
            futures_util::future::try_join_all(appends).await.unwrap();
        }
        Arc::new(streams)
    }

    async fn run(&self, contender: Contender, work: Work, in_flight: usize, length: Duration) -> Measured {
        let (store, subjects, peer) = (self.store.clone(), self.subjects.clone(), self.peer.clone());
        match (contender, work) {
            (Contender::Peer, Work::New) => {
                let command = move || {
                    let peer = peer.clone();
                    async move { peer.credit_new().await }
                };
                measure(in_flight, length, command).await
            }
            (Contender::Peer, Work::Hot) => {
                let ids = Arc::new(peer.hot_streams(HOT_STREAMS).await);
                let command = move || {
                    let (peer, ids) = (peer.clone(), ids.clone());
                    async move { peer.credit_one_of(&ids).await }
                };
                measure(in_flight, length, command).await
            }
            (_, Work::New) => {
                let command = move || {
                    let (store, subjects) = (store.clone(), subjects.clone());
                    async move { ours_new(&store, &subjects, contender).await }
                };
                measure(in_flight, length, command).await
            }
            (_, Work::Hot) => {
                let streams = self.hot_streams().await;
                let command = move || {
                    let (store, streams, subjects) = (store.clone(), streams.clone(), subjects.clone());
                    async move { ours_hot(&store, &streams, &subjects, contender).await }
                };
                measure(in_flight, length, command).await
            }
        }
    }
}

/// What the log takes per second when it has 100,000 events, and when it has `events`.
async fn growth(setup: &Setup, events: u64, length: Duration, rounds: usize) {
    let mut small = BTreeMap::new();
    // As on a server that was set up for writing and has been at work: checkpoints are seldom, and files of the write-ahead
    // log are used again. A new server fills each with zeros first, which is no matter of the log's size.
    let pool = setup.store.pool();
    for statement in [
        "ALTER SYSTEM SET max_wal_size = '4GB'",
        "ALTER SYSTEM SET min_wal_size = '2GB'",
        "SELECT pg_reload_conf()",
        "SELECT pg_logical_emit_message(false, 'settle', repeat('x', 1 << 20)) FROM generate_series(1, 3000)",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
    for size in [100_000, events] {
        while setup.store.head().await.unwrap().position < size {
            let fill = (0..256).map(|n| {
                let (id, subject) = (Uuid::now_v7().to_string(), setup.subjects[n]);
                let mut stream = append(&id, 0, Some(subject), true);
                stream.events.extend((1..20).flat_map(|_| append(&id, 0, Some(subject), false).events));
                setup.store.append(stream)
            });
            futures_util::future::try_join_all(fill).await.unwrap();
        }
        for work in [Work::New, Work::Hot] {
            let mut rates = Vec::new();
            for _ in 0..rounds {
                sqlx::query("CHECKPOINT").execute(pool).await.unwrap();
                rates.push(setup.run(Contender::Annals, work, 256, length).await.per_second);
            }
            let rate = median(rates);
            let first = *small.entry(work).or_insert(rate);
            println!("{work:?}, 256 in flight, {size} events: {rate:.0} commands/s ({:.2})", rate / first);
        }
    }
}

fn from_environment(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let length = Duration::from_secs_f64(from_environment("SECONDS", 2.0));
    let rounds = from_environment("ROUNDS", 3.0) as usize;
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let cluster = Cluster::durable();
    let database = cluster.database().await;
    let setup = Setup::new(&database).await;
    setup.hot_streams().await; // and with them the subjects' keys
    if let Ok(events) = std::env::var("GROWTH") {
        growth(&setup, events.parse().unwrap(), length, rounds).await;
        return setup.store.shutdown().await;
    }
    let mut results: BTreeMap<(Work, usize, Contender), Vec<Measured>> = BTreeMap::new();
    let mut unnest = Vec::new();
    let new = [Contender::Peer, Contender::Annals, Contender::Subjects, Contender::Bare];
    let hot = [Contender::Peer, Contender::Annals, Contender::Loading, Contender::Bare];
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        unnest.push(peer::unnest(&database.url, 256, length).await);
        for (work, contenders) in [(Work::New, new), (Work::Hot, hot)] {
            for (in_flight, contender) in IN_FLIGHT.into_iter().flat_map(|n| contenders.map(|c| (n, c))) {
                let name = format!("{work:?} {in_flight} {}", contender.name());
                if only.is_empty() || only.contains(&name) {
                    let measured = setup.run(contender, work, in_flight, length).await;
                    results.entry((work, in_flight, contender)).or_default().push(measured);
                }
            }
        }
    }
    setup.store.shutdown().await;
    report(results, median(unnest));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(results: BTreeMap<(Work, usize, Contender), Vec<Measured>>, unnest: f64) {
    println!("one connection, unnest of 256 rows: {unnest:.0} events/s\n");
    println!("| work | in flight | contender | commands/s | p50 ms | p99 ms | x cqrs-es | x unnest |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut peer = 0.0;
    for ((work, in_flight, contender), measured) in results {
        let per_second = median(measured.iter().map(|measured| measured.per_second).collect());
        let millis = |value: fn(&Measured) -> Duration| {
            median(measured.iter().map(|measured| value(measured).as_secs_f64() * 1000.0).collect())
        };
        let (p50, p99) = (millis(|measured| measured.p50), millis(|measured| measured.p99));
        if contender == Contender::Peer {
            peer = per_second;
        }
        let name = contender.name();
        let (against_peer, against_unnest) = (per_second / peer, per_second / unnest);
        println!(
            "| {work:?} | {in_flight} | {name} | {per_second:.0} | {p50:.2} | {p99:.2} | {against_peer:.1} | {against_unnest:.2} |"
        );
    }
}
