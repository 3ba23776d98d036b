//! The operation that asks queries in GraphQL.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::{
    components::{header_references, problems},
    queries::purpose,
};
use crate::{
    http::graphql::{GraphqlRequest, MEDIA_TYPE},
    problem,
};

/// The operation.
pub(super) fn operation(schemas: &mut SchemaGenerator) -> Value {
    let body = GraphqlRequest::json_schema(schemas).to_value();
    let answer = answer();
    let mut responses = problems(&[401, 403, 408, 413, 415, 500, 503]);
    responses.insert(
        "200".into(),
        json!({
            "description": "What was asked, and what of it was refused.",
            "headers": header_references(&[]),
            "content": {
                "application/json": { "schema": answer },
                MEDIA_TYPE: { "schema": answer },
            },
        }),
    );
    responses.insert(
        "400".into(),
        json!({
            "description": "What was sent is no request; or, for who takes GraphQL's own media type, the document cannot be run.",
            "headers": header_references(&[]),
            "content": {
                problem::MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } },
                MEDIA_TYPE: { "schema": answer },
            },
        }),
    );
    json!({
        "tags": ["service"],
        "summary": "Queries in GraphQL",
        "description": "Each root field stands for one of the queries described here and is named after its path: `orgs` is \
            `GET /v1/orgs`, `orgs_by_id` is `GET /v1/orgs/{id}`. It takes the parameters of that query as arguments, those that \
            filter in `filters`, with underscores for points. It is authorised, limited, put on record and answered as if it had \
            been sent alone, and only the selected columns are read. What is refused is null, and an error whose `extensions` \
            are the problem. At most 100 root fields and 1000 fields, nested at most 24 deep.",
        "parameters": [purpose()],
        "requestBody": { "required": true, "content": { "application/json": { "schema": body } } },
        "responses": responses,
    })
}

fn answer() -> Value {
    let place = json!({ "type": "integer", "minimum": 1 });
    json!({
        "type": "object",
        "properties": {
            "data": { "type": ["object", "null"], "description": "What was asked, in the form in which it was." },
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["message", "extensions"],
                    "properties": {
                        "message": { "type": "string" },
                        "locations": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["line", "column"],
                                "properties": { "line": place, "column": place },
                                "additionalProperties": false,
                            },
                        },
                        "path": { "type": "array", "items": { "type": ["string", "integer"] } },
                        "extensions": { "$ref": "#/components/schemas/Problem" },
                    },
                    "additionalProperties": false,
                },
            },
        },
        "additionalProperties": false,
    })
}
