//! What a client can ask of a read model, read from its declared columns: the server and OpenAPI go by the same list.
//!
//! `column=value` (more than once: one of these values; a list has the value), `column.from=` and `column.to=` (at least,
//! at most), `column.contains=` (a part of a text), `column.search=` (all these words).

use projections::{
    Op, Shape,
    row::{Column, Kind, mark},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use super::uuid;

/// A query parameter that filters.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name in the query string.
    pub name: String,
    /// The column that it is about.
    pub column: &'static Column,
    /// How the column is compared.
    pub op: Op,
    /// The JSON schema of one value.
    pub schema: Value,
    /// The values that there are, where the column has but some words.
    words: Option<Vec<String>>,
}

impl Parameter {
    /// Whether it may be given more than once.
    pub fn repeats(&self) -> bool {
        self.op == Op::In
    }

    /// Whether its value is a part of a text, or words to search for, and not a whole value.
    fn is_a_part(&self) -> bool {
        self.op == Op::Search || self.name.ends_with(".contains")
    }

    /// Whether a value has the form that the schema tells. The column's own reader is more lenient.
    pub fn admits(&self, value: &str) -> bool {
        match (&self.words, self.column.kind) {
            (Some(words), _) => words.iter().any(|word| word == value),
            (None, _) if value.is_empty() && self.is_a_part() => false,
            (None, Kind::Uuid | Kind::Uuids) => uuid(value).is_some(),
            (None, Kind::Int | Kind::Bigint) => {
                let bound = |name: &str| self.schema[name].as_i64();
                let within = |number: i64| {
                    bound("minimum").is_none_or(|least| number >= least)
                        && bound("maximum").is_none_or(|most| number <= most)
                };
                !value.starts_with('+') && value.parse().is_ok_and(within)
            }
            (None, Kind::Text) if !self.is_a_part() => (self.column.holds)(value.into()),
            (None, _) => true,
        }
    }
}

/// The generator of schemas for rows: references point to the components.
pub fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    settings.into_generator()
}

/// The values of a column that has but some words. Those that say what they mean are schemas of their own.
fn words(schema: &Value) -> Option<Vec<String>> {
    let text = |word: &Value| word.as_str().map(str::to_owned);
    match (&schema["enum"], &schema["oneOf"]) {
        (Value::Array(words), _) => Some(words.iter().filter_map(text).collect()),
        (_, Value::Array(words)) => words.iter().map(|word| text(&word["const"])).collect(),
        _ => None,
    }
}

/// The parameters that filter the rows of a read model.
pub fn parameters(shape: &Shape, schemas: &mut SchemaGenerator) -> Vec<Parameter> {
    shape.columns.iter().flat_map(|column| of(column, schemas)).collect()
}

fn of(column: &'static Column, schemas: &mut SchemaGenerator) -> Vec<Parameter> {
    let schema = bounded(bare(resolved((column.schema)(schemas).to_value(), schemas)), column.kind);
    let filters = column.is(mark::filter) || column.is(mark::key);
    let mut ops = Vec::new();
    match column.kind {
        Kind::Json | Kind::Bytes => {}
        Kind::Texts | Kind::Uuids if column.is(mark::filter) => ops.push((Op::Contains, "")),
        Kind::Texts | Kind::Uuids => {}
        Kind::Bool if filters => ops.push((Op::In, "")),
        Kind::Bool => {}
        Kind::Int | Kind::Bigint | Kind::Timestamp | Kind::Date if filters => {
            ops.extend([(Op::In, ""), (Op::AtLeast, ".from"), (Op::AtMost, ".to")]);
        }
        Kind::Text | Kind::Uuid if filters => ops.push((Op::In, "")),
        Kind::Int | Kind::Bigint | Kind::Timestamp | Kind::Date | Kind::Text | Kind::Uuid => {}
    }
    let words = words(&schema);
    // Words have no parts.
    if words.is_none() && column.kind == Kind::Text && column.is(mark::filter) {
        ops.push((Op::Contains, ".contains"));
    }
    if column.kind == Kind::Text && column.is(mark::search) {
        ops.push((Op::Search, ".search"));
    }
    let parameter = |(op, suffix): (Op, &str)| {
        // A part of a text, or words to search for, need not be a whole value.
        let whole = op != Op::Search && suffix != ".contains";
        Parameter {
            name: format!("{}{suffix}", column.name),
            column,
            op,
            schema: if whole { storable(schema.clone()) } else { part() },
            words: words.clone().filter(|_| whole),
        }
    };
    ops.into_iter().map(parameter).collect()
}

/// What a reference refers to.
fn resolved(schema: Value, schemas: &SchemaGenerator) -> Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    match name.and_then(|name| schemas.definitions().get(name)) {
        Some(found) => found.clone(),
        None => schema,
    }
}

/// The schema of one value: without null, and of an element where it is a list.
fn bare(mut schema: Value) -> Value {
    if schema["type"] == "array" {
        schema = schema["items"].take();
    }
    if let Some(choices) = schema["anyOf"].as_array().cloned() {
        let known = choices.into_iter().find(|choice| choice["type"] != "null");
        schema = known.unwrap_or(schema);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        // An enum whose variants have descriptions.
        let words: Vec<Value> = choices.iter().flat_map(words_of).collect();
        schema = serde_json::json!({ "type": "string", "enum": words });
    }
    if let Some(types) = schema["type"].as_array() {
        let known = types.iter().find(|kind| **kind != "null").cloned();
        schema["type"] = known.unwrap_or(Value::Null);
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !word.is_null());
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("description");
    }
    schema
}

/// A number has the bounds of its column where its own type has no narrower ones.
fn bounded(mut schema: Value, kind: Kind) -> Value {
    let (least, most) = match kind {
        Kind::Int => (i32::MIN.into(), i32::MAX.into()),
        Kind::Bigint => (i64::MIN, i64::MAX),
        _ => return schema,
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.entry("minimum").or_insert(least.into());
        schema.entry("maximum").or_insert(most.into());
    }
    schema
}

/// No stored text has a NUL in it.
fn storable(mut schema: Value) -> Value {
    let free =
        schema["type"] == "string" && ["enum", "format", "pattern"].iter().all(|name| schema[name].is_null());
    if let Some(schema) = schema.as_object_mut().filter(|_| free) {
        schema.insert("pattern".into(), r"^[^\u0000]*$".into());
    }
    schema
}

/// A part of a text, or words to search for.
fn part() -> Value {
    serde_json::json!({ "type": "string", "minLength": 1, "pattern": r"^[^\u0000]+$" })
}

fn words_of(choice: &Value) -> Vec<Value> {
    match (&choice["const"], choice["enum"].as_array()) {
        (Value::Null, Some(words)) => words.clone(),
        (Value::Null, None) => Vec::new(),
        (word, _) => vec![word.clone()],
    }
}

#[cfg(test)]
mod tests {
    use projections::read_models;

    use super::*;

    fn names(model: &str) -> Vec<String> {
        let model = read_models().iter().find(|known| known.shape().name == model).unwrap();
        parameters(model.shape(), &mut generator()).into_iter().map(|parameter| parameter.name).collect()
    }

    #[test]
    fn a_column_is_filtered_as_its_type_and_its_marks_allow() {
        let names = names("org_directory");
        for name in ["org_id", "kind", "parent", "active", "name.search", "country.contains"] {
            assert!(names.contains(&name.to_owned()), "{name} in {names:?}");
        }
        for name in ["kind.from", "active.from", "city", "contact_email"] {
            assert!(!names.contains(&name.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_word_that_there_is_not_is_no_value() {
        let model = read_models().iter().find(|known| known.shape().name == "org_directory").unwrap();
        let all = parameters(model.shape(), &mut generator());
        let named = |name: &str| all.iter().find(|parameter| parameter.name == name).unwrap();
        assert!(named("kind").admits("institution") && !named("kind").admits("castle"));
        assert!(!named("org_id").admits("00000000000000000000000000000001"));
    }
}
