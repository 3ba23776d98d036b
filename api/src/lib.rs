//! The service: configuration, the servers it runs on, and what it offers over HTTP. The only crate that wires all
//! others together. What must never live here: a business rule, or SQL of the log.

pub mod config;
pub mod embedded;
