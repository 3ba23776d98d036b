//! R-69 `retention_board`: how long each class is kept, and what the last run did, held back and left to do. The holds
//! themselves are [`super::LegalHolds`].

use domain::{
    Actor,
    governance::{RetentionAction, RetentionPolicyEvent as E, RetentionStart, next_run_after},
    registry::AnyEvent,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
    words,
};

words!(RetentionStart, RetentionAction);

row! {
    /// The policy of a record class, and its last run.
    pub struct RetentionBoardRow {
        key {
            /// The policy.
            policy: Uuid => filter,
        }
        columns {
            /// The record class.
            class: String => filter sort,
            /// The aggregate type, where it is for one only.
            aggregate: Option<String> => filter,
            /// From when the time counts.
            after: RetentionStart,
            /// For how many days.
            days: i32 => filter sort,
            /// What is then done.
            action: RetentionAction => filter,
            /// On which legal basis.
            legal_basis: String,
            /// Whether it holds; where it does not, the default does.
            active: bool => filter,
            /// The last run.
            last_run: Option<Uuid>,
            /// As of when it ran.
            last_run_as_of: Option<Timestamp> => sort,
            /// Whether it applied nothing.
            dry_run: Option<bool> => filter,
            /// When the next nightly run is.
            next_run: Option<Timestamp> => sort,
            /// Whether it is under way.
            running: bool => filter,
            /// For a dry run the number of records that are due, for a real one of those that were dealt with.
            affected: i64 => sort,
            /// How many scopes a hold kept.
            held: i64 => sort,
            /// How many scopes failed.
            failed: i64 => sort,
        }
    }
}

///
pub struct RetentionBoard;

impl Table for RetentionBoard {
    const NAME: &'static str = "retention_board";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["governance.retention_policy"];
    const OPTIONS: Options = Options { sort: &["class"], about_people: false, ..Options::DEFAULT };
    type Row = RetentionBoardRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<RetentionBoardRow>, fact: &Fact) -> Option<RetentionBoardRow> {
        let AnyEvent::RetentionPolicy(event) = &fact.event else { return row };
        if let E::RetentionPolicySet { record_class, aggregate, after, days, action, legal_basis } = event {
            let before = row.unwrap_or_else(|| unset(*key));
            return Some(RetentionBoardRow {
                class: record_class.name().to_owned(),
                aggregate: aggregate.clone(),
                after: *after,
                days: (*days).try_into().unwrap_or(i32::MAX),
                action: *action,
                legal_basis: legal_basis.clone(),
                active: true,
                next_run: Some(next_run_after(fact.recorded_at)),
                ..before
            });
        }
        // The default of a class is carried out although nobody has set it.
        let row = row.or_else(|| by_default(*key, event));
        row.map(|row| changed(row, event, fact.recorded_at))
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "manage:governance")
    }
}

/// What a default says that was carried out before anybody set a policy.
fn by_default(policy: Uuid, event: &E) -> Option<RetentionBoardRow> {
    let E::RetentionRunStarted { record_class, after, days, action, .. } = event else { return None };
    Some(RetentionBoardRow {
        class: record_class.name().to_owned(),
        after: *after,
        days: (*days).try_into().unwrap_or(i32::MAX),
        action: *action,
        legal_basis: "the default of the house".to_owned(),
        ..unset(policy)
    })
}

fn unset(policy: Uuid) -> RetentionBoardRow {
    RetentionBoardRow {
        policy,
        class: String::new(),
        aggregate: None,
        after: RetentionStart::Event,
        days: 0,
        action: RetentionAction::Shred,
        legal_basis: String::new(),
        active: false,
        last_run: None,
        last_run_as_of: None,
        dry_run: None,
        next_run: None,
        running: false,
        affected: 0,
        held: 0,
        failed: 0,
    }
}

fn changed(mut row: RetentionBoardRow, event: &E, at: Timestamp) -> RetentionBoardRow {
    match event {
        E::RetentionPolicySet { .. } | E::RetentionActionApplied { .. } => {}
        E::RetentionPolicyRetired { .. } => row.active = false,
        E::RetentionRunStarted { run, dry_run, as_of, .. } => {
            row.last_run = Some(*run);
            row.last_run_as_of = Some(*as_of);
            row.dry_run = Some(*dry_run);
            row.next_run = Some(next_run_after(at));
            row.running = true;
            (row.affected, row.held, row.failed) = (0, 0, 0);
        }
        E::RetentionRunCompleted { affected, held, failed, .. } => {
            let shown = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            row.running = false;
            (row.affected, row.held, row.failed) = (shown(*affected), shown(*held), shown(*failed));
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use domain::RecordClass;

    use super::*;
    use crate::testing::given;

    const POLICY: Uuid = Uuid::from_u128(1);
    const RUN: Uuid = Uuid::from_u128(2);

    fn set() -> E {
        E::RetentionPolicySet {
            record_class: RecordClass::Device,
            aggregate: None,
            after: RetentionStart::LastActivity,
            days: 90,
            action: RetentionAction::Shred,
            legal_basis: "policy 7".into(),
        }
    }

    fn run() -> [E; 2] {
        let as_of = "2026-01-01T01:00:00Z".parse().unwrap();
        let (after, action, record_class) =
            (RetentionStart::LastActivity, RetentionAction::Shred, RecordClass::Device);
        [
            E::RetentionRunStarted { run: RUN, dry_run: true, as_of, record_class, after, days: 90, action },
            E::RetentionRunCompleted {
                run: RUN,
                dry_run: true,
                record_class,
                affected: 7,
                held: 2,
                failed: 0,
            },
        ]
    }

    fn board(events: impl IntoIterator<Item = E>) -> Vec<RetentionBoardRow> {
        given::<RetentionBoard>(events.into_iter().map(|event| (POLICY, AnyEvent::RetentionPolicy(event))))
            .rows()
    }

    #[test]
    fn the_board_shows_what_is_due_and_what_is_held_back() {
        let rows = board([set()].into_iter().chain(run()));
        let row = &rows[0];
        assert_eq!((&*row.class, row.days, row.active), ("device", 90, true));
        assert_eq!((row.last_run, row.dry_run, row.running), (Some(RUN), Some(true), false));
        assert_eq!((row.affected, row.held, row.failed), (7, 2, 0));
    }

    #[test]
    fn a_policy_that_was_retired_and_set_again_remembers_its_last_run() {
        let retired = E::RetentionPolicyRetired {
            record_class: RecordClass::Device,
            aggregate: None,
            reason: "new law".into(),
        };
        let past = [set()].into_iter().chain(run()).chain([retired]);
        assert!(!board(past.clone())[0].active);
        let row = &board(past.chain([set()]))[0];
        assert!(row.active && row.last_run == Some(RUN));
    }

    #[test]
    fn a_default_that_is_carried_out_is_on_the_board_although_nobody_set_it() {
        let row = &board(run())[0];
        assert_eq!((&*row.class, row.days, row.active), ("device", 90, false));
        assert!(row.next_run.is_some() && row.last_run == Some(RUN));
    }

    #[test]
    fn only_compliance_sees_the_board() {
        let visible = |role| RetentionBoard::visible(&Actor::user(POLICY, &[role]));
        assert_eq!((visible("compliance"), visible("student")), (Filter::All, Filter::Nothing));
    }
}
