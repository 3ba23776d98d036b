use commands::Request;
use domain::{
    Actor, RecordClass, Stated,
    governance::{
        AccessLog, AccessLogCommand, AuditReplay, AuditReplayCommand, Disclosure, DisclosureCommand,
        LegalHoldCommand, PartyKind, ProcessingActivity, ProcessingActivityCommand,
    },
};

use event_store::Basis;

use super::*;
use crate::{
    event::{ERASED, SEALED},
    testing::{World, student},
};

async fn of(world: &World, person: Uuid, personal: Personal) -> Report {
    let head = world.annals.store.head().await.unwrap();
    let positions = mentions(&world.annals, person, head.position).await.unwrap();
    report(&world.annals, person, head, &positions, personal, None).await.unwrap()
}

async fn counted(world: &World, subject: Uuid) -> usize {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM annals.events
         WHERE $1 = ANY(string_to_array(metadata ->> 'subjects', ' '))
             OR (aggregate_type = 'governance.subject_key' AND aggregate_id = $1)",
    )
    .bind(subject.to_string())
    .fetch_one(world.annals.store.pool())
    .await
    .unwrap();
    usize::try_from(count).unwrap()
}

#[tokio::test]
async fn a_report_has_as_many_events_as_the_envelopes_name_the_person_in() {
    let world = World::campus().await;
    for number in 0..crate::testing::STUDENTS {
        let report = of(&world, student(number), Personal::Sealed).await;
        assert_eq!(report.events.len(), counted(&world, student(number)).await);
        assert!(report.events.len() >= 3, "a profile and a decision");
        assert!(report.events.is_sorted_by_key(|entry| entry.event.position));
    }
}

#[tokio::test]
async fn personal_values_stay_sealed_unless_they_are_to_be_opened() {
    let world = World::campus().await;
    let sealed = of(&world, student(0), Personal::Sealed).await;
    let opened = of(&world, student(0), Personal::OpenedFor(student(0))).await;
    for (text, shown) in [(sealed.to_text(), false), (opened.to_text(), true)] {
        assert_eq!(text.contains("First words"), shown, "{text}");
        assert_eq!(text.contains(SEALED), !shown, "{text}");
    }
    let other = of(&world, student(0), Personal::OpenedFor(student(1))).await;
    assert!(!other.to_text().contains("First words"), "what is said of others stays sealed");
}

#[tokio::test]
async fn what_was_erased_reads_so_and_the_events_are_still_counted() {
    let world = World::campus().await;
    let before = counted(&world, student(0)).await;
    world.erase(student(0)).await;
    let report = of(&world, student(0), Personal::OpenedFor(student(0))).await;
    assert_eq!(report.events.len(), before);
    let text = report.to_text();
    assert!(text.contains(ERASED) && !text.contains("First words"), "{text}");
}

#[tokio::test]
async fn the_page_needs_nothing_else_and_lets_no_value_become_markup() {
    let world = World::campus().await;
    world.describe(1, "<script>alert('&')</script>").await;
    let report = of(&world, student(1), Personal::OpenedFor(student(1))).await;
    let page = page::page(&report);
    assert!(page.starts_with("<!doctype html>") && !page.contains("http") && !page.contains("<script"));
    assert!(page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"), "{page}");
    assert_eq!(page.matches("<article").count(), report.events.len());
}

#[tokio::test]
async fn who_looked_is_told_to_whoever_looks_next() {
    let world = World::campus().await;
    let (purpose, reason) = (Some("ferpa".into()), Some("She asked.".into()));
    let replay = Some(world.approved_replay(Some(student(0)), None).await);
    let opening = Opening { decrypt: true, purpose, reason, replay };
    let ask = Subject { id: student(0), format: Format::Text, opening };
    let first = ask.report(&world.annals).await.unwrap();
    assert!(first.to_text().contains("First words") && first.seen_by.is_empty());
    let before = world.annals.store.head().await.unwrap().position;
    assert!(ask.run(&world.annals).await.unwrap());
    let recorded = world.annals.store.read_all(before, 10).await.unwrap();
    let types: Vec<&str> = recorded.iter().map(|event| &*event.event_type).collect();
    assert_eq!(types, ["AuditReplayRead", "AccessLogged", "AuditPackageExported"]);
    let envelope = projections::Envelope::read(&recorded[2].metadata, recorded[2].recorded_at);
    assert_eq!(envelope.on_behalf_of, Some(Uuid::from_u128(1)), "who opened the replay is the recipient");
    let second = ask.report(&world.annals).await.unwrap();
    let seen: Vec<_> = second.seen_by.iter().map(|seen| seen.purpose.as_deref()).collect();
    assert_eq!(seen, [Some("ferpa: She asked."); 2]);
    assert_eq!(second.events.len(), first.events.len() + 4, "each look is about them as well");
    assert_eq!(second.events.len(), counted(&world, student(0)).await - 2, "the last look is no part of it");
}

/// Somebody asks for the records of the first student, and an officer reads that they did.
async fn disclosed(world: &World, id: Uuid, basis: &str, party_kind: PartyKind) {
    let request = DisclosureCommand::RequestDisclosure {
        subject: student(0),
        party: Stated("Acme".into()),
        party_kind,
        records: vec!["transcript".into()],
        interest: "Theirs".into(),
        basis: basis.into(),
        redisclosure_to: vec![],
        address: None,
    };
    let officer = Uuid::from_u128(1);
    let by = Request::by(Actor::user(officer, &["compliance"]));
    world.commands.execute::<Disclosure>(id, request, &by).await.unwrap();
    let read = AccessLogCommand::LogAccess {
        actor: Some(officer),
        route: "/v1/disclosures/{id}".into(),
        resource: format!("/v1/disclosures/{id}"),
        subjects: vec![student(0)],
        purpose: None,
        ip: Stated("192.0.2.1".into()),
        user_agent: Stated("curl".into()),
    };
    let edge = Request::by(Actor::policy("access_log"));
    world.commands.execute::<AccessLog>(Uuid::now_v7(), read, &edge).await.unwrap();
}

#[tokio::test]
async fn ferpa_99_31_a_9_ii_what_must_not_be_told_to_the_student_is_marked_wherever_it_stands() {
    let world = World::campus().await;
    let (secret, told) = (Uuid::from_u128(0xD1), Uuid::from_u128(0xD2));
    disclosed(&world, secret, "99.31(a)(9)(ii)(A)", PartyKind::Court).await;
    disclosed(&world, told, "99.31(a)(2)", PartyKind::OtherSchool).await;
    let report = of(&world, student(0), Personal::Sealed).await;
    let marked = |entries: &[Entry]| {
        let marked = entries.iter().filter(|entry| entry.warning.is_some());
        marked.map(|entry| entry.event.event_type.clone()).collect::<Vec<_>>()
    };
    assert_eq!(marked(&report.events), ["DisclosureRequested", "AccessLogged"]);
    assert_eq!(marked(&report.disclosures), ["DisclosureRequested"]);
    let seen: Vec<_> = report.seen_by.iter().map(|seen| seen.warning.is_some()).collect();
    assert_eq!(seen, [true, false]);
    let json = serde_json::to_string(&report).unwrap();
    for text in [report.to_text(), page::page(&report), json] {
        assert_eq!(text.matches(UNTOLD).count(), 5, "each of the four, and at the head: {text}");
    }
    let other = of(&world, student(1), Personal::Sealed).await;
    assert!(other.warning.is_none() && !other.to_text().contains(UNTOLD));
}

#[tokio::test]
async fn what_became_of_their_keys_and_who_held_or_replayed_what_is_theirs_is_told() {
    let world = World::campus().await;
    let before = of(&world, student(0), Personal::Sealed).await;
    let store = &world.annals.store;
    crate::testing::destroy(store, student(0), RecordClass::Education, Basis::Erasure).await;
    let by = Request::by(Actor::user(Uuid::from_u128(1), &["compliance", "admin"]));
    let hold = LegalHoldCommand::PlaceLegalHold {
        title: "A lawsuit".into(),
        subjects: vec![student(0)],
        classes: vec![],
        contexts: vec![],
        reason: "It may be asked for".into(),
        ordered_by: "A court".into(),
    };
    world.commands.execute::<LegalHold>(Uuid::now_v7(), hold, &by).await.unwrap();
    world.sealed_replay(Some(student(0))).await;
    let report = of(&world, student(0), Personal::Sealed).await;
    assert_eq!(report.events.len(), before.events.len() + 2);
    assert_eq!(report.events.last().unwrap().event.event_type, "SubjectKeysDestroyed");
    assert_eq!(report.events.len(), counted(&world, student(0)).await);
    let told: Vec<&str> = report.holds_and_replays.iter().map(|entry| &*entry.event.event_type).collect();
    assert_eq!(told, ["LegalHoldPlaced", "AuditReplayOpened"]);
    for text in [report.to_text(), page::page(&report)] {
        assert!(text.contains("A lawsuit") && text.contains("AuditReplayOpened"), "{text}");
    }
    assert!(of(&world, student(1), Personal::Sealed).await.holds_and_replays.is_empty());
}

#[tokio::test]
async fn each_entry_has_its_purpose_and_its_basis_and_says_who_states_them() {
    let world = World::campus().await;
    disclosed(&world, Uuid::from_u128(0xD2), "99.31(a)(2)", PartyKind::OtherSchool).await;
    let report = of(&world, student(0), Personal::Sealed).await;
    for entry in report.events.iter().chain(&report.disclosures) {
        assert!(entry.purpose_from.is_some() && entry.legal_basis_from.is_some(), "{entry:?}");
    }
    let [requested] = &report.disclosures[..] else { panic!("{:?}", report.disclosures) };
    assert_eq!(requested.event.legal_basis.as_deref(), Some("34 CFR 99.31(a)(2)"));
    assert_eq!(
        (requested.purpose_from, requested.legal_basis_from),
        (Some(SaidBy::Default), Some(SaidBy::Event))
    );
    for text in [report.to_text(), page::page(&report)] {
        assert!(text.contains("by default, which nobody has confirmed"), "{text}");
        assert!(text.contains("34 CFR 99.31(a)(2) (stated in the event)"), "{text}");
    }

    let register = ProcessingActivityCommand::RegisterProcessingActivity {
        name: "Everything".into(),
        purpose: "To run the campus".into(),
        legal_basis: "Art. 6(1)(e)".into(),
        subjects: vec!["students".into()],
        classes: RecordClass::ALL.to_vec(),
        contexts: vec![],
        recipients: vec![],
        transfers: vec![],
        retention: "7 years".into(),
        measures: "Sealed".into(),
    };
    let by = Request::by(Actor::user(Uuid::from_u128(1), &["compliance", "admin"]));
    world.commands.execute::<ProcessingActivity>(Uuid::now_v7(), register, &by).await.unwrap();
    let report = of(&world, student(0), Personal::Sealed).await;
    let [requested] = &report.disclosures[..] else { panic!("{:?}", report.disclosures) };
    assert_eq!(requested.event.purpose.as_deref(), Some("To run the campus"));
    let json = serde_json::to_value(requested).unwrap();
    assert_eq!((&json["purpose_from"], &json["legal_basis_from"]), (&json!("register"), &json!("event")));
}

#[tokio::test]
async fn who_looked_at_a_replay_over_http_is_told_with_its_purpose() {
    let world = World::campus().await;
    let (replay, officer) = (world.approved_replay(Some(student(0)), None).await, Uuid::from_u128(1));
    let read = AuditReplayCommand::RecordReplayRead {
        from_position: 1,
        to_position: 5,
        events: 3,
        subjects: vec![student(0)],
    };
    let edge = Actor { on_behalf_of: Some(officer), ..Actor::policy("api") };
    world.commands.execute::<AuditReplay>(replay, read, &Request::by(edge)).await.unwrap();
    let report = of(&world, student(0), Personal::Sealed).await;
    let [seen] = &report.seen_by[..] else { panic!("{:?}", report.seen_by) };
    assert_eq!(seen.by, officer.to_string());
    assert_eq!(seen.resource, format!("governance.audit_replay/{replay}"));
    assert_eq!(seen.purpose.as_deref(), Some("ferpa: She asked."));
    assert!(of(&world, student(1), Personal::Sealed).await.seen_by.is_empty());
}
