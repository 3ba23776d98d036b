//! What can be asked of a disclosure, what can have happened to it, and why a command was refused.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::{DisclosureBasis, basis::citations};
use crate::{
    governance::ConsentGap,
    kernel::{
        Event, Personal, Refusal, RefusalKind, Stated,
        class::{Education, Identity},
        schemas,
    },
};

/// What kind of party education records are disclosed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum PartyKind {
    SchoolOfficial,
    OtherSchool,
    Employer,
    Court,
    Emergency,
    Directory,
    Student,
    Contractor,
    #[default]
    Other,
}

/// What can be asked of a disclosure.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum DisclosureCommand {
    /// Records that somebody asks for education records.
    RequestDisclosure {
        /// The student.
        subject: Uuid,
        /// Who asks.
        #[schemars(transform = schemas::text::<1, 200>)]
        party: Stated<String>,
        /// What kind of party.
        party_kind: PartyKind,
        /// Which records, by name. Directory information is `name`, `address`, `telephone`, `email`, `photograph`,
        /// `date_of_birth`, `place_of_birth`, `major`, `grade_level`, `enrollment_status`, `dates_of_attendance`,
        /// `activities`, `athletics`, `degrees`, `honors` and `previous_school`.
        #[schemars(transform = schemas::some_texts::<100, 200>)]
        records: Vec<String>,
        /// The legitimate interest in them.
        #[schemars(transform = schemas::text::<1, 20000>)]
        interest: String,
        /// The paragraph of 34 CFR that is the basis, such as `99.31(a)(1)(i)(A)`; `99.30` is consent.
        #[schemars(transform = citations)]
        basis: String,
        /// To whom the party may hand them on for the school (99.32(b), 99.33(b)).
        #[schemars(transform = schemas::texts::<100, 200>)]
        redisclosure_to: Vec<String>,
        /// The party's e-mail address, at which it is told when the records are corrected or erased (Art. 19 GDPR).
        #[serde(default)]
        #[schemars(transform = schemas::text::<3, 254>)]
        address: Option<Stated<String>>,
    },
    /// Authorises the disclosure, where its basis carries it.
    AuthorizeDisclosure {
        /// Who authorises it.
        by: Uuid,
        /// The consent that it rests on, for the basis `99.30`.
        #[serde(default)]
        consent: Option<Uuid>,
        /// The written agreement, for a study: `99.31(a)(6)(iii)(C)` asks for it.
        #[serde(default)]
        agreement: Option<Uuid>,
        /// When the student was told of a judicial order or subpoena, before it is complied with: `99.31(a)(9)(ii)`.
        #[serde(default)]
        #[schemars(transform = schemas::instant)]
        notified_at: Option<Timestamp>,
    },
    /// Refuses the request, also one that was authorised and not carried out; the refusal is kept.
    RefuseDisclosure {
        /// Why.
        #[schemars(transform = schemas::text::<1, 20000>)]
        reason: String,
    },
    /// Records the disclosure, before the first byte leaves.
    RecordDisclosure {
        /// The documents disclosed.
        #[schemars(transform = schemas::count::<100>)]
        documents: Vec<Uuid>,
        /// How, such as `mail` or `download`.
        #[schemars(transform = schemas::text::<1, 100>)]
        method: String,
        /// When; neither before the authorisation nor before the consent was signed or the student was told of an order.
        #[schemars(transform = schemas::instant)]
        at: Timestamp,
        /// The articulable and significant threat, for an emergency (99.36, 99.32(a)(5)).
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 20000>)]
        threat: Option<Stated<String>>,
    },
    /// Records that the party handed the records on.
    AppendRedisclosure {
        /// To whom.
        #[schemars(transform = schemas::text::<1, 200>)]
        party: Stated<String>,
        /// Their legitimate interest.
        #[schemars(transform = schemas::text::<1, 20000>)]
        interest: String,
        /// When.
        #[schemars(transform = schemas::instant)]
        at: Timestamp,
    },
}

/// What can have happened to a disclosure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum DisclosureEvent {
    /// Somebody asked for education records.
    DisclosureRequested {
        subject: Uuid,
        party: Personal<String, Identity>,
        party_kind: PartyKind,
        records: Vec<String>,
        interest: String,
        basis: DisclosureBasis,
        redisclosure_to: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<Personal<String, Identity>>,
    },
    /// The disclosure was authorised.
    DisclosureAuthorized {
        by: Uuid,
        consent: Option<Uuid>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agreement: Option<Uuid>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notified_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorized_at: Option<Timestamp>,
    },
    /// The request was refused.
    DisclosureRefused { reason: String },
    /// The records were disclosed.
    DisclosureRecorded {
        documents: Vec<Uuid>,
        method: String,
        at: Timestamp,
        threat: Option<Personal<String, Education>>,
        subject: Uuid,
        party_kind: PartyKind,
        basis: DisclosureBasis,
        /// Whether 99.32(d) asks for no record of it.
        exempt: bool,
        /// Whether the party is told that it may not hand them on (99.33(d)).
        redisclosure_notice: bool,
        /// The requests with the student's statements on these records: they are disclosed with them (99.21(c)(2)).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        statements: Vec<Uuid>,
        /// How many statements of the student were on file.
        #[serde(default, skip_serializing_if = "is_zero")]
        statements_on_file: u32,
    },
    /// The party handed the records on.
    RedisclosureAppended {
        party: Personal<String, Identity>,
        interest: String,
        at: Timestamp,
        /// Whether the law or the request allowed it: otherwise 99.33 was violated.
        allowed: bool,
    },
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Event for DisclosureEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum DisclosureRefusal {
    #[error("no such paragraph of 34 CFR 99.30 or 99.31 is a basis")]
    BasisUnknown {},
    #[error("the basis does not carry a disclosure to such a party")]
    BasisUnfit {},
    #[error("no consent of the student carries this disclosure")]
    ConsentMissing { gap: ConsentGap },
    #[error("the student has opted out of directory information")]
    OptedOut {},
    #[error("the records are more than directory information")]
    NotDirectoryInformation {},
    #[error("the disclosure is not authorised")]
    NotAuthorized {},
    #[error("an emergency names the articulable and significant threat")]
    ThreatMissing {},
    #[error("a study rests on a written agreement")]
    AgreementMissing {},
    #[error("the student must be told of the order before it is complied with")]
    NoticeMissing {},
    #[error("this basis carries the final results of the proceeding and nothing else")]
    NotFinalResults {},
    #[error(
        "the student had the use of these records restricted (Art. 18 GDPR); this basis does not override that"
    )]
    ProcessingRestricted {},
    #[error("a statement of the student has just been placed with the records; ask again")]
    StatementPending {},
}

impl Refusal for DisclosureRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        use DisclosureRefusal as R;
        match self {
            R::BasisUnknown {} | R::ThreatMissing {} | R::AgreementMissing {} | R::NoticeMissing {} => {
                RefusalKind::Invalid
            }
            R::StatementPending {} => RefusalKind::Unavailable,
            R::BasisUnfit {}
            | R::ConsentMissing { .. }
            | R::OptedOut {}
            | R::NotDirectoryInformation {}
            | R::NotFinalResults {}
            | R::ProcessingRestricted {}
            | R::NotAuthorized {} => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        use DisclosureRefusal as R;
        match self {
            R::BasisUnknown {} => Some("basis"),
            R::ThreatMissing {} => Some("threat"),
            R::AgreementMissing {} => Some("agreement"),
            R::NoticeMissing {} => Some("notified_at"),
            R::BasisUnfit {}
            | R::ConsentMissing { .. }
            | R::OptedOut {}
            | R::NotDirectoryInformation {}
            | R::NotFinalResults {}
            | R::StatementPending {}
            | R::ProcessingRestricted {}
            | R::NotAuthorized {} => None,
        }
    }
}
