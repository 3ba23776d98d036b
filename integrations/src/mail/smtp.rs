//! Hands mail to an SMTP server (RFC 5321).

use std::time::Duration;

use commands::ports::{Mail, Mailer, PortError};
use futures_util::future::BoxFuture;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor, message::Mailbox};

use super::{MailError, message, no, sender};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mail server.
pub struct Smtp {
    from: Mailbox,
    server: AsyncSmtpTransport<Tokio1Executor>,
}

impl Smtp {
    /// The server at an address, in whose name mail goes out from `from`. `smtps://` is TLS from the first byte,
    /// `smtp://…?tls=required` is STARTTLS, and bare `smtp://` is for a relay on this machine.
    ///
    /// # Errors
    /// An address that cannot be understood.
    pub fn new(url: &str, from: &str) -> Result<Self, MailError> {
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| MailError::Server)?;
        Ok(Smtp { from: sender(from)?, server: server.timeout(Some(PATIENCE)).build() })
    }
}

impl Mailer for Smtp {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let message = message(mail, &self.from)?;
            self.server.send(message).await.map(drop).map_err(|error| refused(&error))
        })
    }
}

/// What kind of error it is, without what the server said.
fn refused(error: &lettre::transport::smtp::Error) -> PortError {
    let code = error.status().map(|code| format!(" ({code})")).unwrap_or_default();
    no(if error.is_permanent() {
        format!("the mail server refuses it{code}")
    } else if error.is_transient() {
        format!("the mail server does not take it now{code}")
    } else if error.is_timeout() {
        "the mail server does not answer".to_owned()
    } else {
        "the mail server cannot be reached".to_owned()
    })
}
