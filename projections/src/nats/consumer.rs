//! The follower's side: a durable pull consumer that delivers every event.

use std::{collections::VecDeque, time::Duration};

use async_nats::{
    Client,
    jetstream::consumer::{AckPolicy, DeliverPolicy, pull},
};
use event_store::{EventStore, Position};
use futures_util::StreamExt;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};
use uuid::Uuid;

use super::{NatsConfig, NatsError, RETRY, context, message, message::Delivered, stream};

/// The consumer's name.
const NAME: &str = "annals-projections";

/// How many events may be delivered and not yet committed.
const DELIVERED: usize = 4096;

/// How long silence lasts before the server says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Takes events from NATS until it is dropped.
pub(crate) struct Consumer {
    task: JoinHandle<()>,
    delivered: mpsc::Receiver<Delivered>,
    committed: watch::Sender<Position>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Consumer {
    pub(crate) fn start(config: NatsConfig, client: Client, incarnation: Uuid, store: EventStore) -> Self {
        let (sender, delivered) = mpsc::channel(DELIVERED);
        let (committed, commits) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut taking = Taking { config, client, incarnation, store, sender, commits };
            while !taking.sender.is_closed() {
                if let Err(error) = taking.run().await {
                    tracing::debug!(%error, "the consumer is interrupted");
                }
                sleep(RETRY).await;
            }
        });
        Consumer { task, delivered, committed }
    }

    /// The next that NATS delivers.
    pub(crate) async fn next(&mut self) -> Option<Delivered> {
        self.delivered.recv().await
    }

    /// What NATS has delivered already.
    pub(crate) fn at_once(&mut self) -> Option<Delivered> {
        self.delivered.try_recv().ok()
    }

    /// Everything up to here is committed and need not be delivered again.
    pub(crate) fn committed(&self, position: Position) {
        self.committed.send_replace(position);
    }
}

struct Taking {
    config: NatsConfig,
    client: Client,
    incarnation: Uuid,
    store: EventStore,
    sender: mpsc::Sender<Delivered>,
    commits: watch::Receiver<Position>,
}

impl Taking {
    /// Takes messages until something fails: the server is gone, or the stream or the consumer is.
    async fn run(&mut self) -> Result<(), NatsError> {
        let stream = stream(&context(&self.client), &self.config).await?;
        let config = pull::Config {
            durable_name: Some(NAME.to_owned()),
            description: Some("The follower that keeps the read models up to date.".to_owned()),
            // What came before, the follower reads from the log.
            deliver_policy: DeliverPolicy::New,
            // One acknowledgement for all up to there.
            ack_policy: AckPolicy::All,
            max_ack_pending: 4 * DELIVERED as i64,
            ..pull::Config::default()
        };
        let consumer = stream.get_or_create_consumer(NAME, config).await?;
        let mut messages = consumer
            .stream()
            .max_messages_per_batch(DELIVERED / 2)
            .heartbeat(HEARTBEAT)
            .expires(20 * HEARTBEAT)
            .messages()
            .await?;
        // Where each event that is not committed yet is to be acknowledged.
        let mut waiting: VecDeque<(Position, async_nats::Subject)> = VecDeque::new();
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return Ok(()) };
                    let message = message?.message;
                    let delivered = message::read(&message, self.incarnation, &self.store);
                    let position = match &delivered {
                        Delivered::Event(event) => event.position,
                        Delivered::Mention(position) => *position,
                        Delivered::Foreign => 0,
                    };
                    if let Some(reply) = message.reply {
                        waiting.push_back((position, reply));
                    }
                    if self.sender.send(delivered).await.is_err() {
                        return Ok(());
                    }
                }
                changed = self.commits.changed() => changed?,
            }
            let committed = *self.commits.borrow_and_update();
            let mut last = None;
            while waiting.front().is_some_and(|(position, _)| *position <= committed) {
                last = waiting.pop_front();
            }
            if let Some((_, reply)) = last {
                self.client.publish(reply, "+ACK".into()).await?;
            }
        }
    }
}
