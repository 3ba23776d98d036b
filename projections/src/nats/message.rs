//! Events as messages: CloudEvents 1.0 in binary mode. What the follower needs and CloudEvents has no word for stands in
//! extension attributes.

use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use event_store::{EventStore, Position, Recorded, StreamId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// `payload` and `metadata` byte for byte as they are recorded, the personal fields encrypted.
#[derive(Serialize, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(borrow)]
    metadata: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Trace {
    traceparent: Option<String>,
}

/// The subject of an event.
pub(super) fn subject(event: &Recorded) -> String {
    format!("annals.events.{}.{}", event.stream.aggregate_type, event.event_type)
}

/// What makes a repeated publication of an event one message.
fn message_id(incarnation: Uuid, position: Position) -> String {
    format!("{incarnation}-{position}")
}

/// The message for an event. One that is larger than the server takes goes without its body: who gets it reads the log.
pub(super) fn write(event: &Recorded, incarnation: Uuid, max_payload: usize) -> PublishMessage {
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", event.event_id.to_string());
    headers.insert("ce-source", format!("urn:annals:{incarnation}"));
    headers.insert(
        "ce-type",
        format!("annals.{}.{}.v{}", event.stream.aggregate_type, event.event_type, event.event_version),
    );
    headers.insert("ce-subject", event.stream.aggregate_id.as_str());
    headers.insert("ce-time", event.recorded_at.to_string());
    headers.insert("ce-datacontenttype", "application/json");
    headers.insert("ce-position", event.position.to_string());
    headers.insert("ce-sequence", event.sequence.to_string());
    headers.insert("ce-aggregatetype", event.stream.aggregate_type.as_ref());
    headers.insert("ce-eventtype", event.event_type.as_ref());
    headers.insert("ce-eventversion", event.event_version.as_ref());
    if let Some(command_id) = event.command_id {
        headers.insert("ce-commandid", command_id.to_string());
    }
    let trace: Trace = serde_json::from_str(&event.metadata).unwrap_or_default();
    if let Some(traceparent) = trace.traceparent.filter(|trace| trace.is_ascii()) {
        headers.insert("ce-traceparent", traceparent);
    }
    let payload = body(event).filter(|body| body.len() + 2048 <= max_payload).unwrap_or_default();
    PublishMessage::build()
        .headers(headers)
        .message_id(message_id(incarnation, event.position))
        .payload(payload)
}

fn body(event: &Recorded) -> Option<Bytes> {
    let body = Body {
        payload: serde_json::from_str(&event.payload).ok()?,
        metadata: serde_json::from_str(&event.metadata).ok()?,
        sealed: event.sealed.as_deref().map(|sealed| STANDARD.encode(sealed)),
    };
    serde_json::to_vec(&body).ok().map(Bytes::from)
}

/// What a message turned out to be.
pub(crate) enum Delivered {
    /// An event of our log.
    Event(Box<Recorded>),
    /// Something that only says that there is an event at this position.
    Mention(Position),
    /// No event of our log.
    Foreign,
}

/// Reads a message. Its bytes are of interest only where this node does not have the event in memory anyway.
pub(super) fn read(message: &async_nats::Message, incarnation: Uuid, store: &EventStore) -> Delivered {
    match read_headers(message, incarnation) {
        Some(position) => match store.recent(position) {
            Some(event) => Delivered::Event(Box::new(event)),
            None => read_body(message, position),
        },
        None => Delivered::Foreign,
    }
}

/// The position of an event of this log.
fn read_headers(message: &async_nats::Message, incarnation: Uuid) -> Option<Position> {
    let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str());
    let source = header("ce-source")?.strip_prefix("urn:annals:")?;
    if source.parse() == Ok(incarnation) { header("ce-position")?.parse().ok() } else { None }
}

fn read_body(message: &async_nats::Message, position: Position) -> Delivered {
    let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str());
    let event = || {
        let body: Body<'_> = serde_json::from_slice(&message.payload).ok()?;
        Some(Recorded {
            position,
            event_id: header("ce-id")?.parse().ok()?,
            stream: StreamId::new(header("ce-aggregatetype")?.to_owned(), header("ce-subject")?),
            sequence: header("ce-sequence")?.parse().ok()?,
            event_type: header("ce-eventtype")?.to_owned().into(),
            event_version: header("ce-eventversion")?.to_owned().into(),
            payload: body.payload.get().to_owned(),
            sealed: body.sealed.map(|sealed| STANDARD.decode(sealed)).transpose().ok()?.map(Bytes::from),
            metadata: body.metadata.get().to_owned(),
            recorded_at: header("ce-time")?.parse::<Timestamp>().ok()?,
            command_id: header("ce-commandid").map(str::parse).transpose().ok()?,
        })
    };
    event().map_or(Delivered::Mention(position), |event| Delivered::Event(Box::new(event)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Recorded {
        Recorded {
            position: 7,
            event_id: Uuid::from_u128(1),
            stream: StreamId::new("identity.org_unit", "x"),
            sequence: 3,
            event_type: "OrgUnitMoved".into(),
            event_version: "2".into(),
            payload: "{\"OrgUnitMoved\": {\"parent\": null}}".into(),
            sealed: Some(Bytes::from_static(b"\x01\xffsealed")),
            metadata: "{\"actor\":\"user:x\",\"traceparent\":\"00-1-2-3\"}".into(),
            recorded_at: "2026-03-04T05:06:07.000008Z".parse().unwrap(),
            command_id: Some(Uuid::from_u128(2)),
        }
    }

    fn sent(event: &Recorded, log: Uuid, max_payload: usize) -> async_nats::Message {
        let sent = write(event, log, max_payload).outbound_message(subject(event));
        async_nats::Message {
            subject: sent.subject,
            reply: None,
            length: sent.payload.len(),
            payload: sent.payload,
            headers: sent.headers,
            status: None,
            description: None,
        }
    }

    #[test]
    fn an_event_comes_out_of_its_message_as_it_went_in() {
        let log = Uuid::from_u128(9);
        let message = sent(&event(), log, 1 << 20);
        assert_eq!(message.subject.as_str(), "annals.events.identity.org_unit.OrgUnitMoved");
        let headers = message.headers.as_ref().unwrap();
        assert_eq!(headers.get("ce-type").unwrap().as_str(), "annals.identity.org_unit.OrgUnitMoved.v2");
        assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), format!("{log}-7"));
        assert_eq!(headers.get("ce-traceparent").unwrap().as_str(), "00-1-2-3");
        assert_eq!(read_headers(&message, log), Some(7));
        let Delivered::Event(read) = read_body(&message, 7) else { panic!("it is an event") };
        assert_eq!(*read, event());
    }

    #[test]
    fn an_event_of_another_log_is_foreign() {
        let message = sent(&event(), Uuid::from_u128(9), 1 << 20);
        assert_eq!(read_headers(&message, Uuid::from_u128(8)), None);
    }

    #[test]
    fn an_event_that_is_too_large_is_only_mentioned() {
        let log = Uuid::from_u128(9);
        let large = Recorded { payload: format!("{{\"OrgUnitMoved\":\"{}\"}}", "x".repeat(5000)), ..event() };
        assert!(matches!(read_body(&sent(&large, log, 4096), 7), Delivered::Mention(7)));
    }
}
