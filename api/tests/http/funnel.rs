//! The funnel of a scholarship.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::node::node;

#[actix_web::test]
async fn r_19_the_funnel_of_a_scholarship_is_one_object_for_staff_and_analysts() {
    let node = node().await;
    let org = json!({ "kind": "sponsor", "code": "FUND", "name": "Fund", "type": "other", "country": "US" });
    let sponsor = node.post("/v1/orgs", org).await.json()["id"].clone();
    let terms = json!({ "title": "Fund", "sponsor": sponsor, "description": "", "award": { "minor": 5, "ccy": "USD" },
        "max_awards": 1, "opens_at": "2020-01-01T00:00:00Z", "deadline": "2199-01-01T00:00:00Z", "majors": [],
        "grad_years": [], "tags": [], "essay_prompts": [], "recommendations_required": 0, "renewable": false });
    let drafted = node.post("/v1/scholarships", terms).await.json();
    let scholarship = drafted["id"].as_str().unwrap().to_owned();
    node.post(&format!("/v1/scholarships/{scholarship}/publish"), json!({})).await;
    let mut position = 0;
    for number in 1..=6 {
        let student = Uuid::from_u128(number);
        let start =
            TestRequest::post().uri("/v1/applications").set_json(json!({ "scholarship": scholarship }));
        let mut last = node.send_as(student, &["student"], start).await;
        if number < 6 {
            let submit = format!("/v1/applications/{}/submit", last.json()["id"].as_str().unwrap());
            let facet = TestRequest::put().uri("/v1/users/me/profile/student").set_json(json!({
                "student_no": "1", "major": "Law", "grad_year": 2027, "gpa": 3500, "source": "self" }));
            assert_eq!(node.send_as(student, &["student"], facet).await.status, 201);
            let submit = TestRequest::post().uri(&submit).set_json(json!({ "declaration": true }));
            last = node.send_as(student, &["student"], submit).await;
        }
        position = last.json()["position"].as_u64().unwrap_or_else(|| panic!("{}", last.text));
    }
    let path = format!("/v1/scholarships/{scholarship}/funnel?min_position={position}");
    let ask = async |role: &str, path: &str| {
        node.send_as(Uuid::from_u128(99), &[role], TestRequest::get().uri(path)).await
    };
    let funnel = ask("staff", &path).await.json();
    assert_eq!(funnel["scholarship"], json!(scholarship));
    assert_eq!(
        (&funnel["people"], &funnel["started"], &funnel["submitted"]),
        (&json!(6), &json!(6), &json!(5))
    );
    let majors = |funnel: &Value| -> Vec<Value> {
        funnel["groups"].as_array().unwrap().iter().map(|group| group["major"].clone()).collect()
    };
    assert_eq!(majors(&funnel), [json!("law"), json!(null)]);
    let shown = ask("analyst", &path).await.json();
    assert_eq!(
        (&shown["people"], majors(&shown)),
        (&json!(5), vec![json!("law")]),
        "five are a group, one is not"
    );
    assert_eq!(ask("staff", &format!("{path}&major=Law")).await.json()["started"], 5);
    assert_eq!(ask("staff", &format!("{path}&major=physics")).await.json()["started"], 0);
    ask("staff", &format!("{path}&colour=red")).await.problem(400, "InvalidParameter");
    ask("student", &path).await.problem(403, "Forbidden");
    // Staff of an org unit see what it sponsors, and what is below it, and nothing of others.
    let (faculty, _) = node.org("LAW").await;
    let moved = node
        .post(&format!("/v1/orgs/{}/move", sponsor.as_str().unwrap()), json!({ "parent": faculty }))
        .await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    let (other, position) = node.org("ART").await;
    let directory = node.get(&format!("/v1/orgs?min_position={position}")).await;
    assert_eq!(directory.status, 200, "the directory knows of the move");
    let within = |unit: &str| format!("staff@{unit}");
    for unit in [sponsor.as_str().unwrap(), &faculty.to_string()] {
        let seen = ask(&within(unit), &path).await.json();
        assert_eq!((&seen["people"], majors(&seen)), (&json!(6), vec![json!("law"), json!(null)]), "{unit}");
    }
    ask(&within(&other.to_string()), &path).await.problem(403, "Forbidden");
    let unknown = format!("/v1/scholarships/{}/funnel", Uuid::from_u128(1));
    ask("staff", &unknown).await.problem(404, "NotFound");
}
