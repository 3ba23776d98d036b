//! R-34 `redistributions`: why money moved between envelopes: what was overspent, who gave, and what became of it. For the
//! owner, and for compliance.
//!
//! A reallocation overtakes what was redistributed before and makes it irrevocable; events of reallocations from before they
//! said what they overtake leave it `applied`. An overspend that nobody covers moves no money and has no row; which transaction made a proposal necessary,
//! no event of the proposal says.

use domain::{
    Actor, Money, Personal,
    budgeting::{BudgetMonthEvent as E, DismissalCause, RedistributionCause, Transfer, YearMonth},
    class::Financial,
    registry::AnyEvent,
};
use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BUDGET_MONTH, own_rows, owner, part};
use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
    words,
};

/// What brings a redistribution about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveCause {
    /// The spend itself, in a month of mode `auto`.
    Automatic,
    /// The person's own command.
    Person,
    /// A proposal, in a month of mode `propose`; the person has to accept it.
    Proposal,
}

/// Where a redistribution is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveState {
    /// It is offered.
    Proposed,
    /// The money has moved.
    Applied,
    /// The person did not want it.
    Dismissed,
    /// Nobody answered in time.
    Expired,
    /// The money went back, as far as it was still there.
    Reverted,
    /// The money had moved, and then the envelopes were computed anew: it can no longer go back.
    Overtaken,
}

words!(MoveCause, MoveState);

row! {
    /// A redistribution of a month's money, proposed or carried out.
    pub struct RedistributionRow {
        key {
            /// The redistribution.
            redistribution: Uuid,
        }
        columns {
            /// The month's budget.
            budget_month: Uuid => filter index,
            /// The owner.
            account: Uuid => filter index,
            /// The month, YYYY-MM.
            month: YearMonth => filter sort,
            /// The day of the overspend.
            day: Date => filter sort,
            /// The overspent category.
            to_category: String => filter,
            /// What brought it about.
            cause: MoveCause => filter,
            /// Where it is in its life.
            state: MoveState => filter,
            /// The transaction that overspent, where it brought this about by itself.
            transaction: Option<Uuid> => filter,
            /// Over how many days donors share what they have left.
            days_left: Option<i32>,
            /// Until when a proposal can be accepted.
            expires_at: Option<Timestamp>,
            /// What took it back, if anything: the reversed transaction (`automatic`) or the person.
            reverted_by: Option<RedistributionCause>,
        }
        personal {
            /// The overspend.
            needed: Personal<Money, Financial>,
            /// What the donors gave, or would give.
            covered: Personal<Money, Financial>,
            /// What nobody gives.
            uncovered: Personal<Money, Financial>,
            /// What each donor gave, or would give, in the order in which they were asked.
            from_list: Personal<Vec<Transfer>, Financial>,
            /// What each donor got back.
            returned: Option<Personal<Vec<Transfer>, Financial>>,
            /// Why the person took it back.
            reason: Option<Personal<String, Financial>>,
        }
    }
}

///
pub struct Redistributions;

impl Table for Redistributions {
    const NAME: &'static str = "redistributions";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &[BUDGET_MONTH];
    const OPTIONS: Options = Options { sort: &["-day", "to_category"], ..Options::DEFAULT };
    type Row = RedistributionRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        let AnyEvent::BudgetMonth(event) = &fact.event else { return };
        match event {
            E::BudgetRedistributed { redistribution, .. }
            | E::RedistributionProposed { redistribution, .. }
            | E::RedistributionDismissed { redistribution, .. }
            | E::RedistributionReverted { redistribution, .. } => out.push(*redistribution),
            E::BudgetMonthReallocated { overtaken, .. } => out.extend(overtaken),
            E::BudgetMonthOpened { .. }
            | E::SpendApplied { .. }
            | E::OverspendDetected { .. }
            | E::CategoryAlertTriggered { .. }
            | E::SpendReversed { .. }
            | E::EnvelopeMoved { .. }
            | E::DailyPlanAdjusted { .. }
            | E::BudgetMonthClosed { .. } => {}
        }
    }

    fn fold(key: &Uuid, row: Option<RedistributionRow>, fact: &Fact) -> Option<RedistributionRow> {
        let AnyEvent::BudgetMonth(event) = &fact.event else { return row };
        match event {
            E::RedistributionProposed { category, date, expires_at, amounts, .. } => {
                let new = started(*key, fact, owner(amounts, fact)?, *date, category, MoveCause::Proposal)?;
                Some(RedistributionRow {
                    expires_at: Some(*expires_at),
                    needed: part(amounts, |amounts| amounts.needed),
                    covered: part(amounts, |amounts| amounts.covered),
                    uncovered: part(amounts, |amounts| Money {
                        minor: amounts.needed.minor.saturating_sub(amounts.covered.minor),
                        ..amounts.needed
                    }),
                    from_list: part(amounts, |amounts| amounts.transfers.clone()),
                    ..new
                })
            }
            E::BudgetRedistributed { category, date, cause, transaction, days_left, amounts, .. } => {
                let cause = match cause {
                    RedistributionCause::Automatic => MoveCause::Automatic,
                    RedistributionCause::Person => MoveCause::Person,
                    RedistributionCause::Accepted => MoveCause::Proposal,
                };
                let new = || started(*key, fact, owner(amounts, fact)?, *date, category, cause);
                Some(RedistributionRow {
                    state: MoveState::Applied,
                    transaction: *transaction,
                    days_left: Some((*days_left).into()),
                    needed: part(amounts, |amounts| amounts.needed),
                    covered: part(amounts, |amounts| amounts.covered),
                    uncovered: part(amounts, |amounts| amounts.uncovered),
                    from_list: part(amounts, |amounts| amounts.transfers.clone()),
                    ..row.or_else(new)?
                })
            }
            E::RedistributionDismissed { cause, .. } => {
                let state = match cause {
                    DismissalCause::Person => MoveState::Dismissed,
                    DismissalCause::Expired => MoveState::Expired,
                };
                row.map(|row| RedistributionRow { state, ..row })
            }
            E::RedistributionReverted { cause, reason, amounts, .. } => row.map(|row| RedistributionRow {
                state: MoveState::Reverted,
                reverted_by: Some(*cause),
                returned: Some(part(amounts, |amounts| amounts.returned.clone())),
                reason: reason.clone(),
                ..row
            }),
            E::BudgetMonthReallocated { .. } => {
                row.map(|row| RedistributionRow { state: MoveState::Overtaken, ..row })
            }
            E::BudgetMonthOpened { .. }
            | E::SpendApplied { .. }
            | E::OverspendDetected { .. }
            | E::CategoryAlertTriggered { .. }
            | E::SpendReversed { .. }
            | E::EnvelopeMoved { .. }
            | E::DailyPlanAdjusted { .. }
            | E::BudgetMonthClosed { .. } => row,
        }
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "read:audit").or(own_rows(actor, "read:budget"))
    }
}

/// A redistribution of which no more is known than where and why.
fn started(
    redistribution: Uuid,
    fact: &Fact,
    account: Uuid,
    day: Date,
    category: &str,
    cause: MoveCause,
) -> Option<RedistributionRow> {
    Some(RedistributionRow {
        redistribution,
        budget_month: fact.id,
        account,
        month: YearMonth::of(day).ok()?,
        day,
        to_category: category.to_owned(),
        cause,
        state: MoveState::Proposed,
        transaction: None,
        days_left: None,
        expires_at: None,
        reverted_by: None,
        needed: Personal::Erased,
        covered: Personal::Erased,
        uncovered: Personal::Erased,
        from_list: Personal::Erased,
        returned: None,
        reason: None,
    })
}

#[cfg(test)]
mod tests {
    use domain::{
        Stated,
        budgeting::{BudgetMonthCommand as C, ReallocationReason, RedistributionMode},
    };

    use super::*;
    use crate::{
        budgeting::samples::*,
        testing::{given, given_facts},
    };

    const ID: Uuid = Uuid::from_u128(0x4ED);

    fn month(mode: RedistributionMode) -> Month {
        let mut month = Month::opened(profile(mode, 300_000, []));
        assert!(month.tell(spend(1, "dining", 3, 1349)));
        month
    }

    fn proposed() -> Month {
        let mut month = month(RedistributionMode::Propose);
        let (redistribution, category, date) = (ID, "dining".into(), may(3));
        assert!(month.tell(C::ProposeRedistribution { redistribution, category, date }));
        month
    }

    fn row(month: &Month) -> RedistributionRow {
        given::<Redistributions>(month.facts()).rows().remove(0)
    }

    #[test]
    fn an_automatic_redistribution_says_what_overspent_and_who_gave() {
        let row = row(&month(RedistributionMode::Auto));
        assert_eq!(
            (row.cause, row.state, row.transaction),
            (MoveCause::Automatic, MoveState::Applied, Some(Uuid::from_u128(1)))
        );
        assert_eq!((row.account, row.day, row.to_category.as_str()), (OWNER, may(3), "dining"));
        let (needed, covered) = (row.needed.get().unwrap().minor, row.covered.get().unwrap().minor);
        assert_eq!((needed, covered, row.uncovered.get().unwrap().minor), (1000, 1000, 0));
        let gave: i64 = row.from_list.get().unwrap().iter().map(|transfer| transfer.amount.minor).sum();
        assert_eq!(gave, 1000);
    }

    #[test]
    fn a_proposal_can_be_accepted_and_taken_back() {
        let mut month = proposed();
        let offered = row(&month);
        assert_eq!((offered.cause, offered.state), (MoveCause::Proposal, MoveState::Proposed));
        assert!(offered.expires_at.is_some() && offered.days_left.is_none());
        assert!(month.tell(C::AcceptRedistribution { redistribution: ID }));
        let applied = row(&month);
        assert_eq!(
            (applied.cause, applied.state, applied.days_left),
            (MoveCause::Proposal, MoveState::Applied, Some(29))
        );
        let reason = Stated("I would rather travel".to_owned());
        assert!(month.tell(C::RevertRedistribution { redistribution: ID, reason: reason.clone() }));
        let reverted = row(&month);
        assert_eq!(
            (reverted.state, reverted.reverted_by),
            (MoveState::Reverted, Some(RedistributionCause::Person))
        );
        assert_eq!(reverted.reason, Some(own(reason.0)));
        assert_eq!(reverted.returned, Some(applied.from_list));
    }

    #[test]
    fn what_a_reallocation_overtakes_can_no_longer_be_taken_back_and_says_so() {
        let mut month = month(RedistributionMode::Auto);
        let applied = row(&month);
        assert!(month.tell(C::ReallocateMonth { reason: ReallocationReason::Split }));
        let overtaken = row(&month);
        assert_eq!(overtaken, RedistributionRow { state: MoveState::Overtaken, ..applied });
        let (redistribution, reason) = (overtaken.redistribution, Stated("too late".to_owned()));
        assert!(!month.tell(C::RevertRedistribution { redistribution, reason }));
    }

    #[test]
    fn a_proposal_that_nobody_wanted_is_not_one_that_nobody_answered() {
        for (cause, state) in
            [(DismissalCause::Person, MoveState::Dismissed), (DismissalCause::Expired, MoveState::Expired)]
        {
            let mut month = proposed();
            assert!(month.tell(C::DismissRedistribution { redistribution: ID, cause }));
            assert_eq!(row(&month).state, state);
        }
    }

    #[test]
    fn an_erased_redistribution_keeps_where_and_why_and_no_amount() {
        let row = given_facts::<Redistributions>(&erased(proposed().facts())).rows().remove(0);
        assert_eq!(
            (row.account, row.to_category.as_str(), row.cause),
            (OWNER, "dining", MoveCause::Proposal)
        );
        assert!(row.needed.is_erased() && row.covered.is_erased() && row.from_list.is_erased());
    }

    #[test]
    fn owners_see_their_own_and_compliance_sees_all() {
        let owner = Actor::user(OWNER, &["budget_user"]);
        assert_eq!(Redistributions::visible(&owner), Filter::Is("account", OWNER.into()));
        assert_eq!(Redistributions::visible(&Actor::user(OWNER, &["compliance"])), Filter::All);
        for role in ["staff", "analyst", "operator", "student"] {
            assert_eq!(Redistributions::visible(&Actor::user(OWNER, &[role])), Filter::Nothing, "{role}");
        }
    }
}
