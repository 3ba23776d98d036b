//! Every event reads as it was stored.

use super::{BudgetMonthEvent as E, *};
use crate::{
    budgeting::fixtures::*,
    kernel::{BasisPoints, testing::keeps_history},
};

fn plans(category: &str, days: impl IntoIterator<Item = (u8, i64)>) -> PlanChanges {
    [(category.to_owned(), days.into_iter().collect())].into()
}

fn transfer(category: &str, minor: i64) -> Transfer {
    Transfer { category: category.into(), amount: usd(minor) }
}

#[test]
fn every_event_reads_as_it_was_stored() {
    let id = Uuid::from_u128(0x4ED);
    let day = |minor| plans("dining", [(3, minor)]);
    let transaction = Uuid::from_u128(0x7A);
    let opened = opened(RedistributionMode::Auto);
    let E::BudgetMonthOpened { categories, split, .. } = opened.clone() else { unreachable!() };
    keeps_history::<BudgetMonth>([
        opened,
        E::BudgetMonthReallocated {
            reason: ReallocationReason::Income,
            mode: RedistributionMode::Propose,
            split,
            categories,
            amounts: own(ReallocatedAmounts {
                income: usd(320_000),
                classes: ClassAmounts { needs: 160_000, wants: 96_000, savings: 64_000 },
                envelopes: [("dining".to_owned(), 11_520)].into(),
                plans: day(400),
            }),
            overtaken: Vec::new(),
        },
        E::SpendApplied {
            transaction,
            category: "dining".into(),
            date: may(3),
            amount: own(usd(1200)),
            after_close: false,
        },
        E::OverspendDetected {
            category: "dining".into(),
            date: may(3),
            overspend: own(usd(852)),
            transaction,
        },
        E::CategoryAlertTriggered { category: "dining".into(), used: BasisPoints(8100) },
        E::SpendReversed {
            transaction,
            category: "dining".into(),
            date: may(3),
            amount: own(usd(1200)),
            after_close: true,
        },
        E::BudgetRedistributed {
            redistribution: id,
            category: "dining".into(),
            date: may(3),
            cause: RedistributionCause::Automatic,
            transaction: Some(transaction),
            days_left: 29,
            amounts: own(RedistributedAmounts {
                needed: usd(852),
                covered: usd(800),
                uncovered: usd(52),
                transfers: vec![transfer("travel", 800)],
                plans: day(1148),
            }),
        },
        E::RedistributionProposed {
            redistribution: id,
            category: "dining".into(),
            date: may(3),
            expires_at: "2026-05-04T16:00:00Z".parse().unwrap(),
            amounts: own(ProposedAmounts {
                needed: usd(852),
                covered: usd(852),
                transfers: vec![transfer("travel", 852)],
            }),
        },
        E::RedistributionDismissed { redistribution: id, cause: DismissalCause::Expired },
        E::RedistributionReverted {
            redistribution: id,
            category: "dining".into(),
            date: may(3),
            cause: RedistributionCause::Person,
            reason: Some(own("I would rather travel".into())),
            amounts: own(RevertedAmounts { returned: vec![transfer("travel", 800)], plans: day(348) }),
        },
        E::EnvelopeMoved {
            from: "travel".into(),
            to: "dining".into(),
            amounts: own(MovedAmounts { amount: usd(500), plans: day(365) }),
        },
        E::DailyPlanAdjusted {
            category: "dining".into(),
            date: may(3),
            amounts: own(AdjustedAmounts { planned: usd(500), plans: day(500) }),
        },
        E::BudgetMonthClosed {
            amounts: own(ClosingAmounts { planned: usd(300_000), spent: usd(200_000), saved: usd(60_000) }),
            adherence: Some(BasisPoints(9312)),
            savings_rate: Some(BasisPoints(2000)),
            figures: None,
        },
    ]);
}
