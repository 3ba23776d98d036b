use super::{
    RetentionOutcome as O, RetentionPolicyCommand as C, RetentionPolicyEvent as E,
    RetentionPolicyRefusal as R, *,
};
use crate::kernel::testing::{Scenario, given, keeps_history, nothing};

const RUN: Uuid = Uuid::from_u128(0x41);
const PERSON: Uuid = Uuid::from_u128(0xAA);

fn set(class: RecordClass, days: u32, action: RetentionAction) -> C {
    C::SetRetentionPolicy {
        record_class: class,
        aggregate: None,
        after: RetentionStart::Event,
        days,
        action,
        legal_basis: "Art. 5(1)(e) GDPR".into(),
    }
}

fn policy(class: RecordClass) -> Scenario<RetentionPolicy> {
    nothing().with_id(retention_policy_id(class, None))
}

fn was_set() -> E {
    policy(RecordClass::Device).when(set(RecordClass::Device, 90, RetentionAction::Shred)).events().remove(0)
}

fn start(run: Uuid, dry_run: bool) -> C {
    C::StartRetentionRun { run, dry_run, as_of: "2026-01-01T01:00:00Z".parse().unwrap() }
}

fn started(dry_run: bool) -> E {
    given::<RetentionPolicy>([was_set()]).when(start(RUN, dry_run)).events().remove(0)
}

fn record(outcome: O, count: u64) -> C {
    C::RecordRetentionAction {
        run: RUN,
        subject: Some(PERSON),
        scope: "epochs up to 2025-09".into(),
        outcome,
        count,
        through: None,
    }
}

fn applied(outcome: O, count: u64) -> E {
    given::<RetentionPolicy>([was_set(), started(false)]).when(record(outcome, count)).events().remove(0)
}

#[test]
fn every_class_has_a_default_that_the_law_allows() {
    for class in RecordClass::ALL {
        let default = retention_default(class);
        assert!(DEFAULTS.contains(&default) && default.days >= default.least, "{default:?}");
    }
}

#[test]
fn what_the_law_asks_to_keep_cannot_be_let_go_earlier() {
    let class = RecordClass::Payment;
    policy(class)
        .when(set(class, 2554, RetentionAction::Archive))
        .refused(R::BelowLegalMinimum { days: 2555 });
    policy(class).when(set(class, 2555, RetentionAction::Archive)).then_names(["RetentionPolicySet"]);
    policy(RecordClass::Device).when(set(RecordClass::Device, 0, RetentionAction::Shred)).invalid("days");
}

#[test]
fn a_policy_stands_under_the_id_of_its_class() {
    nothing::<RetentionPolicy>()
        .when(set(RecordClass::Device, 90, RetentionAction::Shred))
        .invalid("record_class");
}

#[test]
fn keys_are_of_a_class_and_not_of_an_aggregate() {
    let aggregate = "identity.profile";
    let id = retention_policy_id(RecordClass::Profile, Some(aggregate));
    let of_one = |action| C::SetRetentionPolicy {
        record_class: RecordClass::Profile,
        aggregate: Some(aggregate.into()),
        after: RetentionStart::Event,
        days: 90,
        action,
        legal_basis: "policy 7".into(),
    };
    nothing::<RetentionPolicy>().with_id(id).when(of_one(RetentionAction::Shred)).invalid("action");
    nothing::<RetentionPolicy>().with_id(id).when(of_one(RetentionAction::Archive)).invalid("action");
}

#[test]
fn what_nothing_would_come_of_is_no_policy() {
    let class = RecordClass::Communication;
    for action in [RetentionAction::PurgeProjection, RetentionAction::PurgeObjects] {
        policy(class).when(set(class, 90, action)).invalid("action");
    }
}

#[test]
fn p_50_every_class_has_a_run_each_night_whether_somebody_set_its_policy_or_not() {
    let night = |at: &str| next_run_after(at.parse().unwrap()).to_string();
    assert_eq!(night("2026-01-31T00:59:59Z"), "2026-01-31T01:00:00Z");
    assert_eq!(night("2026-01-31T01:00:00Z"), "2026-02-01T01:00:00Z");
    assert_eq!(night("2028-02-28T12:00:00Z"), "2028-02-29T01:00:00Z");
    for default in DEFAULTS {
        let started = policy(default.class).when(start(RUN, false)).events();
        let expected = E::RetentionRunStarted {
            run: RUN,
            dry_run: false,
            as_of: "2026-01-01T01:00:00Z".parse().unwrap(),
            record_class: default.class,
            after: default.after,
            days: default.days,
            action: default.action,
        };
        assert_eq!(started, [expected]);
        let running =
            || given::<RetentionPolicy>(started.clone()).with_id(retention_policy_id(default.class, None));
        running().when(start(RUN, false)).then([]);
        let applied = running().when(record(O::Applied, 2)).events();
        let past = [started.clone(), applied].concat();
        given::<RetentionPolicy>(past).when(C::CompleteRetentionRun { run: RUN }).then([
            E::RetentionRunCompleted {
                run: RUN,
                dry_run: false,
                record_class: default.class,
                affected: 2,
                held: 0,
                failed: 0,
            },
        ]);
    }
    nothing::<RetentionPolicy>().when(start(RUN, false)).invalid_state("retired");
}

#[test]
fn one_run_at_a_time() {
    let running = || given::<RetentionPolicy>([was_set(), started(false)]);
    running().when(start(Uuid::from_u128(2), true)).refused(R::AlreadyRunning { run: RUN });
    running()
        .when(C::RetireRetentionPolicy { reason: "new law".into() })
        .refused(R::AlreadyRunning { run: RUN });
}

#[test]
fn gov_r1_a_run_counts_what_holds_kept() {
    assert_eq!(RetentionPolicy::taken("hold:*:device"), Some(R::HeldBack {}));
    assert!(!RetentionPolicy::claims(RUN, &applied(O::Applied, 2)).is_empty());
    assert!(RetentionPolicy::claims(RUN, &applied(O::HeldBack, 2)).is_empty());
    let past = [was_set(), started(false), applied(O::HeldBack, 2)];
    let done = given::<RetentionPolicy>(past).when(C::CompleteRetentionRun { run: RUN }).events();
    assert!(matches!(done[0], E::RetentionRunCompleted { affected: 0, held: 1, failed: 0, .. }), "{done:?}");
}

#[test]
fn gov_r2_a_dry_run_puts_the_same_on_record_as_the_real_one() {
    let run = |dry: bool| {
        let past = [was_set(), started(dry)];
        let action = given::<RetentionPolicy>(past.clone()).when(record(O::Applied, 2)).events();
        let past = past.into_iter().chain(action.clone());
        let end = given::<RetentionPolicy>(past).when(C::CompleteRetentionRun { run: RUN }).events();
        let claims = RetentionPolicy::claims(RUN, &action[0]);
        match (&action[0], &end[0]) {
            (
                E::RetentionActionApplied { dry_run, subject, scope, outcome, count, .. },
                E::RetentionRunCompleted { affected, held, failed, .. },
            ) => {
                assert_eq!(*dry_run, dry);
                (*subject, scope.clone(), *outcome, *count, *affected, *held, *failed, claims)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn gov_r3_what_was_dealt_with_is_not_dealt_with_again() {
    let after = |more: Vec<E>| given::<RetentionPolicy>([was_set(), started(false)].into_iter().chain(more));
    after(vec![applied(O::HeldBack, 2)]).when(record(O::Applied, 2)).then([]);
    let completed = after(vec![]).when(C::CompleteRetentionRun { run: RUN }).events();
    after(completed.clone()).when(C::CompleteRetentionRun { run: RUN }).then([]);
    after(completed.clone()).when(record(O::Applied, 1)).then([]);
    after(completed).when(start(RUN, false)).then([]);
}

#[test]
fn a_retired_policy_runs_no_more_until_it_is_set_again() {
    let retired = given::<RetentionPolicy>([was_set()])
        .when(C::RetireRetentionPolicy { reason: "new law".into() })
        .events();
    let after = || given::<RetentionPolicy>([was_set()].into_iter().chain(retired.clone()));
    after().when(start(RUN, true)).invalid_state("retired");
    after()
        .with_id(retention_policy_id(RecordClass::Device, None))
        .when(set(RecordClass::Device, 30, RetentionAction::Shred))
        .then_names(["RetentionPolicySet"]);
}

#[test]
fn a_run_looks_back_from_a_time_that_has_come() {
    let ahead =
        C::StartRetentionRun { run: RUN, dry_run: true, as_of: "2026-01-02T00:00:00Z".parse().unwrap() };
    given::<RetentionPolicy>([was_set()]).when(ahead).invalid("as_of");
    let as_of = "2026-01-01T01:00:00Z".parse().unwrap();
    assert_eq!(due_before(as_of, 90).unwrap().to_string(), "2025-10-03");
}

#[test]
fn only_compliance_sets_policies_and_only_the_system_acts() {
    let policy = given::<RetentionPolicy>([was_set()]);
    let user = |role| Actor::user(PERSON, &[role]);
    assert!(policy.permits(&user("compliance"), &start(RUN, false)));
    assert!(!policy.permits(&user("operator"), &set(RecordClass::Device, 9, RetentionAction::Shred)));
    assert!(!policy.permits(&user("compliance"), &record(O::Applied, 1)));
    assert!(policy.permits(&Actor::policy("retain"), &record(O::Applied, 1)));
}

#[test]
fn history_of_retention_policies() {
    let completed = given::<RetentionPolicy>([was_set(), started(false), applied(O::Applied, 2)])
        .when(C::CompleteRetentionRun { run: RUN })
        .events()
        .remove(0);
    let retired = given::<RetentionPolicy>([was_set()])
        .when(C::RetireRetentionPolicy { reason: "new law".into() })
        .events()
        .remove(0);
    keeps_history::<RetentionPolicy>([was_set(), retired, started(false), applied(O::Applied, 2), completed]);
}
