//! One thing that one person is told of because of one event (catalogue 2.9, Notification). Its id is that of
//! [`notification_id`].
//!
//! Life cycle: `requested -> routed -> (delivered per channel) -> read -> archived`; `requested | routed -> expired`.
//!
//! - **NTF-N3** in the application it is there when it is routed; by a carrier it is rendered, dispatched and delivered, each
//!   channel by itself.
//! - **NTF-N5** a carrier that fails is tried again after 30 s × 2^n, ±20 %, five times in all; then the channel is given up.
//! - **NTF-N6** one cause, one recipient, one type: one notification, however often it is asked for.
//!
//! Only the recipient reads it, and says that it is read, unread or archived.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::{Channel, NotificationType, Priority, SkippedChannel};
use crate::kernel::{
    Actor, Context, Decided, Decider, Event, Known, NoRefusal, NotYet, Personal, RecordClass, Refused,
    Stated, bounds, class::Communication, derived_id, schemas,
};

/// How often a carrier is tried (NTF-N5).
pub const ATTEMPTS: u32 = 5;

/// How long to wait after the first failure (NTF-N5); after each further one twice as long.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// The id of the notification of a type that somebody gets because of an event (NTF-N6).
pub fn notification_id(cause: Uuid, recipient: Uuid, kind: NotificationType) -> Uuid {
    derived_id(&["notification", &cause.to_string(), &recipient.to_string(), kind.name()])
}

/// Where in its life a notification is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NotificationStatus {
    /// It has no events.
    #[default]
    New,
    /// It is asked for.
    Requested,
    /// It is on its way through its channels, and not read.
    Routed,
    /// The recipient has read it.
    Read,
    /// The recipient has put it away.
    Archived,
    /// Its time was over before anybody read it.
    Expired,
}

/// What is sent through a carrier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rendered {
    /// The subject, where the carrier has such.
    pub subject: Option<Personal<String, Communication>>,
    /// The text.
    pub body: Personal<String, Communication>,
}

/// What became of a carrier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// What is sent, once it is rendered.
    pub rendered: Option<Rendered>,
    /// How often it was handed over, or tried to be.
    pub attempts: u32,
    /// Whether it is over: it was delivered, or given up.
    pub over: bool,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Notification {
    /// Where in its life it is.
    pub status: NotificationStatus,
    /// Who is told.
    pub recipient: Uuid,
    /// Of what, once it is asked for.
    pub kind: Option<NotificationType>,
    /// What it says.
    pub data: Personal<BTreeMap<String, String>, Communication>,
    /// When it is over.
    pub expires_at: Option<Timestamp>,
    /// The channels that it goes through, once it is routed.
    pub channels: BTreeSet<Channel>,
    /// What became of each carrier.
    pub deliveries: BTreeMap<Channel, Delivery>,
}

impl Notification {
    /// Whether it is still to be sent through a carrier.
    pub fn is_to_be_sent(&self, channel: Channel) -> bool {
        let over = self.deliveries.get(&channel).is_some_and(|delivery| delivery.over);
        self.channels.contains(&channel) && !over && self.status != NotificationStatus::Expired
    }
}

/// What can be asked of a notification.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum NotificationCommand {
    /// Asks for somebody to be told.
    #[schemars(extend("x-system" = true))]
    RequestNotification {
        /// Who is told.
        recipient: Uuid,
        /// Of what.
        r#type: NotificationType,
        /// What it says, by name.
        data: Stated<BTreeMap<String, String>>,
        /// Where to read on: a path below the address of the API.
        #[serde(default)]
        link: Option<String>,
        /// How much it matters.
        priority: Priority,
        /// The event because of which.
        cause: Uuid,
        /// When it means nothing any more.
        #[serde(default)]
        #[schemars(transform = schemas::instant)]
        expires_at: Option<Timestamp>,
    },
    /// Says through which channels it goes (NTF-N1).
    #[schemars(extend("x-system" = true))]
    RouteNotification {
        /// The channels.
        channels: Vec<Channel>,
        /// The others of its type, and why not through them.
        skipped: Vec<SkippedChannel>,
        /// Whether it waits for the digest.
        deferred_to_digest: bool,
        /// Before when nothing is sent.
        #[serde(default)]
        #[schemars(transform = schemas::instant)]
        not_before: Option<Timestamp>,
    },
    /// Records what is sent through a carrier.
    #[schemars(extend("x-system" = true))]
    RenderNotification {
        /// The carrier.
        channel: Channel,
        /// The template; none where the text of the house was taken.
        #[serde(default)]
        template: Option<Uuid>,
        /// Its version; 0 where there is none.
        template_version: i32,
        /// The subject, where the carrier has such.
        #[serde(default)]
        subject: Option<Stated<String>>,
        /// The text.
        body: Stated<String>,
    },
    /// Records that a carrier took it.
    #[schemars(extend("x-system" = true))]
    RecordDispatch {
        /// The carrier.
        channel: Channel,
        /// Who took it, such as `smtp`.
        provider: String,
        /// Under which id.
        #[serde(default)]
        provider_id: Option<String>,
    },
    /// Records that it arrived, as far as the carrier can tell.
    #[schemars(extend("x-system" = true))]
    RecordDelivery {
        /// The carrier.
        channel: Channel,
        /// When.
        #[schemars(transform = schemas::instant)]
        at: Timestamp,
    },
    /// Records that a carrier failed.
    #[schemars(extend("x-system" = true))]
    RecordDeliveryFailure {
        /// The carrier.
        channel: Channel,
        /// Why, without personal data.
        error: String,
        /// Whether to try again is of any use.
        retryable: bool,
    },
    /// Sends it again through a carrier that failed.
    #[schemars(extend("x-system" = true))]
    RetryDelivery {
        /// The carrier.
        channel: Channel,
    },
    /// Says that it is read.
    MarkNotificationRead {},
    /// Says that it is not.
    MarkNotificationUnread {},
    /// Puts it away.
    ArchiveNotification {},
    /// Records that its time is over.
    #[schemars(extend("x-system" = true))]
    ExpireNotification {},
}

/// What can have happened to a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum NotificationEvent {
    /// Somebody is to be told.
    NotificationRequested {
        recipient: Uuid,
        r#type: NotificationType,
        data: Personal<BTreeMap<String, String>, Communication>,
        link: Option<String>,
        priority: Priority,
        cause: Uuid,
        expires_at: Option<Timestamp>,
    },
    /// It goes through these channels; in the application it is there now.
    NotificationRouted {
        channels: Vec<Channel>,
        skipped: Vec<SkippedChannel>,
        deferred_to_digest: bool,
        not_before: Option<Timestamp>,
    },
    /// This is sent through a carrier.
    NotificationRendered {
        channel: Channel,
        template: Option<Uuid>,
        template_version: i32,
        subject: Option<Personal<String, Communication>>,
        body: Personal<String, Communication>,
    },
    /// A carrier took it.
    DeliveryDispatched { channel: Channel, provider: String, provider_id: Option<String>, attempt: u32 },
    /// It arrived, as far as the carrier can tell.
    DeliverySucceeded { channel: Channel, at: Timestamp, r#type: NotificationType },
    /// A carrier failed; it is tried again at `next_at`.
    DeliveryFailed {
        channel: Channel,
        error: String,
        retryable: bool,
        attempt: u32,
        next_at: Option<Timestamp>,
    },
    /// It is sent again.
    DeliveryRetried { channel: Channel, attempt: u32 },
    /// A carrier was given up.
    DeliveryAbandoned { channel: Channel, r#type: NotificationType },
    /// The recipient has read it.
    NotificationRead {},
    /// The recipient has it as unread.
    NotificationUnread {},
    /// The recipient has put it away.
    NotificationArchived {},
    /// Its time was over before anybody read it.
    NotificationExpired {},
}

impl Event for NotificationEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

impl Decider for Notification {
    const TYPE: &'static str = "notifications.notification";
    const CLASS: Option<RecordClass> = Some(RecordClass::Communication);
    type Command = NotificationCommand;
    type Event = NotificationEvent;
    type Refusal = NoRefusal;
    type Facts = ();

    fn creates(command: &NotificationCommand) -> bool {
        matches!(command, NotificationCommand::RequestNotification { .. })
    }

    fn facts(&self, _: &NotificationCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &NotificationCommand) -> bool {
        use NotificationCommand as C;
        match command {
            C::MarkNotificationRead {} | C::MarkNotificationUnread {} | C::ArchiveNotification {} => {
                !actor.is_system() && actor.is(self.recipient)
            }
            C::RequestNotification { .. }
            | C::RouteNotification { .. }
            | C::RenderNotification { .. }
            | C::RecordDispatch { .. }
            | C::RecordDelivery { .. }
            | C::RecordDeliveryFailure { .. }
            | C::RetryDelivery { .. }
            | C::ExpireNotification {} => actor.is_system(),
        }
    }

    fn decide(&self, command: NotificationCommand, (): &(), context: &Context) -> Decided<Self> {
        use NotificationCommand as C;
        use NotificationEvent as E;
        use NotificationStatus as S;
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        let event = match command {
            C::RequestNotification { .. } if self.status != S::New => return Ok(Vec::new()),
            C::RequestNotification { recipient, r#type, data, link, priority, cause, expires_at } => {
                bounds::text_map("data", &data.0, 20, 2000)?;
                bounds::maybe_text("link", link.as_deref(), 1..=500)?;
                expires_at.map_or(Ok(()), |at| bounds::instant("expires_at", at))?;
                let data = data.about(recipient);
                E::NotificationRequested { recipient, r#type, data, link, priority, cause, expires_at }
            }
            // A clock that comes late, and what was done already, have nothing to say.
            C::RouteNotification { .. } if self.status != S::Requested => return Ok(Vec::new()),
            C::RouteNotification { channels, skipped, deferred_to_digest, not_before } => {
                E::NotificationRouted { channels, skipped, deferred_to_digest, not_before }
            }
            C::RenderNotification { channel, .. }
            | C::RecordDispatch { channel, .. }
            | C::RecordDelivery { channel, .. }
            | C::RecordDeliveryFailure { channel, .. }
            | C::RetryDelivery { channel }
                if !self.is_to_be_sent(channel) =>
            {
                return Ok(Vec::new());
            }
            C::RenderNotification { channel, .. } if self.rendered(channel) => return Ok(Vec::new()),
            C::RenderNotification { channel, template, template_version, subject, body } => {
                let subject = subject.map(|subject| subject.about(self.recipient));
                let body = body.about(self.recipient);
                E::NotificationRendered { channel, template, template_version, subject, body }
            }
            C::RecordDispatch { channel, provider, provider_id } => {
                let attempt = self.attempts(channel) + 1;
                E::DeliveryDispatched { channel, provider, provider_id, attempt }
            }
            C::RecordDelivery { channel, at } => {
                let Some(r#type) = self.kind else { return Err(wrong_state) };
                E::DeliverySucceeded { channel, at, r#type }
            }
            C::RecordDeliveryFailure { channel, error, retryable } => {
                return self.failed(channel, error, retryable, context);
            }
            C::RetryDelivery { channel } => {
                E::DeliveryRetried { channel, attempt: self.attempts(channel) + 1 }
            }
            C::ExpireNotification {} => {
                let due = self.expires_at.is_some_and(|at| context.now >= at);
                if !due || !matches!(self.status, S::Requested | S::Routed) {
                    return Ok(Vec::new());
                }
                E::NotificationExpired {}
            }
            C::MarkNotificationRead {} if self.status == S::Read => return Ok(Vec::new()),
            C::MarkNotificationRead {} if self.status == S::Routed => E::NotificationRead {},
            C::MarkNotificationUnread {} if self.status == S::Routed => return Ok(Vec::new()),
            C::MarkNotificationUnread {} if self.status == S::Read => E::NotificationUnread {},
            C::ArchiveNotification {} if self.status == S::Archived => return Ok(Vec::new()),
            C::ArchiveNotification {} if matches!(self.status, S::Routed | S::Read | S::Expired) => {
                E::NotificationArchived {}
            }
            C::MarkNotificationRead {} | C::MarkNotificationUnread {} | C::ArchiveNotification {} => {
                return Err(wrong_state);
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &NotificationEvent) {
        use NotificationEvent as E;
        use NotificationStatus as S;
        match event {
            E::NotificationRequested { recipient, r#type, data, expires_at, .. } => {
                *self = Notification {
                    status: S::Requested,
                    recipient: *recipient,
                    kind: Some(*r#type),
                    data: data.clone(),
                    expires_at: *expires_at,
                    channels: BTreeSet::new(),
                    deliveries: BTreeMap::new(),
                }
            }
            E::NotificationRouted { channels, .. } => {
                self.status = S::Routed;
                self.channels = channels.iter().copied().collect();
            }
            E::NotificationRendered { channel, subject, body, .. } => {
                let rendered = Rendered { subject: subject.clone(), body: body.clone() };
                self.deliveries.entry(*channel).or_default().rendered = Some(rendered);
            }
            E::DeliveryDispatched { channel, attempt, .. } | E::DeliveryFailed { channel, attempt, .. } => {
                self.deliveries.entry(*channel).or_default().attempts = *attempt;
            }
            E::DeliverySucceeded { channel, .. } | E::DeliveryAbandoned { channel, .. } => {
                self.deliveries.entry(*channel).or_default().over = true;
            }
            E::DeliveryRetried { .. } => {}
            E::NotificationRead {} => self.status = S::Read,
            E::NotificationUnread {} => self.status = S::Routed,
            E::NotificationArchived {} => self.status = S::Archived,
            E::NotificationExpired {} => self.status = S::Expired,
        }
    }

    fn subject(&self) -> Option<Uuid> {
        (self.status != NotificationStatus::New).then_some(self.recipient)
    }
}

impl Notification {
    fn attempts(&self, channel: Channel) -> u32 {
        self.deliveries.get(&channel).map_or(0, |delivery| delivery.attempts)
    }

    fn rendered(&self, channel: Channel) -> bool {
        self.deliveries.get(&channel).is_some_and(|delivery| delivery.rendered.is_some())
    }

    /// A carrier failed: it is tried again in time, or given up (NTF-N5).
    fn failed(&self, channel: Channel, error: String, retryable: bool, context: &Context) -> Decided<Self> {
        bounds::text("error", &error, 1..=2000)?;
        let attempt = self.attempts(channel) + 1;
        let again = retryable && attempt < ATTEMPTS;
        let next_at = again
            .then(|| context.now.checked_add(wait(attempt, context.derive("jitter"))).unwrap_or(context.now));
        let failed = NotificationEvent::DeliveryFailed { channel, error, retryable, attempt, next_at };
        let given_up = self
            .kind
            .filter(|_| !again)
            .map(|r#type| NotificationEvent::DeliveryAbandoned { channel, r#type });
        Ok([failed].into_iter().chain(given_up).collect())
    }
}

/// How long to wait after so many failures: 30 s × 2^n, 20 % more or less, so that those that failed together do not come
/// back together.
fn wait(failures: u32, random: Uuid) -> SignedDuration {
    let whole = FIRST_WAIT.as_millis() << failures.saturating_sub(1).min(16);
    let shift = (random.as_u128() % 401) as i128 - 200;
    SignedDuration::from_millis(i64::try_from(whole + whole * shift / 1000).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "notification_tests.rs"]
mod tests;
