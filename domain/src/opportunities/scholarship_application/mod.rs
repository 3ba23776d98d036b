//! An application for a scholarship (catalogue 2.3, ScholarshipApplication).
//!
//! Life cycle: `draft -> submitted -> under_review -> shortlisted -> awarded -> accepted | refused`;
//! `submitted|under_review|shortlisted -> declined`; `draft..shortlisted -> withdrawn`. The scholarship may select whatever
//! is submitted and not decided, so `awarded` follows from each of the three.
//!
//! - **OPP-A1** one live application per applicant and scholarship. Only a withdrawal frees the claim: an application that
//!   was decided stays the one, so that a decline or a lapsed offer is not undone by simply applying again.
//! - **OPP-A2** it is submitted only while the scholarship is published and `now ≤ deadline`, with every prompt answered
//!   and the required recommendations asked for. The scholarship is pinned: its criteria and deadline are those of the
//!   moment of the append (see OPP-S2 there).
//! - **OPP-A3** a submission snapshots the profile facts used; later edits of the profile do not change the case.
//! - **OPP-A4** the match score: see [`super::match_score()`].
//! - **OPP-A5** the link to attach a recommendation lives until the deadline, also when that moves.
//! - **OPP-A6** the offer of an award lapses after 14 days.
//! - **OPP-A7** a reviewer is neither the applicant, nor a recommender, nor a relative, a mentor or anybody else who was
//!   declared to be too close ([`conflicts`]). `under_review` begins with the first reviewer.
//! - **OPP-A8** the score is a decision and may be contested; it never rejects by itself.
//!
//! The token of a recommendation's link must be unknown to the applicant, so it is no field of a command and does not
//! follow from anything that a client sends: its hash is a fact, [`Question::TokenHash`], and only the hash is stored,
//! under a one-off key. The one who mails the link computes the token again from [`recommendation_token_label`].

mod conflicts;
mod messages;
mod submission;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use messages::*;
pub use submission::*;

use super::{
    ApplicationStatus, Scholarship,
    scholarship::{MANAGE, submission_key},
};
use crate::{
    identity::{Account, Profile, lineage_for, normalised_email},
    kernel::{
        Actor, Answer, BasisPoints, Claim, Context, Decided, Decider, Known, Money, NotYet, Personal,
        Question, RecordClass, Refused, RefusedBy, Stated, bounds,
        class::{Education, Identity, SecurityLog},
        ratio_bp, sha256_hex,
    },
};

/// How long an award is offered (OPP-A6).
pub const OFFER_LASTS: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A recommendation that was asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecommendationRequest {
    /// Whom it was asked of.
    pub email: Personal<String, Identity>,
    /// The hash of the token, until it was used.
    pub token_hash: Option<Personal<String, SecurityLog>>,
    /// Who attached it, where that is known.
    pub recommender: Option<Uuid>,
    /// What was attached.
    pub document: Option<Uuid>,
}

/// A score that was recorded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RecordedScore {
    /// The decision that explains it.
    pub decision: Uuid,
    /// The score.
    pub score: BasisPoints,
}

/// An award that is or was offered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AwardOffer {
    /// What is awarded.
    pub amount: Money,
    /// Since when it is offered.
    pub awarded_at: Timestamp,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ScholarshipApplication {
    /// Where in its life it is.
    pub status: ApplicationStatus,
    /// The scholarship.
    pub scholarship: Uuid,
    /// Who applies.
    pub applicant: Uuid,
    /// The essays, by prompt.
    pub essays: Personal<BTreeMap<String, String>, Education>,
    /// The documents of the last draft.
    pub documents: Vec<Uuid>,
    /// The recommendations asked for.
    pub recommendations: BTreeMap<Uuid, RecommendationRequest>,
    /// The facts of the profile, once submitted.
    pub snapshot: ApplicantSnapshot,
    /// The match score.
    pub score: Option<RecordedScore>,
    /// The relatives declared at the submission, none of whom reviews (OPP-A7).
    pub relatives: Option<Personal<Vec<Uuid>, Education>>,
    /// Those who were declared to be too close, none of whom reviews either (OPP-A7).
    pub conflicts: Vec<Personal<Uuid, Education>>,
    /// The reviewers assigned.
    pub reviewers: BTreeSet<Uuid>,
    /// The award.
    pub award: Option<AwardOffer>,
}

/// What an application must know of others.
#[derive(Default)]
pub struct ScholarshipApplicationFacts {
    /// The scholarship, where it exists.
    pub scholarship: Option<Arc<Scholarship>>,
    /// The applicant's profile, where it exists.
    pub profile: Option<Arc<Profile>>,
    /// The version of that profile.
    pub profile_version: u64,
    /// The e-mail addresses of those who review, or are to, as far as they have accounts; of nobody where nobody is to
    /// be compared with a recommender.
    pub emails: BTreeMap<Uuid, String>,
    /// The hash of a new token.
    pub token_hash: Option<String>,
    /// The scholarship's sponsor and all that it is below, where the actor's scope is held against it.
    pub lineage: Vec<Uuid>,
}

impl Decider for ScholarshipApplication {
    const TYPE: &'static str = "opportunities.scholarship_application";
    const CLASS: Option<RecordClass> = Some(RecordClass::Education);
    const GRANTABLE: &'static [&'static str] =
        &[crate::READ, "AssignReviewer", "ShortlistApplication", "DeclineApplication"];
    type Command = ScholarshipApplicationCommand;
    type Event = ScholarshipApplicationEvent;
    type Refusal = ScholarshipApplicationRefusal;
    type Facts = ScholarshipApplicationFacts;

    fn creates(command: &ScholarshipApplicationCommand) -> bool {
        matches!(command, ScholarshipApplicationCommand::StartApplication { .. })
    }

    fn facts(
        &self,
        command: &ScholarshipApplicationCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<ScholarshipApplicationFacts, NotYet> {
        use ScholarshipApplicationCommand as C;
        let mut facts = ScholarshipApplicationFacts::default();
        let scholarship = match command {
            C::StartApplication { scholarship, .. } => known.stream::<Scholarship>(*scholarship)?,
            C::SaveApplicationDraft { .. }
            | C::RequestRecommendation { .. }
            | C::AttachRecommendation { .. } => known.stream::<Scholarship>(self.scholarship)?,
            // Pinned: criteria that freeze, a window that closes, a selection that is reversed at the same moment count.
            C::SubmitApplication { .. } | C::RecordAward { .. } | C::AcceptAward {} => {
                known.pinned::<Scholarship>(self.scholarship)?
            }
            C::AssignReviewer { .. }
            | C::DeclareConflict { .. }
            | C::ShortlistApplication {}
            | C::DeclineApplication { .. } => {
                let scholarship = known.stream::<Scholarship>(self.scholarship)?;
                if let Some(terms) = &scholarship.state.terms {
                    facts.lineage = lineage_for(&context.actor, MANAGE, terms.sponsor, known)?;
                }
                if let C::AssignReviewer { reviewer } = command {
                    facts.emails = self.emails_of([*reviewer], known)?;
                }
                return Ok(facts);
            }
            C::RecordMatchScore { .. }
            | C::WithdrawApplication { .. }
            | C::RecordReview { .. }
            | C::RefuseAward { .. } => return Ok(facts),
        };
        facts.scholarship = scholarship.exists().then_some(scholarship.state);
        if let C::SubmitApplication { .. } = command {
            let profile = known.stream::<Profile>(self.applicant)?;
            facts.profile_version = profile.version;
            facts.profile = profile.exists().then_some(profile.state);
        }
        if let C::AttachRecommendation { .. } = command {
            facts.emails = self.emails_of(self.reviewers.iter().copied(), known)?;
        }
        if let C::RequestRecommendation { request, .. } = command {
            let label = recommendation_token_label(context.id, *request);
            facts.token_hash = match known.ask(Question::TokenHash { label })? {
                Answer::Hash(hash) => Some(hash),
                _ => None,
            };
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &ScholarshipApplicationCommand) -> bool {
        use ScholarshipApplicationCommand as C;
        let own = |applicant| actor.has("apply:opportunities") && actor.is(applicant);
        // For which sponsor's scholarships, the decision tells.
        let staff = actor.has_somewhere(MANAGE);
        match command {
            C::StartApplication { applicant, .. } => own(*applicant),
            C::SaveApplicationDraft { .. }
            | C::RequestRecommendation { .. }
            | C::SubmitApplication { .. }
            | C::AcceptAward {} => own(self.applicant),
            // P-53: who is erased applies for nothing any more.
            C::WithdrawApplication { .. } => own(self.applicant) || actor.is_system(),
            // P-13: the clock lets an offer lapse.
            C::RefuseAward { .. } => own(self.applicant) || actor.is_system(),
            // Whoever holds the token, except who applies.
            C::AttachRecommendation { .. } => !actor.is(self.applicant),
            C::RecordMatchScore { .. } | C::RecordAward { .. } => actor.is_system(),
            // P-14: an overturned score is looked at by another reviewer.
            C::AssignReviewer { .. } => staff || actor.is_system(),
            C::RecordReview { reviewer, .. } => {
                actor.is(*reviewer) && (staff || actor.has("review:applications"))
            }
            C::DeclareConflict { person, .. } => {
                own(self.applicant) || staff || actor.is(*person) && actor.has("review:applications")
            }
            C::ShortlistApplication {} | C::DeclineApplication { .. } => staff,
        }
    }

    fn decide(
        &self,
        command: ScholarshipApplicationCommand,
        facts: &ScholarshipApplicationFacts,
        context: &Context,
    ) -> Decided<Self> {
        use ScholarshipApplicationCommand as C;
        use ScholarshipApplicationEvent as E;
        use ScholarshipApplicationRefusal as R;
        let actor = &context.actor;
        let by_staff = match &command {
            C::AssignReviewer { .. } | C::ShortlistApplication {} | C::DeclineApplication { .. } => true,
            C::DeclareConflict { person, .. } => !actor.is(self.applicant) && !actor.is(*person),
            _ => false,
        };
        if by_staff && !actor.is_system() && !actor.has_within(MANAGE, &facts.lineage) {
            return Err(Refused::Forbidden);
        }
        // Whoever may try a token is told only by the right one how the application stands.
        if let C::AttachRecommendation { request, token, .. } = &command {
            let asked = self.recommendations.get(request).and_then(|asked| asked.token_hash.as_ref());
            if asked.and_then(Personal::get) != Some(&sha256_hex(&token.0)) {
                return Err(R::TokenInvalid {}.into());
            }
        }
        if self.has_recorded(&command) {
            return Ok(Vec::new());
        }
        if !self.allows(&command) {
            return Err(Refused::InvalidState { state: self.status.into(), command: (&command).into() });
        }
        let (scholarship, applicant) = (self.scholarship, self.applicant);
        let event = match command {
            C::StartApplication { scholarship, applicant } => {
                let known = facts.scholarship.as_ref().ok_or(R::UnknownScholarship {})?;
                if !known.is_open(context.now) {
                    return Err(R::NotOpen {}.into());
                }
                E::ApplicationStarted { scholarship, applicant }
            }
            C::SaveApplicationDraft { essays, documents, answers } => {
                bounds::text_map("essays", &essays.0, 100, bounds::LONG)?;
                bounds::count("documents", documents.len(), 100)?;
                if let Some(answers) = &answers {
                    bounds::text_map("answers", &answers.0, 100, bounds::LONG)?;
                }
                let progress = progress(terms(facts)?, &essays.0, self.recommendations.len());
                let answers = answers.map(|answers| answers.about(applicant));
                E::ApplicationDraftSaved { essays: essays.about(applicant), documents, answers, progress }
            }
            C::RequestRecommendation { request, recommender_email, message } => {
                self.request_recommendation(request, recommender_email, message, facts, context)?
            }
            C::AttachRecommendation { request, token: _, document } => {
                let deadline = terms(facts)?.deadline;
                if context.now > deadline {
                    return Err(R::DeadlinePassed { deadline }.into());
                }
                let recommender = context.actor.account();
                if self.is_recommended_by_a_reviewer(request, recommender, facts) {
                    return Err(R::ConflictOfInterest {}.into());
                }
                E::RecommendationAttached { request, document, recommender }
            }
            C::SubmitApplication { declaration, relatives } => {
                self.submit(declaration, relatives, facts, context)?
            }
            C::RecordMatchScore { decision, score, components, engine, model } => {
                if !score.is_share() {
                    return Err(Refused::invalid("score", "0 to 10000"));
                }
                bounds::count("components", components.len(), 20)?;
                bounds::text("engine", &engine, 1..=100)?;
                E::ApplicationMatchScored { decision, score, components, engine, model }
            }
            C::WithdrawApplication { reason } => {
                let text = reason.as_ref().map(|reason| reason.0.as_str());
                bounds::maybe_text("reason", text, 0..=2000)?;
                let reason = reason.map(|reason| reason.about(applicant));
                E::ApplicationWithdrawn { reason, scholarship, applicant }
            }
            C::AssignReviewer { reviewer } => {
                if self.is_too_close(reviewer, facts) {
                    return Err(R::ConflictOfInterest {}.into());
                }
                bounds::count("reviewer", self.reviewers.len() + 1, 100)?;
                E::ReviewerAssigned { reviewer }
            }
            C::DeclareConflict { person, relation } => return self.declare(person, relation),
            C::RecordReview { reviewer, scores, comment, recommendation } => {
                if !self.reviewers.contains(&reviewer) {
                    return Err(R::NotAssigned {}.into());
                }
                bounds::count("scores", scores.len(), 20)?;
                for (criterion, mark) in &scores {
                    bounds::text("scores", criterion, 1..=100)?;
                    if !(0..=10_000).contains(mark) {
                        return Err(R::OutOfRange { criterion: criterion.clone() }.into());
                    }
                }
                bounds::maybe_text(
                    "comment",
                    comment.as_ref().map(|text| text.0.as_str()),
                    0..=bounds::LONG,
                )?;
                let comment = comment.map(|comment| comment.about(applicant));
                E::ApplicationReviewed { reviewer, scores, comment, recommendation }
            }
            C::ShortlistApplication {} => E::ApplicationShortlisted {},
            C::RecordAward { amount } => {
                if selected(facts, context) != Some(amount) {
                    return Err(R::NotSelected {}.into());
                }
                E::ScholarshipAwarded { amount, scholarship, applicant, awarded_at: context.now }
            }
            C::DeclineApplication { reason } => {
                bounds::text("reason", &reason.0, 1..=2000)?;
                E::ApplicationDeclined { reason: reason.about(applicant) }
            }
            C::AcceptAward {} => {
                let expired_at = self.offer_ends().unwrap_or(Timestamp::MIN);
                if context.now > expired_at {
                    return Err(R::OfferExpired { expired_at }.into());
                }
                if selected(facts, context) != self.award.map(|award| award.amount) {
                    return Err(R::OfferReversed {}.into());
                }
                E::AwardAccepted { scholarship, applicant }
            }
            C::RefuseAward { reason } => {
                bounds::maybe_text("reason", reason.as_ref().map(|text| text.0.as_str()), 0..=2000)?;
                let reason = reason.map(|reason| reason.about(applicant));
                E::AwardRefused { reason, lapsed: context.actor.is_system(), scholarship }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &ScholarshipApplicationEvent) {
        use ApplicationStatus as S;
        use ScholarshipApplicationEvent as E;
        match event {
            E::ApplicationStarted { scholarship, applicant } => {
                self.status = S::Draft;
                self.scholarship = *scholarship;
                self.applicant = *applicant;
            }
            E::ApplicationDraftSaved { essays, documents, .. } => {
                self.essays = essays.clone();
                self.documents.clone_from(documents);
            }
            E::RecommendationRequested { request, recommender_email, token_hash, .. } => {
                let (email, token_hash) = (recommender_email.clone(), Some(token_hash.clone()));
                let asked = RecommendationRequest { email, token_hash, ..RecommendationRequest::default() };
                self.recommendations.insert(*request, asked);
            }
            E::RecommendationAttached { request, document, recommender } => {
                let asked = self.recommendations.entry(*request).or_default();
                (asked.token_hash, asked.recommender) = (None, *recommender);
                asked.document = Some(*document);
            }
            E::ScholarshipApplicationSubmitted { gpa, major, grad_year, interests, relatives, .. } => {
                self.status = S::Submitted;
                self.relatives = relatives.clone();
                self.snapshot = ApplicantSnapshot {
                    gpa: gpa.clone(),
                    major: major.clone(),
                    grad_year: grad_year.clone(),
                    interests: interests.clone(),
                };
            }
            E::ApplicationMatchScored { decision, score, .. } => {
                self.score = Some(RecordedScore { decision: *decision, score: *score });
            }
            E::ApplicationWithdrawn { .. } => self.status = S::Withdrawn,
            E::ReviewerAssigned { reviewer } => {
                self.reviewers.insert(*reviewer);
                if self.status == S::Submitted {
                    self.status = S::UnderReview;
                }
            }
            E::ConflictDeclared { person, relation: _ } => self.conflicts.push(person.clone()),
            E::ReviewerWithdrawn { reviewer } => {
                self.reviewers.remove(reviewer);
            }
            E::ApplicationReviewed { .. } => {}
            E::ApplicationShortlisted {} => self.status = S::Shortlisted,
            E::ScholarshipAwarded { amount, awarded_at, .. } => {
                self.status = S::Awarded;
                self.award = Some(AwardOffer { amount: *amount, awarded_at: *awarded_at });
            }
            E::ApplicationDeclined { .. } => self.status = S::Declined,
            E::AwardAccepted { .. } => self.status = S::Accepted,
            E::AwardRefused { .. } => self.status = S::Refused,
        }
    }

    fn claims(id: Uuid, event: &ScholarshipApplicationEvent) -> Vec<Claim> {
        use ScholarshipApplicationEvent as E;
        match event {
            E::ApplicationStarted { scholarship, applicant } => {
                vec![Claim::Take(live_key(*scholarship, *applicant))]
            }
            E::ApplicationWithdrawn { scholarship, applicant, .. } => {
                vec![Claim::Free(live_key(*scholarship, *applicant))]
            }
            // The reader's side of OPP-S2: a seat that everybody finds and nobody gives back.
            E::ScholarshipApplicationSubmitted { scholarship, .. } => {
                vec![Claim::Seat { key: submission_key(*scholarship, id), limit: u32::MAX }]
            }
            E::ApplicationDraftSaved { .. }
            | E::RecommendationRequested { .. }
            | E::RecommendationAttached { .. }
            | E::ApplicationMatchScored { .. }
            | E::ReviewerAssigned { .. }
            | E::ConflictDeclared { .. }
            | E::ReviewerWithdrawn { .. }
            | E::ApplicationReviewed { .. }
            | E::ApplicationShortlisted {}
            | E::ScholarshipAwarded { .. }
            | E::ApplicationDeclined { .. }
            | E::AwardAccepted { .. }
            | E::AwardRefused { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<ScholarshipApplicationRefusal> {
        key.starts_with("schapp:").then_some(ScholarshipApplicationRefusal::AlreadyApplied {})
    }

    fn subject(&self) -> Option<Uuid> {
        (self.status != ApplicationStatus::New).then_some(self.applicant)
    }
}

/// The claim of OPP-A1.
fn live_key(scholarship: Uuid, applicant: Uuid) -> String {
    format!("schapp:{scholarship}:{applicant}")
}

/// For how much the scholarship has selected this application.
fn selected(facts: &ScholarshipApplicationFacts, context: &Context) -> Option<Money> {
    facts.scholarship.as_ref()?.selections.get(&context.id).copied()
}

impl ScholarshipApplication {
    /// The last instant at which the offer can be accepted (OPP-A6).
    pub fn offer_ends(&self) -> Option<Timestamp> {
        self.award.map(|award| award.awarded_at.checked_add(OFFER_LASTS).unwrap_or(Timestamp::MAX))
    }

    /// Whether a policy or staff states again what is on record already.
    fn has_recorded(&self, command: &ScholarshipApplicationCommand) -> bool {
        use ScholarshipApplicationCommand as C;
        match command {
            C::RecordMatchScore { decision, .. } => {
                self.score.is_some_and(|score| score.decision == *decision)
            }
            C::AssignReviewer { reviewer } => self.reviewers.contains(reviewer),
            C::RecordAward { amount } => self.award.is_some_and(|award| award.amount == *amount),
            _ => false,
        }
    }

    /// Which commands mean something in which state.
    fn allows(&self, command: &ScholarshipApplicationCommand) -> bool {
        use ApplicationStatus as S;
        use ScholarshipApplicationCommand as C;
        match command {
            C::StartApplication { .. } => self.status == S::New,
            C::SaveApplicationDraft { .. } | C::SubmitApplication { .. } => self.status == S::Draft,
            C::RequestRecommendation { .. } => {
                matches!(self.status, S::Draft | S::Submitted | S::UnderReview)
            }
            C::AttachRecommendation { .. } | C::WithdrawApplication { .. } | C::DeclareConflict { .. } => {
                self.status == S::Draft || self.status.is_under_consideration()
            }
            C::RecordMatchScore { .. }
            | C::AssignReviewer { .. }
            | C::RecordReview { .. }
            | C::RecordAward { .. }
            | C::DeclineApplication { .. } => self.status.is_under_consideration(),
            C::ShortlistApplication {} => self.status == S::UnderReview,
            C::AcceptAward {} | C::RefuseAward { .. } => self.status == S::Awarded,
        }
    }
}

#[cfg(test)]
mod tests;
