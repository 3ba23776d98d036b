//! Signs statements with the Ed25519 key that signs the log.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use commands::ports::{Certifier, PortError};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

/// Signs statements as compact JWS (RFC 7515 and RFC 8037) whose header carries the public key and its id.
///
/// The key is the one that signs the log's checkpoints, so that who keeps its verifier key can check certificates too. What
/// is signed cannot be taken for the other: a checkpoint has line feeds, what a JWS signs has none.
pub struct Ed25519Certifier {
    key: SigningKey,
    id: String,
}

impl Ed25519Certifier {
    /// The certifier with this secret, whose key has this id.
    pub fn new(secret: &[u8; 32], id: impl Into<String>) -> Self {
        Ed25519Certifier { key: SigningKey::from_bytes(secret), id: id.into() }
    }

    /// The public key: who has it from elsewhere can tell this deployment's statements from anybody else's.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }
}

impl Certifier for Ed25519Certifier {
    fn sign(&self, statement: &Value) -> Result<String, PortError> {
        let public = URL_SAFE_NO_PAD.encode(self.public_key());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": public });
        let header = json!({ "alg": "EdDSA", "kid": self.id, "jwk": jwk });
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(statement));
        let signature = self.key.sign(signed.as_bytes()).to_bytes();
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, Verifier, VerifyingKey};

    use super::*;

    fn verify(token: &str) -> Option<Value> {
        let [header, statement, signature] = token.split('.').collect::<Vec<_>>()[..] else { return None };
        let decoded = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
        let jwk = serde_json::from_slice::<Value>(&decoded(header)).unwrap()["jwk"]["x"].clone();
        let key = VerifyingKey::from_bytes(&decoded(jwk.as_str().unwrap()).try_into().unwrap()).unwrap();
        let signature = Signature::from_slice(&decoded(signature)).ok()?;
        key.verify(format!("{header}.{statement}").as_bytes(), &signature).ok()?;
        serde_json::from_slice(&decoded(statement)).ok()
    }

    #[test]
    fn a_statement_can_be_checked_by_anybody_and_a_changed_one_does_not_check() {
        let certifier = Ed25519Certifier::new(&[7; 32], "records.example.edu+0a0b0c0d");
        let statement = json!({ "subject": "0198", "key_ids": ["education/2026-12"] });
        let token = certifier.sign(&statement).unwrap();
        assert_eq!(verify(&token), Some(statement));
        let other = certifier.sign(&json!({ "subject": "0199" })).unwrap();
        let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
        let forged = format!("{}.{}.{}", parts(&token)[0], parts(&other)[1], parts(&token)[2]);
        assert_eq!(verify(&forged), None);
    }
}
