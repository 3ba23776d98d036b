//! Puts a node together and takes it apart again: the log, its keys, its notary, read models, commands, policies, HTTP. The only
//! place where everything is known.

mod alarm;
mod answers;
mod entrances;
mod mail;
mod rotation;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::web;
use commands::{
    Commands,
    policies::{self, World},
    ports::{Mailer, Ports},
};
use domain::identity::Cidr;
use event_store::{
    EventStore, KeyringConfig, MasterKey, StoreConfig, StoreError,
    integrity::{Notary, NotaryConfig, NotaryError},
};
use integrations::{
    certifier::Ed25519Certifier,
    embedding::HashedTfIdf,
    identity::{CommonPasswords, Rfc6238},
    mail::MailError,
};
use projections::{FollowerState, NatsConfig, ProjectionError, Projections};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    auth::{Credentials, Door, Gate, KeyError, OneTimeTokens, SigningKeys},
    config::{Config, ForwardedHeader},
    embedded::{EmbeddedError, Keys, Servers},
    http::Api,
    vitals::Vitals,
};
use answers::FromReadModels;
pub use entrances::EntranceError;

/// How long read models may take to be set up before the node serves all the same.
const PATIENCE: Duration = Duration::from_secs(30);

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
    /// The way to send mail.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The ways in beside passwords.
    #[error(transparent)]
    Entrances(#[from] EntranceError),
    /// The notary.
    #[error("the notary cannot be started: {0}")]
    Notary(#[from] NotaryError),
    /// A listener.
    #[error("cannot listen at {address} (`{setting}`): {source}")]
    Listen {
        /// The setting that says where.
        setting: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// What a node needs of the system.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// How much of what a node takes, and from whom.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many aggregates are kept in memory.
    pub states: usize,
    /// The most bytes that a body may have, where the security policy does not say.
    pub body: usize,
    /// The proxies whose word counts for the address of a client.
    pub proxies: Vec<Cidr>,
    /// Where they say it.
    pub forwarded: ForwardedHeader,
    /// How many commands, and how many queries, are under way at once at most.
    pub requests: u32,
    /// How long they may take before fewer are let through.
    pub aim: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            states: 10_000,
            body: 1 << 20,
            proxies: Vec::new(),
            forwarded: ForwardedHeader::XForwardedFor,
            requests: 4096,
            aim: Duration::from_secs(1),
        }
    }
}

/// A running node, without its listeners.
pub struct Node {
    /// What every request needs.
    pub api: web::Data<Api>,
    store: EventStore,
    projections: Projections,
    notary: Notary,
    stop: watch::Sender<bool>,
    policies: JoinHandle<()>,
    alarm: JoinHandle<()>,
    /// Where the keys of access tokens come from a file.
    rotation: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts everything but the listeners on servers that run.
    ///
    /// # Errors
    /// Whatever cannot be opened; the message says what to do.
    pub async fn start(config: &Config, servers: &Servers) -> Result<Self, StartError> {
        let keys = Keys::load(config)?;
        let signing = SigningKeys::read(&keys.jwt)?.with_lasting(keys.identity);
        let mut sealing = KeyringConfig::new(MasterKey::from_bytes(keys.master));
        sealing.ledger = Some(config.erasure_ledger());
        sealing.database_url = config.keys_database_url.clone().filter(|url| !url.is_empty());
        if let Some(file) = &config.previous_master_key_file {
            sealing.previous.push(MasterKey::from_file(file)?);
        }
        let mut store = StoreConfig::new(&servers.database_url, sealing);
        store.pool_size = config.database_pool;
        let mut reading = projections::Config::new(&servers.database_url);
        reading.nats = servers.nats_url.as_ref().map(NatsConfig::new);
        reading.rebuild_memory = config.rebuild_memory_mb * 1024 * 1024;
        reading.rebuild_after_shred = Duration::from_secs(config.rebuild_after_shred_s);
        if config.rebuild_workers > 0 {
            reading.threads = config.rebuild_workers;
        }
        let directory = config.notary_dir.clone().unwrap_or_else(|| config.data_dir.join("notary"));
        let mut notary = NotaryConfig::new(directory, keys.notary);
        notary.origin = config.notary_origin.clone().filter(|origin| !origin.is_empty());
        let limits = Limits {
            states: (config.cache_memory_mb * 1024 * 1024 / STATE_SIZE).max(1),
            body: config.request_body_kb * 1024,
            proxies: config.trusted_proxies.clone().unwrap_or_default().0,
            forwarded: config.forwarded_header.unwrap_or_default(),
            requests: config.requests_under_way,
            aim: Duration::from_millis(config.overload_latency_ms),
        };
        let mailer = mail::mailer(config, servers.embedded)?;
        let door = Door { keys: signing, entrances: entrances::entrances(config)? };
        let mut node = Self::assemble(store, reading, notary, door, mailer, limits).await?;
        // As it is named: where the name is a link, another file may take its place.
        let file = config.jwt_key_file.clone().unwrap_or(keys.jwt_file);
        node.rotation = Some(tokio::spawn(rotation::watch(file, keys.jwt, node.api.clone().into_inner())));
        Ok(node)
    }

    /// Starts everything on a database that is there.
    ///
    /// # Errors
    /// Whatever cannot be opened.
    pub async fn assemble(
        config: StoreConfig,
        reading: projections::Config,
        notary: NotaryConfig,
        door: impl Into<Door>,
        mailer: Arc<dyn Mailer>,
        limits: Limits,
    ) -> Result<Self, StartError> {
        let door: Door = door.into();
        let store = EventStore::open(config).await?;
        store.keyring().check_master().await?;
        store.bind("identity key", &door.keys.derive_lasting("what a log is bound to")).await?;
        let with_nats = reading.nats.is_some();
        let projections = Projections::new(store.clone(), reading)?;
        projections.start();
        begun(&projections).await;
        let secret = notary.secret;
        let notary = Notary::start(store.clone(), notary).await?;

        let tokens = OneTimeTokens::new(&door.keys);
        let answers = Arc::new(FromReadModels::new(projections.clone(), store.clone(), tokens.clone()));
        let commands = Commands::new(store.clone(), answers, limits.states);

        let (stop, stopped) = watch::channel(false);
        let (told, status) = watch::channel(Vec::new());
        let certifier = Ed25519Certifier::new(&secret, notary.directory().verifier().key_id());
        let (tokens, certifier) = (Arc::new(tokens), Arc::new(certifier));
        let ports = Arc::new(Ports { mailer, tokens, certifier, embedding: Arc::new(HashedTfIdf) });
        let world = World::new(commands.clone(), Arc::clone(&ports));
        let policies = tokio::spawn(policies::run(policies::every_policy(), world, told, stopped));

        let credentials = Credentials::new(Arc::new(CommonPasswords), Arc::new(Rfc6238), &door);
        let gate = Gate { keys: door.keys, credentials };
        let alarm = tokio::spawn(alarm::watch(notary.state(), commands.clone()));
        let vitals = Vitals::watch(store.clone(), projections.clone(), status, notary.state(), with_nats);
        let log = notary.directory().clone();
        let read = projections.clone();
        let api = Api::new(commands, read, &ports, log, gate, vitals, limits);
        Ok(Node {
            api: web::Data::from(api),
            store,
            projections,
            notary,
            stop,
            policies,
            alarm,
            rotation: None,
        })
    }

    /// Stops in order: what reacts, what follows, what writes. Whatever was acknowledged is on disk already.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.alarm.abort();
        self.rotation.inspect(JoinHandle::abort);
        if let Err(error) = self.policies.await {
            tracing::error!(%error, "the policies did not end well");
        }
        self.notary.stop().await;
        self.projections.shutdown().await;
        self.store.shutdown().await;
    }
}

/// Until the read models are set up, by this node or by another: decisions and queries ask them.
async fn begun(projections: &Projections) {
    let mut state = projections.state();
    let settled = state.wait_for(|state| match state {
        FollowerState::Following | FollowerState::Standby | FollowerState::Refused(_) => true,
        FollowerState::Stopped | FollowerState::Interrupted(_) => false,
    });
    if tokio::time::timeout(PATIENCE, settled).await.is_err() {
        tracing::warn!("the read models are not set up yet; queries are answered 503 until they are");
    }
}
