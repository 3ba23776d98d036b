//! What is due and when (GOV-P1, GOV-P6, GOV-I1, P-53): requests that wait for an answer, hearings, breaches of which the
//! authority or the people have to be told, recipients who have to be told what became of data, and what was approved and has
//! stalled. How much time is left is told as of a moment that the caller may name.

use actix_web::{HttpResponse, http::header::CACHE_CONTROL};
use domain::governance::NOTIFY_WITHIN;
use jiff::{SignedDuration, Timestamp};
use projections::{Condition, Op, Query, query::LIMIT_MAX};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Api, Call, access, pairs::Pairs, query};
use crate::problem::Problem;

/// For how many days ahead it is told where nobody said otherwise: the longest time that a request has without an extension.
const DAYS: u64 = 45;
/// For how many days ahead it can be told.
pub const DAYS_MAX: usize = 3660;

/// What has to be done by a time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Due {
    /// What: `privacy_request`, `hearing`, `incident` (the authority is to be told), `breach_notice` (the people are) or
    /// `recipient_notice`.
    pub what: &'static str,
    /// Which one.
    pub id: Uuid,
    /// Where in its life it is.
    pub state: String,
    /// By when.
    pub due_at: Timestamp,
    /// How many whole days are left; less than 0 where it is overdue.
    pub days_left: i64,
    /// Whether it is overdue.
    pub overdue: bool,
    /// The days, for an incident the hours, that were left when it was last escalated.
    pub escalated: Option<i64>,
    /// For how many hours the fulfilment of a request has stalled, where it has.
    pub stalled_hours: Option<i64>,
    /// Whose request it is.
    pub subject: Option<Uuid>,
}

/// What has to be done, the most urgent first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Agenda {
    /// As of when.
    pub at: Timestamp,
    /// What is due by then, or so many days later.
    pub items: Vec<Due>,
}

/// Answers what is due.
///
/// # Errors
/// Whatever is wrong with the query string.
pub(super) async fn due(api: &Api, call: &Call<'_>, mut pairs: Pairs) -> Result<HttpResponse, Problem> {
    let at = pairs.instant("at")?.unwrap_or_else(Timestamp::now);
    let days = pairs.count("days", DAYS_MAX)?.map_or(DAYS, |days| days as u64);
    let since = pairs.number("min_position")?;
    pairs.done()?;
    let hours = i64::try_from(days * 24).unwrap_or(i64::MAX);
    let until = at.checked_add(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MAX);
    for model in ["privacy_requests", "incidents"] {
        if let Some(not_yet) = query::behind(api, model, since).await? {
            return Ok(not_yet);
        }
    }

    let mut items = Vec::new();
    let pending = ["opened", "verified", "approved", "in_fulfilment", "hearing"];
    let by = Condition { column: "due_at".into(), op: Op::AtMost, values: vec![until.to_string()] };
    let rows = all(api, call, "privacy_requests", vec![one_of("state", &pending), by]).await?;
    items.extend(rows.iter().filter_map(|row| request(row, at)));
    let live = ["open", "classified", "contained"];
    let rows = all(api, call, "incidents", vec![one_of("state", &live)]).await?;
    let due = rows.iter().flat_map(|row| [incident(row, at), breach_notice(row, at)]).flatten();
    items.extend(due.filter(|due| due.due_at <= until));
    let by = Condition { column: "due_at".into(), op: Op::AtMost, values: vec![until.to_string()] };
    let rows = all(api, call, "recipient_notices", vec![one_of("state", &["owed"]), by]).await?;
    let owed = |row| told("recipient_notice", row, instant(&row["due_at"])?, at);
    items.extend(rows.iter().filter_map(owed));
    items.sort_by_key(|due| due.due_at);

    access::log_read(api, call, items.iter().filter_map(|due| due.subject)).await?;
    let agenda = Agenda { at, items };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(agenda))
}

/// All rows that fit and that the caller may see.
async fn all(
    api: &Api,
    call: &Call<'_>,
    model: &str,
    filters: Vec<Condition>,
) -> Result<Vec<Value>, Problem> {
    let mut asked = Query { filters, limit: Some(LIMIT_MAX), ..Query::default() };
    let mut rows = Vec::new();
    loop {
        let page = api.projections.list(model, call.actor()?, &asked).await.map_err(query::problem)?;
        rows.extend(page.rows);
        match page.next {
            Some(next) => asked.after = Some(next),
            None => return Ok(rows),
        }
    }
}

fn one_of(column: &str, values: &[&str]) -> Condition {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Condition { column: column.to_owned(), op: Op::In, values }
}

fn request(row: &Value, at: Timestamp) -> Option<Due> {
    let heard = row["state"] == "hearing";
    // What was heard waits for nobody any more.
    if heard && !row["amended"].is_null() {
        return None;
    }
    let what = if heard { "hearing" } else { "privacy_request" };
    told(what, row, instant(&row["due_at"])?, at)
}

/// Until an incident is classified it may be a breach.
fn incident(row: &Value, at: Timestamp) -> Option<Due> {
    if row["personal_data"] == false || !row["authority_told_at"].is_null() {
        return None;
    }
    let opened = instant(&row["opened_at"])?;
    let due_at = instant(&row["authority_due_at"]).or_else(|| opened.checked_add(NOTIFY_WITHIN).ok())?;
    told("incident", row, due_at, at)
}

/// At a high risk the people are told without undue delay (Art. 34): no later than the authority, and whoever is added
/// afterwards as soon.
fn breach_notice(row: &Value, at: Timestamp) -> Option<Due> {
    let due = told("breach_notice", row, instant(&row["subjects_due_at"])?, at)?;
    Some(Due { escalated: row["subjects_escalated"].as_i64(), ..due })
}

fn told(what: &'static str, row: &Value, due_at: Timestamp, at: Timestamp) -> Option<Due> {
    Some(Due {
        what,
        id: row["id"].as_str()?.parse().ok()?,
        state: row["state"].as_str()?.to_owned(),
        due_at,
        days_left: due_at.duration_since(at).as_secs().div_euclid(86_400),
        overdue: due_at < at,
        escalated: row["escalated"].as_i64(),
        stalled_hours: row["stalled_hours"].as_i64(),
        subject: row["subject"].as_str().and_then(|subject| subject.parse().ok()),
    })
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(instant: &str) -> Timestamp {
        instant.parse().unwrap()
    }

    fn row(state: &str) -> Value {
        json!({ "id": Uuid::from_u128(1), "state": state, "due_at": "2026-03-10T12:00:00Z", "amended": null,
            "opened_at": "2026-03-07T12:00:00Z", "escalated": 2, "subject": Uuid::from_u128(2) })
    }

    #[test]
    fn the_days_left_are_whole_days_as_of_a_moment() {
        let left = |moment: &str| {
            let due = request(&row("opened"), at(moment)).unwrap();
            (due.days_left, due.overdue)
        };
        assert_eq!(left("2026-03-03T12:00:00Z"), (7, false));
        assert_eq!(left("2026-03-03T12:00:01Z"), (6, false));
        assert_eq!(left("2026-03-10T12:00:00Z"), (0, false));
        assert_eq!(left("2026-03-10T12:00:01Z"), (-1, true));
    }

    #[test]
    fn a_hearing_is_due_on_its_day_and_not_after_it_was_decided() {
        let mut heard = row("hearing");
        assert_eq!(request(&heard, at("2026-03-01T00:00:00Z")).unwrap().what, "hearing");
        heard["amended"] = json!(false);
        assert!(request(&heard, at("2026-03-01T00:00:00Z")).is_none());
    }

    #[test]
    fn gov_i1_an_incident_is_due_after_72_hours_unless_it_is_no_breach_or_the_authority_knows() {
        let moment = at("2026-03-07T12:00:00Z");
        let open = row("open");
        assert_eq!(incident(&open, moment).unwrap().due_at, at("2026-03-10T12:00:00Z"));
        let with = |name: &str, value: Value| {
            let mut row = open.clone();
            row[name] = value;
            incident(&row, moment)
        };
        assert!(
            with("personal_data", json!(false)).is_none() && with("personal_data", json!(true)).is_some()
        );
        assert!(with("authority_told_at", json!("2026-03-08T12:00:00Z")).is_none());
    }

    #[test]
    fn gov_i1_at_a_high_risk_the_people_are_due_to_be_told_even_when_the_authority_was() {
        let moment = at("2026-03-07T12:00:00Z");
        let mut open = row("classified");
        open["subjects_due_at"] = json!("2026-03-10T12:00:00Z");
        open["subjects_escalated"] = json!(24);
        open["authority_told_at"] = json!("2026-03-08T12:00:00Z");
        let due = breach_notice(&open, moment).unwrap();
        assert_eq!((due.what, due.due_at), ("breach_notice", at("2026-03-10T12:00:00Z")));
        assert_eq!(due.escalated, Some(24));
        open["subjects_due_at"] = json!(null);
        assert!(breach_notice(&open, moment).is_none() && incident(&open, moment).is_none());
    }
}
