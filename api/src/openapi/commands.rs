//! The operations that issue commands.

use commands::{Catalog, Elevated};
use serde_json::{Value, json};

use super::components::{date, header_references, problems, uuid};
use crate::http::{CommandRoute, From, IdFrom, Route};

/// What a command can be answered besides being accepted.
const PROBLEMS: &[u16] = &[400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 500, 503];

/// The operation of a command's route.
pub(super) fn operation(catalog: &Catalog, route: &Route, command: &CommandRoute) -> Value {
    let aggregate = &catalog.aggregates[command.aggregate];
    let entry = &aggregate.commands[command.command];
    let given: Vec<&str> = command.given.iter().map(|(field, _)| *field).collect();
    let body = without(&entry.schema, &given);
    let required = body["required"].as_array().is_some_and(|required| !required.is_empty());

    let in_path = route.parameters().map(|name| {
        let schema = parameter_schema(&entry.schema, command, name);
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let in_headers = ["IdempotencyKey", "IfMatch"]
        .map(|parameter| json!({ "$ref": format!("#/components/parameters/{parameter}") }));
    let accepted = |description: &str, headers: &[&str]| {
        json!({
            "description": description,
            "headers": header_references(headers),
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Accepted" } } },
        })
    };
    let mut responses = problems(PROBLEMS);
    if command.id != IdFrom::New {
        responses.insert(
            "200".into(),
            accepted("One more version of the stream.", &["ETag", "Idempotent-Replayed"]),
        );
    }
    responses
        .insert("201".into(), accepted("The stream is new.", &["ETag", "Location", "Idempotent-Replayed"]));
    let factor = match entry.elevated {
        Elevated::Always => " The caller must have shown a second factor within the last five minutes.",
        Elevated::Login => {
            " Whoever has logged in must have proven within the last five minutes who they are (`/v1/auth/elevate`)."
        }
        Elevated::No => "",
    };
    let unless = entry.elevated_unless.as_ref().map(|(field, values)| {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        format!(" That is not asked where `{field}` is {}.", values.join(" or "))
    });
    let description = format!("{}{factor}{}", entry.description, unless.unwrap_or_default());
    json!({
        "tags": [aggregate.context],
        "summary": entry.name,
        "description": description,
        "parameters": in_path.chain(in_headers).collect::<Vec<_>>(),
        "requestBody": { "required": required, "content": { "application/json": { "schema": body } } },
        "responses": responses,
    })
}

/// The command's schema without the fields that the route gives.
fn without(schema: &Value, given: &[&str]) -> Value {
    let mut schema = schema.clone();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !given.contains(&name.as_str()));
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name.as_str().is_none_or(|name| !given.contains(&name)));
    }
    if let Some(schema) = schema.as_object_mut() {
        // What is also the operation's.
        schema.remove("description");
        schema.entry("properties").or_insert_with(|| json!({}));
        schema.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    schema
}

/// A parameter of the path is the stream's id, or a field of the command and then of that field's type.
fn parameter_schema(command: &Value, route: &CommandRoute, name: &str) -> Value {
    const UUID: &str = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
    if matches!(route.id, IdFrom::Piece(own, _) if own == name) {
        return json!({ "type": "string", "pattern": format!("^{UUID}\\.{UUID}\\.[0-9a-f]{{64}}$") });
    }
    if route.given.iter().any(|(_, from)| matches!(from, From::Pieces(own, ..) if *own == name)) {
        return json!({ "type": "string", "pattern": format!("^[a-z_]+\\.[a-z_]+\\.{UUID}\\.[A-Za-z]+$") });
    }
    match route.given.iter().find(|(_, from)| *from == From::Path(name_of(*from, name))) {
        Some((field, _)) => command["properties"][field].clone(),
        None => match route.id {
            IdFrom::Derived(parts) => part_schema(parts, name),
            IdFrom::Path(_) | IdFrom::Piece(..) | IdFrom::New | IdFrom::Caller => uuid(),
        },
    }
}

/// A parameter that only the stream's derived id is made of.
fn part_schema(parts: &[From], name: &str) -> Value {
    match parts.iter().find(|part| part.parameter() == Some(name)) {
        Some(From::MonthOf(_)) => date(),
        Some(From::Path("month")) => json!({ "$ref": "#/components/schemas/YearMonth" }),
        Some(
            From::Path(_)
            | From::Piece(..)
            | From::Pieces(..)
            | From::Derived(_)
            | From::Caller
            | From::Address
            | From::Text(_),
        )
        | None => uuid(),
    }
}

/// The parameter that a value is taken from, where it is this one.
fn name_of(from: From, name: &str) -> &'static str {
    from.parameter().filter(|own| *own == name).unwrap_or_default()
}
