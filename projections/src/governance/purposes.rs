//! For what data is processed: by the entries of the register of processing, and by the house's own defaults where none
//! of them covers it.

use domain::{
    Decider, RecordClass,
    governance::{
        Disclosure, DisclosureBasis, PROCESSING_DEFAULT_MEASURES, PROCESSING_DEFAULT_RETENTION,
        PROCESSING_DEFAULTS, ProcessingDefault, processing_default,
    },
};
use event_store::Position;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{GovernanceError, ProcessingRegister, package::rows_about_nobody};
use crate::{Projections, Table, readable::Event};

/// For what data is processed (Art. 30 GDPR): an entry of the register, or a default of the house.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProcessingRecord {
    /// The entry of the register; none for a default.
    pub id: Option<Uuid>,
    /// Whether it is a default of the house, which nobody has confirmed by an entry of the register.
    pub default: bool,
    /// The name.
    pub name: String,
    /// The purpose.
    pub purpose: String,
    /// Its basis in law.
    pub legal_basis: String,
    /// Its basis in 34 CFR 99, where a default is about education records; an entry has it with its basis in law.
    pub ferpa_basis: Option<String>,
    /// Whose data it is about, by category.
    pub subjects: Vec<String>,
    /// The record classes.
    pub classes: Vec<String>,
    /// The contexts; none: wherever data of these classes is.
    pub contexts: Vec<String>,
    /// Who receives the data, by category.
    pub recipients: Vec<String>,
    /// The third countries it goes to, with the safeguards.
    pub transfers: Vec<String>,
    /// When the data is erased.
    pub retention: String,
    /// The measures of security.
    pub measures: String,
    /// When the entry was registered.
    pub registered_at: Option<Timestamp>,
    /// When the entry was changed last.
    pub changed_at: Option<Timestamp>,
}

impl ProcessingRecord {
    /// A row of the register, while the activity takes place.
    fn registered(row: &Value) -> Option<Self> {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let at = |name: &str| row[name].as_str().and_then(|at| at.parse().ok());
        let list = |name: &str| -> Vec<String> {
            let texts = row[name].as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        (row["active"] == true).then(|| ProcessingRecord {
            id: row["id"].as_str().and_then(|id| id.parse().ok()),
            default: false,
            name: text("name"),
            purpose: text("purpose"),
            legal_basis: text("legal_basis"),
            ferpa_basis: None,
            subjects: list("subjects"),
            classes: list("classes"),
            contexts: list("contexts"),
            recipients: list("recipients"),
            transfers: list("transfers"),
            retention: text("retention"),
            measures: text("measures"),
            registered_at: at("registered_at"),
            changed_at: at("changed_at"),
        })
    }

    fn by_default(default: &ProcessingDefault) -> Self {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ProcessingRecord {
            id: None,
            default: true,
            name: default.name.to_owned(),
            purpose: default.purpose.to_owned(),
            legal_basis: default.legal_basis.to_owned(),
            ferpa_basis: default.ferpa_basis.map(str::to_owned),
            subjects: list(default.subjects),
            classes: default.classes.iter().map(|class| class.name().to_owned()).collect(),
            contexts: vec![default.context.name().to_owned()],
            recipients: list(default.recipients),
            transfers: Vec::new(),
            retention: PROCESSING_DEFAULT_RETENTION.to_owned(),
            measures: PROCESSING_DEFAULT_MEASURES.to_owned(),
            registered_at: None,
            changed_at: None,
        }
    }

    /// Whether it is about data of a class.
    fn names(&self, class: &str) -> bool {
        self.classes.iter().any(|named| named == class)
    }

    /// Whether it is about data of a class in a context; without a class, about what happens in the context.
    fn covers(&self, context: &str, class: Option<&str>) -> bool {
        let there = self.contexts.iter().any(|named| named == context);
        match class {
            Some(class) => self.names(class) && (there || self.contexts.is_empty()),
            None => there,
        }
    }
}

/// Who says for what the data of an event was processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SaidBy {
    /// The event itself.
    Event,
    /// The register of processing.
    Register,
    /// The house by default, where no entry of the register covers all of it: nobody has confirmed it.
    Default,
}

/// For what the data of an event was processed, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessedFor {
    /// The purpose, or several.
    pub purpose: Option<(String, SaidBy)>,
    /// Its basis in law, or that of each.
    pub legal_basis: Option<(String, SaidBy)>,
}

/// What data is processed for.
pub struct Purposes {
    registered: Vec<ProcessingRecord>,
    defaults: Vec<ProcessingRecord>,
}

impl Purposes {
    /// By these rows of the register, and by the defaults.
    pub(super) fn of(register: &[Value]) -> Self {
        Purposes {
            registered: register.iter().filter_map(ProcessingRecord::registered).collect(),
            defaults: PROCESSING_DEFAULTS.iter().map(ProcessingRecord::by_default).collect(),
        }
    }

    /// For what the data of a class in an event is processed; without a class, for what the event was recorded. Nothing
    /// where neither the register nor a default covers it.
    pub(super) fn of_event(
        &self,
        aggregate: &str,
        event: &str,
        class: Option<&str>,
    ) -> Vec<&ProcessingRecord> {
        let context = context_of(aggregate);
        let registered = self.registered.iter().filter(|record| record.covers(context, class));
        let registered: Vec<&ProcessingRecord> = registered.collect();
        if !registered.is_empty() {
            return registered;
        }
        let default = match class.map(str::parse::<RecordClass>) {
            None => processing_default(aggregate, event, None),
            Some(Ok(class)) => processing_default(aggregate, event, Some(class)),
            Some(Err(_)) => None,
        };
        let is = |record: &&ProcessingRecord| default.is_some_and(|default| default.name == record.name);
        self.defaults.iter().filter(is).collect()
    }

    /// The activities that process the data of an event, as far as it is of these classes. Each event has one: where none
    /// covers its classes, it is the one for which the event is recorded.
    pub(super) fn activities(
        &self,
        event: &Event,
        asked_for: impl Fn(&str) -> bool,
    ) -> Vec<&ProcessingRecord> {
        let of = |class: Option<&str>| self.of_event(&event.aggregate_type, &event.event_type, class);
        let classes = event.record_classes.iter().filter(|class| asked_for(class));
        let found: Vec<&ProcessingRecord> = classes.flat_map(|class| of(Some(class.as_str()))).collect();
        if found.is_empty() { of(None) } else { found }
    }

    /// For what the data of an event was processed: what it states itself, else what its activities say. The basis of a
    /// disclosure is the paragraph on which it rests.
    pub fn processed_for(&self, event: &Event) -> ProcessedFor {
        let mut activities: Vec<&ProcessingRecord> = Vec::new();
        for record in self.activities(event, |_| true) {
            if !activities.contains(&record) {
                activities.push(record);
            }
        }
        let by =
            if activities.iter().any(|record| record.default) { SaidBy::Default } else { SaidBy::Register };
        let told = |stated: Option<String>, of: fn(&ProcessingRecord) -> &str| match stated {
            Some(stated) => Some((stated, SaidBy::Event)),
            None if activities.is_empty() => None,
            None => Some((activities.iter().map(|record| of(record)).collect::<Vec<_>>().join("; "), by)),
        };
        let paragraph = (event.aggregate_type == Disclosure::TYPE)
            .then(|| serde_json::from_value::<DisclosureBasis>(event.data["basis"].clone()).ok())
            .flatten()
            .map(|basis| format!("34 CFR {}", basis.citation()));
        ProcessedFor {
            purpose: told(event.purpose.clone(), |record| &record.purpose),
            legal_basis: told(paragraph.or_else(|| event.legal_basis.clone()), |record| &record.legal_basis),
        }
    }

    /// The entries of the register that are about data of a class, wherever it is.
    pub(super) fn registered_for(&self, class: &str) -> impl Iterator<Item = &ProcessingRecord> {
        self.registered.iter().filter(move |record| record.names(class))
    }
}

impl Projections {
    /// What data is processed for, by the register as the log had it at a position, and by the defaults.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn purposes(&self, position: Position) -> Result<Purposes, GovernanceError> {
        Ok(Purposes::of(&rows_about_nobody(self, ProcessingRegister::NAME, position).await?))
    }
}

/// The context of an aggregate type.
pub(super) fn context_of(aggregate_type: &str) -> &str {
    aggregate_type.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(active: bool, classes: &[&str], contexts: &[&str]) -> Value {
        json!({ "id": Uuid::from_u128(1), "name": "Ours", "purpose": "To teach", "legal_basis": "Art. 6(1)(e)",
            "subjects": ["students"], "classes": classes, "contexts": contexts, "recipients": [], "transfers": [],
            "retention": "7 years", "measures": "Sealed", "active": active,
            "registered_at": "2026-01-01T00:00:00Z", "changed_at": "2026-01-01T00:00:00Z" })
    }

    /// The names of what grades in profiles and in applications are processed for.
    fn names(register: &[Value]) -> (Vec<String>, Vec<String>) {
        let purposes = Purposes::of(register);
        let of = |aggregate: &str, event: &str| {
            let records = purposes.of_event(aggregate, event, Some("education"));
            records.into_iter().map(|record| record.name.clone()).collect()
        };
        (
            of("identity.profile", "StudentFacetSet"),
            of("opportunities.scholarship_application", "ScholarshipApplicationSubmitted"),
        )
    }

    #[test]
    fn an_entry_takes_the_place_of_the_defaults_of_its_classes_in_its_contexts() {
        let (ours, profile, application) = ("Ours", "Accounts and directory", "Scholarships");
        let told = |register: &[Value]| {
            let (one, other) = names(register);
            (one.join(", "), other.join(", "))
        };
        let both = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(told(&[]), both(profile, application));
        assert_eq!(told(&[entry(true, &["education"], &[])]), both(ours, ours));
        assert_eq!(told(&[entry(true, &["education"], &["opportunities"])]), both(profile, ours));
        assert_eq!(told(&[entry(true, &["financial"], &["opportunities"])]), both(profile, application));
        assert_eq!(told(&[entry(false, &["education"], &[])]), both(profile, application), "it is retired");
    }

    #[test]
    fn what_nobody_has_confirmed_says_so() {
        let register = [entry(true, &["education"], &["identity"])];
        let purposes = Purposes::of(&register);
        let of = |class: Option<&str>| purposes.of_event("identity.profile", "StudentFacetSet", class)[0];
        let (ours, theirs) = (of(Some("education")), of(Some("profile")));
        assert!(!ours.default && ours.id.is_some() && ours.registered_at.is_some(), "{ours:?}");
        assert!(theirs.default && theirs.id.is_none() && theirs.ferpa_basis.is_some(), "{theirs:?}");
        assert!(!of(None).default, "that it happened belongs to the context");
        assert!(purposes.of_event("identity.profile", "StudentFacetSet", Some("payment")).is_empty());
    }
}
