//! GOV-P1 and GOV-P5: from when to when time runs, and what a restriction is about.

use super::*;
use crate::governance::ConsentPurpose;

fn entered(received_at: &str) -> C {
    match open(PrivacyRequestType::Access, &[]) {
        C::OpenPrivacyRequest {
            subject,
            regime,
            r#type,
            details,
            classes,
            records,
            address,
            purposes,
            ..
        } => {
            let received_at = Some(at(received_at));
            C::OpenPrivacyRequest {
                subject,
                regime,
                r#type,
                details,
                classes,
                records,
                address,
                purposes,
                received_at,
            }
        }
        other => other,
    }
}

fn stopping(r#type: PrivacyRequestType, purposes: &[ConsentPurpose]) -> C {
    C::OpenPrivacyRequest {
        subject: ME,
        regime: r#type.regime(),
        r#type,
        details: None,
        classes: vec![],
        records: vec![],
        address: None,
        purposes: purposes.to_vec(),
        received_at: None,
    }
}

fn completed(r#type: PrivacyRequestType) -> E {
    let (summary, regime) = ("Done".into(), r#type.regime());
    E::PrivacyRequestCompleted { summary, regime, r#type, subject: ME, contests: None }
}

fn lift(at: Option<Timestamp>) -> C {
    C::LiftRestriction { reason: Stated("The data is accurate".into()), at }
}

/// A request of this type that was carried out.
fn carried_out(r#type: PrivacyRequestType) -> Scenario<PrivacyRequest> {
    after([opened(r#type), verified(), approved(r#type), step(StepOutcome::Done), completed(r#type)])
}

#[test]
fn gov_p1_a_request_that_came_by_letter_runs_from_the_day_of_its_receipt() {
    let opened = |received| nothing().by(staff()).at("2026-03-10T09:00:00Z").when(entered(received));
    let state = follows(opened("2026-01-31T09:00:00Z"), "PrivacyRequestOpened");
    assert_eq!((state.opened_at, state.due_at), (at("2026-01-31T09:00:00Z"), at("2026-02-28T09:00:00Z")));
    opened("2026-03-10T09:00:01Z").invalid("received_at");
    opened("2025-03-01T09:00:00Z").invalid("received_at");
    let own = nothing::<PrivacyRequest>().by(me()).at("2026-03-10T09:00:00Z");
    own.when(entered("2026-03-01T09:00:00Z")).invalid("received_at");
}

#[test]
fn gov_p1_a_late_entry_shortens_the_time_in_which_it_can_be_extended_too() {
    let entry = nothing::<PrivacyRequest>()
        .by(staff())
        .at("2026-03-10T09:00:00Z")
        .when(entered("2026-01-31T09:00:00Z"));
    let events = entry.events();
    after(events).at("2026-03-10T09:00:00Z").when(extend(2)).refused(R::ExtensionTooLate {});
}

#[test]
fn gov_p1_extensions_end_with_their_month_in_leap_years_too() {
    let extended_until = |opened: &str, months| {
        let request = nothing::<PrivacyRequest>().by(me()).at(opened);
        let events = request.when(open(PrivacyRequestType::Access, &[])).events();
        let state = follows(after(events).at(opened).when(extend(months)), "PrivacyRequestExtended");
        state.due_at.to_string()
    };
    // Counted from the receipt: 2028 is a leap year, 2100 is none.
    assert_eq!(extended_until("2027-12-31T12:00:00Z", 1), "2028-02-29T12:00:00Z");
    assert_eq!(extended_until("2027-11-30T12:00:00Z", 2), "2028-02-29T12:00:00Z");
    assert_eq!(extended_until("2099-11-30T12:00:00Z", 2), "2100-02-28T12:00:00Z");
    assert_eq!(extended_until("2028-02-29T12:00:00Z", 2), "2028-05-29T12:00:00Z");
    assert_eq!(extended_until("2026-11-30T23:59:59Z", 1), "2027-01-30T23:59:59Z");
}

#[test]
fn gov_p1_45_days_run_through_the_end_of_february() {
    let due = |instant| due_after(PrivacyRequestType::Inspection, instant);
    assert_eq!(due("2027-01-20T08:00:00Z"), at("2027-03-06T08:00:00Z"));
    assert_eq!(due("2028-01-20T08:00:00Z"), at("2028-03-05T08:00:00Z"));
    assert_eq!(due("2027-11-30T23:00:00Z"), at("2028-01-14T23:00:00Z"));
}

#[test]
fn gov_p5_an_objection_names_its_purposes_and_only_restrictions_and_objections_have_any() {
    use PrivacyRequestType as T;
    let opens = |r#type, purposes: &[_]| nothing().by(me()).when(stopping(r#type, purposes));
    opens(T::Objection, &[]).invalid("purposes");
    opens(T::Objection, &[ConsentPurpose::Marketing, ConsentPurpose::Marketing]).invalid("purposes");
    opens(T::Erasure, &[ConsentPurpose::Marketing]).invalid("purposes");
    let state = follows(opens(T::Objection, &[ConsentPurpose::Marketing]), "PrivacyRequestOpened");
    assert_eq!(state.purposes, [ConsentPurpose::Marketing]);
    follows(opens(T::Restriction, &[]), "PrivacyRequestOpened");
}

#[test]
fn art_21_an_objection_to_marketing_is_approved_by_the_system_and_denied_by_nobody_once_the_requester_is_verified()
 {
    let marketing = |verified_too: bool| {
        let objects = stopping(PrivacyRequestType::Objection, &[ConsentPurpose::Marketing]);
        let opened = nothing::<PrivacyRequest>().by(me()).when(objects).events();
        after(opened.into_iter().chain(verified_too.then(verified)))
    };
    let (policy, absolute) = (Actor::policy("stop_marketing"), R::ObjectionAbsolute {});
    assert!(marketing(true).permits(&policy, &approve(None, None)));
    follows(marketing(true).by(policy.clone()).when(approve(None, None)), "PrivacyRequestApproved");
    marketing(false).by(policy.clone()).when(approve(None, None)).refused(R::NotVerified {});
    marketing(true).when(deny()).refused(absolute.clone());
    follows(marketing(false).when(deny()), "PrivacyRequestDenied");
    marketing(true)
        .when(approve(Some(&[RecordClass::Profile]), Some("The rest is needed")))
        .refused(absolute);
    let others = stopping(PrivacyRequestType::Objection, &[ConsentPurpose::Analytics]);
    let weighed = nothing::<PrivacyRequest>().by(me()).when(others).events();
    assert!(!after(weighed).permits(&policy, &approve(None, None)), "people weigh what else is objected to");
}

#[test]
fn art_21_an_objection_to_marketing_waits_for_no_other_objection() {
    let objects = |purposes: &[_]| {
        nothing::<PrivacyRequest>().by(me()).when(stopping(PrivacyRequestType::Objection, purposes))
    };
    objects(&[ConsentPurpose::Marketing, ConsentPurpose::Analytics]).invalid("purposes");
    let (marketing, analytics) =
        (objects(&[ConsentPurpose::Marketing]).claims(), objects(&[ConsentPurpose::Analytics]).claims());
    assert!(marketing.iter().all(|claim| !analytics.contains(claim)));
    let ended = PrivacyRequest::claims(Uuid::nil(), &completed(PrivacyRequestType::Objection));
    for taken in marketing.into_iter().chain(analytics) {
        let Claim::Take(key) = taken else { panic!("{taken:?}") };
        assert!(ended.contains(&Claim::Free(key.clone())), "{key}");
    }
}

#[test]
fn gov_p5_a_restriction_is_lifted_after_the_person_was_told_and_by_the_person_at_once() {
    let restriction = PrivacyRequestType::Restriction;
    let case = || carried_out(restriction).at("2026-01-10T12:00:00Z");
    let later = at("2026-01-20T12:00:00Z");
    case().when(lift(None)).invalid("at");
    case().when(lift(Some(at("2026-01-10T12:00:00Z")))).invalid("at");
    let state = follows(case().when(lift(Some(later))), "RestrictionLiftAnnounced");
    assert_eq!(state.lifted_at, Some(later));
    let announced = |at| E::RestrictionLiftAnnounced {
        reason: Personal::about(ME, "The data is accurate".into()),
        at,
        r#type: restriction,
        subject: ME,
    };
    case().by(me()).when(lift(None)).then([announced(at("2026-01-10T12:00:00Z"))]);
    let past = [opened(restriction), verified(), approved(restriction), completed(restriction)];
    let again = || after(past.clone().into_iter().chain([announced(later)])).at("2026-01-11T12:00:00Z");
    again().when(lift(Some(at("2026-02-20T12:00:00Z")))).invalid_state("completed");
    follows(again().by(me()).when(lift(None)), "RestrictionLiftAnnounced");
    after([opened(restriction), verified()]).when(lift(Some(later))).invalid_state("verified");
    carried_out(PrivacyRequestType::Access).when(lift(Some(later))).invalid_state("completed");
}

#[test]
fn gov_p5_an_objection_is_taken_back_by_the_person_alone() {
    let objection = || carried_out(PrivacyRequestType::Objection);
    assert!(objection().permits(&me(), &lift(None)));
    assert!(!objection().permits(&staff(), &lift(Some(at("2027-01-01T00:00:00Z")))));
    let restriction = carried_out(PrivacyRequestType::Restriction);
    assert!(
        restriction.permits(&staff(), &lift(None))
            && !restriction.permits(&Actor::policy("any"), &lift(None))
    );
}

#[test]
fn p_53_what_does_not_come_to_its_end_is_escalated_and_what_people_do_is_not() {
    let stall = |hours| C::ReportStall { hours };
    let stalled = |hours| E::FulfilmentStalled { hours, waiting: vec!["budgeting".into()] };
    let at_work = |r#type| after([opened(r#type), verified(), approved(r#type), step(StepOutcome::Partial)]);
    let erasure = PrivacyRequestType::Erasure;
    let state = at_work(erasure).when(stall(24)).then([stalled(24)]);
    assert_eq!(state.stalled_hours, 24);
    let past = [opened(erasure), verified(), approved(erasure), step(StepOutcome::Partial), stalled(24)];
    after(past.clone()).when(stall(24)).then([]);
    after(past).when(stall(48)).then([stalled(48)]);
    at_work(PrivacyRequestType::Rectification).when(stall(24)).then([]);
    carried_out(erasure).when(stall(24)).then([]);
    assert!(!at_work(erasure).permits(&staff(), &stall(24)));
}

#[test]
fn every_event_of_these_reads_as_it_was_stored() {
    keeps_history::<PrivacyRequest>([
        E::FulfilmentStalled { hours: 24, waiting: vec!["keys of device".into()] },
        E::RestrictionLiftAnnounced {
            reason: Personal::about(ME, "The data is accurate".into()),
            at: at("2026-01-20T12:00:00Z"),
            r#type: PrivacyRequestType::Restriction,
            subject: ME,
        },
    ]);
}
