//! Clocks follow from the log: what somebody has taken away from the table of timers stands again when policies start.

use super::*;

/// A timer: its id, policy, time, command and what it follows from. Those that stand for every class follow from nothing.
type Standing = (Uuid, String, i64, String, Uuid, Uuid);

async fn standing(store: &EventStore) -> Vec<Standing> {
    let timers = "SELECT id, policy, (extract(epoch FROM due_at) * 1000000)::bigint, command::text, causation_id, correlation_id
                  FROM annals.timers WHERE policy <> 'schedule_retention' ORDER BY policy, id";
    sqlx::query_as(timers).fetch_all(store.pool()).await.unwrap()
}

/// All timers are gone, and another node runs the policies.
async fn loses_its_timers(node: Node, store: &EventStore) -> Node {
    drop(node);
    sqlx::query("DELETE FROM annals.timers").execute(store.pool()).await.unwrap();
    let mut node = Node::start(store.clone()).await;
    node.settled().await;
    node
}

#[tokio::test]
async fn timers_that_were_taken_away_stand_again_when_policies_start_unless_they_were_issued() {
    let database = testing::database().await;
    let store = database.store().await.unwrap();
    let mut node = Node::start(store.clone()).await;
    node.headline(ANNA).await;
    let open: AuditReplayCommand = serde_json::from_value(json!({ "OpenAuditReplay": {
        "purpose": "self_test", "scope": {}, "as_of": null, "decrypt": false, "reason": "to see that it closes" } }))
    .unwrap();
    node.commands.execute::<AuditReplay>(Uuid::now_v7(), open, &compliance()).await.unwrap();
    let open: PrivacyRequestCommand = serde_json::from_value(json!({ "OpenPrivacyRequest": {
        "subject": ANNA, "regime": "gdpr", "type": "erasure", "classes": ["profile"] } }))
    .unwrap();
    let own = Request::by(Actor::user(ANNA, &["student"]));
    node.commands.execute::<PrivacyRequest>(Uuid::now_v7(), open, &own).await.unwrap();
    let open: SecurityIncidentCommand = serde_json::from_value(json!({ "OpenSecurityIncident": {
        "kind": "data_breach", "severity": "high", "summary": "A list was lost", "evidence": [] } }))
    .unwrap();
    node.commands.execute::<SecurityIncident>(Uuid::now_v7(), open, &compliance()).await.unwrap();
    node.shred(ANNA, &[RecordClass::Profile]).await.unwrap();
    node.settled().await;
    let before = standing(&store).await;
    let mut policies: Vec<&str> = before.iter().map(|timer| &*timer.1).collect();
    policies.dedup();
    assert_eq!(policies, ["check_residue", "close_replays", "escalate_requests", "watch_incidents"]);

    let node = loses_its_timers(node, &store).await;
    assert_eq!(standing(&store).await, before);

    let due = "UPDATE annals.timers SET due_at = now() WHERE policy = 'check_residue'";
    sqlx::query(due).execute(store.pool()).await.unwrap();
    until(&node, "KeyResidueChecked", 1).await;
    let node = loses_its_timers(node, &store).await;
    let left: Vec<Standing> = before.into_iter().filter(|timer| timer.1 != "check_residue").collect();
    assert_eq!(standing(&store).await, left);
    assert_eq!(node.events("KeyResidueChecked").await.len(), 1);
}
