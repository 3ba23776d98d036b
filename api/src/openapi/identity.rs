//! The operations that say and change who somebody is.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::components::{header_references, problems};
use crate::http::{Identity, identity::bodies as b};

/// What every one of these can be answered.
const PROBLEMS: &[u16] = &[400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503];

/// The operation of a route.
pub(super) fn operation(route: Identity, schemas: &mut SchemaGenerator) -> Value {
    use Identity as I;
    let s = schemas;
    match route {
        I::Register => post::<b::Register, b::Pending>(s, "Register an account", "202"),
        I::Invite => post::<b::Address, b::Invited>(s, "Invite somebody to register, by mail", "200"),
        I::VerifyEmail => post::<b::Mailed, b::Done>(s, "Verify an e-mail address", "200"),
        I::ResendVerification => post::<b::Address, b::Pending>(s, "Mail the token for that again", "202"),
        I::Login => post::<b::Login, b::Tokens>(s, "Log in", "200"),
        I::Refresh => post::<b::Refresh, b::Tokens>(s, "Exchange a refresh token", "200"),
        I::ForgotPassword => {
            post::<b::Address, b::Pending>(s, "Mail a token for a forgotten password", "202")
        }
        I::ResetPassword => post::<b::ResetPassword, b::Done>(s, "Replace a forgotten password", "200"),
        I::Token => {
            token(post::<b::ClientGrant, b::ClientToken>(s, "Exchange a key for an access token", "200"))
        }
        I::Logout => post::<b::Nothing, b::Done>(s, "End the session", "200"),
        I::LogoutEverywhere => post::<b::Nothing, b::Done>(s, "End all sessions", "200"),
        I::ChangePassword => post::<b::ChangePassword, b::Tokens>(s, "Change the password", "200"),
        I::ChangeEmail => post::<b::Address, b::Pending>(s, "Ask for another e-mail address", "202"),
        I::ConfirmEmail => post::<b::Mailed, b::Done>(s, "Confirm another e-mail address", "200"),
        I::Elevate => post::<b::Again, b::Elevated>(s, "Prove again who one is", "200"),
        I::EnrolTotp => post::<b::Nothing, b::Enrolment>(s, "Begin to set up one-time codes", "200"),
        I::ConfirmTotp => post::<b::Code, b::RecoveryCodes>(s, "Confirm one-time codes", "200"),
        I::DisableTotp => post::<b::Again, b::Done>(s, "Switch one-time codes off", "200"),
        I::RecoveryCodes => post::<b::Code, b::RecoveryCodes>(s, "Replace the recovery codes", "200"),
        I::SsoStart => {
            provider(post::<b::Nothing, b::SsoBegun>(s, "Begin a login at another provider", "200"))
        }
        I::SsoGoogle => post::<b::SsoLogin, b::Tokens>(s, "Log in with what came back from Google", "200"),
        I::SsoMicrosoft => {
            post::<b::SsoLogin, b::Tokens>(s, "Log in with what came back from Microsoft", "200")
        }
        I::SsoCallback => {
            provider(post::<b::SsoLogin, b::Tokens>(s, "Log in with what came back from a provider", "200"))
        }
        I::SsoLinkStart => {
            provider(post::<b::Nothing, b::SsoBegun>(s, "Begin to link another provider's identity", "200"))
        }
        I::SsoLink => provider(post::<b::SsoReturn, b::Done>(s, "Link another provider's identity", "200")),
        I::SsoUnlink => provider(post::<b::Nothing, b::Done>(s, "Unlink another provider's identity", "200")),
        I::KeyStart => post::<b::Nothing, b::KeyBegun>(s, "Begin a login with a security key", "200"),
        I::KeyLogin => post::<b::KeyLogin, b::Tokens>(s, "Log in with a security key", "200"),
        I::KeyProofStart => {
            post::<b::Nothing, b::KeyBegun>(s, "Begin to prove again who one is with a security key", "200")
        }
        I::KeyRegisterStart => post::<b::Nothing, b::KeyBegun>(s, "Begin to register a security key", "200"),
        I::KeyRegister => post::<b::KeyRegistered, b::Registered>(s, "Register a security key", "200"),
        I::KeyRemove => in_path(post::<b::Nothing, b::Done>(s, "Remove a security key", "200"), "id"),
        I::Keys => {
            let mut responses = problems(&[500, 503]);
            responses.insert("200".into(), answered::<b::JsonWebKeys>(s));
            let summary = "The keys that access tokens are verified with";
            json!({ "tags": ["identity"], "summary": summary, "responses": responses })
        }
    }
}

fn post<B: JsonSchema, A: JsonSchema>(schemas: &mut SchemaGenerator, summary: &str, status: &str) -> Value {
    let mut body = B::json_schema(schemas).to_value();
    let needed = body["required"].as_array().is_some_and(|required| !required.is_empty());
    if let Some(body) = body.as_object_mut() {
        body.entry("properties").or_insert_with(|| json!({}));
    }
    let mut responses = problems(PROBLEMS);
    responses.insert(status.into(), answered::<A>(schemas));
    json!({
        "tags": ["identity"],
        "summary": summary,
        "requestBody": { "required": needed, "content": { "application/json": { "schema": body } } },
        "responses": responses,
    })
}

/// What standard clients send instead: a form, and their id and key in the header.
fn token(mut operation: Value) -> Value {
    let content = &mut operation["requestBody"]["content"];
    let mut form = content["application/json"].clone();
    // Of a form, what is not known is passed over (RFC 6749, 3.2).
    if let Some(schema) = form["schema"].as_object_mut() {
        schema.remove("additionalProperties");
    }
    content["application/x-www-form-urlencoded"] = form;
    operation["security"] = json!([{}, { "client": [] }]);
    operation["description"] = "Client credentials (RFC 6749, 4.4). The key is `client_secret` in the body, or the password of \
         `Authorization: Basic`, whose user is the client's id; not both. A refusal is a problem that says as well how OAuth \
         calls it, in `error`."
        .into();
    operation
}

/// An operation that names a provider in its path.
fn provider(operation: Value) -> Value {
    in_path(operation, "provider")
}

fn in_path(mut operation: Value, name: &str) -> Value {
    let schema = json!({ "type": "string", "minLength": 1 });
    operation["parameters"] = json!([{ "name": name, "in": "path", "required": true, "schema": schema }]);
    operation["responses"].as_object_mut().into_iter().for_each(|responses| {
        responses.extend(problems(&[404]));
    });
    operation
}

fn answered<A: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    let schema = A::json_schema(schemas).to_value();
    json!({
        "description": "Here it is.",
        "headers": header_references(&["Cache-Control"]),
        "content": { "application/json": { "schema": schema } },
    })
}
