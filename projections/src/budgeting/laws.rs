//! Laws of the budget's read models, over random months that the real aggregate decided: whatever people and transactions
//! do, at every position the rows say what the aggregate's own books say, and no cent is made or lost.

use std::collections::BTreeMap;

use domain::{
    OpeningScope, Stated,
    budgeting::{
        Books, BudgetMonthCommand as C, BudgetMonthEvent as E, BudgetProfile, BudgetProfileCommand as P,
        DismissalCause, Envelope, ReallocationReason, Redistribution, RedistributionMode,
        RedistributionStatus,
    },
    registry::AnyEvent,
};
use jiff::civil::Date;
use proptest::prelude::*;
use uuid::Uuid;

use super::{BudgetCalendar, DayStatus, Envelopes, MoveState, Redistributions, samples::*};
use crate::{
    row::Row,
    table::{KeyOf, Table},
    testing::facts,
};

/// Categories to spend in: with a budget, of a fixed day, saved, waiting, and one that comes later.
const CATEGORIES: [&str; 8] =
    ["dining", "travel", "groceries", "rent", "clothing", "goal_savings", "uncategorised", "pets"];

#[derive(Clone, Debug)]
enum Step {
    Spend { category: usize, day: i8, minor: i64 },
    Reverse { which: u128 },
    Redistribute { which: usize },
    Propose { which: usize },
    Accept { which: usize },
    Dismiss { which: usize, cause: DismissalCause },
    Revert { which: usize },
    Move { from: usize, to: usize, minor: i64 },
    Adjust { category: usize, day: i8, minor: i64 },
    Reallocate { profile: usize },
    NextDay,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let category = || 0..CATEGORIES.len();
    let (day, which) = (|| 1i8..=12, || 0usize..3);
    prop_oneof![
        12 => (category(), day(), -500i64..6000)
            .prop_map(|(category, day, minor)| Step::Spend { category, day, minor }),
        3 => (1u128..30).prop_map(|which| Step::Reverse { which }),
        2 => which().prop_map(|which| Step::Redistribute { which }),
        4 => which().prop_map(|which| Step::Propose { which }),
        2 => which().prop_map(|which| Step::Accept { which }),
        1 => (which(), prop_oneof![Just(DismissalCause::Person), Just(DismissalCause::Expired)])
            .prop_map(|(which, cause)| Step::Dismiss { which, cause }),
        2 => which().prop_map(|which| Step::Revert { which }),
        2 => (category(), category(), 1i64..5000)
            .prop_map(|(from, to, minor)| Step::Move { from, to, minor }),
        2 => (category(), day(), 0i64..2000)
            .prop_map(|(category, day, minor)| Step::Adjust { category, day, minor }),
        2 => (0usize..4).prop_map(|profile| Step::Reallocate { profile }),
        2 => Just(Step::NextDay),
    ]
}

fn mode() -> impl Strategy<Value = RedistributionMode> {
    prop_oneof![
        2 => Just(RedistributionMode::Auto),
        1 => Just(RedistributionMode::Propose),
        1 => Just(RedistributionMode::Off),
    ]
}

/// What the owner's profile becomes: another income, a new category, categories that go.
fn profiles(mode: RedistributionMode) -> [BudgetProfile; 4] {
    let retire = |key: &str, heir: &str| P::RetireCategory { key: key.into(), merge_into: heir.into() };
    [
        profile(mode, 300_000, []),
        profile(mode, 345_679, [define("pets")]),
        profile(mode, 299_999, [retire("travel", "dining"), retire("rent", "debt")]),
        profile(RedistributionMode::Auto, 700_001, [define("pets"), retire("clothing", "shopping")]),
    ]
}

/// A random month, and how many transactions and redistributions it saw.
struct Life {
    month: Month,
    profiles: [BudgetProfile; 4],
    next: u128,
}

impl Life {
    /// A redistribution that is, or is not, a proposal.
    fn known(&self, proposed: bool, which: usize) -> Uuid {
        let is_proposed = |done: &Redistribution| matches!(done.status, RedistributionStatus::Proposed(_));
        let known = self.books().redistributions.iter().filter(|(_, done)| is_proposed(done) == proposed);
        known.map(|(id, _)| *id).nth(which).unwrap_or_default()
    }

    /// A category and a day on which it is overspent.
    fn overspent(&self, which: usize) -> (String, Date) {
        let days = |envelope: &Envelope| {
            let key = envelope.category.key.clone();
            let days = (1..=31).filter(|day| envelope.overspend(*day) > 0);
            days.map(move |day| (key.clone(), month().day(day).unwrap())).collect::<Vec<_>>()
        };
        let mut overspent = self.books().envelopes.iter().flat_map(days);
        overspent.nth(which).unwrap_or_else(|| ("dining".to_owned(), may(1)))
    }

    fn books(&self) -> &Books {
        self.month.state.books.get().unwrap()
    }

    fn take(&mut self, step: &Step) {
        self.next += 1;
        let redistribution = Uuid::from_u128(0x4ED_0000 + self.next);
        let key = |category: &usize| CATEGORIES[*category].to_owned();
        let command = match step {
            Step::Spend { category, day, minor } => spend(self.next, CATEGORIES[*category], *day, *minor),
            Step::Reverse { which } => C::ReverseSpend {
                transaction: Uuid::from_u128(*which),
                category: "dining".into(),
                date: may(1),
                amount: Stated(usd(1)),
            },
            Step::Redistribute { which } => {
                let (category, date) = self.overspent(*which);
                C::RedistributeBudget { redistribution, category, date }
            }
            Step::Propose { which } => {
                let (category, date) = self.overspent(*which);
                C::ProposeRedistribution { redistribution, category, date }
            }
            Step::Accept { which } => C::AcceptRedistribution { redistribution: self.known(true, *which) },
            Step::Dismiss { which, cause } => {
                C::DismissRedistribution { redistribution: self.known(true, *which), cause: *cause }
            }
            Step::Revert { which } => C::RevertRedistribution {
                redistribution: self.known(false, *which),
                reason: Stated("no".into()),
            },
            Step::Move { from, to, minor } => {
                C::MoveBetweenEnvelopes { from: key(from), to: key(to), amount: Stated(usd(*minor)) }
            }
            Step::Adjust { category, day, minor } => {
                C::AdjustDailyPlan { category: key(category), date: may(*day), planned: Stated(usd(*minor)) }
            }
            Step::Reallocate { profile } => {
                self.month.profile = self.profiles[*profile].clone();
                C::ReallocateMonth { reason: ReallocationReason::Categories }
            }
            Step::NextDay => {
                self.month.today = (self.month.today + 1).min(12);
                return;
            }
            Step::Close => C::CloseBudgetMonth {},
        };
        let now = if let Step::Close = step {
            "2026-06-04T12:00:00Z".parse().unwrap()
        } else {
            at(self.month.today)
        };
        self.month.tell_at(command, now);
    }
}

/// Rows under way.
struct Rows<T: Table>(BTreeMap<KeyOf<T>, T::Row>);

impl<T: Table> Rows<T> {
    fn fold(&mut self, fact: &crate::Fact) {
        let mut keys = Vec::new();
        T::keys(fact, &mut keys);
        for key in keys {
            if let Some(row) = T::fold(&key, self.0.remove(&key), fact) {
                self.0.insert(key, row);
            }
        }
    }
}

/// Every row reads as it was sealed.
fn survives_its_table<R: Row + PartialEq + std::fmt::Debug>(row: &R) {
    let mut values = Vec::new();
    row.values(&mut values);
    let (places, groups) = row.seal().unwrap();
    assert!(groups.len() <= 1, "one owner, one class, one box");
    let opened = groups.into_iter().map(|group| Some((group.subject, group.values))).collect();
    assert_eq!(&OpeningScope::with(opened, || R::read(values, &places)).unwrap(), row);
}

fn status_of(status: RedistributionStatus) -> MoveState {
    match status {
        RedistributionStatus::Proposed(_) => MoveState::Proposed,
        RedistributionStatus::Dismissed => MoveState::Dismissed,
        RedistributionStatus::Expired => MoveState::Expired,
        RedistributionStatus::Applied => MoveState::Applied,
        RedistributionStatus::Reverted => MoveState::Reverted,
    }
}

/// What the books say of an envelope, and what the row does.
fn agree(books: &Books, envelopes: &Rows<Envelopes>, calendar: &Rows<BudgetCalendar>) {
    let key = |category: &str| (budget_month(), category.to_owned());
    for envelope in &books.envelopes {
        let category = &envelope.category.key;
        let Some(row) = envelopes.0.get(&key(category)) else {
            // What comes after the closing opens a place in the books, and changes nothing that anyone can see.
            assert!(!envelope.budgeted && (envelope.amount, envelope.spent) == (0, 0), "{category}");
            assert!(!calendar.0.contains_key(&key(category)), "{category}");
            continue;
        };
        let minor = |amount: &domain::Personal<domain::Money, _>| amount.get().unwrap().minor;
        assert_eq!(
            (row.budgeted, minor(&row.envelope), minor(&row.spent), minor(&row.remaining)),
            (envelope.budgeted, envelope.amount, envelope.spent, envelope.remaining()),
            "{category}"
        );
        if envelope.budgeted {
            let (class, level) = (envelope.category.class, envelope.category.level);
            assert_eq!((row.class, row.level), (Some(class), Some(level.into())), "{category}");
        }
        let days = calendar.0[&key(category)].days();
        let amounts: Vec<_> = days.iter().map(|day| (day.planned.minor, day.spent.minor)).collect();
        let expected: Vec<_> =
            (1..=31).map(|day| (envelope.plan.get(day), envelope.spent_on.get(day))).collect();
        assert_eq!(amounts, expected, "{category}");
        assert_eq!(amounts.iter().map(|(_, spent)| spent).sum::<i64>(), envelope.spent, "{category}");
    }
    assert!(envelopes.0.keys().eq(calendar.0.keys()));
    assert!(envelopes.0.keys().all(|(_, category)| books.find(category).is_some()));
    let sum = |amount: fn(&super::EnvelopeRow) -> i64| envelopes.0.values().map(amount).sum::<i64>();
    // Not a cent is made or lost, wherever it moves.
    assert_eq!(sum(|row| row.envelope.get().unwrap().minor), books.income);
    assert_eq!(sum(|row| row.moved_in.get().unwrap().minor), sum(|row| row.moved_out.get().unwrap().minor));
    let days = calendar.0.values().flat_map(super::BudgetCalendarRow::days);
    let green = days.filter(|day| day.planned.is_positive() && day.status == DayStatus::Green).count();
    assert_eq!(green as i64, books.adherence(31).0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_every_position_the_rows_say_what_the_books_say(
        mode in mode(),
        steps in prop::collection::vec(step(), 1..50),
        late in prop::collection::vec(step(), 0..5),
    ) {
        let profiles = profiles(mode);
        let mut life = Life { month: Month::opened(profiles[0].clone()), profiles, next: 0 };
        let mut envelopes = Rows::<Envelopes>(BTreeMap::new());
        let mut calendar = Rows::<BudgetCalendar>(BTreeMap::new());
        let mut redistributions = Rows::<Redistributions>(BTreeMap::new());
        let mut replayed = domain::budgeting::BudgetMonth::default();
        let mut overtaken = Vec::new();
        let mut position = 0;
        for step in [&Step::NextDay].into_iter().chain(&steps).chain([&Step::Close]).chain(&late) {
            life.take(step);
            for fact in &facts(life.month.facts_after(position)) {
                let AnyEvent::BudgetMonth(event) = &fact.event else { unreachable!() };
                if let E::BudgetMonthReallocated { .. } = event {
                    overtaken.extend(replayed.books.get().unwrap().redistributions.iter()
                        .filter(|(_, done)| done.status == RedistributionStatus::Applied).map(|(id, _)| *id));
                }
                domain::Decider::evolve(&mut replayed, event);
                envelopes.fold(fact);
                calendar.fold(fact);
                redistributions.fold(fact);
                agree(replayed.books.get().unwrap(), &envelopes, &calendar);
            }
            position = life.month.events.len();
        }
        let books = life.books();
        prop_assert_eq!(books.redistributions.len(), redistributions.0.len());
        for (id, done) in &books.redistributions {
            let row = &redistributions.0[id];
            let state = if overtaken.contains(id) { MoveState::Overtaken } else { status_of(done.status) };
            prop_assert_eq!(row.state, state);
            let (needed, covered) = (row.needed.get().unwrap().minor, row.covered.get().unwrap().minor);
            prop_assert_eq!(needed - covered, row.uncovered.get().unwrap().minor);
            let gave: i64 = row.from_list.get().unwrap().iter().map(|transfer| transfer.amount.minor).sum();
            prop_assert_eq!(gave, covered);
        }
        envelopes.0.values().for_each(survives_its_table);
        calendar.0.values().for_each(survives_its_table);
        redistributions.0.values().for_each(survives_its_table);
    }
}
