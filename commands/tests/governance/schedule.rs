//! P-50: who starts a retention run, and from when the time counts.

use domain::{
    Stated,
    governance::{DEFAULTS, RetentionPolicy, RetentionPolicyCommand, retention_policy_id},
    identity::{Account, AccountCommand},
};

use super::{retention::old_keys, *};

/// The night comes: the timer of a class is due, for the slot of a day earlier.
async fn night_comes(node: &Node, class: RecordClass) {
    let policy = retention_policy_id(class, None);
    let moved = sqlx::query(
        "UPDATE annals.timers SET due_at = now(), command = jsonb_set(command::jsonb,
             '{RetentionPolicy,StartRetentionRun,as_of}',
             to_jsonb(to_char((due_at - interval '1 day') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')))::json
         WHERE policy = 'schedule_retention' AND aggregate_id = $1",
    );
    let moved = moved.bind(policy).execute(node.commands.store().pool()).await.unwrap();
    assert_eq!(moved.rows_affected(), 1);
}

#[tokio::test]
async fn p_50_every_class_has_its_run_at_one_oclock_once_in_the_cluster_by_default_too() {
    let database = testing::database().await;
    let node = Node::start(database.store().await.unwrap()).await;
    let other = Node::start(database.store().await.unwrap()).await;
    let standing = "SELECT count(*) FROM annals.timers WHERE policy = 'schedule_retention' AND due_at > now()
                    AND due_at <= now() + interval '1 day' AND due_at = date_trunc('hour', due_at)
                    AND extract(hour FROM due_at AT TIME ZONE 'UTC') = 1";
    let standing = || async {
        let count = sqlx::query_scalar::<_, i64>(standing);
        count.fetch_one(node.commands.store().pool()).await.unwrap() as usize
    };
    let armed = async || {
        let armed = async {
            while standing().await != DEFAULTS.len() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), armed).await.unwrap();
    };
    armed().await;
    night_comes(&node, RecordClass::Device).await;
    let started = until(&node, "RetentionRunStarted", 1).await;
    assert_eq!(started[0].1["record_class"], "device");
    assert_eq!((&started[0].1["days"], &started[0].1["dry_run"]), (&json!(90), &json!(false)));
    until(&node, "RetentionRunCompleted", 1).await;
    armed().await;
    assert_eq!(other.events("RetentionRunStarted").await.len(), 1);
}

#[tokio::test]
async fn p_50_financial_records_go_two_years_after_the_account_was_closed_and_not_reopened() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    let system = || Request::by(Actor::policy("test"));
    let people = [(ANNA, "anna", true), (BERT, "bert", false)];
    for (person, name, closes) in people {
        let register = AccountCommand::RegisterAccount {
            email: Stated(format!("{name}@example.org")),
            email_hmac: Stated(domain::sha256_hex(name)),
            password_hash: Stated("$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g".into()),
            display_name: Stated(name.into()),
            country: "US".into(),
            locale: "en-US".into(),
            tz: "UTC".into(),
        };
        node.commands.execute::<Account>(person, register, &system()).await.unwrap();
        if closes {
            let close = AccountCommand::DeactivateAccount { reason: "It is over".into() };
            node.commands.execute::<Account>(person, close, &system()).await.unwrap();
        }
    }
    old_keys(&node, RecordClass::Financial, &[ANNA, BERT], &[202012]).await;
    let policy = retention_policy_id(RecordClass::Financial, None);
    let run = async |node: &mut Node, number: usize| {
        let start = RetentionPolicyCommand::StartRetentionRun {
            run: Uuid::now_v7(),
            dry_run: false,
            as_of: jiff::Timestamp::now(),
        };
        node.commands.execute::<RetentionPolicy>(policy, start, &compliance()).await.unwrap();
        until(node, "RetentionRunCompleted", number).await[number - 1].1.clone()
    };
    let early = run(&mut node, 1).await;
    assert_eq!((&early["affected"], &early["failed"]), (&json!(0), &json!(0)), "it was closed today");
    retention::age(&node, 731).await;
    let late = run(&mut node, 2).await;
    assert_eq!((&late["affected"], &late["failed"]), (&json!(1), &json!(0)));
    let applied = node.events("RetentionActionApplied").await;
    assert_eq!((applied.len(), &applied[0].1["subject"]), (1, &json!(ANNA)), "Bert's account is open");
}
