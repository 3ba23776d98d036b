//! Credentials & Pathways: micro-credentials, their recognition across institutions, pathways and awards (catalogue 2.4).
//!
//! - *micro-credential*: a short program of an institution, with learning outcomes and prerequisites;
//! - *recognition*: another institution's decision to give credit for it;
//! - *assessment*: the figures on which that decision leans; they are computed in [`assessment`] and decide nothing.
//!
//! Neighbours: institutions are org units of `identity`; the texts of outcomes are embedded and compared elsewhere, and
//! arrive here as cosines in basis points.

pub mod assessment;
mod micro_credential;
mod recognition;
mod values;
#[cfg(test)]
mod world;

pub use micro_credential::*;
pub use recognition::*;
pub use values::*;
