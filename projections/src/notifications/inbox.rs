//! R-57 `notifications`: what a person is told, the newest first. For nobody but the person.

use domain::{
    Actor, Personal,
    class::Communication,
    notifications::{NotificationEvent as E, NotificationStatus, NotificationType, Priority, text, title},
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

words!(NotificationStatus, NotificationType, Priority);

row! {
    /// Something that a person is told.
    pub struct NotificationRow {
        key {
            /// The notification.
            id: Uuid,
        }
        columns {
            /// Who is told.
            recipient: Uuid => filter index,
            /// Of what.
            r#type: NotificationType => filter,
            /// That in words, with nothing personal.
            title: String,
            /// Where to read on.
            link: Option<String>,
            /// How much it matters.
            priority: Priority => filter,
            /// Where in its life it is.
            state: NotificationStatus => filter,
            /// Whether it is there to be read, and not read yet.
            unread: bool => filter,
            /// The channels that it went through.
            channels: Vec<String>,
            /// The carriers that took it.
            delivered: Vec<String>,
            /// The carriers that were given up.
            failed: Vec<String>,
            /// When it was asked for.
            at: Timestamp => filter sort,
            /// When it means nothing any more.
            expires_at: Option<Timestamp>,
            /// The event because of which.
            cause: Uuid => filter,
        }
        personal {
            /// What it says.
            body: Personal<String, Communication>,
        }
    }
}

///
pub struct Notifications;

impl Table for Notifications {
    const NAME: &'static str = "notifications";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["notifications.notification"];
    const OPTIONS: Options = Options { stream_column: Some("id"), sort: &["-at"], ..Options::DEFAULT };
    type Row = NotificationRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<NotificationRow>, fact: &Fact) -> Option<NotificationRow> {
        let AnyEvent::Notification(event) = &fact.event else { return row };
        use NotificationStatus as S;
        let now = |row: Option<NotificationRow>, state: S| {
            row.map(|row| NotificationRow { state, unread: state == S::Routed, ..row })
        };
        match event {
            E::NotificationRequested { recipient, r#type, data, link, priority, cause, expires_at } => {
                Some(NotificationRow {
                    id: *key,
                    recipient: *recipient,
                    r#type: *r#type,
                    title: title(*r#type),
                    link: link.clone(),
                    priority: *priority,
                    state: S::Requested,
                    unread: false,
                    channels: Vec::new(),
                    delivered: Vec::new(),
                    failed: Vec::new(),
                    at: fact.recorded_at,
                    expires_at: *expires_at,
                    cause: *cause,
                    body: data.clone().map(|data| text(*r#type, &data)),
                })
            }
            E::NotificationRouted { channels, .. } => now(row, S::Routed).map(|row| NotificationRow {
                channels: channels.iter().map(|channel| channel.name().to_owned()).collect(),
                ..row
            }),
            E::DeliverySucceeded { channel, .. } => row.map(|mut row| {
                row.delivered.push(channel.name().to_owned());
                row
            }),
            E::DeliveryAbandoned { channel, .. } => row.map(|mut row| {
                row.failed.push(channel.name().to_owned());
                row
            }),
            E::NotificationRead {} => now(row, S::Read),
            E::NotificationUnread {} => now(row, S::Routed),
            E::NotificationArchived {} => now(row, S::Archived),
            E::NotificationExpired {} => now(row, S::Expired),
            E::NotificationRendered { .. }
            | E::DeliveryDispatched { .. }
            | E::DeliveryFailed { .. }
            | E::DeliveryRetried { .. } => row,
        }
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::own(actor, "recipient")
    }
}

#[cfg(test)]
mod tests {
    use domain::notifications::{Channel, SkipReason, SkippedChannel};

    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);

    fn folded(events: &[E]) -> NotificationRow {
        let id = Uuid::from_u128(5);
        let events = events.iter().map(|event| (id, AnyEvent::Notification(event.clone())));
        given::<Notifications>(events).rows().remove(0)
    }

    fn requested() -> E {
        let data = [("scholarship".to_owned(), "Lovelace".to_owned())];
        E::NotificationRequested {
            recipient: ADA,
            r#type: NotificationType::ApplicationSubmitted,
            data: Personal::about(ADA, data.into()),
            link: None,
            priority: Priority::Medium,
            cause: Uuid::from_u128(9),
            expires_at: None,
        }
    }

    fn routed() -> E {
        E::NotificationRouted {
            channels: vec![Channel::InApp, Channel::Email],
            skipped: vec![SkippedChannel { channel: Channel::Push, reason: SkipReason::NoAddress }],
            deferred_to_digest: false,
            not_before: None,
        }
    }

    #[test]
    fn r_57_shows_what_somebody_is_told_once_it_is_there() {
        let row = folded(&[requested()]);
        assert_eq!(
            (row.state, row.unread, &*row.title),
            (NotificationStatus::Requested, false, "Application submitted")
        );
        assert_eq!(row.body.get().unwrap(), "Your application for Lovelace was received.");
        let row = folded(&[requested(), routed()]);
        assert_eq!((row.unread, row.channels), (true, vec!["in_app".to_owned(), "email".to_owned()]));
    }

    #[test]
    fn r_57_what_is_read_is_unread_no_more_until_the_person_says_so() {
        let read = [requested(), routed(), E::NotificationRead {}];
        assert!(!folded(&read).unread);
        let unread: Vec<E> = read.iter().cloned().chain([E::NotificationUnread {}]).collect();
        assert!(folded(&unread).unread);
        let archived: Vec<E> = read.into_iter().chain([E::NotificationArchived {}]).collect();
        assert_eq!(folded(&archived).state, NotificationStatus::Archived);
        assert!(!folded(&[requested(), routed(), E::NotificationExpired {}]).unread);
    }

    #[test]
    fn r_57_tells_what_became_of_each_carrier() {
        let r#type = NotificationType::ApplicationSubmitted;
        let delivered = E::DeliverySucceeded { channel: Channel::Email, at: Timestamp::UNIX_EPOCH, r#type };
        assert_eq!(folded(&[requested(), routed(), delivered]).delivered, ["email"]);
        let abandoned = E::DeliveryAbandoned { channel: Channel::Email, r#type };
        assert_eq!(folded(&[requested(), routed(), abandoned]).failed, ["email"]);
    }

    #[test]
    fn r_57_is_for_nobody_but_the_person() {
        let own = Filter::Is("recipient", ADA.into());
        assert_eq!(Notifications::visible(&Actor::user(ADA, &["admin", "compliance"])), own);
        assert_eq!(Notifications::visible(&Actor::policy("any")), Filter::Nothing);
    }
}
