//! The words of consent and of privacy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// What a person can consent to, beside the disclosure of education records.
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
pub enum ConsentPurpose {
    /// That models outside of the house compute something about the person.
    AiProcessing,
    /// That declared demographics are counted, to find bias.
    BiasMonitoring,
    /// Advertisements of the house.
    Marketing,
    /// Analyses beyond what a service needs.
    Analytics,
    /// That other platforms are read.
    ExternalSync,
    /// To be shown in rankings.
    Leaderboard,
    /// That text messages say what they are about.
    SmsDetail,
}

impl ConsentPurpose {
    /// All of them.
    pub const ALL: [ConsentPurpose; 7] = [
        ConsentPurpose::AiProcessing,
        ConsentPurpose::BiasMonitoring,
        ConsentPurpose::Marketing,
        ConsentPurpose::Analytics,
        ConsentPurpose::ExternalSync,
        ConsentPurpose::Leaderboard,
        ConsentPurpose::SmsDetail,
    ];

    /// The storage name, in snake case.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The law under which a person asks.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PrivacyRegime {
    /// Regulation (EU) 2016/679.
    #[default]
    Gdpr,
    /// 34 CFR 99.
    Ferpa,
}

/// What a person asks for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PrivacyRequestType {
    /// A copy of the data (Art. 15).
    #[default]
    Access,
    /// The data in a form that machines read (Art. 20).
    Portability,
    /// Correction (Art. 16).
    Rectification,
    /// Erasure (Art. 17).
    Erasure,
    /// That the data is kept and not used (Art. 18).
    Restriction,
    /// That the data is no longer used for a purpose (Art. 21).
    Objection,
    /// To inspect and review education records (34 CFR 99.10).
    Inspection,
    /// To amend education records (34 CFR 99.20).
    Amendment,
}

impl PrivacyRequestType {
    /// The law that gives this right.
    pub fn regime(self) -> PrivacyRegime {
        match self {
            PrivacyRequestType::Access
            | PrivacyRequestType::Portability
            | PrivacyRequestType::Rectification
            | PrivacyRequestType::Erasure
            | PrivacyRequestType::Restriction
            | PrivacyRequestType::Objection => PrivacyRegime::Gdpr,
            PrivacyRequestType::Inspection | PrivacyRequestType::Amendment => PrivacyRegime::Ferpa,
        }
    }

    /// Whether it asks for a record to be corrected, which is done by people.
    pub fn is_correction(self) -> bool {
        matches!(self, PrivacyRequestType::Rectification | PrivacyRequestType::Amendment)
    }

    /// Whether it is answered with a package of the data (GOV-P3).
    pub fn wants_package(self) -> bool {
        matches!(
            self,
            PrivacyRequestType::Access | PrivacyRequestType::Portability | PrivacyRequestType::Inspection
        )
    }
}

/// How a requester was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// The person is logged in.
    Session,
    /// The person has the code that was mailed to them.
    EmailCode,
    /// The person showed a document to staff.
    Document,
}

/// What came of one context's part in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// Everything was done.
    Done,
    /// Some of it was done.
    Partial,
    /// There was nothing to do.
    Nothing,
    /// It is refused, on the ground that the note gives.
    Refused,
}
