//! Consent, requests, disclosures of education records, the register and incidents, over HTTP.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::{Answer, TestNode, node};

const ADA: Uuid = Uuid::from_u128(5);
const BEN: Uuid = Uuid::from_u128(6);
const OFFICER: Uuid = Uuid::from_u128(9);
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

impl TestNode {
    async fn post_as(&self, person: Uuid, role: &str, path: &str, body: Value) -> Answer {
        self.send_as(person, &[role], TestRequest::post().uri(path).set_json(body)).await
    }

    async fn put_as(&self, person: Uuid, role: &str, path: &str, body: Value) -> Answer {
        self.send_as(person, &[role], TestRequest::put().uri(path).set_json(body)).await
    }

    async fn delete_as(&self, person: Uuid, role: &str, path: &str) -> Answer {
        self.send_as(person, &[role], TestRequest::delete().uri(path).set_json(json!({}))).await
    }

    /// The rows that a person sees, once the read model has come to the position of an accepted command.
    async fn rows_as(&self, person: Uuid, role: &str, path: &str, since: &Answer) -> Vec<Value> {
        let position = ok(since)["position"].clone();
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}min_position={position}");
        let page = self.send_as(person, &[role], TestRequest::get().uri(&path)).await;
        ok(&page)["items"].as_array().unwrap().clone()
    }

    /// A request for Ada's records, as the officer enters it; answers its path.
    async fn request(&self, basis: &str, party_kind: &str, records: &[&str]) -> String {
        let body = json!({ "subject": ADA, "party": "Acme", "party_kind": party_kind, "records": records,
            "interest": "An application", "basis": basis, "redisclosure_to": ["Payroll Ltd"] });
        let requested = self.post_as(OFFICER, "compliance", "/v1/disclosures", body).await;
        format!("/v1/disclosures/{}", ok(&requested)["id"].as_str().unwrap())
    }

    async fn authorize(&self, disclosure: &str, body: Value) -> Answer {
        self.post_as(OFFICER, "compliance", &format!("{disclosure}/authorize"), body).await
    }

    async fn record(&self, disclosure: &str, threat: Option<&str>) -> Answer {
        let body = json!({ "documents": [Uuid::from_u128(0xD0)], "method": "mail", "threat": threat,
            "at": jiff::Timestamp::now() });
        self.post_as(OFFICER, "compliance", &format!("{disclosure}/record"), body).await
    }
}

#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert!(answer.status.is_success(), "{} {}", answer.status, answer.text);
    answer.json()
}

#[actix_web::test]
async fn gov_c1_demographics_need_a_consent_and_a_withdrawal_takes_effect_at_once() {
    let node = node().await;
    let declare = async || {
        let body = json!({ "attributes": { "gender": "female" }, "consent": ADA });
        node.put_as(ADA, "student", "/v1/users/me/demographics", body).await
    };
    declare().await.problem(409, "ConsentMissing");
    let grant = json!({ "purpose": "bias_monitoring", "text_version": "1", "text_hash": HASH });
    let granted = node.post_as(ADA, "student", "/v1/privacy/consents", grant).await;
    assert_eq!(granted.status, 201, "{}", granted.text);
    assert_eq!(declare().await.status, 201);
    let withdrawn = node.delete_as(ADA, "student", "/v1/privacy/consents/bias_monitoring").await;
    ok(&withdrawn);
    declare().await.problem(409, "ConsentMissing");
    let again = node.delete_as(ADA, "student", "/v1/privacy/consents/bias_monitoring").await;
    again.problem(409, "NotGranted");
    let now = node.rows_as(ADA, "student", "/v1/privacy/consents", &withdrawn).await;
    assert_eq!((now.len(), &now[0]["state"]), (1, &json!("withdrawn")));
    let then = format!("/v1/privacy/consents?as_of={}", granted.json()["position"]);
    let then = node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&then)).await.json();
    assert_eq!(then["items"][0]["state"], "granted", "was there consent then?");
    assert!(node.rows_as(BEN, "student", "/v1/privacy/consents", &withdrawn).await.is_empty());
}

#[actix_web::test]
async fn gov_d1_without_a_basis_of_99_31_nothing_is_disclosed_and_the_refusal_is_kept() {
    let node = node().await;
    let body = json!({ "subject": ADA, "party": "Acme", "party_kind": "employer", "records": ["transcript"],
        "interest": "Work", "basis": "99.31(a)(17)", "redisclosure_to": [] });
    let unknown = node.post_as(OFFICER, "compliance", "/v1/disclosures", body.clone()).await;
    assert_eq!(unknown.problem(422, "BasisUnknown")["field"], "basis");
    node.post_as(ADA, "student", "/v1/disclosures", body).await.problem(403, "Forbidden");

    for (basis, party) in [
        ("99.31(a)(1)(i)(A)", "employer"),
        ("99.31(a)(2)", "employer"),
        ("99.31(a)(9)(i)", "contractor"),
        ("99.31(a)(10)", "other"),
        ("99.31(a)(12)", "other"),
    ] {
        let disclosure = node.request(basis, party, &["transcript"]).await;
        node.authorize(&disclosure, json!({})).await.problem(409, "BasisUnfit");
        node.record(&disclosure, None).await.problem(409, "NotAuthorized");
        let body = json!({ "reason": "No basis" });
        let refused = node.post_as(OFFICER, "compliance", &format!("{disclosure}/refuse"), body).await;
        let rows = node.rows_as(ADA, "student", "/v1/disclosures/me?state=refused", &refused).await;
        assert_eq!((&rows[0]["basis"], &rows[0]["refusal"]), (&json!(basis), &json!("No basis")));
    }
}

#[actix_web::test]
async fn gov_d1_a_consent_carries_what_it_names_until_it_is_revoked() {
    let node = node().await;
    let disclosure = node.request("99.30", "employer", &["Transcript"]).await;
    let gap = |answer: Answer| answer.problem(409, "ConsentMissing")["details"]["gap"].clone();
    assert_eq!(gap(node.authorize(&disclosure, json!({})).await), "not_given");
    let consent = Uuid::from_u128(0xC1);
    let grant = |records: &str, consent: Uuid| {
        json!({ "consent": consent, "records": records, "purpose": "Work", "party": "acme",
            "signed_at": "2026-01-01T00:00:00Z", "signature": Uuid::from_u128(0xD1) })
    };
    let path = "/v1/privacy/consents/disclosures";
    let incomplete = node.post_as(ADA, "student", path, grant(" ", consent)).await;
    assert_eq!(incomplete.problem(422, "IncompleteConsent")["field"], "records");
    let other = Uuid::from_u128(0xC2);
    ok(&node.post_as(ADA, "student", path, grant("Degree", other)).await);
    assert_eq!(gap(node.authorize(&disclosure, json!({ "consent": other })).await), "other_records");
    ok(&node.post_as(ADA, "student", path, grant("degree, transcript", consent)).await);
    ok(&node.authorize(&disclosure, json!({ "consent": consent })).await);
    ok(&node.delete_as(ADA, "student", &format!("{path}/{consent}")).await);
    assert_eq!(gap(node.record(&disclosure, None).await), "revoked");
}

#[actix_web::test]
async fn gov_d4_who_opts_out_is_not_in_the_directory_and_gov_d3_an_emergency_names_its_threat() {
    let node = node().await;
    let opt_out = async |out: bool| {
        let body = json!({ "visibility": "members", "ferpa_directory_opt_out": out });
        ok(&node.put_as(ADA, "student", "/v1/users/me/visibility", body).await);
    };
    let directory = node.request("99.31(a)(11)", "directory", &["name", "major"]).await;
    opt_out(true).await;
    node.authorize(&directory, json!({})).await.problem(409, "OptedOut");
    opt_out(false).await;
    ok(&node.authorize(&directory, json!({})).await);
    opt_out(true).await;
    node.record(&directory, None).await.problem(409, "OptedOut");
    opt_out(false).await;
    let grades = node.request("99.31(a)(11)", "directory", &["name", "grades"]).await;
    node.authorize(&grades, json!({})).await.problem(409, "NotDirectoryInformation");

    let emergency = node.request("99.31(a)(10)", "emergency", &["address"]).await;
    ok(&node.authorize(&emergency, json!({})).await);
    assert_eq!(node.record(&emergency, None).await.problem(422, "ThreatMissing")["field"], "threat");
    let recorded = node.record(&emergency, Some("A fire in the hall")).await;
    let row = &node.rows_as(ADA, "student", "/v1/disclosures/me?state=recorded", &recorded).await[0];
    assert_eq!((&row["threat"], &row["exempt"]), (&json!("A fire in the hall"), &json!(false)));
}

#[actix_web::test]
async fn a_student_reads_who_got_their_records_and_what_these_were_told() {
    let node = node().await;
    let disclosure = node.request("99.31(a)(2)", "other_school", &["transcript"]).await;
    ok(&node.authorize(&disclosure, json!({})).await);
    let recorded = node.record(&disclosure, None).await;
    ok(&recorded);
    node.record(&disclosure, None).await.problem(409, "InvalidState");
    let body = json!({ "party": "A newspaper", "interest": "News", "at": jiff::Timestamp::now() });
    let again = node.post_as(OFFICER, "compliance", &format!("{disclosure}/redisclosures"), body).await;
    let rows = node.rows_as(ADA, "student", "/v1/disclosures/me", &again).await;
    let row = &rows[0];
    assert_eq!((&row["party"], &row["basis"]), (&json!("Acme"), &json!("99.31(a)(2)")));
    assert_eq!((&row["authorized_by"], &row["exempt"]), (&json!(OFFICER), &json!(false)));
    assert!(row["redisclosure_notice"].as_str().unwrap().contains("99.33"), "{row}");
    assert_eq!(row["redisclosures"][0]["allowed"], false, "{row}");
    assert!(node.rows_as(BEN, "student", "/v1/disclosures", &again).await.is_empty());

    let secret = node.request("99.31(a)(9)(ii)(A)", "court", &["transcript"]).await;
    ok(&node.authorize(&secret, json!({})).await);
    let recorded = node.record(&secret, None).await;
    let all = "/v1/disclosures?exempt=true";
    assert_eq!(node.rows_as(OFFICER, "compliance", all, &recorded).await.len(), 1);
    assert!(node.rows_as(ADA, "student", all, &recorded).await.is_empty(), "what a court forbids to tell");
}

#[actix_web::test]
async fn a_request_is_opened_once_verified_and_decided_by_another() {
    let node = node().await;
    let body = json!({ "regime": "gdpr", "type": "rectification", "classes": [], "details": "All of it" });
    let opened = node.post_as(ADA, "student", "/v1/privacy/requests", body.clone()).await;
    let path = format!("/v1/privacy/requests/{}", ok(&opened)["id"].as_str().unwrap());
    node.post_as(ADA, "student", "/v1/privacy/requests", body).await.problem(409, "Duplicate");
    let approve =
        async |person, role| node.post_as(person, role, &format!("{path}/approve"), json!({})).await;
    approve(OFFICER, "compliance").await.problem(409, "NotVerified");
    approve(ADA, "compliance").await.problem(403, "Forbidden");
    let verify = json!({ "method": "session" });
    ok(&node.post_as(ADA, "student", &format!("{path}/verify"), verify).await);
    let approved = approve(OFFICER, "compliance").await;
    let rows = node.rows_as(ADA, "student", "/v1/privacy/requests", &approved).await;
    assert_eq!((&rows[0]["state"], &rows[0]["details"]), (&json!("approved"), &json!("All of it")));
    assert!(node.rows_as(BEN, "student", "/v1/privacy/requests", &approved).await.is_empty());
    let body = json!({ "months": 3, "reason": "Much" });
    let extend = node.post_as(OFFICER, "compliance", &format!("{path}/extend"), body).await;
    assert_eq!(extend.problem(422, "InvalidValue")["field"], "months");
}

#[actix_web::test]
async fn the_register_and_incidents_are_kept_by_those_whose_task_it_is() {
    let node = node().await;
    let entry = json!({ "name": "Scholarships", "purpose": "To award them", "legal_basis": "Art. 6(1)(b)",
        "subjects": ["applicants"], "classes": ["education"], "recipients": ["sponsors"], "transfers": [],
        "retention": "7 years", "measures": "Sealed" });
    let path = "/v1/governance/processing";
    node.post_as(ADA, "staff", path, entry.clone()).await.problem(403, "Forbidden");
    let registered = node.post_as(OFFICER, "compliance", path, entry).await;
    let revise = json!({ "changes": { "name": "Awards" } });
    let entry = format!("{path}/{}", ok(&registered)["id"].as_str().unwrap());
    let revised = node.put_as(OFFICER, "compliance", &entry, revise).await;
    assert_eq!(node.rows_as(OFFICER, "compliance", path, &revised).await[0]["name"], "Awards");
    assert!(node.rows_as(ADA, "staff", path, &revised).await.is_empty());

    let body =
        json!({ "kind": "data_breach", "severity": "high", "summary": "A wrong list", "evidence": [] });
    let opened = node.post_as(OFFICER, "operator", "/v1/incidents", body).await;
    let incident = format!("/v1/incidents/{}", ok(&opened)["id"].as_str().unwrap());
    let act = async |command: &str, body: Value| {
        node.post_as(OFFICER, "compliance", &format!("{incident}/{command}"), body).await
    };
    let template = json!({ "template": "breach_notice" });
    act("notify-subjects", template.clone()).await.problem(409, "NotClassified");
    let classify =
        json!({ "personal_data": true, "high_risk": true, "subjects": [ADA], "classes": ["education"] });
    ok(&act("classify", classify).await);
    let close = json!({ "root_cause": "A wrong list", "lessons": "Two pairs of eyes" });
    act("close", close.clone()).await.problem(409, "AuthorityNotTold");
    let told = json!({ "authority": "DPA", "reference": "17", "at": jiff::Timestamp::now() });
    ok(&act("notify-authority", told).await);
    act("close", close.clone()).await.problem(409, "SubjectsNotTold");
    let unknown = act("notify-subjects", json!({ "template": "nope" })).await.problem(422, "InvalidValue");
    assert_eq!(unknown["field"], "template");
    ok(&act("notify-subjects", template).await);
    let closed = act("close", close).await;
    let row = &node.rows_as(OFFICER, "operator", "/v1/incidents", &closed).await[0];
    assert_eq!((&row["state"], &row["subjects_told"]), (&json!("closed"), &json!(1)));
    assert_eq!(row["authority_told_late"], false);
}

#[actix_web::test]
async fn gov_p2_a_code_goes_by_mail_to_the_address_on_file_and_verifies_the_requester() {
    let node = node().await;
    let body = json!({ "subject": ADA, "regime": "gdpr", "type": "access", "classes": [],
        "address": "ada@example.org" });
    let path = "/v1/governance/privacy-request";
    let id = Uuid::from_u128(0x9E0);
    let opened =
        node.post_as(OFFICER, "compliance", &format!("{path}/{id}/open-privacy-request"), body).await;
    ok(&opened);
    let mail = async {
        loop {
            let mut files = std::fs::read_dir(&node.outbox).unwrap().map(|file| file.unwrap().path());
            let whole = files.find(|file| file.extension().is_some_and(|kind| kind == "eml"));
            match whole {
                Some(file) => return std::fs::read_to_string(file).unwrap(),
                None => tokio::task::yield_now().await,
            }
        }
    };
    let mail = tokio::time::timeout(std::time::Duration::from_secs(30), mail).await.unwrap();
    assert!(mail.contains("To: ada@example.org"), "{mail}");
    let mail = mail.replace("=\r\n", "");
    let code = mail.split(|letter: char| !letter.is_ascii_hexdigit()).find(|word| word.len() == 64).unwrap();

    let verify = async |proof: &str| {
        let body = json!({ "method": "email_code", "proof": proof });
        node.post_as(OFFICER, "compliance", &format!("/v1/privacy/requests/{id}/verify"), body).await
    };
    verify("0123").await.problem(422, "BadCode");
    ok(&verify(code).await);
    let events = node.node.api.commands.store().read_all(0, 100).await.unwrap();
    for event in events {
        let clear = format!("{}{}", event.payload, event.metadata);
        assert!(!clear.contains(code) && !clear.contains("ada@example.org"), "{clear}");
    }
}

#[actix_web::test]
async fn gov_p6_what_is_due_is_told_as_of_any_moment_the_most_urgent_first() {
    let node = node().await;
    for (regime, r#type) in [("ferpa", "inspection"), ("gdpr", "access")] {
        let body = json!({ "regime": regime, "type": r#type, "classes": [] });
        ok(&node.post_as(ADA, "student", "/v1/privacy/requests", body).await);
    }
    let breach =
        json!({ "kind": "data_breach", "severity": "high", "summary": "A wrong list", "evidence": [] });
    let opened = node.post_as(OFFICER, "compliance", "/v1/incidents", breach).await;
    let position = ok(&opened)["position"].clone();
    let now = jiff::Timestamp::now();
    let agenda = async |later_hours: i64, days: u32| {
        let at = now + jiff::SignedDuration::from_hours(later_hours);
        let path = format!("/v1/governance/due?at={at}&days={days}&min_position={position}");
        let items =
            ok(&node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&path)).await)["items"].clone();
        let items = items.as_array().unwrap().iter();
        items
            .map(|due| {
                (
                    due["what"].as_str().unwrap().to_owned(),
                    due["days_left"].as_i64().unwrap(),
                    due["overdue"] == true,
                )
            })
            .collect::<Vec<_>>()
    };
    let whole = agenda(0, 60).await;
    let what: Vec<&str> = whole.iter().map(|(what, ..)| &**what).collect();
    assert_eq!(what, ["incident", "privacy_request", "privacy_request"], "72 hours, a month, 45 days");
    assert!(
        (27..=31).contains(&whole[1].1) && (44..=45).contains(&whole[2].1) && whole[0].1 <= 3,
        "{whole:?}"
    );
    assert_eq!(agenda(0, 3).await.len(), 1);
    let late = agenda(24 * 46, 1).await;
    assert_eq!(late.len(), 3, "{late:?}");
    assert!(late.iter().all(|(_, left, overdue)| *left < 0 && *overdue), "{late:?}");
    let student = TestRequest::get().uri("/v1/governance/due");
    node.send_as(ADA, &["student"], student).await.problem(403, "Forbidden");
}
