//! A PostgreSQL that was started just now, brought to where one is that has been at work.

use sqlx::PgPool;

/// Brings the write-ahead log to where it is on a server that has been at work: files from earlier checkpoints are used
/// again. A new server fills each file with zeros first, which stops everybody for some 50 ms every 16 MiB.
pub async fn settle(pool: &PgPool) {
    let write =
        "SELECT pg_logical_emit_message(false, 'settle', repeat('x', 1 << 20)) FROM generate_series(1, 2000)";
    sqlx::query(write).execute(pool).await.unwrap();
    rest(pool).await;
}

/// Has the server write out what it owes, so that nobody pays for what was measured before.
pub async fn rest(pool: &PgPool) {
    sqlx::query("CHECKPOINT").execute(pool).await.unwrap();
}
