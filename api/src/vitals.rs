//! How this node is: sampled now and then, told by health checks and metrics.

use std::time::Duration;

use commands::policies::PolicyStatus;
use event_store::{EventStore, Position, integrity::NotaryState};
use projections::{FollowerState, Projections, State};
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

/// What was last seen.
#[derive(Debug, Clone, Default)]
struct Sample {
    head: Position,
    models: Vec<projections::Status>,
    /// How often NATS had been late by then.
    late: u64,
}

/// Asks the parts of this node how they are.
pub struct Vitals {
    store: EventStore,
    projections: Projections,
    policies: watch::Receiver<Vec<PolicyStatus>>,
    notary: watch::Receiver<NotaryState>,
    sample: watch::Receiver<Sample>,
    with_nats: bool,
}

impl Vitals {
    /// Begins to sample; ends with the last clone of what it watches.
    pub fn watch(
        store: EventStore,
        projections: Projections,
        policies: watch::Receiver<Vec<PolicyStatus>>,
        notary: watch::Receiver<NotaryState>,
        with_nats: bool,
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
        Vitals { store, projections, policies, notary, sample, with_nats }
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
        let parts = [log, self.follower(), self.models(), self.reacting(), self.signing()];
        parts.into_iter().chain(self.nats()).collect()
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
        let names = |unwell: fn(&&projections::Status) -> bool| {
            let names = sample.models.iter().filter(|model| model.serving).filter(unwell);
            names.map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let parked = names(|model| model.state == State::Parked);
        let behind = names(|model| model.lag > LAG);
        match (parked.is_empty(), behind.is_empty()) {
            (false, _) => Part::new("read_models", Status::Degraded, format!("parked at an event: {parked}")),
            (true, false) => Part::new("read_models", Status::Degraded, format!("far behind: {behind}")),
            (true, true) => Part::new("read_models", Status::Up, format!("{} keep up", sample.models.len())),
        }
    }

    /// NATS is a shortcut to the log: without it everything works, later.
    fn nats(&self) -> Option<Part> {
        let feed = self.projections.feed();
        let detail = format!("{} events came through it, {} from the log", feed.from_nats, feed.from_log);
        let late = feed.late > self.sample.borrow().late;
        // Only who follows is connected.
        let follows = matches!(&*self.projections.state().borrow(), FollowerState::Following);
        let (status, detail) = match () {
            () if follows && !feed.connected => (Status::Degraded, format!("not connected; {detail}")),
            () if late => (Status::Degraded, detail),
            () => (Status::Up, detail),
        };
        self.with_nats.then(|| Part::new("nats", status, detail))
    }

    fn reacting(&self) -> Part {
        reacting(self.sample.borrow().head, &self.policies.borrow())
    }

    /// A log that is not signed is still a log: nothing waits for the notary.
    fn signing(&self) -> Part {
        let (status, detail) = match &*self.notary.borrow() {
            NotaryState::Signed(size) => (Status::Up, format!("signed up to position {size}")),
            NotaryState::Standby => (Status::Up, "another node signs".to_owned()),
            NotaryState::Interrupted(_) => (Status::Degraded, "signing is interrupted".to_owned()),
            NotaryState::Refused(_) => {
                (Status::Degraded, "it refuses to sign this log; the logs say why".to_owned())
            }
        };
        Part::new("notary", status, detail)
    }

    /// Brings the gauges up to date.
    pub fn measure(&self, metrics: &Metrics) {
        let sample = self.sample.borrow();
        let head = sample.head.max(*self.store.subscribe_head().borrow());
        metrics.head.set(gauge(head));
        for model in sample.models.iter().filter(|model| model.serving) {
            let name = [model.name.as_str()];
            metrics.model_position.with_label_values(&name).set(gauge(model.position));
            metrics.model_lag.with_label_values(&name).set(gauge(model.lag));
            metrics.model_parked.with_label_values(&name).set(i64::from(model.state == State::Parked));
        }
        let feed = self.projections.feed();
        for (source, events) in [("nats", feed.from_nats), ("log", feed.from_log)] {
            metrics.followed.with_label_values(&[source]).set(gauge(events));
        }
        for (fault, times) in [
            ("hole", feed.holes),
            ("repeated", feed.repeated),
            ("foreign", feed.foreign),
            ("late", feed.late),
        ] {
            metrics.nats_faults.with_label_values(&[fault]).set(gauge(times));
        }
        for PolicyStatus { name, position, refuses: _ } in self.policies.borrow().iter() {
            metrics.policy_position.with_label_values(&[name]).set(gauge(*position));
            metrics.policy_lag.with_label_values(&[name]).set(gauge(sample.head.saturating_sub(*position)));
        }
        if let NotaryState::Signed(size) = *self.notary.borrow() {
            metrics.signed.set(gauge(size));
        }
        metrics.refused.set(i64::from(matches!(&*self.notary.borrow(), NotaryState::Refused(_))));
        let (size, idle) = (self.store.pool().size(), self.store.pool().num_idle());
        metrics.pool.with_label_values(&["open"]).set(size.into());
        metrics.pool.with_label_values(&["idle"]).set(gauge(idle as u64));
    }
}

/// How policies are, where the log ends here.
fn reacting(head: Position, policies: &[PolicyStatus]) -> Part {
    if policies.iter().any(|policy| policy.refuses) {
        let detail =
            "they must not run, for they are ahead of the log or follow another one; the logs say which";
        return Part::new("policies", Status::Down, detail);
    }
    match policies.iter().filter(|policy| head.saturating_sub(policy.position) > LAG).count() {
        0 => Part::new("policies", Status::Up, "they keep up, or another node runs them"),
        behind => Part::new("policies", Status::Degraded, format!("{behind} are far behind")),
    }
}

/// None where the database does not answer: the last sample stands.
async fn look(store: &EventStore, projections: &Projections) -> Option<Sample> {
    let late = projections.feed().late;
    let models = projections.status().await.ok()?;
    Some(Sample { head: store.head().await.ok()?.position, models, late })
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
    fn policies_that_must_not_run_are_down() {
        let policy = |position, refuses| PolicyStatus { name: "welcome_accounts", position, refuses };
        let of = |policies: &[PolicyStatus]| reacting(LAG + 2, policies).status;
        assert_eq!(of(&[]), Status::Up, "another node runs them");
        assert_eq!(of(&[policy(2, false)]), Status::Up);
        assert_eq!(of(&[policy(2, false), policy(1, false)]), Status::Degraded);
        assert_eq!(of(&[policy(0, true)]), Status::Down);
    }

    #[test]
    fn a_node_is_as_well_as_its_worst_part() {
        let part = |status| Part::new("", status, "");
        assert_eq!(worst(&[part(Status::Up), part(Status::Degraded), part(Status::Up)]), Status::Degraded);
        assert_eq!(worst(&[part(Status::Down), part(Status::Degraded)]), Status::Down);
    }
}
