//! Values that a JSON schema admits: bodies for tests over all commands. They have the right shape; whether they mean
//! anything, the decision tells.

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// How deep a schema is followed: what is deeper is left out where it may be.
const DEPTH: usize = 12;

/// Makes values of schemas. Every turn makes other ones: another choice where there is one, and every other turn only
/// what is required.
pub struct Sampler<'a> {
    definitions: &'a Map<String, Value>,
    turn: usize,
    ids: u128,
}

impl<'a> Sampler<'a> {
    /// For schemas whose references name these definitions, by their last segment.
    pub fn new(definitions: &'a Map<String, Value>, turn: usize) -> Self {
        Sampler { definitions, turn, ids: 0x1000 * turn as u128 }
    }

    /// A value that the schema admits. Each identifier in it is another one.
    pub fn value(&mut self, schema: &Value) -> Value {
        self.at(schema, 0)
    }

    fn at(&mut self, schema: &Value, depth: usize) -> Value {
        let list = |keyword: &str| schema.get(keyword).and_then(Value::as_array);
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.rsplit('/').next().unwrap_or_default();
            let definitions = self.definitions;
            return definitions.get(name).map_or(Value::Null, |found| self.at(found, depth + 1));
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(choices) = list("enum") {
            return self.choose(choices).cloned().unwrap_or_default();
        }
        if let Some(choices) = list("oneOf").or_else(|| list("anyOf")) {
            let real: Vec<Value> =
                choices.iter().filter(|choice| choice["type"] != "null").cloned().collect();
            let chosen = self.choose(&real).cloned().unwrap_or_default();
            return self.at(&chosen, depth + 1);
        }
        if let Some(all) = list("allOf")
            && schema.get("properties").is_none()
        {
            return all.first().map_or(Value::Null, |first| self.at(first, depth + 1));
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().find(|kind| **kind != "null"),
            kind => kind,
        };
        match kind.and_then(Value::as_str) {
            Some("string") => self.text(schema).into(),
            Some("integer" | "number") => {
                schema.get("minimum").or_else(|| schema.get("maximum")).cloned().unwrap_or(json!(1))
            }
            Some("boolean") => true.into(),
            Some("array") => self.elements(schema, depth),
            Some("null") => Value::Null,
            _ => self.object(schema, depth),
        }
    }

    fn choose<'v>(&self, choices: &'v [Value]) -> Option<&'v Value> {
        choices.get(self.turn % choices.len().max(1))
    }

    fn text(&mut self, schema: &Value) -> String {
        let keyword = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
        match keyword("format") {
            "uuid" => {
                self.ids += 1;
                return Uuid::from_u128(0x5A_0000 + self.ids).to_string();
            }
            "date-time" => return "2026-01-01T12:00:00Z".to_owned(),
            "date" => return "2026-01-01".to_owned(),
            _ => {}
        }
        let examples = schema.get("examples").and_then(Value::as_array);
        if let Some(example) = examples.and_then(|examples| examples.first()?.as_str()) {
            return example.to_owned();
        }
        let pattern = keyword("pattern");
        let admitted = SHAPES.iter().find(|(part, _)| pattern.contains(part)).map(|(_, text)| *text);
        let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(1);
        admitted.map_or_else(|| "x".repeat(usize::try_from(least).unwrap_or(1).max(1)), str::to_owned)
    }

    fn elements(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(element) = schema.get("items").filter(|_| depth < DEPTH) else {
            let fixed = schema.get("prefixItems").and_then(Value::as_array).cloned().unwrap_or_default();
            return fixed.iter().map(|element| self.at(element, depth + 1)).collect();
        };
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).max(1);
        (0..least).map(|_| self.at(element, depth + 1)).collect()
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let wanted = |name: &str| {
            self.turn.is_multiple_of(2) && depth < DEPTH || required.iter().any(|known| known == name)
        };
        let names: Vec<String> = properties.keys().filter(|name| wanted(name)).cloned().collect();
        names.into_iter().map(|name| (name.clone(), self.at(&properties[&name], depth + 1))).collect()
    }
}

/// What fits the patterns of this house, by a piece of each.
const SHAPES: &[(&str, &str)] = &[
    ("0-9a-f]{64}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("@[!-?A-~]", "ada@example.edu"),
    ("https://", "https://example.edu"),
    ("^[A-Z]{2}$", "US"),
    ("^[A-Z]{3}$", "USD"),
    ("-[0-9]{2}-[0-9]{2}$", "2026-01-01"),
    ("-(0[1-9]|1[0-2])$", "2026-01"),
    ("(0[1-9]|1[0-2])", "2026-01"),
    ("190[1-9]", "2026-01-01T12:00:00Z"),
    ("^(\\+[1-9]", "+16205550100"),
    ("^[A-Z0-9-]{2,32}$", "PSU"),
    ("[A-Za-z0-9-]{2,35}", "en-US"),
    ("^[A-Za-z][A-Za-z0-9]{0,7}", "en"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_the_shape_of_its_schema_and_other_choices_in_other_turns() {
        let schema = json!({
            "type": "object",
            "required": ["id", "kind"],
            "properties": {
                "id": { "type": "string", "format": "uuid" },
                "other": { "anyOf": [{ "$ref": "#/$defs/Id" }, { "type": "null" }] },
                "kind": { "enum": ["a", "b"] },
            },
        });
        let definitions = json!({ "Id": { "type": "string", "format": "uuid" } });
        let definitions = definitions.as_object().unwrap();
        let all = Sampler::new(definitions, 0).value(&schema);
        assert_eq!(all["kind"], "a");
        assert_ne!(all["id"], all["other"]);
        let least = Sampler::new(definitions, 1).value(&schema);
        assert_eq!((&least["kind"], least.get("other")), (&json!("b"), None));
    }
}
