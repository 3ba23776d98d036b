use super::{PrivacyRequestCommand as C, PrivacyRequestEvent as E, PrivacyRequestRefusal as R, *};
use crate::kernel::{
    Personal, Refusal, RefusalKind, Stated,
    testing::{Outcome, Scenario, World, given, keeps_history, nothing},
};

mod clocks;
mod contested;

const ME: Uuid = Uuid::from_u128(0xAA);
const OFFICER: Uuid = Uuid::from_u128(0x0F);
const DENIER: Uuid = Uuid::from_u128(0xDE);
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const OPENED: &str = "2026-01-01T12:00:00Z";

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

fn me() -> Actor {
    Actor::user(ME, &["student"])
}

fn staff() -> Actor {
    Actor::user(DENIER, &["compliance"])
}

fn open(r#type: PrivacyRequestType, classes: &[RecordClass]) -> C {
    C::OpenPrivacyRequest {
        subject: ME,
        regime: r#type.regime(),
        r#type,
        details: Some(Stated("All of it".into())),
        classes: classes.to_vec(),
        records: if r#type == PrivacyRequestType::Amendment { vec!["transcript".into()] } else { vec![] },
        address: None,
        purposes: vec![],
        received_at: None,
    }
}

fn opened_for(r#type: PrivacyRequestType, classes: &[RecordClass], due_at: &str) -> E {
    E::PrivacyRequestOpened {
        subject: ME,
        regime: r#type.regime(),
        r#type,
        details: Some(Personal::about(ME, "All of it".into())),
        classes: classes.to_vec(),
        opened_at: at(OPENED),
        due_at: at(due_at),
        records: vec![],
        address: None,
        purposes: vec![],
        contests: None,
    }
}

fn opened(r#type: PrivacyRequestType) -> E {
    opened_for(r#type, &[], "2026-02-01T12:00:00Z")
}

fn verified() -> E {
    E::RequesterVerified { method: Verification::Session, by: None }
}

fn approved(r#type: PrivacyRequestType) -> E {
    E::PrivacyRequestApproved {
        note: None,
        regime: r#type.regime(),
        r#type,
        subject: ME,
        classes: vec![],
        refused: vec![],
    }
}

fn denied(r#type: PrivacyRequestType) -> E {
    E::PrivacyRequestDenied {
        ground: "99.21".into(),
        note: "The record is accurate".into(),
        regime: r#type.regime(),
        r#type,
        subject: ME,
        hearing: r#type == PrivacyRequestType::Amendment,
        by: Some(DENIER),
        contests: None,
    }
}

fn extended() -> E {
    E::PrivacyRequestExtended { months: 2, reason: "Many records".into(), due_at: at("2026-04-01T12:00:00Z") }
}

fn step(outcome: StepOutcome) -> E {
    E::FulfilmentStepRecorded { context: "budgeting".into(), outcome, records: 3, note: None }
}

fn packaged() -> E {
    E::PrivacyPackageAttached { document: Uuid::from_u128(0xD0), manifest_hash: HASH.into() }
}

fn heard_at(instant: &str) -> E {
    E::HearingScheduled { at: at(instant), officer: OFFICER }
}

fn heard(amended: bool) -> E {
    E::HearingDecided { amended, decision: "The grade stands".into() }
}

fn after(events: impl IntoIterator<Item = E>) -> Scenario<PrivacyRequest> {
    given(events).by(staff())
}

fn verify(method: Verification, proof: Option<&str>) -> C {
    C::VerifyRequester { method, proof: proof.map(|proof| Stated(proof.into())) }
}

fn approve(classes: Option<&[RecordClass]>, note: Option<&str>) -> C {
    let classes = classes.map(<[RecordClass]>::to_vec);
    C::ApprovePrivacyRequest { note: note.map(str::to_owned), classes }
}

fn deny() -> C {
    C::DenyPrivacyRequest { ground: "99.21".into(), note: "The record is accurate".into() }
}

fn extend(months: i32) -> C {
    C::ExtendPrivacyRequest { months, reason: "Many records".into() }
}

fn complete() -> C {
    C::CompletePrivacyRequest { summary: "Done".into() }
}

fn escalate(days_left: i32) -> C {
    C::EscalatePrivacyRequest { days_left }
}

fn hear(instant: &str, officer: Uuid) -> C {
    C::ScheduleHearing { at: at(instant), officer }
}

fn decide_hearing(amended: bool) -> C {
    C::RecordHearingOutcome { amended, decision: "The grade stands".into() }
}

fn state_own(statement: &str) -> C {
    C::AttachStatement { statement: Stated(statement.into()) }
}

#[track_caller]
fn follows(outcome: Outcome<PrivacyRequest>, name: &str) -> PrivacyRequest {
    outcome.then_names([name])
}

fn due_after(r#type: PrivacyRequestType, instant: &str) -> Timestamp {
    follows(nothing().by(me()).at(instant).when(open(r#type, &[])), "PrivacyRequestOpened").due_at
}

#[test]
fn gov_p1_gdpr_gives_one_calendar_month_and_a_short_month_ends_earlier() {
    let due = |instant| due_after(PrivacyRequestType::Access, instant);
    assert_eq!(due("2026-01-15T08:30:00Z"), at("2026-02-15T08:30:00Z"));
    assert_eq!(due("2026-01-31T12:00:00Z"), at("2026-02-28T12:00:00Z"));
    assert_eq!(due("2028-01-31T12:00:00Z"), at("2028-02-29T12:00:00Z"));
    assert_eq!(due("2026-12-31T12:00:00Z"), at("2027-01-31T12:00:00Z"));
}

#[test]
fn gov_p1_ferpa_gives_45_days() {
    for r#type in [PrivacyRequestType::Inspection, PrivacyRequestType::Amendment] {
        assert_eq!(due_after(r#type, OPENED), at("2026-02-15T12:00:00Z"));
    }
}

#[test]
fn gov_p1_an_extension_is_given_once_by_up_to_two_months_and_within_the_first() {
    let case = |events: &[E]| after([opened(PrivacyRequestType::Access)].into_iter().chain(events.to_vec()));
    case(&[]).when(extend(2)).then([extended()]);
    case(&[]).when(extend(3)).invalid("months");
    case(&[]).when(extend(0)).invalid("months");
    case(&[extended()]).when(extend(1)).refused(R::AlreadyExtended {});
    case(&[]).at("2026-02-01T12:00:00Z").when(extend(1)).then_names(["PrivacyRequestExtended"]);
    case(&[]).at("2026-02-01T12:00:01Z").when(extend(1)).refused(R::ExtensionTooLate {});
    let ferpa = after([opened(PrivacyRequestType::Inspection)]);
    ferpa.when(extend(1)).refused(R::RegimeForbids {});
}

#[test]
fn gov_p1_an_extension_counts_from_the_opening_so_that_no_month_is_cut_short_twice() {
    let request = nothing::<PrivacyRequest>().by(me()).at("2026-01-31T12:00:00Z");
    let opened = request.when(open(PrivacyRequestType::Access, &[])).events();
    let state = follows(after(opened).at("2026-02-10T12:00:00Z").when(extend(2)), "PrivacyRequestExtended");
    assert_eq!(state.due_at, at("2026-04-30T12:00:00Z"));
}

#[test]
fn a_law_gives_its_own_rights_and_no_others() {
    let mixed = C::OpenPrivacyRequest {
        subject: ME,
        regime: PrivacyRegime::Ferpa,
        r#type: PrivacyRequestType::Erasure,
        details: None,
        classes: vec![],
        records: vec![],
        address: None,
        purposes: vec![],
        received_at: None,
    };
    nothing::<PrivacyRequest>().by(me()).when(mixed).invalid("type");
    let twice = open(PrivacyRequestType::Access, &[RecordClass::Profile, RecordClass::Profile]);
    nothing::<PrivacyRequest>().by(me()).when(twice).invalid("classes");
}

#[test]
fn gov_p2_nothing_is_approved_before_the_requester_is_verified() {
    let access = PrivacyRequestType::Access;
    after([opened(access)]).when(approve(None, None)).refused(R::NotVerified {});
    after([opened(access), verified()]).when(approve(None, None)).then([approved(access)]);
    after([opened(access), verified(), approved(access)]).when(approve(None, None)).invalid_state("approved");
}

#[test]
fn gov_p2_a_requester_is_verified_by_session_code_or_document() {
    let case = || after([opened(PrivacyRequestType::Access)]).by(me());
    case().when(verify(Verification::Session, None)).then([verified()]);
    let code = verify(Verification::EmailCode, Some("0123"));
    let label = requester_code_label(Uuid::from_u128(0x1D));
    let known = |hash: String| {
        World::default().answering(Question::TokenHash { label: label.clone() }, Answer::Hash(hash))
    };
    case()
        .looking_up(&code, &mut known(sha256_hex("0123")))
        .when(code.clone())
        .then_names(["RequesterVerified"]);
    case().looking_up(&code, &mut known(sha256_hex("9999"))).when(code).refused(R::BadCode {});
    case().when(verify(Verification::EmailCode, None)).refused(R::BadCode {});
    after([opened(PrivacyRequestType::Access), verified()])
        .when(verify(Verification::Document, None))
        .invalid_state("verified");
}

#[test]
fn gov_p2_whoever_vouched_for_the_requester_does_not_approve() {
    use PrivacyRequestType as Type;
    let second = || Actor::user(OFFICER, &["compliance"]);
    for r#type in [Type::Access, Type::Inspection, Type::Erasure] {
        let seen = after([opened(r#type)]).when(verify(Verification::Document, None)).events();
        assert_eq!(seen, [E::RequesterVerified { method: Verification::Document, by: Some(DENIER) }]);
        let case = || after([opened(r#type)].into_iter().chain(seen.clone()));
        case().when(approve(None, None)).refused(R::SamePerson {});
        case().by(second()).when(approve(None, None)).then([approved(r#type)]);
        assert!(!case().permits(&Actor::policy("stop_marketing"), &approve(None, None)));
        // It only takes something back from who would be wronged: whoever vouched may do it.
        follows(case().when(deny()), "PrivacyRequestDenied");
    }
    assert_eq!((R::SamePerson {}).kind(), RefusalKind::Forbidden);
}

#[test]
fn gov_p2_a_code_to_an_address_of_the_office_is_vouched_for_and_one_to_a_verified_address_is_not() {
    let entered = |by| E::RequesterVerified { method: Verification::EmailCode, by };
    let case = |address: Option<&str>, by| {
        let mut opened = opened(PrivacyRequestType::Access);
        if let E::PrivacyRequestOpened { address: on_file, .. } = &mut opened {
            *on_file = address.map(|address| Personal::about(ME, address.to_owned()));
        }
        after([opened, entered(by)]).when(approve(None, None))
    };
    case(Some("me@example.org"), Some(DENIER)).refused(R::SamePerson {});
    follows(case(Some("me@example.org"), Some(OFFICER)), "PrivacyRequestApproved");
    follows(case(Some("me@example.org"), None), "PrivacyRequestApproved");
    follows(case(None, Some(DENIER)), "PrivacyRequestApproved");
}

#[test]
fn a_verification_of_which_the_log_does_not_say_whose_it_was_is_approved_as_ever() {
    let access = PrivacyRequestType::Access;
    let unknown = E::RequesterVerified { method: Verification::Document, by: None };
    after([opened(access), unknown]).when(approve(None, None)).then([approved(access)]);
}

#[test]
fn who_decides_does_not_decide_on_a_request_of_their_own() {
    let case = after([opened(PrivacyRequestType::Erasure), verified()]);
    let mine = Actor::user(ME, &["compliance"]);
    for command in [approve(None, None), deny(), extend(1), verify(Verification::Document, None)] {
        assert!(case.permits(&staff(), &command) && !case.permits(&mine, &command));
        assert!(!case.permits(&Actor::user(OFFICER, &["staff"]), &command));
        assert!(!case.permits(&Actor::policy("any"), &command));
    }
    assert!(
        case.permits(&me(), &C::CancelPrivacyRequest {})
            && !case.permits(&staff(), &C::CancelPrivacyRequest {})
    );
    assert!(case.permits(&me(), &verify(Verification::Session, None)));
    assert!(!case.permits(&staff(), &verify(Verification::Session, None)));
    let stranger = Actor::user(OFFICER, &["student"]);
    assert!(!nothing::<PrivacyRequest>().permits(&stranger, &open(PrivacyRequestType::Access, &[])));
    assert!(nothing::<PrivacyRequest>().permits(&staff(), &open(PrivacyRequestType::Access, &[])));
    for command in [complete(), escalate(7)] {
        assert!(case.permits(&Actor::policy("any"), &command) && !case.permits(&staff(), &command));
    }
}

#[test]
fn a_person_has_one_open_request_of_a_kind() {
    let key = Claim::Take(format!("privacy:{ME}:gdpr:access"));
    let claims = nothing::<PrivacyRequest>().by(me()).when(open(PrivacyRequestType::Access, &[])).claims();
    assert_eq!(claims, [key]);
    assert_eq!(PrivacyRequest::taken(&format!("privacy:{ME}:gdpr:access")), Some(R::Duplicate {}));
    let freed =
        after([opened(PrivacyRequestType::Access)]).by(me()).when(C::CancelPrivacyRequest {}).claims();
    assert!(freed.contains(&Claim::Free(format!("privacy:{ME}:gdpr:access"))));
}

#[test]
fn gov_p4_a_request_to_inspect_has_the_seat_of_a_hold_on_the_education_records_until_it_is_over() {
    let key = format!("hold:{ME}:education");
    let inspection = PrivacyRequestType::Inspection;
    let inspects = nothing::<PrivacyRequest>().by(me()).when(open(inspection, &[])).claims();
    assert!(inspects.contains(&Claim::Seat { key: key.clone(), limit: u32::MAX }), "{inspects:?}");
    let cancelled = after([opened(inspection)]).by(me()).when(C::CancelPrivacyRequest {}).claims();
    assert!(cancelled.contains(&Claim::Free(key.clone())));
    assert!(after([opened(inspection), verified()]).when(deny()).claims().contains(&Claim::Free(key)));
    let amends = nothing::<PrivacyRequest>().by(me()).when(open(PrivacyRequestType::Amendment, &[])).claims();
    assert_eq!(amends.len(), 1, "an amendment destroys nothing and keeps nothing");
}

#[test]
fn gov_p2_a_code_goes_to_an_address_that_staff_have_on_file_and_not_to_one_that_the_person_names() {
    let open = |address: &str| C::OpenPrivacyRequest {
        subject: ME,
        regime: PrivacyRegime::Gdpr,
        r#type: PrivacyRequestType::Access,
        details: None,
        classes: vec![],
        records: vec![],
        address: Some(Stated(address.into())),
        purposes: vec![],
        received_at: None,
    };
    nothing::<PrivacyRequest>().by(me()).when(open("me@example.org")).invalid("address");
    follows(nothing().by(staff()).when(open("me@example.org")), "PrivacyRequestOpened");
    for wrong in ["me", "@example.org", "me@", "me@example.org\r\nBcc: all", "me and@you"] {
        nothing::<PrivacyRequest>().by(staff()).when(open(wrong)).invalid("address");
    }
}

#[test]
fn gov_p5_that_a_record_was_corrected_is_said_by_staff_and_not_by_the_person() {
    let step = C::RecordFulfilmentStep {
        context: "education".into(),
        outcome: StepOutcome::Done,
        records: 1,
        note: None,
    };
    for r#type in [PrivacyRequestType::Amendment, PrivacyRequestType::Rectification] {
        let case = after([opened(r#type), verified(), approved(r#type)]);
        assert!(case.permits(&staff(), &step) && case.permits(&Actor::policy("any"), &step));
        assert!(!case.permits(&me(), &step) && !case.permits(&Actor::user(ME, &["compliance"]), &step));
        follows(case.when(step.clone()), "FulfilmentStepRecorded");
    }
    let erasure = PrivacyRequestType::Erasure;
    assert!(!after([opened(erasure), verified(), approved(erasure)]).permits(&staff(), &step));
}

#[test]
fn gov_p4_an_erasure_is_approved_class_by_class_and_what_is_refused_has_a_ground() {
    let asked = [RecordClass::Education, RecordClass::Device];
    let case = || {
        let opened = opened_for(PrivacyRequestType::Erasure, &asked, "2026-02-01T12:00:00Z");
        after([opened, verified()])
    };
    let only = Some(&[RecordClass::Device][..]);
    case().when(approve(only, None)).invalid("note");
    case().when(approve(only, Some("Art. 17(3)(b)"))).then([E::PrivacyRequestApproved {
        note: Some("Art. 17(3)(b)".into()),
        regime: PrivacyRegime::Gdpr,
        r#type: PrivacyRequestType::Erasure,
        subject: ME,
        classes: vec![RecordClass::Device],
        refused: vec![RecordClass::Education],
    }]);
    case().when(approve(Some(&[RecordClass::Payment]), Some("?"))).invalid("classes");
    case().when(approve(Some(&[]), Some("?"))).invalid("classes");
}

#[test]
fn gov_p4_what_proves_who_somebody_is_is_not_refused_where_who_they_are_is_erased() {
    let approved_of = |r#type: PrivacyRequestType, only: &[RecordClass]| {
        let approves = after([opened(r#type), verified()]).when(approve(Some(only), Some("Art. 17(3)(e)")));
        match approves.events().remove(0) {
            E::PrivacyRequestApproved { classes, refused, .. } => (classes, refused),
            other => panic!("{other:?}"),
        }
    };
    let without = |left_out: &[RecordClass]| -> Vec<RecordClass> {
        RecordClass::ALL.into_iter().filter(|class| !left_out.contains(class)).collect()
    };
    let named = without(&[RecordClass::Secret, RecordClass::Financial]);
    let erasure = approved_of(PrivacyRequestType::Erasure, &named);
    assert_eq!(erasure, (named.clone(), vec![RecordClass::Financial]));
    let nobody = without(&[RecordClass::Secret, RecordClass::Identity]);
    let (_, refused) = approved_of(PrivacyRequestType::Erasure, &nobody);
    assert_eq!(refused, [RecordClass::Identity, RecordClass::Secret]);
    let (_, refused) = approved_of(PrivacyRequestType::Access, &named);
    assert_eq!(refused, [RecordClass::Financial, RecordClass::Secret]);
}

#[test]
fn gov_p3_an_access_is_complete_with_its_steps_and_its_package() {
    let access = PrivacyRequestType::Access;
    let case = |events: &[E]| {
        after([opened(access), verified(), approved(access)].into_iter().chain(events.to_vec()))
    };
    case(&[]).when(complete()).refused(R::StepsMissing {});
    case(&[step(StepOutcome::Done)]).when(complete()).refused(R::StepsMissing {});
    case(&[step(StepOutcome::Partial), packaged()]).when(complete()).refused(R::StepsMissing {});
    follows(
        case(&[step(StepOutcome::Partial), packaged(), step(StepOutcome::Done)]).when(complete()),
        "PrivacyRequestCompleted",
    );
    after([opened(access), verified()]).when(complete()).invalid_state("verified");
    let erasure = PrivacyRequestType::Erasure;
    let attach = C::AttachPackage { document: Uuid::from_u128(0xD0), manifest_hash: HASH.into() };
    let erases = || after([opened(erasure), verified(), approved(erasure), step(StepOutcome::Done)]);
    erases().when(attach.clone()).invalid_state("in_fulfilment");
    follows(erases().when(complete()), "PrivacyRequestCompleted");
    case(&[]).when(attach).then([packaged()]);
}

#[test]
fn gov_p5_a_context_reports_what_it_has_done_and_the_last_report_counts() {
    let erasure = PrivacyRequestType::Erasure;
    let case = || after([opened(erasure), verified(), approved(erasure), step(StepOutcome::Partial)]);
    let report =
        |outcome| C::RecordFulfilmentStep { context: "budgeting".into(), outcome, records: 3, note: None };
    case().when(report(StepOutcome::Partial)).then([]);
    let state = case().when(report(StepOutcome::Done)).then([step(StepOutcome::Done)]);
    assert_eq!(state.steps["budgeting"], StepOutcome::Done);
    after([opened(erasure)]).when(report(StepOutcome::Done)).invalid_state("opened");
}

#[test]
fn gov_p1_a_refused_amendment_is_heard_by_somebody_without_an_interest_in_it() {
    let amendment = PrivacyRequestType::Amendment;
    let refused = || vec![opened(amendment), verified(), denied(amendment)];
    let day = "2026-02-01T09:00:00Z";
    follows(after(refused()).when(hear(day, OFFICER)), "HearingScheduled");
    let named = R::OfficerInterested { named: true };
    assert_eq!(named.field(), Some("officer"));
    after(refused()).when(hear(day, DENIER)).refused(named.clone());
    after(refused()).when(hear(day, ME)).refused(named);
    after(refused()).when(hear("2025-12-31T12:00:00Z", OFFICER)).invalid("at");
    let access = PrivacyRequestType::Access;
    after([opened(access), denied(access)]).when(hear(day, OFFICER)).invalid_state("denied");
    let scheduled = || refused().into_iter().chain([heard_at(day)]);
    let officer = || after(scheduled()).by(Actor::user(OFFICER, &[]));
    officer().when(decide_hearing(false)).invalid("decision");
    follows(officer().at(day).when(decide_hearing(false)), "HearingDecided");
    let denier = after(scheduled()).at(day).by(Actor::user(DENIER, &["compliance"]));
    let decides = R::OfficerInterested { named: false };
    assert_eq!(decides.field(), None, "that command names no officer");
    denier.when(decide_hearing(true)).refused(decides);
    follows(after(scheduled()).when(hear("2026-03-01T09:00:00Z", OFFICER)), "HearingScheduled");
    assert!(after(scheduled()).permits(&Actor::user(OFFICER, &[]), &decide_hearing(true)));
    assert!(!after(scheduled()).permits(&Actor::user(ME, &["compliance"]), &decide_hearing(true)));
}

#[test]
fn gov_p1_who_is_not_heard_may_place_a_statement_that_stays_with_the_record() {
    let amendment = PrivacyRequestType::Amendment;
    let case = |events: &[E]| {
        let past = [opened(amendment), verified(), denied(amendment), heard_at("2026-01-02T09:00:00Z")];
        after(past.into_iter().chain(events.to_vec())).by(me())
    };
    case(&[]).when(state_own("I disagree")).invalid_state("hearing");
    case(&[heard(true)]).when(state_own("I disagree")).invalid_state("hearing");
    let seat = Claim::Seat { key: format!("statement:{ME}"), limit: u32::MAX };
    assert_eq!(case(&[heard(false)]).when(state_own("I disagree")).claims(), [seat]);
    follows(case(&[heard(false)]).when(state_own("I disagree")), "StatementAttached");
    let completed = E::PrivacyRequestCompleted {
        summary: "Heard".into(),
        regime: PrivacyRegime::Ferpa,
        r#type: amendment,
        subject: ME,
        contests: None,
    };
    follows(case(&[heard(false), completed]).when(state_own("I disagree")), "StatementAttached");
    case(&[]).when(complete()).refused(R::StepsMissing {});
    follows(case(&[heard(true)]).when(complete()), "PrivacyRequestCompleted");
}

#[test]
fn gov_p6_a_request_is_escalated_7_and_2_days_before_it_is_due_and_when_it_is() {
    let due = "2026-02-01T12:00:00Z";
    let case = |events: &[E]| after([opened(PrivacyRequestType::Access)].into_iter().chain(events.to_vec()));
    for (instant, days_left) in [("2026-01-25T12:00:00Z", 7), ("2026-01-30T12:00:00Z", 2), (due, 0)] {
        let escalated = E::PrivacyRequestEscalated { days_left };
        case(&[]).at(instant).when(escalate(days_left)).then([escalated.clone()]);
        case(&[escalated]).at(instant).when(escalate(days_left)).then([]);
        case(&[extended()]).at(instant).when(escalate(days_left)).then([]);
    }
    case(&[]).at("2026-01-25T11:59:59Z").when(escalate(7)).then([]);
    case(&[denied(PrivacyRequestType::Access)]).at(due).when(escalate(0)).then([]);
    let again = [E::PrivacyRequestEscalated { days_left: 7 }, extended()];
    follows(case(&again).at("2026-03-25T12:00:00Z").when(escalate(7)), "PrivacyRequestEscalated");
}

#[test]
fn gov_p6_a_hearing_is_escalated_before_its_day() {
    let amendment = PrivacyRequestType::Amendment;
    let case = |events: &[E]| {
        let past = [opened(amendment), verified(), denied(amendment), heard_at("2026-03-01T09:00:00Z")];
        after(past.into_iter().chain(events.to_vec())).at("2026-02-27T09:00:00Z")
    };
    follows(case(&[]).when(escalate(2)), "PrivacyRequestEscalated");
    case(&[heard(false)]).when(escalate(2)).then([]);
}

#[test]
fn every_event_reads_as_it_was_stored() {
    let amendment = PrivacyRequestType::Amendment;
    keeps_history::<PrivacyRequest>([
        opened_for(PrivacyRequestType::Erasure, &[RecordClass::Device], "2026-02-01T12:00:00Z"),
        verified(),
        E::PrivacyRequestApproved {
            note: Some("Art. 17(3)(b)".into()),
            regime: PrivacyRegime::Gdpr,
            r#type: PrivacyRequestType::Erasure,
            subject: ME,
            classes: vec![RecordClass::Device],
            refused: vec![RecordClass::Education],
        },
        denied(amendment),
        extended(),
        step(StepOutcome::Done),
        packaged(),
        heard_at("2026-02-01T09:00:00Z"),
        heard(false),
        E::StatementAttached { statement: Personal::about(ME, "I disagree".into()), subject: Uuid::nil() },
        E::PrivacyRequestCompleted {
            summary: "Done".into(),
            regime: PrivacyRegime::Gdpr,
            r#type: PrivacyRequestType::Erasure,
            subject: ME,
            contests: None,
        },
        E::PrivacyRequestCancelled {
            regime: PrivacyRegime::Gdpr,
            r#type: PrivacyRequestType::Erasure,
            subject: ME,
            contests: None,
        },
        E::PrivacyRequestEscalated { days_left: 7 },
    ]);
}
