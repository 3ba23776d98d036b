//! Which way mail goes out: to the configured server; else, beside embedded servers, into the outbox.

use std::sync::Arc;

use commands::ports::Mailer;
use integrations::mail::{MailError, Nowhere, Outbox, Smtp};

use crate::config::Config;

/// The mailer of a configuration.
pub(super) fn mailer(config: &Config, embedded: bool) -> Result<Arc<dyn Mailer>, MailError> {
    if let Some(url) = config.smtp_url.as_deref().filter(|url| !url.is_empty()) {
        return Ok(Arc::new(Smtp::new(url, &config.mail_from)?));
    }
    if embedded {
        let outbox = config.data_dir.join("outbox");
        tracing::warn!(outbox = %outbox.display(), "no mail server is configured: mail is written into files");
        return Ok(Arc::new(Outbox::new(&outbox, &config.mail_from)?));
    }
    tracing::warn!("no mail server is configured (ANNALS_SMTP_URL): what needs mail waits");
    Ok(Arc::new(Nowhere))
}
