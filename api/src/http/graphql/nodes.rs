//! The types and values of the schema, as the library wants them. A document is run twice: first on nothing, which tells
//! what it asks for, whatever fragments, directives and aliases it is written with; then on what was answered.

use std::{cell::RefCell, collections::HashMap, convert::Infallible, sync::Arc};

use juniper::{
    ArcStr, Arguments, Context, ExecutionResult, Executor, FieldError, FromInputValue, GraphQLType,
    GraphQLValue, InputValue, ParseError, ParseScalarValue, Registry, ScalarToken, Type, Value,
    meta::{Field, MetaType},
};
use serde_json::Value as Json;

use super::{
    Scalar,
    asked::Asked,
    scalar::output,
    shape::{Argument, Filters, Kind, Object, Of, Root},
};

/// What a document is run on.
pub(super) enum Turn {
    /// On nothing, to learn what it asks for.
    Asking(RefCell<Vec<Asked>>),
    /// On what each root field was answered: a value or a problem.
    Answering(HashMap<String, Result<Json, Json>>),
}

impl Context for Turn {}

/// The type of a [`Node`].
#[derive(Debug, Clone)]
pub(super) enum Info {
    /// The root, with its fields.
    Query(Arc<Vec<Root>>),
    /// An object.
    Object(Arc<Object>),
}

/// A value that has fields.
pub(super) enum Node<'v> {
    /// The root.
    Root,
    /// A part of what will be answered to the root field at this place.
    Asked(usize),
    /// A part of an answer.
    Answered(&'v Json),
}

impl GraphQLType<Scalar> for Node<'_> {
    fn name(info: &Info) -> Option<ArcStr> {
        Some(match info {
            Info::Query(_) => "Query".into(),
            Info::Object(object) => object.name.as_str().into(),
        })
    }

    fn meta(info: &Info, registry: &mut Registry<Scalar>) -> MetaType<Scalar> {
        let (fields, doc): (Vec<Field<Scalar>>, &str) = match info {
            Info::Query(roots) => {
                // Without it no fraction can be read, though it were for nothing.
                registry.get_type::<f64>(&());
                let fields = roots.iter().map(|root| root_field(root, registry));
                (fields.collect(), "The queries of the API. What they show to whom is what they show there.")
            }
            Info::Object(object) => {
                let fields = object.members.iter().map(|member| {
                    let type_of = named(&member.of, registry);
                    let rows = matches!(member.of, Of::Object(_));
                    let type_of = of(type_of, member.list, rows, member.required);
                    field(&member.name, &member.doc, type_of, registry)
                });
                (fields.collect(), object.doc.as_str())
            }
        };
        registry.build_object_type::<Self>(info, &fields).description(doc).into_meta()
    }
}

fn root_field(root: &Root, registry: &mut Registry<Scalar>) -> Field<Scalar> {
    let answer = registry.get_type::<Node<'_>>(&Info::Object(Arc::clone(&root.answer)));
    // Each can be refused by itself.
    let nullable = Type::nullable(ArcStr::from(answer.innermost_name()));
    let mut told = field(&root.name, &root.doc, nullable, registry);
    for argument in &root.arguments {
        told = told.argument(input(argument, registry));
    }
    match &root.filters {
        None => told,
        Some(filters) => {
            let type_of = registry.get_type::<Narrowing>(filters);
            let type_of = Type::nullable(ArcStr::from(type_of.innermost_name()));
            told.argument(juniper::meta::Argument::new("filters", type_of).description("What rows must fit."))
        }
    }
}

fn field(name: &str, doc: &str, type_of: Type, registry: &mut Registry<Scalar>) -> Field<Scalar> {
    let mut field = registry.field::<String>(name, &()).description(doc);
    field.field_type = type_of;
    field
}

fn input(argument: &Argument, registry: &mut Registry<Scalar>) -> juniper::meta::Argument<Scalar> {
    let type_of = of(leaf(argument.kind, registry), argument.list, true, argument.required);
    juniper::meta::Argument::new(argument.name.as_str(), type_of).description(argument.doc.as_str())
}

/// A type by its name, alone or in a list.
fn of(name: ArcStr, list: bool, elements_required: bool, required: bool) -> Type {
    let mut type_of = Type::nullable(name);
    if list {
        type_of = if elements_required { type_of.wrap_non_null() } else { type_of }.wrap_list(None);
    }
    if required { type_of.wrap_non_null() } else { type_of }
}

fn named(of: &Of, registry: &mut Registry<Scalar>) -> ArcStr {
    match of {
        Of::Leaf(kind) => leaf(*kind, registry),
        Of::Object(object) => {
            let known = registry.get_type::<Node<'_>>(&Info::Object(Arc::clone(object)));
            known.innermost_name().into()
        }
    }
}

fn leaf(kind: Kind, registry: &mut Registry<Scalar>) -> ArcStr {
    let known = match kind {
        Kind::Text => registry.get_type::<String>(&()),
        Kind::Int => registry.get_type::<i32>(&()),
        Kind::Float => registry.get_type::<f64>(&()),
        Kind::Boolean => registry.get_type::<bool>(&()),
        Kind::Long | Kind::Uuid | Kind::Instant | Kind::Date | Kind::Json => registry.get_type::<Leaf>(&kind),
    };
    known.innermost_name().into()
}

impl GraphQLValue<Scalar> for Node<'_> {
    type Context = Turn;
    type TypeInfo = Info;

    fn type_name(&self, info: &Info) -> Option<ArcStr> {
        <Self as GraphQLType<Scalar>>::name(info)
    }

    fn concrete_type_name(&self, _: &Turn, info: &Info) -> String {
        <Self as GraphQLType<Scalar>>::name(info).map(|name| name.to_string()).unwrap_or_default()
    }

    fn resolve_field(
        &self,
        info: &Info,
        name: &str,
        arguments: &Arguments<'_, Scalar>,
        executor: &Executor<'_, '_, Turn, Scalar>,
    ) -> ExecutionResult<Scalar> {
        match info {
            Info::Query(roots) => match roots.iter().find(|root| root.name == name) {
                Some(root) => resolve_root(root, arguments, executor),
                None => Ok(Value::null()),
            },
            Info::Object(object) => self.resolve_member(object, name, executor),
        }
    }
}

fn resolve_root(
    root: &Root,
    arguments: &Arguments<'_, Scalar>,
    executor: &Executor<'_, '_, Turn, Scalar>,
) -> ExecutionResult<Scalar> {
    let answer = Info::Object(Arc::clone(&root.answer));
    let key = executor.look_ahead().field_name().to_owned();
    match executor.context() {
        Turn::Asking(asked) => {
            let known = asked.borrow().iter().position(|asked| asked.key == key);
            let place = known.unwrap_or_else(|| {
                let mut asked = asked.borrow_mut();
                asked.push(Asked::of(key, root, arguments));
                asked.len() - 1
            });
            executor.resolve(&answer, &Node::Asked(place))
        }
        Turn::Answering(answers) => match answers.get(&key) {
            Some(Ok(value)) => executor.resolve(&answer, &Node::Answered(value)),
            Some(Err(problem)) => {
                let detail = problem["detail"].as_str().unwrap_or_default();
                Err(FieldError::new(detail, output(problem)))
            }
            None => Ok(Value::null()),
        },
    }
}

impl Node<'_> {
    fn resolve_member(
        &self,
        object: &Object,
        name: &str,
        executor: &Executor<'_, '_, Turn, Scalar>,
    ) -> ExecutionResult<Scalar> {
        let Some(member) = object.members.iter().find(|member| member.name == name) else {
            return Ok(Value::null());
        };
        match (self, &member.of) {
            (Node::Root, _) => Ok(Value::null()),
            (Node::Asked(place), Of::Leaf(_)) => {
                if let Turn::Asking(asked) = executor.context()
                    && let Some(asked) = asked.borrow_mut().get_mut(*place)
                {
                    asked.selected += 1;
                    if object.is_row {
                        asked.columns.insert(name.to_owned());
                    }
                }
                // Anything but null: the fields after it are to be run as well.
                Ok(Value::scalar(true))
            }
            (Node::Asked(place), Of::Object(inner)) => {
                let one = executor.resolve(&Info::Object(Arc::clone(inner)), &Node::Asked(*place))?;
                Ok(if member.list { Value::list(vec![one]) } else { one })
            }
            (Node::Answered(value), Of::Leaf(_)) => Ok(output(&value[name])),
            (Node::Answered(value), Of::Object(inner)) => {
                let info = Info::Object(Arc::clone(inner));
                let resolve = |part: &Json| executor.resolve(&info, &Node::Answered(part));
                match &value[name] {
                    Json::Null => Ok(Value::null()),
                    Json::Array(parts) if member.list => {
                        Ok(Value::list(parts.iter().map(resolve).collect::<Result<_, _>>()?))
                    }
                    part => resolve(part),
                }
            }
        }
    }
}

/// The filters of a root field, as a type. What is in them the query itself reads.
pub(super) struct Narrowing;

impl GraphQLType<Scalar> for Narrowing {
    fn name(info: &Arc<Filters>) -> Option<ArcStr> {
        Some(info.name.as_str().into())
    }

    fn meta(info: &Arc<Filters>, registry: &mut Registry<Scalar>) -> MetaType<Scalar> {
        let arguments: Vec<_> = info.arguments.iter().map(|argument| input(argument, registry)).collect();
        registry.build_input_object_type::<Self>(info, &arguments).into_meta()
    }
}

impl GraphQLValue<Scalar> for Narrowing {
    type Context = Turn;
    type TypeInfo = Arc<Filters>;

    fn type_name(&self, info: &Arc<Filters>) -> Option<ArcStr> {
        <Self as GraphQLType<Scalar>>::name(info)
    }
}

impl FromInputValue<Scalar> for Narrowing {
    type Error = Infallible;

    fn from_input_value(_: &InputValue<Scalar>) -> Result<Self, Infallible> {
        Ok(Narrowing)
    }
}

/// A value without parts of a type that is none of GraphQL's own. Whether it has the right form the query itself tells.
pub(super) struct Leaf;

impl GraphQLType<Scalar> for Leaf {
    fn name(kind: &Kind) -> Option<ArcStr> {
        Some(ArcStr::from(match kind {
            Kind::Text => "String",
            Kind::Int => "Int",
            Kind::Float => "Float",
            Kind::Boolean => "Boolean",
            Kind::Long => "Long",
            Kind::Uuid => "UUID",
            Kind::Instant => "DateTime",
            Kind::Date => "Date",
            Kind::Json => "JSON",
        }))
    }

    fn meta(kind: &Kind, registry: &mut Registry<Scalar>) -> MetaType<Scalar> {
        let meta = registry.build_scalar_type::<Self>(kind);
        match kind {
            Kind::Long => meta.description("An integer of 64 bits, a number in JSON."),
            Kind::Uuid => meta
                .description("A UUID, with hyphens.")
                .specified_by_url("https://www.rfc-editor.org/rfc/rfc9562"),
            Kind::Instant => {
                meta.description("An instant.").specified_by_url("https://www.rfc-editor.org/rfc/rfc3339")
            }
            Kind::Date => meta.description("A date, YYYY-MM-DD."),
            Kind::Json | Kind::Text | Kind::Int | Kind::Float | Kind::Boolean => {
                meta.description("Whatever JSON the API answers here; as an argument, a text or a number.")
            }
        }
        .into_meta()
    }
}

impl GraphQLValue<Scalar> for Leaf {
    type Context = Turn;
    type TypeInfo = Kind;

    fn type_name(&self, kind: &Kind) -> Option<ArcStr> {
        <Self as GraphQLType<Scalar>>::name(kind)
    }
}

impl FromInputValue<Scalar> for Leaf {
    type Error = FieldError<Scalar>;

    fn from_input_value(value: &InputValue<Scalar>) -> Result<Self, FieldError<Scalar>> {
        match value {
            InputValue::Scalar(_) => Ok(Leaf),
            _ => Err("expected a text, a number, or true or false".into()),
        }
    }
}

impl ParseScalarValue<Scalar> for Leaf {
    fn from_str(token: ScalarToken<'_>) -> Result<Scalar, ParseError> {
        match token {
            ScalarToken::String(_) => <String as ParseScalarValue<Scalar>>::from_str(token),
            ScalarToken::Float(_) => <f64 as ParseScalarValue<Scalar>>::from_str(token),
            ScalarToken::Int(digits) => {
                let number = digits.parse::<i64>().map(Scalar::from);
                number.map_err(|_| ParseError::UnexpectedToken(digits.into()))
            }
        }
    }
}
