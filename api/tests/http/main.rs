//! The API against a real log: every request goes through the same door as on a network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod auth;
mod budgets;
mod cohorts;
mod commands;
mod edge;
mod ferpa;
mod funnel;
mod governance;
mod identity;
mod limits;
mod log;
mod nearest;
mod node;
mod packages;
mod permissions;
mod privacy;
mod queries;
mod replays;
mod routes;
mod stream;
mod transactions;
