//! Mail: to an SMTP server, or, where a machine of one's own has none, into files.
//!
//! A mail is handed over at least once, under the same Message-ID each time. What it says and to whom never reaches a log
//! line or an error: what servers answer often repeats the address.

mod outbox;
mod smtp;

pub use outbox::Outbox;
pub use smtp::Smtp;

use commands::ports::{Mail, Mailer, PortError, Undelivered};
use futures_util::future::BoxFuture;
use lettre::{
    Message,
    message::{Mailbox, MultiPart},
};

/// Why no mailer can be made.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The address of the server.
    #[error(
        "the address of the mail server cannot be used; it is smtp://user:password@host:port, smtps://host or smtp://host?tls=required"
    )]
    Server,
    /// The password would cross a network in the clear.
    #[error(
        "the password of the mail server would be sent in the clear; use smtps://… or smtp://…?tls=required, or no password"
    )]
    Clear,
    /// The sender's address.
    #[error("`{0}` is not an address to send mail from, such as `Registrar <registrar@example.edu>`")]
    Sender(String),
    /// The folder of the outbox.
    #[error("the outbox cannot be made: {0}")]
    Outbox(#[from] std::io::Error),
}

/// Where there is no way to send mail: each attempt says so.
pub struct Nowhere;

impl Mailer for Nowhere {
    fn send<'a>(&'a self, _: &'a Mail) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async { Err(not_now("no mail server is configured (ANNALS_SMTP_URL)")) })
    }
}

fn not_now(reason: impl Into<String>) -> Undelivered {
    PortError { port: "mail", reason: reason.into() }.into()
}

fn refused(reason: impl Into<String>) -> Undelivered {
    Undelivered::Refused { reason: reason.into() }
}

fn sender(from: &str) -> Result<Mailbox, MailError> {
    from.parse().map_err(|_| MailError::Sender(from.to_owned()))
}

/// The message as it is handed over.
fn message(mail: &Mail, from: &Mailbox) -> Result<Message, Undelivered> {
    let to: Mailbox = mail.to.parse().map_err(|_| refused("the address is none"))?;
    let builder = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(mail.subject.clone())
        .message_id(Some(format!("<{}@{}>", mail.message_id, from.email.domain())));
    let text = mail.text.clone();
    let built = match &mail.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html.clone())),
        None => builder.header(lettre::message::header::ContentType::TEXT_PLAIN).body(text),
    };
    built.map_err(|_| refused("the message cannot be written"))
}

#[cfg(test)]
mod tests;
