//! The description of the events as they are published, AsyncAPI 3.0: made of the same list of aggregates as the log, so
//! that it has every event there is. Bodies are described as they are on the wire, where personal fields are sealed.

use commands::{AggregateEntry, Catalog, EventEntry};
use serde_json::{Map, Value, json};

/// Where the schemas of the document are.
const SCHEMAS: &str = "#/components/schemas";

/// The document.
pub fn document(catalog: &Catalog) -> Value {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for aggregate in &catalog.aggregates {
        for event in &aggregate.events {
            let name = event.name;
            let message = json!({ "$ref": format!("#/components/messages/{name}") });
            channels.insert(name.into(), channel(aggregate, event, &message));
            operations.insert(
                format!("publish{name}"),
                json!({
                    "action": "send",
                    "channel": { "$ref": format!("#/channels/{name}") },
                    "summary": format!("Publishes {name} once it is in the log"),
                    "messages": [{ "$ref": format!("#/channels/{name}/messages/{name}") }],
                    "tags": [{ "name": aggregate.context }],
                }),
            );
            messages.insert(name.into(), described(aggregate, event));
        }
    }
    let mut schemas = catalog.definitions.clone();
    schemas.values_mut().for_each(sealed);
    schemas.extend([
        ("EventMetadata".into(), metadata()),
        ("SealedValue".into(), sealed_value()),
        ("CloudEvent".into(), cloud_event()),
    ]);
    let mut tags: Vec<&str> = catalog.aggregates.iter().map(|aggregate| &*aggregate.context).collect();
    tags.sort_unstable();
    tags.dedup();
    json!({
        "asyncapi": "3.0.0",
        "id": "urn:annals:events",
        "info": {
            "title": "Annals events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0" },
            "tags": tags.iter().map(|tag| json!({ "name": tag })).collect::<Vec<_>>(),
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "{host}",
                "protocol": "nats",
                "description": "NATS with JetStream. Operators say who may connect.",
                "variables": { "host": { "default": "127.0.0.1:4222" } },
            },
        },
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

const DESCRIPTION: &str = "Every event of the log is published to JetStream under \
     `annals.events.<aggregate type>.<event type>`, as a CloudEvent 1.0 in binary mode: attributes are the headers `ce-*`, \
     the event is the body. Messages are delivered at least once and `Nats-Msg-Id` makes repetitions known; \
     `ce-position` is the place in the log, without gaps and in commit order. Personal values are encrypted \
     (`sealed`) and stand in the payload as references. A message larger than the server takes comes without a body. After \
     each run of events `annals.runs` says in one message from which position to which they are. The \
     log is the truth: whoever finds a hole reads it. `GET /v1/stream` tells the same events to people as \
     server-sent events, and `GET /v1/ws` over a WebSocket, without personal values, and on demand the rows that they changed.";

fn channel(aggregate: &AggregateEntry, event: &EventEntry, message: &Value) -> Value {
    json!({
        "address": format!("annals.events.{}.{}", aggregate.aggregate_type, event.name),
        "title": event.name,
        "servers": [{ "$ref": "#/servers/nats" }],
        "messages": { event.name: message },
        "tags": [{ "name": aggregate.context }],
    })
}

fn described(aggregate: &AggregateEntry, event: &EventEntry) -> Value {
    let mut fields = event.schema.clone();
    sealed(&mut fields);
    if let Some(fields) = fields.as_object_mut() {
        // What is also the message's.
        fields.remove("description");
    }
    let kind = format!("annals.{}.{}.v{}", aggregate.aggregate_type, event.name, event.version);
    json!({
        "name": event.name,
        "title": event.name,
        "summary": event.description,
        "contentType": "application/json",
        "correlationId": { "location": "$message.payload#/metadata/correlation_id" },
        "tags": [{ "name": aggregate.context }],
        "headers": {
            "type": "object",
            "allOf": [{ "$ref": format!("{SCHEMAS}/CloudEvent") }],
            "properties": {
                "ce-type": { "const": kind },
            },
        },
        "payload": {
            "type": "object",
            "required": ["payload", "metadata"],
            "properties": {
                "payload": {
                    "type": "object",
                    "required": [event.name],
                    "properties": { event.name: fields },
                    "additionalProperties": false,
                },
                "metadata": { "$ref": format!("{SCHEMAS}/EventMetadata") },
                "sealed": {
                    "type": "string",
                    "contentEncoding": "base64",
                    "description": "The personal values, encrypted by data subject and record class.",
                },
            },
            "additionalProperties": false,
        },
    })
}

/// Puts references in the place of personal values: that is what is on the wire.
fn sealed(schema: &mut Value) {
    match schema {
        Value::Object(fields) => match fields.get("x-personal").cloned() {
            Some(class) => {
                *schema = json!({ "$ref": format!("{SCHEMAS}/SealedValue"), "x-personal": class });
            }
            None => fields.values_mut().for_each(sealed),
        },
        Value::Array(elements) => elements.iter_mut().for_each(sealed),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn sealed_value() -> Value {
    json!({
        "type": "object",
        "description": "A personal value: which group of `sealed` it is in, and which value of that group it is.",
        "required": ["$personal"],
        "properties": {
            "$personal": {
                "type": "array",
                "items": { "type": "integer", "minimum": 0 },
                "minItems": 2,
                "maxItems": 2,
            },
        },
        "additionalProperties": false,
    })
}

fn metadata() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "The envelope. All values are text; lists are separated by spaces.",
        "properties": {
            "actor": text("Who did it: `user:`, `api_client:`, `policy:`, `scheduler:` or `worker:` and an id."),
            "on_behalf_of": text("For whom."),
            "session": text("The login session."),
            "occurred_at": { "type": "string", "format": "date-time", "description": "When it happened." },
            "subjects": text("The people whose data it carries."),
            "record_classes": text("The classes of that data."),
            "correlation_id": text("What belongs together."),
            "causation_id": text("The event that caused it."),
            "traceparent": text("The trace (W3C)."),
            "purpose": text("For what purpose the data is processed."),
            "legal_basis": text("On what legal basis."),
            "derived_from": text("What it was computed from, as `type:id@version`."),
            "transformation": text("How it was computed."),
            "ids_sha256": text("SHA-256 of the event's ids, in hexadecimal."),
        },
        "additionalProperties": { "type": "string" },
    })
}

/// The attributes of every event.
fn cloud_event() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let id = |description: &str| json!({ "type": "string", "format": "uuid", "description": description });
    let number =
        |description: &str| json!({ "type": "string", "pattern": "^[0-9]+$", "description": description });
    json!({
        "type": "object",
        "description": "The attributes of a CloudEvent, as headers of the message.",
        "required": [
            "Nats-Msg-Id", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time",
            "ce-datacontenttype", "ce-position", "ce-sequence",
        ],
        "properties": {
            "Nats-Msg-Id": text("The log and the position: what is published again has the same."),
            "ce-specversion": { "const": "1.0" },
            "ce-id": id("The event."),
            "ce-source": text("The log, `urn:annals:` and its incarnation."),
            "ce-type": text("`annals.`, the aggregate type, the event type and the version of its schema, with points between."),
            "ce-subject": text("The aggregate."),
            "ce-time": { "type": "string", "format": "date-time", "description": "When it was recorded." },
            "ce-datacontenttype": { "const": "application/json" },
            "ce-position": number("Its position in the log, from 1, without gaps."),
            "ce-sequence": number("Its number in its stream, from 1."),
            "ce-commandid": id("The command that it came of."),
            "ce-traceparent": text("The trace (W3C)."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_the_registry_has_its_subject_its_attributes_and_its_schema() {
        let catalog = Catalog::new();
        let document = document(&catalog);
        let mut events = 0;
        for aggregate in &catalog.aggregates {
            for event in &aggregate.events {
                let channel = &document["channels"][event.name];
                let subject = format!("annals.events.{}.{}", aggregate.aggregate_type, event.name);
                assert_eq!(channel["address"], subject);
                let message = &document["components"]["messages"][event.name];
                let kind = format!("annals.{}.{}.v{}", aggregate.aggregate_type, event.name, event.version);
                assert_eq!(message["headers"]["properties"]["ce-type"]["const"], kind);
                let fields = &message["payload"]["properties"]["payload"]["properties"][event.name];
                let named = |schema: &Value| {
                    schema["properties"].as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>())
                };
                assert_eq!(named(fields), named(&event.schema), "{}", event.name);
                events += 1;
            }
        }
        assert_eq!(document["channels"].as_object().unwrap().len(), events, "no two events have one name");
        let tags: Vec<&str> = document["info"]["tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| tag["name"].as_str().unwrap())
            .collect();
        assert!(tags.is_sorted_by(|one, next| one < next), "each tag once: {tags:?}");
        assert_eq!(document["operations"].as_object().unwrap().len(), events);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| walk(value, found));
                }
                Value::Array(elements) => elements.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let document = document(&Catalog::new());
        let mut references = Vec::new();
        walk(&document, &mut references);
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("references stay in the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    /// What the log's own golden files hold is what the document says is on the wire.
    #[test]
    fn personal_values_are_described_as_the_references_that_are_published() {
        let document = document(&Catalog::new());
        let stored = include_str!("../../domain/history/identity.org_unit/OrgUnitCreated.v1.json");
        let stored: Value = serde_json::from_str(stored).unwrap();
        let fields = stored["payload"]["OrgUnitCreated"].as_object().unwrap();
        let schema = &document["components"]["messages"]["OrgUnitCreated"]["payload"]["properties"]["payload"]
            ["properties"]["OrgUnitCreated"];
        assert!(fields.keys().all(|name| !schema["properties"][name].is_null()));
        let sealed = schema["properties"]["contact_email"].to_string();
        assert!(
            fields["contact_email"]["$personal"].is_array() && sealed.contains("SealedValue"),
            "{sealed}"
        );
        assert!(!schema["properties"]["code"].to_string().contains("SealedValue"));
    }
}
