//! The four secrets of an instance: the master key that wraps the keys of personal data, the key that signs access
//! tokens, the secret by which people are found, and the key that signs the log's checkpoints. Where the configuration names none, development keys are made once and kept beside the data.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::error::EmbeddedError;
use super::user::write_private;
use crate::config::Config;

/// The secrets of an instance and where they come from.
pub struct Keys {
    /// Wraps the keys of personal data.
    pub master: [u8; 32],
    /// What signs access tokens: the content of its file, as [`crate::auth::SigningKeys::read`] takes it.
    pub jwt: Vec<u8>,
    /// By which people are found again: addresses are stored as keyed hashes.
    pub identity: [u8; 32],
    /// The secret of the key that signs the log's checkpoints.
    pub notary: [u8; 32],
    /// The absolute path of the master key's file; `None` where the configuration holds the key itself.
    pub master_file: Option<PathBuf>,
    /// The absolute path of the signing key's file.
    pub jwt_file: PathBuf,
    /// The absolute path of the file by whose secret people are found.
    pub identity_file: PathBuf,
    /// The absolute path of the notary's key.
    pub notary_file: PathBuf,
}

/// Keys never reach a log.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files = (&self.master_file, &self.jwt_file);
        f.debug_struct("Keys").field("files", &files).finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads the keys that the configuration names, and makes development keys in `data_dir/keys` (mode 0600)
    /// for those that it does not.
    ///
    /// # Errors
    /// A file that cannot be read or written, or a key that is too short, or neither 32 bytes as they
    /// are nor base64 nor hexadecimal.
    pub fn load(config: &Config) -> Result<Self, EmbeddedError> {
        let (master, master_file) = match config.master_key.as_deref().filter(|key| !key.is_empty()) {
            Some(text) => (decode(text, "ANNALS_MASTER_KEY")?, None),
            None => {
                let (content, file) = read_or_make(config, config.master_key_file.as_deref(), "master.key")?;
                (bytes(content, &file)?, Some(file))
            }
        };
        let place =
            master_file.as_deref().map_or("ANNALS_MASTER_KEY".into(), |file| file.display().to_string());
        let master = exactly_32(master, place)?;
        let (notary, notary_file) = read_or_make(config, config.notary_key_file.as_deref(), "notary.key")?;
        let notary = exactly_32(bytes(notary, &notary_file)?, notary_file.display().to_string())?;
        let (identity, identity_file) =
            read_or_make(config, config.identity_key_file.as_deref(), "identity.key")?;
        let identity = exactly_32(bytes(identity, &identity_file)?, identity_file.display().to_string())?;
        let (jwt, jwt_file) = read_or_make(config, config.jwt_key_file.as_deref(), "jwt.key")?;
        Ok(Self { master, jwt, identity, notary, master_file, jwt_file, identity_file, notary_file })
    }
}

/// The key in a file that holds its bytes as they are, or as text.
fn bytes(content: Vec<u8>, file: &Path) -> Result<Vec<u8>, EmbeddedError> {
    match content.len() {
        32 => Ok(content),
        _ => decode(&String::from_utf8_lossy(&content), &file.display().to_string()),
    }
}

fn exactly_32(key: Vec<u8>, place: String) -> Result<[u8; 32], EmbeddedError> {
    key.try_into().map_err(|key: Vec<u8>| EmbeddedError::Key {
        place,
        reason: format!("this key has 32 bytes, not {}", key.len()),
    })
}

fn read_or_make(
    config: &Config,
    named: Option<&Path>,
    name: &str,
) -> Result<(Vec<u8>, PathBuf), EmbeddedError> {
    let file = match named {
        Some(file) => file.to_owned(),
        None => make_for_development(&config.data_dir.join("keys"), name)?,
    };
    let unreadable = |path: &Path| {
        let (path, setting) = (path.to_owned(), named.map(|_| name.replace(".key", "_key_file")));
        move |source| match setting {
            Some(setting) => EmbeddedError::Named { setting, path, source },
            None => EmbeddedError::Disk { action: "read", path, source },
        }
    };
    let file = file.canonicalize().map_err(unreadable(&file))?;
    let readable_by_others = |mode: u32| mode & 0o077 != 0;
    if std::fs::metadata(&file).is_ok_and(|found| readable_by_others(found.mode())) {
        tracing::warn!(key = %file.display(), "others than its owner can read this key; `chmod 600` it");
    }
    let content = std::fs::read(&file).map_err(unreadable(&file))?;
    Ok((content, file))
}

fn make_for_development(folder: &Path, name: &str) -> Result<PathBuf, EmbeddedError> {
    let file = folder.join(name);
    if file.exists() {
        return Ok(file);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(EmbeddedError::disk("make", folder))?;
    // Two nodes may start in one folder at the same moment, and must end up with one key: a link is made by one.
    let mine = folder.join(format!("{name}.{}", uuid::Uuid::new_v4().simple()));
    let text = format!("{}\n", STANDARD.encode(rand::random::<[u8; 32]>()));
    write_private(&mine, &text, None).map_err(EmbeddedError::disk("write", &mine))?;
    let linked = std::fs::hard_link(&mine, &file);
    let _ = std::fs::remove_file(&mine);
    match linked {
        Ok(()) => {
            tracing::warn!(key = %file.display(), "made a development key; a real instance keeps its keys elsewhere than its data");
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(source) => return Err(EmbeddedError::Disk { action: "write", path: file, source }),
    }
    Ok(file)
}

/// A key of at least 32 bytes from hexadecimal or base64, standard or URL-safe, padded or not.
fn decode(text: &str, place: &str) -> Result<Vec<u8>, EmbeddedError> {
    let text = text.trim();
    let hexadecimal =
        text.len() >= 64 && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = if hexadecimal {
        let byte =
            |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("both are hexadecimal digits");
        (0..text.len()).step_by(2).map(byte).collect()
    } else {
        let plain = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
        STANDARD_NO_PAD.decode(plain).map_err(|_| EmbeddedError::Key {
            place: place.to_owned(),
            reason: "it is neither base64 nor hexadecimal (try `openssl rand -base64 32`)".into(),
        })?
    };
    if key.len() < 32 {
        let reason = format!("it has {} bytes and needs 32 (try `openssl rand -base64 32`)", key.len());
        return Err(EmbeddedError::Key { place: place.to_owned(), reason });
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_the_same_in_base64_and_in_hexadecimal() {
        let hexadecimal = "00ff".repeat(16);
        let key = decode(&hexadecimal, "").unwrap();
        assert_eq!(key, decode(&format!(" {}\n", STANDARD.encode(&key)), "").unwrap());
        assert_eq!((key.len(), key[0], key[31]), (32, 0, 255));
    }

    #[test]
    fn a_file_may_hold_the_bytes_themselves() {
        let file = std::env::temp_dir().join(format!("annals-key-{}", std::process::id()));
        write_private(&file, "0123456789abcdef0123456789abcdef", None).unwrap();
        let key = read_or_make(&Config::default(), Some(&file), "");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(key.unwrap().0, b"0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn a_short_key_is_refused_with_its_place() {
        let error = decode("c2hvcnQ=", "ANNALS_MASTER_KEY").unwrap_err().to_string();
        assert!(error.contains("ANNALS_MASTER_KEY") && error.contains("5 bytes"), "{error}");
        assert!(decode("not a key", "here").is_err());
    }
}
