//! The books of a month: envelopes, plans and spending, in minor units of the month's currency, and the arithmetic of
//! redistribution over them (BUD-M2 to BUD-M7, BUD-M11). Days are numbered from 1.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ByDay, MonthCategory, PlanChanges};
use crate::{
    budgeting::{CategoryClass, Pacing},
    kernel::{BasisPoints, Money, allocate, cap},
};

/// What is known of the month's money.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Books {
    /// The month's income.
    pub income: i64,
    /// The envelopes. One that was ever here keeps its place.
    pub envelopes: Vec<Envelope>,
    /// The transactions that are applied now.
    pub spends: BTreeMap<Uuid, Spend>,
    /// Every redistribution that was proposed or applied.
    pub redistributions: BTreeMap<Uuid, Redistribution>,
}

/// The month's money of one category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The category as the month keeps it.
    pub category: Arc<MonthCategory>,
    /// Whether the month has a budget for it. Spending of any other category waits here until it has one.
    pub budgeted: bool,
    /// What is in the envelope, spent or not.
    pub amount: i64,
    /// What is spent, refunds taken off.
    pub spent: i64,
    /// The plan, by day.
    pub plan: ByDay,
    /// What is spent, by day.
    pub spent_on: ByDay,
    /// The overspend that was told last, less what was covered since, by day; by the month (0) where the category is
    /// judged on it.
    pub told: BTreeMap<u8, i64>,
    /// Whether the owner was told that much of it is spent.
    pub alerted: bool,
}

/// A transaction that is applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spend {
    /// Which envelope.
    pub envelope: usize,
    /// The day.
    pub day: u8,
    /// How much; a refund is below zero. `None` where it is erased.
    pub amount: Option<i64>,
    /// The automatic redistribution that it caused.
    pub redistribution: Option<Uuid>,
    /// Whether it came after the month was closed, and changed nothing.
    pub after_close: bool,
    /// Whether it made or found the day red (BUD-P5).
    pub red: bool,
}

/// A redistribution, from its proposal or application on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redistribution {
    /// Where it is in its life.
    pub status: RedistributionStatus,
    /// The overspent envelope.
    pub receiver: usize,
    /// The day of the overspend.
    pub day: u8,
    /// What each donor gave, once applied.
    pub gave: Vec<(usize, i64)>,
    /// Whether something remained uncovered.
    pub short: bool,
}

/// `proposed -> applied | dismissed | expired`; `applied -> reverted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedistributionStatus {
    /// It is offered until then.
    Proposed(Timestamp),
    /// Nobody wanted it.
    Dismissed,
    /// Nobody answered in time.
    Expired,
    /// The money is moved.
    Applied,
    /// The money went back, or a reallocation has overtaken it.
    Reverted,
}

/// A redistribution as it was computed.
pub(super) struct Computed {
    pub(super) needed: i64,
    pub(super) covered: i64,
    pub(super) gave: Vec<(usize, i64)>,
    pub(super) plans: PlanChanges,
}

impl Envelope {
    /// An envelope that is empty yet.
    pub(super) fn empty(category: Arc<MonthCategory>, budgeted: bool) -> Self {
        Envelope {
            category,
            budgeted,
            amount: 0,
            spent: 0,
            plan: ByDay::default(),
            spent_on: ByDay::default(),
            told: BTreeMap::new(),
            alerted: false,
        }
    }

    /// What is left; below zero when more is spent than it holds.
    pub fn remaining(&self) -> i64 {
        self.amount.saturating_sub(self.spent)
    }

    /// What can be taken out of it: what is left, and no more than it holds. After a refund more may be left than it holds.
    pub(super) fn movable(&self) -> i64 {
        self.remaining().min(self.amount).max(0)
    }

    /// BUD-M3: how much a day is overspent.
    pub fn overspend(&self, day: u8) -> i64 {
        self.overspend_with(day, 0)
    }

    /// BUD-M3: how much a day would be overspent if so much more were spent on it.
    pub(super) fn overspend_with(&self, day: u8, more: i64) -> i64 {
        let over = if !self.budgeted || self.category.class == CategoryClass::Savings {
            0
        } else if self.category.pacing == Pacing::FixedDay {
            self.spent.saturating_add(more).saturating_sub(self.amount)
        } else {
            self.spent_on.get(day).saturating_add(more).saturating_sub(self.plan.get(day))
        };
        over.max(0)
    }

    /// The overspend of a day (of the month, for a `fixed_day` category) that was told last, less what was covered since.
    pub(super) fn told(&self, day: u8) -> i64 {
        self.told.get(&self.judged(day)).copied().unwrap_or_default()
    }

    pub(super) fn tell(&mut self, day: u8, overspend: i64) {
        let judged = self.judged(day);
        if overspend > 0 {
            self.told.insert(judged, overspend);
        } else {
            self.told.remove(&judged);
        }
    }

    fn judged(&self, day: u8) -> u8 {
        if self.category.pacing == Pacing::FixedDay { 0 } else { day }
    }

    /// Whether so much more may be spent on a day without leaving the range of amounts.
    pub(super) fn can_hold(&self, day: u8, more: i64) -> bool {
        let fits = |sum: i64| sum.checked_add(more).is_some_and(|sum| sum.abs() <= Money::LIMIT);
        fits(self.spent) && fits(self.spent_on.get(day))
    }

    pub(super) fn spend(&mut self, day: u8, amount: i64) {
        self.spent = self.spent.saturating_add(amount);
        self.spent_on.set(day, self.spent_on.get(day).saturating_add(amount));
        self.alerted &= self.reaches_alert(0, 0);
    }

    /// Whether the owner wants to be told of what is spent, if so much more is spent and so much more is in it (ARI-3).
    pub(super) fn reaches_alert(&self, more_spent: i64, more_in_it: i64) -> bool {
        let (spent, amount) = (
            i128::from(self.spent) + i128::from(more_spent),
            i128::from(self.amount) + i128::from(more_in_it),
        );
        self.category.alert.is_some_and(|at| amount > 0 && spent * 10_000 >= i128::from(at.0) * amount)
    }

    fn may_give(&self) -> bool {
        let category = &self.category;
        self.budgeted
            && category.level >= 2
            && !category.essential
            && category.class != CategoryClass::Savings
            && self.movable() > 0
    }
}

/// Half of what remains: the most that a donor gives (BUD-M5).
const MOST_GIVEN: BasisPoints = BasisPoints(5000);

impl Books {
    /// The envelope of a category.
    pub fn find(&self, category: &str) -> Option<usize> {
        self.envelopes.iter().position(|envelope| envelope.category.key == category)
    }

    /// The envelope of a category; one that the month has no budget for gets an empty one, where its spending waits.
    pub(super) fn find_or_wait(&mut self, category: &str) -> usize {
        self.find(category).unwrap_or_else(|| {
            let waiting = MonthCategory {
                key: category.to_owned(),
                class: CategoryClass::Wants,
                level: 1,
                essential: true,
                pacing: Pacing::Even,
                fixed_day: None,
                alert: None,
            };
            self.envelopes.push(Envelope::empty(Arc::new(waiting), false));
            self.envelopes.len() - 1
        })
    }

    /// BUD-M4, BUD-M5: who gives how much towards what is needed, in the order in which they are asked.
    fn gifts(&self, receiver: usize, needed: i64) -> Vec<(usize, i64)> {
        let mut donors: Vec<(usize, &Envelope)> = self
            .envelopes
            .iter()
            .enumerate()
            .filter(|(index, envelope)| *index != receiver && envelope.may_give())
            .collect();
        donors.sort_by_key(|(_, envelope)| {
            (Reverse(envelope.category.level), Reverse(envelope.remaining()), &envelope.category.key)
        });
        let mut open = needed;
        let gifts = donors.into_iter().map(|(index, envelope)| {
            let gift = cap(envelope.remaining(), MOST_GIVEN).min(envelope.movable()).min(open);
            open -= gift;
            (index, gift)
        });
        gifts.filter(|(_, gift)| *gift > 0).collect()
    }

    /// BUD-M4 to BUD-M7: covers the overspend of an envelope on a day. `from` is the day T of BUD-M6, `days` the length
    /// of the month.
    pub(super) fn redistribute(&self, receiver: usize, day: u8, from: u8, days: u8) -> Computed {
        let needed = self.envelopes[receiver].overspend(day);
        let gave = self.gifts(receiver, needed);
        let covered: i64 = gave.iter().map(|(_, gift)| gift).sum();
        let mut plans = Plans::default();
        for (donor, gift) in &gave {
            let donor = &self.envelopes[*donor];
            plans.repace(donor, donor.remaining() - gift, from, days);
        }
        let envelope = &self.envelopes[receiver];
        plans.set(envelope, day, envelope.plan.get(day) + covered);
        if covered < needed {
            plans.repace_after(envelope, envelope.remaining() + covered, from, days);
        }
        Computed { needed, covered, gave, plans: plans.0 }
    }

    /// BUD-M11: what each donor of an applied redistribution gets back, and how the days are planned then. The donors are
    /// paced as by BUD-M6; the receiver's day falls back, and its later days are paced anew where BUD-M7 had done so.
    pub(super) fn revert(
        &self,
        done: &Redistribution,
        from: u8,
        days: u8,
    ) -> (Vec<(usize, i64)>, PlanChanges) {
        let receiver = &self.envelopes[done.receiver];
        let weights: Vec<i64> = done.gave.iter().map(|(_, gift)| *gift).collect();
        let total = weights.iter().sum::<i64>().min(receiver.movable());
        // Without donors there is nothing to allocate, and nothing to give back.
        let parts = allocate(total, &weights).unwrap_or_default();
        let returned: Vec<(usize, i64)> = done
            .gave
            .iter()
            .zip(parts)
            .map(|((donor, _), part)| (*donor, part))
            .filter(|(_, part)| *part > 0)
            .collect();
        let mut plans = Plans::default();
        for (donor, part) in &returned {
            let donor = &self.envelopes[*donor];
            plans.repace(donor, donor.remaining() + part, from, days);
        }
        plans.set(receiver, done.day, (receiver.plan.get(done.day) - total).max(0));
        if done.short {
            plans.repace_after(receiver, receiver.remaining() - total, from, days);
        }
        (returned, plans.0)
    }

    /// How the days are planned when money moves between two envelopes.
    pub(super) fn plans_of_move(
        &self,
        from: usize,
        to: usize,
        amount: i64,
        day: u8,
        days: u8,
    ) -> PlanChanges {
        let mut plans = Plans::default();
        for (index, change) in [(from, -amount), (to, amount)] {
            let envelope = &self.envelopes[index];
            match envelope.category.fixed_day.filter(|_| envelope.category.pacing == Pacing::FixedDay) {
                Some(fixed) => {
                    let fixed = fixed.min(days);
                    plans.set(envelope, fixed, (envelope.plan.get(fixed) + change).max(0));
                }
                None => plans.repace(envelope, envelope.remaining() + change, day, days),
            }
        }
        plans.0
    }

    /// How the days are planned when one of them is set by hand: the days after it share what remains beside the plans
    /// of `today` and the days up to it.
    pub(super) fn plans_of_adjustment(
        &self,
        index: usize,
        day: u8,
        planned: i64,
        today: u8,
        days: u8,
    ) -> PlanChanges {
        let envelope = &self.envelopes[index];
        let unspent = |day: u8, plan: i64| plan.saturating_sub(envelope.spent_on.get(day)).max(0);
        let before = (today..day).map(|day| unspent(day, envelope.plan.get(day)));
        let reserved = before.fold(unspent(day, planned), i64::saturating_add);
        let mut plans = Plans::default();
        plans.set(envelope, day, planned);
        if envelope.category.pacing != Pacing::FixedDay {
            plans.repace_after(envelope, envelope.remaining().saturating_sub(reserved), day, days);
        }
        plans.0
    }

    /// Writes changed plans into the envelopes.
    pub(super) fn plan(&mut self, plans: &PlanChanges) {
        for (category, changes) in plans {
            let Some(index) = self.find(category) else { continue };
            for (day, plan) in changes {
                self.envelopes[index].plan.set(*day, *plan);
            }
        }
    }

    /// BUD-P5: green category-days, and category-days with a plan.
    pub fn adherence(&self, days: u8) -> (i64, i64) {
        let (mut green, mut planned) = (0, 0);
        for envelope in &self.envelopes {
            for day in 1..=days {
                let plan = envelope.plan.get(day);
                planned += i64::from(plan > 0);
                green += i64::from(plan > 0 && envelope.spent_on.get(day) <= plan);
            }
        }
        (green, planned)
    }
}

/// Collects the days whose plan changes.
#[derive(Default)]
pub(super) struct Plans(pub(super) PlanChanges);

impl Plans {
    pub(super) fn set(&mut self, envelope: &Envelope, day: u8, plan: i64) {
        if envelope.plan.get(day) != plan {
            self.0.entry(envelope.category.key.clone()).or_default().insert(day, plan);
        }
    }

    /// BUD-M6: spreads a pool over the days from `from` on; what is spent on `from` already stays planned. Where that is a
    /// refund larger than its share, nothing is planned for `from`.
    fn repace(&mut self, envelope: &Envelope, pool: i64, from: u8, days: u8) {
        self.spread(envelope, pool, from, &vec![1; usize::from((days + 1).saturating_sub(from))]);
    }

    /// The same with a weight for each of the days.
    pub(super) fn spread(&mut self, envelope: &Envelope, pool: i64, from: u8, weights: &[i64]) {
        let shares = allocate(pool.max(0), weights).unwrap_or_default();
        for (day, share) in (from..).zip(shares) {
            let spent = if day == from { envelope.spent_on.get(day) } else { 0 };
            self.set(envelope, day, spent.saturating_add(share).max(0));
        }
    }

    /// BUD-M7: spreads a pool over the days after `from`.
    fn repace_after(&mut self, envelope: &Envelope, pool: i64, from: u8, days: u8) {
        let shares =
            allocate(pool.max(0), &vec![1; usize::from(days.saturating_sub(from))]).unwrap_or_default();
        for (day, share) in (from + 1..).zip(shares) {
            self.set(envelope, day, share);
        }
    }
}
