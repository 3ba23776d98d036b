//! Notifications: who is told of what happened (catalogue 3.9, P-34), and through which channels (P-35).
//!
//! What is written to people as a part of their rights or of a login is written elsewhere ([`super::notices`],
//! [`super::identity`]): nobody can switch that off.

use std::collections::BTreeMap;

use domain::{
    Money, Stated,
    budgeting::{BudgetMonth, BudgetMonthEvent, RedistributionMode, Transfer, local_date, zone},
    credentials::{MicroCredential, Recognition, RecognitionEvent},
    identity::{Account, AccountEvent, OrgUnit},
    notifications::{
        Channel, Notification, NotificationCommand, NotificationEvent, NotificationType, Priority,
        RecipientSettings, notice, notification_id, route, title,
    },
    opportunities::{OFFER_LASTS, Scholarship, ScholarshipApplication, ScholarshipApplicationEvent},
    registry::{AnyCommand, AnyEvent},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, notices::holders, timer_id};
use crate::{
    CommandError,
    ports::{Mail, Undelivered},
};

/// What happened longer ago than that when it was recorded is history that was imported: nobody is told of it.
const NEWS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whether an event is no history that is imported.
pub(super) fn is_news(fact: &Fact) -> bool {
    fact.recorded_at.duration_since(fact.envelope.occurred_at) <= NEWS
}

/// How long a value may be: a reader who wants more follows the link.
const LONGEST: usize = 500;

/// What somebody is to be told.
pub(super) struct Told {
    recipient: Uuid,
    kind: NotificationType,
    data: BTreeMap<String, String>,
    link: Option<String>,
    expires_at: Option<Timestamp>,
}

impl Told {
    fn new<const N: usize>(
        recipient: Uuid,
        kind: NotificationType,
        data: [(&str, Option<String>); N],
    ) -> Self {
        let short = |value: String| match value.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value,
        };
        let data =
            data.into_iter().filter_map(|(name, value)| Some((name.to_owned(), short(value?)))).collect();
        Told { recipient, kind, data, link: None, expires_at: None }
    }

    fn at(mut self, link: String) -> Self {
        self.link = Some(link);
        self
    }

    fn until(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Asks for it, because of an event.
    pub(super) fn because_of(self, cause: Uuid) -> Issue {
        let Told { recipient, kind, data, link, expires_at } = self;
        let priority = match (kind.is_critical(), expires_at) {
            (true, _) => Priority::Critical,
            (false, Some(_)) => Priority::High,
            (false, None) => Priority::Medium,
        };
        let request = NotificationCommand::RequestNotification {
            recipient,
            r#type: kind,
            data: Stated(data),
            link,
            priority,
            cause,
            expires_at,
        };
        let id = notification_id(cause, recipient, kind);
        Issue::new(id, AnyCommand::Notification(request), format!("{}:{recipient}", kind.name()))
    }
}

/// P-34, and what P-10, P-20 and P-25 to P-27 tell: one notification for each person whom an event concerns.
pub(super) struct RequestNotifications;

impl Policy for RequestNotifications {
    fn name(&self) -> &'static str {
        "request_notifications"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "RoleAssigned",
            "RoleRevoked",
            "AccountReinstated",
            "ScholarshipApplicationSubmitted",
            "ApplicationShortlisted",
            "ApplicationDeclined",
            "ScholarshipAwarded",
            "ReviewerAssigned",
            "RecognitionProposed",
            "RecognitionApproved",
            "RecognitionRejected",
            "CategoryAlertTriggered",
            "OverspendDetected",
            "RedistributionProposed",
            "BudgetRedistributed",
            "RedistributionReverted",
        ]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            if !is_news(fact) {
                return Ok(Vec::new());
            }
            let told = match &fact.event {
                AnyEvent::Account(event) => of_account(event, fact),
                AnyEvent::ScholarshipApplication(event) => of_application(event, fact, world).await?,
                AnyEvent::Recognition(event) => of_recognition(event, fact, world).await?,
                AnyEvent::BudgetMonth(event) => of_month(event, fact, world).await?,
                _ => Vec::new(),
            };
            Ok(told.into_iter().map(|told| told.because_of(fact.event_id).into()).collect())
        })
    }
}

fn of_account(event: &AccountEvent, fact: &Fact) -> Vec<Told> {
    let change = match event {
        AccountEvent::RoleAssigned { role, .. } => format!("you have the role {role} now"),
        AccountEvent::RoleRevoked { role, .. } => format!("the role {role} was taken back"),
        AccountEvent::AccountReinstated { .. } => "it can be used again".to_owned(),
        _ => return Vec::new(),
    };
    let told = Told::new(fact.id, NotificationType::AccountChanged, [("change", Some(change))]);
    vec![told.at("/v1/auth/security-status".to_owned())]
}

/// P-10 (c), and what becomes of an application.
async fn of_application(
    event: &ScholarshipApplicationEvent,
    fact: &Fact,
    world: &World,
) -> Result<Vec<Told>, CommandError> {
    use NotificationType as T;
    use ScholarshipApplicationEvent as E;
    let status = |applicant: Uuid, status: &str| {
        Told::new(applicant, T::ApplicationStatus, [("status", Some(status.to_owned()))])
    };
    let told = match event {
        E::ScholarshipApplicationSubmitted { scholarship, applicant, .. } => {
            let terms = world.state::<Scholarship>(*scholarship).await?.state.terms.clone();
            Told::new(*applicant, T::ApplicationSubmitted, [("scholarship", terms.map(|terms| terms.title))])
        }
        E::ApplicationShortlisted {} => status(applicant(fact, world).await?, "put on the short list"),
        E::ApplicationDeclined { .. } => status(applicant(fact, world).await?, "declined"),
        E::ScholarshipAwarded { amount, applicant, awarded_at, .. } => {
            let until = awarded_at.saturating_add(OFFER_LASTS).unwrap_or(*awarded_at);
            let day = super::notices::day(until).to_string();
            let data = [("amount", Some(amount.to_string())), ("until", Some(day))];
            Told::new(*applicant, T::AwardOffer, data).until(until)
        }
        E::ReviewerAssigned { reviewer } => Told::new(*reviewer, T::ReviewAssigned, []),
        _ => return Ok(Vec::new()),
    };
    Ok(vec![told.at(format!("/v1/applications/{}", fact.id))])
}

async fn applicant(fact: &Fact, world: &World) -> Result<Uuid, CommandError> {
    Ok(world.state::<ScholarshipApplication>(fact.id).await?.state.applicant)
}

/// P-20, and what becomes of a recognition: the administrators of the institution that is to decide, then whoever proposed it
/// and the administrators of the one that issues the credential.
async fn of_recognition(
    event: &RecognitionEvent,
    fact: &Fact,
    world: &World,
) -> Result<Vec<Told>, CommandError> {
    use NotificationType as T;
    let (credential, kind, decision) = match event {
        RecognitionEvent::RecognitionProposed { credential, .. } => {
            (*credential, T::RecognitionPending, None)
        }
        RecognitionEvent::RecognitionApproved { credential, .. } => {
            (*credential, T::RecognitionDecided, Some("approved"))
        }
        RecognitionEvent::RecognitionRejected { credential, .. } => {
            (*credential, T::RecognitionDecided, Some("rejected"))
        }
        _ => return Ok(Vec::new()),
    };
    let offered = world.state::<MicroCredential>(credential).await?.state;
    let mut recipients = match event {
        RecognitionEvent::RecognitionProposed { institution, .. } => {
            administrators(*institution, fact, world).await?
        }
        _ => {
            let proposer = world.state::<Recognition>(fact.id).await?.state.proposed_by;
            let owners = administrators(offered.institution, fact, world).await?;
            proposer.into_iter().chain(owners).collect()
        }
    };
    // Whoever did it knows.
    recipients.retain(|recipient| fact.envelope.actor != format!("user:{recipient}"));
    recipients.sort_unstable();
    recipients.dedup();
    let told = |recipient: Uuid| {
        let data = [("credential", Some(offered.title.clone())), ("decision", decision.map(str::to_owned))];
        Told::new(recipient, kind, data).at(format!("/v1/recognitions/{}", fact.id))
    };
    Ok(recipients.into_iter().map(told).collect())
}

/// The administrators of an institution: those of the unit itself, or where it has none, of the next one above that has; or
/// those of everything (IDN-A8).
async fn administrators(institution: Uuid, fact: &Fact, world: &World) -> Result<Vec<Uuid>, CommandError> {
    let mut within = Some(institution);
    loop {
        let found = holders(&["institution_admin"], within, fact, world).await?;
        match within {
            Some(unit) if found.is_empty() => within = world.state::<OrgUnit>(unit).await?.state.parent,
            Some(_) | None => return Ok(found),
        }
    }
}

/// P-25 to P-27, and the alert of a category. A month that was opened after its end is history: nobody is told of it.
async fn of_month(event: &BudgetMonthEvent, fact: &Fact, world: &World) -> Result<Vec<Told>, CommandError> {
    use BudgetMonthEvent as E;
    use NotificationType as T;
    let month = world.state::<BudgetMonth>(fact.id).await?.state;
    let Some(owner) = month.account.filter(|_| !month.after_end) else { return Ok(Vec::new()) };
    let told = match event {
        E::CategoryAlertTriggered { category, used } => {
            let used = format!("{} %", used.0 / 100);
            Told::new(owner, T::CategoryAlert, [("category", Some(category.clone())), ("used", Some(used))])
        }
        // In mode auto the same decision says what it came to, in mode propose the proposal or its refusal does.
        E::OverspendDetected { category, overspend, .. } => {
            // The mode that it had: it may have been changed since.
            if world.before::<BudgetMonth>(fact).await?.mode != RedistributionMode::Off {
                return Ok(Vec::new());
            }
            overspent(owner, category, overspend.get().copied())
        }
        E::BudgetRedistributed { category, amounts, .. } => match amounts.get() {
            Some(amounts) if amounts.covered.minor == 0 => {
                overspent(owner, category, Some(amounts.uncovered))
            }
            amounts => {
                let changes = amounts.map(|moved| changes(category, &moved.transfers, 1));
                Told::new(owner, T::BudgetAdjusted, [("changes", changes)])
            }
        },
        E::RedistributionReverted { category, amounts, .. } => {
            let changes = amounts.get().map(|moved| changes(category, &moved.returned, -1));
            Told::new(owner, T::BudgetAdjusted, [("changes", changes)])
        }
        E::RedistributionProposed { category, expires_at, amounts, .. } => {
            let changes = amounts.get().map(|moved| changes(category, &moved.transfers, 1));
            let zone = zone(&month.tz);
            let until =
                format!("{} {}", local_date(*expires_at, &zone), expires_at.to_zoned(zone).strftime("%H:%M"));
            let data = [("changes", changes), ("until", Some(until))];
            Told::new(owner, T::RedistributionProposed, data).until(*expires_at)
        }
        _ => return Ok(Vec::new()),
    };
    Ok(vec![told.at(format!("/v1/budget/months/{}", month.month))])
}

/// P-25: what nobody covers.
pub(super) fn overspent(owner: Uuid, category: &str, uncovered: Option<Money>) -> Told {
    let uncovered = uncovered.map(|money| money.to_string());
    let data = [("category", Some(category.to_owned())), ("uncovered", uncovered)];
    Told::new(owner, NotificationType::Overspend, data)
}

/// What a category got and others gave, or, where `sign` is -1, gave back: `dining +10.00 USD, entertainment −10.00 USD`.
fn changes(category: &str, transfers: &[Transfer], sign: i64) -> String {
    let signed = |category: &str, minor: i64, ccy| {
        let sign = if minor < 0 { '−' } else { '+' };
        format!("{category} {sign}{}", Money { minor: minor.saturating_abs(), ccy })
    };
    let Some(first) = transfers.first() else { return category.to_owned() };
    let whole = transfers.iter().map(|transfer| transfer.amount.minor).fold(0_i64, i64::saturating_add);
    let receiver = signed(category, whole.saturating_mul(sign), first.amount.ccy);
    let donors = transfers.iter().map(|transfer| {
        signed(&transfer.category, transfer.amount.minor.saturating_mul(-sign), transfer.amount.ccy)
    });
    [receiver].into_iter().chain(donors).collect::<Vec<_>>().join(", ")
}

/// P-35: a notification is routed, rendered for each carrier, and sent; a carrier that fails is tried again in time (NTF-N5).
///
/// Mail is the only carrier that this deployment has: for every other channel nobody has an address.
pub(super) struct DeliverNotifications;

impl Policy for DeliverNotifications {
    fn name(&self) -> &'static str {
        "deliver_notifications"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "NotificationRequested",
            "NotificationRouted",
            "NotificationRendered",
            "DeliveryFailed",
            "DeliveryRetried",
        ]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        use NotificationEvent as E;
        Box::pin(async move {
            let AnyEvent::Notification(event) = &fact.event else { return Ok(Vec::new()) };
            Ok(match event {
                E::NotificationRequested { recipient, r#type, expires_at, .. } => {
                    let expire = expires_at.map(|due_at| {
                        let command = AnyCommand::Notification(NotificationCommand::ExpireNotification {});
                        let id = timer_id(self.name(), &["expire", &fact.id.to_string()]);
                        Reaction::Arm(Timer { id, due_at, aggregate: fact.id, command })
                    });
                    let settings = world.state::<RecipientSettings>(*recipient).await?.state;
                    let mailed = address(*recipient, world).await?.is_some();
                    let has_address = |channel| channel == Channel::Email && mailed;
                    let (channels, skipped) = route(*r#type, &settings, has_address);
                    let route = NotificationCommand::RouteNotification {
                        channels,
                        skipped,
                        deferred_to_digest: false,
                        not_before: None,
                    };
                    expire.into_iter().chain([issue(fact, route, "route")]).collect()
                }
                E::NotificationRouted { channels, .. } if channels.contains(&Channel::Email) => {
                    let Some(kind) = world.state::<Notification>(fact.id).await?.state.kind else {
                        return Ok(Vec::new());
                    };
                    let render = NotificationCommand::RenderNotification {
                        channel: Channel::Email,
                        template: None,
                        template_version: 0,
                        subject: Some(Stated(title(kind))),
                        body: Stated(format!("{}\n\nReference: {}\n", notice(kind), fact.id)),
                    };
                    vec![issue(fact, render, "render")]
                }
                E::NotificationRendered { channel: Channel::Email, .. }
                | E::DeliveryRetried { channel: Channel::Email, .. } => mail(fact, world).await?,
                E::DeliveryFailed { channel, next_at: Some(next_at), .. } => {
                    let retry = NotificationCommand::RetryDelivery { channel: *channel };
                    vec![Reaction::Arm(Timer {
                        id: timer_id(self.name(), &["retry", &fact.id.to_string(), channel.name()]),
                        due_at: *next_at,
                        aggregate: fact.id,
                        command: AnyCommand::Notification(retry),
                    })]
                }
                _ => Vec::new(),
            })
        })
    }
}

fn issue(fact: &Fact, command: NotificationCommand, label: &'static str) -> Reaction {
    Issue::new(fact.id, AnyCommand::Notification(command), label).into()
}

/// The address of somebody who has shown that it is theirs; none where the account is closed, or the address erased.
async fn address(recipient: Uuid, world: &World) -> Result<Option<String>, CommandError> {
    let account = world.state::<Account>(recipient).await?.state;
    let verified = account.verification.is_none() && account.is_active(crate::execute::now());
    Ok(account.email.get().cloned().filter(|_| verified))
}

/// Hands the mail over, with the same Message-ID at each attempt, and says what came of it.
async fn mail(fact: &Fact, world: &World) -> Result<Vec<Reaction>, CommandError> {
    let notification = world.state::<Notification>(fact.id).await?.state;
    if !notification.is_to_be_sent(Channel::Email) {
        return Ok(Vec::new());
    }
    let channel = Channel::Email;
    let failed = |error: String, retryable| {
        let failure = NotificationCommand::RecordDeliveryFailure { channel, error, retryable };
        Ok(vec![issue(fact, failure, "failure")])
    };
    let rendered = notification.deliveries.get(&channel).and_then(|delivery| delivery.rendered.as_ref());
    let text = rendered.and_then(|rendered| Some((rendered.subject.as_ref()?.get()?, rendered.body.get()?)));
    let Some(((subject, body), to)) = text.zip(address(notification.recipient, world).await?) else {
        return failed("there is no address, or what was to be sent is erased".to_owned(), false);
    };
    let message_id = Uuid::new_v5(&fact.id, channel.name().as_bytes());
    let (subject, text) = (subject.clone(), body.clone());
    match world.ports().mailer.send(&Mail { to, subject, text, html: None, message_id }).await {
        Ok(()) => {
            let (provider, provider_id) = ("smtp".to_owned(), Some(message_id.to_string()));
            let dispatch = NotificationCommand::RecordDispatch { channel, provider, provider_id };
            let deliver = NotificationCommand::RecordDelivery { channel, at: crate::execute::now() };
            Ok(vec![issue(fact, dispatch, "dispatch"), issue(fact, deliver, "delivery")])
        }
        Err(Undelivered::Refused { reason }) => failed(reason, false),
        Err(Undelivered::NotNow(error)) => failed(error.to_string(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_26_and_p_27_say_what_each_category_got_and_gave() {
        let usd = |minor| Money { minor, ccy: "USD".parse().unwrap() };
        let gave = |category: &str, minor| Transfer { category: category.into(), amount: usd(minor) };
        let transfers = [gave("entertainment", 700), gave("travel", 300)];
        let told = "dining +10.00 USD, entertainment −7.00 USD, travel −3.00 USD";
        assert_eq!(changes("dining", &transfers, 1), told);
        let back = "dining −10.00 USD, entertainment +7.00 USD, travel +3.00 USD";
        assert_eq!(changes("dining", &transfers, -1), back);
        assert_eq!(changes("dining", &[], -1), "dining");
    }
}
