//! The policies of consent and of deadlines, against a real log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ports;

use std::{sync::Arc, time::Duration};

use commands::{
    Commands, NoAnswers, Request,
    policies::{self, World, every_policy},
    ports::{Certifier, PortError},
};
use domain::{
    Actor, Stated,
    governance::{
        AccessLog, AccessLogCommand, AuditReplay, AuditReplayCommand, ConsentLedger, ConsentLedgerCommand,
        ConsentPurpose, IncidentKind, PrivacyRegime, PrivacyRequest, PrivacyRequestCommand,
        PrivacyRequestType, ReplayPurpose, ReplayScope, SecurityIncident, SecurityIncidentCommand, Severity,
        access_log_id,
    },
    identity::{Profile, ProfileCommand},
};
use event_store::testing;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

/// No policy of these tests signs anything.
struct NoCertifier;

impl Certifier for NoCertifier {
    fn sign(&self, _: &serde_json::Value) -> Result<String, PortError> {
        Err(PortError { port: "certifier", reason: "there is none".into() })
    }
}

const ADA: Uuid = Uuid::from_u128(0xADA);
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    commands: Commands,
    _stop: watch::Sender<bool>,
}

impl Node {
    async fn start(database: &testing::TestDatabase) -> Node {
        let store = database.store().await.unwrap();
        let commands = Commands::new(store, Arc::new(NoAnswers), 1000);
        let world = World::new(commands.clone(), ports::with(Arc::new(NoCertifier)));
        let (reached, _) = watch::channel(Vec::new());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(policies::run(every_policy(), world, reached, stopped));
        Node { commands, _stop: stop }
    }

    /// Waits until so many events of a type are in the log, and gives the types of all events.
    async fn until(&self, event: &str, times: usize) -> Vec<String> {
        let mut news = self.commands.store().subscribe_head();
        loop {
            let events = self.commands.store().read_all(0, 1000).await.unwrap();
            let names: Vec<String> = events.into_iter().map(|event| event.event_type.into_owned()).collect();
            if names.iter().filter(|name| *name == event).count() >= times {
                return names;
            }
            tokio::time::timeout(PATIENCE, news.changed()).await.unwrap().unwrap();
        }
    }

    /// Waits until these timers of a policy are armed: when they are due, in order.
    async fn armed(&self, policy: &str, count: usize) -> Vec<Timestamp> {
        let due = "SELECT (extract(epoch FROM due_at) * 1000000)::bigint FROM annals.timers \
                   WHERE policy = $1 ORDER BY due_at";
        let look = async {
            loop {
                let due: Vec<i64> = sqlx::query_scalar(due)
                    .bind(policy)
                    .fetch_all(self.commands.store().pool())
                    .await
                    .unwrap();
                if due.len() == count {
                    return due.into_iter().map(|due| Timestamp::from_microsecond(due).unwrap()).collect();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap()
    }

    async fn consent(&self, until: Option<Timestamp>) {
        let grant = ConsentLedgerCommand::GrantConsent {
            purpose: ConsentPurpose::BiasMonitoring,
            text_version: "1".into(),
            text_hash: domain::sha256_hex("the text"),
            until,
        };
        self.commands.execute::<ConsentLedger>(ADA, grant, &by_ada()).await.unwrap();
    }

    async fn declare(&self) {
        let attributes = Stated([("gender".to_owned(), "female".to_owned())].into());
        let declare = ProfileCommand::DeclareDemographics { attributes, consent: ADA };
        self.commands.execute::<Profile>(ADA, declare, &by_ada()).await.unwrap();
    }
}

fn by_ada() -> Request {
    Request::by(Actor::user(ADA, &["student"]))
}

#[tokio::test]
async fn p_57_demographics_end_with_the_consent_that_they_rest_on() {
    let database = testing::database().await;
    let node = Node::start(&database).await;
    node.consent(None).await;
    node.declare().await;
    let withdraw = ConsentLedgerCommand::WithdrawConsent { purpose: ConsentPurpose::BiasMonitoring };
    node.commands.execute::<ConsentLedger>(ADA, withdraw, &by_ada()).await.unwrap();
    let names = node.until("DemographicsWithdrawn", 1).await;
    let expected = ["ConsentGranted", "ProfileCreated", "DemographicsDeclared", "ConsentWithdrawn"];
    assert_eq!(names, [&expected[..], &["DemographicsWithdrawn"]].concat());
}

#[tokio::test]
async fn a_consent_whose_time_is_over_expires_by_itself() {
    let database = testing::database().await;
    let node = Node::start(&database).await;
    node.consent(None).await;
    node.declare().await;
    node.consent(Some(Timestamp::now() + Duration::from_millis(200))).await;
    let names = node.until("DemographicsWithdrawn", 1).await;
    assert_eq!(names[3..], ["ConsentGranted", "ConsentExpired", "DemographicsWithdrawn"]);
}

#[tokio::test]
async fn a_consent_that_is_renewed_without_an_end_does_not_expire() {
    let database = testing::database().await;
    let node = Node::start(&database).await;
    node.consent(Some("2199-01-01T00:00:00Z".parse().unwrap())).await;
    node.armed("expire_consents", 1).await;
    node.consent(None).await;
    node.armed("expire_consents", 0).await;
}

#[tokio::test]
async fn p_55_an_open_request_is_watched_7_and_2_days_before_it_is_due_and_then() {
    let database = testing::database().await;
    let node = Node::start(&database).await;
    let open = PrivacyRequestCommand::OpenPrivacyRequest {
        subject: ADA,
        regime: PrivacyRegime::Ferpa,
        r#type: PrivacyRequestType::Inspection,
        details: None,
        classes: vec![],
        records: vec![],
        address: None,
        purposes: vec![],
        received_at: None,
    };
    let id = Uuid::now_v7();
    node.commands.execute::<PrivacyRequest>(id, open, &by_ada()).await.unwrap();
    let due = node.commands.state::<PrivacyRequest>(id).await.unwrap().state.due_at;
    let days = |days: i64| due - Duration::from_secs(86_400 * u64::try_from(days).unwrap());
    assert_eq!(node.armed("escalate_requests", 3).await, [days(7), days(2), due]);
    let cancel = PrivacyRequestCommand::CancelPrivacyRequest {};
    node.commands.execute::<PrivacyRequest>(id, cancel, &by_ada()).await.unwrap();
    node.armed("escalate_requests", 0).await;
}

#[tokio::test]
async fn p_59_an_incident_is_watched_for_48_and_72_hours_until_the_authority_is_told() {
    let database = testing::database().await;
    let node = Node::start(&database).await;
    let officer = Request::by(Actor::user(Uuid::from_u128(9), &["compliance"]));
    let open = SecurityIncidentCommand::OpenSecurityIncident {
        kind: IncidentKind::DataBreach,
        severity: Severity::High,
        summary: "A list was mailed to the wrong address".into(),
        evidence: vec![],
        aware_at: None,
    };
    let id = Uuid::now_v7();
    node.commands.execute::<SecurityIncident>(id, open, &officer).await.unwrap();
    let opened = node.commands.state::<SecurityIncident>(id).await.unwrap().state.opened_at;
    let hours = |hours: u64| opened + Duration::from_secs(3600 * hours);
    assert_eq!(node.armed("watch_incidents", 2).await, [hours(48), hours(72)]);
    let officer = Request::by(Actor::user(Uuid::from_u128(9), &["compliance"]));
    let told = SecurityIncidentCommand::NotifyAuthority {
        authority: "DPA".into(),
        reference: "17".into(),
        at: opened,
        reasons: None,
    };
    node.commands.execute::<SecurityIncident>(id, told, &officer).await.unwrap();
    node.armed("watch_incidents", 0).await;
}

#[tokio::test]
async fn gov_i2_a_log_that_fails_its_check_opens_an_incident() {
    let database = testing::database().await;
    let node = Node::start(&database).await;
    let open = AuditReplayCommand::OpenAuditReplay {
        purpose: Some(ReplayPurpose::SelfTest),
        scope: ReplayScope::default(),
        as_of: None,
        decrypt: false,
        reason: "The nightly check".into(),
    };
    let replay = Uuid::now_v7();
    let officer = Request::by(Actor::user(Uuid::from_u128(9), &["compliance"]));
    node.commands.execute::<AuditReplay>(replay, open, &officer).await.unwrap();
    for (ok, broken_at) in [(true, None), (false, Some(1))] {
        let check =
            AuditReplayCommand::RecordIntegrityCheck { from_position: 1, to_position: 1, ok, broken_at };
        let worker = Request::by(Actor::policy("check"));
        node.commands.execute::<AuditReplay>(replay, check, &worker).await.unwrap();
    }
    let names = node.until("SecurityIncidentOpened", 1).await;
    let expected = ["AuditReplayOpened", "IntegrityVerified", "IntegrityVerified", "SecurityIncidentOpened"];
    assert_eq!(names, expected);
}

/// Somebody is turned away from personal data.
async fn denied(node: &Node, actor: Option<Uuid>) {
    let denial = AccessLogCommand::LogDenial {
        actor,
        route: "/v1/people".into(),
        reason: "Forbidden".into(),
        ip: Stated("192.0.2.7".into()),
        user_agent: Stated("curl".into()),
    };
    let request = Request::by(Actor::policy("api"));
    let shard = access_log_id(Timestamp::now(), request.command_id.as_u128());
    node.commands.note::<AccessLog>(shard, denial, &request).await.unwrap();
}

/// Until the denials so far were looked at.
async fn watched(node: &Node) {
    let head = node.commands.store().head().await.unwrap().position as i64;
    let look = async {
        loop {
            let position =
                sqlx::query_scalar("SELECT position FROM annals.policies WHERE name = 'watch_denials'");
            let position: Option<i64> = position.fetch_optional(node.commands.store().pool()).await.unwrap();
            if position.is_some_and(|position| position >= head) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap();
}

#[tokio::test]
async fn gov_i2_denials_on_two_nodes_gather_once_each_and_open_one_incident() {
    let database = testing::database().await;
    let nodes = [Node::start(&database).await, Node::start(&database).await];
    for number in 0..19 {
        denied(&nodes[number % 2], Some(ADA)).await;
        denied(&nodes[number % 2], None).await;
    }
    watched(&nodes[0]).await;
    // Whoever delivers all of it again counts nothing twice. The lease is theirs who run the policies.
    drop(nodes);
    let mut connection = database.connect().await;
    for sql in [
        "SELECT pg_advisory_lock(x'414e4e414c530002'::bigint)",
        "UPDATE annals.policies SET position = 0 WHERE name = 'watch_denials'",
        "SELECT pg_advisory_unlock(x'414e4e414c530002'::bigint)",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    let node = Node::start(&database).await;
    watched(&node).await;
    let opened = async |node: &Node| {
        let events = node.commands.store().read_all(0, 1000).await.unwrap();
        events.iter().filter(|event| event.event_type == "SecurityIncidentOpened").count()
    };
    assert_eq!(opened(&node).await, 0, "strangers do not gather, and 19 are not 20");
    for _ in 0..3 {
        denied(&node, Some(ADA)).await;
    }
    node.until("SecurityIncidentOpened", 1).await;
    watched(&node).await;
    assert_eq!(opened(&node).await, 1);
    let kept: Vec<String> = sqlx::query_scalar("SELECT who FROM annals.signs")
        .fetch_all(node.commands.store().pool())
        .await
        .unwrap();
    assert_eq!(kept.len(), 22);
}
