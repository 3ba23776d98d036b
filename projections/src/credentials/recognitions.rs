//! R-26 `recognitions`: which institution gives what credit for which credential, and what an engine and people said of
//! it. For everybody; the grounds of a decision are for those who decide for the institution, and for compliance.

use domain::{
    Actor,
    credentials::{
        CreditType, RecognitionEvent as E, RecognitionStatus, RecognitionType, Recommendation, TranscriptMode,
    },
    registry::AnyEvent,
};
use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    row::Json,
    table::{Analysts, Options, Table},
    words,
};

words!(RecognitionStatus, RecognitionType, CreditType, TranscriptMode, RecognitionVerdict);

/// What an institution decided when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecognitionVerdict {
    /// It gives credit, whatever became of that later.
    Approved,
    /// It gives none.
    Rejected,
}

/// What an engine computed (CRD-R3). It advises and decides nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreditAssessment {
    /// What it advises.
    pub recommendation: Recommendation,
    /// The weighted score, in basis points like the parts.
    pub score: i32,
    /// How much of the outcomes the counterpart covers.
    pub overlap: i32,
    /// The shorter number of hours over the longer one.
    pub duration: i32,
    /// Whether the levels differ by at most one.
    pub level_ok: bool,
    /// How the institution decided before.
    pub history: i32,
    /// The engine's name and version.
    pub engine: String,
    /// The figures in words.
    pub reasons: Vec<String>,
}

row! {
    /// An institution's decision on credit for a credential of another one.
    pub struct RecognitionRow {
        key {
            /// The recognition.
            id: Uuid => open,
        }
        columns {
            /// The credential.
            credential: Uuid => filter index open,
            /// The recognising institution.
            institution: Uuid => filter index open,
            /// The institution's own credential that it is compared with, where one was named.
            counterpart: Option<Uuid> => open,
            /// What it gives.
            r#type: RecognitionType => filter open,
            /// The credit, in thousandths.
            credit_value: Option<i32> => open,
            /// What the credit counts towards.
            credit_type: Option<CreditType> => filter open,
            /// Where it is recorded.
            transcript: TranscriptMode => open,
            /// What else a learner must meet.
            conditions: Option<String>,
            /// From which day it holds.
            effective: Date => filter sort open,
            /// The first day on which it no longer holds.
            expires: Option<Date> => filter sort open,
            /// Where in its life it is.
            state: RecognitionStatus => filter open,
            /// What an engine computed, once it did.
            assessment: Option<Json<CreditAssessment>>,
            /// What the institution decided, once it did.
            verdict: Option<RecognitionVerdict> => filter open,
            /// When it was proposed.
            proposed_at: Timestamp => sort open,
            /// When it was decided.
            decided_at: Option<Timestamp> => sort open,
            /// Where the decision is on file.
            approval_reference: Option<String>,
            /// Why it was approved against the advice, or without any.
            override_reason: Option<String>,
            /// Why it was rejected, suspended or revoked.
            reason: Option<String>,
        }
    }
}

///
pub struct Recognitions;

impl Table for Recognitions {
    const NAME: &'static str = "recognitions";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["credentials.recognition"];
    const OPTIONS: Options = Options {
        about_people: false,
        resource: Some(("credentials.recognition", "id")),
        analysts: Analysts::Rows,
        ..Options::DEFAULT
    };
    type Row = RecognitionRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<RecognitionRow>, fact: &Fact) -> Option<RecognitionRow> {
        let AnyEvent::Recognition(event) = &fact.event else { return row };
        let E::RecognitionProposed {
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
            proposed_by: _,
        } = event
        else {
            return row.map(|row| changed(row, event, fact.occurred_at()));
        };
        Some(RecognitionRow {
            id: *key,
            credential: *credential,
            institution: *institution,
            counterpart: *counterpart,
            r#type: *r#type,
            credit_value: credit_value.map(|value| value.0),
            credit_type: *credit_type,
            transcript: *transcript,
            conditions: conditions.clone(),
            effective: *effective,
            expires: *expires,
            state: RecognitionStatus::Proposed,
            assessment: None,
            verdict: None,
            proposed_at: fact.occurred_at(),
            decided_at: None,
            approval_reference: None,
            override_reason: None,
            reason: None,
        })
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "read:public")
    }

    fn hidden(actor: &Actor) -> &'static [&'static str] {
        let decides = actor.has_within("approve:recognition", &[]) || actor.has("read:audit");
        if decides { &[] } else { &["approval_reference", "override_reason", "reason"] }
    }

    fn disclosed(actor: &Actor) -> Filter {
        Filter::within(actor, "approve:recognition", "institution")
    }
}

fn changed(mut row: RecognitionRow, event: &E, at: Timestamp) -> RecognitionRow {
    match event {
        E::RecognitionProposed { .. } => {}
        E::CreditAssessed {
            job: _,
            recommendation,
            score,
            overlap,
            duration,
            level_ok,
            history,
            engine,
            reasons,
        } => {
            row.state = RecognitionStatus::Assessed;
            row.assessment = Some(Json(CreditAssessment {
                recommendation: *recommendation,
                score: score.0,
                overlap: overlap.0,
                duration: duration.0,
                level_ok: *level_ok,
                history: history.0,
                engine: engine.clone(),
                reasons: reasons.clone(),
            }));
        }
        E::RecognitionApproved {
            approval_reference,
            conditions,
            override_reason,
            credential: _,
            institution: _,
            r#type: _,
            credit_value: _,
        } => {
            row.state = RecognitionStatus::Approved;
            row.verdict = Some(RecognitionVerdict::Approved);
            row.decided_at = Some(at);
            row.approval_reference = Some(approval_reference.clone());
            row.conditions = conditions.clone().or(row.conditions);
            row.override_reason.clone_from(override_reason);
        }
        E::RecognitionRejected { reason, credential: _, institution: _ } => {
            row.state = RecognitionStatus::Rejected;
            row.verdict = Some(RecognitionVerdict::Rejected);
            row.decided_at = Some(at);
            row.reason = Some(reason.clone());
        }
        E::RecognitionRevised { credit_value, conditions, expires } => {
            row.credit_value = credit_value.map(|value| value.0);
            row.conditions.clone_from(conditions);
            row.expires = *expires;
        }
        E::RecognitionSuspended { reason, credential: _, institution: _ } => {
            row.state = RecognitionStatus::Suspended;
            row.reason = Some(reason.clone());
        }
        E::RecognitionResumed { credential: _, institution: _ } => {
            row.state = RecognitionStatus::Approved;
            row.reason = None;
        }
        E::RecognitionRevoked { reason, credential: _, institution: _ } => {
            row.state = RecognitionStatus::Revoked;
            row.reason = Some(reason.clone());
        }
        E::RecognitionExpired { credential: _, institution: _ } => row.state = RecognitionStatus::Expired,
    }
    row
}

#[cfg(test)]
mod tests {
    use domain::{BasisPoints, credentials::MilliCredits};

    use super::*;
    use crate::testing::given;

    const ID: Uuid = Uuid::from_u128(1);
    const CREDENTIAL: Uuid = Uuid::from_u128(2);
    const KU: Uuid = Uuid::from_u128(3);

    fn proposed() -> E {
        E::RecognitionProposed {
            credential: CREDENTIAL,
            institution: KU,
            counterpart: None,
            r#type: RecognitionType::PartialCredit,
            credit_value: Some(MilliCredits(500)),
            credit_type: Some(CreditType::Elective),
            transcript: TranscriptMode::Listed,
            conditions: Some("a portfolio".into()),
            effective: jiff::civil::date(2026, 2, 1),
            expires: None,
            proposed_by: None,
        }
    }

    fn assessed() -> E {
        E::CreditAssessed {
            job: Uuid::from_u128(9),
            recommendation: Recommendation::Review,
            score: BasisPoints(6000),
            overlap: BasisPoints(5000),
            duration: BasisPoints(8000),
            level_ok: true,
            history: BasisPoints(5000),
            engine: "rules/credit@1".into(),
            reasons: vec!["half of the outcomes".into()],
        }
    }

    fn approved() -> E {
        E::RecognitionApproved {
            approval_reference: "2026/17".into(),
            conditions: None,
            override_reason: None,
            credential: CREDENTIAL,
            institution: KU,
            r#type: RecognitionType::PartialCredit,
            credit_value: Some(MilliCredits(500)),
        }
    }

    fn suspended() -> E {
        E::RecognitionSuspended { reason: "archived".into(), credential: CREDENTIAL, institution: KU }
    }

    fn folded<const N: usize>(events: [E; N]) -> RecognitionRow {
        let events = events.map(|event| (ID, AnyEvent::Recognition(event)));
        given::<Recognitions>(events).rows().remove(0)
    }

    #[test]
    fn an_assessment_advises_and_decides_nothing() {
        let row = folded([proposed(), assessed()]);
        assert_eq!((row.state, row.verdict), (RecognitionStatus::Assessed, None));
        assert_eq!(row.assessment.map(|assessment| assessment.0.score), Some(6000));
    }

    #[test]
    fn an_approval_keeps_the_proposed_conditions_unless_it_states_others() {
        let row = folded([proposed(), assessed(), approved()]);
        assert_eq!(
            (row.state, row.verdict),
            (RecognitionStatus::Approved, Some(RecognitionVerdict::Approved))
        );
        assert_eq!(row.conditions.as_deref(), Some("a portfolio"));
        assert_eq!(row.decided_at, Some("2026-01-01T12:00:02Z".parse().unwrap()));
    }

    #[test]
    fn an_approval_counts_as_one_whatever_becomes_of_it() {
        let revoked =
            E::RecognitionRevoked { reason: "fraud".into(), credential: CREDENTIAL, institution: KU };
        let row = folded([proposed(), approved(), suspended(), revoked]);
        assert_eq!(
            (row.state, row.verdict),
            (RecognitionStatus::Revoked, Some(RecognitionVerdict::Approved))
        );
        let expired = E::RecognitionExpired { credential: CREDENTIAL, institution: KU };
        assert_eq!(folded([proposed(), approved(), expired]).state, RecognitionStatus::Expired);
    }

    #[test]
    fn what_is_resumed_gives_credit_again_and_has_no_reason_against_it() {
        let resumed = E::RecognitionResumed { credential: CREDENTIAL, institution: KU };
        let row = folded([proposed(), approved(), suspended(), resumed]);
        assert_eq!((row.state, row.reason), (RecognitionStatus::Approved, None));
    }

    #[test]
    fn a_rejection_is_a_decision() {
        let rejected =
            E::RecognitionRejected { reason: "no match".into(), credential: CREDENTIAL, institution: KU };
        let row = folded([proposed(), rejected]);
        assert_eq!(
            (row.state, row.verdict),
            (RecognitionStatus::Rejected, Some(RecognitionVerdict::Rejected))
        );
    }

    #[test]
    fn terms_that_are_stated_anew_replace_all_of_the_old_ones() {
        let revised = E::RecognitionRevised { credit_value: None, conditions: None, expires: None };
        let row = folded([proposed(), revised]);
        assert_eq!((row.credit_value, row.conditions), (None, None));
    }

    #[test]
    fn the_grounds_of_a_decision_are_for_those_who_decide_for_the_institution() {
        let member = Actor::user(Uuid::from_u128(7), &[]);
        assert_eq!(Recognitions::visible(&member), Filter::All);
        assert!(Recognitions::hidden(&member).contains(&"override_reason"));
        assert!(Recognitions::hidden(&Actor::user(Uuid::from_u128(7), &["institution_admin"])).is_empty());
        let grant = domain::RoleGrant { role: "institution_admin".into(), within: Some(KU) };
        let elsewhere = Actor::with_roles(Uuid::from_u128(7), vec![grant]);
        assert!(Recognitions::hidden(&elsewhere).contains(&"reason"));
        assert_eq!(Recognitions::disclosed(&elsewhere), Filter::Below("institution", vec![KU]));
    }
}
