//! A walk through 34 CFR 99, paragraph by paragraph: what a student and an office do, and what is refused to them.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{Answer, TestNode, node};

const ADA: Uuid = Uuid::from_u128(5);
const BEN: Uuid = Uuid::from_u128(6);
const OFFICER: Uuid = Uuid::from_u128(9);
const HEARING: Uuid = Uuid::from_u128(10);

#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert!(answer.status.is_success(), "{} {}", answer.status, answer.text);
    answer.json()
}

/// As a student.
async fn asks(node: &TestNode, path: &str, body: Value) -> Answer {
    node.send_as(ADA, &["student"], TestRequest::post().uri(path).set_json(body)).await
}

/// As the office.
async fn office(node: &TestNode, path: &str, body: Value) -> Answer {
    node.send_as(OFFICER, &["compliance"], TestRequest::post().uri(path).set_json(body)).await
}

async fn rows(node: &TestNode, person: Uuid, role: &str, path: &str, since: &Answer) -> Vec<Value> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}min_position={}", ok(since)["position"]);
    let page = node.send_as(person, &[role], TestRequest::get().uri(&path)).await;
    ok(&page)["items"].as_array().unwrap().clone()
}

/// The path of what was created.
fn path_of(base: &str, created: &Answer) -> String {
    format!("{base}/{}", ok(created)["id"].as_str().unwrap())
}

/// A request under FERPA that the student opened and verified; its path.
async fn request(node: &TestNode, r#type: &str, records: &[&str]) -> String {
    let body = json!({ "regime": "ferpa", "type": r#type, "classes": ["education"], "records": records,
        "details": "My transcript of 2025" });
    let opened = asks(node, "/v1/privacy/requests", body).await;
    let path = path_of("/v1/privacy/requests", &opened);
    ok(&asks(node, &format!("{path}/verify"), json!({ "method": "session" })).await);
    path
}

/// A request of a party for Ada's records; its path.
async fn disclosure(node: &TestNode, basis: &str, party_kind: &str, records: &[&str]) -> String {
    let body = json!({ "subject": ADA, "party": "Acme", "party_kind": party_kind, "records": records,
        "interest": "An application", "basis": basis, "redisclosure_to": [] });
    path_of("/v1/disclosures", &office(node, "/v1/disclosures", body).await)
}

async fn authorize(node: &TestNode, disclosure: &str, body: Value) -> Answer {
    office(node, &format!("{disclosure}/authorize"), body).await
}

async fn record(node: &TestNode, disclosure: &str) -> Answer {
    let body =
        json!({ "documents": [Uuid::from_u128(0xD0)], "method": "mail", "at": jiff::Timestamp::now() });
    office(node, &format!("{disclosure}/record"), body).await
}

#[actix_web::test]
async fn ferpa_99_10_an_inspection_is_due_in_45_days_and_nothing_is_destroyed_meanwhile() {
    let node = node().await;
    let facet = json!({ "student_no": "S1", "major": "Physics", "grad_year": 2027, "source": "self" });
    ok(&node
        .send_as(ADA, &["student"], TestRequest::put().uri("/v1/users/me/profile/student").set_json(facet))
        .await);
    let inspection = request(&node, "inspection", &[]).await;
    let body = json!({ "regime": "gdpr", "type": "erasure", "classes": ["education"] });
    let erasure = path_of("/v1/privacy/requests", &asks(&node, "/v1/privacy/requests", body).await);
    let verified = asks(&node, &format!("{erasure}/verify"), json!({ "method": "session" })).await;
    ok(&verified);
    office(&node, &format!("{erasure}/approve"), json!({})).await.problem(409, "LegalHoldActive");
    let seen = rows(&node, ADA, "student", "/v1/privacy/requests?type=inspection", &verified).await;
    let at = |name: &str| seen[0][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at("due_at").duration_since(at("opened_at")), jiff::SignedDuration::from_hours(45 * 24));

    let keyring = node.node.api.commands.store().keyring();
    assert!(!keyring.is_erased(ADA, "education").await.unwrap());

    ok(&asks(&node, &format!("{inspection}/cancel"), json!({})).await);
    ok(&office(&node, &format!("{erasure}/approve"), json!({})).await);
    assert_ne!(erasure_step(&node, &erasure).await["outcome"], "refused");
    assert!(node.node.api.commands.store().keyring().is_erased(ADA, "education").await.unwrap());
}

/// What became of the erasure of the education records, once it is settled: read off the log, as it comes.
async fn erasure_step(node: &TestNode, erasure: &str) -> Value {
    let id = erasure.rsplit('/').next().unwrap();
    let store = node.node.api.commands.store();
    let mut news = store.subscribe_head();
    let settled = async {
        loop {
            let events = store.read_all(0, 10_000).await.unwrap();
            let own = events.iter().filter(|event| *event.stream.aggregate_id == *id);
            let steps = own.filter(|event| event.event_type == "FulfilmentStepRecorded");
            let last = steps.filter_map(|event| {
                let mut payload: Value = serde_json::from_str(&event.payload).unwrap();
                let step = payload["FulfilmentStepRecorded"].take();
                (step["outcome"] != "partial" && step["context"] == "keys of education").then_some(step)
            });
            if let Some(step) = last.last() {
                return step;
            }
            news.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), settled).await.unwrap()
}

#[actix_web::test]
async fn ferpa_99_20_a_record_is_amended_by_the_office_that_says_so_and_never_by_the_student() {
    let node = node().await;
    let amendment = request(&node, "amendment", &["transcript"]).await;
    let step =
        json!({ "context": "education", "outcome": "done", "records": 1, "note": "The grade was corrected" });
    let id = amendment.rsplit('/').next().unwrap();
    let canonical = format!("/v1/governance/privacy-request/{id}/record-fulfilment-step");
    office(&node, &canonical, step.clone()).await.problem(409, "InvalidState");
    ok(&office(&node, &format!("{amendment}/approve"), json!({})).await);
    asks(&node, &canonical, step.clone()).await.problem(403, "Forbidden");
    ok(&office(&node, &canonical, step).await);
    let store = node.node.api.commands.store();
    let mut news = store.subscribe_head();
    let completed = async {
        while !store
            .read_all(0, 1000)
            .await
            .unwrap()
            .iter()
            .any(|e| e.event_type == "PrivacyRequestCompleted")
        {
            news.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), completed).await.unwrap();
}

#[actix_web::test]
async fn ferpa_99_20_an_amendment_names_its_records_and_each_choice_of_them_is_contested_by_itself() {
    let node = node().await;
    let amends = async |records: &[&str]| {
        let body =
            json!({ "regime": "ferpa", "type": "amendment", "classes": ["education"], "records": records });
        asks(&node, "/v1/privacy/requests", body).await
    };
    assert_eq!(amends(&[]).await.problem(422, "InvalidValue")["field"], "records");
    let transcript = path_of("/v1/privacy/requests", &amends(&["transcript"]).await);
    ok(&amends(&["attendance"]).await);
    amends(&["Transcript"]).await.problem(409, "Duplicate");
    ok(&asks(&node, &format!("{transcript}/cancel"), json!({})).await);
    ok(&amends(&["transcript"]).await);
}

#[actix_web::test]
async fn ferpa_99_21_a_refused_amendment_is_heard_and_the_statement_travels_with_the_record() {
    let node = node().await;
    let amendment = request(&node, "amendment", &["transcript"]).await;
    let statement = json!({ "statement": "I was ill on that day" });
    asks(&node, &format!("{amendment}/statement"), statement.clone()).await.problem(409, "InvalidState");
    let deny = json!({ "ground": "99.21", "note": "The grade is what was given" });
    ok(&office(&node, &format!("{amendment}/deny"), deny).await);
    // 99.22(c): nobody with a direct interest conducts the hearing.
    let hearing = |officer: Uuid, at: jiff::Timestamp| json!({ "at": at, "officer": officer });
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    for interested in [OFFICER, ADA] {
        let answer = office(&node, &format!("{amendment}/hearing"), hearing(interested, tomorrow)).await;
        answer.problem(409, "OfficerInterested");
    }
    let outcome = json!({ "amended": false, "decision": "The grade stands, because it was earned" });
    office(&node, &format!("{amendment}/hearing/outcome"), outcome.clone())
        .await
        .problem(409, "InvalidState");
    ok(&office(&node, &format!("{amendment}/hearing"), hearing(HEARING, tomorrow)).await);
    // The hearing is held, and not before its time.
    let decide = async || {
        let post = TestRequest::post().uri(&format!("{amendment}/hearing/outcome")).set_json(&outcome);
        node.send_as(HEARING, &[], post).await
    };
    assert_eq!(decide().await.problem(422, "InvalidValue")["field"], "decision");
    // It is moved so far ahead that it is still to come when that is decided, however slow the machine is.
    let mut ahead = std::time::Duration::from_millis(100);
    let at = loop {
        let at = jiff::Timestamp::now() + ahead;
        let moved = office(&node, &format!("{amendment}/hearing"), hearing(HEARING, at)).await;
        if moved.status == 200 {
            break at;
        }
        assert_eq!(moved.problem(422, "InvalidValue")["field"], "at");
        ahead *= 2;
    };
    while jiff::Timestamp::now() < at {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    ok(&decide().await);
    node.send_as(
        BEN,
        &["student"],
        TestRequest::post().uri(&format!("{amendment}/statement")).set_json(&statement),
    )
    .await
    .problem(403, "Forbidden");
    ok(&asks(&node, &format!("{amendment}/statement"), statement).await);

    // 99.21(c)(2): it is disclosed with the contested record, and with no other.
    for (records, travels) in [(["Transcript"], true), (["attendance"], false)] {
        let disclosure = disclosure(&node, "99.31(a)(2)", "other_school", &records).await;
        ok(&authorize(&node, &disclosure, json!({})).await);
        let recorded = record_once_it_is_seen(&node, &disclosure).await;
        let path = "/v1/disclosures?state=recorded";
        let seen = rows(&node, OFFICER, "compliance", path, &recorded).await;
        let row = seen.iter().find(|row| row["records"] == json!(records)).unwrap();
        let request = amendment.rsplit('/').next().unwrap();
        let expected = if travels { json!([request]) } else { json!([]) };
        assert_eq!(row["statements"], expected, "{row}");
        if travels {
            let seen = node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&amendment)).await;
            assert_eq!(ok(&seen)["statement"], "I was ill on that day");
        }
    }
}

/// A disclosure is not recorded before it has seen every statement: until then it is to be tried again.
async fn record_once_it_is_seen(node: &TestNode, disclosure: &str) -> Answer {
    loop {
        let answer = record(node, disclosure).await;
        if answer.status.is_success() {
            return answer;
        }
        answer.problem(503, "StatementPending");
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn ferpa_99_30_a_consent_is_signed_dated_and_names_records_purpose_and_recipient() {
    let node = node().await;
    let path = "/v1/privacy/consents/disclosures";
    let whole = json!({ "consent": Uuid::from_u128(0xC1), "records": "transcript", "purpose": "Work", "party": "Acme",
        "signed_at": "2026-01-01T00:00:00Z", "signature": Uuid::from_u128(0xD1) });
    for name in ["records", "purpose", "party"] {
        let mut part = whole.clone();
        part[name] = json!(" ");
        assert_eq!(asks(&node, path, part).await.problem(422, "IncompleteConsent")["field"], name);
    }
    for name in ["signed_at", "signature"] {
        let mut part = whole.clone();
        part.as_object_mut().unwrap().remove(name);
        asks(&node, path, part).await.problem(400, "Malformed");
    }
    // Nobody consents for the student, compliance included: the path is the caller's own.
    let canonical = format!("/v1/governance/consent-ledger/{ADA}/grant-disclosure-consent");
    office(&node, &canonical, whole.clone()).await.problem(403, "Forbidden");
    ok(&asks(&node, path, whole).await);
    let disclosure = disclosure(&node, "99.30", "employer", &["transcript"]).await;
    ok(&authorize(&node, &disclosure, json!({ "consent": Uuid::from_u128(0xC1) })).await);
}

#[actix_web::test]
async fn ferpa_99_31_a_9_ii_a_students_own_trail_does_not_tell_what_a_court_forbids_to_tell() {
    let node = node().await;
    let secret = disclosure(&node, "99.31(a)(9)(ii)(A)", "court", &["transcript"]).await;
    ok(&authorize(&node, &secret, json!({})).await);
    ok(&asks(&node, "/v1/privacy/requests", json!({ "regime": "gdpr", "type": "access", "classes": [] }))
        .await);
    let trail = TestRequest::get().uri("/v1/audit/me");
    let trail = node.send_as(ADA, &["student"], trail).await.json();
    let kinds: Vec<&str> = trail["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource_type"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"governance.privacy_request"), "{trail}");
    assert!(!kinds.contains(&"governance.disclosure"), "{trail}");
}

#[actix_web::test]
async fn ferpa_99_31_each_paragraph_carries_a_disclosure_to_its_party_and_to_no_other() {
    let node = node().await;
    let told = json!({ "notified_at": "2026-01-02T00:00:00Z" });
    let agreed = json!({ "agreement": Uuid::from_u128(0xA6) });
    let plain = json!({});
    for (basis, party, records, needs, refusal) in [
        ("99.31(a)(1)(i)(A)", "school_official", "transcript", &plain, None),
        ("99.31(a)(1)(i)(B)", "contractor", "transcript", &plain, None),
        ("99.31(a)(2)", "other_school", "transcript", &plain, None),
        ("99.31(a)(3)", "other", "transcript", &plain, None),
        ("99.31(a)(4)", "other", "aid", &plain, None),
        ("99.31(a)(5)", "other", "transcript", &plain, None),
        ("99.31(a)(6)", "other", "transcript", &agreed, Some("AgreementMissing")),
        ("99.31(a)(7)", "other", "transcript", &plain, None),
        ("99.31(a)(8)", "other", "transcript", &plain, None),
        ("99.31(a)(9)(i)", "court", "transcript", &told, Some("NoticeMissing")),
        ("99.31(a)(9)(ii)(A)", "court", "transcript", &plain, None),
        ("99.31(a)(9)(iii)", "court", "transcript", &plain, None),
        ("99.31(a)(10)", "emergency", "address", &plain, None),
        ("99.31(a)(12)", "student", "transcript", &plain, None),
        ("99.31(a)(13)", "other", "final_results", &plain, None),
        ("99.31(a)(14)", "other", "final_results", &plain, None),
        ("99.31(a)(15)", "other", "conduct", &plain, None),
        ("99.31(a)(16)", "other", "conduct", &plain, None),
    ] {
        let stranger = if party == "employer" { "student" } else { "directory" };
        let unfit = disclosure(&node, basis, stranger, &[records]).await;
        authorize(&node, &unfit, needs.clone()).await.problem(409, "BasisUnfit");
        record(&node, &unfit).await.problem(409, "NotAuthorized");
        let fits = disclosure(&node, basis, party, &[records]).await;
        if let Some(code) = refusal {
            authorize(&node, &fits, json!({})).await.problem(422, code);
        }
        if records == "final_results" {
            let more = disclosure(&node, basis, party, &["final_results", "transcript"]).await;
            authorize(&node, &more, json!({})).await.problem(409, "NotFinalResults");
        }
        let authorized = authorize(&node, &fits, needs.clone()).await;
        assert!(authorized.status.is_success(), "{basis}: {}", authorized.text);
    }
    // Whoever may not decide on disclosures may not decide on this one either.
    let body = json!({ "subject": ADA, "party": "Acme", "party_kind": "other", "records": ["transcript"],
        "interest": "An audit", "basis": "99.31(a)(3)", "redisclosure_to": [] });
    for role in ["student", "staff", "analyst", "operator"] {
        let post = TestRequest::post().uri("/v1/disclosures").set_json(&body);
        node.send_as(BEN, &[role], post).await.problem(403, "Forbidden");
    }
}

#[actix_web::test]
async fn ferpa_99_32_the_record_has_party_interest_and_basis_and_is_there_before_the_release() {
    let node = node().await;
    let disclosure = disclosure(&node, "99.31(a)(3)", "other", &["transcript"]).await;
    ok(&authorize(&node, &disclosure, json!({})).await);
    let recorded = record(&node, &disclosure).await;
    // What was answered is on disk: the position of the record is no later than the log's end as of the answer.
    let position = ok(&recorded)["position"].as_u64().unwrap();
    let event = node.node.api.commands.store().read_all(position - 1, 1).await.unwrap().remove(0);
    assert_eq!(event.event_type, "DisclosureRecorded");
    let row = &rows(&node, ADA, "student", "/v1/disclosures/me", &recorded).await[0];
    for (name, value) in [
        ("party", json!("Acme")),
        ("interest", json!("An application")),
        ("basis", json!("99.31(a)(3)")),
        ("records", json!(["transcript"])),
        ("authorized_by", json!(OFFICER)),
        ("exempt", json!(false)),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    // 99.33(d): what the party is told.
    assert!(row["redisclosure_notice"].as_str().unwrap().contains("99.33(a)"));
    assert!(row["requested_at"].is_string() && row["at"].is_string());
    // 99.32(c): the student and the office read it; nobody else does.
    assert!(rows(&node, BEN, "student", "/v1/disclosures", &recorded).await.is_empty());
    assert!(rows(&node, BEN, "staff", "/v1/disclosures", &recorded).await.is_empty());
}

#[actix_web::test]
async fn ferpa_99_36_an_emergency_names_its_threat_before_anything_is_released() {
    let node = node().await;
    let disclosure = disclosure(&node, "99.31(a)(10)", "emergency", &["address"]).await;
    ok(&authorize(&node, &disclosure, json!({})).await);
    assert_eq!(record(&node, &disclosure).await.problem(422, "ThreatMissing")["field"], "threat");
    let at = jiff::Timestamp::now();
    let body = json!({ "documents": [], "method": "telephone", "at": at, "threat": "A fire in the hall" });
    let recorded = office(&node, &format!("{disclosure}/record"), body).await;
    assert_eq!(
        rows(&node, ADA, "student", "/v1/disclosures/me", &recorded).await[0]["threat"],
        "A fire in the hall"
    );
}

#[actix_web::test]
async fn ferpa_99_37_who_opted_out_is_in_no_directory_for_anybody_but_officials() {
    let node = node().await;
    let visibility = |out: bool| json!({ "visibility": "public", "ferpa_directory_opt_out": out });
    let set = async |out: bool| {
        let put = TestRequest::put().uri("/v1/users/me/visibility").set_json(visibility(out));
        node.send_as(ADA, &["student"], put).await
    };
    let found = async |person: Uuid, role: &str, since: &Answer| {
        let list = !rows(&node, person, role, "/v1/people", since).await.is_empty();
        let one = node.send_as(person, &[role], TestRequest::get().uri(&format!("/v1/people/{ADA}"))).await;
        assert_eq!(list, one.status == 200, "{}", one.text);
        list
    };
    let listed = set(false).await;
    assert!(found(BEN, "student", &listed).await && found(BEN, "employer", &listed).await);
    let out = set(true).await;
    for role in ["student", "alumni", "employer", "advisor", "analyst", "budget_user"] {
        assert!(!found(BEN, role, &out).await, "{role}");
    }
    assert!(found(ADA, "student", &out).await && found(BEN, "staff", &out).await);
    let before = format!("/v1/people?as_of={}", ok(&listed)["position"]);
    let past = node.send_as(BEN, &["student"], TestRequest::get().uri(&before)).await;
    past.problem(400, "AsOfUnsupported");
}
