//! `POST /v1/graphql`: the queries of the API, several in one request and no more of each row than is wanted.
//!
//! A root field stands for one query (`orgs` for `GET /v1/orgs`) and is asked as if it had been sent alone: the same
//! authorisation, the same limits, the same records of who saw what. What that query answers is all that there is to answer
//! with here; what it refuses is an error whose `extensions` are the problem (RFC 9457).
//!
//! Over HTTP it is as <https://graphql.github.io/graphql-over-http/draft/> says: JSON by POST, no lists of requests.

mod asked;
mod document;
mod nodes;
mod scalar;
mod shape;

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    body::MessageBody,
    http::{
        StatusCode,
        header::{ACCEPT, HeaderMap, VARY},
    },
    web,
};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream};
use juniper::Variables;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json, value::RawValue};

pub use self::document::Graph;
use self::{asked::Asked, document::Refusal, scalar::Scalar};
use super::{
    Api, Call,
    access::purpose,
    batch::{self, AT_ONCE},
    body::Body,
};
use crate::problem::{INTERNAL, MALFORMED, Problem, UNAVAILABLE};

/// The media type of an answer whose status tells how it went.
pub const MEDIA_TYPE: &str = "application/graphql-response+json";
/// The media type of all other answers.
const JSON: &str = "application/json";

/// A request in GraphQL.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GraphqlRequest {
    /// The document: one query, or several of which `operationName` names one.
    query: String,
    /// Which of its queries is asked.
    #[serde(default)]
    operation_name: Option<String>,
    /// The values of its variables.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Json>>")]
    variables: Option<Variables<Scalar>>,
    /// Nothing that is known here.
    #[serde(default, rename = "extensions")]
    _extensions: Option<Map<String, Json>>,
}

/// Answers what is asked in GraphQL.
///
/// # Errors
/// What is no request. What is wrong with its document, or refused to one of its root fields, is among the errors of the
/// answer.
pub(super) async fn handle(
    api: &web::Data<Api>,
    call: &Call<'_>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    if !call.request.query_string().is_empty() {
        return Err(Problem::parameter("query", "what is asked stands in the body"));
    }
    // For what is asked; where nothing can be, it is wrong all the same.
    purpose(call.request)?;
    let text = body.fields(call.request, api.body_limit().await).await?;
    let GraphqlRequest { query, operation_name, variables, .. } = read(&text)?;
    let read = api.graphql.read(&query, operation_name.as_deref(), variables.unwrap_or_default());
    let (document, asked) = match read {
        Ok(read) => read,
        Err(refusals) => return Ok(refused(call, refusals)),
    };
    let answers: HashMap<_, _> =
        stream::iter(asked).map(|asked| answered(api, call, asked)).buffered(AT_ONCE).collect().await;
    match api.graphql.answer(&document, answers) {
        Ok(body) => Ok(told(call, StatusCode::OK, &body)),
        Err(refusals) => Ok(refused(call, refusals)),
    }
}

fn read(text: &RawValue) -> Result<GraphqlRequest, Problem> {
    let mut reader = serde_json::Deserializer::from_str(text.get());
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field: String = error.path().to_string().chars().take(200).collect();
        Problem::new(MALFORMED, "expected a request in GraphQL: see the schema").at(field)
    })
}

/// What a root field is answered, under its name: a value, or a problem. It is boxed: its way is the one that the document
/// itself came.
fn answered<'a>(
    api: &'a web::Data<Api>,
    call: &'a Call<'_>,
    asked: Asked,
) -> LocalBoxFuture<'a, (String, Result<Json, Json>)> {
    async move {
        let (key, template) = (asked.key.clone(), asked.template.clone());
        let answer = match asked.uri() {
            Ok(uri) => batch::query(api, call, &uri, &template).await,
            Err(problem) => Err(problem),
        };
        (key, answer.and_then(value).map_err(|problem| problem.body(call.trace)))
    }
    .boxed_local()
}

fn value(answer: HttpResponse) -> Result<Json, Problem> {
    let status = answer.status();
    let bytes = answer.into_body().try_into_bytes().ok();
    let body: Option<Json> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match (status, body) {
        (StatusCode::OK, Some(body)) => Ok(body),
        (StatusCode::ACCEPTED, Some(body)) => {
            let detail = "the read model has not come to this position yet; ask again";
            Err(Problem::new(UNAVAILABLE, detail)
                .at("min_position")
                .with(json!({ "min_position": body["min_position"] })))
        }
        _ => Err(Problem::new(INTERNAL, "the answer cannot be part of another one")),
    }
}

/// 400 where the client understands it, with the problem in each error.
fn refused(call: &Call<'_>, refusals: Vec<Refusal>) -> HttpResponse {
    let errors = refusals.into_iter().map(|Refusal { message, locations }| {
        let problem = Problem::new(MALFORMED, message.clone()).at("query").body(call.trace);
        match locations.is_empty() {
            true => json!({ "message": message, "extensions": problem }),
            false => json!({ "message": message, "locations": locations, "extensions": problem }),
        }
    });
    let body = json!({ "errors": errors.collect::<Vec<_>>() });
    let status =
        if media_type(call.request.headers()) == JSON { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    told(call, status, &body)
}

fn told(call: &Call<'_>, status: StatusCode, body: &Json) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((VARY, "Accept, Authorization, Cookie, X-API-Key"))
        .content_type(media_type(call.request.headers()))
        .body(body.to_string())
}

/// What the client takes: plain JSON unless it says that it knows GraphQL's own.
fn media_type(headers: &HeaderMap) -> &'static str {
    let given = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let mut kinds = given.flat_map(|value| value.split(',')).filter_map(|kind| kind.split(';').next());
    if kinds.any(|kind| kind.trim().eq_ignore_ascii_case(MEDIA_TYPE)) { MEDIA_TYPE } else { JSON }
}
