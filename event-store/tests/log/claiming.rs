use std::time::Duration;

use event_store::{EventStore, HeldClaim, NewEvent, StoreConfig, StoreError, StreamId, testing};
use sha2::{Digest, Sha256};

use crate::support::*;

fn held(key: &str, seat: bool, id: &str) -> HeldClaim {
    HeldClaim { key: key.into(), seat, by: stream(id) }
}

#[tokio::test]
async fn a_claim_is_held_by_one_stream_until_it_is_freed() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (one, two) = (stream("one"), stream("two"));
    store.append(at(&one, 0).with(take("email:a", &one))).await.unwrap();
    for node in [&store, &database.store().await.unwrap()] {
        assert!(is_taken(&node.append(at(&two, 0).with(take("email:a", &two))).await, "email:a"));
        // Freeing what one does not hold does nothing.
        assert!(is_taken(
            &node.append(at(&two, 0).with(free("email:a", &two)).with(take("email:a", &two))).await,
            "email:a"
        ));
    }
    store.append(at(&one, 1).with(take("email:a", &one))).await.expect("its holder may take it again");
    assert_eq!(store.holders("email:a").await.unwrap(), [held("email:a", false, "one")]);
    store.append(at(&one, 2).with(free("email:a", &one))).await.unwrap();
    store.append(at(&two, 0).with(take("email:a", &two))).await.unwrap();
    assert_eq!(store.holders("email:a").await.unwrap(), [held("email:a", false, "two")]);
    assert_eq!(whole_log(&store).await.len(), 4);
}

#[tokio::test]
async fn a_key_can_be_freed_and_taken_by_others_at_the_same_moment() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (mut holder, mut next) = (stream("0"), stream("1"));
    store.append(at(&holder, 0).with(take("slot", &holder))).await.unwrap();
    for turn in 1..30 {
        // Both are in the queue before the writer wakes: one batch, in this order.
        let (freed, taken) = tokio::join!(
            store.append(at(&holder, 1).with(free("slot", &holder))),
            store.append(at(&next, 0).with(take("slot", &next))),
        );
        freed.unwrap();
        taken.unwrap_or_else(|error| panic!("turn {turn}: {error}"));
        holder = next;
        next = stream(&(turn + 1).to_string());
    }
    assert_eq!(store.holders("slot").await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_many_that_want_a_key_at_once_one_gets_it() {
    let database = testing::database().await;
    let nodes = [database.store().await.unwrap(), database.store().await.unwrap()];
    let wanting = (0..40).map(|index| {
        let node = nodes[index % 2].clone();
        tokio::spawn(async move {
            let by = stream(&index.to_string());
            node.append(at(&by, 0).with(take("room", &by))).await
        })
    });
    let mut got = 0;
    for result in futures_util::future::join_all(wanting).await {
        let result = result.unwrap();
        assert!(result.is_ok() || is_taken(&result, "room"), "{result:?}");
        got += usize::from(result.is_ok());
    }
    assert_eq!(got, 1);
    assert_eq!(whole_log(&nodes[0]).await.len(), 1);
}

#[tokio::test]
async fn one_command_can_move_from_slots_to_overlapping_slots() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let one = stream("one");
    store.append(at(&one, 0).with(take("slot:1", &one)).with(take("slot:2", &one))).await.unwrap();
    let mut moving = at(&one, 1);
    for key in ["slot:1", "slot:2"] {
        moving = moving.with(free(key, &one));
    }
    for key in ["slot:2", "slot:3"] {
        moving = moving.with(take(key, &one));
    }
    store.append(moving).await.unwrap();
    let keys: Vec<_> = store.claims("", 10).await.unwrap().into_iter().map(|claim| claim.key).collect();
    assert_eq!(keys, ["slot:2", "slot:3"]);
}

#[tokio::test]
async fn seats_are_had_up_to_their_limit_and_freed() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let wanting = (0..10).map(|index| {
        let store = store.clone();
        tokio::spawn(async move {
            let by = stream(&index.to_string());
            (by.clone(), store.append(at(&by, 0).with(seat("mentor", 3, &by))).await)
        })
    });
    let results: Vec<_> =
        futures_util::future::join_all(wanting).await.into_iter().map(|result| result.unwrap()).collect();
    let (seated, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, result)| result.is_ok());
    assert_eq!(seated.len(), 3);
    assert!(refused.iter().all(|(_, result)| is_taken(result, "mentor")));
    let (leaving, late) = (&seated[0].0, stream("late"));
    assert!(is_taken(&store.append(at(&late, 0).with(seat("mentor", 3, &late))).await, "mentor"));
    store.append(at(leaving, 1).with(free("mentor", leaving))).await.unwrap();
    store.append(at(&late, 0).with(seat("mentor", 3, &late))).await.unwrap();
    assert_eq!(store.holders("mentor").await.unwrap().len(), 3);
}

#[tokio::test]
async fn claims_are_replaced_by_what_the_log_gives_unless_it_has_gone_on() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (one, two) = (stream("one"), stream("two"));
    store.append(at(&one, 0).with(take("wrong", &one))).await.unwrap();
    let right = [held("right", false, "one"), held("seat", true, "one"), held("seat", true, "two")];
    assert!(matches!(store.replace_claims(0, &right).await, Err(StoreError::Moved { head: 1, .. })));
    store.replace_claims(1, &right).await.unwrap();
    assert_eq!(store.claims("", 10).await.unwrap(), right);
    assert_eq!(
        store.claims("right", 1).await.unwrap(),
        right[1..],
        "a page never parts the holders of a key"
    );
    assert!(is_taken(&store.append(at(&two, 0).with(take("right", &two))).await, "right"));
    store.append(at(&two, 0).with(take("wrong", &two))).await.unwrap();
}

#[tokio::test]
async fn more_commands_than_one_batch_takes_are_all_answered_under_the_lock() {
    let database = testing::database().await;
    let store = EventStore::open(StoreConfig { batch_max: 3, ..database.config() }).await.unwrap();
    let append = async |index: u32| {
        let seated = stream(&index.to_string());
        store.append(at(&seated, 0).with(seat("seat", 100, &seated))).await
    };
    let all = futures_util::future::join_all((0..8).map(append));
    let answers = tokio::time::timeout(Duration::from_secs(20), all).await.expect("nobody waits for ever");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(whole_log(&store).await.len(), 8);
}

/// 0150: keys that were registered before they were claimed are claimed as their events would claim them now.
#[tokio::test]
async fn security_keys_of_an_older_log_are_claimed_by_who_holds_them() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let happened = |account: &str, name: &'static str, credential: &str| NewEvent {
        event_type: name.into(),
        payload: format!(r#"{{"{name}":{{"credential_id":"{credential}"}}}}"#),
        ..event(&StreamId::new("identity.account", account))
    };
    let (registered, removed) = ("WebAuthnCredentialRegistered", "WebAuthnCredentialRemoved");
    let events = vec![
        happened("ada", registered, "kept"),
        happened("ada", registered, "lost"),
        happened("ada", removed, "lost"),
        happened("ada", registered, "found"),
        happened("ada", removed, "found"),
        happened("ada", registered, "found"),
        happened("bert", registered, "kept"),
        happened("carl", registered, "erased"),
        happened("carl", "AccountErased", "none"),
    ];
    store.append(appending(events)).await.unwrap();
    for _ in 0..2 {
        let step = include_str!("../../../migrations/0150_security_keys_claimed.sql");
        sqlx::raw_sql(step).execute(store.pool()).await.unwrap();
        let claims = store.claims("", 10).await.unwrap();
        let mut holders: Vec<(&str, &str)> =
            claims.iter().map(|claim| (&*claim.key, &*claim.by.aggregate_id)).collect();
        holders.sort_unstable();
        let key = |credential: &str| format!("webauthn:{:x}", Sha256::digest(credential));
        let mut expected = [key("kept"), key("found")];
        expected.sort_unstable();
        assert_eq!(holders, [(&*expected[0], "ada"), (&*expected[1], "ada")]);
    }
}
