//! Commands against a real log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use commands::{Accepted, CommandError, Commands, Expected, NoAnswers, Request, Sourced, stream};
use cqrs_es::{EventStore as _, persist::PersistedEventStore};
use domain::{
    Actor, RecordClass,
    governance::{
        ConsentLedger, ConsentLedgerCommand, ConsentPurpose, RetentionAction, RetentionPolicy,
        RetentionPolicyCommand, RetentionStart, retention_policy_id,
    },
    identity::{OrgKind, OrgType, OrgUnit, OrgUnitCommand},
};
use event_store::{Condition, EventStore, testing};
use postgres_es::PostgresEventRepository;
use uuid::Uuid;

async fn world() -> (Commands, testing::TestDatabase) {
    let database = testing::database().await;
    let store = EventStore::open(database.config()).await.unwrap();
    (Commands::new(store, Arc::new(NoAnswers), 1000), database)
}

fn admin() -> Request {
    Request::by(Actor::user(Uuid::from_u128(1), &["admin"]))
}

fn create(code: &str) -> OrgUnitCommand {
    OrgUnitCommand::CreateOrgUnit {
        kind: OrgKind::Institution,
        code: code.into(),
        name: "Pittsburg State University".into(),
        r#type: OrgType::University,
        parent: None,
        country: "US".into(),
        city: None,
        website: None,
        contact_email: Some(domain::Stated("registrar@example.edu".into())),
    }
}

fn rename(name: &str) -> OrgUnitCommand {
    OrgUnitCommand::ReviseOrgUnit {
        name: Some(name.into()),
        r#type: None,
        city: None,
        website: None,
        contact_email: None,
    }
}

#[tokio::test]
async fn an_accepted_command_is_in_the_log_and_answers_its_position() {
    let (commands, _database) = world().await;
    let id = Uuid::now_v7();
    let accepted = commands.execute::<OrgUnit>(id, create("PSU"), &admin()).await.unwrap();
    assert_eq!(
        accepted,
        Accepted { id, version: 1, position: 1, repeated: false, created: true, recorded: true }
    );
    assert_eq!(commands.store().head().await.unwrap().position, 1);
}

#[tokio::test]
async fn a_repeat_under_the_same_key_is_answered_with_the_first_outcome() {
    let (commands, _database) = world().await;
    let (id, key) = (Uuid::now_v7(), Uuid::now_v7());
    let first =
        commands.execute::<OrgUnit>(id, create("PSU"), &admin().under(key, Some([1; 32]))).await.unwrap();
    commands.execute::<OrgUnit>(id, rename("Another"), &admin()).await.unwrap();
    let again =
        commands.execute::<OrgUnit>(id, create("PSU"), &admin().under(key, Some([1; 32]))).await.unwrap();
    assert_eq!(again, Accepted { repeated: true, recorded: false, ..first });
    assert_eq!(commands.store().head().await.unwrap().position, 2);
}

#[tokio::test]
async fn a_repeatable_command_that_would_be_accepted_again_is_still_recorded_once() {
    let (commands, _database) = world().await;
    let (id, key) = (Uuid::now_v7(), Uuid::now_v7());
    commands.execute::<OrgUnit>(id, create("PSU"), &admin()).await.unwrap();
    let renaming = || admin().under(key, Some([1; 32]));
    let first = commands.execute::<OrgUnit>(id, rename("Gus"), &renaming()).await.unwrap();
    let again = commands.execute::<OrgUnit>(id, rename("Gus"), &renaming()).await.unwrap();
    assert_eq!((first.version, again.version, again.repeated), (2, 2, true));
}

#[tokio::test]
async fn a_key_that_is_reused_for_something_else_is_refused() {
    let (commands, _database) = world().await;
    let (id, key) = (Uuid::now_v7(), Uuid::now_v7());
    commands.execute::<OrgUnit>(id, create("PSU"), &admin().under(key, Some([1; 32]))).await.unwrap();
    let reused = commands.execute::<OrgUnit>(id, create("KSU"), &admin().under(key, Some([2; 32]))).await;
    assert!(matches!(reused, Err(CommandError::IdempotencyConflict)), "{reused:?}");
}

#[tokio::test]
async fn idn_s4_what_the_right_of_a_caller_was_read_from_is_a_condition_of_what_they_record() {
    let (commands, database) = world().await;
    let store = EventStore::open(database.config()).await.unwrap();
    let elsewhere = Commands::new(store, Arc::new(NoAnswers), 1000);
    let (right, id) = (Uuid::now_v7(), Uuid::now_v7());
    commands.execute::<OrgUnit>(right, create("PSU"), &admin()).await.unwrap();
    let on = |version| Condition { stream: stream::<OrgUnit>(right), version };
    let resting = |version| Request { rests_on: vec![on(version)], ..admin() };
    let key = Uuid::now_v7();
    let first = commands.execute::<OrgUnit>(id, create("KSU"), &resting(1).under(key, None)).await.unwrap();
    assert!(first.recorded);
    // Known by heart here, and other than it was since another node wrote.
    elsewhere.execute::<OrgUnit>(right, rename("Gus"), &admin()).await.unwrap();
    for _ in 0..2 {
        let outdated = commands.execute::<OrgUnit>(id, rename("Gus"), &resting(1)).await;
        assert!(matches!(outdated, Err(CommandError::Outdated)), "{outdated:?}");
        // The same where it is written itself.
        let outdated = commands.execute::<OrgUnit>(right, rename("Pitt"), &resting(1)).await;
        assert!(matches!(outdated, Err(CommandError::Outdated)), "{outdated:?}");
    }
    assert_eq!(commands.store().head().await.unwrap().position, 3, "nothing of it was recorded");
    let again = commands.execute::<OrgUnit>(id, create("KSU"), &resting(1).under(key, None)).await.unwrap();
    assert_eq!(again, Accepted { repeated: true, recorded: false, ..first });
    assert!(commands.execute::<OrgUnit>(id, rename("Gus"), &resting(2)).await.unwrap().recorded);
    assert!(commands.execute::<OrgUnit>(right, rename("Pitt"), &resting(2)).await.unwrap().recorded);
    // What has not begun is a right as well.
    let unbegun = Condition { stream: stream::<OrgUnit>(Uuid::now_v7()), version: 0 };
    let resting = Request { rests_on: vec![unbegun], ..admin() };
    assert!(commands.execute::<OrgUnit>(id, rename("Pitt"), &resting).await.unwrap().recorded);
}

#[tokio::test]
async fn a_taken_claim_is_refused_in_the_aggregates_own_words() {
    let (commands, _database) = world().await;
    commands.execute::<OrgUnit>(Uuid::now_v7(), create("PSU"), &admin()).await.unwrap();
    let taken = commands.execute::<OrgUnit>(Uuid::now_v7(), create("PSU"), &admin()).await;
    assert!(matches!(taken, Err(CommandError::Refused { code: "CodeTaken", .. })), "{taken:?}");
}

#[tokio::test]
async fn a_stale_if_match_is_refused_and_changes_nothing() {
    let (commands, _database) = world().await;
    let id = Uuid::now_v7();
    commands.execute::<OrgUnit>(id, create("PSU"), &admin()).await.unwrap();
    commands.execute::<OrgUnit>(id, rename("Gus"), &admin()).await.unwrap();
    let stale = Request { expected_version: Some(Expected::OneOf(vec![1])), ..admin() };
    let refused = commands.execute::<OrgUnit>(id, rename("Gorilla"), &stale).await;
    assert!(matches!(refused, Err(CommandError::PreconditionFailed { current: 2 })), "{refused:?}");
}

#[tokio::test]
async fn a_command_for_whatever_is_there_makes_nothing_new() {
    let (commands, _database) = world().await;
    let any = Request { expected_version: Some(Expected::Any), ..admin() };
    let id = Uuid::now_v7();
    let refused = commands.execute::<OrgUnit>(id, create("PSU"), &any).await;
    assert!(matches!(refused, Err(CommandError::PreconditionFailed { current: 0 })), "{refused:?}");
    commands.execute::<OrgUnit>(id, create("PSU"), &admin()).await.unwrap();
    let any = Request { expected_version: Some(Expected::Any), ..admin() };
    assert_eq!(commands.execute::<OrgUnit>(id, rename("Gus"), &any).await.unwrap().version, 2);
}

#[tokio::test]
async fn a_command_to_nothing_is_not_found_and_one_without_permission_forbidden() {
    let (commands, _database) = world().await;
    let nothing = commands.execute::<OrgUnit>(Uuid::now_v7(), rename("Gus"), &admin()).await;
    assert!(matches!(nothing, Err(CommandError::NotFound(_))), "{nothing:?}");
    let stranger = Request::by(Actor::user(Uuid::from_u128(2), &["student"]));
    let forbidden = commands.execute::<OrgUnit>(Uuid::now_v7(), create("PSU"), &stranger).await;
    assert!(matches!(forbidden, Err(CommandError::Forbidden)), "{forbidden:?}");
}

#[tokio::test]
async fn the_owner_is_told_that_there_is_none_and_others_cannot_tell() {
    let (commands, _database) = world().await;
    let (ada, ben) = (Uuid::from_u128(0xADA), Uuid::from_u128(0xBE));
    let by = |person| Request::by(Actor::user(person, &["student"]));
    let purpose = ConsentPurpose::Analytics;
    let grant = || ConsentLedgerCommand::GrantConsent {
        purpose,
        text_version: "1".into(),
        text_hash: "0".repeat(64),
        until: None,
    };
    let withdraw = || ConsentLedgerCommand::WithdrawConsent { purpose };
    commands.execute::<ConsentLedger>(ada, grant(), &by(ada)).await.unwrap();
    let eve = by(Uuid::from_u128(0xE));
    for (whose, has) in [(ada, true), (ben, false)] {
        for expected_version in [None, Some(0), Some(1)] {
            let expected_version = expected_version.map(|version| Expected::OneOf(vec![version]));
            for command in [grant(), withdraw()] {
                let request = Request { expected_version: expected_version.clone(), ..eve.clone() };
                let told = commands.execute::<ConsentLedger>(whose, command, &request).await;
                assert!(matches!(told, Err(CommandError::Forbidden)), "{has} {expected_version:?}: {told:?}");
            }
        }
    }
    let own = Request { owner: Some(ben), ..by(ben) };
    let none = commands.execute::<ConsentLedger>(ben, withdraw(), &own).await;
    assert!(matches!(none, Err(CommandError::NotFound(_))), "{none:?}");
}

#[tokio::test]
async fn racing_writers_on_two_nodes_lose_nothing_and_are_never_falsely_refused() {
    let (one, database) = world().await;
    let store = EventStore::open(database.config()).await.unwrap();
    let two = Commands::new(store, Arc::new(NoAnswers), 1000);
    let id = Uuid::now_v7();
    one.execute::<OrgUnit>(id, create("PSU"), &admin()).await.unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let node = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move {
                node.execute::<OrgUnit>(id, rename(&format!("Name {n}")), &admin()).await.unwrap().version
            })
        })
        .collect();
    let mut versions = Vec::new();
    for task in tasks {
        versions.push(task.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (2..=41).collect::<Vec<u64>>());
}

#[tokio::test]
async fn another_nodes_change_is_seen_before_a_command_is_refused() {
    let (one, database) = world().await;
    let two = Commands::new(EventStore::open(database.config()).await.unwrap(), Arc::new(NoAnswers), 1000);
    let id = Uuid::now_v7();
    one.execute::<OrgUnit>(id, create("PSU"), &admin()).await.unwrap();
    // Node one remembers the unit as active; node two answers for what the log says.
    let deactivated = OrgUnitCommand::DeactivateOrgUnit { reason: "moved".into() };
    let log = two.store().clone();
    let asked =
        Commands::new(log, Arc::new(NoChildren), 1000).execute::<OrgUnit>(id, deactivated, &admin()).await;
    asked.unwrap();
    one.execute::<OrgUnit>(id, OrgUnitCommand::ReactivateOrgUnit {}, &admin()).await.unwrap();
}

#[tokio::test]
async fn another_nodes_change_is_seen_before_a_command_comes_to_nothing() {
    let (one, database) = world().await;
    let two = Commands::new(EventStore::open(database.config()).await.unwrap(), Arc::new(NoAnswers), 1000);
    let policy = retention_policy_id(RecordClass::Device, None);
    let officer = || Request::by(Actor::user(Uuid::from_u128(3), &["compliance"]));
    let set = RetentionPolicyCommand::SetRetentionPolicy {
        record_class: RecordClass::Device,
        aggregate: None,
        after: RetentionStart::Event,
        days: 1000,
        action: RetentionAction::Shred,
        legal_basis: "Art. 5(1)(e) GDPR".into(),
    };
    one.execute::<RetentionPolicy>(policy, set, &officer()).await.unwrap();
    // Node one remembers a policy without a run, whose end would be no news; node two begins one.
    let run = Uuid::from_u128(7);
    let as_of = "2026-03-01T00:00:00Z".parse().unwrap();
    let start = RetentionPolicyCommand::StartRetentionRun { run, dry_run: true, as_of };
    let started = two.execute::<RetentionPolicy>(policy, start, &officer()).await.unwrap();
    assert_eq!(started.version, 2);
    let complete = RetentionPolicyCommand::CompleteRetentionRun { run };
    let system = Request::by(Actor::policy("run_retention"));
    let completed = one.execute::<RetentionPolicy>(policy, complete, &system).await.unwrap();
    assert_eq!(completed.version, 3);
}

struct NoChildren;

impl commands::Answers for NoChildren {
    fn answer(
        &self,
        _: domain::Question,
        _: Option<event_store::Position>,
    ) -> futures_util::future::BoxFuture<'_, Result<domain::Answer, CommandError>> {
        Box::pin(async { Ok(domain::Answer::Flag(false)) })
    }
}

#[tokio::test]
async fn the_stock_postgres_repository_loads_an_aggregate_from_this_log_with_personal_fields_erased() {
    let (commands, _database) = world().await;
    let id = Uuid::now_v7();
    commands.execute::<OrgUnit>(id, create("PSU"), &admin()).await.unwrap();
    let repository = PostgresEventRepository::new(commands.store().pool().clone())
        .with_tables("annals.events", "annals.snapshots");
    let stock = PersistedEventStore::<_, Sourced<OrgUnit>>::new_event_store(repository);
    let events = stock.load_events(&id.to_string()).await.unwrap();
    assert_eq!((events.len(), events[0].sequence), (1, 1));
    let domain::identity::OrgUnitEvent::OrgUnitCreated { contact_email: Some(contact), code, .. } =
        &events[0].payload.0
    else {
        panic!("another event")
    };
    assert!(contact.is_erased() && code == "PSU");
    assert_eq!(events[0].metadata["actor"], format!("user:{}", Uuid::from_u128(1)));
}
