//! Anomalies: signs that mean nothing each by itself, and an incident when they gather (GOV-I2). Some mean enough alone.
//!
//! A sign is kept in a table of its own until its window is over, under what it is a sign of and by whom. It is kept once,
//! however often its event is delivered and on however many nodes, so that the count is that of the log. Where an incident
//! follows from so many accounts, the signs of one account count once. The incident's id follows from the kind, the person
//! and the window: there is one for each, whoever opens it.

use domain::{
    derived_id,
    governance::{
        AccessLogEvent, AuditReplayEvent, DisclosureEvent, IncidentKind, SecurityIncidentCommand, Severity,
    },
    identity::{AccountEvent, Session, SessionEvent},
    registry::{AnyCommand, AnyEvent},
};
use jiff::SignedDuration;
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reactions, World};
use crate::CommandError;

/// How many signs an incident names as its evidence, at most.
const EVIDENCE: usize = 100;

/// What signs are of, and when there are too many of them.
pub(super) struct Anomaly {
    /// Its name, which signs are stored under.
    name: &'static str,
    /// How many different things that are counted open an incident.
    threshold: usize,
    /// Within which time.
    within: SignedDuration,
    kind: IncidentKind,
    severity: Severity,
    /// What the incident says, without personal data: its evidence says who.
    summary: &'static str,
}

/// GOV-I2: 20 denials of personal data by one actor in 10 minutes.
const DENIALS: Anomaly = Anomaly {
    name: "denials",
    threshold: 20,
    within: SignedDuration::from_mins(10),
    kind: IncidentKind::Abuse,
    severity: Severity::High,
    summary: "One caller was denied personal data 20 times within 10 minutes",
};

impl Anomaly {
    /// Takes a sign down; the incident, where it is one too many. `who` is whoever the signs gather by: it is stored as a
    /// keyed hash, for it may be an address. `counts` is what counts once, however many signs of it there are.
    pub(super) async fn sign(
        &self,
        who: &str,
        counts: Uuid,
        fact: &Fact,
        world: &World,
    ) -> Result<Option<Issue>, CommandError> {
        let who = world.ports().tokens.token(&format!("anomaly|{}|{who}", self.name));
        let within = self.within.as_micros();
        let at = i128::from(fact.recorded_at.as_microsecond());
        let signs = self.gathered(&who, (fact.event_id, counts), (at, within), world).await?;
        if signs.len() < self.threshold {
            return Ok(None);
        }
        let window = (at / within).to_string();
        let incident = derived_id(&["incident", self.name, &who, &window]);
        let open = SecurityIncidentCommand::OpenSecurityIncident {
            kind: self.kind,
            severity: self.severity,
            summary: self.summary.to_owned(),
            evidence: signs,
            aware_at: None,
        };
        // Refused where the window has its incident already.
        Ok(Some(Issue::new(incident, AnyCommand::SecurityIncident(open), "incident")))
    }

    /// Keeps a sign, and answers those of its window up to it, one for each thing that is counted, the newest first. Those
    /// that are long over go.
    async fn gathered(
        &self,
        who: &str,
        (sign, counts): (Uuid, Uuid),
        (at, within): (i128, i128),
        world: &World,
    ) -> Result<Vec<Uuid>, CommandError> {
        let pool = world.commands().store().pool();
        let micros = |instant: i128| i64::try_from(instant).unwrap_or(i64::MAX);
        let signs = sqlx::query_scalar(include_str!("../sql/gathered_signs.sql"));
        sqlx::query(include_str!("../sql/keep_sign.sql"))
            .bind(self.name)
            .bind(who)
            .bind(sign)
            .bind(counts)
            .bind(micros(at))
            // Whoever catches up on an outage looks at older windows.
            .bind(micros(at - 144 * within))
            .execute(pool)
            .await
            .map_err(broken)?;
        signs
            .bind(self.name)
            .bind(who)
            .bind(micros(at - within))
            .bind(micros(at))
            .bind(EVIDENCE as i64)
            .fetch_all(pool)
            .await
            .map_err(broken)
    }
}

fn broken(error: sqlx::Error) -> CommandError {
    event_store::StoreError::from(error).into()
}

/// GOV-I2: whoever keeps asking for personal data that is not for them is looked into.
pub(super) struct WatchDenials;

impl Policy for WatchDenials {
    fn name(&self) -> &'static str {
        "watch_denials"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["AccessDenied"]
    }

    /// Those of one person come one after the other.
    fn lane(&self, fact: &Fact) -> Uuid {
        denied(fact).unwrap_or(fact.id)
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            // A stranger without a token is nobody whose signs could gather.
            let Some(actor) = denied(fact) else { return Ok(Vec::new()) };
            let incident = DENIALS.sign(&actor.to_string(), fact.event_id, fact, world).await?;
            Ok(incident.map(Into::into).into_iter().collect())
        })
    }
}

/// GOV-I2: 50 failed logins from one address in 10 minutes.
const FAILED_LOGINS: Anomaly = Anomaly {
    name: "failed_logins",
    threshold: 50,
    within: SignedDuration::from_mins(10),
    kind: IncidentKind::AuthAnomaly,
    severity: Severity::High,
    summary: "50 logins from one address failed within 10 minutes",
};

/// GOV-I2: 10 accounts locked in 10 minutes.
const LOCKED_ACCOUNTS: Anomaly = Anomaly {
    name: "locked_accounts",
    threshold: 10,
    within: SignedDuration::from_mins(10),
    kind: IncidentKind::AuthAnomaly,
    severity: Severity::High,
    summary: "10 accounts were locked within 10 minutes",
};

/// GOV-I2: refresh tokens of five accounts used twice in an hour.
const REUSED_TOKENS: Anomaly = Anomaly {
    name: "reused_tokens",
    threshold: 5,
    within: SignedDuration::from_hours(1),
    kind: IncidentKind::AuthAnomaly,
    severity: Severity::Critical,
    summary: "The refresh tokens of five accounts were used twice within an hour",
};

/// GOV-I2: a security key that may have been copied.
const COPIED_KEY: Anomaly = Anomaly {
    name: "copied_key",
    threshold: 1,
    within: SignedDuration::from_mins(10),
    kind: IncidentKind::AuthAnomaly,
    severity: Severity::High,
    summary: "A security key may have been copied",
};

/// P-02, GOV-I2: whoever tries logins, and whatever proves who somebody is and was copied, is looked into.
pub(super) struct WatchLogins;

impl Policy for WatchLogins {
    fn name(&self) -> &'static str {
        "watch_logins"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["AccessDenied", "AccountLocked", "RefreshTokenReuseDetected", "WebAuthnCloneSuspected"]
    }

    /// Signs of many people gather: all of them come one after the other.
    fn lane(&self, _: &Fact) -> Uuid {
        derived_id(&["watch_logins"])
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let everybody = || "everybody".to_owned();
            let (anomaly, who, counts) = match &fact.event {
                AnyEvent::AccessLog(AccessLogEvent::AccessDenied { reason, ip, .. })
                    if reason == "LoginRefused" =>
                {
                    match ip.get().filter(|ip| !ip.is_empty()) {
                        Some(ip) => (FAILED_LOGINS, ip.clone(), fact.event_id),
                        None => return Ok(Vec::new()),
                    }
                }
                AnyEvent::Account(AccountEvent::AccountLocked { .. }) => {
                    (LOCKED_ACCOUNTS, everybody(), fact.id)
                }
                AnyEvent::Account(AccountEvent::WebAuthnCloneSuspected { .. }) => {
                    (COPIED_KEY, fact.id.to_string(), fact.event_id)
                }
                AnyEvent::Session(SessionEvent::RefreshTokenReuseDetected { .. }) => {
                    let session = world.state::<Session>(fact.id).await?.state;
                    (REUSED_TOKENS, everybody(), session.account.unwrap_or(fact.id))
                }
                _ => return Ok(Vec::new()),
            };
            let incident = anomaly.sign(&who, counts, fact, world).await?;
            Ok(incident.map(Into::into).into_iter().collect())
        })
    }
}

fn denied(fact: &Fact) -> Option<Uuid> {
    match &fact.event {
        AnyEvent::AccessLog(AccessLogEvent::AccessDenied { actor, .. }) => *actor,
        _ => None,
    }
}

/// What is an incident by itself: a log that was tampered with (GOV-I2), and education records that a party handed on although
/// 34 CFR 99.33 did not allow it.
pub(super) struct OpenIncidents;

impl Policy for OpenIncidents {
    fn name(&self) -> &'static str {
        "open_incidents"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["IntegrityVerified", "RedisclosureAppended"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        let (kind, severity, summary) = match &fact.event {
            AnyEvent::AuditReplay(AuditReplayEvent::IntegrityVerified { ok: false, broken_at, .. }) => {
                let summary = match broken_at {
                    Some(position) => {
                        format!("The log is not what it was: it disagrees from position {position} on")
                    }
                    None => "The log is not what it was".to_owned(),
                };
                (IncidentKind::Integrity, Severity::Critical, summary)
            }
            AnyEvent::Disclosure(DisclosureEvent::RedisclosureAppended { allowed: false, .. }) => {
                let summary = format!(
                    "Whoever received education records by disclosure {} handed them on, which 34 CFR 99.33 did not allow",
                    fact.id
                );
                (IncidentKind::DataBreach, Severity::High, summary)
            }
            _ => return Box::pin(std::future::ready(Ok(Vec::new()))),
        };
        let open = SecurityIncidentCommand::OpenSecurityIncident {
            kind,
            severity,
            summary,
            evidence: vec![fact.event_id],
            aware_at: None,
        };
        let incident = Uuid::new_v5(&fact.event_id, b"incident");
        let incident = Issue::new(incident, AnyCommand::SecurityIncident(open), "incident");
        Box::pin(std::future::ready(Ok(vec![incident.into()])))
    }
}
