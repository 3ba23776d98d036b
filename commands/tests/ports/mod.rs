//! What stands at the ports of these tests where nothing is to come through: it refuses, so that no test leans on it.

use std::sync::Arc;

use commands::ports::{Certifier, Embedding, Mail, Mailer, PortError, Ports, Tokens, Undelivered};
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

/// Sends no mail: what is for `refused.example` is refused for good.
struct NoMail;

impl Mailer for NoMail {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async {
            let reason = "there is none".to_owned();
            match mail.to.ends_with("@refused.example") {
                true => Err(Undelivered::Refused { reason }),
                false => Err(PortError { port: "mail", reason }.into()),
            }
        })
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
