//! The values that the aggregates of this context share.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::{
    Timestamp,
    civil::{Date, date},
    tz::TimeZone,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::kernel::{BasisPoints, is_partition};

/// A calendar month, written `YYYY-MM`, of the years 1900 to 2200.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct YearMonth {
    year: i16,
    month: i8,
}

/// The text or the numbers name no month of the years 1900 to 2200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a month YYYY-MM of the years 1900 to 2200")]
pub struct NotAMonth;

impl YearMonth {
    /// A month by its numbers; January is 1.
    pub fn new(year: i16, month: i8) -> Result<Self, NotAMonth> {
        let fits = (1900..=2200).contains(&year) && (1..=12).contains(&month);
        if fits { Ok(YearMonth { year, month }) } else { Err(NotAMonth) }
    }

    /// The month of a date.
    pub fn of(day: Date) -> Result<Self, NotAMonth> {
        Self::new(day.year(), day.month())
    }

    /// The month of an instant in a time zone.
    pub fn at(instant: Timestamp, tz: &TimeZone) -> Result<Self, NotAMonth> {
        Self::of(local_date(instant, tz))
    }

    /// The year.
    pub fn year(self) -> i16 {
        self.year
    }

    /// The month, January is 1.
    pub fn month(self) -> i8 {
        self.month
    }

    /// The first day.
    pub fn first_day(self) -> Date {
        date(self.year, self.month, 1)
    }

    /// The last day.
    pub fn last_day(self) -> Date {
        self.first_day().last_of_month()
    }

    /// How many days it has, 28 to 31.
    pub fn days(self) -> u8 {
        self.last_day().day().unsigned_abs()
    }

    /// A day of the month, 1 being the first; `None` beyond its end.
    pub fn day(self, day: u8) -> Option<Date> {
        Date::new(self.year, self.month, i8::try_from(day).ok()?).ok()
    }

    /// Whether a date lies in it.
    pub fn contains(self, day: Date) -> bool {
        (day.year(), day.month()) == (self.year, self.month)
    }

    /// The month after it; `None` after December 2200.
    pub fn next(self) -> Option<YearMonth> {
        let (year, month) = if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
        Self::new(year, month).ok()
    }

    /// The month before it; `None` before January 1900.
    pub fn previous(self) -> Option<YearMonth> {
        let (year, month) = if self.month == 1 { (self.year - 1, 12) } else { (self.year, self.month - 1) };
        Self::new(year, month).ok()
    }
}

/// January 1970; it stands for no month in particular.
impl Default for YearMonth {
    fn default() -> Self {
        YearMonth { year: 1970, month: 1 }
    }
}

impl fmt::Display for YearMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Debug for YearMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for YearMonth {
    type Err = NotAMonth;
    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let (year, month) = text.split_once('-').ok_or(NotAMonth)?;
        if (year.len(), month.len()) != (4, 2) || !digits(year) || !digits(month) {
            return Err(NotAMonth);
        }
        Self::new(year.parse().map_err(|_| NotAMonth)?, month.parse().map_err(|_| NotAMonth)?)
    }
}

impl Serialize for YearMonth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for YearMonth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for YearMonth {
    fn schema_name() -> Cow<'static, str> {
        "YearMonth".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A calendar month, YYYY-MM",
            "pattern": "^(19[0-9]{2}|2[01][0-9]{2}|2200)-(0[1-9]|1[0-2])$",
            "examples": ["2026-01"],
        })
    }
}

/// The date of an instant in a time zone.
pub fn local_date(instant: Timestamp, tz: &TimeZone) -> Date {
    tz.to_datetime(instant).date()
}

/// A time zone by its IANA name. Commands are held to known names; should a stored one be unknown one day, it is UTC.
pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// The three classes of the 50/30/20 rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum CategoryClass {
    Needs,
    Wants,
    Savings,
}

impl CategoryClass {
    /// The classes, in the order in which an income is split.
    pub const ALL: [CategoryClass; 3] = [CategoryClass::Needs, CategoryClass::Wants, CategoryClass::Savings];
}

/// How an envelope is paced over the days of a month (BUD-M1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// The same every day.
    Even,
    /// Everything on one day of the month, the last one if the month is shorter.
    FixedDay,
    /// Saturdays and Sundays weigh twice.
    Weekend,
}

/// What the system does about an overspend (BUD-M10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedistributionMode {
    /// Redistributes in the same decision.
    Auto,
    /// Offers a redistribution for 24 hours.
    Propose,
    /// Only tells.
    #[default]
    Off,
}

/// The behaviour cluster of a budget owner (BUD-P6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cohort {
    /// Saves much, buys little on impulse.
    Savers,
    /// Keeps to the plan.
    Balanced,
    /// Spends on wants and saves little.
    Spenders,
    /// Does not keep to the plan; spends most of the income.
    Struggling,
    /// High and varied income and spending.
    Premium,
}

/// How an income is split over the classes; together 10000 bp (ARI-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Split {
    /// The share of needs.
    pub needs: BasisPoints,
    /// The share of wants.
    pub wants: BasisPoints,
    /// The share of savings.
    pub savings: BasisPoints,
}

/// BUD-P1: 50/30/20.
impl Default for Split {
    fn default() -> Self {
        Split { needs: BasisPoints(5000), wants: BasisPoints(3000), savings: BasisPoints(2000) }
    }
}

impl Split {
    /// Whether the shares are a partition of the whole (ARI-6).
    pub fn is_whole(self) -> bool {
        is_partition(&[self.needs, self.wants, self.savings])
    }

    /// The shares as weights, in the order of [`CategoryClass::ALL`].
    pub fn weights(self) -> [i64; 3] {
        [self.needs, self.wants, self.savings].map(|share| i64::from(share.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_reads_as_it_is_written() {
        let month: YearMonth = "1993-05".parse().unwrap();
        assert_eq!((month.to_string().as_str(), month.year(), month.month()), ("1993-05", 1993, 5));
        assert_eq!(serde_json::to_string(&month).unwrap(), "\"1993-05\"");
        assert_eq!(serde_json::from_str::<YearMonth>("\"1993-05\"").unwrap(), month);
    }

    #[test]
    fn what_is_no_month_of_the_supported_years_is_refused() {
        for text in
            ["1993-5", "1993-13", "1993-00", "+993-05", "1899-12", "2201-01", "1993-05-01", "", "١٩٩٣-05"]
        {
            assert_eq!(text.parse::<YearMonth>(), Err(NotAMonth), "{text}");
        }
    }

    #[test]
    fn a_month_knows_its_days_and_its_neighbours() {
        let february: YearMonth = "2024-02".parse().unwrap();
        assert_eq!((february.days(), february.last_day()), (29, date(2024, 2, 29)));
        assert!(february.contains(date(2024, 2, 1)) && !february.contains(date(2023, 2, 1)));
        assert_eq!((february.day(29), february.day(30)), (Some(date(2024, 2, 29)), None));
        let december: YearMonth = "2023-12".parse().unwrap();
        assert_eq!(december.next().map(|next| next.to_string()).as_deref(), Some("2024-01"));
        assert_eq!(december.next().and_then(YearMonth::previous), Some(december));
        let last: YearMonth = "2200-12".parse().unwrap();
        assert_eq!(last.next(), None);
    }

    #[test]
    fn the_date_of_an_instant_is_that_of_the_owners_zone() {
        let midnight: Timestamp = "2026-01-31T23:30:00Z".parse().unwrap();
        assert_eq!(local_date(midnight, &zone("Europe/Sofia")), date(2026, 2, 1));
        assert_eq!(local_date(midnight, &zone("America/New_York")), date(2026, 1, 31));
        assert_eq!(YearMonth::at(midnight, &zone("Europe/Sofia")).unwrap().to_string(), "2026-02");
    }

    #[test]
    fn bud_p1_the_default_split_is_fifty_thirty_twenty() {
        assert_eq!(Split::default().weights(), [5000, 3000, 2000]);
        assert!(Split::default().is_whole());
    }
}
