//! The security identity of a person: credentials, roles, factors (catalogue 2.1, Account).
//!
//! Life cycle: `pending -VerifyEmail-> active`; `active <-> locked`; `active <-> suspended`;
//! `pending|active|suspended -DeactivateAccount-> deactivated -ReinstateAccount-> active`; any `-EraseAccount-> erased`.
//!
//! - **IDN-A1** an e-mail address is trimmed, lower-case and NFC ([`normalised_email`]); one account has it. Its keyed hash
//!   is claimed, and freed by a change and by the erasure.
//! - **IDN-A2** a password has 12 to 128 characters, is not known to be breached, and is not the address nor made of it
//!   ([`password_weakness`]); none of the last ones is used again.
//! - **IDN-A3** ten failures within 15 minutes lock the account for 15 minutes, twice as long at each further lock, up to a
//!   day; a success starts anew.
//! - **IDN-A4** the token that verifies an address lives 24 hours, the one that resets a password one hour; each works
//!   once, and only its hash is stored.
//! - **IDN-A5** one-time codes are those of RFC 6238; a step that was used is refused. There are ten recovery codes, each
//!   good for one use.
//! - **IDN-A6** the count of a security key must grow. A key is registered with one account: its credential is claimed, and
//!   freed when it is removed and by the erasure (Web Authentication 7.1, 26).
//! - **IDN-A7** whatever changes what the holder may do, or how they prove who they are, raises `token_version`: tokens with
//!   another version are refused.
//! - **IDN-A8** nobody assigns a role that has a scope they lack, and role holders of an org unit act within it and below,
//!   and on nobody who holds more elsewhere than they do.
//! - **IDN-A9** some roles need a second factor before first use ([`Account::needs_mfa`]).
//! - **IDN-A10** the last active administrator whose role has no end stays.
//!
//! Secrets stay at the edge: commands bring hashes, and what the edge found when it held a secret against them.

mod administration;
mod messages;
mod proof;
mod rules;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use messages::*;
pub use proof::{FAILURE_WINDOW, FAILURES_MAX, FailureReason, LoginMethod, Proof};
pub use rules::*;

use super::{SecurityPolicy, SsoProvider, security_policy_id};
use crate::{
    governance::is_hold,
    kernel::{
        Actor, Answer, Claim, Context, Decided, Decider, Known, NotYet, Personal, Question, RecordClass,
        Refused, RefusedBy, RoleGrant, bounds,
        class::{Identity, Secret},
    },
};

/// Where in its life an account is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum AccountStatus {
    #[default]
    Unregistered,
    Pending,
    Active,
    Suspended,
    Deactivated,
    Erased,
}

/// A one-time token, by its hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MailedToken {
    /// The SHA-256 of the token.
    pub hash: Personal<String, Secret>,
    /// Until when it counts.
    pub expires_at: Timestamp,
}

/// An address that is to replace the account's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NextEmail {
    /// The address.
    pub email: Personal<String, Identity>,
    /// Its keyed hash.
    pub email_hmac: Personal<String, Identity>,
    /// What confirms it.
    pub token: MailedToken,
}

/// A role that an account holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRole {
    /// The role, and within which org unit it is held.
    pub grant: RoleGrant,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// An action on one resource that an account may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPermission {
    /// The type of the resource.
    pub resource_type: String,
    /// The resource.
    pub resource_id: Uuid,
    /// What may be done.
    pub action: String,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// The authenticator that shows one-time codes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Totp {
    /// The shared secret, in base32.
    pub secret: Personal<String, Secret>,
    /// Whether it was confirmed.
    pub enabled: bool,
    /// Whether all sessions were ended before it was confirmed: whoever began it may have been somebody else.
    pub void: bool,
    /// The last step whose code was used.
    pub last_step: u64,
}

/// A security key or passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityKey {
    /// The credential.
    pub credential_id: String,
    /// What its assertions are verified with.
    pub public_key: String,
    /// How often it has signed.
    pub sign_count: u32,
}

/// An identity of another provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinkedIdentity {
    /// The provider.
    pub provider: SsoProvider,
    /// The keyed hash of issuer and subject.
    pub subject_hash: Personal<String, Identity>,
}

/// The state that decisions, and the edge, need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// The person, once registered.
    pub account: Option<Uuid>,
    /// Where in its life it is. A suspension may have run out: see [`Account::is_active`].
    pub status: AccountStatus,
    /// The e-mail address.
    pub email: Personal<String, Identity>,
    /// Its keyed hash.
    pub email_hmac: Personal<String, Identity>,
    /// The hashes of the passwords, the newest first.
    pub passwords: Vec<Personal<String, Secret>>,
    /// Whether the password must be changed.
    pub must_change_password: bool,
    /// What tokens must say.
    pub token_version: u64,
    /// The least token version that a session must have begun with: older ones were revoked.
    pub sessions_since: u64,
    /// The roles.
    pub roles: Vec<HeldRole>,
    /// The permissions on single resources.
    pub permissions: Vec<HeldPermission>,
    /// The authenticator.
    pub totp: Option<Totp>,
    /// The keyed hashes of the recovery codes that are left.
    pub recovery: Vec<String>,
    /// The security keys.
    pub keys: Vec<SecurityKey>,
    /// The identities of other providers.
    pub identities: Vec<LinkedIdentity>,
    /// The other address that was asked for.
    pub next_email: Option<NextEmail>,
    /// The token that verifies the address.
    pub verification: Option<MailedToken>,
    /// Whether it ended before anybody verified its address, which others may register with since.
    pub given_up: bool,
    /// The token that replaces a forgotten password.
    pub reset: Option<MailedToken>,
    /// When somebody last tried to register with the address, as far as that was put on record.
    pub attempted: Option<Timestamp>,
    /// When tokens were mailed to the address within the hour before the last one was: anybody can ask for those.
    pub mailed: Vec<Timestamp>,
    /// The same of tokens that were mailed to other addresses, for which only the holder asks.
    pub mailed_elsewhere: Vec<Timestamp>,
    /// The latest failures.
    pub failures: Vec<Timestamp>,
    /// How often it was locked since the last success.
    pub locks: u32,
    /// Until when it is locked.
    pub locked_until: Option<Timestamp>,
    /// Until when it is suspended, where that was said.
    pub suspended_until: Option<Timestamp>,
}

/// What an account must know of others.
#[derive(Default)]
pub struct AccountFacts {
    /// The hash of the token that is made.
    pub token_hash: Option<String>,
    /// Whether the caller manages users in a unit that the person belongs to, or everywhere.
    pub reaches_person: bool,
    /// Whether the caller manages users in the named unit or above it.
    pub reaches_unit: bool,
    /// The units at and above the named one.
    pub units: Vec<Uuid>,
    /// The roles that there are.
    pub policy: Arc<SecurityPolicy>,
    /// Whether another administrator is active.
    pub other_admin: bool,
}

impl Decider for Account {
    const TYPE: &'static str = "identity.account";
    const CLASS: Option<RecordClass> = Some(RecordClass::Identity);
    const RESTRICTABLE: bool = false;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Refusal = AccountRefusal;
    type Facts = AccountFacts;

    fn creates(command: &AccountCommand) -> bool {
        matches!(command, AccountCommand::RegisterAccount { .. })
    }

    fn facts(
        &self,
        command: &AccountCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<AccountFacts, NotYet> {
        use AccountCommand as C;
        let mut facts = AccountFacts::default();
        let purpose = match command {
            C::RegisterAccount { .. } | C::RequestVerification {} => Some(TokenPurpose::VerifyEmail),
            C::RequestEmailChange { .. } => Some(TokenPurpose::ChangeEmail),
            C::RequestPasswordReset {} => Some(TokenPurpose::ResetPassword),
            _ => None,
        };
        if let Some(purpose) = purpose {
            let label = account_token_label(purpose, context.id, context.derive("token"));
            if let Answer::Hash(hash) = known.ask(Question::TokenHash { label })? {
                facts.token_hash = Some(hash);
            }
        }
        self.look_around(command, context, known, &mut facts)?;
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &AccountCommand) -> bool {
        match issuer(command) {
            Issuer::Edge => actor.is_system(),
            // Whether it is the right unit, the decision tells.
            Issuer::Manager => actor.is_system() || actor.has_somewhere("manage:users"),
            Issuer::OwnOrManager => {
                actor.is_system()
                    || actor.has_somewhere("manage:users")
                    || self.account.is_some_and(|account| actor.is(account))
            }
        }
    }

    fn decide(&self, command: AccountCommand, facts: &AccountFacts, context: &Context) -> Decided<Self> {
        use AccountCommand as C;
        use AccountEvent as E;
        use AccountRefusal as R;
        let (me, now) = (context.id, context.now);
        let issuer = issuer(&command);
        let name: &'static str = (&command).into();
        let wrong_state = || Refused::InvalidState { state: self.status.into(), command: name };
        if self.status == AccountStatus::Erased {
            return Err(wrong_state());
        }
        let own = issuer == Issuer::OwnOrManager && context.actor.is(me);
        if issuer != Issuer::Edge && !own && !facts.reaches_person {
            return Err(Refused::Forbidden);
        }
        let to_another = matches!(command, C::RequestEmailChange { .. });
        let token = |lifetime: jiff::SignedDuration| {
            if self.mailed_before(to_another, now) >= MAILS_MAX {
                return Err(R::TooManyMails {}.into());
            }
            let hash = facts.token_hash.clone().ok_or(Refused::Forbidden)?;
            let expires_at = now.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
            Ok::<_, RefusedBy<Self>>((context.derive("token"), Personal::about(me, hash), expires_at))
        };
        Ok(match command {
            C::RegisterAccount { .. } if self.account.is_some() => return Err(wrong_state()),
            C::RegisterAccount { email, email_hmac, password_hash, display_name, country, locale, tz } => {
                if normalised_email(&email.0).as_ref() != Some(&email.0) {
                    return Err(Refused::invalid("email", "an e-mail address"));
                }
                bounds::line("display_name", &display_name.0, 1..=200)?;
                check_home(&country, &locale, &tz)?;
                let (token_id, token_hash, expires_at) = token(VERIFICATION_LIFETIME)?;
                vec![E::AccountRegistered {
                    account: me,
                    email: email.about(me),
                    email_hmac: email_hmac.about(me),
                    password_hash: password_hash.about(me),
                    display_name: display_name.about(me),
                    country,
                    locale,
                    tz,
                    token_id,
                    token_hash,
                    expires_at,
                }]
            }
            C::NoteRegistrationAttempt {} => {
                let since = now.saturating_sub(ATTEMPT_TOLD_EVERY).unwrap_or(Timestamp::MIN);
                if self.attempted.is_some_and(|attempted| attempted > since) {
                    return Ok(Vec::new());
                }
                vec![E::RegistrationAttempted { at: now }]
            }
            C::RequestVerification {} if self.status != AccountStatus::Pending => return Err(wrong_state()),
            C::RequestVerification {} => {
                let (token_id, token_hash, expires_at) = token(VERIFICATION_LIFETIME)?;
                vec![E::VerificationRequested { token_id, token_hash, expires_at }]
            }
            // What was given up stays so, whatever mail is still around.
            C::VerifyEmail { .. } if self.status != AccountStatus::Pending => {
                return Err(R::TokenInvalid {}.into());
            }
            C::VerifyEmail { token } => {
                check_token(&self.verification, &token, now)?;
                vec![E::EmailVerified {}]
            }
            C::RequestEmailChange { new_email, email_hmac } => {
                self.in_use(now)?;
                if normalised_email(&new_email.0).as_ref() != Some(&new_email.0) {
                    return Err(Refused::invalid("new_email", "an e-mail address"));
                }
                let (token_id, token_hash, expires_at) = token(VERIFICATION_LIFETIME)?;
                let (new_email, email_hmac) = (new_email.about(me), email_hmac.about(me));
                vec![E::EmailChangeRequested { new_email, email_hmac, token_id, token_hash, expires_at }]
            }
            C::ConfirmEmailChange { token } => {
                self.in_use(now)?;
                let NextEmail { email, email_hmac, token: mailed } =
                    self.next_email.clone().ok_or(R::TokenInvalid {})?;
                check_token(&Some(mailed), &token, now)?;
                vec![E::EmailChanged { email, email_hmac, previous_hmac: self.email_hmac.clone() }]
            }
            C::Authenticate { proofs, client, rehash } => self.log_in(&proofs, client, rehash, now)?,
            C::ProveIdentity { proof } => self.prove(&proof, now)?,
            C::ChangePassword { proof, password_hash, reused } => {
                self.in_use(now)?;
                self.weigh(&proof).map_err(|failure| self.failed(R::BadCredentials {}, failure, now))?;
                if reused {
                    return Err(R::PasswordReused {}.into());
                }
                let token_version = self.token_version + 1;
                vec![E::PasswordChanged { password_hash: password_hash.about(me), token_version }]
            }
            // Whoever reads the mail of an address that nobody has verified yet may have it, whoever registered it.
            C::RequestPasswordReset {} => {
                if !self.is_active(now) && self.status != AccountStatus::Pending {
                    return Err(R::AccountNotActive {}.into());
                }
                let (token_id, token_hash, expires_at) = token(RESET_LIFETIME)?;
                vec![E::PasswordResetRequested { token_id, token_hash, expires_at }]
            }
            C::ResetPassword { token, password_hash, reused } => {
                let pending = self.status == AccountStatus::Pending;
                if !self.is_active(now) && !pending {
                    return Err(R::AccountNotActive {}.into());
                }
                check_token(&self.reset, &token, now)?;
                if reused {
                    return Err(R::PasswordReused {}.into());
                }
                let token_version = self.token_version + 1;
                let reset = E::PasswordReset { password_hash: password_hash.about(me), token_version };
                pending.then_some(E::EmailVerified {}).into_iter().chain([reset]).collect()
            }
            C::EnrollTotp { label, totp_secret } => {
                self.in_use(now)?;
                if self.has_totp() {
                    return Err(R::AlreadyEnabled {}.into());
                }
                bounds::text("label", &label.0, 1..=100)?;
                let (label, totp_secret) = (label.about(me), totp_secret.about(me));
                vec![E::TotpEnrolmentStarted { label, totp_secret }]
            }
            C::ConfirmTotp { .. } if self.has_totp() => return Err(R::AlreadyEnabled {}.into()),
            C::ConfirmTotp { proof, recovery_hashes } => {
                self.in_use(now)?;
                // A code of something that is not in use yet proves nothing about the person: no failure of theirs.
                let begun = self.totp.as_ref().filter(|totp| !totp.void);
                let totp_step = begun.and_then(|totp| totp.step_of(&proof)).ok_or(R::BadCode {})?;
                vec![E::TotpEnabled { totp_step, recovery_hashes: recovery(recovery_hashes, me)? }]
            }
            C::DisableTotp { .. } | C::RegenerateRecoveryCodes { .. } if !self.has_totp() => {
                return Err(wrong_state());
            }
            C::DisableTotp { proof, reason } => {
                bounds::text("reason", &reason, 1..=2000)?;
                let mut events = self.prove(&proof, now)?;
                if self.keys.is_empty() && self.needs_mfa(&facts.policy, now) {
                    return Err(R::MfaMandatory {}.into());
                }
                events.push(E::TotpDisabled { reason });
                events
            }
            C::RegenerateRecoveryCodes { proof, recovery_hashes } => {
                let mut events = self.prove(&proof, now)?;
                events.push(E::RecoveryCodesRegenerated { recovery_hashes: recovery(recovery_hashes, me)? });
                events
            }
            C::RegisterWebAuthnCredential { credential_id, public_key, sign_count, device_name } => {
                self.in_use(now)?;
                bounds::text("credential_id", &credential_id, 1..=2000)?;
                bounds::text("public_key", &public_key, 1..=bounds::LONG)?;
                bounds::line("device_name", &device_name.0, 1..=100)?;
                bounds::count("credential_id", self.keys.len() + 1, 20)?;
                if self.keys.iter().any(|key| key.credential_id == credential_id) {
                    return Err(R::Duplicate {}.into());
                }
                let device_name = device_name.about(me);
                vec![E::WebAuthnCredentialRegistered { credential_id, public_key, sign_count, device_name }]
            }
            C::RemoveWebAuthnCredential { credential_id } => {
                self.in_use(now)?;
                if !self.keys.iter().any(|key| key.credential_id == credential_id) {
                    return Ok(Vec::new());
                }
                if self.keys.len() == 1 && !self.has_totp() && self.needs_mfa(&facts.policy, now) {
                    return Err(R::LastFactor {}.into());
                }
                vec![E::WebAuthnCredentialRemoved { credential_id }]
            }
            C::LinkSsoIdentity { provider, issuer, subject_hash, email } => {
                self.in_use(now)?;
                bounds::text("issuer", &issuer, 1..=2048)?;
                bounds::text("email", &email.0, 0..=254)?;
                bounds::count("provider", self.identities.len() + 1, 10)?;
                let (subject_hash, email) = (subject_hash.about(me), email.about(me));
                vec![E::SsoIdentityLinked { provider, issuer, subject_hash, email }]
            }
            C::UnlinkSsoIdentity { provider } => {
                self.in_use(now)?;
                let Some(linked) = self.identities.iter().find(|linked| linked.provider == provider) else {
                    return Ok(Vec::new());
                };
                if self.passwords.is_empty() && self.identities.len() == 1 && self.keys.is_empty() {
                    return Err(R::LastCredential {}.into());
                }
                vec![E::SsoIdentityUnlinked { provider, subject_hash: linked.subject_hash.clone() }]
            }
            C::UnlockAccount { .. }
            | C::RequirePasswordChange { .. }
            | C::AssignRole { .. }
            | C::RevokeRole { .. }
            | C::GrantPermission { .. }
            | C::RevokePermission { .. }
            | C::SuspendAccount { .. }
            | C::ReinstateAccount { .. }
            | C::DeactivateAccount { .. }
            | C::RevokeAllTokens { .. }
            | C::EraseAccount { .. } => self.administer(command, facts, context)?,
        })
    }

    fn evolve(&mut self, event: &AccountEvent) {
        rules::evolve(self, event);
    }

    fn claims(_id: Uuid, event: &AccountEvent) -> Vec<Claim> {
        rules::claims(event)
    }

    fn taken(key: &str) -> Option<AccountRefusal> {
        match key.split(':').next() {
            Some("email") => Some(AccountRefusal::EmailTaken {}),
            Some("sso") => Some(AccountRefusal::SsoIdentityTaken {}),
            Some("webauthn") => Some(AccountRefusal::Duplicate {}),
            _ => is_hold(key).then_some(AccountRefusal::LegalHoldActive {}),
        }
    }

    fn subject(&self) -> Option<Uuid> {
        self.account
    }
}

/// Who may issue a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer {
    /// The edge, or a policy.
    Edge,
    /// Who manages users.
    Manager,
    /// The person, or who manages users.
    OwnOrManager,
}

pub(super) fn issuer(command: &AccountCommand) -> Issuer {
    use AccountCommand as C;
    match command {
        C::RegisterAccount { .. }
        | C::NoteRegistrationAttempt {}
        | C::RequestVerification {}
        | C::VerifyEmail { .. }
        | C::RequestEmailChange { .. }
        | C::ConfirmEmailChange { .. }
        | C::Authenticate { .. }
        | C::ProveIdentity { .. }
        | C::ChangePassword { .. }
        | C::RequestPasswordReset {}
        | C::ResetPassword { .. }
        | C::EnrollTotp { .. }
        | C::ConfirmTotp { .. }
        | C::DisableTotp { .. }
        | C::RegenerateRecoveryCodes { .. }
        | C::RegisterWebAuthnCredential { .. }
        | C::RemoveWebAuthnCredential { .. }
        | C::LinkSsoIdentity { .. }
        | C::UnlinkSsoIdentity { .. }
        | C::EraseAccount { .. } => Issuer::Edge,
        C::UnlockAccount { .. }
        | C::RequirePasswordChange { .. }
        | C::AssignRole { .. }
        | C::RevokeRole { .. }
        | C::GrantPermission { .. }
        | C::RevokePermission { .. }
        | C::SuspendAccount { .. }
        | C::ReinstateAccount { .. }
        | C::DeactivateAccount { .. } => Issuer::Manager,
        C::RevokeAllTokens { .. } => Issuer::OwnOrManager,
    }
}

#[cfg(test)]
mod tests;
