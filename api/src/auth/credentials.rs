//! Everything that the edge needs to turn secrets into what the domain may see: hashes, keyed hashes and proofs.

use std::sync::Arc;

use commands::ports::{BreachedPasswords, IdentityProviders, OneTimeCodes, Passwords, SecurityKeys, Tokens};
use hmac::Mac;
use integrations::identity::{Argon2id, OpenIdConnect};
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

/// The ways in.
#[derive(Clone)]
pub struct Entrances {
    /// Hashes passwords.
    pub passwords: Arc<dyn Passwords>,
    /// Other providers that say who somebody is.
    pub providers: Arc<dyn IdentityProviders>,
    /// Security keys, where a web site is configured on which they are used.
    pub security_keys: Option<Arc<dyn SecurityKeys>>,
}

impl Default for Entrances {
    /// Passwords, and nothing beside them.
    fn default() -> Self {
        let providers = Arc::new(OpenIdConnect::default());
        Entrances { passwords: Arc::new(Argon2id::new()), providers, security_keys: None }
    }
}

/// What tokens are signed with, and the ways in.
pub struct Door {
    /// Signs and verifies tokens.
    pub keys: SigningKeys,
    /// The ways in.
    pub entrances: Entrances,
}

impl From<SigningKeys> for Door {
    fn from(keys: SigningKeys) -> Self {
        Door { keys, entrances: Entrances::default() }
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
    /// Other providers that say who somebody is.
    pub providers: Arc<dyn IdentityProviders>,
    /// Security keys, where there is a web site on which they are used.
    pub security_keys: Option<Arc<dyn SecurityKeys>>,
    subject_key: [u8; 32],
    bound_key: [u8; 32],
    email_key: [u8; 32],
    recovery_key: [u8; 32],
    csrf_key: [u8; 32],
}

impl Credentials {
    /// With these adapters and the deployment's keys.
    pub fn new(
        breached: Arc<dyn BreachedPasswords>,
        codes: Arc<dyn OneTimeCodes>,
        Door { keys, entrances }: &Door,
    ) -> Self {
        Credentials {
            providers: Arc::clone(&entrances.providers),
            security_keys: entrances.security_keys.clone(),
            subject_key: keys.derive_lasting("identities of other providers"),
            bound_key: keys.derive_lasting("what was begun"),
            passwords: Arc::clone(&entrances.passwords),
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

    /// The keyed hash by which an identity of another provider is found and claimed.
    pub fn subject_hash(&self, issuer: &str, subject: &str) -> String {
        hex_mac(&self.subject_key, &format!("{issuer}|{subject}"))
    }

    /// A MAC of something that was begun here, in lower-case hexadecimal.
    pub fn bound(&self, what: &str) -> String {
        hex_mac(&self.bound_key, what)
    }

    /// Whether it is the MAC of that.
    pub fn is_bound(&self, what: &str, mac: &str) -> bool {
        is_mac(&self.bound_key, what, mac)
    }

    /// What a browser must say beside its cookie, so that no other site can speak for it.
    pub fn csrf(&self, session: &str) -> String {
        hex_mac(&self.csrf_key, session)
    }

    /// Whether a browser said it.
    pub fn is_csrf(&self, session: &str, said: &str) -> bool {
        is_mac(&self.csrf_key, session, said)
    }
}

fn hex_mac(key: &[u8; 32], text: &str) -> String {
    let mut mac = keyed(key);
    mac.update(text.as_bytes());
    format!("{:x}", mac.finalize().into_bytes())
}

/// Whether it is the MAC of a text. How long that takes tells nothing of it.
fn is_mac(key: &[u8; 32], text: &str, said: &str) -> bool {
    let mut mac = keyed(key);
    mac.update(text.as_bytes());
    let said = (said.len() == 64).then(|| unhex(said)).flatten();
    said.is_some_and(|said| mac.verify_slice(&said).is_ok())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}
