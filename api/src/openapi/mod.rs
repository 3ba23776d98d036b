//! The description of the API, OpenAPI 3.1: made of the same list of routes that the server uses and of the schemas of
//! the commands and rows themselves. It is complete because there is nothing else to call.

mod batch;
mod commands;
mod components;
mod governance;
mod graphql;
mod identity;
mod links;
mod log;
mod pages;
mod queries;

use ::commands::Catalog;
use projections::ReadModel;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use crate::http::{Class, Operation, Page, Route, filters};

/// What any request can be answered: there were too many, its headers are too large, or the server cannot now.
const ALWAYS: &[u16] = &[429, 431, 500, 503];

/// The document.
pub fn document(catalog: &Catalog, models: &[&dyn ReadModel], routes: &[Route]) -> Value {
    let mut schemas = filters::generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let Some(mut operation) = operation(catalog, models, route, &mut schemas) else { continue };
        if let Operation::Command(command) = &route.operation {
            let links = links::onward(catalog, models, routes, command);
            if !links.is_empty() {
                operation["responses"]["201"]["links"] = links.into();
            }
        }
        operation["operationId"] = operation_id(route).into();
        if let Some(responses) = operation["responses"].as_object_mut() {
            for (status, problem) in components::problems(ALWAYS) {
                responses.entry(status).or_insert(problem);
            }
        }
        if !route.access.needs_token() && operation["security"].is_null() {
            operation["security"] = json!([]);
        }
        for status in everywhere(catalog, route, &operation) {
            if let Some(responses) = operation["responses"].as_object_mut() {
                responses.entry(status.to_string()).or_insert_with(|| problem(*status));
            }
        }
        let path = paths.entry(route.template.clone()).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let mut tags: Vec<&str> = catalog.aggregates.iter().map(|aggregate| &*aggregate.context).collect();
    tags.sort_unstable();
    tags.dedup();
    let mut components = components::all(catalog, models, schemas);
    components["links"] = links::all(catalog, models, routes).into();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Annals",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }, { "key": [] }, { "browser": [], "csrf": [] }],
        "tags": tags.iter().map(|tag| json!({ "name": tag })).collect::<Vec<_>>(),
        "paths": paths,
        "components": components,
    })
}

const DESCRIPTION: &str = "The record-keeping backend of a campus. Every command is `POST \
     /v1/{context}/{aggregate}/{id}/{command}`; the shorter paths stand for the same commands. An accepted command \
     answers the stream's `version` (also as `ETag`) and its `position` in the log; a query that carries it as \
     `min_position` reads what was written. Commands under an `Idempotency-Key` can be repeated safely. Every command takes `If-Match: \"<version>\"`, the \
     `ETag` that a command answered or the `Annals-Version` of a row, and is refused with 412 when the stream is at another version (a list takes one of several, `*` any that is there); every query takes \
     `If-None-Match`. `POST /v1/graphql` asks the same queries in GraphQL. Every answer \
     has an `X-Trace-Id` and an `X-Request-Id`, which is the client's own where it sent one; every error is a problem \
     (RFC 9457). `RateLimit` and `RateLimit-Policy` tell how many calls are left to the caller. The events are \
     described at `/v1/asyncapi.json`. `GET /v1/stream` sends the recorded events as \
     server-sent events (`text/event-stream`), from `Last-Event-ID` on, and with `?rows=` the rows of read models that they \
     changed (`ChangedRow`, or `RowsLeftOut`); it has no end and is therefore not among the \
     operations. `GET /v1/ws` sends the same over a WebSocket.";

/// What an operation can be answered whatever it does: its headers are too large, it is called too often, its body does not
/// come, the node has too much to do.
fn everywhere(catalog: &Catalog, route: &Route, operation: &Value) -> &'static [u16] {
    match (Class::of(route, catalog), operation["requestBody"].is_null()) {
        (None, true) => &[431],
        (None, false) => &[408, 431, 503],
        (Some(_), true) => &[429, 431, 503],
        (Some(_), false) => &[408, 429, 431, 503],
    }
}

fn problem(status: u16) -> Value {
    json!({ "$ref": format!("#/components/responses/Problem{status}") })
}

/// The operation of a route. The stream has none: an answer without an end is not something that OpenAPI can describe.
fn operation(
    catalog: &Catalog,
    models: &[&dyn ReadModel],
    route: &Route,
    schemas: &mut SchemaGenerator,
) -> Option<Value> {
    match &route.operation {
        Operation::Command(command) => Some(commands::operation(catalog, route, command)),
        Operation::Query(query) => {
            let shape = models.iter().map(|model| model.shape()).find(|shape| shape.name == query.model)?;
            Some(queries::operation(shape, route, query, schemas))
        }
        Operation::Governance(route) => Some(governance::operation(*route, schemas)),
        Operation::Identity(identity) => Some(identity::operation(*identity, schemas)),
        Operation::Log(log) => Some(log::operation(*log, route, schemas)),
        Operation::Page(Page::Stream) => None,
        Operation::Page(page) => Some(pages::operation(*page)),
        Operation::Batch => Some(batch::operation(schemas)),
        Operation::Graphql => Some(graphql::operation(schemas)),
    }
}

/// `POST /v1/orgs/{id}/move` → `post_v1_orgs_id_move`.
fn operation_id(route: &Route) -> String {
    let path = route.template.replace(['{', '}'], "").replace(['/', '-', '.'], "_");
    format!("{}{path}", route.method.as_str().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes;

    fn described() -> Value {
        let catalog = Catalog::new();
        document(&catalog, projections::read_models(), &routes(&catalog))
    }

    #[test]
    fn every_route_but_the_stream_is_described() {
        let document = described();
        for route in routes(&Catalog::new()) {
            let operation = &document["paths"][&route.template][route.method.as_str().to_ascii_lowercase()];
            let stream = matches!(route.operation, Operation::Page(Page::Stream));
            assert_eq!(operation.is_null(), stream, "{} {}", route.method, route.template);
        }
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
        let document = described();
        let mut references = Vec::new();
        walk(&document, &mut references);
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("references stay in the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    /// What a new stream's answer leads to is there, and takes the id from the answer.
    #[test]
    fn whoever_begins_a_stream_is_led_on_to_its_commands_and_to_its_row() {
        let document = described();
        let links = &document["paths"]["/v1/orgs"]["post"]["responses"]["201"]["links"];
        for operation in ["get_v1_orgs_id", "post_v1_identity_org_unit_id_deactivate_org_unit"] {
            assert_eq!(links[operation], json!({ "$ref": format!("#/components/links/{operation}") }));
        }
        let paths = document["paths"].as_object().unwrap().values();
        let operations: Vec<&Value> = paths.flat_map(|path| path.as_object().unwrap().values()).collect();
        for (name, link) in document["components"]["links"].as_object().unwrap() {
            let operation =
                operations.iter().find(|operation| operation["operationId"] == link["operationId"]);
            let parameters = operation.unwrap()["parameters"].as_array().unwrap();
            let of_path: Vec<&str> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let given: Vec<&String> = link["parameters"].as_object().unwrap().keys().collect();
            assert_eq!(given, of_path, "{name}");
        }
    }

    #[test]
    fn no_operation_has_two_parameters_of_one_name_in_one_place() {
        let document = described();
        let paths = document["paths"].as_object().unwrap().values();
        for operation in paths.flat_map(|path| path.as_object().unwrap().values()) {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let mut names: Vec<_> = parameters
                .map(|parameter| (parameter["in"].to_string(), parameter["name"].to_string()))
                .collect();
            names.retain(|(place, _)| place != "null");
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", operation["operationId"]);
        }
    }

    #[test]
    fn no_two_operations_have_one_id() {
        let document = described();
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let mut ids: Vec<&str> =
            operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn every_operation_tells_what_any_request_can_be_answered() {
        let document = described();
        let paths = document["paths"].as_object().unwrap().values();
        for operation in paths.flat_map(|path| path.as_object().unwrap().values()) {
            for status in ALWAYS {
                let response = &operation["responses"][status.to_string()];
                assert!(!response.is_null(), "{} {status}", operation["operationId"]);
            }
        }
    }

    #[test]
    fn a_command_is_described_by_its_exact_schema() {
        let document = described();
        let path = "/v1/identity/org-unit/{id}/create-org-unit";
        let schema = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(schema["additionalProperties"], false, "{schema}");
        assert!(schema["required"].as_array().unwrap().contains(&json!("code")));
    }
}
