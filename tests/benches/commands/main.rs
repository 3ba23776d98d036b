//! Commands per second, in one interleaved run on one machine: Annals with everything on (sealing, claims, idempotency,
//! envelope) in the process and through HTTP, `cqrs-es` with `postgres-es` as its users run it, and PostgreSQL by itself.
//!
//! `cargo bench -p annals-tests --bench commands`; `SECONDS=3`, `ROUNDS=3`, `WORK=new`, `existing`, `http` or
//! `overload`,
//! `IN_FLIGHT=64` and `CACHE=100000` (aggregates kept in memory) may be set; with `PEER=0` Annals runs alone, for a
//! profiler. Only the ratios mean anything.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(missing_docs, reason = "a benchmark is no library")]

mod overload;
mod peer;
mod served;
mod subject;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use annals_tests::server::{rest, settle};
use api::{config::Config, embedded::Servers};
use commands::{Commands, NoAnswers, Request};
use domain::Actor;
use event_store::{EventStore, KeyringConfig, MasterKey, StoreConfig};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use peer::Peer;
use served::Served;
use subject::{Note, NoteCommand};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];
const STREAMS: usize = 10_000;

/// One way of carrying out commands.
trait Contender: Send + Sync + 'static {
    /// A command that starts a stream.
    fn start(&self) -> BoxFuture<'_, ()>;
    /// A command to an existing stream.
    fn go_on(&self, stream: usize) -> BoxFuture<'_, ()>;
    /// Whether it is not to run this time.
    fn is_left_out(&self) -> bool {
        false
    }
}

struct Annals {
    commands: Commands,
    writer: Actor,
    streams: Vec<Uuid>,
    owners: Vec<Uuid>,
}

impl Annals {
    async fn new(url: &str) -> Self {
        let keys = KeyringConfig::new(MasterKey::generate());
        let store = EventStore::open(StoreConfig::new(url, keys)).await.unwrap();
        let commands = Commands::new(store, Arc::new(NoAnswers), setting("CACHE", 100_000) as usize);
        let streams: Vec<Uuid> = (0..STREAMS).map(|_| Uuid::now_v7()).collect();
        let owners = (0..1000).map(|_| Uuid::new_v4()).collect();
        let annals = Annals { commands, writer: subject::writer(), streams, owners };
        let all = annals.streams.iter().enumerate().map(|(n, id)| annals.begin(*id, n));
        futures_util::future::join_all(all).await;
        annals
    }

    async fn begin(&self, id: Uuid, n: usize) {
        let owner = self.owners[n % self.owners.len()];
        let (text, body) = (subject::PERSONAL.to_owned().into(), subject::BODY.to_owned());
        self.execute(id, NoteCommand::Begin { owner, text, body }).await;
    }

    async fn execute(&self, id: Uuid, command: NoteCommand) {
        let request = Request::by(self.writer.clone()).under(Uuid::now_v7(), Some([7; 32]));
        self.commands.execute::<Note>(id, command, &request).await.unwrap();
    }
}

impl Contender for Annals {
    fn start(&self) -> BoxFuture<'_, ()> {
        let id = Uuid::now_v7();
        Box::pin(self.begin(id, id.as_u128() as usize))
    }
    fn go_on(&self, stream: usize) -> BoxFuture<'_, ()> {
        let (text, body) = (subject::PERSONAL.to_owned().into(), subject::BODY.to_owned());
        Box::pin(self.execute(self.streams[stream], NoteCommand::Write { text, body }))
    }
}

#[derive(Default, Clone, Copy)]
struct Figure {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

async fn measure(contender: Arc<dyn Contender>, in_flight: usize, hot: bool, time: Duration) -> Figure {
    if contender.is_left_out() {
        return Figure::default();
    }
    let (seed, begin) = (Arc::new(AtomicU64::new(0x9E37_79B9)), Instant::now());
    let workers = (0..in_flight).map(|_| {
        let (contender, seed) = (contender.clone(), seed.clone());
        tokio::spawn(async move {
            let mut took = Vec::new();
            while begin.elapsed() < time {
                let issued = Instant::now();
                if hot {
                    let random = seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
                    let random = (random ^ (random >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                    contender.go_on((random >> 33) as usize % STREAMS).await;
                } else {
                    contender.start().await;
                }
                took.push(issued.elapsed());
            }
            took
        })
    });
    let took = futures_util::future::join_all(workers.collect::<Vec<_>>()).await;
    let total = begin.elapsed();
    Figure::of(took.into_iter().flat_map(|took| took.unwrap()).collect(), total)
}

impl Figure {
    /// Of what took so long each, and this long together.
    fn of(mut took: Vec<Duration>, total: Duration) -> Self {
        took.sort_unstable();
        let at = |share: f64| {
            took.get((took.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or_default()
        };
        Figure { per_second: took.len() as f64 / total.as_secs_f64(), p50: at(0.5), p99: at(0.99) }
    }
}

/// Rows per second of `INSERT ... SELECT FROM UNNEST` of 256 rows on one connection.
async fn unnest(pool: &sqlx::PgPool, time: Duration) -> f64 {
    let (types, sequences) = (vec!["note"; 256], vec![1i64; 256]);
    let (payloads, metadata) = (vec![subject::payload(); 256], vec![subject::metadata(); 256]);
    let (begin, mut rows) = (Instant::now(), 0i64);
    while begin.elapsed() < time {
        let ids: Vec<String> = (0..256).map(|_| Uuid::now_v7().to_string()).collect();
        let insert = sqlx::query(peer::UNNEST).bind(&types).bind(ids).bind(&sequences);
        insert.bind(&payloads).bind(&metadata).execute(pool).await.unwrap();
        rows += 256;
    }
    rows as f64 / begin.elapsed().as_secs_f64()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Medians as cells of a table, after the rate of ours.
fn compared(ours: &[Figure], theirs: &[Figure]) -> (f64, String) {
    let show = |figures: &[Figure]| {
        let rate = median(figures.iter().map(|figure| figure.per_second).collect());
        let of = |pick: fn(&Figure) -> Duration| {
            median(figures.iter().map(|figure| pick(figure).as_secs_f64() * 1e3).collect())
        };
        (rate, format!("{rate:.0} ({:.1} / {:.1})", of(|figure| figure.p50), of(|figure| figure.p99)))
    };
    let ratio =
        median(ours.iter().zip(theirs).map(|(our, their)| our.per_second / their.per_second).collect());
    let ((rate, our), (_, their)) = (show(ours), show(theirs));
    (rate, format!("{our} | {their} | {ratio:.2}"))
}

/// What the node makes of more clients than it lets in at once, and whether the log has what it said that it did.
async fn too_many(pool: &sqlx::PgPool, served: &Arc<Served>, time: Duration) {
    let recorded = || async {
        let count = "SELECT count(*) FROM annals.events WHERE event_type = 'OrgUnitCreated'";
        sqlx::query_scalar::<_, i64>(count).fetch_one(pool).await.unwrap() as u64
    };
    println!(
        "\n| clients | carried out | refused with 503 and Retry-After | answered otherwise | in the log |\n|---|---|---|---|---|"
    );
    for clients in [64, 1024, 8192] {
        rest(pool).await;
        let before = recorded().await;
        let seen = overload::overload(served.clone(), clients, 3 * time).await;
        let shown = |figure: &Figure| {
            let ms = |took: Duration| took.as_secs_f64() * 1e3;
            format!("{:.0} ({:.0} / {:.0})", figure.per_second, ms(figure.p50), ms(figure.p99))
        };
        let (accepted, refused) = (shown(&seen.accepted), shown(&seen.refused));
        let in_log = recorded().await - before;
        println!("| {clients} | {accepted} | {refused} | {} | {in_log} of {} |", seen.others, seen.count);
    }
}

#[tokio::main]
async fn main() {
    let (time, rounds) = (Duration::from_secs(setting("SECONDS", 3)), setting("ROUNDS", 3));
    let home = std::env::temp_dir().join(format!("annals-bench-{}", std::process::id()));
    let config = Config { data_dir: home.clone(), ..Config::default() };
    let servers = Servers::start(&config).await.unwrap();
    let annals: Arc<dyn Contender> = Arc::new(Annals::new(&servers.database_url).await);
    let peer = Peer::new(&servers.database_url).await;
    let raw = peer.pool();
    let peer: Arc<dyn Contender> = Arc::new(peer);
    settle(&raw).await;

    println!("{} s each, {rounds} rounds, medians; commands per second (p50 / p99 ms)\n", time.as_secs());
    println!("| | in flight | Annals | cqrs-es + postgres-es | ratio |\n|---|---|---|---|---|");
    let mut against_raw = BTreeMap::new();
    let only = (std::env::var("WORK").ok(), std::env::var("IN_FLIGHT").ok());
    for hot in [false, true] {
        let work = if hot { "existing streams" } else { "new streams" };
        if only.0.as_ref().is_some_and(|only| !work.starts_with(only)) {
            continue;
        }
        for in_flight in IN_FLIGHT {
            if only.1.as_ref().is_some_and(|only| *only != in_flight.to_string()) {
                continue;
            }
            let (mut ours, mut theirs, mut rows) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                rest(&raw).await;
                theirs.push(measure(peer.clone(), in_flight, hot, time).await);
                rest(&raw).await;
                ours.push(measure(annals.clone(), in_flight, hot, time).await);
                if in_flight == 256 && !peer.is_left_out() {
                    rest(&raw).await;
                    rows.push(unnest(&raw, time).await);
                }
            }
            let (rate, line) = compared(&ours, &theirs);
            if !rows.is_empty() {
                let rows = median(rows);
                against_raw.insert(work, (rate / rows, rows));
            }
            println!("| {work} | {in_flight} | {line} |");
        }
    }
    let wanted = |name: &str| only.0.as_ref().is_none_or(|only| only == name);
    if wanted("http") || wanted("overload") {
        let config = Config { data_dir: home.join("served"), ..Config::default() };
        let servers = Servers::start(&config).await.unwrap();
        let (served, node) = Served::new(&config, &servers).await;
        let (pool, served) = (sqlx::PgPool::connect(&servers.database_url).await.unwrap(), Arc::new(served));
        settle(&pool).await;
        if wanted("http") {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                rest(&raw).await;
                theirs.push(measure(peer.clone(), 64, false, time).await);
                rest(&raw).await;
                rest(&pool).await;
                ours.push(measure(served.clone(), 64, false, time).await);
            }
            println!("| through HTTP, new streams | 64 | {} |", compared(&ours, &theirs).1);
        }
        if wanted("overload") {
            too_many(&pool, &served, time).await;
        }
        node.stop().await;
        servers.stop().await;
    }
    println!("\nAnnals at 256 in flight against UNNEST of 256 rows on one connection:");
    for (work, (ratio, rows)) in against_raw {
        println!("- {work}: {ratio:.2} of {rows:.0} rows/s");
    }
    servers.stop().await;
    std::fs::remove_dir_all(home).ok();
}
