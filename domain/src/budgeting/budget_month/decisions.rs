//! The decisions on a month's budget, one for each command.

use super::{
    opening::{allocation, day_weights, plans_of_reallocation},
    *,
};
use crate::{budgeting::MonthFigures, kernel::allocate};
use BudgetMonthEvent as E;
use BudgetMonthRefusal as R;

type OneEvent = Result<BudgetMonthEvent, RefusedBy<BudgetMonth>>;

/// How long a proposal is open: 24 hours (BUD-M10).
const PROPOSAL_SECONDS: i64 = 24 * 3600;

impl RedistributionStatus {
    /// Its name in the life cycle.
    pub(super) fn name(self) -> &'static str {
        match self {
            RedistributionStatus::Proposed(_) => "proposed",
            RedistributionStatus::Dismissed => "dismissed",
            RedistributionStatus::Expired => "expired",
            RedistributionStatus::Applied => "applied",
            RedistributionStatus::Reverted => "reverted",
        }
    }
}

impl BudgetMonth {
    pub(super) fn open(
        &self,
        account: Uuid,
        month: YearMonth,
        facts: &BudgetMonthFacts,
        context: &Context,
    ) -> Decided<Self> {
        // First of all: whose month it is not is not told whether it is open.
        if context.id != Self::id(account, month) {
            return Err(Refused::invalid("month", "the stream's id is not that of this account and month"));
        }
        if self.account.is_some() {
            return Err(R::AlreadyOpen {}.into());
        }
        let profile = facts.profile.as_deref().ok_or(R::NoProfile {})?;
        let (Some(allocated), Some(currency)) = (allocation(profile, month), profile.currency) else {
            return Err(R::NoProfile {}.into());
        };
        let plan = |(category, amount): &(MonthCategory, i64)| {
            let days = allocate(*amount, &day_weights(category, month)).expect("a month has days");
            (category.key.clone(), days)
        };
        let amounts = OpeningAmounts {
            income: allocated.income,
            classes: allocated.classes,
            envelopes: by_key(&allocated.envelopes),
            plans: allocated.envelopes.iter().map(plan).collect(),
        };
        Ok(vec![E::BudgetMonthOpened {
            account,
            month,
            tz: profile.tz.clone(),
            currency,
            mode: profile.mode,
            after_end: local_date(context.occurred_at, &zone(&profile.tz)) > month.last_day(),
            split: allocated.split,
            categories: allocated.envelopes.into_iter().map(|(category, _)| category).collect(),
            amounts: Personal::about(account, amounts),
        }])
    }

    /// BUD-P4: refused where a category would get less than it has and less than is spent in it.
    pub(super) fn reallocate(
        &self,
        books: &Books,
        reason: ReallocationReason,
        facts: &BudgetMonthFacts,
        context: &Context,
    ) -> OneEvent {
        let profile = facts.profile.as_deref().ok_or(R::NoProfile {})?;
        let allocated = allocation(profile, self.month).ok_or(R::NoProfile {})?;
        for envelope in &books.envelopes {
            let new = allocated.envelopes.iter().find(|(category, _)| category.key == envelope.category.key);
            let new = new.map_or(0, |(_, amount)| *amount);
            if new < envelope.spent && new < envelope.amount {
                return Err(R::BelowSpent { category: envelope.category.key.clone() }.into());
            }
        }
        let today = self.today(context);
        let from = if self.month.contains(today) { day_of(today) } else { 1 };
        let mut envelopes = by_key(&allocated.envelopes);
        // Said outright: who keeps each envelope by itself would not hear of those that are left out.
        for gone in books.envelopes.iter().filter(|envelope| envelope.budgeted) {
            envelopes.entry(gone.category.key.clone()).or_insert(0);
        }
        let amounts = ReallocatedAmounts {
            income: allocated.income,
            classes: allocated.classes,
            envelopes,
            plans: plans_of_reallocation(books, &allocated.envelopes, self.month, from),
        };
        let applied = books.redistributions.iter();
        let applied = applied.filter(|(_, done)| done.status == RedistributionStatus::Applied);
        Ok(E::BudgetMonthReallocated {
            reason,
            mode: profile.mode,
            split: allocated.split,
            categories: allocated.envelopes.into_iter().map(|(category, _)| category).collect(),
            amounts: self.own(amounts),
            overtaken: applied.map(|(id, _)| *id).collect(),
        })
    }

    pub(super) fn apply_spend(
        &self,
        transaction: Uuid,
        category: String,
        date: Date,
        amount: Money,
        context: &Context,
    ) -> Decided<Self> {
        self.check_date(date)?;
        self.check_amount("amount", amount)?;
        check_key(&category)?;
        let after_close = self.closed;
        let applied = E::SpendApplied {
            transaction,
            category: category.clone(),
            date,
            amount: self.own(amount),
            after_close,
        };
        let Some(books) = self.books.get() else { return Ok(vec![applied]) };
        if books.spends.contains_key(&transaction) {
            return Err(R::AlreadyApplied {}.into());
        }
        let index = books.find(&category);
        let (Some(index), false) = (index, after_close) else { return Ok(vec![applied]) };
        let (envelope, day) = (&books.envelopes[index], day_of(date));
        if !envelope.can_hold(day, amount.minor) {
            return Err(Refused::invalid("amount", "the category's spending would be out of range"));
        }
        let overspend = envelope.overspend_with(day, amount.minor);
        let told = overspend > envelope.overspend(day) && overspend > envelope.told(day);
        let (mut events, mut covered) = (vec![applied], 0);
        if told {
            let overspend = self.own(self.money(overspend));
            events.push(E::OverspendDetected { category: category.clone(), date, overspend, transaction });
        }
        if told && self.mode == RedistributionMode::Auto {
            let mut after = self.clone();
            events.iter().for_each(|event| after.evolve(event));
            if let Some(books) = after.books.get() {
                let (id, cause) = (context.derive("redistribution"), RedistributionCause::Automatic);
                let moved = after.redistribution(books, id, index, day, cause, Some(transaction), context);
                if let E::BudgetRedistributed { amounts, .. } = &moved {
                    covered = amounts.get().map_or(0, |amounts| amounts.covered.minor);
                }
                events.push(moved);
            }
        }
        if !envelope.alerted && envelope.reaches_alert(amount.minor, covered) {
            let (spent, holds) = (envelope.spent + amount.minor, envelope.amount + covered);
            let used = ratio_bp(spent, holds).unwrap_or_default();
            events.push(E::CategoryAlertTriggered { category, used });
        }
        Ok(events)
    }

    /// What was applied is what is reversed; an automatic redistribution that it caused goes with it (BUD-M10).
    pub(super) fn reverse_spend(
        &self,
        transaction: Uuid,
        category: String,
        date: Date,
        amount: Money,
        context: &Context,
    ) -> Decided<Self> {
        self.check_date(date)?;
        self.check_amount("amount", amount)?;
        check_key(&category)?;
        let after_close = self.closed;
        let Some(books) = self.books.get() else {
            let amount = self.own(amount);
            return Ok(vec![E::SpendReversed { transaction, category, date, amount, after_close }]);
        };
        let spend = books.spends.get(&transaction).ok_or(R::UnknownTransaction {})?;
        let reversed = E::SpendReversed {
            transaction,
            category: books.envelopes[spend.envelope].category.key.clone(),
            date: self.month.day(spend.day).unwrap_or(date),
            amount: spend.amount.map_or(Personal::Erased, |minor| self.own(self.money(minor))),
            after_close,
        };
        let caused = spend.redistribution.filter(|_| !after_close).and_then(|id| {
            let done = books.redistributions.get(&id)?;
            (done.status == RedistributionStatus::Applied).then_some((id, done))
        });
        let mut events = vec![reversed];
        if let Some((id, done)) = caused {
            let mut after = self.clone();
            after.evolve(&events[0]);
            if let Some(books) = after.books.get() {
                events.push(after.reversal(books, id, done, None, context));
            }
        }
        Ok(events)
    }

    /// The overspent envelope that a command names.
    pub(super) fn overspent(
        &self,
        books: &Books,
        category: &str,
        date: Date,
    ) -> Result<usize, RefusedBy<BudgetMonth>> {
        self.check_date(date)?;
        let unknown = || R::UnknownCategory { category: category.to_owned() };
        let index = books.find(category).ok_or_else(unknown)?;
        if books.envelopes[index].overspend(day_of(date)) > 0 {
            Ok(index)
        } else {
            Err(R::NothingOverspent {}.into())
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a redistribution has this much to say of itself")]
    pub(super) fn redistribution(
        &self,
        books: &Books,
        redistribution: Uuid,
        receiver: usize,
        day: u8,
        cause: RedistributionCause,
        transaction: Option<Uuid>,
        context: &Context,
    ) -> BudgetMonthEvent {
        let (from, days) = (self.day_t(day, self.today(context)), self.month.days());
        let computed = books.redistribute(receiver, day, from, days);
        let amounts = RedistributedAmounts {
            needed: self.money(computed.needed),
            covered: self.money(computed.covered),
            uncovered: self.money(computed.needed - computed.covered),
            transfers: self.transfers(books, &computed.gave),
            plans: computed.plans,
        };
        E::BudgetRedistributed {
            redistribution,
            category: books.envelopes[receiver].category.key.clone(),
            date: self.date(day),
            cause,
            transaction,
            days_left: days + 1 - from,
            amounts: self.own(amounts),
        }
    }

    pub(super) fn proposal(
        &self,
        books: &Books,
        redistribution: Uuid,
        receiver: usize,
        day: u8,
        context: &Context,
    ) -> OneEvent {
        let from = self.day_t(day, self.today(context));
        let computed = books.redistribute(receiver, day, from, self.month.days());
        if computed.covered == 0 {
            return Err(R::NothingToGive {}.into());
        }
        let amounts = ProposedAmounts {
            needed: self.money(computed.needed),
            covered: self.money(computed.covered),
            transfers: self.transfers(books, &computed.gave),
        };
        Ok(E::RedistributionProposed {
            redistribution,
            category: books.envelopes[receiver].category.key.clone(),
            date: self.date(day),
            expires_at: context
                .now
                .saturating_add(jiff::SignedDuration::from_secs(PROPOSAL_SECONDS))
                .unwrap_or(Timestamp::MAX),
            amounts: self.own(amounts),
        })
    }

    pub(super) fn accept(&self, books: &Books, redistribution: Uuid, context: &Context) -> OneEvent {
        let proposal = books.redistributions.get(&redistribution).ok_or(R::UnknownRedistribution {})?;
        match proposal.status {
            RedistributionStatus::Proposed(until) if context.now <= until => {}
            RedistributionStatus::Proposed(_) | RedistributionStatus::Expired => {
                return Err(R::ProposalExpired {}.into());
            }
            status @ (RedistributionStatus::Dismissed
            | RedistributionStatus::Applied
            | RedistributionStatus::Reverted) => {
                return Err(Refused::InvalidState { state: status.name(), command: "AcceptRedistribution" });
            }
        }
        let (receiver, day) = (proposal.receiver, proposal.day);
        if books.envelopes[receiver].overspend(day) == 0 {
            return Err(R::NothingOverspent {}.into());
        }
        let cause = RedistributionCause::Accepted;
        Ok(self.redistribution(books, redistribution, receiver, day, cause, None, context))
    }

    /// `reason`: the person's; none where a reversed spend takes its redistribution with it.
    pub(super) fn reversal(
        &self,
        books: &Books,
        redistribution: Uuid,
        done: &Redistribution,
        reason: Option<String>,
        context: &Context,
    ) -> BudgetMonthEvent {
        let from = self.day_t(done.day, self.today(context));
        let (returned, plans) = books.revert(done, from, self.month.days());
        let cause =
            if reason.is_some() { RedistributionCause::Person } else { RedistributionCause::Automatic };
        E::RedistributionReverted {
            redistribution,
            category: books.envelopes[done.receiver].category.key.clone(),
            date: self.date(done.day),
            cause,
            reason: reason.map(|reason| self.own(reason)),
            amounts: self.own(RevertedAmounts { returned: self.transfers(books, &returned), plans }),
        }
    }

    pub(super) fn move_between(
        &self,
        books: &Books,
        from: String,
        to: String,
        amount: Money,
        context: &Context,
    ) -> OneEvent {
        self.check_amount("amount", amount)?;
        if !amount.is_positive() {
            return Err(Refused::invalid("amount", "above zero"));
        }
        if from == to {
            return Err(Refused::invalid("to", "another envelope"));
        }
        let (giver, taker) = (budgeted(books, &from)?, budgeted(books, &to)?);
        let envelope = &books.envelopes[giver];
        if envelope.category.level == 0 || envelope.category.class == CategoryClass::Savings {
            return Err(R::SacredDonor { category: from }.into());
        }
        if envelope.movable() < amount.minor {
            return Err(R::InsufficientRemaining {}.into());
        }
        let (today, days) = (self.today(context), self.month.days());
        let day = if today > self.month.last_day() { days } else { self.day_t(1, today) };
        let plans = books.plans_of_move(giver, taker, amount.minor, day, days);
        Ok(E::EnvelopeMoved { from, to, amounts: self.own(MovedAmounts { amount, plans }) })
    }

    pub(super) fn adjust(
        &self,
        books: &Books,
        category: String,
        date: Date,
        planned: Money,
        context: &Context,
    ) -> OneEvent {
        self.check_date(date)?;
        self.check_amount("planned", planned)?;
        if planned.minor < 0 {
            return Err(Refused::invalid("planned", "not below zero"));
        }
        let index = budgeted(books, &category)?;
        let today = self.today(context);
        if date < today {
            return Err(R::PastDay {}.into());
        }
        let (envelope, day) = (&books.envelopes[index], day_of(date));
        // What the envelope could pay on that day: all that is not spent on other days.
        if i128::from(planned.minor)
            > i128::from(envelope.remaining()) + i128::from(envelope.spent_on.get(day))
        {
            return Err(R::BeyondEnvelope {}.into());
        }
        let plans =
            books.plans_of_adjustment(index, day, planned.minor, self.day_t(1, today), self.month.days());
        Ok(E::DailyPlanAdjusted { category, date, amounts: self.own(AdjustedAmounts { planned, plans }) })
    }

    pub(super) fn close(&self, facts: &BudgetMonthFacts, context: &Context) -> Decided<Self> {
        let tz = facts.profile.as_ref().map_or(&self.tz, |profile| &profile.tz);
        let today = local_date(context.occurred_at, &zone(tz));
        // The fourth day of the next month; the last month that can be written closes after its end.
        let after_three_days = self.month.next().and_then(|next| next.day(4));
        let closes_on = after_three_days.filter(|_| !self.after_end).unwrap_or(self.month.last_day());
        if today < closes_on {
            return Err(R::NotOver { closes_on }.into());
        }
        let Some(books) = self.books.get() else {
            let (amounts, figures) = (Personal::Erased, None);
            return Ok(vec![E::BudgetMonthClosed { amounts, adherence: None, savings_rate: None, figures }]);
        };
        let sum = |of: &dyn Fn(&Envelope) -> i64| books.envelopes.iter().map(of).fold(0, i64::saturating_add);
        let saves = |envelope: &Envelope| envelope.category.class == CategoryClass::Savings;
        let saved = sum(&|envelope| if saves(envelope) { envelope.spent } else { 0 });
        let amounts = ClosingAmounts {
            planned: self.money(sum(&|envelope| envelope.amount)),
            spent: self.money(sum(&|envelope| if saves(envelope) { 0 } else { envelope.spent })),
            saved: self.money(saved),
        };
        let (green, planned) = books.adherence(self.month.days());
        let figures = self.currency.map(|ccy| MonthFigures::of(books, ccy, self.month.days()));
        Ok(vec![E::BudgetMonthClosed {
            amounts: self.own(amounts),
            adherence: ratio_bp(green, planned),
            savings_rate: ratio_bp(saved, books.income),
            figures: figures.map(|figures| self.own(figures)),
        }])
    }

    pub(super) fn check_new(
        &self,
        books: &Books,
        redistribution: Uuid,
    ) -> Result<(), RefusedBy<BudgetMonth>> {
        let known = books.redistributions.contains_key(&redistribution);
        if known { Err(R::RedistributionExists {}.into()) } else { Ok(()) }
    }

    fn check_date(&self, date: Date) -> Result<(), RefusedBy<BudgetMonth>> {
        if self.month.contains(date) { Ok(()) } else { Err(R::WrongMonth { month: self.month }.into()) }
    }

    fn check_amount(&self, field: &'static str, amount: Money) -> Result<(), RefusedBy<BudgetMonth>> {
        if let Some(expected) = self.currency.filter(|currency| *currency != amount.ccy) {
            return Err(R::CurrencyMismatch { expected }.into());
        }
        if amount.in_range() { Ok(()) } else { Err(Refused::invalid(field, "the amount is out of range")) }
    }

    fn transfers(&self, books: &Books, gifts: &[(usize, i64)]) -> Vec<Transfer> {
        let transfer = |(index, amount): &(usize, i64)| Transfer {
            category: books.envelopes[*index].category.key.clone(),
            amount: self.money(*amount),
        };
        gifts.iter().map(transfer).collect()
    }

    fn own<T>(&self, value: T) -> Personal<T, Financial> {
        self.account.map_or(Personal::Erased, |account| Personal::about(account, value))
    }

    fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency.expect("a month that is open has a currency"))
    }

    fn date(&self, day: u8) -> Date {
        self.month.day(day).unwrap_or_else(|| date(self.month.year(), self.month.month(), 1))
    }
}

fn by_key(envelopes: &[(MonthCategory, i64)]) -> std::collections::BTreeMap<String, i64> {
    envelopes.iter().map(|(category, amount)| (category.key.clone(), *amount)).collect()
}

fn budgeted(books: &Books, category: &str) -> Result<usize, BudgetMonthRefusal> {
    let found = books.find(category).filter(|index| books.envelopes[*index].budgeted);
    found.ok_or_else(|| R::UnknownCategory { category: category.to_owned() })
}

fn check_key(category: &str) -> Result<(), RefusedBy<BudgetMonth>> {
    let fits = (1..=40).contains(&category.len());
    if fits { Ok(()) } else { Err(Refused::invalid("category", "a category's key")) }
}
