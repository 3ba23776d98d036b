//! The operations that show rows, and the schemas of rows.

use projections::{
    Op, Shape,
    budgeting::Day,
    opportunities::Funnel,
    query::{LIMIT, LIMIT_MAX},
    row::mark,
};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::components::{date, header_references, not_yet_response, problems, uuid};
use crate::http::{
    From, QueryRoute, ROW_VERSION, Route, Shows, filters,
    nearest::{NEAREST, NEAREST_MAX, TEXT_MAX},
    sieve,
};

/// What stands in the place of a personal value whose key was destroyed (catalogue 0.5).
const ERASED: &str = "«erased»";

/// What a query can be answered besides rows.
const PROBLEMS: &[u16] = &[400, 401, 403, 404, 422, 500, 503];

/// The header in which a caller says for what purpose they read: it goes into the access log.
pub(super) fn purpose() -> Value {
    json!({
        "name": crate::http::PURPOSE,
        "in": "header",
        "required": false,
        "description": "For what purpose other people's personal data is read. It is put on record with the access; \
            where none is stated, the one that the route implies, with `(implied)` after it.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]*[!-~])?$" },
    })
}

/// The operation of a query's route.
pub(super) fn operation(
    shape: &Shape,
    route: &Route,
    query: &QueryRoute,
    schemas: &mut SchemaGenerator,
) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    for name in route.parameters() {
        let column = query.only.iter().find(|(_, from)| from.parameter() == Some(name));
        let known = column.and_then(|(column, _)| {
            filters::parameters(shape, schemas).into_iter().find(|filter| filter.name == *column)
        });
        let schema = match (column, known) {
            (Some((_, From::MonthOf(_))), _) => date(),
            (_, Some(filter)) => filter.schema,
            (_, None) => uuid(),
        };
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    parameters.extend(in_query(shape, query, schemas));
    parameters.push(purpose());
    let (description, schema) = shown(shape, query.shows, schemas);
    let mut headers = vec!["ETag", "Cache-Control"];
    if query.shows == Shows::Rows {
        headers.push("Link");
    }
    let mut unchanged = vec!["ETag", "Cache-Control"];
    if query.stream.is_some() {
        headers.push(ROW_VERSION);
        unchanged.push(ROW_VERSION);
    }
    let mut responses = problems(PROBLEMS);
    responses.insert(
        "200".into(),
        json!({
            "description": description,
            "headers": header_references(&headers),
            "content": { "application/json": { "schema": schema } },
        }),
    );
    responses.insert("202".into(), not_yet_response());
    responses.insert(
        "304".into(),
        json!({
            "description": "The client has this answer already (`If-None-Match`).",
            "headers": header_references(&unchanged),
        }),
    );
    json!({
        "tags": [shape.name],
        "summary": one_line(shape.doc),
        "description": format!("Read model `{}`. Everybody sees the rows and columns that are theirs to see.", shape.name),
        "parameters": parameters,
        "responses": responses,
    })
}

/// What an answer shows, in words and as a schema.
fn shown(shape: &Shape, shows: Shows, schemas: &mut SchemaGenerator) -> (&'static str, Value) {
    let row = json!({ "$ref": format!("#/components/schemas/{}", row_name(shape)) });
    let position = json!({ "type": "integer", "minimum": 0, "description": "The position of the log that the rows show." });
    match shows {
        Shows::One => ("The row.", row),
        Shows::Day => ("The day.", schemas.subschema_for::<Day>().to_value()),
        Shows::Funnel => ("The funnel.", schemas.subschema_for::<Funnel>().to_value()),
        Shows::Nearest => (
            "The rows whose texts come nearest, the nearest first.",
            json!({
                "type": "object",
                "required": ["items", "engine", "position"],
                "properties": {
                    "items": {
                        "type": "array",
                        "maxItems": NEAREST_MAX,
                        "items": {
                            "type": "object",
                            "required": ["score", "credential"],
                            "properties": {
                                "score": { "type": "integer", "minimum": 1, "maximum": 10_000, "description": "How near, the cosine in basis points." },
                                "credential": row,
                            },
                            "additionalProperties": false,
                        },
                    },
                    "engine": { "type": "string", "description": "The embedding that compared, and its version." },
                    "position": position,
                },
                "additionalProperties": false,
            }),
        ),
        Shows::Rows => (
            "A page of rows.",
            json!({
                "type": "object",
                "required": ["items", "next", "position"],
                "properties": {
                    "items": { "type": "array", "items": row, "maxItems": LIMIT_MAX },
                    "next": { "type": ["string", "null"], "description": "The cursor of the next page (`after`), if there is one." },
                    "position": position,
                },
                "additionalProperties": false,
            }),
        ),
        Shows::Calendar => (
            "The days of the month; none where it has no budget.",
            json!({
                "type": "object",
                "required": ["items", "position"],
                "properties": {
                    "items": { "type": "array", "items": schemas.subschema_for::<Day>(), "maxItems": 31 },
                    "position": position,
                },
                "additionalProperties": false,
            }),
        ),
    }
}

/// The parameters of the query string.
fn in_query(shape: &Shape, query: &QueryRoute, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let parameter = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "description": description, "schema": schema });
    let list = |name: &str, description: &str, words: Vec<String>| {
        json!({
            "name": name,
            "in": "query",
            "description": description,
            "style": "form",
            "explode": false,
            "schema": {
                "type": "array",
                "items": { "type": "string", "enum": words },
                "minItems": 1,
                "uniqueItems": true,
            },
        })
    };
    let position = json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX });
    let shown = shape.columns.iter().map(|column| column.name);
    let shown = shown.chain(shape.personal.iter().map(|column| column.name)).chain(["as_of"]);
    let rows = matches!(query.shows, Shows::Rows | Shows::One | Shows::Nearest);
    let mut parameters = vec![parameter(
        "min_position",
        "Wait until the read model has come to this position.",
        position.clone(),
    )];
    if rows {
        parameters.push(list("fields", "Which columns to show.", shown.map(str::to_owned).collect()));
    }
    let built = matches!(query.shows, Shows::Rows | Shows::One);
    if built || shape.options.time_travel && query.shows != Shows::Nearest {
        let text = match shape.options.time_travel {
            true => "As of this position or instant.",
            false => "As of this position or instant, where it was built for it (`annals-replay as-of`).",
        };
        let schema = json!({ "anyOf": [position, { "type": "string", "format": "date-time" }] });
        parameters.push(parameter("as_of", text, schema));
    }
    let narrowing: &[&str] = match query.shows {
        Shows::Rows | Shows::One | Shows::Nearest => &[],
        Shows::Calendar | Shows::Day => &["category"],
        Shows::Funnel => &["period", "major"],
    };
    for column in shape.columns.iter().filter(|column| narrowing.contains(&column.name)) {
        let text = json!({ "type": "string", "minLength": 1, "pattern": r"^[^\u0000]+$" });
        let texts = json!({ "type": "array", "items": text, "minItems": 1, "maxItems": 100 });
        parameters.push(parameter(column.name, &column.comment(), texts));
    }
    if query.shows == Shows::Nearest {
        let text = json!({ "type": "string", "minLength": 1, "maxLength": TEXT_MAX, "pattern": r"\S" });
        let mut semantic = parameter("semantic", "What the texts are to be like.", text);
        semantic["required"] = true.into();
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": NEAREST_MAX, "default": NEAREST });
        parameters.extend([semantic, parameter("limit", "How many rows.", limit)]);
        parameters.extend(filtering(shape, schemas));
        return parameters;
    }
    if query.shows != Shows::Rows {
        return parameters;
    }
    let sortable = shape.columns.iter().filter(|column| column.is(mark::sort) || column.is(mark::key));
    let sortable = sortable.flat_map(|column| [column.name.to_owned(), format!("-{}", column.name)]);
    parameters.push(list("sort", "Columns to sort by; `-column` is descending.", sortable.collect()));
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT });
    parameters.push(parameter("limit", "How many rows.", limit));
    let cursor = json!({ "type": "string", "minLength": 1 });
    parameters.push(parameter("after", "The cursor that the page before gave.", cursor));
    parameters.extend(filtering(shape, schemas));
    for sealed in sieve::parameters(shape.name) {
        let schema = match sealed.op {
            Op::AtLeast | Op::AtMost => {
                json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX })
            }
            Op::In | Op::Contains | Op::Search => json!({ "type": "string", "minLength": 1 }),
        };
        parameters.push(parameter(sealed.name, sealed.doc, schema));
    }
    parameters
}

/// The parameters that filter rows.
fn filtering(shape: &Shape, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let parameter = |filter: filters::Parameter| {
        let repeats = filter.repeats();
        let schema = match repeats {
            true => json!({ "type": "array", "items": filter.schema, "minItems": 1, "maxItems": 100 }),
            false => filter.schema,
        };
        json!({ "name": filter.name, "in": "query", "description": filter.column.comment(), "schema": schema })
    };
    filters::parameters(shape, schemas).into_iter().map(parameter).collect()
}

/// `org_directory` → `OrgDirectoryRow`.
fn row_name(shape: &Shape) -> String {
    let words = shape.name.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect::<String>() + "Row"
}

/// The schema of a read model's rows. A caller may not get every column, and may ask for fewer.
pub(super) fn row(shape: &Shape, schemas: &mut SchemaGenerator) -> (String, Value) {
    let mut properties = Map::new();
    let described = |mut schema: Value, doc: &str| {
        match schema.as_object_mut() {
            Some(fields) => {
                fields.insert("description".into(), one_line(doc).into());
            }
            None => schema = json!({ "description": one_line(doc) }),
        }
        schema
    };
    for column in shape.columns {
        let schema = (column.schema)(schemas).to_value();
        properties.insert(column.name.into(), described(schema, column.doc));
    }
    for column in shape.personal {
        let schema = (column.schema)(schemas).to_value();
        properties.insert(column.name.into(), described(schema, column.doc));
    }
    let as_of = json!({ "type": "integer", "minimum": 0, "description": "The position of the last event that changed the row." });
    properties.insert("as_of".into(), as_of);
    if shape.name == "api_clients" {
        // Told beside what the log says, where whole rows are asked for.
        properties.insert(
            "used_this_month".into(),
            json!({ "type": "integer", "minimum": 0, "description": "How much it called this month." }),
        );
        properties.insert("last_used".into(), json!({ "type": ["string", "null"], "format": "date-time", "description": "When it called last." }));
    }
    let mut schema = json!({
        "type": "object",
        "description": one_line(shape.doc),
        "properties": properties,
        "additionalProperties": false,
    });
    erasable(&mut schema);
    (row_name(shape), schema)
}

/// Wherever a value is personal, it may have been erased.
pub(super) fn erasable(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(erasable);
            if fields.get("x-personal").is_some_and(Value::is_string) {
                let description = fields.remove("description");
                let class = fields.remove("x-personal");
                let value = Value::Object(std::mem::take(fields));
                fields.insert("anyOf".into(), json!([value, { "const": ERASED }]));
                fields.extend(class.map(|class| ("x-personal".to_owned(), class)));
                fields.extend(description.map(|text| ("description".to_owned(), text)));
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(erasable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_personal_value_may_be_erased_wherever_it_stands() {
        let mut schema = json!({ "anyOf": [{ "allOf": [{ "type": "string" }], "x-personal": "identity" }, { "type": "null" }] });
        erasable(&mut schema);
        assert_eq!(schema["anyOf"][0]["anyOf"][1], json!({ "const": ERASED }), "{schema}");
    }
}
