//! What a closed month came to, and what three of them tell of how somebody spends (BUD-P5). Integers only.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Books, CategoryClass, CohortFeatures};
use crate::kernel::{BasisPoints, Currency, ratio_bp};

/// What a closed month came to, in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MonthFigures {
    /// The currency of the amounts.
    pub currency: Currency,
    /// How many days the month has.
    pub days: u8,
    /// The income.
    pub income: i64,
    /// What was spent, refunds taken off, savings not counted.
    pub spent: i64,
    /// What was put into savings categories.
    pub saved: i64,
    /// What of it was spent on wants.
    pub wants: i64,
    /// What was spent in each category, refunds taken off, savings not counted; nothing where nothing is left of it.
    pub by_category: BTreeMap<String, i64>,
    /// Category-days that kept to their plan, of those with a plan.
    pub green_days: i64,
    /// Category-days with a plan.
    pub planned_days: i64,
    /// How many transactions were booked; refunds are not counted.
    pub transactions: i64,
    /// How many of them were wants.
    pub wants_transactions: i64,
    /// How many of those made or found the day red.
    pub impulsive: i64,
}

impl MonthFigures {
    /// What the books of a month come to.
    pub(super) fn of(books: &Books, currency: Currency, days: u8) -> Self {
        let mut figures = MonthFigures {
            currency,
            days,
            income: books.income,
            spent: 0,
            saved: 0,
            wants: 0,
            by_category: BTreeMap::new(),
            green_days: 0,
            planned_days: 0,
            transactions: 0,
            wants_transactions: 0,
            impulsive: 0,
        };
        for envelope in &books.envelopes {
            let add = |sum: &mut i64| *sum = sum.saturating_add(envelope.spent);
            match envelope.category.class {
                CategoryClass::Savings => add(&mut figures.saved),
                CategoryClass::Wants if envelope.budgeted => {
                    add(&mut figures.spent);
                    add(&mut figures.wants);
                }
                CategoryClass::Wants | CategoryClass::Needs => add(&mut figures.spent),
            }
            if envelope.category.class != CategoryClass::Savings && envelope.spent > 0 {
                figures.by_category.insert(envelope.category.key.clone(), envelope.spent);
            }
        }
        (figures.green_days, figures.planned_days) = books.adherence(days);
        for spend in books.spends.values().filter(|spend| !spend.after_close && spend.amount > Some(0)) {
            let envelope = &books.envelopes[spend.envelope];
            let wants = envelope.budgeted && envelope.category.class == CategoryClass::Wants;
            figures.transactions += 1;
            figures.wants_transactions += i64::from(wants);
            figures.impulsive += i64::from(wants && spend.red);
        }
        figures
    }
}

/// BUD-P5: what the last full months tell, three of them or as many as there are. Rates are those of all the months
/// together, not the mean of each one's. None without a month, or where they are of two currencies (ARI-5).
pub fn cohort_features(months: &[MonthFigures]) -> Option<CohortFeatures> {
    let currency = months.first()?.currency;
    if months.iter().any(|month| month.currency != currency) {
        return None;
    }
    let sum = |of: fn(&MonthFigures) -> i64| months.iter().map(of).fold(0, i64::saturating_add);
    let count = i64::try_from(months.len()).ok()?;
    let (income, spent) = (sum(|month| month.income), sum(|month| month.spent));
    let mut by_category: BTreeMap<&str, i64> = BTreeMap::new();
    for (category, amount) in months.iter().flat_map(|month| &month.by_category) {
        let sum = by_category.entry(category).or_default();
        *sum = sum.saturating_add(*amount);
    }
    let whole = by_category.values().copied().fold(0, i64::saturating_add);
    let share = |(category, amount): (&&str, &i64)| Some(((*category).to_owned(), ratio_bp(*amount, whole)?));
    let (transactions, days) = (sum(|month| month.transactions), sum(|month| month.days.into()));
    Some(CohortFeatures {
        average_spending: spent / count,
        shares: by_category.iter().filter_map(share).collect(),
        adherence: ratio_bp(sum(|month| month.green_days), sum(|month| month.planned_days)),
        savings_rate: ratio_bp(sum(|month| month.saved), income),
        transactions_per_30_days: transactions.saturating_mul(3000) / days.max(1),
        impulse_rate: ratio_bp(sum(|month| month.impulsive), sum(|month| month.wants_transactions)),
        average_income: Some(income / count),
        spending_rate: ratio_bp(spent, income),
        wants_share: ratio_bp(sum(|month| month.wants), whole),
        diversity: diversity(by_category.values(), whole),
    })
}

/// The whole less the sum of the squares of the parts' shares, floored: 0 where all is in one part.
fn diversity<'a>(parts: impl Iterator<Item = &'a i64>, whole: i64) -> Option<BasisPoints> {
    if whole <= 0 {
        return None;
    }
    // In millionths, so that many small shares are not lost.
    let share = |part: &i64| i128::from(*part) * 1_000_000 / i128::from(whole);
    let squares: i128 = parts.map(|part| share(part) * share(part) / 1_000_000).sum();
    Some(BasisPoints(i32::try_from((1_000_000 - squares).max(0) / 100).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        budgeting::{BudgetMonthCommand as C, BudgetMonthEvent as E, RedistributionMode, fixtures::*},
        kernel::Stated,
    };

    fn figures(income: i64, spent: i64, saved: i64) -> MonthFigures {
        MonthFigures {
            currency: ccy("USD"),
            days: 30,
            income,
            spent,
            saved,
            wants: spent / 2,
            by_category: [("rent".to_owned(), spent / 2), ("travel".to_owned(), spent / 2)].into(),
            green_days: 90,
            planned_days: 100,
            transactions: 40,
            wants_transactions: 10,
            impulsive: 3,
        }
    }

    /// What May 2026 came to after these commands.
    fn closed(mode: RedistributionMode, commands: Vec<C>) -> MonthFigures {
        let mut past = vec![opened(mode)];
        for command in commands {
            past.extend(on(20, past.clone()).when(command).events());
        }
        let closing = on(20, past).at("2026-06-04T16:00:00Z").when(C::CloseBudgetMonth {}).events();
        let [E::BudgetMonthClosed { figures: Some(figures), .. }] = &closing[..] else {
            panic!("{closing:?}")
        };
        figures.get().unwrap().clone()
    }

    #[test]
    fn bud_p5_a_month_counts_its_transactions_by_class_and_refunds_only_in_the_amounts() {
        let month = closed(
            RedistributionMode::Off,
            vec![
                spend(1, "rent", 1, 60_000),
                spend(2, "dining", 2, 300),
                spend(3, "dining", 2, -100),
                spend(4, "goal_savings", 2, 30_000),
                spend(5, "uncategorised", 3, 500),
            ],
        );
        assert_eq!((month.income, month.spent, month.saved, month.wants), (300_000, 60_700, 30_000, 200));
        assert_eq!((month.transactions, month.wants_transactions, month.impulsive), (4, 1, 0));
        let expected = [("dining", 200), ("rent", 60_000), ("uncategorised", 500)];
        assert_eq!(month.by_category, expected.map(|(key, amount)| (key.to_owned(), amount)).into());
    }

    #[test]
    fn bud_p5_a_wants_transaction_that_made_or_found_the_day_red_was_an_impulse() {
        // Dining has 3.49 on the second. What is covered at once made the day red all the same.
        for mode in [RedistributionMode::Off, RedistributionMode::Auto] {
            let month = closed(
                mode,
                vec![
                    spend(1, "dining", 2, 349),
                    spend(2, "dining", 2, 1),
                    spend(3, "groceries", 2, 90_000),
                    spend(4, "travel", 3, 100),
                ],
            );
            assert_eq!((month.wants_transactions, month.impulsive), (3, 1), "{mode:?}");
        }
        let found = closed(
            RedistributionMode::Off,
            vec![spend(1, "dining", 2, 400), spend(2, "dining", 2, 1), spend(3, "dining", 3, 1)],
        );
        assert_eq!((found.wants_transactions, found.impulsive), (3, 2), "the second found it red");
    }

    #[test]
    fn bud_p5_what_was_taken_back_was_no_transaction() {
        let reverse = C::ReverseSpend {
            transaction: uuid::Uuid::from_u128(1),
            category: "dining".into(),
            date: may(2),
            amount: Stated(usd(400)),
        };
        let month = closed(RedistributionMode::Auto, vec![spend(1, "dining", 2, 400), reverse]);
        assert_eq!((month.transactions, month.impulsive, month.spent), (0, 0, 0));
    }

    #[test]
    fn bud_p5_the_features_are_those_of_the_months_together() {
        let months =
            [figures(300_000, 200_000, 60_000), figures(100_000, 100_000, 0), figures(200_000, 0, 0)];
        let features = cohort_features(&months).unwrap();
        assert_eq!((features.average_spending, features.average_income), (100_000, Some(200_000)));
        assert_eq!(features.shares["rent"], BasisPoints(5000));
        assert_eq!(features.adherence, Some(BasisPoints(9000)));
        assert_eq!(features.savings_rate, Some(BasisPoints(1000)), "60000 of 600000");
        assert_eq!(features.transactions_per_30_days, 4000);
        assert_eq!(features.impulse_rate, Some(BasisPoints(3000)));
        assert_eq!(features.spending_rate, Some(BasisPoints(5000)));
        assert_eq!(
            (features.wants_share, features.diversity),
            (Some(BasisPoints(5000)), Some(BasisPoints(5000)))
        );
    }

    #[test]
    fn bud_p5_without_a_month_there_are_no_features_and_ari_5_two_currencies_have_none() {
        assert_eq!(cohort_features(&[]), None);
        let euros = MonthFigures { currency: ccy("EUR"), ..figures(1, 1, 0) };
        assert_eq!(cohort_features(&[figures(1, 1, 0), euros]), None);
    }

    #[test]
    fn bud_p5_rates_over_nothing_are_unknown() {
        let empty = MonthFigures { planned_days: 0, wants_transactions: 0, ..figures(0, 0, 0) };
        let features = cohort_features(&[MonthFigures { by_category: BTreeMap::new(), ..empty }]).unwrap();
        assert_eq!((features.adherence, features.savings_rate, features.impulse_rate), (None, None, None));
        assert_eq!((features.wants_share, features.diversity, features.spending_rate), (None, None, None));
    }

    proptest! {
        #[test]
        fn bud_p5_shares_are_parts_of_the_whole_whatever_was_spent(
            amounts in prop::collection::vec(1i64..crate::kernel::Money::LIMIT, 1..30),
        ) {
            let by_category = amounts.iter().enumerate().map(|(n, amount)| (format!("c{n}"), *amount)).collect();
            let month = MonthFigures { by_category, ..figures(1, 1, 1) };
            let features = cohort_features(&[month]).unwrap();
            let sum: i32 = features.shares.values().map(|share| share.0).sum();
            prop_assert!((9970..=10_030).contains(&sum), "each is rounded for itself: {}", sum);
            prop_assert!(features.diversity.unwrap().is_share());
        }
    }
}
