//! Erasure: what an approved request sets in motion, class by class (catalogue 3.8, P-53).

use domain::{
    RecordClass,
    governance::{
        PrivacyRequest, PrivacyRequestCommand, PrivacyRequestEvent, PrivacyRequestType, ShredBasis,
        StepOutcome, SubjectKeyCommand, SubjectKeyEvent,
    },
    registry::{AnyCommand, AnyEvent},
};
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, World};
use crate::CommandError;

/// P-53: the keys of the approved classes are ordered to be destroyed. A class that a legal hold or a legal duty keeps is
/// refused with the ground, and the others go all the same.
pub(super) struct EraseOnRequest;

impl Policy for EraseOnRequest {
    fn name(&self) -> &'static str {
        "erase_on_request"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["PrivacyRequestApproved"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::PrivacyRequest(PrivacyRequestEvent::PrivacyRequestApproved {
                r#type: PrivacyRequestType::Erasure,
                subject,
                classes,
                ..
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let request = fact.id;
            let classes = if classes.is_empty() { &RecordClass::ALL[..] } else { &classes[..] };
            let mut reactions: Vec<Reaction> = Vec::new();
            // All steps are begun before the first can be done: else the request would be complete too early.
            for class in classes {
                reactions.push(step(request, *class, StepOutcome::Partial, 0, None).into());
            }
            for class in classes.iter().copied() {
                let shred = SubjectKeyCommand::ShredSubjectKey {
                    record_classes: vec![class],
                    basis: ShredBasis::Erasure,
                    through: None,
                    cause: request,
                };
                let label = format!("erase|{}", class.name());
                let refused = move |why: &CommandError| {
                    vec![step(request, class, StepOutcome::Refused, 0, Some(why.to_string())).into()]
                };
                reactions.push(
                    Issue::new(*subject, AnyCommand::SubjectKey(shred), label).otherwise(refused).into(),
                );
            }
            // For where everything was refused; else the last destruction completes the request.
            reactions.push(complete(request, "complete").into());
            Ok(reactions)
        })
    }
}

/// P-53, the end: what is destroyed is a step that is done, and the last step completes the request.
pub(super) struct CompleteErasures;

impl Policy for CompleteErasures {
    fn name(&self) -> &'static str {
        "complete_erasures"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["SubjectKeysDestroyed"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::SubjectKey(SubjectKeyEvent::SubjectKeysDestroyed {
                cause,
                record_classes,
                key_ids,
                ..
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            // A retention run has no request to be completed.
            if !world.state::<PrivacyRequest>(*cause).await?.exists() {
                return Ok(Vec::new());
            }
            let done = |class: &RecordClass| {
                let prefix = format!("{}/", class.name());
                let keys = key_ids.iter().filter(|id| id.starts_with(&prefix)).count();
                let outcome = if keys == 0 { StepOutcome::Nothing } else { StepOutcome::Done };
                step(*cause, *class, outcome, keys as u32, None).into()
            };
            let mut reactions: Vec<Reaction> = record_classes.iter().map(done).collect();
            reactions.push(complete(*cause, "complete").into());
            Ok(reactions)
        })
    }
}

fn step(
    request: Uuid,
    class: RecordClass,
    outcome: StepOutcome,
    records: u32,
    note: Option<String>,
) -> Issue {
    let context = format!("keys of {}", class.name());
    let label = format!("{outcome:?}|{}", class.name());
    let command = PrivacyRequestCommand::RecordFulfilmentStep { context, outcome, records, note };
    Issue::new(request, AnyCommand::PrivacyRequest(command), label)
}

fn complete(request: Uuid, label: &'static str) -> Issue {
    let summary =
        "the keys of the classes that no law or hold keeps were destroyed; the certificates are on record";
    let command = PrivacyRequestCommand::CompletePrivacyRequest { summary: summary.to_owned() };
    Issue::new(request, AnyCommand::PrivacyRequest(command), label)
}
