//! Mail that follows from events. A mail is sent at least once: the event is reacted to until the mail was handed over, and
//! each attempt carries the same Message-ID.

use domain::{
    governance::{PrivacyRequestEvent, requester_code_label},
    registry::AnyEvent,
};
use uuid::Uuid;

use super::{Fact, Policy, Reactions, World, identity::proven_address};
use crate::{
    CommandError,
    ports::{Mail, Undelivered},
};

/// Where the code goes: to the verified address of the account, whatever address staff gave; only where there is none, to the
/// one on file. Whoever opens a request in person is verified by their session, and needs none.
pub(super) async fn code_address(
    fact: &Fact,
    event: &PrivacyRequestEvent,
    world: &World,
) -> Result<Option<String>, CommandError> {
    let PrivacyRequestEvent::PrivacyRequestOpened { subject, address, .. } = event else { return Ok(None) };
    let opener = &fact.envelope;
    if opener.actor == format!("user:{subject}") && opener.on_behalf_of.is_none() {
        return Ok(None);
    }
    // Whose address was erased meanwhile is not written to.
    let on_file = address.as_ref().and_then(|address| address.get().cloned());
    proven_address(*subject, on_file, world).await
}

/// Hands over a mail. False: it is refused for good, so that to try it again would only hold up the mail of others.
pub(super) async fn hand_over(mail: &Mail, fact: &Fact, world: &World) -> Result<bool, CommandError> {
    match world.ports().mailer.send(mail).await {
        Ok(()) => Ok(true),
        Err(Undelivered::Refused { reason }) => {
            let trace_id = fact.envelope.trace_id();
            tracing::warn!(position = fact.position, trace_id, reason, "a mail is refused for good");
            Ok(false)
        }
        Err(not_now) => Err(not_now.into()),
    }
}

/// GOV-P2: the code with which somebody verifies that a request is theirs.
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
            let AnyEvent::PrivacyRequest(event) = &fact.event else { return Ok(Vec::new()) };
            let Some(to) = code_address(fact, event, world).await? else { return Ok(Vec::new()) };
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
            hand_over(&mail, fact, world).await?;
            Ok(Vec::new())
        })
    }
}
