//! One look of a compliance officer into history, itself on record (catalogue 2.11, AuditReplay).
//!
//! Life cycle: `opened -> readable -> closed`; one that decrypts nothing is readable at once.
//!
//! - **GOV-A1** decryption needs the approval of a second compliance officer, elevated: who approves, and who reads, has
//!   shown a second factor just now. The edge sees to that, which knows the login.
//! - **GOV-A2** it shows the facts in order, who, when and why, and what was shredded since. Each reading is put on record
//!   before anything is shown.
//! - **GOV-A3** it never dispatches side effects: it only reads the log.
//! - **GOV-A4** it closes after 8 hours.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::kernel::{
    Actor, ActorKind, Context, Decided, Decider, Event, Known, NotYet, Refusal, RefusalKind, Refused, bounds,
    schemas,
};

/// How long a replay is open (GOV-A4).
pub const OPEN_FOR: SignedDuration = SignedDuration::from_hours(8);

/// Where in its life a replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ReplayStatus {
    /// It has no events.
    #[default]
    New,
    /// It waits for a second officer.
    Opened,
    /// It can be read.
    Readable,
    /// It is over.
    Closed,
}

/// Why history is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ReplayPurpose {
    /// An inspection or a complaint under FERPA.
    Ferpa,
    /// A right of a data subject.
    Gdpr,
    /// A security incident.
    Incident,
    /// A dispute.
    Dispute,
    /// To see that it works.
    SelfTest,
}

/// What is looked at. What is not named does not narrow it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayScope {
    /// Events about this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Uuid>,
    /// Events of this aggregate type, such as `opportunities.scholarship_application`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::text::<1, 100>)]
    pub aggregate_type: Option<String>,
    /// Events of this aggregate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Uuid>,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditReplay {
    /// Where in its life it is.
    pub status: ReplayStatus,
    /// Who opened it.
    pub opened_by: Option<Uuid>,
    /// When it closes by itself.
    pub closes_at: Timestamp,
    /// What is looked at.
    pub scope: ReplayScope,
    /// As of which moment; the newest events where there is none.
    pub as_of: Option<Timestamp>,
    /// Whether personal values are shown.
    pub decrypt: bool,
    /// Why.
    pub purpose: Option<ReplayPurpose>,
}

impl AuditReplay {
    /// Whether it is over: closed, or open for longer than a replay is (GOV-A4).
    pub fn is_closed(&self, now: Timestamp) -> bool {
        self.status == ReplayStatus::Closed || (self.status != ReplayStatus::New && now >= self.closes_at)
    }
}

/// What can be asked of a replay.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum AuditReplayCommand {
    /// Opens it.
    OpenAuditReplay {
        /// Why history is looked into.
        #[serde(default)]
        purpose: Option<ReplayPurpose>,
        /// What is looked at.
        #[serde(default)]
        scope: ReplayScope,
        /// As of which moment; the newest events where left out.
        #[serde(default)]
        #[schemars(transform = schemas::instant)]
        as_of: Option<Timestamp>,
        /// Whether personal values are shown; a second officer must approve that (GOV-A1).
        decrypt: bool,
        /// The reason in words, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// A second officer approves it.
    #[schemars(extend("x-elevated" = "always"))]
    ApproveAuditReplay {},
    /// Puts on record what is about to be shown.
    #[schemars(extend("x-system" = true))]
    RecordReplayRead {
        /// The position of the first event.
        from_position: u64,
        /// The position of the last.
        to_position: u64,
        /// How many events.
        events: u64,
        /// Whose data is among them, at most 10 000.
        subjects: Vec<Uuid>,
    },
    /// Puts on record whether the log is what it was.
    #[schemars(extend("x-system" = true))]
    RecordIntegrityCheck {
        /// The first position that was looked at.
        from_position: u64,
        /// The last.
        to_position: u64,
        /// Whether it is.
        ok: bool,
        /// The first position at which it is not.
        #[serde(default)]
        broken_at: Option<u64>,
    },
    /// Puts on record that a package was made.
    #[schemars(extend("x-system" = true))]
    ExportAuditPackage {
        /// The document.
        document: Uuid,
        /// Its SHA-256 in lower-case hex.
        sha256: String,
        /// The first position in it.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Ends it.
    CloseAuditReplay {},
}

/// What can have happened to a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum AuditReplayEvent {
    /// It was opened; it closes by itself at `closes_at`.
    AuditReplayOpened {
        purpose: ReplayPurpose,
        scope: ReplayScope,
        as_of: Option<Timestamp>,
        decrypt: bool,
        reason: String,
        opened_by: Uuid,
        closes_at: Timestamp,
    },
    /// A second officer approved it.
    AuditReplayApproved { approved_by: Uuid },
    /// Events are about to be shown.
    AuditReplayRead {
        from_position: u64,
        to_position: u64,
        events: u64,
        subjects: Vec<Uuid>,
        decrypted: bool,
    },
    /// The log was checked.
    IntegrityVerified { from_position: u64, to_position: u64, ok: bool, broken_at: Option<u64> },
    /// A package was made.
    AuditPackageExported { document: Uuid, sha256: String, first: u64, last: u64 },
    /// It is over.
    AuditReplayClosed {},
}

impl Event for AuditReplayEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum AuditReplayRefusal {
    #[error("a replay has a purpose")]
    PurposeMissing {},
    #[error("a second officer must approve it")]
    SamePerson {},
    #[error("a second officer has not approved it yet")]
    NotApproved {},
    #[error("the replay is over")]
    Closed {},
}

impl Refusal for AuditReplayRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            AuditReplayRefusal::PurposeMissing {} => RefusalKind::Invalid,
            AuditReplayRefusal::SamePerson {} => RefusalKind::Forbidden,
            AuditReplayRefusal::NotApproved {} | AuditReplayRefusal::Closed {} => RefusalKind::Conflict,
        }
    }
}

impl Decider for AuditReplay {
    const TYPE: &'static str = "governance.audit_replay";
    type Command = AuditReplayCommand;
    type Event = AuditReplayEvent;
    type Refusal = AuditReplayRefusal;
    type Facts = ();

    fn creates(command: &AuditReplayCommand) -> bool {
        matches!(command, AuditReplayCommand::OpenAuditReplay { .. })
    }

    fn facts(&self, _: &AuditReplayCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &AuditReplayCommand) -> bool {
        use AuditReplayCommand as C;
        let officer = actor.kind == ActorKind::User && actor.has("replay:history");
        match command {
            C::OpenAuditReplay { .. } | C::ApproveAuditReplay {} => officer,
            C::CloseAuditReplay {} => officer || actor.is_system(),
            C::RecordReplayRead { .. } | C::RecordIntegrityCheck { .. } | C::ExportAuditPackage { .. } => {
                actor.is_system()
            }
        }
    }

    fn decide(&self, command: AuditReplayCommand, (): &(), context: &Context) -> Decided<Self> {
        use AuditReplayCommand as C;
        use AuditReplayEvent as E;
        use AuditReplayRefusal as R;
        use ReplayStatus as S;
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        let over = self.is_closed(context.now);
        let event = match command {
            C::OpenAuditReplay { .. } if self.status != S::New => return Err(wrong_state),
            C::OpenAuditReplay { purpose, scope, as_of, decrypt, reason } => {
                let purpose = purpose.ok_or(R::PurposeMissing {})?;
                bounds::text("reason", &reason, 1..=2000)?;
                bounds::maybe_text("scope.aggregate_type", scope.aggregate_type.as_deref(), 1..=100)?;
                as_of.map_or(Ok(()), |as_of| bounds::instant("as_of", as_of))?;
                let opened_by = context.actor.account().ok_or(Refused::Forbidden)?;
                let closes_at = context.now.checked_add(OPEN_FOR).unwrap_or(Timestamp::MAX);
                E::AuditReplayOpened { purpose, scope, as_of, decrypt, reason, opened_by, closes_at }
            }
            C::ApproveAuditReplay {} => match self.status {
                _ if over => return Err(R::Closed {}.into()),
                S::Opened => {
                    let approved_by = context.actor.account().ok_or(Refused::Forbidden)?;
                    if self.opened_by == Some(approved_by) {
                        return Err(R::SamePerson {}.into());
                    }
                    E::AuditReplayApproved { approved_by }
                }
                S::New | S::Readable | S::Closed => return Err(wrong_state),
            },
            C::RecordReplayRead { from_position, to_position, events, subjects } => match self.status {
                _ if over => return Err(R::Closed {}.into()),
                S::Readable => {
                    bounds::count("subjects", subjects.len(), 10_000)?;
                    let decrypted = self.decrypt;
                    E::AuditReplayRead { from_position, to_position, events, subjects, decrypted }
                }
                S::New | S::Opened | S::Closed => return Err(R::NotApproved {}.into()),
            },
            C::RecordIntegrityCheck { from_position, to_position, ok, broken_at } => {
                if over {
                    return Err(R::Closed {}.into());
                }
                E::IntegrityVerified { from_position, to_position, ok, broken_at }
            }
            C::ExportAuditPackage { document, sha256, first, last } => {
                if over {
                    return Err(R::Closed {}.into());
                }
                bounds::text("sha256", &sha256, 64..=64)?;
                E::AuditPackageExported { document, sha256, first, last }
            }
            C::CloseAuditReplay {} if self.status == S::Closed => return Ok(Vec::new()),
            C::CloseAuditReplay {} => E::AuditReplayClosed {},
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &AuditReplayEvent) {
        use AuditReplayEvent as E;
        match event {
            E::AuditReplayOpened { purpose, scope, as_of, decrypt, opened_by, closes_at, .. } => {
                *self = AuditReplay {
                    status: if *decrypt { ReplayStatus::Opened } else { ReplayStatus::Readable },
                    opened_by: Some(*opened_by),
                    closes_at: *closes_at,
                    scope: scope.clone(),
                    as_of: *as_of,
                    decrypt: *decrypt,
                    purpose: Some(*purpose),
                }
            }
            E::AuditReplayApproved { .. } => self.status = ReplayStatus::Readable,
            E::AuditReplayClosed {} => self.status = ReplayStatus::Closed,
            E::AuditReplayRead { .. } | E::IntegrityVerified { .. } | E::AuditPackageExported { .. } => {}
        }
    }

    fn concerns(event: &AuditReplayEvent) -> &[Uuid] {
        use AuditReplayEvent as E;
        match event {
            E::AuditReplayRead { subjects, .. } => subjects,
            E::AuditReplayOpened { .. }
            | E::AuditReplayApproved { .. }
            | E::IntegrityVerified { .. }
            | E::AuditPackageExported { .. }
            | E::AuditReplayClosed {} => &[],
        }
    }
}

#[cfg(test)]
#[path = "audit_replay_tests.rs"]
mod tests;
