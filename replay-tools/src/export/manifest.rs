//! What an export holds, from which log it is, and under which conditions it was given.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use event_store::{Head, Position};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Export, Format,
    output::{Output, Written},
    proofs::Proved,
};
use crate::{event::Personal, failure::Failure};

/// The name of the manifest in the folder.
pub(super) const NAME: &str = "manifest.json";

/// What 34 CFR 99.33 asks of whoever is given education records, which they must be told (99.33(d)).
const NOTICE: &str = "34 CFR 99.33: personally identifiable information from education records is disclosed on the \
condition that the party to whom it is disclosed does not disclose it to any other party without the prior consent of \
the parent or eligible student, except as 34 CFR 99.33(b) permits, and that its officers, employees and agents use it \
only for the purposes for which the disclosure was made.";

/// Writes the notice into a file of its own, so that it reaches whoever is given the folder, in whatever format.
pub(super) fn notice(folder: &Path) -> Result<Written, Failure> {
    let mut file = Output::create(folder, "NOTICE.txt")?;
    writeln!(file, "{NOTICE}")?;
    Ok(file.finish()?)
}

/// The manifest.
#[derive(Debug, Serialize)]
pub(crate) struct Manifest {
    format: Format,
    created_at: Timestamp,
    log: Log,
    /// The stretch that was asked for.
    from: Position,
    to: Position,
    /// Only these types; all where empty.
    types: Vec<String>,
    /// What is in the file.
    #[serde(flatten)]
    pub(super) stretch: Stretch,
    /// Whether personal values were opened.
    personal: &'static str,
    purpose: Option<String>,
    reason: Option<String>,
    /// The number under which it is on the record of its audit replay; none where no personal value was opened.
    pub(super) document: Option<Uuid>,
    pub(super) files: Vec<Written>,
    /// What proves that the events are in the log; none where no notary was at hand.
    proofs: Option<Proved>,
    notice: &'static str,
}

/// The log that it is from.
#[derive(Debug, Serialize)]
struct Log {
    incarnation: Uuid,
    /// The last position when it was written.
    head: Position,
    /// When that was recorded.
    recorded_at: Timestamp,
}

/// What was written.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Stretch {
    pub(super) events: u64,
    pub(super) first: Option<Position>,
    pub(super) last: Option<Position>,
}

impl Stretch {
    pub(super) fn add(&mut self, position: Position) {
        self.events += 1;
        self.first.get_or_insert(position);
        self.last = Some(position);
    }
}

impl Manifest {
    pub(super) fn new(
        export: &Export,
        head: Head,
        to: Position,
        stretch: Stretch,
        personal: Personal,
        files: Vec<Written>,
        proofs: Option<Proved>,
    ) -> Self {
        Manifest {
            format: export.format,
            created_at: Timestamp::now(),
            log: Log { incarnation: head.incarnation, head: head.position, recorded_at: head.recorded_at },
            from: export.from,
            to,
            types: export.types.clone(),
            stretch,
            personal: match personal {
                Personal::Sealed => "sealed",
                Personal::Opened | Personal::OpenedFor(_) => "opened",
            },
            purpose: export.opening.purpose.clone(),
            reason: export.opening.reason.clone(),
            document: None,
            files,
            proofs,
            notice: NOTICE,
        }
    }

    /// Writes it last, and all of it or nothing: an export without one is not complete.
    pub(super) fn save(&self, folder: &Path) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?;
        let draft = folder.join(".manifest");
        let mut file = File::create(&draft)?;
        file.write_all(&text)?;
        file.sync_all()?;
        Ok(fs::rename(draft, folder.join(NAME))?)
    }

    pub(super) fn to_text(&self) -> String {
        let Stretch { events, first, last } = &self.stretch;
        let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
        let mut lines =
            vec![format!("{events} events, positions {first} to {last}, personal values {}", self.personal)];
        lines.extend(
            self.files.iter().map(|file| format!("{}  {} ({} bytes)", file.sha256, file.name, file.bytes)),
        );
        lines.push(match &self.proofs {
            Some(proved) => proved.to_text(),
            None => "not proved: no --notary was given".to_owned(),
        });
        lines.join("\n")
    }
}
