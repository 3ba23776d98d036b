//! What the edge found when it held a secret against what is stored, and what that comes to (IDN-A3, IDN-A5, IDN-A6).
//!
//! The secret stays at the edge. What was found is bound to what it was held against, so that it says nothing about
//! what is stored by the time of the decision.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, AccountEvent, AccountRefusal, Totp};
use crate::{
    identity::ClientProfile,
    kernel::{Personal, RefusedBy, Stated, sha256_hex},
};

/// How many failures within [`FAILURE_WINDOW`] lock an account (IDN-A3).
pub const FAILURES_MAX: usize = 10;
/// Within which time failures are counted.
pub const FAILURE_WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// How long the first lock lasts; each further one lasts twice as long.
const FIRST_LOCK: SignedDuration = SignedDuration::from_mins(15);
/// How long a lock lasts at most.
const LONGEST_LOCK: SignedDuration = SignedDuration::from_hours(24);

/// What the edge found when it looked at a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A password was held against a stored hash.
    Password {
        /// The SHA-256 of that hash.
        against: String,
        /// Whether it is that password.
        holds: bool,
    },
    /// A one-time code was held against the shared secret.
    Totp {
        /// The SHA-256 of that secret.
        against: String,
        /// The time step whose code it is, where it is one of those that count now.
        step: Option<u64>,
    },
    /// A recovery code.
    RecoveryCode {
        /// Its keyed hash.
        code_hash: Stated<String>,
    },
    /// A security key's assertion, whose signature the edge has verified.
    WebAuthn {
        /// The credential.
        credential_id: String,
        /// The public key that it was verified with; none where it did not verify.
        public_key: Option<String>,
        /// How often the key has signed.
        sign_count: u32,
    },
    /// A token of another provider, which the edge has verified.
    Sso {
        /// The keyed hash of issuer and subject.
        subject_hash: Stated<String>,
    },
}

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum LoginMethod {
    Password,
    PasswordAndTotp,
    PasswordAndRecoveryCode,
    PasswordAndWebauthn,
    Totp,
    RecoveryCode,
    Webauthn,
    Sso,
    SsoAndTotp,
    SsoAndRecoveryCode,
    SsoAndWebauthn,
}

impl LoginMethod {
    /// Whether a second factor was shown (IDN-A9). A passkey alone is two in one: the authenticator, and what unlocks it.
    pub fn has_second_factor(self) -> bool {
        use LoginMethod as M;
        match self {
            M::Password | M::Totp | M::RecoveryCode | M::Sso => false,
            M::PasswordAndTotp
            | M::PasswordAndRecoveryCode
            | M::PasswordAndWebauthn
            | M::Webauthn
            | M::SsoAndTotp
            | M::SsoAndRecoveryCode
            | M::SsoAndWebauthn => true,
        }
    }
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum FailureReason {
    Password,
    Totp,
    RecoveryCode,
    Webauthn,
    Sso,
}

/// What a proof comes to: the method, the events that it leaves, and the step of a one-time code.
pub(super) struct Held {
    pub(super) method: LoginMethod,
    pub(super) events: Vec<AccountEvent>,
    pub(super) totp_step: Option<u64>,
}

impl Totp {
    /// The step of a code of this secret that was not used before.
    pub(super) fn step_of(&self, proof: &Proof) -> Option<u64> {
        let Proof::Totp { against, step } = proof else { return None };
        let same = self.secret.get().is_some_and(|secret| sha256_hex(secret) == *against);
        step.filter(|step| same && *step > self.last_step)
    }
}

impl Account {
    /// What a proof comes to; or what failed, and what else is to be put on record of it.
    pub(super) fn weigh(&self, proof: &Proof) -> Result<Held, (FailureReason, Vec<AccountEvent>)> {
        let held = |method| Held { method, events: Vec::new(), totp_step: None };
        match proof {
            Proof::Password { against, holds } => {
                let current = self.passwords.first().and_then(Personal::get);
                let same = current.is_some_and(|current| sha256_hex(current) == *against);
                if same && *holds {
                    Ok(held(LoginMethod::Password))
                } else {
                    Err((FailureReason::Password, Vec::new()))
                }
            }
            Proof::Totp { .. } => {
                let step =
                    self.totp.as_ref().filter(|totp| totp.enabled).and_then(|totp| totp.step_of(proof));
                let step = step.ok_or((FailureReason::Totp, Vec::new()))?;
                Ok(Held { totp_step: Some(step), ..held(LoginMethod::Totp) })
            }
            Proof::RecoveryCode { code_hash } => {
                if !self.recovery.contains(&code_hash.0) {
                    return Err((FailureReason::RecoveryCode, Vec::new()));
                }
                let used = AccountEvent::RecoveryCodeUsed {
                    code_hash: Personal::about(self.id(), code_hash.0.clone()),
                    remaining: self.recovery.len() as u32 - 1,
                };
                Ok(Held { events: vec![used], ..held(LoginMethod::RecoveryCode) })
            }
            Proof::WebAuthn { credential_id, public_key, sign_count } => {
                let key = self.keys.iter().find(|key| key.credential_id == *credential_id);
                match key.filter(|key| public_key.as_ref() == Some(&key.public_key)) {
                    None => Err((FailureReason::Webauthn, Vec::new())),
                    // IDN-A6: a copy would lag behind, or the original would.
                    Some(key) if (*sign_count > 0 || key.sign_count > 0) && *sign_count <= key.sign_count => {
                        let credential_id = credential_id.clone();
                        let suspected = AccountEvent::WebAuthnCloneSuspected { credential_id };
                        Err((FailureReason::Webauthn, vec![suspected]))
                    }
                    Some(_) => {
                        let (credential_id, sign_count) = (credential_id.clone(), *sign_count);
                        let asserted = AccountEvent::WebAuthnAsserted { credential_id, sign_count };
                        Ok(Held { events: vec![asserted], ..held(LoginMethod::Webauthn) })
                    }
                }
            }
            Proof::Sso { subject_hash } => {
                let known =
                    |linked: &super::LinkedIdentity| linked.subject_hash.get() == Some(&subject_hash.0);
                if self.identities.iter().any(known) {
                    Ok(held(LoginMethod::Sso))
                } else {
                    Err((FailureReason::Sso, Vec::new()))
                }
            }
        }
    }

    /// A refusal that puts the failure on record, and locks the account after too many (IDN-A3).
    pub(super) fn failed(
        &self,
        why: AccountRefusal,
        (reason, mut events): (FailureReason, Vec<AccountEvent>),
        now: Timestamp,
    ) -> RefusedBy<Account> {
        events.push(AccountEvent::LoginFailed { reason, at: now });
        let since = now.saturating_sub(FAILURE_WINDOW).unwrap_or(Timestamp::MIN);
        let failures = self.failures.iter().filter(|failure| **failure > since).count() + 1;
        if failures >= FAILURES_MAX {
            let twice = 1_i32 << self.locks.min(10);
            let lock = FIRST_LOCK.saturating_mul(twice).min(LONGEST_LOCK);
            let until = now.saturating_add(lock).unwrap_or(Timestamp::MAX);
            events.push(AccountEvent::AccountLocked { until, failures: failures as u32 });
        }
        RefusedBy::<Account>::OnRecord(why, events)
    }

    /// Proves who the person is beside an earlier login: a failure counts as a failed login does.
    pub(super) fn prove(
        &self,
        proof: &Proof,
        now: Timestamp,
    ) -> Result<Vec<AccountEvent>, RefusedBy<Account>> {
        self.in_use(now)?;
        let held =
            self.weigh(proof).map_err(|failure| self.failed(AccountRefusal::BadCode {}, failure, now))?;
        let proven = AccountEvent::IdentityProven { method: held.method, totp_step: held.totp_step };
        Ok(held.events.into_iter().chain([proven]).collect())
    }

    /// A login. What is told before the first proof holds is the same whatever the account is.
    pub(super) fn log_in(
        &self,
        proofs: &[Proof],
        client: ClientProfile,
        rehash: Option<Stated<String>>,
        now: Timestamp,
    ) -> Result<Vec<AccountEvent>, RefusedBy<Account>> {
        use AccountRefusal as R;
        if let Some(until) = self.locked_until.filter(|until| *until > now) {
            return Err(R::Locked { until }.into());
        }
        let weigh = |proof: &Proof| {
            self.weigh(proof).map_err(|failure| self.failed(R::BadCredentials {}, failure, now))
        };
        let Some((first, rest)) = proofs.split_first() else { return Err(R::BadCredentials {}.into()) };
        let first = weigh(first)?;
        // A code alone, without what it is the second factor of, opens nothing.
        if !matches!(first.method, LoginMethod::Password | LoginMethod::Sso | LoginMethod::Webauthn) {
            return Err(R::BadCredentials {}.into());
        }
        if !self.is_active(now) {
            return Err(R::AccountNotActive {}.into());
        }
        let Held { mut method, mut events, mut totp_step } = first;
        if method != LoginMethod::Webauthn && self.has_mfa() {
            let second = weigh(rest.first().ok_or(R::MfaRequired {})?)?;
            method = Self::joined(method, second.method).ok_or(R::MfaRequired {})?;
            events.extend(second.events);
            totp_step = second.totp_step;
        }
        events.push(AccountEvent::LoginSucceeded { method, client, totp_step });
        if let (Some(hash), Proof::Password { .. }) = (rehash, &proofs[0]) {
            events.push(AccountEvent::PasswordRehashed { password_hash: hash.about(self.id()) });
        }
        Ok(events)
    }

    /// How two proofs are called together; none where the second is no second factor.
    fn joined(first: LoginMethod, second: LoginMethod) -> Option<LoginMethod> {
        use LoginMethod as M;
        match (first, second) {
            (M::Password, M::Totp) => Some(M::PasswordAndTotp),
            (M::Password, M::RecoveryCode) => Some(M::PasswordAndRecoveryCode),
            (M::Password, M::Webauthn) => Some(M::PasswordAndWebauthn),
            (M::Sso, M::Totp) => Some(M::SsoAndTotp),
            (M::Sso, M::RecoveryCode) => Some(M::SsoAndRecoveryCode),
            (M::Sso, M::Webauthn) => Some(M::SsoAndWebauthn),
            _ => None,
        }
    }
}
