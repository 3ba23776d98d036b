//! Who gets in.

use actix_web::test::TestRequest;
use uuid::Uuid;

use crate::node::{node, org};

/// What a route is called with: every parameter has some value.
fn filled(template: &str) -> String {
    let segment = |segment: &str| match segment.starts_with('{') {
        true => Uuid::from_u128(1).to_string(),
        false => segment.to_owned(),
    };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[actix_web::test]
async fn every_route_that_is_not_public_is_denied_without_a_token() {
    let node = node().await;
    let mut denied = 0;
    for route in node.node.api.router.routes() {
        let request = TestRequest::with_uri(&filled(&route.template)).method(route.method.clone());
        let answer = node.send(request).await;
        if route.access.needs_token() {
            answer.problem(401, "Unauthenticated");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"annals\"");
            denied += 1;
        } else {
            assert_ne!(answer.status, 401, "{}", route.template);
        }
    }
    assert!(denied > 100, "{denied}");
}

#[actix_web::test]
async fn a_token_that_does_not_verify_is_told_why() {
    let node = node().await;
    let mut token = node.token(Uuid::from_u128(1), &[]);
    token.truncate(token.len() - 2);
    let request =
        TestRequest::get().uri("/v1/orgs").insert_header(("Authorization", format!("Bearer {token}")));
    let answer = node.send(request).await;
    answer.problem(401, "Unauthenticated");
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""));
}

#[actix_web::test]
async fn credentials_of_another_kind_are_no_credentials() {
    let node = node().await;
    for header in ["Basic YTpi", "Bearer", "Bearer ", "bearer a.b", "x"] {
        let request = TestRequest::get().uri("/v1/orgs").insert_header(("Authorization", header));
        node.send(request).await.problem(401, "Unauthenticated");
    }
}

#[actix_web::test]
async fn a_command_that_the_callers_roles_do_not_bring_is_forbidden() {
    let node = node().await;
    let request = TestRequest::post().uri("/v1/orgs").set_json(org("PSU"));
    node.send_as(Uuid::from_u128(1), &["student"], request).await.problem(403, "Forbidden");
}

#[actix_web::test]
async fn people_have_a_profile_of_their_own_and_clients_have_none() {
    let node = node().await;
    let headline = serde_json::json!({ "headline": "Hello" });
    let (anna, path) = (Uuid::from_u128(5), "/v1/users/me/profile");
    let put = || TestRequest::put().uri(path).set_json(&headline);
    let answer = node.send_as(anna, &["student"], put()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["id"]), (201, &serde_json::json!(anna)));
    let foreign = format!("/v1/identity/profile/{anna}/revise-profile");
    let request = TestRequest::post().uri(&foreign).set_json(&headline);
    node.send_as(Uuid::from_u128(6), &["student"], request).await.problem(403, "Forbidden");
}
