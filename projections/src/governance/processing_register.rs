//! R-72 `processing_register`: the register of processing activities (Art. 30 GDPR). For compliance.

use domain::{Actor, governance::ProcessingActivityEvent as E, registry::AnyEvent};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
};

row! {
    /// An entry of the register.
    pub struct ProcessingRow {
        key {
            /// The activity.
            id: Uuid,
        }
        columns {
            /// The name.
            name: String => filter sort,
            /// The purpose.
            purpose: String,
            /// Its basis in law.
            legal_basis: String => filter,
            /// Whose data it is about, by category.
            subjects: Vec<String>,
            /// The record classes.
            classes: Vec<String> => filter index,
            /// The contexts; none: wherever data of these classes is.
            contexts: Vec<String> => filter,
            /// Who receives the data, by category.
            recipients: Vec<String>,
            /// The third countries it goes to, with the safeguards.
            transfers: Vec<String>,
            /// When the data is erased.
            retention: String,
            /// The measures of security.
            measures: String,
            /// Whether it still takes place.
            active: bool => filter,
            /// When it was registered.
            registered_at: Timestamp => sort,
            /// When the entry was changed last.
            changed_at: Timestamp => sort,
        }
    }
}

///
pub struct ProcessingRegister;

impl Table for ProcessingRegister {
    const NAME: &'static str = "processing_register";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["governance.processing_activity"];
    const OPTIONS: Options = Options {
        about_people: false,
        time_travel: true,
        stream_column: Some("id"),
        sort: &["name"],
        ..Options::DEFAULT
    };
    type Row = ProcessingRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<ProcessingRow>, fact: &Fact) -> Option<ProcessingRow> {
        let AnyEvent::ProcessingActivity(event) = &fact.event else { return row };
        let changed_at = fact.occurred_at();
        match event {
            E::ProcessingActivityRegistered {
                name,
                purpose,
                legal_basis,
                subjects,
                classes,
                contexts,
                recipients,
                transfers,
                retention,
                measures,
            } => Some(ProcessingRow {
                id: *key,
                name: name.clone(),
                purpose: purpose.clone(),
                legal_basis: legal_basis.clone(),
                subjects: subjects.clone(),
                classes: classes.iter().map(|class| class.name().to_owned()).collect(),
                contexts: contexts.iter().map(|context| context.name().to_owned()).collect(),
                recipients: recipients.clone(),
                transfers: transfers.clone(),
                retention: retention.clone(),
                measures: measures.clone(),
                active: true,
                registered_at: changed_at,
                changed_at,
            }),
            E::ProcessingActivityRevised { changes } => row.map(|row| {
                let classes = changes.classes.as_ref();
                let classes = classes.map(|all| all.iter().map(|class| class.name().to_owned()).collect());
                let contexts = changes.contexts.as_ref();
                let contexts = contexts.map(|all| all.iter().map(|one| one.name().to_owned()).collect());
                ProcessingRow {
                    name: changes.name.clone().unwrap_or(row.name),
                    purpose: changes.purpose.clone().unwrap_or(row.purpose),
                    legal_basis: changes.legal_basis.clone().unwrap_or(row.legal_basis),
                    subjects: changes.subjects.clone().unwrap_or(row.subjects),
                    classes: classes.unwrap_or(row.classes),
                    contexts: contexts.unwrap_or(row.contexts),
                    recipients: changes.recipients.clone().unwrap_or(row.recipients),
                    transfers: changes.transfers.clone().unwrap_or(row.transfers),
                    retention: changes.retention.clone().unwrap_or(row.retention),
                    measures: changes.measures.clone().unwrap_or(row.measures),
                    changed_at,
                    ..row
                }
            }),
            E::ProcessingActivityRetired {} => {
                row.map(|row| ProcessingRow { active: false, changed_at, ..row })
            }
        }
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "manage:governance")
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        RecordClass,
        governance::{ProcessingChanges, ProcessingContext},
    };

    use super::*;
    use crate::testing::given;

    fn folded<const N: usize>(events: [E; N]) -> ProcessingRow {
        let id = Uuid::from_u128(5);
        let events = events.map(|event| (id, AnyEvent::ProcessingActivity(event)));
        given::<ProcessingRegister>(events).rows().remove(0)
    }

    fn registered() -> E {
        E::ProcessingActivityRegistered {
            name: "Scholarships".into(),
            purpose: "To award them".into(),
            legal_basis: "Art. 6(1)(b)".into(),
            subjects: vec!["applicants".into()],
            classes: vec![RecordClass::Education],
            contexts: vec![ProcessingContext::Opportunities],
            recipients: vec!["sponsors".into()],
            transfers: vec![],
            retention: "7 years".into(),
            measures: "Sealed".into(),
        }
    }

    #[test]
    fn a_revision_changes_what_it_names() {
        let classes = Some(vec![RecordClass::Financial]);
        let changes = ProcessingChanges { classes, ..ProcessingChanges::default() };
        let row = folded([registered(), E::ProcessingActivityRevised { changes }]);
        assert_eq!((row.name.as_str(), row.classes), ("Scholarships", vec!["financial".to_owned()]));
        assert_eq!(row.contexts, ["opportunities"]);
        assert!(row.changed_at > row.registered_at);
    }

    #[test]
    fn what_was_retired_stays_in_the_register() {
        assert!(folded([registered()]).active);
        assert!(!folded([registered(), E::ProcessingActivityRetired {}]).active);
    }

    #[test]
    fn the_register_is_for_those_who_manage_governance() {
        let person = Uuid::from_u128(1);
        assert_eq!(ProcessingRegister::visible(&Actor::user(person, &["compliance"])), Filter::All);
        assert_eq!(ProcessingRegister::visible(&Actor::user(person, &["staff"])), Filter::Nothing);
    }
}
