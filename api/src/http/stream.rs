//! `GET /v1/stream`: the events as they are recorded, as server-sent events.
//!
//! One follower reads the log for all clients, and only while there are any. A client that resumes, or that is too slow
//! for the fan-out, reads what it missed from the log itself. Personal fields are never among what is told. Whoever's token was
//! revoked or has expired is told no more; of whom somebody who sees everything is told, is on record before they are.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use actix_web::{
    HttpResponse,
    http::{Method, header},
    web,
};
use bytes::Bytes;
use domain::{
    Actor, Decider, Envelope,
    governance::{AccessLog, AuditReplay, Disclosure, SubjectKey},
};
use event_store::{EventStore, Position, Recorded};
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::{
    Api, Call,
    access::Reader,
    body::single,
    call::{unauthenticated, with_stand},
};
use crate::{
    auth::Ticket,
    problem::{FORBIDDEN, Problem, RATE_LIMITED},
};

/// How many clients a node serves at once.
const CLIENTS: i64 = 512;
/// How many chunks a client may be behind before it reads the log itself.
const BACKLOG: usize = 64;
/// How many events a client that catches up reads at once.
const CATCH_UP: usize = 256;
/// How often a quiet stream says that it is alive, and where it is.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Tells all clients of a node what one follower reads.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    store: EventStore,
    told: broadcast::Sender<Arc<[Told]>>,
    /// Whether the follower runs: what is recorded from then on is told to everybody who subscribed before.
    running: watch::Sender<bool>,
    /// Ends all streams.
    closed: watch::Sender<bool>,
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
    pub fn start(store: EventStore) -> Self {
        let (told, _) = broadcast::channel(BACKLOG);
        Hub(Arc::new(Inner {
            store,
            told,
            running: watch::Sender::new(false),
            closed: watch::Sender::new(false),
        }))
    }

    /// Ends all streams; their clients come back to another node.
    pub fn close(&self) {
        self.0.closed.send_replace(true);
    }

    /// What is recorded from now on.
    fn subscribe(&self) -> broadcast::Receiver<Arc<[Told]>> {
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
        let Inner { store, told, running, .. } = &*self.0;
        let mut events = std::pin::pin!(store.follow(after));
        while let Some(chunk) = events.next().await {
            match chunk {
                Ok(chunk) => {
                    let chunk: Arc<[Told]> = chunk.iter().map(Told::of).collect();
                    _ = told.send(chunk); // nobody may listen any more
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

    fn text(&self, view: View) -> Option<String> {
        let data = match view {
            View::All => &self.full,
            View::Own(account) if self.elsewhere || !self.subjects.contains(&account) => return None,
            View::Own(account) => match &self.by {
                Some(person) if *person != account.to_string() => &self.bare,
                Some(_) | None => &self.own,
            },
        };
        Some(format!("id: {}\nevent: recorded\ndata: {data}\n\n", self.position))
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

/// Opens a stream.
pub(super) fn handle(api: &web::Data<Api>, call: &Call<'_>) -> Result<HttpResponse, Problem> {
    let view = view(call.actor()?)?;
    if !call.request.query_string().is_empty() {
        return Err(Problem::parameter("query", "the stream takes no query parameters"));
    }
    let resumed = single(call.request.headers(), "Last-Event-ID")?.map(str::parse::<Position>);
    let resumed =
        resumed.transpose().map_err(|_| Problem::parameter("Last-Event-ID", "expected a position"))?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .content_type("text/event-stream");
    if call.request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let ticket = call.ticket.clone().ok_or_else(|| unauthenticated(None))?;
    let (from, reader) = (call.request.address(), Reader::of(call)?);
    let client = Client::new(api, (ticket, from), reader, view, resumed)?;
    Ok(response.streaming(client.stream().map(Ok::<_, actix_web::Error>)))
}

/// One client.
struct Client {
    api: web::Data<Api>,
    /// Who it is, and from where: what a token says holds only until it is revoked.
    ticket: Arc<Ticket>,
    address: Option<IpAddr>,
    /// Who reads, for the access log, and whose data they are about to be told of.
    reader: Reader,
    unlogged: BTreeSet<Uuid>,
    view: View,
    /// Up to where it was told; none before it has begun.
    after: Option<Position>,
    live: Option<broadcast::Receiver<Arc<[Told]>>>,
    /// Whether it must read the log itself before it can listen.
    behind: bool,
    ready: String,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.api.metrics.streams.dec();
    }
}

impl Client {
    fn new(
        api: &web::Data<Api>,
        (ticket, address): (Arc<Ticket>, Option<IpAddr>),
        reader: Reader,
        view: View,
        after: Option<Position>,
    ) -> Result<Self, Problem> {
        if api.metrics.streams.get() >= CLIENTS {
            return Err(
                Problem::new(RATE_LIMITED, "this node has as many streams as it serves").retry_after(30)
            );
        }
        api.metrics.streams.inc();
        let ready = "retry: 2000\n\n".to_owned();
        let (api, unlogged) = (api.clone(), BTreeSet::new());
        Ok(Client { api, ticket, address, reader, unlogged, view, after, live: None, behind: true, ready })
    }

    fn stream(self) -> impl Stream<Item = Bytes> {
        stream::unfold(self, |mut client| async move {
            let text = client.next().await?;
            Some((text.into(), client))
        })
    }

    /// What to send next; none ends the stream, and the client comes back with the position that it has.
    async fn next(&mut self) -> Option<String> {
        loop {
            if !self.ready.is_empty() {
                if !self.is_admitted().await {
                    return None;
                }
                let subjects = std::mem::take(&mut self.unlogged);
                self.reader.reads(&self.api, subjects).await.ok()?;
                return Some(std::mem::take(&mut self.ready));
            }
            if self.live.is_none() {
                self.live = Some(self.api.stream.subscribe());
            }
            let store = self.api.commands.store();
            let after = match self.after {
                Some(after) => after,
                None => *self.after.insert(store.head().await.ok()?.position),
            };
            if self.behind {
                let events = store.read_all(after, CATCH_UP).await.ok()?;
                self.behind = events.len() == CATCH_UP;
                let told: Vec<Told> = events.iter().map(Told::of).collect();
                self.take(&told);
                continue;
            }
            let live = self.live.as_mut()?;
            let mut closed = self.api.stream.0.closed.subscribe();
            let news = tokio::select! {
                news = tokio::time::timeout(HEARTBEAT, live.recv()) => news,
                _ = closed.wait_for(|closed| *closed) => return None,
            };
            match news {
                Ok(Ok(chunk)) => match chunk.first() {
                    Some(first) if first.position > after + 1 => self.behind = true,
                    Some(_) | None => self.take(&chunk),
                },
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => self.behind = true,
                Ok(Err(broadcast::error::RecvError::Closed)) => return None,
                // The position goes along, so that a client that sees little does not read it all again.
                Err(_elapsed) if self.is_admitted().await => {
                    return Some(format!(": still here\nid: {after}\n\n"));
                }
                Err(_elapsed) => return None,
            }
        }
    }

    /// Whether the client may still be told anything: its token holds, and lets it see what it sees.
    async fn is_admitted(&self) -> bool {
        let now = Timestamp::now();
        let holds = async || {
            let stand = self.api.standing.examine(&self.ticket, self.address, now).await.ok()?;
            let ticket = with_stand(Arc::clone(&self.ticket), stand);
            view(&ticket.actor).ok()
        };
        !self.ticket.has_expired(now) && holds().await == Some(self.view)
    }

    fn take(&mut self, told: &[Told]) {
        let after = self.after.unwrap_or_default();
        for event in told.iter().filter(|event| event.position > after) {
            if let Some(text) = event.text(self.view) {
                self.ready.push_str(&text);
                // That somebody reads is told as well, and must not be a read that is told.
                if self.view == View::All && !event.is_access {
                    self.unlogged.extend(&event.named);
                }
            }
        }
        self.after = told.last().map_or(after, |last| last.position.max(after)).into();
    }
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
        }
    }

    fn seen(actor: &str, view: View) -> Option<Value> {
        let text = Told::of(&recorded(actor)).text(view)?;
        let data = text.lines().find_map(|line| line.strip_prefix("data: "))?;
        Some(serde_json::from_str(data).unwrap())
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
            assert_eq!(Told::of(&event).text(View::Own(me)), None);
            assert!(Told::of(&event).text(View::All).is_some());
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
