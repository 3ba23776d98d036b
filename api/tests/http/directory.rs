//! The read models of identity over HTTP: who sees what of whom, and what others get instead.
//! R-02 has no route: it is what tokens are held against.

use std::collections::BTreeSet;

use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{call_with, elevate, member, tokens},
    node::{ADMIN, Answer, TestNode, node},
};

const STRANGER: Uuid = Uuid::from_u128(0x5742_0001);
/// Listed for members, which is what everybody is who has not said otherwise.
const ADA: Uuid = Uuid::from_u128(0xADA);
/// Listed within the org unit.
const BEN: Uuid = Uuid::from_u128(0xBE4);
/// Listed nowhere.
const CYD: Uuid = Uuid::from_u128(0xC7D);
/// Listed for everybody.
const DAN: Uuid = Uuid::from_u128(0xDA4);
/// Listed for everybody, but for having opted out of directory information (34 CFR 99.37).
const EVE: Uuid = Uuid::from_u128(0xE4E);

/// Who asks.
enum Who<'a> {
    Person(Uuid, &'a [&'a str]),
    Bearer(&'a str),
    Key(&'a str),
    Nobody,
}

async fn get(node: &TestNode, who: &Who<'_>, path: &str) -> Answer {
    let request = TestRequest::get().uri(path);
    match who {
        Who::Person(id, roles) => node.send_as(*id, roles, request).await,
        Who::Bearer(token) => {
            node.send(request.insert_header(("Authorization", format!("Bearer {token}")))).await
        }
        Who::Key(key) => node.send(request.insert_header(("X-API-Key", (*key).to_owned()))).await,
        Who::Nobody => node.send(request).await,
    }
}

/// The ids of the rows that somebody is shown.
async fn listed(node: &TestNode, who: &Who<'_>, path: &str, column: &str) -> BTreeSet<Uuid> {
    let answer = get(node, who, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    let rows = answer.json()["items"].take();
    rows.as_array().unwrap().iter().map(|row| row[column].as_str().unwrap().parse().unwrap()).collect()
}

/// Somebody says something of themselves; its position.
async fn says(node: &TestNode, person: Uuid, method: Method, path: &str, body: Value) -> u64 {
    let request = TestRequest::with_uri(path).method(method).set_json(body);
    let said = node.send_as(person, &["student"], request).await;
    assert!(said.status.is_success(), "{path}: {}", said.text);
    said.json()["position"].as_u64().unwrap()
}

/// A key that may do this, made by somebody who may.
async fn key(node: &TestNode, scopes: &[&str]) -> String {
    let fields = json!({ "name": "Import", "owner": ADMIN, "scopes": scopes, "per_minute": 1000 });
    let issued = node.post("/v1/api-clients", fields).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    issued.json()["key"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn r_07_members_of_an_org_unit_and_people_are_shown_to_whom_they_let_find_them() {
    let node = node().await;
    let ((psu, _), (ksu, _)) = (node.org("PSU").await, node.org("KSU").await);
    let mut last = 0;
    for (person, visibility, opted_out) in [
        (ADA, "members", false),
        (BEN, "org", false),
        (CYD, "hidden", false),
        (DAN, "public", false),
        (EVE, "public", true),
    ] {
        let name = json!({ "headline": "Hello" });
        says(&node, person, Method::PUT, "/v1/users/me/profile", name).await;
        let joins = json!({ "org": psu, "relation": "student", "from": "2024-09-01" });
        says(&node, person, Method::POST, "/v1/users/me/orgs", joins).await;
        let lets = json!({ "visibility": visibility, "ferpa_directory_opt_out": opted_out });
        last = says(&node, person, Method::PUT, "/v1/users/me/visibility", lets).await;
    }
    let (reading, writing) = (key(&node, &["read:public"]).await, key(&node, &["write:transactions"]).await);
    let [here, there, managing] =
        [format!("student@{psu}"), format!("student@{ksu}"), format!("department_admin@{psu}")];
    let (here, there, managing) = ([&*here], [&*there], [&*managing]);
    let all = [ADA, BEN, CYD, DAN, EVE];
    let cases: [(Who<'_>, &[Uuid]); 11] = [
        (Who::Person(STRANGER, &[]), &[ADA, DAN]),
        (Who::Person(STRANGER, &there), &[ADA, DAN]),
        (Who::Person(STRANGER, &here), &[ADA, BEN, DAN]),
        // Who manages one unit is a colleague there, and no official of all of it.
        (Who::Person(STRANGER, &managing), &[ADA, BEN, DAN]),
        (Who::Person(STRANGER, &["staff"]), &all),
        (Who::Person(STRANGER, &["department_admin"]), &all),
        (Who::Person(ADMIN, &["admin"]), &all),
        // Everybody is there for themselves.
        (Who::Person(CYD, &["student"]), &[ADA, CYD, DAN]),
        (Who::Person(EVE, &["student"]), &[ADA, DAN, EVE]),
        // A program is no member.
        (Who::Key(&reading), &[DAN]),
        (Who::Key(&writing), &[]),
    ];
    for (who, sees) in cases {
        let sees: BTreeSet<Uuid> = sees.iter().copied().collect();
        for path in [format!("/v1/orgs/{psu}/members"), "/v1/people".to_owned()] {
            let path = format!("{path}?min_position={last}");
            assert_eq!(listed(&node, &who, &path, "account").await, sees, "{path}");
        }
        assert_eq!(listed(&node, &who, &format!("/v1/orgs/{ksu}/members"), "account").await, [].into());
        for person in all {
            let one = get(&node, &who, &format!("/v1/people/{person}")).await;
            match sees.contains(&person) {
                true => assert_eq!(one.json()["account"], json!(person)),
                false => drop(one.problem(404, "NotFound")),
            }
        }
    }
    for path in [&*format!("/v1/orgs/{psu}/members"), "/v1/people", &format!("/v1/people/{DAN}")] {
        get(&node, &Who::Nobody, path).await.problem(401, "Unauthenticated");
    }
    let members =
        async |org: &str| get(&node, &Who::Person(STRANGER, &[]), &format!("/v1/orgs/{org}/members")).await;
    assert_eq!(members("PSU").await.problem(400, "InvalidParameter")["field"], "id");
    assert_eq!(members(&Uuid::nil().to_string()).await.json()["items"], json!([]), "no such org unit");
    // Another unit's members are not asked for under the name of this one.
    let twice = get(&node, &Who::Person(STRANGER, &[]), &format!("/v1/orgs/{ksu}/members?orgs={psu}")).await;
    assert!(!twice.text.contains(&ADA.to_string()), "{}", twice.text);
    // Whoever leaves is no member any more.
    let leaves = json!({ "relation": "student", "until": "2025-06-30" });
    last = says(&node, ADA, Method::DELETE, &format!("/v1/users/me/orgs/{psu}"), leaves).await;
    let path = format!("/v1/orgs/{psu}/members?min_position={last}");
    assert_eq!(listed(&node, &Who::Person(STRANGER, &[]), &path, "account").await, [DAN].into());
}

#[actix_web::test]
async fn r_07_a_profile_is_for_its_person_alone() {
    let node = node().await;
    let phone = json!({ "headline": "Hello", "phone": "+14155550123" });
    let last = says(&node, ADA, Method::PUT, "/v1/users/me/profile", phone).await;
    let path = format!("/v1/users/me/profile?min_position={last}");
    assert_eq!(get(&node, &Who::Person(ADA, &[]), &path).await.json()["phone"], "+14155550123");
    for others in [Who::Person(BEN, &[]), Who::Person(ADMIN, &["admin", "compliance", "staff"])] {
        get(&node, &others, &path).await.problem(404, "NotFound");
        let found = get(&node, &others, &format!("/v1/people/{ADA}")).await;
        assert!(found.text.contains("Hello") && !found.text.contains("0123"), "{}", found.text);
    }
    get(&node, &Who::Key(&key(&node, &["read:public"]).await), &path).await.problem(403, "Forbidden");
    get(&node, &Who::Nobody, &path).await.problem(401, "Unauthenticated");
}

#[actix_web::test]
async fn r_06_org_units_are_shown_to_all_members_and_their_contacts_to_those_who_manage_them() {
    let node = node().await;
    let fields = json!({ "kind": "institution", "code": "PSU", "name": "Pittsburg State", "type": "university",
        "country": "US", "contact_email": "office@psu.example.edu" });
    let created = node.post("/v1/orgs", fields).await.json();
    let (psu, last) = (created["id"].as_str().unwrap(), created["position"].as_u64().unwrap());
    let reading = key(&node, &["read:public"]).await;
    for (who, contact) in [
        (Who::Person(STRANGER, &[]), false),
        (Who::Person(STRANGER, &["staff"]), false),
        (Who::Key(&reading), false),
        (Who::Person(STRANGER, &["institution_admin"]), true),
        (Who::Person(ADMIN, &["admin"]), true),
    ] {
        for path in ["/v1/orgs".to_owned(), format!("/v1/orgs/{psu}")] {
            let answer = get(&node, &who, &format!("{path}?min_position={last}")).await;
            assert!(answer.text.contains("PSU"), "{}", answer.text);
            assert_eq!(answer.text.contains("office@psu"), contact, "{}", answer.text);
        }
    }
    let writing = key(&node, &["write:transactions"]).await;
    assert_eq!(listed(&node, &Who::Key(&writing), "/v1/orgs", "org_id").await, [].into());
    get(&node, &Who::Key(&writing), &format!("/v1/orgs/{psu}")).await.problem(404, "NotFound");
    let stranger = Who::Person(STRANGER, &[]);
    get(&node, &stranger, &format!("/v1/orgs/{psu}?fields=contact_email")).await.problem(403, "Forbidden");
    get(&node, &Who::Nobody, "/v1/orgs").await.problem(401, "Unauthenticated");
}

#[actix_web::test]
async fn r_01_r_03_an_account_and_its_sessions_are_for_its_person_and_accounts_for_those_who_manage_them() {
    let node = node().await;
    let mut people = Vec::new();
    for email in ["ada@example.edu", "ben@example.edu"] {
        let id = member(&node, email).await;
        people.push((id, tokens(&node, email).await.0));
    }
    let [(ada, hers), (ben, his)] = &people[..] else { panic!("two people") };
    let last = node.node.api.commands.store().head().await.unwrap().position;
    let all = format!("/v1/accounts?min_position={last}");
    for (token, own, other) in [(hers, ada, ben), (his, ben, ada)] {
        let who = Who::Bearer(token);
        assert_eq!(listed(&node, &who, &all, "account").await, [*own].into());
        assert_eq!(get(&node, &who, &format!("/v1/accounts/{own}")).await.json()["status"], "active");
        get(&node, &who, &format!("/v1/accounts/{other}")).await.problem(404, "NotFound");
        let status = get(&node, &who, "/v1/auth/security-status").await;
        assert_eq!(status.json()["account"], json!(own), "{}", status.text);
        let sessions = format!("/v1/auth/sessions?min_position={last}");
        assert_eq!(listed(&node, &who, &sessions, "account").await, [*own].into());
    }
    for role in ["admin", "compliance", "department_admin"] {
        let who = Who::Person(STRANGER, &[role]);
        assert_eq!(listed(&node, &who, &all, "account").await, [*ada, *ben].into(), "{role}");
        assert_eq!(get(&node, &who, &format!("/v1/accounts/{ada}")).await.status, 200);
        assert_eq!(listed(&node, &who, "/v1/auth/sessions", "account").await, [].into(), "{role}");
        get(&node, &who, "/v1/auth/security-status").await.problem(404, "NotFound");
    }
    let (psu, _) = node.org("PSU").await;
    for role in ["staff", "operator", "student", &format!("department_admin@{psu}")] {
        let roles = [role];
        let who = Who::Person(STRANGER, &roles);
        assert_eq!(listed(&node, &who, &all, "account").await, [].into(), "{role}");
        get(&node, &who, &format!("/v1/accounts/{ada}")).await.problem(404, "NotFound");
    }
    let program = key(&node, &["read:public"]).await;
    assert_eq!(listed(&node, &Who::Key(&program), &all, "account").await, [].into());
    for path in ["/v1/auth/security-status", "/v1/auth/sessions"] {
        get(&node, &Who::Key(&program), path).await.problem(403, "Forbidden");
    }
    for path in
        ["/v1/accounts", &format!("/v1/accounts/{ada}"), "/v1/auth/sessions", "/v1/auth/security-status"]
    {
        get(&node, &Who::Nobody, path).await.problem(401, "Unauthenticated");
    }
}

#[actix_web::test]
async fn r_04_api_clients_are_shown_to_whoever_answers_for_them_and_to_operators() {
    let node = node().await;
    let ada = member(&node, "ada@example.edu").await;
    let (hers, _) = tokens(&node, "ada@example.edu").await;
    let fields = json!({ "name": "Import", "owner": ada, "scopes": ["read:public"], "per_minute": 60 });
    elevate(&node, &hers).await;
    let issued = call_with(&node, &hers, "/v1/api-clients", fields).await.json();
    let (id, last) = (issued["id"].as_str().unwrap(), issued["position"].as_u64().unwrap());
    let (one, all) = (format!("/v1/api-clients/{id}"), format!("/v1/api-clients?min_position={last}"));
    let client: Uuid = id.parse().unwrap();
    let key = issued["key"].as_str().unwrap();
    for who in [Who::Bearer(&hers), Who::Person(STRANGER, &["operator"]), Who::Person(ADMIN, &["admin"])] {
        assert_eq!(listed(&node, &who, &all, "client").await, [client].into());
        let shown = get(&node, &who, &one).await;
        assert_eq!(shown.json()["name"], "Import");
        assert!(!shown.text.contains(key.rsplit('.').next().unwrap()), "the key is shown once");
    }
    for who in [Who::Person(STRANGER, &["staff", "compliance"]), Who::Person(BEN, &[]), Who::Key(key)] {
        assert_eq!(listed(&node, &who, &all, "client").await, [].into());
        get(&node, &who, &one).await.problem(404, "NotFound");
    }
    get(&node, &Who::Nobody, &all).await.problem(401, "Unauthenticated");
}

#[actix_web::test]
async fn r_05_the_security_policy_is_for_those_who_operate_and_those_who_audit() {
    let node = node().await;
    for role in ["admin", "operator", "compliance"] {
        let policy = get(&node, &Who::Person(STRANGER, &[role]), "/v1/security-policy").await;
        assert_eq!(policy.status, 200, "{role}: {}", policy.text);
    }
    for role in ["student", "staff", "department_admin", "institution_admin", "analyst"] {
        let refused = get(&node, &Who::Person(STRANGER, &[role]), "/v1/security-policy").await;
        refused.problem(403, "Forbidden");
    }
    get(&node, &Who::Key(&key(&node, &["read:public"]).await), "/v1/security-policy")
        .await
        .problem(403, "Forbidden");
    get(&node, &Who::Nobody, "/v1/security-policy").await.problem(401, "Unauthenticated");
}
