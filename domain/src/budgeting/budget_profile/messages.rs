//! What can be asked of a budget profile, what can have happened to it, and why a command was refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::{
    budgeting::{
        Category, CategoryChanges, CategoryClass, CategoryRevision, Cohort, CohortFeatures, Pacing,
        RedistributionMode, SpendingPattern, YearMonth,
    },
    kernel::{
        BasisPoints, Currency, Event, Money, Personal, Refusal, RefusalKind, Stated, class::Financial,
        schemas,
    },
};

/// What can be asked of a budget profile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum BudgetProfileCommand {
    /// Sets the budget up, with the default categories (BUD-P2).
    SetUpBudget {
        /// The currency of every amount of the budget.
        currency: Currency,
        /// The IANA time zone in which days and months are counted.
        #[schemars(transform = schemas::time_zone)]
        tz: String,
        /// ISO 3166-1 alpha-2.
        #[schemars(transform = schemas::country)]
        country: String,
        /// The monthly income, above zero.
        #[schemars(transform = schemas::money_from::<1>)]
        income: Stated<Money>,
        /// The share of needs; the three shares are the whole (ARI-6).
        #[schemars(transform = schemas::share)]
        needs: BasisPoints,
        /// The share of wants.
        #[schemars(transform = schemas::share)]
        wants: BasisPoints,
        /// The share of savings.
        #[schemars(transform = schemas::share)]
        savings: BasisPoints,
        /// What to do about an overspend.
        mode: RedistributionMode,
    },
    /// Follows the owner into another time zone, as their preferences say (P-23). Days and months that are counted from
    /// now on are counted in it. Into the zone where the budget is already nothing follows.
    #[schemars(extend("x-system" = true))]
    ChangeTimeZone {
        /// The IANA time zone.
        #[schemars(transform = schemas::time_zone)]
        tz: String,
    },
    /// Changes the income from a month on (BUD-P4).
    ChangeIncome {
        /// The monthly income, above zero.
        #[schemars(transform = schemas::money_from::<1>)]
        income: Stated<Money>,
        /// The first month with it.
        from: YearMonth,
    },
    /// Changes the split from a month on (BUD-P4).
    ChangeSplit {
        /// The share of needs; the three shares are the whole (ARI-6).
        #[schemars(transform = schemas::share)]
        needs: BasisPoints,
        /// The share of wants.
        #[schemars(transform = schemas::share)]
        wants: BasisPoints,
        /// The share of savings.
        #[schemars(transform = schemas::share)]
        savings: BasisPoints,
        /// The first month with it.
        from: YearMonth,
    },
    /// Defines a category; a profile has at most 100.
    DefineCategory {
        /// Its key, `[a-z0-9_]{1,40}`.
        #[schemars(transform = schemas::category_key)]
        key: String,
        /// Its class.
        class: CategoryClass,
        /// Its priority level: 3 discretionary, 2 flexible, 1 protected, 0 sacred.
        #[schemars(transform = schemas::number::<0, 3>)]
        level: i32,
        /// Whether it never gives money away; savings categories never do (BUD-P3).
        essential: bool,
        /// Its weight within its class, 0 to 10000.
        #[schemars(transform = schemas::number::<0, 10_000>)]
        weight: i64,
        /// How its envelope is paced.
        pacing: Pacing,
        /// The day of a `fixed_day` category, 1 to 31; of no other.
        #[serde(default)]
        #[schemars(transform = schemas::number::<1, 31>)]
        fixed_day: Option<u8>,
        /// Words by which transactions are recognised; at most 100 of 1 to 60 characters.
        #[schemars(transform = schemas::texts::<100, 60>)]
        keywords: Stated<Vec<String>>,
    },
    /// Revises a category.
    ReviseCategory {
        /// Its key.
        #[schemars(transform = schemas::category_key)]
        key: String,
        /// What changes.
        changes: CategoryChanges,
    },
    /// Retires a category. What is recognised as the retired one is from then on the other, which takes its keywords
    /// over, and its weight if both are of one class.
    RetireCategory {
        /// Its key.
        #[schemars(transform = schemas::category_key)]
        key: String,
        /// The live category that takes it over.
        #[schemars(transform = schemas::category_key)]
        merge_into: String,
    },
    /// Sets what to do about an overspend, in months opened or reallocated from now on (BUD-M10).
    SetRedistributionMode {
        /// The mode.
        mode: RedistributionMode,
    },
    /// Has the owner told when so much of a category's envelope is spent.
    SetCategoryAlert {
        /// The category's key.
        #[schemars(transform = schemas::category_key)]
        key: String,
        /// From which part of the envelope on, up to 20000; 0 never.
        #[schemars(transform = schemas::alert)]
        at: BasisPoints,
    },
    /// Assigns the behaviour cluster that a model found (BUD-P6), while the owner's consent to analytics stands.
    #[schemars(extend("x-system" = true))]
    AssignCohort {
        /// The month that it was found for.
        month: YearMonth,
        /// The cohort.
        cohort: Cohort,
        /// What it was found from (BUD-P5).
        features: Stated<CohortFeatures>,
        /// The model's id.
        model: Uuid,
    },
    /// Records the habits found in a month, while the owner's consent to analytics stands.
    #[schemars(extend("x-system" = true))]
    RecordSpendingPatterns {
        /// The month.
        month: YearMonth,
        /// The habits, at most 100.
        patterns: Stated<Vec<SpendingPattern>>,
        /// What found them.
        engine: String,
    },
}

/// What can have happened to a budget profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum BudgetProfileEvent {
    /// The budget was set up.
    BudgetSetUp {
        account: Uuid,
        currency: Currency,
        tz: String,
        country: String,
        income: Personal<Money, Financial>,
        needs: BasisPoints,
        wants: BasisPoints,
        savings: BasisPoints,
        mode: RedistributionMode,
        categories: Vec<Category>,
    },
    /// The owner lives in another time zone.
    BudgetTimeZoneChanged { tz: String },
    /// The income changed.
    IncomeChanged { income: Personal<Money, Financial>, from: YearMonth },
    /// The split changed.
    SplitChanged { needs: BasisPoints, wants: BasisPoints, savings: BasisPoints, from: YearMonth },
    /// A category was defined.
    CategoryDefined {
        key: String,
        class: CategoryClass,
        level: u8,
        essential: bool,
        weight: i64,
        pacing: Pacing,
        fixed_day: Option<u8>,
        keywords: Personal<Vec<String>, Financial>,
    },
    /// A category was revised.
    CategoryRevised { key: String, changes: CategoryRevision },
    /// A category was retired.
    CategoryRetired { key: String, merge_into: String },
    /// What to do about an overspend was set.
    RedistributionModeSet { mode: RedistributionMode },
    /// An alert was set, or with 0 switched off.
    CategoryAlertSet { key: String, at: BasisPoints },
    /// The owner was assigned to a cohort.
    CohortAssigned {
        month: YearMonth,
        cohort: Cohort,
        features: Personal<CohortFeatures, Financial>,
        model: Uuid,
    },
    /// The owner's cohort is another one than before.
    CohortDriftDetected { from: Cohort, to: Cohort, month: YearMonth },
    /// The habits of a month were recorded.
    SpendingPatternsRecorded {
        month: YearMonth,
        patterns: Personal<Vec<SpendingPattern>, Financial>,
        engine: String,
    },
}

impl Event for BudgetProfileEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum BudgetProfileRefusal {
    /// The shares are not 10000 bp together (ARI-6).
    #[error("the three shares must be 10000 bp together, none below zero")]
    WeightsNotWhole {},
    /// The income is not above zero.
    #[error("an income is above zero")]
    NonPositiveIncome {},
    /// The budget is set up already.
    #[error("the budget is set up already")]
    AlreadySetUp {},
    /// The amount is of another currency than the budget.
    #[error("the budget is kept in {expected}")]
    CurrencyMismatch {
        /// The budget's currency.
        expected: Currency,
    },
    /// A live category has this key.
    #[error("a category has this key")]
    Duplicate {},
    /// A priority level is 0 to 3.
    #[error("a priority level is 0 to 3")]
    LevelRange {},
    /// It is the only category of its class, whose money would have no place.
    #[error("it is the last category of its class")]
    LastInClass {},
    /// The owner does not consent to analytics (P-32).
    #[error("the owner does not consent to analytics")]
    ConsentMissing {},
    /// The profile has no live category of this key.
    #[error("no live category `{key}`")]
    UnknownCategory {
        /// The key.
        key: String,
    },
}

impl Refusal for BudgetProfileRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            Self::WeightsNotWhole {}
            | Self::NonPositiveIncome {}
            | Self::CurrencyMismatch { .. }
            | Self::LevelRange {} => RefusalKind::Invalid,
            Self::AlreadySetUp {} | Self::Duplicate {} | Self::LastInClass {} | Self::ConsentMissing {} => {
                RefusalKind::Conflict
            }
            Self::UnknownCategory { .. } => RefusalKind::NotFound,
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            Self::WeightsNotWhole {} => Some("needs"),
            Self::NonPositiveIncome {} | Self::CurrencyMismatch { .. } => Some("income"),
            Self::LevelRange {} => Some("level"),
            Self::Duplicate {} | Self::UnknownCategory { .. } => Some("key"),
            Self::AlreadySetUp {} | Self::LastInClass {} | Self::ConsentMissing {} => None,
        }
    }
}
