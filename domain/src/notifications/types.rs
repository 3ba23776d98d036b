//! What people are notified of, and through which channels unless they say otherwise (catalogue 2.9, the table of types).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// A way to reach somebody.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Channel {
    /// In the application: it is there as soon as it is routed (NTF-N3).
    InApp,
    /// By e-mail.
    Email,
    /// By text message.
    Sms,
    /// To a device.
    Push,
}

impl Channel {
    /// All of them.
    pub const ALL: [Channel; 4] = [Channel::InApp, Channel::Email, Channel::Sms, Channel::Push];

    /// The storage name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Priority {
    /// Nice to know.
    Low,
    /// As most.
    Medium,
    /// Something is expected of the reader, or runs out.
    High,
    /// It must reach the reader (NTF-N2).
    Critical,
}

macro_rules! types {
    ($( $Name:ident $($channel:ident)+ $(; $mark:ident)? ,)*) => {
        /// What somebody is notified of.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
            EnumString, VariantArray,
        )]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum NotificationType { $( $Name, )* }

        impl NotificationType {
            /// The channels that it goes through unless the recipient says otherwise.
            pub fn channels(self) -> &'static [Channel] {
                use Channel::{Email as E, InApp as I, Push as P, Sms as S};
                match self { $( NotificationType::$Name => &[$($channel),+], )* }
            }

            /// Whether it must reach the recipient: it asks for no preference (NTF-N2).
            pub fn is_critical(self) -> bool {
                match self { $( NotificationType::$Name => types!(@critical $($mark)?), )* }
            }

            /// Whether it may wait for the digest.
            pub fn may_wait(self) -> bool {
                match self { $( NotificationType::$Name => types!(@waits $($mark)?), )* }
            }
        }
    };
    (@critical critical) => { true };
    (@critical $($other:ident)?) => { false };
    (@waits digest) => { true };
    (@waits $($other:ident)?) => { false };
}

types! {
    // Account
    AccountVerification E; critical,
    PasswordReset E; critical,
    SecurityAlert I E S; critical,
    AccountChanged I E,
    // Opportunities
    ApplicationSubmitted I E,
    ApplicationStatus I E P,
    AwardOffer I E S P,
    ScholarshipDeadline I E S P,
    ScholarshipMatched I E P; digest,
    RecommendationRequested E,
    ReviewAssigned I E,
    NewJob I P; digest,
    JobApplicationViewed I; digest,
    JobApplicationStatus I E P,
    // Community
    NewMessage I E P; digest,
    ConnectionRequest I E P,
    ConnectionAccepted I P; digest,
    MentorshipRequest I E P,
    MentorshipStatus I E P,
    SessionScheduled I E P,
    SessionReminder I P,
    DiscussionReply I E; digest,
    NewPost I P; digest,
    ContentHidden I,
    Announcement I E,
    NewEvent I P; digest,
    EventReminder I E P,
    EventChanged I E P,
    EventCancelled I E S P,
    SeatAvailable I E P,
    // Credentials
    RecognitionDecided I E,
    RecognitionPending I E,
    PathwaySuggested I; digest,
    PathwayDecided I E,
    AwardIssued I E P,
    AwardChanged I E,
    // Budgets
    Overspend I P,
    BudgetAdjusted I P,
    RedistributionProposed I P,
    CategoryAlert I P,
    GoalAchieved I P,
    GoalDeadline I E P,
    InstallmentDue I E P,
    InstallmentOverdue I E P,
    ReceiptProcessed I P,
    ReceiptNeedsReview I P,
    ChallengeResult I P,
    InsightReady I; digest,
    MonthClosed I E; digest,
    // Projects
    ProjectDecision I E P,
    AdvisorAssigned I E,
    CommitteeAssigned I E,
    MilestoneSubmitted I E,
    MilestoneFeedback I E P,
    MilestoneDue I E P,
    MilestoneOverdue I E P,
    DefenseScheduled I E,
    DefenseChanged I E S P,
    DefenseCancelled I E S P,
    DefenseReminder I E P,
    ScoreRequested I E,
    GradePublished I E P,
    PlagiarismReview I E,
    // AI, content
    SubmissionCompleted I E S,
    SubmissionFailed I E,
    ContentPublished I; digest,
    DecisionReview I E,
    // Privacy
    PrivacyRequestUpdate I E; critical,
    PrivacyRequestDue I E,
    DisclosureNotice I E,
    BreachNotice E; critical,
    // Operations
    BiasDetected I E; critical,
    QualityFailed I E,
    AlertRaised E,
    WeeklyReport E,
    ExportReady I E,
    BulkJobDone I E,
    SystemMaintenance I E,
    PaymentReceipt I E,
    PaymentFailed I E,
    EntitlementExpiring I E,
    Digest E,
}

impl NotificationType {
    /// The storage name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_types_is_that_of_the_catalogue() {
        use Channel::{Email, InApp, Push, Sms};
        assert_eq!(NotificationType::VARIANTS.len(), 82);
        assert_eq!(NotificationType::AwardOffer.channels(), [InApp, Email, Sms, Push]);
        assert_eq!(NotificationType::BudgetAdjusted.channels(), [InApp, Push]);
        assert_eq!(NotificationType::BreachNotice.channels(), [Email]);
        let critical: Vec<_> = NotificationType::VARIANTS.iter().filter(|kind| kind.is_critical()).collect();
        assert_eq!(critical.len(), 6);
        assert!(NotificationType::MonthClosed.may_wait() && !NotificationType::AwardOffer.may_wait());
        assert!(critical.iter().all(|kind| !kind.may_wait()), "what must reach somebody never waits");
        assert_eq!(NotificationType::RecognitionDecided.name(), "recognition_decided");
    }
}
