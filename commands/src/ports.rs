//! Ports to the outside, in the domain's language (catalogue 6). Adapters live in `integrations` and are chosen by
//! configuration. A capability that is missing is an error and never a made-up answer (D-14).

use std::{fmt, sync::Arc};

use domain::BasisPoints;
pub use domain::identity::SsoProvider;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::CommandError;

/// Why a port gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the port {port} gave no answer: {reason}")]
pub struct PortError {
    /// The port's name.
    pub port: &'static str,
    /// What happened, without personal data.
    pub reason: String,
}

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        CommandError::Unavailable(error.to_string())
    }
}

/// Turns texts into vectors whose cosine says how alike they are.
pub trait Embedding: Send + Sync + 'static {
    /// The adapter's name and version, such as `local/hashed-tfidf@1`; it is stored beside every result.
    fn engine(&self) -> &str;

    /// One unit-length vector for each text, all of the same dimension.
    fn embed<'a>(&'a self, texts: &'a [String]) -> BoxFuture<'a, Result<Vec<Vec<f32>>, PortError>>;
}

/// Signs what this deployment certifies, so that anybody can check later that it did. (The notary is who signs the log.)
pub trait Certifier: Send + Sync + 'static {
    /// The statement as a compact JWS (RFC 7515), signed with Ed25519, with the public key and its id in its header.
    fn sign(&self, statement: &serde_json::Value) -> Result<String, PortError>;
}

/// A message to one address. What it says is for its reader alone: it is in no log line and in no event.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address.
    pub to: String,
    /// What it is about, for whoever glances at a screen: nothing personal.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// The same as HTML, where there is such a form.
    pub html: Option<String>,
    /// The same for every attempt to send it: a mail is sent at least once, and its reader's program tells copies by it.
    pub message_id: Uuid,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// Why a mail was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// It is refused for good: to send it again is of no use.
    #[error("the mail is refused: {reason}")]
    Refused {
        /// What happened, without personal data.
        reason: String,
    },
    /// Nobody took it this time.
    #[error(transparent)]
    NotNow(#[from] PortError),
}

impl From<Undelivered> for CommandError {
    fn from(error: Undelivered) -> Self {
        CommandError::Unavailable(error.to_string())
    }
}

/// Sends mail.
pub trait Mailer: Send + Sync + 'static {
    /// Hands a mail to whoever delivers it. When this returns `Ok`, it is theirs.
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), Undelivered>>;
}

/// Knows the one-time tokens whose hashes decisions ask for ([`domain::Question::TokenHash`]).
pub trait Tokens: Send + Sync + 'static {
    /// The token of a label, in lower-case hexadecimal. It goes to the person whom it is for and nowhere else.
    fn token(&self, label: &str) -> String;
}

/// What came of holding a password against a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is that password.
    pub holds: bool,
    /// Whether the hash is of a kind that should be replaced (D-09).
    pub outdated: bool,
}

/// Hashes passwords, slowly on purpose.
pub trait Passwords: Send + Sync + 'static {
    /// The hash of a password, with a salt of its own, in PHC format.
    fn hash(&self, password: String) -> BoxFuture<'_, Result<String, PortError>>;

    /// Holds a password against a stored hash. Without one it does the same work and says no, so that nobody can tell
    /// from the time it takes whether somebody exists.
    fn verify(&self, password: String, against: Option<String>) -> BoxFuture<'_, Result<Verdict, PortError>>;
}

/// Knows passwords that were breached.
pub trait BreachedPasswords: Send + Sync + 'static {
    /// Whether a password is among them.
    fn contains(&self, password: &str) -> bool;
}

/// One-time codes of an authenticator (RFC 6238).
pub trait OneTimeCodes: Send + Sync + 'static {
    /// A new shared secret, in base32.
    fn new_secret(&self) -> String;

    /// The time step whose code this is, among those that count now.
    fn step(&self, secret: &str, code: &str, now: Timestamp) -> Option<u64>;

    /// The address that an authenticator reads as a QR code.
    fn address(&self, secret: &str, issuer: &str, account: &str) -> Result<String, PortError>;
}

/// What a login at another provider carries along, and what comes back is held against (RFC 6749, RFC 7636).
#[derive(Clone, PartialEq, Eq)]
pub struct SsoFlow {
    /// Comes back with the person: tells that it is the answer to this very request.
    pub state: String,
    /// Comes back in the provider's token.
    pub nonce: String,
    /// Proves that who redeems the code is who asked for it (PKCE).
    pub verifier: String,
}

/// Whom another provider says somebody to be.
#[derive(Clone, PartialEq, Eq)]
pub struct SsoIdentity {
    /// Who says it.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// The address that the provider knows; empty where it tells none.
    pub email: String,
}

/// Why another provider's answer proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SsoError {
    /// There is no such provider.
    #[error("there is no such provider")]
    Unknown,
    /// What it says is not what it should be, without a word of what was said.
    #[error("{0}")]
    Rejected(&'static str),
    /// It cannot be reached.
    #[error(transparent)]
    Unreachable(#[from] PortError),
}

/// Other providers that say who somebody is (OpenID Connect). Only those that are configured are ever asked.
pub trait IdentityProviders: Send + Sync + 'static {
    /// What kind of provider has this name, and who issues its tokens.
    fn provider(&self, name: &str) -> Option<(SsoProvider, String)>;

    /// The address at which the person logs in there.
    fn begin<'a>(&'a self, name: &'a str, flow: &'a SsoFlow) -> BoxFuture<'a, Result<String, SsoError>>;

    /// Redeems the code that came back and verifies the provider's token. `issuer` is who the answer says to be from, where it
    /// says that: it is this provider, and a provider that always says it is not answered for by an answer that does not
    /// (RFC 9207, 2.4).
    fn finish<'a>(
        &'a self,
        name: &'a str,
        code: String,
        issuer: Option<&'a str>,
        flow: &'a SsoFlow,
    ) -> BoxFuture<'a, Result<SsoIdentity, SsoError>>;
}

/// A security key or passkey that somebody has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The credential, in base64url.
    pub credential_id: String,
    /// What its assertions are verified with, in the adapter's own form.
    pub public_key: String,
    /// How often it has signed.
    pub sign_count: u32,
}

/// A ceremony that was begun (Web Authentication): what the browser is given, and what is needed to finish it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ceremony {
    /// What the browser is given, as WebAuthn Level 3 writes it in JSON.
    pub options: serde_json::Value,
    /// What is needed to finish it. Nobody else may make one.
    pub state: Vec<u8>,
}

/// Why a security key's answer proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the security key's answer does not verify")]
pub struct NotVerified;

/// Security keys and passkeys (Web Authentication).
pub trait SecurityKeys: Send + Sync + 'static {
    /// Begins to register a key of a person who has these already.
    fn register(&self, account: Uuid, name: &str, known: &[KnownKey]) -> Result<Ceremony, PortError>;

    /// The key that was registered.
    fn registered(&self, state: &[u8], answer: &serde_json::Value) -> Result<KnownKey, NotVerified>;

    /// Begins to ask for a signature of one of these keys; where there are none, of any key that knows whose it is.
    fn ask(&self, known: &[KnownKey]) -> Result<Ceremony, PortError>;

    /// Whose key it says to be, and which: of nothing that is verified yet.
    fn claimed(&self, answer: &serde_json::Value) -> Option<(Option<Uuid>, String)>;

    /// How often the key has signed, where the signature is that of this key of this person. Whether that is as often as
    /// it should be, the account decides (IDN-A6).
    fn asserted(
        &self,
        state: &[u8],
        account: Uuid,
        key: &KnownKey,
        answer: &serde_json::Value,
    ) -> Result<u32, NotVerified>;
}

/// The adapters that are plugged in.
pub struct Ports {
    /// Sends mail.
    pub mailer: Arc<dyn Mailer>,
    /// Computes one-time tokens, to be mailed.
    pub tokens: Arc<dyn Tokens>,
    /// Signs certificates.
    pub certifier: Arc<dyn Certifier>,
    /// Embeddings of texts.
    pub embedding: Arc<dyn Embedding>,
}

/// How alike two texts are by their vectors: the cosine in basis points, rounded half-up, since the domain knows no floats.
/// 0 where a vector is zero or the dimensions differ: nothing is known to be alike then.
pub fn cosine(one: &[f32], other: &[f32]) -> BasisPoints {
    let dot = |one: &[f32], other: &[f32]| -> f64 {
        one.iter().zip(other).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    if one.len() != other.len() || !lengths.is_normal() {
        return BasisPoints(0);
    }
    let cosine = (dot(one, other) / lengths).clamp(-1.0, 1.0);
    BasisPoints((cosine * 10_000.0 + 0.5).floor() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mail_says_and_to_whom_is_not_printed() {
        let mail = Mail {
            to: "ada@example.org".into(),
            subject: "Your request".into(),
            text: "0123456789".into(),
            html: Some("<p>0123456789</p>".into()),
            message_id: Uuid::from_u128(7),
        };
        let printed = format!("{mail:?}");
        assert!(printed.contains(&mail.message_id.to_string()), "{printed}");
        assert!(["ada", "0123456789", "request"].iter().all(|secret| !printed.contains(secret)), "{printed}");
    }

    #[test]
    fn a_cosine_arrives_in_basis_points_rounded_half_up() {
        assert_eq!(cosine(&[1.0, 0.0], &[1.0, 0.0]), BasisPoints(10_000));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), BasisPoints(0));
        assert_eq!(cosine(&[2.0, 0.0], &[-1.0, 0.0]), BasisPoints(-10_000));
        assert_eq!(cosine(&[1.0, 1.0], &[1.0, 0.0]), BasisPoints(7071));
        assert_eq!(cosine(&[1.0, 2.0], &[3.0, 4.0]), BasisPoints(9839));
    }

    #[test]
    fn vectors_that_cannot_be_compared_are_not_alike() {
        for (one, other) in [
            (&[][..], &[][..]),
            (&[0.0], &[1.0]),
            (&[1.0, 0.0], &[1.0]),
            (&[f32::NAN], &[1.0]),
            (&[f32::INFINITY], &[1.0]),
        ] {
            assert_eq!(cosine(one, other), BasisPoints(0));
        }
    }
}
