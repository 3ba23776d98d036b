//! What makes an application complete: essays, recommendations, and the snapshot of the profile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::*;
use crate::opportunities::ScholarshipTerms;

/// How many recommendations may be asked for.
pub const MOST_RECOMMENDATIONS: usize = 10;

/// How many relatives may be declared.
pub const MOST_RELATIVES: usize = 20;

/// The label of the token with which a recommendation is attached; see [`Question::TokenHash`].
pub fn recommendation_token_label(application: Uuid, request: Uuid) -> String {
    format!("recommendation|{application}|{request}")
}

/// The facts of the profile as they were at the submission (OPP-A3).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ApplicantSnapshot {
    /// The grade point average, in milli-points.
    pub gpa: Option<Personal<i32, Education>>,
    /// The major.
    pub major: Option<Personal<String, Education>>,
    /// The graduation year.
    pub grad_year: Option<Personal<i32, Education>>,
    /// The interests.
    pub interests: Option<Personal<Vec<String>, Education>>,
}

type Outcome<T> = Result<T, RefusedBy<ScholarshipApplication>>;

/// The terms of the scholarship.
pub(super) fn terms(facts: &ScholarshipApplicationFacts) -> Outcome<&ScholarshipTerms> {
    let terms = facts.scholarship.as_ref().and_then(|scholarship| scholarship.terms.as_ref());
    terms.ok_or(ScholarshipApplicationRefusal::UnknownScholarship {}.into())
}

fn unanswered(terms: &ScholarshipTerms, essays: &BTreeMap<String, String>) -> Vec<String> {
    let answered = |prompt: &String| essays.get(prompt).is_some_and(|essay| !essay.trim().is_empty());
    terms.essay_prompts.iter().filter(|prompt| !answered(prompt)).cloned().collect()
}

fn recommendations_missing(terms: &ScholarshipTerms, asked: usize) -> u32 {
    terms.recommendations_required.saturating_sub(u32::try_from(asked).unwrap_or(u32::MAX))
}

/// The share of essays and recommendations that are there, so many of which were asked for; a scholarship that asks for
/// none is all there.
pub(super) fn progress(
    terms: &ScholarshipTerms,
    essays: &BTreeMap<String, String>,
    asked: usize,
) -> BasisPoints {
    let needed = terms.essay_prompts.len() as i64 + i64::from(terms.recommendations_required);
    let missing = unanswered(terms, essays).len() as i64 + i64::from(recommendations_missing(terms, asked));
    ratio_bp(needed - missing, needed).unwrap_or(BasisPoints::WHOLE)
}

impl ScholarshipApplication {
    /// The documents of the draft and the recommendations that were attached.
    pub fn documents_there(&self) -> Vec<Uuid> {
        let attached = self.recommendations.values().filter_map(|asked| asked.document);
        self.documents.iter().copied().chain(attached).collect()
    }

    pub(super) fn request_recommendation(
        &self,
        request: Uuid,
        recommender_email: Stated<String>,
        message: Option<Stated<String>>,
        facts: &ScholarshipApplicationFacts,
        context: &Context,
    ) -> Outcome<ScholarshipApplicationEvent> {
        use ScholarshipApplicationRefusal as R;
        bounds::text("recommender_email", &recommender_email.0, 3..=254)?;
        let address = recommender_email.0.split_once('@');
        let is_address =
            address.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
        if !is_address || recommender_email.0.contains(char::is_whitespace) {
            return Err(Refused::invalid("recommender_email", "an e-mail address"));
        }
        bounds::maybe_text("message", message.as_ref().map(|text| text.0.as_str()), 0..=2000)?;
        if self.recommendations.contains_key(&request) {
            return Err(Refused::invalid("request", "another request has this id"));
        }
        if self.recommendations.len() >= MOST_RECOMMENDATIONS {
            return Err(R::TooMany { most: MOST_RECOMMENDATIONS }.into());
        }
        let terms = terms(facts)?;
        let deadline = terms.deadline;
        if context.now > deadline {
            return Err(R::DeadlinePassed { deadline }.into());
        }
        let token_hash = facts.token_hash.clone().ok_or(R::TokenInvalid {})?;
        let none = BTreeMap::new();
        let essays = self.essays.get().unwrap_or(&none);
        Ok(ScholarshipApplicationEvent::RecommendationRequested {
            request,
            // The recommender has no account: a subject of its own, that can be erased on its own.
            recommender_email: recommender_email.about(context.derive("recommender")),
            message: message.map(|message| message.about(self.applicant)),
            token_hash: Personal::about(context.derive("secret-recommendation"), token_hash),
            expires_at: deadline,
            progress: Some(progress(terms, essays, self.recommendations.len() + 1)),
        })
    }

    /// OPP-A2, OPP-A3.
    pub(super) fn submit(
        &self,
        declaration: bool,
        relatives: Option<Stated<Vec<Uuid>>>,
        facts: &ScholarshipApplicationFacts,
        context: &Context,
    ) -> Outcome<ScholarshipApplicationEvent> {
        use ScholarshipApplicationRefusal as R;
        if !declaration {
            return Err(Refused::invalid("declaration", "an application is submitted as true"));
        }
        bounds::count(
            "relatives",
            relatives.as_ref().map_or(0, |relatives| relatives.0.len()),
            MOST_RELATIVES,
        )?;
        let (terms, scholarship) = (terms(facts)?, facts.scholarship.as_ref());
        if context.now > terms.deadline {
            return Err(R::DeadlinePassed { deadline: terms.deadline }.into());
        }
        if !scholarship.is_some_and(|scholarship| scholarship.is_open(context.now)) {
            return Err(R::NotOpen {}.into());
        }
        let profile = facts.profile.as_ref().ok_or(R::NotEligible {})?;
        if profile.student.is_none() && profile.alumni.is_none() {
            return Err(R::NotEligible {}.into());
        }
        let no_essays = BTreeMap::new();
        let prompts = unanswered(terms, self.essays.get().unwrap_or(&no_essays));
        let recommendations = recommendations_missing(terms, self.recommendations.len());
        if !prompts.is_empty() || recommendations > 0 {
            return Err(R::Incomplete { prompts, recommendations }.into());
        }
        let snapshot = ApplicantSnapshot::of(profile, self.applicant);
        Ok(ScholarshipApplicationEvent::ScholarshipApplicationSubmitted {
            scholarship: self.scholarship,
            applicant: self.applicant,
            gpa: snapshot.gpa,
            major: snapshot.major,
            grad_year: snapshot.grad_year,
            interests: snapshot.interests,
            relatives: relatives.map(|relatives| relatives.about(self.applicant)),
            submitted_at: context.now,
            profile_version: Some(facts.profile_version),
        })
    }
}

impl ApplicantSnapshot {
    /// What a profile tells of a person now. A student's facts come before those of an alumnus or alumna.
    pub fn of(profile: &Profile, person: Uuid) -> ApplicantSnapshot {
        fn own<T: Clone>(person: Uuid, value: Option<&T>) -> Option<Personal<T, Education>> {
            value.map(|value| Personal::about(person, value.clone()))
        }
        let student = profile.student.as_ref();
        let graduates = student.and_then(|facet| facet.grad_year.get());
        ApplicantSnapshot {
            gpa: own(person, student.and_then(|facet| facet.gpa.as_ref()?.get())),
            major: own(person, student.and_then(|facet| facet.major.get())),
            grad_year: own(person, graduates.or(profile.alumni.as_ref().and_then(Personal::get))),
            interests: own(person, profile.interests.get()),
        }
    }
}
