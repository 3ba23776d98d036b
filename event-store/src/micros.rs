//! A `timestamptz` as PostgreSQL keeps it: integer microseconds, exact in both directions and for both drivers.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo, PgValueFormat, PgValueRef},
};
use tokio_postgres::types as driver;

use crate::StoreError;

/// Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01T00:00:00Z.
const EPOCH: i64 = 946_684_800_000_000;

/// Microseconds since the Unix epoch; in SQL a `timestamptz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Micros(pub(crate) i64);

impl Micros {
    pub(crate) fn now() -> Self {
        Self(Timestamp::now().as_microsecond())
    }

    pub(crate) fn timestamp(self) -> Result<Timestamp, StoreError> {
        Timestamp::from_microsecond(self.0)
            .map_err(|error| StoreError::Unreadable(format!("recorded_at: {error}")))
    }
}

impl From<Timestamp> for Micros {
    /// The microsecond at or before the instant, also before 1970.
    fn from(instant: Timestamp) -> Self {
        let nanos = instant.as_nanosecond();
        Self(i64::try_from(nanos.div_euclid(1000)).unwrap_or(i64::MAX))
    }
}

impl Type<Postgres> for Micros {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl Encode<'_, Postgres> for Micros {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode_by_ref(&(self.0 - EPOCH), buffer)
    }
}

impl Decode<'_, Postgres> for Micros {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self(i64::from_be_bytes(value.as_bytes()?.try_into()?) + EPOCH)),
            PgValueFormat::Text => Err("a timestamp in text format".into()),
        }
    }
}

impl driver::ToSql for Micros {
    fn to_sql(
        &self,
        _: &driver::Type,
        out: &mut BytesMut,
    ) -> Result<driver::IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.0 - EPOCH);
        Ok(driver::IsNull::No)
    }
    driver::accepts!(TIMESTAMPTZ);
    driver::to_sql_checked!();
}

impl<'a> driver::FromSql<'a> for Micros {
    fn from_sql(_: &driver::Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?) + EPOCH))
    }
    driver::accepts!(TIMESTAMPTZ);
}
