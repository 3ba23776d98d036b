//! The audit trail and lineage.

use actix_web::test::TestRequest;
use event_store::integrity::{Proof, Proofs};
use serde_json::json;
use uuid::Uuid;

use crate::{log::signed, node::node};

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
async fn the_trail_is_asked_in_the_words_of_all_lists() {
    let node = node().await;
    node.org("KSU").await;
    let (_, last) = node.org("PSU").await;
    for (path, list) in
        [("/v1/audit/trail", "entries"), ("/v1/audit/me", "entries"), ("/v1/audit/events", "events")]
    {
        let ask = async |asked: &str| node.get(&format!("{path}?{asked}")).await;
        let oldest = format!("sort=position&fields=position,action&limit=1&min_position={last}");
        let oldest = ask(&oldest).await.json();
        assert_eq!(oldest[list], json!([{ "action": "OrgUnitCreated", "position": 1 }]), "{path}");
        let newest = ask("sort=-position&fields=position").await.json();
        assert_eq!(newest[list], json!([{ "position": last }, { "position": 1 }]), "{path}");
        let later = ask("min_position=1000").await;
        assert_eq!((later.status.as_u16(), later.header("retry-after")), (202, "1"), "{path}");
        for wrong in [
            "sort=action",
            "sort=position&order=oldest_first",
            "fields=payload",
            "fields=",
            "fields=action,action",
            "min_position=soon",
        ] {
            let problem = ask(wrong).await.problem(400, "InvalidParameter");
            assert_eq!(wrong.split('=').next(), problem["field"].as_str(), "{path}?{wrong}");
        }
        let hashes = ask("fields=leaf_hash").await.status;
        assert_eq!(hashes.is_success(), list == "events", "{path}");
    }
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
    for nowhere in [format!("nope/{org}"), format!("scholarships/{org}"), format!("event/{org}")] {
        node.get(&format!("/v1/governance/lineage/{nowhere}")).await.problem(404, "NotFound");
    }
}

#[actix_web::test]
async fn r_88_events_are_found_by_what_is_known_of_them_with_their_hashes_and_proofs() {
    let node = node().await;
    let (org, _) = node.org("PSU").await;
    let (_, last) = node.org("KSU").await;
    signed(&node, last).await;
    let path = format!("/v1/audit/events?resource_type=identity.org_unit&resource_id={org}");
    let page = node.get(&path).await.json();
    let event = &page["events"][0];
    assert_eq!(
        (&event["action"], &event["sequence"], &event["position"]),
        (&json!("OrgUnitCreated"), &json!(1), &json!(1))
    );
    let proofs: Proofs = serde_json::from_value(page["proofs"].clone()).unwrap();
    let verifier = node.get("/v1/log/key").await.text.parse().unwrap();
    assert!(proofs.verify(&verifier).unwrap().size >= last);
    assert_eq!(json!(proofs.lines[0].leaf.hash()), event["leaf_hash"]);
    assert_eq!(page["disagrees"], json!([]));
    // Whatever the order, each has its own hash.
    let all = node.get("/v1/audit/events?action=OrgUnitCreated").await.json();
    assert_eq!(
        (&all["events"][1]["position"], &all["events"][1]["leaf_hash"]),
        (&json!(1), &event["leaf_hash"])
    );
    for one in [event["event_id"].as_str().unwrap(), "1"] {
        let one = node.get(&format!("/v1/audit/events/{one}")).await.json();
        let proof: Proof = serde_json::from_value(one["proof"].clone()).unwrap();
        assert_eq!(
            (proof.verify(&verifier).unwrap().size, one["leaf_hash"].clone()),
            (last, event["leaf_hash"].clone())
        );
        assert_eq!((&one["event"]["action"], &one["disagrees"]), (&json!("OrgUnitCreated"), &json!(false)));
    }
    for nowhere in ["0", "999", "00000000-0000-0000-0000-000000000001"] {
        node.get(&format!("/v1/audit/events/{nowhere}")).await.problem(404, "NotFound");
    }
    node.get("/v1/audit/events/x").await.problem(400, "InvalidParameter");
    node.get("/v1/audit/events?colour=red").await.problem(400, "InvalidParameter");
    for path in ["/v1/audit/events", "/v1/audit/events/1", "/v1/audit/replays"] {
        let student = node.send_as(Uuid::from_u128(5), &["student"], TestRequest::get().uri(path)).await;
        student.problem(403, "Forbidden");
    }
}

#[actix_web::test]
async fn r_88_what_was_rewritten_is_told_and_not_proved() {
    let node = node().await;
    let (_, last) = node.org("PSU").await;
    signed(&node, last).await;
    for sql in [
        "ALTER TABLE annals.events DISABLE TRIGGER ALL",
        "UPDATE annals.events SET event_version = '01' WHERE position = 1",
    ] {
        sqlx::query(sql).execute(node.node.api.commands.store().pool()).await.unwrap();
    }
    let page = node.get("/v1/audit/events?order=oldest_first&limit=1").await.json();
    assert_eq!((&page["disagrees"], &page["proofs"]["lines"]), (&json!([1]), &json!([])), "{page}");
    let one = node.get("/v1/audit/events/1").await.json();
    assert_eq!((&one["disagrees"], &one["proof"]), (&json!(true), &json!(null)));
}
