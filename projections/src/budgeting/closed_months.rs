//! `closed_months`: what closed months came to, from which cohorts are found (BUD-P5). For the owner, and for our own policy
//! that compares owners (P-32): it looks at those only whose consent to analytics stands, which their own ledger says.

use domain::{
    Actor, Personal,
    budgeting::{BudgetMonthEvent as E, MonthFigures, YearMonth},
    class::Financial,
    registry::AnyEvent,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{BUDGET_MONTH, month_of, own_rows, owner};
use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
};

/// What a policy of ours holds that compares owners. No role of a person has it.
pub(super) const COMPARE: &str = "compare:owners";

row! {
    /// A closed month.
    pub struct ClosedMonthRow {
        key {
            /// The month's budget: the id that is derived from account and month.
            budget_month: Uuid => filter,
        }
        columns {
            /// The owner.
            account: Uuid => filter index,
            /// The month, YYYY-MM.
            month: YearMonth => filter sort index,
            /// When it was closed.
            closed_at: Timestamp => sort,
        }
        personal {
            /// What it came to; nothing where the month was closed before that was kept.
            figures: Option<Personal<MonthFigures, Financial>>,
        }
    }
}

/// What closed months came to.
pub struct ClosedMonths;

impl Table for ClosedMonths {
    const NAME: &'static str = "closed_months";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &[BUDGET_MONTH];
    const OPTIONS: Options =
        Options { stream_column: Some("budget_month"), sort: &["-month"], ..Options::DEFAULT };
    type Row = ClosedMonthRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        if let AnyEvent::BudgetMonth(E::BudgetMonthClosed { .. }) = &fact.event {
            out.push(fact.id);
        }
    }

    fn fold(key: &Uuid, row: Option<ClosedMonthRow>, fact: &Fact) -> Option<ClosedMonthRow> {
        let AnyEvent::BudgetMonth(E::BudgetMonthClosed { amounts, figures, .. }) = &fact.event else {
            return row;
        };
        let account = owner(amounts, fact)?;
        Some(ClosedMonthRow {
            budget_month: *key,
            account,
            month: month_of(account, fact)?,
            closed_at: fact.occurred_at(),
            figures: figures.clone(),
        })
    }

    fn visible(actor: &Actor) -> Filter {
        // A scope alone is not enough: administrators hold every one.
        if actor.is_system() && actor.has(COMPARE) {
            return Filter::All;
        }
        own_rows(actor, "read:transactions")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::budgeting::RedistributionMode;

    use super::*;
    use crate::{budgeting::samples::*, testing::given};

    #[test]
    fn bud_p5_a_closed_month_is_kept_with_its_figures() {
        let mut month = Month::opened(profile(RedistributionMode::Off, 300_000, []));
        assert!(given::<ClosedMonths>(month.facts()).rows().is_empty(), "an open one is not");
        let closing = domain::budgeting::BudgetMonthCommand::CloseBudgetMonth {};
        assert!(month.tell_at(closing, "2026-06-04T12:00:00Z".parse().unwrap()));
        let rows = given::<ClosedMonths>(month.facts()).rows();
        let figures = rows[0].figures.as_ref().and_then(Personal::get).unwrap();
        assert_eq!((rows[0].account, figures.income, figures.planned_days), (OWNER, 300_000, 500));
    }

    #[test]
    fn p_32_owners_see_their_own_months_and_nobody_but_our_own_policies_all() {
        let owner = Actor::user(OWNER, &["budget_user"]);
        assert_eq!(ClosedMonths::visible(&owner), Filter::Is("account", OWNER.into()));
        for role in ["staff", "analyst", "compliance", "operator"] {
            assert_eq!(ClosedMonths::visible(&Actor::user(OWNER, &[role])), Filter::Nothing, "{role}");
        }
        let admin = Actor::user(OWNER, &["admin"]);
        assert_eq!(ClosedMonths::visible(&admin), Filter::Is("account", OWNER.into()));
        assert_eq!(ClosedMonths::visible(&Actor::policy("find_habits")), Filter::Nothing);
        let scopes = BTreeSet::from([COMPARE.to_owned()]).into();
        assert_eq!(ClosedMonths::visible(&Actor { scopes, ..Actor::policy("find_habits") }), Filter::All);
    }
}
