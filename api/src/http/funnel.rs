//! The funnel of a scholarship: sums, which tell of nobody alone whoever may not see single applications.

use actix_web::HttpResponse;
use projections::{Condition, Op, Query, opportunities::FunnelPart};
use serde_json::json;

use super::{Api, Call, call::forbidden, pairs::Pairs, query, route::QueryRoute};
use crate::problem::{NOT_FOUND, Problem};

/// Sums up the applications for a scholarship that the caller can see.
pub(super) async fn handle(api: &Api, call: &Call<'_>, route: &QueryRoute) -> Result<HttpResponse, Problem> {
    let mut pairs = Pairs::of(call.request)?;
    let part = FunnelPart { periods: pairs.texts("period")?, majors: pairs.texts("major")? };
    let min_position = pairs.number("min_position")?;
    pairs.done()?;
    let actor = call.actor()?;
    if !actor.has_somewhere("manage:scholarships") && !actor.has("read:analytics") {
        return Err(forbidden());
    }
    let scholarship = call.id("id")?;
    if part.periods.len().max(part.majors.len()) > query::VALUES {
        return Err(Problem::parameter("period", "too many values"));
    }
    for model in [route.model, SCHOLARSHIPS] {
        if let Some(not_yet) = query::behind(api, model, min_position).await? {
            return Ok(not_yet);
        }
    }
    let known = Condition { column: "id".into(), op: Op::In, values: vec![scholarship.to_string()] };
    let known = Query { filters: vec![known], fields: vec!["id".into()], ..Query::default() };
    let known = api.projections.list(SCHOLARSHIPS, actor, &known).await.map_err(query::problem)?;
    if known.rows.is_empty() {
        return Err(Problem::new(
            NOT_FOUND,
            "there is no such scholarship, or it is not the caller's to see",
        ));
    }
    let funnel = api.projections.funnel(actor, scholarship, &part).await.map_err(query::problem)?;
    // Whose role is within another org unit.
    let body = json!(funnel.ok_or_else(forbidden)?);
    Ok(query::answer(call, route, &body.to_string(), &body))
}

/// Who may see a scholarship may see its sums.
const SCHOLARSHIPS: &str = "scholarships";
