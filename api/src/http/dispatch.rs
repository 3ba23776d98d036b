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
        header::{ALLOW, HeaderName, HeaderValue},
    },
    web,
};
use futures_util::FutureExt;

use super::{
    Api, Call, Missed, Operation, Route, Trace, access,
    call::{authenticate, forbidden, unauthenticated},
    command, documents, governance, identity, log, query,
};
use crate::problem::{INTERNAL, METHOD_NOT_ALLOWED, NO_SUCH_ROUTE, Problem, TIMED_OUT};

/// How long a request may take before it is given up.
const LIMIT: Duration = Duration::from_secs(30);

/// Answers a request.
pub async fn dispatch(request: HttpRequest, payload: web::Payload, api: web::Data<Api>) -> HttpResponse {
    let begun = Instant::now();
    let trace = Trace::of(request.headers());
    let _counted = InFlight::count(&api);
    let path = request.match_info().unprocessed();
    let found = api.router.find(request.method(), path);
    let template = found.as_ref().map_or("(none)", |found| &found.route.template).to_owned();
    let answer = async {
        let found = found.map_err(missed)?;
        let answer = match call(&api, &request, found.route, found.values, &trace).await {
            Ok(call) => operate(&api, call, payload).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &answer {
            let caller = authenticate(&request, &api).await.ok().flatten();
            let actor = caller.as_ref().map(|ticket| &ticket.actor);
            access::log_denial(&api, &request, found.route, actor, problem, &trace).await;
        }
        answer
    };
    let mut response = guarded(answer).await.unwrap_or_else(|problem| problem.respond(&trace));
    let status = response.status().as_u16();
    api.metrics.request(method_name(request.method()), &template, status, begun);
    note(&request, &template, status, begun, &trace);
    mark(&mut response, &trace);
    response
}

/// Gives up on what takes too long, and turns a panic into a problem that tells nothing of it: the logs do.
async fn guarded<T>(answer: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    match tokio::time::timeout(LIMIT, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err(Problem::new(INTERNAL, "the request failed")),
        Err(_elapsed) => Err(Problem::new(TIMED_OUT, "the request was given up").retry_after(1)),
    }
}

/// Counts a request for as long as it is being answered, also when its client goes away.
struct InFlight<'a>(&'a Api);

impl<'a> InFlight<'a> {
    fn count(api: &'a Api) -> Self {
        api.metrics.in_flight.inc();
        InFlight(api)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

/// Who calls, and whether they may call this route at all.
async fn call<'a>(
    api: &Api,
    request: &'a HttpRequest,
    route: &'a Route,
    values: Vec<&'a str>,
    trace: &'a Trace,
) -> Result<Call<'a>, Problem> {
    let ticket = if route.access.needs_token() { authenticate(request, api).await? } else { None };
    let actor = ticket.as_ref().map(|ticket| &ticket.actor);
    match (route.access.admits(actor), actor) {
        (true, _) => Ok(Call { request, route, values, ticket, trace }),
        (false, None) => Err(unauthenticated(None)),
        (false, Some(_)) => Err(forbidden()),
    }
}

async fn operate(
    api: &web::Data<Api>,
    call: Call<'_>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    if *call.request.method() != Method::POST {
        // A purpose that cannot be one is refused before anything is looked up.
        access::purpose(call.request)?;
    }
    match &call.route.operation {
        Operation::Command(route) => command::handle(api, &call, route, payload).await,
        Operation::Query(route) => query::handle(api, &call, route).await,
        Operation::Governance(route) => governance::handle(api, &call, *route).await,
        Operation::Identity(route) => identity::handle(api, &call, *route, payload).await,
        Operation::Log(route) => log::handle(api, &call, *route).await,
        Operation::Page(page) => documents::handle(api, &call, *page).await,
    }
}

fn missed(missed: Missed) -> Problem {
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

/// One line for each request. Successes are told to those who ask (`ANNALS_LOG=info,annals::access=debug`).
fn note(request: &HttpRequest, route: &str, status: u16, begun: Instant, trace: &Trace) {
    let method = method_name(request.method());
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    if status >= 500 {
        tracing::error!(target: "annals::access", method, route, status, ms, trace_id = %trace.id(), "request");
    } else {
        tracing::debug!(target: "annals::access", method, route, status, ms, trace_id = %trace.id(), "request");
    }
}

/// The headers of every answer: the trace, and what keeps browsers from doing more with it than they should.
fn mark(response: &mut HttpResponse, trace: &Trace) {
    const FIXED: &[(&str, &str)] = &[
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ];
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let hexadecimal = "a trace is hexadecimal";
    let id = HeaderValue::from_str(&trace.id()).expect(hexadecimal);
    let parent = HeaderValue::from_str(&trace.parent()).expect(hexadecimal);
    headers.insert(HeaderName::from_static("x-trace-id"), id);
    headers.insert(HeaderName::from_static("traceparent"), parent);
    if !headers.contains_key("cache-control") {
        headers.insert(HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store"));
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
