use proptest::prelude::*;

use super::{ScholarshipCommand as C, ScholarshipEvent as E, ScholarshipRefusal as R, *};
use crate::{
    kernel::{
        Personal, RoleGrant, Stated,
        class::Education,
        testing::{World, given, keeps_history, nothing},
    },
    opportunities::{
        ROLLING, ScholarshipApplicationEvent,
        samples::{published, terms, usd},
    },
};

const AFTER: &str = "2026-02-01T00:00:01Z";

fn rolling() -> ScholarshipTerms {
    ScholarshipTerms { tags: vec![ROLLING.into()], ..terms() }
}

fn application(number: u128) -> Uuid {
    Uuid::from_u128(0xA0_0000 + number)
}

fn select(number: u128, minor: i64) -> C {
    C::SelectAwardee { application: application(number), amount: usd(minor) }
}

fn chosen(number: u128, minor: i64) -> E {
    E::AwardeeSelected { application: application(number), amount: usd(minor) }
}

fn of(status: ApplicationStatus) -> ScholarshipFacts {
    let application = Some(status);
    ScholarshipFacts {
        sponsor_exists: true,
        application,
        applicant: APPLICANT,
        ..ScholarshipFacts::default()
    }
}

const APPLICANT: Uuid = Uuid::from_u128(0xADA);

fn told(reason: &str) -> Personal<String, Education> {
    Personal::about(APPLICANT, reason.to_owned())
}

fn submitted() -> ScholarshipFacts {
    of(ApplicationStatus::Submitted)
}

fn revise(changes: ScholarshipChanges) -> C {
    C::ReviseScholarship { changes }
}

#[test]
fn a_draft_is_held_to_its_bounds() {
    let draft = |change: fn(&mut ScholarshipTerms)| {
        let mut terms = terms();
        change(&mut terms);
        nothing::<Scholarship>().knowing(submitted()).when(C::DraftScholarship(terms))
    };
    draft(|_| {}).then([E::ScholarshipDrafted(terms())]);
    draft(|t| t.title = "\0".into()).invalid("title");
    draft(|t| t.max_awards = 0).invalid("max_awards");
    draft(|t| t.award = usd(Money::LIMIT)).invalid("award");
    draft(|t| t.deadline = Timestamp::MAX).invalid("deadline");
    draft(|t| t.min_gpa = Some(4001)).invalid("min_gpa");
    draft(|t| t.essay_prompts = vec!["Why?".into(); 2]).invalid("essay_prompts");
    draft(|t| t.award = usd(0)).refused(R::NonPositiveAward {});
    draft(|t| t.deadline = t.opens_at).refused(R::DeadlineBeforeOpening {});
}

#[test]
fn a_draft_names_a_sponsor_that_exists() {
    nothing::<Scholarship>().when(C::DraftScholarship(terms())).refused(R::UnknownSponsor {});
}

#[test]
fn idn_a8_staff_of_an_org_unit_manage_the_scholarships_of_the_sponsors_within_it() {
    let (campus, elsewhere, sponsor) = (Uuid::from_u128(0xC), Uuid::from_u128(0xE), terms().sponsor);
    let unit = |parent| OrgUnit { exists: true, active: true, parent, ..OrgUnit::default() };
    let mut world = World::default()
        .with(campus, unit(None))
        .with(elsewhere, unit(None))
        .with(sponsor, unit(Some(campus)));
    let staff = |within| {
        Actor::with_roles(Uuid::from_u128(1), vec![RoleGrant { role: "staff".into(), within: Some(within) }])
    };
    let draft = C::DraftScholarship(terms());
    let mut told = |past: Vec<E>, actor: Actor, command: C| {
        given::<Scholarship>(past).by(actor).looking_up(&command, &mut world).when(command)
    };
    told(vec![], staff(campus), draft.clone()).then_names(["ScholarshipDrafted"]);
    told(vec![], staff(elsewhere), draft).forbidden();
    let drafted = || vec![E::ScholarshipDrafted(terms())];
    told(drafted(), staff(sponsor), C::PublishScholarship {}).then_names(["ScholarshipPublished"]);
    told(drafted(), staff(elsewhere), C::PublishScholarship {}).forbidden();
    let away = revise(ScholarshipChanges { sponsor: Some(elsewhere), ..ScholarshipChanges::default() });
    told(drafted(), staff(campus), away).forbidden();
}

#[test]
fn the_terms_are_the_body_of_the_command_itself() {
    let schema = schemars::schema_for!(C).to_value().to_string();
    assert!(!schema.contains("$defs/ScholarshipTerms"), "{schema}");
    let body = serde_json::to_value(C::DraftScholarship(terms())).unwrap();
    assert_eq!(body["DraftScholarship"]["title"], "Gorilla Scholars");
}

#[test]
fn opp_s1_the_fund_is_the_awards_and_what_is_contributed() {
    let state = given::<Scholarship>([E::ScholarshipDrafted(terms())])
        .when(C::PublishScholarship {})
        .then([E::ScholarshipPublished { fund: usd(100_000) }]);
    assert_eq!(state.fund, Some(usd(100_000)));
    let gift = C::RecordFundContribution { payment: Uuid::from_u128(1), amount: usd(1), donor: None };
    let once = given::<Scholarship>(published(terms())).when(gift.clone()).events();
    let twice = given::<Scholarship>(published(terms()).into_iter().chain(once));
    assert_eq!(twice.state().fund, Some(usd(100_001)));
    twice.when(gift).then([]);
}

#[test]
fn opp_s1_a_contribution_before_publication_or_a_revision_after_it_is_not_lost() {
    let gift = E::FundContributionRecorded { payment: Uuid::from_u128(1), amount: usd(7), donor: None };
    let [drafted, public] = published(terms());
    let more = E::ScholarshipRevised {
        changes: ScholarshipChanges { max_awards: Some(3), ..ScholarshipChanges::default() },
    };
    let state = given::<Scholarship>([drafted, gift, public, more]).state().clone();
    assert_eq!(state.fund, Some(usd(150_007)));
}

#[test]
fn a_contribution_in_another_currency_is_refused() {
    let amount = Money::new(1, "EUR".parse().unwrap());
    let gift = C::RecordFundContribution { payment: Uuid::nil(), amount, donor: None };
    given::<Scholarship>(published(terms())).when(gift).refused(R::CurrencyMismatch {});
    let changes = ScholarshipChanges { award: Some(amount), ..ScholarshipChanges::default() };
    let given_once = E::FundContributionRecorded { payment: Uuid::nil(), amount: usd(7), donor: None };
    given::<Scholarship>(published(terms()).into_iter().chain([given_once]))
        .when(revise(changes))
        .refused(R::CurrencyMismatch {});
}

#[test]
fn opp_s1_no_more_is_selected_than_the_fund_and_the_awards_allow() {
    let scenario = |chosen: Vec<E>| {
        given::<Scholarship>(published(rolling()).into_iter().chain(chosen)).knowing(submitted())
    };
    scenario(vec![chosen(1, 90_000)])
        .when(select(2, 10_001))
        .refused(R::FundExhausted { remaining: usd(10_000) });
    scenario(vec![chosen(1, 90_000)]).when(select(2, 10_000)).then([chosen(2, 10_000)]);
    scenario(vec![chosen(1, 1), chosen(2, 1)])
        .when(select(3, 1))
        .refused(R::AwardsExhausted { max_awards: 2 });
    scenario(vec![chosen(1, 1)]).when(select(1, 1)).refused(R::AlreadySelected {});
    scenario(vec![]).when(select(1, 0)).invalid("amount");
    scenario(vec![]).when(select(1, i64::MAX)).invalid("amount");
}

#[test]
fn only_an_application_under_consideration_for_this_scholarship_is_selected() {
    let scenario = || given::<Scholarship>(published(rolling()));
    scenario().when(select(1, 1)).refused(R::UnknownApplication {});
    for status in [ApplicationStatus::Draft, ApplicationStatus::Withdrawn, ApplicationStatus::Declined] {
        scenario().knowing(of(status)).when(select(1, 1)).refused(R::NotUnderConsideration { status });
    }
}

#[test]
fn opp_s2_a_revision_of_the_criteria_must_be_alone_and_a_correction_of_words_need_not() {
    let changes = ScholarshipChanges { min_gpa: Some(None), ..ScholarshipChanges::default() };
    let claims = given::<Scholarship>(published(terms())).when(revise(changes)).claims();
    for number in 0..1000 {
        let key = submission_key(Uuid::from_u128(0x1D), application(number));
        let seat = claims.iter().position(|claim| *claim == Claim::Seat { key: key.clone(), limit: 1 });
        assert_eq!(seat.map(|seat| &claims[seat + 1]), Some(&Claim::Free(key.clone())));
        assert_eq!(Scholarship::taken(&key), Some(R::CriteriaFrozen {}));
    }
    let words = ScholarshipChanges { title: Some("Gorillas".into()), ..ScholarshipChanges::default() };
    assert_eq!(given::<Scholarship>(published(terms())).when(revise(words)).claims(), []);
}

#[test]
fn a_null_lifts_the_grade_and_a_field_left_out_leaves_it() {
    let read = |text: &str| serde_json::from_str::<ScholarshipChanges>(text).unwrap();
    assert_eq!(terms().with(&read(r#"{"min_gpa":null}"#)).min_gpa, None);
    assert_eq!(terms().with(&read("{}")).min_gpa, Some(3000));
    let stored = serde_json::to_string(&read(r#"{"min_gpa":null}"#)).unwrap();
    assert_eq!(stored, r#"{"min_gpa":null}"#);
    assert!(serde_json::from_str::<ScholarshipChanges>(r#"{"mingpa":1}"#).is_err());
}

#[test]
fn the_deadline_of_a_published_scholarship_moves_later_only_and_on_its_own() {
    let later: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let changes = ScholarshipChanges { deadline: Some(later), ..ScholarshipChanges::default() };
    given::<Scholarship>(published(terms())).when(revise(changes.clone())).invalid("changes.deadline");
    given::<Scholarship>([E::ScholarshipDrafted(terms())])
        .when(revise(changes))
        .then_names(["ScholarshipRevised"]);
    let extend = |deadline| C::ExtendDeadline { deadline, reason: "storm".into() };
    given::<Scholarship>(published(terms()))
        .when(extend(terms().deadline))
        .refused(R::NotLater { deadline: terms().deadline });
    let state = given::<Scholarship>(published(terms())).when(extend(later)).then_names(["DeadlineExtended"]);
    assert_eq!(state.terms.map(|terms| terms.deadline), Some(later));
}

#[test]
fn a_scholarship_whose_deadline_has_passed_is_not_published() {
    given::<Scholarship>([E::ScholarshipDrafted(terms())])
        .at(AFTER)
        .when(C::PublishScholarship {})
        .refused(R::DeadlinePassed { deadline: terms().deadline });
}

#[test]
fn opp_s3_the_clock_closes_at_the_deadline_and_not_before() {
    let close = || C::CloseScholarship { reason: CloseReason::Deadline };
    let closed = E::ScholarshipClosed { reason: CloseReason::Deadline };
    let deadline = terms().deadline;
    given::<Scholarship>(published(terms())).when(close()).refused(R::BeforeDeadline { deadline });
    given::<Scholarship>(published(terms())).at("2026-02-01T00:00:00Z").when(close()).then([closed.clone()]);
    given::<Scholarship>(published(terms()).into_iter().chain([closed]))
        .at(AFTER)
        .when(close())
        .invalid_state("closed");
}

#[test]
fn opp_s4_selection_waits_for_the_deadline_unless_rolling() {
    let scenario = |terms| given::<Scholarship>(published(terms)).knowing(submitted());
    let deadline = terms().deadline;
    scenario(terms()).when(select(1, 1)).refused(R::BeforeDeadline { deadline });
    scenario(terms()).at(AFTER).when(select(1, 1)).then([chosen(1, 1)]);
    scenario(rolling()).when(select(1, 1)).then([chosen(1, 1)]);
}

#[test]
fn a_cancelled_scholarship_selects_nobody() {
    let closed = E::ScholarshipClosed { reason: CloseReason::Cancelled };
    given::<Scholarship>(published(rolling()).into_iter().chain([closed]))
        .knowing(submitted())
        .when(select(1, 1))
        .invalid_state("closed");
}

#[test]
fn a_selection_is_reversed_once_and_never_after_the_award_was_accepted() {
    let reverse = || C::ReverseSelection { application: application(1), reason: Stated("refused".into()) };
    let reversed = E::SelectionReversed { application: application(1), reason: told("refused") };
    let scenario = |more: Vec<E>| given::<Scholarship>(published(rolling()).into_iter().chain(more));
    scenario(vec![]).when(reverse()).refused(R::NotSelected {});
    scenario(vec![chosen(1, 1)])
        .knowing(of(ApplicationStatus::Accepted))
        .when(reverse())
        .refused(R::AlreadyAccepted {});
    let state = scenario(vec![chosen(1, 1)])
        .knowing(of(ApplicationStatus::Refused))
        .when(reverse())
        .then([reversed.clone()]);
    assert_eq!(state.remaining_fund(), Some(usd(100_000)));
    let forgotten = || ScholarshipFacts { is_forgotten: true, ..of(ApplicationStatus::Refused) };
    scenario(vec![chosen(1, 1)])
        .knowing(forgotten())
        .when(reverse())
        .then([E::SelectionReversed { application: application(1), reason: Personal::Erased }]);
    scenario(vec![chosen(1, 1), reversed]).when(reverse()).refused(R::NotSelected {});
}

#[test]
fn p_13_a_policy_reverses_a_selection_only_where_the_application_cannot_be_awarded_any_more() {
    use ApplicationStatus as S;
    let reverse = || C::ReverseSelection { application: application(1), reason: Stated("withdrawn".into()) };
    let reversed = || E::SelectionReversed { application: application(1), reason: told("withdrawn") };
    let selected = || published(rolling()).into_iter().chain([chosen(1, 1)]);
    let case = |status| given::<Scholarship>(selected()).knowing(of(status));
    let policy = || Actor::policy("carry_selection");
    for status in [S::Submitted, S::UnderReview, S::Shortlisted, S::Awarded] {
        case(status).by(policy()).when(reverse()).then([]);
        case(status).when(reverse()).then([reversed()]);
    }
    for status in [S::Withdrawn, S::Declined, S::Refused] {
        case(status).by(policy()).when(reverse()).then([reversed()]);
    }
}

#[test]
fn only_a_closed_scholarship_is_archived() {
    let status = ScholarshipStatus::Published;
    given::<Scholarship>(published(terms())).when(C::ArchiveScholarship {}).refused(R::NotClosed { status });
    let closed = E::ScholarshipClosed { reason: CloseReason::Filled };
    given::<Scholarship>(published(terms()).into_iter().chain([closed]))
        .when(C::ArchiveScholarship {})
        .then([E::ScholarshipArchived {}]);
}

#[test]
fn a_scholarship_is_drafted_and_published_once() {
    let facts = submitted();
    given::<Scholarship>(published(terms()))
        .knowing(facts)
        .when(C::DraftScholarship(terms()))
        .invalid_state("published");
    given::<Scholarship>(published(terms())).when(C::PublishScholarship {}).invalid_state("published");
}

#[test]
fn staff_manage_scholarships_and_only_the_system_books_contributions() {
    let (staff, student) =
        (Actor::user(Uuid::from_u128(1), &["staff"]), Actor::user(Uuid::from_u128(2), &["student"]));
    let clock = Actor::scheduler("deadlines");
    let gift = C::RecordFundContribution { payment: Uuid::nil(), amount: usd(1), donor: None };
    let close = C::CloseScholarship { reason: CloseReason::Deadline };
    let scenario = nothing::<Scholarship>();
    assert!(scenario.permits(&staff, &select(1, 1)) && !scenario.permits(&student, &select(1, 1)));
    assert!(scenario.permits(&clock, &gift) && !scenario.permits(&staff, &gift));
    assert!(scenario.permits(&clock, &close) && !scenario.permits(&clock, &C::PublishScholarship {}));
}

#[test]
fn a_selection_pins_the_application_and_takes_it_only_from_this_scholarship() {
    let case = |scholarship| ScholarshipApplication {
        status: ApplicationStatus::Submitted,
        scholarship,
        ..ScholarshipApplication::default()
    };
    let (here, elsewhere) = (Uuid::from_u128(0x1D), Uuid::from_u128(0xE1));
    let look = |state| {
        let mut world = World::default().with(application(1), state);
        let scenario = given::<Scholarship>(published(rolling()))
            .looking_up(&select(1, 1), &mut world)
            .when(select(1, 1));
        (scenario, world.pinned)
    };
    let (selected, pinned) = look(case(here));
    selected.then([chosen(1, 1)]);
    assert_eq!(pinned, [application(1)]);
    look(case(elsewhere)).0.refused(R::UnknownApplication {});
}

#[test]
fn the_sponsor_is_looked_up_when_it_is_stated() {
    let unit = crate::identity::OrgUnit { exists: true, ..crate::identity::OrgUnit::default() };
    let draft = || C::DraftScholarship(terms());
    let mut world = World::default().with(terms().sponsor, unit);
    nothing::<Scholarship>().looking_up(&draft(), &mut world).when(draft()).events();
    let mut nowhere = World::default();
    nothing::<Scholarship>().looking_up(&draft(), &mut nowhere).when(draft()).refused(R::UnknownSponsor {});
}

/// Takes and frees in order, all or nothing, as catalogue 0.6 says.
fn append(seats: &mut BTreeMap<String, BTreeSet<Uuid>>, by: Uuid, claims: Vec<Claim>) -> bool {
    let mut changed = seats.clone();
    for claim in claims {
        match claim {
            Claim::Seat { key, limit } => {
                let seated = changed.entry(key).or_default();
                seated.insert(by);
                if seated.len() > limit as usize {
                    return false;
                }
            }
            Claim::Free(key) => {
                changed.entry(key).or_default().remove(&by);
            }
            Claim::Take(key) => panic!("{key} is not part of the lock"),
        }
    }
    *seats = changed;
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn opp_s2_submissions_never_hinder_each_other_and_end_every_revision(
        steps in prop::collection::vec(prop::option::of(any::<u128>()), 1..12),
    ) {
        let scholarship = Uuid::from_u128(0x5C);
        let changes = ScholarshipChanges { renewable: Some(true), ..ScholarshipChanges::default() };
        let revised = Scholarship::claims(scholarship, &E::ScholarshipRevised { changes });
        let (mut seats, mut submissions) = (BTreeMap::new(), 0);
        for step in steps {
            match step.map(Uuid::from_u128) {
                None => {
                    let accepted = append(&mut seats, scholarship, revised.clone());
                    prop_assert_eq!(accepted, submissions == 0);
                }
                Some(application) => {
                    let submitted = ScholarshipApplicationEvent::ScholarshipApplicationSubmitted {
                        scholarship,
                        applicant: Uuid::nil(),
                        gpa: None,
                        major: None,
                        grad_year: None,
                        interests: None,
                        relatives: None,
                        submitted_at: terms().opens_at,
                        profile_version: None,
                    };
                    let claims = ScholarshipApplication::claims(application, &submitted);
                    prop_assert!(append(&mut seats, application, claims));
                    submissions += 1;
                }
            }
        }
    }

    #[test]
    fn opp_s1_holds_over_any_selections_reversals_and_contributions(
        steps in prop::collection::vec((0..3u8, 0..6u128, -5i64..70_000), 0..40),
    ) {
        let mut state = given::<Scholarship>(published(rolling())).state().clone();
        for (index, (kind, number, minor)) in steps.into_iter().enumerate() {
            let command = match kind {
                0 => select(number, minor),
                1 => C::ReverseSelection { application: application(number), reason: Stated("x".into()) },
                _ => C::RecordFundContribution {
                    payment: Uuid::from_u128(index as u128),
                    amount: usd(minor),
                    donor: None,
                },
            };
            let context = Context {
                id: Uuid::nil(),
                command_id: Uuid::nil(),
                actor: Actor::user(Uuid::nil(), &["admin"]),
                now: terms().opens_at,
                occurred_at: terms().opens_at,
            };
            for event in state.decide(command, &submitted(), &context).unwrap_or_default() {
                state.evolve(&event);
            }
            let chosen: i64 = state.selections.values().map(|amount| amount.minor).sum();
            prop_assert!(chosen <= state.fund.unwrap().minor);
            prop_assert!(state.selections.len() <= 2);
        }
    }
}

#[test]
fn every_event_reads_as_it_was_stored() {
    let later = "2026-03-01T00:00:00Z".parse().unwrap();
    let changes = ScholarshipChanges {
        title: Some("Gorillas".into()),
        min_gpa: Some(None),
        tags: Some(vec![ROLLING.into()]),
        ..ScholarshipChanges::default()
    };
    keeps_history::<Scholarship>([
        E::ScholarshipDrafted(terms()),
        E::ScholarshipRevised { changes },
        E::ScholarshipPublished { fund: usd(100_000) },
        E::DeadlineExtended { deadline: later, reason: "storm".into() },
        E::FundContributionRecorded {
            payment: Uuid::from_u128(1),
            amount: usd(1),
            donor: Some(Uuid::from_u128(2)),
        },
        chosen(1, 50_000),
        E::SelectionReversed { application: application(1), reason: told("lapsed") },
        E::ScholarshipClosed { reason: CloseReason::Deadline },
        E::ScholarshipArchived {},
    ]);
}
