//! A real PostgreSQL for tests, started from the binaries of this machine, without root and without a network.
//!
//! All test processes share one cluster; each test has a database of its own, which goes when the test ends. The cluster
//! stops by itself a few seconds after the last process that used it. It is fast because it forgets everything in a
//! crash of the machine (`fsync = off`); a crash of its processes it survives like any other.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    net::Ipv4Addr,
    os::unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::{
        signal::{Signal, kill},
        statvfs::statvfs,
    },
    unistd::{Pid, Uid, User, chown},
};
use uuid::Uuid;

use crate::{EventStore, KeyringConfig, MasterKey, StoreConfig, StoreError};

/// A database of its own for one test; dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    /// `postgres://...`, for both drivers.
    pub url: String,
    /// Wraps the data keys of every store that is opened by [`TestDatabase::config`].
    pub master: MasterKey,
    name: String,
    socket: PathBuf,
}

/// A new, empty database in the shared cluster.
///
/// # Panics
/// When PostgreSQL is not installed or does not start.
pub async fn database() -> TestDatabase {
    let socket = tokio::task::spawn_blocking(shared_cluster).await.expect("the cluster starts");
    TestDatabase::create(&socket).await
}

impl TestDatabase {
    async fn create(socket: &Path) -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let create = format!("CREATE DATABASE {name}");
        let mut maintenance = connect(&url(socket, "postgres")).await;
        sqlx::query(&create).execute(&mut maintenance).await.expect("a database can be created");
        let url = url(socket, &name);
        Self { url, master: MasterKey::generate(), name, socket: socket.to_owned() }
    }

    /// How to open a store on this database. A small pool, and quick to give up.
    pub fn config(&self) -> StoreConfig {
        StoreConfig { pool_size: 4, ..StoreConfig::new(&self.url, KeyringConfig::new(self.master.clone())) }
    }

    /// A store on this database; every call opens another one, as another node would.
    ///
    /// # Errors
    /// As [`EventStore::open`].
    pub async fn store(&self) -> Result<EventStore, StoreError> {
        EventStore::open(self.config()).await
    }

    /// A connection for SQL that no other crate issues.
    pub async fn connect(&self) -> sqlx::PgConnection {
        connect(&self.url).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Nobody waits for it, and if it fails: the whole cluster goes soon anyway.
        let mut drop = Command::new(binary("dropdb"));
        drop.args(["--if-exists", "--force", "--username=postgres", "--host"])
            .arg(&self.socket)
            .arg(&self.name);
        _ = drop.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn();
    }
}

async fn connect(url: &str) -> sqlx::PgConnection {
    sqlx::Connection::connect(url).await.expect("the cluster accepts connections")
}

fn url(socket: &Path, database: &str) -> String {
    format!("postgres://postgres@localhost/{database}?host={}&port=5432&sslmode=disable", socket.display())
}

/// A cluster that belongs to one test, to be killed and started again. It goes with this value.
#[derive(Debug)]
pub struct Cluster {
    home: PathBuf,
    settings: Vec<String>,
    server: Option<Child>,
}

impl Cluster {
    /// Starts a cluster.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> Self {
        Self::start_with(base(), owned(VOLATILE), |_| {})
    }

    /// Starts a cluster on disk with the settings that PostgreSQL comes with: one to measure with, not to test with.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn durable() -> Self {
        Self::start_with(base_in(&std::env::temp_dir()), Vec::new(), |_| {})
    }

    /// Starts a cluster that also listens at an address of this machine, and encrypts there: with this certificate and
    /// its key, in PEM.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn encrypting(address: Ipv4Addr, certificate: &str, key: &str) -> Self {
        let mut settings = owned(VOLATILE);
        settings.push(format!("listen_addresses={address}"));
        // Relative to the data directory.
        settings.extend(owned(&["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key"]));
        Self::start_with(base(), settings, |home| certify(home, certificate, key))
    }

    /// From the next start on it shows another certificate.
    ///
    /// # Panics
    /// When the files cannot be written.
    pub fn certify(&self, certificate: &str, key: &str) {
        certify(&self.home, certificate, key);
    }

    fn start_with(base: PathBuf, settings: Vec<String>, prepare: impl FnOnce(&Path)) -> Self {
        let home = base.join(format!("own-{}", Uuid::now_v7().simple()));
        let _starting = exclusive(&base.join("start.lock"));
        create_for_server(&home);
        prepare(&home);
        let server = launch(&base, &home, &settings);
        Self { home, settings, server: Some(server) }
    }

    /// A new, empty database in this cluster.
    pub async fn database(&self) -> TestDatabase {
        TestDatabase::create(&self.home).await
    }

    /// Kills the server as `kill -9` does, with all its processes.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let postmaster = server.id();
        let processes = children(postmaster);
        for process in [postmaster].into_iter().chain(processes) {
            _ = kill(Pid::from_raw(process as i32), Signal::SIGKILL); // it may have ended by itself
        }
        server.wait().expect("a killed process can be waited for");
    }

    /// Starts the killed server again, on the same data.
    pub fn restart(&mut self) {
        self.server = Some(launch(&base(), &self.home, &self.settings));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
        _ = fs::remove_dir_all(&self.home);
    }
}

fn owned(settings: &[&str]) -> Vec<String> {
    settings.iter().map(|setting| (*setting).to_owned()).collect()
}

/// A certificate and its key, which PostgreSQL takes only if nobody else can read it.
fn certify(home: &Path, certificate: &str, key: &str) {
    for (name, text) in [("server.crt", certificate), ("server.key", key)] {
        let file = home.join(name);
        fs::write(&file, text).expect("a file can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a file of ours");
        if let Some(user) = server_user() {
            chown(&file, Some(user.uid), Some(user.gid)).expect("root may give a file away");
        }
    }
}

/// The processes that a process has started, where the kernel tells (elsewhere PostgreSQL's notice its death themselves).
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // "pid (name) state parent ..."; the name may hold anything.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        rest.split_whitespace().nth(1).and_then(|field| field.parse().ok()) == Some(parent)
    };
    processes.filter(is_child).collect()
}

const SOCKET: &str = ".s.PGSQL.5432";

/// Fast, and forgetful if the machine crashes. Shared memory in the data directory, so that a kill leaves none behind.
const VOLATILE: &[&str] =
    &["fsync=off", "full_page_writes=off", "max_wal_size=256MB", "dynamic_shared_memory_type=mmap"];

/// Where the clusters of this user live: in memory if there is enough, since making a database means writing 8 MB.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = statvfs(memory).map_or(0, |memory| memory.blocks_available() * memory.fragment_size());
    let parent = if free > 1 << 30 { memory.to_owned() } else { std::env::temp_dir() };
    base_in(&parent)
}

fn base_in(parent: &Path) -> PathBuf {
    let base = parent.join(format!("annals-tests-{}", Uid::current()));
    fs::create_dir_all(&base).expect("a directory for temporary files");
    _ = fs::set_permissions(&base, fs::Permissions::from_mode(0o755));
    base
}

/// PostgreSQL refuses to be run by root: then it runs as its own user, or as nobody.
fn server_user() -> Option<User> {
    let named = |name| User::from_name(name).ok().flatten();
    Uid::current().is_root().then(|| named("postgres").or_else(|| named("nobody")))?
}

fn create_for_server(directory: &Path) {
    fs::create_dir_all(directory).expect("a directory for the cluster");
    if let Some(user) = server_user() {
        chown(directory, Some(user.uid), Some(user.gid)).expect("root may give a directory away");
    }
}

/// Runs as the server's user.
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).current_dir("/").env_remove("PGDATA");
    if let Some(user) = server_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// The binaries that `pg_config` names, those of the newest version that Debian has installed, or those along PATH.
fn binary(program: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let asked = Command::new("pg_config").arg("--bindir").output();
        let named = asked.ok().and_then(|output| String::from_utf8(output.stdout).ok());
        let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut installed: Vec<_> = installed.map(|version| version.path().join("bin")).collect();
        installed.sort_by_key(|path| {
            let version = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
            version.and_then(|version| version.parse::<u32>().ok())
        });
        let path = std::env::var_os("PATH").unwrap_or_default();
        let candidates = named.map(|path| PathBuf::from(path.trim())).into_iter();
        let candidates = candidates.chain(installed.into_iter().rev()).chain(std::env::split_paths(&path));
        let mut servers = candidates.filter(|directory| directory.join("postgres").exists());
        servers.next().expect("PostgreSQL's server is installed")
    });
    directory.join(program)
}

fn exclusive(path: &Path) -> Flock<File> {
    Flock::lock(open(path), FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .expect("a lock file can be locked")
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("a lock file can be opened")
}

/// The socket directory of the cluster that all tests share, started if need be. Held until this process ends.
fn shared_cluster() -> PathBuf {
    static CLUSTER: OnceLock<(PathBuf, Flock<File>)> = OnceLock::new();
    let (home, _) = CLUSTER.get_or_init(|| {
        let base = base();
        let home = base.join("shared");
        let _starting = exclusive(&base.join("start.lock"));
        if UnixStream::connect(home.join(SOCKET)).is_err() {
            _ = fs::remove_dir_all(&home);
            create_for_server(&home);
            // Nobody waits for these two: they outlive this process.
            drop(launch(&base, &home, &owned(VOLATILE)));
            reap(&base, &home);
        }
        let using = Flock::lock(open(&base.join("using.lock")), FlockArg::LockShared);
        (home, using.map_err(|(_, error)| error).expect("a lock file can be locked"))
    });
    home.clone()
}

/// Starts a server on a copy of the template, or on the data that is there, and waits until it answers.
fn launch(base: &Path, home: &Path, settings: &[String]) -> Child {
    let data = home.join("data");
    if !data.exists() {
        run(command("cp").arg("-a").arg(template(base)).arg(&data));
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut server = spawn(home, &data, settings);
        loop {
            if UnixStream::connect(home.join(SOCKET)).is_ok() && accepts(home) {
                return server;
            }
            assert!(
                Instant::now() < deadline,
                "postgres does not answer: see {}",
                home.join("log").display()
            );
            std::thread::sleep(Duration::from_millis(10));
            // After a kill, the processes of the old server may still be dying; until then a new one ends at once.
            if server.try_wait().expect("a child can be asked").is_some() {
                break;
            }
        }
    }
}

fn spawn(home: &Path, data: &Path, settings: &[String]) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(home.join("log")).expect("a log file");
    let stderr = log.try_clone().expect("a file can be cloned");
    let mut server = command(binary("postgres"));
    server.arg("-D").arg(data).arg("-k").arg(home).stdout(log).stderr(stderr);
    let common = ["max_connections=400", "listen_addresses="];
    let settings = settings.iter().map(String::as_str);
    common.into_iter().chain(settings).for_each(|setting| _ = server.args(["-c", setting]));
    // A group of its own: what ends one test process must not end it under the others' feet.
    server.process_group(0).spawn().expect("the server can be started")
}

fn accepts(home: &Path) -> bool {
    let asked = command(binary("pg_isready")).arg("--quiet").arg("--host").arg(home).status();
    asked.is_ok_and(|status| status.success())
}

/// A cluster that is only ever copied.
fn template(base: &Path) -> PathBuf {
    let template = base.join("template");
    if !template.exists() {
        let unfinished = base.join("template.new");
        _ = fs::remove_dir_all(&unfinished);
        create_for_server(&unfinished);
        let mut initdb = command(binary("initdb"));
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]);
        run(initdb.arg("-D").arg(&unfinished));
        fs::rename(&unfinished, &template).expect("a directory can be renamed");
    }
    template
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Leaves a process behind that ends the shared cluster when no test process has used it for some seconds.
fn reap(base: &Path, home: &Path) {
    let script = r#"
        while sleep 5; do
            exec 8>"$1/start.lock" 9>"$1/using.lock"
            flock -x 8
            if flock -n -x 9; then
                server=$(head -n 1 "$2/data/postmaster.pid")
                kill -QUIT "$server"
                while kill -0 "$server"; do sleep 0.1; done
                rm -rf "$2"
                exit
            fi
            exec 8>&- 9>&-
        done
    "#;
    let mut reaper = Command::new("sh");
    reaper.args(["-c", script, "reaper"]).arg(base).arg(home).current_dir("/");
    reaper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    drop(reaper.spawn().expect("a shell can be started"));
}
