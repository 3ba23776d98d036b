//! Back to the generation that served before: it folds what it missed meanwhile, and serves again.

use domain::Actor;

use super::BUILDING;
use crate::{
    Projections,
    catalog::{Layout, State, change_state},
    catch_up::catch_up_and_switch,
    error::ProjectionError,
    pack::Member,
    storage::Connection,
};

impl Projections {
    /// Lets the last generation of a read model that another one has replaced serve again. It folds what it missed; the
    /// one that served is kept in its place. Gives the generation that serves now.
    ///
    /// # Errors
    /// When there is no such read model, no former generation of the version that this program folds with its rows in
    /// place, or it cannot fold an event that it missed.
    pub async fn rollback(&self, name: &str, actor: &Actor, reason: &str) -> Result<i32, ProjectionError> {
        let model = self.model(name)?;
        let shape = model.shape();
        let mut connection = Connection::open(&self.0.database, "rollback").await?;
        connection.client.execute("SELECT pg_advisory_lock($1)", &[&BUILDING]).await?;
        let layout = Layout::load(&connection.client).await?;
        let former = layout.entries.iter().filter(|entry| entry.state == State::Retired && !entry.lost);
        let Some(former) = former.filter(|entry| entry.is_of(shape)).max_by_key(|entry| entry.generation)
        else {
            let text = format!("no former generation of {name} is there that this program could go on with");
            return Err(ProjectionError::WrongState(text));
        };
        change_state(&connection.client, former, State::Behind, former.position, None).await?;
        let mut entry = former.clone();
        entry.state = State::Behind;
        let generation = entry.generation;
        let member = Member::new(model, entry, layout.skips_of(name));
        let met = catch_up_and_switch(&self.0, &mut connection, vec![member]).await?;
        if let Some(position) = met.parked.get(name) {
            let text = format!("generation {generation} of {name} cannot fold the event at {position}");
            return Err(ProjectionError::WrongState(text));
        }
        let record = "INSERT INTO annals.projection_interventions (name, action, actor, reason)
            VALUES ($1, 'rollback', $2, $3)";
        connection.client.execute(record, &[&name, &actor.to_string(), &reason]).await?;
        tracing::warn!(name, generation, %actor, reason, "a former generation of a read model serves again");
        self.0.changed.notify_one();
        Ok(generation)
    }
}
