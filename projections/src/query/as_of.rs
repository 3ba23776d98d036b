//! Read models as of an earlier moment: the facts up to then are folded in memory, and filtered, sorted and paged as SQL
//! would. Where a read model keeps no past, what was built as of that moment answers ([`Projections::build_as_of`]).

use domain::Actor;
use event_store::{AsOf, Position, Recorded, StreamId};

use super::{LIMIT_MAX, Page, Query, QueryError, plan::Plan, show::Shown};
use crate::{
    Projections,
    error::ProjectionError,
    fact::{Batch, Fact},
    filter::Filter,
    model::{Changed, ReadModel, Stage},
    row::RowKey,
    table::Shape,
};

/// How many events are read at once.
const CHUNK: usize = 2000;

impl Projections {
    pub(super) async fn list_as_of(
        &self,
        model: &'static dyn ReadModel,
        actor: &Actor,
        plan: &Plan,
        as_of: AsOf,
    ) -> Result<Page, QueryError> {
        let shape = model.shape();
        let store = &self.0.store;
        let until = store.position_of(as_of).await??;
        if until == 0 {
            // Before the first event nobody has a row.
            return Ok(plan.page(shape, Vec::new(), until));
        }
        if !shape.options.time_travel {
            return self.list_built(model, actor, plan.clone(), until).await;
        }
        let skips = self.skips_of(shape.name).await?;
        let mut past = Past { model, stage: model.stage(), skips, memory: self.0.config.as_of_memory };
        match &plan.streams {
            Some(ids) => {
                for id in ids {
                    let mut events = Vec::new();
                    for aggregate_type in shape.fed_by {
                        let stream = StreamId::new(*aggregate_type, id.to_string());
                        events.extend(store.read_stream(&stream, 0, Some(AsOf::Position(until))).await?);
                    }
                    // Each stream is in order; together they are not.
                    events.sort_unstable_by_key(|event| event.position);
                    self.fold_past(&mut past, events).await?;
                }
            }
            None => {
                let mut after: Position = 0;
                while after < until {
                    let limit = CHUNK.min((until - after) as usize);
                    let mut events = store.read_all(after, limit).await?;
                    let Some(last) = events.last() else { break };
                    after = last.position;
                    events.retain(|event| shape.wants(&event.stream.aggregate_type));
                    self.fold_past(&mut past, events).await?;
                }
            }
        }
        let changes = past.stage.changes().map_err(ProjectionError::from)?;
        let rows = changes.upserts.into_iter().map(Shown::from).collect();
        let rows = self.still_visible(model, actor, plan.select(shape, rows), plan.limit + 1).await?;
        Ok(plan.page(shape, rows, until))
    }

    /// As [`Projections::list_as_of`], from the tables that were built as of that position.
    async fn list_built(
        &self,
        model: &'static dyn ReadModel,
        actor: &Actor,
        mut plan: Plan,
        until: Position,
    ) -> Result<Page, QueryError> {
        let (shape, limit) = (model.shape(), plan.limit);
        let schema = self.built_as_of(until).await?.ok_or(QueryError::AsOfUnsupported(shape.name))?;
        let mut found = Vec::new();
        loop {
            let answered = self.ask(model, &plan, &schema).await;
            // Dropped meanwhile, or not among those that were built, or built by another version.
            let none = |error: &QueryError| error.is_database(&["42P01", "42703"]);
            let (.., rows) = match answered {
                Err(error) if none(&error) => return Err(QueryError::AsOfUnsupported(shape.name)),
                answered => answered?,
            };
            let more = rows.get(limit).map(|last| plan.clone().after(last));
            found.extend(self.still_visible(model, actor, rows, limit + 1 - found.len()).await?);
            match more {
                Some(next) if found.len() <= limit => plan = next,
                Some(_) | None => return Ok(plan.page(shape, found, until)),
            }
        }
    }

    /// Of rows as they were, the first that the actor may see now as well, so many of them: what somebody may see is a question
    /// of today, and the past is no way round it. A row that is there no more is shown to whoever could see it then.
    async fn still_visible(
        &self,
        model: &'static dyn ReadModel,
        actor: &Actor,
        mut rows: Vec<Shown>,
        most: usize,
    ) -> Result<Vec<Shown>, QueryError> {
        let query = Query { limit: Some(LIMIT_MAX), ..Query::default() };
        let mut there = Plan::new(model, actor, &query)?;
        if there.filter == Filter::All {
            rows.truncate(most);
            return Ok(rows);
        }
        let columns: Vec<&str> = model.shape().key().iter().map(|column| column.name).collect();
        let key = |row: &Shown| -> RowKey { row.values[..columns.len()].to_vec() };
        let mut found = Vec::new();
        while !rows.is_empty() && found.len() < most {
            let mut some: Vec<Shown> = rows.drain(..rows.len().min(LIMIT_MAX)).collect();
            let keys: Vec<RowKey> = some.iter().map(key).collect();
            let (visible, _) = self.find(model.shape().name, actor, &keys, 0).await?;
            let others: Vec<RowKey> = keys.into_iter().filter(|key| !visible.contains(key)).collect();
            if !others.is_empty() {
                there.filter = Filter::Keys(columns.clone(), others);
                let (hidden, _) = self.rows_now(model, &there, None).await?;
                let hidden: Vec<RowKey> = hidden.iter().map(key).collect();
                some.retain(|row| !hidden.contains(&key(row)));
            }
            found.append(&mut some);
        }
        found.truncate(most);
        Ok(found)
    }

    async fn fold_past(&self, past: &mut Past, events: Vec<Recorded>) -> Result<(), QueryError> {
        let batch = Batch::decode(events, self.0.store.keyring()).await?;
        past.fold(&batch)
    }
}

/// The rows that a read model makes of facts that are all in memory: complete rows only where no other stream is part of
/// them.
///
/// # Errors
/// When the read model cannot fold them.
pub(crate) fn fold_in_memory(
    model: &'static dyn ReadModel,
    facts: &Batch,
    skips: &std::collections::BTreeSet<Position>,
) -> Result<Vec<Changed>, ProjectionError> {
    let (shape, mut stage) = (model.shape(), model.stage());
    let span = facts.whole();
    if let Some(event) = span.unreadable(shape, skips) {
        return Err(event.into());
    }
    let facts = span.facts(shape, skips);
    let folded = stage.touch(&facts).and_then(|_| stage.fold(&facts));
    folded.map_err(|poison| ProjectionError::WrongState(unfoldable(poison.position, &poison.reason)))?;
    Ok(stage.changes()?.upserts)
}

/// A row as whoever does not get the hidden columns sees it.
pub(crate) fn to_json(row: Changed, shape: &Shape, hidden: &[&str]) -> serde_json::Value {
    let columns = shape.columns.iter().map(|column| column.name);
    let personal = shape.personal.iter().map(|column| column.name);
    let fields: Vec<&str> = columns.chain(personal).filter(|name| !hidden.contains(name)).collect();
    Shown::from(row).to_json(shape, &fields)
}

struct Past {
    model: &'static dyn ReadModel,
    stage: Box<dyn Stage>,
    skips: std::collections::BTreeSet<Position>,
    memory: usize,
}

impl Past {
    fn fold(&mut self, batch: &Batch) -> Result<(), QueryError> {
        let shape: &Shape = self.model.shape();
        let span = batch.whole();
        if let Some(event) = span.unreadable(shape, &self.skips) {
            return Err(ProjectionError::from(event).into());
        }
        let facts: Vec<&Fact> = span.facts(shape, &self.skips);
        let folded = self.stage.touch(&facts).and_then(|_| self.stage.fold(&facts));
        folded.map_err(|poison| stopped(poison.position, &poison.reason))?;
        if self.stage.size() > self.memory { Err(QueryError::AsOfTooLarge) } else { Ok(()) }
    }
}

fn stopped(position: Position, reason: &str) -> QueryError {
    QueryError::Failed(ProjectionError::WrongState(unfoldable(position, reason)))
}

fn unfoldable(position: Position, reason: &str) -> String {
    format!("the event at position {position} cannot be folded: {reason}")
}
