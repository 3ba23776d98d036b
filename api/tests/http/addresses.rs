//! What an address tells of its holder, and to whom: nothing to strangers.

use std::time::Duration;

use domain::identity::{Account, TokenPurpose};
use serde_json::{Value, json};

use crate::{
    identity::{
        OTHER, PASSWORD, call, call_with, history, holder, mailed, mailed_soon, mailed_to, member,
        registration, tokens,
    },
    node::node,
};

#[actix_web::test]
async fn idn_a1_a_second_registration_is_answered_as_the_first_and_changes_nothing() {
    let node = node().await;
    let id = member(&node, "ada@example.edu").await;
    let before = node.node.api.commands.state::<Account>(id).await.unwrap().state;
    let first = call(&node, "/v1/auth/register", registration("bert@example.edu")).await;
    for _ in 0..3 {
        let again = call(&node, "/v1/auth/register", registration("ada@example.edu")).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
    }
    // Who has the address is told, and only once a day.
    mailed_soon(&node, "Somebody tried to register with this address").await;
    assert_eq!(holder(&node, "ada@example.edu").await, Some(id));
    let events = history(&node, id).await;
    assert_eq!(events.iter().filter(|(name, _)| name == "RegistrationAttempted").count(), 1);
    let after = node.node.api.commands.state::<Account>(id).await.unwrap().state;
    assert_eq!((after.passwords.len(), after.status), (before.passwords.len(), before.status));
}

#[actix_web::test]
async fn idn_a3_when_an_answer_comes_does_not_tell_whether_there_is_such_an_account() {
    let node = node().await;
    member(&node, "ada@example.edu").await;
    let took = async |path: &str, body: Value| {
        let begun = std::time::Instant::now();
        let answer = call(&node, path, body).await;
        (begun.elapsed() >= Duration::from_millis(250), answer.status.as_u16())
    };
    for email in ["ada@example.edu", "nobody@example.edu"] {
        let wrong = json!({ "email": email, "password": OTHER });
        assert_eq!(took("/v1/auth/login", wrong).await, (true, 401), "not before its time: {email}");
        assert_eq!(took("/v1/auth/register", registration(email)).await, (true, 202), "{email}");
    }
}

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

#[actix_web::test]
async fn whose_address_somebody_else_registered_gets_the_account_by_reading_its_mail() {
    let node = node().await;
    let mut theirs = registration("ada@example.edu");
    theirs["password"] = OTHER.into();
    call(&node, "/v1/auth/register", theirs).await;
    let id = holder(&node, "ada@example.edu").await.unwrap();
    // She registers, is told by mail that the address has an account, and asks for a password.
    assert_eq!(call(&node, "/v1/auth/register", registration("ada@example.edu")).await.status, 202);
    let asked = call(&node, "/v1/auth/forgot-password", json!({ "email": "ada@example.edu" })).await;
    assert_eq!(asked.status, 202);
    mailed_to(&node, "ada@example.edu", "A new password was asked for").await;
    let token = mailed(&node, id, TokenPurpose::ResetPassword, "PasswordResetRequested").await;
    let reset = call(&node, "/v1/auth/reset-password", json!({ "token": token, "password": PASSWORD })).await;
    assert_eq!(reset.status, 200, "{}", reset.text);
    let log_in =
        |password: &str| json!({ "email": "ada@example.edu", "password": password, "client": "api" });
    assert_eq!(call(&node, "/v1/auth/login", log_in(PASSWORD)).await.status, 200);
    call(&node, "/v1/auth/login", log_in(OTHER)).await.problem(401, "LoginRefused");
}
