//! Looking at claims, and putting them right: they are a pure function of the events, so they can be rebuilt.

use std::borrow::Cow;

use sqlx::Row;

use crate::{EventStore, Position, StoreError, StreamId, micros::Micros, recorded::unsigned};

/// The record class of the values that claims are made of: of such a value a key has the keyed hash, at its end.
const CLAIMED: &str = "identity";

/// A claim as it is held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldClaim {
    /// What is held.
    pub key: String,
    /// One seat of a limited number, rather than the whole.
    pub seat: bool,
    /// The stream that holds it.
    pub by: StreamId,
}

/// What the column `seat` holds: empty for a claim that is held alone, else the holder.
pub(crate) fn seat_of(seat: bool, by: &StreamId) -> Cow<'static, str> {
    if seat { Cow::Owned(by.to_string()) } else { Cow::Borrowed("") }
}

impl EventStore {
    /// The claims on up to `limit` keys after `after` ("" for the first), in the order of their keys; all holders of a key
    /// are given together.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claims(&self, after: &str, limit: usize) -> Result<Vec<HeldClaim>, StoreError> {
        let rows = sqlx::query(include_str!("sql/claims.sql"))
            .bind(after)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(held).collect()
    }

    /// Who holds this key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holders(&self, key: &str) -> Result<Vec<HeldClaim>, StoreError> {
        // PostgreSQL knows no such text, so nobody holds it.
        if key.contains('\0') {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "SELECT key, seat, holder_type, holder_id FROM annals.claims WHERE key = $1 ORDER BY seat",
        )
        .bind(key)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(held).collect()
    }

    /// Frees what those who were erased claim by a keyed hash of a value of theirs, and says how many claims that were. An
    /// erasure frees them by itself; a backup of the log that is restored brings them back.
    ///
    /// # Errors
    /// When a database fails.
    pub async fn free_claims_of_erased(&self) -> Result<u64, StoreError> {
        let erased = self.keyring().erased(CLAIMED).await?;
        if erased.is_empty() {
            return Ok(0);
        }
        let freed = sqlx::query(include_str!("sql/claims_of_erased.sql")).bind(erased);
        let freed = freed.execute(self.pool()).await?.rows_affected();
        if freed > 0 {
            tracing::warn!(freed, "claims of people who had been erased were back and were freed again");
        }
        Ok(freed)
    }

    /// Replaces all claims by those that the events up to `at` give.
    ///
    /// # Errors
    /// `Moved` when the log has gone on since: fold the rest of it and try again. Otherwise when the database fails.
    pub async fn replace_claims(&self, at: Position, claims: &[HeldClaim]) -> Result<(), StoreError> {
        let mut transaction = self.pool().begin().await?;
        let head = sqlx::query("SELECT position, recorded_at FROM annals.head FOR UPDATE")
            .fetch_one(&mut *transaction)
            .await?;
        let position = unsigned(head.try_get(0)?)?;
        if position != at {
            let recorded_at = head.try_get::<Micros, _>(1)?.timestamp()?;
            return Err(StoreError::Moved { head: position, recorded_at });
        }
        sqlx::query("DELETE FROM annals.claims").execute(&mut *transaction).await?;
        for claims in claims.chunks(10_000) {
            let keys: Vec<&str> = claims.iter().map(|claim| &*claim.key).collect();
            let seats: Vec<Cow<'_, str>> =
                claims.iter().map(|claim| seat_of(claim.seat, &claim.by)).collect();
            let types: Vec<&str> = claims.iter().map(|claim| &*claim.by.aggregate_type).collect();
            let ids: Vec<&str> = claims.iter().map(|claim| &*claim.by.aggregate_id).collect();
            sqlx::query(include_str!("sql/claims_insert.sql"))
                .bind(keys)
                .bind(seats)
                .bind(types)
                .bind(ids)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn held(row: &sqlx::postgres::PgRow) -> Result<HeldClaim, StoreError> {
    let seat: &str = row.try_get(1)?;
    let holder: &str = row.try_get(2)?;
    let by = StreamId::new(crate::names::intern(holder), row.try_get::<&str, _>(3)?);
    Ok(HeldClaim { key: row.try_get(0)?, seat: !seat.is_empty(), by })
}
