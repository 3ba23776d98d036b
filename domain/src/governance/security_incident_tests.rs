use super::{SecurityIncidentCommand as C, SecurityIncidentEvent as E, SecurityIncidentRefusal as R, *};
use crate::kernel::testing::{Outcome, Scenario, given, keeps_history, nothing};

const ADA: Uuid = Uuid::from_u128(0xAA);
const BEN: Uuid = Uuid::from_u128(0xBB);
const OPENED: &str = "2026-01-01T12:00:00Z";
const DUE: &str = "2026-01-04T12:00:00Z";

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

fn open() -> C {
    C::OpenSecurityIncident {
        kind: IncidentKind::DataBreach,
        severity: Severity::High,
        summary: "A list was mailed to the wrong address".into(),
        evidence: vec![Uuid::from_u128(0xE1)],
        aware_at: None,
    }
}

fn opened() -> E {
    E::SecurityIncidentOpened {
        kind: IncidentKind::DataBreach,
        severity: Severity::High,
        summary: "A list was mailed to the wrong address".into(),
        evidence: vec![Uuid::from_u128(0xE1)],
        opened_at: at(OPENED),
    }
}

fn classify(personal_data: bool, high_risk: bool, subjects: &[Uuid]) -> C {
    C::ClassifyIncident {
        personal_data,
        high_risk,
        subjects: subjects.to_vec(),
        classes: vec![RecordClass::Education],
        reasons: None,
    }
}

fn classified(personal_data: bool, high_risk: bool, subjects: &[Uuid]) -> E {
    classified_and_due(personal_data, high_risk, subjects, high_risk.then_some(DUE))
}

fn classified_and_due(personal_data: bool, high_risk: bool, subjects: &[Uuid], due: Option<&str>) -> E {
    E::IncidentClassified {
        personal_data,
        high_risk,
        subjects: subjects.to_vec(),
        classes: vec![RecordClass::Education],
        authority_due_at: personal_data.then(|| at(DUE)),
        subjects_due_at: due.map(at),
        reasons: None,
    }
}

fn tell(instant: &str) -> C {
    C::NotifyAuthority {
        authority: "DPA".into(),
        reference: "2026-17".into(),
        at: at(instant),
        reasons: None,
    }
}

fn told(instant: &str, late: bool) -> E {
    let reasons = None;
    E::AuthorityNotified {
        authority: "DPA".into(),
        reference: "2026-17".into(),
        at: at(instant),
        late,
        reasons,
    }
}

fn tell_people() -> C {
    C::NotifySubjects { template: "breach_notice".into() }
}

fn people_told(count: u32) -> E {
    E::SubjectsNotified { template: "breach_notice".into(), count }
}

fn close() -> C {
    C::CloseSecurityIncident { root_cause: "A wrong list".into(), lessons: "Two pairs of eyes".into() }
}

fn closed() -> E {
    E::SecurityIncidentClosed { root_cause: "A wrong list".into(), lessons: "Two pairs of eyes".into() }
}

fn contain() -> C {
    C::RecordContainment { action: "The mail was recalled".into() }
}

fn escalate(hours_left: i32) -> C {
    C::EscalateIncident { hours_left, people: false }
}

fn escalate_people(hours_left: i32) -> C {
    C::EscalateIncident { hours_left, people: true }
}

fn after(events: impl IntoIterator<Item = E>) -> Scenario<SecurityIncident> {
    given([opened()].into_iter().chain(events))
}

#[track_caller]
fn follows(outcome: Outcome<SecurityIncident>, name: &str) -> SecurityIncident {
    outcome.then_names([name])
}

#[test]
fn art_34_people_are_told_by_the_template_that_there_is_and_by_no_other() {
    let case = || after([classified(true, true, &[ADA])]);
    for template in ["nope", "", "Breach_notice"] {
        case().when(C::NotifySubjects { template: template.into() }).invalid("template");
    }
    case().when(tell_people()).then([people_told(1)]);
}

#[test]
fn gov_i1_a_breach_of_personal_data_is_due_to_the_authority_72_hours_after_opening() {
    nothing::<SecurityIncident>().when(open()).then([opened()]);
    let later = after([]).at("2026-01-03T00:00:00Z");
    later.when(classify(true, false, &[ADA])).then([classified(true, false, &[ADA])]);
    after([]).when(classify(false, false, &[])).then([classified(false, false, &[])]);
    after([]).when(classify(false, true, &[])).invalid("high_risk");
    assert_eq!(SecurityIncident::concerns(&classified(true, false, &[ADA])), [ADA], "it is about them");
}

#[test]
fn gov_i1_what_is_told_after_72_hours_is_late_and_told_all_the_same() {
    let case = || after([classified(true, false, &[ADA])]).at("2026-02-01T00:00:00Z");
    case().when(tell(DUE)).then([told(DUE, false)]);
    let late = "2026-01-04T12:00:01Z";
    case().when(tell(late)).refused(R::ReasonsMissing {});
    let reasons = Some("The extent was not known".to_owned());
    let told_late = |reasons| E::AuthorityNotified {
        authority: "DPA".into(),
        reference: "2026-17".into(),
        at: at(late),
        late: true,
        reasons,
    };
    let tell_late = C::NotifyAuthority {
        authority: "DPA".into(),
        reference: "2026-17".into(),
        at: at(late),
        reasons: reasons.clone(),
    };
    case().when(tell_late).then([told_late(reasons)]);
    case().when(tell("2026-01-01T11:59:59Z")).invalid("at");
    case().when(tell("2026-02-01T00:00:01Z")).invalid("at");
}

#[test]
fn gov_i1_a_breach_is_closed_once_the_authority_and_at_high_risk_the_people_were_told() {
    after([]).when(close()).refused(R::NotClassified {});
    follows(after([classified(false, false, &[])]).when(close()), "SecurityIncidentClosed");
    let breach = classified(true, true, &[ADA]);
    after([breach.clone()]).when(close()).refused(R::AuthorityNotTold {});
    after([breach.clone(), told(OPENED, false)]).when(close()).refused(R::SubjectsNotTold {});
    after([breach, told(OPENED, false), people_told(1)]).when(close()).then([closed()]);
}

#[test]
fn the_people_are_told_once_it_is_known_who_they_are_and_counted_once_each() {
    after([]).when(tell_people()).refused(R::NotClassified {});
    after([classified(true, true, &[])]).when(tell_people()).refused(R::NotClassified {});
    let twice = [classified(true, true, &[ADA]), classified(true, true, &[ADA, BEN])];
    after(twice).when(tell_people()).then([people_told(2)]);
}

#[test]
fn art_34_whoever_a_later_classification_adds_is_owed_a_notice_and_until_then_nothing_is_closed() {
    let later = "2026-01-10T08:00:00Z";
    let their_due = "2026-01-13T08:00:00Z";
    let told = || after([classified(true, true, &[ADA]), told(OPENED, false), people_told(1)]).at(later);
    told().when(tell_people()).then([]);
    told().when(classify(true, true, &[ADA])).then([classified_and_due(true, true, &[ADA], None)]);
    let added = classified_and_due(true, true, &[ADA, BEN], Some(their_due));
    told().when(classify(true, true, &[ADA, BEN])).then([added.clone()]);

    let history = || {
        let first = [classified(true, true, &[ADA]), self::told(OPENED, false), people_told(1)];
        first.into_iter().chain([added.clone()])
    };
    after(history()).when(close()).refused(R::SubjectsNotTold {});
    let again = after(history()).at("2026-01-12T00:00:00Z");
    again.when(classify(true, true, &[BEN])).then([classified_and_due(true, true, &[BEN], Some(their_due))]);
    let state = after(history()).when(tell_people()).then([people_told(1)]);
    assert_eq!((state.untold().count(), state.subjects_due_at), (0, None));
    after(history().chain([people_told(1)])).when(close()).then([closed()]);
}

#[test]
fn art_34_what_becomes_a_high_risk_later_is_owed_to_whoever_was_not_told() {
    let low = classified(true, false, &[ADA, BEN]);
    let high = classified(true, true, &[]);
    let history = || [low.clone(), told(OPENED, false), high.clone()];
    after([low.clone(), told(OPENED, false)]).when(classify(true, true, &[])).then([high.clone()]);
    after(history()).when(close()).refused(R::SubjectsNotTold {});
    after(history()).when(tell_people()).then([people_told(2)]);
    let told_at_low_risk = after([low.clone(), told(OPENED, false), people_told(2), high.clone()]);
    told_at_low_risk.when(close()).then([closed()]);
}

#[test]
fn art_34_it_is_escalated_while_somebody_is_not_told_and_again_for_whoever_is_added() {
    let (early, due) = ("2026-01-03T12:00:00Z", DUE);
    let first = || vec![classified(true, true, &[ADA]), told(OPENED, false)];
    let escalated = |hours_left| E::IncidentEscalated { hours_left, people: true };
    let case = |more: &[E]| after(first().into_iter().chain(more.to_vec()));
    case(&[]).when(escalate_people(24)).then([]);
    case(&[]).at(early).when(escalate_people(24)).then([escalated(24)]);
    case(&[escalated(24)]).at(early).when(escalate_people(24)).then([]);
    case(&[]).at(due).when(escalate(0)).then([]);
    case(&[people_told(1)]).at(due).when(escalate_people(0)).then([]);
    let added = classified_and_due(true, true, &[BEN], Some("2026-01-13T08:00:00Z"));
    let again = || case(&[escalated(24), escalated(0), people_told(1), added.clone()]);
    again().at("2026-01-12T07:59:59Z").when(escalate_people(24)).then([]);
    again().at("2026-01-12T08:00:00Z").when(escalate_people(24)).then([escalated(24)]);
}

#[test]
fn whoever_takes_back_that_somebody_is_to_be_told_says_why() {
    let breach = || after([classified(true, true, &[ADA])]);
    let with = |personal_data, high_risk, why: &str| match classify(personal_data, high_risk, &[ADA]) {
        C::ClassifyIncident { personal_data, high_risk, subjects, classes, .. } => {
            let reasons = Some(why.to_owned());
            C::ClassifyIncident { personal_data, high_risk, subjects, classes, reasons }
        }
        other => other,
    };
    for (personal_data, high_risk) in [(false, false), (true, false)] {
        breach().when(classify(personal_data, high_risk, &[ADA])).refused(R::ReasonsMissing {});
        breach().when(with(personal_data, high_risk, "")).invalid("reasons");
        let state =
            follows(breach().when(with(personal_data, high_risk, "It was encrypted")), "IncidentClassified");
        assert!(!state.high_risk);
    }
    follows(breach().when(classify(true, true, &[ADA])), "IncidentClassified");
}

#[test]
fn an_incident_is_contained_before_or_after_it_is_classified() {
    let state = follows(after([]).when(contain()), "IncidentContained");
    assert_eq!(state.status, IncidentStatus::Contained);
    let contained = E::IncidentContained { action: "The mail was recalled".into() };
    let state = follows(after([contained]).when(classify(true, false, &[ADA])), "IncidentClassified");
    assert_eq!((state.status, state.classified), (IncidentStatus::Contained, true));
}

#[test]
fn a_closed_incident_takes_nothing_more() {
    let case = || after([classified(false, false, &[]), closed()]);
    for command in [open(), classify(true, false, &[]), contain(), tell(OPENED), tell_people(), close()] {
        case().when(command).invalid_state("closed");
    }
    case().at("2026-01-05T00:00:00Z").when(escalate(0)).then([]);
}

#[test]
fn an_incident_is_escalated_while_the_authority_is_not_told() {
    let case = |events: &[E]| after([classified(true, false, &[ADA])].into_iter().chain(events.to_vec()));
    for (hours_left, instant) in [(24, "2026-01-03T12:00:00Z"), (0, DUE)] {
        let escalated = E::IncidentEscalated { hours_left, people: false };
        case(&[]).at(instant).when(escalate(hours_left)).then([escalated.clone()]);
        case(&[escalated]).at(instant).when(escalate(hours_left)).then([]);
        case(&[told(OPENED, false)]).at(instant).when(escalate(hours_left)).then([]);
        follows(after([]).at(instant).when(escalate(hours_left)), "IncidentEscalated");
    }
    case(&[]).when(escalate(24)).then([]);
    after([classified(false, false, &[])]).at(DUE).when(escalate(0)).then([]);
}

#[test]
fn gov_i2_the_system_opens_incidents_and_compliance_and_operators_handle_them() {
    let system = Actor::policy("watch_logins");
    assert!(after([]).permits(&system, &open()) && !after([]).permits(&system, &close()));
    for role in ["compliance", "operator"] {
        let actor = Actor::user(ADA, &[role]);
        for command in [open(), classify(true, false, &[]), contain(), tell(OPENED), tell_people(), close()] {
            assert!(after([]).permits(&actor, &command));
        }
        assert!(!after([]).permits(&actor, &escalate(0)));
    }
    assert!(!after([]).permits(&Actor::user(ADA, &["staff", "analyst"]), &open()));
}

#[test]
fn gov_i1_the_72_hours_run_from_when_it_became_known_however_late_it_is_entered() {
    let open = |aware: &str| match open() {
        C::OpenSecurityIncident { kind, severity, summary, evidence, .. } => {
            let aware_at = Some(at(aware));
            C::OpenSecurityIncident { kind, severity, summary, evidence, aware_at }
        }
        other => other,
    };
    let opened = |aware| nothing::<SecurityIncident>().at("2028-03-01T00:00:00Z").when(open(aware));
    let state = opened("2028-02-28T18:00:00Z").then_names(["SecurityIncidentOpened"]);
    assert_eq!(state.authority_due(), at("2028-03-02T18:00:00Z"), "through the 29th of February");
    opened("2028-03-01T00:00:01Z").invalid("aware_at");
    opened("2027-02-01T00:00:00Z").invalid("aware_at");
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<SecurityIncident>([
        opened(),
        classified_and_due(true, true, &[ADA], None),
        E::IncidentContained { action: "The mail was recalled".into() },
        told(OPENED, false),
        people_told(1),
        E::SubjectNoticesMailed { mailed: 1, unreachable: vec![BEN] },
        closed(),
        E::IncidentEscalated { hours_left: 24, people: false },
    ]);
}
