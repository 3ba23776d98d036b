//! How long data of a record class is kept, and the runs that act on it (catalogue 2.11, RetentionPolicy). The stream's id
//! is that of [`retention_policy_id`].
//!
//! Life cycle: `active -> retired`; a run `started -> completed`.
//!
//! - **GOV-R1** holds win over policies; a run lists what it held back.
//! - **GOV-R2** a dry run applies nothing and is comparable with the real run: both put the same actions on record.
//! - **GOV-R3** a run is resumable and idempotent per (run, subject, scope).
//!
//! [`DEFAULTS`] is what holds, and is carried out, where nobody has set a policy. A duration below the legal minimum is
//! refused. Every class has a run each night ([`next_run_after`]); others are started by people.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::legal_hold::{is_hold, not_held};
use crate::kernel::{
    Actor, Claim, Context, Decided, Decider, Event, Known, NotYet, RecordClass, Refusal, RefusalKind,
    Refused, RefusedBy, bounds, derived_id, schemas,
};

/// From when the time counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RetentionStart {
    /// The end of the epoch in which it was recorded.
    #[default]
    Event,
    /// When the matter was closed, the account deactivated, the consent withdrawn or the erasure approved.
    Closure,
    /// The end of the epoch of the person's newest data of the class.
    LastActivity,
    /// When the student graduated.
    Graduation,
}

/// What is done when the time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RetentionAction {
    /// The keys of the epochs are destroyed.
    #[default]
    Shred,
    /// Rows of read models are dropped. No policy may set it: there are none apart from what the log gives.
    PurgeProjection,
    /// Stored objects are deleted. No policy may set it: there are none.
    PurgeObjects,
    /// The keys of the epochs are moved out of daily use, and kept: what they seal is read in history only.
    Archive,
}

/// What became of one scope of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RetentionOutcome {
    /// The policy's action was applied, or would have been in a dry run.
    Applied,
    /// A legal hold kept it.
    HeldBack,
    /// It could not be done; the scope says why.
    Failed,
}

/// How long one class is kept where nobody has said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionDefault {
    /// The class.
    pub class: RecordClass,
    /// From when the time counts.
    pub after: RetentionStart,
    /// How many days.
    pub days: u32,
    /// What is then done.
    pub action: RetentionAction,
    /// The fewest days that a policy may set, where the law asks for some.
    pub least: u32,
}

const fn keeps(
    class: RecordClass,
    after: RetentionStart,
    days: u32,
    action: RetentionAction,
    least: u32,
) -> RetentionDefault {
    RetentionDefault { class, after, days, action, least }
}

/// The defaults of the catalogue, one for each class. What is archived by default is so because it must be kept that long.
pub const DEFAULTS: [RetentionDefault; 11] = {
    use RecordClass as C;
    use RetentionAction::{Archive, Shred};
    use RetentionStart::{Closure, Event, Graduation, LastActivity};
    [
        keeps(C::Device, LastActivity, 90, Shred, 0),
        keeps(C::AiContent, Event, 365, Shred, 0),
        keeps(C::Communication, Closure, 730, Shred, 0),
        keeps(C::SecurityLog, Event, 2555, Archive, 2555),
        keeps(C::Education, Graduation, 2555, Archive, 2555),
        keeps(C::Financial, Closure, 730, Shred, 0),
        keeps(C::Payment, Event, 2555, Archive, 2555),
        keeps(C::Sensitive, Closure, 30, Shred, 0),
        keeps(C::Profile, Closure, 30, Shred, 0),
        keeps(C::Identity, Closure, 30, Shred, 0),
        keeps(C::Secret, Closure, 30, Shred, 0),
    ]
};

/// For how many days details of job runs and deliveries are kept before they are purged.
pub const OPERATION_DETAILS_DAYS: u32 = 90;
/// For how many days daily backups are kept.
pub const DAILY_BACKUPS_DAYS: u32 = 30;
/// For how many months monthly backups are kept.
pub const MONTHLY_BACKUPS_MONTHS: u32 = 12;

/// The default of a class.
pub fn retention_default(class: RecordClass) -> RetentionDefault {
    let found = DEFAULTS.into_iter().find(|default| default.class == class);
    found.unwrap_or(keeps(class, RetentionStart::Event, 2555, RetentionAction::Archive, 2555))
}

/// The id of the policy of a class: of all its aggregates, or of one aggregate type.
pub fn retention_policy_id(class: RecordClass, aggregate: Option<&str>) -> Uuid {
    derived_id(&["retention", class.name(), aggregate.unwrap_or_default()])
}

/// The default of the class whose policy has this id, if it is that of a class.
fn default_of(policy: Uuid) -> Option<RetentionRule> {
    let default = DEFAULTS.into_iter().find(|default| retention_policy_id(default.class, None) == policy)?;
    let RetentionDefault { class, after, days, action, least: _ } = default;
    Some(RetentionRule { class, aggregate: None, after, days, action })
}

/// When the next nightly run is: at 01:00 UTC (catalogue 2.12, job 2).
pub fn next_run_after(at: Timestamp) -> Timestamp {
    let now = at.to_zoned(TimeZone::UTC);
    let slot = |day: Date| day.at(1, 0, 0, 0).to_zoned(TimeZone::UTC).map(|slot| slot.timestamp());
    let today = slot(now.date()).unwrap_or(Timestamp::MAX);
    if at < today { today } else { now.date().tomorrow().and_then(slot).unwrap_or(Timestamp::MAX) }
}

/// The id of the nightly run of a policy: one for each slot, on however many nodes.
pub fn nightly_run_id(policy: Uuid, slot: Timestamp) -> Uuid {
    derived_id(&["retention-run", &policy.to_string(), &slot.to_string()])
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionRule {
    /// The class.
    pub class: RecordClass,
    /// The aggregate type, where it is for one only.
    pub aggregate: Option<String>,
    /// From when the time counts.
    pub after: RetentionStart,
    /// How many days.
    pub days: u32,
    /// What is then done.
    pub action: RetentionAction,
}

/// A run that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionRun {
    /// Its id.
    pub id: Uuid,
    /// Whether it applies nothing.
    pub dry_run: bool,
    /// As of when.
    pub as_of: Timestamp,
    /// The class that it is about.
    pub class: RecordClass,
    /// What it does.
    pub action: RetentionAction,
    /// What was dealt with (GOV-R3).
    pub done: BTreeSet<(Option<Uuid>, String)>,
    /// How many records were affected.
    pub affected: u64,
    /// How many scopes a hold kept.
    pub held: u64,
    /// How many scopes failed.
    pub failed: u64,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RetentionPolicy {
    /// What it says; none before it is set and after it is retired.
    pub rule: Option<RetentionRule>,
    /// The run that is under way.
    pub run: Option<RetentionRun>,
    /// The last run that was completed.
    pub last_run: Option<Uuid>,
}

/// What can be asked of a retention policy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum RetentionPolicyCommand {
    /// Sets how long data is kept.
    #[schemars(extend("x-elevated" = "login"))]
    SetRetentionPolicy {
        /// The class.
        record_class: RecordClass,
        /// The aggregate type, where it is for one only.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 100>)]
        aggregate: Option<String>,
        /// From when the time counts.
        after: RetentionStart,
        /// How many days, 1 to 36500.
        #[schemars(transform = schemas::number::<1, 36500>)]
        days: u32,
        /// What is then done: `shred` or `archive`. The others are refused, for nothing is held that they would be about.
        action: RetentionAction,
        /// On which legal basis, 1 to 500 characters.
        #[schemars(transform = schemas::text::<1, 500>)]
        legal_basis: String,
    },
    /// Takes the policy back; the default holds again.
    RetireRetentionPolicy {
        /// Why, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Starts a run of this policy.
    #[schemars(extend("x-elevated" = "login"))]
    StartRetentionRun {
        /// The run's id.
        run: Uuid,
        /// Whether nothing is to be applied.
        dry_run: bool,
        /// As of when.
        #[schemars(transform = schemas::instant)]
        as_of: Timestamp,
    },
    /// Puts on record what became of one scope.
    #[schemars(extend("x-system" = true))]
    RecordRetentionAction {
        /// The run.
        run: Uuid,
        /// Whose data, where it is one person's.
        #[serde(default)]
        subject: Option<Uuid>,
        /// What it was, such as the epochs up to `2025-12`.
        scope: String,
        /// What became of it.
        outcome: RetentionOutcome,
        /// How many records.
        count: u64,
        /// The last day of the last epoch that it is about.
        #[serde(default)]
        through: Option<Date>,
    },
    /// Ends the run.
    #[schemars(extend("x-system" = true))]
    CompleteRetentionRun {
        /// The run.
        run: Uuid,
    },
}

/// What can have happened to a retention policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum RetentionPolicyEvent {
    /// It was set.
    RetentionPolicySet {
        record_class: RecordClass,
        aggregate: Option<String>,
        after: RetentionStart,
        days: u32,
        action: RetentionAction,
        legal_basis: String,
    },
    /// It was taken back.
    RetentionPolicyRetired { record_class: RecordClass, aggregate: Option<String>, reason: String },
    /// A run began, with the rule that it carries out.
    RetentionRunStarted {
        run: Uuid,
        dry_run: bool,
        as_of: Timestamp,
        record_class: RecordClass,
        after: RetentionStart,
        days: u32,
        action: RetentionAction,
    },
    /// One scope was dealt with.
    RetentionActionApplied {
        run: Uuid,
        dry_run: bool,
        subject: Option<Uuid>,
        record_class: RecordClass,
        scope: String,
        action: RetentionAction,
        outcome: RetentionOutcome,
        count: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<Date>,
    },
    /// The run is over.
    RetentionRunCompleted {
        run: Uuid,
        dry_run: bool,
        record_class: RecordClass,
        affected: u64,
        held: u64,
        failed: u64,
    },
}

impl Event for RetentionPolicyEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RetentionPolicyRefusal {
    #[error("the law asks to keep it for {days} days")]
    BelowLegalMinimum { days: u32 },
    #[error("another run is under way")]
    AlreadyRunning { run: Uuid },
    #[error("a legal hold, or an open request to inspect the records, keeps the data")]
    HeldBack {},
}

impl Refusal for RetentionPolicyRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            RetentionPolicyRefusal::BelowLegalMinimum { .. } => RefusalKind::Invalid,
            RetentionPolicyRefusal::AlreadyRunning { .. } | RetentionPolicyRefusal::HeldBack {} => {
                RefusalKind::Conflict
            }
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            RetentionPolicyRefusal::BelowLegalMinimum { .. } => Some("days"),
            RetentionPolicyRefusal::AlreadyRunning { .. } | RetentionPolicyRefusal::HeldBack {} => None,
        }
    }
}

impl Decider for RetentionPolicy {
    const TYPE: &'static str = "governance.retention_policy";
    type Command = RetentionPolicyCommand;
    type Event = RetentionPolicyEvent;
    type Refusal = RetentionPolicyRefusal;
    type Facts = ();

    fn creates(command: &RetentionPolicyCommand) -> bool {
        use RetentionPolicyCommand as C;
        match command {
            // The default of a class is carried out although nobody has set it.
            C::SetRetentionPolicy { .. } | C::StartRetentionRun { .. } => true,
            C::RetireRetentionPolicy { .. }
            | C::RecordRetentionAction { .. }
            | C::CompleteRetentionRun { .. } => false,
        }
    }

    fn facts(&self, _: &RetentionPolicyCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &RetentionPolicyCommand) -> bool {
        use RetentionPolicyCommand as C;
        match command {
            C::SetRetentionPolicy { .. } | C::RetireRetentionPolicy { .. } => actor.has("manage:governance"),
            C::StartRetentionRun { .. } => actor.has("manage:governance") || actor.is_system(),
            C::RecordRetentionAction { .. } | C::CompleteRetentionRun { .. } => actor.is_system(),
        }
    }

    fn decide(&self, command: RetentionPolicyCommand, (): &(), context: &Context) -> Decided<Self> {
        use RetentionPolicyCommand as C;
        use RetentionPolicyEvent as E;
        use RetentionPolicyRefusal as R;
        let state = if self.rule.is_some() { "active" } else { "retired" };
        let wrong_state = Refused::InvalidState { state, command: (&command).into() };
        let event = match (command, &self.rule, &self.run) {
            (C::SetRetentionPolicy { record_class, aggregate, after, days, action, legal_basis }, ..) => {
                bounds::maybe_text("aggregate", aggregate.as_deref(), 1..=100)?;
                bounds::number("days", days.into(), 1..=36_500)?;
                bounds::text("legal_basis", &legal_basis, 1..=500)?;
                if context.id != retention_policy_id(record_class, aggregate.as_deref()) {
                    return Err(Refused::invalid("record_class", "the policy of this class has another id"));
                }
                if aggregate.is_some() && matches!(action, RetentionAction::Shred | RetentionAction::Archive)
                {
                    return Err(Refused::invalid("action", "a key is of a class and not of an aggregate"));
                }
                check_carried_out(action)?;
                let least = retention_default(record_class).least;
                if days < least {
                    return Err(R::BelowLegalMinimum { days: least }.into());
                }
                E::RetentionPolicySet { record_class, aggregate, after, days, action, legal_basis }
            }
            (C::RetireRetentionPolicy { .. }, None, _) => return Err(wrong_state),
            (C::StartRetentionRun { run, .. }, _, Some(running)) if running.id == run => {
                return Ok(Vec::new());
            }
            (C::RetireRetentionPolicy { .. } | C::StartRetentionRun { .. }, _, Some(run)) => {
                return Err(R::AlreadyRunning { run: run.id }.into());
            }
            (C::RetireRetentionPolicy { reason }, Some(rule), None) => {
                bounds::text("reason", &reason, 1..=2000)?;
                let (record_class, aggregate) = (rule.class, rule.aggregate.clone());
                E::RetentionPolicyRetired { record_class, aggregate, reason }
            }
            (C::StartRetentionRun { run, .. }, ..) if self.last_run == Some(run) => return Ok(Vec::new()),
            (C::StartRetentionRun { run, dry_run, as_of }, rule, None) => {
                let Some(rule) = rule.clone().or_else(|| default_of(context.id)) else {
                    return Err(wrong_state);
                };
                bounds::instant("as_of", as_of)?;
                if as_of > context.now {
                    return Err(Refused::invalid("as_of", "that time has not come"));
                }
                let (record_class, after, days, action) = (rule.class, rule.after, rule.days, rule.action);
                E::RetentionRunStarted { run, dry_run, as_of, record_class, after, days, action }
            }
            (C::RecordRetentionAction { run, subject, scope, outcome, count, through }, _, Some(running))
                if run == running.id =>
            {
                bounds::text("scope", &scope, 1..=200)?;
                if running.done.contains(&(subject, scope.clone())) {
                    return Ok(Vec::new());
                }
                let (dry_run, record_class, action) = (running.dry_run, running.class, running.action);
                E::RetentionActionApplied {
                    run,
                    dry_run,
                    subject,
                    record_class,
                    scope,
                    action,
                    outcome,
                    count,
                    through,
                }
            }
            (C::CompleteRetentionRun { run }, _, Some(running)) if run == running.id => {
                let RetentionRun { dry_run, class, affected, held, failed, .. } = *running;
                E::RetentionRunCompleted { run, dry_run, record_class: class, affected, held, failed }
            }
            // The repeat of what was dealt with by a run that is over.
            (C::RecordRetentionAction { .. } | C::CompleteRetentionRun { .. }, ..) => {
                return Ok(Vec::new());
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &RetentionPolicyEvent) {
        use RetentionPolicyEvent as E;
        match event {
            E::RetentionPolicySet { record_class, aggregate, after, days, action, .. } => {
                self.rule = Some(RetentionRule {
                    class: *record_class,
                    aggregate: aggregate.clone(),
                    after: *after,
                    days: *days,
                    action: *action,
                })
            }
            E::RetentionPolicyRetired { .. } => self.rule = None,
            E::RetentionRunStarted { run, dry_run, as_of, record_class, action, .. } => {
                self.run = Some(RetentionRun {
                    id: *run,
                    dry_run: *dry_run,
                    as_of: *as_of,
                    class: *record_class,
                    action: *action,
                    done: BTreeSet::new(),
                    affected: 0,
                    held: 0,
                    failed: 0,
                })
            }
            E::RetentionActionApplied { subject, scope, outcome, count, .. } => {
                let Some(run) = &mut self.run else { return };
                run.done.insert((*subject, scope.clone()));
                match outcome {
                    RetentionOutcome::Applied => run.affected = run.affected.saturating_add(*count),
                    RetentionOutcome::HeldBack => run.held += 1,
                    RetentionOutcome::Failed => run.failed += 1,
                }
            }
            E::RetentionRunCompleted { run, .. } => {
                self.run = None;
                self.last_run = Some(*run);
            }
        }
    }

    fn claims(_: Uuid, event: &RetentionPolicyEvent) -> Vec<Claim> {
        use RetentionPolicyEvent as E;
        match event {
            E::RetentionActionApplied {
                subject: Some(subject),
                record_class,
                outcome: RetentionOutcome::Applied,
                ..
            } => not_held(*subject, &[*record_class]),
            E::RetentionActionApplied { .. }
            | E::RetentionPolicySet { .. }
            | E::RetentionPolicyRetired { .. }
            | E::RetentionRunStarted { .. }
            | E::RetentionRunCompleted { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<RetentionPolicyRefusal> {
        is_hold(key).then_some(RetentionPolicyRefusal::HeldBack {})
    }
}

/// A policy that sets an action takes the place of the class's default: one that nothing would come of would keep data for
/// ever.
fn check_carried_out(action: RetentionAction) -> Result<(), RefusedBy<RetentionPolicy>> {
    let why = match action {
        RetentionAction::Shred | RetentionAction::Archive => return Ok(()),
        RetentionAction::PurgeProjection => {
            "no rows are held apart from the log: read models give what it gives, and nothing of what is shredded"
        }
        RetentionAction::PurgeObjects => {
            "no objects are held: packages and exports are made when they are fetched, and documents are elsewhere"
        }
    };
    Err(Refused::invalid("action", why))
}

/// The last day on which data may have been recorded that a rule now lets go, counted in days before an instant.
pub fn due_before(as_of: Timestamp, days: u32) -> Option<Date> {
    let day = as_of.to_zoned(TimeZone::UTC).date();
    day.checked_sub(jiff::Span::new().days(i64::from(days))).ok()
}

#[cfg(test)]
#[path = "retention_policy_tests.rs"]
mod tests;
