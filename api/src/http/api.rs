//! What every request needs, shared by all workers.

use std::{collections::HashMap, sync::Arc};

use commands::{
    Catalog, Commands,
    ports::{Certifier, Mailer, Ports},
};
use event_store::integrity::Directory;
use projections::Projections;
use uuid::Uuid;

use super::{
    Operation, Overload, Route, Router,
    documents::Documents,
    filters::{self, Parameter},
    graphql::Graph,
    identity::Usage,
    limits::Limiter,
    nearest::Nearest,
    routes,
    stream::Hub,
};
use crate::{
    auth::{Credentials, Gate, SigningKeys, Standing},
    metrics::Metrics,
    openapi,
    vitals::Vitals,
    wiring::Limits,
};

/// What every request needs. Made once, by the wiring.
pub struct Api {
    /// Every command and event.
    pub catalog: Catalog,
    /// Issues commands.
    pub commands: Commands,
    /// Answers queries.
    pub projections: Projections,
    /// What can be asked of each read model.
    pub filters: HashMap<&'static str, Vec<Parameter>>,
    /// Tells what is alike.
    pub nearest: Nearest,
    /// What was signed of the log.
    pub log: Directory,
    /// Verifies tokens.
    pub keys: SigningKeys,
    /// Turns secrets into what may be stored of them.
    pub credentials: Credentials,
    /// Whether what a token says still holds.
    pub standing: Standing,
    /// Sends what is mailed at once.
    pub(super) mailer: Arc<dyn Mailer>,
    /// Signs what is handed out.
    pub(super) certifier: Arc<dyn Certifier>,
    /// How often callers call.
    pub(super) limiter: Limiter,
    /// How much clients call.
    pub(super) usage: Usage,
    /// Finds routes.
    pub router: Router<Route>,
    /// What Prometheus scrapes.
    pub metrics: Metrics,
    /// The events as they are recorded.
    pub stream: Hub,
    /// How this node is.
    pub vitals: Vitals,
    /// What everybody may read.
    pub(super) documents: Documents,
    /// The queries as GraphQL has them.
    pub(super) graphql: Graph,
    /// How many requests are under way, and how many may be.
    pub overload: Overload,
    /// How much of what this node takes.
    pub limits: Limits,
    pub(super) fingerprint_key: [u8; 32],
    /// Where a new aggregate can be read, by its type.
    locations: HashMap<&'static str, String>,
}

impl Api {
    /// Brings together what the wiring made.
    pub fn new(
        commands: Commands,
        projections: Projections,
        ports: &Ports,
        log: Directory,
        gate: Gate,
        vitals: Vitals,
        limits: Limits,
    ) -> Arc<Self> {
        let Gate { keys, credentials } = gate;
        let catalog = Catalog::new();
        let routes = routes(&catalog);
        let described = openapi::document(&catalog, projections.models(), &routes);
        let documents = Documents::new(&described, &catalog);
        let graphql = Graph::new(&described, &routes);
        let locations = locations(&catalog, &routes);
        let mut router = Router::default();
        for route in routes {
            router.add(route.method.clone(), &route.template.clone(), route);
        }
        let mut schemas = filters::generator();
        let shapes = projections.models().iter().map(|model| model.shape());
        let filters = shapes.map(|shape| (shape.name, filters::parameters(shape, &mut schemas))).collect();
        Arc::new(Api {
            stream: Hub::start(commands.store().clone(), projections.clone()),
            fingerprint_key: keys.derive_lasting("idempotency fingerprints"),
            standing: Standing::start(commands.clone()),
            limiter: Limiter::start(commands.store().clone(), keys.derive_lasting("rate limits")),
            usage: Usage::start(commands.clone()),
            credentials,
            metrics: Metrics::new(),
            catalog,
            commands,
            projections,
            filters,
            nearest: Nearest::new(Arc::clone(&ports.embedding)),
            mailer: Arc::clone(&ports.mailer),
            certifier: Arc::clone(&ports.certifier),
            log,
            keys,
            router,
            vitals,
            documents,
            graphql,
            overload: Overload::new(limits.requests, limits.aim),
            limits,
            locations,
        })
    }

    /// Brings the gauges up to date.
    pub fn measure(&self) {
        self.vitals.measure(&self.metrics);
        self.metrics.in_flight.set(i64::try_from(self.overload.under_way()).unwrap_or(i64::MAX));
        for (kind, limit, refused) in self.overload.lanes() {
            self.metrics.under_way_limit.with_label_values(&[kind]).set(limit.into());
            let refused = i64::try_from(refused).unwrap_or(i64::MAX);
            self.metrics.overloaded.with_label_values(&[kind]).set(refused);
        }
    }

    /// The most bytes that a body may have (IDN-P2).
    pub(super) async fn body_limit(&self) -> usize {
        let said = self.standing.policy().await.ok().and_then(|policy| policy.max_body_bytes);
        said.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(self.limits.body)
    }

    /// Where a new aggregate can be read, if its rows have a path of their own.
    pub fn location(&self, aggregate_type: &str, id: Uuid) -> Option<String> {
        Some(self.locations.get(aggregate_type)?.replace("{id}", &id.to_string()))
    }
}

/// The paths `/…/{id}` that can be read, each for the aggregate whose creating command is at `/…`.
fn locations(catalog: &Catalog, routes: &[Route]) -> HashMap<&'static str, String> {
    let readable = |template: &str| {
        routes
            .iter()
            .any(|route| route.template == template && matches!(route.operation, Operation::Query(_)))
    };
    let mut locations = HashMap::new();
    for route in routes {
        let Operation::Command(command) = &route.operation else { continue };
        let own = format!("{}/{{id}}", route.template);
        if command.id == super::IdFrom::New && readable(&own) {
            locations.insert(catalog.aggregates[command.aggregate].aggregate_type, own);
        }
    }
    locations
}
