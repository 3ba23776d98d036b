//! Through which channels a person wants to be told of what (catalogue 2.9, RecipientSettings). Its id is the account's id.
//!
//! Everything goes through the channels of its type until the person says otherwise.
//!
//! - **NTF-N2** a critical type cannot be switched off.
//! - The application itself is always on.
//! - An address from which mail comes back, or whose reader complains, gets no more (P-36); the person may lift that.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::{Channel, NotificationType};
use crate::kernel::{
    Actor, Context, Decided, Decider, Event, Known, NotYet, RecordClass, Refusal, RefusalKind, Refused,
};

/// Why nothing is sent to an address any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SuppressionReason {
    /// What was sent came back for good.
    HardBounce,
    /// Its reader complained.
    Complaint,
    /// There is no such address.
    Invalid,
    /// Its reader wants none.
    OptOut,
}

/// The state that routing needs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecipientSettings {
    /// Whose they are, once there are any.
    pub account: Option<Uuid>,
    /// The types that are not to come through a channel.
    pub disabled: BTreeSet<(NotificationType, Channel)>,
    /// The channels that are switched off.
    pub switched_off: BTreeSet<Channel>,
    /// The channels whose address gets nothing any more, and why.
    pub suppressed: BTreeMap<Channel, SuppressionReason>,
}

impl RecipientSettings {
    /// Whether nothing of this type is sent through a channel: a critical one is stopped by a complaint only (NTF-N2).
    pub fn suppresses(&self, channel: Channel, kind: NotificationType) -> bool {
        let reason = self.suppressed.get(&channel);
        reason.is_some_and(|reason| !kind.is_critical() || *reason == SuppressionReason::Complaint)
    }
}

/// What can be asked of them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum RecipientSettingsCommand {
    /// Says whether a type is to come through a channel.
    SetPreference {
        /// The type.
        r#type: NotificationType,
        /// The channel.
        channel: Channel,
        /// Whether it is to.
        enabled: bool,
    },
    /// Switches a channel on or off.
    SwitchChannel {
        /// The channel.
        channel: Channel,
        /// Whether it is on.
        enabled: bool,
    },
    /// Sends nothing to the address of a channel any more (P-36).
    #[schemars(extend("x-system" = true))]
    SuppressAddress {
        /// The channel.
        channel: Channel,
        /// Why.
        reason: SuppressionReason,
    },
    /// Lets the address of a channel be written to again.
    LiftSuppression {
        /// The channel.
        channel: Channel,
    },
}

/// What can have happened to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum RecipientSettingsEvent {
    /// A type is to come through a channel, or not.
    PreferenceSet { account: Uuid, r#type: NotificationType, channel: Channel, enabled: bool },
    /// A channel was switched on or off.
    ChannelSwitched { account: Uuid, channel: Channel, enabled: bool },
    /// The address of a channel gets nothing any more.
    AddressSuppressed { account: Uuid, channel: Channel, reason: SuppressionReason },
    /// It may be written to again.
    SuppressionLifted { channel: Channel },
}

impl Event for RecipientSettingsEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RecipientSettingsRefusal {
    #[error("what is critical cannot be switched off")]
    CriticalType {},
    #[error("the application itself is always on")]
    InAppAlwaysOn {},
}

impl Refusal for RecipientSettingsRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        RefusalKind::Invalid
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            RecipientSettingsRefusal::CriticalType {} => Some("type"),
            RecipientSettingsRefusal::InAppAlwaysOn {} => Some("channel"),
        }
    }
}

impl Decider for RecipientSettings {
    const TYPE: &'static str = "notifications.recipient_settings";
    const CLASS: Option<RecordClass> = Some(RecordClass::Device);
    const RESTRICTABLE: bool = false;
    type Command = RecipientSettingsCommand;
    type Event = RecipientSettingsEvent;
    type Refusal = RecipientSettingsRefusal;
    type Facts = ();

    fn creates(command: &RecipientSettingsCommand) -> bool {
        !matches!(command, RecipientSettingsCommand::LiftSuppression { .. })
    }

    fn unborn(owner: Uuid) -> Self {
        RecipientSettings { account: Some(owner), ..RecipientSettings::default() }
    }

    fn facts(&self, _: &RecipientSettingsCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &RecipientSettingsCommand) -> bool {
        match command {
            RecipientSettingsCommand::SuppressAddress { .. } => actor.is_system(),
            // Whose missing ones will be, only the decision can tell.
            _ => match self.account {
                Some(account) => !actor.is_system() && actor.is(account),
                None => !actor.is_system() && actor.account().is_some(),
            },
        }
    }

    fn decide(&self, command: RecipientSettingsCommand, (): &(), context: &Context) -> Decided<Self> {
        use RecipientSettingsCommand as C;
        use RecipientSettingsEvent as E;
        use RecipientSettingsRefusal as R;
        let account = context.id;
        if !context.actor.is_system() && !context.actor.is(account) {
            return Err(Refused::Forbidden);
        }
        let event = match command {
            C::SetPreference { r#type, enabled: false, .. } if r#type.is_critical() => {
                return Err(R::CriticalType {}.into());
            }
            C::SetPreference { channel: Channel::InApp, enabled: false, .. } => {
                return Err(R::InAppAlwaysOn {}.into());
            }
            C::SetPreference { r#type, channel, enabled } => {
                if self.disabled.contains(&(r#type, channel)) != enabled {
                    return Ok(Vec::new());
                }
                E::PreferenceSet { account, r#type, channel, enabled }
            }
            C::SwitchChannel { channel: Channel::InApp, enabled: false } => {
                return Err(R::InAppAlwaysOn {}.into());
            }
            C::SwitchChannel { channel, enabled } => {
                if self.switched_off.contains(&channel) != enabled {
                    return Ok(Vec::new());
                }
                E::ChannelSwitched { account, channel, enabled }
            }
            C::SuppressAddress { channel, reason } => {
                if self.suppressed.get(&channel) == Some(&reason) {
                    return Ok(Vec::new());
                }
                E::AddressSuppressed { account, channel, reason }
            }
            C::LiftSuppression { channel } => {
                if !self.suppressed.contains_key(&channel) {
                    return Ok(Vec::new());
                }
                E::SuppressionLifted { channel }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &RecipientSettingsEvent) {
        use RecipientSettingsEvent as E;
        match event {
            E::PreferenceSet { account, r#type, channel, enabled } => {
                self.account = Some(*account);
                match enabled {
                    true => self.disabled.remove(&(*r#type, *channel)),
                    false => self.disabled.insert((*r#type, *channel)),
                };
            }
            E::ChannelSwitched { account, channel, enabled } => {
                self.account = Some(*account);
                match enabled {
                    true => self.switched_off.remove(channel),
                    false => self.switched_off.insert(*channel),
                };
            }
            E::AddressSuppressed { account, channel, reason } => {
                self.account = Some(*account);
                self.suppressed.insert(*channel, *reason);
            }
            E::SuppressionLifted { channel } => {
                self.suppressed.remove(channel);
            }
        }
    }

    fn subject(&self) -> Option<Uuid> {
        self.account
    }
}

#[cfg(test)]
mod tests {
    use super::{RecipientSettingsCommand as C, RecipientSettingsEvent as E, *};
    use crate::kernel::testing::{Scenario, given, keeps_history, nothing};

    const ADA: Uuid = Uuid::from_u128(0xADA);

    fn ada() -> Actor {
        Actor::user(ADA, &["student"])
    }

    fn after(events: impl IntoIterator<Item = E>) -> Scenario<RecipientSettings> {
        given(events).with_id(ADA).by(ada())
    }

    fn set(kind: NotificationType, enabled: bool) -> C {
        C::SetPreference { r#type: kind, channel: Channel::Email, enabled }
    }

    fn preference(enabled: bool) -> E {
        let r#type = NotificationType::ApplicationSubmitted;
        E::PreferenceSet { account: ADA, r#type, channel: Channel::Email, enabled }
    }

    fn switched(enabled: bool) -> E {
        E::ChannelSwitched { account: ADA, channel: Channel::Email, enabled }
    }

    fn suppressed(reason: SuppressionReason) -> E {
        E::AddressSuppressed { account: ADA, channel: Channel::Email, reason }
    }

    #[test]
    fn a_person_says_what_comes_through_which_channel_and_only_a_change_is_recorded() {
        let kind = NotificationType::ApplicationSubmitted;
        let state = after([]).when(set(kind, false)).then([preference(false)]);
        assert!(state.disabled.contains(&(kind, Channel::Email)));
        after([preference(false)]).when(set(kind, false)).then([]);
        after([preference(false)]).when(set(kind, true)).then([preference(true)]);
        after([]).when(set(kind, true)).then([]);
    }

    #[test]
    fn ntf_n2_what_is_critical_cannot_be_switched_off() {
        let refusal = RecipientSettingsRefusal::CriticalType {};
        after([]).when(set(NotificationType::SecurityAlert, false)).refused(refusal);
        after([]).when(set(NotificationType::SecurityAlert, true)).then([]);
    }

    #[test]
    fn the_application_itself_is_always_on() {
        let refusal = RecipientSettingsRefusal::InAppAlwaysOn {};
        let r#type = NotificationType::ApplicationSubmitted;
        let one = C::SetPreference { r#type, channel: Channel::InApp, enabled: false };
        after([]).when(one).refused(refusal.clone());
        after([]).when(C::SwitchChannel { channel: Channel::InApp, enabled: false }).refused(refusal);
        after([]).when(C::SwitchChannel { channel: Channel::Email, enabled: false }).then([switched(false)]);
        after([switched(false)])
            .when(C::SwitchChannel { channel: Channel::Email, enabled: true })
            .then([switched(true)]);
    }

    #[test]
    fn p_36_the_system_suppresses_an_address_and_the_person_lifts_it() {
        let bounced = SuppressionReason::HardBounce;
        let suppress = C::SuppressAddress { channel: Channel::Email, reason: bounced };
        after([]).by(Actor::policy("bounces")).when(suppress.clone()).then([suppressed(bounced)]);
        assert!(!after([]).permits(&ada(), &suppress));
        let lift = C::LiftSuppression { channel: Channel::Email };
        let lifted = E::SuppressionLifted { channel: Channel::Email };
        after([suppressed(bounced)]).when(lift.clone()).then([lifted]);
        after([switched(false)]).when(lift).then([]);
    }

    #[test]
    fn nobody_sets_what_is_somebody_elses() {
        let other = || Actor::user(Uuid::from_u128(2), &["admin"]);
        let command = set(NotificationType::Overspend, false);
        nothing::<RecipientSettings>().with_id(ADA).by(other()).when(command.clone()).forbidden();
        assert!(!after([preference(false)]).permits(&other(), &command));
        assert!(!after([]).permits(&Actor::policy("any"), &command));
    }

    #[test]
    fn every_event_reads_as_it_was_stored() {
        let lifted = E::SuppressionLifted { channel: Channel::Email };
        let complaint = suppressed(SuppressionReason::Complaint);
        keeps_history::<RecipientSettings>([preference(false), switched(false), complaint, lifted]);
    }
}
