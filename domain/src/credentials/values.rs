//! The values of this context: credits, kinds and levels, and the bounds of what a client may state.

use std::ops::RangeInclusive;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::kernel::{bounds, schemas};

/// Milli-credits: 3.0 academic credits are 3000.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(transform = schemas::number::<0, 60_000>)]
pub struct MilliCredits(pub i32);

impl MilliCredits {
    /// The most that a credential may carry (CRD-M5): 60 credits.
    pub const MOST: MilliCredits = MilliCredits(60_000);

    /// Whether it is between 0 and [`MilliCredits::MOST`] (CRD-M5).
    pub fn in_range(self) -> bool {
        (0..=Self::MOST.0).contains(&self.0)
    }
}

/// What kind of credential it is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum CredentialType {
    #[default]
    MicroCredential,
    Certificate,
    Diploma,
    Badge,
    Specialization,
}

/// How it is taught.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Delivery {
    #[default]
    InPerson,
    Online,
    Hybrid,
    SelfPaced,
}

/// How advanced it is, from the lowest level to the highest.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
#[allow(missing_docs, reason = "the names say it")]
pub enum CredentialLevel {
    #[default]
    Introductory,
    Intermediate,
    Advanced,
    Graduate,
}

impl CredentialLevel {
    /// How many levels lie between two.
    pub fn distance(self, other: CredentialLevel) -> u8 {
        (self as u8).abs_diff(other as u8)
    }
}

/// The level of Bloom's revised taxonomy of a learning outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum BloomLevel {
    Remember,
    Understand,
    Apply,
    Analyze,
    Evaluate,
    Create,
}

/// What a learning outcome adds to the learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum OutcomeCategory {
    Knowledge,
    Skills,
    Competencies,
    Attitudes,
}

/// What kind of thing is required beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum PrerequisiteKind {
    Academic,
    WorkExperience,
    Certification,
    CourseCompletion,
    Other,
}

/// What a recognition gives.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum RecognitionType {
    #[default]
    FullCredit,
    PartialCredit,
    Equivalency,
    Exemption,
    AdvancedStanding,
}

/// What the credit counts towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum CreditType {
    Elective,
    ProgramRequired,
    GeneralEducation,
    MajorRequired,
}

/// Where the recognised credential is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum TranscriptMode {
    Listed,
    SeparateDocument,
    DigitalBadge,
    NotRecorded,
}

/// What an assessment advises (CRD-R3); a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Recommendation {
    Approve,
    Review,
    Reject,
}

/// The longest text that a client may state, in characters.
pub(super) const LONGEST_TEXT: usize = 20_000;

/// Whether a text, without the blanks around it, has so many characters, and no control characters.
pub(super) fn has_characters(text: &str, allowed: RangeInclusive<usize>) -> bool {
    // Bytes bound characters from above: a hostile text is not counted through. Blanks count towards that bound.
    text.len() <= allowed.end().saturating_mul(4)
        && allowed.contains(&text.trim().chars().count())
        && text.chars().all(bounds::is_printable)
}

/// Whether a date lies where date arithmetic cannot overflow.
pub(super) fn is_sensible(date: Date) -> bool {
    (1900..=2200).contains(&date.year())
}

/// The instant at which a day begins. Institutions state no time zone: their days are those of UTC.
pub(super) fn start_of(date: Date) -> Option<Timestamp> {
    date.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
}
