//! Cohorts of budget owners (BUD-P6): k-means over z-scored features, and which cluster is called what.
//!
//! Integers only: scores are thousandths of a standard deviation, so that a training gives the same model on every
//! machine. It gives the same in whatever order the owners come, too.
//!
//! Amounts are compared with those of the same currency only (ARI-5). The shares of single categories stand for
//! themselves in what is recorded; what of them is compared is the share of wants and how widely the spending is spread,
//! because owners define categories of their own. What is unknown of an owner counts as the mean.

use std::collections::BTreeMap;

use pathfinding::prelude::{Matrix, kuhn_munkres};

use super::{Cohort, CohortFeatures};
use crate::kernel::{BasisPoints, Currency, Money};

/// The engine of BUD-P5 and BUD-P6. Another way to compute is another version.
pub const COHORT_ENGINE: &str = "k-means/cohorts@1";

/// Fewer owners than this are not clustered (BUD-P6).
pub const FEWEST_OWNERS: usize = 50;

/// How many clusters there are (BUD-P6).
const CLUSTERS: usize = 5;
/// The most rounds of a training (BUD-P6).
const MOST_ROUNDS: usize = 100;
/// The seed of the choice of the first centroids (BUD-P6).
const SEED: u64 = 0x636f_686f_7274_7331;
/// A standard deviation, in the unit of scores.
const DEVIATION: i128 = 1000;
/// No score lies further from the mean: one owner out of bounds does not move a cluster.
const FURTHEST: i128 = 5 * DEVIATION;

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Spending,
    Income,
    SpendingRate,
    WantsShare,
    Diversity,
    Adherence,
    Savings,
    Transactions,
    Impulse,
}

use Dimension as D;

const DIMENSIONS: [Dimension; 9] = [
    D::Spending,
    D::Income,
    D::SpendingRate,
    D::WantsShare,
    D::Diversity,
    D::Adherence,
    D::Savings,
    D::Transactions,
    D::Impulse,
];

/// What each cohort stands out by (BUD-P6), and whether by much or little of it.
const PROTOTYPES: [(Cohort, &[(Dimension, i64)]); CLUSTERS] = [
    (Cohort::Savers, &[(D::Savings, 1), (D::Impulse, -1)]),
    (Cohort::Balanced, &[(D::Adherence, 1)]),
    (Cohort::Spenders, &[(D::WantsShare, 1), (D::Savings, -1)]),
    (Cohort::Struggling, &[(D::Adherence, -1), (D::SpendingRate, 1)]),
    (Cohort::Premium, &[(D::Income, 1), (D::Diversity, 1)]),
];

impl Dimension {
    /// Whether it is an amount of money.
    fn is_amount(self) -> bool {
        matches!(self, D::Spending | D::Income)
    }

    /// Where an owner stands, as far as it is known.
    fn of(self, features: &CohortFeatures) -> Option<i64> {
        let share = |share: Option<BasisPoints>| share.map(|share| i64::from(share.0));
        match self {
            D::Spending => Some(features.average_spending),
            D::Income => features.average_income,
            D::SpendingRate => share(features.spending_rate),
            D::WantsShare => share(features.wants_share),
            D::Diversity => share(features.diversity),
            D::Adherence => share(features.adherence),
            D::Savings => share(features.savings_rate),
            D::Transactions => Some(features.transactions_per_30_days),
            D::Impulse => share(features.impulse_rate),
        }
        .map(|value| value.clamp(-Money::LIMIT, Money::LIMIT))
    }
}

/// Scores, one for each dimension.
type Point = [i64; DIMENSIONS.len()];

/// Mean and standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Scale {
    mean: i128,
    deviation: i128,
}

impl Scale {
    fn of(values: &[i64]) -> Scale {
        let Some(count) = i128::try_from(values.len()).ok().filter(|count| *count > 0) else {
            return Scale::default();
        };
        let mean = values.iter().map(|value| i128::from(*value)).sum::<i128>() / count;
        // A value is at most 9e15, so that a square is below 4e32 and the sum of a hundred thousand of them fits.
        let squares = values.iter().map(|value| (i128::from(*value) - mean).pow(2) / count).sum::<i128>();
        Scale { mean, deviation: squares.isqrt() }
    }

    fn score(self, value: Option<i64>) -> i64 {
        let Some(value) = value.filter(|_| self.deviation > 0) else { return 0 };
        let score = (i128::from(value) - self.mean) * DEVIATION / self.deviation;
        i64::try_from(score.clamp(-FURTHEST, FURTHEST)).unwrap_or_default()
    }
}

/// There are too few owners to tell cohorts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cohorts are told apart from {FEWEST_OWNERS} owners on")]
pub struct TooFewOwners;

/// The clusters that were found among some owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CohortModel {
    rates: BTreeMap<usize, Scale>,
    amounts: BTreeMap<(usize, Currency), Scale>,
    centroids: Vec<Point>,
    names: Vec<Cohort>,
}

impl CohortModel {
    /// Finds the clusters of these owners, each with the currency of their budget.
    ///
    /// # Errors
    /// [`TooFewOwners`] below [`FEWEST_OWNERS`].
    pub fn train(owners: &[(Currency, CohortFeatures)]) -> Result<Self, TooFewOwners> {
        if owners.len() < FEWEST_OWNERS {
            return Err(TooFewOwners);
        }
        let (mut rates, mut amounts) = (BTreeMap::new(), BTreeMap::new());
        for (index, dimension) in DIMENSIONS.iter().enumerate() {
            let known = owners.iter().filter_map(|(ccy, features)| Some((*ccy, dimension.of(features)?)));
            if dimension.is_amount() {
                let mut by_currency: BTreeMap<Currency, Vec<i64>> = BTreeMap::new();
                known.for_each(|(ccy, value)| by_currency.entry(ccy).or_default().push(value));
                amounts.extend(by_currency.iter().map(|(ccy, values)| ((index, *ccy), Scale::of(values))));
            } else {
                let values: Vec<i64> = known.map(|(_, value)| value).collect();
                rates.insert(index, Scale::of(&values));
            }
        }
        let mut model = CohortModel { rates, amounts, centroids: Vec::new(), names: Vec::new() };
        let mut points: Vec<Point> =
            owners.iter().map(|(ccy, features)| model.point(*ccy, features)).collect();
        points.sort_unstable();
        model.centroids = clustered(&points, first_centroids(&points));
        model.names = named(&model.centroids);
        Ok(model)
    }

    /// The cohort whose cluster an owner is nearest to.
    pub fn cohort(&self, currency: Currency, features: &CohortFeatures) -> Cohort {
        self.names[nearest(&self.point(currency, features), &self.centroids).0]
    }

    fn point(&self, currency: Currency, features: &CohortFeatures) -> Point {
        std::array::from_fn(|index| {
            let dimension = DIMENSIONS[index];
            let scale = match dimension.is_amount() {
                true => self.amounts.get(&(index, currency)),
                false => self.rates.get(&index),
            };
            scale.map_or(0, |scale| scale.score(dimension.of(features)))
        })
    }
}

fn distance(one: &Point, other: &Point) -> u64 {
    one.iter().zip(other).map(|(a, b)| a.abs_diff(*b).pow(2)).sum()
}

/// The nearest centroid, the first of equal ones, and how far it is.
fn nearest(point: &Point, centroids: &[Point]) -> (usize, u64) {
    let distances = centroids.iter().map(|centroid| distance(point, centroid)).enumerate();
    distances.min_by_key(|(index, distance)| (*distance, *index)).unwrap_or_default()
}

/// k-means++: each next one among the points, the likelier the further it is from those chosen before.
fn first_centroids(points: &[Point]) -> Vec<Point> {
    let mut random = SplitMix(SEED);
    let mut chosen = vec![points[random.below(points.len() as u64) as usize]];
    while chosen.len() < CLUSTERS {
        let far: Vec<u64> = points.iter().map(|point| nearest(point, &chosen).1).collect();
        let mut at = random.below(far.iter().sum::<u64>().max(1));
        // Where all points are centroids already, the first one is one again.
        let next = far.iter().position(|distance| {
            let there = at < *distance;
            at = at.saturating_sub(*distance);
            there
        });
        chosen.push(points[next.unwrap_or_default()]);
    }
    chosen
}

/// Lloyd's rounds, until nobody changes the cluster.
fn clustered(points: &[Point], mut centroids: Vec<Point>) -> Vec<Point> {
    let mut clusters: Vec<usize> = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let next: Vec<usize> = points.iter().map(|point| nearest(point, &centroids).0).collect();
        if next == clusters {
            break;
        }
        clusters = next;
        for (cluster, centroid) in centroids.iter_mut().enumerate() {
            let members =
                points.iter().zip(&clusters).filter(|(_, of)| **of == cluster).map(|(point, _)| point);
            let (mut sums, mut count) = ([0i64; DIMENSIONS.len()], 0i64);
            for member in members {
                sums.iter_mut().zip(member).for_each(|(sum, score)| *sum += score);
                count += 1;
            }
            // A cluster that nobody is in stays where it is.
            if count > 0 {
                *centroid = sums.map(|sum| sum.div_euclid(count));
            }
        }
    }
    centroids
}

/// The names of the clusters: each name goes to one cluster, so that all together fit best (Kuhn and Munkres).
fn named(centroids: &[Point]) -> Vec<Cohort> {
    let fit = |centroid: &Point, clues: &[(Dimension, i64)]| {
        let score = |(dimension, sign): &(Dimension, i64)| {
            DIMENSIONS.iter().position(|known| known == dimension).map_or(0, |index| sign * centroid[index])
        };
        clues.iter().map(score).sum::<i64>() / clues.len() as i64
    };
    let fits = centroids.iter().flat_map(|centroid| PROTOTYPES.map(|(_, clues)| fit(centroid, clues)));
    let matrix =
        Matrix::from_vec(CLUSTERS, CLUSTERS, fits.collect()).expect("there is one fit for each pair");
    let (_, prototypes) = kuhn_munkres(&matrix);
    prototypes.into_iter().map(|prototype| PROTOTYPES[prototype].0).collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, for ever, which no library promises.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit that is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "clusters_tests.rs"]
mod tests;
