//! The peers: cqrs-es with postgres-es, and the bare database.

use std::time::{Duration, Instant};

use cqrs_es::{Aggregate, CqrsFramework, DomainEvent, event_sink::EventSink, persist::PersistedEventStore};
use postgres_es::PostgresEventRepository;
use rand::Rng;
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool, postgres::PgPoolOptions};
use tokio_postgres::NoTls;
use uuid::Uuid;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum AccountEvent {
    Credited { amount: i64, note: String },
}

#[derive(Debug, thiserror::Error)]
#[error("never refused")]
struct Never;

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        "Credited".into()
    }

    fn event_version(&self) -> String {
        "1".into()
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = super::TYPE;
    type Command = AccountEvent;
    type Event = AccountEvent;
    type Error = Never;
    type Services = ();

    async fn handle(&mut self, command: AccountEvent, (): &(), sink: &EventSink<Self>) -> Result<(), Never> {
        sink.write(command, self).await;
        Ok(())
    }

    fn apply(&mut self, event: AccountEvent) {
        let AccountEvent::Credited { amount, .. } = event;
        self.balance += amount;
    }
}

pub(crate) struct Peer {
    cqrs: CqrsFramework<Account, PersistedEventStore<PostgresEventRepository, Account>>,
    pool: PgPool,
}

impl Peer {
    /// The table of postgres-es' own documentation.
    pub(crate) async fn new(url: &str) -> Self {
        let pool: PgPool = PgPoolOptions::new().max_connections(10).connect(url).await.unwrap();
        pool.execute(
            "CREATE TABLE events (
                 aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL,
                 event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
                 PRIMARY KEY (aggregate_type, aggregate_id, sequence))",
        )
        .await
        .unwrap();
        let store = PersistedEventStore::new_event_store(PostgresEventRepository::new(pool.clone()));
        Self { cqrs: CqrsFramework::new(store, vec![], ()), pool }
    }

    /// Streams of five events.
    pub(crate) async fn hot_streams(&self, count: usize) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|_| Uuid::now_v7().to_string()).collect();
        sqlx::query(
            "INSERT INTO events SELECT $1, id, sequence, 'Credited', '1', $3::json, $4::json
             FROM unnest($2::text[]) AS id, generate_series(1, 5) AS sequence",
        )
        .bind(super::TYPE)
        .bind(&ids)
        .bind(super::payload())
        .bind(super::metadata())
        .execute(&self.pool)
        .await
        .unwrap();
        ids
    }

    pub(crate) async fn credit_new(&self) {
        self.credit(&Uuid::now_v7().to_string()).await.unwrap();
    }

    pub(crate) async fn credit_one_of(&self, ids: &[String]) {
        let id = &ids[rand::rng().random_range(0..ids.len())];
        while self.credit(id).await.is_err() {} // another client was faster
    }

    async fn credit(&self, id: &str) -> Result<(), cqrs_es::AggregateError<Never>> {
        let AccountEvent::Credited { amount, note } = serde_json::from_str(&super::payload()).unwrap();
        let metadata = serde_json::from_str(&super::metadata()).unwrap();
        self.cqrs.execute_with_metadata(id, AccountEvent::Credited { amount, note }, metadata).await
    }
}

/// Events per second that one connection inserts, so many with each statement, into a table like the log's.
pub(crate) async fn unnest(url: &str, rows: usize, length: Duration) -> f64 {
    let (client, connection) = tokio_postgres::connect(url_of_driver(url).as_str(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("DROP TABLE IF EXISTS raw; CREATE TABLE raw (LIKE annals.events INCLUDING ALL)")
        .await
        .unwrap();
    let insert = client
        .prepare(
            "INSERT INTO raw (position, recorded_at, sequence, event_id, command_id, aggregate_type, aggregate_id,
                              event_type, event_version, payload, metadata)
             SELECT $1 + e.place, now(), 1, e.event_id, e.command_id, $2, e.aggregate_id, 'Credited', '1',
                    e.payload::json, e.metadata::json
             FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY
                  AS e (event_id, command_id, aggregate_id, payload, metadata, place)",
        )
        .await
        .unwrap();
    let (payload, metadata) = (super::payload(), super::metadata());
    let (payloads, metadatas) = (vec![payload.as_str(); rows], vec![metadata.as_str(); rows]);
    let begin = Instant::now();
    let mut position = 0_i64;
    while begin.elapsed() < length {
        let events: Vec<Uuid> = (0..rows).map(|_| Uuid::now_v7()).collect();
        let commands: Vec<Uuid> = (0..rows).map(|_| Uuid::new_v4()).collect();
        let ids: Vec<String> = events.iter().map(Uuid::to_string).collect();
        client
            .execute(&insert, &[&position, &super::TYPE, &events, &commands, &ids, &payloads, &metadatas])
            .await
            .unwrap();
        position += rows as i64;
    }
    position as f64 / begin.elapsed().as_secs_f64()
}

/// tokio-postgres tries the host before the path first.
fn url_of_driver(url: &str) -> String {
    url.replace("@localhost/", "@/")
}
