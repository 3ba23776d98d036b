//! Money that somebody spent, earned or got back (catalogue 2.5, Transaction).
//!
//! Life cycle: `recorded (amended*) -> voided`.
//!
//! - **BUD-T1** an amount is above zero; the kind gives the sign.
//! - **BUD-T2** another currency needs a rate; booked is amount × rate, rounded half-even.
//! - **BUD-T3, BUD-T4** the category is stated, learned, recognised or left open ([`categorise`]).
//! - **BUD-T5** the same normalised merchant, amount and date within a day is marked a possible duplicate, not refused.
//! - **BUD-T6** a transaction lies at most 24 hours ahead.
//! - **BUD-T7** a recategorisation may teach the merchant's category.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    BudgetProfile, Categorised, UNCATEGORISED, categorise, local_date, normalise_merchant, owns, zone,
};
use crate::kernel::{
    Actor, Answer, Claim, Context, Currency, Decided, Decider, Known, Money, NotYet, Personal, Question,
    RecordClass, Refused, RefusedBy, Stated, bounds, class::Financial, half_even_rate,
};

mod messages;
#[cfg(test)]
mod tests;

pub use messages::*;

/// The state that decisions need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transaction {
    /// The owner, once it is recorded.
    pub account: Option<Uuid>,
    /// The kind.
    pub kind: TransactionKind,
    /// How much.
    pub amount: Personal<Money, Financial>,
    /// How much in the budget's currency.
    pub booked: Personal<Money, Financial>,
    /// The rate of the recording, where the currencies differed.
    pub rate_e9: Option<i64>,
    /// When.
    pub spent_at: Timestamp,
    /// The date in the owner's zone.
    pub local_date: Date,
    /// Where.
    pub merchant: Option<Personal<String, Financial>>,
    /// Where, normalised.
    pub merchant_normalized: Option<Personal<String, Financial>>,
    /// What for.
    pub note: Option<Personal<String, Financial>>,
    /// The category's key.
    pub category: String,
    /// Whether it was voided.
    pub voided: bool,
}

/// What other streams and read models tell.
#[derive(Clone, Debug, Default)]
pub struct TransactionFacts {
    /// The owner's profile, if they set a budget up.
    pub profile: Option<Arc<BudgetProfile>>,
    /// The category that the owner taught for the merchant (BUD-T7).
    pub learned: Option<String>,
    /// A transaction that this one may repeat (BUD-T5).
    pub duplicate: Option<Uuid>,
    /// The keyed hash of the reference that its source knows it by.
    pub reference: Option<String>,
}

impl Decider for Transaction {
    const TYPE: &'static str = "budgeting.transaction";
    const CLASS: Option<RecordClass> = Some(RecordClass::Financial);
    type Command = TransactionCommand;
    type Event = TransactionEvent;
    type Refusal = TransactionRefusal;
    type Facts = TransactionFacts;

    fn creates(command: &TransactionCommand) -> bool {
        matches!(command, TransactionCommand::RecordTransaction { .. })
    }

    fn facts(
        &self,
        command: &TransactionCommand,
        _context: &Context,
        known: &mut impl Known,
    ) -> Result<TransactionFacts, NotYet> {
        use TransactionCommand as C;
        let mut facts = TransactionFacts::default();
        let account = match command {
            C::RecordTransaction { account, .. } => Some(*account),
            C::AmendTransaction { .. } | C::RecategorizeTransaction { .. } => self.account,
            C::VoidTransaction { .. } => None,
        };
        let Some(account) = account else { return Ok(facts) };
        let found = known.stream::<BudgetProfile>(account)?;
        facts.profile = found.exists().then_some(found.state);
        if let C::RecordTransaction { external_ref: Some(reference), .. } = command {
            let label = reference_label(account, reference);
            if let Answer::Hash(hash) = known.ask(Question::TokenHash { label })? {
                facts.reference = Some(hash);
            }
        }
        let C::RecordTransaction { amount, spent_at, merchant: Some(merchant), category, kind, .. } = command
        else {
            return Ok(facts);
        };
        let merchant = normalise_merchant(&merchant.0);
        let Some(profile) = facts.profile.as_ref().filter(|_| !merchant.is_empty()) else { return Ok(facts) };
        if category.is_none() && kind.spending_sign().is_some() {
            let merchant = merchant.clone();
            if let Answer::Category(learned) = known.ask(Question::LearnedCategory { account, merchant })? {
                facts.learned = learned;
            }
        }
        let date = local_date(*spent_at, &zone(&profile.tz));
        let repeated = Question::PossibleDuplicate { account, merchant, amount: amount.0, date };
        if let Answer::Reference(duplicate) = known.ask(repeated)? {
            facts.duplicate = duplicate;
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &TransactionCommand) -> bool {
        use TransactionCommand as C;
        let own = |account: Uuid| owns(actor, account, "write:transactions");
        match command {
            C::RecordTransaction { account, .. } => actor.is_system() || own(*account),
            C::AmendTransaction { .. } | C::RecategorizeTransaction { .. } | C::VoidTransaction { .. } => {
                self.account.is_some_and(own)
            }
        }
    }

    fn decide(
        &self,
        command: TransactionCommand,
        facts: &TransactionFacts,
        context: &Context,
    ) -> Decided<Self> {
        use TransactionCommand as C;
        use TransactionEvent as E;
        let event = match command {
            C::RecordTransaction { .. } if self.account.is_some() => {
                let state = if self.voided { "voided" } else { "recorded" };
                return Err(Refused::InvalidState { state, command: "RecordTransaction" });
            }
            C::RecordTransaction {
                account,
                kind,
                amount,
                spent_at,
                merchant,
                note,
                category,
                source,
                external_ref,
                receipt,
                goal,
                installment,
                rate_e9,
                rate_date,
                rate_source,
            } => {
                let profile = profile_of(facts)?;
                check_text("merchant", merchant.as_ref(), 200)?;
                check_text("note", note.as_ref(), 2000)?;
                check_token("external_ref", external_ref.as_deref(), 200)?;
                check_token("rate_source", rate_source.as_deref(), 60)?;
                check_time(spent_at, context)?;
                if rate_e9.is_some_and(|rate| rate <= 0) {
                    return Err(Refused::invalid("rate_e9", "above zero"));
                }
                // A rate without its date and source is none (ARI-5).
                let rate = rate_e9.filter(|_| rate_date.is_some() && rate_source.is_some());
                let booked = booked(amount.0, rate, currency_of(profile)?)?;
                let normalized = merchant.as_ref().map(|merchant| normalise_merchant(&merchant.0));
                let found = match category {
                    Some(category) => Categorised::explicit(checked(profile, category)?),
                    None if kind.spending_sign().is_none() => Categorised::open(),
                    None => categorise(
                        profile,
                        facts.learned.as_deref(),
                        normalized.as_deref(),
                        note.as_ref().map(|note| note.0.as_str()),
                    ),
                };
                E::TransactionRecorded {
                    account,
                    kind,
                    amount: amount.about(account),
                    booked: Personal::about(account, booked),
                    spent_at,
                    local_date: date_of(profile, spent_at)?,
                    merchant: merchant.map(|merchant| merchant.about(account)),
                    merchant_normalized: normalized.map(|merchant| Personal::about(account, merchant)),
                    note: note.map(|note| note.about(account)),
                    category: found.category,
                    confidence: found.confidence,
                    engine: found.engine.to_owned(),
                    source,
                    // Enough to know it again, and nothing of what the bank calls it.
                    external_ref: match external_ref {
                        Some(_) => Some(facts.reference.clone().ok_or(Refused::Forbidden)?),
                        None => None,
                    },
                    receipt,
                    goal,
                    installment,
                    rate_e9,
                    rate_date,
                    rate_source,
                    possible_duplicate_of: facts.duplicate.filter(|duplicate| *duplicate != context.id),
                }
            }
            C::AmendTransaction { .. } | C::RecategorizeTransaction { .. } if self.voided => {
                return Err(TransactionRefusal::Voided {}.into());
            }
            C::AmendTransaction { amount, spent_at, merchant, note, category } => {
                self.amend(Amendment { amount, spent_at, merchant, note, category }, facts, context)?
            }
            C::RecategorizeTransaction { category, learn } => E::TransactionRecategorized {
                account: self.owner("RecategorizeTransaction")?,
                kind: self.kind,
                category: checked(profile_of(facts)?, category)?,
                learn,
                from: self.category.clone(),
                booked: self.booked.clone(),
                merchant_normalized: self.merchant_normalized.clone(),
                local_date: self.local_date,
            },
            C::VoidTransaction { .. } if self.voided => {
                return Err(TransactionRefusal::AlreadyVoided {}.into());
            }
            C::VoidTransaction { reason } => {
                check_text("reason", Some(&reason), 500)?;
                let account = self.owner("VoidTransaction")?;
                E::TransactionVoided {
                    account,
                    kind: self.kind,
                    reason: reason.about(account),
                    booked: self.booked.clone(),
                    category: self.category.clone(),
                    local_date: self.local_date,
                }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &TransactionEvent) {
        use TransactionEvent as E;
        match event {
            E::TransactionRecorded {
                account,
                kind,
                amount,
                booked,
                spent_at,
                local_date,
                merchant,
                merchant_normalized,
                note,
                category,
                rate_e9,
                ..
            } => {
                *self = Transaction {
                    account: Some(*account),
                    kind: *kind,
                    amount: amount.clone(),
                    booked: booked.clone(),
                    rate_e9: *rate_e9,
                    spent_at: *spent_at,
                    local_date: *local_date,
                    merchant: merchant.clone(),
                    merchant_normalized: merchant_normalized.clone(),
                    note: note.clone(),
                    category: category.clone(),
                    voided: false,
                }
            }
            E::TransactionAmended {
                amount,
                spent_at,
                merchant,
                merchant_normalized,
                note,
                category,
                booked,
                local_date,
                ..
            } => {
                if let Some(amount) = amount {
                    self.amount = amount.clone();
                }
                self.spent_at = spent_at.unwrap_or(self.spent_at);
                for (place, stated) in [
                    (&mut self.merchant, merchant),
                    (&mut self.merchant_normalized, merchant_normalized),
                    (&mut self.note, note),
                ] {
                    if stated.is_some() {
                        *place = stated.clone();
                    }
                }
                self.category = category.clone();
                self.booked = booked.clone();
                self.local_date = *local_date;
            }
            E::TransactionRecategorized { category, .. } => self.category = category.clone(),
            E::TransactionVoided { .. } => self.voided = true,
        }
    }

    fn claims(_id: Uuid, event: &TransactionEvent) -> Vec<Claim> {
        use TransactionEvent as E;
        match event {
            E::TransactionRecorded { account, source, external_ref: Some(reference), .. } => {
                let source: &'static str = source.into();
                vec![Claim::Take(format!("txn-ext:{account}:{source}:{reference}"))]
            }
            // A voided import stays known, or the next import would bring it back.
            E::TransactionRecorded { external_ref: None, .. }
            | E::TransactionAmended { .. }
            | E::TransactionRecategorized { .. }
            | E::TransactionVoided { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<TransactionRefusal> {
        key.starts_with("txn-ext:").then_some(TransactionRefusal::DuplicateExternal {})
    }

    fn subject(&self) -> Option<Uuid> {
        self.account
    }
}

struct Amendment {
    amount: Option<Stated<Money>>,
    spent_at: Option<Timestamp>,
    merchant: Option<Stated<String>>,
    note: Option<Stated<String>>,
    category: Option<String>,
}

impl Transaction {
    fn owner(&self, command: &'static str) -> Result<Uuid, RefusedBy<Transaction>> {
        self.account.ok_or(Refused::InvalidState { state: "unrecorded", command })
    }

    fn amend(
        &self,
        stated: Amendment,
        facts: &TransactionFacts,
        context: &Context,
    ) -> Result<TransactionEvent, RefusedBy<Transaction>> {
        let Amendment { amount, spent_at, merchant, note, category } = stated;
        if amount.is_none()
            && spent_at.is_none()
            && merchant.is_none()
            && note.is_none()
            && category.is_none()
        {
            return Err(Refused::invalid("amount", "nothing is amended"));
        }
        let (account, profile) = (self.owner("AmendTransaction")?, profile_of(facts)?);
        check_text("merchant", merchant.as_ref(), 200)?;
        check_text("note", note.as_ref(), 2000)?;
        let erased = Refused::InvalidState { state: "erased", command: "AmendTransaction" };
        let (Some(old_amount), Some(old_booked)) = (self.amount.get(), self.booked.get()) else {
            return Err(erased);
        };
        let booked = match &amount {
            // The recorded rate is one of the recorded currency.
            Some(Stated(new)) => {
                let rate = self.rate_e9.filter(|_| new.ccy == old_amount.ccy);
                booked(*new, rate, currency_of(profile)?)?
            }
            None => *old_booked,
        };
        let local_date = match spent_at {
            Some(spent_at) => {
                check_time(spent_at, context)?;
                date_of(profile, spent_at)?
            }
            None => self.local_date,
        };
        let text =
            |text: &Option<Personal<String, Financial>>| text.as_ref().and_then(|text| text.get().cloned());
        let before = TransactionBefore {
            amount: *old_amount,
            booked: *old_booked,
            spent_at: self.spent_at,
            local_date: self.local_date,
            merchant: text(&self.merchant),
            note: text(&self.note),
            category: self.category.clone(),
        };
        Ok(TransactionEvent::TransactionAmended {
            account,
            kind: self.kind,
            amount: amount.map(|amount| amount.about(account)),
            spent_at,
            merchant_normalized: merchant
                .as_ref()
                .map(|merchant| Personal::about(account, normalise_merchant(&merchant.0))),
            merchant: merchant.map(|merchant| merchant.about(account)),
            note: note.map(|note| note.about(account)),
            category: category.map_or(Ok(self.category.clone()), |category| checked(profile, category))?,
            before: Personal::about(account, before),
            booked: Personal::about(account, booked),
            local_date,
        })
    }
}

type Check = Result<(), RefusedBy<Transaction>>;

fn profile_of(facts: &TransactionFacts) -> Result<&BudgetProfile, TransactionRefusal> {
    facts.profile.as_deref().ok_or(TransactionRefusal::NoProfile {})
}

fn currency_of(profile: &BudgetProfile) -> Result<Currency, TransactionRefusal> {
    profile.currency.ok_or(TransactionRefusal::NoProfile {})
}

/// A stated category must be live, or `uncategorised`.
fn checked(profile: &BudgetProfile, category: String) -> Result<String, TransactionRefusal> {
    let known = category == UNCATEGORISED || profile.category(&category).is_some();
    if known { Ok(category) } else { Err(TransactionRefusal::UnknownCategory { category }) }
}

/// BUD-T1, BUD-T2: the amount in the budget's currency.
fn booked(amount: Money, rate_e9: Option<i64>, currency: Currency) -> Result<Money, RefusedBy<Transaction>> {
    if !amount.is_positive() {
        return Err(TransactionRefusal::NonPositiveAmount {}.into());
    }
    let booked = if amount.ccy == currency {
        Some(amount)
    } else {
        let rate = rate_e9.ok_or(TransactionRefusal::FxRateMissing {})?;
        half_even_rate(amount.minor, rate).map(|minor| Money::new(minor, currency))
    };
    let in_range = booked.filter(|booked| amount.in_range() && booked.in_range());
    in_range.ok_or_else(|| Refused::invalid("amount", "the amount is out of range"))
}

/// BUD-T6.
fn check_time(spent_at: Timestamp, context: &Context) -> Check {
    let latest = context.now.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    if spent_at <= latest { Ok(()) } else { Err(TransactionRefusal::FutureDate {}.into()) }
}

fn date_of(profile: &BudgetProfile, spent_at: Timestamp) -> Result<Date, RefusedBy<Transaction>> {
    let date = local_date(spent_at, &zone(&profile.tz));
    let fits = (1900..=2200).contains(&date.year());
    if fits { Ok(date) } else { Err(Refused::invalid("spent_at", "of the years 1900 to 2200")) }
}

fn check_text(field: &'static str, text: Option<&Stated<String>>, most: usize) -> Check {
    text.map_or(Ok(()), |text| bounds::text(field, &text.0, 1..=most))
}

/// What a reference is recorded as: the token of this label, by its hash ([`Question::TokenHash`]). Whoever has the log alone
/// cannot tell by trying what it was.
fn reference_label(account: Uuid, reference: &str) -> String {
    format!("transaction-reference|{account}|{reference}")
}

/// References and sources are tokens, not texts.
fn check_token(field: &'static str, token: Option<&str>, most: usize) -> Check {
    let fits = token.is_none_or(|token| {
        (1..=most).contains(&token.len()) && token.bytes().all(|letter| letter.is_ascii_graphic())
    });
    if fits { Ok(()) } else { Err(Refused::invalid(field, format!("1 to {most} visible ASCII characters"))) }
}
