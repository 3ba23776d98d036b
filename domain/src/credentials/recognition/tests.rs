use jiff::civil::date;
use proptest::prelude::*;

use super::{RecognitionCommand as C, RecognitionEvent as E, RecognitionRefusal as R, *};
use crate::{
    credentials::{CredentialStatus, world::World},
    kernel::{
        BasisPoints, RoleGrant,
        testing::{Scenario, given, keeps_history, nothing},
    },
};

const CREDENTIAL: Uuid = Uuid::from_u128(0xC);
const ISSUER: Uuid = Uuid::from_u128(0x1);
const RECOGNISER: Uuid = Uuid::from_u128(0x2);
const CREDITS: Option<MilliCredits> = Some(MilliCredits(3000));

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn of(institution: Uuid) -> Option<CredentialSeen> {
    Some(CredentialSeen { institution, published: true, credits: CREDITS })
}

fn facts() -> RecognitionFacts {
    RecognitionFacts {
        credential: of(ISSUER),
        institution: Some((OrgKind::Institution, true)),
        counterpart: of(RECOGNISER),
    }
}

fn propose_as(r#type: RecognitionType, credit_value: Option<i32>) -> C {
    C::ProposeRecognition {
        credential: CREDENTIAL,
        institution: RECOGNISER,
        counterpart: Some(id(7)),
        r#type,
        credit_value: credit_value.map(MilliCredits),
        credit_type: Some(CreditType::Elective),
        transcript: TranscriptMode::Listed,
        conditions: Some("a grade of B".into()),
        effective: date(2026, 2, 1),
        expires: Some(date(2028, 2, 1)),
    }
}

fn propose() -> C {
    propose_as(RecognitionType::FullCredit, Some(3000))
}

fn proposing() -> Scenario<Recognition> {
    nothing().knowing(facts())
}

fn proposed() -> E {
    proposing().when(propose()).events().remove(0)
}

fn assess(job: u128, recommendation: Recommendation) -> C {
    C::RecordCreditAssessment {
        job: id(job),
        recommendation,
        score: BasisPoints(7250),
        overlap: BasisPoints(8000),
        duration: BasisPoints(5000),
        level_ok: true,
        history: BasisPoints(5000),
        engine: "local/hashed-tfidf@1".into(),
        reasons: vec!["outcomes covered: 80.00 %".into()],
    }
}

fn assessed(recommendation: Recommendation) -> Vec<E> {
    let event = given::<Recognition>([proposed()]).by(system()).when(assess(1, recommendation)).events();
    [vec![proposed()], event].concat()
}

fn approve(override_reason: Option<&str>) -> C {
    C::ApproveRecognition {
        approval_reference: "Senate 2026/3".into(),
        conditions: None,
        override_reason: override_reason.map(str::to_owned),
    }
}

fn approved() -> Vec<E> {
    let past = assessed(Recommendation::Approve);
    let event = given::<Recognition>(past.clone()).knowing(facts()).when(approve(None)).events();
    [past, event].concat()
}

fn suspend() -> C {
    C::SuspendRecognition { reason: "the credential is archived".into() }
}

fn suspended() -> Vec<E> {
    let event = given::<Recognition>(approved()).when(suspend()).events();
    [approved(), event].concat()
}

fn reject() -> C {
    C::RejectRecognition { reason: "too short".into() }
}

fn revoke() -> C {
    C::RevokeRecognition { reason: "the program changed".into() }
}

fn revise(credit_value: Option<i32>, expires: Option<Date>) -> C {
    C::ReviseRecognition { credit_value: credit_value.map(MilliCredits), conditions: None, expires }
}

fn system() -> Actor {
    Actor::policy("P-20")
}

fn administrator_of(institution: Uuid) -> Actor {
    let grant = RoleGrant { role: "institution_admin".into(), within: Some(institution) };
    Actor::with_roles(id(9), vec![grant])
}

fn decisions() -> [C; 6] {
    [approve(Some("why")), reject(), revise(None, None), suspend(), C::ResumeRecognition {}, revoke()]
}

#[test]
fn one_live_recognition_of_a_credential_by_an_institution_is_claimed() {
    let key = format!("recog:{CREDENTIAL}:{RECOGNISER}");
    assert_eq!(proposing().when(propose()).claims(), [Claim::Take(key.clone())]);
    assert_eq!(Recognition::taken(&key), Some(R::DuplicateRecognition {}));
}

#[test]
fn a_recognition_that_is_rejected_revoked_or_expired_frees_its_claim_and_a_suspended_one_keeps_it() {
    let freed = [Claim::Free(format!("recog:{CREDENTIAL}:{RECOGNISER}"))];
    assert_eq!(given::<Recognition>([proposed()]).when(reject()).claims(), freed);
    assert_eq!(given::<Recognition>(approved()).when(revoke()).claims(), freed);
    let over = given::<Recognition>(suspended()).by(system()).at("2028-02-01T00:00:00Z");
    assert_eq!(over.when(C::ExpireRecognition {}).claims(), freed);
    assert_eq!(given::<Recognition>(approved()).when(suspend()).claims(), []);
}

#[test]
fn an_active_institution_recognises_a_published_credential_of_another_one() {
    let proposing = |change: fn(&mut RecognitionFacts)| {
        let mut facts = facts();
        change(&mut facts);
        nothing::<Recognition>().knowing(facts).when(propose())
    };
    proposing(|facts| facts.credential = None).refused(R::UnknownCredential {});
    proposing(|facts| facts.institution = None).refused(R::UnknownInstitution {});
    proposing(|facts| facts.institution = Some((OrgKind::Institution, false)))
        .refused(R::InstitutionInactive {});
    proposing(|facts| facts.institution = Some((OrgKind::Faculty, true))).invalid("institution");
    proposing(|facts| facts.credential = of(RECOGNISER)).refused(R::OwnCredential {});
    proposing(|facts| facts.credential.as_mut().unwrap().published = false).refused(R::NotPublished {});
    proposing(|facts| facts.counterpart = None).refused(R::UnknownCounterpart {});
    proposing(|facts| facts.counterpart = of(ISSUER)).refused(R::CounterpartUnfit {});
    proposing(|facts| facts.counterpart.as_mut().unwrap().published = false).refused(R::CounterpartUnfit {});
}

#[test]
fn crd_r1_the_credit_value_fits_the_type() {
    use RecognitionType as T;
    let given_credit = |r#type, value| {
        let state = proposing().when(propose_as(r#type, value)).then_names(["RecognitionProposed"]);
        state.credit_value.map(|MilliCredits(value)| value)
    };
    assert_eq!(given_credit(T::FullCredit, Some(3000)), Some(3000));
    assert_eq!(given_credit(T::FullCredit, None), Some(3000));
    assert_eq!(given_credit(T::PartialCredit, Some(2999)), Some(2999));
    assert_eq!(given_credit(T::AdvancedStanding, Some(0)), Some(0));
    assert_eq!((given_credit(T::Equivalency, None), given_credit(T::Exemption, None)), (None, None));

    for (r#type, value) in [
        (T::FullCredit, Some(2999)),
        (T::PartialCredit, Some(3000)),
        (T::PartialCredit, Some(0)),
        (T::PartialCredit, None),
        (T::Equivalency, Some(0)),
        (T::Exemption, Some(3000)),
        (T::AdvancedStanding, Some(-1)),
        (T::AdvancedStanding, Some(i32::MAX)),
        (T::AdvancedStanding, None),
    ] {
        let refusal = R::CreditRule { r#type, credits: CREDITS };
        proposing().when(propose_as(r#type, value)).refused(refusal);
    }
}

#[test]
fn crd_r1_holds_for_a_revision_too() {
    let revising = |value| given::<Recognition>(approved()).knowing(facts()).when(revise(value, None));
    revising(Some(1000)).refused(R::CreditRule { r#type: RecognitionType::FullCredit, credits: CREDITS });
    let state = revising(None).then([E::RecognitionRevised {
        credit_value: CREDITS,
        conditions: None,
        expires: None,
    }]);
    assert_eq!((state.credit_value, state.expires), (CREDITS, None));
}

#[test]
fn crd_r2_only_an_administrator_of_the_recognising_institution_decides() {
    for command in decisions() {
        let there = || given::<Recognition>(assessed(Recommendation::Approve)).knowing(facts());
        assert!(
            there().permits(&administrator_of(ISSUER), &command),
            "which institution, the decision tells"
        );
        there().by(administrator_of(ISSUER)).when(command.clone()).refused(R::NotInstitutionAdmin {});
        for nobody in [Actor::user(id(9), &["program_coordinator"]), Actor::user(id(9), &["staff"])] {
            assert!(!there().permits(&nobody, &command));
        }
    }
    given::<Recognition>(assessed(Recommendation::Approve))
        .knowing(facts())
        .by(administrator_of(RECOGNISER))
        .when(approve(None))
        .then_names(["RecognitionApproved"]);
}

#[test]
fn whoever_writes_pathways_proposes_and_the_system_alone_assesses_and_expires() {
    let there = proposing();
    assert!(there.permits(&Actor::user(id(9), &["program_coordinator"]), &propose()));
    assert!(!there.permits(&Actor::user(id(9), &["student"]), &propose()));
    for command in [assess(1, Recommendation::Approve), C::ExpireRecognition {}] {
        assert!(there.permits(&system(), &command));
        assert!(!there.permits(&Actor::user(id(9), &["admin"]), &command));
    }
    assert!(there.permits(&system(), &suspend()) && !there.permits(&system(), &C::ResumeRecognition {}));
}

#[test]
fn crd_r3_approving_against_a_rejection_or_without_an_assessment_needs_a_reason() {
    let approving = |past, reason| given::<Recognition>(past).knowing(facts()).when(approve(reason));
    approving(vec![proposed()], None).refused(R::OverrideReasonMissing {});
    approving(assessed(Recommendation::Reject), None).refused(R::OverrideReasonMissing {});
    approving(assessed(Recommendation::Reject), Some(" ")).invalid("override_reason");
    approving(vec![proposed()], Some("known program")).then_names(["RecognitionApproved"]);
    approving(assessed(Recommendation::Review), None).then_names(["RecognitionApproved"]);
}

#[test]
fn an_approval_says_what_was_approved() {
    given::<Recognition>(assessed(Recommendation::Approve)).knowing(facts()).when(approve(None)).then([
        E::RecognitionApproved {
            approval_reference: "Senate 2026/3".into(),
            conditions: None,
            override_reason: None,
            credential: CREDENTIAL,
            institution: RECOGNISER,
            r#type: RecognitionType::FullCredit,
            credit_value: CREDITS,
        },
    ]);
}

#[test]
fn an_assessment_comes_once_from_a_job_and_not_after_the_decision() {
    let assess_again =
        |past, job| given::<Recognition>(past).by(system()).when(assess(job, Recommendation::Reject));
    assess_again(assessed(Recommendation::Approve), 1).then([]);
    assess_again(assessed(Recommendation::Approve), 2).then_names(["CreditAssessed"]);
    assess_again(approved(), 2).then([]);
}

#[test]
fn what_was_computed_is_what_is_put_on_record() {
    use crate::credentials::assessment::{Assessment, AssessmentRule};
    let assessment = Assessment {
        overlap: BasisPoints(4000),
        duration: BasisPoints(10_000),
        level_ok: true,
        history: BasisPoints(5000),
    };
    let command = assessment.record(&AssessmentRule::default(), id(1), Some(id(7)), "local/hashed-tfidf@1");
    let mut events = given::<Recognition>([proposed()]).by(system()).when(command).events();
    let Some(E::CreditAssessed { recommendation, score, reasons, .. }) = events.pop() else {
        panic!("an assessment was recorded")
    };
    assert_eq!((recommendation, score, reasons.len()), (Recommendation::Review, BasisPoints(6250), 5));
    assert!(reasons[0].ends_with(&id(7).to_string()));
}

#[test]
fn figures_of_an_assessment_beyond_the_whole_are_invalid() {
    let mut command = assess(1, Recommendation::Approve);
    if let C::RecordCreditAssessment { overlap, .. } = &mut command {
        *overlap = BasisPoints(10_001);
    }
    given::<Recognition>([proposed()]).by(system()).when(command).invalid("score");
}

#[test]
fn crd_r5_an_archived_credential_is_neither_approved_nor_resumed() {
    let mut archived = facts();
    archived.credential.as_mut().unwrap().published = false;
    let knowing = |past| given::<Recognition>(past).knowing(archived.clone());
    knowing(assessed(Recommendation::Approve)).when(approve(None)).refused(R::NotPublished {});
    knowing(suspended()).when(C::ResumeRecognition {}).refused(R::NotPublished {});
    given::<Recognition>(suspended())
        .knowing(facts())
        .when(C::ResumeRecognition {})
        .then([E::RecognitionResumed { credential: CREDENTIAL, institution: RECOGNISER }]);
}

#[test]
fn crd_r5_a_policy_suspends_once_and_finds_nothing_to_do_otherwise() {
    let by_policy = |past| given::<Recognition>(past).by(Actor::policy("P-21")).when(suspend());
    by_policy(approved()).then_names(["RecognitionSuspended"]);
    by_policy(suspended()).then([]);
    by_policy(vec![proposed()]).then([]);
    given::<Recognition>(suspended()).when(suspend()).invalid_state("suspended");
}

#[test]
fn crd_r5_a_timer_expires_it_on_the_day_and_not_before() {
    let expiring = |past, instant: &str| {
        given::<Recognition>(past).by(Actor::scheduler("timers")).at(instant).when(C::ExpireRecognition {})
    };
    expiring(approved(), "2028-01-31T23:59:59Z").then([]);
    let state = expiring(approved(), "2028-02-01T00:00:00Z").then_names(["RecognitionExpired"]);
    assert_eq!(state.status, RecognitionStatus::Expired);
    expiring(assessed(Recommendation::Approve), "2030-01-01T00:00:00Z").then([]);
    let moved = E::RecognitionRevised { credit_value: CREDITS, conditions: None, expires: None };
    expiring([approved(), vec![moved]].concat(), "2030-01-01T00:00:00Z").then([]);
}

#[test]
fn commands_out_of_season_mean_nothing() {
    let after = |command| {
        let event = given::<Recognition>(approved()).when(command).events();
        given::<Recognition>([approved(), event].concat()).knowing(facts())
    };
    for command in decisions() {
        after(revoke()).when(command).invalid_state("revoked");
    }
    given::<Recognition>(approved()).knowing(facts()).when(approve(None)).invalid_state("approved");
    given::<Recognition>(approved()).when(reject()).invalid_state("approved");
    given::<Recognition>([proposed()]).when(revoke()).invalid_state("proposed");
    given::<Recognition>([proposed()]).knowing(facts()).when(propose()).invalid_state("proposed");
}

#[test]
fn terms_beyond_their_bounds_are_invalid() {
    let revising =
        |expires| given::<Recognition>(approved()).knowing(facts()).when(revise(None, Some(expires)));
    revising(date(2026, 2, 1)).invalid("expires");
    revising(date(9999, 12, 31)).invalid("expires");
    given::<Recognition>([proposed()]).when(C::RejectRecognition { reason: " ".into() }).invalid("reason");
}

#[test]
fn the_facts_are_those_of_the_other_streams_and_a_decision_pins_the_credential() {
    let credential = MicroCredential {
        exists: true,
        status: CredentialStatus::Published,
        institution: ISSUER,
        credits: CREDITS,
        ..MicroCredential::default()
    };
    let counterpart = MicroCredential { institution: RECOGNISER, ..credential.clone() };
    let institution = OrgUnit { exists: true, active: true, ..OrgUnit::default() };
    let mut world =
        World::default().with(CREDENTIAL, credential).with(id(7), counterpart).with(RECOGNISER, institution);
    let now = Timestamp::UNIX_EPOCH;
    let context = Context { id: id(3), command_id: id(4), actor: system(), now, occurred_at: now };
    let found = Recognition::default().facts(&propose(), &context, &mut world).unwrap();
    nothing::<Recognition>().knowing(found).when(propose()).then([proposed()]);

    let state = given::<Recognition>([proposed()]).state().clone();
    let found = state.facts(&approve(None), &context, &mut world).unwrap();
    assert_eq!((found.credential, world.pinned), (of(ISSUER), vec![CREDENTIAL]));
}

proptest! {
    #[test]
    fn crd_r1_no_type_gives_more_than_the_law_allows(
        r#type in prop::sample::select(vec![
            RecognitionType::FullCredit,
            RecognitionType::PartialCredit,
            RecognitionType::Equivalency,
            RecognitionType::Exemption,
            RecognitionType::AdvancedStanding,
        ]),
        stated in prop::option::of(-10i32..70_000),
        credits in prop::option::of(0i32..60_000),
    ) {
        let credits = credits.map(MilliCredits);
        if let Ok(value) = credit(r#type, stated.map(MilliCredits), credits) {
            match r#type {
                RecognitionType::FullCredit => prop_assert_eq!(value, credits),
                RecognitionType::PartialCredit => {
                    prop_assert!(value > Some(MilliCredits(0)) && value < credits);
                }
                RecognitionType::Equivalency | RecognitionType::Exemption => prop_assert_eq!(value, None),
                RecognitionType::AdvancedStanding => prop_assert!(value.unwrap().in_range()),
            }
        }
    }
}

#[test]
fn every_event_reads_as_it_was_stored() {
    let [_, assessed] = <[E; 2]>::try_from(assessed(Recommendation::Review)).unwrap();
    let pair = (CREDENTIAL, RECOGNISER);
    keeps_history::<Recognition>([
        proposed(),
        assessed,
        E::RecognitionApproved {
            approval_reference: "Senate 2026/3".into(),
            conditions: Some("a grade of B".into()),
            override_reason: Some("known program".into()),
            credential: pair.0,
            institution: pair.1,
            r#type: RecognitionType::PartialCredit,
            credit_value: Some(MilliCredits(1500)),
        },
        E::RecognitionRejected { reason: "too short".into(), credential: pair.0, institution: pair.1 },
        E::RecognitionRevised {
            credit_value: Some(MilliCredits(1000)),
            conditions: None,
            expires: Some(date(2029, 1, 1)),
        },
        E::RecognitionSuspended { reason: "archived".into(), credential: pair.0, institution: pair.1 },
        E::RecognitionResumed { credential: pair.0, institution: pair.1 },
        E::RecognitionRevoked { reason: "changed".into(), credential: pair.0, institution: pair.1 },
        E::RecognitionExpired { credential: pair.0, institution: pair.1 },
    ]);
}
