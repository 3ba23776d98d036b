//! What can be done next with a stream that a route has just begun, whose id only the answer tells: OpenAPI's links, from the
//! 201 to every command of that aggregate and to the rows that show it.

use commands::Catalog;
use projections::ReadModel;
use serde_json::{Map, Value, json};

use super::operation_id;
use crate::http::{CommandRoute, From, IdFrom, Operation, Route, Shows};

/// Links to all operations on a stream that a parameter of their path names, by name.
pub(super) fn all(catalog: &Catalog, models: &[&dyn ReadModel], routes: &[Route]) -> Map<String, Value> {
    let aggregates = 0..catalog.aggregates.len();
    aggregates.flat_map(|aggregate| leading(catalog, models, routes, aggregate)).collect()
}

/// The references to those that lead on from a route that begins a stream; none from others.
pub(super) fn onward(
    catalog: &Catalog,
    models: &[&dyn ReadModel],
    routes: &[Route],
    from: &CommandRoute,
) -> Map<String, Value> {
    if from.id != IdFrom::New {
        return Map::new();
    }
    let reference = |name: String| json!({ "$ref": format!("#/components/links/{name}") });
    let links = leading(catalog, models, routes, from.aggregate);
    links.map(|(name, _)| (name.clone(), reference(name))).collect()
}

fn leading<'a>(
    catalog: &'a Catalog,
    models: &'a [&dyn ReadModel],
    routes: &'a [Route],
    aggregate: usize,
) -> impl Iterator<Item = (String, Value)> + 'a {
    routes.iter().filter_map(move |route| {
        let parameter = id_of(catalog, models, route, aggregate)?;
        // Whatever else the path asks for, the answer does not tell.
        if route.parameters().ne([parameter]) {
            return None;
        }
        let operation = operation_id(route);
        let link = json!({ "operationId": &operation, "parameters": { parameter: "$response.body#/id" } });
        Some((operation, link))
    })
}

/// The parameter that names a stream of this aggregate, where the route has one.
fn id_of(
    catalog: &Catalog,
    models: &[&dyn ReadModel],
    route: &Route,
    aggregate: usize,
) -> Option<&'static str> {
    match &route.operation {
        Operation::Command(CommandRoute { aggregate: of, id: IdFrom::Path(name), .. })
            if *of == aggregate =>
        {
            Some(name)
        }
        Operation::Query(query) if query.shows == Shows::One => {
            let shape = models.iter().map(|model| model.shape()).find(|shape| shape.name == query.model)?;
            let r#type = &catalog.aggregates[aggregate].aggregate_type;
            let id = shape.options.stream_column.filter(|_| shape.fed_by.contains(r#type))?;
            query.only.iter().find_map(|(column, from)| match from {
                From::Path(name) if *column == id => Some(*name),
                _ => None,
            })
        }
        _ => None,
    }
}
