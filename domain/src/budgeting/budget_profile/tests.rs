use super::{BudgetProfileCommand as C, BudgetProfileEvent as E, BudgetProfileRefusal as R, *};
use crate::{
    budgeting::{CohortFeatures, PatternKind, SpendingPattern, fixtures::*},
    governance::ConsentLedgerEvent,
    kernel::testing::{Scenario, World, given, keeps_history, nothing},
};

fn set_up_profile() -> E {
    nothing::<BudgetProfile>()
        .with_id(OWNER)
        .by(owner())
        .when(set_up(RedistributionMode::Auto, 300_000))
        .events()
        .remove(0)
}

#[test]
fn every_event_reads_as_it_was_stored() {
    let features = CohortFeatures {
        average_spending: 210_000,
        shares: [("rent".to_owned(), BasisPoints(4000))].into(),
        adherence: Some(BasisPoints(9000)),
        savings_rate: Some(BasisPoints(2000)),
        transactions_per_30_days: 4250,
        impulse_rate: None,
        ..CohortFeatures::default()
    };
    let pattern = SpendingPattern {
        kind: PatternKind::Recurring,
        category: Some("subscriptions".into()),
        merchant: Some("netflix".into()),
        weekday: None,
        amount: Some(usd(1599)),
        share: None,
    };
    let month: YearMonth = "2026-05".parse().unwrap();
    keeps_history::<BudgetProfile>([
        set_up_profile(),
        E::BudgetTimeZoneChanged { tz: "Asia/Tokyo".into() },
        E::IncomeChanged { income: own(usd(320_000)), from: month },
        E::SplitChanged {
            needs: BasisPoints(6000),
            wants: BasisPoints(2000),
            savings: BasisPoints(2000),
            from: month,
        },
        E::CategoryDefined {
            key: "pets".into(),
            class: CategoryClass::Wants,
            level: 2,
            essential: false,
            weight: 10,
            pacing: Pacing::FixedDay,
            fixed_day: Some(3),
            keywords: own(vec!["vet".into()]),
        },
        E::CategoryRevised {
            key: "pets".into(),
            changes: CategoryRevision {
                class: Some(CategoryClass::Needs),
                level: Some(1),
                essential: Some(true),
                weight: Some(4),
                pacing: Some(Pacing::Weekend),
                fixed_day: None,
                keywords: Some(own(vec!["vet".into(), "zoo plus".into()])),
            },
        },
        E::CategoryRetired { key: "pets".into(), merge_into: "health".into() },
        E::RedistributionModeSet { mode: RedistributionMode::Propose },
        E::CategoryAlertSet { key: "dining".into(), at: BasisPoints(8000) },
        E::CohortAssigned {
            month,
            cohort: Cohort::Savers,
            features: own(features),
            model: Uuid::from_u128(0x30DE1),
        },
        E::CohortDriftDetected { from: Cohort::Spenders, to: Cohort::Savers, month },
        E::SpendingPatternsRecorded { month, patterns: own(vec![pattern]), engine: "patterns@1".into() },
    ]);
}

fn past(events: impl IntoIterator<Item = E>) -> Scenario<BudgetProfile> {
    given([set_up_profile()].into_iter().chain(events)).with_id(OWNER).by(owner())
}

fn month() -> YearMonth {
    "2026-05".parse().unwrap()
}

fn define(key: &str) -> C {
    C::DefineCategory {
        key: key.into(),
        class: CategoryClass::Wants,
        level: 2,
        essential: false,
        weight: 10,
        pacing: Pacing::Even,
        fixed_day: None,
        keywords: Stated(vec!["vet".into()]),
    }
}

fn revise(key: &str, changes: CategoryChanges) -> C {
    C::ReviseCategory { key: key.into(), changes }
}

fn retire(key: &str, merge_into: &str) -> C {
    C::RetireCategory { key: key.into(), merge_into: merge_into.into() }
}

fn shares(needs: i32, wants: i32, savings: i32) -> C {
    let (needs, wants, savings) = (BasisPoints(needs), BasisPoints(wants), BasisPoints(savings));
    C::ChangeSplit { needs, wants, savings, from: month() }
}

#[test]
fn bud_p2_a_budget_is_set_up_once_with_the_default_categories() {
    let E::BudgetSetUp { account, categories, .. } = set_up_profile() else { unreachable!() };
    assert_eq!((account, categories), (OWNER, default_categories()));
    past([]).when(set_up(RedistributionMode::Off, 1)).refused(R::AlreadySetUp {});
}

#[test]
fn a_person_sets_up_their_own_budget_and_nobody_elses() {
    let stranger = Actor::user(Uuid::from_u128(9), &["budget_user"]);
    let command = || set_up(RedistributionMode::Off, 1);
    let fresh = nothing::<BudgetProfile>().with_id(OWNER);
    assert!(!fresh.permits(&Actor::user(OWNER, &["staff"]), &command()));
    fresh.by(stranger).when(command()).forbidden();
}

#[test]
fn an_income_is_above_zero_and_of_the_budgets_currency() {
    for income in [0, -1] {
        let fresh = nothing::<BudgetProfile>().with_id(OWNER).by(owner());
        fresh.when(set_up(RedistributionMode::Off, income)).refused(R::NonPositiveIncome {});
    }
    let change = |income| C::ChangeIncome { income: Stated(income), from: month() };
    past([]).when(change(usd(0))).refused(R::NonPositiveIncome {});
    past([]).when(change(usd(i64::MAX))).invalid("income");
    let euros = Money::new(1, ccy("EUR"));
    past([]).when(change(euros)).refused(R::CurrencyMismatch { expected: ccy("USD") });
}

#[test]
fn a_zone_and_a_country_must_exist() {
    let with = |zone: &str, land: &str| {
        let mut command = set_up(RedistributionMode::Off, 1);
        if let C::SetUpBudget { tz, country, .. } = &mut command {
            (*tz, *country) = (zone.into(), land.into());
        }
        nothing::<BudgetProfile>().with_id(OWNER).by(owner()).when(command)
    };
    with("Mars/Olympus", "US").invalid("tz");
    with("Europe/Sofia", "bg").invalid("country");
    with("Europe/Sofia", "BG").then_names(["BudgetSetUp"]);
}

#[test]
fn p_23_the_budget_follows_its_owner_into_another_time_zone_once() {
    let follow = |tz: &str| C::ChangeTimeZone { tz: tz.into() };
    let changed = E::BudgetTimeZoneChanged { tz: "Asia/Tokyo".into() };
    let state = past([]).when(follow("Asia/Tokyo")).then([changed.clone()]);
    assert_eq!(state.tz, "Asia/Tokyo");
    past([changed]).when(follow("Asia/Tokyo")).then([]);
    past([]).when(follow("Mars/Olympus")).invalid("tz");
    let policy = Actor::policy("keep_months");
    assert!(past([]).permits(&policy, &follow("UTC")) && !past([]).permits(&owner(), &follow("UTC")));
}

#[test]
fn ari_6_a_split_is_a_partition_of_the_whole() {
    for (needs, wants, savings) in [(5000, 3000, 1999), (5000, 3000, 2001), (12_000, -2000, 0)] {
        past([]).when(shares(needs, wants, savings)).refused(R::WeightsNotWhole {});
    }
    past([]).when(shares(10_000, 0, 0)).then_names(["SplitChanged"]);
}

#[test]
fn bud_p4_a_change_holds_from_its_month_on() {
    let next = month().next().unwrap();
    let changed = |minor, from| E::IncomeChanged { income: own(usd(minor)), from };
    let profile = past([changed(500_000, next), changed(400_000, month())]).state().clone();
    let incomes = [month().previous().unwrap(), month(), next, next.next().unwrap()]
        .map(|month| profile.income_of(month).unwrap().minor);
    assert_eq!(incomes, [300_000, 400_000, 500_000, 500_000]);
    let split = past([]).when(shares(6000, 4000, 0)).then_names(["SplitChanged"]);
    assert_eq!(split.split_of(month().previous().unwrap()), Split::default());
    assert_eq!(split.split_of(next).weights(), [6000, 4000, 0]);
}

#[test]
fn a_category_has_a_key_of_its_own_and_a_level_from_zero_to_three() {
    past([]).when(define("pets")).then_names(["CategoryDefined"]);
    past([]).when(define("dining")).refused(R::Duplicate {});
    for key in ["", "Pets", "pet food", "uncategorised", &"p".repeat(41)] {
        past([]).when(define(key)).invalid("key");
    }
    for level in [-1, 4, i32::MAX] {
        past([])
            .when(revise("dining", CategoryChanges { level: Some(level), ..Default::default() }))
            .refused(R::LevelRange {});
    }
    past([])
        .when(revise("pets", CategoryChanges::default()))
        .refused(R::UnknownCategory { key: "pets".into() });
}

#[test]
fn a_fixed_day_belongs_to_a_fixed_day_category_and_only_to_one() {
    let pacing = |pacing, fixed_day| {
        let changes = CategoryChanges { pacing: Some(pacing), fixed_day, ..Default::default() };
        past([]).when(revise("rent", changes))
    };
    pacing(Pacing::Even, Some(3)).invalid("fixed_day");
    pacing(Pacing::FixedDay, Some(0)).invalid("fixed_day");
    pacing(Pacing::FixedDay, Some(32)).invalid("fixed_day");
    let state = pacing(Pacing::Even, None).then_names(["CategoryRevised"]);
    assert_eq!(state.category("rent").unwrap().category.fixed_day, None, "the day goes with the pacing");
}

#[test]
fn bounds_hold_for_weights_keywords_alerts_and_the_number_of_categories() {
    let weigh = |weight| CategoryChanges { weight: Some(weight), ..Default::default() };
    past([]).when(revise("dining", weigh(-1))).invalid("weight");
    past([]).when(revise("dining", weigh(10_001))).invalid("weight");
    let words = |words: Vec<String>| CategoryChanges { keywords: Some(Stated(words)), ..Default::default() };
    past([]).when(revise("dining", words(vec!["x".into(); 101]))).invalid("changes.keywords");
    past([]).when(revise("dining", words(vec!["x".repeat(61)]))).invalid("changes.keywords");
    past([]).when(revise("dining", words(vec!["  ".into()]))).invalid("changes.keywords");
    let alert = |at| C::SetCategoryAlert { key: "dining".into(), at: BasisPoints(at) };
    past([]).when(alert(20_001)).invalid("at");
    past([]).when(alert(-1)).invalid("at");
    let mut full = Vec::new();
    for n in 0..80 {
        full.extend(past([]).when(define(&format!("c{n}"))).events());
    }
    past(full).when(define("one_more")).invalid("key");
}

#[test]
fn bud_p3_savings_are_essential() {
    let flags = |class, essential| CategoryChanges { class, essential, ..Default::default() };
    past([]).when(revise("investments", flags(None, Some(false)))).invalid("essential");
    past([]).when(revise("dining", flags(Some(CategoryClass::Savings), None))).invalid("essential");
}

#[test]
fn the_last_category_of_a_class_neither_retires_nor_changes_its_class() {
    let gone = [retire("emergency_savings", "goal_savings"), retire("investments", "goal_savings")]
        .into_iter()
        .flat_map(|command| past([]).when(command).events())
        .collect::<Vec<_>>();
    past(gone.clone()).when(retire("goal_savings", "rent")).refused(R::LastInClass {});
    let wants = CategoryChanges { class: Some(CategoryClass::Wants), ..Default::default() };
    past(gone).when(revise("goal_savings", wants)).refused(R::LastInClass {});
}

#[test]
fn what_retires_goes_to_its_heir_with_weight_and_keywords() {
    let pets = past([]).when(define("pets")).events();
    let state = past(pets.clone()).when(retire("pets", "hobbies")).then_names(["CategoryRetired"]);
    let hobbies = state.category("hobbies").unwrap();
    assert_eq!(
        (hobbies.category.weight, hobbies.keywords.get().unwrap().as_slice()),
        (18, &["vet".to_owned()][..])
    );
    assert_eq!((state.category("pets"), state.resolve("pets")), (None, Some("hobbies")));
    let other_class = past(pets).when(retire("pets", "health")).then_names(["CategoryRetired"]);
    assert_eq!(other_class.category("health").unwrap().category.weight, 8);
    past([]).when(retire("dining", "dining")).invalid("merge_into");
    past([]).when(retire("dining", "pets")).refused(R::UnknownCategory { key: "pets".into() });
}

#[test]
fn a_retired_key_may_be_defined_anew_and_chains_of_heirs_end() {
    let retired =
        |key: &str, merge_into: &str| E::CategoryRetired { key: key.into(), merge_into: merge_into.into() };
    let chain = [retired("dining", "restaurants"), retired("restaurants", "travel")];
    assert_eq!(past(chain.clone()).state().resolve("dining"), Some("travel"));
    let again = past(chain).when(define("dining")).then_names(["CategoryDefined"]);
    assert_eq!((again.resolve("dining"), again.resolve("restaurants")), (Some("dining"), Some("travel")));
    assert_eq!(again.resolve("never_there"), None);
}

#[test]
fn an_alert_is_switched_off_by_zero() {
    let alert = |at| C::SetCategoryAlert { key: "dining".into(), at: BasisPoints(at) };
    let set = past([]).when(alert(8000)).events();
    assert_eq!(past(set.clone()).state().category("dining").unwrap().alert, Some(BasisPoints(8000)));
    let off = past(set).when(alert(0)).then_names(["CategoryAlertSet"]);
    assert_eq!(off.category("dining").unwrap().alert, None);
}

#[test]
fn a_cohort_that_differs_from_the_last_one_is_a_drift() {
    let assign = |cohort| C::AssignCohort {
        month: month(),
        cohort,
        features: Stated(CohortFeatures::default()),
        model: Uuid::from_u128(1),
    };
    let past = |events: Vec<E>| past(events).knowing(BudgetProfileFacts { consents: true });
    let first = past(vec![]).when(assign(Cohort::Spenders)).events();
    assert_eq!(first.len(), 1);
    past(first.clone()).when(assign(Cohort::Spenders)).then_names(["CohortAssigned"]);
    let events = past(first).when(assign(Cohort::Savers)).events();
    assert_eq!(
        events[1..],
        [E::CohortDriftDetected { from: Cohort::Spenders, to: Cohort::Savers, month: month() }]
    );
}

#[test]
fn p_32_how_somebody_spends_is_looked_into_only_while_they_consent_to_analytics() {
    let commands = [
        C::AssignCohort {
            month: month(),
            cohort: Cohort::Balanced,
            features: Stated(CohortFeatures::default()),
            model: Uuid::from_u128(1),
        },
        C::RecordSpendingPatterns {
            month: month(),
            patterns: Stated(Vec::new()),
            engine: "rules/habits@1".into(),
        },
    ];
    let granted = ConsentLedgerEvent::ConsentGranted {
        subject: OWNER,
        purpose: ConsentPurpose::Analytics,
        text_version: "1".into(),
        text_hash: String::new(),
        until: None,
    };
    let withdrawn = ConsentLedgerEvent::ConsentWithdrawn { purpose: ConsentPurpose::Analytics };
    let ledger = |events: &[ConsentLedgerEvent]| given::<ConsentLedger>(events.to_vec()).state().clone();
    for command in commands {
        let mut granting = World::default().with(OWNER, ledger(std::slice::from_ref(&granted)));
        let mut gone = World::default().with(OWNER, ledger(&[granted.clone(), withdrawn.clone()]));
        let mut never = World::default();
        let look = |world: &mut World| past([]).looking_up(&command, world).when(command.clone());
        assert_eq!(look(&mut granting).events().len(), 1);
        assert_eq!(granting.pinned, [OWNER], "a withdrawal meanwhile is not missed (GOV-C1)");
        look(&mut gone).refused(R::ConsentMissing {});
        look(&mut never).refused(R::ConsentMissing {});
    }
}

#[test]
fn cohorts_and_patterns_are_the_systems_and_the_rest_is_the_owners() {
    let assign = C::AssignCohort {
        month: month(),
        cohort: Cohort::Balanced,
        features: Stated(CohortFeatures::default()),
        model: Uuid::from_u128(1),
    };
    let patterns = C::RecordSpendingPatterns {
        month: month(),
        patterns: Stated(Vec::new()),
        engine: "patterns@1".into(),
    };
    let (policy, stranger) = (Actor::policy("cohorts"), Actor::user(Uuid::from_u128(9), &["budget_user"]));
    let profile = past([]);
    for command in [assign, patterns] {
        assert!(profile.permits(&policy, &command) && !profile.permits(&owner(), &command));
    }
    let mode = C::SetRedistributionMode { mode: RedistributionMode::Off };
    let (admin, staff) = (Actor::user(Uuid::from_u128(8), &["admin"]), Actor::user(OWNER, &["staff"]));
    assert!(profile.permits(&owner(), &mode) && profile.permits(&admin, &mode));
    for actor in [policy, stranger, staff] {
        assert!(!profile.permits(&actor, &mode), "{actor}");
    }
}

#[test]
fn an_erased_income_is_unknown_and_breaks_nothing() {
    let erased = E::IncomeChanged { income: Personal::Erased, from: month() };
    let profile = past([erased]).state().clone();
    assert_eq!((profile.income_of(month()), profile.subject()), (None, Some(OWNER)));
}
