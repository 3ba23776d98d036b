//! What the specs of this context start from: an owner in New York with 3000.00 a month, and May 2026.

use std::{any::Any, sync::Arc};

use jiff::civil::Date;
use uuid::Uuid;

use super::*;
use crate::kernel::{
    Actor, Answer, BasisPoints, Currency, Decider, Known, Money, NotYet, Personal, Question, Stated,
    Versioned,
    class::Financial,
    testing::{Scenario, given, nothing},
};

pub(super) const OWNER: Uuid = Uuid::from_u128(0xACC);

pub(super) fn ccy(code: &str) -> Currency {
    code.parse().unwrap()
}

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, ccy("USD"))
}

pub(super) fn own<T>(value: T) -> Personal<T, Financial> {
    Personal::about(OWNER, value)
}

pub(super) fn owner() -> Actor {
    Actor::user(OWNER, &["budget_user"])
}

pub(super) fn set_up(mode: RedistributionMode, income: i64) -> BudgetProfileCommand {
    BudgetProfileCommand::SetUpBudget {
        currency: ccy("USD"),
        tz: "America/New_York".into(),
        country: "US".into(),
        income: Stated(usd(income)),
        needs: BasisPoints(5000),
        wants: BasisPoints(3000),
        savings: BasisPoints(2000),
        mode,
    }
}

/// A profile that was set up with the default split, and then went through these commands.
pub(super) fn profile_after(
    mode: RedistributionMode,
    income: i64,
    commands: impl IntoIterator<Item = BudgetProfileCommand>,
) -> BudgetProfile {
    let mut past = nothing::<BudgetProfile>().with_id(OWNER).by(owner()).when(set_up(mode, income)).events();
    for command in commands {
        past.extend(given::<BudgetProfile>(past.clone()).with_id(OWNER).when(command).events());
    }
    given::<BudgetProfile>(past).state().clone()
}

pub(super) fn knowing(profile: BudgetProfile) -> BudgetMonthFacts {
    BudgetMonthFacts { profile: Some(Arc::new(profile)) }
}

pub(super) fn month() -> YearMonth {
    "2026-05".parse().unwrap()
}

pub(super) fn may(day: i8) -> Date {
    jiff::civil::date(2026, 5, day)
}

/// May 2026 as it was opened on its first day from a profile.
pub(super) fn opened_from(profile: BudgetProfile) -> BudgetMonthEvent {
    nothing::<BudgetMonth>()
        .with_id(BudgetMonth::id(OWNER, month()))
        .at("2026-05-01T12:00:00Z")
        .knowing(knowing(profile))
        .when(BudgetMonthCommand::OpenBudgetMonth { account: OWNER, month: month() })
        .events()
        .remove(0)
}

/// May 2026 with an income of 3000.00.
pub(super) fn opened(mode: RedistributionMode) -> BudgetMonthEvent {
    opened_from(profile_after(mode, 300_000, []))
}

/// A stream of May 2026 at noon (New York) of one of its days.
pub(super) fn on(day: i8, past: impl IntoIterator<Item = BudgetMonthEvent>) -> Scenario<BudgetMonth> {
    given(past).with_id(BudgetMonth::id(OWNER, month())).at(&format!("2026-05-{day:02}T16:00:00Z"))
}

pub(super) fn spend(transaction: u128, category: &str, day: i8, minor: i64) -> BudgetMonthCommand {
    BudgetMonthCommand::ApplySpend {
        transaction: Uuid::from_u128(transaction),
        category: category.into(),
        date: may(day),
        amount: Stated(usd(minor)),
    }
}

/// A world in which there is at most a profile, and in which every question is answered with what was given.
#[derive(Default)]
pub(super) struct World {
    pub(super) profile: Option<Arc<BudgetProfile>>,
    pub(super) learned: Option<String>,
    pub(super) duplicate: Option<Uuid>,
    /// What was asked of read models.
    pub(super) asked: Vec<Question>,
    /// How many streams were looked up.
    pub(super) looked_up: usize,
}

impl Known for World {
    fn stream<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet> {
        assert_eq!(id, OWNER);
        self.looked_up += 1;
        let profile: Option<Arc<dyn Any + Send + Sync>> = self.profile.clone().map(|profile| profile as _);
        let state = profile.map(|profile| profile.downcast::<D>().expect("only the profile is looked up"));
        Ok(Versioned { version: u64::from(state.is_some()), state: state.unwrap_or_default() })
    }

    fn pinned<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet> {
        self.stream(id)
    }

    fn ask(&mut self, question: Question) -> Result<Answer, NotYet> {
        self.asked.push(question.clone());
        Ok(match question {
            Question::LearnedCategory { .. } => Answer::Category(self.learned.clone()),
            Question::PossibleDuplicate { .. } => Answer::Reference(self.duplicate),
            other => panic!("{other:?} is not asked here"),
        })
    }
}
