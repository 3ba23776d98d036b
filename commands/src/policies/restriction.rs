//! Restriction of processing and objection (Art. 18 and 21 GDPR): what an approved request stops, and until when (GOV-P5).

use domain::{
    Decider,
    governance::{
        ConsentLedgerCommand, PrivacyRequest, PrivacyRequestCommand, PrivacyRequestEvent, PrivacyRequestType,
        StepOutcome,
    },
    registry::{AnyCommand, AnyEvent},
};

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, timer_id};

/// Art. 21(3): an objection to direct marketing waits for nobody's judgement, but for who asks.
pub(super) struct StopMarketing;

impl Policy for StopMarketing {
    fn name(&self) -> &'static str {
        "stop_marketing"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RequesterVerified"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            if !world.state::<PrivacyRequest>(fact.id).await?.state.is_absolute() {
                return Ok(Vec::new());
            }
            let note = Some("nothing is weighed against it (Art. 21(3) GDPR)".to_owned());
            let approve = PrivacyRequestCommand::ApprovePrivacyRequest { note, classes: None };
            Ok(vec![Issue::new(fact.id, AnyCommand::PrivacyRequest(approve), "approve").into()])
        })
    }
}

/// An approved restriction or objection stands in the person's consent ledger, where every decision looks, and is complete.
pub(super) struct StopProcessing;

impl Policy for StopProcessing {
    fn name(&self) -> &'static str {
        "stop_processing"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["PrivacyRequestApproved"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        use PrivacyRequestType as T;
        Box::pin(async move {
            let AnyEvent::PrivacyRequest(PrivacyRequestEvent::PrivacyRequestApproved {
                r#type: r#type @ (T::Restriction | T::Objection),
                subject,
                classes,
                ..
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let request = fact.id;
            let purposes = world.state::<PrivacyRequest>(request).await?.state.purposes.clone();
            let stopped = u32::try_from(purposes.len()).unwrap_or(u32::MAX);
            let summary = match r#type {
                T::Objection => "the data is no longer used for these purposes (Art. 21 GDPR)",
                _ => "the data is kept and not used, until the restriction is lifted (Art. 18 GDPR)",
            };
            let restrict = ConsentLedgerCommand::RestrictProcessing {
                request,
                purposes,
                classes: classes.clone(),
                objection: *r#type == T::Objection,
            };
            let step = PrivacyRequestCommand::RecordFulfilmentStep {
                context: "processing".to_owned(),
                outcome: StepOutcome::Done,
                records: stopped,
                note: None,
            };
            let complete = PrivacyRequestCommand::CompletePrivacyRequest { summary: summary.to_owned() };
            Ok(vec![
                Issue::new(*subject, AnyCommand::ConsentLedger(restrict), "restrict").into(),
                Issue::new(request, AnyCommand::PrivacyRequest(step), "step").into(),
                Issue::new(request, AnyCommand::PrivacyRequest(complete), "complete").into(),
            ])
        })
    }
}

/// A restriction ends when it was said to end, and the person was told before (Art. 18(3)).
pub(super) struct ReleaseProcessing;

impl Policy for ReleaseProcessing {
    fn name(&self) -> &'static str {
        "release_processing"
    }

    fn times(&self) -> Option<&'static str> {
        Some(PrivacyRequest::TYPE)
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RestrictionLiftAnnounced"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        let reactions = match &fact.event {
            AnyEvent::PrivacyRequest(PrivacyRequestEvent::RestrictionLiftAnnounced {
                at, subject, ..
            }) => {
                let release = ConsentLedgerCommand::ReleaseProcessing { request: fact.id };
                let command = AnyCommand::ConsentLedger(release);
                let timer = timer_id(self.name(), &[&fact.id.to_string()]);
                if *at <= fact.recorded_at {
                    vec![Reaction::Disarm(timer), Issue::new(*subject, command, "release").into()]
                } else {
                    vec![Reaction::Arm(Timer { id: timer, due_at: *at, aggregate: *subject, command })]
                }
            }
            _ => Vec::new(),
        };
        Box::pin(std::future::ready(Ok(reactions)))
    }
}
