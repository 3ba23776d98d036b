//! Rows as `COPY … FROM STDIN (FORMAT binary)` reads them.

use super::{seal::Stowed, statements::layout};
use crate::{row::Kind, table::Shape};

/// What comes first.
pub(crate) fn header() -> Vec<u8> {
    b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec()
}

/// Some rows.
pub(crate) fn append(shape: &Shape, rows: &[Stowed], out: &mut Vec<u8>) {
    let kinds: Vec<Kind> = layout(shape).into_iter().map(|(_, kind)| kind).collect();
    for row in rows {
        out.extend((kinds.len() as i16).to_be_bytes());
        for (value, kind) in row.cells().zip(&kinds) {
            value.put(*kind, out);
        }
    }
}

/// What comes last.
pub(crate) fn trailer() -> Vec<u8> {
    (-1_i16).to_be_bytes().to_vec()
}
