//! Queries out.

use actix_web::test::TestRequest;
use serde_json::json;
use uuid::Uuid;

use crate::node::{ADMIN, TestNode, node};

/// Three org units, and the position of the last.
async fn three(node: &TestNode) -> u64 {
    let mut position = 0;
    for code in ["KSU", "PSU", "WSU"] {
        position = node.org(code).await.1;
    }
    position
}

fn codes(page: &serde_json::Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn a_query_that_carries_a_position_reads_that_write() {
    let node = node().await;
    let position = three(&node).await;
    let page = node.get(&format!("/v1/orgs?min_position={position}")).await;
    assert_eq!((page.status.as_u16(), codes(&page.json())), (200, vec!["KSU", "PSU", "WSU"]));
    assert_eq!(page.json()["position"], position);
}

#[actix_web::test]
async fn a_position_that_has_not_come_is_answered_202() {
    let node = node().await;
    let page = node.get("/v1/orgs?min_position=1000").await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (202, "1"));
    assert_eq!(page.json()["status"], "not_yet");
    let due = TestRequest::get().uri("/v1/governance/due?min_position=9223372036854775807");
    let due = node.send_elevated(ADMIN, &["compliance"], due).await;
    assert_eq!((due.status.as_u16(), due.header("retry-after")), (202, "1"), "{}", due.text);
}

#[actix_web::test]
async fn what_can_never_be_answered_is_refused_and_not_waited_for() {
    let node = node().await;
    for wrong in ["fields=nothing", "sort=nothing", "fields=code&sort=-nothing"] {
        node.get(&format!("/v1/orgs?min_position=1000&{wrong}")).await.problem(400, "InvalidParameter");
    }
    let nameless = TestRequest::get().uri("/v1/orgs?min_position=1000").insert_header(("X-Purpose", ""));
    node.send_as(ADMIN, &["admin"], nameless).await.problem(400, "InvalidParameter");
    let verdict = format!("/v1/credentials/{}/recognitions?verdict=perhaps", Uuid::nil());
    node.get(&verdict).await.problem(400, "InvalidParameter");
    for month in ["2026-13", "2026-1", "May"] {
        for of in ["calendar", "envelopes"] {
            node.get(&format!("/v1/budget/{of}/{month}")).await.problem(400, "InvalidParameter");
        }
    }
}

#[actix_web::test]
async fn pages_follow_each_other_by_their_links() {
    let node = node().await;
    let position = three(&node).await;
    let mut next = Some(format!("/v1/orgs?limit=2&sort=-code&min_position={position}"));
    let mut pages = Vec::new();
    while let Some(path) = next {
        let page = node.get(&path).await;
        pages.push(codes(&page.json()).join(" "));
        next = page.headers.get("link").map(|link| {
            let link = link.to_str().unwrap();
            link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned()
        });
    }
    assert_eq!(pages, ["WSU PSU", "KSU"]);
}

#[actix_web::test]
async fn rows_are_filtered_and_columns_chosen() {
    let node = node().await;
    let position = three(&node).await;
    let page = format!("/v1/orgs?code=PSU&code=WSU&kind=institution&fields=code&min_position={position}");
    assert_eq!(node.get(&page).await.json()["items"], json!([{ "code": "PSU" }, { "code": "WSU" }]));
    for wrong in
        ["colour=red", "limit=0", "limit=201", "sort=country", "fields=secret", "kind=castle", "limit=x"]
    {
        node.get(&format!("/v1/orgs?{wrong}")).await.problem(400, "InvalidParameter");
    }
    node.get("/v1/orgs?after=nowhere").await.problem(400, "InvalidParameter");
    for (wrong, field) in [
        ("sort=code,nope%3Cscript%3E", "sort"),
        ("fields=nope", "fields"),
        ("sort=", "sort"),
        ("fields=", "fields"),
    ] {
        let problem = node.get(&format!("/v1/orgs?{wrong}")).await.problem(400, "InvalidParameter");
        assert_eq!(problem["field"], field, "{wrong}");
        assert!(!problem.to_string().contains("nope"), "{problem}");
    }
}

#[actix_web::test]
async fn a_column_that_is_for_others_is_refused_by_name() {
    let node = node().await;
    let (id, _) = node.org("PSU").await;
    for path in ["/v1/orgs?fields=contact_email".to_owned(), format!("/v1/orgs/{id}?fields=contact_email")] {
        let asked = TestRequest::get().uri(&path);
        let problem = node.send_as(Uuid::from_u128(7), &["member"], asked).await.problem(403, "Forbidden");
        assert_eq!(problem["field"], "contact_email");
    }
    assert_eq!(node.get("/v1/orgs?fields=contact_email").await.status, 200);
}

#[actix_web::test]
async fn one_row_has_a_path_of_its_own() {
    let node = node().await;
    let (id, position) = node.org("PSU").await;
    let row = node.get(&format!("/v1/orgs/{id}?min_position={position}")).await;
    assert_eq!((row.status.as_u16(), &row.json()["code"]), (200, &json!("PSU")));
    node.get(&format!("/v1/orgs/{}", Uuid::from_u128(3))).await.problem(404, "NotFound");
    node.get("/v1/orgs/7").await.problem(400, "InvalidParameter");
}

#[actix_web::test]
async fn a_row_tells_the_version_to_which_a_command_may_be_bound() {
    let node = node().await;
    let (id, created) = node.org("PSU").await;
    let path = format!("/v1/orgs/{id}");
    let close = |version: String| {
        let request = TestRequest::post().uri(&format!("{path}/deactivate"));
        let request = request.insert_header(("If-Match", format!("\"{version}\"")));
        node.send_as(ADMIN, &["admin"], request.set_json(json!({ "reason": "merged" })))
    };
    let row = node.get(&format!("{path}?min_position={created}")).await;
    assert_eq!(row.header("annals-version"), "1");
    close("2".to_owned()).await.problem(412, "PreconditionFailed");
    let closed = close(row.header("annals-version").to_owned()).await;
    assert_eq!(closed.status, 200, "{}", closed.text);

    let position = &closed.json()["position"];
    let row = node.get(&format!("{path}?min_position={position}")).await;
    assert_eq!(row.header("annals-version"), "2");
    let again = TestRequest::get().uri(&path).insert_header(("If-None-Match", row.header("etag")));
    let again = node.send_as(ADMIN, &["admin"], again).await;
    assert_eq!((again.status.as_u16(), again.header("annals-version")), (304, "2"));
    let then = node.get(&format!("{path}?as_of={created}")).await;
    assert_eq!(then.header("annals-version"), "1");
    let analyst =
        node.send_as(Uuid::from_u128(7), &["analyst", "member"], TestRequest::get().uri(&path)).await;
    assert!(analyst.status == 200 && !analyst.headers.contains_key("annals-version"));
    assert!(!node.get("/v1/orgs").await.headers.contains_key("annals-version"));
}

#[actix_web::test]
async fn a_client_that_has_the_answer_is_told_so() {
    let node = node().await;
    let position = three(&node).await;
    let path = format!("/v1/orgs?min_position={position}");
    let page = node.get(&path).await;
    assert_eq!(page.header("cache-control"), "private, max-age=3600");
    let request = TestRequest::get().uri(&path).insert_header(("If-None-Match", page.header("etag")));
    let again = node.send_as(ADMIN, &["admin"], request).await;
    assert_eq!((again.status.as_u16(), &*again.text), (304, ""));
    assert_eq!(again.header("etag"), page.header("etag"));
}

#[actix_web::test]
async fn what_is_about_people_stays_in_no_cache() {
    let node = node().await;
    let (_, position) = node.org("PSU").await;
    let ask = async |path: &str| {
        let asked = TestRequest::get().uri(path);
        let answer = node.send_as(ADMIN, &["admin", "compliance"], asked).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        (answer.header("cache-control").to_owned(), answer.headers.contains_key("etag"))
    };
    for path in [
        "/v1/audit/trail",
        "/v1/audit/me",
        "/v1/audit/events",
        "/v1/audit/events/1",
        "/v1/privacy/inventory/me",
        "/v1/governance/due",
    ] {
        assert_eq!(ask(path).await.0, "no-store", "{path}");
    }
    // Whoever remembers an answer themselves need not be sent it again.
    for path in ["/v1/accounts", "/v1/applications", "/v1/privacy/requests", "/v1/auth/sessions"] {
        assert_eq!(ask(path).await, ("no-store".to_owned(), true), "{path}");
    }
    let directory = ask(&format!("/v1/orgs?min_position={position}")).await;
    assert_eq!(directory, ("private, max-age=3600".to_owned(), true));
}

#[actix_web::test]
async fn the_past_can_be_asked_where_it_is_kept() {
    let node = node().await;
    let (id, created) = node.org("PSU").await;
    let closed = node.post(&format!("/v1/orgs/{id}/deactivate"), json!({ "reason": "merged" })).await.json();
    let now = node.get(&format!("/v1/orgs/{id}?min_position={}", closed["position"])).await.json();
    let then = node.get(&format!("/v1/orgs/{id}?as_of={created}")).await.json();
    assert_eq!((&now["active"], &then["active"]), (&json!(false), &json!(true)));
    for ahead in ["1000", "2199-01-01T00:00:00Z"] {
        for list in ["orgs", "audit/trail", "audit/me", "audit/events"] {
            let problem = node.get(&format!("/v1/{list}?as_of={ahead}")).await.problem(404, "NotFound");
            assert_eq!(problem["field"], "as_of", "{list} {ahead}");
        }
    }
    let just_now = node.get(&format!("/v1/orgs/{id}?as_of={}", jiff::Timestamp::now())).await;
    assert_eq!(just_now.json()["active"], json!(false), "{}", just_now.text);
    node.get("/v1/scholarships?as_of=1").await.problem(400, "AsOfUnsupported");
    // Before the first event there was nothing, and that is known of every read model.
    let nothing = node.get("/v1/scholarships?as_of=0").await.json();
    assert_eq!((&nothing["items"], &nothing["position"]), (&json!([]), &json!(0)));
}

#[actix_web::test]
async fn nobody_sees_rows_that_are_not_theirs() {
    let node = node().await;
    let (anna, ben) = (Uuid::from_u128(5), Uuid::from_u128(6));
    let org = json!({ "kind": "sponsor", "code": "FUND", "name": "Fund", "type": "other", "country": "US" });
    let sponsor = node.post("/v1/orgs", org).await.json()["id"].clone();
    let terms = json!({ "title": "Fund", "sponsor": sponsor, "description": "", "award": { "minor": 5, "ccy": "USD" },
        "max_awards": 1, "opens_at": "2020-01-01T00:00:00Z", "deadline": "2199-01-01T00:00:00Z", "majors": [],
        "grad_years": [], "tags": [], "essay_prompts": [], "recommendations_required": 0, "renewable": false });
    let drafted = node.post("/v1/scholarships", terms).await;
    let scholarship = drafted.json()["id"].as_str().unwrap_or_else(|| panic!("{}", drafted.text)).to_owned();
    let published = node.post(&format!("/v1/scholarships/{scholarship}/publish"), json!({})).await;
    assert_eq!(published.status, 200, "{}", published.text);
    let started = TestRequest::post().uri("/v1/applications").set_json(json!({ "scholarship": scholarship }));
    let started = node.send_as(anna, &["student"], started).await;
    assert_eq!(started.status, 201, "{}", started.text);
    let path = format!("/v1/applications?min_position={}", started.json()["position"]);
    let seen = async |account| {
        let page = node.send_as(account, &["student"], TestRequest::get().uri(&path)).await;
        page.json()["items"].as_array().unwrap().len()
    };
    assert_eq!((seen(anna).await, seen(ben).await), (1, 0));
}
