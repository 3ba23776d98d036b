//! A log with events in it, and read models that follow it.

use std::{borrow::Cow, time::Duration};

use domain::{
    Decider, Event, Personal, RecordClass, SealingScope,
    identity::{OrgKind, OrgType, OrgUnit, OrgUnitEvent},
};
use event_store::{
    Append, EventStore, NewEvent, PersonalGroup, Position, StreamId,
    testing::{TestDatabase, database},
};
use projections::{Config, FollowerState, Projections, Query, ReadModel};
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) store: EventStore,
    pub(crate) projections: Projections,
    pub(crate) database: TestDatabase,
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

impl World {
    /// A new log, and all read models on it, not started.
    pub(crate) async fn new() -> World {
        Self::with(|config| config).await
    }

    /// A new log, and these read models on it, not started.
    pub(crate) async fn of(models: Vec<&'static dyn ReadModel>) -> World {
        Self::with(|config| Config { models, ..config }).await
    }

    pub(crate) async fn with(change: impl FnOnce(Config) -> Config) -> World {
        let database = database().await;
        let store = database.store().await.unwrap();
        let projections = Projections::new(store.clone(), change(Config::new(&database.url))).unwrap();
        World { store, projections, database }
    }

    /// The same log with other read models, as the next version of the program would have.
    pub(crate) fn another(&self, models: Vec<&'static dyn ReadModel>) -> Projections {
        let config = Config { models, ..Config::new(&self.database.url) };
        Projections::new(self.store.clone(), config).unwrap()
    }

    pub(crate) async fn append(&self, id: Uuid, event: OrgUnitEvent) -> Position {
        append(&self.store, id, vec![event]).await
    }

    pub(crate) async fn visible(&self, name: &str, position: Position) {
        assert!(
            self.projections.wait_for(name, position, PATIENCE).await.unwrap(),
            "{name} reaches {position}"
        );
    }

    /// Runs SQL.
    pub(crate) async fn sql(&self, sql: &str) {
        sqlx::raw_sql(sql).execute(self.store.pool()).await.unwrap();
    }

    /// Where the rows of a read model are that serve.
    pub(crate) async fn schema(&self, name: &str) -> String {
        let schema = "SELECT schema_name FROM annals.projections WHERE serving AND name = $1";
        sqlx::query_scalar(schema).bind(name).fetch_one(self.store.pool()).await.unwrap()
    }
}

/// Records events of one org unit in one command.
pub(crate) async fn append(store: &EventStore, id: Uuid, events: Vec<OrgUnitEvent>) -> Position {
    let stream = StreamId::new(OrgUnit::TYPE, id.to_string());
    append_events(store, events.iter().map(|event| new_event::<OrgUnit>(stream.clone(), event)).collect())
        .await
}

pub(crate) async fn append_events(store: &EventStore, events: Vec<NewEvent>) -> Position {
    let append = Append {
        command_id: Uuid::now_v7(),
        fingerprint: None,
        conditions: Vec::new(),
        events,
        claims: Vec::new(),
    };
    store.append(append).await.unwrap().position
}

/// An event as `commands` would record it.
pub(crate) fn new_event<D: Decider>(stream: StreamId, event: &D::Event) -> NewEvent {
    let (payload, groups) = SealingScope::to_json(event).unwrap();
    let subjects: Vec<String> = groups.iter().map(|group| group.subject.to_string()).collect();
    NewEvent {
        stream,
        event_id: Uuid::now_v7(),
        event_type: Cow::Borrowed(event.name()),
        event_version: "1".into(),
        payload,
        personal: groups
            .into_iter()
            .map(|group| PersonalGroup {
                subject: group.subject,
                class: Cow::Borrowed(RecordClass::name(group.class)),
                plaintext: group.values,
            })
            .collect(),
        metadata: format!("{{\"actor\":\"user:test\",\"subjects\":\"{}\"}}", subjects.join(" ")),
    }
}

pub(crate) fn created(code: &str) -> OrgUnitEvent {
    OrgUnitEvent::OrgUnitCreated {
        kind: OrgKind::Institution,
        code: code.into(),
        name: format!("University of {code}"),
        r#type: OrgType::University,
        parent: None,
        country: "US".into(),
        city: None,
        website: None,
        contact_email: Some(Personal::about(contact_of(code), format!("registrar@{code}.example"))),
    }
}

/// Whom the contact of a unit of this code is about.
pub(crate) fn contact_of(code: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, code.as_bytes())
}

pub(crate) fn renamed(name: &str) -> OrgUnitEvent {
    OrgUnitEvent::OrgUnitRevised {
        name: Some(name.into()),
        r#type: None,
        city: None,
        website: None,
        contact_email: None,
    }
}

pub(crate) fn gone() -> OrgUnitEvent {
    OrgUnitEvent::OrgUnitDeactivated { reason: "merged".into() }
}

pub(crate) fn unit(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Waits until the follower is in a state.
pub(crate) async fn in_state(
    projections: &Projections,
    wanted: impl Fn(&FollowerState) -> bool,
) -> FollowerState {
    let mut state = projections.state();
    let reached = tokio::time::timeout(PATIENCE, state.wait_for(|state| wanted(state))).await;
    reached.expect("the follower gets there").unwrap().clone()
}

/// Asks again until the answer is the wanted one.
pub(crate) async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !ask().await {
        assert!(std::time::Instant::now() < deadline, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn admin() -> domain::Actor {
    domain::Actor::user(Uuid::from_u128(0xAD), &["admin"])
}

/// The codes of all units, in the order of the list.
pub(crate) async fn codes(projections: &Projections) -> Vec<String> {
    let query = Query { limit: Some(200), ..Query::default() };
    let rows = projections.list("org_directory", &admin(), &query).await.unwrap().rows;
    rows.iter().map(|row| row["code"].as_str().unwrap().to_owned()).collect()
}
