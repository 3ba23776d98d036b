//! The log against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod appending;
mod claiming;
mod crashing;
mod encrypting;
mod following;
mod immutable;
mod notarising;
mod notary_killed;
mod racing;
mod reading;
mod sealing;
mod severing;
mod stock;
mod support;
