//! The proofs of an export: a line for each event, verifiable offline (`docs/integrity.md`).

use std::{
    io::{self, Write},
    path::Path,
};

use event_store::integrity::{Leaf, Prover};
use serde::Serialize;

use super::output::{Output, Written};
use crate::failure::Failure;

/// The file.
const NAME: &str = "proofs.jsonl";

/// The file being written.
pub(super) struct Proofs {
    prover: Prover,
    file: Output,
}

/// What the manifest says of it.
#[derive(Debug, Serialize)]
pub(super) struct Proved {
    /// Its name in the folder.
    file: &'static str,
    /// Who signed: the name of the log.
    origin: String,
    /// How many events the tree has against which all of them are proved.
    size: u64,
}

impl Proved {
    pub(super) fn to_text(&self) -> String {
        let Proved { file, origin, size } = self;
        format!("{file} proves them against the tree of {size} events of {origin}")
    }
}

impl Proofs {
    pub(super) fn create(folder: &Path, prover: Prover) -> Result<Self, Failure> {
        let mut proofs = Proofs { file: Output::create(folder, NAME)?, prover };
        line(&mut proofs.file, proofs.prover.head())?;
        Ok(proofs)
    }

    /// The proof of the next event.
    pub(super) fn write(&mut self, leaf: Leaf) -> Result<(), Failure> {
        let proof = self.prover.prove(leaf)?;
        Ok(line(&mut self.file, &proof)?)
    }

    pub(super) fn finish(self) -> Result<(Written, Proved), Failure> {
        let head = self.prover.head();
        let origin = head.checkpoint.lines().next().unwrap_or_default().to_owned();
        let proved = Proved { file: NAME, origin, size: head.size };
        Ok((self.file.finish()?, proved))
    }
}

fn line(file: &mut Output, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *file, line)?;
    file.write_all(b"\n")
}
