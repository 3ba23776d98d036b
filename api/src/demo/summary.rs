//! What came of the excerpt, printed so that one knows where to look next.

use std::{fmt, time::Duration};

use serde_json::Value;

use super::{
    budgets::Budgeted,
    client::{Client, DemoError, Person},
    credentials::Recognised,
    id,
    scholarships::Awarded,
};

/// How often in a row nothing may have changed before everything is taken to have come to rest.
const QUIET: u32 = 3;

/// What came of it.
#[derive(Debug)]
pub struct Summary {
    base: String,
    accepted: u64,
    repeated: u64,
    events: u64,
    took: Duration,
    scholarships: Awarded,
    credentials: Recognised,
    budgets: Budgeted,
    redistributions: usize,
    positions: Vec<String>,
}

pub(super) async fn gather(
    client: &Client,
    scholarships: Awarded,
    credentials: Recognised,
    budgets: Budgeted,
    took: Duration,
) -> Result<Summary, DemoError> {
    let (accepted, repeated, position) = client.counts();
    let compliance = Person::with(id(&["compliance"]), &["compliance"]);
    // Policies book what was spent after it was acknowledged: wait until nothing more follows. The state of health is
    // asked for and not rows, because reading about people is itself put on record.
    let mut health = client.get(&compliance, "/health").await?;
    let mut quiet = 0;
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let then = client.get(&compliance, "/health").await?;
        quiet = if then["parts"] == health["parts"] { quiet + 1 } else { 0 };
        health = then;
        if quiet == QUIET {
            break;
        }
    }
    let moved = client.rows(&compliance, "/v1/budget/redistributions?limit=200").await?.len();
    let parts = health["parts"].as_array().cloned().unwrap_or_default();
    let text = |part: &Value, key: &str| part[key].as_str().unwrap_or_default().to_owned();
    let positions =
        parts.iter().map(|part| format!("{}: {}", text(part, "name"), text(part, "detail"))).collect();
    let events = parts.iter().find(|part| part["name"] == "log").map(|log| text(log, "detail"));
    let events = events.and_then(|detail| detail.rsplit(' ').next()?.parse().ok()).unwrap_or(position);
    Ok(Summary {
        base: client.base().to_owned(),
        accepted,
        repeated,
        events,
        took,
        scholarships,
        credentials,
        budgets,
        redistributions: moved,
        positions,
    })
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { base, accepted, repeated, events, took, scholarships, credentials, budgets, .. } = self;
        writeln!(f, "\nAnnals took the bundled excerpt of real data in {:.1} s\n", took.as_secs_f64())?;
        writeln!(f, "  commands         {accepted} accepted, {repeated} of them repeats of an earlier load")?;
        writeln!(f, "  events           {events} in the log")?;
        writeln!(f, "  applications     {} submitted and scored", scholarships.submitted)?;
        writeln!(f, "  awards           {} accepted", scholarships.accepted)?;
        writeln!(f, "  credentials      {} published", credentials.credentials)?;
        writeln!(
            f,
            "  recognitions     {} approved ({})",
            credentials.approved,
            credentials.assessments.join("; ")
        )?;
        writeln!(
            f,
            "  budgets          {} accounts, {} transactions",
            budgets.accounts, budgets.transactions
        )?;
        writeln!(f, "  redistributions  {}", self.redistributions)?;
        writeln!(f, "\nWhere everything stands")?;
        self.positions.iter().try_for_each(|position| writeln!(f, "  {position}"))?;
        writeln!(f, "\nWhere to look next (in another shell, in this folder)")?;
        writeln!(f, "  . data/annals.env")?;
        let get = |f: &mut fmt::Formatter<'_>, path: &str| {
            writeln!(f, "  curl -sH \"Authorization: Bearer $ANNALS_TOKEN\" '{base}{path}'")
        };
        get(f, &format!("/v1/applications?scholarship={}&sort=-score&limit=5", scholarships.scholarship))?;
        get(f, &format!("/v1/scholarships/{}/funnel", scholarships.scholarship))?;
        get(f, "/v1/recognitions")?;
        get(f, "/v1/budget/redistributions?limit=5")?;
        get(f, &format!("/v1/audit/trail?subject={}&limit=5", budgets.account))?;
        writeln!(f, "  curl -s '{base}/v1/openapi.json'")?;
        writeln!(
            f,
            "  psql \"$ANNALS_DATABASE_URL\" -c 'SELECT event_type, count(*) FROM annals.events GROUP BY 1 ORDER BY 2 DESC'"
        )
    }
}
