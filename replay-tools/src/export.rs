//! `export`: a stretch of the log for other tools, with a manifest that says what was given and under which conditions.
//!
//! Personal values stay sealed unless they are to be opened, which is on the record before the first file exists. Beside the
//! events lie the proofs that each of them is in the log.

mod cloud_events;
mod folder;
mod manifest;
mod ocel;
mod output;
mod parquet;
mod proofs;
mod table;
mod types;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use event_store::{
    Position, Recorded,
    integrity::{Directory, DirectoryError, Leaf, Prover},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    annals::Annals,
    event::{self, Event, Personal},
    failure::Failure,
    opening::{Handed, Opening, Reading},
    progress::Progress,
};
use folder::Filling;
use manifest::{Manifest, Stretch};
use output::Written;
pub(crate) use output::hex;

/// How many events are read at once.
const CHUNK: usize = 2000;

/// Writes a stretch of the log for other tools, and a manifest with checksums.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// For which tools.
    #[arg(long, value_enum)]
    format: Format,
    /// From this position; the first where none is given.
    #[arg(long, default_value_t = 1)]
    from: Position,
    /// Up to this position; where none is given, the last that was signed, or the last where nobody signs.
    #[arg(long)]
    to: Option<Position>,
    /// Only events of these types or aggregate types.
    #[arg(long = "type")]
    types: Vec<String>,
    /// The folder; it is made, and must be empty. Of an export that does not come to its end nothing stays.
    #[arg(long)]
    out: PathBuf,
    /// The directory of the notary: proofs that every event is in the log are written from it. Without one there are none,
    /// and the manifest says so.
    #[arg(long, env = "ANNALS_NOTARY_DIR")]
    notary: Option<PathBuf>,
    #[command(flatten)]
    opening: Opening,
}

/// For which tools an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Process mining: an object-centric event log, OCEL 2.0 as JSON.
    Ocel,
    /// Spreadsheets: one line for each event.
    Csv,
    /// Anything, and `annals-replay import`: one CloudEvent as JSON in each line.
    #[value(name = "cloudevents")]
    CloudEvents,
    /// Analysis: columns.
    Parquet,
}

/// Takes events one after the other.
trait Sink {
    /// The next event: as it is recorded, and as people read it.
    fn write(&mut self, recorded: &Recorded, event: &Event) -> Result<(), Failure>;
    /// Ends the file.
    fn finish(self: Box<Self>) -> Result<Written, Failure>;
}

/// What an export would show, before anything of it is written.
#[derive(Default)]
struct Shown {
    /// Whose data.
    subjects: BTreeSet<Uuid>,
    /// Which events, by the hashes of their leaves one after the other.
    leaves: Sha256,
    stretch: Stretch,
}

impl Export {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        match self.export(annals).await {
            Ok(manifest) => {
                annals.show(&manifest, || manifest.to_text())?;
                Ok(true)
            }
            Err(Failure::Directory(DirectoryError::Disagrees { position, source })) => {
                annals.disagrees(position, &source)
            }
            Err(error) => Err(error),
        }
    }

    async fn export(&self, annals: &Annals) -> Result<Manifest, Failure> {
        types::check(annals, &self.types).await?;
        let head = annals.store.head().await?;
        let prover = self.notary.as_ref().map(|path| Directory::open(path)?.prover()).transpose()?;
        let signed = prover.as_ref().map_or(head.position, |prover| prover.head().size);
        let to = self.to.unwrap_or(signed.min(head.position));
        if self.from == 0 || self.from > to || to > head.position {
            let text =
                format!("{} to {to} is not a stretch of the log, which ends at {}", self.from, head.position);
            return Err(Failure::Wrong(text));
        }
        if to > signed {
            let text =
                format!("the notary has signed up to position {signed}: choose --to {signed}, or wait");
            return Err(Failure::Wrong(text));
        }
        folder::must_be_empty(&self.out)?;
        let named = self.opening.replay.is_some();
        let shown = if named { self.shown(annals, to).await? } else { Shown::default() };
        let subjects: Vec<Uuid> = shown.subjects.into_iter().collect();
        let reading = Reading {
            resource: format!("export of positions {} to {to}", self.from),
            from: self.from,
            to,
            events: to + 1 - self.from,
            subjects: Some(&subjects),
        };
        let personal = self.opening.on_record(annals, &reading).await?;
        let document = match (shown.stretch.first, shown.stretch.last) {
            (Some(first), Some(last)) => {
                let sha256 = hex(&shown.leaves.finalize());
                self.opening.handed_out(annals, Handed { sha256, first, last }).await?
            }
            _ => None,
        };
        self.write(annals, to, personal, prover, document).await
    }

    /// Writes the files. That personal values may be opened, and are handed out as this document, is on the record by now.
    async fn write(
        &self,
        annals: &Annals,
        to: Position,
        personal: Personal,
        prover: Option<Prover>,
        document: Option<Uuid>,
    ) -> Result<Manifest, Failure> {
        let head = annals.store.head().await?;
        let keys = Arc::new(annals.store.keyring().history());
        let filling = Filling::begin(&self.out)?;
        let mut sink: Box<dyn Sink> = match self.format {
            Format::Ocel => Box::new(ocel::Ocel::create(&self.out)?),
            Format::Csv => Box::new(table::Csv::create(&self.out)?),
            Format::CloudEvents => Box::new(cloud_events::CloudEvents::create(
                &self.out,
                keys.clone(),
                head.incarnation,
                personal,
            )?),
            Format::Parquet => Box::new(parquet::Parquet::create(&self.out)?),
        };
        let mut proofs = prover.map(|prover| proofs::Proofs::create(&self.out, prover)).transpose()?;
        let mut stretch = Stretch::default();
        let progress = Progress::new("exporting", to + 1 - self.from);
        let mut after = self.from - 1;
        while after < to {
            let recorded = self.chunk(annals, &mut after, to).await?;
            let events = event::read(&annals.store, recorded.clone(), personal).await?;
            if matches!(self.format, Format::CloudEvents) {
                keys.load_for(&recorded).await?;
            }
            for (recorded, event) in recorded.iter().zip(&events) {
                sink.write(recorded, event)?;
                proofs.as_mut().map_or(Ok(()), |proofs| proofs.write(Leaf::of(recorded)))?;
                stretch.add(event.position);
            }
            progress.at(after + 1 - self.from);
        }
        let mut files = vec![sink.finish()?];
        let proved = proofs.map(proofs::Proofs::finish).transpose()?;
        files.extend(proved.as_ref().map(|(file, _)| file.clone()));
        files.push(manifest::notice(&self.out)?);
        let proved = proved.map(|(_, proved)| proved);
        let mut manifest = Manifest::new(self, head, to, stretch, personal, files, proved);
        manifest.document = document;
        manifest.save(&self.out)?;
        filling.done();
        Ok(manifest)
    }

    /// What the export would show.
    async fn shown(&self, annals: &Annals, to: Position) -> Result<Shown, Failure> {
        let (mut shown, mut buffer) = (Shown::default(), Vec::new());
        let mut after = self.from - 1;
        while after < to {
            for event in self.chunk(annals, &mut after, to).await? {
                let envelope = projections::Envelope::read(&event.metadata, event.recorded_at);
                shown.subjects.extend(envelope.subjects);
                shown.leaves.update(Leaf::hash_of(&event, &mut buffer).0);
                shown.stretch.add(event.position);
            }
        }
        Ok(shown)
    }

    /// The next events that are wanted, and the position of the last that was looked at.
    async fn chunk(
        &self,
        annals: &Annals,
        after: &mut Position,
        to: Position,
    ) -> Result<Vec<Recorded>, Failure> {
        let limit = CHUNK.min(usize::try_from(to - *after).unwrap_or(CHUNK));
        let mut recorded = annals.store.read_all(*after, limit).await?;
        *after = match recorded.last() {
            Some(last) => last.position,
            None => return Err(Failure::Wrong(format!("position {} is missing in the log", *after + 1))),
        };
        let wanted = |event: &Recorded| {
            let is = |name: &String| *name == event.event_type || *name == event.stream.aggregate_type;
            self.types.is_empty() || self.types.iter().any(is)
        };
        recorded.retain(wanted);
        Ok(recorded)
    }
}

/// The whole log as CloudEvents with its personal values, for tests of what reads them.
#[cfg(test)]
pub(crate) async fn cloud_events_of(annals: &Annals, folder: &std::path::Path) -> PathBuf {
    let out = folder.join("export");
    let (format, opening) = (Format::CloudEvents, Opening::default());
    let export =
        Export { format, from: 1, to: None, types: Vec::new(), out: out.clone(), notary: None, opening };
    let head = annals.store.head().await.unwrap().position;
    export.write(annals, head, Personal::Opened, None, None).await.unwrap();
    out.join("events.cloudevents.jsonl")
}

#[cfg(test)]
mod tests;
