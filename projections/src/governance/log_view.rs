//! The log as the audit trail and lineage read it: the envelopes of events, found by terms, up to one position.

use std::collections::{BTreeSet, VecDeque};

use event_store::{AsOf, Position};
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    entry::{COLUMNS, Entry, GovernanceError, entry},
    log_index::{Bits, LogIndex, Offsets, Term, block_of, positions_of},
};
use crate::{
    Projections,
    catalog::{signed, unsigned},
    error::ProjectionError,
    model::{ReadModel, TableModel},
    row::{Cell, Value},
    storage::table_name,
    table::Table,
};

/// In which order of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The last events first.
    #[default]
    NewestFirst,
    /// The first events first.
    OldestFirst,
}

/// The log up to one position, and how far its index is.
pub(super) struct LogView<'a> {
    pub(super) projections: &'a Projections,
    /// The last position that is looked at.
    pub(super) until: Position,
    /// Whether that is the end of the log.
    pub(super) is_now: bool,
    table: String,
    /// The last position that the index knows.
    indexed: Position,
    /// Positions that the index does not know although it is past them: an operator told it to skip them.
    skipped: BTreeSet<Position>,
}

/// Where to look for events.
pub(super) enum Source {
    /// In the streams of this id, of these aggregate types.
    Streams { types: Vec<String>, id: String },
    /// Where the index says that an event has one term of every group. These positions are looked at as well.
    Terms { groups: Vec<Vec<i64>>, also: BTreeSet<Position> },
    /// Everywhere.
    Log,
}

/// The most events beyond the index that are looked at one by one.
const UNINDEXED: u64 = 20_000;
/// How many blocks of the log are asked for at once, at first and at most.
const BLOCKS: (usize, usize) = (8, 4096);
/// How many events are read at once at most.
const READ: usize = 1000;

impl LogView<'_> {
    pub(super) async fn open(
        projections: &Projections,
        as_of: Option<AsOf>,
    ) -> Result<LogView<'_>, GovernanceError> {
        let store = &projections.0.store;
        let shape = TableModel::<LogIndex>::NEW.shape();
        let row = sqlx::query(
            "SELECT h.position, p.schema_name, coalesce(p.position, pack.position)
             FROM annals.head h CROSS JOIN annals.projection_head pack
             LEFT JOIN annals.projections p ON p.serving AND p.name = $1 AND p.version = $2",
        )
        .bind(LogIndex::NAME)
        .bind(LogIndex::VERSION as i32)
        .fetch_one(store.pool())
        .await?;
        let until = match as_of {
            None => unsigned(row.try_get(0)?),
            Some(as_of) => store.position_of(as_of).await??,
        };
        let schema: Option<String> = row.try_get(1)?;
        Ok(LogView {
            projections,
            until,
            is_now: as_of.is_none(),
            indexed: if schema.is_some() { unsigned(row.try_get(2)?) } else { 0 },
            table: table_name(shape, &schema.unwrap_or_default()),
            skipped: projections.skips_of(LogIndex::NAME).await?,
        })
    }

    /// The connections for reading.
    pub(super) fn pool(&self) -> &sqlx::PgPool {
        self.projections.0.store.pool()
    }

    /// The events at these positions, in their order.
    pub(super) async fn entries(&self, positions: &[Position]) -> Result<Vec<Entry>, GovernanceError> {
        let wanted: Vec<i64> = positions.iter().map(|position| signed(*position)).collect();
        let rows = sqlx::query(&format!("SELECT {COLUMNS} FROM annals.events WHERE position = ANY($1)"))
            .bind(wanted)
            .fetch_all(self.pool())
            .await?;
        let mut entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let descending = positions.first() > positions.last();
        entries.sort_unstable_by_key(
            |entry| if descending { u64::MAX - entry.position } else { entry.position },
        );
        Ok(entries)
    }

    /// Up to `most` events of a source within `low ..= high` that are admitted, and whether there are more.
    pub(super) async fn find(
        &self,
        source: Source,
        (low, high): (Position, Position),
        order: Order,
        most: usize,
        admits: impl Fn(&Entry) -> bool,
    ) -> Result<(Vec<Entry>, bool), GovernanceError> {
        let (low, high) = (low.max(1), high.min(self.until));
        let beyond = (high + 1).saturating_sub(low.max(self.indexed + 1));
        if matches!(source, Source::Terms { .. }) && beyond > UNINDEXED {
            return Err(GovernanceError::Behind { position: self.indexed });
        }
        let mut candidates =
            Candidates { view: self, source, order, low, high, found: VecDeque::new(), blocks: BLOCKS.0 };
        let mut entries = Vec::new();
        let mut batch = most.saturating_add(1).min(READ);
        while entries.len() <= most {
            let positions = candidates.next(batch).await?;
            if positions.is_empty() {
                return Ok((entries, false));
            }
            entries.extend(self.entries(&positions).await?.into_iter().filter(|entry| admits(entry)));
            batch = (batch * 2).min(READ);
        }
        entries.truncate(most);
        Ok((entries, true))
    }

    /// The events with these ids.
    pub(super) async fn events(&self, ids: &[Uuid]) -> Result<Vec<Entry>, GovernanceError> {
        let terms = ids.iter().map(|id| Term::Event(*id));
        let (entries, _) = self.having(terms, usize::MAX, |entry| ids.contains(&entry.event_id)).await?;
        Ok(entries)
    }

    /// The events that these events caused, in the order of the log; and whether there are more than `most`.
    pub(super) async fn caused_by(
        &self,
        ids: &[Uuid],
        most: usize,
    ) -> Result<(Vec<Entry>, bool), GovernanceError> {
        let caused = |entry: &Entry| entry.causation_id.is_some_and(|cause| ids.contains(&cause));
        self.having(ids.iter().map(|id| Term::Cause(*id)), most, caused).await
    }

    /// The events that have one of these terms and are admitted, in the order of the log.
    pub(super) async fn having<'t>(
        &self,
        terms: impl Iterator<Item = Term<'t>>,
        most: usize,
        admits: impl Fn(&Entry) -> bool,
    ) -> Result<(Vec<Entry>, bool), GovernanceError> {
        let groups = vec![terms.map(Term::number).collect::<Vec<_>>()];
        let source = Source::Terms { groups, also: BTreeSet::new() };
        self.find(source, (1, self.until), Order::OldestFirst, most, admits).await
    }

    /// The next blocks in which the index has a term of the first group, with the positions that have one of every
    /// group; and the last of these blocks, where there are more.
    async fn blocks(
        &self,
        groups: &[Vec<i64>],
        (low, high): (Position, Position),
        order: Order,
        limit: usize,
    ) -> Result<(Vec<Position>, Option<i64>), GovernanceError> {
        let Some(first) = groups.first() else { return Ok((Vec::new(), None)) };
        let (word, table) = (if order == Order::NewestFirst { "DESC" } else { "ASC" }, &self.table);
        // Of each term the next blocks, a range of the primary key; of all of them together the nearest. LIMIT keeps the
        // planner, which cannot know how many blocks a term is in, from anything but looking up rows by their keys.
        let sql = format!(
            "WITH nearest AS MATERIALIZED (
                SELECT DISTINCT one.block FROM unnest($1::bigint[]) AS wanted(term)
                CROSS JOIN LATERAL (
                    SELECT block FROM {table} WHERE term = wanted.term AND block BETWEEN $2 AND $3
                    ORDER BY block {word} LIMIT $4
                ) one ORDER BY one.block {word} LIMIT $4
            )
            SELECT nearest.block, wanted.term, one.positions
            FROM nearest CROSS JOIN (SELECT DISTINCT unnest($5::bigint[])) AS wanted(term)
            CROSS JOIN LATERAL (
                SELECT positions FROM {table} WHERE term = wanted.term AND block = nearest.block LIMIT 1
            ) one ORDER BY nearest.block {word}"
        );
        let all: Vec<i64> = groups.concat();
        let rows = sqlx::query(&sql)
            .bind(first)
            .bind(block_of(low))
            .bind(block_of(high))
            .bind(limit as i64)
            .bind(&all)
            .fetch_all(self.pool())
            .await?;
        let mut positions = Vec::new();
        let (mut blocks, mut last) = (0, None);
        for rows in rows.chunk_by(|one, other| one.get::<i64, _>(0) == other.get::<i64, _>(0)) {
            let block: i64 = rows[0].try_get(0)?;
            let mut sets = vec![Bits::NONE; groups.len()];
            for row in rows {
                let term: i64 = row.try_get(1)?;
                let stored = Offsets::read(Value::Bytes(row.try_get(2)?)).map_err(ProjectionError::from)?;
                for (set, _) in sets.iter_mut().zip(groups).filter(|(_, group)| group.contains(&term)) {
                    set.add(&stored);
                }
            }
            let mut common = sets[0];
            sets[1..].iter().for_each(|set| common.keep(set));
            positions.extend(common.positions(block).filter(|position| (low..=high).contains(position)));
            (blocks, last) = (blocks + 1, Some(block));
        }
        Ok((positions, last.filter(|_| blocks >= limit)))
    }
}

/// Positions at which a wanted event may be, one after the other.
struct Candidates<'a> {
    view: &'a LogView<'a>,
    source: Source,
    order: Order,
    /// What was not looked at yet: nothing where `low` is above `high`.
    low: Position,
    high: Position,
    found: VecDeque<Position>,
    blocks: usize,
}

impl Candidates<'_> {
    /// Some positions, at most so many; empty at the end.
    async fn next(&mut self, count: usize) -> Result<Vec<Position>, GovernanceError> {
        while self.found.is_empty() && self.low <= self.high {
            self.look(count).await?;
        }
        Ok(self.found.drain(..count.min(self.found.len())).collect())
    }

    async fn look(&mut self, count: usize) -> Result<(), GovernanceError> {
        match &self.source {
            Source::Log => self.take_all(count),
            Source::Streams { types, id } => {
                let positions = self.stream(types, id, count).await?;
                let last = positions.last().copied().filter(|_| positions.len() >= count);
                self.cover(last, positions);
            }
            Source::Terms { groups, also } => {
                let indexed = self.view.indexed;
                let at_tail = match self.order {
                    Order::NewestFirst => self.high > indexed,
                    Order::OldestFirst => self.low > indexed,
                };
                if at_tail {
                    self.take_all(READ);
                    return Ok(());
                }
                let range = (self.low, self.high.min(indexed));
                let (mut positions, last) = self.view.blocks(groups, range, self.order, self.blocks).await?;
                self.blocks = (self.blocks * 4).min(BLOCKS.1);
                // What was looked at: up to the far end of the last block, or all that the index knows.
                let last = match (last.map(positions_of), self.order) {
                    (Some((first, _)), Order::NewestFirst) => first.max(range.0),
                    (Some((_, last)), Order::OldestFirst) => last.min(range.1),
                    (None, Order::NewestFirst) => range.0,
                    (None, Order::OldestFirst) => range.1,
                };
                let looked_at = match self.order {
                    Order::NewestFirst => last..=range.1,
                    Order::OldestFirst => range.0..=last,
                };
                positions.extend(self.view.skipped.range(looked_at.clone()));
                positions.extend(also.range(looked_at));
                positions.sort_unstable();
                positions.dedup();
                if self.order == Order::NewestFirst {
                    positions.reverse();
                }
                self.cover(Some(last), positions);
            }
        }
        Ok(())
    }

    /// Notes what was found, and that everything up to `last` was looked at; everything at all where there is no last.
    fn cover(&mut self, last: Option<Position>, positions: Vec<Position>) {
        self.found.extend(positions);
        match (last, self.order) {
            (Some(last), Order::NewestFirst) => self.high = last - 1,
            (Some(last), Order::OldestFirst) => self.low = last + 1,
            (None, _) => (self.low, self.high) = (1, 0),
        }
    }

    /// The next positions, whatever is there; of those that the index does not know where it knows others.
    fn take_all(&mut self, count: usize) {
        let count = count as u64;
        let bound = if matches!(self.source, Source::Log) { 0 } else { self.view.indexed };
        let positions: Vec<Position> = match self.order {
            Order::NewestFirst => {
                let first = self.low.max(bound + 1).max((self.high + 1).saturating_sub(count));
                (first..=self.high).rev().collect()
            }
            Order::OldestFirst => (self.low..=self.high.min(self.low + count - 1)).collect(),
        };
        self.cover(positions.last().copied(), positions);
    }

    async fn stream(
        &self,
        types: &[String],
        id: &str,
        count: usize,
    ) -> Result<Vec<Position>, GovernanceError> {
        let word = if self.order == Order::NewestFirst { "DESC" } else { "ASC" };
        // Within a stream, the order of the sequence is the order of the log.
        let sql = format!(
            "SELECT one.position FROM unnest($1::text[]) AS wanted(name) CROSS JOIN LATERAL (
                SELECT position FROM annals.events
                WHERE aggregate_type = wanted.name AND aggregate_id = $2 AND position BETWEEN $3 AND $4
                ORDER BY sequence {word} LIMIT $5
            ) one ORDER BY one.position {word} LIMIT $5"
        );
        let positions: Vec<i64> = sqlx::query_scalar(&sql)
            .bind(types)
            .bind(id)
            .bind(signed(self.low))
            .bind(signed(self.high))
            .bind(count as i64)
            .fetch_all(self.view.pool())
            .await?;
        Ok(positions.into_iter().map(unsigned).collect())
    }
}
