//! The audit trail and lineage.

use actix_web::test::TestRequest;
use serde_json::json;
use uuid::Uuid;

use crate::node::node;

#[actix_web::test]
async fn auditors_see_who_did_what_and_everybody_sees_what_is_about_them() {
    let node = node().await;
    let (org, _) = node.org("PSU").await;
    let anna = Uuid::from_u128(5);
    let headline = TestRequest::put().uri("/v1/users/me/profile").set_json(json!({ "headline": "Hello" }));
    assert_eq!(node.send_as(anna, &["student"], headline).await.status, 201);

    let path = format!("/v1/audit/trail?resource_id={org}&order=oldest_first&limit=1");
    let trail = node.send_as(Uuid::from_u128(9), &["compliance"], TestRequest::get().uri(&path)).await.json();
    assert_eq!((&trail["entries"][0]["action"], &trail["next"]), (&json!("OrgUnitCreated"), &json!(null)));

    let own = node.send_as(anna, &["student"], TestRequest::get().uri("/v1/audit/me")).await.json();
    let actions: Vec<&str> =
        own["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["ProfileRevised", "ProfileCreated"]);
    let request = TestRequest::get().uri("/v1/audit/trail");
    node.send_as(anna, &["student"], request).await.problem(403, "Forbidden");
    for wrong in ["limit=0", "order=random", "from=yesterday", "colour=red", "subject=7"] {
        let path = format!("/v1/audit/me?{wrong}");
        let request = TestRequest::get().uri(&path);
        node.send_as(anna, &["student"], request).await.problem(400, "InvalidParameter");
    }
}

#[actix_web::test]
async fn pages_of_the_trail_follow_each_other_by_their_links() {
    let node = node().await;
    for code in ["KSU", "PSU", "WSU"] {
        node.org(code).await;
    }
    let first = node.get("/v1/audit/trail?limit=2").await;
    let link = first.header("link").strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned();
    assert_eq!(first.json()["entries"][0]["position"], 3);
    let second = node.get(&link).await;
    assert_eq!(second.json()["entries"][0]["position"], 1);
    assert!(!second.headers.contains_key("link"));
}

#[actix_web::test]
async fn lineage_leads_from_an_aggregate_to_the_events_that_made_it() {
    let node = node().await;
    let (org, _) = node.org("PSU").await;
    let graph = node.get(&format!("/v1/governance/lineage/identity.org_unit/{org}?direction=upstream")).await;
    assert_eq!(graph.json()["root"], format!("identity.org_unit:{org}"), "{}", graph.text);
    let event = graph.json()["nodes"].as_array().unwrap().iter().find_map(|node| {
        let id = node["id"].as_str()?.strip_prefix("event:")?;
        (node["event"]["action"] == "OrgUnitCreated").then(|| id.to_owned())
    });
    let chain = node.get(&format!("/v1/audit/events/{}/chain", event.unwrap())).await.json();
    assert_eq!((&chain["event"]["action"], &chain["causes"]), (&json!("OrgUnitCreated"), &json!([])));
    let path = format!("/v1/governance/lineage/export/openlineage?node=identity.org_unit:{org}");
    let exported = node.get(&path).await.json();
    assert_eq!(exported[0]["eventType"], "START");
    let request = TestRequest::get().uri(&path);
    node.send_as(Uuid::from_u128(5), &["student"], request).await.problem(403, "Forbidden");
    node.get("/v1/governance/lineage/export/openlineage").await.problem(400, "InvalidParameter");
}
