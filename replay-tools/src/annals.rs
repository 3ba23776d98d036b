//! What every command works on: the log, its read models, and the person at the keyboard.

use std::io::Write;

use domain::Actor;
use event_store::{EventStore, KeyringConfig, MasterKey, Position, StoreConfig, integrity::ProofError};
use projections::Projections;
use serde::Serialize;
use serde_json::json;
use sqlx::{Connection, PgConnection};

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
    /// What wraps the keys, and where erasures are written down.
    pub(crate) keys: KeyringConfig,
    /// Whether answers are JSON.
    pub(crate) json: bool,
}

impl Annals {
    /// Opens the log that the environment names. Where there is none it is made only for what is to go into it: somebody who
    /// mistyped a name must not be told that all is well.
    pub(crate) async fn open(json: bool, makes: bool) -> Result<Self, Failure> {
        let url = database_url()?;
        let keys = keys()?;
        if !makes {
            let mut connection = PgConnection::connect(&url).await?;
            let is_there: bool = sqlx::query_scalar("SELECT to_regclass('annals.head') IS NOT NULL")
                .fetch_one(&mut connection)
                .await?;
            connection.close().await?;
            if !is_there {
                return Err(Failure::NoLog);
            }
        }
        let store = EventStore::open(StoreConfig::new(&url, keys.clone())).await?;
        Self::of(store, &url, keys, json)
    }

    /// This log with its keys.
    pub(crate) fn of(store: EventStore, url: &str, keys: KeyringConfig, json: bool) -> Result<Self, Failure> {
        Ok(Self {
            projections: Projections::new(store.clone(), projections::Config::new(url))?,
            store,
            url: url.to_owned(),
            keys_url: keys.database_url.clone().unwrap_or_else(|| url.to_owned()),
            keys,
            actor: Actor::scheduler(&account()),
            json,
        })
    }

    /// Prints an answer, as JSON where that was asked for.
    pub(crate) fn show(&self, answer: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        show(self.json, answer, text)
    }

    /// Says that an event is not what was signed; what was asked for is not done.
    pub(crate) fn disagrees(&self, position: Position, why: &ProofError) -> Result<bool, Failure> {
        let told = json!({ "position": position, "disagrees": why.to_string() });
        self.show(&told, || format!("position {position} is not what was signed: {why}"))?;
        Ok(false)
    }

    /// Prints a text.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(std::io::stdout(), "{text}")?)
    }
}

/// Whoever has a shell on the server is an operator; the name in the records is the account of that shell, as the system knows
/// it: what the environment says of it, anybody can set.
fn account() -> String {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// Prints an answer, as JSON where that was asked for.
pub(crate) fn show(
    json: bool,
    answer: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text =
        if json { serde_json::to_string_pretty(answer).map_err(std::io::Error::from)? } else { text() };
    Ok(writeln!(std::io::stdout(), "{text}")?)
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
