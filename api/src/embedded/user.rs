//! Who the private servers run as: this user, or, for root, somebody who may do less (PostgreSQL insists).

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User, geteuid};

/// Where `scripts/setup.sh` puts servers for a user who may not install packages.
pub(super) fn unpacked() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let shared = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(shared.join("annals/bin"))
}

/// Whom to become before a server's program is executed. Only root can, and only root must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunAs {
    /// For messages.
    pub(super) name: String,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

impl RunAs {
    /// Nobody else for an ordinary user. For root: the owner of a cluster that is already there, else the user
    /// `postgres`, else `nobody`.
    pub(super) fn choose(cluster: &Path) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let owner = std::fs::metadata(cluster).ok().map(|found| found.uid()).filter(|uid| *uid != 0);
        let owner = owner.and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten());
        let named = |name| User::from_name(name).ok().flatten();
        let user = owner.or_else(|| named("postgres")).or_else(|| named("nobody"))?;
        Some(Self { name: user.name, uid: user.uid, gid: user.gid })
    }

    /// Whether this user can run the program with the folder as its working directory: asked of the system
    /// itself, so that modes, access lists and mount options all count.
    pub(super) fn can_run(&self, program: &Path, folder: &Path) -> bool {
        Command::new(program)
            .arg("--version")
            .current_dir(folder)
            .uid(self.uid.as_raw())
            .gid(self.gid.as_raw())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// Makes a folder that only the user who runs the servers can enter.
pub(super) fn make_private_folder(path: &Path, run_as: Option<&RunAs>) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    match run_as {
        Some(user) => chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
        None => Ok(()),
    }
}

/// Writes a file that only one user can read, this one or the one who runs the servers: all of it or nothing.
pub(super) fn write_private(path: &Path, text: &str, owner: Option<&RunAs>) -> std::io::Result<()> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // The folder may be the other user's: `create_new` never follows a link that lies there.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    if let Some(user) = owner {
        fchown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    file.sync_all()?;
    std::fs::rename(&draft, path)
}
