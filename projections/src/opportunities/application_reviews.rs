//! R-18 `application_reviews`: what reviewers said of applications: the review board. For those who manage scholarships;
//! reviewers see what they wrote themselves.

use domain::{
    Actor, Personal,
    class::Education,
    opportunities::{ReviewRecommendation, ScholarshipApplicationEvent as E},
    registry::AnyEvent,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::{Filter, Owned},
    opportunities::{Applications, applications::SPONSORED},
    row,
    row::{Json, JsonMap},
    table::{Options, Table},
    words,
};

words!(ReviewRecommendation);

row! {
    /// What a reviewer said last of an application.
    pub struct ApplicationReviewRow {
        key {
            /// The application.
            application_id: Uuid => filter,
            /// The reviewer.
            reviewer: Uuid => filter index,
        }
        columns {
            /// Marks by criterion, in hundredths of a point, 0 to 10000 each.
            scores: JsonMap<i32>,
            /// What the reviewer recommends.
            recommendation: ReviewRecommendation => filter,
            /// When it was said.
            reviewed_at: Timestamp => sort,
        }
        personal {
            /// The comment on the applicant.
            comment: Option<Personal<String, Education>>,
        }
    }
}

/// An application belongs to where its scholarship does.
const APPLIED: Owned =
    Owned { model: Applications::NAME, key: "id", unit: "scholarship", by: Some(&SPONSORED) };

/// R-18, reviews.
pub struct ApplicationReviews;

impl Table for ApplicationReviews {
    const NAME: &'static str = "application_reviews";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["opportunities.scholarship_application"];
    const OPTIONS: Options = Options {
        time_travel: true,
        stream_column: Some("application_id"),
        resource: Some(("opportunities.scholarship_application", "application_id")),
        ..Options::DEFAULT
    };
    type Row = ApplicationReviewRow;

    fn keys(fact: &Fact, out: &mut Vec<(Uuid, Uuid)>) {
        if let AnyEvent::ScholarshipApplication(
            E::ApplicationReviewed { reviewer, .. } | E::ReviewerWithdrawn { reviewer },
        ) = &fact.event
        {
            out.push((fact.id, *reviewer));
        }
    }

    fn fold(
        key: &(Uuid, Uuid),
        row: Option<ApplicationReviewRow>,
        fact: &Fact,
    ) -> Option<ApplicationReviewRow> {
        // What somebody said who turned out to be too close counts no more (OPP-A7).
        if let AnyEvent::ScholarshipApplication(E::ReviewerWithdrawn { .. }) = &fact.event {
            return None;
        }
        let AnyEvent::ScholarshipApplication(E::ApplicationReviewed {
            reviewer: _,
            scores,
            comment,
            recommendation,
        }) = &fact.event
        else {
            return row;
        };
        Some(ApplicationReviewRow {
            application_id: key.0,
            reviewer: key.1,
            scores: Json(scores.clone()),
            recommendation: *recommendation,
            reviewed_at: fact.occurred_at(),
            comment: comment.clone(),
        })
    }

    fn visible(actor: &Actor) -> Filter {
        let own = match actor.has("review:applications") {
            true => Filter::own(actor, "reviewer"),
            false => Filter::Nothing,
        };
        Filter::within_by(actor, "manage:scholarships", "application_id", APPLIED).or(own)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        opportunities::samples::{ADA, APPLICATION, of_application, started, submitted},
        testing::given,
    };

    const REVIEWER: Uuid = Uuid::from_u128(0x7);

    fn reviewed(points: i32, recommendation: ReviewRecommendation) -> E {
        E::ApplicationReviewed {
            reviewer: REVIEWER,
            scores: BTreeMap::from([("essay".into(), points)]),
            comment: Some(Personal::about(ADA, "Clear".into())),
            recommendation,
        }
    }

    #[test]
    fn the_last_review_of_a_reviewer_counts() {
        let events = [
            started(),
            submitted(),
            reviewed(4000, ReviewRecommendation::Decline),
            reviewed(9000, ReviewRecommendation::Award),
        ];
        given::<ApplicationReviews>(events.map(of_application)).then([ApplicationReviewRow {
            application_id: APPLICATION,
            reviewer: REVIEWER,
            scores: Json(BTreeMap::from([("essay".into(), 9000)])),
            recommendation: ReviewRecommendation::Award,
            reviewed_at: "2026-01-01T12:00:03Z".parse().unwrap(),
            comment: Some(Personal::about(ADA, "Clear".into())),
        }]);
    }

    #[test]
    fn opp_a7_what_somebody_said_who_is_too_close_counts_no_more() {
        let said = reviewed(9000, ReviewRecommendation::Award);
        let events = [started(), submitted(), said, E::ReviewerWithdrawn { reviewer: REVIEWER }];
        given::<ApplicationReviews>(events.map(of_application)).then([]);
    }

    #[test]
    fn an_applicant_sees_no_review_and_a_reviewer_their_own() {
        assert_eq!(ApplicationReviews::visible(&Actor::user(ADA, &["student"])), Filter::Nothing);
        let own = Filter::Is("reviewer", REVIEWER.into());
        assert_eq!(ApplicationReviews::visible(&Actor::user(REVIEWER, &["reviewer"])), own);
        assert_eq!(ApplicationReviews::visible(&Actor::user(REVIEWER, &["staff"])), Filter::All);
    }
}
