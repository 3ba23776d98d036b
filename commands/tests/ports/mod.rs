//! What stands at the ports of these tests where nothing is to come through: it refuses, so that no test leans on it.

use std::sync::Arc;

use commands::ports::{Certifier, Embedding, Mail, Mailer, PortError, Ports, Tokens};
use futures_util::future::BoxFuture;

/// All of them, with this certifier.
pub(crate) fn with(certifier: Arc<dyn Certifier>) -> Arc<Ports> {
    Arc::new(Ports {
        mailer: Arc::new(NoMail),
        tokens: Arc::new(PlainTokens),
        certifier,
        embedding: Arc::new(NoEmbedding),
    })
}

/// Sends no mail.
struct NoMail;

impl Mailer for NoMail {
    fn send<'a>(&'a self, _: &'a Mail) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async { Err(PortError { port: "mail", reason: "there is none".into() }) })
    }
}

/// Tokens that are their labels.
struct PlainTokens;

impl Tokens for PlainTokens {
    fn token(&self, label: &str) -> String {
        label.to_owned()
    }
}

/// Embeds nothing.
struct NoEmbedding;

impl Embedding for NoEmbedding {
    fn engine(&self) -> &str {
        "none"
    }
    fn embed<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<Vec<Vec<f32>>, PortError>> {
        Box::pin(async { Err(PortError { port: "embedding", reason: "there is none".into() }) })
    }
}
