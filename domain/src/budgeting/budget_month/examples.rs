//! The worked examples of the rules BUD-M1 to BUD-M11.

use super::{BudgetMonthCommand as C, BudgetMonthEvent as E, opening::day_weights, *};
use crate::{
    budgeting::{Pacing, Split, fixtures::*},
    kernel::{Stated, allocate},
};

const AUTO: RedistributionMode = RedistributionMode::Auto;
const OFF: RedistributionMode = RedistributionMode::Off;
const WANTS: CategoryClass = CategoryClass::Wants;

fn wants(key: &str, level: u8) -> MonthCategory {
    MonthCategory {
        key: key.into(),
        class: WANTS,
        level,
        essential: false,
        pacing: Pacing::Even,
        fixed_day: None,
        alert: None,
    }
}

/// May 2026 with just these envelopes, each planned as BUD-M1 says.
fn with_envelopes(mode: RedistributionMode, envelopes: &[(MonthCategory, i64)]) -> E {
    let income: i64 = envelopes.iter().map(|(_, amount)| amount).sum();
    let plan = |(category, amount): &(MonthCategory, i64)| {
        (category.key.clone(), allocate(*amount, &day_weights(category, month())).unwrap())
    };
    E::BudgetMonthOpened {
        account: OWNER,
        month: month(),
        tz: "America/New_York".into(),
        currency: ccy("USD"),
        mode,
        after_end: false,
        split: Split::default(),
        categories: envelopes.iter().map(|(category, _)| category.clone()).collect(),
        amounts: own(OpeningAmounts {
            income: usd(income),
            classes: ClassAmounts { needs: 0, wants: income, savings: 0 },
            envelopes: envelopes.iter().map(|(category, amount)| (category.key.clone(), *amount)).collect(),
            plans: envelopes.iter().map(plan).collect(),
        }),
    }
}

fn books(state: &BudgetMonth) -> &Books {
    state.books.get().unwrap()
}

fn envelope<'a>(state: &'a BudgetMonth, key: &str) -> &'a Envelope {
    let books = books(state);
    &books.envelopes[books.find(key).unwrap()]
}

fn plan_from(state: &BudgetMonth, key: &str, day: u8) -> Vec<i64> {
    (day..=31).map(|day| envelope(state, key).plan.get(day)).collect()
}

fn redistributed(events: &[E]) -> &RedistributedAmounts {
    let amounts = events.iter().find_map(|event| match event {
        E::BudgetRedistributed { amounts, .. } => amounts.get(),
        _ => None,
    });
    amounts.expect("the budget was redistributed")
}

fn gave(amounts: &RedistributedAmounts) -> Vec<(&str, i64)> {
    amounts.transfers.iter().map(|transfer| (transfer.category.as_str(), transfer.amount.minor)).collect()
}

#[test]
fn bud_m1_three_thousand_become_fifteen_hundred_nine_hundred_and_six_hundred() {
    let E::BudgetMonthOpened { amounts, split, .. } = opened(AUTO) else { unreachable!() };
    let amounts = amounts.into_inner().unwrap();
    assert_eq!(split, Split::default());
    assert_eq!(amounts.classes, ClassAmounts { needs: 150_000, wants: 90_000, savings: 60_000 });
    assert_eq!((amounts.envelopes["rent"], amounts.envelopes["dining"]), (60_000, 10_800));
    assert_eq!((amounts.envelopes["goal_savings"], amounts.envelopes.len()), (24_000, 20));
    assert_eq!(amounts.envelopes.values().sum::<i64>(), 300_000);
    for (key, plan) in &amounts.plans {
        assert_eq!((plan.len(), plan.iter().sum::<i64>()), (31, amounts.envelopes[key]), "{key}");
    }
}

#[test]
fn bud_m1_a_hundred_over_thirty_days_are_ten_days_of_three_thirty_four_and_twenty_of_three_thirty_three() {
    let june: YearMonth = "2026-06".parse().unwrap();
    let plan = allocate(10_000, &day_weights(&wants("dining", 3), june)).unwrap();
    assert_eq!(plan, [vec![334; 10], vec![333; 20]].concat());
}

#[test]
fn bud_m1_a_fixed_day_beyond_the_month_is_its_last_day_and_weekends_weigh_twice() {
    let february: YearMonth = "2026-02".parse().unwrap();
    let rent = MonthCategory { pacing: Pacing::FixedDay, fixed_day: Some(31), ..wants("rent", 0) };
    assert_eq!(day_weights(&rent, february), [vec![0; 27], vec![1]].concat());
    // 1 February 2026 is a Sunday.
    let fun = MonthCategory { pacing: Pacing::Weekend, ..wants("fun", 3) };
    assert_eq!(day_weights(&fun, february), [2, 1, 1, 1, 1, 1, 2].repeat(4));
}

#[test]
fn bud_m2_a_day_is_green_up_to_its_plan_and_red_above() {
    let day = |key, amount: i64| (wants(key, 3), amount * 31);
    let month = with_envelopes(OFF, &[day("groceries", 5000), day("transport", 2000), day("dining", 2500)]);
    let spends =
        [spend(1, "groceries", 1, 4500), spend(2, "transport", 1, 1800), spend(3, "dining", 1, 3500)];
    let mut past = vec![month];
    for command in spends {
        past.extend(on(1, past.clone()).when(command).events());
    }
    let state = on(1, past).state().clone();
    let overspend = |key| envelope(&state, key).overspend(1);
    assert_eq!((overspend("groceries"), overspend("transport"), overspend("dining")), (0, 0, 1000));
    assert_eq!(books(&state).adherence(31), (92, 93));
}

#[test]
fn bud_m3_an_overspend_is_told_when_it_rises_above_what_was_told() {
    let mut past = vec![with_envelopes(OFF, &[(wants("dining", 3), 31_000)])];
    let mut told = |command: C| {
        let events = on(2, past.clone()).when(command).events();
        let overspend = events.iter().find_map(|event| match event {
            E::OverspendDetected { overspend, .. } => overspend.get().map(|overspend| overspend.minor),
            _ => None,
        });
        past.extend(events);
        overspend
    };
    assert_eq!(told(spend(1, "dining", 2, 900)), None);
    assert_eq!(told(spend(2, "dining", 2, 600)), Some(500));
    assert_eq!(told(spend(3, "dining", 2, -200)), None, "a refund raises nothing");
    assert_eq!(told(spend(4, "dining", 2, 100)), None, "no more than was told");
    assert_eq!(told(spend(5, "dining", 2, 200)), Some(600));
    assert_eq!(told(spend(6, "dining", 3, 1001)), Some(1), "each day is its own");
}

#[test]
fn bud_m3_a_fixed_day_category_is_judged_on_the_month() {
    let rent = MonthCategory { pacing: Pacing::FixedDay, fixed_day: Some(1), ..wants("rent", 0) };
    let mut past = vec![with_envelopes(OFF, &[(rent, 60_000)])];
    past.extend(on(4, past.clone()).when(spend(1, "rent", 4, 60_000)).events());
    assert_eq!(past.len(), 2, "paid on another day than planned, it is no overspend");
    on(5, past).when(spend(2, "rent", 5, 500)).then_names(["SpendApplied", "OverspendDetected"]);
}

#[test]
fn bud_m3_savings_and_what_waits_for_a_category_never_overspend() {
    let savings = MonthCategory { class: CategoryClass::Savings, ..wants("goal_savings", 0) };
    let month = with_envelopes(AUTO, &[(savings, 1000), (wants("fun", 3), 100_000)]);
    on(2, [month.clone()]).when(spend(1, "goal_savings", 2, 5000)).then_names(["SpendApplied"]);
    on(2, [month.clone()]).when(spend(1, "uncategorised", 2, 5000)).then_names(["SpendApplied"]);
    on(2, [month]).when(spend(1, "defined_later", 2, 5000)).then_names(["SpendApplied"]);
}

#[test]
fn bud_m4_donors_go_by_level_then_by_what_remains_then_by_key_and_essentials_never_give() {
    let essential = MonthCategory { essential: true, ..wants("pets", 3) };
    let savings = MonthCategory { class: CategoryClass::Savings, ..wants("reserve", 3) };
    let month = with_envelopes(
        AUTO,
        &[
            (wants("dining", 3), 0),
            (wants("books", 2), 9000),
            (wants("games", 3), 300),
            (wants("art", 3), 300),
            (wants("travel", 3), 1000),
            (wants("groceries", 1), 50_000),
            (essential, 50_000),
            (savings, 50_000),
        ],
    );
    let events = on(2, [month]).when(spend(1, "dining", 2, 10_000)).events();
    let amounts = redistributed(&events);
    assert_eq!(gave(amounts), [("travel", 500), ("art", 150), ("games", 150), ("books", 4500)]);
    assert_eq!((amounts.needed, amounts.covered, amounts.uncovered), (usd(10_000), usd(5300), usd(4700)));
}

#[test]
fn bud_m5_what_is_needed_shrinks_as_donors_give_and_one_without_half_a_unit_is_skipped() {
    let month = with_envelopes(
        AUTO,
        &[
            (wants("dining", 3), 0),
            (wants("travel", 3), 1001),
            (wants("art", 3), 400),
            (wants("cents", 3), 1),
        ],
    );
    let events = on(2, [month.clone()]).when(spend(1, "dining", 2, 600)).events();
    assert_eq!(gave(redistributed(&events)), [("travel", 500), ("art", 100)]);
    let events = on(2, [month]).when(spend(1, "dining", 2, 5000)).events();
    assert_eq!(gave(redistributed(&events)), [("travel", 500), ("art", 200)]);
}

#[test]
fn bud_m6_todays_plan_of_a_donor_is_what_is_spent_and_its_share() {
    let month = with_envelopes(AUTO, &[(wants("dining", 3), 0), (wants("art", 3), 31_000)]);
    let mut past = vec![month];
    past.extend(on(20, past.clone()).when(spend(1, "art", 20, 900)).events());
    past.extend(on(20, past.clone()).when(spend(2, "dining", 18, 1300)).events());
    let state = on(20, past.clone()).state().clone();
    // 31000 - 900 - 1300 over 12 days.
    assert_eq!(plan_from(&state, "art", 20), [vec![900 + 2400], vec![2400; 11]].concat());
    assert_eq!(envelope(&state, "art").plan.get(19), 1000, "days before keep their plan");
    let E::BudgetRedistributed { days_left, .. } = past.last().unwrap() else { panic!("{past:?}") };
    assert_eq!(*days_left, 12);
}

#[test]
fn bud_m6_on_the_last_day_and_after_the_month_the_day_itself_is_all_that_is_left() {
    let month = with_envelopes(AUTO, &[(wants("dining", 3), 0), (wants("art", 3), 31_000)]);
    let applied = on(31, [month.clone()]).when(spend(1, "dining", 31, 700)).events();
    let state = on(31, [vec![month.clone()], applied].concat()).state().clone();
    assert_eq!(plan_from(&state, "art", 30), [1000, 30_300]);
    let late = on(1, [month.clone()]).at("2026-06-02T12:00:00Z").when(spend(1, "dining", 30, 700)).events();
    let state = on(1, [vec![month], late].concat()).state().clone();
    assert_eq!(plan_from(&state, "art", 29), [1000, 15_150, 15_150]);
}

#[test]
fn bud_m7_an_uncovered_rest_paces_the_receivers_later_days_anew() {
    let month = with_envelopes(AUTO, &[(wants("dining", 3), 31_000), (wants("art", 3), 1000)]);
    let mut past = vec![month];
    past.extend(on(21, past.clone()).when(spend(1, "dining", 21, 3500)).events());
    let amounts = redistributed(&past);
    assert_eq!((amounts.covered, amounts.uncovered), (usd(500), usd(2000)));
    let state = on(21, past).state().clone();
    // 31000 + 500 - 3500 over the ten days after.
    assert_eq!(plan_from(&state, "dining", 20), [vec![1000, 1500], vec![2800; 10]].concat());
}

fn example(entertainment: i64) -> BudgetMonth {
    let month =
        with_envelopes(AUTO, &[(wants("dining", 3), 31_000), (wants("entertainment", 3), entertainment)]);
    let events = on(17, [month.clone()]).when(spend(1, "dining", 17, 2000)).events();
    on(17, [vec![month], events].concat()).state().clone()
}

#[test]
fn bud_m9_ten_overspent_at_dining_come_from_entertainment() {
    let state = example(30_000);
    assert_eq!(
        (envelope(&state, "dining").amount, envelope(&state, "entertainment").amount),
        (32_000, 29_000)
    );
    assert_eq!(envelope(&state, "dining").plan.get(17), 2000);
    assert_eq!(plan_from(&state, "entertainment", 17), [vec![1934; 5], vec![1933; 10]].concat());
}

#[test]
fn bud_m9_with_twelve_remaining_six_are_covered_and_four_are_not() {
    let state = example(1200);
    assert_eq!((envelope(&state, "dining").amount, envelope(&state, "entertainment").amount), (31_600, 600));
    assert_eq!(envelope(&state, "dining").overspend(17), 400);
}

#[test]
fn bud_m8_covered_and_uncovered_are_what_was_needed_and_no_donor_gives_more_than_half() {
    let month = with_envelopes(AUTO, &[(wants("dining", 3), 0), (wants("a", 3), 7), (wants("b", 2), 5)]);
    let events = on(2, [month]).when(spend(1, "dining", 2, 100)).events();
    let amounts = redistributed(&events);
    assert_eq!(gave(amounts), [("a", 3), ("b", 2)]);
    assert_eq!((amounts.covered, amounts.uncovered), (usd(5), usd(95)));
}

#[test]
fn bud_m8_after_a_refund_larger_than_what_was_spent_no_envelope_and_no_plan_drops_below_zero() {
    let month = with_envelopes(AUTO, &[(wants("dining", 3), 31_000), (wants("art", 3), 1000)]);
    let mut past = vec![month];
    past.extend(on(2, past.clone()).when(spend(1, "art", 2, -5000)).events());
    let state = on(2, past.clone()).state().clone();
    assert_eq!((envelope(&state, "art").remaining(), envelope(&state, "art").movable()), (6000, 1000));
    let by_hand =
        C::MoveBetweenEnvelopes { from: "art".into(), to: "dining".into(), amount: Stated(usd(1001)) };
    on(2, past.clone()).when(by_hand).refused(BudgetMonthRefusal::InsufficientRemaining {});
    past.extend(on(2, past.clone()).when(spend(2, "dining", 2, 8000)).events());
    assert_eq!(gave(redistributed(&past)), [("art", 1000)]);
    let state = on(2, past.clone()).state().clone();
    assert_eq!((envelope(&state, "dining").amount, envelope(&state, "art").amount), (32_000, 0));
    // What the refund left over the thirty days from the second on.
    assert_eq!(plan_from(&state, "art", 2), [vec![0], vec![167; 19], vec![166; 10]].concat());
    let taken_back = C::ReverseSpend {
        transaction: Uuid::from_u128(2),
        category: "dining".into(),
        date: may(2),
        amount: Stated(usd(8000)),
    };
    past.extend(on(2, past.clone()).when(taken_back).events());
    let state = on(2, past).state().clone();
    assert_eq!((envelope(&state, "dining").amount, envelope(&state, "art").amount), (31_000, 1000));
}

#[test]
fn bud_m10_auto_answers_in_one_decision_and_the_reversal_reverts() {
    let month = with_envelopes(AUTO, &[(wants("dining", 3), 31_000), (wants("art", 3), 31_000)]);
    let mut past = vec![month.clone()];
    let applied = on(2, past.clone()).when(spend(1, "dining", 2, 1500)).events();
    past.extend(applied.clone());
    on(2, [month.clone()]).when(spend(1, "dining", 2, 1500)).then_names([
        "SpendApplied",
        "OverspendDetected",
        "BudgetRedistributed",
    ]);
    let again = on(2, [month.clone()]).when(spend(1, "dining", 2, 1500)).events();
    assert_eq!(applied, again, "the same spends give the same transfers");
    let reverse = C::ReverseSpend {
        transaction: Uuid::from_u128(1),
        category: "dining".into(),
        date: may(2),
        amount: Stated(usd(1500)),
    };
    let state = on(2, past).when(reverse).then_names(["SpendReversed", "RedistributionReverted"]);
    let before = on(2, [month]).state().clone();
    for key in ["dining", "art"] {
        assert_eq!(envelope(&state, key).amount, envelope(&before, key).amount, "{key}");
    }
    assert_eq!(envelope(&state, "dining").plan, envelope(&before, "dining").plan);
}

#[test]
fn bud_m11_a_revert_gives_back_what_is_still_there_by_what_each_gave() {
    let month = with_envelopes(
        OFF,
        &[(wants("dining", 3), 31_000), (wants("art", 3), 600), (wants("games", 3), 200)],
    );
    let redistribution = Uuid::from_u128(0x4ED);
    let mut past = vec![month];
    for command in [
        spend(1, "dining", 2, 1400),
        C::RedistributeBudget { redistribution, category: "dining".into(), date: may(2) },
        // Of the 31400 in the envelope 31100 are spent then: 300 are still there.
        spend(2, "dining", 3, 29_700),
    ] {
        past.extend(on(3, past.clone()).when(command).events());
    }
    assert_eq!(gave(redistributed(&past)), [("art", 300), ("games", 100)]);
    let revert = C::RevertRedistribution { redistribution, reason: Stated("art matters".into()) };
    past.extend(on(3, past.clone()).when(revert).events());
    let state = on(3, past).state().clone();
    let amount = |key| envelope(&state, key).amount;
    assert_eq!((amount("dining"), amount("art"), amount("games")), (31_100, 525, 175));
    // 525 and 175 over the 29 days from the third on.
    assert_eq!(plan_from(&state, "art", 3), [vec![19; 3], vec![18; 26]].concat());
    assert_eq!(envelope(&state, "dining").plan.get(2), 1100);
}
