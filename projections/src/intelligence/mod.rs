//! Read models of Intelligence: what was computed about people, and what became of it.
//!
//! What never lives here: a computation. Scores arrive in events, with their explanations.

mod decisions;

pub use decisions::{DecisionRow, Decisions};
