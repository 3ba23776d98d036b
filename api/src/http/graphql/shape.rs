//! What can be asked, read off the description of the API: every query there is a root field here, every parameter an
//! argument, and every answer an object. There is no second list of anything.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value as Json;

use crate::http::{Operation, Route};

/// A root field: one query of the API, under the words of its path.
#[derive(Debug)]
pub(super) struct Root {
    /// Its name.
    pub(super) name: String,
    /// What it shows.
    pub(super) doc: String,
    /// The path, with parameters as `{name}`.
    pub(super) template: String,
    /// What stands in the path, and how rows are ordered and paged.
    pub(super) arguments: Vec<Argument>,
    /// What narrows the rows, together in one argument.
    pub(super) filters: Option<Arc<Filters>>,
    /// The columns that can be asked for, where the answer need not have all of them.
    pub(super) fields: BTreeSet<String>,
    /// What it answers.
    pub(super) answer: Arc<Object>,
}

/// What narrows the rows of a root field.
#[derive(Debug)]
pub(super) struct Filters {
    /// The name of the type.
    pub(super) name: String,
    /// One for each parameter.
    pub(super) arguments: Vec<Argument>,
}

/// An argument: one parameter of the query.
#[derive(Debug)]
pub(super) struct Argument {
    /// Its name; points of the parameter's are underscores.
    pub(super) name: String,
    /// The parameter.
    pub(super) parameter: String,
    /// How its values become text.
    pub(super) place: Place,
    /// The type of its values.
    pub(super) kind: Kind,
    /// Whether there may be many of them.
    pub(super) list: bool,
    /// Whether it is needed.
    pub(super) required: bool,
    /// What it is, for people.
    pub(super) doc: String,
}

/// How the values of an argument become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the path.
    Path,
    /// In the query string, the parameter once for each value.
    Each,
    /// In the query string, with commas between them.
    Joined,
}

/// The type of a value that has no parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `String`.
    Text,
    /// `Int`.
    Int,
    /// An integer of 64 bits.
    Long,
    /// `Float`.
    Float,
    /// `Boolean`.
    Boolean,
    /// A UUID.
    Uuid,
    /// An instant.
    Instant,
    /// A date.
    Date,
    /// Whatever JSON there is.
    Json,
}

/// What is answered in pieces.
#[derive(Debug)]
pub(super) struct Object {
    /// The name of the type.
    pub(super) name: String,
    /// What it is, for people.
    pub(super) doc: String,
    /// Its fields.
    pub(super) members: Vec<Member>,
    /// Whether it is a row of a read model, whose columns can be asked for one by one.
    pub(super) is_row: bool,
}

/// A field of an object.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// What it is, for people.
    pub(super) doc: String,
    /// Its type.
    pub(super) of: Of,
    /// Whether there are many.
    pub(super) list: bool,
    /// Whether it is always there. No column of a row is: a caller may not get it.
    pub(super) required: bool,
}

/// The type of a field.
#[derive(Debug)]
pub(super) enum Of {
    /// A value without parts.
    Leaf(Kind),
    /// An object.
    Object(Arc<Object>),
}

/// What stands beside the filters.
const BESIDE: [&str; 6] = ["min_position", "as_of", "sort", "limit", "after", "semantic"];

/// The root fields: one for every query in the description of the API.
pub(super) fn roots(described: &Json, routes: &[Route]) -> Vec<Root> {
    let queries = routes.iter().filter(|route| matches!(route.operation, Operation::Query(_)));
    queries.map(|route| root(described, &route.template)).collect()
}

fn root(described: &Json, template: &str) -> Root {
    let operation = &described["paths"][template]["get"];
    let name = name(template);
    let (mut arguments, mut filters, mut fields) = (Vec::new(), Vec::new(), BTreeSet::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (Some(known), place) = (parameter["name"].as_str(), &parameter["in"]) else { continue };
        if known == "fields" {
            let words = parameter["schema"]["items"]["enum"].as_array().into_iter().flatten();
            fields = words.filter_map(|word| word.as_str().map(str::to_owned)).collect();
        } else if place == "path" || BESIDE.contains(&known) {
            arguments.push(argument(parameter, known, described));
        } else if place == "query" {
            filters.push(argument(parameter, known, described));
        }
    }
    let content = &operation["responses"]["200"]["content"]["application/json"];
    Root {
        doc: format!("`GET {template}`: {} {}", text(&operation["summary"]), text(&operation["description"])),
        template: template.to_owned(),
        arguments,
        filters: (!filters.is_empty())
            .then(|| Arc::new(Filters { name: pascal(&name, "Filters"), arguments: filters })),
        fields,
        answer: object(&content["schema"], &name, "Page", described),
        name,
    }
}

/// `/v1/orgs/{id}` → `orgs_by_id`, `/v1/scholarships/{id}/funnel` → `scholarships_funnel`.
fn name(template: &str) -> String {
    let parameter = |segment: &str| Some(segment.strip_prefix('{')?.strip_suffix('}')?.to_owned());
    let segments: Vec<&str> = template.trim_start_matches("/v1/").split('/').collect();
    let words: Vec<String> = segments
        .iter()
        .filter(|segment| parameter(segment).is_none())
        .map(|word| word.replace('-', "_"))
        .collect();
    let words = words.join("_");
    match segments.last().and_then(|last| parameter(last)) {
        Some(by) => format!("{words}_by_{by}"),
        None => words,
    }
}

/// `orgs_by_id` → `OrgsById` and what the type is.
fn pascal(name: &str, what: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty()).map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect::<String>() + what
}

fn argument(parameter: &Json, known: &str, described: &Json) -> Argument {
    let (kind, list) = kind(&parameter["schema"], described);
    let place = match (parameter["in"] == "path", parameter["explode"] == false) {
        (true, _) => Place::Path,
        (false, true) => Place::Joined,
        (false, false) => Place::Each,
    };
    Argument {
        name: known.replace(['.', '-'], "_"),
        parameter: known.to_owned(),
        place,
        kind,
        list,
        required: parameter["required"] == true,
        doc: text(&parameter["description"]),
    }
}

/// An object that a schema describes. One that has no name of its own is called after its root field.
fn object(schema: &Json, root: &str, what: &str, described: &Json) -> Arc<Object> {
    let (name, schema, named) = match reference(schema) {
        Some(name) => (name.to_owned(), &described["components"]["schemas"][name], true),
        None => (pascal(root, what), schema, false),
    };
    let needed = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|needed| needed == name))
    };
    let member = |(name, property): (&String, &Json)| {
        // What answers with rows has them in pieces; what is in a row comes whole.
        let (of, list) = if !named && property["type"] == "array" {
            (Of::Object(object(&property["items"], root, "Item", described)), true)
        } else if !named && reference(property).is_some() {
            (Of::Object(object(property, root, "Item", described)), false)
        } else {
            let (kind, list) = kind(property, described);
            (Of::Leaf(kind), list)
        };
        let required = needed(name) && !may_be_null(property, described);
        Member { name: name.clone(), doc: text(&property["description"]), of, list, required }
    };
    let members = schema["properties"].as_object().into_iter().flatten().map(member).collect();
    let is_row = named && name.ends_with("Row");
    Arc::new(Object { name, doc: text(&schema["description"]), members, is_row })
}

/// Whether a schema allows null. What may be anything may be that.
fn may_be_null(schema: &Json, described: &Json) -> bool {
    if let Some(name) = reference(schema) {
        return may_be_null(&described["components"]["schemas"][name], described);
    }
    let choices = ["anyOf", "oneOf"].iter().find_map(|word| schema[*word].as_array());
    match (choices, &schema["type"]) {
        (Some(choices), _) => choices.iter().any(|choice| may_be_null(choice, described)),
        (None, Json::String(one)) => one == "null",
        (None, Json::Array(types)) => types.iter().any(|one| one == "null"),
        (None, _) => ["const", "enum", "allOf"].iter().all(|word| schema[*word].is_null()),
    }
}

fn reference(schema: &Json) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The type of the values that a schema allows, and whether they are in a list. Objects, and what may be of several types,
/// come as JSON.
fn kind(schema: &Json, described: &Json) -> (Kind, bool) {
    if let Some(name) = reference(schema) {
        return kind(&described["components"]["schemas"][name], described);
    }
    let choices = ["anyOf", "oneOf", "allOf"].iter().find_map(|word| schema[*word].as_array());
    if let Some(choices) = choices {
        let kinds = choices.iter().filter(|choice| choice["type"] != "null");
        let both = |one: (Kind, bool), other: (Kind, bool)| match (one, other) {
            _ if one == other => one,
            ((one, false), (other, false)) if one.is_text() && other.is_text() => (Kind::Text, false),
            _ => (Kind::Json, false),
        };
        return kinds.map(|choice| kind(choice, described)).reduce(both).unwrap_or((Kind::Json, false));
    }
    let types: Vec<&str> = match (&schema["type"], &schema["const"], &schema["enum"][0]) {
        (Json::String(one), ..) => vec![one],
        (Json::Array(types), ..) => {
            types.iter().filter_map(Json::as_str).filter(|one| *one != "null").collect()
        }
        (_, Json::String(_), _) | (.., Json::String(_)) => vec!["string"],
        _ => Vec::new(),
    };
    let bound = |name: &str| schema[name].as_i64().filter(|bound| i32::try_from(*bound).is_ok());
    let kind = match (&*types, schema["format"].as_str()) {
        (["array"], _) => {
            return match kind(&schema["items"], described) {
                (Kind::Json, _) | (_, true) => (Kind::Json, false),
                (element, false) => (element, true),
            };
        }
        (["string"], Some("uuid")) => Kind::Uuid,
        (["string"], Some("date-time")) => Kind::Instant,
        (["string"], Some("date")) => Kind::Date,
        (["string"], _) => Kind::Text,
        (["boolean"], _) => Kind::Boolean,
        (["integer"], Some("int8" | "int16" | "int32" | "uint8" | "uint16")) => Kind::Int,
        (["integer"], _) if bound("minimum").is_some() && bound("maximum").is_some() => Kind::Int,
        (["integer"], _) => Kind::Long,
        (["number"], _) => Kind::Float,
        _ => Kind::Json,
    };
    (kind, false)
}

impl Object {
    /// How many values without parts it has.
    pub(super) fn leaves(&self) -> usize {
        let leaves = |member: &Member| match &member.of {
            Of::Leaf(_) => 1,
            Of::Object(object) => object.leaves(),
        };
        self.members.iter().map(leaves).sum()
    }
}

impl Kind {
    /// Whether its values are texts in JSON.
    fn is_text(self) -> bool {
        matches!(self, Kind::Text | Kind::Uuid | Kind::Instant | Kind::Date)
    }
}

#[cfg(test)]
mod tests {
    use commands::Catalog;
    use serde_json::json;

    use super::*;
    use crate::{http::routes, openapi};

    fn all() -> Vec<Root> {
        let catalog = Catalog::new();
        let routes = routes(&catalog);
        roots(&openapi::document(&catalog, projections::read_models(), &routes), &routes)
    }

    #[test]
    fn every_query_is_one_root_field_and_no_two_have_one_name() {
        let catalog = Catalog::new();
        let queries = routes(&catalog).iter().filter(|r| matches!(r.operation, Operation::Query(_))).count();
        let roots = all();
        let names: BTreeSet<&str> = roots.iter().map(|root| &*root.name).collect();
        assert_eq!((roots.len(), names.len()), (queries, queries));
        for expected in
            ["orgs", "orgs_by_id", "scholarships_funnel", "budget_daily_by_date", "users_me_profile"]
        {
            assert!(names.contains(expected), "{expected} in {names:?}");
        }
    }

    #[test]
    fn no_two_arguments_of_a_root_field_have_one_name() {
        for root in all() {
            let filters = root.filters.iter().flat_map(|filters| &filters.arguments);
            let narrowing: Vec<&str> = filters.map(|argument| &*argument.name).collect();
            let beside: Vec<&str> = root.arguments.iter().map(|argument| &*argument.name).collect();
            for names in [narrowing, beside] {
                let different: BTreeSet<&&str> = names.iter().collect();
                assert_eq!(different.len(), names.len(), "{}: {names:?}", root.name);
            }
            assert!(root.arguments.iter().all(|argument| argument.name != "filters"), "{}", root.name);
        }
    }

    #[test]
    fn a_list_answers_a_page_of_rows_and_a_path_with_an_id_the_row() {
        let roots = all();
        let named = |name: &str| roots.iter().find(|root| root.name == name).unwrap();
        let list = named("orgs");
        let members: Vec<&str> = list.answer.members.iter().map(|member| &*member.name).collect();
        assert_eq!((&*list.answer.name, members), ("OrgsPage", vec!["items", "next", "position"]));
        let always: Vec<bool> = list.answer.members.iter().map(|member| member.required).collect();
        assert_eq!(always, [true, false, true], "the last page has no next one");
        assert!(list.fields.contains("code"));
        let row = &named("orgs_by_id").answer;
        assert!(row.is_row && row.name == "OrgDirectoryRow", "{row:?}");
        let filters = list.filters.as_ref().unwrap();
        let search = filters.arguments.iter().find(|argument| argument.name == "name_search").unwrap();
        assert_eq!((&*search.parameter, search.place, search.list), ("name.search", Place::Each, false));
        let sort = list.arguments.iter().find(|argument| argument.name == "sort").unwrap();
        assert_eq!((sort.place, sort.list), (Place::Joined, true));
    }

    #[test]
    fn a_schema_tells_a_type() {
        let erasable =
            |schema: Json| json!({ "anyOf": [schema, { "const": "«erased»" }, { "type": "null" }] });
        for (schema, expected) in [
            (json!({ "type": ["string", "null"], "format": "date" }), (Kind::Date, false)),
            (erasable(json!({ "type": "string", "format": "date" })), (Kind::Text, false)),
            (erasable(json!({ "type": "object" })), (Kind::Json, false)),
            (json!({ "type": "array", "items": { "type": "string", "format": "uuid" } }), (Kind::Uuid, true)),
            (json!({ "type": "integer", "minimum": 1, "maximum": 200 }), (Kind::Int, false)),
            (json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX }), (Kind::Long, false)),
            (json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] }), (Kind::Json, false)),
            (json!({ "oneOf": [{ "const": "a" }, { "const": "b" }] }), (Kind::Text, false)),
            (json!(true), (Kind::Json, false)),
        ] {
            assert_eq!(kind(&schema, &Json::Null), expected, "{schema}");
        }
    }
}
