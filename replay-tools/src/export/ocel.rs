//! OCEL 2.0 as JSON (ocel-standard.org): events, the objects that they are about, and the types of both.
//!
//! Objects are streams (`aggregate_type:id`), people (`person:id`) and what something was computed from. The attributes of
//! an event are its envelope and its fields by their path. An attribute has one type in all events of a type: where
//! history says otherwise, the values of the other type have an attribute of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
};

use event_store::Recorded;
use serde::Serialize;
use serde_json::Value;

use super::{
    Sink,
    output::{Output, Written},
};
use crate::{event::Event, failure::Failure};

#[derive(Serialize)]
struct OcelEvent<'a> {
    id: String,
    r#type: &'a str,
    time: String,
    attributes: Vec<Attribute>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct Attribute {
    name: String,
    /// A text whatever the type, as the schema of the standard has it; the type is declared.
    value: String,
}

#[derive(Serialize)]
struct Relationship {
    #[serde(rename = "objectId")]
    object: String,
    qualifier: &'static str,
}

#[derive(Serialize)]
struct OcelType<'a> {
    name: &'a str,
    attributes: Vec<Declared<'a>>,
}

#[derive(Serialize)]
struct Declared<'a> {
    name: &'a str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct OcelObject<'a> {
    id: &'a str,
    r#type: &'a str,
    attributes: [(); 0],
    relationships: [(); 0],
}

/// An object-centric event log. The events are written as they come; what they refer to comes after them.
pub(super) struct Ocel {
    output: Output,
    empty: bool,
    /// The types of the attributes of each type of event.
    types: BTreeMap<String, BTreeMap<String, &'static str>>,
    /// The type of each object.
    objects: BTreeMap<String, String>,
}

impl Ocel {
    pub(super) fn create(folder: &Path) -> Result<Self, Failure> {
        let mut output = Output::create(folder, "events.ocel.json")?;
        output.write_all(b"{\"events\":[")?;
        Ok(Ocel { output, empty: true, types: BTreeMap::new(), objects: BTreeMap::new() })
    }

    fn attributes(&mut self, event: &Event) -> Vec<Attribute> {
        let declared = self.types.entry(event.event_type.clone()).or_default();
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let envelope = [
            ("annals.position", Some(event.position.into())),
            ("annals.sequence", Some(event.sequence.into())),
            ("annals.version", Some(event.version.clone().into())),
            ("annals.actor", Some(event.actor.clone().into())),
            ("annals.purpose", text(&event.purpose)),
            ("annals.legal_basis", text(&event.legal_basis)),
            ("annals.correlation_id", event.correlation_id.map(|id| id.to_string().into())),
            ("annals.causation_id", event.causation_id.map(|id| id.to_string().into())),
            ("annals.transformation", text(&event.transformation)),
        ];
        let envelope = envelope.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let mut attributes = Vec::new();
        for (mut name, value) in envelope.chain(event.fields()) {
            let (kind, value) = typed(value);
            if declared.get(&name).is_some_and(|known| *known != kind) {
                name = format!("{name}#{kind}");
            }
            declared.insert(name.clone(), kind);
            attributes.push(Attribute { name, value });
        }
        attributes
    }

    fn relationships(&mut self, event: &Event) -> Vec<Relationship> {
        let own = (event.aggregate_type.clone(), event.aggregate_id.clone(), "of");
        let people = event.subjects.iter().map(|person| ("person".to_owned(), person.to_string(), "about"));
        let sources = event.derived_from.iter().filter_map(|source| {
            let unversioned = source.split('@').next()?;
            let (kind, id) = unversioned.split_once(':')?;
            Some((kind.to_owned(), id.to_owned(), "derived from"))
        });
        let mut relationships = Vec::new();
        let mut seen = BTreeSet::new();
        for (kind, id, qualifier) in [own].into_iter().chain(people).chain(sources) {
            let object = format!("{kind}:{id}");
            if seen.insert((object.clone(), qualifier)) {
                self.objects.insert(object.clone(), kind);
                relationships.push(Relationship { object, qualifier });
            }
        }
        relationships
    }

    /// A member of the outer object, each of its entries written as it comes.
    fn list<T: Serialize>(&mut self, name: &str, entries: impl Iterator<Item = T>) -> std::io::Result<()> {
        write!(self.output, ",\n\"{name}\":[")?;
        for (index, entry) in entries.enumerate() {
            self.output.write_all(if index == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut self.output, &entry)?;
        }
        self.output.write_all(b"]")
    }
}

impl Sink for Ocel {
    fn write(&mut self, _: &Recorded, event: &Event) -> Result<(), Failure> {
        let written = OcelEvent {
            id: event.event_id.to_string(),
            r#type: &event.event_type,
            time: event.recorded_at.to_string(),
            attributes: self.attributes(event),
            relationships: self.relationships(event),
        };
        self.output.write_all(if self.empty { b"\n" } else { b",\n" })?;
        self.empty = false;
        Ok(serde_json::to_writer(&mut self.output, &written).map_err(std::io::Error::from)?)
    }

    fn finish(mut self: Box<Self>) -> Result<Written, Failure> {
        self.output.write_all(b"]")?;
        let (types, objects) = (std::mem::take(&mut self.types), std::mem::take(&mut self.objects));
        let event_types = types.iter().map(|(name, attributes)| OcelType {
            name,
            attributes: attributes.iter().map(|(name, kind)| Declared { name, r#type: kind }).collect(),
        });
        self.list("eventTypes", event_types)?;
        let kinds: BTreeSet<&String> = objects.values().collect();
        self.list("objectTypes", kinds.into_iter().map(|name| OcelType { name, attributes: Vec::new() }))?;
        let objects = objects.iter().map(|(id, kind)| OcelObject {
            id,
            r#type: kind,
            attributes: [],
            relationships: [],
        });
        self.list("objects", objects)?;
        self.output.write_all(b"}\n")?;
        Ok(self.output.finish()?)
    }
}

/// The type that OCEL knows a value by, and the value as text. Lists are strings.
fn typed(value: Value) -> (&'static str, String) {
    match value {
        Value::Bool(yes) => ("boolean", yes.to_string()),
        Value::Number(number) if number.is_f64() => ("float", number.to_string()),
        Value::Number(number) => ("integer", number.to_string()),
        Value::String(text) => ("string", text),
        Value::Null | Value::Array(_) | Value::Object(_) => ("string", value.to_string()),
    }
}
