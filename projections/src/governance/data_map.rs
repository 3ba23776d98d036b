//! The data map (Art. 30): which event and which read model holds which personal field of which class, for which purpose,
//! and how long. Made of the schemas of the events and rows themselves, of what the register of processing and the policies
//! of retention say, and of the house's defaults where these say nothing: nobody keeps it up to date, so it cannot be out of
//! date.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Decider, RecordClass,
    governance::retention_default,
    registry::{self, Visitor},
};
use event_store::Position;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    GovernanceError, ProcessingRecord, Retention, RetentionBoard,
    package::{retention, rows_about_nobody},
    purposes::Purposes,
};
use crate::{Projections, ReadModel, Table};

/// Where personal data is, by record class.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DataMap {
    /// The position of the log as of which the register and the policies are told; none where only the program was asked.
    pub position: Option<Position>,
    /// The classes.
    pub classes: Vec<ClassMap>,
}

/// Where the personal data of a class is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClassMap {
    /// The class.
    pub class: String,
    /// Whether it is education records (34 CFR 99.3).
    pub education_record: bool,
    /// How long it is kept.
    pub retention: Retention,
    /// For which purposes: the entries of the register of processing that name the class, and the house's defaults for data
    /// of it that none of them covers.
    pub activities: Vec<ProcessingRecord>,
    /// The fields of events.
    pub events: Vec<EventFields>,
    /// The fields of read models.
    pub rows: Vec<RowFields>,
}

/// The personal fields of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventFields {
    /// The aggregate type.
    pub aggregate: String,
    /// The event type.
    pub event: String,
    /// The fields by their path; `[]` stands for each element of a list, `*` for each key of a map.
    pub fields: Vec<String>,
    /// For what they are processed: the names of activities of the class.
    pub activities: Vec<String>,
}

/// The personal fields of a read model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RowFields {
    /// The read model.
    pub model: String,
    /// The fields that are kept sealed.
    pub sealed: Vec<String>,
    /// Whether its table holds values of this class in the clear, to be searched or summed: it is UNLOGGED, and rebuilt
    /// after a shred.
    pub in_the_clear: bool,
    /// For what they are processed: the names of activities of the class.
    pub activities: Vec<String>,
}

/// The data map of the program, without what the log says.
pub fn data_map(models: &[&'static dyn ReadModel]) -> DataMap {
    map_of(models, &Purposes::of(&[]))
}

fn map_of(models: &[&'static dyn ReadModel], purposes: &Purposes) -> DataMap {
    let mut events = Events { schemas: inline(), purposes, found: BTreeMap::new() };
    registry::every_aggregate(&mut events);
    let mut rows = rows_of(models, &events.found);
    let classes = RecordClass::ALL.into_iter().map(|class| {
        let name = class.name();
        let default = retention_default(class);
        let (after, action): (&str, &str) = (default.after.into(), default.action.into());
        let events = events.found.remove(name).unwrap_or_default();
        ClassMap {
            class: name.to_owned(),
            education_record: class == RecordClass::Education,
            retention: Retention {
                days: default.days,
                after: after.to_owned(),
                action: action.to_owned(),
                legal_basis: None,
            },
            activities: activities(purposes, name, &events),
            events,
            rows: rows.remove(name).unwrap_or_default(),
        }
    });
    DataMap { position: None, classes: classes.collect() }
}

impl Projections {
    /// The data map with the register of processing and the policies of retention as the log has them now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn data_map(&self) -> Result<DataMap, GovernanceError> {
        let position = self.0.store.head().await?.position;
        let kept = rows_about_nobody(self, RetentionBoard::NAME, position).await?;
        let mut map = map_of(self.models(), &self.purposes(position).await?);
        map.position = Some(position);
        for class in &mut map.classes {
            class.retention = retention(&class.class, &kept);
        }
        Ok(map)
    }
}

impl DataMap {
    /// As a page of Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from(
            "# Data map\n\nWhich event and which read model holds which personal field of which record class, and for \
             what. This page is written by\n`annals data-map`; `annals-replay data-map` and `/v1/governance/data-map` \
             tell the same with the register of processing\nand the policies of retention that hold. What is marked \
             *default* the house says by itself, because no entry of the\nregister covers it: nobody has confirmed \
             it.\n\nEvents keep these fields sealed \
             with a key of the person, the class and the epoch. Read models keep them sealed too, but for\nthose marked \
             *in the clear*, whose tables are UNLOGGED and rebuilt after keys were destroyed.\n",
        );
        for class in &self.classes {
            let kept = &class.retention;
            let record =
                if class.education_record { " These are education records (34 CFR 99.3)." } else { "" };
            text += &format!(
                "\n## `{}`\n\nKept for {} days after {}, then {}.{record}\n",
                class.class, kept.days, kept.after, kept.action
            );
            if !class.activities.is_empty() {
                text += "\nProcessed for\n\n";
            }
            for activity in &class.activities {
                text += &item(activity);
            }
            if !class.events.is_empty() {
                text += "\n| Event | Fields | For |\n|---|---|---|\n";
            }
            for event in &class.events {
                let (fields, purposes) = (code(&event.fields), event.activities.join("; "));
                text += &format!("| `{}` {} | {fields} | {purposes} |\n", event.aggregate, event.event);
            }
            if !class.rows.is_empty() {
                text += "\n| Read model | Fields | For |\n|---|---|---|\n";
            }
            for row in &class.rows {
                let clear = row.in_the_clear.then(|| "*in the clear*".to_owned());
                let sealed = Some(code(&row.sealed)).filter(|fields| !fields.is_empty());
                let fields: Vec<String> = sealed.into_iter().chain(clear).collect();
                let purposes = row.activities.join("; ");
                text += &format!("| `{}` | {} | {purposes} |\n", row.model, fields.join("; "));
            }
        }
        text
    }
}

/// An activity as an item of a list.
fn item(activity: &ProcessingRecord) -> String {
    let ProcessingRecord { name, purpose, legal_basis, .. } = activity;
    let default = if activity.default { " (*default*)" } else { "" };
    let ferpa = activity.ferpa_basis.as_ref().map(|basis| format!("; {basis}")).unwrap_or_default();
    let recipients = match activity.recipients.join(", ") {
        none if none.is_empty() => "nobody else".to_owned(),
        recipients => recipients,
    };
    format!("- {name}{default}: {purpose}. {legal_basis}{ferpa}. Recipients: {recipients}.\n")
}

/// For what the data of a class is processed.
fn activities(purposes: &Purposes, class: &str, events: &[EventFields]) -> Vec<ProcessingRecord> {
    let mut found: Vec<ProcessingRecord> = purposes.registered_for(class).cloned().collect();
    for event in events {
        for record in purposes.of_event(&event.aggregate, &event.event, Some(class)) {
            if !found.contains(record) {
                found.push(record.clone());
            }
        }
    }
    found
}

fn code(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn inline() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator()
}

/// Personal fields of events, by class.
struct Events<'p> {
    schemas: SchemaGenerator,
    purposes: &'p Purposes,
    found: BTreeMap<String, Vec<EventFields>>,
}

impl Visitor for Events<'_> {
    fn aggregate<D: Decider>(&mut self) {
        let schema = D::Event::json_schema(&mut self.schemas).to_value();
        let variants = ["oneOf", "anyOf"].iter().find_map(|choice| schema[*choice].as_array().cloned());
        for variant in variants.unwrap_or_else(|| vec![schema]) {
            let Some(properties) = variant["properties"].as_object() else { continue };
            for (event, fields) in properties {
                let mut paths = BTreeMap::new();
                personal("", fields, &mut paths);
                for (class, fields) in paths {
                    let fields = fields.into_iter().collect();
                    let (aggregate, event) = (D::TYPE.to_owned(), event.clone());
                    let activities = self.purposes.of_event(&aggregate, &event, Some(&class));
                    let activities = activities.into_iter().map(|record| record.name.clone()).collect();
                    let fields = EventFields { aggregate, event, fields, activities };
                    self.found.entry(class).or_default().push(fields);
                }
            }
        }
    }
}

/// Personal fields of read models, by class. What a table holds in the clear may be of any class of the events that it is
/// folded from.
fn rows_of(
    models: &[&'static dyn ReadModel],
    events: &BTreeMap<String, Vec<EventFields>>,
) -> BTreeMap<String, Vec<RowFields>> {
    let mut schemas = inline();
    let mut rows: BTreeMap<String, Vec<RowFields>> = BTreeMap::new();
    for model in models {
        let shape = model.shape();
        let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for column in shape.personal {
            let schema = (column.schema)(&mut schemas).to_value();
            personal(column.name, &schema, &mut paths);
        }
        for (class, events) in events {
            let fed = events.iter().any(|event| shape.fed_by.contains(&event.aggregate.as_str()));
            if shape.options.unlogged && fed {
                paths.entry(class.clone()).or_default();
            }
        }
        for (class, sealed) in paths {
            let fed = |event: &&EventFields| shape.fed_by.contains(&event.aggregate.as_str());
            let of_class: Vec<&EventFields> = events.get(&class).into_iter().flatten().filter(fed).collect();
            let (sealed, in_the_clear) =
                (sealed.into_iter().collect(), shape.options.unlogged && !of_class.is_empty());
            let activities: BTreeSet<&String> = of_class.iter().flat_map(|event| &event.activities).collect();
            rows.entry(class).or_default().push(RowFields {
                model: shape.name.to_owned(),
                sealed,
                in_the_clear,
                activities: activities.into_iter().cloned().collect(),
            });
        }
    }
    rows
}

/// The paths of personal fields in a schema, by class.
fn personal(path: &str, schema: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if let Some(class) = schema["x-personal"].as_str() {
        found.entry(class.to_owned()).or_default().insert(path.to_owned());
        return;
    }
    let none = Map::new();
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, field) in schema["properties"].as_object().unwrap_or(&none) {
        personal(&below(name), field, found);
    }
    if schema["items"].is_object() {
        personal(&format!("{path}[]"), &schema["items"], found);
    }
    if schema["additionalProperties"].is_object() {
        personal(&below("*"), &schema["additionalProperties"], found);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        for one in schema[choice].as_array().into_iter().flatten() {
            personal(path, one, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> ClassMap {
        data_map(crate::read_models()).classes.into_iter().find(|class| class.class == name).unwrap()
    }

    #[test]
    fn the_committed_data_map_is_current() {
        let committed = include_str!("../../../docs/data-map.md");
        let current = data_map(crate::read_models()).to_markdown();
        assert!(committed == current, "run `annals data-map > docs/data-map.md`");
    }

    #[test]
    fn personal_fields_are_found_in_events_and_rows_however_deep_they_are() {
        let identity = class("identity");
        let named = |event: &str| identity.events.iter().find(|fields| fields.event == event);
        assert_eq!(named("DisclosureRequested").unwrap().fields, ["address", "party"]);
        let log = identity.rows.iter().find(|rows| rows.model == "disclosure_log").unwrap();
        assert!(log.sealed.contains(&"redisclosures[].party".to_owned()), "{log:?}");
        assert!(class("education").education_record && !identity.education_record);
    }

    #[test]
    fn art_30_every_personal_field_of_every_event_and_read_model_has_a_purpose() {
        for class in data_map(crate::read_models()).classes {
            let known = |named: &String| class.activities.iter().any(|activity| activity.name == *named);
            for event in &class.events {
                let purposes = !event.activities.is_empty() && event.activities.iter().all(known);
                assert!(purposes, "for what is {} of {event:?} processed?", class.class);
            }
            for row in &class.rows {
                let purposes = !row.activities.is_empty() && row.activities.iter().all(known);
                assert!(purposes, "for what is {} of {row:?} processed?", class.class);
            }
            assert!(class.activities.iter().all(|activity| activity.default), "nobody has confirmed any");
        }
    }

    #[test]
    fn every_field_that_an_event_seals_is_on_the_map() {
        // Counted another way: in the text of the schemas.
        struct Marks(usize);
        impl Visitor for Marks {
            fn aggregate<D: Decider>(&mut self) {
                let schema = D::Event::json_schema(&mut inline()).to_value();
                self.0 += schema.to_string().matches("\"x-personal\":").count();
            }
        }
        let mut marks = Marks(0);
        registry::every_aggregate(&mut marks);
        let map = data_map(crate::read_models());
        let fields = map.classes.iter().flat_map(|class| &class.events).map(|event| event.fields.len());
        assert_eq!(fields.sum::<usize>(), marks.0);
    }
}
