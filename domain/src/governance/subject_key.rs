//! The keys of one person's data, one for each record class and epoch (catalogue 0.5 and 2.11, SubjectKey). The stream's id
//! is the person's account.
//!
//! Life cycle, for each class: `none -> live -> shredded -> destroyed`. A destruction for the sake of retention ends epochs
//! and leaves the class alive; only an erasure is final.
//!
//! - **GOV-K1** AES-256-GCM; data keys are wrapped by a master key that rotates yearly by re-wrapping. Events hold ids of
//!   keys, never keys.
//! - **GOV-K2** shredding is proven: `SubjectKeyShredded` says that the keys are to be destroyed, `SubjectKeysDestroyed` that
//!   they are gone, with a signed certificate that states the backup window.
//! - **GOV-K3** after the destruction no reader holds the plaintext; what was found is put on record.
//!
//! A shred under a legal hold is refused (see the legal hold), and so is the erasure of a class that a legal duty keeps
//! ([`legal_duty`]).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::legal_hold::{is_hold, not_held};
use crate::kernel::{
    Actor, Answer, Claim, Context, Decided, Decider, Event, Known, NotYet, Question, RecordClass, Refusal,
    Refused, bounds,
};

/// How long backups of the key store are kept: until then a copy of a destroyed key may exist there (GOV-K2).
pub const BACKUP_WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long after a destruction it is looked whether anything is left. Read models have been rebuilt by then, and the day
/// within which it must have been looked (GOV-K3) leaves time to try again.
pub const CHECK_RESIDUE_AFTER: SignedDuration = SignedDuration::from_hours(12);

/// The cipher of every data key (GOV-K1).
pub const ALGORITHM: &str = "AES-256-GCM";

/// The legal duty that keeps a class from being erased on request (Art. 17(3) GDPR), in the words that the person is told.
pub fn legal_duty(class: RecordClass) -> Option<&'static str> {
    match class {
        RecordClass::Payment => {
            Some("records of payments are kept for the tax authority (Art. 17(3)(b) GDPR)")
        }
        RecordClass::SecurityLog => {
            Some("who had access is kept on record for accountability (Art. 17(3)(b) GDPR, 34 CFR 99.32)")
        }
        RecordClass::Identity
        | RecordClass::Profile
        | RecordClass::Sensitive
        | RecordClass::Education
        | RecordClass::Financial
        | RecordClass::Communication
        | RecordClass::AiContent
        | RecordClass::Device
        | RecordClass::Secret => None,
    }
}

/// Why keys are destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShredBasis {
    /// The person asked for it: final for the class.
    Erasure,
    /// Their time is over: the epochs up to one end.
    Retention,
}

/// Where a class is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClassKeys {
    /// It has keys; this is the newest that was told of.
    Live(String),
    /// Its keys are to be destroyed, or were: nothing of it can be read again.
    Shredded,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SubjectKey {
    /// What is known of each class.
    pub classes: BTreeMap<RecordClass, ClassKeys>,
    /// The shreds whose destruction is not confirmed yet: what ordered them, and of which classes.
    pub pending: Vec<(Uuid, Vec<RecordClass>)>,
}

/// What can be asked of a person's keys.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum SubjectKeyCommand {
    /// Puts the first key of a class on record.
    #[schemars(extend("x-system" = true))]
    ProvisionSubjectKey {
        /// The class.
        record_class: RecordClass,
        /// The key's id, such as `education/2026-12`.
        key_id: String,
        /// The cipher.
        algorithm: String,
    },
    /// Puts a newer key of a class on record.
    #[schemars(extend("x-system" = true))]
    RotateSubjectKey {
        /// The class.
        record_class: RecordClass,
        /// The key's id.
        key_id: String,
        /// The id of the key before it.
        previous: String,
    },
    /// Orders the destruction of keys.
    #[schemars(extend("x-system" = true))]
    ShredSubjectKey {
        /// Whose keys.
        record_classes: Vec<RecordClass>,
        /// Why.
        basis: ShredBasis,
        /// The last day of the last epoch that ends; for retention only.
        #[serde(default)]
        through: Option<Date>,
        /// What ordered it: the privacy request or the retention run.
        cause: Uuid,
    },
    /// Puts on record that the keys are gone from the key store.
    #[schemars(extend("x-system" = true))]
    ConfirmKeyDestruction {
        /// What ordered it.
        cause: Uuid,
        /// Whose keys.
        record_classes: Vec<RecordClass>,
        /// The ids of the keys that there were.
        key_ids: Vec<String>,
        /// When they were destroyed.
        destroyed_at: Timestamp,
        /// The signed certificate, as a compact JWS.
        certificate: Option<String>,
    },
    /// Looks whether anything is left after the destruction, and puts it on record.
    #[schemars(extend("x-system" = true))]
    CheckKeyResidue {
        /// What ordered the destruction.
        cause: Uuid,
        /// Of which classes it was.
        record_classes: Vec<RecordClass>,
    },
}

/// What can have happened to a person's keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum SubjectKeyEvent {
    /// A class has its first key.
    SubjectKeyProvisioned { record_class: RecordClass, key_id: String, algorithm: String },
    /// A class has a newer key.
    SubjectKeyRotated { record_class: RecordClass, key_id: String, previous: String },
    /// The keys are to be destroyed: from here on there is no way back.
    SubjectKeyShredded {
        record_classes: Vec<RecordClass>,
        basis: ShredBasis,
        through: Option<Date>,
        cause: Uuid,
    },
    /// The keys are gone from the key store, and by `backups_until` from its backups.
    SubjectKeysDestroyed {
        cause: Uuid,
        record_classes: Vec<RecordClass>,
        key_ids: Vec<String>,
        backups_until: Timestamp,
        certificate: Option<String>,
    },
    /// It was looked for plaintext that should be gone.
    KeyResidueChecked {
        cause: Uuid,
        #[serde(default)]
        record_classes: Vec<RecordClass>,
        residue: u64,
    },
}

impl Event for SubjectKeyEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SubjectKeyRefusal {
    #[error("the class has a key already")]
    AlreadyProvisioned {},
    #[error("the keys of the class were destroyed for good")]
    Shredded {},
    #[error("a legal hold, or an open request to inspect the records, keeps the data")]
    LegalHoldActive {},
    #[error("a legal duty keeps the data: {ground}")]
    LegalDuty { class: RecordClass, ground: String },
}

impl Refusal for SubjectKeyRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
}

impl Decider for SubjectKey {
    const TYPE: &'static str = "governance.subject_key";
    type Command = SubjectKeyCommand;
    type Event = SubjectKeyEvent;
    type Refusal = SubjectKeyRefusal;
    /// How many places still have something, when that is asked.
    type Facts = Option<u64>;

    fn creates(command: &SubjectKeyCommand) -> bool {
        use SubjectKeyCommand as C;
        match command {
            // A person's keys are made in the key store as they are needed; the stream may begin with their end.
            C::ProvisionSubjectKey { .. } | C::ShredSubjectKey { .. } => true,
            C::RotateSubjectKey { .. } | C::ConfirmKeyDestruction { .. } | C::CheckKeyResidue { .. } => false,
        }
    }

    fn facts(
        &self,
        command: &SubjectKeyCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<Option<u64>, NotYet> {
        let SubjectKeyCommand::CheckKeyResidue { record_classes, .. } = command else { return Ok(None) };
        let question = Question::Residue { subject: context.id, classes: record_classes.clone() };
        let Answer::Count(residue) = known.ask(question)? else { return Ok(None) };
        Ok(Some(residue))
    }

    fn may(&self, actor: &Actor, command: &SubjectKeyCommand) -> bool {
        use SubjectKeyCommand as C;
        match command {
            C::ProvisionSubjectKey { .. }
            | C::RotateSubjectKey { .. }
            | C::ShredSubjectKey { .. }
            | C::ConfirmKeyDestruction { .. }
            | C::CheckKeyResidue { .. } => actor.is_system(),
        }
    }

    fn decide(&self, command: SubjectKeyCommand, residue: &Option<u64>, _: &Context) -> Decided<Self> {
        use SubjectKeyCommand as C;
        use SubjectKeyEvent as E;
        use SubjectKeyRefusal as R;
        let event = match command {
            C::ProvisionSubjectKey { record_class, key_id, algorithm } => {
                bounds::text("key_id", &key_id, 1..=100)?;
                bounds::text("algorithm", &algorithm, 1..=50)?;
                match self.classes.get(&record_class) {
                    Some(ClassKeys::Live(known)) if *known == key_id => return Ok(Vec::new()),
                    Some(ClassKeys::Live(_)) => return Err(R::AlreadyProvisioned {}.into()),
                    Some(ClassKeys::Shredded) => return Err(R::Shredded {}.into()),
                    None => E::SubjectKeyProvisioned { record_class, key_id, algorithm },
                }
            }
            C::RotateSubjectKey { record_class, key_id, previous } => {
                bounds::text("key_id", &key_id, 1..=100)?;
                match self.classes.get(&record_class) {
                    Some(ClassKeys::Shredded) => return Err(R::Shredded {}.into()),
                    Some(ClassKeys::Live(known)) if *known == key_id => return Ok(Vec::new()),
                    Some(ClassKeys::Live(known)) if *known == previous => {
                        E::SubjectKeyRotated { record_class, key_id, previous }
                    }
                    Some(ClassKeys::Live(_)) | None => {
                        return Err(Refused::invalid("previous", "the key before is another"));
                    }
                }
            }
            C::ShredSubjectKey { record_classes, basis, through, cause } => {
                if record_classes.is_empty() {
                    return Err(Refused::invalid("record_classes", "at least one class"));
                }
                if through.is_some() != (basis == ShredBasis::Retention) {
                    return Err(Refused::invalid("through", "for retention, and for nothing else"));
                }
                if self.awaits(cause, &record_classes) {
                    return Ok(Vec::new());
                }
                let duty = |class: &RecordClass| Some((*class, legal_duty(*class)?));
                if basis == ShredBasis::Erasure
                    && let Some((class, ground)) = record_classes.iter().find_map(duty)
                {
                    return Err(R::LegalDuty { class, ground: ground.to_owned() }.into());
                }
                let gone = |class: &RecordClass| self.classes.get(class) == Some(&ClassKeys::Shredded);
                if record_classes.iter().all(gone) {
                    return match basis {
                        // Whoever ordered it would wait for a confirmation that does not come.
                        ShredBasis::Erasure => Err(R::Shredded {}.into()),
                        ShredBasis::Retention => Ok(Vec::new()),
                    };
                }
                E::SubjectKeyShredded { record_classes, basis, through, cause }
            }
            C::ConfirmKeyDestruction { cause, record_classes, key_ids, destroyed_at, certificate } => {
                bounds::texts("key_ids", &key_ids, 10_000, 100)?;
                if !self.awaits(cause, &record_classes) {
                    return Ok(Vec::new());
                }
                let backups_until = destroyed_at.checked_add(BACKUP_WINDOW).unwrap_or(Timestamp::MAX);
                E::SubjectKeysDestroyed { cause, record_classes, key_ids, backups_until, certificate }
            }
            C::CheckKeyResidue { cause, record_classes } => {
                let Some(residue) = *residue else {
                    return Err(Refused::invalid("record_classes", "something that can be looked for"));
                };
                E::KeyResidueChecked { cause, record_classes, residue }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &SubjectKeyEvent) {
        use SubjectKeyEvent as E;
        match event {
            E::SubjectKeyProvisioned { record_class, key_id, .. }
            | E::SubjectKeyRotated { record_class, key_id, .. } => {
                self.classes.insert(*record_class, ClassKeys::Live(key_id.clone()));
            }
            E::SubjectKeyShredded { record_classes, basis, cause, .. } => {
                if *basis == ShredBasis::Erasure {
                    self.classes.extend(record_classes.iter().map(|class| (*class, ClassKeys::Shredded)));
                }
                self.pending.push((*cause, record_classes.clone()));
            }
            E::SubjectKeysDestroyed { cause, record_classes, .. } => {
                self.pending.retain(|(order, classes)| (order, classes) != (cause, record_classes));
            }
            E::KeyResidueChecked { .. } => {}
        }
    }

    fn claims(id: Uuid, event: &SubjectKeyEvent) -> Vec<Claim> {
        use SubjectKeyEvent as E;
        match event {
            E::SubjectKeyShredded { record_classes, .. } => not_held(id, record_classes),
            E::SubjectKeyProvisioned { .. }
            | E::SubjectKeyRotated { .. }
            | E::SubjectKeysDestroyed { .. }
            | E::KeyResidueChecked { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<SubjectKeyRefusal> {
        is_hold(key).then_some(SubjectKeyRefusal::LegalHoldActive {})
    }
}

impl SubjectKey {
    fn awaits(&self, cause: Uuid, classes: &[RecordClass]) -> bool {
        self.pending.iter().any(|(order, of)| *order == cause && of == classes)
    }
}

#[cfg(test)]
#[path = "subject_key_tests.rs"]
mod tests;
