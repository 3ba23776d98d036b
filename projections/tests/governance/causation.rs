//! Causation chains.

use domain::{Actor, identity::Profile, intelligence::Decision};
use event_store::AsOf;
use uuid::Uuid;

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_leads_up_to_what_a_person_did_and_down_to_what_came_of_it() {
    let world = World::campus().await;
    let described = world.version::<Profile>(student(5), 2).await;
    let decided = world.version::<Decision>(decision(5), 1).await;
    let observed = world.version::<Decision>(decision(5), 2).await;
    // Before and after anything is folded.
    for folded in [false, true] {
        if folded {
            world.follow().await;
        }
        let chain =
            world.projections.causation_chain(&auditor(), decided.event_id, None).await.unwrap().unwrap();
        let ids = |entries: &[projections::governance::Entry]| {
            entries.iter().map(|entry| entry.event_id).collect::<Vec<Uuid>>()
        };
        assert_eq!(ids(&chain.causes), [described.event_id]);
        assert_eq!(chain.event.event_id, decided.event_id);
        assert_eq!(ids(&chain.consequences), [observed.event_id]);
        assert!(!chain.truncated);
        assert_eq!(chain.subjects, [student(5)].into());
        let last =
            world.projections.causation_chain(&auditor(), observed.event_id, None).await.unwrap().unwrap();
        assert_eq!(ids(&last.causes), [described.event_id, decided.event_id]);
        assert!(last.consequences.is_empty());
        let first =
            world.projections.causation_chain(&auditor(), described.event_id, None).await.unwrap().unwrap();
        assert_eq!(ids(&first.consequences), [decided.event_id, observed.event_id], "and what came of that");
        assert!(first.causes.is_empty() && !first.truncated);
    }
    let then = Some(AsOf::Position(decided.position));
    let chain = world.projections.causation_chain(&auditor(), decided.event_id, then).await.unwrap().unwrap();
    assert!(chain.consequences.is_empty());
    let then = Some(AsOf::Position(decided.position - 1));
    assert_eq!(world.projections.causation_chain(&auditor(), decided.event_id, then).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_for_those_who_may_see_its_event() {
    let world = World::campus().await;
    world.follow().await;
    let decided = world.version::<Decision>(decision(5), 1).await;
    let own = Actor::user(student(5), &["student"]);
    let chain = world.projections.causation_chain(&own, decided.event_id, None).await.unwrap().unwrap();
    assert_eq!((chain.causes.len(), chain.consequences.len()), (1, 1));
    let other = Actor::user(student(6), &["student"]);
    assert_eq!(world.projections.causation_chain(&other, decided.event_id, None).await.unwrap(), None);
    assert_eq!(world.projections.causation_chain(&auditor(), Uuid::now_v7(), None).await.unwrap(), None);
}
