//! Budgets: open and close months, book what is spent, propose to move money (catalogue 3.4).

use domain::{
    Money, Personal, RecordClass,
    budgeting::{
        BudgetMonth, BudgetMonthCommand, BudgetMonthEvent, BudgetProfileCommand, BudgetProfileEvent,
        DismissalCause, RedistributionMode, TransactionEvent, TransactionKind, YearMonth, zone,
    },
    class::Financial,
    derived_id,
    identity::ProfileEvent,
    registry::{AnyCommand, AnyEvent},
};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use uuid::Uuid;

use super::{
    Computes, Fact, Issue, Policy, Reaction, Reactions, Timer, World,
    notifications::{is_news, overspent},
    timer_id,
};
use crate::CommandError;

/// How long a month that was opened after its end stays open.
const CLOSES_AFTER: SignedDuration = SignedDuration::from_hours(3 * 24);

/// P-23: the current month is opened when a budget is set up, each next one as it begins; a month is closed three days
/// after its end (BUD-M12). Where nobody was there as a month began, it is opened as soon as somebody is, though it may be
/// over by then, and the current one with it; then it is closed three days after that, so that what was spent can be brought in. What else is opened after its end is history: it closes by command only. All
/// of that is by the owner's clock: when their preferences name another time zone, the budget follows, and the timers with
/// it.
pub(super) struct KeepMonths;

impl Policy for KeepMonths {
    fn name(&self) -> &'static str {
        "keep_months"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "BudgetSetUp",
            "BudgetMonthOpened",
            "BudgetMonthClosed",
            "PreferencesChanged",
            "BudgetTimeZoneChanged",
        ]
    }

    /// What arms a month's timers and what moves them must not overtake each other.
    fn lane(&self, fact: &Fact) -> Uuid {
        match &fact.event {
            AnyEvent::BudgetMonth(BudgetMonthEvent::BudgetMonthOpened { account, .. }) => *account,
            _ => fact.id,
        }
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            Ok(match &fact.event {
                AnyEvent::BudgetProfile(BudgetProfileEvent::BudgetSetUp { account, tz, .. }) => {
                    let month = YearMonth::at(fact.envelope.occurred_at, &zone(tz));
                    month.ok().map(|month| open(*account, month).into()).into_iter().collect()
                }
                AnyEvent::BudgetMonth(BudgetMonthEvent::BudgetMonthOpened {
                    account,
                    month,
                    tz,
                    after_end,
                    ..
                }) => {
                    let (mut reactions, mut not_before) = (Vec::new(), Timestamp::MIN);
                    if *after_end {
                        if !goes_on(fact, *account, *month, world).await? {
                            return Ok(reactions);
                        }
                        let present = YearMonth::at(fact.envelope.occurred_at, &zone(tz)).ok();
                        reactions.extend(present.map(|present| open(*account, present).into()));
                        not_before =
                            fact.envelope.occurred_at.saturating_add(CLOSES_AFTER).unwrap_or(not_before);
                    }
                    reactions.extend(timers(*account, *month, &zone(tz), not_before));
                    reactions
                }
                AnyEvent::BudgetMonth(BudgetMonthEvent::BudgetMonthClosed { .. }) => {
                    vec![Reaction::Disarm(closing(fact.id))]
                }
                AnyEvent::Profile(ProfileEvent::PreferencesChanged { tz, .. }) => {
                    let follow = BudgetProfileCommand::ChangeTimeZone { tz: tz.clone() };
                    vec![Issue::new(fact.id, AnyCommand::BudgetProfile(follow), "zone").into()]
                }
                AnyEvent::BudgetProfile(BudgetProfileEvent::BudgetTimeZoneChanged { tz }) => {
                    moved(fact, &zone(tz), world).await?
                }
                _ => Vec::new(),
            })
        })
    }
}

/// Whether a month that is over already comes late in the row of months that are kept, rather than being history: the policy
/// opened it itself, or somebody was quicker than the policy after an outage, and the month before was opened in time.
async fn goes_on(fact: &Fact, account: Uuid, month: YearMonth, world: &World) -> Result<bool, CommandError> {
    if ["scheduler:keep_months", "policy:keep_months"].contains(&fact.envelope.actor.as_str()) {
        return Ok(true);
    }
    let Some(before) = month.previous() else { return Ok(false) };
    let before = world.state::<BudgetMonth>(BudgetMonth::id(account, before)).await?;
    Ok(before.exists() && !before.state.after_end)
}

/// The timers of the months that are not closed yet, by the clock of another time zone. They are those around the present
/// one: which month it is may differ between two zones.
async fn moved(fact: &Fact, tz: &TimeZone, world: &World) -> Result<Vec<Reaction>, CommandError> {
    let Ok(present) = YearMonth::at(fact.envelope.occurred_at, tz) else { return Ok(Vec::new()) };
    let mut reactions = Vec::new();
    for month in [present.previous(), Some(present), present.next()].into_iter().flatten() {
        let known = world.state::<BudgetMonth>(BudgetMonth::id(fact.id, month)).await?;
        if known.exists() && !known.state.closed && !known.state.after_end {
            reactions.extend(timers(fact.id, month, tz, Timestamp::MIN));
        }
    }
    Ok(reactions)
}

fn open(account: Uuid, month: YearMonth) -> Issue {
    let command = AnyCommand::BudgetMonth(BudgetMonthCommand::OpenBudgetMonth { account, month });
    Issue::new(BudgetMonth::id(account, month), command, "open")
}

fn closing(month: Uuid) -> Uuid {
    timer_id("keep_months", &["close", &month.to_string()])
}

/// As the next month begins it is opened, where it is not open already; on its fourth day this one is closed, but not before
/// a moment.
fn timers(account: Uuid, month: YearMonth, tz: &TimeZone, not_before: Timestamp) -> Vec<Reaction> {
    let id = BudgetMonth::id(account, month);
    let midnight = |day: Option<Date>| Some(day?.to_zoned(tz.clone()).ok()?.timestamp());
    let Some(next) = month.next() else { return Vec::new() };
    let following = BudgetMonth::id(account, next);
    let opens = midnight(Some(next.first_day())).map(|due_at| Timer {
        id: timer_id("keep_months", &["open", &following.to_string()]),
        due_at,
        aggregate: following,
        command: AnyCommand::BudgetMonth(BudgetMonthCommand::OpenBudgetMonth { account, month: next }),
    });
    let closes = midnight(next.day(4)).map(|due_at| Timer {
        id: closing(id),
        due_at: due_at.max(not_before),
        aggregate: id,
        command: AnyCommand::BudgetMonth(BudgetMonthCommand::CloseBudgetMonth {}),
    });
    [opens, closes].into_iter().flatten().map(Reaction::Arm).collect()
}

/// P-24: what is spent is booked in its month; what is changed or voided is taken back first.
pub(super) struct BookSpending;

impl Policy for BookSpending {
    fn name(&self) -> &'static str {
        "book_spending"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["TransactionRecorded", "TransactionAmended", "TransactionRecategorized", "TransactionVoided"]
    }

    /// An owner's transactions are booked one after the other: the order decides who overspends and who gives.
    fn lane(&self, fact: &Fact) -> Uuid {
        match &fact.event {
            AnyEvent::Transaction(
                TransactionEvent::TransactionRecorded { account, .. }
                | TransactionEvent::TransactionAmended { account, .. }
                | TransactionEvent::TransactionRecategorized { account, .. }
                | TransactionEvent::TransactionVoided { account, .. },
            ) => *account,
            _ => fact.id,
        }
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::Transaction(event) = &fact.event else { return Ok(Vec::new()) };
            let (reverse, apply) = entries(event);
            let transaction = fact.id;
            let reverse = reverse.map(|entry| entry.reverse(transaction));
            let apply = apply.map(|entry| entry.apply(transaction));
            Ok([reverse, apply].into_iter().flatten().collect())
        })
    }
}

/// What one transaction puts into one envelope on one day.
#[derive(Clone)]
struct Entry {
    account: Uuid,
    month: YearMonth,
    category: String,
    date: Date,
    amount: Money,
}

impl Entry {
    /// None where it changes no envelope (income), lies outside of what months there are, or is erased.
    fn new(
        account: Uuid,
        kind: TransactionKind,
        booked: Option<Money>,
        category: &str,
        date: Date,
    ) -> Option<Self> {
        let amount = booked?.times(kind.spending_sign()?).ok()?;
        Some(Entry { account, month: YearMonth::of(date).ok()?, category: category.to_owned(), date, amount })
    }

    fn apply(self, transaction: Uuid) -> Reaction {
        let again = self.clone();
        let issue = Issue::new(BudgetMonth::id(self.account, self.month), self.spend(transaction), "apply");
        // A month that nobody has opened yet is opened first; every other refusal is the answer.
        let issue = issue.otherwise(move |refusal| match refusal {
            CommandError::NotFound(_) => {
                let apply = Issue::new(
                    BudgetMonth::id(again.account, again.month),
                    again.clone().spend(transaction),
                    "apply",
                );
                vec![open(again.account, again.month).into(), apply.into()]
            }
            _ => Vec::new(),
        });
        issue.into()
    }

    fn spend(self, transaction: Uuid) -> AnyCommand {
        AnyCommand::BudgetMonth(BudgetMonthCommand::ApplySpend {
            transaction,
            category: self.category,
            date: self.date,
            amount: self.amount.into(),
        })
    }

    fn reverse(self, transaction: Uuid) -> Reaction {
        let command = BudgetMonthCommand::ReverseSpend {
            transaction,
            category: self.category,
            date: self.date,
            amount: self.amount.into(),
        };
        Issue::new(BudgetMonth::id(self.account, self.month), AnyCommand::BudgetMonth(command), "reverse")
            .into()
    }
}

/// What is taken back, and what is booked.
fn entries(event: &TransactionEvent) -> (Option<Entry>, Option<Entry>) {
    let known = |booked: &Personal<Money, Financial>| booked.get().copied();
    match event {
        TransactionEvent::TransactionRecorded { account, kind, booked, category, local_date, .. } => {
            (None, Entry::new(*account, *kind, known(booked), category, *local_date))
        }
        TransactionEvent::TransactionAmended {
            account, kind, before, booked, category, local_date, ..
        } => {
            let before = before.get();
            let then = before.and_then(|then| {
                Entry::new(*account, *kind, Some(then.booked), &then.category, then.local_date)
            });
            (then, Entry::new(*account, *kind, known(booked), category, *local_date))
        }
        TransactionEvent::TransactionRecategorized {
            account,
            kind,
            category,
            from,
            booked,
            local_date,
            ..
        } => {
            let entry = |category: &str| Entry::new(*account, *kind, known(booked), category, *local_date);
            (entry(from), entry(category))
        }
        TransactionEvent::TransactionVoided { account, kind, booked, category, local_date, .. } => {
            (Entry::new(*account, *kind, known(booked), category, *local_date), None)
        }
    }
}

/// P-25, P-27: in a month whose mode is `propose`, an overspend is answered with a proposal, which lapses.
pub(super) struct ProposeRedistributions;

impl Policy for ProposeRedistributions {
    fn name(&self) -> &'static str {
        "propose_redistributions"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["OverspendDetected", "RedistributionProposed", "BudgetRedistributed", "RedistributionDismissed"]
    }

    /// Only what it proposes: what was proposed lapses all the same.
    fn computes(&self, fact: &Fact) -> Option<Computes> {
        let proposes =
            matches!(&fact.event, AnyEvent::BudgetMonth(BudgetMonthEvent::OverspendDetected { .. }));
        let about = fact.envelope.subjects.first().copied().filter(|_| proposes)?;
        Some(Computes { about, class: RecordClass::Financial, purpose: None })
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::BudgetMonth(event) = &fact.event else { return Ok(Vec::new()) };
            let lapse =
                |redistribution: &Uuid| timer_id(self.name(), &["lapse", &redistribution.to_string()]);
            Ok(match event {
                BudgetMonthEvent::OverspendDetected { category, date, transaction, overspend } => {
                    let month = world.state::<BudgetMonth>(fact.id).await?.state;
                    // In mode auto it was answered in the same decision; in mode off it is only told.
                    if month.mode != RedistributionMode::Propose {
                        return Ok(Vec::new());
                    }
                    let command = BudgetMonthCommand::ProposeRedistribution {
                        redistribution: derived_id(&[
                            "redistribution",
                            &fact.id.to_string(),
                            &transaction.to_string(),
                        ]),
                        category: category.clone(),
                        date: *date,
                    };
                    let propose = Issue::new(fact.id, AnyCommand::BudgetMonth(command), "propose");
                    // Where nobody has anything to give, there is nothing to propose, and the owner is told that.
                    let owner = month.account.filter(|_| !month.after_end && is_news(fact));
                    let (cause, category, uncovered) =
                        (fact.event_id, category.clone(), overspend.get().copied());
                    let propose = propose.otherwise(move |refusal| {
                        if !matches!(refusal, CommandError::Refused { code: "NothingToGive", .. }) {
                            return Vec::new();
                        }
                        let told = owner.map(|owner| overspent(owner, &category, uncovered));
                        told.map(|told| told.because_of(cause).into()).into_iter().collect()
                    });
                    vec![propose.into()]
                }
                BudgetMonthEvent::RedistributionProposed { redistribution, expires_at, .. } => {
                    let dismiss = BudgetMonthCommand::DismissRedistribution {
                        redistribution: *redistribution,
                        cause: DismissalCause::Expired,
                    };
                    vec![Reaction::Arm(Timer {
                        id: lapse(redistribution),
                        due_at: *expires_at,
                        aggregate: fact.id,
                        command: AnyCommand::BudgetMonth(dismiss),
                    })]
                }
                BudgetMonthEvent::BudgetRedistributed { redistribution, .. }
                | BudgetMonthEvent::RedistributionDismissed { redistribution, .. } => {
                    vec![Reaction::Disarm(lapse(redistribution))]
                }
                _ => Vec::new(),
            })
        })
    }
}
