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
