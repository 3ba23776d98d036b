//! What an audit replay shows (catalogue 2.11, GOV-A1 to A4). The reading is on record before anything leaves, and a replay
//! that a second officer has not approved, or that is over, shows nothing.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, http::header::CACHE_CONTROL};
use commands::Request;
use domain::{
    Actor, ActorKind,
    governance::{AuditReplay, AuditReplayCommand},
};
use event_store::AsOf;
use projections::{
    governance::{AuditFilters, AuditQuery, Entry, Order},
    query::LIMIT_MAX,
    readable::{self, Event, Personal},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Api, Call, governance::problem, pairs::Pairs, query};
use crate::problem::{NOT_FOUND, Problem};

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
    if replay.decrypt {
        call.elevated()?;
    }
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

    let positions: Vec<u64> = page.entries.iter().map(|entry| entry.position).collect();
    let store = api.commands.store();
    let recorded = store.read_at(&positions).await.map_err(|error| query::failed(&error))?;
    let personal = if replay.decrypt { Personal::Opened } else { Personal::Sealed };
    let events = readable::read(store, recorded, personal).await.map_err(|error| query::failed(&error))?;
    let shown: Vec<Value> =
        page.entries.iter().zip(events).map(|(entry, event)| told(entry, event)).collect();
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
fn told(entry: &Entry, event: Event) -> Value {
    let mut told = serde_json::to_value(entry).unwrap_or_default();
    told["data"] = event.data;
    told["shredded_since"] = event.shredded.into();
    told
}
