//! The log against a real PostgreSQL.

mod appending;
mod claiming;
mod crashing;
mod following;
mod immutable;
mod racing;
mod reading;
mod sealing;
mod stock;
mod support;
