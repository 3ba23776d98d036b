//! The access log: who saw whose personal data.

use actix_web::test::TestRequest;
use commands::Request;
use domain::{
    Actor, RecordClass,
    governance::{SubjectKey, SubjectKeyCommand},
};
use event_store::Recorded;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{TestNode, node};

const ANNA: Uuid = Uuid::from_u128(5);
const CLERK: Uuid = Uuid::from_u128(6);
const OFFICER: Uuid = Uuid::from_u128(9);

/// A profile of Anna's; the position at which it can be read.
async fn profile(node: &TestNode) -> u64 {
    let headline = TestRequest::put().uri("/v1/users/me/profile").set_json(json!({ "headline": "Hello" }));
    node.send_as(ANNA, &["student"], headline).await.json()["position"].as_u64().unwrap()
}

async fn logged(node: &TestNode) -> Vec<(Recorded, Value)> {
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let of_access = |event: &Recorded| event.stream.aggregate_type == "governance.access_log";
    let fields = |event: Recorded| {
        let mut payload: Value = serde_json::from_str(&event.payload).unwrap();
        let fields = payload[&*event.event_type].take();
        (event, fields)
    };
    events.into_iter().filter(of_access).map(fields).collect()
}

#[actix_web::test]
async fn a_read_of_somebody_elses_data_is_on_record_before_it_is_answered() {
    let node = node().await;
    let position = profile(&node).await;
    let path = format!("/v1/people/{ANNA}?min_position={position}");
    let read = TestRequest::get().uri(&path).insert_header(("X-Purpose", "advising"));
    let read = read.peer_addr("192.0.2.7:4711".parse().unwrap()).insert_header(("User-Agent", "curl/8"));
    assert_eq!(node.send_as(CLERK, &["staff"], read).await.status, 200);

    let logged = logged(&node).await;
    let [(event, fields)] = &logged[..] else { panic!("{logged:?}") };
    assert_eq!(event.event_type, "AccessLogged");
    assert_eq!(fields["actor"], CLERK.to_string());
    assert_eq!(fields["subjects"], json!([ANNA]));
    assert_eq!((&fields["purpose"], &fields["route"]), (&json!("advising"), &json!("/v1/people/{id}")));
    let plain = format!("{}{}", event.payload, event.metadata);
    assert!(
        !plain.contains("192.0.2.7") && !plain.contains("curl"),
        "the reader's address is sealed: {plain}"
    );
    let store = node.node.api.commands.store();
    store.keyring().load_for(std::slice::from_ref(event)).await.unwrap();
    let opened = store.keyring().open(event).unwrap();
    assert_eq!(opened[0].as_deref(), Some(&br#"["192.0.2.7","curl/8"]"#[..]));
}

#[actix_web::test]
async fn no_read_of_somebody_elses_data_is_on_record_without_a_purpose() {
    let node = node().await;
    let position = profile(&node).await;
    let (person, trail) = (format!("/v1/people/{ANNA}"), format!("/v1/audit/trail?subject={ANNA}"));
    for (path, role, purpose) in [
        (format!("{person}?min_position={position}"), "staff", "Accounts and directory (implied)"),
        (trail, "compliance", "audit (implied)"),
        (format!("/v1/privacy/inventory/{ANNA}"), "compliance", "privacy rights and retention (implied)"),
    ] {
        let before = logged(&node).await.len();
        let read = node.send_as(CLERK, &[role], TestRequest::get().uri(&path)).await;
        assert_eq!(read.status, 200, "{path}: {}", read.text);
        let logged = logged(&node).await;
        let [(event, fields)] = &logged[before..] else { panic!("{path}: {logged:?}") };
        assert_eq!(fields["purpose"], purpose, "{path}");
        let envelope: Value = serde_json::from_str(&event.metadata).unwrap();
        assert_eq!(envelope["purpose"], purpose, "{path}");
    }
}

#[actix_web::test]
async fn what_people_read_of_their_own_is_nobodys_business() {
    let node = node().await;
    let position = profile(&node).await;
    let path = format!("/v1/users/me/profile?min_position={position}");
    assert_eq!(node.send_as(ANNA, &["student"], TestRequest::get().uri(&path)).await.status, 200);
    let own = node.send_as(ANNA, &["student"], TestRequest::get().uri("/v1/audit/me")).await;
    assert_eq!(own.status, 200);
    assert_eq!(logged(&node).await.len(), 0);
}

#[actix_web::test]
async fn the_audit_trail_shows_the_person_who_read_their_data() {
    let node = node().await;
    let position = profile(&node).await;
    let path = format!("/v1/people/{ANNA}?min_position={position}");
    assert_eq!(node.send_as(CLERK, &["staff"], TestRequest::get().uri(&path)).await.status, 200);
    let path = format!("/v1/audit/trail?subject={ANNA}&action=AccessLogged");
    let trail = node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&path)).await.json();
    assert_eq!(trail["entries"][0]["on_behalf_of"], CLERK.to_string(), "{trail}");
    let own =
        node.send_as(ANNA, &[], TestRequest::get().uri("/v1/audit/me?action=AccessLogged")).await.json();
    assert!(!own["entries"].as_array().unwrap().is_empty(), "{own}");
}

#[actix_web::test]
async fn what_caused_what_and_what_came_of_what_are_read_on_record_too() {
    let node = node().await;
    profile(&node).await;
    let event = node.node.api.commands.store().read_all(0, 1).await.unwrap().remove(0).event_id;
    let about = format!("identity.profile:{ANNA}");
    for (path, template) in [
        (format!("/v1/audit/events/{event}/chain"), "/v1/audit/events/{id}/chain"),
        (format!("/v1/governance/lineage/identity.profile/{ANNA}"), "/v1/governance/lineage/{type}/{id}"),
        (
            format!("/v1/governance/lineage/export/openlineage?node={about}"),
            "/v1/governance/lineage/export/openlineage",
        ),
    ] {
        let before = logged(&node).await.len();
        let read = node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&path)).await;
        assert_eq!(read.status, 200, "{path}: {}", read.text);
        let logged = logged(&node).await;
        let [(_, fields)] = &logged[before..] else { panic!("{path}: {logged:?}") };
        assert_eq!((&fields["route"], &fields["subjects"]), (&json!(template), &json!([ANNA])));
    }
    let before = logged(&node).await.len();
    let own = TestRequest::get().uri(&format!("/v1/audit/events/{event}/chain"));
    assert_eq!(node.send_as(ANNA, &["student"], own).await.status, 200);
    let ask = format!("/v1/governance/lineage/event/{event}");
    let pseudonyms = node.send_as(CLERK, &["analyst"], TestRequest::get().uri(&ask)).await;
    assert_eq!(pseudonyms.status, 200, "{}", pseudonyms.text);
    assert_eq!(logged(&node).await.len(), before, "one's own, and pseudonyms");
}

#[actix_web::test]
async fn whoever_reads_a_row_that_names_a_person_is_on_record_though_its_events_hold_nothing_of_theirs() {
    let node = node().await;
    let compliance = ["compliance", "operator"];
    let post = async |path: &str, body: Value| {
        let post = TestRequest::post().uri(path).set_json(body);
        let answer = node.send_elevated(OFFICER, &compliance, post).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer.json()["position"].as_u64().unwrap()
    };
    let hold = json!({ "title": "Smith", "subjects": [ANNA], "reason": "litigation", "ordered_by": "court" });
    post("/v1/governance/retention/holds", hold).await;
    let scope = json!({ "purpose": "gdpr", "scope": { "subject": ANNA }, "decrypt": false, "reason": "7" });
    post("/v1/audit/replays", scope).await;
    let key = SubjectKeyCommand::ProvisionSubjectKey {
        record_class: RecordClass::Profile,
        key_id: "profile/2026".into(),
        algorithm: "AES-256-GCM".into(),
    };
    let system = Request::by(Actor::policy("keys"));
    let known = node.node.api.commands.execute::<SubjectKey>(ANNA, key, &system).await.unwrap().position;
    for (template, query) in [
        ("/v1/governance/retention/holds", format!("min_position={known}")),
        ("/v1/audit/replays", format!("min_position={known}")),
        ("/v1/privacy/inventory/keys", format!("min_position={known}")),
        ("/v1/audit/trail", "resource_type=governance.subject_key".to_owned()),
    ] {
        let before = logged(&node).await.len();
        let path = format!("{template}?{query}");
        let read = TestRequest::get().uri(&path).insert_header(("X-Purpose", "litigation"));
        let answer = node.send_elevated(OFFICER, &compliance, read).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let logged = logged(&node).await;
        let [(_, fields)] = &logged[before..] else { panic!("{template}: {logged:?}") };
        assert_eq!((&fields["route"], &fields["subjects"]), (&json!(template), &json!([ANNA])));
        assert_eq!((&fields["actor"], &fields["purpose"]), (&json!(OFFICER), &json!("litigation")));
    }
}

#[actix_web::test]
async fn a_proof_of_what_happened_to_a_person_is_handed_out_on_record() {
    let node = node().await;
    let position = profile(&node).await;
    let path = format!("/v1/log/proof/{position}");
    let proof = node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&path)).await;
    assert!(proof.status == 200 && proof.text.contains(&ANNA.to_string()), "{}", proof.text);
    let logged = logged(&node).await;
    let [(_, fields)] = &logged[..] else { panic!("{logged:?}") };
    let route = json!("/v1/log/proof/{position}");
    assert_eq!((&fields["route"], &fields["subjects"]), (&route, &json!([ANNA])));
}

#[actix_web::test]
async fn whoever_is_turned_away_from_personal_data_is_on_record() {
    let node = node().await;
    node.send_as(ANNA, &["student"], TestRequest::get().uri("/v1/audit/trail"))
        .await
        .problem(403, "Forbidden");
    node.send(TestRequest::get().uri("/v1/people")).await.problem(401, "Unauthenticated");
    let logged = logged(&node).await;
    let told: Vec<(&str, &Value, &Value)> = logged
        .iter()
        .map(|(event, fields)| (&*event.event_type, &fields["reason"], &fields["actor"]))
        .collect();
    let (anna, nobody) = (json!(ANNA), Value::Null);
    let expected =
        [("AccessDenied", &json!("Forbidden"), &anna), ("AccessDenied", &json!("Unauthenticated"), &nobody)];
    assert_eq!(told, expected);
}

#[actix_web::test]
async fn a_purpose_is_a_few_visible_words() {
    let node = node().await;
    let read = TestRequest::get().uri("/v1/people").insert_header(("X-Purpose", "x".repeat(201)));
    node.send_as(CLERK, &["staff"], read).await.problem(400, "InvalidParameter");
}

#[actix_web::test]
async fn gov_i2_twenty_denials_of_one_caller_within_ten_minutes_open_one_incident() {
    let node = node().await;
    let denied = async |person: Uuid, times: usize| {
        for _ in 0..times {
            let ask = TestRequest::get().uri("/v1/audit/trail");
            node.send_as(person, &["student"], ask).await.problem(403, "Forbidden");
        }
    };
    denied(ANNA, 15).await;
    denied(CLERK, 19).await;
    let store = node.node.api.commands.store();
    let opened = async || {
        let events = store.read_all(0, 1000).await.unwrap();
        let of_type = |name: &str| events.iter().filter(|event| event.event_type == name).count();
        (of_type("SecurityIncidentOpened"), of_type("AccessDenied"))
    };
    assert_eq!(opened().await, (0, 34));
    let mut news = store.subscribe_head();
    denied(CLERK, 3).await;
    let seen = async {
        while opened().await.0 == 0 {
            news.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), seen).await.unwrap();
    // A denial of Anna's comes after all of theirs: when the policy has seen it, it has seen them.
    denied(ANNA, 5).await;
    let again = async {
        while opened().await.0 < 2 {
            news.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), again).await.unwrap();
    assert_eq!(opened().await.0, 2, "one for each person");
    let rows = async {
        loop {
            let rows = node
                .send_as(OFFICER, &["operator"], TestRequest::get().uri("/v1/incidents?kind=abuse"))
                .await
                .json();
            if rows["items"].as_array().unwrap().len() == 2 {
                return rows;
            }
            tokio::task::yield_now().await;
        }
    };
    let rows = tokio::time::timeout(std::time::Duration::from_secs(30), rows).await.unwrap();
    assert_eq!(rows["items"][0]["evidence"].as_array().unwrap().len(), 20, "{rows}");
}
