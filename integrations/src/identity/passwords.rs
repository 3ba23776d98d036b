//! Hashes of passwords: Argon2id for new ones, bcrypt for those that other systems brought along (D-09).
//!
//! A letter with a mark is one character on some keyboards and two on others: a password is brought into the composed form
//! (Unicode NFC) before it is hashed (NIST SP 800-63B-4, 3.1.1.2).

use std::{num::NonZero, sync::Arc, thread};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::{SaltString, rand_core::OsRng},
};
use commands::ports::{Passwords, PortError, Verdict};
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

/// Memory in kibibytes, passes and lanes: the minimum that OWASP recommends for Argon2id.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// The highest cost of a bcrypt hash that is looked at: twice as much work for each more.
const BCRYPT_COST_MAX: u32 = 14;

/// Argon2id at a fixed cost. As many are computed at once as there are processors: each takes some 20 MB.
pub struct Argon2id {
    hasher: Argon2<'static>,
    turns: Arc<Semaphore>,
    /// The hash of no password, for people who do not exist.
    nobody: String,
}

impl Argon2id {
    /// The hasher of this machine.
    ///
    /// # Panics
    /// Never: the cost is a constant that a test holds against the bounds of the algorithm.
    pub fn new() -> Self {
        let (memory, passes, lanes) = COST;
        let params = Params::new(memory, passes, lanes, None).expect("the cost is within bounds");
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let nobody =
            hash(&hasher, SaltString::generate(&mut OsRng).as_ref()).expect("the cost is within bounds");
        Argon2id { hasher, turns: Arc::new(Semaphore::new(processors)), nobody }
    }

    /// Computes away from the threads that serve requests, when it is this one's turn.
    async fn computed<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| failed("closed"))?;
        let computed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            compute()
        });
        computed.await.map_err(|_| failed("it ended early"))?
    }
}

impl Default for Argon2id {
    fn default() -> Self {
        Self::new()
    }
}

impl Passwords for Argon2id {
    fn hash(&self, password: String) -> BoxFuture<'_, Result<String, PortError>> {
        let hasher = self.hasher.clone();
        Box::pin(self.computed(move || hash(&hasher, &composed(&password))))
    }

    fn verify(&self, password: String, against: Option<String>) -> BoxFuture<'_, Result<Verdict, PortError>> {
        let known = against.is_some();
        let stored = against.unwrap_or_else(|| self.nobody.clone());
        let hasher = self.hasher.clone();
        Box::pin(self.computed(move || {
            let composed = composed(&password);
            let mut verdict = verify(&hasher, &composed, &stored)?;
            // Other systems hashed what was typed, as it came.
            if !verdict.holds && composed != password {
                verdict = Verdict { outdated: true, ..verify(&hasher, &password, &stored)? };
            }
            Ok(Verdict { holds: known && verdict.holds, ..verdict })
        }))
    }
}

fn composed(password: &str) -> String {
    password.nfc().collect()
}

fn hash(hasher: &Argon2<'_>, password: &str) -> Result<String, PortError> {
    let salt = SaltString::generate(&mut OsRng);
    hasher
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|_| failed("no hash"))
}

fn verify(hasher: &Argon2<'_>, password: &str, stored: &str) -> Result<Verdict, PortError> {
    if let Some(cost) = bcrypt_cost(stored) {
        if cost > BCRYPT_COST_MAX {
            return Err(failed("the cost of a stored hash is too high"));
        }
        let holds = bcrypt::verify(password, stored).map_err(|_| failed("a stored hash cannot be read"))?;
        return Ok(Verdict { holds, outdated: true });
    }
    let parsed = PasswordHash::new(stored).map_err(|_| failed("a stored hash cannot be read"))?;
    let holds = hasher.verify_password(password.as_bytes(), &parsed).is_ok();
    let same = parsed.algorithm == argon2::ARGON2ID_IDENT
        && Params::try_from(&parsed)
            .is_ok_and(|params| (params.m_cost(), params.t_cost(), params.p_cost()) == COST);
    Ok(Verdict { holds, outdated: !same })
}

/// The cost of a bcrypt hash, `$2b$12$…`; none where it is another.
fn bcrypt_cost(stored: &str) -> Option<u32> {
    let rest = ["$2a$", "$2b$", "$2y$", "$2x$"].into_iter().find_map(|prefix| stored.strip_prefix(prefix))?;
    rest.split('$').next()?.parse().ok()
}

fn failed(reason: &str) -> PortError {
    PortError { port: "passwords", reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "grüne Fahrräder im Regen";

    #[tokio::test]
    async fn a_password_is_known_again_and_no_two_hashes_are_the_same() {
        let passwords = Argon2id::new();
        let stored = passwords.hash(PASSWORD.into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, passwords.hash(PASSWORD.into()).await.unwrap());
        let verdict = |password: &str| passwords.verify(password.into(), Some(stored.clone()));
        assert_eq!(verdict(PASSWORD).await, Ok(Verdict { holds: true, outdated: false }));
        assert_eq!(verdict("grune Fahrrader im Regen").await, Ok(Verdict { holds: false, outdated: false }));
    }

    #[tokio::test]
    async fn a_password_is_the_same_on_every_keyboard() {
        let apart: String = PASSWORD.nfd().collect();
        assert_ne!(apart, PASSWORD);
        let passwords = Argon2id::new();
        let stored = passwords.hash(apart.clone()).await.unwrap();
        for typed in [PASSWORD, &apart] {
            let verdict = passwords.verify(typed.into(), Some(stored.clone())).await;
            assert_eq!(verdict, Ok(Verdict { holds: true, outdated: false }), "{typed:?}");
        }
        let elsewhere = bcrypt::hash(&apart, 4).unwrap();
        let verdict = passwords.verify(apart, Some(elsewhere)).await;
        assert_eq!(verdict, Ok(Verdict { holds: true, outdated: true }), "hashed as it was typed");
    }

    #[tokio::test]
    async fn d09_a_bcrypt_hash_is_verified_and_called_outdated() {
        let stored = bcrypt::hash(PASSWORD, 4).unwrap();
        let passwords = Argon2id::new();
        let verdict = passwords.verify(PASSWORD.into(), Some(stored.clone())).await;
        assert_eq!(verdict, Ok(Verdict { holds: true, outdated: true }));
        let verdict = passwords.verify("another password".into(), Some(stored)).await;
        assert_eq!(verdict, Ok(Verdict { holds: false, outdated: true }));
    }

    #[tokio::test]
    async fn a_weaker_argon2_hash_is_outdated_and_one_that_would_take_for_ever_is_refused() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let stored = hash(&weak, PASSWORD).unwrap();
        let passwords = Argon2id::new();
        let verdict = passwords.verify(PASSWORD.into(), Some(stored)).await;
        assert_eq!(verdict, Ok(Verdict { holds: true, outdated: true }));
        let costly = "$2b$31$C6UzMDM.H6dfI/f/IKcEeO7ZkpsYhFIZz8X4hdxZYPQjTqEwWvlve".to_owned();
        assert!(passwords.verify(PASSWORD.into(), Some(costly)).await.is_err());
        assert!(passwords.verify(PASSWORD.into(), Some("plain text".into())).await.is_err());
    }

    #[tokio::test]
    async fn nobody_has_no_password_and_takes_the_same_work() {
        let passwords = Argon2id::new();
        assert_eq!(
            passwords.nobody.split('$').take(4).collect::<Vec<_>>(),
            ["", "argon2id", "v=19", "m=19456,t=2,p=1"]
        );
        let verdict = passwords.verify(PASSWORD.into(), None).await;
        assert_eq!(verdict, Ok(Verdict { holds: false, outdated: false }));
    }
}
