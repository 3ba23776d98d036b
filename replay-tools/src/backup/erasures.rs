//! The ledger of erasures: which keys were destroyed, one line each. It holds no key and no personal value, and is kept
//! where neither log nor keys are, to be applied again to whatever is restored.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
};

use event_store::{Basis, Classes, Epoch, Keyring, Shred};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::Failure;

pub(super) const NAME: &str = "erasures.jsonl";

/// How many lines are read at once.
const CHUNK: usize = 1000;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Erasure {
    subject: Uuid,
    /// The record class; none: every class.
    class: Option<String>,
    /// The last epoch that retention ended, as yyyymm; none: an erasure, for ever.
    through: Option<i32>,
    at: Timestamp,
}

impl Erasure {
    /// What was destroyed.
    fn what(&self) -> (Uuid, Option<String>, Option<i32>) {
        (self.subject, self.class.clone(), self.through)
    }
}

impl From<Shred> for Erasure {
    fn from(shred: Shred) -> Self {
        Erasure {
            subject: shred.subject,
            class: shred.class.map(Cow::into_owned),
            through: match shred.basis {
                Basis::Erasure => None,
                Basis::Retention { through } => Some(through.number()),
            },
            at: shred.shredded_at,
        }
    }
}

async fn all(keyring: &Keyring) -> Result<Vec<Erasure>, Failure> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let shreds = keyring.shreds(after, CHUNK).await?;
        let Some(last) = shreds.last() else { return Ok(all) };
        after = last.id;
        all.extend(shreds.into_iter().map(Erasure::from));
    }
}

/// Writes the ledger.
pub(super) async fn write(keyring: &Keyring, folder: &Path) -> Result<(), Failure> {
    let mut file = io::BufWriter::new(File::create(folder.join(NAME))?);
    for erasure in all(keyring).await? {
        serde_json::to_writer(&mut file, &erasure).map_err(io::Error::from)?;
        file.write_all(b"\n")?;
    }
    Ok(file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?)
}

/// The lines of a ledger.
fn read(file: &Path) -> Result<Vec<Erasure>, Failure> {
    let lines = BufReader::new(File::open(file).map_err(Failure::file(file))?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?).map_err(io::Error::from)?)).collect()
}

/// Of when the newest erasure in a ledger is.
pub(super) fn newest(file: &Path) -> Result<Option<Timestamp>, Failure> {
    Ok(read(file)?.iter().map(|erasure| erasure.at).max())
}

/// When the ledger that a node keeps was written last, unless nothing is in it: its lines have no time.
pub(super) fn written(ledger: &Path) -> Result<Option<Timestamp>, Failure> {
    let about = std::fs::metadata(ledger).map_err(Failure::file(ledger))?;
    let at = about.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    Ok(at.filter(|_| about.len() > 0))
}

/// How many erasures these keys know of that the backup in a folder does not.
pub(super) async fn applied(keyring: &Keyring, folder: &Path) -> Result<usize, Failure> {
    let before: BTreeSet<_> = read(&folder.join(NAME))?.iter().map(Erasure::what).collect();
    let now: BTreeSet<_> = all(keyring).await?.iter().map(Erasure::what).collect();
    Ok(now.difference(&before).count())
}

/// Destroys again what a ledger says was destroyed and these keys do not know of.
pub(super) async fn apply(keyring: &Keyring, file: &Path) -> Result<(), Failure> {
    let known: BTreeSet<_> = all(keyring).await?.iter().map(Erasure::what).collect();
    for erasure in read(file)? {
        if known.contains(&erasure.what()) {
            continue;
        }
        let class = erasure.class.as_deref();
        let classes = class.as_slice();
        let classes = if classes.is_empty() { Classes::All } else { Classes::Only(classes) };
        let basis = match erasure.through {
            None => Basis::Erasure,
            Some(through) => Basis::Retention { through: Epoch::from_number(through) },
        };
        keyring.shred(erasure.subject, classes, basis).await?;
    }
    Ok(())
}
