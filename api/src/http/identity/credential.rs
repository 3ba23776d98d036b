//! Addresses and passwords: how they come to be, and how they are changed and replaced.

use actix_web::{HttpResponse, web};
use commands::{
    CommandError,
    ports::{Mail, Undelivered},
};
use domain::{
    Personal, Stated,
    identity::{
        Account, AccountCommand, LoginMethod, PASSWORD_MAX, Proof, Registration, Weakness, normalised_email,
        password_length, password_weakness,
    },
    sha256_hex,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::{
    account, answer,
    bodies::{Address, ChangePassword, Invited, Mailed, Register, ResetPassword},
    done,
    factors::shown,
    for_person, issue,
    login::{find, respond, start},
    pending, session_of, to_account, unproven,
};
use crate::{
    http::{Api, Call, call},
    problem::{INVALID_VALUE, Problem, RATE_LIMITED, REGISTRATION_CLOSED, WEAK_PASSWORD},
};

/// For how long an invitation holds.
const INVITED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many requests for mails are worked on at once.
static MAILS: Semaphore = Semaphore::const_new(32);

/// An address as it is kept.
fn address(text: &str) -> Result<String, Problem> {
    let invalid = || Problem::new(INVALID_VALUE, "expected an e-mail address").at("email");
    normalised_email(text).ok_or_else(invalid)
}

/// Registers an account. The answer is the same where the address is taken: who has it is told by mail.
pub(super) async fn register(
    api: &web::Data<Api>,
    call: &Call<'_>,
    body: Register,
) -> Result<HttpResponse, Problem> {
    let policy = api.standing.policy().await?;
    let email = address(&body.email.0)?;
    let invited_by = match policy.registration {
        Registration::Open => None,
        Registration::Invite => {
            let inviter = match body.invitation {
                Some(invitation) => inviter(api, &invitation.0, &email).await?,
                None => None,
            };
            Some(inviter.ok_or_else(|| {
                Problem::new(REGISTRATION_CLOSED, "an invitation to this address is needed")
            })?)
        }
        Registration::Closed => {
            return Err(Problem::new(REGISTRATION_CLOSED, "nobody can register here by themselves"));
        }
    };
    strong(api, &body.password.0, Some(&email), "password").await?;
    let password_hash = Stated(api.credentials.passwords.hash(body.password.0).await?);
    let email_hmac = Stated(api.credentials.email_hmac(&email));
    let command = AccountCommand::RegisterAccount {
        email: Stated(email.clone()),
        email_hmac,
        password_hash,
        display_name: body.display_name,
        country: body.country,
        locale: body.locale,
        tz: body.tz,
    };
    let id = Uuid::now_v7();
    let request = commands::Request {
        purpose: invited_by.map(|inviter| format!("invited by user:{inviter}")),
        ..for_person(call, Some(id))
    };
    match issue::<Account>(api, id, command, &request).await {
        Ok(_) => Ok(pending()),
        Err(CommandError::Refused { code: "EmailTaken", .. }) => {
            // Where so many are told something already, this one need not be: the answer stays the same.
            if let Ok(turn) = MAILS.try_acquire() {
                for_holder(api, call, email, AccountCommand::NoteRegistrationAttempt {}, turn);
            }
            Ok(pending())
        }
        Err(error) => Err(error.into()),
    }
}

/// Invites somebody to register, by mail. Nothing is kept of it: it is for this address alone, which registers once.
pub(super) async fn invite(api: &Api, call: &Call<'_>, body: Address) -> Result<HttpResponse, Problem> {
    let email = address(&body.email.0)?;
    let (inviter, now) = (call.account()?, Timestamp::now());
    let expires_at = now.saturating_add(INVITED_FOR).unwrap_or(now);
    let begun = format!("{inviter}.{}", expires_at.as_second());
    let mac = api.credentials.bound(&invitation(&begun, &email));
    let day = expires_at.to_zoned(TimeZone::UTC).date();
    let text = format!(
        "You are invited to register with this address. Until {day} this goes along with the registration:\n\n{begun}.{mac}\n\n\
         If you did not expect it, do nothing, and give it to nobody.\n"
    );
    let subject = "An invitation to register".to_owned();
    let mail = Mail { to: email, subject, text, html: None, message_id: Uuid::now_v7() };
    api.mailer.send(&mail).await.map_err(|error| match error {
        Undelivered::Refused { .. } => Problem::new(INVALID_VALUE, error.to_string()).at("email"),
        Undelivered::NotNow(error) => error.into(),
    })?;
    Ok(answer(&Invited { expires_at }))
}

fn invitation(begun: &str, email: &str) -> String {
    format!("invitation|{begun}|{email}")
}

/// Who invited this address, where the invitation is one, its time is not over and they could still write it.
async fn inviter(api: &Api, text: &str, email: &str) -> Result<Option<Uuid>, Problem> {
    let now = Timestamp::now();
    let Some(inviter) = written_by(api, text, email, now) else { return Ok(None) };
    let still = api.standing.still_has(inviter, "manage:users", now).await?;
    Ok(still.then_some(inviter))
}

/// Who wrote an invitation, as it says.
fn written_by(api: &Api, text: &str, email: &str, now: Timestamp) -> Option<Uuid> {
    let (begun, mac) = text.rsplit_once('.')?;
    let (inviter, expires) = begun.split_once('.')?;
    let live = expires.parse::<i64>().ok()? > now.as_second();
    let ours = api.credentials.is_bound(&invitation(begun, email), mac);
    call::uuid(inviter).filter(|_| live && ours)
}

/// Verifies the address that an account was registered with.
pub(super) async fn verify_email(api: &Api, call: &Call<'_>, body: Mailed) -> Result<HttpResponse, Problem> {
    let (id, token) = mailed(&body.token)?;
    to_account(api, call, id, AccountCommand::VerifyEmail { token }).await.map_err(invalid_token)?;
    Ok(done())
}

/// Sends the token for that again, if there is anybody to send it to.
pub(super) async fn resend_verification(
    api: &web::Data<Api>,
    call: &Call<'_>,
    body: Address,
) -> Result<HttpResponse, Problem> {
    in_private(api, call, body, AccountCommand::RequestVerification {})
}

/// Asks for a token that replaces a forgotten password.
pub(super) async fn forgot_password(
    api: &web::Data<Api>,
    call: &Call<'_>,
    body: Address,
) -> Result<HttpResponse, Problem> {
    in_private(api, call, body, AccountCommand::RequestPasswordReset {})
}

/// Does something for who has an address, if anybody has, after the answer: how long it takes tells nothing.
fn in_private(
    api: &web::Data<Api>,
    call: &Call<'_>,
    body: Address,
    command: AccountCommand,
) -> Result<HttpResponse, Problem> {
    let email = address(&body.email.0)?;
    let turn = MAILS.try_acquire();
    let turn = turn.map_err(|_| Problem::new(RATE_LIMITED, "too many requests for mails").retry_after(1))?;
    for_holder(api, call, email, command, turn);
    Ok(pending())
}

/// Does something for who has an address, if anybody has, while nobody waits for it.
fn for_holder(
    api: &web::Data<Api>,
    call: &Call<'_>,
    address: String,
    command: AccountCommand,
    turn: SemaphorePermit<'static>,
) {
    let (api, request) = (api.clone(), for_person(call, None));
    actix_web::rt::spawn(async move {
        let _turn = turn;
        let Ok(Some(id)) = find(&api, &address).await else { return };
        let actor = domain::Actor { on_behalf_of: Some(id), ..request.actor.clone() };
        let request = commands::Request { actor, ..request };
        if let Err(error) = issue::<Account>(&api, id, command, &request).await {
            tracing::debug!(%error, "nothing was mailed");
        }
    });
}

/// Replaces a forgotten password.
pub(super) async fn reset_password(
    api: &Api,
    call: &Call<'_>,
    body: ResetPassword,
) -> Result<HttpResponse, Problem> {
    let (id, token) = mailed(&body.token)?;
    let state = account(api, id).await?;
    // Whoever has no such token is not worth the work of hashing.
    let known = state.reset.as_ref().and_then(|reset| reset.hash.get());
    if known != Some(&sha256_hex(&token.0)) {
        return Err(not_valid());
    }
    strong(api, &body.password.0, state.email.get().map(String::as_str), "password").await?;
    let reused = reused(api, &state, &body.password.0).await?;
    let password_hash = Stated(api.credentials.passwords.hash(body.password.0).await?);
    let command = AccountCommand::ResetPassword { token, password_hash, reused };
    to_account(api, call, id, command).await.map_err(invalid_token)?;
    Ok(done())
}

/// Changes the password. All sessions end; the caller gets a new one, in which they have shown what they had in the old one.
pub(super) async fn change_password(
    api: &Api,
    call: &Call<'_>,
    body: ChangePassword,
) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let (id, session) = (call.account()?, session_of(call)?);
    let state = account(api, id).await?;
    let stored = state.passwords.first().and_then(Personal::get).cloned();
    if password_length(&body.current.0) > PASSWORD_MAX {
        return Err(unproven("the current password is not right"));
    }
    let verdict = api.credentials.passwords.verify(body.current.0, stored.clone()).await?;
    strong(api, &body.new.0, state.email.get().map(String::as_str), "new").await?;
    let reused = verdict.holds && reused(api, &state, &body.new.0).await?;
    let against = sha256_hex(stored.as_deref().unwrap_or_default());
    let command = AccountCommand::ChangePassword {
        proof: Proof::Password { against, holds: verdict.holds },
        password_hash: Stated(api.credentials.passwords.hash(body.new.0).await?),
        reused,
    };
    to_account(api, call, id, command).await.map_err(|error| match error {
        CommandError::Refused { code: "BadCredentials" | "Locked", .. } => {
            unproven("the current password is not right")
        }
        other => other.into(),
    })?;
    let old = super::session(api, session).await?;
    // The change itself ended all sessions; whatever else did so meanwhile ends this one too.
    let since = state.token_version + 1;
    let new = start(api, call, id, old.client, LoginMethod::Password, since).await?;
    if old.second_factor {
        shown(api, call, new, true).await?;
    }
    respond(api, new).await
}

/// Asks for another e-mail address: a token is mailed to it.
pub(super) async fn change_email(api: &Api, call: &Call<'_>, body: Address) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let new_email = address(&body.email.0)?;
    let email_hmac = Stated(api.credentials.email_hmac(&new_email));
    let command = AccountCommand::RequestEmailChange { new_email: Stated(new_email), email_hmac };
    to_account(api, call, call.account()?, command).await?;
    Ok(pending())
}

/// Confirms it.
pub(super) async fn confirm_email(api: &Api, call: &Call<'_>, body: Mailed) -> Result<HttpResponse, Problem> {
    let (id, token) = mailed(&body.token)?;
    if id != call.account()? {
        return Err(not_valid());
    }
    to_account(api, call, id, AccountCommand::ConfirmEmailChange { token }).await.map_err(invalid_token)?;
    Ok(done())
}

/// A token as it was mailed: the account, a point, and a MAC.
fn mailed(token: &Stated<String>) -> Result<(Uuid, Stated<String>), Problem> {
    let (id, mac) = token.0.split_once('.').ok_or_else(not_valid)?;
    Ok((call::uuid(id).ok_or_else(not_valid)?, Stated(mac.to_owned())))
}

fn not_valid() -> Problem {
    Problem::new(INVALID_VALUE, "the token is not valid, or was used").at("token")
}

/// Whatever an account is that a token does not open, it is told in one way.
fn invalid_token(error: CommandError) -> Problem {
    match error {
        CommandError::NotFound(_)
        | CommandError::InvalidState { .. }
        | CommandError::SubjectErased
        | CommandError::Refused { code: "TokenInvalid", .. } => not_valid(),
        other => other.into(),
    }
}

/// IDN-A2.
async fn strong(api: &Api, password: &str, email: Option<&str>, field: &'static str) -> Result<(), Problem> {
    let policy = api.standing.policy().await?.passwords;
    let breached = |password: &str| api.credentials.breached.contains(password);
    let why = match password_weakness(password, email, &policy, breached) {
        None => return Ok(()),
        Some(Weakness::TooShort) => "it is too short",
        Some(Weakness::TooLong) => "it is too long",
        Some(Weakness::IsEmail) => "it is the e-mail address",
        Some(Weakness::Guessable) => {
            "beside the address and the name of the system there is too little in it"
        }
        Some(Weakness::Breached) => "it is one of those that are tried first",
    };
    let details = serde_json::json!({ "min_length": policy.min_length });
    Err(Problem::new(WEAK_PASSWORD, why).at(field).with(details))
}

/// Whether it is one of the last passwords (IDN-A2).
async fn reused(api: &Api, state: &Account, password: &str) -> Result<bool, Problem> {
    let history = api.standing.policy().await?.passwords.history;
    for stored in state.passwords.iter().take(history as usize).filter_map(Personal::get) {
        let verdict = api.credentials.passwords.verify(password.to_owned(), Some(stored.clone())).await?;
        if verdict.holds {
            return Ok(true);
        }
    }
    Ok(false)
}
