//! Logins, and the sessions that follow from them.

use actix_web::{
    HttpResponse,
    http::header::{HeaderValue, USER_AGENT, WWW_AUTHENTICATE},
};
use commands::CommandError;
use domain::{
    Stated,
    identity::{
        Account, AccountCommand, AccountStatus, LoginMethod, PASSWORD_MAX, Proof, Session, SessionCommand,
        SessionEnd, email_claim, normalised_email, password_length,
    },
    sha256_hex,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    account, answer,
    bodies::{Done, Login, Nothing, Refresh},
    cookies, for_person, is_forged, issue, once,
    passkeys::{asked, key_proof},
    session, session_of, to_account, tokens, unproven,
};
use crate::{
    http::{Api, Call, call},
    problem::{MALFORMED, Problem, SECOND_FACTOR_NEEDED},
};

/// Logs in. Whoever does not exist takes the same work as who does, and gets the same answer (IDN-A3).
pub(super) async fn log_in(api: &Api, call: &Call<'_>, body: Login) -> Result<HttpResponse, Problem> {
    let found = find(api, &body.email.0).await?;
    let state = match found {
        Some(id) => Some((id, account(api, id).await?)),
        None => None,
    };
    // Longer than any can be: not even looked at, whoever it is.
    if password_length(&body.password.0) > PASSWORD_MAX {
        return Err(refused());
    }
    let stored = state.as_ref().and_then(|(_, state)| state.passwords.first()?.get().cloned());
    let verdict = api.credentials.passwords.verify(body.password.0.clone(), stored.clone()).await?;
    // IDN-A11: where there is nobody, it is no event of any account. That somebody was turned away is on record anyway.
    let (Some((id, state)), Some(stored)) = (state, stored) else { return Err(refused()) };
    let mut proofs = vec![Proof::Password { against: sha256_hex(&stored), holds: verdict.holds }];
    proofs.extend(code_proof(api, id, &state, &body.totp, &body.recovery_code));
    let signed = body.webauthn.as_ref().filter(|_| proofs.len() == 1);
    let signed = signed.map(|signed| key_proof(api, id, &state, signed).ok_or_else(refused)).transpose()?;
    let used = signed.map(|(proof, used)| {
        proofs.push(proof);
        used
    });
    let rehash = match verdict.holds && verdict.outdated {
        true => Some(Stated(api.credentials.passwords.hash(body.password.0).await?)),
        false => None,
    };
    let method = method(LoginMethod::Password, proofs.get(1).filter(|_| state.has_mfa()));
    let command = AccountCommand::Authenticate { proofs, client: body.client, rehash };
    let outcome = match used {
        Some(used) => once(api, call, id, command, &used).await,
        None => to_account(api, call, id, command).await,
    };
    outcome.map_err(|error| told(api, id, error, &state))?;
    begin(api, call, id, body.client, method, state.token_version).await
}

/// How a first proof and a second one are called together.
pub(super) fn method(first: LoginMethod, second: Option<&Proof>) -> LoginMethod {
    use LoginMethod as M;
    match (first, second) {
        (M::Sso, Some(Proof::Totp { .. })) => M::SsoAndTotp,
        (M::Sso, Some(Proof::RecoveryCode { .. })) => M::SsoAndRecoveryCode,
        (M::Sso, Some(Proof::WebAuthn { .. })) => M::SsoAndWebauthn,
        (_, Some(Proof::Totp { .. })) => M::PasswordAndTotp,
        (_, Some(Proof::RecoveryCode { .. })) => M::PasswordAndRecoveryCode,
        (_, Some(Proof::WebAuthn { .. })) => M::PasswordAndWebauthn,
        (first, _) => first,
    }
}

/// Begins a session and gives its tokens; see [`start`].
pub(super) async fn begin(
    api: &Api,
    call: &Call<'_>,
    id: Uuid,
    client: domain::identity::ClientProfile,
    method: LoginMethod,
    token_version: u64,
) -> Result<HttpResponse, Problem> {
    let started = start(api, call, id, client, method, token_version).await?;
    respond(api, started).await
}

/// Begins a session. `token_version` is that of the account as it was read before the proof was held against it: whatever
/// ended all sessions since then leaves no later one that this proof began (IDN-A7).
pub(super) async fn start(
    api: &Api,
    call: &Call<'_>,
    id: Uuid,
    client: domain::identity::ClientProfile,
    method: LoginMethod,
    token_version: u64,
) -> Result<Uuid, Problem> {
    let started = Uuid::now_v7();
    let device = device(call);
    let command = SessionCommand::StartSession { account: id, client, method, token_version, device };
    let outcome = issue::<Session>(api, started, command, &for_person(call, Some(id))).await;
    outcome.map_err(|error| match error {
        CommandError::Refused { code: "ProofOutdated", .. } => {
            unproven("all sessions of the account were ended meanwhile: log in again")
        }
        other => other.into(),
    })?;
    Ok(started)
}

/// Gives the tokens of a session.
pub(super) async fn respond(api: &Api, id: Uuid) -> Result<HttpResponse, Problem> {
    let session = session(api, id).await?;
    let account = account(api, session.account.unwrap_or_default()).await?;
    let policy = api.standing.policy().await?;
    tokens::issued(api, id, &session, &account, &policy)
}

/// Exchanges a refresh token for the next pair. One that was used before ends the session (IDN-S3).
pub(super) async fn refresh(api: &Api, call: &Call<'_>, body: Refresh) -> Result<HttpResponse, Problem> {
    let from_cookie = body.refresh_token.is_none();
    let text = body.refresh_token.map(|token| token.0).or_else(|| cookies::refresh_cookie(call.request));
    let text = text.ok_or_else(|| Problem::new(MALFORMED, "it is needed").at("refresh_token"))?;
    let not_accepted = || unproven("the refresh token is not accepted");
    let mut parts = text.split('.');
    let (Some(id), Some(generation), Some(token), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(not_accepted());
    };
    let id = call::uuid(id).ok_or_else(not_accepted)?;
    let generation = generation.parse().map_err(|_| not_accepted())?;
    if from_cookie && is_forged(call.request, &id.to_string(), &api.credentials) {
        return Err(call::forged());
    }
    let command = SessionCommand::RotateRefreshToken { generation, token: Stated(token.to_owned()) };
    match issue::<Session>(api, id, command, &for_person(call, None)).await {
        Ok(_) => respond(api, id).await,
        Err(error) if error.is_transient() || error.is_defect() => Err(error.into()),
        Err(_) => Err(not_accepted()),
    }
}

/// Ends the session.
pub(super) async fn log_out(api: &Api, call: &Call<'_>, _: Nothing) -> Result<HttpResponse, Problem> {
    let (id, account) = (session_of(call)?, call.account()?);
    let end = SessionCommand::EndSession { reason: SessionEnd::Logout };
    issue::<Session>(api, id, end, &for_person(call, Some(account))).await?;
    let mut response = answer(&Done { status: "done" });
    cookies::take(&mut response);
    Ok(response)
}

/// Makes every token of the account void, at once and on every node.
pub(super) async fn log_out_everywhere(
    api: &Api,
    call: &Call<'_>,
    _: Nothing,
) -> Result<HttpResponse, Problem> {
    session_of(call)?;
    let command = AccountCommand::RevokeAllTokens { reason: "logged out everywhere".to_owned() };
    to_account(api, call, call.account()?, command).await?;
    let mut response = answer(&Done { status: "done" });
    cookies::take(&mut response);
    Ok(response)
}

/// The account that has this address, if one has.
pub(super) async fn find(api: &Api, address: &str) -> Result<Option<Uuid>, Problem> {
    let Some(address) = normalised_email(address) else { return Ok(None) };
    let claim = email_claim(&api.credentials.email_hmac(&address));
    let holders = api.commands.store().holders(&claim).await.map_err(CommandError::from)?;
    Ok(holders.first().and_then(|held| held.by.aggregate_id.parse().ok()))
}

/// What a one-time code or a recovery code comes to, where there is one.
pub(super) fn code_proof(
    api: &Api,
    id: Uuid,
    state: &Account,
    totp: &Option<Stated<String>>,
    recovery_code: &Option<Stated<String>>,
) -> Option<Proof> {
    let by_code = |code: &Stated<String>| {
        let secret = state.totp.as_ref().and_then(|totp| totp.secret.get().cloned()).unwrap_or_default();
        let step = api.credentials.codes.step(&secret, &code.0, Timestamp::now());
        Proof::Totp { against: sha256_hex(&secret), step }
    };
    let by_recovery = |code: &Stated<String>| Proof::RecoveryCode {
        code_hash: Stated(api.credentials.recovery_hash(id, &code.0)),
    };
    totp.as_ref().map(by_code).or_else(|| recovery_code.as_ref().map(by_recovery))
}

/// What is told of a login that was not accepted: before the password was right, always the same.
pub(super) fn told(api: &Api, id: Uuid, error: CommandError, state: &Account) -> Problem {
    let code = if let CommandError::Refused { code, .. } = &error { Some(*code) } else { None };
    match (code, error) {
        (Some("MfaRequired"), _) => {
            let mut methods = Vec::new();
            methods.extend(state.has_totp().then_some("totp"));
            methods.extend((!state.recovery.is_empty()).then_some("recovery_code"));
            methods.extend((!state.keys.is_empty()).then_some("webauthn"));
            Problem::new(SECOND_FACTOR_NEEDED, "a second factor is needed beside it")
                .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"annals\""))
                .with(serde_json::json!({ "methods": methods, "webauthn": asked(api, id, state).ok().flatten() }))
        }
        // Whoever registers with an address and logs in must not learn whether it had an account before.
        (Some("AccountNotActive"), _) if state.status == AccountStatus::Pending => refused(),
        (Some("AccountNotActive"), error) => error.into(),
        (Some(_), _)
        | (
            None,
            CommandError::InvalidState { .. }
            | CommandError::NotFound(_)
            | CommandError::SubjectErased
            | CommandError::IdempotencyConflict,
        ) => refused(),
        (None, error) => error.into(),
    }
}

fn refused() -> Problem {
    unproven("the address, the password or the code is not right, or nobody has verified the address yet")
}

/// What the client says of itself.
fn device(call: &Call<'_>) -> Stated<String> {
    let agent = call.request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    Stated(agent.unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(300).collect())
}
