//! What an address tells of its holder, and to whom: nothing to strangers.

use domain::identity::TokenPurpose;
use serde_json::json;

use crate::{
    identity::{PASSWORD, call_with, mailed, mailed_to, member, tokens},
    node::node,
};

#[actix_web::test]
async fn p_02_that_an_account_has_another_address_is_told_at_the_old_one_and_at_the_new_one() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let (access, _) = tokens(&node, "ada@example.edu").await;
    let proof = json!({ "password": PASSWORD });
    assert_eq!(call_with(&node, &access, "/v1/auth/elevate", proof).await.status, 200);
    let asked =
        call_with(&node, &access, "/v1/auth/change-email", json!({ "email": "countess@example.edu" })).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let token = mailed(&node, id, TokenPurpose::ChangeEmail, "EmailChangeRequested").await;
    let confirmed = call_with(&node, &access, "/v1/auth/confirm-email", json!({ "token": token })).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    mailed_to(&node, "countess@example.edu", "This address is now its e-mail address").await;
    mailed_to(&node, "ada@example.edu", "this one does not open it any more").await;
}
