//! The read models against a real PostgreSQL and a real NATS.

#![allow(clippy::unwrap_used, reason = "these are tests, also outside of test functions")]

mod accounts;
mod analysts;
mod answers;
mod asking;
mod authorisation;
mod budgeting;
mod following;
mod lineage;
mod models;
mod nats;
mod opportunities;
mod parking;
mod past;
mod rebuilding;
mod searching;
mod touching;
mod world;
