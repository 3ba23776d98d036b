//! 34 CFR 99.20: what an amendment contests, and what is the same request.

use super::*;

fn contesting(r#type: PrivacyRequestType, records: &[&str]) -> Outcome<PrivacyRequest> {
    let mut command = open(r#type, &[]);
    if let C::OpenPrivacyRequest { records: contested, .. } = &mut command {
        *contested = records.iter().map(|name| (*name).to_owned()).collect();
    }
    nothing().by(me()).when(command)
}

/// What an amendment of these records claims.
fn taken(records: &[&str]) -> String {
    match &contesting(PrivacyRequestType::Amendment, records).claims()[..] {
        [Claim::Take(key)] => key.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_amendment_names_the_records_that_it_contests_and_nothing_else_does() {
    let amendment = contesting(PrivacyRequestType::Amendment, &["transcript"]);
    assert_eq!(follows(amendment, "PrivacyRequestOpened").records, ["transcript"]);
    contesting(PrivacyRequestType::Amendment, &[]).invalid("records");
    contesting(PrivacyRequestType::Inspection, &["transcript"]).invalid("records");
}

#[test]
fn an_amendment_of_the_same_records_is_the_same_request_and_one_of_others_is_another() {
    let both = taken(&["Transcript", "attendance"]);
    assert_eq!(taken(&[" attendance", "transcript", "TRANSCRIPT"]), both);
    assert_eq!(PrivacyRequest::taken(&both), Some(R::Duplicate {}));
    assert_ne!(taken(&["transcript"]), both);
    assert_ne!(taken(&["transcript"]), taken(&["attendance"]));
}

#[test]
fn an_amendment_that_is_over_frees_its_records_however_it_ended() {
    let amendment = PrivacyRequestType::Amendment;
    let opened = contesting(amendment, &["transcript"]).events();
    let freed = Claim::Free(taken(&["transcript"]));
    let after = |events: &[E]| after(opened.clone().into_iter().chain(events.to_vec()));
    let fulfilled = [verified(), approved(amendment), step(StepOutcome::Done)];
    for ended in [
        after(&[]).by(me()).when(C::CancelPrivacyRequest {}),
        after(&[verified()]).when(deny()),
        after(&fulfilled).when(complete()),
    ] {
        assert!(ended.claims().contains(&freed));
    }
}

#[test]
fn an_amendment_of_before_holds_and_frees_what_it_took() {
    let mut opened = opened(PrivacyRequestType::Amendment);
    if let E::PrivacyRequestOpened { records, .. } = &mut opened {
        *records = vec!["transcript".into()];
    }
    let key = format!("privacy:{ME}:ferpa:amendment");
    assert_eq!(PrivacyRequest::claims(Uuid::nil(), &opened), [Claim::Take(key.clone())]);
    assert!(after([opened]).when(deny()).claims().contains(&Claim::Free(key)));
}
