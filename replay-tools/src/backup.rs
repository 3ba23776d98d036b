//! `backup` and `restore`: the log in one archive, the keys in another, and what was erased in a third file.
//!
//! A restored log is another log: it gets an incarnation of its own, so that whatever followed the former one refuses to
//! go on. Until it has, and is complete, the databases are marked: nobody opens them as a log, and a restore that was
//! interrupted is begun anew. Read models are not kept: they are folded again. Keys that were destroyed after the backup was made come back
//! with it, unless the later erasures are applied again: without a ledger of these nothing is restored unless that is stated,
//! and it is told where the ledger knows of none that the backup does not know. The archive of the keys is encrypted under the master key.

mod erasures;
mod manifest;
mod postgres;
mod room;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use event_store::{EventStore, MasterKey, RESTORING, StoreConfig};
use jiff::Timestamp;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{
    annals::{self, Annals},
    failure::Failure,
};
use manifest::{KEYS, LOG, Manifest, Rows};
use postgres::Work;
use room::What;

/// Writes the log to log.dump, the keys to keys.dump, what was erased to erasures.jsonl, and a manifest with checksums.
/// keys.dump is encrypted under the master key, which is in no backup. Takes pg_dump of PostgreSQL.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// The folder for the log; it is made, and must hold no backup yet.
    #[arg(long)]
    out: PathBuf,
    /// The folder for the keys and the erasures, which should have another life than the log; that of the log where none
    /// is given.
    #[arg(long)]
    keys_out: Option<PathBuf>,
}

impl Backup {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let manifest = self.backup(annals).await?;
        annals.show(&manifest, || manifest.to_text())?;
        Ok(true)
    }

    async fn backup(&self, annals: &Annals) -> Result<Manifest, Failure> {
        let keys_out = self.keys_out.as_ref().unwrap_or(&self.out);
        for folder in [&self.out, keys_out] {
            if folder.join(manifest::NAME).exists() {
                return Err(Failure::Wrong(format!("{} holds a backup already", folder.display())));
            }
        }
        for folder in [&self.out, keys_out] {
            std::fs::create_dir_all(folder).map_err(Failure::file(folder))?;
        }
        // pg_dump reads the very snapshot in which the head was read.
        let mut connection = PgConnection::connect(&annals.url).await?;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut connection).await?;
        let (snapshot, position, incarnation): (String, i64, Uuid) =
            sqlx::query_as("SELECT pg_export_snapshot(), position, incarnation FROM annals.head")
                .fetch_one(&mut connection)
                .await?;
        let models: Vec<String> = sqlx::query_scalar("SELECT DISTINCT name FROM annals.projections")
            .fetch_all(&mut connection)
            .await?;
        let mut arguments =
            vec!["--schema=annals".into(), "--schema=read".into(), format!("--snapshot={snapshot}")];
        // The analysts' views of read models: they are made again with these.
        arguments.extend(models.iter().map(|name| format!("--exclude-table=read.\"{name}\"")));
        let position = position.cast_unsigned();
        let mut rows = Rows { log: postgres::rows(&mut connection, &["annals", "read"]).await?, keys: 0 };
        // What the planner believes may be old; the end of the log is not.
        rows.log = rows.log.max(position);
        let log = Work { url: &annals.url, what: "dumping the log", rows: rows.log };
        log.dump(&arguments, &self.out.join(LOG)).await?;
        connection.close().await?;
        // After the log: every event that is in it has its keys, unless they were destroyed.
        let mut connection = PgConnection::connect(&annals.keys_url).await?;
        rows.keys = postgres::rows(&mut connection, &["annals_keys"]).await?;
        connection.close().await?;
        let keys = Work { url: &annals.keys_url, what: "dumping the keys", rows: rows.keys };
        let schema = ["--schema=annals_keys".to_owned()];
        keys.dump_sealed(&schema, &keys_out.join(KEYS), &annals.keys.master).await?;
        erasures::write(annals.store.keyring(), keys_out).await?;
        let manifest = Manifest::of((incarnation, position), rows, &self.out, keys_out)?;
        for folder in BTreeSet::from([keys_out, &self.out]) {
            manifest.save(folder)?;
        }
        Ok(manifest)
    }
}

/// Restores a backup into an empty database, as a log of its own; again where it was interrupted. Exits with 1 when a file is
/// not what was written.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The folder with the log.
    #[arg(long)]
    from: PathBuf,
    /// The folder with the keys and the erasures; that of the log where none is given.
    #[arg(long)]
    keys_from: Option<PathBuf>,
    /// The erasures of a later backup: keys that were destroyed since are destroyed again, and claims that were freed with
    /// them are freed again.
    #[arg(long)]
    erasures: Option<PathBuf>,
    /// Restores although no ledger of erasures is at hand, neither in --erasures nor in ANNALS_ERASURE_LEDGER: whoever was
    /// erased after the backup is back.
    #[arg(long, conflicts_with = "erasures")]
    without_erasures: bool,
}

impl Restore {
    pub(crate) async fn run(&self, json: bool) -> Result<bool, Failure> {
        let config = StoreConfig::new(annals::database_url()?, annals::keys()?);
        let keys_from = self.keys_from.as_ref().unwrap_or(&self.from);
        let manifest = Manifest::read(&self.from)?;
        // Whoever opens the ledger may write it.
        let newest = self.newest_erasure(config.keys.ledger.as_deref())?;
        if let Some(broken) = manifest.first_broken(&self.from, keys_from)? {
            let why = format!("{}: nothing was restored", manifest.why_broken(broken, keys_from)?);
            let told = json!({ "disagrees": why, "file": broken });
            annals::show(json, &told, || why)?;
            return Ok(false);
        }
        let store = self.restore(config.clone(), &manifest, keys_from).await?;
        let annals = Annals::of(store, &config.database_url, config.keys, json)?;
        let head = annals.store.head().await?;
        let applied = erasures::applied(annals.store.keyring(), keys_from).await?;
        let note = self.note(applied, manifest.created_at);
        let answer = json!({ "position": head.position, "incarnation": head.incarnation, "was": manifest.incarnation,
            "erasures": { "applied": applied, "newest": newest }, "note": note });
        annals.show(&answer, || {
            let newest = newest.map(|at| format!(", the newest is of {at}")).unwrap_or_default();
            let note = note.map(|note| format!("\n{note}")).unwrap_or_default();
            format!(
                "restored up to position {} as log {} (was {}); `verify` looks at it, `rebuild` folds the read models\n\
                 {applied} erasures that the backup does not know were applied{newest}{note}",
                head.position, head.incarnation, manifest.incarnation
            )
        })?;
        annals.store.shutdown().await;
        Ok(head.position == manifest.position)
    }

    /// Of when the newest erasure is that is known, in the file that was named or in the ledger, which is written whenever
    /// there is one. Without either nothing is restored, unless that is what was asked for.
    fn newest_erasure(&self, ledger: Option<&Path>) -> Result<Option<Timestamp>, Failure> {
        // A node begins one as it starts: an empty one says nothing of who was erased elsewhere.
        let ledger =
            ledger.filter(|path| std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0));
        if self.erasures.is_none() && ledger.is_none() && !self.without_erasures {
            return Err(Failure::Wrong(
                "no ledger of erasures is at hand, and whoever was erased after the backup would be back: name its file in \
                 ANNALS_ERASURE_LEDGER, or the erasures.jsonl of the newest backup with --erasures; \
                 --without-erasures restores all the same"
                    .into(),
            ));
        }
        let named = self.erasures.as_deref().map(erasures::newest).transpose()?.flatten();
        let written = ledger.map(erasures::written).transpose()?.flatten();
        Ok(named.max(written))
    }

    /// What is to be known of a restore that brought no later erasure.
    fn note(&self, applied: usize, backup: Timestamp) -> Option<String> {
        (applied == 0).then(|| match self.without_erasures {
            true => format!("no erasure was applied: whoever was erased after the backup of {backup} is back"),
            false => format!(
                "no erasure is known that is later than the backup of {backup}: where there was one, the ledger is as old as \
                 the backup, and whoever was erased since is back"
            ),
        })
    }

    async fn restore(
        &self,
        config: StoreConfig,
        manifest: &Manifest,
        keys_from: &Path,
    ) -> Result<EventStore, Failure> {
        let url = &config.database_url;
        let keys_url = config.keys.database_url.as_ref().unwrap_or(url);
        let _rooms = [room::make(url, What::Log).await?, room::make(keys_url, What::Keys).await?];
        let masters: Vec<&MasterKey> =
            [&config.keys.master].into_iter().chain(&config.keys.previous).collect();
        let log = Work { url, what: "restoring the log", rows: manifest.rows.log };
        let keys = Work { url: keys_url, what: "restoring the keys", rows: manifest.rows.keys };
        // The keys first: they may not open.
        keys.restore(&keys_from.join(KEYS), &masters).await?;
        log.restore(&self.from.join(LOG), &masters).await?;
        let mut connection = PgConnection::connect(url).await?;
        sqlx::raw_sql(include_str!("sql/restored.sql")).execute(&mut connection).await?;
        connection.close().await?;
        let store = EventStore::open_restoring(config.clone()).await?;
        let head = store.head().await?.position;
        if head != manifest.position {
            return Err(Failure::Wrong(format!("the log ends at {head}, not at {}", manifest.position)));
        }
        if let Some(file) = &self.erasures {
            erasures::apply(store.keyring(), file).await?;
            store.free_claims_of_erased().await?;
        }
        // The log's mark last: while it stands, nobody opens the log, and all of this can be begun anew.
        for url in [keys_url, url] {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::raw_sql(&format!("DROP SCHEMA IF EXISTS {RESTORING}")).execute(&mut connection).await?;
            connection.close().await?;
        }
        Ok(store)
    }
}

#[cfg(test)]
mod tests;
