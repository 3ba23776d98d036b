//! Everything that the edge needs to turn secrets into what the domain may see: hashes, keyed hashes and proofs.

use std::sync::Arc;

use commands::ports::{BreachedPasswords, OneTimeCodes, Passwords, Tokens};
use hmac::Mac;
use uuid::Uuid;

use super::{SigningKeys, keyed};

/// The keeper of the secret that one-time tokens are computed from (see [`domain::Question::TokenHash`]).
#[derive(Clone)]
pub struct OneTimeTokens {
    key: [u8; 32],
}

impl OneTimeTokens {
    /// The keeper whose secret follows from the deployment's.
    pub fn new(keys: &SigningKeys) -> Self {
        OneTimeTokens { key: keys.derive_lasting("one-time tokens") }
    }

    /// The token of a label, in lower-case hexadecimal.
    pub fn token(&self, label: &str) -> String {
        hex_mac(&self.key, label)
    }
}

impl Tokens for OneTimeTokens {
    fn token(&self, label: &str) -> String {
        self.token(label)
    }
}

/// What callers are known by: the keys of tokens, and what turns secrets into proofs.
pub struct Gate {
    /// Signs and verifies tokens.
    pub keys: SigningKeys,
    /// Turns secrets into what may be stored of them.
    pub credentials: Credentials,
}

/// Turns secrets into what may be stored of them.
pub struct Credentials {
    /// Hashes passwords.
    pub passwords: Arc<dyn Passwords>,
    /// Knows breached ones.
    pub breached: Arc<dyn BreachedPasswords>,
    /// One-time codes.
    pub codes: Arc<dyn OneTimeCodes>,
    /// One-time tokens.
    pub tokens: OneTimeTokens,
    email_key: [u8; 32],
    recovery_key: [u8; 32],
    csrf_key: [u8; 32],
}

impl Credentials {
    /// With these adapters and the deployment's keys.
    pub fn new(
        passwords: Arc<dyn Passwords>,
        breached: Arc<dyn BreachedPasswords>,
        codes: Arc<dyn OneTimeCodes>,
        keys: &SigningKeys,
    ) -> Self {
        Credentials {
            passwords,
            breached,
            codes,
            tokens: OneTimeTokens::new(keys),
            email_key: keys.derive_lasting("e-mail addresses"),
            recovery_key: keys.derive_lasting("recovery codes"),
            csrf_key: keys.derive_lasting("forged requests"),
        }
    }

    /// The keyed hash by which an address is found and claimed. The address is normalised.
    pub fn email_hmac(&self, address: &str) -> String {
        hex_mac(&self.email_key, address)
    }

    /// The keyed hash of an account's recovery code, whatever the case of its letters and whatever separates them.
    pub fn recovery_hash(&self, account: Uuid, code: &str) -> String {
        let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
        hex_mac(&self.recovery_key, &format!("{account}|{}", plain.to_ascii_lowercase()))
    }

    /// What a browser must say beside its cookie, so that no other site can speak for it.
    pub fn csrf(&self, session: &str) -> String {
        hex_mac(&self.csrf_key, session)
    }

    /// Whether a browser said it.
    pub fn is_csrf(&self, session: &str, said: &str) -> bool {
        let mut mac = keyed(&self.csrf_key);
        mac.update(session.as_bytes());
        let said = (said.len() == 64).then(|| unhex(said)).flatten();
        said.is_some_and(|said| mac.verify_slice(&said).is_ok())
    }
}

fn hex_mac(key: &[u8; 32], text: &str) -> String {
    let mut mac = keyed(key);
    mac.update(text.as_bytes());
    format!("{:x}", mac.finalize().into_bytes())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}
