//! Carries out what policies want: lane by lane in order, many lanes at a time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::{Actor, dispatch, governance::ConsentLedger};
use event_store::Position;
use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{Computes, Fact, Issue, Policy, Reaction, World, timers};
use crate::{CommandError, Request, execute::now};

/// How many lanes are worked on at the same time.
const LANES: usize = 64;
/// How often a transient failure is tried again at once, before the lane waits.
const QUICK: u32 = 4;
/// What takes longer to fail, such as a server that does not answer, is not tried again at once: all policies would wait.
const SLOW: Duration = Duration::from_secs(1);

/// What became of one fact.
pub(super) enum Outcome {
    Done,
    /// It failed for now: try later, and let the lane wait behind it.
    Later(String),
    /// It cannot be done: an operator must look.
    Park(String),
}

/// Reacts to facts. What could not be done comes back, with everything of the same lane behind it.
pub(super) async fn react(
    policy: &dyn Policy,
    facts: Vec<Fact>,
    world: &World,
) -> Result<Vec<(Position, Uuid, Outcome)>, CommandError> {
    let mut lanes: BTreeMap<Uuid, Vec<Fact>> = BTreeMap::new();
    for fact in facts {
        lanes.entry(policy.lane(&fact)).or_default().push(fact);
    }
    let worked = stream::iter(lanes).map(|(lane, facts)| async move {
        let mut left = Vec::new();
        let mut blocked = None;
        for fact in facts {
            let outcome = match &blocked {
                Some(reason) => Outcome::Later(format!("waits behind position {reason}")),
                None => one(policy, &fact, world).await?,
            };
            if let Outcome::Later(_) = outcome {
                blocked.get_or_insert(fact.position);
            }
            if !matches!(outcome, Outcome::Done) {
                left.push((fact.position, lane, outcome));
            }
        }
        Ok::<_, CommandError>(left)
    });
    worked.buffer_unordered(LANES).try_concat().await
}

/// Reacts to one fact. An error means that the log itself cannot be reached: then nothing can be done at all.
async fn one(policy: &dyn Policy, fact: &Fact, world: &World) -> Result<Outcome, CommandError> {
    let mut wait = Duration::from_millis(20);
    for attempt in 0.. {
        let begun = Instant::now();
        let error = match attempt_one(policy, fact, world).await {
            Ok(()) => return Ok(Outcome::Done),
            Err(error) => error,
        };
        if !error.is_transient() {
            let trace_id = fact.envelope.trace_id();
            tracing::error!(policy = policy.name(), position = fact.position, trace_id, %error, "a policy failed and is parked");
            return Ok(Outcome::Park(error.to_string()));
        }
        if attempt == QUICK || begun.elapsed() > SLOW {
            // If the log is gone, so is the place to remember the failure in: the caller starts over from where it was.
            world.commands().store().head().await?;
            let trace_id = fact.envelope.trace_id();
            tracing::warn!(policy = policy.name(), position = fact.position, trace_id, %error, "a policy failed for now");
            return Ok(Outcome::Later(error.to_string()));
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    Ok(Outcome::Done)
}

async fn attempt_one(policy: &dyn Policy, fact: &Fact, world: &World) -> Result<(), CommandError> {
    if let Some(computes) = policy.computes(fact)
        && is_stopped(computes, world).await?
    {
        tracing::debug!(policy = policy.name(), position = fact.position, "the person has this stopped");
        return Ok(());
    }
    let reactions = policy.react(fact, world).await?;
    // Reactions to a refusal come first: they are the answer to the command that was just refused.
    let mut pending: Vec<Reaction> = reactions.into_iter().rev().collect();
    while let Some(reaction) = pending.pop() {
        match reaction {
            Reaction::Arm(timer) => timers::arm(world, policy.name(), fact, &timer).await?,
            Reaction::Disarm(timer) => timers::disarm(world, timer).await?,
            Reaction::Issue(issue) => match issue_one(policy.name(), fact, &issue, world).await {
                Ok(()) => {}
                Err(error) if error.is_transient() || error.is_defect() => {
                    return Err(error);
                }
                Err(refusal) => {
                    tracing::debug!(policy = policy.name(), position = fact.position, command = &*issue.label, %refusal, "policy outcome");
                    let then = issue.on_refusal.as_ref().map(|then| then(&refusal)).unwrap_or_default();
                    pending.extend(then.into_iter().rev());
                }
            },
        }
    }
    Ok(())
}

/// Whether the person has stopped that this is computed about them.
async fn is_stopped(computes: Computes, world: &World) -> Result<bool, CommandError> {
    let ledger = world.state::<ConsentLedger>(computes.about).await?.state;
    let stopped = |purpose| ledger.stops(purpose, computes.class, now());
    Ok(computes.purpose.map_or_else(|| ledger.restricts(computes.class), stopped))
}

async fn issue_one(policy: &str, fact: &Fact, issue: &Issue, world: &World) -> Result<(), CommandError> {
    let command_id =
        Uuid::new_v5(&fact.event_id, format!("{policy}|{}|{}", issue.label, issue.id).as_bytes());
    let request = Request {
        occurred_at: Some(fact.envelope.occurred_at),
        correlation_id: Some(fact.envelope.correlation_id),
        causation_id: Some(fact.event_id),
        traceparent: fact.envelope.traceparent.clone(),
        purpose: fact.envelope.purpose.clone(),
        legal_basis: fact.envelope.legal_basis.clone(),
        derived_from: issue.derived_from.clone(),
        transformation: issue.transformation.clone(),
        ..Request::by(Actor::policy(policy)).under(command_id, None)
    };
    dispatch!(issue.command.clone(), |Aggregate, command| {
        world.commands().execute::<Aggregate>(issue.id, command, &request).await.map(drop)
    })
}
