//! The days of a month, as people see them: the calendar's rows keep the days of a category together, and this takes them
//! apart and puts the categories of a day together.

use domain::{Currency, Money, Personal, budgeting::YearMonth, class::Financial};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{day_of, place};

/// How a day of a category went (BUD-M2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DayStatus {
    /// Not more was spent than planned.
    Green,
    /// More was spent than planned.
    Red,
    /// Nothing was planned, and nothing spent.
    None,
}

impl DayStatus {
    /// BUD-M2, in minor units of one currency.
    pub fn of(planned: i64, spent: i64) -> Self {
        match (planned, spent) {
            (0, 0) => DayStatus::None,
            (planned, spent) if spent <= planned => DayStatus::Green,
            _ => DayStatus::Red,
        }
    }
}

/// One day of one category.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CalendarDay {
    /// The day.
    pub date: Date,
    /// The category's key.
    pub category: String,
    /// What was planned for it.
    pub planned: Money,
    /// What was spent on it, refunds taken off.
    pub spent: Money,
    /// How it went.
    pub status: DayStatus,
}

/// A value as a query shows it: what it is, or that its key was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Seen<T> {
    /// What it is.
    Known(T),
    /// Nobody can tell any more.
    Erased(Erased),
}

/// The marker of what was erased (catalogue 0.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Erased {
    /// «erased»
    #[serde(rename = "«erased»")]
    Marker,
}

impl<T> Seen<T> {
    fn of(value: Option<T>) -> Self {
        value.map_or(Seen::Erased(Erased::Marker), Seen::Known)
    }
}

/// One day of the calendar: what was planned for it and spent on it, over all its categories and for each of them.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// What was planned for it.
    #[schemars(with = "Personal<Money, Financial>")]
    pub planned: Seen<Money>,
    /// What was spent on it, refunds taken off.
    #[schemars(with = "Personal<Money, Financial>")]
    pub spent: Seen<Money>,
    /// What is left of the plan; below zero where more was spent.
    #[schemars(with = "Personal<Money, Financial>")]
    pub available: Seen<Money>,
    /// Red where a category is, else green where a category is.
    #[schemars(with = "Personal<DayStatus, Financial>")]
    pub status: Seen<DayStatus>,
    /// The categories, by key.
    pub categories: Vec<CategoryDay>,
}

/// One category on one day.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CategoryDay {
    /// The category's key.
    pub category: String,
    /// What was planned for it.
    #[schemars(with = "Personal<Money, Financial>")]
    pub planned: Seen<Money>,
    /// What was spent on it, refunds taken off.
    #[schemars(with = "Personal<Money, Financial>")]
    pub spent: Seen<Money>,
    /// What is left of the plan; below zero where more was spent.
    #[schemars(with = "Personal<Money, Financial>")]
    pub available: Seen<Money>,
    /// How it went (BUD-M2).
    #[schemars(with = "Personal<DayStatus, Financial>")]
    pub status: Seen<DayStatus>,
}

/// A row of `budget_calendar` as a query shows it; an amount that was erased is a text.
#[derive(Deserialize)]
struct Shown {
    category: String,
    month: YearMonth,
    ccy: Option<Currency>,
    planned: serde_json::Value,
    spent: serde_json::Value,
}

impl Shown {
    /// What a list says of a day.
    fn amount(&self, list: &serde_json::Value, index: usize) -> Option<Money> {
        Some(Money::new(list.get(index)?.as_i64()?, self.ccy?))
    }
}

/// The days of a month, in order, from its rows of `budget_calendar` as a query shows them (their fields `category`,
/// `month`, `ccy`, `planned` and `spent`). None where there are no rows.
pub fn shown_days(rows: &[serde_json::Value]) -> Vec<Day> {
    let mut rows: Vec<Shown> = rows.iter().filter_map(|row| Shown::deserialize(row).ok()).collect();
    rows.sort_by(|one, other| one.category.cmp(&other.category));
    let Some(month) = rows.first().map(|row| row.month) else { return Vec::new() };
    (1..=month.days()).filter_map(|number| Some(day(month.day(number)?, &rows))).collect()
}

fn day(date: Date, rows: &[Shown]) -> Day {
    let index = place(day_of(date));
    let mut all: Option<(Vec<Money>, Vec<Money>, Vec<DayStatus>)> = Some(Default::default());
    let mut categories = Vec::with_capacity(rows.len());
    for row in rows {
        let (planned, spent) = (row.amount(&row.planned, index), row.amount(&row.spent, index));
        let both = planned.zip(spent);
        let status = both.map(|(planned, spent)| DayStatus::of(planned.minor, spent.minor));
        categories.push(CategoryDay {
            category: row.category.clone(),
            planned: Seen::of(planned),
            spent: Seen::of(spent),
            available: Seen::of(both.and_then(|(planned, spent)| planned.minus(spent).ok())),
            status: Seen::of(status),
        });
        // One amount that nobody knows makes the sums unknown.
        all = all.zip(both.zip(status)).map(
            |((mut plans, mut spends, mut statuses), ((planned, spent), status))| {
                plans.push(planned);
                spends.push(spent);
                statuses.push(status);
                (plans, spends, statuses)
            },
        );
    }
    let sums = all.as_ref().and_then(|(plans, spends, _)| Some((sum(plans)?, sum(spends)?)));
    Day {
        date,
        planned: Seen::of(sums.map(|(planned, _)| planned)),
        spent: Seen::of(sums.map(|(_, spent)| spent)),
        available: Seen::of(sums.and_then(|(planned, spent)| planned.minus(spent).ok())),
        status: Seen::of(all.map(|(.., statuses)| worst(&statuses))),
        categories,
    }
}

fn sum(amounts: &[Money]) -> Option<Money> {
    let (first, others) = amounts.split_first()?;
    others.iter().try_fold(*first, |sum, amount| sum.plus(*amount).ok())
}

fn worst(statuses: &[DayStatus]) -> DayStatus {
    let among = |status| statuses.contains(&status);
    [DayStatus::Red, DayStatus::Green].into_iter().find(|status| among(*status)).unwrap_or(DayStatus::None)
}

/// The days of a month from what was planned and spent on each, in minor units.
pub(super) fn days(
    category: &str,
    month: YearMonth,
    ccy: Currency,
    planned: &[i64],
    spent: &[i64],
) -> Vec<CalendarDay> {
    let amounts = planned.iter().zip(spent);
    let day = |(number, (planned, spent)): (u8, (&i64, &i64))| {
        Some(CalendarDay {
            date: month.day(number)?,
            category: category.to_owned(),
            planned: Money::new(*planned, ccy),
            spent: Money::new(*spent, ccy),
            status: DayStatus::of(*planned, *spent),
        })
    };
    (1..).zip(amounts).filter_map(day).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn bud_m2_a_day_is_green_up_to_its_plan_and_red_beyond() {
        assert_eq!(
            [(50, 45), (20, 18), (25, 35)].map(|(planned, spent)| DayStatus::of(planned, spent)),
            [DayStatus::Green, DayStatus::Green, DayStatus::Red]
        );
        assert_eq!(DayStatus::of(20, 20), DayStatus::Green);
        assert_eq!(DayStatus::of(0, 1), DayStatus::Red);
        assert_eq!(DayStatus::of(0, 0), DayStatus::None);
        assert_eq!(DayStatus::of(0, -5), DayStatus::Green);
    }

    /// A month of 28 days in which `planned` and `spent` stand for the first days.
    fn row(category: &str, planned: &[i64], spent: &[i64]) -> Value {
        let month = |days: &[i64]| -> Vec<i64> {
            let rest = std::iter::repeat(0);
            days.iter().copied().chain(rest).take(28).collect()
        };
        json!({
            "category": category, "month": "2026-02", "ccy": "USD", "planned": month(planned), "spent": month(spent),
            "as_of": 7,
        })
    }

    #[test]
    fn rows_are_taken_apart_into_the_days_of_the_month_with_their_categories() {
        let days = shown_days(&[row("hobbies", &[100, 100], &[40]), row("dining", &[300, 300], &[0, 301])]);
        assert_eq!(days.len(), 28);
        let usd = |minor: i64| json!({ "minor": minor, "ccy": "USD" });
        assert_eq!(
            serde_json::to_value(&days[1]).unwrap(),
            json!({
                "date": "2026-02-02", "planned": usd(400), "spent": usd(301), "available": usd(99), "status": "red",
                "categories": [
                    { "category": "dining", "planned": usd(300), "spent": usd(301), "available": usd(-1), "status": "red" },
                    { "category": "hobbies", "planned": usd(100), "spent": usd(0), "available": usd(100), "status": "green" },
                ],
            })
        );
        assert_eq!(
            (days[0].status, days[2].status),
            (Seen::Known(DayStatus::Green), Seen::Known(DayStatus::None))
        );
        assert_eq!(days[27].date, date(2026, 2, 28));
    }

    #[test]
    fn what_is_erased_of_a_category_is_unknown_of_the_whole_day_and_of_no_other_category() {
        let mut dining = row("dining", &[300], &[0]);
        dining["spent"] = "«erased»".into();
        let day = serde_json::to_value(&shown_days(&[dining, row("hobbies", &[100], &[40])])[0]).unwrap();
        for name in ["planned", "spent", "available", "status"] {
            assert_eq!(day[name], "«erased»", "{name}");
        }
        assert_eq!(day["categories"][0]["planned"]["minor"], 300);
        assert_eq!(
            (&day["categories"][0]["spent"], &day["categories"][0]["status"]),
            (&json!("«erased»"), &json!("«erased»"))
        );
        assert_eq!(day["categories"][1]["available"]["minor"], 60);
    }

    #[test]
    fn a_month_without_a_budget_has_no_days() {
        assert_eq!(shown_days(&[]), []);
    }
}
