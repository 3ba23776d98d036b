//! A scholarship and an application for it, for the specs of this context.

use domain::{
    Money, Personal,
    opportunities::{ScholarshipApplicationEvent, ScholarshipEvent, ScholarshipTerms},
    registry::AnyEvent,
};
use uuid::Uuid;

pub(super) const SCHOLARSHIP: Uuid = Uuid::from_u128(1);
pub(super) const APPLICATION: Uuid = Uuid::from_u128(2);
pub(super) const ADA: Uuid = Uuid::from_u128(0xADA);

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

pub(super) fn terms() -> ScholarshipTerms {
    ScholarshipTerms {
        title: "Gorilla Scholars".into(),
        description: "For students of computing".into(),
        sponsor: Uuid::from_u128(5),
        award: usd(50_000),
        max_awards: 2,
        opens_at: "2025-12-01T00:00:00Z".parse().unwrap(),
        deadline: "2026-02-01T00:00:00Z".parse().unwrap(),
        min_gpa: Some(3000),
        majors: vec!["Computer Science".into()],
        grad_years: vec![2027],
        tags: vec!["robotics".into()],
        essay_prompts: vec!["Why you?".into()],
        recommendations_required: 1,
        renewable: false,
    }
}

pub(super) fn of_scholarship(event: ScholarshipEvent) -> (Uuid, AnyEvent) {
    (SCHOLARSHIP, AnyEvent::Scholarship(event))
}

pub(super) fn of_application(event: ScholarshipApplicationEvent) -> (Uuid, AnyEvent) {
    (APPLICATION, AnyEvent::ScholarshipApplication(event))
}

pub(super) fn started() -> ScholarshipApplicationEvent {
    ScholarshipApplicationEvent::ApplicationStarted { scholarship: SCHOLARSHIP, applicant: ADA }
}

pub(super) fn submitted() -> ScholarshipApplicationEvent {
    ScholarshipApplicationEvent::ScholarshipApplicationSubmitted {
        scholarship: SCHOLARSHIP,
        applicant: ADA,
        gpa: Some(Personal::about(ADA, 3750)),
        major: Some(Personal::about(ADA, " Computer Science".into())),
        grad_year: Some(Personal::about(ADA, 2027)),
        interests: Some(Personal::about(ADA, vec!["robotics".into()])),
        relatives: None,
        submitted_at: "2026-01-02T00:00:00Z".parse().unwrap(),
        profile_version: Some(1),
    }
}

pub(super) fn awarded() -> ScholarshipApplicationEvent {
    ScholarshipApplicationEvent::ScholarshipAwarded {
        amount: usd(40_000),
        scholarship: SCHOLARSHIP,
        applicant: ADA,
        awarded_at: "2026-02-02T00:00:00Z".parse().unwrap(),
    }
}
