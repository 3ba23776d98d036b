use std::borrow::Cow;

use event_store::{
    AppendError, Basis, Classes, Epoch, EventStore, Keyring, KeyringConfig, MasterKey, PersonalGroup,
    StoreConfig, StoreError, testing,
};
use jiff::Timestamp;
use sqlx::Executor;
use uuid::Uuid;

use crate::support::*;

async fn opened(store: &EventStore, id: &str) -> Vec<Option<String>> {
    let events = store.read_stream(&stream(id), 0, None).await.unwrap();
    store.keyring().load_for(&events).await.unwrap();
    let groups = events.iter().flat_map(|event| store.keyring().open(event).unwrap());
    groups.map(|group| group.map(|plaintext| String::from_utf8(plaintext).unwrap())).collect()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn personal_data_is_sealed_in_the_log_and_opened_by_every_node() {
    let database = testing::database().await;
    let (store, other) = (database.store().await.unwrap(), database.store().await.unwrap());
    let subject = Uuid::new_v4();
    let one = stream("one");
    let mut append = at(&one, 0);
    append.events = vec![personal(&one, subject, "identity", "Ada Lovelace"), event(&one)];
    store.append(append).await.unwrap();
    other.append(appending(vec![personal(&one, subject, "identity", "Augusta")])).await.unwrap();
    let log = whole_log(&store).await;
    let sealed = log[0].sealed.as_deref().unwrap();
    assert!(!sealed.windows(3).any(|window| window == b"Ada"));
    let [header] = &Keyring::boxes(sealed).unwrap()[..] else { panic!("one box") };
    assert_eq!((header.subject, &*header.class), (subject, "identity"));
    assert_eq!(header.epoch, Epoch::of("identity", log[0].recorded_at));
    assert!(matches!(other.keyring().open(&log[0]).err(), None | Some(StoreError::KeyNotLoaded)));
    for node in [store, other, database.store().await.unwrap()] {
        assert_eq!(opened(&node, "one").await, [text("Ada Lovelace"), text("Augusta")]);
    }
}

#[tokio::test]
async fn a_box_moved_to_another_event_does_not_open() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let subject = Uuid::new_v4();
    for id in ["one", "two"] {
        store.append(appending(vec![personal(&stream(id), subject, "identity", id)])).await.unwrap();
    }
    let mut log = whole_log(&store).await;
    store.keyring().load_for(&log).await.unwrap();
    log[1].sealed = log[0].sealed.clone();
    assert!(store.keyring().open(&log[0]).is_ok());
    assert!(matches!(store.keyring().open(&log[1]), Err(StoreError::Unreadable(_))));
}

#[tokio::test]
async fn an_erased_subject_cannot_be_read_or_written_again_on_any_node_but_its_other_classes_can() {
    let database = testing::database().await;
    let (store, other) = (database.store().await.unwrap(), database.store().await.unwrap());
    let (subject, neighbour) = (Uuid::new_v4(), Uuid::new_v4());
    let write = |store: &EventStore, subject, class| {
        let append = appending(vec![personal(&stream("one"), subject, class, class)]);
        let store = store.clone();
        async move { store.append(append).await }
    };
    write(&store, subject, "identity").await.unwrap();
    write(&other, subject, "financial").await.unwrap();
    write(&other, neighbour, "identity").await.unwrap();
    assert_eq!(opened(&other, "one").await.len(), 3);
    assert!(!other.keyring().is_erased(subject, "identity").await.unwrap());

    let keyring = store.keyring();
    assert_eq!(keyring.shred(subject, Classes::Only(&["identity"]), Basis::Erasure).await.unwrap(), 1);
    assert!(keyring.is_erased(subject, "identity").await.unwrap());
    assert!(!keyring.is_erased(subject, "financial").await.unwrap());
    let left = [None, text("financial"), text("identity")];
    assert_eq!(opened(&store, "one").await, left);
    assert_eq!(opened(&database.store().await.unwrap(), "one").await, left);
    until(async || other.keyring().is_erased(subject, "identity").await.unwrap()).await;
    assert_eq!(opened(&other, "one").await, left, "the other node has dropped the key from memory");
    for node in [&store, &other] {
        let refused = write(node, subject, "identity").await;
        assert!(matches!(refused, Err(AppendError::SubjectErased { subject: of, .. }) if of == subject));
        write(node, subject, "financial").await.unwrap();
        write(node, neighbour, "identity").await.unwrap();
    }

    keyring.shred(subject, Classes::All, Basis::Erasure).await.unwrap();
    assert!(write(&store, subject, "profile").await.is_err(), "a class that had no key yet");
    assert_eq!(opened(&store, "one").await.iter().flatten().count(), 3, "the neighbour's");
    let ledger = keyring.shreds(0, 10).await.unwrap();
    assert_eq!(
        ledger.iter().map(|shred| shred.class.as_deref()).collect::<Vec<_>>(),
        [Some("identity"), None]
    );
    assert!(ledger.iter().all(|shred| shred.subject == subject && shred.basis == Basis::Erasure));
}

#[tokio::test]
async fn a_repeat_of_a_command_of_a_subject_erased_since_gets_its_first_outcome() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let subject = Uuid::new_v4();
    let append = appending(vec![personal(&stream("one"), subject, "identity", "Ada")]);
    let first = store.append(append.clone()).await.unwrap();
    store.keyring().shred(subject, Classes::All, Basis::Erasure).await.unwrap();
    assert_eq!(store.append(append).await.unwrap().position, first.position);
}

#[tokio::test]
async fn retention_ends_old_epochs_and_leaves_the_present() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let keyring = store.keyring();
    let subject = Uuid::new_v4();
    let [old, new]: [Timestamp; 2] =
        ["2020-05-05T00:00:00Z", "2021-05-05T00:00:00Z"].map(|text| text.parse().unwrap());
    let class = Cow::Borrowed("identity");
    let wanted = [old, new].map(|instant| (subject, class.clone(), Epoch::of("identity", instant)));
    keyring.ensure(&wanted).await.unwrap();
    let group = [PersonalGroup { subject, class: class.clone(), plaintext: b"Ada".to_vec() }];
    let sealed = [old, new].map(|instant| keyring.seal_row(b"row", &group, instant).unwrap());
    let through = Epoch::of("identity", old);
    assert_eq!(keyring.shred(subject, Classes::All, Basis::Retention { through }).await.unwrap(), 1);
    assert_eq!(keyring.open_row(b"row", &sealed[0]).unwrap(), [None]);
    assert_eq!(keyring.open_row(b"row", &sealed[1]).unwrap(), [Some(b"Ada".to_vec())]);
    assert!(!keyring.is_erased(subject, "identity").await.unwrap());
    keyring.ensure(&wanted).await.unwrap();
    let again = keyring.seal_row(b"row", &group, old).unwrap();
    assert_eq!(keyring.open_row(b"row", &again).unwrap(), [None], "an ended epoch does not begin again");
    store.append(appending(vec![personal(&stream("one"), subject, "identity", "Ada")])).await.unwrap();
}

#[tokio::test]
async fn a_row_is_sealed_the_same_by_every_node_and_only_after_its_key_was_ensured() {
    let database = testing::database().await;
    let (store, other) = (database.store().await.unwrap(), database.store().await.unwrap());
    let at = Timestamp::now();
    let subject = Uuid::new_v4();
    let groups: Vec<_> = ["identity", "device"]
        .map(|class| PersonalGroup { subject, class: class.into(), plaintext: class.into() })
        .into();
    assert!(matches!(store.keyring().seal_row(b"t/1", &groups, at), Err(StoreError::KeyNotLoaded)));
    let wanted: Vec<_> =
        groups.iter().map(|group| (subject, group.class.clone(), Epoch::of(&group.class, at))).collect();
    let mut rows = Vec::new();
    for node in [&store, &other] {
        node.keyring().ensure(&wanted).await.unwrap();
        rows.push(node.keyring().seal_row(b"t/1", &groups, at).unwrap());
    }
    assert_eq!(rows[0], rows[1]);
    let fresh = database.store().await.unwrap();
    fresh.keyring().load_for_sealed([&rows[0][..]]).await.unwrap();
    let opened = fresh.keyring().open_row(b"t/1", &rows[0]).unwrap();
    assert_eq!(opened, [Some(b"identity".to_vec()), Some(b"device".to_vec())]);
    assert!(fresh.keyring().open_row(b"t/2", &rows[0]).is_err());
}

#[tokio::test]
async fn a_key_that_waits_for_a_shred_to_end_is_not_made() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let subject = Uuid::new_v4();
    // A shred on another node, stopped in its middle.
    let mut shred = database.connect().await;
    shred.execute("BEGIN; LOCK TABLE annals_keys.data_keys IN SHARE ROW EXCLUSIVE MODE").await.unwrap();
    let appending = tokio::spawn({
        let store = store.clone();
        async move { store.append(appending(vec![personal(&stream("one"), subject, "identity", "Ada")])).await }
    });
    let mut watcher = database.connect().await;
    until(async || {
        let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'annals_keys.data_keys'::regclass";
        sqlx::query_scalar(waiting).fetch_one(&mut watcher).await.unwrap()
    })
    .await;
    sqlx::query("INSERT INTO annals_keys.shreds (subject, class) VALUES ($1, 'identity')")
        .bind(subject)
        .execute(&mut shred)
        .await
        .unwrap();
    shred.execute("COMMIT").await.unwrap();
    let refused = appending.await.unwrap();
    assert!(matches!(refused, Err(AppendError::SubjectErased { .. })), "{refused:?}");
    let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM annals_keys.data_keys")
        .fetch_one(&mut watcher)
        .await
        .unwrap();
    assert_eq!(keys, 0);
}

#[tokio::test]
async fn keys_may_live_in_another_database_and_move_to_another_master_key() {
    let (log, keys) = (testing::database().await, testing::database().await);
    let open = |master: &MasterKey, previous: Vec<MasterKey>| {
        let own = KeyringConfig {
            database_url: Some(keys.url.clone()),
            previous,
            ..KeyringConfig::new(master.clone())
        };
        EventStore::open(StoreConfig { pool_size: 2, ..StoreConfig::new(&log.url, own) })
    };
    let (first, second) = (MasterKey::generate(), MasterKey::generate());
    let subject = Uuid::new_v4();
    let store = open(&first, vec![]).await.unwrap();
    store.append(appending(vec![personal(&stream("one"), subject, "identity", "Ada")])).await.unwrap();
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'annals_keys'";
    let beside: i64 = sqlx::query_scalar(schemas).fetch_one(store.pool()).await.unwrap();
    assert_eq!(beside, 0, "nothing of the keys is in the log's database");
    let store = open(&second, vec![first.clone()]).await.unwrap();
    assert_eq!(opened(&store, "one").await, [text("Ada")]);
    assert_eq!(store.keyring().rewrap().await.unwrap(), 1);
    assert_eq!(store.keyring().rewrap().await.unwrap(), 0);
    let store = open(&second, vec![]).await.unwrap();
    assert_eq!(opened(&store, "one").await, [text("Ada")]);
    let stranger = open(&first, vec![]).await.unwrap();
    let events = whole_log(&stranger).await;
    assert!(matches!(stranger.keyring().load_for(&events).await, Err(StoreError::Configuration(_))));
    assert!(matches!(stranger.keyring().check_master().await, Err(StoreError::Configuration(_))));
    store.keyring().check_master().await.unwrap();
}

#[tokio::test]
async fn a_log_does_not_go_on_with_another_store_of_keys_or_another_secret() {
    let (log, keys) = (testing::database().await, testing::database().await);
    let master = MasterKey::generate();
    let open = |keys: Option<&str>| {
        let ring =
            KeyringConfig { database_url: keys.map(str::to_owned), ..KeyringConfig::new(master.clone()) };
        EventStore::open(StoreConfig { pool_size: 2, ..StoreConfig::new(&log.url, ring) })
    };
    let store = open(Some(&keys.url)).await.unwrap();
    assert!(matches!(open(None).await, Err(StoreError::Bound { what: "store of keys" })));
    open(Some(&keys.url)).await.unwrap();
    store.bind("identity key", b"one").await.unwrap();
    store.bind("identity key", b"one").await.unwrap();
    assert!(matches!(store.bind("identity key", b"other").await, Err(StoreError::Bound { .. })));
}

#[tokio::test]
async fn a_restored_backup_of_the_keys_brings_nothing_back_that_was_erased() {
    let database = testing::database().await;
    let folder = std::env::temp_dir().join(format!("annals-ledger-{}", Uuid::new_v4().simple()));
    let mut config = database.config();
    config.keys.ledger = Some(folder.join("ledger"));
    let store = EventStore::open(config.clone()).await.unwrap();
    let (gone, stays) = (Uuid::new_v4(), Uuid::new_v4());
    let one = stream("one");
    let events = vec![
        personal(&one, gone, "identity", "Ada"),
        personal(&one, gone, "device", "token"),
        personal(&one, stays, "identity", "Charles"),
    ];
    store.append(appending(events)).await.unwrap();
    store.pool().execute("CREATE TABLE backup AS TABLE annals_keys.data_keys").await.unwrap();
    assert_eq!(store.keyring().key_ids(gone, "identity", Basis::Erasure).await.unwrap().len(), 1);
    store.keyring().shred(gone, Classes::Only(&["identity"]), Basis::Erasure).await.unwrap();
    // Shredding without the ledger, as a node that has none does, is told to it when it is next opened.
    let without = database.store().await.unwrap();
    without.keyring().shred(gone, Classes::Only(&["device"]), Basis::Erasure).await.unwrap();
    drop(EventStore::open(config.clone()).await.unwrap());

    store.pool().execute("TRUNCATE annals_keys.shreds").await.unwrap();
    store.pool().execute("DELETE FROM annals_keys.data_keys").await.unwrap();
    store.pool().execute("INSERT INTO annals_keys.data_keys TABLE backup").await.unwrap();
    // A crash in the middle of a line is no reason not to open.
    let torn = std::fs::read_to_string(folder.join("ledger")).unwrap() + "1 0190";
    std::fs::write(folder.join("ledger"), torn).unwrap();
    for _ in 0..2 {
        let restored = EventStore::open(config.clone()).await.unwrap();
        assert_eq!(opened(&restored, "one").await, [None, None, text("Charles")]);
        assert!(restored.keyring().is_erased(gone, "identity").await.unwrap());
        assert!(!restored.keyring().is_erased(stays, "identity").await.unwrap());
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_destroyed_key_that_is_put_back_while_keys_are_in_use_opens_nothing() {
    let database = testing::database().await;
    let (store, other) = (database.store().await.unwrap(), database.store().await.unwrap());
    let (gone, stays) = (Uuid::new_v4(), Uuid::new_v4());
    let one = stream("one");
    let events = vec![
        personal(&one, gone, "identity", "Ada"),
        personal(&one, gone, "device", "token"),
        personal(&one, stays, "identity", "Charles"),
    ];
    store.append(appending(events)).await.unwrap();
    store.pool().execute("CREATE TABLE backup AS TABLE annals_keys.data_keys").await.unwrap();
    store.keyring().shred(gone, Classes::Only(&["identity"]), Basis::Erasure).await.unwrap();
    let through = Epoch::of("device", Timestamp::now());
    store.keyring().shred(gone, Classes::All, Basis::Retention { through }).await.unwrap();
    let back = "INSERT INTO annals_keys.data_keys TABLE backup ON CONFLICT DO NOTHING";
    store.pool().execute(back).await.unwrap();
    assert_eq!(store.keyring().returned(gone, &["identity", "device"]).await.unwrap(), 2, "they are back");

    // `other` has looked for none of these keys before.
    let left = [None, None, text("Charles")];
    assert_eq!(opened(&other, "one").await, left);
    assert_eq!(opened(&store, "one").await, left);
    let history = other.keyring().history();
    let events = whole_log(&other).await;
    history.load_for(&events).await.unwrap();
    let of_old: Vec<_> = events.iter().flat_map(|event| history.open(event).unwrap()).collect();
    assert_eq!(of_old, [None, None, Some(b"Charles".to_vec())], "nor does a look into history");
    let again = other.append(appending(vec![personal(&one, gone, "identity", "Ada")])).await;
    assert!(matches!(again, Err(AppendError::SubjectErased { .. })), "{again:?}");
}

#[tokio::test]
async fn a_store_of_keys_that_is_put_back_as_a_whole_while_it_is_in_use_brings_nothing_back() {
    let database = testing::database().await;
    let file = std::env::temp_dir().join(format!("annals-ledger-{}", Uuid::new_v4().simple()));
    let mut config = database.config();
    config.keys.ledger = Some(file.clone());
    let store = EventStore::open(config).await.unwrap();
    let gone = Uuid::new_v4();
    store.append(appending(vec![personal(&stream("one"), gone, "identity", "Ada")])).await.unwrap();
    store.pool().execute("CREATE TABLE backup AS TABLE annals_keys.data_keys").await.unwrap();
    let known = store.keyring().known_shreds();
    store.keyring().shred(gone, Classes::Only(&["identity"]), Basis::Erasure).await.unwrap();
    // Until the node has heard of its own shred as others do, too.
    until(async || store.keyring().known_shreds() == known + 2).await;
    // The backup knows of no shred.
    let restore = "BEGIN; TRUNCATE annals_keys.shreds, annals_keys.data_keys;
                   INSERT INTO annals_keys.data_keys TABLE backup; COMMIT";
    store.pool().execute(restore).await.unwrap();
    let keys = "SELECT count(*) FROM annals_keys.data_keys";
    until(async || sqlx::query_scalar::<_, i64>(keys).fetch_one(store.pool()).await.unwrap() == 0).await;
    assert!(store.keyring().is_erased(gone, "identity").await.unwrap());
    assert_eq!(opened(&store, "one").await, [None]);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_restored_backup_of_the_log_brings_back_no_claim_on_a_value_of_who_was_erased() {
    let database = testing::database().await;
    let file = std::env::temp_dir().join(format!("annals-ledger-{}", Uuid::new_v4().simple()));
    let mut config = database.config();
    config.keys.ledger = Some(file.clone());
    let store = EventStore::open(config.clone()).await.unwrap();
    let (gone, stays) = (Uuid::new_v4(), Uuid::new_v4());
    let (email, other) = (format!("email:{}", "a1".repeat(32)), format!("email:{}", "b2".repeat(32)));
    for (person, email) in [(gone, &email), (stays, &other)] {
        let own = stream(&person.to_string());
        let append = appending(vec![personal(&own, person, "identity", "Ada")]);
        let named = format!("named:{person}");
        store.append(append.with(take(email, &own)).with(take(&named, &own))).await.unwrap();
    }
    store.pool().execute("CREATE TABLE backup AS TABLE annals.claims").await.unwrap();
    store.keyring().shred(gone, Classes::Only(&["identity"]), Basis::Erasure).await.unwrap();
    store.keyring().shred(stays, Classes::Only(&["device"]), Basis::Erasure).await.unwrap();
    let through = Basis::Retention { through: Epoch::month(Timestamp::now()) };
    store.keyring().shred(stays, Classes::Only(&["identity"]), through).await.unwrap();
    store.pool().execute("TRUNCATE annals.claims, annals_keys.shreds").await.unwrap();
    store.pool().execute("INSERT INTO annals.claims TABLE backup").await.unwrap();

    let restored = EventStore::open(config).await.unwrap();
    assert_eq!(restored.holders(&email).await.unwrap(), []);
    for kept in [other, format!("named:{gone}"), format!("named:{stays}")] {
        assert_eq!(restored.holders(&kept).await.unwrap().len(), 1, "{kept}");
    }
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_ledger_that_was_taken_away_is_written_anew_before_anything_is_destroyed_or_nothing_is() {
    let database = testing::database().await;
    let folder = std::env::temp_dir().join(format!("annals-ledger-{}", Uuid::new_v4().simple()));
    let file = folder.join("ledger");
    let mut config = database.config();
    config.keys.ledger = Some(file.clone());
    let store = EventStore::open(config).await.unwrap();
    let keyring = store.keyring();
    let people: Vec<Uuid> = (0..5).map(|_| Uuid::new_v4()).collect();
    let events = people.iter().map(|person| personal(&stream("one"), *person, "identity", "Ada")).collect();
    store.append(appending(events)).await.unwrap();
    let shred = async |person: Uuid| keyring.shred(person, Classes::All, Basis::Erasure).await;
    let named = || {
        let text = std::fs::read_to_string(&file).unwrap();
        let named = people.iter().take_while(|person| text.contains(&person.to_string()));
        assert!(text.ends_with('\n'), "{text}");
        named.count()
    };
    shred(people[0]).await.unwrap();
    assert_eq!(named(), 1);
    std::fs::remove_file(&file).unwrap();
    shred(people[1]).await.unwrap();
    assert_eq!(named(), 2, "both, in a file of that name");
    std::fs::rename(&file, folder.join("elsewhere")).unwrap();
    shred(people[2]).await.unwrap();
    assert_eq!(named(), 3);
    std::fs::write(&file, "").unwrap();
    shred(people[3]).await.unwrap();
    assert_eq!(named(), 4, "nor was it cut off");

    let unreadable = folder.join("unreadable");
    std::fs::write(&unreadable, "nonsense\n").unwrap();
    std::fs::rename(&unreadable, &file).unwrap();
    assert!(matches!(shred(people[4]).await, Err(StoreError::Ledger(_))));
    assert_eq!(keyring.key_ids(people[4], "identity", Basis::Erasure).await.unwrap().len(), 1, "it waits");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(shred(people[4]).await.unwrap(), 1);
    assert_eq!(named(), 5);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_ledger_of_erasures_that_cannot_be_read_keeps_the_store_shut() {
    let database = testing::database().await;
    let file = std::env::temp_dir().join(format!("annals-ledger-{}", Uuid::new_v4().simple()));
    std::fs::write(&file, "nonsense\n").unwrap();
    let mut config = database.config();
    config.keys.ledger = Some(file.clone());
    assert!(matches!(EventStore::open(config).await, Err(StoreError::Configuration(_))));
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn what_is_due_for_retention_is_found_by_epochs() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (person, one) = (Uuid::new_v4(), stream("one"));
    store.append(appending(vec![personal(&one, person, "device", "token")])).await.unwrap();
    let now = Epoch::month(Timestamp::now());
    assert_eq!(store.keyring().due("device", now, false).await.unwrap(), [(person, 1)]);
    assert_eq!(store.keyring().due("device", now, true).await.unwrap(), [(person, 1)]);
    assert_eq!(store.keyring().due("device", Epoch::from_number(202_001), false).await.unwrap(), []);
    assert_eq!(store.keyring().due("identity", now, false).await.unwrap(), []);
}

#[tokio::test]
async fn after_a_scrub_the_table_of_keys_has_no_byte_of_what_was_destroyed() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let (gone, stays) = (Uuid::new_v4(), Uuid::new_v4());
    let events = vec![
        personal(&stream("one"), gone, "identity", "Ada"),
        personal(&stream("one"), stays, "identity", "Charles"),
    ];
    store.append(appending(events)).await.unwrap();
    let wrapped: Vec<u8> = sqlx::query_scalar("SELECT wrapped FROM annals_keys.data_keys WHERE subject = $1")
        .bind(gone)
        .fetch_one(store.pool())
        .await
        .unwrap();
    let on_disk = async || {
        store.pool().execute("CHECKPOINT").await.unwrap();
        let file = "SELECT current_setting('data_directory') || '/' || pg_relation_filepath('annals_keys.data_keys')";
        let file: String = sqlx::query_scalar(file).fetch_one(store.pool()).await.unwrap();
        std::fs::read(file).unwrap().windows(wrapped.len()).any(|window| window == wrapped)
    };
    let keyring = store.keyring();
    assert!(!keyring.scrub_after_shreds().await.unwrap(), "nothing was destroyed");
    keyring.shred(gone, Classes::All, Basis::Erasure).await.unwrap();
    assert!(on_disk().await, "a deleted row lives on in its page");
    assert!(keyring.scrub_after_shreds().await.unwrap());
    assert!(!on_disk().await);
    assert!(!keyring.scrub_after_shreds().await.unwrap(), "once is enough");
    assert_eq!(opened(&database.store().await.unwrap(), "one").await, [None, text("Charles")]);
}
