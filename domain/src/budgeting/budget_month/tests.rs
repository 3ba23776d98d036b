use jiff::civil::date;

use super::{BudgetMonthCommand as C, BudgetMonthEvent as E, BudgetMonthRefusal as R, *};
use crate::{
    budgeting::{BudgetProfileCommand, fixtures::*},
    kernel::{
        BasisPoints, Stated,
        testing::{given, nothing},
    },
};

mod closing;

const AUTO: RedistributionMode = RedistributionMode::Auto;
const OFF: RedistributionMode = RedistributionMode::Off;
const PROPOSE: RedistributionMode = RedistributionMode::Propose;

fn scenario(day: i8, mode: RedistributionMode, commands: impl IntoIterator<Item = C>) -> Vec<E> {
    let mut past = vec![opened(mode)];
    for command in commands {
        past.extend(on(day, past.clone()).when(command).events());
    }
    past
}

fn reverse(transaction: u128, category: &str, day: i8, minor: i64) -> C {
    C::ReverseSpend {
        transaction: Uuid::from_u128(transaction),
        category: category.into(),
        date: may(day),
        amount: Stated(usd(minor)),
    }
}

fn redistribute(id: u128, category: &str, day: i8) -> C {
    C::RedistributeBudget { redistribution: Uuid::from_u128(id), category: category.into(), date: may(day) }
}

fn propose(id: u128, category: &str, day: i8) -> C {
    C::ProposeRedistribution {
        redistribution: Uuid::from_u128(id),
        category: category.into(),
        date: may(day),
    }
}

fn accept(id: u128) -> C {
    C::AcceptRedistribution { redistribution: Uuid::from_u128(id) }
}

fn dismiss(id: u128, cause: DismissalCause) -> C {
    C::DismissRedistribution { redistribution: Uuid::from_u128(id), cause }
}

fn revert(id: u128) -> C {
    C::RevertRedistribution { redistribution: Uuid::from_u128(id), reason: Stated("changed my mind".into()) }
}

fn move_between(from: &str, to: &str, minor: i64) -> C {
    C::MoveBetweenEnvelopes { from: from.into(), to: to.into(), amount: Stated(usd(minor)) }
}

fn adjust(category: &str, day: i8, minor: i64) -> C {
    C::AdjustDailyPlan { category: category.into(), date: may(day), planned: Stated(usd(minor)) }
}

fn envelope<'a>(state: &'a BudgetMonth, key: &str) -> &'a Envelope {
    let books = state.books.get().unwrap();
    &books.envelopes[books.find(key).unwrap()]
}

fn sum(state: &BudgetMonth) -> i64 {
    state.books.get().unwrap().envelopes.iter().map(|envelope| envelope.amount).sum()
}

fn names(events: &[E]) -> Vec<&'static str> {
    use crate::kernel::Event;
    events.iter().map(E::name).collect()
}

#[test]
fn a_month_has_one_budget_whose_id_follows_from_account_and_month() {
    let open = || C::OpenBudgetMonth { account: OWNER, month: month() };
    let facts = || knowing(profile_after(OFF, 300_000, []));
    let id = BudgetMonth::id(OWNER, month());
    assert_eq!(id, derived_id(&["budget", &OWNER.to_string(), "2026-05"]));
    let claims = nothing::<BudgetMonth>().with_id(id).knowing(facts()).when(open()).claims();
    assert_eq!(claims, [Claim::Take(format!("budget:{OWNER}:2026-05"))]);
    nothing::<BudgetMonth>().with_id(OWNER).knowing(facts()).when(open()).invalid("month");
    given::<BudgetMonth>([opened(OFF)]).with_id(OWNER).knowing(facts()).when(open()).invalid("month");
    given::<BudgetMonth>([opened(OFF)]).with_id(id).knowing(facts()).when(open()).refused(R::AlreadyOpen {});
    nothing::<BudgetMonth>().with_id(id).when(open()).refused(R::NoProfile {});
    assert_eq!(BudgetMonth::taken("budget:x"), Some(R::AlreadyOpen {}));
}

#[test]
fn a_month_opens_with_the_income_and_split_that_hold_for_it() {
    let half = BasisPoints(5000);
    let changes = [
        BudgetProfileCommand::ChangeIncome { income: Stated(usd(400_000)), from: month() },
        BudgetProfileCommand::ChangeSplit {
            needs: half,
            wants: half,
            savings: BasisPoints(0),
            from: month(),
        },
        BudgetProfileCommand::ChangeIncome { income: Stated(usd(900_000)), from: month().next().unwrap() },
    ];
    let E::BudgetMonthOpened { amounts, .. } = opened_from(profile_after(OFF, 300_000, changes)) else {
        unreachable!()
    };
    let amounts = amounts.into_inner().unwrap();
    assert_eq!(amounts.income, usd(400_000));
    assert_eq!(amounts.classes, ClassAmounts { needs: 200_000, wants: 200_000, savings: 0 });
}

#[test]
fn a_transaction_is_applied_once_and_reversed_once() {
    let past = scenario(2, OFF, [spend(1, "dining", 2, 100)]);
    on(2, past.clone()).when(spend(1, "dining", 2, 100)).refused(R::AlreadyApplied {});
    on(2, past.clone()).when(reverse(2, "dining", 2, 100)).refused(R::UnknownTransaction {});
    let reversed = [past.clone(), on(2, past).when(reverse(1, "dining", 2, 100)).events()].concat();
    on(2, reversed.clone()).when(reverse(1, "dining", 2, 100)).refused(R::UnknownTransaction {});
    on(2, reversed).when(spend(1, "dining", 2, 100)).then_names(["SpendApplied"]);
}

#[test]
fn what_is_reversed_is_what_was_applied_whatever_the_command_says() {
    let past = scenario(2, OFF, [spend(1, "dining", 2, 100)]);
    let state = on(2, past).when(reverse(1, "travel", 9, 5)).then([E::SpendReversed {
        transaction: Uuid::from_u128(1),
        category: "dining".into(),
        date: may(2),
        amount: own(usd(100)),
        after_close: false,
    }]);
    assert_eq!((envelope(&state, "dining").spent, envelope(&state, "dining").spent_on.get(2)), (0, 0));
}

#[test]
fn a_spend_of_another_month_or_currency_or_beyond_the_range_is_refused() {
    let at = |date, amount| C::ApplySpend {
        transaction: Uuid::from_u128(1),
        category: "dining".into(),
        date,
        amount: Stated(amount),
    };
    let past = || [opened(AUTO)];
    on(2, past()).when(at(date(2026, 6, 1), usd(1))).refused(R::WrongMonth { month: month() });
    let euros = Money::new(1, ccy("EUR"));
    on(2, past()).when(at(may(2), euros)).refused(R::CurrencyMismatch { expected: ccy("USD") });
    on(2, past()).when(at(may(2), usd(i64::MAX))).invalid("amount");
    on(2, past()).when(at(may(2), usd(i64::MIN))).invalid("amount");
    let most = scenario(2, AUTO, [spend(2, "dining", 2, Money::LIMIT)]);
    on(2, most).when(at(may(2), usd(1))).invalid("amount");
}

#[test]
fn an_alert_is_told_once_each_time_its_mark_is_reached() {
    let alert = BudgetProfileCommand::SetCategoryAlert { key: "travel".into(), at: BasisPoints(8000) };
    // Travel gets 90.00, paced over the month; mode off, so that its envelope stays.
    let mut past = vec![opened_from(profile_after(OFF, 300_000, [alert]))];
    let mut alerted = |command: C| {
        let events = on(2, past.clone()).when(command).events();
        let used = events.iter().find_map(|event| match event {
            E::CategoryAlertTriggered { used, .. } => Some(used.0),
            _ => None,
        });
        past.extend(events);
        used
    };
    assert_eq!(alerted(spend(1, "travel", 2, 7199)), None);
    assert_eq!(alerted(spend(2, "travel", 2, 1)), Some(8000));
    assert_eq!(alerted(spend(3, "travel", 2, 100)), None);
    assert_eq!(alerted(reverse(1, "travel", 2, 7199)), None);
    assert_eq!(alerted(spend(4, "travel", 2, 9000)), Some(10_112));
}

#[test]
fn an_alert_is_judged_on_the_envelope_as_the_decision_leaves_it() {
    let alert = BudgetProfileCommand::SetCategoryAlert { key: "travel".into(), at: BasisPoints(10_001) };
    let month = opened_from(profile_after(AUTO, 300_000, [alert]));
    let events = on(2, [month]).when(spend(1, "travel", 2, 9050)).events();
    assert_eq!(names(&events), ["SpendApplied", "OverspendDetected", "BudgetRedistributed"]);
}

#[test]
fn bud_m10_only_auto_redistributes_by_itself() {
    for mode in [PROPOSE, OFF] {
        on(2, [opened(mode)])
            .when(spend(1, "dining", 2, 5000))
            .then_names(["SpendApplied", "OverspendDetected"]);
    }
}

#[test]
fn bud_m10_a_redistribution_without_donors_says_what_is_uncovered() {
    let spent = [spend(1, "dining", 2, 10_800)];
    let profile = profile_after(AUTO, 300_000, []);
    let others: Vec<String> = profile
        .categories
        .iter()
        .filter(|live| live.category.class == CategoryClass::Wants && live.category.key != "dining")
        .map(|live| live.category.key.clone())
        .collect();
    let retire = others
        .into_iter()
        .map(|key| BudgetProfileCommand::RetireCategory { key, merge_into: "dining".into() });
    let month = opened_from(profile_after(AUTO, 300_000, retire));
    let events = on(2, [month]).when(spent[0].clone()).events();
    let E::BudgetRedistributed { amounts, .. } = &events[2] else { panic!("{events:?}") };
    let amounts = amounts.get().unwrap();
    assert_eq!((amounts.covered, amounts.uncovered, amounts.transfers.len()), (usd(0), amounts.needed, 0));
}

#[test]
fn a_person_redistributes_what_is_overspent_and_nothing_else() {
    let past = scenario(2, OFF, [spend(1, "dining", 2, 1000)]);
    on(2, past.clone()).when(redistribute(9, "dining", 3)).refused(R::NothingOverspent {});
    on(2, past.clone())
        .when(redistribute(9, "pets", 2))
        .refused(R::UnknownCategory { category: "pets".into() });
    let state = on(2, past.clone()).when(redistribute(9, "dining", 2)).then_names(["BudgetRedistributed"]);
    assert_eq!((sum(&state), envelope(&state, "dining").overspend(2)), (300_000, 0));
    let done = scenario(2, OFF, [spend(1, "dining", 2, 1000), redistribute(9, "dining", 2)]);
    on(2, done.clone()).when(redistribute(9, "dining", 2)).refused(R::NothingOverspent {});
    let more = [done.clone(), on(2, done).when(spend(2, "dining", 2, 10)).events()].concat();
    on(2, more).when(redistribute(9, "dining", 2)).refused(R::RedistributionExists {});
}

#[test]
fn bud_m10_a_proposal_is_open_for_a_day_and_accepted_against_the_envelopes_of_that_moment() {
    let past = scenario(2, PROPOSE, [spend(1, "dining", 2, 1000), propose(9, "dining", 2)]);
    let E::RedistributionProposed { expires_at, amounts, .. } = past.last().unwrap() else {
        panic!("{past:?}")
    };
    assert_eq!(expires_at.to_string(), "2026-05-03T16:00:00Z");
    let needed = amounts.get().unwrap().needed;
    let grown = [past.clone(), on(2, past.clone()).when(spend(2, "dining", 2, 500)).events()].concat();
    let events = on(3, grown.clone()).when(accept(9)).events();
    let [E::BudgetRedistributed { cause: RedistributionCause::Accepted, amounts, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(amounts.get().unwrap().needed.minor, needed.minor + 500);
    on(3, grown.clone()).at("2026-05-03T16:00:01Z").when(accept(9)).refused(R::ProposalExpired {});
    let accepted = [grown, events].concat();
    on(3, accepted.clone()).when(accept(9)).invalid_state("applied");
    on(3, accepted).when(dismiss(9, DismissalCause::Expired)).invalid_state("applied");
}

#[test]
fn a_proposal_that_was_dismissed_or_has_expired_is_no_longer_open() {
    let open = [spend(1, "dining", 2, 1000), propose(9, "dining", 2)];
    let with = |cause| scenario(2, PROPOSE, open.clone().into_iter().chain([dismiss(9, cause)]));
    on(2, with(DismissalCause::Person)).when(accept(9)).invalid_state("dismissed");
    on(2, with(DismissalCause::Expired)).when(accept(9)).refused(R::ProposalExpired {});
    on(2, with(DismissalCause::Person)).when(dismiss(9, DismissalCause::Person)).invalid_state("dismissed");
    on(2, [opened(PROPOSE)]).when(accept(9)).refused(R::UnknownRedistribution {});
    on(2, [opened(PROPOSE)]).when(dismiss(9, DismissalCause::Person)).refused(R::UnknownRedistribution {});
}

#[test]
fn a_proposal_whose_overspend_is_gone_is_not_accepted() {
    let past = scenario(
        2,
        PROPOSE,
        [spend(1, "dining", 2, 1000), propose(9, "dining", 2), reverse(1, "dining", 2, 1000)],
    );
    on(2, past).when(accept(9)).refused(R::NothingOverspent {});
}

#[test]
fn nothing_is_proposed_when_nobody_can_give() {
    let wants = profile_after(PROPOSE, 300_000, []);
    let drained = wants
        .categories
        .iter()
        .filter(|live| live.category.class == CategoryClass::Wants)
        .enumerate()
        .map(|(n, live)| spend(100 + n as u128, &live.category.key, 2, 20_000));
    let past = scenario(2, PROPOSE, drained);
    on(2, past).when(propose(9, "dining", 2)).refused(R::NothingToGive {});
}

#[test]
fn a_redistribution_is_reverted_once() {
    let past = scenario(2, OFF, [spend(1, "dining", 2, 1000), redistribute(9, "dining", 2)]);
    on(2, past.clone()).when(revert(8)).refused(R::UnknownRedistribution {});
    let state = on(2, past.clone()).when(revert(9)).then_names(["RedistributionReverted"]);
    assert_eq!((sum(&state), envelope(&state, "dining").amount), (300_000, 10_800));
    let reverted = [past.clone(), on(2, past).when(revert(9)).events()].concat();
    on(2, reverted).when(revert(9)).refused(R::AlreadyReverted {});
}

#[test]
fn a_reversed_spend_does_not_revert_twice_what_the_person_reverted() {
    let past = scenario(2, AUTO, [spend(1, "dining", 2, 1000)]);
    let E::BudgetRedistributed { redistribution, .. } = past[3] else { panic!("{past:?}") };
    let reason = Stated("no".to_owned());
    let reverted = on(2, past.clone()).when(C::RevertRedistribution { redistribution, reason }).events();
    on(2, [past, reverted].concat()).when(reverse(1, "dining", 2, 1000)).then_names(["SpendReversed"]);
}

#[test]
fn a_spend_that_is_amended_in_auto_is_covered_again() {
    let past = scenario(2, AUTO, [spend(1, "dining", 2, 1000), reverse(1, "dining", 2, 1000)]);
    on(2, past).when(spend(1, "dining", 2, 1000)).then_names([
        "SpendApplied",
        "OverspendDetected",
        "BudgetRedistributed",
    ]);
}

#[test]
fn money_moves_between_envelopes_but_not_out_of_sacred_or_savings_ones() {
    let past = || [opened(OFF)];
    for sacred in ["rent", "goal_savings"] {
        on(2, past())
            .when(move_between(sacred, "dining", 1))
            .refused(R::SacredDonor { category: sacred.into() });
    }
    on(2, past()).when(move_between("travel", "dining", 9001)).refused(R::InsufficientRemaining {});
    on(2, past()).when(move_between("travel", "travel", 1)).invalid("to");
    on(2, past()).when(move_between("travel", "dining", 0)).invalid("amount");
    on(2, past())
        .when(move_between("travel", "uncategorised", 1))
        .refused(R::UnknownCategory { category: "uncategorised".into() });
    let state = on(2, past()).when(move_between("groceries", "travel", 3000)).then_names(["EnvelopeMoved"]);
    assert_eq!((sum(&state), envelope(&state, "travel").amount), (300_000, 12_000));
    // 120.00 over the thirty days from the second on.
    assert_eq!((envelope(&state, "travel").plan.get(2), envelope(&state, "travel").plan.get(31)), (400, 400));
}

#[test]
fn money_moved_to_a_fixed_day_category_is_planned_on_its_day() {
    let state =
        on(2, [opened(OFF)]).when(move_between("travel", "utilities", 500)).then_names(["EnvelopeMoved"]);
    let utilities = envelope(&state, "utilities");
    assert_eq!((utilities.amount, utilities.plan.get(15), utilities.plan.get(2)), (15_500, 15_500, 0));
}

#[test]
fn a_daily_plan_is_adjusted_for_today_or_later_within_the_envelope() {
    // Travel: 90.00 over 31 days, ten of 2.91 and 21 of 2.90.
    let past = || [opened(OFF)];
    on(3, past()).when(adjust("travel", 2, 100)).refused(R::PastDay {});
    on(3, past()).when(adjust("travel", 5, 9001)).refused(R::BeyondEnvelope {});
    on(3, past()).when(adjust("travel", 5, -1)).invalid("planned");
    let state = on(3, past()).when(adjust("travel", 5, 3000)).then_names(["DailyPlanAdjusted"]);
    let travel = envelope(&state, "travel");
    assert_eq!((travel.plan.get(4), travel.plan.get(5)), (291, 3000));
    // What remains beside the plans of the third, fourth and fifth, over 26 days.
    let later: i64 = (6..=31).map(|day| travel.plan.get(day)).sum();
    assert_eq!((later, sum(&state)), (9000 - 291 - 291 - 3000, 300_000));
    on(3, past()).at("2026-06-02T12:00:00Z").when(adjust("travel", 31, 1)).refused(R::PastDay {});
}

#[test]
fn bud_p4_a_reallocation_takes_over_the_profile_and_keeps_days_that_have_passed() {
    let past = scenario(11, OFF, [spend(1, "travel", 11, 100)]);
    let raised = BudgetProfileCommand::ChangeIncome { income: Stated(usd(600_000)), from: month() };
    let mode = BudgetProfileCommand::SetRedistributionMode { mode: AUTO };
    let command = C::ReallocateMonth { reason: ReallocationReason::Income };
    let state = on(11, past)
        .knowing(knowing(profile_after(OFF, 300_000, [raised, mode])))
        .when(command)
        .then_names(["BudgetMonthReallocated"]);
    let travel = envelope(&state, "travel");
    assert_eq!((sum(&state), travel.amount, state.mode), (600_000, 18_000, AUTO));
    assert_eq!(travel.plan.get(10), 291);
    // 179.00 over 21 days, beside what is spent on the eleventh.
    assert_eq!((travel.plan.get(11), travel.plan.get(31)), (100 + 853, 852));
}

#[test]
fn a_reallocation_never_takes_what_is_spent() {
    let past = scenario(2, OFF, [spend(1, "travel", 2, 5000), spend(2, "dining", 2, 50_000)]);
    let with = |income: i64| {
        let change = BudgetProfileCommand::ChangeIncome { income: Stated(usd(income)), from: month() };
        on(2, past.clone())
            .knowing(knowing(profile_after(OFF, 300_000, [change])))
            .when(C::ReallocateMonth { reason: ReallocationReason::Income })
    };
    with(150_000).refused(R::BelowSpent { category: "dining".into() });
    // Dining stays overspent, but it gets more than it had.
    with(310_000).then_names(["BudgetMonthReallocated"]);
}

#[test]
fn a_category_that_left_the_profile_leaves_the_month_unless_something_is_spent_in_it() {
    let retired = || {
        let retire =
            BudgetProfileCommand::RetireCategory { key: "travel".into(), merge_into: "dining".into() };
        knowing(profile_after(OFF, 300_000, [retire]))
    };
    let command = || C::ReallocateMonth { reason: ReallocationReason::Categories };
    let state =
        on(2, [opened(OFF)]).knowing(retired()).when(command()).then_names(["BudgetMonthReallocated"]);
    assert_eq!(
        (sum(&state), envelope(&state, "travel").amount, envelope(&state, "dining").amount),
        (300_000, 0, 19_800)
    );
    assert_eq!((envelope(&state, "travel").plan.get(1), envelope(&state, "travel").plan.get(2)), (291, 0));
    let past = scenario(2, OFF, [spend(1, "travel", 2, 1)]);
    on(2, past).knowing(retired()).when(command()).refused(R::BelowSpent { category: "travel".into() });
}

#[test]
fn spending_that_waited_counts_once_its_category_has_an_envelope() {
    let past = scenario(2, OFF, [spend(1, "pets", 2, 700)]);
    let define = BudgetProfileCommand::DefineCategory {
        key: "pets".into(),
        class: CategoryClass::Wants,
        level: 3,
        essential: false,
        weight: 12,
        pacing: crate::budgeting::Pacing::Even,
        fixed_day: None,
        keywords: Stated(Vec::new()),
    };
    let state = on(2, past)
        .knowing(knowing(profile_after(OFF, 300_000, [define])))
        .when(C::ReallocateMonth { reason: ReallocationReason::Categories })
        .then_names(["BudgetMonthReallocated"]);
    let pets = envelope(&state, "pets");
    assert_eq!((pets.budgeted, pets.spent, sum(&state)), (true, 700, 300_000));
}

#[test]
fn a_reallocation_overtakes_what_was_redistributed() {
    let past = scenario(2, OFF, [spend(1, "dining", 2, 1000), redistribute(9, "dining", 2)]);
    let facts = knowing(profile_after(OFF, 300_000, []));
    let command = C::ReallocateMonth { reason: ReallocationReason::Split };
    let events = on(2, past.clone()).knowing(facts).when(command).events();
    let E::BudgetMonthReallocated { overtaken, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(overtaken, &[Uuid::from_u128(9)]);
    on(2, [past, events].concat()).when(revert(9)).refused(R::AlreadyReverted {});
}

#[test]
fn only_the_owner_changes_a_month_and_only_the_system_applies_spending() {
    let (other, staff) = (Actor::user(Uuid::from_u128(1), &["budget_user"]), Actor::user(OWNER, &["staff"]));
    let (admin, policy) = (Actor::user(Uuid::from_u128(2), &["admin"]), Actor::policy("apply_spend"));
    let month = on(2, [opened(AUTO)]);
    let by_owner = [
        C::ReallocateMonth { reason: ReallocationReason::Split },
        redistribute(9, "dining", 2),
        accept(9),
        dismiss(9, DismissalCause::Person),
        revert(9),
        move_between("travel", "dining", 1),
        adjust("dining", 2, 1),
    ];
    for command in &by_owner {
        assert!(month.permits(&owner(), command) && month.permits(&admin, command));
        assert!(
            !month.permits(&other, command)
                && !month.permits(&staff, command)
                && !month.permits(&policy, command)
        );
    }
    let by_system = [
        spend(1, "dining", 2, 1),
        reverse(1, "dining", 2, 1),
        propose(9, "dining", 2),
        dismiss(9, DismissalCause::Expired),
        C::CloseBudgetMonth {},
    ];
    for command in &by_system {
        assert!(month.permits(&policy, command));
        assert!(!month.permits(&owner(), command) && !month.permits(&admin, command));
    }
    let open = C::OpenBudgetMonth { account: OWNER, month: self::month() };
    let fresh = nothing::<BudgetMonth>();
    assert!(fresh.permits(&owner(), &open) && fresh.permits(&policy, &open));
    assert!(!fresh.permits(&other, &open) && !fresh.permits(&staff, &open));
    // The owner may ask for what was never opened, to be told so.
    let unborn = BudgetMonth::unborn(OWNER);
    for command in by_owner.iter().chain([&C::CloseBudgetMonth {}]) {
        assert!(unborn.may(&owner(), command));
        assert!(!unborn.may(&other, command) && !unborn.may(&staff, command));
        assert!(!fresh.permits(&owner(), command) && !fresh.permits(&other, command));
    }
}

#[test]
fn a_month_whose_owner_is_erased_still_takes_what_the_system_records() {
    let erased = |event: E| match event {
        E::BudgetMonthOpened { account, month, tz, currency, mode, after_end, split, categories, .. } => {
            let amounts = Personal::Erased;
            E::BudgetMonthOpened { account, month, tz, currency, mode, after_end, split, categories, amounts }
        }
        other => other,
    };
    let past = || [erased(opened(AUTO))];
    assert_eq!(on(2, past()).state().subject(), Some(OWNER));
    let state = on(2, past()).when(spend(1, "dining", 2, 99_000)).then_names(["SpendApplied"]);
    assert!(state.books.is_erased());
    on(2, past()).when(reverse(1, "dining", 2, 99_000)).then_names(["SpendReversed"]);
    on(2, past()).when(adjust("dining", 2, 1)).invalid_state("erased");
    on(2, past()).at("2026-06-04T12:00:00Z").when(C::CloseBudgetMonth {}).then([E::BudgetMonthClosed {
        amounts: Personal::Erased,
        adherence: None,
        savings_rate: None,
        figures: None,
    }]);
}

#[test]
fn spending_is_judged_without_a_look_at_any_other_stream() {
    let month = on(2, [opened(AUTO)]);
    let now = "2026-05-02T16:00:00Z".parse().unwrap();
    let (id, command_id) = (BudgetMonth::id(OWNER, self::month()), Uuid::nil());
    let context = Context { id, command_id, actor: owner(), now, occurred_at: now };
    for command in [spend(1, "dining", 2, 1), reverse(1, "dining", 2, 1), redistribute(9, "dining", 2)] {
        let mut world = World::default();
        month.state().facts(&command, &context, &mut world).unwrap();
        assert_eq!(world.looked_up, 0);
    }
    let mut world = World { profile: Some(std::sync::Arc::default()), ..World::default() };
    let command = C::ReallocateMonth { reason: ReallocationReason::Split };
    assert!(month.state().facts(&command, &context, &mut world).unwrap().profile.is_some());
}
