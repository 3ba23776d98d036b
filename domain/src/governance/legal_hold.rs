//! An order to keep data: it suspends retention and erasure for its subjects and classes (catalogue 2.11, LegalHold).
//!
//! Life cycle: `placed -> released`.
//!
//! A hold takes a seat of `hold:{subject}:{class}` for everything that it is on; `*` stands for everybody or every class.
//! Whoever destroys a key, purges or archives takes the only seat of the same keys for the length of its append
//! (`not_held`). So a hold and a destruction can never be recorded past each other, on however many nodes: the seats are
//! counted under the lock of the log's head (**GOV-R1**).
//!
//! Keys belong to a person and a class and know no context: a hold that names contexts holds back the whole class, which is
//! more than was ordered, never less.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::kernel::{
    Actor, Claim, Context, Decided, Decider, Event, Known, NotYet, RecordClass, Refusal, RefusalKind,
    Refused, RefusedBy, bounds, schemas,
};

/// The most people that one hold names.
const SUBJECTS_MAX: usize = 100;

/// Where in its life a hold is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HoldStatus {
    /// It has no events.
    #[default]
    New,
    /// It holds.
    Placed,
    /// It holds no more.
    Released,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LegalHold {
    /// Where in its life it is.
    pub status: HoldStatus,
    /// Whose data it is on; everybody's where empty.
    pub subjects: BTreeSet<Uuid>,
    /// Which classes it is on; every class where empty.
    pub classes: BTreeSet<RecordClass>,
}

/// What can be asked of a legal hold.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum LegalHoldCommand {
    /// Places the hold.
    PlaceLegalHold {
        /// What it is called, 1 to 200 characters.
        #[schemars(transform = schemas::text::<1, 200>)]
        title: String,
        /// Whose data it is on, at most 100; everybody's where empty.
        #[serde(default)]
        #[schemars(transform = schemas::count::<100>)]
        subjects: Vec<Uuid>,
        /// Which classes it is on; every class where empty.
        #[serde(default)]
        #[schemars(transform = schemas::classes)]
        classes: Vec<RecordClass>,
        /// Which contexts were named in the order, at most 20.
        #[serde(default)]
        #[schemars(transform = schemas::texts::<20, 50>)]
        contexts: Vec<String>,
        /// Why, 1 to 20 000 characters.
        #[schemars(transform = schemas::text::<1, 20000>)]
        reason: String,
        /// Who ordered it, such as a court; 1 to 200 characters.
        #[schemars(transform = schemas::text::<1, 200>)]
        ordered_by: String,
    },
    /// Adds people and classes to the hold.
    ExtendLegalHoldScope {
        /// Whose data it is on as well.
        #[serde(default)]
        #[schemars(transform = schemas::count::<100>)]
        subjects: Vec<Uuid>,
        /// Which classes it is on as well.
        #[serde(default)]
        #[schemars(transform = schemas::classes)]
        classes: Vec<RecordClass>,
    },
    /// Ends the hold.
    ReleaseLegalHold {
        /// Why, 1 to 20 000 characters.
        #[schemars(transform = schemas::text::<1, 20000>)]
        reason: String,
    },
}

/// What can have happened to a legal hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum LegalHoldEvent {
    /// It was placed.
    LegalHoldPlaced {
        title: String,
        subjects: Vec<Uuid>,
        classes: Vec<RecordClass>,
        contexts: Vec<String>,
        reason: String,
        ordered_by: String,
    },
    /// It was extended; `held_subjects` and `held_classes` are all that it is on now.
    LegalHoldExtended {
        subjects: Vec<Uuid>,
        classes: Vec<RecordClass>,
        held_subjects: Vec<Uuid>,
        held_classes: Vec<RecordClass>,
    },
    /// It ended; the lists are all that it was on.
    LegalHoldReleased { reason: String, held_subjects: Vec<Uuid>, held_classes: Vec<RecordClass> },
}

impl Event for LegalHoldEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LegalHoldRefusal {
    #[error("a hold names people or classes")]
    EmptyScope {},
}

impl Refusal for LegalHoldRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        RefusalKind::Invalid
    }
}

impl Decider for LegalHold {
    const TYPE: &'static str = "governance.legal_hold";
    type Command = LegalHoldCommand;
    type Event = LegalHoldEvent;
    type Refusal = LegalHoldRefusal;
    type Facts = ();

    fn creates(command: &LegalHoldCommand) -> bool {
        matches!(command, LegalHoldCommand::PlaceLegalHold { .. })
    }

    fn facts(&self, _: &LegalHoldCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &LegalHoldCommand) -> bool {
        use LegalHoldCommand as C;
        match command {
            C::PlaceLegalHold { .. } | C::ExtendLegalHoldScope { .. } | C::ReleaseLegalHold { .. } => {
                actor.has("manage:governance")
            }
        }
    }

    fn decide(&self, command: LegalHoldCommand, (): &(), _: &Context) -> Decided<Self> {
        use HoldStatus as S;
        use LegalHoldCommand as C;
        use LegalHoldEvent as E;
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        let event = match (self.status, command) {
            (S::New, C::PlaceLegalHold { title, subjects, classes, contexts, reason, ordered_by }) => {
                bounds::text("title", &title, 1..=200)?;
                bounds::texts("contexts", &contexts, 20, 50)?;
                bounds::text("reason", &reason, 1..=bounds::LONG)?;
                bounds::text("ordered_by", &ordered_by, 1..=200)?;
                bounds::count("subjects", subjects.len(), SUBJECTS_MAX)?;
                bounds::count("classes", classes.len(), RecordClass::ALL.len())?;
                if subjects.is_empty() && classes.is_empty() {
                    return Err(LegalHoldRefusal::EmptyScope {}.into());
                }
                let (subjects, classes) = (distinct(subjects), distinct(classes));
                E::LegalHoldPlaced { title, subjects, classes, contexts, reason, ordered_by }
            }
            (S::Placed, C::ExtendLegalHoldScope { subjects, classes }) => {
                bounds::count("classes", classes.len(), RecordClass::ALL.len())?;
                if subjects.is_empty() && classes.is_empty() {
                    return Err(LegalHoldRefusal::EmptyScope {}.into());
                }
                // Naming somebody in a hold on everybody would look like narrowing it.
                narrows("subjects", self.subjects.is_empty() && !subjects.is_empty())?;
                narrows("classes", self.classes.is_empty() && !classes.is_empty())?;
                let held_subjects = distinct(self.subjects.iter().chain(&subjects).copied().collect());
                let held_classes = distinct(self.classes.iter().chain(&classes).copied().collect());
                bounds::count("subjects", held_subjects.len(), SUBJECTS_MAX)?;
                if (held_subjects.len(), held_classes.len()) == (self.subjects.len(), self.classes.len()) {
                    return Ok(Vec::new());
                }
                E::LegalHoldExtended { subjects, classes, held_subjects, held_classes }
            }
            (S::Placed, C::ReleaseLegalHold { reason }) => {
                bounds::text("reason", &reason, 1..=bounds::LONG)?;
                let held_subjects = self.subjects.iter().copied().collect();
                let held_classes = self.classes.iter().copied().collect();
                E::LegalHoldReleased { reason, held_subjects, held_classes }
            }
            (S::New | S::Placed | S::Released, _) => return Err(wrong_state),
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &LegalHoldEvent) {
        match event {
            LegalHoldEvent::LegalHoldPlaced { subjects, classes, .. } => {
                self.status = HoldStatus::Placed;
                self.subjects = subjects.iter().copied().collect();
                self.classes = classes.iter().copied().collect();
            }
            LegalHoldEvent::LegalHoldExtended { held_subjects, held_classes, .. } => {
                self.subjects = held_subjects.iter().copied().collect();
                self.classes = held_classes.iter().copied().collect();
            }
            LegalHoldEvent::LegalHoldReleased { .. } => self.status = HoldStatus::Released,
        }
    }

    fn claims(_: Uuid, event: &LegalHoldEvent) -> Vec<Claim> {
        let seat = |key| Claim::Seat { key, limit: u32::MAX };
        match event {
            LegalHoldEvent::LegalHoldPlaced { subjects, classes, .. } => {
                scope(subjects, classes).map(seat).collect()
            }
            LegalHoldEvent::LegalHoldExtended { held_subjects, held_classes, .. } => {
                scope(held_subjects, held_classes).map(seat).collect()
            }
            LegalHoldEvent::LegalHoldReleased { held_subjects, held_classes, .. } => {
                scope(held_subjects, held_classes).map(Claim::Free).collect()
            }
        }
    }
}

fn distinct<T: Ord>(values: Vec<T>) -> Vec<T> {
    values.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

fn narrows(field: &'static str, narrows: bool) -> Result<(), RefusedBy<LegalHold>> {
    if narrows { Err(Refused::invalid(field, "the hold is on all of them already")) } else { Ok(()) }
}

fn key(subject: Option<&Uuid>, class: Option<&RecordClass>) -> String {
    let subject = subject.map_or("*".to_owned(), Uuid::to_string);
    format!("hold:{subject}:{}", class.map_or("*", |class| class.name()))
}

/// The keys that a hold has a seat of.
fn scope<'a>(subjects: &'a [Uuid], classes: &'a [RecordClass]) -> impl Iterator<Item = String> + 'a {
    fn or_all<T>(named: &[T]) -> Vec<Option<&T>> {
        if named.is_empty() { vec![None] } else { named.iter().map(Some).collect() }
    }
    or_all(subjects)
        .into_iter()
        .flat_map(move |subject| or_all(classes).into_iter().map(move |class| key(subject, class)))
}

/// The claims of an event that must not be recorded while a hold is on the person's data of these classes: the only seat
/// of every key that a hold could have one of, given back at once.
pub(crate) fn not_held(subject: Uuid, classes: &[RecordClass]) -> Vec<Claim> {
    let mut keys = vec![key(Some(&subject), None)];
    for class in classes {
        keys.extend([key(Some(&subject), Some(class)), key(None, Some(class))]);
    }
    let taken = keys.iter().map(|key| Claim::Seat { key: key.clone(), limit: 1 }).collect::<Vec<_>>();
    taken.into_iter().chain(keys.iter().cloned().map(Claim::Free)).collect()
}

/// The seat of a person's education records while they are to be inspected (34 CFR 99.10(e)).
pub(super) fn inspected_key(subject: Uuid) -> String {
    key(Some(&subject), Some(&RecordClass::Education))
}

/// Whether a claim that could not be had is one of `not_held`.
pub(crate) fn is_hold(key: &str) -> bool {
    key.starts_with("hold:")
}

#[cfg(test)]
#[path = "legal_hold_tests.rs"]
mod tests;
