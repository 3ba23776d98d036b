//! Rows in PostgreSQL: tables made from shapes, rows loaded and stored in bulk.
//!
//! Nothing here knows what a row means. All SQL over read models' tables is made here and in the queries, from the
//! declared columns; values are parameters, always.

mod connection;
pub(crate) mod copy_rows;
mod ddl;
pub(crate) mod places;
mod seal;
mod statements;

pub(crate) use connection::{Connection, by_reference, in_order, load_rows, read_rows};
pub(crate) use ddl::{
    FOLDING, create_indexes, create_schema, create_table, quoted, schema_name, search_vector, table_name,
};
pub(crate) use seal::{open_rows, open_sound_rows, stow};
pub(crate) use statements::{Parcel, Statements, load_params, read_row, technical, upsert_params};
