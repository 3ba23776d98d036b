//! What the specs of this context start from: an owner in New York with 3000.00 a month, and May 2026.

use std::sync::Arc;

use domain::{
    Actor, BasisPoints, Context, Currency, Decider, Money, Personal, Refused, SealingScope, Stated,
    budgeting::{
        BudgetMonth, BudgetMonthCommand as C, BudgetMonthEvent, BudgetMonthFacts, BudgetProfile,
        BudgetProfileCommand, BudgetProfileFacts, CategoryClass, Pacing, RedistributionMode,
        TransactionEvent, TransactionKind, TransactionSource, YearMonth,
    },
    class::Financial,
    registry::AnyEvent,
};
use jiff::{
    Timestamp,
    civil::{Date, date},
};
use uuid::Uuid;

use crate::{Envelope, Fact, testing::facts};

pub(super) const OWNER: Uuid = Uuid::from_u128(0xACC);

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, ccy())
}

pub(super) fn ccy() -> Currency {
    "USD".parse().unwrap()
}

pub(super) fn own<T>(value: T) -> Personal<T, Financial> {
    Personal::about(OWNER, value)
}

/// Noon in New York on a day of May 2026.
pub(super) fn at(day: i8) -> Timestamp {
    format!("2026-05-{day:02}T16:00:00Z").parse().unwrap()
}

pub(super) fn may(day: i8) -> Date {
    date(2026, 5, day)
}

pub(super) fn month() -> YearMonth {
    "2026-05".parse().unwrap()
}

pub(super) fn budget_month() -> Uuid {
    BudgetMonth::id(OWNER, month())
}

fn context(id: Uuid, command: u128, now: Timestamp) -> Context {
    let actor = Actor::user(OWNER, &["admin"]);
    Context { id, command_id: Uuid::from_u128(0xC0_0000 + command), actor, now, occurred_at: now }
}

/// A profile that was set up with the default split, and then went through these commands.
pub(super) fn profile(
    mode: RedistributionMode,
    income: i64,
    commands: impl IntoIterator<Item = BudgetProfileCommand>,
) -> BudgetProfile {
    let set_up = BudgetProfileCommand::SetUpBudget {
        currency: ccy(),
        tz: "America/New_York".into(),
        country: "US".into(),
        income: Stated(usd(income)),
        needs: BasisPoints(5000),
        wants: BasisPoints(3000),
        savings: BasisPoints(2000),
        mode,
    };
    let mut profile = BudgetProfile::default();
    for command in [set_up].into_iter().chain(commands) {
        let events = profile.decide(command, &BudgetProfileFacts::default(), &context(OWNER, 0, at(1)));
        events.unwrap().iter().for_each(|event| profile.evolve(event));
    }
    profile
}

/// May 2026 under way, decided by the real aggregate.
pub(super) struct Month {
    pub(super) state: BudgetMonth,
    pub(super) profile: BudgetProfile,
    pub(super) today: i8,
    pub(super) events: Vec<BudgetMonthEvent>,
    commands: u128,
}

impl Month {
    /// Opened on its first day.
    pub(super) fn opened(profile: BudgetProfile) -> Self {
        let mut month =
            Month { state: BudgetMonth::default(), profile, today: 1, events: Vec::new(), commands: 0 };
        assert!(month.tell(C::OpenBudgetMonth { account: OWNER, month: self::month() }));
        month
    }

    /// Issues a command, and says whether it was accepted.
    pub(super) fn tell(&mut self, command: C) -> bool {
        self.tell_at(command, at(self.today))
    }

    pub(super) fn tell_at(&mut self, command: C, now: Timestamp) -> bool {
        self.commands += 1;
        let facts = BudgetMonthFacts { profile: Some(Arc::new(self.profile.clone())) };
        let decided = self.state.decide(command, &facts, &context(budget_month(), self.commands, now));
        let accepted = decided.is_ok();
        let events = match decided {
            Ok(events) | Err(Refused::OnRecord(_, events)) => events,
            Err(_) => Vec::new(),
        };
        events.iter().for_each(|event| self.state.evolve(event));
        self.events.extend(events);
        accepted
    }

    /// The month's events so far.
    pub(super) fn facts(&self) -> Vec<(Uuid, AnyEvent)> {
        self.facts_after(0)
    }

    /// The month's events after the first so many.
    pub(super) fn facts_after(&self, known: usize) -> Vec<(Uuid, AnyEvent)> {
        let events = self.events[known..].iter().cloned();
        events.map(|event| (budget_month(), AnyEvent::BudgetMonth(event))).collect()
    }
}

pub(super) fn spend(transaction: u128, category: &str, day: i8, minor: i64) -> C {
    C::ApplySpend {
        transaction: Uuid::from_u128(transaction),
        category: category.into(),
        date: may(day),
        amount: Stated(usd(minor)),
    }
}

pub(super) fn transaction(number: u128, event: TransactionEvent) -> (Uuid, AnyEvent) {
    (Uuid::from_u128(number), AnyEvent::Transaction(event))
}

/// So much was spent at Bistro 12.
pub(super) fn recorded(number: u128, minor: i64, day: i8) -> (Uuid, AnyEvent) {
    let event = TransactionEvent::TransactionRecorded {
        account: OWNER,
        kind: TransactionKind::Expense,
        amount: own(usd(minor)),
        booked: own(usd(minor)),
        spent_at: at(day),
        local_date: may(day),
        merchant: Some(own("Bistro 12".into())),
        merchant_normalized: Some(own("bistro".into())),
        note: None,
        category: "dining".into(),
        confidence: BasisPoints(8500),
        engine: "keywords@1".into(),
        source: TransactionSource::Manual,
        external_ref: None,
        receipt: None,
        goal: None,
        installment: None,
        rate_e9: None,
        rate_date: None,
        rate_source: None,
        possible_duplicate_of: None,
    };
    transaction(number, event)
}

/// A transaction of this merchant was put into a category.
pub(super) fn taught(number: u128, merchant: &str, category: &str, learn: bool) -> (Uuid, AnyEvent) {
    let event = TransactionEvent::TransactionRecategorized {
        account: OWNER,
        kind: TransactionKind::Expense,
        category: category.into(),
        learn,
        from: "uncategorised".into(),
        booked: own(usd(1000)),
        merchant_normalized: Some(own(merchant.into())),
        local_date: may(3),
    };
    transaction(number, event)
}

/// A command that defines a category of wants.
pub(super) fn define(key: &str) -> BudgetProfileCommand {
    BudgetProfileCommand::DefineCategory {
        key: key.into(),
        class: CategoryClass::Wants,
        level: 3,
        essential: false,
        weight: 12,
        pacing: Pacing::Even,
        fixed_day: None,
        keywords: Stated(Vec::new()),
    }
}

/// What happened, after the owner's key was destroyed: only the envelopes still say whose it was.
pub(super) fn erased(events: Vec<(Uuid, AnyEvent)>) -> Vec<Fact> {
    let erase = |(id, event): (Uuid, AnyEvent)| {
        let AnyEvent::BudgetMonth(event) = event else { return (id, event) };
        let (text, _) = SealingScope::to_json(&event).unwrap();
        (id, AnyEvent::BudgetMonth(serde_json::from_str(&text).unwrap()))
    };
    let of_owner = |fact: Fact| {
        let envelope = Envelope { subjects: vec![OWNER], ..fact.envelope().clone() };
        fact.with_envelope(envelope)
    };
    facts(events.into_iter().map(erase)).into_iter().map(of_owner).collect()
}
