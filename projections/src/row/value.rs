//! The values of columns, and their one binary form: PostgreSQL's own, which serves arrays, `COPY` and results alike.

use std::cmp::Ordering;

use base64::Engine;
use jiff::{Timestamp, civil::Date};
use uuid::Uuid;

/// Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days from the Unix epoch to PostgreSQL's.
const EPOCH_DAYS: i64 = 10_957;

/// The types that a column can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the SQL types")]
pub enum Kind {
    Bool,
    Int,
    Bigint,
    Text,
    Uuid,
    Timestamp,
    Date,
    Json,
    Texts,
    Uuids,
    Bytes,
}

impl Kind {
    /// The type's name in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Kind::Bool => "boolean",
            Kind::Int => "integer",
            Kind::Bigint => "bigint",
            Kind::Text => "text",
            Kind::Uuid => "uuid",
            Kind::Timestamp => "timestamptz",
            Kind::Date => "date",
            Kind::Json => "json",
            Kind::Texts => "text[]",
            Kind::Uuids => "uuid[]",
            Kind::Bytes => "bytea",
        }
    }

    /// The object identifiers of the type and of the array of it. Lists travel inside arrays as text, because an array
    /// of arrays is something else in PostgreSQL.
    pub(crate) fn oids(self) -> (u32, u32) {
        match self {
            Kind::Bool => (16, 1000),
            Kind::Int => (23, 1007),
            Kind::Bigint => (20, 1016),
            Kind::Text => (25, 1009),
            Kind::Uuid => (2950, 2951),
            Kind::Timestamp => (1184, 1185),
            Kind::Date => (1082, 1182),
            Kind::Json => (114, 199),
            Kind::Texts => (1009, 1009),
            Kind::Uuids => (2951, 1009),
            Kind::Bytes => (17, 1001),
        }
    }

    /// What a list of this kind has in it; a kind that is no list is itself.
    pub(crate) fn element(self) -> Kind {
        match self {
            Kind::Texts => Kind::Text,
            Kind::Uuids => Kind::Uuid,
            kind => kind,
        }
    }

    /// The SQL type of the array that carries many values of this kind.
    pub(crate) fn array_sql(self) -> &'static str {
        match self {
            Kind::Texts | Kind::Uuids => "text[]",
            Kind::Bool => "boolean[]",
            Kind::Int => "integer[]",
            Kind::Bigint => "bigint[]",
            Kind::Text => "text[]",
            Kind::Uuid => "uuid[]",
            Kind::Timestamp => "timestamptz[]",
            Kind::Date => "date[]",
            Kind::Json => "json[]",
            Kind::Bytes => "bytea[]",
        }
    }

    /// Reads what a client wrote: a filter's value, or a part of a cursor.
    pub fn parse(self, text: &str) -> Option<Value> {
        Some(match self {
            Kind::Bool => Value::Bool(text.parse().ok()?),
            Kind::Int => Value::Integer(text.parse::<i32>().ok()?.into()),
            Kind::Bigint => Value::Integer(text.parse().ok()?),
            // PostgreSQL has no text with this character in it.
            Kind::Text | Kind::Texts if text.contains('\0') => return None,
            Kind::Text | Kind::Texts => Value::Text(text.to_owned()),
            Kind::Uuid | Kind::Uuids => Value::Uuid(text.parse().ok()?),
            Kind::Timestamp => Value::from(text.parse::<Timestamp>().ok()?),
            Kind::Date => Value::from(text.parse::<Date>().ok()?),
            Kind::Json | Kind::Bytes => return None,
        })
    }
}

/// The value of a column. `Integer` serves both widths; [`Kind`] says which.
#[derive(Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named after the kinds")]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    Uuid(Uuid),
    /// Microseconds since the Unix epoch.
    Timestamp(i64),
    /// Days since the Unix epoch.
    Date(i32),
    Json(String),
    Texts(Vec<String>),
    Uuids(Vec<Uuid>),
    Bytes(Vec<u8>),
}

/// Which row it is: the values of its key's columns, in order.
pub type RowKey = Vec<Value>;

/// Never shows a value: a row may hold personal data.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Value::Null) { "null" } else { "[value]" })
    }
}

impl From<Timestamp> for Value {
    fn from(instant: Timestamp) -> Self {
        Value::Timestamp(instant.as_microsecond())
    }
}

impl From<Date> for Value {
    fn from(date: Date) -> Self {
        Value::Date(days_of(date))
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Value::Uuid(id)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Value::Bool(yes)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

fn days_of(date: Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.until(date).expect("two civil dates have a distance in days").get_days()
}

pub(crate) fn date_of(days: i32) -> Option<Date> {
    jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

/// A stored value is not of the kind that its column has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored value is not a {0}")]
pub struct WrongKind(pub &'static str);

impl Value {
    /// Appends the length-prefixed binary form, as `COPY` and arrays hold it.
    pub(crate) fn put(&self, kind: Kind, out: &mut Vec<u8>) {
        if matches!(self, Value::Null) {
            return out.extend((-1_i32).to_be_bytes());
        }
        let start = out.len();
        out.extend([0; 4]);
        self.put_bare(kind, out);
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Appends the binary form without its length. Null has none.
    pub(crate) fn put_bare(&self, kind: Kind, out: &mut Vec<u8>) {
        match self {
            Value::Null => {}
            Value::Bool(yes) => out.push((*yes).into()),
            Value::Integer(number) if kind == Kind::Int => {
                // Such a value came from an `i32`, or was parsed as one.
                out.extend((*number as i32).to_be_bytes());
            }
            Value::Integer(number) => out.extend(number.to_be_bytes()),
            Value::Text(text) | Value::Json(text) => out.extend(text.as_bytes()),
            Value::Uuid(id) => out.extend(id.as_bytes()),
            Value::Timestamp(micros) => out.extend((micros - EPOCH_MICROS).to_be_bytes()),
            Value::Date(days) => out.extend((*days - EPOCH_DAYS as i32).to_be_bytes()),
            Value::Bytes(bytes) => out.extend(bytes),
            Value::Texts(texts) => {
                array_header(out, Kind::Text, texts.len());
                for text in texts {
                    out.extend((text.len() as u32).to_be_bytes());
                    out.extend(text.as_bytes());
                }
            }
            Value::Uuids(ids) => {
                array_header(out, Kind::Uuid, ids.len());
                for id in ids {
                    out.extend(16_u32.to_be_bytes());
                    out.extend(id.as_bytes());
                }
            }
        }
    }

    /// Appends the form that stands inside an array of many rows' values: lists as text.
    pub(crate) fn put_element(&self, kind: Kind, out: &mut Vec<u8>) {
        match self {
            Value::Texts(texts) => Value::Text(literal(texts)).put(Kind::Text, out),
            Value::Uuids(ids) => Value::Text(literal(ids)).put(Kind::Text, out),
            other => other.put(kind, out),
        }
    }

    /// Reads the binary form; `None` is null.
    pub(crate) fn take(kind: Kind, raw: Option<&[u8]>) -> Result<Value, WrongKind> {
        let Some(raw) = raw else { return Ok(Value::Null) };
        let wrong = WrongKind(kind.sql());
        let text = || String::from_utf8(raw.to_vec()).map_err(|_| WrongKind(kind.sql()));
        Ok(match kind {
            Kind::Bool => Value::Bool(raw.first().is_some_and(|byte| *byte != 0)),
            Kind::Int => Value::Integer(i32::from_be_bytes(raw.try_into().map_err(|_| wrong)?).into()),
            Kind::Bigint => Value::Integer(i64::from_be_bytes(raw.try_into().map_err(|_| wrong)?)),
            Kind::Text => Value::Text(text()?),
            Kind::Json => Value::Json(text()?),
            Kind::Uuid => Value::Uuid(Uuid::from_slice(raw).map_err(|_| wrong)?),
            Kind::Timestamp => {
                Value::Timestamp(i64::from_be_bytes(raw.try_into().map_err(|_| wrong)?) + EPOCH_MICROS)
            }
            Kind::Date => {
                Value::Date(i32::from_be_bytes(raw.try_into().map_err(|_| wrong)?) + EPOCH_DAYS as i32)
            }
            Kind::Bytes => Value::Bytes(raw.to_vec()),
            Kind::Texts => Value::Texts(
                elements(raw)
                    .and_then(|all| all.into_iter().map(|one| String::from_utf8(one.to_vec()).ok()).collect())
                    .ok_or(wrong)?,
            ),
            Kind::Uuids => Value::Uuids(
                elements(raw)
                    .and_then(|all| all.into_iter().map(|one| Uuid::from_slice(one).ok()).collect())
                    .ok_or(wrong)?,
            ),
        })
    }

    /// As the API shows it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(yes) => (*yes).into(),
            Value::Integer(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::Uuid(id) => id.to_string().into(),
            Value::Timestamp(micros) => match Timestamp::from_microsecond(*micros) {
                Ok(instant) => instant.to_string().into(),
                Err(_) => serde_json::Value::Null,
            },
            Value::Date(days) => {
                date_of(*days).map_or(serde_json::Value::Null, |date| date.to_string().into())
            }
            Value::Json(text) => serde_json::from_str(text).unwrap_or(serde_json::Value::Null),
            Value::Texts(texts) => texts.as_slice().into(),
            Value::Uuids(ids) => ids.iter().map(Uuid::to_string).collect::<Vec<_>>().into(),
            Value::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        }
    }

    /// The text that [`Kind::parse`] reads back; null and lists have none.
    pub(crate) fn to_text(&self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text.clone()),
            Value::Bool(_) | Value::Integer(_) | Value::Uuid(_) | Value::Timestamp(_) | Value::Date(_) => {
                let json = self.to_json();
                Some(json.as_str().map_or_else(|| json.to_string(), str::to_owned))
            }
            Value::Null | Value::Json(_) | Value::Texts(_) | Value::Uuids(_) | Value::Bytes(_) => None,
        }
    }

    /// The order in which PostgreSQL sorts a column of this kind (text under the collation `C`); null has no order.
    pub(crate) fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Integer(a), Value::Integer(b)) | (Value::Timestamp(a), Value::Timestamp(b)) => {
                Some(a.cmp(b))
            }
            (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Value::Uuid(a), Value::Uuid(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Value>()
            + match self {
                Value::Text(text) | Value::Json(text) => text.len(),
                Value::Texts(texts) => texts.iter().map(|text| text.len() + 24).sum(),
                Value::Uuids(ids) => ids.len() * 16,
                Value::Bytes(bytes) => bytes.len(),
                Value::Null
                | Value::Bool(_)
                | Value::Integer(_)
                | Value::Uuid(_)
                | Value::Timestamp(_)
                | Value::Date(_) => 0,
            }
    }
}

/// One dimension (none where empty), no nulls, the elements' type, the length, and numbering from one.
fn array_header(out: &mut Vec<u8>, element: Kind, length: usize) {
    let dimensions = i32::from(length > 0);
    out.extend(dimensions.to_be_bytes());
    out.extend(0_i32.to_be_bytes());
    out.extend(element.oids().0.to_be_bytes());
    if length > 0 {
        out.extend((length as i32).to_be_bytes());
        out.extend(1_i32.to_be_bytes());
    }
}

/// An array literal, every element quoted.
fn literal<T: ToString>(items: &[T]) -> String {
    let mut text = String::from("{");
    for (index, item) in items.iter().enumerate() {
        text.push_str(if index == 0 { "\"" } else { ",\"" });
        for letter in item.to_string().chars() {
            if matches!(letter, '"' | '\\') {
                text.push('\\');
            }
            text.push(letter);
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// The elements of a one-dimensional array without nulls.
fn elements(raw: &[u8]) -> Option<Vec<&[u8]>> {
    let number = |at: usize| Some(i32::from_be_bytes(raw.get(at..at + 4)?.try_into().ok()?));
    if number(0)? == 0 {
        return Some(Vec::new());
    }
    let count = usize::try_from(number(12)?).ok()?;
    let mut at = 20;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::try_from(number(at)?).ok()?;
        all.push(raw.get(at + 4..at + 4 + length)?);
        at += 4 + length;
    }
    Some(all)
}

/// The values of one column of many rows, as an array that `UNNEST` takes apart.
pub(crate) struct ColumnArray {
    kind: Kind,
    count: i32,
    nulls: bool,
    bytes: Vec<u8>,
}

impl ColumnArray {
    pub(crate) fn new(kind: Kind) -> Self {
        ColumnArray { kind, count: 0, nulls: false, bytes: Vec::new() }
    }

    pub(crate) fn push(&mut self, value: &Value) {
        self.count += 1;
        self.nulls |= matches!(value, Value::Null);
        value.put_element(self.kind, &mut self.bytes);
    }

    /// The array's own binary form.
    pub(crate) fn finish(self) -> Param {
        let (own, array) = self.kind.oids();
        let element = if matches!(self.kind, Kind::Texts | Kind::Uuids) { Kind::Text.oids().0 } else { own };
        let mut out = Vec::with_capacity(self.bytes.len() + 20);
        out.extend(i32::from(self.count > 0).to_be_bytes());
        out.extend(i32::from(self.nulls).to_be_bytes());
        out.extend(element.to_be_bytes());
        if self.count > 0 {
            out.extend(self.count.to_be_bytes());
            out.extend(1_i32.to_be_bytes());
            out.extend(self.bytes);
        }
        Param { oid: array, bytes: Some(out) }
    }
}

/// A parameter of a statement in binary form, for either driver.
#[derive(Clone)]
pub(crate) struct Param {
    oid: u32,
    bytes: Option<Vec<u8>>,
}

/// Never shows the value: it may be personal.
impl std::fmt::Debug for Param {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[parameter]")
    }
}

impl Param {
    pub(crate) fn new(kind: Kind, value: &Value) -> Self {
        let bytes = (!matches!(value, Value::Null)).then(|| {
            let mut bytes = Vec::new();
            value.put_bare(kind, &mut bytes);
            bytes
        });
        Param { oid: kind.oids().0, bytes }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl sqlx::Type<sqlx::Postgres> for Param {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        sqlx::postgres::PgTypeInfo::with_oid(sqlx::postgres::types::Oid(Kind::Text.oids().0))
    }
}

impl sqlx::Encode<'_, sqlx::Postgres> for Param {
    fn encode_by_ref(
        &self,
        buffer: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, BoxError> {
        match &self.bytes {
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                Ok(sqlx::encode::IsNull::No)
            }
            None => Ok(sqlx::encode::IsNull::Yes),
        }
    }

    fn produces(&self) -> Option<sqlx::postgres::PgTypeInfo> {
        Some(sqlx::postgres::PgTypeInfo::with_oid(sqlx::postgres::types::Oid(self.oid)))
    }
}

impl tokio_postgres::types::ToSql for Param {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, BoxError> {
        match &self.bytes {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(tokio_postgres::types::IsNull::No)
            }
            None => Ok(tokio_postgres::types::IsNull::Yes),
        }
    }

    /// Statements cast every parameter to the type of its column, so what the server asks for is what we hold.
    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A result column as it came over the wire.
pub(crate) struct Raw<'a>(pub(crate) Option<&'a [u8]>);

impl<'a> tokio_postgres::types::FromSql<'a> for Raw<'a> {
    fn from_sql(_: &tokio_postgres::types::Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Raw(Some(raw)))
    }
    fn from_sql_null(_: &tokio_postgres::types::Type) -> Result<Self, BoxError> {
        Ok(Raw(None))
    }
    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(kind: Kind, value: Value) {
        let mut bytes = Vec::new();
        value.put_bare(kind, &mut bytes);
        assert!(Value::take(kind, Some(&bytes)).unwrap() == value);
    }

    #[test]
    fn every_kind_reads_back_what_it_wrote() {
        round_trip(Kind::Bool, true.into());
        round_trip(Kind::Int, Value::Integer(-7));
        round_trip(Kind::Bigint, Value::Integer(i64::MIN));
        round_trip(Kind::Text, "Ünï".into());
        round_trip(Kind::Uuid, Uuid::from_u128(77).into());
        round_trip(Kind::Timestamp, "1969-12-31T23:59:59.999999Z".parse::<Timestamp>().unwrap().into());
        round_trip(Kind::Date, jiff::civil::date(1993, 5, 1).into());
        round_trip(Kind::Json, Value::Json("{\"a\":1}".into()));
        round_trip(Kind::Texts, Value::Texts(vec!["a\"b".into(), String::new()]));
        round_trip(Kind::Uuids, Value::Uuids(vec![Uuid::from_u128(1), Uuid::from_u128(2)]));
        round_trip(Kind::Uuids, Value::Uuids(Vec::new()));
    }

    #[test]
    fn dates_before_and_after_the_epoch_show_as_they_were_written() {
        for text in ["0001-01-01", "1969-12-31", "1970-01-01", "2026-02-28", "9999-12-31"] {
            let value = Kind::Date.parse(text).unwrap();
            assert_eq!(value.to_text().as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_not_of_the_kind_is_not_read() {
        for (kind, text) in [
            (Kind::Uuid, "7"),
            (Kind::Int, "3000000000"),
            (Kind::Date, "2026-02-30"),
            (Kind::Text, "a\0"),
            (Kind::Json, "{}"),
        ] {
            assert!(kind.parse(text).is_none(), "{text}");
        }
    }
}
