//! The one list of read models. The follower, rebuilds, queries, OpenAPI and the analysts' views are made from it;
//! adding a read model is adding a line.

use crate::model::ReadModel;

macro_rules! read_models {
    ($($kind:ident $path:path;)*) => {
        static READ_MODELS: &[&dyn ReadModel] = &[$( read_models!(@$kind $path), )*];
    };
    (@table $path:path) => { &crate::model::TableModel::<$path>::NEW };
    (@ledger $path:path) => { &crate::model::LedgerModel::<$path>::NEW };
}

/// All read models, in the order of catalogue 4.1.
pub fn read_models() -> &'static [&'static dyn ReadModel] {
    READ_MODELS
}

read_models! {
    table crate::identity::Accounts;
    table crate::identity::Sessions;
    table crate::identity::ApiClients;
    table crate::identity::SecurityPolicies;
    table crate::identity::OrgDirectory;
    table crate::identity::People;
    table crate::identity::Profiles;
    table crate::opportunities::Scholarships;
    table crate::opportunities::Applications;
    table crate::opportunities::ApplicationReviews;
    table crate::opportunities::ScholarshipFunnel;
    table crate::credentials::Credentials;
    table crate::credentials::Recognitions;
    table crate::budgeting::BudgetCalendar;
    table crate::budgeting::Envelopes;
    table crate::budgeting::Transactions;
    table crate::budgeting::Redistributions;
    table crate::budgeting::ClosedMonths;
    table crate::budgeting::MerchantRules;
    table crate::intelligence::Decisions;
    table crate::governance::RetentionBoard;
    table crate::governance::LegalHolds;
    table crate::governance::Keys;
    table crate::governance::LogIndex;
    table crate::governance::Consents;
    table crate::governance::PrivacyRequests;
    table crate::governance::DisclosureLog;
    table crate::governance::RecipientNotices;
    table crate::governance::ProcessingRegister;
    table crate::governance::Incidents;
    table crate::governance::AuditReplays;
    table crate::notifications::Notifications;
    table crate::notifications::NotificationSettings;
}
