//! The stock repository of the cqrs-es ecosystem reads this log.

use cqrs_es::{
    Aggregate, AggregateContext, DomainEvent, EventStore as _,
    event_sink::EventSink,
    persist::{PersistedEventRepository, PersistedEventStore},
};
use event_store::{Condition, testing};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::support::*;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Thing {
    total: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum ThingEvent {
    ThingHappened { a: u64 },
}

#[derive(Debug, thiserror::Error)]
#[error("this aggregate is only loaded")]
struct Never;

impl DomainEvent for ThingEvent {
    fn event_type(&self) -> String {
        "ThingHappened".into()
    }

    fn event_version(&self) -> String {
        "1".into()
    }
}

impl Aggregate for Thing {
    const TYPE: &'static str = "tests.thing";
    type Command = ();
    type Event = ThingEvent;
    type Error = Never;
    type Services = ();

    async fn handle(&mut self, (): (), (): &(), _: &EventSink<Self>) -> Result<(), Never> {
        Err(Never)
    }

    fn apply(&mut self, event: ThingEvent) {
        let ThingEvent::ThingHappened { a } = event;
        self.total += a;
    }
}

#[tokio::test]
async fn the_stock_postgres_es_repository_loads_any_aggregate_from_this_log() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let one = stream("one");
    let mut append = appending(vec![event(&one), personal(&one, Uuid::new_v4(), "identity", "Ada")])
        .with(Condition { stream: one.clone(), version: 0 });
    append.fingerprint = Some([1; 32]);
    store.append(append).await.unwrap();
    store.append(at(&one, 2)).await.unwrap();
    store.append(at(&stream("two"), 0)).await.unwrap();

    let stock =
        PostgresEventRepository::new(store.pool().clone()).with_tables("annals.events", "annals.snapshots");
    let events = stock.get_events::<Thing>("one").await.unwrap();
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(events[0].event_type, "ThingHappened");
    assert_eq!(events[0].metadata["actor"], "user:1");
    let last = stock.get_last_events::<Thing>("one", 2).await.unwrap();
    assert_eq!(last.len(), 1);

    let store = PersistedEventStore::<_, Thing>::new_event_store(stock);
    let mut loaded = store.load_aggregate("one").await.unwrap();
    assert_eq!(loaded.aggregate().total, 6);
}
