//! A micro-credential: a short program of an institution (catalogue 2.4, MicroCredential).
//!
//! Life cycle: `draft -> under_review -> published -> archived`; `under_review -> draft`.
//!
//! - **CRD-M1** the program code is unique across institutions, in whatever case it is written.
//! - **CRD-M2** a review needs at least one core outcome, one hour and a description of 50 characters; there are at most
//!   40 outcomes.
//! - **CRD-M3** the person who submitted it may not publish it.
//! - **CRD-M4** after publication title, outcomes, hours, credits and level are frozen (and with them the program code and
//!   what it supersedes); a change of those is a new credential that supersedes this one.
//! - **CRD-M5** credits are 0 to 60 000 milli-credits.
//! - **CRD-M6** prerequisites form no cycle.
//! - **CRD-M7** a classification by a person is not overwritten by an engine.
//!
//! While it is under review nothing but its classifications changes: what was reviewed is what is published. It belongs
//! to its institution for life. Prerequisites, which CRD-M4 does not freeze, may change after publication.

mod checks;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

use super::values::*;
use crate::{
    identity::{OrgKind, OrgUnit},
    kernel::{Actor, Claim, Context, Decided, Decider, Known, NotYet, Refused},
};
pub use shape::*;

/// Where a credential is in its life cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CredentialStatus {
    /// It is being written, or does not exist yet.
    #[default]
    Draft,
    /// It was submitted and waits for a second person.
    UnderReview,
    /// It is in the registry.
    Published,
    /// It is no longer offered.
    Archived,
}

/// A learning outcome: what a learner can do afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The statement.
    pub text: String,
    /// Whether the credential stands on it.
    pub core: bool,
    /// Its place among the others.
    pub order: u32,
    /// Whether a person classified it (CRD-M7).
    pub classified_by_person: bool,
}

/// What is required beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prerequisite {
    /// The credential that is required, where it is one of ours.
    pub credential: Option<Uuid>,
    /// Whether nobody is let in without.
    pub mandatory: bool,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MicroCredential {
    /// Whether it was drafted.
    pub exists: bool,
    /// Where it is in its life cycle.
    pub status: CredentialStatus,
    /// The institution that issues it.
    pub institution: Uuid,
    /// The code, as it was written.
    pub program_code: String,
    /// The title.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// What kind of credential it is.
    pub r#type: CredentialType,
    /// The learner's hours.
    pub hours: u32,
    /// The credits, where it carries any.
    pub credits: Option<MilliCredits>,
    /// How advanced it is.
    pub level: CredentialLevel,
    /// The outcomes, by id.
    pub outcomes: BTreeMap<Uuid, Outcome>,
    /// The prerequisites, by id.
    pub prerequisites: BTreeMap<Uuid, Prerequisite>,
    /// The credential that it takes the place of.
    pub supersedes: Option<Uuid>,
    /// Who submitted it for the review that is under way or was the last (CRD-M3).
    pub submitted_by: Option<Uuid>,
    /// From which day it is offered, once published.
    pub effective: Option<Date>,
    /// The first day on which it is no longer offered.
    pub expires: Option<Date>,
}

impl MicroCredential {
    /// Whether it is in the registry: what recognitions, pathways and awards may build on.
    pub fn is_published(&self) -> bool {
        self.status == CredentialStatus::Published
    }

    /// The outcomes' texts in their order: what is embedded and compared (CRD-R4).
    pub fn outcome_texts(&self) -> Vec<&str> {
        let mut outcomes: Vec<_> = self.outcomes.iter().collect();
        outcomes.sort_by_key(|(id, outcome)| (outcome.order, **id));
        outcomes.into_iter().map(|(_, outcome)| outcome.text.as_str()).collect()
    }
}

/// What a micro-credential must know of others.
#[derive(Clone, Debug, Default)]
pub struct MicroCredentialFacts {
    /// The kind of the institution and whether it is active, where it exists.
    pub institution: Option<(OrgKind, bool)>,
    /// The credential that is required, or superseded, where it exists: its institution and whether it was ever published.
    pub other: Option<(Uuid, bool)>,
    /// Whether the required credential needs this one, directly or by others (CRD-M6).
    pub cyclic: bool,
}

/// The cycle guard of CRD-M6: prerequisites that reach further are refused as if they were a cycle.
const MOST_PREREQUISITES_WALKED: usize = 200;

impl Decider for MicroCredential {
    const TYPE: &'static str = "credentials.micro_credential";
    const GRANTABLE: &'static [&'static str] = &[
        crate::READ,
        "ReviseCredential",
        "AddLearningOutcome",
        "ReviseLearningOutcome",
        "RemoveLearningOutcome",
        "AddPrerequisite",
        "RemovePrerequisite",
        "SubmitCredentialForReview",
    ];
    type Command = MicroCredentialCommand;
    type Event = MicroCredentialEvent;
    type Refusal = MicroCredentialRefusal;
    type Facts = MicroCredentialFacts;

    fn creates(command: &MicroCredentialCommand) -> bool {
        matches!(command, MicroCredentialCommand::DraftCredential { .. })
    }

    fn facts(
        &self,
        command: &MicroCredentialCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<MicroCredentialFacts, NotYet> {
        use MicroCredentialCommand as C;
        let mut facts = MicroCredentialFacts::default();
        match command {
            C::DraftCredential { institution, .. } => {
                let found = known.stream::<OrgUnit>(*institution)?;
                facts.institution = found.exists().then_some((found.state.kind, found.state.active));
            }
            C::ReviseCredential { changes: CredentialChanges { supersedes: Some(other), .. } } => {
                facts.other = seen(known.stream::<MicroCredential>(*other)?.state.as_ref());
            }
            C::AddPrerequisite { credential: Some(other), .. } => {
                // Pinned: two credentials that come to require each other at the same moment would be a cycle.
                facts.other = seen(known.pinned::<MicroCredential>(*other)?.state.as_ref());
                facts.cyclic = reaches(*other, context.id, known)?;
            }
            C::ReviseCredential { changes: CredentialChanges { supersedes: None, .. } }
            | C::AddPrerequisite { credential: None, .. }
            | C::AddLearningOutcome { .. }
            | C::ReviseLearningOutcome { .. }
            | C::RemoveLearningOutcome { .. }
            | C::ClassifyOutcome { .. }
            | C::RemovePrerequisite { .. }
            | C::SubmitCredentialForReview {}
            | C::ReturnCredentialToDraft { .. }
            | C::PublishCredential { .. }
            | C::ArchiveCredential { .. } => {}
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &MicroCredentialCommand) -> bool {
        use MicroCredentialCommand as C;
        // Nothing is above an institution (IDN-O2).
        let writes = |institution| actor.has_within("write:credentials", &[institution]);
        match command {
            C::DraftCredential { institution, .. } => writes(*institution),
            C::ClassifyOutcome { .. } => actor.is_system() || writes(self.institution),
            C::ReviseCredential { .. }
            | C::AddLearningOutcome { .. }
            | C::ReviseLearningOutcome { .. }
            | C::RemoveLearningOutcome { .. }
            | C::AddPrerequisite { .. }
            | C::RemovePrerequisite { .. }
            | C::SubmitCredentialForReview {} => writes(self.institution),
            C::ReturnCredentialToDraft { .. } | C::PublishCredential { .. } | C::ArchiveCredential { .. } => {
                actor.has_role_within("institution_admin", self.institution) || actor.has_role("admin")
            }
        }
    }

    fn decide(
        &self,
        command: MicroCredentialCommand,
        facts: &MicroCredentialFacts,
        context: &Context,
    ) -> Decided<Self> {
        use MicroCredentialCommand as C;
        use MicroCredentialEvent as E;
        use MicroCredentialRefusal as R;
        self.check_state(&command)?;
        let event = match command {
            C::DraftCredential {
                program_code,
                title,
                description,
                institution,
                r#type,
                delivery,
                hours,
                credits,
                level,
                cost,
                language,
                assessment,
            } => {
                let stated = CredentialChanges {
                    program_code: Some(program_code.clone()),
                    title: Some(title.clone()),
                    description: Some(description.clone()),
                    hours: Some(hours),
                    credits,
                    cost,
                    language: Some(language.clone()),
                    assessment: assessment.clone(),
                    ..CredentialChanges::default()
                };
                checks::values(&stated)?;
                checks::institution(facts)?;
                E::CredentialDrafted {
                    program_code,
                    title,
                    description,
                    institution,
                    r#type,
                    delivery,
                    hours,
                    credits,
                    level,
                    cost,
                    language,
                    assessment,
                }
            }
            C::ReviseCredential { changes } => {
                if changes == CredentialChanges::default() {
                    return Err(Refused::invalid("changes", "at least one field"));
                }
                if let Some(field) = changes.frozen().filter(|_| self.is_published()) {
                    return Err(R::PublishedFieldFrozen { field }.into());
                }
                checks::values(&changes)?;
                checks::supersession(self, changes.supersedes, facts, context)?;
                let renamed = |code: &String| code_key(code) != code_key(&self.program_code);
                let freed_program_code = changes
                    .program_code
                    .as_ref()
                    .filter(|code| renamed(code))
                    .map(|_| self.program_code.clone());
                E::CredentialRevised { changes, freed_program_code }
            }
            C::AddLearningOutcome { outcome, .. } if self.outcomes.contains_key(&outcome) => {
                return Err(Refused::invalid("outcome", "the credential has an outcome of this id"));
            }
            C::AddLearningOutcome { .. } if self.outcomes.len() >= MOST_OUTCOMES => {
                return Err(R::TooMany { most: MOST_OUTCOMES }.into());
            }
            C::AddLearningOutcome { outcome, text, core, order } => {
                checks::outcome(&text, order)?;
                E::LearningOutcomeAdded { outcome, text, core, order }
            }
            C::ReviseLearningOutcome { outcome, text, core, order } => {
                self.check_outcome(outcome)?;
                checks::outcome(&text, order)?;
                E::LearningOutcomeRevised { outcome, text, core, order }
            }
            C::RemoveLearningOutcome { outcome } => {
                self.check_outcome(outcome)?;
                E::LearningOutcomeRemoved { outcome }
            }
            C::ClassifyOutcome { outcome, bloom, category, keywords, engine, confidence } => {
                let kept = self.check_outcome(outcome)?.classified_by_person;
                checks::classification(&keywords, &engine, confidence, &context.actor)?;
                if kept && engine != BY_PERSON {
                    return Ok(Vec::new());
                }
                E::OutcomeClassified { outcome, bloom, category, keywords, engine, confidence }
            }
            C::AddPrerequisite { prerequisite, .. } if self.prerequisites.contains_key(&prerequisite) => {
                return Err(Refused::invalid("prerequisite", "the credential has a prerequisite of this id"));
            }
            C::AddPrerequisite { .. } if self.prerequisites.len() >= MOST_PREREQUISITES => {
                return Err(Refused::invalid("prerequisite", "at most 40 prerequisites"));
            }
            C::AddPrerequisite { prerequisite, kind, text, credential, mandatory } => {
                checks::statement("text", &text)?;
                if credential.is_some() && facts.other.is_none() {
                    return Err(R::UnknownCredential {}.into());
                }
                if facts.cyclic {
                    return Err(R::CyclicPrerequisite {}.into());
                }
                E::PrerequisiteAdded { prerequisite, kind, text, credential, mandatory }
            }
            C::RemovePrerequisite { prerequisite } if !self.prerequisites.contains_key(&prerequisite) => {
                return Err(R::UnknownPrerequisite {}.into());
            }
            C::RemovePrerequisite { prerequisite } => E::PrerequisiteRemoved { prerequisite },
            C::SubmitCredentialForReview {} => {
                let missing = self.missing();
                if !missing.is_empty() {
                    return Err(R::Incomplete { missing }.into());
                }
                E::CredentialSubmittedForReview { submitted_by: context.actor.account() }
            }
            C::ReturnCredentialToDraft { reason } => {
                checks::reason(&reason)?;
                E::CredentialReturned { reason }
            }
            C::PublishCredential { .. } if self.submitted_by.is_some_and(|by| context.actor.is(by)) => {
                return Err(R::SelfApproval {}.into());
            }
            C::PublishCredential { effective, expires, next_review } => {
                checks::dates(effective, expires, next_review)?;
                E::CredentialPublished {
                    effective,
                    expires,
                    next_review,
                    institution: self.institution,
                    program_code: self.program_code.clone(),
                    title: self.title.clone(),
                    r#type: self.r#type,
                    credits: self.credits,
                }
            }
            C::ArchiveCredential { reason } => {
                checks::reason(&reason)?;
                E::CredentialArchived { reason }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &MicroCredentialEvent) {
        use MicroCredentialEvent as E;
        match event {
            E::CredentialDrafted {
                program_code,
                title,
                description,
                institution,
                r#type,
                hours,
                credits,
                level,
                delivery: _,
                cost: _,
                language: _,
                assessment: _,
            } => {
                *self = MicroCredential {
                    exists: true,
                    institution: *institution,
                    program_code: program_code.clone(),
                    title: title.clone(),
                    description: description.clone(),
                    r#type: *r#type,
                    hours: *hours,
                    credits: *credits,
                    level: *level,
                    ..MicroCredential::default()
                }
            }
            E::CredentialRevised { changes, freed_program_code: _ } => self.revise(changes),
            E::LearningOutcomeAdded { outcome, text, core, order }
            | E::LearningOutcomeRevised { outcome, text, core, order } => {
                let classified_by_person =
                    self.outcomes.get(outcome).is_some_and(|known| known.classified_by_person);
                let stated = Outcome { text: text.clone(), core: *core, order: *order, classified_by_person };
                self.outcomes.insert(*outcome, stated);
            }
            E::LearningOutcomeRemoved { outcome } => {
                self.outcomes.remove(outcome);
            }
            E::OutcomeClassified { outcome, engine, .. } => {
                if let Some(outcome) = self.outcomes.get_mut(outcome) {
                    outcome.classified_by_person = engine == BY_PERSON;
                }
            }
            E::PrerequisiteAdded { prerequisite, credential, mandatory, .. } => {
                let stated = Prerequisite { credential: *credential, mandatory: *mandatory };
                self.prerequisites.insert(*prerequisite, stated);
            }
            E::PrerequisiteRemoved { prerequisite } => {
                self.prerequisites.remove(prerequisite);
            }
            E::CredentialSubmittedForReview { submitted_by } => {
                self.status = CredentialStatus::UnderReview;
                self.submitted_by = *submitted_by;
            }
            E::CredentialReturned { .. } => self.status = CredentialStatus::Draft,
            E::CredentialPublished { effective, expires, .. } => {
                self.status = CredentialStatus::Published;
                self.effective = Some(*effective);
                self.expires = *expires;
            }
            E::CredentialArchived { .. } => self.status = CredentialStatus::Archived,
        }
    }

    fn claims(_id: Uuid, event: &MicroCredentialEvent) -> Vec<Claim> {
        use MicroCredentialEvent as E;
        match event {
            E::CredentialDrafted { program_code, .. } => vec![Claim::Take(code_key(program_code))],
            E::CredentialRevised {
                changes: CredentialChanges { program_code: Some(taken), .. },
                freed_program_code: Some(freed),
            } => vec![Claim::Free(code_key(freed)), Claim::Take(code_key(taken))],
            E::CredentialRevised { .. }
            | E::LearningOutcomeAdded { .. }
            | E::LearningOutcomeRevised { .. }
            | E::LearningOutcomeRemoved { .. }
            | E::OutcomeClassified { .. }
            | E::PrerequisiteAdded { .. }
            | E::PrerequisiteRemoved { .. }
            | E::CredentialSubmittedForReview { .. }
            | E::CredentialReturned { .. }
            | E::CredentialPublished { .. }
            | E::CredentialArchived { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<MicroCredentialRefusal> {
        key.starts_with("progcode:").then_some(MicroCredentialRefusal::ProgramCodeTaken {})
    }
}

/// CRD-M1: the claim of a program code, the same in whatever case it is written.
fn code_key(code: &str) -> String {
    format!("progcode:{}", code.to_ascii_uppercase())
}

/// Another credential, where it exists: its institution and whether it was ever published.
fn seen(other: &MicroCredential) -> Option<(Uuid, bool)> {
    let published = match other.status {
        CredentialStatus::Draft | CredentialStatus::UnderReview => false,
        CredentialStatus::Published | CredentialStatus::Archived => true,
    };
    other.exists.then_some((other.institution, published))
}

/// Whether prerequisites lead from one credential to another (CRD-M6).
fn reaches(from: Uuid, to: Uuid, known: &mut impl Known) -> Result<bool, NotYet> {
    let (mut open, mut walked) = (vec![from], std::collections::BTreeSet::new());
    while let Some(next) = open.pop() {
        if next == to || walked.len() >= MOST_PREREQUISITES_WALKED {
            return Ok(true);
        }
        if walked.insert(next) {
            let credential = known.pinned::<MicroCredential>(next)?.state;
            open.extend(credential.prerequisites.values().filter_map(|required| required.credential));
        }
    }
    Ok(false)
}

impl MicroCredential {
    fn revise(&mut self, changes: &CredentialChanges) {
        let CredentialChanges {
            program_code,
            title,
            description,
            r#type,
            hours,
            credits,
            level,
            supersedes,
            delivery: _,
            cost: _,
            language: _,
            assessment: _,
        } = changes;
        let replace = |kept: &mut String, stated: &Option<String>| {
            if let Some(stated) = stated {
                kept.clone_from(stated);
            }
        };
        replace(&mut self.program_code, program_code);
        replace(&mut self.title, title);
        replace(&mut self.description, description);
        self.r#type = r#type.unwrap_or(self.r#type);
        self.hours = hours.unwrap_or(self.hours);
        self.credits = credits.or(self.credits);
        self.level = level.unwrap_or(self.level);
        self.supersedes = supersedes.or(self.supersedes);
    }
}
