//! The audit trail and lineage over a real log, written by real commands.

#![allow(clippy::unwrap_used, reason = "these are tests, also outside of test functions")]

mod analysts;
mod audit;
mod causation;
mod lineage;
mod package;
mod size;
mod untold;
mod world;
