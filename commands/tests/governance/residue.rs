//! What is looked for after a destruction, and what follows when something is found.

use super::*;

/// Has these classes of Anna's erased, one by one, and the time of the checks come; gives what was found, and the incidents.
async fn checked(classes: &[RecordClass], residue: u64) -> (Vec<Value>, Vec<Value>) {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let mut node = Node::start_with(store, Arc::new(PlainCertifier), residue);
    node.headline(ANNA).await;
    for class in classes {
        node.shred(ANNA, &[*class]).await.unwrap();
    }
    node.settled().await;
    let pool = node.commands.store().pool().clone();
    let due = "UPDATE annals.timers SET due_at = now() WHERE policy = 'check_residue'";
    let within =
        "SELECT max(due_at) < now() + interval '24 hours' FROM annals.timers WHERE policy = 'check_residue'";
    assert!(sqlx::query_scalar::<_, bool>(within).fetch_one(&pool).await.unwrap(), "within a day");
    let due = sqlx::query(due).execute(&pool).await.unwrap();
    assert_eq!(due.rows_affected(), classes.len() as u64);
    until(&node, "KeyResidueChecked", classes.len()).await;
    node.settled().await;
    let fields = |events: Vec<(String, Value)>| events.into_iter().map(|(_, fields)| fields).collect();
    (fields(node.events("KeyResidueChecked").await), fields(node.events("SecurityIncidentOpened").await))
}

#[tokio::test]
async fn p_58_what_is_found_after_a_destruction_is_a_breach() {
    let (checks, incidents) = checked(&[RecordClass::Profile], 2).await;
    assert_eq!((checks.len(), &checks[0]["residue"]), (1, &json!(2)));
    assert_eq!((incidents.len(), &incidents[0]["kind"]), (1, &json!("data_breach")));
}

#[tokio::test]
async fn p_58_where_nothing_is_found_that_is_put_on_record_and_nothing_else() {
    let (checks, incidents) = checked(&[RecordClass::Profile], 0).await;
    assert_eq!((checks.len(), &checks[0]["residue"], incidents.len()), (1, &json!(0), 0));
}

#[tokio::test]
async fn p_58_what_is_found_after_one_erasure_is_one_breach_whatever_classes_it_was_of() {
    let classes = [RecordClass::Profile, RecordClass::Communication, RecordClass::Device];
    let (checks, incidents) = checked(&classes, 2).await;
    assert_eq!((checks.len(), incidents.len()), (3, 1));
    assert_eq!(incidents[0]["kind"], "data_breach");
}
