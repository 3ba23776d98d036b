//! How far the read models are, for those who wait to read their own writes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use event_store::Position;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use crate::{Projections, catalog::unsigned, error::ProjectionError, source::Feed};

/// What the follower of this process is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerState {
    /// It was not started, or has ended.
    Stopped,
    /// Another node follows the log; this one takes over when that one ends.
    Standby,
    /// It follows the log.
    Following,
    /// The database cannot be reached; it tries again.
    Interrupted(String),
    /// It must not go on: an operator has to look.
    Refused(String),
}

/// How far the pack is, as far as the follower of this process knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) following: bool,
    pub(crate) position: Position,
    pub(crate) members: Arc<BTreeSet<&'static str>>,
}

impl Projections {
    /// Waits until a read model has folded the event at a position, and says whether it has.
    ///
    /// # Errors
    /// When there is no such read model, or the database fails.
    pub async fn wait_for(
        &self,
        name: &str,
        position: Position,
        patience: Duration,
    ) -> Result<bool, ProjectionError> {
        self.model(name)?;
        let deadline = Instant::now() + patience;
        let mut progress = self.0.progress.subscribe();
        let mut pause = Duration::from_millis(2);
        loop {
            let followed = {
                let progress = progress.borrow_and_update();
                (progress.following && progress.members.contains(name)).then_some(progress.position)
            };
            // Not followed in this process: the database knows.
            let reached = match followed {
                Some(reached) => reached,
                None => self.position_of(name).await?.unwrap_or(0),
            };
            if reached >= position {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            if followed.is_some() {
                // A follower that ends closes nothing: the sender belongs to `Projections`.
                let _ = timeout_at(deadline, progress.changed()).await;
            } else {
                sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
                pause = (pause * 2).min(Duration::from_millis(20));
            }
        }
    }

    /// How far the serving generation of a read model is, by the database's word; none where no generation serves.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn position_of(&self, name: &str) -> Result<Option<Position>, ProjectionError> {
        let position: Option<i64> = sqlx::query_scalar(
            "SELECT coalesce(p.position, h.position) FROM annals.projections p, annals.projection_head h
             WHERE p.name = $1 AND p.serving",
        )
        .bind(name)
        .fetch_optional(self.0.store.pool())
        .await?;
        Ok(position.map(unsigned))
    }

    /// Where the events that the follower of this process folded came from.
    pub fn feed(&self) -> Feed {
        self.0.feed.feed()
    }

    /// What the follower of this process is doing.
    pub fn state(&self) -> watch::Receiver<FollowerState> {
        self.0.state.subscribe()
    }
}
