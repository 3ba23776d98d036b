//! The operations that show what was signed of the log.

use event_store::integrity::Proof;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::components::{header_references, problems};
use crate::http::{Log, Route, log::Consistency};

/// The operation of a route.
pub(super) fn operation(log: Log, route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let text = || json!({ "type": "string" });
    match log {
        Log::Checkpoint => {
            let summary = "How large the log is and its root, signed (C2SP tlog-checkpoint)";
            get(summary, "text/plain", text(), Vec::new(), &[400, 500, 503])
        }
        Log::Key => {
            let summary = "The key that checkpoints are verified with (C2SP signed-note)";
            get(summary, "text/plain", text(), Vec::new(), &[400, 500, 503])
        }
        Log::Tile => {
            let bytes = json!({ "type": "string", "format": "binary", "maxLength": 8192 });
            let parameters = route.parameters().map(|name| in_path(name, tile_part(name))).collect();
            let summary = "A tile of the log's tree: up to 256 hashes (C2SP tlog-tiles)";
            get(summary, "application/octet-stream", bytes, parameters, &[400, 404, 500, 503])
        }
        Log::Proof => {
            let proof = schemas.subschema_for::<Proof>().to_value();
            let parameters = vec![in_path("position", position(1))];
            let summary = "The proof that an event is in the log; it verifies offline";
            get(summary, "application/json", proof, parameters, &[400, 401, 403, 404, 500, 503])
        }
        Log::Consistency => {
            let consistency = schemas.subschema_for::<Consistency>().to_value();
            let size = |name: &str, required: bool, description: &str| json!({ "name": name, "in": "query", "required": required, "description": description, "schema": position(0) });
            let parameters = vec![
                size("from", true, "How many leaves the older tree has."),
                size("to", false, "How many leaves the newer tree has; by default, those of the checkpoint."),
            ];
            let summary = "The proof that the log's tree begins with an older one";
            get(summary, "application/json", consistency, parameters, &[400, 404, 500, 503])
        }
    }
}

fn position(minimum: u64) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": i64::MAX })
}

fn tile_part(name: &str) -> Value {
    match name {
        "level" => json!({ "type": "integer", "minimum": 0, "maximum": 7 }),
        _ => json!({ "type": "string", "pattern": r"^(x?[0-9]{3}(\.p)?|[0-9]{1,3})$" }),
    }
}

fn in_path(name: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn get(summary: &str, media_type: &str, schema: Value, parameters: Vec<Value>, failures: &[u16]) -> Value {
    let mut responses = problems(failures);
    let ok = json!({
        "description": "Here it is.",
        "headers": header_references(&["Cache-Control"]),
        "content": { media_type: { "schema": schema } },
    });
    responses.insert("200".into(), ok);
    json!({ "tags": ["log"], "summary": summary, "parameters": parameters, "responses": responses })
}
