//! One private server as a child process: started, watched, restarted when it dies, stopped in good order; and
//! the same server when it outlived an earlier annals.
//!
//! A child is found again by its arguments, not by a file with a process id: such a file may be missing, or name
//! a process that has nothing to do with us by now.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::error::EmbeddedError;
use super::user::RunAs;
use super::{nats, postgres};

/// How often a condition outside this process is looked at again.
const GLANCE: Duration = Duration::from_millis(25);
/// How long a server may be silent before that is a failure. PostgreSQL answers while it recovers, too.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a server gets to stop in good order before it is stopped at once.
pub(super) const GRACE: Duration = Duration::from_secs(30);
/// A log longer than this is set aside when its server starts.
const LOG_BYTES: u64 = 16 << 20;

/// All that is needed to start a server, and to start it again.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// For messages.
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// The one argument that no other process on this machine has: the path of its data or its configuration.
    pub(super) mark: OsString,
    pub(super) folder: PathBuf,
    pub(super) log: PathBuf,
    pub(super) run_as: Option<RunAs>,
    pub(super) kind: Kind,
    /// Asks it to stop in good order, whoever is connected.
    pub(super) stop: Signal,
    /// Stops it at once. It recovers at its next start.
    pub(super) stop_now: Signal,
}

/// Which server it is, and where to ask it whether it serves.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// It serves once a connection to this database works.
    Postgres(String),
    /// It serves once it greets at this address.
    Nats(SocketAddr),
}

/// What a server says to the question whether it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing.
    Silence,
    /// That it is on its way: PostgreSQL recovers after a crash for as long as it takes.
    NotYet,
    /// Yes.
    Serves,
}

impl Kind {
    /// Asks.
    pub(super) async fn ask(&self) -> Answer {
        match self {
            Kind::Postgres(url) => postgres::ask(url).await,
            Kind::Nats(address) => nats::ask(*address).await,
        }
    }
}

/// A server that runs as our child.
#[derive(Debug)]
pub(super) struct Running {
    launch: Launch,
    child: Mutex<Child>,
    /// The child's process id; 0 while there is none.
    process: AtomicI32,
}

impl Running {
    /// Starts a server and waits until it serves.
    ///
    /// # Errors
    /// It cannot be run, ends or stays silent.
    pub(super) async fn start(launch: Launch) -> Result<Self, EmbeddedError> {
        let child = spawn(&launch)?;
        let process = AtomicI32::new(process_id(&child));
        let running = Self { launch, child: Mutex::new(child), process };
        running.wait_until_it_serves().await?;
        Ok(running)
    }

    async fn wait_until_it_serves(&self) -> Result<(), EmbeddedError> {
        let Launch { name, log, .. } = &self.launch;
        let mut heard = Instant::now();
        let mut child = self.child.lock().await;
        loop {
            match self.launch.kind.ask().await {
                Answer::Serves => return Ok(()),
                Answer::NotYet => heard = Instant::now(),
                Answer::Silence => {}
            }
            if let Some(status) =
                child.try_wait().map_err(EmbeddedError::disk("wait for", &self.launch.program))?
            {
                self.process.store(0, Ordering::Relaxed);
                let status = status.to_string();
                return Err(EmbeddedError::Ended { name, status, log: log.clone(), tail: tail(log) });
            }
            if heard.elapsed() > PATIENCE {
                return Err(EmbeddedError::Silent { name, seconds: PATIENCE.as_secs(), log: log.clone() });
            }
            sleep(GLANCE).await;
        }
    }

    /// Starts the server again, at the same place, whenever it dies, for ever. May be cancelled at any moment.
    pub(super) async fn keep_alive(&self) {
        let Launch { name, log, .. } = &self.launch;
        let mut serving_since = Some(Instant::now());
        let mut pause = Duration::ZERO;
        loop {
            let status = self.child.lock().await.wait().await;
            self.process.store(0, Ordering::Relaxed);
            if let Some(since) = serving_since {
                let died = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::error!(server = name, %died, log = %log.display(), "died; starting it again");
                if since.elapsed() > PATIENCE {
                    pause = Duration::ZERO;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).clamp(Duration::from_millis(100), Duration::from_secs(5));
            serving_since = match self.start_again().await {
                Ok(()) => {
                    tracing::info!(server = name, "serves again");
                    Some(Instant::now())
                }
                Err(error) => {
                    tracing::error!(server = name, %error, "does not serve yet; trying again");
                    None
                }
            };
        }
    }

    async fn start_again(&self) -> Result<(), EmbeddedError> {
        {
            let mut child = self.child.lock().await;
            *child = spawn(&self.launch)?;
            self.process.store(process_id(&child), Ordering::Relaxed);
        }
        self.wait_until_it_serves().await
    }

    /// Stops the server in good order, or at once if that takes too long, and waits until it is gone.
    pub(super) async fn stop(self) {
        self.signal(self.launch.stop);
        let gone = async { self.child.lock().await.wait().await };
        if timeout(GRACE, gone).await.is_err() {
            tracing::warn!(server = self.launch.name, "does not stop in good order; stopping it at once");
            self.signal(self.launch.stop_now);
            let gone = async { self.child.lock().await.wait().await };
            if timeout(GRACE, gone).await.is_err() {
                self.signal(Signal::SIGKILL);
            }
        }
        self.process.store(0, Ordering::Relaxed);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.load(Ordering::Relaxed);
        if process > 0 {
            // It may have gone by itself in this very moment, which is as good.
            let _ = kill(Pid::from_raw(process), signal);
        }
    }
}

impl Drop for Running {
    /// Asks the server to stop; nobody waits for it here. The next start does.
    fn drop(&mut self) {
        self.signal(self.launch.stop);
    }
}

fn process_id(child: &Child) -> i32 {
    child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0)
}

fn spawn(launch: &Launch) -> Result<Child, EmbeddedError> {
    if let Kind::Postgres(_) = launch.kind {
        postgres::clear_remains(launch);
    }
    let open = |path: &Path| {
        if std::fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES) {
            std::fs::rename(path, path.with_extension("log.1"))?;
        }
        std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    };
    let log = open(&launch.log).map_err(EmbeddedError::disk("open", &launch.log))?;
    let errors = log.try_clone().map_err(EmbeddedError::disk("open", &launch.log))?;
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.arguments)
        .current_dir(&launch.folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // A Ctrl-C at the terminal is for annals alone, which stops its servers last.
        .process_group(0);
    bare_environment(&mut command);
    if let Some(user) = &launch.run_as {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command.spawn().map_err(EmbeddedError::disk("run", &launch.program))
}

/// Our environment may hold keys and tokens; a child gets none of it but what finds programs and libraries.
pub(super) fn bare_environment(command: &mut Command) {
    command.env_clear().env("LC_ALL", "C");
    for name in ["PATH", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// Stops the server of this very folder that outlived its annals, if there is one.
///
/// # Errors
/// It belongs to another user, or ignores every signal.
pub(super) async fn stop_stray(launch: &Launch) -> Result<(), EmbeddedError> {
    let name = launch.name;
    let started = Instant::now();
    let mut asked = None;
    while let Some(process) = find(launch) {
        let late = started.elapsed() > GRACE;
        let signal = if late { launch.stop_now } else { launch.stop };
        if asked != Some((process, signal)) {
            tracing::warn!(server = name, process = process.as_raw(), %signal, "an earlier annals left it running");
            match kill(process, signal) {
                Ok(()) | Err(Errno::ESRCH) => asked = Some((process, signal)),
                Err(error) => {
                    let reason = error.desc().to_owned();
                    return Err(EmbeddedError::Stray { name, process: process.as_raw(), reason });
                }
            }
        }
        if started.elapsed() > 2 * GRACE {
            let reason = "it ignores every signal".to_owned();
            return Err(EmbeddedError::Stray { name, process: process.as_raw(), reason });
        }
        sleep(GLANCE).await;
    }
    Ok(())
}

/// The process that this launch started, if it runs, whoever its parent is. Elsewhere than on Linux nothing is found,
/// and the server itself refuses to start twice.
pub(super) fn find(launch: &Launch) -> Option<Pid> {
    let ours = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == 0);
        let first = words.next().map(|word| Path::new(OsStr::from_bytes(word)));
        first.and_then(Path::file_name) == launch.program.file_name()
            && words.any(|word| word == launch.mark.as_bytes())
    };
    processes(ours).find(|(_, folder)| is_or_may_be(folder, &launch.folder)).map(|(process, _)| process)
}

/// All processes with such a command line (words that end in zero bytes), and the link to the folder each works in.
pub(super) fn processes(line: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = (Pid, PathBuf)> {
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(move |entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        line(&words).then(|| (Pid::from_raw(process), entry.path().join("cwd")))
    })
}

/// Whether two paths lead to one folder, so that a server in another container, where its path reads the same, is
/// not taken for ours. A folder that was deleted under its server counts as ours, and so does one that cannot be
/// seen, as of another user's process: then the command line has to do.
fn is_or_may_be(theirs: &Path, ours: &Path) -> bool {
    match (std::fs::metadata(theirs), std::fs::metadata(ours)) {
        (Ok(theirs), Ok(ours)) => {
            theirs.nlink() == 0 || (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino())
        }
        (Err(_), _) | (_, Err(_)) => true,
    }
}

/// The last lines of a log, for a message.
fn tail(log: &Path) -> String {
    let read = || {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2000)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
