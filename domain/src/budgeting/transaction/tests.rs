use super::{TransactionEvent as E, *};
use crate::{
    budgeting::fixtures::*,
    kernel::{BasisPoints, testing::keeps_history},
};

#[test]
fn every_event_reads_as_it_was_stored() {
    let at: Timestamp = "2026-05-03T18:30:00Z".parse().unwrap();
    let before = TransactionBefore {
        amount: usd(1000),
        booked: usd(1000),
        spent_at: at,
        local_date: may(3),
        merchant: Some("Bistro 12".into()),
        note: None,
        category: "dining".into(),
    };
    keeps_history::<Transaction>([
        E::TransactionRecorded {
            account: OWNER,
            kind: TransactionKind::Expense,
            amount: own(Money::new(1000, ccy("EUR"))),
            booked: own(usd(1085)),
            spent_at: at,
            local_date: may(3),
            merchant: Some(own("Bistro 12".into())),
            merchant_normalized: Some(own("bistro".into())),
            note: Some(own("lunch".into())),
            category: "dining".into(),
            confidence: BasisPoints(8500),
            engine: "keywords@1".into(),
            source: TransactionSource::Import,
            external_ref: Some("bank-1".into()),
            receipt: Some(Uuid::from_u128(1)),
            goal: Some(Uuid::from_u128(2)),
            installment: Some(Uuid::from_u128(3)),
            rate_e9: Some(1_085_000_000),
            rate_date: Some(may(2)),
            rate_source: Some("ecb".into()),
            possible_duplicate_of: Some(Uuid::from_u128(4)),
        },
        E::TransactionAmended {
            account: OWNER,
            kind: TransactionKind::Expense,
            amount: Some(own(usd(1200))),
            spent_at: Some(at),
            merchant: Some(own("Bistro Kafe".into())),
            merchant_normalized: Some(own("bistro kafe".into())),
            note: Some(own("dinner".into())),
            category: "restaurants".into(),
            before: own(before),
            booked: own(usd(1200)),
            local_date: may(3),
        },
        E::TransactionRecategorized {
            account: OWNER,
            kind: TransactionKind::Expense,
            category: "restaurants".into(),
            learn: true,
            from: "dining".into(),
            booked: own(usd(1200)),
            merchant_normalized: Some(own("bistro".into())),
            local_date: may(3),
        },
        E::TransactionVoided {
            account: OWNER,
            kind: TransactionKind::Refund,
            reason: own("entered twice".into()),
            booked: own(usd(1200)),
            category: "restaurants".into(),
            local_date: may(3),
        },
    ]);
}
