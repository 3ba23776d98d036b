//! The events of a batch as the columns of one `unnest`.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};
use uuid::Uuid;

use super::request::Accepted;
use crate::{integrity::command_index, recorded::signed};

/// A document as it is to be stored, byte for byte: the integrity leaf was hashed from it.
#[derive(Debug)]
struct Json<'a>(&'a str);

impl ToSql for Json<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    accepts!(JSON);
    to_sql_checked!();
}

#[derive(Default)]
pub(super) struct Columns<'a> {
    aggregate_type: Vec<&'a str>,
    aggregate_id: Vec<&'a str>,
    sequence: Vec<i64>,
    event_id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    event_version: Vec<&'a str>,
    payload: Vec<Json<'a>>,
    metadata: Vec<Json<'a>>,
    sealed: Vec<Option<&'a [u8]>>,
    command_id: Vec<Uuid>,
    command_index: Vec<i16>,
    fingerprint: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(accepted: impl IntoIterator<Item = &'a Accepted>) -> Self {
        let mut columns = Self::default();
        for Accepted { request, sequences, .. } in accepted {
            let append = &request.append;
            for (index, event) in append.events.iter().enumerate() {
                columns.aggregate_type.push(&event.stream.aggregate_type);
                columns.aggregate_id.push(&event.stream.aggregate_id);
                columns.sequence.push(signed(sequences[index]));
                columns.event_id.push(event.event_id);
                columns.event_type.push(&event.event_type);
                columns.event_version.push(&event.event_version);
                columns.payload.push(Json(&event.payload));
                columns.metadata.push(Json(&event.metadata));
                columns.sealed.push(request.sealed[index].as_deref());
                columns.command_id.push(append.command_id);
                columns.command_index.push(command_index(index));
                // One command, one fingerprint: it stands on the first event.
                let fingerprint = append.fingerprint.as_ref().map(|fingerprint| &fingerprint[..]);
                columns.fingerprint.push(fingerprint.filter(|_| index == 0));
            }
        }
        columns
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 12] {
        [
            &self.aggregate_type,
            &self.aggregate_id,
            &self.sequence,
            &self.event_id,
            &self.event_type,
            &self.event_version,
            &self.payload,
            &self.metadata,
            &self.sealed,
            &self.command_id,
            &self.command_index,
            &self.fingerprint,
        ]
    }
}
