//! R-32 `envelopes`: what is in each category's envelope of a month, and where it came from and went. For the owner.
//!
//! The envelopes of a month sum up to its income at every position of the log: an event that moves money changes all the
//! rows between which it moves. Events of the profile change nothing here: a month keeps the categories that it was opened
//! or reallocated with (BUD-P4).

use domain::{
    Actor, Currency, Money, Personal,
    budgeting::{BudgetMonthEvent as E, CategoryClass, MonthCategory, Transfer, YearMonth},
    class::Financial,
    registry::AnyEvent,
};
use uuid::Uuid;

use super::{BUDGET_MONTH, month_of, own_rows, owner, part};
use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
};

row! {
    /// One envelope of a month.
    pub struct EnvelopeRow {
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
            /// The category's class; none where the month never had a budget for it.
            class: Option<CategoryClass> => filter,
            /// The category's priority level, from 0, sacred, to 3, discretionary; none where the month never had a budget for it.
            level: Option<i32> => filter,
            /// Whether the month has a budget for the category. Spending of any other one waits in an empty envelope.
            budgeted: bool => filter,
        }
        personal {
            /// What is in the envelope, spent or not.
            envelope: Personal<Money, Financial>,
            /// What is spent of it, refunds taken off.
            spent: Personal<Money, Financial>,
            /// What is left; below zero when more is spent than it holds.
            remaining: Personal<Money, Financial>,
            /// What came in from other envelopes since the budget was last computed, reversals included.
            moved_in: Personal<Money, Financial>,
            /// What went to other envelopes since the budget was last computed, reversals included.
            moved_out: Personal<Money, Financial>,
        }
    }
}

///
pub struct Envelopes;

impl Table for Envelopes {
    const NAME: &'static str = "envelopes";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &[BUDGET_MONTH];
    const OPTIONS: Options = Options {
        time_travel: true,
        stream_column: Some("budget_month"),
        sort: &["month", "category"],
        ..Options::DEFAULT
    };
    type Row = EnvelopeRow;

    fn keys(fact: &Fact, out: &mut Vec<(Uuid, String)>) {
        let AnyEvent::BudgetMonth(event) = &fact.event else { return };
        let mut touch = |category: &String| out.push((fact.id, category.clone()));
        match event {
            E::BudgetMonthOpened { categories, .. } => {
                categories.iter().for_each(|category| touch(&category.key));
            }
            E::BudgetMonthReallocated { categories, amounts, .. } => {
                categories.iter().for_each(|category| touch(&category.key));
                amounts.get().into_iter().flat_map(|amounts| amounts.envelopes.keys()).for_each(touch);
            }
            E::SpendApplied { category, after_close: false, .. }
            | E::SpendReversed { category, after_close: false, .. } => touch(category),
            E::BudgetRedistributed { category, amounts, .. } => {
                touch(category);
                amounts.get().into_iter().flat_map(|amounts| among(&amounts.transfers)).for_each(touch);
            }
            E::RedistributionReverted { category, amounts, .. } => {
                touch(category);
                amounts.get().into_iter().flat_map(|amounts| among(&amounts.returned)).for_each(touch);
            }
            E::EnvelopeMoved { from, to, .. } => [from, to].into_iter().for_each(touch),
            E::SpendApplied { after_close: true, .. }
            | E::SpendReversed { after_close: true, .. }
            | E::OverspendDetected { .. }
            | E::CategoryAlertTriggered { .. }
            | E::RedistributionProposed { .. }
            | E::RedistributionDismissed { .. }
            | E::DailyPlanAdjusted { .. }
            | E::BudgetMonthClosed { .. } => {}
        }
    }

    fn fold(key: &(Uuid, String), row: Option<EnvelopeRow>, fact: &Fact) -> Option<EnvelopeRow> {
        let AnyEvent::BudgetMonth(event) = &fact.event else { return row };
        let category = &key.1;
        match event {
            E::BudgetMonthOpened { account, month, currency, categories, amounts, .. } => {
                let nothing = part(amounts, |_| Money::zero(*currency));
                let row = known(empty(key, *account, *month, nothing), categories);
                let amount = amounts.get().map(|amounts| amounts.envelopes.get(category).copied());
                Some(row.with(amount, |sums, amount| sums.envelope = amount.unwrap_or(0)))
            }
            E::BudgetMonthReallocated { categories, amounts, .. } => {
                let row = row.or_else(|| {
                    let account = owner(amounts, fact)?;
                    let nothing = part(amounts, |amounts| Money::zero(amounts.income.ccy));
                    Some(empty(key, account, month_of(account, fact)?, nothing))
                })?;
                let amount = amounts.get().map(|amounts| amounts.envelopes.get(category).copied());
                Some(known(row, categories).with(amount, |sums, amount| {
                    *sums = Sums { envelope: amount.unwrap_or(0), moved_in: 0, moved_out: 0, ..*sums };
                }))
            }
            E::SpendApplied { date, amount, after_close: false, .. } => {
                let row = row.or_else(|| {
                    let (account, month) = (owner(amount, fact)?, YearMonth::of(*date).ok()?);
                    Some(empty(key, account, month, part(amount, |amount| Money::zero(amount.ccy))))
                })?;
                Some(row.with(amount.get(), |sums, amount| {
                    sums.spent = sums.spent.saturating_add(amount.minor);
                }))
            }
            E::SpendReversed { amount, after_close: false, .. } => row.map(|row| {
                row.with(amount.get(), |sums, amount| {
                    sums.spent = sums.spent.saturating_sub(amount.minor);
                })
            }),
            E::BudgetRedistributed { category: receiver, amounts, .. } => row.map(|row| {
                row.with(amounts.get(), |sums, amounts| match receiver == category {
                    true => sums.get(amounts.covered.minor),
                    false => sums.give(of(&amounts.transfers, category)),
                })
            }),
            E::RedistributionReverted { category: receiver, amounts, .. } => row.map(|row| {
                row.with(amounts.get(), |sums, amounts| match receiver == category {
                    true => sums.give(amounts.returned.iter().map(|transfer| transfer.amount.minor).sum()),
                    false => sums.get(of(&amounts.returned, category)),
                })
            }),
            E::EnvelopeMoved { to, amounts, .. } => row.map(|row| {
                row.with(amounts.get(), |sums, amounts| match to == category {
                    true => sums.get(amounts.amount.minor),
                    false => sums.give(amounts.amount.minor),
                })
            }),
            E::SpendApplied { after_close: true, .. }
            | E::SpendReversed { after_close: true, .. }
            | E::OverspendDetected { .. }
            | E::CategoryAlertTriggered { .. }
            | E::RedistributionProposed { .. }
            | E::RedistributionDismissed { .. }
            | E::DailyPlanAdjusted { .. }
            | E::BudgetMonthClosed { .. } => row,
        }
    }

    fn visible(actor: &Actor) -> Filter {
        own_rows(actor, "read:budget")
    }
}

/// What a row adds up, in minor units.
#[derive(Clone, Copy)]
struct Sums {
    ccy: Currency,
    envelope: i64,
    spent: i64,
    moved_in: i64,
    moved_out: i64,
}

impl Sums {
    fn get(&mut self, amount: i64) {
        self.envelope = self.envelope.saturating_add(amount);
        self.moved_in = self.moved_in.saturating_add(amount);
    }

    fn give(&mut self, amount: i64) {
        self.envelope = self.envelope.saturating_sub(amount);
        self.moved_out = self.moved_out.saturating_add(amount);
    }
}

impl EnvelopeRow {
    /// The row after a change that follows from personal values. Where they are erased, or the row's own are, its amounts
    /// are unknown.
    fn with<T>(mut self, values: Option<T>, change: impl FnOnce(&mut Sums, T)) -> Self {
        let sums = values.zip(self.sums()).map(|(values, (owner, mut sums))| {
            change(&mut sums, values);
            (owner, sums)
        });
        let amount = |minor: fn(Sums) -> i64| match sums {
            Some((owner, sums)) => Personal::about(owner, Money::new(minor(sums), sums.ccy)),
            None => Personal::Erased,
        };
        self.envelope = amount(|sums| sums.envelope);
        self.spent = amount(|sums| sums.spent);
        self.remaining = amount(|sums| sums.envelope.saturating_sub(sums.spent));
        self.moved_in = amount(|sums| sums.moved_in);
        self.moved_out = amount(|sums| sums.moved_out);
        self
    }

    fn sums(&self) -> Option<(Uuid, Sums)> {
        let envelope = self.envelope.get()?;
        let sums = Sums {
            ccy: envelope.ccy,
            envelope: envelope.minor,
            spent: self.spent.get()?.minor,
            moved_in: self.moved_in.get()?.minor,
            moved_out: self.moved_out.get()?.minor,
        };
        Some((self.envelope.subject()?, sums))
    }
}

/// An empty envelope of a category that the month has no budget for.
fn empty(
    (budget_month, category): &(Uuid, String),
    account: Uuid,
    month: YearMonth,
    nothing: Personal<Money, Financial>,
) -> EnvelopeRow {
    EnvelopeRow {
        budget_month: *budget_month,
        category: category.clone(),
        account,
        month,
        class: None,
        level: None,
        budgeted: false,
        envelope: nothing.clone(),
        spent: nothing.clone(),
        remaining: nothing.clone(),
        moved_in: nothing.clone(),
        moved_out: nothing,
    }
}

/// The row with its category as a month's budget has it now.
fn known(row: EnvelopeRow, categories: &[MonthCategory]) -> EnvelopeRow {
    match categories.iter().find(|category| category.key == row.category) {
        Some(category) => EnvelopeRow {
            class: Some(category.class),
            level: Some(category.level.into()),
            budgeted: true,
            ..row
        },
        None => EnvelopeRow { budgeted: false, ..row },
    }
}

fn among(transfers: &[Transfer]) -> impl Iterator<Item = &String> {
    transfers.iter().map(|transfer| &transfer.category)
}

/// What a category gave, or got back.
fn of(transfers: &[Transfer], category: &str) -> i64 {
    transfers
        .iter()
        .filter(|transfer| transfer.category == category)
        .map(|transfer| transfer.amount.minor)
        .sum()
}

#[cfg(test)]
mod tests {
    use domain::{
        Stated,
        budgeting::{BudgetMonthCommand as C, BudgetProfileCommand, ReallocationReason, RedistributionMode},
    };

    use super::*;
    use crate::{
        budgeting::samples::*,
        testing::{given, given_facts},
    };

    const OFF: RedistributionMode = RedistributionMode::Off;

    fn row(month: &Month, category: &str) -> EnvelopeRow {
        let rows = given::<Envelopes>(month.facts()).rows();
        rows.into_iter().find(|row| row.category == category).unwrap()
    }

    /// Envelope, spent, remaining, moved in, moved out.
    fn amounts(month: &Month, category: &str) -> [i64; 5] {
        let row = row(month, category);
        [row.envelope, row.spent, row.remaining, row.moved_in, row.moved_out]
            .map(|amount| amount.get().unwrap().minor)
    }

    #[test]
    fn an_opened_month_has_an_envelope_for_each_category() {
        let month = Month::opened(profile(OFF, 300_000, []));
        let rent = row(&month, "rent");
        assert_eq!((rent.class, rent.level, rent.budgeted), (Some(CategoryClass::Needs), Some(0), true));
        assert_eq!(amounts(&month, "rent"), [60_000, 0, 60_000, 0, 0]);
        assert_eq!(given::<Envelopes>(month.facts()).rows().len(), 20);
    }

    #[test]
    fn money_that_moves_shows_on_both_sides() {
        let mut month = Month::opened(profile(OFF, 300_000, []));
        let (from, to) = ("travel".into(), "dining".into());
        assert!(month.tell(spend(1, "dining", 3, 300)));
        assert!(month.tell(C::MoveBetweenEnvelopes { from, to, amount: Stated(usd(500)) }));
        assert_eq!(amounts(&month, "dining"), [11_300, 300, 11_000, 500, 0]);
        assert_eq!(amounts(&month, "travel"), [8_500, 0, 8_500, 0, 500]);
    }

    #[test]
    fn an_automatic_redistribution_and_its_reversal_leave_their_traces() {
        let mut month = Month::opened(profile(RedistributionMode::Auto, 300_000, []));
        assert!(month.tell(spend(1, "dining", 3, 1349)));
        assert_eq!(amounts(&month, "dining"), [11_800, 1349, 10_451, 1000, 0]);
        let (category, date, amount) = ("dining".into(), may(3), Stated(usd(1349)));
        assert!(month.tell(C::ReverseSpend { transaction: Uuid::from_u128(1), category, date, amount }));
        assert_eq!(amounts(&month, "dining"), [10_800, 0, 10_800, 1000, 1000]);
    }

    #[test]
    fn a_category_without_a_budget_waits_in_an_empty_envelope_until_it_has_one() {
        let mut month = Month::opened(profile(OFF, 300_000, []));
        assert!(month.tell(spend(1, "pets", 3, 700)));
        let pets = row(&month, "pets");
        assert_eq!((pets.class, pets.level, pets.budgeted, pets.account), (None, None, false, OWNER));
        assert_eq!(amounts(&month, "pets"), [0, 700, -700, 0, 0]);
        month.profile = profile(OFF, 300_000, [define("pets")]);
        assert!(month.tell(C::ReallocateMonth { reason: ReallocationReason::Categories }));
        let pets = row(&month, "pets");
        assert!(pets.budgeted && pets.envelope.get().unwrap().is_positive());
        assert_eq!(pets.spent.get(), Some(&usd(700)));
    }

    #[test]
    fn a_reallocation_empties_the_envelope_of_a_category_that_left_the_profile_whatever_its_plan_was() {
        let mut month = Month::opened(profile(OFF, 300_000, []));
        let retire = BudgetProfileCommand::RetireCategory { key: "rent".into(), merge_into: "debt".into() };
        (month.profile, month.today) = (profile(OFF, 300_000, [retire]), 11);
        assert!(month.tell(C::ReallocateMonth { reason: ReallocationReason::Categories }));
        let rent = row(&month, "rent");
        assert_eq!((rent.budgeted, rent.class), (false, Some(CategoryClass::Needs)));
        assert_eq!((amounts(&month, "rent"), amounts(&month, "debt")[0]), ([0; 5], 67_500));
    }

    #[test]
    fn an_erased_month_keeps_its_categories_and_no_amount() {
        let mut month = Month::opened(profile(RedistributionMode::Auto, 300_000, []));
        assert!(month.tell(spend(1, "dining", 3, 1000)) && month.tell(spend(2, "pets", 3, 1000)));
        assert!(month.tell(C::ReallocateMonth { reason: ReallocationReason::Split }));
        let rows = given_facts::<Envelopes>(&erased(month.facts())).rows();
        assert_eq!(rows.iter().filter(|row| row.budgeted).count(), 20);
        assert!(rows.iter().all(|row| row.envelope.is_erased() && row.remaining.is_erased()));
    }

    #[test]
    fn what_is_known_after_an_erased_spend_makes_up_no_amount() {
        let mut month = Month::opened(profile(OFF, 300_000, []));
        assert!(month.tell(spend(1, "dining", 3, 1000)) && month.tell(spend(2, "dining", 3, 1000)));
        let mut facts = month.facts();
        if let AnyEvent::BudgetMonth(E::SpendApplied { amount, .. }) = &mut facts[1].1 {
            *amount = Personal::Erased;
        }
        let rows = given::<Envelopes>(facts).rows();
        let unknown: Vec<_> =
            rows.iter().filter(|row| row.spent.is_erased()).map(|row| &row.category).collect();
        assert_eq!(unknown, ["dining"]);
    }
}
