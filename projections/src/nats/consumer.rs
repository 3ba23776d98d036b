//! The follower's side: a durable pull consumer that delivers every run of events.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::consumer::{AckPolicy, DeliverPolicy, pull},
};
use futures_util::StreamExt;
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};
use uuid::Uuid;

use super::{
    NatsConfig, NatsError, RETRY, context, message,
    message::{Delivered, RUN_SUBJECT},
    stream,
};

/// The consumer's name. Another one, `annals-projections`, took every event, and may still be there: a consumer's ways of
/// acknowledging cannot be changed.
const NAME: &str = "annals-follower";

/// How many runs may be delivered and not yet looked at.
const DELIVERED: usize = 1024;

/// How long silence lasts before the server says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Takes runs from NATS until it is dropped.
pub(crate) struct Consumer {
    task: JoinHandle<()>,
    delivered: mpsc::Receiver<Delivered>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Consumer {
    pub(crate) fn start(config: NatsConfig, client: Client, incarnation: Uuid) -> Self {
        let (sender, delivered) = mpsc::channel(DELIVERED);
        let task = tokio::spawn(async move {
            while !sender.is_closed() {
                if let Err(error) = take(&config, &client, incarnation, &sender).await {
                    tracing::debug!(%error, "the consumer is interrupted");
                }
                sleep(RETRY).await;
            }
        });
        Consumer { task, delivered }
    }

    /// The next that NATS delivers.
    pub(crate) async fn next(&mut self) -> Option<Delivered> {
        self.delivered.recv().await
    }

    /// What NATS has delivered already.
    pub(crate) fn at_once(&mut self) -> Option<Delivered> {
        self.delivered.try_recv().ok()
    }
}

/// Takes messages until something fails: the server is gone, or the stream or the consumer is.
async fn take(
    config: &NatsConfig,
    client: &Client,
    incarnation: Uuid,
    sender: &mpsc::Sender<Delivered>,
) -> Result<(), NatsError> {
    let stream = stream(&context(client), config).await?;
    let wanted = pull::Config {
        durable_name: Some(NAME.to_owned()),
        description: Some("Drives the follower that keeps the read models up to date.".to_owned()),
        filter_subject: RUN_SUBJECT.to_owned(),
        // What came before, the follower reads from the log.
        deliver_policy: DeliverPolicy::New,
        // What it has folded, it knows itself, in the transaction in which it folded.
        ack_policy: AckPolicy::None,
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(NAME, wanted).await?;
    let mut messages = consumer
        .stream()
        .max_messages_per_batch(DELIVERED / 2)
        .heartbeat(HEARTBEAT)
        .expires(20 * HEARTBEAT)
        .messages()
        .await?;
    while let Some(message) = messages.next().await {
        let delivered = message::read(&message?.payload, incarnation);
        if sender.send(delivered).await.is_err() {
            break;
        }
    }
    Ok(())
}
