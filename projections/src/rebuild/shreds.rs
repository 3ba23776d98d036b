//! After keys were destroyed: what they had sealed is unreadable at once, wherever it is sealed. Read models that hold it
//! in the clear are rebuilt, and their former rows dropped; so are those whose folds looked into what was sealed and put
//! something of it into a column.

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

/// How many destructions are read at once.
const CHUNK: usize = 1000;

/// What was destroyed since read models were rebuilt for it last.
struct News {
    last: i64,
    /// Some of it was for the sake of retention.
    retention: bool,
    /// Whose keys they were.
    people: BTreeSet<Uuid>,
}

impl Projections {
    /// Rebuilds the read models that keys destroyed since the last call concern: UNLOGGED ones, which hold personal values
    /// in the clear; after a retention also sealed rows, because a row is sealed for the epoch of its last change and may
    /// hold values of an earlier one; and whichever has a row about these people that is not what the log gives now. The
    /// generations that they replace are dropped.
    ///
    /// The follower does this by itself, some time after a shred ([`crate::Config::rebuild_after_shred`]).
    ///
    /// # Errors
    /// When the log, the keys or the database fail; then it is done with the next call.
    pub async fn rebuild_after_shreds(&self) -> Result<Vec<Rebuilt>, ProjectionError> {
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
        // Read models as of an earlier moment hold what these keys had sealed as well; who needs one builds it again.
        super::past::drop_every(&connection.client).await?;
        let note = "UPDATE annals.projection_head SET shreds = greatest(shreds, $1)";
        connection.client.execute(note, &[&news.last]).await?;
        Ok(rebuilt)
    }
}

/// Whether keys were destroyed and read models not rebuilt for it yet.
pub(super) async fn pending(inner: &Inner) -> Result<bool, ProjectionError> {
    let noted: i64 =
        sqlx::query_scalar("SELECT shreds FROM annals.projection_head").fetch_one(inner.store.pool()).await?;
    Ok(!inner.store.keyring().shreds(noted, 1).await?.is_empty())
}

async fn news(inner: &Inner) -> Result<Option<News>, ProjectionError> {
    let noted: i64 =
        sqlx::query_scalar("SELECT shreds FROM annals.projection_head").fetch_one(inner.store.pool()).await?;
    let mut news = News { last: noted, retention: false, people: BTreeSet::new() };
    loop {
        let shreds = inner.store.keyring().shreds(news.last, CHUNK).await?;
        let Some(last) = shreds.last() else { break };
        news.last = last.id;
        news.people.extend(shreds.iter().map(|shred| shred.subject));
        news.retention |= shreds.iter().any(|shred| matches!(shred.basis, Basis::Retention { .. }));
    }
    Ok((news.last > noted).then_some(news))
}
