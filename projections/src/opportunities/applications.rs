//! R-18 `applications`: where an application for a scholarship is. For the applicant, the reviewers assigned, and, once it
//! was submitted, for those who manage scholarships: within an org unit those that it, or one below it, sponsors. What reviewers said is in R-18 `application_reviews`; who they are,
//! applicants do not see.

use std::collections::BTreeMap;

use domain::{
    Actor, BasisPoints, Money, Personal,
    class::{Education, Identity},
    opportunities::{ApplicationStatus, OFFER_LASTS, ScholarshipApplicationEvent as E},
    registry::AnyEvent,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::{Filter, Owned},
    opportunities::Scholarships,
    row,
    row::{Json, JsonMap},
    table::{Options, Table},
    words,
};

words!(ApplicationStatus);

/// A recommendation that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AskedRecommendation {
    /// The request.
    pub request: Uuid,
    /// Until when it can be attached; a deadline that moves moves this too.
    pub expires_at: Timestamp,
    /// The document, once it was attached.
    pub document: Option<Uuid>,
}

row! {
    /// An application for a scholarship.
    pub struct ApplicationRow {
        key {
            /// The application.
            id: Uuid,
        }
        columns {
            /// The scholarship.
            scholarship: Uuid => filter index,
            /// Who applies.
            applicant: Uuid => filter index,
            /// Where in its life it is.
            status: ApplicationStatus => filter,
            /// The share of essays and recommendations that are there, in basis points; all are once it was submitted.
            progress: i32,
            /// The documents attached.
            documents: Vec<Uuid>,
            /// The recommendations asked for.
            recommendations: Json<Vec<AskedRecommendation>>,
            /// How well the applicant fits, 0 to 10000 basis points.
            score: Option<i32> => filter sort,
            /// The components of the score, in basis points.
            score_components: JsonMap<i32>,
            /// What computed the score.
            score_engine: Option<String>,
            /// The decision that explains the score; it can be contested.
            decision: Option<Uuid>,
            /// The reviewers assigned.
            reviewers: Vec<Uuid> => filter index,
            /// Those who have reviewed it.
            reviewed_by: Vec<Uuid>,
            /// When it was started.
            started_at: Timestamp => filter sort,
            /// When it was submitted.
            submitted_at: Option<Timestamp> => filter sort,
            /// The award that is or was offered.
            award: Option<Money>,
            /// Until when the offer can be accepted.
            offer_ends: Option<Timestamp>,
        }
        personal {
            /// Why it was withdrawn or declined.
            reason: Option<Personal<String, Education>>,
            /// The essays, by prompt.
            essays: Option<Personal<BTreeMap<String, String>, Education>>,
            /// Further answers, by question.
            answers: Option<Personal<BTreeMap<String, String>, Education>>,
            /// Whom the recommendations were asked of, by request.
            recommenders: BTreeMap<Uuid, Personal<String, Identity>>,
            /// The grade point average at the submission, in milli-points.
            gpa: Option<Personal<i32, Education>>,
            /// The major at the submission.
            major: Option<Personal<String, Education>>,
            /// The graduation year at the submission.
            grad_year: Option<Personal<i32, Education>>,
            /// The interests at the submission.
            interests: Option<Personal<Vec<String>, Education>>,
            /// Why the award was refused.
            refusal: Option<Personal<String, Education>>,
        }
    }
}

/// A scholarship belongs to the org unit that sponsors it.
pub(super) const SPONSORED: Owned = Owned { model: Scholarships::NAME, key: "id", unit: "sponsor", by: None };

///
pub struct Applications;

impl Table for Applications {
    const NAME: &'static str = "applications";
    const VERSION: u32 = 4;
    const FED_BY: &'static [&'static str] = &["opportunities.scholarship_application"];
    const OPTIONS: Options = Options {
        time_travel: true,
        stream_column: Some("id"),
        resource: Some(("opportunities.scholarship_application", "id")),
        ..Options::DEFAULT
    };
    type Row = ApplicationRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<ApplicationRow>, fact: &Fact) -> Option<ApplicationRow> {
        let AnyEvent::ScholarshipApplication(event) = &fact.event else { return row };
        let E::ApplicationStarted { scholarship, applicant } = event else {
            return row.map(|row| changed(row, event));
        };
        Some(ApplicationRow {
            id: *key,
            scholarship: *scholarship,
            applicant: *applicant,
            status: ApplicationStatus::Draft,
            progress: 0,
            documents: Vec::new(),
            recommendations: Json(Vec::new()),
            score: None,
            score_components: Json(BTreeMap::new()),
            score_engine: None,
            decision: None,
            reviewers: Vec::new(),
            reviewed_by: Vec::new(),
            started_at: fact.occurred_at(),
            submitted_at: None,
            award: None,
            offer_ends: None,
            reason: None,
            essays: None,
            answers: None,
            recommenders: BTreeMap::new(),
            gpa: None,
            major: None,
            grad_year: None,
            interests: None,
            refusal: None,
        })
    }

    fn visible(actor: &Actor) -> Filter {
        // A draft is the applicant's own; what was once submitted is a record of the school.
        let submitted = Filter::AtLeast("submitted_at", Timestamp::UNIX_EPOCH.into());
        let assigned = match actor.account() {
            Some(account) if actor.has("review:applications") => {
                Filter::Contains("reviewers", account.into())
            }
            Some(_) | None => Filter::Nothing,
        };
        Filter::own(actor, "applicant").or(assigned).or(Filter::within_by(
            actor,
            "manage:scholarships",
            "scholarship",
            SPONSORED,
        )
        .and(submitted))
    }

    fn hidden(actor: &Actor) -> &'static [&'static str] {
        let reviews = actor.has_within("manage:scholarships", &[]) || actor.has("review:applications");
        if reviews { &[] } else { &["reviewers", "reviewed_by"] }
    }

    fn disclosed(actor: &Actor) -> Filter {
        Filter::within_by(actor, "manage:scholarships", "scholarship", SPONSORED)
    }
}

fn changed(mut row: ApplicationRow, event: &E) -> ApplicationRow {
    match event {
        E::ApplicationStarted { .. } => {}
        E::ApplicationDraftSaved { essays, documents, answers, progress } => {
            row.essays = Some(essays.clone());
            row.documents.clone_from(documents);
            row.answers.clone_from(answers);
            row.progress = progress.0;
        }
        E::RecommendationRequested {
            request,
            recommender_email,
            message: _,
            token_hash: _,
            expires_at,
            progress,
        } => {
            row.progress = progress.map_or(row.progress, |progress| progress.0);
            let asked = AskedRecommendation { request: *request, expires_at: *expires_at, document: None };
            row.recommendations.0.push(asked);
            row.recommenders.insert(*request, recommender_email.clone());
        }
        E::RecommendationAttached { request, document, recommender: _ } => {
            let asked = row.recommendations.0.iter_mut().find(|asked| asked.request == *request);
            if let Some(asked) = asked {
                asked.document = Some(*document);
            }
        }
        E::ScholarshipApplicationSubmitted {
            scholarship: _,
            applicant: _,
            gpa,
            major,
            grad_year,
            interests,
            relatives: _,
            submitted_at,
            profile_version: _,
        } => {
            row.status = ApplicationStatus::Submitted;
            // Nothing is submitted that is not complete.
            row.progress = BasisPoints::WHOLE.0;
            row.submitted_at = Some(*submitted_at);
            row.gpa.clone_from(gpa);
            row.major.clone_from(major);
            row.grad_year.clone_from(grad_year);
            row.interests.clone_from(interests);
        }
        E::ApplicationMatchScored { decision, score, components, engine, model: _ } => {
            row.decision = Some(*decision);
            row.score = Some(score.0);
            row.score_components =
                Json(components.iter().map(|(name, points)| (name.clone(), points.0)).collect());
            row.score_engine = Some(engine.clone());
        }
        E::ApplicationWithdrawn { reason, scholarship: _, applicant: _ } => {
            row.status = ApplicationStatus::Withdrawn;
            row.reason.clone_from(reason);
        }
        E::ReviewerAssigned { reviewer } => {
            add(&mut row.reviewers, *reviewer);
            if row.status == ApplicationStatus::Submitted {
                row.status = ApplicationStatus::UnderReview;
            }
        }
        E::ConflictDeclared { person: _, relation: _ } => {}
        E::ReviewerWithdrawn { reviewer } => {
            row.reviewers.retain(|one| one != reviewer);
            row.reviewed_by.retain(|one| one != reviewer);
        }
        E::ApplicationReviewed { reviewer, scores: _, comment: _, recommendation: _ } => {
            add(&mut row.reviewed_by, *reviewer);
        }
        E::ApplicationShortlisted {} => row.status = ApplicationStatus::Shortlisted,
        E::ScholarshipAwarded { amount, scholarship: _, applicant: _, awarded_at } => {
            row.status = ApplicationStatus::Awarded;
            row.award = Some(*amount);
            row.offer_ends = Some(awarded_at.checked_add(OFFER_LASTS).unwrap_or(Timestamp::MAX));
        }
        E::ApplicationDeclined { reason } => {
            row.status = ApplicationStatus::Declined;
            row.reason = Some(reason.clone());
        }
        E::AwardAccepted { scholarship: _, applicant: _ } => row.status = ApplicationStatus::Accepted,
        E::AwardRefused { reason, lapsed: _, scholarship: _ } => {
            row.status = ApplicationStatus::Refused;
            row.refusal.clone_from(reason);
        }
    }
    row
}

fn add(people: &mut Vec<Uuid>, person: Uuid) {
    if !people.contains(&person) {
        people.push(person);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        opportunities::samples::{ADA, awarded, of_application, started, submitted, usd},
        testing::given,
    };

    const REVIEWER: Uuid = Uuid::from_u128(0x7);

    fn folded<const N: usize>(events: [E; N]) -> ApplicationRow {
        given::<Applications>(events.map(of_application)).rows().remove(0)
    }

    #[test]
    fn a_started_application_is_an_empty_draft() {
        let row = folded([started()]);
        assert_eq!((row.applicant, row.status, row.progress), (ADA, ApplicationStatus::Draft, 0));
        assert_eq!(row.started_at, "2026-01-01T12:00:00Z".parse().unwrap());
    }

    #[test]
    fn a_submission_keeps_the_profile_of_the_moment() {
        let row = folded([started(), submitted()]);
        assert_eq!(row.gpa.as_ref().and_then(Personal::get), Some(&3750));
        assert_eq!((row.status, row.submitted_at.is_some()), (ApplicationStatus::Submitted, true));
        assert_eq!(row.progress, 10_000);
    }

    #[test]
    fn a_recommendation_is_asked_for_and_attached() {
        let request = Uuid::from_u128(31);
        let asked = E::RecommendationRequested {
            request,
            recommender_email: Personal::about(Uuid::from_u128(32), "dean@example.edu".into()),
            message: None,
            token_hash: Personal::Erased,
            expires_at: "2026-02-01T00:00:00Z".parse().unwrap(),
            progress: Some(BasisPoints(5000)),
        };
        let document = Uuid::from_u128(33);
        let attached = E::RecommendationAttached { request, document, recommender: None };
        let row = folded([started(), asked, attached]);
        assert_eq!(row.recommendations.0[0].document, Some(document));
        assert_eq!(row.recommenders[&request].get().map(String::as_str), Some("dean@example.edu"));
        assert_eq!(row.progress, 5000);
    }

    #[test]
    fn a_review_is_noted_once_however_often_it_is_replaced() {
        let reviewed = || E::ApplicationReviewed {
            reviewer: REVIEWER,
            scores: BTreeMap::from([("essay".into(), 9000)]),
            comment: None,
            recommendation: domain::opportunities::ReviewRecommendation::Award,
        };
        let assigned = E::ReviewerAssigned { reviewer: REVIEWER };
        let row = folded([started(), submitted(), assigned, reviewed(), reviewed()]);
        assert_eq!((row.status, row.reviewed_by), (ApplicationStatus::UnderReview, vec![REVIEWER]));
    }

    #[test]
    fn opp_a7_who_turned_out_to_be_too_close_is_no_reviewer() {
        let assigned = E::ReviewerAssigned { reviewer: REVIEWER };
        let row = folded([started(), submitted(), assigned, E::ReviewerWithdrawn { reviewer: REVIEWER }]);
        assert_eq!((row.status, row.reviewers), (ApplicationStatus::UnderReview, Vec::new()));
    }

    #[test]
    fn an_award_is_offered_for_fourteen_days_and_accepted() {
        let accepted = E::AwardAccepted { scholarship: Uuid::from_u128(1), applicant: ADA };
        let row = folded([started(), submitted(), E::ApplicationShortlisted {}, awarded(), accepted]);
        assert_eq!(row.offer_ends, Some("2026-02-16T00:00:00Z".parse().unwrap()));
        assert_eq!((row.award, row.status), (Some(usd(40_000)), ApplicationStatus::Accepted));
    }

    #[test]
    fn the_score_comes_with_its_components() {
        let scored = E::ApplicationMatchScored {
            decision: Uuid::from_u128(41),
            score: BasisPoints(8000),
            components: BTreeMap::from([("major".into(), BasisPoints(3000))]),
            engine: "rules/match@1".into(),
            model: None,
        };
        let row = folded([started(), submitted(), scored]);
        assert_eq!((row.score, row.score_components.0["major"]), (Some(8000), 3000));
    }

    #[test]
    fn how_it_ends_is_told_with_the_reason() {
        let declined = folded([
            started(),
            submitted(),
            E::ApplicationDeclined { reason: Personal::about(ADA, "full".into()) },
        ]);
        assert_eq!(
            (declined.status, declined.reason.as_ref().and_then(Personal::get).map(String::as_str)),
            (ApplicationStatus::Declined, Some("full"))
        );
        let withdrawn = E::ApplicationWithdrawn {
            reason: Some(Personal::about(ADA, "moved".into())),
            scholarship: Uuid::from_u128(1),
            applicant: ADA,
        };
        let reason = folded([started(), withdrawn]).reason;
        assert_eq!(reason.as_ref().and_then(Personal::get).map(String::as_str), Some("moved"));
        let refused = E::AwardRefused {
            reason: Some(Personal::Erased),
            lapsed: false,
            scholarship: Uuid::from_u128(1),
        };
        let refused = folded([started(), submitted(), awarded(), refused]);
        assert_eq!((refused.status, refused.refusal), (ApplicationStatus::Refused, Some(Personal::Erased)));
    }

    #[test]
    fn applicants_see_their_own_reviewers_theirs_and_staff_what_was_submitted() {
        let own = Filter::Is("applicant", ADA.into());
        assert_eq!(Applications::visible(&Actor::user(ADA, &["student"])), own);
        let reviewer = Applications::visible(&Actor::user(REVIEWER, &["reviewer"]));
        let assigned = Filter::Contains("reviewers", REVIEWER.into());
        assert_eq!(reviewer, Filter::Is("applicant", REVIEWER.into()).or(assigned));
        let staff = Applications::visible(&Actor::user(REVIEWER, &["staff"]));
        assert!(
            matches!(&staff, Filter::Any(parts) if matches!(parts[1], Filter::AtLeast("submitted_at", _)))
        );
        assert_eq!(Applications::visible(&Actor::policy("x")), Filter::Nothing);
    }

    #[test]
    fn applicants_do_not_see_who_reviews_them() {
        assert!(Applications::hidden(&Actor::user(ADA, &["student"])).contains(&"reviewers"));
        assert!(Applications::hidden(&Actor::user(ADA, &["staff"])).is_empty());
    }
}
