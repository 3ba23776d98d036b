//! Laws of a month's budget, over random months: what is conserved, whatever people and transactions do.

use proptest::prelude::*;

use super::{BudgetMonthCommand as C, BudgetMonthEvent as E, *};
use crate::{
    budgeting::{BudgetProfileCommand, Pacing, fixtures::*},
    kernel::{BasisPoints, OpeningScope, SealingScope, Stated},
};

/// What happens in a random month. Days, categories and earlier things are picked by number.
#[derive(Clone, Debug)]
enum Step {
    Spend {
        category: usize,
        day: i8,
        minor: i64,
    },
    Reverse {
        which: usize,
    },
    /// Covers what a transaction overspent.
    Redistribute {
        which: usize,
    },
    /// Offers to cover what a transaction overspent.
    Propose {
        which: usize,
    },
    Accept {
        which: usize,
    },
    Dismiss {
        which: usize,
    },
    Revert {
        which: usize,
    },
    Move {
        from: usize,
        to: usize,
        minor: i64,
    },
    Adjust {
        category: usize,
        day: i8,
        minor: i64,
    },
    Reallocate {
        income: i64,
    },
    NextDay,
}

fn step() -> impl Strategy<Value = Step> {
    let (category, day, which) = (0usize..22, 1i8..=31, 0usize..4);
    prop_oneof![
        10 => (category.clone(), day.clone(), -2_000i64..30_000)
            .prop_map(|(category, day, minor)| Step::Spend { category, day, minor }),
        1 => (category.clone(), day.clone(), extreme())
            .prop_map(|(category, day, minor)| Step::Spend { category, day, minor }),
        2 => which.clone().prop_map(|which| Step::Reverse { which }),
        2 => which.clone().prop_map(|which| Step::Redistribute { which }),
        2 => which.clone().prop_map(|which| Step::Propose { which }),
        2 => which.clone().prop_map(|which| Step::Accept { which }),
        1 => which.clone().prop_map(|which| Step::Dismiss { which }),
        2 => which.prop_map(|which| Step::Revert { which }),
        2 => (category.clone(), category.clone(), prop_oneof![8 => 1i64..20_000, 1 => extreme()])
            .prop_map(|(from, to, minor)| Step::Move { from, to, minor }),
        1 => (category, day, prop_oneof![8 => 0i64..5_000, 1 => extreme()])
            .prop_map(|(category, day, minor)| Step::Adjust { category, day, minor }),
        1 => (1i64..900_000).prop_map(|income| Step::Reallocate { income }),
        3 => Just(Step::NextDay),
    ]
}

/// The largest amounts that can be stated: they overflow nothing.
fn extreme() -> impl Strategy<Value = i64> {
    prop_oneof![Just(Money::LIMIT), Just(-Money::LIMIT), Just(i64::MAX), Just(i64::MIN)]
}

fn mode() -> impl Strategy<Value = RedistributionMode> {
    prop_oneof![
        3 => Just(RedistributionMode::Auto),
        1 => Just(RedistributionMode::Propose),
        1 => Just(RedistributionMode::Off),
    ]
}

/// A random profile: income, split, a weight for each default category, and two categories of the owner's own.
fn changes() -> impl Strategy<Value = Vec<BudgetProfileCommand>> {
    (0i32..=10_000, 0i32..=10_000, prop::collection::vec(0i64..100, 20), 0i64..100).prop_map(
        |(one, two, weights, weight)| {
            let (low, high) = (one.min(two), one.max(two));
            let split = BudgetProfileCommand::ChangeSplit {
                needs: BasisPoints(low),
                wants: BasisPoints(high - low),
                savings: BasisPoints(10_000 - high),
                from: month(),
            };
            let weigh = |(category, weight): (crate::budgeting::Category, i64)| {
                let changes =
                    crate::budgeting::CategoryChanges { weight: Some(weight), ..Default::default() };
                BudgetProfileCommand::ReviseCategory { key: category.key, changes }
            };
            let define = |key: &str, pacing, fixed_day| BudgetProfileCommand::DefineCategory {
                key: key.into(),
                class: CategoryClass::Wants,
                level: 2,
                essential: false,
                weight,
                pacing,
                fixed_day,
                keywords: Stated(Vec::new()),
            };
            crate::budgeting::default_categories()
                .into_iter()
                .zip(weights)
                .map(weigh)
                .chain([split, define("nights_out", Pacing::Weekend, None)])
                .chain([define("club", Pacing::FixedDay, Some(31))])
                .collect()
        },
    )
}

/// A month under way: its events, and what can be referred to.
struct Month {
    profile: BudgetProfile,
    events: Vec<E>,
    state: BudgetMonth,
    today: i8,
    transactions: Vec<(u128, String, i8)>,
    redistributions: Vec<Uuid>,
}

impl Month {
    fn books(&self) -> &Books {
        self.state.books.get().unwrap()
    }

    fn noon(&self) -> Timestamp {
        format!("2026-05-{:02}T16:00:00Z", self.today).parse().unwrap()
    }

    fn key(&self, category: usize) -> String {
        self.books().envelopes[category % self.books().envelopes.len()].category.key.clone()
    }

    fn pick(&self, which: usize) -> Uuid {
        let known = self.redistributions.len();
        if known == 0 { Uuid::nil() } else { self.redistributions[known - 1 - which % known] }
    }

    /// One of the last transactions.
    fn transaction(&self, which: usize) -> Option<(u128, String, i8)> {
        let known = self.transactions.len().checked_sub(1)?;
        self.transactions.get(known.saturating_sub(which)).cloned()
    }

    fn command(&mut self, step: &Step) -> Option<C> {
        let next = self.events.len() as u128 + 1;
        Some(match *step {
            Step::Spend { category, day, minor } => {
                let category = if category == 21 { "uncategorised".into() } else { self.key(category) };
                self.transactions.push((next, category.clone(), day));
                spend(next, &category, day, minor)
            }
            Step::Reverse { which } => {
                let (transaction, category, day) = self.transaction(which)?;
                C::ReverseSpend {
                    transaction: Uuid::from_u128(transaction),
                    category,
                    date: may(day),
                    amount: Stated(usd(1)),
                }
            }
            Step::Redistribute { which } => {
                let (_, category, day) = self.transaction(which)?;
                C::RedistributeBudget { redistribution: Uuid::from_u128(next), category, date: may(day) }
            }
            Step::Propose { which } => {
                let (_, category, day) = self.transaction(which)?;
                C::ProposeRedistribution { redistribution: Uuid::from_u128(next), category, date: may(day) }
            }
            Step::Accept { which } => C::AcceptRedistribution { redistribution: self.pick(which) },
            Step::Dismiss { which } => {
                C::DismissRedistribution { redistribution: self.pick(which), cause: DismissalCause::Person }
            }
            Step::Revert { which } => {
                let reason = Stated("no".into());
                C::RevertRedistribution { redistribution: self.pick(which), reason }
            }
            Step::Move { from, to, minor } => {
                C::MoveBetweenEnvelopes { from: self.key(from), to: self.key(to), amount: Stated(usd(minor)) }
            }
            Step::Adjust { category, day, minor } => C::AdjustDailyPlan {
                category: self.key(category),
                date: may(day),
                planned: Stated(usd(minor)),
            },
            Step::Reallocate { income } => {
                self.profile.incomes.insert(month(), own(usd(income)));
                C::ReallocateMonth { reason: ReallocationReason::Income }
            }
            Step::NextDay => {
                self.today = (self.today + 1).min(31);
                return None;
            }
        })
    }

    /// Takes a step; a refusal leaves everything as it was. The laws are checked event by event.
    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let Some(command) = self.command(step) else { return Ok(()) };
        let context = Context {
            id: BudgetMonth::id(OWNER, month()),
            command_id: Uuid::from_u128(0xC0 + self.events.len() as u128),
            actor: Actor::user(OWNER, &["admin"]),
            now: self.noon(),
            occurred_at: self.noon(),
        };
        let decided = self.state.decide(command, &knowing(self.profile.clone()), &context);
        let Ok(events) = decided else { return Ok(()) };
        prop_assert!(!events.is_empty());
        for event in events {
            let before = self.books().clone();
            self.state.evolve(&event);
            laws(&before, self.books(), &event)?;
            if let E::BudgetRedistributed { redistribution, .. }
            | E::RedistributionProposed { redistribution, .. } = &event
            {
                self.redistributions.push(*redistribution);
            }
            self.events.push(event);
        }
        Ok(())
    }
}

/// BUD-M8, for one event.
fn laws(before: &Books, after: &Books, event: &E) -> Result<(), TestCaseError> {
    let sum = |books: &Books| books.envelopes.iter().map(|envelope| envelope.amount).sum::<i64>();
    prop_assert_eq!(sum(after), after.income, "the envelopes are the income: {}", name(event));
    if !matches!(event, E::BudgetMonthReallocated { .. }) {
        prop_assert_eq!(sum(before), sum(after), "{} makes or destroys no money", name(event));
    }
    for (was, is) in before.envelopes.iter().zip(&after.envelopes) {
        prop_assert!(
            is.amount >= was.amount || is.amount >= is.spent,
            "{} takes what is spent of {}",
            name(event),
            is.category.key
        );
        prop_assert!(
            is.amount >= 0 && (1..=31).all(|day| is.plan.get(day) >= 0),
            "{} takes {} below zero",
            name(event),
            is.category.key
        );
        prop_assert_eq!(is.spent, (1..=31).map(|day| is.spent_on.get(day)).sum::<i64>());
    }
    if let E::BudgetRedistributed { category, date, amounts, .. } = event {
        let amounts = amounts.get().unwrap();
        let transfers: i64 = amounts.transfers.iter().map(|transfer| transfer.amount.minor).sum();
        prop_assert_eq!(amounts.covered.minor + amounts.uncovered.minor, amounts.needed.minor);
        prop_assert_eq!(amounts.covered.minor, transfers);
        let receiver = before.find(category).unwrap();
        prop_assert_eq!(before.envelopes[receiver].overspend(day_of(*date)), amounts.needed.minor);
        prop_assert_eq!(after.envelopes[receiver].overspend(day_of(*date)), amounts.uncovered.minor);
        for transfer in &amounts.transfers {
            let donor = &before.envelopes[before.find(&transfer.category).unwrap()];
            prop_assert!(transfer.amount.minor > 0 && transfer.amount.minor * 2 <= donor.remaining());
            prop_assert!(donor.category.level >= 2 && !donor.category.essential);
        }
    }
    Ok(())
}

fn name(event: &E) -> &'static str {
    use crate::kernel::Event;
    event.name()
}

/// What a stream of these events, stored and read again, folds to.
fn replayed(events: &[E]) -> BudgetMonth {
    let mut state = BudgetMonth::default();
    for event in events {
        let (text, groups) = SealingScope::to_json(event).unwrap();
        let opened = groups.into_iter().map(|group| Some((group.subject, group.values))).collect();
        let event: E = OpeningScope::with(opened, || serde_json::from_str(&text)).unwrap();
        state.evolve(&event);
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn bud_m8_money_only_moves_and_a_replay_gives_the_same_books(
        mode in mode(),
        income in 1i64..900_000,
        changes in changes(),
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let profile = profile_after(mode, income, changes);
        let opened = opened_from(profile.clone());
        let mut state = BudgetMonth::default();
        state.evolve(&opened);
        let mut month =
            Month { profile, events: vec![opened], state, today: 1, transactions: vec![], redistributions: vec![] };
        let books = month.books();
        prop_assert_eq!(books.envelopes.iter().map(|envelope| envelope.amount).sum::<i64>(), income);
        for envelope in &books.envelopes {
            prop_assert_eq!((1..=31).map(|day| envelope.plan.get(day)).sum::<i64>(), envelope.amount);
        }
        for step in &steps {
            month.take(step)?;
        }
        prop_assert_eq!(&replayed(&month.events), &month.state);
        let mut erased = BudgetMonth::default();
        for event in &month.events {
            let (text, _) = SealingScope::to_json(event).unwrap();
            erased.evolve(&serde_json::from_str(&text).unwrap());
        }
        prop_assert_eq!(erased.subject(), Some(OWNER));
    }
}
