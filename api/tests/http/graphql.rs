//! The queries of the API, asked in GraphQL.

use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    identity::{log_in, member},
    node::{ADMIN, Answer, BODY_LIMIT, TestNode, node},
};

const ANNA: Uuid = Uuid::from_u128(5);
const CLERK: Uuid = Uuid::from_u128(6);

fn document(query: &str) -> TestRequest {
    TestRequest::post().uri("/v1/graphql").set_json(json!({ "query": query }))
}

/// What a document is answered, as long as it is run at all.
async fn ask(node: &TestNode, person: Uuid, roles: &[&str], query: &str) -> Value {
    let answer = node.send_as(person, roles, document(query)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    answer.json()
}

/// A bit of everything, some of it Anna's.
async fn world(node: &TestNode) -> u64 {
    node.org("PSU").await;
    let own = async |method: Method, path: &str, fields: Value| {
        let request = TestRequest::with_uri(path).method(method).set_json(fields);
        let answer = node.send_elevated(ANNA, &["student", "budget_user"], request).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer.json()["position"].as_u64().unwrap_or_default()
    };
    own(Method::PUT, "/v1/users/me/profile", json!({ "headline": "Hello" })).await;
    let setup = json!({ "currency": "USD", "tz": "America/Chicago", "country": "US", "mode": "off",
        "income": { "minor": 300_000, "ccy": "USD" }, "needs": 5000, "wants": 3000, "savings": 2000 });
    own(Method::POST, "/v1/budget/setup", setup).await;
    let bought = json!({ "kind": "expense", "amount": { "minor": 500, "ccy": "USD" },
        "spent_at": "2024-02-03T12:00:00Z", "merchant": "Books", "source": "manual" });
    own(Method::POST, "/v1/transactions", bought).await;
    let consent = json!({ "purpose": "analytics", "text_version": "1", "text_hash": "0".repeat(64) });
    own(Method::POST, "/v1/privacy/consents", consent).await;
    let key = json!({ "name": "key", "owner": ANNA, "scopes": ["read:public"], "per_minute": 60, "allowed_ips": [] });
    own(Method::POST, "/v1/api-clients", key).await;
    let inspection = json!({ "regime": "ferpa", "type": "inspection", "classes": ["education"], "records": [],
        "details": "All of it" });
    own(Method::POST, "/v1/privacy/requests", inspection).await
}

/// The lists that need nothing in their paths, and the columns of their rows.
async fn lists(node: &TestNode) -> Vec<(String, Vec<String>)> {
    let described = node.get("/v1/openapi.json").await.json();
    let paths = described["paths"].as_object().unwrap().iter();
    let lists = paths.filter_map(|(path, operations)| {
        let parameters = operations["get"]["parameters"].as_array()?;
        // The audit trail is no read model, and is asked by its own routes alone.
        let asked = path.starts_with("/v1/") && !path.starts_with("/v1/audit/");
        let named = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name && asked);
        named("after")?;
        let fields = named("fields")?["schema"]["items"]["enum"].as_array()?;
        let fields = fields.iter().map(|field| field.as_str().unwrap().to_owned()).collect();
        (!path.contains('{')).then(|| (path.clone(), fields))
    });
    lists.collect()
}

#[actix_web::test]
async fn each_role_sees_of_every_list_what_the_query_itself_shows_it_column_by_column() {
    let node = node().await;
    let position = world(&node).await;
    let lists = lists(&node).await;
    assert!(lists.len() > 15, "{lists:?}");
    let (mut shown, mut refused) = (0, 0);
    for (person, roles) in [
        (ANNA, &["student", "budget_user"][..]),
        (CLERK, &["staff"]),
        (CLERK, &["analyst"]),
        (CLERK, &["compliance"]),
        (CLERK, &[]),
    ] {
        for (path, columns) in &lists {
            let root = path.trim_start_matches("/v1/").replace(['/', '-'], "_");
            let fields: String = columns
                .iter()
                .map(|column| {
                    format!("{column}: {root}(min_position: {position}) {{ items {{ {column} }} }} ")
                })
                .collect();
            let told = ask(&node, person, roles, &format!("{{ {fields} }}")).await;
            let alone = columns.iter().map(|column| {
                let uri = format!("{path}?min_position={position}&fields={column}");
                json!({ "method": "GET", "path": uri })
            });
            let alone = json!({ "requests": alone.collect::<Vec<_>>() });
            let alone = TestRequest::post().uri("/v1/batch").set_json(alone);
            let alone = node.send_as(person, roles, alone).await.json()["results"].take();
            for (column, alone) in columns.iter().zip(alone.as_array().unwrap()) {
                let (part, own) = (&told["data"][column], &alone["body"]);
                if alone["status"] == 200 {
                    let column = |rows: &Value| -> Vec<Value> {
                        rows["items"].as_array().unwrap().iter().map(|row| row[column].clone()).collect()
                    };
                    assert_eq!(column(part), column(own), "{roles:?} {path} {own}");
                    shown += column(part).len();
                } else {
                    let errors = told["errors"].as_array().unwrap();
                    let error = errors.iter().find(|error| error["path"] == json!([column])).unwrap();
                    for what in ["code", "status", "field", "detail"] {
                        assert_eq!(error["extensions"][what], own[what], "{roles:?} {path} {own}");
                    }
                    assert!(part.is_null());
                    refused += 1;
                }
            }
        }
    }
    assert!(shown > 100 && refused > 50, "{shown} values and {refused} refusals");
}

#[actix_web::test]
async fn a_stranger_sees_nothing_not_even_what_there_is_to_see() {
    let node = node().await;
    for query in ["{ orgs { items { code } } }", "{ __schema { queryType { name } } }", "{"] {
        node.send(document(query)).await.problem(401, "Unauthenticated");
    }
}

#[actix_web::test]
async fn one_document_reads_own_writes_by_id_page_by_page_and_as_of_a_position() {
    let node = node().await;
    let (first, _) = node.org("KSU").await;
    let (_, position) = node.org("PSU").await;
    let query = format!(
        r#"{{
            first: orgs_by_id(id: "{first}", min_position: {position}) {{ code org_id }}
            page: orgs(sort: ["-code"], limit: 1, min_position: {position}) {{ items {{ code active }} next position }}
            fits: orgs(filters: {{ code: ["KSU", "XYZ"], name_search: "state" }}, min_position: {position}) {{ items {{ code }} next }}
        }}"#
    );
    let told = ask(&node, ADMIN, &["admin"], &query).await;
    assert_eq!(told["errors"], Value::Null, "{told}");
    let told = &told["data"];
    assert_eq!(told["first"], json!({ "code": "KSU", "org_id": first }));
    assert_eq!(told["page"]["items"], json!([{ "code": "PSU", "active": true }]));
    assert_eq!(told["fits"], json!({ "items": [{ "code": "KSU" }], "next": null }));
    assert!(told["page"]["position"].as_u64().unwrap() >= position);
    // With variables, and the cursor that the page gave.
    let query = "query next($after: String, $as_of: JSON) {
        orgs(sort: [\"-code\"], limit: 1, after: $after) { items { code } next }
        then: orgs(as_of: $as_of) { items { code } }
    } query other { __typename }";
    let body = json!({ "query": query, "operationName": "next",
        "variables": { "after": told["page"]["next"], "as_of": position - 1 } });
    let request = TestRequest::post().uri("/v1/graphql").set_json(body);
    let told = node.send_as(ADMIN, &["admin"], request).await.json();
    assert_eq!(told["data"]["orgs"]["items"], json!([{ "code": "KSU" }]), "{told}");
    let as_of = node.get(&format!("/v1/orgs?as_of={}", position - 1)).await;
    match as_of.status.as_u16() {
        200 => assert_eq!(told["data"]["then"]["items"], json!([{ "code": "KSU" }])),
        _ => assert_eq!(told["errors"][0]["extensions"]["code"], as_of.json()["code"], "{told}"),
    }
}

#[actix_web::test]
async fn what_one_root_field_is_refused_is_an_error_with_its_problem_and_hides_no_other() {
    let node = node().await;
    node.org("PSU").await;
    let query = r#"{
        orgs(limit: 1) { position }
        none: orgs_by_id(id: "00000000-0000-0000-0000-000000000009") { code }
        wrong: orgs_by_id(id: "psu") { code }
        large: orgs(limit: 1000) { next }
        keys: privacy_inventory_keys { next }
        empty: orgs(filters: { code: [] }) { next }
        far: orgs(min_position: 5000000000) { next }
    }"#;
    let told = ask(&node, ANNA, &["student"], query).await;
    assert!(told["data"]["orgs"]["position"].is_number(), "{told}");
    let mut problems = std::collections::BTreeMap::new();
    for error in told["errors"].as_array().unwrap() {
        let (name, problem) = (error["path"][0].as_str().unwrap(), &error["extensions"]);
        assert_eq!(error["message"], problem["detail"]);
        assert!(problem["trace_id"].is_string() && error["locations"][0]["line"].is_number(), "{error}");
        assert_eq!(told["data"][name], Value::Null);
        problems.insert(name, (problem["status"].as_u64().unwrap(), problem["code"].as_str().unwrap()));
    }
    let expected = [
        ("empty", (400, "InvalidParameter")),
        ("far", (503, "Unavailable")),
        ("keys", (403, "Forbidden")),
        ("large", (400, "InvalidParameter")),
        ("none", (404, "NotFound")),
        ("wrong", (400, "InvalidParameter")),
    ];
    assert_eq!(problems.into_iter().collect::<Vec<_>>(), expected);
    // Whoever was turned away from personal data is on record as if they had come alone.
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let denied: Vec<_> = events.iter().filter(|event| event.event_type == "AccessDenied").collect();
    assert!(matches!(&denied[..], [one] if one.payload.contains("/v1/privacy/inventory/keys")), "{denied:?}");
}

#[actix_web::test]
async fn a_read_of_somebody_elses_data_is_on_record_under_the_query_that_it_is() {
    let node = node().await;
    let position = world(&node).await;
    let query = format!("{{ people_by_id(id: \"{ANNA}\", min_position: {position}) {{ account }} }}");
    let request = document(&query).insert_header(("X-Purpose", "advising"));
    let told = node.send_as(CLERK, &["staff"], request).await.json();
    assert_eq!(told["data"]["people_by_id"]["account"], ANNA.to_string(), "{told}");
    let events = node.node.api.commands.store().read_all(0, 1000).await.unwrap();
    let logged = events.iter().find(|event| event.event_type == "AccessLogged").unwrap();
    let logged: Value = serde_json::from_str(&logged.payload).unwrap();
    let logged = &logged["AccessLogged"];
    assert_eq!((&logged["route"], &logged["purpose"]), (&json!("/v1/people/{id}"), &json!("advising")));
    assert_eq!((&logged["actor"], &logged["subjects"]), (&json!(CLERK), &json!([ANNA])));
}

#[actix_web::test]
async fn every_root_field_counts_against_the_limit_and_so_does_the_document() {
    let node = node().await;
    let fields = json!({ "per": "account", "limit": 4, "window_s": 86_400 });
    let put = TestRequest::put().uri("/v1/security-policy/rate-limits/operator").set_json(fields);
    assert!(node.send_elevated(ADMIN, &["admin"], put).await.status.is_success());
    let aliases: String = (0..5).map(|n| format!("a{n}: orgs {{ next }} ")).collect();
    let told = ask(&node, ANNA, &["student"], &format!("{{ {aliases} }}")).await;
    let errors = told["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{told}");
    assert!(errors.iter().all(|error| error["extensions"]["code"] == "RateLimited"), "{told}");
    node.send_as(ANNA, &["student"], document("{ __typename }")).await.problem(429, "RateLimited");
}

#[actix_web::test]
async fn a_document_that_cannot_be_run_is_refused_as_the_client_understands_it_and_is_no_defect() {
    let node = node().await;
    let aliases: String = (0..101).map(|n| format!("a{n}: orgs {{ next }} ")).collect();
    let deep = format!("{}a{}", "{ a ".repeat(5000), " }".repeat(5000));
    for query in [
        "{ orgs { items { colour } } }",
        "{ orgs { next }",
        "",
        "mutation { orgs { next } }",
        "{ orgs(limit: \"zugvogel\") { next } }",
        &format!("{{ {aliases} }}"),
        &deep,
    ] {
        let plain = node.send_as(ANNA, &["student"], document(query)).await;
        let strict = document(query).insert_header(("Accept", "application/graphql-response+json"));
        let strict = node.send_as(ANNA, &["student"], strict).await;
        assert_eq!((plain.status.as_u16(), strict.status.as_u16()), (200, 400), "{query:.60}");
        assert_eq!(strict.header("content-type"), "application/graphql-response+json");
        for told in [plain.json(), strict.json()] {
            assert!(told.get("data").is_none() && !told.to_string().contains("zugvogel"), "{told}");
            let problem = &told["errors"][0]["extensions"];
            assert_eq!((&problem["code"], &problem["status"]), (&json!("Malformed"), &json!(400)), "{told}");
        }
    }
}

#[actix_web::test]
async fn what_is_no_request_in_graphql_is_refused_with_a_problem() {
    let node = node().await;
    let send = async |request: TestRequest| -> Answer { node.send_as(ANNA, &["student"], request).await };
    let post = || TestRequest::post().uri("/v1/graphql");
    let query = json!({ "query": "{ __typename }" });
    send(post().set_json(json!([query]))).await.problem(400, "Malformed");
    send(post().set_json(json!({ "query": "{ __typename }", "colour": 1 }))).await.problem(400, "Malformed");
    send(post().set_json(json!({ "query": 7 }))).await.problem(400, "Malformed");
    send(post().set_json(json!({}))).await.problem(400, "Malformed");
    send(post().set_json(json!({ "query": "{ __typename }", "variables": [] })))
        .await
        .problem(400, "Malformed");
    send(post().set_json(json!({ "query": "#".repeat(BODY_LIMIT) }))).await.problem(413, "TooLarge");
    let plain = post().insert_header(("Content-Type", "text/plain")).set_payload(query.to_string());
    send(plain).await.problem(415, "UnsupportedMediaType");
    let purpose = post().insert_header(("X-Purpose", "\u{d7}")).set_json(json!({ "query": "0" }));
    send(purpose).await.problem(400, "InvalidParameter");
    let form = post().set_form([("query", "{ __typename }")]);
    send(form).await.problem(415, "UnsupportedMediaType");
    let in_query = TestRequest::post().uri("/v1/graphql?query=x").set_json(query);
    send(in_query).await.problem(400, "InvalidParameter");
    send(TestRequest::get().uri("/v1/graphql")).await.problem(405, "MethodNotAllowed");
    let nested = json!({ "method": "POST", "path": "/v1/graphql", "body": {} });
    let batch = TestRequest::post().uri("/v1/batch").set_json(json!({ "requests": [nested] }));
    assert_eq!(send(batch).await.json()["results"][0]["status"], 400);
}

#[actix_web::test]
async fn no_other_site_can_ask_with_a_browsers_cookie() {
    let node = node().await;
    member(&node, "ada@example.edu").await;
    let login = log_in(&node, "ada@example.edu", json!({ "client": "web" })).await;
    let set = login.headers.get_all("set-cookie").map(|cookie| cookie.to_str().unwrap());
    let cookies: Vec<&str> = set.map(|cookie| cookie.split(';').next().unwrap()).collect();
    let with = || document("{ users_me_profile { account } }").insert_header(("Cookie", cookies.join("; ")));
    node.send(with()).await.problem(403, "Forbidden");
    let csrf = login.json()["csrf_token"].as_str().unwrap().to_owned();
    let told = node.send(with().insert_header(("X-CSRF-Token", csrf))).await;
    assert_eq!(told.status, 200, "{}", told.text);
}
