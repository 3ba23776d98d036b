use super::{LegalHoldCommand as C, LegalHoldEvent as E, LegalHoldRefusal as R, *};
use crate::kernel::testing::{given, keeps_history, nothing};

const ANNA: Uuid = Uuid::from_u128(0xA);
const BERT: Uuid = Uuid::from_u128(0xB);

fn place(subjects: &[Uuid], classes: &[RecordClass]) -> C {
    C::PlaceLegalHold {
        title: "Smith v. University".into(),
        subjects: subjects.to_vec(),
        classes: classes.to_vec(),
        contexts: vec!["budgeting".into()],
        reason: "litigation".into(),
        ordered_by: "District court".into(),
    }
}

fn placed(subjects: &[Uuid], classes: &[RecordClass]) -> E {
    nothing::<LegalHold>().when(place(subjects, classes)).events().remove(0)
}

fn extend(subjects: &[Uuid], classes: &[RecordClass]) -> C {
    C::ExtendLegalHoldScope { subjects: subjects.to_vec(), classes: classes.to_vec() }
}

fn keys(claims: &[Claim]) -> Vec<&str> {
    let key = |claim: &'_ Claim| -> String {
        match claim {
            Claim::Take(key) | Claim::Free(key) | Claim::Seat { key, .. } => key.clone(),
        }
    };
    claims.iter().map(key).map(|key| &*key.leak()).collect()
}

#[test]
fn a_hold_names_somebody_or_some_class() {
    nothing::<LegalHold>().when(place(&[], &[])).refused(R::EmptyScope {});
    nothing::<LegalHold>().when(place(&[ANNA], &[])).then_names(["LegalHoldPlaced"]);
    nothing::<LegalHold>().when(place(&[], &[RecordClass::Financial])).then_names(["LegalHoldPlaced"]);
}

#[test]
fn gov_r1_a_hold_has_a_seat_wherever_a_destruction_would_need_the_only_one() {
    use RecordClass::{Education, Financial};
    for (subjects, classes) in [
        (&[ANNA, BERT][..], &[Financial][..]),
        (&[ANNA], &[]),
        (&[], &[Financial]),
        (&[ANNA], &[Education, Financial]),
    ] {
        let held = LegalHold::claims(Uuid::nil(), &placed(subjects, classes));
        let destroyed = not_held(ANNA, &[Financial]);
        assert!(keys(&held).iter().any(|key| keys(&destroyed).contains(key)), "{subjects:?} {classes:?}");
    }
    let held = LegalHold::claims(Uuid::nil(), &placed(&[BERT], &[Financial]));
    assert!(!keys(&held).iter().any(|key| keys(&not_held(ANNA, &[Financial])).contains(key)));
}

#[test]
fn a_released_hold_gives_back_all_that_it_had() {
    let before = [placed(&[ANNA], &[RecordClass::Financial])];
    let extended = given::<LegalHold>(before.clone()).when(extend(&[BERT], &[RecordClass::Device])).events();
    let taken = LegalHold::claims(Uuid::nil(), &extended[0]);
    assert_eq!(taken.len(), 4);
    let freed = given::<LegalHold>(before.into_iter().chain(extended))
        .when(C::ReleaseLegalHold { reason: "settled".into() })
        .claims();
    assert_eq!(keys(&freed), keys(&taken));
}

#[test]
fn a_hold_is_only_ever_widened() {
    let on_all = || given::<LegalHold>([placed(&[], &[RecordClass::Financial])]);
    on_all().when(extend(&[ANNA], &[])).invalid("subjects");
    on_all().when(extend(&[], &[])).refused(R::EmptyScope {});
    on_all().when(extend(&[], &[RecordClass::Financial])).then([]);
    let many: Vec<Uuid> = (1..=101).map(Uuid::from_u128).collect();
    given::<LegalHold>([placed(&[ANNA], &[])]).when(extend(&many, &[])).invalid("subjects");
    nothing::<LegalHold>().when(place(&many, &[])).invalid("subjects");
}

#[test]
fn what_is_released_stays_released() {
    let released =
        E::LegalHoldReleased { reason: "settled".into(), held_subjects: vec![ANNA], held_classes: vec![] };
    let after = || given::<LegalHold>([placed(&[ANNA], &[]), released.clone()]);
    after().when(extend(&[BERT], &[])).invalid_state("released");
    after().when(C::ReleaseLegalHold { reason: "again".into() }).invalid_state("released");
    after().when(place(&[ANNA], &[])).invalid_state("released");
}

#[test]
fn only_compliance_places_holds() {
    let by = |role| nothing::<LegalHold>().permits(&Actor::user(ANNA, &[role]), &place(&[ANNA], &[]));
    assert!(by("compliance") && !by("operator") && !by("staff") && !by("student"));
}

#[test]
fn history_of_legal_holds() {
    keeps_history::<LegalHold>([
        placed(&[ANNA], &[RecordClass::Financial]),
        E::LegalHoldExtended {
            subjects: vec![BERT],
            classes: vec![],
            held_subjects: vec![ANNA, BERT],
            held_classes: vec![RecordClass::Financial],
        },
        E::LegalHoldReleased {
            reason: "settled".into(),
            held_subjects: vec![ANNA, BERT],
            held_classes: vec![RecordClass::Financial],
        },
    ]);
}

#[test]
fn a_list_of_classes_is_no_longer_than_there_are_classes() {
    let many = [RecordClass::Device; 12];
    nothing::<LegalHold>().when(place(&[], &many)).invalid("classes");
    given::<LegalHold>([placed(&[], &[RecordClass::Financial])]).when(extend(&[], &many)).invalid("classes");
}
