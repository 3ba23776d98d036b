//! What the aggregates in a replay's scope were at a moment: the fold of their events up to then (GOV-A2, the state after
//! each fact: ask as of its position).

use std::{collections::BTreeSet, ops::Bound};

use actix_web::{HttpResponse, http::header::CACHE_CONTROL};
use commands::state_after;
use event_store::{AsOf, Recorded, StreamId};
use projections::readable;
use serde_json::{Value, json};

use super::{Look, record};
use crate::{
    http::{Api, Call, pairs::Pairs, query},
    problem::Problem,
};

/// The most aggregates that are shown at once; `next` is where the others begin.
pub const STATES_MAX: usize = 200;
/// The most events in scope that are looked at; who needs others narrows the scope.
const EVENTS_MAX: usize = 10_000;

/// The states.
///
/// # Errors
/// A replay that there is not, or that must not be read; a moment that has not come; too large a scope.
pub(in crate::http) async fn state(
    api: &Api,
    call: &Call<'_>,
    mut pairs: Pairs,
) -> Result<HttpResponse, Problem> {
    let as_of = pairs.as_of("as_of")?;
    let after =
        pairs.read("after", "expected an aggregate's type and id, with a slash between them", stream)?;
    pairs.done()?;
    let look = Look::at(api, call, as_of).await?;
    let (entries, more) = look.entries(api, call, EVENTS_MAX).await?;
    let streams: BTreeSet<StreamId> = entries
        .iter()
        .map(|entry| StreamId::new(entry.resource_type.clone(), entry.resource_id.clone()))
        .collect();
    let mut rest = streams.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
    let page: Vec<&StreamId> = rest.by_ref().take(STATES_MAX).collect();
    let next = rest.next().and(page.last()).map(ToString::to_string);
    let store = api.commands.store();
    let mut all: Vec<Vec<Recorded>> = Vec::new();
    for stream in page {
        let events = store.read_stream(stream, 0, Some(AsOf::Position(look.until))).await;
        all.push(events.map_err(|error| query::failed(&error))?);
    }
    record(api, call, &look, all.iter().flatten()).await?;
    let history = store.keyring().history();
    let keyring = history.keyring();
    let mut states = Vec::with_capacity(all.len());
    for events in &all {
        let Some(last) = events.last() else { continue };
        keyring.load_for(events).await.map_err(|error| query::failed(&error))?;
        let folded = state_after(keyring, events, look.replay.decrypt)?;
        let personal = look.personal();
        let state = folded.map_or(Value::Null, |(text, groups)| readable::filled(&text, groups, personal));
        states.push(json!({
            "aggregate_type": last.stream.aggregate_type,
            "aggregate_id": last.stream.aggregate_id,
            "version": last.sequence,
            "position": last.position,
            "recorded_at": last.recorded_at,
            "event_type": last.event_type,
            "state": state,
        }));
    }
    let body = json!({ "states": states, "next": next, "truncated": more, "position": look.until });
    let mut response = HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(body);
    if let Some(next) = next {
        query::link_next(call, &next, &mut response);
    }
    Ok(response)
}

/// The stream that is written so.
fn stream(text: &str) -> Option<StreamId> {
    let (aggregate_type, aggregate_id) = text.split_once('/')?;
    Some(StreamId::new(aggregate_type.to_owned(), aggregate_id))
}
