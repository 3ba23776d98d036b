//! Rows: one declaration gives the struct, the table's columns, their comments, the JSON and its schema.
//!
//! Nothing here knows a database or an event.

mod cell;
mod declare;
mod value;

pub use cell::{Cell, Json, JsonMap, Key, read_word, word};
pub(crate) use value::{ColumnArray, Param, Raw};
pub use value::{Kind, RowKey, Value, WrongKind};

use domain::PersonalGroup;
use schemars::{Schema, SchemaGenerator};

/// A field's name without the `r#` of a raw identifier.
pub const fn bare(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// What a column is besides its type; combined with `|`.
pub type Marks = u8;

/// The marks of columns, as the `row!` macro spells them.
#[allow(non_upper_case_globals, reason = "they are spelled as the words of the `row!` macro")]
pub mod mark {
    use super::Marks;

    /// Part of the key.
    pub const key: Marks = 1;
    /// Clients may filter by it.
    pub const filter: Marks = 2;
    /// Clients may sort by it.
    pub const sort: Marks = 4;
    /// It has an index of its own.
    pub const index: Marks = 8;
    /// Its words can be searched (a text index; filters of the kind `search`).
    pub const search: Marks = 16;
    /// Analysts see it as it is.
    pub const open: Marks = 32;
    /// Analysts see a keyed pseudonym of it (identifiers of people).
    pub const pseudonym: Marks = 64;
}

/// A column, as its row declares it.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its name in SQL and JSON.
    pub name: &'static str,
    /// What it holds, for people.
    pub doc: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether it can be null.
    pub nullable: bool,
    /// What else it is.
    pub marks: Marks,
    /// Its JSON schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Whether a row can hold this value in it: a month is a text, but not every text is a month.
    pub holds: fn(Value) -> bool,
}

impl Column {
    /// Whether it has this mark.
    pub fn is(&self, mark: Marks) -> bool {
        self.marks & mark != 0
    }

    /// The doc comment as one line.
    pub fn comment(&self) -> String {
        one_line(self.doc)
    }
}

impl std::fmt::Debug for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.kind.sql())
    }
}

pub(crate) fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A field that is kept sealed.
#[derive(Clone, Copy)]
pub struct PersonalColumn {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it holds, for people.
    pub doc: &'static str,
    /// Its JSON schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Why a stored row could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// A column has another type.
    #[error(transparent)]
    Kind(#[from] WrongKind),
    /// The personal part has another shape.
    #[error("the personal part of a row cannot be read or written: {0}")]
    Personal(#[from] serde_json::Error),
    /// A column is missing.
    #[error("a stored row has too few columns")]
    TooShort,
}

/// A row of a read model; declared with [`crate::row!`].
pub trait Row: Clone + Send + Sync + 'static {
    /// Which row it is: the type of the key column, or the tuple of them.
    type Key: Key;
    /// What one row is, for people.
    const DOC: &'static str;
    /// The columns, the key's first.
    const COLUMNS: &'static [Column];
    /// The fields that are kept sealed.
    const PERSONAL: &'static [PersonalColumn];

    /// Which row it is.
    fn key(&self) -> Self::Key;
    /// The columns' values, in order.
    fn values(&self, out: &mut Vec<Value>);
    /// The personal fields: their places as a JSON object, and the plain values.
    fn seal(&self) -> Result<(String, Vec<PersonalGroup>), RowError>;
    /// Reads a row; call it in a [`domain::OpeningScope`] that holds its opened groups. `personal` is the object of places.
    fn read(values: Vec<Value>, personal: &str) -> Result<Self, RowError>;
}
