//! What Prometheus scrapes. Labels are route templates, command and model names, codes: never an id or a value.

use std::time::Instant;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

/// The media type of the exposition.
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// Upper bounds of latencies in seconds: a command takes milliseconds, a slow query some hundred.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];

/// All metrics of this node.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    latency: HistogramVec,
    limited: IntCounterVec,
    /// Refusals that were not put on record because there were many of the same caller.
    pub unrecorded: IntCounter,
    commands: IntCounterVec,
    appends: HistogramVec,
    /// Requests that are being answered.
    pub in_flight: IntGauge,
    /// How many requests may be under way at once, by kind.
    pub under_way_limit: IntGaugeVec,
    /// Requests that were refused because too many were under way, by kind.
    pub overloaded: IntGaugeVec,
    /// Clients of the event stream.
    pub streams: IntGauge,
    /// The last position of the log.
    pub head: IntGauge,
    /// The last position that this node's notary has signed.
    pub signed: IntGauge,
    /// Whether this node's notary refuses to sign.
    pub refused: IntGauge,
    /// The position of each read model.
    pub model_position: IntGaugeVec,
    /// How many positions each read model is behind the log.
    pub model_lag: IntGaugeVec,
    /// Whether a read model is parked at an event that it cannot fold.
    pub model_parked: IntGaugeVec,
    /// Events that this node's follower took, by where they came from.
    pub followed: IntGaugeVec,
    /// What was wrong with NATS's deliveries.
    pub nats_faults: IntGaugeVec,
    /// The position of each policy.
    pub policy_position: IntGaugeVec,
    /// How many positions each policy is behind the log.
    pub policy_lag: IntGaugeVec,
    /// Database connections, by state.
    pub pool: IntGaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            kept(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str| kept(&registry, IntGauge::new(name, help));
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            kept(&registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
            kept(&registry, HistogramVec::new(options, labels))
        };
        Metrics {
            requests: counters(
                "annals_http_requests_total",
                "Requests by route and status class.",
                &["method", "route", "status"],
            ),
            latency: histograms(
                "annals_http_request_duration_seconds",
                "From the request to the head of the answer.",
                &["method", "route"],
            ),
            limited: counters(
                "annals_http_requests_limited_total",
                "Requests over a limit of calls, by class.",
                &["class"],
            ),
            unrecorded: kept(
                &registry,
                IntCounter::new(
                    "annals_http_refusals_unrecorded_total",
                    "Refusals that were not put on record because there were many of the same caller.",
                ),
            ),
            commands: counters(
                "annals_commands_total",
                "Commands by outcome: accepted, or the code of the problem.",
                &["aggregate", "command", "outcome"],
            ),
            appends: histograms(
                "annals_command_duration_seconds",
                "From a command to the acknowledged append, or to the refusal.",
                &["aggregate"],
            ),
            in_flight: gauge("annals_http_requests_in_flight", "Requests that are being answered."),
            under_way_limit: gauges(
                "annals_http_requests_under_way_limit",
                "Requests that may be under way at once.",
                &["kind"],
            ),
            overloaded: gauges(
                "annals_http_requests_overloaded",
                "Requests refused because too many were under way.",
                &["kind"],
            ),
            streams: gauge("annals_stream_clients", "Clients of the event stream."),
            head: gauge("annals_log_head_position", "The last position of the log."),
            signed: gauge("annals_notary_signed_position", "The last position that was signed."),
            refused: gauge("annals_notary_refused", "1 where the log is not what was signed."),
            model_position: gauges("annals_projection_position", "How far a read model is.", &["model"]),
            model_lag: gauges(
                "annals_projection_lag_positions",
                "How far a read model is behind.",
                &["model"],
            ),
            model_parked: gauges(
                "annals_projection_parked",
                "1 where a read model is parked at an event that it cannot fold.",
                &["model"],
            ),
            followed: gauges("annals_projection_events", "Events followed, by source.", &["source"]),
            nats_faults: gauges("annals_nats_faults", "What was wrong with deliveries by NATS.", &["fault"]),
            policy_position: gauges("annals_policy_position", "How far a policy is.", &["policy"]),
            policy_lag: gauges("annals_policy_lag_positions", "How far a policy is behind.", &["policy"]),
            pool: gauges("annals_database_connections", "Connections for reading.", &["state"]),
            registry,
        }
    }

    /// Notes an answered request.
    pub fn request(&self, method: &str, route: &str, status: u16, begun: Instant) {
        let class = match status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.with_label_values(&[method, route, class]).inc();
        self.latency.with_label_values(&[method, route]).observe(begun.elapsed().as_secs_f64());
    }

    /// Notes a request that was over the limit of its class.
    pub fn limited(&self, class: &str) {
        self.limited.with_label_values(&[class]).inc();
    }

    /// Starts the clock of a command.
    pub fn command<'a>(&'a self, aggregate: &'a str, command: &'a str) -> CommandTimer<'a> {
        CommandTimer { metrics: self, aggregate, command, begun: Instant::now() }
    }

    /// The exposition.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// Names are literals of this file: a bad or a repeated one shows in the first test.
fn kept<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("a metric's name is well-formed");
    registry.register(Box::new(metric.clone())).expect("a metric's name is its own");
    metric
}

/// A command under way.
pub struct CommandTimer<'a> {
    metrics: &'a Metrics,
    aggregate: &'a str,
    command: &'a str,
    begun: Instant,
}

impl CommandTimer<'_> {
    /// Notes how it ended.
    pub fn done(self, outcome: &str) {
        let Self { metrics, aggregate, command, begun } = self;
        metrics.commands.with_label_values(&[aggregate, command, outcome]).inc();
        metrics.appends.with_label_values(&[aggregate]).observe(begun.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_exposed() {
        let metrics = Metrics::new();
        metrics.request("POST", "/v1/orgs", 201, Instant::now());
        metrics.command("identity.org_unit", "CreateOrgUnit").done("accepted");
        metrics.model_lag.with_label_values(&["orgs"]).set(3);
        let text = metrics.render();
        for line in [
            r#"annals_http_requests_total{method="POST",route="/v1/orgs",status="2xx"} 1"#,
            r#"annals_commands_total{aggregate="identity.org_unit",command="CreateOrgUnit",outcome="accepted"} 1"#,
            r#"annals_projection_lag_positions{model="orgs"} 3"#,
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
