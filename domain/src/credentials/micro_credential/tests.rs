use jiff::civil::date;

use super::{MicroCredentialCommand as C, MicroCredentialEvent as E, MicroCredentialRefusal as R, *};
use crate::{
    credentials::world::World,
    kernel::{
        BasisPoints, Currency, Money, RoleGrant,
        testing::{Scenario, given, keeps_history, nothing},
    },
};

const INSTITUTION: Uuid = Uuid::from_u128(0x1);
const AUTHOR: Uuid = Uuid::from_u128(0xA);

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn draft(code: &str) -> C {
    C::DraftCredential {
        program_code: code.into(),
        title: "Data literacy".into(),
        description: "What data say and what they do not say, for people who decide.".into(),
        institution: INSTITUTION,
        r#type: CredentialType::MicroCredential,
        delivery: Delivery::Hybrid,
        hours: 60,
        credits: Some(MilliCredits(3000)),
        level: CredentialLevel::Intermediate,
        cost: Some(Money::new(25_000, "USD".parse::<Currency>().unwrap())),
        language: "en".into(),
        assessment: Some("a portfolio".into()),
    }
}

/// The draft with these fields stated otherwise.
fn draft_but(fields: serde_json::Value) -> C {
    let mut stated = serde_json::to_value(draft("DL-101")).unwrap();
    let draft = stated["DraftCredential"].as_object_mut().unwrap();
    draft.extend(fields.as_object().unwrap().clone());
    serde_json::from_value(stated).unwrap()
}

fn at_an_active_institution() -> MicroCredentialFacts {
    MicroCredentialFacts {
        institution: Some((OrgKind::Institution, true)),
        ..MicroCredentialFacts::default()
    }
}

fn drafting() -> Scenario<MicroCredential> {
    nothing().knowing(at_an_active_institution())
}

fn drafted() -> E {
    drafting().when(draft("DL-101")).events().remove(0)
}

fn outcome(number: u128) -> E {
    E::LearningOutcomeAdded { outcome: id(number), text: "read a chart".into(), core: true, order: 1 }
}

fn submitted() -> E {
    E::CredentialSubmittedForReview { submitted_by: Some(AUTHOR) }
}

fn publish() -> C {
    C::PublishCredential { effective: date(2026, 2, 1), expires: None, next_review: None }
}

fn published() -> Vec<E> {
    let past = vec![drafted(), outcome(1), submitted()];
    let event = given::<MicroCredential>(past.clone()).when(publish()).events();
    [past, event].concat()
}

fn revise(changes: serde_json::Value) -> C {
    C::ReviseCredential { changes: serde_json::from_value(changes).unwrap() }
}

fn classify(number: u128, engine: &str) -> C {
    C::ClassifyOutcome {
        outcome: id(number),
        bloom: BloomLevel::Understand,
        category: OutcomeCategory::Skills,
        keywords: vec!["chart".into()],
        engine: engine.into(),
        confidence: BasisPoints(8000),
    }
}

fn require(credential: Option<Uuid>) -> C {
    C::AddPrerequisite {
        prerequisite: id(50),
        kind: PrerequisiteKind::Certification,
        text: "Statistics".into(),
        credential,
        mandatory: true,
    }
}

fn holding(role: &str, within: Uuid) -> Actor {
    Actor::with_roles(id(9), vec![RoleGrant { role: role.into(), within: Some(within) }])
}

#[test]
fn crd_m1_a_program_code_is_claimed_in_whatever_case_it_is_written() {
    let claims = drafting().when(draft("dl-101")).claims();
    assert_eq!(claims, [Claim::Take("progcode:DL-101".into())]);
    assert_eq!(MicroCredential::taken("progcode:DL-101"), Some(R::ProgramCodeTaken {}));
    drafting().when(draft("DL 101")).invalid("program_code");
}

#[test]
fn crd_m1_a_draft_that_takes_another_code_frees_the_one_it_had() {
    let renamed = revise(serde_json::json!({ "program_code": "DL-102" }));
    assert_eq!(
        given::<MicroCredential>([drafted()]).when(renamed).claims(),
        [Claim::Free("progcode:DL-101".into()), Claim::Take("progcode:DL-102".into())]
    );
    let same = revise(serde_json::json!({ "program_code": "dl-101" }));
    assert_eq!(given::<MicroCredential>([drafted()]).when(same).claims(), []);
}

#[test]
fn idn_o3_only_an_active_institution_takes_new_credentials() {
    let facts = |institution| MicroCredentialFacts { institution, ..MicroCredentialFacts::default() };
    let drafting =
        |institution| nothing::<MicroCredential>().knowing(facts(institution)).when(draft("DL-101"));
    drafting(None).refused(R::UnknownInstitution {});
    drafting(Some((OrgKind::Institution, false))).refused(R::InstitutionInactive {});
    drafting(Some((OrgKind::Employer, true))).invalid("institution");
}

#[test]
fn values_beyond_their_bounds_are_invalid() {
    let json = |field: &str, value: serde_json::Value| serde_json::json!({ field: value });
    for (field, value) in [
        ("title", " ".into()),
        ("title", "x".repeat(201).into()),
        ("description", "x".repeat(20_001).into()),
        ("hours", 100_001.into()),
        ("cost", serde_json::json!({ "minor": -1, "ccy": "USD" })),
        ("language", "english!".into()),
        ("assessment", "x".repeat(2001).into()),
    ] {
        drafting().when(draft_but(json(field, value.clone()))).invalid(field);
        given::<MicroCredential>([drafted()]).when(revise(json(field, value))).invalid(field);
    }
    given::<MicroCredential>([drafted()]).when(revise(serde_json::json!({}))).invalid("changes");
}

#[test]
fn crd_m5_credits_are_0_to_60000() {
    for credits in [-1, 60_001, i32::MAX, i32::MIN] {
        drafting().when(draft_but(serde_json::json!({ "credits": credits }))).invalid("credits");
    }
    for credits in [0, 60_000] {
        drafting()
            .when(draft_but(serde_json::json!({ "credits": credits })))
            .then_names(["CredentialDrafted"]);
    }
}

#[test]
fn crd_m2_a_review_needs_a_core_outcome_an_hour_and_a_description_of_50_characters() {
    let bare = draft_but(serde_json::json!({ "hours": 0, "description": "x".repeat(49) }));
    let past = drafting().when(bare).events();
    given::<MicroCredential>(past)
        .when(C::SubmitCredentialForReview {})
        .refused(R::Incomplete { missing: vec!["core_outcome", "hours", "description"] });

    let least = draft_but(serde_json::json!({ "hours": 1, "description": "x".repeat(50) }));
    let drafted = drafting().when(least).events().remove(0);
    let side = E::LearningOutcomeAdded { outcome: id(1), text: "read".into(), core: false, order: 1 };
    given::<MicroCredential>([drafted.clone(), side])
        .when(C::SubmitCredentialForReview {})
        .refused(R::Incomplete { missing: vec!["core_outcome"] });
    given::<MicroCredential>([drafted, outcome(1)])
        .by(Actor::user(AUTHOR, &["program_coordinator"]))
        .when(C::SubmitCredentialForReview {})
        .then([submitted()]);
}

#[test]
fn crd_m2_a_credential_has_at_most_40_outcomes() {
    let add =
        |number| C::AddLearningOutcome { outcome: id(number), text: "read".into(), core: false, order: 1 };
    let full = |count| std::iter::once(drafted()).chain((1..=count).map(outcome));
    given::<MicroCredential>(full(39)).when(add(99)).then_names(["LearningOutcomeAdded"]);
    given::<MicroCredential>(full(40)).when(add(99)).refused(R::TooMany { most: 40 });
    given::<MicroCredential>(full(2)).when(add(2)).invalid("outcome");
}

#[test]
fn an_outcome_is_stated_anew_and_removed_while_it_is_a_draft() {
    let anew = C::ReviseLearningOutcome { outcome: id(1), text: "draw a chart".into(), core: true, order: 2 };
    let state = given::<MicroCredential>([drafted(), outcome(1)])
        .when(anew.clone())
        .then_names(["LearningOutcomeRevised"]);
    assert_eq!(state.outcome_texts(), ["draw a chart"]);
    let remove = C::RemoveLearningOutcome { outcome: id(1) };
    let state = given::<MicroCredential>([drafted(), outcome(1)])
        .when(remove.clone())
        .then_names(["LearningOutcomeRemoved"]);
    assert!(state.outcomes.is_empty());
    for command in [anew, remove] {
        given::<MicroCredential>([drafted()]).when(command.clone()).refused(R::UnknownOutcome {});
        given::<MicroCredential>(published()).when(command).invalid_state("published");
    }
}

#[test]
fn crd_m3_who_submitted_a_credential_does_not_publish_it() {
    let waiting = || given::<MicroCredential>([drafted(), outcome(1), submitted()]);
    let admin = |person| Actor::user(person, &["admin"]);
    waiting().by(admin(AUTHOR)).when(publish()).refused(R::SelfApproval {});
    let state = waiting().by(admin(id(0xB))).when(publish()).then_names(["CredentialPublished"]);
    assert!(state.is_published());
}

#[test]
fn crd_m4_what_was_published_is_frozen_and_the_rest_is_not() {
    for (field, value) in [
        ("title", serde_json::json!("Data")),
        ("hours", 70.into()),
        ("credits", 4000.into()),
        ("level", "graduate".into()),
        ("program_code", "DL-9".into()),
        ("supersedes", id(7).to_string().into()),
    ] {
        let changes = serde_json::json!({ field: value, "delivery": "online" });
        given::<MicroCredential>(published())
            .when(revise(changes))
            .refused(R::PublishedFieldFrozen { field });
    }
    given::<MicroCredential>(published())
        .when(revise(serde_json::json!({ "delivery": "online", "language": "de-AT" })))
        .then_names(["CredentialRevised"]);
    let one_more = C::AddLearningOutcome { outcome: id(2), text: "draw".into(), core: false, order: 2 };
    given::<MicroCredential>(published()).when(one_more).invalid_state("published");
    given::<MicroCredential>(published()).when(require(None)).then_names(["PrerequisiteAdded"]);
}

#[test]
fn crd_m4_a_draft_supersedes_a_published_credential_of_its_institution() {
    let supersede = || revise(serde_json::json!({ "supersedes": id(7) }));
    let knowing = |other| {
        let facts = MicroCredentialFacts { other, ..MicroCredentialFacts::default() };
        given::<MicroCredential>([drafted()]).knowing(facts)
    };
    knowing(None).when(supersede()).refused(R::UnknownCredential {});
    knowing(Some((id(2), true))).when(supersede()).invalid("changes.supersedes");
    knowing(Some((INSTITUTION, false))).when(supersede()).invalid("changes.supersedes");
    knowing(Some((INSTITUTION, true))).with_id(id(7)).when(supersede()).invalid("changes.supersedes");
    let state = knowing(Some((INSTITUTION, true))).when(supersede()).then_names(["CredentialRevised"]);
    assert_eq!(state.supersedes, Some(id(7)));
}

#[test]
fn what_is_under_review_does_not_change_until_it_is_given_back() {
    let waiting = || given::<MicroCredential>([drafted(), outcome(1), submitted()]);
    let title = revise(serde_json::json!({ "title": "Data" }));
    waiting().when(title.clone()).invalid_state("under_review");
    waiting().when(require(None)).invalid_state("under_review");
    let returned = waiting()
        .when(C::ReturnCredentialToDraft { reason: "too broad".into() })
        .then([E::CredentialReturned { reason: "too broad".into() }]);
    assert_eq!(returned.status, CredentialStatus::Draft);
}

#[test]
fn a_credential_runs_through_its_life_once() {
    let archive = || C::ArchiveCredential { reason: "no demand".into() };
    given::<MicroCredential>([drafted()]).when(draft("DL-101")).invalid_state("draft");
    given::<MicroCredential>([drafted()]).when(publish()).invalid_state("draft");
    given::<MicroCredential>([drafted()]).when(archive()).invalid_state("draft");
    given::<MicroCredential>(published()).when(publish()).invalid_state("published");
    given::<MicroCredential>(published()).when(C::SubmitCredentialForReview {}).invalid_state("published");
    let gone = given::<MicroCredential>(published()).when(archive()).events();
    let archived = || given::<MicroCredential>([published(), gone.clone()].concat());
    for command in
        [archive(), publish(), classify(1, BY_PERSON), require(None), revise(serde_json::json!({}))]
    {
        archived().when(command).invalid_state("archived");
    }
}

#[test]
fn a_publication_ends_after_it_begins() {
    let publish = |effective, expires, next_review| {
        given::<MicroCredential>([drafted(), outcome(1), submitted()]).when(C::PublishCredential {
            effective,
            expires,
            next_review,
        })
    };
    let day = date(2026, 2, 1);
    publish(day, Some(day), None).invalid("expires");
    publish(day, None, Some(date(2026, 1, 31))).invalid("next_review");
    publish(date(9999, 12, 31), None, None).invalid("effective");
    publish(day, Some(date(-9999, 1, 1)), None).invalid("expires");
}

#[test]
fn crd_m6_a_credential_that_needs_this_one_is_not_its_prerequisite() {
    let needing = |required: &[Uuid]| {
        let prerequisites = required
            .iter()
            .map(|credential| (*credential, Prerequisite { credential: Some(*credential), mandatory: false }))
            .collect();
        MicroCredential { exists: true, prerequisites, ..MicroCredential::default() }
    };
    let facts = |context_id: Uuid, world: &mut World| {
        let scenario = given::<MicroCredential>([drafted()]);
        let actor = Actor::user(AUTHOR, &["admin"]);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let context = Context { id: context_id, command_id: id(0), actor, now, occurred_at: now };
        scenario.state().facts(&require(Some(id(2))), &context, world).unwrap()
    };
    let mut world = World::default()
        .with(id(2), needing(&[id(3), id(4)]))
        .with(id(3), needing(&[id(4)]))
        .with(id(4), needing(&[id(1)]));
    let cyclic = facts(id(1), &mut world);
    assert!(cyclic.cyclic && facts(id(2), &mut World::default()).cyclic);
    assert!(world.pinned.contains(&id(2)), "a stale fact would let a cycle in");
    given::<MicroCredential>([drafted()])
        .knowing(cyclic)
        .when(require(Some(id(2))))
        .refused(R::CyclicPrerequisite {});

    let straight = facts(id(77), &mut world);
    assert!(!straight.cyclic);
    given::<MicroCredential>([drafted()])
        .knowing(straight)
        .when(require(Some(id(2))))
        .then_names(["PrerequisiteAdded"]);

    let endless = (100..400).fold(World::default().with(id(2), needing(&[id(100)])), |world, next| {
        world.with(id(next), needing(&[id(next + 1)]))
    });
    assert!(facts(id(1), &mut { endless }).cyclic, "the walk has an end");
}

#[test]
fn a_prerequisite_names_a_credential_that_exists_and_goes_by_its_id() {
    given::<MicroCredential>([drafted()]).when(require(Some(id(2)))).refused(R::UnknownCredential {});
    let added = given::<MicroCredential>([drafted()]).when(require(None)).events();
    let past = [vec![drafted()], added].concat();
    given::<MicroCredential>(past.clone()).when(require(None)).invalid("prerequisite");
    given::<MicroCredential>(past)
        .when(C::RemovePrerequisite { prerequisite: id(50) })
        .then([E::PrerequisiteRemoved { prerequisite: id(50) }]);
    given::<MicroCredential>([drafted()])
        .when(C::RemovePrerequisite { prerequisite: id(51) })
        .refused(R::UnknownPrerequisite {});
}

#[test]
fn crd_m7_an_engine_does_not_overwrite_what_a_person_classified() {
    let engine = Actor::policy("P-18");
    let by_person = given::<MicroCredential>([drafted(), outcome(1)]).when(classify(1, BY_PERSON)).events();
    let past = || [vec![drafted(), outcome(1)], by_person.clone()].concat();
    given::<MicroCredential>(past()).by(engine.clone()).when(classify(1, "local/rules@1")).then([]);
    given::<MicroCredential>(past()).when(classify(1, BY_PERSON)).then_names(["OutcomeClassified"]);
    let revised = E::LearningOutcomeRevised { outcome: id(1), text: "draw".into(), core: true, order: 1 };
    given::<MicroCredential>([past(), vec![revised]].concat())
        .by(engine.clone())
        .when(classify(1, "local/rules@1"))
        .then([]);
    given::<MicroCredential>([drafted(), outcome(1)])
        .by(engine)
        .when(classify(1, "local/rules@1"))
        .then_names(["OutcomeClassified"]);
}

#[test]
fn crd_m7_nobody_signs_a_classification_in_anothers_name() {
    let past = || given::<MicroCredential>([drafted(), outcome(1)]);
    past().when(classify(1, "local/rules@1")).invalid("engine");
    past().by(Actor::policy("P-18")).when(classify(1, BY_PERSON)).invalid("engine");
    past().when(classify(2, BY_PERSON)).refused(R::UnknownOutcome {});
}

#[test]
fn credentials_are_written_by_those_who_may_within_the_institution() {
    let author = holding("program_coordinator", INSTITUTION);
    let stranger = holding("program_coordinator", id(2));
    assert!(drafting().permits(&author, &draft("DL-101")));
    let writing = [revise(serde_json::json!({})), require(None), C::SubmitCredentialForReview {}];
    for command in writing.iter().chain([&draft("DL-101"), &classify(1, BY_PERSON)]) {
        let there = given::<MicroCredential>([drafted()]);
        assert!(there.permits(&author, command) && !there.permits(&stranger, command));
        assert!(!there.permits(&Actor::user(id(9), &["student"]), command));
    }
    let there = given::<MicroCredential>([drafted()]);
    assert!(there.permits(&Actor::policy("P-18"), &classify(1, "local/rules@1")));
    assert!(!there.permits(&Actor::policy("P-18"), &require(None)));
}

#[test]
fn an_institutions_administrator_publishes_returns_and_archives() {
    let reason = || "because".to_owned();
    let there = given::<MicroCredential>(published());
    for command in [
        publish(),
        C::ReturnCredentialToDraft { reason: reason() },
        C::ArchiveCredential { reason: reason() },
    ] {
        assert!(there.permits(&holding("institution_admin", INSTITUTION), &command));
        assert!(there.permits(&Actor::user(id(9), &["admin"]), &command));
        assert!(!there.permits(&holding("institution_admin", id(2)), &command));
        assert!(!there.permits(&holding("program_coordinator", INSTITUTION), &command));
        assert!(!there.permits(&Actor::policy("P-21"), &command));
    }
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<MicroCredential>([
        drafted(),
        E::CredentialRevised {
            changes: CredentialChanges {
                program_code: Some("DL-102".into()),
                title: Some("Data".into()),
                delivery: Some(Delivery::SelfPaced),
                credits: Some(MilliCredits(1500)),
                supersedes: Some(id(7)),
                ..CredentialChanges::default()
            },
            freed_program_code: Some("DL-101".into()),
        },
        outcome(1),
        E::LearningOutcomeRevised { outcome: id(1), text: "draw a chart".into(), core: false, order: 2 },
        E::LearningOutcomeRemoved { outcome: id(1) },
        E::OutcomeClassified {
            outcome: id(1),
            bloom: BloomLevel::Analyze,
            category: OutcomeCategory::Competencies,
            keywords: vec!["chart".into()],
            engine: "local/rules@1".into(),
            confidence: BasisPoints(8000),
        },
        E::PrerequisiteAdded {
            prerequisite: id(50),
            kind: PrerequisiteKind::WorkExperience,
            text: "a year in an office".into(),
            credential: Some(id(2)),
            mandatory: false,
        },
        E::PrerequisiteRemoved { prerequisite: id(50) },
        submitted(),
        E::CredentialReturned { reason: "too broad".into() },
        E::CredentialPublished {
            effective: date(2026, 2, 1),
            expires: Some(date(2030, 1, 1)),
            next_review: Some(date(2028, 2, 1)),
            institution: INSTITUTION,
            program_code: "DL-101".into(),
            title: "Data literacy".into(),
            r#type: CredentialType::MicroCredential,
            credits: Some(MilliCredits(3000)),
        },
        E::CredentialArchived { reason: "no demand".into() },
    ]);
}
