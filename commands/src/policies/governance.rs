//! Governance: destroy the keys that were ordered to be destroyed, and close replays that are over (catalogue 3.8).

use domain::{
    Decider,
    governance::{
        AuditReplay, AuditReplayCommand, AuditReplayEvent, BACKUP_WINDOW, ShredBasis, SubjectKeyCommand,
        SubjectKeyEvent,
    },
    registry::{AnyCommand, AnyEvent},
};
use event_store::{Basis, Classes, Epoch};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, timer_id};
use crate::execute::now;

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

    fn tireless(&self) -> bool {
        true
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
            keyring.shred(subject, Classes::Only(&classes), reach).await?;
            // Not what this attempt destroyed, but what any did: the one before may have been killed here.
            let mut key_ids = Vec::new();
            for class in &classes {
                key_ids.extend(keyring.destroyed_ids(subject, class, reach).await?);
            }
            let destroyed_at = now();
            let certificate = certificate(subject, &classes, *basis, *cause, &key_ids, destroyed_at);
            let command = SubjectKeyCommand::ConfirmKeyDestruction {
                cause: *cause,
                record_classes: record_classes.clone(),
                key_ids,
                destroyed_at,
                certificate: Some(world.ports().certifier.sign(&certificate)?),
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

/// GOV-A4: a replay closes after eight hours.
pub(super) struct CloseReplays;

impl Policy for CloseReplays {
    fn name(&self) -> &'static str {
        "close_replays"
    }

    fn times(&self) -> Option<&'static str> {
        Some(AuditReplay::TYPE)
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
