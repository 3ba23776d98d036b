//! Erasure: what an approved request sets in motion, class by class (catalogue 3.8, P-53).

use domain::{
    Answer, Question, RecordClass, Refusal,
    governance::{
        PrivacyRequest, PrivacyRequestCommand, PrivacyRequestEvent, PrivacyRequestType, ShredBasis,
        StepOutcome, SubjectKeyCommand, SubjectKeyEvent, SubjectKeyRefusal, erased_classes,
    },
    identity::AccountCommand,
    opportunities::ScholarshipApplicationCommand,
    registry::{AnyCommand, AnyEvent},
};
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, World};
use crate::CommandError;

/// P-53: what is held is listed by context, open work is cancelled, and then the keys of the approved classes are ordered
/// to be destroyed. A class that a legal hold or a legal duty keeps is refused with the ground, and the others go all the
/// same. The destruction is the point of no return and comes last: what fails before it is tried again, and parks.
pub(super) struct EraseOnRequest;

impl Policy for EraseOnRequest {
    fn name(&self) -> &'static str {
        "erase_on_request"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["PrivacyRequestApproved"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::PrivacyRequest(PrivacyRequestEvent::PrivacyRequestApproved {
                r#type: PrivacyRequestType::Erasure,
                subject,
                classes,
                refused,
                note,
                ..
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let (request, subject) = (fact.id, *subject);
            let classes = erased_classes(classes);
            let mut reactions: Vec<Reaction> = Vec::new();
            // All steps are begun before the first can be done: else the request would be complete too early.
            for class in &classes {
                reactions.push(step(request, *class, StepOutcome::Partial, 0, None).into());
            }
            // Earlier approvals name as refused what goes with who somebody is.
            for class in refused.iter().filter(|class| !classes.contains(class)) {
                reactions.push(step(request, *class, StepOutcome::Refused, 0, note.clone()).into());
            }
            reactions.extend(wind_up(request, subject, fact, world).await?);
            if classes.contains(&RecordClass::Identity) {
                // While its keyed hashes can still be read: they free what the account claims.
                let erase = AccountCommand::EraseAccount { privacy_request: request };
                reactions.push(Issue::new(subject, AnyCommand::Account(erase), "account").into());
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
                    let gone = (SubjectKeyRefusal::Shredded {}).code();
                    let outcome = match why {
                        // An earlier request had it erased.
                        CommandError::Refused { code, .. } if *code == gone => StepOutcome::Nothing,
                        _ => StepOutcome::Refused,
                    };
                    vec![step(request, class, outcome, 0, Some(why.to_string())).into()]
                };
                reactions.push(
                    Issue::new(subject, AnyCommand::SubjectKey(shred), label).otherwise(refused).into(),
                );
            }
            // For where everything was refused; else the last destruction completes the request.
            reactions.push(complete(request, "complete").into());
            Ok(reactions)
        })
    }
}

/// What every context does before the keys go: open applications are withdrawn (one that was decided meanwhile stays as it
/// is), and what is held is counted.
async fn wind_up(
    request: Uuid,
    subject: Uuid,
    fact: &Fact,
    world: &World,
) -> Result<Vec<Reaction>, CommandError> {
    let Answer::References(open) = world.ask(Question::OpenApplications { applicant: subject }, fact).await?
    else {
        return Err(CommandError::Internal("applications were not answered with references".into()));
    };
    let Answer::Counts(held) = world.ask(Question::Holdings { subject }, fact).await? else {
        return Err(CommandError::Internal("holdings were not answered with counts".into()));
    };
    let withdraw = |application: &Uuid| {
        // The request says why: a reason would be sealed with a key that is about to go.
        let withdraw = ScholarshipApplicationCommand::WithdrawApplication { reason: None };
        Issue::new(*application, AnyCommand::ScholarshipApplication(withdraw), "withdraw").into()
    };
    let count = |(context, events): (String, u64)| {
        let withdrawn = open.len();
        let note = (context == "opportunities" && withdrawn > 0)
            .then(|| format!("{withdrawn} open applications were withdrawn"));
        let label = format!("held|{context}");
        let records = u32::try_from(events).unwrap_or(u32::MAX);
        let outcome = StepOutcome::Done;
        let command = PrivacyRequestCommand::RecordFulfilmentStep { context, outcome, records, note };
        Issue::new(request, AnyCommand::PrivacyRequest(command), label).into()
    };
    Ok(open.iter().map(withdraw).chain(held.into_iter().map(count)).collect())
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

    fn tireless(&self) -> bool {
        true
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
