//! Destroys keys, and hears of keys that other nodes have destroyed.

use std::{
    borrow::Cow,
    collections::HashMap,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{PgPool, Row, postgres::PgListener};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{
    Epoch, Inner, KeyId, Keyring, archive,
    ledger::{Ledger, Line},
    lock,
};
use crate::{StoreError, micros::Micros, names::intern};

/// Why keys are destroyed, and so how far it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Everything, for ever: no key of this subject and class is made again.
    Erasure,
    /// The epochs up to this one have ended; later ones go on.
    Retention {
        /// The last epoch that has ended.
        through: Epoch,
    },
}

/// The record classes whose keys are destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes<'a> {
    /// Every class there is or will be.
    All,
    /// These.
    Only(&'a [&'a str]),
}

/// Stands for every class in the table of shreds.
pub(super) const EVERY_CLASS: &str = "*";

/// A line of the table of shreds: what a ledger of erasures keeps in a third place, to apply it again after a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shred {
    /// Counts the shreds of this keyring, in commit order.
    pub id: i64,
    /// Whose keys.
    pub subject: Uuid,
    /// The record class; None: all.
    pub class: Option<Cow<'static, str>>,
    /// Why.
    pub basis: Basis,
    /// When.
    pub shredded_at: Timestamp,
}

pub(super) const CHANNEL: &str = "annals_shreds";

/// How often a node asks for shreds that no notification has told it of.
const POLL: Duration = Duration::from_secs(1);
/// How many it reads at once.
const NEWS: usize = 10_000;

impl Keyring {
    /// Destroys the keys of a subject, and says how many there were. It is durable when this returns, in the ledger of
    /// erasures first. Doing it again does no harm.
    ///
    /// Other nodes drop the keys from memory when they hear of it: at once, or within a second.
    ///
    /// # Errors
    /// When the keys cannot be destroyed; then none is.
    pub async fn shred(&self, subject: Uuid, classes: Classes<'_>, basis: Basis) -> Result<u64, StoreError> {
        let classes = match classes {
            Classes::All => &[EVERY_CLASS],
            Classes::Only(classes) if classes.contains(&EVERY_CLASS) => {
                return Err(StoreError::Configuration("* is not a record class".into()));
            }
            Classes::Only(classes) => classes,
        };
        let through = match basis {
            Basis::Erasure => None,
            Basis::Retention { through } => Some(through.number()),
        };
        if let Some(ledger) = &self.0.ledger {
            let line = |class: &&str| (subject, (*class).to_owned(), through);
            ledger.add(classes.iter().map(line).collect()).await?;
        }
        let mut transaction = self.0.pool.begin().await?;
        sqlx::query("SET LOCAL synchronous_commit = on").execute(&mut *transaction).await?;
        // No key is bound while this runs, and whoever waits to bind one sees the tombstone (keys_mint.sql).
        sqlx::query("LOCK TABLE annals_keys.data_keys IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await?;
        let mut destroyed = 0;
        for class in classes {
            let gone: i64 = sqlx::query_scalar(include_str!("../sql/keys_destroy.sql"))
                .bind(subject)
                .bind(class)
                .bind(through)
                .fetch_one(&mut *transaction)
                .await?;
            destroyed += gone.unsigned_abs();
        }
        sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&mut *transaction).await?;
        transaction.commit().await?;
        let shreds: Vec<_> = classes.iter().map(|class| (subject, intern(class), through)).collect();
        self.forget(&shreds);
        Ok(destroyed)
    }

    /// Whether the data of this subject and class was erased for good.
    ///
    /// # Errors
    /// When it has to be looked up and cannot be.
    pub async fn is_erased(&self, subject: Uuid, class: &str) -> Result<bool, StoreError> {
        let id = (subject, intern(class));
        if let Some(&mut known) = lock(&self.0.erased).get(&id) {
            return Ok(known);
        }
        loop {
            let shreds = *lock(&self.0.shreds);
            let erased: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM annals_keys.shreds
                 WHERE subject = $1 AND class IN ($2, '*') AND through IS NULL)",
            )
            .bind(subject)
            .bind(class)
            .fetch_one(&self.0.pool)
            .await?;
            let known = lock(&self.0.shreds);
            if *known == shreds {
                lock(&self.0.erased).insert(id, erased);
                return Ok(erased);
            }
        }
    }

    /// Whose data of this class was erased for good.
    pub(crate) async fn erased(&self, class: &str) -> Result<Vec<String>, StoreError> {
        let erased = sqlx::query_scalar(
            "SELECT DISTINCT subject::text FROM annals_keys.shreds WHERE class IN ($1, '*') AND through IS NULL",
        );
        Ok(erased.bind(class).fetch_all(&self.0.pool).await?)
    }

    /// The ids of a subject's keys of one class, as `class/yyyy-mm`: those that a shred on this basis would destroy.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn key_ids(&self, subject: Uuid, class: &str, basis: Basis) -> Result<Vec<String>, StoreError> {
        let through = match basis {
            Basis::Erasure => i32::MAX,
            Basis::Retention { through } => through.number(),
        };
        let epochs: Vec<i32> = sqlx::query_scalar(
            "SELECT epoch FROM annals_keys.data_keys WHERE subject = $1 AND class = $2 AND epoch <= $3 ORDER BY epoch",
        )
        .bind(subject)
        .bind(class)
        .bind(through)
        .fetch_all(&self.0.pool)
        .await?;
        Ok(epochs.into_iter().map(|epoch| format!("{class}/{}", Epoch::from_number(epoch))).collect())
    }

    /// The ids of the keys of one class that a shred on this basis has destroyed. They were written down in the very
    /// transaction that destroyed them, so whoever is interrupted after a shred finds them here.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn destroyed_ids(
        &self,
        subject: Uuid,
        class: &str,
        basis: Basis,
    ) -> Result<Vec<String>, StoreError> {
        let through = match basis {
            Basis::Erasure => None,
            Basis::Retention { through } => Some(through.number()),
        };
        let ids = sqlx::query_scalar(include_str!("../sql/keys_destroyed.sql"))
            .bind(subject)
            .bind(class)
            .bind(through);
        Ok(ids.fetch_all(&self.0.pool).await?)
    }

    /// How many keys of these classes there are that were destroyed: none, unless somebody brought them back behind our
    /// back.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn returned(&self, subject: Uuid, classes: &[&str]) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(include_str!("../sql/keys_returned.sql"))
            .bind(subject)
            .bind(classes)
            .fetch_one(&self.0.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Whose keys of a class a retention shred up to this epoch would destroy, and how many; with `idle` only of those
    /// who have no later one.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn due(&self, class: &str, through: Epoch, idle: bool) -> Result<Vec<(Uuid, u64)>, StoreError> {
        let rows: Vec<(Uuid, i64)> = sqlx::query_as(include_str!("../sql/keys_due.sql"))
            .bind(class)
            .bind(through.number())
            .bind(idle)
            .fetch_all(&self.0.pool)
            .await?;
        Ok(rows.into_iter().map(|(subject, count)| (subject, count.unsigned_abs())).collect())
    }

    /// How many destructions of keys this process has taken notice of. Whoever keeps opened values lets go of them when
    /// this changes.
    pub fn known_shreds(&self) -> u64 {
        *lock(&self.0.shreds)
    }

    /// What was shredded after the shred `after` (0: from the beginning), in order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn shreds(&self, after: i64, limit: usize) -> Result<Vec<Shred>, StoreError> {
        read(&self.0.pool, after, limit).await
    }

    pub(super) fn forget(&self, shreds: &[(Uuid, Cow<'static, str>, Option<i32>)]) {
        *lock(&self.0.shreds) += 1;
        let mut of_each: HashMap<Uuid, Vec<(&str, Option<i32>)>> = HashMap::new();
        for (subject, class, through) in shreds {
            of_each.entry(*subject).or_default().push((&**class, *through));
        }
        let concerning = |subject: &Uuid, class: &str| -> Vec<Option<i32>> {
            let same = |of: &str| of == EVERY_CLASS || of == class;
            let shreds = of_each.get(subject).into_iter().flatten().filter(|(of, _)| same(of));
            shreds.map(|(_, through)| *through).collect()
        };
        lock(&self.0.cache).update(|id: &KeyId, key| {
            let ended = |through: &Option<i32>| through.is_none_or(|through| id.epoch.number() <= through);
            if concerning(&id.subject, &id.class).iter().any(ended) {
                *key = None;
            }
        });
        lock(&self.0.erased).update(|(subject, class), erased| {
            *erased |= concerning(subject, class).iter().any(Option::is_none);
        });
    }

    /// The keys are those of a backup again, put back while they were in use: what the ledger of erasures names is destroyed
    /// again, as it is when they are opened. Says what the last shred is now.
    async fn destroy_again(&self) -> Result<Option<Shred>, StoreError> {
        let mut destroyed = 0;
        if let Some(ledger) = &self.0.ledger {
            destroyed = ledger.apply(&self.0.pool).await?;
            let lines = ledger.lines().into_iter();
            let lines: Vec<_> =
                lines.map(|(subject, class, through)| (subject, intern(&class), through)).collect();
            self.forget(&lines);
        }
        tracing::warn!(destroyed, "the store of keys was put back to what it was before");
        newest(&self.0.pool).await
    }
}

async fn read(pool: &PgPool, after: i64, limit: usize) -> Result<Vec<Shred>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, subject, class, through, shredded_at FROM annals_keys.shreds WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    rows.iter().map(shred).collect()
}

/// The last shred that there is.
async fn newest(pool: &PgPool) -> Result<Option<Shred>, StoreError> {
    let newest = sqlx::query(
        "SELECT id, subject, class, through, shredded_at FROM annals_keys.shreds ORDER BY id DESC LIMIT 1",
    );
    newest.fetch_optional(pool).await?.as_ref().map(shred).transpose()
}

/// What was shredded after the shred `last`. None: that one is not there any more, which no shred ever brings about.
async fn since(pool: &PgPool, last: Option<&Shred>) -> Result<Option<Vec<Shred>>, StoreError> {
    let Some(last) = last else { return read(pool, 0, NEWS).await.map(Some) };
    let mut shreds = read(pool, last.id - 1, NEWS).await?;
    Ok((shreds.first() == Some(last)).then(|| shreds.split_off(1)))
}

fn shred(row: &sqlx::postgres::PgRow) -> Result<Shred, StoreError> {
    let class: &str = row.try_get(2)?;
    let through: Option<i32> = row.try_get(3)?;
    Ok(Shred {
        id: row.try_get(0)?,
        subject: row.try_get(1)?,
        class: (class != EVERY_CLASS).then(|| intern(class)),
        basis: through
            .map_or(Basis::Erasure, |through| Basis::Retention { through: Epoch::from_number(through) }),
        shredded_at: row.try_get::<Micros, _>(4)?.timestamp()?,
    })
}

/// Opens the ledger of erasures: what it names and the keys still have is destroyed; what was shredded without it, it is
/// told.
pub(super) async fn reconcile(path: &Path, pool: &PgPool) -> Result<Ledger, StoreError> {
    let ledger = Ledger::open(path).await?;
    let destroyed = ledger.apply(pool).await?;
    if destroyed > 0 {
        tracing::warn!(destroyed, "keys that had been destroyed were back and were destroyed again");
    }
    let mut last = 0;
    loop {
        let shreds = read(pool, last, NEWS).await?;
        let Some(newest) = shreds.last() else { return Ok(ledger) };
        last = newest.id;
        ledger.add(shreds.into_iter().map(Shred::line).collect()).await?;
    }
}

/// Starts the task that hears of shreds by other nodes. Notifications are a hint, the table is the truth.
pub(super) async fn feed(keyring: &Keyring) -> Result<AbortHandle, StoreError> {
    let pool = keyring.0.pool.clone();
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    let mut last = newest(&pool).await?;
    let mut last_archived = archive::last(&pool).await?;
    let keyring: Weak<Inner> = Arc::downgrade(&keyring.0);
    let task = tokio::spawn(async move {
        loop {
            match tokio::time::timeout(POLL, listener.recv()).await {
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "cannot listen for shreds; polling");
                    tokio::time::sleep(POLL).await;
                }
            }
            let Some(ring) = keyring.upgrade().map(Keyring) else { return };
            match ring.forget_archived(last_archived).await {
                Ok(newest) => last_archived = newest,
                Err(error) => tracing::warn!(%error, "cannot read which keys were archived"),
            }
            drop(ring);
            match since(&pool, last.as_ref()).await {
                Ok(Some(shreds)) => {
                    let Some(newest) = shreds.last() else { continue };
                    last = Some(newest.clone());
                    let Some(keyring) = keyring.upgrade().map(Keyring) else { return };
                    if let Some(ledger) = &keyring.0.ledger {
                        let lines = shreds.iter().cloned().map(Shred::line).collect();
                        if let Err(error) = ledger.add(lines).await {
                            tracing::error!(%error, "the ledger of erasures could not be told of another node's shred");
                        }
                    }
                    let shreds: Vec<_> = shreds.into_iter().map(Shred::parts).collect();
                    keyring.forget(&shreds);
                }
                Ok(None) => {
                    let Some(keyring) = keyring.upgrade().map(Keyring) else { return };
                    match keyring.destroy_again().await {
                        // What was archived since the backup is not, any more.
                        Ok(newest) => (last, last_archived) = (newest, 0),
                        Err(error) => {
                            tracing::error!(%error, "keys that had been destroyed are back and could not be destroyed again");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot read which keys were shredded"),
            }
        }
    });
    Ok(task.abort_handle())
}

impl Shred {
    fn line(self) -> Line {
        let (subject, class, through) = self.parts();
        (subject, class.into_owned(), through)
    }

    fn parts(self) -> (Uuid, Cow<'static, str>, Option<i32>) {
        let through = match self.basis {
            Basis::Erasure => None,
            Basis::Retention { through } => Some(through.number()),
        };
        (self.subject, self.class.unwrap_or(Cow::Borrowed(EVERY_CLASS)), through)
    }
}
