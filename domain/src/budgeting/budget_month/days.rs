//! Amounts by day of a month, kept as steps: most months plan the same for many days in a row and spend on few.

use serde::{Deserialize, Serialize};

/// An amount for each day, from 1. Only the days on which it changes are kept; it starts from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByDay(Vec<(u8, i64)>);

impl ByDay {
    /// The amount of a day.
    pub fn get(&self, day: u8) -> i64 {
        let steps = self.0.partition_point(|(from, _)| *from <= day);
        steps.checked_sub(1).map_or(0, |step| self.0[step].1)
    }

    /// Sets the amount of one day.
    pub(super) fn set(&mut self, day: u8, amount: i64) {
        let (before, after) = (self.get(day.saturating_sub(1)), self.get(day.saturating_add(1)));
        let at = self.0.partition_point(|(from, _)| *from < day);
        let until = self.0.partition_point(|(from, _)| *from <= day.saturating_add(1));
        let first = (amount != before).then_some((day, amount));
        let next = (after != amount).then_some((day.saturating_add(1), after));
        self.0.splice(at..until, first.into_iter().chain(next));
    }
}

impl FromIterator<i64> for ByDay {
    /// The amounts of the days from 1 on.
    fn from_iter<I: IntoIterator<Item = i64>>(amounts: I) -> Self {
        let mut days = ByDay::default();
        (1..).zip(amounts).for_each(|(day, amount)| days.set(day, amount));
        days.0.shrink_to_fit();
        days
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_month_of_equal_days_is_one_step() {
        let days: ByDay = [334; 10].into_iter().chain([333; 20]).collect();
        assert_eq!(days.0, [(1, 334), (11, 333), (31, 0)]);
    }

    proptest! {
        #[test]
        fn steps_hold_what_a_table_of_days_would(changes in prop::collection::vec((1u8..=31, -3i64..=3), 0..80)) {
            let (mut days, mut table) = (ByDay::default(), [0; 31]);
            for (day, amount) in changes {
                days.set(day, amount);
                table[usize::from(day) - 1] = amount;
                prop_assert!(days.0.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1));
                prop_assert!(days.0.first().is_none_or(|(_, amount)| *amount != 0));
            }
            for day in 1..=31 {
                prop_assert_eq!(days.get(day), table[usize::from(day) - 1]);
            }
        }
    }
}
