//! The database goes away under load. Nothing that was acknowledged is lost, nothing is recorded twice, and no command is
//! refused that was right.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use event_store::{AppendError, Appended, EventStore, News, testing};
use uuid::Uuid;

use crate::support::*;

/// Clients that each write one stream of their own until they are told to stop. A command whose outcome is open is sent
/// again; any refusal is false, since nobody else writes these streams.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<Vec<(Uuid, Appended)>>>,
}

impl Load {
    fn start(nodes: &[EventStore], clients: usize) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..clients).map(|client| {
            let node = nodes[client % nodes.len()].clone();
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let stream = stream(&client.to_string());
                let mut recorded = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let append = at(&stream, recorded.len() as u64);
                    let event_id = append.events[0].event_id;
                    let appended = loop {
                        match node.append(append.clone()).await {
                            Ok(appended) => break appended,
                            Err(AppendError::Unavailable(_)) => tokio::task::yield_now().await,
                            Err(error) => panic!("a false refusal: {error}"),
                        }
                    };
                    recorded.push((event_id, appended));
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                recorded
            })
        });
        let clients = clients.collect();
        Self { stop, acknowledged, clients }
    }

    /// Until this many more commands were acknowledged.
    async fn goes_on(&self, more: u64) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + more;
        let waiting = async {
            while self.acknowledged.load(Ordering::Relaxed) < goal {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the writers heal");
    }

    /// Stops, and checks the log against what was acknowledged.
    async fn verify(self, store: &EventStore) {
        self.stop.store(true, Ordering::Relaxed);
        let mut acknowledged = Vec::new();
        for client in self.clients {
            acknowledged.extend(client.await.unwrap());
        }
        let log = whole_log(store).await;
        for (event_id, appended) in &acknowledged {
            let event = &log[appended.position as usize - 1];
            assert_eq!(event.event_id, *event_id, "position {}", appended.position);
            assert_eq!(event.recorded_at, appended.recorded_at);
        }
        // Every client has heard of all its events: what is in the log was acknowledged, once.
        assert_eq!(log.len(), acknowledged.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_postgres_under_load_loses_nothing_and_heals_by_itself() {
    let mut cluster = testing::Cluster::start();
    let database = cluster.database().await;
    let nodes = [database.store().await.unwrap(), database.store().await.unwrap()];
    let load = Load::start(&nodes, 16);
    for _ in 0..3 {
        load.goes_on(300).await;
        cluster.kill();
        cluster.restart();
    }
    load.goes_on(300).await;
    load.verify(&nodes[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_loses_its_connection_again_and_again_answers_everyone_rightly() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let load = Load::start(std::slice::from_ref(&store), 32);
    let mut assassin = database.connect().await;
    for _ in 0..30 {
        load.goes_on(50).await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'annals writer'",
        )
        .execute(&mut assassin)
        .await
        .unwrap();
    }
    load.goes_on(50).await;
    load.verify(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_sees_what_any_node_had_acknowledged_whatever_became_of_its_connection() {
    let database = testing::database().await;
    let (here, there) = (database.store().await.unwrap(), database.store().await.unwrap());
    let mut assassin = database.connect().await;
    let mut lookout = there.lookout("tests.");
    assert_eq!(lookout.look().await.unwrap(), News::Anything);
    assert_eq!(lookout.look().await.unwrap(), News::Streams(Vec::new()));
    for round in 1..=20_u64 {
        // In turns by the one, by the other and by both.
        let names = [format!("here {round}"), format!("there {round}")];
        for (turn, node, name) in [(1, &here, &names[0]), (2, &there, &names[1])] {
            if [0, turn].contains(&(round % 3)) {
                node.append(at(&stream(name), 0)).await.unwrap();
            }
        }
        if round % 4 == 0 {
            sqlx::query(
                "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'annals lookout'",
            )
            .execute(&mut assassin)
            .await
            .unwrap();
        }
        let expected = match (round % 4, round % 3) {
            (0, _) => News::Anything,
            (_, 0) => streams(&[&names[0], &names[1]]),
            (_, 1) => streams(&[&names[0]]),
            (_, _) => streams(&[&names[1]]),
        };
        assert_eq!(lookout.look().await.unwrap(), expected, "{round}");
    }
    let mut others = there.lookout("others.");
    assert_eq!(others.look().await.unwrap(), News::Anything);
    here.append(at(&stream("one"), 0)).await.unwrap();
    assert_eq!(others.look().await.unwrap(), News::Streams(Vec::new()));
    assert_eq!(lookout.look().await.unwrap(), streams(&["one"]));
}

fn streams(names: &[&str]) -> News {
    News::Streams(names.iter().map(|name| stream(name).aggregate_id).collect())
}

/// A command that is alone in the world, and needs a look under the lock: nothing that arrives later wakes the writer.
#[tokio::test]
async fn a_lone_command_whose_connection_is_lost_under_the_lock_is_answered() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (mut rival, mut assassin) = (database.connect().await, database.connect().await);
    sqlx::raw_sql("BEGIN; SELECT FROM annals.head FOR UPDATE").execute(&mut rival).await.unwrap();
    let one = stream("one");
    let append = at(&one, 0).with(seat("seat", 1, &one));
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.append(append).await }
    });
    until(async || {
        let ended: Option<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
             AND application_name = 'annals writer' AND wait_event_type = 'Lock'",
        )
        .fetch_optional(&mut assassin)
        .await
        .unwrap();
        ended == Some(true)
    })
    .await;
    sqlx::raw_sql("COMMIT").execute(&mut rival).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is answered");
    assert_eq!(answered.unwrap().unwrap().position, 1);
}

#[tokio::test]
async fn a_database_that_does_not_come_back_is_reported_in_time_and_honestly() {
    let mut cluster = testing::Cluster::start();
    let database = cluster.database().await;
    let mut config = database.config();
    config.patience = Duration::from_millis(300);
    let store = EventStore::open(config).await.unwrap();
    let one = stream("one");
    store.append(at(&one, 0)).await.unwrap();
    cluster.kill();
    let append = at(&one, 1);
    let answer = store.append(append.clone()).await;
    assert!(matches!(answer, Err(AppendError::Unavailable(_))), "{answer:?}");
    cluster.restart();
    let appended = loop {
        match store.append(append.clone()).await {
            Ok(appended) => break appended,
            Err(error) => assert!(matches!(error, AppendError::Unavailable(_)), "{error}"),
        }
    };
    assert_eq!(appended.position, 2);
    assert_eq!(whole_log(&store).await.len(), 2);
}
