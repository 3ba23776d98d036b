//! The write unit: a batch of facts folded into several read models and committed once, with the checkpoint.

use std::{collections::BTreeSet, future::Future, pin::Pin};

use event_store::{Keyring, Position};

use crate::{
    catalog::{Entry, signed},
    error::{ProjectionError, describe, sqlstate},
    fact::{Fact, Span},
    model::{Poison, ReadModel, Stage},
    storage::{
        Connection, Parcel, Statements, by_reference, in_order, load_params, load_rows, open_rows, stow,
        upsert_params,
    },
};

/// A generation of a read model, ready to be folded.
pub(crate) struct Member {
    pub(crate) model: &'static dyn ReadModel,
    pub(crate) entry: Entry,
    pub(crate) skips: BTreeSet<Position>,
    pub(crate) statements: Statements,
}

impl Member {
    pub(crate) fn new(model: &'static dyn ReadModel, entry: Entry, skips: BTreeSet<Position>) -> Self {
        let statements = Statements::new(model.shape(), &entry.schema);
        Member { model, entry, skips, statements }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.model.shape().name
    }
}

/// Whose checkpoint goes with the rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Checkpoint {
    /// The pack's, as long as the layout is this one.
    Pack { layout: i64 },
    /// That of the members, who are not in the pack but at the same position.
    Own,
    /// Neither: the caller has a transaction open and goes on with it.
    Open,
}

/// Why a batch was not committed. Nothing of it was.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A read model cannot fold this event.
    Poison { name: &'static str, poison: Poison },
    /// A row of a read model cannot be stored; which event made it is not known yet.
    Unstorable { name: &'static str, reason: String },
    /// Somebody else moved or changed the read models.
    Moved,
    /// Anything else: the connection, the keys.
    Failed(ProjectionError),
}

impl<E: Into<ProjectionError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Fault::Failed(error.into())
    }
}

struct Folding<'a> {
    member: &'a Member,
    facts: Vec<&'a Fact>,
    stage: Box<dyn Stage>,
}

/// Folds the events of a span into all members and commits their rows with the checkpoint: all of it or nothing.
pub(crate) async fn commit(
    connection: &mut Connection,
    members: &[Member],
    span: Span<'_>,
    keyring: &Keyring,
    checkpoint: Checkpoint,
) -> Result<(), Fault> {
    let writes = fold(connection, members, span, keyring).await?;
    write(connection, members, writes, span, checkpoint).await
}

type Write<'a> = (&'a Member, &'a str, Parcel);

async fn fold<'a>(
    connection: &mut Connection,
    members: &'a [Member],
    span: Span<'a>,
    keyring: &Keyring,
) -> Result<Vec<Write<'a>>, Fault> {
    // The first of all poisonous events decides how far the batch can go.
    let mut first: Option<(&'static str, Poison)> = None;
    let mut note = |name: &'static str, poison: Poison| {
        if first.as_ref().is_none_or(|(_, earlier)| poison.position < earlier.position) {
            first = Some((name, poison));
        }
    };
    let mut folding: Vec<Folding<'_>> = Vec::new();
    let mut loads = Vec::new();
    for member in members {
        let shape = member.model.shape();
        if let Some(event) = span.unreadable(shape, &member.skips) {
            note(shape.name, Poison { position: event.position, reason: event.reason.clone() });
        }
        let facts = span.facts(shape, &member.skips);
        if facts.is_empty() {
            continue;
        }
        let mut stage = member.model.stage();
        match stage.touch(&facts) {
            Ok(keys) => {
                if !keys.is_empty() {
                    loads.push((folding.len(), load_params(shape, &keys)));
                }
                folding.push(Folding { member, facts, stage });
            }
            Err(poison) => note(shape.name, poison),
        }
    }
    load(connection, &mut folding, loads, keyring).await?;
    for folding in &mut folding {
        if let Err(poison) = folding.stage.fold(&folding.facts) {
            note(folding.member.name(), poison);
        }
    }
    if let Some((name, poison)) = first {
        return Err(Fault::Poison { name, poison });
    }
    let mut writes = Vec::new();
    for Folding { member, mut stage, .. } in folding {
        let shape = member.model.shape();
        let changes = match stage.changes() {
            Ok(changes) => changes,
            Err(error) => {
                return Err(Fault::Unstorable { name: shape.name, reason: error.to_string() });
            }
        };
        if !changes.deletes.is_empty() {
            writes.push((member, member.statements.delete.as_str(), load_params(shape, &changes.deletes)));
        }
        if !changes.upserts.is_empty() {
            let rows = stow(shape, changes.upserts, keyring).await?;
            writes.push((member, member.statements.upsert.as_str(), upsert_params(shape, &rows)));
        }
    }
    Ok(writes)
}

/// Loads the rows that are touched, all of them in one round trip.
async fn load(
    connection: &mut Connection,
    folding: &mut [Folding<'_>],
    loads: Vec<(usize, Parcel)>,
    keyring: &Keyring,
) -> Result<(), Fault> {
    let mut queries = Vec::new();
    for (index, params) in loads {
        let member = folding[index].member;
        let statement = connection.prepare(&member.statements.load).await?;
        queries.push((index, member.model.shape(), statement, params));
    }
    let client = &connection.client;
    let queries = queries.into_iter().map(|(index, shape, statement, params)| async move {
        (index, load_rows(client, shape, &statement, &params).await)
    });
    for (index, rows) in in_order(queries.collect()).await {
        let Folding { member, stage, .. } = &mut folding[index];
        for row in open_rows(member.model.shape(), rows?, keyring).await? {
            stage.take(row)?;
        }
    }
    Ok(())
}

type Step<'a> = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send + 'a>>;

/// Sends the transaction as a whole, without waiting for the answer to any of its statements.
async fn write(
    connection: &mut Connection,
    members: &[Member],
    writes: Vec<Write<'_>>,
    span: Span<'_>,
    checkpoint: Checkpoint,
) -> Result<(), Fault> {
    let mut statements = Vec::new();
    for (member, sql, params) in writes {
        statements.push((member.name(), connection.prepare(sql).await?, params));
    }
    let (from, to) = (signed(span.after), signed(span.last));
    let advance = match checkpoint {
        Checkpoint::Pack { .. } => {
            Some(connection.prepare("SELECT annals.advance_projections($1, $2, $3)").await?)
        }
        Checkpoint::Own => {
            Some(connection.prepare("SELECT annals.advance_projections_apart($1, $2, $3, $4)").await?)
        }
        Checkpoint::Open => None,
    };
    let names: Vec<&str> = members.iter().map(Member::name).collect();
    let generations: Vec<i32> = members.iter().map(|member| member.entry.generation).collect();
    let client = &connection.client;
    let mut steps: Vec<(Option<&'static str>, Step<'_>)> = Vec::new();
    let transaction = !matches!(checkpoint, Checkpoint::Open);
    if transaction {
        steps.push((None, Box::pin(client.batch_execute("BEGIN"))));
    }
    // The checkpoint first: who has been overtaken writes nothing.
    if let Some(advance) = advance {
        let (names, generations) = (&names, &generations);
        let run = async move {
            match checkpoint {
                Checkpoint::Pack { layout } => client.execute(&advance, &[&from, &to, &layout]).await?,
                Checkpoint::Own | Checkpoint::Open => {
                    client.execute(&advance, &[names, generations, &from, &to]).await?
                }
            };
            Ok(())
        };
        steps.push((None, Box::pin(run)));
    }
    for (name, statement, params) in statements {
        let run = async move {
            client.execute(&statement, &by_reference(&params)).await?;
            Ok(())
        };
        steps.push((Some(name), Box::pin(run)));
    }
    if transaction {
        steps.push((None, Box::pin(client.batch_execute("COMMIT"))));
    }
    let (names, steps): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    // The first error is the cause; those after it only say that the transaction was aborted.
    for (name, outcome) in names.into_iter().zip(in_order(steps).await) {
        if let Err(error) = outcome {
            return Err(fault(name, error));
        }
    }
    Ok(())
}

/// Classes 22 (data), 23 (integrity), 42 (the table is not as it should be) and 54 (a limit) are the rows' own fault.
fn fault(name: Option<&'static str>, error: tokio_postgres::Error) -> Fault {
    let code = sqlstate(&error).unwrap_or_default();
    let own = ["22", "23", "42", "54"].iter().any(|class| code.starts_with(class));
    match name {
        _ if code == "AN001" => Fault::Moved,
        Some(name) if own => Fault::Unstorable { name, reason: describe(&error) },
        Some(_) | None => Fault::Failed(error.into()),
    }
}

/// How far a batch was committed, and what stopped it.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Everything up to here is committed.
    pub(crate) at: Position,
    /// The read model that cannot fold the event after that, and why.
    pub(crate) stopped: Option<(&'static str, Poison)>,
}

/// Commits a span piece by piece: everything before an event that a read model cannot fold.
pub(crate) async fn commit_up_to_poison(
    connection: &mut Connection,
    members: &[Member],
    whole: Span<'_>,
    keyring: &Keyring,
    checkpoint: Checkpoint,
) -> Result<Committed, Fault> {
    let (mut after, mut last) = (whole.after, whole.last);
    while after < whole.last {
        match commit(connection, members, whole.part(after, last), keyring, checkpoint).await {
            Ok(()) => (after, last) = (last, whole.last),
            Err(Fault::Poison { name, poison }) if poison.position == after + 1 => {
                return Ok(Committed { at: after, stopped: Some((name, poison)) });
            }
            Err(Fault::Poison { poison, .. }) => last = poison.position - 1,
            Err(Fault::Unstorable { name, reason }) if last == after + 1 => {
                return Ok(Committed { at: after, stopped: Some((name, Poison { position: last, reason })) });
            }
            // Which event it is shows when the batch is halved often enough.
            Err(Fault::Unstorable { .. }) => last = after + (last - after) / 2,
            Err(other) => return Err(other),
        }
    }
    Ok(Committed { at: after, stopped: None })
}
