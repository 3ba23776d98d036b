//! Takes the wrapped bytes of destroyed keys out of the pages of their table. Without the master key they are noise; but what
//! was destroyed is to be gone, and not only out of reach.

use sqlx::{Connection, PgConnection};

use super::Keyring;
use crate::StoreError;

/// Tables above this size are not rewritten by the way: nobody can make a key while that lasts.
const BY_THE_WAY: i64 = 256 << 20;

/// So long keys wait for a reader of the table, such as a backup, before it is tried again later.
const PATIENCE: &str = "3s";

/// One at a time in each database (an arbitrary number).
const SCRUBBING: i64 = 0x616e_6e61_6c77;

impl Keyring {
    /// Writes the table of keys anew, if keys were destroyed since it was done last and it is not large; whether it was.
    ///
    /// # Errors
    /// When the database fails, or somebody reads the table for longer than keys can wait: to be tried again later.
    pub async fn scrub_after_shreds(&self) -> Result<bool, StoreError> {
        let (due, size): (bool, i64) = sqlx::query_as(
            "SELECT coalesce((SELECT max(id) FROM annals_keys.shreds), 0) > (SELECT shred FROM annals_keys.scrubbed),
                pg_total_relation_size('annals_keys.data_keys')",
        )
        .fetch_one(&self.0.pool)
        .await?;
        if due && size > BY_THE_WAY {
            tracing::warn!(
                bytes = size,
                "the table of keys is large: run `annals-replay scrub-keys` at a quiet hour"
            );
        }
        Ok(due && size <= BY_THE_WAY && self.scrub().await?)
    }

    /// Writes the table of keys anew, so that its file holds no bytes of keys that were destroyed or wrapped otherwise.
    /// While that lasts no key is made. False: another node is at it.
    ///
    /// The write-ahead log has such bytes until its segments are removed; archived ones count as a backup of the keys.
    ///
    /// # Errors
    /// When the database fails, or somebody reads the table for longer than keys can wait.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        let mut connection = PgConnection::connect_with(&self.0.pool.connect_options()).await?;
        let alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(SCRUBBING)
            .fetch_one(&mut connection)
            .await?;
        if !alone {
            return Ok(false);
        }
        let last: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM annals_keys.shreds")
            .fetch_one(&mut connection)
            .await?;
        sqlx::query(&format!("SET lock_timeout = '{PATIENCE}'")).execute(&mut connection).await?;
        sqlx::query("VACUUM (FULL) annals_keys.data_keys").execute(&mut connection).await?;
        // The former file goes with a checkpoint, and so do segments of the write-ahead log that nobody needs any more. Who
        // may not ask for one waits for the next.
        if let Err(error) = sqlx::query("CHECKPOINT").execute(&mut connection).await {
            tracing::info!(%error, "the former table of keys goes with the next checkpoint");
        }
        sqlx::query("UPDATE annals_keys.scrubbed SET shred = greatest(shred, $1)")
            .bind(last)
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(true)
    }
}
