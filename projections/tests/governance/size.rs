//! How much the index of the log adds to the log.

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_index_is_small_beside_the_log() {
    let world = World::campus().await;
    world.follow().await;
    let sizes = "SELECT (SELECT count(*) FROM log_index_v2_g1.log_index),
        (SELECT sum(pg_column_size(i.*)) FROM log_index_v2_g1.log_index i),
        (SELECT sum(pg_column_size(e.*)) FROM annals.events e), (SELECT count(*) FROM annals.events)";
    let (rows, index, log, events): (i64, i64, i64, i64) =
        sqlx::query_as(sizes).fetch_one(world.store.pool()).await.unwrap();
    println!("{rows} rows of {index} B for {events} events of {log} B");
    assert!(rows < 4 * events, "{rows} rows for {events} events");
    assert!(index < log / 2, "{index} B beside {log} B");
}
