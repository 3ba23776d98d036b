//! What can be asked of a month's budget, what can have happened to it, and why a command was refused.
//!
//! Amounts of a whole month travel together in one personal value. Inside of it, maps by category hold minor units of the
//! month's currency, and days are numbered from 1.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::{
    budgeting::{CategoryClass, MonthFigures, Pacing, RedistributionMode, Split, YearMonth},
    kernel::{
        BasisPoints, Currency, Event, Money, Personal, Refusal, RefusalKind, Stated, class::Financial,
        schemas,
    },
};

/// The days whose plan changes: per category and day (from 1), the new plan in minor units of the month's currency.
pub type PlanChanges = BTreeMap<String, BTreeMap<u8, i64>>;

/// What of a category a month keeps from its opening on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MonthCategory {
    /// Its key.
    pub key: String,
    /// Its class.
    pub class: CategoryClass,
    /// Its priority level.
    pub level: u8,
    /// Whether it never gives money away.
    pub essential: bool,
    /// How its envelope is paced.
    pub pacing: Pacing,
    /// The day of a `fixed_day` category; the last day if the month is shorter.
    #[serde(default)]
    pub fixed_day: Option<u8>,
    /// From which part of its envelope on the owner wants to be told.
    #[serde(default)]
    pub alert: Option<BasisPoints>,
}

/// What an income is split into, in minor units of the month's currency; together they are the income.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClassAmounts {
    /// For needs.
    pub needs: i64,
    /// For wants.
    pub wants: i64,
    /// For savings.
    pub savings: i64,
}

/// The amounts that a month is opened with (BUD-M1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpeningAmounts {
    /// The month's income.
    pub income: Money,
    /// What each class gets of it.
    pub classes: ClassAmounts,
    /// What each category gets, in minor units of the month's currency.
    pub envelopes: BTreeMap<String, i64>,
    /// The plan of each category, one amount for each day of the month.
    pub plans: BTreeMap<String, Vec<i64>>,
}

/// The amounts that a month is reallocated to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReallocatedAmounts {
    /// The month's income.
    pub income: Money,
    /// What each class gets of it.
    pub classes: ClassAmounts,
    /// What each category gets, in minor units of the month's currency; 0 where its budget is gone.
    pub envelopes: BTreeMap<String, i64>,
    /// The days whose plan changes.
    pub plans: PlanChanges,
}

/// What a category gave, or got back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transfer {
    /// The category.
    pub category: String,
    /// How much.
    pub amount: Money,
}

/// The amounts of a redistribution; `covered + uncovered = needed`, and `covered` is the sum of the transfers (BUD-M8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedistributedAmounts {
    /// The overspend.
    pub needed: Money,
    /// What the donors gave.
    pub covered: Money,
    /// What nobody gave.
    pub uncovered: Money,
    /// What each donor gave, in the order in which they were asked.
    pub transfers: Vec<Transfer>,
    /// The days whose plan changes.
    pub plans: PlanChanges,
}

/// The amounts of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposedAmounts {
    /// The overspend.
    pub needed: Money,
    /// What the donors would give.
    pub covered: Money,
    /// What each donor would give, in the order in which they would be asked.
    pub transfers: Vec<Transfer>,
}

/// The amounts of a reversal (BUD-M11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevertedAmounts {
    /// What each donor got back.
    pub returned: Vec<Transfer>,
    /// The days whose plan changes.
    pub plans: PlanChanges,
}

/// The amounts of a move between envelopes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MovedAmounts {
    /// How much was moved.
    pub amount: Money,
    /// The days whose plan changes.
    pub plans: PlanChanges,
}

/// The amounts of an adjusted daily plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdjustedAmounts {
    /// The new plan of the day.
    pub planned: Money,
    /// The days whose plan changes, that day among them.
    pub plans: PlanChanges,
}

/// What a month came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClosingAmounts {
    /// The sum of the envelopes.
    pub planned: Money,
    /// What was spent, refunds taken off, savings not counted.
    pub spent: Money,
    /// What was put into savings categories.
    pub saved: Money,
}

/// Why a month is reallocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ReallocationReason {
    Income,
    Split,
    Categories,
}

/// What brought a redistribution or its reversal about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedistributionCause {
    /// The transaction itself, in mode `auto` (BUD-M10).
    Automatic,
    /// The person.
    Person,
    /// The person, by accepting a proposal.
    Accepted,
}

/// Why a proposal came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DismissalCause {
    /// The person did not want it.
    Person,
    /// Nobody answered in time; only the system says so.
    Expired,
}

/// What can be asked of a month's budget.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum BudgetMonthCommand {
    /// Opens the month with the envelopes and daily plans that follow from the owner's profile (BUD-M1). The stream's id
    /// is derived from account and month.
    OpenBudgetMonth {
        /// The owner.
        account: Uuid,
        /// The month.
        month: YearMonth,
    },
    /// Computes the envelopes anew from the owner's profile as it is now, its mode included; days that have passed keep
    /// their plan (BUD-P4, BUD-M10).
    ReallocateMonth {
        /// What changed.
        reason: ReallocationReason,
    },
    /// Applies a transaction to its category and day.
    #[schemars(extend("x-system" = true))]
    ApplySpend {
        /// The transaction.
        transaction: Uuid,
        /// The category's key.
        category: String,
        /// The local date.
        date: Date,
        /// How much, in the month's currency; a refund is below zero.
        amount: Stated<Money>,
    },
    /// Takes an applied transaction back: what was applied counts, whatever this command says of it.
    #[schemars(extend("x-system" = true))]
    ReverseSpend {
        /// The transaction.
        transaction: Uuid,
        /// The category's key.
        category: String,
        /// The local date.
        date: Date,
        /// How much was applied.
        amount: Stated<Money>,
    },
    /// Has the donors cover an overspend.
    RedistributeBudget {
        /// A new id for it.
        redistribution: Uuid,
        /// The overspent category.
        #[schemars(transform = schemas::category_key)]
        category: String,
        /// The day of the overspend.
        date: Date,
    },
    /// Offers the person to cover an overspend, for 24 hours.
    #[schemars(extend("x-system" = true))]
    ProposeRedistribution {
        /// A new id for it.
        redistribution: Uuid,
        /// The overspent category.
        category: String,
        /// The day of the overspend.
        date: Date,
    },
    /// Accepts a proposal; it is computed anew against the envelopes of this moment.
    AcceptRedistribution {
        /// The proposal.
        redistribution: Uuid,
    },
    /// Dismisses a proposal.
    DismissRedistribution {
        /// The proposal.
        redistribution: Uuid,
        /// Why.
        cause: DismissalCause,
    },
    /// Gives back what was redistributed, as far as it is still there (BUD-M11).
    RevertRedistribution {
        /// The redistribution.
        redistribution: Uuid,
        /// Why; 1 to 500 characters.
        #[schemars(transform = schemas::text::<1, 500>)]
        reason: Stated<String>,
    },
    /// Moves money from one envelope to another. Sacred and savings envelopes never give.
    MoveBetweenEnvelopes {
        /// The envelope that gives.
        #[schemars(transform = schemas::category_key)]
        from: String,
        /// The envelope that gets.
        #[schemars(transform = schemas::category_key)]
        to: String,
        /// How much, above zero.
        #[schemars(transform = schemas::money_from::<1>)]
        amount: Stated<Money>,
    },
    /// Sets the plan of today or a later day; what is left is spread over the days after it.
    AdjustDailyPlan {
        /// The category.
        #[schemars(transform = schemas::category_key)]
        category: String,
        /// The day.
        date: Date,
        /// Its new plan, not below zero.
        #[schemars(transform = schemas::money_from::<0>)]
        planned: Stated<Money>,
    },
    /// Closes the month. The clock does so from the fourth day of the next one on, and where it opened the month late itself,
    /// three days after that; another one that was opened after its end is history that is brought in, and its owner closes it
    /// once it is complete (BUD-M12).
    CloseBudgetMonth {},
}

/// What can have happened to a month's budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum BudgetMonthEvent {
    /// The month was opened. `after_end`: it was over by then. That is history that is imported, and closes only by command,
    /// unless the clock was late.
    BudgetMonthOpened {
        account: Uuid,
        month: YearMonth,
        tz: String,
        currency: Currency,
        mode: RedistributionMode,
        after_end: bool,
        split: Split,
        categories: Vec<MonthCategory>,
        amounts: Personal<OpeningAmounts, Financial>,
    },
    /// The envelopes were computed anew; what was redistributed before can no longer be reverted. `overtaken`: which
    /// redistributions these are; not said in events from before it was kept.
    BudgetMonthReallocated {
        reason: ReallocationReason,
        mode: RedistributionMode,
        split: Split,
        categories: Vec<MonthCategory>,
        amounts: Personal<ReallocatedAmounts, Financial>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overtaken: Vec<Uuid>,
    },
    /// A transaction was applied. `after_close`: it is on record, and the closed month stays as it was (BUD-M12).
    SpendApplied {
        transaction: Uuid,
        category: String,
        date: Date,
        amount: Personal<Money, Financial>,
        after_close: bool,
    },
    /// A category was overspent, more than was known before (BUD-M3).
    OverspendDetected {
        category: String,
        date: Date,
        overspend: Personal<Money, Financial>,
        transaction: Uuid,
    },
    /// So much of an envelope is spent that the owner wants to be told.
    CategoryAlertTriggered { category: String, used: BasisPoints },
    /// An applied transaction was taken back. `after_close`: the closed month stays as it was.
    SpendReversed {
        transaction: Uuid,
        category: String,
        date: Date,
        amount: Personal<Money, Financial>,
        after_close: bool,
    },
    /// Donors covered an overspend, wholly or in part. `transaction`: the causing one of an automatic redistribution.
    BudgetRedistributed {
        redistribution: Uuid,
        category: String,
        date: Date,
        cause: RedistributionCause,
        transaction: Option<Uuid>,
        days_left: u8,
        amounts: Personal<RedistributedAmounts, Financial>,
    },
    /// A redistribution was offered.
    RedistributionProposed {
        redistribution: Uuid,
        category: String,
        date: Date,
        expires_at: Timestamp,
        amounts: Personal<ProposedAmounts, Financial>,
    },
    /// A proposal was dismissed, or nobody answered in time.
    RedistributionDismissed { redistribution: Uuid, cause: DismissalCause },
    /// What was redistributed went back to the donors, as far as it was still there.
    RedistributionReverted {
        redistribution: Uuid,
        category: String,
        date: Date,
        cause: RedistributionCause,
        reason: Option<Personal<String, Financial>>,
        amounts: Personal<RevertedAmounts, Financial>,
    },
    /// Money was moved between envelopes.
    EnvelopeMoved { from: String, to: String, amounts: Personal<MovedAmounts, Financial> },
    /// The plan of a day was set.
    DailyPlanAdjusted { category: String, date: Date, amounts: Personal<AdjustedAmounts, Financial> },
    /// The month was closed. `adherence`: green category-days of those with a plan; `savings_rate`: saved of the income;
    /// both unknown where there is nothing to divide by. `figures`: what cohorts are found from (BUD-P5); not there where
    /// the month was closed before they were kept.
    BudgetMonthClosed {
        amounts: Personal<ClosingAmounts, Financial>,
        adherence: Option<BasisPoints>,
        savings_rate: Option<BasisPoints>,
        figures: Option<Personal<MonthFigures, Financial>>,
    },
}

impl Event for BudgetMonthEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum BudgetMonthRefusal {
    /// The account has this month open already.
    #[error("the month is open already")]
    AlreadyOpen {},
    /// The account has set up no budget, or its income is erased.
    #[error("the account has set up no budget")]
    NoProfile {},
    /// A category would get less than is spent in it.
    #[error("more than that is already spent in `{category}`")]
    BelowSpent {
        /// The category.
        category: String,
    },
    /// The month is closed.
    #[error("the month is closed")]
    Closed {},
    /// The month is not over, or not for three days.
    #[error("the month closes from {closes_on} on")]
    NotOver {
        /// The first day on which it can be closed.
        closes_on: Date,
    },
    /// The date lies in another month.
    #[error("the date lies in another month than {month}")]
    WrongMonth {
        /// The month.
        month: YearMonth,
    },
    /// The amount is of another currency than the month.
    #[error("the month is kept in {expected}")]
    CurrencyMismatch {
        /// The month's currency.
        expected: Currency,
    },
    /// The transaction is applied already.
    #[error("the transaction is applied already")]
    AlreadyApplied {},
    /// The transaction is not applied.
    #[error("the transaction is not applied to this month")]
    UnknownTransaction {},
    /// The month has no envelope for this category.
    #[error("no envelope `{category}` in this month")]
    UnknownCategory {
        /// The category.
        category: String,
    },
    /// Nothing is overspent there.
    #[error("nothing is overspent there")]
    NothingOverspent {},
    /// No category has anything to give.
    #[error("no category has anything to give")]
    NothingToGive {},
    /// The month knows this redistribution already.
    #[error("the month knows this redistribution already")]
    RedistributionExists {},
    /// The month knows no such redistribution.
    #[error("no such redistribution")]
    UnknownRedistribution {},
    /// The proposal is no longer open.
    #[error("the proposal is no longer open")]
    ProposalExpired {},
    /// The redistribution is reverted already, or a reallocation has overtaken it.
    #[error("the redistribution is reverted already, or a reallocation has overtaken it")]
    AlreadyReverted {},
    /// A sacred or savings envelope never gives.
    #[error("the envelope of `{category}` never gives")]
    SacredDonor {
        /// The category.
        category: String,
    },
    /// Less than that remains in the envelope.
    #[error("less than that remains in the envelope")]
    InsufficientRemaining {},
    /// The day has passed.
    #[error("the day has passed")]
    PastDay {},
    /// The envelope does not hold that much.
    #[error("the envelope does not hold that much")]
    BeyondEnvelope {},
}

impl Refusal for BudgetMonthRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            Self::WrongMonth { .. } | Self::CurrencyMismatch { .. } => RefusalKind::Invalid,
            Self::UnknownTransaction {} | Self::UnknownCategory { .. } | Self::UnknownRedistribution {} => {
                RefusalKind::NotFound
            }
            Self::AlreadyOpen {}
            | Self::NoProfile {}
            | Self::BelowSpent { .. }
            | Self::Closed {}
            | Self::NotOver { .. }
            | Self::AlreadyApplied {}
            | Self::NothingOverspent {}
            | Self::NothingToGive {}
            | Self::RedistributionExists {}
            | Self::ProposalExpired {}
            | Self::AlreadyReverted {}
            | Self::SacredDonor { .. }
            | Self::InsufficientRemaining {}
            | Self::PastDay {}
            | Self::BeyondEnvelope {} => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            Self::WrongMonth { .. } => Some("date"),
            _ => None,
        }
    }
}
