//! What an owner finds among their transactions.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{Answer, TestNode, node};

const ANNA: Uuid = Uuid::from_u128(5);

async fn ask(node: &TestNode, path: &str) -> Answer {
    node.send_as(ANNA, &["budget_user"], TestRequest::get().uri(path)).await
}

/// What was spent, at which merchant and what for; the position of the last.
async fn spend(node: &TestNode, spent: &[(i64, &str, &str)]) -> u64 {
    let setup = json!({ "currency": "USD", "tz": "UTC", "country": "US", "mode": "off",
        "income": { "minor": 300_000, "ccy": "USD" }, "needs": 5000, "wants": 3000, "savings": 2000 });
    let setup = TestRequest::post().uri("/v1/budget/setup").set_json(setup);
    assert_eq!(node.send_as(ANNA, &["budget_user"], setup).await.status, 201);
    let mut position = 0;
    for (day, (minor, merchant, note)) in (1..).zip(spent) {
        let note = Some(note).filter(|note| !note.is_empty());
        let fields = json!({ "kind": "expense", "amount": { "minor": minor, "ccy": "USD" }, "merchant": merchant,
            "note": note, "spent_at": format!("2024-02-{day:02}T12:00:00Z"), "category": "dining", "source": "manual" });
        let recorded = TestRequest::post().uri("/v1/transactions").set_json(fields);
        let recorded = node.send_as(ANNA, &["budget_user"], recorded).await;
        position = recorded.json()["position"].as_u64().unwrap_or_else(|| panic!("{}", recorded.text));
    }
    position
}

fn merchants(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|row| row["merchant"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn r_33_transactions_are_found_by_merchant_amount_and_text_though_these_rest_sealed() {
    let node = node().await;
    let spent = [
        (1250, "Bistro 12", "with Ada"),
        (700, "Café Rouge", ""),
        (3100, "BISTRO 7", ""),
        (90, "Kiosk", "at the bistro"),
    ];
    let position = spend(&node, &spent).await;
    let found = async |query: &str| {
        let page =
            ask(&node, &format!("/v1/transactions?sort=local_date&min_position={position}&{query}")).await;
        merchants(&page.json()).join(", ")
    };
    assert_eq!(found("merchant.contains=bistro").await, "Bistro 12, BISTRO 7");
    assert_eq!(found("text.contains=bistro").await, "Bistro 12, BISTRO 7, Kiosk");
    assert_eq!(found("amount.from=700&amount.to=1250").await, "Bistro 12, Café Rouge");
    assert_eq!(found("merchant.contains=bistro&amount.from=2000").await, "BISTRO 7");
    assert_eq!(found("merchant.contains=bistro&local_date.to=2024-02-02").await, "Bistro 12");
    assert_eq!(found("merchant.contains=caf%C3%A9").await, "Café Rouge");
    for wrong in
        ["merchant.contains=", "amount.from=much", "amount.from=1&amount.from=2", "amount.from=1&limit=0"]
    {
        ask(&node, &format!("/v1/transactions?{wrong}")).await.problem(400, "InvalidParameter");
    }
}

#[actix_web::test]
async fn r_33_pages_of_what_is_found_follow_each_other_and_show_the_fields_asked_for() {
    let node = node().await;
    let spent = [(1, "Bistro", ""), (2, "Kiosk", ""), (3, "Bistro", ""), (4, "Kiosk", ""), (5, "Bistro", "")];
    let position = spend(&node, &spent).await;
    let first = format!(
        "/v1/transactions?merchant.contains=bistro&sort=local_date&limit=2&fields=local_date&min_position={position}"
    );
    let page = ask(&node, &first).await;
    assert_eq!(page.json()["items"], json!([{ "local_date": "2024-02-01" }, { "local_date": "2024-02-03" }]));
    let next = page.header("link").strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    let page = ask(&node, &next).await.json();
    assert_eq!((&page["items"], &page["next"]), (&json!([{ "local_date": "2024-02-05" }]), &Value::Null));
}
