use super::{ConsentLedgerCommand as C, ConsentLedgerEvent as E, ConsentLedgerRefusal as R, *};
use crate::kernel::testing::{Outcome, Scenario, given, keeps_history, nothing};

const ME: Uuid = Uuid::from_u128(0xAA);
const CONSENT: Uuid = Uuid::from_u128(0xC1);
const REQUEST: Uuid = Uuid::from_u128(0x9E);
const SIGNATURE: Uuid = Uuid::from_u128(0xD0);
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// Noon of this day is when commands are decided unless a spec says otherwise.
const TODAY: &str = "2026-01-01T12:00:00Z";
const TOMORROW: &str = "2026-01-02T12:00:00Z";

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

fn me() -> Actor {
    Actor::user(ME, &["student"])
}

fn own(scenario: Scenario<ConsentLedger>) -> Scenario<ConsentLedger> {
    scenario.with_id(ME).by(me())
}

fn after(events: impl IntoIterator<Item = E>) -> Scenario<ConsentLedger> {
    own(given(events))
}

fn grant(until: Option<&str>) -> C {
    C::GrantConsent {
        purpose: ConsentPurpose::BiasMonitoring,
        text_version: "2".into(),
        text_hash: HASH.into(),
        until: until.map(at),
    }
}

fn granted(until: Option<&str>) -> E {
    E::ConsentGranted {
        subject: ME,
        purpose: ConsentPurpose::BiasMonitoring,
        text_version: "2".into(),
        text_hash: HASH.into(),
        until: until.map(at),
    }
}

fn withdraw() -> C {
    C::WithdrawConsent { purpose: ConsentPurpose::BiasMonitoring }
}

fn withdrawn() -> E {
    E::ConsentWithdrawn { purpose: ConsentPurpose::BiasMonitoring }
}

fn expire() -> C {
    C::ExpireConsent { purpose: ConsentPurpose::BiasMonitoring }
}

fn disclose(records: &str, purpose: &str, party: &str, signed_at: &str) -> C {
    C::GrantDisclosureConsent {
        consent: CONSENT,
        records: records.into(),
        purpose: purpose.into(),
        party: Stated(party.into()),
        signed_at: at(signed_at),
        signature: SIGNATURE,
        until: Some(at(TOMORROW)),
    }
}

fn disclosing() -> C {
    disclose("Transcript, Degree", "An application for work", "Acme", TODAY)
}

fn disclosure_granted() -> E {
    E::DisclosureConsentGranted {
        subject: ME,
        consent: CONSENT,
        records: "Transcript, Degree".into(),
        purpose: "An application for work".into(),
        party: Personal::about(Uuid::from_u128(0xACE), "Acme".into()),
        signed_at: at(TODAY),
        signature: SIGNATURE,
        until: Some(at(TOMORROW)),
    }
}

fn stands(events: impl IntoIterator<Item = E>, when: &str) -> bool {
    after(events).state().stands(ConsentPurpose::BiasMonitoring, at(when))
}

#[track_caller]
fn follows(outcome: Outcome<ConsentLedger>, name: &str) {
    outcome.then_names([name]);
}

#[test]
fn gov_c1_a_consent_is_withdrawn_as_easily_as_it_is_given() {
    own(nothing()).when(grant(None)).then([granted(None)]);
    after([granted(None)]).when(withdraw()).then([withdrawn()]);
    after([granted(None), withdrawn()]).when(withdraw()).refused(R::NotGranted {});
    assert!(!stands([granted(None), withdrawn()], TODAY));
}

#[test]
fn gov_c3_without_a_consent_none_stands_and_the_latest_event_decides() {
    assert!(!stands([], TODAY));
    assert!(stands([granted(None)], TODAY));
    assert!(stands([granted(None), withdrawn(), granted(None)], TODAY));
    let other = after([granted(None)]);
    assert!(!other.state().stands(ConsentPurpose::Marketing, at(TODAY)), "one purpose is not another");
}

#[test]
fn a_consent_stands_until_its_end_and_not_at_it() {
    assert!(stands([granted(Some(TOMORROW))], "2026-01-02T11:59:59Z"));
    assert!(!stands([granted(Some(TOMORROW))], TOMORROW), "even before the clock has recorded it");
    own(nothing()).when(grant(Some(TODAY))).invalid("until");
}

#[test]
fn the_clock_ends_a_consent_whose_time_is_over_and_no_other() {
    let late = || after([granted(Some(TOMORROW))]).by(Actor::scheduler("expire_consent")).at(TOMORROW);
    follows(late().when(expire()), "ConsentExpired");
    let early = after([granted(Some(TOMORROW))]).by(Actor::scheduler("expire_consent"));
    early.when(expire()).then([]);
    let renewed = after([granted(Some(TOMORROW)), granted(None)]).by(Actor::scheduler("expire_consent"));
    renewed.at(TOMORROW).when(expire()).then([]);
    after([granted(None), withdrawn()]).by(Actor::scheduler("expire_consent")).when(expire()).then([]);
}

#[test]
fn a_consent_given_twice_is_recorded_once_and_one_to_a_new_text_again() {
    after([granted(None)]).when(grant(None)).then([]);
    follows(after([granted(None)]).when(grant(Some(TOMORROW))), "ConsentGranted");
}

#[test]
fn the_text_consented_to_is_named_by_its_hash() {
    let command = |hash: &str| C::GrantConsent {
        purpose: ConsentPurpose::Marketing,
        text_version: "1".into(),
        text_hash: hash.into(),
        until: None,
    };
    own(nothing()).when(command(&HASH.to_uppercase())).invalid("text_hash");
    own(nothing()).when(command("abc")).invalid("text_hash");
}

#[test]
fn gov_c2_a_consent_to_disclose_names_records_purpose_and_party_and_is_signed_and_dated() {
    follows(own(nothing()).when(disclosing()), "DisclosureConsentGranted");
    for (command, missing) in [
        (disclose(" , ", "Work", "Acme", TODAY), "records"),
        (disclose("Transcript", " ", "Acme", TODAY), "purpose"),
        (disclose("Transcript", "Work", "", TODAY), "party"),
        (disclose("Transcript", "Work", "Acme", TOMORROW), "signed_at"),
    ] {
        own(nothing()).when(command).refused(R::IncompleteConsent { missing });
    }
    let C::GrantDisclosureConsent { consent, records, purpose, party, signed_at, until, .. } = disclosing()
    else {
        panic!("a literal")
    };
    let signature = Uuid::nil();
    let unsigned =
        C::GrantDisclosureConsent { consent, records, purpose, party, signed_at, signature, until };
    own(nothing()).when(unsigned).refused(R::IncompleteConsent { missing: "signature" });
}

#[test]
fn a_consent_to_disclose_carries_what_it_names_to_whom_it_names_while_it_stands() {
    let carries = |events: Vec<E>, party: &str, records: &[&str], when: &str| {
        let records: Vec<String> = records.iter().map(|record| (*record).to_owned()).collect();
        after(events).state().carries(CONSENT, party, &records, at(when)).map(drop)
    };
    let given = || vec![disclosure_granted()];
    assert_eq!(carries(given(), " acme ", &["degree", "Transcript"], TODAY), Ok(()));
    assert_eq!(carries(vec![], "Acme", &["degree"], TODAY), Err(ConsentGap::NotGiven));
    assert_eq!(carries(given(), "Other", &["degree"], TODAY), Err(ConsentGap::OtherParty));
    assert_eq!(carries(given(), "Acme", &["degree", "grades"], TODAY), Err(ConsentGap::OtherRecords));
    assert_eq!(carries(given(), "Acme", &["degree"], TOMORROW), Err(ConsentGap::Expired));
    let revoked = vec![disclosure_granted(), E::DisclosureConsentRevoked { consent: CONSENT }];
    assert_eq!(carries(revoked, "Acme", &["degree"], TODAY), Err(ConsentGap::Revoked));
    let E::DisclosureConsentGranted {
        subject, consent, records, purpose, signed_at, signature, until, ..
    } = disclosure_granted()
    else {
        panic!("a literal")
    };
    let party = Personal::Erased;
    let erased = E::DisclosureConsentGranted {
        subject,
        consent,
        records,
        purpose,
        party,
        signed_at,
        signature,
        until,
    };
    assert_eq!(carries(vec![erased], "Acme", &["degree"], TODAY), Err(ConsentGap::OtherParty));
}

#[test]
fn a_consent_to_disclose_is_given_once_and_revoked_once() {
    let revoke = || C::RevokeDisclosureConsent { consent: CONSENT };
    after([disclosure_granted()]).when(disclosing()).invalid_state("granted");
    follows(after([disclosure_granted()]).when(revoke()), "DisclosureConsentRevoked");
    after([granted(None)]).when(revoke()).refused(R::NotGranted {});
    let revoked = E::DisclosureConsentRevoked { consent: CONSENT };
    after([disclosure_granted(), revoked]).when(revoke()).refused(R::NotGranted {});
}

#[test]
fn nobody_consents_for_another_and_only_the_clock_expires() {
    let other = Actor::user(Uuid::from_u128(0xBB), &["admin", "compliance"]);
    assert!(!after([granted(None)]).permits(&other, &withdraw()));
    assert!(!after([]).permits(&other, &withdraw()), "nor learns that nothing was consented to");
    assert!(ConsentLedger::unborn(ME).may(&me(), &withdraw()));
    nothing::<ConsentLedger>().with_id(ME).by(other).when(grant(None)).forbidden();
    let clock = Actor::scheduler("expire_consent");
    assert!(after([]).permits(&clock, &expire()) && !after([]).permits(&me(), &expire()));
    assert!(!after([granted(None)]).permits(&clock, &withdraw()));
}

fn restricted(purposes: &[ConsentPurpose], classes: &[RecordClass], objection: bool) -> E {
    E::ProcessingRestricted {
        subject: ME,
        request: REQUEST,
        purposes: purposes.to_vec(),
        classes: classes.to_vec(),
        objection,
    }
}

fn released() -> E {
    E::ProcessingReleased { request: REQUEST, purposes: vec![] }
}

fn folded(events: &[E]) -> ConsentLedger {
    let mut ledger = ConsentLedger::default();
    events.iter().for_each(|event| ledger.evolve(event));
    ledger
}

#[test]
fn gov_p5_a_restriction_suspends_every_consent_and_one_given_since_stands() {
    use ConsentPurpose::BiasMonitoring as Bias;
    let stands = |events: &[E]| folded(events).stands(Bias, at(TODAY));
    assert!(!stands(&[granted(None), restricted(&[], &[], false)]));
    assert!(stands(&[granted(None), restricted(&[], &[], false), granted(None)]));
    assert!(stands(&[granted(None), restricted(&[], &[], false), released()]));
    assert!(!stands(&[granted(None), restricted(&[], &[], false), granted(None), withdrawn()]));
    assert!(stands(&[granted(None), restricted(&[ConsentPurpose::Marketing], &[], true)]));
    assert!(stands(&[granted(None), restricted(&[], &[RecordClass::Education], false)]));
    // The same consent, given again, is a new one.
    let stopped = || after([granted(None), restricted(&[], &[], false)]);
    follows(stopped().when(grant(None)), "ConsentGranted");
    after([granted(None), restricted(&[], &[], false), granted(None)]).when(grant(None)).then([]);
}

#[test]
fn gov_p5_a_restriction_stops_all_use_of_its_classes_and_an_objection_its_purposes() {
    use ConsentPurpose as P;
    use RecordClass as C;
    let ledger = folded(&[restricted(&[], &[C::Education], false)]);
    assert!(ledger.restricts(C::Education) && !ledger.restricts(C::Profile));
    assert!(ledger.stops(P::AiProcessing, C::Education, at(TODAY)));
    assert!(!ledger.stops(P::AiProcessing, C::Profile, at(TODAY)));
    let ledger = folded(&[restricted(&[P::AiProcessing], &[], true)]);
    assert!(!ledger.restricts(C::Education), "an objection is to a purpose");
    assert!(ledger.stops(P::AiProcessing, C::Education, at(TODAY)));
    assert!(!ledger.stops(P::Analytics, C::Education, at(TODAY)));
    let ledger = folded(&[restricted(&[], &[], false)]);
    assert!(C::ALL.into_iter().all(|class| ledger.restricts(class)));
}

#[test]
fn gov_p5_a_restriction_is_taken_down_once_and_taken_back_once() {
    let restrict =
        || C::RestrictProcessing { request: REQUEST, purposes: vec![], classes: vec![], objection: false };
    let release = || C::ReleaseProcessing { request: REQUEST };
    let system = |events: &[E]| {
        given::<ConsentLedger>(events.to_vec()).with_id(ME).by(Actor::policy("stop_processing"))
    };
    let fresh = nothing::<ConsentLedger>().with_id(ME).by(Actor::policy("stop_processing"));
    fresh.when(restrict()).then([restricted(&[], &[], false)]);
    system(&[restricted(&[], &[], false)]).when(restrict()).then([]);
    system(&[restricted(&[], &[], false)]).when(release()).then([released()]);
    system(&[granted(None)]).when(release()).then([]);
    assert!(!after([granted(None)]).permits(&me(), &restrict()));
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<ConsentLedger>([
        granted(Some(TOMORROW)),
        withdrawn(),
        E::ConsentExpired { purpose: ConsentPurpose::BiasMonitoring },
        disclosure_granted(),
        E::DisclosureConsentRevoked { consent: CONSENT },
        restricted(&[ConsentPurpose::Marketing], &[RecordClass::Profile], true),
        released(),
    ]);
}
