//! The audit trail.

use domain::{Actor, Decider, RoleGrant, identity::OrgUnit, identity::Profile, intelligence::Decision};
use event_store::{Ahead, AsOf};
use jiff::SignedDuration;
use projections::governance::{AuditFilters, AuditPage, AuditQuery, Entry, GovernanceError, Order};
use uuid::Uuid;

use crate::world::*;

/// All pages, one after the other.
async fn pages(world: &World, actor: &Actor, query: AuditQuery) -> Vec<Entry> {
    let mut query = query;
    let mut entries = Vec::new();
    loop {
        let AuditPage { entries: page, next, .. } = world.projections.audit(actor, &query).await.unwrap();
        let limit = query.limit.unwrap_or(50);
        assert!(page.len() == limit || next.is_none(), "only the last page is shorter");
        entries.extend(page);
        match next {
            Some(_) => query.after = next,
            None => return entries,
        }
    }
}

fn by(filters: AuditFilters, order: Order, limit: usize) -> AuditQuery {
    AuditQuery { filters, order, limit: Some(limit), ..AuditQuery::default() }
}

fn positions(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.position).collect()
}

/// The whole log, read without any index.
async fn whole(world: &World) -> Vec<Entry> {
    let entries = pages(world, &auditor(), by(AuditFilters::default(), Order::OldestFirst, 200)).await;
    let head = world.store.head().await.unwrap().position;
    assert_eq!(positions(&entries), (1..=head).collect::<Vec<_>>());
    entries
}

fn fits(filters: &AuditFilters, entry: &Entry) -> bool {
    let AuditFilters {
        actor,
        on_behalf_of,
        subject,
        resource_type,
        resource_id,
        actions,
        from,
        until,
        correlation_id,
    } = filters;
    actor.as_ref().is_none_or(|actor| *actor == entry.actor)
        && on_behalf_of.is_none_or(|person| entry.on_behalf_of == Some(person))
        && subject.is_none_or(|person| entry.subjects.contains(&person))
        && resource_type.as_ref().is_none_or(|name| *name == entry.resource_type)
        && resource_id.as_ref().is_none_or(|id| *id == entry.resource_id)
        && (actions.is_empty() || actions.contains(&entry.action))
        && from.is_none_or(|from| entry.recorded_at >= from)
        && until.is_none_or(|until| entry.recorded_at <= until)
        && correlation_id.is_none_or(|id| entry.correlation_id == Some(id))
}

/// Filters of every kind and their combinations, most of which find something.
fn combinations(log: &[Entry]) -> Vec<AuditFilters> {
    let user = |id: Uuid| Some(format!("user:{id}"));
    let actors =
        [None, user(ADMIN), user(student(5)), Some("policy:assess_promise".into()), user(Uuid::nil())];
    let subjects = [None, Some(student(5)), Some(student(6))];
    let on_behalf = [None, Some(ADMIN)];
    let types = [None, Some(Decision::TYPE.to_owned()), Some(OrgUnit::TYPE.to_owned())];
    let ids = [None, Some(decision(5).to_string()), Some(student(5).to_string())];
    let actions =
        [vec![], vec!["DecisionRecorded".to_owned()], vec!["ProfileRevised".into(), "OrgUnitRevised".into()]];
    // Of a command that has no other name for it, of a round of changes, and of a command and what it caused.
    let caused = log.iter().find(|entry| entry.causation_id.is_some()).unwrap();
    let round = log.iter().find(|entry| entry.action == "OrgUnitRevised").unwrap();
    let correlations = [None, log[3].correlation_id, round.correlation_id, caused.correlation_id];
    let times = [(None, None), (Some(log[70].recorded_at), Some(log[120].recorded_at))];
    let mut all = Vec::new();
    for actor in &actors {
        for subject in subjects {
            for on_behalf_of in on_behalf {
                for resource_type in &types {
                    for resource_id in &ids {
                        for actions in &actions {
                            for correlation_id in correlations {
                                for (from, until) in times {
                                    all.push(AuditFilters {
                                        actor: actor.clone(),
                                        on_behalf_of,
                                        subject,
                                        resource_type: resource_type.clone(),
                                        resource_id: resource_id.clone(),
                                        actions: actions.clone(),
                                        from,
                                        until,
                                        correlation_id,
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

/// How many of the conditions are stated.
fn stated(filters: &AuditFilters) -> usize {
    [
        filters.actor.is_some(),
        filters.on_behalf_of.is_some(),
        filters.subject.is_some(),
        filters.resource_type.is_some(),
        filters.resource_id.is_some(),
        !filters.actions.is_empty(),
        filters.from.is_some(),
        filters.correlation_id.is_some(),
    ]
    .into_iter()
    .filter(|stated| *stated)
    .count()
}

async fn answers_as_the_log_does(world: &World, most_stated: usize) {
    let log = whole(world).await;
    let mut found = 0;
    for filters in combinations(&log).into_iter().filter(|filters| stated(filters) <= most_stated) {
        let mut expected: Vec<u64> =
            log.iter().filter(|entry| fits(&filters, entry)).map(|entry| entry.position).collect();
        found += usize::from(!expected.is_empty());
        let oldest = pages(world, &auditor(), by(filters.clone(), Order::OldestFirst, 7)).await;
        assert_eq!(positions(&oldest), expected, "{filters:?}");
        expected.reverse();
        let newest = pages(world, &auditor(), by(filters.clone(), Order::NewestFirst, 200)).await;
        assert_eq!(positions(&newest), expected, "{filters:?}");
    }
    assert!(found > 40, "only {found} of the combinations find something");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_combination_of_filters_finds_what_the_log_has_in_either_order_without_gaps_or_repeats() {
    let world = World::campus().await;
    world.follow().await;
    answers_as_the_log_does(&world, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_index_has_not_reached_are_found_as_well() {
    let world = World::campus().await;
    // Nothing was ever folded: the log answers alone.
    let filters = AuditFilters { subject: Some(student(5)), ..AuditFilters::default() };
    let before = pages(&world, &auditor(), by(filters.clone(), Order::NewestFirst, 2)).await;
    assert_eq!(before.len(), 7);
    world.follow().await;
    world.projections.shutdown().await;
    for _ in 0..3 {
        world.describe(5, "Later words").await;
        world.rename_unit(1, "Later").await;
    }
    answers_as_the_log_does(&world, 2).await;
    let after = pages(&world, &auditor(), by(filters, Order::NewestFirst, 2)).await;
    assert_eq!((after.len(), &after[3..]), (10, &before[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_an_operator_told_the_index_to_skip_are_still_in_the_trail() {
    let world = World::empty().await;
    for number in 0..5 {
        world.create_unit(number).await;
    }
    let skip = "INSERT INTO annals.projection_interventions (name, action, position, actor, reason)
        VALUES ('log_index', 'skip', 3, 'user:operator', 'a test')";
    sqlx::raw_sql(skip).execute(world.store.pool()).await.unwrap();
    world.follow().await;
    let filters = AuditFilters { actor: Some(format!("user:{ADMIN}")), ..AuditFilters::default() };
    for (order, expected) in [(Order::OldestFirst, [1, 2, 3, 4, 5]), (Order::NewestFirst, [5, 4, 3, 2, 1])] {
        assert_eq!(positions(&pages(&world, &auditor(), by(filters.clone(), order, 2)).await), expected);
    }
}

fn number(number: u32) -> Uuid {
    // As `lpad` writes it: the decimal digits.
    format!("{number:032}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_paged_through_block_by_block() {
    const EVENTS: u64 = 12_500;
    let world = World::long(EVENTS as i64).await;
    world.follow().await;
    let actor = |id: u32| Some(format!("user:{}", number(id)));
    let subject = |id: u32| Some(number(id));
    let reactivated = vec!["OrgUnitReactivated".to_owned()];
    let d = AuditFilters::default;
    type Fits = fn(u64) -> bool;
    let asked: [(AuditFilters, Fits); 6] = [
        (AuditFilters { subject: subject(12), ..d() }, |n| n % 100 == 0),
        (AuditFilters { subject: subject(12), actions: reactivated.clone(), ..d() }, |n| n % 300 == 0),
        (AuditFilters { subject: subject(12), actor: actor(3), ..d() }, |n| n % 100 == 0 && n % 7 == 3),
        (AuditFilters { actor: actor(3), subject: subject(4), ..d() }, |n| n % 7 == 3 && n % 11 == 4),
        (AuditFilters { actor: actor(3), subject: subject(4), actions: reactivated, ..d() }, |n| {
            n % 7 == 3 && n % 11 == 4 && n % 3 == 0
        }),
        (AuditFilters { resource_id: Some(number(7).to_string()), ..d() }, |n| n % 50 == 7),
    ];
    for (filters, fits) in asked {
        let mut expected: Vec<u64> = (1..=EVENTS).filter(|n| fits(*n)).collect();
        let oldest = pages(&world, &auditor(), by(filters.clone(), Order::OldestFirst, 13)).await;
        assert_eq!(positions(&oldest), expected, "{filters:?}");
        expected.reverse();
        let newest = pages(&world, &auditor(), by(filters.clone(), Order::NewestFirst, 13)).await;
        assert_eq!(positions(&newest), expected, "{filters:?}");
        let as_of =
            AuditQuery { as_of: Some(AsOf::Position(5000)), ..by(filters.clone(), Order::NewestFirst, 50) };
        expected.retain(|position| *position <= 5000);
        assert_eq!(positions(&pages(&world, &auditor(), as_of).await), expected, "{filters:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_far_behind_says_so_and_hinders_nobody_who_does_not_need_it() {
    let world = World::long(20_100).await;
    let about = AuditFilters { subject: Some(number(12)), ..AuditFilters::default() };
    let refused = world.projections.audit(&auditor(), &by(about.clone(), Order::NewestFirst, 50)).await;
    assert!(matches!(refused, Err(GovernanceError::Behind { position: 0 })), "{refused:?}");
    // Early in the log there are not too many to look at.
    let early = AuditQuery { as_of: Some(AsOf::Position(1000)), ..by(about, Order::NewestFirst, 50) };
    assert_eq!(pages(&world, &auditor(), early).await.len(), 10);
    let stream = AuditFilters { resource_id: Some(number(7).to_string()), ..AuditFilters::default() };
    for filters in [AuditFilters::default(), stream] {
        let page = world.projections.audit(&auditor(), &by(filters, Order::NewestFirst, 50)).await.unwrap();
        assert_eq!(page.entries.len(), 50);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_index_is_the_same_and_answers_the_same() {
    let world = World::campus().await;
    world.follow().await;
    let before = world.projections.checksum("log_index").await.unwrap();
    world.projections.rebuild(&["log_index"]).await.unwrap();
    assert_eq!(world.projections.checksum("log_index").await.unwrap(), before);
    answers_as_the_log_does(&world, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_says_who_did_what_to_what_about_whom_and_why() {
    let world = World::campus().await;
    world.follow().await;
    let recorded = world.version::<Decision>(decision(5), 1).await;
    let cause = world.version::<Profile>(student(5), 2).await;
    let filters = AuditFilters {
        resource_type: Some(Decision::TYPE.into()),
        resource_id: Some(decision(5).to_string()),
        ..AuditFilters::default()
    };
    let page = world.projections.audit(&auditor(), &by(filters, Order::OldestFirst, 1)).await.unwrap();
    let expected = Entry {
        position: recorded.position,
        event_id: recorded.event_id,
        recorded_at: recorded.recorded_at,
        occurred_at: page.entries[0].occurred_at,
        actor: "policy:assess_promise".into(),
        on_behalf_of: None,
        action: "DecisionRecorded".into(),
        event_version: "1".into(),
        resource_type: Decision::TYPE.into(),
        resource_id: decision(5).to_string(),
        sequence: 1,
        subjects: vec![student(5)],
        record_classes: vec!["ai_content".into()],
        purpose: None,
        legal_basis: None,
        correlation_id: cause.command_id,
        causation_id: Some(cause.event_id),
        command_id: recorded.command_id,
        derived_from: vec![
            format!("identity.profile:{}@2", student(5)),
            format!("identity.org_unit:{}@1", unit(5)),
            "catalogue:promises.csv@7".into(),
        ],
        transformation: Some(ENGINE.into()),
        traceparent: None,
    };
    assert_eq!(page.entries, [expected]);
    assert_eq!(page.subjects, [student(5)].into());
    let first = pages(&world, &auditor(), by(AuditFilters::default(), Order::OldestFirst, 1)).await.remove(0);
    assert_eq!(
        (first.purpose.as_deref(), first.legal_basis.as_deref()),
        (Some("administration"), Some("contract"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_can_be_read_as_it_was() {
    let world = World::campus().await;
    world.follow().await;
    let log = whole(&world).await;
    let filters = AuditFilters { actor: Some(format!("user:{ADMIN}")), ..AuditFilters::default() };
    let expected: Vec<u64> =
        log[..40].iter().filter(|entry| fits(&filters, entry)).map(|entry| entry.position).collect();
    for as_of in [AsOf::Position(40), AsOf::Instant(log[39].recorded_at)] {
        let query = AuditQuery { as_of: Some(as_of), ..by(filters.clone(), Order::OldestFirst, 200) };
        let page = world.projections.audit(&auditor(), &query).await.unwrap();
        assert_eq!((positions(&page.entries), page.position), (expected.clone(), 40));
    }
    let ahead = AuditQuery { as_of: Some(AsOf::Position(9999)), ..AuditQuery::default() };
    let refused = world.projections.audit(&auditor(), &ahead).await;
    assert!(
        matches!(refused, Err(GovernanceError::AsOfAhead(Ahead::Position { asked: 9999, .. }))),
        "{refused:?}"
    );
    let later = log[log.len() - 1].recorded_at + SignedDuration::from_hours(1);
    let none = AuditFilters { from: Some(later), ..AuditFilters::default() };
    assert!(pages(&world, &auditor(), by(none, Order::NewestFirst, 50)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_what_is_about_them_or_was_done_by_them_and_nothing_else() {
    let world = World::campus().await;
    world.follow().await;
    let log = whole(&world).await;
    for person in [student(5), student(6), ADMIN, REVIEWER, Uuid::from_u128(0xFACE)] {
        let own = |entry: &&Entry| {
            let acting = format!("user:{person}");
            entry.subjects.contains(&person) || entry.actor == acting || entry.on_behalf_of == Some(person)
        };
        let expected: Vec<u64> = log.iter().filter(own).map(|entry| entry.position).collect();
        let actor = Actor::user(person, &["student", "analyst"]);
        let seen = pages(&world, &actor, by(AuditFilters::default(), Order::OldestFirst, 7)).await;
        assert_eq!(positions(&seen), expected);
        assert!(seen.iter().all(|entry| entry.subjects.iter().all(|subject| *subject == person)));
        // Asking for somebody else's entries does not open them.
        let other = AuditFilters { subject: Some(student(7)), ..AuditFilters::default() };
        assert!(pages(&world, &actor, by(other, Order::OldestFirst, 7)).await.is_empty());
        let stream = AuditFilters { resource_id: Some(student(7).to_string()), ..AuditFilters::default() };
        assert!(pages(&world, &actor, by(stream, Order::OldestFirst, 7)).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scope_within_one_org_unit_or_none_at_all_opens_nothing() {
    let world = World::campus().await;
    let grant = RoleGrant { role: "compliance".into(), within: Some(unit(1)) };
    let local = Actor::with_roles(Uuid::from_u128(0xFACE), vec![grant]);
    for actor in [local, Actor::policy("nosy")] {
        assert!(pages(&world, &actor, AuditQuery::default()).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_one_to_two_hundred_entries() {
    let world = World::empty().await;
    for limit in [0, 201] {
        let query = by(AuditFilters::default(), Order::NewestFirst, limit);
        let refused = world.projections.audit(&auditor(), &query).await;
        assert!(matches!(refused, Err(GovernanceError::BadLimit { .. })));
    }
    let page = world.projections.audit(&auditor(), &AuditQuery::default()).await.unwrap();
    assert_eq!((page.entries.len(), page.next, page.position), (0, None, 0));
}
