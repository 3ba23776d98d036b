//! What the relay publishes: events as CloudEvents 1.0 in binary mode, and after each run of them a note of how far it is.

use async_nats::{
    HeaderMap, HeaderName,
    jetstream::message::{OutboundMessage, PublishMessage},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use event_store::{Position, Recorded};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where events are published, under their aggregate type and their type.
pub(super) const EVENTS: &str = "annals.events";

/// Where runs are published.
pub(super) const RUN_SUBJECT: &str = "annals.runs";

/// Events that were published one after the other. A follower needs no more: it is told that they are there, and takes
/// them from memory or from the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// The incarnation of the log.
    pub(super) log: Uuid,
    /// The positions of the first event and of the last.
    pub(super) first: Position,
    pub(super) last: Position,
}

impl Run {
    pub(super) fn write(&self) -> PublishMessage {
        PublishMessage::build().payload(serde_json::to_vec(self).unwrap_or_default().into())
    }
}

/// What a message about a run turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// The events from the first of these positions to the second are in the log.
    Run(Position, Position),
    /// Nothing about our log.
    Foreign,
}

pub(super) fn read(payload: &[u8], log: Uuid) -> Delivered {
    match serde_json::from_slice::<Run>(payload) {
        Ok(run) if run.log == log && run.first <= run.last => Delivered::Run(run.first, run.last),
        Ok(_) | Err(_) => Delivered::Foreign,
    }
}

/// The subject of an event.
pub(super) fn subject(event: &Recorded) -> String {
    format!("{EVENTS}.{}.{}", event.stream.aggregate_type, event.event_type)
}

/// The message for an event. What CloudEvents has no word for stands in extension attributes. One that is larger than the
/// server takes goes without its body: who gets it reads the log.
pub(super) fn write(event: &Recorded, incarnation: Uuid, max_payload: usize) -> PublishMessage {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: String| headers.insert(HeaderName::from_static(name), value);
    put("ce-specversion", "1.0".into());
    put("ce-id", event.event_id.to_string());
    put("ce-source", format!("urn:annals:{incarnation}"));
    put(
        "ce-type",
        format!("annals.{}.{}.v{}", event.stream.aggregate_type, event.event_type, event.event_version),
    );
    put("ce-subject", event.stream.aggregate_id.to_string());
    put("ce-time", event.recorded_at.to_string());
    put("ce-datacontenttype", "application/json".into());
    put("ce-position", event.position.to_string());
    put("ce-sequence", event.sequence.to_string());
    if let Some(command_id) = event.command_id {
        put("ce-commandid", command_id.to_string());
    }
    if let Some(traceparent) = traceparent(&event.metadata) {
        put("ce-traceparent", traceparent.to_owned());
    }
    // What makes a repeated publication of an event one message.
    put("Nats-Msg-Id", format!("{incarnation}-{}", event.position));
    let payload = Some(body(event)).filter(|body| body.len() + 2048 <= max_payload).unwrap_or_default();
    PublishMessage::build().headers(headers).payload(payload)
}

/// The same, for a server from which no acknowledgement is wanted.
pub(super) fn unacknowledged(event: &Recorded, incarnation: Uuid, max_payload: usize) -> OutboundMessage {
    write(event, incarnation, max_payload).outbound_message(subject(event))
}

/// `payload` and `metadata` byte for byte as they are recorded, the personal fields encrypted.
fn body(event: &Recorded) -> Bytes {
    let sealed = event.sealed.as_deref().map(|sealed| STANDARD.encode(sealed));
    let mut body = String::with_capacity(
        event.payload.len() + event.metadata.len() + sealed.as_ref().map_or(0, String::len) + 48,
    );
    for text in ["{\"payload\":", &event.payload, ",\"metadata\":", &event.metadata] {
        body.push_str(text);
    }
    if let Some(sealed) = sealed {
        for text in [",\"sealed\":\"", &sealed, "\""] {
            body.push_str(text);
        }
    }
    body.push('}');
    body.into()
}

/// The trace context that metadata states. Metadata is a flat object of strings as this program writes it, in which an
/// unescaped quotation mark only begins or ends one.
fn traceparent(metadata: &str) -> Option<&str> {
    let (_, rest) = metadata.split_once("\"traceparent\":\"")?;
    let (traceparent, _) = rest.split_once('"')?;
    traceparent.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-').then_some(traceparent)
}

#[cfg(test)]
mod tests {
    use event_store::StreamId;

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
            command_index: 0,
            fingerprint: None,
        }
    }

    #[test]
    fn an_event_is_a_cloud_event_whose_body_has_the_recorded_bytes() {
        let log = Uuid::from_u128(9);
        let message = unacknowledged(&event(), log, 1 << 20);
        assert_eq!(message.subject.as_str(), "annals.events.identity.org_unit.OrgUnitMoved");
        let headers = message.headers.unwrap();
        let header = |name: &str| headers.get(name).unwrap().as_str();
        assert_eq!(header("ce-specversion"), "1.0");
        assert_eq!(header("ce-type"), "annals.identity.org_unit.OrgUnitMoved.v2");
        assert_eq!(header("ce-id"), Uuid::from_u128(1).to_string());
        assert_eq!(header("ce-source"), format!("urn:annals:{log}"));
        assert_eq!(header("ce-subject"), "x");
        assert_eq!(header("ce-time"), "2026-03-04T05:06:07.000008Z");
        assert_eq!((header("ce-position"), header("ce-sequence")), ("7", "3"));
        assert_eq!(header("ce-commandid"), Uuid::from_u128(2).to_string());
        assert_eq!(header("Nats-Msg-Id"), format!("{log}-7"));
        assert_eq!(header("ce-traceparent"), "00-1-2-3");
        let body: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(body["payload"], serde_json::json!({ "OrgUnitMoved": { "parent": null } }));
        assert_eq!(body["metadata"]["actor"], "user:x");
        assert_eq!(STANDARD.decode(body["sealed"].as_str().unwrap()).unwrap(), b"\x01\xffsealed");
        let text = String::from_utf8(message.payload.to_vec()).unwrap();
        assert!(text.contains(&*event().payload) && text.contains(&*event().metadata));
    }

    #[test]
    fn a_trace_is_found_only_where_metadata_states_one() {
        assert_eq!(traceparent(r#"{"actor":"user:x"}"#), None);
        assert_eq!(traceparent(r#"{"purpose":"\"traceparent\":\"00-1\""}"#), None);
        assert_eq!(traceparent(r#"{"traceparent":"00-a-b-01","x":"y"}"#), Some("00-a-b-01"));
        assert_eq!(traceparent("{\"traceparent\":\"00\\r\\nx: y\"}"), None);
    }

    #[test]
    fn a_run_comes_out_of_its_message_as_it_went_in() {
        let log = Uuid::from_u128(9);
        let message = Run { log, first: 3, last: 8 }.write().outbound_message(RUN_SUBJECT);
        assert_eq!(read(&message.payload, log), Delivered::Run(3, 8));
        assert_eq!(read(&message.payload, Uuid::from_u128(8)), Delivered::Foreign);
        assert_eq!(read(b"{}", log), Delivered::Foreign);
        assert_eq!(read(br#"{"log":"not an id","first":1,"last":2}"#, log), Delivered::Foreign);
    }

    #[test]
    fn an_event_that_is_too_large_goes_without_its_body() {
        let large =
            Recorded { payload: format!("{{\"OrgUnitMoved\":\"{}\"}}", "x".repeat(5000)).into(), ..event() };
        let message = unacknowledged(&large, Uuid::from_u128(9), 4096);
        assert!(message.payload.is_empty());
        assert_eq!(message.headers.unwrap().get("ce-position").unwrap().as_str(), "7");
    }
}
