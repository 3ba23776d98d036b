//! Upcasters: old payloads are lifted to the newest schema when they are read; stored bytes never change.

use serde_json::Value;

/// One step: lifts the raw payload (the variant's fields) of one event type from version `from` to `from + 1`.
#[derive(Clone, Copy, Debug)]
pub struct Upcaster {
    /// The event type.
    pub event_type: &'static str,
    /// The schema version that this step reads.
    pub from: u16,
    /// The step. It sees the fields of the variant and must accept everything that was ever stored at that version.
    pub step: fn(Value) -> Value,
}

/// For a step: what stood in the clear in these fields is personal now, and sealed where it is recorded; of what was recorded
/// before it reads as erased. The stored bytes keep it.
pub fn withheld(mut fields: Value, names: &[&str]) -> Value {
    for name in names {
        if let Some(field) = fields.get_mut(name).filter(|field| !field.is_null()) {
            *field = serde_json::json!({ "$personal": null });
        }
    }
    fields
}

/// Applies the steps of `chain` to the fields of an event stored at `version`, in order.
pub fn upcast(chain: &[Upcaster], event_type: &str, version: u16, fields: Value) -> Value {
    let mut steps: Vec<&Upcaster> =
        chain.iter().filter(|step| step.event_type == event_type && step.from >= version).collect();
    steps.sort_by_key(|step| step.from);
    steps.into_iter().fold(fields, |fields, step| (step.step)(fields))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CHAIN: &[Upcaster] = &[
        Upcaster {
            event_type: "Moved",
            from: 2,
            step: |mut v| {
                v["floor"] = json!(0);
                v
            },
        },
        Upcaster {
            event_type: "Moved",
            from: 1,
            step: |mut v| {
                v["room"] = v["place"].take();
                v
            },
        },
    ];

    #[test]
    fn a_payload_of_the_first_version_goes_through_every_step_in_order() {
        let lifted = upcast(CHAIN, "Moved", 1, json!({"place": "B1"}));
        assert_eq!((lifted["room"].clone(), lifted["floor"].clone()), (json!("B1"), json!(0)));
    }

    #[test]
    fn what_was_in_the_clear_reads_as_erased_once_it_is_personal() {
        let read = |fields| withheld(fields, &["reason"]);
        assert_eq!(read(json!({"reason": "ill", "of": 1})), json!({"reason": {"$personal": null}, "of": 1}));
        assert_eq!(read(json!({"reason": null})), json!({"reason": null}));
        assert_eq!(read(json!({})), json!({}));
    }

    #[test]
    fn a_payload_of_the_newest_version_is_left_alone() {
        assert_eq!(upcast(CHAIN, "Moved", 3, json!({"room": "B1"})), json!({"room": "B1"}));
    }
}
