//! The words in which people say where they belong and who may see them.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

/// Who reported a student's facts (IDN-R1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FacetSource {
    /// The person.
    #[default]
    #[serde(rename = "self")]
    Own,
    /// The student information system.
    Sis,
}

/// Who finds a profile in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Who has an account.
    Members,
    /// Who belongs to the same org unit.
    Org,
    /// Nobody.
    Hidden,
}

/// How a person belongs to an org unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Relation {
    Student,
    Alumni,
    Staff,
    Faculty,
    Employee,
    Recruiter,
    Donor,
}

/// That a person belongs to an org unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affiliation {
    /// The org unit.
    pub org: Uuid,
    /// How.
    pub relation: Relation,
    /// Since when.
    pub from: Date,
}

/// With which kind of client somebody logs in (D-01).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ClientProfile {
    /// A browser: tokens in cookies that no script reads, access for 15 minutes.
    #[default]
    Web,
    /// An app on a telephone.
    Mobile,
    /// A program.
    Api,
}

impl ClientProfile {
    /// How long an access token lives, in seconds (IDN-S1).
    pub fn access_ttl_s(self) -> u32 {
        match self {
            ClientProfile::Web => 900,
            ClientProfile::Mobile | ClientProfile::Api => 7200,
        }
    }
}

/// Who else says who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum SsoProvider {
    Google,
    Microsoft,
    /// Any other provider that speaks OpenID Connect.
    Oidc,
}
