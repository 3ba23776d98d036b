//! What is left of people whose keys were destroyed: rows that tell more of them than the log does now (GOV-K3). Whether a
//! fold looked into a sealed value, and put what it saw into a column, is not asked but seen: by folding it again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use domain::RecordClass;
use event_store::Position;
use futures_util::StreamExt;
use uuid::Uuid;

use super::read;
use crate::{
    Projections,
    catalog::{Layout, State},
    error::ProjectionError,
    model::{Changed, Part, Poison, ReadModel, Stage, Stored},
    row::Value,
    storage::{Connection, Statements, open_rows, read_rows},
};

/// By how much smaller parts are, when rows do not fit into memory.
const SMALLER: u64 = 4;

/// A generation of a read model, as far as it is about them.
struct Suspect {
    model: &'static dyn ReadModel,
    /// How far it is.
    until: Position,
    skips: BTreeSet<Position>,
    rows: Vec<Stored>,
    /// Which of the rows the log gives as they are.
    cleared: Vec<bool>,
}

impl Projections {
    /// How many rows and keys are left that tell what destroyed keys of this person and these classes had sealed. It reads
    /// the log from its beginning.
    ///
    /// # Errors
    /// When the log, the keys or the database fail, or a read model cannot fold an event.
    pub async fn residue(&self, subject: Uuid, classes: &[RecordClass]) -> Result<u64, ProjectionError> {
        let classes: Vec<&str> = classes.iter().map(|class| class.name()).collect();
        let keys = self.0.store.keyring().returned(subject, &classes).await?;
        let rows = self.telling(&[subject]).await?;
        if keys > 0 || !rows.is_empty() {
            tracing::error!(%subject, keys, ?rows, "what was erased is not gone");
        }
        Ok(keys + rows.values().sum::<u64>())
    }

    /// In which read models rows about these people tell more than the log does now, and how many.
    pub(super) async fn telling(
        &self,
        people: &[Uuid],
    ) -> Result<BTreeMap<&'static str, u64>, ProjectionError> {
        let mut suspects = self.suspects(people).await?;
        let mut part = Part::WHOLE;
        while part.index < part.of {
            if self.clear(&mut suspects, part).await? {
                part.index += 1;
            } else {
                // What was cleared by larger parts stays so.
                part = Part { index: 0, of: part.of * SMALLER };
            }
        }
        let mut telling = BTreeMap::new();
        for suspect in suspects {
            let left = suspect.cleared.iter().filter(|cleared| !**cleared).count() as u64;
            if left > 0 {
                *telling.entry(suspect.model.shape().name).or_default() += left;
            }
        }
        Ok(telling)
    }

    /// The rows about them, in every generation, as of one moment.
    async fn suspects(&self, people: &[Uuid]) -> Result<Vec<Suspect>, ProjectionError> {
        let connection = Connection::open(&self.0.database, "residue").await?;
        let client = &connection.client;
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET enable_seqscan = on")
            .await?;
        let layout = Layout::load(client).await?;
        let mut suspects = Vec::new();
        for entry in layout.entries.iter().filter(|entry| entry.state != State::Building && !entry.lost) {
            let known = self.0.config.models.iter().copied().find(|model| entry.is_of(model.shape()));
            let Some(model) = known else { continue };
            let shape = model.shape();
            // Where rows sum up over people they name nobody: then all of them are looked at.
            let about: &[Uuid] = if shape.options.about_people { people } else { &[] };
            let found = client.query(&Statements::new(shape, &entry.schema).about, &[&about]).await?;
            let rows = open_rows(shape, read_rows(shape, &found)?, self.0.store.keyring()).await?;
            if !rows.is_empty() {
                let until = entry.position.unwrap_or(layout.position);
                let (skips, cleared) = (layout.skips_of(shape.name), vec![false; rows.len()]);
                suspects.push(Suspect { model, until, skips, rows, cleared });
            }
        }
        client.batch_execute("COMMIT").await?;
        Ok(suspects)
    }

    /// Clears the rows of one part of the keys that the log gives as they are; false: they do not fit into memory.
    async fn clear(&self, suspects: &mut [Suspect], part: Part) -> Result<bool, ProjectionError> {
        let config = &self.0.config;
        let until = suspects.iter().map(|suspect| suspect.until).max().unwrap_or(0);
        let mut stages: Vec<Box<dyn Stage>> = suspects.iter().map(|suspect| suspect.model.stage()).collect();
        stages.iter_mut().for_each(|stage| stage.restrict(part));
        let mut batches = std::pin::pin!(read::decoded(
            self.0.store.clone(),
            until,
            config.rebuild_chunk,
            config.threads.max(1)
        ));
        while let Some(batch) = batches.next().await {
            let batch = Arc::new(batch?);
            for (suspect, stage) in suspects.iter().zip(&mut stages) {
                let span = batch.span(batch.after, batch.last.min(suspect.until));
                let facts = span.facts(suspect.model.shape(), &suspect.skips);
                let folded = stage.touch(&facts).and_then(|_| stage.fold(&facts));
                folded.map_err(|Poison { position, reason }| {
                    ProjectionError::WrongState(format!(
                        "the event at position {position} cannot be folded: {reason}"
                    ))
                })?;
            }
            if stages.iter().map(|stage| stage.size()).sum::<usize>() > config.rebuild_memory {
                return Ok(false);
            }
        }
        for (suspect, stage) in suspects.iter_mut().zip(&mut stages) {
            let keys = suspect.model.shape().key().len();
            let folded = stage.changes()?.upserts;
            let by_key: HashMap<Vec<u8>, &Changed> =
                folded.iter().map(|row| (key(&row.values[..keys]), row)).collect();
            for (row, cleared) in suspect.rows.iter().zip(&mut suspect.cleared) {
                *cleared |= by_key.get(&key(&row.values[..keys])).is_some_and(|folded| agrees(row, folded));
            }
        }
        Ok(true)
    }
}

/// Values that can be looked up.
fn key(values: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&values.iter().map(Value::to_json).collect::<Vec<_>>()).unwrap_or_default()
}

/// Whether a stored row tells nothing but what the log gives, by which events touched it too: which rows an event is about may
/// be sealed. What its own seals keep shut it does not tell.
fn agrees(stored: &Stored, folded: &Changed) -> bool {
    let told = |subject: &Uuid, values: &[u8]| {
        folded.groups.iter().any(|group| group.subject == *subject && group.values == values)
    };
    stored.values == folded.values
        && (stored.as_of, &stored.subjects) == (folded.as_of, &folded.subjects)
        && stored.opened.iter().flatten().all(|(subject, values)| told(subject, values))
}
