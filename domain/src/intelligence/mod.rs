//! Intelligence: what the system computed about people, why, and what became of it (catalogue 2.7).
//!
//! - **Decision**: one automated output about one person: a prediction, score or ranking that is shown to somebody or used
//!   by a policy (AI-D1). It is kept to be explained, contested and watched for bias.
//! - **Factor**: one reason of a decision, with its weight.
//!
//! Neighbours: whoever computes (the match score of `opportunities`, a model) records the decision; the owning context
//! acts when one is overturned. What never lives here: the computation itself, and demographics.

mod decision;

pub use decision::*;
