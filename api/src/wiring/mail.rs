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

#[cfg(test)]
mod tests {
    use commands::ports::Mail;
    use uuid::Uuid;

    use super::*;

    fn configured(smtp_url: &str) -> Config {
        let data_dir = std::env::temp_dir().join(format!("annals-mail-{}", Uuid::new_v4().simple()));
        Config { data_dir, smtp_url: Some(smtp_url.to_owned()), ..Config::default() }
    }

    #[tokio::test]
    async fn mail_goes_into_files_beside_embedded_servers_and_nowhere_without_a_server() {
        let config = configured("");
        let mail = Mail {
            to: "ada@example.org".into(),
            subject: "Your request".into(),
            text: "Hello".into(),
            html: None,
            message_id: Uuid::from_u128(7),
        };
        assert!(mailer(&config, false).unwrap().send(&mail).await.is_err());
        mailer(&config, true).unwrap().send(&mail).await.unwrap();
        let file = config.data_dir.join("outbox").join(format!("{}.eml", mail.message_id));
        assert!(file.exists());
        std::fs::remove_dir_all(&config.data_dir).unwrap();
    }

    #[test]
    fn an_address_that_is_none_keeps_the_node_from_starting_and_is_not_repeated() {
        let Err(error) = mailer(&configured("imap://annals:secret@mail.example.edu"), true) else {
            panic!("it is no mail server")
        };
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(mailer(&configured("smtp://127.0.0.1:25"), false).is_ok());
    }
}
