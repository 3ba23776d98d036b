//! R-33 `transactions`: what somebody spent, earned or got back. For the owner.
//!
//! The rows of an owner are neighbours in the table's key, and the index over the date holds the owner too: the
//! transactions of an owner on a day are found without reading any others (BUD-T5).

use domain::{
    Actor, Money, Personal,
    budgeting::{TransactionEvent as E, TransactionKind, TransactionSource},
    class::Financial,
    registry::AnyEvent,
};
use jiff::{Timestamp, civil::Date};
use uuid::Uuid;

use super::{TRANSACTION, own_rows};
use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
};

row! {
    /// A transaction.
    pub struct TransactionRow {
        key {
            /// The owner.
            account: Uuid => filter,
            /// The transaction.
            id: Uuid => filter,
        }
        columns {
            /// The date in the owner's time zone.
            local_date: Date => filter sort index,
            /// When.
            spent_at: Timestamp => sort,
            /// The kind, which gives the sign: an income or refund adds, anything else takes off.
            kind: TransactionKind => filter,
            /// The category's key.
            category: String => filter,
            /// Where it comes from.
            source: TransactionSource => filter,
            /// The receipt's scan.
            receipt: Option<Uuid> => filter,
            /// The goal that it contributes to.
            goal: Option<Uuid> => filter,
            /// The installment plan that it pays.
            installment: Option<Uuid> => filter,
            /// The transaction that this one seemed to repeat when it was recorded.
            possible_duplicate_of: Option<Uuid>,
            /// Whether it was a mistake and counts nowhere any more.
            voided: bool => filter,
        }
        personal {
            /// How much, in the currency in which it was paid.
            amount: Personal<Money, Financial>,
            /// How much in the budget's currency.
            booked: Personal<Money, Financial>,
            /// Where.
            merchant: Option<Personal<String, Financial>>,
            /// Where, in the form in which merchants are compared (BUD-T4).
            merchant_normalized: Option<Personal<String, Financial>>,
            /// What for.
            note: Option<Personal<String, Financial>>,
        }
    }
}

///
pub struct Transactions;

impl Table for Transactions {
    const NAME: &'static str = "transactions";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &[TRANSACTION];
    const OPTIONS: Options = Options { sort: &["-local_date", "-spent_at"], ..Options::DEFAULT };
    type Row = TransactionRow;

    fn keys(fact: &Fact, out: &mut Vec<(Uuid, Uuid)>) {
        let AnyEvent::Transaction(event) = &fact.event else { return };
        match event {
            E::TransactionRecorded { account, .. }
            | E::TransactionAmended { account, .. }
            | E::TransactionRecategorized { account, .. }
            | E::TransactionVoided { account, .. } => out.push((*account, fact.id)),
        }
    }

    fn fold(key: &(Uuid, Uuid), row: Option<TransactionRow>, fact: &Fact) -> Option<TransactionRow> {
        let AnyEvent::Transaction(event) = &fact.event else { return row };
        match event {
            E::TransactionRecorded {
                account,
                kind,
                amount,
                booked,
                spent_at,
                local_date,
                merchant,
                merchant_normalized,
                note,
                category,
                source,
                receipt,
                goal,
                installment,
                possible_duplicate_of,
                ..
            } => Some(TransactionRow {
                account: *account,
                id: key.1,
                local_date: *local_date,
                spent_at: *spent_at,
                kind: *kind,
                category: category.clone(),
                source: *source,
                receipt: *receipt,
                goal: *goal,
                installment: *installment,
                possible_duplicate_of: *possible_duplicate_of,
                voided: false,
                amount: amount.clone(),
                booked: booked.clone(),
                merchant: merchant.clone(),
                merchant_normalized: merchant_normalized.clone(),
                note: note.clone(),
            }),
            E::TransactionAmended {
                amount,
                spent_at,
                merchant,
                merchant_normalized,
                note,
                category,
                booked,
                local_date,
                ..
            } => row.map(|row| TransactionRow {
                local_date: *local_date,
                spent_at: spent_at.unwrap_or(row.spent_at),
                category: category.clone(),
                amount: amount.clone().unwrap_or(row.amount),
                booked: booked.clone(),
                merchant: merchant.clone().or(row.merchant),
                merchant_normalized: merchant_normalized.clone().or(row.merchant_normalized),
                note: note.clone().or(row.note),
                ..row
            }),
            E::TransactionRecategorized { category, .. } => {
                row.map(|row| TransactionRow { category: category.clone(), ..row })
            }
            E::TransactionVoided { .. } => row.map(|row| TransactionRow { voided: true, ..row }),
        }
    }

    fn visible(actor: &Actor) -> Filter {
        own_rows(actor, "read:transactions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        budgeting::samples::{OWNER, at, own, recorded, transaction, usd},
        testing::given,
    };

    fn row() -> TransactionRow {
        given::<Transactions>([recorded(1, 1250, 3)]).rows().remove(0)
    }

    #[test]
    fn a_recorded_transaction_is_listed_with_its_sealed_amount() {
        let row = row();
        assert_eq!((row.account, row.category.as_str(), row.voided), (OWNER, "dining", false));
        assert_eq!(row.amount.get(), Some(&usd(1250)));
        assert_eq!(row.merchant.as_ref().and_then(Personal::get).map(String::as_str), Some("Bistro 12"));
    }

    #[test]
    fn an_amendment_changes_only_what_it_states() {
        let amended = E::TransactionAmended {
            account: OWNER,
            kind: TransactionKind::Expense,
            amount: None,
            spent_at: Some(at(4)),
            merchant: None,
            merchant_normalized: None,
            note: Some(own("with Ada".into())),
            category: "restaurants".into(),
            before: Personal::Erased,
            booked: own(usd(1250)),
            local_date: at(4).to_zoned(jiff::tz::TimeZone::UTC).date(),
        };
        let expected = TransactionRow {
            local_date: jiff::civil::date(2026, 5, 4),
            spent_at: at(4),
            category: "restaurants".into(),
            note: Some(own("with Ada".into())),
            ..row()
        };
        given::<Transactions>([recorded(1, 1250, 3), transaction(1, amended)]).then([expected]);
    }

    #[test]
    fn a_voided_transaction_stays_listed_and_keeps_the_category_that_it_was_put_into() {
        let recategorized = E::TransactionRecategorized {
            account: OWNER,
            kind: TransactionKind::Expense,
            category: "groceries".into(),
            learn: false,
            from: "dining".into(),
            booked: own(usd(1250)),
            merchant_normalized: None,
            local_date: jiff::civil::date(2026, 5, 3),
        };
        let voided = E::TransactionVoided {
            account: OWNER,
            kind: TransactionKind::Expense,
            reason: own("twice".into()),
            booked: own(usd(1250)),
            category: "groceries".into(),
            local_date: jiff::civil::date(2026, 5, 3),
        };
        given::<Transactions>([recorded(1, 1250, 3), transaction(1, recategorized), transaction(1, voided)])
            .then([TransactionRow { category: "groceries".into(), voided: true, ..row() }]);
    }

    #[test]
    fn what_is_erased_stays_erased_and_the_rest_is_still_listed() {
        let (id, mut event) = recorded(1, 1250, 3);
        if let AnyEvent::Transaction(E::TransactionRecorded { amount, booked, merchant, .. }) = &mut event {
            (*amount, *booked, *merchant) = (Personal::Erased, Personal::Erased, Some(Personal::Erased));
        }
        let expected = TransactionRow {
            amount: Personal::Erased,
            booked: Personal::Erased,
            merchant: Some(Personal::Erased),
            ..row()
        };
        given::<Transactions>([(id, event)]).then([expected]);
    }

    #[test]
    fn only_owners_see_their_transactions() {
        let owner = Actor::user(OWNER, &["budget_user"]);
        assert_eq!(Transactions::visible(&owner), Filter::Is("account", OWNER.into()));
        for role in ["staff", "analyst", "compliance", "operator"] {
            assert_eq!(Transactions::visible(&Actor::user(OWNER, &[role])), Filter::Nothing, "{role}");
        }
        assert_eq!(Transactions::visible(&Actor::policy("book_spending")), Filter::Nothing);
    }
}
