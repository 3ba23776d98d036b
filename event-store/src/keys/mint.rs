//! Makes data keys. All who need new ones at the same moment share one statement.

use std::sync::{Arc, Weak};

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use super::{DataKey, Inner, KeyId, Keyring, Keys, columns, lock};
use crate::StoreError;

/// Keys that somebody waits for.
pub(super) struct Order {
    wanted: Vec<KeyId>,
    reply: oneshot::Sender<Result<Arc<Keys>, Arc<StoreError>>>,
}

pub(super) async fn order(mint: &mpsc::Sender<Order>, wanted: Vec<KeyId>) -> Result<Arc<Keys>, StoreError> {
    let (reply, made) = oneshot::channel();
    mint.send(Order { wanted, reply }).await.map_err(|_| StoreError::Closed)?;
    match made.await {
        Ok(Ok(keys)) => Ok(keys),
        Ok(Err(error)) => Err(StoreError::Shared(error)),
        Err(_) => Err(StoreError::Closed),
    }
}

/// The most orders that share a statement.
const BATCH: usize = 512;

pub(super) async fn run(keyring: Weak<Inner>, pool: PgPool, mut queue: mpsc::Receiver<Order>) {
    let mut orders = Vec::new();
    while queue.recv_many(&mut orders, BATCH).await > 0 {
        let Some(keyring) = keyring.upgrade() else { return };
        let mut wanted: Vec<KeyId> = orders.iter_mut().flat_map(|order| order.wanted.drain(..)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let made = make(&Keyring(keyring), &pool, wanted).await.map(Arc::new).map_err(Arc::new);
        for order in orders.drain(..) {
            // Whoever no longer waits has been cancelled; the keys are there for the next.
            _ = order.reply.send(made.clone());
        }
    }
}

async fn make(keyring: &Keyring, pool: &PgPool, wanted: Vec<KeyId>) -> Result<Keys, StoreError> {
    let shreds = *lock(&keyring.0.shreds);
    let master = &keyring.0.config.master;
    let new: Vec<DataKey> = wanted.iter().map(|_| DataKey::generate()).collect();
    let wrapped: Vec<Vec<u8>> = wanted.iter().zip(&new).map(|(id, key)| master.wrap(id, key)).collect();
    let (subjects, classes, epochs) = columns(&wanted);
    let bound = sqlx::query(include_str!("../sql/keys_mint.sql"))
        .bind(&master.id()[..])
        .bind(subjects)
        .bind(classes)
        .bind(epochs)
        .bind(wrapped)
        .execute(pool)
        .await?
        .rows_affected();
    if bound == wanted.len() as u64 {
        let new = new.into_iter().map(|key| Some(Arc::new(key)));
        let keys: Keys = wanted.iter().cloned().zip(new).collect();
        if keyring.remember(&keys, shreds) {
            return Ok(keys);
        }
    }
    // Some were bound before, by this node or another, or were shredded: the table says which, and what holds.
    keyring.fetch(wanted).await
}
