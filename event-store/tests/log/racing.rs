//! Two nodes, many clients, few streams and keys: whatever happens, the log must be one in which every command was right
//! when its turn came.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use event_store::{
    Append, AppendError, Appended, Claim, Condition, EventStore, HeldClaim, StreamId, testing,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sqlx::{Executor, PgConnection};
use uuid::Uuid;

use crate::support::*;

const CLIENTS: usize = 16;
const COMMANDS: usize = 30;
const STREAMS: u32 = 6;
const SEATS: u32 = 2;

/// What a client sent, and what it heard. None: it did not wait for the answer.
struct Sent {
    append: Append,
    heard: Option<Result<Appended, AppendError>>,
}

#[tokio::test]
async fn racing_nodes_leave_a_log_in_which_every_command_was_right_in_its_turn() {
    for seed in [1, 2, 3] {
        let database = testing::database().await;
        let mut small = database.config();
        small.batch_max = 5;
        let nodes = [database.store().await.unwrap(), EventStore::open(small).await.unwrap()];
        let clients = (0..CLIENTS).map(|client| {
            let node = nodes[client % 2].clone();
            tokio::spawn(run_client(node, StdRng::seed_from_u64(seed * 1000 + client as u64)))
        });
        let mut sent = Vec::new();
        for client in futures_util::future::join_all(clients).await {
            sent.extend(client.unwrap());
        }
        for node in &nodes {
            node.shutdown().await;
        }
        verify(&nodes[0], sent).await;
    }
}

async fn run_client(node: EventStore, mut random: StdRng) -> Vec<Sent> {
    let mut sent: Vec<Sent> = Vec::new();
    for _ in 0..COMMANDS {
        let append = match sent.choose(&mut random) {
            Some(earlier) if random.random_bool(0.1) => earlier.append.clone(),
            _ => any_command(&node, &mut random).await,
        };
        let answer = node.append(append.clone());
        let heard = if random.random_bool(0.05) {
            let yields = random.random_range(0..20);
            let impatience = async {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! { answer = answer => Some(answer), () = impatience => None }
        } else {
            Some(answer.await)
        };
        sent.push(Sent { append, heard });
    }
    sent
}

async fn any_command(node: &EventStore, random: &mut StdRng) -> Append {
    let any_stream = |random: &mut StdRng| stream(&random.random_range(0..STREAMS).to_string());
    let mut append = appending(Vec::new());
    for _ in 0..random.random_range(1..=2) {
        let stream = any_stream(random);
        for _ in 0..random.random_range(1..=2) {
            append.events.push(event(&stream));
        }
    }
    let mut looked_at: BTreeSet<StreamId> = append.events.iter().map(|event| event.stream.clone()).collect();
    if random.random_bool(0.3) {
        looked_at.insert(any_stream(random));
    }
    for stream in looked_at {
        if random.random_bool(0.1) {
            continue; // wherever it stands
        }
        let version = node.read_stream(&stream, 0, None).await.unwrap().len() as u64;
        let version = if random.random_bool(0.05) { version + 1 } else { version };
        append.conditions.push(Condition { stream, version });
    }
    let by = append.events[0].stream.clone();
    for _ in 0..random.random_range(0..=2) {
        let key = format!("key{}", random.random_range(0..3));
        append.claims.push(match random.random_range(0..10) {
            0..5 => take(&key, &by),
            5..6 => seat(&key, SEATS, &by),
            _ => free(&key, &by),
        });
    }
    append
}

async fn verify(store: &EventStore, sent: Vec<Sent>) {
    let log = whole_log(store).await;
    let mut commands: HashMap<Uuid, Arc<Append>> = HashMap::new();
    for Sent { append, .. } in &sent {
        commands.entry(append.command_id).or_insert_with(|| Arc::new(append.clone()));
    }

    // Replay: in the order of the log, every command's conditions and claims held, and it is there once and whole.
    let mut versions: HashMap<StreamId, u64> = HashMap::new();
    let mut holders: BTreeMap<String, StreamId> = BTreeMap::new();
    let mut seated: BTreeMap<String, BTreeSet<StreamId>> = BTreeMap::new();
    let mut first_positions: HashMap<Uuid, u64> = HashMap::new();
    let mut rest = &log[..];
    while let Some(first) = rest.first() {
        let command_id = first.command_id.unwrap();
        let append = &commands[&command_id];
        let (events, others) = rest.split_at(append.events.len());
        assert!(first_positions.insert(command_id, first.position).is_none(), "recorded twice");
        for Condition { stream, version } in &append.conditions {
            assert_eq!(
                versions.get(stream).copied().unwrap_or(0),
                *version,
                "{stream} at {}",
                first.position
            );
        }
        for (event, meant) in events.iter().zip(&append.events) {
            assert_eq!((event.event_id, event.command_id), (meant.event_id, Some(command_id)));
            assert_eq!(event.recorded_at, first.recorded_at);
            let version = versions.entry(event.stream.clone()).or_default();
            *version += 1;
            assert_eq!(event.sequence, *version);
        }
        for claim in &append.claims {
            match claim {
                Claim::Take { key, by } => {
                    assert_eq!(holders.entry(key.clone()).or_insert_with(|| by.clone()), by, "{key}");
                }
                Claim::Seat { key, by, .. } => {
                    let seated = seated.entry(key.clone()).or_default();
                    seated.insert(by.clone());
                    assert!(seated.len() <= SEATS as usize);
                }
                Claim::Free { key, by } => {
                    if holders.get(key) == Some(by) {
                        holders.remove(key);
                    }
                    seated.entry(key.clone()).or_default().remove(by);
                }
            }
        }
        rest = others;
    }
    let held = |key: &String, seat, by: &StreamId| HeldClaim { key: key.clone(), seat, by: by.clone() };
    let alone = holders.iter().map(|(key, by)| held(key, false, by));
    let seats = seated.iter().flat_map(|(key, seated)| seated.iter().map(|by| held(key, true, by)));
    let expected: BTreeSet<_> = alone.chain(seats).collect();
    assert_eq!(store.claims("", 100).await.unwrap().into_iter().collect::<BTreeSet<_>>(), expected);

    // What the clients heard is what the log says.
    let mut accepted = 0;
    for Sent { append, heard } in &sent {
        let position = first_positions.get(&append.command_id).copied();
        match heard {
            Some(Ok(appended)) => {
                assert_eq!(Some(appended.first_position), position);
                assert_eq!(appended.position, appended.first_position + append.events.len() as u64 - 1);
                assert_eq!(log[appended.position as usize - 1].recorded_at, appended.recorded_at);
                accepted += 1;
            }
            Some(Err(AppendError::Conflict { stream, current })) => {
                let condition =
                    append.conditions.iter().find(|condition| condition.stream == *stream).unwrap();
                assert_ne!(condition.version, *current);
                assert!(*current <= versions.get(stream).copied().unwrap_or(0), "a version that never was");
            }
            Some(Err(AppendError::ClaimTaken { key })) => {
                assert!(append.claims.iter().any(|claim| claim.key() == key));
            }
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    assert!(accepted >= first_positions.len() / 2 && accepted > COMMANDS, "{accepted} were accepted");
}

#[tokio::test]
async fn a_pipelined_batch_never_mistakes_anothers_events_for_those_of_its_lost_predecessor() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let one = stream("one");
    store.append(at(&one, 0)).await.unwrap();
    // Another node has the head and will record exactly as many events as the first of two batches in flight.
    let mut other = database.connect().await;
    other.execute("BEGIN; SELECT FROM annals.head FOR UPDATE").await.unwrap();
    let mut watcher = database.connect().await;
    let mut waiting = Vec::new();
    for version in 1..=2 {
        let (store, append) = (store.clone(), at(&one, version));
        waiting.push(tokio::spawn(async move { store.append(append).await }));
        until(async || writer_is_blocked(&mut watcher).await).await;
    }
    other
        .execute(
            "INSERT INTO annals.events SELECT (e).* FROM (
                 SELECT json_populate_record(e, json_build_object('position', 2, 'aggregate_id', 'other',
                     'command_id', gen_random_uuid(), 'event_id', gen_random_uuid())) AS e
                 FROM annals.events e
             ) AS other;
             UPDATE annals.head SET position = 2, batch = batch + 1;
             COMMIT",
        )
        .await
        .unwrap();
    for (position, append) in (3..).zip(waiting) {
        let appended = append.await.unwrap().unwrap();
        assert_eq!(
            (appended.position, &appended.versions[..]),
            (position, &[(one.clone(), position - 1)][..])
        );
    }
    assert_eq!(whole_log(&store).await.len(), 4);
}

#[tokio::test]
async fn nobody_is_refused_because_of_a_batch_that_fails_afterwards() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let one = stream("one");
    store.append(at(&one, 0)).await.unwrap();
    let mut other = database.connect().await;
    other.execute("BEGIN; SELECT FROM annals.head FOR UPDATE").await.unwrap();
    let mut watcher = database.connect().await;
    let mut waiting = Vec::new();
    // The first takes a key that another node is just taking. Were it not for that, the second would come too late.
    for append in [at(&one, 1).with(take("key", &one)), at(&one, 1)] {
        let store = store.clone();
        waiting.push(tokio::spawn(async move { store.append(append).await }));
        until(async || writer_is_blocked(&mut watcher).await).await;
    }
    other
        .execute("INSERT INTO annals.claims VALUES ('key', '', 'tests.thing', 'two'); COMMIT")
        .await
        .unwrap();
    let [first, second] = &futures_util::future::join_all(waiting).await[..] else { panic!("two") };
    assert!(is_taken(first.as_ref().unwrap(), "key"), "{first:?}");
    assert_eq!(second.as_ref().unwrap().as_ref().unwrap().position, 2);
}

async fn writer_is_blocked(watcher: &mut PgConnection) -> bool {
    let blocked = "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'annals writer' AND wait_event_type = 'Lock'";
    sqlx::query_scalar(blocked).fetch_one(watcher).await.unwrap()
}
