//! OPP-A7: who is too close to the applicant does not review the application.

use super::*;
use crate::identity::Account;

const OTHER: Uuid = Uuid::from_u128(0x4F);

fn assign(reviewer: Uuid) -> C {
    C::AssignReviewer { reviewer }
}

fn declare(person: Uuid) -> C {
    C::DeclareConflict { person, relation: Stated(ConflictRelation::Mentor) }
}

fn declared(person: Uuid) -> E {
    E::ConflictDeclared {
        person: Personal::about(APPLICANT, person),
        relation: Personal::about(APPLICANT, ConflictRelation::Mentor),
    }
}

/// A world in which the reviewer's address is the one that the recommendation was asked of, spelt otherwise.
fn in_which_the_reviewer_is_ada() -> World {
    let email = Personal::about(REVIEWER, "ada@example.edu".into());
    World::default()
        .with(SCHOLARSHIP, given::<Scholarship>(published(terms())).state().clone())
        .with(REVIEWER, Account { email, ..Account::default() })
}

fn asked_of(email: &str) -> E {
    let mut event = requested();
    if let E::RecommendationRequested { recommender_email, .. } = &mut event {
        *recommender_email = Personal::about(Uuid::from_u128(0xE1), email.into());
    }
    event
}

#[test]
fn opp_a7_the_first_reviewer_begins_the_review_and_is_no_friend_of_the_case() {
    let assign = |reviewer| C::AssignReviewer { reviewer };
    let state = after([submitted()]).when(assign(REVIEWER)).then([assigned()]);
    assert_eq!(state.status, ApplicationStatus::UnderReview);
    after([submitted(), assigned()]).when(assign(REVIEWER)).then([]);
    after([submitted()]).when(assign(APPLICANT)).refused(R::ConflictOfInterest {});
    let attached =
        E::RecommendationAttached { request: request(), document: Uuid::nil(), recommender: Some(REVIEWER) };
    after([requested(), attached, submitted()]).when(assign(REVIEWER)).refused(R::ConflictOfInterest {});
    after([requested(), submitted(), assigned()])
        .by(Actor::user(REVIEWER, &["reviewer"]))
        .when(attach("secret"))
        .refused(R::ConflictOfInterest {});
}

#[test]
fn opp_a7_a_relative_whom_the_applicant_declared_does_not_review() {
    let submit =
        |relatives: Vec<Uuid>| C::SubmitApplication { declaration: true, relatives: Some(Stated(relatives)) };
    let mut past = vec![started(), drafted(), requested()];
    past.extend(
        given::<ScholarshipApplication>(past.clone()).knowing(open()).when(submit(vec![REVIEWER])).events(),
    );
    let assign =
        |reviewer| given::<ScholarshipApplication>(past.clone()).when(C::AssignReviewer { reviewer });
    assign(REVIEWER).refused(R::ConflictOfInterest {});
    assign(Uuid::from_u128(0x4F)).then_names(["ReviewerAssigned"]);
    after([drafted(), requested()]).when(submit(vec![REVIEWER; 21])).invalid("relatives");
}

#[test]
fn opp_a7_who_was_asked_for_a_recommendation_does_not_review_though_nobody_signed_in() {
    let mut world = in_which_the_reviewer_is_ada();
    let case = || after([asked_of(" Ada@Example.EDU"), submitted()]);
    let command = || assign(REVIEWER);
    case().looking_up(&command(), &mut world).when(command()).refused(R::ConflictOfInterest {});
    let other = || assign(OTHER);
    case().looking_up(&other(), &mut world).when(other()).then_names(["ReviewerAssigned"]);
    let elsewhere = || after([asked_of("eve@example.edu"), submitted()]);
    elsewhere().looking_up(&command(), &mut world).when(command()).then_names(["ReviewerAssigned"]);
}

#[test]
fn opp_a7_a_reviewer_does_not_recommend_whether_signed_in_or_not() {
    let mut world = in_which_the_reviewer_is_ada();
    let nobody = Actor { scopes: Default::default(), ..Actor::policy("link") };
    let mut attached = |past: Vec<E>| {
        let command = attach("secret");
        after(past).by(nobody.clone()).looking_up(&command, &mut world).when(command)
    };
    attached(vec![requested(), submitted(), assigned()]).refused(R::ConflictOfInterest {});
    attached(vec![requested(), submitted()]).then_names(["RecommendationAttached"]);
}

#[test]
fn opp_a7_whoever_is_declared_to_be_too_close_is_no_reviewer_any_more_and_never_again() {
    let withdrawn = E::ReviewerWithdrawn { reviewer: REVIEWER };
    let past = || vec![submitted(), assigned()];
    let state = after(past()).when(declare(REVIEWER)).then([declared(REVIEWER), withdrawn.clone()]);
    assert!(state.reviewers.is_empty());
    let since = || after(past().into_iter().chain([declared(REVIEWER), withdrawn.clone()]));
    since().when(assign(REVIEWER)).refused(R::ConflictOfInterest {});
    since().by(Actor::user(REVIEWER, &["reviewer"])).when(review(&[])).refused(R::NotAssigned {});
    since().when(declare(REVIEWER)).then([]);
    after(past()).when(declare(OTHER)).then([declared(OTHER)]);
    after([declared(OTHER), submitted()]).when(assign(OTHER)).refused(R::ConflictOfInterest {});
    after(past()).when(declare(APPLICANT)).invalid("person");
    after([submitted(), awarded()]).when(declare(OTHER)).invalid_state("awarded");
}

#[test]
fn opp_a7_the_applicant_and_staff_declare_anybody_and_a_reviewer_themselves() {
    let (applicant, reviewer) = (Actor::user(APPLICANT, &["student"]), Actor::user(REVIEWER, &["reviewer"]));
    let (staff, student) = (Actor::user(OTHER, &["staff"]), Actor::user(OTHER, &["student"]));
    let case = || after([submitted(), assigned()]);
    assert!(case().permits(&applicant, &declare(REVIEWER)) && case().permits(&staff, &declare(REVIEWER)));
    assert!(case().permits(&reviewer, &declare(REVIEWER)) && !case().permits(&reviewer, &declare(OTHER)));
    assert!(!case().permits(&student, &declare(REVIEWER)) && !case().permits(&student, &declare(OTHER)));
    for actor in [applicant, reviewer] {
        case().by(actor).when(declare(REVIEWER)).then_names(["ConflictDeclared", "ReviewerWithdrawn"]);
    }
    let grant = RoleGrant { role: "staff".into(), within: Some(Uuid::from_u128(0xE)) };
    case().by(Actor::with_roles(OTHER, vec![grant])).when(declare(REVIEWER)).forbidden();
}

#[test]
fn opp_a7_what_was_declared_and_erased_hinders_nothing() {
    let erased = E::ConflictDeclared { person: Personal::Erased, relation: Personal::Erased };
    after([erased, submitted()]).when(assign(REVIEWER)).then([assigned()]);
}
