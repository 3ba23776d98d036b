//! What can be asked of a micro-credential, what can have happened to it, and why a command was refused.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::{
    credentials::values::*,
    kernel::{BasisPoints, Event, Money, Refusal, RefusalKind, schemas},
};

/// The `engine` of a classification that a person made (CRD-M7).
pub const BY_PERSON: &str = "human";

/// The most outcomes of one credential (CRD-M2).
pub const MOST_OUTCOMES: usize = 40;

/// The most prerequisites of one credential.
pub const MOST_PREREQUISITES: usize = 40;

/// A patch of what the drafting command stated; a field that is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialChanges {
    /// The unique code (CRD-M1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::program_code)]
    pub program_code: Option<String>,
    /// The title, 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::text::<1, 200>)]
    pub title: Option<String>,
    /// What it is about, at most 20 000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::text::<0, 20000>)]
    pub description: Option<String>,
    /// What kind of credential it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<CredentialType>,
    /// How it is taught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// The learner's hours, at most 100 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::number::<0, 100_000>)]
    pub hours: Option<u32>,
    /// The credits (CRD-M5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<MilliCredits>,
    /// How advanced it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<CredentialLevel>,
    /// What it costs, not below zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::money_from::<0>)]
    pub cost: Option<Money>,
    /// The language that it is taught in, a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::language)]
    pub language: Option<String>,
    /// How learners are assessed, at most 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::text::<0, 2000>)]
    pub assessment: Option<String>,
    /// The credential of the same institution, once published, that this one takes the place of (CRD-M4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Uuid>,
}

impl CredentialChanges {
    /// The first field stated that is frozen after publication (CRD-M4).
    pub fn frozen(&self) -> Option<&'static str> {
        let stated = [
            ("program_code", self.program_code.is_some()),
            ("title", self.title.is_some()),
            ("hours", self.hours.is_some()),
            ("credits", self.credits.is_some()),
            ("level", self.level.is_some()),
            ("supersedes", self.supersedes.is_some()),
        ];
        stated.into_iter().find_map(|(field, stated)| stated.then_some(field))
    }
}

/// What can be asked of a micro-credential.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum MicroCredentialCommand {
    /// Drafts the credential.
    DraftCredential {
        /// The unique code, 2 to 64 of A-Z, a-z, 0-9 and `.` `_` `/` `-` (CRD-M1).
        #[schemars(transform = schemas::program_code)]
        program_code: String,
        /// The title, 1 to 200 characters.
        #[schemars(transform = schemas::text::<1, 200>)]
        title: String,
        /// What it is about, at most 20 000 characters; a review needs 50 (CRD-M2).
        #[schemars(transform = schemas::text::<0, 20000>)]
        description: String,
        /// The institution that issues it; it must be active (IDN-O3).
        institution: Uuid,
        /// What kind of credential it is.
        r#type: CredentialType,
        /// How it is taught.
        delivery: Delivery,
        /// The learner's hours, at most 100 000; a review needs 1 (CRD-M2).
        #[schemars(transform = schemas::number::<0, 100_000>)]
        hours: u32,
        /// The credits in milli-credits, 0 to 60 000 (CRD-M5).
        #[serde(default)]
        credits: Option<MilliCredits>,
        /// How advanced it is.
        level: CredentialLevel,
        /// What it costs, not below zero.
        #[serde(default)]
        #[schemars(transform = schemas::money_from::<0>)]
        cost: Option<Money>,
        /// The language that it is taught in, a BCP 47 tag.
        #[schemars(transform = schemas::language)]
        language: String,
        /// How learners are assessed, at most 2000 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 2000>)]
        assessment: Option<String>,
    },
    /// Revises what the draft stated; after publication only what CRD-M4 does not freeze.
    ReviseCredential {
        /// What changes.
        changes: CredentialChanges,
    },
    /// Adds a learning outcome to the draft.
    AddLearningOutcome {
        /// The new outcome's id.
        outcome: Uuid,
        /// The statement, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        text: String,
        /// Whether the credential stands on it.
        core: bool,
        /// Its place among the others, at most 10 000.
        #[schemars(transform = schemas::number::<0, 10_000>)]
        order: u32,
    },
    /// States an outcome of the draft anew.
    ReviseLearningOutcome {
        /// The outcome.
        outcome: Uuid,
        /// The statement, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        text: String,
        /// Whether the credential stands on it.
        core: bool,
        /// Its place among the others, at most 10 000.
        #[schemars(transform = schemas::number::<0, 10_000>)]
        order: u32,
    },
    /// Removes an outcome from the draft.
    RemoveLearningOutcome {
        /// The outcome.
        outcome: Uuid,
    },
    /// Classifies an outcome. An engine's classification never replaces a person's (CRD-M7): nothing follows from it.
    ClassifyOutcome {
        /// The outcome.
        outcome: Uuid,
        /// Its level of Bloom's taxonomy.
        bloom: BloomLevel,
        /// What it adds to the learner.
        category: OutcomeCategory,
        /// At most 50 words, each 1 to 100 characters.
        #[schemars(transform = schemas::texts::<50, 100>)]
        keywords: Vec<String>,
        /// Who classified: `human` for a person, the name and version of the engine otherwise.
        #[schemars(transform = schemas::text::<1, 100>)]
        engine: String,
        /// How sure the engine is, 0 to 10000 bp; a person is sure.
        #[schemars(transform = schemas::share)]
        confidence: BasisPoints,
    },
    /// Adds something that is required beforehand.
    AddPrerequisite {
        /// The new prerequisite's id.
        prerequisite: Uuid,
        /// What kind of thing is required.
        kind: PrerequisiteKind,
        /// What is required, in words, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        text: String,
        /// The credential that is required, where it is one of ours.
        #[serde(default)]
        credential: Option<Uuid>,
        /// Whether nobody is let in without.
        mandatory: bool,
    },
    /// Removes a prerequisite.
    RemovePrerequisite {
        /// The prerequisite.
        prerequisite: Uuid,
    },
    /// Submits the draft to a second person (CRD-M2).
    SubmitCredentialForReview {},
    /// Gives it back to its authors.
    ReturnCredentialToDraft {
        /// Why, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Publishes what was reviewed (CRD-M3).
    PublishCredential {
        /// From which day it is offered.
        #[schemars(transform = schemas::date)]
        effective: Date,
        /// The first day on which it is no longer offered.
        #[serde(default)]
        #[schemars(transform = schemas::date)]
        expires: Option<Date>,
        /// When it is to be looked at again.
        #[serde(default)]
        #[schemars(transform = schemas::date)]
        next_review: Option<Date>,
    },
    /// Takes it out of the registry; its recognitions are suspended (CRD-R5).
    ArchiveCredential {
        /// Why, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
}

/// What can have happened to a micro-credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum MicroCredentialEvent {
    /// It was drafted.
    CredentialDrafted {
        program_code: String,
        title: String,
        description: String,
        institution: Uuid,
        r#type: CredentialType,
        delivery: Delivery,
        hours: u32,
        credits: Option<MilliCredits>,
        level: CredentialLevel,
        cost: Option<Money>,
        language: String,
        assessment: Option<String>,
    },
    /// What it says of itself was revised.
    CredentialRevised {
        changes: CredentialChanges,
        /// The program code that it gave up for the one in `changes`.
        freed_program_code: Option<String>,
    },
    /// An outcome was added.
    LearningOutcomeAdded { outcome: Uuid, text: String, core: bool, order: u32 },
    /// An outcome was stated anew.
    LearningOutcomeRevised { outcome: Uuid, text: String, core: bool, order: u32 },
    /// An outcome was removed.
    LearningOutcomeRemoved { outcome: Uuid },
    /// An outcome was classified.
    OutcomeClassified {
        outcome: Uuid,
        bloom: BloomLevel,
        category: OutcomeCategory,
        keywords: Vec<String>,
        engine: String,
        confidence: BasisPoints,
    },
    /// A prerequisite was added.
    PrerequisiteAdded {
        prerequisite: Uuid,
        kind: PrerequisiteKind,
        text: String,
        credential: Option<Uuid>,
        mandatory: bool,
    },
    /// A prerequisite was removed.
    PrerequisiteRemoved { prerequisite: Uuid },
    /// It was submitted for review.
    CredentialSubmittedForReview {
        /// The person who submitted it (CRD-M3), where it was one.
        submitted_by: Option<Uuid>,
    },
    /// It was given back to its authors.
    CredentialReturned { reason: String },
    /// It was published.
    CredentialPublished {
        effective: Date,
        expires: Option<Date>,
        next_review: Option<Date>,
        institution: Uuid,
        program_code: String,
        title: String,
        r#type: CredentialType,
        credits: Option<MilliCredits>,
    },
    /// It was taken out of the registry.
    CredentialArchived { reason: String },
}

impl Event for MicroCredentialEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum MicroCredentialRefusal {
    /// Another credential has this code (CRD-M1).
    #[error("another credential has this program code")]
    ProgramCodeTaken {},
    /// There is no such institution.
    #[error("there is no such institution")]
    UnknownInstitution {},
    /// The institution takes no new credentials (IDN-O3).
    #[error("the institution is inactive")]
    InstitutionInactive {},
    /// The field cannot change any more (CRD-M4).
    #[error("the field is frozen since publication; a new credential can supersede this one")]
    PublishedFieldFrozen {
        /// The field.
        field: &'static str,
    },
    /// The credential has as many outcomes as it may have (CRD-M2).
    #[error("the credential has as many outcomes as it may have")]
    TooMany {
        /// How many it may have.
        most: usize,
    },
    /// The credential has no such outcome.
    #[error("the credential has no such outcome")]
    UnknownOutcome {},
    /// The credential has no such prerequisite.
    #[error("the credential has no such prerequisite")]
    UnknownPrerequisite {},
    /// The other credential does not exist.
    #[error("the other credential does not exist")]
    UnknownCredential {},
    /// The prerequisite needs this credential, directly or by others (CRD-M6).
    #[error("the required credential needs this one")]
    CyclicPrerequisite {},
    /// The draft lacks something that a review needs (CRD-M2).
    #[error("the draft lacks what a review needs")]
    Incomplete {
        /// What it lacks: `core_outcome`, `hours`, `description`.
        missing: Vec<&'static str>,
    },
    /// Who submitted it may not publish it (CRD-M3).
    #[error("who submitted the credential may not publish it")]
    SelfApproval {},
}

impl Refusal for MicroCredentialRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        use MicroCredentialRefusal as R;
        match self {
            R::UnknownInstitution {}
            | R::UnknownOutcome {}
            | R::UnknownPrerequisite {}
            | R::UnknownCredential {} => RefusalKind::NotFound,
            R::SelfApproval {} => RefusalKind::Forbidden,
            R::ProgramCodeTaken {}
            | R::InstitutionInactive {}
            | R::PublishedFieldFrozen { .. }
            | R::TooMany { .. }
            | R::CyclicPrerequisite {}
            | R::Incomplete { .. } => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        use MicroCredentialRefusal as R;
        match self {
            R::ProgramCodeTaken {} => Some("program_code"),
            R::UnknownInstitution {} | R::InstitutionInactive {} => Some("institution"),
            R::PublishedFieldFrozen { field } => Some(field),
            R::TooMany { .. } | R::UnknownOutcome {} => Some("outcome"),
            R::UnknownPrerequisite {} => Some("prerequisite"),
            R::UnknownCredential {} | R::CyclicPrerequisite {} => Some("credential"),
            R::Incomplete { .. } | R::SelfApproval {} => None,
        }
    }
}
