//! Scholarships and applications in their tables: searched, seen by whom they are for, and summed for analysts.

use domain::{
    Actor, Decider, Money, Personal, RoleGrant,
    identity::{OrgKind, OrgType, OrgUnit, OrgUnitEvent},
    opportunities::{
        ReviewRecommendation, Scholarship, ScholarshipApplication, ScholarshipApplicationEvent as A,
        ScholarshipEvent as S, ScholarshipTerms,
    },
};
use event_store::{AsOf, NewEvent, Position, StreamId};
use projections::{Condition, Op, Query, opportunities::FunnelPart};
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use crate::world::*;

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

fn of_scholarship(id: u128, event: S) -> NewEvent {
    new_event::<Scholarship>(StreamId::new(Scholarship::TYPE, unit(id).to_string()), &event)
}

fn of_application(id: u128, event: A) -> NewEvent {
    new_event::<ScholarshipApplication>(
        StreamId::new(ScholarshipApplication::TYPE, unit(id).to_string()),
        &event,
    )
}

pub(crate) fn published(id: u128, title: &str, majors: &[&str]) -> [NewEvent; 2] {
    let terms = ScholarshipTerms {
        title: title.into(),
        description: "For those who build things".into(),
        sponsor: unit(5),
        award: usd(50_000),
        max_awards: 1,
        opens_at: "2025-12-01T00:00:00Z".parse().unwrap(),
        deadline: "2026-02-01T00:00:00Z".parse().unwrap(),
        min_gpa: None,
        majors: majors.iter().map(|major| (*major).to_owned()).collect(),
        grad_years: Vec::new(),
        tags: Vec::new(),
        essay_prompts: Vec::new(),
        recommendations_required: 0,
        renewable: false,
    };
    [
        of_scholarship(id, S::ScholarshipDrafted(terms)),
        of_scholarship(id, S::ScholarshipPublished { fund: usd(50_000) }),
    ]
}

fn person(number: u128) -> Uuid {
    unit(0xA000 + number)
}

/// The application of one person for scholarship 1, submitted.
pub(crate) fn submitted(number: u128, major: &str) -> [NewEvent; 2] {
    let (scholarship, applicant) = (unit(1), person(number));
    let submitted = A::ScholarshipApplicationSubmitted {
        scholarship,
        applicant,
        gpa: Some(Personal::about(applicant, 3600)),
        major: Some(Personal::about(applicant, major.into())),
        grad_year: None,
        interests: None,
        relatives: None,
        submitted_at: "2026-01-02T00:00:00Z".parse().unwrap(),
        profile_version: None,
    };
    let started = A::ApplicationStarted { scholarship, applicant };
    [of_application(100 + number, started), of_application(100 + number, submitted)]
}

async fn rows(world: &World, model: &str, actor: &Actor, filters: Vec<Condition>) -> Vec<Value> {
    let query = Query { filters, ..Query::default() };
    world.projections.list(model, actor, &query).await.unwrap().rows
}

fn condition(column: &str, op: Op, value: &str) -> Condition {
    Condition { column: column.into(), op, values: vec![value.to_owned()] }
}

async fn settled(world: &World, position: Position) {
    for model in ["scholarships", "applications", "scholarship_funnel"] {
        world.visible(model, position).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scholarships_are_found_by_their_words_and_majors_with_their_applications_counted() {
    let world = World::new().await;
    world.projections.start();
    let mut events: Vec<NewEvent> = published(1, "Gorilla Makers", &["Physics"]).into();
    events.extend(published(2, "Gorilla Writers", &["English"]));
    events.extend(submitted(1, "Physics"));
    settled(&world, append_events(&world.store, events).await).await;
    let member = Actor::user(person(9), &[]);
    let titles = async |filter| {
        let rows = rows(&world, "scholarships", &member, vec![filter]).await;
        rows.iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(titles(condition("text", Op::Search, "BUILD makers")).await, ["Gorilla Makers"]);
    assert_eq!(titles(condition("majors", Op::Contains, "English")).await, ["Gorilla Writers"]);
    assert_eq!(titles(condition("deadline", Op::AtLeast, "2026-02-01T00:00:01Z")).await, [""; 0]);
    let all = rows(&world, "scholarships", &member, Vec::new()).await;
    let counts: Vec<_> = all.iter().map(|row| row["applications"].clone()).collect();
    assert_eq!(counts, [json!(1), json!(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applicant_sees_their_own_application_and_staff_all_that_were_submitted() {
    let world = World::new().await;
    world.projections.start();
    let mut events: Vec<NewEvent> = published(1, "Gorilla Makers", &[]).into();
    events.extend(submitted(1, "Physics"));
    events.extend(submitted(2, "Physics"));
    let draft = A::ApplicationStarted { scholarship: unit(1), applicant: person(3) };
    events.push(of_application(103, draft));
    settled(&world, append_events(&world.store, events).await).await;
    let applicants = async |actor: Actor| {
        let rows = rows(&world, "applications", &actor, Vec::new()).await;
        rows.iter().map(|row| row["applicant"].as_str().unwrap().parse().unwrap()).collect::<Vec<Uuid>>()
    };
    assert_eq!(applicants(Actor::user(person(1), &["student"])).await, [person(1)]);
    assert_eq!(applicants(Actor::user(person(3), &["student"])).await, [person(3)]);
    assert_eq!(applicants(Actor::user(person(9), &["staff"])).await, [person(1), person(2)]);
    assert!(applicants(Actor::user(person(9), &["reviewer"])).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_wherever_they_stand_in_the_order_and_pages_follow_each_other() {
    let world = World::new().await;
    world.projections.start();
    let mut events = Vec::new();
    // More scholarships than are walked along the order before the index of words is asked; only the last ones have the word.
    for number in 0..2100 {
        let title = if number >= 2095 { "Gorilla Makers" } else { "Bear Makers" };
        events.extend(published(number, title, &[]));
    }
    let mut position = 0;
    for some in events.chunks(500) {
        position = append_events(&world.store, some.to_vec()).await;
    }
    settled(&world, position).await;
    let member = Actor::user(person(9), &[]);
    let mut query = Query {
        filters: vec![condition("text", Op::Search, "gorilla makers")],
        sort: vec!["deadline".into()],
        limit: Some(3),
        ..Query::default()
    };
    let first = world.projections.list("scholarships", &member, &query).await.unwrap();
    assert_eq!((first.rows.len(), first.next.is_some()), (3, true));
    query.after = first.next;
    let second = world.projections.list("scholarships", &member, &query).await.unwrap();
    let ids: Vec<&Value> = first.rows.iter().chain(&second.rows).map(|row| &row["id"]).collect();
    let wanted: Vec<Value> = (2095..2100).map(|number| json!(unit(number))).collect();
    assert_eq!((ids, second.next), (wanted.iter().collect(), None));
    // What is common is found on the way.
    let bears =
        Query { filters: vec![condition("text", Op::Search, "makers")], limit: Some(2), ..Query::default() };
    let bears = world.projections.list("scholarships", &member, &bears).await.unwrap();
    assert_eq!((bears.rows.len(), bears.rows[0]["title"].as_str()), (2, Some("Bear Makers")));
}

/// Org unit 5 is below 7, which is below 6; 8 stands beside them.
pub(crate) fn units() -> [NewEvent; 4] {
    [(6, None), (7, Some(6)), (5, Some(7)), (8, None)].map(|(id, parent): (u128, Option<u128>)| {
        let created = OrgUnitEvent::OrgUnitCreated {
            kind: OrgKind::Faculty,
            code: format!("U{id}"),
            name: "Unit".into(),
            r#type: OrgType::University,
            parent: parent.map(unit),
            country: "US".into(),
            city: None,
            website: None,
            contact_email: None,
        };
        new_event::<OrgUnit>(StreamId::new(OrgUnit::TYPE, unit(id).to_string()), &created)
    })
}

/// How many rows of a read model somebody sees who holds this role in each of the units 6, 7, 5 and 8.
pub(crate) async fn seen_within(world: &World, role: &str, model: &str, as_of: Option<AsOf>) -> [usize; 4] {
    asked_within(world, role, model, &Query { as_of, ..Query::default() }).await
}

async fn asked_within(world: &World, role: &str, model: &str, query: &Query) -> [usize; 4] {
    let mut seen = [0; 4];
    for (seen, within) in seen.iter_mut().zip([6, 7, 5, 8]) {
        let grant = RoleGrant { role: role.into(), within: Some(unit(within)) };
        let actor = Actor::with_roles(person(9), vec![grant]);
        *seen = world.projections.list(model, &actor, query).await.unwrap().rows.len();
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn idn_a8_staff_of_an_org_unit_see_drafts_of_the_sponsors_within_it() {
    let world = World::new().await;
    world.projections.start();
    let [drafted, _] = published(1, "Gorilla Makers", &[]);
    let position = append_events(&world.store, [units().to_vec(), vec![drafted]].concat()).await;
    settled(&world, position).await;
    world.visible("org_directory", position).await;
    assert_eq!(seen_within(&world, "staff", "scholarships", None).await, [1, 1, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn idn_a8_staff_of_an_org_unit_see_applications_to_the_sponsors_within_it() {
    let world = World::new().await;
    world.projections.start();
    let mut events = [units().to_vec(), published(1, "Gorilla Makers", &[]).to_vec()].concat();
    events.extend(submitted(1, "Physics"));
    events.push(of_application(103, A::ApplicationStarted { scholarship: unit(1), applicant: person(3) }));
    let reviewed = A::ApplicationReviewed {
        reviewer: person(8),
        scores: [("essay".to_owned(), 9000)].into(),
        comment: None,
        recommendation: ReviewRecommendation::Award,
    };
    events.push(of_application(101, reviewed));
    let position = append_events(&world.store, events).await;
    settled(&world, position).await;
    world.visible("org_directory", position).await;
    world.visible("application_reviews", position).await;
    for as_of in [None, Some(AsOf::Position(position))] {
        assert_eq!(seen_within(&world, "staff", "applications", as_of).await, [1, 1, 1, 0], "no draft");
        assert_eq!(seen_within(&world, "staff", "application_reviews", as_of).await, [1, 1, 1, 0]);
        // Whoever names what they ask for sees no more and no less of it.
        for (model, column) in [
            ("applications", "scholarship"),
            ("applications", "id"),
            ("application_reviews", "application_id"),
        ] {
            let named = if column == "scholarship" { unit(1) } else { unit(101) };
            for (id, seen) in [(named, [1, 1, 1, 0]), (unit(2), [0; 4])] {
                let filters = vec![condition(column, Op::In, &id.to_string())];
                let query = Query { as_of, filters, ..Query::default() };
                assert_eq!(asked_within(&world, "staff", model, &query).await, seen, "{model} {column}");
            }
        }
        // The reviewers are shown of the applications to these sponsors alone: not of one's own to another.
        for (within, told) in [(7, true), (8, false)] {
            let grant = RoleGrant { role: "staff".into(), within: Some(unit(within)) };
            let actor = Actor::with_roles(person(1), vec![grant]);
            for fields in [Vec::new(), vec!["id".to_owned(), "reviewers".to_owned()]] {
                let query = Query { as_of, fields, ..Query::default() };
                let rows = world.projections.list("applications", &actor, &query).await.unwrap().rows;
                assert_eq!((rows.len(), rows[0].get("reviewers").is_some()), (1, told), "{within}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idn_a8_staff_of_an_org_unit_with_very_many_applications_see_what_is_said_of_them() {
    let world = World::new().await;
    world.projections.start();
    let reviewed = || A::ApplicationReviewed {
        reviewer: person(8),
        scores: [("essay".to_owned(), 9000)].into(),
        comment: None,
        recommendation: ReviewRecommendation::Award,
    };
    let mut events = [units().to_vec(), published(1, "Gorilla Makers", &[]).to_vec()].concat();
    // More than are told to a query one by one; the last one's scholarship is nobody's.
    for number in 0..1200 {
        let scholarship = unit(if number < 1199 { 1 } else { 2 });
        let applicant = person(number);
        events.push(of_application(10_000 + number, A::ApplicationStarted { scholarship, applicant }));
    }
    events.extend([0, 700, 1199].map(|number| of_application(10_000 + number, reviewed())));
    let mut position = 0;
    for some in events.chunks(500) {
        position = append_events(&world.store, some.to_vec()).await;
    }
    settled(&world, position).await;
    world.visible("org_directory", position).await;
    world.visible("application_reviews", position).await;
    for as_of in [None, Some(AsOf::Position(position))] {
        assert_eq!(seen_within(&world, "staff", "application_reviews", as_of).await, [2, 2, 2, 0]);
    }
    let own = vec![condition("reviewer", Op::In, &person(8).to_string())];
    let query = Query { filters: own, limit: Some(1), ..Query::default() };
    let grant = RoleGrant { role: "staff".into(), within: Some(unit(7)) };
    let staff = Actor::with_roles(person(9), vec![grant]);
    let first = world.projections.list("application_reviews", &staff, &query).await.unwrap();
    let second = Query { after: first.next, ..query };
    let second = world.projections.list("application_reviews", &staff, &second).await.unwrap();
    let seen = [&first.rows[0], &second.rows[0]].map(|row| row["application_id"].clone());
    assert_eq!((seen, second.next), ([json!(unit(10_000)), json!(unit(10_700))], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn analysts_see_the_funnel_of_five_applicants_and_not_of_four() {
    let world = World::new().await;
    world.projections.start();
    let mut events: Vec<NewEvent> = published(1, "Gorilla Makers", &[]).into();
    events.extend((0..5).flat_map(|number| submitted(number, "Physics")));
    events.extend((5..9).flat_map(|number| submitted(number, "English")));
    let awarded = A::ScholarshipAwarded {
        amount: usd(50_000),
        scholarship: unit(1),
        applicant: person(0),
        awarded_at: "2026-02-02T00:00:00Z".parse().unwrap(),
    };
    events.push(of_application(100, awarded));
    settled(&world, append_events(&world.store, events).await).await;
    let funnel = async |roles: &[&str], part: FunnelPart| {
        let actor = Actor::user(person(90), roles);
        let funnel = world.projections.funnel(&actor, unit(1), &part).await.unwrap().unwrap();
        let groups = funnel.groups.into_iter();
        let groups = groups.map(|group| (group.major.unwrap(), group.stages.people, group.stages.awarded));
        ((funnel.all.people, funnel.all.awarded), groups.collect::<Vec<_>>())
    };
    let (english, physics) = (("english".to_owned(), 4, 0), ("physics".to_owned(), 5, 1));
    let all = FunnelPart::default;
    let of = |major: &str| FunnelPart { majors: vec![major.into()], ..FunnelPart::default() };
    let never = FunnelPart { periods: vec!["1999-01".into()], ..FunnelPart::default() };
    assert_eq!(funnel(&["staff"], all()).await, ((9, 1), vec![english.clone(), physics.clone()]));
    assert_eq!(funnel(&["staff"], of("English ")).await, ((4, 0), vec![english]));
    assert_eq!(funnel(&["staff"], never).await, ((0, 0), vec![]));
    // The sum is of what is shown: what is too small to be shown cannot be subtracted out of it.
    assert_eq!(funnel(&["analyst"], all()).await, ((5, 1), vec![physics]));
    let student = Actor::user(person(90), &["student"]);
    assert_eq!(world.projections.funnel(&student, unit(1), &all()).await.unwrap(), None);
    let sums = "SELECT major, sum_started::bigint, sum_submitted::bigint, sum_awarded::bigint, sum_amount_awarded::bigint
        FROM read.scholarship_funnel";
    eventually("analysts see it", async || {
        let Ok(rows) = sqlx::query(sums).fetch_all(world.store.pool()).await else { return false };
        let rows: Vec<(String, [i64; 4])> =
            rows.iter().map(|row| (row.get(0), [1, 2, 3, 4].map(|column| row.get(column)))).collect();
        assert_eq!(rows, [("physics".to_owned(), [5, 5, 1, 50_000])]);
        true
    })
    .await;
}
