//! A request for a student's education records, and what became of it: the record of 34 CFR 99.32 (catalogue 2.11,
//! Disclosure).
//!
//! Life cycle: `requested -> authorized -> recorded`; `requested | authorized -> refused`.
//!
//! - **GOV-D1** without consent only on a basis of 99.31, stored by its paragraph. What no basis carries is not
//!   authorised; the request is on record all the same, and its refusal too.
//! - **GOV-D2** what 99.32(d) asks no record of (`exempt`) is recorded anyway and shown apart.
//! - **GOV-D3** an emergency names the articulable threat (99.36).
//! - **GOV-D4** directory information of a student who opted out is not disclosed (99.37), nor anything on that basis
//!   that is no directory information.
//! - What 99.31 asks for beside the party is asked for too: a study has its written agreement, a judicial order or
//!   subpoena the notice to the student, and what 99.39 lets be told are the final results and nothing else.
//! - The student's statement on a contested record is disclosed with it, each time (99.21(c)(2)). A disclosure takes the
//!   seat after those of the statements that it has seen, so that it is never recorded past one that it has not.
//! - What the student had restricted (Art. 18 GDPR) is disclosed only on a basis that overrides that.
//! - It takes place neither before its authorisation, nor before the consent was signed (99.30(a)), nor before the student
//!   was told of an order (99.31(a)(9)(ii)).
//! - **GOV-D5** kept as long as the record itself: its words about the student are of the class of education records.
//!
//! The consent and the opt-out are read from their own streams, pinned, when the disclosure is authorised and again when it
//! is recorded: what was revoked between the two is not disclosed.

mod basis;
mod messages;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

pub use basis::{DIRECTORY_INFORMATION, DisclosureBasis, FINAL_RESULTS, REDISCLOSURE_NOTICE};
pub use messages::*;

use super::{ConsentGap, ConsentLedger, alike, is_address};
use crate::{
    identity::Profile,
    kernel::{
        Actor, ActorKind, Answer, Claim, Context, Decided, Decider, Known, NotYet, Personal, Question,
        RecordClass, Refused, RefusedBy, bounds, class::Identity,
    },
};

/// How far clocks may differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// Where in its life a disclosure is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DisclosureStatus {
    /// It has no events.
    #[default]
    New,
    /// Somebody asked.
    Requested,
    /// It may take place.
    Authorized,
    /// It took place.
    Recorded,
    /// It may not.
    Refused,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Disclosure {
    /// Where in its life it is.
    pub status: DisclosureStatus,
    /// The student.
    pub subject: Uuid,
    /// Who asks.
    pub party: Personal<String, Identity>,
    /// What kind of party.
    pub party_kind: PartyKind,
    /// Which records.
    pub records: Vec<String>,
    /// The basis, once somebody asked.
    pub basis: Option<DisclosureBasis>,
    /// To whom the party may hand them on.
    pub redisclosure_to: Vec<String>,
    /// The party's address, where it is known.
    pub address: Option<Personal<String, Identity>>,
    /// The consent that it rests on.
    pub consent: Option<Uuid>,
    /// When the student was told of the order.
    pub notified_at: Option<Timestamp>,
    /// When it was authorised; none where that was not recorded yet.
    pub authorized_at: Option<Timestamp>,
    /// When they were disclosed.
    pub disclosed_at: Option<Timestamp>,
}

/// What a disclosure must know of others.
#[derive(Default)]
pub struct DisclosureFacts {
    /// Why the student's consent does not carry it; none where it does.
    pub consent_gap: Option<ConsentGap>,
    /// When the consent that carries it was signed.
    pub signed_at: Option<Timestamp>,
    /// Whether the student opted out of directory information.
    pub opted_out: bool,
    /// Whether the student had the use of their education records restricted.
    pub restricted: bool,
    /// The student's statements on contested records: the requests that they were attached to, and the records that
    /// they are about; none means all.
    pub statements: Vec<(Uuid, Vec<String>)>,
}

/// The claim that a person's statements have seats of.
pub(super) fn statements_key(subject: Uuid) -> String {
    format!("statement:{subject}")
}

impl Decider for Disclosure {
    const TYPE: &'static str = "governance.disclosure";
    const CLASS: Option<RecordClass> = Some(RecordClass::Education);
    const RESTRICTABLE: bool = false;
    type Command = DisclosureCommand;
    type Event = DisclosureEvent;
    type Refusal = DisclosureRefusal;
    type Facts = DisclosureFacts;

    fn creates(command: &DisclosureCommand) -> bool {
        matches!(command, DisclosureCommand::RequestDisclosure { .. })
    }

    fn facts(
        &self,
        command: &DisclosureCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<DisclosureFacts, NotYet> {
        use DisclosureCommand as C;
        let consent = match command {
            C::AuthorizeDisclosure { consent, .. } => *consent,
            C::RecordDisclosure { .. } => self.consent,
            C::RequestDisclosure { .. } | C::RefuseDisclosure { .. } | C::AppendRedisclosure { .. } => {
                return Ok(DisclosureFacts::default());
            }
        };
        let mut facts = DisclosureFacts::default();
        if let DisclosureCommand::RecordDisclosure { .. } = command
            && let Answer::Statements(statements) =
                known.ask(Question::Statements { subject: self.subject })?
        {
            facts.statements = statements;
        }
        let ledger = known.pinned::<ConsentLedger>(self.subject)?.state;
        facts.restricted = ledger.restricts(RecordClass::Education);
        match self.basis {
            Some(DisclosureBasis::Consent) => {
                let party = self.party.get().map_or("", String::as_str);
                let carries = |consent| ledger.carries(consent, party, &self.records, context.now);
                match consent.ok_or(ConsentGap::NotGiven).and_then(carries) {
                    Ok(given) => facts.signed_at = Some(given.signed_at),
                    Err(gap) => facts.consent_gap = Some(gap),
                }
            }
            Some(DisclosureBasis::Directory) => {
                facts.opted_out = known.pinned::<Profile>(self.subject)?.state.directory_opt_out;
            }
            Some(_) | None => {}
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &DisclosureCommand) -> bool {
        use DisclosureCommand as C;
        let staff = actor.has("manage:privacy");
        match command {
            C::RequestDisclosure { .. }
            | C::RefuseDisclosure { .. }
            | C::RecordDisclosure { .. }
            | C::AppendRedisclosure { .. } => staff || actor.is_system(),
            C::AuthorizeDisclosure { by, .. } => {
                let human = actor.kind == ActorKind::User && actor.is(*by);
                (staff && human) || actor.is_system()
            }
        }
    }

    fn decide(
        &self,
        command: DisclosureCommand,
        facts: &DisclosureFacts,
        context: &Context,
    ) -> Decided<Self> {
        use DisclosureCommand as C;
        use DisclosureEvent as E;
        use DisclosureRefusal as R;
        use DisclosureStatus as S;
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        let subject = self.subject;
        // A party is a data subject of its own, whose name can be erased on its own; a student is the student.
        let party_id = match &command {
            C::RequestDisclosure { subject, party_kind: PartyKind::Student, .. } => *subject,
            _ => context.derive("party"),
        };
        let event = match command {
            C::RequestDisclosure { .. } if self.status != S::New => return Err(wrong_state),
            C::RequestDisclosure {
                subject,
                party,
                party_kind,
                records,
                interest,
                basis,
                redisclosure_to,
                address,
            } => {
                bounds::text("party", &party.0, 1..=200)?;
                bounds::texts("records", &records, 100, 200)?;
                bounds::text("interest", &interest, 1..=bounds::LONG)?;
                bounds::texts("redisclosure_to", &redisclosure_to, 100, 200)?;
                if records.is_empty() {
                    return Err(Refused::invalid("records", "at least one"));
                }
                let email = address.as_ref().map(|address| address.0.as_str());
                bounds::maybe_text("address", email, 3..=254)?;
                if email.is_some_and(|email| !is_address(email)) {
                    return Err(Refused::invalid("address", "an e-mail address"));
                }
                let basis = DisclosureBasis::of_citation(&basis).ok_or(R::BasisUnknown {})?;
                let party = party.about(party_id);
                let address = address.map(|address| address.about(party_id));
                E::DisclosureRequested {
                    subject,
                    party,
                    party_kind,
                    records,
                    interest,
                    basis,
                    redisclosure_to,
                    address,
                }
            }
            C::AuthorizeDisclosure { .. } if self.status != S::Requested => return Err(wrong_state),
            C::RefuseDisclosure { .. } if !matches!(self.status, S::Requested | S::Authorized) => {
                return Err(wrong_state);
            }
            C::AuthorizeDisclosure { by, consent, agreement, notified_at } => {
                let basis = self.carried(facts)?;
                if basis == DisclosureBasis::Study && agreement.is_none() {
                    return Err(R::AgreementMissing {}.into());
                }
                if basis == DisclosureBasis::JudicialOrder && notified_at.is_none() {
                    return Err(R::NoticeMissing {}.into());
                }
                if let Some(told) = notified_at {
                    bounds::instant("notified_at", told)?;
                    if told > context.now {
                        return Err(Refused::invalid("notified_at", "not in the future"));
                    }
                }
                let consent = consent.filter(|_| basis == DisclosureBasis::Consent);
                let authorized_at = Some(context.now);
                E::DisclosureAuthorized { by, consent, agreement, notified_at, authorized_at }
            }
            C::RefuseDisclosure { reason } => {
                bounds::text("reason", &reason, 1..=bounds::LONG)?;
                E::DisclosureRefused { reason }
            }
            C::RecordDisclosure { .. } if self.status == S::Recorded => return Err(wrong_state),
            C::RecordDisclosure { .. } if self.status != S::Authorized => {
                return Err(R::NotAuthorized {}.into());
            }
            C::RecordDisclosure { documents, method, at, threat } => {
                bounds::count("documents", documents.len(), 100)?;
                bounds::text("method", &method, 1..=100)?;
                check_at(at, context)?;
                let words = threat.as_ref().map(|threat| threat.0.as_str());
                bounds::maybe_text("threat", words, 0..=bounds::LONG)?;
                let basis = self.carried(facts)?;
                self.check_order(at, basis, facts)?;
                let threatens = words.is_some_and(|words| !words.trim().is_empty());
                if basis == DisclosureBasis::Emergency && !threatens {
                    return Err(R::ThreatMissing {}.into());
                }
                E::DisclosureRecorded {
                    documents,
                    method,
                    at,
                    threat: threat.filter(|_| threatens).map(|threat| threat.about(subject)),
                    subject,
                    party_kind: self.party_kind,
                    basis,
                    exempt: basis.exempt(),
                    redisclosure_notice: basis.limits_redisclosure(),
                    statements: self.stated(&facts.statements),
                    statements_on_file: u32::try_from(facts.statements.len()).unwrap_or(u32::MAX),
                }
            }
            C::AppendRedisclosure { .. } if self.status != S::Recorded => return Err(wrong_state),
            C::AppendRedisclosure { party, interest, at } => {
                bounds::text("party", &party.0, 1..=200)?;
                bounds::text("interest", &interest, 1..=bounds::LONG)?;
                check_at(at, context)?;
                if self.disclosed_at.is_some_and(|disclosed| at < disclosed) {
                    return Err(Refused::invalid("at", "not before the disclosure"));
                }
                // What happened is recorded, allowed or not.
                let named = self.redisclosure_to.iter().any(|named| alike(named, &party.0));
                let limited = self.basis.is_none_or(DisclosureBasis::limits_redisclosure);
                let party = party.about(party_id);
                E::RedisclosureAppended { party, interest, at, allowed: named || !limited }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &DisclosureEvent) {
        use DisclosureEvent as E;
        use DisclosureStatus as S;
        match event {
            E::DisclosureRequested {
                subject,
                party,
                party_kind,
                records,
                interest: _,
                basis,
                redisclosure_to,
                address,
            } => {
                *self = Disclosure {
                    status: S::Requested,
                    subject: *subject,
                    party: party.clone(),
                    party_kind: *party_kind,
                    records: records.clone(),
                    basis: Some(*basis),
                    redisclosure_to: redisclosure_to.clone(),
                    address: address.clone(),
                    consent: None,
                    notified_at: None,
                    authorized_at: None,
                    disclosed_at: None,
                };
            }
            E::DisclosureAuthorized { by: _, consent, agreement: _, notified_at, authorized_at } => {
                self.status = S::Authorized;
                self.consent = *consent;
                (self.notified_at, self.authorized_at) = (*notified_at, *authorized_at);
            }
            E::DisclosureRefused { .. } => self.status = S::Refused,
            E::DisclosureRecorded { at, .. } => {
                self.status = S::Recorded;
                self.disclosed_at = Some(*at);
            }
            E::RedisclosureAppended { .. } => {}
        }
    }

    fn claims(_: Uuid, event: &DisclosureEvent) -> Vec<Claim> {
        use DisclosureEvent as E;
        match event {
            E::DisclosureRecorded { subject, statements_on_file, .. } => {
                let (key, limit) = (statements_key(*subject), statements_on_file.saturating_add(1));
                vec![Claim::Seat { key: key.clone(), limit }, Claim::Free(key)]
            }
            E::DisclosureRequested { .. }
            | E::DisclosureAuthorized { .. }
            | E::DisclosureRefused { .. }
            | E::RedisclosureAppended { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<DisclosureRefusal> {
        key.starts_with("statement:").then_some(DisclosureRefusal::StatementPending {})
    }

    fn subject(&self) -> Option<Uuid> {
        (self.status != DisclosureStatus::New).then_some(self.subject)
    }
}

/// Not in the future, as far as clocks agree.
fn check_at(at: Timestamp, context: &Context) -> Result<(), RefusedBy<Disclosure>> {
    bounds::instant("at", at)?;
    let latest = context.now.checked_add(CLOCKS_DIFFER).unwrap_or(Timestamp::MAX);
    if at <= latest { Ok(()) } else { Err(Refused::invalid("at", "not in the future")) }
}

impl Disclosure {
    /// The basis, where it carries the disclosure (GOV-D1, GOV-D4).
    fn carried(&self, facts: &DisclosureFacts) -> Result<DisclosureBasis, DisclosureRefusal> {
        use DisclosureRefusal as R;
        let basis = self.basis.ok_or(R::BasisUnknown {})?;
        if !basis.fits(self.party_kind) {
            return Err(R::BasisUnfit {});
        }
        if facts.restricted && !basis.overrides_restriction() {
            return Err(R::ProcessingRestricted {});
        }
        if let (DisclosureBasis::Consent, Some(gap)) = (basis, facts.consent_gap) {
            return Err(R::ConsentMissing { gap });
        }
        if basis == DisclosureBasis::Directory {
            if facts.opted_out {
                return Err(R::OptedOut {});
            }
            if !self.records.iter().all(|record| DIRECTORY_INFORMATION.contains(&record.as_str())) {
                return Err(R::NotDirectoryInformation {});
            }
        }
        let results_only =
            matches!(basis, DisclosureBasis::CrimeVictim | DisclosureBasis::DisciplinaryResult);
        if results_only && self.records.iter().any(|record| record != FINAL_RESULTS) {
            return Err(R::NotFinalResults {});
        }
        Ok(basis)
    }

    /// Not before that on which it rests. Who says when it was authorised is this clock, and clocks differ.
    fn check_order(
        &self,
        at: Timestamp,
        basis: DisclosureBasis,
        facts: &DisclosureFacts,
    ) -> Result<(), RefusedBy<Disclosure>> {
        let authorized = self.authorized_at.and_then(|then| then.checked_sub(CLOCKS_DIFFER).ok());
        let told = self.notified_at.filter(|_| basis == DisclosureBasis::JudicialOrder);
        let first = [
            (facts.signed_at, "not before the consent was signed"),
            (told, "not before the student was told of the order"),
            (authorized, "not before the disclosure was authorised"),
        ];
        match first.into_iter().find(|(first, _)| first.is_some_and(|first| at < first)) {
            Some((_, reason)) => Err(Refused::invalid("at", reason)),
            None => Ok(()),
        }
    }

    /// The requests whose statements are about any of these records.
    fn stated(&self, statements: &[(Uuid, Vec<String>)]) -> Vec<Uuid> {
        let about = |contested: &[String]| {
            contested.is_empty()
                || contested.iter().any(|name| self.records.iter().any(|record| alike(name, record)))
        };
        statements.iter().filter(|(_, contested)| about(contested)).map(|(request, _)| *request).collect()
    }
}

#[cfg(test)]
mod tests;
