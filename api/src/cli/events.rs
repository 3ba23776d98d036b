//! `annals events`: docs/events.md, the catalogue of all events, made of their schemas.

use std::fmt::Write;

use commands::{Catalog, EventEntry};
use serde_json::Value;

/// The document.
pub fn document(catalog: &Catalog) -> String {
    let mut text = String::from(
        "# Events\n\nEvery event that can be in the log, by aggregate. This page is written by `annals events`.\n\n\
         Fields marked *personal* are sealed with a key of the data subject, in the record class that is named; they \
         read as\nerased when that key is gone. Every event carries the envelope: who acted, when, why, caused by what.\n",
    );
    for aggregate in &catalog.aggregates {
        let _ = write!(text, "\n## `{}`\n", aggregate.aggregate_type);
        for event in &aggregate.events {
            one(&mut text, event);
        }
    }
    text
}

fn one(text: &mut String, event: &EventEntry) {
    let description = one_line(&event.description);
    let _ = write!(text, "\n### {} (v{})\n\n{description}\n", event.name, event.version);
    let Some(fields) = event.schema["properties"].as_object().filter(|fields| !fields.is_empty()) else {
        return;
    };
    text.push_str("\n| Field | Type | |\n|---|---|---|\n");
    let required = event.schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (name, schema) in fields {
        let optional = if required.iter().any(|field| field == name) { "" } else { "optional" };
        let notes: Vec<String> =
            [personal(schema), Some(optional.to_owned()).filter(|note| !note.is_empty())]
                .into_iter()
                .flatten()
                .collect();
        let _ = writeln!(text, "| `{name}` | {} | {} |", kind(schema), notes.join(", "));
    }
}

/// A schema's type in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let kinds = choices.iter().map(kind).filter(|kind| kind != "null");
            return kinds.collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ");
    }
    let named = |name: &str| match (name, schema["format"].as_str()) {
        ("array", _) => format!("list of {}", kind(&schema["items"])),
        ("string", Some(format)) => format.to_owned(),
        (name, _) => name.to_owned(),
    };
    match &schema["type"] {
        Value::String(name) => named(name),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(named).collect::<Vec<_>>().join(" or ")
        }
        _ => schema["const"].as_str().unwrap_or("any").to_owned(),
    }
}

/// The record class of a personal field, also where it stands deeper.
fn personal(schema: &Value) -> Option<String> {
    match schema {
        Value::Object(fields) => match fields.get("x-personal").and_then(Value::as_str) {
            Some(class) => Some(format!("*personal*: {class}")),
            None => fields.values().find_map(personal),
        },
        Value::Array(elements) => elements.iter().find_map(personal),
        _ => None,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_catalogue_of_events_is_current() {
        let committed = include_str!("../../../docs/events.md");
        assert!(committed == document(&Catalog::new()), "run `annals events > docs/events.md`");
    }
}
