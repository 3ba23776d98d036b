//! The private PostgreSQL cluster: which programs run it, how it is made, and how it is started.
//!
//! It listens on 127.0.0.1 alone and asks everybody for a password: that works for sqlx, tokio-postgres and psql,
//! for root and for ordinary users, where the path of a socket would be too long for some folders. Durability is
//! PostgreSQL's default: an acknowledged event is on disk.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use tokio::process::Command;

use super::error::EmbeddedError;
use super::folder::{Folder, State};
use super::process::{Answer, Kind, Launch, bare_environment, find, processes};
use super::user::{RunAs, make_private_folder, unpacked, write_private};

/// The oldest major version that will do.
const OLDEST: u32 = 15;
/// The role and the database, of one name.
pub(super) const NAME: &str = "annals";

/// The programs of one PostgreSQL installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    folder: PathBuf,
    major: u32,
}

impl Programs {
    /// The newest installation that will do, or, for a cluster that exists, one of the version that made it.
    pub(super) fn find(cluster: &Path) -> Result<Self, EmbeddedError> {
        let made_by = std::fs::read_to_string(cluster.join("PG_VERSION")).ok();
        let made_by: Option<u32> = made_by.and_then(|version| version.trim().parse().ok());
        let mut all: Vec<Self> = folders().into_iter().filter_map(Self::at).collect();
        all.sort_by_key(|programs| std::cmp::Reverse(programs.major));
        let will_do =
            |programs: &&Self| made_by.map_or(programs.major >= OLDEST, |made| programs.major == made);
        all.iter().find(will_do).cloned().ok_or_else(|| EmbeddedError::NoPostgres {
            wanted: match made_by {
                Some(major) => format!("{major}, which made the cluster in {},", cluster.display()),
                None => format!("{OLDEST} or newer"),
            },
            found: all.iter().map(|other| format!("; {} is there", other.major)).collect(),
        })
    }

    /// The installation in a folder of programs, if it is one that can run a server.
    fn at(folder: PathBuf) -> Option<Self> {
        // Links in /usr/local/bin and the like lead to the folder where all programs of one version are.
        let server = folder.join("postgres").canonicalize().ok()?;
        let folder = server.parent()?.to_owned();
        if !folder.join("initdb").exists() {
            return None;
        }
        let output = std::process::Command::new(&server).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(Self { folder, major: major_version(&text)? })
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }
}

/// The 15 of "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)" and of "16beta1".
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_whitespace().nth(2)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Where programs may be: along PATH, where pg_config says, where distributions put them, and where they are unpacked.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    if let Ok(output) = std::process::Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output()
    {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    for (place, prefix) in
        [("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/opt/homebrew/opt", "postgresql")]
    {
        let versions = std::fs::read_dir(place).into_iter().flatten().flatten();
        let ours = versions.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        folders.extend(ours.map(|entry| entry.path().join("bin")));
    }
    folders.push(PathBuf::from("/usr/local/pgsql/bin"));
    folders.extend(unpacked());
    folders
}

/// The address of a database of the private cluster.
pub(super) fn url(state: &State, database: &str) -> String {
    format!("postgres://{NAME}:{}@127.0.0.1:{}/{database}", state.password, state.postgres_port)
}

/// Makes the cluster, unless it is there. It gets its name only when it is complete, so that one that was
/// interrupted is made anew.
pub(super) async fn make_cluster(
    programs: &Programs,
    folder: &Folder,
    run_as: Option<&RunAs>,
) -> Result<(), EmbeddedError> {
    let cluster = folder.cluster();
    if cluster.join("PG_VERSION").exists() {
        return Ok(());
    }
    let draft = cluster.with_extension("new");
    if draft.exists() {
        std::fs::remove_dir_all(&draft).map_err(EmbeddedError::disk("remove", &draft))?;
    }
    make_private_folder(&draft, run_as).map_err(EmbeddedError::disk("make", &draft))?;
    let password = draft.with_extension("password");
    let written = write_private(&password, &folder.state.password, run_as);
    written.map_err(EmbeddedError::disk("write", &password))?;

    tracing::info!(folder = %cluster.display(), version = programs.major, "making a private PostgreSQL cluster");
    let mut outcome = Err(String::new());
    // Text sorts by code point, which is fast and the same everywhere; upper and lower case know all of Unicode
    // where the system has the locale for it.
    for characters in ["C.UTF-8", "C"] {
        let mut command = Command::new(programs.initdb());
        bare_environment(&mut command);
        command.args(["--encoding=UTF8", "--locale=C", "--username", NAME, "--auth=scram-sha-256"]);
        command.arg(format!("--lc-ctype={characters}")).arg("--pwfile").arg(&password).arg("-D").arg(&draft);
        command.current_dir(&draft).stdin(Stdio::null());
        if let Some(user) = run_as {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let output = command.output().await.map_err(EmbeddedError::disk("run", programs.initdb()))?;
        if output.status.success() {
            outcome = Ok(());
            break;
        }
        outcome = Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let _ = std::fs::remove_file(&password);
    outcome.map_err(|output| EmbeddedError::Initdb { folder: draft.clone(), output })?;
    std::fs::rename(&draft, &cluster).map_err(EmbeddedError::disk("rename", &draft))
}

/// How the cluster is started.
pub(super) fn launch(programs: &Programs, folder: &Folder, run_as: Option<RunAs>) -> Launch {
    let cluster = folder.cluster();
    let mut arguments = vec!["-D".into(), cluster.clone().into()];
    for setting in [
        format!("port={}", folder.state.postgres_port),
        "listen_addresses=127.0.0.1".into(),
        "unix_socket_directories=".into(),
        // Several nodes, psql and tests fit.
        "max_connections=200".into(),
        "shared_buffers=256MB".into(),
        "max_wal_size=2GB".into(),
        // Files of the write-ahead log that a burst has made are kept and used again: to fill a new one with zeros stops
        // every writer for some 50 ms.
        "min_wal_size=1GB".into(),
        "timezone=UTC".into(),
        "log_timezone=UTC".into(),
        "log_line_prefix=%m [%p] %q%a ".into(),
        // The details of an error repeat the values of a row.
        "log_error_verbosity=terse".into(),
        "log_parameter_max_length_on_error=0".into(),
    ] {
        arguments.extend(["-c".into(), setting.into()]);
    }
    Launch {
        name: "PostgreSQL",
        program: programs.folder.join("postgres"),
        arguments,
        mark: cluster.clone().into(),
        folder: cluster,
        log: folder.log("postgres"),
        run_as,
        kind: Kind::Postgres(url(&folder.state, "postgres")),
        stop: Signal::SIGINT,
        stop_now: Signal::SIGQUIT,
    }
}

/// Clears away what a killed postmaster left and what would keep a new one from starting. Nobody else can start
/// this cluster meanwhile: we hold the lock of the data folder.
///
/// - Backends that were busy go on without their postmaster until their query ends; they are told to end now.
/// - `postmaster.pid` may name a process that lives and is something else by now, as happens after a crash and
///   above all in containers. PostgreSQL then believes that it runs already.
pub(super) fn clear_remains(launch: &Launch) {
    if find(launch).is_some() {
        return;
    }
    // Backends call themselves "postgres: ..." and work in the cluster's folder, as nobody else does.
    for (orphan, folder) in processes(|line| line.starts_with(b"postgres:")) {
        if std::fs::read_link(folder).is_ok_and(|folder| folder == launch.folder) {
            tracing::warn!(process = orphan.as_raw(), "ending a backend that outlived its postmaster");
            // It may have ended by itself.
            let _ = kill(orphan, Signal::SIGQUIT);
        }
    }
    let lock = launch.folder.join("postmaster.pid");
    let named = std::fs::read_to_string(&lock).ok().and_then(|text| text.lines().next()?.trim().parse().ok());
    let alive = |id: &i32| *id > 0 && kill(Pid::from_raw(*id), None).is_ok();
    if named.filter(alive).is_some() && std::fs::remove_file(&lock).is_ok() {
        tracing::warn!(lock = %lock.display(), "removed a lock that names a process which is not PostgreSQL");
    }
}

/// Whether a connection works. A wrong password counts as serving: waiting would not help, and whoever connects
/// next says so.
pub(super) async fn ask(url: &str) -> Answer {
    let connected = tokio::time::timeout(Duration::from_secs(5), PgConnection::connect(url)).await;
    match connected {
        Ok(Ok(connection)) => {
            let _ = connection.close().await;
            Answer::Serves
        }
        Ok(Err(sqlx::Error::Database(error))) if error.code().is_some_and(|code| code.starts_with("28")) => {
            Answer::Serves
        }
        Ok(Err(sqlx::Error::Database(_))) => Answer::NotYet,
        Ok(Err(_)) | Err(_) => Answer::Silence,
    }
}

/// Makes the database of Annals in the private cluster, unless it is there.
pub(super) async fn make_database(folder: &Folder) -> Result<(), EmbeddedError> {
    let make = async {
        let mut connection = PgConnection::connect(&url(&folder.state, "postgres")).await?;
        let query = "SELECT count(*) FROM pg_database WHERE datname = $1";
        let there: i64 = sqlx::query(query).bind(NAME).fetch_one(&mut connection).await?.try_get(0)?;
        if there == 0 {
            sqlx::query(&format!("CREATE DATABASE {NAME}")).execute(&mut connection).await?;
        }
        connection.close().await
    };
    make.await.map_err(|source| EmbeddedError::Refused { state: folder.state_file(), source })
}

/// Whether a database of somebody else's can be used.
pub(super) async fn reach(url: &str) -> Result<(), EmbeddedError> {
    let connect = async { PgConnection::connect(url).await?.close().await };
    let limit = Duration::from_secs(15);
    let outcome = tokio::time::timeout(limit, connect).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    outcome.map_err(|source| EmbeddedError::Unreachable { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_shape_that_is_in_the_wild() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn a_cluster_of_a_version_that_is_gone_is_refused_by_name() {
        let cluster = std::env::temp_dir().join(format!("annals-version-{}", std::process::id()));
        std::fs::create_dir_all(&cluster).unwrap();
        std::fs::write(cluster.join("PG_VERSION"), "9\n").unwrap();
        let error = Programs::find(&cluster).unwrap_err().to_string();
        std::fs::remove_dir_all(&cluster).unwrap();
        assert!(error.contains("no PostgreSQL 9, which made the cluster"), "{error}");
    }
}
