//! Pure decisions: what may happen, and what follows from what did happen.
//!
//! One folder per bounded context, one file per aggregate. Nothing in here does I/O, is async, reads a clock, draws a
//! random number or knows a framework: time, actor and identifiers arrive in a [`kernel::Context`], the facts of other
//! streams in the aggregate's `Facts`.
//!
//! An aggregate's file is read from top to bottom in this order: purpose, life cycle and numbered rules; state;
//! `Command`; `Event`; `Refusal`; `decide`; `evolve`; tests.

#![deny(clippy::float_arithmetic)]

pub mod budgeting;
pub mod credentials;
pub mod governance;
pub mod identity;
pub mod intelligence;
pub mod kernel;
pub mod notifications;
pub mod opportunities;
pub mod registry;

pub use kernel::*;
