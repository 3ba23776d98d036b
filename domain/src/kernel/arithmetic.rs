//! Arithmetic and rounding (catalogue 0.4): allocation, caps, ratios. Integers only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Basis points: 10000 is the whole.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct BasisPoints(pub i32);

impl BasisPoints {
    /// 10000 bp.
    pub const WHOLE: BasisPoints = BasisPoints(10_000);

    /// Whether it is between 0 and the whole.
    pub fn is_share(self) -> bool {
        (0..=10_000).contains(&self.0)
    }
}

/// Why a total could not be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// There is nobody to allocate to.
    #[error("an empty list of weights")]
    NoWeights,
    /// A weight is below zero.
    #[error("a weight below zero")]
    NegativeWeight,
}

/// ARI-1: splits `total` by largest remainder. Ties go to the lowest index; the parts always sum to `total`; a negative
/// total is the mirror of its opposite; weights that are all zero count as equal.
pub fn allocate(total: i64, weights: &[i64]) -> Result<Vec<i64>, AllocationError> {
    if weights.is_empty() {
        return Err(AllocationError::NoWeights);
    }
    if weights.iter().any(|weight| *weight < 0) {
        return Err(AllocationError::NegativeWeight);
    }
    let equal = weights.iter().all(|weight| *weight == 0);
    let weight = |index: usize| if equal { 1 } else { i128::from(weights[index]) };
    let sum: i128 = (0..weights.len()).map(weight).sum();
    let (sign, amount) = (i128::from(total.signum()), i128::from(total).abs());
    let mut parts: Vec<i128> = (0..weights.len()).map(|index| amount * weight(index) / sum).collect();
    let left = usize::try_from(amount - parts.iter().sum::<i128>())
        .expect("fewer units are left than there are parts");
    let mut order: Vec<usize> = (0..weights.len()).collect();
    // A stable sort keeps the lowest index first among equal remainders.
    order.sort_by_key(|index| std::cmp::Reverse(amount * weight(*index) % sum));
    for index in order.into_iter().take(left) {
        parts[index] += 1;
    }
    Ok(parts
        .into_iter()
        .map(|part| i64::try_from(sign * part).expect("a part is no larger than the total"))
        .collect())
}

/// ARI-2: a percentage used as a ceiling is floored.
pub fn cap(minor: i64, share: BasisPoints) -> i64 {
    let capped = (i128::from(minor) * i128::from(share.0)).div_euclid(10_000);
    i64::try_from(capped).unwrap_or(if capped < 0 { i64::MIN } else { i64::MAX })
}

/// ARI-4: a ratio for information, in basis points, rounded half-up; `None` over zero.
pub fn ratio_bp(part: i64, whole: i64) -> Option<BasisPoints> {
    if whole == 0 {
        return None;
    }
    let (part, whole) = if whole < 0 {
        (-i128::from(part), -i128::from(whole))
    } else {
        (i128::from(part), i128::from(whole))
    };
    let rounded = (part * 20_000 + whole).div_euclid(whole * 2);
    Some(BasisPoints(i32::try_from(rounded).unwrap_or(if rounded < 0 { i32::MIN } else { i32::MAX })))
}

/// ARI-5: `minor × rate_e9 / 10^9`, rounded half-even; `None` beyond 64 bits.
pub fn half_even_rate(minor: i64, rate_e9: i64) -> Option<i64> {
    const E9: i128 = 1_000_000_000;
    let product = i128::from(minor) * i128::from(rate_e9);
    let (quotient, remainder) = (product.div_euclid(E9), product.rem_euclid(E9));
    let up = remainder * 2 > E9 || (remainder * 2 == E9 && quotient % 2 != 0);
    i64::try_from(quotient + i128::from(up)).ok()
}

/// ARI-6: whether weights that must be a partition are one: none below zero, 10000 together.
pub fn is_partition(weights: &[BasisPoints]) -> bool {
    weights.iter().all(|weight| weight.0 >= 0)
        && weights.iter().map(|weight| i64::from(weight.0)).sum::<i64>() == 10_000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ari_1_the_leftover_units_go_to_the_largest_remainders_and_ties_to_the_lowest_index() {
        assert_eq!(allocate(100, &[1, 1, 1]).unwrap(), [34, 33, 33]);
        assert_eq!(allocate(10_000, &[1; 30]).unwrap(), [vec![334; 10], vec![333; 20]].concat());
        assert_eq!(allocate(5, &[3, 1, 1]).unwrap(), [3, 1, 1]);
        assert_eq!(allocate(10, &[5, 3, 3]).unwrap(), [4, 3, 3]);
    }

    #[test]
    fn ari_1_a_negative_total_mirrors_its_opposite_and_zero_weights_are_equal() {
        assert_eq!(allocate(-100, &[1, 1, 1]).unwrap(), [-34, -33, -33]);
        assert_eq!(allocate(3, &[0, 0]).unwrap(), [2, 1]);
        assert_eq!(allocate(1, &[]), Err(AllocationError::NoWeights));
    }

    #[test]
    fn ari_2_a_ceiling_is_floored() {
        assert_eq!((cap(1201, BasisPoints(5000)), cap(1, BasisPoints(5000))), (600, 0));
    }

    #[test]
    fn ari_4_a_shown_ratio_is_rounded_half_up() {
        assert_eq!(
            (ratio_bp(1, 3), ratio_bp(2, 3), ratio_bp(1, 0)),
            (Some(BasisPoints(3333)), Some(BasisPoints(6667)), None)
        );
    }

    #[test]
    fn ari_5_a_conversion_is_rounded_half_even() {
        let half = 500_000_000;
        assert_eq!(
            (half_even_rate(1, half), half_even_rate(3, half), half_even_rate(-1, half)),
            (Some(0), Some(2), Some(0))
        );
    }

    #[test]
    fn ari_6_a_partition_sums_to_the_whole() {
        assert!(is_partition(&[BasisPoints(5000), BasisPoints(3000), BasisPoints(2000)]));
        assert!(!is_partition(&[BasisPoints(11_000), BasisPoints(-1000)]));
    }

    proptest! {
        #[test]
        fn not_a_unit_is_lost_and_no_part_is_off_by_one_or_more(
            total in -1_000_000_000_000i64..1_000_000_000_000,
            weights in prop::collection::vec(0i64..100_000, 1..40),
        ) {
            let parts = allocate(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().sum::<i64>(), total);
            let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            if sum > 0 {
                for (part, weight) in parts.iter().zip(&weights) {
                    let error = i128::from(*part) * sum - i128::from(total) * i128::from(*weight);
                    prop_assert!(error.abs() < sum);
                }
            }
        }
    }
}
