//! What a store needs to know to start.

use std::time::Duration;

use crate::KeyringConfig;

/// How to open an [`crate::EventStore`].
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The database of the log: `postgres://user:password@host:port/database?sslmode=...`; for a local socket
    /// `postgres://user@localhost/database?host=/path/to/directory&port=5432`.
    pub database_url: String,
    /// How many connections are kept for reading, beside the writer's own.
    pub pool_size: u32,
    /// Where data keys are and what wraps them.
    pub keys: KeyringConfig,
    /// The most commands that are committed together.
    pub batch_max: usize,
    /// How many commands may wait for the writer before [`crate::EventStore::append`] waits to hand over its own.
    pub queue: usize,
    /// How long a command waits for a lost database before it is answered `Unavailable`.
    pub patience: Duration,
    /// The shortest time between two notifications to other nodes that the log has grown.
    pub notify_every: Duration,
    /// How often a follower looks for events that no notification has told it of.
    pub poll_every: Duration,
}

impl StoreConfig {
    /// The defaults, for this database and these keys.
    pub fn new(database_url: impl Into<String>, keys: KeyringConfig) -> Self {
        Self {
            database_url: database_url.into(),
            pool_size: 10,
            keys,
            batch_max: 512,
            queue: 4096,
            patience: Duration::from_secs(10),
            notify_every: Duration::from_millis(10),
            poll_every: Duration::from_millis(200),
        }
    }
}
