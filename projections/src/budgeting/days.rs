//! The days of a category's month, as people see them: the calendar's rows keep them together, and this takes them apart.

use domain::{Currency, Money, budgeting::YearMonth};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// The days of a row of `budget_calendar` as a query shows it (its fields `category`, `month`, `ccy`, `planned` and
/// `spent`), in order. None where the amounts are erased.
pub fn shown_days(row: &serde_json::Value) -> Vec<CalendarDay> {
    #[derive(Deserialize)]
    struct Shown {
        category: String,
        month: YearMonth,
        ccy: Currency,
        planned: Vec<i64>,
        spent: Vec<i64>,
    }
    match Shown::deserialize(row) {
        Ok(Shown { category, month, ccy, planned, spent }) => days(&category, month, ccy, &planned, &spent),
        Err(_) => Vec::new(),
    }
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
    use serde_json::json;

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

    #[test]
    fn a_shown_row_is_taken_apart_into_its_days() {
        let row = json!({
            "category": "dining", "month": "2026-02", "ccy": "USD", "planned": [300, 300, 0], "spent": [0, 301, 0],
            "as_of": 7,
        });
        let days = shown_days(&row);
        assert_eq!(days.len(), 3);
        assert_eq!(
            serde_json::to_value(&days[1]).unwrap(),
            json!({
                "date": "2026-02-02", "category": "dining", "status": "red",
                "planned": { "minor": 300, "ccy": "USD" }, "spent": { "minor": 301, "ccy": "USD" },
            })
        );
        assert_eq!((days[2].date, days[2].status), (date(2026, 2, 3), DayStatus::None));
    }

    #[test]
    fn an_erased_row_has_no_days() {
        let row = json!({
            "category": "dining", "month": "2026-02", "ccy": "USD", "planned": "«erased»", "spent": "«erased»",
        });
        assert_eq!(shown_days(&row), []);
    }
}
