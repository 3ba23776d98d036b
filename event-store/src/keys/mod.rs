//! Personal data: its keys, and sealing and opening with them.
//!
//! Each (data subject, record class, epoch) has a random data key, wrapped by the master key, in a schema or database
//! of its own. Destroying it makes every copy of what it sealed unreadable, however old. A key that was destroyed is
//! never made again.
//!
//! What must never be here: any knowledge of what the sealed bytes mean.

mod archive;
mod epoch;
mod ledger;
mod listing;
mod master;
mod mint;
mod scrub;
mod seal;
mod shred;
pub mod vault;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use bytes::Bytes;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use rand::RngCore;
use sha2::Sha256;
use sqlx::{
    PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::mpsc, task::AbortHandle};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use archive::History;
pub use epoch::Epoch;
pub use listing::{KeyState, NewestKey};
pub use master::MasterKey;
pub use seal::BoxHeader;
pub use shred::{Basis, Classes, Shred};

use crate::{
    AppendError, NewEvent, PersonalGroup, Recorded, StoreError,
    cache::Cache,
    migrate,
    names::{intern, keep},
};

/// Where data keys are and what wraps them.
#[derive(Clone, Debug)]
pub struct KeyringConfig {
    /// Wraps every new data key.
    pub master: MasterKey,
    /// Earlier master keys, which data keys may still be wrapped by (until [`Keyring::rewrap`] has run).
    pub previous: Vec<MasterKey>,
    /// The database of the keys, if it is not the one of the log.
    pub database_url: Option<String>,
    /// How many data keys are kept in memory (some 250 bytes each).
    pub cached: usize,
    /// The file of the ledger of erasures, beside neither the log nor the keys. What it names is destroyed again when the
    /// keyring is opened, so that a restored backup of the keys brings nothing back. None: there is no such ledger.
    pub ledger: Option<PathBuf>,
}

impl KeyringConfig {
    /// Keys beside the log, wrapped by this master key.
    pub fn new(master: MasterKey) -> Self {
        Self { master, previous: Vec::new(), database_url: None, cached: 100_000, ledger: None }
    }
}

/// Seals and opens personal data. Clones share their keys.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    pool: PgPool,
    config: KeyringConfig,
    /// None: it was looked for and is gone.
    cache: Mutex<Cache<KeyId, Option<Arc<DataKey>>>>,
    erased: Mutex<Cache<(Uuid, Cow<'static, str>), bool>>,
    /// Counts the shreds that this process has taken notice of: a key that was read before one must not be cached
    /// after it.
    shreds: Mutex<u64>,
    orders: mpsc::Sender<mint::Order>,
    ledger: Option<ledger::Ledger>,
    /// Whether it opens what is archived.
    archived: bool,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            task.abort();
        }
    }
}

/// Which data key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId {
    pub(crate) subject: Uuid,
    pub(crate) class: Cow<'static, str>,
    pub(crate) epoch: Epoch,
}

impl KeyId {
    pub(crate) fn new(subject: Uuid, class: &str, epoch: Epoch) -> Self {
        Self { subject, class: intern(class), epoch }
    }

    pub(crate) fn of(header: &BoxHeader) -> Self {
        Self { subject: header.subject, class: header.class.clone(), epoch: header.epoch }
    }

    /// The form that goes into associated data.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(21 + self.class.len());
        bytes.extend_from_slice(self.subject.as_bytes());
        bytes.push(self.class.len() as u8);
        bytes.extend_from_slice(self.class.as_bytes());
        bytes.extend_from_slice(&self.epoch.number().to_be_bytes());
        bytes
    }
}

/// 32 secret bytes, and what is derived from them for rows.
pub(crate) struct DataKey {
    key: Zeroizing<[u8; 32]>,
    rows: OnceLock<RowKeys>,
}

pub(crate) struct RowKeys {
    pub(crate) nonce: Zeroizing<[u8; 32]>,
    pub(crate) cipher: Zeroizing<[u8; 32]>,
}

impl DataKey {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key, rows: OnceLock::new() }
    }

    pub(crate) fn generate() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(key.as_mut());
        Self::new(key)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    pub(crate) fn row_keys(&self) -> &RowKeys {
        let derive = |purpose: &[u8]| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(self.key.as_slice()).expect("HMAC takes keys of any length");
            mac.update(purpose);
            Zeroizing::new(mac.finalize().into_bytes().into())
        };
        self.rows.get_or_init(|| RowKeys {
            nonce: derive(b"annals row nonce"),
            cipher: derive(b"annals row cipher"),
        })
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

impl Keyring {
    pub(crate) async fn open_keyring(
        config: KeyringConfig,
        log: &PgConnectOptions,
    ) -> Result<Self, StoreError> {
        let own: Option<PgConnectOptions> = config.database_url.as_deref().map(str::parse).transpose()?;
        let database = own.as_ref().unwrap_or(log);
        migrate::run(database, "annals_keys", migrate::KEYS).await?;
        let pool = PgPoolOptions::new().max_connections(4).connect_with(database.clone()).await?;
        let ledger = match &config.ledger {
            Some(path) => Some(shred::reconcile(path, &pool).await?),
            None => None,
        };
        // A new key must be on disk before anything that it sealed. Beside the log in one cluster there is one WAL, and
        // the append that follows flushes it up to its own commit, so also past the commit of the key, before it is
        // acknowledged: waiting for the disk here would wait twice. In another cluster nobody else would wait.
        let durability = if own.is_some() { "on" } else { "off" };
        let minting = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(database.clone().options([("synchronous_commit", durability)]))
            .await?;
        let (orders, queue) = mpsc::channel(1024);
        let keyring = Self(Arc::new(Inner {
            pool,
            cache: Mutex::new(Cache::new(config.cached)),
            erased: Mutex::new(Cache::new(config.cached)),
            shreds: Mutex::new(0),
            config,
            orders,
            ledger,
            archived: false,
            tasks: Mutex::default(),
        }));
        let mint = tokio::spawn(mint::run(Arc::downgrade(&keyring.0), minting, queue));
        let feed = shred::feed(&keyring).await?;
        lock(&keyring.0.tasks).extend([mint.abort_handle(), feed]);
        Ok(keyring)
    }

    /// Which store of keys this is; it goes with the keys wherever they are moved or restored.
    pub(crate) async fn store_id(&self) -> Result<Uuid, StoreError> {
        Ok(sqlx::query_scalar("SELECT id FROM annals_keys.store").fetch_one(&self.0.pool).await?)
    }

    /// Makes sure that every data key can be unwrapped. Whoever seals without that writes what a node with the right master key
    /// cannot read, and the other way round.
    ///
    /// # Errors
    /// `Configuration` when a data key is wrapped by a master key that is not here.
    pub async fn check_master(&self) -> Result<(), StoreError> {
        let config = &self.0.config;
        let here: Vec<[u8; 8]> = config.previous.iter().chain([&config.master]).map(MasterKey::id).collect();
        let stranger: Option<String> = sqlx::query_scalar(
            "SELECT encode(master_key, 'hex') FROM annals_keys.data_keys WHERE master_key <> ALL($1) LIMIT 1",
        )
        .bind(here.iter().map(<[u8; 8]>::as_slice).collect::<Vec<_>>())
        .fetch_optional(&self.0.pool)
        .await?;
        stranger.map_or(Ok(()), |id| {
            Err(StoreError::Configuration(format!(
                "data keys are wrapped by the master key {id}, and `master_key_file` is another one (while keys are \
                 rotated, `previous_master_key_file` names the former one)"
            )))
        })
    }

    /// Brings all keys that these events need into memory, with one query at most. They stay until half of
    /// [`KeyringConfig::cached`] other keys have been used.
    ///
    /// # Errors
    /// When the keys cannot be read, or one does not unwrap.
    pub async fn load_for(&self, events: &[Recorded]) -> Result<(), StoreError> {
        self.load_for_sealed(events.iter().filter_map(|event| event.sealed.as_deref())).await
    }

    /// The same for sealed bytes of any origin.
    ///
    /// # Errors
    /// When the keys cannot be read, or one does not unwrap.
    pub async fn load_for_sealed(&self, sealed: impl IntoIterator<Item = &[u8]>) -> Result<(), StoreError> {
        let mut missing = HashSet::new();
        for sealed in sealed {
            missing.extend(seal::boxes(sealed)?.iter().map(|sealed| KeyId::of(&sealed.header)));
        }
        {
            let mut cache = lock(&self.0.cache);
            missing.retain(|id| cache.get(id).is_none());
        }
        self.fetch(missing.into_iter().collect()).await?;
        Ok(())
    }

    /// Opens the personal groups of an event, in the order in which they were sealed. None: erased.
    ///
    /// # Errors
    /// `KeyNotLoaded` without [`Keyring::load_for`] before; `Unreadable` if the log was tampered with.
    pub fn open(&self, event: &Recorded) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let Some(sealed) = &event.sealed else { return Ok(Vec::new()) };
        let context = seal::event_context(&event.stream, event.event_id);
        self.open_boxes(&context, sealed, |key| key.bytes())
    }

    /// What the boxes of sealed bytes say in the clear, in order.
    ///
    /// # Errors
    /// `Unreadable` if these bytes are not of the form that this crate writes.
    pub fn boxes(sealed: &[u8]) -> Result<Vec<BoxHeader>, StoreError> {
        Ok(seal::boxes(sealed)?.into_iter().map(|sealed| sealed.header).collect())
    }

    /// Makes sure that [`Keyring::seal_row`] finds these keys: loads them or makes them. A key that was destroyed stays
    /// so; its values are then sealed as erased.
    ///
    /// # Errors
    /// When the keys cannot be read or written.
    pub async fn ensure(&self, wanted: &[(Uuid, Cow<'static, str>, Epoch)]) -> Result<(), StoreError> {
        let wanted =
            wanted.iter().map(|(subject, class, epoch)| KeyId::new(*subject, class, *epoch)).collect();
        self.obtain(wanted).await?;
        Ok(())
    }

    /// Seals the personal groups of a read model's row. `context` is its table and key; `at` is the `recorded_at` of the
    /// event that they are from: it gives the epochs. The same arguments give the same bytes, so two rebuilds agree.
    ///
    /// # Errors
    /// `KeyNotLoaded` without [`Keyring::ensure`] before.
    pub fn seal_row(
        &self,
        context: &[u8],
        groups: &[PersonalGroup],
        at: Timestamp,
    ) -> Result<Vec<u8>, StoreError> {
        let size: usize = groups.iter().map(seal::size).sum();
        let mut sealed = seal::start(1 + size);
        let mut cache = lock(&self.0.cache);
        for group in groups {
            let id = KeyId::new(group.subject, &group.class, Epoch::of(&group.class, at));
            match cache.get(&id).ok_or(StoreError::KeyNotLoaded)? {
                Some(key) => seal::seal_row(&mut sealed, context, &id, key, &group.plaintext),
                None => seal::seal_nothing(&mut sealed, &id),
            }
        }
        Ok(sealed)
    }

    /// Opens the groups of a row, in the order in which they were sealed. None: erased.
    ///
    /// # Errors
    /// `KeyNotLoaded` without [`Keyring::load_for_sealed`] before; `Unreadable` if the row was tampered with or moved.
    pub fn open_row(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.open_boxes(context, sealed, |key| &key.row_keys().cipher)
    }

    fn open_boxes(
        &self,
        context: &[u8],
        sealed: &[u8],
        select: impl Fn(&DataKey) -> &[u8; 32],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let open = |sealed: seal::SealedBox<'_>| {
            let key = lock(&self.0.cache).get(&KeyId::of(&sealed.header)).cloned();
            match key.ok_or(StoreError::KeyNotLoaded)? {
                Some(key) => seal::open(context, &sealed, select(&key)),
                None => Ok(None),
            }
        };
        seal::boxes(sealed)?.into_iter().map(open).collect()
    }

    /// Seals the personal groups of events that are about to be recorded.
    pub(crate) async fn seal_events(
        &self,
        events: &[NewEvent],
        at: Timestamp,
    ) -> Result<Vec<Option<Bytes>>, AppendError> {
        let id = |group: &PersonalGroup| KeyId {
            subject: group.subject,
            class: keep(group.class.clone()),
            epoch: Epoch::of(&group.class, at),
        };
        let mut wanted: Vec<_> = events.iter().flat_map(|event| &event.personal).map(id).collect();
        if wanted.is_empty() {
            return Ok(vec![None; events.len()]);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let keys = self.obtain(wanted).await?;
        let seal = |event: &NewEvent| {
            let context = seal::event_context(&event.stream, event.event_id);
            let size: usize = event.personal.iter().map(seal::size).sum();
            let mut sealed = seal::start(1 + size);
            for group in &event.personal {
                let id = id(group);
                let key = keys.iter().find(|(of, _)| *of == id).and_then(|(_, key)| key.as_ref());
                let key = key.ok_or_else(|| AppendError::SubjectErased {
                    subject: group.subject,
                    class: group.class.to_string(),
                })?;
                seal::seal_event(&mut sealed, &context, &id, key, &group.plaintext);
            }
            Ok((!event.personal.is_empty()).then(|| sealed.into()))
        };
        events.iter().map(seal).collect()
    }

    /// The keys, each wanted once, made if need be. None: destroyed, never to be made again.
    async fn obtain(&self, wanted: Vec<KeyId>) -> Result<Vec<(KeyId, Option<Arc<DataKey>>)>, StoreError> {
        let mut found: Vec<_> = {
            let mut cache = lock(&self.0.cache);
            let cached = |id: KeyId| {
                let key = cache.get(&id).cloned().flatten();
                (id, key)
            };
            wanted.into_iter().map(cached).collect()
        };
        // Unknown, or gone: then the database shall say for what reason.
        let missing: Vec<KeyId> =
            found.iter().filter(|(_, key)| key.is_none()).map(|(id, _)| id.clone()).collect();
        if !missing.is_empty() {
            let made = mint::order(&self.0.orders, missing).await?;
            for (id, key) in found.iter_mut().filter(|(_, key)| key.is_none()) {
                *key = made.get(id).cloned().flatten();
            }
        }
        Ok(found)
    }

    /// Reads keys into the cache and gives them back. None: gone.
    async fn fetch(&self, wanted: Vec<KeyId>) -> Result<Keys, StoreError> {
        if wanted.is_empty() {
            return Ok(Keys::new());
        }
        loop {
            let shreds = *lock(&self.0.shreds);
            let (subjects, classes, epochs) = columns(&wanted);
            let rows = sqlx::query(include_str!("../sql/keys_load.sql"))
                .bind(subjects)
                .bind(classes)
                .bind(epochs)
                .bind(self.0.archived)
                .fetch_all(&self.0.pool)
                .await?;
            let mut found: Keys = wanted.iter().map(|id| (id.clone(), None)).collect();
            for row in rows {
                let (id, key) = self.unwrap_row(&row)?;
                found.insert(id, Some(Arc::new(key)));
            }
            if self.remember(&found, shreds) {
                return Ok(found);
            }
        }
    }

    /// Caches what was read when `shreds` shreds were known, unless another has come since: then it must be read again.
    fn remember(&self, found: &Keys, shreds: u64) -> bool {
        let known = lock(&self.0.shreds);
        if *known != shreds {
            return false;
        }
        let mut cache = lock(&self.0.cache);
        for (id, key) in found {
            cache.insert(id.clone(), key.clone());
        }
        true
    }

    fn unwrap_row(&self, row: &sqlx::postgres::PgRow) -> Result<(KeyId, DataKey), StoreError> {
        let id = KeyId::new(row.try_get(0)?, row.try_get(1)?, Epoch::from_number(row.try_get(2)?));
        let master: &[u8] = row.try_get(3)?;
        let master = self.master(master).ok_or_else(|| {
            StoreError::Configuration("a data key is wrapped by a master key that is not here".into())
        })?;
        let key = master.unwrap(&id, row.try_get(4)?)?;
        Ok((id, key))
    }

    /// The master key of this id, where it is here.
    fn master(&self, id: &[u8]) -> Option<&MasterKey> {
        let config = &self.0.config;
        std::iter::once(&config.master).chain(&config.previous).find(|key| key.id() == id)
    }

    /// Wraps every data key that an earlier master key wraps by the present one, and says how many. Afterwards the
    /// earlier one can be destroyed; and with it whatever a disk or backup still holds of data keys shredded before.
    ///
    /// # Errors
    /// When the keys cannot be read or written, or one does not unwrap.
    pub async fn rewrap(&self) -> Result<u64, StoreError> {
        let master = &self.0.config.master;
        let present = master.id();
        let mut count = 0;
        loop {
            let mut transaction = self.0.pool.begin().await?;
            let rows = sqlx::query(
                "SELECT subject, class, epoch, master_key, wrapped FROM annals_keys.data_keys
                 WHERE master_key <> $1 LIMIT 1000 FOR UPDATE",
            )
            .bind(&present[..])
            .fetch_all(&mut *transaction)
            .await?;
            if rows.is_empty() {
                return Ok(count);
            }
            let keys = rows.iter().map(|row| self.unwrap_row(row)).collect::<Result<Vec<_>, _>>()?;
            let wrapped: Vec<_> = keys.iter().map(|(id, key)| master.wrap(id, key)).collect();
            let ids: Vec<_> = keys.into_iter().map(|(id, _)| id).collect();
            let (subjects, classes, epochs) = columns(&ids);
            let done = sqlx::query(include_str!("../sql/keys_rewrap.sql"))
                .bind(&present[..])
                .bind(subjects)
                .bind(classes)
                .bind(epochs)
                .bind(wrapped)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            count += done.rows_affected();
        }
    }
}

type Keys = HashMap<KeyId, Option<Arc<DataKey>>>;

/// The parameters of a query over many keys.
fn columns(ids: &[KeyId]) -> (Vec<Uuid>, Vec<&str>, Vec<i32>) {
    let subjects = ids.iter().map(|id| id.subject).collect();
    let classes = ids.iter().map(|id| &*id.class).collect();
    let epochs = ids.iter().map(|id| id.epoch.number()).collect();
    (subjects, classes, epochs)
}

/// A panic elsewhere leaves these caches whole: every change is a single insertion or removal.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
