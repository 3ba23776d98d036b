//! What proves who somebody is, computed: hashes of passwords, one-time codes, the list of breached passwords.
//!
//! What must never live here: a secret that is kept, logged or told to anybody but its owner.

mod breached;
mod codes;
mod passwords;

pub use breached::CommonPasswords;
pub use codes::Rfc6238;
pub use passwords::Argon2id;
