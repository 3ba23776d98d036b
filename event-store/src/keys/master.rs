//! The master key: it wraps data keys, comes from outside and is never written to any database.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use aes_gcm::{Aes256Gcm, KeyInit, aead::AeadInPlace};
use base64::Engine;
use rand::RngCore;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{DataKey, KeyId};
use crate::StoreError;

/// 32 secret bytes that wrap data keys. Printed, it shows its identifier only.
#[derive(Clone)]
pub struct MasterKey(Arc<Zeroizing<[u8; 32]>>);

/// Nonce, key and tag.
const WRAPPED: usize = 12 + 32 + 16;

impl MasterKey {
    /// A new random key.
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(key.as_mut());
        Self(Arc::new(key))
    }

    /// The key whose 32 bytes these are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The key in a file: 64 hexadecimal digits, base64, or the 32 bytes themselves.
    ///
    /// # Errors
    /// When the file cannot be read or is none of these.
    pub fn from_file(path: &Path) -> Result<Self, StoreError> {
        let wrong = |reason: &dyn fmt::Display| {
            StoreError::Configuration(format!("the master key in {}: {reason}", path.display()))
        };
        let content = Zeroizing::new(std::fs::read(path).map_err(|error| wrong(&error))?);
        if let Ok(raw) = <[u8; 32]>::try_from(content.as_slice()) {
            return Ok(Self::from_bytes(raw));
        }
        std::str::from_utf8(&content).map_err(|error| wrong(&error))?.parse()
    }

    /// The key as 64 hexadecimal digits, for whoever is to keep it.
    pub fn expose_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The key as it is, for whoever derives something else from it.
    pub fn expose_bytes(&self) -> [u8; 32] {
        **self.0
    }

    /// Tells keys apart without telling anything of them: the start of a hash.
    pub fn id(&self) -> [u8; 8] {
        let hash =
            Sha256::new().chain_update(b"annals master key id").chain_update(self.0.as_slice()).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        id
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.0.as_slice().into())
    }

    /// Encrypts a data key, bound to its identity: it cannot be passed off as another's.
    pub(crate) fn wrap(&self, id: &KeyId, key: &DataKey) -> Vec<u8> {
        let mut nonce = [0; 12];
        rand::rng().fill_bytes(&mut nonce);
        let mut wrapped = Vec::with_capacity(WRAPPED);
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(key.bytes());
        let tag = self
            .cipher()
            .encrypt_in_place_detached(&nonce.into(), &id.bytes(), &mut wrapped[12..])
            .expect("32 bytes are not too long for AES-GCM");
        wrapped.extend_from_slice(&tag);
        wrapped
    }

    pub(crate) fn unwrap(&self, id: &KeyId, wrapped: &[u8]) -> Result<DataKey, StoreError> {
        let refused = || {
            let KeyId { subject, class, epoch } = id;
            StoreError::Unreadable(format!("the data key {class}/{epoch} of {subject} does not unwrap"))
        };
        if wrapped.len() != WRAPPED {
            return Err(refused());
        }
        let (nonce, sealed) = wrapped.split_at(12);
        let (sealed, tag) = sealed.split_at(32);
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(sealed);
        self.cipher()
            .decrypt_in_place_detached(nonce.into(), &id.bytes(), key.as_mut(), tag.into())
            .map_err(|_| refused())?;
        Ok(DataKey::new(key))
    }
}

impl FromStr for MasterKey {
    type Err = StoreError;

    /// 64 hexadecimal digits, or base64 (standard or URL-safe, padded or not).
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let text = text.trim();
        let hex = || -> Option<Vec<u8>> {
            (text.len() == 64 && text.is_ascii()).then_some(())?;
            (0..32).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()).collect()
        };
        let base64 = || {
            let plain = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(plain).ok()
        };
        let bytes = Zeroizing::new(hex().or_else(base64).unwrap_or_default());
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
            StoreError::Configuration("a master key is 32 bytes, as 64 hexadecimal digits or base64".into())
        })?;
        Ok(Self::from_bytes(key))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(")?;
        self.id().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Epoch;

    #[test]
    fn the_same_key_is_read_from_hex_and_base64() {
        let key = MasterKey::generate();
        let base64 = base64::engine::general_purpose::STANDARD.encode(key.0.as_slice());
        let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.0.as_slice());
        for text in [key.expose_hex().to_string(), base64 + "\n", url_safe] {
            assert_eq!(text.parse::<MasterKey>().unwrap().id(), key.id());
        }
        assert!("abc".parse::<MasterKey>().is_err());
    }

    #[test]
    fn a_wrapped_key_opens_for_its_own_identity_and_master_key_only() {
        let master = MasterKey::generate();
        let id = KeyId::new(uuid::Uuid::from_u128(1), "identity", Epoch::from_number(202612));
        let key = DataKey::generate();
        let wrapped = master.wrap(&id, &key);
        assert_eq!(master.unwrap(&id, &wrapped).unwrap().bytes(), key.bytes());
        assert!(MasterKey::generate().unwrap(&id, &wrapped).is_err());
        let other = KeyId::new(uuid::Uuid::from_u128(2), "identity", Epoch::from_number(202612));
        assert!(master.unwrap(&other, &wrapped).is_err());
    }
}
