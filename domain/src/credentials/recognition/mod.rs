//! Another institution's decision to give credit for a micro-credential (catalogue 2.4, Recognition).
//!
//! Life cycle: `proposed -> assessed`; `proposed|assessed -> approved <-> suspended`; `proposed|assessed -> rejected`;
//! `approved|suspended -> revoked | expired`.
//!
//! - **CRD-R1** full credit is the credential's credits; partial credit lies between 0 and them; equivalency and exemption
//!   have no value; advanced standing has one that is not below 0.
//! - **CRD-R2** only an `institution_admin` of the *recognising* institution decides. Whoever holds that role, or `admin`, which
//!   has every scope (1.3), in no org unit in particular holds it in every institution, and so in this one.
//! - **CRD-R3**, **CRD-R4** the assessment advises (see [`super::assessment`]); approving against `reject`, or without
//!   one, needs a reason.
//! - **CRD-R5** a timer expires it; archiving the credential suspends it.
//!
//! There is one live recognition of a credential by an institution. What policies and timers ask for is idempotent: where
//! it no longer means anything, nothing follows.

mod shape;
#[cfg(test)]
mod tests;

use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

use super::{micro_credential::MicroCredential, values::*};
use crate::{
    identity::{OrgKind, OrgUnit},
    kernel::{Actor, Claim, Context, Decided, Decider, Known, NotYet, Refused, RefusedBy},
};
pub use shape::*;

/// Where a recognition is in its life cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RecognitionStatus {
    /// It was proposed, or does not exist yet.
    #[default]
    Proposed,
    /// An engine looked at it; nobody decided.
    Assessed,
    /// It gives credit.
    Approved,
    /// It gives none for now.
    Suspended,
    /// It never gave any.
    Rejected,
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
}

impl RecognitionStatus {
    /// Whether nobody decided yet.
    pub fn is_open(self) -> bool {
        matches!(self, RecognitionStatus::Proposed | RecognitionStatus::Assessed)
    }

    /// Whether it was approved and is not over.
    pub fn is_granted(self) -> bool {
        matches!(self, RecognitionStatus::Approved | RecognitionStatus::Suspended)
    }
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recognition {
    /// Whether it was proposed.
    pub exists: bool,
    /// Where it is in its life cycle.
    pub status: RecognitionStatus,
    /// The credential.
    pub credential: Uuid,
    /// The recognising institution.
    pub institution: Uuid,
    /// The recognising institution's credential that it is compared with, where one was named.
    pub counterpart: Option<Uuid>,
    /// What it gives.
    pub r#type: RecognitionType,
    /// The credit that it gives (CRD-R1).
    pub credit_value: Option<MilliCredits>,
    /// From which day it holds.
    pub effective: Option<Date>,
    /// The first day on which it no longer holds.
    pub expires: Option<Date>,
    /// Who proposed it.
    pub proposed_by: Option<Uuid>,
    /// The last assessment: the job that made it, and what it advised.
    pub assessment: Option<(Uuid, Recommendation)>,
}

impl Recognition {
    /// Whether it gives credit now.
    pub fn is_approved(&self) -> bool {
        self.exists && self.status == RecognitionStatus::Approved
    }

    /// When it expires: as the first day begins (UTC) on which it no longer holds. A timer is due then (CRD-R5).
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires.and_then(start_of)
    }
}

/// What a recognition must know of others.
#[derive(Clone, Debug, Default)]
pub struct RecognitionFacts {
    /// The credential, where it exists.
    pub credential: Option<CredentialSeen>,
    /// The kind of the recognising institution and whether it is active, where it exists.
    pub institution: Option<(OrgKind, bool)>,
    /// The counterpart, where it exists.
    pub counterpart: Option<CredentialSeen>,
}

/// A credential as a recognition sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialSeen {
    /// The institution that issues it.
    pub institution: Uuid,
    /// Whether it is in the registry.
    pub published: bool,
    /// Its credits.
    pub credits: Option<MilliCredits>,
}

impl Decider for Recognition {
    const TYPE: &'static str = "credentials.recognition";
    const GRANTABLE: &'static [&'static str] = &[crate::READ];
    type Command = RecognitionCommand;
    type Event = RecognitionEvent;
    type Refusal = RecognitionRefusal;
    type Facts = RecognitionFacts;

    fn creates(command: &RecognitionCommand) -> bool {
        matches!(command, RecognitionCommand::ProposeRecognition { .. })
    }

    fn facts(
        &self,
        command: &RecognitionCommand,
        _context: &Context,
        known: &mut impl Known,
    ) -> Result<RecognitionFacts, NotYet> {
        use RecognitionCommand as C;
        let mut facts = RecognitionFacts::default();
        match command {
            C::ProposeRecognition { credential, institution, counterpart, .. } => {
                facts.credential = seen(known.stream::<MicroCredential>(*credential)?.state.as_ref());
                let found = known.stream::<OrgUnit>(*institution)?;
                facts.institution = found.exists().then_some((found.state.kind, found.state.active));
                if let Some(counterpart) = counterpart {
                    facts.counterpart = seen(known.stream::<MicroCredential>(*counterpart)?.state.as_ref());
                }
            }
            C::ApproveRecognition { .. } | C::ResumeRecognition {} => {
                // Pinned: whoever suspends the recognitions of an archived credential finds those that are approved by then.
                facts.credential = seen(known.pinned::<MicroCredential>(self.credential)?.state.as_ref());
            }
            C::ReviseRecognition { .. } => {
                facts.credential = seen(known.stream::<MicroCredential>(self.credential)?.state.as_ref());
            }
            C::RecordCreditAssessment { .. }
            | C::RejectRecognition { .. }
            | C::SuspendRecognition { .. }
            | C::RevokeRecognition { .. }
            | C::ExpireRecognition {} => {}
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &RecognitionCommand) -> bool {
        use RecognitionCommand as C;
        match command {
            C::ProposeRecognition { .. } => actor.has_somewhere("write:pathways"),
            C::RecordCreditAssessment { .. } | C::ExpireRecognition {} => actor.is_system(),
            C::SuspendRecognition { .. } => actor.is_system() || actor.has_somewhere("approve:recognition"),
            // Of which institution, the decision tells (CRD-R2).
            C::ApproveRecognition { .. }
            | C::RejectRecognition { .. }
            | C::ReviseRecognition { .. }
            | C::ResumeRecognition {}
            | C::RevokeRecognition { .. } => actor.has_somewhere("approve:recognition"),
        }
    }

    fn decide(
        &self,
        command: RecognitionCommand,
        facts: &RecognitionFacts,
        context: &Context,
    ) -> Decided<Self> {
        use RecognitionCommand as C;
        use RecognitionEvent as E;
        use RecognitionRefusal as R;
        use RecognitionStatus as S;
        let (credential, institution) = (self.credential, self.institution);
        let in_state = |fits: bool, command| {
            let state = self.status.into();
            if fits { Ok(()) } else { Err(Refused::InvalidState { state, command }) }
        };
        let by_the_institution = || {
            // CRD-R2. Our own policies act for no institution; `may` says which commands are theirs. Nothing is above an
            // institution (IDN-O2).
            let fits =
                context.actor.is_system() || context.actor.has_within("approve:recognition", &[institution]);
            if fits { Ok(()) } else { Err(R::NotInstitutionAdmin {}) }
        };
        let still_published = || match facts.credential {
            Some(CredentialSeen { published: true, .. }) => Ok(()),
            Some(CredentialSeen { published: false, .. }) | None => Err(R::NotPublished {}),
        };
        let event = match command {
            C::ProposeRecognition {
                credential,
                institution,
                counterpart,
                r#type,
                credit_value,
                credit_type,
                transcript,
                conditions,
                effective,
                expires,
            } => {
                in_state(!self.exists, "ProposeRecognition")?;
                check_terms(conditions.as_deref(), Some(effective), expires)?;
                let subject = check_parties(institution, counterpart, facts)?;
                E::RecognitionProposed {
                    credential,
                    institution,
                    counterpart,
                    r#type,
                    credit_value: credit(r#type, credit_value, subject.credits)?,
                    credit_type,
                    transcript,
                    conditions,
                    effective,
                    expires,
                    proposed_by: context.actor.account(),
                }
            }
            C::RecordCreditAssessment { job, .. } if self.is_assessed_enough(job) => return Ok(Vec::new()),
            C::RecordCreditAssessment {
                job,
                recommendation,
                score,
                overlap,
                duration,
                level_ok,
                history,
                engine,
                reasons,
            } => {
                if ![score, overlap, duration, history].into_iter().all(|part| part.is_share()) {
                    return Err(Refused::invalid("score", "every figure is between 0 and 10000"));
                }
                if !has_characters(&engine, 1..=100) {
                    return Err(Refused::invalid("engine", "1 to 100 characters"));
                }
                if reasons.len() > 100 || reasons.iter().any(|reason| !has_characters(reason, 1..=2000)) {
                    return Err(Refused::invalid("reasons", "at most 100, each 1 to 2000 characters"));
                }
                E::CreditAssessed {
                    job,
                    recommendation,
                    score,
                    overlap,
                    duration,
                    level_ok,
                    history,
                    engine,
                    reasons,
                }
            }
            C::ApproveRecognition { approval_reference, conditions, override_reason } => {
                by_the_institution()?;
                in_state(self.status.is_open(), "ApproveRecognition")?;
                if !has_characters(&approval_reference, 1..=200) {
                    return Err(Refused::invalid("approval_reference", "1 to 200 characters"));
                }
                check_terms(conditions.as_deref(), None, None)?;
                override_reason
                    .as_deref()
                    .map_or(Ok(()), |reason| check_reason("override_reason", reason))?;
                if override_reason.is_none() && self.needs_override() {
                    return Err(R::OverrideReasonMissing {}.into());
                }
                still_published()?;
                E::RecognitionApproved {
                    approval_reference,
                    conditions,
                    override_reason,
                    credential,
                    institution,
                    r#type: self.r#type,
                    credit_value: self.credit_value,
                }
            }
            C::RejectRecognition { reason } => {
                by_the_institution()?;
                in_state(self.status.is_open(), "RejectRecognition")?;
                check_reason("reason", &reason)?;
                E::RecognitionRejected { reason, credential, institution }
            }
            C::ReviseRecognition { credit_value, conditions, expires } => {
                by_the_institution()?;
                in_state(self.status.is_open() || self.status.is_granted(), "ReviseRecognition")?;
                check_terms(conditions.as_deref(), self.effective, expires)?;
                let credits = facts.credential.and_then(|credential| credential.credits);
                let credit_value = credit(self.r#type, credit_value, credits)?;
                E::RecognitionRevised { credit_value, conditions, expires }
            }
            C::SuspendRecognition { .. } if context.actor.is_system() && self.status != S::Approved => {
                return Ok(Vec::new());
            }
            C::SuspendRecognition { reason } => {
                by_the_institution()?;
                in_state(self.status == S::Approved, "SuspendRecognition")?;
                check_reason("reason", &reason)?;
                E::RecognitionSuspended { reason, credential, institution }
            }
            C::ResumeRecognition {} => {
                by_the_institution()?;
                in_state(self.status == S::Suspended, "ResumeRecognition")?;
                still_published()?;
                E::RecognitionResumed { credential, institution }
            }
            C::RevokeRecognition { reason } => {
                by_the_institution()?;
                in_state(self.status.is_granted(), "RevokeRecognition")?;
                check_reason("reason", &reason)?;
                E::RecognitionRevoked { reason, credential, institution }
            }
            C::ExpireRecognition {} if !self.is_over(context.now) => return Ok(Vec::new()),
            C::ExpireRecognition {} => E::RecognitionExpired { credential, institution },
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &RecognitionEvent) {
        use RecognitionEvent as E;
        use RecognitionStatus as S;
        match event {
            E::RecognitionProposed {
                credential,
                institution,
                counterpart,
                r#type,
                credit_value,
                effective,
                expires,
                proposed_by,
                credit_type: _,
                transcript: _,
                conditions: _,
            } => {
                *self = Recognition {
                    exists: true,
                    status: S::Proposed,
                    credential: *credential,
                    institution: *institution,
                    counterpart: *counterpart,
                    r#type: *r#type,
                    credit_value: *credit_value,
                    effective: Some(*effective),
                    expires: *expires,
                    proposed_by: *proposed_by,
                    assessment: None,
                }
            }
            E::CreditAssessed { job, recommendation, .. } => {
                self.status = S::Assessed;
                self.assessment = Some((*job, *recommendation));
            }
            E::RecognitionApproved { .. } | E::RecognitionResumed { .. } => self.status = S::Approved,
            E::RecognitionRejected { .. } => self.status = S::Rejected,
            E::RecognitionRevised { credit_value, expires, conditions: _ } => {
                self.credit_value = *credit_value;
                self.expires = *expires;
            }
            E::RecognitionSuspended { .. } => self.status = S::Suspended,
            E::RecognitionRevoked { .. } => self.status = S::Revoked,
            E::RecognitionExpired { .. } => self.status = S::Expired,
        }
    }

    fn claims(_id: Uuid, event: &RecognitionEvent) -> Vec<Claim> {
        use RecognitionEvent as E;
        let key = |credential: &Uuid, institution: &Uuid| format!("recog:{credential}:{institution}");
        match event {
            E::RecognitionProposed { credential, institution, .. } => {
                vec![Claim::Take(key(credential, institution))]
            }
            E::RecognitionRejected { credential, institution, .. }
            | E::RecognitionRevoked { credential, institution, .. }
            | E::RecognitionExpired { credential, institution } => {
                vec![Claim::Free(key(credential, institution))]
            }
            E::CreditAssessed { .. }
            | E::RecognitionApproved { .. }
            | E::RecognitionRevised { .. }
            | E::RecognitionSuspended { .. }
            | E::RecognitionResumed { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<RecognitionRefusal> {
        key.starts_with("recog:").then_some(RecognitionRefusal::DuplicateRecognition {})
    }
}

type Check = Result<(), RefusedBy<Recognition>>;

impl Recognition {
    /// Whether an assessment by this job comes again, or too late to advise anybody.
    fn is_assessed_enough(&self, job: Uuid) -> bool {
        !self.status.is_open() || self.assessment.is_some_and(|(by, _)| by == job)
    }

    /// CRD-R3: whether approving needs a reason.
    fn needs_override(&self) -> bool {
        match self.assessment {
            None | Some((_, Recommendation::Reject)) => true,
            Some((_, Recommendation::Approve | Recommendation::Review)) => false,
        }
    }

    /// CRD-R5: whether a recognition that was granted no longer holds. A timer that was set before the day was moved
    /// comes too early: then it does.
    fn is_over(&self, now: Timestamp) -> bool {
        self.status.is_granted() && self.expires_at().is_some_and(|end| end <= now)
    }
}

fn seen(credential: &MicroCredential) -> Option<CredentialSeen> {
    credential.exists.then_some(CredentialSeen {
        institution: credential.institution,
        published: credential.is_published(),
        credits: credential.credits,
    })
}

/// Who recognises what: an active institution a published credential of another one.
fn check_parties(
    institution: Uuid,
    counterpart: Option<Uuid>,
    facts: &RecognitionFacts,
) -> Result<CredentialSeen, RefusedBy<Recognition>> {
    use RecognitionRefusal as R;
    let credential = facts.credential.ok_or(R::UnknownCredential {})?;
    let (kind, active) = facts.institution.ok_or(R::UnknownInstitution {})?;
    if kind != OrgKind::Institution {
        return Err(Refused::invalid("institution", "the org unit is not an institution"));
    }
    if !active {
        return Err(R::InstitutionInactive {}.into());
    }
    if credential.institution == institution {
        return Err(R::OwnCredential {}.into());
    }
    if !credential.published {
        return Err(R::NotPublished {}.into());
    }
    if counterpart.is_some() {
        let counterpart = facts.counterpart.ok_or(R::UnknownCounterpart {})?;
        if !counterpart.published || counterpart.institution != institution {
            return Err(R::CounterpartUnfit {}.into());
        }
    }
    Ok(credential)
}

/// CRD-R1: the credit that a recognition of this type gives, of a credential that carries `credits`. Full credit need
/// not state its value: there is only one.
fn credit(
    r#type: RecognitionType,
    stated: Option<MilliCredits>,
    credits: Option<MilliCredits>,
) -> Result<Option<MilliCredits>, RecognitionRefusal> {
    let fits = match (r#type, stated) {
        (RecognitionType::FullCredit, None) => return Ok(credits),
        (RecognitionType::FullCredit, stated) => stated == credits,
        (RecognitionType::PartialCredit, Some(value)) => {
            value > MilliCredits(0) && credits.is_some_and(|credits| value < credits)
        }
        (RecognitionType::AdvancedStanding, Some(value)) => value.in_range(),
        (RecognitionType::PartialCredit | RecognitionType::AdvancedStanding, None) => false,
        (RecognitionType::Equivalency | RecognitionType::Exemption, stated) => stated.is_none(),
    };
    if fits { Ok(stated) } else { Err(RecognitionRefusal::CreditRule { r#type, credits }) }
}

/// The bounds of what a proposal or a revision states.
fn check_terms(conditions: Option<&str>, effective: Option<Date>, expires: Option<Date>) -> Check {
    if conditions.is_some_and(|text| !has_characters(text, 0..=LONGEST_TEXT)) {
        return Err(Refused::invalid("conditions", "at most 20000 characters"));
    }
    if effective.is_some_and(|day| !is_sensible(day)) {
        return Err(Refused::invalid("effective", "between the years 1900 and 2200"));
    }
    if expires.is_some_and(|day| !is_sensible(day) || effective.is_some_and(|effective| day <= effective)) {
        return Err(Refused::invalid("expires", "after the day from which it holds"));
    }
    Ok(())
}

fn check_reason(field: &'static str, reason: &str) -> Check {
    let fits = has_characters(reason, 1..=2000);
    if fits { Ok(()) } else { Err(Refused::invalid(field, "1 to 2000 characters")) }
}
