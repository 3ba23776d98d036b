//! A command on its way through the writer.

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Append, AppendError, Appended, Condition, Position, Recorded, StreamId, integrity::command_index,
    keys::Epoch, micros::Micros, names::keep, recorded::unsigned,
};

/// What [`crate::EventStore::append`] hands to the writer.
pub(crate) struct Request {
    pub(super) append: Append,
    /// For each event.
    pub(super) sealed: Vec<Option<Bytes>>,
    /// The calendar month that it was sealed for, if anything was sealed.
    pub(super) month: Option<Epoch>,
    pub(super) since: Instant,
    reply: oneshot::Sender<Reply>,
}

/// What the writer answers.
pub(crate) enum Reply {
    Appended(Appended),
    Refused(AppendError),
    /// The command is in the log already, from this attempt (before a connection was lost) or an earlier one.
    Repeated,
    /// It would be recorded at this time, in another month than it was sealed for.
    SealedTooEarly(Box<Append>, Micros),
}

impl Request {
    pub(crate) fn new(
        append: Append,
        sealed: Vec<Option<Bytes>>,
        month: Option<Epoch>,
        reply: oneshot::Sender<Reply>,
    ) -> Self {
        Self { append, sealed, month, since: Instant::now(), reply }
    }

    /// Nobody waits for the answer any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.reply.is_closed()
    }

    /// Answers. Whoever was cancelled does not hear it; the command stays decided as it is.
    pub(super) fn answer(self, reply: Reply) {
        _ = self.reply.send(reply);
    }

    pub(super) fn refuse(self, error: AppendError) {
        self.answer(Reply::Refused(error));
    }

    pub(super) fn send_back(self, recorded_at: Micros) {
        let Self { append, reply, .. } = self;
        _ = reply.send(Reply::SealedTooEarly(Box::new(append), recorded_at));
    }

    /// The bytes that travel to the database, about.
    pub(super) fn size(&self) -> usize {
        let sealed = |index: usize| self.sealed[index].as_ref().map_or(0, Bytes::len);
        let events = self.append.events.iter().enumerate();
        events.map(|(index, event)| event.payload.len() + event.metadata.len() + sealed(index) + 200).sum()
    }

    pub(super) fn condition(&self, stream: &StreamId) -> Option<&Condition> {
        self.append.conditions.iter().find(|condition| condition.stream == *stream)
    }

    /// The streams that it writes, each once, in the order of their first events.
    pub(super) fn written(&self) -> Vec<&StreamId> {
        let mut streams: Vec<&StreamId> = Vec::with_capacity(1);
        for event in &self.append.events {
            if !streams.contains(&&event.stream) {
                streams.push(&event.stream);
            }
        }
        streams
    }
}

/// A command that was found good, with the places that its events get.
pub(super) struct Accepted {
    pub(super) request: Request,
    /// The position of its first event.
    pub(super) first: Position,
    /// For each event, its place in its stream.
    pub(super) sequences: Vec<u64>,
    /// The versions that it leaves.
    pub(super) versions: Vec<(StreamId, u64)>,
}

impl Accepted {
    /// Gives the events their places; `bases` are the versions of the written streams before.
    pub(super) fn new(request: Request, first: Position, bases: Vec<(StreamId, u64)>) -> Self {
        let mut versions = bases;
        let next = |event: &crate::NewEvent| {
            let version = versions.iter_mut().find(|(stream, _)| *stream == event.stream);
            let (_, version) = version.expect("every written stream has a base");
            *version += 1;
            *version
        };
        let sequences = request.append.events.iter().map(next).collect();
        Self { request, first, sequences, versions }
    }

    /// Its events as they stand in the log now; they are taken out.
    pub(super) fn recorded(&mut self, recorded_at: Micros) -> impl Iterator<Item = Recorded> + '_ {
        let recorded_at = crate::instant(recorded_at);
        let command_id = Some(self.request.append.command_id);
        let mut fingerprint = self.request.append.fingerprint;
        let events = std::mem::take(&mut self.request.append.events).into_iter();
        let sealed = std::mem::take(&mut self.request.sealed);
        let placed = events.enumerate().zip(sealed).zip(&self.sequences).zip(self.first..);
        placed.map(move |((((index, event), sealed), sequence), position)| Recorded {
            position,
            event_id: event.event_id,
            stream: event.stream,
            sequence: *sequence,
            event_type: keep(event.event_type),
            event_version: keep(event.event_version),
            payload: event.payload.into(),
            sealed,
            metadata: event.metadata.into(),
            recorded_at,
            command_id,
            command_index: command_index(index),
            // It stands on the first one.
            fingerprint: fingerprint.take().map(|bytes| Bytes::copy_from_slice(&bytes)),
        })
    }

    pub(super) fn answer(self, recorded_at: Micros) {
        let appended = Appended {
            position: self.first + self.sequences.len() as Position - 1,
            first_position: self.first,
            recorded_at: crate::instant(recorded_at),
            versions: self.versions,
            repeated: false,
        };
        self.request.answer(Reply::Appended(appended));
    }
}

/// Where a writer believes the head to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) position: Position,
    pub(super) recorded_at: Micros,
    pub(super) batch: i64,
}

impl Fence {
    pub(super) fn from_row(row: &tokio_postgres::Row) -> Result<Self, crate::StoreError> {
        Ok(Self {
            position: unsigned(row.try_get(0)?)?,
            recorded_at: row.try_get(1)?,
            batch: row.try_get(2)?,
        })
    }

    /// Where the head will be after `events` more, recorded now.
    pub(super) fn next(self, events: u64) -> Self {
        Self {
            position: self.position + events,
            recorded_at: self.recorded_at.max(Micros::now()),
            batch: rand::random(),
        }
    }
}
