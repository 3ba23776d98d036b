//! Which keys there are: their names, never the keys.

use uuid::Uuid;

use super::{Epoch, Keyring};
use crate::StoreError;

/// The newest key of a subject and record class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestKey {
    /// Whose.
    pub subject: Uuid,
    /// The record class.
    pub class: String,
    /// Its epoch.
    pub epoch: Epoch,
}

impl NewestKey {
    /// Its id, as [`Keyring::key_ids`] spells it.
    pub fn id(&self) -> String {
        format!("{}/{}", self.class, self.epoch)
    }
}

impl Keyring {
    /// The newest keys, ordered by subject and class, after this one.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn newest_keys(
        &self,
        after: Option<&NewestKey>,
        limit: usize,
    ) -> Result<Vec<NewestKey>, StoreError> {
        let rows: Vec<(Uuid, String, i32)> = sqlx::query_as(include_str!("../sql/keys_newest.sql"))
            .bind(after.map(|key| key.subject))
            .bind(after.map(|key| &*key.class))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.0.pool)
            .await?;
        let key = |(subject, class, epoch)| NewestKey { subject, class, epoch: Epoch::from_number(epoch) };
        Ok(rows.into_iter().map(key).collect())
    }
}
