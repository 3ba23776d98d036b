//! What can be asked of a scholarship, what can have happened to it, and why a command was refused.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::{
    kernel::{
        Event, Money, Personal, Refusal, RefusalKind, Stated, Upcaster, class::Education, schemas, withheld,
    },
    opportunities::{
        ApplicationStatus, CloseReason, ScholarshipChanges, ScholarshipStatus, ScholarshipTerms,
    },
};

/// What can be asked of a scholarship.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum ScholarshipCommand {
    /// Drafts the scholarship.
    DraftScholarship(ScholarshipTerms),
    /// Revises the draft, or what is published while nobody has submitted an application (OPP-S2).
    ReviseScholarship {
        /// The fields that change.
        changes: ScholarshipChanges,
    },
    /// Publishes it: applications are taken from `opens_at` to `deadline`.
    PublishScholarship {},
    /// Moves the deadline later.
    ExtendDeadline {
        /// The new deadline.
        #[schemars(transform = schemas::instant)]
        deadline: Timestamp,
        /// Why, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Adds a payment to the fund.
    #[schemars(extend("x-system" = true))]
    RecordFundContribution {
        /// The payment; it counts once.
        payment: Uuid,
        /// The amount, in the award's currency.
        amount: Money,
        /// Who gave it, where the donor has an account.
        #[serde(default)]
        donor: Option<Uuid>,
    },
    /// Selects an application for an award (OPP-S1, OPP-S4).
    SelectAwardee {
        /// The application.
        application: Uuid,
        /// What it is awarded.
        #[schemars(transform = schemas::money_from::<1>)]
        amount: Money,
    },
    /// Takes a selection back.
    ReverseSelection {
        /// The application.
        application: Uuid,
        /// Why, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: Stated<String>,
    },
    /// Closes it to applications.
    CloseScholarship {
        /// Why.
        reason: CloseReason,
    },
    /// Puts a closed scholarship out of sight.
    ArchiveScholarship {},
}

/// What can have happened to a scholarship.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum ScholarshipEvent {
    /// It was drafted.
    ScholarshipDrafted(ScholarshipTerms),
    /// Its terms were revised.
    ScholarshipRevised { changes: ScholarshipChanges },
    /// It was published, with the initial fund (OPP-S1).
    ScholarshipPublished { fund: Money },
    /// The deadline was moved later.
    DeadlineExtended { deadline: Timestamp, reason: String },
    /// A payment was added to the fund.
    FundContributionRecorded { payment: Uuid, amount: Money, donor: Option<Uuid> },
    /// An application was selected for an award.
    AwardeeSelected { application: Uuid, amount: Money },
    /// A selection was taken back.
    SelectionReversed { application: Uuid, reason: Personal<String, Education> },
    /// It was closed to applications.
    ScholarshipClosed { reason: CloseReason },
    /// It was put out of sight.
    ScholarshipArchived {},
}

impl Event for ScholarshipEvent {
    const UPCASTERS: &'static [Upcaster] = &[Upcaster {
        event_type: "SelectionReversed",
        from: 1,
        step: |fields| withheld(fields, &["reason"]),
    }];

    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ScholarshipRefusal {
    #[error("the deadline is not after the opening")]
    DeadlineBeforeOpening {},
    #[error("an award is more than nothing")]
    NonPositiveAward {},
    #[error("the sponsor is no org unit")]
    UnknownSponsor {},
    #[error("an application was submitted: the criteria are frozen")]
    CriteriaFrozen {},
    #[error("the deadline has passed")]
    DeadlinePassed { deadline: Timestamp },
    #[error("the deadline only moves later")]
    NotLater { deadline: Timestamp },
    #[error("amounts of two currencies cannot be added or compared")]
    CurrencyMismatch {},
    #[error("there is no such application for this scholarship")]
    UnknownApplication {},
    #[error("the application is not under consideration")]
    NotUnderConsideration { status: ApplicationStatus },
    #[error("every award is given")]
    AwardsExhausted { max_awards: u32 },
    #[error("the fund does not suffice")]
    FundExhausted { remaining: Money },
    #[error("the deadline has not passed yet")]
    BeforeDeadline { deadline: Timestamp },
    #[error("the application is selected already")]
    AlreadySelected {},
    #[error("the application is not selected")]
    NotSelected {},
    #[error("the applicant has accepted the award")]
    AlreadyAccepted {},
    #[error("only a closed scholarship is archived")]
    NotClosed { status: ScholarshipStatus },
}

impl Refusal for ScholarshipRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        use ScholarshipRefusal as R;
        match self {
            R::DeadlineBeforeOpening {} | R::NonPositiveAward {} => RefusalKind::Invalid,
            R::UnknownSponsor {} | R::UnknownApplication {} => RefusalKind::NotFound,
            R::CriteriaFrozen {}
            | R::DeadlinePassed { .. }
            | R::NotLater { .. }
            | R::CurrencyMismatch {}
            | R::NotUnderConsideration { .. }
            | R::AwardsExhausted { .. }
            | R::FundExhausted { .. }
            | R::BeforeDeadline { .. }
            | R::AlreadySelected {}
            | R::NotSelected {}
            | R::AlreadyAccepted {}
            | R::NotClosed { .. } => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        use ScholarshipRefusal as R;
        match self {
            R::DeadlineBeforeOpening {} | R::NotLater { .. } => Some("deadline"),
            R::NonPositiveAward {} => Some("award"),
            R::UnknownSponsor {} => Some("sponsor"),
            R::CurrencyMismatch {} | R::FundExhausted { .. } => Some("amount"),
            R::UnknownApplication {}
            | R::NotUnderConsideration { .. }
            | R::AlreadySelected {}
            | R::NotSelected {}
            | R::AlreadyAccepted {} => Some("application"),
            R::CriteriaFrozen {}
            | R::DeadlinePassed { .. }
            | R::AwardsExhausted { .. }
            | R::BeforeDeadline { .. }
            | R::NotClosed { .. } => None,
        }
    }
}
