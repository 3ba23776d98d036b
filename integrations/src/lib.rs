//! Adapters of the ports that `commands` defines, one module for each kind of thing outside. Local adapters do real work
//! offline and name themselves in every result.
//!
//! Nothing here decides anything, knows the log or is known by anybody but the binary that wires it.

pub mod certifier;
pub mod embedding;
pub mod identity;
pub mod mail;
