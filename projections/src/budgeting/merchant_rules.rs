//! `merchant_rules` (internal): which category an owner taught for which merchant (BUD-T7), as recording a transaction asks.
//!
//! A row is an owner: where somebody shops is personal, so merchants cannot be keys, and owners teach few of them. The last
//! lesson for a merchant counts. Categories are as they were taught; what took a retired one over, the profile knows.

use std::collections::BTreeMap;

use domain::{Actor, Personal, budgeting::TransactionEvent as E, class::Financial, registry::AnyEvent};
use uuid::Uuid;

use super::{TRANSACTION, own_rows};
use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
};

row! {
    /// What an owner taught.
    pub struct MerchantRulesRow {
        key {
            /// The owner.
            account: Uuid => filter,
        }
        personal {
            /// The category's key by normalised merchant (BUD-T4).
            categories: Personal<BTreeMap<String, String>, Financial>,
        }
    }
}

/// What owners taught.
pub struct MerchantRules;

impl Table for MerchantRules {
    const NAME: &'static str = "merchant_rules";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &[TRANSACTION];
    const OPTIONS: Options = Options::DEFAULT;
    type Row = MerchantRulesRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        if let Some((account, ..)) = lesson(fact) {
            out.push(account);
        }
    }

    fn fold(key: &Uuid, row: Option<MerchantRulesRow>, fact: &Fact) -> Option<MerchantRulesRow> {
        let Some((account, merchant, category)) = lesson(fact) else { return row };
        // What was taught before and is erased is forgotten; what is taught now counts.
        let taught = row.and_then(|row| row.categories.into_inner());
        let mut categories = taught.unwrap_or_default();
        categories.insert(merchant.clone(), category.clone());
        Some(MerchantRulesRow { account: *key, categories: Personal::about(account, categories) })
    }

    fn visible(actor: &Actor) -> Filter {
        own_rows(actor, "read:transactions")
    }
}

/// Who teaches which category for which merchant. Where the merchant is erased or has no name, nothing is taught.
fn lesson(fact: &Fact) -> Option<(Uuid, &String, &String)> {
    let AnyEvent::Transaction(event) = &fact.event else { return None };
    match event {
        E::TransactionRecategorized {
            account,
            category,
            learn: true,
            merchant_normalized: Some(merchant),
            ..
        } => {
            let merchant = merchant.get().filter(|merchant| !merchant.is_empty())?;
            Some((*account, merchant, category))
        }
        E::TransactionRecategorized { .. }
        | E::TransactionRecorded { .. }
        | E::TransactionAmended { .. }
        | E::TransactionVoided { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        budgeting::samples::{OWNER, own, taught},
        testing::given,
    };

    fn rules(pairs: &[(&str, &str)]) -> MerchantRulesRow {
        let categories = pairs.iter().map(|(merchant, category)| ((*merchant).into(), (*category).into()));
        MerchantRulesRow { account: OWNER, categories: own(categories.collect()) }
    }

    #[test]
    fn bud_t7_the_last_lesson_for_a_merchant_counts() {
        let lessons = [
            taught(1, "bistro", "dining", true),
            taught(2, "lidl", "groceries", true),
            taught(3, "bistro", "restaurants", true),
        ];
        given::<MerchantRules>(lessons).then([rules(&[("bistro", "restaurants"), ("lidl", "groceries")])]);
    }

    #[test]
    fn nothing_is_taught_without_the_will_to_teach_or_without_a_merchant() {
        let lessons = [taught(1, "bistro", "dining", false), taught(2, "", "dining", true)];
        given::<MerchantRules>(lessons).then([]);
    }

    #[test]
    fn an_erased_lesson_is_forgotten_and_the_others_are_not() {
        let (id, mut event) = taught(1, "bistro", "dining", true);
        if let AnyEvent::Transaction(E::TransactionRecategorized { merchant_normalized, .. }) = &mut event {
            *merchant_normalized = Some(Personal::Erased);
        }
        given::<MerchantRules>([(id, event), taught(2, "lidl", "groceries", true)])
            .then([rules(&[("lidl", "groceries")])]);
    }
}
