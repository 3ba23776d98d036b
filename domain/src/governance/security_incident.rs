//! A security incident and what is owed for it (catalogue 2.11, SecurityIncident).
//!
//! Life cycle: `open -> classified -> contained -> closed`. An incident may be contained before it is classified, classified
//! again as more becomes known, and is closed from any of these states.
//!
//! - **GOV-I1** a breach of personal data is due to the authority 72 hours after the incident was opened (Art. 33); one of
//!   high risk is told to the people too (Art. 34), and to whom a later classification adds. A breach of which the authority
//!   or one of the people was not told is not closed.
//! - **GOV-I2** the system opens incidents by itself; which signs it opens them on is a policy.
//!
//! Handled by compliance (`manage:privacy`) and operators (`manage:ops`). The people affected are named by their ids alone,
//! and what is written of the incident says nothing personal of them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::ENTERED_WITHIN;
use crate::kernel::{
    Actor, Context, Decided, Decider, Event, Known, NotYet, RecordClass, Refusal, RefusalKind, Refused,
    RefusedBy, bounds, schemas,
};

/// Within which time the authority is told (Art. 33(1)).
pub const NOTIFY_WITHIN: SignedDuration = SignedDuration::from_hours(72);
/// How many hours before that is due an incident is escalated.
pub const ESCALATE_HOURS: [i32; 2] = [24, 0];
/// The template of what the people affected are told (P-59, Art. 34(2)).
const BREACH_NOTICE: &str = "breach_notice";
/// How many people one classification names at most; further ones are named by the next.
const MOST_AT_ONCE: usize = 1000;

/// What kind of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum IncidentKind {
    AuthAnomaly,
    Abuse,
    DataBreach,
    Integrity,
    Availability,
}

/// How severe it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

/// Where in its life an incident is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum IncidentStatus {
    /// It has no events.
    #[default]
    New,
    /// It was opened.
    Open,
    /// It is known what it is about.
    Classified,
    /// It spreads no further.
    Contained,
    /// It is over and understood.
    Closed,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SecurityIncident {
    /// Where in its life it is.
    pub status: IncidentStatus,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Whether it was classified.
    pub classified: bool,
    /// The people affected.
    pub subjects: BTreeSet<Uuid>,
    /// Until when the authority is to be told, for a breach of personal data.
    pub authority_due_at: Option<Timestamp>,
    /// Whether the risk to the people is high.
    pub high_risk: bool,
    /// Whether the authority was told.
    pub authority_told: bool,
    /// The people who were told.
    pub told: BTreeSet<Uuid>,
    /// Until when the others are to be told, at a high risk.
    pub subjects_due_at: Option<Timestamp>,
    /// What happened.
    pub summary: String,
    /// The record classes of the data.
    pub classes: BTreeSet<RecordClass>,
    /// What was done about it.
    pub measures: Vec<String>,
    /// The escalations so far, by the hours that were left to tell the authority.
    pub escalated: BTreeSet<i32>,
    /// The same of those who are to be told now.
    pub subjects_escalated: BTreeSet<i32>,
}

impl SecurityIncident {
    /// GOV-I1.
    fn authority_due(&self) -> Timestamp {
        self.opened_at.checked_add(NOTIFY_WITHIN).unwrap_or(Timestamp::MAX)
    }

    /// The people affected who were not told yet.
    pub fn untold(&self) -> impl Iterator<Item = Uuid> {
        self.subjects.difference(&self.told).copied()
    }

    /// Art. 34: whether somebody is to be told.
    fn owes_people(&self) -> bool {
        self.high_risk && (self.told.is_empty() || self.untold().next().is_some())
    }

    /// Until when the people are to be told after this classification: the first time no later than the authority, and whoever
    /// is added afterwards as soon after that became known. What is owed already is due when it was.
    fn people_due(&self, high_risk: bool, subjects: &[Uuid], now: Timestamp) -> Option<Timestamp> {
        let mut then = SecurityIncident { high_risk, told: self.told.clone(), ..SecurityIncident::default() };
        then.subjects = self.subjects.iter().chain(subjects).copied().collect();
        let first = self.told.is_empty().then(|| self.authority_due());
        let due = self.subjects_due_at.or(first);
        let due = due.unwrap_or_else(|| now.checked_add(NOTIFY_WITHIN).unwrap_or(Timestamp::MAX));
        then.owes_people().then_some(due)
    }
}

/// What can be asked of a security incident.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum SecurityIncidentCommand {
    /// Opens the incident. It became known now, or, where staff enter it later than that, at `aware_at`.
    OpenSecurityIncident {
        /// What kind.
        kind: IncidentKind,
        /// How severe.
        severity: Severity,
        /// What happened, without personal data.
        #[schemars(transform = schemas::text::<1, 20000>)]
        summary: String,
        /// Documents and events that show it.
        #[schemars(transform = schemas::count::<100>)]
        evidence: Vec<Uuid>,
        /// When it became known, not in the future and within the last year: the 72 hours run from then.
        #[serde(default)]
        #[schemars(transform = schemas::instant)]
        aware_at: Option<Timestamp>,
    },
    /// Says what it is about; again when more becomes known. People named before stay.
    ClassifyIncident {
        /// Whether personal data is concerned.
        personal_data: bool,
        /// Whether the risk to the people is high (Art. 34).
        high_risk: bool,
        /// The people affected, up to 1000 at once.
        #[schemars(transform = schemas::count::<1000>)]
        subjects: Vec<Uuid>,
        /// The record classes.
        #[schemars(transform = schemas::classes)]
        classes: Vec<RecordClass>,
        /// Why it is no breach of personal data, or of no high risk, where it was said before that it is.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 20000>)]
        reasons: Option<String>,
    },
    /// Records what stopped it.
    RecordContainment {
        /// What was done.
        #[schemars(transform = schemas::text::<1, 20000>)]
        action: String,
    },
    /// Records that the authority was told.
    NotifyAuthority {
        /// Which authority.
        #[schemars(transform = schemas::text::<1, 200>)]
        authority: String,
        /// Its reference.
        #[schemars(transform = schemas::text::<1, 200>)]
        reference: String,
        /// When.
        #[schemars(transform = schemas::instant)]
        at: Timestamp,
        /// Why it was told no earlier, where that was later than 72 hours (Art. 33(1)).
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 20000>)]
        reasons: Option<String>,
    },
    /// Tells the people affected who were not told yet, by mail where they have an address.
    NotifySubjects {
        /// The template of the message, of which there is one.
        #[schemars(extend("enum" = [BREACH_NOTICE]))]
        template: String,
    },
    /// Closes the incident.
    CloseSecurityIncident {
        /// What was at the root of it.
        #[schemars(transform = schemas::text::<1, 20000>)]
        root_cause: String,
        /// What was learned.
        #[schemars(transform = schemas::text::<1, 20000>)]
        lessons: String,
    },
    /// Escalates an incident of which the authority, or the people affected, may still have to be told (P-59).
    #[schemars(extend("x-system" = true))]
    EscalateIncident {
        /// The hours left: 24, or 0 when it is due.
        hours_left: i32,
        /// Whether it is the people who are to be told; else the authority.
        #[serde(default)]
        people: bool,
    },
    /// Records to whom the notice was mailed (Art. 34); whoever cannot be reached so is told in another way.
    #[schemars(extend("x-system" = true))]
    RecordSubjectNotices {
        /// To how many people it was mailed.
        mailed: u32,
        /// Who has no address, or one that takes no mail.
        unreachable: Vec<Uuid>,
    },
}

/// What can have happened to a security incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum SecurityIncidentEvent {
    /// The incident was opened.
    SecurityIncidentOpened {
        kind: IncidentKind,
        severity: Severity,
        summary: String,
        evidence: Vec<Uuid>,
        opened_at: Timestamp,
    },
    /// It was said what it is about.
    IncidentClassified {
        personal_data: bool,
        high_risk: bool,
        subjects: Vec<Uuid>,
        classes: Vec<RecordClass>,
        authority_due_at: Option<Timestamp>,
        /// Until when those who were not told yet are to be told, at a high risk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subjects_due_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reasons: Option<String>,
    },
    /// It was contained.
    IncidentContained { action: String },
    /// The authority was told.
    AuthorityNotified {
        authority: String,
        reference: String,
        at: Timestamp,
        /// Whether that was later than 72 hours, so that reasons are owed (Art. 33(1)).
        late: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reasons: Option<String>,
    },
    /// The people affected who were not told before were told.
    SubjectsNotified { template: String, count: u32 },
    /// The incident was closed.
    SecurityIncidentClosed { root_cause: String, lessons: String },
    /// The incident was escalated.
    IncidentEscalated {
        hours_left: i32,
        #[serde(default)]
        people: bool,
    },
    /// The notice was mailed to so many people; the others have no address, or one that takes no mail.
    SubjectNoticesMailed { mailed: u32, unreachable: Vec<Uuid> },
}

impl Event for SecurityIncidentEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SecurityIncidentRefusal {
    #[error("it is not said yet whom the incident affects")]
    NotClassified {},
    #[error("the authority was not told of the breach yet")]
    AuthorityNotTold {},
    #[error("not all of the people were told of the high risk yet")]
    SubjectsNotTold {},
    #[error(
        "who tells the authority later than 72 hours, or takes back that somebody is to be told, says why"
    )]
    ReasonsMissing {},
}

impl Refusal for SecurityIncidentRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            SecurityIncidentRefusal::ReasonsMissing {} => RefusalKind::Invalid,
            SecurityIncidentRefusal::NotClassified {}
            | SecurityIncidentRefusal::AuthorityNotTold {}
            | SecurityIncidentRefusal::SubjectsNotTold {} => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            SecurityIncidentRefusal::ReasonsMissing {} => Some("reasons"),
            SecurityIncidentRefusal::NotClassified {}
            | SecurityIncidentRefusal::AuthorityNotTold {}
            | SecurityIncidentRefusal::SubjectsNotTold {} => None,
        }
    }
}

impl Decider for SecurityIncident {
    const TYPE: &'static str = "governance.security_incident";
    type Command = SecurityIncidentCommand;
    type Event = SecurityIncidentEvent;
    type Refusal = SecurityIncidentRefusal;
    type Facts = ();

    fn creates(command: &SecurityIncidentCommand) -> bool {
        matches!(command, SecurityIncidentCommand::OpenSecurityIncident { .. })
    }

    fn facts(&self, _: &SecurityIncidentCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &SecurityIncidentCommand) -> bool {
        use SecurityIncidentCommand as C;
        let handles = actor.has("manage:privacy") || actor.has("manage:ops");
        match command {
            C::OpenSecurityIncident { .. } => handles || actor.is_system(),
            C::ClassifyIncident { .. }
            | C::RecordContainment { .. }
            | C::NotifyAuthority { .. }
            | C::NotifySubjects { .. }
            | C::CloseSecurityIncident { .. } => handles,
            C::EscalateIncident { .. } | C::RecordSubjectNotices { .. } => actor.is_system(),
        }
    }

    fn decide(&self, command: SecurityIncidentCommand, (): &(), context: &Context) -> Decided<Self> {
        use IncidentStatus as S;
        use SecurityIncidentCommand as C;
        use SecurityIncidentEvent as E;
        use SecurityIncidentRefusal as R;
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        let live = matches!(self.status, S::Open | S::Classified | S::Contained);
        let event = match command {
            C::OpenSecurityIncident { .. } if self.status != S::New => return Err(wrong_state),
            C::OpenSecurityIncident { kind, severity, summary, evidence, aware_at } => {
                bounds::text("summary", &summary, 1..=bounds::LONG)?;
                bounds::count("evidence", evidence.len(), 100)?;
                let opened_at = aware(aware_at, context)?;
                E::SecurityIncidentOpened { kind, severity, summary, evidence, opened_at }
            }
            // A clock that comes late has nothing to say.
            C::EscalateIncident { hours_left, people } => {
                // Until it is classified, an incident may be a breach.
                let authority = !self.authority_told && (!self.classified || self.authority_due_at.is_some());
                let (due, escalated) = match people {
                    true => (self.subjects_due_at.filter(|_| self.owes_people()), &self.subjects_escalated),
                    false => (authority.then(|| self.authority_due()), &self.escalated),
                };
                let Some(due) = due.filter(|_| live) else { return Ok(Vec::new()) };
                bounds::number("hours_left", hours_left.into(), 0..=72)?;
                let before = SignedDuration::from_hours(hours_left.into());
                let early = context.now < due.checked_sub(before).unwrap_or(Timestamp::MIN);
                if early || escalated.contains(&hours_left) {
                    return Ok(Vec::new());
                }
                E::IncidentEscalated { hours_left, people }
            }
            C::RecordSubjectNotices { mailed, unreachable } => {
                E::SubjectNoticesMailed { mailed, unreachable }
            }
            _ if !live => return Err(wrong_state),
            C::ClassifyIncident { personal_data, high_risk, subjects, classes, reasons } => {
                bounds::count("subjects", subjects.len(), MOST_AT_ONCE)?;
                bounds::count("classes", classes.len(), RecordClass::ALL.len())?;
                if high_risk && !personal_data {
                    return Err(Refused::invalid("high_risk", "a risk to people is one of personal data"));
                }
                bounds::maybe_text("reasons", reasons.as_deref(), 1..=bounds::LONG)?;
                let taken_back =
                    (self.authority_due_at.is_some() && !personal_data) || (self.high_risk && !high_risk);
                if taken_back && reasons.is_none() {
                    return Err(R::ReasonsMissing {}.into());
                }
                let authority_due_at = personal_data.then(|| self.authority_due());
                let subjects_due_at = self.people_due(high_risk, &subjects, context.now);
                E::IncidentClassified {
                    personal_data,
                    high_risk,
                    subjects,
                    classes,
                    authority_due_at,
                    subjects_due_at,
                    reasons,
                }
            }
            C::RecordContainment { action } => {
                bounds::text("action", &action, 1..=bounds::LONG)?;
                E::IncidentContained { action }
            }
            C::NotifyAuthority { authority, reference, at, reasons } => {
                bounds::text("authority", &authority, 1..=200)?;
                bounds::text("reference", &reference, 1..=200)?;
                check_at(at, self.opened_at, context)?;
                bounds::maybe_text("reasons", reasons.as_deref(), 1..=bounds::LONG)?;
                let late = at > self.authority_due();
                // In phases (Art. 33(4)): the delay is that of the first time.
                if late && !self.authority_told && reasons.is_none() {
                    return Err(R::ReasonsMissing {}.into());
                }
                E::AuthorityNotified { authority, reference, at, late, reasons }
            }
            C::NotifySubjects { template } => {
                if template != BREACH_NOTICE {
                    return Err(Refused::invalid("template", format!("the template is {BREACH_NOTICE}")));
                }
                if !self.classified || self.subjects.is_empty() {
                    return Err(R::NotClassified {}.into());
                }
                let count = u32::try_from(self.untold().count()).unwrap_or(u32::MAX);
                if count == 0 {
                    return Ok(Vec::new());
                }
                E::SubjectsNotified { template, count }
            }
            C::CloseSecurityIncident { root_cause, lessons } => {
                bounds::text("root_cause", &root_cause, 1..=bounds::LONG)?;
                bounds::text("lessons", &lessons, 1..=bounds::LONG)?;
                if !self.classified {
                    return Err(R::NotClassified {}.into());
                }
                if self.authority_due_at.is_some() && !self.authority_told {
                    return Err(R::AuthorityNotTold {}.into());
                }
                if self.owes_people() {
                    return Err(R::SubjectsNotTold {}.into());
                }
                E::SecurityIncidentClosed { root_cause, lessons }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &SecurityIncidentEvent) {
        use IncidentStatus as S;
        use SecurityIncidentEvent as E;
        match event {
            E::SecurityIncidentOpened { opened_at, summary, .. } => {
                self.status = S::Open;
                self.summary.clone_from(summary);
                self.opened_at = *opened_at;
            }
            E::IncidentClassified {
                personal_data: _,
                high_risk,
                subjects,
                classes,
                authority_due_at,
                subjects_due_at,
                reasons: _,
            } => {
                self.classes = classes.iter().copied().collect();
                self.classified = true;
                if self.status == S::Open {
                    self.status = S::Classified;
                }
                self.high_risk = *high_risk;
                self.subjects.extend(subjects);
                self.authority_due_at = *authority_due_at;
                // Until who is added had a clock of their own, the people were due with the authority.
                if !self.owes_people() {
                    self.subjects_due_at = None;
                    self.subjects_escalated.clear();
                } else if self.subjects_due_at.is_none() {
                    self.subjects_due_at = subjects_due_at.or(*authority_due_at);
                }
            }
            E::IncidentContained { action } => {
                self.status = S::Contained;
                self.measures.push(action.clone());
            }
            E::AuthorityNotified { .. } => self.authority_told = true,
            // Whom it told, it does not say: everybody who was named until then.
            E::SubjectsNotified { .. } => {
                self.told.clone_from(&self.subjects);
                self.subjects_due_at = None;
                self.subjects_escalated.clear();
            }
            E::SecurityIncidentClosed { .. } => self.status = S::Closed,
            E::IncidentEscalated { hours_left, people: false } => {
                self.escalated.insert(*hours_left);
            }
            E::IncidentEscalated { hours_left, people: true } => {
                self.subjects_escalated.insert(*hours_left);
            }
            E::SubjectNoticesMailed { .. } => {}
        }
    }

    fn concerns(event: &SecurityIncidentEvent) -> &[Uuid] {
        use SecurityIncidentEvent as E;
        match event {
            E::IncidentClassified { subjects, .. } => subjects,
            E::SubjectNoticesMailed { unreachable, .. } => unreachable,
            E::SecurityIncidentOpened { .. }
            | E::IncidentContained { .. }
            | E::AuthorityNotified { .. }
            | E::SubjectsNotified { .. }
            | E::SecurityIncidentClosed { .. }
            | E::IncidentEscalated { .. } => &[],
        }
    }
}

/// GOV-I1: when the incident became known.
fn aware(stated: Option<Timestamp>, context: &Context) -> Result<Timestamp, RefusedBy<SecurityIncident>> {
    let Some(at) = stated else { return Ok(context.now) };
    bounds::instant("aware_at", at)?;
    let earliest = context.now.checked_sub(ENTERED_WITHIN).unwrap_or(Timestamp::MIN);
    if at > context.now || at < earliest {
        return Err(Refused::invalid("aware_at", "within the last year, and not in the future"));
    }
    Ok(at)
}

/// Not before the incident was known, and not in the future.
fn check_at(
    at: Timestamp,
    opened_at: Timestamp,
    context: &Context,
) -> Result<(), RefusedBy<SecurityIncident>> {
    bounds::instant("at", at)?;
    if at < opened_at || at > context.now {
        return Err(Refused::invalid("at", "between the opening of the incident and now"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "security_incident_tests.rs"]
mod tests;
