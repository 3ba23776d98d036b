//! P-32: what is found of how people spend, when a month closes.

use commands::Request;
use domain::{
    Actor, BasisPoints, Money,
    budgeting::{
        BudgetMonth, BudgetMonthCommand, BudgetProfile, BudgetProfileCommand, COHORT_ENGINE, PATTERN_ENGINE,
        RedistributionMode, SeenSpend, Transaction, TransactionCommand, TransactionKind, TransactionSource,
        YearMonth,
    },
    derived_id,
    governance::{ConsentLedger, ConsentLedgerCommand, ConsentPurpose},
};
use jiff::civil::date;
use serde_json::Value;
use uuid::Uuid;

use crate::node::{TestNode, node};

fn owner(number: u32) -> Uuid {
    Uuid::from_u128(0xB0_0000 + u128::from(number))
}

fn by(account: Uuid) -> Request {
    Request::by(Actor::user(account, &["budget_user"]))
}

fn may() -> YearMonth {
    "1993-05".parse().unwrap()
}

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

async fn set_up(node: &TestNode, account: Uuid) {
    let setup = BudgetProfileCommand::SetUpBudget {
        currency: "USD".parse().unwrap(),
        tz: "UTC".into(),
        country: "US".into(),
        income: usd(300_000).into(),
        needs: BasisPoints(5000),
        wants: BasisPoints(3000),
        savings: BasisPoints(2000),
        mode: RedistributionMode::Off,
    };
    node.node.api.commands.execute::<BudgetProfile>(account, setup, &by(account)).await.unwrap();
}

async fn consent(node: &TestNode, account: Uuid) {
    let grant = ConsentLedgerCommand::GrantConsent {
        purpose: ConsentPurpose::Analytics,
        text_version: "1".into(),
        text_hash: "0".repeat(64),
        until: None,
    };
    node.node.api.commands.execute::<ConsentLedger>(account, grant, &by(account)).await.unwrap();
}

/// May 1993 with one purchase, whose amount differs between people, closed by its owner.
async fn may_of(node: &TestNode, number: u32) {
    let account = owner(number);
    let commands = &node.node.api.commands;
    let id = BudgetMonth::id(account, may());
    let open = BudgetMonthCommand::OpenBudgetMonth { account, month: may() };
    // Where a transaction came first it is open already.
    let _ = commands.execute::<BudgetMonth>(id, open, &by(account)).await;
    let spend = BudgetMonthCommand::ApplySpend {
        transaction: derived_id(&["purchase", &account.to_string()]),
        category: "dining".into(),
        date: date(1993, 5, 3),
        amount: usd(100 + 500 * i64::from(number % 5)).into(),
    };
    let system = Request::by(Actor::policy("book_spending"));
    commands.execute::<BudgetMonth>(id, spend, &system).await.unwrap();
    let close = BudgetMonthCommand::CloseBudgetMonth {};
    commands.execute::<BudgetMonth>(id, close, &by(account)).await.unwrap();
}

/// What follows a closed month, as far as it is recorded: the metadata and payload of these events.
async fn recorded(node: &TestNode, event_type: &str) -> Vec<(Uuid, Value, Value)> {
    let events = node.node.api.commands.store().read_all(0, 5000).await.unwrap();
    let of_type = events.into_iter().filter(|event| event.event_type == event_type);
    let parts = of_type.map(|event| {
        let payload: Value = serde_json::from_str(&event.payload).unwrap();
        let metadata = serde_json::from_str(&event.metadata).unwrap();
        (event.stream.aggregate_id.parse().unwrap(), metadata, payload[event_type].clone())
    });
    parts.collect()
}

async fn until(node: &TestNode, event_type: &str, count: usize) {
    let mut news = node.node.api.commands.store().subscribe_head();
    let waiting = async {
        while recorded(node, event_type).await.len() < count {
            news.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.expect("it is recorded");
}

#[actix_web::test]
async fn p_32_from_fifty_consenting_owners_on_a_closed_month_is_given_a_cohort() {
    let node = node().await;
    let reticent = 0;
    for number in 0..=51 {
        set_up(&node, owner(number)).await;
        if number != reticent {
            consent(&node, owner(number)).await;
        }
    }
    for number in 0..50 {
        may_of(&node, number).await;
    }
    until(&node, "SpendingPatternsRecorded", 49).await;
    assert!(recorded(&node, "CohortAssigned").await.is_empty(), "49 consent, and that is too few");
    may_of(&node, 50).await;
    until(&node, "CohortAssigned", 1).await;
    may_of(&node, 51).await;
    until(&node, "CohortAssigned", 2).await;

    let assigned = recorded(&node, "CohortAssigned").await;
    let people: Vec<Uuid> = assigned.iter().map(|(account, ..)| *account).collect();
    assert_eq!(people, [owner(50), owner(51)]);
    let closed = recorded(&node, "BudgetMonthClosed").await.len();
    assert_eq!(closed, 52);
    let (_, metadata, first) = &assigned[0];
    assert_eq!(metadata["transformation"], COHORT_ENGINE);
    let month = BudgetMonth::id(owner(50), may());
    let sources: Vec<&str> = metadata["derived_from"].as_str().unwrap().split(' ').collect();
    let trained_at = metadata["causation_id"].as_str().unwrap();
    assert_eq!(sources, [format!("budgeting.budget_month:{month}@3"), format!("event:{trained_at}")]);
    let model = derived_id(&["behaviour_clusters", trained_at]).to_string();
    assert_eq!(
        (&first["model"], &assigned[1].2["model"]),
        (&model.clone().into(), &model.into()),
        "it serves for an hour"
    );

    for (event, engine) in [("SpendingPatternsRecorded", PATTERN_ENGINE), ("CohortAssigned", COHORT_ENGINE)] {
        let all = recorded(&node, event).await;
        assert!(all.iter().all(|(account, ..)| *account != owner(reticent)), "{event}: who does not consent");
        assert!(all.iter().all(|(_, metadata, _)| metadata["transformation"] == engine));
    }
}

#[actix_web::test]
async fn p_32_habits_are_looked_for_in_what_an_owner_spent_and_not_in_what_was_voided_or_saved() {
    let node = node().await;
    let (account, commands) = (owner(1), &node.node.api.commands);
    set_up(&node, account).await;
    let record = |kind, minor, day: &str| TransactionCommand::RecordTransaction {
        account,
        kind,
        amount: usd(minor).into(),
        spent_at: format!("{day}T12:00:00Z").parse().unwrap(),
        merchant: Some("Netflix".to_owned().into()),
        note: None,
        category: Some("subscriptions".into()),
        source: TransactionSource::Manual,
        external_ref: None,
        receipt: None,
        goal: None,
        installment: None,
        rate_e9: None,
        rate_date: None,
        rate_source: None,
    };
    let spends = [
        (1, TransactionKind::Expense, 1599, "1993-04-03"),
        (2, TransactionKind::Expense, 1599, "1993-05-03"),
        (3, TransactionKind::GoalContribution, 5000, "1993-05-04"),
        (4, TransactionKind::Expense, 9000, "1993-05-05"),
        (5, TransactionKind::Expense, 1, "1993-06-01"),
    ];
    let mut last = 0;
    for (number, kind, minor, day) in spends {
        let command = record(kind, minor, day);
        let id = Uuid::from_u128(number);
        last = commands.execute::<Transaction>(id, command, &by(account)).await.unwrap().position;
    }
    let void = TransactionCommand::VoidTransaction { reason: "twice".to_owned().into() };
    last = last
        .max(commands.execute::<Transaction>(Uuid::from_u128(4), void, &by(account)).await.unwrap().position);
    let seen = |date| SeenSpend {
        date,
        category: "subscriptions".into(),
        merchant: Some("netflix".into()),
        minor: 1599,
    };
    let read = &node.node.api.projections;
    assert!(read.wait_for("transactions", last, std::time::Duration::from_secs(30)).await.unwrap());
    let mut found = read.spending(account, date(1993, 2, 1), date(1993, 5, 31)).await.unwrap();
    found.sort_by_key(|spend| spend.date);
    assert_eq!(found, [seen(date(1993, 4, 3)), seen(date(1993, 5, 3))]);
}
