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
        Self::take_of(data)
    }

    /// Asks for the lock of a folder that is there.
    fn take_of(data: &Path) -> Result<Locked, EmbeddedError> {
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
    /// The folder that holds `postgres` and `nats`, where the servers' user cannot enter the data folder. Unset, it
    /// is the data folder, wherever that was moved or copied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<PathBuf>,
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
                let state = serde_json::from_slice::<State>(&bytes).map_err(std::io::Error::from);
                let mut state = state.map_err(EmbeddedError::disk("understand", &path))?;
                // The data folder was once named here, too, as it was called when the servers were first started. What
                // somebody put elsewhere themselves stays there.
                let has_cluster = |folder: &Path| folder.join("postgres").join("PG_VERSION").exists();
                state.home =
                    state.home.filter(|home| is_elsewhere(home) || !has_cluster(data) && has_cluster(home));
                Ok(Some(Self { data: data.to_owned(), state }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EmbeddedError::Disk { action: "read", path, source }),
        }
    }

    /// Begins the state of a folder: new ports, a new password, and a home that the servers' user can enter.
    pub(super) fn begin(data: &Path, can_enter: impl Fn(&Path) -> bool) -> Result<Self, EmbeddedError> {
        let home = if can_enter(data) {
            None
        } else {
            let home = Path::new(ELSEWHERE).join(uuid::Uuid::new_v4().simple().to_string());
            for folder in [Path::new(ELSEWHERE), &home] {
                make_passable(folder).map_err(EmbeddedError::disk("make", folder))?;
            }
            tracing::info!(home = %home.display(), "the servers' user cannot enter the data folder: their files go elsewhere");
            Some(home)
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

    /// The folder that holds `postgres` and `nats`.
    pub(super) fn home(&self) -> &Path {
        self.state.home.as_deref().unwrap_or(&self.data)
    }

    /// Takes the lock of the servers' files where they are not in the data folder, which has a lock of its own: a
    /// copy of the data folder names the same files.
    pub(super) fn lock_home(&self) -> Result<Option<Lock>, EmbeddedError> {
        let Some(home) = &self.state.home else { return Ok(None) };
        match Lock::take_of(home)? {
            Locked::Ours(lock) => Ok(Some(lock)),
            Locked::Theirs(holder) => Err(EmbeddedError::HomeInUse {
                data: self.data.clone(),
                home: home.clone(),
                state: self.state_file(),
                holder,
            }),
        }
    }

    /// The folder of the PostgreSQL cluster.
    pub(super) fn cluster(&self) -> PathBuf {
        self.home().join("postgres")
    }

    /// The log of a server.
    pub(super) fn log(&self, server: &str) -> PathBuf {
        self.data.join("log").join(server).with_extension("log")
    }
}

/// Whether a folder is one that [`Folder::begin`] made for servers that cannot enter the data folder.
fn is_elsewhere(home: &Path) -> bool {
    let name = home.file_name().and_then(|name| name.to_str());
    home.parent() == Some(Path::new(ELSEWHERE))
        && name.is_some_and(|name| uuid::Uuid::try_parse(name).is_ok())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("annals-{name}-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        path.canonicalize().unwrap()
    }

    fn home_where_servers_json_says(home: &str) -> PathBuf {
        let data = temporary("home");
        let text = format!(r#"{{"home":"{home}","postgres_port":15000,"nats_port":15001,"password":"x"}}"#);
        std::fs::write(data.join("servers.json"), text).unwrap();
        let found = Folder::open(&data).unwrap().unwrap().home().to_owned();
        std::fs::remove_dir_all(&data).unwrap();
        if found == data { "the data folder".into() } else { found }
    }

    #[test]
    fn files_that_are_not_elsewhere_are_in_the_data_folder_whatever_it_was_called_once() {
        let elsewhere = "/var/lib/annals/67e5504410b1426f9247bb680e5fe0c8";
        assert_eq!(home_where_servers_json_says(elsewhere), Path::new(elsewhere));
        for former in ["/home/somebody/data", "/var/lib/annals", "/var/lib/annals/data"] {
            assert_eq!(home_where_servers_json_says(former), Path::new("the data folder"), "{former}");
        }
    }

    #[test]
    fn a_copy_of_a_data_folder_does_not_use_the_files_that_its_original_uses() {
        let (home, original, copy) = (temporary("files"), temporary("original"), temporary("copy"));
        let state = State { home: Some(home.clone()), postgres_port: 1, nats_port: 2, password: "x".into() };
        let [first, second] =
            [&original, &copy].map(|data| Folder { data: data.clone(), state: state.clone() });
        let held = first.lock_home().unwrap();
        let refused = second.lock_home().unwrap_err();
        assert!(matches!(refused, EmbeddedError::HomeInUse { .. }), "{refused}");
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
        assert!(second.lock_home().unwrap().is_some());
        for folder in [home, original, copy] {
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}
