//! What nodes tell each other of callers, through the database. Callers are keyed hashes there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{derived_id, identity::RateLimit};
use event_store::EventStore;
use hmac::Mac;
use uuid::Uuid;

use super::{
    Caller, Class, Counter, Counts, Millis, Who,
    window::{left_permille, number},
};
use crate::auth::keyed;

/// How often nodes tell each other.
const EXCHANGE: Duration = Duration::from_millis(250);
/// How many windows a row is of use: IDN-P3 looks back three.
const KEPT: u64 = 5;
/// After how many exchanges what is of no use any more is removed.
const SWEEP: u32 = 240;

/// What nodes tell each other.
#[derive(Clone)]
pub(super) struct Shared {
    store: EventStore,
    key: [u8; 32],
    queue: Arc<Mutex<Vec<Arc<Counter>>>>,
}

/// What of a caller is to be told.
struct News {
    counter: Arc<Counter>,
    who: [u8; 16],
    window: u64,
    calls: u32,
    until: i64,
}

impl Shared {
    pub(super) fn new(store: EventStore, key: [u8; 32]) -> Self {
        Shared { store, key, queue: Arc::default() }
    }

    /// The others are told of this caller the next time.
    pub(super) fn queue(&self, counter: Arc<Counter>) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(counter);
    }

    /// Tells and is told, for as long as this is not dropped. Nothing is lost where it does not succeed: it is told the
    /// next time.
    pub(super) async fn exchange(self) {
        let mut rounds = 0_u32;
        loop {
            tokio::time::sleep(EXCHANGE).await;
            if let Err(error) = self.tell().await {
                tracing::warn!(%error, "what this node counted could not be told to the others");
            }
            rounds = rounds.wrapping_add(1);
            if rounds.is_multiple_of(SWEEP)
                && let Err(error) = self.sweep().await
            {
                tracing::warn!(%error, "old counts of calls could not be removed");
            }
        }
    }

    async fn tell(&self) -> Result<(), sqlx::Error> {
        let queued = std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        let mut news = Vec::new();
        for counter in queued {
            let told = {
                let mut counting = counter.window.lock().unwrap_or_else(PoisonError::into_inner);
                counting.queued = false;
                counting.window.tell()
            };
            let who = self.hashed(counter.who);
            for (window, calls) in told {
                let until = until(window, counter.who.window_s);
                news.push(News { counter: Arc::clone(&counter), who, window, calls, until });
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        // In one order on all nodes.
        news.sort_by_key(|one| (one.who, one.window));
        let told = self.add(&news).await;
        for one in &news {
            let mut counting = one.counter.window.lock().unwrap_or_else(PoisonError::into_inner);
            match &told {
                Ok(told) => {
                    let total = told.get(&(one.who.to_vec(), signed(one.window)));
                    let total = total.and_then(|calls| u32::try_from(*calls).ok());
                    counting.window.told(one.window, total.unwrap_or_default());
                }
                Err(_) => counting.window.untold(one.window, one.calls),
            }
        }
        if told.is_err() {
            for one in news {
                let first = {
                    let mut counting = one.counter.window.lock().unwrap_or_else(PoisonError::into_inner);
                    !std::mem::replace(&mut counting.queued, true)
                };
                if first {
                    self.queue(one.counter);
                }
            }
        }
        told.map(drop)
    }

    /// Adds up, and gives what all nodes have counted by caller and window.
    async fn add(&self, news: &[News]) -> Result<HashMap<(Vec<u8>, i64), i32>, sqlx::Error> {
        let totals: Vec<(Vec<u8>, i64, i32)> = sqlx::query_as(include_str!("sql/add.sql"))
            .bind(news.iter().map(|one| one.who.to_vec()).collect::<Vec<_>>())
            .bind(news.iter().map(|one| signed(one.window)).collect::<Vec<_>>())
            .bind(news.iter().map(|one| i32::try_from(one.calls).unwrap_or(i32::MAX)).collect::<Vec<_>>())
            .bind(news.iter().map(|one| one.until).collect::<Vec<_>>())
            .fetch_all(self.store.pool())
            .await?;
        Ok(totals.into_iter().map(|(who, window, calls)| ((who, window), calls)).collect())
    }

    /// Counts one more call, where there is room for it on all nodes together.
    pub(super) async fn admit(&self, who: Who, limit: RateLimit, now: Millis) -> Result<Counts, sqlx::Error> {
        let window = number(limit, now);
        let (before, admitted, calls): (i32, Option<i32>, i32) =
            sqlx::query_as(include_str!("sql/admit.sql"))
                .bind(self.hashed(who).to_vec())
                .bind(signed(window))
                .bind(i64::from(left_permille(limit, now)))
                .bind(i64::from(limit.limit))
                .bind(until(window, who.window_s))
                .fetch_one(self.store.pool())
                .await?;
        let count = |calls: i32| u32::try_from(calls).unwrap_or_default();
        let calls = count(admitted.unwrap_or(calls));
        Ok(Counts { before: count(before), calls, admitted: admitted.is_some() })
    }

    /// Notes that a call was refused. IDN-P3: where one was in the two windows before as well, and that is the first time
    /// in a row of windows, it is a suspicion, which has an id of its own.
    pub(super) async fn refused(
        &self,
        who: Who,
        limit: RateLimit,
        now: Millis,
    ) -> Result<Option<Uuid>, sqlx::Error> {
        let (hash, window) = (self.hashed(who), number(limit, now));
        let before: Vec<i64> = sqlx::query_scalar(include_str!("sql/refused.sql"))
            .bind(hash.to_vec())
            .bind(signed(window))
            .bind(until(window, who.window_s))
            .fetch_all(self.store.pool())
            .await?;
        let was = |ago: i64| before.contains(&(signed(window) - ago));
        let suspicious = was(1) && was(2) && !was(3);
        let hash = u128::from_be_bytes(hash).to_string();
        Ok(suspicious.then(|| derived_id(&["incident", "limits", &hash, &window.to_string()])))
    }

    async fn sweep(&self) -> Result<(), sqlx::Error> {
        let removed = "DELETE FROM annals.calls WHERE until < extract(epoch FROM now())";
        sqlx::query(removed).execute(self.store.pool()).await.map(drop)
    }

    /// A caller as the database knows it.
    fn hashed(&self, who: Who) -> [u8; 16] {
        let (kind, caller) = match who.caller {
            Caller::Address(bits) => (0_u8, bits),
            Caller::Account(bits) => (1, bits),
            Caller::Client(bits) => (2, bits),
        };
        let class: &str = Class::into(who.class);
        let mut mac = keyed(&self.key);
        mac.update(class.as_bytes());
        mac.update(&[0, kind]);
        mac.update(&caller.to_be_bytes());
        mac.update(&who.window_s.to_be_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        hash
    }
}

fn until(window: u64, window_s: u32) -> i64 {
    signed((window + KEPT) * u64::from(window_s))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
