//! Signed texts and their keys (C2SP signed-note, Ed25519): lines of text, an empty line, lines of signatures.
//!
//! The crates that implement this bring older versions of libraries that are here already; it is a page of code.

use std::{fmt, str::FromStr};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::leaf::hex;

/// The signature type Ed25519.
const ED25519: u8 = 1;
/// What every line of a signature begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// Why a note, a key or what was signed cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The name of a key has a space or a plus sign, or is empty.
    #[error("the name of a key is not empty and has neither space nor plus sign")]
    Name,
    /// The key is not written as `name+id+base64`, or its id is another key's.
    #[error("this is not a verifier key: name+id+base64")]
    Key,
    /// The text is not a note.
    #[error("this is not a signed note")]
    Malformed,
    /// The note has no signature by the key.
    #[error("it is not signed by {0}")]
    NotSigned(String),
    /// The signature by the key is wrong.
    #[error("the signature by {0} is wrong")]
    WrongSignature(String),
    /// The text is signed, and is not a checkpoint.
    #[error("this is not a checkpoint of the log {0}")]
    NotACheckpoint(String),
}

/// What is read of a JWS header.
#[derive(serde::Deserialize)]
struct JwsHeader {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
}

/// Signs notes.
#[derive(Clone)]
pub struct Signer {
    verifier: Verifier,
    key: SigningKey,
}

/// Verifies notes. As text it is a verifier key, `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

impl Signer {
    /// The signer of this name with this secret.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn new(name: impl Into<String>, secret: &[u8; 32]) -> Result<Self, NoteError> {
        let key = SigningKey::from_bytes(secret);
        Ok(Signer { verifier: Verifier::new(name.into(), key.verifying_key())?, key })
    }

    /// What verifies its signatures.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The note of a text whose lines are all ended by a line feed.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = self.verifier.id().to_vec();
        signature.extend(self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n{DASH}{} {}\n", self.verifier.name, STANDARD.encode(signature))
    }
}

impl fmt::Debug for Signer {
    /// Without its secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier)
    }
}

impl Verifier {
    fn new(name: String, key: VerifyingKey) -> Result<Self, NoteError> {
        match name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '+') {
            true => Err(NoteError::Name),
            false => Ok(Verifier { name, key }),
        }
    }

    /// The name of the key; for a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// The name and the id of the key, as the verifier key begins: `name+id`.
    pub fn key_id(&self) -> String {
        format!("{}+{}", self.name, hex(&self.id()))
    }

    /// The payload of a compact JWS (RFC 7515, EdDSA of RFC 8037), if this key has signed it and its header names no other
    /// key. The key that a header carries is never trusted.
    ///
    /// # Errors
    /// When it is no such JWS, is not signed by this key, or wrongly.
    pub fn open_jws(&self, jws: &str) -> Result<Vec<u8>, NoteError> {
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| NoteError::Malformed);
        let jws = jws.trim();
        let (signed, signature) = jws.rsplit_once('.').ok_or(NoteError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(NoteError::Malformed)?;
        let header: JwsHeader =
            serde_json::from_slice(&decoded(header)?).map_err(|_| NoteError::Malformed)?;
        if header.alg != "EdDSA" {
            return Err(NoteError::Malformed);
        }
        if header.kid.is_some_and(|kid| kid != self.key_id()) {
            return Err(NoteError::NotSigned(self.name.clone()));
        }
        let payload = decoded(payload)?;
        let valid = Signature::from_slice(&decoded(signature)?)
            .is_ok_and(|signature| self.key.verify_strict(signed.as_bytes(), &signature).is_ok());
        if valid { Ok(payload) } else { Err(NoteError::WrongSignature(self.name.clone())) }
    }

    /// The text of a note, if this key has signed it. Signatures by other keys are passed over.
    ///
    /// # Errors
    /// When it is no note, or is not or wrongly signed by this key.
    pub fn open<'n>(&self, note: &'n str) -> Result<&'n str, NoteError> {
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let text = &note[..=text.len()];
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let mut found = false;
        for line in signatures.split('\n') {
            let (name, signature) =
                line.strip_prefix(DASH).and_then(|line| line.split_once(' ')).ok_or(NoteError::Malformed)?;
            let signature = STANDARD.decode(signature).map_err(|_| NoteError::Malformed)?;
            let (id, signature) = signature.split_at_checked(4).ok_or(NoteError::Malformed)?;
            if name != self.name || id != self.id() {
                continue;
            }
            let valid = Signature::from_slice(signature)
                .is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok());
            if !valid {
                return Err(NoteError::WrongSignature(self.name.clone()));
            }
            found = true;
        }
        if found { Ok(text) } else { Err(NoteError::NotSigned(self.name.clone())) }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<u8> = [ED25519].into_iter().chain(*self.key.as_bytes()).collect();
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(key))
    }
}

impl FromStr for Verifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let key = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let [ED25519, key @ ..] = key.as_slice() else { return Err(NoteError::Key) };
        let key =
            key.try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok()).ok_or(NoteError::Key)?;
        let verifier = Self::new(name.to_owned(), key)?;
        if hex(&verifier.id()) == id { Ok(verifier) } else { Err(NoteError::Key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the documentation of golang.org/x/mod/sumdb/note, whose format the specification took over.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
         then you don't know what your problem is.\n\n\
         \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const SECRET: &str = "YEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

    #[test]
    fn the_example_of_the_reference_implementation_verifies() {
        let verifier: Verifier = KEY.parse().unwrap();
        assert_eq!(verifier.to_string(), KEY);
        assert!(verifier.open(NOTE).unwrap().ends_with("your problem is.\n"));
    }

    #[test]
    fn the_example_of_the_reference_implementation_is_signed_byte_for_byte_alike() {
        // The secret is written as base64 of the type and 32 bytes.
        let secret = STANDARD.decode(format!("A{SECRET}")).unwrap();
        let signer = Signer::new("PeterNeumann", secret[1..].try_into().unwrap()).unwrap();
        let (text, _) = NOTE.split_once("\n\n").unwrap();
        assert_eq!(signer.sign(&format!("{text}\n")), NOTE);
    }

    #[test]
    fn a_changed_text_a_foreign_key_and_what_is_no_note_are_told_apart() {
        let verifier: Verifier = KEY.parse().unwrap();
        let open = |note: &str| verifier.open(note).unwrap_err();
        assert_eq!(open(&NOTE.replace("answer", "ANSWER")), NoteError::WrongSignature("PeterNeumann".into()));
        let other = Signer::new("PeterNeumann", &[7; 32]).unwrap();
        assert_eq!(open(&other.sign("text\n")), NoteError::NotSigned("PeterNeumann".into()));
        assert_eq!(open("text\n"), NoteError::Malformed);
        let both =
            format!("{NOTE}{}", other.sign(verifier.open(NOTE).unwrap()).rsplit_once("\n\n").unwrap().1);
        assert!(verifier.open(&both).is_ok() && other.verifier().open(&both).is_ok());
    }

    #[test]
    fn a_key_with_another_keys_id_is_refused() {
        assert_eq!(KEY.replace("c74f", "c74e").parse::<Verifier>(), Err(NoteError::Key));
        assert!(Signer::new("two words", &[7; 32]).is_err() && Signer::new("", &[7; 32]).is_err());
    }
}
