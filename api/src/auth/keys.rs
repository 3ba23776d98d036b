//! The keys of access tokens: each has an identifier and exactly one algorithm. The first one that can sign signs;
//! all of them verify, so that keys can be rotated without anybody noticing, while nodes run.
//!
//! The file is a JSON list, such as
//! `[{"kid":"2026-07","alg":"EdDSA","public":"…","private":"…"},{"kid":"2026-01","alg":"HS256","secret":"…"}]`, binary
//! values in base64; or, for one HS256 key, the secret alone in base64 or hexadecimal.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::token::{Claims, MEDIA_TYPE, MEDIA_TYPES, Rejected, Ticket, validation};

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is neither a list of keys nor a secret.
    #[error("the keys of access tokens: {0}")]
    Unreadable(String),
    /// One of the keys makes no sense.
    #[error("the access token key `{kid}`: {reason}")]
    Invalid {
        /// The key's identifier.
        kid: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// None of the keys can sign.
    #[error("none of the keys of access tokens can sign: each has a public part only")]
    NoneSigns,
    /// A token could not be signed.
    #[error("the token could not be signed: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kid: String,
    alg: Algorithm,
    secret: Option<String>,
    public: Option<String>,
    private: Option<String>,
}

struct Verifying {
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

/// How many tokens are remembered as verified.
const REMEMBERED: usize = 10_000;

/// The keys that sign and verify access tokens.
pub struct SigningKeys {
    held: RwLock<Arc<Held>>,
    /// From which other keys are derived: a secret that outlasts a rotation of these.
    lasting: [u8; 32],
}

/// The keys of one content of the file.
struct Held {
    verifying: HashMap<String, Verifying>,
    signing: Option<(String, Algorithm, EncodingKey)>,
    /// Tokens that were verified, by their hash: a client sends the same one many times. They go with the keys.
    verified: Cache<[u8; 32], Arc<Ticket>>,
    /// What anybody may verify with: the public keys (RFC 8037).
    public: Vec<Value>,
}

/// Keys never reach a log.
impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").field("kids", &self.held().verifying.keys()).finish_non_exhaustive()
    }
}

impl SigningKeys {
    /// Reads the content of a key file: a JSON list, or one secret in base64, in hexadecimal or as its 32 bytes are.
    ///
    /// # Errors
    /// Content that is neither a list of keys nor a secret, and keys that make no sense.
    pub fn read(content: &[u8]) -> Result<Self, KeyError> {
        Ok(Self::holding(Held::read(content)?, content))
    }

    /// One HS256 key, whose identifier follows from the secret.
    ///
    /// # Errors
    /// A secret of less than 32 bytes.
    pub fn single(secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self::holding(Held::single(secret)?, secret))
    }

    fn holding(held: Held, source: &[u8]) -> Self {
        SigningKeys { held: RwLock::new(Arc::new(held)), lasting: root_of(source) }
    }

    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on with the keys of another content of the file: what is signed from now on is signed with them, and a token whose
    /// key is not among them verifies no more.
    ///
    /// # Errors
    /// As [`SigningKeys::read`], and where none of them can sign; the keys stay as they were.
    pub fn replace(&self, content: &[u8]) -> Result<(), KeyError> {
        let held = Held::read(content)?;
        if held.signing.is_none() {
            return Err(KeyError::NoneSigns);
        }
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(held);
        Ok(())
    }

    /// The same keys, beside a secret that outlasts their rotation: what is stored keyed must be found again.
    pub fn with_lasting(mut self, secret: [u8; 32]) -> Self {
        self.lasting = secret;
        self
    }

    /// A key for another purpose, which tells nothing about these and outlasts their rotation.
    pub fn derive_lasting(&self, purpose: &str) -> [u8; 32] {
        let mut mac = keyed(&self.lasting);
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// The public keys, as JSON Web Keys (RFC 7517). Secrets that are shared are not among them.
    pub fn public(&self) -> Vec<Value> {
        self.held().public.clone()
    }

    /// Signs a token.
    ///
    /// # Errors
    /// When no key can sign.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let held = self.held();
        let (kid, algorithm, key) = held.signing.as_ref().ok_or(KeyError::NoneSigns)?;
        let mut header = Header::new(*algorithm);
        header.typ = Some(MEDIA_TYPE.to_owned());
        header.kid = Some(kid.clone());
        Ok(jsonwebtoken::encode(&header, claims, key)?)
    }

    /// Verifies a token: a known key, that key's algorithm and no other, type, issuer, audience and times.
    ///
    /// # Errors
    /// What is wrong with it, in words for the developer of the client.
    pub fn verify(&self, token: &str) -> Result<Arc<Ticket>, Rejected> {
        self.verify_at(token, Timestamp::now())
    }

    fn verify_at(&self, token: &str, now: Timestamp) -> Result<Arc<Ticket>, Rejected> {
        let (held, hash) = (self.held(), Sha256::digest(token.as_bytes()).into());
        if let Some(ticket) = held.verified.get(&hash) {
            return if ticket.has_expired(now) { Err(Rejected::EXPIRED) } else { Ok(ticket) };
        }
        let ticket = Arc::new(held.examine(token)?);
        held.verified.insert(hash, ticket.clone());
        Ok(ticket)
    }
}

impl Held {
    fn read(content: &[u8]) -> Result<Self, KeyError> {
        // The beginning of a list that is being written is no secret.
        if content.len() == 32 && !content.starts_with(b"[{") {
            return Self::single(content);
        }
        let text = std::str::from_utf8(content).map(str::trim);
        let text = text.map_err(|_| KeyError::Unreadable("neither text nor 32 bytes".into()))?;
        if !text.starts_with('[') {
            let secret = secret_of(text)
                .ok_or_else(|| KeyError::Unreadable("neither JSON nor base64 nor hexadecimal".into()))?;
            return Self::single(&secret);
        }
        Self::of(serde_json::from_str(text).map_err(|error| KeyError::Unreadable(error.to_string()))?)
    }

    fn single(secret: &[u8]) -> Result<Self, KeyError> {
        let kid = format!("{:x}", Sha256::digest(secret))[..16].to_owned();
        let entry = Entry {
            kid,
            alg: Algorithm::HS256,
            secret: Some(STANDARD.encode(secret)),
            public: None,
            private: None,
        };
        Self::of(vec![entry])
    }

    fn of(entries: Vec<Entry>) -> Result<Self, KeyError> {
        if entries.is_empty() {
            return Err(KeyError::Unreadable("the list is empty".into()));
        }
        let mut keys = Held {
            verifying: HashMap::new(),
            signing: None,
            verified: Cache::new(REMEMBERED),
            public: Vec::new(),
        };
        for entry in entries {
            let invalid = |reason| KeyError::Invalid { kid: entry.kid.clone(), reason };
            let bytes = |text: &Option<String>| text.as_deref().and_then(secret_of);
            let (verifying, signing) = match entry.alg {
                Algorithm::HS256 => {
                    let secret = bytes(&entry.secret).filter(|secret| secret.len() >= 32);
                    let secret =
                        secret.ok_or_else(|| invalid("HS256 needs a `secret` of 32 bytes or more"))?;
                    (DecodingKey::from_secret(&secret), Some(EncodingKey::from_secret(&secret)))
                }
                Algorithm::EdDSA => {
                    let public = bytes(&entry.public).filter(|public| public.len() == 32);
                    let public = public.ok_or_else(|| invalid("EdDSA needs a `public` key of 32 bytes"))?;
                    let private = bytes(&entry.private).map(pkcs8);
                    keys.public.push(json!({
                        "kty": "OKP",
                        "crv": "Ed25519",
                        "use": "sig",
                        "alg": "EdDSA",
                        "kid": entry.kid,
                        "x": URL_SAFE_NO_PAD.encode(&public),
                    }));
                    (DecodingKey::from_ed_der(&public), private.map(|key| EncodingKey::from_ed_der(&key)))
                }
                _ => return Err(invalid("the algorithm must be EdDSA or HS256")),
            };
            if let (None, Some(signing)) = (&keys.signing, signing) {
                keys.signing = Some((entry.kid.clone(), entry.alg, signing));
            }
            let verifying =
                Verifying { algorithm: entry.alg, key: verifying, validation: validation(entry.alg) };
            if keys.verifying.insert(entry.kid.clone(), verifying).is_some() {
                return Err(invalid("its identifier is used twice"));
            }
        }
        Ok(keys)
    }

    fn examine(&self, token: &str) -> Result<Ticket, Rejected> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Rejected("it is not a JWT"))?;
        let is_ours = |typ: &str| MEDIA_TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known));
        if !header.typ.as_deref().is_some_and(is_ours) {
            return Err(Rejected("its type is not at+jwt"));
        }
        // Nothing is understood of what a header may ask to be understood (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(Rejected("it asks for what is not supported"));
        }
        let known = header.kid.as_deref().and_then(|kid| self.verifying.get(kid));
        let known = known.ok_or(Rejected("its key is not known"))?;
        if header.alg != known.algorithm {
            return Err(Rejected("its algorithm is not that of its key"));
        }
        let read = jsonwebtoken::decode::<Claims>(token, &known.key, &known.validation);
        Ticket::of(read.map_err(Rejected::from)?.claims)
    }
}

/// A keyed SHA-256.
pub(crate) fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    <Hmac<Sha256> as Mac>::new_from_slice(key).expect("any length is a key")
}

fn root_of(source: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(b"annals/derived-keys\n");
    digest.update(source);
    digest.finalize().into()
}

/// Bytes from hexadecimal, base64 or base64url.
fn secret_of(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.len() >= 64 && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect();
    }
    STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()
}

/// A private Ed25519 key as PKCS#8: a bare seed of 32 bytes is wrapped.
fn pkcs8(key: Vec<u8>) -> Vec<u8> {
    const PREFIX: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    if key.len() == 32 { PREFIX.into_iter().chain(key).collect() } else { key }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;

    /// The key pair of RFC 8037, appendix A.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn keys(text: &str) -> SigningKeys {
        SigningKeys::read(text.as_bytes()).unwrap()
    }

    fn list(entries: &[String]) -> SigningKeys {
        keys(&format!("[{}]", entries.join(",")))
    }

    fn hs256(kid: &str, byte: u8) -> String {
        format!(r#"{{"kid":"{kid}","alg":"HS256","secret":"{}"}}"#, STANDARD.encode([byte; 32]))
    }

    fn eddsa(kid: &str) -> String {
        format!(r#"{{"kid":"{kid}","alg":"EdDSA","public":"{PUBLIC}","private":"{SEED}"}}"#)
    }

    fn claims() -> Claims {
        Claims::new(Uuid::from_u128(7), vec!["staff".into()], SignedDuration::from_mins(5), Timestamp::now())
    }

    #[test]
    fn a_token_of_either_algorithm_verifies() {
        for keys in [list(&[hs256("a", 1)]), list(&[eddsa("e")]), keys(&STANDARD.encode([7; 32]))] {
            let ticket = keys.verify(&keys.sign(&claims()).unwrap()).unwrap();
            assert!(ticket.actor.is(Uuid::from_u128(7)) && ticket.actor.has("manage:scholarships"));
        }
    }

    #[test]
    fn a_token_that_was_verified_is_not_accepted_for_longer_than_it_says() {
        let keys = list(&[hs256("a", 1)]);
        let (token, now) = (keys.sign(&claims()).unwrap(), Timestamp::now());
        assert!(keys.verify(&token).is_ok());
        let later = |minutes| now + SignedDuration::from_mins(minutes);
        assert!(keys.verify_at(&token, later(4)).is_ok());
        assert_eq!(keys.verify_at(&token, later(6)).unwrap_err(), Rejected("it has expired"));
    }

    #[test]
    fn after_a_rotation_tokens_of_the_old_key_still_verify() {
        let old = list(&[hs256("old", 1)]);
        let both = list(&[eddsa("new"), hs256("old", 1)]);
        assert!(both.verify(&old.sign(&claims()).unwrap()).is_ok());
        assert_eq!(old.verify(&both.sign(&claims()).unwrap()).unwrap_err(), Rejected("its key is not known"));
    }

    #[test]
    fn keys_are_rotated_while_they_are_in_use_and_what_makes_no_sense_changes_nothing() {
        let content = |entries: &[String]| format!("[{}]", entries.join(",")).into_bytes();
        let keys = list(&[hs256("old", 1)]);
        let lasting = keys.derive_lasting("x");
        let token = keys.sign(&claims()).unwrap();
        assert!(keys.verify(&token).is_ok());
        keys.replace(&content(&[eddsa("new"), hs256("old", 1)])).unwrap();
        assert!(keys.verify(&token).is_ok() && keys.public().len() == 1);
        let newer = keys.sign(&claims()).unwrap();
        assert!(keys.replace(b"[]").is_err() && keys.replace(b"half a fi").is_err());
        assert!(
            keys.replace(br#"[{"kid":"2026-07","alg":"EdDSA","#).is_err(),
            "the first 32 bytes of a list"
        );
        let only_public = format!(r#"[{{"kid":"e","alg":"EdDSA","public":"{PUBLIC}"}}]"#);
        assert!(matches!(keys.replace(only_public.as_bytes()), Err(KeyError::NoneSigns)));
        keys.replace(&content(&[eddsa("new")])).unwrap();
        assert!(keys.verify(&newer).is_ok());
        assert_eq!(
            keys.verify(&token).unwrap_err(),
            Rejected("its key is not known"),
            "though it was verified before"
        );
        assert_eq!(keys.derive_lasting("x"), lasting, "what is stored keyed is found again");
    }

    #[test]
    fn a_public_key_is_never_taken_for_a_secret() {
        // The classic confusion: sign with HMAC under the public key's bytes and name that key.
        let both = list(&[eddsa("e")]);
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(MEDIA_TYPE.to_owned());
        header.kid = Some("e".into());
        let public = URL_SAFE_NO_PAD.decode(PUBLIC).unwrap();
        let forged = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&public)).unwrap();
        let refused = both.verify(&forged).unwrap_err();
        assert_eq!(refused, Rejected("its algorithm is not that of its key"));
    }

    #[test]
    fn a_token_signed_by_somebody_else_is_rejected() {
        let (ours, theirs) = (list(&[hs256("a", 1)]), list(&[hs256("a", 2)]));
        let refused = ours.verify(&theirs.sign(&claims()).unwrap()).unwrap_err();
        assert_eq!(refused, Rejected("its signature does not verify"));
    }

    #[test]
    fn a_header_that_asks_for_more_than_is_understood_is_rejected_and_either_name_of_the_type_will_do() {
        let ours = list(&[hs256("a", 1)]);
        let signed = |header: Header| {
            jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&[1; 32])).unwrap()
        };
        let mut header = Header::new(Algorithm::HS256);
        (header.kid, header.typ) = (Some("a".into()), Some("application/AT+JWT".into()));
        assert!(ours.verify(&signed(header.clone())).is_ok());
        header.crit = Some(vec!["exp".into()]);
        assert_eq!(
            ours.verify(&signed(header.clone())).unwrap_err(),
            Rejected("it asks for what is not supported")
        );
        (header.crit, header.typ) = (None, Some("JWT".into()));
        assert_eq!(ours.verify(&signed(header)).unwrap_err(), Rejected("its type is not at+jwt"));
    }

    #[test]
    fn weak_or_ambiguous_keys_are_refused() {
        assert!(SigningKeys::single(&[1; 31]).is_err());
        assert!(SigningKeys::read(b"[]").is_err() && SigningKeys::read(b"not a key!").is_err());
        assert!(SigningKeys::read(format!("[{},{}]", hs256("a", 1), hs256("a", 2)).as_bytes()).is_err());
        assert!(SigningKeys::read(br#"[{"kid":"r","alg":"RS256","secret":""}]"#).is_err());
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_by_secret() {
        let (one, two) = (list(&[hs256("a", 1)]), list(&[hs256("a", 2)]));
        assert_ne!(one.derive_lasting("x"), one.derive_lasting("y"));
        assert_ne!(one.derive_lasting("x"), two.derive_lasting("x"));
        assert_eq!(one.derive_lasting("x"), list(&[hs256("a", 1)]).derive_lasting("x"));
    }
}
