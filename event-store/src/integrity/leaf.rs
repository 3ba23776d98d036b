//! The bytes that stand for an event in the tree. They are fixed for ever: whoever has the row can make them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Hash, leaf_hash};
use crate::{Position, Recorded};

/// The first line of every leaf.
const FORMAT: &str = "annals-leaf/v1";

/// What a leaf says of an event. Contents are there as SHA-256 of the stored bytes, so a leaf outlives an erasure:
/// what was sealed stays committed to as ciphertext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// The place in the log, from 1; the leaf's index is one less.
    pub position: Position,
    /// The stream's type.
    pub aggregate_type: String,
    /// The stream's id.
    pub aggregate_id: String,
    /// The place in the stream, from 1.
    pub sequence: u64,
    /// The event type.
    pub event_type: String,
    /// The schema version, as text.
    pub event_version: String,
    /// When it was recorded, in microseconds since 1970-01-01T00:00:00Z.
    pub recorded_at_micros: i64,
    /// SHA-256 of the stored bytes of the payload, in lower-case hexadecimal.
    pub payload_sha256: String,
    /// SHA-256 of the stored bytes of the metadata, in lower-case hexadecimal.
    pub metadata_sha256: String,
    /// SHA-256 of the encrypted personal fields, in lower-case hexadecimal; null where there are none.
    pub sealed_sha256: Option<String>,
}

impl Leaf {
    /// The leaf of an event as it is stored.
    pub fn of(event: &Recorded) -> Self {
        Leaf {
            position: event.position,
            aggregate_type: event.stream.aggregate_type.to_string(),
            aggregate_id: event.stream.aggregate_id.to_string(),
            sequence: event.sequence,
            event_type: event.event_type.to_string(),
            event_version: event.event_version.to_string(),
            recorded_at_micros: event.recorded_at.as_microsecond(),
            payload_sha256: hex(&Sha256::digest(event.payload.as_bytes())),
            metadata_sha256: hex(&Sha256::digest(event.metadata.as_bytes())),
            sealed_sha256: event.sealed.as_ref().map(|sealed| hex(&Sha256::digest(sealed))),
        }
    }

    /// The hash of an event's leaf, without the leaf: for whoever hashes many. The buffer only saves an allocation.
    pub fn hash_of(event: &Recorded, buffer: &mut Vec<u8>) -> Hash {
        buffer.clear();
        // Without the machinery of `write!`: this is done for every event of a log.
        line(buffer, FORMAT);
        decimal(buffer, event.position);
        line(buffer, &event.stream.aggregate_type);
        line(buffer, &event.stream.aggregate_id);
        decimal(buffer, event.sequence);
        line(buffer, &event.event_type);
        line(buffer, &event.event_version);
        decimal(buffer, event.recorded_at.as_microsecond());
        for hashed in
            [Some(event.payload.as_bytes()), Some(event.metadata.as_bytes()), event.sealed.as_deref()]
        {
            match hashed {
                Some(bytes) => digits(buffer, &Sha256::digest(bytes)),
                None => buffer.push(b'-'),
            }
            buffer.push(b'\n');
        }
        leaf_hash(buffer)
    }

    /// The leaf's hash in the tree.
    pub fn hash(&self) -> Hash {
        leaf_hash(self.to_string().as_bytes())
    }
}

/// The leaf's bytes: lines of UTF-8, each ended by a line feed.
impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORMAT}\n{}", self.position)?;
        writeln!(f, "{}\n{}\n{}", self.aggregate_type, self.aggregate_id, self.sequence)?;
        writeln!(f, "{}\n{}\n{}", self.event_type, self.event_version, self.recorded_at_micros)?;
        writeln!(f, "{}\n{}", self.payload_sha256, self.metadata_sha256)?;
        writeln!(f, "{}", self.sealed_sha256.as_deref().unwrap_or("-"))
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    digits(&mut text, bytes);
    text.into_iter().map(char::from).collect()
}

/// Appends lower-case hexadecimal.
pub(super) fn digits(buffer: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let begin = buffer.len();
    buffer.resize(begin + 2 * bytes.len(), 0);
    for (pair, byte) in buffer[begin..].chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// A line with a text.
pub(super) fn line(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend_from_slice(text.as_bytes());
    buffer.push(b'\n');
}

/// A line with a number.
pub(super) fn decimal(buffer: &mut Vec<u8>, number: impl itoa::Integer) {
    line(buffer, itoa::Buffer::new().format(number));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::StreamId;

    fn event(sealed: Option<&'static [u8]>) -> Recorded {
        Recorded {
            position: 7,
            event_id: Uuid::nil(),
            stream: StreamId::new("identity.org_unit", "0193a5b0-0000-7000-8000-000000000000"),
            sequence: 2,
            event_type: "OrgUnitRenamed".into(),
            event_version: "1".into(),
            payload: "abc".into(),
            sealed: sealed.map(Bytes::from_static),
            metadata: "".into(),
            recorded_at: Timestamp::from_microsecond(1_600_000_000_000_001).unwrap(),
            command_id: None,
            command_index: 0,
            fingerprint: None,
        }
    }

    #[test]
    fn a_leafs_bytes_are_these_for_ever() {
        // FIPS 180-2's example "abc", and the hash of nothing.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let expected = format!(
            "annals-leaf/v1\n7\nidentity.org_unit\n0193a5b0-0000-7000-8000-000000000000\n2\nOrgUnitRenamed\n1\n\
             1600000000000001\n{abc}\n{nothing}\n"
        );
        assert_eq!(Leaf::of(&event(None)).to_string(), format!("{expected}-\n"));
        assert_eq!(Leaf::of(&event(Some(b"abc"))).to_string(), format!("{expected}{abc}\n"));
        let early = Recorded {
            position: u64::MAX,
            sequence: 0,
            recorded_at: Timestamp::from_microsecond(-1_000_001).unwrap(),
            ..event(None)
        };
        for event in [event(None), event(Some(b"abc")), early] {
            assert_eq!(Leaf::hash_of(&event, &mut b"old".to_vec()), Leaf::of(&event).hash());
        }
    }
}
