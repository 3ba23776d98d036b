//! `POST /v1/batch`: up to a hundred independent commands and queries in one request, each with its own result. Each takes
//! the way of every request: the same authorisation, the same limits, the same records of who saw what.
//!
//! They are independent: several are under way at once, and none waits for another's outcome.

use std::time::Instant;

use actix_web::{
    HttpResponse,
    body::MessageBody,
    dev::Url,
    http::{
        Method, Uri,
        header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    },
    web,
};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strum::IntoStaticStr;

use super::{
    Api, Call, Found, Incoming, Operation, PURPOSE, Page, Route, Trace,
    body::Body,
    command::{IDEMPOTENCY_KEY, IF_MATCH},
    dispatch::{self, guarded, missed},
    limits::Quota,
};
use crate::problem::{INTERNAL, INVALID_PARAMETER, INVALID_VALUE, MALFORMED, Problem};

/// How many requests a batch has at most.
pub const MOST: usize = 100;
/// How many of them are under way at once.
pub(super) const AT_ONCE: usize = 16;

/// A batch of requests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The requests.
    #[schemars(length(min = 1, max = 100))]
    requests: Vec<Part>,
}

/// What a request of a batch does.
#[derive(Clone, Copy, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(rename = "BatchMethod")]
#[strum(serialize_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names say it")]
enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// One request of a batch.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "BatchRequest")]
#[serde(deny_unknown_fields)]
struct Part {
    /// The method.
    method: Verb,
    /// The path and the query string, from `/v1/` on.
    path: String,
    /// The fields of a command.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    body: Option<Box<RawValue>>,
    /// What makes a command repeatable, as the header `Idempotency-Key`.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// The versions of which a stream must have one, as the header `If-Match`.
    #[serde(default)]
    if_match: Option<String>,
    /// For what purpose it is read, as the header `X-Purpose`; that of the batch where it does not say.
    #[serde(default)]
    purpose: Option<String>,
}

/// The results of a batch, in the order of its requests.
#[derive(Serialize, JsonSchema)]
pub struct Results {
    /// One for each request.
    results: Vec<Outcome>,
}

/// What a request of a batch was answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchResult")]
struct Outcome {
    /// The status, as if it had been sent alone.
    #[schemars(range(min = 100, max = 599))]
    status: u16,
    /// Those headers of the answer that it does not share with the others, in lower case.
    headers: std::collections::BTreeMap<&'static str, String>,
    /// The body of the answer; a text where it is not JSON, and null where there is none.
    #[schemars(with = "serde_json::Value")]
    body: Box<RawValue>,
}

/// The headers of an answer that are its own.
const OWN: [&str; 9] = [
    "annals-version",
    "content-type",
    "etag",
    "idempotent-replayed",
    "link",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
];

/// Answers a batch.
///
/// # Errors
/// What is no batch. What is wrong with one of its requests is that one's result.
pub(super) async fn handle(
    api: &web::Data<Api>,
    call: &Call<'_>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    if !call.request.query_string().is_empty() {
        return Err(Problem::parameter("query", "a batch takes no query parameters"));
    }
    let text = body.fields(call.request, api.body_limit().await).await?;
    let batch: Batch = read(&text)?;
    let results = stream::iter(batch.requests)
        .map(|part| answered(api, call, part))
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    Ok(HttpResponse::Ok().json(Results { results }))
}

fn read(text: &RawValue) -> Result<Batch, Problem> {
    let mut reader = serde_json::Deserializer::from_str(text.get());
    let batch: Batch = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (mut field, expected) =
            (error.path().to_string(), "expected a request of a batch: see the schema");
        // What is missing has no place of its own: its reader names it.
        let message = error.into_inner().to_string();
        if let Some(missing) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next())
        {
            field = if field == "." { missing.to_owned() } else { format!("{field}.{missing}") };
        }
        let problem = Problem::new(MALFORMED, expected);
        if field == "." { problem } else { problem.at(field.chars().take(200).collect::<String>()) }
    })?;
    if !(1..=MOST).contains(&batch.requests.len()) {
        return Err(Problem::new(INVALID_VALUE, "a batch has 1 to 100 requests").at("requests"));
    }
    let is_object = |body: &RawValue| body.get().trim_start().starts_with('{');
    match batch.requests.iter().position(|part| !part.body.as_deref().is_none_or(is_object)) {
        None => Ok(batch),
        Some(place) => {
            let field = format!("requests[{place}].body");
            Err(Problem::new(MALFORMED, "the body is not a JSON object").at(field))
        }
    }
}

/// What a part is answered. It is boxed: its way is the one that the batch itself came.
fn answered<'a>(api: &'a web::Data<Api>, call: &'a Call<'_>, part: Part) -> LocalBoxFuture<'a, Outcome> {
    async move {
        let answer = one(api, call, part).await.unwrap_or_else(|problem| problem.respond(call.trace));
        outcome(answer, call.trace)
    }
    .boxed_local()
}

async fn one(api: &web::Data<Api>, call: &Call<'_>, part: Part) -> Result<HttpResponse, Problem> {
    let wrong = |detail: &'static str| Problem::new(INVALID_PARAMETER, detail).at("path");
    let uri: Uri = part.path.parse().map_err(|_| wrong("expected a path and perhaps a query string"))?;
    if uri.scheme().is_some() || !uri.path().starts_with("/v1/") {
        return Err(wrong("expected a path from /v1/ on"));
    }
    let name: &str = part.method.into();
    let method = Method::from_bytes(name.as_bytes()).map_err(|_| wrong("there is no such method"))?;
    let url = Url::new(uri.clone());
    let found = api.router.find(&method, url.path()).map_err(missed)?;
    let fits = match &found.route.operation {
        Operation::Command(_) | Operation::Query(_) | Operation::Governance(_) | Operation::Log(_) => true,
        Operation::Page(page) => !matches!(page, Page::Stream | Page::Socket),
        // A login gives cookies, and a batch of batches would have no limit.
        Operation::Identity(_) | Operation::Batch | Operation::Graphql => false,
    };
    if !fits {
        return Err(wrong("this cannot be a part of a batch"));
    }
    let body = match part.body {
        Some(_) if method == Method::GET => {
            return Err(Problem::new(MALFORMED, "a query has no body").at("body"));
        }
        Some(body) => body,
        None => empty()?,
    };
    let headers = headers(call, part.idempotency_key, part.if_match, part.purpose)?;
    let request = call.request.part(&method, uri.path(), uri.query().unwrap_or_default(), &headers);
    let (answer, quota) = alone(api, &request, found, body, call.trace).await;
    let mut response = answer.unwrap_or_else(|problem| problem.respond(call.trace));
    if let Some(quota) = quota {
        quota.tell(response.headers_mut());
    }
    Ok(response)
}

/// Answers a query that is a part of this call, as if it had been sent alone.
///
/// # Errors
/// Whatever it is refused for; and that the path leads to another route than the one of this template.
pub(super) async fn query(
    api: &web::Data<Api>,
    call: &Call<'_>,
    uri: &str,
    template: &str,
) -> Result<HttpResponse, Problem> {
    let wrong = || Problem::new(INVALID_PARAMETER, "the values lead to no such path").at("path");
    let uri: Uri = uri.parse().map_err(|_| wrong())?;
    let url = Url::new(uri.clone());
    let found = api.router.find(&Method::GET, url.path()).map_err(missed)?;
    if found.route.template != template {
        return Err(wrong());
    }
    let headers = headers(call, None, None, None)?;
    let request = call.request.part(&Method::GET, uri.path(), uri.query().unwrap_or_default(), &headers);
    alone(api, &request, found, empty()?, call.trace).await.0
}

/// What a part is answered, and what is left to the caller.
async fn alone(
    api: &web::Data<Api>,
    request: &Incoming<'_>,
    found: Found<'_, '_, Route>,
    body: Box<RawValue>,
    trace: &Trace,
) -> (Result<HttpResponse, Problem>, Option<Quota>) {
    let (begun, mut quota) = (Instant::now(), None);
    let (method, template) = (request.method().as_str(), &*found.route.template);
    let answer = dispatch::answer(api, request, found, Body::Part(body), trace, &mut quota);
    let answer = guarded(answer).await;
    let status = answer.as_ref().map_or_else(Problem::status, HttpResponse::status);
    api.metrics.request(method, template, status.as_u16(), begun);
    (answer, quota)
}

fn empty() -> Result<Box<RawValue>, Problem> {
    RawValue::from_string("{}".to_owned()).map_err(|_| Problem::new(INTERNAL, "no body"))
}

/// The headers of a part: who calls is who calls the batch.
fn headers(
    call: &Call<'_>,
    key: Option<String>,
    if_match: Option<String>,
    purpose: Option<String>,
) -> Result<HeaderMap, Problem> {
    const SHARED: [&str; 6] =
        ["authorization", "cookie", "user-agent", "x-api-key", "x-csrf-token", "x-purpose"];
    let mut headers = HeaderMap::new();
    let outer = call.request.headers();
    for name in SHARED {
        for value in outer.get_all(name) {
            headers.append(HeaderName::from_static(name), value.clone());
        }
    }
    for (name, field, value) in [
        (IDEMPOTENCY_KEY, "idempotency_key", key),
        (IF_MATCH, "if_match", if_match),
        (PURPOSE, "purpose", purpose),
    ] {
        let Some(value) = value else { continue };
        let wrong = |_| Problem::parameter(field, "it is not visible ASCII");
        let value = HeaderValue::try_from(value).map_err(wrong)?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Problem::new(INTERNAL, "a header has no name"))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn outcome(answer: HttpResponse, trace: &Trace) -> Outcome {
    let status = answer.status().as_u16();
    let header = |name: &'static str| Some((name, answer.headers().get(name)?.to_str().ok()?.to_owned()));
    let headers = OWN.into_iter().filter_map(header).collect();
    let json = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| kind.starts_with("application/") && kind.contains("json"))
    });
    let bytes = answer.into_body().try_into_bytes().ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    let body = match text {
        Some(text) if text.is_empty() => RawValue::from_string("null".to_owned()).ok(),
        Some(text) if json => RawValue::from_string(text).ok(),
        Some(text) => serde_json::value::to_raw_value(&text).ok(),
        None => None,
    };
    match body {
        Some(body) => Outcome { status, headers, body },
        None => outcome(Problem::new(INTERNAL, "the answer cannot be part of a batch").respond(trace), trace),
    }
}
