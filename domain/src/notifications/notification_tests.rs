//! A notification, from its request to its end.

use proptest::prelude::*;

use super::{NotificationCommand as C, NotificationEvent as E, *};
use crate::{
    kernel::testing::{Scenario, given, keeps_history, nothing},
    notifications::SkipReason,
};

const ADA: Uuid = Uuid::from_u128(0xADA);
const CAUSE: Uuid = Uuid::from_u128(0xCA);
const NOW: &str = "2026-02-01T12:00:00Z";
const KIND: NotificationType = NotificationType::ApplicationSubmitted;

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

fn data() -> BTreeMap<String, String> {
    BTreeMap::from([("scholarship".to_owned(), "Lovelace".to_owned())])
}

fn request() -> C {
    C::RequestNotification {
        recipient: ADA,
        r#type: KIND,
        data: Stated(data()),
        link: Some("/v1/applications/1".into()),
        priority: Priority::Medium,
        cause: CAUSE,
        expires_at: Some(at("2026-03-01T00:00:00Z")),
    }
}

fn requested() -> E {
    E::NotificationRequested {
        recipient: ADA,
        r#type: KIND,
        data: Personal::about(ADA, data()),
        link: Some("/v1/applications/1".into()),
        priority: Priority::Medium,
        cause: CAUSE,
        expires_at: Some(at("2026-03-01T00:00:00Z")),
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

fn rendered() -> E {
    let personal = |text: &str| Personal::about(ADA, text.to_owned());
    E::NotificationRendered {
        channel: Channel::Email,
        template: None,
        template_version: 0,
        subject: Some(personal("Application submitted")),
        body: personal("Read it after a login."),
    }
}

fn render() -> C {
    C::RenderNotification {
        channel: Channel::Email,
        template: None,
        template_version: 0,
        subject: Some(Stated("Application submitted".into())),
        body: Stated("Read it after a login.".into()),
    }
}

fn dispatched(attempt: u32) -> E {
    let (provider, provider_id) = ("smtp".to_owned(), Some("1".to_owned()));
    E::DeliveryDispatched { channel: Channel::Email, provider, provider_id, attempt }
}

fn succeeded() -> E {
    E::DeliverySucceeded { channel: Channel::Email, at: at(NOW), r#type: KIND }
}

fn abandoned() -> E {
    E::DeliveryAbandoned { channel: Channel::Email, r#type: KIND }
}

fn failure(retryable: bool) -> C {
    C::RecordDeliveryFailure { channel: Channel::Email, error: "no answer".into(), retryable }
}

fn failed(attempt: u32) -> E {
    let next_at = Some(at(NOW));
    E::DeliveryFailed {
        channel: Channel::Email,
        error: "no answer".into(),
        retryable: true,
        attempt,
        next_at,
    }
}

fn after(events: impl IntoIterator<Item = E>) -> Scenario<Notification> {
    given(events).by(Actor::policy("deliver_notifications")).at(NOW)
}

fn by_ada(events: impl IntoIterator<Item = E>) -> Scenario<Notification> {
    after(events).by(Actor::user(ADA, &["student"]))
}

#[test]
fn ntf_n6_one_cause_one_recipient_one_type_is_one_notification() {
    nothing::<Notification>().at(NOW).when(request()).then([requested()]);
    after([requested()]).when(request()).then([]);
    let id = notification_id(CAUSE, ADA, KIND);
    assert_eq!(id, notification_id(CAUSE, ADA, KIND));
    assert_ne!(id, notification_id(CAUSE, ADA, NotificationType::ApplicationStatus));
    assert_ne!(id, notification_id(CAUSE, Uuid::from_u128(2), KIND));
    assert_ne!(id, notification_id(Uuid::from_u128(2), ADA, KIND));
}

#[test]
fn ntf_n3_it_is_there_when_it_is_routed_and_a_carrier_goes_its_own_way() {
    let E::NotificationRouted { channels, skipped, deferred_to_digest, not_before } = routed() else {
        unreachable!()
    };
    let route = C::RouteNotification { channels, skipped, deferred_to_digest, not_before };
    after([requested()]).when(route.clone()).then([routed()]);
    after([requested(), routed()]).when(route).then([]);
    after([requested(), routed()]).when(render()).then([rendered()]);
    after([requested(), routed(), rendered()]).when(render()).then([]);
    let provider_id = Some("1".to_owned());
    let dispatch = C::RecordDispatch { channel: Channel::Email, provider: "smtp".into(), provider_id };
    after([requested(), routed(), rendered()]).when(dispatch).then([dispatched(1)]);
    let deliver = C::RecordDelivery { channel: Channel::Email, at: at(NOW) };
    let sent = [requested(), routed(), rendered(), dispatched(1)];
    after(sent.clone()).when(deliver.clone()).then([succeeded()]);
    after(sent.into_iter().chain([succeeded()])).when(deliver).then([]);
    let elsewhere = C::RecordDelivery { channel: Channel::Sms, at: at(NOW) };
    after([requested(), routed()]).when(elsewhere).then([]);
}

#[test]
fn ntf_n5_a_carrier_is_tried_five_times_and_then_given_up() {
    let before = [requested(), routed(), rendered()];
    after(before.clone()).when(failure(true)).then_names(["DeliveryFailed"]);
    let four = (1..=4).map(failed);
    let fifth = after(before.clone().into_iter().chain(four)).when(failure(true)).events();
    let [E::DeliveryFailed { attempt: 5, next_at: None, .. }, E::DeliveryAbandoned { .. }] = &fifth[..]
    else {
        panic!("{fifth:?}")
    };
    after(before.clone()).when(failure(false)).then_names(["DeliveryFailed", "DeliveryAbandoned"]);
    after(before.clone().into_iter().chain([abandoned()])).when(failure(true)).then([]);
    let retry = C::RetryDelivery { channel: Channel::Email };
    let retried = E::DeliveryRetried { channel: Channel::Email, attempt: 2 };
    after(before.into_iter().chain([failed(1)])).when(retry).then([retried]);
}

#[test]
fn what_its_recipient_does_with_it_nobody_else_does() {
    let [read, unread, archive] =
        [C::MarkNotificationRead {}, C::MarkNotificationUnread {}, C::ArchiveNotification {}];
    let is_read = || [requested(), routed(), E::NotificationRead {}];
    by_ada([requested(), routed()]).when(read.clone()).then([E::NotificationRead {}]);
    by_ada(is_read()).when(read.clone()).then([]);
    by_ada(is_read()).when(unread.clone()).then([E::NotificationUnread {}]);
    by_ada([requested(), routed()]).when(unread).then([]);
    by_ada(is_read()).when(archive.clone()).then([E::NotificationArchived {}]);
    let archived = is_read().into_iter().chain([E::NotificationArchived {}]);
    by_ada(archived.clone()).when(archive).then([]);
    by_ada(archived).when(read.clone()).invalid_state("archived");
    by_ada([requested()]).when(read.clone()).invalid_state("requested");
    let other = Actor::user(Uuid::from_u128(2), &["admin"]);
    assert!(!after([requested(), routed()]).permits(&other, &read));
    assert!(!after([requested(), routed()]).permits(&Actor::policy("any"), &read));
    assert!(!nothing::<Notification>().permits(&other, &request()));
}

#[test]
fn what_expires_unread_is_sent_no_more() {
    let late = |events: Vec<E>| after(events).at("2026-03-01T00:00:00Z");
    after([requested(), routed()]).when(C::ExpireNotification {}).then([]);
    late(vec![requested(), routed()]).when(C::ExpireNotification {}).then([E::NotificationExpired {}]);
    late(vec![requested(), routed(), E::NotificationRead {}]).when(C::ExpireNotification {}).then([]);
    let expired = [requested(), routed(), E::NotificationExpired {}];
    after(expired.clone()).when(render()).then([]);
    by_ada(expired).when(C::MarkNotificationRead {}).invalid_state("expired");
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<Notification>([
        requested(),
        routed(),
        rendered(),
        dispatched(1),
        succeeded(),
        failed(1),
        E::DeliveryRetried { channel: Channel::Email, attempt: 2 },
        abandoned(),
        E::NotificationRead {},
        E::NotificationUnread {},
        E::NotificationArchived {},
        E::NotificationExpired {},
    ]);
}

proptest! {
    #[test]
    fn ntf_n5_each_wait_is_twice_the_one_before_give_or_take_a_fifth(failures in 1..5_u32, random: u128) {
        let whole = 30_000_i64 << (failures - 1);
        let waited = wait(failures, Uuid::from_u128(random)).as_millis() as i64;
        prop_assert!((whole * 8 / 10..=whole * 12 / 10).contains(&waited), "{waited}");
    }
}
