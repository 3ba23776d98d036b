//! `cqrs-es` with `postgres-es`, as its documentation sets it up: a table, a pool, one transaction for each command.

use std::collections::HashMap;

use cqrs_es::{Aggregate, CqrsFramework, DomainEvent, event_sink::EventSink, persist::PersistedEventStore};
use futures_util::future::BoxFuture;
use postgres_es::{PostgresEventRepository, postgres_cqrs};
use serde::{Deserialize, Serialize};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use crate::{Contender, STREAMS, subject};

/// Whole rows, each with its own payload and metadata, in one statement.
pub(crate) const UNNEST: &str = "INSERT INTO raw (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
     SELECT aggregate_type, aggregate_id, sequence, 'Written', '1', payload::json, metadata::json \
     FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) \
     AS row (aggregate_type, aggregate_id, sequence, payload, metadata)";

const TABLES: &str = "CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint NOT NULL CHECK (sequence >= 0), \
     event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL, \
     PRIMARY KEY (aggregate_type, aggregate_id, sequence)); \
     CREATE TABLE raw (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, recorded_at timestamptz NOT NULL DEFAULT now(), LIKE events INCLUDING ALL EXCLUDING INDEXES, \
     UNIQUE (aggregate_type, aggregate_id, sequence))";

#[derive(Clone, Default, Serialize, Deserialize)]
struct PlainNote {
    written: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum PlainEvent {
    Written { owner: Uuid, text: String, body: String },
}

impl DomainEvent for PlainEvent {
    fn event_type(&self) -> String {
        "Written".into()
    }
    fn event_version(&self) -> String {
        "1".into()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Aggregate for PlainNote {
    const TYPE: &'static str = "note";
    type Command = PlainEvent;
    type Event = PlainEvent;
    type Error = Never;
    type Services = ();

    async fn handle(&mut self, command: PlainEvent, (): &(), sink: &EventSink<Self>) -> Result<(), Never> {
        sink.write(command, self).await;
        Ok(())
    }

    fn apply(&mut self, _: PlainEvent) {
        self.written += 1;
    }
}

type Store = PersistedEventStore<PostgresEventRepository, PlainNote>;

pub(crate) struct Peer {
    pool: PgPool,
    framework: CqrsFramework<PlainNote, Store>,
    streams: Vec<String>,
}

impl Peer {
    pub(crate) async fn new(url: &str) -> Self {
        // Its tables have the names that its documentation gives them, in a schema of their own.
        let options: PgConnectOptions = url.parse().unwrap();
        let options = options.options([("search_path", "public")]);
        let pool = PgPoolOptions::new().max_connections(64).connect_with(options).await.unwrap();
        sqlx::raw_sql(TABLES).execute(&pool).await.unwrap();
        let framework = postgres_cqrs(pool.clone(), Vec::new(), ());
        let peer =
            Peer { pool, framework, streams: (0..STREAMS).map(|_| Uuid::now_v7().to_string()).collect() };
        for chunk in peer.streams.chunks(64) {
            futures_util::future::join_all(chunk.iter().map(|id| peer.write(id))).await;
        }
        peer
    }

    pub(crate) fn pool(&self) -> PgPool {
        self.pool.clone()
    }

    /// The framework never retries: a conflict is tried again here, as its users must.
    async fn write(&self, id: &str) {
        let owner = Uuid::from_u128(7);
        let metadata: HashMap<String, String> = serde_json::from_str(&subject::metadata()).unwrap();
        loop {
            let command =
                PlainEvent::Written { owner, text: subject::PERSONAL.into(), body: subject::BODY.into() };
            match self.framework.execute_with_metadata(id, command, metadata.clone()).await {
                Ok(()) => return,
                Err(cqrs_es::AggregateError::AggregateConflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Contender for Peer {
    fn start(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.write(&Uuid::now_v7().to_string()).await })
    }
    fn go_on(&self, stream: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.write(&self.streams[stream]).await })
    }
    fn is_left_out(&self) -> bool {
        crate::setting("PEER", 1) == 0
    }
}
