//! Audit replays, retention, holds and inventory over HTTP.

use actix_web::test::TestRequest;
use event_store::integrity::Proofs;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{Answer, TestNode, node};

const ANNA: Uuid = Uuid::from_u128(5);
const OFFICER: Uuid = Uuid::from_u128(8);
const SECOND: Uuid = Uuid::from_u128(9);

async fn by(node: &TestNode, officer: Uuid, path: &str, body: Value) -> Answer {
    node.send_elevated(officer, &["compliance"], TestRequest::post().uri(path).set_json(body)).await
}

async fn read(node: &TestNode, officer: Uuid, path: &str) -> Answer {
    node.send_elevated(officer, &["compliance"], TestRequest::get().uri(path)).await
}

async fn open(node: &TestNode, decrypt: bool) -> String {
    let body = json!({ "purpose": "ferpa", "scope": { "subject": ANNA }, "decrypt": decrypt, "reason": "complaint 7" });
    let opened = by(node, OFFICER, "/v1/audit/replays", body).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    format!("/v1/audit/replays/{}", opened.json()["id"].as_str().unwrap())
}

async fn headline(node: &TestNode) {
    let headline = TestRequest::put().uri("/v1/users/me/profile").set_json(json!({ "headline": "Hello" }));
    assert_eq!(node.send_as(ANNA, &["student"], headline).await.status, 201);
}

/// An officer looks at Anna.
async fn seen(node: &TestNode) {
    let position = node.node.api.commands.store().head().await.unwrap().position;
    let look = TestRequest::get().uri(&format!("/v1/people/{ANNA}?min_position={position}"));
    let look = look.peer_addr("192.0.2.7:4711".parse().unwrap());
    assert_eq!(node.send_as(OFFICER, &["compliance"], look).await.status, 200);
}

/// The headlines that a replay shows, and whether something was shredded since.
fn shown(answer: &Answer) -> Vec<(Value, Value)> {
    let json = answer.json();
    let events = json["events"].as_array().unwrap_or_else(|| panic!("{}", answer.text)).iter();
    let revised = events.filter(|event| event["action"] == "ProfileRevised");
    revised
        .map(|event| (event["data"]["changes"]["headline"].clone(), event["shredded_since"].clone()))
        .collect()
}

#[actix_web::test]
async fn gov_a1_decrypted_history_is_shown_after_a_second_officer_approved_and_is_on_record_before() {
    let node = node().await;
    headline(&node).await;
    let replay = open(&node, true).await;
    let events = format!("{replay}/events");
    read(&node, OFFICER, &events).await.problem(409, "NotApproved");
    by(&node, OFFICER, &format!("{replay}/approve"), json!({})).await.problem(403, "SamePerson");
    assert_eq!(by(&node, SECOND, &format!("{replay}/approve"), json!({})).await.status, 200);
    let answer = read(&node, OFFICER, &events).await;
    assert!(answer.text.contains("Hello"), "{}", answer.text);

    let log = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let reads: Vec<_> = log.iter().filter(|event| event.event_type == "AuditReplayRead").collect();
    let payload: Value = serde_json::from_str(&reads[0].payload).unwrap();
    assert_eq!(payload["AuditReplayRead"]["subjects"], json!([ANNA]));
    assert_eq!(payload["AuditReplayRead"]["decrypted"], true);
    // The person whose data was read finds it in their own trail.
    let own =
        node.send_as(ANNA, &[], TestRequest::get().uri("/v1/audit/me?action=AuditReplayRead")).await.json();
    assert_eq!(own["entries"].as_array().unwrap().len(), 1);

    let erased = node.node.api.commands.store().keyring();
    let classes = event_store::Classes::Only(&["profile"]);
    erased.shred(ANNA, classes, event_store::Basis::Erasure).await.unwrap();
    let after = read(&node, OFFICER, &events).await;
    assert!(!after.text.contains("Hello") && after.text.contains("«erased»"), "{}", after.text);
    assert!(shown(&after).iter().any(|(_, shredded)| *shredded == true), "{}", after.text);

    assert_eq!(by(&node, SECOND, &format!("{replay}/close"), json!({})).await.status, 200);
    read(&node, OFFICER, &events).await.problem(409, "Closed");
}

#[actix_web::test]
async fn gov_a1_who_approves_and_who_reads_has_shown_a_second_factor() {
    let node = node().await;
    headline(&node).await;
    let replay = open(&node, true).await;
    let (approve, events) = (format!("{replay}/approve"), format!("{replay}/events"));
    let canonical = replay.replace("/v1/audit/replays/", "/v1/governance/audit-replay/");
    for path in [&approve, &format!("{canonical}/approve-audit-replay")] {
        let weak = TestRequest::post().uri(path).set_json(json!({}));
        let refused = node.send_as(SECOND, &["compliance"], weak).await;
        refused.problem(401, "ElevationRequired");
        assert!(refused.header("www-authenticate").contains("insufficient_user_authentication"));
    }
    assert_eq!(by(&node, SECOND, &approve, json!({})).await.status, 200);
    let weak = node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&events)).await;
    weak.problem(401, "ElevationRequired");
    assert!(!weak.text.contains("Hello"));
    assert!(read(&node, OFFICER, &events).await.text.contains("Hello"));
    let open_facts = format!("{}/events", open(&node, false).await);
    let plain = node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&open_facts)).await;
    assert_eq!(plain.status, 200, "what decrypts nothing needs no second factor: {}", plain.text);
}

#[actix_web::test]
async fn a_replay_that_decrypts_nothing_shows_facts_and_no_personal_value() {
    let node = node().await;
    headline(&node).await;
    let events = format!("{}/events?limit=1", open(&node, false).await);
    let first = read(&node, OFFICER, &events).await;
    assert_eq!(first.json()["events"].as_array().unwrap().len(), 1, "{}", first.text);
    assert!(first.headers.contains_key("link"));
    let all = read(&node, OFFICER, events.trim_end_matches("?limit=1")).await;
    assert!(all.text.contains("«sealed»") && !all.text.contains("Hello"), "{}", all.text);
    let student = TestRequest::get().uri(&events);
    node.send_as(ANNA, &["student"], student).await.problem(403, "Forbidden");
    let missing = format!("/v1/audit/replays/{}/events", Uuid::from_u128(1));
    read(&node, OFFICER, &missing).await.problem(404, "NotFound");
}

#[actix_web::test]
async fn gov_a2_a_replay_shows_the_state_after_each_fact_and_on_record_before() {
    let node = node().await;
    headline(&node).await;
    let other = TestRequest::put().uri("/v1/users/me/profile").set_json(json!({ "headline": "Goodbye" }));
    assert_eq!(node.send_as(ANNA, &["student"], other).await.status, 200);
    let replay = open(&node, true).await;
    let states = format!("{replay}/state");
    read(&node, OFFICER, &states).await.problem(409, "NotApproved");
    assert_eq!(by(&node, SECOND, &format!("{replay}/approve"), json!({})).await.status, 200);
    let events = read(&node, OFFICER, &format!("{replay}/events")).await.json();
    let of_profile = events["events"].as_array().unwrap().iter();
    let of_profile: Vec<_> =
        of_profile.filter(|event| event["resource_type"] == "identity.profile").cloned().collect();
    assert!(of_profile.len() >= 2, "{events}");
    for (version, event) in (1_u64..).zip(&of_profile) {
        let path = format!("{states}?as_of={}", event["position"]);
        let answer = read(&node, OFFICER, &path).await;
        let shown = answer.json();
        let mut profile = shown["states"].as_array().unwrap().iter();
        let profile = profile.rfind(|state| state["aggregate_type"] == "identity.profile");
        let profile = profile.unwrap_or_else(|| panic!("{}", answer.text));
        assert_eq!((&profile["version"], &profile["position"]), (&json!(version), &event["position"]));
        assert!(profile["state"].is_object(), "{profile}");
    }
    let log = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let reads = log.iter().filter(|event| event.event_type == "AuditReplayRead").count();
    assert_eq!(reads, 1 + of_profile.len(), "the events, and each state");
    for ahead in ["100000", "2199-01-01T00:00:00Z"] {
        let path = format!("{states}?as_of={ahead}");
        assert_eq!(read(&node, OFFICER, &path).await.problem(404, "NotFound")["field"], "as_of");
    }
    let student = TestRequest::get().uri(&states);
    node.send_as(ANNA, &["student"], student).await.problem(403, "Forbidden");
}

#[actix_web::test]
async fn gov_a2_the_states_of_a_replay_come_page_by_page() {
    let node = node().await;
    headline(&node).await;
    seen(&node).await;
    let states = format!("{}/state", open(&node, false).await);
    let all = read(&node, OFFICER, &states).await.json();
    assert_eq!((&all["next"], &all["truncated"]), (&Value::Null, &json!(false)));
    let name = |state: &Value| {
        format!("{}/{}", state["aggregate_type"].as_str().unwrap(), state["aggregate_id"].as_str().unwrap())
    };
    let names: Vec<String> = all["states"].as_array().unwrap().iter().map(name).collect();
    assert!(names.len() > 1, "{all}");
    let rest = read(&node, OFFICER, &format!("{states}?after={}", names[0])).await.json();
    let rest: Vec<String> = rest["states"].as_array().unwrap().iter().map(name).collect();
    // Each reading is on record, which the next one shows: the replay is about what was read.
    assert!(names[1..].iter().all(|name| rest.contains(name)) && !rest.contains(&names[0]), "{rest:?}");
    read(&node, OFFICER, &format!("{states}?after=profile")).await.problem(400, "InvalidParameter");
}

#[actix_web::test]
async fn a_replay_about_one_person_opens_nothing_that_is_about_others() {
    let node = node().await;
    headline(&node).await;
    seen(&node).await;
    let replay = open(&node, true).await;
    assert_eq!(by(&node, SECOND, &format!("{replay}/approve"), json!({})).await.status, 200);
    let events = read(&node, OFFICER, &format!("{replay}/events")).await.text;
    assert!(events.contains("Hello") && events.contains("«sealed»"), "{events}");
    let states = read(&node, OFFICER, &format!("{replay}/state")).await.text;
    for shown in [events, states] {
        assert!(!shown.contains("192.0.2.7"), "that is the officer's: {shown}");
    }
}

#[actix_web::test]
async fn gov_a2_what_a_replay_shows_is_handed_over_with_proofs_and_its_hash_is_on_record() {
    let node = node().await;
    headline(&node).await;
    let replay = open(&node, false).await;
    let export = format!("{replay}/export");
    let answer = exported(&node, &export).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let document = answer.json();
    assert!(answer.text.contains("«sealed»") && !answer.text.contains("Hello"), "{}", answer.text);
    assert!(document["notice"].as_str().unwrap().contains("34 CFR 99.33"));
    let proofs: Proofs = serde_json::from_value(document["proofs"].clone()).unwrap();
    let key = node.send(TestRequest::get().uri("/v1/log/key")).await.text;
    proofs.verify(&key.parse().unwrap()).unwrap();
    let positions = |list: &Value, of: fn(&Value) -> &Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|one| of(one).clone()).collect()
    };
    let proved = positions(&document["proofs"]["lines"], |line| &line["leaf"]["position"]);
    assert_eq!(proved, positions(&document["events"], |event| &event["position"]));
    let log = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let types: Vec<&str> = log.iter().rev().take(2).map(|event| &*event.event_type).collect();
    assert_eq!(types, ["AuditPackageExported", "AuditReplayRead"]);
    let recorded: Value = serde_json::from_str(&log.last().unwrap().payload).unwrap();
    let sha256 = domain::sha256_hex(&answer.text);
    assert_eq!(recorded["AuditPackageExported"]["sha256"], sha256);
    assert_eq!(answer.header("x-content-sha256"), sha256);
    assert_eq!(by(&node, OFFICER, &format!("{replay}/close"), json!({})).await.status, 200);
    exported(&node, &export).await.problem(409, "Closed");
}

/// The answer to an export, once the notary has signed what it is to prove.
async fn exported(node: &TestNode, export: &str) -> Answer {
    let waiting = async {
        loop {
            let answer = by(node, OFFICER, export, json!({})).await;
            if answer.status != 503 {
                break answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(30), waiting);
    waiting.await.expect("it is signed")
}

#[actix_web::test]
async fn the_data_map_tells_what_the_register_and_the_policies_say_of_each_class() {
    let node = node().await;
    let entry = json!({ "name": "Scholarships", "purpose": "To award them", "legal_basis": "Art. 6(1)(b)",
        "subjects": ["applicants"], "classes": ["education"], "recipients": ["sponsors"], "transfers": [],
        "retention": "7 years", "measures": "Sealed" });
    assert_eq!(by(&node, OFFICER, "/v1/governance/processing", entry).await.status, 201);
    let policy = json!({ "after": "event", "days": 4000, "action": "archive", "legal_basis": "policy 7" });
    let put = TestRequest::put().uri("/v1/governance/retention/education").set_json(policy);
    assert!(node.send_as(OFFICER, &["compliance"], put).await.status.is_success());
    let map = read(&node, OFFICER, "/v1/governance/data-map").await.json();
    let education = map["classes"].as_array().unwrap().iter().find(|class| class["class"] == "education");
    let education = education.unwrap();
    let activities = education["activities"].as_array().unwrap();
    assert!(activities.len() == 1 && activities[0]["purpose"] == "To award them", "{education}");
    assert_eq!(activities[0]["default"], false);
    let profile = map["classes"].as_array().unwrap().iter().find(|class| class["class"] == "profile");
    let activities = &profile.unwrap()["activities"];
    assert_eq!(activities[0]["default"], true, "nobody has registered what profiles are for: {activities}");
    assert_eq!(
        (&education["retention"]["days"], &education["education_record"]),
        (&json!(4000), &json!(true))
    );
    assert!(!education["events"].as_array().unwrap().is_empty(), "{education}");
    let student = TestRequest::get().uri("/v1/governance/data-map");
    node.send_as(ANNA, &["student"], student).await.problem(403, "Forbidden");
}

#[actix_web::test]
async fn holds_and_retention_policies_have_their_board() {
    let node = node().await;
    let hold = json!({ "title": "Smith", "subjects": [ANNA], "reason": "litigation", "ordered_by": "court" });
    let placed = by(&node, OFFICER, "/v1/governance/retention/holds", hold).await.json();
    let path = format!("/v1/governance/retention/holds?min_position={}", placed["position"]);
    let holds = read(&node, OFFICER, &path).await.json();
    assert_eq!(holds["items"][0]["held_subjects"], json!([ANNA]), "{holds}");

    let policy =
        |days| json!({ "after": "event", "days": days, "action": "archive", "legal_basis": "policy 7" });
    let set = |class: &str, days| {
        let put = TestRequest::put().uri(&format!("/v1/governance/retention/{class}")).set_json(policy(days));
        node.send_as(OFFICER, &["compliance"], put)
    };
    set("payment", 30).await.problem(422, "BelowLegalMinimum");
    let position = set("payment", 3000).await.json()["position"].clone();
    let board =
        read(&node, OFFICER, &format!("/v1/governance/retention?min_position={position}")).await.json();
    assert_eq!((&board["items"][0]["class"], &board["items"][0]["days"]), (&json!("payment"), &json!(3000)));
    let student = TestRequest::get().uri("/v1/governance/retention");
    node.send_as(ANNA, &["student"], student).await.problem(403, "Forbidden");
}

#[actix_web::test]
async fn people_see_what_is_held_about_them_and_compliance_leaves_a_trace() {
    let node = node().await;
    headline(&node).await;
    let own = node.send_as(ANNA, &[], TestRequest::get().uri("/v1/privacy/inventory/me")).await.json();
    let classes: Vec<&str> =
        own["holdings"].as_array().unwrap().iter().filter_map(|holding| holding["class"].as_str()).collect();
    assert!(classes.contains(&"profile") && own["complete"] == true && own["reads"] == 0, "{own}");
    let path = format!("/v1/privacy/inventory/{ANNA}");
    let seen = read(&node, OFFICER, &path).await.json();
    assert_eq!((&seen["holdings"], &seen["reads"]), (&own["holdings"], &json!(1)));
    // Within an org unit nobody sees the log: that nothing is shown must not pass for an answer.
    let within = format!("compliance@{}", Uuid::from_u128(9));
    for role in ["student", &within] {
        let asked = TestRequest::get().uri(&path);
        node.send_as(Uuid::from_u128(6), &[role], asked).await.problem(403, "Forbidden");
    }
}
