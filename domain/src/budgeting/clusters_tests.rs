use proptest::prelude::*;

use super::*;
use crate::budgeting::fixtures::ccy;

/// How somebody spends whom nothing sets apart.
fn plain() -> CohortFeatures {
    CohortFeatures {
        average_spending: 200_000,
        adherence: Some(BasisPoints(7500)),
        savings_rate: Some(BasisPoints(1500)),
        transactions_per_30_days: 4000,
        impulse_rate: Some(BasisPoints(3000)),
        average_income: Some(300_000),
        spending_rate: Some(BasisPoints(7000)),
        wants_share: Some(BasisPoints(3000)),
        diversity: Some(BasisPoints(7000)),
        ..CohortFeatures::default()
    }
}

/// Somebody as the prototype of a cohort describes them, a little different each time.
fn typical(cohort: Cohort, nth: i32) -> CohortFeatures {
    let near = |share: i32| Some(BasisPoints(share + nth % 7 * 20));
    match cohort {
        Cohort::Savers => CohortFeatures { savings_rate: near(4500), impulse_rate: near(300), ..plain() },
        Cohort::Balanced => CohortFeatures { adherence: near(9700), ..plain() },
        Cohort::Spenders => CohortFeatures { wants_share: near(7000), savings_rate: near(0), ..plain() },
        Cohort::Struggling => {
            CohortFeatures { adherence: near(3000), spending_rate: near(12_000), ..plain() }
        }
        Cohort::Premium => CohortFeatures {
            average_income: Some(2_000_000 + i64::from(nth)),
            average_spending: 900_000,
            diversity: near(9200),
            ..plain()
        },
    }
}

const COHORTS: [Cohort; 5] =
    [Cohort::Savers, Cohort::Balanced, Cohort::Spenders, Cohort::Struggling, Cohort::Premium];

fn town(of_each: i32) -> Vec<(Currency, CohortFeatures)> {
    let some = |cohort| (0..of_each).map(move |nth| (ccy("USD"), typical(cohort, nth)));
    COHORTS.into_iter().flat_map(some).collect()
}

#[test]
fn bud_p6_five_clusters_are_found_and_called_what_their_prototypes_are() {
    let model = CohortModel::train(&town(20)).unwrap();
    for cohort in COHORTS {
        for nth in 0..20 {
            assert_eq!(model.cohort(ccy("USD"), &typical(cohort, nth)), cohort, "{nth}");
        }
    }
}

#[test]
fn bud_p6_cohorts_are_told_apart_from_fifty_owners_on() {
    assert_eq!(CohortModel::train(&town(10)[1..]), Err(TooFewOwners), "49 owners");
    assert!(CohortModel::train(&town(10)).is_ok(), "50 owners");
}

#[test]
fn bud_p6_each_name_is_given_once() {
    let mut names = CohortModel::train(&town(20)).unwrap().names;
    names.sort();
    assert_eq!(names, COHORTS);
    // Even where nothing sets anybody apart.
    let mut names = CohortModel::train(&vec![(ccy("USD"), plain()); 60]).unwrap().names;
    names.sort();
    assert_eq!(names, COHORTS);
}

#[test]
fn bud_p6_names_go_by_the_best_total_match_and_not_to_the_best_one_each() {
    let at = |savings, adherence| {
        DIMENSIONS.map(|dimension| match dimension {
            D::Savings => savings,
            D::Adherence => adherence,
            _ => 0,
        })
    };
    // The first fits savers (500) and balanced (900); the second balanced only (800). Taken one by one the first would be
    // balanced, and the second nothing.
    let names = named(&[at(1000, 900), at(0, 800), at(0, 0), at(-1000, 0), at(0, -1000)]);
    assert_eq!(names[..2], [Cohort::Savers, Cohort::Balanced]);
    assert_eq!((names[3], names[4]), (Cohort::Spenders, Cohort::Struggling));
}

#[test]
fn bud_p6_scores_are_thousandths_of_a_standard_deviation() {
    let scale = Scale::of(&[10, 20, 30, 40]);
    assert_eq!(scale, Scale { mean: 25, deviation: 11 });
    assert_eq!((scale.score(Some(25)), scale.score(Some(36)), scale.score(Some(14))), (0, 1000, -1000));
    assert_eq!((scale.score(None), scale.score(Some(i64::MAX))), (0, 5000));
    assert_eq!(Scale::of(&[7, 7]).score(Some(9)), 0, "where all are alike nobody stands out");
}

#[test]
fn ari_5_incomes_are_compared_within_a_currency_only() {
    // The same people, paid in yen: a hundred times the figures, and nobody is rich for that.
    let yen = town(20).into_iter().map(|(_, features)| {
        let average_income = features.average_income.map(|income| income * 100);
        let average_spending = features.average_spending * 100;
        (ccy("JPY"), CohortFeatures { average_income, average_spending, ..features })
    });
    let both: Vec<_> = town(20).into_iter().chain(yen.clone()).collect();
    let model = CohortModel::train(&both).unwrap();
    for ((usd, dollars), (jpy, yen)) in town(20).iter().zip(yen) {
        assert_eq!(model.cohort(*usd, dollars), model.cohort(jpy, &yen));
    }
}

#[test]
fn bud_p6_a_currency_or_a_figure_that_nobody_had_counts_as_the_mean() {
    let model = CohortModel::train(&town(20)).unwrap();
    let unknown = CohortFeatures { adherence: None, impulse_rate: None, ..typical(Cohort::Spenders, 1) };
    assert_eq!(model.cohort(ccy("KWD"), &unknown), Cohort::Spenders);
}

#[test]
fn the_numbers_of_a_seed_never_change() {
    let mut random = SplitMix(0);
    assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf, "the published reference");
    assert!((0..1000).all(|_| random.below(3) < 3));
}

prop_compose! {
    fn anybody()(
        spending in -1_000i64..9_000_000,
        income in prop::option::of(0i64..9_000_000),
        rates in prop::array::uniform6(prop::option::of(0i32..=10_000)),
        transactions in 0i64..20_000,
        currency in prop::sample::select(vec!["USD", "JPY"]),
    ) -> (Currency, CohortFeatures) {
        let [adherence, savings_rate, impulse_rate, spending_rate, wants_share, diversity] =
            rates.map(|rate| rate.map(BasisPoints));
        let features = CohortFeatures {
            average_spending: spending,
            shares: BTreeMap::new(),
            adherence,
            savings_rate,
            transactions_per_30_days: transactions,
            impulse_rate,
            average_income: income,
            spending_rate,
            wants_share,
            diversity,
        };
        (ccy(currency), features)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bud_p6_the_same_owners_give_the_same_model_in_whatever_order_they_come(
        (owners, shuffled) in prop::collection::vec(anybody(), 50..90)
            .prop_flat_map(|owners| (Just(owners.clone()), Just(owners).prop_shuffle())),
    ) {
        prop_assert_eq!(CohortModel::train(&owners), CohortModel::train(&shuffled));
    }

    #[test]
    fn bud_p6_no_owner_is_nearer_to_another_cluster_than_to_their_own(
        owners in prop::collection::vec(anybody(), 50..90),
    ) {
        let model = CohortModel::train(&owners).unwrap();
        for (currency, features) in &owners {
            let point = model.point(*currency, features);
            let own = model.names.iter().position(|name| *name == model.cohort(*currency, features)).unwrap();
            let nearest = model.centroids.iter().map(|centroid| distance(&point, centroid)).min();
            prop_assert_eq!(Some(distance(&point, &model.centroids[own])), nearest);
        }
    }

    #[test]
    fn bud_p6_a_round_never_makes_the_clusters_wider(owners in prop::collection::vec(anybody(), 50..90)) {
        let model = CohortModel::train(&owners).unwrap();
        let mut points: Vec<Point> = owners.iter().map(|(ccy, features)| model.point(*ccy, features)).collect();
        points.sort_unstable();
        let width = |centroids: &[Point]| points.iter().map(|point| nearest(point, centroids).1).sum::<u64>();
        // Means are floored to the unit, which costs a point at most the square of one in each dimension.
        let slack = (points.len() * DIMENSIONS.len()) as u64;
        prop_assert!(width(&model.centroids) <= width(&first_centroids(&points)) + slack);
    }
}
