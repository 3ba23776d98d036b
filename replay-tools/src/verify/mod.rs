//! `verify`: whether the log is what was signed, whole and readable, and whether what stands beside it follows from it.
//!
//! Parts of the log are read, hashed and compared with their tiles at the same time ([`chunk`]); what depends on the
//! order (the tree, the streams, the claims) is put together as they come in. What must never be here: a write.

#[cfg(test)]
mod attacks;
mod chunk;
mod claims;
mod explain;
mod given;
mod keys;
mod read_models;
mod report;
#[cfg(test)]
mod tests;
mod tree;

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, thread, time::Instant};

use ahash::HashMap;
use commands::{Commands, NoAnswers, Request};
use domain::governance::{AuditReplay, AuditReplayCommand};
use event_store::{EventStore, Head, Position, StreamId, integrity::Verifier};
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::Row;
use uuid::Uuid;

use crate::{annals::Annals, failure::Failure, progress::Progress, workers::workers};
use chunk::{CHUNK, Chunk, Signed};
use claims::Claims;
use given::Given;
use keys::Keys;
use report::{Finding, Kind, Report};
use tree::Tree;

/// Recomputes everything from the stored rows and names the first position that disagrees with what was signed; then folds
/// the log anew and compares the rows of the read models. Exits with 1 when anything disagrees.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Verify {
    /// The directory of the notary: tiles and checkpoint.
    #[arg(long, env = "ANNALS_NOTARY_DIR")]
    notary: Option<PathBuf>,
    /// The log's verifier key, or a file that has it; by default, the one in the directory of the notary.
    #[arg(long)]
    key: Option<String>,
    /// A checkpoint that was kept elsewhere; may be given several times. What was signed then must still be so.
    #[arg(long = "checkpoint")]
    checkpoints: Vec<PathBuf>,
    /// The notary's secret: whether the key in its directory is its own.
    #[arg(long, env = "ANNALS_NOTARY_KEY_FILE", hide_env_values = true)]
    notary_key_file: Option<PathBuf>,
    /// How many parts of the log are worked on at the same time; by default, as many as there are processors; 64 at
    /// most.
    #[arg(long, value_parser = workers)]
    workers: Option<NonZeroUsize>,
    /// Leaves the rows of the read models out.
    #[arg(long)]
    log_only: bool,
    /// Puts the outcome on the record of this audit replay. One that disagrees opens an incident.
    #[arg(long)]
    replay: Option<Uuid>,
}

impl Verify {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let report = self.verify(annals).await?;
        if let Some(replay) = self.replay {
            record(annals, replay, &report).await?;
        }
        annals.show(&report, || report.to_string())?;
        Ok(report.is_well())
    }

    async fn verify(&self, annals: &Annals) -> Result<Report, Failure> {
        let mut report = self.log(&annals.store).await?;
        if !self.log_only {
            read_models::compare(annals, &mut report).await?;
        }
        Ok(report.conclude())
    }

    /// The log, and what stands beside it.
    async fn log(&self, store: &EventStore) -> Result<Report, Failure> {
        let mut report = Report::default();
        let incarnation = store.head().await?.incarnation;
        // Before the head: what ordered their destruction is in the log by then.
        let destroyed = keys::destroyed(store.keyring()).await?;
        let Given { tiles, signed: newest, checkpoints } =
            Given::read(self, incarnation, &mut report).await?;
        // After what was signed is known: the log is never behind that.
        let head = store.head().await?;
        (report.head, report.signed) = (head.position, newest);
        let partial = tiles.iter().flat_map(|tiles| &tiles.ends).copied();
        let ends = checkpoints.iter().map(|checkpoint| checkpoint.size).chain(partial).collect();
        let signed = Arc::new(Signed { tiles, ends });
        let mut tree = Tree::new(checkpoints, signed.tiles.clone());
        let mut scan = Scan::default();
        let (progress, begun) = (Progress::new("verified", head.position), Instant::now());
        let workers = self.workers.or(thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let starts = (0..head.position.div_ceil(CHUNK)).map(|part| part * CHUNK);
        let mut parts = std::pin::pin!(
            stream::iter(starts)
                .map(|after| {
                    let (store, signed) = (store.clone(), signed.clone());
                    let part = async move {
                        Chunk::read(&store, &signed, after, head.position.min(after + CHUNK)).await
                    };
                    // A panic in a part is a defect of this program.
                    async { tokio::spawn(part).await.map_err(std::io::Error::other) }
                })
                .buffered(workers)
        );
        while let Some(part) = parts.try_next().await? {
            let part = part?;
            scan.take(part, &mut tree, &mut report);
            progress.at(scan.end.min(head.position));
        }
        // Where the log itself was altered, its end tells nothing more.
        let is_whole = scan.mismatched == 0 && report.is_well();
        if let Some(last) = scan.time.filter(|last| is_whole && head.recorded_at != *last) {
            let end = head.recorded_at;
            let detail = format!("the end of the log is of {end}, and its last event of {last}");
            report.find(Kind::Time, None, detail);
        }
        if scan.unbound > 0 {
            report.notes.push(format!(
                "{} events were recorded by a version that did not bind their ids to them: whether event_id, command_id, \
                 command_index and fingerprint are as they were was not compared",
                scan.unbound
            ));
        }
        let agreed = tree.end(&mut report);
        explain::explain(store, &scan.mismatches, scan.mismatched, agreed, &mut report).await?;
        scan.keys.compare(store.keyring(), destroyed, &mut report).await?;
        scan.claims.compare(store, head.position, &mut report).await?;
        strays(store, head, &mut report).await?;
        report.streams = scan.streams.len();
        report.seconds = begun.elapsed().as_secs_f64();
        Ok(report)
    }
}

/// Puts an outcome on the record of an audit replay.
async fn record(annals: &Annals, replay: Uuid, report: &Report) -> Result<(), Failure> {
    let commands = Commands::new(annals.store.clone(), Arc::new(NoAnswers), 16);
    let check = AuditReplayCommand::RecordIntegrityCheck {
        from_position: 1,
        to_position: report.head,
        ok: report.is_well(),
        broken_at: report.first,
    };
    commands.execute::<AuditReplay>(replay, check, &Request::by(annals.actor.clone())).await?;
    Ok(())
}

/// A verifier key, as it is or in a file.
pub(crate) fn verifier(key: &str) -> Result<Verifier, Failure> {
    match key.parse() {
        Ok(verifier) => Ok(verifier),
        Err(_) => Ok(std::fs::read_to_string(key).map_err(Failure::file(key.as_ref()))?.parse()?),
    }
}

/// What is known of the log up to the part that was taken in last.
#[derive(Default)]
struct Scan {
    mismatches: Vec<chunk::Mismatch>,
    mismatched: u64,
    unbound: u64,
    differs: bool,
    streams: HashMap<StreamId, u64>,
    claims: Claims,
    keys: Keys,
    time: Option<jiff::Timestamp>,
    end: Position,
}

impl Scan {
    /// Takes in the next part.
    fn take(&mut self, part: Chunk, tree: &mut Tree, report: &mut Report) {
        report.events += part.events;
        self.mismatched += part.mismatches.len() as u64;
        self.unbound += part.unbound;
        // What else is wrong with an event that is there changes no leaf, and excuses no root.
        let moves =
            |finding: &Finding| matches!(finding.kind, Kind::Missing | Kind::Inserted | Kind::Illegible);
        self.differs |= !part.mismatches.is_empty() || part.findings.iter().any(moves);
        let room = explain::REMEMBERED.saturating_sub(self.mismatches.len());
        self.mismatches.extend(part.mismatches.into_iter().take(room));
        for finding in part.findings {
            report.find(finding.kind, finding.position, finding.detail);
        }
        if let Some((first, last)) = part.time {
            if self.time.is_some_and(|before| first < before) {
                report.find(Kind::Time, self.end + 1, "it was recorded before its predecessor");
            }
            self.time = Some(last);
        }
        for (stream, run) in part.runs {
            let last = self.streams.entry(stream).or_default();
            if run.first != *last + 1 {
                let detail = format!("the stream goes on with {} where {} must come", run.first, *last + 1);
                report.find(Kind::Sequence, run.position, detail);
            }
            *last = run.last;
        }
        self.claims.take(part.claims);
        self.keys.join(part.keys);
        for leaves in part.leaves {
            tree.grow(leaves, self.differs, report);
        }
        self.end += CHUNK;
    }
}

/// Rows outside the log's positions, and followers of another log.
async fn strays(store: &EventStore, head: Head, report: &mut Report) -> Result<(), Failure> {
    let end = i64::try_from(head.position).unwrap_or(i64::MAX);
    let before: i64 = sqlx::query_scalar("SELECT count(*) FROM annals.events WHERE position < 1")
        .fetch_one(store.pool())
        .await
        .map_err(event_store::StoreError::from)?;
    if before > 0 {
        report.find(Kind::Inserted, None, format_args!("{before} events stand before position 1"));
    }
    // Those that were recorded since have moved the head in the same transaction.
    let beyond = "SELECT min(e.position) FROM annals.events e, annals.head h WHERE e.position > greatest(h.position, $1)";
    let beyond: Option<i64> = sqlx::query_scalar(beyond)
        .bind(end)
        .fetch_one(store.pool())
        .await
        .map_err(event_store::StoreError::from)?;
    if let Some(position) = beyond {
        report.find(Kind::Inserted, position.unsigned_abs(), "the event stands after the end of the log");
    }
    let rows = sqlx::query(include_str!("followers.sql"))
        .fetch_all(store.pool())
        .await
        .map_err(event_store::StoreError::from)?;
    let end = store.head().await?.position;
    for row in rows {
        let read = || -> Result<(String, Option<i64>, uuid::Uuid), sqlx::Error> {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        };
        let (who, position, incarnation) = read().map_err(event_store::StoreError::from)?;
        if incarnation != head.incarnation {
            report.find(Kind::Follower, None, format_args!("{who} follows another log, {incarnation}"));
        } else if position.is_some_and(|position| position.unsigned_abs() > end) {
            let position = position.unwrap_or_default();
            report.find(Kind::Follower, None, format_args!("{who} is at {position}, ahead of the log"));
        }
    }
    Ok(())
}
