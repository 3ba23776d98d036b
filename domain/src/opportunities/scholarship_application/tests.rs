use super::{ScholarshipApplicationCommand as C, ScholarshipApplicationEvent as E, *};
use crate::{
    identity::{FacetSource, OrgUnit, ProfileEvent},
    kernel::{
        RoleGrant,
        testing::{Scenario, World, given, keeps_history, nothing},
    },
    opportunities::{
        CloseReason, ScholarshipEvent, ScholarshipTerms,
        samples::{published, terms, usd},
    },
};
use ScholarshipApplicationRefusal as R;

mod conflicts;

const APPLICANT: Uuid = Uuid::from_u128(0xAA);
const SCHOLARSHIP: Uuid = Uuid::from_u128(0x5C);
const ME: Uuid = Uuid::from_u128(0x1D);
const REVIEWER: Uuid = Uuid::from_u128(0x4E);
const AFTER: &str = "2026-02-01T00:00:01Z";

fn student() -> Profile {
    let told = |text: &str| Personal::about(APPLICANT, text.to_owned());
    let facet = ProfileEvent::StudentFacetSet {
        student_no: told("7"),
        major: told("Computer Science"),
        grad_year: Personal::about(APPLICANT, 2027),
        gpa: Some(Personal::about(APPLICANT, 3750)),
        classroom: None,
        source: FacetSource::Own,
    };
    given::<Profile>([facet]).state().clone()
}

fn world(scholarship: impl IntoIterator<Item = ScholarshipEvent>) -> ScholarshipApplicationFacts {
    ScholarshipApplicationFacts {
        scholarship: Some(Arc::new(given::<Scholarship>(scholarship).state().clone())),
        profile: Some(Arc::new(student())),
        profile_version: 7,
        token_hash: Some(sha256_hex("secret")),
        ..ScholarshipApplicationFacts::default()
    }
}

fn open() -> ScholarshipApplicationFacts {
    world(published(terms()))
}

fn selected_for(minor: i64) -> ScholarshipApplicationFacts {
    let chosen = ScholarshipEvent::AwardeeSelected { application: ME, amount: usd(minor) };
    world(published(terms()).into_iter().chain([chosen]))
}

fn started() -> E {
    E::ApplicationStarted { scholarship: SCHOLARSHIP, applicant: APPLICANT }
}

fn essays(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("Why you?".to_owned(), text.to_owned())])
}

fn drafted() -> E {
    E::ApplicationDraftSaved {
        essays: Personal::about(APPLICANT, essays("Because.")),
        documents: vec![Uuid::from_u128(0xD0)],
        answers: Some(Personal::about(APPLICANT, BTreeMap::from([("GPA".into(), "3.75".into())]))),
        progress: BasisPoints(5000),
    }
}

fn request() -> Uuid {
    Uuid::from_u128(0x4EC)
}

fn requested() -> E {
    E::RecommendationRequested {
        request: request(),
        recommender_email: Personal::about(Uuid::from_u128(0xE1), "ada@example.edu".into()),
        message: Some(Personal::about(APPLICANT, "Please".into())),
        token_hash: Personal::about(Uuid::from_u128(0xE2), sha256_hex("secret")),
        expires_at: terms().deadline,
        progress: None,
    }
}

fn submitted() -> E {
    submitted_with(Some(7))
}

/// With the version of the profile; without one it is as it was stored before that was kept.
fn submitted_with(profile_version: Option<u64>) -> E {
    E::ScholarshipApplicationSubmitted {
        scholarship: SCHOLARSHIP,
        applicant: APPLICANT,
        gpa: Some(Personal::about(APPLICANT, 3750)),
        major: Some(Personal::about(APPLICANT, "Computer Science".into())),
        grad_year: Some(Personal::about(APPLICANT, 2027)),
        interests: None,
        relatives: None,
        submitted_at: "2026-01-01T12:00:00Z".parse().unwrap(),
        profile_version,
    }
}

fn awarded() -> E {
    E::ScholarshipAwarded {
        amount: usd(50_000),
        scholarship: SCHOLARSHIP,
        applicant: APPLICANT,
        awarded_at: "2026-02-02T00:00:00Z".parse().unwrap(),
    }
}

fn assigned() -> E {
    E::ReviewerAssigned { reviewer: REVIEWER }
}

type Application = Scenario<ScholarshipApplication>;

fn after(events: impl IntoIterator<Item = E>) -> Application {
    given([started()].into_iter().chain(events)).knowing(open())
}

fn start() -> C {
    C::StartApplication { scholarship: SCHOLARSHIP, applicant: APPLICANT }
}

fn submit() -> C {
    C::SubmitApplication { declaration: true, relatives: None }
}

fn ask() -> C {
    C::RequestRecommendation {
        request: request(),
        recommender_email: Stated("ada@example.edu".into()),
        message: None,
    }
}

fn attach(token: &str) -> C {
    C::AttachRecommendation {
        request: request(),
        token: Stated(token.into()),
        document: Uuid::from_u128(0xD1),
    }
}

fn score(decision: u128, score: i32) -> C {
    C::RecordMatchScore {
        decision: Uuid::from_u128(decision),
        score: BasisPoints(score),
        components: BTreeMap::from([("gpa".into(), BasisPoints(score))]),
        engine: crate::opportunities::MATCH_ENGINE.into(),
        model: None,
    }
}

fn review(scores: &[(&str, i32)]) -> C {
    C::RecordReview {
        reviewer: REVIEWER,
        scores: scores.iter().map(|(criterion, mark)| ((*criterion).to_owned(), *mark)).collect(),
        comment: None,
        recommendation: ReviewRecommendation::Shortlist,
    }
}

#[test]
fn opp_a1_a_start_takes_the_claim_and_only_a_withdrawal_frees_it() {
    let key = format!("schapp:{SCHOLARSHIP}:{APPLICANT}");
    let claims = nothing::<ScholarshipApplication>().knowing(open()).when(start()).claims();
    assert_eq!(claims, [Claim::Take(key.clone())]);
    assert_eq!(ScholarshipApplication::taken(&key), Some(R::AlreadyApplied {}));
    let freed = after([submitted()]).when(C::WithdrawApplication { reason: None }).claims();
    assert_eq!(freed, [Claim::Free(key)]);
    let declined =
        after([submitted()]).when(C::DeclineApplication { reason: Stated("others".into()) }).claims();
    assert_eq!(declined, []);
}

#[test]
fn an_application_starts_only_while_the_scholarship_is_open() {
    let nothing = || nothing::<ScholarshipApplication>();
    nothing().knowing(open()).when(start()).then([started()]);
    nothing().when(start()).refused(R::UnknownScholarship {});
    nothing().knowing(open()).at(AFTER).when(start()).refused(R::NotOpen {});
    nothing().knowing(open()).at("2025-11-30T23:59:59Z").when(start()).refused(R::NotOpen {});
    let draft = world([ScholarshipEvent::ScholarshipDrafted(terms())]);
    nothing().knowing(draft).when(start()).refused(R::NotOpen {});
    after([]).when(start()).invalid_state("draft");
}

#[test]
fn a_draft_tells_how_much_of_it_is_there() {
    let progress = |past: Vec<E>, text: &str| {
        let save =
            C::SaveApplicationDraft { essays: Stated(essays(text)), documents: Vec::new(), answers: None };
        match after(past).when(save).events().remove(0) {
            E::ApplicationDraftSaved { progress, .. } => progress.0,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(progress(vec![], "  "), 0);
    assert_eq!(progress(vec![], "Because."), 5000);
    assert_eq!(progress(vec![requested()], "Because."), 10_000);
}

#[test]
fn a_recommendation_that_is_asked_for_counts_at_once() {
    let progress = |past: Vec<E>| match after(past).when(ask()).events().remove(0) {
        E::RecommendationRequested { progress, .. } => progress,
        other => panic!("{other:?}"),
    };
    assert_eq!(progress(vec![]), Some(BasisPoints(5000)));
    assert_eq!(progress(vec![drafted()]), Some(BasisPoints(10_000)));
}

#[test]
fn a_draft_is_held_to_its_bounds() {
    let save = |essay: String, documents: usize| {
        let documents = vec![Uuid::nil(); documents];
        after([]).when(C::SaveApplicationDraft { essays: Stated(essays(&essay)), documents, answers: None })
    };
    save("a".repeat(20_001), 0).invalid("essays");
    save("a".into(), 101).invalid("documents");
}

#[test]
fn a_recommendation_is_asked_for_with_the_hash_of_a_token_that_no_client_sent() {
    let asked = after([]).when(ask()).events().remove(0);
    let E::RecommendationRequested { recommender_email, token_hash, expires_at, .. } = asked else {
        panic!("{asked:?}")
    };
    assert_eq!(token_hash.get(), Some(&sha256_hex("secret")));
    assert_eq!(expires_at, terms().deadline);
    let subjects = [recommender_email.subject(), token_hash.subject(), Some(APPLICANT)];
    assert_eq!(subjects.into_iter().collect::<BTreeSet<_>>().len(), 3, "each is sealed for another subject");
    after([]).knowing(world(published(terms()))).when(ask()).then_names(["RecommendationRequested"]);
    let untold = ScholarshipApplicationFacts { token_hash: None, ..open() };
    after([]).knowing(untold).when(ask()).refused(R::TokenInvalid {});
}

#[test]
fn no_more_than_ten_recommendations_are_asked_for_and_none_after_the_deadline() {
    let many = (1..=10).map(|number| match requested() {
        E::RecommendationRequested {
            recommender_email, message, token_hash, expires_at, progress, ..
        } => {
            let request = Uuid::from_u128(number);
            E::RecommendationRequested {
                request,
                recommender_email,
                message,
                token_hash,
                expires_at,
                progress,
            }
        }
        other => other,
    });
    after(many).when(ask()).refused(R::TooMany { most: 10 });
    after([requested()]).when(ask()).invalid("request");
    after([]).at(AFTER).when(ask()).refused(R::DeadlinePassed { deadline: terms().deadline });
    let address = |text: &str| C::RequestRecommendation {
        request: request(),
        recommender_email: Stated(text.into()),
        message: None,
    };
    for wrong in ["ada", "@example.edu", "ada@", "a da@example.edu", "a@b@c"] {
        after([]).when(address(wrong)).invalid("recommender_email");
    }
}

#[test]
fn opp_a5_the_token_is_good_once_and_until_the_deadline_even_if_that_moves() {
    let attached = E::RecommendationAttached {
        request: request(),
        document: Uuid::from_u128(0xD1),
        recommender: Some(Uuid::from_u128(0xAD)),
    };
    after([requested()]).when(attach("secret")).then([attached.clone()]);
    after([requested()]).when(attach("guess")).refused(R::TokenInvalid {});
    after([]).when(attach("secret")).refused(R::TokenInvalid {});
    after([requested(), attached]).when(attach("secret")).refused(R::TokenInvalid {});
    let deadline = terms().deadline;
    after([requested()]).at(AFTER).when(attach("secret")).refused(R::DeadlinePassed { deadline });
    let moved = ScholarshipEvent::DeadlineExtended {
        deadline: "2026-03-01T00:00:00Z".parse().unwrap(),
        reason: "storm".into(),
    };
    let extended = world(published(terms()).into_iter().chain([moved]));
    after([requested()])
        .knowing(extended)
        .at(AFTER)
        .when(attach("secret"))
        .then_names(["RecommendationAttached"]);
}

#[test]
fn how_an_application_stands_is_told_by_the_right_token_only() {
    let withdrawn =
        || E::ApplicationWithdrawn { reason: None, scholarship: SCHOLARSHIP, applicant: APPLICANT };
    after([requested(), withdrawn()]).when(attach("guess")).refused(R::TokenInvalid {});
    after([withdrawn()]).when(attach("secret")).refused(R::TokenInvalid {});
    after([requested(), withdrawn()]).when(attach("secret")).invalid_state("withdrawn");
}

#[test]
fn a_token_whose_key_was_destroyed_opens_nothing() {
    let mut forgotten = requested();
    if let E::RecommendationRequested { token_hash, .. } = &mut forgotten {
        *token_hash = Personal::Erased;
    }
    after([forgotten]).when(attach("secret")).refused(R::TokenInvalid {});
}

#[test]
fn opp_a2_only_a_complete_application_is_submitted_while_the_scholarship_is_open() {
    let missing = |prompts: &[&str], recommendations| R::Incomplete {
        prompts: prompts.iter().map(|prompt| (*prompt).to_owned()).collect(),
        recommendations,
    };
    after([]).when(submit()).refused(missing(&["Why you?"], 1));
    after([drafted()]).when(submit()).refused(missing(&[], 1));
    after([drafted(), requested()])
        .when(C::SubmitApplication { declaration: false, relatives: None })
        .invalid("declaration");
    let deadline = terms().deadline;
    after([drafted(), requested()]).at(AFTER).when(submit()).refused(R::DeadlinePassed { deadline });
    after([drafted(), requested()]).at("2026-02-01T00:00:00Z").when(submit()).events();
    let closed = ScholarshipEvent::ScholarshipClosed { reason: CloseReason::Cancelled };
    let gone = world(published(terms()).into_iter().chain([closed]));
    after([drafted(), requested()]).knowing(gone).when(submit()).refused(R::NotOpen {});
}

#[test]
fn an_essay_for_a_prompt_that_was_revised_answers_nothing() {
    let revised = ScholarshipTerms { essay_prompts: vec!["Why us?".into()], ..terms() };
    after([drafted(), requested()])
        .knowing(world(published(revised)))
        .when(submit())
        .refused(R::Incomplete { prompts: vec!["Why us?".into()], recommendations: 0 });
}

#[test]
fn opp_a3_a_submission_snapshots_the_profile_and_opp_s2_takes_a_seat_that_is_kept() {
    after([drafted(), requested()]).when(submit()).then([submitted()]);
    let claims = after([drafted(), requested()]).when(submit()).claims();
    assert_eq!(claims, [Claim::Seat { key: format!("submitted:{SCHOLARSHIP}:1d"), limit: u32::MAX }]);
}

#[test]
fn who_is_neither_student_nor_alumnus_is_not_eligible() {
    let stranger = ScholarshipApplicationFacts { profile: None, ..open() };
    after([drafted(), requested()]).knowing(stranger).when(submit()).refused(R::NotEligible {});
    let nobody = ScholarshipApplicationFacts { profile: Some(Arc::default()), ..open() };
    after([drafted(), requested()]).knowing(nobody).when(submit()).refused(R::NotEligible {});
}

#[test]
fn opp_a8_a_score_is_recorded_once_per_decision_and_rejects_nobody() {
    let scored = after([submitted()]).when(score(1, 0)).events();
    let state = given::<ScholarshipApplication>([started(), submitted()].into_iter().chain(scored.clone()));
    assert_eq!(state.state().status, ApplicationStatus::Submitted);
    state.when(score(1, 0)).then([]);
    after([submitted()]).when(score(1, 10_001)).invalid("score");
    after([]).when(score(1, 0)).invalid_state("draft");
}

#[test]
fn idn_a8_staff_of_an_org_unit_decide_about_applications_to_the_sponsors_within_it() {
    let (campus, sponsor) = (Uuid::from_u128(0xC), terms().sponsor);
    let unit = |parent| OrgUnit { exists: true, active: true, parent, ..OrgUnit::default() };
    let offer = given::<Scholarship>(published(terms())).state().clone();
    let mut world =
        World::default().with(sponsor, unit(Some(campus))).with(campus, unit(None)).with(SCHOLARSHIP, offer);
    let mut by = |within| {
        let grant = RoleGrant { role: "staff".into(), within: Some(within) };
        let decline = C::DeclineApplication { reason: Stated("no".into()) };
        let staff = Actor::with_roles(Uuid::from_u128(1), vec![grant]);
        after([submitted()]).by(staff).looking_up(&decline, &mut world).when(decline)
    };
    by(campus).then_names(["ApplicationDeclined"]);
    by(Uuid::from_u128(0xE)).forbidden();
}

#[test]
fn a_review_is_recorded_by_an_assigned_reviewer_within_the_marks() {
    after([submitted(), assigned()]).when(review(&[("merit", 8750)])).then_names(["ApplicationReviewed"]);
    after([submitted()]).when(review(&[])).refused(R::NotAssigned {});
    let criterion = "merit".to_owned();
    after([submitted(), assigned()]).when(review(&[("merit", 10_001)])).refused(R::OutOfRange { criterion });
}

#[test]
fn the_short_list_follows_the_review() {
    after([submitted()]).when(C::ShortlistApplication {}).invalid_state("submitted");
    let state = after([submitted(), assigned()])
        .when(C::ShortlistApplication {})
        .then([E::ApplicationShortlisted {}]);
    assert_eq!(state.status, ApplicationStatus::Shortlisted);
}

#[test]
fn an_award_is_recorded_once_and_only_as_it_was_selected() {
    let award = |minor| C::RecordAward { amount: usd(minor) };
    let at = "2026-02-02T00:00:00Z";
    after([submitted()]).knowing(selected_for(50_000)).at(at).when(award(50_000)).then([awarded()]);
    after([submitted()]).knowing(selected_for(50_000)).when(award(1)).refused(R::NotSelected {});
    after([submitted()]).when(award(50_000)).refused(R::NotSelected {});
    after([submitted(), awarded()]).when(award(50_000)).then([]);
    let withdrawn = E::ApplicationWithdrawn { reason: None, scholarship: SCHOLARSHIP, applicant: APPLICANT };
    after([submitted(), withdrawn]).knowing(selected_for(1)).when(award(1)).invalid_state("withdrawn");
}

#[test]
fn opp_a6_an_offer_is_accepted_within_fourteen_days() {
    let scenario = || after([submitted(), awarded()]).knowing(selected_for(50_000));
    let accepted = E::AwardAccepted { scholarship: SCHOLARSHIP, applicant: APPLICANT };
    scenario().at("2026-02-16T00:00:00Z").when(C::AcceptAward {}).then([accepted]);
    let expired_at = "2026-02-16T00:00:00Z".parse().unwrap();
    scenario().at("2026-02-16T00:00:01Z").when(C::AcceptAward {}).refused(R::OfferExpired { expired_at });
    after([submitted(), awarded()]).when(C::AcceptAward {}).refused(R::OfferReversed {});
    after([submitted()]).when(C::AcceptAward {}).invalid_state("submitted");
}

#[test]
fn opp_a6_the_clock_lets_an_offer_lapse_and_an_answer_is_final() {
    let refuse = || C::RefuseAward { reason: Some(Stated("lapsed".into())) };
    let lapsed = after([submitted(), awarded()]).by(Actor::scheduler("award_offer")).when(refuse()).events();
    assert!(matches!(lapsed[..], [E::AwardRefused { lapsed: true, .. }]));
    let accepted = E::AwardAccepted { scholarship: SCHOLARSHIP, applicant: APPLICANT };
    after([submitted(), awarded(), accepted])
        .by(Actor::scheduler("award_offer"))
        .when(refuse())
        .invalid_state("accepted");
}

#[test]
fn what_was_decided_is_not_withdrawn_or_declined() {
    let withdraw = || C::WithdrawApplication { reason: None };
    after([submitted(), awarded()]).when(withdraw()).invalid_state("awarded");
    let declined = E::ApplicationDeclined { reason: Personal::about(APPLICANT, "others".into()) };
    after([submitted(), declined]).when(withdraw()).invalid_state("declined");
    after([]).when(C::DeclineApplication { reason: Stated("early".into()) }).invalid_state("draft");
}

#[test]
fn applicants_act_for_themselves_and_reviewers_in_their_own_name() {
    let applicant = Actor::user(APPLICANT, &["student"]);
    let other = Actor::user(Uuid::from_u128(9), &["student"]);
    let member = Actor::user(APPLICANT, &[]);
    let staff = Actor::user(Uuid::from_u128(8), &["staff"]);
    let reviewer = Actor::user(REVIEWER, &["reviewer"]);
    let clock = Actor::scheduler("any");
    let nothing = nothing::<ScholarshipApplication>();
    assert!(nothing.permits(&applicant, &start()) && !nothing.permits(&other, &start()));
    assert!(!nothing.permits(&member, &start()));
    let case = after([drafted()]);
    for own in [submit(), ask(), C::AcceptAward {}, C::WithdrawApplication { reason: None }] {
        assert!(case.permits(&applicant, &own) && !case.permits(&other, &own) && !case.permits(&staff, &own));
    }
    assert!(case.permits(&other, &attach("secret")) && !case.permits(&applicant, &attach("secret")));
    assert!(case.permits(&reviewer, &review(&[])) && !case.permits(&staff, &review(&[])));
    let assign = C::AssignReviewer { reviewer: REVIEWER };
    assert!(case.permits(&staff, &assign) && case.permits(&clock, &assign));
    assert!(!case.permits(&reviewer, &assign) && !case.permits(&applicant, &assign));
    assert!(case.permits(&clock, &score(1, 1)) && !case.permits(&staff, &score(1, 1)));
    assert!(case.permits(&clock, &C::RefuseAward { reason: None }));
}

#[test]
fn a_submission_pins_the_scholarship_and_takes_the_profile_from_its_own_stream() {
    let mut world = World::default()
        .with(SCHOLARSHIP, given::<Scholarship>(published(terms())).state().clone())
        .with(APPLICANT, student());
    given::<ScholarshipApplication>([started(), drafted(), requested()])
        .looking_up(&submit(), &mut world)
        .when(submit())
        .then([submitted_with(Some(1))]);
    assert_eq!(world.pinned, [SCHOLARSHIP]);
}

#[test]
fn the_hash_of_a_token_is_asked_for_by_the_label_that_the_mail_uses() {
    let label = recommendation_token_label(ME, request());
    let mut world = World::default()
        .with(SCHOLARSHIP, given::<Scholarship>(published(terms())).state().clone())
        .answering(Question::TokenHash { label }, Answer::Hash(sha256_hex("secret")));
    let state = given::<ScholarshipApplication>([started()])
        .looking_up(&ask(), &mut world)
        .when(ask())
        .then_names(["RecommendationRequested"]);
    let hash = state.recommendations[&request()].token_hash.as_ref().and_then(Personal::get);
    assert_eq!(hash, Some(&sha256_hex("secret")));
}

#[test]
fn an_award_and_its_acceptance_pin_the_selection() {
    let chosen = ScholarshipEvent::AwardeeSelected { application: ME, amount: usd(50_000) };
    let scholarship = given::<Scholarship>(published(terms()).into_iter().chain([chosen])).state().clone();
    let cases = [
        (C::RecordAward { amount: usd(50_000) }, vec![submitted()]),
        (C::AcceptAward {}, vec![submitted(), awarded()]),
    ];
    for (command, past) in cases {
        let mut world = World::default().with(SCHOLARSHIP, scholarship.clone());
        given::<ScholarshipApplication>([started()].into_iter().chain(past))
            .looking_up(&command, &mut world)
            .when(command)
            .events();
        assert_eq!(world.pinned, [SCHOLARSHIP]);
    }
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<ScholarshipApplication>([
        started(),
        drafted(),
        requested(),
        E::RecommendationAttached {
            request: request(),
            document: Uuid::from_u128(0xD1),
            recommender: Some(Uuid::from_u128(0xE1)),
        },
        submitted_with(None),
        E::ApplicationMatchScored {
            decision: Uuid::from_u128(1),
            score: BasisPoints(5500),
            components: BTreeMap::from([
                ("gpa".into(), BasisPoints(2500)),
                ("major".into(), BasisPoints(3000)),
            ]),
            engine: "rules/match@1".into(),
            model: None,
        },
        E::ApplicationWithdrawn {
            reason: Some(Personal::about(APPLICANT, "moving".into())),
            scholarship: SCHOLARSHIP,
            applicant: APPLICANT,
        },
        assigned(),
        E::ConflictDeclared {
            person: Personal::about(APPLICANT, REVIEWER),
            relation: Personal::about(APPLICANT, ConflictRelation::Mentor),
        },
        E::ReviewerWithdrawn { reviewer: REVIEWER },
        E::ApplicationReviewed {
            reviewer: REVIEWER,
            scores: BTreeMap::from([("merit".into(), 8750)]),
            comment: Some(Personal::about(APPLICANT, "Strong".into())),
            recommendation: ReviewRecommendation::Award,
        },
        E::ApplicationShortlisted {},
        awarded(),
        E::ApplicationDeclined { reason: Personal::about(APPLICANT, "others".into()) },
        E::AwardAccepted { scholarship: SCHOLARSHIP, applicant: APPLICANT },
        E::AwardRefused {
            reason: Some(Personal::about(APPLICANT, "abroad".into())),
            lapsed: false,
            scholarship: SCHOLARSHIP,
        },
    ]);
}
