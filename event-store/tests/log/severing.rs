//! The network between the writer and its database breaks at the worst moments.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use event_store::{EventStore, testing};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream, unix::OwnedWriteHalf},
    sync::{Notify, watch},
};

use crate::support::*;

/// What befalls the writer's connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fine,
    /// What the server answers is lost.
    AnswersLost,
    /// What the writer sends is held back.
    RequestsHeld,
}

/// Stands between a store and PostgreSQL, and meddles with the writer's connection only.
#[derive(Clone)]
struct Network {
    weather: watch::Sender<Weather>,
    cut: Arc<Notify>,
    /// Something is held back.
    holds: Arc<AtomicBool>,
    /// What was held back when the connection was cut, and the way to the server, which has not noticed.
    late: Arc<Mutex<Vec<Late>>>,
}

type Late = (OwnedWriteHalf, Vec<u8>);

impl Network {
    /// The network, and the address of the database behind it.
    async fn before(database: &testing::TestDatabase) -> (Self, String) {
        let (address, rest) = database.url.split_once("?host=").unwrap();
        let socket = PathBuf::from(rest.split_once('&').unwrap().0).join(".s.PGSQL.5432");
        let name = address.rsplit_once('/').unwrap().1;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://postgres@{}/{name}?sslmode=disable", listener.local_addr().unwrap());
        let network = Self {
            weather: watch::Sender::new(Weather::Fine),
            cut: Arc::default(),
            holds: Arc::default(),
            late: Arc::default(),
        };
        let accepting = network.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(accepting.clone().carry(client, server));
            }
        });
        (network, url)
    }

    async fn carry(self, client: TcpStream, server: UnixStream) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let is_writer = Arc::new(AtomicBool::new(false));
        let (weather, of_writer) = (self.weather.subscribe(), is_writer.clone());
        let answers = async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                let lost = of_writer.load(Ordering::Relaxed) && *weather.borrow() == Weather::AnswersLost;
                if !lost && to_client.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        };
        let mut held = Vec::new();
        let requests = async {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                let bytes = &buffer[..count];
                if bytes.windows(13).any(|window| window == b"annals writer") {
                    is_writer.store(true, Ordering::Relaxed);
                }
                if is_writer.load(Ordering::Relaxed) && *self.weather.borrow() == Weather::RequestsHeld {
                    held.extend_from_slice(bytes);
                    self.holds.store(true, Ordering::Relaxed);
                } else if to_server.write_all(bytes).await.is_err() {
                    break;
                }
            }
        };
        let cut = async {
            loop {
                self.cut.notified().await;
                if is_writer.load(Ordering::Relaxed) {
                    break;
                }
            }
        };
        let was_cut = tokio::select! {
            () = answers => false,
            () = requests => false,
            () = cut => true,
        };
        if was_cut && !held.is_empty() {
            self.late.lock().unwrap().push((to_server, held));
        }
    }

    fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Cuts the writer's connection; from then on the weather is fine.
    fn cut(&self) {
        self.set(Weather::Fine);
        self.cut.notify_waiters();
    }

    /// Delivers what was held back.
    async fn deliver_late(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        assert!(!late.is_empty(), "something was held back");
        for (mut to_server, held) in late {
            to_server.write_all(&held).await.unwrap();
            to_server.shutdown().await.unwrap();
        }
    }
}

async fn store_behind(database: &testing::TestDatabase) -> (Network, EventStore) {
    let (network, url) = Network::before(database).await;
    let mut config = database.config();
    config.database_url = url;
    (network, EventStore::open(config).await.unwrap())
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_in_the_log_and_acknowledged() {
    let database = testing::database().await;
    let (network, store) = store_behind(&database).await;
    let (one, two) = (stream("one"), stream("two"));
    store.append(at(&one, 0)).await.unwrap();
    network.set(Weather::AnswersLost);
    let appends = [at(&one, 1), at(&two, 0)];
    let waiting = appends.map(|append| {
        let store = store.clone();
        tokio::spawn(async move { store.append(append).await })
    });
    until(async || store.head().await.unwrap().position == 3).await;
    network.cut();
    for append in waiting {
        let appended = append.await.unwrap().unwrap();
        assert!(appended.repeated);
    }
    assert_eq!(whole_log(&store).await.len(), 3);
}

#[tokio::test]
async fn a_statement_that_arrives_late_from_a_lost_connection_does_nothing() {
    let database = testing::database().await;
    let (network, store) = store_behind(&database).await;
    let one = stream("one");
    store.append(at(&one, 0)).await.unwrap();
    network.set(Weather::RequestsHeld);
    let waiting = tokio::spawn({
        let (store, append) = (store.clone(), at(&one, 1));
        async move { store.append(append).await }
    });
    until(async || network.holds.load(Ordering::Relaxed)).await;
    network.cut();
    let appended = waiting.await.unwrap().unwrap();
    assert_eq!((appended.position, appended.repeated), (2, false));
    network.deliver_late().await;
    // The late statement's session ends after it: then it has had every chance.
    let mut watcher = database.connect().await;
    until(async || {
        let sessions = "SELECT count(*) = 1 FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name = 'annals writer'";
        sqlx::query_scalar(sessions).fetch_one(&mut watcher).await.unwrap()
    })
    .await;
    assert_eq!(whole_log(&store).await.len(), 2);
    assert_eq!(store.append(at(&one, 2)).await.unwrap().position, 3);
}
