//! The assessment of a recognition: how much of a credential a counterpart covers (CRD-R3, CRD-R4).
//!
//! Integers only. Texts are compared elsewhere; their cosines arrive in basis points. Nothing here decides: a person does.

use pathfinding::prelude::{Matrix, kuhn_munkres};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    micro_credential::MicroCredential,
    recognition::RecognitionCommand,
    values::{CredentialLevel, Recommendation},
};
use crate::kernel::{BasisPoints, ratio_bp};

/// The cosines between the outcomes of a credential (rows) and those of its counterpart (columns).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosines {
    rows: usize,
    columns: usize,
    /// Row by row; each between 0 and 10000.
    cells: Vec<i64>,
}

impl Cosines {
    /// The cosine of each outcome of the credential with each one of the counterpart. What lies below 0 counts as 0:
    /// outcomes that have nothing in common are as good as unmatched.
    pub fn between(rows: usize, columns: usize, cosine: impl Fn(usize, usize) -> BasisPoints) -> Self {
        let cell = |index: usize| i64::from(cosine(index / columns, index % columns).0.clamp(0, 10_000));
        // Without columns there are no cells, and nothing is divided by zero.
        Cosines { rows, columns, cells: (0..rows * columns).map(cell).collect() }
    }

    /// CRD-R4: the sum of the best one-to-one matching of outcomes, over the larger number of outcomes, so that unmatched
    /// outcomes count 0; rounded half-up.
    pub fn overlap(&self) -> BasisPoints {
        let larger = i64::try_from(self.rows.max(self.columns)).expect("outcomes are counted in tens");
        ratio_bp(self.best_matching(), larger * 10_000).unwrap_or_default()
    }

    /// The sum of the cosines of the best one-to-one matching (Kuhn and Munkres).
    fn best_matching(&self) -> i64 {
        if self.cells.is_empty() {
            return 0;
        }
        let matrix = Matrix::from_vec(self.rows, self.columns, self.cells.clone())
            .expect("there are rows times columns cells");
        // The algorithm wants no more rows than columns.
        let wide = if self.rows > self.columns { matrix.transposed() } else { matrix };
        kuhn_munkres(&wide).0
    }
}

/// The weights and thresholds of CRD-R3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssessmentRule {
    /// The weight of the overlap, in percent; the four weights are 100 together.
    pub overlap: u8,
    /// The weight of the durations.
    pub duration: u8,
    /// The weight of the levels.
    pub level: u8,
    /// The weight of the history.
    pub history: u8,
    /// From which score on approval is advised.
    pub approve: BasisPoints,
    /// From which score on a closer look is advised; rejection below.
    pub review: BasisPoints,
}

impl Default for AssessmentRule {
    fn default() -> Self {
        AssessmentRule {
            overlap: 50,
            duration: 20,
            level: 15,
            history: 15,
            approve: BasisPoints(7000),
            review: BasisPoints(5000),
        }
    }
}

/// The parts of a score, each in basis points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// How much of the outcomes the counterpart covers (CRD-R4).
    pub overlap: BasisPoints,
    /// The shorter number of hours over the longer one.
    pub duration: BasisPoints,
    /// Whether the levels differ by at most one.
    pub level_ok: bool,
    /// How the recognising institution decided on the issuing one's credentials.
    pub history: BasisPoints,
}

impl Assessment {
    /// Compares a credential with its counterpart, a published credential of the recognising institution.
    pub fn of(
        credential: &MicroCredential,
        counterpart: &MicroCredential,
        cosines: &Cosines,
        history: BasisPoints,
    ) -> Self {
        Assessment {
            overlap: cosines.overlap(),
            duration: duration(credential.hours, counterpart.hours),
            level_ok: levels_fit(credential.level, counterpart.level),
            history,
        }
    }

    /// The recognising institution has nothing to compare with: overlap, duration and level are 0.
    pub fn without_counterpart(history: BasisPoints) -> Self {
        Assessment { history, ..Assessment::default() }
    }

    /// The weighted sum before it is divided: in hundredths of a basis point.
    fn weighted(&self, rule: &AssessmentRule) -> i64 {
        let level = if self.level_ok { BasisPoints::WHOLE } else { BasisPoints(0) };
        let part = |weight: u8, part: BasisPoints| i64::from(weight) * i64::from(part.0);
        part(rule.overlap, self.overlap)
            + part(rule.duration, self.duration)
            + part(rule.level, level)
            + part(rule.history, self.history)
    }

    /// CRD-R3: the score, rounded half-up (ARI-4).
    pub fn score(&self, rule: &AssessmentRule) -> BasisPoints {
        ratio_bp(self.weighted(rule), 1_000_000).unwrap_or_default()
    }

    /// CRD-R3: what is advised. The thresholds are compared before the score is rounded (ARI-3).
    pub fn recommendation(&self, rule: &AssessmentRule) -> Recommendation {
        let reaches = |threshold: BasisPoints| self.weighted(rule) >= i64::from(threshold.0) * 100;
        if reaches(rule.approve) {
            Recommendation::Approve
        } else if reaches(rule.review) {
            Recommendation::Review
        } else {
            Recommendation::Reject
        }
    }

    /// The command that puts the assessment on record: what it was compared with comes first among its reasons.
    pub fn record(
        &self,
        rule: &AssessmentRule,
        job: Uuid,
        counterpart: Option<Uuid>,
        engine: &str,
    ) -> RecognitionCommand {
        let compared = match counterpart {
            Some(counterpart) => format!("compared with the credential {counterpart}"),
            None => "the institution has published nothing to compare with".to_owned(),
        };
        RecognitionCommand::RecordCreditAssessment {
            job,
            recommendation: self.recommendation(rule),
            score: self.score(rule),
            overlap: self.overlap,
            duration: self.duration,
            level_ok: self.level_ok,
            history: self.history,
            engine: engine.to_owned(),
            reasons: [vec![compared], self.reasons(rule)].concat(),
        }
    }

    /// The figures in words, the heaviest first: what a person who decides is shown.
    pub fn reasons(&self, rule: &AssessmentRule) -> Vec<String> {
        let percent = |part: BasisPoints| format!("{}.{:02} %", part.0 / 100, part.0 % 100);
        let level =
            if self.level_ok { "differ by at most one" } else { "are more than one apart or unknown" };
        vec![
            format!("outcomes covered: {} (weight {} %)", percent(self.overlap), rule.overlap),
            format!("hours alike: {} (weight {} %)", percent(self.duration), rule.duration),
            format!("levels {level} (weight {} %)", rule.level),
            format!("approved before: {} (weight {} %)", percent(self.history), rule.history),
        ]
    }
}

/// The counterpart that fits best, where none was named: the highest score; of equal ones the one of the lowest id, so
/// that the choice does not hang on the order in which they were found.
pub fn best_counterpart(
    rule: &AssessmentRule,
    candidates: impl IntoIterator<Item = (Uuid, Assessment)>,
) -> Option<(Uuid, Assessment)> {
    candidates.into_iter().max_by_key(|(id, assessment)| (assessment.weighted(rule), std::cmp::Reverse(*id)))
}

/// The shorter duration over the longer one, rounded half-up; 0 where neither takes any time.
pub fn duration(hours: u32, other: u32) -> BasisPoints {
    ratio_bp(hours.min(other).into(), hours.max(other).into()).unwrap_or_default()
}

/// Whether two levels differ by at most one.
pub fn levels_fit(level: CredentialLevel, other: CredentialLevel) -> bool {
    level.distance(other) <= 1
}

/// Approvals over decisions between the two institutions, rounded half-up; 5000 when they are fewer than five.
pub fn history(approved: u32, decided: u32) -> BasisPoints {
    const FEWEST_DECISIONS: u32 = 5;
    if decided < FEWEST_DECISIONS {
        return BasisPoints(5000);
    }
    ratio_bp(approved.min(decided).into(), decided.into()).unwrap_or_default()
}

#[cfg(test)]
#[path = "assessment_tests.rs"]
mod tests;
