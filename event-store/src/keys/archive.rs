//! Moves keys out of daily use. What they sealed reads as erased there, and whoever looks into history opens it still.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::{Cache, Epoch, Inner, KeyId, Keyring, lock, seal, shred::CHANNEL};
use crate::{Recorded, StoreError, names::intern};

/// Opens what is archived as well as what is not. It keeps archived keys for as long as it lives: make one for each look.
pub struct History {
    daily: Keyring,
    archive: Keyring,
}

impl History {
    /// As [`Keyring::load_for`].
    ///
    /// # Errors
    /// When the keys cannot be read, or one does not unwrap.
    pub async fn load_for(&self, events: &[Recorded]) -> Result<(), StoreError> {
        self.daily.load_for(events).await?;
        // What daily use cannot open is archived, or gone.
        let mut wanting = Vec::new();
        for event in events {
            if let Some(sealed) = &event.sealed
                && self.daily.lacks_a_key(sealed)?
            {
                wanting.push(&**sealed);
            }
        }
        self.archive.load_for_sealed(wanting).await
    }

    /// As [`Keyring::open`]. None: erased.
    ///
    /// # Errors
    /// `KeyNotLoaded` without [`History::load_for`] before; `Unreadable` if the log was tampered with.
    pub fn open(&self, event: &Recorded) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let opened = self.daily.open(event)?;
        if opened.iter().all(Option::is_some) {
            return Ok(opened);
        }
        match self.archive.open(event) {
            // A key that went since they were loaded is gone for whoever looks now.
            Err(StoreError::KeyNotLoaded) => Ok(opened),
            of_old => of_old,
        }
    }

    /// A keyring for what reads with one: it opens what is archived and what is not. Nothing is sealed with it.
    pub fn keyring(&self) -> &Keyring {
        &self.archive
    }
}

impl Keyring {
    /// For a look into history.
    pub fn history(&self) -> History {
        let Inner { pool, config, orders, .. } = &*self.0;
        let archive = Keyring(Arc::new(Inner {
            pool: pool.clone(),
            config: config.clone(),
            cache: Mutex::new(Cache::new(config.cached)),
            erased: Mutex::new(Cache::new(1)),
            shreds: Mutex::new(0),
            orders: orders.clone(),
            ledger: None,
            archived: true,
            tasks: Mutex::default(),
        }));
        History { daily: self.clone(), archive }
    }

    /// Whether a key of these sealed bytes was looked for and is not there.
    fn lacks_a_key(&self, sealed: &[u8]) -> Result<bool, StoreError> {
        let boxes = seal::boxes(sealed)?;
        let mut cache = lock(&self.0.cache);
        Ok(boxes.iter().any(|sealed| matches!(cache.get(&KeyId::of(&sealed.header)), Some(None))))
    }

    /// Takes the keys of a subject and class, up to this epoch, out of daily use. Doing it again does no harm.
    ///
    /// Other nodes hear of it as they hear of a shred.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn archive(&self, subject: Uuid, class: &str, through: Epoch) -> Result<(), StoreError> {
        let mut transaction = self.0.pool.begin().await?;
        // Their numbers are in commit order: whoever asks for what is new misses none.
        sqlx::query("LOCK TABLE annals_keys.archives IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO annals_keys.archives (subject, class, through) VALUES ($1, $2, $3)")
            .bind(subject)
            .bind(class)
            .bind(through.number())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&mut *transaction).await?;
        transaction.commit().await?;
        self.forget(&[(subject, intern(class), Some(through.number()))]);
        Ok(())
    }

    /// Whose keys were archived after the archiving `after` (0: from the beginning), in order, each with its number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn archives(&self, after: i64, limit: usize) -> Result<Vec<(i64, Uuid)>, StoreError> {
        let archives = "SELECT id, subject FROM annals_keys.archives WHERE id > $1 ORDER BY id LIMIT $2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(sqlx::query_as(archives).bind(after).bind(limit).fetch_all(&self.0.pool).await?)
    }

    /// As [`Keyring::due`], of keys that are not archived yet.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn due_to_archive(
        &self,
        class: &str,
        through: Epoch,
        idle: bool,
    ) -> Result<Vec<(Uuid, u64)>, StoreError> {
        let rows: Vec<(Uuid, i64)> = sqlx::query_as(include_str!("../sql/keys_due_to_archive.sql"))
            .bind(class)
            .bind(through.number())
            .bind(idle)
            .fetch_all(&self.0.pool)
            .await?;
        Ok(rows.into_iter().map(|(subject, count)| (subject, count.unsigned_abs())).collect())
    }

    /// Forgets what was archived after `last`, and says what the last is now. Another node may have done it.
    pub(super) async fn forget_archived(&self, last: i64) -> Result<i64, StoreError> {
        let rows = sqlx::query(
            "SELECT id, subject, class, through FROM annals_keys.archives WHERE id > $1 ORDER BY id LIMIT 10000",
        )
        .bind(last)
        .fetch_all(&self.0.pool)
        .await?;
        let (mut newest, mut gone) = (last, HashSet::new());
        for row in rows {
            newest = row.try_get(0)?;
            let class: &str = row.try_get(2)?;
            gone.insert((row.try_get(1)?, intern(class), Some(row.try_get::<i32, _>(3)?)));
        }
        if !gone.is_empty() {
            self.forget(&gone.into_iter().collect::<Vec<_>>());
        }
        Ok(newest)
    }
}

/// The last archive that there is.
pub(super) async fn last(pool: &PgPool) -> Result<i64, StoreError> {
    let last = sqlx::query_scalar("SELECT COALESCE(max(id), 0) FROM annals_keys.archives");
    Ok(last.fetch_one(pool).await?)
}
