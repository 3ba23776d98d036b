//! Packages: what an approved request for access, portability or inspection sets in motion (catalogue 3.8, P-54).

use std::collections::BTreeMap;

use domain::{
    Answer, Decider, Question, derived_id,
    governance::{PrivacyRequestCommand, PrivacyRequestEvent, StepOutcome},
    registry::{self, AnyCommand, AnyEvent},
};

use super::{Fact, Issue, Policy, Reaction, Reactions, World};
use crate::CommandError;

/// P-54: the log up to the approval is the package. It is not stored anywhere: what is recorded is how many records each
/// context has in it and the hash of its list of contents, and it is made again whenever it is fetched. What cannot be looked
/// up yet is tried again, and parks after 24 hours.
pub(super) struct HandOutPackages;

impl Policy for HandOutPackages {
    fn name(&self) -> &'static str {
        "hand_out_packages"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["PrivacyRequestApproved"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::PrivacyRequest(PrivacyRequestEvent::PrivacyRequestApproved { r#type, .. }) =
                &fact.event
            else {
                return Ok(Vec::new());
            };
            if !r#type.wants_package() {
                return Ok(Vec::new());
            }
            let request = fact.id;
            let Answer::Package { manifest_hash, records } =
                world.ask(Question::Package { request }, fact).await?
            else {
                return Err(CommandError::Internal(
                    "a package was asked for, and something else answered".into(),
                ));
            };
            let issue = |command, label: String| -> Reaction {
                Issue::new(request, AnyCommand::PrivacyRequest(command), label).into()
            };
            let mut reactions: Vec<Reaction> = Vec::new();
            for (context, records) in with_empty_contexts(records) {
                let outcome = if records == 0 { StepOutcome::Nothing } else { StepOutcome::Done };
                let label = format!("step|{context}");
                let step =
                    PrivacyRequestCommand::RecordFulfilmentStep { context, outcome, records, note: None };
                reactions.push(issue(step, label));
            }
            let document = derived_id(&["package", &request.to_string()]);
            let attach = PrivacyRequestCommand::AttachPackage { document, manifest_hash };
            reactions.push(issue(attach, "attach".into()));
            let summary = format!(
                "the package can be fetched for seven days; it has the log up to position {}",
                fact.position
            );
            reactions
                .push(issue(PrivacyRequestCommand::CompletePrivacyRequest { summary }, "complete".into()));
            Ok(reactions)
        })
    }
}

/// The contexts that have nothing are told of as well.
fn with_empty_contexts(mut records: BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    struct Contexts<'a>(&'a mut BTreeMap<String, u32>);
    impl registry::Visitor for Contexts<'_> {
        fn aggregate<D: Decider>(&mut self) {
            let context = D::TYPE.split('.').next().unwrap_or_default();
            self.0.entry(context.to_owned()).or_default();
        }
    }
    registry::every_aggregate(&mut Contexts(&mut records));
    records
}
