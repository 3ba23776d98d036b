//! Packages over HTTP: who asks for their data gets it, with proofs, and nobody else does.

use actix_web::test::TestRequest;
use commands::{Request, ports::Certifier};
use domain::{
    Actor, BasisPoints, Stated,
    intelligence::{Decision, DecisionCommand, Factor},
};
use event_store::integrity::{Proofs, Verifier};
use integrations::certifier::Ed25519Certifier;
use projections::governance::check_package;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{call_with, elevate, member, tokens},
    node::{Answer, NOTARY_SECRET, TestNode, node},
};

const ADA: Uuid = Uuid::from_u128(5);
const BEN: Uuid = Uuid::from_u128(6);
const CLERK: Uuid = Uuid::from_u128(7);
const OFFICER: Uuid = Uuid::from_u128(9);
const SECOND: Uuid = Uuid::from_u128(10);
const DECISION: Uuid = Uuid::from_u128(0xDEC);

async fn post(node: &TestNode, person: Uuid, role: &str, path: &str, body: Value) -> Answer {
    let answer = node.send_as(person, &[role], TestRequest::post().uri(path).set_json(body)).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text);
    answer
}

/// As somebody who has shown a second factor just now.
async fn fetch(node: &TestNode, person: Uuid, role: &str, path: &str) -> Answer {
    node.send_elevated(person, &[role], TestRequest::get().uri(path)).await
}

async fn describe(node: &TestNode, person: Uuid, headline: &str) -> u64 {
    let put = TestRequest::put().uri("/v1/users/me/profile").set_json(json!({ "headline": headline }));
    node.send_as(person, &["student"], put).await.json()["position"].as_u64().unwrap()
}

/// Ada has a profile that a clerk has read, was disclosed to a school and to a court that forbids to tell, and a machine
/// has decided about her.
async fn past(node: &TestNode) {
    describe(node, BEN, "Ben's words").await;
    let position = describe(node, ADA, "Ada's words").await;
    let read = format!("/v1/people/{ADA}?min_position={position}");
    assert_eq!(fetch(node, CLERK, "staff", &read).await.status, 200);
    for (basis, kind, party) in
        [("99.31(a)(2)", "other_school", "Another school"), ("99.31(a)(9)(ii)(A)", "court", "A secret court")]
    {
        let body = json!({ "subject": ADA, "party": party, "party_kind": kind, "records": ["transcript"],
            "interest": "Transfer", "basis": basis, "redisclosure_to": [] });
        post(node, OFFICER, "compliance", "/v1/disclosures", body).await;
    }
    let explanation = Stated(vec![Factor {
        factor: "gpa".into(),
        weight: BasisPoints(4000),
        reason: Some("Ada's average is high".into()),
    }]);
    let record = DecisionCommand::RecordDecision {
        model: None,
        engine: "rules/match@3".into(),
        family: "scholarship_match".into(),
        r#type: "score".into(),
        subject: ADA,
        about: Uuid::from_u128(0xA),
        favourable: true,
        score: BasisPoints(7000),
        threshold: Some(BasisPoints(5000)),
        features: Uuid::from_u128(0xF),
        explanation,
    };
    let request = Request {
        derived_from: vec![format!("identity.profile:{ADA}@2")],
        ..Request::by(Actor::policy("score_application"))
    };
    node.node.api.commands.execute::<Decision>(DECISION, record, &request).await.unwrap();
    let contest = format!("/v1/decisions/{DECISION}/contest");
    post(node, ADA, "student", &contest, json!({ "reason": "It forgets my thesis" })).await;
}

/// A request of Ada's, verified; answers its path.
async fn requested(node: &TestNode, regime: &str, r#type: &str, classes: &[&str]) -> String {
    let body = json!({ "regime": regime, "type": r#type, "classes": classes });
    let opened = post(node, ADA, "student", "/v1/privacy/requests", body).await;
    let path = format!("/v1/privacy/requests/{}", opened.json()["id"].as_str().unwrap());
    post(node, ADA, "student", &format!("{path}/verify"), json!({ "method": "session" })).await;
    path
}

/// Approves a request and waits until it is fulfilled and signed.
async fn fulfilled(node: &TestNode, path: &str) {
    fulfilled_by(node, OFFICER, path).await;
}

async fn fulfilled_by(node: &TestNode, officer: Uuid, path: &str) {
    let approve = format!("{path}/approve");
    let approved = post(node, officer, "compliance", &approve, json!({})).await.json();
    let approved = approved["position"].as_u64().unwrap();
    let store = node.node.api.commands.store();
    let mut news = store.subscribe_head();
    let waiting = async {
        loop {
            let events = store.read_all(approved, 1000).await.unwrap();
            if events.iter().any(|event| event.event_type == "PrivacyRequestCompleted") {
                break;
            }
            news.changed().await.unwrap();
        }
        while node.node.api.log.signed().map_or(0, |(checkpoint, _)| checkpoint.size) < approved {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await.expect("it is fulfilled");
}

async fn logged(node: &TestNode, event_type: &str) -> Vec<Value> {
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let of_type = events.into_iter().filter(|event| event.event_type == event_type);
    of_type.map(|event| serde_json::from_str::<Value>(&event.payload).unwrap()[event_type].take()).collect()
}

#[actix_web::test]
async fn p54_who_asks_for_their_data_gets_all_of_it_and_what_the_law_has_them_told() {
    let node = node().await;
    past(&node).await;
    let request = requested(&node, "gdpr", "access", &[]).await;
    fulfilled(&node, &request).await;
    let reads = logged(&node, "AccessLogged").await.len();
    let answer = fetch(&node, ADA, "student", &format!("{request}/package")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.header("content-disposition").starts_with("attachment"));
    assert_eq!(logged(&node, "AccessLogged").await.len(), reads, "one's own data is nobody's business");
    let package = answer.json();

    let text = &answer.text;
    assert!(text.contains("Ada's words") && text.contains("Ada's average is high"), "{text}");
    assert!(!text.contains("Ben's words") && !text.contains("A secret court"), "{text}");
    let models: Vec<&str> =
        package["rows"].as_array().unwrap().iter().filter_map(|rows| rows["name"].as_str()).collect();
    for model in ["people", "profiles", "decisions", "privacy_requests"] {
        assert!(models.contains(&model), "{models:?}");
    }
    let recipients = &package["recipients"];
    assert_eq!(recipients["disclosures"].as_array().unwrap().len(), 1, "{recipients}");
    assert_eq!(recipients["disclosures"][0]["party"], "Another school");
    assert_eq!(recipients["reads"][0]["by"], CLERK.to_string());
    let profile = package["classes"].as_array().unwrap().iter().find(|class| class["class"] == "profile");
    assert!(profile.unwrap()["retention"]["days"].is_u64(), "{package}");
    assert!(package["sources"].as_array().unwrap().iter().any(|source| source["source"] == "you"));
    assert_eq!(package["decisions"].as_array().unwrap().len(), 1);
    let decision = &package["decisions"][0];
    assert_eq!((&decision["engine"], &decision["version"]), (&json!("rules/match"), &json!("3")));
    let inputs = json!([format!("features:{}", Uuid::from_u128(0xF)), format!("identity.profile:{ADA}@2")]);
    assert_eq!((&decision["inputs"], &decision["favourable"]), (&inputs, &json!(true)));
    assert_eq!(decision["contested"], "It forgets my thesis");
    assert!(decision["remedy"].as_str().unwrap().contains("A human reviews"), "{decision}");

    let page = fetch(&node, ADA, "student", &format!("{request}/package/page")).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text.contains("Ada&#39;s words") && !page.text.contains("Ben"), "{}", page.text);
    let schema = node.send(TestRequest::get().uri("/v1/privacy/package.schema.json")).await.json();
    let required = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str);
    assert!(required.into_iter().all(|name| !package[name].is_null()), "{schema}");
}

#[actix_web::test]
async fn art_15_a_package_says_for_what_data_was_processed_and_which_purposes_nobody_has_confirmed() {
    let node = node().await;
    past(&node).await;
    let entry = json!({ "name": "Grants", "purpose": "To award grants", "legal_basis": "Art. 6(1)(e)",
        "subjects": ["applicants"], "classes": ["ai_content"], "contexts": ["intelligence"], "recipients": [],
        "transfers": [], "retention": "a year", "measures": "Sealed" });
    post(&node, OFFICER, "compliance", "/v1/governance/processing", entry).await;
    let request = requested(&node, "gdpr", "access", &[]).await;
    fulfilled(&node, &request).await;
    let package = fetch(&node, ADA, "student", &format!("{request}/package")).await.json();
    let purposes = package["purposes"].as_array().unwrap();
    let stated = |used: &Value| used["purpose"].is_string() && used["legal_basis"].is_string();
    assert!(!purposes.is_empty() && purposes.iter().all(stated), "{package}");
    let ours = purposes.iter().find(|used| used["purpose"] == "To award grants").unwrap();
    assert_eq!((&ours["legal_basis"], &ours["default"]), (&json!("Art. 6(1)(e)"), &json!(false)));
    assert!(ours["events"].as_u64().unwrap() >= 2, "it was recorded and contested: {ours}");
    let processing = package["processing"].as_array().unwrap();
    let named = |name: &str| processing.iter().find(|record| record["name"] == name);
    assert_eq!(named("Accounts and directory").unwrap()["default"], true, "{package}");
    assert!(named("Rights, consents and disclosures").is_some(), "{package}");
    assert!(named("Explained decisions").is_none() && named("Personal budgets").is_none(), "{package}");
    let page = fetch(&node, ADA, "student", &format!("{request}/package/page")).await.text;
    assert!(page.contains("Accounts and directory (a default of the house)"), "{page}");
    assert!(page.contains("<h3>Grants</h3>"), "{page}");
}

#[actix_web::test]
async fn p54_a_package_proves_offline_that_its_events_are_in_the_log() {
    let node = node().await;
    past(&node).await;
    let request = requested(&node, "ferpa", "inspection", &[]).await;
    fulfilled(&node, &request).await;
    let path = format!("{request}/package");
    let package = fetch(&node, ADA, "student", &path).await.json();
    let attached = logged(&node, "PrivacyPackageAttached").await;
    assert_eq!(package["manifest_sha256"], attached[0]["manifest_hash"]);
    let proofs: Proofs = serde_json::from_value(package["proofs"].clone()).unwrap();
    let key = node.send(TestRequest::get().uri("/v1/log/key")).await.text;
    let verifier: Verifier = key.parse().unwrap();
    assert!(proofs.verify(&verifier).unwrap().size >= package["position"].as_u64().unwrap());
    let folder = node.notary.join("handed-out");
    std::fs::create_dir(&folder).unwrap();
    let strangers = |name: &str, package: &Value| {
        let file = folder.join(name);
        std::fs::write(&file, package.to_string()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/integrity/check_proof.py");
        let run = std::process::Command::new("python3").arg(script).arg(&file).arg(key.trim()).output();
        let run = run.unwrap();
        (run.status.code(), String::from_utf8_lossy(&run.stdout).into_owned())
    };
    let ours = |package: &Value| check_package(package, &verifier).map_err(|flaw| flaw.to_string());
    let (code, told) = strangers("whole", &package);
    assert_eq!(
        (code, ours(&package).map(|(events, _)| events)),
        (Some(0), Ok(proofs.lines.len() as u64)),
        "{told}"
    );
    type Tamper = fn(&mut Value);
    let tampered: [(&str, Tamper); 8] = [
        ("proof", |package| _ = package["proofs"]["lines"].as_array_mut().unwrap().pop()),
        ("record", |package| _ = package["records"].as_array_mut().unwrap().remove(0)),
        ("read", |package| _ = package["recipients"]["reads"].as_array_mut().unwrap().pop()),
        ("value", |package| package["records"][1]["data"]["more"] = json!("words")),
        ("right", |package| package["rights"][0] = json!("You have none.")),
        ("row", |package| _ = package["rows"].as_array_mut().unwrap().pop()),
        ("person", |package| package["subject"] = json!(BEN)),
        ("seal", |package| _ = package.as_object_mut().unwrap().remove("seal")),
    ];
    for (what, tamper) in tampered {
        let mut altered = package.clone();
        tamper(&mut altered);
        assert_eq!(strangers(what, &altered).0, Some(1), "{what}");
        assert!(ours(&altered).is_err(), "{what}");
    }
    // Not even whoever has the key gets anything in that is not in the log.
    let seal = package["seal"].as_str().unwrap();
    let mut said: Value = serde_json::from_slice(&verifier.open_jws(seal).unwrap()).unwrap();
    let mut made_up = package.clone();
    made_up.as_object_mut().unwrap().remove("seal");
    made_up["records"][0]["position"] = json!(100_000);
    said["sha256"] = json!(domain::sha256_hex(&made_up.to_string()));
    let certifier = Ed25519Certifier::new(&NOTARY_SECRET, verifier.key_id());
    made_up["seal"] = json!(certifier.sign(&said).unwrap());
    let (code, told) = strangers("made-up", &made_up);
    assert!(code == Some(1) && told.contains("position 100000 is in the package and not proved"), "{told}");
    assert!(ours(&made_up).unwrap_err().contains("position 100000 is in the package"));
    let again = fetch(&node, ADA, "student", &path).await.json();
    assert_eq!(again["records"], package["records"], "it is a function of the log up to its position");
}

#[actix_web::test]
async fn p54_a_package_is_for_the_person_and_who_else_fetches_it_is_on_record_before() {
    let node = node().await;
    past(&node).await;
    let request = requested(&node, "gdpr", "access", &[]).await;
    let package = format!("{request}/package");
    let early = fetch(&node, ADA, "student", &package).await.problem(409, "InvalidState");
    assert_eq!(early["details"]["state"], "verified", "GOV-P2");
    fulfilled(&node, &request).await;
    for path in [package.clone(), format!("{package}/page")] {
        let denied = logged(&node, "AccessDenied").await.len();
        fetch(&node, BEN, "student", &path).await.problem(403, "Forbidden");
        fetch(&node, CLERK, "staff", &path).await.problem(403, "Forbidden");
        assert_eq!(logged(&node, "AccessDenied").await.len(), denied + 2);
        let read = fetch(&node, OFFICER, "compliance", &path).await;
        assert_eq!(read.status, 200, "{}", read.text);
        let logged = logged(&node, "AccessLogged").await;
        let last = logged.last().unwrap();
        assert_eq!((&last["subjects"], &last["actor"]), (&json!([ADA]), &json!(OFFICER)));
    }
    let missing = format!("/v1/privacy/requests/{}/package", Uuid::from_u128(1));
    fetch(&node, ADA, "student", &missing).await.problem(404, "NotFound");
    let wrong = format!("{package}?limit=1");
    fetch(&node, ADA, "student", &wrong).await.problem(400, "InvalidParameter");
}

#[actix_web::test]
async fn gov_p2_what_staff_vouch_for_is_approved_by_another_and_read_with_a_second_factor() {
    let node = node().await;
    past(&node).await;
    let id = Uuid::from_u128(0x9E0);
    let body = json!({ "subject": ADA, "regime": "gdpr", "type": "access", "classes": [] });
    let open = format!("/v1/governance/privacy-request/{id}/open-privacy-request");
    post(&node, OFFICER, "compliance", &open, body).await;
    let request = format!("/v1/privacy/requests/{id}");
    let document = json!({ "method": "document" });
    post(&node, OFFICER, "compliance", &format!("{request}/verify"), document).await;
    let canonical = format!("/v1/governance/privacy-request/{id}/approve-privacy-request");
    for path in [format!("{request}/approve"), canonical] {
        let approve = TestRequest::post().uri(&path).set_json(json!({}));
        node.send_elevated(OFFICER, &["compliance"], approve).await.problem(403, "SamePerson");
    }
    fulfilled_by(&node, SECOND, &request).await;

    let package = format!("{request}/package");
    for path in [package.clone(), format!("{package}/page")] {
        let reads = logged(&node, "AccessLogged").await.len();
        let weak = node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&path)).await;
        weak.problem(401, "ElevationRequired");
        assert!(!weak.text.contains("words"), "{}", weak.text);
        assert_eq!(logged(&node, "AccessLogged").await.len(), reads, "nothing was read");
        let read = fetch(&node, OFFICER, "compliance", &path).await;
        assert!(read.status == 200 && read.text.contains("words"), "{}", read.text);
        let logged = logged(&node, "AccessLogged").await;
        let last = logged.last().unwrap();
        assert_eq!((&last["resource"], &last["subjects"]), (&json!(path), &json!([ADA])));
    }
    let own = node.send_as(ADA, &["student"], TestRequest::get().uri(&package)).await;
    assert_eq!(own.status, 200, "a token of the operator's command line has no session: {}", own.text);
}

#[actix_web::test]
async fn idn_s5_a_login_alone_asks_for_no_erasure_and_gets_no_package() {
    let node = node().await;
    member(&node, "ada@example.edu").await;
    let (token, _) = tokens(&node, "ada@example.edu").await;
    let send = async |path: &str, body: Value| call_with(&node, &token, path, body).await;
    let opened = |answer: Answer| {
        assert_eq!(answer.status, 201, "{}", answer.text);
        format!("/v1/privacy/requests/{}", answer.json()["id"].as_str().unwrap())
    };
    let body = |of: &str| json!({ "regime": "gdpr", "type": of, "classes": [] });
    let erasure = opened(send("/v1/privacy/requests", body("erasure")).await);
    let access = opened(send("/v1/privacy/requests", body("access")).await);
    for method in [json!("session"), json!({ "session": null })] {
        let verify = json!({ "method": method });
        send(&format!("{erasure}/verify"), verify).await.problem(401, "ElevationRequired");
    }
    let id = erasure.rsplit('/').next().unwrap();
    let canonical = format!("/v1/governance/privacy-request/{id}/verify-requester");
    send(&canonical, json!({ "method": "session" })).await.problem(401, "ElevationRequired");
    // A code is a proof of its own.
    let code = json!({ "method": "email_code", "proof": "0123" });
    assert_ne!(send(&format!("{erasure}/verify"), code).await.status, 401);
    let fetch = async || {
        let get = TestRequest::get().uri(&format!("{access}/package"));
        node.send(get.insert_header(("Authorization", format!("Bearer {token}")))).await
    };
    fetch().await.problem(401, "ElevationRequired");
    elevate(&node, &token).await;
    for request in [&erasure, &access] {
        let verified = send(&format!("{request}/verify"), json!({ "method": "session" })).await;
        assert_eq!(verified.status, 200, "{}", verified.text);
    }
    fetch().await.problem(409, "InvalidState");
    assert_eq!(logged(&node, "RequesterVerified").await.len(), 2);
}

#[actix_web::test]
async fn p54_what_was_denied_or_asks_for_something_else_has_no_package() {
    let node = node().await;
    past(&node).await;
    let request = requested(&node, "gdpr", "access", &[]).await;
    let deny = json!({ "ground": "Art. 12(5)", "note": "It repeats itself" });
    post(&node, OFFICER, "compliance", &format!("{request}/deny"), deny).await;
    let denied = fetch(&node, ADA, "student", &format!("{request}/package")).await;
    assert_eq!(denied.problem(409, "InvalidState")["details"]["state"], "denied");
    let other = requested(&node, "gdpr", "rectification", &[]).await;
    fetch(&node, ADA, "student", &format!("{other}/package")).await.problem(404, "NotFound");
}

#[actix_web::test]
async fn p54_portability_has_what_the_person_provided_and_classes_narrow_a_package_down() {
    let node = node().await;
    past(&node).await;
    let request = requested(&node, "gdpr", "portability", &[]).await;
    fulfilled(&node, &request).await;
    let package = fetch(&node, ADA, "student", &format!("{request}/package")).await.json();
    let records = package["records"].as_array().unwrap();
    assert!(!records.is_empty() && records.iter().all(|record| record["by"] == "you"), "{package}");
    assert!(package.to_string().contains("It forgets my thesis"), "her own words are hers: {package}");
    assert_eq!((&package["rows"], &package["decisions"]), (&json!([]), &json!([])));
    assert!(package["withheld"].to_string().contains("Art. 20(1)"), "{package}");

    let request = requested(&node, "gdpr", "access", &["profile"]).await;
    fulfilled(&node, &request).await;
    let narrow = fetch(&node, ADA, "student", &format!("{request}/package")).await.text;
    assert!(narrow.contains("Ada's words"), "{narrow}");
    assert!(!narrow.contains("Ada's average is high"), "class ai_content was not asked for: {narrow}");
}

#[actix_web::test]
async fn p54_after_an_erasure_there_is_nothing_left_to_hand_out() {
    let node = node().await;
    past(&node).await;
    let request = requested(&node, "gdpr", "access", &[]).await;
    fulfilled(&node, &request).await;
    let package = format!("{request}/package");
    let keyring = node.node.api.commands.store().keyring();
    let some = event_store::Classes::Only(&["profile"]);
    keyring.shred(ADA, some, event_store::Basis::Erasure).await.unwrap();
    let less = fetch(&node, ADA, "student", &package).await;
    assert!(less.status == 200 && !less.text.contains("Ada's words"), "{}", less.text);
    let told = less.text.contains("«erased»") && less.text.contains("their keys were destroyed");
    assert!(told, "{}", less.text);
    keyring.shred(ADA, event_store::Classes::All, event_store::Basis::Erasure).await.unwrap();
    fetch(&node, ADA, "student", &package).await.problem(410, "Gone");
    fetch(&node, OFFICER, "compliance", &format!("{package}/page")).await.problem(410, "Gone");
}

#[actix_web::test]
async fn p54_whoever_handles_requests_is_told_that_what_a_package_had_was_erased_by_the_erasure_of_the_person()
 {
    let node = node().await;
    past(&node).await;
    let request = requested(&node, "gdpr", "access", &[]).await;
    fulfilled(&node, &request).await;
    assert_eq!(fetch(&node, OFFICER, "compliance", &format!("{request}/package")).await.status, 200);
    let erasure = requested(&node, "gdpr", "erasure", &[]).await;
    fulfilled(&node, &erasure).await;
    for path in [format!("{request}/package"), format!("{request}/package/page")] {
        let gone = fetch(&node, OFFICER, "compliance", &path).await.problem(410, "Gone");
        assert!(gone["detail"].as_str().unwrap().contains("erased"), "{gone}");
    }
}
