//! At the start: holds the read models that this program knows against those that the database has.

use std::sync::Arc;

use event_store::Position;

use crate::{
    Inner,
    catalog::{Birth, Entry, Layout, State, change_state, create_generation, drop_generation},
    error::ProjectionError,
    model::ReadModel,
    source::check,
    storage::Connection,
};

/// A log of so many events is folded as fast as it is built from.
const SHORT: Position = 2000;

/// Makes the first or next generation of read models that are new, changed or lost, and freezes those that this program
/// does not know. Called under the lease.
pub(crate) async fn enrol(inner: &Arc<Inner>, connection: &mut Connection) -> Result<(), ProjectionError> {
    let head = inner.store.head().await?;
    let client = &connection.client;
    let layout = Layout::load(client).await?;
    check(&head, layout.incarnation, layout.position)?;
    if let Some(ahead) = layout.entries.iter().find(|entry| entry.position > Some(head.position)) {
        return Err(ProjectionError::Refused(format!(
            "{} is ahead of the log, which ends at {}: was a backup restored?",
            ahead.name, head.position
        )));
    }
    client.batch_execute("BEGIN; SELECT FROM annals.projection_head FOR UPDATE").await?;
    let enrolled = async {
        freeze_unknown(inner, connection, &layout).await?;
        for model in &inner.config.models {
            take_up(*model, connection, &layout, head.position).await?;
        }
        Ok::<(), ProjectionError>(())
    }
    .await;
    let end = if enrolled.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.client.batch_execute(end).await?;
    enrolled
}

/// A read model in the pack whose fold this program does not have would claim to move on without moving.
async fn freeze_unknown(
    inner: &Inner,
    connection: &Connection,
    layout: &Layout,
) -> Result<(), ProjectionError> {
    for entry in &layout.entries {
        let known = inner.config.models.iter().any(|model| entry.is_of(model.shape()));
        if !known && matches!(entry.state, State::Live | State::Behind) {
            let position = Some(entry.position.unwrap_or(layout.position));
            let reason = Some("the running program has another version of it, or none");
            change_state(&connection.client, entry, State::Frozen, position, reason).await?;
        }
    }
    Ok(())
}

async fn take_up(
    model: &'static dyn ReadModel,
    connection: &Connection,
    layout: &Layout,
    head: Position,
) -> Result<(), ProjectionError> {
    let client = &connection.client;
    let shape = model.shape();
    let own: Vec<&Entry> = layout.entries.iter().filter(|entry| entry.is_of(shape)).collect();
    for entry in own.iter().filter(|entry| entry.lost) {
        tracing::warn!(name = entry.name, "a crash has emptied this read model: it is built again");
        drop_generation(client, entry).await?;
    }
    let mut usable = own.iter().filter(|entry| entry.state != State::Building && !entry.lost);
    let usable = usable.clone().find(|entry| entry.serving).or_else(|| usable.next_back());
    match usable {
        // An earlier version of the program runs again.
        Some(entry) if matches!(entry.state, State::Frozen | State::Retired) => {
            change_state(client, entry, State::Behind, entry.position, None).await
        }
        Some(_) => Ok(()),
        // On a short log that nobody has folded yet it begins with the others. Else it is built.
        None if layout.position == 0 && head <= SHORT && layout.serving(shape.name).is_none() => {
            let birth = Birth { state: State::Live, serving: true, indexed: true };
            create_generation(client, shape, layout.incarnation, birth).await.map(drop)
        }
        None => Ok(()),
    }
}
