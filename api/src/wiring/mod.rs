//! Puts a node together and takes it apart again: the log, its keys, read models, commands, policies, HTTP. The only
//! place where everything is known.

mod answers;

use std::sync::Arc;

use actix_web::web;
use commands::{
    Commands,
    policies::{self, World},
    ports::Ports,
};
use event_store::{EventStore, KeyringConfig, MasterKey, StoreConfig, StoreError};
use integrations::embedding::HashedTfIdf;
use projections::{ProjectionError, Projections};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    auth::{KeyError, SigningKeys},
    config::Config,
    embedded::{EmbeddedError, Keys, Servers},
    http::Api,
    vitals::Vitals,
};
use answers::FromReadModels;

/// Roughly what the state of an aggregate takes in memory, in bytes.
const STATE_SIZE: usize = 2048;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its servers or keys.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The keys of access tokens.
    #[error(transparent)]
    Tokens(#[from] KeyError),
    /// The log.
    #[error("the log cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The read models.
    #[error("the read models cannot be started: {0}")]
    Projections(#[from] ProjectionError),
    /// A listener.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// A running node, without its listeners.
pub struct Node {
    /// What every request needs.
    pub api: web::Data<Api>,
    store: EventStore,
    projections: Projections,
    stop: watch::Sender<bool>,
    policies: JoinHandle<()>,
}

impl Node {
    /// Starts everything but the listeners on servers that run.
    ///
    /// # Errors
    /// Whatever cannot be opened; the message says what to do.
    pub async fn start(config: &Config, servers: &Servers) -> Result<Self, StartError> {
        let keys = Keys::load(config)?;
        let signing = SigningKeys::read(&keys.jwt)?;
        let mut store =
            StoreConfig::new(&servers.database_url, KeyringConfig::new(MasterKey::from_bytes(keys.master)));
        store.pool_size = config.database_pool;
        let store = EventStore::open(store).await?;

        let projections = Projections::new(store.clone(), projections::Config::new(&servers.database_url))?;
        projections.start();

        let cache = config.cache_memory_mb * 1024 * 1024 / STATE_SIZE;
        let answers = Arc::new(FromReadModels::new(projections.clone(), &signing));
        let commands = Commands::new(store.clone(), answers, cache.max(1));

        let (stop, stopped) = watch::channel(false);
        let (told, status) = watch::channel(Vec::new());
        let ports = Arc::new(Ports { embedding: Arc::new(HashedTfIdf) });
        let world = World::new(commands.clone(), ports);
        let policies = tokio::spawn(policies::run(policies::every_policy(), world, told, stopped));

        let vitals = Vitals::watch(store.clone(), projections.clone(), status);
        let body_limit = config.request_body_kb * 1024;
        let api = Api::new(commands, projections.clone(), signing, vitals, body_limit);
        Ok(Node { api: web::Data::from(api), store, projections, stop, policies })
    }

    /// Stops in order: what reacts, what follows, what writes. Whatever was acknowledged is on disk already.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.policies.await {
            tracing::error!(%error, "the policies did not end well");
        }
        self.projections.shutdown().await;
        self.store.shutdown().await;
    }
}
