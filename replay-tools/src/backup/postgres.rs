//! pg_dump and pg_restore, which must be on the path and no older than the server. The password goes to them by the
//! environment: the arguments of a program can be seen by everybody on the machine. The server is asked how far they are.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use event_store::{
    MasterKey,
    vault::{Opening, Sealing},
};
use futures_util::future::join;
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

use crate::{failure::Failure, progress::Progress};

/// How often the server is asked how far they are.
const LOOK: Duration = Duration::from_millis(250);
/// How many bytes go through at once.
const PIECE: usize = 1 << 16;

/// A database, and what is shown of the work on it.
pub(super) struct Work<'a> {
    pub(super) url: &'a str,
    /// What is done, in words.
    pub(super) what: &'static str,
    /// About how many rows there are.
    pub(super) rows: u64,
}

impl Work<'_> {
    /// Dumps schemas into a file of PostgreSQL's own format. Owners and grants are those of the database it is restored to.
    pub(super) async fn dump(&self, arguments: &[String], file: &Path) -> Result<(), Failure> {
        let mut dump = self.pg_dump(arguments);
        dump.arg("--file").arg(file);
        self.run(dump, async |_| Ok(())).await
    }

    /// The same, encrypted under the master key before it gets to the disk.
    pub(super) async fn dump_sealed(
        &self,
        arguments: &[String],
        file: &Path,
        master: &MasterKey,
    ) -> Result<(), Failure> {
        let mut dump = self.pg_dump(arguments);
        dump.stdout(Stdio::piped());
        let mut sealing = Sealing::new(File::create(file)?, master)?;
        let seal = async |child: &mut Child| {
            let mut dumped = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
            let mut piece = vec![0; PIECE];
            loop {
                match dumped.read(&mut piece).await? {
                    0 => return sealing.finish()?.sync_all(),
                    read => sealing.write_all(&piece[..read])?,
                }
            }
        };
        self.run(dump, seal).await
    }

    /// Restores such a file, all of it or nothing. One that is encrypted is opened with whichever of these keys it is under.
    pub(super) async fn restore(&self, file: &Path, masters: &[&MasterKey]) -> Result<(), Failure> {
        let mut restore = self.program("pg_restore");
        restore.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-acl", "--no-password"]);
        let mut sealed = BufReader::new(File::open(file)?);
        // Before they were encrypted, backups of keys were as PostgreSQL writes them.
        if !Opening::is_sealed(&mut sealed)? {
            restore.arg(file);
            return self.run(restore, async |_| Ok(())).await;
        }
        let mut opening = Opening::new(sealed, masters.iter().copied())?;
        restore.stdin(Stdio::piped());
        let open = async |child: &mut Child| {
            let mut input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
            let mut piece = vec![0; PIECE];
            loop {
                match opening.read(&mut piece)? {
                    0 => return input.shutdown().await,
                    read => input.write_all(&piece[..read]).await?,
                }
            }
        };
        self.run(restore, open).await
    }

    fn pg_dump(&self, arguments: &[String]) -> Command {
        let mut dump = self.program("pg_dump");
        dump.args(["--format=custom", "--no-owner", "--no-acl", "--no-password"]).args(arguments);
        dump
    }

    fn program(&self, name: &str) -> Command {
        let (url, password) = without_password(self.url);
        let mut command = Command::new(name);
        command.arg("--dbname").arg(url).env("PGAPPNAME", self.name()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some(password) = password {
            command.env("PGPASSWORD", password);
        }
        command
    }

    /// What the server knows the program by.
    fn name(&self) -> String {
        format!("annals-replay {} {}", self.what, std::process::id())
    }

    /// Runs a program, moves what goes in or comes out, and shows how far it is.
    async fn run(
        &self,
        mut command: Command,
        through: impl AsyncFnOnce(&mut Child) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().map_err(|error| {
            let text = format!("{name}: {error}: are the client programs of PostgreSQL installed?");
            io::Error::new(error.kind(), text)
        })?;
        let mut errors = child.stderr.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let mut told = Vec::new();
        let run = async {
            let (read, moved) = join(errors.read_to_end(&mut told), through(&mut child)).await;
            (read.and(child.wait().await), moved)
        };
        let (status, moved) = self.watched(run).await;
        let altered = moved.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData);
        if !altered && !status?.success() {
            let told = String::from_utf8_lossy(&told);
            return Err(Failure::Wrong(format!("{name} failed: {}", told.trim())));
        }
        Ok(moved?)
    }

    /// Shows how many rows the program has copied while it is at work. That the server does not tell stops nobody.
    async fn watched<T>(&self, work: impl Future<Output = T>) -> T {
        let (progress, name) = (Progress::new(self.what, self.rows), self.name());
        let watch = async {
            let mut connection = PgConnection::connect(self.url).await?;
            let mut copied: HashMap<i64, i64> = HashMap::new();
            let mut ticks = tokio::time::interval(LOOK);
            loop {
                ticks.tick().await;
                let copying: Vec<(i64, i64)> = sqlx::query_as(include_str!("../sql/copying.sql"))
                    .bind(&name)
                    .fetch_all(&mut connection)
                    .await?;
                for (table, rows) in copying {
                    match table {
                        0 => progress.say("making indexes"),
                        table => _ = copied.insert(table, rows),
                    }
                }
                progress.at(copied.values().sum::<i64>().unsigned_abs());
            }
        };
        let (mut work, mut watch) = (std::pin::pin!(work), std::pin::pin!(watch));
        let failed: Result<std::convert::Infallible, sqlx::Error> = tokio::select! {
            done = &mut work => return done,
            failed = &mut watch => failed,
        };
        drop(failed);
        work.await
    }
}

/// About how many rows these schemas have.
pub(super) async fn rows(connection: &mut PgConnection, schemas: &[&str]) -> Result<u64, sqlx::Error> {
    let count = "SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname = ANY ($1)";
    let rows: i64 = sqlx::query_scalar(count).bind(schemas).fetch_one(connection).await?;
    Ok(rows.unsigned_abs())
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
