//! What proves who somebody is: hashes of passwords, one-time codes, the list of breached passwords, security keys, and what
//! other providers say.
//!
//! What must never live here: a secret that is kept, logged or told to anybody but its owner.

mod breached;
mod codes;
mod oidc;
mod outside;
mod passwords;
mod security_keys;

pub use breached::CommonPasswords;
pub use codes::Rfc6238;
pub use oidc::{OidcConfigError, OidcSettings, OpenIdConnect, providers_in};
pub use passwords::Argon2id;
pub use security_keys::{NotAnOrigin, WebAuthn};
