//! Epochs: the stretches of time after which personal data can be retired as a whole.

use std::fmt;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// Classes whose epoch is a calendar month (catalogue 0.5); of all others it is a calendar year.
const MONTHLY: [&str; 2] = ["device", "ai_content"];

/// A calendar month or year (UTC), named by its last month: a retention period counts from the end of the epoch, and
/// epochs of both lengths compare by when they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(i32);

impl Epoch {
    /// The epoch of a record class at an instant (an event's `recorded_at`).
    pub fn of(class: &str, instant: Timestamp) -> Self {
        let month = Self::month(instant);
        if MONTHLY.contains(&class) { month } else { Self(month.0 / 100 * 100 + 12) }
    }

    /// The calendar month of an instant.
    pub fn month(instant: Timestamp) -> Self {
        let date = instant.to_zoned(TimeZone::UTC).date();
        Self(i32::from(date.year()) * 100 + i32::from(date.month()))
    }

    /// The epoch that ended, or ends, with the month of this date: `through` of a retention shred.
    pub fn ending(date: Date) -> Self {
        Self(i32::from(date.year()) * 100 + i32::from(date.month()))
    }

    /// The last month as the number yyyymm.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The epoch whose last month is the number yyyymm.
    pub fn from_number(number: i32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Epoch {
    /// The last month, as `2026-12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_month_for_device_and_ai_content_and_a_year_for_the_others() {
        let instant: Timestamp = "2026-03-31T23:59:59.999999Z".parse().unwrap();
        assert_eq!(Epoch::of("device", instant).to_string(), "2026-03");
        assert_eq!(Epoch::of("ai_content", instant).to_string(), "2026-03");
        assert_eq!(Epoch::of("identity", instant).to_string(), "2026-12");
    }

    #[test]
    fn an_epoch_turns_at_midnight_utc() {
        let before: Timestamp = "2026-12-31T23:59:59.999999Z".parse().unwrap();
        let after: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        assert!(Epoch::of("identity", before) < Epoch::of("identity", after));
    }

    #[test]
    fn ending_in_june_does_not_end_the_year() {
        let instant: Timestamp = "2026-03-31T00:00:00Z".parse().unwrap();
        let june = Epoch::ending(jiff::civil::date(2026, 6, 30));
        assert!(Epoch::of("device", instant) <= june);
        assert!(Epoch::of("identity", instant) > june);
    }
}
