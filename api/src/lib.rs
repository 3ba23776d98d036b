//! The service: configuration, the servers it runs on, and what it offers over HTTP. The only crate that wires all
//! others together. What must never live here: a business rule, or SQL of the log.

pub mod asyncapi;
pub mod auth;
pub mod cli;
pub mod config;
pub mod demo;
pub mod embedded;
pub mod http;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod telemetry;
pub mod vitals;
pub mod wiring;

/// Chooses the implementation of cryptography for those who leave that to the process, as HTTP clients do. Once chosen it
/// stays.
pub fn choose_cryptography() {
    // An error says that it was chosen already.
    _ = rustls::crypto::ring::default_provider().install_default();
}
