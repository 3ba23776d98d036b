//! What follows from budgets (catalogue 3.4).

use std::{sync::Arc, time::Duration};

use commands::{CommandError, Commands, NoAnswers, Request};
use domain::{
    Actor, BasisPoints, Money, RecordClass,
    budgeting::{
        BudgetMonth, BudgetMonthCommand, BudgetProfile, BudgetProfileCommand, RedistributionMode,
        Transaction, TransactionCommand, TransactionKind, TransactionSource, YearMonth,
    },
    derived_id,
    governance::{ConsentLedger, ConsentLedgerCommand},
    identity::{Profile, ProfileCommand},
};
use event_store::testing;
use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use crate::Node;

pub(crate) fn owner() -> (Uuid, Request) {
    let account = Uuid::from_u128(0xACC);
    (account, Request::by(Actor::user(account, &["budget_user"])))
}

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

pub(crate) async fn set_up(node: &Node, mode: RedistributionMode) {
    let (account, request) = owner();
    node.commands.execute::<BudgetProfile>(account, setup(mode), &request).await.unwrap();
}

fn setup(mode: RedistributionMode) -> BudgetProfileCommand {
    BudgetProfileCommand::SetUpBudget {
        currency: "USD".parse().unwrap(),
        tz: "Europe/Prague".into(),
        country: "CZ".into(),
        income: usd(300_000).into(),
        needs: BasisPoints(5000),
        wants: BasisPoints(3000),
        savings: BasisPoints(2000),
        mode,
    }
}

pub(crate) async fn spend(
    node: &Node,
    id: Uuid,
    category: &str,
    minor: i64,
    on: &str,
) -> Result<(), CommandError> {
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
        external_ref: None,
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
async fn p_24_an_overspend_of_a_past_month_opens_the_month_and_moves_money_in_one_decision() {
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
async fn p_23_setting_a_budget_up_opens_the_current_month_and_arms_its_timers() {
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
async fn p_25_in_mode_propose_an_overspend_is_answered_with_a_proposal() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Propose).await;
    spend(&node, Uuid::now_v7(), "dining", 5_000, "1993-05-03T12:00:00Z").await.unwrap();
    node.settled().await;
    assert_eq!(node.names().await.last().unwrap(), "RedistributionProposed");
}

/// When the timers of the policy are due that are about one month.
async fn due(node: &Node, what: &str, month: YearMonth) -> Timestamp {
    let (account, _) = owner();
    let month = BudgetMonth::id(account, month);
    let id = derived_id(&["timer", "keep_months", what, &month.to_string()]);
    let micros: i64 = sqlx::query_scalar(
        "SELECT (extract(epoch FROM due_at) * 1000000)::bigint FROM annals.timers WHERE id = $1",
    )
    .bind(id)
    .fetch_one(node.commands.store().pool())
    .await
    .unwrap();
    Timestamp::from_microsecond(micros).unwrap()
}

/// The present month of the owner and those before it, the latest first.
fn months() -> [YearMonth; 4] {
    let zone = TimeZone::get("Europe/Prague").unwrap();
    let present = YearMonth::at(Timestamp::now(), &zone).unwrap();
    let before = |month: YearMonth| month.previous().unwrap();
    [present, before(present), before(before(present)), before(before(before(present)))]
}

/// What somebody does on the second day of a month, at noon in UTC.
fn early_in(month: YearMonth, actor: Actor) -> Request {
    let noon = month.day(2).unwrap().at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap();
    Request { occurred_at: Some(noon.timestamp()), ..Request::by(actor) }
}

/// Waits until months are in a state; says which those are that came after their end.
async fn kept(node: &Node, open: &[YearMonth], closed: &[YearMonth]) -> Vec<YearMonth> {
    let (account, _) = owner();
    let mut news = node.commands.store().subscribe_head();
    loop {
        let (mut fit, mut late) = (true, Vec::new());
        for month in open.iter().chain(closed) {
            let known = node.commands.state::<BudgetMonth>(BudgetMonth::id(account, *month)).await.unwrap();
            fit &= known.exists() && (open.contains(month) || known.state.closed);
            late.extend(known.state.after_end.then_some(*month));
        }
        if fit {
            return late;
        }
        tokio::time::timeout(Duration::from_secs(20), news.changed()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn p_23_after_an_outage_of_whole_months_each_is_opened_and_stays_so_for_days_and_months_go_on() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    let [present, last, missed, first] = months();
    let (account, request) = owner();
    // Nobody was there from the setting up to this day.
    let request = early_in(first, request.actor);
    let mode = RedistributionMode::Off;
    node.commands.execute::<BudgetProfile>(account, setup(mode), &request).await.unwrap();
    let begun = Timestamp::now();
    let late = kept(&node, &[present, last, missed], &[first]).await;
    assert_eq!(late, [last, missed]);
    node.settled().await;
    let next = present.next().unwrap();
    let midnight = next.first_day().to_zoned(TimeZone::get("Europe/Prague").unwrap()).unwrap();
    assert_eq!(due(&node, "open", next).await, midnight.timestamp());
    let closes = due(&node, "close", missed).await;
    assert!(closes.duration_since(begun) > jiff::SignedDuration::from_hours(71), "{closes}");
}

#[tokio::test]
async fn p_23_months_go_on_though_a_transaction_opened_the_missed_one_before_the_clock_did() {
    let database = testing::database().await;
    let [present, last, first, _] = months();
    let (account, request) = owner();
    let before = Commands::new(database.store().await.unwrap(), Arc::new(NoAnswers), 1000);
    let mode = RedistributionMode::Off;
    let request = early_in(first, request.actor);
    before.execute::<BudgetProfile>(account, setup(mode), &request).await.unwrap();
    let open = |month| BudgetMonthCommand::OpenBudgetMonth { account, month };
    let clock = early_in(first, Actor::policy("keep_months"));
    before.execute::<BudgetMonth>(BudgetMonth::id(account, first), open(first), &clock).await.unwrap();
    let booking = Request::by(Actor::policy("book_spending"));
    before.execute::<BudgetMonth>(BudgetMonth::id(account, last), open(last), &booking).await.unwrap();
    let node = Node::start(&database).await;
    assert_eq!(kept(&node, &[present, last], &[first]).await, [last]);
}

#[tokio::test]
async fn p_23_a_month_that_its_owner_opens_after_its_end_is_history_and_no_clock_closes_it() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Off).await;
    let (account, request) = owner();
    let month: YearMonth = "1993-05".parse().unwrap();
    let open = BudgetMonthCommand::OpenBudgetMonth { account, month };
    node.commands.execute::<BudgetMonth>(BudgetMonth::id(account, month), open, &request).await.unwrap();
    node.settled().await;
    assert_eq!(node.names().await, ["BudgetSetUp", "BudgetMonthOpened", "BudgetMonthOpened"]);
    let armed: i64 = sqlx::query_scalar("SELECT count(*) FROM annals.timers WHERE policy = 'keep_months'")
        .fetch_one(node.commands.store().pool())
        .await
        .unwrap();
    assert_eq!(armed, 2, "those of the present month");
}

#[tokio::test]
async fn p_23_whoever_moves_to_another_time_zone_takes_the_timers_of_their_months_along() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Off).await;
    node.settled().await;
    let (account, request) = owner();
    let zone = |name: &str| TimeZone::get(name).unwrap();
    let present = YearMonth::at(Timestamp::now(), &zone("Europe/Prague")).unwrap();
    let next = present.next().unwrap();
    let midnight = |day: jiff::civil::Date, tz: &str| day.to_zoned(zone(tz)).unwrap().timestamp();
    let (opens, closes) = (next.first_day(), next.day(4).unwrap());
    assert_eq!(due(&node, "open", next).await, midnight(opens, "Europe/Prague"));
    let prefer = ProfileCommand::SetPreferences {
        locale: "en".into(),
        currency: "USD".parse().unwrap(),
        tz: "Pacific/Honolulu".into(),
        theme: None,
        accessibility: None,
    };
    node.commands.execute::<Profile>(account, prefer, &request).await.unwrap();
    node.settled().await;
    assert_eq!(node.names().await.last().unwrap(), "BudgetTimeZoneChanged");
    assert_eq!(due(&node, "open", next).await, midnight(opens, "Pacific/Honolulu"));
    assert_eq!(due(&node, "close", present).await, midnight(closes, "Pacific/Honolulu"));
}

#[tokio::test]
async fn p_23_preferences_of_somebody_without_a_budget_move_nothing() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    let (account, request) = owner();
    let prefer = ProfileCommand::SetPreferences {
        locale: "en".into(),
        currency: "USD".parse().unwrap(),
        tz: "Pacific/Honolulu".into(),
        theme: None,
        accessibility: None,
    };
    node.commands.execute::<Profile>(account, prefer, &request).await.unwrap();
    node.settled().await;
    assert_eq!(node.names().await, ["ProfileCreated", "PreferencesChanged"]);
}

#[tokio::test]
async fn gov_p5_nothing_is_computed_about_somebody_who_has_it_restricted() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Propose).await;
    let restrict = ConsentLedgerCommand::RestrictProcessing {
        request: Uuid::from_u128(0x9E),
        purposes: vec![],
        classes: vec![RecordClass::Financial],
        objection: false,
    };
    let system = Request::by(Actor::policy("stop_processing"));
    node.commands.execute::<ConsentLedger>(owner().0, restrict, &system).await.unwrap();
    spend(&node, Uuid::now_v7(), "dining", 5_000, "1993-05-03T12:00:00Z").await.unwrap();
    node.settled().await;
    assert_eq!(
        node.names().await.last().unwrap(),
        "OverspendDetected",
        "it is booked, and nothing is proposed"
    );
}

/// What the owner was told, in order: the types.
async fn told(node: &Node) -> Vec<String> {
    let events = node.commands.store().read_all(0, 1000).await.unwrap();
    let asked = events.iter().filter(|event| event.event_type == "NotificationRequested");
    let told = asked.map(|event| {
        let payload: serde_json::Value = serde_json::from_str(&event.payload).unwrap();
        let fields = &payload["NotificationRequested"];
        assert_eq!(fields["recipient"], owner().0.to_string());
        fields["type"].as_str().unwrap().to_owned()
    });
    told.collect()
}

fn today() -> String {
    Timestamp::now().to_string()
}

#[tokio::test]
async fn p_25_in_mode_off_the_owner_is_told_of_an_overspend() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Off).await;
    spend(&node, Uuid::now_v7(), "dining", 50_000, &today()).await.unwrap();
    node.settled().await;
    assert!(told(&node).await.contains(&"overspend".to_owned()));
    assert!(node.names().await.contains(&"NotificationRouted".to_owned()), "it is there at once");
}

#[tokio::test]
async fn p_25_where_nobody_has_anything_to_give_there_is_no_proposal_and_the_owner_is_told() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Propose).await;
    let donors = [
        "clothing",
        "personal_care",
        "home_goods",
        "restaurants",
        "entertainment",
        "hobbies",
        "shopping",
        "subscriptions",
        "travel",
    ];
    for category in donors {
        spend(&node, Uuid::now_v7(), category, 400_000, &today()).await.unwrap();
    }
    spend(&node, Uuid::now_v7(), "dining", 400_000, &today()).await.unwrap();
    node.settled().await;
    let told = told(&node).await;
    assert_eq!(told.last().unwrap(), "overspend", "{told:?}");
}

#[tokio::test]
async fn p_26_and_p_27_the_owner_is_told_that_money_moved_and_that_it_went_back() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Auto).await;
    let (id, request) = (Uuid::now_v7(), owner().1);
    spend(&node, id, "dining", 9_000, &today()).await.unwrap();
    node.settled().await;
    let told_once = told(&node).await;
    assert_eq!(told_once.iter().filter(|told| *told == "budget_adjusted").count(), 1, "{told_once:?}");
    let void = TransactionCommand::VoidTransaction { reason: "a mistake".to_owned().into() };
    node.commands.execute::<Transaction>(id, void, &request).await.unwrap();
    node.settled().await;
    let told_twice = told(&node).await;
    assert_eq!(told_twice.iter().filter(|told| *told == "budget_adjusted").count(), 2, "{told_twice:?}");
}

#[tokio::test]
async fn nobody_is_told_of_history_that_is_imported() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    set_up(&node, RedistributionMode::Auto).await;
    spend(&node, Uuid::now_v7(), "dining", 5_000, "1993-05-03T12:00:00Z").await.unwrap();
    node.settled().await;
    assert_eq!(told(&node).await, [""; 0]);
    // It is about this month, and was said long ago.
    let (account, by) = owner();
    let long_ago = Request { occurred_at: Some("1993-05-03T12:00:00Z".parse().unwrap()), ..by };
    let month = YearMonth::at(Timestamp::now(), &TimeZone::get("Europe/Prague").unwrap()).unwrap();
    let spent = BudgetMonthCommand::ApplySpend {
        transaction: Uuid::now_v7(),
        category: "dining".into(),
        date: month.first_day(),
        amount: usd(90_000).into(),
    };
    let policy = Request { actor: Actor::policy("book_spending"), ..long_ago };
    node.commands.execute::<BudgetMonth>(BudgetMonth::id(account, month), spent, &policy).await.unwrap();
    node.settled().await;
    assert!(node.names().await.contains(&"BudgetRedistributed".to_owned()));
    assert_eq!(told(&node).await, [""; 0]);
}
