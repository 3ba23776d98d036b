//! What the log is compared with: the directory of the notary, the key, and checkpoints that were kept elsewhere. What is
//! wrong with these is a finding like any other, and the rest is compared all the same.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use event_store::{
    MasterKey,
    integrity::{Checkpoint, Directory, DirectoryError, Signer, TILE_WIDTH, Tile},
};
use uuid::Uuid;

use super::{
    Verify,
    chunk::Tiles,
    report::{Kind, Report},
    verifier,
};
use crate::failure::Failure;

/// How long a notary is given to sign the tiles that it has just written.
const SIGNING: Duration = Duration::from_secs(2);
/// How often that is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// What was signed.
pub(super) struct Given {
    /// What lies in the directory of the notary.
    pub(super) tiles: Option<Tiles>,
    /// How far the notary's own signature reaches.
    pub(super) signed: Option<u64>,
    pub(super) checkpoints: Vec<Checkpoint>,
}

impl Given {
    /// Reads it. `incarnation` is that of the log.
    pub(super) async fn read(
        asked: &Verify,
        incarnation: Uuid,
        report: &mut Report,
    ) -> Result<Self, Failure> {
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
            given.take(directory, report).await?;
        }
        let key = key.or_else(|| directory.as_ref().map(|directory| directory.verifier().clone()));
        for file in &asked.checkpoints {
            let key = key.as_ref().ok_or(Failure::NoVerifier)?;
            let note = std::fs::read_to_string(file).map_err(Failure::file(file))?;
            match Checkpoint::open(&note, key) {
                Ok(checkpoint) => {
                    let kept = checkpoint.size;
                    if let Some(signed) = given.signed.filter(|signed| *signed < kept) {
                        let text = format!(
                            "the checkpoint in the directory was put back to an older one: it is of size {signed}, and {} \
                             is of size {kept}",
                            file.display()
                        );
                        report.find(Kind::Signature, None, text);
                    }
                    given.checkpoints.push(checkpoint);
                }
                Err(error) => report.find(Kind::Signature, None, format_args!("{}: {error}", file.display())),
            }
        }
        Ok(given)
    }

    /// The tiles and the checkpoint of the directory.
    async fn take(&mut self, directory: Directory, report: &mut Report) -> Result<(), Failure> {
        // Before the checkpoint: what was written since is of a newer one.
        let there = directory.tiles().map_err(DirectoryError::from)?;
        let reach = there.iter().map(Tile::leaves).max().unwrap_or_default();
        let mut signed = directory.signed();
        let begun = Instant::now();
        while signed.as_ref().is_ok_and(|(checkpoint, _)| checkpoint.size < reach)
            && begun.elapsed() < SIGNING
        {
            tokio::time::sleep(LOOK).await;
            signed = directory.signed();
        }
        // Where there is no checkpoint to be trusted, the leaves say which tiles there should be.
        let leaves = there.iter().filter(|tile| tile.level == 0).map(Tile::leaves).max().unwrap_or_default();
        let size = match signed {
            Ok((checkpoint, _)) => {
                let size = checkpoint.size;
                if size < reach {
                    report.find(Kind::Signature, None, put_back(size, reach, &there));
                }
                self.checkpoints.push(checkpoint);
                self.signed = Some(size);
                size
            }
            Err(DirectoryError::Unsigned) if there.is_empty() => {
                return Err(DirectoryError::Unsigned.into());
            }
            Err(DirectoryError::Unsigned) => {
                report.find(Kind::Signature, None, "there are tiles, and the checkpoint is gone");
                leaves
            }
            Err(DirectoryError::Note(error)) => {
                report.find(Kind::Signature, None, format_args!("the checkpoint cannot be trusted: {error}"));
                leaves
            }
            Err(error) => return Err(error.into()),
        };
        self.tiles = Some(Tiles::new(directory, &there, size));
        Ok(())
    }
}

/// What is said of a checkpoint of this size where there are tiles of larger trees.
fn put_back(size: u64, reach: u64, there: &[Tile]) -> String {
    let facts = format!("the checkpoint is of size {size}, and there are tiles up to {reach}");
    // A partial tile goes only after a checkpoint of the full one was signed.
    let own = Tile::in_tree(0, size / TILE_WIDTH, size);
    match own.is_some_and(|own| !there.contains(&own)) {
        true => format!("{facts}: it was put back to an older one, for what came after it had been signed"),
        false => format!(
            "{facts}: it was put back to an older one, or else the notary was stopped after it had written tiles and before it \
             signed them; then it signs them as soon as it runs again"
        ),
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
