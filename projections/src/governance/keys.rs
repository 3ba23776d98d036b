//! R-74 `keys`: what is known of the keys of people's data, and the proof that they were destroyed.

use domain::{
    Actor, RecordClass,
    governance::{ShredBasis, SubjectKeyEvent as E},
    registry::AnyEvent,
};
use jiff::{Timestamp, civil::Date};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
    words,
};

words!(ShredBasis);

row! {
    /// The keys of one person and record class.
    pub struct KeyRow {
        key {
            /// The person.
            subject: Uuid => filter,
            /// The record class.
            class: String => filter,
        }
        columns {
            /// The id of the newest key that was told of.
            key_id: Option<String>,
            /// When the first one was told of.
            created_at: Option<Timestamp> => sort,
            /// When it was last replaced by a newer one.
            rotated_at: Option<Timestamp> => sort,
            /// When the destruction was ordered last.
            shredded_at: Option<Timestamp> => filter sort,
            /// Why.
            basis: Option<ShredBasis> => filter,
            /// Up to which day, where only epochs ended.
            through: Option<Date>,
            /// What ordered it.
            cause: Option<Uuid> => filter,
            /// When the keys were gone from the key store.
            destroyed_at: Option<Timestamp> => filter sort,
            /// The ids of the keys that were destroyed.
            destroyed_keys: Vec<String>,
            /// Until when a backup may have copies of them.
            backups_until: Option<Timestamp> => sort,
            /// The signed certificate.
            certificate: Option<String>,
            /// In how many places plaintext was found afterwards, if it was looked.
            residue: Option<i64> => filter sort,
        }
    }
}

///
pub struct Keys;

impl Table for Keys {
    const NAME: &'static str = "keys";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["governance.subject_key"];
    const OPTIONS: Options = Options { sort: &["-shredded_at"], names: &["subject"], ..Options::DEFAULT };
    type Row = KeyRow;

    fn keys(fact: &Fact, out: &mut Vec<(Uuid, String)>) {
        let AnyEvent::SubjectKey(event) = &fact.event else { return };
        out.extend(classes(event).iter().map(|class| (fact.id, class.name().to_owned())));
    }

    fn fold(key: &(Uuid, String), row: Option<KeyRow>, fact: &Fact) -> Option<KeyRow> {
        let AnyEvent::SubjectKey(event) = &fact.event else { return row };
        let mut row = row.unwrap_or_else(|| unknown(key));
        match event {
            E::SubjectKeyProvisioned { key_id, .. } => {
                row.key_id = Some(key_id.clone());
                row.created_at = Some(fact.recorded_at);
            }
            E::SubjectKeyRotated { key_id, .. } => {
                row.key_id = Some(key_id.clone());
                row.rotated_at = Some(fact.recorded_at);
            }
            E::SubjectKeyShredded { basis, through, cause, .. } => {
                row.shredded_at = Some(fact.recorded_at);
                row.basis = Some(*basis);
                row.through = *through;
                row.cause = Some(*cause);
            }
            E::SubjectKeysDestroyed { key_ids, backups_until, certificate, .. } => {
                let prefix = format!("{}/", key.1);
                row.destroyed_at = Some(fact.recorded_at);
                row.destroyed_keys = key_ids.iter().filter(|id| id.starts_with(&prefix)).cloned().collect();
                row.backups_until = Some(*backups_until);
                row.certificate = certificate.clone();
            }
            E::KeyResidueChecked { residue, .. } => {
                row.residue = Some(i64::try_from(*residue).unwrap_or(i64::MAX));
            }
        }
        Some(row)
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "manage:privacy")
    }
}

/// The classes that an event is about.
fn classes(event: &E) -> &[RecordClass] {
    match event {
        E::SubjectKeyProvisioned { record_class, .. } | E::SubjectKeyRotated { record_class, .. } => {
            std::slice::from_ref(record_class)
        }
        E::SubjectKeyShredded { record_classes, .. }
        | E::SubjectKeysDestroyed { record_classes, .. }
        | E::KeyResidueChecked { record_classes, .. } => record_classes,
    }
}

fn unknown((subject, class): &(Uuid, String)) -> KeyRow {
    KeyRow {
        subject: *subject,
        class: class.clone(),
        key_id: None,
        created_at: None,
        rotated_at: None,
        shredded_at: None,
        basis: None,
        through: None,
        cause: None,
        destroyed_at: None,
        destroyed_keys: Vec::new(),
        backups_until: None,
        certificate: None,
        residue: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    #[test]
    fn gov_k2_the_proof_of_an_erasure_stands_beside_each_class() {
        let (anna, request) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let record_classes = vec![RecordClass::Profile, RecordClass::Device];
        let backups_until = "2026-02-01T00:00:00Z".parse().unwrap();
        let events = [
            E::SubjectKeyShredded {
                record_classes: record_classes.clone(),
                basis: ShredBasis::Erasure,
                through: None,
                cause: request,
            },
            E::SubjectKeysDestroyed {
                cause: request,
                record_classes: record_classes.clone(),
                key_ids: vec!["profile/2026-12".into(), "device/2026-01".into()],
                backups_until,
                certificate: Some("proof".into()),
            },
            E::KeyResidueChecked { cause: request, record_classes, residue: 0 },
        ];
        let rows = given::<Keys>(events.map(|event| (anna, AnyEvent::SubjectKey(event)))).rows();
        let shown: Vec<_> =
            rows.iter().map(|row| (&*row.class, row.destroyed_keys.join(" "), row.residue)).collect();
        assert_eq!(
            shown,
            [("device", "device/2026-01".into(), Some(0)), ("profile", "profile/2026-12".into(), Some(0))]
        );
        assert!(rows.iter().all(|row| row.backups_until == Some(backups_until) && row.certificate.is_some()));
    }
}
