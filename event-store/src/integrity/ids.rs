//! What binds the ids of an event to its leaf. The leaf of an event is fixed and has four columns not in it: `event_id`,
//! `command_id`, `command_index` and `fingerprint`. So the log puts a hash of these four into the metadata of each event that
//! it records, which the leaf commits to: whoever alters one of the four must alter the metadata, and that shows in the tree.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Hash,
    leaf::{decimal, digits, line},
};
use crate::{Append, Recorded};

/// The name in the metadata of an event under which the hash of its ids stands, in lower-case hexadecimal. The log writes
/// it, as the last one; nobody else may.
pub const IDS: &str = "ids_sha256";

/// The first line of what is hashed.
const FORMAT: &str = "annals-ids/v1";

/// What stands in metadata before the hash, and after it.
const BEFORE: &str = "\"ids_sha256\":\"";
const AFTER: &str = "\"}";

/// How many digits a hash has.
const DIGITS: usize = 64;

/// SHA-256 over lines of UTF-8, each ended by a line feed: the format, the four columns; `-` stands for null.
fn hash(
    event_id: Uuid,
    command_id: Option<Uuid>,
    command_index: i16,
    fingerprint: Option<&[u8]>,
    buffer: &mut Vec<u8>,
) -> Hash {
    buffer.clear();
    line(buffer, FORMAT);
    for id in [Some(event_id), command_id] {
        match id {
            Some(id) => line(buffer, id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            None => line(buffer, "-"),
        }
    }
    decimal(buffer, command_index);
    match fingerprint {
        Some(bytes) => digits(buffer, bytes),
        None => buffer.push(b'-'),
    }
    buffer.push(b'\n');
    Hash(Sha256::digest(buffer).into())
}

/// Puts the hash of its ids into the metadata of each event, which is an object.
pub(crate) fn bind(append: &mut Append) {
    let mut buffer = Vec::new();
    let command_id = Some(append.command_id);
    for (index, event) in append.events.iter_mut().enumerate() {
        let fingerprint = append.fingerprint.as_ref().filter(|_| index == 0).map(|bytes| &bytes[..]);
        let hash = hash(event.event_id, command_id, command_index(index), fingerprint, &mut buffer);
        buffer.clear();
        digits(&mut buffer, &hash.0);
        let metadata = &mut event.metadata;
        // Without what ends the object: what comes is its last member.
        metadata.truncate(metadata.trim_end().len().saturating_sub(1));
        metadata.truncate(metadata.trim_end().len());
        metadata.reserve(BEFORE.len() + DIGITS + AFTER.len() + 1);
        if !metadata.ends_with('{') {
            metadata.push(',');
        }
        metadata.push_str(BEFORE);
        metadata.extend(buffer.iter().copied().map(char::from));
        metadata.push_str(AFTER);
    }
}

/// The place of an event among those of its command.
pub(crate) fn command_index(index: usize) -> i16 {
    // An append that is valid has no more events than fit.
    i16::try_from(index).unwrap_or(i16::MAX)
}

/// Whether the ids of an event are those that it was recorded with; none where it was recorded before ids were bound. The
/// buffer only saves an allocation.
pub fn ids_hold(event: &Recorded, buffer: &mut Vec<u8>) -> Option<bool> {
    let rest = event.metadata.strip_suffix(AFTER)?;
    let (before, said) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    // No text has this in it, for a quotation mark in a text has a backslash before it, and none can end before this one.
    if !before.strip_suffix(BEFORE)?.ends_with(['{', ',']) {
        return None;
    }
    let Recorded { event_id, command_id, command_index, fingerprint, .. } = event;
    let found = hash(*event_id, *command_id, *command_index, fingerprint.as_deref(), buffer);
    buffer.clear();
    digits(buffer, &found.0);
    Some(*buffer == said.as_bytes())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::{NewEvent, StreamId};

    fn recorded(metadata: &str) -> Recorded {
        Recorded {
            position: 7,
            event_id: Uuid::from_u128(1),
            stream: StreamId::new("tests.thing", "one"),
            sequence: 1,
            event_type: "ThingHappened".into(),
            event_version: "1".into(),
            payload: "{}".into(),
            sealed: None,
            metadata: bound(metadata).into(),
            recorded_at: Timestamp::UNIX_EPOCH,
            command_id: Some(Uuid::from_u128(2)),
            command_index: 0,
            fingerprint: Some(Bytes::from_static(&[3; 32])),
        }
    }

    fn bound(metadata: &str) -> String {
        let event = NewEvent {
            stream: StreamId::new("tests.thing", "one"),
            event_id: Uuid::from_u128(1),
            event_type: "ThingHappened".into(),
            event_version: "1".into(),
            payload: "{}".into(),
            personal: Vec::new(),
            metadata: metadata.into(),
        };
        let (command_id, fingerprint) = (Uuid::from_u128(2), Some([3; 32]));
        let mut append = Append {
            command_id,
            fingerprint,
            conditions: Vec::new(),
            events: vec![event.clone(), event],
            claims: Vec::new(),
        };
        bind(&mut append);
        assert_ne!(append.events[0].metadata, append.events[1].metadata, "they are two events");
        append.events.swap_remove(0).metadata
    }

    #[test]
    fn what_is_hashed_of_ids_are_these_bytes_for_ever() {
        let expected = format!(
            "annals-ids/v1\n00000000-0000-0000-0000-000000000001\n00000000-0000-0000-0000-000000000002\n0\n{}\n",
            "03".repeat(32)
        );
        let digest = super::super::leaf::hex(&Sha256::digest(expected.as_bytes()));
        assert_eq!(bound("{}"), format!("{{\"ids_sha256\":\"{digest}\"}}"));
        assert_eq!(bound(" { } \n"), format!(" {{\"ids_sha256\":\"{digest}\"}}"));
        assert_eq!(bound("{\"a\":\"b\"}"), format!("{{\"a\":\"b\",\"ids_sha256\":\"{digest}\"}}"));
        let nothing = hash(Uuid::nil(), None, 2, None, &mut Vec::new());
        let expected = Sha256::digest("annals-ids/v1\n00000000-0000-0000-0000-000000000000\n-\n2\n-\n");
        assert_eq!(nothing.0, *expected);
    }

    #[test]
    fn each_id_that_is_altered_is_noticed() {
        let whole = recorded("{\"a\":\"b\"}");
        let altered = [
            Recorded { event_id: Uuid::from_u128(9), ..whole.clone() },
            Recorded { command_id: Some(Uuid::from_u128(9)), ..whole.clone() },
            Recorded { command_id: None, ..whole.clone() },
            Recorded { command_index: 1, ..whole.clone() },
            Recorded { command_index: -1, ..whole.clone() },
            Recorded { fingerprint: Some(Bytes::from_static(&[4; 32])), ..whole.clone() },
            Recorded { fingerprint: Some(Bytes::from_static(&[3; 31])), ..whole.clone() },
            Recorded { fingerprint: None, ..whole.clone() },
        ];
        let holds = |event: &Recorded| ids_hold(event, &mut b"old".to_vec());
        assert_eq!(holds(&whole), Some(true));
        assert_eq!(holds(&recorded("{}")), Some(true));
        for event in altered {
            assert_eq!(holds(&event), Some(false), "{event:?}");
        }
    }

    #[test]
    fn what_was_recorded_before_ids_were_bound_says_nothing_of_them() {
        let pretended = format!("{{\"a\":\"\\\"ids_sha256\\\":\\\"{}\"}}", "0".repeat(64));
        for metadata in
            ["{}", "", "\"}", "{\"a\":\"b\"}", "{\"ids_sha256\":\"00\"}", &pretended, &"é".repeat(40)]
        {
            let event = Recorded { metadata: metadata.into(), ..recorded("{}") };
            assert_eq!(ids_hold(&event, &mut Vec::new()), None, "{metadata}");
        }
    }
}
