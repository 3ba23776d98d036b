//! Opportunities: scholarships are published, matched, applied for and decided (catalogue 2.3).
//!
//! - **Match score**: 0 to 10000 bp fit between a person and an opportunity, with its components; it orders, it never
//!   rejects (OPP-A4, OPP-A8).
//! - **Selection**: the scholarship gives one of its awards to an application; the **award** is what the applicant is
//!   then offered, and accepts or refuses.
//! - **Criteria**: what applicants are judged by; they freeze with the first submission (OPP-S2).
//!
//! Neighbours: an application snapshots facts of the applicant's `identity::Profile`; its score is recorded as an
//! `intelligence::Decision`. What never lives here: who a person is, and how a score is contested.

mod match_score;
#[cfg(test)]
mod samples;
mod scholarship;
mod scholarship_application;
mod values;

pub use match_score::*;
pub use scholarship::*;
pub use scholarship_application::*;
pub use values::*;
