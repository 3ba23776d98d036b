//! An entry of the register of processing activities (Art. 30 GDPR; catalogue 2.11, ProcessingActivity).
//!
//! Life cycle: `active -> retired`. What was retired stays in the register's past.
//!
//! Where no active entry covers data, the house's own defaults say for what it is processed
//! ([`super::PROCESSING_DEFAULTS`]). An entry covers its classes in the contexts that it names; one that names none covers
//! them wherever they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use super::{ProcessingContext, processing_defaults::context_count};
use crate::kernel::{
    Actor, Context, Decided, Decider, Event, Known, NoRefusal, NotYet, RecordClass, Refused, RefusedBy,
    bounds, schemas,
};

/// What the register says of an activity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessingEntry {
    /// The name.
    pub name: String,
    /// The purpose of the processing.
    pub purpose: String,
    /// Its basis in law, such as `Art. 6(1)(b)`.
    pub legal_basis: String,
    /// Whose data it is about, by category.
    pub subjects: Vec<String>,
    /// The record classes.
    pub classes: Vec<RecordClass>,
    /// In which contexts; none: wherever data of these classes is.
    #[serde(default)]
    pub contexts: Vec<ProcessingContext>,
    /// Who receives the data, by category.
    pub recipients: Vec<String>,
    /// The third countries it goes to, with the safeguards.
    pub transfers: Vec<String>,
    /// When the data is erased.
    pub retention: String,
    /// The measures of security, in general terms.
    pub measures: String,
}

/// What to change of an entry; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessingChanges {
    /// The name.
    #[schemars(transform = schemas::text::<1, 200>)]
    pub name: Option<String>,
    /// The purpose of the processing.
    #[schemars(transform = schemas::text::<1, 20000>)]
    pub purpose: Option<String>,
    /// Its basis in law.
    #[schemars(transform = schemas::text::<1, 200>)]
    pub legal_basis: Option<String>,
    /// Whose data it is about.
    #[schemars(transform = schemas::texts::<100, 200>)]
    pub subjects: Option<Vec<String>>,
    /// The record classes.
    #[schemars(transform = schemas::classes)]
    pub classes: Option<Vec<RecordClass>>,
    /// In which contexts; none: wherever data of these classes is.
    #[schemars(transform = context_count)]
    pub contexts: Option<Vec<ProcessingContext>>,
    /// Who receives the data.
    #[schemars(transform = schemas::texts::<100, 200>)]
    pub recipients: Option<Vec<String>>,
    /// The third countries it goes to.
    #[schemars(transform = schemas::texts::<100, 500>)]
    pub transfers: Option<Vec<String>>,
    /// When the data is erased.
    #[schemars(transform = schemas::text::<1, 2000>)]
    pub retention: Option<String>,
    /// The measures of security.
    #[schemars(transform = schemas::text::<1, 20000>)]
    pub measures: Option<String>,
}

impl ProcessingEntry {
    /// The entry after these changes.
    pub fn revised(&self, changes: &ProcessingChanges) -> Self {
        fn or<T: Clone>(new: &Option<T>, old: &T) -> T {
            new.as_ref().unwrap_or(old).clone()
        }
        ProcessingEntry {
            name: or(&changes.name, &self.name),
            purpose: or(&changes.purpose, &self.purpose),
            legal_basis: or(&changes.legal_basis, &self.legal_basis),
            subjects: or(&changes.subjects, &self.subjects),
            classes: or(&changes.classes, &self.classes),
            contexts: or(&changes.contexts, &self.contexts),
            recipients: or(&changes.recipients, &self.recipients),
            transfers: or(&changes.transfers, &self.transfers),
            retention: or(&changes.retention, &self.retention),
            measures: or(&changes.measures, &self.measures),
        }
    }
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProcessingActivity {
    /// What the register says, once it is registered.
    pub entry: Option<ProcessingEntry>,
    /// Whether it was retired.
    pub retired: bool,
}

/// What can be asked of a processing activity.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum ProcessingActivityCommand {
    /// Registers the activity.
    RegisterProcessingActivity {
        /// The name.
        #[schemars(transform = schemas::text::<1, 200>)]
        name: String,
        /// The purpose of the processing.
        #[schemars(transform = schemas::text::<1, 20000>)]
        purpose: String,
        /// Its basis in law, such as `Art. 6(1)(b)`.
        #[schemars(transform = schemas::text::<1, 200>)]
        legal_basis: String,
        /// Whose data it is about, by category.
        #[schemars(transform = schemas::some_texts::<100, 200>)]
        subjects: Vec<String>,
        /// The record classes.
        #[schemars(transform = schemas::classes)]
        classes: Vec<RecordClass>,
        /// In which contexts; none: wherever data of these classes is.
        #[serde(default)]
        #[schemars(transform = context_count)]
        contexts: Vec<ProcessingContext>,
        /// Who receives the data, by category.
        #[schemars(transform = schemas::texts::<100, 200>)]
        recipients: Vec<String>,
        /// The third countries it goes to, with the safeguards.
        #[schemars(transform = schemas::texts::<100, 500>)]
        transfers: Vec<String>,
        /// When the data is erased.
        #[schemars(transform = schemas::text::<1, 2000>)]
        retention: String,
        /// The measures of security, in general terms.
        #[schemars(transform = schemas::text::<1, 20000>)]
        measures: String,
    },
    /// Revises what the register says.
    ReviseProcessingActivity {
        /// What to change.
        changes: ProcessingChanges,
    },
    /// Retires the activity.
    RetireProcessingActivity {},
}

/// What can have happened to a processing activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum ProcessingActivityEvent {
    /// The activity was registered.
    ProcessingActivityRegistered {
        name: String,
        purpose: String,
        legal_basis: String,
        subjects: Vec<String>,
        classes: Vec<RecordClass>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        contexts: Vec<ProcessingContext>,
        recipients: Vec<String>,
        transfers: Vec<String>,
        retention: String,
        measures: String,
    },
    /// What the register says was revised.
    ProcessingActivityRevised { changes: ProcessingChanges },
    /// The activity was retired.
    ProcessingActivityRetired {},
}

impl Event for ProcessingActivityEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

impl ProcessingActivityEvent {
    /// What a registration says; none for every other event.
    pub fn registered(&self) -> Option<ProcessingEntry> {
        match self {
            ProcessingActivityEvent::ProcessingActivityRegistered {
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
            } => Some(ProcessingEntry {
                name: name.clone(),
                purpose: purpose.clone(),
                legal_basis: legal_basis.clone(),
                subjects: subjects.clone(),
                classes: classes.clone(),
                contexts: contexts.clone(),
                recipients: recipients.clone(),
                transfers: transfers.clone(),
                retention: retention.clone(),
                measures: measures.clone(),
            }),
            ProcessingActivityEvent::ProcessingActivityRevised { .. }
            | ProcessingActivityEvent::ProcessingActivityRetired {} => None,
        }
    }
}

impl Decider for ProcessingActivity {
    const TYPE: &'static str = "governance.processing_activity";
    type Command = ProcessingActivityCommand;
    type Event = ProcessingActivityEvent;
    type Refusal = NoRefusal;
    type Facts = ();

    fn creates(command: &ProcessingActivityCommand) -> bool {
        matches!(command, ProcessingActivityCommand::RegisterProcessingActivity { .. })
    }

    fn facts(&self, _: &ProcessingActivityCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, _: &ProcessingActivityCommand) -> bool {
        actor.has("manage:governance")
    }

    fn decide(&self, command: ProcessingActivityCommand, (): &(), _: &Context) -> Decided<Self> {
        use ProcessingActivityCommand as C;
        use ProcessingActivityEvent as E;
        let state = match (&self.entry, self.retired) {
            (None, _) => "new",
            (Some(_), false) => "active",
            (Some(_), true) => "retired",
        };
        let wrong_state = Refused::InvalidState { state, command: (&command).into() };
        let event = match (command, &self.entry) {
            (C::RegisterProcessingActivity { .. }, Some(_)) => return Err(wrong_state),
            (
                C::RegisterProcessingActivity {
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
                },
                None,
            ) => {
                let event = E::ProcessingActivityRegistered {
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
                };
                event.registered().iter().try_for_each(check)?;
                event
            }
            (_, None) => return Err(wrong_state),
            (_, Some(_)) if self.retired => return Err(wrong_state),
            (C::ReviseProcessingActivity { changes }, Some(entry)) => {
                let revised = entry.revised(&changes);
                if revised == *entry {
                    return Ok(Vec::new());
                }
                check(&revised)?;
                E::ProcessingActivityRevised { changes }
            }
            (C::RetireProcessingActivity {}, Some(_)) => E::ProcessingActivityRetired {},
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &ProcessingActivityEvent) {
        use ProcessingActivityEvent as E;
        match event {
            E::ProcessingActivityRegistered { .. } => self.entry = event.registered(),
            E::ProcessingActivityRevised { changes } => {
                self.entry = self.entry.as_ref().map(|entry| entry.revised(changes));
            }
            E::ProcessingActivityRetired {} => self.retired = true,
        }
    }
}

/// The bounds of an entry: Art. 30(1) asks for each of its parts.
fn check(entry: &ProcessingEntry) -> Result<(), RefusedBy<ProcessingActivity>> {
    bounds::text("name", &entry.name, 1..=200)?;
    bounds::text("purpose", &entry.purpose, 1..=bounds::LONG)?;
    bounds::text("legal_basis", &entry.legal_basis, 1..=200)?;
    bounds::texts("subjects", &entry.subjects, 100, 200)?;
    bounds::count("classes", entry.classes.len(), RecordClass::ALL.len())?;
    bounds::count("contexts", entry.contexts.len(), ProcessingContext::ALL.len())?;
    bounds::texts("recipients", &entry.recipients, 100, 200)?;
    bounds::texts("transfers", &entry.transfers, 100, 500)?;
    bounds::text("retention", &entry.retention, 1..=2000)?;
    bounds::text("measures", &entry.measures, 1..=bounds::LONG)?;
    if entry.subjects.is_empty() {
        return Err(Refused::invalid("subjects", "at least one category of people"));
    }
    if entry.classes.is_empty() {
        return Err(Refused::invalid("classes", "at least one record class"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{ProcessingActivityCommand as C, ProcessingActivityEvent as E, *};
    use crate::kernel::testing::{given, keeps_history, nothing};

    fn register(name: &str, classes: &[RecordClass]) -> C {
        C::RegisterProcessingActivity {
            name: name.into(),
            purpose: "To award scholarships".into(),
            legal_basis: "Art. 6(1)(b)".into(),
            subjects: vec!["applicants".into()],
            classes: classes.to_vec(),
            contexts: vec![],
            recipients: vec!["sponsors".into()],
            transfers: vec![],
            retention: "7 years after graduation".into(),
            measures: "Sealed with keys of their own".into(),
        }
    }

    fn registered() -> E {
        nothing::<ProcessingActivity>()
            .when(register("Scholarships", &[RecordClass::Education]))
            .events()
            .remove(0)
    }

    fn rename(name: &str) -> C {
        C::ReviseProcessingActivity {
            changes: ProcessingChanges { name: Some(name.into()), ..ProcessingChanges::default() },
        }
    }

    #[test]
    fn art_30_asks_whose_data_of_which_classes_is_processed_and_why() {
        nothing::<ProcessingActivity>().when(register("Scholarships", &[])).invalid("classes");
        nothing::<ProcessingActivity>().when(register(" ", &[RecordClass::Education])).invalid("name");
        let state = given::<ProcessingActivity>([registered()]);
        assert_eq!(state.state().entry.as_ref().unwrap().legal_basis, "Art. 6(1)(b)");
    }

    #[test]
    fn a_revision_changes_what_it_names_and_nothing_else() {
        let before = given::<ProcessingActivity>([registered()]).state().entry.clone().unwrap();
        let after = given::<ProcessingActivity>([registered()])
            .when(rename("Awards"))
            .then_names(["ProcessingActivityRevised"]);
        assert_eq!(after.entry, Some(ProcessingEntry { name: "Awards".into(), ..before }));
        given::<ProcessingActivity>([registered()]).when(rename("Scholarships")).then([]);
        given::<ProcessingActivity>([registered()]).when(rename("")).invalid("name");
    }

    #[test]
    fn an_entry_can_be_narrowed_down_to_contexts() {
        let narrow = |contexts: Vec<ProcessingContext>| C::ReviseProcessingActivity {
            changes: ProcessingChanges { contexts: Some(contexts), ..ProcessingChanges::default() },
        };
        let entry = given::<ProcessingActivity>([registered()])
            .when(narrow(vec![ProcessingContext::Opportunities]))
            .then_names(["ProcessingActivityRevised"])
            .entry;
        assert_eq!(entry.unwrap().contexts, [ProcessingContext::Opportunities]);
        let many = vec![ProcessingContext::Identity; ProcessingContext::ALL.len() + 1];
        given::<ProcessingActivity>([registered()]).when(narrow(many)).invalid("contexts");
    }

    #[test]
    fn what_was_retired_is_revised_no_more() {
        let retire = || C::RetireProcessingActivity {};
        given::<ProcessingActivity>([registered()]).when(retire()).then([E::ProcessingActivityRetired {}]);
        let retired = || given::<ProcessingActivity>([registered(), E::ProcessingActivityRetired {}]);
        retired().when(rename("Awards")).invalid_state("retired");
        retired().when(retire()).invalid_state("retired");
        let again = register("Scholarships", &[RecordClass::Education]);
        given::<ProcessingActivity>([registered()]).when(again).invalid_state("active");
    }

    #[test]
    fn the_register_is_kept_by_those_who_manage_governance() {
        let person = Uuid::from_u128(1);
        let may = |role| nothing::<ProcessingActivity>().permits(&Actor::user(person, &[role]), &rename("x"));
        assert!(may("compliance") && !may("staff") && !may("analyst") && !may("operator"));
    }

    #[test]
    fn every_event_reads_as_it_was_stored() {
        let changes = ProcessingChanges { recipients: Some(vec![]), ..ProcessingChanges::default() };
        keeps_history::<ProcessingActivity>([
            registered(),
            E::ProcessingActivityRevised { changes },
            E::ProcessingActivityRetired {},
        ]);
    }
}
