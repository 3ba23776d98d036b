//! A package made of its material.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use domain::{
    Decider, RecordClass,
    governance::{Disclosure, PrivacyRegime, PrivacyRequestType, retention_default},
};
use event_store::{
    Recorded,
    integrity::{Directory, DirectoryError, Leaf},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    ClassHeld, Package, PackageFormat, PackageRecord, PackageRequest, PurposeUsed, Recipients, Retention,
    RowsHeld, SourceOf, Withheld,
    decisions::explained,
    material::{Material, own},
    reads, rows,
    rows::rows_about_nobody,
};
use crate::{
    Projections, Table,
    governance::{
        DisclosureLog, GovernanceError, ProcessingRecord, RetentionBoard,
        purposes::{Purposes, context_of},
    },
    readable::{Event, WITHHELD, read_where},
};

/// A package as it was made, without its proofs.
pub struct Made {
    /// The package.
    pub package: Package,
    /// The leaves of its events: what is to be proved.
    pub leaves: Vec<Leaf>,
    /// Whether there were personal values of the person, and none can be read any more.
    pub erased: bool,
}

impl Made {
    /// The package with the proofs that its events are in the log.
    ///
    /// # Errors
    /// When an event is not what was signed, or not signed yet.
    pub fn prove(self, log: &Directory) -> Result<Package, DirectoryError> {
        let proofs = Some(log.prove_all(self.leaves)?);
        Ok(Package { proofs, ..self.package })
    }
}

impl Projections {
    /// Makes the package of a request. Whoever asks for it has put that on record, unless they are the person.
    ///
    /// # Errors
    /// When the log, the keys or the database fail, or the index of the log is far behind.
    pub async fn package(&self, request: &PackageRequest) -> Result<Made, GovernanceError> {
        let material = Material::gather(self, request).await?;
        let manifest_sha256 = material.manifest(request);
        let leaves = material.events.iter().map(Leaf::of).collect();
        let left = Left::default();
        let events = self.opened(request, &material.events, &left).await?;
        let erased = left.erased.get() > 0 && !left.readable.get();
        let portable = request.r#type == PrivacyRequestType::Portability;
        let streams = rows::streams(self, request, &material).await?;
        let disclosures = self.model(DisclosureLog::NAME)?;
        let disclosures = rows::of_model(self, request, disclosures, &streams).await?;
        let state = if portable { Vec::new() } else { self.rows_held(request, &streams).await? };
        let kept = rows_about_nobody(self, RetentionBoard::NAME, request.position).await?;

        let masks = masks(self, request);
        let (reads, about): (Vec<Event>, Vec<Event>) =
            events.into_iter().partition(|event| reads::is_by_another(event, request.subject));
        let reads = reads::told(self, &reads).await?;
        let classes = classes(request, &about, &kept);
        let (purposes, processing) = purposes(request, &about, &self.purposes(request.position).await?);
        let given = |event: &&Event| {
            let disclosure = event.aggregate_type == Disclosure::TYPE;
            !disclosure && (!portable || by(event, request.subject) == YOU)
        };
        let decisions = if portable { Vec::new() } else { explained(&about) };
        let records: Vec<PackageRecord> = about
            .iter()
            .filter(given)
            .filter(|event| has_class(request, event))
            .map(|event| record(event, request.subject, &masks, &left))
            .collect();
        let package = Package {
            format: PackageFormat::V1,
            request: request.request,
            subject: request.subject,
            regime: request.regime,
            r#type: request.r#type,
            position: request.position,
            as_of: request.approved_at,
            manifest_sha256,
            rights: rights(request.regime).map(str::to_owned).to_vec(),
            purposes,
            sources: sources(&about, request.subject),
            classes,
            rows: state,
            records,
            processing,
            recipients: Recipients { disclosures, reads },
            decisions,
            withheld: left.told(request, portable),
            proofs: None,
            seal: None,
        };
        Ok(Made { package, leaves, erased })
    }

    /// The events with the values that the person may have.
    async fn opened(
        &self,
        request: &PackageRequest,
        events: &[Recorded],
        left: &Left,
    ) -> Result<Vec<Event>, GovernanceError> {
        let keyring = self.0.store.keyring().history();
        keyring.load_for(events).await?;
        for event in events {
            let boxes = event.sealed.as_deref().map(event_store::Keyring::boxes).transpose()?;
            for (group, about) in keyring.open(event)?.iter().zip(boxes.unwrap_or_default()) {
                let own = about.subject == request.subject;
                match group {
                    Some(_) if own => left.readable.set(true),
                    None if own => left.erased.set(left.erased.get() + 1),
                    Some(_) | None => {}
                }
            }
        }
        let instead = |about: &event_store::BoxHeader| {
            if about.subject != request.subject {
                left.others.set(left.others.get() + 1);
                Some(WITHHELD)
            } else if !request.has_class(&about.class) {
                left.classes.set(left.classes.get() + 1);
                Some(WITHHELD)
            } else {
                None
            }
        };
        Ok(read_where(&self.0.store, events.to_vec(), instead).await?)
    }

    /// The rows of all read models that the person sees, but for those that have a place of their own in the package.
    async fn rows_held(
        &self,
        request: &PackageRequest,
        streams: &crate::fact::Batch,
    ) -> Result<Vec<RowsHeld>, GovernanceError> {
        let mut held = Vec::new();
        for model in self.models() {
            let shape = model.shape();
            if !shape.options.about_people || shape.name == DisclosureLog::NAME {
                continue;
            }
            let rows = rows::of_model(self, request, *model, streams).await?;
            if !rows.is_empty() {
                let what = shape.doc.split_whitespace().collect::<Vec<_>>().join(" ");
                held.push(RowsHeld { name: shape.name.to_owned(), what, rows });
            }
        }
        Ok(held)
    }
}

/// What was left out.
#[derive(Default)]
struct Left {
    readable: Cell<bool>,
    erased: Cell<u64>,
    others: Cell<u64>,
    classes: Cell<u64>,
    masked: Cell<u64>,
}

impl Left {
    fn told(&self, request: &PackageRequest, portable: bool) -> Vec<Withheld> {
        let counted = |what: &str, why: &str, count: &Cell<u64>| {
            let count = Some(count.get()).filter(|count| *count > 0)?;
            Some(Withheld { what: what.to_owned(), why: why.to_owned(), count: Some(count) })
        };
        let refused = request.refused.iter().map(|class| Withheld {
            what: format!("record class {}", class.name()),
            why: request.note.clone().unwrap_or_else(|| "it was refused".to_owned()),
            count: None,
        });
        let portable = portable.then(|| Withheld {
            what: "what others or the system itself recorded or derived".to_owned(),
            why: "Art. 20(1) gives the data that you provided; a request for access gives all of it"
                .to_owned(),
            count: None,
        });
        let counts = [
            counted(
                "values about other people in the same records",
                "they are the rights and freedoms of others (Art. 15(4))",
                &self.others,
            ),
            counted(
                "values of record classes that the request is not about or that were refused",
                "the request was approved for certain classes",
                &self.classes,
            ),
            counted(
                "values that were erased",
                "their keys were destroyed, by an erasure or at the end of their retention; nobody can read them",
                &self.erased,
            ),
            counted(
                "who reviewed, and lists of other people",
                "it identifies others and is not shown to you elsewhere either (Art. 15(4))",
                &self.masked,
            ),
        ];
        counts.into_iter().flatten().chain(refused).chain(portable).collect()
    }
}

fn rights(regime: PrivacyRegime) -> [&'static str; 4] {
    match regime {
        PrivacyRegime::Gdpr => [
            "You may have data corrected (Art. 16), erased (Art. 17), kept without being used (Art. 18), or object to its \
             use (Art. 21): POST /v1/privacy/requests.",
            "You may withdraw a consent at any time: DELETE /v1/privacy/consents/{purpose}.",
            "You may contest what a machine decided; a human reviews it (Art. 22): POST /v1/decisions/{id}/contest.",
            "You may complain to a supervisory authority (Art. 77).",
        ],
        PrivacyRegime::Ferpa => [
            "You may ask for an amendment of records that are inaccurate or misleading (34 CFR 99.20): POST \
             /v1/privacy/requests.",
            "Where an amendment is refused you may ask for a hearing, and place a statement with the record (34 CFR 99.21).",
            "You may opt out of directory information (34 CFR 99.37): PUT /v1/users/me/visibility.",
            "You may complain to the Student Privacy Policy Office of the U.S. Department of Education (34 CFR 99.63).",
        ],
    }
}

pub(super) const YOU: &str = "you";

/// Who recorded an event, in the person's eyes.
pub(super) fn by(event: &Event, subject: Uuid) -> &str {
    let own = event.actor.strip_prefix("user:").is_some_and(|id| id == subject.to_string());
    match event.actor.split_once(':') {
        _ if own || event.on_behalf_of == Some(subject) => YOU,
        Some(("user", _)) => "another person",
        Some(("api_client", _)) => "a program",
        Some(("scheduler", _)) => "the scheduler",
        Some(_) | None => &event.actor,
    }
}

/// The fields that no person gets of their own records, by the type of the aggregate: those that the read models of its events
/// hide from them, also where an event has one of what a row has several of.
type Masks = BTreeMap<&'static str, BTreeSet<String>>;

fn masks(projections: &Projections, request: &PackageRequest) -> Masks {
    let own = own(request);
    let mut masks = Masks::new();
    for model in projections.models() {
        let hidden = model.hidden(&own).iter();
        let names: Vec<String> =
            hidden.flat_map(|name| [(*name).to_owned(), name.trim_end_matches('s').to_owned()]).collect();
        for aggregate_type in model.shape().fed_by {
            masks.entry(aggregate_type).or_default().extend(names.iter().cloned());
        }
    }
    masks
}

fn has_class(request: &PackageRequest, event: &Event) -> bool {
    request.classes.is_empty() || event.record_classes.iter().any(|class| request.has_class(class))
}

fn record(event: &Event, subject: Uuid, masks: &Masks, left: &Left) -> PackageRecord {
    let mut data = event.data.clone();
    let none = BTreeSet::new();
    let masked = mask(&mut data, subject, masks.get(&*event.aggregate_type).unwrap_or(&none));
    left.masked.set(left.masked.get() + masked);
    PackageRecord {
        position: event.position,
        event_id: event.event_id,
        r#type: event.event_type.clone(),
        context: context_of(&event.aggregate_type).to_owned(),
        thing: event.stream(),
        recorded_at: event.recorded_at,
        occurred_at: event.occurred_at,
        by: by(event, subject).to_owned(),
        purpose: event.purpose.clone(),
        legal_basis: event.legal_basis.clone(),
        classes: event.record_classes.clone(),
        derived_from: event.derived_from.clone(),
        transformation: event.transformation.clone(),
        data,
    }
}

/// Takes out what is not the person's to know; answers how much.
fn mask(value: &mut Value, subject: Uuid, masks: &BTreeSet<String>) -> u64 {
    let own = subject.to_string();
    match value {
        Value::Object(fields) => {
            let mut masked = 0;
            for (name, value) in fields {
                if let (Value::Array(people), true) = (&mut *value, name.ends_with("subjects")) {
                    let before = people.len();
                    people.retain(|person| person.as_str() == Some(&own));
                    masked += (before - people.len()) as u64;
                } else if masks.contains(name) && !value.is_null() && value.as_str() != Some(&own) {
                    *value = WITHHELD.into();
                    masked += 1;
                } else {
                    masked += mask(value, subject, masks);
                }
            }
            masked
        }
        Value::Array(values) => values.iter_mut().map(|value| mask(value, subject, masks)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn classes(request: &PackageRequest, events: &[Event], kept: &[Value]) -> Vec<ClassHeld> {
    let mut classes: BTreeMap<&str, ClassHeld> = BTreeMap::new();
    for event in events {
        for class in event.record_classes.iter().filter(|class| request.has_class(class)) {
            let context = context_of(&event.aggregate_type);
            let held = classes.entry(class).or_insert_with(|| ClassHeld {
                class: class.clone(),
                education_record: class == RecordClass::Education.name(),
                contexts: Vec::new(),
                events: 0,
                first: event.recorded_at,
                last: event.recorded_at,
                retention: retention(class, kept),
            });
            held.events += 1;
            held.last = event.recorded_at;
            if !held.contexts.iter().any(|known| known == context) {
                held.contexts.push(context.to_owned());
            }
        }
    }
    classes.into_values().collect()
}

/// How long a class is kept: as the policy says that holds, else by default.
pub(in crate::governance) fn retention(class: &str, kept: &[Value]) -> Retention {
    let holds = |row: &&Value| row["class"] == class && row["active"] == true && row["aggregate"].is_null();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    if let Some(row) = kept.iter().find(holds) {
        return Retention {
            days: row["days"].as_u64().and_then(|days| days.try_into().ok()).unwrap_or(u32::MAX),
            after: text(row, "after"),
            action: text(row, "action"),
            legal_basis: Some(text(row, "legal_basis")),
        };
    }
    let default = retention_default(class.parse().unwrap_or(RecordClass::Identity));
    let (after, action): (&str, &str) = (default.after.into(), default.action.into());
    Retention { days: default.days, after: after.to_owned(), action: action.to_owned(), legal_basis: None }
}

/// For which purposes the data that the request is about was processed, and by which activities.
fn purposes(
    request: &PackageRequest,
    events: &[Event],
    known: &Purposes,
) -> (Vec<PurposeUsed>, Vec<ProcessingRecord>) {
    let mut counts: BTreeMap<(String, String, bool), u64> = BTreeMap::new();
    let mut processing: Vec<ProcessingRecord> = Vec::new();
    for event in events.iter().filter(|event| has_class(request, event)) {
        let (purpose, basis) = (&event.purpose, &event.legal_basis);
        let mut used: BTreeSet<(String, String, bool)> = BTreeSet::new();
        for record in known.activities(event, |class| request.has_class(class)) {
            let stated =
                |stated: &Option<String>, otherwise: &String| stated.as_ref().unwrap_or(otherwise).clone();
            let default = record.default && (purpose.is_none() || basis.is_none());
            used.insert((stated(purpose, &record.purpose), stated(basis, &record.legal_basis), default));
            if !processing.contains(record) {
                processing.push(record.clone());
            }
        }
        used.into_iter().for_each(|used| *counts.entry(used).or_default() += 1);
    }
    let told =
        |((purpose, legal_basis, default), events)| PurposeUsed { purpose, legal_basis, default, events };
    (counts.into_iter().map(told).collect(), processing)
}

fn sources(events: &[Event], subject: Uuid) -> Vec<SourceOf> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for event in events {
        *counts.entry(by(event, subject)).or_default() += 1;
    }
    counts.into_iter().map(|(source, events)| SourceOf { source: source.to_owned(), events }).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn event(classes: &[&str], purpose: Option<&str>, legal_basis: Option<&str>) -> Event {
        Event {
            position: 1,
            event_id: Uuid::from_u128(1),
            event_type: "ScholarshipApplicationSubmitted".into(),
            version: "1".into(),
            aggregate_type: "opportunities.scholarship_application".into(),
            aggregate_id: Uuid::from_u128(2).to_string(),
            sequence: 1,
            recorded_at: Timestamp::UNIX_EPOCH,
            occurred_at: Timestamp::UNIX_EPOCH,
            actor: "user:1".into(),
            on_behalf_of: None,
            purpose: purpose.map(str::to_owned),
            legal_basis: legal_basis.map(str::to_owned),
            subjects: Vec::new(),
            record_classes: classes.iter().map(|class| (*class).to_owned()).collect(),
            command_id: None,
            correlation_id: None,
            causation_id: None,
            derived_from: Vec::new(),
            transformation: None,
            data: Value::Null,
            shredded: false,
        }
    }

    /// The purposes of a request about some classes as text, and the names of the activities.
    fn told(classes: &[RecordClass], events: &[Event]) -> (Vec<String>, Vec<String>) {
        let request = PackageRequest {
            request: Uuid::from_u128(3),
            subject: Uuid::from_u128(4),
            regime: PrivacyRegime::Gdpr,
            r#type: PrivacyRequestType::Access,
            classes: classes.to_vec(),
            refused: Vec::new(),
            note: None,
            position: 1,
            approved_at: Timestamp::UNIX_EPOCH,
            attached: None,
            completed: true,
        };
        let (purposes, processing) = purposes(&request, events, &Purposes::of(&[]));
        let text = |used: &PurposeUsed| {
            let default = if used.default { " by default" } else { "" };
            format!("{}: {}{default}, {}", used.purpose, used.legal_basis, used.events)
        };
        (purposes.iter().map(text).collect(), processing.into_iter().map(|record| record.name).collect())
    }

    #[test]
    fn the_purpose_that_an_event_states_counts_before_that_of_the_activity() {
        let events = [
            event(&["education"], Some("Grants"), Some("Art. 6(1)(e)")),
            event(&["education"], Some("Grants"), None),
            event(&["education", "identity"], None, None),
            event(&[], None, None),
        ];
        let (purposes, processing) = told(&[], &events);
        let applications = "To receive, review and decide applications for scholarships, and to award them";
        let expected = [
            "Grants: Art. 6(1)(b) by default, 1".to_owned(),
            "Grants: Art. 6(1)(e), 1".to_owned(),
            format!("{applications}: Art. 6(1)(b) by default, 2"),
        ];
        assert_eq!((&purposes[..], &processing[..]), (&expected[..], &["Scholarships".to_owned()][..]));
    }

    #[test]
    fn what_a_request_is_not_about_is_processed_for_nothing_that_it_tells() {
        let events = [event(&["education"], None, None), event(&["identity"], None, None)];
        let (purposes, _) = told(&[RecordClass::Identity], &events);
        assert!(matches!(&purposes[..], [one] if one.ends_with(", 1")), "{purposes:?}");
    }
}
