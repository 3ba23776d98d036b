//! P-50: retention runs against a real log and real keys.

use commands::Request;
use domain::{
    Actor, RecordClass,
    governance::{
        ConsentLedger, ConsentLedgerCommand, ConsentPurpose, LegalHold, LegalHoldCommand, PrivacyRequest,
        PrivacyRequestCommand, RetentionAction, RetentionPolicy, RetentionPolicyCommand, RetentionStart,
        Verification, retention_policy_id,
    },
    identity::{Profile, ProfileCommand},
};
use event_store::{Basis, Classes, Epoch, testing};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ANNA, BERT, Node, compliance};

/// A run of the policy of a class, and what it told.
async fn run_of(node: &mut Node, class: RecordClass, dry_run: bool) -> Value {
    let run = Uuid::now_v7();
    start_run(node, class, run, dry_run).await;
    node.settled().await;
    what_was_told(node, run, dry_run).await
}

async fn start_run(node: &Node, class: RecordClass, run: Uuid, dry_run: bool) {
    let policy = retention_policy_id(class, None);
    let start = RetentionPolicyCommand::StartRetentionRun { run, dry_run, as_of: jiff::Timestamp::now() };
    node.commands.execute::<RetentionPolicy>(policy, start, &compliance()).await.unwrap();
}

/// What a run did and came to, but for its name and whether it was dry.
async fn what_was_told(node: &Node, run: Uuid, dry_run: bool) -> Value {
    let told = |events: Vec<(String, Value)>| {
        let of_run =
            events.into_iter().map(|(_, fields)| fields).filter(|fields| fields["run"] == run.to_string());
        let without = |mut fields: Value| {
            let object = fields.as_object_mut().unwrap();
            object.remove("run");
            assert_eq!(object.remove("dry_run").unwrap(), dry_run);
            fields
        };
        of_run.map(without).collect::<Vec<_>>()
    };
    json!([
        told(node.events("RetentionActionApplied").await),
        told(node.events("RetentionRunCompleted").await)
    ])
}

#[tokio::test]
async fn gov_r2_a_dry_run_tells_what_the_real_run_does_and_holds_win() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    node.headline(ANNA).await;
    node.headline(BERT).await;
    // What was recorded just now is made old: its keys are those of an epoch that is long over.
    sqlx::query("UPDATE annals_keys.data_keys SET epoch = 202012")
        .execute(node.commands.store().pool())
        .await
        .unwrap();
    node.hold(&[BERT], &[RecordClass::Profile]).await;
    let policy = retention_policy_id(RecordClass::Profile, None);
    let set = RetentionPolicyCommand::SetRetentionPolicy {
        record_class: RecordClass::Profile,
        aggregate: None,
        after: RetentionStart::Event,
        days: 30,
        action: RetentionAction::Shred,
        legal_basis: "Art. 5(1)(e) GDPR".into(),
    };
    node.commands.execute::<RetentionPolicy>(policy, set, &compliance()).await.unwrap();

    let dry = run_of(&mut node, RecordClass::Profile, true).await;
    assert_eq!(node.events("SubjectKeyShredded").await, []);
    let real = run_of(&mut node, RecordClass::Profile, false).await;
    assert_eq!(dry, real);
    let completed = &real[1][0];
    assert_eq!(
        (&completed["affected"], &completed["held"], &completed["failed"]),
        (&json!(1), &json!(1), &json!(0))
    );
    let shredded = node.events("SubjectKeyShredded").await;
    assert_eq!(shredded.len(), 1);
    assert_eq!((&*shredded[0].0, &shredded[0].1["basis"]), (&*ANNA.to_string(), &json!("retention")));
    assert_eq!(node.events("SubjectKeysDestroyed").await.len(), 1);
    assert!(!node.commands.store().keyring().is_erased(ANNA, "profile").await.unwrap(), "the class lives on");
}

/// Keys of epochs that are long over, as if something had been recorded then.
pub(super) async fn old_keys(node: &Node, class: RecordClass, people: &[Uuid], epochs: &[i32]) {
    for person in people {
        sqlx::query(
            "INSERT INTO annals_keys.data_keys (subject, class, epoch, master_key, wrapped)
             SELECT $1, $2, e, '\\x00', '\\x00' FROM unnest($3::int[]) AS e ON CONFLICT DO NOTHING",
        )
        .bind(person)
        .bind(class.name())
        .bind(epochs)
        .execute(node.commands.store().pool())
        .await
        .unwrap();
    }
}

async fn epochs_of(node: &Node, class: RecordClass, person: Uuid) -> Vec<i32> {
    let sql = "SELECT epoch FROM annals_keys.data_keys WHERE subject = $1 AND class = $2 ORDER BY epoch";
    let epochs = sqlx::query_scalar(sql).bind(person).bind(class.name());
    epochs.fetch_all(node.commands.store().pool()).await.unwrap()
}

async fn policy_of(node: &Node, class: RecordClass, after: RetentionStart, days: u32) {
    acting(node, class, after, days, RetentionAction::Shred).await;
}

async fn acting(node: &Node, class: RecordClass, after: RetentionStart, days: u32, action: RetentionAction) {
    let set = RetentionPolicyCommand::SetRetentionPolicy {
        record_class: class,
        aggregate: None,
        after,
        days,
        action,
        legal_basis: "Art. 5(1)(e) GDPR".into(),
    };
    let policy = retention_policy_id(class, None);
    node.commands.execute::<RetentionPolicy>(policy, set, &compliance()).await.unwrap();
}

/// What was recorded so far was recorded this many days earlier.
pub(super) async fn age(node: &Node, days: i32) {
    let pool = node.commands.store().pool();
    for sql in [
        "ALTER TABLE annals.events DISABLE TRIGGER append_only".to_owned(),
        format!("UPDATE annals.events SET recorded_at = recorded_at - make_interval(days => {days})"),
        "ALTER TABLE annals.events ENABLE ALWAYS TRIGGER append_only".to_owned(),
    ] {
        sqlx::query(&sql).execute(pool).await.unwrap();
    }
}

/// Numbers that look random and are the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[tokio::test]
async fn gov_r2_whatever_is_due_and_whatever_is_held_a_dry_run_and_the_real_one_agree() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    let mut draw = Draw(7);
    let classes = [RecordClass::Device, RecordClass::AiContent, RecordClass::Financial, RecordClass::Profile];
    for (case, class) in classes.into_iter().enumerate() {
        let people: Vec<Uuid> =
            (0..12).map(|number| Uuid::from_u128(0x100 * (case as u128 + 1) + number)).collect();
        for person in &people {
            let epochs: Vec<i32> = (0..=draw.below(4))
                .map(|_| 100 * (2020 + draw.below(7) as i32) + 1 + draw.below(12) as i32)
                .collect();
            old_keys(&node, class, &[*person], &epochs).await;
        }
        let held: Vec<Uuid> = people.iter().copied().filter(|_| draw.below(4) == 0).collect();
        if !held.is_empty() {
            node.hold(&held, &[class]).await;
        }
        let idle = draw.below(2) == 0;
        let after = if idle { RetentionStart::LastActivity } else { RetentionStart::Event };
        policy_of(&node, class, after, 30 + draw.below(1000) as u32).await;
        let mut before = Vec::new();
        for person in &people {
            before.push(epochs_of(&node, class, *person).await);
        }
        let dry = run_of(&mut node, class, true).await;
        for (person, epochs) in people.iter().zip(&before) {
            assert_eq!(epochs_of(&node, class, *person).await, *epochs, "a dry run destroys nothing");
        }
        let real = run_of(&mut node, class, false).await;
        assert_eq!(dry, real, "{class:?}");
        let told = real[0].as_array().unwrap();
        for (person, epochs) in people.iter().zip(&before) {
            let left = epochs_of(&node, class, *person).await;
            let said = told.iter().find(|action| action["subject"] == person.to_string());
            match said.map(|action| action["outcome"].as_str().unwrap()) {
                Some("applied") => {
                    let gone = said.unwrap()["count"].as_u64().unwrap() as usize;
                    assert_eq!(left.len() + gone, epochs.len(), "{class:?}");
                    assert!(gone > 0 && !held.contains(person) && (!idle || left.is_empty()));
                }
                Some("held_back") => assert!(held.contains(person) && left == *epochs),
                None => assert_eq!(left, *epochs),
                Some(other) => panic!("{other}"),
            }
        }
    }
}

#[tokio::test]
async fn gov_r3_a_run_that_was_cut_off_goes_on_where_it_was_and_counts_everything_once() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    let people: Vec<Uuid> = (0..200).map(|number| Uuid::from_u128(0x500 + number)).collect();
    old_keys(&node, RecordClass::Device, &people, &[202001, 202002]).await;
    node.hold(&people[..3], &[RecordClass::Device]).await;
    policy_of(&node, RecordClass::Device, RetentionStart::Event, 90).await;
    let dry = run_of(&mut node, RecordClass::Device, true).await;

    let id = Uuid::now_v7();
    let mut news = node.commands.store().subscribe_head();
    start_run(&node, RecordClass::Device, id, false).await;
    // Some are destroyed and counted, one perhaps is destroyed and not counted, and the others are not.
    while node.events("RetentionActionApplied").await.len() < 200 + 5 {
        news.changed().await.unwrap();
    }
    node.policies.abort();
    assert!(node.policies.await.unwrap_err().is_cancelled());
    let mut node = Node::start(database.store().await.unwrap()).await;
    assert!(node.events("RetentionActionApplied").await.len() < 2 * 200, "it was cut off in the middle");
    node.settled().await;
    let real = what_was_told(&node, id, false).await;
    assert_eq!(sorted(&dry), sorted(&real));
    assert_eq!(real[1][0]["affected"], 2 * 197);
    for (number, person) in people.iter().enumerate() {
        assert_eq!(epochs_of(&node, RecordClass::Device, *person).await.is_empty(), number >= 3);
    }
}

fn sorted(told: &Value) -> Vec<String> {
    let all = told.as_array().unwrap().iter().flat_map(|events| events.as_array().unwrap());
    let mut all: Vec<String> = all.map(Value::to_string).collect();
    all.sort();
    all
}

#[tokio::test]
async fn p_50_demographics_go_30_days_after_they_were_withdrawn_and_not_declared_anew() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    let (ada, ben, cleo) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    for person in [ada, ben, cleo] {
        let own = || Request::by(Actor::user(person, &["student"]));
        let grant = ConsentLedgerCommand::GrantConsent {
            purpose: ConsentPurpose::BiasMonitoring,
            text_version: "1".into(),
            text_hash: domain::sha256_hex("the text"),
            until: None,
        };
        node.commands.execute::<ConsentLedger>(person, grant, &own()).await.unwrap();
        let declare: ProfileCommand = serde_json::from_value(json!({ "DeclareDemographics": {
            "attributes": { "gender": "female" }, "consent": person } }))
        .unwrap();
        node.commands.execute::<Profile>(person, declare.clone(), &own()).await.unwrap();
        if person != ben {
            let withdraw = ProfileCommand::WithdrawDemographics {};
            node.commands.execute::<Profile>(person, withdraw, &own()).await.unwrap();
        }
        if person == cleo {
            node.commands.execute::<Profile>(person, declare, &own()).await.unwrap();
        }
    }
    old_keys(&node, RecordClass::Sensitive, &[ada, ben, cleo], &[202012]).await;
    policy_of(&node, RecordClass::Sensitive, RetentionStart::Closure, 30).await;
    node.settled().await;
    let early = run_of(&mut node, RecordClass::Sensitive, false).await;
    assert_eq!((&early[0], &early[1][0]["failed"]), (&json!([]), &json!(0)), "it was withdrawn today");
    age(&node, 31).await;
    let run = run_of(&mut node, RecordClass::Sensitive, false).await;
    assert_eq!(run[0][0]["subject"], ada.to_string(), "{run}");
    assert_eq!(run[0].as_array().unwrap().len(), 1, "{run}");
    assert!(!epochs_of(&node, RecordClass::Sensitive, ada).await.contains(&202012));
    assert!(epochs_of(&node, RecordClass::Sensitive, ben).await.contains(&202012));
    assert!(epochs_of(&node, RecordClass::Sensitive, cleo).await.contains(&202012));
}

#[tokio::test]
async fn p_50_education_records_are_kept_for_seven_years_after_graduation() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    let (ada, ben, cleo) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    for (person, year) in [(ada, 2010), (ben, 2025)] {
        let facet = json!({ "student_no": "S1", "major": "Physics", "grad_year": year, "source": "self" });
        let set: ProfileCommand = serde_json::from_value(json!({ "SetStudentFacet": facet })).unwrap();
        let own = Request::by(Actor::user(person, &["student"]));
        node.commands.execute::<Profile>(person, set, &own).await.unwrap();
    }
    // Of Cleo it is not known when she graduated.
    old_keys(&node, RecordClass::Education, &[ada, ben, cleo], &[201012]).await;
    policy_of(&node, RecordClass::Education, RetentionStart::Graduation, 2555).await;
    let run = run_of(&mut node, RecordClass::Education, false).await;
    let told: Vec<&Value> = run[0].as_array().unwrap().iter().map(|action| &action["subject"]).collect();
    assert_eq!(told, [&json!(ada)], "{run}");
    assert!(epochs_of(&node, RecordClass::Education, ben).await.contains(&201012));
}

#[tokio::test]
async fn p_50_what_a_hold_kept_from_an_erasure_goes_when_the_hold_is_over() {
    let database = testing::database().await;
    // The hold comes between the approval and what the policies do about it.
    let store = database.store().await.unwrap();
    let node = Node::idle(store.clone());
    node.headline(ANNA).await;
    old_keys(&node, RecordClass::Profile, &[ANNA, BERT], &[202012]).await;
    let request = Uuid::now_v7();
    let own = || Request::by(Actor::user(ANNA, &["student"]));
    let open: PrivacyRequestCommand = serde_json::from_value(json!({ "OpenPrivacyRequest": {
        "subject": ANNA, "regime": "gdpr", "type": "erasure", "classes": ["profile"] } }))
    .unwrap();
    node.commands.execute::<PrivacyRequest>(request, open, &own()).await.unwrap();
    let verify = PrivacyRequestCommand::VerifyRequester { method: Verification::Session, proof: None };
    node.commands.execute::<PrivacyRequest>(request, verify, &own()).await.unwrap();
    let approve = PrivacyRequestCommand::ApprovePrivacyRequest { note: None, classes: None };
    node.commands.execute::<PrivacyRequest>(request, approve, &compliance()).await.unwrap();
    let hold = node.hold(&[ANNA], &[RecordClass::Profile]).await;
    let mut node = Node::start(store).await;
    node.settled().await;
    assert_eq!(epochs_of(&node, RecordClass::Profile, ANNA).await.len(), 2, "the hold wins");
    policy_of(&node, RecordClass::Profile, RetentionStart::Closure, 30).await;
    age(&node, 31).await;
    let held = run_of(&mut node, RecordClass::Profile, false).await;
    assert_eq!((&held[0][0]["outcome"], &held[1][0]["held"]), (&json!("held_back"), &json!(1)));
    let release = LegalHoldCommand::ReleaseLegalHold { reason: "settled".into() };
    node.commands.execute::<LegalHold>(hold, release, &compliance()).await.unwrap();
    let run = run_of(&mut node, RecordClass::Profile, false).await;
    assert_eq!((&run[0][0]["subject"], &run[0][0]["outcome"]), (&json!(ANNA), &json!("applied")));
    assert_eq!(epochs_of(&node, RecordClass::Profile, ANNA).await.len(), 1, "this year's epoch is not over");
    assert_eq!(epochs_of(&node, RecordClass::Profile, BERT).await, [202012], "Bert asked for nothing");
}

#[tokio::test]
async fn p_50_what_is_archived_is_out_of_daily_use_on_every_node_and_still_part_of_history() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    let other = database.store().await.unwrap();
    node.headline(ANNA).await;
    node.headline(BERT).await;
    let events = node.commands.store().read_all(0, 100).await.unwrap();
    let of = |person: Uuid| {
        events
            .iter()
            .find(|e| *e.stream.aggregate_id == *person.to_string() && e.event_type == "ProfileRevised")
    };
    let (anna, bert) = (of(ANNA).unwrap().clone(), of(BERT).unwrap().clone());
    other.keyring().load_for(&events).await.unwrap();
    let opens = |store: &event_store::EventStore, event: &event_store::Recorded| {
        let opened = store.keyring().open(event).unwrap();
        opened.iter().all(Option::is_some) && !opened.is_empty()
    };
    assert!(opens(&other, &anna) && opens(&other, &bert));
    // Keys of this year, which is not over: the run is about those of an older epoch, and moves none of these.
    old_keys(&node, RecordClass::Profile, &[ANNA, BERT], &[202012]).await;
    node.hold(&[BERT], &[RecordClass::Profile]).await;
    acting(&node, RecordClass::Profile, RetentionStart::Event, 30, RetentionAction::Archive).await;
    let dry = run_of(&mut node, RecordClass::Profile, true).await;
    assert_eq!(archived(&node).await, []);
    let real = run_of(&mut node, RecordClass::Profile, false).await;
    assert_eq!(dry, real);
    assert_eq!((&real[1][0]["affected"], &real[1][0]["held"]), (&json!(1), &json!(1)));
    assert_eq!(archived(&node).await, [(ANNA, last_epoch_that_is_over())]);
    assert!(opens(&other, &anna), "this year's key is in use");
    let again = run_of(&mut node, RecordClass::Profile, false).await;
    assert_eq!(
        (&again[1][0]["affected"], &again[1][0]["held"]),
        (&json!(0), &json!(1)),
        "it is there already"
    );

    // Now this year is over as well.
    let keyring = node.commands.store().keyring();
    keyring.archive(ANNA, "profile", Epoch::from_number(999_912)).await.unwrap();
    let elsewhere = async {
        while opens(&other, &anna) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), elsewhere).await.unwrap();
    let read_again = database.store().await.unwrap();
    read_again.keyring().load_for(&events).await.unwrap();
    assert!(!opens(&read_again, &anna) && opens(&read_again, &bert));
    let history = read_again.keyring().history();
    history.load_for(&events).await.unwrap();
    assert!(history.open(&anna).unwrap().iter().all(Option::is_some), "whoever looks into history reads it");
    assert!(!read_again.keyring().is_erased(ANNA, "profile").await.unwrap(), "nothing was destroyed");
    keyring.shred(ANNA, Classes::Only(&["profile"]), Basis::Erasure).await.unwrap();
    let history = read_again.keyring().history();
    history.load_for(&events).await.unwrap();
    assert!(
        history.open(&anna).unwrap().iter().all(Option::is_none),
        "what is destroyed is no history either"
    );
}

async fn archived(node: &Node) -> Vec<(Uuid, i32)> {
    let sql = "SELECT subject, through FROM annals_keys.archives ORDER BY id";
    sqlx::query_as(sql).fetch_all(node.commands.store().pool()).await.unwrap()
}

/// The last month that had ended 30 days ago.
fn last_epoch_that_is_over() -> i32 {
    let day = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = day.checked_sub(jiff::Span::new().days(30)).unwrap();
    let ended = if day == day.last_of_month() { day } else { day.first_of_month().yesterday().unwrap() };
    i32::from(ended.year()) * 100 + i32::from(ended.month())
}
