//! A walk through what GDPR gives people: restriction, objection, that recipients are told, that people are told themselves.

use std::{future::Future, time::Duration};

use actix_web::test::TestRequest;
use commands::Request;
use domain::{
    Actor,
    governance::{RecipientNotice, RecipientNoticeCommand},
    identity::email_claim,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity,
    node::{ADMIN, Answer, TestNode, node},
};

const ADA: Uuid = Uuid::from_u128(5);
const OFFICER: Uuid = Uuid::from_u128(9);
const PATIENCE: Duration = Duration::from_secs(30);

#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert!(answer.status.is_success(), "{} {}", answer.status, answer.text);
    answer.json()
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

async fn asks(node: &TestNode, person: Uuid, path: &str, body: Value) -> Answer {
    node.send_as(person, &["student"], TestRequest::post().uri(path).set_json(body)).await
}

async fn office(node: &TestNode, path: &str, body: Value) -> Answer {
    node.send_as(OFFICER, &["compliance"], TestRequest::post().uri(path).set_json(body)).await
}

async fn rows(node: &TestNode, person: Uuid, role: &str, path: &str, since: u64) -> Vec<Value> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}min_position={since}");
    ok(&node.send_as(person, &[role], TestRequest::get().uri(&path)).await)["items"]
        .as_array()
        .unwrap()
        .clone()
}

/// Waits until an event of this type is in the log for the so-many-th time: its position and its fields.
async fn until(node: &TestNode, name: &str, times: usize) -> (u64, Value) {
    let store = node.node.api.commands.store();
    let mut news = store.subscribe_head();
    in_time(async {
        loop {
            let events = store.read_all(0, 10_000).await.unwrap();
            let found = events.iter().filter(|event| event.event_type == name).nth(times - 1);
            if let Some(event) = found {
                let mut payload: Value = serde_json::from_str(&event.payload).unwrap();
                return (event.position, payload[name].take());
            }
            news.changed().await.unwrap();
        }
    })
    .await
}

/// A request that the person opened and verified; its path.
async fn request(node: &TestNode, person: Uuid, body: Value) -> String {
    let opened = asks(node, person, "/v1/privacy/requests", body).await;
    let path = format!("/v1/privacy/requests/{}", ok(&opened)["id"].as_str().unwrap());
    ok(&asks(node, person, &format!("{path}/verify"), json!({ "method": "session" })).await);
    path
}

async fn approve(node: &TestNode, request: &str) -> Answer {
    office(node, &format!("{request}/approve"), json!({})).await
}

/// A disclosure of Ada's transcript to another school, carried out; its id.
async fn disclosed(node: &TestNode, address: Option<&str>) -> String {
    let mut body = json!({ "subject": ADA, "party": "Acme", "party_kind": "other_school", "records": ["transcript"],
        "interest": "A transfer", "basis": "99.31(a)(2)", "redisclosure_to": [] });
    if let Some(address) = address {
        body["address"] = json!(address);
    }
    let id = ok(&office(node, "/v1/disclosures", body).await)["id"].as_str().unwrap().to_owned();
    ok(&office(node, &format!("/v1/disclosures/{id}/authorize"), json!({})).await);
    let record = json!({ "documents": [], "method": "mail", "at": Timestamp::now() });
    ok(&office(node, &format!("/v1/disclosures/{id}/record"), record).await);
    id
}

/// Something of Ada's education records, to be erased.
async fn student(node: &TestNode) -> Answer {
    let facet = json!({ "student_no": "S1", "major": "Physics", "grad_year": 2027, "source": "self" });
    let put = TestRequest::put().uri("/v1/users/me/profile/student").set_json(facet);
    node.send_as(ADA, &["student"], put).await
}

/// The mail to an address that has these words in it, once it was sent.
async fn mail(node: &TestNode, to: &str, words: &str) -> String {
    let sent = || {
        let files = std::fs::read_dir(&node.outbox).unwrap().map(|file| file.unwrap().path());
        let mails = files.filter(|file| file.extension().is_some_and(|kind| kind == "eml"));
        let mut texts = mails.map(|file| std::fs::read_to_string(file).unwrap().replace("=\r\n", ""));
        texts.find(|text| text.contains(&format!("To: {to}")) && text.contains(words))
    };
    in_time(async {
        loop {
            match sent() {
                Some(mail) => return mail,
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

/// An account with an address.
async fn member(node: &TestNode, email: &str) -> Uuid {
    let registration = json!({ "email": email, "password": "grüne Fahrräder im Regen", "display_name": "Ada",
        "country": "US", "locale": "en-US", "tz": "America/Chicago" });
    let answer = node.send(TestRequest::post().uri("/v1/auth/register").set_json(registration)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let api = &node.node.api;
    let claim = email_claim(&api.credentials.email_hmac(email));
    let held = api.commands.store().holders(&claim).await.unwrap();
    held[0].by.aggregate_id.parse().unwrap()
}

#[actix_web::test]
async fn art_18_what_is_restricted_is_kept_and_used_by_nobody_until_the_restriction_is_lifted() {
    let node = node().await;
    ok(&student(&node).await);
    let wait = disclosed(&node, None).await;
    let body = json!({ "regime": "gdpr", "type": "restriction", "classes": [] });
    let restriction = request(&node, ADA, body).await;
    ok(&approve(&node, &restriction).await);
    let (position, _) = until(&node, "PrivacyRequestCompleted", 1).await;
    let row = &rows(&node, ADA, "student", "/v1/privacy/requests?in_force=true", position).await[0];
    assert_eq!((&row["type"], &row["state"]), (&json!("restriction"), &json!("completed")));

    // Others do not use it; the person does, and the law's own exceptions hold.
    let sis = json!({ "student_no": "S1", "major": "Biology", "grad_year": 2027, "source": "sis" });
    let canonical = format!("/v1/identity/profile/{ADA}/set-student-facet");
    let registrar = async || {
        let post = TestRequest::post().uri(&canonical).set_json(&sis);
        node.send_as(ADMIN, &["admin"], post).await
    };
    let refused = registrar().await;
    if refused.status != 403 {
        refused.problem(409, "ProcessingRestricted");
    }
    ok(&student(&node).await);
    let ask = |basis: &str, kind: &str| {
        json!({ "subject": ADA, "party": "Acme", "party_kind": kind, "records": ["transcript"],
            "interest": "A transfer", "basis": basis, "redisclosure_to": [] })
    };
    let authorized = async |basis: &str, kind: &str| {
        let id = ok(&office(&node, "/v1/disclosures", ask(basis, kind)).await)["id"].clone();
        office(&node, &format!("/v1/disclosures/{}/authorize", id.as_str().unwrap()), json!({})).await
    };
    authorized("99.31(a)(2)", "other_school").await.problem(409, "ProcessingRestricted");
    authorized("99.31(a)(1)(i)(A)", "school_official").await.problem(409, "ProcessingRestricted");
    ok(&authorized("99.31(a)(12)", "student").await);
    ok(&authorized("99.31(a)(9)(ii)(A)", "court").await);

    // Art. 19: whoever has it already is to be told. Art. 18(3): the person is told before it ends.
    let (position, owed) = until(&node, "RecipientNoticeOwed", 1).await;
    assert_eq!((&owed["change"], &owed["recipient"]["reference"]), (&json!("restricted"), &json!(wait)));
    assert_eq!(rows(&node, ADA, "student", "/v1/privacy/notices", position).await[0]["state"], "owed");
    let lift = |at: Option<Timestamp>| json!({ "reason": "The data is accurate", "at": at });
    let path = format!("{restriction}/lift");
    assert_eq!(office(&node, &path, lift(None)).await.problem(422, "InvalidValue")["field"], "at");
    ok(&office(&node, &path, lift(Some(Timestamp::now() + Duration::from_millis(200)))).await);
    until(&node, "ProcessingReleased", 1).await;
    ok(&authorized("99.31(a)(2)", "other_school").await);
}

#[actix_web::test]
async fn art_21_an_objection_stops_the_purpose_that_it_names_and_the_person_takes_it_back() {
    let node = node().await;
    let hash = domain::sha256_hex("the text");
    let grant = |purpose: &str| json!({ "purpose": purpose, "text_version": "1", "text_hash": hash });
    for purpose in ["marketing", "bias_monitoring"] {
        ok(&asks(&node, ADA, "/v1/privacy/consents", grant(purpose)).await);
    }
    let declare = async || {
        let put = TestRequest::put().uri("/v1/users/me/demographics");
        let body = json!({ "attributes": { "gender": "female" }, "consent": ADA });
        node.send_as(ADA, &["student"], put.set_json(body)).await
    };
    let empty = json!({ "regime": "gdpr", "type": "objection", "classes": [] });
    let refused = asks(&node, ADA, "/v1/privacy/requests", empty.clone()).await;
    assert_eq!(refused.problem(422, "InvalidValue")["field"], "purposes");
    let mut body = empty;
    body["purposes"] = json!(["bias_monitoring"]);
    let objection = request(&node, ADA, body).await;
    ok(&declare().await);
    ok(&approve(&node, &objection).await);
    let (position, _) = until(&node, "PrivacyRequestCompleted", 1).await;
    declare().await.problem(409, "ConsentMissing");
    let consents = rows(&node, ADA, "student", "/v1/privacy/consents", position).await;
    let stopped = |purpose: &str| {
        let row = consents.iter().find(|row| row["purpose"] == purpose).unwrap();
        !row["stopped_by"].is_null()
    };
    assert!(stopped("bias_monitoring") && !stopped("marketing"));
    // Staff cannot take it back; the person can, at once.
    let lift = json!({ "reason": "I agree after all" });
    office(&node, &format!("{objection}/lift"), lift.clone()).await.problem(403, "Forbidden");
    ok(&asks(&node, ADA, &format!("{objection}/lift"), lift).await);
    until(&node, "ProcessingReleased", 1).await;
    ok(&declare().await);
}

#[actix_web::test]
async fn art_21_an_objection_to_marketing_is_carried_out_while_another_one_is_weighed() {
    let node = node().await;
    let objects = |purposes: &[&str]| json!({ "regime": "gdpr", "type": "objection", "classes": [], "purposes": purposes });
    let weighed = request(&node, ADA, objects(&["ai_processing"])).await;
    let marketing = request(&node, ADA, objects(&["marketing"])).await;
    let (position, stopped) = until(&node, "ProcessingRestricted", 1).await;
    assert_eq!((&stopped["purposes"], &stopped["objection"]), (&json!(["marketing"]), &json!(true)));
    let (done, _) = until(&node, "PrivacyRequestCompleted", 1).await;
    let requests = rows(&node, ADA, "student", "/v1/privacy/requests", done.max(position)).await;
    let state = |path: &str| {
        let row = requests.iter().find(|row| path.ends_with(row["id"].as_str().unwrap())).unwrap();
        row["state"].clone()
    };
    assert_eq!((state(&marketing), state(&weighed)), (json!("completed"), json!("verified")));
}

#[actix_web::test]
async fn art_19_whoever_received_what_is_erased_is_told_by_mail_or_by_the_office_in_time() {
    let node = node().await;
    ok(&student(&node).await);
    let written = disclosed(&node, Some("records@acme.example")).await;
    let unknown = disclosed(&node, None).await;
    let body = json!({ "regime": "gdpr", "type": "erasure", "classes": ["education"] });
    let erasure = request(&node, ADA, body).await;
    ok(&approve(&node, &erasure).await);
    let sent = mail(&node, "records@acme.example", &written).await;
    assert!(sent.contains("Erase your copy") && !sent.contains(&unknown), "{sent}");
    let (both, _) = until(&node, "RecipientNoticeOwed", 2).await;
    let (position, told) = until(&node, "RecipientTold", 1).await;
    let position = position.max(both);
    assert_eq!((&told["method"], &told["by"]), (&json!("mail"), &Value::Null));

    let notices = rows(&node, OFFICER, "compliance", "/v1/privacy/notices", position).await;
    let of = |disclosure: &str| notices.iter().find(|row| row["reference"] == disclosure).unwrap();
    assert_eq!((&of(&written)["state"], &of(&unknown)["state"]), (&json!("told"), &json!("owed")));
    assert_eq!(of(&unknown)["change"], "erased");
    let due = format!("/v1/governance/due?min_position={position}");
    let due = ok(&node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&due)).await);
    let owed: Vec<&Value> =
        due["items"].as_array().unwrap().iter().filter(|due| due["what"] == "recipient_notice").collect();
    assert_eq!((owed.len(), &owed[0]["id"]), (1, &of(&unknown)["id"]));

    let notice = format!("/v1/privacy/notices/{}", of(&unknown)["id"].as_str().unwrap());
    let tell = json!({ "method": "letter", "at": Timestamp::now() });
    asks(&node, ADA, &format!("{notice}/tell"), tell.clone()).await.problem(403, "Forbidden");
    let answer = office(&node, &format!("{notice}/tell"), tell.clone()).await;
    let position = ok(&answer)["position"].as_u64().unwrap();
    office(&node, &format!("{notice}/tell"), tell).await.problem(409, "InvalidState");
    let waive = json!({ "ground": "impossible", "reason": "Too late" });
    office(&node, &format!("{notice}/waive"), waive).await.problem(409, "InvalidState");
    let owed = rows(&node, OFFICER, "compliance", "/v1/privacy/notices?state=owed", position).await;
    assert!(owed.is_empty(), "{owed:?}");
    // Art. 15(1)(c): the person may know who the recipients are.
    let own = TestRequest::get().uri("/v1/privacy/inventory/me");
    let inventory = ok(&node.send_as(ADA, &["student"], own).await);
    let recipients = inventory["recipients"].as_array().unwrap();
    assert_eq!(recipients.iter().filter(|one| one["by"] == "disclosure").count(), 2, "{inventory}");
    let events = node.node.api.commands.store().read_all(0, 10_000).await.unwrap();
    assert!(events.iter().all(|event| !event.payload.contains("acme.example")), "addresses are sealed");
}

#[actix_web::test]
async fn art_12_who_asks_is_told_by_mail_what_becomes_of_the_request() {
    let node = node().await;
    let ada = member(&node, "ada@example.org").await;
    let access = json!({ "regime": "gdpr", "type": "access", "classes": [] });
    let path = request(&node, ada, access.clone()).await;
    mail(&node, "ada@example.org", "was received").await;
    ok(&approve(&node, &path).await);
    let ready = mail(&node, "ada@example.org", "can be fetched for seven days").await;
    assert!(ready.contains(path.rsplit('/').next().unwrap()), "{ready}");
    let path = request(&node, ada, access).await;
    let extend = json!({ "months": 1, "reason": "There are many records." });
    ok(&office(&node, &format!("{path}/extend"), extend).await);
    mail(&node, "ada@example.org", "There are many records.").await;
    let deny = json!({ "ground": "Art. 12(5)", "note": "You have it already" });
    ok(&office(&node, &format!("{path}/deny"), deny).await);
    let denied = mail(&node, "ada@example.org", "You have it already").await;
    assert!(denied.contains("Art. 77 GDPR"), "{denied}");
}

#[actix_web::test]
async fn gov_p2_a_code_goes_to_the_verified_address_of_the_account_where_staff_gave_none() {
    let node = node().await;
    let entered = async |id: u128, subject: Uuid| {
        let id = Uuid::from_u128(id);
        let body = json!({ "subject": subject, "regime": "gdpr", "type": "access", "classes": [] });
        let open = format!("/v1/governance/privacy-request/{id}/open-privacy-request");
        ok(&office(&node, &open, body).await);
        id.to_string()
    };
    let code = |text: &str| {
        let mut words = text.split(|letter: char| !letter.is_ascii_hexdigit());
        words.find(|word| word.len() == 64).map(str::to_owned)
    };
    let verified = identity::member(&node, "ada@example.org").await;
    let request = entered(0x9E0, verified).await;
    let proof = code(&mail(&node, "ada@example.org", &request).await).expect("a code is mailed");
    let path = format!("/v1/privacy/requests/{request}");
    let verify = json!({ "method": "email_code", "proof": proof });
    ok(&office(&node, &format!("{path}/verify"), verify).await);
    // That its holder passed it on is not the officer's word alone.
    ok(&approve(&node, &path).await);
    // Who reads the mail of an address that nobody has verified is not known.
    let unverified = member(&node, "ben@example.org").await;
    let request = entered(0x9E1, unverified).await;
    let told = mail(&node, "ben@example.org", &request).await;
    assert!(told.contains("was received") && code(&told).is_none(), "{told}");
}

#[actix_web::test]
async fn art_33_and_34_a_late_notice_has_its_reasons_and_the_people_are_told_each_at_their_address() {
    let node = node().await;
    let ada = member(&node, "ada@example.org").await;
    let nobody = Uuid::from_u128(0x404);
    let aware = Timestamp::now() - Duration::from_secs(80 * 3600);
    let open = json!({ "kind": "data_breach", "severity": "high", "summary": "A list was mailed to a stranger",
        "evidence": [], "aware_at": aware });
    let opened = office(&node, "/v1/incidents", open).await;
    let incident = format!("/v1/incidents/{}", ok(&opened)["id"].as_str().unwrap());
    let act = async |command: &str, body: Value| office(&node, &format!("{incident}/{command}"), body).await;
    let classify = json!({ "personal_data": true, "high_risk": true, "subjects": [ada, nobody], "classes": ["education"] });
    ok(&act("classify", classify).await);
    let told = |reasons: Option<&str>| json!({ "authority": "DPA", "reference": "17", "at": Timestamp::now(), "reasons": reasons });
    assert_eq!(act("notify-authority", told(None)).await.problem(422, "ReasonsMissing")["field"], "reasons");
    let notified = act("notify-authority", told(Some("The list was found on Monday"))).await;
    let position = ok(&notified)["position"].as_u64().unwrap();
    let row = &rows(&node, OFFICER, "compliance", "/v1/incidents", position).await[0];
    let expected = (&json!(true), &json!("The list was found on Monday"));
    assert_eq!((&row["authority_told_late"], &row["late_reasons"]), expected);
    // The authority knows; the people do not.
    let due = format!("/v1/governance/due?min_position={position}");
    let due = ok(&node.send_as(OFFICER, &["compliance"], TestRequest::get().uri(&due)).await);
    assert_eq!(
        (&due["items"][0]["what"], &due["items"][0]["overdue"]),
        (&json!("breach_notice"), &json!(true))
    );
    ok(&act("notify-subjects", json!({ "template": "breach_notice" })).await);
    let notice = mail(&node, "ada@example.org", "A list was mailed to a stranger").await;
    assert!(notice.contains("education"), "{notice}");
    let (_, told) = until(&node, "SubjectNoticesMailed", 1).await;
    assert_eq!((&told["mailed"], &told["unreachable"]), (&json!(1), &json!([nobody])));
}

#[actix_web::test]
async fn whoever_handles_it_is_mailed_what_is_urgent_each_at_their_own_address() {
    let node = node().await;
    for (email, role) in [("officer@example.org", "compliance"), ("operator@example.org", "operator")] {
        let account = identity::member(&node, email).await;
        let assign = format!("/v1/identity/account/{account}/assign-role");
        ok(&node.post(&assign, json!({ "role": role })).await);
    }
    let open = json!({ "kind": "data_breach", "severity": "high", "summary": "A list was mailed to a stranger",
        "evidence": [] });
    let incident = ok(&office(&node, "/v1/incidents", open).await)["id"].as_str().unwrap().to_owned();
    for email in ["officer@example.org", "operator@example.org"] {
        let told = mail(&node, email, &incident).await;
        assert!(told.contains("a breach of data") && !told.contains("stranger"), "{told}");
    }

    ok(&student(&node).await);
    disclosed(&node, None).await;
    let body = json!({ "regime": "gdpr", "type": "erasure", "classes": ["education"] });
    let erasure = request(&node, ADA, body).await;
    ok(&approve(&node, &erasure).await);
    let (position, _) = until(&node, "RecipientNoticeOwed", 1).await;
    let owed = rows(&node, OFFICER, "compliance", "/v1/privacy/notices", position).await.remove(0);
    let notice = owed["id"].as_str().unwrap().to_owned();
    let report = RecipientNoticeCommand::ReportUndelivered { reason: "the mail is refused".into() };
    let system = Request::by(Actor::policy("tell_recipients"));
    let commands = &node.node.api.commands;
    let reported =
        commands.execute::<RecipientNotice>(notice.parse().unwrap(), report, &system).await.unwrap();
    let told = mail(&node, "officer@example.org", &notice).await;
    assert!(told.contains("the mail is refused"), "{told}");
    let path = "/v1/privacy/notices?state=owed";
    let owed = rows(&node, OFFICER, "compliance", path, reported.position).await.remove(0);
    assert_eq!(owed["undelivered"], "the mail is refused");
}

#[actix_web::test]
async fn ferpa_99_34_the_student_is_told_of_a_disclosure_unless_the_law_forbids_or_exempts_it() {
    let node = node().await;
    let ada = member(&node, "ada@example.org").await;
    for (basis, party) in [
        ("99.31(a)(9)(ii)(A)", "court"),
        ("99.31(a)(1)(i)(A)", "school_official"),
        ("99.31(a)(2)", "other_school"),
    ] {
        let body = json!({ "subject": ada, "party": "Acme", "party_kind": party, "records": ["transcript"],
            "interest": "A transfer", "basis": basis, "redisclosure_to": [] });
        let path = ok(&office(&node, "/v1/disclosures", body).await)["id"].as_str().unwrap().to_owned();
        ok(&office(&node, &format!("/v1/disclosures/{path}/authorize"), json!({})).await);
        let record = json!({ "documents": [], "method": "mail", "at": Timestamp::now() });
        ok(&office(&node, &format!("/v1/disclosures/{path}/record"), record).await);
    }
    // In the order of the log, so that the others would have been sent before.
    mail(&node, "ada@example.org", "99.31(a)(2)").await;
    let files = std::fs::read_dir(&node.outbox).unwrap().map(|file| file.unwrap().path());
    let mails = files.filter(|file| file.extension().is_some_and(|kind| kind == "eml"));
    let texts: Vec<String> = mails.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert!(texts.iter().all(|text| !text.contains("99.31(a)(9)") && !text.contains("99.31(a)(1)")));
}

#[actix_web::test]
async fn ferpa_99_33_records_that_were_handed_on_although_that_was_not_allowed_are_an_incident() {
    let node = node().await;
    let body = json!({ "subject": ADA, "party": "Acme", "party_kind": "other_school", "records": ["transcript"],
        "interest": "A transfer", "basis": "99.31(a)(2)", "redisclosure_to": ["Payroll Ltd"] });
    let id = ok(&office(&node, "/v1/disclosures", body).await)["id"].as_str().unwrap().to_owned();
    ok(&office(&node, &format!("/v1/disclosures/{id}/authorize"), json!({})).await);
    let record = json!({ "documents": [], "method": "mail", "at": Timestamp::now() });
    ok(&office(&node, &format!("/v1/disclosures/{id}/record"), record).await);
    for party in ["Payroll Ltd", "A newspaper"] {
        let handed_on = json!({ "party": party, "interest": "Theirs", "at": Timestamp::now() });
        ok(&office(&node, &format!("/v1/disclosures/{id}/redisclosures"), handed_on).await);
    }
    let (position, opened) = until(&node, "SecurityIncidentOpened", 1).await;
    let events = node.node.api.commands.store().read_all(0, 10_000).await.unwrap();
    let newspaper = events.iter().rfind(|event| event.event_type == "RedisclosureAppended").unwrap();
    assert_eq!(opened["evidence"], json!([newspaper.event_id]), "the other one was allowed");
    let incidents = rows(&node, OFFICER, "compliance", "/v1/incidents", position).await;
    let [incident] = &incidents[..] else { panic!("{incidents:?}") };
    assert_eq!((&incident["kind"], &incident["severity"]), (&json!("data_breach"), &json!("high")));
    assert!(incident["summary"].as_str().unwrap().contains(&id), "{incident}");
}

#[actix_web::test]
async fn p_57_what_was_authorised_on_a_consent_is_refused_when_the_consent_is_revoked() {
    let node = node().await;
    let consent = Uuid::from_u128(0xC1);
    let given = json!({ "consent": consent, "records": "transcript", "purpose": "Work", "party": "Acme",
        "signed_at": "2026-01-01T00:00:00Z", "signature": Uuid::from_u128(0xD1) });
    ok(&asks(&node, ADA, "/v1/privacy/consents/disclosures", given).await);
    let body = json!({ "subject": ADA, "party": "Acme", "party_kind": "employer", "records": ["transcript"],
        "interest": "Work", "basis": "99.30", "redisclosure_to": [] });
    let id = ok(&office(&node, "/v1/disclosures", body).await)["id"].as_str().unwrap().to_owned();
    ok(&office(&node, &format!("/v1/disclosures/{id}/authorize"), json!({ "consent": consent })).await);
    let path = format!("/v1/privacy/consents/disclosures/{consent}");
    let delete = TestRequest::delete().uri(&path).set_json(json!({}));
    ok(&node.send_as(ADA, &["student"], delete).await);
    // At once by the decision, and on the record by the policy.
    let record = json!({ "documents": [], "method": "mail", "at": Timestamp::now() });
    let released = office(&node, &format!("/v1/disclosures/{id}/record"), record).await;
    assert_eq!(released.status, 409, "{}", released.text);
    let (position, _) = until(&node, "DisclosureRefused", 1).await;
    let rows = rows(&node, ADA, "student", "/v1/disclosures/me", position).await;
    assert_eq!(rows[0]["state"], "refused");
}
