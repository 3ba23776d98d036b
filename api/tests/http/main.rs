//! The API against a real log: every request goes through the same door as on a network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod addresses;
mod attacks;
mod auth;
mod authorisation;
mod batch;
mod budgets;
mod clients;
mod cohorts;
mod commands;
mod directory;
mod documents;
mod edge;
mod ferpa;
mod funnel;
mod governance;
mod graphql;
mod identity;
mod limits;
mod log;
mod nearest;
mod node;
mod notifications;
mod packages;
mod passkeys;
mod permissions;
mod privacy;
mod provider;
mod queries;
mod refusals;
mod replays;
mod revocation;
mod rights;
mod routes;
mod rows;
mod socket;
mod sso;
mod stream;
mod transactions;
mod wire;
