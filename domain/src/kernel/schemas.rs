//! The bounds of [`super::bounds`] as JSON schemas tell them, for `#[schemars(transform = schemas::text::<1, 200>)]` on
//! the fields of commands: whoever reads the schema knows what is refused with 422 before sending it.
//!
//! A bound is set on the value itself and on every alternative of it, so that optional and personal values are bounded
//! as plain ones are.

use jiff::tz::TimeZoneDatabase;
use schemars::Schema;
use serde_json::{Map, Value, json};

use super::RecordClass;

/// Without control characters other than tabs and line ends.
const PRINTABLE: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";
/// The same, with something else than blanks in it.
const WRITTEN: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u00a0\s][^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";

/// On one line, without what turns its direction and what is not seen, as far as one unit of UTF-16 tells it.
const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb]*$";
/// The same, with something to be seen in it; of marks without a letter only the most common ones are told.
const WRITTEN_LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb]*[^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\u0020\u00a0\u0300-\u036f\u200c\u200d\u2800\ufe00-\ufe0f\s][^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb]*$";

/// A text of one line of so many characters.
pub fn line<const LEAST: u32, const MOST: u32>(schema: &mut Schema) {
    text::<LEAST, MOST>(schema);
    pattern(schema, if LEAST > 0 { WRITTEN_LINE } else { LINE });
}

/// A text of so many characters.
pub fn text<const LEAST: u32, const MOST: u32>(schema: &mut Schema) {
    on_each(schema, "string", &|text| insert_text(text, LEAST, MOST));
}

/// A text in which this pattern is found.
fn pattern(schema: &mut Schema, pattern: &str) {
    on_each(schema, "string", &|text| insert(text, "pattern", pattern.into()));
}

/// At most so many texts of 1 to `CHARS` characters.
pub fn texts<const MOST: u32, const CHARS: u32>(schema: &mut Schema) {
    on_each(schema, "array", &|list| {
        insert(list, "maxItems", MOST.into());
        if let Some(item) = list.get_mut("items").and_then(Value::as_object_mut) {
            insert_text(item, 1, CHARS);
        }
    });
}

/// One to so many texts of 1 to `CHARS` characters.
pub fn some_texts<const MOST: u32, const CHARS: u32>(schema: &mut Schema) {
    texts::<MOST, CHARS>(schema);
    on_each(schema, "array", &|list| insert(list, "minItems", 1.into()));
}

/// At most so many entries.
pub fn count<const MOST: u32>(schema: &mut Schema) {
    on_each(schema, "array", &|list| insert(list, "maxItems", MOST.into()));
    on_each(schema, "object", &|map| insert(map, "maxProperties", MOST.into()));
}

/// As many record classes as there are.
pub fn classes(schema: &mut Schema) {
    on_each(schema, "array", &|list| insert(list, "maxItems", RecordClass::ALL.len().into()));
}

/// At most so many pairs of a key of 1 to 500 characters and a text of at most `CHARS`.
pub fn text_map<const MOST: u32, const CHARS: u32>(schema: &mut Schema) {
    on_each(schema, "object", &|map| {
        insert(map, "maxProperties", MOST.into());
        insert(map, "propertyNames", named(500));
        if let Some(value) = map.get_mut("additionalProperties").and_then(Value::as_object_mut) {
            insert_text(value, 0, CHARS);
        }
    });
}

/// At most so many pairs of a key of 1 to 100 characters and a number of a range.
pub fn number_map<const MOST: u32, const LOW: i64, const HIGH: i64>(schema: &mut Schema) {
    on_each(schema, "object", &|map| {
        insert(map, "maxProperties", MOST.into());
        insert(map, "propertyNames", named(100));
        if let Some(value) = map.get_mut("additionalProperties").and_then(Value::as_object_mut) {
            insert_number(value, LOW, HIGH);
        }
    });
}

/// A number of a range.
pub fn number<const LOW: i64, const HIGH: i64>(schema: &mut Schema) {
    on_each(schema, "integer", &|number| insert_number(number, LOW, HIGH));
}

/// At most so many numbers of a range.
pub fn numbers<const MOST: u32, const LOW: i64, const HIGH: i64>(schema: &mut Schema) {
    on_each(schema, "array", &|list| {
        insert(list, "maxItems", MOST.into());
        if let Some(item) = list.get_mut("items").and_then(Value::as_object_mut) {
            insert_number(item, LOW, HIGH);
        }
    });
}

/// A date of the years 1900 to 2200.
pub fn date(schema: &mut Schema) {
    pattern(schema, r"^(19[0-9]{2}|2[01][0-9]{2}|2200)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$");
}

/// An instant of the years 1900 to 2200; those at their very ends, which another offset could move out, are left out.
pub fn instant(schema: &mut Schema) {
    const DAY: &str = "(190[1-9]|19[1-9][0-9]|2[01][0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";
    const TIME: &str = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?";
    const OFFSET: &str = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
    pattern(schema, &format!("^{DAY}T{TIME}{OFFSET}$"));
}

/// An IANA time zone.
pub fn time_zone(schema: &mut Schema) {
    let zones: Vec<String> =
        TimeZoneDatabase::bundled().available().map(|zone| zone.as_str().to_owned()).collect();
    on_each(schema, "string", &|zone| insert(zone, "enum", json!(zones)));
}

/// ISO 3166-1 alpha-2.
pub fn country(schema: &mut Schema) {
    pattern(schema, "^[A-Z]{2}$");
}

/// A BCP 47 language tag.
pub fn language(schema: &mut Schema) {
    on_each(schema, "string", &|tag| {
        insert(tag, "minLength", 2.into());
        insert(tag, "maxLength", 35.into());
        insert(tag, "pattern", r"^[A-Za-z][A-Za-z0-9]{0,7}(-[A-Za-z0-9]{1,8})*$".into());
    });
}

/// The code of an org unit (IDN-O1).
pub fn org_code(schema: &mut Schema) {
    pattern(schema, "^[A-Z0-9-]{2,32}$");
}

/// The code of a micro-credential (CRD-M1).
pub fn program_code(schema: &mut Schema) {
    pattern(schema, "^[A-Za-z0-9._/-]{2,64}$");
}

/// A phone number, E.164 (IDN-R3); an empty one is none.
pub fn phone(schema: &mut Schema) {
    pattern(schema, r"^(\+[1-9][0-9]{6,14})?$");
}

/// An e-mail address.
pub fn email(schema: &mut Schema) {
    pattern(schema, "^[!-?A-~]{1,126}@[!-?A-~]{1,126}$");
}

/// A web address; an empty one is none.
pub fn web_address(schema: &mut Schema) {
    pattern(schema, "^(https://[!-~]{1,2040})?$");
}

/// An address of the web, or an empty text.
pub fn website(schema: &mut Schema) {
    pattern(schema, "^(https?://[!-~]{1,2040})?$");
}

/// A language tag of a user interface.
pub fn locale(schema: &mut Schema) {
    pattern(schema, "^[A-Za-z0-9-]{2,35}$");
}

/// 1 to `MOST` visible ASCII characters.
pub fn token<const MOST: u32>(schema: &mut Schema) {
    pattern(schema, &format!("^[!-~]{{1,{MOST}}}$"));
}

/// A SHA-256 in lower-case hexadecimal.
pub fn sha256(schema: &mut Schema) {
    pattern(schema, "^[0-9a-f]{64}$");
}

/// The key of a budget's category.
pub fn category_key(schema: &mut Schema) {
    pattern(schema, "^[a-z0-9_]{1,40}$");
}

/// An amount of at least so many minor units.
pub fn money_from<const LEAST: i64>(schema: &mut Schema) {
    also(schema, json!({ "properties": { "minor": { "minimum": LEAST } } }));
}

/// A share of the whole: 0 to 10000 basis points.
pub fn share(schema: &mut Schema) {
    also(schema, json!({ "minimum": 0, "maximum": 10_000 }));
}

/// From which share on somebody is told: up to twice the whole.
pub fn alert(schema: &mut Schema) {
    also(schema, json!({ "minimum": 0, "maximum": 20_000 }));
}

/// Always true.
pub fn yes(schema: &mut Schema) {
    schema.insert("const".into(), true.into());
}

/// Bounds a value whose own schema is a reference, whether or not it is optional or personal.
fn also(schema: &mut Schema, bound: Value) {
    if let Some(alternatives) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        for alternative in alternatives.iter_mut().filter(|alternative| alternative["type"] != "null") {
            *alternative = json!({ "allOf": [alternative, bound] });
        }
    } else if let Some(all) = schema.get_mut("allOf").and_then(Value::as_array_mut) {
        all.push(bound);
    } else {
        let plain = schema.ensure_object();
        let described = plain.remove("description");
        let value = Value::Object(std::mem::take(plain));
        plain.insert("allOf".into(), json!([value, bound]));
        plain.extend(described.map(|text| ("description".to_owned(), text)));
    }
}

fn named(chars: u32) -> Value {
    let mut name = Map::from_iter([("type".to_owned(), json!("string"))]);
    insert_text(&mut name, 1, chars);
    Value::Object(name)
}

fn insert(schema: &mut Map<String, Value>, keyword: &str, value: Value) {
    schema.insert(keyword.to_owned(), value);
}

fn insert_text(schema: &mut Map<String, Value>, least: u32, most: u32) {
    if least > 0 {
        insert(schema, "minLength", least.into());
    }
    insert(schema, "maxLength", most.into());
    insert(schema, "pattern", if least > 0 { WRITTEN } else { PRINTABLE }.into());
}

fn insert_number(schema: &mut Map<String, Value>, low: i64, high: i64) {
    insert(schema, "minimum", low.into());
    insert(schema, "maximum", high.into());
}

/// The value's own schema and its alternatives, where they are of this type.
fn on_each(schema: &mut Schema, kind: &str, bound: &dyn Fn(&mut Map<String, Value>)) {
    within(schema.ensure_object(), kind, bound);
}

fn within(schema: &mut Map<String, Value>, kind: &str, bound: &dyn Fn(&mut Map<String, Value>)) {
    let is = match schema.get("type") {
        Some(Value::String(name)) => name == kind,
        Some(Value::Array(names)) => names.iter().any(|name| name == kind),
        _ => false,
    };
    if is {
        bound(schema);
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let alternatives = schema.get_mut(keyword).and_then(Value::as_array_mut).into_iter().flatten();
        for alternative in alternatives.filter_map(Value::as_object_mut) {
            within(alternative, kind, bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::{JsonSchema, SchemaGenerator};

    use super::*;
    use crate::kernel::{Money, Stated};

    fn of<T: JsonSchema>(bound: impl Fn(&mut Schema)) -> Value {
        let mut schema = SchemaGenerator::default().subschema_for::<T>();
        bound(&mut schema);
        schema.to_value()
    }

    #[test]
    fn an_optional_personal_text_is_bounded_as_a_plain_one() {
        for schema in [
            of::<String>(text::<1, 9>),
            of::<Option<String>>(text::<1, 9>),
            of::<Option<Stated<String>>>(text::<1, 9>)["anyOf"][0]["allOf"][0].take(),
        ] {
            assert_eq!((&schema["minLength"], &schema["maxLength"]), (&json!(1), &json!(9)), "{schema}");
        }
    }

    #[test]
    fn the_elements_of_lists_and_maps_are_bounded_too() {
        let list = of::<Vec<String>>(texts::<3, 9>);
        assert_eq!((&list["maxItems"], &list["items"]["maxLength"]), (&json!(3), &json!(9)));
        let map = of::<BTreeMap<String, i32>>(number_map::<3, 0, 9>);
        assert_eq!((&map["maxProperties"], &map["additionalProperties"]["maximum"]), (&json!(3), &json!(9)));
    }

    #[test]
    fn every_record_class_fits_into_a_list_of_them() {
        let list = of::<Vec<RecordClass>>(classes);
        assert_eq!(list["maxItems"], RecordClass::ALL.len());
    }

    #[test]
    fn an_amount_keeps_its_own_schema() {
        let plain = of::<Money>(money_from::<1>);
        assert_eq!(plain["allOf"][1]["properties"]["minor"]["minimum"], 1, "{plain}");
        assert!(plain["allOf"][0]["$ref"].is_string(), "{plain}");
        let optional = of::<Option<Stated<Money>>>(money_from::<1>);
        assert_eq!(optional["anyOf"][1]["type"], "null", "{optional}");
        assert!(optional["anyOf"][0]["allOf"].is_array(), "{optional}");
    }

    #[test]
    fn a_time_zone_is_one_of_those_that_there_are() {
        let zones = of::<String>(time_zone);
        assert!(zones["enum"].as_array().unwrap().contains(&json!("America/Chicago")));
    }
}
