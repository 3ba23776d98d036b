//! Who is too close to an applicant to review the application (OPP-A7).
//!
//! What is known: the applicant; the recommenders, by the account with which they attached their recommendation or by the
//! address that it was asked of; the relatives that the applicant names at the submission; and whoever the applicant, the
//! person themselves or staff declare later, mentors among them. That somebody mentors the applicant though nobody says
//! so will be one more fact of [`ScholarshipApplication::is_too_close`], once there are mentorships (catalogue 2.2).

use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::kernel::Stated;

/// How many may be declared.
const MOST_CONFLICTS: usize = 100;

impl ScholarshipApplication {
    /// Whether somebody is too close to the applicant to review the application.
    pub(super) fn is_too_close(&self, person: Uuid, facts: &ScholarshipApplicationFacts) -> bool {
        let mut recommendations = self.recommendations.values();
        person == self.applicant
            || self.is_declared(person)
            || recommendations.any(|asked| asked.recommender == Some(person) || asked.is_of(person, facts))
    }

    fn is_declared(&self, person: Uuid) -> bool {
        let relatives = self.relatives.as_ref().and_then(Personal::get);
        relatives.is_some_and(|relatives| relatives.contains(&person))
            || self.conflicts.iter().any(|declared| declared.get() == Some(&person))
    }

    /// Whether a recommendation comes from somebody who reviews the application: the account that brings it, or the one
    /// whose address it was asked of.
    pub(super) fn is_recommended_by_a_reviewer(
        &self,
        request: Uuid,
        recommender: Option<Uuid>,
        facts: &ScholarshipApplicationFacts,
    ) -> bool {
        let asked = self.recommendations.get(&request);
        let is_asked = |reviewer: &Uuid| asked.is_some_and(|asked| asked.is_of(*reviewer, facts));
        self.reviewers.iter().any(|reviewer| recommender == Some(*reviewer) || is_asked(reviewer))
    }

    /// The addresses of these people, where a recommender could be one of them.
    pub(super) fn emails_of(
        &self,
        people: impl IntoIterator<Item = Uuid>,
        known: &mut impl Known,
    ) -> Result<BTreeMap<Uuid, String>, NotYet> {
        let mut emails = BTreeMap::new();
        if self.recommendations.is_empty() {
            return Ok(emails);
        }
        for person in people {
            let account = known.stream::<Account>(person)?.state;
            emails.extend(account.email.get().map(|email| (person, email.clone())));
        }
        Ok(emails)
    }

    pub(super) fn declare(&self, person: Uuid, relation: Stated<ConflictRelation>) -> Decided<Self> {
        use ScholarshipApplicationEvent as E;
        if person == self.applicant {
            return Err(Refused::invalid("person", "another person than the applicant"));
        }
        if self.is_declared(person) {
            return Ok(Vec::new());
        }
        bounds::count("person", self.conflicts.len() + 1, MOST_CONFLICTS)?;
        let declared = E::ConflictDeclared {
            person: Personal::about(self.applicant, person),
            relation: relation.about(self.applicant),
        };
        let withdrawn = self.reviewers.contains(&person).then_some(E::ReviewerWithdrawn { reviewer: person });
        Ok([declared].into_iter().chain(withdrawn).collect())
    }
}

impl RecommendationRequest {
    /// Whether the address that it was asked of is this person's.
    fn is_of(&self, person: Uuid, facts: &ScholarshipApplicationFacts) -> bool {
        let asked = self.email.get().and_then(|email| normalised_email(email));
        asked.is_some_and(|asked| facts.emails.get(&person) == Some(&asked))
    }
}
