//! The access log: who is about to see whose personal data, and who was turned away. A read is on disk before its answer
//! leaves; a read that cannot be put on record is not answered.

use std::time::Duration;

use actix_web::http::header::USER_AGENT;
use commands::Request;
use domain::{
    Actor, ActorKind, Stated,
    governance::{ACCESS_SUBJECTS_MAX, AccessLog, AccessLogCommand, PROCESSING_DEFAULTS, access_log_id},
};
use event_store::Position;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{Api, Call, Governance, Identity, Incoming, Operation, Page, Route, Trace, body::single};
use crate::{auth::Ticket, problem::Problem};

/// The header in which a caller says for what purpose they read.
pub const PURPOSE: &str = "X-Purpose";
/// The most characters of a purpose.
const PURPOSE_MAX: usize = 200;
/// How many refusals are put on record at the same time; the others wait for their turn, and their callers with them.
static DENIALS: Semaphore = Semaphore::const_new(16);
/// How long they wait for it at most.
const DENIAL_WAITS: Duration = Duration::from_secs(2);

/// Puts on record that the caller is about to see data of these people. Their own data is theirs to see.
///
/// # Errors
/// When it cannot be put on record: then the answer must not leave. And a purpose that cannot be one.
pub(super) async fn log_read(
    api: &Api,
    call: &Call<'_>,
    subjects: impl IntoIterator<Item = Uuid>,
) -> Result<(), Problem> {
    let who = call.actor()?;
    let others: Vec<Uuid> = subjects.into_iter().filter(|subject| !who.is(*subject)).collect();
    if others.is_empty() {
        return purpose(call.request).map(drop);
    }
    Reader::of(call)?.reads(api, others).await
}

/// Who reads, what, for what purpose and from where: what goes on record with each read of a call.
pub(super) struct Reader {
    who: Actor,
    session: Option<String>,
    route: String,
    resource: String,
    /// What the caller stated, or what the route implies.
    purpose: String,
    ip: Stated<String>,
    user_agent: Stated<String>,
    trace: Trace,
}

impl Reader {
    /// The one of a call.
    ///
    /// # Errors
    /// Nobody is known, or a purpose that cannot be one.
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Problem> {
        let purpose = purpose(call.request)?.unwrap_or_else(|| implied(call.route));
        let (ip, user_agent) = origin(call.request);
        Ok(Reader {
            who: call.actor()?.clone(),
            session: call.ticket.as_ref().and_then(|ticket| ticket.session.clone()),
            route: call.route.template.clone(),
            resource: shortened(call.request.path(), 2000),
            purpose,
            ip,
            user_agent,
            trace: call.trace.clone(),
        })
    }

    /// See [`log_read`].
    pub(super) async fn reads(
        &self,
        api: &Api,
        subjects: impl IntoIterator<Item = Uuid>,
    ) -> Result<(), Problem> {
        let subjects: Vec<Uuid> = subjects.into_iter().filter(|subject| !self.who.is(*subject)).collect();
        for subjects in subjects.chunks(ACCESS_SUBJECTS_MAX) {
            let command = AccessLogCommand::LogAccess {
                actor: account(&self.who),
                route: self.route.clone(),
                resource: self.resource.clone(),
                subjects: subjects.to_vec(),
                purpose: Some(self.purpose.clone()),
                ip: self.ip.clone(),
                user_agent: self.user_agent.clone(),
            };
            let request = Request {
                session: self.session.clone(),
                purpose: Some(self.purpose.clone()),
                ..by_edge(self.who.account(), &self.trace)
            };
            note(api, command, &request).await?;
        }
        Ok(())
    }
}

/// Puts on record that somebody was turned away from personal data, unless they were so often just now that there are enough
/// of them: strangers must not fill the log at the pace they like.
pub(super) async fn log_denial(
    api: &Api,
    request: &Incoming<'_>,
    route: &Route,
    ticket: Option<&Ticket>,
    reason: &Problem,
    trace: &Trace,
) {
    let guards = match route.operation {
        Operation::Query(_) | Operation::Governance(_) | Operation::Log(_) | Operation::Graphql => true,
        // The stream shows what happens to people.
        Operation::Page(page) => matches!(page, Page::Stream | Page::Socket),
        // A login that names nobody is no event of any account (IDN-A11).
        Operation::Identity(route) => matches!(
            route,
            Identity::Login
                | Identity::SsoGoogle
                | Identity::SsoMicrosoft
                | Identity::SsoCallback
                | Identity::KeyLogin
        ),
        Operation::Command(_) | Operation::Batch => false,
    };
    if !guards || !matches!(reason.status().as_u16(), 401 | 403 | 429) {
        return;
    }
    if !api.is_recorded(request, route, ticket) {
        return;
    }
    // The caller is turned away whether or not this succeeds.
    let caller = ticket.map(|ticket| &ticket.actor);
    _ = deny(api, request, route, caller, reason, trace).await;
}

/// Puts a refusal on record, whatever it was; its position, where it is.
pub(super) async fn deny(
    api: &Api,
    request: &Incoming<'_>,
    route: &Route,
    caller: Option<&Actor>,
    reason: &Problem,
    trace: &Trace,
) -> Option<Position> {
    let Ok(Ok(_turn)) = tokio::time::timeout(DENIAL_WAITS, DENIALS.acquire()).await else {
        api.metrics.unrecorded.inc();
        return None;
    };
    let (ip, user_agent) = origin(request);
    let command = AccessLogCommand::LogDenial {
        actor: caller.and_then(account),
        route: route.template.clone(),
        reason: reason.code().to_owned(),
        ip,
        user_agent,
    };
    note(api, command, &by_edge(caller.and_then(Actor::account), trace)).await.ok()
}

async fn note(api: &Api, command: AccessLogCommand, request: &Request) -> Result<Position, Problem> {
    let id = access_log_id(Timestamp::now(), request.command_id.as_u128());
    let noted = api.commands.note::<AccessLog>(id, command, request).await;
    noted.map_err(|error| {
        tracing::error!(%error, "an access could not be put on record");
        Problem::from(error)
    })
}

/// A request of the edge itself, for the person who reads.
fn by_edge(person: Option<Uuid>, trace: &Trace) -> Request {
    let actor = Actor { on_behalf_of: person, kind: ActorKind::Worker, ..Actor::policy("api") };
    Request {
        correlation_id: Some(trace.correlation()),
        traceparent: Some(trace.parent()),
        ..Request::by(actor)
    }
}

/// Who reads: the person, or the program with a key.
fn account(actor: &Actor) -> Option<Uuid> {
    actor.account().or_else(|| actor.id.parse().ok())
}

/// For what purpose a caller says to read.
///
/// # Errors
/// When it cannot be one.
pub(super) fn purpose(request: &Incoming<'_>) -> Result<Option<String>, Problem> {
    let Some(purpose) = single(request.headers(), PURPOSE)? else { return Ok(None) };
    let fits = (1..=PURPOSE_MAX).contains(&purpose.trim().len())
        && purpose.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if fits {
        Ok(Some(purpose.trim().to_owned()))
    } else {
        Err(Problem::parameter(PURPOSE, "expected 1 to 200 visible ASCII characters"))
    }
}

/// The purpose of a route, for whoever states none: no read of somebody else's data is on record without one. It says of
/// itself that nobody stated it.
fn implied(route: &Route) -> String {
    let purpose = match &route.operation {
        Operation::Query(query) => of_read_model(query.model),
        Operation::Governance(governance) => match governance {
            Governance::Inventory
            | Governance::OwnInventory
            | Governance::Package
            | Governance::PackagePage
            | Governance::Due
            | Governance::DataMap => "privacy rights and retention",
            Governance::Trail
            | Governance::Mine
            | Governance::Chain
            | Governance::Events
            | Governance::Event
            | Governance::Lineage
            | Governance::OpenLineage
            | Governance::Replay
            | Governance::ReplayState
            | Governance::ReplayExport => AUDIT,
        },
        Operation::Log(_) => AUDIT,
        Operation::Page(_) => "following what happens",
        Operation::Command(_) | Operation::Identity(_) | Operation::Batch | Operation::Graphql => {
            "running the service"
        }
    };
    format!("{purpose} (implied)")
}

const AUDIT: &str = "audit";

/// What the house processes the data for that a read model folds; audit, where it folds whatever there is.
fn of_read_model(name: &str) -> &'static str {
    let shape = projections::read_models().iter().map(|model| model.shape()).find(|shape| shape.name == name);
    let fed_by = shape.map_or(&[][..], |shape| shape.fed_by);
    let whole = PROCESSING_DEFAULTS.iter().filter(|default| default.events.is_empty());
    let mut whole = whole.filter(|default| fed_by.iter().any(|fed| default.aggregates.contains(fed)));
    whole.next().map_or(AUDIT, |default| default.name)
}

/// From where, and with which program.
fn origin(request: &Incoming<'_>) -> (Stated<String>, Stated<String>) {
    let ip = request.address().map_or_else(String::new, |address| address.to_string());
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    (Stated(ip), Stated(shortened(agent, 300)))
}

fn shortened(text: &str, most: usize) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(most).collect()
}
