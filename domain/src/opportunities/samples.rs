//! A scholarship that is open on 1 January 2026 at noon, for the specs of this context.

use super::{ScholarshipEvent, ScholarshipTerms};
use crate::kernel::Money;

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

pub(super) fn terms() -> ScholarshipTerms {
    ScholarshipTerms {
        title: "Gorilla Scholars".into(),
        description: "For students of computing".into(),
        sponsor: uuid::Uuid::from_u128(0x5),
        award: usd(50_000),
        max_awards: 2,
        opens_at: "2025-12-01T00:00:00Z".parse().unwrap(),
        deadline: "2026-02-01T00:00:00Z".parse().unwrap(),
        min_gpa: Some(3000),
        majors: vec!["Computer Science".into()],
        grad_years: vec![2027],
        tags: vec!["robotics".into(), "music".into()],
        essay_prompts: vec!["Why you?".into()],
        recommendations_required: 1,
        renewable: false,
    }
}

pub(super) fn published(terms: ScholarshipTerms) -> [ScholarshipEvent; 2] {
    let fund = terms.initial_fund();
    [ScholarshipEvent::ScholarshipDrafted(terms), ScholarshipEvent::ScholarshipPublished { fund }]
}
