//! What was approved comes to its end, or somebody looks why not (catalogue 3.8, P-53 and P-54). And what was authorised on a
//! consent is refused when the consent is revoked (P-57).

use domain::{
    Answer, Decider, Question,
    governance::{
        ConsentLedgerEvent, DisclosureCommand, PrivacyRequest, PrivacyRequestCommand, PrivacyRequestEvent,
        STALLED_AFTER_HOURS,
    },
    registry::{AnyCommand, AnyEvent},
};
use jiff::SignedDuration;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, timer_id};
use crate::CommandError;

/// A request whose fulfilment has not come to its end a day after the approval is escalated, and each day after that: a
/// context may not answer, the key store may be away, or a step may be parked. What fails is tried again meanwhile.
pub(super) struct WatchFulfilment;

impl WatchFulfilment {
    fn next(&self, fact: &Fact, hours: u32) -> Reaction {
        let after = SignedDuration::from_hours(STALLED_AFTER_HOURS.into());
        Reaction::Arm(Timer {
            id: timer_id(self.name(), &[&fact.id.to_string()]),
            due_at: fact.recorded_at.saturating_add(after).unwrap_or(fact.recorded_at),
            aggregate: fact.id,
            command: AnyCommand::PrivacyRequest(PrivacyRequestCommand::ReportStall { hours }),
        })
    }
}

impl Policy for WatchFulfilment {
    fn name(&self) -> &'static str {
        "watch_fulfilment"
    }

    fn times(&self) -> Option<&'static str> {
        Some(PrivacyRequest::TYPE)
    }

    fn interests(&self) -> &'static [&'static str] {
        &["PrivacyRequestApproved", "FulfilmentStalled", "PrivacyRequestCompleted"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        use PrivacyRequestEvent as E;
        let reactions = match &fact.event {
            AnyEvent::PrivacyRequest(E::PrivacyRequestApproved { r#type, .. }) if !r#type.is_correction() => {
                vec![self.next(fact, STALLED_AFTER_HOURS)]
            }
            AnyEvent::PrivacyRequest(E::FulfilmentStalled { hours, .. }) => {
                vec![self.next(fact, hours.saturating_add(STALLED_AFTER_HOURS))]
            }
            AnyEvent::PrivacyRequest(E::PrivacyRequestCompleted { .. }) => {
                vec![Reaction::Disarm(timer_id(self.name(), &[&fact.id.to_string()]))]
            }
            _ => Vec::new(),
        };
        Box::pin(std::future::ready(Ok(reactions)))
    }
}

/// P-57: what was authorised on a consent that is revoked is refused. It could not be carried out anyway: whoever records it
/// looks at the consent again.
pub(super) struct RefuseDisclosures;

impl Policy for RefuseDisclosures {
    fn name(&self) -> &'static str {
        "refuse_disclosures"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["DisclosureConsentRevoked"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::ConsentLedger(ConsentLedgerEvent::DisclosureConsentRevoked { consent }) =
                &fact.event
            else {
                return Ok(Vec::new());
            };
            let question = Question::DisclosuresOn { subject: fact.id, consent: *consent };
            let Answer::References(authorised) = world.ask(question, fact).await? else {
                return Err(CommandError::Internal("disclosures were not answered with references".into()));
            };
            let refuse = |disclosure| {
                let reason = "the student revoked the consent (34 CFR 99.30)".to_owned();
                let refuse = AnyCommand::Disclosure(DisclosureCommand::RefuseDisclosure { reason });
                Issue::new(disclosure, refuse, "revoked").into()
            };
            Ok(authorised.into_iter().map(refuse).collect())
        })
    }
}
