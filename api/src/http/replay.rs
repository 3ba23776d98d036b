//! What an audit replay shows (catalogue 2.11, GOV-A1 to A4). The reading is on record before anything leaves, and a replay
//! that a second officer has not approved, or that is over, shows nothing.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, http::header::CACHE_CONTROL};
use commands::Request;
use domain::{
    Actor, ActorKind,
    governance::{AuditReplay, AuditReplayCommand},
};
use event_store::{AsOf, Recorded};
use projections::{
    governance::{AuditFilters, AuditQuery, Entry, Order},
    query::LIMIT_MAX,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Api, Call, governance::problem, pairs::Pairs, query};
use crate::problem::{NOT_FOUND, Problem};

/// What stands in the place of a value whose key was destroyed since.
const ERASED: &str = "«erased»";
/// What stands in the place of a value that this replay does not decrypt.
const SEALED: &str = "«sealed»";

/// A page of the replay's events, in the order in which they were recorded.
///
/// # Errors
/// A replay that there is not, or that must not be read; and whatever is wrong with the query string.
pub(super) async fn events(api: &Api, call: &Call<'_>, mut pairs: Pairs) -> Result<HttpResponse, Problem> {
    let id = call.id("id")?;
    let after = pairs.number("after")?;
    let limit = pairs.count("limit", LIMIT_MAX)?;
    pairs.done()?;
    let replay = api.commands.state::<AuditReplay>(id).await?;
    if !replay.exists() {
        return Err(Problem::new(NOT_FOUND, "there is no such replay"));
    }
    let replay = replay.state;
    let asked = AuditQuery {
        filters: AuditFilters {
            subject: replay.scope.subject,
            resource_type: replay.scope.aggregate_type.clone(),
            resource_id: replay.scope.aggregate.map(|aggregate| aggregate.to_string()),
            ..AuditFilters::default()
        },
        order: Order::OldestFirst,
        after,
        limit,
        as_of: replay.as_of.map(AsOf::Instant),
    };
    let page = api.projections.audit(call.actor()?, &asked).await.map_err(problem)?;
    record(api, call, id, &page.entries).await?;

    let mut events = Vec::with_capacity(page.entries.len());
    for entry in &page.entries {
        let found = api.commands.store().read_all(entry.position - 1, 1).await;
        events.extend(found.map_err(|error| query::failed(&error))?);
    }
    let keyring = api.commands.store().keyring();
    if replay.decrypt {
        keyring.load_for(&events).await.map_err(|error| query::failed(&error))?;
    }
    let mut shown = Vec::with_capacity(events.len());
    for (entry, event) in page.entries.iter().zip(&events) {
        let opened = if replay.decrypt {
            Some(keyring.open(event).map_err(|error| query::failed(&error))?)
        } else {
            None
        };
        shown.push(told(entry, event, opened));
    }
    let body = json!({ "events": shown, "next": page.next, "position": page.position });
    let mut response = HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(body);
    if let Some(next) = page.next {
        query::link_next(call, &next.to_string(), &mut response);
    }
    Ok(response)
}

/// Puts on record what is about to be shown; the replay itself says whether it may be (GOV-A1, GOV-A4).
async fn record(api: &Api, call: &Call<'_>, id: Uuid, entries: &[Entry]) -> Result<(), Problem> {
    let subjects: BTreeSet<Uuid> = entries.iter().flat_map(|entry| entry.subjects.iter().copied()).collect();
    let command = AuditReplayCommand::RecordReplayRead {
        from_position: entries.first().map_or(0, |entry| entry.position),
        to_position: entries.last().map_or(0, |entry| entry.position),
        events: entries.len() as u64,
        subjects: subjects.into_iter().collect(),
    };
    let reader = call.actor()?.account();
    let actor = Actor { on_behalf_of: reader, kind: ActorKind::Worker, ..Actor::policy("api") };
    let request = Request {
        correlation_id: Some(call.trace.correlation()),
        traceparent: Some(call.trace.parent()),
        session: call.ticket.as_ref().and_then(|ticket| ticket.session.clone()),
        ..Request::by(actor)
    };
    api.commands.execute::<AuditReplay>(id, command, &request).await.map(drop).map_err(Problem::from)
}

/// An event as the replay shows it: the entry of the audit trail, its fields, and whether some of them were shredded since.
fn told(entry: &Entry, event: &Recorded, opened: Option<Vec<Option<Vec<u8>>>>) -> Value {
    let mut payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
    let mut data = payload.get_mut(&*event.event_type).map(Value::take).unwrap_or_default();
    let shredded = opened.as_ref().map(|groups| groups.iter().any(Option::is_none));
    let groups: Option<Vec<Option<Vec<Value>>>> = opened.map(|groups| {
        groups.into_iter().map(|group| serde_json::from_slice(group.as_deref()?).ok()).collect()
    });
    fill(&mut data, groups.as_deref());
    let mut told = serde_json::to_value(entry).unwrap_or_default();
    told["data"] = data;
    told["shredded_since"] = json!(shredded);
    told
}

/// Puts the personal values in their places, or says why they are not there.
fn fill(value: &mut Value, groups: Option<&[Option<Vec<Value>>]>) {
    let place = |object: &Map<String, Value>| match object.get("$personal") {
        Some(place) if object.len() == 1 => Some(place.clone()),
        Some(_) | None => None,
    };
    match value {
        Value::Object(object) => match place(object) {
            Some(place) => {
                *value = match groups {
                    None if !place.is_null() => SEALED.into(),
                    None => ERASED.into(),
                    Some(groups) => known(&place, groups).unwrap_or_else(|| ERASED.into()),
                }
            }
            None => object.values_mut().for_each(|value| fill(value, groups)),
        },
        Value::Array(values) => values.iter_mut().for_each(|value| fill(value, groups)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn known(place: &Value, groups: &[Option<Vec<Value>>]) -> Option<Value> {
    let index = |number: usize| usize::try_from(place.get(number)?.as_u64()?).ok();
    groups.get(index(0)?)?.as_ref()?.get(index(1)?).cloned()
}
