//! Signs statements with an Ed25519 key of the deployment.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use commands::ports::{Notary, PortError};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

/// Signs statements as compact JWS (RFC 7515 and RFC 8037) whose header carries the public key.
pub struct Ed25519Notary {
    key: SigningKey,
}

impl Ed25519Notary {
    /// The notary whose key follows from this secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Ed25519Notary { key: SigningKey::from_bytes(secret) }
    }

    /// The public key: who has it from elsewhere can tell this deployment's statements from anybody else's.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }
}

impl Notary for Ed25519Notary {
    fn sign(&self, statement: &Value) -> Result<String, PortError> {
        let public = URL_SAFE_NO_PAD.encode(self.public_key());
        let header = json!({ "alg": "EdDSA", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": public } });
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
        let notary = Ed25519Notary::new(&[7; 32]);
        let statement = json!({ "subject": "0198", "key_ids": ["education/2026-12"] });
        let token = notary.sign(&statement).unwrap();
        assert_eq!(verify(&token), Some(statement));
        let other = notary.sign(&json!({ "subject": "0199" })).unwrap();
        let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
        let forged = format!("{}.{}.{}", parts(&token)[0], parts(&other)[1], parts(&token)[2]);
        assert_eq!(verify(&forged), None);
    }
}
