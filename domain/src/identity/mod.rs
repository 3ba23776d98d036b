//! Identity & Directory: who may act, as whom, with which proof; and who people and organisations are (catalogue 2.1).
//!
//! Neighbours: every other context names people and org units by their ids and never copies what they say of
//! themselves, except in a snapshot that a decision needs.

mod org_unit;
mod profile;
mod values;

pub use org_unit::*;
pub use profile::*;
pub use values::*;
