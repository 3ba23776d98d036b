//! Read models that are behind the pack catch up on their own and join it.

use std::sync::Arc;

use event_store::Position;

use crate::{
    Inner,
    catalog::{Entry, Layout, State, change_state, signed, unsigned},
    error::ProjectionError,
    fact::Batch,
    model::Poison,
    pack::{Checkpoint, Fault, Member, commit, commit_up_to_poison},
    storage::Connection,
};

/// As near to the pack a read model joins: the pack waits while it folds the rest.
const NEAR: u64 = 256;

/// Works until nothing is behind that this program knows.
pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        match step(&inner).await {
            Ok(true) | Err(ProjectionError::Moved) => {}
            Ok(false) => break,
            Err(error) => {
                tracing::warn!(%error, "catching up is interrupted");
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        }
    }
    inner.changed.notify_one();
}

/// Brings one read model up to date; false where none is behind.
async fn step(inner: &Arc<Inner>) -> Result<bool, ProjectionError> {
    let mut connection = Connection::open(&inner.database, "catch-up").await?;
    let layout = Layout::load(&connection.client).await?;
    let behind = layout.entries.iter().filter(|entry| entry.state == State::Behind);
    let next = behind.into_iter().find_map(|entry| {
        let model = inner.config.models.iter().copied().find(|model| {
            model.shape().name == entry.name && model.shape().version as i32 == entry.version
        })?;
        Some(Member::new(model, entry.clone(), layout.skips_of(&entry.name)))
    });
    let Some(member) = next else { return Ok(false) };
    catch_up(inner, &mut connection, member).await?;
    Ok(true)
}

/// Folds what a read model missed, and takes it into the pack; or parks it.
pub(crate) async fn catch_up(
    inner: &Arc<Inner>,
    connection: &mut Connection,
    mut member: Member,
) -> Result<(), ProjectionError> {
    loop {
        let position = member.entry.position.unwrap_or(0);
        let pack = connection.client.query_one("SELECT position FROM annals.projection_head", &[]).await?;
        let pack = unsigned(pack.try_get(0)?);
        if pack.saturating_sub(position) <= NEAR {
            match join(inner, connection, &member).await? {
                Joined::Yes => {
                    inner.changed.notify_one();
                    tracing::info!(name = member.name(), position = pack, "a read model joined the pack");
                    return Ok(());
                }
                Joined::Ahead => {
                    // The pack comes by; nothing is lost by looking now and then.
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    continue;
                }
                Joined::Stopped => {}
            }
        }
        let events = inner.store.read_all(position, inner.config.batch_max).await?;
        let batch = Batch::decode(events, inner.store.keyring()).await?;
        let members = std::slice::from_ref(&member);
        let keyring = inner.store.keyring();
        let committed =
            commit_up_to_poison(connection, members, batch.whole(), keyring, Checkpoint::Own).await;
        let committed = committed.map_err(failed)?;
        member.entry.position = Some(committed.at);
        if let Some((_, poison)) = committed.stopped {
            return park(inner, connection, &member.entry, poison).await;
        }
    }
}

fn failed(fault: Fault) -> ProjectionError {
    match fault {
        Fault::Failed(error) => error,
        Fault::Moved => ProjectionError::Moved,
        Fault::Poison { .. } | Fault::Unstorable { .. } => unreachable!("both are what `stopped` says"),
    }
}

async fn park(
    inner: &Inner,
    connection: &Connection,
    entry: &Entry,
    poison: Poison,
) -> Result<(), ProjectionError> {
    let Poison { position, reason } = poison;
    tracing::error!(
        name = entry.name,
        position,
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
    /// There is an event between it and the pack that it cannot fold.
    Stopped,
}

/// Holds the pack where it is, folds the rest and joins it, in one transaction. If another generation served, this one
/// serves from now on.
async fn join(
    inner: &Inner,
    connection: &mut Connection,
    member: &Member,
) -> Result<Joined, ProjectionError> {
    connection.client.batch_execute("BEGIN").await?;
    let joined = join_within(inner, connection, member).await;
    let end = if matches!(joined, Ok(Joined::Yes)) { "COMMIT" } else { "ROLLBACK" };
    connection.client.batch_execute(end).await?;
    joined
}

async fn join_within(
    inner: &Inner,
    connection: &mut Connection,
    member: &Member,
) -> Result<Joined, ProjectionError> {
    let lock = "SELECT position FROM annals.projection_head FOR UPDATE";
    let pack = unsigned(connection.client.query_one(lock, &[]).await?.try_get(0)?);
    let mut position: Position = member.entry.position.unwrap_or(0);
    if position > pack {
        return Ok(Joined::Ahead);
    }
    let keyring = inner.store.keyring();
    let members = std::slice::from_ref(member);
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
    let serve = "UPDATE annals.projections SET serving = false,
            state = 'retired', position = coalesce(position, $3), since = clock_timestamp()
        WHERE name = $1 AND generation <> $2 AND serving";
    let own = &member.entry;
    connection.client.execute(serve, &[&own.name, &own.generation, &signed(pack)]).await?;
    let join = "UPDATE annals.projections
        SET state = 'live', position = NULL, serving = true, reason = NULL, since = clock_timestamp()
        WHERE name = $1 AND generation = $2 AND state = 'behind'";
    if connection.client.execute(join, &[&own.name, &own.generation]).await? == 0 {
        return Err(ProjectionError::Moved);
    }
    connection.client.execute("UPDATE annals.projection_head SET layout = layout + 1", &[]).await?;
    Ok(Joined::Yes)
}
