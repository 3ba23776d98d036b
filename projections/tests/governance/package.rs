//! Packages of a person's data, made of a real log.

use commands::Request;
use domain::{
    Actor,
    governance::{AuditReplay, AuditReplayCommand, ReplayPurpose, ReplayScope},
};
use uuid::Uuid;

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn art_15_a_package_says_for_what_purpose_a_replay_of_their_history_was_read() {
    let world = World::empty().await;
    world.describe(1, "Hello").await;
    let replay = Uuid::from_u128(0xA0D17);
    let open = AuditReplayCommand::OpenAuditReplay {
        purpose: Some(ReplayPurpose::Dispute),
        scope: ReplayScope { subject: Some(student(1)), ..ReplayScope::default() },
        as_of: None,
        decrypt: false,
        reason: "What Bert said of her".into(),
    };
    world.issue::<AuditReplay>(replay, open, Request::by(auditor())).await;
    let read = AuditReplayCommand::RecordReplayRead {
        from_position: 1,
        to_position: 2,
        events: 2,
        subjects: vec![student(1)],
    };
    let edge = Actor { on_behalf_of: auditor().account(), ..Actor::policy("api") };
    world.issue::<AuditReplay>(replay, read, Request::by(edge)).await;
    world.follow().await;
    let made = world.projections.package(&world.package_request().await).await.unwrap();
    let [read] = &made.package.recipients.reads[..] else { panic!("{:?}", made.package.recipients) };
    assert_eq!((&*read.route, read.purpose.as_deref()), ("an audit replay", Some("dispute")));
    assert_eq!(Some(&read.by), auditor().account().map(|officer| officer.to_string()).as_ref());
}
