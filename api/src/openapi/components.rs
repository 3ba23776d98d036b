//! What operations share: the problem, the acknowledgement, headers, the security scheme.

use commands::Catalog;
use projections::ReadModel;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::queries;
use crate::{http::stream::OFFERED, problem};

/// The components.
pub(super) fn all(catalog: &Catalog, models: &[&dyn ReadModel], mut rows: SchemaGenerator) -> Value {
    let mut schemas = catalog.definitions.clone();
    let described: Vec<(String, Value)> =
        models.iter().map(|model| queries::row(model.shape(), &mut rows)).collect();
    for (name, mut schema) in rows.take_definitions(true) {
        queries::erasable(&mut schema);
        schemas.insert(name, schema);
    }
    schemas.extend(described);
    schemas.insert("Problem".into(), problem());
    schemas.insert("Accepted".into(), accepted());
    schemas.insert("Health".into(), health());
    schemas.insert("NotYet".into(), not_yet());
    schemas.insert("RecordedEvent".into(), recorded());
    schemas.insert("ChangedRow".into(), changed());
    schemas.insert("RowsLeftOut".into(), left_out());
    json!({
        "schemas": schemas,
        "responses": problem_responses(),
        "headers": headers(),
        "parameters": parameters(),
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "An access token (RFC 9068). `annals token` makes one for development.",
            },
            "key": {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "The key of an API client, in place of an access token.",
            },
            "browser": {
                "type": "apiKey",
                "in": "cookie",
                "name": "__Host-annals_access",
                "description": "The access token of a browser that logged in as the client `web`.",
            },
            "csrf": {
                "type": "apiKey",
                "in": "header",
                "name": "X-CSRF-Token",
                "description": "What the login told the browser; it goes along with the cookie wherever something is changed.",
            },
            "client": {
                "type": "http",
                "scheme": "basic",
                "description": "A client's id and its key, where it asks for an access token (RFC 6749, 2.3.1).",
            },
        },
    })
}

/// A UUID in a path.
pub(super) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// A date in a path: of the years that months have.
pub(super) fn date() -> Value {
    json!({ "type": "string", "format": "date", "pattern": "^(19[0-9]{2}|2[01][0-9]{2}|2200)-" })
}

/// References to the problems that an operation can answer, by status.
pub(super) fn problems(statuses: &[u16]) -> Map<String, Value> {
    let reference = |status: &u16| {
        (status.to_string(), json!({ "$ref": format!("#/components/responses/Problem{status}") }))
    };
    statuses.iter().map(reference).collect()
}

/// References to headers of an answer.
pub(super) fn header_references(names: &[&str]) -> Value {
    let names = names.iter().chain(&["X-Trace-Id", "X-Request-Id"]);
    let references =
        names.map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
    Value::Object(references.collect())
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "An error (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "details", "trace_id"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "description": "The page of this kind of problem." },
            "title": { "type": "string", "description": "The kind in a few words." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "This occurrence, for people." },
            "code": { "type": "string", "pattern": "^[A-Z][A-Za-z0-9]*$", "description": "The stable name of the kind." },
            "field": { "type": "string", "description": "The field, parameter or header at fault." },
            "details": { "type": "object", "description": "This occurrence, for programs." },
            "trace_id": { "type": "string", "pattern": "^[0-9a-f]{32}$" },
            "error": { "type": "string", "description": "How OAuth calls it, where a client asks for a token (RFC 6749, 5.2)." },
        },
        "additionalProperties": false,
    })
}

fn accepted() -> Value {
    json!({
        "type": "object",
        "description": "The acknowledgement of a command: what follows from it is on disk.",
        "required": ["id", "version", "position"],
        "properties": {
            "id": { "type": "string", "format": "uuid", "description": "The aggregate." },
            "version": { "type": "integer", "minimum": 0, "description": "Its version after the command." },
            "position": {
                "type": "integer",
                "minimum": 0,
                "description": "The position of the command's last event; carry it as `min_position` to read this write.",
            },
            "key": {
                "type": ["string", "null"],
                "description": "The key that the command made. It is shown once: a repeat under the same `Idempotency-Key` \
                                shows it for ten minutes, as long as nothing else has happened to the client, and then `null`.",
            },
            "hint": { "type": "string", "description": "What to do where the key is not shown again, for people." },
        },
        "additionalProperties": false,
    })
}

fn not_yet() -> Value {
    json!({
        "type": "object",
        "description": "The read model has not come as far as the client wants to read.",
        "required": ["status", "detail", "min_position"],
        "properties": {
            "status": { "const": "not_yet" },
            "detail": { "type": "string" },
            "min_position": { "type": "integer", "minimum": 0 },
        },
        "additionalProperties": false,
    })
}

/// What is told of an event as it is recorded.
fn recorded() -> Value {
    let (text, id) = (json!({ "type": "string" }), json!({ "type": "string", "format": "uuid" }));
    let (moment, number) =
        (json!({ "type": "string", "format": "date-time" }), json!({ "type": "integer", "minimum": 1 }));
    let perhaps = |kind: &str| json!({ "type": [kind, "null"] });
    json!({
        "type": "object",
        "description": "An event as it is recorded, without personal values. What another person wrote about the caller is \
            told without `data`; who did it, and the rest of the envelope, only to who sees everything.",
        "required": [
            "position", "event_id", "event_type", "event_version", "aggregate_type", "aggregate_id", "sequence", "recorded_at",
            "occurred_at", "correlation_id", "causation_id",
        ],
        "properties": {
            "position": number,
            "event_id": id,
            "event_type": text,
            "event_version": text,
            "aggregate_type": text,
            "aggregate_id": text,
            "sequence": number,
            "recorded_at": moment,
            "occurred_at": moment,
            "correlation_id": perhaps("string"),
            "causation_id": perhaps("string"),
            "actor": text,
            "on_behalf_of": perhaps("string"),
            "subjects": { "type": "array", "items": id },
            "record_classes": { "type": "array", "items": text },
            "purpose": perhaps("string"),
            "legal_basis": perhaps("string"),
            "data": { "description": "The fields of the event." },
        },
        "additionalProperties": false,
    })
}

/// What is told of a row of a read model that changed.
fn changed() -> Value {
    json!({
        "type": "object",
        "description": "A row of a read model that may have changed, as its paths show it to the caller.",
        "required": ["read_model", "key", "position", "row"],
        "properties": {
            "read_model": { "type": "string", "enum": told_of() },
            "key": { "type": "object", "description": "The columns that say which row it is." },
            "position": { "type": "integer", "minimum": 0, "description": "The position of the log that the row shows." },
            "row": {
                "type": ["object", "null"],
                "description": "The row; null where it is not there any more for the caller, who was told of it before.",
            },
        },
        "additionalProperties": false,
    })
}

/// What is told where rows of a read model cannot be.
fn left_out() -> Value {
    json!({
        "type": "object",
        "description": "The read model stands still: of its rows that changed up to this position not all were told. Ask its \
            list for them.",
        "required": ["read_model", "position"],
        "properties": {
            "read_model": { "type": "string", "enum": told_of() },
            "position": { "type": "integer", "minimum": 0, "description": "A position of the log." },
        },
        "additionalProperties": false,
    })
}

/// The read models of which changed rows are told.
pub(super) fn told_of() -> Vec<&'static str> {
    OFFERED.iter().map(|(shape, _)| shape.name).collect()
}

/// The answer to who wants to read what is not in the read model yet.
pub(super) fn not_yet_response() -> Value {
    json!({
        "description": "The read model has not come to `min_position` yet: ask again.",
        "headers": header_references(&["Retry-After"]),
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/NotYet" } } },
    })
}

fn health() -> Value {
    let status = json!({ "type": "string", "enum": ["up", "degraded", "down"] });
    json!({
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": status,
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "status", "detail"],
                    "properties": {
                        "name": { "type": "string" },
                        "status": status,
                        "detail": { "type": "string" },
                    },
                    "additionalProperties": false,
                },
            },
        },
        "additionalProperties": false,
    })
}

/// One response for each status, with the codes that have it.
fn problem_responses() -> Value {
    let mut responses = Map::new();
    for code in problem::CODES {
        let names: Vec<&str> = problem::CODES
            .iter()
            .filter(|other| other.status == code.status)
            .map(|other| other.name)
            .collect();
        let headers = match code.status {
            401 => header_references(&["WWW-Authenticate", "Retry-After"]),
            405 => header_references(&["Allow"]),
            429 => header_references(&["Retry-After", "RateLimit", "RateLimit-Policy"]),
            426 => header_references(&["Upgrade"]),
            503 => header_references(&["Retry-After"]),
            _ => header_references(&[]),
        };
        let more = match code.status {
            412 => " `If-Match` does not name the version of the stream.",
            _ => "",
        };
        let response = json!({
            "description": format!("{}.{more}", names.join(", ")),
            "headers": headers,
            "content": { problem::MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        responses.insert(format!("Problem{}", code.status), response);
    }
    Value::Object(responses)
}

fn headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "X-Trace-Id": {
            "description": "The trace that the request belongs to.",
            "schema": { "type": "string", "pattern": "^[0-9a-f]{32}$" },
        },
        "X-Request-Id": text("What the client called its request; the trace where it did not."),
        "RateLimit": text("What is left (draft-ietf-httpapi-ratelimit-headers): the class, `r` calls, `t` seconds to the end of the window."),
        "RateLimit-Policy": text("What holds: the class, `q` calls in `w` seconds."),
        "ETag": text("The version of the stream, or of the answer."),
        "Annals-Version": {
            "description": "The version of the stream of the row, as of what is shown, for `If-Match` in quotes; not told to analysts.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "Location": text("Where the new thing can be read, if it has a path of its own."),
        "Idempotent-Replayed": text("`true` where the answer is that of an earlier request under the same key."),
        "Link": text("The next page, `rel=\"next\"` (RFC 8288)."),
        "Cache-Control": text("For how long the answer may be used again."),
        "WWW-Authenticate": text("What is wrong with the token (RFC 6750)."),
        "RateLimit": text("What is left of the limit, and for how long (draft-ietf-httpapi-ratelimit-headers-10)."),
        "RateLimit-Policy": text("The limit that holds for the call."),
        "Allow": text("The methods that the path takes."),
        "Upgrade": text("The protocol that the path speaks: `websocket`."),
        "Retry-After": {
            "description": "When to come back, in seconds.",
            "schema": { "type": "integer", "minimum": 0 },
        },
    })
}

fn parameters() -> Value {
    json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Makes the command repeatable: the same key, path and body by the same caller are one command. \
                            A version 7 UUID keeps what is recorded together together in the log.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        },
        "IfMatch": {
            "name": "If-Match",
            "in": "header",
            "description": "The version that the stream must have, as an entity tag such as `\"3\"`; `*` for any. At another \
                            version the command is refused with 412.",
            "schema": {
                "anyOf": [
                    { "const": "*" },
                    { "type": "string", "pattern": "^(W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*$" },
                ],
                "examples": ["\"3\"", "*"],
            },
        },
    })
}
