//! Scalars as GraphQL has them here: those of JSON, with integers of 64 bits.

use std::fmt::{Display, Formatter};

use juniper::{Object, ScalarValue, Value};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Number, Value as Json};

/// A scalar.
#[derive(Debug, Clone, PartialEq, Serialize, ScalarValue)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// What GraphQL calls an integer.
    #[value(to_int, to_float)]
    Int(i32),
    /// A larger one.
    Long(i64),
    /// A fraction.
    #[value(to_float)]
    Float(f64),
    /// A text.
    #[value(as_str, to_string)]
    Text(String),
    /// True or false.
    #[value(to_bool)]
    Bool(bool),
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Int(number) => number.fmt(f),
            Scalar::Long(number) => number.fmt(f),
            Scalar::Float(number) => number.fmt(f),
            Scalar::Text(text) => text.fmt(f),
            Scalar::Bool(is) => is.fmt(f),
        }
    }
}

impl From<i32> for Scalar {
    fn from(number: i32) -> Self {
        Scalar::Int(number)
    }
}

impl From<i64> for Scalar {
    fn from(number: i64) -> Self {
        i32::try_from(number).map_or(Scalar::Long(number), Scalar::Int)
    }
}

impl From<f64> for Scalar {
    fn from(number: f64) -> Self {
        Scalar::Float(number)
    }
}

impl From<String> for Scalar {
    fn from(text: String) -> Self {
        Scalar::Text(text)
    }
}

impl From<bool> for Scalar {
    fn from(is: bool) -> Self {
        Scalar::Bool(is)
    }
}

impl From<&Number> for Scalar {
    fn from(number: &Number) -> Self {
        match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64().unwrap_or(f64::NAN).into(),
        }
    }
}

impl TryFrom<Scalar> for String {
    type Error = Scalar;

    fn try_from(scalar: Scalar) -> Result<Self, Scalar> {
        match scalar {
            Scalar::Text(text) => Ok(text),
            other => Err(other),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Bool(is) => Ok(is.into()),
            Json::Number(number) => Ok((&number).into()),
            Json::String(text) => Ok(text.into()),
            Json::Null | Json::Array(_) | Json::Object(_) => Err(D::Error::custom("expected a scalar")),
        }
    }
}

/// Any JSON, as a value of an answer.
pub(super) fn output(value: &Json) -> Value<Scalar> {
    match value {
        Json::Null => Value::null(),
        Json::Bool(is) => Value::scalar(*is),
        Json::Number(number) => Value::Scalar(number.into()),
        Json::String(text) => Value::scalar(text.clone()),
        Json::Array(elements) => Value::list(elements.iter().map(output).collect()),
        Json::Object(fields) => {
            let mut object = Object::with_capacity(fields.len());
            for (name, field) in fields {
                object.add_field(name.as_str(), output(field));
            }
            Value::object(object)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_json_comes_out_as_it_went_in() {
        let value = json!({ "a": [1, -7_000_000_000_i64, 2.5, "x", true, null, { "b": {} }], "c": i64::MAX });
        assert_eq!(serde_json::to_value(output(&value)).unwrap(), value);
    }

    #[test]
    fn a_scalar_is_read_as_json_has_it() {
        let read = |text: &str| serde_json::from_str::<Scalar>(text);
        assert_eq!(read("5000000000").unwrap(), Scalar::Long(5_000_000_000));
        assert_eq!(read("5").unwrap(), Scalar::Int(5));
        assert_eq!(read("\"5\"").unwrap(), Scalar::Text("5".into()));
        assert!(read("[5]").is_err());
    }
}
