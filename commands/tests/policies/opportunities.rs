//! What follows from scholarships (catalogue 3.2).

use std::{collections::BTreeMap, sync::Arc};

use commands::{Commands, NoAnswers, Request};
use domain::{
    Actor, Money, RecordClass, Stated,
    governance::{ConsentLedger, ConsentLedgerCommand, ShredBasis, SubjectKey, SubjectKeyCommand},
    identity::{FacetSource, OrgKind, OrgType, OrgUnit, OrgUnitCommand, Profile, ProfileCommand},
    opportunities::{
        ApplicationStatus, Scholarship, ScholarshipApplication, ScholarshipApplicationCommand,
        ScholarshipCommand, ScholarshipTerms,
    },
};
use event_store::testing;
use jiff::{Timestamp, ToSpan};
use uuid::Uuid;

use crate::Node;

const STUDENT: Uuid = Uuid::from_u128(0xAA);
const SPONSOR: Uuid = Uuid::from_u128(0x5);
const SCHOLARSHIP: Uuid = Uuid::from_u128(0x5C);
const APPLICATION: Uuid = Uuid::from_u128(0xA9);
const DOCUMENT: Uuid = Uuid::from_u128(0xD0C);

fn student() -> Request {
    Request::by(Actor::user(STUDENT, &["student"]))
}

fn staff() -> Request {
    Request::by(Actor::user(Uuid::from_u128(0x57), &["staff"]))
}

/// A scholarship that takes applications, and one of them, submitted, with what the policies made of that.
async fn submitted(node: &mut Node) {
    submit(&node.commands).await;
    node.settled().await;
}

/// A scholarship that takes applications, and one of them, submitted.
async fn submit(commands: &Commands) {
    let admin = Request::by(Actor::user(Uuid::from_u128(1), &["admin"]));
    let sponsor = OrgUnitCommand::CreateOrgUnit {
        kind: OrgKind::Sponsor,
        code: "ROTARY".into(),
        name: "Rotary".into(),
        r#type: OrgType::Other,
        parent: None,
        country: "US".into(),
        city: None,
        website: None,
        contact_email: None,
    };
    commands.execute::<OrgUnit>(SPONSOR, sponsor, &admin).await.unwrap();
    let now = Timestamp::now();
    let terms = ScholarshipTerms {
        title: "Access".into(),
        description: "By merit".into(),
        sponsor: SPONSOR,
        award: usd(100_000),
        max_awards: 1,
        opens_at: now - 24.hours(),
        deadline: now + 240.hours(),
        min_gpa: None,
        majors: vec!["Law".into()],
        grad_years: Vec::new(),
        tags: vec!["rolling".into()],
        essay_prompts: Vec::new(),
        recommendations_required: 0,
        renewable: false,
    };
    for command in [ScholarshipCommand::DraftScholarship(terms), ScholarshipCommand::PublishScholarship {}] {
        commands.execute::<Scholarship>(SCHOLARSHIP, command, &staff()).await.unwrap();
    }
    let facet = ProfileCommand::SetStudentFacet {
        student_no: Stated("7".into()),
        major: Stated("Law".into()),
        grad_year: Stated(2027),
        gpa: None,
        classroom: None,
        source: FacetSource::Own,
    };
    commands.execute::<Profile>(STUDENT, facet, &student()).await.unwrap();
    let start =
        ScholarshipApplicationCommand::StartApplication { scholarship: SCHOLARSHIP, applicant: STUDENT };
    let draft = ScholarshipApplicationCommand::SaveApplicationDraft {
        essays: Stated(BTreeMap::new()),
        documents: vec![DOCUMENT],
        answers: None,
    };
    let submit = ScholarshipApplicationCommand::SubmitApplication { declaration: true, relatives: None };
    for command in [start, draft, submit] {
        commands.execute::<ScholarshipApplication>(APPLICATION, command, &student()).await.unwrap();
    }
}

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

async fn select(node: &mut Node) {
    staff_does(&node.commands, selection(100_000)).await;
    node.settled().await;
}

fn selection(minor: i64) -> ScholarshipCommand {
    ScholarshipCommand::SelectAwardee { application: APPLICATION, amount: usd(minor) }
}

async fn staff_does(commands: &Commands, command: ScholarshipCommand) {
    commands.execute::<Scholarship>(SCHOLARSHIP, command, &staff()).await.unwrap();
}

/// Commands beside which no policies run yet.
async fn before_the_policies(database: &testing::TestDatabase) -> Commands {
    Commands::new(database.store().await.unwrap(), Arc::new(NoAnswers), 1000)
}

async fn application(node: &Node) -> ScholarshipApplication {
    let found = node.commands.state::<ScholarshipApplication>(APPLICATION).await.unwrap();
    (*found.state).clone()
}

#[tokio::test]
async fn p_10_a_score_names_the_profile_the_scholarship_and_the_documents_that_it_comes_from() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    submitted(&mut node).await;
    let decision = application(&node).await.score.unwrap().decision;
    let scored = node.last("ApplicationMatchScored").await;
    let metadata: serde_json::Value = serde_json::from_str(&scored.metadata).unwrap();
    let sources: Vec<&str> = metadata["derived_from"].as_str().unwrap().split(' ').collect();
    assert_eq!(
        sources,
        [
            format!("opportunities.scholarship_application:{APPLICATION}@3"),
            format!("opportunities.scholarship:{SCHOLARSHIP}@2"),
            // Created and told of in one go.
            format!("identity.profile:{STUDENT}@2"),
            format!("documents.document:{DOCUMENT}"),
            format!("intelligence.decision:{decision}@1"),
        ]
    );
    assert_eq!(metadata["transformation"], "rules/match@1");
}

#[tokio::test]
async fn art_18_an_application_is_not_scored_while_the_applicant_has_the_use_of_their_data_restricted() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    let restrict = ConsentLedgerCommand::RestrictProcessing {
        request: Uuid::from_u128(0x9E),
        purposes: Vec::new(),
        classes: Vec::new(),
        objection: false,
    };
    let approved = Request::by(Actor::policy("stop_processing"));
    node.commands.execute::<ConsentLedger>(STUDENT, restrict, &approved).await.unwrap();
    submitted(&mut node).await;
    let application = application(&node).await;
    assert!(application.status == ApplicationStatus::Submitted && application.score.is_none());
    let computed = ["ApplicationMatchScored", "DecisionRecorded"];
    assert!(node.names().await.iter().all(|name| !computed.contains(&name.as_str())), "people look at it");
}

#[tokio::test]
async fn p_13_a_selection_becomes_an_award_with_a_timer_of_fourteen_days_which_an_answer_takes_back() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    submitted(&mut node).await;
    select(&mut node).await;
    let case = application(&node).await;
    assert_eq!(case.status, ApplicationStatus::Awarded);
    let due = "SELECT (extract(epoch FROM due_at) * 1000000)::bigint FROM annals.timers WHERE policy = 'carry_selection'";
    let armed: Option<i64> =
        sqlx::query_scalar(due).fetch_optional(node.commands.store().pool()).await.unwrap();
    let lapses = case.award.unwrap().awarded_at + (14 * 24).hours();
    assert_eq!(armed.map(|micros| Timestamp::from_microsecond(micros).unwrap()), Some(lapses));
    let accept = ScholarshipApplicationCommand::AcceptAward {};
    node.commands.execute::<ScholarshipApplication>(APPLICATION, accept, &student()).await.unwrap();
    node.settled().await;
    let armed: Option<i64> =
        sqlx::query_scalar(due).fetch_optional(node.commands.store().pool()).await.unwrap();
    assert_eq!(armed, None);
}

#[tokio::test]
async fn p_13_an_award_that_is_refused_frees_the_selection() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    submitted(&mut node).await;
    select(&mut node).await;
    let refuse = ScholarshipApplicationCommand::RefuseAward { reason: None };
    node.commands.execute::<ScholarshipApplication>(APPLICATION, refuse, &student()).await.unwrap();
    node.settled().await;
    assert_eq!(node.names().await.last().unwrap(), "SelectionReversed");
    let scholarship = node.commands.state::<Scholarship>(SCHOLARSHIP).await.unwrap();
    assert!(scholarship.state.selections.is_empty());
}

#[tokio::test]
async fn p_13_the_selection_of_somebody_who_was_erased_is_freed_when_the_offer_lapses() {
    let database = testing::database().await;
    let mut node = Node::start(&database).await;
    submitted(&mut node).await;
    select(&mut node).await;
    let erase = SubjectKeyCommand::ShredSubjectKey {
        record_classes: vec![RecordClass::Education],
        basis: ShredBasis::Erasure,
        through: None,
        cause: Uuid::from_u128(0x9E),
    };
    let request = Request::by(Actor::policy("erase"));
    node.commands.execute::<SubjectKey>(STUDENT, erase, &request).await.unwrap();
    node.settled().await;
    let lapse = ScholarshipApplicationCommand::RefuseAward { reason: None };
    let clock = Request::by(Actor::policy("carry_selection"));
    node.commands.execute::<ScholarshipApplication>(APPLICATION, lapse, &clock).await.unwrap();
    node.settled().await;
    let scholarship = node.commands.state::<Scholarship>(SCHOLARSHIP).await.unwrap();
    assert!(scholarship.state.selections.is_empty());
}

#[tokio::test]
async fn p_13_a_policy_that_comes_late_leaves_the_selection_that_was_made_since() {
    for (first, second) in [(60_000, 100_000), (100_000, 100_000)] {
        let database = testing::database().await;
        let commands = before_the_policies(&database).await;
        submit(&commands).await;
        let reason = Stated("the amount is wrong".to_owned());
        let reverse = ScholarshipCommand::ReverseSelection { application: APPLICATION, reason };
        for command in [selection(first), reverse, selection(second)] {
            staff_does(&commands, command).await;
        }
        let mut node = Node::start(&database).await;
        node.settled().await;
        let scholarship = node.commands.state::<Scholarship>(SCHOLARSHIP).await.unwrap();
        assert_eq!(scholarship.state.selections, BTreeMap::from([(APPLICATION, usd(second))]));
        let case = application(&node).await;
        assert_eq!(case.award.map(|award| award.amount), Some(usd(second)));
        let reversals = node.names().await.into_iter().filter(|name| name == "SelectionReversed").count();
        assert_eq!(reversals, 1, "the one by staff");
    }
}

#[tokio::test]
async fn p_13_the_selection_of_an_application_that_was_withdrawn_meanwhile_is_freed() {
    let database = testing::database().await;
    let commands = before_the_policies(&database).await;
    submit(&commands).await;
    staff_does(&commands, selection(100_000)).await;
    let withdraw = ScholarshipApplicationCommand::WithdrawApplication { reason: None };
    commands.execute::<ScholarshipApplication>(APPLICATION, withdraw, &student()).await.unwrap();
    let mut node = Node::start(&database).await;
    node.settled().await;
    let scholarship = node.commands.state::<Scholarship>(SCHOLARSHIP).await.unwrap();
    assert!(scholarship.state.selections.is_empty());
    assert!(node.names().await.contains(&"SelectionReversed".to_owned()));
}
