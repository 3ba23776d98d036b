//! The operations that this process answers from itself.

use serde_json::{Value, json};

use super::{
    components::{header_references, problems, told_of},
    queries::purpose,
};
use crate::http::Page;

/// The operation of a page.
pub(super) fn operation(page: Page) -> Value {
    match page {
        Page::Live => health("Whether the process lives", false),
        Page::Started => health("Whether it has started", false),
        Page::Ready => health("Whether it can serve", true),
        Page::Health => health("How the parts of this node are", true),
        Page::OpenApi => {
            public("This document", "application/json", json!({ "type": "object" }), problems(&[500, 503]))
        }
        Page::AsyncApi => {
            let schema = json!({ "type": "object" });
            public(
                "The description of the events (AsyncAPI)",
                "application/json",
                schema,
                problems(&[500, 503]),
            )
        }
        Page::Docs => text("The descriptions of this API and of the events, to be read", "text/html"),
        Page::DocsScript => text("The script that draws them", "text/javascript"),
        Page::DocsStyle => text("How they look", "text/css"),
        Page::PackageSchema => {
            let schema = json!({ "type": "object" });
            public("The schema of packages", "application/schema+json", schema, problems(&[500, 503]))
        }
        Page::ProblemDoc => {
            let text = json!({ "type": "string" });
            let mut operation =
                public("What a kind of problem means", "text/plain", text, problems(&[404, 500, 503]));
            operation["parameters"] = json!([{
                "name": "code",
                "in": "path",
                "required": true,
                "description": "The code in kebab case.",
                "schema": { "type": "string", "pattern": "^[a-z]+(-[a-z]+)*$" },
            }]);
            operation
        }
        // It is described in words, at the top of the document.
        Page::Stream => Value::Null,
        Page::Socket => socket(),
    }
}

/// What the handshake is answered is all that OpenAPI can describe of it; the messages are in words.
fn socket() -> Value {
    let mut responses = problems(&[400, 401, 403, 404, 426, 500, 503]);
    responses.insert(
        "101".into(),
        json!({
            "description": "A WebSocket is open. Each of its messages is a text: a `RecordedEvent`; `{\"row\": …}` with a \
                `ChangedRow` or `{\"left_out\": …}` with a `RowsLeftOut` where `rows` asks for it; or, where nothing was recorded that the caller may see, \
                `{\"position\": n}`, after rows and every 15 seconds with a ping. It is closed with 1008 \
                when the token does not hold any more, with 1001 when the node stops, with 1003 when the client sends \
                anything but ping, pong and close, and with 1011 when the log cannot be read.",
            "headers": header_references(&["Upgrade"]),
        }),
    );
    json!({
        "tags": ["service"],
        "summary": "The events as they are recorded, over a WebSocket",
        "description": "The same events and rows as `/v1/stream` has. The caller shows a token or a key in a header; a browser its \
            cookie, from this server's own web site or one that the security policy lists.",
        "parameters": [
            {
                "name": "last_event_id",
                "in": "query",
                "description": "The `position` that was told last: what was recorded after it is told first.",
                "schema": { "type": "integer", "minimum": 0, "maximum": i64::MAX },
            },
            {
                "name": "rows",
                "in": "query",
                "description": "The read models whose rows are told when events changed them, before the events.",
                "style": "form",
                "explode": false,
                "schema": {
                    "type": "array",
                    "items": { "type": "string", "enum": told_of() },
                    "minItems": 1,
                    "uniqueItems": true,
                },
            },
            purpose(),
        ],
        "responses": responses,
    })
}

fn text(summary: &str, media_type: &str) -> Value {
    public(summary, media_type, json!({ "type": "string" }), problems(&[500, 503]))
}

fn public(
    summary: &str,
    media_type: &str,
    schema: Value,
    mut responses: serde_json::Map<String, Value>,
) -> Value {
    let ok = json!({
        "description": "Here it is.",
        "headers": header_references(&["Cache-Control"]),
        "content": { media_type: { "schema": schema } },
    });
    responses.insert("200".into(), ok);
    json!({ "tags": ["service"], "summary": summary, "responses": responses })
}

fn health(summary: &str, can_be_down: bool) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Health" });
    let mut operation = public(summary, "application/json", schema.clone(), problems(&[500]));
    // 503 is a problem only where the request ran out of time.
    operation["responses"]["503"] = json!({
        "description": if can_be_down { "A part is down, or did not answer in time." } else { "It took too long." },
        "headers": header_references(&[]),
        "content": {
            "application/json": { "schema": schema },
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
        },
    });
    operation
}
