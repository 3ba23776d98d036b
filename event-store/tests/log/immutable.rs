use event_store::testing;
use sqlx::Executor;

use crate::support::*;

#[tokio::test]
async fn nobody_can_update_delete_or_truncate_the_log_not_even_a_superuser() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    store.append(at(&stream("one"), 0)).await.unwrap();
    let before = whole_log(&store).await;
    let mut superuser = database.connect().await;
    for preparation in ["SELECT", "SET session_replication_role = replica"] {
        superuser.execute(preparation).await.unwrap();
        for statement in [
            "UPDATE annals.events SET payload = '{}'",
            "UPDATE annals.events SET payload = '{}' WHERE false",
            "DELETE FROM annals.events",
            "TRUNCATE annals.events",
            "INSERT INTO annals.events SELECT * FROM annals.events ON CONFLICT (position) DO UPDATE SET payload = '{}'",
            "DELETE FROM annals.head",
            "TRUNCATE annals.head",
        ] {
            let error = superuser.execute(statement).await.expect_err(statement);
            assert!(error.to_string().contains("append-only"), "{statement}: {error}");
        }
    }
    assert_eq!(whole_log(&store).await, before);
}

#[tokio::test]
async fn several_nodes_can_start_at_once_on_an_empty_database() {
    let database = testing::database().await;
    let opening = (0..4).map(|_| database.store());
    let stores = futures_util::future::try_join_all(opening).await.unwrap();
    for (index, store) in stores.iter().enumerate() {
        assert_eq!(store.append(at(&stream("one"), index as u64)).await.unwrap().position, index as u64 + 1);
    }
    let heads = futures_util::future::try_join_all(stores.iter().map(|store| store.head())).await.unwrap();
    assert!(heads.iter().all(|head| *head == heads[0] && head.position == 4));
}
