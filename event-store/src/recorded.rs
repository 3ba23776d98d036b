//! What the log gives back: recorded events, and where it ends.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::{Row, ValueRef, postgres::PgRow};
use uuid::Uuid;

use crate::{Position, StoreError, StreamId, micros::Micros, names::intern};

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the log: 1, 2, 3 ... without gaps, in commit order.
    pub position: Position,
    /// Its identity.
    pub event_id: Uuid,
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its place in its stream: 1, 2, 3 ...
    pub sequence: u64,
    /// The bare event name.
    pub event_type: Cow<'static, str>,
    /// The schema version as text.
    pub event_version: Cow<'static, str>,
    /// JSON text, byte for byte as it was recorded.
    pub payload: Arc<str>,
    /// The personal fields, encrypted; [`crate::Keyring::open`] reads them.
    pub sealed: Option<Bytes>,
    /// JSON text: a flat object of strings.
    pub metadata: Arc<str>,
    /// When it was recorded, exact to the microsecond; never decreases along the log.
    pub recorded_at: Timestamp,
    /// The command that caused it; None for imported events without one.
    pub command_id: Option<Uuid>,
    /// Its place among the events of its command, from 0.
    pub command_index: i16,
    /// Keyed hash of what the client sent, on the first event of a command.
    pub fingerprint: Option<Bytes>,
}

/// A moment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// After the event at this position.
    Position(Position),
    /// After the last event that was recorded at or before this instant.
    Instant(Timestamp),
}

/// A moment has not come: what was recorded up to it could not be told to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ahead {
    /// The log does not have the position.
    #[error("position {asked} is ahead of the log, which ends at {head}")]
    Position {
        /// The position that was asked for.
        asked: Position,
        /// Where the log ends.
        head: Position,
    },
    /// The instant is in the future.
    #[error("the instant has not come yet: it is {now} here")]
    Instant {
        /// What time it is.
        now: Timestamp,
    },
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last position; 0: the log is empty.
    pub position: Position,
    /// When the last event was recorded.
    pub recorded_at: Timestamp,
    /// Made when the log was created. Whoever follows the log keeps it beside the checkpoint.
    pub incarnation: Uuid,
}

/// The columns that [`from_row`] expects, in this order.
pub(crate) const COLUMNS: &str = "e.position, e.event_id, e.aggregate_type, e.aggregate_id, e.sequence, \
     e.event_type, e.event_version, e.payload, e.sealed, e.metadata, e.recorded_at, e.command_id, \
     e.command_index, e.fingerprint";

/// A row of the log that this program did not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row at position {position}: {why}")]
pub struct Illegible {
    /// Its position.
    pub position: Position,
    /// What is wrong with it. It shows no value.
    pub why: String,
}

pub(crate) fn from_row(row: &PgRow) -> Result<Recorded, StoreError> {
    legible(row)?.map_err(|row| StoreError::Unreadable(row.to_string()))
}

/// What stands in a row, where it has a position.
pub(crate) fn legible(row: &PgRow) -> Result<Result<Recorded, Illegible>, StoreError> {
    let position = unsigned(row.try_get(0)?)?;
    Ok(at(position, row).map_err(|error| {
        let why = match error {
            StoreError::Unreadable(why) => why,
            error => error.to_string(),
        };
        Illegible { position, why }
    }))
}

fn at(position: Position, row: &PgRow) -> Result<Recorded, StoreError> {
    let stream =
        StreamId { aggregate_type: intern(row.try_get(2)?), aggregate_id: row.try_get::<&str, _>(3)?.into() };
    Ok(Recorded {
        position,
        event_id: row.try_get(1)?,
        stream,
        sequence: unsigned(row.try_get(4)?)?,
        event_type: intern(row.try_get(5)?),
        event_version: intern(row.try_get(6)?),
        payload: json_text(row, 7)?,
        sealed: bytes(row, 8)?,
        metadata: json_text(row, 9)?,
        recorded_at: row.try_get::<Micros, _>(10)?.timestamp()?,
        command_id: row.try_get(11)?,
        command_index: row.try_get(12)?,
        fingerprint: bytes(row, 13)?,
    })
}

fn bytes(row: &PgRow, index: usize) -> Result<Option<Bytes>, StoreError> {
    Ok(row.try_get::<Option<&[u8]>, _>(index)?.map(Bytes::copy_from_slice))
}

/// The text of a `json` column as it is, neither parsed nor validated again.
fn json_text(row: &PgRow, index: usize) -> Result<Arc<str>, StoreError> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Err(StoreError::Unreadable("a payload is null".into()));
    }
    Ok(value.as_str().map_err(sqlx::Error::Decode)?.into())
}

/// The log has no gaps: whoever sees one sees another log, or one that was tampered with.
///
/// # Errors
/// [`StoreError::Hole`] where these positions do not go on one by one after that one.
pub fn contiguous(after: Position, positions: impl IntoIterator<Item = Position>) -> Result<(), StoreError> {
    match (after + 1..).zip(positions).find(|(expected, found)| expected != found) {
        None => Ok(()),
        Some((expected, found)) => Err(StoreError::Hole { expected, found }),
    }
}

/// PostgreSQL has no unsigned integers.
pub(crate) fn unsigned(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Unreadable(format!("{value} is negative")))
}

/// Positions and sequences fit: no log reaches 2^63 events.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_position_that_is_missing_is_told_and_where_the_log_goes_on() {
        let hole = |positions: &[Position]| match contiguous(10, positions.iter().copied()) {
            Err(StoreError::Hole { expected, found }) => Some((expected, found)),
            Ok(()) | Err(_) => None,
        };
        assert_eq!(hole(&[]), None);
        assert_eq!(hole(&[11, 12, 13, 14]), None);
        assert_eq!(hole(&[12, 13, 14]), Some((11, 12)));
        assert_eq!(hole(&[11, 14]), Some((12, 14)));
        assert_eq!(hole(&[11, 11]), Some((12, 11)));
    }
}
