//! A person's request to exercise a right of data protection (catalogue 2.11, PrivacyRequest).
//!
//! Life cycle: `opened -> verified -> approved -> in_fulfilment -> completed`; `opened | verified -> denied | cancelled`;
//! a denied amendment `denied -> hearing -> completed`.
//!
//! - **GOV-P1** due: under GDPR one calendar month after opening, extended once by up to two months with the reason given
//!   within the first month (Art. 12(3)); under FERPA 45 days (34 CFR 99.10), for an amendment too. A refused amendment
//!   opens the right to a hearing and, when that does not amend the record, to a statement kept with it (99.20 to 99.22).
//! - **GOV-P2** nothing is produced before the requester is verified. Where that rests on the word of staff, who saw a
//!   document or entered a code that went to an address which staff gave, another one approves: as in a replay (GOV-A1),
//!   nothing is decrypted, and nothing destroyed, on one person's word. What the system approves by itself does neither.
//! - **GOV-P3** access, portability and inspection are complete with one package.
//! - **GOV-P4** an erasure is approved class by class, and not for a class that a legal hold is on; a hold that comes
//!   later keeps the keys when they are to be destroyed. While a request to inspect is open, the person's education records
//!   are not destroyed (99.10(e)): it has the seat that a legal hold on them would have, so that no destruction, for
//!   whatever reason, is recorded past it. What was refused is asked for again when the hold is released, by a request
//!   without `details` and `address` where the class `identity` is erased: nothing is sealed for it any more.
//! - **GOV-P5** what a request means to the records is done by the contexts that own them; here stands what they did. Where
//!   a record is to be corrected, staff correct it with the owning context's own command and say so. What a restriction
//!   (Art. 18) or an objection (Art. 21) stops, the person's [`super::ConsentLedger`] says from then on, until it is lifted.
//!   An objection to direct marketing is weighed by nobody (Art. 21(3)): it names no other purpose, no other objection keeps
//!   it waiting, and once the requester is verified it is approved as a whole and by the system.
//! - A statement (99.21(c)) takes a seat of the person's statements, so that no disclosure is recorded that has not seen it.
//! - **GOV-P6** escalates 7 and 2 days before it is due, and when it is; a hearing before its day.
//!
//! The person opens, verifies, cancels and states; staff (`manage:privacy`) decide, and never on a request of their own.
//! Who asks in writing or in person is entered by staff, and verified by a document, or by the code that goes to the
//! address on file.

mod fold;
mod messages;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

pub use messages::*;
pub use rules::erased_classes;

use rules::{
    check_classes, check_purposes, check_records, contested, due, ended_keys, inspected, open_key, received,
};

use super::{
    ConsentPurpose, PrivacyRegime, PrivacyRequestType, StepOutcome, Verification,
    disclosure::statements_key,
    is_address, legal_duty,
    legal_hold::{is_hold, not_held},
    months_after,
};
use crate::kernel::{
    Actor, ActorKind, Answer, Claim, Context, Decided, Decider, Known, NotYet, Personal, Question,
    RecordClass, Refused, bounds, class::Identity, sha256_hex,
};

/// Within which time a school answers a request to inspect (34 CFR 99.10(b)).
pub const INSPECT_WITHIN: SignedDuration = SignedDuration::from_hours(45 * 24);
/// How many days before it is due a request is escalated (GOV-P6).
pub const ESCALATE_BEFORE: [i32; 3] = [7, 2, 0];
/// How long after its receipt a request may still be entered.
pub const ENTERED_WITHIN: SignedDuration = SignedDuration::from_hours(366 * 24);
/// How many hours after its approval a request is escalated whose fulfilment has not come to its end, and again after as many.
pub const STALLED_AFTER_HOURS: u32 = 24;
/// The most contexts that report steps.
const MOST_STEPS: usize = 100;

/// Where in its life a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PrivacyRequestStatus {
    /// It has no events.
    #[default]
    New,
    /// It was opened.
    Opened,
    /// The requester is who they say.
    Verified,
    /// It was approved.
    Approved,
    /// The contexts are at work.
    InFulfilment,
    /// Everything was done.
    Completed,
    /// It was denied.
    Denied,
    /// A denied amendment is heard.
    Hearing,
    /// The person took it back.
    Cancelled,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PrivacyRequest {
    /// Where in its life it is.
    pub status: PrivacyRequestStatus,
    /// Whose data it is about.
    pub subject: Uuid,
    /// Under which law.
    pub regime: PrivacyRegime,
    /// What is asked for.
    pub r#type: PrivacyRequestType,
    /// The classes asked for, later those approved; none means all.
    pub classes: Vec<RecordClass>,
    /// The contested records, for an amendment; older ones that name none contest all.
    pub records: Vec<String>,
    /// The SHA-256 of what is contested; older amendments have none.
    pub contests: Option<String>,
    /// The purposes that a restriction or an objection is about; none means all.
    pub purposes: Vec<ConsentPurpose>,
    /// When it was received: its time runs from then.
    pub opened_at: Timestamp,
    /// When it, or its hearing, is due.
    pub due_at: Timestamp,
    /// Whether its time was extended.
    pub extended: bool,
    /// What each context has done.
    pub steps: BTreeMap<String, StepOutcome>,
    /// Whether the package is attached.
    pub package: bool,
    /// Whoever of staff vouched for the requester; nobody where the person proved it themselves, and where the log does not
    /// say who it was.
    pub vouched_by: Option<Uuid>,
    /// Who denied it.
    pub denied_by: Option<Uuid>,
    /// When and by whom it is heard.
    pub hearing: Option<(Timestamp, Uuid)>,
    /// Whether the hearing amended the record, once it was decided.
    pub amended: Option<bool>,
    /// The escalations of the present due date.
    pub escalated: BTreeSet<i32>,
    /// How many hours after its approval it was last said that it has stalled; 0 where it was not.
    pub stalled_hours: u32,
    /// When the restriction or objection ends, once that was said.
    pub lifted_at: Option<Timestamp>,
    /// The address on file that staff gave; it counts where the person's account has no verified one.
    pub address: Option<Personal<String, Identity>>,
}

/// What a privacy request must know of others.
#[derive(Default)]
pub struct PrivacyRequestFacts {
    /// The hash of the code that the requester was sent.
    pub code_hash: Option<String>,
}

/// The label of the code that a requester is sent (see [`Question::TokenHash`]).
pub fn requester_code_label(request: Uuid) -> String {
    format!("privacy_request|{request}")
}

impl PrivacyRequest {
    /// Whether somebody still has to do something by the due date.
    pub fn is_pending(&self) -> bool {
        use PrivacyRequestStatus as S;
        match self.status {
            S::Opened | S::Verified | S::Approved | S::InFulfilment => true,
            S::Hearing => self.amended.is_none(),
            S::New | S::Completed | S::Denied | S::Cancelled => false,
        }
    }

    /// Whether it is a restriction or an objection that was carried out.
    fn restricts(&self) -> bool {
        use PrivacyRequestType as T;
        self.status == PrivacyRequestStatus::Completed && matches!(self.r#type, T::Restriction | T::Objection)
    }

    /// Whether it is an objection to direct marketing, against which nothing weighs (Art. 21(3)).
    pub fn is_absolute(&self) -> bool {
        self.r#type == PrivacyRequestType::Objection && self.purposes.contains(&ConsentPurpose::Marketing)
    }

    fn in_work(&self) -> bool {
        matches!(self.status, PrivacyRequestStatus::Approved | PrivacyRequestStatus::InFulfilment)
    }
}

impl Decider for PrivacyRequest {
    const TYPE: &'static str = "governance.privacy_request";
    const CLASS: Option<RecordClass> = Some(RecordClass::Identity);
    const RESTRICTABLE: bool = false;
    // What a legal hold kept can be asked for once it is released, though who it was is erased.
    const OUTLIVES_ERASURE: bool = true;
    type Command = PrivacyRequestCommand;
    type Event = PrivacyRequestEvent;
    type Refusal = PrivacyRequestRefusal;
    type Facts = PrivacyRequestFacts;

    fn creates(command: &PrivacyRequestCommand) -> bool {
        matches!(command, PrivacyRequestCommand::OpenPrivacyRequest { .. })
    }

    fn facts(
        &self,
        command: &PrivacyRequestCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<PrivacyRequestFacts, NotYet> {
        let mut facts = PrivacyRequestFacts::default();
        if let PrivacyRequestCommand::VerifyRequester { method: Verification::EmailCode, .. } = command {
            let label = requester_code_label(context.id);
            if let Answer::Hash(hash) = known.ask(Question::TokenHash { label })? {
                facts.code_hash = Some(hash);
            }
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &PrivacyRequestCommand) -> bool {
        use PrivacyRequestCommand as C;
        let own = self.status != PrivacyRequestStatus::New && actor.is(self.subject);
        let staff = actor.kind == ActorKind::User && actor.has("manage:privacy");
        match command {
            C::OpenPrivacyRequest { subject, .. } => actor.is(*subject) || staff,
            C::VerifyRequester { method: Verification::Session, .. } => {
                own && actor.kind == ActorKind::User && actor.on_behalf_of.is_none()
            }
            C::VerifyRequester { method: Verification::EmailCode, .. } => own || staff,
            C::VerifyRequester { method: Verification::Document, .. } => staff && !own,
            C::CancelPrivacyRequest {} | C::AttachStatement { .. } => own,
            C::LiftRestriction { .. } => own || (staff && self.r#type == PrivacyRequestType::Restriction),
            C::ApprovePrivacyRequest { .. } => (staff && !own) || (actor.is_system() && self.is_absolute()),
            C::DenyPrivacyRequest { .. } | C::ExtendPrivacyRequest { .. } | C::ScheduleHearing { .. } => {
                staff && !own
            }
            C::RecordHearingOutcome { .. } => {
                let officer = self.hearing.is_some_and(|(_, officer)| actor.is(officer));
                (staff || (officer && actor.kind == ActorKind::User)) && !own
            }
            C::RecordFulfilmentStep { .. } => {
                actor.is_system() || (self.r#type.is_correction() && staff && !own)
            }
            C::AttachPackage { .. }
            | C::CompletePrivacyRequest { .. }
            | C::EscalatePrivacyRequest { .. }
            | C::ReportStall { .. } => actor.is_system(),
        }
    }

    fn decide(
        &self,
        command: PrivacyRequestCommand,
        facts: &PrivacyRequestFacts,
        context: &Context,
    ) -> Decided<Self> {
        use PrivacyRequestCommand as C;
        use PrivacyRequestEvent as E;
        use PrivacyRequestRefusal as R;
        use PrivacyRequestStatus as S;
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        let (subject, regime, r#type) = (self.subject, self.regime, self.r#type);
        let contests = self.contests.clone();
        let undecided = matches!(self.status, S::Opened | S::Verified);
        let event = match command {
            C::OpenPrivacyRequest { .. } if self.status != S::New => return Err(wrong_state),
            C::OpenPrivacyRequest {
                subject,
                regime,
                r#type,
                details,
                classes,
                records,
                address,
                purposes,
                received_at,
            } => {
                if r#type.regime() != regime {
                    return Err(Refused::invalid("type", "a right that this law gives"));
                }
                let words = details.as_ref().map(|details| details.0.as_str());
                bounds::maybe_text("details", words, 1..=bounds::LONG)?;
                check_classes(&classes)?;
                check_purposes(r#type, &purposes)?;
                check_records(r#type, &records)?;
                let contests = contested(&records);
                let email = address.as_ref().map(|address| address.0.as_str());
                bounds::maybe_text("address", email, 3..=254)?;
                // A code proves who reads the mail of that address: which one is the person's, they cannot say themselves.
                if email.is_some_and(|_| context.actor.is(subject)) {
                    return Err(Refused::invalid("address", "for a request that staff enter for the person"));
                }
                if email.is_some_and(|email| !is_address(email)) {
                    return Err(Refused::invalid("address", "an e-mail address"));
                }
                let address = address.map(|address| address.about(subject));
                let details = details.map(|details| details.about(subject));
                let opened_at = received(received_at, subject, context)?;
                let due_at = due(regime, opened_at);
                E::PrivacyRequestOpened {
                    subject,
                    regime,
                    r#type,
                    details,
                    classes,
                    opened_at,
                    due_at,
                    records,
                    address,
                    purposes,
                    contests,
                }
            }
            C::VerifyRequester { .. } if self.status != S::Opened => return Err(wrong_state),
            C::VerifyRequester { method, proof } => {
                let proven = match method {
                    Verification::Session | Verification::Document => true,
                    Verification::EmailCode => match (&facts.code_hash, &proof) {
                        (Some(hash), Some(proof)) => *hash == sha256_hex(&proof.0),
                        (None, _) | (_, None) => false,
                    },
                };
                if !proven {
                    return Err(R::BadCode {}.into());
                }
                E::RequesterVerified { method, by: context.actor.account().filter(|by| *by != subject) }
            }
            C::ApprovePrivacyRequest { .. } if self.status == S::Opened => {
                return Err(R::NotVerified {}.into());
            }
            C::ApprovePrivacyRequest { .. } if self.status != S::Verified => return Err(wrong_state),
            C::ApprovePrivacyRequest { .. } if self.vouched_by.is_some_and(|by| context.actor.is(by)) => {
                return Err(R::SamePerson {}.into());
            }
            C::ApprovePrivacyRequest { note, classes } => {
                bounds::maybe_text("note", note.as_deref(), 1..=bounds::LONG)?;
                let (classes, refused) = self.approved(classes, note.is_some())?;
                if self.is_absolute() && !refused.is_empty() {
                    return Err(R::ObjectionAbsolute {}.into());
                }
                E::PrivacyRequestApproved { note, regime, r#type, subject, classes, refused }
            }
            C::DenyPrivacyRequest { .. } if !undecided => return Err(wrong_state),
            // Before that, somebody else may have asked in the person's name.
            C::DenyPrivacyRequest { .. } if self.status == S::Verified && self.is_absolute() => {
                return Err(R::ObjectionAbsolute {}.into());
            }
            C::DenyPrivacyRequest { ground, note } => {
                bounds::text("ground", &ground, 1..=200)?;
                bounds::text("note", &note, 1..=bounds::LONG)?;
                let hearing = r#type == PrivacyRequestType::Amendment;
                let by = context.actor.account();
                E::PrivacyRequestDenied { ground, note, regime, r#type, subject, hearing, by, contests }
            }
            C::ExtendPrivacyRequest { .. } if !(undecided || self.in_work()) => return Err(wrong_state),
            C::ExtendPrivacyRequest { .. } if regime == PrivacyRegime::Ferpa => {
                return Err(R::RegimeForbids {}.into());
            }
            C::ExtendPrivacyRequest { .. } if self.extended => return Err(R::AlreadyExtended {}.into()),
            C::ExtendPrivacyRequest { .. } if context.now > months_after(self.opened_at, 1) => {
                return Err(R::ExtensionTooLate {}.into());
            }
            C::ExtendPrivacyRequest { months, reason } => {
                bounds::number("months", months.into(), 1..=2)?;
                bounds::text("reason", &reason, 1..=bounds::LONG)?;
                // Counted from the opening: a month that was cut short is not cut short again.
                E::PrivacyRequestExtended { months, reason, due_at: months_after(self.opened_at, 1 + months) }
            }
            C::RecordFulfilmentStep { .. } | C::AttachPackage { .. } if !self.in_work() => {
                return Err(wrong_state);
            }
            C::RecordFulfilmentStep { context, outcome, records, note } => {
                bounds::text("context", &context, 1..=50)?;
                bounds::maybe_text("note", note.as_deref(), 1..=bounds::LONG)?;
                bounds::count("context", self.steps.len() + 1, MOST_STEPS)?;
                if self.steps.get(&context) == Some(&outcome) {
                    return Ok(Vec::new());
                }
                E::FulfilmentStepRecorded { context, outcome, records, note }
            }
            C::AttachPackage { .. } if !r#type.wants_package() => return Err(wrong_state),
            C::AttachPackage { document, manifest_hash } => {
                bounds::sha256("manifest_hash", &manifest_hash)?;
                E::PrivacyPackageAttached { document, manifest_hash }
            }
            C::ScheduleHearing { .. } if !self.may_be_heard() => return Err(wrong_state),
            C::ScheduleHearing { at, officer } => {
                bounds::instant("at", at)?;
                if at <= context.now {
                    return Err(Refused::invalid("at", "after now"));
                }
                if officer == subject || self.denied_by == Some(officer) {
                    return Err(R::OfficerInterested { named: true }.into());
                }
                E::HearingScheduled { at, officer }
            }
            C::RecordHearingOutcome { amended, decision } => match self.hearing {
                Some((at, _)) if self.may_be_heard() => {
                    // 99.22(c): nor does the denier decide when another officer was to.
                    if self.denied_by.is_some_and(|denier| context.actor.is(denier)) {
                        return Err(R::OfficerInterested { named: false }.into());
                    }
                    if context.now < at {
                        return Err(Refused::invalid("decision", "not before the hearing"));
                    }
                    bounds::text("decision", &decision, 1..=bounds::LONG)?;
                    E::HearingDecided { amended, decision }
                }
                Some(_) | None => return Err(wrong_state),
            },
            C::AttachStatement { .. } if self.amended != Some(false) => return Err(wrong_state),
            C::AttachStatement { statement } => {
                bounds::text("statement", &statement.0, 1..=bounds::LONG)?;
                E::StatementAttached { statement: statement.about(subject), subject }
            }
            C::CompletePrivacyRequest { .. } if self.status == S::Completed => return Ok(Vec::new()),
            C::CompletePrivacyRequest { .. } if !(self.in_work() || self.status == S::Hearing) => {
                return Err(wrong_state);
            }
            C::CompletePrivacyRequest { summary } => {
                bounds::text("summary", &summary, 1..=bounds::LONG)?;
                if !self.has_all_steps() {
                    return Err(R::StepsMissing {}.into());
                }
                E::PrivacyRequestCompleted { summary, regime, r#type, subject, contests }
            }
            C::CancelPrivacyRequest {} if !undecided => return Err(wrong_state),
            C::CancelPrivacyRequest {} => E::PrivacyRequestCancelled { regime, r#type, subject, contests },
            C::EscalatePrivacyRequest { days_left } => {
                bounds::number("days_left", days_left.into(), 0..=365)?;
                let before = SignedDuration::from_hours(24 * i64::from(days_left));
                let early = context.now < self.due_at.checked_sub(before).unwrap_or(Timestamp::MIN);
                // A clock that comes late, or for a due date that has moved, has nothing to say.
                if early || !self.is_pending() || self.escalated.contains(&days_left) {
                    return Ok(Vec::new());
                }
                E::PrivacyRequestEscalated { days_left }
            }
            // What people do takes as long as it takes, and has its due date; what nothing is left of has come to its end.
            C::ReportStall { hours } => {
                if !self.in_work() || r#type.is_correction() || hours <= self.stalled_hours {
                    return Ok(Vec::new());
                }
                E::FulfilmentStalled { hours, waiting: self.waiting() }
            }
            C::LiftRestriction { .. } if !self.restricts() => return Err(wrong_state),
            C::LiftRestriction { reason, at } => {
                bounds::text("reason", &reason.0, 1..=bounds::LONG)?;
                let at = self.lifts_at(at, context)?;
                // What was announced is brought forward, and by the person only.
                if self.lifted_at.is_some_and(|announced| announced <= at) {
                    return Err(wrong_state);
                }
                E::RestrictionLiftAnnounced { reason: reason.about(subject), at, r#type, subject }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &PrivacyRequestEvent) {
        self.fold(event);
    }

    fn claims(_id: Uuid, event: &PrivacyRequestEvent) -> Vec<Claim> {
        use PrivacyRequestEvent as E;
        match event {
            E::PrivacyRequestOpened { subject, regime, r#type, purposes, contests, .. } => {
                let one = Claim::Take(open_key(*subject, *regime, *r#type, purposes, contests.as_deref()));
                let seat = |key| Claim::Seat { key, limit: u32::MAX };
                [one].into_iter().chain(inspected(*r#type, *subject).map(seat)).collect()
            }
            E::PrivacyRequestDenied { regime, r#type, subject, contests, .. }
            | E::PrivacyRequestCompleted { regime, r#type, subject, contests, .. }
            | E::PrivacyRequestCancelled { regime, r#type, subject, contests } => {
                let held = ended_keys(*subject, *regime, *r#type, contests.as_deref()).into_iter();
                held.chain(inspected(*r#type, *subject)).map(Claim::Free).collect()
            }
            E::StatementAttached { subject, .. } => {
                vec![Claim::Seat { key: statements_key(*subject), limit: u32::MAX }]
            }
            E::PrivacyRequestApproved { r#type: PrivacyRequestType::Erasure, subject, classes, .. } => {
                let asked = if classes.is_empty() { &RecordClass::ALL[..] } else { &classes[..] };
                let erasable: Vec<RecordClass> =
                    asked.iter().copied().filter(|class| legal_duty(*class).is_none()).collect();
                not_held(*subject, &erasable)
            }
            E::RequesterVerified { .. }
            | E::PrivacyRequestApproved { .. }
            | E::PrivacyRequestExtended { .. }
            | E::FulfilmentStepRecorded { .. }
            | E::PrivacyPackageAttached { .. }
            | E::HearingScheduled { .. }
            | E::HearingDecided { .. }
            | E::PrivacyRequestEscalated { .. }
            | E::FulfilmentStalled { .. }
            | E::RestrictionLiftAnnounced { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<PrivacyRequestRefusal> {
        if is_hold(key) {
            return Some(PrivacyRequestRefusal::LegalHoldActive {});
        }
        key.starts_with("privacy:").then_some(PrivacyRequestRefusal::Duplicate {})
    }

    fn subject(&self) -> Option<Uuid> {
        (self.status != PrivacyRequestStatus::New).then_some(self.subject)
    }
}

#[cfg(test)]
mod tests;
