use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{ProfileCommand as C, ProfileEvent as E, ProfileRefusal as R, *};
use crate::{
    governance::ConsentLedgerEvent,
    identity::Visibility,
    kernel::testing::{Scenario, World, given, keeps_history},
};

const ME: Uuid = Uuid::from_u128(0x1D);
const ORG: Uuid = Uuid::from_u128(0x06);

fn told<T, C>(value: T) -> Personal<T, C> {
    Personal::about(ME, value)
}

fn registered() -> E {
    E::ProfileCreated { account: ME, display_name: Some(told("Ada".into())) }
}

/// The person's own profile.
fn after(events: impl IntoIterator<Item = E>) -> Scenario<Profile> {
    given([registered()].into_iter().chain(events)).by(Actor::user(ME, &[]))
}

fn unborn() -> Scenario<Profile> {
    given([]).by(Actor::user(ME, &[]))
}

fn text(text: &str) -> Option<Stated<String>> {
    Some(Stated(text.into()))
}

fn revision() -> C {
    C::ReviseProfile {
        given_name: None,
        family_name: None,
        headline: None,
        bio: None,
        phone: None,
        photo: None,
        skills: None,
        interests: None,
    }
}

fn with_phone(number: &str) -> C {
    match revision() {
        C::ReviseProfile { given_name, family_name, headline, bio, photo, skills, interests, .. } => {
            let phone = text(number);
            C::ReviseProfile { given_name, family_name, headline, bio, phone, photo, skills, interests }
        }
        other => other,
    }
}

fn student(gpa: Option<i32>, source: FacetSource) -> C {
    C::SetStudentFacet {
        student_no: Stated("7".into()),
        major: Stated("Computer Science".into()),
        grad_year: Stated(2027),
        gpa: gpa.map(Stated),
        classroom: None,
        source,
    }
}

fn student_set(source: FacetSource) -> E {
    E::StudentFacetSet {
        student_no: told("7".into()),
        major: told("Computer Science".into()),
        grad_year: told(2027),
        gpa: Some(told(3750)),
        classroom: Some(told("B1".into())),
        source,
    }
}

fn alumni() -> E {
    E::AlumniFacetSet {
        grad_year: told(2020),
        degree: told("BSc".into()),
        company: Some(told("Analytical Engines".into())),
        position: None,
        industry: None,
        linkedin: Some(told("https://www.linkedin.com/in/ada".into())),
    }
}

fn org(kind: OrgKind, active: bool) -> ProfileFacts {
    ProfileFacts { org: Some((kind, active)), consents: false }
}

fn day(text: &str) -> jiff::civil::Date {
    text.parse().unwrap()
}

fn join(relation: Relation) -> C {
    C::JoinOrgUnit { org: ORG, relation, from: day("2025-09-01") }
}

fn joined(relation: Relation) -> E {
    E::OrgUnitJoined { org: ORG, relation, from: day("2025-09-01") }
}

fn offer(offered: bool, capacity: u32) -> C {
    let (topics, availability) = (Stated(vec!["Rust".into()]), Stated(BTreeMap::new()));
    C::SetMentorOffer { offered, topics, capacity, availability }
}

#[test]
fn a_persons_own_first_command_creates_the_profile_and_registration_names_it_once() {
    let create = || C::CreateProfile { display_name: Stated("Ada".into()) };
    let own = unborn().when(student(None, FacetSource::Own)).events();
    assert_eq!(own[0], E::ProfileCreated { account: ME, display_name: None });
    assert_eq!(own.len(), 2);
    let policy = Actor::policy("create_profile");
    given::<Profile>(own).by(policy.clone()).when(create()).then([registered()]);
    given::<Profile>([]).by(policy.clone()).when(create()).then([registered()]);
    after([]).by(policy).when(create()).then([]);
}

#[test]
fn nobody_tells_of_another_person() {
    let other = Actor::user(Uuid::from_u128(9), &["staff"]);
    given::<Profile>([]).by(other.clone()).when(revision()).forbidden();
    assert!(!after([]).permits(&other, &revision()));
    assert!(after([]).permits(&Actor::user(ME, &[]), &revision()));
    assert!(!after([]).permits(&Actor::policy("any"), &revision()));
    let leave = C::WithdrawDemographics {};
    assert!(!given::<Profile>([]).permits(&other, &leave) && !after([]).permits(&other, &leave));
    assert!(Profile::unborn(ME).may(&Actor::user(ME, &[]), &leave));
    let create = C::CreateProfile { display_name: Stated("Ada".into()) };
    assert!(!after([]).permits(&Actor::user(ME, &["admin"]), &create));
}

#[test]
fn idn_r1_what_the_student_system_states_overrides_and_locks() {
    let (own, sis) = (|| student(Some(3750), FacetSource::Own), || student(Some(3500), FacetSource::Sis));
    after([student_set(FacetSource::Own)])
        .by(Actor::policy("sis"))
        .when(sis())
        .then_names(["StudentFacetSet"]);
    after([student_set(FacetSource::Sis)]).when(own()).refused(R::SelfReportedLocked {});
    after([student_set(FacetSource::Own)]).when(own()).then_names(["StudentFacetSet"]);
    let registrar = Actor::user(Uuid::from_u128(9), &["department_admin"]);
    assert!(after([]).permits(&registrar, &sis()) && !after([]).permits(&registrar, &own()));
    assert!(!after([]).permits(&Actor::user(ME, &["student"]), &sis()));
}

#[test]
fn idn_r1_a_grade_is_between_0_and_4000() {
    for wrong in [-1, 4001, i32::MIN, i32::MAX] {
        after([]).when(student(Some(wrong), FacetSource::Own)).invalid("gpa");
    }
    for right in [0, 4000] {
        after([]).when(student(Some(right), FacetSource::Own)).then_names(["StudentFacetSet"]);
    }
}

#[test]
fn idn_r2_demographics_need_consent_and_can_be_withdrawn() {
    let declare = || C::DeclareDemographics {
        attributes: Stated(BTreeMap::from([("gender".into(), "f".into())])),
        consent: ME,
    };
    after([]).when(declare()).refused(R::ConsentMissing {});
    let consenting = ProfileFacts { consents: true, ..ProfileFacts::default() };
    let declared = after([]).knowing(consenting).when(declare()).events();
    after(declared).when(C::WithdrawDemographics {}).then([E::DemographicsWithdrawn {}]);
    after([]).when(C::WithdrawDemographics {}).invalid_state("created");
}

#[test]
fn idn_r3_a_phone_number_is_e_164_or_cleared() {
    for right in ["+16202357000", "+4915112345678", ""] {
        after([]).when(with_phone(right)).then_names(["ProfileRevised"]);
    }
    for wrong in ["6202357000", "+0620235700", "+1 620", "+1234567890123456", "+12345"] {
        after([]).when(with_phone(wrong)).refused(R::InvalidPhone {});
    }
}

#[test]
fn idn_r5_mentors_are_alumni_advisors_or_staff_and_take_1_to_20() {
    after([]).when(offer(true, 3)).refused(R::NotEligible {});
    after([joined(Relation::Student)]).when(offer(true, 3)).refused(R::NotEligible {});
    let advisor = E::AdvisorFacetSet {
        title: told("Dr".into()),
        department: ORG,
        specialisations: told(Vec::new()),
        research: None,
    };
    for eligible in [alumni(), advisor, joined(Relation::Staff)] {
        let state = after([eligible]).when(offer(true, 20)).then_names(["MentorOfferSet"]);
        assert_eq!(state.mentor_capacity, Some(20));
    }
    after([alumni()]).when(offer(true, 21)).invalid("capacity");
    after([alumni()]).when(offer(true, 0)).invalid("capacity");
    after([]).when(offer(false, 3)).then_names(["MentorOfferSet"]);
    let unsaid = r#"{"SetMentorOffer":{"offered":true,"topics":[],"availability":{}}}"#;
    assert!(matches!(serde_json::from_str(unsaid).unwrap(), C::SetMentorOffer { capacity: 3, .. }));
}

#[test]
fn idn_r6_texts_and_lists_have_their_lengths() {
    let long = |headline: usize, bio: usize, skills: usize| {
        let C::ReviseProfile { given_name, family_name, phone, photo, interests, .. } = revision() else {
            unreachable!("a revision")
        };
        after([]).when(C::ReviseProfile {
            given_name,
            family_name,
            headline: text(&"h".repeat(headline)),
            bio: text(&"b".repeat(bio)),
            phone,
            photo,
            skills: Some(Stated(vec!["s".into(); skills])),
            interests,
        })
    };
    long(160, 4000, 50).then_names(["ProfileRevised"]);
    long(161, 0, 0).refused(R::TooLong { field: "headline", most: 160 });
    long(0, 4001, 0).refused(R::TooLong { field: "bio", most: 4000 });
    long(0, 0, 51).refused(R::TooLong { field: "skills", most: 50 });
    let interested = |interests: usize| {
        let words = Some(Stated(vec!["i".to_owned(); interests]));
        match revision() {
            C::ReviseProfile { given_name, family_name, headline, bio, phone, photo, skills, .. } => {
                let interests = words;
                let command = C::ReviseProfile {
                    given_name,
                    family_name,
                    headline,
                    bio,
                    phone,
                    photo,
                    skills,
                    interests,
                };
                after([]).when(command)
            }
            other => panic!("{other:?}"),
        }
    };
    interested(50).then_names(["ProfileRevised"]);
    interested(51).refused(R::TooLong { field: "interests", most: 50 });
}

#[test]
fn idn_o3_a_department_that_is_inactive_takes_no_new_advisors() {
    let advise = || C::SetAdvisorFacet {
        title: Stated("Dr".into()),
        department: ORG,
        specialisations: Stated(Vec::new()),
        research: None,
    };
    after([]).when(advise()).refused(R::UnknownOrg {});
    after([]).knowing(org(OrgKind::Department, false)).when(advise()).refused(R::OrgInactive {});
    after([]).knowing(org(OrgKind::Department, true)).when(advise()).then_names(["AdvisorFacetSet"]);
}

#[test]
fn one_recruits_for_an_active_employer() {
    let set = || C::SetEmployerFacet { org: ORG, title: Stated("Recruiter".into()) };
    after([]).when(set()).refused(R::UnknownOrg {});
    after([]).knowing(org(OrgKind::Department, true)).when(set()).refused(R::OrgNotEmployer {});
    after([]).knowing(org(OrgKind::Employer, false)).when(set()).refused(R::OrgNotEmployer {});
    after([]).knowing(org(OrgKind::Employer, true)).when(set()).then_names(["EmployerFacetSet"]);
}

#[test]
fn idn_o3_one_joins_an_active_unit_once_and_leaves_what_one_joined() {
    let facts = || org(OrgKind::Department, true);
    after([]).when(join(Relation::Staff)).refused(R::UnknownOrg {});
    after([]).knowing(org(OrgKind::Department, false)).when(join(Relation::Staff)).refused(R::OrgInactive {});
    after([joined(Relation::Staff)]).knowing(facts()).when(join(Relation::Staff)).refused(R::Duplicate {});
    after([joined(Relation::Staff)]).knowing(facts()).when(join(Relation::Donor)).events();
    let leave = |until| C::LeaveOrgUnit { org: ORG, relation: Relation::Staff, until: day(until) };
    after([]).when(leave("2026-01-01")).refused(R::NotJoined {});
    after([joined(Relation::Staff)]).when(leave("2025-08-31")).invalid("until");
    let left = after([joined(Relation::Staff)]).when(leave("2026-01-01")).events();
    after([joined(Relation::Staff)].into_iter().chain(left))
        .knowing(facts())
        .when(join(Relation::Staff))
        .then([joined(Relation::Staff)]);
}

#[test]
fn preferences_name_a_language_and_a_time_zone_that_exist() {
    let prefer = |locale: &str, tz: &str| {
        after([]).when(C::SetPreferences {
            locale: locale.into(),
            currency: "USD".parse().unwrap(),
            tz: tz.into(),
            theme: None,
            accessibility: None,
        })
    };
    prefer("en-US", "America/Chicago").then_names(["PreferencesChanged"]);
    prefer("en_US", "America/Chicago").invalid("locale");
    prefer("en-US", "America/Pittsburg").invalid("tz");
}

#[test]
fn the_org_unit_and_the_consent_are_looked_up() {
    let employer = OrgUnit { exists: true, active: true, kind: OrgKind::Employer, parent: None };
    let mut world = World::default().with(ORG, employer);
    let recruit = C::SetEmployerFacet { org: ORG, title: Stated("Recruiter".into()) };
    after([]).looking_up(&recruit, &mut world).when(recruit).then_names(["EmployerFacetSet"]);
    let declare = C::DeclareDemographics { attributes: Stated(BTreeMap::new()), consent: ME };
    let ledger = |until: Option<&str>| {
        let mut ledger = ConsentLedger::default();
        ledger.evolve(&ConsentLedgerEvent::ConsentGranted {
            subject: ME,
            purpose: ConsentPurpose::BiasMonitoring,
            text_version: "1".into(),
            text_hash: String::new(),
            until: until.map(|until| until.parse().unwrap()),
        });
        ledger
    };
    let mut granted = World::default().with(ME, ledger(None));
    let mut ended = World::default().with(ME, ledger(Some("2026-01-01T12:00:00Z")));
    let mut none = World::default();
    after([]).looking_up(&declare, &mut granted).when(declare.clone()).then_names(["DemographicsDeclared"]);
    assert_eq!(granted.pinned, [ME], "a withdrawal meanwhile is not missed (GOV-C1)");
    after([]).looking_up(&declare, &mut ended).when(declare.clone()).refused(R::ConsentMissing {});
    after([]).looking_up(&declare, &mut none).when(declare).refused(R::ConsentMissing {});
    let elsewhere = C::DeclareDemographics { attributes: Stated(BTreeMap::new()), consent: ORG };
    after([]).looking_up(&elsewhere, &mut granted).when(elsewhere).refused(R::ConsentMissing {});
}

proptest! {
    #[test]
    fn no_text_however_hostile_panics_and_a_grade_that_is_accepted_is_in_range(
        gpa in prop::option::of(any::<i32>()),
        year in any::<i32>(),
        major in ".{0,250}",
        number in ".{0,40}",
    ) {
        let state = given::<Profile>([registered()]).state().clone();
        let context = Context {
            id: ME,
            command_id: Uuid::nil(),
            actor: Actor::user(ME, &[]),
            now: jiff::Timestamp::UNIX_EPOCH,
            occurred_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let command = C::SetStudentFacet {
            student_no: Stated(number.clone()),
            major: Stated(major),
            grad_year: Stated(year),
            gpa: gpa.map(Stated),
            classroom: None,
            source: FacetSource::Own,
        };
        if state.decide(command, &ProfileFacts::default(), &context).is_ok() {
            prop_assert!((0..=4000).contains(&gpa.unwrap_or_default()) && (1900..=2200).contains(&year));
        }
        if state.decide(with_phone(&number), &ProfileFacts::default(), &context).is_ok() {
            prop_assert!(number.is_empty() || number.starts_with('+'));
        }
    }
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<Profile>([
        registered(),
        E::ProfileRevised {
            given_name: Some(told("Ada".into())),
            family_name: Some(told("Lovelace".into())),
            headline: Some(told("Analyst".into())),
            bio: Some(told("Notes".into())),
            phone: Some(told("+16202357000".into())),
            photo: Some(Uuid::from_u128(0xF0)),
            skills: Some(told(vec!["mathematics".into()])),
            interests: Some(told(vec!["engines".into()])),
        },
        student_set(FacetSource::Sis),
        alumni(),
        E::EmployerFacetSet { org: ORG, title: told("Recruiter".into()) },
        E::AdvisorFacetSet {
            title: told("Dr".into()),
            department: ORG,
            specialisations: told(vec!["analysis".into()]),
            research: Some(told("engines".into())),
        },
        E::MentorOfferSet {
            offered: true,
            topics: told(vec!["Rust".into()]),
            capacity: 3,
            availability: told(BTreeMap::from([("monday".into(), "after 5 pm".into())])),
        },
        E::DemographicsDeclared {
            attributes: told(BTreeMap::from([("gender".into(), "f".into())])),
            consent: ME,
        },
        E::DemographicsWithdrawn {},
        E::PreferencesChanged {
            locale: "en-US".into(),
            currency: "USD".parse().unwrap(),
            tz: "America/Chicago".into(),
            theme: Some(told("dark".into())),
            accessibility: Some(told(BTreeMap::from([("contrast".into(), "high".into())]))),
        },
        E::DirectoryVisibilitySet { visibility: Visibility::Members, ferpa_directory_opt_out: true },
        joined(Relation::Student),
        E::OrgUnitLeft { org: ORG, relation: Relation::Student, until: day("2026-06-01") },
        E::ExternalProfileRecorded {
            provider: "linkedin".into(),
            fields: told(BTreeMap::from([("headline".into(), "Analyst".into())])),
        },
    ]);
}
