//! The follower's and the rebuilds' own connections.
//!
//! They are tokio-postgres connections: all loads of a batch travel together and so do all its writes with the commit, so
//! that a batch that touches ten read models waits for two round trips and not for thirty. sqlx sends one statement at a
//! time. The queries of the API go through the store's sqlx pool.

use std::{collections::HashMap, future::Future, pin::pin, task::Poll};

use event_store::Database;
use futures_util::future::{MaybeDone, maybe_done};
use tokio::task::AbortHandle;
use tokio_postgres::{Client, Statement, types::ToSql};

use super::{Parcel, read_row, seal::StoredSealed};
use crate::{error::ProjectionError, row::WrongKind, table::Shape};

pub(crate) struct Connection {
    pub(crate) client: Client,
    prepared: HashMap<String, Statement>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects. What is written here can be folded again from the log, so a commit does not wait for the disk; the
    /// checkpoint goes with the rows.
    pub(crate) async fn open(database: &Database, name: &str) -> Result<Self, tokio_postgres::Error> {
        let (client, driver) = database.connect().await?;
        let connection = Connection { client, prepared: HashMap::new(), driver };
        // Statements are run thousands of times with arrays of any size over tables that had no rows when the statement
        // was prepared: every plan but "look each key up in the index" is a bad one.
        let settings = "SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan;
             SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET jit = off";
        connection.client.batch_execute(settings).await?;
        let label = format!("SET application_name = 'annals {name}'");
        connection.client.batch_execute(&label).await?;
        Ok(connection)
    }

    /// Prepares a statement once in the life of the connection.
    pub(crate) async fn prepare(&mut self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Parameters as the driver takes them.
pub(crate) fn by_reference(params: &Parcel) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

/// The rows with these keys.
pub(crate) async fn load_rows(
    client: &Client,
    shape: &Shape,
    load: &Statement,
    keys: &Parcel,
) -> Result<Vec<StoredSealed>, ProjectionError> {
    read_rows(shape, &client.query(load, &by_reference(keys)).await?)
}

/// Rows of all columns in the order of the table.
pub(crate) fn read_rows(
    shape: &Shape,
    rows: &[tokio_postgres::Row],
) -> Result<Vec<StoredSealed>, ProjectionError> {
    let read = |row: &tokio_postgres::Row| {
        read_row(shape, |column| row.try_get(column).map_err(|_| WrongKind("column")))
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// Runs futures side by side, each time polled in their order: tokio-postgres sends what is polled first first, so the
/// statements reach the server in this order without waiting for one another's answers.
pub(crate) async fn in_order<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| Box::pin(maybe_done(future))).collect();
    let all = std::future::poll_fn(|context| {
        let mut ready = true;
        for future in &mut futures {
            if !matches!(**future, MaybeDone::Done(_)) {
                ready &= future.as_mut().poll(context).is_ready();
            }
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    });
    pin!(all).await;
    futures.iter_mut().filter_map(|future| future.as_mut().take_output()).collect()
}
