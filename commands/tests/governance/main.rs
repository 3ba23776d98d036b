//! Holds, erasure and retention against a real log and real keys.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clocks;
mod fulfilment;
mod killed;
mod notices;
#[path = "../ports/mod.rs"]
mod ports;
mod residue;
mod retention;
mod schedule;

use std::{sync::Arc, time::Duration};

use commands::{
    Answers, CommandError, Commands, NoAnswers, Request,
    policies::{self, PolicyStatus, World, every_policy},
    ports::{Certifier, PortError, Ports},
};
use domain::{
    Actor, Answer, Personal, Question, RecordClass, class,
    governance::{
        AuditReplay, AuditReplayCommand, LegalHold, LegalHoldCommand, PrivacyRegime, PrivacyRequest,
        PrivacyRequestCommand, PrivacyRequestType, ReplayPurpose, ReplayScope, SecurityIncident,
        SecurityIncidentCommand, ShredBasis, SubjectKey, SubjectKeyCommand, Verification,
    },
    identity::{Profile, ProfileCommand},
};
use event_store::{EventStore, testing};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

const ANNA: Uuid = Uuid::from_u128(0xA);
const BERT: Uuid = Uuid::from_u128(0xB);

/// Certifies in the clear, for these tests to read.
struct PlainCertifier;

impl Certifier for PlainCertifier {
    fn sign(&self, statement: &Value) -> Result<String, PortError> {
        Ok(statement.to_string())
    }
}

/// Knows of one event about everybody, of no application, who received data, and how much is left of somebody.
struct Residue(u64);

impl Answers for Residue {
    fn answer(&self, question: Question, _: Option<u64>) -> BoxFuture<'_, Result<Answer, CommandError>> {
        Box::pin(async move {
            match question {
                Question::Residue { .. } => Ok(Answer::Count(self.0)),
                Question::Holdings { .. } => Ok(Answer::Counts([("identity".to_owned(), 1)].into())),
                Question::OpenApplications { .. }
                | Question::RoleHolders { .. }
                | Question::LiveClients { .. }
                | Question::Holders { .. }
                | Question::DisclosuresOn { .. } => Ok(Answer::References(Vec::new())),
                Question::TokenHash { label } => Ok(Answer::Hash(domain::sha256_hex(&label))),
                Question::Recipients { subject } => Ok(Answer::Recipients(fulfilment::recipients(subject))),
                _ => Err(CommandError::Unavailable("the read models".into())),
            }
        })
    }
}

struct Node {
    commands: Commands,
    status: watch::Receiver<Vec<PolicyStatus>>,
    policies: JoinHandle<()>,
    _stop: watch::Sender<bool>,
}

impl Node {
    async fn start(store: EventStore) -> Node {
        Node::start_with(store, Arc::new(PlainCertifier), 0)
    }

    /// A node that certifies in this way, and finds so much left of everybody.
    fn start_with(store: EventStore, certifier: Arc<dyn Certifier>, residue: u64) -> Node {
        Node::start_at(store, ports::with(certifier), residue)
    }

    /// A node at these ports.
    fn start_at(store: EventStore, ports: Arc<Ports>, residue: u64) -> Node {
        let commands = Commands::new(store, Arc::new(Residue(residue)), 1000);
        let world = World::new(commands.clone(), ports);
        let (reached, status) = watch::channel(Vec::new());
        let (stop, stopped) = watch::channel(false);
        let policies = tokio::spawn(policies::run(every_policy(), world, reached, stopped));
        Node { commands, status, policies, _stop: stop }
    }

    /// A node whose policies do not run.
    fn idle(store: EventStore) -> Node {
        let commands = Commands::new(store, Arc::new(NoAnswers), 1000);
        let (_, status) = watch::channel(Vec::new());
        let (stop, _) = watch::channel(false);
        Node { commands, status, policies: tokio::spawn(async {}), _stop: stop }
    }

    /// Until every policy has reacted to everything, what followed included.
    async fn settled(&mut self) {
        loop {
            let head = self.commands.store().head().await.unwrap().position;
            let reached =
                |all: &Vec<PolicyStatus>| !all.is_empty() && all.iter().all(|policy| policy.position >= head);
            let waited = tokio::time::timeout(Duration::from_secs(20), self.status.wait_for(reached)).await;
            waited.unwrap().unwrap();
            if self.commands.store().head().await.unwrap().position == head {
                return;
            }
        }
    }

    /// The events of this type: their stream and their fields.
    async fn events(&self, name: &str) -> Vec<(String, Value)> {
        let events = self.commands.store().read_all(0, 10_000).await.unwrap();
        let of_name = events.into_iter().filter(|event| event.event_type == name);
        of_name
            .map(|event| {
                let mut payload: Value = serde_json::from_str(&event.payload).unwrap();
                (event.stream.aggregate_id.to_string(), payload[name].take())
            })
            .collect()
    }

    /// A profile with something to erase.
    async fn headline(&self, account: Uuid) {
        let revise: ProfileCommand = serde_json::from_value(
            json!({ "ReviseProfile": { "headline": "Hello", "interests": ["chess"] } }),
        )
        .unwrap();
        let own = Request::by(Actor::user(account, &["student"]));
        self.commands.execute::<Profile>(account, revise, &own).await.unwrap();
    }

    /// As commands see them.
    async fn interests(&self, account: Uuid) -> Personal<Vec<String>, class::Profile> {
        self.commands.state::<Profile>(account).await.unwrap().state.interests.clone()
    }

    async fn hold(&self, subjects: &[Uuid], classes: &[RecordClass]) -> Uuid {
        let hold = Uuid::now_v7();
        let place = LegalHoldCommand::PlaceLegalHold {
            title: "Smith v. University".into(),
            subjects: subjects.to_vec(),
            classes: classes.to_vec(),
            contexts: Vec::new(),
            reason: "litigation".into(),
            ordered_by: "District court".into(),
        };
        self.commands.execute::<LegalHold>(hold, place, &compliance()).await.unwrap();
        hold
    }

    async fn shred(&self, account: Uuid, classes: &[RecordClass]) -> Result<(), CommandError> {
        let shred = SubjectKeyCommand::ShredSubjectKey {
            record_classes: classes.to_vec(),
            basis: ShredBasis::Erasure,
            through: None,
            cause: Uuid::from_u128(0x9E),
        };
        let request = Request::by(Actor::policy("erase"));
        self.commands.execute::<SubjectKey>(account, shred, &request).await.map(drop)
    }
}

/// Waits until there are so many events of this type.
async fn until(node: &Node, name: &str, times: usize) -> Vec<(String, Value)> {
    let mut head = node.commands.store().subscribe_head();
    let found = async {
        loop {
            let events = node.events(name).await;
            if events.len() >= times {
                return events;
            }
            head.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.unwrap()
}

fn compliance() -> Request {
    Request::by(Actor::user(Uuid::from_u128(0xC), &["compliance"]))
}

fn code(outcome: Result<(), CommandError>) -> &'static str {
    match outcome {
        Err(CommandError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn gov_r1_a_hold_on_the_person_on_the_class_or_on_both_keeps_the_keys() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    node.headline(ANNA).await;
    for (subjects, classes) in
        [(&[ANNA][..], &[][..]), (&[], &[RecordClass::Profile]), (&[BERT, ANNA], &[RecordClass::Profile])]
    {
        let hold = node.hold(subjects, classes).await;
        assert_eq!(code(node.shred(ANNA, &[RecordClass::Profile]).await), "LegalHoldActive");
        let release = LegalHoldCommand::ReleaseLegalHold { reason: "settled".into() };
        node.commands.execute::<LegalHold>(hold, release, &compliance()).await.unwrap();
    }
    node.hold(&[BERT], &[RecordClass::Profile]).await;
    node.shred(ANNA, &[RecordClass::Profile]).await.unwrap();
    node.settled().await;
    assert!(node.commands.store().keyring().is_erased(ANNA, "profile").await.unwrap());
}

#[tokio::test]
async fn gov_k2_an_erasure_destroys_the_keys_and_is_certified_without_personal_data() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    node.headline(ANNA).await;
    node.headline(BERT).await;
    assert!(!node.interests(ANNA).await.is_erased());
    assert_eq!(code(node.shred(ANNA, &[RecordClass::Payment]).await), "LegalDuty");
    node.shred(ANNA, &[RecordClass::Profile]).await.unwrap();
    node.settled().await;

    assert!(node.interests(ANNA).await.is_erased(), "it is not in memory either");
    assert!(!node.interests(BERT).await.is_erased());
    let destroyed = node.events("SubjectKeysDestroyed").await;
    let [(stream, fields)] = &destroyed[..] else { panic!("{destroyed:?}") };
    assert_eq!(*stream, ANNA.to_string());
    let certificate: Value = serde_json::from_str(fields["certificate"].as_str().unwrap()).unwrap();
    assert_eq!(certificate["subject"], ANNA.to_string());
    assert_eq!(certificate["record_classes"], json!(["profile"]));
    assert_eq!(
        (&certificate["key_ids"], &certificate["backups_until"]),
        (&fields["key_ids"], &fields["backups_until"])
    );
    assert_eq!(fields["key_ids"].as_array().unwrap().len(), 1);

    let state = |account| {
        let commands = Commands::new(node.commands.store().clone(), Arc::new(NoAnswers), 10);
        async move { commands.state::<Profile>(account).await.unwrap() }
    };
    assert!(state(ANNA).await.exists(), "the stream still folds");
    let events = node.commands.store().read_all(0, 10).await.unwrap();
    let store = node.commands.store();
    store.keyring().load_for(&events).await.unwrap();
    let opened = |account: Uuid| {
        let own = events.iter().filter(|event| *event.stream.aggregate_id == *account.to_string());
        own.flat_map(|event| store.keyring().open(event).unwrap()).collect::<Vec<_>>()
    };
    assert!(opened(ANNA).iter().all(Option::is_none) && !opened(ANNA).is_empty());
    assert!(opened(BERT).iter().all(Option::is_some) && !opened(BERT).is_empty());
    let again = Request::by(Actor::user(ANNA, &["student"]));
    let revise: ProfileCommand =
        serde_json::from_value(json!({ "ReviseProfile": { "headline": "Again" } })).unwrap();
    let refused = node.commands.execute::<Profile>(ANNA, revise, &again).await;
    assert!(matches!(refused, Err(CommandError::SubjectErased)), "{refused:?}");
}

#[tokio::test]
async fn gov_a4_a_replay_has_a_timer_that_closes_it() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    let open = AuditReplayCommand::OpenAuditReplay {
        purpose: Some(ReplayPurpose::SelfTest),
        scope: ReplayScope::default(),
        as_of: None,
        decrypt: false,
        reason: "to see that it closes".into(),
    };
    let replay = Uuid::now_v7();
    node.commands.execute::<AuditReplay>(replay, open, &compliance()).await.unwrap();
    node.settled().await;
    let pool = node.commands.store().pool().clone();
    // Eight hours pass.
    let moved = sqlx::query("UPDATE annals.timers SET due_at = now() WHERE aggregate_id = $1")
        .bind(replay)
        .execute(&pool);
    assert_eq!(moved.await.unwrap().rows_affected(), 1);
    let closed = async {
        let mut head = node.commands.store().subscribe_head();
        while node.events("AuditReplayClosed").await.is_empty() {
            head.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
}

#[tokio::test]
async fn gov_p4_an_approved_request_erases_class_by_class_and_refuses_what_is_kept_with_the_ground() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    node.headline(ANNA).await;
    node.hold(&[ANNA], &[RecordClass::Device]).await;
    let request = Uuid::now_v7();
    let own = || Request::by(Actor::user(ANNA, &["student"]));
    let open = PrivacyRequestCommand::OpenPrivacyRequest {
        subject: ANNA,
        regime: PrivacyRegime::Gdpr,
        r#type: PrivacyRequestType::Erasure,
        details: None,
        classes: vec![
            RecordClass::Profile,
            RecordClass::Device,
            RecordClass::Payment,
            RecordClass::Communication,
        ],
        records: vec![],
        address: None,
        purposes: vec![],
        received_at: None,
    };
    node.commands.execute::<PrivacyRequest>(request, open, &own()).await.unwrap();
    let verify = PrivacyRequestCommand::VerifyRequester { method: Verification::Session, proof: None };
    node.commands.execute::<PrivacyRequest>(request, verify, &own()).await.unwrap();
    let approve = async |note: Option<&str>, classes| {
        let note = note.map(str::to_owned);
        let approve = PrivacyRequestCommand::ApprovePrivacyRequest { note, classes };
        node.commands.execute::<PrivacyRequest>(request, approve, &compliance()).await.map(drop)
    };
    assert_eq!(code(approve(None, None).await), "LegalHoldActive");
    let others = vec![RecordClass::Profile, RecordClass::Payment, RecordClass::Communication];
    approve(Some("a legal hold keeps the devices"), Some(others)).await.unwrap();
    node.settled().await;

    let steps = node.events("FulfilmentStepRecorded").await.into_iter().map(|(_, fields)| fields);
    let settled: Vec<Value> = steps.filter(|step| step["outcome"] != "partial").collect();
    let of = |class: &str| settled.iter().find(|step| step["context"] == format!("keys of {class}")).unwrap();
    assert_eq!((&of("profile")["outcome"], &of("profile")["records"]), (&json!("done"), &json!(1)));
    assert_eq!(of("communication")["outcome"], "nothing");
    for (class, ground) in [("device", "legal hold"), ("payment", "tax")] {
        assert_eq!(of(class)["outcome"], "refused");
        assert!(of(class)["note"].as_str().unwrap().contains(ground), "{}", of(class));
    }
    assert_eq!(node.events("PrivacyRequestCompleted").await.len(), 1);
    let keyring = node.commands.store().keyring();
    assert!(
        keyring.is_erased(ANNA, "profile").await.unwrap()
            && !keyring.is_erased(ANNA, "device").await.unwrap()
    );
}
