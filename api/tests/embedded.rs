//! The embedded default against real servers: they start, are found again, heal, and are joined from a shell. Run
//! as root, everything is done once more as an ordinary user.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::{fs::MetadataExt, fs::PermissionsExt, process::CommandExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use api::embedded::{EmbeddedError, Keys, Servers, env_file, is_private, running, write_env_file};
use api::{config::Config, wiring::Node};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User, geteuid};
use sqlx::{Connection, Executor, Row, postgres::PgConnection};

/// A data folder of one test, gone with all that is in it when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("annals-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn config(&self) -> Config {
        Config { data_dir: self.0.clone(), ..Config::default() }
    }

    /// What `servers.json` remembers.
    fn remembered(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.0.join("servers.json")).unwrap()).unwrap()
    }

    fn home(&self) -> PathBuf {
        self.remembered()["home"].as_str().map_or_else(|| self.0.clone(), PathBuf::from)
    }

    fn postgres(&self) -> Option<Pid> {
        process_with(&self.home().join("postgres"))
    }

    fn nats(&self) -> Option<Pid> {
        process_with(&self.home().join("nats/nats.conf"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.0.join("servers.json").exists() {
            for process in [self.nats(), self.postgres()].into_iter().flatten() {
                let _ = kill(process, Signal::SIGQUIT);
            }
            let _ = std::fs::remove_dir_all(self.home());
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The process that has this path among its arguments.
fn process_with(path: &Path) -> Option<Pid> {
    let argument = path.to_str().unwrap().as_bytes();
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        line.split(|byte| *byte == 0).any(|word| word == argument).then(|| Pid::from_raw(id))
    })
}

/// Waits until a condition holds; fails where it does not within a minute.
async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn write_a_note(url: &str, note: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute("CREATE TABLE IF NOT EXISTS notes (note text NOT NULL)").await.unwrap();
    sqlx::query("INSERT INTO notes VALUES ($1)").bind(note).execute(&mut connection).await.unwrap();
}

async fn notes(url: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let rows = sqlx::query("SELECT note FROM notes ORDER BY note").fetch_all(&mut connection).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Signs in at a NATS server as its address says, and asks whether JetStream is on.
fn speaks_jetstream(url: &str) -> Option<bool> {
    let (credentials, address) = url.strip_prefix("nats://")?.split_once('@')?;
    let (user, password) = credentials.split_once(':')?;
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let connect = serde_json::json!({ "user": user, "pass": password, "verbose": false, "protocol": 1 });
    write!(stream, "CONNECT {connect}\r\nPING\r\n").ok()?;
    let mut text = String::new();
    let mut bytes = [0; 1024];
    while !text.contains("PONG") {
        let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    Some(text.contains("\"jetstream\":true"))
}

#[tokio::test]
async fn with_no_configuration_both_servers_run_and_the_next_start_finds_all_again() {
    let folder = Folder::new("reuse");
    let servers = Servers::start(&folder.config()).await.unwrap();
    let (database, nats) = (servers.database_url.clone(), servers.nats_url.clone().unwrap());
    assert!(servers.embedded);
    assert_eq!(speaks_jetstream(&nats), Some(true));
    write_a_note(&database, "first").await;

    servers.stop().await;
    assert_eq!((folder.postgres(), folder.nats()), (None, None), "both are gone once stop returns");

    let servers = Servers::start(&folder.config()).await.unwrap();
    assert_eq!((&servers.database_url, servers.nats_url.as_ref()), (&database, Some(&nats)));
    assert_eq!(notes(&database).await.unwrap(), ["first"]);
    servers.stop().await;
}

#[tokio::test]
async fn a_data_folder_that_was_copied_or_moved_is_an_instance_of_its_own() {
    let (folder, copy) = (Folder::new("original"), Folder::new("copy"));
    let servers = Servers::start(&folder.config()).await.unwrap();
    write_a_note(&servers.database_url, "of both").await;
    servers.stop().await;
    assert_eq!(folder.home(), folder.0);
    let copied = Command::new("cp").arg("-a").arg(folder.0.join(".")).arg(&copy.0).status().unwrap();
    assert!(copied.success());

    let original = Servers::start(&folder.config()).await.unwrap();
    let other = Servers::start(&copy.config()).await.unwrap();
    write_a_note(&other.database_url, "of the copy").await;
    assert_eq!(notes(&original.database_url).await.unwrap(), ["of both"]);
    original.stop().await;
    other.stop().await;

    std::fs::remove_dir_all(&folder.0).unwrap();
    std::fs::rename(&copy.0, &folder.0).unwrap();
    let moved = Servers::start(&folder.config()).await.unwrap();
    assert_eq!(notes(&moved.database_url).await.unwrap(), ["of both", "of the copy"]);
    moved.stop().await;
}

#[tokio::test]
async fn the_cluster_is_durable_speaks_unicode_and_lets_nobody_in_without_the_password() {
    let folder = Folder::new("cluster");
    let servers = Servers::start(&folder.config()).await.unwrap();
    let mut connection = PgConnection::connect(&servers.database_url).await.unwrap();
    for (setting, value) in [("fsync", "on"), ("synchronous_commit", "on"), ("server_encoding", "UTF8")] {
        let row = connection.fetch_one(format!("SHOW {setting}").as_str()).await.unwrap();
        assert_eq!(row.get::<String, _>(0), value, "{setting}");
    }
    let lower: String = connection.fetch_one("SELECT lower('ÅÉ')").await.unwrap().get(0);
    assert_eq!(lower, "åé");
    let password = folder.remembered()["password"].as_str().unwrap().to_owned();
    let guessed = servers.database_url.replace(&password, "guess");
    assert!(matches!(PgConnection::connect(&guessed).await, Err(sqlx::Error::Database(_))));
    assert_eq!(speaks_jetstream(&servers.nats_url.as_ref().unwrap().replace(&password, "guess")), None);
    for path in ["servers.json", "postgres", "nats", "nats/nats.conf", "log/postgres.log"] {
        let mode = std::fs::metadata(folder.0.join(path)).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{path} is for its owner only");
    }
    let process = folder.postgres().unwrap();
    let owner = std::fs::metadata(format!("/proc/{process}")).unwrap().uid();
    assert_eq!(owner == geteuid().as_raw(), !geteuid().is_root(), "root gives its rights up for the servers");
    drop(connection);
    servers.stop().await;
}

#[tokio::test]
async fn a_killed_server_comes_back_at_the_same_address_with_all_that_was_acknowledged() {
    let folder = Folder::new("heal");
    let servers = Servers::start(&folder.config()).await.unwrap();
    let (database, nats) = (servers.database_url.clone(), servers.nats_url.clone().unwrap());
    write_a_note(&database, "acknowledged").await;
    let killing = async {
        for _ in 0..2 {
            let killed = folder.postgres().unwrap();
            kill(killed, Signal::SIGKILL).unwrap();
            let found = eventually("PostgreSQL serves again", async || {
                folder.postgres().filter(|process| *process != killed)?;
                notes(&database).await.ok()
            });
            assert_eq!(found.await, ["acknowledged"]);

            let killed = folder.nats().unwrap();
            kill(killed, Signal::SIGKILL).unwrap();
            let back = eventually("nats-server serves again", async || {
                folder.nats().filter(|process| *process != killed)?;
                speaks_jetstream(&nats)
            });
            assert!(back.await);
        }
    };
    tokio::select! {
        () = servers.watch() => panic!("nobody stopped the servers"),
        () = killing => {}
    }
    servers.stop().await;
    assert_eq!((folder.postgres(), folder.nats()), (None, None));
}

/// Names the data folder to a copy of this program that plays an annals which is going to be killed.
const VICTIM: &str = "ANNALS_TEST_DATA_DIR_OF_VICTIM";

/// Serves for ever where this process is the victim; returns at once where it is not.
async fn serve_if_victim() {
    if let Some(data_dir) = std::env::var_os(VICTIM) {
        let servers =
            Servers::start(&Config { data_dir: data_dir.into(), ..Config::default() }).await.unwrap();
        write_a_note(&servers.database_url, "of the killed").await;
        println!("\nserving {}", servers.database_url);
        std::future::pending().await
    }
}

/// Starts a victim that plays in the test of this name, and waits until it serves.
fn start_victim(folder: &Folder, test: &str) -> (Child, String) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(VICTIM, &folder.0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.find_map(|line| line.strip_prefix("serving ").map(str::to_owned));
    (victim, url.expect("the victim serves"))
}

#[tokio::test]
async fn what_a_killed_annals_left_running_is_taken_over() {
    serve_if_victim().await;
    let folder = Folder::new("victim");
    let (mut victim, url) = start_victim(&folder, "what_a_killed_annals_left_running_is_taken_over");
    let refused = Servers::start(&folder.config()).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("process {}", victim.id())), "{refused}");

    victim.kill().unwrap();
    victim.wait().unwrap();
    let left = (folder.postgres().unwrap(), folder.nats().unwrap());
    let servers = Servers::start(&folder.config()).await.unwrap();
    assert_eq!(servers.database_url, url);
    assert_eq!(notes(&url).await.unwrap(), ["of the killed"]);
    assert_eq!(speaks_jetstream(servers.nats_url.as_ref().unwrap()), Some(true));
    assert_ne!((folder.postgres().unwrap(), folder.nats().unwrap()), left, "they are our own children now");
    servers.stop().await;
    assert_eq!((folder.postgres(), folder.nats()), (None, None));
}

/// `annals serve` on ports of its own.
fn serving(folder: &Folder) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_annals"))
        .arg("serve")
        .env("ANNALS_DATA_DIR", &folder.0)
        .envs(["ANNALS_LISTEN", "ANNALS_METRICS_LISTEN"].map(|name| (name, "127.0.0.1:0")))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn whoever_stops_annals_in_the_middle_of_its_start_finds_no_server_left() {
    let folder = Folder::new("impatient");
    let mut annals = serving(&folder);
    let known = async || folder.0.join("servers.json").exists().then(|| folder.postgres()).flatten();
    eventually("PostgreSQL runs", known).await;
    kill(Pid::from_raw(annals.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(annals.wait().unwrap().success());
    assert!(running(&folder.0).is_none(), "it never served");
    let gone = async || (folder.postgres().is_none() && folder.nats().is_none()).then_some(());
    eventually("both servers are gone", gone).await;
}

#[tokio::test]
async fn whoever_stops_annals_by_closing_the_terminal_leaves_no_server_and_no_token() {
    let folder = Folder::new("hung-up");
    let mut annals = serving(&folder);
    eventually("annals serves", async || running(&folder.0).map(drop)).await;
    kill(Pid::from_raw(annals.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
    assert!(annals.wait().unwrap().success() && !folder.0.join("annals.env").exists());
    assert_eq!((folder.postgres(), folder.nats()), (None, None));
}

#[test]
fn why_a_node_does_not_start_is_a_log_line_where_machines_read_those() {
    let folder = Folder::new("last-words");
    std::fs::write(folder.0.join("mistyped.toml"), "log_format = \"json\"\ndatabse_url = \"x\"").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let last_line = |settings: &[(&str, &str)]| {
        let mut annals = Command::new(env!("CARGO_BIN_EXE_annals"));
        annals.arg("serve").current_dir(&folder.0).env("ANNALS_LISTEN", &taken);
        let ended = annals.envs(settings.iter().copied()).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{settings:?}");
        String::from_utf8(ended.stderr).unwrap().lines().last().unwrap().to_owned()
    };
    let json = ("ANNALS_LOG_FORMAT", "json");
    for (settings, told) in [
        (&[json][..], taken.as_str()),
        (&[json, ("ANNALS_LOG", "off")][..], taken.as_str()),
        (&[json, ("ANNALS_DATABASE_POOL", "0")][..], "database_pool"),
        (&[("ANNALS_CONFIG", "mistyped.toml")][..], "databse_url"),
    ] {
        let line: serde_json::Value = serde_json::from_str(&last_line(settings)).unwrap();
        assert_eq!(line["level"], "ERROR", "{line}");
        assert!(line["message"].as_str().unwrap().contains(told), "{line}");
    }
    assert!(last_line(&[]).starts_with("annals: "));
}

#[tokio::test]
async fn servers_whose_folder_was_deleted_under_them_do_not_outlive_the_next_start() {
    serve_if_victim().await;
    let folder = Folder::new("deleted");
    let name = "servers_whose_folder_was_deleted_under_them_do_not_outlive_the_next_start";
    let (mut victim, _) = start_victim(&folder, name);
    let left = (folder.postgres(), folder.nats());
    victim.kill().unwrap();
    victim.wait().unwrap();
    std::fs::remove_dir_all(&folder.0).unwrap();
    let servers = Servers::start(&folder.config()).await.unwrap();
    assert!(notes(&servers.database_url).await.is_err(), "all is new");
    assert_eq!(speaks_jetstream(servers.nats_url.as_ref().unwrap()), Some(true));
    let gone = |process: Option<Pid>| kill(process.unwrap(), None).is_err();
    eventually("the old servers are gone", async || (gone(left.0) && gone(left.1)).then_some(())).await;
    servers.stop().await;
}

#[tokio::test]
async fn when_all_three_are_killed_in_the_middle_of_work_the_next_start_loses_nothing() {
    serve_if_victim().await;
    let folder = Folder::new("massacre");
    let name = "when_all_three_are_killed_in_the_middle_of_work_the_next_start_loses_nothing";
    let (mut victim, url) = start_victim(&folder, name);
    let mut busy = PgConnection::connect(&url).await.unwrap();
    let work = "SELECT count(*) FROM generate_series(1, 1000000000) a";
    let work = tokio::spawn(async move { busy.execute(work).await });
    eventually("the work is under way", async || {
        let mut connection = PgConnection::connect(&url).await.ok()?;
        let query =
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series(1, 1%'
            AND pid <> pg_backend_pid()";
        connection.fetch_optional(query).await.unwrap()
    })
    .await;

    victim.kill().unwrap();
    for process in [folder.postgres().unwrap(), folder.nats().unwrap()] {
        kill(process, Signal::SIGKILL).unwrap();
    }
    victim.wait().unwrap();
    let servers = Servers::start(&folder.config()).await.unwrap();
    assert_eq!(servers.database_url, url);
    assert_eq!(notes(&url).await.unwrap(), ["of the killed"]);
    assert!(work.await.unwrap().is_err());
    servers.stop().await;
}

#[tokio::test]
async fn a_stale_lock_that_names_a_living_stranger_does_not_keep_postgresql_down() {
    let folder = Folder::new("stale");
    let servers = Servers::start(&folder.config()).await.unwrap();
    write_a_note(&servers.database_url, "kept").await;
    let lock = folder.home().join("postgres/postmaster.pid");
    let text = std::fs::read_to_string(&lock).unwrap();
    servers.stop().await;

    let mut stranger = Command::new("sleep");
    stranger.arg("300");
    if geteuid().is_root() {
        let owner = std::fs::metadata(folder.home().join("postgres")).unwrap();
        stranger.uid(owner.uid()).gid(owner.gid());
    }
    let mut stranger = stranger.spawn().unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&lock, format!("{}\n{rest}", stranger.id())).unwrap();
    let servers = Servers::start(&folder.config()).await;
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    let servers = servers.unwrap();
    assert_eq!(notes(&servers.database_url).await.unwrap(), ["kept"]);
    servers.stop().await;
}

#[tokio::test]
async fn a_second_node_in_the_folder_is_refused_unless_it_is_given_the_addresses() {
    let folder = Folder::new("second");
    let first = Servers::start(&folder.config()).await.unwrap();
    write_env_file(&folder.config(), &first, "http://127.0.0.1:1", "http://127.0.0.1:2/metrics", "token")
        .unwrap();
    let refused = Servers::start(&folder.config()).await.unwrap_err();
    assert!(matches!(refused, EmbeddedError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("annals.env"), "{refused}");

    let exported = running(&folder.0).unwrap();
    let second = Config::from_sources(None, |name| exported.get(name).cloned()).unwrap();
    let before = std::fs::read(env_file(&folder.0)).unwrap();
    let joined = Servers::start(&second).await.unwrap();
    assert!(!joined.embedded);
    assert_eq!((&joined.database_url, &joined.nats_url), (&first.database_url, &first.nats_url));
    assert_eq!(Keys::load(&second).unwrap().master, Keys::load(&folder.config()).unwrap().master);
    write_env_file(&second, &joined, "http://127.0.0.1:3", "http://127.0.0.1:4/metrics", "other").unwrap();
    joined.stop().await;
    assert_eq!(std::fs::read(env_file(&folder.0)).unwrap(), before, "the file is the first node's");
    assert!(
        notes(&first.database_url).await.is_err_and(|error| error.to_string().contains("notes")),
        "it runs on"
    );
    first.stop().await;
    assert_eq!(running(&folder.0), None);
}

#[tokio::test]
async fn the_demo_data_goes_into_no_database_of_somebody_elses_unless_that_is_said() {
    let (theirs, folder) = (Folder::new("theirs"), Folder::new("demo"));
    let database = Servers::start(&theirs.config()).await.unwrap();
    let config = Config { database_url: Some(database.database_url.clone()), ..folder.config() };
    let node = Servers::start(&config).await.unwrap();
    write_env_file(&config, &node, "http://127.0.0.1:1", "http://127.0.0.1:2/metrics", "").unwrap();
    let url = &database.database_url;
    assert!(is_private(&theirs.0, url).unwrap() && !is_private(&folder.0, url).unwrap());

    let mut demo = Command::new(env!("CARGO_BIN_EXE_annals"));
    demo.arg("demo").env("ANNALS_DATA_DIR", &folder.0).env_remove("ANNALS_DATABASE_URL");
    let refused = demo.output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.is_empty()), (Some(1), true), "{told}");
    assert!(told.contains("--into-this-database"), "{told}");
    node.stop().await;
    database.stop().await;
}

#[tokio::test]
async fn a_shell_joins_with_the_env_file_which_only_its_owner_can_read() {
    let folder = Folder::new("it's a shell");
    let servers = Servers::start(&folder.config()).await.unwrap();
    write_env_file(&folder.config(), &servers, "http://127.0.0.1:1", "http://127.0.0.1:2/metrics", "to'ken")
        .unwrap();
    let file = env_file(&folder.0);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let script = r#". ./annals.env && psql -AtX "$ANNALS_DATABASE_URL" -c 'SELECT current_database()' &&
        echo "$ANNALS_URL $ANNALS_METRICS_URL $ANNALS_TOKEN $ANNALS_NATS_URL" &&
        cat "$ANNALS_MASTER_KEY_FILE" "$ANNALS_JWT_KEY_FILE" && env"#;
    let output = Command::new("sh")
        .args(["-ec", script])
        .env_clear()
        .env("PATH", path())
        .current_dir(&folder.0)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("annals"));
    let nats = servers.nats_url.clone().unwrap();
    assert_eq!(lines.next().unwrap(), format!("http://127.0.0.1:1 http://127.0.0.1:2/metrics to'ken {nats}"));
    assert!(lines.clone().all(|line| !line.contains("LISTEN")), "a second node listens where it likes");
    assert_eq!(lines.take(2).map(str::len).collect::<Vec<_>>(), [44, 44], "two keys of 32 bytes in base64");
    servers.stop().await;
    assert!(!file.exists());
}

fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap()
}

#[tokio::test]
async fn a_shell_that_still_has_the_variables_of_a_stopped_instance_starts_it_again() {
    let folder = Folder::new("again");
    let servers = Servers::start(&folder.config()).await.unwrap();
    let mut config = folder.config();
    config.database_url = Some(servers.database_url.clone());
    config.nats_url = servers.nats_url.clone();
    servers.stop().await;
    let again = Servers::start(&config).await.unwrap();
    assert!(again.embedded);
    assert_eq!(speaks_jetstream(again.nats_url.as_ref().unwrap()), Some(true));
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_secret_than_the_logs_does_not_start() {
    let folder = Folder::new("secrets");
    let mut config = folder.config();
    let servers = Servers::start(&config).await.unwrap();
    Node::start(&config, &servers).await.unwrap().stop().await;
    let other = folder.0.join("other.key");
    std::fs::write(&other, [7; 32]).unwrap();
    config.identity_key_file = Some(other);
    let error = Node::start(&config, &servers).await.err().unwrap().to_string();
    assert!(error.contains("another identity key"), "{error}");
    servers.stop().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_an_error_that_says_what_to_do() {
    let folder = Folder::new("unreachable");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = folder.config();
    config.database_url = Some(format!("postgres://annals:x@{free}/annals"));
    let error = Servers::start(&config).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("ANNALS_DATABASE_URL"));
}

#[tokio::test]
async fn ports_that_somebody_else_took_meanwhile_are_left_to_them() {
    let folder = Folder::new("ports");
    Servers::start(&folder.config()).await.unwrap().stop().await;
    let port = |name: &str| u16::try_from(folder.remembered()[name].as_u64().unwrap()).unwrap();
    let (postgres, nats) = (port("postgres_port"), port("nats_port"));
    let _taken = [postgres, nats].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let servers = Servers::start(&folder.config()).await.unwrap();
    assert_eq!(speaks_jetstream(servers.nats_url.as_ref().unwrap()), Some(true));
    assert!(PgConnection::connect(&servers.database_url).await.is_ok());
    assert_ne!((port("postgres_port"), port("nats_port")), (postgres, nats), "the new ones are remembered");
    servers.stop().await;
}

#[tokio::test]
async fn without_nats_the_database_runs_alone() {
    let folder = Folder::new("alone");
    let mut config = folder.config();
    config.nats_url = Some("none".into());
    let servers = Servers::start(&config).await.unwrap();
    assert_eq!((servers.nats_url.as_ref(), folder.nats()), (None, None));
    servers.stop().await;
}

#[tokio::test]
async fn dropped_servers_stop_and_the_next_start_waits_for_them() {
    let folder = Folder::new("drop");
    let servers = Servers::start(&folder.config()).await.unwrap();
    let url = servers.database_url.clone();
    drop(servers);
    let servers = Servers::start(&folder.config()).await.unwrap();
    assert_eq!(servers.database_url, url);
    servers.stop().await;
}

#[tokio::test]
async fn under_roots_private_home_the_files_go_where_the_servers_user_can_enter() {
    if !geteuid().is_root() {
        // Only root runs servers as somebody else; an ordinary user's private home is its own.
        let folder = Folder::new("own");
        std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o700)).unwrap();
        let servers = Servers::start(&folder.config()).await.unwrap();
        assert_eq!(folder.home(), folder.0);
        return servers.stop().await;
    }
    let folder = Folder::new("private");
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o700)).unwrap();
    let servers = Servers::start(&folder.config()).await.unwrap();
    assert!(folder.home().starts_with("/var/lib/annals"), "{:?}", folder.home());
    write_a_note(&servers.database_url, "elsewhere").await;
    servers.stop().await;
    let servers = Servers::start(&folder.config()).await.unwrap();
    assert_eq!(notes(&servers.database_url).await.unwrap(), ["elsewhere"]);
    servers.stop().await;
}

#[test]
fn all_of_this_holds_for_an_ordinary_user_too() {
    if !geteuid().is_root() {
        return assert_ne!(geteuid(), Uid::from_raw(0), "the other tests just ran as one");
    }
    let nobody = User::from_name("nobody").unwrap().expect("every system has a user nobody");
    let folder = Folder::new("nobody");
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    let temporary = folder.0.join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    std::os::unix::fs::chown(&temporary, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
    // Where this program was built, and with it annals itself, nobody may be unable to enter.
    let program = folder.0.join("embedded-tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new(&program)
        .args(["--test-threads=2", "--skip", "all_of_this_holds", "--skip", "whoever_stops_annals"])
        .current_dir(&temporary)
        .env("TMPDIR", &temporary)
        .env("HOME", &temporary)
        .uid(nobody.uid.as_raw())
        .gid(nobody.gid.as_raw())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("test result: ok. 19 passed"), "{text}");
}
