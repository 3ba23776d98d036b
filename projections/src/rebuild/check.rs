//! Whether rows are what the log gives: all of it folded anew, in memory, and held against the tables as they stood at one
//! moment. Nothing is written, nobody waits, and the follower goes on.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use event_store::Position;
use futures_util::{StreamExt, TryStreamExt};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Difference, read};
use crate::{
    Projections,
    catalog::{Layout, State},
    error::ProjectionError,
    fact::{Batch, Fact},
    model::{Changed, Part, Poison, ReadModel, Stage, Stored},
    row::Value,
    storage::{Connection, Statements, open_sound_rows, read_rows},
    table::Shape,
};

/// By how much smaller parts are, when rows do not fit into memory.
const SMALLER: u64 = 4;
/// How many rows are read and opened at once.
const ROWS: usize = 1000;
/// How often rows that differ are compared again, where keys went meanwhile: whoever destroys without a pause gets an answer.
const AGAIN: u32 = 5;
/// How many keys of differing rows are named.
const NAMED: usize = 10;

/// How the rows of a read model that serve compare with what the log gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Checked {
    /// The read model.
    pub name: &'static str,
    /// The generation that serves.
    pub generation: i32,
    /// The position of both.
    pub position: Position,
    /// How many rows serve.
    pub rows: u64,
    /// Rows that only the log gives are `added`, rows that it does not give are `removed`.
    pub difference: Difference,
    /// The keys of some rows whose personal values do not open although there are keys: they were altered, or moved from
    /// another row. They count as `changed`, or as `removed` where the log gives none of that key.
    pub unopened: Vec<String>,
    /// The event that cannot be folded, if there is one; then nothing is compared.
    pub stopped: Option<Position>,
    /// Rows that differ as well, and are about people whose keys were destroyed or archived since read models were rebuilt for
    /// that: they may tell more than the log does now, and soon will be rebuilt.
    pub pending: u64,
}

/// A generation that serves, and hashes of its rows by the hash of their key.
struct Suspect {
    model: &'static dyn ReadModel,
    until: Position,
    skips: BTreeSet<Position>,
    rows: HashMap<[u8; 16], Row>,
    told: Checked,
    /// The people whose keys were destroyed or archived since read models were rebuilt for that.
    people: Arc<BTreeSet<Uuid>>,
    /// Whether the read model folds anything about them.
    concerned: bool,
}

/// A row, as far as it is compared.
struct Row {
    /// Its columns, whom it is about, and the event that touched it last.
    open: [u8; 16],
    /// Each group of personal values that opens.
    groups: Vec<[u8; 16]>,
    /// The places of these values; none where a key is gone, for then the log gives fewer.
    places: Option<[u8; 16]>,
    /// Whether it is about somebody whose keys are gone.
    about: bool,
    seen: bool,
}

impl Projections {
    /// Folds the log anew and compares the rows that serve with what comes out, of all read models where none is named.
    /// Takes some hundred bytes of memory for each row.
    ///
    /// # Errors
    /// When there is no such read model, or the log, the keys or the database fail.
    pub async fn compare_with_log(&self, names: &[&str]) -> Result<Vec<Checked>, ProjectionError> {
        let models = match names {
            [] => self.0.config.models.clone(),
            names => names.iter().map(|name| self.model(name)).collect::<Result<Vec<_>, _>>()?,
        };
        let mut left = AGAIN;
        loop {
            let (checked, people) = self.compare(&models).await?;
            // Keys that are destroyed, or read models that are rebuilt for it, while the log is folded make rows differ that are
            // as they should be.
            let settled = checked.iter().all(|one| one.difference.is_none())
                || super::shreds::pending(&self.0).await? == *people;
            if settled || left == 0 {
                return Ok(checked);
            }
            left -= 1;
        }
    }

    /// Compares once; and whose keys were gone when it began.
    async fn compare(
        &self,
        models: &[&'static dyn ReadModel],
    ) -> Result<(Vec<Checked>, Arc<BTreeSet<Uuid>>), ProjectionError> {
        let people = Arc::new(super::shreds::pending(&self.0).await?);
        let mut suspects = self.served(models, &people).await?;
        let mut part = Part::WHOLE;
        while part.index < part.of && !suspects.is_empty() {
            if self.fold_beside(&mut suspects, part).await? {
                part.index += 1;
            } else {
                // What was seen by larger parts is seen again.
                part = Part { index: 0, of: part.of * SMALLER };
                for suspect in &mut suspects {
                    suspect.rows.values_mut().for_each(|row| row.seen = false);
                    (suspect.told.difference, suspect.told.pending) = (Difference::default(), 0);
                }
            }
        }
        Ok((suspects.into_iter().map(Suspect::conclude).collect(), people))
    }

    /// The rows that serve, as of one moment.
    async fn served(
        &self,
        models: &[&'static dyn ReadModel],
        people: &Arc<BTreeSet<Uuid>>,
    ) -> Result<Vec<Suspect>, ProjectionError> {
        let keyring = self.0.store.keyring();
        let connection = Connection::open(&self.0.database, "check").await?;
        let client = &connection.client;
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET enable_seqscan = on")
            .await?;
        let layout = Layout::load(client).await?;
        let head = self.0.store.head().await?.position;
        let mut suspects = Vec::new();
        for model in models.iter().copied() {
            let shape = model.shape();
            let serving = layout.serving(shape.name).filter(|entry| entry.is_of(shape) && !entry.lost);
            let Some(entry) = serving.filter(|entry| entry.state != State::Building) else { continue };
            let (mut rows, mut unopened) = (HashMap::new(), Vec::new());
            let everybody: &[Uuid] = &[];
            let about = client.prepare(&Statements::new(shape, &entry.schema).about).await?;
            let found = client.query_raw(&about, [&everybody]).await?;
            let mut found = std::pin::pin!(found.try_chunks(ROWS));
            while let Some(found) = found.next().await {
                let found = found.map_err(|error| error.1)?;
                let (sound, shut) = open_sound_rows(shape, read_rows(shape, &found)?, keyring).await?;
                for row in sound {
                    rows.insert(key(shape, &row.values), Row::stored(shape, &row, people));
                }
                for values in shut {
                    rows.insert(key(shape, &values), Row::SHUT);
                    if unopened.len() < NAMED {
                        unopened.push(name(shape, &values));
                    }
                }
            }
            let until = entry.position.unwrap_or(layout.position).min(head);
            let told = Checked {
                name: shape.name,
                generation: entry.generation,
                position: until,
                rows: rows.len() as u64,
                difference: Difference::default(),
                unopened,
                stopped: None,
                pending: 0,
            };
            let (skips, people) = (layout.skips_of(shape.name), people.clone());
            suspects.push(Suspect { model, until, skips, rows, told, people, concerned: false });
        }
        client.batch_execute("COMMIT").await?;
        Ok(suspects)
    }

    /// Folds one part of the keys and strikes off what agrees; false: it does not fit into memory.
    async fn fold_beside(&self, suspects: &mut [Suspect], part: Part) -> Result<bool, ProjectionError> {
        let config = &self.0.config;
        let threads = config.threads.max(1) as u64;
        let until = suspects.iter().map(|suspect| suspect.until).max().unwrap_or(0);
        let mut benches: Vec<Vec<Bench>> = (0..threads)
            .map(|thread| {
                let own = Part { index: part.index * threads + thread, of: part.of * threads };
                suspects.iter().map(|suspect| Bench::new(suspect, own)).collect()
            })
            .collect();
        let mut batches = std::pin::pin!(read::decoded(
            self.0.store.clone(),
            until,
            config.rebuild_chunk,
            config.threads.max(1)
        ));
        while let Some(batch) = batches.next().await {
            let batch = Arc::new(batch?);
            let folding = benches.into_iter().map(|mut own| {
                let batch = batch.clone();
                tokio::task::spawn_blocking(move || {
                    own.iter_mut().for_each(|bench| bench.fold(&batch));
                    own
                })
            });
            let folded = futures_util::future::try_join_all(folding).await;
            benches = folded.map_err(|error| {
                ProjectionError::WrongState(format!("a thread that folds ended: {error}"))
            })?;
            self.0.passed.send_replace((batch.last, until));
            let size: usize = benches.iter().flatten().map(|bench| bench.stage.size()).sum();
            if size > config.rebuild_memory {
                return Ok(false);
            }
        }
        for (index, suspect) in suspects.iter_mut().enumerate() {
            suspect.concerned |= benches.iter().any(|own| own[index].concerned);
            for own in &mut benches {
                let Bench { stage, stopped, .. } = &mut own[index];
                suspect.told.stopped = [suspect.told.stopped, *stopped].into_iter().flatten().min();
                while !stage.is_empty() {
                    stage.drain(ROWS)?.upserts.iter().for_each(|row| suspect.strike_off(row));
                }
            }
        }
        Ok(true)
    }
}

/// Where one thread folds one read model.
struct Bench {
    stage: Box<dyn Stage>,
    shape: &'static Shape,
    until: Position,
    skips: BTreeSet<Position>,
    /// The event that cannot be folded.
    stopped: Option<Position>,
    people: Arc<BTreeSet<Uuid>>,
    concerned: bool,
}

impl Bench {
    fn new(suspect: &Suspect, part: Part) -> Self {
        let mut stage = suspect.model.stage();
        stage.restrict(part);
        let (shape, skips) = (suspect.model.shape(), suspect.skips.clone());
        let people = suspect.people.clone();
        Bench { stage, shape, until: suspect.until, skips, stopped: None, people, concerned: false }
    }

    fn fold(&mut self, batch: &Batch) {
        if self.stopped.is_some() {
            return;
        }
        let span = batch.span(batch.after, batch.last.min(self.until));
        let facts = span.facts(self.shape, &self.skips);
        let theirs = |fact: &&Fact| fact.subjects().iter().any(|subject| self.people.contains(subject));
        self.concerned |= !self.people.is_empty() && facts.iter().any(theirs);
        let unreadable = span.unreadable(self.shape, &self.skips).map(|event| event.position);
        let folded = self.stage.touch(&facts).and_then(|_| self.stage.fold(&facts));
        self.stopped = unreadable.or(folded.err().map(|Poison { position, .. }| position));
    }
}

impl Suspect {
    /// Compares a row that the log gives with the one that serves.
    fn strike_off(&mut self, folded: &Changed) {
        let shape = self.model.shape();
        let is_pending = self.is_pending(folded.subjects.iter().any(|subject| self.people.contains(subject)));
        let Checked { difference, pending, .. } = &mut self.told;
        let differ = match self.rows.get_mut(&key(shape, &folded.values)) {
            Some(row) => {
                let (same, seen) = (row.agrees(shape, folded), std::mem::replace(&mut row.seen, true));
                // Of several entries of a ledger with one key the first stays.
                if same || (seen && shape.ledger) {
                    return;
                }
                &mut difference.changed
            }
            None => &mut difference.added,
        };
        if is_pending {
            *pending += 1;
            return;
        }
        *differ += 1;
        if difference.examples.len() < NAMED {
            difference.examples.push(name(shape, &folded.values));
        }
    }

    /// Whether a row may tell more than the log does now: it is about somebody whose keys are gone, or sums up over people
    /// without saying whom.
    fn is_pending(&self, about: bool) -> bool {
        self.concerned && (about || !self.model.shape().options.about_people)
    }

    fn conclude(mut self) -> Checked {
        if self.told.stopped.is_some() {
            (self.told.difference, self.told.pending) = (Difference::default(), 0);
        } else {
            let unseen = || self.rows.values().filter(|row| !row.seen);
            let pending = unseen().filter(|row| self.is_pending(row.about)).count() as u64;
            self.told.difference.removed = unseen().count() as u64 - pending;
            self.told.pending += pending;
        }
        self.told
    }
}

impl Row {
    /// One that does not open: nothing that the log gives is like it.
    const SHUT: Self = Row { open: [0; 16], groups: Vec::new(), places: None, about: false, seen: false };

    fn stored(shape: &Shape, row: &Stored, people: &BTreeSet<Uuid>) -> Self {
        let groups = row.opened.iter().flatten().map(|(subject, values)| group(subject, values));
        Row {
            open: open(shape, &row.values, row.as_of, &row.subjects),
            groups: groups.collect(),
            places: row.opened.iter().all(Option::is_some).then(|| hash(&[row.places.as_bytes()])),
            about: row.subjects.iter().any(|subject| people.contains(subject)),
            seen: false,
        }
    }

    fn agrees(&self, shape: &Shape, folded: &Changed) -> bool {
        let given: Vec<[u8; 16]> = folded.groups.iter().map(|of| group(&of.subject, &of.values)).collect();
        let whole = match self.places {
            Some(places) => places == hash(&[folded.places.as_bytes()]) && self.groups.len() == given.len(),
            None => true,
        };
        whole
            && self.open == open(shape, &folded.values, folded.as_of, &folded.subjects)
            && self.groups.iter().all(|group| given.contains(group))
    }
}

/// The key of a row, for people.
fn name(shape: &Shape, values: &[Value]) -> String {
    let names = shape.key().iter().zip(values).map(|(_, value)| match value.to_json() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    });
    names.collect::<Vec<_>>().join(" ")
}

fn key(shape: &Shape, values: &[Value]) -> [u8; 16] {
    let mut bytes = Vec::new();
    shape.key().iter().zip(values).for_each(|(column, value)| value.put(column.kind, &mut bytes));
    hash(&[&bytes])
}

fn open(shape: &Shape, values: &[Value], as_of: u64, subjects: &[Uuid]) -> [u8; 16] {
    let mut bytes = as_of.to_be_bytes().to_vec();
    shape.columns.iter().zip(values).for_each(|(column, value)| value.put(column.kind, &mut bytes));
    subjects.iter().for_each(|subject| bytes.extend(subject.as_bytes()));
    hash(&[&bytes])
}

fn group(subject: &Uuid, values: &[u8]) -> [u8; 16] {
    hash(&[subject.as_bytes(), values])
}

fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}
