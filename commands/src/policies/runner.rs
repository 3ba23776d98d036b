//! Runs the policies: reads the log once for all of them, under a lease, and remembers where each stands.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::Envelope;
use event_store::{EventStore, Position, Recorded, StoreError};
use sqlx::{Connection, PgConnection, Row};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Fact, Policy, Reaction, Timer, World, lanes, lanes::Outcome, timers, timers::Cause};
use crate::{
    CommandError,
    execute::now,
    state::{open_any, read_any, unreadable},
};

/// Of the advisory lock that makes one node the one that reacts.
const LEASE: i64 = 0x414e_4e41_4c53_0002;
/// How many events are looked at at once.
const BATCH: usize = 1024;
/// The longest wait between two looks at the log, should a wake-up be lost.
const LOOK: Duration = Duration::from_millis(500);
/// A batch of so many says that events arrive quicker than one looks, and then more of them are let gather first.
const BUSY: usize = 32;
const BREATH: Duration = Duration::from_millis(20);
/// How long a checkpoint behind which nobody reacted may be kept in memory: to look at these events again does nothing.
const NOTE: Duration = Duration::from_secs(1);
/// How long a lane waits at most between two tries, and how long it is tried at all (catalogue 3.0).
const LONGEST_WAIT_S: f64 = 300.0;
const GIVE_UP: &str = "24 hours";
/// How long it is tried where there is no way back.
const NEVER: &str = "1000 years";

/// How far one policy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStatus {
    /// The policy's name.
    pub name: &'static str,
    /// The position up to which it has reacted.
    pub position: Position,
    /// Whether it must not run: what was recorded of it is of another log, or ahead of this one.
    pub refuses: bool,
}

/// Why no policy runs.
enum Stopped {
    /// They must not.
    Refused(String),
    /// For now.
    Failed(CommandError),
}

impl From<CommandError> for Stopped {
    fn from(error: CommandError) -> Self {
        Stopped::Failed(error)
    }
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Stopped::Failed(error.into())
    }
}

/// Runs these policies until `stop` turns true. Where several nodes run, one holds the lease and the others stand by.
pub async fn run(
    policies: Vec<Box<dyn Policy>>,
    world: World,
    status: watch::Sender<Vec<PolicyStatus>>,
    mut stop: watch::Receiver<bool>,
) {
    let policies: Arc<[Box<dyn Policy>]> = policies.into();
    let mut wait = Duration::from_millis(100);
    while !*stop.borrow() {
        let work = async {
            let store = world.commands().store();
            let lease = take_lease(store).await?;
            // Whoever stands by says so too, and before this no timer fires.
            let known = known(store).await?;
            let Some(mut lease) = lease else {
                status.send_if_modified(runs_elsewhere);
                return Ok(());
            };
            tracing::info!("this node runs the policies");
            let reacting = reacting(&policies, known, &world, &mut lease, &status);
            let firing = firing(&world);
            futures_util::try_join!(reacting, firing).map(|_| ())?;
            Ok(())
        };
        tokio::select! {
            result = work => match result {
                Ok(()) => wait = Duration::from_millis(500),
                Err(stopped) => {
                    match stopped {
                        Stopped::Failed(error) => tracing::warn!(%error, "the policies stopped and start again"),
                        Stopped::Refused(why) => {
                            tracing::error!(why, "the policies must not run: nothing is reacted to and no timer fires");
                            let refuses = |policy: &dyn Policy| PolicyStatus {
                                name: policy.name(),
                                position: 0,
                                refuses: true,
                            };
                            status.send_replace(policies.iter().map(|policy| refuses(&**policy)).collect());
                        }
                    }
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
            },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

fn broken(error: sqlx::Error) -> CommandError {
    StoreError::from(error).into()
}

/// They do not refuse any more; how far they are, another node tells.
fn runs_elsewhere(all: &mut Vec<PolicyStatus>) -> bool {
    let refused = all.iter().any(|policy| policy.refuses);
    if refused {
        all.clear();
    }
    refused
}

/// The lease is a lock of a session: it ends with the connection, however this node ends.
async fn take_lease(store: &EventStore) -> Result<Option<PgConnection>, CommandError> {
    let mut connection = store.pool().acquire().await.map_err(broken)?.detach();
    let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(LEASE)
        .fetch_one(&mut connection)
        .await
        .map_err(broken)?;
    Ok(taken.then_some(connection))
}

async fn firing(world: &World) -> Result<(), CommandError> {
    loop {
        let wait = timers::fire(world).await?;
        tokio::time::sleep(wait).await;
    }
}

async fn reacting(
    policies: &[Box<dyn Policy>],
    known: HashMap<String, Position>,
    world: &World,
    lease: &mut PgConnection,
    status: &watch::Sender<Vec<PolicyStatus>>,
) -> Result<(), CommandError> {
    let store = world.commands().store();
    let mut news = store.subscribe_head();
    let mut positions = checkpoints(store, policies, known).await?;
    for (policy, position) in policies.iter().zip(&positions) {
        for timer in policy.stands(now()) {
            timers::stand(world, policy.name(), &timer, Cause::of_its_own(&timer)).await?;
        }
        look_back(&**policy, *position, world).await?;
    }
    let (mut saved, mut unsaved, mut reacted) = (Instant::now(), false, false);
    loop {
        lease.ping().await.map_err(broken)?;
        retry_backlog(policies, world).await?;
        let from = positions.iter().copied().min().unwrap_or_default();
        let batch = store.read_recent(from, BATCH).await?;
        if let Some(last) = batch.last().map(|event| event.position) {
            for (policy, position) in policies.iter().zip(&mut positions) {
                let wanted = |event: &&Recorded| {
                    event.position > *position && policy.interests().contains(&&*event.event_type)
                };
                let wanted: Vec<Recorded> = batch.iter().filter(wanted).cloned().collect();
                if !wanted.is_empty() {
                    reacted = true;
                    catch_up(&**policy, wanted, world).await?;
                }
                *position = last.max(*position);
            }
            unsaved = true;
        }
        if unsaved && (reacted || batch.len() < BUSY || saved.elapsed() > NOTE) {
            save(store, policies, &positions).await?;
            (saved, unsaved, reacted) = (Instant::now(), false, false);
        }
        let reached = policies.iter().zip(&positions).map(|(policy, position)| PolicyStatus {
            name: policy.name(),
            position: *position,
            refuses: false,
        });
        status.send_replace(reached.collect());
        if batch.len() < BATCH
            && *news.borrow_and_update() <= batch.last().map_or(from, |event| event.position)
        {
            // A lost wake-up costs one look; an error means that the store is closed.
            let _ = tokio::time::timeout(LOOK, news.changed()).await;
        }
        if (BUSY..BATCH).contains(&batch.len()) {
            tokio::time::sleep(BREATH).await;
        }
    }
}

/// Arms the timers of a policy that follow from what it has reacted to and do not stand. Whoever took them away has stopped no
/// clock for longer than until policies start again.
async fn look_back(policy: &dyn Policy, position: Position, world: &World) -> Result<(), CommandError> {
    let Some(aggregate_type) = policy.times() else { return Ok(()) };
    let store = world.commands().store();
    let begun = now();
    let since = policy.looks_back().and_then(|back| begun.checked_sub(back).ok());
    let positions: Vec<i64> = sqlx::query_scalar(include_str!("../sql/look_back.sql"))
        .bind(aggregate_type)
        .bind(policy.interests())
        .bind(position as i64)
        .bind(since.map(|since| since.as_microsecond()))
        .fetch_all(store.pool())
        .await
        .map_err(broken)?;
    let mut standing: HashMap<Uuid, (Timer, Cause)> = HashMap::new();
    for some in positions.chunks(BATCH) {
        let some: Vec<Position> = some.iter().map(|position| position.unsigned_abs()).collect();
        for (_, fact) in read(world, store.read_at(&some).await?).await? {
            // What cannot be read was told of when it was reacted to.
            let Ok(fact) = fact else { continue };
            for reaction in policy.react(&fact, world).await? {
                match reaction {
                    Reaction::Arm(timer) => _ = standing.insert(timer.id, (timer, Cause::fact(&fact))),
                    Reaction::Disarm(timer) => _ = standing.remove(&timer),
                    Reaction::Issue(_) => {}
                }
            }
        }
    }
    let mut missing = 0_u64;
    for (timer, cause) in standing.values() {
        let armed = timers::stand(world, policy.name(), timer, *cause).await?;
        // What was due may have been issued: then it comes to nothing now.
        missing += u64::from(armed && timer.due_at > begun);
    }
    if missing > 0 {
        let policy = policy.name();
        tracing::warn!(policy, missing, "timers that follow from the log did not stand and are armed again");
    }
    Ok(())
}

/// Reacts to these events, unless their lane waits behind an earlier failure.
async fn catch_up(policy: &dyn Policy, events: Vec<Recorded>, world: &World) -> Result<(), CommandError> {
    let store = world.commands().store();
    let blocked: Vec<Uuid> = sqlx::query_scalar(
        "SELECT DISTINCT lane FROM annals.policy_backlog WHERE policy = $1 AND NOT parked",
    )
    .bind(policy.name())
    .fetch_all(store.pool())
    .await
    .map_err(broken)?;
    let mut ready = Vec::new();
    for (event, fact) in read(world, events).await? {
        match fact {
            Ok(fact) if blocked.contains(&policy.lane(&fact)) => {
                let reason = "waits behind an earlier failure".to_owned();
                remember(store, policy, fact.position, policy.lane(&fact), &Outcome::Later(reason)).await?;
            }
            Ok(fact) => ready.push(fact),
            Err(error) => {
                let envelope = serde_json::from_str::<Envelope>(&event.metadata).unwrap_or_default();
                let trace_id = envelope.trace_id();
                tracing::error!(policy = policy.name(), position = event.position, trace_id, %error, "an event cannot be read and is parked");
                remember(store, policy, event.position, event.event_id, &Outcome::Park(error.to_string()))
                    .await?;
            }
        }
    }
    for (position, lane, outcome) in lanes::react(policy, ready, world).await? {
        remember(store, policy, position, lane, &outcome).await?;
    }
    Ok(())
}

async fn read(
    world: &World,
    events: Vec<Recorded>,
) -> Result<Vec<(Recorded, Result<Fact, CommandError>)>, CommandError> {
    let keyring = world.commands().store().keyring();
    open_any(keyring, &events).await?;
    let read = |event: &Recorded| -> Result<Fact, CommandError> {
        Ok(Fact {
            position: event.position,
            event_id: event.event_id,
            id: event
                .stream
                .aggregate_id
                .parse()
                .map_err(|_| unreadable(event, "the stream's id is not a UUID"))?,
            sequence: event.sequence,
            recorded_at: event.recorded_at,
            envelope: serde_json::from_str::<Envelope>(&event.metadata)
                .map_err(|_| unreadable(event, "the envelope is none"))?,
            event: read_any(keyring, event)?,
        })
    };
    Ok(events
        .into_iter()
        .map(|event| {
            let fact = read(&event);
            (event, fact)
        })
        .collect())
}

/// Tries again what is due, the oldest of each lane first.
async fn retry_backlog(policies: &[Box<dyn Policy>], world: &World) -> Result<(), CommandError> {
    let store = world.commands().store();
    let due =
        sqlx::query(include_str!("../sql/due_backlog.sql")).fetch_all(store.pool()).await.map_err(broken)?;
    let mut by_policy: HashMap<String, Vec<Position>> = HashMap::new();
    for row in due {
        let position: i64 = row.try_get("position").map_err(broken)?;
        by_policy.entry(row.try_get("policy").map_err(broken)?).or_default().push(position.unsigned_abs());
    }
    for (name, positions) in by_policy {
        let Some(policy) = policies.iter().find(|policy| policy.name() == name) else { continue };
        let read = read(world, store.read_at(&positions).await?).await?;
        let facts: Vec<Fact> = read.into_iter().filter_map(|(_, fact)| fact.ok()).collect();
        let mut done: Vec<i64> = facts.iter().map(|fact| fact.position as i64).collect();
        // All lanes at a time, as for what is new: what takes long holds up no other.
        for (position, lane, outcome) in lanes::react(&**policy, facts, world).await? {
            remember(store, &**policy, position, lane, &outcome).await?;
            done.retain(|tried| *tried != position as i64);
        }
        sqlx::query("DELETE FROM annals.policy_backlog WHERE policy = $1 AND position = ANY ($2)")
            .bind(&name)
            .bind(done)
            .execute(store.pool())
            .await
            .map_err(broken)?;
    }
    Ok(())
}

/// Puts a failed reaction where it is tried again, or where an operator finds it.
async fn remember(
    store: &EventStore,
    policy: &dyn Policy,
    position: Position,
    lane: Uuid,
    outcome: &Outcome,
) -> Result<(), CommandError> {
    let (reason, parked) = match outcome {
        Outcome::Done => return Ok(()),
        Outcome::Later(reason) => (reason, false),
        Outcome::Park(reason) => (reason, true),
    };
    sqlx::query(include_str!("../sql/remember_backlog.sql"))
        .bind(policy.name())
        .bind(position as i64)
        .bind(lane)
        .bind(parked)
        .bind(reason)
        .bind(LONGEST_WAIT_S)
        .bind(if policy.tireless() { NEVER } else { GIVE_UP })
        .execute(store.pool())
        .await
        .map_err(broken)?;
    Ok(())
}

/// Where policies stand by what is recorded of them, unless that is of another log or ahead of this one.
async fn known(store: &EventStore) -> Result<HashMap<String, Position>, Stopped> {
    let rows = sqlx::query("SELECT name, position, incarnation FROM annals.policies")
        .fetch_all(store.pool())
        .await
        .map_err(broken)?;
    // After them: whoever runs the policies moves them on with the log.
    let head = store.head().await?;
    let mut known: HashMap<String, Position> = HashMap::new();
    for row in rows {
        let (name, position): (String, i64) =
            (row.try_get("name").map_err(broken)?, row.try_get("position").map_err(broken)?);
        let incarnation: Uuid = row.try_get("incarnation").map_err(broken)?;
        if incarnation != head.incarnation || position.unsigned_abs() > head.position {
            return Err(Stopped::Refused(format!(
                "policy {name} is ahead of the log, or follows another one: was a backup restored?"
            )));
        }
        known.insert(name, position.unsigned_abs());
    }
    Ok(known)
}

/// Where each policy begins. On a log where policies have run before, a new one starts at its end: it reacts to what
/// happens from now on, not to history.
async fn checkpoints(
    store: &EventStore,
    policies: &[Box<dyn Policy>],
    known: HashMap<String, Position>,
) -> Result<Vec<Position>, CommandError> {
    let first = if known.is_empty() { 0 } else { store.head().await?.position };
    let positions: Vec<Position> =
        policies.iter().map(|policy| known.get(policy.name()).copied().unwrap_or(first)).collect();
    save(store, policies, &positions).await?;
    Ok(positions)
}

async fn save(
    store: &EventStore,
    policies: &[Box<dyn Policy>],
    positions: &[Position],
) -> Result<(), CommandError> {
    let names: Vec<&str> = policies.iter().map(|policy| policy.name()).collect();
    let positions: Vec<i64> = positions.iter().map(|position| *position as i64).collect();
    let save = sqlx::query(include_str!("../sql/save_policies.sql")).bind(names).bind(positions);
    save.execute(store.pool()).await.map_err(broken)?;
    Ok(())
}
