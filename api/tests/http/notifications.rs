//! What people are told of, and through which channels.

use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{mailed_to, member},
    node::{ADMIN, Answer, TestNode, node},
};

async fn assign(node: &TestNode, account: Uuid, role: &str) {
    let assigned = node.post(&format!("/v1/accounts/{account}/roles"), json!({ "role": role })).await;
    assert_eq!(assigned.status, 200, "{}", assigned.text);
    node.settled().await;
}

async fn as_of_now(node: &TestNode, who: Uuid, path: &str) -> Vec<Value> {
    let head = node.node.api.commands.store().head().await.unwrap().position;
    let sign = if path.contains('?') { '&' } else { '?' };
    let request = TestRequest::get().uri(&format!("{path}{sign}min_position={head}"));
    node.send_as(who, &[], request).await.json()["items"].as_array().unwrap().clone()
}

async fn ask(node: &TestNode, who: Uuid, method: Method, path: &str, body: Value) -> Answer {
    node.send_as(who, &[], TestRequest::with_uri(path).method(method).set_json(body)).await
}

#[actix_web::test]
async fn p_34_and_p_35_a_person_is_told_in_the_application_and_by_a_mail_that_says_nothing_of_it() {
    let node = node().await;
    let ada = member(&node, "ada@example.edu").await;
    assign(&node, ada, "staff").await;
    let told = as_of_now(&node, ada, "/v1/notifications").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["type"], "account_changed");
    assert_eq!(told[0]["body"], "Your account was changed: you have the role staff now.");
    assert_eq!((&told[0]["unread"], &told[0]["channels"]), (&json!(true), &json!(["in_app", "email"])));
    assert_eq!(told[0]["delivered"], json!(["email"]));
    mailed_to(&node, "ada@example.edu", "Account changed. You can read it among your notifications").await;
    assert!(as_of_now(&node, ADMIN, "/v1/notifications").await.is_empty(), "it is for nobody else");
}

#[actix_web::test]
async fn r_57_a_notification_is_read_and_put_away_by_its_recipient_alone() {
    let node = node().await;
    let ada = member(&node, "ada@example.edu").await;
    assign(&node, ada, "staff").await;
    let told = as_of_now(&node, ada, "/v1/notifications?unread=true").await;
    let path = format!("/v1/notifications/{}", told[0]["id"].as_str().unwrap());
    let by_another = ask(&node, ADMIN, Method::POST, &format!("{path}/read"), json!({})).await;
    by_another.problem(403, "Forbidden");
    assert_eq!(ask(&node, ada, Method::POST, &format!("{path}/read"), json!({})).await.status, 200);
    assert!(as_of_now(&node, ada, "/v1/notifications?unread=true").await.is_empty());
    assert_eq!(ask(&node, ada, Method::POST, &format!("{path}/unread"), json!({})).await.status, 200);
    assert_eq!(as_of_now(&node, ada, "/v1/notifications?unread=true").await.len(), 1);
    assert_eq!(ask(&node, ada, Method::POST, &format!("{path}/archive"), json!({})).await.status, 200);
    ask(&node, ada, Method::POST, &format!("{path}/read"), json!({})).await.problem(409, "InvalidState");
}

#[actix_web::test]
async fn ntf_n1_and_n2_a_person_says_through_which_channels_but_not_of_what_is_critical() {
    let node = node().await;
    let ada = member(&node, "ada@example.edu").await;
    let off = || json!({ "enabled": false });
    let put = async |path: &str| {
        ask(&node, ada, Method::PUT, &format!("/v1/notifications/settings/{path}"), off()).await
    };
    assert!(put("account_changed/email").await.status.is_success());
    put("security_alert/email").await.problem(422, "CriticalType");
    put("channels/in_app").await.problem(422, "InAppAlwaysOn");
    assert!(put("nothing_such/email").await.status.is_client_error());
    assert!(put("account_changed/pigeon").await.status.is_client_error());
    let head = node.node.api.commands.store().head().await.unwrap().position;
    let own = TestRequest::get().uri(&format!("/v1/notifications/settings?min_position={head}"));
    let said = node.send_as(ada, &[], own).await.json();
    assert_eq!(said["disabled"], json!(["account_changed/email"]));
    assign(&node, ada, "staff").await;
    let told = as_of_now(&node, ada, "/v1/notifications").await;
    assert_eq!(told[0]["channels"], json!(["in_app"]));
}

#[actix_web::test]
async fn p_20_the_administrators_of_the_institution_that_decides_are_told_of_a_recognition_and_who_did_it_is_not()
 {
    let node = node().await;
    let (here, there) = (node.org("HERE").await.0, node.org("THERE").await.0);
    let dean = member(&node, "dean@example.edu").await;
    let within = json!({ "role": "institution_admin", "within": there });
    assert_eq!(node.post(&format!("/v1/accounts/{dean}/roles"), within).await.status, 200);
    let (credential, recognition) = (Uuid::now_v7(), Uuid::now_v7());
    let send = async |to: &str, id: Uuid, command: &str, fields: Value| {
        let sent = node.post(&format!("/v1/credentials/{to}/{id}/{command}"), fields).await;
        assert!(sent.status.is_success(), "{command}: {}", sent.text);
    };
    let draft = json!({
        "program_code": "H-1", "title": "Data", "institution": here, "type": "micro_credential", "delivery": "online",
        "description": "A short program about the handling of data in tables, with a final task.",
        "hours": 40, "credits": 2000, "level": "introductory", "language": "en",
    });
    send("micro-credential", credential, "draft-credential", draft).await;
    let outcome = json!({ "outcome": Uuid::now_v7(), "text": "Clean and transform tabular data with SQL", "core": true, "order": 0 });
    send("micro-credential", credential, "add-learning-outcome", outcome).await;
    send("micro-credential", credential, "submit-credential-for-review", json!({})).await;
    // Nobody publishes what they submitted themselves.
    let publish = TestRequest::post()
        .uri(&format!("/v1/credentials/micro-credential/{credential}/publish-credential"))
        .set_json(json!({ "effective": "2026-09-01" }));
    assert_eq!(node.send_as(Uuid::from_u128(0xB0), &["admin"], publish).await.status, 200);
    let proposal = json!({
        "credential": credential, "institution": there, "type": "full_credit", "transcript": "listed", "effective": "2026-09-01",
    });
    send("recognition", recognition, "propose-recognition", proposal).await;
    node.settled().await;
    let told = as_of_now(&node, dean, "/v1/notifications?type=recognition_pending").await;
    assert_eq!(told[0]["body"], "The recognition of Data waits for a decision.");
    assert!(as_of_now(&node, ADMIN, "/v1/notifications").await.is_empty(), "who proposed it knows");
}
