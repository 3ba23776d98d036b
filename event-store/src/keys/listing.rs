//! Which keys there are, and what became of others: their names, never the keys.

use sqlx::Row;
use uuid::Uuid;

use super::{BoxHeader, Epoch, KeyId, Keyring, columns};
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

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is there, in daily use or archived.
    There,
    /// It was destroyed, by an erasure or when its time was over.
    Destroyed,
    /// It is gone, and nothing has destroyed it.
    Missing,
    /// It does not unwrap: somebody altered it, or put it where another key was.
    Altered,
    /// It is wrapped by a master key that is not here.
    Foreign,
}

impl Keyring {
    /// What became of the keys that boxes were sealed with, in the same order.
    ///
    /// # Errors
    /// When they cannot be looked for.
    pub async fn states(&self, keys: &[BoxHeader]) -> Result<Vec<KeyState>, StoreError> {
        let keys: Vec<KeyId> = keys.iter().map(KeyId::of).collect();
        let (subjects, classes, epochs) = columns(&keys);
        let rows = sqlx::query(include_str!("../sql/keys_states.sql"))
            .bind(subjects)
            .bind(classes)
            .bind(epochs)
            .fetch_all(&self.0.pool)
            .await?;
        let state = |(id, row): (&KeyId, &sqlx::postgres::PgRow)| {
            let wrapped: Option<(&[u8], &[u8])> = Option::zip(row.try_get(0)?, row.try_get(1)?);
            Ok(match wrapped {
                _ if row.try_get(2)? => KeyState::Destroyed,
                None => KeyState::Missing,
                Some((master, wrapped)) => match self.master(master) {
                    None => KeyState::Foreign,
                    Some(master) if master.unwrap(id, wrapped).is_err() => KeyState::Altered,
                    Some(_) => KeyState::There,
                },
            })
        };
        keys.iter().zip(&rows).map(state).collect()
    }

    /// Which of these keys, each a subject and an id as [`Keyring::key_ids`] spells it, are in the store of keys, whatever was
    /// said of them.
    ///
    /// # Errors
    /// When they cannot be looked for.
    pub async fn stored(&self, keys: &[(Uuid, String)]) -> Result<Vec<(Uuid, String)>, StoreError> {
        let (subjects, ids): (Vec<Uuid>, Vec<&str>) = keys.iter().map(|(of, id)| (*of, &**id)).unzip();
        let stored = sqlx::query_as(include_str!("../sql/keys_stored.sql")).bind(subjects).bind(ids);
        Ok(stored.fetch_all(&self.0.pool).await?)
    }

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
