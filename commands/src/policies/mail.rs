//! Mail that follows from events. A mail is sent at least once: the event is reacted to until the mail was handed over, and
//! each attempt carries the same Message-ID.

use domain::{
    governance::{PrivacyRequestEvent, requester_code_label},
    registry::AnyEvent,
};
use uuid::Uuid;

use super::{Fact, Policy, Reactions, World, identity::address_for_request};
use crate::ports::Mail;

/// GOV-P2: the code with which somebody verifies that a request is theirs. Whose account has a verified address gets it there,
/// whatever address staff gave: only where there is none, the one on file counts.
pub(super) struct MailCodes;

impl Policy for MailCodes {
    fn name(&self) -> &'static str {
        "mail_codes"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["PrivacyRequestOpened"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::PrivacyRequest(PrivacyRequestEvent::PrivacyRequestOpened {
                subject,
                address: Some(address),
                ..
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            // Whose address was erased meanwhile is not written to.
            let Some(on_file) = address.get().cloned() else { return Ok(Vec::new()) };
            let Some(to) = address_for_request(*subject, Some(on_file), world).await? else {
                return Ok(Vec::new());
            };
            let code = world.ports().tokens.token(&requester_code_label(fact.id));
            let mail = Mail {
                to,
                subject: "Your request".to_owned(),
                text: format!(
                    "A request about your personal data was entered for you. If it is yours, give this code to the \
                     office, so that it knows that the request comes from you:\n\n{code}\n\nIf it is not, tell the \
                     office so, and give the code to nobody.\n\nReference: {}\n",
                    fact.id
                ),
                html: None,
                message_id: Uuid::new_v5(&fact.event_id, b"mail"),
            };
            world.ports().mailer.send(&mail).await?;
            Ok(Vec::new())
        })
    }
}
