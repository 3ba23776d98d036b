//! kill -9 of the process of a notary, at any moment: what it signed before, it extends afterwards.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use event_store::{
    EventStore, KeyringConfig, StoreConfig,
    integrity::{Checkpoint, Directory, Notary, NotaryConfig, verify_consistency},
    testing::{self, TestDatabase},
};

use crate::notarising::{Folder, grow, signs};

/// Tells the child what to sign, and where.
const CHILD: &str = "ANNALS_TEST_NOTARY";

/// How often it is killed.
const KILLS: u64 = 10;

/// Signs until it is killed.
async fn sign_for_ever(text: &str) {
    let [master, folder, url] = text.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let keys = KeyringConfig::new(master.parse().unwrap());
    let store = EventStore::open(StoreConfig::new(url, keys)).await.unwrap();
    let every = Duration::ZERO;
    let config = NotaryConfig { every, ..NotaryConfig::new(PathBuf::from(folder), [7; 32]) };
    let _notary = Notary::start(store, config).await.unwrap();
    std::future::pending::<()>().await;
}

fn child(database: &TestDatabase, folder: &Folder) -> Child {
    let test = std::thread::current().name().unwrap().to_owned();
    let told = format!("{} {} {}", &*database.master.expose_hex(), folder.0.display(), database.url);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &test, "--nocapture"]).env(CHILD, told);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The last checkpoint that was published, if any was.
fn published(folder: &Folder) -> Option<Checkpoint> {
    Directory::open(&folder.0).ok()?.signed().ok().map(|(checkpoint, _)| checkpoint)
}

#[tokio::test]
async fn a_notary_that_is_killed_at_any_moment_extends_afterwards_what_it_signed_before() {
    if let Ok(text) = std::env::var(CHILD) {
        return sign_for_ever(&text).await;
    }
    let (database, folder) = (testing::database().await, Folder::new());
    let store = database.store().await.unwrap();
    let mut signed: Vec<Checkpoint> = Vec::new();
    for round in 1..=KILLS {
        let mut notary = child(&database, &folder);
        let before = signed.last().map_or(0, |last| last.size);
        let begun = Instant::now();
        // It is killed while it works on what comes in, after another number of signatures each time.
        let mut seen = 0;
        let mut last = before;
        while seen < round {
            grow(&store, 150).await;
            let size = published(&folder).map_or(0, |checkpoint| checkpoint.size);
            if size > last {
                (seen, last) = (seen + 1, size);
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it signs nothing");
        }
        notary.kill().unwrap();
        notary.wait().unwrap();
        let checkpoint = published(&folder).expect("a checkpoint is whole, or the one before");
        assert!(checkpoint.size >= last);
        signed.push(checkpoint);
    }

    let head = store.head().await.unwrap().position;
    let notary = signs(&store, &folder, head).await;
    let directory = notary.directory();
    let (end, _) = directory.signed().unwrap();
    assert_eq!(end.size, head);
    for old in &signed {
        let proof = directory.consistency(old.size, end.size).unwrap();
        assert!(verify_consistency(old.size, old.root, end.size, end.root, &proof), "of size {}", old.size);
    }
    notary.stop().await;
}
