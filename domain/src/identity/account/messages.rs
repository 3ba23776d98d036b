//! What can be asked of an account, what can have happened to it, and why a command was refused.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::proof::{FailureReason, LoginMethod, Proof};
use crate::{
    identity::{ClientProfile, SsoProvider},
    kernel::{
        Event, Personal, Refusal, RefusalKind, Stated,
        class::{Identity, Secret},
        schemas,
    },
};

/// What can be asked of an account. Whatever carries a secret comes from the edge, which has turned it into a hash or a
/// [`Proof`] before: no command has a secret in it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum AccountCommand {
    /// Registers an account. It is pending until its e-mail address is verified.
    #[schemars(extend("x-system" = true))]
    RegisterAccount {
        /// The e-mail address, as [`super::normalised_email`] gives it.
        email: Stated<String>,
        /// Its keyed hash.
        email_hmac: Stated<String>,
        /// The hash of the password, in PHC format.
        password_hash: Stated<String>,
        /// The name to show, 1 to 200 characters.
        display_name: Stated<String>,
        /// ISO 3166-1 alpha-2.
        country: String,
        /// A BCP 47 language tag.
        locale: String,
        /// An IANA time zone.
        tz: String,
    },
    /// Puts on record that somebody tried to register with the address of this account, so that its holder is told: once a
    /// day, however often that is.
    #[schemars(extend("x-system" = true))]
    NoteRegistrationAttempt {},
    /// Sends the token that verifies the e-mail address again: a new one, the old one is void.
    #[schemars(extend("x-system" = true))]
    RequestVerification {},
    /// Verifies the e-mail address.
    #[schemars(extend("x-system" = true))]
    VerifyEmail {
        /// The token that was mailed.
        token: Stated<String>,
    },
    /// Asks for another e-mail address.
    #[schemars(extend("x-system" = true))]
    RequestEmailChange {
        /// The new address, normalised.
        new_email: Stated<String>,
        /// Its keyed hash.
        email_hmac: Stated<String>,
    },
    /// Confirms the other e-mail address.
    #[schemars(extend("x-system" = true))]
    ConfirmEmailChange {
        /// The token that was mailed to it.
        token: Stated<String>,
    },
    /// Logs in.
    #[schemars(extend("x-system" = true))]
    Authenticate {
        /// What was proven, or was not.
        proofs: Vec<Proof>,
        /// With which kind of client.
        client: ClientProfile,
        /// A better hash of the password that was proven, where its own was of another kind (D-09).
        #[serde(default)]
        rehash: Option<Stated<String>>,
    },
    /// Proves again who the person is, before something sensitive (IDN-S5).
    #[schemars(extend("x-system" = true))]
    ProveIdentity {
        /// What was proven, or was not.
        proof: Proof,
    },
    /// Ends a lock early.
    UnlockAccount {
        /// Why.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Changes the password.
    #[schemars(extend("x-system" = true))]
    ChangePassword {
        /// Whether the current one was proven.
        proof: Proof,
        /// The hash of the new one.
        password_hash: Stated<String>,
        /// Whether the new one is among those that may not be used again.
        reused: bool,
    },
    /// Asks for a token with which a forgotten password can be replaced.
    #[schemars(extend("x-system" = true))]
    RequestPasswordReset {},
    /// Replaces a forgotten password.
    #[schemars(extend("x-system" = true))]
    ResetPassword {
        /// The token that was mailed.
        token: Stated<String>,
        /// The hash of the new one.
        password_hash: Stated<String>,
        /// Whether the new one is among those that may not be used again.
        reused: bool,
    },
    /// Wants the password changed before the account is used any further.
    RequirePasswordChange {
        /// Why.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Begins to set up one-time codes. Beginning again replaces what was not confirmed.
    #[schemars(extend("x-system" = true))]
    EnrollTotp {
        /// What the authenticator shows, 1 to 100 characters.
        label: Stated<String>,
        /// The shared secret, in base32.
        totp_secret: Stated<String>,
    },
    /// Confirms that the authenticator shows the right codes.
    #[schemars(extend("x-system" = true))]
    ConfirmTotp {
        /// The code that was shown.
        proof: Proof,
        /// Keyed hashes of ten recovery codes.
        recovery_hashes: Vec<Stated<String>>,
    },
    /// Switches one-time codes off.
    #[schemars(extend("x-system" = true))]
    DisableTotp {
        /// A code of any kind.
        proof: Proof,
        /// Why.
        reason: String,
    },
    /// Replaces the recovery codes.
    #[schemars(extend("x-system" = true))]
    RegenerateRecoveryCodes {
        /// A code of any kind.
        proof: Proof,
        /// Keyed hashes of ten recovery codes.
        recovery_hashes: Vec<Stated<String>>,
    },
    /// Registers a security key or passkey, whose attestation the edge has checked.
    #[schemars(extend("x-system" = true))]
    RegisterWebAuthnCredential {
        /// The credential, in base64url.
        credential_id: String,
        /// What assertions are verified with.
        public_key: String,
        /// How often it has signed.
        sign_count: u32,
        /// What the person calls it.
        device_name: Stated<String>,
    },
    /// Removes a security key or passkey.
    #[schemars(extend("x-system" = true))]
    RemoveWebAuthnCredential {
        /// The credential.
        credential_id: String,
    },
    /// Links an identity of another provider, whose token the edge has checked.
    #[schemars(extend("x-system" = true))]
    LinkSsoIdentity {
        /// The provider.
        provider: SsoProvider,
        /// The issuer of its tokens.
        issuer: String,
        /// The keyed hash of issuer and subject.
        subject_hash: Stated<String>,
        /// The address that the provider knows.
        email: Stated<String>,
    },
    /// Unlinks an identity of another provider.
    #[schemars(extend("x-system" = true))]
    UnlinkSsoIdentity {
        /// The provider.
        provider: SsoProvider,
    },
    /// Assigns a role (IDN-A8).
    #[schemars(extend("x-elevated" = "login"))]
    AssignRole {
        /// The role.
        #[schemars(transform = schemas::token::<64>)]
        role: String,
        /// The org unit within which it is held; everywhere where there is none.
        #[serde(default)]
        within: Option<Uuid>,
        /// Until when.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Revokes a role. One that is not held is no error.
    #[schemars(extend("x-elevated" = "login"))]
    RevokeRole {
        /// The role.
        #[schemars(transform = schemas::token::<64>)]
        role: String,
        /// The org unit within which it is held.
        #[serde(default)]
        within: Option<Uuid>,
    },
    /// Grants an action on one resource.
    #[schemars(extend("x-elevated" = "login"))]
    GrantPermission {
        /// The type of the resource, `context.aggregate`.
        #[schemars(transform = schemas::token::<100>)]
        resource_type: String,
        /// The resource.
        resource_id: Uuid,
        /// What may be done.
        #[schemars(transform = schemas::token::<100>)]
        action: String,
        /// Until when.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Revokes a permission. One that is not held is no error.
    RevokePermission {
        /// The type of the resource.
        #[schemars(transform = schemas::token::<100>)]
        resource_type: String,
        /// The resource.
        resource_id: Uuid,
        /// What may be done.
        #[schemars(transform = schemas::token::<100>)]
        action: String,
    },
    /// Suspends the account.
    #[schemars(extend("x-elevated" = "login"))]
    SuspendAccount {
        /// Why.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
        /// Until when; until it is reinstated where there is no time.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Lets a suspended or deactivated account be used again.
    #[schemars(extend("x-elevated" = "login"))]
    ReinstateAccount {
        /// Why.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Takes the account out of use (D-11).
    #[schemars(extend("x-elevated" = "login"))]
    DeactivateAccount {
        /// Why.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Makes every token of the account void.
    RevokeAllTokens {
        /// Why.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Ends the account for good and gives its e-mail address free.
    #[schemars(extend("x-system" = true))]
    EraseAccount {
        /// The request that it fulfils.
        privacy_request: Uuid,
    },
}

/// What can have happened to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum AccountEvent {
    /// The account was registered. `token_id` names the token that verifies the address.
    AccountRegistered {
        account: Uuid,
        email: Personal<String, Identity>,
        email_hmac: Personal<String, Identity>,
        password_hash: Personal<String, Secret>,
        display_name: Personal<String, Identity>,
        country: String,
        locale: String,
        tz: String,
        token_id: Uuid,
        token_hash: Personal<String, Secret>,
        expires_at: Timestamp,
    },
    /// Somebody tried to register with this account's address.
    RegistrationAttempted { at: Timestamp },
    /// Another token that verifies the address was made.
    VerificationRequested { token_id: Uuid, token_hash: Personal<String, Secret>, expires_at: Timestamp },
    /// The e-mail address was verified.
    EmailVerified {},
    /// Another e-mail address was asked for.
    EmailChangeRequested {
        new_email: Personal<String, Identity>,
        email_hmac: Personal<String, Identity>,
        token_id: Uuid,
        token_hash: Personal<String, Secret>,
        expires_at: Timestamp,
    },
    /// The e-mail address was changed.
    EmailChanged {
        email: Personal<String, Identity>,
        email_hmac: Personal<String, Identity>,
        previous_hmac: Personal<String, Identity>,
    },
    /// Somebody logged in. `totp_step` is the step of the code that was used, where one was.
    LoginSucceeded { method: LoginMethod, client: ClientProfile, totp_step: Option<u64> },
    /// A login, or another proof, failed.
    LoginFailed { reason: FailureReason, at: Timestamp },
    /// The person proved again who they are.
    IdentityProven { method: LoginMethod, totp_step: Option<u64> },
    /// The account was locked after too many failures.
    AccountLocked { until: Timestamp, failures: u32 },
    /// A recovery code was used up.
    RecoveryCodeUsed { code_hash: Personal<String, Secret>, remaining: u32 },
    /// A security key signed.
    WebAuthnAsserted { credential_id: String, sign_count: u32 },
    /// A security key signed with a count that did not grow: there may be a copy of it.
    WebAuthnCloneSuspected { credential_id: String },
    /// The lock was ended early.
    AccountUnlocked { reason: String },
    /// The password was changed.
    PasswordChanged { password_hash: Personal<String, Secret>, token_version: u64 },
    /// The same password is kept under a better hash.
    PasswordRehashed { password_hash: Personal<String, Secret> },
    /// A token for a forgotten password was made.
    PasswordResetRequested { token_id: Uuid, token_hash: Personal<String, Secret>, expires_at: Timestamp },
    /// A forgotten password was replaced.
    PasswordReset { password_hash: Personal<String, Secret>, token_version: u64 },
    /// The password must be changed.
    PasswordChangeRequired { reason: String },
    /// One-time codes are being set up.
    TotpEnrolmentStarted { label: Personal<String, Identity>, totp_secret: Personal<String, Secret> },
    /// One-time codes are on.
    TotpEnabled { totp_step: u64, recovery_hashes: Personal<Vec<String>, Secret> },
    /// One-time codes are off.
    TotpDisabled { reason: String },
    /// There are other recovery codes.
    RecoveryCodesRegenerated { recovery_hashes: Personal<Vec<String>, Secret> },
    /// A security key or passkey was registered.
    WebAuthnCredentialRegistered {
        credential_id: String,
        public_key: String,
        sign_count: u32,
        device_name: Personal<String, Identity>,
    },
    /// A security key or passkey was removed.
    WebAuthnCredentialRemoved { credential_id: String },
    /// An identity of another provider was linked.
    SsoIdentityLinked {
        provider: SsoProvider,
        issuer: String,
        subject_hash: Personal<String, Identity>,
        email: Personal<String, Identity>,
    },
    /// An identity of another provider was unlinked.
    SsoIdentityUnlinked { provider: SsoProvider, subject_hash: Personal<String, Identity> },
    /// A role was assigned.
    RoleAssigned { role: String, within: Option<Uuid>, until: Option<Timestamp>, token_version: u64 },
    /// A role was revoked; `elsewhere` says whether it is still held in another org unit, or everywhere.
    RoleRevoked { role: String, within: Option<Uuid>, elsewhere: bool, token_version: u64 },
    /// An action on one resource was granted.
    PermissionGranted { resource_type: String, resource_id: Uuid, action: String, until: Option<Timestamp> },
    /// A permission was revoked.
    PermissionRevoked { resource_type: String, resource_id: Uuid, action: String },
    /// The account was suspended.
    AccountSuspended { reason: String, until: Option<Timestamp>, token_version: u64 },
    /// The account may be used again.
    AccountReinstated { reason: String },
    /// The account was taken out of use. `freed` are the keys of its claims, where nobody had ever verified its address: whose
    /// it is may register anew.
    AccountDeactivated {
        reason: String,
        token_version: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        freed: Option<Personal<Vec<String>, Identity>>,
    },
    /// Every token became void.
    TokensRevoked { reason: String, token_version: u64 },
    /// The account ended for good. `freed` are the keys of its claims.
    AccountErased {
        account: Uuid,
        privacy_request: Uuid,
        freed: Personal<Vec<String>, Identity>,
        token_version: u64,
    },
}

impl Event for AccountEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum AccountRefusal {
    /// Another account has this e-mail address (IDN-A1).
    #[error("another account has this e-mail address")]
    EmailTaken {},
    /// The password was used before (IDN-A2).
    #[error("the password was used before")]
    PasswordReused {},
    /// The token is none of ours, or was used (IDN-A4).
    #[error("the token is not valid")]
    TokenInvalid {},
    /// The token's time is over (IDN-A4).
    #[error("the token has expired")]
    TokenExpired {},
    /// Anybody can have tokens mailed to an address that they know: so many an hour and no more.
    #[error("too many tokens were mailed within the last hour")]
    TooManyMails {},
    /// Who somebody says to be was not proven.
    #[error("the credentials are not right")]
    BadCredentials {},
    /// A second factor is needed.
    #[error("a second factor is needed")]
    MfaRequired {},
    /// The account is not in use.
    #[error("the account is not active")]
    AccountNotActive {},
    /// Too many failures (IDN-A3).
    #[error("the account is locked")]
    Locked {
        /// Until when.
        until: Timestamp,
    },
    /// One-time codes are on already.
    #[error("one-time codes are on already")]
    AlreadyEnabled {},
    /// The code is not right, or was used (IDN-A5).
    #[error("the code is not right")]
    BadCode {},
    /// A role of the account needs a second factor (IDN-A9).
    #[error("a role of this account needs a second factor")]
    MfaMandatory {},
    /// This account, or another one, has this security key already (Web Authentication 7.1, 26).
    #[error("this security key is registered already")]
    Duplicate {},
    /// It is the last second factor, and a role needs one (IDN-A9).
    #[error("it is the last second factor, and a role of this account needs one")]
    LastFactor {},
    /// Another account has this identity.
    #[error("another account has this identity")]
    SsoIdentityTaken {},
    /// Nobody could log in any more.
    #[error("it is the last way to log in")]
    LastCredential {},
    /// There is no such role.
    #[error("there is no such role")]
    UnknownRole {},
    /// Nobody gives roles to themselves (IDN-A8).
    #[error("nobody assigns roles to themselves")]
    SelfElevation {},
    /// The role has a scope that the caller lacks, or it is for people or units that are not theirs (IDN-A8).
    #[error("it is outside of what the caller may give")]
    OutsideOwnScope {},
    /// It is the last active administrator (IDN-A10).
    #[error("it is the last active administrator")]
    LastAdmin {},
    /// A legal hold keeps the data.
    #[error("a legal hold keeps the data")]
    LegalHoldActive {},
}

impl Refusal for AccountRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        use AccountRefusal as R;
        match self {
            R::PasswordReused {} | R::TokenInvalid {} | R::TokenExpired {} | R::BadCode {} => {
                RefusalKind::Invalid
            }
            R::BadCredentials {}
            | R::MfaRequired {}
            | R::AccountNotActive {}
            | R::Locked { .. }
            | R::SelfElevation {}
            | R::OutsideOwnScope {} => RefusalKind::Forbidden,
            R::UnknownRole {} => RefusalKind::NotFound,
            R::EmailTaken {}
            | R::TooManyMails {}
            | R::AlreadyEnabled {}
            | R::MfaMandatory {}
            | R::Duplicate {}
            | R::LastFactor {}
            | R::SsoIdentityTaken {}
            | R::LastCredential {}
            | R::LastAdmin {}
            | R::LegalHoldActive {} => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            AccountRefusal::UnknownRole {} => Some("role"),
            _ => None,
        }
    }
}
