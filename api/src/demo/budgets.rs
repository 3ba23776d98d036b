//! Bank accounts become budgets: what was spent is recorded day by day, and money moves when a day goes wrong.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use uuid::Uuid;

use super::{
    IN_FLIGHT,
    client::{Client, DemoError, Person},
    id,
};

const TRANSACTIONS: &str = include_str!("../../demo/bank-transactions.csv");

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Budgeted {
    /// Accounts.
    pub accounts: usize,
    /// Transactions that were recorded.
    pub transactions: usize,
    /// One of the accounts, to look at.
    pub account: Uuid,
}

#[derive(Clone, Debug, serde::Deserialize)]
struct Row {
    trans_id: u64,
    account_id: u64,
    date: String,
    r#type: String,
    operation: String,
    amount: String,
    k_symbol: String,
}

impl Row {
    fn is_credit(&self) -> bool {
        self.r#type == "PRIJEM"
    }

    /// `930125` → `1993-01-25`.
    fn day(&self) -> String {
        format!("19{}-{}-{}", &self.date[..2], &self.date[2..4], &self.date[4..])
    }

    /// `31348.00` → 3134800, without a float.
    fn minor(&self) -> Result<i64, DemoError> {
        let (whole, part) = self.amount.split_once('.').unwrap_or((&self.amount, "0"));
        let number = format!("{whole}{part:0<2}");
        number.parse().map_err(|_| DemoError::Data(format!("`{}` is no amount", self.amount)))
    }

    /// The envelope that a debit is from.
    fn category(&self) -> &'static str {
        match (self.k_symbol.trim(), self.operation.as_str()) {
            ("SIPO", _) => "rent",
            ("POJISTNE", _) => "insurance",
            ("UVER" | "SANKC. UROK", _) => "debt",
            ("SLUZBY", _) => "subscriptions",
            (_, "VYBER KARTOU") => "shopping",
            (_, "PREVOD NA UCET") => "utilities",
            _ => "groceries",
        }
    }
}

pub(super) async fn load(client: &Client) -> Result<Budgeted, DemoError> {
    let mut accounts: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(TRANSACTIONS.as_bytes());
    for row in reader.deserialize() {
        let row: Row = row.map_err(|error| DemoError::Data(error.to_string()))?;
        accounts.entry(row.account_id).or_default().push(row);
    }
    let first =
        accounts.keys().next().map(|account| id(&["account", &account.to_string()])).unwrap_or_default();
    let recorded = stream::iter(accounts)
        .map(|(account, rows)| budget(client, account, rows))
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<Vec<usize>>()
        .await?;
    Ok(Budgeted { accounts: recorded.len(), transactions: recorded.into_iter().sum(), account: first })
}

/// The mean of the credits of the months between the first and the last.
fn income(rows: &[Row]) -> Result<i64, DemoError> {
    let mut months: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let credit = if row.is_credit() { row.minor()? } else { 0 };
        *months.entry(row.day()[..7].to_owned()).or_default() += credit;
    }
    let full: Vec<i64> = months.values().copied().skip(1).take(months.len().saturating_sub(2)).collect();
    let mean = full.iter().sum::<i64>() / i64::try_from(full.len().max(1)).unwrap_or(1);
    Ok(mean.max(1))
}

/// One account, in the order of its days: an owner's transactions are recorded one after the other.
async fn budget(client: &Client, account: u64, mut rows: Vec<Row>) -> Result<usize, DemoError> {
    let owner = id(&["account", &account.to_string()]);
    let person = Person::with(owner, &["budget_user"]);
    let setup = json!({
        "currency": "CZK",
        "tz": "Europe/Prague",
        "country": "CZ",
        "income": { "minor": income(&rows)?, "ccy": "CZK" },
        "needs": 5000,
        "wants": 3000,
        "savings": 2000,
        "mode": "auto",
    });
    client.command(&person, "budgeting/budget-profile", owner, "set-up-budget", setup).await?;
    rows.sort_by_key(|row| (row.date.clone(), row.trans_id));
    for row in &rows {
        let mut fields = json!({
            "account": owner,
            "kind": if row.is_credit() { "income" } else { "expense" },
            "amount": { "minor": row.minor()?, "ccy": "CZK" },
            "spent_at": format!("{}T11:00:00Z", row.day()),
            "source": "import",
            "external_ref": row.trans_id.to_string(),
        });
        if !row.is_credit() {
            fields["category"] = json!(row.category());
        }
        let transaction = id(&["transaction", &row.trans_id.to_string()]);
        client.command(&person, "budgeting/transaction", transaction, "record-transaction", fields).await?;
    }
    Ok(rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(amount: &str, k_symbol: &str, operation: &str) -> Row {
        Row {
            trans_id: 1,
            account_id: 2,
            date: "930125".into(),
            r#type: "VYDAJ".into(),
            operation: operation.into(),
            amount: amount.into(),
            k_symbol: k_symbol.into(),
        }
    }

    #[test]
    fn amounts_and_days_of_the_bank_are_read_exactly() {
        let amounts: Vec<i64> =
            ["31348.00", "0.10", "14.6", "7"].map(|text| row(text, "", "").minor().unwrap()).into();
        assert_eq!((amounts, row("1", "", "").day()), (vec![3_134_800, 10, 1460, 700], "1993-01-25".into()));
    }

    #[test]
    fn the_payment_symbol_names_the_category_before_the_operation_does() {
        assert_eq!(row("1", "SIPO", "PREVOD NA UCET").category(), "rent");
        assert_eq!(row("1", "", "VYBER KARTOU").category(), "shopping");
    }
}
