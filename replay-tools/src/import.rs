//! `import`: events of another log, with their identities and times, once.
//!
//! Everything is looked at before anything is recorded: what this program cannot read is told by its line, and then
//! nothing is imported. What is in the log already is left out, so that an import that was interrupted is begun again; an
//! event that has the identity of one in the log and says something else is refused.

mod encode;
mod same;
mod source;

use std::{collections::HashMap, path::PathBuf};

use event_store::{Append, Condition, Position, Recorded, StreamId};
use serde::Serialize;

use crate::{annals::Annals, failure::Failure, progress::Progress};
use encode::{Encoded, encode};
use same::difference;
use source::{Incoming, Source};

/// How many events are recorded at once.
const CHUNK: usize = 500;
/// How many refusals are named before the rest is only counted.
const NAMED: usize = 20;

/// Records the events of another log: a table of postgres-es, or CloudEvents as `export` writes them. Exits with 1 when
/// one is refused; then nothing, or nothing more, is recorded.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// A file with one CloudEvent as JSON in each line.
    #[arg(long, conflicts_with = "from_database", required_unless_present = "from_database")]
    file: Option<PathBuf>,
    /// The database with a table `events` as postgres-es has it.
    #[arg(long)]
    from_database: Option<String>,
    /// The name of that table.
    #[arg(long, default_value = "events")]
    table: String,
    /// The column of that table that holds the time of an event, if it has one: then events are taken in that order.
    #[arg(long)]
    time_column: Option<String>,
    /// Only looks whether everything can be read.
    #[arg(long)]
    dry_run: bool,
}

/// What became of it.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Imported {
    /// Events that were read.
    read: u64,
    /// Events that were recorded.
    imported: u64,
    /// Events that were there before.
    already: u64,
    /// The position of the last event that was recorded.
    position: Option<Position>,
    /// What was refused.
    refused: u64,
    /// The first of it, with the line in the file or the row in the order of the table.
    reasons: Vec<Reason>,
}

/// Why an event was refused.
#[derive(Debug, PartialEq, Serialize)]
struct Reason {
    line: u64,
    reason: String,
}

impl Import {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let imported = self.import(annals).await?;
        annals.show(&imported, || imported.to_text())?;
        Ok(imported.refused == 0)
    }

    async fn import(&self, annals: &Annals) -> Result<Imported, Failure> {
        let looked_at = self.look().await?;
        if looked_at.refused > 0 || self.dry_run {
            return Ok(looked_at);
        }
        let progress = Progress::new("importing", looked_at.read);
        let mut imported = Imported::default();
        let mut source = self.open().await?;
        loop {
            let events = source.next(CHUNK).await?;
            if events.is_empty() {
                return Ok(imported);
            }
            record(annals, events, &mut imported).await?;
            progress.at(imported.read);
            if imported.refused > 0 {
                return Ok(imported);
            }
        }
    }

    async fn open(&self) -> Result<Source, Failure> {
        match (&self.file, &self.from_database) {
            (Some(file), _) => Source::file(file),
            (None, Some(url)) => Source::table(url, &self.table, self.time_column.as_deref()).await,
            (None, None) => Err(Failure::Wrong("import from a --file or a --from-database".into())),
        }
    }

    /// Whether all of it can be read.
    async fn look(&self) -> Result<Imported, Failure> {
        let mut seen = Imported::default();
        let mut sequences: HashMap<StreamId, u64> = HashMap::new();
        let mut source = self.open().await?;
        loop {
            let events = source.next(CHUNK).await?;
            if events.is_empty() {
                return Ok(seen);
            }
            for (line, event) in events {
                seen.read += 1;
                let looked = event.and_then(|event| {
                    let before = sequences.insert(event.stream.clone(), event.sequence);
                    match before {
                        Some(before) if before + 1 != event.sequence => {
                            Err(format!("{} has sequence {} after {before}", event.stream, event.sequence))
                        }
                        Some(_) | None => encode(&event).map(drop),
                    }
                });
                if let Err(reason) = looked {
                    seen.refuse(line, reason);
                }
            }
        }
    }
}

/// Records those events of a chunk that are not in the log, all or nothing.
async fn record(
    annals: &Annals,
    events: Vec<(u64, Result<Incoming, String>)>,
    imported: &mut Imported,
) -> Result<(), Failure> {
    let mut incoming = Vec::new();
    for (line, event) in events {
        imported.read += 1;
        match event {
            Ok(event) => incoming.push((line, event)),
            Err(reason) => imported.refuse(line, reason),
        }
    }
    let there = there(annals, &incoming).await?;
    let keys = annals.store.keyring().history();
    keys.load_for(&there).await?;
    let place = |event: Recorded| ((event.stream.clone(), event.sequence), event);
    let there: HashMap<(StreamId, u64), Recorded> = there.into_iter().map(place).collect();
    let mut versions: HashMap<StreamId, u64> = HashMap::new();
    let (mut recorded, mut claims, mut last) = (Vec::new(), Vec::new(), 0);
    for (line, event) in incoming {
        match there.get(&(event.stream.clone(), event.sequence)) {
            Some(stored) if stored.event_id == event.event_id => {
                let (id, position) = (stored.event_id, stored.position);
                match difference(&event, stored, keys.open(stored)?) {
                    Ok(None) => imported.already += 1,
                    Ok(Some(part)) => {
                        let reason =
                            format!("event {id} is in the log at position {position} with another {part}");
                        imported.refuse(line, reason);
                    }
                    Err(reason) => imported.refuse(line, reason),
                }
                continue;
            }
            Some(_) => {
                let reason = format!("{} has another event with sequence {}", event.stream, event.sequence);
                imported.refuse(line, reason);
                continue;
            }
            None => {}
        }
        match encode(&event) {
            Ok(Encoded { event: encoded, claims: claimed }) => {
                versions.entry(event.stream).or_insert(event.sequence - 1);
                recorded.push(encoded);
                claims.extend(claimed);
                last = line;
            }
            Err(reason) => imported.refuse(line, reason),
        }
    }
    if imported.refused > 0 || recorded.is_empty() {
        return Ok(());
    }
    let count = recorded.len() as u64;
    let ends = [recorded.first(), recorded.last()]
        .map(|end| end.map_or(String::new(), |end| end.event_id.to_string()));
    let append = Append {
        command_id: domain::derived_id(&["import", &ends[0], &ends[1]]),
        fingerprint: None,
        conditions: versions.into_iter().map(|(stream, version)| Condition { stream, version }).collect(),
        events: recorded,
        claims,
    };
    match annals.store.append(append).await {
        Ok(appended) => {
            imported.imported += count;
            imported.position = Some(appended.position);
        }
        Err(error) if is_refusal(&error) => imported.refuse(last, format!("or one before it: {error}")),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Whether the log refused the events, rather than failed.
fn is_refusal(error: &event_store::AppendError) -> bool {
    use event_store::AppendError as E;
    matches!(error, E::Conflict { .. } | E::ClaimTaken { .. } | E::SubjectErased { .. } | E::Invalid(_))
}

/// The events that are in the log at these events' places in their streams.
async fn there(annals: &Annals, events: &[(u64, Incoming)]) -> Result<Vec<Recorded>, Failure> {
    let (mut types, mut ids, mut sequences) = (Vec::new(), Vec::new(), Vec::new());
    for (_, event) in events {
        types.push(event.stream.aggregate_type.to_string());
        ids.push(event.stream.aggregate_id.to_string());
        sequences.push(event.sequence.cast_signed());
    }
    let taken: Vec<i64> = sqlx::query_scalar(include_str!("sql/import_there.sql"))
        .bind(types)
        .bind(ids)
        .bind(sequences)
        .fetch_all(annals.store.pool())
        .await?;
    let taken: Vec<Position> = taken.into_iter().map(i64::cast_unsigned).collect();
    Ok(annals.store.read_at(&taken).await?)
}

impl Imported {
    fn refuse(&mut self, line: u64, reason: String) {
        self.refused += 1;
        if self.reasons.len() < NAMED {
            self.reasons.push(Reason { line, reason });
        }
    }

    fn to_text(&self) -> String {
        let Imported { read, imported, already, refused, .. } = self;
        let mut lines = vec![format!(
            "{read} events read, {imported} recorded, {already} there before, {refused} refused"
        )];
        lines.extend(self.reasons.iter().map(|one| format!("line {}: {}", one.line, one.reason)));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
