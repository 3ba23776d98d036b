//! Every command by the names of its route, with its schema: what an edge needs to offer all of them and describe each.
//!
//! It is made by visiting the domain's one list of aggregates. A new command appears here because its variant exists.

use std::{collections::BTreeMap, marker::PhantomData};

use domain::{
    Decider, Event,
    registry::{self, Visitor, command_text},
};
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, value::RawValue};
use strum::VariantNames;
use uuid::Uuid;

use crate::{Accepted, CommandError, Commands, Request};

/// One command.
#[derive(Clone, Debug)]
pub struct CommandEntry {
    /// The variant's name, such as `SubmitApplication`.
    pub name: &'static str,
    /// The last segment of its route, such as `submit-application`.
    pub segment: String,
    /// Whether only the system itself may issue it; it has no route.
    pub system: bool,
    /// Whose proof of who they are must be fresh (IDN-S5).
    pub elevated: Elevated,
    /// A field and those of its values with which that is not asked.
    pub elevated_unless: Option<(String, Vec<Value>)>,
    /// What it does, in words.
    pub description: String,
    /// The JSON schema of its fields; references point to [`Catalog::definitions`].
    pub schema: Value,
}

/// Whether whoever issues a command must have proven just now who they are (IDN-S5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Elevated {
    /// It is not asked.
    #[default]
    No,
    /// Whoever has logged in must; a token that comes from no login has nothing to prove it with.
    Login,
    /// Everybody must.
    Always,
}

/// One event type.
#[derive(Clone, Debug)]
pub struct EventEntry {
    /// The event type.
    pub name: &'static str,
    /// The newest schema version.
    pub version: u16,
    /// What happened, in words.
    pub description: String,
    /// The JSON schema of its fields.
    pub schema: Value,
}

/// One reason of an aggregate's own to refuse a command.
#[derive(Clone, Debug)]
pub struct RefusalEntry {
    /// The stable code.
    pub code: String,
    /// The JSON schema of its details.
    pub schema: Value,
}

/// One aggregate with its commands and events.
pub struct AggregateEntry {
    /// The storage name, `context.aggregate`.
    pub aggregate_type: &'static str,
    /// The first segment of its routes, in kebab case.
    pub context: String,
    /// The second segment of its routes, in kebab case.
    pub aggregate: String,
    /// Its commands, in the order of the enum.
    pub commands: Vec<CommandEntry>,
    /// Its events, in the order of the enum.
    pub events: Vec<EventEntry>,
    /// Its own reasons to refuse a command, by code.
    pub refusals: Vec<RefusalEntry>,
    executor: Box<dyn Execute>,
}

impl AggregateEntry {
    /// Issues a command from the text of its fields.
    pub fn execute<'a>(
        &'a self,
        commands: &'a Commands,
        id: Uuid,
        command: &'a CommandEntry,
        fields: &'a RawValue,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Accepted, CommandError>> {
        self.executor.execute(commands, id, command.name, fields, request)
    }

    /// The command of a route's last segment.
    pub fn command(&self, segment: &str) -> Option<&CommandEntry> {
        self.commands.iter().find(|command| command.segment == segment)
    }
}

/// All aggregates, and the schemas that theirs refer to.
pub struct Catalog {
    /// The aggregates, in the order of the list.
    pub aggregates: Vec<AggregateEntry>,
    /// Named schemas, to be placed at `#/components/schemas`.
    pub definitions: Map<String, Value>,
}

impl Catalog {
    /// Visits the list of aggregates.
    pub fn new() -> Self {
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into());
        let mut listing = Listing { aggregates: Vec::new(), schemas: settings.into_generator() };
        registry::every_aggregate(&mut listing);
        Catalog { aggregates: listing.aggregates, definitions: listing.schemas.take_definitions(true) }
    }

    /// The aggregate of a route's first two segments.
    pub fn aggregate(&self, context: &str, aggregate: &str) -> Option<&AggregateEntry> {
        self.aggregates.iter().find(|entry| entry.context == context && entry.aggregate == aggregate)
    }

    /// The aggregate and the command of a variant's name; command names are unique per aggregate type.
    pub fn command(&self, aggregate_type: &str, name: &str) -> Option<(&AggregateEntry, &CommandEntry)> {
        let aggregate = self.aggregates.iter().find(|entry| entry.aggregate_type == aggregate_type)?;
        let command = aggregate.commands.iter().find(|command| command.name == name)?;
        Some((aggregate, command))
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new()
    }
}

struct Listing {
    aggregates: Vec<AggregateEntry>,
    schemas: SchemaGenerator,
}

impl Visitor for Listing {
    fn aggregate<D: Decider>(&mut self) {
        let (context, aggregate) = D::TYPE.split_once('.').expect("a storage name is context.aggregate");
        let mut commands = variants::<D::Command>(&mut self.schemas);
        let mut events = variants::<D::Event>(&mut self.schemas);
        let commands = D::Command::VARIANTS.iter().map(|name| {
            let Variant { schema, description, system, elevated, elevated_unless } =
                commands.remove(*name).unwrap_or_default();
            let segment = kebab(name);
            CommandEntry { name, segment, system, elevated, elevated_unless, description, schema }
        });
        let events = D::Event::VARIANTS.iter().map(|name| {
            let Variant { schema, description, .. } = events.remove(*name).unwrap_or_default();
            EventEntry { name, version: D::Event::version(name), description, schema }
        });
        let refusals = variants::<D::Refusal>(&mut self.schemas).into_iter();
        let refusals = refusals.map(|(code, variant)| RefusalEntry { code, schema: variant.schema });
        self.aggregates.push(AggregateEntry {
            aggregate_type: D::TYPE,
            context: context.replace('_', "-"),
            aggregate: aggregate.replace('_', "-"),
            commands: commands.collect(),
            events: events.collect(),
            refusals: refusals.collect(),
            executor: Box::new(Executor::<D>(PhantomData)),
        });
    }
}

/// One variant of an externally tagged enum of struct variants: its schema, description and marks.
#[derive(Default)]
struct Variant {
    schema: Value,
    description: String,
    system: bool,
    elevated: Elevated,
    elevated_unless: Option<(String, Vec<Value>)>,
}

fn variants<T: JsonSchema>(generator: &mut SchemaGenerator) -> BTreeMap<String, Variant> {
    let schema = T::json_schema(generator).to_value();
    let listed = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array).cloned();
    // An enum of one variant is not a choice.
    let listed = listed.unwrap_or_else(|| vec![schema]);
    let mut found = BTreeMap::new();
    for variant in listed {
        let text = |key: &str| variant.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(properties) = variant.get("properties").and_then(Value::as_object) else { continue };
        for (name, fields) in properties {
            let mark = |mark: &str| variant.get(mark).or_else(|| fields.get(mark));
            let description =
                text("description").or_else(|| fields.get("description")?.as_str().map(str::to_owned));
            let variant = Variant {
                schema: fields.clone(),
                description: description.unwrap_or_default(),
                system: mark("x-system") == Some(&Value::Bool(true)),
                elevated: match mark("x-elevated").and_then(Value::as_str) {
                    Some("always") => Elevated::Always,
                    Some("login") => Elevated::Login,
                    _ => Elevated::No,
                },
                elevated_unless: mark("x-elevated-unless").and_then(values),
            };
            found.insert(name.clone(), variant);
        }
    }
    found
}

/// A field and some of its values: an object of one member.
fn values(mark: &Value) -> Option<(String, Vec<Value>)> {
    let (field, values) = mark.as_object()?.iter().next()?;
    Some((field.clone(), values.as_array()?.clone()))
}

/// `SubmitApplication` → `submit-application`.
fn kebab(name: &str) -> String {
    let mut segment = String::with_capacity(name.len() + 4);
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            segment.push('-');
        }
        segment.push(letter.to_ascii_lowercase());
    }
    segment
}

/// Reads a command from the text of its fields.
fn read<D: Decider>(name: &str, fields: &RawValue) -> Result<D::Command, CommandError> {
    let text = command_text(name, fields);
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text)).map_err(|error| {
        let path = error.path().to_string();
        let mut field = path.strip_prefix(name).unwrap_or(&path).trim_start_matches('.').to_owned();
        let full = error.into_inner().to_string();
        // The place in the text is that of the wrapped text, and a field is named anyway.
        let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(message, _)| message).to_owned();
        let shape =
            ["missing field", "unknown field", "invalid type", "duplicate field", "expected", "trailing"];
        let value = !shape.iter().any(|start| message.starts_with(start));
        if let Some(named) = message.split('`').nth(1)
            && (message.starts_with("missing field") || message.starts_with("unknown field"))
            && !field.ends_with(named)
        {
            field = if field.is_empty() { named.to_owned() } else { format!("{field}.{named}") };
        }
        CommandError::Malformed { field, message, value }
    })
}

/// One aggregate's execution, without its type.
trait Execute: Send + Sync {
    fn execute<'a>(
        &'a self,
        commands: &'a Commands,
        id: Uuid,
        name: &'a str,
        fields: &'a RawValue,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Accepted, CommandError>>;
}

struct Executor<D>(PhantomData<fn() -> D>);

impl<D: Decider> Execute for Executor<D> {
    fn execute<'a>(
        &'a self,
        commands: &'a Commands,
        id: Uuid,
        name: &'a str,
        fields: &'a RawValue,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Accepted, CommandError>> {
        Box::pin(async move {
            let command = read::<D>(name, fields)?;
            commands.execute::<D>(id, command, request).await
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::identity::{OrgUnit, OrgUnitCommand};

    use super::*;

    #[test]
    fn every_command_has_a_schema_and_a_description() {
        for aggregate in Catalog::new().aggregates {
            for command in aggregate.commands {
                assert!(command.schema.is_object() && !command.description.is_empty(), "{}", command.name);
            }
        }
    }

    #[test]
    fn a_route_is_the_storage_name_and_the_variant_in_kebab_case() {
        let catalog = Catalog::new();
        let (aggregate, command) = catalog.command("identity.org_unit", "CreateOrgUnit").unwrap();
        assert_eq!(
            (&*aggregate.context, &*aggregate.aggregate, &*command.segment),
            ("identity", "org-unit", "create-org-unit")
        );
    }

    fn refused(text: &str) -> (String, bool) {
        let fields: Box<RawValue> = serde_json::from_str(text).unwrap();
        match read::<OrgUnit>("ReviseOrgUnit", &fields) {
            Err(CommandError::Malformed { field, value, .. }) => (field, value),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("accepted {text}"),
        }
    }

    #[test]
    fn a_malformed_body_names_the_field_at_fault() {
        assert_eq!(refused(r#"{"nmae":"x"}"#), ("nmae".into(), false));
        assert_eq!(refused(r#"{"name":7}"#), ("name".into(), false));
        assert_eq!(refused(r#"{"type":"castle"}"#), ("type".into(), true));
    }

    #[test]
    fn a_body_becomes_the_variant_that_the_route_names() {
        let fields: Box<RawValue> = serde_json::from_str(r#"{"reason":"merged"}"#).unwrap();
        let command = read::<OrgUnit>("DeactivateOrgUnit", &fields).unwrap();
        assert!(matches!(command, OrgUnitCommand::DeactivateOrgUnit { reason } if reason == "merged"));
    }
}
