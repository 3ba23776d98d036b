//! Retention: what is done when the time for which data is kept is over (catalogue 3.8, P-50).
//!
//! A run works through the people whose keys are due, one by one, and puts on record what became of each. It may be
//! interrupted anywhere and begins again: what it has destroyed already, it finds in the log by its own id and counts all
//! the same (GOV-R3).

use std::collections::BTreeMap;

use domain::{
    Decider, RecordClass,
    governance::{
        DEFAULTS, RetentionAction, RetentionDefault, RetentionOutcome, RetentionPolicy,
        RetentionPolicyCommand, RetentionPolicyEvent, RetentionStart, ShredBasis, SubjectKeyCommand,
        due_before, next_run_after, nightly_run_id, retention_policy_id,
    },
    identity::Profile,
    registry::{AnyCommand, AnyEvent},
};
use event_store::Epoch;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, timer_id};
use crate::CommandError;

/// P-50: each class has a run every night at 01:00 UTC, once in the cluster: by a timer that always stands, and whose run has
/// the id of its slot. What was missed while nothing ran is made up for by one run (OPS-J2).
pub(super) struct ScheduleRetention;

impl ScheduleRetention {
    fn next(&self, policy: Uuid, after: Timestamp) -> Timer {
        let slot = next_run_after(after);
        let start = RetentionPolicyCommand::StartRetentionRun {
            run: nightly_run_id(policy, slot),
            dry_run: false,
            as_of: slot,
        };
        Timer {
            id: timer_id(self.name(), &[&policy.to_string()]),
            due_at: slot,
            aggregate: policy,
            command: AnyCommand::RetentionPolicy(start),
        }
    }
}

impl Policy for ScheduleRetention {
    fn name(&self) -> &'static str {
        "schedule_retention"
    }

    fn times(&self) -> Option<&'static str> {
        Some(RetentionPolicy::TYPE)
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RetentionPolicySet", "RetentionPolicyRetired", "RetentionRunStarted", "RetentionRunCompleted"]
    }

    fn stands(&self, now: Timestamp) -> Vec<Timer> {
        let of = |default: &RetentionDefault| self.next(retention_policy_id(default.class, None), now);
        DEFAULTS.iter().map(of).collect()
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        // Where the policy of one aggregate type is taken back, nothing is left to be carried out.
        let over = matches!(
            &fact.event,
            AnyEvent::RetentionPolicy(RetentionPolicyEvent::RetentionPolicyRetired {
                aggregate: Some(_),
                ..
            })
        );
        let next = match over {
            true => Reaction::Disarm(timer_id(self.name(), &[&fact.id.to_string()])),
            false => Reaction::Arm(self.next(fact.id, fact.recorded_at)),
        };
        Box::pin(std::future::ready(Ok(vec![next])))
    }
}

/// P-50: a retention run is carried out. Holds win; what a hold kept is counted, and what fails stops nothing else. A dry
/// run puts the same on record and destroys nothing.
pub(super) struct RunRetention;

impl Policy for RunRetention {
    fn name(&self) -> &'static str {
        "run_retention"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RetentionRunStarted"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::RetentionPolicy(RetentionPolicyEvent::RetentionRunStarted {
                run,
                dry_run,
                as_of,
                record_class,
                after,
                days,
                action,
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let rule = Rule { class: *record_class, after: *after, days: *days, as_of: *as_of };
            let mut reactions: Vec<Reaction> = match action {
                RetentionAction::Shred | RetentionAction::Archive => {
                    let (last, people) = rule.due(*run, *action, world).await?;
                    // An archive follows from its record, and so does nothing here (see `ArchiveKeys`).
                    let destroys = *action == RetentionAction::Shred && !*dry_run;
                    let go =
                        |(subject, keys)| let_go(fact.id, *run, destroys, rule.class, last, subject, keys);
                    people.into_iter().flat_map(go).collect()
                }
                // No policy can be set to these any more; one that was keeps its data until it is changed, and says so.
                RetentionAction::PurgeProjection | RetentionAction::PurgeObjects => {
                    vec![failed(fact.id, *run, "nothing is held that this action is about: set another one")]
                }
            };
            let end = RetentionPolicyCommand::CompleteRetentionRun { run: *run };
            reactions.push(Issue::new(fact.id, AnyCommand::RetentionPolicy(end), "complete").into());
            Ok(reactions)
        })
    }
}

/// P-50: what a run has put on record as archived is. The record was refused where a hold keeps the data.
pub(super) struct ArchiveKeys;

impl Policy for ArchiveKeys {
    fn name(&self) -> &'static str {
        "archive_keys"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RetentionActionApplied"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            if let AnyEvent::RetentionPolicy(RetentionPolicyEvent::RetentionActionApplied {
                dry_run: false,
                subject: Some(subject),
                record_class,
                action: RetentionAction::Archive,
                outcome: RetentionOutcome::Applied,
                through: Some(through),
                ..
            }) = &fact.event
            {
                let keyring = world.commands().store().keyring();
                keyring.archive(*subject, record_class.name(), Epoch::ending(*through)).await?;
            }
            Ok(Vec::new())
        })
    }
}

/// Whose keys, and how many of them.
type People = BTreeMap<Uuid, u64>;

/// What a run goes by.
struct Rule {
    class: RecordClass,
    after: RetentionStart,
    days: u32,
    as_of: Timestamp,
}

impl Rule {
    /// The last day of the epochs that are due, and whose they are, those included that this run has destroyed already.
    async fn due(
        &self,
        run: Uuid,
        action: RetentionAction,
        world: &World,
    ) -> Result<(Date, People), CommandError> {
        let Some(last) = ended_by(self.as_of, self.days) else { return Ok((Date::MIN, People::new())) };
        let idle = self.after == RetentionStart::LastActivity;
        let keyring = world.commands().store().keyring();
        let (class, through) = (self.class.name(), Epoch::ending(last));
        let due = match action {
            RetentionAction::Archive => keyring.due_to_archive(class, through, idle).await?,
            RetentionAction::Shred | RetentionAction::PurgeProjection | RetentionAction::PurgeObjects => {
                keyring.due(class, through, idle).await?
            }
        };
        let mut people: People = due.into_iter().collect();
        match self.after {
            RetentionStart::Event | RetentionStart::LastActivity => {}
            RetentionStart::Closure => {
                let closed = closed(self.class, world).await?;
                people.retain(|person, _| closed.get(person).is_some_and(|day| self.is_over(*day)));
            }
            RetentionStart::Graduation => {
                let mut graduated = People::new();
                for (person, keys) in people {
                    let profile = world.state::<Profile>(person).await?.state;
                    if graduation(&profile).is_some_and(|day| self.is_over(day)) {
                        graduated.insert(person, keys);
                    }
                }
                people = graduated;
            }
        }
        people.extend(destroyed(run, world).await?);
        Ok((last, people))
    }

    /// Whether the time that counts from this day is over.
    fn is_over(&self, day: Date) -> bool {
        due_before(self.as_of, self.days).is_some_and(|last| day <= last)
    }
}

/// Whose matter was closed when. Of whom that is not known, nothing is let go.
async fn closed(class: RecordClass, world: &World) -> Result<BTreeMap<Uuid, Date>, CommandError> {
    let sql = match class {
        // With the withdrawal of what was declared, unless it was declared anew.
        RecordClass::Sensitive => include_str!("../sql/withdrawn_demographics.sql"),
        // With the approval of an erasure, which a hold may have stopped then.
        RecordClass::Profile | RecordClass::Identity | RecordClass::Secret => {
            include_str!("../sql/approved_erasures.sql")
        }
        // With the account: it was deactivated, and not reinstated since, or it was erased.
        RecordClass::Education
        | RecordClass::Financial
        | RecordClass::Communication
        | RecordClass::AiContent
        | RecordClass::Device
        | RecordClass::Payment
        | RecordClass::SecurityLog => include_str!("../sql/closed_accounts.sql"),
    };
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(sql)
        .bind(class.name())
        .fetch_all(world.commands().store().pool())
        .await
        .map_err(broken)?;
    let day = |micros| Timestamp::from_microsecond(micros).ok().map(|at| at.to_zoned(TimeZone::UTC).date());
    Ok(rows.into_iter().filter_map(|(person, at)| Some((person, day(at)?))).collect())
}

/// The last day of the year in which somebody graduated, as far as it is known.
fn graduation(profile: &Profile) -> Option<Date> {
    let student = profile.student.as_ref().and_then(|student| student.grad_year.get());
    let year = profile.alumni.as_ref().and_then(|year| year.get()).or(student)?;
    Date::new(i16::try_from(*year).ok()?, 12, 31).ok()
}

/// Whose keys this run has destroyed before it was interrupted.
async fn destroyed(run: Uuid, world: &World) -> Result<People, CommandError> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(include_str!("../sql/destroyed_by.sql"))
        .bind(run.to_string())
        .fetch_all(world.commands().store().pool())
        .await
        .map_err(broken)?;
    Ok(rows.into_iter().map(|(person, keys)| (person, keys.unsigned_abs())).collect())
}

fn broken(error: sqlx::Error) -> CommandError {
    event_store::StoreError::from(error).into()
}

/// The last day of the last month that had ended so many days before an instant: epochs end with a month.
fn ended_by(as_of: Timestamp, days: u32) -> Option<Date> {
    let day = due_before(as_of, days)?;
    let month_ends = day.last_of_month();
    if day == month_ends { Some(day) } else { day.first_of_month().yesterday().ok() }
}

/// One person's epochs: destroyed, unless a hold keeps them. What was put on record first stays (GOV-R3).
fn let_go(
    policy: Uuid,
    run: Uuid,
    destroys: bool,
    class: RecordClass,
    last: Date,
    subject: Uuid,
    keys: u64,
) -> Vec<Reaction> {
    let scope = format!("keys of {} up to {last}", class.name());
    let record = move |outcome: RetentionOutcome| {
        let label: &'static str = outcome.into();
        let scope = scope.clone();
        let command = RetentionPolicyCommand::RecordRetentionAction {
            run,
            subject: Some(subject),
            scope,
            outcome,
            count: keys,
            through: Some(last),
        };
        Issue::new(policy, AnyCommand::RetentionPolicy(command), format!("{label}|{subject}"))
    };
    let kept = {
        let record = record.clone();
        move |_: &CommandError| vec![record(RetentionOutcome::HeldBack).into()]
    };
    let applied = record(RetentionOutcome::Applied).otherwise(kept.clone()).into();
    if !destroys {
        return vec![applied];
    }
    let shred = SubjectKeyCommand::ShredSubjectKey {
        record_classes: vec![class],
        basis: ShredBasis::Retention,
        through: Some(last),
        cause: run,
    };
    let shred = Issue::new(subject, AnyCommand::SubjectKey(shred), "retire").otherwise(kept);
    vec![shred.into(), applied]
}

fn failed(policy: Uuid, run: Uuid, why: &str) -> Reaction {
    let command = RetentionPolicyCommand::RecordRetentionAction {
        run,
        subject: None,
        scope: why.to_owned(),
        outcome: RetentionOutcome::Failed,
        count: 0,
        through: None,
    };
    Issue::new(policy, AnyCommand::RetentionPolicy(command), "failed").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_over_when_its_last_month_is() {
        let ended = |as_of: &str, days| ended_by(as_of.parse().unwrap(), days).unwrap().to_string();
        assert_eq!(ended("2026-01-31T12:00:00Z", 31), "2025-12-31");
        assert_eq!(ended("2026-01-30T12:00:00Z", 31), "2025-11-30");
        assert_eq!(ended("2026-03-01T00:00:00Z", 1), "2026-02-28");
    }

    #[test]
    fn the_time_counts_from_the_day_on_which_the_matter_was_closed() {
        let as_of = "2026-03-31T12:00:00Z".parse().unwrap();
        let rule = Rule { class: RecordClass::Sensitive, after: RetentionStart::Closure, days: 30, as_of };
        assert!(rule.is_over(jiff::civil::date(2026, 3, 1)) && !rule.is_over(jiff::civil::date(2026, 3, 2)));
    }
}
