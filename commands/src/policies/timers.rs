//! Durable timers: commands that wait in the database for their time.

use std::time::Duration;

use domain::{Actor, dispatch, registry::AnyCommand};
use jiff::Timestamp;
use sqlx::Row;
use uuid::Uuid;

use super::{Fact, Timer, World};
use crate::{CommandError, Request, execute::now};

/// How many due timers are taken at once.
const BATCH: i64 = 256;
/// The longest wait between two looks, should a wake-up be lost.
const LOOK: Duration = Duration::from_secs(1);

fn broken(error: sqlx::Error) -> CommandError {
    event_store::StoreError::from(error).into()
}

/// Arms a timer, or moves it.
pub(super) async fn arm(world: &World, policy: &str, fact: &Fact, timer: &Timer) -> Result<(), CommandError> {
    let command =
        serde_json::to_value(&timer.command).map_err(|error| CommandError::Internal(error.to_string()))?;
    sqlx::query(include_str!("../sql/arm_timer.sql"))
        .bind(timer.id)
        .bind(timer.due_at.as_microsecond())
        .bind(policy)
        .bind(timer.aggregate)
        .bind(command)
        .bind(fact.event_id)
        .bind(fact.envelope.correlation_id)
        .execute(world.commands().store().pool())
        .await
        .map_err(broken)?;
    Ok(())
}

/// What a timer follows from.
#[derive(Clone, Copy)]
pub(super) struct Cause {
    causation_id: Uuid,
    correlation_id: Uuid,
}

impl Cause {
    /// It follows from nothing, and is its own cause.
    pub(super) fn of_its_own(timer: &Timer) -> Self {
        Cause { causation_id: timer.id, correlation_id: timer.id }
    }

    /// It follows from a fact.
    pub(super) fn fact(fact: &Fact) -> Self {
        Cause { causation_id: fact.event_id, correlation_id: fact.envelope.correlation_id }
    }
}

/// Arms a timer unless it stands already; says whether it did not.
pub(super) async fn stand(
    world: &World,
    policy: &str,
    timer: &Timer,
    cause: Cause,
) -> Result<bool, CommandError> {
    let command =
        serde_json::to_value(&timer.command).map_err(|error| CommandError::Internal(error.to_string()))?;
    let armed = sqlx::query(include_str!("../sql/stand_timer.sql"))
        .bind(timer.id)
        .bind(timer.due_at.as_microsecond())
        .bind(policy)
        .bind(timer.aggregate)
        .bind(command)
        .bind(cause.causation_id)
        .bind(cause.correlation_id)
        .execute(world.commands().store().pool())
        .await
        .map_err(broken)?;
    Ok(armed.rows_affected() > 0)
}

/// Takes a timer back.
pub(super) async fn disarm(world: &World, timer: Uuid) -> Result<(), CommandError> {
    let delete = sqlx::query("DELETE FROM annals.timers WHERE id = $1").bind(timer);
    delete.execute(world.commands().store().pool()).await.map_err(broken)?;
    Ok(())
}

/// Issues what is due; answers how long nothing more will be, at most [`LOOK`].
pub(super) async fn fire(world: &World) -> Result<Duration, CommandError> {
    let pool = world.commands().store().pool();
    let now = now();
    let due = sqlx::query(include_str!("../sql/due_timers.sql")).bind(now.as_microsecond()).bind(BATCH);
    let due = due.fetch_all(pool).await.map_err(broken)?;
    let full = due.len() as i64 == BATCH;
    for row in due {
        let id: Uuid = row.try_get("id").map_err(broken)?;
        let attempts: i32 = row.try_get("attempts").map_err(broken)?;
        // What a request brings about belongs to it by the id of its trace.
        let trace_id = row.try_get::<Uuid, _>("correlation_id").map_err(broken)?.simple();
        match issue(world, &row).await {
            Err(error) if error.is_transient() => {
                world.commands().store().head().await?;
                tracing::warn!(timer = %id, %trace_id, %error, "a timer failed for now");
                sqlx::query("UPDATE annals.timers SET attempts = attempts + 1, due_at = now() + make_interval(secs => $2) WHERE id = $1")
                    .bind(id)
                    .bind(f64::from(1u32 << attempts.clamp(0, 8)).min(300.0))
                    .execute(pool)
                    .await
                    .map_err(broken)?;
                continue;
            }
            Err(error) if error.is_defect() => {
                tracing::error!(timer = %id, %trace_id, %error, "a timer failed and is given up")
            }
            // A refusal is an answer: what the timer was for has been settled otherwise.
            Err(refusal) => tracing::debug!(timer = %id, %refusal, "timer outcome"),
            Ok(()) => {}
        }
        // A timer that was moved meanwhile stays.
        let done = sqlx::query(
            "DELETE FROM annals.timers WHERE id = $1 AND attempts = $2 AND due_at <= to_timestamp($3 / 1e6)",
        );
        done.bind(id)
            .bind(attempts)
            .bind(now.as_microsecond() as f64 + 1.0)
            .execute(pool)
            .await
            .map_err(broken)?;
    }
    if full {
        return Ok(Duration::ZERO);
    }
    let next = sqlx::query_scalar::<_, Option<i64>>(
        "SELECT (extract(epoch FROM min(due_at)) * 1000000)::bigint FROM annals.timers",
    );
    let next = next
        .fetch_one(pool)
        .await
        .map_err(broken)?
        .and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let wait = next.and_then(|next| Duration::try_from(next.duration_since(Timestamp::now())).ok());
    // A timer that is due at this moment must not make the loop spin.
    Ok(wait.map_or(LOOK, |wait| wait.clamp(Duration::from_millis(1), LOOK)))
}

async fn issue(world: &World, row: &sqlx::postgres::PgRow) -> Result<(), CommandError> {
    let id: Uuid = row.try_get("id").map_err(broken)?;
    let policy: String = row.try_get("policy").map_err(broken)?;
    let aggregate: Uuid = row.try_get("aggregate_id").map_err(broken)?;
    let due_at: i64 = row.try_get("due_micros").map_err(broken)?;
    let command: serde_json::Value = row.try_get("command").map_err(broken)?;
    let command: AnyCommand = serde_json::from_value(command)
        .map_err(|error| CommandError::Internal(format!("a stored command: {error}")))?;
    // A timer that was moved fires as another command than the one that it was before.
    let command_id = Uuid::new_v5(&id, due_at.to_string().as_bytes());
    let request = Request {
        correlation_id: Some(row.try_get("correlation_id").map_err(broken)?),
        causation_id: Some(row.try_get("causation_id").map_err(broken)?),
        ..Request::by(Actor::scheduler(&policy)).under(command_id, None)
    };
    dispatch!(command, |Aggregate, command| world
        .commands()
        .execute::<Aggregate>(aggregate, command, &request)
        .await
        .map(drop))
}
