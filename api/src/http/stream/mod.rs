//! The events as they are recorded: `GET /v1/stream` tells them as server-sent events, `GET /v1/ws` over a WebSocket. What is
//! told to whom is the same (`client`), how it is written is not (`events`, `socket`).
//!
//! Beside the events, a client that asks for them is told the rows of read models that the events changed (`rows`).
//!
//! One follower reads the log for all clients, and only while there are any. A client that resumes, or that is too slow
//! for the fan-out, reads what it missed from the log itself. Personal fields are never told of events. Whoever's token was
//! revoked or has expired is told no more; of whom somebody who sees everything is told, is on record before they are.

mod client;
pub(super) mod events;
mod rows;
pub(super) mod socket;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use domain::{
    Actor, Decider, Envelope,
    governance::{AccessLog, AuditReplay, Disclosure, SubjectKey},
};
use event_store::{EventStore, Position, Recorded};
use futures_util::StreamExt;
use projections::{Projections, Touched};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use self::client::Client;
pub(crate) use self::rows::OFFERED;
use crate::problem::{FORBIDDEN, Problem};

/// How many chunks a client may be behind before it reads the log itself.
const BACKLOG: usize = 64;

/// Tells all clients of a node what one follower reads.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    store: EventStore,
    projections: Projections,
    told: broadcast::Sender<Arc<Chunk>>,
    /// Held here and by every client that wants rows: which rows events touch is found out only while there are any.
    wanting: Arc<()>,
    /// Whether the follower runs: what is recorded from then on is told to everybody who subscribed before.
    running: watch::Sender<bool>,
    /// Ends all streams.
    closed: watch::Sender<bool>,
    /// How many streams each caller has.
    seats: Mutex<HashMap<String, usize>>,
}

/// Some events in order, ready to be told.
struct Chunk {
    events: Vec<Told>,
    /// Which rows they touch; nothing where nobody asked for it, or it could not be found out.
    touched: Option<Touched>,
}

/// One event, ready to be told.
struct Told {
    position: Position,
    subjects: Vec<Uuid>,
    /// Whom it names to those who may see everything: them, and those of whom it holds nothing personal.
    named: BTreeSet<Uuid>,
    /// Whether people are told of it elsewhere, where it is known of what the law forbids to tell them (34 CFR
    /// 99.31(a)(9)(ii)): disclosures, and who read, which may name one of them.
    elsewhere: bool,
    /// Whether it is an entry of the access log.
    is_access: bool,
    /// For those who may see everything.
    full: String,
    /// The person who did it, where it was one.
    by: Option<String>,
    /// For the people whom it is about, where they did it themselves or the system did.
    own: String,
    /// For the people whom it is about, where another person did it: that it happened, not what that one wrote.
    bare: String,
}

/// What a client may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    All,
    Own(Uuid),
}

impl Hub {
    /// A hub that follows the log whenever it has clients.
    pub fn start(store: EventStore, projections: Projections) -> Self {
        let (told, _) = broadcast::channel(BACKLOG);
        Hub(Arc::new(Inner {
            store,
            projections,
            told,
            wanting: Arc::default(),
            running: watch::Sender::new(false),
            closed: watch::Sender::new(false),
            seats: Mutex::default(),
        }))
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.seats.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Ends all streams; their clients come back to another node.
    pub fn close(&self) {
        self.0.closed.send_replace(true);
    }

    /// What is recorded from now on.
    fn subscribe(&self) -> broadcast::Receiver<Arc<Chunk>> {
        let receiver = self.0.told.subscribe();
        // Whoever finds nobody following begins to; the follower stops by itself when nobody listens.
        let begins = self.0.running.send_if_modified(|running| !std::mem::replace(running, true));
        if begins {
            let (hub, after) = (self.clone(), *self.0.store.subscribe_head().borrow());
            tokio::spawn(async move { hub.follow(after).await });
        }
        receiver
    }

    async fn follow(&self, after: Position) {
        let Inner { store, projections, told, wanting, running, .. } = &*self.0;
        let mut events = std::pin::pin!(store.follow(after));
        while let Some(chunk) = events.next().await {
            match chunk {
                Ok(chunk) => {
                    let wanted = Arc::strong_count(wanting) > 1;
                    let models = wanted.then(|| OFFERED.iter().map(|(shape, _)| shape.name).collect());
                    let chunk = Chunk::of(projections, chunk, models).await;
                    _ = told.send(Arc::new(chunk)); // nobody may listen any more
                }
                Err(error) => {
                    tracing::error!(%error, "the event stream stopped following the log");
                    break;
                }
            }
            let idle = running.send_if_modified(|running| {
                let idle = told.receiver_count() == 0;
                *running = !idle;
                idle
            });
            if idle {
                return;
            }
        }
        running.send_replace(false);
    }
}

impl Chunk {
    /// Events, and which rows of these read models they touch, where there is to be told of any.
    async fn of(
        projections: &Projections,
        mut recorded: Vec<Recorded>,
        models: Option<Vec<&'static str>>,
    ) -> Self {
        let events = recorded.iter().map(Told::of).collect();
        let Some(models) = models else { return Chunk { events, touched: None } };
        // That somebody reads must touch no row of which to be told is a read.
        recorded.retain(|event| event.stream.aggregate_type != AccessLog::TYPE);
        let touched = projections.touched(&models, recorded).await.inspect_err(|error| {
            tracing::error!(%error, "it could not be found out which rows events touch");
        });
        Chunk { events, touched: touched.ok() }
    }
}

impl Told {
    fn of(event: &Recorded) -> Self {
        let envelope: Envelope = serde_json::from_str(&event.metadata).unwrap_or_default();
        let payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
        let mut fields = payload.get(&*event.event_type).cloned().unwrap_or_default();
        without_personal(&mut fields);
        let mut own = json!({
            "position": event.position,
            "event_id": event.event_id,
            "event_type": event.event_type,
            "event_version": event.event_version,
            "aggregate_type": event.stream.aggregate_type,
            "aggregate_id": event.stream.aggregate_id,
            "sequence": event.sequence,
            "recorded_at": event.recorded_at,
            "occurred_at": envelope.occurred_at,
            "correlation_id": envelope.correlation_id,
            "causation_id": envelope.causation_id,
        });
        let mut full = own.clone();
        full["actor"] = envelope.actor.clone().into();
        full["on_behalf_of"] = envelope.on_behalf_of.into();
        full["subjects"] = json!(envelope.subjects);
        full["record_classes"] = json!(envelope.record_classes);
        full["purpose"] = envelope.purpose.into();
        full["legal_basis"] = envelope.legal_basis.into();
        full["data"] = fields.clone();
        let named = named(event, &fields, &envelope.subjects);
        let bare = own.to_string();
        own["data"] = fields;
        let person = |kind: &str| envelope.actor.strip_prefix(kind).map(str::to_owned);
        Told {
            position: event.position,
            elsewhere: [Disclosure::TYPE, AccessLog::TYPE, AuditReplay::TYPE]
                .contains(&&*event.stream.aggregate_type),
            is_access: event.stream.aggregate_type == AccessLog::TYPE,
            by: person("user:").or_else(|| person("api_client:")),
            subjects: envelope.subjects,
            named,
            full: full.to_string(),
            own: own.to_string(),
            bare,
        }
    }

    /// What is told of it to whoever sees so much; nothing where that does not include it.
    fn data(&self, view: View) -> Option<&str> {
        match view {
            View::All => Some(&self.full),
            View::Own(account) if self.elsewhere || !self.subjects.contains(&account) => None,
            View::Own(account) => Some(match &self.by {
                Some(person) if *person != account.to_string() => &self.bare,
                Some(_) | None => &self.own,
            }),
        }
    }
}

/// Whom an event names: its subjects, the person whose keys it is about, and who is listed as held, read of or looked into.
fn named(event: &Recorded, fields: &Value, subjects: &[Uuid]) -> BTreeSet<Uuid> {
    let id = |value: &Value| value.as_str().and_then(|id| id.parse().ok());
    let lists = ["subjects", "held_subjects"].map(|name| fields[name].as_array());
    let listed = lists.into_iter().flatten().flatten().filter_map(id);
    let keys = event.stream.aggregate_type == SubjectKey::TYPE;
    let owner = keys.then(|| event.stream.aggregate_id.parse().ok()).flatten();
    subjects.iter().copied().chain(listed).chain(id(&fields["scope"]["subject"])).chain(owner).collect()
}

/// Takes out the places where personal values were.
fn without_personal(value: &mut Value) {
    let personal = |value: &Value| value.as_object().is_some_and(|object| object.contains_key("$personal"));
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !personal(value));
            fields.values_mut().for_each(without_personal);
        }
        Value::Array(elements) => {
            elements.retain(|value| !personal(value));
            elements.iter_mut().for_each(without_personal);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Everything for those who audit and operate, their own for everybody else.
fn view(actor: &Actor) -> Result<View, Problem> {
    if actor.has("read:audit") || actor.has_role("operator") {
        return Ok(View::All);
    }
    actor.account().map(View::Own).ok_or_else(|| Problem::new(FORBIDDEN, "this needs the scope read:audit"))
}

#[cfg(test)]
mod tests {
    use event_store::StreamId;

    use super::*;

    fn recorded(actor: &str) -> Recorded {
        let subject = Uuid::from_u128(5);
        Recorded {
            position: 7,
            event_id: Uuid::from_u128(1),
            stream: StreamId::new("identity.org_unit", "x"),
            sequence: 1,
            event_type: "OrgUnitCreated".into(),
            event_version: "1".into(),
            payload: r#"{"OrgUnitCreated":{"code":"A","contact_email":{"$personal":[0,0]},"list":[{"$personal":[0,1]},{"a":{"$personal":null}}]}}"#.into(),
            sealed: None,
            metadata: json!({ "actor": actor, "occurred_at": "2026-01-01T00:00:00Z", "subjects": subject.to_string(),
                "correlation_id": subject.to_string() }).to_string().into(),
            recorded_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            command_id: None,
            command_index: 0,
            fingerprint: None,
        }
    }

    fn seen(actor: &str, view: View) -> Option<Value> {
        Told::of(&recorded(actor)).data(view).map(|data| serde_json::from_str(data).unwrap())
    }

    #[test]
    fn no_personal_field_is_told_to_anybody() {
        let event = seen("policy:x", View::All).unwrap();
        assert_eq!(event["data"], json!({ "code": "A", "list": [{}] }));
    }

    #[test]
    fn people_see_what_is_about_them_and_nothing_of_what_others_wrote() {
        let me = Uuid::from_u128(5);
        assert_eq!(seen("policy:x", View::Own(Uuid::from_u128(6))), None);
        assert_eq!(seen(&format!("user:{me}"), View::Own(me)).unwrap()["data"]["code"], "A");
        let by_staff = seen(&format!("user:{}", Uuid::from_u128(9)), View::Own(me)).unwrap();
        assert_eq!((&by_staff["event_type"], &by_staff["data"]), (&json!("OrgUnitCreated"), &Value::Null));
        assert_eq!(by_staff.get("actor"), None);
    }

    #[test]
    fn nobody_is_told_here_to_whom_their_records_were_disclosed_nor_who_read() {
        let me = Uuid::from_u128(5);
        for aggregate_type in [Disclosure::TYPE, AccessLog::TYPE, AuditReplay::TYPE] {
            let event = Recorded { stream: StreamId::new(aggregate_type, "x"), ..recorded("policy:x") };
            assert_eq!(Told::of(&event).data(View::Own(me)), None);
            assert!(Told::of(&event).data(View::All).is_some());
        }
    }

    #[test]
    fn whoever_sees_everything_has_read_of_all_whom_an_event_names() {
        let (me, other) = (Uuid::from_u128(5), Uuid::from_u128(6));
        let held = json!({ "LegalHoldPlaced": { "title": "Smith", "subjects": [other] } });
        let replay = json!({ "AuditReplayOpened": { "scope": { "subject": other } } });
        let keys = json!({ "SubjectKeyShredded": {} });
        for (payload, aggregate_type) in
            [(held, "governance.legal_hold"), (replay, AuditReplay::TYPE), (keys, SubjectKey::TYPE)]
        {
            let name = payload.as_object().unwrap().keys().next().unwrap().clone();
            let event = Recorded {
                stream: StreamId::new(aggregate_type, other.to_string()),
                event_type: name.into(),
                payload: payload.to_string().into(),
                ..recorded("user:x")
            };
            assert_eq!(Told::of(&event).named, [me, other].into());
        }
    }

    #[test]
    fn auditors_and_operators_see_everything() {
        let role = |role| view(&Actor::user(Uuid::from_u128(1), &[role])).unwrap();
        assert_eq!((role("compliance"), role("operator")), (View::All, View::All));
        assert_eq!(role("student"), View::Own(Uuid::from_u128(1)));
    }
}
