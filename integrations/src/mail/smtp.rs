//! Hands mail to an SMTP server (RFC 5321).

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use commands::ports::{Mail, Mailer, Undelivered};
use futures_util::future::BoxFuture;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor, message::Mailbox, transport::smtp::response::Category,
};
use openidconnect::url::Url;

use super::{MailError, message, not_now, refused, sender};

/// How long a server may take to accept a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mail server.
pub struct Smtp {
    from: Mailbox,
    server: AsyncSmtpTransport<Tokio1Executor>,
    patience: Duration,
    /// Until when nobody tries, because the server said nothing: each attempt would hold up others for as long again.
    silent: Mutex<Option<Instant>>,
}

impl Smtp {
    /// The server at an address, in whose name mail goes out from `from`. `smtps://` is TLS from the first byte,
    /// `smtp://…?tls=required` is STARTTLS, and bare `smtp://` is for a relay on this machine.
    ///
    /// # Errors
    /// An address that cannot be understood, or one that would send a password in the clear to another machine.
    pub fn new(url: &str, from: &str) -> Result<Self, MailError> {
        let address: Url = url.parse().map_err(|_| MailError::Server)?;
        if address.password().is_some() && !is_protected(&address) {
            return Err(MailError::Clear);
        }
        if !is_protected(&address) {
            let host = address.host_str();
            tracing::warn!(
                host,
                "mail, with tokens that replace passwords, goes to another machine in the clear: use smtps://… or ?tls=required"
            );
        }
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| MailError::Server)?;
        let server = server.timeout(Some(PATIENCE)).build();
        Ok(Smtp { from: sender(from)?, server, patience: PATIENCE, silent: Mutex::new(None) })
    }

    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Smtp { patience, silent: Mutex::new(None), ..self }
    }
}

impl Smtp {
    fn silent(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody on the way reads along: it is encrypted, or goes nowhere.
fn is_protected(address: &Url) -> bool {
    let required = address.query_pairs().any(|(name, value)| name == "tls" && value == "required");
    let here = match address.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some(host) => {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    address.scheme() == "smtps" || required || here
}

impl Mailer for Smtp {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            let message = message(mail, &self.from)?;
            if self.silent().is_some_and(|until| Instant::now() < until) {
                return Err(not_now("the mail server did not answer just now"));
            }
            // The library's own time limit is for the connection; a server that was reached may say nothing.
            match tokio::time::timeout(self.patience, self.server.send(message)).await {
                Ok(sent) => sent.map(drop).map_err(|error| undelivered(&error)),
                Err(_) => {
                    *self.silent() = Some(Instant::now() + self.patience);
                    Err(not_now("the mail server does not answer"))
                }
            }
        })
    }
}

/// What kind of error it is, without what the server said. What is wrong with the mail or its address, stays wrong (5y5 of
/// RFC 5321); what is wrong with us, such as a password, can be mended.
fn undelivered(error: &lettre::transport::smtp::Error) -> Undelivered {
    let code = error.status().map(|code| format!(" ({code})")).unwrap_or_default();
    if error.is_permanent() && error.status().is_some_and(|code| code.category == Category::MailSystem) {
        return refused(format!("the mail server does not want it{code}"));
    }
    not_now(if error.is_permanent() {
        format!("the mail server refuses us{code}")
    } else if error.is_transient() {
        format!("the mail server does not take it now{code}")
    } else if error.is_timeout() {
        "the mail server does not answer".to_owned()
    } else {
        "the mail server cannot be reached".to_owned()
    })
}
