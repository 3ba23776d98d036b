//! Art. 19 GDPR (catalogue 3.8, P-53): whoever received data is told that it was erased, corrected, or is not to be used.
//!
//! Each recipient on record is owed a notice of its own, which stands until it is settled: by a mail where there is an address,
//! else, and where that mail was not delivered, by the office, which is reminded before the time is over.

use domain::{
    Answer, Decider, Question, ReceivedBy, Recipient, RecordClass,
    governance::{
        DataChange, Disclosure, ESCALATE_BEFORE, PrivacyRequest, PrivacyRequestEvent, PrivacyRequestType,
        RecipientNotice, RecipientNoticeCommand, RecipientNoticeEvent, StepOutcome, escalations,
        recipient_notice_id,
    },
    registry::{AnyCommand, AnyEvent},
};
use jiff::SignedDuration;
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, identity::address_of, timer_id};
use crate::{
    CommandError,
    execute::now,
    ports::{Mail, Undelivered},
};

/// For how long it is tried to hand a mail over. It is less than the day after which what fails is parked.
const TRIED_FOR: SignedDuration = SignedDuration::from_hours(20);

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

/// A notice is escalated before its time is over where it is not settled by then.
pub(super) struct WatchNotices;

impl WatchNotices {
    fn timer(&self, notice: Uuid, days_left: i32) -> Uuid {
        timer_id(self.name(), &[&notice.to_string(), &days_left.to_string()])
    }
}

impl Policy for WatchNotices {
    fn name(&self) -> &'static str {
        "watch_notices"
    }

    fn times(&self) -> Option<&'static str> {
        Some(RecipientNotice::TYPE)
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RecipientNoticeOwed", "RecipientTold", "RecipientNoticeWaived"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        use RecipientNoticeEvent as E;
        let reactions = match &fact.event {
            AnyEvent::RecipientNotice(E::RecipientNoticeOwed { due_at, .. }) => {
                let arm = |(days_left, due_at)| {
                    let escalate = RecipientNoticeCommand::EscalateNotice { days_left };
                    Reaction::Arm(Timer {
                        id: self.timer(fact.id, days_left),
                        due_at,
                        aggregate: fact.id,
                        command: AnyCommand::RecipientNotice(escalate),
                    })
                };
                escalations(*due_at).map(arm).into()
            }
            AnyEvent::RecipientNotice(E::RecipientTold { .. } | E::RecipientNoticeWaived { .. }) => {
                ESCALATE_BEFORE.map(|days_left| Reaction::Disarm(self.timer(fact.id, days_left))).into()
            }
            _ => Vec::new(),
        };
        Box::pin(std::future::ready(Ok(reactions)))
    }
}

/// A notice goes by mail where there is an address. A mail that was not delivered has told nobody, and that is on record.
pub(super) struct TellRecipients;

impl Policy for TellRecipients {
    fn name(&self) -> &'static str {
        "tell_recipients"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RecipientNoticeOwed"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::RecipientNotice(RecipientNoticeEvent::RecipientNoticeOwed {
                change,
                recipient,
                owed_at,
                ..
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let Some(to) = address(recipient, world).await? else { return Ok(Vec::new()) };
            let mail = Mail {
                to,
                subject: "Data that you received".to_owned(),
                text: text(*change, recipient, fact.id),
                html: None,
                message_id: Uuid::new_v5(&fact.event_id, b"mail"),
            };
            let sent = world.ports().mailer.send(&mail).await;
            let at = now().max(*owed_at);
            let (outcome, label) = match sent {
                Ok(()) => (RecipientNoticeCommand::TellRecipient { method: "mail".to_owned(), at }, "told"),
                Err(error) => (undelivered(error, at.duration_since(*owed_at))?, "undelivered"),
            };
            Ok(vec![Issue::new(fact.id, AnyCommand::RecipientNotice(outcome), label).into()])
        })
    }
}

/// What a mail that was not handed over comes to: it is tried again, until it was refused for good or for long enough.
fn undelivered(error: Undelivered, tried: SignedDuration) -> Result<RecipientNoticeCommand, CommandError> {
    match error {
        Undelivered::NotNow(error) if tried < TRIED_FOR => Err(error.into()),
        Undelivered::NotNow(_) | Undelivered::Refused { .. } => {
            Ok(RecipientNoticeCommand::ReportUndelivered { reason: error.to_string() })
        }
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
    use crate::ports::PortError;

    #[test]
    fn art_19_a_mail_that_is_refused_or_given_up_is_on_record_and_any_other_is_tried_again() {
        let not_now = || Undelivered::NotNow(PortError { port: "mail", reason: "it is away".into() });
        let refused = Undelivered::Refused { reason: "there is no such mailbox".into() };
        let tried = SignedDuration::from_hours;
        assert!(undelivered(not_now(), tried(19)).unwrap_err().is_transient());
        for (error, hours, why) in [(not_now(), 20, "away"), (refused, 0, "no such mailbox")] {
            let outcome = undelivered(error, tried(hours)).unwrap();
            let RecipientNoticeCommand::ReportUndelivered { reason } = outcome else { panic!("{outcome:?}") };
            assert!(reason.contains(why), "{reason}");
        }
    }

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
