//! `prove` and `check-proof`: that an event stands in the log, as a file that verifies without us.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use event_store::{
    Position,
    integrity::{
        Checkpoint, Directory, DirectoryError, Leaf, Proof, ProofError, ProofLine, Proofs, ProofsCheck,
        ProofsHead, Verifier,
    },
};
use projections::governance::{PackageFlaw, check_package, is_package};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::{
    annals::{self, Annals},
    failure::Failure,
    verify::verifier,
};

/// Writes the proof that an event is in the log, for check-proof or any other tool. Exits with 1 when the event is not
/// what was signed.
#[derive(Debug, clap::Args)]
pub(crate) struct Prove {
    /// The event.
    pub(crate) position: Position,
    /// The file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// The directory of the notary: tiles and checkpoint.
    #[arg(long, env = "ANNALS_NOTARY_DIR")]
    pub(crate) notary: PathBuf,
}

impl Prove {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let after = self.position.checked_sub(1).ok_or(Failure::NoPosition(self.position))?;
        let event = annals.store.read_all(after, 1).await?.pop().ok_or(Failure::NoPosition(self.position))?;
        match Directory::open(&self.notary)?.prove(Leaf::of(&event)) {
            Ok(proof) => {
                let text = serde_json::to_string_pretty(&proof).map_err(std::io::Error::from)?;
                std::fs::write(&self.out, text + "\n").map_err(Failure::file(&self.out))?;
                annals
                    .show(&proof, || format!("{} proves position {}", self.out.display(), self.position))?;
                Ok(true)
            }
            Err(DirectoryError::Disagrees { position, source }) => annals.disagrees(position, &source),
            Err(error) => Err(error.into()),
        }
    }
}

/// Checks proofs with nothing but the log's key: no database, no network. Of one event (prove), of an export (proofs.jsonl),
/// or of a package of somebody's data, which must be whole. Exits with 1 when it proves nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckProof {
    /// The file.
    pub(crate) proof: PathBuf,
    /// The log's verifier key, or a file that has it.
    #[arg(long)]
    pub(crate) key: String,
}

/// What a file proves.
enum Claimed {
    /// One event.
    One(Box<Proof>),
    /// Many, in one document.
    Many(Proofs),
    /// Many, in lines.
    Lines(ProofsHead),
    /// Those of a package of somebody's data, and the package.
    Package(Value),
}

/// A page of events with their proofs.
#[derive(serde::Deserialize)]
struct WithProofs {
    #[serde(rename = "events")]
    _events: IgnoredAny,
    proofs: Proofs,
}

impl CheckProof {
    pub(crate) fn run(&self, json: bool) -> Result<bool, Failure> {
        let verifier = verifier(&self.key)?;
        let open = || File::open(&self.proof).map_err(Failure::file(&self.proof));
        let file = || Ok::<_, Failure>(BufReader::new(open()?));
        let mut first = String::new();
        file()?.read_line(&mut first)?;
        let claimed = match serde_json::from_str::<ProofsHead>(&first) {
            Ok(head) => Claimed::Lines(head),
            Err(_) => document(&std::fs::read_to_string(&self.proof)?)?,
        };
        let whole = if matches!(claimed, Claimed::Package(_)) { "the package is whole: " } else { "" };
        let (leaf, checked) = match claimed {
            Claimed::One(proof) => {
                let checked =
                    proof.verify(&verifier).map(|checkpoint| (1, checkpoint)).map_err(PackageFlaw::from);
                (Some(proof.leaf), checked)
            }
            Claimed::Many(proofs) => {
                let events = proofs.lines.len() as u64;
                let checked = proofs.verify(&verifier).map(|checkpoint| (events, checkpoint));
                (None, checked.map_err(PackageFlaw::from))
            }
            Claimed::Lines(head) => {
                let checked = lines(&head, &verifier, file()?.lines().skip(1))?;
                (None, checked.map_err(PackageFlaw::from))
            }
            Claimed::Package(package) => (None, check_package(&package, &verifier)),
        };
        let reason = checked.as_ref().err().map(PackageFlaw::to_string);
        let events = checked.as_ref().ok().map(|(events, _)| events);
        let told = json!({ "valid": checked.is_ok(), "reason": reason, "events": events, "leaf": leaf });
        annals::show(json, &told, || match (&checked, &leaf) {
            (Ok((_, checkpoint)), Some(leaf)) => {
                let Checkpoint { origin, size, .. } = checkpoint;
                format!("position {} is in the log {origin} of {size} events", leaf.position)
            }
            (Ok((events, Checkpoint { origin, size, .. })), None) => {
                format!("{whole}{events} events are in the log {origin} of {size} events")
            }
            (Err(error), _) => format!("it proves nothing: {error}"),
        })?;
        Ok(checked.is_ok())
    }
}

fn document(text: &str) -> Result<Claimed, Failure> {
    let one = serde_json::from_str::<Proof>(text).map(|proof| Claimed::One(Box::new(proof)));
    let many = || serde_json::from_str::<Proofs>(text).map(Claimed::Many);
    let page = || serde_json::from_str::<WithProofs>(text).map(|page| Claimed::Many(page.proofs));
    if let Some(package) = serde_json::from_str::<Value>(text).ok().filter(is_package) {
        return Ok(Claimed::Package(package));
    }
    Ok(one.or_else(|_| many()).or_else(|_| page()).map_err(std::io::Error::from)?)
}

/// How many events the lines prove, in which tree.
fn lines(
    head: &ProofsHead,
    verifier: &Verifier,
    lines: impl Iterator<Item = std::io::Result<String>>,
) -> Result<Result<(u64, Checkpoint), ProofError>, Failure> {
    let mut check = match ProofsCheck::new(head, verifier) {
        Ok(check) => check,
        Err(error) => return Ok(Err(error)),
    };
    let mut events = 0;
    for line in lines {
        let line: ProofLine = serde_json::from_str(&line?).map_err(std::io::Error::from)?;
        if let Err(error) = check.line(&line) {
            return Ok(Err(error));
        }
        events += 1;
    }
    Ok(Ok((events, check.checkpoint().clone())))
}
