//! CloudEvents 1.0, one as JSON in each line: what `annals-replay import` reads.
//!
//! `data` is the event as it is recorded: `payload`, with the places of personal values; `metadata`; and `personal`, the
//! values of each place by person and record class, null where they are sealed or erased. Positions are texts, for an
//! Integer of CloudEvents has 32 bits.

use std::{io::Write, path::Path, sync::Arc};

use domain::RecordClass;
use event_store::{History, Keyring, Recorded};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    Sink,
    output::{Output, Written},
};
use crate::{
    event::{Event, Personal},
    failure::Failure,
};

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: Uuid,
    source: &'a str,
    r#type: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    position: String,
    sequence: String,
    aggregatetype: &'a str,
    eventtype: &'a str,
    eventversion: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commandid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    payload: &'a RawValue,
    metadata: &'a RawValue,
    personal: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    subject: Uuid,
    class: String,
    /// The values in the order of their places.
    values: Option<Box<RawValue>>,
}

/// A file of CloudEvents.
pub(super) struct CloudEvents {
    output: Output,
    source: String,
    keys: Arc<History>,
    personal: Personal,
}

impl CloudEvents {
    /// These keys are loaded for an event before it is written.
    pub(super) fn create(
        folder: &Path,
        keys: Arc<History>,
        incarnation: Uuid,
        personal: Personal,
    ) -> Result<Self, Failure> {
        let output = Output::create(folder, "events.cloudevents.jsonl")?;
        Ok(CloudEvents { output, source: format!("urn:annals:{incarnation}"), keys, personal })
    }

    fn groups(&self, recorded: &Recorded) -> Result<Vec<Group>, Failure> {
        let about = recorded.sealed.as_deref().map(Keyring::boxes).transpose()?.unwrap_or_default();
        let group = |(header, opened): (event_store::BoxHeader, Option<Vec<u8>>)| {
            let shown = match self.personal {
                Personal::Sealed => false,
                Personal::Opened => true,
                Personal::OpenedFor(person) => person == header.subject,
            };
            // What proves who somebody is leaves the house in no export.
            let shown = shown && header.class != RecordClass::Secret.name();
            let values = opened.filter(|_| shown).and_then(|values| serde_json::from_slice(&values).ok());
            Group { subject: header.subject, class: header.class.into_owned(), values }
        };
        Ok(about.into_iter().zip(self.keys.open(recorded)?).map(group).collect())
    }
}

impl Sink for CloudEvents {
    fn write(&mut self, recorded: &Recorded, event: &Event) -> Result<(), Failure> {
        let metadata: serde_json::Value = serde_json::from_str(&recorded.metadata).unwrap_or_default();
        let line = CloudEvent {
            specversion: "1.0",
            id: event.event_id,
            source: &self.source,
            r#type: format!("annals.{}.{}.v{}", event.aggregate_type, event.event_type, event.version),
            subject: &event.aggregate_id,
            time: event.recorded_at.to_string(),
            datacontenttype: "application/json",
            position: event.position.to_string(),
            sequence: event.sequence.to_string(),
            aggregatetype: &event.aggregate_type,
            eventtype: &event.event_type,
            eventversion: &event.version,
            commandid: event.command_id,
            traceparent: metadata.get("traceparent").and_then(|text| Some(text.as_str()?.to_owned())),
            data: Data {
                payload: serde_json::from_str(&recorded.payload).map_err(std::io::Error::from)?,
                metadata: serde_json::from_str(&recorded.metadata).map_err(std::io::Error::from)?,
                personal: self.groups(recorded)?,
            },
        };
        serde_json::to_writer(&mut self.output, &line).map_err(std::io::Error::from)?;
        Ok(self.output.write_all(b"\n")?)
    }

    fn finish(self: Box<Self>) -> Result<Written, Failure> {
        Ok(self.output.finish()?)
    }
}
