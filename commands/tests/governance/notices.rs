//! To whom mail goes: the people whom a breach puts at risk (Art. 34), and whoever asked (GOV-P2).

use std::sync::Mutex;

use commands::ports::{Mail, Mailer, Undelivered};
use domain::{
    Stated,
    governance::{IncidentKind, SecurityIncident, SecurityIncidentCommand, Severity},
    identity::{Account, AccountCommand, TokenPurpose, account_token_label},
};

use super::*;

/// Keeps what it is to send.
#[derive(Default)]
struct Outbox(Mutex<Vec<Mail>>);

impl Mailer for Outbox {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), Undelivered>> {
        self.0.lock().unwrap().push(mail.clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Ports whose mail is kept.
fn ports_to(outbox: &Arc<Outbox>) -> Ports {
    let others = ports::with(Arc::new(PlainCertifier));
    Ports {
        mailer: outbox.clone(),
        tokens: others.tokens.clone(),
        certifier: others.certifier.clone(),
        embedding: others.embedding.clone(),
    }
}

fn registration(email: &str) -> AccountCommand {
    AccountCommand::RegisterAccount {
        email: Stated(email.into()),
        email_hmac: Stated(domain::sha256_hex("anna")),
        password_hash: Stated("$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g".into()),
        display_name: Stated("Anna".into()),
        country: "US".into(),
        locale: "en-US".into(),
        tz: "UTC".into(),
    }
}

#[tokio::test]
async fn art_34_whoever_is_not_reached_by_mail_is_on_record_and_keeps_nobody_else_from_being_told() {
    let database = testing::database().await;
    let node = Node::start(database.store().await.unwrap()).await;
    let register = registration("anna@refused.example");
    let system = Request::by(Actor::policy("test"));
    node.commands.execute::<Account>(ANNA, register, &system).await.unwrap();
    let open = SecurityIncidentCommand::OpenSecurityIncident {
        kind: IncidentKind::DataBreach,
        severity: Severity::High,
        summary: "A list was mailed to a stranger".into(),
        evidence: vec![],
        aware_at: None,
    };
    let classify = SecurityIncidentCommand::ClassifyIncident {
        personal_data: true,
        high_risk: true,
        // Bert has no account.
        subjects: vec![ANNA, BERT],
        classes: vec![],
        reasons: None,
    };
    let notify = SecurityIncidentCommand::NotifySubjects { template: "breach_notice".into() };
    let incident = Uuid::now_v7();
    for command in [open, classify, notify] {
        node.commands.execute::<SecurityIncident>(incident, command, &compliance()).await.unwrap();
    }
    let (_, told) = until(&node, "SubjectNoticesMailed", 1).await.remove(0);
    let mut unreachable = [ANNA, BERT];
    unreachable.sort_unstable();
    assert_eq!(told, json!({ "mailed": 0, "unreachable": unreachable }));
}

#[tokio::test]
async fn art_34_whoever_is_added_to_a_breach_after_the_people_were_told_is_told_and_nobody_twice() {
    let database = testing::database().await;
    let outbox = Arc::new(Outbox::default());
    let mut node = Node::start_at(database.store().await.unwrap(), Arc::new(ports_to(&outbox)), 0);
    for (person, email) in [(ANNA, "anna@example.org"), (BERT, "bert@example.org")] {
        let mut register = registration(email);
        if let AccountCommand::RegisterAccount { email_hmac, .. } = &mut register {
            *email_hmac = Stated(domain::sha256_hex(email));
        }
        let system = Request::by(Actor::policy("test"));
        node.commands.execute::<Account>(person, register, &system).await.unwrap();
    }
    let incident = Uuid::now_v7();
    let open = SecurityIncidentCommand::OpenSecurityIncident {
        kind: IncidentKind::DataBreach,
        severity: Severity::High,
        summary: "A list was mailed to a stranger".into(),
        evidence: vec![],
        aware_at: None,
    };
    node.commands.execute::<SecurityIncident>(incident, open, &compliance()).await.unwrap();
    for subjects in [vec![ANNA], vec![ANNA, BERT]] {
        let classify = SecurityIncidentCommand::ClassifyIncident {
            personal_data: true,
            high_risk: true,
            subjects,
            classes: vec![],
            reasons: None,
        };
        let notify = SecurityIncidentCommand::NotifySubjects { template: "breach_notice".into() };
        for command in [classify, notify] {
            node.commands.execute::<SecurityIncident>(incident, command, &compliance()).await.unwrap();
        }
    }
    let mailed = until(&node, "SubjectNoticesMailed", 2).await;
    let one = json!({ "mailed": 1, "unreachable": [] });
    assert!(mailed.iter().all(|(_, told)| *told == one), "{mailed:?}");
    node.settled().await;
    let reference = incident.to_string();
    let mails = outbox.0.lock().unwrap();
    let told: Vec<&str> =
        mails.iter().filter(|mail| mail.text.contains(&reference)).map(|mail| &*mail.to).collect();
    assert_eq!(told, ["anna@example.org", "bert@example.org"]);
}

#[tokio::test]
async fn gov_p2_the_code_and_the_notices_go_to_the_verified_address_and_only_without_one_to_that_on_file() {
    let database = testing::database().await;
    let outbox = Arc::new(Outbox::default());
    let mut node = Node::start_at(database.store().await.unwrap(), Arc::new(ports_to(&outbox)), 0);
    let system = || Request::by(Actor::policy("test"));
    node.commands.execute::<Account>(ANNA, registration("anna@example.org"), &system()).await.unwrap();

    let told = async |node: &mut Node, r#type| {
        let request = Uuid::now_v7();
        let open = PrivacyRequestCommand::OpenPrivacyRequest {
            subject: ANNA,
            regime: PrivacyRegime::Gdpr,
            r#type,
            details: None,
            classes: vec![],
            records: vec![],
            address: Some(Stated("typed@example.org".into())),
            purposes: vec![],
            received_at: None,
        };
        let extend = PrivacyRequestCommand::ExtendPrivacyRequest { months: 1, reason: "Much to do.".into() };
        for command in [open, extend] {
            node.commands.execute::<PrivacyRequest>(request, command, &compliance()).await.unwrap();
        }
        node.settled().await;
        let reference = request.to_string();
        let mails = outbox.0.lock().unwrap();
        let about = mails.iter().filter(|mail| mail.text.contains(&reference));
        about.map(|mail| mail.to.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut node, PrivacyRequestType::Access).await, ["typed@example.org"; 2], "not verified");
    let (_, registered) = node.events("AccountRegistered").await.remove(0);
    let token_id = registered["token_id"].as_str().unwrap().parse().unwrap();
    let token = Stated(account_token_label(TokenPurpose::VerifyEmail, ANNA, token_id));
    let verify = AccountCommand::VerifyEmail { token };
    node.commands.execute::<Account>(ANNA, verify, &system()).await.unwrap();
    assert_eq!(told(&mut node, PrivacyRequestType::Rectification).await, ["anna@example.org"; 2]);
}
