//! Governance: carry out erasures and retention, and close replays that are over (catalogue 3.8).

use domain::{
    RecordClass,
    governance::{
        AuditReplayCommand, AuditReplayEvent, BACKUP_WINDOW, RetentionAction, RetentionOutcome,
        RetentionPolicyCommand, RetentionPolicyEvent, RetentionStart, ShredBasis, SubjectKeyCommand,
        SubjectKeyEvent, due_before,
    },
    registry::{AnyCommand, AnyEvent},
};
use event_store::{Basis, Classes, Epoch};
use jiff::{Timestamp, civil::Date};
use serde_json::json;
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, timer_id};
use crate::{CommandError, execute::now};

/// The destruction of keys that were ordered to be destroyed: in the ledger of erasures, then in the key store, then as a
/// fact with a signed certificate (GOV-K2). `SubjectKeyShredded` is the point of no return; from there on steps only retry.
pub(super) struct DestroyKeys;

impl Policy for DestroyKeys {
    fn name(&self) -> &'static str {
        "destroy_keys"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["SubjectKeyShredded"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::SubjectKey(SubjectKeyEvent::SubjectKeyShredded {
                record_classes,
                basis,
                through,
                cause,
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let reach = match (basis, through) {
                (ShredBasis::Erasure, _) => Basis::Erasure,
                (ShredBasis::Retention, Some(day)) => Basis::Retention { through: Epoch::ending(*day) },
                // No order for retention is without its last day: there is nothing to destroy.
                (ShredBasis::Retention, None) => return Ok(Vec::new()),
            };
            let (subject, keyring) = (fact.id, world.commands().store().keyring());
            let classes: Vec<&str> = record_classes.iter().map(|class| class.name()).collect();
            let mut key_ids = Vec::new();
            for class in &classes {
                key_ids.extend(keyring.key_ids(subject, class, reach).await?);
            }
            keyring.shred(subject, Classes::Only(&classes), reach).await?;
            let destroyed_at = now();
            let certificate = certificate(subject, &classes, *basis, *cause, &key_ids, destroyed_at);
            let command = SubjectKeyCommand::ConfirmKeyDestruction {
                cause: *cause,
                record_classes: record_classes.clone(),
                key_ids,
                destroyed_at,
                certificate: Some(world.ports().notary.sign(&certificate)?),
            };
            Ok(vec![Issue::new(subject, AnyCommand::SubjectKey(command), "confirm").into()])
        })
    }
}

/// What is certified, without any personal data: whose keys were destroyed, which, when, and until when a backup may still
/// have a copy of them.
fn certificate(
    subject: Uuid,
    classes: &[&str],
    basis: ShredBasis,
    cause: Uuid,
    key_ids: &[String],
    destroyed_at: Timestamp,
) -> serde_json::Value {
    json!({
        "statement": "the keys of these data were destroyed; every copy of what they sealed is unreadable",
        "subject": subject,
        "record_classes": classes,
        "basis": basis,
        "cause": cause,
        "key_ids": key_ids,
        "destroyed_at": destroyed_at,
        "backups_until": destroyed_at.checked_add(BACKUP_WINDOW).unwrap_or(Timestamp::MAX),
    })
}

/// P-50: a retention run is carried out. Holds win; what a hold kept is counted, and what fails stops nothing else. A dry
/// run puts the same on record and destroys nothing.
pub(super) struct RunRetention;

impl Policy for RunRetention {
    fn name(&self) -> &'static str {
        "run_retention"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RetentionRunStarted"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::RetentionPolicy(RetentionPolicyEvent::RetentionRunStarted {
                run,
                dry_run,
                as_of,
                record_class,
                after,
                days,
                action,
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let through = ended_by(*as_of, *days);
            let mut reactions = match (action, after, through) {
                (
                    RetentionAction::Shred,
                    RetentionStart::Event | RetentionStart::LastActivity,
                    Some(last),
                ) => {
                    let idle = *after == RetentionStart::LastActivity;
                    let keyring = world.commands().store().keyring();
                    let due = keyring.due(record_class.name(), Epoch::ending(last), idle).await?;
                    let shred =
                        |(subject, keys)| let_go(fact.id, *run, *dry_run, *record_class, last, subject, keys);
                    due.into_iter().flat_map(shred).collect()
                }
                (RetentionAction::Shred, RetentionStart::Closure | RetentionStart::Graduation, Some(_)) => {
                    vec![failed(fact.id, *run, "the day from which the time counts is not known")]
                }
                (_, _, None) => Vec::new(),
                (
                    RetentionAction::PurgeProjection
                    | RetentionAction::PurgeObjects
                    | RetentionAction::Archive,
                    ..,
                ) => {
                    vec![failed(fact.id, *run, "nothing is connected that carries out this action")]
                }
            };
            let end = RetentionPolicyCommand::CompleteRetentionRun { run: *run };
            reactions.push(Issue::new(fact.id, AnyCommand::RetentionPolicy(end), "complete").into());
            Ok(reactions)
        })
    }
}

/// The last day of the last month that had ended so many days before an instant: epochs end with a month.
fn ended_by(as_of: Timestamp, days: u32) -> Option<Date> {
    let day = due_before(as_of, days)?;
    let month_ends = day.last_of_month();
    if day == month_ends { Some(day) } else { day.first_of_month().yesterday().ok() }
}

/// One person's epochs: destroyed, unless a hold keeps them. What was put on record first stays (GOV-R3).
fn let_go(
    policy: Uuid,
    run: Uuid,
    dry_run: bool,
    class: RecordClass,
    last: Date,
    subject: Uuid,
    keys: u64,
) -> Vec<Reaction> {
    let scope = format!("keys of {} up to {last}", class.name());
    let record = move |outcome: RetentionOutcome| {
        let label: &'static str = outcome.into();
        let scope = scope.clone();
        let command = RetentionPolicyCommand::RecordRetentionAction {
            run,
            subject: Some(subject),
            scope,
            outcome,
            count: keys,
        };
        Issue::new(policy, AnyCommand::RetentionPolicy(command), format!("{label}|{subject}"))
    };
    let kept = {
        let record = record.clone();
        move |_: &CommandError| vec![record(RetentionOutcome::HeldBack).into()]
    };
    let applied = record(RetentionOutcome::Applied).otherwise(kept.clone()).into();
    if dry_run {
        return vec![applied];
    }
    let shred = SubjectKeyCommand::ShredSubjectKey {
        record_classes: vec![class],
        basis: ShredBasis::Retention,
        through: Some(last),
        cause: run,
    };
    let shred = Issue::new(subject, AnyCommand::SubjectKey(shred), "retire").otherwise(kept);
    vec![shred.into(), applied]
}

fn failed(policy: Uuid, run: Uuid, why: &str) -> Reaction {
    let command = RetentionPolicyCommand::RecordRetentionAction {
        run,
        subject: None,
        scope: why.to_owned(),
        outcome: RetentionOutcome::Failed,
        count: 0,
    };
    Issue::new(policy, AnyCommand::RetentionPolicy(command), "failed").into()
}

/// GOV-A4: a replay closes after eight hours.
pub(super) struct CloseReplays;

impl Policy for CloseReplays {
    fn name(&self) -> &'static str {
        "close_replays"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["AuditReplayOpened", "AuditReplayClosed"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::AuditReplay(event) = &fact.event else { return Ok(Vec::new()) };
            let timer = timer_id(self.name(), &[&fact.id.to_string()]);
            Ok(match event {
                AuditReplayEvent::AuditReplayOpened { closes_at, .. } => vec![Reaction::Arm(Timer {
                    id: timer,
                    due_at: *closes_at,
                    aggregate: fact.id,
                    command: AnyCommand::AuditReplay(AuditReplayCommand::CloseAuditReplay {}),
                })],
                AuditReplayEvent::AuditReplayClosed {} => vec![Reaction::Disarm(timer)],
                AuditReplayEvent::AuditReplayApproved { .. }
                | AuditReplayEvent::AuditReplayRead { .. }
                | AuditReplayEvent::IntegrityVerified { .. }
                | AuditReplayEvent::AuditPackageExported { .. } => Vec::new(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_over_when_its_last_month_is() {
        let ended = |as_of: &str, days| ended_by(as_of.parse().unwrap(), days).unwrap().to_string();
        assert_eq!(ended("2026-01-31T12:00:00Z", 31), "2025-12-31");
        assert_eq!(ended("2026-01-30T12:00:00Z", 31), "2025-11-30");
        assert_eq!(ended("2026-03-01T00:00:00Z", 1), "2026-02-28");
    }
}
