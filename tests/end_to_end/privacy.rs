//! Personal data rests nowhere in the clear: not in the log, its WAL, NATS, the read models, the logs or the metrics.

use std::path::Path;

use annals_tests::Annals;
use serde_json::json;
use uuid::Uuid;

use super::flows::{budget, expense, scholarship, submitted};

/// Values that occur nowhere else.
const ESSAY: &str = "Zephyrine-Quillfeather-essay";
const MERCHANT: &str = "Xanthippe-Marmalade-Shop";

fn find(folder: &Path, needle: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            find(&entry, needle, found);
        } else if let Ok(bytes) = std::fs::read(&entry)
            && bytes.windows(needle.len()).any(|window| window == needle)
        {
            found.push(entry.display().to_string());
        }
    }
}

#[tokio::test]
async fn no_personal_value_rests_in_the_clear() {
    let annals = Annals::start().await;
    let student = annals.caller(&["student", "budget_user"]);
    let scholarship = scholarship(&annals).await;
    let (application, _) = submitted(&annals, &student, scholarship, ESSAY).await;
    budget(&annals, &student, "auto").await;
    let mut fields = expense(&student, "dining", 7_654_321, "1993-05-03");
    fields["merchant"] = json!(MERCHANT);
    let recorded = annals
        .command(&student, "budgeting/transaction", Uuid::now_v7(), "record-transaction", fields)
        .await
        .ok();
    let staff = annals.caller(&["staff"]);
    annals.until(&staff, &format!("/v1/applications/{application}"), |row| row["score"].as_i64()).await;
    let path = format!("/v1/transactions?min_position={}", recorded["position"]);
    let rows = annals
        .until(&student, &path, |body| body["items"].as_array().filter(|rows| !rows.is_empty()).cloned())
        .await;
    assert_eq!(rows[0]["merchant"], MERCHANT, "the owner reads it");

    let pool = annals.database().await;
    sqlx::query("CHECKPOINT").execute(&pool).await.unwrap();
    let data = Path::new(&annals.env["ANNALS_DATA_DIR"]).to_owned();
    for needle in [ESSAY, MERCHANT, "xanthippe", "7654321"] {
        let mut found = Vec::new();
        find(&data, needle.as_bytes(), &mut found);
        find(&annals.folder, needle.as_bytes(), &mut found);
        assert!(found.is_empty(), "{needle} rests in the clear in {found:?}");
        assert!(!annals.logs().contains(needle));
    }
    let metrics = reqwest::get(&annals.env["ANNALS_METRICS_URL"]).await.unwrap().text().await.unwrap();
    assert!(!metrics.contains(ESSAY) && !metrics.contains(&student.id.to_string()));
}
