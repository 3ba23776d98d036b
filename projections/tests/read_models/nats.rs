//! The follower through a real NATS server, which fails in every way that it can.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use async_nats::jetstream;
use futures_util::StreamExt;
use projections::{Config, NatsConfig, nats::STREAM};

use crate::{
    models::{History, Names},
    world::*,
};

/// A server of its own for one test.
struct Server {
    port: u16,
    home: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// An address at which no server is running yet.
    fn absent() -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let home = std::env::temp_dir().join(format!("annals-nats-{}", uuid::Uuid::now_v7().simple()));
        Server { port, home, process: None }
    }

    async fn start() -> Server {
        let mut server = Server::absent();
        server.run().await;
        server
    }

    async fn run(&mut self) {
        let process = Command::new(program())
            .args(["--jetstream", "--addr", "127.0.0.1", "--port", &self.port.to_string(), "--store_dir"])
            .arg(&self.home)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        let address = format!("127.0.0.1:{}", self.port);
        eventually("nats-server listens", async || tokio::net::TcpStream::connect(&address).await.is_ok())
            .await;
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn wipe(&self) {
        std::fs::remove_dir_all(&self.home).unwrap();
    }

    fn config(&self) -> NatsConfig {
        NatsConfig::new(format!("nats://127.0.0.1:{}", self.port))
    }

    async fn context(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.config().url).await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from);
    let mut all = std::env::split_paths(&path).chain(usual).map(|folder| folder.join("nats-server"));
    all.find(|file| file.is_file()).expect("nats-server is installed")
}

async fn world(server: &Server) -> World {
    let models = vec![Names::model(), History::model()];
    World::with(|config| Config { nats: Some(server.config()), models, ..config }).await
}

/// Records and waits until all of it is visible and NATS delivers again.
async fn until_nats_delivers(world: &World) {
    let before = world.projections.feed().from_nats;
    eventually("NATS delivers", async || {
        let position = world.append(unit(1), renamed("again")).await;
        world.visible("history", position).await;
        world.projections.feed().from_nats > before
    })
    .await;
}

/// Every event is in the ledger once, in order.
async fn complete(world: &World, last: u64) {
    world.visible("history", last).await;
    let rows: (i64, i64, i64) =
        sqlx::query_as("SELECT count(*), min(position), max(position) FROM history_v1_g1.history")
            .fetch_one(world.store.pool())
            .await
            .unwrap();
    assert_eq!(rows, (last as i64, 1, last as i64));
}

/// The log that the relay tells of.
async fn log_of(context: &jetstream::Context) -> String {
    let stream = context.get_stream(STREAM).await.unwrap();
    let told = stream.get_last_raw_message_by_subject("annals.runs").await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.payload).unwrap();
    told["log"].as_str().unwrap().to_owned()
}

/// Tells of a run as the relay does.
async fn tell(context: &jetstream::Context, log: &str, first: u64, last: u64) {
    let run = serde_json::json!({ "log": log, "first": first, "last": last });
    context.publish("annals.runs", run.to_string().into()).await.unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_the_read_models_through_nats() {
    let server = Server::start().await;
    let world = world(&server).await;
    world.projections.start();
    world.append(unit(1), created("A")).await;
    until_nats_delivers(&world).await;
    let before = world.projections.feed();
    let mut last = 0;
    for number in 0..50 {
        last = world.append(unit(1), renamed(&format!("Name {number}"))).await;
        world.visible("names", last).await;
    }
    let feed = world.projections.feed();
    assert!(feed.from_nats - before.from_nats >= 45, "{feed:?}");
    assert_eq!((feed.holes, feed.foreign), (0, 0));
    complete(&world, last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_travels_in_the_clear() {
    let server = Server::start().await;
    let world = world(&server).await;
    world.projections.start();
    world.append(unit(1), created("PSU")).await;
    let stream = server.context().await;
    let mut seen = None;
    eventually("it is published", async || {
        let Ok(stream) = stream.get_stream(STREAM).await else { return false };
        seen = stream.get_raw_message(1).await.ok();
        seen.is_some()
    })
    .await;
    let message = seen.unwrap();
    let text = String::from_utf8_lossy(&message.payload);
    assert!(text.contains("PSU") && text.contains("sealed") && !text.contains("registrar"), "{text}");
    assert_eq!(message.subject.as_str(), "annals.events.identity.org_unit.OrgUnitCreated");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_log_is_followed_and_a_server_that_comes_later_is_used() {
    let mut server = Server::absent();
    let world = world(&server).await;
    world.projections.start();
    let position = world.append(unit(1), created("A")).await;
    world.visible("history", position).await;
    assert_eq!(world.projections.feed().from_nats, 0);
    server.run().await;
    until_nats_delivers(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_that_comes_back_with_an_empty_store_costs_no_event() {
    let mut server = Server::start().await;
    let world = world(&server).await;
    world.projections.start();
    world.append(unit(1), created("A")).await;
    until_nats_delivers(&world).await;
    server.kill();
    server.wipe();
    for number in 0..20 {
        let last = world.append(unit(1), renamed(&format!("Name {number}"))).await;
        world.visible("history", last).await;
    }
    server.run().await;
    until_nats_delivers(&world).await;
    let last = world.append(unit(2), created("B")).await;
    complete(&world, last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_or_purged_while_events_flow_costs_no_event() {
    let server = Server::start().await;
    let world = world(&server).await;
    world.projections.start();
    world.append(unit(1), created("A")).await;
    until_nats_delivers(&world).await;
    let context = server.context().await;
    for step in 0..60 {
        world.append(unit(1), renamed(&format!("Name {step}"))).await;
        match step {
            20 => drop(context.get_stream(STREAM).await.unwrap().purge().await.unwrap()),
            40 => drop(context.delete_stream(STREAM).await.unwrap()),
            _ => {}
        }
    }
    until_nats_delivers(&world).await;
    let last = world.append(unit(2), created("B")).await;
    complete(&world, last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_deleted_is_made_again() {
    let server = Server::start().await;
    let world = world(&server).await;
    world.projections.start();
    world.append(unit(1), created("A")).await;
    until_nats_delivers(&world).await;
    let stream = server.context().await.get_stream(STREAM).await.unwrap();
    stream.delete_consumer("annals-follower").await.unwrap();
    until_nats_delivers(&world).await;
    let last = world.append(unit(2), created("B")).await;
    complete(&world, last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_repetitions_and_events_of_another_log_are_noticed_and_the_log_is_read() {
    let server = Server::start().await;
    let world = world(&server).await;
    world.projections.start();
    world.append(unit(1), created("A")).await;
    until_nats_delivers(&world).await;
    // Somebody tells of events of another log, of old ones again, of some that are far ahead, and of nothing.
    let context = server.context().await;
    let log = log_of(&context).await;
    let before = world.projections.feed();
    tell(&context, "00000000-0000-0000-0000-000000000001", 1, 9).await;
    tell(&context, &log, 1, 1).await;
    tell(&context, &log, 1_000_000, 1_000_001).await;
    tell(&context, &log, 2, 1).await;
    eventually("they are noticed", async || {
        let feed = world.projections.feed();
        feed.foreign > before.foreign + 1 && feed.repeated > before.repeated && feed.holes > before.holes
    })
    .await;
    until_nats_delivers(&world).await;
    let last = world.append(unit(2), created("B")).await;
    complete(&world, last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_of_more_than_the_log_has_folds_what_it_has() {
    let server = Server::start().await;
    let world = world(&server).await;
    world.projections.start();
    world.append(unit(1), created("A")).await;
    until_nats_delivers(&world).await;
    let context = server.context().await;
    let log = log_of(&context).await;
    tell(&context, &log, 1, 1_000_000).await;
    let mut last = 0;
    for number in 0..20 {
        last = world.append(unit(1), renamed(&format!("Name {number}"))).await;
        world.visible("history", last).await;
    }
    complete(&world, last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_over_goes_on_through_nats() {
    let server = Server::start().await;
    let world = world(&server).await;
    world.projections.start();
    world.append(unit(1), created("A")).await;
    until_nats_delivers(&world).await;
    world.projections.shutdown().await;
    let mut last = 0;
    for number in 0..30 {
        last = world.append(unit(1), renamed(&format!("Name {number}"))).await;
    }
    let config = Config {
        nats: Some(server.config()),
        models: vec![Names::model(), History::model()],
        ..Config::new(&world.database.url)
    };
    let next = World {
        projections: projections::Projections::new(world.store.clone(), config).unwrap(),
        store: world.store.clone(),
        database: world.database,
    };
    next.projections.start();
    complete(&next, last).await;
    until_nats_delivers(&next).await;
    // And the stream has every event once.
    let context = server.context().await;
    let stream = context.get_stream(STREAM).await.unwrap();
    let events = jetstream::consumer::pull::OrderedConfig {
        filter_subject: "annals.events.>".to_owned(),
        ..Default::default()
    };
    let consumer = stream.create_consumer(events).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let head = next.store.head().await.unwrap().position;
    for expected in 1..=head {
        let message = messages.next().await.unwrap().unwrap();
        let headers = message.headers.as_ref().unwrap();
        assert_eq!(headers.get("ce-position").unwrap().as_str(), expected.to_string());
    }
}
