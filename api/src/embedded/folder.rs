//! The data folder: who may use it, and what the private servers in it must find again at their next start.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::EmbeddedError;
use super::user::write_private;

/// Where the servers' files go when the user who runs them cannot enter the data folder.
const ELSEWHERE: &str = "/var/lib/annals";
/// Free ports are looked for here: below what systems hand out to clients, so that no outgoing connection can
/// sit on a server's port while it restarts.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// The right to run servers in a data folder and to write its `annals.env`. One process has it; the system gives
/// it back when that process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    /// The data folder, absolute.
    pub(super) data: PathBuf,
    file: File,
}

/// What came of asking for a [`Lock`].
#[derive(Debug)]
pub(super) enum Locked {
    /// It is ours.
    Ours(Lock),
    /// Another process has it: its id, if it can be told.
    Theirs(String),
}

impl Lock {
    /// Asks for the lock of a folder, which is made if it is not there.
    pub(super) fn take(data: &Path) -> Result<Locked, EmbeddedError> {
        std::fs::create_dir_all(data).map_err(EmbeddedError::disk("make", data))?;
        let data = data.canonicalize().map_err(EmbeddedError::disk("find", data))?;
        let path = data.join("annals.lock");
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(EmbeddedError::disk("open", &path))?;
        match file.try_lock() {
            Ok(()) => {
                let write = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                write.map_err(EmbeddedError::disk("write", &path))?;
                Ok(Locked::Ours(Self { data, file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                Ok(Locked::Theirs(if holder.is_empty() { "unknown".into() } else { holder }))
            }
            Err(TryLockError::Error(source)) => Err(EmbeddedError::Disk { action: "lock", path, source }),
        }
    }

    /// Whether some process holds the lock of a folder now.
    pub(super) fn is_held(data: &Path) -> bool {
        File::open(data.join("annals.lock"))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a child that was forked and has not yet executed its program has it open,
    /// too.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// What is remembered from one start to the next, in `servers.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    /// The folder that holds `postgres` and `nats`: the data folder, or one that the servers' user can enter.
    pub(super) home: PathBuf,
    pub(super) postgres_port: u16,
    pub(super) nats_port: u16,
    /// For both servers. Letters and digits, `-` and `_`: it stands in addresses as it is.
    pub(super) password: String,
}

/// A data folder with its state.
#[derive(Debug)]
pub(super) struct Folder {
    data: PathBuf,
    pub(super) state: State,
}

impl Folder {
    /// Reads the state of an absolute folder, if servers have ever been started there.
    pub(super) fn open(data: &Path) -> Result<Option<Self>, EmbeddedError> {
        let path = data.join("servers.json");
        match std::fs::read(&path) {
            Ok(bytes) => {
                let state = serde_json::from_slice(&bytes).map_err(std::io::Error::from);
                let state = state.map_err(EmbeddedError::disk("understand", &path))?;
                Ok(Some(Self { data: data.to_owned(), state }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EmbeddedError::Disk { action: "read", path, source }),
        }
    }

    /// Begins the state of a folder: new ports, a new password, and a home that the servers' user can enter.
    pub(super) fn begin(data: &Path, can_enter: impl Fn(&Path) -> bool) -> Result<Self, EmbeddedError> {
        let home = if can_enter(data) {
            data.to_owned()
        } else {
            let home = Path::new(ELSEWHERE).join(uuid::Uuid::new_v4().simple().to_string());
            for folder in [Path::new(ELSEWHERE), &home] {
                make_passable(folder).map_err(EmbeddedError::disk("make", folder))?;
            }
            tracing::info!(home = %home.display(), "the servers' user cannot enter the data folder: their files go elsewhere");
            home
        };
        let password = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        let state = State { home, postgres_port: free_port(), nats_port: free_port(), password };
        let folder = Self { data: data.to_owned(), state };
        folder.save()?;
        Ok(folder)
    }

    /// Writes the state down.
    pub(super) fn save(&self) -> Result<(), EmbeddedError> {
        let path = self.state_file();
        let text = serde_json::to_string_pretty(&self.state)
            .expect("paths, numbers and text can be written as JSON");
        write_private(&path, &text, None).map_err(EmbeddedError::disk("write", &path))
    }

    /// The file with ports and password.
    pub(super) fn state_file(&self) -> PathBuf {
        self.data.join("servers.json")
    }

    /// The folder of the PostgreSQL cluster.
    pub(super) fn cluster(&self) -> PathBuf {
        self.state.home.join("postgres")
    }

    /// The log of a server.
    pub(super) fn log(&self, server: &str) -> PathBuf {
        self.data.join("log").join(server).with_extension("log")
    }
}

/// Makes a folder that everybody may pass through, whatever the mask of this process says; leaves one that is
/// there as it is.
fn make_passable(folder: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(folder) {
        Ok(()) => std::fs::set_permissions(folder, Permissions::from_mode(0o711)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A port of 127.0.0.1 that is free now, and that nobody is given by chance.
pub(super) fn free_port() -> u16 {
    loop {
        let port = rand::random_range(PORTS);
        if is_free(port) {
            return port;
        }
    }
}

/// Whether a server could listen at a port of 127.0.0.1 now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
