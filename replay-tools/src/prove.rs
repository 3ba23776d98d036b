//! `prove` and `check-proof`: that an event stands in the log, as a file that verifies without us.

use std::path::PathBuf;

use event_store::{
    Position,
    integrity::{Directory, DirectoryError, Leaf, Proof, ProofError},
};

use crate::{annals::Annals, failure::Failure, verify::verifier};

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
                std::fs::write(&self.out, text + "\n")?;
                annals
                    .show(&proof, || format!("{} proves position {}", self.out.display(), self.position))?;
                Ok(true)
            }
            Err(disagrees @ DirectoryError::Disagrees { .. }) => {
                eprintln!("annals-replay: {disagrees}");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Checks a proof with nothing but the log's key: no database, no network. Exits with 1 when it proves nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckProof {
    /// The file.
    pub(crate) proof: PathBuf,
    /// The log's verifier key, or a file that has it.
    #[arg(long)]
    pub(crate) key: String,
}

impl CheckProof {
    pub(crate) fn run(&self, json: bool) -> Result<bool, Failure> {
        let proof: Proof =
            serde_json::from_str(&std::fs::read_to_string(&self.proof)?).map_err(std::io::Error::from)?;
        let checked = proof.verify(&verifier(&self.key)?);
        if json {
            let reason = checked.as_ref().err().map(ProofError::to_string);
            println!(
                "{}",
                serde_json::json!({ "valid": checked.is_ok(), "reason": reason, "leaf": proof.leaf })
            );
        } else {
            match &checked {
                Ok(checkpoint) => println!(
                    "position {} is in the log {} of {} events",
                    proof.leaf.position, checkpoint.origin, checkpoint.size
                ),
                Err(error) => println!("it proves nothing: {error}"),
            }
        }
        Ok(checked.is_ok())
    }
}
