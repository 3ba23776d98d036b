//! Documents: read, held against the schema and against what a document may cost, before anything is asked for it.

use std::{cell::RefCell, collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

use juniper::{
    Definition, EmptyMutation, EmptySubscription, GraphQLError, OperationType, RootNode, Selection,
    Variables,
    executor::{execute_validated_query, get_operation},
    parser::{ParseError, SourcePosition, parse_document_source},
    validation::{RuleError, ValidatorContext, validate_input_values, visit_all_rules},
};
use serde_json::{Value as Json, json};

use super::{
    Scalar,
    asked::Asked,
    nodes::{Info, Node, Turn},
    shape,
};
use crate::http::{Route, batch::MOST};

/// How deep a document may be nested, its fragments in their places. What tools ask of the schema is 20 deep.
const DEPTH: usize = 24;
/// How many words and signs it may have.
const TOKENS: usize = 4000;
/// How many fields an operation may have, its fragments in their places.
const FIELDS: usize = 1000;
/// How many lists of the schema may be asked for, and how many within each other. What tools ask has 9, and 3 within each
/// other. Every list in a list multiplies what is answered.
const LISTS: usize = 16;
const LISTS_DEEP: usize = 3;
/// How many errors a refusal tells.
const TOLD: usize = 20;

/// The lists of the schema.
const LISTS_OF_SCHEMA: [&str; 9] = [
    "args",
    "directives",
    "enumValues",
    "fields",
    "inputFields",
    "interfaces",
    "locations",
    "possibleTypes",
    "types",
];

type Schema = RootNode<Node<'static>, EmptyMutation<Turn>, EmptySubscription<Turn>, Scalar>;

/// The schema, made once of the description of the API.
pub struct Graph(Schema);

/// A document that can be run.
pub(super) struct Document<'q> {
    definitions: Vec<Definition<'q, Scalar>>,
    operation: Option<&'q str>,
    variables: Variables<Scalar>,
}

/// Why a document is not run.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What is wrong with it, without the values that it holds.
    pub(super) message: String,
    /// Where.
    pub(super) locations: Vec<Json>,
}

impl Refusal {
    fn new(message: impl Into<String>, at: &[SourcePosition]) -> Self {
        let place = |at: &SourcePosition| json!({ "line": at.line() + 1, "column": at.column() + 1 });
        Refusal { message: message.into(), locations: at.iter().map(place).collect() }
    }
}

impl Graph {
    /// The schema of what the description of the API shows.
    pub(in crate::http) fn new(described: &Json, routes: &[Route]) -> Self {
        let info = Info::Query(Arc::new(shape::roots(described, routes)));
        let schema =
            Schema::new_with_info(Node::Root, EmptyMutation::new(), EmptySubscription::new(), info, (), ());
        Graph(schema.limit_depth(DEPTH).limit_tokens(TOKENS).limit_fields(FIELDS))
    }

    /// Reads a document, and what it asks for.
    ///
    /// # Errors
    /// It is none, does not fit the schema, or costs more than a document may.
    pub(super) fn read<'q>(
        &self,
        query: &'q str,
        operation: Option<&'q str>,
        variables: Variables<Scalar>,
    ) -> Result<(Document<'q>, Vec<Asked>), Vec<Refusal>> {
        let read = || {
            let definitions = self.checked(query, operation, &variables)?;
            let document = Document { definitions, operation, variables };
            let turn = Turn::Asking(RefCell::default());
            self.run(&document, &turn)?;
            let Turn::Asking(asked) = turn else { return Err(Vec::new()) };
            let asked = asked.into_inner();
            let too_much = |why: String| Err(vec![Refusal::new(why, &[])]);
            if asked.len() > MOST {
                return too_much(format!("more than {MOST} root fields"));
            }
            if let Some(asked) = asked.iter().find(|asked| asked.is_too_much()) {
                return too_much(format!("`{}` selects the same again and again", asked.key));
            }
            Ok((document, asked))
        };
        // Whatever a document is, it is no defect of this server that it cannot be read.
        std::panic::catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(vec![Refusal::new("the document cannot be read", &[])]))
    }

    fn checked<'q>(
        &self,
        query: &'q str,
        name: Option<&str>,
        variables: &Variables<Scalar>,
    ) -> Result<Vec<Definition<'q, Scalar>>, Vec<Refusal>> {
        let schema = &self.0.schema;
        let definitions = parse_document_source(query, schema)
            .map_err(|error| vec![Refusal::new(in_words(&error.item), &[error.start()])])?;
        let mut context = ValidatorContext::new(schema, &definitions);
        visit_all_rules(&mut context, &definitions);
        broken(context.into_errors())?;
        let operation = get_operation(&definitions, name).map_err(|error| vec![unfit(&error)])?;
        let at = [operation.span.start];
        if operation.item.operation_type != OperationType::Query {
            return Err(vec![Refusal::new("only queries can be asked here", &at)]);
        }
        broken(validate_input_values(variables, operation, schema))?;
        let fragments = definitions.iter().filter_map(|definition| match definition {
            Definition::Fragment(fragment) => Some((fragment.item.name.item, &*fragment.item.selection_set)),
            Definition::Operation(_) => None,
        });
        let (lists, deep) = lists(&operation.item.selection_set, &fragments.collect(), false);
        if lists > LISTS || deep > LISTS_DEEP {
            return Err(vec![Refusal::new("more of the schema than is told at once", &at)]);
        }
        Ok(definitions)
    }

    fn run(&self, document: &Document<'_>, turn: &Turn) -> Result<Json, Vec<Refusal>> {
        let Document { definitions, operation, variables } = document;
        let told = get_operation(definitions, *operation)
            .and_then(|operation| execute_validated_query(definitions, operation, &self.0, variables, turn));
        let (data, errors) = told.map_err(|error| vec![unfit(&error)])?;
        Ok(match errors.is_empty() {
            true => json!({ "data": data }),
            false => json!({ "data": data, "errors": errors }),
        })
    }

    /// Answers a document out of what its root fields were answered.
    ///
    /// # Errors
    /// None that [`Graph::read`] would not have found.
    pub(super) fn answer(
        &self,
        document: &Document<'_>,
        answers: HashMap<String, Result<Json, Json>>,
    ) -> Result<Json, Vec<Refusal>> {
        self.run(document, &Turn::Answering(answers))
    }
}

/// How many lists of the schema a selection asks for, and how many within each other.
fn lists(
    selections: &[Selection<'_, Scalar>],
    fragments: &HashMap<&str, &[Selection<'_, Scalar>]>,
    within: bool,
) -> (usize, usize) {
    let of = |selection: &Selection<'_, Scalar>| match selection {
        Selection::Field(field) => {
            let name = field.item.name.item;
            let within = within || name == "__schema" || name == "__type";
            let own = usize::from(within && LISTS_OF_SCHEMA.contains(&name));
            let inner = field.item.selection_set.as_deref().unwrap_or_default();
            let (count, deep) = lists(inner, fragments, within);
            (own + count, own + deep)
        }
        Selection::FragmentSpread(spread) => {
            lists(fragments.get(spread.item.name.item).copied().unwrap_or_default(), fragments, within)
        }
        Selection::InlineFragment(inline) => lists(&inline.item.selection_set, fragments, within),
    };
    let sum =
        |(count, deep): (usize, usize), (more, deeper): (usize, usize)| (count + more, deep.max(deeper));
    selections.iter().map(of).fold((0, 0), sum)
}

fn broken(errors: Vec<RuleError>) -> Result<(), Vec<Refusal>> {
    if errors.is_empty() {
        return Ok(());
    }
    let told = errors.iter().take(TOLD);
    Err(told.map(|error| Refusal::new(without_values(error.message()), error.locations())).collect())
}

fn unfit(error: &GraphQLError) -> Refusal {
    let message = match error {
        GraphQLError::MultipleOperationsProvided => {
            "there are several operations: `operationName` says which"
        }
        GraphQLError::UnknownOperationName | GraphQLError::NoOperationProvided => {
            "there is no such operation"
        }
        GraphQLError::IsSubscription | GraphQLError::NotSubscription => "only queries can be asked here",
        GraphQLError::ParseError(_) | GraphQLError::ValidationError(_) => "the document cannot be read",
    };
    Refusal::new(message, &[])
}

/// What is wrong with a text, without what it says.
fn in_words(error: &ParseError) -> String {
    match error {
        ParseError::UnexpectedToken(_) => "something else is expected here".to_owned(),
        ParseError::LexerError(_) => "this is no word and no value of GraphQL".to_owned(),
        known => known.to_string(),
    }
}

/// A message without the values that it quotes: those are in the ends of some, behind these words.
fn without_values(message: &str) -> &str {
    const QUOTING: [&str; 4] = ["Invalid value \"", "Parser error for", "Expected list of length", "Got: `"];
    let end = QUOTING.iter().filter_map(|words| message.find(words)).min().unwrap_or(message.len());
    let told = message[..end].trim_end();
    told.strip_suffix(", reason:").unwrap_or(told).trim_end_matches([':', ',', ' '])
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use commands::Catalog;

    use super::*;
    use crate::{http::routes, openapi};

    static GRAPH: LazyLock<Graph> = LazyLock::new(|| {
        let catalog = Catalog::new();
        let routes = routes(&catalog);
        Graph::new(&openapi::document(&catalog, projections::read_models(), &routes), &routes)
    });

    fn asked(query: &str) -> Vec<String> {
        let (_, asked) = GRAPH.read(query, None, Variables::new()).unwrap();
        asked.into_iter().map(|asked| asked.uri().unwrap()).collect()
    }

    fn refused(query: &str) -> String {
        let refused = GRAPH.read(query, None, Variables::new());
        let Err(refusals) = refused else { panic!("{query} is not refused") };
        refusals.into_iter().map(|refusal| refusal.message).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_document_asks_what_it_selects_wherever_that_stands() {
        let query = r#"
            query($yes: Boolean = true) {
                mine: orgs(limit: 2, sort: ["-code", "name"], filters: { kind: "faculty", name_search: "a & b" }) {
                    items { code ...on OrgDirectoryRow { kind } ...names city @skip(if: $yes) }
                }
                mine: orgs(limit: 2, sort: ["-code", "name"], filters: { kind: "faculty", name_search: "a & b" }) {
                    next
                    items { parent }
                }
                orgs_by_id(id: "7/8") { __typename }
            }
            fragment names on OrgDirectoryRow { name }"#;
        let list = "/v1/orgs?sort=-code%2Cname&limit=2&kind=faculty&name.search=a%20%26%20b";
        let asked = asked(query);
        assert_eq!(asked.len(), 2, "{asked:?}");
        let (path, fields) = asked[0].split_once("&fields=").unwrap();
        let sorted = |uri: &str| {
            let mut parts: Vec<String> = uri.split(['?', '&']).map(str::to_owned).collect();
            parts.sort();
            parts
        };
        assert_eq!((sorted(path), fields), (sorted(list), "code%2Ckind%2Cname%2Cparent"));
        assert_eq!(asked[1], "/v1/orgs/7%2F8?fields=as_of");
    }

    #[test]
    fn the_schema_is_told_to_the_tools_that_ask_for_it_and_to_nobody_in_excess() {
        let told = juniper::introspect(
            &GRAPH.0,
            &Turn::Answering(HashMap::new()),
            juniper::IntrospectionFormat::All,
        );
        let (schema, errors) = told.unwrap();
        assert!(errors.is_empty(), "{errors:?}");
        let schema = serde_json::to_string(&schema).unwrap();
        assert!(schema.contains("OrgDirectoryRow") && schema.contains("name_search"));
        // As it is written in GraphiQL and in most generators.
        assert_eq!(asked(TOOLS), Vec::<String>::new());
        let wide: String = (0..17).map(|n| format!("a{n}: types {{ name }} ")).collect();
        let within =
            "{ __schema { types { fields { type { fields { type { fields { args { name } } } } } } } } }";
        for query in [format!("{{ __schema {{ {wide} }} }}"), within.to_owned()] {
            assert_eq!(refused(&query), "more of the schema than is told at once");
        }
    }

    const TOOLS: &str = r"
        query IntrospectionQuery {
            __schema {
                queryType { name } mutationType { name } subscriptionType { name }
                types { ...FullType }
                directives { name description locations args { ...InputValue } }
            }
        }
        fragment FullType on __Type {
            kind name description
            fields(includeDeprecated: true) {
                name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
            }
            inputFields { ...InputValue }
            interfaces { ...TypeRef }
            enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
            possibleTypes { ...TypeRef }
        }
        fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
        fragment TypeRef on __Type {
            kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
            ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
            } } } } } } } } }
        }";

    #[test]
    fn a_document_that_costs_too_much_is_refused_before_anything_is_asked() {
        let deep = format!("{}a{}", "{ a ".repeat(30), " }".repeat(30));
        assert!(refused(&deep).contains("nesting exceeds"));
        let lists = format!("{{ orgs(sort: {}\"a\"{}) {{ next }} }}", "[".repeat(5000), "]".repeat(5000));
        assert!(refused(&lists).contains("exceeds the limit"));
        let aliases: String = (0..101).map(|n| format!("a{n}: orgs {{ next }} ")).collect();
        assert_eq!(refused(&format!("{{ {aliases} }}")), "more than 100 root fields");
        let again: String = (0..50).map(|n| format!("a{n}: code ")).collect();
        assert!(refused(&format!("{{ orgs {{ items {{ {again} }} }} }}")).contains("again and again"));
        let many: String = (0..2000).map(|n| format!("a{n}: __typename ")).collect();
        assert!(refused(&format!("{{ {many} }}")).contains("exceeds the limit"));
        // Each fragment spreads the one after it twice.
        let bomb: String =
            (0..20).map(|n| format!("fragment f{n} on Query {{ ...f{m} ...f{m} }} ", m = n + 1)).collect();
        let bomb = format!("{{ ...f0 }} {bomb} fragment f20 on Query {{ __typename }}");
        assert!(refused(&bomb).contains("exceeds the limit"), "{}", refused(&bomb));
    }

    #[test]
    fn what_fits_no_schema_is_refused_without_a_repetition_of_its_values() {
        for (query, why) in [
            ("{ orgs { items { colour } } }", "Unknown field \"colour\""),
            ("{ people_of_mine { next } }", "Unknown field"),
            ("{ orgs(limit: \"zugvogel\") { next } }", "limit"),
            ("{ orgs(filters: { colour: \"zugvogel\" }) { next } }", "colour"),
            ("{ orgs(filters: { name_search: [\"zugvogel\"] }) { next } }", "name_search"),
            ("{ orgs { next }", "end of input"),
            ("{ orgs { next } } \"zugvogel\"", "expected here"),
            ("{ orgs { next } } ?", "no word"),
            ("mutation { orgs { next } }", ""),
            ("subscription { orgs { next } }", ""),
            ("query a { orgs { next } } query b { orgs { next } }", "operationName"),
            ("{ orgs_by_id { code } }", "id"),
            ("{ orgs }", "orgs"),
            ("{ orgs { next { a } } }", "next"),
            ("{ orgs @skip { next } }", "if"),
            ("{ orgs @skip(if: \"zugvogel\") { next } }", ""),
            ("{ orgs @include(if: $unknown) { next } }", "unknown"),
            ("query($n: Int!) { orgs(limit: $n) { next } }", "was not provided"),
            ("query($n: Nothing) { orgs(limit: $n) { next } }", ""),
            ("{ ...a } fragment a on Query { ...a }", ""),
            ("{ ...nothing }", "nothing"),
            ("{ orgs(limit: 1) { next } orgs(limit: 2) { next } }", "conflict"),
            ("{ __type(name: null) { name } }", ""),
            ("{ orgs(limit: 99999999999999999999) { next } }", ""),
            ("{ transactions(filters: { amount_from: 99999999999999999999 }) { next } }", ""),
            ("", ""),
            ("fragment a on Query { __typename }", ""),
        ] {
            let told = refused(query);
            assert!(told.contains(why) && !told.contains("zugvogel"), "{query}: {told}");
        }
    }
}
