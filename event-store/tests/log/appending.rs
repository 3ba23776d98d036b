use event_store::{AppendError, Condition, testing};
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn an_append_is_answered_with_its_position_and_read_back_as_it_was() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let one = stream("one");
    let append = at(&one, 0);
    let (command_id, event_id) = (append.command_id, append.events[0].event_id);
    let payload = append.events[0].payload.clone();
    let appended = store.append(append).await.unwrap();
    assert_eq!((appended.first_position, appended.position), (1, 1));
    assert_eq!(appended.versions, [(one.clone(), 1)]);
    let read = store.read_stream(&one, 0, None).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].event_id, event_id);
    assert_eq!(read[0].command_id, Some(command_id));
    assert_eq!(*read[0].payload, *payload, "the bytes stay as they were");
    assert_eq!(read[0].recorded_at, appended.recorded_at);
    assert_eq!(whole_log(&store).await, read);
}

#[tokio::test]
async fn a_stale_version_and_one_that_is_too_high_are_refused_by_a_node_that_knows_and_by_one_that_does_not()
{
    let database = testing::database().await;
    let (store, other) = (database.store().await.unwrap(), database.store().await.unwrap());
    let one = stream("one");
    store.append(at(&one, 0)).await.unwrap();
    store.append(at(&one, 1)).await.unwrap();
    for node in [&store, &other] {
        assert!(is_conflict(&node.append(at(&one, 0)).await, 2));
        assert!(is_conflict(&node.append(at(&one, 1)).await, 2));
        assert!(is_conflict(&node.append(at(&one, 3)).await, 2));
    }
    let fresh = database.store().await.unwrap();
    assert!(is_conflict(&fresh.append(at(&one, 7)).await, 2));
    assert_eq!(fresh.append(at(&one, 2)).await.unwrap().position, 3);
    assert!(is_conflict(&other.append(at(&one, 2)).await, 3), "another node has written since");
    assert_eq!(other.append(at(&one, 3)).await.unwrap().position, 4);
    assert_eq!(store.append(at(&one, 4)).await.unwrap().position, 5);
    assert_eq!(whole_log(&store).await.len(), 5);
}

#[tokio::test]
async fn a_stream_that_is_only_read_must_stand_where_the_decision_saw_it() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (fact, one) = (stream("fact"), stream("one"));
    store.append(at(&fact, 0)).await.unwrap();
    let on = |version| Condition { stream: fact.clone(), version };
    let nowhere = Condition { stream: stream("nowhere"), version: 0 };
    store.append(at(&one, 0).with(on(1)).with(nowhere.clone())).await.unwrap();
    store.append(at(&fact, 1)).await.unwrap();
    assert!(is_conflict(&store.append(at(&one, 1).with(on(1))).await, 2));
    let fresh = database.store().await.unwrap();
    assert!(is_conflict(&fresh.append(at(&one, 1).with(on(1))).await, 2));
    assert!(is_conflict(&fresh.append(at(&one, 1).with(on(3))).await, 2));
    let exists = Condition { stream: fact.clone(), version: 0 };
    assert!(is_conflict(&fresh.append(at(&one, 1).with(exists)).await, 2));
    fresh.append(at(&one, 1).with(on(2)).with(nowhere)).await.unwrap();
}

#[tokio::test]
async fn a_command_over_several_streams_is_recorded_wholly_or_not_at_all() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (one, two) = (stream("one"), stream("two"));
    let both = || {
        appending(vec![event(&one), event(&two), event(&one)])
            .with(Condition { stream: one.clone(), version: 0 })
            .with(Condition { stream: two.clone(), version: 0 })
    };
    let appended = store.append(both()).await.unwrap();
    assert_eq!((appended.first_position, appended.position), (1, 3));
    assert_eq!(appended.versions, [(one.clone(), 2), (two.clone(), 1)]);
    let three = stream("three");
    let half = appending(vec![event(&three), event(&two)])
        .with(Condition { stream: three.clone(), version: 0 })
        .with(Condition { stream: two.clone(), version: 0 });
    assert!(is_conflict(&store.append(half).await, 1));
    assert_eq!(whole_log(&store).await.len(), 3);
}

#[tokio::test]
async fn a_stream_without_a_condition_is_appended_to_wherever_it_stands() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let one = stream("one");
    for version in 1..=3 {
        let appended = store.append(appending(vec![event(&one)])).await.unwrap();
        assert_eq!(appended.versions, [(one.clone(), version)]);
    }
}

#[tokio::test]
async fn a_repeated_command_gets_its_first_outcome_whatever_has_happened_since() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (one, two) = (stream("one"), stream("two"));
    let mut first =
        appending(vec![event(&one), event(&two)]).with(Condition { stream: one.clone(), version: 0 });
    first.fingerprint = Some([7; 32]);
    let appended = store.append(first.clone()).await.unwrap();
    store.append(at(&one, 1)).await.unwrap();
    for node in [store, database.store().await.unwrap()] {
        let mut again = first.clone();
        again.events.iter_mut().for_each(|event| event.event_id = Uuid::now_v7());
        let Err(AppendError::Repeated(outcome)) = node.append(again).await else { panic!("not repeated") };
        assert_eq!(outcome.fingerprint, Some([7; 32]));
        assert_eq!((outcome.first_position, outcome.position), (1, 2));
        assert_eq!(outcome.versions, appended.versions);
        assert_eq!(outcome.recorded_at, appended.recorded_at);
        assert_eq!(node.outcome(first.command_id).await.unwrap(), Some(*outcome));
        let same = node.append(first.clone()).await.unwrap();
        assert!(same.repeated, "the very same events: they are in the log, which is what was asked");
        assert_eq!(whole_log(&node).await.len(), 3);
    }
}

#[tokio::test]
async fn what_is_not_json_or_not_flat_is_refused_before_it_can_harm_its_neighbours() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let one = stream("one");
    let spoil = |change: fn(&mut event_store::NewEvent)| {
        let mut append = at(&one, 0);
        change(&mut append.events[0]);
        append
    };
    for bad in [
        spoil(|event| event.payload = "{".into()),
        spoil(|event| event.metadata = r#"{"a":{}}"#.into()),
        spoil(|event| event.metadata = "[]".into()),
        // What the log adds nobody else says, however it is written.
        spoil(|event| event.metadata = r#"{"a":"b","ids_sha256":"c"}"#.into()),
        spoil(|event| event.metadata = r#"{"\u0069ds_sha256":"c"}"#.into()),
        spoil(|event| event.event_type = "nul\0".into()),
        spoil(|event| event.stream.aggregate_id = "".into()),
        appending(vec![]),
    ] {
        assert!(matches!(store.append(bad).await, Err(AppendError::Invalid(_))));
    }
    assert_eq!(store.append(at(&one, 0)).await.unwrap().position, 1);
}

#[tokio::test]
async fn one_commands_failure_fails_none_of_its_neighbours() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    // serde_json takes it, PostgreSQL's parser does not: deeper than its stack.
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let mut poisonous = at(&stream("poisonous"), 0);
    poisonous.events[0].payload = deep;
    let (one, two) = (stream("one"), stream("two"));
    let (failed, before, after) =
        tokio::join!(store.append(poisonous), store.append(at(&one, 0)), store.append(at(&two, 0)));
    assert!(matches!(failed, Err(AppendError::Store(_))), "{failed:?}");
    before.unwrap();
    after.unwrap();
    assert_eq!(whole_log(&store).await.len(), 2);
}

#[tokio::test]
async fn shutting_down_commits_what_waits_and_takes_no_more() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let waiting: Vec<_> = (0..50)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move { store.append(at(&stream(&index.to_string()), 0)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    store.shutdown().await;
    let mut recorded = 0;
    for append in waiting {
        match append.await.unwrap() {
            Ok(_) => recorded += 1,
            Err(error) => assert!(matches!(error, AppendError::Unavailable(_)), "{error}"),
        }
    }
    assert_eq!(whole_log(&store).await.len(), recorded);
    assert!(matches!(store.append(at(&stream("late"), 0)).await, Err(AppendError::Unavailable(_))));
}
