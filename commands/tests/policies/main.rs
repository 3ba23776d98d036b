//! Policies against a real log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod budgeting;
mod opportunities;
#[path = "../ports/mod.rs"]
mod ports;

use std::{sync::Arc, time::Duration};

use commands::{
    Commands, NoAnswers,
    policies::{self, PolicyStatus, World, every_policy},
    ports::{Certifier, PortError},
};
use domain::budgeting::{BudgetMonth, RedistributionMode};
use event_store::{Append, NewEvent, StreamId, testing};
use tokio::sync::watch;
use uuid::Uuid;

/// No policy of these tests signs anything.
struct NoCertifier;

impl Certifier for NoCertifier {
    fn sign(&self, _: &serde_json::Value) -> Result<String, PortError> {
        Err(PortError { port: "certifier", reason: "there is none".into() })
    }
}

struct Node {
    commands: Commands,
    status: watch::Receiver<Vec<PolicyStatus>>,
    _stop: watch::Sender<bool>,
}

impl Node {
    async fn start(database: &testing::TestDatabase) -> Node {
        let store = database.store().await.unwrap();
        let commands = Commands::new(store, Arc::new(NoAnswers), 1000);
        let world = World::new(commands.clone(), ports::with(Arc::new(NoCertifier)));
        let (reached, status) = watch::channel(Vec::new());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(policies::run(every_policy(), world, reached, stopped));
        Node { commands, status, _stop: stop }
    }

    /// Until every policy has reacted to everything, what followed included.
    async fn settled(&mut self) {
        loop {
            let head = self.commands.store().head().await.unwrap().position;
            let reached =
                |all: &Vec<PolicyStatus>| !all.is_empty() && all.iter().all(|policy| policy.position >= head);
            tokio::time::timeout(Duration::from_secs(20), self.status.wait_for(reached))
                .await
                .unwrap()
                .unwrap();
            if self.commands.store().head().await.unwrap().position == head {
                return;
            }
        }
    }

    async fn names(&self) -> Vec<String> {
        let events = self.commands.store().read_all(0, 1000).await.unwrap();
        events.into_iter().map(|event| event.event_type.into_owned()).collect()
    }

    /// The last event of a type.
    async fn last(&self, event_type: &str) -> event_store::Recorded {
        let events = self.commands.store().read_all(0, 1000).await.unwrap();
        events.into_iter().rfind(|event| event.event_type == event_type).unwrap()
    }
}

#[tokio::test]
async fn two_nodes_react_to_each_event_once() {
    let database = testing::database().await;
    let mut one = Node::start(&database).await;
    let _two = Node::start(&database).await;
    budgeting::set_up(&one, RedistributionMode::Off).await;
    for day in 1..=20 {
        budgeting::spend(&one, Uuid::now_v7(), "groceries", 100, &format!("1993-05-{day:02}T12:00:00Z"))
            .await
            .unwrap();
    }
    // Whichever node holds the lease: the log tells when everything is booked.
    let applied = "SELECT count(*) FROM annals.events WHERE event_type = 'SpendApplied'";
    let mut news = one.commands.store().subscribe_head();
    while sqlx::query_scalar::<_, i64>(applied).fetch_one(one.commands.store().pool()).await.unwrap() < 20 {
        tokio::time::timeout(Duration::from_secs(20), news.changed()).await.unwrap().unwrap();
    }
    one.status.borrow_and_update();
    let (account, _) = budgeting::owner();
    let month = one
        .commands
        .state::<BudgetMonth>(BudgetMonth::id(account, "1993-05".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(month.version, 21, "one opening and twenty spends");
}

#[tokio::test]
async fn policies_of_another_log_do_not_run_and_say_so_until_they_are_of_this_one() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let foreign =
        "INSERT INTO annals.policies (name, position, incarnation) VALUES ('welcome_accounts', 0, $1)";
    sqlx::query(foreign).bind(Uuid::now_v7()).execute(store.pool()).await.unwrap();
    let mut node = Node::start(&database).await;
    let refuses = |all: &Vec<PolicyStatus>| !all.is_empty() && all.iter().all(|policy| policy.refuses);
    tokio::time::timeout(Duration::from_secs(20), node.status.wait_for(refuses)).await.unwrap().unwrap();
    let moved: i64 =
        sqlx::query_scalar("SELECT count(*) FROM annals.policies WHERE name <> 'welcome_accounts'")
            .fetch_one(store.pool())
            .await
            .unwrap();
    assert_eq!(moved, 0, "none was begun");
    sqlx::query("DELETE FROM annals.policies").execute(store.pool()).await.unwrap();
    let runs = |all: &Vec<PolicyStatus>| !all.is_empty() && all.iter().all(|policy| !policy.refuses);
    tokio::time::timeout(Duration::from_secs(20), node.status.wait_for(runs)).await.unwrap().unwrap();
}

#[tokio::test]
async fn idn_c3_a_key_from_before_keys_were_reviewed_is_reviewed_without_being_rotated() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let client = Uuid::now_v7();
    let used = NewEvent {
        stream: StreamId::new("identity.api_client", client.to_string()),
        event_id: Uuid::now_v7(),
        event_type: "ApiKeyFoundInUse".into(),
        event_version: "1".into(),
        payload: format!("{{\"ApiKeyFoundInUse\":{{\"last_used\":\"{}\"}}}}", jiff::Timestamp::now()),
        personal: Vec::new(),
        metadata: format!(
            "{{\"actor\":\"policy:test\",\"occurred_at\":\"2026-01-01T00:00:00Z\",\"correlation_id\":\"{client}\"}}"
        ),
    };
    let append = Append {
        command_id: Uuid::now_v7(),
        fingerprint: None,
        conditions: Vec::new(),
        events: vec![used],
        claims: Vec::new(),
    };
    let recorded = store.append(append).await.unwrap().position;
    // Policies have run on this log before, and have seen all of it.
    let seen = "INSERT INTO annals.policies SELECT 'review_api_keys', $1, incarnation FROM annals.head";
    sqlx::query(seen).bind(i64::try_from(recorded).unwrap()).execute(store.pool()).await.unwrap();
    let mut node = Node::start(&database).await;
    node.settled().await;
    let standing =
        "SELECT count(*) FROM annals.timers WHERE policy = 'review_api_keys' AND aggregate_id = $1";
    let standing: i64 = sqlx::query_scalar(standing).bind(client).fetch_one(store.pool()).await.unwrap();
    assert_eq!(standing, 1);
}
