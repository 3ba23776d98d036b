use super::{SubjectKeyCommand as C, SubjectKeyEvent as E, SubjectKeyRefusal as R, *};
use crate::kernel::testing::{World, given, keeps_history, nothing};

const REQUEST: Uuid = Uuid::from_u128(0x9E);

fn provision(key_id: &str) -> C {
    C::ProvisionSubjectKey {
        record_class: RecordClass::Education,
        key_id: key_id.into(),
        algorithm: ALGORITHM.into(),
    }
}

fn rotate(key_id: &str, previous: &str) -> C {
    let (key_id, previous) = (key_id.into(), previous.into());
    C::RotateSubjectKey { record_class: RecordClass::Education, key_id, previous }
}

fn erase(classes: &[RecordClass]) -> C {
    C::ShredSubjectKey {
        record_classes: classes.to_vec(),
        basis: ShredBasis::Erasure,
        through: None,
        cause: REQUEST,
    }
}

fn retire(through: Option<&str>) -> C {
    C::ShredSubjectKey {
        record_classes: vec![RecordClass::Device],
        basis: ShredBasis::Retention,
        through: through.map(|day| day.parse().unwrap()),
        cause: REQUEST,
    }
}

fn provisioned() -> E {
    E::SubjectKeyProvisioned {
        record_class: RecordClass::Education,
        key_id: "education/2026-12".into(),
        algorithm: ALGORITHM.into(),
    }
}

fn shredded() -> E {
    nothing::<SubjectKey>().when(erase(&[RecordClass::Education])).events().remove(0)
}

fn destroyed() -> E {
    E::SubjectKeysDestroyed {
        cause: REQUEST,
        record_classes: vec![RecordClass::Education],
        key_ids: vec!["education/2026-12".into()],
        backups_until: "2026-01-31T12:00:00Z".parse().unwrap(),
        certificate: Some("eyJ…".into()),
    }
}

fn confirm() -> C {
    C::ConfirmKeyDestruction {
        cause: REQUEST,
        record_classes: vec![RecordClass::Education],
        key_ids: vec!["education/2026-12".into()],
        destroyed_at: "2026-01-01T12:00:00Z".parse().unwrap(),
        certificate: Some("eyJ…".into()),
    }
}

#[test]
fn gov_k1_keys_are_told_of_by_their_ids_and_rotate_in_order() {
    nothing::<SubjectKey>().when(provision("education/2026-12")).then([provisioned()]);
    let live = || given::<SubjectKey>([provisioned()]);
    live().when(provision("education/2026-12")).then([]);
    live().when(provision("education/2027-12")).refused(R::AlreadyProvisioned {});
    live().when(rotate("education/2027-12", "education/2026-12")).then_names(["SubjectKeyRotated"]);
    live().when(rotate("education/2027-12", "education/2025-12")).invalid("previous");
}

#[test]
fn an_erased_class_is_gone_for_good() {
    let gone = || given::<SubjectKey>([provisioned(), shredded(), destroyed()]);
    gone().when(provision("education/2027-12")).refused(R::Shredded {});
    gone().when(rotate("education/2027-12", "education/2026-12")).refused(R::Shredded {});
    gone().when(erase(&[RecordClass::Education])).refused(R::Shredded {});
    gone().when(erase(&[RecordClass::Profile])).then_names(["SubjectKeyShredded"]);
}

#[test]
fn gov_p4_a_class_that_a_legal_duty_keeps_is_refused_with_the_ground() {
    for class in [RecordClass::Payment, RecordClass::SecurityLog] {
        let ground = legal_duty(class).unwrap().to_owned();
        nothing::<SubjectKey>().when(erase(&[class])).refused(R::LegalDuty { class, ground });
    }
}

#[test]
fn retention_ends_epochs_and_leaves_the_class_alive() {
    nothing::<SubjectKey>().when(retire(None)).invalid("through");
    let state = nothing::<SubjectKey>().when(retire(Some("2025-12-31"))).then_names(["SubjectKeyShredded"]);
    assert_eq!(state.classes.get(&RecordClass::Device), None);
}

#[test]
fn gov_r1_a_shred_needs_that_nobody_holds_the_data() {
    let claims = nothing::<SubjectKey>().when(erase(&[RecordClass::Education])).claims();
    assert!(
        claims
            .iter()
            .any(|claim| matches!(claim, Claim::Seat { limit: 1, key } if key.ends_with("education")))
    );
    assert_eq!(SubjectKey::taken("hold:*:education"), Some(R::LegalHoldActive {}));
    assert_eq!(SubjectKey::taken("award:1"), None);
}

#[test]
fn gov_k2_the_destruction_is_a_fact_of_its_own_and_states_the_backup_window() {
    given::<SubjectKey>([shredded()]).when(confirm()).then([destroyed()]);
    given::<SubjectKey>([shredded(), destroyed()]).when(confirm()).then([]);
}

#[test]
fn one_request_erases_several_classes_each_of_which_is_confirmed() {
    let profile = given::<SubjectKey>([shredded()]).when(erase(&[RecordClass::Profile])).events();
    let both = || given::<SubjectKey>([shredded()].into_iter().chain(profile.clone()));
    both().when(erase(&[RecordClass::Profile])).then([]);
    let state = both().when(confirm()).then([destroyed()]);
    assert_eq!(state.pending, [(REQUEST, vec![RecordClass::Profile])]);
}

#[test]
fn gov_k3_what_was_found_after_the_destruction_is_put_on_record() {
    let check = C::CheckKeyResidue { cause: REQUEST, record_classes: vec![RecordClass::Education] };
    for residue in [0, 3] {
        let classes = vec![RecordClass::Education];
        let question = Question::Residue { subject: Uuid::nil(), classes: classes.clone() };
        let mut world = World::default().answering(question, Answer::Count(residue));
        let keys = given::<SubjectKey>([shredded()]).with_id(Uuid::nil()).looking_up(&check, &mut world);
        let checked = E::KeyResidueChecked { cause: REQUEST, record_classes: classes, residue };
        keys.when(check.clone()).then([checked]);
    }
    given::<SubjectKey>([shredded()]).when(check).invalid("record_classes");
}

#[test]
fn only_the_system_destroys_keys() {
    let keys = nothing::<SubjectKey>();
    let order = erase(&[RecordClass::Education]);
    assert!(keys.permits(&Actor::policy("erase"), &order));
    assert!(!keys.permits(&Actor::user(Uuid::nil(), &["admin"]), &order));
    assert!(!keys.permits(&Actor::user(Uuid::nil(), &["compliance"]), &order));
}

#[test]
fn history_of_subject_keys() {
    keeps_history::<SubjectKey>([
        provisioned(),
        E::SubjectKeyRotated {
            record_class: RecordClass::Education,
            key_id: "education/2027-12".into(),
            previous: "education/2026-12".into(),
        },
        shredded(),
        destroyed(),
        E::KeyResidueChecked { cause: REQUEST, record_classes: vec![], residue: 0 },
    ]);
}
