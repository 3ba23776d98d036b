//! How an income becomes classes, envelopes and daily plans (BUD-M1).

use std::sync::Arc;

use jiff::civil::Weekday;

use super::{
    Books, ClassAmounts, MonthCategory, PlanChanges,
    books::{Envelope, Plans},
};
use crate::{
    budgeting::{BudgetProfile, CategoryClass, Pacing, ProfileCategory, Split, YearMonth},
    kernel::{Money, allocate},
};

/// What a profile gives a month.
pub(super) struct Allocation {
    pub(super) income: Money,
    pub(super) split: Split,
    pub(super) classes: ClassAmounts,
    /// The categories and what each gets, in the profile's order.
    pub(super) envelopes: Vec<(MonthCategory, i64)>,
}

/// BUD-M1: classes from the income, envelopes from the classes. `None` when the income is not known, or when a class has
/// no category, which no profile lets happen.
pub(super) fn allocation(profile: &BudgetProfile, month: YearMonth) -> Option<Allocation> {
    let (income, split) = (profile.income_of(month)?, profile.split_of(month));
    let classes = allocate(income.minor, &split.weights()).ok()?;
    let [needs, wants, savings] = classes[..] else { return None };
    let mut parts = Vec::new();
    for (class, amount) in CategoryClass::ALL.into_iter().zip(classes) {
        let of_class = profile.categories.iter().filter(|live| live.category.class == class);
        let weights: Vec<i64> = of_class.map(|live| live.category.weight).collect();
        parts.push((class, allocate(amount, &weights).ok()?.into_iter()));
    }
    let envelope = |live: &ProfileCategory| {
        let (_, amounts) = parts.iter_mut().find(|(class, _)| *class == live.category.class)?;
        Some((kept(live), amounts.next()?))
    };
    let envelopes = profile.categories.iter().map(envelope).collect::<Option<_>>()?;
    Some(Allocation { income, split, classes: ClassAmounts { needs, wants, savings }, envelopes })
}

fn kept(live: &ProfileCategory) -> MonthCategory {
    let category = &live.category;
    MonthCategory {
        key: category.key.clone(),
        class: category.class,
        level: category.level,
        essential: category.essential,
        pacing: category.pacing,
        fixed_day: category.fixed_day,
        alert: live.alert,
    }
}

/// The weight of each day of a month for a category.
pub(super) fn day_weights(category: &MonthCategory, month: YearMonth) -> Vec<i64> {
    let fixed = category.fixed_day.unwrap_or(1).min(month.days());
    let weight = |day: u8| match category.pacing {
        Pacing::Even => 1,
        Pacing::FixedDay => i64::from(day == fixed),
        Pacing::Weekend => match month.day(day).map(|date| date.weekday()) {
            Some(Weekday::Saturday | Weekday::Sunday) => 2,
            Some(_) | None => 1,
        },
    };
    (1..=month.days()).map(weight).collect()
}

/// How the days are planned after a reallocation: those before `from` keep their plan, the others share what remains by
/// their weights; a `fixed_day` category is planned as at an opening.
pub(super) fn plans_of_reallocation(
    books: &Books,
    envelopes: &[(MonthCategory, i64)],
    month: YearMonth,
    from: u8,
) -> PlanChanges {
    let mut plans = Plans::default();
    let gone =
        |envelope: &&Envelope| envelopes.iter().all(|(category, _)| category.key != envelope.category.key);
    for envelope in books.envelopes.iter().filter(gone) {
        (from..=month.days()).for_each(|day| plans.set(envelope, day, 0));
    }
    for (category, amount) in envelopes {
        let new = || Envelope::empty(Arc::new(category.clone()), true);
        let envelope = books.find(&category.key).map_or_else(new, |index| books.envelopes[index].clone());
        let weights = day_weights(category, month);
        if from == 1 || category.pacing == Pacing::FixedDay {
            let fresh = allocate(*amount, &weights).unwrap_or_default();
            (1..).zip(fresh).for_each(|(day, plan)| plans.set(&envelope, day, plan));
        } else {
            plans.spread(&envelope, amount - envelope.spent, from, &weights[usize::from(from) - 1..]);
        }
    }
    plans.0
}
