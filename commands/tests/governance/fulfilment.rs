//! P-53: what follows an erasure, and what happens when it does not come to its end.

use domain::{
    ReceivedBy, Recipient,
    governance::{
        Disclosure, DisclosureCommand, NoticeStatus, RecipientNotice, RecipientNoticeCommand,
        STALLED_AFTER_HOURS,
    },
};

use super::{retention::old_keys, *};

const CLEO: Uuid = Uuid::from_u128(0xC1E0);

/// Whoever received data of a person: of Cleo, two.
pub(super) fn recipients(subject: Uuid) -> Vec<Recipient> {
    let recipient = |reference, by| Recipient {
        by,
        reference: Uuid::from_u128(reference),
        account: None,
        records: Vec::new(),
    };
    match subject {
        CLEO => vec![recipient(1, ReceivedBy::Disclosure), recipient(2, ReceivedBy::Export)],
        _ => Vec::new(),
    }
}

/// Signs nothing for now: where its key is kept cannot be reached.
struct Away;

impl Certifier for Away {
    fn sign(&self, _: &Value) -> Result<String, PortError> {
        Err(PortError { port: "certifier", reason: "it cannot be reached".into() })
    }
}

/// A request for an erasure; none means all classes.
fn erasure(person: Uuid, classes: &[RecordClass]) -> PrivacyRequestCommand {
    let classes: Vec<&str> = classes.iter().map(|class| class.name()).collect();
    serde_json::from_value(json!({ "OpenPrivacyRequest": {
        "subject": person, "regime": "gdpr", "type": "erasure", "classes": classes } }))
    .unwrap()
}

/// A request for an erasure that the person opened and verified.
async fn asked(node: &Node, person: Uuid, classes: &[RecordClass]) -> Uuid {
    let request = Uuid::now_v7();
    let own = || Request::by(Actor::user(person, &["student"]));
    node.commands.execute::<PrivacyRequest>(request, erasure(person, classes), &own()).await.unwrap();
    let verify = PrivacyRequestCommand::VerifyRequester { method: Verification::Session, proof: None };
    node.commands.execute::<PrivacyRequest>(request, verify, &own()).await.unwrap();
    request
}

/// Approves a request for these classes, or for all that it asks for.
async fn approve(node: &Node, request: Uuid, classes: Option<Vec<RecordClass>>) {
    let note = classes.is_some().then(|| "a legal hold keeps the others".to_owned());
    let approve = PrivacyRequestCommand::ApprovePrivacyRequest { note, classes };
    node.commands.execute::<PrivacyRequest>(request, approve, &compliance()).await.unwrap();
}

/// An approved erasure of a class.
async fn erasing(node: &Node, person: Uuid, class: RecordClass) -> Uuid {
    let request = asked(node, person, &[class]).await;
    approve(node, request, None).await;
    request
}

/// What came of the keys of a class, as it was recorded.
async fn outcomes(node: &Node, request: Uuid, class: RecordClass) -> Vec<Value> {
    let (request, context) = (request.to_string(), format!("keys of {}", class.name()));
    let steps = node.events("FulfilmentStepRecorded").await.into_iter();
    let own = steps.filter(|(id, step)| *id == request && step["context"] == context);
    own.map(|(_, step)| step["outcome"].clone()).collect()
}

async fn timers(node: &Node, policy: &str) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM annals.timers WHERE policy = $1").bind(policy);
    count.fetch_one(node.commands.store().pool()).await.unwrap()
}

/// The timers of a policy come due now.
async fn pass(node: &Node, policy: &str) {
    let due = sqlx::query("UPDATE annals.timers SET due_at = now() WHERE policy = $1").bind(policy);
    due.execute(node.commands.store().pool()).await.unwrap();
}

#[tokio::test]
async fn art_19_an_erasure_is_owed_to_every_recipient_and_each_notice_is_watched_until_it_is_settled() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    old_keys(&node, RecordClass::Education, &[CLEO], &[202012]).await;
    let request = erasing(&node, CLEO, RecordClass::Education).await;
    node.settled().await;
    let owed = until(&node, "RecipientNoticeOwed", 2).await;
    assert_eq!(owed.len(), 2);
    for (_, notice) in &owed {
        assert_eq!((&notice["request"], &notice["classes"]), (&json!(request), &json!(["education"])));
    }
    node.settled().await;
    assert_eq!(timers(&node, "watch_notices").await, 2 * 3, "7 and 2 days before it is due, and then");
    for (id, _) in &owed {
        let tell =
            RecipientNoticeCommand::TellRecipient { method: "letter".into(), at: jiff::Timestamp::now() };
        let id = id.parse().unwrap();
        node.commands.execute::<RecipientNotice>(id, tell, &compliance()).await.unwrap();
    }
    node.settled().await;
    assert_eq!(timers(&node, "watch_notices").await, 0);
}

#[tokio::test]
async fn art_19_a_recipient_whose_mail_was_refused_is_not_told_and_stays_due() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    old_keys(&node, RecordClass::Education, &[CLEO], &[202012]).await;
    let request: DisclosureCommand = serde_json::from_value(json!({ "RequestDisclosure": {
        "subject": CLEO, "party": "Acme", "party_kind": "other_school", "records": ["transcript"],
        "interest": "A transfer", "basis": "99.31(a)(2)", "redisclosure_to": [],
        "address": "records@refused.example" } }))
    .unwrap();
    node.commands.execute::<Disclosure>(Uuid::from_u128(1), request, &compliance()).await.unwrap();
    erasing(&node, CLEO, RecordClass::Education).await;
    let (id, undelivered) = until(&node, "RecipientNoticeUndelivered", 1).await.remove(0);
    assert_eq!(undelivered["reason"], "the mail is refused: there is none");
    node.settled().await;
    let notice = node.commands.state::<RecipientNotice>(id.parse().unwrap()).await.unwrap();
    assert_eq!(notice.state.status, NoticeStatus::Owed);
    assert_eq!(node.events("RecipientTold").await, []);
    assert_eq!(timers(&node, "watch_notices").await, 2 * 3, "it is escalated like one without an address");
}

#[tokio::test]
async fn p_53_an_erasure_that_stands_still_is_escalated_each_day_and_its_destruction_is_never_given_up() {
    let database = testing::database().await;
    let mut node = Node::start_with(database.store().await.unwrap(), Arc::new(Away), 0);
    node.headline(ANNA).await;
    erasing(&node, ANNA, RecordClass::Profile).await;
    node.settled().await;
    assert_eq!(node.events("PrivacyRequestCompleted").await, []);
    for hours in [STALLED_AFTER_HOURS, 2 * STALLED_AFTER_HOURS] {
        node.settled().await;
        pass(&node, "watch_fulfilment").await;
        let times = (hours / STALLED_AFTER_HOURS) as usize;
        let stalled = until(&node, "FulfilmentStalled", times).await;
        let (_, last) = &stalled[times - 1];
        assert_eq!((&last["hours"], &last["waiting"]), (&json!(hours), &json!(["keys of profile"])));
    }
    // What else fails for a day is parked; a destruction goes on being tried.
    let pool = node.commands.store().pool().clone();
    let attempts = "SELECT attempts FROM annals.policy_backlog WHERE policy = 'destroy_keys' AND NOT parked";
    let old = "UPDATE annals.policy_backlog SET since = now() - interval '10 days', due_at = now()";
    let before: i32 = sqlx::query_scalar(attempts).fetch_one(&pool).await.unwrap();
    sqlx::query(old).execute(&pool).await.unwrap();
    let tried = async {
        while sqlx::query_scalar::<_, i32>(attempts).fetch_one(&pool).await.unwrap() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tried).await.unwrap();
    // And comes to its end as soon as it can.
    node.policies.abort();
    let _ = (&mut node.policies).await;
    let node = Node::start(database.store().await.unwrap()).await;
    sqlx::query("UPDATE annals.policy_backlog SET due_at = now()").execute(&pool).await.unwrap();
    until(&node, "PrivacyRequestCompleted", 1).await;
}

#[tokio::test]
async fn p_53_what_proves_who_somebody_is_goes_with_who_they_are_and_was_not_refused() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    let request = asked(&node, ANNA, &[]).await;
    let kept = [RecordClass::Secret, RecordClass::Financial];
    let named = RecordClass::ALL.into_iter().filter(|class| !kept.contains(class)).collect();
    approve(&node, request, Some(named)).await;
    node.settled().await;
    assert_eq!(node.events("PrivacyRequestApproved").await[0].1["refused"], json!(["financial"]));
    assert_eq!(outcomes(&node, request, RecordClass::Secret).await, ["partial", "nothing"]);
    assert_eq!(outcomes(&node, request, RecordClass::Financial).await, ["refused"]);
    assert_eq!(node.events("PrivacyRequestCompleted").await.len(), 1);
    let keyring = node.commands.store().keyring();
    assert!(keyring.is_erased(ANNA, "secret").await.unwrap());
    assert!(!keyring.is_erased(ANNA, "financial").await.unwrap());
}

#[tokio::test]
async fn gov_p4_what_a_hold_kept_is_erased_when_it_is_released_though_who_it_was_is_erased_already() {
    let database = testing::database().await;
    let mut node = Node::start(database.store().await.unwrap()).await;
    node.headline(ANNA).await;
    let hold = node.hold(&[ANNA], &[RecordClass::Profile]).await;
    let both = [RecordClass::Identity, RecordClass::Profile];
    let first = asked(&node, ANNA, &both).await;
    approve(&node, first, Some(vec![RecordClass::Identity])).await;
    node.settled().await;
    let keyring = node.commands.store().keyring().clone();
    assert!(keyring.is_erased(ANNA, "identity").await.unwrap());
    assert!(!keyring.is_erased(ANNA, "profile").await.unwrap());
    let release = LegalHoldCommand::ReleaseLegalHold { reason: "settled".into() };
    node.commands.execute::<LegalHold>(hold, release, &compliance()).await.unwrap();

    let issue = async |request: Uuid, command: PrivacyRequestCommand, by: &Request| {
        node.commands.execute::<PrivacyRequest>(request, command, by).await.map(drop)
    };
    // What has words of the person in it is not recorded: there is no key for them.
    let mut worded = serde_json::to_value(erasure(ANNA, &both)).unwrap();
    worded["OpenPrivacyRequest"]["details"] = json!("All of it");
    let worded: PrivacyRequestCommand = serde_json::from_value(worded).unwrap();
    let refused = issue(Uuid::now_v7(), worded, &compliance()).await;
    assert!(matches!(refused, Err(CommandError::SubjectErased)), "{refused:?}");
    // The person asks, or staff do for them.
    let own = || Request::by(Actor::user(ANNA, &["student"]));
    let mine = Uuid::now_v7();
    issue(mine, erasure(ANNA, &both), &own()).await.unwrap();
    issue(mine, PrivacyRequestCommand::CancelPrivacyRequest {}, &own()).await.unwrap();
    let rest = Uuid::now_v7();
    issue(rest, erasure(ANNA, &both), &compliance()).await.unwrap();
    let verify = PrivacyRequestCommand::VerifyRequester { method: Verification::Document, proof: None };
    let second = Request::by(Actor::user(Uuid::from_u128(0xC2), &["compliance"]));
    issue(rest, verify, &second).await.unwrap();
    approve(&node, rest, None).await;
    node.settled().await;
    assert_eq!(outcomes(&node, rest, RecordClass::Profile).await, ["partial", "done"]);
    for gone in [RecordClass::Identity, RecordClass::Secret] {
        assert_eq!(outcomes(&node, rest, gone).await, ["partial", "nothing"]);
    }
    assert_eq!(node.events("PrivacyRequestCompleted").await.len(), 2);
    assert!(keyring.is_erased(ANNA, "profile").await.unwrap());
}
