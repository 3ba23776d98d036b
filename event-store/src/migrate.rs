//! Brings a schema up to date. Several nodes may start at the same moment.

use std::borrow::Cow;

use sqlx::{
    Connection, Executor, PgConnection,
    migrate::{Migration, MigrationType, Migrator},
    postgres::PgConnectOptions,
};

use crate::StoreError;

/// A numbered step: version, what it is about, SQL. Never changed once released.
pub type Step = (i64, &'static str, &'static str);

/// The log: `annals`.
pub const LOG: &[Step] = &[
    (1, "log", include_str!("../../migrations/0001_log.sql")),
    (10, "projections", include_str!("../../migrations/0010_projections.sql")),
    (20, "policies", include_str!("../../migrations/0020_policies.sql")),
    (30, "audit trail", include_str!("../../migrations/0030_audit_trail.sql")),
    (60, "rollback", include_str!("../../migrations/0060_rollback.sql")),
    (70, "signs", include_str!("../../migrations/0070_signs.sql")),
    (110, "calls", include_str!("../../migrations/0110_calls.sql")),
    (120, "api usage", include_str!("../../migrations/0120_api_usage.sql")),
    (130, "archives followed", include_str!("../../migrations/0130_archives_followed.sql")),
    (131, "signs counted", include_str!("../../migrations/0131_signs_counted.sql")),
    (140, "purposes", include_str!("../../migrations/0140_purposes.sql")),
    (150, "security keys claimed", include_str!("../../migrations/0150_security_keys_claimed.sql")),
    (160, "bound", include_str!("../../migrations/0160_bound.sql")),
    (170, "only reading", include_str!("../../migrations/0170_only_reading.sql")),
];

/// The keys: `annals_keys`.
pub const KEYS: &[Step] = &[
    (2, "keys", include_str!("../../migrations/0002_keys.sql")),
    (71, "archive", include_str!("../../migrations/0071_archive.sql")),
    (80, "shredded keys", include_str!("../../migrations/0080_shredded_keys.sql")),
    (82, "scrubbed keys", include_str!("../../migrations/0082_scrubbed_keys.sql")),
    (161, "key store", include_str!("../../migrations/0161_key_store.sql")),
];

/// Serialises migrations of all nodes and schemas of one database (an arbitrary number).
const LOCK: i64 = 0x616e_6e61_6c73;

/// Applies the steps that `schema` does not have yet; each schema remembers its own.
///
/// # Errors
/// When the database cannot be reached, a step fails, or a released step was changed.
pub async fn run(
    database: &PgConnectOptions,
    schema: &'static str,
    steps: &[Step],
) -> Result<(), StoreError> {
    let mut connection = PgConnection::connect_with(database).await?;
    // Held until the connection ends, and so also when this process is killed.
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await?;
    connection.execute(&*format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await?;
    // sqlx keeps its table of applied steps in the first schema of the search path: each schema has its own.
    connection.execute(&*format!("SET search_path = {schema}")).await?;
    let migrations = steps
        .iter()
        .map(|&(version, about, sql)| {
            Migration::new(version, Cow::Borrowed(about), MigrationType::Simple, Cow::Borrowed(sql), false)
        })
        .collect();
    let migrator = Migrator { migrations: Cow::Owned(migrations), locking: false, ..Migrator::DEFAULT };
    migrator.run_direct(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
