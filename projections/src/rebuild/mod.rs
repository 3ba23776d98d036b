//! Rebuilding: generations of read models made from the whole log, beside those that serve, and then switched.
//!
//! One pass over the log serves all read models that are built at the same time. Events are read ahead and decoded on
//! several threads; the keys of all tables are split into as many parts as there are threads, and each part is folded in
//! memory and written by `COPY` when the log is through. Where the rows do not fit into the configured memory, they are
//! written earlier and loaded again when an event touches them. Indexes are made when the rows are in.

mod check;
pub(crate) mod compare;
mod fold;
mod past;
mod read;
mod residue;
mod rollback;
mod shreds;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use event_store::{EventStore, Position};
use futures_util::StreamExt;
use tokio::sync::{OnceCell, mpsc};
use uuid::Uuid;

use crate::{
    Inner, Projections,
    catalog::{Birth, Entry, Layout, State, change_state, create_generation, drop_generation, signed},
    catch_up,
    error::ProjectionError,
    fact::trace_of,
    model::{Part, Poison, ReadModel},
    pack::Member,
    storage::{Connection, create_indexes},
};
pub use check::Checked;
pub use compare::Difference;
use fold::{Work, work};

/// The advisory lock of whoever builds: one at a time in each database (an arbitrary number).
const BUILDING: i64 = 0x616e_6e61_6c75;

/// How many batches wait for each thread that folds.
const AHEAD: usize = 2;

/// A read model under construction.
pub(crate) struct Site {
    pub(crate) member: Member,
    /// Its indexes exist: rows were written before the log was through, and can be looked up.
    pub(crate) indexed: OnceCell<()>,
    /// The first event that it could not fold.
    failed: Mutex<Option<Poison>>,
    rows: AtomicU64,
}

impl Site {
    fn new(member: Member) -> Self {
        Site { member, indexed: OnceCell::new(), failed: Mutex::default(), rows: AtomicU64::new(0) }
    }

    pub(crate) fn fail(&self, poison: Poison) {
        let mut failed = self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if failed.as_ref().is_none_or(|earlier| poison.position < earlier.position) {
            *failed = Some(poison);
        }
    }

    pub(crate) fn failed(&self) -> Option<Poison> {
        self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    pub(crate) fn count(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

/// What a rebuild did with one read model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The read model.
    pub name: &'static str,
    /// The generation that serves now; where it did not work out, the one that is parked.
    pub generation: i32,
    /// The rows that were written while the log was read.
    pub rows: u64,
    /// The events that were read.
    pub events: u64,
    /// How long reading and writing took, without catching up and switching.
    pub took: Duration,
    /// The position before which it is parked, if an event could not be folded.
    pub parked: Option<Position>,
    /// How its rows differ from those that served before; none where nothing served, or nobody asked
    /// ([`crate::Config::compare`]), or the rows that served were behind.
    pub difference: Option<Difference>,
}

impl Projections {
    /// Builds read models anew from the log, all in one pass, beside those that serve; then switches to the new ones.
    /// Waits for another rebuild to end.
    ///
    /// # Errors
    /// When there is no such read model, or the log or the database fails: then everything is as before.
    pub async fn rebuild(&self, names: &[&str]) -> Result<Vec<Rebuilt>, ProjectionError> {
        let models = names.iter().map(|name| self.model(name)).collect::<Result<Vec<_>, _>>()?;
        build(&self.0, models, None).await
    }

    /// Builds all read models anew, in one pass over the log.
    ///
    /// # Errors
    /// When the log or the database fails: then everything is as before.
    pub async fn rebuild_all(&self) -> Result<Vec<Rebuilt>, ProjectionError> {
        build(&self.0, self.0.config.models.clone(), None).await
    }
}

/// Builds the read models that have no usable generation of the version that this program knows.
pub(crate) async fn build_missing(inner: &Arc<Inner>) -> Result<(), ProjectionError> {
    let missing = |layout: &Layout| {
        let models = inner.config.models.iter().copied();
        models.filter(|model| !layout.has_usable(model.shape())).collect::<Vec<_>>()
    };
    build(inner, Vec::new(), Some(&missing)).await.map(drop)
}

type Choose<'a> = &'a (dyn Fn(&Layout) -> Vec<&'static dyn ReadModel> + Sync);

async fn build(
    inner: &Arc<Inner>,
    models: Vec<&'static dyn ReadModel>,
    choose: Option<Choose<'_>>,
) -> Result<Vec<Rebuilt>, ProjectionError> {
    let started = Instant::now();
    let mut connection = Connection::open(&inner.database, "rebuild").await?;
    connection.client.execute("SELECT pg_advisory_lock($1)", &[&BUILDING]).await?;
    let layout = Layout::load(&connection.client).await?;
    for entry in layout.entries.iter().filter(|entry| entry.state == State::Building) {
        // Whoever built it has ended, for the lock is ours.
        drop_generation(&connection.client, entry).await?;
    }
    let models = choose.map_or(models, |choose| choose(&layout));
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let head = inner.store.head().await?;
    crate::source::check(&head, layout.incarnation, layout.position)?;
    let sites = Arc::new(begin(&connection, &models, &layout).await?);
    let names: Vec<_> = sites.iter().map(|site| site.member.name()).collect();
    tracing::info!(?names, until = head.position, "read models are being built from the log");
    if let Err(error) = pass(inner, &sites, head.position, &connection).await {
        for site in sites.iter() {
            drop_generation(&connection.client, &site.member.entry).await?;
        }
        return Err(error);
    }
    let mut members = Vec::new();
    let mut rebuilt = Vec::new();
    for site in Arc::into_inner(sites).into_iter().flatten() {
        let outcome = finish(&inner.store, &connection, site, layout.incarnation, head.position).await?;
        rebuilt.push(Rebuilt { events: head.position, took: started.elapsed(), ..outcome.0 });
        members.extend(outcome.1);
    }
    let again = catch_up::catch_up_and_switch(inner, &mut connection, members).await?;
    for rebuilt in &mut rebuilt {
        rebuilt.parked = again.parked.get(rebuilt.name).copied();
        rebuilt.difference = again.differences.get(rebuilt.name).cloned();
    }
    tracing::info!(?names, took = ?started.elapsed(), "read models were built from the log");
    Ok(rebuilt)
}

/// Makes the new generations, empty and without indexes.
async fn begin(
    connection: &Connection,
    models: &[&'static dyn ReadModel],
    layout: &Layout,
) -> Result<Vec<Site>, ProjectionError> {
    let mut sites = Vec::new();
    for model in models {
        let shape = model.shape();
        let birth = Birth { state: State::Building, serving: false, indexed: false };
        connection.client.batch_execute("BEGIN").await?;
        let entry = create_generation(&connection.client, shape, layout.incarnation, birth).await;
        connection.client.batch_execute(if entry.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        sites.push(Site::new(Member::new(*model, entry?, layout.skips_of(shape.name))));
    }
    Ok(sites)
}

/// Reads the log once and shows it to all sites.
async fn pass(
    inner: &Arc<Inner>,
    sites: &Arc<Vec<Site>>,
    until: Position,
    connection: &Connection,
) -> Result<(), ProjectionError> {
    let parts = inner.config.threads.max(1);
    let mut queues = Vec::new();
    let mut workers = Vec::new();
    for index in 0..parts {
        let (queue, batches) = mpsc::channel(AHEAD);
        let part = Part { index: index as u64, of: parts as u64 };
        let memory = inner.config.rebuild_memory / parts;
        let task = Work { inner: inner.clone(), sites: sites.clone(), part, memory, batches };
        // Folding takes the thread for as long as it lasts: it is not to hold up those who serve requests.
        workers.push(tokio::task::spawn_blocking(move || {
            tokio::runtime::Handle::current().block_on(work(task))
        }));
        queues.push(queue);
    }
    let mut batches =
        std::pin::pin!(read::decoded(inner.store.clone(), until, inner.config.rebuild_chunk, parts));
    let mut told = Instant::now();
    let mut failed = None;
    'reading: while let Some(batch) = batches.next().await {
        let batch = match batch {
            Ok(batch) => Arc::new(batch),
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        for queue in &queues {
            if queue.send(batch.clone()).await.is_err() {
                break 'reading; // that worker failed and says why
            }
        }
        inner.passed.send_replace((batch.last, until));
        if told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            let names: Vec<_> = sites.iter().map(|site| site.member.name()).collect();
            let update =
                "UPDATE annals.projections SET position = $1 WHERE state = 'building' AND name = ANY($2)";
            connection.client.execute(update, &[&signed(batch.last), &names]).await?;
        }
    }
    let aborted = failed.is_some();
    if aborted {
        workers.iter().for_each(tokio::task::JoinHandle::abort);
    }
    drop(queues);
    for worker in workers {
        match worker.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failed = failed.or(Some(error)),
            Err(error) => {
                let text = format!("a thread that folds ended: {error}");
                failed = failed.or(Some(ProjectionError::WrongState(text)));
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Makes the indexes of what was built. What could not be folded begins again, the slow way, which ends exactly before
/// the event that it cannot fold.
async fn finish(
    store: &EventStore,
    connection: &Connection,
    site: Site,
    incarnation: Uuid,
    position: Position,
) -> Result<(Rebuilt, Option<Member>), ProjectionError> {
    let client = &connection.client;
    let poison = site.failed();
    let Site { member, indexed, rows, .. } = site;
    let shape = member.model.shape();
    let mut rebuilt = Rebuilt {
        name: shape.name,
        generation: member.entry.generation,
        rows: rows.into_inner(),
        events: 0,
        took: Duration::ZERO,
        parked: None,
        difference: None,
    };
    if let Some(Poison { position, reason }) = poison {
        let trace_id = trace_of(store, position).await;
        tracing::error!(
            name = shape.name,
            position,
            trace_id,
            reason,
            "a read model cannot fold an event in a rebuild"
        );
        drop_generation(client, &member.entry).await?;
        let birth = Birth { state: State::Behind, serving: false, indexed: true };
        client.batch_execute("BEGIN").await?;
        let entry = create_generation(client, shape, incarnation, birth).await;
        client.batch_execute(if entry.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        let entry = entry?;
        rebuilt.generation = entry.generation;
        return Ok((rebuilt, Some(Member::new(member.model, entry, member.skips))));
    }
    if !indexed.initialized() {
        for index in create_indexes(shape, &member.entry.schema) {
            client.batch_execute(&index).await?;
        }
    }
    let table = crate::storage::table_name(shape, &member.entry.schema);
    client.batch_execute(&format!("ANALYZE {table}")).await?;
    change_state(client, &member.entry, State::Behind, Some(position), None).await?;
    let entry = Entry { state: State::Behind, position: Some(position), ..member.entry };
    Ok((rebuilt, Some(Member::new(member.model, entry, member.skips))))
}
