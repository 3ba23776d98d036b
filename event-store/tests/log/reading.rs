use event_store::{Ahead, AsOf, testing};
use jiff::{SignedDuration, Timestamp};

use crate::support::*;

#[tokio::test]
async fn a_stream_is_read_as_it_stood_at_a_position_or_an_instant() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (one, two) = (stream("one"), stream("two"));
    for version in 0..5 {
        store.append(at(&one, version)).await.unwrap();
        store.append(at(&two, version)).await.unwrap();
    }
    let log = whole_log(&store).await;
    for event in &log {
        let by_position = store.read_stream(&one, 0, Some(AsOf::Position(event.position))).await.unwrap();
        let expected: Vec<_> =
            log[..event.position as usize].iter().filter(|event| event.stream == one).cloned().collect();
        assert_eq!(by_position, expected);
        // Instants may coincide; then the last event of that instant counts.
        let last = log.iter().rposition(|other| other.recorded_at == event.recorded_at).unwrap() as u64 + 1;
        assert_eq!(store.position_at(event.recorded_at).await.unwrap(), last);
        let by_instant = store.read_stream(&one, 0, Some(AsOf::Instant(event.recorded_at))).await.unwrap();
        assert_eq!(by_instant, store.read_stream(&one, 0, Some(AsOf::Position(last))).await.unwrap());
    }
    let first = log[0].recorded_at;
    let microsecond = jiff::SignedDuration::from_micros(1);
    assert_eq!(store.position_at(first - microsecond).await.unwrap(), 0);
    assert_eq!(
        store.position_at(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).await.unwrap(),
        10
    );
    assert_eq!(store.read_stream(&one, 0, Some(AsOf::Instant(first - microsecond))).await.unwrap(), []);
}

#[tokio::test]
async fn a_moment_that_has_not_come_is_no_moment_of_the_log_by_the_clock_of_whoever_is_ahead() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    store.append(at(&stream("one"), 0)).await.unwrap();
    let head = store.head().await.unwrap();
    for come in [AsOf::Position(1), AsOf::Instant(head.recorded_at), AsOf::Instant(Timestamp::now())] {
        assert_eq!(store.position_of(come).await.unwrap(), Ok(1));
    }
    let ahead = store.position_of(AsOf::Position(2)).await.unwrap();
    assert_eq!(ahead, Err(Ahead::Position { asked: 2, head: 1 }));
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    let ahead = store.position_of(AsOf::Instant(later)).await.unwrap();
    assert!(matches!(ahead, Err(Ahead::Instant { now }) if now < later), "{ahead:?}");
    // A node whose clock is ahead has recorded something.
    sqlx::query("UPDATE annals.head SET recorded_at = now() + interval '2 hours'")
        .execute(store.pool())
        .await
        .unwrap();
    assert_eq!(store.position_of(AsOf::Instant(later)).await.unwrap(), Ok(1));
}

#[tokio::test]
async fn loads_of_many_streams_at_once_each_get_their_own_events() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    for index in 0..50_u64 {
        for version in 0..=index % 4 {
            store.append(at(&stream(&index.to_string()), version)).await.unwrap();
        }
    }
    let loads = (0..60_u64).map(|index| {
        let store = store.clone();
        tokio::spawn(async move {
            let stream = stream(&index.to_string());
            let whole = store.read_stream(&stream, 0, None).await.unwrap();
            let length = if index < 50 { index % 4 + 1 } else { 0 };
            let sequences: Vec<_> = whole.iter().map(|event| event.sequence).collect();
            assert_eq!(sequences, (1..=length).collect::<Vec<_>>());
            assert!(whole.iter().all(|event| event.stream == stream));
            let rest = store.read_stream(&stream, 2, None).await.unwrap();
            assert_eq!(rest, whole.iter().skip(2).cloned().collect::<Vec<_>>());
        })
    });
    for load in futures_util::future::join_all(loads).await {
        load.unwrap();
    }
}

/// What follows the log from memory gets what the database has, byte for byte, whoever wrote in between.
#[tokio::test]
async fn what_was_just_recorded_is_read_from_memory_as_the_database_has_it() {
    let database = testing::database().await;
    let nodes = [database.store().await.unwrap(), database.store().await.unwrap()];
    let subject = uuid::Uuid::new_v4();
    for round in 0..20_u64 {
        let (node, id) = (&nodes[(round / 7) as usize % 2], round.to_string());
        let (one, two) = (stream(&id), stream(&format!("other-{id}")));
        let events = vec![personal(&one, subject, "identity", "Anna"), event(&two), event(&one)];
        let seated = appending(events).with(seat("seat", 100, &one));
        node.append(if round % 2 == 0 { seated } else { at(&one, 0) }).await.unwrap();
    }
    let log = whole_log(&nodes[0]).await;
    for node in &nodes {
        let mut read = Vec::new();
        loop {
            match node.read_recent(read.len() as u64, 3).await.unwrap() {
                events if events.is_empty() => break,
                events => read.extend(events),
            }
        }
        assert_eq!(read, log);
    }
    // A node that knows only its own writes says nothing about what it has not seen.
    let end = log.len() as u64;
    nodes[0].append(at(&stream("last"), 0)).await.unwrap();
    assert_eq!(nodes[1].read_recent(end, 9).await.unwrap(), nodes[0].read_all(end, 9).await.unwrap());
}

#[tokio::test]
async fn whoever_visits_a_stretch_is_shown_what_reading_it_gives() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    for index in 0..9_u64 {
        store.append(at(&stream(&index.to_string()), 0)).await.unwrap();
    }
    for (after, until) in [(0, 9), (2, 5), (7, 100), (9, 9), (5, 2)] {
        let mut shown = Vec::new();
        store.visit(after, until, |event| shown.push(event.unwrap())).await.unwrap();
        let limit = usize::try_from(until.saturating_sub(after)).unwrap();
        assert_eq!(shown, store.read_all(after, limit).await.unwrap(), "{after} to {until}");
    }
}
