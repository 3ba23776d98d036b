//! Room for what is restored: a database that is marked, has nothing of ours in it, and into which nobody else restores.

use event_store::RESTORING;
use sqlx::{Connection, PgConnection};

use crate::failure::Failure;

/// What is restored into a database. Both may go into one.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// The log.
    Log,
    /// The keys.
    Keys,
}

impl What {
    /// The advisory lock of whoever restores it (an arbitrary number): that of a session, so that it ends with the tool,
    /// however that ends.
    fn lock(self) -> i64 {
        match self {
            What::Log => 0x414e_4e41_4c53_0010,
            What::Keys => 0x414e_4e41_4c53_0011,
        }
    }
}

/// The SQLSTATE `lock_not_available`.
const NOT_AVAILABLE: &str = "55P03";

/// Nobody else restores the same into this database as long as it lives.
pub(super) struct Room {
    _session: PgConnection,
}

/// Marks a database as one that is being restored into. It has nothing of ours in it, but for what an interrupted restore
/// left, which goes; and so does a `pg_restore` that its tool has left behind, and that would go on.
pub(super) async fn make(url: &str, what: What) -> Result<Room, Failure> {
    let mut session = PgConnection::connect(url).await?;
    alone(&mut session, what).await?;
    sqlx::raw_sql(include_str!("../sql/left_behind.sql")).execute(&mut session).await?;
    let schemas: Vec<String> = sqlx::query_scalar(
        "SELECT nspname::text FROM pg_namespace WHERE nspname IN ('annals', 'annals_keys', 'read', $1)",
    )
    .bind(RESTORING)
    .fetch_all(&mut session)
    .await?;
    if !schemas.is_empty() && !schemas.iter().any(|name| name == RESTORING) {
        return Err(Failure::Wrong("the database is not empty: restore into a new one".into()));
    }
    for name in schemas.iter().filter(|name| *name != RESTORING) {
        sqlx::raw_sql(&format!("DROP SCHEMA {name} CASCADE")).execute(&mut session).await?;
    }
    sqlx::raw_sql(&format!("CREATE SCHEMA IF NOT EXISTS {RESTORING}")).execute(&mut session).await?;
    Ok(Room { _session: session })
}

/// Takes the lock. A tool that was killed a moment ago gives it up when the server notices.
async fn alone(session: &mut PgConnection, what: What) -> Result<(), Failure> {
    sqlx::raw_sql("SET lock_timeout = '3s'").execute(&mut *session).await?;
    match sqlx::query("SELECT pg_advisory_lock($1)").bind(what.lock()).execute(&mut *session).await {
        Ok(_) => {}
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NOT_AVAILABLE) => {
            let text = "another restore into this database is under way: begin again when it has ended";
            return Err(Failure::Wrong(text.into()));
        }
        Err(error) => return Err(error.into()),
    }
    sqlx::raw_sql("RESET lock_timeout").execute(session).await?;
    Ok(())
}
