//! At the start: holds the read models that this program knows against those that the database has.

use std::sync::Arc;

use crate::{
    Inner,
    catalog::{Birth, Entry, Layout, State, change_state, create_generation, drop_generation},
    error::ProjectionError,
    model::ReadModel,
    source::check,
    storage::Connection,
};

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
            take_up(*model, connection, &layout).await?;
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
        let known = inner.config.models.iter().any(|model| is(entry, *model));
        if !known && matches!(entry.state, State::Live | State::Behind) {
            let position = Some(entry.position.unwrap_or(layout.position));
            let reason = Some("the running program has another version of it, or none");
            change_state(&connection.client, entry, State::Frozen, position, reason).await?;
        }
    }
    Ok(())
}

fn is(entry: &Entry, model: &dyn ReadModel) -> bool {
    let shape = model.shape();
    entry.name == shape.name && entry.version == shape.version as i32
}

async fn take_up(
    model: &'static dyn ReadModel,
    connection: &Connection,
    layout: &Layout,
) -> Result<(), ProjectionError> {
    let client = &connection.client;
    let own: Vec<&Entry> = layout.entries.iter().filter(|entry| is(entry, model)).collect();
    for entry in &own {
        // What an interrupted rebuild or a crash has left holds nothing that could be used.
        if entry.state == State::Building || entry.lost {
            drop_generation(client, entry).await?;
        }
    }
    let mut usable = own.iter().filter(|entry| entry.state != State::Building && !entry.lost);
    let usable = usable.clone().find(|entry| entry.serving).or_else(|| usable.next_back());
    match usable {
        Some(entry) if entry.state == State::Frozen || entry.state == State::Retired => {
            change_state(client, entry, State::Behind, entry.position, None).await
        }
        Some(_) => Ok(()),
        None => {
            let shape = model.shape();
            let served = layout.serving(shape.name).is_some_and(|entry| !entry.lost);
            // On a log that nobody has folded yet there is nothing to catch up with.
            let state = if layout.position == 0 { State::Live } else { State::Behind };
            let birth = Birth { state, serving: !served, indexed: true };
            let entry = create_generation(client, shape, layout.incarnation, birth).await?;
            tracing::info!(name = entry.name, schema = entry.schema, "a generation of a read model begins");
            Ok(())
        }
    }
}
