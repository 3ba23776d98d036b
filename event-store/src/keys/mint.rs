//! Makes data keys. All who need new ones at the same moment share one statement.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
};

use sqlx::{PgPool, Row};
use tokio::sync::{mpsc, oneshot};

use super::{DataKey, Epoch, Inner, KeyId, Keyring, Keys, columns, lock};
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
        let wanted: HashSet<KeyId> = orders.iter_mut().flat_map(|order| order.wanted.drain(..)).collect();
        let made = make(&Keyring(keyring), &pool, wanted).await.map(Arc::new).map_err(Arc::new);
        for order in orders.drain(..) {
            // Whoever no longer waits has been cancelled; the keys are there for the next.
            _ = order.reply.send(made.clone());
        }
    }
}

async fn make(keyring: &Keyring, pool: &PgPool, wanted: HashSet<KeyId>) -> Result<Keys, StoreError> {
    let shreds = *lock(&keyring.0.shreds);
    let master = &keyring.0.config.master;
    let mut new: Keys = wanted.into_iter().map(|id| (id, Some(Arc::new(DataKey::generate())))).collect();
    let ids: Vec<KeyId> = new.keys().cloned().collect();
    let wrapped: Vec<Vec<u8>> =
        ids.iter().filter_map(|id| new[id].as_ref().map(|key| master.wrap(id, key))).collect();
    let (subjects, classes, epochs) = columns(&ids);
    let rows = sqlx::query(include_str!("../sql/keys_mint.sql"))
        .bind(&master.id()[..])
        .bind(subjects)
        .bind(classes)
        .bind(epochs)
        .bind(wrapped)
        .fetch_all(pool)
        .await?;
    let mut bound = HashSet::new();
    for row in rows {
        bound.insert(KeyId::new(row.try_get(0)?, row.try_get(1)?, Epoch::from_number(row.try_get(2)?)));
    }
    new.retain(|id, _| bound.contains(id));
    if !keyring.remember(&new, shreds) {
        new.clear(); // somebody shredded meanwhile: what is still there has to be read
    }
    // The others were bound before, by this node or another, or they were shredded.
    let others = ids.into_iter().filter(|id| !new.contains_key(id)).collect();
    new.extend(keyring.fetch(others).await?);
    Ok(new)
}
