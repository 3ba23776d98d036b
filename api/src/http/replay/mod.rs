//! What an audit replay shows (catalogue 2.11, GOV-A1 to A4): the facts in order, the state after them, and both as a
//! document. The reading is on record before anything leaves, and a replay that a second officer has not approved, or that
//! is over, shows nothing.
//!
//! What must never be here: a side effect but the record of the reading itself (GOV-A3).

mod export;
mod state;

use std::collections::BTreeSet;

use actix_web::{HttpResponse, http::header::CACHE_CONTROL};
use commands::Request;
use domain::{
    Actor, ActorKind,
    governance::{AuditReplay, AuditReplayCommand},
};
use event_store::{AsOf, Position, Recorded, StoreError};
use projections::{
    Envelope,
    governance::{AuditFilters, AuditQuery, Entry, Order},
    query::LIMIT_MAX,
    readable::{self, Event, Personal},
};
use serde_json::{Value, json};
use uuid::Uuid;

pub use export::EXPORT_MAX;
pub(super) use export::export;
pub use state::STATES_MAX;
pub(super) use state::state;

use super::{Api, Call, governance::problem, pairs::Pairs, query};
use crate::problem::{NOT_FOUND, Problem};

/// A replay, and up to where it looks.
struct Look {
    id: Uuid,
    replay: AuditReplay,
    until: Position,
}

impl Look {
    /// The replay of the path; as of a moment that is not after its own.
    async fn at(api: &Api, call: &Call<'_>, as_of: Option<AsOf>) -> Result<Look, Problem> {
        let id = call.id("id")?;
        let found = api.commands.state::<AuditReplay>(id).await?;
        if !found.exists() {
            return Err(Problem::new(NOT_FOUND, "there is no such replay"));
        }
        let replay = AuditReplay::clone(&found.state);
        if replay.decrypt {
            call.elevated()?;
        }
        let (store, failed) = (api.commands.store(), |error: StoreError| query::failed(&error));
        let asked = match as_of {
            Some(moment) => store.position_of(moment).await.map_err(failed)?,
            None => Ok(store.head().await.map_err(failed)?.position),
        };
        let asked = asked.map_err(|ahead| Problem::new(NOT_FOUND, ahead.to_string()).at("as_of"))?;
        let own = match replay.as_of {
            Some(instant) => store.position_at(instant).await.map_err(failed)?,
            None => asked,
        };
        Ok(Look { id, replay, until: own.min(asked) })
    }

    fn asked(&self, after: Option<Position>, limit: Option<usize>) -> AuditQuery {
        let scope = &self.replay.scope;
        AuditQuery {
            filters: AuditFilters {
                subject: scope.subject,
                resource_type: scope.aggregate_type.clone(),
                resource_id: scope.aggregate.map(|aggregate| aggregate.to_string()),
                ..AuditFilters::default()
            },
            order: Order::OldestFirst,
            after,
            limit,
            as_of: Some(AsOf::Position(self.until)),
        }
    }

    /// The entries in scope, at most so many, and whether there are more.
    async fn entries(&self, api: &Api, call: &Call<'_>, most: usize) -> Result<(Vec<Entry>, bool), Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut after = None;
        loop {
            let asked = self.asked(after, Some(LIMIT_MAX));
            let page = api.projections.audit(call.actor()?, &asked).await.map_err(problem)?;
            entries.extend(page.entries);
            if page.next.is_none() || entries.len() > most {
                let more = entries.len() > most;
                entries.truncate(most);
                return Ok((entries, more));
            }
            after = page.next;
        }
    }

    async fn recorded(&self, api: &Api, entries: &[Entry]) -> Result<Vec<Recorded>, Problem> {
        let positions: Vec<Position> = entries.iter().map(|entry| entry.position).collect();
        api.commands.store().read_at(&positions).await.map_err(|error| query::failed(&error))
    }

    /// A replay about one person opens what is about them, and nothing that others left in the same events.
    fn personal(&self) -> Personal {
        match self.replay.scope.subject {
            _ if !self.replay.decrypt => Personal::Sealed,
            Some(person) => Personal::OpenedFor(person),
            None => Personal::Opened,
        }
    }
}

/// A page of the replay's events, in the order in which they were recorded.
///
/// # Errors
/// A replay that there is not, or that must not be read; and whatever is wrong with the query string.
pub(super) async fn events(api: &Api, call: &Call<'_>, mut pairs: Pairs) -> Result<HttpResponse, Problem> {
    let after = pairs.number("after")?;
    let limit = pairs.count("limit", LIMIT_MAX)?;
    pairs.done()?;
    let look = Look::at(api, call, None).await?;
    let page = api.projections.audit(call.actor()?, &look.asked(after, limit)).await.map_err(problem)?;
    let recorded = look.recorded(api, &page.entries).await?;
    record(api, call, &look, recorded.iter()).await?;
    let events = readable::read(api.commands.store(), recorded, look.personal()).await;
    let events = events.map_err(|error| query::failed(&error))?;
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
async fn record<'e>(
    api: &Api,
    call: &Call<'_>,
    look: &Look,
    events: impl Iterator<Item = &'e Recorded>,
) -> Result<(), Problem> {
    let (mut subjects, mut positions, mut count) = (BTreeSet::new(), Vec::new(), 0);
    for event in events {
        subjects.extend(Envelope::read(&event.metadata, event.recorded_at).subjects);
        positions.push(event.position);
        count += 1;
    }
    let read = AuditReplayCommand::RecordReplayRead {
        from_position: positions.iter().min().copied().unwrap_or(0),
        to_position: positions.iter().max().copied().unwrap_or(0),
        events: count,
        subjects: subjects.into_iter().collect(),
    };
    noting(api, call, look.id, read).await
}

/// Issues a command of the edge's own to the replay.
async fn noting(api: &Api, call: &Call<'_>, id: Uuid, command: AuditReplayCommand) -> Result<(), Problem> {
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
