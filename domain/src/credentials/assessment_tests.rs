use proptest::prelude::*;

use super::*;

const RULE: fn() -> AssessmentRule = AssessmentRule::default;

fn of(rows: &[&[i32]]) -> Cosines {
    Cosines::between(rows.len(), rows.first().map_or(0, |row| row.len()), |row, column| {
        BasisPoints(rows[row][column])
    })
}

fn credential(hours: u32, level: CredentialLevel) -> MicroCredential {
    MicroCredential { hours, level, ..MicroCredential::default() }
}

#[test]
fn crd_r4_the_overlap_is_that_of_the_best_matching_and_not_of_the_greedy_one() {
    // Greedy would take 9000 first and be left with 0.
    assert_eq!(of(&[&[9000, 8000], &[8000, 0]]).overlap(), BasisPoints(8000));
}

#[test]
fn crd_r4_unmatched_outcomes_count_nothing() {
    assert_eq!(of(&[&[10_000], &[10_000], &[10_000], &[0]]).overlap(), BasisPoints(2500));
    assert_eq!(of(&[&[10_000, 10_000, 10_000, 0]]).overlap(), BasisPoints(2500));
}

#[test]
fn crd_r4_a_credential_without_outcomes_overlaps_with_nothing() {
    let none = |rows, columns| Cosines::between(rows, columns, |_, _| BasisPoints(10_000)).overlap();
    assert_eq!([none(0, 0), none(0, 3), none(3, 0)], [BasisPoints(0); 3]);
}

#[test]
fn crd_r4_outcomes_that_contradict_each_other_count_nothing() {
    assert_eq!(of(&[&[-5000, 3000], &[-1, -9000]]).overlap(), BasisPoints(1500));
}

#[test]
fn crd_r3_the_score_weighs_overlap_50_duration_20_level_15_history_15() {
    let score = |overlap, duration, level_ok, history| {
        let [overlap, duration, history] = [overlap, duration, history].map(BasisPoints);
        Assessment { overlap, duration, level_ok, history }.score(&RULE()).0
    };
    assert_eq!(score(10_000, 0, false, 0), 5000);
    assert_eq!(score(0, 10_000, false, 0), 2000);
    assert_eq!(score(0, 0, true, 0), 1500);
    assert_eq!(score(0, 0, false, 10_000), 1500);
    assert_eq!(score(10_000, 10_000, true, 10_000), 10_000);
    assert_eq!(score(8000, 7500, true, 5000), 7750);
    assert_eq!(score(1, 0, false, 0), 1, "half a basis point is rounded up");
}

#[test]
fn crd_r3_7000_advises_to_approve_and_5000_to_review() {
    let advice = |overlap, duration, history| {
        let [overlap, duration, history] = [overlap, duration, history].map(BasisPoints);
        let assessment = Assessment { overlap, duration, level_ok: true, history };
        (assessment.score(&RULE()).0, assessment.recommendation(&RULE()))
    };
    assert_eq!(advice(7000, 10_000, 0), (7000, Recommendation::Approve));
    assert_eq!(advice(6998, 10_000, 0), (6999, Recommendation::Review));
    assert_eq!(advice(7000, 0, 0), (5000, Recommendation::Review));
    assert_eq!(advice(6998, 0, 0), (4999, Recommendation::Reject));
}

#[test]
fn ari_3_a_score_is_compared_before_it_is_rounded() {
    let almost = Assessment {
        overlap: BasisPoints(6999),
        duration: BasisPoints(10_000),
        level_ok: true,
        history: BasisPoints(0),
    };
    assert_eq!(almost.score(&RULE()), BasisPoints(7000), "6999.5, as it is shown");
    assert_eq!(almost.recommendation(&RULE()), Recommendation::Review);
}

#[test]
fn crd_r3_the_duration_is_the_shorter_over_the_longer() {
    assert_eq!([duration(30, 60), duration(60, 30), duration(20, 30)].map(|part| part.0), [5000, 5000, 6667]);
    assert_eq!(
        [duration(0, 0), duration(0, 9), duration(u32::MAX, u32::MAX)].map(|part| part.0),
        [0, 0, 10_000]
    );
}

#[test]
fn crd_r3_levels_fit_when_they_differ_by_at_most_one() {
    use CredentialLevel as L;
    assert!(levels_fit(L::Introductory, L::Intermediate) && levels_fit(L::Graduate, L::Advanced));
    assert!(!levels_fit(L::Introductory, L::Advanced) && !levels_fit(L::Graduate, L::Intermediate));
}

#[test]
fn crd_r3_a_history_of_fewer_than_five_decisions_tells_nothing() {
    assert_eq!([history(0, 0), history(4, 4), history(0, 4)].map(|part| part.0), [5000; 3]);
    assert_eq!([history(5, 5), history(0, 5), history(2, 6)].map(|part| part.0), [10_000, 0, 3333]);
}

#[test]
fn crd_r3_without_a_counterpart_only_the_history_counts() {
    let assessment = Assessment::without_counterpart(BasisPoints(10_000));
    assert_eq!(assessment.score(&RULE()), BasisPoints(1500));
    assert_eq!(assessment.recommendation(&RULE()), Recommendation::Reject);
}

#[test]
fn crd_r3_the_best_scoring_counterpart_is_taken_in_whatever_order_they_come() {
    use CredentialLevel as L;
    let subject = credential(60, L::Intermediate);
    let compare = |hours, cosine| {
        Assessment::of(&subject, &credential(hours, L::Graduate), &of(&[&[cosine]]), BasisPoints(5000))
    };
    let candidates =
        [(3, compare(60, 2000)), (1, compare(60, 8000)), (2, compare(60, 8000)), (4, compare(30, 9000))]
            .map(|(id, assessment)| (Uuid::from_u128(id), assessment));
    let best = best_counterpart(&RULE(), candidates);
    assert_eq!(best.map(|(id, _)| id), Some(Uuid::from_u128(1)));
    assert_eq!(best, best_counterpart(&RULE(), candidates.into_iter().rev()));
    assert_eq!(best_counterpart(&RULE(), []), None);
}

#[test]
fn the_reasons_name_every_figure() {
    let assessment = Assessment {
        overlap: BasisPoints(8005),
        duration: BasisPoints(5000),
        level_ok: true,
        history: BasisPoints(10_000),
    };
    assert_eq!(
        assessment.reasons(&RULE()),
        [
            "outcomes covered: 80.05 % (weight 50 %)",
            "hours alike: 50.00 % (weight 20 %)",
            "levels differ by at most one (weight 15 %)",
            "approved before: 100.00 % (weight 15 %)",
        ]
    );
}

/// The best matching by trying all of them.
fn by_trying(matrix: &[Vec<i32>], row: usize, used: &mut Vec<bool>) -> i64 {
    if row == matrix.len() {
        return 0;
    }
    let mut best = by_trying(matrix, row + 1, used);
    for column in 0..used.len() {
        if !used[column] {
            used[column] = true;
            best = best.max(i64::from(matrix[row][column].max(0)) + by_trying(matrix, row + 1, used));
            used[column] = false;
        }
    }
    best
}

fn from(matrix: &[Vec<i32>]) -> Cosines {
    Cosines::between(matrix.len(), matrix.first().map_or(0, Vec::len), |row, column| {
        BasisPoints(matrix[row][column])
    })
}

fn matrices(most: usize) -> impl Strategy<Value = Vec<Vec<i32>>> {
    (1..=most, 1..=most).prop_flat_map(|(rows, columns)| {
        prop::collection::vec(prop::collection::vec(-10_000i32..=10_000, columns), rows)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn crd_r4_no_matching_is_better_than_the_one_found(matrix in matrices(6)) {
        let larger = matrix.len().max(matrix[0].len()) as i64;
        let best = by_trying(&matrix, 0, &mut vec![false; matrix[0].len()]);
        prop_assert_eq!(Some(from(&matrix).overlap()), ratio_bp(best, larger * 10_000));
    }

    #[test]
    fn crd_r4_the_overlap_is_the_same_from_either_side(matrix in matrices(12)) {
        let mirrored: Vec<Vec<i32>> =
            (0..matrix[0].len()).map(|column| matrix.iter().map(|row| row[column]).collect()).collect();
        prop_assert_eq!(from(&matrix).overlap(), from(&mirrored).overlap());
    }

    #[test]
    fn crd_r4_the_order_of_outcomes_does_not_matter(
        (matrix, shuffled) in matrices(12).prop_flat_map(|matrix| (Just(matrix.clone()), Just(matrix).prop_shuffle())),
    ) {
        let backwards: Vec<Vec<i32>> =
            shuffled.into_iter().map(|row| row.into_iter().rev().collect()).collect();
        prop_assert_eq!(from(&matrix).overlap(), from(&backwards).overlap());
    }

    #[test]
    fn crd_r3_a_score_is_a_share_of_the_whole(
        matrix in matrices(6),
        hours in 0u32..2000, other in 0u32..2000,
        level_ok: bool,
        approved in 0u32..50, decided in 0u32..50,
    ) {
        let assessment = Assessment {
            overlap: from(&matrix).overlap(),
            duration: duration(hours, other),
            level_ok,
            history: history(approved, decided),
        };
        prop_assert!(assessment.score(&RULE()).is_share());
        prop_assert!(assessment.overlap.is_share() && assessment.history.is_share());
    }
}
