//! From a command to an acknowledged append: load, decide, append; idempotency; the policies that react to events; the
//! ports to the outside.
//!
//! Nothing here knows HTTP, a read model's tables or an adapter of a port. Business decisions live in `domain`.

mod catalog;
mod error;
mod execute;
mod facts;
mod note;
pub mod policies;
pub mod ports;
mod request;
mod sourced;
mod state;

pub use catalog::{AggregateEntry, Catalog, CommandEntry, Elevated, EventEntry, RefusalEntry};
pub use error::CommandError;
pub use execute::{Accepted, Commands};
pub use facts::{Answers, NoAnswers};
pub use request::{Expected, Request};
pub use sourced::{Decision, Sourced, SourcedEvent};
pub use state::{FoldedState, open_events, state_after, stream};
