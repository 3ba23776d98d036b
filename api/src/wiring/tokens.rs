//! One-time tokens: computed from the deployment's token secret, stored nowhere.

use commands::ports::Tokens;
use hmac::Mac;

use crate::auth::{SigningKeys, keyed};

/// The keeper of the secret that one-time tokens are computed from.
#[derive(Clone)]
pub(super) struct OneTimeTokens {
    key: [u8; 32],
}

impl OneTimeTokens {
    pub(super) fn new(keys: &SigningKeys) -> Self {
        OneTimeTokens { key: keys.derive("one-time tokens") }
    }
}

impl Tokens for OneTimeTokens {
    fn token(&self, label: &str) -> String {
        let mut mac = keyed(&self.key);
        mac.update(label.as_bytes());
        format!("{:x}", mac.finalize().into_bytes())
    }
}
