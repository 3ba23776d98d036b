//! NTF-N1: through which channels a notification goes, and why not through the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Channel, NotificationType, RecipientSettings};

/// Why a channel of a type is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SkipReason {
    /// The recipient does not want this type through it.
    Disabled,
    /// The recipient has switched it off.
    ChannelOff,
    /// Nothing is sent to the address any more.
    Suppressed,
    /// The recipient has no address for it, or this deployment has no carrier.
    NoAddress,
    /// It waits until the quiet hours are over.
    QuietHours,
    /// It waits for the digest.
    Digest,
}

/// A channel that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedChannel {
    /// The channel.
    pub channel: Channel,
    /// Why.
    pub reason: SkipReason,
}

/// The channels of the type, without those that the recipient does not want, that are suppressed or for which there is no
/// address; `has_address` says for which there is one. Where nothing is left, it is shown in the application.
///
/// A critical type asks for no preference, yet sends nothing to whoever complained (NTF-N2).
pub fn route(
    kind: NotificationType,
    settings: &RecipientSettings,
    has_address: impl Fn(Channel) -> bool,
) -> (Vec<Channel>, Vec<SkippedChannel>) {
    let (mut channels, mut skipped) = (Vec::new(), Vec::new());
    for channel in kind.channels().iter().copied() {
        let reason = if !kind.is_critical() && settings.disabled.contains(&(kind, channel)) {
            Some(SkipReason::Disabled)
        } else if !kind.is_critical() && settings.switched_off.contains(&channel) {
            Some(SkipReason::ChannelOff)
        } else if settings.suppresses(channel, kind) {
            Some(SkipReason::Suppressed)
        } else if channel != Channel::InApp && !has_address(channel) {
            Some(SkipReason::NoAddress)
        } else {
            None
        };
        match reason {
            Some(reason) => skipped.push(SkippedChannel { channel, reason }),
            None => channels.push(channel),
        }
    }
    if channels.is_empty() {
        skipped.retain(|skipped| skipped.channel != Channel::InApp);
        channels.push(Channel::InApp);
    }
    (channels, skipped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strum::VariantArray;

    use super::{super::SuppressionReason, *};

    fn settings() -> RecipientSettings {
        RecipientSettings::default()
    }

    fn reasons(skipped: &[SkippedChannel]) -> Vec<(Channel, SkipReason)> {
        skipped.iter().map(|skipped| (skipped.channel, skipped.reason)).collect()
    }

    #[test]
    fn ntf_n1_a_channel_that_is_not_used_is_told_with_the_reason() {
        let mut settings = settings();
        settings.disabled.insert((NotificationType::AwardOffer, Channel::Email));
        settings.switched_off.insert(Channel::Sms);
        let (channels, skipped) = route(NotificationType::AwardOffer, &settings, |_| false);
        assert_eq!(channels, [Channel::InApp]);
        let expected = [
            (Channel::Email, SkipReason::Disabled),
            (Channel::Sms, SkipReason::ChannelOff),
            (Channel::Push, SkipReason::NoAddress),
        ];
        assert_eq!(reasons(&skipped), expected);
        let (channels, _) = route(NotificationType::ApplicationSubmitted, &settings, |_| true);
        assert_eq!(channels, [Channel::InApp, Channel::Email]);
    }

    #[test]
    fn ntf_n1_where_nothing_is_left_it_is_shown_in_the_application() {
        let mut settings = settings();
        settings.disabled.insert((NotificationType::BudgetAdjusted, Channel::InApp));
        let (channels, skipped) = route(NotificationType::BudgetAdjusted, &settings, |_| false);
        assert_eq!((channels, skipped.len()), (vec![Channel::InApp], 1));
        let (channels, _) = route(NotificationType::RecommendationRequested, &settings, |_| false);
        assert_eq!(channels, [Channel::InApp]);
    }

    #[test]
    fn ntf_n2_a_critical_type_asks_for_no_preference_but_sends_nothing_to_whoever_complained() {
        let mut settings = settings();
        settings.switched_off.insert(Channel::Email);
        settings.suppressed.insert(Channel::Email, SuppressionReason::OptOut);
        let critical = NotificationType::PrivacyRequestUpdate;
        assert_eq!(route(critical, &settings, |_| true).0, [Channel::InApp, Channel::Email]);
        settings.suppressed.insert(Channel::Email, SuppressionReason::Complaint);
        let (channels, skipped) = route(critical, &settings, |_| true);
        assert_eq!(channels, [Channel::InApp]);
        assert_eq!(reasons(&skipped), [(Channel::Email, SkipReason::Suppressed)]);
    }

    proptest! {
        #[test]
        fn every_channel_of_a_type_is_used_or_told_and_one_is_always_used(
            kind in 0..NotificationType::VARIANTS.len(),
            disabled in prop::collection::btree_set(0..4_usize, 0..4),
            off in prop::collection::btree_set(1..4_usize, 0..3),
            has: [bool; 4],
        ) {
            let kind = NotificationType::VARIANTS[kind];
            let mut settings = settings();
            settings.disabled = disabled.iter().map(|n| (kind, Channel::ALL[*n])).collect();
            settings.switched_off = off.iter().map(|n| Channel::ALL[*n]).collect();
            let (channels, skipped) = route(kind, &settings, |channel| has[channel as usize]);
            prop_assert!(!channels.is_empty());
            for channel in kind.channels() {
                let told = skipped.iter().filter(|skipped| skipped.channel == *channel).count();
                prop_assert_eq!(told + usize::from(channels.contains(channel)), 1);
            }
        }
    }
}
