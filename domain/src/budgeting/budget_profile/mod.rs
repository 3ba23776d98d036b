//! What a person told of their money: currency, income, split, categories, and what was learned of how they spend
//! (catalogue 2.5, BudgetProfile). Its id is the account's id.
//!
//! Life cycle: set up once; any later command keeps it.
//!
//! - **BUD-P1** the default split is 50/30/20; a split is a partition of the whole (ARI-6).
//! - **BUD-P2** everybody starts with the [default categories](default_categories).
//! - **BUD-P3** savings categories are essential and never donors.
//! - **P-32** how somebody spends is looked into only while their consent to analytics stands.
//! - **BUD-P4** changes take effect from the next opened month, unless the person has the current one reallocated: a
//!   month keeps what it was opened with.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Category, CategoryChanges, CategoryClass, CategoryRevision, Cohort, Pacing, RedistributionMode, Split,
    UNCATEGORISED, YearMonth, default_categories, owns,
};
use crate::{
    governance::{ConsentLedger, ConsentPurpose},
    kernel::{
        Actor, BasisPoints, Context, Currency, Decided, Decider, Known, Money, NotYet, Personal, RecordClass,
        Refused, RefusedBy, Stated, bounds, class::Financial,
    },
};

mod messages;
#[cfg(test)]
mod tests;

pub use messages::*;

/// The state that decisions need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetProfile {
    /// The owner, once it is set up.
    pub account: Option<Uuid>,
    /// The currency of every amount of the budget.
    pub currency: Option<Currency>,
    /// The owner's time zone, an IANA name.
    pub tz: String,
    /// The income as it was set up.
    pub income: Personal<Money, Financial>,
    /// Later incomes, each from its month on.
    pub incomes: BTreeMap<YearMonth, Personal<Money, Financial>>,
    /// The split as it was set up.
    pub split: Split,
    /// Later splits, each from its month on.
    pub splits: BTreeMap<YearMonth, Split>,
    /// The live categories, in the order in which they were defined.
    pub categories: Vec<ProfileCategory>,
    /// Retired categories, and which one took each of them over.
    pub retired: BTreeMap<String, String>,
    /// What to do about an overspend in months to come.
    pub mode: RedistributionMode,
    /// The cohort that was assigned last.
    pub cohort: Option<Cohort>,
}

/// A live category of a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileCategory {
    /// The category.
    pub category: Category,
    /// The owner's own keywords; the built-in ones of the default categories are not among them.
    pub keywords: Personal<Vec<String>, Financial>,
    /// From which part of its envelope on the owner wants to be told.
    pub alert: Option<BasisPoints>,
}

impl BudgetProfile {
    /// The income of a month: the one with the latest start not after it. `None` when it is not set up or erased.
    pub fn income_of(&self, month: YearMonth) -> Option<Money> {
        let later = self.incomes.range(..=month).next_back().map(|(_, income)| income);
        later.unwrap_or(&self.income).get().copied()
    }

    /// The split of a month: the one with the latest start not after it.
    pub fn split_of(&self, month: YearMonth) -> Split {
        self.splits.range(..=month).next_back().map_or(self.split, |(_, split)| *split)
    }

    /// The live category of this key.
    pub fn category(&self, key: &str) -> Option<&ProfileCategory> {
        self.categories.iter().find(|live| live.category.key == key)
    }

    /// The live category that a key means: itself, or the one that took it over when it was retired.
    pub fn resolve(&self, key: &str) -> Option<&str> {
        let mut key = key;
        // A category is merged into a live one only, so that the chain cannot close; the bound costs nothing.
        for _ in 0..=self.retired.len() {
            if let Some(live) = self.category(key) {
                return Some(&live.category.key);
            }
            key = self.retired.get(key)?;
        }
        None
    }

    fn in_class(&self, class: CategoryClass) -> usize {
        self.categories.iter().filter(|live| live.category.class == class).count()
    }
}

/// What a profile must know of others.
#[derive(Clone, Debug, Default)]
pub struct BudgetProfileFacts {
    /// Whether the owner's consent to analytics stands.
    pub consents: bool,
}

impl Decider for BudgetProfile {
    const TYPE: &'static str = "budgeting.budget_profile";
    const CLASS: Option<RecordClass> = Some(RecordClass::Financial);
    type Command = BudgetProfileCommand;
    type Event = BudgetProfileEvent;
    type Refusal = BudgetProfileRefusal;
    type Facts = BudgetProfileFacts;

    fn creates(command: &BudgetProfileCommand) -> bool {
        matches!(command, BudgetProfileCommand::SetUpBudget { .. })
    }

    fn unborn(owner: Uuid) -> Self {
        BudgetProfile { account: Some(owner), ..BudgetProfile::default() }
    }

    fn facts(
        &self,
        command: &BudgetProfileCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<BudgetProfileFacts, NotYet> {
        use BudgetProfileCommand as C;
        match command {
            C::AssignCohort { .. } | C::RecordSpendingPatterns { .. } => {
                // A consent that is withdrawn meanwhile must not be missed (GOV-C1).
                let ledger = known.pinned::<ConsentLedger>(context.id)?.state;
                Ok(BudgetProfileFacts { consents: ledger.stands(ConsentPurpose::Analytics, context.now) })
            }
            C::SetUpBudget { .. }
            | C::ChangeTimeZone { .. }
            | C::ChangeIncome { .. }
            | C::ChangeSplit { .. }
            | C::DefineCategory { .. }
            | C::ReviseCategory { .. }
            | C::RetireCategory { .. }
            | C::SetRedistributionMode { .. }
            | C::SetCategoryAlert { .. } => Ok(BudgetProfileFacts::default()),
        }
    }

    fn may(&self, actor: &Actor, command: &BudgetProfileCommand) -> bool {
        use BudgetProfileCommand as C;
        match (command, self.account) {
            (C::AssignCohort { .. } | C::RecordSpendingPatterns { .. } | C::ChangeTimeZone { .. }, _) => {
                actor.is_system()
            }
            // Whose it will be is the stream's id, which only the decision knows.
            (C::SetUpBudget { .. }, None) => actor.has("manage:budget"),
            (_, Some(account)) => owns(actor, account, "manage:budget"),
            (_, None) => false,
        }
    }

    fn decide(
        &self,
        command: BudgetProfileCommand,
        facts: &BudgetProfileFacts,
        context: &Context,
    ) -> Decided<Self> {
        use BudgetProfileCommand as C;
        use BudgetProfileEvent as E;
        let owner = context.id;
        let event = match command {
            C::SetUpBudget { .. } if !owns(&context.actor, owner, "manage:budget") => {
                return Err(Refused::Forbidden);
            }
            C::SetUpBudget { .. } if self.account.is_some() => {
                return Err(BudgetProfileRefusal::AlreadySetUp {}.into());
            }
            C::SetUpBudget { currency, tz, country, income, needs, wants, savings, mode } => {
                check_zone(&tz)?;
                if country.len() != 2 || !country.bytes().all(|letter| letter.is_ascii_uppercase()) {
                    return Err(Refused::invalid("country", "two upper-case letters of ISO 3166-1"));
                }
                check_income(income.0, Some(currency))?;
                check_split(Split { needs, wants, savings })?;
                E::BudgetSetUp {
                    account: owner,
                    currency,
                    tz,
                    country,
                    income: income.about(owner),
                    needs,
                    wants,
                    savings,
                    mode,
                    categories: default_categories(),
                }
            }
            C::ChangeTimeZone { tz } if tz == self.tz => return Ok(Vec::new()),
            C::ChangeTimeZone { tz } => {
                check_zone(&tz)?;
                E::BudgetTimeZoneChanged { tz }
            }
            C::ChangeIncome { income, from } => {
                check_income(income.0, self.currency)?;
                E::IncomeChanged { income: income.about(owner), from }
            }
            C::ChangeSplit { needs, wants, savings, from } => {
                check_split(Split { needs, wants, savings })?;
                E::SplitChanged { needs, wants, savings, from }
            }
            C::DefineCategory { key, class, level, essential, weight, pacing, fixed_day, keywords } => {
                check_key(&key)?;
                check_keywords("keywords", &keywords.0)?;
                if self.category(&key).is_some() {
                    return Err(BudgetProfileRefusal::Duplicate {}.into());
                }
                if self.categories.len() >= 100 {
                    return Err(Refused::invalid("key", "a profile has at most 100 categories"));
                }
                let category =
                    Category { key, class, level: level_of(level)?, essential, weight, pacing, fixed_day };
                check_category(&category)?;
                let Category { key, class, level, essential, weight, pacing, fixed_day } = category;
                let keywords = keywords.about(owner);
                E::CategoryDefined { key, class, level, essential, weight, pacing, fixed_day, keywords }
            }
            C::ReviseCategory { key, changes } => {
                let live = self.live(&key)?;
                let CategoryChanges { class, level, essential, weight, pacing, fixed_day, keywords } =
                    changes;
                if let Some(Stated(keywords)) = &keywords {
                    check_keywords("changes.keywords", keywords)?;
                }
                if class.is_some_and(|class| class != live.category.class)
                    && self.in_class(live.category.class) == 1
                {
                    return Err(BudgetProfileRefusal::LastInClass {}.into());
                }
                let changes = CategoryRevision {
                    class,
                    level: level.map(level_of).transpose()?,
                    essential,
                    weight,
                    pacing,
                    fixed_day,
                    keywords: keywords.map(|keywords| keywords.about(owner)),
                };
                check_category(&revised(&live.category, &changes))?;
                E::CategoryRevised { key, changes }
            }
            C::RetireCategory { key, merge_into } => {
                let live = self.live(&key)?;
                if key == merge_into {
                    return Err(Refused::invalid("merge_into", "another category"));
                }
                self.live(&merge_into)?;
                if self.in_class(live.category.class) == 1 {
                    return Err(BudgetProfileRefusal::LastInClass {}.into());
                }
                E::CategoryRetired { key, merge_into }
            }
            C::SetRedistributionMode { mode } => E::RedistributionModeSet { mode },
            C::SetCategoryAlert { key, at } => {
                self.live(&key)?;
                if !(0..=20_000).contains(&at.0) {
                    return Err(Refused::invalid("at", "0 to 20000"));
                }
                E::CategoryAlertSet { key, at }
            }
            C::AssignCohort { .. } | C::RecordSpendingPatterns { .. } if !facts.consents => {
                return Err(BudgetProfileRefusal::ConsentMissing {}.into());
            }
            C::AssignCohort { month, cohort, features, model } => {
                if features.0.shares.len() > 200 {
                    return Err(Refused::invalid("features", "at most 200 shares"));
                }
                let assigned = E::CohortAssigned { month, cohort, features: features.about(owner), model };
                let drift = self.cohort.filter(|from| *from != cohort).map(|from| E::CohortDriftDetected {
                    from,
                    to: cohort,
                    month,
                });
                return Ok([assigned].into_iter().chain(drift).collect());
            }
            C::RecordSpendingPatterns { month, patterns, engine } => {
                if patterns.0.len() > 100 {
                    return Err(Refused::invalid("patterns", "at most 100"));
                }
                if !(1..=100).contains(&engine.chars().count()) {
                    return Err(Refused::invalid("engine", "1 to 100 characters"));
                }
                E::SpendingPatternsRecorded { month, patterns: patterns.about(owner), engine }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &BudgetProfileEvent) {
        use BudgetProfileEvent as E;
        match event {
            E::BudgetSetUp {
                account, currency, tz, income, needs, wants, savings, mode, categories, ..
            } => {
                let category = |category: &Category| ProfileCategory {
                    category: category.clone(),
                    keywords: Personal::about(*account, Vec::new()),
                    alert: None,
                };
                *self = BudgetProfile {
                    account: Some(*account),
                    currency: Some(*currency),
                    tz: tz.clone(),
                    income: income.clone(),
                    split: Split { needs: *needs, wants: *wants, savings: *savings },
                    categories: categories.iter().map(category).collect(),
                    mode: *mode,
                    ..BudgetProfile::default()
                }
            }
            E::BudgetTimeZoneChanged { tz } => self.tz.clone_from(tz),
            E::IncomeChanged { income, from } => {
                self.incomes.insert(*from, income.clone());
            }
            E::SplitChanged { needs, wants, savings, from } => {
                self.splits.insert(*from, Split { needs: *needs, wants: *wants, savings: *savings });
            }
            E::CategoryDefined { key, class, level, essential, weight, pacing, fixed_day, keywords } => {
                self.retired.remove(key);
                let category = Category {
                    key: key.clone(),
                    class: *class,
                    level: *level,
                    essential: *essential,
                    weight: *weight,
                    pacing: *pacing,
                    fixed_day: *fixed_day,
                };
                self.categories.push(ProfileCategory { category, keywords: keywords.clone(), alert: None });
            }
            E::CategoryRevised { key, changes } => {
                if let Some(live) = self.live_mut(key) {
                    live.category = revised(&live.category, changes);
                    if let Some(keywords) = &changes.keywords {
                        live.keywords = keywords.clone();
                    }
                }
            }
            E::CategoryRetired { key, merge_into } => self.retire(key, merge_into),
            E::RedistributionModeSet { mode } => self.mode = *mode,
            E::CategoryAlertSet { key, at } => {
                if let Some(live) = self.live_mut(key) {
                    live.alert = (at.0 > 0).then_some(*at);
                }
            }
            E::CohortAssigned { cohort, .. } => self.cohort = Some(*cohort),
            E::CohortDriftDetected { .. } | E::SpendingPatternsRecorded { .. } => {}
        }
    }

    fn subject(&self) -> Option<Uuid> {
        self.account
    }
}

type Check = Result<(), RefusedBy<BudgetProfile>>;

impl BudgetProfile {
    fn live(&self, key: &str) -> Result<&ProfileCategory, BudgetProfileRefusal> {
        self.category(key).ok_or_else(|| BudgetProfileRefusal::UnknownCategory { key: key.to_owned() })
    }

    fn live_mut(&mut self, key: &str) -> Option<&mut ProfileCategory> {
        self.categories.iter_mut().find(|live| live.category.key == key)
    }

    fn retire(&mut self, key: &str, merge_into: &str) {
        let Some(index) = self.categories.iter().position(|live| live.category.key == key) else { return };
        let gone = self.categories.remove(index);
        self.retired.insert(key.to_owned(), merge_into.to_owned());
        let Some(heir) = self.live_mut(merge_into) else { return };
        if heir.category.class == gone.category.class {
            heir.category.weight = heir.category.weight.saturating_add(gone.category.weight);
        }
        heir.keywords = match (std::mem::take(&mut heir.keywords), gone.keywords.into_inner()) {
            (keywords, Some(more)) => keywords.map(|own| [own, more].concat()),
            (keywords, None) => keywords,
        };
    }
}

/// The category after a revision. Only a `fixed_day` category keeps a day.
fn revised(category: &Category, changes: &CategoryRevision) -> Category {
    let pacing = changes.pacing.unwrap_or(category.pacing);
    let kept = if pacing == Pacing::FixedDay { category.fixed_day } else { None };
    Category {
        key: category.key.clone(),
        class: changes.class.unwrap_or(category.class),
        level: changes.level.unwrap_or(category.level),
        essential: changes.essential.unwrap_or(category.essential),
        weight: changes.weight.unwrap_or(category.weight),
        pacing,
        fixed_day: changes.fixed_day.or(kept),
    }
}

fn level_of(level: i32) -> Result<u8, BudgetProfileRefusal> {
    match u8::try_from(level) {
        Ok(level @ 0..=3) => Ok(level),
        Ok(_) | Err(_) => Err(BudgetProfileRefusal::LevelRange {}),
    }
}

fn check_zone(tz: &str) -> Check {
    if TimeZone::get(tz).is_ok() { Ok(()) } else { Err(Refused::invalid("tz", "an IANA time zone")) }
}

fn check_income(income: Money, currency: Option<Currency>) -> Check {
    if let Some(expected) = currency.filter(|currency| *currency != income.ccy) {
        return Err(BudgetProfileRefusal::CurrencyMismatch { expected }.into());
    }
    if !income.is_positive() {
        return Err(BudgetProfileRefusal::NonPositiveIncome {}.into());
    }
    if income.in_range() { Ok(()) } else { Err(Refused::invalid("income", "the amount is out of range")) }
}

fn check_split(split: Split) -> Check {
    if split.is_whole() { Ok(()) } else { Err(BudgetProfileRefusal::WeightsNotWhole {}.into()) }
}

fn check_key(key: &str) -> Check {
    let allowed = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
    let fits = (1..=40).contains(&key.len()) && key.bytes().all(allowed) && key != UNCATEGORISED;
    if fits { Ok(()) } else { Err(Refused::invalid("key", "1 to 40 of a-z, 0-9 and _, not `uncategorised`")) }
}

fn check_keywords(field: &'static str, keywords: &[String]) -> Check {
    let fits = |word: &String| {
        (1..=60).contains(&word.trim().chars().count())
            && word.len() <= 400
            && word.chars().all(bounds::is_printable)
    };
    if keywords.len() <= 100 && keywords.iter().all(fits) {
        Ok(())
    } else {
        Err(Refused::invalid(field, "at most 100 words of 1 to 60 characters"))
    }
}

fn check_category(category: &Category) -> Check {
    if !(0..=10_000).contains(&category.weight) {
        return Err(Refused::invalid("weight", "0 to 10000"));
    }
    match (category.pacing, category.fixed_day) {
        (Pacing::FixedDay, Some(1..=31)) | (Pacing::Even | Pacing::Weekend, None) => {}
        (Pacing::FixedDay, _) => return Err(Refused::invalid("fixed_day", "a day from 1 to 31")),
        (Pacing::Even | Pacing::Weekend, Some(_)) => {
            return Err(Refused::invalid("fixed_day", "only a category of pacing fixed_day has one"));
        }
    }
    if category.class == CategoryClass::Savings && !category.essential {
        return Err(Refused::invalid("essential", "savings categories are essential (BUD-P3)"));
    }
    Ok(())
}
