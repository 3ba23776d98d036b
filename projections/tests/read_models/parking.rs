//! Events that a read model cannot fold.

use domain::identity::OrgUnit;
use event_store::StreamId;
use projections::{ProjectionError, Query, State, Status};

use crate::{
    models::{History, Names, Panicking, Unstorable},
    world::*,
};

async fn status(world: &World, name: &str) -> Option<Status> {
    let all = world.projections.status().await.unwrap();
    all.into_iter().rfind(|status| status.name == name)
}

async fn parked(world: &World, name: &str) -> Status {
    let is = async || status(world, name).await.is_some_and(|status| status.state == State::Parked);
    eventually("the read model is parked", is).await;
    status(world, name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_panics_parks_its_read_model_before_the_event_and_stops_no_other() {
    let world = World::of(vec![Panicking::model(), History::model()]).await;
    world.append(unit(1), created("A")).await;
    let poison = world.append(unit(1), renamed("panic")).await;
    let last = world.append(unit(2), created("B")).await;
    world.projections.start();
    world.visible("history", last).await;
    let status = parked(&world, "names").await;
    assert_eq!((status.position, status.lag), (poison - 1, 2));
    assert_eq!(status.reason.as_deref(), Some("a name that panics"));
    // It shows everything up to there.
    let page = world.projections.list("names", &admin(), &Query::default()).await.unwrap();
    assert_eq!((page.position, page.rows.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_postgresql_refuses_park_their_read_model_before_the_event_that_made_them() {
    let world = World::of(vec![Unstorable::model(), History::model()]).await;
    for number in 0..20 {
        world.append(unit(number), created(&format!("U{number}"))).await;
    }
    let poison = world.append(unit(7), renamed("panic")).await;
    let last = world.append(unit(21), created("last")).await;
    world.projections.start();
    world.visible("history", last).await;
    let status = parked(&world, "names").await;
    assert_eq!(status.position, poison - 1);
    assert!(status.reason.unwrap().contains("22021"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_parks_those_that_want_its_type() {
    let world = World::of(vec![Names::model(), History::model()]).await;
    let mut event =
        new_event::<OrgUnit>(StreamId::new("identity.org_unit", unit(1).to_string()), &created("A"));
    event.payload = "{\"OrgUnitCreated\":{\"kind\":\"castle\"}}".into();
    event.personal.clear();
    let position = append_events(&world.store, vec![event]).await;
    world.projections.start();
    for name in ["names", "history"] {
        let status = parked(&world, name).await;
        assert_eq!(status.position, position - 1);
        let reason = status.reason.unwrap();
        assert!(reason.contains("OrgUnitCreated v1") && !reason.contains("castle"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_skips_an_event_on_the_record_and_the_read_model_goes_on() {
    let world = World::of(vec![Panicking::model()]).await;
    world.append(unit(1), created("A")).await;
    let poison = world.append(unit(1), renamed("panic")).await;
    let last = world.append(unit(2), created("B")).await;
    world.projections.start();
    parked(&world, "names").await;
    let wrong = world.projections.skip("names", poison + 1, &admin(), "no").await;
    assert!(matches!(wrong, Err(ProjectionError::WrongState(_))));
    world.projections.skip("names", poison, &admin(), "a joke").await.unwrap();
    world.visible("names", last).await;
    let page = world.projections.list("names", &admin(), &Query::default()).await.unwrap();
    assert_eq!((page.rows.len(), &page.rows[0]["name"]), (2, &"University of A".into()));
    // And so it does in a rebuild.
    let before = world.projections.checksum("names").await.unwrap();
    world.projections.rebuild(&["names"]).await.unwrap();
    assert_eq!(world.projections.checksum("names").await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_program_retries_and_the_read_model_joins_the_others() {
    let world = World::of(vec![Panicking::model(), History::model()]).await;
    world.append(unit(1), renamed("unknown")).await;
    world.append(unit(1), created("A")).await;
    world.append(unit(1), renamed("panic")).await;
    world.projections.start();
    parked(&world, "names").await;
    world.projections.shutdown().await;
    let corrected = world.another(vec![Names::model(), History::model()]);
    corrected.start();
    corrected.retry("names", &admin(), "corrected").await.unwrap();
    let last = world.append(unit(2), created("B")).await;
    assert!(corrected.wait_for("names", last, PATIENCE).await.unwrap());
    eventually("it is in the pack", async || status(&world, "names").await.unwrap().state == State::Live)
        .await;
}
