//! Read models that are behind the pack catch up on their own and join it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use event_store::Position;

use crate::{
    Inner,
    catalog::{Entry, Layout, State, change_state, signed, unsigned},
    error::ProjectionError,
    fact::{Batch, trace_of},
    model::Poison,
    pack::{Checkpoint, Committed, Fault, Member, commit, commit_up_to_poison},
    rebuild::{self, Difference, compare},
    storage::Connection,
    views,
};

/// As near to the pack read models join: the pack waits while they fold the rest.
const NEAR: u64 = 256;

/// How often a read model that is ahead of the pack looks whether the pack comes by.
const LOOK: Duration = Duration::from_millis(20);

/// How long to wait before trying again after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// Works until nothing is missing or behind that this program knows, and analysts see what serves.
pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        let worked = match rebuild::build_missing(&inner).await {
            Ok(()) => step(&inner).await,
            Err(error) => Err(error),
        };
        match worked {
            Ok(true) | Err(ProjectionError::Moved) => {}
            Ok(false) => match views::switch(&inner).await {
                Ok(()) => break,
                Err(error) => pause(error).await,
            },
            Err(error) => pause(error).await,
        }
    }
    inner.changed.notify_one();
}

async fn pause(error: ProjectionError) {
    tracing::warn!(%error, "catching up is interrupted");
    tokio::time::sleep(RETRY).await;
}

/// Brings one read model up to date; false where none is behind.
async fn step(inner: &Arc<Inner>) -> Result<bool, ProjectionError> {
    let mut connection = Connection::open(&inner.database, "catch-up").await?;
    let layout = Layout::load(&connection.client).await?;
    let behind = layout.entries.iter().filter(|entry| entry.state == State::Behind);
    let next = behind.into_iter().find_map(|entry| {
        let model = inner.config.models.iter().copied().find(|model| entry.is_of(model.shape()))?;
        Some(Member::new(model, entry.clone(), layout.skips_of(&entry.name)))
    });
    let Some(member) = next else { return Ok(false) };
    catch_up(inner, &mut connection, vec![member], Meeting::Wait, &mut Met::default()).await?;
    Ok(true)
}

/// What to do when the pack is behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// Wait until it comes by.
    Wait,
    /// Serve already; the follower will see to it that they meet.
    Serve,
}

/// How read models met the pack.
#[derive(Default)]
pub(crate) struct Met {
    /// Those that had to be parked, and before which position.
    pub(crate) parked: BTreeMap<&'static str, Position>,
    /// How the rows of those that serve now differ from the rows that served before, where that was asked for.
    pub(crate) differences: BTreeMap<&'static str, Difference>,
}

/// Folds what freshly built read models missed, and lets them serve.
pub(crate) async fn catch_up_and_switch(
    inner: &Arc<Inner>,
    connection: &mut Connection,
    mut members: Vec<Member>,
) -> Result<Met, ProjectionError> {
    let mut met = Met::default();
    // Those that stand at the same position go together.
    while let Some(position) = members.first().map(|member| member.entry.position) {
        let (together, rest) = members.into_iter().partition(|member| member.entry.position == position);
        catch_up(inner, connection, together, Meeting::Serve, &mut met).await?;
        members = rest;
    }
    Ok(met)
}

/// Folds what read models at one position missed, and takes them into the pack; or parks them.
async fn catch_up(
    inner: &Arc<Inner>,
    connection: &mut Connection,
    mut members: Vec<Member>,
    meeting: Meeting,
    met: &mut Met,
) -> Result<(), ProjectionError> {
    let keyring = inner.store.keyring();
    while let Some(position) = members.first().map(|member| member.entry.position.unwrap_or(0)) {
        let pack = connection.client.query_one("SELECT position FROM annals.projection_head", &[]).await?;
        let pack = unsigned(pack.try_get(0)?);
        // One pass ends at the head: nobody waits for events that nobody folds yet.
        if pack <= position.saturating_add(NEAR) {
            match join(inner, connection, &members, meeting, met).await? {
                Joined::Yes => {
                    inner.changed.notify_one();
                    let names: Vec<_> = members.iter().map(Member::name).collect();
                    tracing::info!(?names, position = pack, "read models serve and keep up");
                    return Ok(());
                }
                Joined::Ahead => {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                Joined::Stopped => {}
            }
        }
        let events = inner.store.read_all(position, inner.config.batch_max).await?;
        let batch = Batch::decode(events, keyring).await?;
        let committed =
            commit_up_to_poison(connection, &members, batch.whole(), keyring, Checkpoint::Own).await;
        let Committed { at, stopped } = match committed {
            Ok(committed) => committed,
            Err(Fault::Failed(error)) => return Err(error),
            Err(Fault::Moved) => return Err(ProjectionError::Moved),
            Err(Fault::Poison { .. } | Fault::Unstorable { .. }) => {
                unreachable!("both are what `stopped` says")
            }
        };
        members.iter_mut().for_each(|member| member.entry.position = Some(at));
        if let Some((name, poison)) = stopped
            && let Some(index) = members.iter().position(|member| member.name() == name)
        {
            let member = members.remove(index);
            met.parked.insert(name, poison.position);
            park(inner, connection, &member.entry, poison).await?;
        }
    }
    Ok(())
}

async fn park(
    inner: &Inner,
    connection: &Connection,
    entry: &Entry,
    poison: Poison,
) -> Result<(), ProjectionError> {
    let Poison { position, reason } = poison;
    let trace_id = trace_of(&inner.store, position).await;
    tracing::error!(
        name = entry.name,
        position,
        trace_id,
        reason,
        "a read model cannot fold an event and is parked before it"
    );
    change_state(&connection.client, entry, State::Parked, Some(position - 1), Some(&reason)).await?;
    inner.changed.notify_one();
    Ok(())
}

enum Joined {
    Yes,
    /// The pack is not there yet.
    Ahead,
    /// There is an event between them and the pack that one of them cannot fold.
    Stopped,
}

/// Holds the pack where it is, folds the rest and joins it, in one transaction. Where another generation served, the new
/// one serves from now on.
async fn join(
    inner: &Inner,
    connection: &mut Connection,
    members: &[Member],
    meeting: Meeting,
    met: &mut Met,
) -> Result<Joined, ProjectionError> {
    connection.client.batch_execute("BEGIN").await?;
    let joined = join_within(inner, connection, members, meeting, met).await;
    let end = if matches!(joined, Ok(Joined::Yes)) { "COMMIT" } else { "ROLLBACK" };
    connection.client.batch_execute(end).await?;
    joined
}

async fn join_within(
    inner: &Inner,
    connection: &mut Connection,
    members: &[Member],
    meeting: Meeting,
    met: &mut Met,
) -> Result<Joined, ProjectionError> {
    let lock = "SELECT position FROM annals.projection_head FOR UPDATE";
    let pack = unsigned(connection.client.query_one(lock, &[]).await?.try_get(0)?);
    let mut position = members.first().and_then(|member| member.entry.position).unwrap_or(0);
    let ahead = position > pack;
    if ahead && meeting == Meeting::Wait {
        return Ok(Joined::Ahead);
    }
    let keyring = inner.store.keyring();
    while position < pack {
        let limit = inner.config.batch_max.min((pack - position) as usize);
        let batch = Batch::decode(inner.store.read_all(position, limit).await?, keyring).await?;
        match commit(connection, members, batch.whole(), keyring, Checkpoint::Open).await {
            Ok(()) => position = batch.last,
            Err(Fault::Poison { .. } | Fault::Unstorable { .. }) => return Ok(Joined::Stopped),
            Err(Fault::Moved) => return Err(ProjectionError::Moved),
            Err(Fault::Failed(error)) => return Err(error),
        }
    }
    if inner.config.compare && meeting == Meeting::Serve && !ahead {
        // Both stand at the same position, and the pack waits.
        for member in members {
            if let Some(difference) = compare::with_serving(&connection.client, member).await? {
                met.differences.insert(member.name(), difference);
            }
        }
    }
    for Member { entry, .. } in members {
        serve(connection, entry, pack, (!ahead).then_some(State::Live)).await?;
    }
    connection.client.execute("UPDATE annals.projection_head SET layout = layout + 1", &[]).await?;
    Ok(Joined::Yes)
}

/// Lets a generation serve instead of the one that did, and takes it into the pack.
async fn serve(
    connection: &Connection,
    entry: &Entry,
    pack: Position,
    live: Option<State>,
) -> Result<(), ProjectionError> {
    let retire = "UPDATE annals.projections
        SET serving = false, state = 'retired', position = coalesce(position, $3), since = clock_timestamp()
        WHERE name = $1 AND generation <> $2 AND serving";
    connection.client.execute(retire, &[&entry.name, &entry.generation, &signed(pack)]).await?;
    let serve = "UPDATE annals.projections
        SET serving = true, state = CASE WHEN $3 THEN 'live' ELSE state END,
            position = CASE WHEN $3 THEN NULL ELSE position END, reason = NULL, since = clock_timestamp()
        WHERE name = $1 AND generation = $2 AND state = 'behind'";
    let served = connection.client.execute(serve, &[&entry.name, &entry.generation, &live.is_some()]).await?;
    if served == 0 { Err(ProjectionError::Moved) } else { Ok(()) }
}
