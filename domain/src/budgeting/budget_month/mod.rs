//! A month's budget: envelopes, daily plans, what is spent of them, and the money that moves between them when a day goes
//! wrong (catalogue 2.5, BudgetMonth). Its id is `derived_id(["budget", account, month])`.
//!
//! Life cycle: `open -> closed`. A redistribution in it: `proposed -> accepted | dismissed | expired`; `applied -> reverted`.
//!
//! - **BUD-M1** the income is allocated to classes, envelopes and days ([`opening`]).
//! - **BUD-M2** a category-day is green when spent ≤ plan, red when spent > plan.
//! - **BUD-M3** an overspend is what a day is spent above its plan, for `fixed_day` categories the month above its
//!   envelope; savings and `uncategorised` never overspend. It is told each time a spend raises it above what was told
//!   last, less what was covered since.
//! - **BUD-M4 to BUD-M7** donors, what they give, and how days are planned afterwards ([`books`]).
//! - **BUD-M8** no redistribution, acceptance, reversal or move changes the sum of the envelopes;
//!   `covered + uncovered = needed`; `covered` is the sum of the transfers; no envelope drops below what is spent in it
//!   because of a transfer; no donor gives more than half of what remains. Nor does any envelope or plan drop below zero: of
//!   what a refund leaves beyond what an envelope holds, nothing is moved.
//! - **BUD-M10** a month keeps the mode of its opening. `auto` redistributes in the decision that applies the spend, at
//!   most once for a transaction, and reverts in the decision that takes it back.
//! - **BUD-M11** a revert gives back what is still there, by what each gave.
//! - **BUD-M12** a month closes three days after its end, where the owner lives by then, and one that was opened after its
//!   end when its owner says so; later spending is on record and changes nothing. Until then a month's days are those of
//!   the time zone that it was opened in.
//!
//! Spending of a category that the month has no envelope for waits, as `uncategorised` does. A move by hand spares what is
//! sacred (level 0) and savings; automatic donors are never essential.

use std::sync::Arc;

use jiff::{
    Timestamp,
    civil::{Date, date},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BudgetProfile, CategoryClass, RedistributionMode, YearMonth, local_date, owns, zone};
use crate::kernel::{
    Actor, Claim, Context, Currency, Decided, Decider, Known, Money, NotYet, Personal, RecordClass, Refused,
    RefusedBy, bounds, class::Financial, derived_id, ratio_bp,
};

mod books;
mod days;
mod decisions;
#[cfg(test)]
mod examples;
mod fold;
#[cfg(test)]
mod history;
#[cfg(test)]
mod laws;
mod messages;
mod opening;
#[cfg(test)]
mod tests;

pub use books::{Books, Envelope, Redistribution, RedistributionStatus, Spend};
pub use days::ByDay;
pub use messages::*;

/// The state that decisions need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetMonth {
    /// The owner, once it is open.
    pub account: Option<Uuid>,
    /// The month.
    pub month: YearMonth,
    /// The owner's time zone at the opening, an IANA name.
    pub tz: String,
    /// The currency of every amount in it.
    pub currency: Option<Currency>,
    /// What to do about an overspend.
    pub mode: RedistributionMode,
    /// Whether it was opened after its end.
    pub after_end: bool,
    /// Whether it is closed.
    pub closed: bool,
    /// The money. Erased, nothing can be judged any more; what comes in is still put on record.
    pub books: Personal<Books, Financial>,
}

impl BudgetMonth {
    /// The id of an account's month.
    pub fn id(account: Uuid, month: YearMonth) -> Uuid {
        derived_id(&["budget", &account.to_string(), &month.to_string()])
    }

    fn with_books(&mut self, change: impl FnOnce(&mut Books)) {
        self.books = std::mem::take(&mut self.books).map(|mut books| {
            change(&mut books);
            books
        });
    }

    fn today(&self, context: &Context) -> Date {
        local_date(context.occurred_at, &zone(&self.tz))
    }

    /// The day T of BUD-M6 for something that happened on a day of the month.
    fn day_t(&self, day: u8, today: Date) -> u8 {
        if self.month.contains(today) { day.max(day_of(today)) } else { day }
    }
}

/// The number of a date's day.
fn day_of(date: Date) -> u8 {
    date.day().unsigned_abs()
}

/// What other streams tell.
#[derive(Clone, Debug, Default)]
pub struct BudgetMonthFacts {
    /// The owner's profile, if they set a budget up.
    pub profile: Option<Arc<BudgetProfile>>,
}

impl Decider for BudgetMonth {
    const TYPE: &'static str = "budgeting.budget_month";
    const CLASS: Option<RecordClass> = Some(RecordClass::Financial);
    type Command = BudgetMonthCommand;
    type Event = BudgetMonthEvent;
    type Refusal = BudgetMonthRefusal;
    type Facts = BudgetMonthFacts;

    fn creates(command: &BudgetMonthCommand) -> bool {
        matches!(command, BudgetMonthCommand::OpenBudgetMonth { .. })
    }

    /// As after its end: no timer closes what was not opened.
    fn unborn(owner: Uuid) -> Self {
        BudgetMonth { account: Some(owner), after_end: true, ..BudgetMonth::default() }
    }

    fn facts(
        &self,
        command: &BudgetMonthCommand,
        _context: &Context,
        known: &mut impl Known,
    ) -> Result<BudgetMonthFacts, NotYet> {
        let account = match command {
            BudgetMonthCommand::OpenBudgetMonth { account, .. } => Some(*account),
            BudgetMonthCommand::ReallocateMonth { .. } | BudgetMonthCommand::CloseBudgetMonth {} => {
                self.account
            }
            _ => None,
        };
        let Some(account) = account else { return Ok(BudgetMonthFacts::default()) };
        let found = known.stream::<BudgetProfile>(account)?;
        Ok(BudgetMonthFacts { profile: found.exists().then_some(found.state) })
    }

    fn may(&self, actor: &Actor, command: &BudgetMonthCommand) -> bool {
        use BudgetMonthCommand as C;
        let own =
            |account: Option<Uuid>| account.is_some_and(|account| owns(actor, account, "manage:budget"));
        match command {
            C::OpenBudgetMonth { account, .. } => actor.is_system() || own(Some(*account)),
            C::ApplySpend { .. }
            | C::ReverseSpend { .. }
            | C::ProposeRedistribution { .. }
            | C::DismissRedistribution { cause: DismissalCause::Expired, .. } => actor.is_system(),
            // History has no timer: whoever brought it in says when it is complete.
            C::CloseBudgetMonth {} => actor.is_system() || self.after_end && own(self.account),
            C::ReallocateMonth { .. }
            | C::RedistributeBudget { .. }
            | C::AcceptRedistribution { .. }
            | C::DismissRedistribution { cause: DismissalCause::Person, .. }
            | C::RevertRedistribution { .. }
            | C::MoveBetweenEnvelopes { .. }
            | C::AdjustDailyPlan { .. } => own(self.account),
        }
    }

    fn decide(
        &self,
        command: BudgetMonthCommand,
        facts: &BudgetMonthFacts,
        context: &Context,
    ) -> Decided<Self> {
        use BudgetMonthCommand as C;
        let name: &'static str = (&command).into();
        match command {
            C::OpenBudgetMonth { account, month } => return self.open(account, month, facts, context),
            C::ApplySpend { transaction, category, date, amount } => {
                return self.apply_spend(transaction, category, date, amount.0, context);
            }
            C::ReverseSpend { transaction, category, date, amount } => {
                return self.reverse_spend(transaction, category, date, amount.0, context);
            }
            _ if self.closed => return Err(BudgetMonthRefusal::Closed {}.into()),
            C::CloseBudgetMonth {} => return self.close(facts, context),
            _ => {}
        }
        let Some(books) = self.books.get() else {
            return Err(Refused::InvalidState { state: "erased", command: name });
        };
        let event = match command {
            C::ReallocateMonth { reason } => self.reallocate(books, reason, facts, context)?,
            C::RedistributeBudget { redistribution, category, date } => {
                let receiver = self.overspent(books, &category, date)?;
                self.check_new(books, redistribution)?;
                let cause = RedistributionCause::Person;
                self.redistribution(books, redistribution, receiver, day_of(date), cause, None, context)
            }
            C::ProposeRedistribution { redistribution, category, date } => {
                let receiver = self.overspent(books, &category, date)?;
                self.check_new(books, redistribution)?;
                self.proposal(books, redistribution, receiver, day_of(date), context)?
            }
            C::AcceptRedistribution { redistribution } => self.accept(books, redistribution, context)?,
            C::DismissRedistribution { redistribution, cause } => {
                match books.redistributions.get(&redistribution).map(|proposal| proposal.status) {
                    None => return Err(BudgetMonthRefusal::UnknownRedistribution {}.into()),
                    Some(RedistributionStatus::Proposed(_)) => {}
                    Some(status) => {
                        return Err(Refused::InvalidState { state: status.name(), command: name });
                    }
                }
                BudgetMonthEvent::RedistributionDismissed { redistribution, cause }
            }
            C::RevertRedistribution { redistribution, reason } => {
                bounds::text("reason", &reason.0, 1..=500)?;
                match books.redistributions.get(&redistribution) {
                    None => return Err(BudgetMonthRefusal::UnknownRedistribution {}.into()),
                    Some(done) => match done.status {
                        RedistributionStatus::Applied => {
                            self.reversal(books, redistribution, done, Some(reason.0), context)
                        }
                        RedistributionStatus::Reverted => {
                            return Err(BudgetMonthRefusal::AlreadyReverted {}.into());
                        }
                        status @ (RedistributionStatus::Proposed(_)
                        | RedistributionStatus::Dismissed
                        | RedistributionStatus::Expired) => {
                            return Err(Refused::InvalidState { state: status.name(), command: name });
                        }
                    },
                }
            }
            C::MoveBetweenEnvelopes { from, to, amount } => {
                self.move_between(books, from, to, amount.0, context)?
            }
            C::AdjustDailyPlan { category, date, planned } => {
                self.adjust(books, category, date, planned.0, context)?
            }
            C::OpenBudgetMonth { .. }
            | C::ApplySpend { .. }
            | C::ReverseSpend { .. }
            | C::CloseBudgetMonth {} => return Err(Refused::InvalidState { state: "open", command: name }),
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &BudgetMonthEvent) {
        use BudgetMonthEvent as E;
        match event {
            E::BudgetMonthOpened {
                account,
                month,
                tz,
                currency,
                mode,
                after_end,
                categories,
                amounts,
                ..
            } => {
                *self = BudgetMonth {
                    account: Some(*account),
                    month: *month,
                    tz: tz.clone(),
                    currency: Some(*currency),
                    mode: *mode,
                    after_end: *after_end,
                    closed: false,
                    books: amounts.clone().map(|amounts| Books::opened(categories, &amounts)),
                }
            }
            E::BudgetMonthReallocated { mode, categories, amounts, .. } => {
                self.mode = *mode;
                if let Some(amounts) = amounts.get() {
                    self.with_books(|books| books.reallocate(categories, amounts));
                }
            }
            E::SpendApplied { transaction, category, date, amount, after_close } => {
                let amount = amount.get().map(|amount| amount.minor);
                self.with_books(|books| {
                    books.apply(*transaction, category, day_of(*date), amount, *after_close);
                });
            }
            E::OverspendDetected { category, date, overspend, .. } => {
                let overspend = overspend.get().map_or(0, |overspend| overspend.minor);
                self.with_books(|books| {
                    if let Some(index) = books.find(category) {
                        books.envelopes[index].tell(day_of(*date), overspend);
                    }
                });
            }
            E::CategoryAlertTriggered { category, .. } => self.with_books(|books| {
                if let Some(index) = books.find(category) {
                    books.envelopes[index].alerted = true;
                }
            }),
            E::SpendReversed { transaction, after_close, .. } => {
                self.with_books(|books| books.reverse(*transaction, *after_close));
            }
            E::BudgetRedistributed { redistribution, category, date, transaction, amounts, .. } => {
                if let Some(amounts) = amounts.get() {
                    self.with_books(|books| {
                        books.redistributed(*redistribution, category, day_of(*date), *transaction, amounts);
                    });
                }
            }
            E::RedistributionProposed { redistribution, category, date, expires_at, .. } => {
                self.with_books(|books| {
                    let proposal = Redistribution {
                        status: RedistributionStatus::Proposed(*expires_at),
                        receiver: books.find_or_wait(category),
                        day: day_of(*date),
                        gave: Vec::new(),
                        short: false,
                    };
                    books.redistributions.insert(*redistribution, proposal);
                });
            }
            E::RedistributionDismissed { redistribution, cause } => {
                let status = match cause {
                    DismissalCause::Person => RedistributionStatus::Dismissed,
                    DismissalCause::Expired => RedistributionStatus::Expired,
                };
                self.with_books(|books| books.settle(*redistribution, status));
            }
            E::RedistributionReverted { redistribution, category, amounts, .. } => self.with_books(|books| {
                books.settle(*redistribution, RedistributionStatus::Reverted);
                if let Some(amounts) = amounts.get() {
                    books.reverted(category, amounts);
                }
            }),
            E::EnvelopeMoved { from, to, amounts } => {
                if let Some(amounts) = amounts.get() {
                    self.with_books(|books| books.moved(from, to, amounts));
                }
            }
            E::DailyPlanAdjusted { amounts, .. } => {
                if let Some(amounts) = amounts.get() {
                    self.with_books(|books| books.plan(&amounts.plans));
                }
            }
            E::BudgetMonthClosed { .. } => self.closed = true,
        }
    }

    fn claims(_id: Uuid, event: &BudgetMonthEvent) -> Vec<Claim> {
        use BudgetMonthEvent as E;
        match event {
            E::BudgetMonthOpened { account, month, .. } => {
                vec![Claim::Take(format!("budget:{account}:{month}"))]
            }
            E::BudgetMonthReallocated { .. }
            | E::SpendApplied { .. }
            | E::OverspendDetected { .. }
            | E::CategoryAlertTriggered { .. }
            | E::SpendReversed { .. }
            | E::BudgetRedistributed { .. }
            | E::RedistributionProposed { .. }
            | E::RedistributionDismissed { .. }
            | E::RedistributionReverted { .. }
            | E::EnvelopeMoved { .. }
            | E::DailyPlanAdjusted { .. }
            | E::BudgetMonthClosed { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<BudgetMonthRefusal> {
        key.starts_with("budget:").then_some(BudgetMonthRefusal::AlreadyOpen {})
    }

    fn subject(&self) -> Option<Uuid> {
        self.account
    }
}
