//! NATS carries the log to whoever follows it, and is never the truth.
//!
//! The relay publishes every event to JetStream, for whoever wants it, and after each run of them a note of how far it is.
//! These notes drive the follower, through a durable pull consumer. Every message says which positions of which log it is
//! about: what is missing, repeated, out of order or of another log is noticed by whoever takes it, and read from
//! PostgreSQL. Nothing personal is in a message in the clear: personal values stay sealed.

mod consumer;
mod message;
mod relay;

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, ConnectOptions, Event, ServerAddr,
    jetstream::{
        self, Context,
        stream::{Config, DiscardPolicy, Stream},
    },
};
use event_store::StoreError;

use crate::Inner;

pub(crate) use consumer::Consumer;
pub(crate) use message::Delivered;
pub(crate) use relay::Relay;

/// The stream's name.
pub const STREAM: &str = "ANNALS";

/// How many publications may wait for their acknowledgement.
const IN_FLIGHT: usize = 512;

/// How long to wait before trying again after a failure.
const RETRY: Duration = Duration::from_millis(200);

/// How to reach NATS, and how much it may keep.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// `nats://user:password@host:port`; `tls://` for TLS. Several, separated by commas, for a cluster.
    pub url: String,
    /// How long the stream keeps events.
    pub max_age: Duration,
    /// How many bytes the stream keeps.
    pub max_bytes: u64,
    /// How many servers of a cluster keep the stream.
    pub replicas: usize,
    /// How long the follower waits for NATS to deliver what the log already has, before it reads the log.
    pub grace: Duration,
}

impl NatsConfig {
    /// The defaults, for this server.
    pub fn new(url: impl Into<String>) -> Self {
        NatsConfig {
            url: url.into(),
            max_age: Duration::from_secs(7 * 24 * 3600),
            max_bytes: 1 << 30,
            replicas: 1,
            grace: Duration::from_millis(50),
        }
    }
}

/// Why something with NATS did not work. It is tried again.
type NatsError = Box<dyn std::error::Error + Send + Sync>;

/// The servers that a configuration names.
pub(crate) fn servers(config: &NatsConfig) -> Result<Vec<ServerAddr>, StoreError> {
    let servers = config.url.split(',').map(|server| server.trim().parse::<ServerAddr>());
    servers.collect::<Result<_, _>>().map_err(|error| broken(&error))
}

fn broken(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Configuration(format!("NATS: {error} (expected nats://user:password@host:port)"))
}

/// Connects, now or later: a server that is not there yet is waited for in the background.
pub(crate) async fn connect(inner: &Arc<Inner>, config: &NatsConfig) -> Result<Client, StoreError> {
    let servers = servers(config)?;
    let watched = Arc::downgrade(inner);
    // The client does not take the name and the password from an address by itself.
    let credentials = servers.iter().find_map(|server| Some((server.username()?, server.password()?)));
    let options = match credentials {
        Some((user, password)) => {
            ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        None => ConnectOptions::new(),
    };
    let options = options
        .name("annals")
        .retry_on_initial_connect()
        .connection_timeout(Duration::from_secs(2))
        .reconnect_delay_callback(|attempts| Duration::from_millis(50 * attempts.min(10) as u64))
        .event_callback(move |event| {
            let inner = watched.upgrade();
            let connected = move |is_there| inner.iter().for_each(|inner| inner.feed.connected(is_there));
            async move {
                match event {
                    Event::Connected => {
                        connected(true);
                        tracing::info!("connected to NATS");
                    }
                    Event::Disconnected | Event::Closed => {
                        connected(false);
                        tracing::warn!(%event, "NATS is gone: the log is followed directly");
                    }
                    other => tracing::debug!(event = %other, "NATS"),
                }
            }
        });
    options.connect(servers.as_slice()).await.map_err(|error| broken(&error))
}

fn context(client: &Client) -> Context {
    jetstream::ContextBuilder::new()
        .timeout(Duration::from_secs(2))
        .ack_timeout(Duration::from_secs(2))
        .max_ack_inflight(IN_FLIGHT)
        .build(client.clone())
}

/// The stream, made or brought up to date if need be.
async fn stream(context: &Context, config: &NatsConfig) -> Result<Stream, NatsError> {
    let wanted = Config {
        name: STREAM.to_owned(),
        description: Some(
            "The log of Annals, as far back as the limits allow. PostgreSQL has it all.".to_owned(),
        ),
        subjects: vec![format!("{}.>", message::EVENTS), message::RUN_SUBJECT.to_owned()],
        max_age: config.max_age,
        max_bytes: config.max_bytes.try_into().unwrap_or(i64::MAX),
        num_replicas: config.replicas,
        discard: DiscardPolicy::Old,
        duplicate_window: Duration::from_secs(120).min(config.max_age),
        ..Config::default()
    };
    let stream = context.get_or_create_stream(wanted.clone()).await?;
    let present = &stream.cached_info().config;
    let is_wanted = present.subjects == wanted.subjects
        && (present.max_age, present.max_bytes) == (wanted.max_age, wanted.max_bytes);
    if !is_wanted {
        context.update_stream(wanted).await?;
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_of_nats_is_refused_with_what_was_expected() {
        let named = |url: &str| servers(&NatsConfig::new(url));
        assert_eq!(named("nats://a:b@127.0.0.1:4222, tls://nats.example.edu").unwrap().len(), 2);
        for wrong in ["http://x", "nats://a b"] {
            assert!(named(wrong).unwrap_err().to_string().contains("expected nats://"), "{wrong}");
        }
    }
}
