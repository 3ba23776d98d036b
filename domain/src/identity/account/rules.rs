//! What addresses, passwords and tokens must be; how an account's state follows from its events; what they claim.

use jiff::{SignedDuration, Timestamp, tz::TimeZoneDatabase};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use super::{
    Account, AccountEvent, AccountRefusal, AccountStatus, HeldPermission, HeldRole, LinkedIdentity,
    MailedToken, NextEmail, SecurityKey, Totp,
};
use crate::{
    governance::not_held,
    identity::{PasswordPolicy, SecurityPolicy, is_built_in},
    kernel::{
        Claim, Permission, Personal, RecordClass, Refused, RefusedBy, RoleGrant, Stated, bounds,
        class::Secret, sha256_hex,
    },
};

/// How long the token that verifies an address lives (IDN-A4).
pub const VERIFICATION_LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// How long the token that replaces a forgotten password lives (IDN-A4).
pub const RESET_LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// How many tokens are mailed to an address, and to others that its account is to have, within [`MAILS_WINDOW`].
pub const MAILS_MAX: usize = 5;
/// Within which time they are counted.
pub const MAILS_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// How often the holder of an address is told that somebody tried to register with it, at most.
pub const ATTEMPT_TOLD_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// The most characters of a password (IDN-A2).
pub const PASSWORD_MAX: usize = 128;
/// How many recovery codes there are (IDN-A5).
pub const RECOVERY_CODES: usize = 10;

/// How many characters a password has, however they were typed: a letter with a mark is one (Unicode NFC).
pub fn password_length(password: &str) -> usize {
    password.nfc().count()
}

/// What a mailed token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TokenPurpose {
    /// Verifies the address that the account was registered with.
    VerifyEmail,
    /// Verifies the address that is to replace it.
    ChangeEmail,
    /// Replaces a forgotten password.
    ResetPassword,
}

/// The label of a token that is mailed to the holder of an account; see [`crate::Question::TokenHash`].
pub fn account_token_label(purpose: TokenPurpose, account: Uuid, token_id: Uuid) -> String {
    let purpose: &'static str = purpose.into();
    format!("{purpose}|{account}|{token_id}")
}

/// An e-mail address as it is compared: trimmed, lower-case, NFC (IDN-A1). None where it is none.
pub fn normalised_email(text: &str) -> Option<String> {
    let address: String = text.trim().nfc().flat_map(char::to_lowercase).nfc().collect();
    let (local, domain) = address.rsplit_once('@')?;
    let visible = |part: &str| {
        !part.is_empty() && part.chars().all(|letter| !letter.is_whitespace() && !letter.is_control())
    };
    let named =
        domain.split('.').all(|label| !label.is_empty()) && !domain.contains(['@', ',', ';', '<', '>']);
    let atoms = local.split('.').all(|atom| !atom.is_empty());
    let quiet = atoms && !local.contains(['<', '>', ',', ';', '"', '(', ')', '\\', '@']);
    (address.len() <= 254 && local.len() <= 64 && visible(local) && visible(domain) && named && quiet)
        .then_some(address)
}

/// What is wrong with a password (IDN-A2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// It has too few characters.
    TooShort,
    /// It has too many.
    TooLong,
    /// It is the e-mail address.
    IsEmail,
    /// Without the address, its parts and the name of the system too little is left of it.
    Guessable,
    /// It is known to be breached, or what is left of it is.
    Breached,
}

/// What is wrong with a password, if anything is (IDN-A2). `breached` is asked last, and only where the policy says so.
pub fn password_weakness(
    password: &str,
    email: Option<&str>,
    policy: &PasswordPolicy,
    breached: impl Fn(&str) -> bool,
) -> Option<Weakness> {
    let characters = password_length(password);
    if characters < policy.min_length as usize {
        Some(Weakness::TooShort)
    } else if characters > PASSWORD_MAX {
        Some(Weakness::TooLong)
    } else if email.is_some() && normalised_email(password).as_deref() == email {
        Some(Weakness::IsEmail)
    } else {
        let left = left_of(password, email);
        let known =
            || breached(password) || breached(&left.replace(|letter: char| !letter.is_alphanumeric(), ""));
        if left.chars().count() < LEFT_MIN {
            Some(Weakness::Guessable)
        } else if policy.breached_check && known() {
            Some(Weakness::Breached)
        } else {
            None
        }
    }
}

/// How many characters of a password must be left without what anybody would guess.
const LEFT_MIN: usize = 8;
/// Parts of an address that are shorter stand in many a word.
const PART_MIN: usize = 3;

/// What is left of a password, in lower case, without the address, its parts and the name of the system (OWASP ASVS 5.0,
/// 6.2.11; NIST SP 800-63B 5.1.1.2).
fn left_of(password: &str, email: Option<&str>) -> String {
    // Wide letters and others that are read as the same are the same.
    let mut rest = password.nfkc().collect::<String>().to_lowercase();
    let address = email.unwrap_or_default();
    let parts = address.split(|letter: char| !letter.is_alphanumeric());
    for guess in [address, "annals"].into_iter().chain(parts).filter(|part| part.chars().count() >= PART_MIN)
    {
        rest = rest.replace(guess, "");
    }
    rest.trim().to_owned()
}

type Check = Result<(), RefusedBy<Account>>;

/// Where somebody says to live: the country, the language, the time zone.
pub(super) fn check_home(country: &str, locale: &str, tz: &str) -> Check {
    if country.len() != 2 || !country.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Err(Refused::invalid("country", "two upper-case letters of ISO 3166-1"));
    }
    let tag = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-';
    if !(2..=35).contains(&locale.len()) || !locale.bytes().all(tag) {
        return Err(Refused::invalid("locale", "a BCP 47 language tag"));
    }
    if TimeZoneDatabase::bundled().get(tz).is_err() {
        return Err(Refused::invalid("tz", "an IANA time zone"));
    }
    Ok(())
}

/// Whether this is the token that was mailed, in time (IDN-A4).
pub(super) fn check_token(mailed: &Option<MailedToken>, token: &Stated<String>, now: Timestamp) -> Check {
    let mailed = mailed.as_ref().ok_or(AccountRefusal::TokenInvalid {})?;
    if mailed.hash.get() != Some(&sha256_hex(&token.0)) {
        return Err(AccountRefusal::TokenInvalid {}.into());
    }
    if mailed.expires_at <= now {
        return Err(AccountRefusal::TokenExpired {}.into());
    }
    Ok(())
}

/// The keyed hashes of ten recovery codes (IDN-A5).
pub(super) fn recovery(
    hashes: Vec<Stated<String>>,
    account: Uuid,
) -> Result<Personal<Vec<String>, Secret>, RefusedBy<Account>> {
    if hashes.len() != RECOVERY_CODES {
        return Err(Refused::invalid("recovery_hashes", "ten of them"));
    }
    Ok(Personal::about(account, hashes.into_iter().map(|hash| hash.0).collect()))
}

impl Account {
    /// The person. Only asked of accounts that are registered.
    pub(super) fn id(&self) -> Uuid {
        self.account.unwrap_or_default()
    }

    /// Whether the account may be used at this time, as far as its status says.
    pub fn is_active(&self, now: Timestamp) -> bool {
        match self.status {
            AccountStatus::Active => true,
            AccountStatus::Suspended => self.suspended_until.is_some_and(|until| until <= now),
            AccountStatus::Unregistered
            | AccountStatus::Pending
            | AccountStatus::Deactivated
            | AccountStatus::Erased => false,
        }
    }

    /// Whether a mailed token of this hash confirms something now.
    pub fn awaits(&self, purpose: TokenPurpose, hash: &str, now: Timestamp) -> bool {
        let awaited = match purpose {
            TokenPurpose::VerifyEmail => self.verification.as_ref(),
            TokenPurpose::ChangeEmail => self.next_email.as_ref().map(|next| &next.token),
            TokenPurpose::ResetPassword => self.reset.as_ref(),
        };
        awaited.is_some_and(|token| {
            token.expires_at > now && token.hash.get().is_some_and(|known| known == hash)
        })
    }

    /// Whether one-time codes are on.
    pub fn has_totp(&self) -> bool {
        self.totp.as_ref().is_some_and(|totp| totp.enabled)
    }

    /// Whether a password alone opens nothing.
    pub fn has_mfa(&self) -> bool {
        self.has_totp() || !self.keys.is_empty()
    }

    /// The roles that are held at this time.
    pub fn roles_at(&self, now: Timestamp) -> impl Iterator<Item = &HeldRole> {
        self.roles.iter().filter(move |role| role.until.is_none_or(|until| until > now))
    }

    /// What may be done with single resources at this time, beside what the roles bring.
    pub fn permissions_at(&self, now: Timestamp) -> Vec<Permission> {
        let live = self.permissions.iter().filter(|held| held.until.is_none_or(|until| until > now));
        let permission = |held: &HeldPermission| Permission {
            resource_type: held.resource_type.clone(),
            resource_id: held.resource_id,
            action: held.action.clone(),
        };
        live.map(permission).collect()
    }

    /// Whether a role that is held at this time needs a second factor (IDN-A9).
    pub fn needs_mfa(&self, policy: &SecurityPolicy, now: Timestamp) -> bool {
        self.roles_at(now).any(|held| policy.needs_mfa(&held.grant.role))
    }

    /// Whether it is an administrator of everything who may act at this time (IDN-A10).
    pub fn is_admin(&self, now: Timestamp) -> bool {
        self.is_active(now)
            && self.roles_at(now).any(|held| held.grant.role == "admin" && held.grant.within.is_none())
    }

    /// Whether it is an administrator who stays one: no end of that is set.
    pub(super) fn is_lasting_admin(&self, now: Timestamp) -> bool {
        self.is_active(now)
            && self
                .roles
                .iter()
                .any(|held| held.grant.role == "admin" && held.grant.within.is_none() && held.until.is_none())
    }

    /// The holder may act: active, and not locked.
    pub(super) fn in_use(&self, now: Timestamp) -> Check {
        if !self.is_active(now) {
            return Err(AccountRefusal::AccountNotActive {}.into());
        }
        match self.locked_until.filter(|until| *until > now) {
            Some(until) => Err(AccountRefusal::Locked { until }.into()),
            None => Ok(()),
        }
    }
}

pub(super) fn check_reason(reason: &str) -> Check {
    bounds::text("reason", reason, 1..=2000)
}

/// The key of the claim on an e-mail address, by its keyed hash (catalogue 0.6).
pub fn email_claim(email_hmac: &str) -> String {
    format!("email:{email_hmac}")
}

/// The key of the claim on an identity of another provider, by its keyed hash (catalogue 0.6).
pub fn sso_claim(subject_hash: &str) -> String {
    format!("sso:{subject_hash}")
}

/// The key of the claim on a security key, by the hash of its credential, which may be long (Web Authentication 7.1, 26).
pub fn key_claim(credential_id: &str) -> String {
    format!("webauthn:{}", sha256_hex(credential_id))
}

/// The key of the seats that the holders of a role have, where it matters who they are: administrators, and the roles
/// that this deployment defined.
pub fn role_claim(role: &str) -> Option<String> {
    (role == "admin" || !is_built_in(role)).then(|| format!("role:{role}"))
}

/// What an event takes and frees. What was erased takes nothing.
pub(super) fn claims(event: &AccountEvent) -> Vec<Claim> {
    use AccountEvent as E;
    let take = |key: Option<String>| key.map(Claim::Take);
    let free = |key: Option<String>| key.map(Claim::Free);
    match event {
        E::AccountRegistered { email_hmac, .. } => {
            take(email_hmac.get().map(|hmac| email_claim(hmac))).into_iter().collect()
        }
        E::EmailChanged { email_hmac, previous_hmac, .. } => {
            let previous = free(previous_hmac.get().map(|hmac| email_claim(hmac)));
            let next = take(email_hmac.get().map(|hmac| email_claim(hmac)));
            previous.into_iter().chain(next).collect()
        }
        E::SsoIdentityLinked { subject_hash, .. } => {
            take(subject_hash.get().map(|hash| sso_claim(hash))).into_iter().collect()
        }
        E::SsoIdentityUnlinked { subject_hash, .. } => {
            free(subject_hash.get().map(|hash| sso_claim(hash))).into_iter().collect()
        }
        E::WebAuthnCredentialRegistered { credential_id, .. } => vec![Claim::Take(key_claim(credential_id))],
        E::WebAuthnCredentialRemoved { credential_id } => vec![Claim::Free(key_claim(credential_id))],
        E::RoleAssigned { role, .. } => {
            let seat = |key| Claim::Seat { key, limit: u32::MAX };
            role_claim(role).map(seat).into_iter().collect()
        }
        E::RoleRevoked { role, elsewhere: false, .. } => free(role_claim(role)).into_iter().collect(),
        E::AccountErased { account, freed, .. } => {
            let mut claims = not_held(*account, &[RecordClass::Identity]);
            claims.extend(freed.get().into_iter().flatten().cloned().map(Claim::Free));
            claims
        }
        E::AccountDeactivated { freed: Some(freed), .. } => {
            freed.get().into_iter().flatten().cloned().map(Claim::Free).collect()
        }
        E::RoleRevoked { elsewhere: true, .. }
        | E::RegistrationAttempted { .. }
        | E::VerificationRequested { .. }
        | E::EmailVerified {}
        | E::EmailChangeRequested { .. }
        | E::LoginSucceeded { .. }
        | E::LoginFailed { .. }
        | E::IdentityProven { .. }
        | E::AccountLocked { .. }
        | E::RecoveryCodeUsed { .. }
        | E::WebAuthnAsserted { .. }
        | E::WebAuthnCloneSuspected { .. }
        | E::AccountUnlocked { .. }
        | E::PasswordChanged { .. }
        | E::PasswordRehashed { .. }
        | E::PasswordResetRequested { .. }
        | E::PasswordReset { .. }
        | E::PasswordChangeRequired { .. }
        | E::TotpEnrolmentStarted { .. }
        | E::TotpEnabled { .. }
        | E::TotpDisabled { .. }
        | E::RecoveryCodesRegenerated { .. }
        | E::PermissionGranted { .. }
        | E::PermissionRevoked { .. }
        | E::AccountSuspended { .. }
        | E::AccountReinstated { .. }
        | E::AccountDeactivated { freed: None, .. }
        | E::TokensRevoked { .. } => Vec::new(),
    }
}

/// How many passwords are remembered, whatever the policy asks.
const PASSWORDS_KEPT: usize = 24;

pub(super) fn evolve(state: &mut Account, event: &AccountEvent) {
    use AccountEvent as E;
    let mailed = |hash: &Personal<String, Secret>, expires_at: &Timestamp| {
        Some(MailedToken { hash: hash.clone(), expires_at: *expires_at })
    };
    match event {
        E::AccountRegistered {
            account, email, email_hmac, password_hash, token_hash, expires_at, ..
        } => {
            state.account = Some(*account);
            state.status = AccountStatus::Pending;
            (state.email, state.email_hmac) = (email.clone(), email_hmac.clone());
            state.passwords = vec![password_hash.clone()];
            state.verification = mailed(token_hash, expires_at);
            note_mailed(&mut state.mailed, *expires_at, VERIFICATION_LIFETIME);
        }
        E::RegistrationAttempted { at } => state.attempted = Some(*at),
        E::VerificationRequested { token_hash, expires_at, .. } => {
            state.verification = mailed(token_hash, expires_at);
            note_mailed(&mut state.mailed, *expires_at, VERIFICATION_LIFETIME);
        }
        E::EmailVerified {} => {
            state.verification = None;
            if state.status == AccountStatus::Pending {
                state.status = AccountStatus::Active;
            }
        }
        E::EmailChangeRequested { new_email, email_hmac, token_hash, expires_at, .. } => {
            let token = MailedToken { hash: token_hash.clone(), expires_at: *expires_at };
            let (email, email_hmac) = (new_email.clone(), email_hmac.clone());
            state.next_email = Some(NextEmail { email, email_hmac, token });
            note_mailed(&mut state.mailed_elsewhere, *expires_at, VERIFICATION_LIFETIME);
        }
        E::EmailChanged { email, email_hmac, .. } => {
            (state.email, state.email_hmac, state.next_email) = (email.clone(), email_hmac.clone(), None);
            // They were mailed to the former address, which says nothing for the account any more.
            (state.verification, state.reset) = (None, None);
        }
        E::LoginSucceeded { totp_step, .. } => {
            state.step_used(*totp_step);
            state.failures.clear();
            (state.locks, state.locked_until) = (0, None);
        }
        E::IdentityProven { totp_step, .. } => state.step_used(*totp_step),
        E::LoginFailed { at, .. } => {
            state.failures.push(*at);
            let excess = state.failures.len().saturating_sub(super::FAILURES_MAX);
            state.failures.drain(..excess);
        }
        E::AccountLocked { until, .. } => {
            state.failures.clear();
            (state.locks, state.locked_until) = (state.locks + 1, Some(*until));
        }
        E::AccountUnlocked { .. } => {
            state.failures.clear();
            (state.locks, state.locked_until) = (0, None);
        }
        E::RecoveryCodeUsed { code_hash, remaining } => match code_hash.get() {
            Some(used) => state.recovery.retain(|hash| hash != used),
            None => state.recovery.truncate(*remaining as usize),
        },
        E::WebAuthnAsserted { credential_id, sign_count } => {
            let key = state.keys.iter_mut().find(|key| key.credential_id == *credential_id);
            key.into_iter().for_each(|key| key.sign_count = *sign_count);
        }
        E::WebAuthnCloneSuspected { .. } => {}
        E::PasswordChanged { password_hash, token_version }
        | E::PasswordReset { password_hash, token_version } => {
            state.passwords.insert(0, password_hash.clone());
            state.passwords.truncate(PASSWORDS_KEPT);
            state.must_change_password = false;
            state.failures.clear();
            (state.locks, state.locked_until) = (0, None);
            state.tokens_void_before(*token_version);
        }
        E::PasswordRehashed { password_hash } => {
            state.passwords.drain(..1.min(state.passwords.len()));
            state.passwords.insert(0, password_hash.clone());
        }
        E::PasswordResetRequested { token_hash, expires_at, .. } => {
            state.reset = mailed(token_hash, expires_at);
            note_mailed(&mut state.mailed, *expires_at, RESET_LIFETIME);
        }
        E::PasswordChangeRequired { .. } => state.must_change_password = true,
        E::TotpEnrolmentStarted { totp_secret, .. } => {
            state.totp =
                Some(Totp { secret: totp_secret.clone(), enabled: false, void: false, last_step: 0 });
        }
        E::TotpEnabled { totp_step, recovery_hashes } => {
            // Also where it is void: such a one was confirmed before that was a rule.
            state.totp.iter_mut().for_each(|totp| (totp.enabled, totp.void) = (true, false));
            state.step_used(Some(*totp_step));
            state.recovery = recovery_hashes.get().cloned().unwrap_or_default();
        }
        E::TotpDisabled { .. } => (state.totp, state.recovery) = (None, Vec::new()),
        E::RecoveryCodesRegenerated { recovery_hashes } => {
            state.recovery = recovery_hashes.get().cloned().unwrap_or_default();
        }
        E::WebAuthnCredentialRegistered { credential_id, public_key, sign_count, .. } => {
            state.keys.push(SecurityKey {
                credential_id: credential_id.clone(),
                public_key: public_key.clone(),
                sign_count: *sign_count,
            });
        }
        E::WebAuthnCredentialRemoved { credential_id } => {
            state.keys.retain(|key| key.credential_id != *credential_id);
        }
        E::SsoIdentityLinked { provider, subject_hash, .. } => {
            state.identities.push(LinkedIdentity { provider: *provider, subject_hash: subject_hash.clone() });
        }
        E::SsoIdentityUnlinked { provider, subject_hash } => state
            .identities
            .retain(|linked| (linked.provider, &linked.subject_hash) != (*provider, subject_hash)),
        E::RoleAssigned { role, within, until, token_version } => {
            let grant = RoleGrant { role: role.clone(), within: *within };
            state.roles.retain(|held| held.grant != grant);
            state.roles.push(HeldRole { grant, until: *until });
            state.token_version = *token_version;
        }
        E::RoleRevoked { role, within, token_version, .. } => {
            state.roles.retain(|held| (&held.grant.role, &held.grant.within) != (role, within));
            state.token_version = *token_version;
        }
        E::PermissionGranted { resource_type, resource_id, action, until } => {
            state.without_permission(resource_type, *resource_id, action);
            state.permissions.push(HeldPermission {
                resource_type: resource_type.clone(),
                resource_id: *resource_id,
                action: action.clone(),
                until: *until,
            });
        }
        E::PermissionRevoked { resource_type, resource_id, action } => {
            state.without_permission(resource_type, *resource_id, action);
        }
        E::AccountSuspended { until, token_version, .. } => {
            (state.status, state.suspended_until) = (AccountStatus::Suspended, *until);
            state.tokens_void_before(*token_version);
        }
        // To reinstate somebody verifies no address.
        E::AccountReinstated { .. } => {
            let unverified = state.verification.is_some();
            state.status = if unverified { AccountStatus::Pending } else { AccountStatus::Active };
            state.suspended_until = None;
        }
        E::AccountDeactivated { token_version, freed, .. } => {
            state.status = AccountStatus::Deactivated;
            state.given_up = freed.is_some();
            state.tokens_void_before(*token_version);
        }
        E::TokensRevoked { token_version, .. } => state.tokens_void_before(*token_version),
        E::AccountErased { account, token_version, .. } => {
            *state = Account {
                account: Some(*account),
                status: AccountStatus::Erased,
                token_version: *token_version,
                sessions_since: *token_version,
                ..Account::default()
            };
        }
    }
}

/// A token was mailed that lives for so long, until then.
fn note_mailed(times: &mut Vec<Timestamp>, expires_at: Timestamp, lifetime: SignedDuration) {
    let at = expires_at.saturating_sub(lifetime).unwrap_or(Timestamp::MIN);
    times.retain(|mailed| within_window(*mailed, at));
    times.push(at);
}

fn within_window(mailed: Timestamp, now: Timestamp) -> bool {
    now.duration_since(mailed) < MAILS_WINDOW
}

impl Account {
    /// A step whose code was used is used up, and so are all before it (IDN-A5).
    fn step_used(&mut self, step: Option<u64>) {
        if let (Some(totp), Some(step)) = (&mut self.totp, step) {
            totp.last_step = totp.last_step.max(step);
        }
    }

    /// How many tokens were mailed within the window before that, to the address or to others.
    pub(super) fn mailed_before(&self, elsewhere: bool, now: Timestamp) -> usize {
        let mailed = if elsewhere { &self.mailed_elsewhere } else { &self.mailed };
        mailed.iter().filter(|mailed| within_window(**mailed, now)).count()
    }

    /// Every token and session until now is void (IDN-A7), and so is what somebody else may have begun with one: another
    /// address, another password, a secret of one-time codes that was not confirmed.
    fn tokens_void_before(&mut self, version: u64) {
        (self.token_version, self.sessions_since) = (version, version);
        (self.reset, self.next_email) = (None, None);
        self.totp.iter_mut().for_each(|totp| totp.void = !totp.enabled);
    }

    fn without_permission(&mut self, resource_type: &str, resource_id: Uuid, action: &str) {
        self.permissions.retain(|held| {
            (&*held.resource_type, held.resource_id, &*held.action) != (resource_type, resource_id, action)
        });
    }
}
