//! Identity & Directory: who may act, as whom, with which proof; and who people and organisations are (catalogue 2.1).
//!
//! Neighbours: every other context names people and org units by their ids and never copies what they say of
//! themselves, except in a snapshot that a decision needs.

mod account;
mod api_client;
mod cidr;
mod org_unit;
mod profile;
mod security_policy;
mod session;
mod values;

pub use account::*;
pub use api_client::*;
pub use cidr::{Cidr, NotCidr, is_within};
pub use org_unit::*;
pub use profile::*;
pub use security_policy::*;
pub use session::*;
pub use values::*;
