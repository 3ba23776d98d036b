//! What a micro-credential holds its commands to: states, bounds of values, completeness.

use jiff::civil::Date;
use uuid::Uuid;

use super::{
    BY_PERSON, CredentialChanges, CredentialStatus, MicroCredential, MicroCredentialCommand,
    MicroCredentialFacts, MicroCredentialRefusal, Outcome,
};
use crate::{
    credentials::values::*,
    identity::OrgKind,
    kernel::{Actor, ActorKind, BasisPoints, Context, Refused, RefusedBy},
};

type Check = Result<(), RefusedBy<MicroCredential>>;

/// The fewest characters of a description that can be reviewed (CRD-M2).
/// The fewest characters of a description that can be reviewed (CRD-M2).
const SHORTEST_DESCRIPTION: usize = 50;

impl MicroCredential {
    /// The life cycle: which command means anything in which state.
    pub(super) fn check_state(&self, command: &MicroCredentialCommand) -> Check {
        use CredentialStatus as S;
        use MicroCredentialCommand as C;
        let fits = match command {
            C::DraftCredential { .. } => !self.exists,
            C::AddLearningOutcome { .. }
            | C::ReviseLearningOutcome { .. }
            | C::RemoveLearningOutcome { .. }
            | C::SubmitCredentialForReview {} => self.status == S::Draft,
            C::ReviseCredential { .. } | C::AddPrerequisite { .. } | C::RemovePrerequisite { .. } => {
                matches!(self.status, S::Draft | S::Published)
            }
            C::ClassifyOutcome { .. } => self.status != S::Archived,
            C::ReturnCredentialToDraft { .. } | C::PublishCredential { .. } => self.status == S::UnderReview,
            C::ArchiveCredential { .. } => self.status == S::Published,
        };
        let state = self.status.into();
        if fits { Ok(()) } else { Err(Refused::InvalidState { state, command: command.into() }) }
    }

    /// The outcome, which must be one of the credential's.
    pub(super) fn check_outcome(&self, outcome: Uuid) -> Result<&Outcome, RefusedBy<MicroCredential>> {
        self.outcomes.get(&outcome).ok_or(Refused::Because(MicroCredentialRefusal::UnknownOutcome {}))
    }

    /// What the draft lacks for a review (CRD-M2).
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let described = self.description.trim().chars().count() >= SHORTEST_DESCRIPTION;
        let needed = [
            ("core_outcome", self.outcomes.values().any(|outcome| outcome.core)),
            ("hours", self.hours >= 1),
            ("description", described),
        ];
        needed.into_iter().filter_map(|(name, there)| (!there).then_some(name)).collect()
    }
}

/// IDN-O3: an inactive institution takes no new credentials.
pub(super) fn institution(facts: &MicroCredentialFacts) -> Check {
    match facts.institution {
        None => Err(MicroCredentialRefusal::UnknownInstitution {}.into()),
        Some((OrgKind::Institution, true)) => Ok(()),
        Some((OrgKind::Institution, false)) => Err(MicroCredentialRefusal::InstitutionInactive {}.into()),
        Some((
            OrgKind::Faculty | OrgKind::Department | OrgKind::Program | OrgKind::Employer | OrgKind::Sponsor,
            _,
        )) => Err(Refused::invalid("institution", "the org unit is not an institution")),
    }
}

/// The bounds of every value that a draft or its revision states.
pub(super) fn values(stated: &CredentialChanges) -> Check {
    let wrong = |field, reason: &str| Err(Refused::invalid(field, reason));
    if stated.program_code.as_deref().is_some_and(|code| !is_code(code)) {
        return wrong("program_code", "2 to 64 of A-Z, a-z, 0-9 and . _ / -");
    }
    if stated.title.as_deref().is_some_and(|title| !has_characters(title, 1..=200)) {
        return wrong("title", "1 to 200 characters");
    }
    if stated.description.as_deref().is_some_and(|text| !has_characters(text, 0..=LONGEST_TEXT)) {
        return wrong("description", "at most 20000 characters");
    }
    if stated.hours.is_some_and(|hours| hours > 100_000) {
        return wrong("hours", "at most 100000");
    }
    if stated.credits.is_some_and(|credits| !credits.in_range()) {
        return wrong("credits", "0 to 60000 milli-credits");
    }
    if stated.cost.is_some_and(|cost| cost.minor < 0 || !cost.in_range()) {
        return wrong("cost", "an amount not below zero");
    }
    if stated.language.as_deref().is_some_and(|language| !is_language(language)) {
        return wrong("language", "a BCP 47 tag");
    }
    if stated.assessment.as_deref().is_some_and(|text| !has_characters(text, 0..=2000)) {
        return wrong("assessment", "at most 2000 characters");
    }
    Ok(())
}

fn is_code(code: &str) -> bool {
    let allowed = |letter: u8| letter.is_ascii_alphanumeric() || b"._/-".contains(&letter);
    (2..=64).contains(&code.len()) && code.bytes().all(allowed)
}

fn is_language(tag: &str) -> bool {
    let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    (2..=35).contains(&tag.len()) && tag.split('-').all(part) && tag.as_bytes()[0].is_ascii_alphabetic()
}

/// CRD-M4: a credential supersedes another one of its institution, once that was published.
pub(super) fn supersession(
    credential: &MicroCredential,
    supersedes: Option<Uuid>,
    facts: &MicroCredentialFacts,
    context: &Context,
) -> Check {
    let Some(supersedes) = supersedes else { return Ok(()) };
    let Some((institution, published)) = facts.other else {
        return Err(MicroCredentialRefusal::UnknownCredential {}.into());
    };
    let fits = supersedes != context.id && institution == credential.institution && published;
    let reason = "another credential of the institution, once published";
    if fits { Ok(()) } else { Err(Refused::invalid("changes.supersedes", reason)) }
}

pub(super) fn outcome(text: &str, order: u32) -> Check {
    statement("text", text)?;
    if order <= 10_000 { Ok(()) } else { Err(Refused::invalid("order", "at most 10000")) }
}

pub(super) fn statement(field: &'static str, text: &str) -> Check {
    let fits = has_characters(text, 1..=2000);
    if fits { Ok(()) } else { Err(Refused::invalid(field, "1 to 2000 characters")) }
}

pub(super) fn reason(reason: &str) -> Check {
    statement("reason", reason)
}

/// A person signs as `human` and nobody else does: otherwise CRD-M7 could be claimed or dodged by a name.
pub(super) fn classification(
    keywords: &[String],
    engine: &str,
    confidence: BasisPoints,
    actor: &Actor,
) -> Check {
    if keywords.len() > 50 || keywords.iter().any(|keyword| !has_characters(keyword, 1..=100)) {
        return Err(Refused::invalid("keywords", "at most 50, each 1 to 100 characters"));
    }
    if !has_characters(engine, 1..=100) {
        return Err(Refused::invalid("engine", "1 to 100 characters"));
    }
    if (engine == BY_PERSON) != (actor.kind == ActorKind::User) {
        return Err(Refused::invalid("engine", "`human` for a person, the engine's own name for an engine"));
    }
    if !confidence.is_share() {
        return Err(Refused::invalid("confidence", "0 to 10000"));
    }
    Ok(())
}

/// The days of a publication.
pub(super) fn dates(effective: Date, expires: Option<Date>, next_review: Option<Date>) -> Check {
    if !is_sensible(effective) {
        return Err(Refused::invalid("effective", "between the years 1900 and 2200"));
    }
    if expires.is_some_and(|expires| !is_sensible(expires) || expires <= effective) {
        return Err(Refused::invalid("expires", "after the day from which it is offered"));
    }
    if next_review.is_some_and(|review| !is_sensible(review) || review < effective) {
        return Err(Refused::invalid("next_review", "not before the day from which it is offered"));
    }
    Ok(())
}
