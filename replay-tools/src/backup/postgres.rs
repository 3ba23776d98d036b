//! pg_dump and pg_restore, which must be on the path and no older than the server. The password goes to them by the
//! environment: the arguments of a program can be seen by everybody on the machine.

use std::{
    io,
    path::Path,
    process::{Output, Stdio},
};

use tokio::process::Command;

use crate::failure::Failure;

/// Dumps schemas into a file of PostgreSQL's own format. Owners and grants are those of the database it is restored to.
pub(super) async fn dump(url: &str, arguments: &[String], file: &Path) -> Result<(), Failure> {
    let mut dump = program("pg_dump", url);
    dump.args(["--format=custom", "--no-owner", "--no-acl", "--no-password"]).args(arguments);
    run(dump.arg("--file").arg(file)).await
}

/// Restores such a file, all of it or nothing.
pub(super) async fn restore(url: &str, file: &Path) -> Result<(), Failure> {
    let mut restore = program("pg_restore", url);
    restore.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-acl", "--no-password"]);
    run(restore.arg(file)).await
}

fn program(name: &str, url: &str) -> Command {
    let (url, password) = without_password(url);
    let mut command = Command::new(name);
    command.arg("--dbname").arg(url).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    command
}

async fn run(command: &mut Command) -> Result<(), Failure> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let Output { status, stderr, .. } = command.output().await.map_err(|error| {
        let text = format!("{name}: {error}: are the client programs of PostgreSQL installed?");
        io::Error::new(error.kind(), text)
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Wrong(format!("{name} failed: {}", String::from_utf8_lossy(&stderr).trim())))
}

/// The URL without its password, and the password.
fn without_password(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user, host)) = authority.rsplit_once('@') else { return (url.to_owned(), None) };
    let Some((user, password)) = user.split_once(':') else { return (url.to_owned(), None) };
    (format!("{scheme}://{user}@{host}{path}"), Some(decoded(password)))
}

/// `%41` is `A`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_an_argument() {
        let url = "postgres://ann:s%3Acret%25@db:5432/annals?sslmode=require";
        let (bare, password) = without_password(url);
        assert_eq!(bare, "postgres://ann@db:5432/annals?sslmode=require");
        assert_eq!(password.as_deref(), Some("s:cret%"));
        for without in ["postgres://ann@db/annals", "postgres://db/annals?host=/tmp@x", "host=db"] {
            assert_eq!(without_password(without), (without.to_owned(), None));
        }
    }
}
