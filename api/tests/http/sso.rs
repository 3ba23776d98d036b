//! Logins at another provider, and the attacks on them (RFC 9700, OpenID Connect Core 16).

use std::sync::Arc;

use actix_web::test::TestRequest;
use api::auth::Entrances;
use domain::sha256_hex;
use integrations::identity::OpenIdConnect;
use serde_json::{Value, json};

use crate::{
    identity::{PASSWORD, call, call_with, history, member, pair, read_with, tokens},
    node::{Answer, TestNode, node_with},
    provider::{Provider, Twist, settings},
};

/// A node at which people may log in at two providers.
async fn at(one: &Provider, other: &Provider) -> TestNode {
    let providers = OpenIdConnect::new(vec![settings(one, "campus"), settings(other, "club")]).unwrap();
    node_with(Entrances { providers: Arc::new(providers), ..Entrances::default() }).await
}

/// A login that was begun: where to go, and the secret of who began it.
async fn begun(node: &TestNode, name: &str) -> (String, String) {
    let begun = call(node, &format!("/v1/auth/sso/{name}/start"), json!({})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    let text = |field: &str| begun.json()[field].as_str().unwrap().to_owned();
    (text("authorization_url"), text("flow"))
}

async fn back(node: &TestNode, name: &str, code: &str, state: &str, flow: &str, more: Value) -> Answer {
    let mut body = json!({ "code": code, "state": state, "flow": flow, "client": "api" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call(node, &format!("/v1/auth/oidc/{name}/callback"), body).await
}

/// Ada, who has linked an identity.
async fn ada(node: &TestNode, provider: &Provider) -> (uuid::Uuid, String) {
    let id = member(node, "ada@example.edu").await;
    let (access, _) = tokens(node, "ada@example.edu").await;
    call_with(node, &access, "/v1/auth/mfa/sso/campus/start", json!({}))
        .await
        .problem(401, "ElevationRequired");
    assert_eq!(
        call_with(node, &access, "/v1/auth/elevate", json!({ "password": PASSWORD })).await.status,
        200
    );
    let linked = link(node, &access, provider, "ada").await;
    assert_eq!(linked.status, 200, "{}", linked.text);
    (id, access)
}

async fn link(node: &TestNode, access: &str, provider: &Provider, subject: &str) -> Answer {
    let begun = call_with(node, access, "/v1/auth/mfa/sso/campus/start", json!({})).await.json();
    let (code, state) = provider.log_in(begun["authorization_url"].as_str().unwrap(), subject);
    let body = json!({ "code": code, "state": state, "flow": begun["flow"] });
    call_with(node, access, "/v1/auth/mfa/sso/campus", body).await
}

#[actix_web::test]
async fn whoever_linked_an_identity_logs_in_with_it_once_for_each_time_they_show_it() {
    let (campus, club) = (Provider::start(), Provider::start());
    let node = at(&campus, &club).await;
    let there = node.beside().await;
    let (id, _) = ada(&node, &campus).await;
    let (address, flow) = begun(&node, "campus").await;
    let (code, state) = campus.log_in(&address, "ada");
    // Where it is begun and where it ends need not be the same node.
    let (access, _) = pair(&back(&there, "campus", &code, &state, &flow, json!({})).await);
    assert_eq!(read_with(&node, &access).await.status, 200);
    back(&node, "campus", &code, &state, &flow, json!({})).await.problem(401, "LoginRefused");
    let events = history(&node, id).await;
    let (_, fields) = events.iter().find(|(name, _)| name == "LoginSucceeded").unwrap();
    assert_eq!(fields["method"], "password");
    assert_eq!(events.last().unwrap().1["method"], "sso");
    // Also where the provider takes its codes as often as they come, and signs as the big ones do.
    campus.twist(Twist::CodesForEver);
    let (address, flow) = begun(&node, "campus").await;
    let (code, state) = campus.log_in(&address, "ada");
    pair(&back(&node, "campus", &code, &state, &flow, json!({})).await);
    for node in [&node, &there] {
        back(node, "campus", &code, &state, &flow, json!({})).await.problem(401, "LoginRefused");
    }
    assert!(
        campus.fetched() <= 2,
        "each node fetches the keys once and remembers them: {}",
        campus.fetched()
    );
}

#[actix_web::test]
async fn what_a_provider_must_not_say_opens_nothing() {
    let (campus, club) = (Provider::start(), Provider::start());
    let node = at(&campus, &club).await;
    let (id, _) = ada(&node, &campus).await;
    let before = history(&node, id).await.len();
    for twist in [
        Twist::OtherNonce,
        Twist::NoNonce,
        Twist::OtherAudience,
        Twist::OneMoreAudience,
        Twist::OtherParty,
        Twist::OfTheFuture,
        Twist::OtherIssuer,
        Twist::Expired,
        Twist::Unsigned,
        Twist::SharedSecret,
        Twist::PublicKeyAsSecret,
        Twist::OtherKey,
        Twist::OtherAccessToken,
    ] {
        let (address, flow) = begun(&node, "campus").await;
        let (code, state) = campus.log_in(&address, "ada");
        campus.twist(twist);
        let answer = back(&node, "campus", &code, &state, &flow, json!({})).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"]),
            (401, &json!("LoginRefused")),
            "{twist:?}"
        );
        campus.twist(Twist::None);
    }
    assert_eq!(history(&node, id).await.len(), before, "nobody can lock Ada out in this way");
}

#[actix_web::test]
async fn what_came_back_is_good_for_who_began_it_there_and_for_nothing_else() {
    let (campus, club) = (Provider::start(), Provider::start());
    let node = at(&campus, &club).await;
    let (_, access) = ada(&node, &campus).await;
    let (address, flow) = begun(&node, "campus").await;
    let (other_address, other_flow) = begun(&node, "campus").await;
    let (code, state) = campus.log_in(&address, "ada");
    let (other_code, other_state) = campus.log_in(&other_address, "ada");
    let refused = async |name: &str, code: &str, state: &str, flow: &str, more: Value| {
        back(&node, name, code, state, flow, more).await.problem(401, "LoginRefused");
    };
    let none = json!({});
    // Another browser's, another provider's, another request's code.
    refused("campus", &code, &state, &other_flow, none.clone()).await;
    refused("club", &code, &state, &flow, none.clone()).await;
    refused("campus", &other_code, &state, &flow, none.clone()).await;
    refused("campus", &code, "x", &flow, none.clone()).await;
    refused("campus", &code, &format!("{state}0"), &flow, none.clone()).await;
    // RFC 9207: the answer of another provider.
    refused("campus", &code, &state, &flow, json!({ "iss": club.issuer() })).await;
    // What is for a login links nothing, and what links logs nobody in.
    let body = json!({ "code": code, "state": state, "flow": flow });
    call_with(&node, &access, "/v1/auth/mfa/sso/campus", body).await.problem(422, "IdTokenInvalid");
    let begun = call_with(&node, &access, "/v1/auth/mfa/sso/campus/start", json!({})).await.json();
    let (linking, link_state) = campus.log_in(begun["authorization_url"].as_str().unwrap(), "ada");
    refused("campus", &linking, &link_state, begun["flow"].as_str().unwrap(), none.clone()).await;
    // What was begun too long ago.
    let late = format!("{}.00000000000000000000000000000000", jiff::Timestamp::now().as_second() - 1);
    let mac = node.node.api.credentials.bound(&format!("sso|campus|login|{late}|{}", sha256_hex(&flow)));
    refused("campus", &code, &format!("{late}.{mac}"), &flow, none.clone()).await;
    // All that is not used up by it.
    pair(&back(&node, "campus", &code, &state, &flow, json!({ "iss": campus.issuer() })).await);
    refused("campus", &other_code, &other_state, &other_flow, none).await;
}

#[actix_web::test]
async fn an_identity_is_linked_to_one_account_and_unlinked_by_its_holder() {
    let (campus, club) = (Provider::start(), Provider::start());
    let node = at(&campus, &club).await;
    let (_, access) = ada(&node, &campus).await;
    member(&node, "bert@example.edu").await;
    let (bert, _) = tokens(&node, "bert@example.edu").await;
    assert_eq!(
        call_with(&node, &bert, "/v1/auth/elevate", json!({ "password": PASSWORD })).await.status,
        200
    );
    link(&node, &bert, &campus, "ada").await.problem(409, "SsoIdentityTaken");
    let (address, flow) = begun(&node, "campus").await;
    let (code, state) = campus.log_in(&address, "stranger");
    back(&node, "campus", &code, &state, &flow, json!({})).await.problem(401, "LoginRefused");
    let request = TestRequest::delete().uri("/v1/auth/mfa/sso/oidc");
    let unlinked = node.send(request.insert_header(("Authorization", format!("Bearer {access}")))).await;
    assert_eq!(unlinked.status, 200, "{}", unlinked.text);
    let (address, flow) = begun(&node, "campus").await;
    let (code, state) = campus.log_in(&address, "ada");
    back(&node, "campus", &code, &state, &flow, json!({})).await.problem(401, "LoginRefused");
    let linked = link(&node, &bert, &campus, "ada").await;
    assert_eq!(linked.status, 200, "free again: {}", linked.text);
}

#[actix_web::test]
async fn a_provider_that_is_none_or_names_another_issuer_is_not_gone_to() {
    let (campus, club) = (Provider::start(), Provider::start());
    let node = at(&campus, &club).await;
    call(&node, "/v1/auth/sso/nowhere/start", json!({})).await.problem(404, "NotFound");
    club.name_itself(&campus.issuer());
    call(&node, "/v1/auth/sso/club/start", json!({})).await.problem(503, "Unavailable");
}

#[actix_web::test]
async fn rfc9207_a_provider_whose_answers_name_it_is_not_answered_for_by_one_that_does_not() {
    let (campus, club) = (Provider::start(), Provider::start());
    campus.announce_issuer();
    let node = at(&campus, &club).await;
    let id = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    call_with(&node, &access, "/v1/auth/elevate", json!({ "password": PASSWORD })).await;
    link(&node, &access, &campus, "ada").await.problem(422, "IdTokenInvalid");
    let begun_here = call_with(&node, &access, "/v1/auth/mfa/sso/campus/start", json!({})).await.json();
    let (code, state) = campus.log_in(begun_here["authorization_url"].as_str().unwrap(), "ada");
    let body = json!({ "code": code, "state": state, "flow": begun_here["flow"], "iss": campus.issuer() });
    let linked = call_with(&node, &access, "/v1/auth/mfa/sso/campus", body).await;
    assert_eq!(linked.status, 200, "{}", linked.text);
    let (address, flow) = begun(&node, "campus").await;
    let (code, state) = campus.log_in(&address, "ada");
    for more in [json!({}), json!({ "iss": club.issuer() })] {
        back(&node, "campus", &code, &state, &flow, more).await.problem(401, "LoginRefused");
    }
    // Nobody was given the code in the meantime.
    pair(&back(&node, "campus", &code, &state, &flow, json!({ "iss": campus.issuer() })).await);
    assert_eq!(history(&node, id).await.last().unwrap().1["method"], "sso");
}
