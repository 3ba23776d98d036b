//! The notices that recipients of data are owed (Art. 19 GDPR): who is to be told what became of it, until when, and what came
//! of that. For compliance, and for the person, who may know of the recipients.

use domain::{
    Actor, ReceivedBy,
    governance::{DataChange, NoticeStatus, RecipientNoticeEvent as E, WaiverGround},
    registry::AnyEvent,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
    words,
};

words!(DataChange, NoticeStatus, ReceivedBy, WaiverGround);

row! {
    /// A notice that a recipient of data is owed.
    pub struct RecipientNoticeRow {
        key {
            /// The notice.
            id: Uuid,
        }
        columns {
            /// Whose data it was.
            subject: Uuid => filter index,
            /// The privacy request that was carried out.
            request: Uuid => filter,
            /// What was done with the data.
            change: DataChange => filter,
            /// The record classes; none means all.
            classes: Vec<String>,
            /// By which way the recipient got it.
            received_by: ReceivedBy => filter,
            /// Where the recipient is on record: the disclosure, the privacy request whose package it was, or the replay.
            reference: Uuid => filter,
            /// The account of the recipient, where it is one of the house.
            account: Option<Uuid> => filter,
            /// The records that were disclosed.
            records: Vec<String>,
            /// Where in its life it is.
            state: NoticeStatus => filter,
            /// Since when it is owed.
            owed_at: Timestamp => filter sort,
            /// By when the recipient is to be told.
            due_at: Timestamp => filter sort,
            /// The days that were left at the last escalation.
            escalated: Option<i32> => filter,
            /// Why a mail to the recipient was not delivered, where it was not: they are to be told in another way.
            undelivered: Option<String>,
            /// When the recipient was told.
            told_at: Option<Timestamp> => filter sort,
            /// How.
            method: Option<String>,
            /// On which ground nobody is told.
            waived: Option<WaiverGround> => filter,
            /// Why.
            reason: Option<String>,
            /// Who told the recipient or decided that nobody is told; none where it went by mail.
            by: Option<Uuid>,
        }
    }
}

/// The notices that recipients are owed.
pub struct RecipientNotices;

impl Table for RecipientNotices {
    const NAME: &'static str = "recipient_notices";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["governance.recipient_notice"];
    const OPTIONS: Options = Options { stream_column: Some("id"), sort: &["due_at"], ..Options::DEFAULT };
    type Row = RecipientNoticeRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<RecipientNoticeRow>, fact: &Fact) -> Option<RecipientNoticeRow> {
        let AnyEvent::RecipientNotice(event) = &fact.event else { return row };
        match event {
            E::RecipientNoticeOwed { request, subject, change, classes, recipient, owed_at, due_at } => {
                Some(RecipientNoticeRow {
                    id: *key,
                    subject: *subject,
                    request: *request,
                    change: *change,
                    classes: classes.iter().map(|class| class.name().to_owned()).collect(),
                    received_by: recipient.by,
                    reference: recipient.reference,
                    account: recipient.account,
                    records: recipient.records.clone(),
                    state: NoticeStatus::Owed,
                    owed_at: *owed_at,
                    due_at: *due_at,
                    escalated: None,
                    undelivered: None,
                    told_at: None,
                    method: None,
                    waived: None,
                    reason: None,
                    by: None,
                })
            }
            E::RecipientTold { method, at, by } => row.map(|row| RecipientNoticeRow {
                state: NoticeStatus::Told,
                told_at: Some(*at),
                method: Some(method.clone()),
                by: *by,
                ..row
            }),
            E::RecipientNoticeWaived { ground, reason, by } => row.map(|row| RecipientNoticeRow {
                state: NoticeStatus::Waived,
                waived: Some(*ground),
                reason: Some(reason.clone()),
                by: *by,
                ..row
            }),
            E::RecipientNoticeEscalated { days_left } => {
                row.map(|row| RecipientNoticeRow { escalated: Some(*days_left), ..row })
            }
            E::RecipientNoticeUndelivered { reason } => {
                row.map(|row| RecipientNoticeRow { undelivered: Some(reason.clone()), ..row })
            }
        }
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::own(actor, "subject").or(Filter::all_with(actor, "manage:privacy"))
    }
}

#[cfg(test)]
mod tests {
    use domain::{Recipient, RecordClass};

    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);

    fn folded<const N: usize>(events: [E; N]) -> RecipientNoticeRow {
        let id = Uuid::from_u128(5);
        given::<RecipientNotices>(events.map(|event| (id, AnyEvent::RecipientNotice(event)))).rows().remove(0)
    }

    fn owed() -> E {
        E::RecipientNoticeOwed {
            request: Uuid::from_u128(0x9E),
            subject: ADA,
            change: DataChange::Erased,
            classes: vec![RecordClass::Education],
            recipient: Recipient {
                by: ReceivedBy::Disclosure,
                reference: Uuid::from_u128(0xD1),
                account: None,
                records: vec!["transcript".into()],
            },
            owed_at: "2026-01-31T12:00:00Z".parse().unwrap(),
            due_at: "2026-02-28T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn art_19_what_is_owed_shows_until_when_and_what_came_of_it() {
        let row = folded([owed(), E::RecipientNoticeEscalated { days_left: 7 }]);
        assert_eq!((row.state, row.escalated), (NoticeStatus::Owed, Some(7)));
        let row = folded([owed(), E::RecipientNoticeUndelivered { reason: "refused".into() }]);
        assert_eq!((row.state, row.undelivered.as_deref()), (NoticeStatus::Owed, Some("refused")));
        let at = "2026-02-02T12:00:00Z".parse().unwrap();
        let row = folded([owed(), E::RecipientTold { method: "mail".into(), at, by: None }]);
        assert_eq!(
            (row.state, row.told_at, row.method.as_deref()),
            (NoticeStatus::Told, Some(at), Some("mail"))
        );
        let ground = WaiverGround::Disproportionate;
        let row = folded([owed(), E::RecipientNoticeWaived { ground, reason: "10 000".into(), by: None }]);
        assert_eq!((row.state, row.waived), (NoticeStatus::Waived, Some(ground)));
    }

    #[test]
    fn art_19_the_person_may_know_of_the_recipients_and_nobody_else_but_compliance() {
        let own = Filter::Is("subject", ADA.into());
        assert_eq!(RecipientNotices::visible(&Actor::user(ADA, &["staff"])), own);
        assert_eq!(RecipientNotices::visible(&Actor::user(ADA, &["compliance"])), Filter::All);
    }
}
