//! Which Rust types can be columns, and as what.

use std::collections::BTreeMap;

use domain::{Currency, Money};
use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{Kind, Value, WrongKind, value::date_of};

/// A type that can be a column.
pub trait Cell: Sized + JsonSchema {
    /// The column's type.
    const KIND: Kind;
    /// Whether the column can be null.
    const NULLABLE: bool = false;
    /// The value that is stored.
    fn value(&self) -> Value;
    /// Reads what was stored.
    fn read(value: Value) -> Result<Self, WrongKind>;
}

macro_rules! cells {
    ($($type:ty: $kind:ident, $pattern:pat => $read:expr, |$own:ident| $value:expr;)*) => { $(
        impl Cell for $type {
            const KIND: Kind = Kind::$kind;
            fn value(&self) -> Value {
                let $own = self;
                $value
            }
            fn read(value: Value) -> Result<Self, WrongKind> {
                match value {
                    $pattern => $read.ok_or(WrongKind(stringify!($kind))),
                    _ => Err(WrongKind(stringify!($kind))),
                }
            }
        }
    )* };
}

cells! {
    bool: Bool, Value::Bool(yes) => Some(yes), |own| Value::Bool(*own);
    i32: Int, Value::Integer(number) => i32::try_from(number).ok(), |own| Value::Integer((*own).into());
    i64: Bigint, Value::Integer(number) => Some(number), |own| Value::Integer(*own);
    u32: Bigint, Value::Integer(number) => u32::try_from(number).ok(), |own| Value::Integer((*own).into());
    u16: Int, Value::Integer(number) => u16::try_from(number).ok(), |own| Value::Integer((*own).into());
    String: Text, Value::Text(text) => Some(text), |own| Value::Text(own.clone());
    Uuid: Uuid, Value::Uuid(id) => Some(id), |own| Value::Uuid(*own);
    Timestamp: Timestamp, Value::Timestamp(micros) => Timestamp::from_microsecond(micros).ok(), |own| Value::from(*own);
    Date: Date, Value::Date(days) => date_of(days), |own| Value::from(*own);
    Currency: Text, Value::Text(code) => code.parse().ok(), |own| Value::Text(own.code().to_owned());
    Money: Json, Value::Json(text) => serde_json::from_str(&text).ok(), |own| json_of(own);
    Vec<String>: Texts, Value::Texts(texts) => Some(texts), |own| Value::Texts(own.clone());
    Vec<Uuid>: Uuids, Value::Uuids(ids) => Some(ids), |own| Value::Uuids(own.clone());
}

impl<T: Cell> Cell for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::value)
    }
    fn read(value: Value) -> Result<Self, WrongKind> {
        match value {
            Value::Null => Ok(None),
            known => T::read(known).map(Some),
        }
    }
}

/// A column that holds a document or a list of them: anything that serialises. It must hold no personal value; those
/// belong in the row's `personal` section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned + JsonSchema> Cell for Json<T> {
    const KIND: Kind = Kind::Json;
    fn value(&self) -> Value {
        json_of(&self.0)
    }
    fn read(value: Value) -> Result<Self, WrongKind> {
        match value {
            Value::Json(text) => serde_json::from_str(&text).map(Json).map_err(|_| WrongKind("document")),
            _ => Err(WrongKind("document")),
        }
    }
}

/// Counters and lists by name, kept in order, so that two rebuilds write the same bytes.
pub type JsonMap<V> = Json<BTreeMap<String, V>>;

fn json_of<T: Serialize>(value: &T) -> Value {
    Value::Json(serde_json::to_string(value).expect(
        "a document column serialises: its maps have text keys, and personal values belong in the `personal` section",
    ))
}

/// The text of an enum without fields, as serde names it.
pub fn word<T: Serialize>(value: &T) -> Value {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Value::Text(text),
        Ok(_) | Err(_) => unreachable!("a column of words is an enum without fields"),
    }
}

/// Reads what [`word`] wrote.
pub fn read_word<T: DeserializeOwned>(value: Value) -> Result<T, WrongKind> {
    use serde::de::{IntoDeserializer, value::Error};
    match value {
        Value::Text(text) => {
            T::deserialize(IntoDeserializer::<Error>::into_deserializer(text)).map_err(|_| WrongKind("word"))
        }
        _ => Err(WrongKind("word")),
    }
}

/// Makes text columns of enums without fields: `words!(OrgKind, OrgType);`.
#[macro_export]
macro_rules! words {
    ($($type:ty),* $(,)?) => { $(
        impl $crate::row::Cell for $type {
            const KIND: $crate::row::Kind = $crate::row::Kind::Text;
            fn value(&self) -> $crate::row::Value {
                $crate::row::word(self)
            }
            fn read(value: $crate::row::Value) -> Result<Self, $crate::row::WrongKind> {
                $crate::row::read_word(value)
            }
        }
    )* };
}

/// The identity of a row: one cell, or a tuple of them.
pub trait Key: Clone + Ord + std::hash::Hash + Send + Sync + 'static {
    /// The values of the key columns, in order.
    fn values(&self, out: &mut Vec<Value>);
}

impl<A: Cell + Clone + Ord + std::hash::Hash + Send + Sync + 'static> Key for A {
    fn values(&self, out: &mut Vec<Value>) {
        out.push(self.value());
    }
}

macro_rules! tuple_keys {
    ($($($name:ident)*;)*) => { $(
        impl<$($name: Cell + Clone + Ord + std::hash::Hash + Send + Sync + 'static),*> Key for ($($name,)*) {
            #[allow(non_snake_case, reason = "the variables carry the names of the type parameters")]
            fn values(&self, out: &mut Vec<Value>) {
                let ($($name,)*) = self;
                $( out.push($name.value()); )*
            }
        }
    )* };
}

tuple_keys! {
    A B;
    A B C;
    A B C D;
    A B C D E;
}
