//! Mail as files, for a machine that has no mail server: one file for each message, to be opened with any mail program.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use commands::ports::{Mail, Mailer, Undelivered};
use futures_util::future::BoxFuture;
use lettre::message::Mailbox;

use super::{MailError, message, not_now, sender};

/// A folder of messages.
pub struct Outbox {
    folder: PathBuf,
    from: Mailbox,
}

impl Outbox {
    /// The outbox in a folder, which is made, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// A folder that cannot be made, and a sender that is none.
    pub fn new(folder: &Path, from: &str) -> Result<Self, MailError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Outbox { folder: folder.to_owned(), from: sender(from)? })
    }
}

impl Mailer for Outbox {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            let bytes = message(mail, &self.from)?.formatted();
            let (folder, name) = (self.folder.clone(), mail.message_id.to_string());
            let written = tokio::task::spawn_blocking(move || write(&folder, &name, &bytes)).await;
            match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(not_now(format!("the outbox cannot be written: {}", error.kind()))),
                Err(_) => Err(not_now("the outbox was not written")),
            }
        })
    }
}

/// There it is whole or not at all. The same message again takes the place of its copy.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = folder.join(format!(".{name}"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, folder.join(format!("{name}.eml")))?;
    File::open(folder)?.sync_all()
}
