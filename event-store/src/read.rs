//! Reading. Loads of single streams that are asked for at the same moment share one query.

use std::sync::Arc;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::{PgPool, Row};
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use crate::{
    Ahead, AsOf, EventStore, Head, Outcome, Position, Recorded, StoreError, StreamId,
    micros::Micros,
    names::intern,
    recorded::{COLUMNS, Illegible, from_row, legible, signed, unsigned},
};

pub(crate) struct Load {
    stream: StreamId,
    after: u64,
    until: Position,
    reply: oneshot::Sender<Result<Vec<Recorded>, StoreError>>,
}

/// The most loads that share a query.
const BATCH: usize = 256;

/// How many queries for loads run at the same time. While they run, the next loads gather.
const READERS: usize = 2;

/// Starts the readers, which end when the sender is dropped.
pub(crate) fn start(pool: &PgPool) -> mpsc::Sender<Load> {
    let (sender, queue) = mpsc::channel(BATCH * 4);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..READERS {
        tokio::spawn(run(pool.clone(), queue.clone()));
    }
    sender
}

async fn run(pool: PgPool, queue: Arc<Mutex<mpsc::Receiver<Load>>>) {
    let sql = include_str!("sql/read_streams.sql").replace("{columns}", COLUMNS);
    let mut loads = Vec::new();
    loop {
        if queue.lock().await.recv_many(&mut loads, BATCH).await == 0 {
            return;
        }
        loads.retain(|load: &Load| !load.reply.is_closed());
        match read_streams(&pool, &sql, &loads).await {
            Ok(streams) => {
                for (load, events) in loads.drain(..).zip(streams) {
                    _ = load.reply.send(Ok(events)); // it may have been cancelled meanwhile
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for load in loads.drain(..) {
                    _ = load.reply.send(Err(StoreError::Shared(error.clone())));
                }
            }
        }
    }
}

async fn read_streams(pool: &PgPool, sql: &str, loads: &[Load]) -> Result<Vec<Vec<Recorded>>, StoreError> {
    let types: Vec<&str> = loads.iter().map(|load| &*load.stream.aggregate_type).collect();
    let ids: Vec<&str> = loads.iter().map(|load| &*load.stream.aggregate_id).collect();
    let after: Vec<i64> = loads.iter().map(|load| signed(load.after)).collect();
    let until: Vec<i64> = loads.iter().map(|load| signed(load.until)).collect();
    let rows = sqlx::query(sql).bind(types).bind(ids).bind(after).bind(until).fetch_all(pool).await?;
    let mut streams: Vec<Vec<Recorded>> = loads.iter().map(|_| Vec::new()).collect();
    for row in rows {
        let request: i32 = row.try_get("request")?;
        let stream = usize::try_from(request - 1).ok().and_then(|index| streams.get_mut(index));
        stream.ok_or_else(|| StoreError::Unreadable("a row for no request".into()))?.push(from_row(&row)?);
    }
    for events in &mut streams {
        events.sort_unstable_by_key(|event| event.sequence);
    }
    Ok(streams)
}

impl EventStore {
    /// The events of a stream after `after_sequence` (0: from its beginning), as they stood at `until`; empty if there is
    /// no such stream.
    ///
    /// # Errors
    /// When the database fails or holds what this program did not write.
    pub async fn read_stream(
        &self,
        stream: &StreamId,
        after_sequence: u64,
        until: Option<AsOf>,
    ) -> Result<Vec<Recorded>, StoreError> {
        let until = match until {
            None => Position::MAX,
            Some(AsOf::Position(position)) => position,
            Some(AsOf::Instant(instant)) => self.position_at(instant).await?,
        };
        let (reply, events) = oneshot::channel();
        let load = Load { stream: stream.clone(), after: after_sequence, until, reply };
        self.loads().send(load).await.map_err(|_| StoreError::Closed)?;
        events.await.map_err(|_| StoreError::Closed)?
    }

    /// Up to `limit` events after a position, in order.
    ///
    /// # Errors
    /// When the database fails or holds what this program did not write.
    pub async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        read_all(self.pool(), after, limit).await
    }

    /// Up to `limit` events after a position, in order: from this node's memory where it recorded them just now, else
    /// from the database. Fewer than `limit` does not say that the log ends there.
    ///
    /// # Errors
    /// As [`EventStore::read_all`].
    pub async fn read_recent(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        match self.tail().after(after, limit) {
            events if events.is_empty() => self.read_all(after, limit).await,
            events => Ok(events),
        }
    }

    /// Shows the events after a position, up to another, in order and as they come: for whoever looks at each once and lets it
    /// go. Of a row that this program did not write, its position and what is wrong with it.
    ///
    /// # Errors
    /// When the database fails; some may have been shown by then.
    pub async fn visit(
        &self,
        after: Position,
        until: Position,
        mut see: impl FnMut(Result<Recorded, Illegible>),
    ) -> Result<(), StoreError> {
        let mut connection = self.pool().acquire().await?;
        let sql = stretch();
        let mut rows = sqlx::query(&sql).bind(signed(after)).bind(signed(until)).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            see(legible(&row)?);
        }
        Ok(())
    }

    /// The events at these positions, in order; those that are not there are left out.
    ///
    /// # Errors
    /// When the database fails or holds what this program did not write.
    pub async fn read_at(&self, positions: &[Position]) -> Result<Vec<Recorded>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM annals.events e WHERE e.position = ANY($1) ORDER BY e.position");
        let wanted: Vec<i64> = positions.iter().map(|position| signed(*position)).collect();
        let rows = sqlx::query(&sql).bind(wanted).fetch_all(self.pool()).await?;
        rows.iter().map(from_row).collect()
    }

    /// The version that a stream had at a position: how many events it had by then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn version_at(&self, stream: &StreamId, position: Position) -> Result<u64, StoreError> {
        // The newest first, along the index of the stream: as far back as there are events that came later.
        let sql = "SELECT sequence FROM annals.events
            WHERE aggregate_type = $1 AND aggregate_id = $2 AND position <= $3 ORDER BY sequence DESC LIMIT 1";
        let found: Option<i64> = sqlx::query_scalar(sql)
            .bind(&*stream.aggregate_type)
            .bind(&*stream.aggregate_id)
            .bind(signed(position))
            .fetch_optional(self.pool())
            .await?;
        found.map_or(Ok(0), unsigned)
    }

    /// Where the log ends, by the database's word (see [`EventStore::subscribe_head`] for a quick hint).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn head(&self) -> Result<Head, StoreError> {
        head(self.pool()).await
    }

    /// The last position recorded at or before an instant; 0 if there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn position_at(&self, instant: Timestamp) -> Result<Position, StoreError> {
        let position = sqlx::query_scalar("SELECT annals.position_at($1)")
            .bind(Micros::from(instant))
            .fetch_one(self.pool())
            .await?;
        unsigned(position)
    }

    /// The last position that belongs to a moment; or that the moment has not come. It has not before both this node's clock
    /// and the log have come to it: another node's clock may be ahead.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn position_of(&self, moment: AsOf) -> Result<Result<Position, Ahead>, StoreError> {
        let head = self.head().await?;
        Ok(match moment {
            AsOf::Position(asked) if asked > head.position => {
                Err(Ahead::Position { asked, head: head.position })
            }
            AsOf::Position(asked) => Ok(asked),
            AsOf::Instant(instant) => {
                let now = Timestamp::now().max(head.recorded_at);
                if instant > now {
                    return Ok(Err(Ahead::Instant { now }));
                }
                Ok(self.position_at(instant).await?)
            }
        })
    }

    /// What the command with this id did, if it is in the log.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn outcome(&self, command_id: Uuid) -> Result<Option<Outcome>, StoreError> {
        let rows =
            sqlx::query(include_str!("sql/outcome.sql")).bind(command_id).fetch_all(self.pool()).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(None) };
        let mut versions: Vec<(StreamId, u64)> = Vec::new();
        for row in &rows {
            let stream = StreamId::new(intern(row.try_get(3)?), row.try_get::<&str, _>(4)?);
            let sequence = unsigned(row.try_get(5)?)?;
            match versions.iter_mut().find(|(of, _)| *of == stream) {
                Some((_, version)) => *version = sequence,
                None => versions.push((stream, sequence)),
            }
        }
        let fingerprint: Option<&[u8]> = first.try_get(6)?;
        let fingerprint = fingerprint.map(TryInto::try_into).transpose();
        Ok(Some(Outcome {
            command_id,
            fingerprint: fingerprint.map_err(|_| StoreError::Unreadable("a fingerprint".into()))?,
            first_position: unsigned(first.try_get(0)?)?,
            position: unsigned(last.try_get(0)?)?,
            first_event_id: first.try_get(2)?,
            recorded_at: first.try_get::<Micros, _>(1)?.timestamp()?,
            versions,
        }))
    }
}

pub(crate) async fn head(pool: &PgPool) -> Result<Head, StoreError> {
    let row =
        sqlx::query("SELECT position, recorded_at, incarnation FROM annals.head").fetch_one(pool).await?;
    Ok(Head {
        position: unsigned(row.try_get(0)?)?,
        recorded_at: row.try_get::<Micros, _>(1)?.timestamp()?,
        incarnation: row.try_get(2)?,
    })
}

pub(crate) async fn read_all(
    pool: &PgPool,
    after: Position,
    limit: usize,
) -> Result<Vec<Recorded>, StoreError> {
    // Without gaps, `limit` events end at this position: the range needs no sort and no count.
    let until = after.saturating_add(limit as u64);
    let rows = sqlx::query(&stretch()).bind(signed(after)).bind(signed(until)).fetch_all(pool).await?;
    rows.iter().map(from_row).collect()
}

/// The events after a position, up to another.
fn stretch() -> String {
    format!(
        "SELECT {COLUMNS} FROM annals.events e WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position"
    )
}
