//! The budget's read models in their tables: sealed, found by owner and month, and asked by the domain.

use domain::{
    Actor, BasisPoints, Decider, Money, Personal,
    budgeting::{
        BudgetMonth, BudgetMonthEvent, CategoryClass, ClassAmounts, MonthCategory, OpeningAmounts, Pacing,
        RedistributedAmounts, RedistributionCause, RedistributionMode, Split, Transaction, TransactionEvent,
        TransactionKind, TransactionSource, Transfer, YearMonth,
    },
    class::Financial,
};
use event_store::{Append, AsOf, Position, StreamId};
use jiff::civil::{Date, date};
use projections::{
    Condition, Op, Query,
    budgeting::{Seen, shown_days},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::*;

const ADA: Uuid = Uuid::from_u128(0xADA);
const BOB: Uuid = Uuid::from_u128(0xB0B);

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

fn of<T>(owner: Uuid, value: T) -> Personal<T, Financial> {
    Personal::about(owner, value)
}

pub(crate) fn month() -> YearMonth {
    "2026-02".parse().unwrap()
}

/// A month with one category, 28.00 for its 28 days.
fn opened(account: Uuid) -> BudgetMonthEvent {
    let dining = MonthCategory {
        key: "dining".into(),
        class: CategoryClass::Wants,
        level: 3,
        essential: false,
        pacing: Pacing::Even,
        fixed_day: None,
        alert: None,
    };
    let amounts = OpeningAmounts {
        income: usd(2800),
        classes: ClassAmounts { needs: 0, wants: 2800, savings: 0 },
        envelopes: [("dining".to_owned(), 2800)].into(),
        plans: [("dining".to_owned(), vec![100; 28])].into(),
    };
    BudgetMonthEvent::BudgetMonthOpened {
        account,
        month: month(),
        tz: "UTC".into(),
        currency: usd(0).ccy,
        mode: RedistributionMode::Off,
        after_end: false,
        split: Split::default(),
        categories: vec![dining],
        amounts: of(account, amounts),
    }
}

/// The same with a second category, which then gives something to the first: who gave is sealed.
pub(crate) fn redistributed(account: Uuid) -> [BudgetMonthEvent; 2] {
    let mut opened = opened(account);
    if let BudgetMonthEvent::BudgetMonthOpened { categories, amounts, .. } = &mut opened {
        categories.push(MonthCategory { key: "books".into(), ..categories[0].clone() });
        *amounts = std::mem::replace(amounts, Personal::Erased).map(|mut amounts| {
            amounts.envelopes.insert("books".into(), 2800);
            amounts.plans.insert("books".into(), vec![100; 28]);
            amounts
        });
    }
    let amounts = RedistributedAmounts {
        needed: usd(50),
        covered: usd(50),
        uncovered: usd(0),
        transfers: vec![Transfer { category: "books".into(), amount: usd(50) }],
        plans: [("books".to_owned(), [(28, 50)].into())].into(),
    };
    let redistributed = BudgetMonthEvent::BudgetRedistributed {
        redistribution: Uuid::from_u128(0x4ED),
        category: "dining".into(),
        date: date(2026, 2, 3),
        cause: RedistributionCause::Automatic,
        transaction: None,
        days_left: 25,
        amounts: of(account, amounts),
    };
    [opened, redistributed]
}

fn spent(account: Uuid, minor: i64) -> BudgetMonthEvent {
    BudgetMonthEvent::SpendApplied {
        transaction: Uuid::from_u128(minor.unsigned_abs().into()),
        category: "dining".into(),
        date: date(2026, 2, 3),
        amount: of(account, usd(minor)),
        after_close: false,
    }
}

fn recorded(account: Uuid, minor: i64, day: Date) -> TransactionEvent {
    TransactionEvent::TransactionRecorded {
        account,
        kind: TransactionKind::Expense,
        amount: of(account, usd(minor)),
        booked: of(account, usd(minor)),
        spent_at: "2026-02-03T12:00:00Z".parse().unwrap(),
        local_date: day,
        merchant: Some(of(account, "Bistro 12".into())),
        merchant_normalized: Some(of(account, "bistro".into())),
        note: None,
        category: "dining".into(),
        confidence: BasisPoints(8500),
        engine: "keywords@1".into(),
        source: TransactionSource::Manual,
        external_ref: None,
        receipt: None,
        goal: None,
        installment: None,
        rate_e9: None,
        rate_date: None,
        rate_source: None,
        possible_duplicate_of: None,
    }
}

fn voided(account: Uuid, day: Date) -> TransactionEvent {
    TransactionEvent::TransactionVoided {
        account,
        kind: TransactionKind::Expense,
        reason: of(account, "twice".into()),
        booked: of(account, usd(1250)),
        category: "dining".into(),
        local_date: day,
    }
}

fn taught(account: Uuid, category: &str) -> TransactionEvent {
    TransactionEvent::TransactionRecategorized {
        account,
        kind: TransactionKind::Expense,
        category: category.into(),
        learn: true,
        from: "dining".into(),
        booked: of(account, usd(1250)),
        merchant_normalized: Some(of(account, "bistro".into())),
        local_date: date(2026, 2, 3),
    }
}

impl World {
    async fn tell<D: Decider>(&self, id: Uuid, event: D::Event) -> Position {
        let events = vec![new_event::<D>(StreamId::new(D::TYPE, id.to_string()), &event)];
        let command_id = Uuid::now_v7();
        let append =
            Append { command_id, fingerprint: None, conditions: Vec::new(), events, claims: Vec::new() };
        self.store.append(append).await.unwrap().position
    }

    async fn month_of(&self, name: &str, owner: Uuid, as_of: Option<Position>) -> Vec<Value> {
        let budget_month = BudgetMonth::id(owner, month()).to_string();
        let condition = Condition { column: "budget_month".into(), op: Op::In, values: vec![budget_month] };
        let query = Query { filters: vec![condition], as_of: as_of.map(AsOf::Position), ..Query::default() };
        let owner = Actor::user(owner, &["budget_user"]);
        self.projections.list(name, &owner, &query).await.unwrap().rows
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_reads_the_days_and_envelopes_of_a_month_as_they_are_and_as_they_were() {
    let world = World::new().await;
    let (ada, bob) = (BudgetMonth::id(ADA, month()), BudgetMonth::id(BOB, month()));
    world.tell::<BudgetMonth>(ada, opened(ADA)).await;
    world.tell::<BudgetMonth>(bob, opened(BOB)).await;
    let before = world.tell::<BudgetMonth>(ada, spent(ADA, 90)).await;
    let last = world.tell::<BudgetMonth>(ada, spent(ADA, 11)).await;
    world.projections.start();
    world.visible("budget_calendar", last).await;
    world.visible("envelopes", last).await;
    for (as_of, spent, status) in [(None, 101, "red"), (Some(before), 90, "green"), (Some(1), 0, "green")] {
        let rows = world.month_of("budget_calendar", ADA, as_of).await;
        assert_eq!(rows.len(), 1, "one category, and nobody else's");
        let days = shown_days(&rows);
        assert_eq!(
            (days.len(), days[2].planned, days[2].spent),
            (28, Seen::Known(usd(100)), Seen::Known(usd(spent)))
        );
        assert_eq!(serde_json::to_value(days[2].status).unwrap(), status);
        let rows = world.month_of("envelopes", ADA, as_of).await;
        assert_eq!(rows[0]["remaining"], json!({ "minor": 2800 - spent, "ccy": "USD" }));
    }
    assert!(world.month_of("envelopes", Uuid::from_u128(0xE7E), None).await.is_empty());
    let stored = "SELECT personal::text FROM budget_calendar_v1_g1.budget_calendar WHERE budget_month = $1";
    let stored: String = sqlx::query_scalar(stored).bind(ada).fetch_one(world.store.pool()).await.unwrap();
    let places = json!({ "planned": { "$personal": [0, 0] }, "spent": { "$personal": [0, 1] } });
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), places, "no amount lies in the clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_domain_is_told_what_an_owner_taught_and_what_a_transaction_may_repeat() {
    let world = World::new().await;
    let (first, second, day) = (Uuid::from_u128(1), Uuid::from_u128(2), date(2026, 2, 3));
    world.tell::<Transaction>(first, recorded(ADA, 1250, day)).await;
    world.tell::<Transaction>(second, recorded(ADA, 990, day)).await;
    world.tell::<Transaction>(second, voided(ADA, day)).await;
    world.tell::<Transaction>(first, taught(ADA, "groceries")).await;
    let last = world.tell::<Transaction>(first, taught(ADA, "restaurants")).await;
    world.projections.start();
    world.visible("transactions", last).await;
    world.visible("merchant_rules", last).await;
    let projections = &world.projections;
    assert_eq!(projections.learned_category(ADA, "bistro").await.unwrap().as_deref(), Some("restaurants"));
    assert_eq!(projections.learned_category(ADA, "lidl").await.unwrap(), None);
    assert_eq!(projections.learned_category(BOB, "bistro").await.unwrap(), None);
    let repeats = async |owner, merchant, minor, day| {
        projections.possible_duplicate(owner, merchant, usd(minor), day).await.unwrap()
    };
    assert_eq!(repeats(ADA, "bistro", 1250, day).await, Some(first));
    for (owner, merchant, minor, day) in [
        (BOB, "bistro", 1250, day),
        (ADA, "lidl", 1250, day),
        (ADA, "bistro", 1251, day),
        (ADA, "bistro", 1250, date(2026, 2, 4)),
        // What was voided repeats nothing.
        (ADA, "bistro", 990, day),
    ] {
        assert_eq!(repeats(owner, merchant, minor, day).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_the_rows_of_a_budget_are_what_the_log_gives() {
    let world = World::new().await;
    let month = BudgetMonth::id(ADA, month());
    let events = redistributed(ADA).into_iter().chain([spent(ADA, 90)]);
    for event in events {
        world.tell::<BudgetMonth>(month, event).await;
    }
    let (transaction, day) = (Uuid::from_u128(1), date(2026, 2, 3));
    world.tell::<Transaction>(transaction, recorded(ADA, 1250, day)).await;
    let last = world.tell::<Transaction>(transaction, taught(ADA, "groceries")).await;
    world.projections.start();
    for model in ["budget_calendar", "envelopes", "redistributions", "transactions", "merchant_rules"] {
        world.visible(model, last).await;
    }
    let differing = async || {
        let compared = world.projections.compare_with_log(&[]).await.unwrap();
        let differing = compared.into_iter().filter(|one| !one.difference.is_none());
        differing.map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(differing().await, [""; 0]);
    let (all, erasure) = (event_store::Classes::All, event_store::Basis::Erasure);
    world.store.keyring().shred(ADA, all, erasure).await.unwrap();
    assert_eq!(differing().await, [""; 0], "it is known which rows are to be rebuilt");
    world.projections.rebuild_after_shreds().await.unwrap();
    assert_eq!(differing().await, [""; 0], "the read models have caught up with the erasure");
}
