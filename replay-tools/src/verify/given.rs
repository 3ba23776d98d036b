//! What the log is compared with: the directory of the notary, the key, and checkpoints that were kept elsewhere. What is
//! wrong with these is a finding like any other, and the rest is compared all the same.

use std::path::Path;

use event_store::{
    MasterKey,
    integrity::{Checkpoint, Directory, DirectoryError, Signer, TILE_WIDTH, Tile},
};
use uuid::Uuid;

use super::{
    Verify,
    report::{Kind, Report},
    verifier,
};
use crate::failure::Failure;

/// What was signed.
pub(super) struct Given {
    /// The tiles, and how large their tree is.
    pub(super) tiles: Option<(Directory, u64)>,
    /// How far the notary's own signature reaches.
    pub(super) signed: Option<u64>,
    pub(super) checkpoints: Vec<Checkpoint>,
}

impl Given {
    /// Reads it. `incarnation` is that of the log.
    pub(super) fn read(asked: &Verify, incarnation: Uuid, report: &mut Report) -> Result<Self, Failure> {
        let key = asked.key.as_deref().map(verifier).transpose()?;
        let directory = match (&asked.notary, &key) {
            (Some(path), Some(key)) => Some(Directory::new(path, key.clone())),
            (Some(path), None) => Some(Directory::open(path)?),
            (None, _) => None,
        };
        let mut given = Given { tiles: None, signed: None, checkpoints: Vec::new() };
        if let (Some(path), Some(directory)) = (&asked.notary, directory.clone()) {
            belongs(path, incarnation, report)?;
            if let Some(secret) = &asked.notary_key_file {
                own(&directory, secret, report)?;
            }
            given.take(path, directory, report)?;
        }
        let key = key.or_else(|| directory.as_ref().map(|directory| directory.verifier().clone()));
        for file in &asked.checkpoints {
            let key = key.as_ref().ok_or(Failure::NoVerifier)?;
            let note = std::fs::read_to_string(file).map_err(Failure::file(file))?;
            match Checkpoint::open(&note, key) {
                Ok(checkpoint) => given.checkpoints.push(checkpoint),
                Err(error) => report.find(Kind::Signature, None, format_args!("{}: {error}", file.display())),
            }
        }
        Ok(given)
    }

    /// The tiles and the checkpoint of the directory.
    fn take(&mut self, path: &Path, directory: Directory, report: &mut Report) -> Result<(), Failure> {
        let size = match directory.signed() {
            Ok((checkpoint, _)) => {
                let size = checkpoint.size;
                self.checkpoints.push(checkpoint);
                self.signed = Some(size);
                size
            }
            Err(DirectoryError::Unsigned) if !path.join("tile").exists() => {
                return Err(DirectoryError::Unsigned.into());
            }
            Err(DirectoryError::Unsigned) => {
                report.find(Kind::Signature, None, "there are tiles, and the checkpoint is gone");
                return Ok(());
            }
            Err(DirectoryError::Note(error)) => {
                report.find(Kind::Signature, None, format_args!("the checkpoint cannot be trusted: {error}"));
                // What it claims still says which tiles there should be; if they are there.
                let note = directory.note()?.unwrap_or_default();
                let claimed: Option<u64> = note.lines().nth(1).and_then(|size| size.parse().ok());
                let there = |size: &u64| {
                    let last = Tile::in_tree(0, size.saturating_sub(1) / TILE_WIDTH, *size);
                    last.is_some_and(|tile| directory.hashes(tile).is_ok())
                };
                match claimed.filter(there) {
                    Some(size) => size,
                    None => return Ok(()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        self.tiles = Some((directory, size));
        Ok(())
    }
}

/// Whether the directory is of this log, and its notary willing to sign.
fn belongs(path: &Path, incarnation: Uuid, report: &mut Report) -> Result<(), Failure> {
    let read = |name: &str| match std::fs::read_to_string(path.join(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    };
    if let Some(signed) = read("incarnation")?.filter(|signed| signed.trim() != incarnation.to_string()) {
        let signed = signed.trim();
        report.find(Kind::Follower, None, format_args!("the directory of the notary is of the log {signed}"));
    }
    if let Some(reason) = read("refused")? {
        report.find(Kind::Signature, None, format_args!("the notary refuses to sign: {}", reason.trim()));
    }
    Ok(())
}

/// Whether the key in the directory is the notary's own.
fn own(directory: &Directory, secret: &Path, report: &mut Report) -> Result<(), Failure> {
    // A secret of 32 bytes is written down as the master key is.
    let secret = MasterKey::from_file(secret)?.expose_bytes();
    let own = Signer::new(directory.verifier().name(), &secret)?;
    if own.verifier().to_string() != directory.verifier().to_string() {
        report.find(Kind::Signature, None, "the key that checkpoints are verified with is not the notary's");
    }
    Ok(())
}
