//! After keys were destroyed, or archived and so out of daily use: what they had sealed is unreadable at once, wherever it is
//! sealed. Read models that hold it in the clear are rebuilt, and their former rows dropped; so are those whose folds looked
//! into what was sealed and put something of it into a column.

use std::collections::BTreeSet;

use event_store::Basis;
use uuid::Uuid;

use super::Rebuilt;
use crate::{
    Inner, Projections,
    catalog::{State, drop_generation},
    error::ProjectionError,
    storage::Connection,
    table::Shape,
};

/// How many destructions or archivings are read at once.
const CHUNK: usize = 1000;

/// What was destroyed and archived since read models were rebuilt for it last.
struct News {
    shreds: i64,
    archives: i64,
    /// Some of it was for the sake of retention.
    retention: bool,
    /// Whose keys they were.
    people: BTreeSet<Uuid>,
}

impl Projections {
    /// Rebuilds the read models that keys destroyed or archived since the last call concern: UNLOGGED ones, which hold personal values
    /// in the clear; after a retention also sealed rows, because a row is sealed for the epoch of its last change and may
    /// hold values of an earlier one; and whichever has a row about these people that is not what the log gives now. The
    /// generations that they replace are dropped.
    ///
    /// The follower does this by itself, some time after a shred ([`crate::Config::rebuild_after_shred`]).
    ///
    /// # Errors
    /// When the log, the keys or the database fail; then it is done with the next call.
    pub async fn rebuild_after_shreds(&self) -> Result<Vec<Rebuilt>, ProjectionError> {
        let _one_at_a_time = self.0.forgetting.lock().await;
        let Some(news) = news(&self.0).await? else { return Ok(Vec::new()) };
        let concerned =
            |shape: &Shape| shape.options.unlogged || (news.retention && !shape.personal.is_empty());
        let shapes = self.0.config.models.iter().map(|model| model.shape());
        let mut names: BTreeSet<&'static str> =
            shapes.filter(|shape| concerned(shape)).map(|shape| shape.name).collect();
        names.extend(self.telling(&Vec::from_iter(news.people)).await?.into_keys());
        let names = Vec::from_iter(names);
        let rebuilt = if names.is_empty() { Vec::new() } else { self.rebuild(&names).await? };
        let connection = Connection::open(&self.0.database, "shreds").await?;
        let layout = crate::catalog::Layout::load(&connection.client).await?;
        for entry in &layout.entries {
            if entry.state == State::Retired && names.contains(&entry.name.as_str()) {
                drop_generation(&connection.client, entry).await?;
            }
        }
        // Read models as of an earlier moment hold what these keys had sealed as well; who needs one builds it again. The
        // follower dropped them when it heard of it, unless nobody followed then.
        super::past::drop_every(&connection.client).await?;
        let note = "UPDATE annals.projection_head
            SET shreds = greatest(shreds, $1), archives = greatest(archives, $2)";
        connection.client.execute(note, &[&news.shreds, &news.archives]).await?;
        Ok(rebuilt)
    }

    /// The same, where it is still to be done for keys of this person: until then something is left of them by right.
    pub(crate) async fn rebuild_after_shreds_of(&self, subject: Uuid) -> Result<(), ProjectionError> {
        if news(&self.0).await?.is_some_and(|news| news.people.contains(&subject)) {
            self.rebuild_after_shreds().await?;
        }
        Ok(())
    }
}

/// The people whose keys were destroyed or archived and read models not rebuilt for it yet.
pub(super) async fn pending(inner: &Inner) -> Result<BTreeSet<Uuid>, ProjectionError> {
    Ok(news(inner).await?.map(|news| news.people).unwrap_or_default())
}

/// The last destruction and the last archiving for which read models were rebuilt.
async fn noted(inner: &Inner) -> Result<(i64, i64), ProjectionError> {
    let noted = sqlx::query_as("SELECT shreds, archives FROM annals.projection_head");
    Ok(noted.fetch_one(inner.store.pool()).await?)
}

async fn news(inner: &Inner) -> Result<Option<News>, ProjectionError> {
    let (keyring, noted) = (inner.store.keyring(), noted(inner).await?);
    let mut news = News { shreds: noted.0, archives: noted.1, retention: false, people: BTreeSet::new() };
    loop {
        let shreds = keyring.shreds(news.shreds, CHUNK).await?;
        let Some(last) = shreds.last() else { break };
        news.shreds = last.id;
        news.people.extend(shreds.iter().map(|shred| shred.subject));
        news.retention |= shreds.iter().any(|shred| matches!(shred.basis, Basis::Retention { .. }));
    }
    loop {
        let archives = keyring.archives(news.archives, CHUNK).await?;
        let Some((last, _)) = archives.last() else { break };
        news.archives = *last;
        news.people.extend(archives.iter().map(|(_, subject)| subject));
        news.retention = true;
    }
    Ok(((news.shreds, news.archives) != noted).then_some(news))
}
