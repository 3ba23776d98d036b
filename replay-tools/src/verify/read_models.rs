//! Whether the rows that serve are what a fresh fold of the log gives.

use event_store::{EventStore, Position, StoreError};
use projections::{Checked, ProjectionError, State, read_models};

use super::{
    chunk::{CHUNK, does_not_open},
    report::{Kind, Report},
};
use crate::{annals::Annals, failure::Failure, progress};

/// Compares them.
pub(super) async fn compare(annals: &Annals, report: &mut Report) -> Result<(), Failure> {
    let begun = std::time::Instant::now();
    let is_whole = report.events_are_well();
    let projections = &annals.projections;
    let checked = match progress::of_rebuild(projections, projections.compare_with_log(&[])).await {
        Ok(checked) => checked,
        Err(ProjectionError::Store(StoreError::Unreadable(why))) if is_whole => {
            let first = first_that_does_not_open(&annals.store).await?;
            let position = first.ok_or(StoreError::Unreadable(why.clone()))?;
            report.find(Kind::Unreadable, Some(position), does_not_open(&why));
            return Ok(());
        }
        // A log that is broken cannot be folded, and that is told already.
        Err(error @ ProjectionError::Store(_)) if !is_whole => {
            report.notes.push(format!("read models were not compared: {error}"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    for one in &checked {
        let Checked { name, generation, position, difference, unopened, stopped, pending, .. } = one;
        if !unopened.is_empty() {
            let text = format!(
                "{name} (generation {generation}) has rows whose personal values do not open, for they were altered or are \
                 those of another row: {}",
                unopened.join(", ")
            );
            report.find(Kind::ReadModel, None, text);
        }
        if let Some(stopped) = stopped {
            let text = format!("{name} was not compared: it cannot fold the event at position {stopped}");
            report.notes.push(text);
        } else if !difference.is_none() {
            let text = format!(
                "{name} (generation {generation}) is not what the log gives up to {position}: {} rows are missing, {} \
                 are too many, {} are different; such as {}",
                difference.added,
                difference.removed,
                difference.changed,
                difference.examples.join(", ")
            );
            report.find(Kind::ReadModel, None, text);
        }
        if *pending > 0 {
            report.notes.push(format!(
                "{name} has {pending} rows that may tell more than the log does, for keys of whom they are about were \
                 destroyed or archived; it is to be rebuilt"
            ));
        }
    }
    unserved(annals, &checked, report).await?;
    report.read_models = Some(checked);
    report.seconds_folding = begun.elapsed().as_secs_f64();
    Ok(())
}

/// Read models that were built once and were not compared, because nothing that could be serves.
async fn unserved(annals: &Annals, checked: &[Checked], report: &mut Report) -> Result<(), Failure> {
    let generations = annals.projections.status().await?;
    for model in read_models() {
        let name = model.shape().name;
        let mut own = generations.iter().filter(|generation| generation.name == name).peekable();
        if own.peek().is_none() || checked.iter().any(|one| one.name == name) {
            continue;
        }
        let (mut serves, mut lives) = (false, false);
        own.for_each(|one| (serves, lives) = (serves | one.serving, lives | (one.state == State::Live)));
        if lives && !serves {
            let text = format!("{name} has a live generation, and none serves: nobody is answered from it");
            report.find(Kind::ReadModel, None, text);
        } else {
            report
                .notes
                .push(format!("{name} was not compared: nothing that this program makes of it serves"));
        }
    }
    Ok(())
}

/// The first event whose personal values do not open although there are keys.
async fn first_that_does_not_open(store: &EventStore) -> Result<Option<Position>, StoreError> {
    let mut after = 0;
    loop {
        let events = store.read_all(after, CHUNK as usize).await?;
        let Some(last) = events.last() else { return Ok(None) };
        after = last.position;
        let history = store.keyring().history();
        history.load_for(&events).await?;
        let wrong =
            |event: &&event_store::Recorded| matches!(history.open(event), Err(StoreError::Unreadable(_)));
        if let Some(event) = events.iter().find(wrong) {
            return Ok(Some(event.position));
        }
    }
}
