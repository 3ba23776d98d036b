//! Read models of Opportunities: scholarships, applications for them, and how many come how far.
//!
//! What never lives here: a rule. Whether an application fits or wins is decided in `domain`.

mod application_reviews;
mod applications;
#[cfg(test)]
mod samples;
mod scholarship_funnel;
mod scholarships;

pub use application_reviews::{ApplicationReviewRow, ApplicationReviews};
pub use applications::{ApplicationRow, Applications, AskedRecommendation};
pub use scholarship_funnel::{Funnel, FunnelGroup, FunnelPart, FunnelRow, ScholarshipFunnel, Stages};
pub use scholarships::{ScholarshipRow, Scholarships};
