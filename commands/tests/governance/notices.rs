//! Art. 34: the people whom a breach puts at risk.

use domain::{
    Stated,
    governance::{IncidentKind, SecurityIncident, SecurityIncidentCommand, Severity},
    identity::{Account, AccountCommand},
};

use super::*;

#[tokio::test]
async fn art_34_whoever_is_not_reached_by_mail_is_on_record_and_keeps_nobody_else_from_being_told() {
    let database = testing::database().await;
    let node = Node::start(database.store().await.unwrap()).await;
    let register = AccountCommand::RegisterAccount {
        email: Stated("anna@refused.example".into()),
        email_hmac: Stated(domain::sha256_hex("anna")),
        password_hash: Stated("$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g".into()),
        display_name: Stated("Anna".into()),
        country: "US".into(),
        locale: "en-US".into(),
        tz: "UTC".into(),
    };
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
