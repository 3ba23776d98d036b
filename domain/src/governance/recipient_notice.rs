//! A notice that is owed to somebody who received a person's data: that the data was erased, corrected, or is not to be used
//! (Art. 19 GDPR; catalogue 3.8, P-53). Its id is that of [`recipient_notice_id`].
//!
//! Life cycle: `owed -> told | waived`.
//!
//! - It is owed as soon as what the notice says was carried out, and due a calendar month later.
//! - Where an address is known, it goes by mail and the system puts on record that it did. Where none is, staff tell the
//!   recipient in their own way and say when and how.
//! - A mail that was not delivered has told nobody: the notice stays owed, and staff tell the recipient.
//! - It is waived only where telling proves impossible or takes a disproportionate effort, with the reasons.
//! - **GOV-P6** escalates 7 and 2 days before it is due, and when it is.
//!
//! It names no recipient: it says where the recipient is on record. So it tells nothing of the person but what had happened
//! to their data, and stays readable after an erasure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::{ESCALATE_BEFORE, months_after};
use crate::kernel::{
    Actor, ActorKind, Context, Decided, Decider, Event, Known, NoRefusal, NotYet, Recipient, RecordClass,
    Refused, bounds, derived_id, schemas,
};

/// What was done with the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DataChange {
    /// It was erased (Art. 17).
    Erased,
    /// It was corrected (Art. 16, 34 CFR 99.20).
    Corrected,
    /// It is kept and not used (Art. 18).
    Restricted,
}

/// Why nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum WaiverGround {
    /// It proves impossible.
    Impossible,
    /// It takes a disproportionate effort.
    Disproportionate,
}

/// The id of the notice that a recipient is owed for what a request changed.
pub fn recipient_notice_id(request: Uuid, recipient: &Recipient) -> Uuid {
    let by: &str = recipient.by.into();
    let account = recipient.account.unwrap_or_default();
    derived_id(&[
        "recipient-notice",
        &request.to_string(),
        by,
        &recipient.reference.to_string(),
        &account.to_string(),
    ])
}

/// Where in its life a notice is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NoticeStatus {
    /// It has no events.
    #[default]
    New,
    /// The recipient is to be told.
    Owed,
    /// The recipient was told.
    Told,
    /// Nobody can be told.
    Waived,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecipientNotice {
    /// Where in its life it is.
    pub status: NoticeStatus,
    /// Whose data it was.
    pub subject: Uuid,
    /// The recipient, once it is owed.
    pub recipient: Option<Recipient>,
    /// What was done with the data.
    pub change: Option<DataChange>,
    /// Since when it is owed.
    pub owed_at: Timestamp,
    /// By when the recipient is to be told.
    pub due_at: Timestamp,
    /// The escalations so far.
    pub escalated: BTreeSet<i32>,
    /// Whether a mail to the recipient was not delivered.
    pub undelivered: bool,
}

/// What can be asked of a notice.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum RecipientNoticeCommand {
    /// Says that a recipient is to be told.
    #[schemars(extend("x-system" = true))]
    OweNotice {
        /// The privacy request that was carried out.
        request: Uuid,
        /// Whose data it was.
        subject: Uuid,
        /// What was done with it.
        change: DataChange,
        /// The record classes; none means all.
        classes: Vec<RecordClass>,
        /// Who received it.
        recipient: Recipient,
    },
    /// Records that the recipient was told.
    TellRecipient {
        /// How, such as `letter` or `telephone`.
        #[schemars(transform = schemas::text::<1, 100>)]
        method: String,
        /// When; not in the future.
        #[schemars(transform = schemas::instant)]
        at: Timestamp,
    },
    /// Records that a mail was not delivered: the recipient is still to be told, in another way.
    #[schemars(extend("x-system" = true))]
    ReportUndelivered {
        /// Why, without personal data.
        reason: String,
    },
    /// Records that nobody is told, and why.
    WaiveNotice {
        /// On which ground of Art. 19.
        ground: WaiverGround,
        /// Why that is so.
        #[schemars(transform = schemas::text::<1, 20000>)]
        reason: String,
    },
    /// Escalates a notice whose time runs out.
    #[schemars(extend("x-system" = true))]
    EscalateNotice {
        /// The days left: 7, 2, or 0 when it is due.
        days_left: i32,
    },
}

/// What can have happened to a notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum RecipientNoticeEvent {
    /// A recipient is to be told.
    RecipientNoticeOwed {
        request: Uuid,
        subject: Uuid,
        change: DataChange,
        classes: Vec<RecordClass>,
        recipient: Recipient,
        owed_at: Timestamp,
        due_at: Timestamp,
    },
    /// The recipient was told.
    RecipientTold { method: String, at: Timestamp, by: Option<Uuid> },
    /// Nobody is told.
    RecipientNoticeWaived { ground: WaiverGround, reason: String, by: Option<Uuid> },
    /// The notice was escalated.
    RecipientNoticeEscalated { days_left: i32 },
    /// The mail was not delivered: the recipient is still to be told.
    RecipientNoticeUndelivered { reason: String },
}

impl Event for RecipientNoticeEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

impl Decider for RecipientNotice {
    const TYPE: &'static str = "governance.recipient_notice";
    type Command = RecipientNoticeCommand;
    type Event = RecipientNoticeEvent;
    type Refusal = NoRefusal;
    type Facts = ();

    fn creates(command: &RecipientNoticeCommand) -> bool {
        matches!(command, RecipientNoticeCommand::OweNotice { .. })
    }

    fn facts(&self, _: &RecipientNoticeCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &RecipientNoticeCommand) -> bool {
        use RecipientNoticeCommand as C;
        let staff = actor.kind == ActorKind::User && actor.has("manage:privacy");
        match command {
            C::OweNotice { .. } | C::EscalateNotice { .. } | C::ReportUndelivered { .. } => actor.is_system(),
            C::TellRecipient { .. } => staff || actor.is_system(),
            C::WaiveNotice { .. } => staff && !actor.is(self.subject),
        }
    }

    fn decide(&self, command: RecipientNoticeCommand, (): &(), context: &Context) -> Decided<Self> {
        use NoticeStatus as S;
        use RecipientNoticeCommand as C;
        use RecipientNoticeEvent as E;
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        let event = match command {
            // The same recipient of the same change is owed it once.
            C::OweNotice { .. } if self.status != S::New => return Ok(Vec::new()),
            C::OweNotice { request, subject, change, classes, recipient } => {
                let owed_at = context.now;
                let due_at = months_after(owed_at, 1);
                E::RecipientNoticeOwed { request, subject, change, classes, recipient, owed_at, due_at }
            }
            // A clock that comes late has nothing to say.
            C::EscalateNotice { days_left } => {
                bounds::number("days_left", days_left.into(), 0..=365)?;
                let before = SignedDuration::from_hours(24 * i64::from(days_left));
                let early = context.now < self.due_at.checked_sub(before).unwrap_or(Timestamp::MIN);
                if early || self.status != S::Owed || self.escalated.contains(&days_left) {
                    return Ok(Vec::new());
                }
                E::RecipientNoticeEscalated { days_left }
            }
            C::ReportUndelivered { .. } if self.status != S::Owed || self.undelivered => {
                return Ok(Vec::new());
            }
            C::ReportUndelivered { reason } => {
                bounds::text("reason", &reason, 1..=bounds::LONG)?;
                E::RecipientNoticeUndelivered { reason }
            }
            // A mail that was sent again tells nothing new.
            C::TellRecipient { .. } if self.status == S::Told && context.actor.is_system() => {
                return Ok(Vec::new());
            }
            _ if self.status != S::Owed => return Err(wrong_state),
            C::TellRecipient { method, at } => {
                bounds::text("method", &method, 1..=100)?;
                bounds::instant("at", at)?;
                if at < self.owed_at || at > context.now {
                    return Err(Refused::invalid("at", "since it is owed, and not in the future"));
                }
                E::RecipientTold { method, at, by: context.actor.account() }
            }
            C::WaiveNotice { ground, reason } => {
                bounds::text("reason", &reason, 1..=bounds::LONG)?;
                E::RecipientNoticeWaived { ground, reason, by: context.actor.account() }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &RecipientNoticeEvent) {
        use NoticeStatus as S;
        use RecipientNoticeEvent as E;
        match event {
            E::RecipientNoticeOwed { subject, recipient, change, owed_at, due_at, .. } => {
                *self = RecipientNotice {
                    status: S::Owed,
                    subject: *subject,
                    recipient: Some(recipient.clone()),
                    change: Some(*change),
                    owed_at: *owed_at,
                    due_at: *due_at,
                    escalated: BTreeSet::new(),
                    undelivered: false,
                }
            }
            E::RecipientTold { .. } => self.status = S::Told,
            E::RecipientNoticeWaived { .. } => self.status = S::Waived,
            E::RecipientNoticeEscalated { days_left } => {
                self.escalated.insert(*days_left);
            }
            E::RecipientNoticeUndelivered { .. } => self.undelivered = true,
        }
    }

    fn subject(&self) -> Option<Uuid> {
        (self.status != NoticeStatus::New).then_some(self.subject)
    }
}

/// The instants at which something that is due then is escalated, with the days that are left.
pub fn escalations(due_at: Timestamp) -> [(i32, Timestamp); 3] {
    ESCALATE_BEFORE.map(|days_left| {
        let before = SignedDuration::from_hours(24 * i64::from(days_left));
        (days_left, due_at.checked_sub(before).unwrap_or(due_at))
    })
}

#[cfg(test)]
mod tests {
    use super::{RecipientNoticeCommand as C, RecipientNoticeEvent as E, *};
    use crate::kernel::{
        ReceivedBy,
        testing::{Scenario, given, keeps_history, nothing},
    };

    const ADA: Uuid = Uuid::from_u128(0xAA);
    const OFFICER: Uuid = Uuid::from_u128(0x0F);
    const OWED: &str = "2026-01-31T12:00:00Z";
    const DUE: &str = "2026-02-28T12:00:00Z";

    fn at(instant: &str) -> Timestamp {
        instant.parse().unwrap()
    }

    fn recipient() -> Recipient {
        Recipient {
            by: ReceivedBy::Disclosure,
            reference: Uuid::from_u128(0xD1),
            account: None,
            records: vec!["transcript".into()],
        }
    }

    fn owed() -> E {
        E::RecipientNoticeOwed {
            request: Uuid::from_u128(0x9E),
            subject: ADA,
            change: DataChange::Erased,
            classes: vec![RecordClass::Education],
            recipient: recipient(),
            owed_at: at(OWED),
            due_at: at(DUE),
        }
    }

    fn told(by: Option<Uuid>) -> E {
        E::RecipientTold { method: "letter".into(), at: at(OWED), by }
    }

    fn waived() -> E {
        let reason = "The firm is dissolved".into();
        E::RecipientNoticeWaived { ground: WaiverGround::Impossible, reason, by: Some(OFFICER) }
    }

    fn tell(instant: &str) -> C {
        C::TellRecipient { method: "letter".into(), at: at(instant) }
    }

    fn waive(reason: &str) -> C {
        C::WaiveNotice { ground: WaiverGround::Impossible, reason: reason.into() }
    }

    fn staff() -> Actor {
        Actor::user(OFFICER, &["compliance"])
    }

    fn after(events: impl IntoIterator<Item = E>) -> Scenario<RecipientNotice> {
        given(events).by(staff()).at("2026-02-01T12:00:00Z")
    }

    #[test]
    fn art_19_a_recipient_is_owed_a_notice_once_and_within_a_calendar_month() {
        let owe = C::OweNotice {
            request: Uuid::from_u128(0x9E),
            subject: ADA,
            change: DataChange::Erased,
            classes: vec![RecordClass::Education],
            recipient: recipient(),
        };
        nothing::<RecipientNotice>().at(OWED).when(owe.clone()).then([owed()]);
        after([owed()]).when(owe.clone()).then([]);
        assert!(!nothing::<RecipientNotice>().permits(&staff(), &owe));
    }

    #[test]
    fn art_19_staff_say_when_and_how_they_told_the_recipient() {
        after([owed()]).at(OWED).when(tell(OWED)).then([told(Some(OFFICER))]);
        after([owed()]).when(tell("2026-01-01T12:00:00Z")).invalid("at");
        after([owed()]).when(tell("2027-01-01T12:00:00Z")).invalid("at");
        after([owed(), told(None)]).when(tell("2026-02-01T12:00:00Z")).invalid_state("told");
        assert!(!after([owed()]).permits(&Actor::user(ADA, &["student"]), &tell(OWED)));
        let system = Actor::policy("tell_recipients");
        after([owed(), told(None)]).by(system).when(tell("2026-02-01T12:00:00Z")).then([]);
    }

    #[test]
    fn art_19_nobody_is_told_only_where_that_is_impossible_or_disproportionate_and_the_reason_is_given() {
        after([owed()]).when(waive(" ")).invalid("reason");
        after([owed()]).when(waive("The firm is dissolved")).then([waived()]);
        after([owed(), waived()]).when(tell(OWED)).invalid_state("waived");
        let own = Actor::user(ADA, &["compliance"]);
        assert!(
            !after([owed()]).permits(&own, &waive("It is mine")),
            "nobody waives what is about themselves"
        );
        assert!(!after([owed()]).permits(&Actor::policy("any"), &waive("Nobody")), "people decide that");
    }

    #[test]
    fn gov_p6_a_notice_is_escalated_7_and_2_days_before_it_is_due_and_when_it_is() {
        let escalate = |days_left| C::EscalateNotice { days_left };
        for (days_left, instant) in escalations(at(DUE)) {
            let escalated = E::RecipientNoticeEscalated { days_left };
            let on = |events: Vec<E>| given::<RecipientNotice>(events).at(&instant.to_string());
            on(vec![owed()]).when(escalate(days_left)).then([escalated.clone()]);
            on(vec![owed(), escalated]).when(escalate(days_left)).then([]);
            on(vec![owed(), told(None)]).when(escalate(days_left)).then([]);
        }
        after([owed()]).when(escalate(7)).then([]);
    }

    #[test]
    fn art_19_whose_mail_was_not_delivered_is_still_owed_the_notice() {
        let report = || C::ReportUndelivered { reason: "the mail server refuses it (550)".into() };
        let undelivered =
            || E::RecipientNoticeUndelivered { reason: "the mail server refuses it (550)".into() };
        let system = Actor::policy("tell_recipients");
        let on = |events: Vec<E>| after(events).by(system.clone());
        assert_eq!(on(vec![owed()]).when(report()).then([undelivered()]).status, NoticeStatus::Owed);
        on(vec![owed(), undelivered()]).when(report()).then([]);
        on(vec![owed(), told(None)]).when(report()).then([]);
        after([owed(), undelivered()]).at(OWED).when(tell(OWED)).then([told(Some(OFFICER))]);
        assert!(!after([owed()]).permits(&staff(), &report()));
    }

    #[test]
    fn each_recipient_of_each_change_has_a_notice_of_its_own() {
        let request = Uuid::from_u128(1);
        let id = |recipient: &Recipient| recipient_notice_id(request, recipient);
        let other = Recipient { account: Some(OFFICER), ..recipient() };
        assert_ne!(id(&recipient()), id(&other));
        assert_ne!(id(&recipient()), recipient_notice_id(Uuid::from_u128(2), &recipient()));
        assert_eq!(id(&recipient()), id(&Recipient { records: vec![], ..recipient() }));
    }

    #[test]
    fn every_event_reads_as_it_was_stored() {
        let escalated = E::RecipientNoticeEscalated { days_left: 7 };
        let undelivered = E::RecipientNoticeUndelivered { reason: "the mail server refuses it (550)".into() };
        keeps_history::<RecipientNotice>([owed(), told(Some(OFFICER)), waived(), escalated, undelivered]);
    }
}
