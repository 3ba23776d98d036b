use proptest::prelude::*;

use super::{DecisionCommand as C, DecisionEvent as E, DecisionRefusal as R, *};
use crate::kernel::testing::{Scenario, given, keeps_history, nothing};

const PERSON: Uuid = Uuid::from_u128(0xAA);
const APPLICATION: Uuid = Uuid::from_u128(0xA9);
const REVIEWER: Uuid = Uuid::from_u128(0x4E);
const AUTHOR: Uuid = Uuid::from_u128(0x0A);

fn factor(weight: i32) -> Factor {
    Factor { factor: "gpa".into(), weight: BasisPoints(weight), reason: Some("3.75 is above 3.00".into()) }
}

fn record(family: &str, score: i32, weights: &[i32]) -> C {
    C::RecordDecision {
        model: None,
        engine: "rules/match@1".into(),
        family: family.into(),
        r#type: "score".into(),
        subject: PERSON,
        about: APPLICATION,
        favourable: true,
        score: BasisPoints(score),
        threshold: Some(BasisPoints(5000)),
        features: APPLICATION,
        explanation: Stated(weights.iter().map(|weight| factor(*weight)).collect()),
    }
}

fn matched() -> C {
    record("scholarship_match", 7500, &[3000, 2500, 2000])
}

fn recorded() -> E {
    E::DecisionRecorded {
        model: None,
        engine: "rules/match@1".into(),
        family: "scholarship_match".into(),
        r#type: "score".into(),
        subject: PERSON,
        about: APPLICATION,
        favourable: true,
        score: BasisPoints(7500),
        threshold: Some(BasisPoints(5000)),
        features: APPLICATION,
        explanation: Personal::about(PERSON, [3000, 2500, 2000].map(factor).into()),
        author: Some(AUTHOR),
    }
}

fn observed(actual: bool) -> E {
    E::DecisionOutcomeObserved {
        actual,
        source: APPLICATION,
        family: "scholarship_match".into(),
        favourable: true,
    }
}

fn contested() -> E {
    E::DecisionContested {
        reason: Personal::about(PERSON, "My major was misread".into()),
        review_by: "2026-01-31T12:00:00Z".parse().unwrap(),
    }
}

fn reviewed(verdict: Verdict) -> E {
    E::DecisionReviewed {
        reviewer: REVIEWER,
        verdict,
        reason: Personal::about(PERSON, "It was".into()),
        subject: PERSON,
        about: APPLICATION,
    }
}

fn after(events: impl IntoIterator<Item = E>) -> Scenario<Decision> {
    given([recorded()].into_iter().chain(events))
}

fn observe(actual: bool) -> C {
    C::ObserveOutcome { actual, source: APPLICATION }
}

fn contest() -> C {
    C::ContestDecision { reason: Stated("My major was misread".into()) }
}

fn review(reviewer: Uuid) -> C {
    C::ReviewDecision { reviewer, verdict: Verdict::Overturned, reason: Stated("It was".into()) }
}

#[test]
fn ai_d1_a_decision_is_recorded_once_with_its_explanation() {
    let mut policy = Actor::policy("score_application");
    policy.on_behalf_of = Some(AUTHOR);
    nothing::<Decision>().by(policy).when(matched()).then([recorded()]);
    after([]).when(matched()).then([]);
    after([]).when(record("scholarship_match", 1, &[])).invalid_state("recorded");
}

#[test]
fn a_score_is_within_the_whole() {
    let record = |score| nothing::<Decision>().when(record("scholarship_match", score, &[]));
    record(10_000).then_names(["DecisionRecorded"]);
    record(10_001).invalid("score");
    record(-1).invalid("score");
}

#[test]
fn ai_d3_a_prediction_names_its_three_strongest_factors_in_order() {
    let predict = |weights: &[i32]| nothing::<Decision>().when(record("student_churn", 100, weights));
    predict(&[-5000, 3000, 3000]).then_names(["DecisionRecorded"]);
    predict(&[3000, -5000, 1]).invalid("explanation");
    predict(&[3000, 2000]).invalid("explanation");
    predict(&[4000, 3000, 2000, 1000]).invalid("explanation");
}

#[test]
fn an_outcome_is_observed_once() {
    after([]).when(observe(true)).then([observed(true)]);
    after([observed(true)]).when(observe(true)).then([]);
    after([observed(true)]).when(observe(false)).invalid_state("observed");
}

#[test]
fn an_outcome_is_a_fact_that_does_not_end_a_contest() {
    let state = after([contested()]).when(observe(false)).then([observed(false)]);
    assert_eq!((state.status, state.actual), (DecisionStatus::Contested, Some(false)));
}

#[test]
fn ai_d2_a_contest_is_to_be_reviewed_within_thirty_days() {
    after([]).when(contest()).then([contested()]);
    after([observed(true)]).when(contest()).then_names(["DecisionContested"]);
    after([contested()]).when(contest()).invalid_state("contested");
    for verdict in [Verdict::Upheld, Verdict::Overturned] {
        after([contested(), reviewed(verdict)]).when(contest()).refused(R::AlreadyFinal {});
    }
}

#[test]
fn ai_d2_a_late_review_still_counts() {
    let state = after([contested()])
        .at("2026-06-01T00:00:00Z")
        .when(review(REVIEWER))
        .then_names(["DecisionReviewed"]);
    assert_eq!(state.status, DecisionStatus::Overturned);
    after([]).when(review(REVIEWER)).invalid_state("recorded");
}

#[test]
fn nobody_reviews_a_decision_of_their_own_or_about_themselves() {
    after([contested()]).when(review(PERSON)).refused(R::ReviewerIsAuthor {});
    after([contested()]).when(review(AUTHOR)).refused(R::ReviewerIsAuthor {});
}

#[test]
fn the_system_decides_the_person_contests_and_a_human_reviews_in_their_own_name() {
    let (policy, person) = (Actor::policy("score_application"), Actor::user(PERSON, &["admin"]));
    let reviewer = Actor::user(REVIEWER, &["reviewer"]);
    assert!(nothing::<Decision>().permits(&policy, &matched()));
    assert!(!nothing::<Decision>().permits(&person, &matched()));
    let case = after([contested()]);
    assert!(case.permits(&policy, &observe(true)) && !case.permits(&reviewer, &observe(true)));
    assert!(case.permits(&person, &contest()) && !case.permits(&reviewer, &contest()));
    assert!(case.permits(&reviewer, &review(REVIEWER)) && !case.permits(&reviewer, &review(AUTHOR)));
    assert!(!case.permits(&Actor::user(REVIEWER, &["staff"]), &review(REVIEWER)));
    let robot = Actor { kind: ActorKind::ApiClient, on_behalf_of: Some(REVIEWER), ..reviewer };
    assert!(!case.permits(&robot, &review(REVIEWER)));
}

proptest! {
    #[test]
    fn whatever_happens_a_reviewed_decision_stays_as_the_human_left_it(
        steps in prop::collection::vec(0..4u8, 0..12),
    ) {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let context = Context {
            id: APPLICATION,
            command_id: Uuid::nil(),
            actor: Actor::policy("any"),
            now,
            occurred_at: now,
        };
        let mut state = after([]).state().clone();
        let mut verdict = None;
        for step in steps {
            let command = match step {
                0 => observe(true),
                1 => contest(),
                2 => review(REVIEWER),
                _ => C::ReviewDecision { reviewer: REVIEWER, verdict: Verdict::Upheld, reason: Stated("ok".into()) },
            };
            for event in state.decide(command, &(), &context).unwrap_or_default() {
                state.evolve(&event);
            }
            if matches!(state.status, DecisionStatus::Upheld | DecisionStatus::Overturned) {
                prop_assert_eq!(*verdict.get_or_insert(state.status), state.status);
            } else {
                prop_assert!(verdict.is_none());
            }
        }
    }
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<Decision>([recorded(), observed(true), contested(), reviewed(Verdict::Overturned)]);
}
