//! Cursors: where a page ended, in the values of the columns that it was sorted by.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::plan::Sort;
use crate::{row::Value, table::Shape};

/// Opaque to clients. It belongs to one read model, version and order, and is refused by any other.
#[derive(Serialize, Deserialize)]
pub(super) struct Cursor {
    of: String,
    values: Vec<Option<String>>,
}

impl Cursor {
    fn of(shape: &Shape, sort: &[Sort]) -> String {
        let order = sort.iter().map(Sort::to_string).collect::<Vec<_>>().join(",");
        format!("{}/{}/{order}", shape.name, shape.version)
    }

    pub(super) fn write(shape: &Shape, sort: &[Sort], values: Vec<Value>) -> Option<String> {
        let values = values.iter().map(Value::to_text).collect();
        let text = serde_json::to_vec(&Cursor { of: Self::of(shape, sort), values }).ok()?;
        Some(URL_SAFE_NO_PAD.encode(text))
    }

    pub(super) fn read(shape: &Shape, sort: &[Sort], cursor: &str) -> Option<Vec<Value>> {
        let text = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let Cursor { of, values } = serde_json::from_slice(&text).ok()?;
        if of != Self::of(shape, sort) || values.len() != sort.len() {
            return None;
        }
        let parse = |(sort, text): (&Sort, Option<String>)| match text {
            None => Some(Value::Null),
            Some(text) => sort.column.kind.parse(&text),
        };
        sort.iter().zip(values).map(parse).collect()
    }
}
