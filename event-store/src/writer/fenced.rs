//! The hot path: one statement that is sent before the previous one is answered, decided from what the writer knows.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use tokio_postgres::types::ToSql;

use super::{
    columns::Columns,
    connection::Connection,
    knowledge::Knowledge,
    request::{Accepted, Fence, Reply, Request},
};
use crate::{AppendError, Claim, Condition, StreamId, keys::Epoch, recorded::signed};

/// Commands that travel together.
pub(super) struct Batch {
    pub(super) number: u64,
    pub(super) accepted: Vec<Accepted>,
    pub(super) from: Fence,
    pub(super) to: Fence,
    /// Versions that the writer does not know by heart.
    checks: Vec<Condition>,
    /// Keys that this batch takes or frees: a second command that does either has to wait for the next.
    keys: HashSet<String>,
}

/// The answer to a batch: how many events were inserted, all or none.
pub(super) type Settled = (Batch, Result<u64, tokio_postgres::Error>);

enum Verdict {
    Accept {
        bases: Vec<(StreamId, u64)>,
        checks: Vec<Condition>,
    },
    Answer(Reply),
    SendBack,
    /// It hangs on a batch in flight, or on this one.
    Wait,
    /// Only a look at the database under the lock can tell.
    Lock,
}

/// Takes from `pending` what can be committed next, and answers what needs no database. What has to wait stays, in
/// order. The flag says that something needs the locked path.
pub(super) fn compose(
    pending: &mut VecDeque<Request>,
    knowledge: &mut Knowledge,
    from: Fence,
    number: u64,
    batch_max: usize,
) -> (Option<Batch>, bool) {
    let to = from.next(0);
    let month = Epoch::month(crate::instant(to.recorded_at));
    let mut batch =
        Batch { number, accepted: Vec::new(), from, to, checks: Vec::new(), keys: HashSet::new() };
    let mut size = 0;
    let mut lock = false;
    let mut waiting = VecDeque::new();
    while batch.accepted.len() < batch_max && size < super::BYTES_MAX {
        let Some(request) = pending.pop_front() else { break };
        if request.is_cancelled() {
            continue;
        }
        match consider(&request, knowledge, &batch, month) {
            Verdict::Accept { bases, checks } => {
                size += request.size();
                let events = request.append.events.len() as u64;
                let accepted = Accepted::new(request, batch.to.position + 1, bases);
                knowledge.expect(&accepted, number);
                batch.keys.extend(accepted.request.append.claims.iter().map(|claim| claim.key().to_owned()));
                batch.checks.extend(checks);
                batch.to.position += events;
                batch.accepted.push(accepted);
            }
            Verdict::Answer(reply) => request.answer(reply),
            Verdict::SendBack => request.send_back(batch.to.recorded_at),
            Verdict::Wait => waiting.push_back(request),
            Verdict::Lock => {
                lock = true;
                waiting.push_back(request);
            }
        }
    }
    waiting.append(pending);
    *pending = waiting;
    ((!batch.accepted.is_empty()).then_some(batch), lock)
}

fn consider(request: &Request, knowledge: &mut Knowledge, batch: &Batch, month: Epoch) -> Verdict {
    match knowledge.command(request.append.command_id) {
        Some(true) => return Verdict::Answer(Reply::Repeated),
        Some(false) => return Verdict::Wait,
        None => {}
    }
    if request.month.is_some_and(|sealed_for| sealed_for != month) {
        return Verdict::SendBack;
    }
    let written = request.written();
    let mut checks = Vec::new();
    for condition in &request.append.conditions {
        match knowledge.version(&condition.stream) {
            // A stream that must not exist yet needs no check if it is written: sequence 1 collides.
            None if condition.version == 0 && written.contains(&&condition.stream) => {}
            None => checks.push(condition.clone()),
            Some(known) if known.version == condition.version => {}
            // Versions only grow: committed, this is certain. On its way, it may still come to nothing.
            Some(known) if known.version > condition.version => {
                if !knowledge.is_confirmed(known) {
                    return Verdict::Wait;
                }
                let stream = condition.stream.clone();
                return Verdict::Answer(Reply::Refused(AppendError::Conflict {
                    stream,
                    current: known.version,
                }));
            }
            // Somebody has seen more than this writer has: another node has written.
            Some(_) => return Verdict::Lock,
        }
    }
    let mut bases = Vec::with_capacity(written.len());
    for stream in written {
        let condition = request.condition(stream).map(|condition| condition.version);
        match condition.or_else(|| knowledge.version(stream).map(|known| known.version)) {
            Some(version) => bases.push((stream.clone(), version)),
            None => return Verdict::Lock,
        }
    }
    let claims = &request.append.claims;
    for (index, claim) in claims.iter().enumerate() {
        match claim {
            Claim::Seat { .. } => return Verdict::Lock,
            Claim::Take { key, by } if knowledge.seems_taken(key, by) => return Verdict::Lock,
            Claim::Take { .. } | Claim::Free { .. } => {}
        }
        if claims[..index].iter().any(|earlier| earlier.key() == claim.key()) {
            return Verdict::Lock;
        }
        if batch.keys.contains(claim.key()) {
            return Verdict::Wait;
        }
    }
    Verdict::Accept { bases, checks }
}

/// Commits a batch. Polled once, it is on its way.
pub(super) fn send(batch: Batch, connection: Arc<Connection>) -> BoxFuture<'static, Settled> {
    Box::pin(async move {
        let result = execute(&batch, &connection).await;
        (batch, result)
    })
}

async fn execute(batch: &Batch, connection: &Connection) -> Result<u64, tokio_postgres::Error> {
    let (from, to) = (signed(batch.from.position), signed(batch.to.position));
    let columns = Columns::of(&batch.accepted);
    let mut parameters: Vec<&(dyn ToSql + Sync)> =
        vec![&from, &batch.from.batch, &to, &batch.to.recorded_at, &batch.to.batch];
    parameters.extend(columns.parameters());
    if batch.checks.is_empty() && batch.keys.is_empty() {
        return connection.client.execute(&connection.fenced, &parameters).await;
    }
    let (mut types, mut ids, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for Condition { stream, version } in &batch.checks {
        types.push(&*stream.aggregate_type);
        ids.push(&*stream.aggregate_id);
        versions.push(signed(*version));
    }
    let (mut freed, mut taken) = (Claims::default(), Claims::default());
    for claim in batch.accepted.iter().flat_map(|accepted| &accepted.request.append.claims) {
        match claim {
            Claim::Take { key, by } => taken.push(key, by),
            Claim::Free { key, by } => freed.push(key, by),
            Claim::Seat { .. } => {} // never composed into a batch
        }
    }
    parameters.extend([&types as &(dyn ToSql + Sync), &ids, &versions]);
    parameters.extend([&freed.keys as &(dyn ToSql + Sync), &freed.types, &freed.ids]);
    parameters.extend([&taken.keys as &(dyn ToSql + Sync), &taken.types, &taken.ids]);
    connection.client.execute(&connection.fenced_checked, &parameters).await
}

#[derive(Default)]
struct Claims<'a> {
    keys: Vec<&'a str>,
    types: Vec<&'a str>,
    ids: Vec<&'a str>,
}

impl<'a> Claims<'a> {
    fn push(&mut self, key: &'a str, by: &'a StreamId) {
        self.keys.push(key);
        self.types.push(&by.aggregate_type);
        self.ids.push(&by.aggregate_id);
    }
}
