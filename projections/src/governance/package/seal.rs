//! The seal of a package: what the log's key signs of it, so that nobody takes anything out of it, puts anything in or
//! alters it unnoticed; and how strangers check all of a package with nothing but that key.
//!
//! What is signed is in the package and nowhere else.

use std::collections::BTreeMap;

use domain::sha256_hex;
use event_store::{
    Position,
    integrity::{Checkpoint, Leaf, NoteError, ProofError, Proofs, Verifier},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Package, material::FORMAT};

/// The field of a package that has its seal.
const SEAL: &str = "seal";

/// Why a package is not what was handed out.
#[derive(Debug, thiserror::Error)]
pub enum PackageFlaw {
    /// It lacks something that every package has.
    #[error("this is not a package: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It has no seal.
    #[error("the package has no seal")]
    NoSeal,
    /// The seal is not the log's.
    #[error("the seal cannot be trusted: {0}")]
    Seal(#[from] NoteError),
    /// Something was taken out of it, put in, or altered.
    #[error("what the package says is not what was sealed")]
    Altered,
    /// The events that are proved are not those of its list of contents.
    #[error("the package does not have what its list of contents says")]
    Contents,
    /// An event of which it tells is not proved.
    #[error("position {0} is in the package, and that it is in the log is not proved")]
    Unproved(Position),
    /// An event is not in the log.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl Package {
    /// The package with its seal, which it must not have yet.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sealed<E>(self, sign: impl FnOnce(&Value) -> Result<String, E>) -> Result<Package, E> {
        let unsealed = serde_json::to_value(&self).unwrap_or_default();
        Ok(Package { seal: Some(sign(&statement(&unsealed))?), ..self })
    }
}

/// What is signed of a package: how many there are of what can be counted, and the SHA-256 of all of it. Its text is the JSON
/// with the fields of each object in the order of their names, and without white space.
fn statement(unsealed: &Value) -> Value {
    let count = |list: &Value| list.as_array().map_or(0, Vec::len);
    json!({
        "statement": "this is all of the package as it was handed out",
        "format": unsealed["format"],
        "request": unsealed["request"],
        "subject": unsealed["subject"],
        "position": unsealed["position"],
        "manifest_sha256": unsealed["manifest_sha256"],
        "records": count(&unsealed["records"]),
        "reads": count(&unsealed["recipients"]["reads"]),
        "proofs": count(&unsealed["proofs"]["lines"]),
        "sha256": sha256_hex(&unsealed.to_string()),
    })
}

/// The list of contents: what the package answers, and of each event the position and the hash of its leaf.
pub(super) fn manifest<'l>(
    (request, subject, r#type, position): (Uuid, Uuid, &str, Position),
    leaves: impl Iterator<Item = &'l Leaf>,
) -> String {
    let mut lines = format!("{FORMAT}\n{request}\n{subject}\n{type}\n{position}\n");
    for leaf in leaves {
        let hash = leaf.hash().0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        lines += &format!("{} {hash}\n", leaf.position);
    }
    sha256_hex(&lines)
}

/// What a check reads of a package.
#[derive(Deserialize)]
struct Sealed {
    request: Uuid,
    subject: Uuid,
    r#type: String,
    position: Position,
    manifest_sha256: String,
    records: Vec<Told>,
    recipients: ReadBy,
    proofs: Proofs,
}

#[derive(Deserialize)]
struct ReadBy {
    reads: Vec<Told>,
}

/// An event of which the package tells.
#[derive(Deserialize)]
struct Told {
    position: Position,
    r#type: Option<String>,
    thing: Option<String>,
}

/// Whether a document says to be a package.
pub fn is_package(document: &Value) -> bool {
    document["format"] == FORMAT
}

/// Checks a package with nothing but the log's key: that it is as it was sealed, that its events are those of its list of
/// contents, that each event of which it tells is among them, and that all of these are in the log. Answers how many events
/// that are, and in which tree.
///
/// # Errors
/// The first flaw.
pub fn check_package(package: &Value, verifier: &Verifier) -> Result<(u64, Checkpoint), PackageFlaw> {
    let mut unsealed = package.clone();
    let seal = unsealed.as_object_mut().and_then(|fields| fields.remove(SEAL));
    let seal = seal.as_ref().and_then(Value::as_str).ok_or(PackageFlaw::NoSeal)?;
    let signed: Value = serde_json::from_slice(&verifier.open_jws(seal)?)?;
    if signed != statement(&unsealed) {
        return Err(PackageFlaw::Altered);
    }
    let Sealed { request, subject, r#type, position, manifest_sha256, records, recipients, proofs } =
        Sealed::deserialize(&unsealed)?;
    let leaves: BTreeMap<Position, &Leaf> =
        proofs.lines.iter().map(|line| (line.leaf.position, &line.leaf)).collect();
    if manifest((request, subject, &r#type, position), proofs.lines.iter().map(|line| &line.leaf))
        != manifest_sha256
    {
        return Err(PackageFlaw::Contents);
    }
    for told in records.iter().chain(&recipients.reads) {
        let is = |leaf: &Leaf| {
            let thing = format!("{}/{}", leaf.aggregate_type, leaf.aggregate_id);
            told.r#type.as_ref().is_none_or(|name| *name == leaf.event_type)
                && told.thing.as_ref().is_none_or(|named| *named == thing)
        };
        if !leaves.get(&told.position).is_some_and(|leaf| is(leaf)) {
            return Err(PackageFlaw::Unproved(told.position));
        }
    }
    let checkpoint = proofs.verify(verifier)?;
    Ok((proofs.lines.len() as u64, checkpoint))
}
