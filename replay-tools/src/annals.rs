//! What every command works on: the log, its read models, and the person at the keyboard.

use std::io::Write;

use domain::Actor;
use event_store::{EventStore, KeyringConfig, MasterKey, StoreConfig};
use projections::Projections;
use serde::Serialize;

use crate::failure::Failure;

/// The opened log and what belongs to it.
pub(crate) struct Annals {
    /// The log.
    pub(crate) store: EventStore,
    /// What was folded from it.
    pub(crate) projections: Projections,
    /// Who is recorded as having done it.
    pub(crate) actor: Actor,
    /// The database of the log.
    pub(crate) url: String,
    /// The database of the keys.
    pub(crate) keys_url: String,
    /// Whether answers are JSON.
    pub(crate) json: bool,
}

impl Annals {
    /// Opens the log that the environment names.
    pub(crate) async fn open(json: bool) -> Result<Self, Failure> {
        let url = database_url()?;
        let keys = keys()?;
        let keys_url = keys.database_url.clone().unwrap_or_else(|| url.clone());
        let store = EventStore::open(StoreConfig::new(&url, keys)).await?;
        Ok(Self { keys_url, ..Self::of(store, &url, json)? })
    }

    /// This log, with its keys beside it.
    pub(crate) fn of(store: EventStore, url: &str, json: bool) -> Result<Self, Failure> {
        Ok(Self {
            projections: Projections::new(store.clone(), projections::Config::new(url))?,
            store,
            url: url.to_owned(),
            keys_url: url.to_owned(),
            // Whoever has a shell on the server is an operator; the name in the records is the account of that shell.
            actor: Actor::scheduler(&std::env::var("USER").unwrap_or_else(|_| "annals-replay".into())),
            json,
        })
    }

    /// Prints an answer, as JSON where that was asked for.
    pub(crate) fn show(&self, answer: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let text = if self.json {
            serde_json::to_string_pretty(answer).map_err(std::io::Error::from)?
        } else {
            text()
        };
        self.print(&text)
    }

    /// Prints a text.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(std::io::stdout(), "{text}")?)
    }
}

/// The database of the log.
pub(crate) fn database_url() -> Result<String, Failure> {
    std::env::var("ANNALS_DATABASE_URL").map_err(|_| Failure::NoDatabase)
}

/// The keys, and the ledger of erasures where the environment names one: a backup that was restored must not be read before
/// what was erased is destroyed again.
pub(crate) fn keys() -> Result<KeyringConfig, Failure> {
    let mut keys = KeyringConfig::new(master_key()?);
    keys.ledger = std::env::var_os("ANNALS_ERASURE_LEDGER").map(Into::into);
    keys.database_url = std::env::var("ANNALS_KEYS_DATABASE_URL").ok().filter(|url| !url.is_empty());
    if let Some(file) = std::env::var_os("ANNALS_PREVIOUS_MASTER_KEY_FILE").filter(|file| !file.is_empty()) {
        keys.previous.push(MasterKey::from_file(file.as_ref())?);
    }
    Ok(keys)
}

/// What wraps the data keys.
pub(crate) fn master_key() -> Result<MasterKey, Failure> {
    if let Ok(key) = std::env::var("ANNALS_MASTER_KEY") {
        return key.trim().parse().map_err(|_| Failure::NoKey);
    }
    let file = std::env::var_os("ANNALS_MASTER_KEY_FILE").ok_or(Failure::NoKey)?;
    Ok(MasterKey::from_file(file.as_ref())?)
}
