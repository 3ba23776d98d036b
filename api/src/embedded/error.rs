//! What can go wrong before the servers run, said so that a person knows what to do next.

use std::path::PathBuf;

/// Why Annals has no database to work with.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Something on disk under the data folder cannot be made, read or written.
    #[error(
        "cannot {action} {path}: {source}. The folder must belong to the user who runs annals; run it as that \
         user, or choose another folder with ANNALS_DATA_DIR"
    )]
    Disk {
        /// What was tried, a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that a setting names cannot be read.
    #[error("cannot read {path}, which `{setting}` names: {source}")]
    Named {
        /// The setting.
        setting: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process serves from the same folder.
    #[error(
        "another annals (process {holder}) runs its private servers in {folder}. For a second node on the same \
         servers: `. {folder}/annals.env; ANNALS_LISTEN=127.0.0.1:8081 annals serve`. For an instance of its own, \
         give it another folder with ANNALS_DATA_DIR"
    )]
    InUse {
        /// The data folder.
        folder: PathBuf,
        /// The process id of the one that is there, if it can be told.
        holder: String,
    },
    /// Another data folder's process uses the servers' files, which are elsewhere.
    #[error(
        "the servers' files of {data} are in {home}, and another annals (process {holder}) uses them: one of the two data \
         folders is a copy of the other. For an instance of its own, stop that one, copy {home} to another folder \
         beside it that is named by a UUID, and say so as `home` in {state}"
    )]
    HomeInUse {
        /// The data folder.
        data: PathBuf,
        /// Where the servers' files are.
        home: PathBuf,
        /// The file that says so.
        state: PathBuf,
        /// The process id of the one that uses them, if it can be told.
        holder: String,
    },
    /// There is no usable PostgreSQL on this machine.
    #[error(
        "no PostgreSQL {wanted} was found (looked along PATH, at `pg_config --bindir` and in \
         /usr/lib/postgresql/*/bin{found}). Install it (Debian and Ubuntu: `apt-get install postgresql`; or \
         `make setup`), or set ANNALS_DATABASE_URL to a server of yours"
    )]
    NoPostgres {
        /// Which versions would do.
        wanted: String,
        /// What was there instead, if anything.
        found: String,
    },
    /// Root runs annals, and there is nobody to run PostgreSQL as, which refuses root.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor a user `nobody` to run it as. \
         Run annals as an ordinary user, or set ANNALS_DATABASE_URL to a server of yours"
    )]
    NobodyToRunAs,
    /// `initdb` failed.
    #[error("PostgreSQL could not make a cluster in {folder}: {output}")]
    Initdb {
        /// Where the cluster was to be.
        folder: PathBuf,
        /// What it printed.
        output: String,
    },
    /// A server of ours ended while it was being started.
    #[error("{name} ended while starting ({status}). The end of its log {log}:\n{tail}")]
    Ended {
        /// Which server.
        name: &'static str,
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of that.
        tail: String,
    },
    /// A server of ours runs, and does not answer.
    #[error("{name} has not answered for {seconds} seconds; its log is {log}")]
    Silent {
        /// Which server.
        name: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// A server that an earlier annals left behind cannot be stopped.
    #[error(
        "{name} of an earlier annals still runs in this folder (process {process}) and cannot be stopped: {reason}. \
         Stop it as the user it belongs to, then start again"
    )]
    Stray {
        /// Which server.
        name: &'static str,
        /// Its process id.
        process: i32,
        /// Why not.
        reason: String,
    },
    /// The private cluster is there, and its password is not.
    #[error(
        "the private database does not let annals in: {source}. {state} must be the one it was made with"
    )]
    Refused {
        /// The file that holds the password.
        state: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The database that the configuration names cannot be reached.
    #[error(
        "cannot use the database that ANNALS_DATABASE_URL (or database_url) names: {source}. If the address comes \
         from the annals.env of an annals that has stopped, `unset ANNALS_DATABASE_URL ANNALS_NATS_URL` and start \
         again"
    )]
    Unreachable {
        /// What the driver said.
        source: sqlx::Error,
    },
    /// A key for personal data or access tokens cannot be used.
    #[error("the key in {place} cannot be used: {reason}")]
    Key {
        /// The file or variable.
        place: String,
        /// Why not.
        reason: String,
    },
}

impl EmbeddedError {
    /// For `map_err` on a file operation.
    pub(super) fn disk(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> EmbeddedError {
        let path = path.into();
        move |source| EmbeddedError::Disk { action, path, source }
    }
}
