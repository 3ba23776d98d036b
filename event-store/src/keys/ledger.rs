//! The ledger of erasures: what was shredded, in a third place beside the log and the keys. A backup of the keys that is
//! restored brings keys back; the ledger takes them away again before anybody can use them.
//!
//! One line for each: `1 <subject> <class or *> <last epoch or ->`. It is only ever appended to, and on disk before a key is
//! destroyed; where the file was taken away meanwhile, it is written anew before. A line that a crash cut off was followed by
//! no destruction: it is ended and passed over.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use sqlx::PgPool;
use uuid::Uuid;

use super::lock;
use crate::StoreError;

/// What is destroyed: whose keys, of which class (`*`: every), up to which epoch (none: all, for ever).
pub(super) type Line = (Uuid, String, Option<i32>);

/// An open ledger. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Ledger(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    known: HashSet<Line>,
    /// How long the file is at least.
    length: u64,
}

impl Ledger {
    /// Opens or begins the ledger of this file.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        blocking(move || Ok(Ledger(Arc::new(Mutex::new(Open::at(path)?))))).await
    }

    /// Adds what it does not have yet. It is on disk when this returns, in the file that has the ledger's name.
    pub(super) async fn add(&self, lines: Vec<Line>) -> Result<(), StoreError> {
        let ledger = self.clone();
        let added = blocking(move || {
            let mut open = lock(&ledger.0);
            open.see_to_it_that_it_is_there()?;
            let new: Vec<Line> = lines.into_iter().filter(|line| !open.known.contains(line)).collect();
            open.write(new)
        });
        // A full disk, or a folder that is not mounted: whoever destroys a key tries again until it is there.
        added.await.map_err(|error| match error {
            StoreError::Configuration(why) => StoreError::Ledger(why),
            error => error,
        })
    }

    /// What it names, as far as it is known here.
    pub(super) fn lines(&self) -> Vec<Line> {
        lock(&self.0).known.iter().cloned().collect()
    }

    /// Destroys again what a restored backup of the keys has brought back, and says how many keys that were.
    pub(super) async fn apply(&self, pool: &PgPool) -> Result<u64, StoreError> {
        let lines = self.lines();
        let mut destroyed = 0;
        for lines in lines.chunks(10_000) {
            let subjects: Vec<Uuid> = lines.iter().map(|(subject, ..)| *subject).collect();
            let classes: Vec<&str> = lines.iter().map(|(_, class, _)| class.as_str()).collect();
            let through: Vec<Option<i32>> = lines.iter().map(|(.., through)| *through).collect();
            let mut transaction = pool.begin().await?;
            sqlx::query("SET LOCAL synchronous_commit = on").execute(&mut *transaction).await?;
            sqlx::query("LOCK TABLE annals_keys.data_keys IN SHARE ROW EXCLUSIVE MODE")
                .execute(&mut *transaction)
                .await?;
            let gone: i64 = sqlx::query_scalar(include_str!("../sql/keys_reapply.sql"))
                .bind(subjects)
                .bind(classes)
                .bind(through)
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            destroyed += gone.unsigned_abs();
        }
        Ok(destroyed)
    }
}

impl Open {
    /// Opens or begins this file.
    fn at(path: PathBuf) -> Result<Self, StoreError> {
        let failed = |error: io::Error| unusable(&path, &error.to_string());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let mut known = HashSet::new();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for (number, line) in whole.lines().enumerate() {
            // What a crash left of a line was ended by whoever opened the ledger next.
            match parse(line) {
                Some(line) => _ = known.insert(line),
                None if line.ends_with(CUT) => {}
                None => return Err(unusable(&path, &format!("line {} cannot be read", number + 1))),
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(format!("{CUT}\n").as_bytes()).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        let length = text.len() as u64;
        Ok(Open { path, file, known, length })
    }

    /// Writes the ledger anew, whole, where somebody has taken its file away, put another one in its place or cut it off: what
    /// is written into a file without a name is there for nobody who opens the ledger next.
    fn see_to_it_that_it_is_there(&mut self) -> Result<(), StoreError> {
        if self.is_there().map_err(|error| unusable(&self.path, &error.to_string()))? {
            return Ok(());
        }
        let mut there = Open::at(self.path.clone())?;
        let missing: Vec<Line> = self.known.difference(&there.known).cloned().collect();
        let lines = missing.len();
        there.write(missing)?;
        let ledger = self.path.display();
        tracing::warn!(%ledger, lines, "the ledger of erasures was not as it was left, and was written anew");
        *self = there;
        Ok(())
    }

    /// Whether the file that has the ledger's name is the one that is open, and nothing of it is missing.
    fn is_there(&self) -> io::Result<bool> {
        let there = match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        let open = self.file.metadata()?;
        Ok((there.dev(), there.ino()) == (open.dev(), open.ino()) && there.len() >= self.length)
    }

    /// Appends lines. They are on disk when this returns.
    fn write(&mut self, lines: Vec<Line>) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        let text: String = lines.iter().map(written).collect();
        match self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all()) {
            Ok(()) => {
                self.length += text.len() as u64;
                self.known.extend(lines);
                Ok(())
            }
            Err(error) => {
                // How much of it is there is not known: the next who writes looks.
                self.length = u64::MAX;
                Err(unusable(&self.path, &error.to_string()))
            }
        }
    }
}

/// What ends a line that a crash cut off.
const CUT: &str = " cut";

fn written((subject, class, through): &Line) -> String {
    let through = through.map_or("-".to_owned(), |through| through.to_string());
    format!("1 {subject} {class} {through}\n")
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    let (version, subject, class, through) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if version != "1" || words.next().is_some() || class.is_empty() {
        return None;
    }
    let through = if through == "-" { None } else { Some(through.parse().ok()?) };
    Some((subject.parse().ok()?, class.to_owned(), through))
}

fn unusable(path: &Path, why: &str) -> StoreError {
    StoreError::Configuration(format!("the ledger of erasures {}: {why}", path.display()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Closed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_it_was_written_and_half_a_line_is_none() {
        let subject = Uuid::from_u128(7);
        for line in [(subject, "*".to_owned(), None), (subject, "device".to_owned(), Some(202_512))] {
            let text = written(&line);
            assert_eq!(parse(text.trim_end()), Some(line));
            assert_eq!(parse(&text[..text.len() / 2]), None);
        }
        assert_eq!(parse(&format!("2 {subject} device -")), None);
    }
}
