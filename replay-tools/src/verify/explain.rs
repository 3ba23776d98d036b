//! In what way the first event that is not what was signed differs.

use event_store::{EventStore, Position, StoreError, integrity::Leaf};

use super::{
    chunk::Mismatch,
    report::{Kind, Report},
};

/// Among how many differences an event that has moved is looked for.
pub(super) const REMEMBERED: usize = 10_000;

/// Explains the differences: the first by itself, the others as far as they are not its consequence.
pub(super) async fn explain(
    store: &EventStore,
    mismatches: &[Mismatch],
    count: u64,
    agreed: Position,
    report: &mut Report,
) -> Result<(), StoreError> {
    // Up to here the rows lead to the root that was signed: where a tile says otherwise, it is the tile that was altered.
    let (tiles, rows): (Vec<&Mismatch>, Vec<&Mismatch>) =
        mismatches.iter().partition(|one| one.found.is_some() && one.position <= agreed);
    for Mismatch { position, .. } in tiles {
        let text = "the tile of leaves does not have this event, which is in the tree that was signed";
        report.find(Kind::Tree, *position, text);
    }
    report.disagreements += count.saturating_sub(mismatches.len() as u64);
    let Some((first, others)) = rows.split_first() else { return Ok(()) };
    let (kind, detail) = classify(store, first, &rows).await?;
    report.find(kind, first.position, detail);
    let partner = match kind {
        Kind::Swapped => others.iter().position(|other| belongs(other, first)),
        _ => None,
    };
    for (index, other) in others.iter().enumerate() {
        let detail = match (&other.found, Some(index) == partner) {
            (_, true) => format!("it has changed places with position {}", first.position),
            (Some(_), false) => "the event is not the one that was signed".to_owned(),
            // Noted as missing when it was read.
            (None, false) => continue,
        };
        report.find(
            if Some(index) == partner { Kind::Swapped } else { Kind::Altered },
            other.position,
            detail,
        );
    }
    Ok(())
}

/// Whether what stands at the position of `other` is what was signed at that of `place`.
fn belongs(other: &Mismatch, place: &Mismatch) -> bool {
    other.found.as_ref().is_some_and(|leaf| moved(leaf, place.position).hash() == place.signed)
}

fn moved(leaf: &Leaf, position: u64) -> Leaf {
    Leaf { position, ..leaf.clone() }
}

async fn classify(
    store: &EventStore,
    first: &Mismatch,
    all: &[&Mismatch],
) -> Result<(Kind, String), StoreError> {
    let position = first.position;
    let Some(found) = &first.found else {
        return Ok((Kind::Missing, "the event that was signed is not there".into()));
    };
    let takes_place = |other: &&&Mismatch| moved(found, other.position).hash() == other.signed;
    let own = all.iter().find(takes_place);
    // Neighbours that changed places would pass for an insertion otherwise.
    if let Some(other) = own.filter(|own| belongs(own, first)) {
        return Ok((Kind::Swapped, format!("it has changed places with position {}", other.position)));
    }
    let next = store.read_all(position, 1).await?.pop();
    if next.is_some_and(|next| moved(&Leaf::of(&next), position).hash() == first.signed) {
        return Ok((Kind::Inserted, "an event was inserted; what was signed here stands one further".into()));
    }
    if let Some(own) = own {
        return Ok(match all.iter().find(|other| belongs(other, first)) {
            Some(other) => (Kind::Swapped, format!("it has changed places with position {}", other.position)),
            None if own.position == position + 1 => {
                (Kind::Missing, "the event that was signed is gone and later ones have moved up".into())
            }
            None => (Kind::Swapped, format!("what was signed at position {} stands here", own.position)),
        });
    }
    Ok((Kind::Altered, "the event is not the one that was signed".into()))
}
