//! The notary follows the log, folds what is new into the tree and signs where it stands.
//!
//! It signs only what extends the tree that it signed before, as its own directory has it. When it starts it compares
//! the last tile with the log, and while it runs it walks through the older ones, so that a rewritten log is noticed
//! without anybody asking. Then it says so, leaves a file `refused` and signs no more until somebody removes that.

use std::{
    fs::File,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::{sleep, sleep_until},
};
use uuid::Uuid;

use super::{
    Checkpoint, Directory, DirectoryError, Edge, Hash, Leaf, NoteError, Signer, TILE_WIDTH, Tile,
    consistency_proof, root, verify_consistency,
};
use crate::{EventStore, Position, Recorded, StoreError};

/// How long to wait after a failure, and for the directory while another process has it.
const RETRY: Duration = Duration::from_secs(1);

/// How long new events are let gather: a signature is made once in a while, and until then nobody waits for the tree.
const BREATH: Duration = Duration::from_millis(50);

/// So many at once say that there may be many more.
const GATHERED: usize = 1024;

/// Where the notary works and what it signs with.
#[derive(Clone)]
pub struct NotaryConfig {
    /// Where tiles and checkpoint are written.
    pub directory: PathBuf,
    /// The log's name in the world, such as `records.example.edu/annals`; one that has the log's incarnation if none.
    pub origin: Option<String>,
    /// The secret of the Ed25519 key.
    pub secret: [u8; 32],
    /// The shortest time between two signatures.
    pub every: Duration,
    /// How often an older tile is compared with the log.
    pub patrol: Duration,
}

impl NotaryConfig {
    /// The usual pace, in this directory and with this key.
    pub fn new(directory: impl Into<PathBuf>, secret: [u8; 32]) -> Self {
        let (every, patrol) = (Duration::from_secs(1), Duration::from_secs(1));
        NotaryConfig { directory: directory.into(), origin: None, secret, every, patrol }
    }
}

impl std::fmt::Debug for NotaryConfig {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotaryConfig").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// What a notary is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotaryState {
    /// Another process has the directory; or it has not begun.
    Standby,
    /// It has signed the tree of so many leaves.
    Signed(u64),
    /// Something failed that may pass.
    Interrupted(String),
    /// It must not sign; somebody has to look.
    Refused(String),
}

/// Why a notary does not sign.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// The log cannot be read, or goes on at the wrong place.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The event at a position is not the one that was signed.
    #[error("the log was rewritten: position {position} is not what was signed")]
    Rewritten {
        /// The first one that was noticed.
        position: Position,
    },
    /// The directory belongs to another log, or the log is another one now.
    #[error("the directory is of the log incarnation {signed}, and this is {found}")]
    Incarnation {
        /// What the directory says.
        signed: String,
        /// What the database says.
        found: Uuid,
    },
    /// The tiles on disk do not have the signed root.
    #[error("the tiles do not lead to the signed root of size {size}")]
    Tiles {
        /// The size of the signed tree.
        size: u64,
    },
    /// It refused before, and nobody has removed the file.
    #[error("it refused before (remove `refused` in its directory when that is cleared): {0}")]
    Before(String),
}

impl NotaryError {
    /// Whether it must not go on by itself.
    fn is_final(&self) -> bool {
        match self {
            Self::Store(error) => match error {
                StoreError::Hole { .. } | StoreError::AheadOfLog { .. } | StoreError::Unreadable(_) => true,
                StoreError::Shared(error) => !error.is_transient(),
                _ => false,
            },
            Self::Directory(DirectoryError::Disk(error)) => error.kind() == io::ErrorKind::InvalidData,
            Self::Directory(_)
            | Self::Rewritten { .. }
            | Self::Incarnation { .. }
            | Self::Tiles { .. }
            | Self::Before(_) => true,
        }
    }

    /// Whether the log is not what was signed: then it does not sign again, whatever the log becomes, until somebody says so.
    fn is_of_the_log(&self) -> bool {
        matches!(
            self,
            Self::Rewritten { .. } | Self::Store(StoreError::Hole { .. } | StoreError::AheadOfLog { .. })
        )
    }
}

impl From<NoteError> for NotaryError {
    fn from(error: NoteError) -> Self {
        DirectoryError::Note(error).into()
    }
}

impl From<io::Error> for NotaryError {
    fn from(error: io::Error) -> Self {
        DirectoryError::Disk(error).into()
    }
}

/// A notary at work.
#[derive(Debug)]
pub struct Notary {
    directory: Directory,
    state: watch::Receiver<NotaryState>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Notary {
    /// Begins to sign the log of a store.
    ///
    /// # Errors
    /// When the log cannot be read, the directory not be made, or the origin cannot be a name.
    pub async fn start(store: EventStore, config: NotaryConfig) -> Result<Self, NotaryError> {
        let incarnation = store.head().await?.incarnation;
        let origin = config.origin.unwrap_or_else(|| format!("annals/{incarnation}"));
        let signer = Signer::new(origin, &config.secret)?;
        std::fs::create_dir_all(&config.directory)?;
        let directory = Directory::new(config.directory, signer.verifier().clone());
        let (told, state) = watch::channel(NotaryState::Standby);
        let (stop, stopped) = watch::channel(false);
        let desk = Desk {
            store,
            signer,
            directory: directory.clone(),
            every: config.every,
            patrol: config.patrol,
            told,
        };
        Ok(Notary { directory, state, stop, task: tokio::spawn(desk.run(stopped)) })
    }

    /// What it has published.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What it is doing.
    pub fn state(&self) -> watch::Receiver<NotaryState> {
        self.state.clone()
    }

    /// Ends it. What it has signed stays.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the notary did not end well");
        }
    }
}

struct Desk {
    store: EventStore,
    signer: Signer,
    directory: Directory,
    every: Duration,
    patrol: Duration,
    told: watch::Sender<NotaryState>,
}

/// The tree as it grows, and what of it is signed.
struct Work {
    edge: Edge,
    signed: Option<Checkpoint>,
    /// Full tiles, to be written with the next signature: nobody asks for them before.
    filled: Vec<(Tile, Vec<Hash>)>,
}

impl Work {
    /// Takes events in, in order.
    fn fold(&mut self, events: &[Recorded]) {
        let (edge, filled) = (&mut self.edge, &mut self.filled);
        let mut buffer = Vec::new();
        for event in events {
            edge.push(Leaf::hash_of(event, &mut buffer), |tile, hashes| filled.push((tile, hashes)));
        }
    }
}

impl Desk {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let error = tokio::select! {
                never = self.work() => match never { Err(error) => error },
                _ = stop.wait_for(|stop| *stop) => return,
            };
            if error.is_final() {
                tracing::error!(%error, "the notary refuses to sign");
                self.told.send_replace(NotaryState::Refused(error.to_string()));
                tokio::select! {
                    () = self.pardoned() => continue,
                    // An error means that nobody can tell it to stop any more.
                    _ = stop.wait_for(|stop| *stop) => return,
                }
            }
            tracing::warn!(%error, "the notary is interrupted and begins again");
            self.told.send_replace(NotaryState::Interrupted(error.to_string()));
            tokio::select! {
                () = sleep(RETRY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Until somebody has looked into what it refused, and has taken the file away that says so. Where there is none, what is
    /// wrong is not the log but how the notary was started.
    async fn pardoned(&self) {
        let refused = self.directory.path().join("refused");
        if !refused.exists() {
            std::future::pending::<()>().await;
        }
        while refused.exists() {
            sleep(RETRY).await;
        }
    }

    async fn work(&self) -> Result<std::convert::Infallible, NotaryError> {
        let _lock = self.lock().await?;
        let Err(error) = self.sign().await;
        if error.is_of_the_log() {
            self.directory.write("refused", format!("{error}\n").as_bytes())?;
        }
        Err(error)
    }

    async fn sign(&self) -> Result<std::convert::Infallible, NotaryError> {
        let mut work = self.resume().await?;
        let mut chunks = std::pin::pin!(self.store.follow(work.edge.size()));
        let mut due = Instant::now();
        let mut patrol = (Instant::now() + self.patrol, rand::random::<u64>());
        loop {
            let signed = work.signed.as_ref().map(|checkpoint| checkpoint.size);
            if signed != Some(work.edge.size()) && Instant::now() >= due {
                work = self.publish(work).await?;
                self.told.send_replace(NotaryState::Signed(work.edge.size()));
                due = Instant::now() + self.every;
                continue;
            }
            tokio::select! {
                chunk = chunks.next() => {
                    let chunk = chunk.unwrap_or(Err(StoreError::Closed))?;
                    let gathered = chunk.len() >= GATHERED;
                    work.fold(&chunk);
                    if !gathered {
                        sleep(BREATH).await;
                    }
                }
                () = sleep_until(due.into()), if signed != Some(work.edge.size()) => {}
                () = sleep_until(patrol.0.into()) => {
                    // What is not signed yet has not been written either.
                    let full = signed.unwrap_or(0) / TILE_WIDTH;
                    if full > 0 {
                        self.compare(patrol.1 % full, TILE_WIDTH).await?;
                    }
                    patrol = (Instant::now() + self.patrol, patrol.1.wrapping_add(1));
                }
            }
        }
    }

    /// One process at a time works in a directory; the system frees it however that process ends.
    async fn lock(&self) -> Result<File, NotaryError> {
        let file = File::create(self.directory.path().join("lock"))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(std::fs::TryLockError::WouldBlock) => {}
                Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
            }
            self.told.send_replace(NotaryState::Standby);
            sleep(RETRY).await;
        }
    }

    /// Goes on where the last signature was made, if the log still is what was signed.
    async fn resume(&self) -> Result<Work, NotaryError> {
        let head = self.store.head().await?;
        let read = |name| match std::fs::read_to_string(self.directory.path().join(name)) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        if let Some(reason) = read("refused")? {
            return Err(NotaryError::Before(reason));
        }
        match read("incarnation")? {
            Some(signed) if signed != head.incarnation.to_string() => {
                return Err(NotaryError::Incarnation { signed, found: head.incarnation });
            }
            Some(_) => {}
            None => self.directory.write("incarnation", format!("{}\n", head.incarnation).as_bytes())?,
        }
        let (checkpoint, _) = match self.directory.signed() {
            Ok(signed) => signed,
            Err(DirectoryError::Unsigned) => {
                self.compare_unsigned(0).await?;
                self.directory.write("key", format!("{}\n", self.signer.verifier()).as_bytes())?;
                return Ok(Work { edge: Edge::default(), signed: None, filled: Vec::new() });
            }
            Err(error) => return Err(error.into()),
        };
        let edge = Edge::read(checkpoint.size, |tile| self.directory.hashes(tile))?;
        if edge.root() != checkpoint.root {
            return Err(NotaryError::Tiles { size: checkpoint.size });
        }
        if head.position < checkpoint.size {
            return Err(StoreError::AheadOfLog { after: checkpoint.size, head: head.position }.into());
        }
        if let Some(last) = checkpoint.size.checked_sub(1) {
            let tile = last / TILE_WIDTH;
            self.compare(tile, (checkpoint.size - tile * TILE_WIDTH).min(TILE_WIDTH)).await?;
        }
        self.compare_unsigned(checkpoint.size).await?;
        self.told.send_replace(NotaryState::Signed(checkpoint.size));
        Ok(Work { edge, signed: Some(checkpoint), filled: Vec::new() })
    }

    /// Compares the partial tiles of leaves beyond the checkpoint with the log: of a notary that was killed before it signed
    /// them, or of checkpoints that somebody has put an older one in the place of. Full ones are compared when they are written
    /// again, but a partial one is written again only where the log ends at the same place.
    async fn compare_unsigned(&self, signed: u64) -> Result<(), NotaryError> {
        let directory = self.directory.clone();
        let tiles = blocking(move || Ok(directory.tiles()?)).await?;
        for tile in
            tiles.into_iter().filter(|tile| tile.level == 0 && !tile.is_full() && tile.leaves() > signed)
        {
            self.compare(tile.index, tile.width).await?;
        }
        Ok(())
    }

    /// Compares a tile of leaves with the log as it is now.
    async fn compare(&self, index: u64, width: u64) -> Result<(), NotaryError> {
        let directory = self.directory.clone();
        let tile = Tile { level: 0, index, width };
        let hashes = blocking(move || Ok(directory.hashes(tile)?)).await?;
        let after = index * TILE_WIDTH;
        let events = self.store.read_all(after, hashes.len()).await?;
        let found = events.iter().map(|event| (event.position, Leaf::of(event).hash()));
        let signed: Vec<(Position, Hash)> = (after + 1..).zip(hashes).collect();
        let Some(position) = first_difference(&signed, found) else { return Ok(()) };
        Err(NotaryError::Rewritten { position })
    }

    /// Writes the tiles, makes sure that what lies there extends what was signed, and signs.
    async fn publish(&self, mut work: Work) -> Result<Work, NotaryError> {
        let (directory, signer) = (self.directory.clone(), self.signer.clone());
        blocking(move || {
            let full = work.filled.iter().map(|(tile, hashes)| (*tile, &**hashes));
            directory.write_tiles(full.chain(work.edge.tiles()))?;
            let next = Checkpoint {
                origin: signer.verifier().name().to_owned(),
                size: work.edge.size(),
                root: work.edge.root(),
            };
            let (tree, size) = (directory.tree(next.size), next.size);
            // As it lies there now: another process that does not heed the lock may have signed meanwhile.
            let signed = match directory.signed() {
                Ok((signed, _)) => Some(signed),
                Err(DirectoryError::Unsigned) => None,
                Err(error) => return Err(error.into()),
            };
            let extends = match &signed {
                _ if signed != work.signed || root(&tree, size)? != next.root => false,
                Some(old) => {
                    let proof = consistency_proof(&tree, old.size, size)?;
                    verify_consistency(old.size, old.root, size, next.root, &proof)
                }
                None => true,
            };
            if !extends {
                return Err(NotaryError::Tiles { size });
            }
            directory.write("checkpoint", Checkpoint::sign(size, next.root, &signer).as_bytes())?;
            work.signed = Some(next);
            work.filled.drain(..).try_for_each(|(tile, _)| directory.remove_partials(tile))?;
            Ok(work)
        })
        .await
    }
}

/// The first position at which the log does not have what was signed.
fn first_difference(
    signed: &[(Position, Hash)],
    mut found: impl Iterator<Item = (Position, Hash)>,
) -> Option<Position> {
    signed.iter().find(|leaf| found.next() != Some(**leaf)).map(|(position, _)| *position)
}

/// Work on files, away from the threads that everything else runs on.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotaryError> + Send + 'static,
) -> Result<T, NotaryError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}
