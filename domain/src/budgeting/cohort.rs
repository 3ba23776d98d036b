//! Cohorts and habits: what was computed of how somebody spends (BUD-P5, BUD-P6).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::{BasisPoints, Money};

/// What describes how somebody spends (BUD-P5), over the last three full months.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CohortFeatures {
    /// The average monthly spending, in minor units of the profile's currency.
    pub average_spending: i64,
    /// Each category's share of the spending.
    pub shares: BTreeMap<String, BasisPoints>,
    /// Green category-days of the category-days with a plan.
    pub adherence: Option<BasisPoints>,
    /// Contributions of the income.
    pub savings_rate: Option<BasisPoints>,
    /// Transactions per 30 days, in hundredths.
    pub transactions_per_30_days: i64,
    /// Wants transactions that made or found the day red, of all wants transactions.
    pub impulse_rate: Option<BasisPoints>,
    /// The average monthly income, in minor units of the profile's currency.
    #[serde(default)]
    pub average_income: Option<i64>,
    /// What was spent of the income.
    #[serde(default)]
    pub spending_rate: Option<BasisPoints>,
    /// The share of wants of the spending.
    #[serde(default)]
    pub wants_share: Option<BasisPoints>,
    /// How widely the spending is spread over categories: the whole less the sum of the squares of their shares.
    #[serde(default)]
    pub diversity: Option<BasisPoints>,
}

/// What kind of habit a pattern is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatternKind {
    /// A payment that comes back at a regular distance.
    Recurring,
    /// A day of the week on which more is spent.
    Weekday,
    /// A category that rises against the months before.
    Rising,
    /// A category that falls against the months before.
    Falling,
    /// A merchant with a large part of the spending.
    Merchant,
}

/// A habit that was found in a month of spending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpendingPattern {
    /// The kind.
    pub kind: PatternKind,
    /// The category, where it is about one.
    #[serde(default)]
    pub category: Option<String>,
    /// The merchant, normalised, where it is about one.
    #[serde(default)]
    pub merchant: Option<String>,
    /// The day of the week, 1 Monday to 7 Sunday, where it is about one.
    #[serde(default)]
    pub weekday: Option<u8>,
    /// How much, where it is about an amount.
    #[serde(default)]
    pub amount: Option<Money>,
    /// The change or the share, where it is about one.
    #[serde(default)]
    pub share: Option<BasisPoints>,
}
