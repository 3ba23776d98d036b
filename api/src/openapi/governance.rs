//! The operations that read the log itself.

use projections::{
    governance::{AuditPage, CausationChain, DataMap, Entry, Graph, Inventory, Package},
    query::{LIMIT, LIMIT_MAX},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::components::{header_references, problems, uuid};
use crate::http::{
    Governance,
    due::{Agenda, DAYS_MAX},
    explorer::{EventPage, Explored, OneEvent},
    governance::{DEPTH_MAX, NODES_MAX},
    replay::STATES_MAX,
};

/// The operation of a route.
pub(super) fn operation(route: Governance, schemas: &mut SchemaGenerator) -> Value {
    let as_of = parameter("as_of", "As the log was at this position or instant.", moment());
    match route {
        Governance::Trail => {
            let (page, parameters) = page::<AuditPage, Entry>("entries", schemas);
            get("The audit trail", page, parameters)
        }
        Governance::Mine => {
            let (page, parameters) = page::<AuditPage, Entry>("entries", schemas);
            get("What is about the caller or was done by them", page, parameters)
        }
        Governance::Chain => {
            let chain = schemas.subschema_for::<CausationChain>().to_value();
            get("What caused an event, and what it caused", chain, vec![in_path("id", uuid()), as_of])
        }
        Governance::Events => {
            let (page, parameters) = page::<EventPage, Explored>("events", schemas);
            let summary = "The events of the log, with their hashes and the proofs that they are in it";
            get(summary, page, parameters)
        }
        Governance::Event => {
            let event = schemas.subschema_for::<OneEvent>().to_value();
            let id = json!({ "anyOf": [uuid(), { "type": "integer", "minimum": 1, "maximum": i64::MAX }] });
            get("An event by its id or position, with its hash and the proof", event, vec![in_path("id", id)])
        }
        Governance::Inventory => {
            let inventory = schemas.subschema_for::<Inventory>().to_value();
            let parameters = vec![in_path("subject", uuid()), super::queries::purpose()];
            get("Everything that is held about a person", inventory, parameters)
        }
        Governance::OwnInventory => {
            let inventory = schemas.subschema_for::<Inventory>().to_value();
            get("Everything that is held about the caller", inventory, Vec::new())
        }
        Governance::Replay => {
            let parameters = vec![
                in_path("id", uuid()),
                parameter("after", "The `next` of the page before.", position()),
                parameter("limit", "How many events.", count(LIMIT_MAX, Some(LIMIT))),
            ];
            let mut replay = get("The events that an audit replay shows", shown_events(), parameters);
            also(&mut replay, &[409]);
            replay
        }
        Governance::Due => {
            let agenda = schemas.subschema_for::<Agenda>().to_value();
            let parameters = vec![
                parameter("at", "As of this instant; now where left out.", instant()),
                parameter("days", "For how many days ahead.", count(DAYS_MAX, Some(45))),
                parameter("min_position", "Waits until this position was folded.", position()),
                super::queries::purpose(),
            ];
            get("What is due: requests, hearings, breaches to be told of", agenda, parameters)
        }
        Governance::ReplayState => {
            let stream = json!({ "type": "string", "pattern": "^[^/]+/" });
            let after =
                parameter("after", "The aggregates after this one: `next` of the page before.", stream);
            let mut replay = get(
                "What the aggregates of an audit replay were",
                states(),
                vec![in_path("id", uuid()), as_of, after],
            );
            also(&mut replay, &[409]);
            replay
        }
        Governance::ReplayExport => {
            let document = json!({ "type": "object" });
            let mut replay =
                get("What an audit replay shows as one document", document, vec![in_path("id", uuid())]);
            also(&mut replay, &[409]);
            replay
        }
        Governance::DataMap => {
            let map = schemas.subschema_for::<DataMap>().to_value();
            get("Which event and which read model holds which personal field", map, Vec::new())
        }
        Governance::Package => {
            let package = schemas.subschema_for::<Package>().to_value();
            refusing(get("Everything that is held about a person who asked for it", package, fetching()))
        }
        Governance::PackagePage => {
            let mut page = get("The same as a page to print", json!({}), fetching());
            page["responses"]["200"]["content"] = json!({ "text/html": { "schema": { "type": "string" } } });
            refusing(page)
        }
        Governance::Lineage => {
            let graph = schemas.subschema_for::<Graph>().to_value();
            let name = json!({ "type": "string", "minLength": 1 });
            let mut node = vec![in_path("type", name.clone()), in_path("id", name)];
            node[0]["description"] = WHICH_TYPE.into();
            node[1]["description"] = WHICH_ID.into();
            get("What something came from, and what came of it", graph, [node, around()].concat())
        }
        Governance::OpenLineage => {
            let mut node = parameter(
                "node",
                "Where to begin, `type:id`; the parts of a row's key, percent-encoded, with `/` between them.",
                json!({ "type": "string", "minLength": 1 }),
            );
            node["required"] = true.into();
            let events = json!({ "type": "array", "items": { "type": "object" } });
            get("Lineage as OpenLineage run events", events, [vec![node], around()].concat())
        }
    }
}

const WHICH_TYPE: &str = "`event`, an aggregate type, a read model, `transformation`, or whatever else events name as their \
    source.";
const WHICH_ID: &str = "Of an event or an aggregate its id, of an aggregate with `@version` where that version is meant; of \
    an engine its name, with or without `@version`. Of a row of a read model its key: where that has several parts, each of \
    them percent-encoded and `/` between them, and all of it encoded once more to stand in a path, so that a `%2F` parts \
    them: `<month>%2Fdining`. What there is not, or was not by then, is answered with 404.";

/// The states of a replay.
fn states() -> Value {
    json!({
        "type": "object",
        "required": ["states", "next", "truncated", "position"],
        "properties": {
            "states": { "type": "array", "maxItems": STATES_MAX, "items": {
                "type": "object",
                "required": ["aggregate_type", "aggregate_id", "version", "position", "recorded_at", "event_type", "state"],
            } },
            "next": { "type": ["string", "null"], "description": "What to ask for as `after`, where there are more." },
            "truncated": { "type": "boolean", "description": "Whether there are more events in scope than are looked at." },
            "position": position(),
        },
        "additionalProperties": false,
    })
}

fn fetching() -> Vec<Value> {
    vec![in_path("id", uuid()), super::queries::purpose()]
}

/// What is not fulfilled yet, what is no more, and what whoever it is not about reads with a second factor only.
fn refusing(mut operation: Value) -> Value {
    also(&mut operation, &[409, 410]);
    let factor =
        "Whoever fetches it for the person must have shown a second factor within the last five minutes.";
    operation["description"] = factor.into();
    operation
}

fn also(operation: &mut Value, statuses: &[u16]) {
    let responses = operation["responses"].as_object_mut().expect("responses are an object");
    responses.extend(problems(statuses));
}

/// A page of a replay: entries of the audit trail, each with its fields and whether some were shredded since.
fn shown_events() -> Value {
    json!({
        "type": "object",
        "required": ["events", "next", "position"],
        "properties": {
            "events": { "type": "array", "maxItems": LIMIT_MAX, "items": {
                "type": "object",
                "required": ["position", "event_id", "recorded_at", "actor", "action", "data", "shredded_since"],
            } },
            "next": { "type": ["integer", "null"], "minimum": 0 },
            "position": position(),
        },
        "additionalProperties": false,
    })
}

/// A page of entries of the audit trail, which are its member `list`, and what can be asked of it.
fn page<P: JsonSchema, E: JsonSchema>(list: &str, schemas: &mut SchemaGenerator) -> (Value, Vec<Value>) {
    let mut page = P::json_schema(schemas).to_value();
    let mut entry = E::json_schema(schemas).to_value();
    let names = entry["properties"].as_object().into_iter().flat_map(|fields| fields.keys());
    let names: Vec<String> = names.cloned().collect();
    if let Some(entry) = entry.as_object_mut() {
        // `fields` leaves some of them out.
        entry.remove("required");
    }
    page["properties"][list]["items"] = entry;
    let fields = json!({
        "name": "fields",
        "in": "query",
        "description": "Which fields of the entries to show.",
        "style": "form",
        "explode": false,
        "schema": {
            "type": "array",
            "items": { "type": "string", "enum": names },
            "minItems": 1,
            "uniqueItems": true,
        },
    });
    (page, trail().into_iter().chain([fields]).collect())
}

fn trail() -> Vec<Value> {
    let text = || json!({ "type": "string", "minLength": 1, "pattern": r"^[^\u0000]+$" });
    let order =
        json!({ "type": "string", "enum": ["newest_first", "oldest_first"], "default": "newest_first" });
    let sort = json!({ "type": "string", "enum": ["position", "-position"] });
    vec![
        parameter("actor", "Who acted, such as `user:<id>` or `policy:<name>`.", text()),
        parameter("on_behalf_of", "For whom.", uuid()),
        parameter("subject", "Whose data.", uuid()),
        parameter("resource_type", "The aggregate type.", text()),
        parameter("resource_id", "The aggregate's id.", text()),
        parameter("action", "The event type.", json!({ "type": "array", "items": text(), "minItems": 1 })),
        parameter("from", "Recorded at or after.", instant()),
        parameter("until", "Recorded at or before.", instant()),
        parameter("correlation_id", "What it belongs to.", uuid()),
        parameter("order", "In which order of the log.", order),
        parameter("sort", "The same in the words of all lists; `-position` is the newest first.", sort),
        parameter("after", "The `next` of the page before.", position()),
        parameter("limit", "How many entries.", count(LIMIT_MAX, Some(LIMIT))),
        parameter("min_position", "Only where the log has this position.", position()),
        parameter("as_of", "As the log was at this position or instant.", moment()),
    ]
}

fn around() -> Vec<Value> {
    let directions =
        json!({ "type": "string", "enum": ["upstream", "downstream", "both"], "default": "both" });
    let as_of = "As the log was at this position or instant. What it was folded into then is left out.";
    vec![
        parameter("direction", "Which way to go.", directions),
        parameter("depth", "How many edges away at most.", count(DEPTH_MAX, None)),
        parameter("nodes", "How many nodes at most.", count(NODES_MAX, Some(500))),
        parameter("as_of", as_of, moment()),
    ]
}

fn get(summary: &str, schema: Value, parameters: Vec<Value>) -> Value {
    let mut responses = problems(&[400, 401, 403, 404, 500, 503]);
    let ok = json!({
        "description": "Here it is.",
        "headers": header_references(&["Cache-Control", "Link"]),
        "content": { "application/json": { "schema": schema } },
    });
    responses.insert("200".into(), ok);
    if parameters.iter().any(|parameter| parameter["name"] == "min_position") {
        responses.insert("202".into(), super::components::not_yet_response());
    }
    json!({ "tags": ["governance"], "summary": summary, "parameters": parameters, "responses": responses })
}

fn parameter(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

fn in_path(name: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn position() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX })
}

fn instant() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn moment() -> Value {
    json!({ "anyOf": [position(), instant()] })
}

fn count(most: usize, default: Option<usize>) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": 1, "maximum": most });
    if let Some(default) = default {
        schema["default"] = default.into();
    }
    schema
}
