//! The texts of the registry, for whoever looks for credentials that are alike: they are compared by meaning, which SQL
//! cannot do.

use sqlx::Row as _;
use uuid::Uuid;

use super::Credentials;
use crate::{Projections, Table, query::QueryError, storage::table_name};

/// Which texts are known already: those of one generation of the read model, up to a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextsKnown {
    generation: i32,
    position: u64,
}

/// Texts that are not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// Whether all that was known is void, because the read model was built anew.
    pub anew: bool,
    /// What credentials say of themselves: title, description and outcomes.
    pub texts: Vec<(Uuid, String)>,
    /// What is known with these.
    pub known: TextsKnown,
}

impl Projections {
    /// The texts of credentials, published or not, that changed since what is known.
    ///
    /// # Errors
    /// When the read model is being built, or the database fails.
    pub async fn credential_texts(&self, known: TextsKnown) -> Result<Texts, QueryError> {
        let model = self.model(Credentials::NAME)?;
        let (generation, schema) = self.serving(model, true).await?;
        let anew = generation != known.generation;
        let since = if anew { 0 } else { known.position };
        let table = table_name(model.shape(), &schema);
        let sql = format!("SELECT id, text, as_of FROM {table} WHERE as_of > $1 ORDER BY as_of");
        let since_column = i64::try_from(since).unwrap_or(i64::MAX);
        let rows = sqlx::query(&sql).bind(since_column).fetch_all(self.0.store.pool()).await?;
        let texts = rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("text")?)));
        let texts = texts.collect::<Result<Vec<_>, sqlx::Error>>()?;
        let last: Option<i64> = rows.last().map(|row| row.try_get("as_of")).transpose()?;
        let position = last.map_or(since, crate::catalog::unsigned);
        Ok(Texts { anew, texts, known: TextsKnown { generation, position } })
    }
}
