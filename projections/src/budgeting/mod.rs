//! Read models of Personal Budgeting: plans and spending by day, envelopes, transactions, why money moved, what months
//! came to, and what owners taught. For the owner alone; compliance may also see why money moved.
//!
//! Amounts and texts are personal and stay sealed. What a spend touches is one short row in each model, whatever the
//! month holds: the days of a category and month are one row, and its envelope is another.
//!
//! What never lives here: a rule. Who overspends, who gives and how days are planned anew is decided in `domain`, and the
//! events say what came of it; only what a day looks like (BUD-M2) is said here.

mod budget_calendar;
mod closed_months;
mod days;
mod envelopes;
#[cfg(test)]
mod laws;
mod merchant_rules;
mod questions;
mod redistributions;
#[cfg(test)]
mod samples;
mod transactions;

pub use budget_calendar::{BudgetCalendar, BudgetCalendarRow};
pub use closed_months::{ClosedMonthRow, ClosedMonths};
pub use days::{CalendarDay, CategoryDay, Day, DayStatus, Erased, Seen, shown_days};
pub use envelopes::{EnvelopeRow, Envelopes};
pub use merchant_rules::{MerchantRules, MerchantRulesRow};
pub use redistributions::{MoveCause, MoveState, RedistributionRow, Redistributions};
pub use transactions::{TransactionRow, Transactions};

use domain::{
    Actor, Personal,
    budgeting::{
        BudgetMonth, CategoryClass, RedistributionCause, TransactionKind, TransactionSource, YearMonth,
    },
    class::Financial,
};
use jiff::{civil::Date, tz::TimeZone};
use uuid::Uuid;

use crate::{Fact, Filter, words};

words!(YearMonth, CategoryClass, TransactionKind, TransactionSource, RedistributionCause);

/// The aggregate type of a month's budget.
const BUDGET_MONTH: &str = "budgeting.budget_month";
/// The aggregate type of a transaction.
const TRANSACTION: &str = "budgeting.transaction";

/// The rows of the acting person, within a scope. Nobody else's, whatever the role.
fn own_rows(actor: &Actor, scope: &str) -> Filter {
    if actor.has(scope) { Filter::own(actor, "account") } else { Filter::Nothing }
}

/// A part of a personal value.
fn part<T, U>(whole: &Personal<T, Financial>, part: impl FnOnce(&T) -> U) -> Personal<U, Financial> {
    match (whole.subject(), whole.get()) {
        (Some(subject), Some(value)) => Personal::about(subject, part(value)),
        _ => Personal::Erased,
    }
}

/// Whose money a personal value is about; where it is erased, the envelope still says it.
fn owner<T>(value: &Personal<T, Financial>, fact: &Fact) -> Option<Uuid> {
    value.subject().or_else(|| fact.envelope().subjects.first().copied())
}

/// The month that a stream is about. Not every event says it, but the id does, being derived from account and month: it
/// is looked for outwards from the month in which the event occurred.
fn month_of(account: Uuid, fact: &Fact) -> Option<YearMonth> {
    let near = YearMonth::at(fact.occurred_at(), &TimeZone::UTC).ok()?;
    let fits = |month: &YearMonth| BudgetMonth::id(account, *month) == fact.id;
    let back = std::iter::successors(Some(near), |month| month.previous());
    let on = std::iter::successors(near.next(), |month| month.next());
    let (mut back, mut on) = (back.fuse(), on.fuse());
    loop {
        match (back.next(), on.next()) {
            (None, None) => return None,
            (one, other) => {
                if let Some(month) = one.into_iter().chain(other).find(fits) {
                    return Some(month);
                }
            }
        }
    }
}

/// The place of a day in a list that begins with the first of the month.
fn place(day: u8) -> usize {
    usize::from(day).wrapping_sub(1)
}

/// The number of a date's day.
fn day_of(date: Date) -> u8 {
    date.day().unsigned_abs()
}
