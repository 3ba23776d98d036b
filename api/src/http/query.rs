//! Queries out: from a query string to rows of a read model, paged, as fresh as the client asks.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::header::{
        CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, LINK, RETRY_AFTER, VARY,
    },
    web,
};
use event_store::{StoreError, StreamId};
use projections::{
    Condition, Op, Page, ProjectionError, Query, QueryError,
    identity::{SecurityPolicies, SecurityPolicyRow},
    query::{sees_positions, shown},
    table::Table,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Api, Call, access,
    command::stream_id,
    days,
    filters::Parameter,
    funnel, nearest,
    pairs::{as_of, number},
    past,
    route::{From, QueryRoute, Shows},
    sieve::Sieve,
};
use crate::problem::{
    AS_OF_UNSUPPORTED, FORBIDDEN, INTERNAL, INVALID_PARAMETER, INVALID_VALUE, NOT_FOUND, Problem, UNAVAILABLE,
};

/// How long a read model is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// The header of a row's answer with the version of its stream, for `If-Match`.
pub const ROW_VERSION: &str = "Annals-Version";
/// How many values a filter may have.
pub(super) const VALUES: usize = 100;

/// Answers a query.
///
/// # Errors
/// Whatever is wrong with the query string, and a row that is not there for the caller.
pub(super) async fn handle(api: &Api, call: &Call<'_>, route: &QueryRoute) -> Result<HttpResponse, Problem> {
    match route.shows {
        Shows::Rows => rows(api, call, route, false).await,
        Shows::One => rows(api, call, route, true).await,
        Shows::Calendar => days::month(api, call, route).await,
        Shows::Day => days::day(api, call, route).await,
        Shows::Funnel => funnel::handle(api, call, route).await,
        Shows::Nearest => nearest::handle(api, call, route).await,
    }
}

async fn rows(api: &Api, call: &Call<'_>, route: &QueryRoute, one: bool) -> Result<HttpResponse, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(call.request.query_string())
        .map_err(|_| Problem::parameter("query", "the query string is malformed"))?
        .into_inner();
    let filters = api.filters.get(route.model).map(Vec::as_slice).unwrap_or_default();
    let mut pairs = pairs;
    let sieve = if one { Sieve::default() } else { Sieve::of(route.model, &mut pairs)? };
    let mut query = read(filters, one, pairs)?;
    query.filters.extend(set_by_route(api, call, route)?);
    let asked = match sieve.is_empty() {
        true => ask(api, call, route, &query).await?,
        false => sieve.page(api, call, route, &query).await?,
    };
    let mut page = match asked {
        Asked::Page(page) => page,
        Asked::NotYet(response) => return Ok(response),
    };
    if one && page.rows.is_empty() && route.model == SecurityPolicies::NAME {
        page.rows.push(shown(&SecurityPolicyRow::built_in(), &query.fields));
    }
    access::log_read(api, call, page.subjects.iter().copied()).await?;
    if query.fields.is_empty() {
        complete(api, route.model, &mut page.rows).await?;
    }
    let body = match (one, page.rows.first()) {
        (true, None) => {
            return Err(Problem::new(NOT_FOUND, "there is no such row, or it is not the caller's"));
        }
        (true, Some(row)) => row.clone(),
        (false, _) => json!({ "items": page.rows, "next": page.next, "position": page.position }),
    };
    let shown = if one { body.to_string() } else { json!([body["items"], body["next"]]).to_string() };
    let mut response = answer(call, route, &shown, &body);
    if let Some(next) = page.next.filter(|_| !one) {
        link_next(call, &next, &mut response);
    }
    if let Some(version) = version(api, call, route, page.position).await? {
        response.headers_mut().insert(HeaderName::from_static("annals-version"), version.into());
    }
    Ok(response)
}

/// The version of the stream of a row's commands, as of what the row shows: for those who may see where in the log it is.
async fn version(
    api: &Api,
    call: &Call<'_>,
    route: &QueryRoute,
    position: u64,
) -> Result<Option<u64>, Problem> {
    let Some((of, id)) = route.stream.filter(|_| call.actor().is_ok_and(sees_positions)) else {
        return Ok(None);
    };
    let stream = StreamId::new(of, stream_id(call, id, None)?.to_string());
    let version = api.commands.store().version_at(&stream, position).await;
    version.map(Some).map_err(|error| failed(&error))
}

/// Tells whole rows what their read model does not know.
///
/// # Errors
/// When the database fails.
pub(super) async fn complete(api: &Api, model: &str, rows: &mut [Value]) -> Result<(), Problem> {
    if model == "api_clients" {
        api.usage.tell(&api.commands, rows).await?;
    }
    Ok(())
}

/// The conditions that the route itself sets, held against what can be asked.
pub(super) fn set_by_route(
    api: &Api,
    call: &Call<'_>,
    route: &QueryRoute,
) -> Result<Vec<Condition>, Problem> {
    let filters = api.filters.get(route.model).map(Vec::as_slice).unwrap_or_default();
    let condition = |(column, from): &(&'static str, From)| {
        let value = call.known(*from)?;
        let known = filters.iter().find(|filter| filter.name == *column);
        if known.is_some_and(|filter| !filter.admits(&value) || filter.column.kind.parse(&value).is_none()) {
            let name = from.parameter().unwrap_or(column);
            return Err(Problem::parameter(name, "the value is not one that it takes"));
        }
        let op = known.map_or(Op::In, |filter| filter.op);
        Ok(Condition { column: (*column).into(), op, values: vec![value] })
    };
    route.only.iter().map(condition).collect()
}

/// What became of a question to a read model.
pub(super) enum Asked {
    /// Its rows.
    Page(Page),
    /// It has not come as far as the client wants to read, which is the answer.
    NotYet(HttpResponse),
}

/// Asks a read model, as fresh as the client wants it.
pub(super) async fn ask(
    api: &Api,
    call: &Call<'_>,
    route: &QueryRoute,
    query: &Query,
) -> Result<Asked, Problem> {
    if query.min_position.is_some() {
        // What can never be answered is not worth waiting for.
        api.projections.check(route.model, call.actor()?, query).map_err(problem)?;
    }
    if let Some(response) = behind(api, route.model, query.min_position).await? {
        return Ok(Asked::NotYet(response));
    }
    let _turn = if past::is_folded(route, query) { Some(api.overload.enter_past().await?) } else { None };
    match api.projections.list(route.model, call.actor()?, query).await {
        Err(QueryError::NotYet { .. }) => Ok(Asked::NotYet(not_yet(query.min_position.unwrap_or_default()))),
        page => page.map(Asked::Page).map_err(problem),
    }
}

/// The answer that a read model has not come as far as the client wants to read, where that is so.
pub(super) async fn behind(
    api: &Api,
    model: &str,
    min_position: Option<u64>,
) -> Result<Option<HttpResponse>, Problem> {
    match min_position {
        Some(position) if !reached(api, model, position).await? => Ok(Some(not_yet(position))),
        _ => Ok(None),
    }
}

/// The same for what is read off the log itself, and is complete up to its end.
pub(super) async fn unrecorded(
    api: &Api,
    min_position: Option<u64>,
) -> Result<Option<HttpResponse>, Problem> {
    match min_position {
        Some(position) if !recorded(api, position).await? => Ok(Some(not_yet(position))),
        _ => Ok(None),
    }
}

/// The answer, tagged by what it shows; none but its tag for a client that has it already.
pub(super) fn answer(call: &Call<'_>, route: &QueryRoute, shown: &str, body: &Value) -> HttpResponse {
    let tag = format!("W/\"{:x}\"", Sha256::digest(shown.as_bytes()))[..36].to_owned() + "\"";
    let unchanged = is_known(call.request.headers(), &tag);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, freshness(route)));
    // Whatever says who calls.
    response.insert_header((VARY, "Authorization, Cookie, X-API-Key"));
    if unchanged { response.finish() } else { response.json(body) }
}

/// What the client asks, held against what can be asked. Anything else in the query string is refused.
pub(super) fn read(filters: &[Parameter], one: bool, pairs: Vec<(String, String)>) -> Result<Query, Problem> {
    let mut query = Query::default();
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in pairs {
        let wrong = |detail: &'static str| Problem::parameter(&name, detail);
        let twice = seen.contains(&name);
        match name.as_str() {
            "fields" | "as_of" | "min_position" | "sort" | "limit" | "after" if twice => {
                return Err(wrong("it is there more than once"));
            }
            "fields" => query.fields = columns(&value).ok_or_else(|| wrong("a column is there twice"))?,
            "as_of" => {
                query.as_of = Some(as_of(&value).ok_or_else(|| wrong("expected a position or RFC 3339"))?)
            }
            "min_position" => {
                query.min_position = Some(number(&value).ok_or_else(|| wrong("expected a position"))?)
            }
            "sort" if !one => query.sort = columns(&value).ok_or_else(|| wrong("a column is there twice"))?,
            "limit" if !one => {
                let limit = number(&value).and_then(|limit| usize::try_from(limit).ok());
                query.limit = Some(limit.ok_or_else(|| wrong("expected a number from 1 to 200"))?);
            }
            "after" if !one => query.after = Some(value),
            _ => {
                let filter = filters.iter().find(|filter| !one && filter.name == name);
                let filter = filter.ok_or_else(|| wrong("there is no such parameter"))?;
                if !filter.admits(&value) {
                    return Err(wrong("the value is not one that it takes"));
                }
                let same =
                    |known: &&mut Condition| known.column == filter.column.name && known.op == filter.op;
                match query.filters.iter_mut().find(same) {
                    Some(_) if !filter.repeats() => return Err(wrong("it is there more than once")),
                    Some(known) if known.values.len() >= VALUES => return Err(wrong("too many values")),
                    Some(known) => known.values.push(value),
                    None => query.filters.push(Condition {
                        column: filter.column.name.to_owned(),
                        op: filter.op,
                        values: vec![value],
                    }),
                }
            }
        }
        seen.push(name);
    }
    Ok(query)
}

/// Columns separated by commas, each of them once.
pub(super) fn columns(text: &str) -> Option<Vec<String>> {
    let mut columns: Vec<String> = Vec::new();
    for column in text.split(',') {
        if columns.iter().any(|known| known == column) {
            return None;
        }
        columns.push(column.to_owned());
    }
    Some(columns)
}

/// Waits for the read model, but not for what is not even in the log.
async fn reached(api: &Api, model: &str, position: u64) -> Result<bool, Problem> {
    if !recorded(api, position).await? {
        return Ok(false);
    }
    api.projections.wait_for(model, position, PATIENCE).await.map_err(|error| failed(&error))
}

/// Whether the log has this position.
async fn recorded(api: &Api, position: u64) -> Result<bool, Problem> {
    let store = api.commands.store();
    let known = *store.subscribe_head().borrow() >= position;
    Ok(known || store.head().await.map_err(|error| failed(&error))?.position >= position)
}

/// 202: the read model, or the log, has not come as far as the client wants to read.
fn not_yet(position: u64) -> HttpResponse {
    let body = json!({
        "status": "not_yet",
        "detail": "what is read has not come to this position yet; ask again",
        "min_position": position,
    });
    HttpResponse::Accepted().insert_header((RETRY_AFTER, "1")).json(body)
}

/// Whether the client has this very answer already. `If-None-Match` compares weakly.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let given = headers.get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|known| known.trim() == "*" || opaque(known) == opaque(tag))
}

/// What a cache may do with the answer. Whatever is about people stays in none, unless the catalogue lets it be used again
/// for a while (4.3); its tag still spares those who remember the answer themselves.
fn freshness(route: &QueryRoute) -> String {
    let mut shapes = projections::read_models().iter().map(|model| model.shape());
    let shape = shapes.find(|shape| shape.name == route.model);
    let personal = shape.is_none_or(|shape| shape.options.about_people || !shape.personal.is_empty());
    match route.max_age {
        0 if personal => "no-store".to_owned(),
        0 => "private, no-cache".to_owned(),
        seconds => format!("private, max-age={seconds}"),
    }
}

/// Links to the same query, after this page (RFC 8288).
pub(super) fn link_next(call: &Call<'_>, cursor: &str, response: &mut HttpResponse) {
    let others = call.request.query_string().split('&').filter(|pair| !pair.is_empty());
    let others: Vec<&str> = others.filter(|pair| !pair.starts_with("after=")).collect();
    let after = format!("after={cursor}");
    let query: Vec<&str> = others.into_iter().chain([&*after]).collect();
    let link = format!("<{}?{}>; rel=\"next\"", call.request.path(), query.join("&"));
    if let Ok(link) = HeaderValue::from_str(&link) {
        response.headers_mut().insert(LINK, link);
    }
}

pub(super) fn problem(error: QueryError) -> Problem {
    let detail = error.to_string();
    match error {
        QueryError::UnknownFilter(name) => {
            Problem::new(INVALID_PARAMETER, "there is no such column to filter by").at(name)
        }
        QueryError::UnknownField(_) => {
            Problem::new(INVALID_PARAMETER, "there is no such column to show").at("fields")
        }
        QueryError::UnknownSort(_) => {
            Problem::new(INVALID_PARAMETER, "there is no such column to sort by").at("sort")
        }
        QueryError::Hidden(name) => Problem::new(FORBIDDEN, "the column is not for this caller").at(name),
        QueryError::BadValue { column, .. } => Problem::new(INVALID_PARAMETER, detail).at(column),
        QueryError::BadLimit => Problem::new(INVALID_PARAMETER, detail).at("limit"),
        QueryError::BadCursor => Problem::new(INVALID_PARAMETER, detail).at("after"),
        // The moment that the client names has not come yet.
        QueryError::AsOfAhead(_) => Problem::new(NOT_FOUND, detail).at("as_of"),
        QueryError::AsOfUnsupported(_) => Problem::new(AS_OF_UNSUPPORTED, detail).at("as_of"),
        QueryError::AsOfTooLarge => Problem::new(INVALID_VALUE, detail).at("as_of"),
        QueryError::NotBuilt(_) | QueryError::NotYet { .. } => {
            Problem::new(UNAVAILABLE, "the read model is being built").retry_after(1)
        }
        QueryError::Failed(error) => failed(&error),
        other => failed(&other),
    }
}

/// The database or a defect; which one, the log says.
pub(super) fn failed(error: &(dyn std::error::Error + 'static)) -> Problem {
    if let Some(ProjectionError::Unreadable { position, reason }) = error.downcast_ref::<ProjectionError>() {
        return Problem::log_unreadable(*position, reason);
    }
    tracing::error!(%error, "a query failed");
    if transient(error) {
        return Problem::new(UNAVAILABLE, "the read models cannot be reached").retry_after(1);
    }
    Problem::new(INTERNAL, "the query failed")
}

fn transient(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<StoreError>().is_some_and(StoreError::is_transient)
        || error.downcast_ref::<ProjectionError>().is_some_and(ProjectionError::is_transient)
}

#[cfg(test)]
mod tests {
    use projections::read_models;

    use super::*;
    use crate::http::filters;

    fn asked(one: bool, text: &str) -> Result<Query, Problem> {
        let model = read_models().iter().find(|known| known.shape().name == "org_directory").unwrap();
        let filters = filters::parameters(model.shape(), &mut filters::generator());
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text).unwrap().into_inner();
        read(&filters, one, pairs)
    }

    #[test]
    fn a_query_string_becomes_a_query() {
        let query =
            asked(false, "kind=institution&kind=faculty&name.search=pitt+state&sort=-code&limit=7").unwrap();
        let condition = |column: &str, op, values: &[&str]| Condition {
            column: column.into(),
            op,
            values: values.iter().map(|value| (*value).into()).collect(),
        };
        let kinds = condition("kind", Op::In, &["institution", "faculty"]);
        assert_eq!(query.filters, [kinds, condition("name", Op::Search, &["pitt state"])]);
        assert_eq!((query.sort, query.limit), (vec!["-code".to_owned()], Some(7)));
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_name() {
        for (one, text, name) in [
            (false, "colour=red", "colour"),
            (false, "kind=castle", "kind"),
            (false, "kind.from=institution", "kind.from"),
            (false, "limit=1&limit=2", "limit"),
            (false, "limit=-1", "limit"),
            (false, "sort=code,name,code", "sort"),
            (false, "min_position=soon", "min_position"),
            (false, "as_of=yesterday", "as_of"),
            (false, "name.search=a&name.search=b", "name.search"),
            (true, "kind=institution", "kind"),
            (true, "limit=1", "limit"),
        ] {
            let problem = format!("{:?}", asked(one, text).unwrap_err());
            assert!(problem.contains(&format!("Some({name:?})")), "{text}: {problem}");
        }
    }

    #[test]
    fn an_outage_is_no_defect_whoever_met_it() {
        let of_log = |error: sqlx::Error| failed(&StoreError::Database(error)).code();
        let of_rows = |error: sqlx::Error| failed(&ProjectionError::Database(error)).code();
        for told in [of_log(sqlx::Error::WorkerCrashed), of_rows(sqlx::Error::WorkerCrashed)] {
            assert_eq!(told, "Unavailable");
        }
        for told in [of_log(sqlx::Error::RowNotFound), of_rows(sqlx::Error::RowNotFound)] {
            assert_eq!(told, "Internal");
        }
    }

    #[test]
    fn a_client_that_has_the_answer_is_not_sent_it_again() {
        use actix_web::http::header::HeaderValue;
        let known = |given: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(given));
            is_known(&headers, "W/\"a\"")
        };
        assert!(known("W/\"a\"") && known("\"b\", \"a\"") && known("*"));
        assert!(!known("\"b\"") && !is_known(&HeaderMap::new(), "W/\"a\""));
    }
}
