//! Policies against a real log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ports;

use std::{sync::Arc, time::Duration};

use commands::{
    CommandError, Commands, NoAnswers, Request,
    policies::{self, PolicyStatus, World, every_policy},
    ports::{Certifier, PortError},
};
use domain::{
    Actor, BasisPoints, Money,
    budgeting::{
        BudgetMonth, BudgetProfile, BudgetProfileCommand, RedistributionMode, Transaction,
        TransactionCommand, TransactionKind, TransactionSource,
    },
};
use event_store::testing;
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
}

fn owner() -> (Uuid, Request) {
    let account = Uuid::from_u128(0xACC);
    (account, Request::by(Actor::user(account, &["budget_user"])))
}

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

async fn set_up(node: &Node, mode: RedistributionMode) {
    let (account, request) = owner();
    let command = BudgetProfileCommand::SetUpBudget {
        currency: "USD".parse().unwrap(),
        tz: "Europe/Prague".into(),
        country: "CZ".into(),
        income: usd(300_000).into(),
        needs: BasisPoints(5000),
        wants: BasisPoints(3000),
        savings: BasisPoints(2000),
        mode,
    };
    node.commands.execute::<BudgetProfile>(account, command, &request).await.unwrap();
}

async fn spend(node: &Node, id: Uuid, category: &str, minor: i64, on: &str) -> Result<(), CommandError> {
    let (account, request) = owner();
    let command = TransactionCommand::RecordTransaction {
        account,
        kind: TransactionKind::Expense,
        amount: usd(minor).into(),
        spent_at: on.parse().unwrap(),
        merchant: None,
        note: None,
        category: Some(category.into()),
        source: TransactionSource::Import,
        external_ref: Some(id.to_string()),
        receipt: None,
        goal: None,
        installment: None,
        rate_e9: None,
        rate_date: None,
        rate_source: None,
    };
    node.commands.execute::<Transaction>(id, command, &request).await.map(drop)
}

#[tokio::test]
async fn an_overspend_of_a_past_month_opens_the_month_and_moves_money_in_one_decision() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Auto).await;
    spend(&node, Uuid::now_v7(), "dining", 5_000, "1993-05-03T12:00:00Z").await.unwrap();
    node.settled().await;
    let names = node.names().await;
    let tail: Vec<&str> = names[names.len() - 4..].iter().map(String::as_str).collect();
    assert_eq!(tail, ["BudgetMonthOpened", "SpendApplied", "OverspendDetected", "BudgetRedistributed"]);
}

#[tokio::test]
async fn setting_a_budget_up_opens_the_current_month_and_arms_its_timers() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Off).await;
    node.settled().await;
    assert_eq!(node.names().await, ["BudgetSetUp", "BudgetMonthOpened"]);
    let armed: i64 = sqlx::query_scalar("SELECT count(*) FROM annals.timers WHERE policy = 'keep_months'")
        .fetch_one(node.commands.store().pool())
        .await
        .unwrap();
    assert_eq!(armed, 2);
}

#[tokio::test]
async fn in_mode_propose_an_overspend_is_answered_with_a_proposal() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Propose).await;
    spend(&node, Uuid::now_v7(), "dining", 5_000, "1993-05-03T12:00:00Z").await.unwrap();
    node.settled().await;
    assert_eq!(node.names().await.last().unwrap(), "RedistributionProposed");
}

#[tokio::test]
async fn two_nodes_react_to_each_event_once() {
    let database = testing::database().await;
    let mut one = Node::start(&database).await;
    let _two = Node::start(&database).await;
    set_up(&one, RedistributionMode::Off).await;
    for day in 1..=20 {
        spend(&one, Uuid::now_v7(), "groceries", 100, &format!("1993-05-{day:02}T12:00:00Z")).await.unwrap();
    }
    // Whichever node holds the lease: the log tells when everything is booked.
    let applied = "SELECT count(*) FROM annals.events WHERE event_type = 'SpendApplied'";
    let mut news = one.commands.store().subscribe_head();
    while sqlx::query_scalar::<_, i64>(applied).fetch_one(one.commands.store().pool()).await.unwrap() < 20 {
        tokio::time::timeout(Duration::from_secs(20), news.changed()).await.unwrap().unwrap();
    }
    one.status.borrow_and_update();
    let (account, _) = owner();
    let month = one
        .commands
        .state::<BudgetMonth>(BudgetMonth::id(account, "1993-05".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(month.version, 21, "one opening and twenty spends");
}
