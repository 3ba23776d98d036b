//! Queries as of a moment. One that names no stream is folded from the whole log up to then, which takes as long as the log
//! is: it counts as many calls, and of those that are no more under way at once than there are processors.

use actix_web::web;
use projections::{Op, Query, Shape};

use super::{Incoming, Operation, QueryRoute, Route};

/// How many calls one counts as that is folded from the whole log.
const FOLDED: u32 = 10;

/// How many calls a request of a route counts as.
pub(super) fn calls(request: &Incoming<'_>, route: &Route) -> u32 {
    match &route.operation {
        Operation::Query(query) if is_asked_for(query, request.query_string()) => FOLDED,
        _ => 1,
    }
}

/// Whether a query string asks for what is folded from the whole log.
fn is_asked_for(route: &QueryRoute, asked: &str) -> bool {
    if asked.is_empty() {
        return false;
    }
    let pairs = web::Query::<Vec<(String, String)>>::from_query(asked);
    let pairs = pairs.map(web::Query::into_inner).unwrap_or_default();
    let has = |wanted: &str| pairs.iter().any(|(name, _)| name == wanted);
    // A parameter of the column's own name asks for its value.
    let names = |stream: &str| has(stream) || route.only.iter().any(|(column, _)| *column == stream);
    has("as_of") && keeps_its_past(route, names)
}

/// Whether a query is folded from the whole log.
pub(super) fn is_folded(route: &QueryRoute, query: &Query) -> bool {
    let names = |stream: &str| {
        query.filters.iter().any(|condition| condition.column == stream && condition.op == Op::In)
    };
    query.as_of.is_some() && keeps_its_past(route, names)
}

/// Whether a read model is folded for a moment, and that from more than the streams that are named.
fn keeps_its_past(route: &QueryRoute, names: impl Fn(&str) -> bool) -> bool {
    let mut shapes = projections::read_models().iter().map(|model| model.shape());
    let shape: Option<&Shape> = shapes.find(|shape| shape.name == route.model);
    let options = shape.map(|shape| shape.options);
    options.is_some_and(|options| options.time_travel && !options.stream_column.is_some_and(names))
}

#[cfg(test)]
mod tests {
    use commands::Catalog;

    use super::*;
    use crate::http::routes;

    fn asks(template: &str, asked: &str) -> bool {
        let routes = routes(&Catalog::new());
        let route = routes.iter().find_map(|route| match &route.operation {
            Operation::Query(query) if route.template == template => Some(query),
            _ => None,
        });
        is_asked_for(route.unwrap(), asked)
    }

    #[test]
    fn a_list_as_of_a_moment_is_folded_from_the_whole_log() {
        for asked in ["as_of=7", "kind=faculty&as%5Fof=7", "as_of=7&org_id.from=7"] {
            assert!(asks("/v1/orgs", asked), "{asked}");
        }
        assert!(!asks("/v1/orgs", "kind=faculty") && !asks("/v1/orgs", ""));
    }

    #[test]
    fn a_row_as_of_a_moment_is_folded_from_its_own_stream() {
        assert!(!asks("/v1/orgs", "as_of=7&org_id=00000000-0000-0000-0000-000000000001"));
        assert!(!asks("/v1/orgs/{id}", "as_of=7"));
        assert!(!asks("/v1/budget/calendar/{month}", "as_of=7"));
    }

    #[test]
    fn what_was_built_as_of_a_moment_is_read_as_it_is() {
        assert!(!asks("/v1/transactions", "as_of=7"));
    }
}
