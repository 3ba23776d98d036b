//! A file that reads with the master key only: what a backup of the keys is written through, so that whoever has the backup
//! and nothing else learns neither keys nor whose they are.
//!
//! ```text
//! annals-vault/v1 LF        which form this is
//! master key                8 bytes: which one, not the key
//! salt                      32 bytes, random
//! then chunks, each of 65536 bytes but the last, encrypted and followed by a tag of 16 bytes
//! ```
//!
//! AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015; big-endian counter of 32 bits and a
//! byte that marks the last chunk): chunks cannot be altered, left out, moved, added or cut off at the end. The key is
//! HMAC-SHA256 of `annals vault` and the salt under the master key, used for one file; all that stands before the chunks is
//! associated data of each.

use std::io::{self, BufRead, Read, Write};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{
        Payload,
        stream::{DecryptorBE32, EncryptorBE32},
    },
};
use hmac::{Hmac, Mac};
use rand::RngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::MasterKey;

const FORM: &[u8] = b"annals-vault/v1\n";
const HEADER: usize = FORM.len() + 8 + 32;
const CHUNK: usize = 1 << 16;
const TAG: usize = 16;

/// What is written to it goes on encrypted. [`Sealing::finish`] ends it; without that the file cannot be opened.
pub struct Sealing<W: Write> {
    out: W,
    header: Vec<u8>,
    stream: EncryptorBE32<Aes256Gcm>,
    chunk: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealing<W> {
    /// A file under this master key.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut out: W, master: &MasterKey) -> io::Result<Self> {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(FORM);
        header.extend_from_slice(&master.id());
        let mut salt = [0; 32];
        rand::rng().fill_bytes(&mut salt);
        header.extend_from_slice(&salt);
        out.write_all(&header)?;
        let stream = EncryptorBE32::from_aead(cipher(master, &salt), &Default::default());
        Ok(Sealing { out, header, stream, chunk: Zeroizing::new(Vec::with_capacity(CHUNK)) })
    }

    /// Ends it, and gives back what it was written to.
    ///
    /// # Errors
    /// When the rest cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        let last = Payload { msg: &self.chunk, aad: &self.header };
        let sealed = self.stream.encrypt_last(last).map_err(too_long)?;
        self.out.write_all(&sealed)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits for more to come: the last one is marked.
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            let next = Payload { msg: &self.chunk, aad: &self.header };
            let sealed = self.stream.encrypt_next(next).map_err(too_long)?;
            self.out.write_all(&sealed)?;
            self.chunk.clear();
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads what [`Sealing`] has written.
pub struct Opening<R> {
    sealed: R,
    header: Vec<u8>,
    /// None: the last chunk was read.
    stream: Option<DecryptorBE32<Aes256Gcm>>,
    chunk: Zeroizing<Vec<u8>>,
    read: usize,
}

impl<R: BufRead> Opening<R> {
    /// Opens a file with whichever of these master keys it was written under.
    ///
    /// # Errors
    /// When it is no such file, or was written under another key.
    pub fn new<'k>(mut sealed: R, masters: impl IntoIterator<Item = &'k MasterKey>) -> io::Result<Self> {
        let mut header = vec![0; HEADER];
        sealed.read_exact(&mut header)?;
        let (id, salt) = header[FORM.len()..].split_at(8);
        if !header.starts_with(FORM) {
            return Err(invalid("it is not encrypted under a master key"));
        }
        let Some(master) = masters.into_iter().find(|master| master.id() == *id) else {
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(invalid(&format!("it is encrypted under another master key, {id}")));
        };
        let stream = Some(DecryptorBE32::from_aead(cipher(master, salt), &Default::default()));
        Ok(Opening { sealed, header, stream, chunk: Zeroizing::default(), read: 0 })
    }

    /// Whether a file begins as one that is to be opened.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_sealed(file: &mut R) -> io::Result<bool> {
        Ok(file.fill_buf()?.starts_with(FORM))
    }

    fn next(&mut self) -> io::Result<()> {
        let Some(mut stream) = self.stream.take() else { return Ok(()) };
        let mut sealed = Vec::with_capacity(CHUNK + TAG);
        self.sealed.by_ref().take((CHUNK + TAG) as u64).read_to_end(&mut sealed)?;
        let payload = Payload { msg: &sealed, aad: &self.header };
        let altered = |_| invalid("it was altered or cut off");
        if self.sealed.fill_buf()?.is_empty() {
            self.chunk = Zeroizing::new(stream.decrypt_last(payload).map_err(altered)?);
        } else {
            self.chunk = Zeroizing::new(stream.decrypt_next(payload).map_err(altered)?);
            self.stream = Some(stream);
        }
        self.read = 0;
        Ok(())
    }
}

impl<R: BufRead> Read for Opening<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.read == self.chunk.len() {
            self.chunk.clear();
            self.read = 0;
            self.next()?;
        }
        let read = (&self.chunk[self.read..]).read(bytes)?;
        self.read += read;
        Ok(read)
    }
}

fn cipher(master: &MasterKey, salt: &[u8]) -> Aes256Gcm {
    let mut mac =
        <Hmac<Sha256> as Mac>::new_from_slice(master.bytes()).expect("HMAC takes keys of any length");
    mac.update(b"annals vault");
    mac.update(salt);
    Aes256Gcm::new(&mac.finalize().into_bytes())
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn too_long(_: aes_gcm::Error) -> io::Error {
    invalid("it is too long to be encrypted under one key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(master: &MasterKey, plain: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::new(Vec::new(), master).unwrap();
        // In pieces that do not fit into chunks.
        plain.chunks(40_000).for_each(|piece| sealing.write_all(piece).unwrap());
        sealing.finish().unwrap()
    }

    fn opened(masters: &[&MasterKey], sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opening::new(sealed, masters.iter().copied())?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_was_written_is_read_with_the_master_key_and_with_no_other() {
        let (master, other) = (MasterKey::generate(), MasterKey::generate());
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let file = sealed(&master, &plain);
            assert_eq!(opened(&[&other, &master], &file).unwrap(), plain);
            assert!(opened(&[&other], &file).unwrap_err().to_string().contains("another master key"));
            // Fewer bytes are found in any noise.
            let begin = plain.get(..8);
            assert!(begin.is_none_or(|begin| !file.windows(8).any(|window| window == begin)));
        }
        assert!(opened(&[&master], &[b'P'; 100]).is_err());
    }

    #[test]
    fn not_a_bit_can_be_altered_and_no_end_cut_off() {
        let master = MasterKey::generate();
        let file = sealed(&master, &[7; 2 * CHUNK + 5]);
        for bit in [0, FORM.len() + 3, HEADER - 1, HEADER, HEADER + CHUNK + TAG, file.len() - 1] {
            let mut altered = file.clone();
            altered[bit] ^= 1;
            assert!(opened(&[&master], &altered).is_err(), "{bit}");
        }
        for length in [HEADER, HEADER + CHUNK + TAG, HEADER + 2 * (CHUNK + TAG), file.len() - 1] {
            assert!(opened(&[&master], &file[..length]).is_err(), "{length}");
        }
        let (first, second) =
            (HEADER..HEADER + CHUNK + TAG, HEADER + CHUNK + TAG..HEADER + 2 * (CHUNK + TAG));
        let swapped = [&file[..HEADER], &file[second.clone()], &file[first], &file[second.end..]].concat();
        assert!(opened(&[&master], &swapped).is_err());
        assert!(opened(&[&master], &[&file[..], b"more"].concat()).is_err());
    }
}
