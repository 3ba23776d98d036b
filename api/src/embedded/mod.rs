//! The embedded default: with no configuration, a private PostgreSQL and a private nats-server run as children of
//! this process, with their files in the data folder, so that `annals serve` alone is a whole instance.
//!
//! ```text
//! data/annals.env     how to join this instance; there while it runs
//! data/annals.lock    held by the process that runs the servers
//! data/servers.json   their ports and password, and the folder of their files if it is not this one
//! data/keys/          development keys
//! data/log/           what the servers say
//! data/notary/        the log's signed checkpoint and its tiles
//! data/outbox/        mail, where no mail server is configured
//! data/postgres/      the cluster
//! data/nats/          JetStream's files
//! ```
//!
//! - One process runs the servers of a folder: a lock that the system frees when that process ends, however it ends.
//! - A server that outlived its annals is found by its arguments, stopped in good order and started again at the
//!   same port; one that dies while annals runs is started again at the same port. PostgreSQL's log and
//!   JetStream's files bring back all that was acknowledged.
//! - As root, the servers run as `postgres` or `nobody`. Where that user cannot enter the data folder, as under a
//!   private home, their files go to `/var/lib/annals`.
//! - With `ANNALS_DATABASE_URL` nothing is started, unless the address is this folder's own and nobody runs its
//!   servers: a shell that still has the variables of an instance that stopped starts it again.
//!
//! What must never live here: schema, migrations, or anything that knows what the servers are used for.

mod env_file;
mod error;
mod folder;
mod keys;
mod nats;
mod postgres;
mod process;
mod user;

use std::path::Path;
use std::time::Instant;

pub use env_file::{env_file, running, write_env_file};
pub use error::EmbeddedError;
pub use keys::Keys;

use crate::config::Config;
use folder::{Folder, Lock, Locked};
use process::Running;
use user::RunAs;

/// How often another port is tried when somebody takes the one that was free a moment ago.
const PORT_TRIES: usize = 5;

/// The servers that this node works with. The private ones among them stop when this is dropped; [`Servers::stop`]
/// waits for it.
#[derive(Debug)]
pub struct Servers {
    /// The database that holds the log.
    pub database_url: String,
    /// The NATS server; `None` where the projections follow the log directly.
    pub nats_url: Option<String>,
    /// Whether PostgreSQL is a private one, a child of this process.
    pub embedded: bool,
    postgres: Option<Running>,
    nats: Option<Running>,
    /// The data folder and the right to run servers in it, where this process has it.
    lock: Option<Lock>,
    /// The lock of the servers' files, where they are elsewhere.
    home: Option<Lock>,
}

impl Servers {
    /// Finds or starts the servers that the configuration asks for, and returns when they serve.
    ///
    /// # Errors
    /// No PostgreSQL on this machine or none that can be reached, a folder that cannot be used or is in use, or a
    /// server that does not start. Each message says what to do.
    pub async fn start(config: &Config) -> Result<Self, EmbeddedError> {
        let given = |url: &Option<String>| url.clone().filter(|url| !url.is_empty());
        let (database_url, nats_url) = (given(&config.database_url), given(&config.nats_url));
        let Some(database_url) = database_url else {
            return match Lock::take(&config.data_dir)? {
                Locked::Ours(lock) => Self::start_private(lock, nats_url).await,
                Locked::Theirs(holder) => {
                    Err(EmbeddedError::InUse { folder: config.data_dir.clone(), holder })
                }
            };
        };
        let lock = match Lock::take(&config.data_dir) {
            Ok(Locked::Ours(lock)) => Some(lock),
            // With somebody else's database the folder is only needed for annals.env, which can be done without.
            Ok(Locked::Theirs(_)) | Err(_) => None,
        };
        match lock {
            Some(lock) if is_private(&lock.data, &database_url)? => {
                tracing::info!(
                    "ANNALS_DATABASE_URL is this folder's own database, which nobody runs: starting it"
                );
                Self::start_private(lock, nats_url).await
            }
            lock => Self::join(database_url, nats_url, lock).await,
        }
    }

    async fn join(
        database_url: String,
        nats_url: Option<String>,
        lock: Option<Lock>,
    ) -> Result<Self, EmbeddedError> {
        postgres::reach(&database_url).await?;
        // A private nats-server beside a shared database would be one for each node: no node would see the
        // messages of another.
        let nats_url = nats_url.filter(|url| url != "none");
        if nats_url.is_none() {
            tracing::info!("no NATS server is configured: the projections follow the log directly");
        }
        Ok(Self { database_url, nats_url, embedded: false, postgres: None, nats: None, lock, home: None })
    }

    async fn start_private(lock: Lock, nats_url: Option<String>) -> Result<Self, EmbeddedError> {
        let data = &lock.data;
        let log = data.join("log");
        user::make_private_folder(&log, None).map_err(EmbeddedError::disk("make", &log))?;
        let known = Folder::open(data)?;
        let cluster = known.as_ref().map_or_else(|| data.join("postgres"), Folder::cluster);
        let programs = postgres::Programs::find(&cluster)?;
        let run_as = RunAs::choose(&cluster);
        if run_as.is_none() && nix::unistd::geteuid().is_root() {
            return Err(EmbeddedError::NobodyToRunAs);
        }
        let can_enter =
            |folder: &Path| run_as.as_ref().is_none_or(|user| user.can_run(&programs.initdb(), folder));
        let mut folder = match known {
            Some(known) => known,
            None => Folder::begin(data, can_enter)?,
        };
        let home = folder.lock_home()?;
        // Before there is a cluster: a server whose folder was deleted would write its last words into the new one.
        process::stop_stray(&postgres::launch(&programs, &folder, run_as.clone())).await?;
        postgres::make_cluster(&programs, &folder, run_as.as_ref()).await?;
        let postgres = start_at_a_free_port(
            &mut folder,
            |state| &mut state.postgres_port,
            |folder| Ok(postgres::launch(&programs, folder, run_as.clone())),
        )
        .await?;
        postgres::make_database(&folder).await?;
        tracing::info!(port = folder.state.postgres_port, files = %folder.cluster().display(), "private PostgreSQL serves");

        let own_nats = nats_url.is_none() || nats_url.as_deref() == Some(nats::url(&folder.state).as_str());
        let (nats, nats_url) = match nats::program().filter(|_| own_nats) {
            Some(program) => {
                let nats = start_at_a_free_port(
                    &mut folder,
                    |state| &mut state.nats_port,
                    |folder| nats::launch(program.clone(), folder, run_as.clone()),
                )
                .await?;
                tracing::info!(port = folder.state.nats_port, "private nats-server serves");
                (Some(nats), Some(nats::url(&folder.state)))
            }
            None if own_nats => {
                tracing::warn!("no nats-server is installed: the projections follow the log directly");
                (None, None)
            }
            None => (None, nats_url.filter(|url| url != "none")),
        };
        let database_url = postgres::url(&folder.state, postgres::NAME);
        Ok(Self {
            database_url,
            nats_url,
            embedded: true,
            postgres: Some(postgres),
            nats,
            lock: Some(lock),
            home,
        })
    }

    /// Starts a private server again, at the same port, whenever it dies. Never returns: run it beside the node,
    /// as one arm of a `select!`, and stop the servers after that.
    pub async fn watch(&self) {
        let keep = async |server: &Option<Running>| match server {
            Some(server) => server.keep_alive().await,
            None => std::future::pending().await,
        };
        tokio::join!(keep(&self.postgres), keep(&self.nats));
    }

    /// Stops the private servers in good order, PostgreSQL last, removes `annals.env` and frees the folder for
    /// another annals. Servers that are not ours are left alone.
    pub async fn stop(self) {
        if let Some(data) = self.owned_folder() {
            // It may never have been written.
            let _ = std::fs::remove_file(env_file(data));
        }
        for server in [self.nats, self.postgres].into_iter().flatten() {
            server.stop().await;
        }
        drop(self.home);
    }

    /// The absolute data folder, where this process is the one that owns it.
    fn owned_folder(&self) -> Option<&Path> {
        self.lock.as_ref().map(|lock| lock.data.as_path())
    }
}

/// Whether a database is the private one of a data folder.
///
/// # Errors
/// What the folder remembers cannot be read.
pub fn is_private(data_dir: &Path, database_url: &str) -> Result<bool, EmbeddedError> {
    let own = Folder::open(data_dir)?;
    Ok(own.is_some_and(|own| postgres::url(&own.state, postgres::NAME) == database_url))
}

/// Starts a server at the port it had last time, or at another where somebody else has taken that, which is then
/// remembered.
async fn start_at_a_free_port(
    folder: &mut Folder,
    port: impl Fn(&mut folder::State) -> &mut u16,
    launch: impl Fn(&Folder) -> Result<process::Launch, EmbeddedError>,
) -> Result<Running, EmbeddedError> {
    let started = Instant::now();
    let mut tries = 0;
    loop {
        process::stop_stray(&launch(folder)?).await?;
        // Whoever else listens there would answer in place of ours.
        if !folder::is_free(*port(&mut folder.state)) {
            let taken = std::mem::replace(port(&mut folder.state), folder::free_port());
            tracing::warn!(
                taken,
                instead = *port(&mut folder.state),
                "the port of a private server is taken"
            );
            folder.save()?;
            tries += 1;
        }
        match Running::start(launch(folder)?).await {
            // Somebody was faster in taking the port.
            Err(EmbeddedError::Ended { .. })
                if tries < PORT_TRIES && !folder::is_free(*port(&mut folder.state)) => {}
            // Backends of a killed PostgreSQL are still about to end.
            Err(EmbeddedError::Ended { tail, .. })
                if tail.contains("is still in use") && started.elapsed() < process::GRACE => {}
            other => return other,
        }
    }
}
