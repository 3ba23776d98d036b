//! The days of a budget's month: the read model keeps the days of a category together, people ask for the categories of a
//! day.

use actix_web::HttpResponse;
use projections::{
    Condition, Op, Query,
    budgeting::{Day, shown_days},
    query::LIMIT_MAX,
};
use serde_json::json;

use super::{
    Api, Call, access,
    pairs::Pairs,
    query::{self, Asked},
    route::QueryRoute,
};
use crate::problem::{NOT_FOUND, Problem};

/// The days of a month; none where it has no budget.
pub(super) async fn month(api: &Api, call: &Call<'_>, route: &QueryRoute) -> Result<HttpResponse, Problem> {
    let (days, position) = match days(api, call, route).await? {
        Ok(days) => days,
        Err(not_yet) => return Ok(not_yet),
    };
    let body = json!({ "items": days, "position": position });
    Ok(query::answer(call, route, &body["items"].to_string(), &body))
}

/// One day.
pub(super) async fn day(api: &Api, call: &Call<'_>, route: &QueryRoute) -> Result<HttpResponse, Problem> {
    let (days, _) = match days(api, call, route).await? {
        Ok(days) => days,
        Err(not_yet) => return Ok(not_yet),
    };
    // Whatever is no date was refused with the route's conditions.
    let date: Option<jiff::civil::Date> = call.parameter("date").parse().ok();
    let day = days.into_iter().find(|day| Some(day.date) == date);
    let day = day.ok_or_else(|| Problem::new(NOT_FOUND, "there is no budget for this day"))?;
    let body = json!(day);
    Ok(query::answer(call, route, &body.to_string(), &body))
}

/// The days, and the position of the log that they show; or the answer that the read model has not come so far.
async fn days(
    api: &Api,
    call: &Call<'_>,
    route: &QueryRoute,
) -> Result<Result<(Vec<Day>, u64), HttpResponse>, Problem> {
    let mut pairs = Pairs::of(call.request)?;
    let categories = pairs.texts("category")?;
    let mut query = Query {
        as_of: pairs.as_of("as_of")?,
        min_position: pairs.number("min_position")?,
        limit: Some(LIMIT_MAX),
        ..Query::default()
    };
    pairs.done()?;
    query.filters = query::set_by_route(api, call, route)?;
    if categories.len() > query::VALUES {
        return Err(Problem::parameter("category", "too many values"));
    }
    if !categories.is_empty() {
        query.filters.push(Condition { column: "category".into(), op: Op::In, values: categories });
    }
    let (mut rows, mut shown) = (Vec::new(), u64::MAX);
    loop {
        let page = match query::ask(api, call, route, &query).await? {
            Asked::Page(page) => page,
            Asked::NotYet(response) => return Ok(Err(response)),
        };
        access::log_read(api, call, page.subjects.iter().copied()).await?;
        rows.extend(page.rows);
        shown = shown.min(page.position);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(Ok((shown_days(&rows), shown))),
        }
    }
}
