//! The notary: what it signs can be proved, it goes on after any end, and it never signs a log that was rewritten.

use std::{fs, path::Path, path::PathBuf, time::Duration};

use event_store::{
    EventStore,
    integrity::{
        Checkpoint, Directory, Leaf, Notary, NotaryConfig, NotaryState, Proof, Tile, verify_consistency,
    },
    testing::{self, TestDatabase},
};
use sqlx::Executor;
use uuid::Uuid;

use crate::support::*;

/// A folder that goes with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(std::env::temp_dir().join(format!("annals-notary-{}", Uuid::new_v4().simple())))
    }

    pub(crate) fn config(&self) -> NotaryConfig {
        let every = Duration::from_millis(5);
        NotaryConfig { every, patrol: every, ..NotaryConfig::new(&self.0, [7; 32]) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn grow(store: &EventStore, events: u64) {
    let events = (0..events).map(|_| event(&stream(&Uuid::new_v4().to_string()))).collect();
    store.append(appending(events)).await.unwrap();
}

pub(crate) async fn signs(store: &EventStore, folder: &Folder, size: u64) -> Notary {
    let notary = Notary::start(store.clone(), folder.config()).await.unwrap();
    reaches(&notary, |state| *state == NotaryState::Signed(size)).await;
    notary
}

async fn reaches(notary: &Notary, wanted: impl FnMut(&NotaryState) -> bool) {
    let mut state = notary.state();
    let reached = tokio::time::timeout(Duration::from_secs(20), state.wait_for(wanted)).await;
    assert!(reached.is_ok(), "{:?}", notary.state().borrow());
}

async fn refuses(notary: &Notary, because: &str) {
    reaches(notary, |state| matches!(state, NotaryState::Refused(reason) if reason.contains(because))).await;
}

/// As a superuser who switches the triggers off.
async fn behind_our_back(database: &TestDatabase, sql: &str) {
    let mut superuser = database.connect().await;
    superuser.execute("ALTER TABLE annals.events DISABLE TRIGGER ALL").await.unwrap();
    superuser.execute(sql).await.unwrap();
}

#[tokio::test]
async fn what_is_recorded_is_signed_and_every_event_can_be_proved() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 700).await;
    let notary = signs(&store, &folder, 700).await;
    let directory = notary.directory();
    for event in whole_log(&store).await.iter().step_by(37) {
        let proof = directory.prove(Leaf::of(event)).unwrap();
        let file = serde_json::to_string(&proof).unwrap();
        let read: Proof = serde_json::from_str(&file).unwrap();
        assert_eq!(read.verify(directory.verifier()).unwrap().size, 700);
    }
    // Whoever has only the directory has the key too.
    assert_eq!(Directory::open(&folder.0).unwrap().verifier(), directory.verifier());
    // The partial tiles of the first level's full ones are gone, the newest is there.
    grow(&store, 68).await;
    reaches(&notary, |state| *state == NotaryState::Signed(768)).await;
    assert!(directory.bytes("tile/0/002".parse().unwrap()).is_ok());
    let partial: Tile = "tile/0/002.p/188".parse().unwrap();
    assert!(directory.bytes(partial).is_err());
    assert_eq!(directory.hashes(partial).unwrap().len(), 188);
    notary.stop().await;
}

#[tokio::test]
async fn what_waits_for_its_signature_interrupts_no_notary() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    let rarely = NotaryConfig { every: Duration::from_secs(3600), ..folder.config() };
    let notary = Notary::start(store.clone(), rarely).await.unwrap();
    reaches(&notary, |state| *state == NotaryState::Signed(0)).await;
    let mut state = notary.state();
    state.mark_unchanged();
    // More than a full tile, which no patrol finds on disk before it is signed.
    grow(&store, 300).await;
    let changed = tokio::time::timeout(Duration::from_millis(500), state.changed()).await;
    assert!(changed.is_err(), "{:?}", state.borrow());
    notary.stop().await;
}

#[tokio::test]
async fn every_signed_tree_extends_the_one_before_whatever_ended_the_notary() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    let mut signed: Vec<Checkpoint> = Vec::new();
    for round in 1..=4 {
        let notary = signs(&store, &folder, signed.last().map_or(0, |last| last.size)).await;
        grow(&store, 300).await;
        reaches(&notary, |state| *state == NotaryState::Signed(300 * round)).await;
        let directory = notary.directory();
        let (last, _) = directory.signed().unwrap();
        for old in &signed {
            let proof = directory.consistency(old.size, last.size).unwrap();
            assert!(verify_consistency(old.size, old.root, last.size, last.root, &proof));
        }
        signed.push(last);
        // What a kill leaves behind: a file that was not finished, and a tile that no signature has reached yet.
        notary.stop().await;
        fs::write(folder.0.join("tile/0/.draft-1"), b"half").unwrap();
        fs::write(folder.0.join("tile/0/999"), b"half").unwrap();
    }
}

#[tokio::test]
async fn a_copy_of_the_directory_at_any_moment_is_enough_to_go_on() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 1).await;
    let notary = signs(&store, &folder, 1).await;
    let growing = async {
        for _ in 0..40 {
            grow(&store, 50).await;
        }
    };
    let copying = async {
        let mut copies = Vec::new();
        for _ in 0..8 {
            let copy = Folder::new();
            let (from, to) = (folder.0.clone(), copy.0.clone());
            // The checkpoint first: what it needs is there before it is.
            tokio::task::spawn_blocking(move || {
                fs::create_dir_all(&to).unwrap();
                fs::copy(from.join("checkpoint"), to.join("checkpoint")).unwrap();
                copy_tree(&from, &to);
            })
            .await
            .unwrap();
            copies.push(copy);
        }
        copies
    };
    let ((), copies) = tokio::join!(growing, copying);
    reaches(&notary, |state| *state == NotaryState::Signed(2001)).await;
    let (last, _) = notary.directory().signed().unwrap();
    for copy in copies {
        let again = signs(&store, &copy, 2001).await;
        assert_eq!(again.directory().signed().unwrap().0, last);
    }
}

/// All files but those that vanish under way, and the checkpoint.
fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_tree(&source, &target);
        } else if entry.file_name() != "checkpoint" {
            let _ = fs::copy(&source, &target);
        }
    }
}

#[tokio::test]
async fn a_log_that_was_rewritten_while_nobody_looked_is_never_signed_again() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 10).await;
    signs(&store, &folder, 10).await.stop().await;
    behind_our_back(&database, "UPDATE annals.events SET payload = '{}' WHERE position = 4").await;
    grow(&store, 10).await;
    for because in ["position 4 is not what was signed", "it refused before"] {
        let notary = Notary::start(store.clone(), folder.config()).await.unwrap();
        refuses(&notary, because).await;
        assert_eq!(notary.directory().signed().unwrap().0.size, 10);
        notary.stop().await;
    }
}

#[tokio::test]
async fn an_older_event_that_is_rewritten_is_noticed_while_the_notary_runs() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 1000).await;
    let notary = signs(&store, &folder, 1000).await;
    behind_our_back(&database, "DELETE FROM annals.events WHERE position = 300").await;
    refuses(&notary, "position 300 is not what was signed").await;
}

#[tokio::test]
async fn a_notary_that_refused_goes_on_once_the_log_is_right_again_and_somebody_says_so() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 1000).await;
    let notary = signs(&store, &folder, 1000).await;
    behind_our_back(&database, "UPDATE annals.events SET sequence = sequence + 1000000 WHERE position = 300")
        .await;
    refuses(&notary, "position 300 is not what was signed").await;
    behind_our_back(&database, "UPDATE annals.events SET sequence = sequence - 1000000 WHERE position = 300")
        .await;
    grow(&store, 10).await;
    fs::remove_file(folder.0.join("refused")).unwrap();
    reaches(&notary, |state| *state == NotaryState::Signed(1010)).await;
}

#[tokio::test]
async fn a_restored_backup_and_another_log_are_refused() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 10).await;
    signs(&store, &folder, 10).await.stop().await;
    behind_our_back(&database, "DELETE FROM annals.events WHERE position > 5").await;
    behind_our_back(&database, "UPDATE annals.head SET position = 5").await;
    let config = NotaryConfig { origin: Some("annals.example".into()), ..folder.config() };
    let other_name = Notary::start(store.clone(), config).await.unwrap();
    refuses(&other_name, "not signed by annals.example").await;
    other_name.stop().await;
    let notary = Notary::start(store.clone(), folder.config()).await.unwrap();
    refuses(&notary, "was a backup restored?").await;
    notary.stop().await;
    // Not even when the log has come as far again: what was signed is not what it has now.
    grow(&store, 10).await;
    let notary = Notary::start(store.clone(), folder.config()).await.unwrap();
    refuses(&notary, "it refused before").await;
    assert!(fs::read_to_string(folder.0.join("refused")).unwrap().contains("was a backup restored?"));
    notary.stop().await;
    fs::remove_file(folder.0.join("refused")).unwrap();
    behind_our_back(&database, "UPDATE annals.head SET incarnation = gen_random_uuid()").await;
    let notary = Notary::start(store.clone(), folder.config()).await.unwrap();
    refuses(&notary, "the directory is of the log incarnation").await;
}

#[tokio::test]
async fn tiles_that_do_not_lead_to_the_signed_root_are_refused() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 3).await;
    signs(&store, &folder, 3).await.stop().await;
    fs::write(folder.0.join("tile/0/000.p/3"), [0; 96]).unwrap();
    let notary = Notary::start(store.clone(), folder.config()).await.unwrap();
    refuses(&notary, "do not lead to the signed root").await;
}

#[tokio::test]
async fn of_two_notaries_on_one_directory_one_works_and_the_other_takes_over() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 1).await;
    let first = signs(&store, &folder, 1).await;
    let second = Notary::start(store.clone(), folder.config()).await.unwrap();
    grow(&store, 1).await;
    reaches(&first, |state| *state == NotaryState::Signed(2)).await;
    assert_eq!(*second.state().borrow(), NotaryState::Standby);
    first.stop().await;
    grow(&store, 1).await;
    reaches(&second, |state| *state == NotaryState::Signed(3)).await;
}

#[tokio::test]
async fn a_name_with_a_line_feed_cannot_be_recorded_because_leaves_are_lines() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let refused = store.append(appending(vec![event(&stream("one\ntwo"))])).await;
    assert!(refused.unwrap_err().to_string().contains("cannot be a name"));
}

#[tokio::test]
async fn whoever_takes_the_checkpoint_away_gets_no_rewritten_history_signed() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 300).await;
    signs(&store, &folder, 300).await.stop().await;
    fs::remove_file(folder.0.join("checkpoint")).unwrap();
    // Untouched, it is signed again: so a notary goes on that was killed before its first signature.
    signs(&store, &folder, 300).await.stop().await;
    fs::remove_file(folder.0.join("checkpoint")).unwrap();
    behind_our_back(&database, "UPDATE annals.events SET metadata = '{\"a\":\"b\"}' WHERE position = 280")
        .await;
    // As after a restart: a store that has seen the events keeps the newest in memory.
    let restarted = database.store().await.unwrap();
    let notary = Notary::start(restarted, folder.config()).await.unwrap();
    refuses(&notary, "position 280 is not what was signed").await;
    // The empty tree is what every log begins with.
    assert_eq!(notary.directory().signed().map_or(0, |(checkpoint, _)| checkpoint.size), 0);
    notary.stop().await;
}

#[tokio::test]
async fn whoever_puts_an_older_checkpoint_back_gets_no_rewritten_history_signed() {
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    grow(&store, 300).await;
    signs(&store, &folder, 300).await.stop().await;
    let (file, kept) = (folder.0.join("checkpoint"), folder.0.join("kept"));
    fs::copy(&file, &kept).unwrap();
    grow(&store, 20).await;
    signs(&store, &folder, 320).await.stop().await;
    fs::copy(&kept, &file).unwrap();
    behind_our_back(&database, "UPDATE annals.events SET metadata = '{\"a\":\"b\"}' WHERE position = 310")
        .await;
    // The log goes on, so that no tile is written that is there already.
    let restarted = database.store().await.unwrap();
    grow(&restarted, 5).await;
    let notary = Notary::start(restarted, folder.config()).await.unwrap();
    refuses(&notary, "position 310 is not what was signed").await;
    assert_eq!(notary.directory().signed().unwrap().0.size, 300);
    notary.stop().await;
}
