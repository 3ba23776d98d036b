//! The way of a command to an aggregate without a state: decide and append, wherever the stream stands. Nothing is loaded,
//! and nobody who writes to the same stream at the same moment has to wait.

use domain::{Context, Noted, Refused};
use event_store::{AppendError, Position};
use uuid::Uuid;

use crate::{
    CommandError, Commands, Request,
    execute::{now, to_append},
};

impl Commands {
    /// Puts something on record. When this returns, it is on disk; the position is that of the last event.
    ///
    /// # Errors
    /// As for every command, but for conflicts: there are none.
    pub async fn note<D: Noted>(
        &self,
        id: Uuid,
        command: D::Command,
        request: &Request,
    ) -> Result<Position, CommandError> {
        let state = D::default();
        if !state.may(&request.actor, &command) {
            return Err(CommandError::Forbidden);
        }
        let now = now();
        let context = Context {
            id,
            command_id: request.command_id,
            actor: request.actor.clone(),
            now,
            occurred_at: request.occurred_at.unwrap_or(now),
        };
        let events = match state.decide(command, &(), &context) {
            Ok(events) | Err(Refused::OnRecord(_, events)) => events,
            Err(refused) => return Err(CommandError::refused::<D>(refused)),
        };
        if events.is_empty() {
            return Ok(self.store().head().await?.position);
        }
        let append = to_append::<D>(&events, &state, Vec::new(), request, &context)?;
        match self.store().append(append).await {
            Ok(appended) => Ok(appended.position),
            Err(AppendError::Repeated(outcome)) => Ok(outcome.position),
            Err(error) => Err(error.into()),
        }
    }
}
