//! A scholarship: its terms, its window, its fund and whom it selects (catalogue 2.3, Scholarship).
//!
//! Life cycle: `draft -> published -> closed -> archived`.
//!
//! - **OPP-S1** the fund is `award × max_awards` and what is contributed; selections never exceed the fund, nor
//!   `max_awards`.
//! - **OPP-S2** once an application is submitted the criteria freeze, for ever: all terms but the title and the
//!   description. Only the deadline may still move, later. It is a reader-writer lock of claims, striped over 256 keys so
//!   that no key gathers many holders: every submission takes a seat in the stripe of its id and keeps it; a revision of
//!   the criteria must sit alone in every stripe for the moment of its append. A submission pins the scholarship's
//!   version in turn, so it is judged by the criteria that it saw. No read model is asked, none can lag.
//! - **OPP-S3** a timer closes it at the deadline. The timer follows publication and `DeadlineExtended`, therefore the
//!   deadline of a published scholarship moves by `ExtendDeadline` only.
//! - **OPP-S4** selection only after the deadline, unless `rolling` is tagged.
//!
//! A selection is reversed as long as its award was not accepted; what an applicant accepted stands. A policy reverses one
//! only where the application cannot be awarded any more (P-13): it may come late, to another selection than it reacts to.

mod messages;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use messages::*;

use super::{
    ApplicationStatus, CloseReason, ScholarshipApplication, ScholarshipChanges, ScholarshipStatus,
    ScholarshipTerms,
};
use crate::{
    governance::{ClassKeys, SubjectKey},
    identity::{OrgUnit, lineage_for},
    kernel::{
        Actor, Claim, Context, Decided, Decider, Known, Money, MoneyError, NotYet, Personal, RecordClass,
        Refused, RefusedBy, bounds,
    },
};

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scholarship {
    /// Where in its life it is.
    pub status: ScholarshipStatus,
    /// What it offers, and to whom; there once it was drafted.
    pub terms: Option<ScholarshipTerms>,
    /// The fund, once it is published (OPP-S1).
    pub fund: Option<Money>,
    /// The payments that contributed to the fund.
    pub contributions: BTreeSet<Uuid>,
    /// What the payments amount to.
    pub contributed: Option<Money>,
    /// The applications selected, with the amounts.
    pub selections: BTreeMap<Uuid, Money>,
    /// Why it was closed.
    pub closed: Option<CloseReason>,
}

impl Scholarship {
    /// Whether applications are taken at this instant.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.status == ScholarshipStatus::Published
            && self.terms.as_ref().is_some_and(|terms| terms.window_contains(now))
    }

    /// What of the fund is not given yet.
    pub fn remaining_fund(&self) -> Option<Money> {
        self.selections.values().try_fold(self.fund?, |left, amount| left.minus(*amount).ok())
    }

    /// Which commands mean something in which state.
    fn allows(&self, command: &ScholarshipCommand) -> bool {
        use ScholarshipCommand as C;
        use ScholarshipStatus as S;
        match command {
            C::DraftScholarship(_) => self.status == S::New,
            C::ReviseScholarship { .. } => matches!(self.status, S::Draft | S::Published),
            C::PublishScholarship {} => self.status == S::Draft,
            C::ExtendDeadline { .. } | C::CloseScholarship { .. } => self.status == S::Published,
            C::RecordFundContribution { .. } => self.status != S::Archived,
            C::SelectAwardee { .. } => {
                matches!(self.status, S::Published | S::Closed) && self.closed != Some(CloseReason::Cancelled)
            }
            C::ReverseSelection { .. } => matches!(self.status, S::Published | S::Closed),
            // Whatever is not closed has an error of its own.
            C::ArchiveScholarship {} => true,
        }
    }
}

/// What a scholarship must know of others.
#[derive(Default)]
pub struct ScholarshipFacts {
    /// Whether the stated sponsor exists.
    pub sponsor_exists: bool,
    /// The status of the named application, where it is one for this scholarship.
    pub application: Option<ApplicationStatus>,
    /// Whose it is.
    pub applicant: Uuid,
    /// Whether their record was erased: nothing can be sealed for them any more.
    pub is_forgotten: bool,
    /// The sponsor and all that it is below, where the actor's scope is held against it.
    pub lineage: Vec<Uuid>,
    /// The same of the sponsor that is stated instead.
    pub new_lineage: Option<Vec<Uuid>>,
}

/// What those who manage scholarships hold, everywhere or for the sponsors within their org units (IDN-A8).
pub(super) const MANAGE: &str = "manage:scholarships";

impl Decider for Scholarship {
    const TYPE: &'static str = "opportunities.scholarship";
    const GRANTABLE: &'static [&'static str] = &[
        crate::READ,
        "PublishScholarship",
        "ExtendDeadline",
        "SelectAwardee",
        "ReverseSelection",
        "CloseScholarship",
        "ArchiveScholarship",
    ];
    type Command = ScholarshipCommand;
    type Event = ScholarshipEvent;
    type Refusal = ScholarshipRefusal;
    type Facts = ScholarshipFacts;

    fn creates(command: &ScholarshipCommand) -> bool {
        matches!(command, ScholarshipCommand::DraftScholarship(_))
    }

    fn facts(
        &self,
        command: &ScholarshipCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<ScholarshipFacts, NotYet> {
        use ScholarshipCommand as C;
        let mut facts = ScholarshipFacts::default();
        if let Some(terms) = &self.terms {
            facts.lineage = lineage_for(&context.actor, MANAGE, terms.sponsor, known)?;
        }
        match command {
            C::DraftScholarship(ScholarshipTerms { sponsor, .. })
            | C::ReviseScholarship { changes: ScholarshipChanges { sponsor: Some(sponsor), .. } } => {
                facts.sponsor_exists = known.stream::<OrgUnit>(*sponsor)?.exists();
                facts.new_lineage = Some(lineage_for(&context.actor, MANAGE, *sponsor, known)?);
            }
            // Pinned: an application that is withdrawn, or an award that is accepted, at the same moment counts.
            C::SelectAwardee { application, .. } | C::ReverseSelection { application, .. } => {
                let found = known.pinned::<ScholarshipApplication>(*application)?;
                facts.application =
                    (found.exists() && found.state.scholarship == context.id).then_some(found.state.status);
                facts.applicant = found.state.applicant;
                if matches!(command, C::ReverseSelection { .. }) && found.exists() {
                    let keys = known.pinned::<SubjectKey>(facts.applicant)?.state;
                    let education = keys.classes.get(&RecordClass::Education);
                    facts.is_forgotten = education == Some(&ClassKeys::Shredded);
                }
            }
            C::ReviseScholarship { changes: ScholarshipChanges { sponsor: None, .. } }
            | C::PublishScholarship {}
            | C::ExtendDeadline { .. }
            | C::RecordFundContribution { .. }
            | C::CloseScholarship { .. }
            | C::ArchiveScholarship {} => {}
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &ScholarshipCommand) -> bool {
        use ScholarshipCommand as C;
        // For which sponsor, the decision tells.
        let staff = actor.has_somewhere(MANAGE);
        match command {
            C::RecordFundContribution { .. } => actor.is_system(),
            // The deadline's timer closes (P-15); a refused award is reversed (P-13).
            C::CloseScholarship { .. } | C::ReverseSelection { .. } => staff || actor.is_system(),
            C::DraftScholarship(_)
            | C::ReviseScholarship { .. }
            | C::PublishScholarship {}
            | C::ExtendDeadline { .. }
            | C::SelectAwardee { .. }
            | C::ArchiveScholarship {} => staff,
        }
    }

    fn decide(
        &self,
        command: ScholarshipCommand,
        facts: &ScholarshipFacts,
        context: &Context,
    ) -> Decided<Self> {
        use ScholarshipCommand as C;
        use ScholarshipEvent as E;
        use ScholarshipRefusal as R;
        let actor = &context.actor;
        let stands = self.terms.is_none() || actor.has_within(MANAGE, &facts.lineage);
        let may_move = facts.new_lineage.as_ref().is_none_or(|lineage| actor.has_within(MANAGE, lineage));
        let allowed = actor.is_system() || (stands && may_move);
        if !allowed {
            return Err(Refused::Forbidden);
        }
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        if !self.allows(&command) {
            return Err(wrong_state);
        }
        let terms = self.terms.as_ref().ok_or(wrong_state);
        let event = match command {
            C::DraftScholarship(terms) => {
                terms.check()?;
                if !facts.sponsor_exists {
                    return Err(R::UnknownSponsor {}.into());
                }
                E::ScholarshipDrafted(terms)
            }
            C::ReviseScholarship { changes } => {
                self.check_revision(terms?, &changes, facts)?;
                E::ScholarshipRevised { changes }
            }
            C::PublishScholarship {} => {
                let terms = terms?;
                if terms.deadline < context.now {
                    return Err(R::DeadlinePassed { deadline: terms.deadline }.into());
                }
                E::ScholarshipPublished { fund: terms.initial_fund() }
            }
            C::ExtendDeadline { deadline, reason } => {
                bounds::instant("deadline", deadline)?;
                bounds::text("reason", &reason, 1..=2000)?;
                let before = terms?.deadline;
                if deadline <= before {
                    return Err(R::NotLater { deadline: before }.into());
                }
                E::DeadlineExtended { deadline, reason }
            }
            C::RecordFundContribution { payment, .. } if self.contributions.contains(&payment) => {
                return Ok(Vec::new());
            }
            C::RecordFundContribution { payment, amount, donor } => {
                check_amount(amount)?;
                let fund = self.fund.unwrap_or(terms?.initial_fund());
                check_fund("amount", fund.plus(amount))?;
                E::FundContributionRecorded { payment, amount, donor }
            }
            C::SelectAwardee { application, amount } => {
                self.check_selection(terms?, application, amount, facts, context)?;
                E::AwardeeSelected { application, amount }
            }
            C::ReverseSelection { application, .. } if !self.selections.contains_key(&application) => {
                return Err(R::NotSelected {}.into());
            }
            C::ReverseSelection { .. } if facts.application == Some(ApplicationStatus::Accepted) => {
                return Err(R::AlreadyAccepted {}.into());
            }
            C::ReverseSelection { .. }
                if actor.is_system()
                    && facts.application.is_some_and(ApplicationStatus::honours_a_selection) =>
            {
                return Ok(Vec::new());
            }
            C::ReverseSelection { application, reason } => {
                bounds::text("reason", &reason.0, 1..=2000)?;
                // What is held for somebody who was erased is freed all the same.
                let reason =
                    if facts.is_forgotten { Personal::Erased } else { reason.about(facts.applicant) };
                E::SelectionReversed { application, reason }
            }
            C::CloseScholarship { reason } => {
                let deadline = terms?.deadline;
                // A timer that was set before the deadline was extended comes too early.
                if reason == CloseReason::Deadline && context.now < deadline {
                    return Err(R::BeforeDeadline { deadline }.into());
                }
                E::ScholarshipClosed { reason }
            }
            C::ArchiveScholarship {} if self.status != ScholarshipStatus::Closed => {
                return Err(R::NotClosed { status: self.status }.into());
            }
            C::ArchiveScholarship {} => E::ScholarshipArchived {},
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &ScholarshipEvent) {
        use ScholarshipEvent as E;
        match event {
            E::ScholarshipDrafted(terms) => {
                self.status = ScholarshipStatus::Draft;
                self.terms = Some(terms.clone());
            }
            E::ScholarshipRevised { changes } => {
                self.terms = self.terms.as_ref().map(|terms| terms.with(changes));
                if self.status == ScholarshipStatus::Published {
                    self.fund = self.terms.as_ref().map(ScholarshipTerms::initial_fund);
                    self.add_contributions();
                }
            }
            E::ScholarshipPublished { fund } => {
                self.status = ScholarshipStatus::Published;
                self.fund = Some(*fund);
                self.add_contributions();
            }
            E::DeadlineExtended { deadline, .. } => {
                if let Some(terms) = &mut self.terms {
                    terms.deadline = *deadline;
                }
            }
            E::FundContributionRecorded { payment, amount, .. } => {
                self.contributions.insert(*payment);
                let before = self.contributed.unwrap_or(Money::zero(amount.ccy));
                self.contributed = Some(before.plus(*amount).unwrap_or(before));
                self.fund = self.fund.map(|fund| fund.plus(*amount).unwrap_or(fund));
            }
            E::AwardeeSelected { application, amount } => {
                self.selections.insert(*application, *amount);
            }
            E::SelectionReversed { application, .. } => {
                self.selections.remove(application);
            }
            E::ScholarshipClosed { reason } => {
                self.status = ScholarshipStatus::Closed;
                self.closed = Some(*reason);
            }
            E::ScholarshipArchived {} => self.status = ScholarshipStatus::Archived,
        }
    }

    fn claims(id: Uuid, event: &ScholarshipEvent) -> Vec<Claim> {
        use ScholarshipEvent as E;
        match event {
            // The writer's side of OPP-S2: alone among the seats, and gone again.
            E::ScholarshipRevised { changes } if changes.touch_criteria() => {
                let alone = |key: String| [Claim::Seat { key: key.clone(), limit: 1 }, Claim::Free(key)];
                (0..=u8::MAX).flat_map(|stripe| alone(stripe_key(id, stripe))).collect()
            }
            E::ScholarshipRevised { .. }
            | E::ScholarshipDrafted(_)
            | E::ScholarshipPublished { .. }
            | E::DeadlineExtended { .. }
            | E::FundContributionRecorded { .. }
            | E::AwardeeSelected { .. }
            | E::SelectionReversed { .. }
            | E::ScholarshipClosed { .. }
            | E::ScholarshipArchived {} => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<ScholarshipRefusal> {
        key.starts_with(SUBMISSIONS).then_some(ScholarshipRefusal::CriteriaFrozen {})
    }
}

const SUBMISSIONS: &str = "submitted:";

/// The claim of which a submitted application has a seat (OPP-S2).
pub(super) fn submission_key(scholarship: Uuid, application: Uuid) -> String {
    stripe_key(scholarship, application.as_bytes()[15])
}

fn stripe_key(scholarship: Uuid, stripe: u8) -> String {
    format!("{SUBMISSIONS}{scholarship}:{stripe:02x}")
}

type Check = Result<(), RefusedBy<Scholarship>>;

fn check_amount(amount: Money) -> Check {
    let fits = amount.is_positive() && amount.in_range();
    if fits { Ok(()) } else { Err(Refused::invalid("amount", "more than nothing, and in range")) }
}

fn check_fund(field: &'static str, fund: Result<Money, MoneyError>) -> Check {
    match fund {
        Ok(_) => Ok(()),
        Err(MoneyError::OutOfRange) => Err(Refused::invalid(field, "the fund would be out of range")),
        Err(MoneyError::CurrencyMismatch | MoneyError::UnknownCurrency) => {
            Err(ScholarshipRefusal::CurrencyMismatch {}.into())
        }
    }
}

impl Scholarship {
    /// The initial fund was set: what was contributed comes on top.
    fn add_contributions(&mut self) {
        if let (Some(fund), Some(contributed)) = (self.fund, self.contributed) {
            self.fund = Some(fund.plus(contributed).unwrap_or(fund));
        }
    }

    fn check_revision(
        &self,
        terms: &ScholarshipTerms,
        changes: &ScholarshipChanges,
        facts: &ScholarshipFacts,
    ) -> Check {
        if *changes == ScholarshipChanges::default() {
            return Err(Refused::invalid("changes", "nothing changes"));
        }
        if self.status == ScholarshipStatus::Published && changes.deadline.is_some() {
            return Err(Refused::invalid("changes.deadline", "once published it moves by ExtendDeadline"));
        }
        let revised = terms.with(changes);
        revised.check()?;
        if changes.sponsor.is_some() && !facts.sponsor_exists {
            return Err(ScholarshipRefusal::UnknownSponsor {}.into());
        }
        match self.contributed {
            Some(contributed) => check_fund("changes.award", revised.initial_fund().plus(contributed)),
            None => Ok(()),
        }
    }

    /// OPP-S1, OPP-S4.
    fn check_selection(
        &self,
        terms: &ScholarshipTerms,
        application: Uuid,
        amount: Money,
        facts: &ScholarshipFacts,
        context: &Context,
    ) -> Check {
        use ScholarshipRefusal as R;
        check_amount(amount)?;
        let status = facts.application.ok_or(R::UnknownApplication {})?;
        if self.selections.contains_key(&application) {
            return Err(R::AlreadySelected {}.into());
        }
        if !status.is_under_consideration() {
            return Err(R::NotUnderConsideration { status }.into());
        }
        if context.now <= terms.deadline && !terms.is_rolling() {
            return Err(R::BeforeDeadline { deadline: terms.deadline }.into());
        }
        if self.selections.len() >= usize::try_from(terms.max_awards).unwrap_or(usize::MAX) {
            return Err(R::AwardsExhausted { max_awards: terms.max_awards }.into());
        }
        let remaining = self.remaining_fund().unwrap_or(Money::zero(terms.award.ccy));
        match remaining.minus(amount) {
            Ok(left) if left.minor >= 0 => Ok(()),
            Ok(_) | Err(MoneyError::OutOfRange) => Err(R::FundExhausted { remaining }.into()),
            Err(MoneyError::CurrencyMismatch | MoneyError::UnknownCurrency) => {
                Err(R::CurrencyMismatch {}.into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
