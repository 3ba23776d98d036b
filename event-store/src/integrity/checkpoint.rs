//! How large the tree is and what its root is (C2SP tlog-checkpoint), as a signed note.

use super::{Hash, NoteError, Signer, Verifier};

/// A tree: its log, its size and its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, which is the name of the key that signs.
    pub origin: String,
    /// How many leaves the tree has; the last is the event at this position.
    pub size: u64,
    /// The root.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note.
    pub fn sign(size: u64, root: Hash, signer: &Signer) -> String {
        signer.sign(&format!("{}\n{size}\n{root}\n", signer.verifier().name()))
    }

    /// Reads a note that this key has signed. Lines after the root are for others and are passed over.
    ///
    /// # Errors
    /// When it is not signed by this key, or says something else than where a tree stands.
    pub fn open(note: &str, verifier: &Verifier) -> Result<Self, NoteError> {
        let text = verifier.open(note)?;
        let mut lines = text.lines();
        let mut read = || {
            let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
            let number: u64 = size.parse().ok()?;
            let plain = number.to_string() == size && origin == verifier.name();
            plain.then_some(Checkpoint { origin: origin.to_owned(), size: number, root: root.parse().ok()? })
        };
        read().ok_or_else(|| NoteError::NotACheckpoint(verifier.name().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_was_signed_and_nothing_else_is() {
        let signer = Signer::new("annals.example/log", &[7; 32]).unwrap();
        let note = Checkpoint::sign(3, Hash([1; 32]), &signer);
        assert!(note.starts_with("annals.example/log\n3\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n\n\u{2014} annals.example/log "));
        let read = Checkpoint::open(&note, signer.verifier()).unwrap();
        assert_eq!(read, Checkpoint { origin: "annals.example/log".into(), size: 3, root: Hash([1; 32]) });
        for text in ["annals.example/other\n3\nAQ==\n", "annals.example/log\n03\n", "annals.example/log\n"] {
            assert!(Checkpoint::open(&signer.sign(text), signer.verifier()).is_err(), "{text}");
        }
    }
}
