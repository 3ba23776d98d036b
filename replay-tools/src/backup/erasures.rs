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

/// Destroys again what a ledger says was destroyed and these keys do not know of.
pub(super) async fn apply(keyring: &Keyring, file: &Path) -> Result<(), Failure> {
    let same = |erasure: &Erasure| (erasure.subject, erasure.class.clone(), erasure.through);
    let known: BTreeSet<_> = all(keyring).await?.iter().map(same).collect();
    for line in BufReader::new(File::open(file).map_err(Failure::file(file))?).lines() {
        let erasure: Erasure = serde_json::from_str(&line?).map_err(io::Error::from)?;
        if known.contains(&same(&erasure)) {
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
