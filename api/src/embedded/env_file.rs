//! `annals.env`: what a shell needs to know to join a running instance, as `export` lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::folder::Lock;
use super::keys::Keys;
use super::user::{unpacked, write_private};
use super::{EmbeddedError, Servers};
use crate::config::Config;

/// Where the file of a data folder is.
pub fn env_file(data_dir: &Path) -> PathBuf {
    data_dir.join("annals.env")
}

/// Writes `annals.env` of this node: its servers, its addresses, its keys and a token for development. Only its
/// owner can read it; it is there whole or not at all, and goes when the servers stop. `. data/annals.env` lets
/// psql, `annals-replay` and a second node in: it holds no address to listen at, so nothing clashes. Where psql is among
/// the unpacked servers it is found from then on.
///
/// Where another process has the data folder (this is the second node), the file is that process's and stays.
///
/// # Errors
/// The file cannot be written, or a key cannot be read.
pub fn write_env_file(
    config: &Config,
    servers: &Servers,
    annals_url: &str,
    metrics_url: &str,
    token: &str,
) -> std::io::Result<()> {
    let Some(data) = servers.owned_folder() else {
        return Ok(());
    };
    let keys = Keys::load(config).map_err(into_io)?;
    let mut text = String::from("# Of a running annals. In a shell: `. annals.env`. It holds secrets.\n");
    let mut export = |name: &str, value: &str| {
        let _ = writeln!(text, "export {name}={}", quoted(value));
    };
    export("ANNALS_DATABASE_URL", &servers.database_url);
    if let Some(url) = config.keys_database_url.as_ref().filter(|url| !url.is_empty()) {
        export("ANNALS_KEYS_DATABASE_URL", url);
    }
    export("ANNALS_NATS_URL", servers.nats_url.as_deref().unwrap_or("none"));
    export("ANNALS_URL", annals_url);
    export("ANNALS_METRICS_URL", metrics_url);
    export("ANNALS_TOKEN", token);
    export("ANNALS_DATA_DIR", &data.to_string_lossy());
    let ledger = std::path::absolute(config.erasure_ledger())?;
    export("ANNALS_ERASURE_LEDGER", &ledger.to_string_lossy());
    match &keys.master_file {
        Some(file) => export("ANNALS_MASTER_KEY_FILE", &file.to_string_lossy()),
        None => export("ANNALS_MASTER_KEY", config.master_key.as_deref().unwrap_or_default()),
    }
    if let Some(file) = &config.previous_master_key_file {
        export("ANNALS_PREVIOUS_MASTER_KEY_FILE", &std::path::absolute(file)?.to_string_lossy());
    }
    export("ANNALS_JWT_KEY_FILE", &keys.jwt_file.to_string_lossy());
    export("ANNALS_IDENTITY_KEY_FILE", &keys.identity_file.to_string_lossy());
    let notary = config.notary_dir.as_deref().filter(|folder| !folder.as_os_str().is_empty());
    let notary = notary.map_or_else(|| data.join("notary"), Path::to_owned);
    export("ANNALS_NOTARY_DIR", &notary.to_string_lossy());
    export("ANNALS_NOTARY_KEY_FILE", &keys.notary_file.to_string_lossy());
    if let Some(origin) = config.notary_origin.as_ref().filter(|origin| !origin.is_empty()) {
        export("ANNALS_NOTARY_ORIGIN", origin);
    }
    if let Some(programs) = unpacked().filter(|folder| folder.join("psql").exists()) {
        let programs = quoted(&programs.to_string_lossy());
        let _ = writeln!(text, "case \":$PATH:\" in *:{programs}:*) ;; *) PATH=\"$PATH\":{programs} ;; esac");
    }
    write_private(&env_file(data), &text, None)
}

/// The variables of the instance that serves from a data folder now; `None` where none does.
pub fn running(data_dir: &Path) -> Option<BTreeMap<String, String>> {
    if !Lock::is_held(data_dir) {
        return None;
    }
    let text = std::fs::read_to_string(env_file(data_dir)).ok()?;
    let exported = |line: &str| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        Some((name.to_owned(), value.strip_prefix('\'')?.strip_suffix('\'')?.replace(r"'\''", "'")))
    };
    Some(text.lines().filter_map(exported).collect())
}

/// A word for any shell that follows POSIX.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

fn into_io(error: EmbeddedError) -> std::io::Error {
    match error {
        EmbeddedError::Disk { source, .. } => source,
        other => std::io::Error::other(other),
    }
}
