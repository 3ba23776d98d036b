//! One part of all keys: folded in memory, written when the log is through or when memory runs out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, pin_mut};
use tokio::sync::mpsc;

use super::Site;
use crate::{
    Inner,
    error::{ProjectionError, describe, sqlstate},
    fact::Batch,
    model::{Changes, Part, Poison, Stage},
    storage::{
        Connection, by_reference, copy_rows, create_indexes, load_params, load_rows, open_rows, stow,
        upsert_params,
    },
};

/// The rows that are written at once.
const PIECE: usize = 4096;

/// How many batches are folded between two looks at the memory that the rows take.
const LOOK: usize = 4;

/// What one thread folds.
pub(super) struct Work {
    pub(super) inner: Arc<Inner>,
    pub(super) sites: Arc<Vec<Site>>,
    pub(super) part: Part,
    /// The bytes that the rows of this part may take.
    pub(super) memory: usize,
    pub(super) batches: mpsc::Receiver<Arc<Batch>>,
}

/// The rows of one site in this part.
struct Bench<'a> {
    site: &'a Site,
    stage: Box<dyn Stage>,
    /// Rows of this part are in the table already.
    spilled: bool,
}

pub(super) async fn work(work: Work) -> Result<(), ProjectionError> {
    let Work { inner, sites, part, memory, mut batches } = work;
    let mut connection = Connection::open(&inner.database, "rebuild").await?;
    let mut benches: Vec<Bench<'_>> = sites
        .iter()
        .map(|site| {
            let mut stage = site.member.model.stage();
            stage.restrict(part);
            Bench { site, stage, spilled: false }
        })
        .collect();
    let mut folded = 0_usize;
    while let Some(batch) = batches.recv().await {
        for bench in &mut benches {
            fold(bench, &batch, &inner, &mut connection).await?;
        }
        // A poisoned site begins again in another way.
        benches.retain(|bench| bench.site.failed().is_none());
        folded += 1;
        if folded.is_multiple_of(LOOK) {
            make_room(&mut benches, memory, &inner, &mut connection).await?;
        }
    }
    for bench in &mut benches {
        empty(bench, &inner, &mut connection).await?;
    }
    Ok(())
}

async fn fold(
    bench: &mut Bench<'_>,
    batch: &Batch,
    inner: &Inner,
    connection: &mut Connection,
) -> Result<(), ProjectionError> {
    let member = &bench.site.member;
    let shape = member.model.shape();
    let span = batch.whole();
    if let Some(event) = span.unreadable(shape, &member.skips) {
        bench.site.fail(Poison { position: event.position, reason: event.reason.clone() });
        return Ok(());
    }
    let facts = span.facts(shape, &member.skips);
    if facts.is_empty() {
        return Ok(());
    }
    let missing = match bench.stage.touch(&facts) {
        Ok(missing) => missing,
        Err(poison) => {
            bench.site.fail(poison);
            return Ok(());
        }
    };
    if bench.spilled {
        for keys in missing.chunks(PIECE) {
            let statement = connection.prepare(&member.statements.load).await?;
            let params = load_params(shape, keys);
            let rows = load_rows(&connection.client, shape, &statement, &params).await?;
            for row in open_rows(shape, rows, inner.store.keyring()).await? {
                bench.stage.take(row)?;
            }
        }
    }
    if let Err(poison) = bench.stage.fold(&facts) {
        bench.site.fail(poison);
    }
    Ok(())
}

/// Writes the largest stages until half of the memory is free.
async fn make_room(
    benches: &mut [Bench<'_>],
    memory: usize,
    inner: &Inner,
    connection: &mut Connection,
) -> Result<(), ProjectionError> {
    let mut sizes: Vec<(usize, usize)> =
        benches.iter().enumerate().map(|(index, bench)| (bench.stage.size(), index)).collect();
    let mut taken: usize = sizes.iter().map(|(size, _)| size).sum();
    if taken <= memory {
        return Ok(());
    }
    sizes.sort_unstable();
    while taken > memory / 2
        && let Some((size, index)) = sizes.pop()
    {
        spill(&mut benches[index], inner, connection).await?;
        taken -= size;
    }
    Ok(())
}

/// Writes all rows of a stage in the middle of the log. Entries of a ledger are only added; rows of a table will be
/// looked up again, which takes an index.
async fn spill(
    bench: &mut Bench<'_>,
    inner: &Inner,
    connection: &mut Connection,
) -> Result<(), ProjectionError> {
    let member = &bench.site.member;
    let shape = member.model.shape();
    if !shape.ledger {
        let client = &connection.client;
        let index = async || {
            for index in create_indexes(shape, &member.entry.schema) {
                client.batch_execute(&index).await?;
            }
            Ok::<(), ProjectionError>(())
        };
        bench.site.indexed.get_or_try_init(index).await?;
        bench.spilled = true;
    }
    empty(bench, inner, connection).await
}

/// Writes all rows of a stage.
async fn empty(
    bench: &mut Bench<'_>,
    inner: &Inner,
    connection: &mut Connection,
) -> Result<(), ProjectionError> {
    let written = match bench.spilled {
        true => upsert(bench, inner, connection).await,
        false => copy(bench, inner, connection).await,
    };
    match written {
        // The rows' own fault: which event made them shows when they are written batch by batch.
        Err(ProjectionError::Connection(error)) if is_own(&error) => {
            bench.site.fail(Poison { position: u64::MAX, reason: describe(&error) });
            Ok(())
        }
        Err(ProjectionError::Row(error)) => {
            bench.site.fail(Poison { position: u64::MAX, reason: error.to_string() });
            Ok(())
        }
        other => other,
    }
}

fn is_own(error: &tokio_postgres::Error) -> bool {
    sqlstate(error)
        .is_some_and(|code| code.starts_with("22") || code.starts_with("23") || code.starts_with("54"))
}

async fn upsert(
    bench: &mut Bench<'_>,
    inner: &Inner,
    connection: &mut Connection,
) -> Result<(), ProjectionError> {
    let member = &bench.site.member;
    let shape = member.model.shape();
    while !bench.stage.is_empty() {
        let Changes { upserts, deletes } = bench.stage.drain(PIECE)?;
        if !deletes.is_empty() {
            let statement = connection.prepare(&member.statements.delete).await?;
            let params = load_params(shape, &deletes);
            connection.client.execute(&statement, &by_reference(&params)).await?;
        }
        if !upserts.is_empty() {
            let rows = stow(shape, upserts, inner.store.keyring()).await?;
            let statement = connection.prepare(&member.statements.upsert).await?;
            let params = upsert_params(shape, &rows);
            connection.client.execute(&statement, &by_reference(&params)).await?;
            bench.site.count(rows.len());
        }
    }
    Ok(())
}

async fn copy(
    bench: &mut Bench<'_>,
    inner: &Inner,
    connection: &mut Connection,
) -> Result<(), ProjectionError> {
    let member = &bench.site.member;
    let shape = member.model.shape();
    if bench.stage.is_empty() {
        return Ok(());
    }
    let sink = connection.client.copy_in::<_, Bytes>(member.statements.copy.as_str()).await?;
    pin_mut!(sink);
    let mut copied = copy_rows::header();
    while !bench.stage.is_empty() {
        let Changes { upserts, .. } = bench.stage.drain(PIECE)?;
        let rows = stow(shape, upserts, inner.store.keyring()).await?;
        bench.site.count(rows.len());
        copy_rows::append(shape, &rows, &mut copied);
        sink.feed(Bytes::from(std::mem::take(&mut copied))).await?;
    }
    sink.feed(Bytes::from(copy_rows::trailer())).await?;
    sink.finish().await?;
    Ok(())
}
