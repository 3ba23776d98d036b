//! Security keys and passkeys: how they are registered, and what they prove. What a ceremony needs at its end travels with
//! it under a MAC, so that any node can end it; each is good for one use, on whichever node.

use actix_web::HttpResponse;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use commands::{
    CommandError,
    ports::{Ceremony, KnownKey, SecurityKeys},
};
use domain::{
    Stated,
    identity::{Account, AccountCommand, LoginMethod, Proof},
    sha256_hex,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    account, answer,
    bodies::{KeyBegun, KeyLogin, KeyRegistered, Registered, Signed},
    done,
    factors::shown,
    login::{begin, told},
    once, session_of, to_account, unproven,
};
use crate::{
    http::{Api, Call},
    problem::{ATTESTATION_INVALID, MALFORMED, NOT_FOUND, Problem},
};

fn site(api: &Api) -> Result<&dyn SecurityKeys, Problem> {
    let site = api.credentials.security_keys.as_deref();
    site.ok_or_else(|| Problem::new(NOT_FOUND, "security keys are not set up here"))
}

fn known(state: &Account) -> Vec<KnownKey> {
    let key = |key: &domain::identity::SecurityKey| KnownKey {
        credential_id: key.credential_id.clone(),
        public_key: key.public_key.clone(),
        sign_count: key.sign_count,
    };
    state.keys.iter().map(key).collect()
}

/// What a ceremony is for; what was begun for one thing is good for no other.
fn proving(account: Uuid) -> String {
    format!("prove {account}")
}

const LOGIN: &str = "login";

fn sealed(api: &Api, purpose: &str, ceremony: Ceremony) -> KeyBegun {
    let state = BASE64.encode(ceremony.state);
    let mac = api.credentials.bound(&format!("ceremony|{purpose}|{state}"));
    KeyBegun { ceremony: format!("{state}.{mac}"), options: ceremony.options }
}

fn opened(api: &Api, purpose: &str, ceremony: &str) -> Option<Vec<u8>> {
    let (state, mac) = ceremony.split_once('.')?;
    let ours = api.credentials.is_bound(&format!("ceremony|{purpose}|{state}"), mac);
    BASE64.decode(state).ok().filter(|_| ours)
}

/// What a ceremony is remembered by once it was used.
fn used(ceremony: &str) -> String {
    format!("ceremony|{}", sha256_hex(ceremony))
}

/// Begins a login with a key alone. Nobody is named: a key knows whose it is.
pub(super) fn start(api: &Api) -> Result<HttpResponse, Problem> {
    let begun = site(api)?.ask(&[]).map_err(CommandError::from)?;
    Ok(answer(&sealed(api, LOGIN, begun)))
}

/// Logs in with a key alone.
pub(super) async fn log_in(api: &Api, call: &Call<'_>, body: KeyLogin) -> Result<HttpResponse, Problem> {
    let refused = || unproven("the security key is not accepted");
    let site = site(api)?;
    let ceremony = opened(api, LOGIN, &body.ceremony).ok_or_else(refused)?;
    let Some((Some(id), credential)) = site.claimed(&body.assertion) else { return Err(refused()) };
    let state = account(api, id).await?;
    let proof = proof(site, &ceremony, id, &state, &credential, &body.assertion).ok_or_else(refused)?;
    let command = AccountCommand::Authenticate { proofs: vec![proof], client: body.client, rehash: None };
    let outcome = once(api, call, id, command, &used(&body.ceremony)).await;
    outcome.map_err(|error| told(api, id, error, &state))?;
    begin(api, call, id, body.client, LoginMethod::Webauthn, state.token_version).await
}

/// Begins to ask for a signature of one of the caller's keys, to prove again who they are.
pub(super) async fn start_proof(api: &Api, call: &Call<'_>) -> Result<HttpResponse, Problem> {
    let own = call.account()?;
    let state = account(api, own).await?;
    let begun = asked(api, own, &state)?;
    let begun = begun.ok_or_else(|| Problem::new(MALFORMED, "the account has no security key"))?;
    Ok(answer(&begun))
}

/// A question to one of an account's keys; none where it has none.
pub(super) fn asked(api: &Api, id: Uuid, state: &Account) -> Result<Option<KeyBegun>, Problem> {
    let known = known(state);
    if known.is_empty() {
        return Ok(None);
    }
    let begun = site(api)?.ask(&known).map_err(CommandError::from)?;
    Ok(Some(sealed(api, &proving(id), begun)))
}

/// What an answer to such a question proves, and what it is remembered by; nothing where it is none.
pub(super) fn key_proof(api: &Api, id: Uuid, state: &Account, signed: &Signed) -> Option<(Proof, String)> {
    let site = site(api).ok()?;
    let ceremony = opened(api, &proving(id), &signed.ceremony)?;
    let (_, credential) = site.claimed(&signed.assertion)?;
    let proof = proof(site, &ceremony, id, state, &credential, &signed.assertion)?;
    Some((proof, used(&signed.ceremony)))
}

/// What was found when the answer was held against the key that it names; nothing where the account has no such key.
fn proof(
    site: &dyn SecurityKeys,
    ceremony: &[u8],
    id: Uuid,
    state: &Account,
    credential: &str,
    assertion: &Value,
) -> Option<Proof> {
    let key = known(state).into_iter().find(|key| key.credential_id == credential)?;
    let sign_count = site.asserted(ceremony, id, &key, assertion).ok();
    Some(Proof::WebAuthn {
        credential_id: key.credential_id,
        public_key: sign_count.map(|_| key.public_key),
        sign_count: sign_count.unwrap_or_default(),
    })
}

/// Begins to register a key.
pub(super) async fn start_registration(api: &Api, call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let own = call.account()?;
    let state = account(api, own).await?;
    let name = state.email.get().cloned().unwrap_or_else(|| own.to_string());
    let begun = site(api)?.register(own, &name, &known(&state)).map_err(CommandError::from)?;
    Ok(answer(&sealed(api, &format!("register {own}"), begun)))
}

/// Registers a key.
pub(super) async fn register(
    api: &Api,
    call: &Call<'_>,
    body: KeyRegistered,
) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let own = call.account()?;
    let invalid = || Problem::new(ATTESTATION_INVALID, "the key's answer does not verify").at("credential");
    let ceremony = opened(api, &format!("register {own}"), &body.ceremony).ok_or_else(invalid)?;
    let key = site(api)?.registered(&ceremony, &body.credential).map_err(|_| invalid())?;
    let credential_id = key.credential_id.clone();
    let command = AccountCommand::RegisterWebAuthnCredential {
        credential_id: key.credential_id,
        public_key: key.public_key,
        sign_count: key.sign_count,
        device_name: Stated(body.device_name.0),
    };
    once(api, call, own, command, &used(&body.ceremony)).await?;
    // The key answered in this session.
    shown(api, call, session_of(call)?, true).await?;
    Ok(answer(&Registered { credential_id }))
}

/// Removes a key.
pub(super) async fn remove(api: &Api, call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let credential_id = call.parameter("id").to_owned();
    let command = AccountCommand::RemoveWebAuthnCredential { credential_id };
    to_account(api, call, call.account()?, command).await?;
    Ok(done())
}
