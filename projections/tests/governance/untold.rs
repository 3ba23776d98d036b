//! What the law forbids to tell a person (34 CFR 99.31(a)(9)(ii)).

use commands::Request;
use domain::{
    Actor, Stated,
    governance::{
        AccessLog, AccessLogCommand, Disclosure, DisclosureCommand, PartyKind, PrivacyRegime,
        PrivacyRequestType,
    },
};
use jiff::Timestamp;
use projections::governance::PackageRequest;
use uuid::Uuid;

use crate::world::*;

const TOLD: Uuid = Uuid::from_u128(0xD1);
const SECRET: Uuid = Uuid::from_u128(0xD2);

/// A disclosure to a school, and one of which the student is not told; an officer has read the record of each.
async fn disclosed(world: &World) {
    for (id, basis, party_kind) in
        [(TOLD, "99.31(a)(2)", PartyKind::OtherSchool), (SECRET, "99.31(a)(9)(ii)(A)", PartyKind::Court)]
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
        let read = AccessLogCommand::LogAccess {
            actor: Some(Uuid::from_u128(0xC0)),
            route: "/v1/disclosures/{id}".into(),
            resource: format!("/v1/disclosures/{}", id.to_string().to_uppercase()),
            subjects: vec![student(1)],
            purpose: None,
            ip: Stated("192.0.2.1".into()),
            user_agent: Stated("curl".into()),
        };
        let edge = Request::by(Actor::policy("access_log"));
        world.issue::<AccessLog>(Uuid::now_v7(), read, edge).await;
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
    assert_eq!(counted(Actor::user(student(1), &["student"])).await, (1, requested, 1));
    let (events, last, reads) = counted(auditor()).await;
    assert!((events, reads) == (2, 2) && last > requested, "the office knows");
}

#[tokio::test(flavor = "multi_thread")]
async fn ferpa_99_31_a_9_ii_a_package_does_not_say_who_read_the_record_of_what_is_not_told() {
    let world = World::empty().await;
    disclosed(&world).await;
    let request = PackageRequest {
        request: Uuid::from_u128(0x9E),
        subject: student(1),
        regime: PrivacyRegime::Gdpr,
        r#type: PrivacyRequestType::Access,
        classes: vec![],
        refused: vec![],
        note: None,
        position: world.store.head().await.unwrap().position,
        approved_at: Timestamp::now(),
        attached: None,
        completed: false,
    };
    let made = world.projections.package(&request).await.unwrap();
    let reads: Vec<&str> = made.package.recipients.reads.iter().map(|read| read.resource.as_str()).collect();
    assert_eq!(reads, [format!("/v1/disclosures/{}", TOLD.to_string().to_uppercase())]);
    assert_eq!(made.package.recipients.disclosures.len(), 1);
}
