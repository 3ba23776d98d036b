//! What the domain asks of these read models before it records a transaction.

use std::collections::BTreeSet;

use domain::{Actor, Money};
use jiff::civil::Date;
use uuid::Uuid;

use super::{MerchantRules, Transactions};
use crate::{
    Projections, Table,
    query::{Condition, LIMIT_MAX, Op, Query, QueryError},
};

impl Projections {
    /// `LearnedCategory`: the category that an owner taught for a normalised merchant (BUD-T7), as far as `merchant_rules`
    /// has come. Wait for it with [`Projections::wait_for`].
    ///
    /// # Errors
    /// When the read model is being built, or the database fails.
    pub async fn learned_category(
        &self,
        account: Uuid,
        merchant: &str,
    ) -> Result<Option<String>, QueryError> {
        let page = self.list(MerchantRules::NAME, &on_behalf_of(account), &Query::default()).await?;
        let taught = page.rows.first().and_then(|row| row["categories"].get(merchant)?.as_str());
        Ok(taught.map(str::to_owned))
    }

    /// `PossibleDuplicate`: the first of an owner's live transactions on a date with this normalised merchant and this
    /// amount as it was stated (BUD-T5), as far as `transactions` has come.
    ///
    /// # Errors
    /// When the read model is being built, or the database fails.
    pub async fn possible_duplicate(
        &self,
        account: Uuid,
        merchant: &str,
        amount: Money,
        date: Date,
    ) -> Result<Option<Uuid>, QueryError> {
        let is = |column: &str, value: String| Condition {
            column: column.to_owned(),
            op: Op::In,
            values: vec![value],
        };
        let mut query = Query {
            filters: vec![is("local_date", date.to_string()), is("voided", false.to_string())],
            fields: ["id", "merchant_normalized", "amount"].map(str::to_owned).to_vec(),
            limit: Some(LIMIT_MAX),
            ..Query::default()
        };
        loop {
            let page = self.list(Transactions::NAME, &on_behalf_of(account), &query).await?;
            let same = page.rows.iter().find(|row| {
                row["merchant_normalized"] == merchant
                    && row["amount"]["minor"] == amount.minor
                    && row["amount"]["ccy"] == amount.ccy.code()
            });
            if let Some(same) = same {
                return Ok(same["id"].as_str().and_then(|id| id.parse().ok()));
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(None),
            }
        }
    }
}

/// Whoever records a transaction looks at what its owner may see.
fn on_behalf_of(account: Uuid) -> Actor {
    Actor {
        on_behalf_of: Some(account),
        scopes: BTreeSet::from(["read:transactions".to_owned()]),
        ..Actor::policy("record_transaction")
    }
}
