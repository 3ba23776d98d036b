//! Lists are not objects. A reader that is derived takes `["a", 1]` for a struct of two fields; a schema does not, and
//! neither does this API.

use serde_json::{Map, Value};

/// Where a value has a list although its schema has an object; the path of the first such place.
pub(super) fn list_for_object(
    schema: &Value,
    definitions: &Map<String, Value>,
    value: &Value,
) -> Option<String> {
    let mut path = String::new();
    wrong(schema, definitions, value, &mut path).then_some(path)
}

fn wrong(schema: &Value, definitions: &Map<String, Value>, value: &Value, path: &mut String) -> bool {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next())
        && let Some(known) = definitions.get(name)
        && wrong(known, definitions, value, path)
    {
        return true;
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        // One alternative that fits would do; but none of ours is a choice between a list and an object.
        let alternatives = schema[keyword].as_array().into_iter().flatten();
        for alternative in alternatives {
            if wrong(alternative, definitions, value, path) {
                return true;
            }
        }
    }
    let kind = &schema["type"];
    let is_object =
        kind == "object" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|one| one == "object"));
    match value {
        Value::Array(_) if is_object => true,
        Value::Array(elements) => {
            elements.iter().any(|element| wrong(&schema["items"], definitions, element, path))
        }
        Value::Object(fields) => fields.iter().any(|(name, field)| {
            let own = &schema["properties"][name];
            let schema = if own.is_null() { &schema["additionalProperties"] } else { own };
            let length = path.len();
            if length > 0 {
                path.push('.');
            }
            path.push_str(name);
            let found = wrong(schema, definitions, field, path);
            if !found {
                path.truncate(length);
            }
            found
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use commands::Catalog;
    use serde_json::json;

    use super::*;

    fn found(aggregate: &str, command: &str, value: Value) -> Option<String> {
        let catalog = Catalog::new();
        let (_, command) = catalog.command(aggregate, command).unwrap();
        list_for_object(&command.schema, &catalog.definitions, &value)
    }

    #[test]
    fn a_list_in_the_place_of_an_object_is_found_by_its_path() {
        let profile = "budgeting.budget_profile";
        let changes =
            |changes: Value| found(profile, "ReviseCategory", json!({ "key": "food", "changes": changes }));
        assert_eq!(changes(json!([null, null])), Some("changes".into()));
        assert_eq!(changes(json!({ "keywords": ["a"] })), None);
        let income =
            |income: Value| found(profile, "ChangeIncome", json!({ "from": "2026-01", "income": income }));
        assert_eq!(income(json!([5, "USD"])), Some("income".into()));
        assert_eq!(income(json!({ "minor": 5, "ccy": "USD" })), None);
    }
}
