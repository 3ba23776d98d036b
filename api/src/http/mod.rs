//! The server: commands in, queries out. Routes are data ([`routes`]); every request takes the one way of [`dispatch`].
//!
//! What must never live here: a business rule. Handlers are tiny; what a command may do its aggregate decides, which
//! rows a caller sees the read model decides.

mod access;
mod api;
pub mod batch;
pub mod body;
mod call;
mod coding;
pub mod command;
mod days;
mod dispatch;
mod documents;
pub mod due;
pub mod explorer;
pub mod filters;
mod funnel;
pub mod governance;
pub mod graphql;
mod headers;
mod health;
pub mod identity;
mod incoming;
mod limits;
pub mod log;
pub mod nearest;
mod overload;
mod package;
mod pairs;
mod past;
mod query;
pub mod replay;
pub mod resources;
mod route;
mod router;
mod routes;
mod server;
mod shape;
pub mod sieve;
pub mod stream;
mod trace;

pub use access::PURPOSE;
pub use api::Api;
pub use call::{Call, uuid};
pub use dispatch::dispatch;
pub use identity::Identity;
pub use incoming::Incoming;
pub use limits::Class;
pub use overload::Overload;
pub use query::ROW_VERSION;
pub use route::{CommandRoute, From, Governance, IdFrom, Log, Operation, Page, QueryRoute, Route, Shows};
pub use router::{Found, Missed, Router};
pub use routes::routes;
pub use server::{configure, metrics_server, server};
pub use trace::Trace;
