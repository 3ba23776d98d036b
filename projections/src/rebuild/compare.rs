//! What a rebuild changed: the rows that serve beside those that were built, both at the same position.

use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::Client;

use crate::{
    catalog::{Layout, unsigned},
    error::ProjectionError,
    pack::Member,
    storage::{quoted, table_name},
    table::Shape,
};

/// How the rows of a new generation differ from those that served before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// Rows that only the new one has.
    pub added: u64,
    /// Rows that only the old one had.
    pub removed: u64,
    /// Rows that both have, with other values in the columns that both have.
    pub changed: u64,
    /// The keys of some of these rows.
    pub examples: Vec<String>,
}

impl Difference {
    /// Whether the rows are the same.
    pub fn is_none(&self) -> bool {
        self.added == 0 && self.removed == 0 && self.changed == 0
    }
}

/// Compares a generation with the one that serves, if another one does.
pub(crate) async fn with_serving(
    client: &Client,
    member: &Member,
) -> Result<Option<Difference>, ProjectionError> {
    let shape = member.model.shape();
    let layout = Layout::load(client).await?;
    let serving = layout.serving(shape.name);
    let Some(old) = serving.filter(|old| old.generation != member.entry.generation && !old.lost) else {
        return Ok(None);
    };
    let columns = common(client, shape, &old.schema, &member.entry.schema).await?;
    let keys: Vec<String> = shape.key().iter().map(|column| quoted(column.name, '"')).collect();
    if !keys.iter().all(|key| columns.contains(key)) {
        return Ok(None); // an earlier version had other keys: there is nothing to compare row by row
    }
    let (keys, columns) = (keys.join(", "), columns.join(", "));
    let rows = |schema: &str| {
        format!("(SELECT {keys}, ROW({columns})::text AS row FROM {})", table_name(shape, schema))
    };
    let sql = format!(
        "SELECT count(*) FILTER (WHERE o.row IS NULL), count(*) FILTER (WHERE n.row IS NULL),
            count(*) FILTER (WHERE o.row <> n.row),
            coalesce((array_agg(concat_ws(' ', {keys}) ORDER BY {keys})
                FILTER (WHERE o.row IS DISTINCT FROM n.row))[1:10], '{{}}')
        FROM {} o FULL JOIN {} n USING ({keys})",
        rows(&old.schema),
        rows(&member.entry.schema)
    );
    // Whole tables are compared: the settings of a follower, who looks up single rows, are the wrong ones.
    client.batch_execute("SET LOCAL enable_hashjoin = on; SET LOCAL enable_seqscan = on").await?;
    let row = client.query_one(&sql, &[]).await?;
    client.batch_execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_seqscan = off").await?;
    Ok(Some(Difference {
        added: unsigned(row.try_get(0)?),
        removed: unsigned(row.try_get(1)?),
        changed: unsigned(row.try_get(2)?),
        examples: row.try_get(3)?,
    }))
}

/// The columns that both tables have with the same type, in quotes.
async fn common(
    client: &Client,
    shape: &Shape,
    old: &str,
    new: &str,
) -> Result<Vec<String>, ProjectionError> {
    let sql = "SELECT n.column_name::text FROM information_schema.columns n
        JOIN information_schema.columns o USING (table_name, column_name, udt_name)
        WHERE n.table_schema = $1 AND o.table_schema = $2 AND n.table_name = $3 ORDER BY n.ordinal_position";
    let rows = client.query(sql, &[&new, &old, &shape.name]).await?;
    Ok(rows
        .iter()
        .map(|row| row.try_get(0).map(|name: String| quoted(&name, '"')))
        .collect::<Result<_, _>>()?)
}
