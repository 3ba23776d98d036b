//! BUD-M12: when a month closes, and what comes afterwards.

use super::*;

#[test]
fn bud_m12_a_month_opened_after_its_end_says_so_by_the_owners_calendar() {
    let opened_at = |instant: &str| {
        let events = nothing::<BudgetMonth>()
            .with_id(BudgetMonth::id(OWNER, month()))
            .at(instant)
            .knowing(knowing(profile_after(OFF, 300_000, [])))
            .when(C::OpenBudgetMonth { account: OWNER, month: month() })
            .events();
        matches!(events[..], [E::BudgetMonthOpened { after_end: true, .. }])
    };
    assert!(!opened_at("2026-06-01T03:59:59Z"), "it is still May in New York");
    assert!(opened_at("2026-06-01T04:00:00Z"));
}

#[test]
fn bud_m12_a_month_closes_from_the_fourth_day_of_the_next_one_on() {
    let closes_on = date(2026, 6, 4);
    on(31, [opened(OFF)])
        .at("2026-06-04T03:59:59Z")
        .when(C::CloseBudgetMonth {})
        .refused(R::NotOver { closes_on });
    let past = scenario(
        2,
        OFF,
        [
            spend(1, "rent", 2, 60_000),
            spend(2, "dining", 2, 2000),
            spend(3, "goal_savings", 2, 30_000),
            spend(4, "uncategorised", 2, 500),
            spend(5, "dining", 3, -100),
        ],
    );
    let events = on(2, past).at("2026-06-04T04:00:00Z").when(C::CloseBudgetMonth {}).events();
    let [E::BudgetMonthClosed { amounts, adherence, savings_rate, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    let expected = ClosingAmounts { planned: usd(300_000), spent: usd(62_400), saved: usd(30_000) };
    assert_eq!(amounts.get(), Some(&expected));
    // 16 even categories plan 31 days each, four of a fixed day one each; dining and goal savings have a red day.
    assert_eq!((*adherence, *savings_rate), (ratio_bp(498, 500), Some(BasisPoints(1000))));
}

#[test]
fn bud_m12_a_month_opened_after_its_end_closes_at_any_time() {
    let E::BudgetMonthOpened { account, month, tz, currency, mode, split, categories, amounts, .. } =
        opened(OFF)
    else {
        unreachable!()
    };
    let after_end = true;
    let imported =
        E::BudgetMonthOpened { account, month, tz, currency, mode, after_end, split, categories, amounts };
    let month = || on(2, [imported.clone()]).at("2026-06-01T04:00:00Z");
    month().when(C::CloseBudgetMonth {}).then_names(["BudgetMonthClosed"]);
    let stranger = Actor::user(Uuid::from_u128(1), &["budget_user"]);
    assert!(month().permits(&owner(), &C::CloseBudgetMonth {}), "no timer does");
    assert!(!month().permits(&stranger, &C::CloseBudgetMonth {}));
    assert!(!on(2, [opened(OFF)]).permits(&owner(), &C::CloseBudgetMonth {}), "the clock does");
}

#[test]
fn bud_m12_what_comes_after_the_closing_is_on_record_and_changes_nothing() {
    let mut past = scenario(2, AUTO, [spend(1, "dining", 2, 1000)]);
    past.extend(on(2, past.clone()).at("2026-06-04T12:00:00Z").when(C::CloseBudgetMonth {}).events());
    let closed = on(2, past.clone()).state().clone();
    for (command, name) in
        [(spend(2, "dining", 2, 9000), "SpendApplied"), (reverse(1, "dining", 2, 1000), "SpendReversed")]
    {
        let state = on(2, past.clone()).when(command).then_names([name]);
        assert_eq!(state.books.get().unwrap().envelopes, closed.books.get().unwrap().envelopes);
    }
    let late = [past.clone(), on(2, past.clone()).when(spend(2, "dining", 2, 9000)).events()].concat();
    assert!(matches!(late.last(), Some(E::SpendApplied { after_close: true, .. })));
    on(2, late.clone()).when(spend(2, "dining", 2, 9000)).refused(R::AlreadyApplied {});
    let state = on(2, late).when(reverse(2, "dining", 2, 9000)).then_names(["SpendReversed"]);
    assert_eq!(state.books.get().unwrap().envelopes, closed.books.get().unwrap().envelopes);
    for command in [
        redistribute(9, "dining", 2),
        propose(9, "dining", 2),
        accept(9),
        dismiss(9, DismissalCause::Expired),
        revert(9),
        move_between("travel", "dining", 1),
        adjust("dining", 2, 1),
        C::ReallocateMonth { reason: ReallocationReason::Split },
        C::CloseBudgetMonth {},
    ] {
        on(2, past.clone()).when(command).refused(R::Closed {});
    }
}

#[test]
fn p_23_a_month_closes_by_the_clock_of_where_its_owner_lives_by_then() {
    let mut profile = profile_after(OFF, 300_000, []);
    profile.tz = "Asia/Tokyo".into();
    let closing = |instant| {
        on(31, [opened(OFF)]).at(instant).knowing(knowing(profile.clone())).when(C::CloseBudgetMonth {})
    };
    closing("2026-06-03T14:59:59Z").refused(R::NotOver { closes_on: date(2026, 6, 4) });
    // Still the third of June in New York, where the month was opened.
    closing("2026-06-03T15:00:00Z").then_names(["BudgetMonthClosed"]);
}

#[test]
fn a_closing_looks_up_where_the_owner_lives() {
    let month = on(31, [opened(OFF)]);
    let now = "2026-06-04T16:00:00Z".parse().unwrap();
    let (id, command_id) = (BudgetMonth::id(OWNER, self::month()), Uuid::nil());
    let context = Context { id, command_id, actor: owner(), now, occurred_at: now };
    let mut world = World { profile: Some(std::sync::Arc::default()), ..World::default() };
    let facts = month.state().facts(&C::CloseBudgetMonth {}, &context, &mut world).unwrap();
    assert!(facts.profile.is_some());
}
