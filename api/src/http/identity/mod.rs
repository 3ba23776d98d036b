//! Who somebody is: registration, login, sessions, second factors, keys of clients (catalogue 5.1).
//!
//! Secrets end here: what a command is given is a hash, a keyed hash, or what was found when a secret was held against
//! what is stored. Whether somebody exists is told to nobody who has not proven to be them, neither by an answer nor by when
//! it comes.

pub mod bodies;
mod clients;
mod cookies;
mod credential;
mod factors;
mod login;
mod passkeys;
mod sso;
mod tokens;
mod usage;

use std::time::{Duration, Instant};

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, HeaderValue, WWW_AUTHENTICATE},
    web,
};
use commands::{Accepted, CommandError, Request};
use domain::{
    Actor, ActorKind, Decider, annals_namespace,
    identity::{Account, AccountCommand, Session},
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

pub(super) use clients::{MadeKey, caller, key_of};
pub(super) use cookies::{access_cookie, is_forged};
pub(super) use usage::Usage;

use super::{
    Api, Call,
    body::Body,
    call::{ATTEMPTS, anew},
    overload::Kind,
};
use crate::problem::{FORBIDDEN, INVALID_VALUE, LOGIN_REFUSED, MALFORMED, Problem};

/// What a route of identity does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Registers an account.
    Register,
    /// Invites somebody to register.
    Invite,
    /// Verifies its e-mail address.
    VerifyEmail,
    /// Sends the token for that again.
    ResendVerification,
    /// Logs in.
    Login,
    /// Exchanges a refresh token.
    Refresh,
    /// Asks for a token that replaces a forgotten password.
    ForgotPassword,
    /// Replaces it.
    ResetPassword,
    /// Exchanges a client's key for an access token.
    Token,
    /// Ends the session.
    Logout,
    /// Ends all of them.
    LogoutEverywhere,
    /// Changes the password.
    ChangePassword,
    /// Asks for another e-mail address.
    ChangeEmail,
    /// Confirms it.
    ConfirmEmail,
    /// Lets sensitive commands through for a while.
    Elevate,
    /// Begins to set up one-time codes.
    EnrolTotp,
    /// Confirms them.
    ConfirmTotp,
    /// Switches them off.
    DisableTotp,
    /// Replaces the recovery codes.
    RecoveryCodes,
    /// Begins a login at another provider.
    SsoStart,
    /// Logs in with what came back from Google.
    SsoGoogle,
    /// Logs in with what came back from Microsoft.
    SsoMicrosoft,
    /// Logs in with what came back from a provider.
    SsoCallback,
    /// Begins to link an identity of another provider.
    SsoLinkStart,
    /// Links it.
    SsoLink,
    /// Unlinks it.
    SsoUnlink,
    /// Begins a login with a security key.
    KeyStart,
    /// Logs in with it.
    KeyLogin,
    /// Begins to prove again who somebody is with a security key.
    KeyProofStart,
    /// Begins to register a security key.
    KeyRegisterStart,
    /// Registers it.
    KeyRegister,
    /// Removes it.
    KeyRemove,
    /// The keys that access tokens are verified with.
    Keys,
}

/// At which times, counted from its beginning, an answer is given whose time must not tell whether an account exists: well
/// above what verifying a password takes.
const TICK: Duration = Duration::from_millis(250);

impl Identity {
    /// Whether a password is hashed, whatever else is sent.
    fn hashes_a_password(self) -> bool {
        matches!(
            self,
            Identity::Register | Identity::Login | Identity::ResetPassword | Identity::ChangePassword
        )
    }

    /// Whether the time that an answer took could tell whether there is such an account (IDN-A3). A login that fails puts
    /// that on record where there is one, and a registration appends where there is none: to do as much work for nobody
    /// would come close to it, and drift away with the next change. On a grid both come at the same time, as long as what
    /// differs, some milliseconds, does not happen to fall on a line of it. What is asked for by mail is answered before
    /// anything is looked up, and needs no grid.
    fn answers_on_a_grid(self, refused: bool) -> bool {
        match self {
            Identity::Login => refused,
            Identity::Register => true,
            _ => false,
        }
    }
}

/// How long to wait until the next tick.
fn to_next_tick(elapsed: Duration) -> Duration {
    let past = elapsed.as_nanos() % TICK.as_nanos();
    TICK.saturating_sub(Duration::from_nanos(u64::try_from(past).unwrap_or_default()))
}

/// Answers a route of identity.
///
/// # Errors
/// Whatever is wrong with the request, and why it was refused.
pub(super) async fn handle(
    api: &web::Data<Api>,
    call: &Call<'_>,
    route: Identity,
    body: Body,
) -> Result<HttpResponse, Problem> {
    if route == Identity::Keys {
        let keys = bodies::JsonWebKeys { keys: api.keys.public() };
        return Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=300")).json(keys));
    }
    if route == Identity::Token {
        return clients::token(api, call, body).await;
    }
    let text = body.fields(call.request, api.body_limit().await).await?;
    // Who is refused here learns nothing of any account: none was looked up.
    let turn = route.hashes_a_password().then(|| api.overload.enter(Kind::Password)).transpose()?;
    let begun = Instant::now();
    let answer = carry_out(api, call, route, text.get()).await;
    drop(turn);
    // By now it is not under way any more: whoever waits keeps no place.
    if route.answers_on_a_grid(answer.is_err()) {
        tokio::time::sleep(to_next_tick(begun.elapsed())).await;
    }
    answer
}

async fn carry_out(
    api: &web::Data<Api>,
    call: &Call<'_>,
    route: Identity,
    text: &str,
) -> Result<HttpResponse, Problem> {
    // Hashing passwords takes long on purpose: how long says nothing of a queue.
    let _under_way = api.overload.enter(Kind::Command)?;
    match route {
        Identity::Register => credential::register(api, call, read(text)?).await,
        Identity::Invite => credential::invite(api, call, read(text)?).await,
        Identity::VerifyEmail => credential::verify_email(api, call, read(text)?).await,
        Identity::ResendVerification => credential::resend_verification(api, call, read(text)?).await,
        Identity::Login => login::log_in(api, call, read(text)?).await,
        Identity::Refresh => login::refresh(api, call, read(text)?).await,
        Identity::ForgotPassword => credential::forgot_password(api, call, read(text)?).await,
        Identity::ResetPassword => credential::reset_password(api, call, read(text)?).await,
        Identity::Logout => login::log_out(api, call, read(text)?).await,
        Identity::LogoutEverywhere => login::log_out_everywhere(api, call, read(text)?).await,
        Identity::ChangePassword => credential::change_password(api, call, read(text)?).await,
        Identity::ChangeEmail => credential::change_email(api, call, read(text)?).await,
        Identity::ConfirmEmail => credential::confirm_email(api, call, read(text)?).await,
        Identity::Elevate => factors::elevate(api, call, read(text)?).await,
        Identity::EnrolTotp => factors::enrol(api, call, read(text)?).await,
        Identity::ConfirmTotp => factors::confirm(api, call, read(text)?).await,
        Identity::DisableTotp => factors::disable(api, call, read(text)?).await,
        Identity::RecoveryCodes => factors::recovery_codes(api, call, read(text)?).await,
        Identity::SsoStart => nothing(text, sso::start(api, call)).await,
        Identity::SsoGoogle => sso::log_in(api, call, "google", read(text)?).await,
        Identity::SsoMicrosoft => sso::log_in(api, call, "microsoft", read(text)?).await,
        Identity::SsoCallback => sso::log_in(api, call, call.parameter("provider"), read(text)?).await,
        Identity::SsoLinkStart => nothing(text, sso::start_link(api, call)).await,
        Identity::SsoLink => sso::link(api, call, read(text)?).await,
        Identity::SsoUnlink => nothing(text, sso::unlink(api, call)).await,
        Identity::KeyStart => nothing(text, async { passkeys::start(api) }).await,
        Identity::KeyLogin => passkeys::log_in(api, call, read(text)?).await,
        Identity::KeyProofStart => nothing(text, passkeys::start_proof(api, call)).await,
        Identity::KeyRegisterStart => nothing(text, passkeys::start_registration(api, call)).await,
        Identity::KeyRegister => passkeys::register(api, call, read(text)?).await,
        Identity::KeyRemove => nothing(text, passkeys::remove(api, call)).await,
        Identity::Keys | Identity::Token => Err(Problem::new(MALFORMED, "this takes no body")),
    }
}

/// Answers what takes no fields.
async fn nothing(
    text: &str,
    answer: impl Future<Output = Result<HttpResponse, Problem>>,
) -> Result<HttpResponse, Problem> {
    read::<bodies::Nothing>(text)?;
    answer.await
}

/// A body, without a word of what was sent in what is wrong with it.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|error| {
        let field = error.path().to_string();
        let full = error.into_inner().to_string();
        let message = full.split(['"', ',']).next().unwrap_or_default();
        let known = ["missing field", "unknown field", "invalid type", "duplicate field"];
        let shape = known.iter().find(|start| message.starts_with(**start));
        let named = full.split('`').nth(1).filter(|_| message.starts_with("missing field"));
        let problem = match shape {
            Some(shape) => Problem::new(MALFORMED, *shape),
            None => Problem::new(INVALID_VALUE, "the value is none of those that there are"),
        };
        let field = named.map_or(field, str::to_owned);
        if field == "." { problem } else { problem.at(field.chars().take(100).collect::<String>()) }
    })
}

/// A request of the edge for the person that it is about.
fn for_person(call: &Call<'_>, person: Option<Uuid>) -> Request {
    let actor = Actor { on_behalf_of: person, kind: ActorKind::Worker, ..Actor::policy("api") };
    Request {
        correlation_id: Some(call.trace.correlation()),
        traceparent: Some(call.trace.parent()),
        session: call.ticket.as_ref().and_then(|ticket| ticket.session.clone()),
        ..Request::by(actor)
    }
}

/// Issues a command of the edge's own; from then on nobody here believes what was known of the stream.
async fn issue<D: Decider>(
    api: &Api,
    id: Uuid,
    command: D::Command,
    request: &Request,
) -> Result<Accepted, CommandError> {
    let outcome = api.commands.execute::<D>(id, command, request).await;
    api.standing.forget(id);
    outcome
}

/// A command to the caller's own account.
async fn to_account(
    api: &Api,
    call: &Call<'_>,
    account: Uuid,
    command: AccountCommand,
) -> Result<Accepted, CommandError> {
    issue_as(api, call, account, command, for_person(call, Some(account))).await
}

/// Issues a command to an account on the condition that the caller's right, where it was by one, still stands.
async fn issue_as(
    api: &Api,
    call: &Call<'_>,
    account: Uuid,
    command: AccountCommand,
    mut request: Request,
) -> Result<Accepted, CommandError> {
    request.rests_on.clone_from(&call.rests_on);
    let elevated = call.elevated().is_ok();
    for _ in 0..ATTEMPTS {
        match issue::<Account>(api, account, command.clone(), &request).await {
            // Something was recorded of them, be it by an earlier step of this request.
            Err(CommandError::Outdated) => {}
            outcome => return outcome,
        }
        match anew(api, call).await {
            Ok(Some(now)) if !elevated || now.ticket.is_elevated(Timestamp::now()) => {
                request.rests_on = now.rests_on;
            }
            Ok(_) | Err(_) => break,
        }
    }
    Err(CommandError::Outdated)
}

/// A command to an account that a proof is good for once: whoever proves the same again, on whichever node, is refused.
async fn once(
    api: &Api,
    call: &Call<'_>,
    account: Uuid,
    command: AccountCommand,
    proof: &str,
) -> Result<Accepted, CommandError> {
    let command_id = Uuid::new_v5(&annals_namespace(), format!("proof|{proof}").as_bytes());
    let request = for_person(call, Some(account)).under(command_id, None);
    match issue_as(api, call, account, command, request).await? {
        accepted if accepted.repeated => Err(CommandError::IdempotencyConflict),
        accepted => Ok(accepted),
    }
}

/// The session that the caller's token belongs to.
fn session_of(call: &Call<'_>) -> Result<Uuid, Problem> {
    let session = call.ticket.as_ref().and_then(|ticket| ticket.session.as_ref()?.parse().ok());
    session.ok_or_else(|| Problem::new(FORBIDDEN, "the token belongs to no session"))
}

/// An account as the log has it now.
async fn account(api: &Api, id: Uuid) -> Result<std::sync::Arc<Account>, Problem> {
    Ok(api.commands.state::<Account>(id).await?.state)
}

/// A session as the log has it now.
async fn session(api: &Api, id: Uuid) -> Result<std::sync::Arc<Session>, Problem> {
    Ok(api.commands.state::<Session>(id).await?.state)
}

/// An answer that no cache keeps.
fn answer(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(body)
}

fn done() -> HttpResponse {
    answer(&bodies::Done { status: "done" })
}

/// 401 for what proves nothing.
fn unproven(detail: &'static str) -> Problem {
    Problem::new(LOGIN_REFUSED, detail)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"annals\""))
}

/// What is said whether or not there is such an account.
fn pending() -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(bodies::Pending { status: "pending" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idn_a3_whatever_a_refused_login_took_it_is_answered_on_a_grid() {
        for (took, wait) in [(1, 249), (40, 210), (42, 208), (249, 1), (251, 249), (600, 150)] {
            let wait = Duration::from_millis(wait);
            assert_eq!(to_next_tick(Duration::from_millis(took)), wait, "{took}");
        }
        assert!(Identity::Login.answers_on_a_grid(true) && !Identity::Login.answers_on_a_grid(false));
        assert!(Identity::Register.answers_on_a_grid(true) && Identity::Register.answers_on_a_grid(false));
    }
}
