//! R-67 `privacy_requests`: the board of requests to exercise rights of data protection, with their deadlines. For the
//! person who asks and for compliance. How many days are left follows from `due_at`: a fold reads no clock.

use std::collections::BTreeMap;

use domain::{
    Actor, Personal,
    class::{Education, Identity},
    governance::{
        PrivacyRegime, PrivacyRequestEvent as E, PrivacyRequestStatus, PrivacyRequestType, StepOutcome,
        Verification,
    },
    registry::AnyEvent,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    row::{Json, JsonMap},
    table::{Options, Table},
    words,
};

words!(PrivacyRegime, PrivacyRequestStatus, PrivacyRequestType, Verification);

/// What one context has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FulfilmentStep {
    /// What came of it.
    pub outcome: StepOutcome,
    /// How many records it was about.
    pub records: u32,
    /// A note.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

row! {
    /// A request to exercise a right of data protection.
    pub struct PrivacyRequestRow {
        key {
            /// The request.
            id: Uuid,
        }
        columns {
            /// Whose data it is about.
            subject: Uuid => filter index,
            /// Under which law.
            regime: PrivacyRegime => filter,
            /// What is asked for.
            r#type: PrivacyRequestType => filter,
            /// Where in its life it is.
            state: PrivacyRequestStatus => filter,
            /// The purposes that a restriction or an objection is about; for a restriction none means all.
            purposes: Vec<String>,
            /// When it was received.
            opened_at: Timestamp => filter sort,
            /// When it, or its hearing, is due.
            due_at: Timestamp => filter sort,
            /// Whether its time was extended.
            extended: bool => filter,
            /// Why it was extended.
            extension_reason: Option<String>,
            /// How the requester was verified.
            verified_by: Option<Verification>,
            /// The record classes asked for; none means all.
            classes: Vec<String>,
            /// The education records that are contested, for an amendment; none means all.
            records: Vec<String>,
            /// Whether the person placed a statement with the contested record.
            stated: bool => filter,
            /// The classes that were refused although the request was approved.
            refused_classes: Vec<String>,
            /// What was said when it was approved or denied.
            note: Option<String>,
            /// The ground on which it was denied.
            ground: Option<String>,
            /// What each context has done.
            steps: JsonMap<FulfilmentStep>,
            /// The document with the data.
            package: Option<Uuid>,
            /// The SHA-256 of its list of contents.
            manifest_hash: Option<String>,
            /// When a refused amendment is heard.
            hearing_at: Option<Timestamp>,
            /// Who conducts the hearing.
            hearing_officer: Option<Uuid>,
            /// Whether the hearing amended the record.
            amended: Option<bool>,
            /// The decision of the hearing.
            decision: Option<String>,
            /// The days that were left at the last escalation.
            escalated: Option<i32> => filter,
            /// How many hours after its approval it was last said that its fulfilment has stalled.
            stalled_hours: Option<i32> => filter,
            /// Whether it is a restriction or an objection that was carried out.
            in_force: bool => filter,
            /// When it ends, once that was said; from then on it is not in force.
            lifts_at: Option<Timestamp>,
            /// When it was completed, denied or cancelled.
            closed_at: Option<Timestamp> => filter sort,
            /// What was done.
            summary: Option<String>,
        }
        personal {
            /// What the person says of it.
            details: Option<Personal<String, Identity>>,
            /// The person's statement, which is kept with the contested record.
            statement: Option<Personal<String, Education>>,
        }
    }
}

///
pub struct PrivacyRequests;

impl Table for PrivacyRequests {
    const NAME: &'static str = "privacy_requests";
    const VERSION: u32 = 3;
    const FED_BY: &'static [&'static str] = &["governance.privacy_request"];
    const OPTIONS: Options = Options { stream_column: Some("id"), sort: &["due_at"], ..Options::DEFAULT };
    type Row = PrivacyRequestRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<PrivacyRequestRow>, fact: &Fact) -> Option<PrivacyRequestRow> {
        let AnyEvent::PrivacyRequest(event) = &fact.event else { return row };
        let E::PrivacyRequestOpened {
            subject,
            regime,
            r#type,
            details,
            classes,
            opened_at,
            due_at,
            records,
            address: _,
            purposes,
            contests: _,
        } = event
        else {
            return row.map(|row| changed(row, event, fact));
        };
        Some(PrivacyRequestRow {
            id: *key,
            subject: *subject,
            regime: *regime,
            r#type: *r#type,
            state: PrivacyRequestStatus::Opened,
            purposes: purposes.iter().map(|purpose| purpose.name().to_owned()).collect(),
            opened_at: *opened_at,
            due_at: *due_at,
            extended: false,
            extension_reason: None,
            verified_by: None,
            classes: classes.iter().map(|class| class.name().to_owned()).collect(),
            records: records.clone(),
            stated: false,
            refused_classes: Vec::new(),
            note: None,
            ground: None,
            steps: Json(BTreeMap::new()),
            package: None,
            manifest_hash: None,
            hearing_at: None,
            hearing_officer: None,
            amended: None,
            decision: None,
            escalated: None,
            stalled_hours: None,
            in_force: false,
            lifts_at: None,
            closed_at: None,
            summary: None,
            details: details.clone(),
            statement: None,
        })
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::own(actor, "subject").or(Filter::all_with(actor, "manage:privacy"))
    }
}

fn changed(mut row: PrivacyRequestRow, event: &E, fact: &Fact) -> PrivacyRequestRow {
    use PrivacyRequestStatus as S;
    let at = fact.occurred_at();
    match event {
        E::PrivacyRequestOpened { .. } => {}
        E::RequesterVerified { method, by: _ } => {
            row.state = S::Verified;
            row.verified_by = Some(*method);
        }
        E::PrivacyRequestApproved { note, regime: _, r#type: _, subject: _, classes, refused } => {
            row.state = S::Approved;
            row.note.clone_from(note);
            row.classes = classes.iter().map(|class| class.name().to_owned()).collect();
            row.refused_classes = refused.iter().map(|class| class.name().to_owned()).collect();
        }
        E::PrivacyRequestDenied { ground, note, .. } => {
            row.state = S::Denied;
            row.ground = Some(ground.clone());
            row.note = Some(note.clone());
            row.closed_at = Some(at);
        }
        E::PrivacyRequestExtended { months: _, reason, due_at } => {
            row.extended = true;
            row.extension_reason = Some(reason.clone());
            row.due_at = *due_at;
            row.escalated = None;
        }
        E::FulfilmentStepRecorded { context, outcome, records, note } => {
            row.state = S::InFulfilment;
            let step = FulfilmentStep { outcome: *outcome, records: *records, note: note.clone(), at };
            row.steps.0.insert(context.clone(), step);
        }
        E::PrivacyPackageAttached { document, manifest_hash } => {
            row.state = S::InFulfilment;
            row.package = Some(*document);
            row.manifest_hash = Some(manifest_hash.clone());
        }
        E::HearingScheduled { at, officer } => {
            row.state = S::Hearing;
            row.hearing_at = Some(*at);
            row.hearing_officer = Some(*officer);
            row.due_at = *at;
            row.escalated = None;
            row.closed_at = None;
        }
        E::HearingDecided { amended, decision } => {
            row.amended = Some(*amended);
            row.decision = Some(decision.clone());
        }
        E::StatementAttached { statement, subject: _ } => {
            row.statement = Some(statement.clone());
            row.stated = true;
        }
        E::PrivacyRequestCompleted { summary, .. } => {
            row.state = S::Completed;
            row.stalled_hours = None;
            row.in_force =
                matches!(row.r#type, PrivacyRequestType::Restriction | PrivacyRequestType::Objection);
            row.summary = Some(summary.clone());
            row.closed_at = Some(at);
        }
        E::PrivacyRequestCancelled { .. } => {
            row.state = S::Cancelled;
            row.closed_at = Some(at);
        }
        E::PrivacyRequestEscalated { days_left } => row.escalated = Some(*days_left),
        E::FulfilmentStalled { hours, waiting: _ } => {
            row.stalled_hours = Some(i32::try_from(*hours).unwrap_or(i32::MAX));
        }
        E::RestrictionLiftAnnounced { reason: _, at, r#type: _, subject: _ } => row.lifts_at = Some(*at),
    }
    row
}

#[cfg(test)]
mod tests {
    use domain::RecordClass;

    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);
    const TYPE: PrivacyRequestType = PrivacyRequestType::Amendment;
    const REGIME: PrivacyRegime = PrivacyRegime::Ferpa;

    fn folded<const N: usize>(events: [E; N]) -> PrivacyRequestRow {
        let id = Uuid::from_u128(5);
        given::<PrivacyRequests>(events.map(|event| (id, AnyEvent::PrivacyRequest(event)))).rows().remove(0)
    }

    fn opened() -> E {
        E::PrivacyRequestOpened {
            subject: ADA,
            regime: REGIME,
            r#type: TYPE,
            details: Some(Personal::about(ADA, "My grade".into())),
            classes: vec![RecordClass::Education],
            opened_at: "2026-01-01T12:00:00Z".parse().unwrap(),
            due_at: "2026-02-15T12:00:00Z".parse().unwrap(),
            records: vec!["transcript".into()],
            address: None,
            purposes: vec![],
            contests: None,
        }
    }

    fn denied() -> E {
        E::PrivacyRequestDenied {
            ground: "99.21".into(),
            note: "It is accurate".into(),
            regime: REGIME,
            r#type: TYPE,
            subject: ADA,
            hearing: true,
            by: None,
            contests: None,
        }
    }

    #[test]
    fn an_open_request_shows_when_it_is_due() {
        let row = folded([opened(), E::PrivacyRequestEscalated { days_left: 7 }]);
        assert_eq!((row.state, row.escalated), (PrivacyRequestStatus::Opened, Some(7)));
        assert_eq!(
            (row.classes, row.due_at),
            (vec!["education".into()], "2026-02-15T12:00:00Z".parse().unwrap())
        );
    }

    #[test]
    fn a_new_due_date_starts_the_escalations_anew() {
        let due_at = "2026-04-01T12:00:00Z".parse().unwrap();
        let extended = E::PrivacyRequestExtended { months: 2, reason: "Many".into(), due_at };
        let row = folded([opened(), E::PrivacyRequestEscalated { days_left: 7 }, extended]);
        assert_eq!((row.due_at, row.escalated, row.extended), (due_at, None, true));
    }

    #[test]
    fn a_denied_amendment_goes_on_to_its_hearing_and_its_statement() {
        let at = "2026-03-01T09:00:00Z".parse().unwrap();
        let hearing = E::HearingScheduled { at, officer: Uuid::from_u128(6) };
        let decided = E::HearingDecided { amended: false, decision: "It stands".into() };
        let statement = Personal::about(ADA, "I disagree".into());
        let statement = E::StatementAttached { statement, subject: ADA };
        assert!(folded([opened(), denied()]).closed_at.is_some());
        let row = folded([opened(), denied(), hearing, decided, statement]);
        assert_eq!((row.state, row.due_at, row.closed_at), (PrivacyRequestStatus::Hearing, at, None));
        assert_eq!((row.amended, row.ground.as_deref()), (Some(false), Some("99.21")));
        assert!(row.stated && row.records == ["transcript"]);
        assert_eq!(row.statement.as_ref().and_then(Personal::get).map(String::as_str), Some("I disagree"));
    }

    #[test]
    fn the_last_report_of_a_context_counts() {
        let step = |outcome| E::FulfilmentStepRecorded {
            context: "budgeting".into(),
            outcome,
            records: 2,
            note: None,
        };
        let row = folded([opened(), step(StepOutcome::Partial), step(StepOutcome::Done)]);
        assert_eq!((row.steps.0.len(), row.steps.0["budgeting"].outcome), (1, StepOutcome::Done));
    }

    #[test]
    fn people_see_their_own_requests_and_compliance_all() {
        let own = Filter::Is("subject", ADA.into());
        assert_eq!(PrivacyRequests::visible(&Actor::user(ADA, &["staff"])), own);
        assert_eq!(PrivacyRequests::visible(&Actor::user(ADA, &["compliance"])), Filter::All);
    }
}
