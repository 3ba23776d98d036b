//! R-53 `decisions`: what was decided or predicted about a person by computation, why, and whether they contest it: the
//! explanation to the person, and the log of Article 22 for compliance. Reviewers of applications see the contested match
//! scores, for they review them.

use domain::{
    Actor, Personal,
    class::AiContent,
    intelligence::{DecisionEvent as E, DecisionStatus, Factor, Verdict},
    registry::AnyEvent,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
    words,
};

words!(DecisionStatus, Verdict);

/// The family of match scores (OPP-A8).
const MATCH_FAMILY: &str = "scholarship_match";

row! {
    /// One automated output about one person.
    pub struct DecisionRow {
        key {
            /// The decision.
            id: Uuid,
        }
        columns {
            /// Whom it is about.
            subject: Uuid => filter index,
            /// What it is about, such as an application.
            about: Uuid => filter index,
            /// The family, such as `scholarship_match`.
            family: String => filter index,
            /// What kind of output it is, such as `score`.
            r#type: String => filter,
            /// The score, 0 to 10000.
            score: i32 => filter sort,
            /// From which score on it favours the person, where there is such a score.
            threshold: Option<i32>,
            /// Whether it favours the person.
            favourable: bool => filter,
            /// The engine and its version.
            engine: String => filter,
            /// The model, where one was used.
            model: Option<Uuid> => filter index,
            /// Where the features that were used are kept.
            features: Uuid,
            /// The person who asked for it, if one did.
            author: Option<Uuid>,
            /// When it was made.
            decided_at: Timestamp => filter sort index,
            /// Where in its life it is.
            status: DecisionStatus => filter,
            /// Whether what it favours came true, once that is known.
            actual: Option<bool> => filter,
            /// Until when a human reviews it, where the person contests it.
            review_by: Option<Timestamp> => filter sort,
            /// Who reviewed it.
            reviewer: Option<Uuid>,
            /// What the reviewer found.
            verdict: Option<Verdict> => filter,
        }
        personal {
            /// What weighed how much, the strongest first.
            explanation: Personal<Vec<Factor>, AiContent>,
            /// Why the person contests it.
            contest: Option<Personal<String, AiContent>>,
            /// Why the reviewer found what they found.
            verdict_reason: Option<Personal<String, AiContent>>,
        }
    }
}

///
pub struct Decisions;

impl Table for Decisions {
    const NAME: &'static str = "decisions";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["intelligence.decision"];
    const OPTIONS: Options = Options { sort: &["-decided_at"], ..Options::DEFAULT };
    type Row = DecisionRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<DecisionRow>, fact: &Fact) -> Option<DecisionRow> {
        let AnyEvent::Decision(event) = &fact.event else { return row };
        let E::DecisionRecorded {
            model,
            engine,
            family,
            r#type,
            subject,
            about,
            favourable,
            score,
            threshold,
            features,
            explanation,
            author,
        } = event
        else {
            return row.map(|row| changed(row, event));
        };
        Some(DecisionRow {
            id: *key,
            subject: *subject,
            about: *about,
            family: family.clone(),
            r#type: r#type.clone(),
            score: score.0,
            threshold: threshold.map(|threshold| threshold.0),
            favourable: *favourable,
            engine: engine.clone(),
            model: *model,
            features: *features,
            author: *author,
            decided_at: fact.occurred_at(),
            status: DecisionStatus::Recorded,
            actual: None,
            review_by: None,
            reviewer: None,
            verdict: None,
            verdict_reason: None,
            explanation: explanation.clone(),
            contest: None,
        })
    }

    fn visible(actor: &Actor) -> Filter {
        let contested =
            Filter::Is("status", "contested".into()).and(Filter::Is("family", MATCH_FAMILY.into()));
        Filter::own(actor, "subject").or(Filter::all_with(actor, "manage:governance")).or(Filter::all_with(
            actor,
            "review:applications",
        )
        .and(contested))
    }

    fn hidden(actor: &Actor) -> &'static [&'static str] {
        let reviews = actor.has("manage:governance") || actor.has("review:applications");
        if reviews { &[] } else { &["reviewer"] }
    }
}

fn changed(mut row: DecisionRow, event: &E) -> DecisionRow {
    match event {
        E::DecisionRecorded { .. } => {}
        E::DecisionOutcomeObserved { actual, source: _, family: _, favourable: _ } => {
            row.actual = Some(*actual);
            if row.status == DecisionStatus::Recorded {
                row.status = DecisionStatus::Observed;
            }
        }
        E::DecisionContested { reason, review_by } => {
            row.status = DecisionStatus::Contested;
            row.contest = Some(reason.clone());
            row.review_by = Some(*review_by);
        }
        E::DecisionReviewed { reviewer, verdict, reason, subject: _, about: _ } => {
            row.status = match verdict {
                Verdict::Upheld => DecisionStatus::Upheld,
                Verdict::Overturned => DecisionStatus::Overturned,
            };
            row.reviewer = Some(*reviewer);
            row.verdict = Some(*verdict);
            row.verdict_reason = Some(reason.clone());
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use domain::BasisPoints;

    use super::*;
    use crate::testing::given;

    const ID: Uuid = Uuid::from_u128(1);
    const ADA: Uuid = Uuid::from_u128(0xADA);
    const REVIEWER: Uuid = Uuid::from_u128(7);

    fn recorded() -> E {
        E::DecisionRecorded {
            model: None,
            engine: "rules/match@1".into(),
            family: MATCH_FAMILY.into(),
            r#type: "score".into(),
            subject: ADA,
            about: Uuid::from_u128(2),
            favourable: true,
            score: BasisPoints(7500),
            threshold: None,
            features: Uuid::from_u128(2),
            explanation: Personal::about(
                ADA,
                vec![Factor { factor: "gpa".into(), weight: BasisPoints(2500), reason: None }],
            ),
            author: None,
        }
    }

    fn observed() -> E {
        E::DecisionOutcomeObserved {
            actual: true,
            source: Uuid::from_u128(2),
            family: MATCH_FAMILY.into(),
            favourable: true,
        }
    }

    fn contested() -> E {
        let review_by = "2026-02-01T00:00:00Z".parse().unwrap();
        E::DecisionContested { reason: Personal::about(ADA, "my major is wrong".into()), review_by }
    }

    fn folded<const N: usize>(events: [E; N]) -> DecisionRow {
        let events = events.map(|event| (ID, AnyEvent::Decision(event)));
        given::<Decisions>(events).rows().remove(0)
    }

    #[test]
    fn a_decision_is_there_with_its_explanation() {
        let row = folded([recorded()]);
        assert_eq!((row.status, row.score), (DecisionStatus::Recorded, 7500));
        assert_eq!(row.explanation.get().map(|factors| factors[0].factor.as_str()), Some("gpa"));
    }

    #[test]
    fn what_came_true_is_noted_and_does_not_end_a_contest() {
        assert_eq!(folded([recorded(), observed()]).status, DecisionStatus::Observed);
        let row = folded([recorded(), contested(), observed()]);
        assert_eq!((row.status, row.actual), (DecisionStatus::Contested, Some(true)));
    }

    #[test]
    fn a_review_ends_the_contest_with_a_verdict_and_its_reason() {
        let reviewed = E::DecisionReviewed {
            reviewer: REVIEWER,
            verdict: Verdict::Overturned,
            reason: Personal::about(ADA, "the major was stale".into()),
            subject: ADA,
            about: Uuid::from_u128(2),
        };
        let row = folded([recorded(), contested(), reviewed]);
        assert_eq!((row.status, row.verdict), (DecisionStatus::Overturned, Some(Verdict::Overturned)));
        assert_eq!(row.verdict_reason, Some(Personal::about(ADA, "the major was stale".into())));
        assert_eq!(row.contest, Some(Personal::about(ADA, "my major is wrong".into())));
    }

    #[test]
    fn people_see_their_own_compliance_all_and_reviewers_what_they_review() {
        let own = |account: Uuid| Filter::Is("subject", account.into());
        assert_eq!(Decisions::visible(&Actor::user(ADA, &["student"])), own(ADA));
        assert_eq!(Decisions::visible(&Actor::user(REVIEWER, &["compliance"])), Filter::All);
        assert_eq!(Decisions::visible(&Actor::user(REVIEWER, &["staff"])), own(REVIEWER));
        let reviewer = Decisions::visible(&Actor::user(REVIEWER, &["reviewer"]));
        let contested =
            Filter::Is("status", "contested".into()).and(Filter::Is("family", MATCH_FAMILY.into()));
        assert_eq!(reviewer, own(REVIEWER).or(contested));
    }
}
