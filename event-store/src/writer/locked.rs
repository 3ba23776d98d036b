//! The careful path: lock the head, look, decide each command on its own, insert, commit. It is taken when the fence was
//! lost, something collided, a connection was lost with batches in flight, a command needs a look at the database, or
//! while other nodes write as well.

use std::collections::HashSet;

use futures_util::future::{join5, try_join, try_join4};
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    columns::Columns,
    connection::Connection,
    ledger::Ledger,
    request::{Accepted, Fence, Reply, Request},
};
use crate::{
    AppendError, StoreError, StreamId,
    keys::Epoch,
    names::intern,
    recorded::{signed, unsigned},
};

/// What a locked batch has done.
pub(super) struct Done {
    pub(super) decisions: Vec<Decision>,
    /// Where the head was found.
    pub(super) found: Fence,
    /// Where it is now.
    pub(super) fence: Fence,
    /// The streams that other nodes have written since `expected`, and where they stand.
    pub(super) grown: Vec<(StreamId, u64)>,
}

pub(super) enum Decision {
    Accepted(Accepted),
    Answered(Request, Reply),
    SentBack(Request),
}

impl Decision {
    fn undo(self) -> Request {
        match self {
            Self::Accepted(Accepted { request, .. })
            | Self::Answered(request, _)
            | Self::SentBack(request) => request,
        }
    }
}

/// Decides and commits. After an error nothing was recorded, or, if the connection was lost, that is open; the commands
/// come back in order.
pub(super) async fn commit(
    connection: &Connection,
    expected: Fence,
    requests: Vec<Request>,
) -> Result<Done, (Vec<Request>, StoreError)> {
    let looked = match look(connection, expected, &requests).await {
        Ok(looked) => looked,
        Err(error) => {
            rollback(connection).await;
            return Err((requests, error));
        }
    };
    let Looked { found, mut ledger, grown } = looked;
    let mut next = found.next(0);
    let month = Epoch::month(crate::instant(next.recorded_at));
    let mut decisions = Vec::with_capacity(requests.len());
    for request in requests {
        let decision = decide(request, &mut ledger, next, month);
        if let Decision::Accepted(accepted) = &decision {
            next.position += accepted.sequences.len() as u64;
        }
        decisions.push(decision);
    }
    if next.position == found.position {
        next.recorded_at = found.recorded_at; // nothing is recorded: the time of the last event stays
    }
    match write(connection, &decisions, &ledger, next).await {
        Ok(()) => Ok(Done { decisions, found, fence: next, grown }),
        Err(error) => {
            rollback(connection).await;
            Err((decisions.into_iter().map(Decision::undo).collect(), error.into()))
        }
    }
}

/// After a failure. If the connection is lost, so is the transaction, or it was committed: the next look will tell.
async fn rollback(connection: &Connection) {
    if let Err(error) = connection.client.batch_execute("ROLLBACK").await {
        tracing::debug!(%error, "cannot roll back");
    }
}

struct Looked {
    found: Fence,
    ledger: Ledger,
    grown: Vec<(StreamId, u64)>,
}

/// Two round trips: begin and lock; then, with a snapshot that is taken after the lock was had, everything else.
async fn look(connection: &Connection, expected: Fence, requests: &[Request]) -> Result<Looked, StoreError> {
    let client = &connection.client;
    let (_, head) =
        try_join(client.batch_execute("BEGIN"), client.query_one(&connection.lock_head, &[])).await?;
    let found = Fence::from_row(&head)?;

    let mut streams: Vec<&StreamId> = Vec::new();
    let mut seen = HashSet::new();
    let mut commands: Vec<Uuid> = Vec::new();
    let mut keys: Vec<&str> = Vec::new();
    for Request { append, .. } in requests {
        let read = append.conditions.iter().map(|condition| &condition.stream);
        let written = append.events.iter().map(|event| &event.stream);
        streams.extend(read.chain(written).filter(|stream| seen.insert(*stream)));
        commands.push(append.command_id);
        keys.extend(append.claims.iter().map(|claim| claim.key()));
    }
    let types: Vec<&str> = streams.iter().map(|stream| &*stream.aggregate_type).collect();
    let ids: Vec<&str> = streams.iter().map(|stream| &*stream.aggregate_id).collect();
    let (since, until) = (signed(expected.position), signed(found.position));
    let (versions, known, claims, grown) = try_join4(
        client.query(&connection.versions, &[&types, &ids]),
        client.query(&connection.known_commands, &[&commands]),
        async {
            if keys.is_empty() { Ok(Vec::new()) } else { client.query(&connection.claims, &[&keys]).await }
        },
        async {
            if since >= until {
                Ok(Vec::new())
            } else {
                client.query(&connection.grown, &[&since, &until]).await
            }
        },
    )
    .await?;

    let mut ledger = Ledger::default();
    for (stream, row) in streams.into_iter().zip(&versions) {
        ledger.versions.insert(stream.clone(), unsigned(row.try_get(0)?)?);
    }
    for row in &known {
        ledger.commands.insert(row.try_get(0)?);
    }
    for row in &claims {
        let seat: &str = row.try_get(1)?;
        ledger.hold(row.try_get(0)?, !seat.is_empty(), stream_of(row, 2)?);
    }
    let grown = grown.iter().map(|row| Ok((stream_of(row, 0)?, unsigned(row.try_get(2)?)?)));
    Ok(Looked { found, ledger, grown: grown.collect::<Result<_, StoreError>>()? })
}

fn stream_of(row: &Row, first: usize) -> Result<StreamId, StoreError> {
    let aggregate_type: &str = row.try_get(first)?;
    Ok(StreamId::new(intern(aggregate_type), row.try_get::<_, &str>(first + 1)?))
}

fn decide(request: Request, ledger: &mut Ledger, next: Fence, month: Epoch) -> Decision {
    if ledger.commands.contains(&request.append.command_id) {
        return Decision::Answered(request, Reply::Repeated);
    }
    if request.month.is_some_and(|sealed_for| sealed_for != month) {
        return Decision::SentBack(request);
    }
    let version = |stream: &StreamId| ledger.versions.get(stream).copied().unwrap_or(0);
    for condition in &request.append.conditions {
        let current = version(&condition.stream);
        if current != condition.version {
            let stream = condition.stream.clone();
            return Decision::Answered(request, Reply::Refused(AppendError::Conflict { stream, current }));
        }
    }
    let bases = request.written().into_iter().map(|stream| (stream.clone(), version(stream))).collect();
    if let Err(key) = ledger.claim(&request.append.claims) {
        return Decision::Answered(request, Reply::Refused(AppendError::ClaimTaken { key }));
    }
    let accepted = Accepted::new(request, next.position + 1, bases);
    ledger.commands.insert(accepted.request.append.command_id);
    ledger.versions.extend(accepted.versions.iter().cloned());
    Decision::Accepted(accepted)
}

/// One round trip. The head is moved even when nothing was accepted: it gets a new batch number, and a statement that a
/// lost connection may still carry finds its fence gone.
async fn write(
    connection: &Connection,
    decisions: &[Decision],
    ledger: &Ledger,
    next: Fence,
) -> Result<(), tokio_postgres::Error> {
    let client = &connection.client;
    let accepted: Vec<&Accepted> = decisions
        .iter()
        .filter_map(|decision| match decision {
            Decision::Accepted(accepted) => Some(accepted),
            Decision::Answered(..) | Decision::SentBack(_) => None,
        })
        .collect();
    let columns = Columns::of(accepted.iter().copied());
    let changes = ledger.changes();
    let position = signed(next.position);
    let first = accepted.first().map_or(0, |accepted| signed(accepted.first) - 1);
    let (gone_keys, gone_seats) = changes.freed();
    let (new_keys, new_seats, new_types, new_ids) = changes.taken();
    let insert = async {
        if accepted.is_empty() {
            return Ok(0);
        }
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&first, &next.recorded_at];
        parameters.extend(columns.parameters());
        client.execute(&connection.insert, &parameters).await
    };
    let free = async {
        if gone_keys.is_empty() {
            return Ok(0);
        }
        client.execute(&connection.claims_delete, &[&gone_keys, &gone_seats]).await
    };
    let take = async {
        if new_keys.is_empty() {
            return Ok(0);
        }
        client.execute(&connection.claims_insert, &[&new_keys, &new_seats, &new_types, &new_ids]).await
    };
    let head = async {
        let parameters: [&(dyn ToSql + Sync); 3] = [&position, &next.recorded_at, &next.batch];
        client.execute(&connection.move_head, &parameters).await
    };
    // All are sent at once and in this order. COMMIT after a failure rolls back and says so in no error: the others do.
    let (inserted, freed, taken, moved, committed) =
        join5(insert, free, take, head, client.batch_execute("COMMIT")).await;
    inserted.and(freed).and(taken).and(moved)?;
    committed
}
