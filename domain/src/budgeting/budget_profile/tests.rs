use super::{BudgetProfileEvent as E, *};
use crate::{
    budgeting::{CohortFeatures, PatternKind, SpendingPattern, fixtures::*},
    kernel::testing::{keeps_history, nothing},
};

fn set_up_profile() -> E {
    nothing::<BudgetProfile>()
        .with_id(OWNER)
        .by(owner())
        .when(set_up(RedistributionMode::Auto, 300_000))
        .events()
        .remove(0)
}

#[test]
fn every_event_reads_as_it_was_stored() {
    let features = CohortFeatures {
        average_spending: 210_000,
        shares: [("rent".to_owned(), BasisPoints(4000))].into(),
        adherence: Some(BasisPoints(9000)),
        savings_rate: Some(BasisPoints(2000)),
        transactions_per_30_days: 4250,
        impulse_rate: None,
    };
    let pattern = SpendingPattern {
        kind: PatternKind::Recurring,
        category: Some("subscriptions".into()),
        merchant: Some("netflix".into()),
        weekday: None,
        amount: Some(usd(1599)),
        share: None,
    };
    let month: YearMonth = "2026-05".parse().unwrap();
    keeps_history::<BudgetProfile>([
        set_up_profile(),
        E::IncomeChanged { income: own(usd(320_000)), from: month },
        E::SplitChanged {
            needs: BasisPoints(6000),
            wants: BasisPoints(2000),
            savings: BasisPoints(2000),
            from: month,
        },
        E::CategoryDefined {
            key: "pets".into(),
            class: CategoryClass::Wants,
            level: 2,
            essential: false,
            weight: 10,
            pacing: Pacing::FixedDay,
            fixed_day: Some(3),
            keywords: own(vec!["vet".into()]),
        },
        E::CategoryRevised {
            key: "pets".into(),
            changes: CategoryRevision {
                class: Some(CategoryClass::Needs),
                level: Some(1),
                essential: Some(true),
                weight: Some(4),
                pacing: Some(Pacing::Weekend),
                fixed_day: None,
                keywords: Some(own(vec!["vet".into(), "zoo plus".into()])),
            },
        },
        E::CategoryRetired { key: "pets".into(), merge_into: "health".into() },
        E::RedistributionModeSet { mode: RedistributionMode::Propose },
        E::CategoryAlertSet { key: "dining".into(), at: BasisPoints(8000) },
        E::CohortAssigned {
            month,
            cohort: Cohort::Savers,
            features: own(features),
            model: Uuid::from_u128(0x30DE1),
        },
        E::CohortDriftDetected { from: Cohort::Spenders, to: Cohort::Savers, month },
        E::SpendingPatternsRecorded { month, patterns: own(vec![pattern]), engine: "patterns@1".into() },
    ]);
}
