//! What a verification has found.

use std::fmt;

use event_store::Position;
use projections::Checked;
use serde::Serialize;

/// How many findings are named before the rest is only counted.
pub(super) const NAMED: usize = 20;

/// In what way something disagrees. In the order in which findings of one position are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// An event that was signed or must be there is not there.
    Missing,
    /// Two events have changed places.
    Swapped,
    /// There is an event that was not signed at this place.
    Inserted,
    /// The row is none that this program writes.
    Illegible,
    /// The event is not the one that was signed.
    Altered,
    /// The tree on disk is damaged, or does not lead to the signed root.
    Tree,
    /// A stream's events are not numbered 1, 2, 3 ...
    Sequence,
    /// An event was recorded before its predecessor.
    Time,
    /// The event cannot be read.
    Unreadable,
    /// A key that the event needs is not what it must be.
    Key,
    /// The table of claims is not what the events say.
    Claim,
    /// What follows the log belongs to another log or is ahead of it.
    Follower,
    /// A checkpoint, or the key that it is verified with, cannot be trusted.
    Signature,
    /// The rows of a read model are not what the log gives.
    ReadModel,
}

/// One disagreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Where in the log, if it has a place there.
    pub(crate) position: Option<Position>,
    /// In what way.
    pub(crate) kind: Kind,
    /// In words, without personal data.
    pub(crate) detail: String,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Where the log ends.
    pub(crate) head: Position,
    /// Events that were read.
    pub(crate) events: u64,
    /// Streams that they belong to.
    pub(crate) streams: usize,
    /// How far the log is signed; none where there was nothing signed to compare with.
    pub(crate) signed: Option<u64>,
    /// The sizes of the checkpoints that the log was found to have had.
    pub(crate) checkpoints: Vec<u64>,
    /// The first position that disagrees.
    pub(crate) first: Option<Position>,
    /// How many disagreements there are.
    pub(crate) disagreements: u64,
    /// The first of them.
    pub(crate) findings: Vec<Finding>,
    /// What was not compared, and why.
    pub(crate) notes: Vec<String>,
    /// How the rows of each read model compare with a fresh fold of the log; none where that was not looked at.
    pub(crate) read_models: Option<Vec<Checked>>,
    /// How long the log took, in seconds.
    pub(crate) seconds: f64,
    /// How long the read models took, in seconds.
    pub(crate) seconds_folding: f64,
}

impl Report {
    /// Whether nothing disagrees.
    pub(crate) fn is_well(&self) -> bool {
        self.disagreements == 0
    }

    /// Whether nothing disagrees in the events themselves; of what stands beside them, something may.
    pub(crate) fn events_are_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.kind >= Kind::Claim)
    }

    /// Notes a disagreement.
    pub(crate) fn find(
        &mut self,
        kind: Kind,
        position: impl Into<Option<Position>>,
        detail: impl fmt::Display,
    ) {
        self.disagreements += 1;
        self.findings.push(Finding { position: position.into(), kind, detail: detail.to_string() });
    }

    /// Brings the findings into the order of the log; those without a place come last.
    pub(crate) fn conclude(mut self) -> Self {
        self.findings.sort_by_key(|finding| (finding.position.unwrap_or(Position::MAX), finding.kind));
        self.findings.truncate(NAMED);
        self.first = self.findings.first().and_then(|finding| finding.position);
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events in {} streams in {:.1} s", self.events, self.streams, self.seconds)?;
        match self.signed {
            Some(size) => write!(f, ", signed up to position {size}")?,
            None => write!(f, "; nothing signed was given to compare with")?,
        }
        match &self.read_models {
            Some(models) => {
                let rows: u64 = models.iter().map(|model| model.rows).sum();
                let (count, seconds) = (models.len(), self.seconds_folding);
                write!(f, "; {rows} rows of {count} read models in {seconds:.1} s")?;
            }
            None => write!(f, "; read models were not looked at")?,
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        if self.is_well() {
            return write!(f, "\nthe log is whole");
        }
        for Finding { position, detail, .. } in &self.findings {
            match position {
                Some(position) => write!(f, "\nposition {position}: {detail}")?,
                None => write!(f, "\n{detail}")?,
            }
        }
        match self.disagreements - self.findings.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}
