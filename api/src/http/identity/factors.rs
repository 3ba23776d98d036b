//! Second factors, and proving again who one is.

use actix_web::HttpResponse;
use commands::CommandError;
use domain::{
    Personal, Stated,
    identity::{
        Account, AccountCommand, PASSWORD_MAX, Proof, RECOVERY_CODES, Session, SessionCommand,
        password_length,
    },
    sha256_hex,
};
use uuid::Uuid;

use super::{
    account, answer,
    bodies::{Again, Code, Elevated, Enrolment, Nothing, RecoveryCodes},
    done, for_person, issue,
    login::code_proof,
    once,
    passkeys::key_proof,
    session, session_of, to_account,
};
use crate::{
    http::{Api, Call, overload::Kind},
    problem::{INTERNAL, INVALID_VALUE, MALFORMED, Problem},
};

/// Who issues the codes that an authenticator shows.
const ISSUER: &str = "Annals";
/// The letters of recovery codes: none that is taken for another.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// Lets sensitive commands through for five minutes (IDN-S5).
pub(super) async fn elevate(api: &Api, call: &Call<'_>, body: Again) -> Result<HttpResponse, Problem> {
    let (id, own) = (session_of(call)?, call.account()?);
    let state = account(api, own).await?;
    let mut used = None;
    let proof = match code_proof(api, own, &state, &body.totp, &body.recovery_code) {
        Some(proof) => proof,
        None if body.webauthn.is_some() => {
            let signed = body.webauthn.as_ref().and_then(|signed| key_proof(api, own, &state, signed));
            let (proof, once) =
                signed.ok_or_else(|| Problem::new(INVALID_VALUE, "it proves nothing").at("webauthn"))?;
            used = Some(once);
            proof
        }
        None if state.has_mfa() => {
            return Err(Problem::new(MALFORMED, "the second factor is needed").at("totp"));
        }
        None => {
            let password =
                body.password.ok_or_else(|| Problem::new(MALFORMED, "it is needed").at("password"))?;
            let _turn = api.overload.enter(Kind::Password)?;
            let stored = state.passwords.first().and_then(Personal::get).cloned();
            let short = password_length(&password.0) <= PASSWORD_MAX;
            let verdict =
                api.credentials.passwords.verify(password.0, stored.clone().filter(|_| short)).await?;
            let against = sha256_hex(stored.as_deref().unwrap_or_default());
            Proof::Password { against, holds: verdict.holds }
        }
    };
    let second_factor = !matches!(proof, Proof::Password { .. });
    let command = AccountCommand::ProveIdentity { proof };
    match used {
        Some(used) => once(api, call, own, command, &used).await?,
        None => to_account(api, call, own, command).await?,
    };
    shown(api, call, id, second_factor).await?;
    Ok(answer(&Elevated { until: session(api, id).await?.elevated_until }))
}

/// Begins to set up one-time codes.
pub(super) async fn enrol(api: &Api, call: &Call<'_>, _: Nothing) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let own = call.account()?;
    let state = account(api, own).await?;
    let secret = api.credentials.codes.new_secret();
    let label = state.email.get().cloned().unwrap_or_else(|| own.to_string());
    let label: String = label.chars().take(100).collect();
    let address = api.credentials.codes.address(&secret, ISSUER, &label).map_err(CommandError::from)?;
    let command = AccountCommand::EnrollTotp { label: Stated(label), totp_secret: Stated(secret.clone()) };
    to_account(api, call, own, command).await?;
    Ok(answer(&Enrolment { secret, address }))
}

/// Confirms them. Recovery codes are shown once. The code is a second factor that was shown in this session.
pub(super) async fn confirm(api: &Api, call: &Call<'_>, body: Code) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let id = session_of(call)?;
    let confirmed = with_new_codes(api, call, body, |proof, recovery_hashes| AccountCommand::ConfirmTotp {
        proof,
        recovery_hashes,
    })
    .await?;
    shown(api, call, id, true).await?;
    Ok(confirmed)
}

/// Puts on record that the caller has proven who they are in a session, and whether with a second factor.
pub(super) async fn shown(
    api: &Api,
    call: &Call<'_>,
    session: Uuid,
    second_factor: bool,
) -> Result<(), Problem> {
    let elevate = SessionCommand::ElevateSession { second_factor };
    issue::<Session>(api, session, elevate, &for_person(call, Some(call.account()?))).await?;
    Ok(())
}

/// Replaces the recovery codes.
pub(super) async fn recovery_codes(api: &Api, call: &Call<'_>, body: Code) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    with_new_codes(api, call, body, |proof, recovery_hashes| AccountCommand::RegenerateRecoveryCodes {
        proof,
        recovery_hashes,
    })
    .await
}

/// Switches one-time codes off.
pub(super) async fn disable(api: &Api, call: &Call<'_>, body: Again) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let own = call.account()?;
    let state = account(api, own).await?;
    let proof = code_proof(api, own, &state, &body.totp, &body.recovery_code)
        .ok_or_else(|| Problem::new(MALFORMED, "a code is needed").at("totp"))?;
    let command = AccountCommand::DisableTotp { proof, reason: "switched off by its holder".to_owned() };
    to_account(api, call, own, command).await?;
    Ok(done())
}

async fn with_new_codes(
    api: &Api,
    call: &Call<'_>,
    body: Code,
    command: impl FnOnce(Proof, Vec<Stated<String>>) -> AccountCommand,
) -> Result<HttpResponse, Problem> {
    let own = call.account()?;
    let state: std::sync::Arc<Account> = account(api, own).await?;
    let proof = code_proof(api, own, &state, &Some(body.code), &None)
        .ok_or_else(|| Problem::new(INTERNAL, "a code has no proof"))?;
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| new_code()).collect();
    let hashes = codes.iter().map(|code| Stated(api.credentials.recovery_hash(own, code))).collect();
    to_account(api, call, own, command(proof, hashes)).await?;
    Ok(answer(&RecoveryCodes { recovery_codes: codes }))
}

/// Eighty bits in four groups of letters.
fn new_code() -> String {
    let bytes: [u8; 16] = rand::random();
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idn_a5_a_recovery_code_is_four_groups_of_letters_that_cannot_be_mistaken() {
        let (one, other) = (new_code(), new_code());
        assert_ne!(one, other);
        assert!(one.split('-').all(|group| group.len() == 4) && one.len() == 19, "{one}");
        assert!(one.bytes().all(|letter| letter == b'-' || LETTERS.contains(&letter)), "{one}");
    }
}
