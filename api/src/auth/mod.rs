//! Who calls: bearer tokens, the keys that sign and verify them, and what a route asks of its caller.
//!
//! What must never live here: a decision about business data. A token says who somebody is and which roles they hold;
//! what that allows is the aggregates' and the read models' to say.

mod access;
mod credentials;
mod keys;
mod standing;
mod token;

pub use access::Access;
pub use credentials::{Credentials, Door, Entrances, Gate, OneTimeTokens};
pub(crate) use keys::keyed;
pub use keys::{KeyError, SigningKeys};
pub use standing::{Stand, Standing, Withdrawn};
pub use token::{Claims, ELEVATED_FOR, Rejected, Ticket};

/// Who issues the tokens that are accepted (`iss`).
pub const ISSUER: &str = "annals";

/// Whom the tokens that are accepted are for (`aud`).
pub const AUDIENCE: &str = "annals";
