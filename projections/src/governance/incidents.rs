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
            /// How many people were told; whoever is named afterwards is not.
            subjects_told: Option<i64>,
            /// Until when those who were not told yet are to be told, at a high risk.
            subjects_due_at: Option<Timestamp> => filter sort,
            /// The hours that were left when that was escalated last.
            subjects_escalated: Option<i32>,
            /// Who of them has no address, or one that takes no mail.
            unreachable: Vec<Uuid>,
            /// The hours that were left to tell the authority at the last escalation.
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
    const VERSION: u32 = 4;
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
                subjects_due_at: None,
                subjects_escalated: None,
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
        E::IncidentClassified {
            personal_data,
            high_risk,
            subjects,
            classes,
            authority_due_at,
            subjects_due_at,
            reasons: _,
        } => {
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
            let owed = *high_risk && row.subjects_told.is_none_or(|told| told < named(&row));
            let due = row.subjects_due_at.or(*subjects_due_at).or(*authority_due_at);
            row.subjects_due_at = due.filter(|_| owed);
        }
        E::IncidentContained { action: _ } => row.state = IncidentStatus::Contained,
        // In phases (Art. 33(4)): whether it was late, the first of them says.
        E::AuthorityNotified { .. } if row.authority_told_at.is_some() => {}
        E::AuthorityNotified { authority: _, reference: _, at, late, reasons } => {
            row.authority_told_at = Some(*at);
            row.authority_told_late = Some(*late);
            row.late_reasons.clone_from(reasons);
        }
        E::SubjectsNotified { template: _, count } => {
            let named = named(&row);
            row.subjects_told = Some(named);
            row.subjects_due_at = None;
            row.subjects_escalated = None;
            // Everybody was told, once more.
            if i64::from(*count) == named {
                row.unreachable.clear();
            }
        }
        E::SecurityIncidentClosed { root_cause, lessons } => {
            row.state = IncidentStatus::Closed;
            row.root_cause = Some(root_cause.clone());
            row.lessons = Some(lessons.clone());
        }
        E::IncidentEscalated { hours_left, people: false } => row.escalated = Some(*hours_left),
        E::IncidentEscalated { hours_left, people: true } => row.subjects_escalated = Some(*hours_left),
        E::SubjectNoticesMailed { mailed: _, unreachable } => {
            row.unreachable.extend(unreachable);
            row.unreachable.sort_unstable();
            row.unreachable.dedup();
        }
    }
    row
}

/// How many people are named as affected.
fn named(row: &IncidentRow) -> i64 {
    i64::try_from(row.subjects.len()).unwrap_or(i64::MAX)
}

/// What the timeline says of an event.
fn note(event: &E) -> Option<String> {
    match event {
        E::IncidentContained { action } => Some(action.clone()),
        E::AuthorityNotified { authority, reference, .. } => Some(format!("{authority}, {reference}")),
        E::SubjectsNotified { template, count } => Some(format!("{template}, {count}")),
        E::IncidentEscalated { hours_left, people: false } => Some(format!("{hours_left} hours left")),
        E::IncidentEscalated { hours_left, people: true } => {
            Some(format!("{hours_left} hours left to tell the people"))
        }
        E::IncidentClassified { reasons, .. } => reasons.clone(),
        E::SubjectNoticesMailed { mailed, unreachable } => {
            Some(format!("{mailed} mailed, {} not reached by mail", unreachable.len()))
        }
        E::SecurityIncidentOpened { .. } | E::SecurityIncidentClosed { .. } => None,
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
            subjects_due_at: None,
            reasons: None,
        }
    }

    fn at_high_risk(subjects: &[Uuid], due: Option<&str>) -> E {
        E::IncidentClassified {
            personal_data: true,
            high_risk: true,
            subjects: subjects.to_vec(),
            classes: vec![],
            authority_due_at: Some("2026-01-04T12:00:00Z".parse().unwrap()),
            subjects_due_at: due.map(|due| due.parse().unwrap()),
            reasons: None,
        }
    }

    fn told(count: u32) -> E {
        E::SubjectsNotified { template: "breach_notice".into(), count }
    }

    #[test]
    fn an_incident_shows_until_when_the_authority_is_to_be_told() {
        let row = folded([opened(), classified(&[BEN]), classified(&[ADA, BEN])]);
        assert_eq!(row.authority_due_at, Some("2026-01-04T12:00:00Z".parse().unwrap()));
        assert_eq!((row.subjects, row.state), (vec![BEN, ADA], IncidentStatus::Classified));
    }

    #[test]
    fn art_34_whoever_is_added_after_the_people_were_told_is_due_to_be_told() {
        let theirs = "2026-01-13T08:00:00Z";
        let of = |events: &[E]| {
            let id = Uuid::from_u128(5);
            let events: Vec<_> = [&[opened()], events].concat();
            let events = events.into_iter().map(|event| (id, AnyEvent::SecurityIncident(event)));
            let row = given::<Incidents>(events).rows().remove(0);
            (row.subjects_told, row.subjects_due_at.map(|at| at.to_string()), row.unreachable)
        };
        let first = at_high_risk(&[ADA], None);
        let mailed =
            |unreachable: &[Uuid]| E::SubjectNoticesMailed { mailed: 0, unreachable: unreachable.to_vec() };
        let due = |at: &str| Some(at.to_owned());
        assert_eq!(
            of(std::slice::from_ref(&first)),
            (None, due("2026-01-04T12:00:00Z"), vec![]),
            "as it was stored once"
        );
        let events = [first, told(1), mailed(&[ADA]), at_high_risk(&[ADA, BEN], Some(theirs))];
        assert_eq!(of(&events), (Some(1), due(theirs), vec![ADA]));
        let events = [&events[..], &[told(1), mailed(&[BEN])]].concat();
        assert_eq!(of(&events), (Some(2), None, vec![BEN, ADA]));
        let again = [&events[..], &[at_high_risk(&[ADA], None), told(2), mailed(&[])]].concat();
        assert_eq!(of(&again), (Some(2), None, vec![]), "all were told once more");
    }

    #[test]
    fn the_timeline_tells_what_was_done_in_order() {
        let contained = E::IncidentContained { action: "Recalled".into() };
        let escalated = E::IncidentEscalated { hours_left: 24, people: false };
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
