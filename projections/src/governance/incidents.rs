//! R-73 `incidents`: security incidents with their deadlines and what was done about them. For compliance and operators.

use domain::{
    Actor,
    governance::{IncidentKind, IncidentStatus, SecurityIncidentEvent as E, Severity},
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
    row::Json,
    table::{Options, Table},
    words,
};

words!(IncidentKind, IncidentStatus, Severity);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentStep {
    /// When.
    pub at: Timestamp,
    /// What, by the name of the event.
    pub event: String,
    /// What was said of it.
    pub note: Option<String>,
}

row! {
    /// A security incident.
    pub struct IncidentRow {
        key {
            /// The incident.
            id: Uuid,
        }
        columns {
            /// What kind.
            kind: IncidentKind => filter,
            /// How severe.
            severity: Severity => filter,
            /// Where in its life it is.
            state: IncidentStatus => filter,
            /// What happened.
            summary: String,
            /// Documents and events that show it.
            evidence: Vec<Uuid>,
            /// When it was opened.
            opened_at: Timestamp => filter sort,
            /// Whether personal data is concerned, once that is known.
            personal_data: Option<bool> => filter,
            /// Whether the risk to the people is high.
            high_risk: Option<bool> => filter,
            /// The people affected.
            subjects: Vec<Uuid> => filter index,
            /// The record classes.
            classes: Vec<String>,
            /// Until when the authority is to be told.
            authority_due_at: Option<Timestamp> => filter sort,
            /// When it was told.
            authority_told_at: Option<Timestamp> => filter sort,
            /// Whether it was told later than 72 hours.
            authority_told_late: Option<bool> => filter,
            /// Why it was told later.
            late_reasons: Option<String>,
            /// How many people were told.
            subjects_told: Option<i64>,
            /// Who of them has no address, or one that takes no mail.
            unreachable: Vec<Uuid>,
            /// The hours that were left at the last escalation.
            escalated: Option<i32> => filter,
            /// What was at the root of it.
            root_cause: Option<String>,
            /// What was learned.
            lessons: Option<String>,
            /// What happened when.
            timeline: Json<Vec<IncidentStep>>,
        }
    }
}

///
pub struct Incidents;

impl Table for Incidents {
    const NAME: &'static str = "incidents";
    const VERSION: u32 = 3;
    const FED_BY: &'static [&'static str] = &["governance.security_incident"];
    const OPTIONS: Options = Options { stream_column: Some("id"), sort: &["-opened_at"], ..Options::DEFAULT };
    type Row = IncidentRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<IncidentRow>, fact: &Fact) -> Option<IncidentRow> {
        let AnyEvent::SecurityIncident(event) = &fact.event else { return row };
        let mut row = match event {
            E::SecurityIncidentOpened { kind, severity, summary, evidence, opened_at } => IncidentRow {
                id: *key,
                kind: *kind,
                severity: *severity,
                state: IncidentStatus::Open,
                summary: summary.clone(),
                evidence: evidence.clone(),
                opened_at: *opened_at,
                personal_data: None,
                high_risk: None,
                subjects: Vec::new(),
                classes: Vec::new(),
                authority_due_at: None,
                authority_told_at: None,
                authority_told_late: None,
                late_reasons: None,
                subjects_told: None,
                unreachable: Vec::new(),
                escalated: None,
                root_cause: None,
                lessons: None,
                timeline: Json(Vec::new()),
            },
            E::IncidentClassified { .. }
            | E::IncidentContained { .. }
            | E::AuthorityNotified { .. }
            | E::SubjectsNotified { .. }
            | E::SecurityIncidentClosed { .. }
            | E::IncidentEscalated { .. }
            | E::SubjectNoticesMailed { .. } => changed(row?, event),
        };
        let note = note(event);
        row.timeline.0.push(IncidentStep { at: fact.occurred_at(), event: fact.event.name().into(), note });
        Some(row)
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "manage:privacy").or(Filter::all_with(actor, "manage:ops"))
    }
}

fn changed(mut row: IncidentRow, event: &E) -> IncidentRow {
    match event {
        E::SecurityIncidentOpened { .. } => {}
        E::IncidentClassified { personal_data, high_risk, subjects, classes, authority_due_at } => {
            if row.state == IncidentStatus::Open {
                row.state = IncidentStatus::Classified;
            }
            row.personal_data = Some(*personal_data);
            row.high_risk = Some(*high_risk);
            row.subjects.extend(subjects);
            row.subjects.sort_unstable();
            row.subjects.dedup();
            row.classes = classes.iter().map(|class| class.name().to_owned()).collect();
            row.authority_due_at = *authority_due_at;
        }
        E::IncidentContained { action: _ } => row.state = IncidentStatus::Contained,
        // In phases (Art. 33(4)): whether it was late, the first of them says.
        E::AuthorityNotified { .. } if row.authority_told_at.is_some() => {}
        E::AuthorityNotified { authority: _, reference: _, at, late, reasons } => {
            row.authority_told_at = Some(*at);
            row.authority_told_late = Some(*late);
            row.late_reasons.clone_from(reasons);
        }
        E::SubjectsNotified { template: _, count } => row.subjects_told = Some((*count).into()),
        E::SecurityIncidentClosed { root_cause, lessons } => {
            row.state = IncidentStatus::Closed;
            row.root_cause = Some(root_cause.clone());
            row.lessons = Some(lessons.clone());
        }
        E::IncidentEscalated { hours_left } => row.escalated = Some(*hours_left),
        E::SubjectNoticesMailed { mailed: _, unreachable } => row.unreachable.clone_from(unreachable),
    }
    row
}

/// What the timeline says of an event.
fn note(event: &E) -> Option<String> {
    match event {
        E::IncidentContained { action } => Some(action.clone()),
        E::AuthorityNotified { authority, reference, .. } => Some(format!("{authority}, {reference}")),
        E::SubjectsNotified { template, count } => Some(format!("{template}, {count}")),
        E::IncidentEscalated { hours_left } => Some(format!("{hours_left} hours left")),
        E::SubjectNoticesMailed { mailed, unreachable } => {
            Some(format!("{mailed} mailed, {} not reached by mail", unreachable.len()))
        }
        E::SecurityIncidentOpened { .. }
        | E::IncidentClassified { .. }
        | E::SecurityIncidentClosed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::RecordClass;

    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);
    const BEN: Uuid = Uuid::from_u128(0xBE);

    fn folded<const N: usize>(events: [E; N]) -> IncidentRow {
        let id = Uuid::from_u128(5);
        given::<Incidents>(events.map(|event| (id, AnyEvent::SecurityIncident(event)))).rows().remove(0)
    }

    fn opened() -> E {
        E::SecurityIncidentOpened {
            kind: IncidentKind::DataBreach,
            severity: Severity::High,
            summary: "A list was mailed to the wrong address".into(),
            evidence: vec![],
            opened_at: "2026-01-01T12:00:00Z".parse().unwrap(),
        }
    }

    fn classified(subjects: &[Uuid]) -> E {
        E::IncidentClassified {
            personal_data: true,
            high_risk: false,
            subjects: subjects.to_vec(),
            classes: vec![RecordClass::Education],
            authority_due_at: Some("2026-01-04T12:00:00Z".parse().unwrap()),
        }
    }

    #[test]
    fn an_incident_shows_until_when_the_authority_is_to_be_told() {
        let row = folded([opened(), classified(&[BEN]), classified(&[ADA, BEN])]);
        assert_eq!(row.authority_due_at, Some("2026-01-04T12:00:00Z".parse().unwrap()));
        assert_eq!((row.subjects, row.state), (vec![BEN, ADA], IncidentStatus::Classified));
    }

    #[test]
    fn the_timeline_tells_what_was_done_in_order() {
        let contained = E::IncidentContained { action: "Recalled".into() };
        let escalated = E::IncidentEscalated { hours_left: 24 };
        let row = folded([opened(), contained, classified(&[ADA]), escalated]);
        let told: Vec<&str> = row.timeline.0.iter().map(|step| step.event.as_str()).collect();
        let events =
            ["SecurityIncidentOpened", "IncidentContained", "IncidentClassified", "IncidentEscalated"];
        assert_eq!(told, events);
        assert_eq!((row.state, row.escalated), (IncidentStatus::Contained, Some(24)));
        assert_eq!(row.timeline.0[1].note.as_deref(), Some("Recalled"));
    }

    #[test]
    fn incidents_are_for_compliance_and_operators() {
        for (role, seen) in
            [("compliance", Filter::All), ("operator", Filter::All), ("staff", Filter::Nothing)]
        {
            assert_eq!(Incidents::visible(&Actor::user(ADA, &[role])), seen, "{role}");
        }
    }
}
