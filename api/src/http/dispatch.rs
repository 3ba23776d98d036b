//! The one way of every request: trace, route, caller, operation, answer. Whatever goes wrong on it, a panic included,
//! is answered by a problem.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{ALLOW, HeaderValue},
    },
    web,
};
use domain::Actor;
use futures_util::FutureExt;
use tracing::Instrument;

use super::{
    Api, Call, Found, Incoming, Missed, Operation, Route, Trace, access, batch,
    body::Body,
    call::{Caller, Unproven, authenticate, count, forbidden, unauthenticated},
    coding, command, documents, governance, graphql, headers, identity,
    limits::{self, Exceeded, Quota},
    log,
    overload::Kind,
    query,
};
use crate::problem::{INTERNAL, METHOD_NOT_ALLOWED, NO_SUCH_ROUTE, Problem, TIMED_OUT};

/// How long a request may take before it is given up.
const LIMIT: Duration = Duration::from_secs(30);

/// Answers a request.
pub async fn dispatch(request: HttpRequest, payload: web::Payload, api: web::Data<Api>) -> HttpResponse {
    let begun = Instant::now();
    let trace = Trace::of(request.headers());
    let incoming = Incoming::of(&request, &api.limits);
    let _answering = api.overload.answering();
    let found = api.router.find(request.method(), request.match_info().unprocessed());
    let template = found.as_ref().map_or("(none)", |found| &*found.route.template);
    let mut quota = None;
    let answer = async {
        headers::check(incoming.headers())?;
        let found = match found {
            Ok(found) => found,
            Err(Missed::Method(allowed)) => match headers::preflight(&api, &incoming, &allowed).await {
                Some(response) => return Ok(response),
                None => return Err(missed(Missed::Method(allowed))),
            },
            Err(Missed::Path) => return Err(missed(Missed::Path)),
        };
        if !found.route.is_health() {
            api.overload.admits()?;
        }
        let route = found.route;
        let response = answer(&api, &incoming, found, Body::Sent(payload), &trace, &mut quota).await?;
        Ok(coding::compressed(response, &incoming, route).await)
    };
    // In a box: actix moves a handler's future about, and this one is large.
    let mut response = guarded(Box::pin(answer.instrument(trace.span())))
        .await
        .unwrap_or_else(|problem| problem.respond(&trace));
    let status = response.status().as_u16();
    api.metrics.request(method_name(request.method()), template, status, begun);
    note(&incoming, template, status, begun, &trace);
    if let Some(quota) = quota {
        quota.tell(response.headers_mut());
    }
    headers::share(&api, &incoming, &mut response).await;
    headers::mark(&mut response, &incoming, &trace, api.overload.is_stopping());
    response
}

/// The way of a request whose route is found: who calls, whether they may, whether not too often, and the operation. Who may
/// not is counted as who may: what is refused costs, too.
pub(super) async fn answer(
    api: &web::Data<Api>,
    request: &Incoming<'_>,
    Found { route, values }: Found<'_, '_, Route>,
    body: Body,
    trace: &Trace,
    quota: &mut Option<Quota>,
) -> Result<HttpResponse, Problem> {
    let known = known(api, request, route).await;
    let (caller, failed) = known.map_or_else(|failed| (None, Some(failed)), |caller| (caller, None));
    let (ticket, rests_on) = caller.map(|caller| (caller.ticket, caller.rests_on)).unzip();
    if let Some(ticket) = &ticket {
        count(ticket, api);
    }
    let actor = ticket.as_ref().map(|ticket| &ticket.actor);
    let refused = failed.or_else(|| permitted(route, actor).map_err(Unproven::from).err());
    let admitted = match refused {
        Some(Unproven { problem, guess: true }) => {
            Box::pin(api.admit_guess(request, problem)).await.map(|problem| (None, Some(problem)))
        }
        Some(Unproven { problem, .. }) if ticket.is_none() => {
            let admitted = Box::pin(api.admit_unknown(request, route, problem)).await;
            admitted.map(|(left, problem)| (left, Some(problem)))
        }
        refused => {
            let admitted = api.admit(request, route, ticket.as_deref()).await;
            admitted.map(|left| (left, refused.map(|refused| refused.problem)))
        }
    };
    let answer = match admitted {
        Ok((left, refused)) => {
            *quota = left;
            match refused {
                None => {
                    let (ticket, rests_on) = (ticket.clone(), rests_on.unwrap_or_default());
                    operate(api, Call { request, route, values, ticket, rests_on, trace }, body).await
                }
                Some(problem) => Err(problem),
            }
        }
        Err(Exceeded { problem, instead, first, quota: left }) => {
            *quota = left;
            if let Some(left) = left.filter(|_| first) {
                let refusal = (&problem, left);
                Box::pin(limits::look_into(api, request, route, ticket.as_deref(), refusal, trace)).await;
            }
            return Err(instead.unwrap_or(problem));
        }
    };
    // That somebody asks for too much at once is no refusal of data; who calls too often is on record above.
    if let Err(problem) = &answer
        && problem.status() != 429
    {
        Box::pin(access::log_denial(api, request, route, ticket.as_deref(), problem, trace)).await;
    }
    answer
}

/// Who calls, where the route wants to know, by what the log says now: who was let out, on whichever node, is out.
async fn known(api: &Api, request: &Incoming<'_>, route: &Route) -> Result<Option<Caller>, Unproven> {
    let needs_token = route.access.needs_token();
    // A command is recorded only where what its caller's right was read from still holds, so nothing is looked at before; but
    // nobody is refused by what may be old.
    if needs_token
        && matches!(route.operation, Operation::Command(_))
        && let Ok(Some(caller)) = authenticate(request, api).await
        && permitted(route, Some(&caller.ticket.actor)).is_ok()
    {
        return Ok(Some(caller));
    }
    // The ways in ask as well who somebody is and whether they still may.
    if needs_token || matches!(route.operation, Operation::Identity(_)) {
        api.standing.look().await.map_err(Problem::from)?;
    }
    if needs_token { authenticate(request, api).await } else { Ok(None) }
}

/// Whether a caller may call a route at all.
pub(super) fn permitted(route: &Route, actor: Option<&Actor>) -> Result<(), Problem> {
    match (route.access.admits(actor), actor) {
        (true, _) => Ok(()),
        (false, None) => Err(unauthenticated(None)),
        (false, Some(_)) => Err(forbidden()),
    }
}

/// Gives up on what takes too long, and turns a panic into a problem that tells nothing of it: the logs do.
pub(super) async fn guarded<T>(answer: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    match tokio::time::timeout(LIMIT, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err(Problem::new(INTERNAL, "the request failed")),
        Err(_elapsed) => Err(Problem::new(TIMED_OUT, "the request was given up").retry_after(1)),
    }
}

async fn operate(api: &web::Data<Api>, call: Call<'_>, body: Body) -> Result<HttpResponse, Problem> {
    if *call.request.method() != Method::POST {
        // A purpose that cannot be one is refused before anything is looked up.
        access::purpose(call.request)?;
    }
    // Commands are counted when their bodies are here.
    let reads =
        matches!(call.route.operation, Operation::Query(_) | Operation::Governance(_) | Operation::Log(_));
    let under_way = if reads { Some(api.overload.enter(Kind::Query)?) } else { None };
    let answer = match &call.route.operation {
        Operation::Command(route) => return command::handle(api, call, route, body).await,
        // In boxes, so that a command's future need not be as large as the largest of these.
        Operation::Query(route) => Box::pin(query::handle(api, &call, route)).await,
        Operation::Governance(route) => Box::pin(governance::handle(api, &call, *route)).await,
        Operation::Identity(route) => Box::pin(identity::handle(api, &call, *route, body)).await,
        Operation::Log(route) => Box::pin(log::handle(api, &call, *route)).await,
        Operation::Page(page) => Box::pin(documents::handle(api, &call, *page, body)).await,
        Operation::Batch => Box::pin(batch::handle(api, &call, body)).await,
        Operation::Graphql => Box::pin(graphql::handle(api, &call, body)).await,
    };
    // What was refused, or was not there yet, need not have waited where others wait.
    if let Some(under_way) = under_way.filter(|_| answer.as_ref().is_ok_and(|answer| answer.status() == 200))
    {
        under_way.done();
    }
    answer
}

pub(super) fn missed(missed: Missed) -> Problem {
    match missed {
        Missed::Path => Problem::new(NO_SUCH_ROUTE, "no route has this path"),
        Missed::Method(allowed) => {
            let allow = HeaderValue::from_str(&allowed).expect("methods are ASCII");
            Problem::new(METHOD_NOT_ALLOWED, format!("the path takes {allowed}")).header(ALLOW, allow)
        }
    }
}

/// A client may invent methods; metrics and logs do not grow by that.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// One line for each request: an error where this node failed, a warning where it was busy or about to stop (503), which is no
/// defect. All the others are told to those who ask (`ANNALS_LOG=info,annals::access=debug`).
fn note(request: &Incoming<'_>, route: &str, status: u16, begun: Instant, trace: &Trace) {
    let method = method_name(request.method());
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    let request_id = headers::request_id(request.headers()).and_then(|id| id.to_str().ok());
    let trace_id = trace.id();
    if status == 503 {
        tracing::warn!(target: "annals::access", method, route, status, ms, trace_id, request_id, "request");
    } else if status >= 500 {
        tracing::error!(target: "annals::access", method, route, status, ms, trace_id, request_id, "request");
    } else {
        tracing::debug!(target: "annals::access", method, route, status, ms, trace_id, request_id, "request");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_panic_is_answered_by_a_problem_that_tells_nothing_of_it() {
        let problem = guarded::<()>(async { panic!("anna@example.org") }).await.unwrap_err();
        assert_eq!((problem.code(), problem.status().as_u16()), ("Internal", 500));
        let answer = problem.respond(&Trace::of(&actix_web::http::header::HeaderMap::new()));
        let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("anna"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_given_up() {
        let problem = guarded::<()>(std::future::pending()).await.unwrap_err();
        assert_eq!((problem.code(), problem.status().as_u16()), ("TimedOut", 503));
    }
}
