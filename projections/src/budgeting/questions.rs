//! What is asked of these read models: by the domain before it records a transaction, and by the policy that looks into
//! how owners spend (P-32).

use std::collections::BTreeSet;

use domain::{
    Actor, Money,
    budgeting::{MonthFigures, SeenSpend, YearMonth},
};
use jiff::civil::Date;
use serde_json::Value;
use uuid::Uuid;

use super::{ClosedMonths, MerchantRules, Transactions, closed_months::COMPARE};
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

impl Projections {
    /// `Spending`: what an owner spent over some days, savings not counted, as far as `transactions` has come. What is
    /// erased is not told.
    ///
    /// # Errors
    /// When the read model is being built, or the database fails.
    pub async fn spending(
        &self,
        account: Uuid,
        from: Date,
        until: Date,
    ) -> Result<Vec<SeenSpend>, QueryError> {
        let on = |op, values: Vec<String>, column: &str| Condition { column: column.to_owned(), op, values };
        let query = Query {
            filters: vec![
                on(Op::AtLeast, vec![from.to_string()], "local_date"),
                on(Op::AtMost, vec![until.to_string()], "local_date"),
                on(Op::In, vec![false.to_string()], "voided"),
                on(Op::In, ["expense", "installment_payment"].map(str::to_owned).to_vec(), "kind"),
            ],
            fields: ["local_date", "category", "merchant_normalized", "booked"].map(str::to_owned).to_vec(),
            ..Query::default()
        };
        let rows = self.every_row(Transactions::NAME, &on_behalf_of(account), query).await?;
        let seen = |row: &Value| {
            Some(SeenSpend {
                date: row["local_date"].as_str()?.parse().ok()?,
                category: row["category"].as_str()?.to_owned(),
                merchant: row["merchant_normalized"].as_str().map(str::to_owned),
                minor: row["booked"]["minor"].as_i64()?,
            })
        };
        Ok(rows.iter().filter_map(seen).collect())
    }

    /// `ClosedMonths`: what these months of all owners came to, as far as `closed_months` has come. What is erased, or
    /// was closed before it was kept, is not told.
    ///
    /// # Errors
    /// When the read model is being built, or the database fails.
    pub async fn closed_months(
        &self,
        months: &[YearMonth],
    ) -> Result<Vec<(Uuid, YearMonth, MonthFigures)>, QueryError> {
        let values = months.iter().map(YearMonth::to_string).collect();
        let query = Query {
            filters: vec![Condition { column: "month".to_owned(), op: Op::In, values }],
            fields: ["account", "month", "figures"].map(str::to_owned).to_vec(),
            ..Query::default()
        };
        let rows = self.every_row(ClosedMonths::NAME, &comparing(), query).await?;
        let known = |mut row: Value| {
            let month = row["month"].as_str()?.parse().ok()?;
            let figures = serde_json::from_value(row["figures"].take()).ok()?;
            Some((row["account"].as_str()?.parse().ok()?, month, figures))
        };
        Ok(rows.into_iter().filter_map(known).collect())
    }

    async fn every_row(
        &self,
        model: &str,
        actor: &Actor,
        mut query: Query,
    ) -> Result<Vec<Value>, QueryError> {
        query.limit = Some(LIMIT_MAX);
        let mut rows = Vec::new();
        loop {
            let page = self.list(model, actor, &query).await?;
            rows.extend(page.rows);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(rows),
            }
        }
    }
}

/// Our own policy that compares owners (P-32).
fn comparing() -> Actor {
    Actor { scopes: BTreeSet::from([COMPARE.to_owned()]).into(), ..Actor::policy("find_habits") }
}

/// Whoever records a transaction looks at what its owner may see.
fn on_behalf_of(account: Uuid) -> Actor {
    Actor {
        on_behalf_of: Some(account),
        scopes: BTreeSet::from(["read:transactions".to_owned()]).into(),
        ..Actor::policy("record_transaction")
    }
}
