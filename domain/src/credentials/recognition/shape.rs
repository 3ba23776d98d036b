//! What can be asked of a recognition, what can have happened to it, and why a command was refused.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::{
    credentials::values::*,
    kernel::{BasisPoints, Event, Refusal, RefusalKind, schemas},
};

/// What can be asked of a recognition.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum RecognitionCommand {
    /// Proposes that an institution gives credit for another one's credential.
    ProposeRecognition {
        /// The published credential.
        credential: Uuid,
        /// The recognising institution.
        institution: Uuid,
        /// A published credential of the recognising institution to compare with; the best one where none is named.
        #[serde(default)]
        counterpart: Option<Uuid>,
        /// What it gives.
        r#type: RecognitionType,
        /// The credit in milli-credits, as CRD-R1 says for the type; full credit may leave it out.
        #[serde(default)]
        credit_value: Option<MilliCredits>,
        /// What the credit counts towards.
        #[serde(default)]
        credit_type: Option<CreditType>,
        /// Where it is recorded.
        transcript: TranscriptMode,
        /// What else a learner must meet, at most 20 000 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 20000>)]
        conditions: Option<String>,
        /// From which day it holds.
        #[schemars(transform = schemas::date)]
        effective: Date,
        /// The first day on which it no longer holds.
        #[serde(default)]
        #[schemars(transform = schemas::date)]
        expires: Option<Date>,
    },
    /// Records what an engine found (CRD-R3, CRD-R4). Nothing follows once somebody decided, or from the same job twice.
    #[schemars(extend("x-system" = true))]
    RecordCreditAssessment {
        /// The job that computed it.
        job: Uuid,
        /// What it advises.
        recommendation: Recommendation,
        /// The weighted score, 0 to 10000 bp.
        score: BasisPoints,
        /// How much of the outcomes the counterpart covers.
        overlap: BasisPoints,
        /// The shorter number of hours over the longer one.
        duration: BasisPoints,
        /// Whether the levels differ by at most one.
        level_ok: bool,
        /// How the recognising institution decided before.
        history: BasisPoints,
        /// The engine's name and version.
        engine: String,
        /// The figures in words, at most 100.
        reasons: Vec<String>,
    },
    /// Approves it (CRD-R2).
    ApproveRecognition {
        /// Where the decision is on file, 1 to 200 characters.
        #[schemars(transform = schemas::text::<1, 200>)]
        approval_reference: String,
        /// What else a learner must meet.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 20000>)]
        conditions: Option<String>,
        /// Why it is approved although the assessment advises to reject it or there is none (CRD-R3).
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 2000>)]
        override_reason: Option<String>,
    },
    /// Rejects it.
    RejectRecognition {
        /// Why, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// States its terms anew: what is left out or null is then none.
    ReviseRecognition {
        /// The credit in milli-credits, as CRD-R1 says for the type; full credit may leave it out.
        #[serde(default)]
        credit_value: Option<MilliCredits>,
        /// What else a learner must meet.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 20000>)]
        conditions: Option<String>,
        /// The first day on which it no longer holds.
        #[serde(default)]
        #[schemars(transform = schemas::date)]
        expires: Option<Date>,
    },
    /// Suspends it; a policy does so when the credential is archived (CRD-R5).
    SuspendRecognition {
        /// Why, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Lets it give credit again.
    ResumeRecognition {},
    /// Takes it back for good.
    RevokeRecognition {
        /// Why, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Ends it when its time is over (CRD-R5). Nothing follows before that.
    #[schemars(extend("x-system" = true))]
    ExpireRecognition {},
}

/// What can have happened to a recognition. The pair that it is about is in every event that frees its claim or moves
/// the pathways that need it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum RecognitionEvent {
    /// It was proposed.
    RecognitionProposed {
        credential: Uuid,
        institution: Uuid,
        counterpart: Option<Uuid>,
        r#type: RecognitionType,
        credit_value: Option<MilliCredits>,
        credit_type: Option<CreditType>,
        transcript: TranscriptMode,
        conditions: Option<String>,
        effective: Date,
        expires: Option<Date>,
        /// The person who proposed it, where it was one.
        proposed_by: Option<Uuid>,
    },
    /// An engine compared it.
    CreditAssessed {
        job: Uuid,
        recommendation: Recommendation,
        score: BasisPoints,
        overlap: BasisPoints,
        duration: BasisPoints,
        level_ok: bool,
        history: BasisPoints,
        engine: String,
        reasons: Vec<String>,
    },
    /// It was approved.
    RecognitionApproved {
        approval_reference: String,
        conditions: Option<String>,
        override_reason: Option<String>,
        credential: Uuid,
        institution: Uuid,
        r#type: RecognitionType,
        credit_value: Option<MilliCredits>,
    },
    /// It was rejected.
    RecognitionRejected { reason: String, credential: Uuid, institution: Uuid },
    /// Its terms were stated anew.
    RecognitionRevised {
        credit_value: Option<MilliCredits>,
        conditions: Option<String>,
        expires: Option<Date>,
    },
    /// It was suspended.
    RecognitionSuspended { reason: String, credential: Uuid, institution: Uuid },
    /// It gives credit again.
    RecognitionResumed { credential: Uuid, institution: Uuid },
    /// It was taken back.
    RecognitionRevoked { reason: String, credential: Uuid, institution: Uuid },
    /// Its time was over.
    RecognitionExpired { credential: Uuid, institution: Uuid },
}

impl Event for RecognitionEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum RecognitionRefusal {
    /// The institution has a live recognition of this credential.
    #[error("the institution has a live recognition of this credential")]
    DuplicateRecognition {},
    /// There is no such credential.
    #[error("there is no such credential")]
    UnknownCredential {},
    /// There is no such institution.
    #[error("there is no such institution")]
    UnknownInstitution {},
    /// There is no such counterpart.
    #[error("there is no such counterpart")]
    UnknownCounterpart {},
    /// The institution takes nothing new (IDN-O3).
    #[error("the institution is inactive")]
    InstitutionInactive {},
    /// An institution does not recognise what it issues itself.
    #[error("an institution does not recognise its own credential")]
    OwnCredential {},
    /// The credential is not, or no longer, in the registry.
    #[error("the credential is not published")]
    NotPublished {},
    /// What is compared with is a published credential of the recognising institution.
    #[error("the counterpart is not a published credential of the recognising institution")]
    CounterpartUnfit {},
    /// The value does not fit the type of the recognition (CRD-R1).
    #[error("the credit value does not fit the type of the recognition")]
    CreditRule {
        /// The type.
        r#type: RecognitionType,
        /// What the credential carries.
        credits: Option<MilliCredits>,
    },
    /// The actor does not decide for the recognising institution (CRD-R2).
    #[error("only an administrator of the recognising institution decides")]
    NotInstitutionAdmin {},
    /// The assessment advises to reject it, or there is none (CRD-R3).
    #[error("approving without, or against, the assessment needs a reason")]
    OverrideReasonMissing {},
}

impl Refusal for RecognitionRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        use RecognitionRefusal as R;
        match self {
            R::UnknownCredential {} | R::UnknownInstitution {} | R::UnknownCounterpart {} => {
                RefusalKind::NotFound
            }
            R::NotInstitutionAdmin {} => RefusalKind::Forbidden,
            R::DuplicateRecognition {}
            | R::InstitutionInactive {}
            | R::OwnCredential {}
            | R::NotPublished {}
            | R::CounterpartUnfit {}
            | R::CreditRule { .. }
            | R::OverrideReasonMissing {} => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        use RecognitionRefusal as R;
        match self {
            R::UnknownCredential {} | R::OwnCredential {} => Some("credential"),
            R::UnknownInstitution {} | R::InstitutionInactive {} => Some("institution"),
            R::UnknownCounterpart {} | R::CounterpartUnfit {} => Some("counterpart"),
            R::CreditRule { .. } => Some("credit_value"),
            R::OverrideReasonMissing {} => Some("override_reason"),
            R::DuplicateRecognition {} | R::NotPublished {} | R::NotInstitutionAdmin {} => None,
        }
    }
}
