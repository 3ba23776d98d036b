//! R-59 `notification_settings`: through which channels a person wants to be told of what, where they said anything of it. For
//! nobody but the person.

use domain::{
    Actor,
    notifications::{Channel, NotificationType, RecipientSettingsEvent as E, SuppressionReason},
    registry::AnyEvent,
};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
};

row! {
    /// What a person said of notifications. Everything else goes through the channels of its type.
    pub struct NotificationSettingsRow {
        key {
            /// The account.
            account: Uuid,
        }
        columns {
            /// What is not to come, and through which channel: `type/channel`.
            disabled: Vec<String>,
            /// The channels that are switched off.
            switched_off: Vec<String>,
            /// The channels whose address gets nothing any more, and why: `channel/reason`.
            suppressed: Vec<String>,
        }
    }
}

///
pub struct NotificationSettings;

impl Table for NotificationSettings {
    const NAME: &'static str = "notification_settings";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["notifications.recipient_settings"];
    const OPTIONS: Options = Options { stream_column: Some("account"), ..Options::DEFAULT };
    type Row = NotificationSettingsRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(
        key: &Uuid,
        row: Option<NotificationSettingsRow>,
        fact: &Fact,
    ) -> Option<NotificationSettingsRow> {
        let AnyEvent::RecipientSettings(event) = &fact.event else { return row };
        let mut row = row.unwrap_or(NotificationSettingsRow {
            account: *key,
            disabled: Vec::new(),
            switched_off: Vec::new(),
            suppressed: Vec::new(),
        });
        match event {
            E::PreferenceSet { r#type, channel, enabled, .. } => {
                stand(&mut row.disabled, preference(*r#type, *channel), !enabled);
            }
            E::ChannelSwitched { channel, enabled, .. } => {
                stand(&mut row.switched_off, channel.name().to_owned(), !enabled);
            }
            E::AddressSuppressed { channel, reason, .. } => {
                lift(&mut row.suppressed, *channel);
                stand(&mut row.suppressed, suppression(*channel, *reason), true);
            }
            E::SuppressionLifted { channel } => lift(&mut row.suppressed, *channel),
        }
        Some(row)
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::own(actor, "account")
    }
}

fn preference(kind: NotificationType, channel: Channel) -> String {
    format!("{}/{}", kind.name(), channel.name())
}

fn suppression(channel: Channel, reason: SuppressionReason) -> String {
    let reason: &str = reason.into();
    format!("{}/{reason}", channel.name())
}

fn lift(suppressed: &mut Vec<String>, channel: Channel) {
    suppressed.retain(|held| held.split('/').next() != Some(channel.name()));
}

/// Puts an entry into a list in order, or takes it out.
fn stand(list: &mut Vec<String>, entry: String, stands: bool) {
    list.retain(|held| *held != entry);
    if stands {
        list.push(entry);
        list.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);

    fn folded(events: &[E]) -> NotificationSettingsRow {
        let events = events.iter().map(|event| (ADA, AnyEvent::RecipientSettings(event.clone())));
        given::<NotificationSettings>(events).rows().remove(0)
    }

    #[test]
    fn r_59_shows_what_somebody_does_not_want_and_nothing_that_they_took_back() {
        let r#type = NotificationType::MonthClosed;
        let set = |enabled| E::PreferenceSet { account: ADA, r#type, channel: Channel::Email, enabled };
        let switch = |enabled| E::ChannelSwitched { account: ADA, channel: Channel::Push, enabled };
        let row = folded(&[set(false), switch(false)]);
        assert_eq!(
            (row.disabled, row.switched_off),
            (vec!["month_closed/email".into()], vec!["push".into()])
        );
        let row = folded(&[set(false), switch(false), set(true), switch(true)]);
        assert!(row.disabled.is_empty() && row.switched_off.is_empty());
    }

    #[test]
    fn r_59_shows_why_an_address_gets_nothing_until_that_is_lifted() {
        let suppress = |reason| E::AddressSuppressed { account: ADA, channel: Channel::Email, reason };
        let both = [suppress(SuppressionReason::HardBounce), suppress(SuppressionReason::Complaint)];
        assert_eq!(folded(&both).suppressed, ["email/complaint"]);
        let lifted: Vec<E> =
            both.into_iter().chain([E::SuppressionLifted { channel: Channel::Email }]).collect();
        assert!(folded(&lifted).suppressed.is_empty());
    }

    #[test]
    fn r_59_is_for_nobody_but_the_person() {
        let own = Filter::Is("account", ADA.into());
        assert_eq!(NotificationSettings::visible(&Actor::user(ADA, &["admin"])), own);
    }
}
