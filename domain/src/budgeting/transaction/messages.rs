//! What can be asked of a transaction, what can have happened to it, and why a command was refused.

use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::kernel::{
    BasisPoints, Event, Money, Personal, Refusal, RefusalKind, Stated, class::Financial, schemas,
};

/// What kind of transaction it is; the kind gives the sign (BUD-T1).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TransactionKind {
    /// Money spent.
    #[default]
    Expense,
    /// Money earned; it changes no envelope.
    Income,
    /// Money that came back.
    Refund,
    /// Money put aside for a goal.
    GoalContribution,
    /// A payment of an installment plan.
    InstallmentPayment,
}

impl TransactionKind {
    /// What a booked amount does to its envelope's spending: 1 adds to it, -1 takes off, `None` leaves it alone.
    pub fn spending_sign(self) -> Option<i64> {
        match self {
            TransactionKind::Expense
            | TransactionKind::GoalContribution
            | TransactionKind::InstallmentPayment => Some(1),
            TransactionKind::Refund => Some(-1),
            TransactionKind::Income => None,
        }
    }
}

/// Where a transaction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum TransactionSource {
    Manual,
    Receipt,
    Import,
    Goal,
    Installment,
}

/// A transaction as it was before an amendment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransactionBefore {
    /// The amount.
    pub amount: Money,
    /// The amount in the budget's currency.
    pub booked: Money,
    /// When.
    pub spent_at: Timestamp,
    /// The date in the owner's zone.
    pub local_date: Date,
    /// Where.
    pub merchant: Option<String>,
    /// What for.
    pub note: Option<String>,
    /// The category's key.
    pub category: String,
}

/// What can be asked of a transaction.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum TransactionCommand {
    /// Records a transaction.
    RecordTransaction {
        /// The owner.
        account: Uuid,
        /// The kind, which gives the sign (BUD-T1).
        kind: TransactionKind,
        /// How much, above zero.
        #[schemars(transform = schemas::money_from::<1>)]
        amount: Stated<Money>,
        /// When, at most 24 hours ahead (BUD-T6).
        #[schemars(transform = schemas::instant)]
        spent_at: Timestamp,
        /// Where; 1 to 200 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 200>)]
        merchant: Option<Stated<String>>,
        /// What for; 1 to 2000 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 2000>)]
        note: Option<Stated<String>>,
        /// The category's key; found out where it is left out (BUD-T3).
        #[serde(default)]
        #[schemars(transform = schemas::category_key)]
        category: Option<String>,
        /// Where it comes from.
        source: TransactionSource,
        /// Its reference there; the same is never recorded twice. 1 to 200 visible ASCII characters.
        #[serde(default)]
        #[schemars(transform = schemas::token::<200>)]
        external_ref: Option<String>,
        /// The receipt's scan.
        #[serde(default)]
        receipt: Option<Uuid>,
        /// The goal that it contributes to.
        #[serde(default)]
        goal: Option<Uuid>,
        /// The installment plan that it pays.
        #[serde(default)]
        installment: Option<Uuid>,
        /// Minor units of the budget's currency, times 10^9, for a minor unit of the amount's (ARI-5). With the date and
        /// source it is needed where the currencies differ (BUD-T2).
        #[serde(default)]
        #[schemars(transform = schemas::number::<1, { i64::MAX }>)]
        rate_e9: Option<i64>,
        /// The date of the rate.
        #[serde(default)]
        rate_date: Option<Date>,
        /// The source of the rate, such as `ecb`; 1 to 60 visible ASCII characters.
        #[serde(default)]
        #[schemars(transform = schemas::token::<60>)]
        rate_source: Option<String>,
    },
    /// Amends what is stated; what is left out stays. The rate of the recording holds for its currency.
    AmendTransaction {
        /// How much, above zero.
        #[serde(default)]
        #[schemars(transform = schemas::money_from::<1>)]
        amount: Option<Stated<Money>>,
        /// When, at most 24 hours ahead.
        #[serde(default)]
        spent_at: Option<Timestamp>,
        /// Where; 1 to 200 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 200>)]
        merchant: Option<Stated<String>>,
        /// What for; 1 to 2000 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 2000>)]
        note: Option<Stated<String>>,
        /// The category's key.
        #[serde(default)]
        #[schemars(transform = schemas::category_key)]
        category: Option<String>,
    },
    /// Puts it into another category.
    RecategorizeTransaction {
        /// The category's key.
        #[schemars(transform = schemas::category_key)]
        category: String,
        /// Whether later transactions of this merchant go there too (BUD-T7).
        learn: bool,
    },
    /// Voids it: it was a mistake, and counts nowhere any more.
    VoidTransaction {
        /// Why; 1 to 500 characters.
        #[schemars(transform = schemas::text::<1, 500>)]
        reason: Stated<String>,
    },
}

/// What can have happened to a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands, and what followed from them")]
pub enum TransactionEvent {
    /// The transaction was recorded. `booked` is in the budget's currency; `engine` says what found the category.
    TransactionRecorded {
        account: Uuid,
        kind: TransactionKind,
        amount: Personal<Money, Financial>,
        booked: Personal<Money, Financial>,
        spent_at: Timestamp,
        local_date: Date,
        merchant: Option<Personal<String, Financial>>,
        merchant_normalized: Option<Personal<String, Financial>>,
        note: Option<Personal<String, Financial>>,
        category: String,
        confidence: BasisPoints,
        engine: String,
        source: TransactionSource,
        /// The keyed hash of its reference there.
        external_ref: Option<String>,
        receipt: Option<Uuid>,
        goal: Option<Uuid>,
        installment: Option<Uuid>,
        rate_e9: Option<i64>,
        rate_date: Option<Date>,
        rate_source: Option<String>,
        possible_duplicate_of: Option<Uuid>,
    },
    /// The transaction was amended. What was not stated is absent, but `category`, `booked` and `local_date` are always
    /// those that hold now.
    TransactionAmended {
        account: Uuid,
        kind: TransactionKind,
        amount: Option<Personal<Money, Financial>>,
        spent_at: Option<Timestamp>,
        merchant: Option<Personal<String, Financial>>,
        merchant_normalized: Option<Personal<String, Financial>>,
        note: Option<Personal<String, Financial>>,
        category: String,
        before: Personal<TransactionBefore, Financial>,
        booked: Personal<Money, Financial>,
        local_date: Date,
    },
    /// The transaction was put into another category.
    TransactionRecategorized {
        account: Uuid,
        kind: TransactionKind,
        category: String,
        learn: bool,
        from: String,
        booked: Personal<Money, Financial>,
        merchant_normalized: Option<Personal<String, Financial>>,
        local_date: Date,
    },
    /// The transaction was voided.
    TransactionVoided {
        account: Uuid,
        kind: TransactionKind,
        reason: Personal<String, Financial>,
        booked: Personal<Money, Financial>,
        category: String,
        local_date: Date,
    },
}

impl Event for TransactionEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum TransactionRefusal {
    /// The account has set up no budget.
    #[error("the account has set up no budget")]
    NoProfile {},
    /// An amount is above zero; the kind gives the sign (BUD-T1).
    #[error("an amount is above zero")]
    NonPositiveAmount {},
    /// Another currency needs a rate, its date and its source (BUD-T2).
    #[error("an amount of another currency needs a rate, its date and its source")]
    FxRateMissing {},
    /// The owner has a transaction with this reference from this source.
    #[error("a transaction with this reference is recorded already")]
    DuplicateExternal {},
    /// The owner's profile has no live category of this key.
    #[error("no live category `{category}`")]
    UnknownCategory {
        /// The key.
        category: String,
    },
    /// It lies more than 24 hours ahead (BUD-T6).
    #[error("a transaction lies at most 24 hours ahead")]
    FutureDate {},
    /// The transaction is voided.
    #[error("the transaction is voided")]
    Voided {},
    /// The transaction is voided already.
    #[error("the transaction is voided already")]
    AlreadyVoided {},
}

impl Refusal for TransactionRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            Self::NonPositiveAmount {} | Self::FxRateMissing {} | Self::FutureDate {} => RefusalKind::Invalid,
            Self::UnknownCategory { .. } => RefusalKind::NotFound,
            Self::NoProfile {} | Self::DuplicateExternal {} | Self::Voided {} | Self::AlreadyVoided {} => {
                RefusalKind::Conflict
            }
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            Self::NonPositiveAmount {} => Some("amount"),
            Self::FxRateMissing {} => Some("rate_e9"),
            Self::UnknownCategory { .. } => Some("category"),
            Self::FutureDate {} => Some("spent_at"),
            Self::NoProfile {} | Self::DuplicateExternal {} | Self::Voided {} | Self::AlreadyVoided {} => {
                None
            }
        }
    }
}
