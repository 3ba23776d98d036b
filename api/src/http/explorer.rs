//! the events of the log as they can be found, each with the hash of its leaf, and with the proofs that they are in the
//! tree that was signed. What was rewritten since is told and not proved.

use std::collections::HashMap;

use actix_web::{HttpResponse, http::header::CACHE_CONTROL};
use event_store::{
    Position, Recorded,
    integrity::{Directory, DirectoryError, Hash, Leaf, Proof, Proofs},
};
use projections::governance::Entry;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Api, Call, access,
    governance::{asked, problem},
    log,
    pairs::{Pairs, number},
    query,
};
use crate::problem::{NOT_FOUND, Problem};

/// A page of events.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Explored>,
    /// Where the next page begins, if there are more events.
    pub next: Option<Position>,
    /// The position in the log up to which this is complete.
    pub position: Position,
    /// The proofs of those that are signed, in the order of the log; null where nothing was signed yet.
    pub proofs: Option<Proofs>,
    /// The positions of events that are not what was signed there.
    pub disagrees: Vec<Position>,
}

/// An event, and the hash by which it is in the tree.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explored {
    /// Who did what, to what, about whom, when and why.
    #[serde(flatten)]
    pub entry: Entry,
    /// The hash of its leaf.
    pub leaf_hash: Hash,
}

/// One event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OneEvent {
    /// The event.
    pub event: Entry,
    /// What the tree says of it, made from the row as it is.
    pub leaf: Leaf,
    /// The hash of that.
    pub leaf_hash: Hash,
    /// The proof that it is in the tree; null where it is not signed yet, or not what was signed.
    pub proof: Option<Proof>,
    /// Whether it is not what was signed.
    pub disagrees: bool,
}

/// A page of events.
///
/// # Errors
/// Whatever is wrong with the query string, and what the caller may not see.
pub(super) async fn events(api: &Api, call: &Call<'_>, pairs: Pairs) -> Result<HttpResponse, Problem> {
    let asked = asked::<Explored>(pairs)?;
    if let Some(not_yet) = query::unrecorded(api, asked.min_position).await? {
        return Ok(not_yet);
    }
    let page = api.projections.audit(call.actor()?, &asked.of_log).await.map_err(problem)?;
    let positions: Vec<Position> = page.entries.iter().map(|entry| entry.position).collect();
    let leaves: Vec<Leaf> = recorded(api, &positions).await?.iter().map(Leaf::of).collect();
    access::log_read(api, call, page.subjects.iter().copied()).await?;
    let hashes: HashMap<Position, Hash> = leaves.iter().map(|leaf| (leaf.position, leaf.hash())).collect();
    let directory = api.log.clone();
    let (proofs, disagrees) = log::blocking(move || proved(&directory, leaves)).await?;
    let explored = |entry: Entry| Some(Explored { leaf_hash: *hashes.get(&entry.position)?, entry });
    let events = page.entries.into_iter().filter_map(explored).collect();
    let body = EventPage { events, next: page.next, position: page.position, proofs, disagrees };
    Ok(asked.answer(call, &body, "events", body.next))
}

/// One event, by its id or its position.
///
/// # Errors
/// Where there is no such event, or it is not the caller's to see.
pub(super) async fn event(api: &Api, call: &Call<'_>, pairs: Pairs) -> Result<HttpResponse, Problem> {
    pairs.done()?;
    let nowhere = || Problem::new(NOT_FOUND, "there is no such event");
    let id = match number(call.parameter("id")) {
        Some(position) => recorded(api, &[position]).await?.first().ok_or_else(nowhere)?.event_id,
        None => call.id("id")?,
    };
    let chain = api.projections.causation_chain(call.actor()?, id, None).await.map_err(problem)?;
    let event = chain.ok_or_else(nowhere)?.event;
    let leaf = recorded(api, &[event.position]).await?.first().map(Leaf::of).ok_or_else(nowhere)?;
    access::log_read(api, call, event.subjects.iter().copied()).await?;
    let (directory, proving) = (api.log.clone(), leaf.clone());
    let (proof, disagrees) = log::blocking(move || match directory.prove(proving) {
        Ok(proof) => Ok((Some(proof), false)),
        Err(DirectoryError::Unsigned | DirectoryError::NotYet { .. }) => Ok((None, false)),
        Err(DirectoryError::Disagrees { .. }) => Ok((None, true)),
        Err(error) => Err(error),
    })
    .await?;
    let body = OneEvent { event, leaf_hash: leaf.hash(), leaf, proof, disagrees };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(body))
}

async fn recorded(api: &Api, positions: &[Position]) -> Result<Vec<Recorded>, Problem> {
    api.commands.store().read_at(positions).await.map_err(|error| query::failed(&error))
}

/// The proofs of those leaves that are signed, and which are not what was signed.
fn proved(
    directory: &Directory,
    mut leaves: Vec<Leaf>,
) -> Result<(Option<Proofs>, Vec<Position>), DirectoryError> {
    let mut prover = match directory.prover() {
        Err(DirectoryError::Unsigned) => return Ok((None, Vec::new())),
        prover => prover?,
    };
    let (head, mut lines, mut disagrees) = (prover.head().clone(), Vec::new(), Vec::new());
    leaves.sort_unstable_by_key(|leaf| leaf.position);
    for leaf in leaves {
        match prover.prove(leaf) {
            Ok(line) => lines.push(line),
            Err(DirectoryError::NotYet { .. }) => break,
            Err(DirectoryError::Disagrees { position, .. }) => disagrees.push(position),
            Err(error) => return Err(error),
        }
    }
    let (format, size, checkpoint) = (head.format, head.size, head.checkpoint);
    Ok((Some(Proofs { format, size, checkpoint, lines }), disagrees))
}
