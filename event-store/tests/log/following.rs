use std::{pin::pin, time::Duration};

use event_store::{EventStore, StoreError, testing};
use futures_util::{Stream, StreamExt};
use sqlx::Executor;
use tokio::time::timeout;

use crate::support::*;

const SOON: Duration = Duration::from_secs(20);

/// Follows until a position, and checks that every event comes once and in order.
async fn follow_until(
    events: impl Stream<Item = Result<Vec<event_store::Recorded>, StoreError>>,
    after: u64,
    until: u64,
) {
    let mut events = pin!(events);
    let mut position = after;
    while position < until {
        let chunk = timeout(SOON, events.next()).await.expect("the log goes on").unwrap().unwrap();
        for event in chunk {
            assert_eq!(event.position, position + 1);
            position = event.position;
        }
    }
}

async fn write(store: EventStore, name: &'static str, count: u64) {
    for index in 0..count {
        store.append(at(&stream(&format!("{name}{index}")), 0)).await.unwrap();
    }
}

#[tokio::test]
async fn followers_on_every_node_see_every_position_once_and_in_order() {
    let database = testing::database().await;
    let (one, two) = (database.store().await.unwrap(), database.store().await.unwrap());
    let followers: Vec<_> = [&one, &two, &one]
        .into_iter()
        .map(|store| tokio::spawn(follow_until(store.follow(0), 0, 400)))
        .collect();
    let late = one.follow(350);
    tokio::join!(write(one.clone(), "a", 100), write(one.clone(), "b", 100), write(two.clone(), "c", 200));
    for follower in followers {
        follower.await.unwrap();
    }
    follow_until(late, 350, 400).await;
}

#[tokio::test]
async fn a_long_log_is_caught_up_with_in_chunks() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    for part in 0..5 {
        let events = (0..1000).map(|index| event(&stream(&format!("{part}-{index}")))).collect();
        store.append(appending(events)).await.unwrap();
    }
    follow_until(store.follow(0), 0, 5000).await;
    follow_until(store.follow(4095), 4095, 5000).await;
}

#[tokio::test]
async fn a_node_hears_of_another_nodes_events_without_waiting_for_its_poll() {
    let database = testing::database().await;
    let writer = database.store().await.unwrap();
    let mut config = database.config();
    config.poll_every = Duration::from_secs(3600);
    let reader = EventStore::open(config).await.unwrap();
    let following = tokio::spawn(follow_until(reader.follow(0), 0, 20));
    for version in 0..20 {
        writer.append(at(&stream("one"), version)).await.unwrap();
        let mut newest = reader.subscribe_head();
        timeout(SOON, newest.wait_for(|newest| *newest > version)).await.expect("a notification").unwrap();
    }
    following.await.unwrap();
}

#[tokio::test]
async fn a_follower_ahead_of_the_log_or_before_a_hole_is_told_so() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    write(store.clone(), "a", 3).await;
    let mut ahead = pin!(store.follow(9));
    let error = timeout(SOON, ahead.next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, StoreError::AheadOfLog { after: 9, head: 3 }), "{error}");
    assert!(ahead.next().await.is_none());
    let mut vandal = database.connect().await;
    vandal.execute("ALTER TABLE annals.events DISABLE TRIGGER append_only").await.unwrap();
    vandal.execute("DELETE FROM annals.events WHERE position = 2").await.unwrap();
    // The node that wrote it has it in memory yet; another one reads what is left.
    let store = database.store().await.unwrap();
    let error = timeout(SOON, pin!(store.follow(0)).next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Hole { expected: 2, found: 3 }), "{error}");
    vandal.execute("DELETE FROM annals.events WHERE position = 3").await.unwrap();
    let error = timeout(SOON, pin!(store.follow(1)).next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Hole { expected: 2, .. }), "{error}");
}
