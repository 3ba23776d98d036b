//! What is looked for after a destruction, and what follows when something is found.

use super::*;

/// Has Anna erased and the time of the check come; gives what was found, and the incidents.
async fn checked(residue: u64) -> (Vec<Value>, Vec<Value>) {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let mut node = Node::start_with(store, Arc::new(PlainCertifier), residue);
    node.headline(ANNA).await;
    node.shred(ANNA, &[RecordClass::Profile]).await.unwrap();
    node.settled().await;
    let pool = node.commands.store().pool().clone();
    let due = "UPDATE annals.timers SET due_at = now() WHERE policy = 'check_residue'
               RETURNING (extract(epoch FROM due_at) * 1000000)::bigint";
    let within =
        "SELECT due_at < now() + interval '24 hours' FROM annals.timers WHERE policy = 'check_residue'";
    assert!(sqlx::query_scalar::<_, bool>(within).fetch_one(&pool).await.unwrap(), "within a day");
    sqlx::query_scalar::<_, i64>(due).fetch_one(&pool).await.unwrap();
    let mut head = node.commands.store().subscribe_head();
    let found = async {
        while node.events("KeyResidueChecked").await.is_empty() {
            head.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.unwrap();
    node.settled().await;
    let fields = |events: Vec<(String, Value)>| events.into_iter().map(|(_, fields)| fields).collect();
    (fields(node.events("KeyResidueChecked").await), fields(node.events("SecurityIncidentOpened").await))
}

#[tokio::test]
async fn p_58_what_is_found_after_a_destruction_is_a_breach() {
    let (checks, incidents) = checked(2).await;
    assert_eq!((checks.len(), &checks[0]["residue"]), (1, &json!(2)));
    assert_eq!((incidents.len(), &incidents[0]["kind"]), (1, &json!("data_breach")));
}

#[tokio::test]
async fn p_58_where_nothing_is_found_that_is_put_on_record_and_nothing_else() {
    let (checks, incidents) = checked(0).await;
    assert_eq!((checks.len(), &checks[0]["residue"], incidents.len()), (1, &json!(0), 0));
}
