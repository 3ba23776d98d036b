//! kill -9 of anything at any time: nothing acknowledged is lost, nothing is applied twice.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals_tests::{Annals, Caller, PATIENCE};
use event_store::MasterKey;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::flows::{budget, expense};

/// Records expenses until told to stop, each under its own key until it is acknowledged; answers their ids.
async fn record(annals: &Annals, owner: &Caller, stop: &AtomicBool) -> Vec<Uuid> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let id = Uuid::now_v7();
        let day = 1 + acknowledged.len() % 28;
        let fields = expense(owner, "groceries", 100, &format!("1993-05-{day:02}"));
        let path = format!("/v1/budgeting/transaction/{id}/record-transaction");
        loop {
            let request = annals
                .request(owner, Method::POST, &path)
                .header("Idempotency-Key", id.to_string())
                .json(&fields);
            match annals.send(request).await {
                Ok(answer) if answer.status.is_success() => break,
                Ok(answer) => assert!(answer.status.is_server_error(), "{} {}", answer.status, answer.body),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        acknowledged.push(id);
    }
    acknowledged
}

/// The processes of this instance's server.
fn kill(annals: &Annals, program: &str) {
    let pattern = format!("{program}.*{}", annals.folder.file_name().unwrap().to_str().unwrap());
    let killed = Command::new("pkill").args(["-9", "-f", &pattern]).status().unwrap();
    assert!(killed.success(), "no {program} was running");
}

async fn everything_is_there_once(annals: &Annals, owner: &Caller, acknowledged: &[Uuid]) {
    let pool = annals.database().await;
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT aggregate_id FROM annals.events WHERE event_type = 'TransactionRecorded'")
            .fetch_all(&pool)
            .await
            .unwrap();
    for id in acknowledged {
        assert_eq!(stored.iter().filter(|stored| **stored == id.to_string()).count(), 1, "{id}");
    }
    let gaps: i64 = sqlx::query_scalar("SELECT max(position) - count(*) FROM annals.events")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(gaps, 0, "positions have gaps");
    // Every recorded expense is booked once by the policy, and shown by the read model.
    let booked = 100 * stored.len() as i64;
    let spent = |body: &Value| {
        let rows = body["items"].as_array()?;
        let row = rows.iter().find(|row| row["category"] == "groceries")?;
        (row["spent"]["minor"].as_i64().or(row["spent"].as_i64()) == Some(booked)).then_some(())
    };
    annals.until(owner, "/v1/budget/envelopes/1993-05", spent).await;
}

async fn survives(strike: impl AsyncFn(&Annals)) {
    let annals = Arc::new(Annals::start().await);
    let owner = annals.caller(&["budget_user"]);
    budget(&annals, &owner, "auto").await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (annals, owner, stop) = (annals.clone(), owner.clone(), stop.clone());
        tokio::spawn(async move { record(&annals, &owner, &stop).await })
    };
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        strike(&annals).await;
        annals.until(&owner, "/health/ready", |body| (body["status"] != "down").then_some(())).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let acknowledged = writer.await.unwrap();
    assert!(!acknowledged.is_empty());
    everything_is_there_once(&annals, &owner, &acknowledged).await;
}

#[tokio::test]
async fn killing_postgres_under_load_loses_nothing() {
    survives(async |annals| kill(annals, "postgres")).await;
}

#[tokio::test]
async fn killing_nats_under_load_loses_nothing() {
    survives(async |annals| kill(annals, "nats-server")).await;
}

#[tokio::test]
async fn wiping_the_nats_store_changes_nothing_that_people_see() {
    survives(async |annals| {
        kill(annals, "nats-server");
        let store = annals.folder.join("data/nats/store");
        assert!(store.exists());
        // The server may be back already, and put new files where the old ones go.
        while store.exists() && std::fs::remove_dir_all(&store).is_err() {}
    })
    .await;
}

#[tokio::test]
async fn killing_annals_under_load_loses_nothing_that_it_acknowledged() {
    let mut annals = Annals::start().await;
    let owner = annals.caller(&["budget_user"]);
    budget(&annals, &owner, "auto").await;
    let mut acknowledged = Vec::new();
    for round in 0..2 {
        for n in 0..40 {
            let (id, day) = (Uuid::now_v7(), 1 + (round * 40 + n) % 28);
            let fields = expense(&owner, "groceries", 100, &format!("1993-05-{day:02}"));
            let answer =
                annals.command(&owner, "budgeting/transaction", id, "record-transaction", fields).await;
            answer.ok();
            acknowledged.push(id);
        }
        // Policies and projections are behind at this moment; their servers are left behind as orphans.
        let folder = annals.folder.clone();
        annals.kill();
        let again = Annals::start_in(folder).await;
        std::mem::forget(std::mem::replace(&mut annals, again));
    }
    everything_is_there_once(&annals, &owner, &acknowledged).await;
}

#[tokio::test]
async fn killing_annals_in_a_retention_run_lets_it_go_on_and_counts_everything_once() {
    let mut annals = Annals::start().await;
    let officer = annals.caller(&["compliance"]);
    let pool = annals.database().await;
    let master = MasterKey::from_file(annals.env["ANNALS_MASTER_KEY_FILE"].as_ref()).unwrap();
    // Keys of an epoch that is long over, as if something had been recorded then.
    sqlx::query(
        "INSERT INTO annals_keys.data_keys (subject, class, epoch, master_key, wrapped)
         SELECT gen_random_uuid(), 'device', 202001, $1, '\\x00' FROM generate_series(1, 1000)",
    )
    .bind(master.id().as_slice())
    .execute(&pool)
    .await
    .unwrap();
    let path = "/v1/governance/retention/device";
    let rule = json!({ "after": "event", "days": 90, "action": "shred", "legal_basis": "Art. 5(1)(e) GDPR" });
    annals.send(annals.request(&officer, Method::PUT, path).json(&rule)).await.unwrap().ok();
    let run = json!({ "run": Uuid::now_v7(), "dry_run": false, "as_of": jiff::Timestamp::now() });
    let start = annals.request(&officer, Method::POST, &format!("{path}/runs")).json(&run);
    annals.send(start).await.unwrap().ok();
    let count = async |event: &str| -> i64 {
        let count =
            sqlx::query_scalar("SELECT count(*) FROM annals.events WHERE event_type = $1").bind(event);
        count.fetch_one(&pool).await.unwrap()
    };
    while count("RetentionActionApplied").await == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let folder = annals.folder.clone();
    annals.kill();
    let before = count("RetentionActionApplied").await;
    pool.close().await;
    let again = Annals::start_in(folder).await;
    std::mem::forget(std::mem::replace(&mut annals, again));

    let pool = annals.database().await;
    let completed = "SELECT payload -> 'RetentionRunCompleted' FROM annals.events WHERE event_type = 'RetentionRunCompleted'";
    let done = async {
        loop {
            let found: Vec<Value> = sqlx::query_scalar(completed).fetch_all(&pool).await.unwrap();
            if let [only] = &found[..] {
                return only.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, done).await.unwrap();
    assert_eq!((&done["affected"], &done["held"], &done["failed"]), (&json!(1000), &json!(0), &json!(0)));
    assert!(before < 1000, "it was killed in the middle");
    // What was ordered to be destroyed is, in its own time.
    let gone = async {
        let left = "SELECT count(*) FROM annals_keys.data_keys WHERE class = 'device'";
        while sqlx::query_scalar::<_, i64>(left).fetch_one(&pool).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}
