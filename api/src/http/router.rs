//! From a method and a path to a route. Routes are data: the same list is the router, what is authorised and OpenAPI.
//!
//! A path is a tree of segments. A literal segment wins over a parameter, so `/v1/users/me` is never an id.

use std::collections::HashMap;

use actix_web::http::Method;

/// Routes by path and method; `R` is what a route is.
pub struct Router<R> {
    root: Node,
    routes: Vec<R>,
}

#[derive(Default)]
struct Node {
    literals: HashMap<String, Node>,
    parameter: Option<Box<Node>>,
    /// The routes of this very path, by method.
    methods: Vec<(Method, usize)>,
}

/// A route that was found, and the values of its parameters in the order of its template.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'r, 'p, R> {
    /// The route.
    pub route: &'r R,
    /// The values of the template's parameters, in order.
    pub values: Vec<&'p str>,
}

/// Why no route was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Missed {
    /// No route has this path.
    Path,
    /// The path takes other methods: these.
    Method(String),
}

impl<R> Default for Router<R> {
    fn default() -> Self {
        Router { root: Node::default(), routes: Vec::new() }
    }
}

impl<R> Router<R> {
    /// Adds a route. A template is `/v1/orgs/{id}`.
    ///
    /// # Panics
    /// When the path has that method already: two routes would be one.
    pub fn add(&mut self, method: Method, template: &str, route: R) {
        let mut node = &mut self.root;
        for segment in segments(template) {
            node = match segment.strip_prefix('{') {
                Some(_) => node.parameter.get_or_insert_default(),
                None => node.literals.entry(segment.to_owned()).or_default(),
            };
        }
        assert!(node.methods.iter().all(|(taken, _)| *taken != method), "{method} {template} is there twice");
        node.methods.push((method, self.routes.len()));
        self.routes.push(route);
    }

    /// All routes, in the order in which they were added.
    pub fn routes(&self) -> &[R] {
        &self.routes
    }

    /// The route of a method and a path. `HEAD` is `GET` without a body.
    ///
    /// # Errors
    /// When no route has the path, or the path does not take the method.
    pub fn find<'r, 'p>(&'r self, method: &Method, path: &'p str) -> Result<Found<'r, 'p, R>, Missed> {
        let segments: Vec<&str> = segments(path).collect();
        let mut values = Vec::new();
        let node = self.root.walk(&segments, &mut values).ok_or(Missed::Path)?;
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        match node.methods.iter().find(|(taken, _)| taken == wanted) {
            Some((_, index)) => Ok(Found { route: &self.routes[*index], values }),
            None => Err(Missed::Method(node.allowed())),
        }
    }
}

impl Node {
    /// The node of a path that has a route. A literal that leads nowhere is tried as a parameter.
    fn walk<'p>(&self, segments: &[&'p str], values: &mut Vec<&'p str>) -> Option<&Node> {
        let Some((segment, rest)) = segments.split_first() else {
            return (!self.methods.is_empty()).then_some(self);
        };
        if let Some(found) = self.literals.get(*segment).and_then(|node| node.walk(rest, values)) {
            return Some(found);
        }
        let parameter = self.parameter.as_ref().filter(|_| !segment.is_empty())?;
        values.push(segment);
        let found = parameter.walk(rest, values);
        if found.is_none() {
            values.pop();
        }
        found
    }

    fn allowed(&self) -> String {
        let mut methods: Vec<&str> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.join(", ")
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router<&'static str> {
        let mut router = Router::default();
        for (method, template) in [
            (Method::GET, "/v1/orgs"),
            (Method::POST, "/v1/orgs"),
            (Method::GET, "/v1/orgs/{id}"),
            (Method::GET, "/v1/users/me/profile"),
            (Method::GET, "/v1/users/{id}/history"),
        ] {
            router.add(method, template, template);
        }
        router
    }

    #[test]
    fn a_path_leads_to_its_route_and_its_values() {
        let router = router();
        let found = router.find(&Method::GET, "/v1/orgs/7").unwrap();
        assert_eq!((*found.route, found.values), ("/v1/orgs/{id}", vec!["7"]));
    }

    #[test]
    fn a_literal_wins_and_is_a_value_only_where_it_leads_nowhere() {
        let router = router();
        assert!(router.find(&Method::GET, "/v1/users/me/profile").unwrap().values.is_empty());
        assert_eq!(router.find(&Method::GET, "/v1/users/me/history").unwrap().values, ["me"]);
    }

    #[test]
    fn a_path_that_nobody_has_is_told_from_a_method_that_it_does_not_take() {
        let router = router();
        let missed = |method, path| router.find(&method, path).unwrap_err();
        assert_eq!(missed(Method::DELETE, "/v1/orgs"), Missed::Method("GET, HEAD, POST".into()));
        for path in ["/v1/orgs/", "/v1/orgs/7/8", "/", "", "/v1", "//v1/orgs", "/v1/users//history"] {
            assert_eq!(missed(Method::GET, path), Missed::Path, "{path}");
        }
    }

    #[test]
    fn head_is_get_without_a_body() {
        assert_eq!(*router().find(&Method::HEAD, "/v1/orgs").unwrap().route, "/v1/orgs");
    }

    #[test]
    #[should_panic(expected = "is there twice")]
    fn two_routes_cannot_share_a_path_and_a_method() {
        let mut router = router();
        router.add(Method::GET, "/v1/orgs/{org}", "again");
    }
}
