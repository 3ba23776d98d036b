//! Everything end to end: the real binary, PostgreSQL, NATS and HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bytes;
mod crashes;
mod erasure;
mod flows;
mod nodes;
mod privacy;
mod reading;
