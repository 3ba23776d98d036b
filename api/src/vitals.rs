//! How this node is: sampled now and then, told by health checks and metrics.

use std::time::Duration;

use commands::policies::PolicyStatus;
use event_store::{EventStore, Position};
use projections::{FollowerState, Projections};
use serde::Serialize;
use tokio::sync::watch;

use crate::metrics::Metrics;

/// How often the parts are asked.
const EVERY: Duration = Duration::from_secs(5);
/// How long the log may take to answer a health check.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many positions a read model or a policy may be behind before somebody should look.
const LAG: Position = 100_000;

/// How a part of this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Up,
    /// It works, and somebody should look.
    Degraded,
    /// It does not work.
    Down,
}

/// A part of this node and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// What there is to say, without personal data.
    pub detail: String,
}

impl Part {
    fn new(name: &str, status: Status, detail: impl Into<String>) -> Self {
        Part { name: name.to_owned(), status, detail: detail.into() }
    }
}

/// How far a read model is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Model {
    name: &'static str,
    /// None: no generation serves.
    position: Option<Position>,
}

/// What was last seen.
#[derive(Debug, Clone, Default)]
struct Sample {
    head: Position,
    models: Vec<Model>,
}

/// Asks the parts of this node how they are.
pub struct Vitals {
    store: EventStore,
    projections: Projections,
    policies: watch::Receiver<Vec<PolicyStatus>>,
    sample: watch::Receiver<Sample>,
}

impl Vitals {
    /// Begins to sample; ends with the last clone of what it watches.
    pub fn watch(
        store: EventStore,
        projections: Projections,
        policies: watch::Receiver<Vec<PolicyStatus>>,
    ) -> Self {
        let (sampled, sample) = watch::channel(Sample::default());
        let (log, models) = (store.clone(), projections.clone());
        tokio::spawn(async move {
            while !sampled.is_closed() {
                if let Some(sample) = look(&log, &models).await {
                    sampled.send_replace(sample);
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Vitals { store, projections, policies, sample }
    }

    /// All parts.
    pub async fn parts(&self) -> Vec<Part> {
        let log = match tokio::time::timeout(PATIENCE, self.store.head()).await {
            Ok(Ok(head)) => Part::new("log", Status::Up, format!("at position {}", head.position)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the log does not answer");
                Part::new("log", Status::Down, "the database failed")
            }
            Err(_elapsed) => Part::new("log", Status::Down, "the database does not answer"),
        };
        vec![log, self.follower(), self.models(), self.reacting()]
    }

    fn follower(&self) -> Part {
        let (status, detail) = match &*self.projections.state().borrow() {
            FollowerState::Following => (Status::Up, "this node follows the log"),
            FollowerState::Standby => (Status::Up, "another node follows the log"),
            FollowerState::Interrupted(_) => (Status::Degraded, "following the log is interrupted"),
            FollowerState::Stopped => (Status::Degraded, "not started yet, or stopped"),
            FollowerState::Refused(_) => (Status::Down, "the read models must not go on; the logs say why"),
        };
        Part::new("follower", status, detail)
    }

    fn models(&self) -> Part {
        let sample = self.sample.borrow();
        let behind =
            |model: &&Model| model.position.is_none_or(|position| sample.head.saturating_sub(position) > LAG);
        let behind: Vec<&str> = sample.models.iter().filter(behind).map(|model| model.name).collect();
        match behind.is_empty() {
            true => Part::new("read_models", Status::Up, format!("{} keep up", sample.models.len())),
            false => Part::new("read_models", Status::Degraded, format!("behind: {}", behind.join(", "))),
        }
    }

    fn reacting(&self) -> Part {
        let (head, policies) = (self.sample.borrow().head, self.policies.borrow());
        let behind = policies.iter().filter(|policy| head.saturating_sub(policy.position) > LAG).count();
        match behind {
            0 => Part::new("policies", Status::Up, "they keep up, or another node runs them"),
            behind => Part::new("policies", Status::Degraded, format!("{behind} are far behind")),
        }
    }

    /// Brings the gauges up to date.
    pub fn measure(&self, metrics: &Metrics) {
        let sample = self.sample.borrow();
        let head = sample.head.max(*self.store.subscribe_head().borrow());
        metrics.head.set(gauge(head));
        for Model { name, position } in &sample.models {
            let position = position.unwrap_or_default();
            metrics.model_position.with_label_values(&[name]).set(gauge(position));
            metrics.model_lag.with_label_values(&[name]).set(gauge(sample.head.saturating_sub(position)));
        }
        for PolicyStatus { name, position } in self.policies.borrow().iter() {
            metrics.policy_position.with_label_values(&[name]).set(gauge(*position));
            metrics.policy_lag.with_label_values(&[name]).set(gauge(sample.head.saturating_sub(*position)));
        }
        let (size, idle) = (self.store.pool().size(), self.store.pool().num_idle());
        metrics.pool.with_label_values(&["open"]).set(size.into());
        metrics.pool.with_label_values(&["idle"]).set(gauge(idle as u64));
    }
}

/// None where the database does not answer: the last sample stands.
async fn look(store: &EventStore, projections: &Projections) -> Option<Sample> {
    let mut models = Vec::new();
    for model in projections.models() {
        let name = model.shape().name;
        models.push(Model { name, position: projections.position_of(name).await.ok()? });
    }
    Some(Sample { head: store.head().await.ok()?.position, models })
}

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As well as the worst part.
pub fn worst(parts: &[Part]) -> Status {
    parts.iter().map(|part| part.status).max().unwrap_or(Status::Up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_as_well_as_its_worst_part() {
        let part = |status| Part::new("", status, "");
        assert_eq!(worst(&[part(Status::Up), part(Status::Degraded), part(Status::Up)]), Status::Degraded);
        assert_eq!(worst(&[part(Status::Down), part(Status::Degraded)]), Status::Down);
    }
}
