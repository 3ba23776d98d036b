//! What is mailed because somebody asked for it, who need not be the holder of the address.

use super::*;

#[test]
fn whose_address_somebody_tries_to_register_with_is_told_once_a_day() {
    let attempt = || C::NoteRegistrationAttempt {};
    let told = |before: &str| decided([E::RegistrationAttempted { at: at(before) }], attempt(), NOON);
    assert!(active([]).when(attempt()).then_names(["RegistrationAttempted"]).attempted.is_some());
    assert_eq!(told("2025-12-31T12:00:01Z"), Ok(vec![]), "it was told less than a day ago");
    assert_eq!(told("2025-12-31T12:00:00Z"), Ok(vec![E::RegistrationAttempted { at: at(NOON) }]));
}

#[test]
fn whoever_asks_for_mails_to_an_address_gets_five_an_hour() {
    let at_minute = |minute: i64| at(NOON) + jiff::SignedDuration::from_mins(minute);
    let reset = |minute| E::PasswordResetRequested {
        token_id: Uuid::from_u128(0x71),
        token_hash: told(sha256_hex("mailed")),
        expires_at: at_minute(minute) + RESET_LIFETIME,
    };
    let asked = |events: Vec<E>, command: C, minute: i64| {
        let facts = AccountFacts { token_hash: Some("hash".into()), ..reaching() };
        active(events).knowing(facts).at(&at_minute(minute).to_string()).when(command)
    };
    let change = || C::RequestEmailChange { new_email: said("grace@example.edu"), email_hmac: said("mac") };
    // The token of the registration was mailed at noon.
    let four = || vec![reset(10), reset(20), reset(30), reset(40)];
    let forgotten = C::RequestPasswordReset {};
    asked(four(), forgotten.clone(), 59).refused(R::TooManyMails {});
    asked(four()[1..].to_vec(), forgotten.clone(), 59).then_names(["PasswordResetRequested"]);
    asked(four(), forgotten.clone(), 60).then_names(["PasswordResetRequested"]);
    asked([four(), vec![reset(60)]].concat(), forgotten, 69).refused(R::TooManyMails {});
    // Strangers keep nobody from moving to another address, and nobody has others mailed without end.
    let moved = |minute| E::EmailChangeRequested {
        new_email: told("grace@example.edu".into()),
        email_hmac: told("mac".into()),
        token_id: Uuid::from_u128(0x72),
        token_hash: told(sha256_hex("mailed")),
        expires_at: at_minute(minute) + VERIFICATION_LIFETIME,
    };
    asked(four(), change(), 59).then_names(["EmailChangeRequested"]);
    asked((0..5).map(moved).collect(), change(), 59).refused(R::TooManyMails {});
    asked((0..5).map(moved).collect(), change(), 60).then_names(["EmailChangeRequested"]);
}
