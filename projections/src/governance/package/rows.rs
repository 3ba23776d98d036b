//! What read models make of the events of a package: the rows as they stood at its position, as the person themselves sees
//! them, folded in memory.

use std::collections::BTreeSet;

use domain::{Decider, PersonalGroup, governance::Disclosure};
use event_store::{AsOf, Position, Recorded, StreamId};
use serde_json::Value;

use super::{
    PackageRequest,
    material::{Material, own},
};
use crate::{
    Projections,
    catalog::{signed, unsigned},
    fact::Batch,
    governance::GovernanceError,
    model::ReadModel,
    query::{fold_in_memory, to_json},
    readable::WITHHELD,
};

/// Streams of these types say who looked, and no read model about people is made of them.
const ABOUT_READERS: [&str; 2] = ["governance.access_log", "governance.audit_replay"];

/// The streams that the events are of, as they stood at the position of the package.
pub(super) async fn streams(
    projections: &Projections,
    request: &PackageRequest,
    material: &Material,
) -> Result<Batch, GovernanceError> {
    let streams: BTreeSet<&StreamId> = material
        .events
        .iter()
        .map(|event| &event.stream)
        .filter(|stream| !ABOUT_READERS.contains(&&*stream.aggregate_type))
        .collect();
    let store = &projections.0.store;
    let until = Some(AsOf::Position(request.position));
    let mut events: Vec<Recorded> = Vec::new();
    for stream in streams {
        events.extend(store.read_stream(stream, 0, until).await?);
    }
    events.sort_unstable_by_key(|event| event.position);
    // What is archived is out of daily use, and is held nevertheless.
    Ok(Batch::decode(events, store.keyring().history().keyring()).await?)
}

/// All rows of a read model that is about nobody, as they stood at a position: the register of processing, the policies of
/// retention. They are made of few events, and everybody whom they concern may know them.
pub(in crate::governance) async fn rows_about_nobody(
    projections: &Projections,
    name: &str,
    position: Position,
) -> Result<Vec<Value>, GovernanceError> {
    let model = projections.model(name)?;
    let store = &projections.0.store;
    let positions: Vec<i64> = sqlx::query_scalar(
        "SELECT position FROM annals.events WHERE aggregate_type = ANY($1) AND position <= $2 ORDER BY position",
    )
    .bind(model.shape().fed_by)
    .bind(signed(position))
    .fetch_all(store.pool())
    .await?;
    let positions: Vec<Position> = positions.into_iter().map(unsigned).collect();
    let facts = Batch::decode(store.read_at(&positions).await?, store.keyring()).await?;
    let rows = fold_in_memory(model, &facts, &projections.skips_of(name).await?)?;
    Ok(rows.into_iter().map(|row| to_json(row, model.shape(), &[])).collect())
}

/// The rows of a read model that the person sees of these facts, and how many values of others were left out.
pub(super) async fn of_model(
    projections: &Projections,
    request: &PackageRequest,
    model: &'static dyn ReadModel,
    facts: &Batch,
) -> Result<Vec<Value>, GovernanceError> {
    let shape = model.shape();
    let (actor, subject) = (own(request), request.subject);
    let visible = model.visible(&actor);
    let hidden = model.hidden(&actor);
    let skips = projections.skips_of(shape.name).await?;
    let rows = fold_in_memory(model, facts, &skips)?;
    // Whoever was given the records is named to the person, although that is the party's data (34 CFR 99.32(c)).
    let parties = shape.fed_by.contains(&Disclosure::TYPE);
    let admits = |group: &PersonalGroup| {
        let own = group.subject == subject && request.has_class(group.class.name());
        own || (parties && group.subject != subject)
    };
    let of_person = rows
        .into_iter()
        .filter(|row| row.subjects.contains(&subject) && visible.holds(shape.columns, &row.values));
    let shown = of_person.map(|mut row| {
        row.groups.iter_mut().filter(|group| !admits(group)).for_each(withhold);
        to_json(row, shape, hidden)
    });
    Ok(shown.collect())
}

/// Puts a mark in the place of each value.
fn withhold(group: &mut PersonalGroup) {
    let values: Vec<Value> = serde_json::from_slice(&group.values).unwrap_or_default();
    let marks: Vec<&str> = values.iter().map(|_| WITHHELD).collect();
    group.values = serde_json::to_vec(&marks).unwrap_or_default();
}
