//! Claims: uniqueness and capacity across streams (catalogue 0.6).

use serde::{Deserialize, Serialize};

/// What an event takes or frees across streams. A claim that cannot be had refuses the append that carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// Takes a key that one stream at a time may hold.
    Take(String),
    /// Takes one of `limit` seats of a key.
    Seat {
        /// The key, such as `mentor:<id>`.
        key: String,
        /// How many streams may hold it at once.
        limit: u32,
    },
    /// Frees what this stream holds of a key.
    Free(String),
}
