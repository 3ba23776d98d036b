//! What a package says. The schema of these types is published (`docs/package.schema.json`).

use domain::governance::{PrivacyRegime, PrivacyRequestType};
use event_store::{Position, integrity::Proofs};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::governance::ProcessingRecord;

/// The version of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub enum PackageFormat {
    /// The only one there is.
    #[default]
    #[serde(rename = "annals-package/v1")]
    V1,
}

/// A person's data, as of one position of the log, and what the law has them told with it. Times are RFC 3339 in UTC. Where a
/// value stands no more, `«erased»` stands in its place; where the reader is not given it, `«withheld»`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Package {
    /// `annals-package/v1`.
    pub format: PackageFormat,
    /// The request that it answers.
    pub request: Uuid,
    /// The person.
    pub subject: Uuid,
    /// Under which law it was asked for.
    pub regime: PrivacyRegime,
    /// What was asked for: `access`, `portability` or `inspection`.
    pub r#type: PrivacyRequestType,
    /// It is complete up to this position of the log, and has nothing that is later.
    pub position: Position,
    /// When the event at that position was recorded.
    pub as_of: Timestamp,
    /// The SHA-256 of the list of contents, as it was recorded in the log when the request was fulfilled. The list is text:
    /// `annals-package/v1`, the request, the person, the type and the position, then for each event its position, a space
    /// and the hash of its leaf in the log's tree in lower-case hexadecimal; every line ends with a line feed.
    pub manifest_sha256: String,
    /// What the person may do, and whom they can turn to.
    pub rights: Vec<String>,
    /// What is held, by record class.
    pub classes: Vec<ClassHeld>,
    /// The data as it stands, as the parts of the system show it to the person.
    pub rows: Vec<RowsHeld>,
    /// The events about the person, in the order in which they were recorded. Those that say who read or received the data
    /// stand under the recipients; a package for portability has those that the person caused themselves.
    pub records: Vec<PackageRecord>,
    /// For which purposes, and on which legal bases, the person's data was processed.
    pub purposes: Vec<PurposeUsed>,
    /// The activities that process it (Art. 30): entries of the register, and the house's defaults where none covers it.
    pub processing: Vec<ProcessingRecord>,
    /// Where the data came from.
    pub sources: Vec<SourceOf>,
    /// Who received it, and who saw it.
    pub recipients: Recipients,
    /// What machines decided about the person, explained (Art. 15(1)(h), Art. 22).
    pub decisions: Vec<DecisionExplained>,
    /// What is not in here, and why.
    pub withheld: Vec<Withheld>,
    /// That each of these events is in the log as it was signed; verifiable offline (`docs/integrity.md`).
    pub proofs: Option<Proofs>,
    /// What the log's key signs of the package: a compact JWS (RFC 7515, EdDSA) over how many records, reads and proofs it has
    /// and the SHA-256 of its other fields, as JSON with the fields of each object in the order of their names and without white
    /// space, in lower-case hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// The schema of packages, as it is published.
pub fn package_schema() -> Value {
    let mut schema = schemars::schema_for!(Package).to_value();
    schema["title"] = "annals-package/v1".into();
    schema
}

/// What is held in one record class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClassHeld {
    /// The class.
    pub class: String,
    /// Whether it is education records (34 CFR 99.3).
    pub education_record: bool,
    /// In which contexts.
    pub contexts: Vec<String>,
    /// In how many events.
    pub events: u64,
    /// When the first was recorded.
    pub first: Timestamp,
    /// When the last was recorded.
    pub last: Timestamp,
    /// How long it is kept.
    pub retention: Retention,
}

/// How long a class is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Retention {
    /// For how many days.
    pub days: u32,
    /// From when they count.
    pub after: String,
    /// What is then done.
    pub action: String,
    /// On which legal basis; none where the house's default applies.
    pub legal_basis: Option<String>,
}

/// Rows of one read model.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RowsHeld {
    /// Its name.
    pub name: String,
    /// What one row is.
    pub what: String,
    /// The rows, each as it stood after the last event about it.
    pub rows: Vec<Value>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PackageRecord {
    /// Its place in the log.
    pub position: Position,
    /// Its identity.
    pub event_id: Uuid,
    /// What happened.
    pub r#type: String,
    /// In which context.
    pub context: String,
    /// To what: `type/id`.
    pub thing: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Who acted.
    pub by: String,
    /// For what purpose, where the event itself states one; the purposes of the package have it for all.
    pub purpose: Option<String>,
    /// On what legal basis, where the event itself states one.
    pub legal_basis: Option<String>,
    /// The record classes of the personal data in it.
    pub classes: Vec<String>,
    /// What it was computed from.
    pub derived_from: Vec<String>,
    /// How it was computed.
    pub transformation: Option<String>,
    /// What it says.
    pub data: Value,
}

/// How often data was processed for a purpose. An event whose data is processed for several counts for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PurposeUsed {
    /// The purpose that the event states, else that of the activity that covers its data.
    pub purpose: String,
    /// The legal basis that the event states, else that of the activity.
    pub legal_basis: String,
    /// Whether one of both is a default of the house, which nobody has confirmed.
    pub default: bool,
    /// In how many events.
    pub events: u64,
}

/// Where data came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceOf {
    /// Who recorded it: `you`, `another person`, `a program`, or the part of the system.
    pub source: String,
    /// In how many events.
    pub events: u64,
}

/// Who received data, and who saw it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Recipients {
    /// The record of requests for and disclosures of education records (34 CFR 99.32), and whether they were granted.
    pub disclosures: Vec<Value>,
    /// Each time that somebody else read data of the person.
    pub reads: Vec<ReadByOthers>,
}

/// Somebody read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReadByOthers {
    /// Its place in the log.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    /// The account that read; where that is no person's, what acted.
    pub by: String,
    /// By which way.
    pub route: String,
    /// What.
    pub resource: String,
    /// For what purpose.
    pub purpose: Option<String>,
}

/// What a machine decided, explained.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DecisionExplained {
    /// The decision.
    pub decision: Uuid,
    /// When.
    pub at: Timestamp,
    /// To which family of decisions it belongs.
    pub family: String,
    /// What kind of output it is, such as `score`.
    pub r#type: String,
    /// What computed it.
    pub engine: String,
    /// In which version.
    pub version: Option<String>,
    /// The trained model, where there is one.
    pub model: Option<Uuid>,
    /// What it is about, such as an application.
    pub about: Uuid,
    /// What it was computed from, by reference; the records have what these say of the person.
    pub inputs: Vec<String>,
    /// How it was computed.
    pub transformation: Option<String>,
    /// The score in basis points, 0 to 10000.
    pub score_bp: i64,
    /// From which score on it favours the person.
    pub threshold_bp: Option<i64>,
    /// Whether it favours the person.
    pub favourable: bool,
    /// The factors and how much they weighed, the strongest first.
    pub explanation: Value,
    /// Whether what it favours came true, once that is known.
    pub came_true: Option<bool>,
    /// Why the person contests it.
    pub contested: Option<Value>,
    /// What the human found who reviewed it.
    pub review: Option<DecisionReview>,
    /// What the person can do about it.
    pub remedy: String,
}

/// What a human found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DecisionReview {
    /// When.
    pub at: Timestamp,
    /// `upheld` or `overturned`.
    pub verdict: String,
    /// Why.
    pub reason: String,
}

/// What is not in the package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Withheld {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
    /// How many of them there are, where they can be counted.
    pub count: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_current() {
        let committed: Value =
            serde_json::from_str(include_str!("../../../../docs/package.schema.json")).unwrap();
        assert!(committed == package_schema(), "run `annals package-schema > docs/package.schema.json`");
    }
}
