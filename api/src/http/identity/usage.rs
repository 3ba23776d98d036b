//! How much clients of the API call. A node counts in memory and adds up in a table now and then, and when it does it
//! sees whose quota of the month is used up: all nodes count together, and a few seconds late.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use commands::{CommandError, Commands, Request};
use domain::{
    Actor,
    identity::{ApiClient, ApiClientCommand},
};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How often what was counted is added up.
const EVERY: Duration = Duration::from_secs(2);

type Counts = Arc<Mutex<HashMap<Uuid, i64>>>;

/// Counts the calls of clients.
pub(in crate::http) struct Usage {
    counts: Counts,
    adding: JoinHandle<()>,
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.adding.abort();
    }
}

impl Usage {
    /// Begins to add up.
    pub(in crate::http) fn start(commands: Commands) -> Self {
        let counts = Counts::default();
        let adding = tokio::spawn(add_up(commands, Arc::clone(&counts)));
        Usage { counts, adding }
    }

    /// Counts a call.
    pub(in crate::http) fn count(&self, client: Uuid) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(client).or_default() += 1;
    }

    /// Tells the rows of clients how much they called this month, and when last.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(in crate::http) async fn tell(
        &self,
        commands: &Commands,
        rows: &mut [Value],
    ) -> Result<(), CommandError> {
        let id = |row: &Value| row["client"].as_str().and_then(|id| id.parse::<Uuid>().ok());
        let clients: Vec<Uuid> = rows.iter().filter_map(id).collect();
        let used: Vec<(Uuid, i64, i64)> = sqlx::query_as(
            "SELECT client, coalesce(sum(used) FILTER (WHERE month = $2), 0)::bigint,
                    (extract(epoch FROM max(last_used)) * 1000000)::bigint
             FROM annals.api_usage WHERE client = ANY ($1) GROUP BY client",
        )
        .bind(&clients)
        .bind(month(Timestamp::now()))
        .fetch_all(commands.store().pool())
        .await
        .map_err(broken)?;
        for row in rows {
            let Some(client) = id(row) else { continue };
            let known = used.iter().find(|(known, ..)| *known == client);
            row["used_this_month"] = known.map_or(0, |(_, used, _)| *used).into();
            let last = known.and_then(|(.., last)| Timestamp::from_microsecond(*last).ok());
            row["last_used"] = json!(last);
            // Found out some time ago: since then it may have called again.
            let unused_since = row["unused_since"].as_str().and_then(|since| since.parse::<Timestamp>().ok());
            if unused_since < last {
                row["unused_since"] = Value::Null;
            }
        }
        Ok(())
    }
}

fn broken(error: sqlx::Error) -> CommandError {
    event_store::StoreError::from(error).into()
}

fn month(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string()
}

async fn add_up(commands: Commands, counts: Counts) {
    loop {
        tokio::time::sleep(EVERY).await;
        let counted = std::mem::take(&mut *counts.lock().unwrap_or_else(PoisonError::into_inner));
        if counted.is_empty() {
            continue;
        }
        if let Err(error) = added(&commands, &counted).await {
            tracing::warn!(%error, "calls of clients could not be added up");
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counted.into_iter().for_each(|(client, calls)| *counts.entry(client).or_default() += calls);
        }
    }
}

/// Adds up; puts on record whose quota is used up.
async fn added(commands: &Commands, counted: &HashMap<Uuid, i64>) -> Result<(), CommandError> {
    let now = Timestamp::now();
    let month = month(now);
    let (clients, calls): (Vec<Uuid>, Vec<i64>) = counted.iter().unzip();
    let used: Vec<(Uuid, i64)> = sqlx::query_as(
        "INSERT INTO annals.api_usage (client, month, used, last_used)
         SELECT client, $3, calls, now() FROM unnest($1::uuid[], $2::bigint[]) AS counted (client, calls)
         ON CONFLICT (client, month) DO UPDATE
             SET used = api_usage.used + excluded.used, last_used = excluded.last_used
         RETURNING client, used",
    )
    .bind(&clients)
    .bind(&calls)
    .bind(&month)
    .fetch_all(commands.store().pool())
    .await
    .map_err(broken)?;
    for (client, used) in used {
        let used = u64::try_from(used).unwrap_or_default();
        let state = commands.state::<ApiClient>(client).await?.state;
        if state.monthly_quota.is_some_and(|quota| used >= quota) && !state.is_exhausted(now) {
            let command = ApiClientCommand::RecordApiQuotaExhausted { month: month.clone(), used };
            let request = Request::by(Actor::scheduler("api_usage"));
            commands.execute::<ApiClient>(client, command, &request).await?;
        }
    }
    Ok(())
}
