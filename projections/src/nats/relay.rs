//! The relay: publishes the log to JetStream, in order, in runs, several of them on their way at the same time.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client,
    jetstream::{Context, context::PublishAckFuture},
};
use event_store::{EventStore, Position, Recorded};
use futures_util::{StreamExt, stream::FuturesOrdered};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, interval, sleep},
};
use uuid::Uuid;

use super::{NatsConfig, NatsError, RETRY, context, message, stream};
use crate::{
    Inner,
    catalog::{signed, unsigned},
    error::ProjectionError,
};

/// How often the relay writes down how far it is: after a crash it publishes that much again, which JetStream recognises.
const NOTE: Duration = Duration::from_secs(1);

/// How many events are published in one run at most, and how many runs may wait for their acknowledgement.
const RUN: usize = 256;
const RUNS: usize = 4;

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
        let mut on_their_way = FuturesOrdered::new();
        // The sequence in the stream of the last message that was sent, as long as it is known.
        let mut end = None;
        let mut look = interval(LOOK);
        let mut note = Instant::now();
        loop {
            let ready = on_their_way.len() < RUNS;
            let news = tokio::select! {
                biased;
                Some(run) = on_their_way.next(), if !on_their_way.is_empty() => {
                    let Sent { last, is_whole } = run?;
                    if is_whole {
                        acknowledged = last;
                    } else {
                        tracing::debug!(after = acknowledged, "not all that was published is in the stream");
                        (on_their_way, end, sent) = (FuturesOrdered::new(), None, acknowledged);
                    }
                    if note.elapsed() > NOTE {
                        note = Instant::now();
                        self.note(acknowledged).await?;
                    }
                    false
                }
                _ = async { self.head.wait_for(|head| *head > sent).await.map(drop) }, if ready => true,
                _ = look.tick(), if ready => {
                    if on_their_way.is_empty() && acknowledged != self.noted {
                        self.note(acknowledged).await?;
                    }
                    true
                }
            };
            if !news {
                continue;
            }
            let events = self.store.read_recent(sent, RUN).await?;
            let Some(last) = events.last().map(|event| event.position) else { continue };
            match end {
                Some(before) => {
                    let expected = before + events.len() as u64 + 1;
                    let sequence = publish(&context, client, &events, self.incarnation).await?;
                    let run = async move {
                        Ok::<_, NatsError>(Sent { last, is_whole: sequence.await? == expected })
                    };
                    on_their_way.push_back(run);
                    end = Some(expected);
                }
                None => {
                    end = Some(publish_each(&context, client, &events, self.incarnation).await?);
                    acknowledged = last;
                }
            }
            sent = last;
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

/// Events that were published together.
struct Sent {
    /// The position of the last of them.
    last: Position,
    /// All of them are in the stream, and nothing else is.
    is_whole: bool,
}

/// Publishes events and the note that they are there; what comes back is the note's sequence. Only that is acknowledged,
/// which spares both sides most of the work: JetStream takes what one connection sends in order, so the sequence tells
/// whether all of them are in.
async fn publish(
    context: &Context,
    client: &Client,
    events: &[Recorded],
    incarnation: Uuid,
) -> Result<impl Future<Output = Result<u64, NatsError>> + use<>, NatsError> {
    let max_payload = client.server_info().max_payload;
    for event in events {
        let message = message::unacknowledged(event, incarnation, max_payload);
        let headers = message.headers.unwrap_or_default();
        client.publish_with_headers(message.subject, headers, message.payload).await?;
    }
    let ack = tell(context, events, incarnation).await?;
    Ok(async move { Ok(ack.await?.sequence) })
}

/// Publishes events, each with its acknowledgement: what JetStream has already it recognises by its message id. What comes
/// back is the sequence of the note that follows them.
async fn publish_each(
    context: &Context,
    client: &Client,
    events: &[Recorded],
    incarnation: Uuid,
) -> Result<u64, NatsError> {
    let max_payload = client.server_info().max_payload;
    let mut acks = Vec::with_capacity(events.len());
    for event in events {
        let message = message::write(event, incarnation, max_payload);
        acks.push(context.send_publish(message::subject(event), message).await?);
    }
    for ack in acks {
        ack.await?;
    }
    Ok(tell(context, events, incarnation).await?.await?.sequence)
}

/// Tells followers that these events are there.
async fn tell(context: &Context, events: &[Recorded], log: Uuid) -> Result<PublishAckFuture, NatsError> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Err("nothing was published".into());
    };
    let run = message::Run { log, first: first.position, last: last.position };
    Ok(context.send_publish(message::RUN_SUBJECT, run.write()).await?)
}
