//! One row for each event: the columns that CSV and Parquet share, and CSV itself.

use std::path::Path;

use event_store::Recorded;

use super::{
    Sink,
    output::{Output, Written},
};
use crate::{event::Event, failure::Failure};

/// The columns that are text, in order, after `position`, `sequence` and `recorded_at`.
pub(super) const TEXTS: [&str; 17] = [
    "event_id",
    "event_type",
    "event_version",
    "aggregate_type",
    "aggregate_id",
    "occurred_at",
    "actor",
    "on_behalf_of",
    "purpose",
    "legal_basis",
    "subjects",
    "record_classes",
    "command_id",
    "correlation_id",
    "causation_id",
    "derived_from",
    "data",
];

/// The texts of an event, in the order of [`TEXTS`]; none where nothing is stated.
pub(super) fn texts(event: &Event) -> [Option<String>; TEXTS.len()] {
    let list = |list: &[String]| (!list.is_empty()).then(|| list.join(" "));
    let subjects: Vec<String> = event.subjects.iter().map(ToString::to_string).collect();
    [
        Some(event.event_id.to_string()),
        Some(event.event_type.clone()),
        Some(event.version.clone()),
        Some(event.aggregate_type.clone()),
        Some(event.aggregate_id.clone()),
        Some(event.occurred_at.to_string()),
        Some(event.actor.clone()),
        event.on_behalf_of.map(|id| id.to_string()),
        event.purpose.clone(),
        event.legal_basis.clone(),
        list(&subjects),
        list(&event.record_classes),
        event.command_id.map(|id| id.to_string()),
        event.correlation_id.map(|id| id.to_string()),
        event.causation_id.map(|id| id.to_string()),
        list(&event.derived_from),
        Some(event.data.to_string()),
    ]
}

/// CSV (RFC 4180), with a header.
pub(super) struct Csv(csv::Writer<Output>);

impl Csv {
    pub(super) fn create(folder: &Path) -> Result<Self, Failure> {
        let mut writer = csv::Writer::from_writer(Output::create(folder, "events.csv")?);
        let columns = ["position", "sequence", "recorded_at"].into_iter().chain(TEXTS);
        writer.write_record(columns).map_err(std::io::Error::from)?;
        Ok(Csv(writer))
    }
}

impl Sink for Csv {
    fn write(&mut self, _: &Recorded, event: &Event) -> Result<(), Failure> {
        let numbers = [event.position.to_string(), event.sequence.to_string(), event.recorded_at.to_string()];
        let texts = texts(event).into_iter().map(Option::unwrap_or_default);
        Ok(self.0.write_record(numbers.into_iter().chain(texts)).map_err(std::io::Error::from)?)
    }

    fn finish(self: Box<Self>) -> Result<Written, Failure> {
        let output = self.0.into_inner().map_err(|error| error.into_error())?;
        Ok(output.finish()?)
    }
}
