//! What can be asked of a privacy request, what can have happened to it, and why a command was refused.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::{
    governance::{ConsentPurpose, PrivacyRegime, PrivacyRequestType, StepOutcome, Verification},
    kernel::{
        Event, Personal, RecordClass, Refusal, RefusalKind, Stated, Upcaster,
        class::{Education, Identity},
        schemas, withheld,
    },
};

/// What can be asked of a privacy request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum PrivacyRequestCommand {
    /// Opens the request.
    OpenPrivacyRequest {
        /// Whose data it is about.
        subject: Uuid,
        /// Under which law.
        regime: PrivacyRegime,
        /// What is asked for; FERPA knows `inspection` and `amendment`, GDPR the others.
        r#type: PrivacyRequestType,
        /// What the person says of it.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 20000>)]
        details: Option<Stated<String>>,
        /// The record classes it is about; none means all.
        #[schemars(transform = schemas::classes)]
        classes: Vec<RecordClass>,
        /// The education records that are contested, by the names that disclosures use: at least one for an amendment, and
        /// none for anything else.
        #[serde(default)]
        #[schemars(transform = schemas::texts::<100, 200>)]
        records: Vec<String>,
        /// The e-mail address on file, for a request that staff enter for the person: a code is sent to it, unless the
        /// person's account has a verified address, to which it then goes.
        #[serde(default)]
        #[schemars(transform = schemas::text::<3, 254>)]
        address: Option<Stated<String>>,
        /// The purposes for which the data is not to be used: at least one for an objection, `marketing` alone in one of
        /// its own, all of them where a restriction names none; for nothing else.
        #[serde(default)]
        #[schemars(transform = schemas::count::<7>)]
        purposes: Vec<ConsentPurpose>,
        /// When the request was received, where staff enter it later than that: its time runs from then (GOV-P1).
        #[serde(default)]
        #[schemars(transform = schemas::instant)]
        received_at: Option<Timestamp>,
    },
    /// Verifies that the requester is the person (GOV-P2). That somebody is logged in is not enough: keys may be destroyed for
    /// it, or everything handed out.
    #[schemars(extend("x-elevated" = "login", "x-elevated-unless" = { "method": ["email_code", "document"] }))]
    VerifyRequester {
        /// How: by the session of the person, by a code that was mailed, by a document shown to staff.
        method: Verification,
        /// The code, for `email_code`.
        #[serde(default)]
        #[schemars(transform = schemas::token::<200>)]
        proof: Option<Stated<String>>,
    },
    /// Approves the request. Whoever vouched for the requester does not: they saw the document, or entered a code that went
    /// to an address which staff gave.
    #[schemars(extend("x-elevated" = "login"))]
    ApprovePrivacyRequest {
        /// A note; why classes are left out, where some are.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 20000>)]
        note: Option<String>,
        /// The classes approved, where not all: the others are refused on the ground that the note gives (GOV-P4).
        #[serde(default)]
        #[schemars(transform = schemas::classes)]
        classes: Option<Vec<RecordClass>>,
    },
    /// Denies the request.
    DenyPrivacyRequest {
        /// The ground in law, such as `Art. 12(5)`.
        #[schemars(transform = schemas::text::<1, 200>)]
        ground: String,
        /// Why, in words for the person.
        #[schemars(transform = schemas::text::<1, 20000>)]
        note: String,
    },
    /// Extends the time, once (GOV-P1).
    ExtendPrivacyRequest {
        /// By how many months, 1 or 2.
        #[schemars(transform = schemas::number::<1, 2>)]
        months: i32,
        /// Why.
        #[schemars(transform = schemas::text::<1, 20000>)]
        reason: String,
    },
    /// Records what one context has done. Where a record is to be corrected, staff say that they did it.
    RecordFulfilmentStep {
        /// The context.
        #[schemars(transform = schemas::text::<1, 50>)]
        context: String,
        /// What came of it.
        outcome: StepOutcome,
        /// How many records it was about.
        #[schemars(transform = schemas::number::<0, 4_294_967_295>)]
        records: u32,
        /// A note.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 20000>)]
        note: Option<String>,
    },
    /// Attaches the package of the data (GOV-P3).
    #[schemars(extend("x-system" = true))]
    AttachPackage {
        /// The document.
        document: Uuid,
        /// The SHA-256 of its list of contents, in lower-case hexadecimal.
        manifest_hash: String,
    },
    /// Schedules the hearing on a refused amendment, or moves it (34 CFR 99.22).
    ScheduleHearing {
        /// When.
        #[schemars(transform = schemas::instant)]
        at: Timestamp,
        /// Who conducts it: nobody with a direct interest in its outcome.
        officer: Uuid,
    },
    /// Records what the hearing came to.
    RecordHearingOutcome {
        /// Whether the record is amended.
        amended: bool,
        /// The decision with its reasons.
        #[schemars(transform = schemas::text::<1, 20000>)]
        decision: String,
    },
    /// Attaches the person's statement, which is kept with the contested record (34 CFR 99.21).
    AttachStatement {
        /// The statement.
        #[schemars(transform = schemas::text::<1, 20000>)]
        statement: Stated<String>,
    },
    /// Completes the request.
    #[schemars(extend("x-system" = true))]
    CompletePrivacyRequest {
        /// What was done.
        summary: String,
    },
    /// Cancels the request.
    CancelPrivacyRequest {},
    /// Escalates a request whose time runs out (GOV-P6).
    #[schemars(extend("x-system" = true))]
    EscalatePrivacyRequest {
        /// The days left: 7, 2, or 0 when it is due.
        days_left: i32,
    },
    /// Escalates a request that was approved and whose fulfilment does not come to its end (P-53, P-54).
    #[schemars(extend("x-system" = true))]
    ReportStall {
        /// How many hours ago it was approved.
        hours: u32,
    },
    /// Ends a restriction, or takes an objection back. The person does so at once; staff say when it will end, and the
    /// person is told before (Art. 18(3)). An objection is the person's alone.
    LiftRestriction {
        /// Why.
        #[schemars(transform = schemas::text::<1, 20000>)]
        reason: Stated<String>,
        /// When it ends; now where left out, which only the person may do.
        #[serde(default)]
        #[schemars(transform = schemas::instant)]
        at: Option<Timestamp>,
    },
}

/// What can have happened to a privacy request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum PrivacyRequestEvent {
    /// The request was opened.
    PrivacyRequestOpened {
        subject: Uuid,
        regime: PrivacyRegime,
        r#type: PrivacyRequestType,
        details: Option<Personal<String, Identity>>,
        classes: Vec<RecordClass>,
        opened_at: Timestamp,
        due_at: Timestamp,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        records: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<Personal<String, Identity>>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        purposes: Vec<ConsentPurpose>,
        /// The SHA-256 of what is contested: of amendments with the same, one is open at a time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contests: Option<String>,
    },
    /// The requester was verified.
    RequesterVerified {
        method: Verification,
        /// Who verified them, where they did not do it themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Uuid>,
    },
    /// The request was approved, for these classes.
    PrivacyRequestApproved {
        note: Option<String>,
        regime: PrivacyRegime,
        r#type: PrivacyRequestType,
        subject: Uuid,
        classes: Vec<RecordClass>,
        refused: Vec<RecordClass>,
    },
    /// The request was denied.
    PrivacyRequestDenied {
        ground: String,
        note: String,
        regime: PrivacyRegime,
        r#type: PrivacyRequestType,
        subject: Uuid,
        /// Whether the person may ask for a hearing (34 CFR 99.21).
        hearing: bool,
        /// Who denied it.
        by: Option<Uuid>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contests: Option<String>,
    },
    /// Its time was extended.
    PrivacyRequestExtended { months: i32, reason: String, due_at: Timestamp },
    /// A context has done its part.
    FulfilmentStepRecorded { context: String, outcome: StepOutcome, records: u32, note: Option<String> },
    /// The package was attached.
    PrivacyPackageAttached { document: Uuid, manifest_hash: String },
    /// A hearing was scheduled, or moved.
    HearingScheduled { at: Timestamp, officer: Uuid },
    /// The hearing was decided.
    HearingDecided { amended: bool, decision: String },
    /// The person's statement was attached: it is kept, and disclosed, with the record (34 CFR 99.21(c)).
    StatementAttached {
        statement: Personal<String, Education>,
        #[serde(default, skip_serializing_if = "Uuid::is_nil")]
        subject: Uuid,
    },
    /// The request was completed.
    PrivacyRequestCompleted {
        summary: String,
        regime: PrivacyRegime,
        r#type: PrivacyRequestType,
        subject: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contests: Option<String>,
    },
    /// The request was cancelled.
    PrivacyRequestCancelled {
        regime: PrivacyRegime,
        r#type: PrivacyRequestType,
        subject: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contests: Option<String>,
    },
    /// The request was escalated.
    PrivacyRequestEscalated { days_left: i32 },
    /// It was approved so many hours ago, and these steps are still open.
    FulfilmentStalled { hours: u32, waiting: Vec<String> },
    /// The restriction ends then, or the objection is taken back.
    RestrictionLiftAnnounced {
        reason: Personal<String, Identity>,
        at: Timestamp,
        r#type: PrivacyRequestType,
        subject: Uuid,
    },
}

impl Event for PrivacyRequestEvent {
    const UPCASTERS: &'static [Upcaster] = &[Upcaster {
        event_type: "RestrictionLiftAnnounced",
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
pub enum PrivacyRequestRefusal {
    #[error("the person has such a request open already")]
    Duplicate {},
    #[error("the code is not the one that was sent")]
    BadCode {},
    #[error("nothing is produced before the requester is verified")]
    NotVerified {},
    #[error("a second officer must approve it")]
    SamePerson {},
    #[error("the time was extended once already")]
    AlreadyExtended {},
    #[error("this law knows no extension")]
    RegimeForbids {},
    #[error("an extension is given within the first month")]
    ExtensionTooLate {},
    #[error("steps are missing before the request is complete")]
    StepsMissing {},
    #[error("a legal hold keeps some of these classes: approve the others, with the ground")]
    LegalHoldActive {},
    #[error("who conducts the hearing must have no direct interest in its outcome")]
    OfficerInterested {
        /// Whether it is whom the command names, and not whoever issues it.
        #[serde(skip)]
        named: bool,
    },
    #[error("an objection to direct marketing is carried out whole, and nothing is weighed against it")]
    ObjectionAbsolute {},
}

impl Refusal for PrivacyRequestRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        use PrivacyRequestRefusal as R;
        match self {
            R::BadCode {} => RefusalKind::Invalid,
            R::SamePerson {} => RefusalKind::Forbidden,
            R::Duplicate {}
            | R::NotVerified {}
            | R::AlreadyExtended {}
            | R::RegimeForbids {}
            | R::ExtensionTooLate {}
            | R::StepsMissing {}
            | R::LegalHoldActive {}
            | R::OfficerInterested { .. }
            | R::ObjectionAbsolute {} => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        use PrivacyRequestRefusal as R;
        match self {
            R::BadCode {} => Some("proof"),
            R::OfficerInterested { named: true } => Some("officer"),
            R::Duplicate {}
            | R::NotVerified {}
            | R::SamePerson {}
            | R::AlreadyExtended {}
            | R::RegimeForbids {}
            | R::ExtensionTooLate {}
            | R::StepsMissing {}
            | R::LegalHoldActive {}
            | R::OfficerInterested { named: false }
            | R::ObjectionAbsolute {} => None,
        }
    }
}
