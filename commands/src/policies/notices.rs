//! Notices by mail: to whoever asked, whose records were disclosed or whose data was breached, and to those who handle it
//! (catalogue 3.8 and 3.9). Who has no address is not written to. A mail says what happened and under which reference, and
//! nothing personal beyond that: what it is about is read after a login.

use domain::{
    Answer, Question,
    governance::{
        DisclosureEvent, IncidentKind, PrivacyRegime, PrivacyRequest, PrivacyRequestEvent,
        PrivacyRequestType, RecipientNoticeEvent, SecurityIncident, SecurityIncidentCommand,
        SecurityIncidentEvent,
    },
    registry::{AnyCommand, AnyEvent},
};
use uuid::Uuid;

use super::{
    Fact, Issue, Policy, Reactions, World,
    identity::{address_for_request, address_of},
    mail::{code_address, hand_over},
};
use crate::{CommandError, ports::Mail};

/// Hands a mail over, at least once: each attempt has the same Message-ID, one for each reader of the same event. False where
/// the address takes no mail: who writes to several goes on with the others.
pub(super) async fn post(
    to: String,
    subject: &str,
    text: String,
    (fact, reader): (&Fact, Uuid),
    world: &World,
) -> Result<bool, CommandError> {
    let message_id = Uuid::new_v5(&fact.event_id, format!("{subject}|{reader}").as_bytes());
    let mail = Mail { to, subject: subject.to_owned(), text, html: None, message_id };
    hand_over(&mail, fact, world).await
}

/// A notice to one person, which is tried again and then shown as undone where their address takes no mail.
async fn post_to_one(
    to: String,
    subject: &str,
    text: String,
    to_whom: (&Fact, Uuid),
    world: &World,
) -> Result<(), CommandError> {
    match post(to, subject, text, to_whom, world).await? {
        true => Ok(()),
        false => Err(CommandError::Unavailable("the mail is refused".to_owned())),
    }
}

/// P-54, P-55, 3.9: who asked is told what becomes of the request: by mail to the account's verified address, or where there is
/// none to the one on file that staff gave (Art. 12(3) and (4) GDPR, 34 CFR 99.22(b)).
pub(super) struct TellRequesters;

impl Policy for TellRequesters {
    fn name(&self) -> &'static str {
        "tell_requesters"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "PrivacyRequestOpened",
            "PrivacyRequestApproved",
            "PrivacyRequestDenied",
            "PrivacyRequestExtended",
            "HearingScheduled",
            "HearingDecided",
            "PrivacyRequestCompleted",
            "RestrictionLiftAnnounced",
        ]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::PrivacyRequest(event) = &fact.event else { return Ok(Vec::new()) };
            let request = world.state::<PrivacyRequest>(fact.id).await?.state;
            let Some(what) = told(event, &request) else { return Ok(Vec::new()) };
            // The code says so already.
            if code_address(fact, event, world).await?.is_some() {
                return Ok(Vec::new());
            }
            let on_file = request.address.as_ref().and_then(|address| address.get().cloned());
            let Some(to) = address_for_request(request.subject, on_file, world).await? else {
                return Ok(Vec::new());
            };
            let text = format!("{what}\n\nReference: {}\n", fact.id);
            post_to_one(to, "Your request", text, (fact, request.subject), world).await?;
            Ok(Vec::new())
        })
    }
}

/// What the person is told of their request; none where there is nothing to tell.
fn told(event: &PrivacyRequestEvent, request: &PrivacyRequest) -> Option<String> {
    use PrivacyRequestEvent as E;
    let gdpr = request.regime == PrivacyRegime::Gdpr;
    Some(match event {
        E::PrivacyRequestOpened { due_at, .. } => format!(
            "A request about your personal data was received. It is to be answered by {}. If you did not make it, tell \
             the office so.",
            day(*due_at)
        ),
        E::PrivacyRequestApproved { r#type: PrivacyRequestType::Erasure, refused, .. } => {
            let refused = match refused.is_empty() {
                true => "",
                false => " For some kinds of data it was refused; the request says which and why.",
            };
            format!(
                "Your request for erasure was approved, and the data is erased now.{refused} Where your address is erased, \
                 this is the last message; the request has the certificates."
            )
        }
        // The end follows at once, and is told of.
        E::PrivacyRequestApproved { r#type, .. } if !r#type.is_correction() => return None,
        E::PrivacyRequestApproved { .. } => "Your request for a correction was approved.".to_owned(),
        E::PrivacyRequestDenied { ground, note, hearing, .. } => {
            let remedy = match (hearing, gdpr) {
                (true, _) => {
                    "You may ask for a hearing (34 CFR 99.21), and complain to the U.S. Department of Education (34 CFR \
                     99.63)."
                }
                (false, true) => {
                    "You may complain to a supervisory authority (Art. 77 GDPR) and go to court (Art. 79 GDPR)."
                }
                (false, false) => "You may complain to the U.S. Department of Education (34 CFR 99.63).",
            };
            format!("Your request was denied ({ground}): {note}\n\n{remedy}")
        }
        E::PrivacyRequestExtended { reason, due_at, .. } => {
            format!("Your request takes longer than a month: {reason} It is answered by {}.", day(*due_at))
        }
        E::HearingScheduled { at, .. } => format!(
            "The hearing on your request is on {} at {:.0} UTC. You may bring evidence, and be assisted or represented at \
             your own expense (34 CFR 99.22).",
            day(*at),
            at.to_zoned(jiff::tz::TimeZone::UTC).time()
        ),
        E::HearingDecided { amended: true, .. } => {
            "The hearing on your request was decided: the record is amended.".to_owned()
        }
        E::HearingDecided { amended: false, .. } => {
            "The hearing on your request was decided: the record stays as it is. You may place a statement with it, which is \
             disclosed with the record (34 CFR 99.21(b)(2))."
                .to_owned()
        }
        E::PrivacyRequestCompleted { r#type, .. } if r#type.wants_package() => {
            "Your request was fulfilled. Your data can be fetched for seven days, after a login.".to_owned()
        }
        // Told with the approval, while there was an address; told with the decision.
        E::PrivacyRequestCompleted { r#type: PrivacyRequestType::Erasure, .. } => return None,
        E::PrivacyRequestCompleted { .. } if request.amended.is_some() => return None,
        E::PrivacyRequestCompleted { summary, .. } => format!("Your request was fulfilled: {summary}."),
        E::RestrictionLiftAnnounced { reason, at, .. } => {
            let reason = reason.get().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("From {} on your data is used again (Art. 18(3) GDPR){reason}", day(*at))
        }
        E::RequesterVerified { .. }
        | E::FulfilmentStepRecorded { .. }
        | E::PrivacyPackageAttached { .. }
        | E::StatementAttached { .. }
        | E::PrivacyRequestCancelled { .. }
        | E::PrivacyRequestEscalated { .. }
        | E::FulfilmentStalled { .. } => return None,
    })
}

/// The day of an instant, as it is told.
pub(super) fn day(at: jiff::Timestamp) -> jiff::civil::Date {
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// 3.9 `disclosure_notice`: a student is told that education records were disclosed, unless 99.32(d) asks for no record of it
/// or the law forbids to tell. It is the notice that 34 CFR 99.34(a)(1) asks for, too.
pub(super) struct TellStudents;

impl Policy for TellStudents {
    fn name(&self) -> &'static str {
        "tell_students"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["DisclosureRecorded"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::Disclosure(DisclosureEvent::DisclosureRecorded {
                subject,
                basis,
                exempt: false,
                ..
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            if basis.forbids_to_tell() {
                return Ok(Vec::new());
            }
            if let Some(to) = address_of(*subject, world).await? {
                let text = format!(
                    "Education records of yours were disclosed (34 CFR {}). To whom, why and which ones, you can read in \
                     your record of disclosures, after a login; you may have a copy of what was disclosed.\n\nReference: \
                     {}\n",
                    basis.citation(),
                    fact.id
                );
                post_to_one(to, "Your records", text, (fact, *subject), world).await?;
            }
            Ok(Vec::new())
        })
    }
}

/// P-59: the people whom a breach puts at risk are told, each once and at their own address, and it is on record who has none,
/// or one that takes no mail (Art. 34).
pub(super) struct TellAffected;

impl Policy for TellAffected {
    fn name(&self) -> &'static str {
        "tell_affected"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["SubjectsNotified"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::SecurityIncident(SecurityIncidentEvent::SubjectsNotified { .. }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let incident = world.before::<SecurityIncident>(fact).await?;
            let text = breach(&incident, fact.id);
            let (mut mailed, mut unreachable) = (0, Vec::new());
            for subject in incident.untold() {
                let told = match address_of(subject, world).await? {
                    Some(to) => post(to, "Your data", text.clone(), (fact, subject), world).await?,
                    None => false,
                };
                match told {
                    true => mailed += 1,
                    false => unreachable.push(subject),
                }
            }
            let record = SecurityIncidentCommand::RecordSubjectNotices { mailed, unreachable };
            Ok(vec![Issue::new(fact.id, AnyCommand::SecurityIncident(record), "mailed").into()])
        })
    }
}

/// What Art. 34(2) asks for: what happened, which data it concerns, what was done, and whom to turn to.
fn breach(incident: &SecurityIncident, id: Uuid) -> String {
    let classes: Vec<&str> = incident.classes.iter().map(|class| class.name()).collect();
    let concerned = match classes.is_empty() {
        true => String::new(),
        false => format!(" It concerns data of these kinds: {}.", classes.join(", ")),
    };
    let measures = match incident.measures.is_empty() {
        true => String::new(),
        false => format!("\n\nWhat was done about it: {}", incident.measures.join(" ")),
    };
    format!(
        "Personal data of yours was part of a breach: {}.{concerned}{measures}\n\nThe risk to you may be high. Be wary of \
         messages that use what was taken, and replace your password where it may be known. The office answers your \
         questions.\n\nReference: {id}\n",
        incident.summary.trim_end_matches('.')
    )
}

/// 3.9 `privacy_request_due`, P-53, P-59: those who handle it are told when time runs out, when a fulfilment has stalled, and of
/// incidents. Each holder of the role has their own mail.
pub(super) struct TellCompliance;

impl Policy for TellCompliance {
    fn name(&self) -> &'static str {
        "tell_compliance"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "PrivacyRequestEscalated",
            "FulfilmentStalled",
            "RecipientNoticeEscalated",
            "RecipientNoticeUndelivered",
            "SecurityIncidentOpened",
            "IncidentEscalated",
        ]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let (roles, what) = match &fact.event {
                AnyEvent::PrivacyRequest(PrivacyRequestEvent::PrivacyRequestEscalated { days_left }) => {
                    (&["compliance"][..], format!("A privacy request is due: {}.", left(*days_left, "days")))
                }
                AnyEvent::PrivacyRequest(PrivacyRequestEvent::FulfilmentStalled { hours, waiting }) => {
                    let open = match waiting.is_empty() {
                        true => "it did not begin".to_owned(),
                        false => format!("open are: {}", waiting.join(", ")),
                    };
                    let what = format!(
                        "A privacy request was approved {hours} hours ago and is not fulfilled; {open}. Somebody must \
                         look why."
                    );
                    (&["compliance", "operator"][..], what)
                }
                AnyEvent::RecipientNotice(RecipientNoticeEvent::RecipientNoticeEscalated { days_left }) => {
                    let what = format!(
                        "A recipient is to be told what became of data (Art. 19 GDPR): {}.",
                        left(*days_left, "days")
                    );
                    (&["compliance"][..], what)
                }
                AnyEvent::RecipientNotice(RecipientNoticeEvent::RecipientNoticeUndelivered { reason }) => {
                    let what = format!(
                        "A recipient could not be told by mail what became of data (Art. 19 GDPR): {reason}. Tell them \
                         in another way."
                    );
                    (&["compliance"][..], what)
                }
                AnyEvent::SecurityIncident(SecurityIncidentEvent::SecurityIncidentOpened {
                    kind, ..
                }) => {
                    let kind = match kind {
                        IncidentKind::AuthAnomaly => "an anomaly of logins",
                        IncidentKind::Abuse => "an abuse",
                        IncidentKind::DataBreach => "a breach of data",
                        IncidentKind::Integrity => "a doubt about the log's integrity",
                        IncidentKind::Availability => "an outage",
                    };
                    (&["compliance", "operator"][..], format!("A security incident was opened: {kind}."))
                }
                AnyEvent::SecurityIncident(SecurityIncidentEvent::IncidentEscalated {
                    hours_left,
                    people,
                }) => {
                    let owed = match people {
                        true => "The people whom a breach puts at risk are to be told (Art. 34 GDPR)",
                        false => "The authority may have to be told of an incident (Art. 33 GDPR)",
                    };
                    let what = format!("{owed}: {}.", left(*hours_left, "hours"));
                    (&["compliance", "operator"][..], what)
                }
                _ => return Ok(Vec::new()),
            };
            for officer in holders(roles, None, fact, world).await? {
                if let Some(to) = address_of(officer, world).await? {
                    let text = format!("{what}\n\nReference: {}\n", fact.id);
                    post(to, "For your attention", text, (fact, officer), world).await?;
                }
            }
            Ok(Vec::new())
        })
    }
}

/// The active accounts that hold any of these roles: everywhere, or within this org unit itself where one is named.
pub(super) async fn holders(
    roles: &[&str],
    within: Option<Uuid>,
    fact: &Fact,
    world: &World,
) -> Result<Vec<Uuid>, CommandError> {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    match world.ask(Question::RoleHolders { roles, within }, fact).await? {
        Answer::References(holders) => Ok(holders),
        _ => Err(CommandError::Internal("holders of roles were not answered with references".into())),
    }
}

fn left(count: i32, what: &str) -> String {
    if count > 0 { format!("{count} {what} are left") } else { "it is due now".to_owned() }
}
