//! How people spend: habits and cohorts, as a month closes (P-32). Only of those who consent to analytics; who does not is
//! neither looked into nor compared with.
//!
//! Until there are versioned models (catalogue 2.7) a model lives here: it is trained on what the closed months of all
//! consenting owners came to, serves for an hour, and is trained anew by the next month that closes. The event that it was
//! trained at names it, and is a source of what it finds: the log up to there gives the same model again.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    Answer, Currency, Question,
    budgeting::{
        BudgetMonth, BudgetMonthEvent, BudgetProfileCommand, COHORT_ENGINE, CohortFeatures, CohortModel,
        MONTHS_BEFORE, MonthFigures, PATTERN_ENGINE, YearMonth, cohort_features, spending_patterns,
    },
    derived_id,
    governance::{ConsentLedger, ConsentPurpose},
    registry::{AnyCommand, AnyEvent},
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reactions, World, credentials::unexpected, reference};
use crate::{CommandError, execute::now};

/// How long a model serves. Training reads every owner, and owners close their months at about the same time.
const MODEL_LASTS: SignedDuration = SignedDuration::from_hours(1);

/// P-32: a closed month is looked into.
#[derive(Default)]
pub(super) struct FindHabits {
    trained: Mutex<Option<Trained>>,
}

/// A model that was trained.
#[derive(Clone)]
struct Trained {
    /// For the months up to this one.
    month: YearMonth,
    /// When.
    at: Timestamp,
    /// By the event that caused it.
    event: Uuid,
    model: Arc<CohortModel>,
}

/// The features of owners, each with the currency of their budget.
type Owners = BTreeMap<Uuid, (Currency, CohortFeatures)>;

impl Policy for FindHabits {
    fn name(&self) -> &'static str {
        "find_habits"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["BudgetMonthClosed"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::BudgetMonth(BudgetMonthEvent::BudgetMonthClosed { .. }) = &fact.event else {
                return Ok(Vec::new());
            };
            let closed = world.state::<BudgetMonth>(fact.id).await?.state;
            let (Some(account), Some(currency)) = (closed.account, closed.currency) else {
                return Ok(Vec::new());
            };
            if !consents(world, account).await? {
                return Ok(Vec::new());
            }
            let before = std::iter::successors(Some(closed.month), |month| month.previous());
            let months: Vec<YearMonth> = before.take(MONTHS_BEFORE + 1).collect();
            let mut reactions = vec![habits(fact, account, currency, &months, world).await?.into()];
            reactions.extend(self.cohort(fact, account, &months, world).await?.map(Into::into));
            Ok(reactions)
        })
    }
}

impl FindHabits {
    /// The owner's cohort; none while there are too few owners to tell.
    async fn cohort(
        &self,
        fact: &Fact,
        account: Uuid,
        months: &[YearMonth],
        world: &World,
    ) -> Result<Option<Issue>, CommandError> {
        let answer = world.ask(Question::ClosedMonths { months: months.to_vec() }, fact).await?;
        let Answer::ClosedMonths(closed) = answer else { return Err(unexpected(&answer)) };
        let mut owners = features(closed);
        let Some((currency, own)) = owners.get(&account).cloned() else { return Ok(None) };
        let mut trained = self.trained.lock().await;
        let serves = |known: &&Trained| {
            known.month == months[0] && fact.recorded_at.duration_since(known.at).abs() < MODEL_LASTS
        };
        let model = match trained.as_ref().filter(serves) {
            Some(known) => known.clone(),
            None => {
                for owner in owners.keys().copied().collect::<Vec<_>>() {
                    if !consents(world, owner).await? {
                        owners.remove(&owner);
                    }
                }
                let owners = owners.into_values().collect::<Vec<_>>();
                let training = tokio::task::spawn_blocking(move || CohortModel::train(&owners));
                let found = training.await.map_err(|error| CommandError::Internal(error.to_string()))?;
                let Ok(model) = found else { return Ok(None) };
                let (month, at, event) = (months[0], fact.recorded_at, fact.event_id);
                trained.insert(Trained { month, at, event, model: Arc::new(model) }).clone()
            }
        };
        drop(trained);
        let mut sources = Vec::new();
        for month in months.iter().take(MONTHS_BEFORE) {
            let id = BudgetMonth::id(account, *month);
            let version = world.state::<BudgetMonth>(id).await?.version;
            sources.extend((version > 0).then(|| reference::<BudgetMonth>(id, version)));
        }
        sources.push(format!("event:{}", model.event));
        let assign = BudgetProfileCommand::AssignCohort {
            month: months[0],
            cohort: model.model.cohort(currency, &own),
            features: own.into(),
            model: derived_id(&["behaviour_clusters", &model.event.to_string()]),
        };
        let issue = Issue::new(account, AnyCommand::BudgetProfile(assign), "cohort");
        Ok(Some(issue.derived(sources, COHORT_ENGINE)))
    }
}

/// What recurs, rises and falls in what the owner spent.
async fn habits(
    fact: &Fact,
    account: Uuid,
    currency: Currency,
    months: &[YearMonth],
    world: &World,
) -> Result<Issue, CommandError> {
    let (month, first) = (months[0], months[months.len() - 1]);
    let (from, until) = (first.first_day(), month.last_day());
    let answer = world.ask(Question::Spending { account, from, until }, fact).await?;
    let Answer::Spending(spends) = answer else { return Err(unexpected(&answer)) };
    let record = BudgetProfileCommand::RecordSpendingPatterns {
        month,
        patterns: spending_patterns(month, currency, &spends).into(),
        engine: PATTERN_ENGINE.into(),
    };
    let issue = Issue::new(account, AnyCommand::BudgetProfile(record), "habits");
    Ok(issue.derived(vec![reference::<BudgetMonth>(fact.id, fact.sequence)], PATTERN_ENGINE))
}

/// BUD-P5: what the last three closed months of each owner tell.
fn features(closed: Vec<(Uuid, YearMonth, MonthFigures)>) -> Owners {
    let mut by_owner: BTreeMap<Uuid, BTreeMap<YearMonth, MonthFigures>> = BTreeMap::new();
    for (owner, month, figures) in closed {
        by_owner.entry(owner).or_default().insert(month, figures);
    }
    let features = |(owner, months): (Uuid, BTreeMap<YearMonth, MonthFigures>)| {
        let last: Vec<MonthFigures> = months.into_values().rev().take(MONTHS_BEFORE).collect();
        Some((owner, (last.first()?.currency, cohort_features(&last)?)))
    };
    by_owner.into_iter().filter_map(features).collect()
}

/// Whether somebody's consent to analytics stands now, by their own ledger. The decision looks again (GOV-C1).
async fn consents(world: &World, account: Uuid) -> Result<bool, CommandError> {
    let ledger = world.state::<ConsentLedger>(account).await?.state;
    Ok(ledger.stands(ConsentPurpose::Analytics, now()))
}
