//! Tells other nodes that the log has grown, and hears it from them. A hint only: nobody's correctness hangs on it.

use std::time::Duration;

use sqlx::{PgPool, postgres::PgListener};
use tokio::{sync::watch, task::AbortHandle};

use crate::{Position, StoreError, read};

const CHANNEL: &str = "annals_head";

/// How long to wait after a failure before listening again.
const RETRY: Duration = Duration::from_millis(500);

/// The newest position that this node knows of.
#[derive(Clone, Debug)]
pub(crate) struct Newest(watch::Sender<Position>);

impl Newest {
    pub(crate) fn new(position: Position) -> Self {
        Self(watch::Sender::new(position))
    }

    pub(crate) fn raise(&self, position: Position) {
        self.0.send_if_modified(|newest| {
            let news = position > *newest;
            *newest = position.max(*newest);
            news
        });
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Position> {
        self.0.subscribe()
    }
}

/// Sends notifications of what this node's writer commits.
///
/// They are sent apart from the appends: a commit with a notification in it takes a lock on the whole cluster's queue of
/// notifications. While one is on its way the next positions gather, and only the newest is sent.
pub(crate) fn notify(pool: PgPool, mut own: watch::Receiver<Position>, every: Duration) -> AbortHandle {
    let task = tokio::spawn(async move {
        while own.changed().await.is_ok() {
            let position = *own.borrow_and_update();
            let sent = sqlx::query("SELECT pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(position.to_string())
                .execute(&pool)
                .await;
            if let Err(error) = sent {
                tracing::debug!(%error, "other nodes were not notified; they will look by themselves");
            }
            tokio::time::sleep(every).await;
        }
    });
    task.abort_handle()
}

/// Hears what the writers of all nodes commit.
pub(crate) fn listen(pool: PgPool, newest: Newest) -> AbortHandle {
    let task = tokio::spawn(async move {
        loop {
            let error = match hear(&pool, &newest).await {
                Ok(()) => continue,
                Err(error) => error,
            };
            tracing::debug!(%error, "not listening for other nodes; polling");
            tokio::time::sleep(RETRY).await;
        }
    });
    task.abort_handle()
}

async fn hear(pool: &PgPool, newest: &Newest) -> Result<(), StoreError> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // What was committed before we listened, nobody will tell.
    newest.raise(read::head(pool).await?.position);
    // None: the connection was lost, and with it perhaps a notification; PgListener connects anew.
    while let Some(notification) = listener.try_recv().await? {
        if let Ok(position) = notification.payload().parse() {
            newest.raise(position);
        }
    }
    Ok(())
}
