//! What a backup consists of, and whether it still does.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use event_store::Position;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::erasures;
use crate::{export::hex, failure::Failure, progress::Progress};

pub(super) const NAME: &str = "manifest.json";
pub(super) const LOG: &str = "log.dump";
pub(super) const KEYS: &str = "keys.dump";

/// The manifest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) created_at: Timestamp,
    /// The log.
    pub(super) incarnation: Uuid,
    /// The last position in it.
    pub(super) position: Position,
    /// About how many rows the archives have; only to tell how far a restore is.
    #[serde(default)]
    pub(super) rows: Rows,
    log: Archive,
    keys: Archive,
    erasures: Archive,
}

/// About how many rows there are.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rows {
    pub(super) log: u64,
    pub(super) keys: u64,
}

/// A file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Archive {
    name: String,
    bytes: u64,
    sha256: String,
}

impl Archive {
    fn of(folder: &Path, name: &str) -> io::Result<Self> {
        let (mut file, mut hash, mut bytes) = (File::open(folder.join(name))?, Sha256::new(), 0);
        let progress = Progress::bytes("checksums", file.metadata()?.len());
        let mut piece = vec![0; 1 << 16];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                return Ok(Archive { name: name.to_owned(), bytes, sha256: hex(&hash.finalize()) });
            }
            hash.update(&piece[..read]);
            bytes += read as u64;
            progress.at(bytes);
        }
    }
}

impl Manifest {
    pub(super) fn of(
        (incarnation, position): (Uuid, Position),
        rows: Rows,
        log: &Path,
        keys: &Path,
    ) -> io::Result<Self> {
        Ok(Manifest {
            created_at: Timestamp::now(),
            incarnation,
            position,
            rows,
            log: Archive::of(log, LOG)?,
            keys: Archive::of(keys, KEYS)?,
            erasures: Archive::of(keys, erasures::NAME)?,
        })
    }

    /// Writes it last: a backup without one is not complete.
    pub(super) fn save(&self, folder: &Path) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::from)?;
        let mut file = File::create(folder.join(NAME))?;
        file.write_all(&text)?;
        Ok(file.sync_all()?)
    }

    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(NAME);
        let none = |error| Failure::Wrong(format!("{} is no complete backup: {error}", folder.display()));
        let text = std::fs::read(path).map_err(|error| none(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| none(format!("{NAME}: {error}")))
    }

    /// The first file that is not what was written.
    pub(super) fn first_broken(&self, log: &Path, keys: &Path) -> io::Result<Option<&str>> {
        first_broken(&[(&self.log, log), (&self.keys, keys), (&self.erasures, keys)])
    }

    /// In words, why a file is not the one of this backup: the keys and the erasures may be those of another one, whose
    /// manifest lies beside them.
    pub(super) fn why_broken(&self, name: &str, keys: &Path) -> io::Result<String> {
        let other = (name != LOG).then(|| Manifest::read(keys).ok()).flatten();
        if let Some(other) = other
            && (other.incarnation, other.created_at) != (self.incarnation, self.created_at)
            && first_broken(&[(&other.keys, keys), (&other.erasures, keys)])?.is_none()
        {
            return Ok(format!(
                "{name} is what was written and belongs to another backup, that of {} up to position {}; the log is of that \
                 of {} up to position {}",
                other.created_at, other.position, self.created_at, self.position
            ));
        }
        Ok(format!("{name} is not what was written"))
    }

    pub(super) fn to_text(&self) -> String {
        let line = |one: &Archive| format!("{}  {} ({} bytes)", one.sha256, one.name, one.bytes);
        let files = [&self.log, &self.keys, &self.erasures].map(line).join("\n");
        format!("log {} up to position {}\n{files}", self.incarnation, self.position)
    }
}

fn first_broken<'a>(archives: &[(&'a Archive, &Path)]) -> io::Result<Option<&'a str>> {
    for (archive, folder) in archives {
        match Archive::of(folder, &archive.name) {
            Ok(found) if found == **archive => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => return Ok(Some(&archive.name)),
        }
    }
    Ok(None)
}
