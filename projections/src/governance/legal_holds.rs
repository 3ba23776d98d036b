//! R-69, the holds: who ordered that whose data of which classes is kept.

use domain::{
    Actor, RecordClass,
    governance::{HoldStatus, LegalHoldEvent as E},
    registry::AnyEvent,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
    words,
};

words!(HoldStatus);

row! {
    /// One order to keep data.
    pub struct LegalHoldRow {
        key {
            /// The hold.
            id: Uuid => filter,
        }
        columns {
            /// What it is called.
            title: String => filter,
            /// Whether it holds.
            status: HoldStatus => filter,
            /// Whose data it is on; everybody's where empty.
            held_subjects: Vec<Uuid> => filter,
            /// Which classes it is on; every class where empty.
            classes: Vec<String> => filter,
            /// Which contexts the order names.
            contexts: Vec<String> => filter,
            /// Why.
            reason: String,
            /// Who ordered it.
            ordered_by: String => filter,
            /// Since when.
            placed_at: Timestamp => filter sort,
            /// Until when it held.
            released_at: Option<Timestamp> => filter sort,
        }
    }
}

/// R-69, the holds.
pub struct LegalHolds;

impl Table for LegalHolds {
    const NAME: &'static str = "legal_holds";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["governance.legal_hold"];
    const OPTIONS: Options =
        Options { sort: &["-placed_at"], about_people: false, names: &["held_subjects"], ..Options::DEFAULT };
    type Row = LegalHoldRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<LegalHoldRow>, fact: &Fact) -> Option<LegalHoldRow> {
        let AnyEvent::LegalHold(event) = &fact.event else { return row };
        match event {
            E::LegalHoldPlaced { title, subjects, classes, contexts, reason, ordered_by } => {
                Some(LegalHoldRow {
                    id: *key,
                    title: title.clone(),
                    status: HoldStatus::Placed,
                    held_subjects: subjects.clone(),
                    classes: names(classes),
                    contexts: contexts.clone(),
                    reason: reason.clone(),
                    ordered_by: ordered_by.clone(),
                    placed_at: fact.recorded_at,
                    released_at: None,
                })
            }
            E::LegalHoldExtended { held_subjects, held_classes, .. } => row.map(|row| LegalHoldRow {
                held_subjects: held_subjects.clone(),
                classes: names(held_classes),
                ..row
            }),
            E::LegalHoldReleased { .. } => row.map(|row| LegalHoldRow {
                status: HoldStatus::Released,
                released_at: Some(fact.recorded_at),
                ..row
            }),
        }
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "manage:governance")
    }
}

fn names(classes: &[RecordClass]) -> Vec<String> {
    classes.iter().map(|class| class.name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    #[test]
    fn a_hold_is_shown_with_all_that_it_is_on_until_it_is_released() {
        let (hold, anna, bert) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let events = [
            E::LegalHoldPlaced {
                title: "Smith".into(),
                subjects: vec![anna],
                classes: vec![RecordClass::Device],
                contexts: vec![],
                reason: "litigation".into(),
                ordered_by: "District court".into(),
            },
            E::LegalHoldExtended {
                subjects: vec![bert],
                classes: vec![],
                held_subjects: vec![anna, bert],
                held_classes: vec![RecordClass::Device],
            },
            E::LegalHoldReleased {
                reason: "settled".into(),
                held_subjects: vec![anna, bert],
                held_classes: vec![RecordClass::Device],
            },
        ];
        let rows = |count| {
            let events = events.iter().take(count).map(|event| (hold, AnyEvent::LegalHold(event.clone())));
            given::<LegalHolds>(events).rows()
        };
        assert_eq!((&rows(2)[0].held_subjects, &*rows(2)[0].classes[0]), (&vec![anna, bert], "device"));
        assert_eq!((rows(2)[0].status, rows(3)[0].status), (HoldStatus::Placed, HoldStatus::Released));
        assert!(rows(3)[0].released_at.is_some());
    }
}
