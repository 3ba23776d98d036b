//! The log against a real PostgreSQL.

mod appending;
mod support;
