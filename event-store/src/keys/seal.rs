//! The sealed form of personal data: bytes in, bytes out; no key is fetched here.
//!
//! ```text
//! version   1 byte, 1
//! then boxes, each:
//!   subject      16 bytes
//!   class        1 byte length, then that many bytes of UTF-8
//!   epoch        4 bytes, big-endian: its last month as the number yyyymm
//!   nonce        12 bytes
//!   ciphertext   4 bytes big-endian length, then that many bytes: AES-256-GCM, the tag at the end
//! ```
//!
//! A ciphertext of length 0 stands for a value whose key had already been destroyed when a row was sealed.
//! Associated data: the context (for an event its stream and id, for a row its table and key) and the box's subject,
//! class and epoch, each preceded by its length: a box moved elsewhere does not open.

use std::borrow::Cow;

use aes_gcm::{Aes256Gcm, KeyInit, aead::AeadInPlace};
use bytes::{Buf, BufMut};
use hmac::{Hmac, Mac};
use rand::RngCore;
use sha2::Sha256;
use uuid::Uuid;

use super::{DataKey, Epoch, KeyId};
use crate::{PersonalGroup, StoreError, StreamId, names::intern};

const VERSION: u8 = 1;

/// What a box says of itself in the clear.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoxHeader {
    /// Whose data it is.
    pub subject: Uuid,
    /// Its record class.
    pub class: Cow<'static, str>,
    /// The epoch of its key.
    pub epoch: Epoch,
}

impl BoxHeader {
    /// The id of its key, as [`super::Keyring::key_ids`] spells it.
    pub fn key_id(&self) -> String {
        format!("{}/{}", self.class, self.epoch)
    }
}

pub(crate) struct SealedBox<'a> {
    pub(crate) header: BoxHeader,
    nonce: [u8; 12],
    ciphertext: &'a [u8],
}

pub(crate) fn start(capacity: usize) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(capacity);
    sealed.push(VERSION);
    sealed
}

/// The bytes of the box of a group.
pub(crate) fn size(group: &PersonalGroup) -> usize {
    16 + 1 + group.class.len() + 4 + 12 + 4 + group.plaintext.len() + 16
}

fn put(out: &mut Vec<u8>, id: &KeyId, nonce: &[u8; 12], ciphertext: &[u8], tag: &[u8]) {
    out.put_slice(id.subject.as_bytes());
    out.put_u8(id.class.len() as u8);
    out.put_slice(id.class.as_bytes());
    out.put_i32(id.epoch.number());
    out.put_slice(nonce);
    out.put_u32((ciphertext.len() + tag.len()) as u32);
    out.put_slice(ciphertext);
    out.put_slice(tag);
}

/// Seals one group of an event under a random nonce.
pub(crate) fn seal_event(out: &mut Vec<u8>, context: &[u8], id: &KeyId, key: &DataKey, plaintext: &[u8]) {
    let mut nonce = [0; 12];
    rand::rng().fill_bytes(&mut nonce);
    encrypt(out, context, id, key.bytes(), nonce, plaintext);
}

/// Seals one group of a row so that the same row under the same key always gives the same bytes: the nonce is a keyed
/// hash of everything that goes in, under a key of its own (the idea of SIV). Rows never share a key with events.
pub(crate) fn seal_row(out: &mut Vec<u8>, context: &[u8], id: &KeyId, key: &DataKey, plaintext: &[u8]) {
    let keys = key.row_keys();
    let mut mac =
        <Hmac<Sha256> as Mac>::new_from_slice(keys.nonce.as_slice()).expect("HMAC takes keys of any length");
    mac.update(&associated(context, id));
    mac.update(plaintext);
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&mac.finalize().into_bytes()[..12]);
    encrypt(out, context, id, &keys.cipher, nonce, plaintext);
}

/// Marks the place of a value that nobody can read any more.
pub(crate) fn seal_nothing(out: &mut Vec<u8>, id: &KeyId) {
    put(out, id, &[0; 12], &[], &[]);
}

fn encrypt(out: &mut Vec<u8>, context: &[u8], id: &KeyId, key: &[u8; 32], nonce: [u8; 12], plaintext: &[u8]) {
    let mut ciphertext = plaintext.to_vec();
    let tag = Aes256Gcm::new(key.into())
        .encrypt_in_place_detached(&nonce.into(), &associated(context, id), &mut ciphertext)
        .expect("the length was checked when the append was validated");
    put(out, id, &nonce, &ciphertext, &tag);
}

/// None: the tag does not fit, or the value was already gone when the box was made.
pub(crate) fn open(
    context: &[u8],
    sealed: &SealedBox<'_>,
    key: &[u8; 32],
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(length) = sealed.ciphertext.len().checked_sub(16) else { return Ok(None) };
    let (ciphertext, tag) = sealed.ciphertext.split_at(length);
    let mut plaintext = ciphertext.to_vec();
    let id = KeyId::of(&sealed.header);
    Aes256Gcm::new(key.into())
        .decrypt_in_place_detached(
            &sealed.nonce.into(),
            &associated(context, &id),
            &mut plaintext,
            tag.into(),
        )
        .map_err(|_| StoreError::Unreadable("a sealed box was altered or moved".into()))?;
    Ok(Some(plaintext))
}

fn associated(context: &[u8], id: &KeyId) -> Vec<u8> {
    let mut data = Vec::with_capacity(context.len() + id.class.len() + 32);
    data.put_u32(context.len() as u32);
    data.put_slice(context);
    data.put_slice(&id.bytes());
    data
}

/// The context of an event's boxes.
pub(crate) fn event_context(stream: &StreamId, event_id: Uuid) -> Vec<u8> {
    let mut context = Vec::with_capacity(stream.aggregate_type.len() + stream.aggregate_id.len() + 24);
    for part in [stream.aggregate_type.as_bytes(), stream.aggregate_id.as_bytes()] {
        context.put_u32(part.len() as u32);
        context.put_slice(part);
    }
    context.put_slice(event_id.as_bytes());
    context
}

/// Takes the sealed form apart.
pub(crate) fn boxes(sealed: &[u8]) -> Result<Vec<SealedBox<'_>>, StoreError> {
    parse(sealed).ok_or_else(|| StoreError::Unreadable("sealed data of an unknown form".into()))
}

fn parse(mut rest: &[u8]) -> Option<Vec<SealedBox<'_>>> {
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    let mut boxes = Vec::new();
    while rest.has_remaining() {
        let mut subject = [0; 16];
        rest.try_copy_to_slice(&mut subject).ok()?;
        let length = usize::from(rest.try_get_u8().ok()?);
        let class = intern(std::str::from_utf8(rest.split_off(..length)?).ok()?);
        let epoch = Epoch::from_number(rest.try_get_i32().ok()?);
        let mut nonce = [0; 12];
        rest.try_copy_to_slice(&mut nonce).ok()?;
        let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
        let ciphertext = rest.split_off(..length)?;
        let header = BoxHeader { subject: Uuid::from_bytes(subject), class, epoch };
        boxes.push(SealedBox { header, nonce, ciphertext });
    }
    Some(boxes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> KeyId {
        KeyId::new(Uuid::from_u128(7), "identity", Epoch::from_number(202612))
    }

    fn opened(context: &[u8], sealed: &[u8], key: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        open(context, &boxes(sealed)?[0], key)
    }

    #[test]
    fn a_box_opens_where_it_was_sealed_and_nowhere_else() {
        let key = DataKey::generate();
        let mut sealed = start(0);
        seal_event(&mut sealed, b"here", &id(), &key, b"secret");
        assert_eq!(opened(b"here", &sealed, key.bytes()).unwrap().unwrap(), b"secret");
        assert!(opened(b"there", &sealed, key.bytes()).is_err());
        assert!(opened(b"here", &sealed, DataKey::generate().bytes()).is_err());
        sealed[1] ^= 1; // another subject
        assert!(opened(b"here", &sealed, key.bytes()).is_err());
    }

    #[test]
    fn a_row_sealed_twice_gives_equal_bytes_and_an_event_does_not() {
        let key = DataKey::generate();
        let sealed = |seal: fn(&mut Vec<u8>, &[u8], &KeyId, &DataKey, &[u8])| {
            let mut out = start(0);
            seal(&mut out, b"table/1", &id(), &key, b"Ada");
            out
        };
        assert_eq!(sealed(seal_row), sealed(seal_row));
        assert_ne!(sealed(seal_event), sealed(seal_event));
        let mut elsewhere = start(0);
        seal_row(&mut elsewhere, b"table/2", &id(), &key, b"Ada");
        assert_ne!(elsewhere, sealed(seal_row), "equal values of two rows must not be seen to be equal");
    }

    #[test]
    fn truncated_bytes_are_refused_without_panic() {
        let key = DataKey::generate();
        let mut sealed = start(0);
        seal_event(&mut sealed, b"", &id(), &key, b"secret");
        for length in (0..sealed.len()).filter(|&length| length != 1) {
            assert!(boxes(&sealed[..length]).is_err(), "{length}");
        }
    }
}
