//! kill -9 between the destruction of keys and its confirmation.

use std::{os::unix::process::ExitStatusExt, process::Command};

use event_store::{KeyringConfig, StoreConfig};

use super::*;

/// Tells the child which database to work on and what wraps its keys.
const CHILD: &str = "ANNALS_TEST_KILLED";

/// Is asked to sign when the keys are gone and nothing says so yet; and does not come to it.
struct Killed;

impl Certifier for Killed {
    fn sign(&self, _: &Value) -> Result<String, PortError> {
        let killed = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        panic!("killed: {killed:?}")
    }
}

async fn dies(url: &str, master: &str) {
    let keys = KeyringConfig::new(master.parse().unwrap());
    let store = EventStore::open(StoreConfig::new(url, keys)).await.unwrap();
    let mut node = Node::start_with(store, Arc::new(Killed), 0);
    node.settled().await;
}

#[tokio::test]
async fn gov_k2_who_is_killed_between_destruction_and_confirmation_certifies_the_same_keys_afterwards() {
    if let Ok(text) = std::env::var(CHILD) {
        let (master, url) = text.split_once(' ').unwrap();
        return dies(url, master).await;
    }
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let node = Node::idle(store.clone());
    node.headline(ANNA).await;
    node.shred(ANNA, &[RecordClass::Profile]).await.unwrap();
    let keys = store.keyring().key_ids(ANNA, "profile", event_store::Basis::Erasure).await.unwrap();
    assert_eq!(keys.len(), 1);

    let test = std::thread::current().name().unwrap().to_owned();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", &test, "--nocapture"]);
    child.env(CHILD, format!("{} {}", &*database.master.expose_hex(), database.url));
    let ended = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    assert_eq!(ended.status.signal(), Some(9), "{}", String::from_utf8_lossy(&ended.stderr));
    let left = store.keyring().key_ids(ANNA, "profile", event_store::Basis::Erasure).await.unwrap();
    assert_eq!((left.len(), node.events("SubjectKeysDestroyed").await.len()), (0, 0), "killed in between");

    let mut node = Node::start(store).await;
    node.settled().await;
    let destroyed = node.events("SubjectKeysDestroyed").await;
    assert_eq!((destroyed.len(), &destroyed[0].1["key_ids"]), (1, &json!(keys)));
    let certificate: Value = serde_json::from_str(destroyed[0].1["certificate"].as_str().unwrap()).unwrap();
    assert_eq!(certificate["key_ids"], json!(keys));
}
