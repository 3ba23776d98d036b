//! The statements over a generation's table, and what goes into them.

use event_store::Position;
use uuid::Uuid;

use super::{
    ddl::{quoted, table_name},
    seal::{StoredSealed, Stowed},
};
use crate::{
    row::{ColumnArray, Kind, Param, Raw, Value, WrongKind},
    table::Shape,
};

/// The columns that every table has besides those that its row declares: name, kind, and what they are.
pub(crate) fn technical(shape: &Shape) -> Vec<(&'static str, Kind, &'static str)> {
    let mut columns = vec![
        ("as_of", Kind::Bigint, "The position in the log of the last event that touched the row."),
        ("subject_ids", Kind::Uuids, "Whose data the row holds."),
    ];
    if !shape.personal.is_empty() {
        columns.push(("personal", Kind::Json, "The places of the personal fields; the values are sealed."));
        columns.push(("sealed", Kind::Bytes, "The personal fields, encrypted for their data subjects."));
    }
    columns
}

/// Names and kinds of all columns, in the order of the table.
pub(crate) fn layout(shape: &Shape) -> Vec<(&'static str, Kind)> {
    let declared = shape.columns.iter().map(|column| (column.name, column.kind));
    declared.chain(technical(shape).into_iter().map(|(name, kind, _)| (name, kind))).collect()
}

/// The text of the statements that keep one generation up to date.
#[derive(Clone, Debug)]
pub(crate) struct Statements {
    pub(crate) load: String,
    /// The rows about some people; all of them where none is named.
    pub(crate) about: String,
    pub(crate) upsert: String,
    pub(crate) delete: String,
    pub(crate) copy: String,
}

impl Statements {
    pub(crate) fn new(shape: &Shape, schema: &str) -> Self {
        let table = table_name(shape, schema);
        let columns = layout(shape);
        let list = |prefix: &str| {
            let names = columns.iter().map(|(name, _)| format!("{prefix}{}", quoted(name, '"')));
            names.collect::<Vec<_>>().join(", ")
        };
        let key: Vec<String> = shape.key().iter().map(|column| quoted(column.name, '"')).collect();
        let arrays = |kinds: &mut dyn Iterator<Item = Kind>| {
            let arrays =
                kinds.enumerate().map(|(index, kind)| format!("${}::{}", index + 1, kind.array_sql()));
            arrays.collect::<Vec<_>>().join(", ")
        };
        let keys = format!(
            "unnest({}) AS k({})",
            arrays(&mut shape.key().iter().map(|column| column.kind)),
            key.join(", ")
        );
        let same = key.iter().map(|name| format!("t.{name} = k.{name}")).collect::<Vec<_>>().join(" AND ");
        let values = columns.iter().map(|(name, kind)| match kind {
            Kind::Texts | Kind::Uuids => format!("u.{}::{}", quoted(name, '"'), kind.sql()),
            Kind::Bool
            | Kind::Int
            | Kind::Bigint
            | Kind::Text
            | Kind::Uuid
            | Kind::Timestamp
            | Kind::Date
            | Kind::Json
            | Kind::Bytes => format!("u.{}", quoted(name, '"')),
        });
        let values = values.collect::<Vec<_>>().join(", ");
        let assignments = columns.iter().skip(key.len()).map(|(name, _)| {
            let name = quoted(name, '"');
            format!("{name} = EXCLUDED.{name}")
        });
        let conflict = match shape.ledger {
            true => "NOTHING".to_owned(),
            false => format!("UPDATE SET {}", assignments.collect::<Vec<_>>().join(", ")),
        };
        Statements {
            load: format!("SELECT {} FROM {keys} JOIN {table} t ON {same}", list("t.")),
            about: format!(
                "SELECT {} FROM {table} t WHERE $1::uuid[] = '{{}}' OR t.subject_ids && $1",
                list("t.")
            ),
            upsert: format!(
                "INSERT INTO {table} ({}) SELECT {values} FROM unnest({}) AS u({}) ON CONFLICT ({}) DO {conflict}",
                list(""),
                arrays(&mut columns.iter().map(|(_, kind)| *kind)),
                list(""),
                key.join(", "),
            ),
            delete: format!("DELETE FROM {table} t USING {keys} WHERE {same}"),
            copy: format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", list("")),
        }
    }
}

/// What one statement is given.
pub(crate) type Parcel = Vec<Param>;

/// Keys, one array for each column of the key.
pub(crate) fn load_params(shape: &Shape, keys: &[Vec<Value>]) -> Parcel {
    let mut arrays: Vec<_> = shape.key().iter().map(|column| ColumnArray::new(column.kind)).collect();
    for key in keys {
        for (array, value) in arrays.iter_mut().zip(key) {
            array.push(value);
        }
    }
    arrays.into_iter().map(ColumnArray::finish).collect()
}

/// Rows, one array for each column.
pub(crate) fn upsert_params(shape: &Shape, rows: &[Stowed]) -> Parcel {
    let mut arrays: Vec<_> = layout(shape).into_iter().map(|(_, kind)| ColumnArray::new(kind)).collect();
    for row in rows {
        for (array, value) in arrays.iter_mut().zip(row.cells()) {
            array.push(value);
        }
    }
    arrays.into_iter().map(ColumnArray::finish).collect()
}

/// Reads a row of all columns in the order of the table.
pub(crate) fn read_row<'a>(
    shape: &Shape,
    mut cell: impl FnMut(usize) -> Result<Raw<'a>, WrongKind>,
) -> Result<StoredSealed, WrongKind> {
    let layout = layout(shape);
    let mut cells = Vec::with_capacity(layout.len());
    for (index, (_, kind)) in layout.iter().enumerate() {
        cells.push(Value::take(*kind, cell(index)?.0)?);
    }
    let mut technical = cells.split_off(shape.columns.len()).into_iter();
    let Some(Value::Integer(as_of)) = technical.next() else { return Err(WrongKind("position")) };
    let Some(Value::Uuids(subjects)) = technical.next() else { return Err(WrongKind("list of subjects")) };
    let places = match technical.next() {
        Some(Value::Json(text)) => text,
        Some(_) | None => String::new(),
    };
    let sealed = match technical.next() {
        Some(Value::Bytes(bytes)) => Some(bytes),
        Some(_) | None => None,
    };
    Ok(StoredSealed {
        values: cells,
        as_of: as_of as Position,
        subjects: subjects as Vec<Uuid>,
        places,
        sealed,
    })
}
