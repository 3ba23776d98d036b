//! The operation that runs many of the others.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::components::{header_references, problems};
use crate::http::batch::{Batch, Results};

/// The operation.
pub(super) fn operation(schemas: &mut SchemaGenerator) -> Value {
    let body = Batch::json_schema(schemas).to_value();
    let answer = Results::json_schema(schemas).to_value();
    let mut responses = problems(&[400, 401, 403, 408, 413, 415, 422, 500, 503]);
    responses.insert(
        "200".into(),
        json!({
            "description": "What each request was answered, in their order.",
            "headers": header_references(&[]),
            "content": { "application/json": { "schema": answer } },
        }),
    );
    json!({
        "tags": ["service"],
        "summary": "Many commands and queries at once",
        "description": "Up to 100 independent requests. Each is authorised, limited and answered as if it had been sent \
            alone; several are under way at once, so that none may need another's outcome. What logs in, and the stream, \
            cannot be part of a batch.",
        "requestBody": { "required": true, "content": { "application/json": { "schema": body } } },
        "responses": responses,
    })
}
