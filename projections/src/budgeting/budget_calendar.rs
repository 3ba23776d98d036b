//! R-31 `budget_calendar`: what was planned for a category on each day of a month, and what was spent. For the owner.
//!
//! A row is a category and month, with its days in two short lists: a spend touches one row, and opening a month writes
//! some twenty where a row for each day would be six hundred. [`BudgetCalendarRow::days`] and [`super::shown_days`] take a
//! row apart into the days that people ask for. A day's status (BUD-M2) would tell what was spent, so it is computed there
//! and stored nowhere.
//!
//! Filtered by `budget_month` ([`domain::budgeting::BudgetMonth::id`] computes it from account and month), the rows of a
//! month are neighbours in the table's key, and its past is folded from its own stream alone.

use domain::{
    Actor, Currency, Personal,
    budgeting::{BudgetMonthEvent as E, PlanChanges, YearMonth},
    class::Financial,
    registry::AnyEvent,
};
use jiff::civil::Date;
use uuid::Uuid;

use super::{BUDGET_MONTH, CalendarDay, day_of, days, month_of, own_rows, owner, part, place};
use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
};

row! {
    /// The days of one category in one month.
    pub struct BudgetCalendarRow {
        key {
            /// The month's budget: the id that is derived from account and month.
            budget_month: Uuid => filter,
            /// The category's key.
            category: String => filter,
        }
        columns {
            /// The owner.
            account: Uuid => filter index,
            /// The month, YYYY-MM.
            month: YearMonth => filter sort,
            /// The currency of the amounts; unknown where spending of a category without a budget is erased.
            ccy: Option<Currency>,
        }
        personal {
            /// What is planned for each day, from the first of the month on, in minor units of the currency.
            planned: Personal<Vec<i64>, Financial>,
            /// What is spent on each day, refunds taken off, from the first of the month on, in minor units.
            spent: Personal<Vec<i64>, Financial>,
        }
    }
}

impl BudgetCalendarRow {
    /// The days, in order; none where the amounts are erased.
    pub fn days(&self) -> Vec<CalendarDay> {
        match (self.ccy, self.planned.get(), self.spent.get()) {
            (Some(ccy), Some(planned), Some(spent)) => {
                days::days(&self.category, self.month, ccy, planned, spent)
            }
            _ => Vec::new(),
        }
    }
}

///
pub struct BudgetCalendar;

impl Table for BudgetCalendar {
    const NAME: &'static str = "budget_calendar";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &[BUDGET_MONTH];
    const OPTIONS: Options = Options {
        time_travel: true,
        stream_column: Some("budget_month"),
        sort: &["month", "category"],
        ..Options::DEFAULT
    };
    type Row = BudgetCalendarRow;

    fn keys(fact: &Fact, out: &mut Vec<(Uuid, String)>) {
        let AnyEvent::BudgetMonth(event) = &fact.event else { return };
        let mut touch = |category: &String| out.push((fact.id, category.clone()));
        match event {
            E::BudgetMonthOpened { categories, .. } => {
                categories.iter().for_each(|category| touch(&category.key));
            }
            E::BudgetMonthReallocated { categories, amounts, .. } => {
                categories.iter().for_each(|category| touch(&category.key));
                amounts.get().into_iter().flat_map(|amounts| amounts.plans.keys()).for_each(touch);
            }
            E::SpendApplied { category, after_close: false, .. }
            | E::SpendReversed { category, after_close: false, .. } => touch(category),
            E::BudgetRedistributed { category, amounts, .. } => {
                planned_anew(amounts.get().map(|amounts| &amounts.plans), &[category]).for_each(touch);
            }
            E::RedistributionReverted { category, amounts, .. } => {
                planned_anew(amounts.get().map(|amounts| &amounts.plans), &[category]).for_each(touch);
            }
            E::EnvelopeMoved { from, to, amounts } => {
                planned_anew(amounts.get().map(|amounts| &amounts.plans), &[from, to]).for_each(touch);
            }
            E::DailyPlanAdjusted { category, amounts, .. } => {
                planned_anew(amounts.get().map(|amounts| &amounts.plans), &[category]).for_each(touch);
            }
            E::SpendApplied { after_close: true, .. }
            | E::SpendReversed { after_close: true, .. }
            | E::OverspendDetected { .. }
            | E::CategoryAlertTriggered { .. }
            | E::RedistributionProposed { .. }
            | E::RedistributionDismissed { .. }
            | E::BudgetMonthClosed { .. } => {}
        }
    }

    fn fold(key: &(Uuid, String), row: Option<BudgetCalendarRow>, fact: &Fact) -> Option<BudgetCalendarRow> {
        let AnyEvent::BudgetMonth(event) = &fact.event else { return row };
        let category = &key.1;
        match event {
            E::BudgetMonthOpened { account, month, currency, amounts, .. } => {
                let planned = part(amounts, |amounts| {
                    let mut planned = amounts.plans.get(category).cloned().unwrap_or_default();
                    planned.resize(month.days().into(), 0);
                    planned
                });
                let spent = part(&planned, |planned| vec![0; planned.len()]);
                Some(BudgetCalendarRow { planned, ..empty(key, *account, *month, Some(*currency), spent) })
            }
            E::BudgetMonthReallocated { amounts, .. } => {
                let row = row.or_else(|| {
                    let account = owner(amounts, fact)?;
                    let (month, ccy) =
                        (month_of(account, fact)?, amounts.get().map(|amounts| amounts.income.ccy));
                    Some(empty(key, account, month, ccy, part(amounts, |_| vec![0; month.days().into()])))
                });
                row.map(|row| replanned(row, amounts.get().map(|amounts| &amounts.plans)))
            }
            E::SpendApplied { date, amount, after_close: false, .. } => {
                let row = row.or_else(|| {
                    let (account, month) = (owner(amount, fact)?, YearMonth::of(*date).ok()?);
                    let ccy = amount.get().map(|amount| amount.ccy);
                    Some(empty(key, account, month, ccy, part(amount, |_| vec![0; month.days().into()])))
                });
                row.map(|row| spent(row, *date, amount.get().map(|amount| amount.minor)))
            }
            E::SpendReversed { date, amount, after_close: false, .. } => {
                row.map(|row| spent(row, *date, amount.get().map(|amount| amount.minor.saturating_neg())))
            }
            E::BudgetRedistributed { amounts, .. } => {
                row.map(|row| replanned(row, amounts.get().map(|amounts| &amounts.plans)))
            }
            E::RedistributionReverted { amounts, .. } => {
                row.map(|row| replanned(row, amounts.get().map(|amounts| &amounts.plans)))
            }
            E::EnvelopeMoved { amounts, .. } => {
                row.map(|row| replanned(row, amounts.get().map(|amounts| &amounts.plans)))
            }
            E::DailyPlanAdjusted { amounts, .. } => {
                row.map(|row| replanned(row, amounts.get().map(|amounts| &amounts.plans)))
            }
            E::SpendApplied { after_close: true, .. }
            | E::SpendReversed { after_close: true, .. }
            | E::OverspendDetected { .. }
            | E::CategoryAlertTriggered { .. }
            | E::RedistributionProposed { .. }
            | E::RedistributionDismissed { .. }
            | E::BudgetMonthClosed { .. } => row,
        }
    }

    fn visible(actor: &Actor) -> Filter {
        own_rows(actor, "read:budget")
    }
}

/// The categories whose plan changes; where that is erased, those that the event names.
fn planned_anew<'a>(
    plans: Option<&'a PlanChanges>,
    named: &'a [&'a String],
) -> impl Iterator<Item = &'a String> {
    let named = if plans.is_none() { named } else { &[] };
    plans.into_iter().flat_map(PlanChanges::keys).chain(named.iter().copied())
}

/// A category with nothing planned: `nothing` is a zero for each day.
fn empty(
    (budget_month, category): &(Uuid, String),
    account: Uuid,
    month: YearMonth,
    ccy: Option<Currency>,
    nothing: Personal<Vec<i64>, Financial>,
) -> BudgetCalendarRow {
    BudgetCalendarRow {
        budget_month: *budget_month,
        category: category.clone(),
        account,
        month,
        ccy,
        planned: nothing.clone(),
        spent: nothing,
    }
}

/// The days planned anew; none where it is erased which.
fn replanned(mut row: BudgetCalendarRow, plans: Option<&PlanChanges>) -> BudgetCalendarRow {
    let Some(plans) = plans else { return BudgetCalendarRow { planned: Personal::Erased, ..row } };
    let Some(changes) = plans.get(&row.category) else { return row };
    row.planned = row.planned.map(|mut planned| {
        for (day, amount) in changes {
            if let Some(of_day) = planned.get_mut(place(*day)) {
                *of_day = *amount;
            }
        }
        planned
    });
    row
}

/// So much more is spent on a day; none where it is erased how much.
fn spent(mut row: BudgetCalendarRow, date: Date, more: Option<i64>) -> BudgetCalendarRow {
    let Some(more) = more else { return BudgetCalendarRow { spent: Personal::Erased, ..row } };
    row.spent = row.spent.map(|mut spent| {
        if let Some(of_day) = spent.get_mut(place(day_of(date))) {
            *of_day = of_day.saturating_add(more);
        }
        spent
    });
    row
}

#[cfg(test)]
mod tests {
    use domain::{
        Stated,
        budgeting::{BudgetMonthCommand as C, RedistributionMode},
        registry::AnyEvent,
    };

    use super::*;
    use crate::{
        budgeting::{DayStatus, samples::*},
        testing::{given, given_facts},
    };

    fn rows(month: &Month) -> Vec<BudgetCalendarRow> {
        given::<BudgetCalendar>(month.facts()).rows()
    }

    fn dining(month: &Month) -> BudgetCalendarRow {
        rows(month).into_iter().find(|row| row.category == "dining").unwrap()
    }

    #[test]
    fn an_opened_month_has_one_row_for_each_category_with_all_its_days() {
        let month = Month::opened(profile(RedistributionMode::Off, 300_000, []));
        let rows = rows(&month);
        assert_eq!(rows.len(), 20);
        assert!(rows.iter().all(|row| row.days().len() == 31 && row.account == OWNER));
        let rent = rows.iter().find(|row| row.category == "rent").unwrap().days();
        assert_eq!((rent[0].planned, rent[0].status), (usd(60_000), DayStatus::Green));
        assert_eq!((rent[1].planned, rent[1].status), (usd(0), DayStatus::None));
    }

    #[test]
    fn bud_m2_a_day_turns_red_when_more_is_spent_than_planned() {
        let mut month = Month::opened(profile(RedistributionMode::Off, 300_000, []));
        month.tell(spend(1, "dining", 3, 349));
        assert_eq!(dining(&month).days()[2].status, DayStatus::Green);
        month.tell(spend(2, "dining", 3, 1));
        let day = dining(&month).days().remove(2);
        assert_eq!(
            (day.date, day.planned, day.spent, day.status),
            (may(3), usd(349), usd(350), DayStatus::Red)
        );
    }

    #[test]
    fn a_spend_touches_the_one_row_of_its_category() {
        let mut month = Month::opened(profile(RedistributionMode::Off, 300_000, []));
        month.tell(spend(1, "dining", 3, 1));
        let mut keys = Vec::new();
        BudgetCalendar::keys(&crate::testing::facts(month.facts())[1], &mut keys);
        assert_eq!(keys, [(budget_month(), "dining".to_owned())]);
    }

    #[test]
    fn spending_without_a_budget_waits_in_a_row_of_its_own() {
        let mut month = Month::opened(profile(RedistributionMode::Off, 300_000, []));
        month.tell(spend(1, "pets", 3, 700));
        let pets = rows(&month).into_iter().find(|row| row.category == "pets").unwrap();
        assert_eq!((pets.account, pets.month, pets.ccy), (OWNER, self::month(), Some(ccy())));
        assert_eq!((pets.days()[2].spent, pets.days()[2].planned), (usd(700), usd(0)));
    }

    #[test]
    fn a_category_that_a_reallocation_brings_gets_a_row_of_the_same_month_whenever_that_happens() {
        let mut month = Month::opened(profile(RedistributionMode::Off, 300_000, []));
        month.profile = profile(RedistributionMode::Off, 300_000, [define("pets")]);
        let reason = domain::budgeting::ReallocationReason::Categories;
        assert!(month.tell_at(C::ReallocateMonth { reason }, "2027-01-07T12:00:00Z".parse().unwrap()));
        let pets = rows(&month).into_iter().find(|row| row.category == "pets").unwrap();
        assert_eq!((pets.month, pets.days().len()), (self::month(), 31));
        assert!(pets.days()[30].planned.is_positive());
    }

    #[test]
    fn what_comes_after_the_closing_changes_nothing() {
        let mut month = Month::opened(profile(RedistributionMode::Off, 300_000, []));
        assert!(month.tell_at(C::CloseBudgetMonth {}, "2026-06-04T12:00:00Z".parse().unwrap()));
        let closed = rows(&month);
        assert!(month.tell(spend(1, "dining", 3, 1)) && month.tell(spend(2, "pets", 3, 1)));
        let amount = Stated(usd(1));
        let reverse = C::ReverseSpend {
            transaction: Uuid::from_u128(1),
            category: "dining".into(),
            date: may(3),
            amount,
        };
        assert!(month.tell(reverse));
        assert_eq!(rows(&month), closed);
    }

    #[test]
    fn an_erased_spend_leaves_unknown_what_was_spent_and_only_that() {
        let mut month = Month::opened(profile(RedistributionMode::Off, 300_000, []));
        month.tell(spend(1, "dining", 3, 100));
        month.tell(spend(2, "dining", 4, 100));
        let mut facts = month.facts();
        if let AnyEvent::BudgetMonth(E::SpendApplied { amount, .. }) = &mut facts[1].1 {
            *amount = Personal::Erased;
        }
        let rows = given::<BudgetCalendar>(facts).rows();
        let (dining, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.category == "dining");
        assert!(dining[0].spent.is_erased() && !dining[0].planned.is_erased() && dining[0].days().is_empty());
        assert!(others.iter().all(|row| row.days().len() == 31));
    }

    #[test]
    fn an_erased_month_keeps_its_categories_and_no_amount() {
        let mut month = Month::opened(profile(RedistributionMode::Auto, 300_000, []));
        month.tell(spend(1, "dining", 3, 1000));
        let rows = given_facts::<BudgetCalendar>(&erased(month.facts())).rows();
        assert_eq!(rows.len(), 20);
        assert!(rows.iter().all(|row| row.planned.is_erased() && row.days().is_empty()));
    }

    #[test]
    fn only_owners_see_their_calendar() {
        let owner = Actor::user(OWNER, &["budget_user"]);
        assert_eq!(BudgetCalendar::visible(&owner), Filter::Is("account", OWNER.into()));
        for role in ["staff", "analyst", "compliance", "operator", "student"] {
            assert_eq!(BudgetCalendar::visible(&Actor::user(OWNER, &[role])), Filter::Nothing, "{role}");
        }
    }
}
