//! Whether the rows that serve are what a fresh fold of the log gives.

use projections::{Checked, ProjectionError, Projections};

use super::report::{Kind, Report};
use crate::{failure::Failure, progress};

/// Compares them.
pub(super) async fn compare(projections: &Projections, report: &mut Report) -> Result<(), Failure> {
    let begun = std::time::Instant::now();
    let checked = match progress::of_rebuild(projections, projections.compare_with_log(&[])).await {
        Ok(checked) => checked,
        // A log that is broken cannot be folded, and that is told already.
        Err(error @ ProjectionError::Store(_)) if !report.is_well() => {
            report.notes.push(format!("read models were not compared: {error}"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    for one in &checked {
        let Checked { name, generation, position, difference, stopped, unsettled, .. } = one;
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
            match unsettled {
                true => report.notes.push(text + "; keys were destroyed, and it is to be rebuilt"),
                false => report.find(Kind::ReadModel, None, text),
            }
        }
    }
    report.read_models = Some(checked);
    report.seconds_folding = begun.elapsed().as_secs_f64();
    Ok(())
}
