mod administering;
mod mailing;

use proptest::prelude::*;

use super::{AccountCommand as C, AccountEvent as E, AccountRefusal as R, *};
use crate::{
    identity::{ClientProfile, OrgUnit, PasswordPolicy, Profile, SecurityPolicyEvent},
    kernel::{
        Refused, Stated,
        testing::{Scenario, World, given, keeps_history, nothing},
    },
    sha256_hex,
};

const ME: Uuid = Uuid::from_u128(0x1D);
const ROOT: Uuid = Uuid::from_u128(0xAD);
const ORG: Uuid = Uuid::from_u128(0x06);
const NOON: &str = "2026-01-01T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn told<T, K>(value: T) -> Personal<T, K> {
    Personal::about(ME, value)
}

fn said(text: &str) -> Stated<String> {
    Stated(text.into())
}

fn edge() -> Actor {
    Actor { on_behalf_of: Some(ME), ..Actor::policy("api") }
}

fn register(email: &str) -> C {
    C::RegisterAccount {
        email: said(email),
        email_hmac: said("mac of ada"),
        password_hash: said("hash 1"),
        display_name: said("Ada"),
        country: "US".into(),
        locale: "en-US".into(),
        tz: "America/Chicago".into(),
    }
}

fn registered() -> E {
    E::AccountRegistered {
        account: ME,
        email: told("ada@example.edu".into()),
        email_hmac: told("mac of ada".into()),
        password_hash: told("hash 1".into()),
        display_name: told("Ada".into()),
        country: "US".into(),
        locale: "en-US".into(),
        tz: "America/Chicago".into(),
        token_id: Uuid::from_u128(0x70),
        token_hash: told(sha256_hex("mailed")),
        expires_at: at("2026-01-02T12:00:00Z"),
    }
}

/// An active account to which this happened too.
fn active(events: impl IntoIterator<Item = E>) -> Scenario<Account> {
    given([registered(), E::EmailVerified {}].into_iter().chain(events)).by(edge())
}

fn reaching() -> AccountFacts {
    AccountFacts { reaches_person: true, reaches_unit: true, ..AccountFacts::default() }
}

/// As an administrator who reaches the person.
fn managed(events: impl IntoIterator<Item = E>) -> Scenario<Account> {
    active(events).by(Actor::user(ROOT, &["admin"])).knowing(reaching())
}

fn password(hash: &str, holds: bool) -> Proof {
    Proof::Password { against: sha256_hex(hash), holds }
}

fn code(step: Option<u64>) -> Proof {
    Proof::Totp { against: sha256_hex("SECRET"), step }
}

fn log_in(proofs: impl IntoIterator<Item = Proof>) -> C {
    C::Authenticate { proofs: proofs.into_iter().collect(), client: ClientProfile::Web, rehash: None }
}

fn right() -> C {
    log_in([password("hash 1", true)])
}

fn wrong() -> C {
    log_in([password("hash 1", false)])
}

fn failed(reason: FailureReason, when: &str) -> E {
    E::LoginFailed { reason, at: at(when) }
}

fn ten() -> Vec<String> {
    (0..10).map(|index| format!("code {index}")).collect()
}

fn with_totp() -> [E; 2] {
    [
        E::TotpEnrolmentStarted { label: told("Annals".into()), totp_secret: told("SECRET".into()) },
        E::TotpEnabled { totp_step: 100, recovery_hashes: told(ten()) },
    ]
}

fn role(role: &str, within: Option<Uuid>) -> E {
    E::RoleAssigned { role: role.into(), within, until: None, token_version: 1 }
}

fn assign(role: &str, within: Option<Uuid>) -> C {
    C::AssignRole { role: role.into(), within, until: None }
}

fn with_key(count: u32) -> E {
    E::WebAuthnCredentialRegistered {
        credential_id: "key 1".into(),
        public_key: "public".into(),
        sign_count: count,
        device_name: told("Key".into()),
    }
}

fn asserted(count: u32) -> Proof {
    Proof::WebAuthn { credential_id: "key 1".into(), public_key: Some("public".into()), sign_count: count }
}

/// Refused for this reason, with these events on record.
#[track_caller]
fn on_record(outcome: Decided<Account>, reason: R, names: &[&str]) {
    use crate::Event;
    match outcome {
        Err(Refused::OnRecord(why, events)) => {
            assert_eq!(why, reason);
            assert_eq!(events.iter().map(E::name).collect::<Vec<_>>(), names);
        }
        other => panic!("{other:?}"),
    }
}

/// The decision of the edge's command on these events.
fn decided(events: impl IntoIterator<Item = E>, command: C, now: &str) -> Decided<Account> {
    let state = active(events).state().clone();
    let now = at(now);
    let context = Context { id: ME, command_id: Uuid::from_u128(0xC0), actor: edge(), now, occurred_at: now };
    state.decide(command, &AccountFacts::default(), &context)
}

#[test]
fn idn_a1_an_address_is_trimmed_lower_case_and_nfc() {
    assert_eq!(normalised_email("  Ada@Example.EDU ").as_deref(), Some("ada@example.edu"));
    assert_eq!(normalised_email("Cafe\u{301}@example.edu"), normalised_email("caf\u{e9}@example.edu"));
    for text in [
        "",
        "ada",
        "@example.edu",
        "ada@",
        "a b@example.edu",
        "ada@ex..edu",
        "a..b@c.d",
        ".a@b.c",
        "a@b@c.d",
        "a\n@b.c",
    ] {
        assert_eq!(normalised_email(text), None, "{text}");
    }
}

#[test]
fn idn_a1_an_address_is_claimed_by_its_keyed_hash_and_freed_by_a_change_and_by_the_erasure() {
    let token = || AccountFacts { token_hash: Some("hash".into()), ..AccountFacts::default() };
    let claims = nothing::<Account>().by(edge()).knowing(token()).when(register("ada@example.edu")).claims();
    assert_eq!(claims, [Claim::Take("email:mac of ada".into())]);
    let changed = E::EmailChanged {
        email: told("countess@example.edu".into()),
        email_hmac: told("mac of the countess".into()),
        previous_hmac: told("mac of ada".into()),
    };
    let expected = [Claim::Free("email:mac of ada".into()), Claim::Take("email:mac of the countess".into())];
    assert_eq!(Account::claims(ME, &changed), expected);
    let erase = C::EraseAccount { privacy_request: Uuid::from_u128(7) };
    let claims = active([role("admin", None)]).when(erase).claims();
    assert!(claims.contains(&Claim::Free("email:mac of ada".into())), "{claims:?}");
    assert!(claims.contains(&Claim::Free("role:admin".into())), "{claims:?}");
    assert!(claims.iter().any(|claim| matches!(claim, Claim::Seat { key, limit: 1 } if is_hold(key))));
    assert_eq!(Account::taken("email:x"), Some(R::EmailTaken {}));
    assert_eq!(Account::taken("hold:x"), Some(R::LegalHoldActive {}));
}

#[test]
fn idn_a1_an_address_that_is_none_or_is_not_normalised_is_refused() {
    for email in ["ada", "Ada@example.edu", " ada@example.edu"] {
        nothing::<Account>().by(edge()).when(register(email)).invalid("email");
    }
}

#[test]
fn idn_a2_a_password_has_12_to_128_characters_and_is_neither_breached_nor_the_address() {
    let policy = PasswordPolicy::default();
    let weakness = |password: &str| {
        password_weakness(password, Some("ada@example.edu"), &policy, |known| {
            ["correct horse battery", "12345678", "password", "password1"].contains(&known)
        })
    };
    assert_eq!(weakness(&"ä".repeat(11)), Some(Weakness::TooShort));
    assert_eq!(weakness(&"ä".repeat(12)), None);
    assert_eq!(weakness(&"ä".repeat(128)), None);
    assert_eq!(weakness(&"ä".repeat(129)), Some(Weakness::TooLong));
    assert_eq!(weakness(" ADA@example.edu"), Some(Weakness::IsEmail));
    assert_eq!(weakness("annalsAnnals"), Some(Weakness::Guessable));
    assert_eq!(weakness("ada@Example.edu 123"), Some(Weakness::Guessable));
    assert_eq!(weakness("ada+example+1842"), Some(Weakness::Guessable));
    assert_eq!(weakness("Ada weaves algebra"), None);
    assert_eq!(weakness("correct horse battery"), Some(Weakness::Breached));
    // Nor is what is left of it without the address and the name of the system.
    for known in ["annals12345678", "Annals-Password1", "annals 1234 5678", "pass annals word"] {
        assert_eq!(weakness(known), Some(Weakness::Breached), "{known}");
    }
    assert_eq!(weakness("annals of the marsh"), None);
    let lax = PasswordPolicy { breached_check: false, ..policy };
    assert_eq!(password_weakness("correct horse battery", None, &lax, |_| true), None);
}

#[test]
fn idn_a2_a_password_that_was_used_before_is_refused() {
    let change =
        |reused| C::ChangePassword { proof: password("hash 1", true), password_hash: said("hash 2"), reused };
    active([]).when(change(true)).refused(R::PasswordReused {});
    let state = active([]).when(change(false)).then_names(["PasswordChanged"]);
    let kept: Vec<_> = state.passwords.iter().filter_map(Personal::get).map(String::as_str).collect();
    assert_eq!(kept, ["hash 2", "hash 1"]);
}

#[test]
fn idn_a3_ten_failures_within_a_quarter_of_an_hour_lock_for_a_quarter_of_an_hour() {
    let mut past: Vec<E> = (0..8).map(|_| failed(FailureReason::Password, "2026-01-01T11:50:00Z")).collect();
    on_record(decided(past.clone(), wrong(), NOON), R::BadCredentials {}, &["LoginFailed"]);
    past.push(failed(FailureReason::Totp, "2026-01-01T11:59:00Z"));
    let outcome = decided(past.clone(), wrong(), NOON);
    let Err(Refused::OnRecord(_, events)) = &outcome else { panic!("{outcome:?}") };
    let locked = E::AccountLocked { until: at("2026-01-01T12:15:00Z"), failures: 10 };
    assert_eq!(events[1], locked);
    past.extend([failed(FailureReason::Password, NOON), locked]);
    let until = at("2026-01-01T12:15:00Z");
    assert_eq!(decided(past.clone(), right(), "2026-01-01T12:14:59Z"), Err(R::Locked { until }.into()));
    assert!(decided(past, right(), "2026-01-01T12:15:00Z").is_ok());
}

#[test]
fn idn_a3_old_failures_do_not_count() {
    let past: Vec<E> = (0..9).map(|_| failed(FailureReason::Password, "2026-01-01T11:45:00Z")).collect();
    on_record(decided(past, wrong(), NOON), R::BadCredentials {}, &["LoginFailed"]);
}

#[test]
fn idn_a3_each_further_lock_lasts_twice_as_long_up_to_a_day_and_a_success_starts_anew() {
    let nine = || (0..9).map(|_| failed(FailureReason::Password, "2026-01-01T11:59:00Z"));
    let lock = || E::AccountLocked { until: at("2026-01-01T11:00:00Z"), failures: 10 };
    let until = |locks: usize| {
        let past = (0..locks).map(|_| lock()).chain(nine());
        let Err(Refused::OnRecord(_, events)) = decided(past, wrong(), NOON) else { panic!("not refused") };
        let Some(E::AccountLocked { until, .. }) = events.last() else { panic!("{events:?}") };
        *until
    };
    assert_eq!(until(1), at("2026-01-01T12:30:00Z"));
    assert_eq!(until(2), at("2026-01-01T13:00:00Z"));
    assert_eq!(until(7), at("2026-01-02T12:00:00Z"));
    assert_eq!(until(4_000), at("2026-01-02T12:00:00Z"));
    let success =
        E::LoginSucceeded { method: LoginMethod::Password, client: ClientProfile::Web, totp_step: None };
    let state = active([lock(), lock(), success.clone()]).state().clone();
    assert_eq!((state.locks, state.locked_until, state.failures.len()), (0, None, 0));
}

#[test]
fn idn_a4_a_mailed_token_works_once_and_in_time() {
    let verify = |token: &str| C::VerifyEmail { token: said(token) };
    let pending = || given::<Account>([registered()]).by(edge());
    pending().when(verify("another")).refused(R::TokenInvalid {});
    pending().at("2026-01-02T12:00:00Z").when(verify("mailed")).refused(R::TokenExpired {});
    let state = pending().when(verify("mailed")).then([E::EmailVerified {}]);
    assert_eq!(state.status, AccountStatus::Active);
    active([]).when(verify("mailed")).refused(R::TokenInvalid {});
}

#[test]
fn idn_a4_a_token_for_a_forgotten_password_lives_an_hour_and_only_its_hash_is_kept() {
    let label =
        account_token_label(TokenPurpose::ResetPassword, ME, Uuid::new_v5(&Uuid::from_u128(0xC0), b"token"));
    let mut world =
        World::default().answering(Question::TokenHash { label }, Answer::Hash(sha256_hex("mailed")));
    let request = C::RequestPasswordReset {};
    let events = active([]).looking_up(&request, &mut world).when(request).events();
    let [E::PasswordResetRequested { token_hash, expires_at, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(token_hash.get(), Some(&sha256_hex("mailed")));
    assert_eq!(*expires_at, at("2026-01-01T13:00:00Z"));
    let reset =
        |token: &str, reused| C::ResetPassword { token: said(token), password_hash: said("hash 2"), reused };
    let asked = || active(events.clone());
    asked().when(reset("guessed", false)).refused(R::TokenInvalid {});
    asked().at("2026-01-01T13:00:00Z").when(reset("mailed", false)).refused(R::TokenExpired {});
    asked().when(reset("mailed", true)).refused(R::PasswordReused {});
    let done = asked().when(reset("mailed", false)).events();
    active(events.clone().into_iter().chain(done)).when(reset("mailed", false)).refused(R::TokenInvalid {});
    // It was mailed to an address that is not the account's any more.
    let moved = E::EmailChanged {
        email: told("countess@example.edu".into()),
        email_hmac: told("mac of the countess".into()),
        previous_hmac: told("mac of ada".into()),
    };
    active(events.into_iter().chain([moved])).when(reset("mailed", false)).refused(R::TokenInvalid {});
}

#[test]
fn whoever_reads_the_mail_of_an_address_that_nobody_verified_may_have_the_account_whoever_registered_it() {
    let asked = E::PasswordResetRequested {
        token_id: ME,
        token_hash: told(sha256_hex("for the reader")),
        expires_at: at("2026-01-01T13:00:00Z"),
    };
    let events = [registered(), asked];
    let reset =
        C::ResetPassword { token: said("for the reader"), password_hash: said("hash 2"), reused: false };
    let state = given::<Account>(events)
        .with_id(ME)
        .by(edge())
        .at(NOON)
        .when(reset)
        .then_names(["EmailVerified", "PasswordReset"]);
    assert_eq!(state.status, AccountStatus::Active);
    assert_eq!(
        state.passwords[0].get().map(String::as_str),
        Some("hash 2"),
        "and not that of who registered"
    );
}

#[test]
fn another_address_that_was_asked_for_before_the_password_was_changed_comes_to_nothing() {
    let asked = E::EmailChangeRequested {
        new_email: told("mallory@example.edu".into()),
        email_hmac: told("mac of mallory".into()),
        token_id: ME,
        token_hash: told(sha256_hex("mailed")),
        expires_at: at("2026-01-02T12:00:00Z"),
    };
    let confirm = || C::ConfirmEmailChange { token: said("mailed") };
    active([asked.clone()]).when(confirm()).then_names(["EmailChanged"]);
    let changed = E::PasswordChanged { password_hash: told("hash 2".into()), token_version: 1 };
    active([asked, changed]).when(confirm()).refused(R::TokenInvalid {});
}

#[test]
fn idn_a5_a_code_is_good_for_one_step_and_a_password_alone_opens_nothing() {
    active(with_totp()).when(right()).refused(R::MfaRequired {});
    let both = |step| log_in([password("hash 1", true), code(step)]);
    let state = active(with_totp()).when(both(Some(101))).then_names(["LoginSucceeded"]);
    assert_eq!(state.totp.as_ref().unwrap().last_step, 101);
    for used in [Some(100), Some(99), None] {
        on_record(decided(with_totp(), both(used), NOON), R::BadCredentials {}, &["LoginFailed"]);
    }
    // A code alone is no login, nor is one for another secret.
    assert_eq!(decided(with_totp(), log_in([code(Some(101))]), NOON), Err(R::BadCredentials {}.into()));
    let other = Proof::Totp { against: sha256_hex("OTHER"), step: Some(101) };
    let outcome = decided(with_totp(), log_in([password("hash 1", true), other]), NOON);
    on_record(outcome, R::BadCredentials {}, &["LoginFailed"]);
}

#[test]
fn idn_a5_a_recovery_code_is_good_for_one_use() {
    let with = |code: &str| log_in([password("hash 1", true), Proof::RecoveryCode { code_hash: said(code) }]);
    let state = active(with_totp()).when(with("code 3")).then_names(["RecoveryCodeUsed", "LoginSucceeded"]);
    assert_eq!(state.recovery.len(), 9);
    let used = E::RecoveryCodeUsed { code_hash: told("code 3".into()), remaining: 9 };
    let again = decided(with_totp().into_iter().chain([used]), with("code 3"), NOON);
    on_record(again, R::BadCredentials {}, &["LoginFailed"]);
}

#[test]
fn idn_a5_codes_are_on_when_one_was_confirmed_and_off_after_a_proof() {
    let [started, enabled] = with_totp();
    let enrol = || C::EnrollTotp { label: said("Annals"), totp_secret: said("SECRET") };
    active([]).when(enrol()).then([started.clone()]);
    let confirm =
        |step| C::ConfirmTotp { proof: code(step), recovery_hashes: ten().into_iter().map(Stated).collect() };
    active([started.clone()]).when(confirm(None)).refused(R::BadCode {});
    active([started.clone()]).when(confirm(Some(100))).then([enabled]);
    active(with_totp()).when(enrol()).refused(R::AlreadyEnabled {});
    let few = C::ConfirmTotp { proof: code(Some(100)), recovery_hashes: Vec::new() };
    active([started]).when(few).invalid("recovery_hashes");
    let disable = || C::DisableTotp { proof: code(Some(101)), reason: "new phone".into() };
    let state = active(with_totp()).when(disable()).then_names(["IdentityProven", "TotpDisabled"]);
    assert!(!state.has_mfa() && state.recovery.is_empty());
    let wrong = C::DisableTotp { proof: code(None), reason: "stolen".into() };
    on_record(decided(with_totp(), wrong, NOON), R::BadCode {}, &["LoginFailed"]);
    let admin = with_totp().into_iter().chain([role("admin", None)]);
    active(admin).when(disable()).refused(R::MfaMandatory {});
}

#[test]
fn webauthn_71_26_a_security_key_has_one_holder_until_it_is_removed_or_its_holder_erased() {
    let key = format!("webauthn:{}", sha256_hex("key 1"));
    let register = C::RegisterWebAuthnCredential {
        credential_id: "key 1".into(),
        public_key: "public".into(),
        sign_count: 0,
        device_name: said("Key"),
    };
    assert_eq!(active([]).when(register).claims(), [Claim::Take(key.clone())]);
    assert_eq!(Account::taken(&key), Some(R::Duplicate {}));
    let removed = E::WebAuthnCredentialRemoved { credential_id: "key 1".into() };
    assert_eq!(Account::claims(ME, &removed), [Claim::Free(key.clone())]);
    let erase = C::EraseAccount { privacy_request: Uuid::from_u128(7) };
    assert!(active([with_key(1)]).when(erase).claims().contains(&Claim::Free(key)));
}

#[test]
fn idn_a6_the_count_of_a_security_key_must_grow() {
    let outcome = |known, count| decided([with_key(known)], log_in([asserted(count)]), NOON);
    assert!(outcome(5, 6).is_ok() && outcome(0, 0).is_ok() && outcome(0, 1).is_ok());
    for (known, count) in [(5, 5), (5, 4), (5, 0)] {
        let expected = ["WebAuthnCloneSuspected", "LoginFailed"];
        on_record(outcome(known, count), R::BadCredentials {}, &expected);
    }
    let unverified = Proof::WebAuthn { credential_id: "key 1".into(), public_key: None, sign_count: 9 };
    on_record(decided([with_key(5)], log_in([unverified]), NOON), R::BadCredentials {}, &["LoginFailed"]);
}

#[test]
fn who_is_not_active_is_told_so_only_after_the_password_was_right() {
    let pending = |command| {
        let state = given::<Account>([registered()]).state().clone();
        let now = at(NOON);
        let context = Context { id: ME, command_id: Uuid::nil(), actor: edge(), now, occurred_at: now };
        state.decide(command, &AccountFacts::default(), &context)
    };
    on_record(pending(wrong()), R::BadCredentials {}, &["LoginFailed"]);
    assert_eq!(pending(right()), Err(R::AccountNotActive {}.into()));
}

#[test]
fn a_proof_of_a_password_that_was_changed_meanwhile_proves_nothing() {
    let changed = E::PasswordChanged { password_hash: told("hash 2".into()), token_version: 1 };
    on_record(decided([changed], right(), NOON), R::BadCredentials {}, &["LoginFailed"]);
}

#[test]
fn idn_d09_a_password_under_an_old_hash_is_kept_under_a_better_one() {
    let command = C::Authenticate {
        proofs: vec![password("hash 1", true)],
        client: ClientProfile::Api,
        rehash: Some(said("argon")),
    };
    let state = active([]).when(command).then_names(["LoginSucceeded", "PasswordRehashed"]);
    assert_eq!(state.passwords.iter().filter_map(Personal::get).collect::<Vec<_>>(), ["argon"]);
}

proptest! {
    #[test]
    fn no_address_however_hostile_panics_and_a_normalised_one_stays_so(text in ".{0,80}") {
        if let Some(address) = normalised_email(&text) {
            prop_assert_eq!(normalised_email(&address), Some(address.clone()));
        }
    }
}

#[test]
fn every_event_reads_as_it_was_stored() {
    let expires_at = at("2026-01-01T13:00:00Z");
    let token_id = Uuid::from_u128(0x70);
    let reason = || "because".to_owned();
    let [started, enabled] = with_totp();
    keeps_history::<Account>([
        registered(),
        E::RegistrationAttempted { at: at(NOON) },
        E::VerificationRequested { token_id, token_hash: told("hash".into()), expires_at },
        E::EmailVerified {},
        E::EmailChangeRequested {
            new_email: told("countess@example.edu".into()),
            email_hmac: told("mac".into()),
            token_id,
            token_hash: told("hash".into()),
            expires_at,
        },
        E::EmailChanged {
            email: told("countess@example.edu".into()),
            email_hmac: told("mac".into()),
            previous_hmac: told("mac of ada".into()),
        },
        E::LoginSucceeded {
            method: LoginMethod::PasswordAndTotp,
            client: ClientProfile::Web,
            totp_step: Some(58_000_000),
        },
        failed(FailureReason::Password, NOON),
        E::IdentityProven { method: LoginMethod::Totp, totp_step: Some(58_000_001) },
        E::AccountLocked { until: expires_at, failures: 10 },
        E::RecoveryCodeUsed { code_hash: told("code 1".into()), remaining: 9 },
        E::WebAuthnAsserted { credential_id: "key 1".into(), sign_count: 7 },
        E::WebAuthnCloneSuspected { credential_id: "key 1".into() },
        E::AccountUnlocked { reason: reason() },
        E::PasswordChanged { password_hash: told("hash 2".into()), token_version: 1 },
        E::PasswordRehashed { password_hash: told("hash 3".into()) },
        E::PasswordResetRequested { token_id, token_hash: told("hash".into()), expires_at },
        E::PasswordReset { password_hash: told("hash 4".into()), token_version: 2 },
        E::PasswordChangeRequired { reason: reason() },
        started,
        enabled,
        E::TotpDisabled { reason: reason() },
        E::RecoveryCodesRegenerated { recovery_hashes: told(ten()) },
        with_key(1),
        E::WebAuthnCredentialRemoved { credential_id: "key 1".into() },
        E::SsoIdentityLinked {
            provider: SsoProvider::Oidc,
            issuer: "https://login.example.edu".into(),
            subject_hash: told("subject".into()),
            email: told("ada@example.edu".into()),
        },
        E::SsoIdentityUnlinked { provider: SsoProvider::Oidc, subject_hash: told("subject".into()) },
        E::RoleAssigned {
            role: "institution_admin".into(),
            within: Some(ORG),
            until: Some(expires_at),
            token_version: 3,
        },
        E::RoleRevoked {
            role: "institution_admin".into(),
            within: Some(ORG),
            elsewhere: false,
            token_version: 4,
        },
        E::PermissionGranted {
            resource_type: "documents.document".into(),
            resource_id: ORG,
            action: "read".into(),
            until: None,
        },
        E::PermissionRevoked {
            resource_type: "documents.document".into(),
            resource_id: ORG,
            action: "read".into(),
        },
        E::AccountSuspended { reason: reason(), until: Some(expires_at), token_version: 5 },
        E::AccountReinstated { reason: reason() },
        E::AccountDeactivated { reason: reason(), token_version: 6, freed: None },
        E::TokensRevoked { reason: reason(), token_version: 7 },
        E::AccountErased {
            account: ME,
            privacy_request: Uuid::from_u128(0x9),
            freed: told(vec!["email:mac of ada".into()]),
            token_version: 8,
        },
    ]);
}

#[test]
fn a_secret_of_one_time_codes_that_was_not_confirmed_proves_nothing_and_ends_with_the_sessions() {
    let [begun, _] = with_totp();
    let enrolled = || [with_key(1), begun.clone()];
    let login = log_in([password("hash 1", true), code(Some(101))]);
    on_record(decided(enrolled(), login, NOON), R::BadCredentials {}, &["LoginFailed"]);
    let prove = C::ProveIdentity { proof: code(Some(101)) };
    on_record(decided(enrolled(), prove, NOON), R::BadCode {}, &["LoginFailed"]);
    let changed = E::PasswordChanged { password_hash: told("hash 2".into()), token_version: 1 };
    let revoked = E::TokensRevoked { reason: "lost".into(), token_version: 1 };
    for ends in [changed, revoked] {
        let confirm = C::ConfirmTotp { proof: code(Some(101)), recovery_hashes: Vec::new() };
        active([begun.clone(), ends.clone()]).when(confirm).refused(R::BadCode {});
        // Confirmed before this was a rule, it counts.
        let [_, confirmed] = with_totp();
        assert!(active([begun.clone(), ends, confirmed]).state().has_totp());
    }
}

#[test]
fn a_token_that_replaces_a_password_or_an_address_ends_with_the_sessions() {
    let asked = E::PasswordResetRequested {
        token_id: Uuid::from_u128(0x71),
        token_hash: told(sha256_hex("mailed")),
        expires_at: at("2026-01-01T13:00:00Z"),
    };
    let suspended = E::AccountSuspended { reason: "read".into(), until: None, token_version: 1 };
    let reinstated = E::AccountReinstated { reason: "done".into() };
    let reset = C::ResetPassword { token: said("mailed"), password_hash: said("hash 2"), reused: false };
    active([asked.clone()]).when(reset.clone()).events();
    active([asked, suspended, reinstated]).when(reset).refused(R::TokenInvalid {});
}
