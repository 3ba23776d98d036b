//! The relay: publishes the log to JetStream, in order, many publications on their way at the same time.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, jetstream::Context};
use event_store::{EventStore, Position, Recorded};
use futures_util::{StreamExt, stream::FuturesOrdered};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, interval, sleep},
};
use uuid::Uuid;

use super::{IN_FLIGHT, NatsConfig, NatsError, RETRY, context, message, stream};
use crate::{
    Inner,
    catalog::{signed, unsigned},
    error::ProjectionError,
};

/// How often the relay writes down how far it is: after a crash it publishes that much again, which JetStream recognises.
const NOTE: Duration = Duration::from_secs(1);

/// How often the relay looks for events that it was not told of.
const LOOK: Duration = Duration::from_millis(200);

/// Publishes until it is dropped.
pub(crate) struct Relay(JoinHandle<()>);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Relay {
    /// Starts it. `pack` is where the relay of a log that was never relayed begins.
    pub(crate) fn start(
        inner: &Arc<Inner>,
        config: NatsConfig,
        client: Client,
        incarnation: Uuid,
        pack: Position,
    ) -> Self {
        let store = inner.store.clone();
        let task = async move {
            let mut relaying =
                Relaying { head: store.subscribe_head(), store, config, incarnation, noted: pack };
            loop {
                let error = match relaying.run(&client, pack).await {
                    Ok(never) => match never {},
                    Err(error) => error,
                };
                tracing::debug!(%error, "the relay is interrupted");
                sleep(RETRY).await;
            }
        };
        Relay(tokio::spawn(task))
    }
}

struct Relaying {
    store: EventStore,
    config: NatsConfig,
    head: watch::Receiver<Position>,
    incarnation: Uuid,
    noted: Position,
}

enum Never {}

impl Relaying {
    /// Publishes for ever, or until something fails: then it begins again after the last acknowledged event.
    async fn run(&mut self, client: &Client, pack: Position) -> Result<Never, NatsError> {
        let context = context(client);
        stream(&context, &self.config).await?;
        let mut sent = self.checkpoint(pack).await?;
        let mut acknowledged = sent;
        self.noted = sent;
        let mut acks = FuturesOrdered::new();
        let mut look = interval(LOOK);
        let mut note = Instant::now();
        loop {
            let room = IN_FLIGHT.saturating_sub(acks.len());
            tokio::select! {
                biased;
                Some(ack) = acks.next(), if !acks.is_empty() => {
                    // A refusal: everything after the last one in order is published again, and what JetStream
                    // already has it recognises by its message id.
                    acknowledged = ack?;
                    if note.elapsed() > NOTE {
                        note = Instant::now();
                        self.note(acknowledged).await?;
                    }
                }
                _ = async { self.head.wait_for(|head| *head > sent).await.map(drop) }, if room > 0 => {
                    for event in self.store.read_recent(sent, room).await? {
                        sent = event.position;
                        acks.push_back(publish(&context, client, &event, self.incarnation).await?);
                    }
                }
                _ = look.tick(), if room > 0 => {
                    for event in self.store.read_recent(sent, room).await? {
                        sent = event.position;
                        acks.push_back(publish(&context, client, &event, self.incarnation).await?);
                    }
                    if acks.is_empty() && acknowledged != self.noted {
                        self.note(acknowledged).await?;
                    }
                }
            }
        }
    }

    async fn checkpoint(&self, pack: Position) -> Result<Position, ProjectionError> {
        let noted: Option<i64> =
            sqlx::query_scalar("SELECT position FROM annals.relay WHERE incarnation = $1")
                .bind(self.incarnation)
                .fetch_optional(self.store.pool())
                .await?;
        Ok(noted.map_or(pack, unsigned))
    }

    async fn note(&mut self, position: Position) -> Result<(), ProjectionError> {
        sqlx::query(
            "INSERT INTO annals.relay (position, incarnation) VALUES ($1, $2)
             ON CONFLICT (singleton) DO UPDATE SET position = EXCLUDED.position, incarnation = EXCLUDED.incarnation",
        )
        .bind(signed(position))
        .bind(self.incarnation)
        .execute(self.store.pool())
        .await?;
        self.noted = position;
        Ok(())
    }
}

type Ack = Result<Position, NatsError>;

async fn publish(
    context: &Context,
    client: &Client,
    event: &Recorded,
    incarnation: Uuid,
) -> Result<impl Future<Output = Ack> + use<>, NatsError> {
    let message = message::write(event, incarnation, client.server_info().max_payload);
    let ack = context.send_publish(message::subject(event), message).await?;
    let position = event.position;
    Ok(async move { ack.await.map(|_| position).map_err(NatsError::from) })
}
