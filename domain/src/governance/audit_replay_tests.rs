use super::{AuditReplayCommand as C, AuditReplayEvent as E, AuditReplayRefusal as R, *};
use crate::kernel::testing::{Scenario, given, keeps_history, nothing};

const OFFICER: Uuid = Uuid::from_u128(0x0F);
const SECOND: Uuid = Uuid::from_u128(0x25);
const PERSON: Uuid = Uuid::from_u128(0xAA);

fn officer(id: Uuid) -> Actor {
    Actor::user(id, &["compliance"])
}

fn open(decrypt: bool) -> C {
    C::OpenAuditReplay {
        purpose: Some(ReplayPurpose::Ferpa),
        scope: ReplayScope { subject: Some(PERSON), ..ReplayScope::default() },
        as_of: None,
        decrypt,
        reason: "complaint 7".into(),
    }
}

fn opened(decrypt: bool) -> E {
    nothing::<AuditReplay>().by(officer(OFFICER)).when(open(decrypt)).events().remove(0)
}

fn approved() -> E {
    E::AuditReplayApproved { approved_by: SECOND }
}

fn read() -> C {
    C::RecordReplayRead { from_position: 1, to_position: 9, events: 3, subjects: vec![PERSON] }
}

fn after(events: impl IntoIterator<Item = E>) -> Scenario<AuditReplay> {
    given::<AuditReplay>(events).by(officer(SECOND))
}

#[test]
fn a_replay_has_a_purpose() {
    let C::OpenAuditReplay { scope, as_of, decrypt, reason, .. } = open(false) else { unreachable!() };
    let aimless = C::OpenAuditReplay { purpose: None, scope, as_of, decrypt, reason };
    nothing::<AuditReplay>().when(aimless).refused(R::PurposeMissing {});
}

#[test]
fn gov_a1_decryption_needs_a_second_officer() {
    after([opened(true)]).when(read()).refused(R::NotApproved {});
    after([opened(true)]).by(officer(OFFICER)).when(C::ApproveAuditReplay {}).refused(R::SamePerson {});
    after([opened(true)]).when(C::ApproveAuditReplay {}).then([approved()]);
    after([opened(true), approved()]).when(read()).then_names(["AuditReplayRead"]);
    after([opened(true), approved()]).when(C::ApproveAuditReplay {}).invalid_state("readable");
}

#[test]
fn gov_a2_each_reading_is_put_on_record() {
    let decrypted = |events: Vec<E>| match &after(events).when(read()).events()[..] {
        [E::AuditReplayRead { events: 3, decrypted, subjects, .. }] => {
            assert_eq!(*subjects, [PERSON]);
            *decrypted
        }
        other => panic!("{other:?}"),
    };
    assert!(!decrypted(vec![opened(false)]), "nothing decrypted needs no second officer");
    assert!(decrypted(vec![opened(true), approved()]));
}

#[test]
fn gov_a3_a_replay_only_puts_on_record_what_was_read() {
    // No command of a replay touches another stream: it asks no facts and makes no claims.
    for event in [opened(true), approved(), E::AuditReplayClosed {}] {
        assert_eq!(AuditReplay::claims(PERSON, &event), []);
    }
}

#[test]
fn gov_a4_a_replay_is_over_after_eight_hours() {
    let at = |instant: &str| after([opened(false)]).at(instant);
    at("2026-01-01T19:59:59Z").when(read()).then_names(["AuditReplayRead"]);
    at("2026-01-01T20:00:00Z").when(read()).refused(R::Closed {});
    after([opened(true)]).at("2026-01-01T20:00:00Z").when(C::ApproveAuditReplay {}).refused(R::Closed {});
    at("2026-01-01T20:00:00Z").when(C::CloseAuditReplay {}).then([E::AuditReplayClosed {}]);
    let closed = || after([opened(false), E::AuditReplayClosed {}]);
    closed().when(read()).refused(R::Closed {});
    closed().when(C::CloseAuditReplay {}).then([]);
}

#[test]
fn only_officers_open_and_approve_and_only_the_system_records() {
    let replay = after([opened(true)]);
    assert!(replay.permits(&officer(SECOND), &C::ApproveAuditReplay {}));
    for role in ["staff", "operator", "analyst", "student"] {
        let actor = Actor::user(SECOND, &[role]);
        assert!(!replay.permits(&actor, &open(false)) && !replay.permits(&actor, &C::ApproveAuditReplay {}));
    }
    assert!(!replay.permits(&officer(SECOND), &read()) && replay.permits(&Actor::policy("api"), &read()));
    assert!(!replay.permits(&Actor::policy("api"), &open(true)), "a person answers for a replay");
}

#[test]
fn history_of_replays() {
    keeps_history::<AuditReplay>([
        opened(true),
        approved(),
        after([opened(false)]).when(read()).events().remove(0),
        E::IntegrityVerified { from_position: 1, to_position: 9, ok: false, broken_at: Some(4) },
        E::AuditPackageExported { document: PERSON, sha256: "0".repeat(64), first: 1, last: 9 },
        E::AuditReplayClosed {},
    ]);
}
