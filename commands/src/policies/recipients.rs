//! Art. 19 GDPR (catalogue 3.8, P-53): whoever received data is told that it was erased, corrected, or is not to be used.
//!
//! Each recipient on record is owed a notice of its own, which stands until it is settled: by a mail where there is an address,
//! else by the office, which is reminded before the time is over.

use domain::{
    Answer, Question, ReceivedBy, Recipient, RecordClass,
    governance::{
        DataChange, Disclosure, PrivacyRequest, PrivacyRequestEvent, PrivacyRequestType, RecipientNotice,
        RecipientNoticeCommand, RecipientNoticeEvent, StepOutcome, escalations, recipient_notice_id,
    },
    registry::{AnyCommand, AnyEvent},
};
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, identity::address_of, timer_id};
use crate::{CommandError, execute::now, ports::Mail};

/// What was carried out is owed to whoever received the data.
pub(super) struct OweNotices;

impl Policy for OweNotices {
    fn name(&self) -> &'static str {
        "owe_notices"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["PrivacyRequestCompleted"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::PrivacyRequest(PrivacyRequestEvent::PrivacyRequestCompleted { subject, .. }) =
                &fact.event
            else {
                return Ok(Vec::new());
            };
            let request = world.state::<PrivacyRequest>(fact.id).await?.state;
            let Some((change, classes)) = changed(&request) else { return Ok(Vec::new()) };
            let question = Question::Recipients { subject: *subject };
            let Answer::Recipients(recipients) = world.ask(question, fact).await? else {
                return Err(CommandError::Internal("recipients were not answered with recipients".into()));
            };
            let concerned = recipients.into_iter().filter(|one| concerns(one, &classes, &request.records));
            let owe = |recipient: Recipient| {
                let notice = recipient_notice_id(fact.id, &recipient);
                let owe = RecipientNoticeCommand::OweNotice {
                    request: fact.id,
                    subject: *subject,
                    change,
                    classes: classes.clone(),
                    recipient,
                };
                Issue::new(notice, AnyCommand::RecipientNotice(owe), notice.to_string()).into()
            };
            Ok(concerned.map(owe).collect())
        })
    }
}

/// What a request that is complete has changed of the data, and of which classes; none where it changed nothing.
fn changed(request: &PrivacyRequest) -> Option<(DataChange, Vec<RecordClass>)> {
    use PrivacyRequestType as T;
    match request.r#type {
        T::Erasure => {
            let gone = |class: &RecordClass| {
                let step = request.steps.get(&format!("keys of {}", class.name()));
                step == Some(&StepOutcome::Done)
            };
            let classes: Vec<RecordClass> = RecordClass::ALL.into_iter().filter(gone).collect();
            (!classes.is_empty()).then_some((DataChange::Erased, classes))
        }
        T::Rectification | T::Amendment => {
            let corrected = request.amended == Some(true)
                || request.steps.values().any(|outcome| *outcome == StepOutcome::Done);
            corrected.then(|| (DataChange::Corrected, request.classes.clone()))
        }
        // A restriction for some purposes leaves the others their use.
        T::Restriction => {
            request.purposes.is_empty().then(|| (DataChange::Restricted, request.classes.clone()))
        }
        T::Access | T::Portability | T::Objection | T::Inspection => None,
    }
}

/// Whether what a recipient has is of what was changed: disclosures are of education records, a package and a document of a
/// replay may have anything.
fn concerns(recipient: &Recipient, classes: &[RecordClass], contested: &[String]) -> bool {
    if recipient.by != ReceivedBy::Disclosure {
        return true;
    }
    let alike = |one: &String, other: &String| one.trim().eq_ignore_ascii_case(other.trim());
    let named = contested.is_empty()
        || contested.iter().any(|name| recipient.records.iter().any(|record| alike(name, record)));
    named && (classes.is_empty() || classes.contains(&RecordClass::Education))
}

/// A notice goes by mail where there is an address, and is escalated before its time is over where it is not settled by then.
pub(super) struct TellRecipients;

impl TellRecipients {
    fn timer(&self, notice: Uuid, days_left: i32) -> Uuid {
        timer_id(self.name(), &[&notice.to_string(), &days_left.to_string()])
    }
}

impl Policy for TellRecipients {
    fn name(&self) -> &'static str {
        "tell_recipients"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RecipientNoticeOwed", "RecipientTold", "RecipientNoticeWaived"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        use RecipientNoticeEvent as E;
        Box::pin(async move {
            let AnyEvent::RecipientNotice(event) = &fact.event else { return Ok(Vec::new()) };
            match event {
                E::RecipientNoticeOwed { change, recipient, due_at, .. } => {
                    if let Some(to) = address(recipient, world).await? {
                        let mail = Mail {
                            to,
                            subject: "Data that you received".to_owned(),
                            text: text(*change, recipient, fact.id),
                            html: None,
                            message_id: Uuid::new_v5(&fact.event_id, b"mail"),
                        };
                        world.ports().mailer.send(&mail).await?;
                        let at = now().max(world.state::<RecipientNotice>(fact.id).await?.state.owed_at);
                        let tell = RecipientNoticeCommand::TellRecipient { method: "mail".to_owned(), at };
                        return Ok(vec![
                            Issue::new(fact.id, AnyCommand::RecipientNotice(tell), "told").into(),
                        ]);
                    }
                    let arm = |(days_left, due_at)| {
                        let escalate = RecipientNoticeCommand::EscalateNotice { days_left };
                        Reaction::Arm(Timer {
                            id: self.timer(fact.id, days_left),
                            due_at,
                            aggregate: fact.id,
                            command: AnyCommand::RecipientNotice(escalate),
                        })
                    };
                    Ok(escalations(*due_at).into_iter().map(arm).collect())
                }
                E::RecipientTold { .. } | E::RecipientNoticeWaived { .. } => {
                    let none =
                        escalations(fact.recorded_at).map(|(days_left, _)| self.timer(fact.id, days_left));
                    Ok(none.map(Reaction::Disarm).into())
                }
                E::RecipientNoticeEscalated { .. } => Ok(Vec::new()),
            }
        })
    }
}

/// Where a recipient is written to, if that is known.
async fn address(recipient: &Recipient, world: &World) -> Result<Option<String>, CommandError> {
    match (recipient.by, recipient.account) {
        (_, Some(account)) => address_of(account, world).await,
        (ReceivedBy::Disclosure, None) => {
            let disclosure = world.state::<Disclosure>(recipient.reference).await?.state;
            Ok(disclosure.address.as_ref().and_then(|address| address.get().cloned()))
        }
        (ReceivedBy::Package | ReceivedBy::Export, None) => Ok(None),
    }
}

/// What a recipient is told: nothing of the person but what they have already, by its reference.
fn text(change: DataChange, recipient: &Recipient, notice: Uuid) -> String {
    let (what, ask) = match change {
        DataChange::Erased => ("was erased at the person's request (Art. 17 GDPR)", "Erase your copy"),
        DataChange::Corrected => ("was corrected", "Do not use your copy, and ask for the corrected one"),
        DataChange::Restricted => {
            ("is not to be used for the time being (Art. 18 GDPR)", "Keep your copy and do not use it")
        }
    };
    let by = match recipient.by {
        ReceivedBy::Disclosure => "by disclosure",
        ReceivedBy::Package => "as the package of the privacy request",
        ReceivedBy::Export => "as a document of the audit replay",
    };
    let records = match recipient.records.is_empty() {
        true => String::new(),
        false => format!(" ({})", recipient.records.join(", ")),
    };
    format!(
        "Data that you received {by} {}{records} {what}. {ask}, and tell whomever you handed it on to (Art. 19 \
         GDPR).\n\nReference: {notice}\n",
        recipient.reference
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn request(r#type: PrivacyRequestType, steps: &[(&str, StepOutcome)]) -> PrivacyRequest {
        let steps: BTreeMap<String, StepOutcome> =
            steps.iter().map(|(context, outcome)| ((*context).to_owned(), *outcome)).collect();
        PrivacyRequest { r#type, steps, ..PrivacyRequest::default() }
    }

    #[test]
    fn art_19_what_was_refused_or_left_is_nothing_to_tell_of() {
        use PrivacyRequestType as T;
        let keys = [("keys of education", StepOutcome::Done), ("keys of payment", StepOutcome::Refused)];
        let erased = Some((DataChange::Erased, vec![RecordClass::Education]));
        assert_eq!(changed(&request(T::Erasure, &keys)), erased);
        assert_eq!(changed(&request(T::Erasure, &[("keys of payment", StepOutcome::Refused)])), None);
        assert_eq!(changed(&request(T::Rectification, &[("profile", StepOutcome::Refused)])), None);
        assert_eq!(changed(&request(T::Access, &[("profile", StepOutcome::Done)])), None);
        let heard = |amended| PrivacyRequest { amended: Some(amended), ..request(T::Amendment, &[]) };
        assert_eq!(changed(&heard(false)), None);
        assert_eq!(changed(&heard(true)), Some((DataChange::Corrected, Vec::new())));
    }

    #[test]
    fn art_19_a_party_is_told_of_the_records_that_it_has_and_of_no_others() {
        let party = Recipient {
            by: ReceivedBy::Disclosure,
            reference: Uuid::from_u128(1),
            account: None,
            records: vec!["Transcript".into()],
        };
        let education = [RecordClass::Education];
        assert!(concerns(&party, &education, &[]) && concerns(&party, &[], &["transcript".into()]));
        assert!(!concerns(&party, &[RecordClass::Device], &[]));
        assert!(!concerns(&party, &education, &["attendance".into()]));
        let officer = Recipient { by: ReceivedBy::Package, account: Some(Uuid::from_u128(2)), ..party };
        assert!(concerns(&officer, &[RecordClass::Device], &[]));
    }
}
