use super::{DisclosureCommand as C, DisclosureEvent as E, DisclosureRefusal as R, *};
use crate::{
    governance::{ConsentLedgerEvent, DisclosureBasis as B},
    identity::{ProfileEvent, Visibility},
    kernel::{
        Stated,
        testing::{Outcome, Scenario, World, given, keeps_history, nothing},
    },
};

const ADA: Uuid = Uuid::from_u128(0xAA);
const OFFICER: Uuid = Uuid::from_u128(0x0F);
const CONSENT: Uuid = Uuid::from_u128(0xC1);
const NOW: &str = "2026-01-01T12:00:00Z";

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn request(basis: &str, party_kind: PartyKind, records: &[&str]) -> C {
    C::RequestDisclosure {
        subject: ADA,
        party: Stated("Acme".into()),
        party_kind,
        records: texts(records),
        interest: "An application for work".into(),
        basis: basis.into(),
        redisclosure_to: texts(&["Payroll Ltd"]),
        address: None,
    }
}

fn requested_for(basis: B, party_kind: PartyKind, records: &[&str]) -> E {
    E::DisclosureRequested {
        subject: ADA,
        party: Personal::about(Uuid::from_u128(0xACE), "Acme".into()),
        party_kind,
        records: texts(records),
        interest: "An application for work".into(),
        basis,
        redisclosure_to: texts(&["Payroll Ltd"]),
        address: None,
    }
}

fn requested(basis: B, party_kind: PartyKind) -> E {
    requested_for(basis, party_kind, &["transcript"])
}

fn authorize(consent: Option<Uuid>) -> C {
    C::AuthorizeDisclosure { by: OFFICER, consent, agreement: None, notified_at: None }
}

fn authorized(consent: Option<Uuid>) -> E {
    authorized_at(Some(NOW), consent, None)
}

fn authorized_at(instant: Option<&str>, consent: Option<Uuid>, told: Option<&str>) -> E {
    E::DisclosureAuthorized {
        by: OFFICER,
        consent,
        agreement: None,
        notified_at: told.map(at),
        authorized_at: instant.map(at),
    }
}

fn record(threat: Option<&str>) -> C {
    record_at(NOW, threat)
}

fn record_at(instant: &str, threat: Option<&str>) -> C {
    C::RecordDisclosure {
        documents: vec![Uuid::from_u128(0xD0)],
        method: "mail".into(),
        at: at(instant),
        threat: threat.map(|threat| Stated(threat.into())),
    }
}

fn recorded(basis: B, party_kind: PartyKind, threat: Option<&str>) -> E {
    E::DisclosureRecorded {
        documents: vec![Uuid::from_u128(0xD0)],
        method: "mail".into(),
        at: at(NOW),
        threat: threat.map(|threat| Personal::about(ADA, threat.into())),
        subject: ADA,
        party_kind,
        basis,
        exempt: basis.exempt(),
        redisclosure_notice: basis.limits_redisclosure(),
        statements: vec![],
        statements_on_file: 0,
    }
}

/// A world in which the student has placed these statements, each on these records.
fn stating(statements: &[(u128, &[&str])]) -> World {
    let statements =
        statements.iter().map(|(request, records)| (Uuid::from_u128(*request), texts(records))).collect();
    World::default().answering(Question::Statements { subject: ADA }, Answer::Statements(statements))
}

fn append(party: &str, instant: &str) -> C {
    C::AppendRedisclosure { party: Stated(party.into()), interest: "Wages".into(), at: at(instant) }
}

fn after(events: impl IntoIterator<Item = E>) -> Scenario<Disclosure> {
    given(events)
}

#[track_caller]
fn follows(outcome: Outcome<Disclosure>, name: &str) {
    outcome.then_names([name]);
}

/// A ledger in which the student consents to disclose the transcript to Acme, until a moment.
fn consenting(until: Option<&str>, revoked: bool) -> ConsentLedger {
    let mut ledger = ConsentLedger::default();
    ledger.evolve(&ConsentLedgerEvent::DisclosureConsentGranted {
        subject: ADA,
        consent: CONSENT,
        records: "Transcript".into(),
        purpose: "An application for work".into(),
        party: Personal::about(Uuid::from_u128(0xACE), "ACME".into()),
        signed_at: at("2025-12-01T00:00:00Z"),
        signature: Uuid::from_u128(0xD1),
        until: until.map(at),
    });
    if revoked {
        ledger.evolve(&ConsentLedgerEvent::DisclosureConsentRevoked { consent: CONSENT });
    }
    ledger
}

fn opted(out: bool) -> Profile {
    let mut profile = Profile::default();
    profile.evolve(&ProfileEvent::DirectoryVisibilitySet {
        visibility: Visibility::Members,
        ferpa_directory_opt_out: out,
    });
    profile
}

/// Decides a command with the facts that it looks up in this world.
#[track_caller]
fn in_world(events: impl IntoIterator<Item = E>, mut world: World, command: C) -> Outcome<Disclosure> {
    let case = after(events).looking_up(&command, &mut world);
    case.when(command)
}

#[test]
fn gov_d1_a_request_names_a_basis_that_there_is() {
    follows(
        nothing().when(request("99.31(a)(1)(i)(A)", PartyKind::SchoolOfficial, &["transcript"])),
        "DisclosureRequested",
    );
    for none in ["99.31", "99.31(a)(17)", "school_official", ""] {
        nothing::<Disclosure>()
            .when(request(none, PartyKind::SchoolOfficial, &["transcript"]))
            .refused(R::BasisUnknown {});
    }
    nothing::<Disclosure>().when(request("99.30", PartyKind::Other, &[])).invalid("records");
}

#[test]
fn gov_d1_a_basis_that_does_not_fit_the_party_authorises_nothing_and_the_refusal_is_kept() {
    for basis in B::ALL.into_iter().filter(|basis| *basis != B::Consent) {
        let unfit = if basis.fits(PartyKind::Employer) { PartyKind::Student } else { PartyKind::Employer };
        in_world([requested(basis, unfit)], World::default(), authorize(None)).refused(R::BasisUnfit {});
    }
    let refuse = C::RefuseDisclosure { reason: "No basis".into() };
    follows(after([requested(B::Study, PartyKind::Employer)]).when(refuse.clone()), "DisclosureRefused");
    let refused = E::DisclosureRefused { reason: "No basis".into() };
    after([requested(B::Study, PartyKind::Employer), refused]).when(authorize(None)).invalid_state("refused");
}

#[test]
fn gov_d1_each_basis_carries_a_disclosure_to_its_own_kind_of_party() {
    for (basis, party) in [
        (B::SchoolOfficial, PartyKind::SchoolOfficial),
        (B::Contractor, PartyKind::Contractor),
        (B::OtherSchool, PartyKind::OtherSchool),
        (B::Emergency, PartyKind::Emergency),
        (B::Student, PartyKind::Student),
        (B::Accreditation, PartyKind::Other),
    ] {
        follows(
            in_world([requested(basis, party)], World::default(), authorize(None)),
            "DisclosureAuthorized",
        );
    }
}

#[test]
fn gov_d1_without_a_basis_of_99_31_only_the_students_own_consent_carries_it() {
    let case = || [requested(B::Consent, PartyKind::Employer)];
    let with = |ledger| World::default().with(ADA, ledger);
    let granted = in_world(case(), with(consenting(None, false)), authorize(Some(CONSENT)));
    granted.then([authorized(Some(CONSENT))]);
    let missing = |gap| R::ConsentMissing { gap };
    let none = in_world(case(), with(consenting(None, false)), authorize(None));
    none.refused(missing(ConsentGap::NotGiven));
    let revoked = in_world(case(), with(consenting(None, true)), authorize(Some(CONSENT)));
    revoked.refused(missing(ConsentGap::Revoked));
    let expired = in_world(case(), with(consenting(Some(NOW), false)), authorize(Some(CONSENT)));
    expired.refused(missing(ConsentGap::Expired));
    let grades = [requested_for(B::Consent, PartyKind::Employer, &["transcript", "grades"])];
    let beyond = in_world(grades, with(consenting(None, false)), authorize(Some(CONSENT)));
    beyond.refused(missing(ConsentGap::OtherRecords));
    in_world(case(), World::default(), authorize(Some(CONSENT))).refused(missing(ConsentGap::NotGiven));
}

#[test]
fn what_is_revoked_after_the_authorisation_is_not_disclosed() {
    let case = || [requested(B::Consent, PartyKind::Employer), authorized(Some(CONSENT))];
    let with = |ledger| stating(&[]).with(ADA, ledger);
    follows(in_world(case(), with(consenting(None, false)), record(None)), "DisclosureRecorded");
    let gap = ConsentGap::Revoked;
    in_world(case(), with(consenting(None, true)), record(None)).refused(R::ConsentMissing { gap });
    let directory = [requested_for(B::Directory, PartyKind::Directory, &["name"]), authorized(None)];
    in_world(directory, stating(&[]).with(ADA, opted(true)), record(None)).refused(R::OptedOut {});
}

#[test]
fn a_statement_on_a_contested_record_is_disclosed_with_it_and_with_no_other() {
    let (basis, party) = (B::OtherSchool, PartyKind::OtherSchool);
    let case = || [requested(basis, party), authorized(None)];
    let world = stating(&[(1, &["Transcript"]), (2, &["attendance"]), (3, &[])]);
    let events = in_world(case(), world, record(None)).events();
    let [E::DisclosureRecorded { statements, statements_on_file, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*statements, [Uuid::from_u128(1), Uuid::from_u128(3)], "none named means all");
    assert_eq!(*statements_on_file, 3);
}

#[test]
fn a_disclosure_is_not_recorded_past_a_statement_that_it_has_not_seen() {
    let (basis, party) = (B::OtherSchool, PartyKind::OtherSchool);
    let claims = |world| in_world([requested(basis, party), authorized(None)], world, record(None)).claims();
    let key = format!("statement:{ADA}");
    let after = |limit| [Claim::Seat { key: key.clone(), limit }, Claim::Free(key.clone())];
    assert_eq!(claims(stating(&[])), after(1));
    assert_eq!(claims(stating(&[(2, &["attendance"])])), after(2), "whatever it is about");
    assert_eq!(Disclosure::taken(&key), Some(R::StatementPending {}));
}

#[test]
fn gov_d1_a_study_rests_on_an_agreement_and_an_order_on_the_notice_to_the_student() {
    let authorize = |agreement: Option<u128>, notified_at: Option<&str>| C::AuthorizeDisclosure {
        by: OFFICER,
        consent: None,
        agreement: agreement.map(Uuid::from_u128),
        notified_at: notified_at.map(at),
    };
    let study = || after([requested(B::Study, PartyKind::Other)]);
    study().when(authorize(None, None)).refused(R::AgreementMissing {});
    follows(study().when(authorize(Some(7), None)), "DisclosureAuthorized");
    let order = || after([requested(B::JudicialOrder, PartyKind::Court)]);
    order().when(authorize(None, None)).refused(R::NoticeMissing {});
    order().when(authorize(None, Some("2026-01-01T12:00:01Z"))).invalid("notified_at");
    follows(order().when(authorize(None, Some("2025-12-20T12:00:00Z"))), "DisclosureAuthorized");
    for secret in [B::GrandJurySubpoena, B::SealedSubpoena, B::TerrorismOrder] {
        follows(
            after([requested(secret, PartyKind::Court)]).when(authorize(None, None)),
            "DisclosureAuthorized",
        );
    }
}

#[test]
fn gov_d1_of_a_proceeding_the_final_results_are_told_and_nothing_else() {
    for basis in [B::CrimeVictim, B::DisciplinaryResult] {
        let asked = |records: &[&str]| after([requested_for(basis, PartyKind::Other, records)]);
        asked(&["final_results", "transcript"]).when(authorize(None)).refused(R::NotFinalResults {});
        follows(asked(&[FINAL_RESULTS]).when(authorize(None)), "DisclosureAuthorized");
    }
}

#[test]
fn the_consent_and_the_opt_out_are_pinned() {
    let mut world = World::default().with(ADA, consenting(None, false));
    let command = authorize(Some(CONSENT));
    let _ = after([requested(B::Consent, PartyKind::Employer)]).looking_up(&command, &mut world);
    assert_eq!(world.pinned, [ADA]);
    let mut world = World::default().with(ADA, opted(false));
    let _ = after([requested_for(B::Directory, PartyKind::Directory, &["name"])])
        .looking_up(&command, &mut world);
    assert_eq!(world.pinned, [ADA, ADA], "a restriction too");
}

#[test]
fn gov_d4_directory_information_of_who_opted_out_is_not_disclosed() {
    let case = || [requested_for(B::Directory, PartyKind::Directory, &["name", "major"])];
    let world = |out| World::default().with(ADA, opted(out));
    in_world(case(), world(true), authorize(None)).refused(R::OptedOut {});
    follows(in_world(case(), world(false), authorize(None)), "DisclosureAuthorized");
    let grades = [requested_for(B::Directory, PartyKind::Directory, &["name", "grades"])];
    in_world(grades, world(false), authorize(None)).refused(R::NotDirectoryInformation {});
}

#[test]
fn gov_d3_an_emergency_is_recorded_with_its_threat() {
    let (basis, party) = (B::Emergency, PartyKind::Emergency);
    let case = || after([requested(basis, party), authorized(None)]);
    case().when(record(None)).refused(R::ThreatMissing {});
    case().when(record(Some("  "))).refused(R::ThreatMissing {});
    case().when(record(Some("A fire in the hall"))).then([recorded(
        basis,
        party,
        Some("A fire in the hall"),
    )]);
}

#[test]
fn gov_d2_what_is_exempt_is_recorded_and_marked() {
    for (basis, party, exempt) in [
        (B::SchoolOfficial, PartyKind::SchoolOfficial, true),
        (B::Student, PartyKind::Student, true),
        (B::GrandJurySubpoena, PartyKind::Court, true),
        (B::JudicialOrder, PartyKind::Court, false),
        (B::OtherSchool, PartyKind::OtherSchool, false),
    ] {
        let events = after([requested(basis, party), authorized(None)]).when(record(None)).events();
        assert!(matches!(&events[..], [E::DisclosureRecorded { exempt: found, .. }] if *found == exempt));
    }
}

#[test]
fn nothing_is_disclosed_before_it_is_authorised_nor_twice_nor_in_the_future() {
    let (basis, party) = (B::SchoolOfficial, PartyKind::SchoolOfficial);
    after([requested(basis, party)]).when(record(None)).refused(R::NotAuthorized {});
    let refused = E::DisclosureRefused { reason: "No".into() };
    after([requested(basis, party), refused]).when(record(None)).refused(R::NotAuthorized {});
    let all = || [requested(basis, party), authorized(None), recorded(basis, party, None)];
    after(all()).when(record(None)).invalid_state("recorded");
    after([requested(basis, party), authorized(None)])
        .at("2025-12-31T11:00:00Z")
        .when(record(None))
        .invalid("at");
}

#[test]
fn nothing_is_disclosed_before_it_was_authorised_as_far_as_clocks_agree() {
    let case = || after([requested(B::Student, PartyKind::Student), authorized(None)]);
    case().when(record_at("2026-01-01T11:54:59Z", None)).invalid("at");
    follows(case().when(record_at("2026-01-01T11:55:00Z", None)), "DisclosureRecorded");
    let undated = [requested(B::Student, PartyKind::Student), authorized_at(None, None, None)];
    follows(after(undated).when(record_at("2025-12-01T00:00:00Z", None)), "DisclosureRecorded");
}

#[test]
fn nothing_is_disclosed_before_the_consent_was_signed_or_the_student_was_told_of_the_order() {
    let recorded = |past: [E; 2], instant| {
        let world = stating(&[]).with(ADA, consenting(None, false));
        in_world(past, world, record_at(instant, None))
    };
    let consented = || [requested(B::Consent, PartyKind::Employer), authorized_at(None, Some(CONSENT), None)];
    recorded(consented(), "2025-11-30T23:59:59Z").invalid("at");
    follows(recorded(consented(), "2025-12-01T00:00:00Z"), "DisclosureRecorded");
    let told = authorized_at(None, None, Some("2025-12-20T12:00:00Z"));
    let ordered = || [requested(B::JudicialOrder, PartyKind::Court), told.clone()];
    recorded(ordered(), "2025-12-20T11:59:59Z").invalid("at");
    follows(recorded(ordered(), "2025-12-20T12:00:00Z"), "DisclosureRecorded");
}

#[test]
fn a_redisclosure_is_recorded_whether_or_not_99_33_allows_it() {
    let all = |basis, party| after([requested(basis, party), authorized(None), recorded(basis, party, None)]);
    let allowed = |outcome: Outcome<Disclosure>| match &outcome.events()[..] {
        [E::RedisclosureAppended { allowed, .. }] => *allowed,
        other => panic!("{other:?}"),
    };
    let school = || all(B::OtherSchool, PartyKind::OtherSchool);
    assert!(allowed(school().when(append("payroll ltd ", NOW))), "the request named them");
    assert!(!allowed(school().when(append("A newspaper", NOW))));
    let court = all(B::JudicialOrder, PartyKind::Court);
    assert!(allowed(court.when(append("Appeal court", NOW))), "99.33(c)");
    school().when(append("Payroll Ltd", "2025-12-31T12:00:00Z")).invalid("at");
    after([requested(B::Study, PartyKind::Other)]).when(append("Any", NOW)).invalid_state("requested");
}

#[test]
fn a_student_who_asks_is_the_party() {
    let events =
        nothing::<Disclosure>().when(request("99.31(a)(12)", PartyKind::Student, &["transcript"])).events();
    let [E::DisclosureRequested { party, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(party.subject(), Some(ADA));
    let events = nothing::<Disclosure>()
        .when(request("99.31(a)(2)", PartyKind::OtherSchool, &["transcript"]))
        .events();
    let [E::DisclosureRequested { party, .. }] = &events[..] else { panic!("{events:?}") };
    assert_ne!(party.subject(), Some(ADA), "another party is a subject of its own");
}

#[test]
fn a_disclosure_is_for_those_who_manage_privacy_each_in_their_own_name() {
    let case = after([requested(B::Student, PartyKind::Student)]);
    let officer = Actor::user(OFFICER, &["compliance"]);
    let other = Actor::user(Uuid::from_u128(0x10), &["compliance"]);
    assert!(case.permits(&officer, &authorize(None)) && !case.permits(&other, &authorize(None)));
    assert!(case.permits(&Actor::policy("disclose"), &authorize(None)));
    let commands = [
        request("99.30", PartyKind::Other, &["x"]),
        authorize(None),
        C::RefuseDisclosure { reason: "No".into() },
        record(None),
        append("x", NOW),
    ];
    for command in commands {
        for role in ["student", "staff", "analyst", "operator"] {
            assert!(!case.permits(&Actor::user(OFFICER, &[role]), &command), "{role}");
        }
        assert!(!case.permits(&Actor::user(ADA, &["student"]), &command), "the student reads it");
    }
}

#[test]
fn gov_p5_what_the_student_had_restricted_is_disclosed_on_a_basis_that_overrides_that_and_on_no_other() {
    let mut ledger = consenting(None, false);
    ledger.evolve(&ConsentLedgerEvent::ProcessingRestricted {
        subject: ADA,
        request: Uuid::from_u128(0x9E),
        purposes: vec![],
        classes: vec![RecordClass::Education],
        objection: false,
    });
    for (basis, party) in
        [(B::SchoolOfficial, PartyKind::SchoolOfficial), (B::OtherSchool, PartyKind::OtherSchool)]
    {
        let world = stating(&[]).with(ADA, ledger.clone());
        in_world([requested(basis, party)], world, authorize(None)).refused(R::ProcessingRestricted {});
        let world = stating(&[]).with(ADA, ledger.clone());
        let past = [requested(basis, party), authorized(None)];
        in_world(past, world, record(None)).refused(R::ProcessingRestricted {});
    }
    for (basis, party) in [(B::Student, PartyKind::Student), (B::GrandJurySubpoena, PartyKind::Court)] {
        let world = stating(&[]).with(ADA, ledger.clone());
        follows(in_world([requested(basis, party)], world, authorize(None)), "DisclosureAuthorized");
    }
}

#[test]
fn what_was_authorised_may_still_be_refused_until_it_is_carried_out() {
    let refuse = C::RefuseDisclosure { reason: "The consent was revoked".into() };
    let past = [requested(B::Student, PartyKind::Student), authorized(None)];
    follows(after(past.clone()).when(refuse.clone()), "DisclosureRefused");
    let recorded = recorded(B::Student, PartyKind::Student, None);
    after(past.into_iter().chain([recorded])).when(refuse).invalid_state("recorded");
}

#[test]
fn a_party_is_told_at_an_address_that_is_one() {
    let at_address = |address: &str| match request("99.30", PartyKind::Employer, &["transcript"]) {
        C::RequestDisclosure {
            subject,
            party,
            party_kind,
            records,
            interest,
            basis,
            redisclosure_to,
            ..
        } => {
            let address = Some(Stated(address.into()));
            C::RequestDisclosure {
                subject,
                party,
                party_kind,
                records,
                interest,
                basis,
                redisclosure_to,
                address,
            }
        }
        other => other,
    };
    for wrong in ["acme", "acme@example.org\r\nBcc: all"] {
        nothing::<Disclosure>().when(at_address(wrong)).invalid("address");
    }
    follows(nothing().when(at_address("records@acme.example")), "DisclosureRequested");
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<Disclosure>([
        requested(B::GrandJurySubpoena, PartyKind::Court),
        // As it was stored before it said when.
        authorized_at(None, Some(CONSENT), None),
        E::DisclosureRefused { reason: "No basis".into() },
        recorded(B::Emergency, PartyKind::Emergency, Some("A fire in the hall")),
        E::RedisclosureAppended {
            party: Personal::about(Uuid::from_u128(0xACE), "Payroll Ltd".into()),
            interest: "Wages".into(),
            at: at(NOW),
            allowed: true,
        },
    ]);
}
