//! What decisions ask, answered from tables.

use domain::{
    Answer, Decider, Question,
    credentials::{
        CredentialLevel, CredentialType, Delivery, MicroCredential, MicroCredentialEvent, Recognition,
        RecognitionEvent, RecognitionType, TranscriptMode,
    },
    identity::{OrgKind, OrgType, OrgUnitEvent},
};
use event_store::{NewEvent, StreamId};
use jiff::civil::date;
use projections::answers::{answer, asked};
use uuid::Uuid;

use crate::world::*;

const PSU: Uuid = Uuid::from_u128(0x95);
const KU: Uuid = Uuid::from_u128(0x15);
const WSU: Uuid = Uuid::from_u128(0x35);

fn of_credential(id: u128, event: &MicroCredentialEvent) -> NewEvent {
    new_event::<MicroCredential>(StreamId::new(MicroCredential::TYPE, unit(id).to_string()), event)
}

fn of_recognition(id: u128, event: &RecognitionEvent) -> NewEvent {
    new_event::<Recognition>(StreamId::new(Recognition::TYPE, unit(id).to_string()), event)
}

fn drafted(id: u128, institution: Uuid) -> NewEvent {
    let event = MicroCredentialEvent::CredentialDrafted {
        program_code: format!("P-{id}"),
        title: "Data literacy".into(),
        description: "Reading figures".into(),
        institution,
        r#type: CredentialType::MicroCredential,
        delivery: Delivery::Online,
        hours: 30,
        credits: None,
        level: CredentialLevel::Introductory,
        cost: None,
        language: "en".into(),
        assessment: None,
    };
    of_credential(id, &event)
}

fn published(id: u128, institution: Uuid) -> [NewEvent; 2] {
    let event = MicroCredentialEvent::CredentialPublished {
        effective: date(2026, 1, 1),
        expires: None,
        next_review: None,
        institution,
        program_code: format!("P-{id}"),
        title: "Data literacy".into(),
        r#type: CredentialType::MicroCredential,
        credits: None,
    };
    [drafted(id, institution), of_credential(id, &event)]
}

fn proposed(id: u128, credential: u128, institution: Uuid) -> NewEvent {
    let event = RecognitionEvent::RecognitionProposed {
        credential: unit(credential),
        institution,
        counterpart: None,
        r#type: RecognitionType::Exemption,
        credit_value: None,
        credit_type: None,
        transcript: TranscriptMode::Listed,
        conditions: None,
        effective: date(2026, 2, 1),
        expires: None,
        proposed_by: None,
    };
    of_recognition(id, &event)
}

fn approved(id: u128, credential: u128, institution: Uuid) -> [NewEvent; 2] {
    let event = RecognitionEvent::RecognitionApproved {
        approval_reference: "2026/1".into(),
        conditions: None,
        override_reason: None,
        credential: unit(credential),
        institution,
        r#type: RecognitionType::Exemption,
        credit_value: None,
    };
    [proposed(id, credential, institution), of_recognition(id, &event)]
}

fn revoked(id: u128, credential: u128, institution: Uuid) -> NewEvent {
    let credential = unit(credential);
    of_recognition(
        id,
        &RecognitionEvent::RecognitionRevoked { reason: "fraud".into(), credential, institution },
    )
}

fn rejected(id: u128, credential: u128, institution: Uuid) -> [NewEvent; 2] {
    let (reason, unit) = ("no match".into(), unit(credential));
    let event = RecognitionEvent::RecognitionRejected { reason, credential: unit, institution };
    [proposed(id, credential, institution), of_recognition(id, &event)]
}

/// A world in which these events are folded by all read models that a question asks.
async fn world(events: Vec<NewEvent>) -> World {
    let world = World::new().await;
    world.projections.start();
    let position = append_events(&world.store, events).await;
    for model in ["credentials", "recognitions"] {
        world.visible(model, position).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn crd_r3_the_history_counts_the_decisions_of_two_institutions_on_each_others_credentials() {
    let mut events: Vec<NewEvent> = published(1, PSU).into();
    events.extend(published(2, WSU));
    events.extend(approved(11, 1, KU));
    events.push(revoked(11, 1, KU));
    events.extend(rejected(12, 1, KU));
    events.push(proposed(13, 1, KU));
    events.extend(approved(14, 2, KU));
    events.extend(approved(15, 1, WSU));
    events.extend(rejected(16, 2, PSU));
    let world = world(events).await;
    let ask = async |institution, issuer| {
        answer(&world.projections, &Question::RecognitionHistory { institution, issuer }).await.unwrap()
    };
    assert_eq!(ask(KU, PSU).await, Answer::Approvals { approved: 1, decided: 2 });
    assert_eq!(ask(KU, WSU).await, Answer::Approvals { approved: 1, decided: 1 });
    assert_eq!(ask(PSU, KU).await, ask(KU, PSU).await);
    assert_eq!(ask(WSU, PSU).await, Answer::Approvals { approved: 1, decided: 2 }, "one each");
    assert_eq!(ask(PSU, WSU).await, ask(WSU, PSU).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_credentials_of_an_institution_are_told_however_many_there_are() {
    let mut events: Vec<NewEvent> = (1000..1230).flat_map(|id| published(id, PSU)).collect();
    events.push(drafted(2, PSU));
    events.extend(published(3, KU));
    let world = world(events).await;
    let told =
        answer(&world.projections, &Question::PublishedCredentials { institution: PSU }).await.unwrap();
    let Answer::References(mut told) = told else { panic!("{told:?}") };
    told.sort();
    assert_eq!(told, (1000..1230).map(unit).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recognitions_that_an_archived_credential_ends_are_those_approved_now() {
    let mut events: Vec<NewEvent> = published(1, PSU).into();
    events.extend(approved(11, 1, KU));
    events.extend(approved(12, 1, WSU));
    events.push(revoked(12, 1, WSU));
    let world = world(events).await;
    let asked = Question::ApprovedRecognitions { credential: unit(1) };
    assert_eq!(answer(&world.projections, &asked).await.unwrap(), Answer::References(vec![unit(11)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_child_is_no_active_child() {
    let world = World::new().await;
    world.projections.start();
    let child = OrgUnitEvent::OrgUnitCreated {
        kind: OrgKind::Department,
        code: "CS".into(),
        name: "Computing".into(),
        r#type: OrgType::Other,
        parent: Some(PSU),
        country: "US".into(),
        city: None,
        website: None,
        contact_email: None,
    };
    let asked = Question::HasActiveChildren { org: PSU };
    let position = world.append(unit(1), child).await;
    world.visible("org_directory", position).await;
    assert_eq!(answer(&world.projections, &asked).await.unwrap(), Answer::Flag(true));
    let position = world.append(unit(1), gone()).await;
    world.visible("org_directory", position).await;
    assert_eq!(answer(&world.projections, &asked).await.unwrap(), Answer::Flag(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_no_read_model_answers_is_refused_and_not_guessed() {
    let world = World::new().await;
    let question = Question::TokenHash { label: "x".into() };
    assert!(asked(&question).is_empty());
    assert!(answer(&world.projections, &question).await.is_err());
}
