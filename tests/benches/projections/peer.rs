//! `QueryReplay` of cqrs-es over the same log, by the stock repository: each event loads and stores its view.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use commands::Sourced;
use cqrs_es::{
    EventEnvelope, View,
    persist::{GenericQuery, QueryReplay},
};
use domain::identity::{OrgUnit, OrgUnitEvent};
use postgres_es::{PostgresEventRepository, PostgresViewRepository};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Directory {
    code: String,
    name: String,
    active: bool,
}

impl View<Sourced<OrgUnit>> for Directory {
    fn update(&mut self, event: &EventEnvelope<Sourced<OrgUnit>>) {
        match &event.payload.0 {
            OrgUnitEvent::OrgUnitCreated { code, name, .. } => {
                *self = Directory { code: code.clone(), name: name.clone(), active: true };
            }
            OrgUnitEvent::OrgUnitRevised { name, .. } => {
                if let Some(name) = name {
                    self.name.clone_from(name);
                }
            }
            OrgUnitEvent::OrgUnitMoved { .. } => {}
            OrgUnitEvent::OrgUnitDeactivated { .. } => self.active = false,
            OrgUnitEvent::OrgUnitReactivated {} => self.active = true,
        }
    }
}

type Repository = PostgresViewRepository<Directory, Sourced<OrgUnit>>;

/// Replays about so many events and says how many and how long it took.
pub(crate) async fn replay(pool: &PgPool, events: u64) -> (u64, Duration) {
    let table = "CREATE TABLE public.directory (view_id text PRIMARY KEY, version bigint NOT NULL, payload json NOT NULL)";
    sqlx::query(table).execute(pool).await.unwrap();
    // A log of its own: all events of the first streams.
    let table = "CREATE TABLE public.replayed AS SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata
         FROM annals.events WHERE aggregate_id IN (SELECT aggregate_id FROM annals.events WHERE position <= $1) ORDER BY position";
    let replayed = sqlx::query(table).bind((events / 10) as i64).execute(pool).await.unwrap().rows_affected();
    let repository =
        PostgresEventRepository::new(pool.clone()).with_tables("public.replayed", "public.snapshots");
    let query: GenericQuery<Repository, Directory, Sourced<OrgUnit>> =
        GenericQuery::new(Arc::new(PostgresViewRepository::new("public.directory", pool.clone())));
    let begun = Instant::now();
    QueryReplay::new(repository, query).replay_all().await.unwrap();
    (replayed, begun.elapsed())
}
