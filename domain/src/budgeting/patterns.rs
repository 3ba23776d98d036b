//! Habits of spending: what comes back, on which days more is spent, what rises and falls, and where much is spent (P-32).

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::{PatternKind, SpendingPattern, YearMonth};
use crate::kernel::{BasisPoints, Currency, Money, ratio_bp};

/// The engine that these rules are, with its version.
pub const PATTERN_ENGINE: &str = "rules/habits@1";

/// How many months before the one in question are looked at (catalogue 4.2, trend).
pub const MONTHS_BEFORE: usize = 3;

/// A change of more than this rises or falls (catalogue 4.2).
const NOTABLE: i128 = 500;
/// From which part of a month's spending on a merchant is named. A default (D-19).
const LARGE: BasisPoints = BasisPoints(2000);
/// How many payments make something recurring. A default (D-19).
const FEWEST_PAYMENTS: usize = 3;
/// How many days of a kind make a habit of it. A default (D-19).
const FEWEST_DAYS: usize = 4;
/// The distances, in days, at which payments come back: weekly, fortnightly, monthly, each with what weekends and short
/// months do to it. Defaults (D-19).
const DISTANCES: [std::ops::RangeInclusive<i32>; 3] = [6..=8, 13..=15, 26..=35];

/// Something that was spent, in minor units of the budget's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSpend {
    /// The date, in the owner's time zone.
    pub date: Date,
    /// The category's key.
    pub category: String,
    /// The merchant, normalised (BUD-T4), where one is known.
    pub merchant: Option<String>,
    /// How much, above zero.
    pub minor: i64,
}

/// The habits that a month and the three before it show, at most 100: what recurs first, then weekdays, what rises, what
/// falls, and merchants; each by its name.
pub fn spending_patterns(month: YearMonth, currency: Currency, spends: &[SeenSpend]) -> Vec<SpendingPattern> {
    let mut found = recurring(month, currency, spends);
    found.extend(weekdays(spends));
    let (rising, falling): (Vec<_>, Vec<_>) =
        trends(month, currency, spends).into_iter().partition(|found| found.kind == PatternKind::Rising);
    found.extend(rising.into_iter().chain(falling));
    found.extend(merchants(month, currency, spends));
    found.truncate(100);
    found
}

fn pattern(kind: PatternKind) -> SpendingPattern {
    SpendingPattern { kind, category: None, merchant: None, weekday: None, amount: None, share: None }
}

fn sum<'a>(spends: impl IntoIterator<Item = &'a SeenSpend>) -> i64 {
    spends.into_iter().fold(0, |sum, spend| sum.saturating_add(spend.minor))
}

fn by_merchant(spends: &[SeenSpend]) -> BTreeMap<&str, Vec<&SeenSpend>> {
    let mut found: BTreeMap<&str, Vec<&SeenSpend>> = BTreeMap::new();
    for spend in spends {
        if let Some(merchant) = spend.merchant.as_deref().filter(|merchant| !merchant.is_empty()) {
            found.entry(merchant).or_default().push(spend);
        }
    }
    found
}

/// Payments to a merchant that lie at one regular distance from each other, the last of them in the month, of amounts
/// that differ by a tenth at most.
fn recurring(month: YearMonth, currency: Currency, spends: &[SeenSpend]) -> Vec<SpendingPattern> {
    let regular = |(merchant, mut payments): (&str, Vec<&SeenSpend>)| {
        payments.sort_by_key(|payment| payment.date);
        let last = *payments.last().filter(|last| month.contains(last.date))?;
        let (least, most) =
            (payments.iter().map(|one| one.minor).min()?, payments.iter().map(|one| one.minor).max()?);
        let alike = i128::from(least) * 10 >= i128::from(most) * 9;
        let days = |pair: &[&SeenSpend]| pair[0].date.until(pair[1].date).map_or(0, |span| span.get_days());
        let at = |distance: &std::ops::RangeInclusive<i32>| {
            payments.windows(2).all(|pair| distance.contains(&days(pair)))
        };
        let fits = payments.len() >= FEWEST_PAYMENTS && alike && DISTANCES.iter().any(at);
        fits.then(|| SpendingPattern {
            category: Some(last.category.clone()),
            merchant: Some(merchant.to_owned()),
            amount: Some(Money::new(last.minor, currency)),
            ..pattern(PatternKind::Recurring)
        })
    };
    by_merchant(spends).into_iter().filter_map(regular).collect()
}

/// Days of the week on which at least twice as much is spent as on the average one.
fn weekdays(spends: &[SeenSpend]) -> Vec<SpendingPattern> {
    let whole = sum(spends);
    let more = |weekday: i8| {
        let on = || spends.iter().filter(move |spend| spend.date.weekday().to_monday_one_offset() == weekday);
        let (spent, days) = (sum(on()), on().map(|spend| spend.date).collect::<BTreeSet<_>>().len());
        let fits = days >= FEWEST_DAYS && i128::from(spent) * 7 >= i128::from(whole) * 2;
        fits.then(|| SpendingPattern {
            weekday: Some(weekday.unsigned_abs()),
            share: ratio_bp(spent, whole),
            ..pattern(PatternKind::Weekday)
        })
    };
    (1..=7).filter_map(more).collect()
}

/// Categories whose month differs by more than 500 bp from the mean of the three before (catalogue 4.2).
fn trends(month: YearMonth, currency: Currency, spends: &[SeenSpend]) -> Vec<SpendingPattern> {
    let categories: BTreeSet<&str> = spends.iter().map(|spend| spend.category.as_str()).collect();
    let trend = |category: &str| {
        let of = |now: bool| {
            spends.iter().filter(move |spend| spend.category == category && month.contains(spend.date) == now)
        };
        let (now, before) = (sum(of(true)), sum(of(false)));
        // The change against before/3, in basis points of it, without dividing (ARI-3).
        let change = (i128::from(now) * MONTHS_BEFORE as i128 - i128::from(before)) * 10_000;
        let notable = i128::from(before) * NOTABLE;
        let kind = if before <= 0 || change.abs() <= notable {
            return None;
        } else if change > 0 {
            PatternKind::Rising
        } else {
            PatternKind::Falling
        };
        let times = now.saturating_mul(MONTHS_BEFORE as i64).saturating_sub(before);
        Some(SpendingPattern {
            category: Some(category.to_owned()),
            amount: Some(Money::new(now, currency)),
            share: ratio_bp(times, before),
            ..pattern(kind)
        })
    };
    categories.into_iter().filter_map(trend).collect()
}

/// Merchants with a large part of the month's spending.
fn merchants(month: YearMonth, currency: Currency, spends: &[SeenSpend]) -> Vec<SpendingPattern> {
    let month: Vec<SeenSpend> = spends.iter().filter(|spend| month.contains(spend.date)).cloned().collect();
    let whole = sum(&month);
    let large = |(merchant, payments): (&str, Vec<&SeenSpend>)| {
        let spent = sum(payments);
        let fits = spent > 0 && i128::from(spent) * 10_000 >= i128::from(whole) * i128::from(LARGE.0);
        fits.then(|| SpendingPattern {
            merchant: Some(merchant.to_owned()),
            amount: Some(Money::new(spent, currency)),
            share: ratio_bp(spent, whole),
            ..pattern(PatternKind::Merchant)
        })
    };
    by_merchant(&month).into_iter().filter_map(large).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgeting::fixtures::{ccy, usd};

    fn spent(day: &str, category: &str, merchant: &str, minor: i64) -> SeenSpend {
        SeenSpend {
            date: day.parse().unwrap(),
            category: category.into(),
            merchant: (!merchant.is_empty()).then(|| merchant.into()),
            minor,
        }
    }

    fn found(spends: &[SeenSpend], kind: PatternKind) -> Vec<SpendingPattern> {
        let all = spending_patterns("2026-05".parse().unwrap(), ccy("USD"), spends);
        all.into_iter().filter(|found| found.kind == kind).collect()
    }

    fn monthly(amounts: [i64; 3]) -> Vec<SeenSpend> {
        let days = ["2026-03-03", "2026-04-03", "2026-05-03"];
        days.iter().zip(amounts).map(|(day, minor)| spent(day, "subscriptions", "netflix", minor)).collect()
    }

    #[test]
    fn p_32_what_is_paid_three_times_at_a_regular_distance_recurs() {
        let recurring = found(&monthly([1500, 1599, 1599]), PatternKind::Recurring);
        assert_eq!(recurring.len(), 1);
        assert_eq!(
            (recurring[0].merchant.as_deref(), recurring[0].amount),
            (Some("netflix"), Some(usd(1599)))
        );
        assert!(
            found(&monthly([1500, 1599, 1599])[1..], PatternKind::Recurring).is_empty(),
            "twice is no habit"
        );
        assert!(found(&monthly([1000, 1599, 1599]), PatternKind::Recurring).is_empty(), "amounts differ");
        let mut irregular = monthly([1500; 3]);
        irregular[1].date = "2026-04-20".parse().unwrap();
        assert!(found(&irregular, PatternKind::Recurring).is_empty());
        let mut over = monthly([1500; 3]);
        over.pop();
        over.insert(0, spent("2026-02-01", "subscriptions", "netflix", 1500));
        assert!(found(&over, PatternKind::Recurring).is_empty(), "none in the month: it has ended");
    }

    #[test]
    fn p_32_a_weekday_with_twice_the_average_is_a_habit() {
        // Saturdays of May 2026.
        let mut spends: Vec<SeenSpend> = ["02", "09", "16", "23"]
            .iter()
            .map(|day| spent(&format!("2026-05-{day}"), "dining", "", 200))
            .collect();
        spends.extend(
            ["04", "05", "06", "07"].iter().map(|day| spent(&format!("2026-05-{day}"), "dining", "", 500)),
        );
        let weekday = found(&spends, PatternKind::Weekday);
        assert_eq!(
            weekday.iter().map(|one| (one.weekday, one.share.unwrap().0)).collect::<Vec<_>>(),
            [(Some(6), 2857)]
        );
        spends.push(spent("2026-05-08", "dining", "", 1));
        assert!(found(&spends, PatternKind::Weekday).is_empty(), "a cent below two sevenths");
    }

    #[test]
    fn p_32_a_category_rises_or_falls_by_more_than_500_bp_against_the_mean_of_three_months() {
        let months = |now: i64| {
            let before =
                ["2026-02-10", "2026-03-10", "2026-04-10"].map(|day| spent(day, "travel", "", 10_000));
            before.into_iter().chain([spent("2026-05-10", "travel", "", now)]).collect::<Vec<_>>()
        };
        let share =
            |now, kind| found(&months(now), kind).first().and_then(|found| found.share).map(|bp| bp.0);
        assert_eq!(
            (share(10_500, PatternKind::Rising), share(10_501, PatternKind::Rising)),
            (None, Some(501))
        );
        assert_eq!(
            (share(9500, PatternKind::Falling), share(9499, PatternKind::Falling)),
            (None, Some(-501))
        );
        assert!(
            found(&[spent("2026-05-10", "travel", "", 1)], PatternKind::Rising).is_empty(),
            "nothing before"
        );
    }

    #[test]
    fn p_32_a_merchant_with_a_fifth_of_the_month_is_named() {
        let month =
            |minor| [spent("2026-05-10", "groceries", "lidl", minor), spent("2026-05-11", "rent", "", 8000)];
        let merchants = found(&month(2000), PatternKind::Merchant);
        assert_eq!(
            (merchants[0].merchant.as_deref(), merchants[0].share),
            (Some("lidl"), Some(BasisPoints(2000)))
        );
        assert!(found(&month(1999), PatternKind::Merchant).is_empty());
    }

    #[test]
    fn p_32_no_more_habits_are_told_than_can_be_recorded() {
        let many: Vec<SeenSpend> = (0..300)
            .flat_map(|n| {
                let category = format!("c{n}");
                [spent("2026-04-10", &category, "", 100), spent("2026-05-10", &category, "", 900)]
            })
            .collect();
        assert_eq!(spending_patterns("2026-05".parse().unwrap(), ccy("USD"), &many).len(), 100);
        assert!(spending_patterns("2026-05".parse().unwrap(), ccy("USD"), &[]).is_empty());
    }
}
