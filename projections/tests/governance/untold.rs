//! What the law forbids to tell a person (34 CFR 99.31(a)(9)(ii)).

use commands::Request;
use domain::{
    Actor, Stated,
    governance::{AccessLog, AccessLogCommand, Disclosure, DisclosureCommand, PartyKind},
};
use jiff::Timestamp;
use projections::governance::{AuditFilters, AuditQuery, Entry, Order};
use uuid::Uuid;

use crate::world::*;

const TOLD: Uuid = Uuid::from_u128(0xD1);
const SECRET: Uuid = Uuid::from_u128(0xD2);

/// One of which the student is not told, and then a disclosure to a school; an officer has read the record of each, and the
/// list after each.
async fn disclosed(world: &World) {
    for (id, basis, party_kind) in
        [(SECRET, "99.31(a)(9)(ii)(A)", PartyKind::Court), (TOLD, "99.31(a)(2)", PartyKind::OtherSchool)]
    {
        let request = DisclosureCommand::RequestDisclosure {
            subject: student(1),
            party: Stated("Acme".into()),
            party_kind,
            records: vec!["transcript".into()],
            interest: "Theirs".into(),
            basis: basis.into(),
            redisclosure_to: vec![],
            address: None,
        };
        world.issue::<Disclosure>(id, request, Request::by(auditor())).await;
        let path = format!("/v1/disclosures/{}", id.to_string().to_uppercase());
        let requested = world.version::<Disclosure>(id, 1).await.event_id;
        let event = format!("/v1/audit/events/{requested}");
        for (route, resource) in [
            ("/v1/disclosures/{id}", &*path),
            ("/v1/audit/events/{id}", &event),
            ("/v1/disclosures", "/v1/disclosures"),
        ] {
            let read = AccessLogCommand::LogAccess {
                actor: Some(Uuid::from_u128(0xC0)),
                route: route.into(),
                resource: resource.into(),
                subjects: vec![student(1)],
                purpose: None,
                ip: Stated("192.0.2.1".into()),
                user_agent: Stated("curl".into()),
            };
            let edge = Request::by(Actor::policy("access_log"));
            world.issue::<AccessLog>(Uuid::now_v7(), read, edge).await;
        }
    }
    world.follow().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ferpa_99_31_a_9_ii_an_inventory_counts_for_the_person_only_what_they_may_be_told() {
    let world = World::empty().await;
    disclosed(&world).await;
    let counted = async |actor: Actor| {
        let inventory = world.projections.inventory(&actor, student(1)).await.unwrap();
        let disclosures = inventory.holdings.iter().filter(|held| held.aggregate == "governance.disclosure");
        let (events, last) = disclosures
            .fold((0, Timestamp::MIN), |(events, last), held| (events + held.events, last.max(held.last)));
        (events, last, inventory.reads)
    };
    let requested = world.version::<Disclosure>(TOLD, 1).await.recorded_at;
    assert_eq!(counted(Actor::user(student(1), &["student"])).await, (1, requested, 3));
    let (events, last, reads) = counted(auditor()).await;
    assert!((events, reads) == (2, 6) && last == requested, "the office knows");
}

#[tokio::test(flavor = "multi_thread")]
async fn ferpa_99_31_a_9_ii_a_package_does_not_say_who_read_the_record_of_what_is_not_told() {
    let world = World::empty().await;
    disclosed(&world).await;
    let request = world.package_request().await;
    let made = world.projections.package(&request).await.unwrap();
    let reads: Vec<&str> = made.package.recipients.reads.iter().map(|read| read.resource.as_str()).collect();
    let requested = world.version::<Disclosure>(TOLD, 1).await.event_id;
    let told = [
        format!("/v1/disclosures/{}", TOLD.to_string().to_uppercase()),
        format!("/v1/audit/events/{requested}"),
        "/v1/disclosures".to_owned(),
    ];
    assert_eq!(reads, told);
    assert_eq!(made.package.recipients.disclosures.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ferpa_99_31_a_9_ii_their_own_trail_does_not_tell_that_somebody_read_what_is_not_told() {
    let world = World::empty().await;
    disclosed(&world).await;
    let reads = async |actor: Actor| {
        let filters = AuditFilters { actions: vec!["AccessLogged".into()], ..AuditFilters::default() };
        let asked = AuditQuery { filters, order: Order::OldestFirst, ..AuditQuery::default() };
        world.projections.audit(&actor, &asked).await.unwrap().entries
    };
    let own = Actor::user(student(1), &["student"]);
    let (shown, all) = (reads(own.clone()).await, reads(auditor()).await);
    assert_eq!((shown.len(), all.len()), (3, 6));
    let positions = |entries: &[Entry]| entries.iter().map(|entry| entry.position).collect::<Vec<_>>();
    assert_eq!(positions(&shown), positions(&all[3..]));
    let untold = world.projections.causation_chain(&own, all[2].event_id, None).await.unwrap();
    assert!(untold.is_none(), "nor by its id");
}
