//! Permissions on single resources: what they open, what they do not, and how they end.

use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{member, tokens},
    node::{ADMIN, Answer, TestNode, node},
};

const TYPE: &str = "opportunities.scholarship";

/// A scholarship that is drafted: nobody but staff sees it. Its id, and the position.
async fn draft(node: &TestNode, title: &str, sponsor: &Value) -> (String, Value) {
    let terms = json!({ "title": title, "sponsor": sponsor, "description": "", "award": { "minor": 5, "ccy": "USD" },
        "max_awards": 1, "opens_at": "2020-01-01T00:00:00Z", "deadline": "2199-01-01T00:00:00Z", "majors": [],
        "grad_years": [], "tags": [], "essay_prompts": [], "recommendations_required": 0, "renewable": false });
    let drafted = node.post("/v1/scholarships", terms).await.json();
    (drafted["id"].as_str().unwrap().to_owned(), drafted["position"].clone())
}

async fn with(node: &TestNode, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = TestRequest::with_uri(path).method(method);
    let request = request.insert_header(("Authorization", format!("Bearer {token}")));
    node.send(match body {
        Some(body) => request.set_json(body),
        None => request,
    })
    .await
}

#[actix_web::test]
async fn a_permission_opens_one_resource_for_one_action_until_it_is_revoked_on_every_node() {
    let (here, sponsor) = {
        let node = node().await;
        let org =
            json!({ "kind": "sponsor", "code": "FUND", "name": "Fund", "type": "other", "country": "US" });
        let sponsor = node.post("/v1/orgs", org).await.json()["id"].clone();
        (node, sponsor)
    };
    let there = here.beside().await;
    let ada = member(&here, "ada@example.edu").await;
    let (token, _) = tokens(&here, "ada@example.edu").await;
    let (one, _) = draft(&here, "One", &sponsor).await;
    let (other, position) = draft(&here, "Other", &sponsor).await;
    let rows = |id: &str| format!("/v1/scholarships/{id}?min_position={position}");
    let get = async |node: &TestNode, path: &str| with(node, &token, Method::GET, path, None).await;
    get(&here, &rows(&one)).await.problem(404, "NotFound");

    let grant = async |id: &str, action: &str| {
        let body = json!({ "resource_type": TYPE, "resource_id": id, "action": action });
        here.post(&format!("/v1/accounts/{ada}/permissions"), body).await
    };
    assert_eq!(grant(&one, "read").await.status, 200);
    for node in [&here, &there] {
        assert_eq!(get(node, &rows(&one)).await.status, 200);
        get(node, &rows(&other)).await.problem(404, "NotFound");
        let listed = get(node, &format!("/v1/scholarships?min_position={position}")).await.text;
        assert!(listed.contains(&one) && !listed.contains(&other), "filtered with the rest: {listed}");
    }
    let past = format!("/v1/scholarships/{one}?as_of={position}");
    assert_eq!(get(&here, &past).await.status, 400, "the read model keeps no past");

    let publish = async |node: &TestNode, id: &str| {
        with(node, &token, Method::POST, &format!("/v1/scholarships/{id}/publish"), Some(json!({}))).await
    };
    publish(&here, &one).await.problem(403, "Forbidden");
    assert_eq!(grant(&one, "PublishScholarship").await.status, 200);
    publish(&here, &other).await.problem(403, "Forbidden");
    let archive = format!("/v1/scholarships/{one}/archive");
    with(&here, &token, Method::POST, &archive, Some(json!({}))).await.problem(403, "Forbidden");
    let published = publish(&here, &one).await;
    assert_eq!(published.status, 200, "{}", published.text);

    assert_eq!(grant(&other, "read").await.status, 200);
    assert_eq!(get(&there, &rows(&other)).await.status, 200);
    revoke(&here, &ada, &format!("{TYPE}.{other}.read")).await;
    get(&here, &rows(&other)).await.problem(404, "NotFound");
    get(&there, &rows(&other)).await.problem(404, "NotFound");
}

async fn revoke(node: &TestNode, account: &Uuid, permission: &str) {
    let request = TestRequest::delete().uri(&format!("/v1/accounts/{account}/permissions/{permission}"));
    let revoked = node.send_as(ADMIN, &["admin"], request).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
}

#[actix_web::test]
async fn a_permission_is_revoked_by_the_name_that_its_account_lists_it_under() {
    let node = node().await;
    let ada = member(&node, "ada@example.edu").await;
    let listed = async |position: &Value| {
        let path = format!("/v1/accounts/{ada}?min_position={position}&fields=permissions");
        node.get(&path).await.json()["permissions"].clone()
    };
    let mut position = json!(0);
    for action in ["read", "PublishScholarship"] {
        let grant = json!({ "resource_type": TYPE, "resource_id": Uuid::from_u128(7), "action": action });
        position =
            node.post(&format!("/v1/accounts/{ada}/permissions"), grant).await.json()["position"].take();
    }
    let held = listed(&position).await;
    assert_eq!((&held[0]["action"], &held[1]["action"]), (&json!("read"), &json!("PublishScholarship")));
    let name = held[0]["id"].as_str().unwrap();
    // What is longer, or of nothing that can be named, is another one or none.
    revoke(&node, &ada, &format!("{name}.more")).await;
    let none = TestRequest::delete().uri(&format!("/v1/accounts/{ada}/permissions/everything"));
    node.send_as(ADMIN, &["admin"], none).await.problem(422, "InvalidValue");
    revoke(&node, &ada, name).await;
    let store = node.node.api.commands.store();
    position = json!(store.head().await.unwrap().position);
    let left = listed(&position).await;
    assert_eq!(left, json!([held[1]]), "and the other one is still there");
}

#[actix_web::test]
async fn what_cannot_be_granted_on_one_resource_is_refused_by_its_field() {
    let node = node().await;
    let ada = member(&node, "ada@example.edu").await;
    let grant = async |resource_type: &str, action: &str, until: Value| {
        let id = Uuid::from_u128(7);
        let body =
            json!({ "resource_type": resource_type, "resource_id": id, "action": action, "until": until });
        let refused = node.post(&format!("/v1/accounts/{ada}/permissions"), body).await;
        refused.problem(422, "InvalidValue")["field"].clone()
    };
    assert_eq!(grant("nothing.at_all", "read", Value::Null).await, "resource_type");
    // What would let somebody act as another, or raise themselves, is never granted on one resource.
    for (resource_type, action) in [
        ("identity.account", "AssignRole"),
        ("identity.security_policy", "DefineRole"),
        ("identity.session", "EndSession"),
        ("budgeting.transaction", "read"),
        (TYPE, "ReviseScholarship"),
        (TYPE, "everything"),
    ] {
        assert_eq!(grant(resource_type, action, Value::Null).await, "action", "{resource_type} {action}");
    }
    assert_eq!(grant(TYPE, "read", json!("2020-01-01T00:00:00Z")).await, "until");
}
