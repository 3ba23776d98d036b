//! The writer's own connection.
//!
//! It is a tokio-postgres connection, while this crate reads with sqlx: the next batch is sent while the previous one
//! commits, on the same connection, which sqlx cannot do. That alone is worth 15 % of the append rate, and the leaner
//! client about as much again on a machine that it shares with the database.

use tokio::task::AbortHandle;
use tokio_postgres::{Client, Statement};

use super::request::Fence;
use crate::{StoreError, driver::Database, micros::Micros};

/// How far the clock of another node may be ahead of this one's, in microseconds.
const AHEAD: i64 = 5 * 60 * 1_000_000;

pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) fenced: Statement,
    pub(super) fenced_checked: Statement,
    pub(super) lock_head: Statement,
    pub(super) versions: Statement,
    pub(super) grown: Statement,
    pub(super) known_commands: Statement,
    pub(super) insert: Statement,
    pub(super) move_head: Statement,
    pub(super) claims: Statement,
    pub(super) claims_delete: Statement,
    pub(super) claims_insert: Statement,
    driver: AbortHandle,
}

impl Drop for Connection {
    /// What is still unread on the connection serves nobody.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(super) async fn open(database: &Database) -> Result<(Self, Fence), StoreError> {
        let (client, driver) = database.connect().await?;
        // Every statement here is run thousands of times with arrays of any size: planning each anew gains nothing.
        // An acknowledged append is on disk, whatever the default of this database says. A writer that hangs with the
        // head locked must not stop the other nodes.
        client
            .batch_execute(
                "SET application_name = 'annals writer';
                 SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off;
                 SET idle_in_transaction_session_timeout = '10s';
                 SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') IN ('off', 'local')",
            )
            .await?;
        let prepare = async |sql: &str| client.prepare(sql).await;
        let fence = client.query_one("SELECT position, recorded_at, batch FROM annals.head", &[]).await?;
        let connection = Self {
            fenced: prepare(include_str!("../sql/fenced.sql")).await?,
            fenced_checked: prepare(include_str!("../sql/fenced_checked.sql")).await?,
            lock_head: prepare("SELECT position, recorded_at, batch FROM annals.head FOR UPDATE").await?,
            versions: prepare(include_str!("../sql/versions.sql")).await?,
            grown: prepare(include_str!("../sql/grown.sql")).await?,
            known_commands: prepare(
                "SELECT command_id FROM annals.events WHERE command_id = ANY($1) AND command_index = 0",
            )
            .await?,
            insert: prepare(include_str!("../sql/insert.sql")).await?,
            move_head: prepare("UPDATE annals.head SET position = $1, recorded_at = $2, batch = $3").await?,
            claims: prepare(
                "SELECT key, seat, holder_type, holder_id FROM annals.claims WHERE key = ANY($1)",
            )
            .await?,
            claims_delete: prepare(include_str!("../sql/claims_delete.sql")).await?,
            claims_insert: prepare(include_str!("../sql/claims_insert.sql")).await?,
            client,
            driver,
        };
        let fence = Fence::from_row(&fence)?;
        if fence.recorded_at.0 > Micros::now().0.saturating_add(AHEAD) {
            tracing::error!(
                end = %fence.recorded_at.timestamp()?,
                "the log ends at a moment that has not come yet: what is recorded now is recorded there; either the clock \
                 of this machine is wrong, or somebody has altered the log"
            );
        }
        Ok((connection, fence))
    }
}
